use std::path::{Path, PathBuf};

use super::*;

fn refusals(text: &str) -> Vec<String> {
    let issues = Resource::parse(text.as_bytes()).err().unwrap_or_default();
    issues.into_iter().map(|issue| format!("{}: {}", issue.expression.unwrap_or_default(), issue.diagnostics)).collect()
}

fn observation(members: &str) -> String {
    format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}}{members}}}"#)
}

#[test]
fn a_well_formed_resource_is_accepted_as_it_is() {
    let text = observation(
        r#","id":"a","valueQuantity":{"value":1.10,"_value":{"id":"b"}},"_status":{"extension":[{"url":"u","valueCode":"c"}]}"#,
    );
    let resource = Resource::parse(text.as_bytes()).unwrap();
    assert_eq!(resource.resource_type(), ResourceType::OBSERVATION);
    assert_eq!(resource.id().map(LogicalId::as_str), Some("a"));
    assert_eq!(String::from_utf8(resource.to_bytes()).unwrap(), text);
}

#[test]
fn structural_faults_are_refused_at_their_place() {
    let quantity = |members: &str| {
        observation(&format!(r#","component":[{{"code":{{"text":"a"}}}},{{"code":{{"text":"b"}},"valueQuantity":{members}}}]"#))
    };
    for (text, expected) in [
        (quantity(r#"{"value":"1"}"#), "Observation.component[1].valueQuantity.value: expected a number, not a string"),
        (quantity("{}"), "Observation.component[1].valueQuantity: an object cannot be empty"),
        (quantity("[]"), "Observation.component[1].valueQuantity: `value[x]` occurs at most once, so it cannot be an array"),
        (quantity("null"), "Observation.component[1].valueQuantity: Quantity is a JSON object, not null"),
        (
            quantity(r#"{"vlaue":1}"#),
            "Observation.component[1].valueQuantity.vlaue: Quantity has no element `vlaue`; did you mean `value`?",
        ),
        (
            observation(r#","componentt":[]"#),
            "Observation.componentt: Observation has no element `componentt`; did you mean `component`?",
        ),
        (observation(r#","zzzzzzzzzz":1"#), "Observation.zzzzzzzzzz: Observation has no element `zzzzzzzzzz`"),
        (
            observation(r#","_subject":{"id":"x"}"#),
            "Observation._subject: Observation has no element `_subject`; did you mean `subject`?",
        ),
        (observation(r#","component":[]"#), "Observation.component: an array cannot be empty"),
        (observation(r#","component":{}"#), "Observation.component: the element repeats, so it must be an array, not an object"),
        (
            observation(r#","component":[null]"#),
            "Observation.component[0]: null is allowed only where the `_` array has an object at the same place",
        ),
        (
            observation(r#","valueString":"a","valueInteger":1"#),
            "Observation.valueInteger: only one of `value[x]` may be present, and `valueString` is too",
        ),
        (
            observation(r#","valueString":"a","_valueInteger":{"id":"x"}"#),
            "Observation._valueInteger: only one of `value[x]` may be present, and `valueString` is too",
        ),
        (
            observation(r#","effectiveDateTime":"2024-02-30""#),
            "Observation.effectiveDateTime: expected a date that exists: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz",
        ),
        (observation(r#","id":"a b""#), "Observation.id: expected an id: 1 to 64 of A-Z a-z 0-9 - ."),
        (
            observation(r#","contained":[{"resourceType":"Patient","name":"x"}]"#),
            "Observation.contained[0].name: the element repeats, so it must be an array, not a string",
        ),
        (observation(r#","contained":[{"id":"x"}]"#), "Observation.contained[0].resourceType: resourceType is missing"),
        (
            observation(r#","contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"x"}]}]"#),
            "Observation.contained[0].contained: a contained resource cannot contain resources (invariant dom-2)",
        ),
        (
            r#"{"resourceType":"Observation","status":"final"}"#.to_owned(),
            "Observation.code: the required element `code` is missing",
        ),
        (
            r#"{"resourceType":"Patint"}"#.to_owned(),
            "resourceType: `Patint` is not a resource type of FHIR R4; did you mean `Patient`?",
        ),
        (r#"{"resourceType":"Resource"}"#.to_owned(), "resourceType: `Resource` is not a resource type of FHIR R4"),
        (r#"{"resourceType":1}"#.to_owned(), "resourceType: resourceType must be a string"),
        ("{}".to_owned(), "resourceType: resourceType is missing"),
        ("[]".to_owned(), ": a resource is a JSON object, not an array"),
        ("{".to_owned(), "Resource: not valid JSON: line 1, column 2: expected a member name in double quotes"),
    ] {
        assert_eq!(refusals(&text), [expected], "{text}");
    }
}

#[test]
fn nulls_and_siblings_of_repeated_primitives_must_fit_together() {
    let given = |members: &str| refusals(&format!(r#"{{"resourceType":"Patient","name":[{{{members}}}]}}"#));
    let extension = r#"{"extension":[{"url":"u","valueString":"v"}]}"#;
    assert!(given(&format!(r#""given":["a",null],"_given":[null,{extension}]"#)).is_empty());
    assert!(given(&format!(r#""_given":[{extension}]"#)).is_empty());
    for (members, place) in [
        (r#""given":["a",null]"#.to_owned(), "Patient.name[0].given[1]"),
        (format!(r#""given":["a",null],"_given":[{extension},null]"#), "Patient.name[0].given[1]"),
        (format!(r#""given":["a"],"_given":[null,{extension}]"#), "Patient.name[0].given"),
        (r#""_given":[null]"#.to_owned(), "Patient.name[0]._given[0]"),
        (r#""given":["a"],"_given":{}"#.to_owned(), "Patient.name[0]._given"),
        (r#""given":["a"],"_given":[{"value":1}]"#.to_owned(), "Patient.name[0]._given[0].value"),
        (r#""family":["a"]"#.to_owned(), "Patient.name[0].family"),
        (r#""family":null"#.to_owned(), "Patient.name[0].family"),
        (r#""_family":{}"#.to_owned(), "Patient.name[0]._family"),
    ] {
        let issues = given(&members);
        assert!(issues.len() == 1 && issues[0].starts_with(&format!("{place}: ")), "{members}: {issues:?}");
    }
}

#[test]
fn a_required_primitive_may_be_given_by_its_extension_alone() {
    let text =
        r#"{"resourceType":"Observation","_status":{"extension":[{"url":"u","valueCode":"unknown"}]},"code":{"text":"x"}}"#;
    assert!(refusals(text).is_empty());
}

#[test]
fn resources_inside_bundles_and_parameters_are_checked() {
    let bundle = |resource: &str| {
        refusals(&format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{resource}}}]}}"#))
    };
    assert!(bundle(r#"{"resourceType":"Patient","active":true,"contained":[{"resourceType":"Patient","id":"x"}]}"#).is_empty());
    assert_eq!(
        bundle(r#"{"resourceType":"Patient","active":1}"#),
        ["Bundle.entry[0].resource.active: expected true or false, not a number"]
    );
    let outcome = r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200","outcome":{"resourceType":"Patient","active":true}}}]}"#;
    assert_eq!(refusals(outcome), ["Bundle.entry[0].response.outcome: expected the resource type OperationOutcome"]);
}

#[test]
fn unsafe_narrative_is_refused() {
    let patient = |div: &str| {
        format!(
            r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">{div}</div>"}}}}"#
        )
    };
    assert!(refusals(&patient("<p>x</p>")).is_empty());
    assert_eq!(
        refusals(&patient("<script>x</script>")),
        ["Patient.text.div: the element `script` is not allowed in a narrative"]
    );
    assert_eq!(
        refusals(&patient("<p onload='x'>x</p>")),
        ["Patient.text.div: the attribute `onload` is not allowed in a narrative"]
    );
    assert_eq!(
        refusals(&patient("<a href='javascript:x'>x</a>")),
        ["Patient.text.div: the attribute `href` of the narrative has a value that is not allowed"]
    );
}

#[test]
fn issues_are_limited_and_do_not_repeat_long_or_control_text() {
    let members: String = (0..100).map(|number| format!(r#","x{number}":1"#)).collect();
    assert_eq!(refusals(&observation(&members)).len(), Resource::MAXIMUM_ISSUES);
    let name = "x".repeat(10_000);
    assert!(refusals(&observation(&format!(r#","{name}\u0007":1"#)))[0].len() < 400);
    assert!(!refusals(&observation(r#","a\u0007b":1"#))[0].contains('\u{7}'));
}

#[test]
fn deep_trees_that_were_built_and_not_parsed_are_refused() {
    let mut extension = Value::object([("url", "u".into()), ("valueString", "v".into())]);
    for _ in 0..500 {
        extension = Value::object([("url", "u".into()), ("extension", Value::array([extension]))]);
    }
    let patient = Value::object([("resourceType", "Patient".into()), ("extension", Value::array([extension]))]);
    assert_eq!(Resource::from_value(patient).unwrap_err()[0].diagnostics, "elements are nested too deeply");
}

#[test]
fn identity_replaces_what_the_server_assigns_and_keeps_the_rest() {
    let text = observation(
        r#","id":"old","meta":{"versionId":"9","_versionId":{"id":"x"},"lastUpdated":"2000-01-01T00:00:00Z","profile":["p"],"tag":[{"code":"t"}]}"#,
    );
    let (id, version) = (LogicalId::parse("new").unwrap(), LogicalId::parse("v2").unwrap());
    let resource = Resource::parse(text.as_bytes()).unwrap().with_identity(id.clone(), &version, 1_795_255_200_000);
    assert_eq!(resource.id(), Some(&id));
    assert_eq!(
        String::from_utf8(resource.to_bytes()).unwrap(),
        r#"{"resourceType":"Observation","id":"new","meta":{"versionId":"v2","lastUpdated":"2026-11-21T10:00:00.000Z","profile":["p"],"tag":[{"code":"t"}]},"status":"final","code":{"text":"x"}}"#
    );
    assert_eq!(Resource::parse(&resource.to_bytes()).unwrap(), resource);
    let bare = Resource::parse(observation("").as_bytes()).unwrap().with_identity(id, &version, 0);
    assert_eq!(bare.body().member("meta").unwrap().as_object().unwrap().len(), 2);
}

/// Published examples that break the specification, each with the rule.
const REFUSED_EXAMPLES: [(&str, &str); 0] = [];

fn published_examples() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let mut files: Vec<PathBuf> = ["us-core/examples-800", "carin-bb/examples-200"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(data.join(folder)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

#[test]
fn published_examples_are_accepted_and_keep_their_meaning() {
    let files = published_examples();
    if files.is_empty() {
        eprintln!("skipped: ../shared/data has no published examples");
        return;
    }
    assert!(files.len() >= 250);
    let mut surprises = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let expected = REFUSED_EXAMPLES.iter().find(|(refused, _)| *refused == name).map(|(_, reason)| *reason);
        match (Resource::parse(&bytes), expected) {
            (Ok(resource), None) => {
                assert_eq!(json::parse(&resource.to_bytes()).unwrap(), json::parse(&bytes).unwrap(), "{name}");
                let index = crate::index::extract(&resource, "https://example.org/fhir");
                assert!(!index.is_empty(), "{name}");
            }
            (Err(issues), Some(reason)) if issues[0].diagnostics == reason => {}
            (result, expected) => surprises.push(format!("{name}: {:?}, expected {expected:?}", result.map(|_| ()))),
        }
    }
    assert!(surprises.is_empty(), "{} surprises: {surprises:#?}", surprises.len());
}
