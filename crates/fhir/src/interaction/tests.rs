//! Whole requests, refusals first.

use proptest::prelude::*;

use super::*;
use crate::search::Handling;

const CONTEXT: Context<'static> = Context { base_url: "https://fhir.example/r4", now_ms: 0 };

const JSON: Headers<'static> = Headers {
    accept: None,
    content_type: Some("application/fhir+json"),
    if_match: None,
    if_none_match: None,
    if_none_exist: None,
    if_modified_since: None,
    prefer: None,
};

const PATIENT: &[u8] = br#"{"resourceType":"Patient","id":"1"}"#;

/// Parses `METHOD path?query`.
fn send(line: &str, headers: Headers<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let (method, address) = line.split_once(' ').unwrap();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    parse(&RequestLine { method: Method::parse(method), path, query, headers, body }, &CONTEXT)
}

fn refusal(line: &str, headers: Headers<'_>, body: &[u8]) -> Refusal {
    match send(line, headers, body) {
        Ok(request) => panic!("{line} is accepted: {request:?}"),
        Err(refusal) => {
            let is_clear = |issue: &crate::outcome::Issue| !issue.diagnostics.is_empty() && issue.expression.is_some();
            assert!(!refusal.issues.is_empty() && refusal.issues.iter().all(is_clear), "{line}: {refusal:?}");
            refusal
        }
    }
}

fn accepted(line: &str, headers: Headers<'_>, body: &[u8]) -> Request {
    send(line, headers, body).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}

#[test]
fn unknown_paths_and_types_are_not_found() {
    for line in [
        "GET /patient",
        "GET /Foo/1",
        "GET /Resource/1",
        "GET /Patient/",
        "GET /Patient//_history",
        "GET /Patient/a_b",
        "GET /Patient/1/",
        "GET //Patient",
        "GET /Observation/1/Condition",
        "GET /Observation/1/*",
        "POST /Observation/1/_search",
        "GET /Patient/1/Organization",
        "GET /Patient/1/AuditEvent",
        "GET /Patient/1/Nothing",
        "GET /Patient/a_b/Observation",
        "GET /Patient/a_b/*",
        "GET /Encounter/1/Patient",
        "GET /Patient/1/Observation/2",
        "GET /Patient/1/Observation/*",
        "POST /Patient/1/Organization/_search",
        "GET /Patient/1/*/",
        "GET /Patient/1/_history/",
        "GET /Patient/1/_history/a/b",
        "GET /Observation/1/$everything",
        "GET /Patient/$everything",
        "GET /Patient/a_b/$everything",
        "GET /Patient/1/$everything/1",
        "POST /Patient/$match",
        "POST /$process-message",
        "GET /$export",
        "GET /_history",
        "GET /Patient/_history",
        "GET /metadata/x",
        "GET /Patient%2F1",
        "GET /Patient/1%2F..%2F2",
        "GET /Patient/%31",
        "GET /%50atient/1",
        "GET /%6detadata",
        "GET /metadata/",
        "GET /Patient/.",
        "GET /Patient/..",
        "PUT /Patient/..",
        "GET /Patient/%2e%2e",
        "GET /Patient/../Patient/1",
        "GET /Patient//1",
        "GET //Patient/1",
        "GET //",
        "GET /Patient/1//_history/1",
        "GET /Patient/1/%5Fhistory",
    ] {
        assert_eq!(refusal(line, JSON, PATIENT).status, 404, "{line}");
    }
}

#[test]
fn a_path_with_a_broken_escape_is_refused() {
    for line in ["GET /Patient/%", "GET /Patient/%FF", "GET /%00", "GET /Patient/1%0"] {
        assert_eq!(refusal(line, JSON, b"").status, 400, "{line}");
    }
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    for (line, allow) in [
        ("DELETE /", "GET, HEAD, POST"),
        ("PUT /?_type=Patient", "GET, HEAD, POST"),
        ("GET /_search", "POST"),
        ("POST /Patient/1/Observation", "GET, HEAD"),
        ("DELETE /Patient/1/*", "GET, HEAD"),
        ("GET /Patient/1/_search", "POST"),
        ("GET /Patient/1/Observation/_search", "POST"),
        ("DELETE /Patient/1/$everything", "GET, HEAD, POST"),
        ("POST /metadata", "GET, HEAD"),
        ("PATCH /AuditEvent/1", "GET, HEAD"),
        ("PUT /AuditEvent?_id=1", "GET, HEAD"),
        ("POST /Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("TRACE /Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("get /Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET /Patient/_search", "POST"),
        ("DELETE /Patient/1/_history", "GET, HEAD"),
        ("DELETE /Patient/1/_history/1", "GET, HEAD"),
        ("PUT /Patient/1/_history/1", "GET, HEAD"),
        ("POST /AuditEvent", "GET, HEAD"),
        ("PUT /AuditEvent/1", "GET, HEAD"),
        ("DELETE /AuditEvent/1", "GET, HEAD"),
        ("POST /OperationOutcome", "GET, HEAD"),
        ("POST /Parameters", "GET, HEAD"),
    ] {
        let refusal = refusal(line, JSON, PATIENT);
        assert_eq!((refusal.status, refusal.allow), (405, Some(allow)), "{line}");
    }
}

#[test]
fn json_and_xml_are_sent_and_read_and_nothing_else_is() {
    let accept = |accept| Headers { accept: Some(accept), ..JSON };
    for (line, headers) in [
        ("GET /Patient/1", accept("application/fhir+xml")),
        ("GET /Patient/1?_format=xml", JSON),
        ("GET /Patient/1?_format=json", accept("text/turtle")),
        ("GET /Patient?_format=xml", accept("text/turtle")),
        ("GET /metadata?_format=text/xml", JSON),
    ] {
        accepted(line, headers, b"");
    }
    assert_eq!(refusal("GET /Patient/1", accept("text/turtle"), b"").status, 406);
    assert_eq!(refusal("GET /Patient/1?_format=ttl", JSON, b"").status, 406);
    assert_eq!(refusal("GET /Patient?_format=json&_format=ttl", JSON, b"").status, 406);
    assert_eq!(refusal("GET /Patient?_format=json&_format=xml", JSON, b"").status, 400);
    assert_eq!(refusal("GET /Patient/1?_format=json&_format=xml", JSON, b"").status, 400);
    assert_eq!(refusal("GET /metadata?_format=ttl", JSON, b"").status, 406);
    for content_type in [None, Some("text/plain"), Some("text/turtle"), Some("application/x-www-form-urlencoded")] {
        let headers = Headers { content_type, ..JSON };
        assert_eq!(refusal("POST /Patient", headers, PATIENT).status, 415, "{content_type:?}");
        assert_eq!(refusal("PUT /Patient/1", headers, PATIENT).status, 415, "{content_type:?}");
        assert_eq!(refusal("POST /Patient", headers, b"").status, 415, "{content_type:?}");
    }
    let xml = Headers { content_type: Some("application/fhir+xml"), ..JSON };
    let body = b"<Patient xmlns='http://hl7.org/fhir'><id value='1'/></Patient>";
    accepted("POST /Patient", xml, body);
    accepted("PUT /Patient/1", xml, body);
    assert_eq!(refusal("POST /Observation", xml, body).issues[0].expression.as_deref(), Some("resourceType"));
    assert_eq!(refusal("POST /Patient", xml, b"").issues[0].expression.as_deref(), Some("Patient"));
    assert_eq!(refusal("POST /Patient", xml, PATIENT).status, 400, "JSON that says it is XML");
    assert_eq!(refusal("POST /Patient", JSON, body).status, 400, "XML that says it is JSON");
    let parameters = b"<Parameters xmlns='http://hl7.org/fhir'><parameter><name value='_count'/><valueInteger value='1'/></parameter></Parameters>";
    accepted("POST /Patient/1/$everything", xml, parameters);
    assert_eq!(refusal("POST /Patient/1/$everything", xml, b"<x/>").issues[0].expression.as_deref(), Some("Parameters"));
    for line in ["POST /Patient/_search", "POST /_search", "POST /Patient/1/_search", "POST /Patient/1/Observation/_search"] {
        assert_eq!(refusal(line, JSON, b"name=a").status, 415, "{line}");
    }
    let form = Headers { content_type: Some("application/x-www-form-urlencoded"), ..JSON };
    assert_eq!(refusal("POST /Patient/1/$everything", form, b"_count=1").status, 415);
}

#[test]
fn a_patch_is_a_json_patch_and_other_kinds_are_refused_by_name() {
    let of = |content_type| Headers { content_type, ..JSON };
    let fhirpath = br#"{"resourceType":"Parameters"}"#;
    for content_type in [Some("application/fhir+json"), Some("application/fhir+xml; charset=utf-8")] {
        let refusal = refusal("PATCH /Patient/1", of(content_type), fhirpath);
        assert!(refusal.status == 415 && refusal.issues[0].diagnostics.contains("FHIRPath"), "{refusal:?}");
    }
    for content_type in [None, Some("application/json"), Some("application/xml-patch+xml"), Some("text/plain")] {
        assert_eq!(refusal("PATCH /Patient/1", of(content_type), b"[]").status, 415, "{content_type:?}");
    }
    let json_patch = of(Some("application/json-patch+json; charset=utf-8"));
    for (line, body, status) in [
        ("PATCH /Patient/1", b"{}".as_slice(), 400),
        ("PATCH /Patient/1", b"", 400),
        ("PATCH /Patient", b"[]", 400),
        ("PATCH /Patient?unknown=1", b"[]", 400),
        ("PATCH /Patient?identifier=1&_sort=name", b"[]", 400),
        ("PATCH /Patient/a_b", b"[]", 404),
    ] {
        assert_eq!(refusal(line, json_patch, body).status, status, "{line}");
    }
    let too_long = vec![b' '; crate::patch::MAXIMUM_LENGTH + 1];
    assert_eq!(refusal("PATCH /Patient/1", json_patch, &too_long).status, 413);
    let matched = Headers { if_match: Some("W/\"7\""), ..json_patch };
    let Interaction::Patch(patch) = accepted("PATCH /Patient/1", matched, b"[]").interaction else { panic!("no patch") };
    assert_eq!((patch.id.as_str(), patch.if_match.unwrap().as_str()), ("1", "7"));
    let patch = accepted("PATCH /Patient?identifier=1", json_patch, br#"[{"op":"remove","path":"/active"}]"#).interaction;
    assert!(matches!(patch, Interaction::ConditionalPatch(_)));
}

#[test]
fn a_patch_in_a_bundle_is_a_binary() {
    let send = |resource: &str| {
        let request =
            RequestLine { method: Method::Patch, path: "/Patient/1", query: "", headers: Headers::default(), body: b"" };
        parse_entry(&request, crate::json::parse(resource.as_bytes()).ok(), &CONTEXT)
    };
    for (resource, status, place) in [
        ("", 400, "Binary"),
        (r#"{"resourceType":"Patient"}"#, 400, "Binary"),
        (r#"{"resourceType":"Parameters"}"#, 415, "Parameters"),
        (r#"{"resourceType":"Binary","contentType":"application/fhir+json","data":"W10="}"#, 415, "Binary.contentType"),
        (r#"{"resourceType":"Binary","contentType":"application/json-patch+json"}"#, 400, "Binary"),
        (r#"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"!"}"#, 400, "Binary"),
        (r#"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"e30="}"#, 400, "Binary.data"),
    ] {
        let refusal = send(resource).unwrap_err();
        assert_eq!((refusal.status, refusal.issues[0].expression.as_deref()), (status, Some(place)), "{resource}");
    }
    let binary = r#"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="}"#;
    assert!(matches!(send(binary).unwrap().interaction, Interaction::Patch(_)));
}

#[test]
fn a_compartment_is_searched_by_address_and_by_form() {
    let form = Headers { content_type: Some("application/x-www-form-urlencoded"), ..Headers::default() };
    let posted = accepted("POST /Patient/p/Observation/_search?code=a", form, b"_count=2").interaction;
    let fetched = accepted("GET /Patient/p/Observation?code=a&_count=2", Headers::default(), b"").interaction;
    let (Interaction::Search(posted), Interaction::Search(fetched)) = (posted, fetched) else { panic!("no search") };
    assert_eq!(posted, fetched);
    assert_eq!(posted.self_link("https://h"), "https://h/Patient/p/Observation?code=a&_count=2");
    for (get, post) in [("GET /Patient/p/*", "POST /Patient/p/_search"), ("GET /?_type=Patient", "POST /_search?_type=Patient")] {
        let (get, post) = (accepted(get, Headers::default(), b"").interaction, accepted(post, form, b"").interaction);
        let (Interaction::SearchOfTypes(get), Interaction::SearchOfTypes(post)) = (get, post) else { panic!("one type") };
        assert_eq!(get, post);
    }
    let body = br#"{"resourceType":"Parameters","parameter":[{"name":"start","valueDate":"2020"}]}"#;
    let posted = accepted("POST /Patient/p/$everything", JSON, body).interaction;
    let fetched = accepted("GET /Patient/p/$everything?start=2020", Headers::default(), b"").interaction;
    let (Interaction::SearchOfTypes(posted), Interaction::SearchOfTypes(fetched)) = (posted, fetched) else { panic!("one type") };
    assert_eq!(posted, fetched);
    accepted("POST /Encounter/e/$everything", Headers::default(), b"");
    assert_eq!(refusal("POST /Patient/p/$everything", JSON, b"{}").status, 400);
}

#[test]
fn broken_bodies_and_conditions_are_refused() {
    let long_id = format!("PUT /Patient/{}", "x".repeat(65));
    let cases: Vec<(&str, Headers<'_>, &[u8])> = vec![
        ("POST /Patient", JSON, b""),
        ("POST /Patient", JSON, b"{"),
        ("POST /Patient", JSON, b"[]"),
        ("POST /Patient", JSON, br#"{"resourceType":"Observation"}"#),
        ("POST /Patient", JSON, br#"{"resourceType":"Foo"}"#),
        ("POST /", JSON, PATIENT),
        ("POST /Patient", Headers { if_none_exist: Some("unknown=1"), ..JSON }, PATIENT),
        ("POST /Patient", Headers { if_none_exist: Some(""), ..JSON }, PATIENT),
        ("PUT /Patient", JSON, PATIENT),
        ("PUT /Patient?unknown=1", JSON, PATIENT),
        ("DELETE /Patient", JSON, b""),
        ("DELETE /Patient?unknown=1", JSON, b""),
        ("DELETE /Patient?identifier=1&_include=*", JSON, b""),
        ("PUT /Patient/2", JSON, PATIENT),
        ("PUT /Patient/1", JSON, br#"{"resourceType":"Patient"}"#),
        ("PUT /Patient/a_b", JSON, PATIENT),
        (&long_id, JSON, PATIENT),
        ("PUT /Patient/1", Headers { if_match: Some("1"), ..JSON }, PATIENT),
        ("PUT /Patient/1", Headers { if_match: Some("*"), ..JSON }, PATIENT),
        ("PUT /Patient/1", Headers { if_none_match: Some("*"), ..JSON }, PATIENT),
        ("DELETE /Patient/1", Headers { if_match: Some("W/\"\""), ..JSON }, b""),
        ("GET /Patient/1?_summary=count", JSON, b""),
        ("GET /Patient/1?_summary=true&_elements=name", JSON, b""),
        ("GET /Patient/1?_summary=true&_summary=true", JSON, b""),
        ("GET /Patient/1?_elements=nothing", JSON, b""),
        ("GET /Patient/1?_elements=%", JSON, b""),
        ("GET /Patient/1/_history?_count=x", JSON, b""),
        ("GET /Patient/1/_history?_since=x", JSON, b""),
        ("GET /Patient?birthdate=x", JSON, b""),
    ];
    for (line, headers, body) in cases {
        assert_eq!(refusal(line, headers, body).status, 400, "{line} {headers:?}");
    }
}

#[test]
fn parameters_that_an_interaction_does_not_have_follow_the_handling() {
    let strict = Headers { prefer: Some("handling=strict"), ..JSON };
    for (line, body) in [
        ("GET /metadata?mode=full", b"".as_slice()),
        ("GET /Patient/1?name=a", b""),
        ("GET /Patient/1/_history/2?_count=1", b""),
        ("GET /Patient/1/_history?_at=2024", b""),
        ("POST /Patient?name=a", PATIENT),
        ("PUT /Patient/1?name=a", PATIENT),
        ("DELETE /Patient/1?_cascade=true", b""),
    ] {
        assert_eq!(refusal(line, strict, body).status, 400, "{line}");
        assert_eq!(accepted(line, JSON, body).ignored.len(), 1, "{line}");
    }
}

#[test]
fn reads_know_their_id_shape_and_condition() {
    let headers = Headers { if_none_match: Some("W/\"a\", \"b\""), ..Headers::default() };
    let request = accepted("HEAD /Patient/1?_elements=name&_format=json", headers, b"");
    let Interaction::Read(read) = request.interaction else { panic!("no read") };
    assert_eq!((read.resource_type, read.id.as_str()), (ResourceType::PATIENT, "1"));
    assert_eq!(request.shape, Shape::Elements(vec!["name".into()]));
    assert_eq!(request.if_none_match, IfNoneMatch::Versions(["a", "b"].map(|tag| LogicalId::parse(tag).unwrap()).to_vec()));
    let any = Headers { if_none_match: Some(" * "), ..Headers::default() };
    assert_eq!(accepted("GET /Patient/1", any, b"").if_none_match, IfNoneMatch::Any);
    let request = accepted("GET Patient/1/_history/2", Headers::default(), b"");
    let Interaction::VersionRead(read) = request.interaction else { panic!("no version read") };
    assert_eq!((read.id.as_str(), read.version.as_str()), ("1", "2"));
    assert!(matches!(accepted("GET /metadata", Headers::default(), b"").interaction, Interaction::Capabilities));
}

#[test]
fn a_history_has_a_bounded_count_a_start_and_a_place() {
    let line = "GET /Patient/1/_history?_count=99999999&_since=1970-01-01T00:00:01Z&_cursor=c";
    let Interaction::InstanceHistory(history) = accepted(line, JSON, b"").interaction else { panic!("no history") };
    assert_eq!((history.count, history.since, history.cursor.as_deref()), (SearchQuery::MAXIMUM_COUNT, Some(1000), Some("c")));
}

#[test]
fn a_search_form_joins_address_and_body() {
    let form = Headers { content_type: Some("application/x-www-form-urlencoded"), ..Headers::default() };
    let posted = accepted("POST /Patient/_search?name=a", form, b"gender=male&_count=2").interaction;
    let fetched = accepted("GET /Patient?name=a&gender=male&_count=2", Headers::default(), b"").interaction;
    let (Interaction::Search(posted), Interaction::Search(fetched)) = (posted, fetched) else { panic!("no search") };
    assert_eq!(posted, fetched);
    assert_eq!(posted.filters.len(), 2);
    assert_eq!(refusal("POST /Patient/_search?_count=1", form, b"_count=1").status, 400);
}

#[test]
fn writes_carry_the_resource_and_the_version_that_must_be_current() {
    let headers = Headers { if_match: Some("W/\"7\""), prefer: Some("return=minimal, handling=strict"), ..JSON };
    let request = accepted("PUT /Patient/1", headers, PATIENT);
    assert_eq!(request.preferences, Preferences { body: ReturnPreference::Minimal, handling: Handling::Strict });
    let Interaction::Update(update) = request.interaction else { panic!("no update") };
    assert_eq!((update.id.as_str(), update.if_match.unwrap().as_str()), ("1", "7"));
    let Interaction::Delete(delete) = accepted("DELETE /Patient/1", headers, b"").interaction else { panic!("no delete") };
    assert_eq!(delete.if_match.unwrap().as_str(), "7");
    // The id in the body of a creation means nothing: the server chooses.
    let Interaction::Create(create) = accepted("POST /Patient", JSON, PATIENT).interaction else { panic!("no creation") };
    assert_eq!(create.resource.resource_type(), ResourceType::PATIENT);
}

#[test]
fn conditional_writes_carry_criteria_that_are_understood_whole() {
    let headers = Headers { if_none_exist: Some("identifier=http://x|1"), ..JSON };
    let Interaction::Create(create) = accepted("POST /Patient", headers, PATIENT).interaction else { panic!("no creation") };
    assert_eq!(create.condition.unwrap().filters.len(), 1);
    let line = "PUT /Patient?identifier=1&active=true";
    let Interaction::ConditionalUpdate(update) = accepted(line, JSON, PATIENT).interaction else { panic!("no update") };
    assert_eq!((update.condition.filters.len(), update.resource.id().unwrap().as_str()), (2, "1"));
    let line = "DELETE /Patient?identifier=1";
    assert!(matches!(accepted(line, JSON, b"").interaction, Interaction::ConditionalDelete(_)));
}

proptest! {
    #[test]
    fn no_request_panics(
        method in "GET|POST|PUT|DELETE|PATCH",
        path in "(/(Patient|_history|_search|metadata|1|%2|\\PC{0,5})){0,5}",
        query in "\\PC{0,30}",
        header in "\\PC{0,30}",
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let header = Some(header.as_str());
        let headers = Headers { accept: header, content_type: Some("application/json"), if_match: header, if_none_match: None, if_none_exist: header, if_modified_since: None, prefer: header };
        let request = RequestLine { method: Method::parse(&method), path: &path, query: &query, headers, body: &body };
        if let Err(refusal) = parse(&request, &CONTEXT) {
            prop_assert!((400..=415).contains(&refusal.status));
        }
    }
}
