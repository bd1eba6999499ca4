//! The forms in which strings and codes are compared.
//!
//! <https://hl7.org/fhir/R4/search.html#string>: case and accents do not count. Accents are folded for Latin letters; other scripts keep their marks
//! apart from the combining ones of U+0300 to U+036F.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The base letters of U+00C0 to U+024F, one for each code point; `-` where there is none.
const LATIN: &str = "aaaaaa-ceeeeiiiidnooooo-ouuuuy--aaaaaa-ceeeeiiiidnooooo-ouuuuy-yaaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii--jjkk-llllll--llnnnnnn-nnoooooo\
--rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzz--b------------------------------oo-------------uu----------------------------aaiioouuuuuuuuuu-aaaa----gg\
kkoooo--j---gg--nnaa----aaaaeeeeiiiioooorrrruuuusstt--hh------aaeeooooooooyy----------------------------";

/// The base letters of U+1E00 to U+1EFF.
const LATIN_ADDITIONAL: &str = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuu\
vvvvwwwwwwwwwwxxxxyyzzzzzzhtwy------aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy------";

/// The form in which strings are compared: lower case, accents of Latin letters gone, apostrophes gone, other punctuation and white space one space,
/// none at the ends.
pub fn normalise(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut gap = false;
    for character in text.chars() {
        if is_dropped(character) {
            continue;
        }
        if !character.is_alphanumeric() && is_separator(character) {
            gap = true;
            continue;
        }
        if gap && !output.is_empty() {
            output.push(' ');
        }
        gap = false;
        push_folded(character, &mut output);
    }
    output
}

fn push_folded(character: char, output: &mut String) {
    if character.is_ascii() {
        output.push(character.to_ascii_lowercase());
        return;
    }
    let folded = base_letter(character, '\u{c0}'..='\u{24f}', LATIN)
        .or_else(|| base_letter(character, '\u{1e00}'..='\u{1eff}', LATIN_ADDITIONAL));
    match (folded, character) {
        (Some(letter), _) => output.push(letter),
        (None, 'ß' | 'ẞ') => output.push_str("ss"),
        (None, 'æ' | 'Æ' | 'ǽ' | 'Ǽ') => output.push_str("ae"),
        (None, 'œ' | 'Œ') => output.push_str("oe"),
        (None, 'ø' | 'Ø' | 'ǿ' | 'Ǿ') => output.push('o'),
        (None, 'đ' | 'Đ' | 'ð' | 'Ð') => output.push('d'),
        (None, 'þ' | 'Þ') => output.push_str("th"),
        (None, other) => {
            for lower in other.to_lowercase().filter(|lower| !is_dropped(*lower)) {
                if lower == other {
                    output.push(other);
                } else {
                    push_folded(lower, output);
                }
            }
        }
    }
}

fn base_letter(character: char, range: RangeInclusive<char>, letters: &'static str) -> Option<char> {
    let offset = u32::from(character).checked_sub(u32::from(*range.start()))?;
    let letter = letters.as_bytes().get(usize::try_from(offset).ok()?).copied()?;
    (range.contains(&character) && letter != b'-').then(|| char::from(letter))
}

/// Combining marks, and apostrophes: `O'Brien` is `obrien`.
fn is_dropped(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\'' | '’' | '‘' | '`' | '´' | 'ʼ' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{feff}')
}

/// White space, controls and punctuation of ASCII, Latin-1 and the general block; symbols of other scripts stay.
fn is_separator(character: char) -> bool {
    character.is_ascii()
        || character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{a0}'..='\u{bf}' | '×' | '÷' | '\u{2010}'..='\u{205e}' | '\u{3000}'..='\u{303f}')
}

/// A code in the form in which tokens are compared.
///
/// "When in doubt, servers SHOULD treat tokens in a case-insensitive manner" (<https://hl7.org/fhir/R4/search.html#token>). Systems are URIs and compared as
/// they are; so are the codes of units, whose case has a meaning.
pub fn fold_code(code: &str) -> Cow<'_, str> {
    if code.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) { code.into() } else { code.to_lowercase().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_punctuation_and_white_space_do_not_count() {
        for (text, expected) in [
            ("Müller", "muller"),
            ("MÜLLER", "muller"),
            ("Mu\u{308}ller", "muller"),
            ("O'Brien", "obrien"),
            ("O’Brien", "obrien"),
            ("  Smith-Jones,\t  Anna ", "smith jones anna"),
            ("Straße", "strasse"),
            ("Ægir Þór Łukasz Đặng Øre", "aegir thor lukasz dang ore"),
            ("Nguyễn Thị Ánh", "nguyen thi anh"),
            ("İstanbul ılık", "istanbul ilik"),
            ("Žižek čeština", "zizek cestina"),
            ("ΑΘΗΝΑ", "αθηνα"),
            ("日本語", "日本語"),
            ("Peter—James", "peter james"),
            ("", ""),
            ("...", ""),
            ("12/3 B", "12 3 b"),
        ] {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }

    #[test]
    fn the_fold_tables_have_one_letter_for_each_code_point() {
        assert_eq!(LATIN.len(), 0x250 - 0xc0);
        assert_eq!(LATIN_ADDITIONAL.len(), 0x100);
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        let everything: String = (0..0x3000).filter_map(char::from_u32).collect();
        let once = normalise(&everything);
        assert!(normalise(&once) == once);
    }
}
