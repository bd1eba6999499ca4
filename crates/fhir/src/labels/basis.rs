//! Under which policy each label stands, where a resource has labels of several: "each `security` within a group of elements that belong to a specific policy" has the
//! extension sec-label-basis (HL7 FHIR DS4P, "Detailed Specifications").
//!
//! A label that names its policy keeps it. Of the others those of substance use, and the refrain that goes with them, stand under 42 CFR Part 2, those of mental health
//! under HIPAA's rule about notes of psychotherapy, and the rest, such as the one confidentiality, under the policy that is named first.

use super::carried::{LABEL_BASIS, MAXIMUM_LABELS};
use super::vocabulary::{SYSTEM_ACT_CODE, is_policy};
use crate::json::Value;

const SUBSTANCE_USE: (&str, &[&str]) = ("42CFRPart2", &["ETH", "ETHUD", "OPIOIDUD", "SUD", "NORDSCLCD"]);
const MENTAL_HEALTH: (&str, &[&str]) = ("HIPAAPsyNotes", &["PSY", "PSYTHPN", "MH", "BH"]);

/// Gives each label its policy, where there are several.
pub(super) fn add(labels: &mut [Value]) {
    if labels.len() > MAXIMUM_LABELS {
        return;
    }
    let mut policies: Vec<Value> = Vec::new();
    for policy in labels.iter().filter_map(stated) {
        if !policies.iter().any(|known| code(known) == code(&policy)) {
            policies.push(policy);
        }
    }
    if policies.len() < 2 {
        return;
    }
    for label in labels.iter_mut().filter(|label| basis(label).is_none()) {
        let usual =
            |(policy, codes): &(&'static str, &[&str])| code(label).1.is_some_and(|own| codes.contains(&own)).then_some(*policy);
        let usual = [SUBSTANCE_USE, MENTAL_HEALTH].iter().find_map(usual);
        let usual = policies.iter().find(|policy| usual.is_some() && code(policy).1 == usual);
        let Some(policy) = stated(label).or_else(|| usual.or(policies.first()).cloned()) else { continue };
        let extension = Value::object([("url", LABEL_BASIS.into()), ("valueCoding", policy)]);
        let Value::Object(members) = label else { continue };
        match members.iter_mut().find(|(name, _)| &**name == "extension") {
            Some((_, Value::Array(extensions))) => extensions.push(extension),
            _ => members.insert(0, ("extension".into(), Value::Array(vec![extension]))),
        }
    }
}

/// The policy that a label names, or is.
fn stated(label: &Value) -> Option<Value> {
    let coding =
        |(system, code): (Option<&str>, Option<&str>)| Some(Value::object([("system", system?.into()), ("code", code?.into())]));
    let own = || {
        let (system, code) = code(label);
        coding((system, code.filter(|code| system == Some(SYSTEM_ACT_CODE) && is_policy(code))))
    };
    // No more than what it is: it is said again with each label that has none.
    basis(label).map_or_else(own, |basis| coding(code(basis)))
}

fn basis(label: &Value) -> Option<&Value> {
    let extensions = label.member("extension").map(Value::items).unwrap_or_default();
    extensions.iter().find(|one| one.member("url").and_then(Value::as_str) == Some(LABEL_BASIS))?.member("valueCoding")
}

fn code(coding: &Value) -> (Option<&str>, Option<&str>) {
    (coding.member("system").and_then(Value::as_str), coding.member("code").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn labels(codes: &[&str]) -> Vec<Value> {
        let label = |code: &&str| match code.split_once('@') {
            Some((code, policy)) => format!(
                r#"{{"extension":[{{"url":"{LABEL_BASIS}","valueCoding":{{"system":"urn:law","code":"{policy}"}}}}],"system":"{SYSTEM_ACT_CODE}","code":"{code}"}}"#
            ),
            None => format!(r#"{{"system":"{SYSTEM_ACT_CODE}","code":"{code}"}}"#),
        };
        codes.iter().map(|code| json::parse(label(code).as_bytes()).unwrap()).collect()
    }

    fn with_basis(codes: &[&str]) -> Vec<String> {
        let mut labels = labels(codes);
        add(&mut labels);
        let told = |label: &Value| {
            let extensions = label.member("extension").map(Value::items).unwrap_or_default();
            assert!(extensions.len() <= 1);
            let policy = basis(label).and_then(|basis| code(basis).1).unwrap_or("none");
            format!("{}@{policy}", code(label).1.unwrap())
        };
        labels.iter().map(told).collect()
    }

    #[test]
    fn where_labels_of_several_policies_are_there_each_says_which_is_its_own() {
        assert_eq!(with_basis(&["R", "ETHUD", "42CFRPart2"]), ["R@none", "ETHUD@none", "42CFRPart2@none"], "one policy");
        assert_eq!(
            with_basis(&["R", "PSY", "ETHUD", "HIV", "42CFRPart2", "HIPAAPsyNotes", "NORDSCLCD"]),
            [
                "R@42CFRPart2",
                "PSY@HIPAAPsyNotes",
                "ETHUD@42CFRPart2",
                "HIV@42CFRPart2",
                "42CFRPart2@42CFRPart2",
                "HIPAAPsyNotes@HIPAAPsyNotes",
                "NORDSCLCD@42CFRPart2"
            ]
        );
        assert_eq!(with_basis(&["R@a", "PSY@b", "HIV"]), ["R@a", "PSY@b", "HIV@a"]);
        assert_eq!(with_basis(&["R@a", "PSY"]), ["R@a", "PSY@none"]);
        assert_eq!(with_basis(&["PSY@a", "42CFRPart2", "PSY"]), ["PSY@a", "42CFRPart2@42CFRPart2", "PSY@a"]);
        assert_eq!(with_basis(&["OPTIN", "42CFRPart2"]), ["OPTIN@none", "42CFRPart2@none"], "a consent is no policy");
    }
}
