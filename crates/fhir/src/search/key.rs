//! The name of a search parameter, taken apart: `code`, `code:modifier`, `reference.code`, `reference:Type.code`, `_has:...`.
//!
//! Names are parsed and never compared as whole strings: a server that knew `_include` but not `_include:iterate` once let the latter
//! pass its checks as "some other parameter".

/// A parameter name, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// `code` or `code:modifier`; the modifier is what follows the first colon, whatever it is.
    Plain { code: &'a str, modifier: Option<&'a str> },
    /// `code.rest` or `code:target.rest`: a chain through a reference (<https://hl7.org/fhir/R4/search.html#chaining>).
    Chain { code: &'a str, target: Option<&'a str>, rest: &'a str },
    /// `_has:source:parameter:rest` (<https://hl7.org/fhir/R4/search.html#has>).
    ReverseChain { source: &'a str, parameter: &'a str, rest: &'a str },
    /// `_has` with less than that.
    Malformed,
}

impl<'a> Key<'a> {
    /// Takes a name apart; every text has one of these forms.
    pub(super) fn parse(name: &'a str) -> Self {
        let (code, modifier) = split(name, ':');
        if code == "_has" {
            let mut parts = modifier.unwrap_or_default().splitn(3, ':');
            return match (parts.next(), parts.next(), parts.next()) {
                (Some(source), Some(parameter), Some(rest)) => Self::ReverseChain { source, parameter, rest },
                _ => Self::Malformed,
            };
        }
        match name.split_once('.') {
            Some((head, rest)) => {
                let (code, target) = split(head, ':');
                Self::Chain { code, target, rest }
            }
            None => Self::Plain { code, modifier },
        }
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_their_forms() {
        let plain = |code, modifier| Key::Plain { code, modifier };
        let chain = |code, target, rest| Key::Chain { code, target, rest };
        let has = |source, parameter, rest| Key::ReverseChain { source, parameter, rest };
        for (name, expected) in [
            ("code", plain("code", None)),
            ("code:not", plain("code", Some("not"))),
            ("code:", plain("code", Some(""))),
            (":not", plain("", Some("not"))),
            ("", plain("", None)),
            ("_include:iterate", plain("_include", Some("iterate"))),
            ("subject:Patient", plain("subject", Some("Patient"))),
            ("subject:Patient:exact", plain("subject", Some("Patient:exact"))),
            ("subject.name", chain("subject", None, "name")),
            ("subject:Patient.name", chain("subject", Some("Patient"), "name")),
            ("subject:Patient.name:exact", chain("subject", Some("Patient"), "name:exact")),
            ("subject.organization.name", chain("subject", None, "organization.name")),
            ("subject._has:Group:member:_id", chain("subject", None, "_has:Group:member:_id")),
            ("_count.x", chain("_count", None, "x")),
            (".", chain("", None, "")),
            ("_has", Key::Malformed),
            ("_has:Observation:patient", Key::Malformed),
            ("_has.x", chain("_has", None, "x")),
            ("_has:Observation:patient:code", has("Observation", "patient", "code")),
            ("_has:Observation:patient:subject.name", has("Observation", "patient", "subject.name")),
            (
                "_has:Observation:patient:_has:AuditEvent:entity:agent",
                has("Observation", "patient", "_has:AuditEvent:entity:agent"),
            ),
            ("_hash", plain("_hash", None)),
        ] {
            assert_eq!(Key::parse(name), expected, "{name}");
        }
    }
}
