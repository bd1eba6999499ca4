//! Labels in `meta.security` of a body: taken out when it is stored, put in when it leaves.
//!
//! So a body says nothing about labels that could become untrue. What this server does not understand stays where it is, and so does a label with more than system, code and
//! display, such as the extensions of DS4P.

use super::basis;
use super::classifier::Classifier;
use super::vocabulary::{SYSTEM_ACT_CODE, SYSTEM_CONFIDENTIALITY, SYSTEM_OBSERVATION_VALUE, is_handling};
use super::{Confidentiality, Labels, Security};
use crate::instant;
use crate::json::{self, Value};
use crate::outcome::{Issue, IssueType};
use crate::redaction::inline;
use crate::types::{LogicalId, ResourceType};

/// A code of a system, as the content says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concept {
    /// The system.
    pub system: Box<str>,
    /// The code.
    pub code: Box<str>,
}

/// What a body says that matters for its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The labels that its writer gave it.
    pub claimed: Labels,
    /// Whether labels stayed in the body.
    pub residual: bool,
    /// Whether one of these obliges to leave out what names somebody ([`obliges`]).
    pub obliged: bool,
    /// Every code that it and what it contains have.
    pub concepts: Vec<Concept>,
    /// The labels that this server does not understand. Rules may.
    pub unrecognised: Vec<Concept>,
}

/// A mark of what was done to a resource before it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `REDACTED`: elements are left out.
    Redacted,
    /// `MASKED`: elements are unreadable.
    Masked,
    /// `PSEUDED`: what names somebody is left out.
    Pseudonymised,
}

impl Mark {
    fn code(self) -> &'static str {
        match self {
            Self::Redacted => "REDACTED",
            Self::Masked => "MASKED",
            Self::Pseudonymised => "PSEUDED",
        }
    }
}

/// What the obligations among a resource's labels come to: it is de-identified for everybody who is not cleared for everything.
pub fn obligations(resource: &Value) -> Vec<Mark> {
    let codings = resource.member("meta").and_then(|meta| meta.member("security")).map(Value::items).unwrap_or_default();
    let obligation = |coding: &Value| {
        if coding.member("system").and_then(Value::as_str) != Some(SYSTEM_ACT_CODE) {
            return None;
        }
        match coding.member("code").and_then(Value::as_str)? {
            "REDACT" => Some(Mark::Redacted),
            "MASK" => Some(Mark::Masked),
            "DEID" | "PSEUD" | "ANONY" => Some(Mark::Pseudonymised),
            _ => None,
        }
    };
    codings.iter().filter_map(obligation).collect()
}

/// Whether there are such obligations.
pub fn obliges(resource: &Value) -> bool {
    !obligations(resource).is_empty()
}

/// Refuses labels of contained resources, which have none of their own (<https://hl7.org/fhir/R4/domainresource.html>, invariant dom-5).
pub fn check_contained(resource: &Value) -> Result<(), Issue> {
    for (position, contained) in resource.member("contained").map(Value::items).unwrap_or_default().iter().enumerate() {
        if contained.member("meta").and_then(|meta| meta.member("security")).is_some() {
            let name = resource.member("resourceType").and_then(Value::as_str).unwrap_or_default();
            let text = "A contained resource has no security labels of its own. Put them into meta.security of the resource that contains it.";
            let place = format!("{name}.contained[{position}].meta.security");
            return Err(Issue::error(IssueType::Invalid, text).at(place));
        }
    }
    Ok(())
}

/// Takes the labels out of a resource, and says what else matters. What it says to have been assigned by the server at this base URL is the word of whoever wrote it.
pub fn take(resource: &mut Value, base_url: &str) -> Content {
    let mut content = Content::default();
    let Value::Object(members) = resource else { return content };
    for (name, value) in members.iter_mut() {
        if &**name == "meta" {
            take_from_meta(value, &Classifier::new(base_url), &mut content);
        } else {
            concepts(value, &mut content.concepts);
        }
    }
    members.retain(|(name, value)| &**name != "meta" || !matches!(value, Value::Object(members) if members.is_empty()));
    content.obliged = obliges(resource);
    let inline = inline::find(resource);
    if inline.present {
        content.claimed = content.claimed | Labels::INLINE | inline.raised;
    }
    for (name, value) in resource.as_object().unwrap_or_default() {
        if &**name != "meta" {
            nested(value, &mut content);
        }
    }
    content
}

/// The labels of resources inside: those of the entries of a stored Bundle count for the Bundle (the highest holds for the whole).
fn nested(value: &Value, content: &mut Content) {
    match value {
        Value::Object(members) => {
            let labelled = value.member("meta").filter(|_| value.member("resourceType").is_some());
            for coding in labelled.and_then(|meta| meta.member("security")).map(Value::items).unwrap_or_default() {
                claim(coding, content);
            }
            members.iter().for_each(|(_, value)| nested(value, content));
        }
        Value::Array(items) => items.iter().for_each(|item| nested(item, content)),
        _ => {}
    }
}

fn claim(coding: &Value, content: &mut Content) {
    let text = |name| coding.member(name).and_then(Value::as_str).unwrap_or_default();
    let (system, code) = (text("system"), text("code"));
    match meaning(system, code) {
        Some(labels) => content.claimed = content.claimed | labels,
        None if is_handling(system, code) => {}
        None => content.unrecognised.push(Concept { system: system.into(), code: code.into() }),
    }
}

fn take_from_meta(meta: &mut Value, server: &Classifier, content: &mut Content) {
    let Value::Object(members) = meta else { return };
    for (name, value) in members.iter_mut() {
        if let ("security", Value::Array(codings)) = (&**name, value) {
            server.mark(codings, Labels::NONE);
            codings.retain(|coding| {
                claim(coding, content);
                !is_plain(coding)
            });
            content.residual = !codings.is_empty();
        }
    }
    members.retain(|(name, value)| &**name != "security" || !matches!(value, Value::Array(items) if items.is_empty()));
}

/// The label that a code is; `None` where it is not understood. A confidentiality that the code system of today does not have counts as restricted.
pub fn meaning(system: &str, code: &str) -> Option<Labels> {
    let unknown = || (system == SYSTEM_CONFIDENTIALITY).then(|| Labels::confidential(Confidentiality::Restricted));
    Labels::of(system, code).or_else(unknown)
}

/// Whether a coding is a label of ours and says nothing else.
fn is_plain(coding: &Value) -> bool {
    let text = |name| coding.member(name).and_then(Value::as_str).unwrap_or_default();
    let known = Labels::of(text("system"), text("code")).is_some();
    let members = coding.as_object().unwrap_or_default();
    known && members.iter().all(|(name, _)| matches!(&**name, "system" | "code" | "display"))
}

/// Adds every coding below a value: whatever has a system and a code, and no value (that is a quantity).
fn concepts(value: &Value, found: &mut Vec<Concept>) {
    match value {
        Value::Object(members) => {
            if let (Some(system), Some(code), None) = (value.member("system"), value.member("code"), value.member("value"))
                && let (Some(system), Some(code)) = (system.as_str(), code.as_str())
            {
                found.push(Concept { system: system.into(), code: code.into() });
            }
            members.iter().for_each(|(_, value)| concepts(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| concepts(item, found)),
        _ => {}
    }
}

/// What identifies a body: how it begins.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: &'a LogicalId,
    /// The version id.
    pub version: &'a LogicalId,
    /// Milliseconds since the epoch.
    pub last_updated: i64,
}

/// The body with its labels in `meta.security`; `None` where it cannot be read. A body without labels stays as it is, byte for byte, and one without labels of
/// its own is not parsed.
pub fn splice(body: Vec<u8>, identity: Identity<'_>, security: Security, classifier: Option<&Classifier>) -> Option<Vec<u8>> {
    let assigned = classifier.map(|classifier| (classifier, security.assigned()));
    // What the body itself says of its labels may be untrue even where none of them is understood.
    if security.labels.is_empty() && !(security.residual && assigned.is_some()) {
        return Some(body);
    }
    if !security.residual {
        let begin = beginning(identity);
        if let Some(rest) = body.strip_prefix(begin.as_bytes()) {
            let mut spliced = Vec::with_capacity(body.len() + 128);
            spliced.extend_from_slice(begin.as_bytes());
            spliced.extend_from_slice(b",\"security\":");
            codings(security.labels, assigned).write(&mut spliced);
            spliced.extend_from_slice(rest);
            return Some(spliced);
        }
    }
    let mut resource = json::parse(&body).ok()?;
    merge(&mut resource, codings(security.labels, None), (security.labels, assigned)).then(|| resource.to_bytes())
}

/// Who assigned labels, and which.
type Assigned<'a> = Option<(&'a Classifier, Labels)>;

/// Puts labels and marks into a resource; `false` where it is none. The labels with which of them this server assigned, where that is told.
pub fn label(resource: &mut Value, (labels, assigned): (Labels, Assigned<'_>), marks: &[Mark]) -> bool {
    let Value::Array(mut added) = codings(labels, None) else { return false };
    let coding = |mark: &Mark| Value::object([("system", SYSTEM_OBSERVATION_VALUE.into()), ("code", mark.code().into())]);
    added.extend(marks.iter().map(coding));
    let says_nothing =
        added.is_empty() && (assigned.is_none() || resource.member("meta").is_none_or(|meta| meta.member("security").is_none()));
    says_nothing || merge(resource, Value::Array(added), (labels, assigned))
}

/// How every body begins that this server has given its identity.
fn beginning(Identity { resource_type, id, version, last_updated }: Identity<'_>) -> String {
    let moment = instant::format(last_updated);
    format!(r#"{{"resourceType":"{resource_type}","id":"{id}","meta":{{"versionId":"{version}","lastUpdated":"{moment}""#)
}

fn codings(labels: Labels, assigned: Assigned<'_>) -> Value {
    let mut codings = codings_of(labels);
    basis::add(&mut codings);
    if let Some((classifier, assigned)) = assigned {
        classifier.mark(&mut codings, assigned);
    }
    Value::Array(codings)
}

/// A coding of each label, the confidentiality first.
pub(super) fn codings_of(labels: Labels) -> Vec<Value> {
    let coding = |(system, code, display): (&str, &str, Option<&str>)| {
        let mut members: Vec<(Box<str>, Value)> = vec![("system".into(), system.into()), ("code".into(), code.into())];
        members.extend(display.map(|display| ("display".into(), display.into())));
        Value::Object(members)
    };
    labels.codings().map(coding).collect()
}

/// Adds labels to those of a resource, of which no lower confidentiality stays and none is there twice.
fn merge(resource: &mut Value, added: Value, (labels, assigned): (Labels, Assigned<'_>)) -> bool {
    let Value::Object(members) = resource else { return false };
    if !members.iter().any(|(name, _)| &**name == "meta") {
        let leading = members.iter().take_while(|(name, _)| matches!(&**name, "resourceType" | "id")).count();
        members.insert(leading, ("meta".into(), Value::Object(Vec::new())));
    }
    let Some((_, Value::Object(meta))) = members.iter_mut().find(|(name, _)| &**name == "meta") else { return false };
    if !meta.iter().any(|(name, _)| &**name == "security") {
        meta.push(("security".into(), Value::Array(Vec::new())));
    }
    let Some((_, Value::Array(own))) = meta.iter_mut().find(|(name, _)| &**name == "security") else { return false };
    let highest = labels.confidentiality().map(Confidentiality::code);
    let text = |coding: &Value, name| coding.member(name).and_then(Value::as_str).map(str::to_owned);
    own.retain(|coding| {
        let is_confidentiality = text(coding, "system").as_deref() == Some(SYSTEM_CONFIDENTIALITY);
        !is_confidentiality || highest.is_none() || text(coding, "code").as_deref() == highest
    });
    let Value::Array(added) = added else { return false };
    for coding in added {
        let same =
            |other: &Value| other.member("system") == coding.member("system") && other.member("code") == coding.member("code");
        if !own.iter().any(same) {
            own.push(coding);
        }
    }
    basis::add(own);
    if let Some((classifier, assigned)) = assigned {
        classifier.mark(own, assigned);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    const R: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R","display":"restricted"}"#;
    const N: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
    const HIV: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}"#;

    fn labels(codes: &[&str]) -> Labels {
        codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap())
    }

    fn taken(text: &str) -> (String, Content) {
        let mut value = json::parse(text.as_bytes()).unwrap();
        let content = take(&mut value, "https://h/fhir");
        (String::from_utf8(value.to_bytes()).unwrap(), content)
    }

    fn stored(security: &str) -> (Vec<u8>, Content) {
        let mut value = json::parse(
            format!(r#"{{"resourceType":"Basic","meta":{{"security":[{security}]}},"code":{{"text":"c"}}}}"#).as_bytes(),
        )
        .unwrap();
        let content = take(&mut value, "https://h/fhir");
        let id = |text| LogicalId::parse(text).unwrap();
        let resource = Resource::from_value(value).unwrap().with_identity(id("b"), &id("v"), 5);
        (resource.to_bytes(), content)
    }

    fn spliced(body: &[u8], security: Security) -> String {
        let id = |text| LogicalId::parse(text).unwrap();
        let (id, version) = (id("b"), id("v"));
        let identity =
            Identity { resource_type: ResourceType::parse("Basic").unwrap(), id: &id, version: &version, last_updated: 5 };
        String::from_utf8(splice(body.to_vec(), identity, security, None).unwrap()).unwrap()
    }

    #[test]
    fn labels_leave_the_body_and_what_is_not_understood_stays() {
        let other = r#"{"system":"urn:x","code":"y"}"#;
        let extended = r#"{"extension":[{"url":"urn:e","valueString":"z"}],"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}"#;
        let (text, content) = taken(&format!(
            r#"{{"resourceType":"Basic","meta":{{"tag":[{HIV}],"security":[{R},{N},{other},{extended},{HIV}]}},"id":"b"}}"#
        ));
        assert_eq!(
            text,
            format!(r#"{{"resourceType":"Basic","meta":{{"tag":[{HIV}],"security":[{other},{extended}]}},"id":"b"}}"#)
        );
        assert_eq!(content.claimed, labels(&["R", "HIV", "PSY"]));
        assert!(content.residual && content.concepts.is_empty());
        let (text, content) = taken(&format!(r#"{{"resourceType":"Basic","meta":{{"security":[{N}]}}}}"#));
        assert_eq!(text, r#"{"resourceType":"Basic"}"#);
        assert!(!content.residual);
    }

    #[test]
    fn a_confidentiality_that_nobody_knows_counts_as_restricted_and_stays() {
        let (text, content) = taken(
            r#"{"resourceType":"Basic","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"X"}]}}"#,
        );
        assert!(text.contains("\"X\"") && content.residual);
        assert_eq!(content.claimed, labels(&["R"]));
    }

    #[test]
    fn codes_are_found_wherever_they_are_and_quantities_are_none() {
        let (_, content) = taken(
            r#"{"resourceType":"Observation","meta":{"tag":[{"system":"t","code":"no"}]},
            "contained":[{"resourceType":"Medication","code":{"coding":[{"system":"s","code":"1"}]}}],
            "code":{"coding":[{"system":"s","code":"2"},{"code":"no"},{"system":"no"}]},"valueQuantity":{"value":1,"system":"u","code":"no"},
            "component":[{"code":{"coding":[{"system":"s","code":"3"}]},"extension":[{"url":"e","valueCoding":{"system":"s","code":"4"}}]}]}"#,
        );
        let codes: Vec<&str> = content.concepts.iter().map(|concept| &*concept.code).collect();
        assert_eq!(codes, ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_contained_resource_with_labels_is_refused_with_its_place() {
        let text = format!(
            r#"{{"resourceType":"Basic","contained":[{{"resourceType":"Basic"}},{{"resourceType":"Basic","meta":{{"security":[{N}]}}}}]}}"#
        );
        let issue = check_contained(&json::parse(text.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(issue.expression.as_deref(), Some("Basic.contained[1].meta.security"));
    }

    #[test]
    fn labels_are_put_in_once_and_nothing_else_changes() {
        let (body, content) = stored(N);
        assert!(!content.residual);
        let security = Security { labels: labels(&["R", "HIV"]), ..Security::NONE };
        let text = spliced(&body, security);
        let without = text.replacen(&format!(r#","security":[{R},{HIV}]"#), "", 1);
        assert_eq!(without.as_bytes(), body, "{text}");
        assert_eq!(spliced(&body, Security::NONE).as_bytes(), body);
        // The way of a body that does not begin as expected gives the same.
        let parsed = spliced(&body, Security { residual: true, ..security });
        assert_eq!(json::parse(parsed.as_bytes()), json::parse(text.as_bytes()));
    }

    #[test]
    fn labels_of_the_body_stay_beside_ours_with_one_confidentiality() {
        let other = r#"{"system":"urn:x","code":"y"}"#;
        let low = r#"{"userSelected":true,"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
        let own = r#"{"userSelected":true,"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}"#;
        let (body, content) = stored(&format!("{other},{low},{own}"));
        assert_eq!(content.claimed, labels(&["N", "HIV"]));
        let text =
            spliced(&body, Security { labels: labels(&["R", "HIV"]), claimed: content.claimed, residual: true, obliged: false });
        assert!(text.contains(&format!(r#""security":[{other},{own},{R}]"#)), "{text}");
    }
}
