//! What consents decided is in the audit trail: an event of its own before that of the interaction, for whom it is.

use http::Method;
use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::TestServer;
use portcullis_testkit::resources::observation;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

const DECISION: &str = "subtype=AuthZ-Consent";

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// An active privacy consent of Ann.
fn consent(own: &str, provision: Value) -> String {
    json!({
        "resourceType": "Consent",
        "id": own,
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/ann"},
        "dateTime": "2020-01-01",
        "policy": [{"uri": format!("https://example.org/{own}")}],
        "provision": provision,
    })
    .to_string()
}

fn actor(reference: Value) -> Value {
    json!([{"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"), "reference": reference}])
}

/// What permits or denies Dr. Who everything.
fn for_who(effect: &str) -> Value {
    json!({"type": effect, "actor": actor(json!({"reference": "Practitioner/who"}))})
}

async fn world(implicit: ImplicitPolicy) -> World {
    let settings = AuthorizationSettings { implicit_consent: implicit, ..Default::default() };
    World::over(TestServer::start_with(settings).await).await
}

impl World {
    async fn clinicians(&self) -> String {
        self.app.access_token("user/*.cruds", "who", PASSWORD).await
    }

    async fn auditors(&self) -> String {
        self.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await
    }

    /// A patient's or a representative's.
    async fn trail_of_ann(&self, user: &str) -> String {
        self.app.access_token("launch/patient patient/*.cruds patient/AuditEvent.rs", user, PASSWORD).await
    }

    /// The events that a search finds, oldest first.
    async fn trail(&self, token: &str, query: &str) -> Vec<Value> {
        self.server.move_outbox().await;
        let path = format!("/fhir/AuditEvent?{query}&_sort=date&_count=200");
        let reply = self.server.client.get(&path).bearer(token).send().await;
        assert_eq!(reply.status, 200, "{query} {}", reply.text());
        let bundle = reply.json();
        bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()).collect()
    }

    /// Those of them that say what consents decided about a request; what somebody let an app do has the same code.
    async fn decisions(&self, token: &str, query: &str) -> Vec<Value> {
        let found = self.trail(token, &format!("{DECISION}&{query}")).await;
        found.into_iter().filter(is_decision).collect()
    }

    async fn version_of(&self, consent: &str) -> String {
        let ann = self.ann().await;
        let reply = self.server.client.get(&format!("/fhir/Consent/{consent}")).bearer(&ann).send().await;
        format!("Consent/{consent}/_history/{}", reply.json()["meta"]["versionId"].as_str().unwrap())
    }
}

/// What the event names besides the patient and the token.
fn consents(event: &Value) -> Vec<&str> {
    let entities = event["entity"].as_array().into_iter().flatten().filter(|entity| entity["type"]["code"] == "Consent");
    entities.map(|entity| entity["what"]["reference"].as_str().unwrap()).collect()
}

fn code<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the event is about a decision; else about the interaction.
fn is_decision(event: &Value) -> bool {
    code(event, "/id").rsplit('-').next().unwrap().starts_with('c')
}

/// The id of the record that an event is of.
fn record(event: &Value) -> &str {
    code(event, "/id").split('-').next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_and_a_denial_by_a_consent_are_events_of_their_own_before_that_of_the_data() {
    verifies!("SEED-USCORE-14");
    verifies!("SEED-USCORE-26");
    let world = world(ImplicitPolicy::Deny).await;
    world.server.import(&[consent("c", for_who("permit"))]).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let read = async || world.server.client.get("/fhir/Observation/obs-ann-1").bearer(&who).send().await;
    assert_eq!(read().await.status, 200);
    let permitted_by = world.version_of("c").await;
    world.server.import(&[consent("d", for_who("deny"))]).await;
    let hidden = read().await;
    let denied_by = world.version_of("d").await;

    let found = world.decisions(&auditor, "patient=ann").await;
    let outcomes: Vec<_> = found.iter().map(|event| (code(event, "/outcome"), consents(event))).collect();
    assert_eq!(outcomes, [("0", vec![&*permitted_by]), ("8", vec![&*denied_by])]);
    for event in &found {
        assert_eq!((code(event, "/type/code"), code(event, "/action")), ("110113", "E"));
        assert_eq!(code(event, "/subtype/0/system"), "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType");
        let roles = [0, 1, 2].map(|agent| code(event, &format!("/agent/{agent}/type/coding/0/code")).to_owned());
        assert_eq!(roles, ["110150", "authserver", "IRCP"]);
        assert_eq!(code(event, "/agent/0/who/identifier/value"), "app");
        assert_eq!(code(event, "/agent/2/who/reference"), "Practitioner/who");
        assert_eq!(code(event, "/purposeOfEvent/0/coding/0/code"), "TREAT");
        assert_eq!((code(event, "/entity/0/what/reference"), code(event, "/entity/0/role/code")), ("Patient/ann", "1"));
        assert_eq!(code(event, "/entity/2/type/code"), "UserOauthAgent");
        assert!(code(event, "/entity/2/what/identifier/value").starts_with("urn:ietf:params:oauth:jti:"));
    }
    // The decision, then what came of it.
    let of_who = world.trail(&auditor, "patient=ann&agent=Practitioner/who").await;
    for decision in &found {
        let place = of_who.iter().position(|event| event == decision).unwrap();
        let next = &of_who[place + 1];
        assert!(!is_decision(next) && record(next) == record(decision), "{next}");
        assert!(code(decision, "/recorded") <= code(next, "/recorded"));
        assert!(next["entity"].to_string().contains("Observation/obs-ann-1"), "{next}");
    }
    // Found by what it names, and by no other.
    assert_eq!(world.trail(&auditor, &format!("{DECISION}&entity=Consent/c")).await, found[..1]);
    assert_eq!(world.trail(&auditor, &format!("{DECISION}&entity=Consent/d")).await, found[1..]);
    assert_eq!(world.trail(&auditor, &format!("{DECISION}&outcome=8&agent=Practitioner/who")).await, found[1..]);
    let system = "subtype=https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType|AuthZ-Consent&outcome=8";
    assert_eq!(world.trail(&auditor, system).await, found[1..]);
    assert!(world.trail(&auditor, "subtype=http://elsewhere|AuthZ-Consent").await.is_empty());
    let others = world.trail(&auditor, "patient=ann&subtype:not=AuthZ-Consent").await;
    assert!(!others.is_empty() && !others.iter().any(is_decision));

    // To whoever asked, what a consent hides is what is not there.
    let absent = world.server.client.get("/fhir/Observation/obs-ann-9").bearer(&who).send().await;
    assert_eq!((hidden.status, hidden.text()), (absent.status, absent.text()));
    assert_eq!(world.decisions(&auditor, "").await, found, "of what is not there nothing was decided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_see_what_their_consents_decided_and_others_in_their_trail_see_no_denial() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let (ann, carer) = (world.trail_of_ann("ann").await, world.trail_of_ann("carer").await);
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let other = world.server.add_app("other", super::SCOPE, false).await;
    let other = other.access_token("launch/patient patient/*.cruds patient/AuditEvent.rs", "ann", PASSWORD).await;
    // The representative is denied, too, and an app that Ann holds in her hands.
    let app = json!({"identifier": {"system": world.server.server.settings.public_url, "value": "other"}});
    let family = json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "FAMRQT"}]);
    let denials = [("e", json!({"type": "deny", "actor": actor(app)})), ("f", json!({"type": "deny", "purpose": family}))];
    world.server.import(&denials.map(|(own, denial)| consent(own, denial))).await;
    world.server.import(&[consent("c", for_who("permit"))]).await;
    let read =
        async |token: &str| world.server.client.get("/fhir/Observation/obs-ann-1").bearer(token).send().await.status.as_u16();
    assert_eq!((read(&who).await, read(&carer).await), (200, 404));
    assert_eq!(read(&other).await, 404);

    let decisions = async |token: &str| {
        let found = world.decisions(token, "").await;
        found.iter().map(|event| (code(event, "/outcome").to_owned(), consents(event).join(" "))).collect::<Vec<_>>()
    };
    let [permit, by_carer, by_app] =
        [("0", "c"), ("8", "f"), ("8", "e")].map(|(outcome, consent)| (outcome.to_owned(), consent.to_owned()));
    let named = |found: Vec<(String, String)>| {
        let id = |reference: &str| reference.split('/').nth(1).unwrap_or_default().to_owned();
        found.into_iter().map(|(outcome, reference)| (outcome, id(&reference))).collect::<Vec<_>>()
    };
    assert_eq!(named(decisions(&auditor).await), [permit.clone(), by_carer.clone(), by_app]);
    assert_eq!(named(decisions(&ann).await), [permit.clone(), by_carer.clone()], "the app's own denial is not told to apps");
    assert_eq!(named(decisions(&other).await), [permit.clone(), by_carer]);
    assert_eq!(named(decisions(&carer).await), [permit], "nobody learns here that the patient keeps somebody out");

    let denial = world.decisions(&ann, "outcome=8").await.remove(0);
    let by_id = async |token: &str| {
        let path = format!("/fhir/AuditEvent/{}", code(&denial, "/id"));
        world.server.client.get(&path).bearer(token).send().await.status.as_u16()
    };
    assert_eq!((by_id(&ann).await, by_id(&auditor).await, by_id(&carer).await), (200, 200, 404));
    // The events of the attempts themselves are numbered as if nothing stood before them.
    let attempts = world.trail(&ann, "subtype=read&entity=Observation/obs-ann-1").await;
    assert!(attempts.len() > 1 && attempts.iter().all(|event| code(event, "/id").ends_with("-1")), "{attempts:?}");
    // Nor do they tell a representative what is there, and who is kept from it: of the two attempts in vain that of the patient's own app alone.
    let in_vain = async |token: &str| {
        let found = world.server.client.get("/fhir/AuditEvent?subtype=read&outcome=4").bearer(token).send().await.json();
        ids(&found)
    };
    let (by_both, by_own) = (in_vain(&ann).await, in_vain(&carer).await);
    assert_eq!((by_both.len(), by_own.len()), (2, 1));
    let hidden = by_both.iter().find(|id| !by_own.contains(id)).unwrap();
    let by_id = async |token: &str| {
        world.server.client.get(&format!("/fhir/AuditEvent/{hidden}")).bearer(token).send().await.status.as_u16()
    };
    assert_eq!((by_id(&ann).await, by_id(&auditor).await, by_id(&carer).await), (200, 200, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_consent_required_and_none_on_file_nothing_is_exchanged_and_that_is_recorded() {
    verifies!("SEED-USCORE-25");
    let world = world(ImplicitPolicy::Deny).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let search = async || world.server.client.get("/fhir/Observation?patient=ann").bearer(&who).send().await;
    let refused = search().await;
    assert!(refused.status == 200 && ids(&refused.json()).is_empty(), "{}", refused.text());
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&who).send().await.status, 404);
    let denied = world.decisions(&auditor, "patient=ann").await;
    assert_eq!(denied.len(), 2, "{denied:?}");
    for event in &denied {
        assert_eq!((code(event, "/outcome"), consents(event).len()), ("8", 0));
        assert!(code(event, "/outcomeDesc").contains("https://profiles.ihe.net/ITI/PCF/Policy-deny"), "{event}");
    }
    // Of whom there is no relationship, and of nobody, nothing was decided.
    for name in ["bob", "nobody"] {
        let reply = world.server.client.get(&format!("/fhir/Observation?patient={name}")).bearer(&who).send().await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(world.decisions(&auditor, "").await.len(), 2);

    world.server.import(&[consent("c", for_who("permit"))]).await;
    let found = search().await;
    assert_eq!((found.status.as_u16(), ids(&found.json()).len()), (200, 2));
    let version = world.version_of("c").await;
    let events = world.trail(&auditor, "patient=ann&agent=Practitioner/who").await;
    let place = events.iter().rposition(is_decision).unwrap();
    let (decision, data) = (&events[place], &events[place + 1]);
    assert_eq!((code(decision, "/outcome"), consents(decision)), ("0", vec![&*version]));
    assert_eq!((record(data), code(data, "/subtype/0/code"), code(data, "/outcome")), (record(decision), "search-type", "0"));
    assert!(code(decision, "/recorded") <= code(data, "/recorded"));

    // A search that a Consent empties names it.
    world.server.import(&[consent("d", for_who("deny"))]).await;
    assert!(ids(&search().await.json()).is_empty());
    let version = world.version_of("d").await;
    let last = world.decisions(&auditor, "patient=ann").await.pop().unwrap();
    assert_eq!((code(&last, "/outcome"), consents(&last)), ("8", vec![&*version]));
    let counted = world.server.client.get("/fhir/Observation?patient=ann&_summary=count").bearer(&who).send().await.json();
    assert_eq!(counted["total"], 0);
    let again = world.decisions(&auditor, "entity=Consent/d").await;
    assert_eq!(again.len(), 2, "also where only the number is asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_record_of_two_patients_it_is_told_who_keeps_it_back() {
    let world = world(ImplicitPolicy::Deny).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let both = ["Patient/ann", "Patient/bob"].map(|name| json!({"actor": {"reference": name}, "status": "accepted"}));
    let shared = json!({"resourceType": "Appointment", "id": "shared", "status": "booked", "participant": both});
    world.server.import(&[shared.to_string(), consent("c", for_who("permit"))]).await;
    let read = async || world.server.client.get("/fhir/Appointment/shared").bearer(&who).send().await.status.as_u16();
    let denials = async || {
        let of = async |name: &str| {
            let found = world.decisions(&auditor, &format!("patient={name}&outcome=8")).await;
            found.iter().map(|event| consents(event).len()).collect::<Vec<_>>()
        };
        (of("ann").await, of("bob").await)
    };
    // She lets him in; the other one has said nothing.
    assert_eq!((read().await, denials().await), (404, (vec![], vec![0])));
    // She keeps him out, and the other one has still said nothing.
    world.server.import(&[consent("d", for_who("deny"))]).await;
    assert_eq!((read().await, denials().await), (404, (vec![1], vec![0, 0])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_finds_nothing_is_no_denial_where_consents_tell_records_apart() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let old = json!({"type": "deny", "dataPeriod": {"start": "2010-01-01", "end": "2011-12-31"}});
    world.server.import(&[consent("c", old)]).await;
    for query in [
        "Observation?patient=ann&_summary=count",
        "Observation?patient=ann&date=2004",
        "Observation?patient=ann&_summary=count&date=2004",
    ] {
        assert_eq!(world.server.client.get(&format!("/fhir/{query}")).bearer(&who).send().await.status, 200, "{query}");
    }
    assert!(world.decisions(&auditor, "").await.is_empty());
    // What denies everything denies what was not found, and not what was counted.
    world
        .server
        .import(&[consent(
            "d",
            json!({"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}]}),
        )])
        .await;
    let counted = world.server.client.get("/fhir/Observation?patient=ann&_summary=count").bearer(&who).send().await.json();
    assert!(counted["total"].as_u64().unwrap() > 0 && world.decisions(&auditor, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_in_a_record_that_is_not_open_anyway_is_no_denial_by_its_consents() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let (anns, bobs) = (consent("c", json!({"type": "deny"})), consent("b", json!({"type": "deny"})));
    world.server.import(&[anns, bobs.replace("Patient/ann", "Patient/bob")]).await;
    let search = async |patient: &str| {
        let found = world.server.client.get(&format!("/fhir/Observation?patient={patient}")).bearer(&who).send().await;
        assert_eq!((found.status.as_u16(), &found.json()["entry"]), (200, &Value::Null));
        world.decisions(&auditor, "").await.len()
    };
    assert_eq!(search("bob").await, 0, "the record of whom the clinician does not treat is closed, whatever he says");
    assert_eq!(search("ann").await, 1, "that of whom the clinician treats is closed by what she says");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_names_each_consent_once_and_says_where_it_does_not_name_all() {
    let world = world(ImplicitPolicy::Deny).await;
    let observations: Vec<String> =
        (0..60).map(|number| observation(&format!("many-{number}"), "ann", "4548-4", "5.60", "2020-01-01")).collect();
    world.server.import(&observations).await;
    let permit = |number: usize| {
        let reference = json!({"reference": format!("Observation/many-{number}")});
        let data = json!([{"meaning": "instance", "reference": reference}]);
        consent(&format!("c{number:02}"), json!({"type": "permit", "data": data}))
    };
    world.server.import(&(0..11).map(permit).collect::<Vec<_>>()).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let search = async || ids(&world.server.client.get("/fhir/Observation?_count=100").bearer(&who).send().await.json()).len();
    assert_eq!(search().await, 11);
    let found = world.decisions(&auditor, "").await;
    assert_eq!((found.len(), consents(&found[0]).len()), (1, 8), "{found:?}");
    assert!(code(&found[0], "/outcomeDesc").contains("at least 3 more"), "{}", found[0]);
    world.server.import(&[consent("all", for_who("permit"))]).await;
    assert_eq!(search().await, 62, "all of Ann's");
    let found = world.decisions(&auditor, "entity=Consent/all").await;
    assert_eq!((found.len(), consents(&found[0]).iter().filter(|named| named.starts_with("Consent/all/")).count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_interaction_that_rests_on_a_consent_has_its_event() {
    let world = world(ImplicitPolicy::Deny).await;
    world.server.import(&[consent("c", for_who("permit"))]).await;
    let (who, auditor) = (world.clinicians().await, world.auditors().await);
    let version = world.version_of("c").await;
    let client = &world.server.client;
    let text = observation("obs-ann-1", "ann", "4548-4", "6.00", "2020-01-01");
    let new = text.replace("\"id\":\"obs-ann-1\",", "");
    let get = |url: &str| json!({"request": {"method": "GET", "url": url}});
    let bundle =
        |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": [get("Observation/obs-ann-2")]}).to_string();
    let mut seen = 0;
    for (asked, interaction, count) in [
        (client.get("/fhir/Observation/obs-ann-1"), "read", 1),
        (client.get("/fhir/Observation/obs-ann-1/_history"), "history-instance", 1),
        (client.request(Method::PUT, "/fhir/Observation/obs-ann-1").fhir(text), "update", 1),
        (client.post("/fhir/Observation").fhir(new), "create", 1),
        (client.request(Method::DELETE, "/fhir/Observation/obs-ann-1"), "delete", 1),
        (client.post("/fhir").fhir(bundle("batch")), "read", 1),
        (client.post("/fhir").fhir(bundle("transaction")), "read", 1),
        // What it is about, and each type of which something is there.
        (client.get("/fhir/Patient/ann/$everything?_type=Observation,Encounter"), "operation", 3),
    ] {
        let reply = asked.bearer(&who).send().await;
        assert!(reply.status.is_success(), "{interaction} {} {}", reply.status, reply.text());
        let found = world.decisions(&auditor, "agent=Practitioner/who").await;
        let fresh = &found[seen..];
        assert_eq!(fresh.len(), count, "{interaction} {fresh:?}");
        seen = found.len();
        for event in fresh {
            assert_eq!((code(event, "/outcome"), consents(event)), ("0", vec![&*version]), "{interaction}");
        }
        let last = record(fresh.last().unwrap()).to_owned();
        let events = world.trail(&auditor, "agent=Practitioner/who").await;
        let of_it: Vec<_> = events.iter().filter(|event| record(event) == last).collect();
        assert!(is_decision(of_it[0]), "{interaction}");
        assert!(of_it[1..].iter().any(|event| code(event, "/subtype/0/code") == interaction), "{interaction} {of_it:?}");
    }
    // Refused changes of a record that a consent hides.
    world.server.import(&[consent("d", for_who("deny"))]).await;
    let denied_by = world.version_of("d").await;
    let text = observation("obs-ann-2", "ann", "4548-4", "6.00", "2020-01-01");
    for asked in [
        client.request(Method::PUT, "/fhir/Observation/obs-ann-2").fhir(text),
        client.request(Method::DELETE, "/fhir/Observation/obs-ann-2"),
        client.get("/fhir/Observation/obs-ann-2/_history"),
        client.get("/fhir/Patient/ann/$everything"),
    ] {
        assert_eq!(asked.bearer(&who).send().await.status, 404);
        let found = world.decisions(&auditor, "agent=Practitioner/who").await;
        assert_eq!((found.len(), code(&found[seen], "/outcome"), consents(&found[seen])), (seen + 1, "8", vec![&*denied_by]));
        seen += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_consent_decides_has_no_such_event() {
    let world = world(ImplicitPolicy::AllNormal).await;
    let (ann, who, auditor) = (world.ann().await, world.clinicians().await, world.auditors().await);
    let all = async || {
        for token in [&ann, &who] {
            for path in ["Observation/obs-ann-1", "Observation?patient=ann", "Observation/obs-bob-1", "Observation/none"] {
                world.server.client.get(&format!("/fhir/{path}")).bearer(token).send().await;
            }
        }
    };
    all().await;
    // A consent that is about somebody else decides nothing of this.
    world
        .server
        .import(&[consent("c", json!({"type": "deny", "actor": actor(json!({"reference": "Practitioner/other"}))}))])
        .await;
    all().await;
    assert!(world.decisions(&auditor, "").await.is_empty());
    assert!(world.server.records().iter().flat_map(|record| &record.operations).all(|operation| operation.consents.is_empty()));
}
