//! In which language a person reads, and how a request says so.
//!
//! `ui_locales` of OpenID Connect Core 1.0 section 3.1.2.1, `Accept-Language` of RFC 9110 section 12.5.4, tags of BCP 47. A region does not matter: what
//! asks for `es-MX` gets Spanish. What cannot be read is passed over, never an error: "An error SHOULD NOT result if some or all of the requested locales
//! are not supported".
//!
//! Not here: the words. Pages have them in their templates, scopes in [`crate::consent_groups`].

use serde::{Deserialize, Serialize};

/// The most entries of a list that are looked at.
const MAXIMUM_ENTRIES: usize = 50;

/// A language in which every page can be read. One more variant makes every place fail to compile that has words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Spanish, as people in the United States and Latin America write it; readers are addressed as "usted".
    #[serde(rename = "es")]
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// Its tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// What its speakers call it.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Spanish => "Español",
        }
    }

    /// The words in this language. Both have to be there, or it does not compile.
    pub fn say<T>(self, english: T, spanish: T) -> T {
        match self {
            Self::English => english,
            Self::Spanish => spanish,
        }
    }

    /// The language of a tag, whatever its region or script.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The first language of `ui_locales` that there is: tags separated by spaces, the preferred one first.
    pub fn of_ui_locales(list: &str) -> Option<Self> {
        list.split(' ').take(MAXIMUM_ENTRIES).find_map(Self::of_tag)
    }

    /// The language that the header `Accept-Language` likes best; `None` where it likes none of ours, or all alike by `*` alone.
    pub fn of_accept_language(header: &str) -> Option<Self> {
        let mut anything: Option<u16> = None;
        // Quality by language, in the order in which the header first names them: the earlier one wins a tie.
        let mut liked: Vec<(Self, u16)> = Vec::new();
        for (tag, quality) in header.split(',').take(MAXIMUM_ENTRIES).filter_map(entry) {
            if tag == "*" {
                anything = Some(quality);
                continue;
            }
            let Some(language) = Self::of_tag(tag) else { continue };
            match liked.iter_mut().find(|(known, _)| *known == language) {
                Some((_, known)) => *known = quality.max(*known),
                None => liked.push((language, quality)),
            }
        }
        let (mut best, mut most) = (None, 0);
        for (language, quality) in &liked {
            if *quality > most {
                (best, most) = (Some(*language), *quality);
            }
        }
        // `*` means every language that the header does not name.
        let mut others = Self::ALL.into_iter().filter(|language| liked.iter().all(|(named, _)| named != language));
        match (anything, others.next()) {
            (Some(quality), Some(other)) if quality > most && !liked.is_empty() => Some(other),
            _ => best,
        }
    }
}

/// `es-MX;q=0.8` as its tag and 800; `None` for what is malformed.
fn entry(text: &str) -> Option<(&str, u16)> {
    let (tag, quality) = match text.split_once(';') {
        None => (text, 1000),
        Some((tag, weight)) => {
            let weight = weight.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?;
            (tag, thousandths(weight.trim())?)
        }
    };
    let tag = tag.trim();
    let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_tag || tag == "*").then_some((tag, quality))
}

/// A weight (RFC 9110 section 12.4.2): `0`, `0.8`, `1.000`.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{English, Spanish};
    use super::*;

    #[test]
    fn ui_locales_names_the_first_language_that_there_is() {
        for (list, language) in [
            ("es", Some(Spanish)),
            ("fr-CA fr es-419 en", Some(Spanish)),
            ("EN-us", Some(English)),
            ("x-klingon", None),
            ("est english espanol", None),
            ("", None),
            ("  es  ", Some(Spanish)),
            ("es,en", None),
            ("-es", None),
        ] {
            assert_eq!(Language::of_ui_locales(list), language, "{list}");
        }
    }

    #[test]
    fn accept_language_is_weighed_by_its_q_values() {
        for (header, language) in [
            ("es", Some(Spanish)),
            ("es-MX,es;q=0.9,en;q=0.8", Some(Spanish)),
            ("en;q=0.5, es;q=0.6", Some(Spanish)),
            ("fr-FR, en ; q=0.3 , es;q=0.300", Some(English)),
            ("es;q=0.8, en;q=0.8", Some(Spanish)),
            ("en;q=0, es;q=0.001", Some(Spanish)),
            ("es;q=0", None),
            ("en;q=0, *;q=0.5", Some(Spanish)),
            ("en;q=0.2, *", Some(Spanish)),
            ("en, *;q=0.5", Some(English)),
            ("*", None),
            ("fr, de;q=0.7", None),
            ("", None),
        ] {
            assert_eq!(Language::of_accept_language(header), language, "{header}");
        }
    }

    #[test]
    fn what_is_malformed_in_a_list_is_passed_over() {
        for (header, language) in [
            ("es;q=2, en;q=0.1", Some(English)),
            ("es;q=0.1234, en;q=0.1", Some(English)),
            ("es;q=, en;q=0.1", Some(English)),
            ("es;level=1, en;q=0.1", Some(English)),
            ("es;q=-1,en;q=0.1", Some(English)),
            ("<script>, ;;, ,, en", Some(English)),
            ("e s, en;q=0.2", Some(English)),
            (";q=1", None),
        ] {
            assert_eq!(Language::of_accept_language(header), language, "{header}");
        }
        let long = format!("{}es", "xx,".repeat(MAXIMUM_ENTRIES));
        assert_eq!(Language::of_accept_language(&long), None, "what comes after many entries is not read");
    }
}
