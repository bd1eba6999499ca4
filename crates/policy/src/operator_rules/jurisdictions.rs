//! Under whose law a server is, and for whose a rule is: countries, states, places, organisations.
//!
//! A name is one of ISO 3166 with its parts behind hyphens (`US`, `US-TX`), or one of the operator's own. A rule for a place is a rule for all that lies in it; an
//! own name stands for itself alone. So one file serves several sites, of which each says at the top where it is.

/// The longest name, in characters.
const MAXIMUM_NAME: usize = 64;

/// The name of a place or of an organisation whose law or policy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jurisdiction(Box<str>);

impl Jurisdiction {
    /// Reads a name: letters and digits, in parts between hyphens. One that begins with two letters is of ISO 3166 and has capitals, so that nobody writes a rule for
    /// a place that is nowhere.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sound = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if text.len() <= MAXIMUM_NAME && text.split('-').all(sound) {
            let name = Self(text.into());
            let is_written_so = !name.is_place() || !text.bytes().any(|byte| byte.is_ascii_lowercase());
            return if is_written_so { Ok(name) } else { Err(format!("'{text}' must be written {}", text.to_ascii_uppercase())) };
        }
        Err(format!("'{text}' must be letters and digits with parts behind hyphens, such as US, US-TX or city-clinic"))
    }

    fn is_place(&self) -> bool {
        self.0
            .split('-')
            .next()
            .is_some_and(|country| country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic()))
    }

    /// Whether this is the other or lies in it. Small and capital letters of own names are different.
    pub fn is_in(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&*other.0);
        rest.is_some_and(|rest| rest.is_empty() || self.is_place() && rest.starts_with('-'))
    }
}

/// Whether a rule for these is one for a server that is in those; a rule that names none is for every server.
pub fn concern(rule: &[Jurisdiction], server: &[Jurisdiction]) -> bool {
    rule.is_empty() || rule.iter().any(|place| server.iter().any(|own| own.is_in(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(names: &[&str]) -> Vec<Jurisdiction> {
        names.iter().map(|name| Jurisdiction::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_rule_for_a_place_is_one_for_what_lies_in_it_and_for_nothing_else() {
        for (rule, server, expected) in [
            (&[][..], &[][..], true),
            (&[], &["US-TX"], true),
            (&["US-TX"], &["US-TX"], true),
            (&["US"], &["US-TX"], true),
            (&["US-CA", "US-TX"], &["US-TX", "city-clinic"], true),
            (&["city-clinic"], &["US-TX", "city-clinic"], true),
            (&["US-TX"], &["US"], false),
            (&["US-TX"], &["US-CA"], false),
            (&["US-T"], &["US-TX"], false),
            (&["north"], &["north-shore"], false),
            (&["North"], &["north"], false),
            (&["US"], &[], false),
        ] {
            assert_eq!(concern(&all(rule), &all(server)), expected, "{rule:?} on a server in {server:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "-", "US-", "-TX", "US--TX", "US TX", "US_TX", "Österreich", &"x".repeat(65)] {
            assert!(Jurisdiction::parse(name).unwrap_err().contains("US-TX"), "{name}");
        }
        for name in ["us-tx", "US-tx", "Us-TX"] {
            assert_eq!(Jurisdiction::parse(name).unwrap_err(), format!("'{name}' must be written US-TX"));
        }
    }
}
