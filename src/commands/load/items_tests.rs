use super::*;

fn of(text: &str) -> Vec<Item> {
    items(Text { line: 1, bytes: text.as_bytes().to_vec() })
}

fn resources(text: &str) -> Vec<(Place, Option<String>, Value)> {
    let found = of(text).into_iter().filter_map(|item| match item {
        Item::Resource(place, resource) => Some((place, resource.id, json::parse(resource.resource.get().as_bytes()).unwrap())),
        _ => None,
    });
    found.collect()
}

fn refusals(text: &str) -> Vec<(u64, Option<String>, String)> {
    let found = of(text).into_iter().filter_map(|item| match item {
        Item::Refused(place, reasons) => Some((place.line, reasons[0].path.clone(), reasons[0].message.clone())),
        _ => None,
    });
    found.collect()
}

const TRANSACTION: &str = r#"{
  "resourceType": "Bundle", "type": "transaction",
  "note": {"entry": [{}]},
  "entry": [
    {"fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "request": {"method": "POST", "url": "Patient"},
     "resource": {"resourceType": "Patient"}},
    {"fullUrl": "urn:uuid:11111111-1cbf-4d64-b04d-cd9187a4c6e0", "request": {"method": "POST", "url": "Observation"},
     "resource": {"resourceType": "Observation", "id": "o1", "subject": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
       "focus": [{"reference": "urn:uuid:unknown"}], "performer": [{"reference": "https://h.example/fhir/Practitioner/9"}],
       "identifier": [{"value": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}]}},
    {"fullUrl": "https://h.example/fhir/Practitioner/9", "request": {"method": "PUT", "url": "Practitioner/nine"},
     "resource": {"resourceType": "Practitioner"}},
    {"request": {"method": "DELETE", "url": "Patient/1"}}
  ]
}"#;

#[test]
fn references_inside_a_transaction_follow_the_ids_that_its_entries_get() {
    let found = resources(TRANSACTION);
    let ids: Vec<_> = found.iter().map(|(_, id, _)| id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "o1", "nine"]);
    let observation = String::from_utf8(found[1].2.to_bytes()).unwrap();
    assert!(observation.contains(r#""subject":{"reference":"Patient/0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}"#), "{observation}");
    assert!(observation.contains(r#""focus":[{"reference":"urn:uuid:unknown"}]"#), "{observation}");
    assert!(observation.contains(r#""performer":[{"reference":"Practitioner/nine"}]"#), "{observation}");
    assert!(
        observation.contains(r#""value":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0""#),
        "an identifier is no reference: {observation}"
    );
}

#[test]
fn what_a_bundle_asks_beyond_storing_is_refused_at_its_place() {
    let refused = refusals(TRANSACTION);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].0, refused[0].1.as_deref()), (13, Some("Bundle.entry[3].request.method")));
}

#[test]
fn entries_are_found_on_their_lines() {
    let lines: Vec<u64> = resources(TRANSACTION).iter().map(|(place, _, _)| place.line).collect();
    assert_eq!(lines, [5, 7, 11]);
    let place = Place { line: 5, entry: Some(0) };
    assert_eq!(place.path(Some("Patient.birthDate")).as_deref(), Some("Bundle.entry[0].resource.birthDate"));
    assert_eq!(place.path(None).as_deref(), Some("Bundle.entry[0].resource"));
    assert_eq!(Place { line: 1, entry: None }.path(Some("Patient.birthDate")).as_deref(), Some("Patient.birthDate"));
}

#[test]
fn strings_that_look_like_structure_do_not_shift_the_lines() {
    let text = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"a\":\"\\\"entry\\\":[{\\\\\",\n\"entry\":[\n{\"fullUrl\":\"}]{\"},\n{}]}";
    assert_eq!(entry_lines(text.as_bytes(), 10), [12, 13]);
}

#[test]
fn the_four_kinds_are_taken_apart_and_a_document_stays_whole() {
    for kind in TAKEN_APART {
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{{"resource":{{"resourceType":"Patient","id":"p"}}}}]}}"#
        );
        let found = resources(&bundle);
        assert_eq!(found.len(), 1, "{kind}");
        assert_eq!(found[0].2.member("resourceType").unwrap().as_str(), Some("Patient"), "{kind}");
    }
    let document = r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition"}}]}"#;
    let found = resources(document);
    assert_eq!(found[0].2.member("resourceType").unwrap().as_str(), Some("Bundle"));
    assert_eq!(refusals(r#"{"resourceType":"Bundle"}"#)[0].1.as_deref(), Some("Bundle.type"));
}

#[test]
fn absolute_references_of_another_server_stay_outside_transactions() {
    let bundle = r#"{"resourceType":"Bundle","type":"searchset","entry":[
        {"fullUrl":"https://h.example/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
        {"fullUrl":"https://h.example/Observation/2","resource":{"resourceType":"Observation","id":"2","subject":{"reference":"https://h.example/Patient/1"}}},
        {"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome"}}]}"#;
    let found = resources(bundle);
    assert_eq!(found.len(), 2);
    assert!(String::from_utf8(found[1].2.to_bytes()).unwrap().contains("https://h.example/Patient/1"));
    assert!(refusals(bundle).is_empty());
}

#[test]
fn a_resource_that_mentions_a_bundle_is_not_one() {
    let text = r#"{"resourceType":"Basic","id":"b","code":{"text":"Bundle"},"extension":[{"valueCode":"Bundle"}]}"#;
    assert_eq!(resources(text).len(), 1);
}

#[test]
fn broken_json_is_refused_with_its_line_and_column() {
    let refused = refusals("{\"resourceType\":\"Patient\",\n\"id\" 1}");
    assert_eq!(refused.len(), 1);
    let refused = refusals("{\"resourceType\":\"Bundle\",\n\"id\" 1}");
    assert_eq!(refused[0].0, 2);
    assert!(refused[0].2.contains("column"), "{refused:?}");
    let Item::Refused(_, reasons) = &items(Text { line: 4, bytes: b"{\"a\":\"\xff\"}".to_vec() })[0] else { panic!() };
    assert!(reasons[0].message.contains("UTF-8"), "{reasons:?}");
}

#[test]
fn the_same_bundle_gets_the_same_ids_again() {
    let ids = || resources(TRANSACTION).into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(), ids());
}

#[test]
fn a_line_that_ends_early_is_named_by_its_own_number() {
    let text = Text { line: 7, bytes: b"{\"resourceType\":\"Patient\"\n".to_vec() };
    assert!(matches!(items(text).as_slice(), [Item::Refused(Place { line: 7, entry: None }, _)]));
}
