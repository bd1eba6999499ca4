use super::bundle::TAKEN_APART;
use super::*;

fn of(text: &str) -> Vec<Item> {
    items(Text { line: 1, bytes: text.as_bytes().to_vec() }).collect()
}

fn resources(text: &str) -> Vec<(Place, Option<String>, Value)> {
    let found = of(text).into_iter().flat_map(|item| match item {
        Item::Resource(place, resource) => vec![(place, resource)],
        Item::Transaction(_, resources) => resources,
        _ => Vec::new(),
    });
    found.map(|(place, resource)| (place, resource.id, json::parse(resource.resource.get().as_bytes()).unwrap())).collect()
}

fn refusals(text: &str) -> Vec<(u64, Option<String>, String)> {
    let found = of(text).into_iter().flat_map(|item| match item {
        Item::Refused(place, reasons) => vec![(place, reasons)],
        Item::TransactionRefused { refusals, .. } => refusals,
        _ => Vec::new(),
    });
    let line = |place: &Place, reason: &Reason| place.line + u64::from(reason.line.unwrap_or(1)) - 1;
    let told =
        |(place, reasons): (Place, Vec<Reason>)| (line(&place, &reasons[0]), reasons[0].path.clone(), reasons[0].message.clone());
    found.map(told).collect()
}

const TRANSACTION: &str = r#"{
  "resourceType": "Bundle", "type": "transaction",
  "note": {"entry": [{}]},
  "entry": [
    {"fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "request": {"method": "POST", "url": "Patient"},
     "resource": {"resourceType": "Patient"}},
    {"fullUrl": "urn:uuid:11111111-1cbf-4d64-b04d-cd9187a4c6e0", "request": {"method": "POST", "url": "Observation"},
     "resource": {"resourceType": "Observation", "id": "o1", "subject": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
       "focus": [{"reference": "Group/7"}], "performer": [{"reference": "https://h.example/fhir/Practitioner/9"}],
       "identifier": [{"value": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}]}},
    {"fullUrl": "https://h.example/fhir/Practitioner/9", "request": {"method": "PUT", "url": "Practitioner/nine"},
     "resource": {"resourceType": "Practitioner"}}
  ]
}"#;

#[test]
fn references_inside_a_transaction_follow_the_ids_that_its_entries_get() {
    let found = resources(TRANSACTION);
    let ids: Vec<_> = found.iter().map(|(_, id, _)| id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "o1", "nine"]);
    let observation = String::from_utf8(found[1].2.to_bytes()).unwrap();
    assert!(observation.contains(r#""subject":{"reference":"Patient/0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}"#), "{observation}");
    assert!(observation.contains(r#""focus":[{"reference":"Group/7"}]"#), "{observation}");
    assert!(observation.contains(r#""performer":[{"reference":"Practitioner/nine"}]"#), "{observation}");
    assert!(
        observation.contains(r#""value":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0""#),
        "an identifier is no reference: {observation}"
    );
}

/// A transaction with a good entry, this one and another good one.
fn with(entry: &str) -> String {
    let good = |id: &str| {
        format!(r#"{{"resource":{{"resourceType":"Patient","id":"{id}"}},"request":{{"method":"PUT","url":"Patient/{id}"}}}}"#)
    };
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[\n{},\n{entry},\n{}]}}", good("p1"), good("p2"))
}

#[test]
fn one_entry_that_cannot_be_stored_refuses_the_whole_transaction_at_its_place() {
    let patient = r#""resource":{"resourceType":"Patient"}"#;
    let cases = [
        (r#"{"request":{"method":"DELETE","url":"Patient/1"}}"#.to_owned(), "request.method", "DELETE"),
        (r#"{"request":{"method":"POST","url":"Patient"}}"#.to_owned(), "resource", "needs a resource"),
        (format!("{{{patient}}}"), "request", "POST or PUT"),
        (format!(r#"{{{patient},"request":{{"method":"POST","url":"Patient","ifNoneExist":"identifier=1"}}}}"#), "request.ifNoneExist", "PUT"),
        (format!(r#"{{{patient},"request":{{"method":"PUT","url":"Patient?identifier=1"}}}}"#), "request.url", "condition"),
        (format!(r#"{{{patient},"request":{{"method":"PUT","url":"Group/1"}}}}"#), "request.url", "Patient/id"),
        (format!(r#"{{{patient},"request":{{"method":"POST","url":"Group"}}}}"#), "request.url", "'Patient'"),
        (format!(r#"{{{patient},"request":{{"method":"PUT","url":"Patient/3","ifMatch":"W/\"1\""}}}}"#), "request.ifMatch", "version"),
        (r#"{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/b"}}"#.to_owned(), "request.url", "Patient/a"),
        (r#"{"resource":{"resourceType":"Patient","id":"p1"},"request":{"method":"POST","url":"Patient"}}"#.to_owned(), "resource.id", "same resource"),
        (
            r#"{"resource":{"resourceType":"Group","member":[{"entity":{"reference":"urn:uuid:unknown"}}]},"request":{"method":"POST","url":"Group"}}"#.to_owned(),
            "resource.member[0].entity.reference",
            "urn:uuid:unknown",
        ),
        (
            r#"{"resource":{"resourceType":"Encounter","subject":{"reference":"Patient?identifier=1"}},"request":{"method":"POST","url":"Encounter"}}"#.to_owned(),
            "resource.subject.reference",
            "conditional reference",
        ),
    ];
    for (entry, place, words) in cases {
        let text = with(&entry);
        assert!(resources(&text).is_empty(), "{entry}");
        let refused = refusals(&text);
        assert_eq!(refused.len(), 1, "{entry}: {refused:?}");
        let (line, path, message) = &refused[0];
        // The overlap is found at the later one of two.
        assert_eq!((*line, path.as_deref()), (3, Some(format!("Bundle.entry[1].{place}").as_str())), "{message}");
        assert!(message.contains(words), "{message}");
        let batch = text.replace("transaction", "batch");
        assert!(resources(&batch).len() >= 2, "the entries of a batch stand alone: {entry}");
    }
}

#[test]
fn a_transaction_is_one_item_with_the_numbers_of_its_entries() {
    let found = of(TRANSACTION);
    assert_eq!(found.iter().map(Item::numbers).collect::<Vec<_>>(), [3]);
    assert!(matches!(&found[0], Item::Transaction(Place { line: 1, entry: None }, resources) if resources.len() == 3));
    assert_eq!(of(&TRANSACTION.replace("\"PUT\"", "\"GET\"")).iter().map(Item::numbers).collect::<Vec<_>>(), [3]);
    let empty = r#"{"resourceType":"Bundle","type":"transaction"}"#;
    assert!(matches!(of(empty).as_slice(), [Item::Nothing]));
}

#[test]
fn two_entries_of_one_full_url_refuse_the_transaction() {
    let text = TRANSACTION.replace("urn:uuid:11111111", "urn:uuid:0c3151bd");
    assert_eq!(refusals(&text)[0].1.as_deref(), Some("Bundle.entry[1].fullUrl"));
}

#[test]
fn a_relative_reference_is_read_from_the_address_of_its_entry() {
    let text = r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"https://h.example/fhir/Encounter/1","request":{"method":"POST","url":"Encounter"},
         "resource":{"resourceType":"Encounter","subject":{"reference":"Patient/2"}}},
        {"fullUrl":"https://h.example/fhir/Patient/2","request":{"method":"PUT","url":"Patient/two"},"resource":{"resourceType":"Patient"}},
        {"fullUrl":"https://h.example/fhir/Patient/3","request":{"method":"POST","url":"Patient"},"resource":{"resourceType":"Patient"}}]}"#;
    let found = resources(text);
    assert!(String::from_utf8(found[0].2.to_bytes()).unwrap().contains("Patient/two"));
    assert_eq!(found[2].1.as_deref(), Some("3"), "the address gives the id");
}

#[test]
fn a_transaction_beyond_the_limit_is_refused_and_the_limit_is_named() {
    let entry = |number: usize| {
        format!(
            r#"{{"resource":{{"resourceType":"Patient","id":"{number}"}},"request":{{"method":"PUT","url":"Patient/{number}"}}}}"#
        )
    };
    let text = |count: usize| {
        let entries: Vec<String> = (0..count).map(entry).collect();
        format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
    };
    assert_eq!(resources(&text(MAXIMUM_TRANSACTION_RESOURCES)).len(), MAXIMUM_TRANSACTION_RESOURCES);
    let refused = refusals(&text(MAXIMUM_TRANSACTION_RESOURCES + 1));
    assert!(refused.len() == 1 && refused[0].2.contains("at most 10000 resources of 32 MiB"), "{refused:?}");
}

#[test]
fn entries_are_found_on_their_lines() {
    let lines: Vec<u64> = resources(TRANSACTION).iter().map(|(place, _, _)| place.line).collect();
    assert_eq!(lines, [5, 7, 11]);
    let place = Place { line: 5, entry: Some(0) };
    assert_eq!(place.path(Some("Patient.birthDate")).as_deref(), Some("Bundle.entry[0].resource.birthDate"));
    assert_eq!(place.path(None).as_deref(), Some("Bundle.entry[0].resource"));
    assert_eq!(place.path(Some("Patient")).as_deref(), Some("Bundle.entry[0].resource"));
    assert_eq!(place.path(Some("resourceType")).as_deref(), Some("Bundle.entry[0].resource.resourceType"));
    assert_eq!(Place { line: 1, entry: None }.path(Some("Patient.birthDate")).as_deref(), Some("Patient.birthDate"));
}

#[test]
fn strings_that_look_like_structure_do_not_shift_the_lines() {
    let text = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"a\":\"\\\"entry\\\":[{\\\\\",\n\"entry\":[\n{\"fullUrl\":\"}]{\",\"resource\":{}},\n{\"resource\":1}]}";
    assert_eq!(resources(text)[0].0.line, 3);
    assert_eq!(refusals(text)[0].0, 4);
}

#[test]
fn the_four_kinds_are_taken_apart_and_a_document_stays_whole() {
    for kind in TAKEN_APART {
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{{"request":{{"method":"PUT","url":"Patient/p"}},"resource":{{"resourceType":"Patient","id":"p"}}}}]}}"#
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
    // The reader of entries finds what the reader of Bundles passes over, and counts from the beginning of the line.
    let entries = [r#"{"id":"1","id":"2"}"#, "\n{\"id\":\"1\",\"id\":\"2\"}"];
    for (entry, place) in entries.into_iter().zip([(2, "column 20:"), (3, "column 11:")]) {
        let text = format!("{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\n\"entry\":[{entry}]}}");
        let refused = refusals(&text);
        let (line, path, message) = &refused[0];
        assert_eq!((*line, path.as_deref()), (place.0, Some("Bundle.entry[0]")), "{refused:?}");
        assert!(message.contains(place.1), "{message}");
    }
    let text = Text { line: 4, bytes: b"{\"a\":\"\xff\"}".to_vec() };
    let Some(Item::Refused(_, reasons)) = items(text).next() else { panic!() };
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
    assert!(matches!(items(text).collect::<Vec<_>>().as_slice(), [Item::Refused(Place { line: 7, entry: None }, _)]));
}
