//! What an answer says about all that it carries: the highest confidentiality of it (<https://hl7.org/fhir/R4/security-labels.html>, "a Bundle is as confidential as the most
//! confidential of its entries"), and what is to be done with any of it, or must not be: refrains and obligations.
//!
//! Sensitivities and policies stay with the entry that they are about: on the whole they would tell more of it than who handles it needs to know.

use std::collections::BTreeSet;

use super::vocabulary::{SYSTEM_ACT_CODE, handling};
use super::{Labels, Security};
use crate::json::{self, Value};

/// The labels of several resources together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HighWater {
    labels: Labels,
    handling: BTreeSet<&'static str>,
}

impl HighWater {
    /// Adds a resource with these labels, whose body may leave. Only where labels are in the stored body itself are they looked up there.
    pub fn add(&mut self, security: Security, body: &[u8]) {
        self.labels = self.labels | security.labels;
        if security.residual {
            let meta = json::parse_members(body, |name| name == "meta");
            let security = meta.as_ref().and_then(|body| body.member("meta")).and_then(|meta| meta.member("security"));
            let codes = security.map(Value::items).unwrap_or_default().iter().filter_map(|coding| {
                let is_act_code = coding.member("system").and_then(Value::as_str) == Some(SYSTEM_ACT_CODE);
                coding.member("code").and_then(Value::as_str).filter(|_| is_act_code)
            });
            self.handling.extend(codes.filter_map(handling));
        }
    }

    /// Adds what another answer carries.
    pub fn join(&mut self, other: &Self) {
        self.labels = self.labels | other.labels;
        self.handling.extend(&other.handling);
    }

    /// All labels that are understood, whatever they are about.
    pub fn labels(&self) -> Labels {
        self.labels
    }

    /// `meta` of the answer: one confidentiality at most; `None` where there is nothing to say.
    pub fn meta(&self) -> Option<Vec<u8>> {
        let highest = self.labels.confidentiality().map_or(Labels::NONE, Labels::confidential);
        let mut codings = super::body::codings_of(highest);
        let known = self.labels.codings().filter_map(|(system, code, _)| handling(code).filter(|_| system == SYSTEM_ACT_CODE));
        let handling: BTreeSet<&str> = known.chain(self.handling.iter().copied()).collect();
        codings.extend(handling.iter().map(|code| Value::object([("system", SYSTEM_ACT_CODE.into()), ("code", (*code).into())])));
        (!codings.is_empty()).then(|| Value::object([("security", Value::Array(codings))]).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(codes: &[&str], residual: bool) -> Security {
        let labels = codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap());
        Security { labels, residual, ..Security::NONE }
    }

    fn codes(water: &HighWater) -> Vec<String> {
        let Some(meta) = water.meta() else { return Vec::new() };
        let meta = json::parse(&meta).unwrap();
        let codes = meta
            .member("security")
            .unwrap()
            .items()
            .iter()
            .map(|coding| coding.member("code").unwrap().as_str().unwrap().to_owned());
        codes.collect()
    }

    #[test]
    fn an_answer_has_one_confidentiality_and_what_is_to_be_done_with_any_part_of_it() {
        let mut water = HighWater::default();
        assert_eq!(water.meta(), None);
        water.add(security(&["HIV"], false), b"not looked at");
        assert_eq!(water.meta(), None, "what it is about is said there alone");
        water.add(security(&["N", "NOREUSE", "42CFRPart2", "HTEST"], false), b"{}");
        water.add(security(&["R", "NORDSCLCD"], false), b"{}");
        assert_eq!(codes(&water), ["R", "NORDSCLCD", "NOREUSE"]);
        let label = |code: &str| format!(r#"{{"system":"{SYSTEM_ACT_CODE}","code":"{code}"}}"#);
        let body = format!(
            r#"{{"resourceType":"Basic","meta":{{"security":[{},{},{},{{"system":"urn:own","code":"NOAUTH"}}]}},"x":[{}]}}"#,
            label("NORELINK"),
            label("DEID"),
            label("HIPAANOPP"),
            label("NOPAT"),
        );
        let mut other = HighWater::default();
        other.add(security(&["V"], true), body.as_bytes());
        assert_eq!(codes(&other), ["V", "DEID", "NORELINK"]);
        water.join(&other);
        assert_eq!(codes(&water), ["V", "DEID", "NORDSCLCD", "NORELINK", "NOREUSE"]);
        assert!(water.labels().contains(security(&["V", "HIV"], false).labels));
        let mut unreadable = HighWater::default();
        unreadable.add(security(&["R"], true), b"{");
        assert_eq!(codes(&unreadable), ["R"]);
    }
}
