//! The name of a search parameter, taken apart: `code`, `code:modifier`, `reference.code`, `reference:Type.code`, `_has:...`.
//!
//! Names are parsed and never compared as whole strings: a server that knew `_include` but not `_include:iterate` once let the latter
//! pass its checks as "some other parameter".

/// A parameter name, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// `code` or `code:modifier`; the modifier is what follows the first colon, whatever it is.
    Plain { code: &'a str, modifier: Option<&'a str> },
    /// A chain through a reference (<https://hl7.org/fhir/R4/search.html#chaining>).
    Chain,
    /// `_has` (<https://hl7.org/fhir/R4/search.html#has>).
    ReverseChain,
}

impl<'a> Key<'a> {
    /// Takes a name apart; every text has one of the three forms.
    pub(super) fn parse(name: &'a str) -> Self {
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        if code == "_has" {
            Self::ReverseChain
        } else if name.contains('.') {
            Self::Chain
        } else {
            Self::Plain { code, modifier }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_their_forms() {
        let plain = |code, modifier| Key::Plain { code, modifier };
        for (name, expected) in [
            ("code", plain("code", None)),
            ("code:not", plain("code", Some("not"))),
            ("code:", plain("code", Some(""))),
            (":not", plain("", Some("not"))),
            ("", plain("", None)),
            ("_include:iterate", plain("_include", Some("iterate"))),
            ("subject:Patient", plain("subject", Some("Patient"))),
            ("subject:Patient:exact", plain("subject", Some("Patient:exact"))),
            ("subject.name", Key::Chain),
            ("subject:Patient.name", Key::Chain),
            ("subject:Patient.name:exact", Key::Chain),
            ("_count.x", Key::Chain),
            ("_has", Key::ReverseChain),
            ("_has:Observation:patient:code", Key::ReverseChain),
            ("_has:Observation:patient:subject.name", Key::ReverseChain),
            ("_hash", plain("_hash", None)),
        ] {
            assert_eq!(Key::parse(name), expected, "{name}");
        }
    }
}
