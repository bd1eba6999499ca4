//! Labels in `meta.security` of a stored body that the next version keeps, though whoever wrote it left them out.
//!
//! Labels that this server understands are kept beside the body and last anyway. What stays in the body are obligations, refrains, purposes, labels of others, and
//! labels with extensions: no update takes them away. Codes of v3-ObservationValue are not carried: they say how trustworthy a version is, and what was done to it.

use super::vocabulary::SYSTEM_OBSERVATION_VALUE;
use crate::json::Value;

/// The extension by which a label says under which policy it stands (HL7 FHIR DS4P).
pub const LABEL_BASIS: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis";

/// The most labels that a body may come to have.
pub const MAXIMUM_LABELS: usize = 200;

/// Whether another label is this one: its code under its policy, or under any where it names none.
fn is_same(label: &Value, other: &Value) -> bool {
    let is_policy = basis(label).is_none_or(|basis_of_label| basis(other) == Some(basis_of_label));
    code(label) == code(other) && is_policy
}

fn basis(coding: &Value) -> Option<[Option<&str>; 2]> {
    let extensions = coding.member("extension").map(Value::items).unwrap_or_default();
    let basis = extensions.iter().find(|one| one.member("url").and_then(Value::as_str) == Some(LABEL_BASIS))?;
    basis.member("valueCoding").map(code)
}

fn code(coding: &Value) -> [Option<&str>; 2] {
    ["system", "code"].map(|name| coding.member(name).and_then(Value::as_str))
}

fn labels(resource: &Value) -> &[Value] {
    resource.member("meta").and_then(|meta| meta.member("security")).map(Value::items).unwrap_or_default()
}

/// The labels in the body of a stored version that the body of the next one has not.
pub fn missing(before: &Value, after: &Value) -> Vec<Value> {
    let lasts = |label: &&Value| label.member("system").and_then(Value::as_str) != Some(SYSTEM_OBSERVATION_VALUE);
    let is_there = |label: &Value| labels(after).iter().any(|other| is_same(label, other));
    labels(before).iter().filter(lasts).filter(|label| !is_there(label)).cloned().collect()
}

/// Puts labels into the body of a resource; `false` where these are too many, or it is no resource.
pub fn put(resource: &mut Value, labels: Vec<Value>) -> bool {
    let Value::Object(members) = resource else { return false };
    if !members.iter().any(|(name, _)| &**name == "meta") {
        members.push(("meta".into(), Value::Object(Vec::new())));
    }
    let Some((_, Value::Object(meta))) = members.iter_mut().find(|(name, _)| &**name == "meta") else { return false };
    if !meta.iter().any(|(name, _)| &**name == "security") {
        meta.push(("security".into(), Value::Array(Vec::new())));
    }
    let Some((_, Value::Array(security))) = meta.iter_mut().find(|(name, _)| &**name == "security") else { return false };
    security.extend(labels);
    security.len() <= MAXIMUM_LABELS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn basic(labels: &str) -> Value {
        json::parse(format!(r#"{{"resourceType":"Basic","meta":{{"security":[{labels}]}}}}"#).as_bytes()).unwrap()
    }

    const DEID: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"DEID"}"#;
    const MARK: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}"#;
    const OWN: &str = r#"{"system":"urn:own","code":"a","display":"A"}"#;

    fn with_basis(code: &str) -> String {
        format!(
            r#"{{"extension":[{{"url":"{LABEL_BASIS}","valueCoding":{{"system":"urn:law","code":"{code}"}}}}],"system":"urn:own","code":"a"}}"#
        )
    }

    #[test]
    fn what_the_next_version_leaves_out_is_missing_but_for_marks() {
        let of = |before: &[&str], after: &[&str]| missing(&basic(&before.join(",")), &basic(&after.join(","))).len();
        assert_eq!(of(&[DEID, MARK, OWN], &[]), 2);
        assert_eq!(of(&[DEID, OWN], &[DEID, OWN]), 0);
        assert_eq!(of(&[OWN], &[&OWN.replace("\"A\"", "\"B\"")]), 0, "how it is displayed makes it no other label");
        assert_eq!(of(&[&with_basis("one")], &[&with_basis("two")]), 1, "the same label under two policies is two");
        assert_eq!(of(&[&with_basis("one")], &[OWN]), 1);
        assert_eq!(of(&[OWN], &[&with_basis("one")]), 0);
        assert_eq!(missing(&json::parse(b"{}").unwrap(), &basic(DEID)), []);
    }

    #[test]
    fn labels_are_put_where_there_are_none_and_beside_others_up_to_a_limit() {
        let coding = || json::parse(DEID.as_bytes()).unwrap();
        let mut bare = json::parse(br#"{"resourceType":"Basic"}"#).unwrap();
        assert!(put(&mut bare, vec![coding()]));
        assert_eq!(
            String::from_utf8(bare.to_bytes()).unwrap(),
            format!(r#"{{"resourceType":"Basic","meta":{{"security":[{DEID}]}}}}"#)
        );
        let mut other = basic(OWN);
        assert!(put(&mut other, vec![coding()]));
        assert_eq!(other, basic(&format!("{OWN},{DEID}")));
        assert!(!put(&mut other, std::iter::repeat_with(coding).take(MAXIMUM_LABELS).collect()));
        assert!(!put(&mut json::parse(b"[]").unwrap(), vec![coding()]));
    }
}
