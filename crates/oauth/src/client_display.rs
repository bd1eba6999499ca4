//! What people are shown of a client: its name, who answers for it, and where it leads, without means to deceive.
//!
//! RFC 7591 section 5 warns of "phishing" by registered names and logos. Characters that change how other text looks are refused at registration and
//! stripped where something is shown; hosts are shown as they go over the wire, in punycode where they are internationalised (RFC 3492).

use url::{Host, Url};

/// Whether a character has no place in a name: control characters (Unicode Cc), those that change the direction of text (UAX 9), that are invisible, or that
/// end a line.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Directional marks, embeddings, overrides and isolates.
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
            // Invisible: soft hyphen, zero-width characters, word joiner and invisible operators, fillers, byte order mark, tags.
            | '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
            // Ends of lines.
            | '\u{2028}' | '\u{2029}')
}

/// Text of a client as it is shown: without deceptive characters, with single spaces, at most so many characters.
pub fn shown(text: &str, longest: usize) -> String {
    let clean: String = text.chars().map(|character| if character.is_whitespace() { ' ' } else { character }).collect();
    let clean: String = clean.chars().filter(|character| !is_deceptive(*character)).collect();
    let words = clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if words.chars().count() <= longest {
        return words;
    }
    words.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// A host as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownHost {
    /// The host with the port where there is one, in ASCII: an internationalised name as punycode.
    pub text: String,
    /// Whether a part of the name is punycode: it has letters that may look like others.
    pub is_internationalised: bool,
}

impl ShownHost {
    /// The host of an address; `None` where it has none (such as the private scheme of a phone's app).
    pub fn of(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok()?;
        let host = url.host()?;
        let is_internationalised = match &host {
            // The parser made punycode of a special scheme's host; of another scheme's it made percent escapes.
            Host::Domain(name) => {
                name.contains('%') || name.split('.').any(|label| label.to_ascii_lowercase().starts_with("xn--"))
            }
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        let text = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Some(Self { text: shown(&text, 300), is_internationalised })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_deceive_are_known_and_letters_of_the_world_are_not() {
        for character in
            ['\n', '\0', '\u{7f}', '\u{85}', '\u{202E}', '\u{2066}', '\u{200B}', '\u{FEFF}', '\u{2028}', '\u{E0041}', '\u{AD}']
        {
            assert!(is_deceptive(character), "{character:?}");
        }
        for character in "Müller’s Äpp 健康 صحة בריאות здоровье 😀 –".chars() {
            assert!(!is_deceptive(character), "{character:?}");
        }
    }

    #[test]
    fn what_is_shown_has_one_line_no_hidden_characters_and_a_limited_length() {
        assert_eq!(shown(" Good\u{202E}ppA \n\t of \u{200B}\u{2028} mine ", 40), "GoodppA of mine");
        assert_eq!(shown("abcdef", 6), "abcdef");
        assert_eq!(shown("abcdefg", 6), "abcde…");
        assert_eq!(shown("\u{202E}\0", 6), "");
    }

    #[test]
    fn an_internationalised_host_is_shown_as_punycode_with_a_mark() {
        let host = |address: &str| ShownHost::of(address).map(|host| (host.text, host.is_internationalised));
        // The first letter is the Cyrillic one that looks like an a.
        assert_eq!(host("https://\u{430}pple.example/callback"), Some(("xn--pple-43d.example".into(), true)));
        assert_eq!(host("https://XN--pple-43d.example/"), Some(("xn--pple-43d.example".into(), true)));
        assert_eq!(host("https://app.example:8443/callback"), Some(("app.example:8443".into(), false)));
        assert_eq!(host("https://app.example:443/"), Some(("app.example".into(), false)));
        assert_eq!(host("http://127.0.0.1:5000/"), Some(("127.0.0.1:5000".into(), false)));
        assert_eq!(host("https://user@evil.example/"), Some(("evil.example".into(), false)));
        assert_eq!(host("com.example.app:/callback"), None);
    }
}
