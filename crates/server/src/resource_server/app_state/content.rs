//! A state as an app sends it: a `Basic` with a code, perhaps a subject, and extensions of text (SMART App Launch 2.2.0, "Persisting App State", "Create").
//!
//! Whatever else a Basic could have is refused: it would be kept and mean nothing here.

use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_oauth::clients::AppStateCode;
use portcullis_policy::app_state::{AppStateCell, SUBJECTS};

/// The largest state that can be sent, in bytes: 256 KB, as every server of the specification takes.
pub const MAXIMUM_BYTES: usize = 256 * 1024;

/// What a state may have.
const MEMBERS: [&str; 6] = ["resourceType", "id", "meta", "code", "subject", "extension"];
/// What `meta` may have: the server sets the first two anew.
const META: [&str; 4] = ["versionId", "lastUpdated", "profile", "source"];

/// The cell that a state belongs into.
pub fn cell(resource: &Resource, base_url: &str) -> Result<AppStateCell, Issue> {
    let body = resource.body();
    only(body, &MEMBERS, "Basic", "App state has code, subject and extension, and nothing else.")?;
    if let Some(meta) = body.member("meta") {
        only(meta, &META, "Basic.meta", "The meta of app state has a profile and a source at most.")?;
    }
    for (index, extension) in body.member("extension").and_then(Value::as_array).unwrap_or_default().iter().enumerate() {
        let place = format!("Basic.extension[{index}]");
        only(extension, &["url", "valueString"], &place, "Extensions of app state have the type valueString.")?;
    }
    Ok(AppStateCell { code: code(body)?, subject: subject(body, base_url)? })
}

/// Whether a new version is of the same code and subject as the stored one, which an update "SHALL NOT change".
pub fn keeps_place(stored: &[u8], proposed: &Resource) -> bool {
    let Ok(stored) = portcullis_fhir::json::parse(stored) else { return false };
    ["code", "subject"].iter().all(|name| match (stored.member(name), proposed.body().member(name)) {
        (Some(before), Some(after)) => same(before, after),
        (None, None) => true,
        _ => false,
    })
}

/// Whether two values are the same, in whatever order their members stand.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(before), Value::Object(after)) => {
            let kept = |(name, value): &(Box<str>, Value)| right.member(name).is_some_and(|other| same(value, other));
            before.len() == after.len() && before.iter().all(kept)
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| same(before, after))
        }
        (left, right) => left == right,
    }
}

fn code(body: &Value) -> Result<AppStateCode, Issue> {
    let codings = body.member("code").and_then(|code| code.member("coding")).and_then(Value::as_array).unwrap_or_default();
    let wrong = || {
        issue("Basic.code.coding", "App state has exactly one coding, with the system (an absolute URL) and the code of the app.")
    };
    let [coding] = codings else { return Err(wrong()) };
    let text = |name| coding.member(name).and_then(Value::as_str);
    text("system").zip(text("code")).and_then(|(system, code)| AppStateCode::new(system, code)).ok_or_else(wrong)
}

fn subject(body: &Value, base_url: &str) -> Result<Option<LocalReference>, Issue> {
    let Some(subject) = body.member("subject") else { return Ok(None) };
    let reference = subject.member("reference").and_then(Value::as_str).unwrap_or_default();
    absolute(reference, base_url).map(Some).ok_or_else(|| issue("Basic.subject.reference", &wanted_subject(base_url)))
}

/// The subject that an absolute reference names; `None` for every other reference.
pub fn absolute(reference: &str, base_url: &str) -> Option<LocalReference> {
    match Reference::parse(reference, base_url)? {
        Reference::Local(local) if SUBJECTS.contains(&local.resource_type) && reference == format!("{base_url}/{local}") => {
            Some(local)
        }
        _ => None,
    }
}

/// What a subject must look like.
pub fn wanted_subject(base_url: &str) -> String {
    let types = SUBJECTS.map(|resource_type| resource_type.name()).join(", ");
    format!("The subject is an absolute reference to one of {types} of this server, such as {base_url}/Patient/1.")
}

fn only(value: &Value, names: &[&str], place: &str, message: &str) -> Result<(), Issue> {
    let members = value.as_object().unwrap_or_default();
    match members.iter().find(|(name, _)| !names.contains(&&**name)) {
        Some((name, _)) => Err(issue(&format!("{place}.{}", name.trim_start_matches('_')), message)),
        None => Ok(()),
    }
}

fn issue(place: &str, message: &str) -> Issue {
    Issue::error(IssueType::Invalid, message.to_owned()).at(place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://ehr.example/fhir";

    fn read(body: &str) -> Result<AppStateCell, Issue> {
        cell(&Resource::parse(body.as_bytes()).unwrap(), BASE)
    }

    fn basic(more: &str) -> String {
        format!(r#"{{"resourceType":"Basic","code":{{"coding":[{{"system":"https://app.example","code":"keys"}}]}}{more}}}"#)
    }

    #[test]
    fn what_state_does_not_have_is_refused_with_its_place() {
        let coding = r#"{"system":"https://app.example","code":"keys"}"#;
        let of_codings = |codings: &str| format!(r#"{{"resourceType":"Basic","code":{{"coding":[{codings}]}}}}"#);
        for (body, place) in [
            (basic(r#","author":{"reference":"Patient/1"}"#), "Basic.author"),
            (basic(r#","created":"2020-01-01""#), "Basic.created"),
            (basic(r#","identifier":[{"value":"x"}]"#), "Basic.identifier"),
            (basic(r#","modifierExtension":[{"url":"https://app.example/x","valueString":"x"}]"#), "Basic.modifierExtension"),
            (basic(r#","meta":{"tag":[{"code":"x"}]}"#), "Basic.meta.tag"),
            (basic(r#","extension":[{"url":"https://app.example/x","valueInteger":1}]"#), "Basic.extension[0].valueInteger"),
            (
                basic(
                    r#","extension":[{"url":"https://app.example/x","valueString":"x"},{"url":"https://app.example/y","extension":[{"url":"z","valueString":"z"}]}]"#,
                ),
                "Basic.extension[1].extension",
            ),
            (basic(r#","subject":{"reference":"Patient/1"}"#), "Basic.subject.reference"),
            (basic(r#","subject":{"reference":"https://ehr.example/fhir/Observation/1"}"#), "Basic.subject.reference"),
            (basic(r#","subject":{"reference":"https://elsewhere.example/fhir/Patient/1"}"#), "Basic.subject.reference"),
            (basic(r#","subject":{"reference":"https://ehr.example/fhir/Patient/1/_history/2"}"#), "Basic.subject.reference"),
            (basic(r#","subject":{"display":"Ann"}"#), "Basic.subject.reference"),
            (of_codings(&format!("{coding},{coding}")), "Basic.code.coding"),
            (of_codings(r#"{"system":"app","code":"keys"}"#), "Basic.code.coding"),
            (of_codings(r#"{"code":"keys"}"#), "Basic.code.coding"),
            (r#"{"resourceType":"Basic","code":{"text":"keys"}}"#.to_owned(), "Basic.code.coding"),
        ] {
            assert_eq!(read(&body).unwrap_err().expression.as_deref(), Some(place), "{body}");
        }
    }

    #[test]
    fn a_state_lies_where_its_code_and_subject_say() {
        let subject = r#","subject":{"reference":"https://ehr.example/fhir/Practitioner/1","display":"Dr"},"extension":[{"url":"https://app.example/x","valueString":"{}"}]"#;
        let found = read(&basic(subject)).unwrap();
        assert_eq!(
            (found.code.to_string(), found.subject),
            ("https://app.example|keys".into(), LocalReference::parse("Practitioner/1"))
        );
        assert_eq!(read(&basic("")).unwrap().subject, None);
    }

    #[test]
    fn code_and_subject_stay_as_they_were_whatever_the_order_of_members() {
        let keeps = |after: &str| keeps_place(basic("").as_bytes(), &Resource::parse(after.as_bytes()).unwrap());
        assert!(keeps(r#"{"resourceType":"Basic","code":{"coding":[{"code":"keys","system":"https://app.example"}]}}"#));
        assert!(!keeps(r#"{"resourceType":"Basic","code":{"coding":[{"code":"key","system":"https://app.example"}]}}"#));
        assert!(!keeps(
            r#"{"resourceType":"Basic","code":{"coding":[{"code":"keys","system":"https://app.example","display":"x"}]}}"#
        ));
        assert!(!keeps(&basic(r#","subject":{"reference":"https://ehr.example/fhir/Patient/1"}"#)));
    }
}
