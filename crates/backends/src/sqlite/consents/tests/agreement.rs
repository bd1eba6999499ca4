//! The statement shows what `decide` permits: random consents in every standing, random records, and several requesters under each implicit policy.

use std::cell::Cell;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::search::{Handling, SearchContext, SearchQuery};
use portcullis_oauth::principal::{Circumstances, ImplicitPolicy};
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::Asking;
use portcullis_policy::rules::consent::{Context, check};
use portcullis_policy::{Decision, DecisionId, Operation, PermittedOperation, decide};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;
use rusqlite::Connection;

use super::super::super::parameters::Parameters;
use super::super::super::read::{COLUMNS, open_row};
use super::super::condition::consented;
use super::super::sight::Sight;
use super::*;

const CASES: u32 = 20;
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const PROFILE: &str = "https://example.org/profile";
const CODES: [&str; 3] = ["4548-4", "8867-4", "2339-0"];
/// Whom a search names: nobody, one of the two patients, both.
const NAMED: [&str; 4] = ["", "pat", "quinn", "pat,quinn"];
const RECORDS: [(&str, &str); 7] = [
    ("Observation", "o0"),
    ("Observation", "o1"),
    ("Observation", "o2"),
    ("Condition", "c0"),
    ("Condition", "c1"),
    ("Encounter", "e0"),
    ("Coverage", "k0"),
];

fn labels() -> Vec<Value> {
    let sensitivities = ["HIV", "ETH", "ETHUD", "PSY"].map(|code| coding(ACT_CODE, code));
    ["N", "R", "V"].map(|code| coding(CONFIDENTIALITY, code)).into_iter().chain(sensitivities).collect()
}

fn some(pool: Vec<Value>, weight: u32) -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![7 => Just(Vec::new()), weight => subsequence(pool, 1..=2)]
}

/// The criteria of a provision.
fn criteria() -> impl Strategy<Value = Value> {
    let actors = ["doc", "other", "nobody"].map(practitioner).into_iter().chain(["client", "elsewhere"].map(client));
    let others = ["Organization/org", "CareTeam/team"].map(|target| actor(json!({"reference": target})));
    let data = |meaning: &str, target: &str| json!({"meaning": meaning, "reference": {"reference": target}});
    let meant = ["instance", "related", "dependents", "authoredby"];
    let data: Vec<Value> = meant
        .into_iter()
        .flat_map(|meaning| ["Observation/o0", "Encounter/e0", "Practitioner/doc"].map(|target| data(meaning, target)))
        .collect();
    let classes = ["Observation", "Condition"].map(|name| coding("http://hl7.org/fhir/resource-types", name));
    let classes = classes.into_iter().chain([coding("urn:ietf:rfc:3986", PROFILE)]).collect();
    let spans = vec![json!({"start": "2024-03-01"}), json!({"start": "2024-01-01", "end": "2024-04-30"}), json!({"end": "2023"})];
    (
        some(actors.chain(others).collect(), 4),
        some(["TREAT", "HPAYMT", "PATRQT"].map(|code| coding(ACT_REASON, code)).to_vec(), 2),
        some(["access", "correct", "collect"].map(|code| concept(ACTION, code)).to_vec(), 1),
        some(labels(), 3),
        some(classes, 3),
        some(CODES.map(|code| concept("http://loinc.org", code)).to_vec(), 3),
        option::weighted(0.2, select(spans)),
        some(data, 2),
    )
        .prop_map(|(actors, purposes, actions, labels, classes, codes, span, data)| {
            let mut provision = json!({});
            for (name, values) in [
                ("actor", actors),
                ("purpose", purposes),
                ("action", actions),
                ("securityLabel", labels),
                ("class", classes),
                ("code", codes),
                ("data", data),
            ] {
                if !values.is_empty() {
                    provision[name] = values.into();
                }
            }
            if let Some(span) = span {
                provision["dataPeriod"] = span;
            }
            provision
        })
}

fn with(mut provision: Value, permits: bool, nested: Vec<Value>) -> Value {
    provision["type"] = if permits { "permit" } else { "deny" }.into();
    if !nested.is_empty() {
        provision["provision"] = nested.into();
    }
    provision
}

/// What is nested in a denial permits, else nothing is left of it.
fn provision() -> impl Strategy<Value = Value> {
    let leaf = criteria();
    let inner = (criteria(), vec(leaf, 0..2));
    (any::<bool>(), prop_oneof![Just(json!({})), criteria()], vec(inner, 0..3)).prop_map(|(permits, top, nested)| {
        let nested = nested.into_iter().map(|(criteria, leaves)| {
            let leaves = leaves.into_iter().map(|leaf| with(leaf, permits, Vec::new())).collect();
            with(criteria, !permits, leaves)
        });
        with(top, permits, nested.collect())
    })
}

/// A consent that may be stored.
fn acceptable(own: usize, subject: &'static str) -> impl Strategy<Value = Value> {
    (provision(), option::weighted(0.3, select(vec!["2024-02-01", "2030-01-01"])), any::<bool>())
        .prop_map(move |(provision, given, in_series)| {
            let mut consent = consent(&format!("consent{own}"), subject, provision);
            if let Some(given) = given {
                consent["dateTime"] = given.into();
            }
            if in_series {
                consent["organization"] = json!([{"reference": "Organization/org"}]);
                consent["policy"] = json!([{"uri": "https://example.org/series"}]);
            }
            consent
        })
        .prop_filter("refused", |consent| {
            let resource = Resource::parse(consent.to_string().as_bytes()).unwrap();
            check(&resource, &Context::of(BASE), None).is_empty()
        })
}

fn record(type_name: &'static str, own: &'static str) -> impl Strategy<Value = Value> {
    let code = select(CODES.to_vec()).prop_map(|code| concept("http://loinc.org", code));
    let date = option::weighted(0.8, select(vec!["2024-03-10", "2024", "2022-01-01", "2024-06-01T10:00:00Z"]));
    let of = |pool: &[&'static str]| option::weighted(0.4, select(pool.to_vec()));
    (code, date, subsequence(labels(), 0..=2), any::<bool>(), of(&["e0", "pat-doc"]), of(&["doc", "other"]), of(&["o0", "o1"]))
        .prop_map(move |(code, date, labels, claims, visit, author, basis)| {
            let mut record = json!({"resourceType": type_name, "id": own, "subject": {"reference": "Patient/pat"}, "meta": {}});
            let reference = |target: String| json!({"reference": target});
            if !labels.is_empty() {
                record["meta"]["security"] = labels.into();
            }
            if claims {
                record["meta"]["profile"] = json!([PROFILE]);
            }
            if record["meta"] == json!({}) {
                record.as_object_mut().unwrap().remove("meta");
            }
            match type_name {
                "Observation" => {
                    record["status"] = "final".into();
                    record["code"] = code;
                    if let Some(date) = date {
                        record["effectiveDateTime"] = date.into();
                    }
                    if let Some(author) = author {
                        record["performer"] = json!([reference(format!("Practitioner/{author}"))]);
                    }
                    if let Some(basis) = basis {
                        record["derivedFrom"] = json!([reference(format!("Observation/{basis}"))]);
                    }
                }
                "Condition" => {
                    record["code"] = code;
                    if let Some(date) = date {
                        record["onsetDateTime"] = date.into();
                    }
                    if let Some(author) = author {
                        record["recorder"] = reference(format!("Practitioner/{author}"));
                    }
                }
                // About both patients.
                "Coverage" => {
                    record["status"] = "active".into();
                    record["beneficiary"] = record["subject"].take();
                    record.as_object_mut().unwrap().remove("subject");
                    record["subscriber"] = reference("Patient/quinn".to_owned());
                    record["payor"] = json!([reference("Organization/org".to_owned())]);
                    return record;
                }
                _ => {
                    record["status"] = "finished".into();
                    record["class"] = json!({"code": "AMB"});
                    if let Some(basis) = basis {
                        record["reasonReference"] = json!([reference(format!("Observation/{basis}"))]);
                    }
                    return record;
                }
            }
            if let Some(visit) = visit {
                record["encounter"] = reference(format!("Encounter/{visit}"));
            }
            record
        })
}

/// The records and consents of two patients, in the order in which they are stored.
#[derive(Debug)]
struct Case {
    records: Vec<Value>,
    /// Each consent as it was confirmed (`None`: never), and as it was written after that.
    consents: Vec<(Option<Value>, Option<Value>)>,
    has_role: bool,
    deleted: Option<usize>,
    rewritten: Option<Value>,
}

fn case() -> impl Strategy<Value = Case> {
    let records: Vec<_> = RECORDS.into_iter().map(|(type_name, own)| record(type_name, own)).collect();
    let version = |own| {
        let subject = if own < 3 { "pat" } else { "quinn" };
        let withdrawn = acceptable(own, subject).prop_map(super::withdrawn);
        prop_oneof![4 => acceptable(own, subject), 1 => withdrawn]
    };
    let consent = move |own| (option::weighted(0.7, version(own)), option::weighted(0.4, version(own)));
    let consents: Vec<_> = (0..5).map(consent).collect();
    (records, consents, any::<bool>(), option::weighted(0.3, 0..4_usize), option::weighted(0.5, record("Observation", "o1")))
        .prop_map(|(records, consents, has_role, deleted, rewritten)| Case { records, consents, has_role, deleted, rewritten })
}

async fn stored(case: &Case) -> World {
    let mut texts: Vec<String> = case.records.iter().map(Value::to_string).collect();
    if case.has_role {
        let role = json!({"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/doc"},
            "organization": {"reference": "Organization/org"}});
        texts.push(role.to_string());
    }
    let world = world(&texts).await;
    for (number, (confirmed, written)) in case.consents.iter().enumerate() {
        if let Some(confirmed) = confirmed {
            world.commit(Who::Operator, vec![import(&confirmed.to_string())]).await.unwrap();
        }
        let written = written.as_ref().map(Value::to_string);
        let change = match (confirmed, written) {
            (_, None) => continue,
            (None, Some(written)) => portcullis_policy::Change::Create(version(&written, "v1", 1_000)),
            (Some(_), Some(written)) => update(&written, &format!("v{number}w"), None),
        };
        // A consent may keep the patient's own app from writing more.
        let _ = world.commit(PAT, vec![change]).await;
    }
    let (type_name, own) = case.deleted.map_or(("", ""), |number| RECORDS[number]);
    if !own.is_empty() {
        let _ = world.commit(PAT, vec![delete(type_name, own, "end", None)]).await;
    }
    if let Some(rewritten) = &case.rewritten {
        let _ = world.commit(PAT, vec![update(&rewritten.to_string(), "again", None)]).await;
    }
    world
}

fn asking(who: Who<'_>, implicit: ImplicitPolicy) -> portcullis_oauth::principal::Principal {
    who.principal().asking(Circumstances { implicit, ..circumstances() })
}

fn naming(patients: &str) -> SearchQuery {
    let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: 1_800_000_000_000 };
    let pairs: Vec<_> = (!patients.is_empty()).then(|| ("patient".to_owned(), patients.to_owned())).into_iter().collect();
    portcullis_fhir::search::parse(resource_type("Observation"), &pairs, &context).unwrap()
}

/// One record: its name, whether the statement shows it, and whether `decide` permits it.
type Compared = (String, bool, bool);

/// What the statement of a search that names these patients shows of all records, beside what `decide` permits; and whether some are not asked again.
fn compare(world: &World, who: Who<'_>, implicit: ImplicitPolicy, (letter, named): (Letter, &str)) -> (Vec<Compared>, bool) {
    let read = Read { resource_type: resource_type("Observation"), id: id("o0") };
    let decided = decide(DecisionId(1), &asking(who, implicit), Operation::Read(read));
    let Decision::Permit(_, PermittedOperation::Read(read)) = decided else { panic!() };
    let seal = world.store.seal();
    let work = |connection: &Connection| {
        let sight = Sight::of_search(connection, seal, read.constraint(), &naming(named))?;
        let of_sight = sight.constraint().question();
        let Some(question) = of_sight.or(read.constraint().question()) else { return Ok((Vec::new(), false)) };
        let agree = of_sight.is_some_and(|question| !question.agreed().is_empty());
        // Of each record, and where patients who let whoever asks have everything are not asked again.
        let (question, mut parameters) = (&question.where_agreed(Vec::new()), Parameters::default());
        let shown = consented(Asking { question, letter }, "r", false, &mut parameters);
        let agreed = of_sight
            .map_or_else(|| "1".to_owned(), |question| consented(Asking { question, letter }, "r", false, &mut parameters));
        // Nothing of anybody else lies within what a patient may ask for.
        let within = if matches!(who, Who::Patient(_)) { "%pat%" } else { "_%" };
        let sql = format!(
            "SELECT {COLUMNS}, ({shown}) IS TRUE, ({agreed}) IS TRUE FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.patients LIKE '{within}' ORDER BY l.id"
        );
        let mut rows = Vec::new();
        parameters
            .for_each_row(connection, &sql, |row| {
                let (each, with_agreed) = (row.get::<_, bool>(10)?, row.get::<_, bool>(11)?);
                assert_eq!(each, with_agreed, "{who:?} {implicit:?} {letter:?} {named}");
                rows.push((open_row(connection, seal, row).unwrap().1, each));
                Ok(true)
            })
            .unwrap();
        let consulted = sight.consult(connection, seal, &rows.iter().map(|(version, _)| version).collect::<Vec<_>>())?;
        let row = |(version, shown): (portcullis_policy::StoredVersion, bool)| {
            let permitted = consulted.permits(question, letter, &version);
            (format!("{}/{}", version.resource_type, version.id), shown, permitted)
        };
        Ok((rows.into_iter().map(row).collect(), agree))
    };
    world.store.readers().with_snapshot(work).unwrap()
}

#[test]
fn the_statement_shows_what_a_decision_permits() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (tally, agreeing): ([Cell<u32>; 2], Cell<u32>) = Default::default();
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() });
    // A change asks of each record, whoever is named.
    let ways = NAMED.map(|named| (Letter::Read, named)).into_iter().chain([(Letter::Update, "")]);
    let outcome = runner.run(&case(), |case| {
        let world = runtime.block_on(stored(&case));
        for who in [DOC, OTHER, PAT] {
            for implicit in ImplicitPolicy::ALL {
                for way in ways.clone() {
                    let (compared, agree) = compare(&world, who, implicit, way);
                    agreeing.set(agreeing.get() + u32::from(agree));
                    for (name, shown, permitted) in compared {
                        let place = &tally[usize::from(permitted)];
                        place.set(place.get() + 1);
                        prop_assert_eq!(shown, permitted, "{} {:?} {:?} {:?}", name, who, implicit, way);
                    }
                }
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let [denied, permitted] = tally.map(Cell::into_inner);
    assert!(denied > 1_000 && permitted > 1_000, "{denied} denied, {permitted} permitted");
    assert!(agreeing.get() > 20, "{} searches asked of patients who let whoever asks have everything", agreeing.get());
}
