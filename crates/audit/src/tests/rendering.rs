//! Records rendered as AuditEvents: valid R4, shaped as BALP asks, and silent about other patients.

use serde_json::Value;

use super::record;
use crate::event::{EventKeys, RenderedEvent, event_id, keys, render, render_one};
use crate::{Agent, Event, OperationEntry, Outcome, Record, Sought};

const OBSERVER: &str = "https://ehr.example.org/fhir";

const ALL_EVENTS: [Event; 15] = [
    Event::Rest,
    Event::Login,
    Event::Logout,
    Event::Consent,
    Event::Token,
    Event::Revocation,
    Event::Credential,
    Event::Import,
    Event::Administration,
    Event::BreakGlass,
    Event::BreakGlassEnd,
    Event::Start,
    Event::Stop,
    Event::Refused,
    Event::Page,
];

const ALL_OUTCOMES: [Outcome; 4] = [Outcome::Success, Outcome::Rejected, Outcome::Denied, Outcome::Failed];

fn full(interaction: &str) -> Record {
    let query = interaction.starts_with("search").then(|| "patient=p1&code=%3Cscript%3E".to_owned());
    Record {
        agent: Agent {
            client: Some("growth-chart".to_owned()),
            user: Some("ada".to_owned()),
            fhir_user: Some("Practitioner/ada".to_owned()),
            token: Some("7f3c".to_owned()),
            purpose: Some("TREAT".to_owned()),
            address: Some("192.0.2.7".to_owned()),
        },
        decision: Some("00aa".to_owned()),
        request: None,
        operations: vec![OperationEntry {
            interaction: interaction.to_owned(),
            resource_type: Some("Observation".to_owned()),
            id: query.is_none().then(|| "o1".to_owned()),
            version: matches!(interaction, "update" | "vread").then(|| "v2".to_owned()),
            patients: vec!["p1".to_owned()],
            returned: query.is_some().then_some(3),
            query,
            ..OperationEntry::default()
        }],
        ..record(1)
    }
}

fn only(record: &Record) -> (RenderedEvent, Value) {
    let mut events = render(record, OBSERVER, None);
    let found_by: Vec<EventKeys> = events.iter().map(|event| event.keys.clone()).collect();
    assert_eq!(keys(record, OBSERVER, None), found_by);
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    let body = serde_json::from_slice(&event.body).unwrap();
    (event, body)
}

fn code<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_purpose_stands_at_the_event_and_at_the_user_or_the_client_without_one() {
    let (_, body) = only(&full("read"));
    let coded = |value: &Value| value["coding"][0]["code"].as_str().map(str::to_owned);
    assert_eq!(body["purposeOfEvent"][0]["coding"][0]["system"], "http://terminology.hl7.org/CodeSystem/v3-ActReason");
    assert_eq!(coded(&body["purposeOfEvent"][0]).as_deref(), Some("TREAT"));
    let of_agents = |body: &Value| -> Vec<(bool, Option<String>)> {
        let agents = body["agent"].as_array().unwrap().iter();
        agents.map(|agent| (agent["requestor"] == true, coded(&agent["purposeOfUse"][0]))).collect()
    };
    assert_eq!(of_agents(&body), [(false, None), (false, None), (true, Some("TREAT".into()))]);
    let mut own = full("read");
    (own.agent.user, own.agent.fhir_user) = (None, None);
    assert_eq!(of_agents(&only(&own).1), [(false, Some("TREAT".into())), (false, None)]);
    own.agent.purpose = None;
    let (_, body) = only(&own);
    assert!(body.get("purposeOfEvent").is_none() && of_agents(&body).iter().all(|(_, purpose)| purpose.is_none()));
}

#[test]
fn restful_interactions_have_the_codes_of_their_profile() {
    // interaction, profile, action, client, server, user
    let table = [
        ("read", "PatientRead", "R", "110152", "110153", "IRCP"),
        ("vread", "PatientRead", "R", "110152", "110153", "IRCP"),
        ("create", "PatientCreate", "C", "110153", "110152", "AUT"),
        ("update", "PatientUpdate", "U", "110153", "110152", "AUT"),
        ("patch", "PatientUpdate", "U", "110153", "110152", "AUT"),
        ("delete", "PatientDelete", "D", "110150", "custodian", "AUT"),
        ("search-type", "PatientQuery", "E", "110153", "110152", "IRCP"),
    ];
    for (interaction, profile, action, client, server, user) in table {
        let (event, body) = only(&full(interaction));
        let url = format!("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{profile}");
        assert_eq!(body["meta"]["profile"][0], url);
        assert_eq!(code(&body, "/type/code"), "rest");
        assert_eq!(code(&body, "/subtype/0/code"), interaction);
        assert_eq!((event.action, code(&body, "/action")), (action, action));
        assert_eq!((event.outcome, code(&body, "/outcome")), ("0", "0"));
        let roles = [0, 1, 2].map(|agent| code(&body, &format!("/agent/{agent}/type/coding/0/code")));
        assert_eq!(roles, [client, server, user], "{interaction}");
        assert_eq!([0, 1, 2].map(|agent| body["agent"][agent]["requestor"].as_bool()), [Some(false), Some(false), Some(true)]);
        assert_eq!(code(&body, "/agent/0/who/identifier/value"), "growth-chart");
        assert_eq!(body["agent"][0]["network"], serde_json::json!({"address": "192.0.2.7", "type": "2"}));
        assert_eq!(body["agent"][1]["network"], serde_json::json!({"address": OBSERVER, "type": "5"}));
        assert!(body["agent"][2].get("network").is_none());
        assert_eq!(body["agent"][2]["policy"][0], "urn:ietf:params:oauth:jti:7f3c");
        assert_eq!(code(&body, "/source/observer/identifier/value"), OBSERVER);
        assert_eq!(code(&body, "/source/type/0/code"), "4");
        assert_eq!(code(&body, "/entity/0/what/reference"), "Patient/p1");
        assert_eq!(code(&body, "/entity/0/role/code"), "1");
    }
}

#[test]
fn the_entity_has_the_labels_of_what_was_read_and_a_patient_is_not_told_what_they_are_about_nor_those_of_others() {
    let mut record = full("read");
    record.operations[0].labels = ["R", "HIV", "NOREUSE", "unheard-of"].map(str::to_owned).to_vec();
    let labels = |record: &Record, only: Option<&str>| {
        let events = render(record, OBSERVER, only);
        let body: Value = serde_json::from_slice(&events[0].body).unwrap();
        let labels = body["entity"][1]["securityLabel"].as_array().cloned().unwrap_or_default();
        labels.iter().map(|label| label["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(labels(&record, None), ["R", "HIV", "NOREUSE"]);
    assert_eq!(labels(&record, Some("p1")), ["R", "NOREUSE"]);
    record.operations[0].patients.push("p2".to_owned());
    assert_eq!((labels(&record, None).len(), labels(&record, Some("p1")).len()), (3, 0));
    let mut search = full("search-type");
    search.operations[0].labels = vec!["V".to_owned()];
    assert_eq!((labels(&search, None), labels(&search, Some("p1"))), (vec!["V".to_owned()], vec!["V".to_owned()]));
}

#[test]
fn data_entity_names_the_version_where_one_is_known() {
    let (event, body) = only(&full("update"));
    assert_eq!(code(&body, "/entity/1/what/reference"), "Observation/o1/_history/v2");
    assert_eq!((code(&body, "/entity/1/type/code"), code(&body, "/entity/1/role/code")), ("2", "4"));
    assert_eq!(event.entities, ["Patient/p1", "Observation/o1"]);
    assert_eq!(event.agents, ["growth-chart", "ada", "Practitioner/ada"]);
    assert_eq!(event.patients, ["p1"]);
    assert_eq!(code(&only(&full("read")).1, "/entity/1/what/reference"), "Observation/o1");
}

#[test]
fn the_id_of_the_request_is_the_transaction() {
    let transaction = |body: &Value| {
        let entities = body["entity"].as_array().cloned().unwrap_or_default();
        let found: Vec<Value> = entities.into_iter().filter(|entity| entity["type"]["code"] == "XrequestId").collect();
        found.iter().map(|entity| entity["what"]["identifier"]["value"].clone()).collect::<Vec<_>>()
    };
    for interaction in ["read", "search-type", "delete", "history-instance"] {
        assert_eq!(transaction(&only(&full(interaction)).1), [Value::from(full(interaction).id.0)]);
    }
    let own = render(&full("read"), OBSERVER, Some("p1"));
    assert_eq!(transaction(&serde_json::from_slice(&own[0].body).unwrap()), [Value::from(full("read").id.0)]);
    assert!(transaction(&only(&Record { event: Event::Token, ..full("token") }).1).is_empty(), "the profile is closed");
}

#[test]
fn query_entity_holds_the_request_as_sent_and_nothing_beside() {
    let body = only(&full("search-type")).1;
    let entity = &body["entity"][1];
    let request = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, entity["query"].as_str().unwrap()).unwrap();
    assert_eq!(request, b"Observation?patient=p1&code=%3Cscript%3E");
    assert_eq!((code(entity, "/type/code"), code(entity, "/role/code")), ("2", "24"));
    for absent in ["what", "name", "lifecycle", "detail", "description"] {
        assert!(entity.get(absent).is_none(), "{absent}");
    }
    let details = body["entity"][2]["detail"].as_array().unwrap();
    let details = details.iter().map(|detail| (code(detail, "/type"), code(detail, "/valueString"))).collect::<Vec<_>>();
    assert_eq!(details, [("decision", "00aa"), ("status", "200"), ("returned", "3"), ("rule", "scope=permit")]);
}

#[test]
fn failures_keep_the_shape_claim_no_profile_and_carry_an_outcome() {
    let cases = [
        (Outcome::Rejected, 400, "4", "processing"),
        (Outcome::Denied, 403, "8", "forbidden"),
        (Outcome::Denied, 404, "8", "forbidden"),
        (Outcome::Failed, 500, "8", "exception"),
        (Outcome::Failed, 503, "12", "exception"),
    ];
    for (outcome, status, expected, issue) in cases {
        let (event, body) = only(&Record { outcome, status, detail: Some("scope".to_owned()), ..full("read") });
        assert_eq!((event.outcome, code(&body, "/outcome")), (expected, expected));
        assert_eq!(code(&body, "/outcomeDesc"), "scope");
        assert!(body.get("meta").is_none());
        assert_eq!(code(&body, "/contained/0/issue/0/code"), issue);
        assert_eq!(code(&body, "/entity/2/what/reference"), "#outcome");
        assert_eq!(code(&body, "/agent/0/type/coding/0/code"), "110152");
    }
    let (_, body) = only(&Record { outcome: Outcome::Denied, ..full("read") });
    assert_eq!(code(&body, "/outcomeDesc"), "denied");
}

#[test]
fn no_profile_is_claimed_without_what_it_demands() {
    let without = |change: fn(&mut Record)| {
        let mut record = full("read");
        change(&mut record);
        only(&record).1.get("meta").is_some()
    };
    assert!(without(|_| ()));
    assert!(without(|record| record.agent.user = None));
    assert!(!without(|record| record.agent.client = None));
    assert!(!without(|record| record.agent.address = None));
    for interaction in ["history-instance", "capabilities", "batch", "transaction", "$everything", "unheard-of"] {
        assert!(only(&full(interaction)).1.get("meta").is_none(), "{interaction}");
    }
    assert_eq!(code(&only(&full("$everything")).1, "/subtype/0/code"), "operation");
}

#[test]
fn an_interaction_without_a_patient_has_the_plain_profile() {
    let mut record = full("read");
    record.operations[0].patients.clear();
    let (event, body) = only(&record);
    assert!(code(&body, "/meta/profile/0").ends_with("IHE.BasicAudit.Read"));
    assert_eq!((event.patients.len(), event.entities.as_slice()), (0, ["Observation/o1".to_owned()].as_slice()));
}

#[test]
fn a_token_event_is_shaped_by_iua_71_and_names_no_secret() {
    let mut record = full("token");
    record.event = Event::Token;
    record.agent.fhir_user = Some("Patient/p1".to_owned());
    record.operations[0] = OperationEntry {
        interaction: "token".to_owned(),
        query: Some("grant_type=authorization_code".to_owned()),
        patients: vec!["p1".to_owned()],
        ..OperationEntry::default()
    };
    let (event, body) = only(&record);
    assert!(code(&body, "/meta/profile/0").ends_with("/IHE.IUA.71"));
    assert_eq!((code(&body, "/type/code"), code(&body, "/subtype/0/code")), ("110114", "ITI-71"));
    let roles = [0, 1, 2].map(|agent| code(&body, &format!("/agent/{agent}/type/coding/0/code")));
    assert_eq!(roles, ["110150", "AuthzOauthService", "IRCP"]);
    assert_eq!(body["entity"].as_array().unwrap().len(), 1);
    assert_eq!(code(&body, "/source/type/0/code"), "6");
    assert_eq!(event.patients, ["p1"]);

    // A clinician's token in the context of a patient: the profile has no place for the patient, so it is not claimed.
    record.agent.fhir_user = Some("Practitioner/ada".to_owned());
    let (event, body) = only(&record);
    assert!(body.get("meta").is_none());
    assert_eq!(
        (event.patients.as_slice(), code(&body, "/entity/0/what/reference")),
        (["p1".to_owned()].as_slice(), "Patient/p1")
    );
}

#[test]
fn other_events_have_the_dicom_codes_of_their_kind() {
    let table = [
        (Event::Login, "110114", "110122", "E"),
        (Event::Logout, "110114", "110123", "E"),
        (Event::Consent, "110113", "AuthZ-Consent", "E"),
        (Event::Revocation, "110113", "110137", "E"),
        (Event::Credential, "110113", "110137", "E"),
        (Event::Administration, "110113", "110129", "E"),
        (Event::BreakGlass, "110113", "110127", "E"),
        (Event::BreakGlassEnd, "110113", "110138", "E"),
        (Event::Start, "110100", "110120", "E"),
        (Event::Stop, "110100", "110121", "E"),
        (Event::Page, "110100", "", "R"),
        (Event::Refused, "rest", "", "E"),
    ];
    for (event, event_type, subtype, action) in table {
        let (_, body) = only(&Record { event, operations: Vec::new(), ..full("read") });
        let codes = (code(&body, "/type/code"), code(&body, "/subtype/0/code"), code(&body, "/action"));
        assert_eq!(codes, (event_type, subtype, action), "{event:?}");
    }
    let (_, body) = only(&Record { event: Event::Start, operations: Vec::new(), agent: Agent::default(), ..full("read") });
    assert_eq!(body["agent"].as_array().unwrap().len(), 1, "the server alone");
    let (_, body) = only(&Record { event: Event::Import, ..full("create") });
    assert_eq!((code(&body, "/type/code"), code(&body, "/subtype/0/code"), code(&body, "/action")), ("110107", "create", "C"));
}

/// A search that two patients' records answer, and a write to one of them.
fn of_two_patients() -> Record {
    let mut record = full("search-type");
    record.operations[0].patients = ["p1", "Patient/p2", "p1"].map(str::to_owned).to_vec();
    record.operations[0].query = Some("patient=p1,p2,p3".to_owned());
    record.operations.push(OperationEntry {
        interaction: "update".to_owned(),
        resource_type: Some("Patient".to_owned()),
        id: Some("p2".to_owned()),
        patients: vec!["p2".to_owned(), "p1".to_owned()],
        ..OperationEntry::default()
    });
    record.detail = Some("asked for p3, too".to_owned());
    record
}

#[test]
fn every_patient_has_events_of_its_own_with_stable_ids() {
    let record = of_two_patients();
    let events = render(&record, OBSERVER, None);
    let about = events.iter().map(|event| (event.id.as_str(), event.patients[0].as_str())).collect::<Vec<_>>();
    let expected = [("p1", 1), ("p2", 1), ("p2", 2), ("p1", 2)];
    let ids = expected.map(|(patient, ordinal)| event_id(&record.id, Some(patient), ordinal));
    assert!(about.into_iter().eq(ids.iter().map(String::as_str).zip(expected.map(|(patient, _)| patient))));
    assert_eq!(events, render(&record, OBSERVER, None));
}

/// What is left out is no gap in what a patient sees.
#[test]
fn a_patients_events_are_the_same_without_those_of_others() {
    let whole = of_two_patients();
    let mut alone = whole.clone();
    for operation in &mut alone.operations {
        operation.patients.retain(|patient| patient == "p1");
    }
    for user in ["Practitioner/ada", "Patient/p1"] {
        let own = |record: &Record| {
            let mut record = record.clone();
            record.agent.fhir_user = Some(user.to_owned());
            render(&record, OBSERVER, Some("p1"))
        };
        assert_eq!(own(&whole), own(&alone));
    }
}

#[test]
fn an_update_by_which_a_record_became_a_patients_is_a_create_for_this_patient_alone() {
    let mut moved = full("update");
    moved.operations[0].patients = ["p2", "p1"].map(str::to_owned).to_vec();
    moved.operations[0].joined = vec!["p1".to_owned()];
    let mut made = full("create");
    made.operations[0].version.clone_from(&moved.operations[0].version);
    let own = render(&moved, OBSERVER, Some("p1"));
    assert_eq!(own, render(&made, OBSERVER, Some("p1")), "nothing tells that something was there before");
    assert_eq!(own[0].action, "C");
    assert_eq!(render(&moved, OBSERVER, Some("p2"))[0].action, "U", "for whom it was there before it was changed");
    assert!(render(&moved, OBSERVER, None).iter().all(|event| event.action == "U"), "the whole trail has what was done");
}

/// Whom the request names has an event; whoever made it has the same ones, whatever is there.
#[test]
fn patients_whom_a_request_only_names_have_an_event_that_tells_of_the_attempt_alone() {
    for (user, outcome) in
        ["Patient/p1", "Practitioner/ada"].into_iter().flat_map(|user| ALL_OUTCOMES.map(|outcome| (user, outcome)))
    {
        let mut record = Record { outcome, status: 404, ..full("update") };
        record.agent.fhir_user = Some(user.to_owned());
        record.agent.user = Some(format!("login-of-{user}"));
        record.operations[0].patients.clear();
        let without = render(&record, OBSERVER, Some("p1"));
        record.operations[0].named = ["p2", "p3"].map(str::to_owned).to_vec();
        let whole = render(&record, OBSERVER, None);
        let of = |patient: &str| whole.iter().filter(|event| event.entities.contains(&format!("Patient/{patient}"))).count();
        assert_eq!((of("p2"), of("p3")), (1, 1));
        assert_eq!(render(&record, OBSERVER, Some("p1")), without, "the own record of whoever tried is as it was");
        let [event] = &render(&record, OBSERVER, Some("p2"))[..] else { panic!("one event") };
        let text = String::from_utf8(event.body.clone()).unwrap();
        assert!(["o1", "p1", "p3"].iter().all(|other| !text.contains(other)), "{text}");
        assert_eq!(event.outcome, if outcome == Outcome::Success { "0" } else { "8" }, "how it failed may tell of others");
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!((code(&body, "/entity/0/description"), body["entity"][0].get("role")), ("named by the request", None));
        assert_eq!(event.agents.contains(&user.to_owned()), user == "Practitioner/ada");
        assert_eq!(render_one(&record, OBSERVER, Some("p2"), &event.id).as_ref(), Some(event));
    }
}

#[test]
fn whoever_names_only_the_own_record_has_one_event_of_it() {
    let mut record = full("search-type");
    record.agent.fhir_user = Some("Patient/p1".to_owned());
    record.operations[0].named = vec!["p1".to_owned()];
    assert_eq!(render(&record, OBSERVER, None).len(), 1);
    record.operations[0].patients.clear();
    let (event, _) = only(&record);
    assert_eq!(event.patients, ["p1"]);
    let absent = Some(crate::Presence::Absent);
    record.operations[0].presence = absent;
    assert_eq!(render(&record, OBSERVER, None).len(), 1);
}

#[test]
fn an_import_that_replaces_is_an_update() {
    for (interaction, action) in [("create", "C"), ("update", "U")] {
        let (event, body) = only(&Record { event: Event::Import, ..full(interaction) });
        let codes = (code(&body, "/type/code"), code(&body, "/subtype/0/code"), code(&body, "/action"));
        assert_eq!((event.action, codes), (action, ("110107", interaction, action)));
    }
}

#[test]
fn a_query_has_its_type_once_in_older_records_too_and_a_request_that_was_not_understood_is_shown() {
    let shown = |query: &str, event| {
        let mut record = Record { event, ..full("search-type") };
        record.operations[0].query = Some(query.to_owned());
        decoded_queries(&only(&record).0.body)
    };
    for query in ["patient=p1", "Observation?patient=p1"] {
        assert_eq!(shown(query, Event::Rest), "Observation?patient=p1");
    }
    assert_eq!(shown("GET /fhir/Patient/%70", Event::Refused), "GET /fhir/Patient/%70");
}

#[test]
fn for_one_patient_no_other_patient_is_named() {
    let users = [None, Some("Patient/p1"), Some("Patient/p2"), Some("Practitioner/ada")];
    for (outcome, user) in ALL_OUTCOMES.into_iter().flat_map(|outcome| users.map(|user| (outcome, user))) {
        for event in ALL_EVENTS {
            let mut record = Record { outcome, event, ..of_two_patients() };
            record.agent.fhir_user = user.map(str::to_owned);
            record.agent.user = user.map(|user| format!("login-of-{user}"));
            record.agent.address = Some("p2.home.example".to_owned()).filter(|_| user == Some("Patient/p2"));
            let own = render(&record, OBSERVER, Some("p1"));
            assert!(own.iter().any(|event| event.patients == ["p1"]));
            for event in own {
                let text = String::from_utf8(event.body.clone()).unwrap();
                let decoded = decoded_queries(&event.body);
                for other in ["p2", "p3"] {
                    assert!(!text.contains(other) && !decoded.contains(other), "{text} {decoded}");
                    assert!(!format!("{:?}{:?}{:?}", event.patients, event.agents, event.entities).contains(other));
                }
            }
        }
    }
}

fn decoded_queries(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    let entities = body["entity"].as_array().cloned().unwrap_or_default();
    let queries = entities.iter().filter_map(|entity| entity["query"].as_str());
    let decode = |query| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, query).unwrap();
    queries.map(|query| String::from_utf8(decode(query)).unwrap()).collect()
}

/// What the search index relies on: it files an event under `patients` and renders it again for one of them.
#[test]
fn an_event_is_rendered_for_exactly_the_patients_that_it_lists() {
    for event in ALL_EVENTS {
        for user in [None, Some("Patient/p1"), Some("Patient/p9"), Some("Practitioner/ada")] {
            for operations in [Vec::new(), of_two_patients().operations] {
                let mut record = Record { event, operations, ..of_two_patients() };
                record.agent.fhir_user = user.map(str::to_owned);
                let all = render(&record, OBSERVER, None);
                for patient in ["p1", "p2", "p3", "p9"] {
                    let listed = all.iter().filter(|event| event.patients.iter().any(|listed| listed == patient));
                    let own = render(&record, OBSERVER, Some(patient));
                    assert!(listed.map(|event| &event.id).eq(own.iter().map(|event| &event.id)), "{event:?} {user:?} {patient}");
                }
            }
        }
    }
}

#[test]
fn an_event_is_rendered_alone_as_it_is_among_the_others() {
    for (event, user) in ALL_EVENTS.into_iter().flat_map(|event| [None, Some("Patient/p1")].map(|user| (event, user))) {
        let mut record = Record { event, ..of_two_patients() };
        record.agent.fhir_user = user.map(str::to_owned);
        for reader in [None, Some("p1"), Some("p2"), Some("p9")] {
            let all = render(&record, OBSERVER, reader);
            for rendered in render(&record, OBSERVER, None) {
                let listed = all.iter().find(|event| event.id == rendered.id);
                assert_eq!(render_one(&record, OBSERVER, reader, &rendered.id).as_ref(), listed, "{event:?} {user:?} {reader:?}");
            }
        }
        let id = &render(&record, OBSERVER, None)[0].id;
        let stem = id.strip_suffix('1').unwrap();
        let others = ["0", "01", "+1", "-1", "99", "99999999999", ""].map(|ordinal| format!("{stem}{ordinal}"));
        for other in others.into_iter().chain([format!("{}-1", record.id.0), id.to_uppercase() + "0", id.replace('-', "--")]) {
            assert_eq!(render_one(&record, OBSERVER, None, &other), None, "{other}");
        }
    }
}

#[test]
fn an_event_of_another_patient_hides_who_acted() {
    let mut record = full("read");
    record.agent.fhir_user = Some("Patient/p2".to_owned());
    let own = render(&record, OBSERVER, Some("p1"));
    let body: Value = serde_json::from_slice(&own[0].body).unwrap();
    assert_eq!(body["agent"][2]["who"], serde_json::json!({"display": "another patient"}));
    assert!(body["agent"][2].get("policy").is_none() && body["agent"][0].get("network").is_none());
    assert!(body.get("meta").is_none(), "without the network the profile is not satisfied");
    assert_eq!(own[0].agents, ["growth-chart"]);
}

/// An attempt on `o1` that answers 404.
fn attempt(user: &str, sought: Sought) -> Record {
    let mut record = Record { outcome: Outcome::Rejected, status: 404, ..full("read") };
    record.agent.fhir_user = Some(user.to_owned());
    record.operations[0].returned = Some(0);
    record.operations[0].sought_in_vain(sought);
    record
}

#[test]
fn who_tries_sees_the_same_events_whether_something_is_hidden_or_absent() {
    let absent = attempt("Patient/p2", Sought::found(false, Vec::new()));
    for patients in [vec!["p1"], vec!["p1", "p3"], vec!["p2"], vec!["p1", "p2"], vec![]] {
        let hidden = attempt("Patient/p2", Sought::found(true, patients.iter().map(|one| (*one).to_owned()).collect()));
        assert_eq!(render(&hidden, OBSERVER, Some("p2")), render(&absent, OBSERVER, Some("p2")), "{patients:?}");
        for id in render(&hidden, OBSERVER, None).iter().map(|event| &event.id) {
            let one = |record: &Record| render_one(record, OBSERVER, Some("p2"), id);
            assert_eq!(one(&hidden), one(&absent));
        }
        for patient in patients.into_iter().filter(|patient| *patient != "p2") {
            let own = render(&hidden, OBSERVER, Some(patient));
            assert_eq!(own.len(), 1, "the patient learns that somebody tried");
            assert!(own[0].entities.contains(&format!("Patient/{patient}")) && !format!("{own:?}").contains("p2"));
        }
    }
}

#[test]
fn the_whole_trail_says_whether_something_was_hidden_or_absent_and_whose_it_was() {
    let presence = |body: &Value| {
        let details =
            body["entity"].as_array().unwrap().iter().flat_map(|entity| entity["detail"].as_array().into_iter().flatten());
        let found = details.filter(|detail| detail["type"] == "presence").map(|detail| detail["valueString"].clone());
        found.collect::<Vec<_>>()
    };
    let (event, body) = only(&attempt("Practitioner/ada", Sought::found(true, vec!["p1".to_owned()])));
    assert_eq!((presence(&body), event.entities.contains(&"Patient/p1".to_owned())), (vec!["hidden".into()], true));
    let (event, body) = only(&attempt("Practitioner/ada", Sought::found(false, Vec::new())));
    assert_eq!((presence(&body), event.keys.entities), (vec!["absent".into()], vec!["Observation/o1".to_owned()]));
    let (_, body) = only(&attempt("Practitioner/ada", Sought::unknown()));
    assert!(presence(&body).is_empty());
}

#[test]
fn every_rendered_event_is_a_valid_r4_resource() {
    let interactions = [
        "read",
        "vread",
        "create",
        "update",
        "patch",
        "delete",
        "search-type",
        "search-system",
        "history-instance",
        "history-type",
        "capabilities",
        "batch",
        "transaction",
        "operation",
        "$x",
    ];
    let agents = [
        full("read").agent,
        Agent::default(),
        Agent { fhir_user: Some("Group/1".to_owned()), ..Agent::default() },
        Agent { user: Some(" \u{1}x ".to_owned()), address: Some("host".to_owned()), ..Agent::default() },
    ];
    for event in ALL_EVENTS {
        for (interaction, outcome) in
            interactions.iter().flat_map(|interaction| ALL_OUTCOMES.map(|outcome| (interaction, outcome)))
        {
            let mut record = Record { event, outcome, ..full(interaction) };
            valid(&record, OBSERVER);
            record.operations[0] = OperationEntry { interaction: (*interaction).to_owned(), ..OperationEntry::default() };
            valid(&record, OBSERVER);
        }
        for (agent, outcome) in agents.iter().flat_map(|agent| ALL_OUTCOMES.map(|outcome| (agent, outcome))) {
            let (agent, detail) = (agent.clone(), Some("line\nbreak".to_owned()));
            let record = Record { event, outcome, agent, detail, operations: Vec::new(), ..record(1) };
            for observer in [OBSERVER, "Device/portcullis", "portcullis", ""] {
                valid(&record, observer);
            }
        }
    }
}

fn valid(record: &Record, observer: &str) {
    for event in render(record, observer, None).iter().chain(&render(record, observer, Some("p1"))) {
        let text = String::from_utf8_lossy(&event.body);
        let resource =
            portcullis_fhir::resource::Resource::parse(&event.body).unwrap_or_else(|issues| panic!("{issues:?}\n{text}"));
        assert_eq!(resource.resource_type().name(), "AuditEvent");
        assert_eq!(resource.id().unwrap().as_str(), event.id);
    }
}
