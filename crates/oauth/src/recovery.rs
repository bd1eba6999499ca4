//! Recovery codes: ten look-up secrets that stand in for a lost phone or key, each once (NIST SP 800-63B section 5.1.2).
//!
//! A code has 75 random bits. The server keeps a keyed hash of each, made by its own key, and shows the codes once.

use portcullis_jose::Random;

use crate::totp::base32_encode;

/// How many codes a person gets.
pub const COUNT: usize = 10;
/// The letters of a code; each carries five random bits.
const LETTERS: usize = 15;
/// Letters between two hyphens.
const GROUP: usize = 5;

/// Ten new codes, as they are shown: `ABCDE-FGHIJ-KLMNO`.
pub fn generate(random: &mut dyn Random) -> Vec<String> {
    let mut code = || {
        let mut bytes = [0; 10];
        random.fill(&mut bytes);
        let letters: Vec<char> = base32_encode(&bytes).chars().take(LETTERS).collect();
        letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    };
    std::iter::repeat_with(&mut code).take(COUNT).collect()
}

/// What a typed code is looked up by: capital letters without hyphens and spaces; `None` where it cannot be a code.
pub fn normalised(typed: &str) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let letters: String = typed.chars().filter(|character| !matches!(character, '-' | ' ')).collect();
    let fits =
        letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte));
    fits.then(|| letters.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::tests::Counter;

    #[test]
    fn ten_codes_differ_and_read_back_however_they_are_typed() {
        let codes = generate(&mut Counter(7));
        let distinct: std::collections::BTreeSet<&String> = codes.iter().collect();
        assert_eq!((codes.len(), distinct.len()), (COUNT, COUNT));
        for code in &codes {
            assert_eq!(code.len(), LETTERS + 2, "{code}");
            let plain = normalised(code).unwrap();
            assert_eq!(normalised(&code.to_lowercase().replace('-', " ")), Some(plain));
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for text in
            ["", "123456", "ABCDE-FGHIJ-KLMN", "ABCDE-FGHIJ-KLMNOP", "ABCDE-FGHIJ-KLMN1", "ÄBCDE-FGHIJ-KLMNO", &"A".repeat(100)]
        {
            assert_eq!(normalised(text), None, "{text}");
        }
    }
}
