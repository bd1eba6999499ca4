//! Security labels in the store: what they hide, that they never fall, and that all stored versions can be labelled anew.

use std::sync::Arc;

use portcullis_fhir::interaction::InstanceHistory;
use portcullis_fhir::labels::{Labels, Rules};
use portcullis_policy::Change;
use portcullis_store::relabelling::{RelabelPart, Relabelled};
use portcullis_store::{FhirStore, StoreError};
use portcullis_verifies::verifies;
use proptest::prelude::*;

use super::store::SqliteStore;
use super::testing::*;

const DOC: Who<'_> = Who::Clinician("doc");
const PAT: Who<'_> = Who::Patient("pat");

fn labels(codes: &[&str]) -> Labels {
    codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap())
}

fn claim(code: &str) -> String {
    let (system, code, _) = labels(&[code]).codings().next().unwrap();
    format!(r#"{{"system":"{system}","code":"{code}"}}"#)
}

/// A Condition of Pat with a code of ICD-10-CM, something else, and labels that its writer gave it.
fn condition(own: &str, code: &str, more: &str, claims: &[&str]) -> String {
    let claims: Vec<String> = claims.iter().map(|code| claim(code)).collect();
    let meta = if claims.is_empty() { String::new() } else { format!(r#""meta":{{"security":[{}]}},"#, claims.join(",")) };
    format!(
        r#"{{"resourceType":"Condition","id":"{own}",{meta}"subject":{{"reference":"Patient/pat"}},
        "code":{{"coding":[{{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"{code}"}}]}}{more}}}"#
    )
}

fn provenance(own: &str, target: &str) -> String {
    format!(
        r#"{{"resourceType":"Provenance","id":"{own}","target":[{{"reference":"{target}"}}],"recorded":"2024-01-01T00:00:00Z",
        "agent":[{{"who":{{"reference":"Practitioner/doc"}}}}]}}"#
    )
}

async fn world(more: &[String]) -> World {
    let mut texts = vec![patient("pat"), encounter("enc", "pat", "doc")];
    texts.extend_from_slice(more);
    World::of(&texts).await
}

async fn labels_of(world: &World, type_name: &str, own: &str) -> Labels {
    world.read(Who::Operator, type_name, own).await.unwrap().unwrap().security.labels
}

fn all_versions(type_name: &str, own: &str) -> InstanceHistory {
    InstanceHistory { resource_type: resource_type(type_name), id: id(own), count: 50, since: None, cursor: None }
}

#[tokio::test]
async fn what_a_label_hides_is_found_in_no_way_and_shows_nothing_else() {
    let recorder = r#","recorder":{"reference":"Practitioner/psych"}"#;
    let world = world(&[
        r#"{"resourceType":"Practitioner","id":"psych"}"#.to_owned(),
        condition("open", "E11.9", "", &["N"]),
        condition("hidden", "F10.20", recorder, &["N"]),
        provenance("of-open", "Condition/open"),
        provenance("of-hidden", "Condition/hidden"),
    ])
    .await;
    for (type_name, own) in [("Condition", "hidden"), ("Practitioner", "psych"), ("Provenance", "of-hidden")] {
        assert!(world.read(DOC, type_name, own).await.unwrap().is_none(), "{own}");
        assert!(world.version_read(DOC, type_name, own, "v1").await.unwrap().is_none(), "{own}");
        assert_eq!(world.history(DOC, all_versions(type_name, own)).await.unwrap().total, 0, "{own}");
        assert!(world.read(PAT, type_name, own).await.unwrap().is_some(), "{own}: the own record");
    }
    assert_eq!(world.search(DOC, "Condition", "").await.unwrap(), ["open"]);
    assert!(world.search(DOC, "Practitioner", "").await.unwrap().is_empty());
    assert_eq!(world.search(DOC, "Provenance", "").await.unwrap(), ["of-open"]);
    assert!(world.search(DOC, "Patient", "_has:Condition:patient:code=F10.20").await.unwrap().is_empty());
    assert_eq!(world.search(PAT, "Patient", "_has:Condition:patient:code=F10.20").await.unwrap(), ["pat"]);
    assert_eq!(world.search(PAT, "Condition", "_security=R").await.unwrap(), ["hidden"]);
    assert_eq!(world.search(PAT, "Condition", "_security=ETHUD").await.unwrap(), ["hidden"]);
    assert_eq!(world.search(PAT, "Condition", "_security:not=R").await.unwrap(), ["open"]);
    assert!(world.search(DOC, "Condition", "_security=R").await.unwrap().is_empty());
    let shown = world.read(PAT, "Condition", "hidden").await.unwrap().unwrap();
    let text = String::from_utf8(shown.body.unwrap()).unwrap();
    assert_eq!(text.matches("v3-Confidentiality").count(), 1, "{text}");
    assert!(text.contains(r#""code":"R""#) && text.contains(r#""code":"ETHUD""#), "{text}");
}

#[tokio::test]
async fn labels_in_the_row_are_authenticated() {
    let world = world(&[condition("c", "F10.20", "", &[]), condition("d", "F10.20", "", &[])]).await;
    world.commit(PAT, vec![update(&condition("d", "F10.20", "", &[]), "v2", None)]).await.unwrap();
    world.tamper("UPDATE resource SET security = 0 WHERE pk = (SELECT pk FROM locator WHERE id = 'c')");
    assert!(matches!(world.read(DOC, "Condition", "c").await, Err(StoreError::Corrupt(_))));
    world.tamper("UPDATE version SET security = 0");
    assert!(matches!(world.version_read(PAT, "Condition", "d", "v1").await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn an_earlier_version_needs_the_clearance_for_it_and_for_the_current_one() {
    let world = world(&[condition("c", "E11.9", "", &[])]).await;
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_some());
    world.commit(PAT, vec![update(&condition("c", "F10.20", "", &[]), "v2", None)]).await.unwrap();
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_none());
    assert!(world.version_read(DOC, "Condition", "c", "v1").await.unwrap().is_none());
    assert!(world.version_read(PAT, "Condition", "c", "v1").await.unwrap().is_some());
    // The code is gone, the label is not.
    world.commit(PAT, vec![update(&condition("c", "E11.9", "", &["N"]), "v3", None)]).await.unwrap();
    assert_eq!(labels_of(&world, "Condition", "c").await, labels(&["R", "ETHUD"]));
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_none());
    world.commit(PAT, vec![delete("Condition", "c", "v4", None)]).await.unwrap();
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_none(), "a deletion is as confidential as what it ended");
    assert!(world.read(PAT, "Condition", "c").await.unwrap().unwrap().body.is_none());
}

#[tokio::test]
async fn nobody_writes_above_the_own_clearance_and_what_is_hidden_is_absent() {
    let world = world(&[condition("open", "E11.9", "", &[]), condition("hidden", "B20", "", &[])]).await;
    let outside = |result| matches!(result, Err(StoreError::OutsideBoundary));
    let absent = |result| matches!(result, Err(StoreError::NotFound));
    let create = |code, claims: &[&str]| vec![Change::Create(version(&condition("new", code, "", claims), "v1", 1))];
    assert!(outside(world.commit(DOC, create("B20", &[])).await));
    assert!(outside(world.commit(DOC, create("E11.9", &["R"])).await));
    assert!(outside(world.commit(DOC, vec![update(&condition("open", "B20", "", &[]), "v2", None)]).await));
    assert!(absent(world.commit(DOC, vec![update(&condition("hidden", "E11.9", "", &[]), "v2", None)]).await));
    assert!(absent(world.commit(DOC, vec![delete("Condition", "hidden", "v2", None)]).await));
    assert!(absent(world.commit(DOC, vec![update(&condition("nothing", "E11.9", "", &[]), "v2", None)]).await));
    assert!(world.commit(DOC, create("E11.9", &["N"])).await.is_ok());
    assert!(world.commit(DOC, vec![update(&condition("open", "I10", "", &[]), "v2", None)]).await.is_ok());
    assert!(world.commit(PAT, vec![update(&condition("hidden", "B20", "", &[]), "v2", None)]).await.is_ok());
}

fn prescription(own: &str, medication: &str) -> String {
    format!(
        r#"{{"resourceType":"MedicationRequest","id":"{own}","status":"active","intent":"order","subject":{{"reference":"Patient/pat"}},{medication}}}"#
    )
}

const BUPRENORPHINE: &str = r#"{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"351267"}]}"#;

#[tokio::test]
async fn a_reference_hints_at_the_same_as_a_code() {
    verifies!("LABEL-18");
    let contained = format!(
        r##""contained":[{{"resourceType":"Medication","id":"m","code":{BUPRENORPHINE}}}],"medicationReference":{{"reference":"#m"}}"##
    );
    let world = world(&[
        format!(r#"{{"resourceType":"Medication","id":"bup","code":{BUPRENORPHINE}}}"#),
        prescription("by-code", &format!(r#""medicationCodeableConcept":{BUPRENORPHINE}"#)),
        prescription("by-reference", r#""medicationReference":{"reference":"Medication/bup"}"#),
        prescription("by-contained", &contained),
        prescription("other", r#""medicationReference":{"reference":"Medication/none"}"#),
    ])
    .await;
    for own in ["by-code", "by-reference", "by-contained"] {
        assert_eq!(labels_of(&world, "MedicationRequest", own).await, labels(&["R", "OPIOIDUD"]), "{own}");
    }
    assert_eq!(world.search(DOC, "MedicationRequest", "").await.unwrap(), ["other"]);
    assert!(world.read(DOC, "Medication", "bup").await.unwrap().is_none());
}

/// That an element of what it refers to has a label of its own says nothing of the elements of a resource.
#[tokio::test]
async fn a_reference_hints_at_no_label_of_an_element() {
    const URL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
    let noted = format!(
        r#"{{"resourceType":"Medication","id":"noted","code":{{"text":"x","extension":[{{"url":"{URL}","valueCoding":{{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}}}}]}}}}"#
    );
    let world = world(&[noted, prescription("refers", r#""medicationReference":{"reference":"Medication/noted"}"#)]).await;
    assert!(labels_of(&world, "Medication", "noted").await.contains(Labels::INLINE));
    assert!(!labels_of(&world, "MedicationRequest", "refers").await.contains(Labels::INLINE));
}

/// Whether a clinician is refused, and what is seen of what was written, does not tell that a hidden Medication is there.
#[tokio::test]
async fn a_hint_of_what_is_hidden_tells_its_writer_nothing() {
    let world = world(&[format!(r#"{{"resourceType":"Medication","id":"bup","code":{BUPRENORPHINE}}}"#)]).await;
    for (own, medication) in [("a", "bup"), ("b", "nothing")] {
        let text = prescription(own, &format!(r#""medicationReference":{{"reference":"Medication/{medication}"}}"#));
        let written = world.commit(DOC, vec![Change::Create(version(&text, "v1", 1))]).await.unwrap();
        assert!(written[0].version().body.is_some(), "{own}");
        assert!(world.read(DOC, "MedicationRequest", own).await.unwrap().is_some(), "{own}");
    }
}

fn with_rules(world: World, rules: &str) -> World {
    let World { store, root, directory } = world;
    drop(store);
    let rules = Arc::new(Rules::parse(rules).unwrap());
    let store = SqliteStore::open_labelling(&directory.path().join("portcullis.db"), &root, rules).unwrap();
    World { store, root, directory }
}

#[tokio::test]
async fn changed_rules_apply_to_every_stored_version_without_new_ones() {
    verifies!("LABEL-17");
    let world = with_rules(World::new(), "");
    assert_eq!(world.store.label_anew(BASE).unwrap(), None, "an empty store has nothing to label");
    let texts = [
        patient("pat"),
        encounter("enc", "pat", "doc"),
        prescription("m", r#""medicationReference":{"reference":"Medication/bup"}"#),
        format!(r#"{{"resourceType":"Medication","id":"bup","code":{BUPRENORPHINE}}}"#),
        provenance("p", "Condition/c"),
        condition("c", "F10.20", "", &[]),
        condition("claimed", "E11.9", "", &["V"]),
    ];
    world.commit(Who::Operator, texts.iter().map(|text| import(text)).collect()).await.unwrap();
    world.commit(PAT, vec![update(&condition("c", "E11.9", "", &[]), "v2", None)]).await.unwrap();
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_some());
    let versions = "SELECT (SELECT count(*) FROM version) * 100 + (SELECT count(*) FROM resource)";
    let before = world.integer(versions);

    let world = with_rules(world, Rules::built_in().text());
    let done = world.store.label_anew(BASE).unwrap().unwrap();
    assert_eq!((done.seen, done.unreadable), (8, 0));
    assert_eq!(done.changed, 5, "both versions of the Condition, Medication, MedicationRequest and Provenance");
    assert_eq!(world.store.label_anew(BASE).unwrap(), None, "it is done");
    assert_eq!(world.integer(versions), before);
    for (type_name, own, expected) in [
        ("Condition", "c", vec!["R", "ETHUD"]),
        ("Condition", "claimed", vec!["V"]),
        ("Medication", "bup", vec!["R", "OPIOIDUD"]),
        ("MedicationRequest", "m", vec!["R", "OPIOIDUD"]),
        ("Provenance", "p", vec!["R", "ETHUD"]),
    ] {
        assert_eq!(labels_of(&world, type_name, own).await, labels(&expected), "{own}");
    }
    assert!(world.read(DOC, "Condition", "c").await.unwrap().is_none());
    let first = world.version_read(PAT, "Condition", "c", "v1").await.unwrap().unwrap();
    assert_eq!(first.security.labels, labels(&["R", "ETHUD"]));
    assert_eq!(world.search(PAT, "Condition", "_security=ETHUD").await.unwrap(), ["c"]);

    // Only this way labels fall; what a writer said stays.
    let world = with_rules(world, "# none");
    assert_eq!(world.store.label_anew(BASE).unwrap().unwrap().changed, 5);
    assert_eq!(labels_of(&world, "Condition", "c").await, Labels::NONE);
    assert_eq!(labels_of(&world, "Condition", "claimed").await, labels(&["V"]));
    assert!(world.search(PAT, "Condition", "_security=ETHUD").await.unwrap().is_empty());
    assert_eq!(world.search(PAT, "Condition", "_security=V").await.unwrap(), ["claimed"]);
}

#[tokio::test]
async fn a_label_that_comes_back_from_a_client_stays_the_servers_and_what_a_writer_gave_stays_the_writers() {
    verifies!("LABEL-14");
    let world = with_rules(World::new(), Rules::built_in().text());
    let texts = [patient("pat"), condition("c", "F10.20", "", &[]), condition("given", "E11.9", "", &["PSY"])];
    world.commit(Who::Operator, texts.iter().map(|text| import(text)).collect()).await.unwrap();
    let security = async |world: &World, own: &str| world.read(PAT, "Condition", own).await.unwrap().unwrap().security;
    assert_eq!(security(&world, "c").await.assigned(), labels(&["R", "ETHUD"]));
    assert_eq!(security(&world, "given").await.assigned(), Labels::NONE);
    // As the server sent it: its labels name it, by its base URL.
    let classifier = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-classifier";
    let named =
        format!(r#"{{"extension":[{{"url":"{classifier}","valueReference":{{"identifier":{{"value":"{BASE}"}}}}}}],"system""#);
    let echoed = condition("c", "E11.9", "", &["R", "ETHUD"])
        .replace("{\"system\":\"http://terminology", &format!("{named}:\"http://terminology"));
    assert!(echoed.contains(classifier));
    world.commit(PAT, vec![update(&echoed, "v2", None)]).await.unwrap();
    let kept = security(&world, "c").await;
    assert_eq!((kept.assigned(), kept.residual), (labels(&["R", "ETHUD"]), false), "nothing of it stays in the body");
    // The next version has what its writer left out, and it is nobody else's: after a deletion, too.
    world.commit(PAT, vec![update(&condition("given", "E11.9", "", &[]), "v2", None)]).await.unwrap();
    assert_eq!(
        (security(&world, "given").await.claimed, security(&world, "given").await.assigned()),
        (labels(&["PSY"]), Labels::NONE)
    );
    world.commit(PAT, vec![delete("Condition", "given", "v3", None)]).await.unwrap();
    world.commit(Who::Operator, vec![Change::Import(version(&condition("given", "E11.9", "", &[]), "v4", 4_000))]).await.unwrap();
    assert_eq!(security(&world, "given").await.claimed, labels(&["PSY"]));
    // Labelling anew takes away what rules gave, also where it came back, and keeps what writers gave as theirs.
    let world = with_rules(world, "# none");
    world.store.label_anew(BASE).unwrap().unwrap();
    assert_eq!(security(&world, "c").await.labels, Labels::NONE);
    let given = security(&world, "given").await;
    assert_eq!((given.labels, given.claimed), (labels(&["PSY"]), labels(&["PSY"])));
}

#[tokio::test]
async fn what_several_rules_know_has_the_labels_of_all_and_one_confidentiality() {
    verifies!("LABEL-11");
    verifies!("LABEL-12");
    let world = with_rules(
        World::new(),
        "@icd = http://hl7.org/fhir/sid/icd-10-cm\n@icd | F1* -> N ETH SUD\n@icd | F10.20 -> R 42CFRPart2 NORDSCLCD",
    );
    world.commit(Who::Operator, vec![import(&patient("pat")), import(&condition("c", "F10.20", "", &[]))]).await.unwrap();
    let shown = world.read(PAT, "Condition", "c").await.unwrap().unwrap();
    let body = portcullis_fhir::json::parse(&shown.body.unwrap()).unwrap();
    let security = body.member("meta").unwrap().member("security").unwrap();
    let codes: Vec<&str> = security.items().iter().map(|coding| coding.member("code").unwrap().as_str().unwrap()).collect();
    assert_eq!(codes, ["R", "ETH", "SUD", "42CFRPart2", "NORDSCLCD"]);
}

#[tokio::test]
async fn a_run_that_was_interrupted_goes_on_and_other_rules_begin_anew() {
    let world = with_rules(World::new(), "");
    let texts: Vec<String> =
        (0..300).map(|number| condition(&format!("c{number}"), "B20", "", &[])).chain([patient("pat")]).collect();
    world.commit(Who::Operator, texts.iter().map(|text| import(text)).collect()).await.unwrap();
    let world = with_rules(world, "http://hl7.org/fhir/sid/icd-10-cm | B20 -> R HIV");
    world.store.label_anew(BASE).unwrap().unwrap();
    world.tamper("UPDATE label_run SET place = '3 200'");
    let again = world.store.label_anew(BASE).unwrap().unwrap();
    assert!((1..301).contains(&again.seen) && again.changed == 0, "{again:?}");
    world.tamper("UPDATE label_run SET rules = x'00'");
    assert_eq!(world.store.label_anew(BASE).unwrap().unwrap().seen, 301);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_a_run_goes_on_part_by_part() {
    let world = with_rules(World::new(), "http://hl7.org/fhir/sid/icd-10-cm | B20 -> N HIV");
    let texts: Vec<String> = (0..2100).map(|number| condition(&format!("c{number}"), "B20", "", &[])).collect();
    world.commit(Who::Operator, texts.iter().map(|text| import(text)).collect()).await.unwrap();
    let world = with_rules(world, "http://hl7.org/fhir/sid/icd-10-cm | B20 -> R PSY");
    let run = async |dry_run: bool| {
        let (mut done, mut place, mut parts) = (Relabelled::default(), None, 0);
        loop {
            done.add(world.store.relabel(RelabelPart { dry_run, place: place.take() }, BASE).await.unwrap());
            parts += 1;
            match done.place.clone() {
                None => return (done, parts),
                next => place = next,
            }
        }
    };
    for (dry_run, changed) in [(true, 2100), (true, 2100), (false, 2100), (true, 0)] {
        let (done, parts) = run(dry_run).await;
        assert!(parts > 1);
        assert_eq!((done.resources, done.total, done.versions, done.changed), (2100, 2100, 2100, changed));
        let counts = |codes: &[&str]| codes.iter().filter(|_| changed > 0).map(|code| ((*code).to_owned(), changed)).collect();
        assert_eq!((done.gained, done.lost), (counts(&["PSY", "R"]), counts(&["HIV", "N"])));
    }
    assert_eq!(labels_of(&world, "Condition", "c7").await, labels(&["R", "PSY"]));
    // What was interrupted goes on, and is not begun anew.
    world.tamper("UPDATE label_run SET place = '3 2000'");
    let done = world.store.relabel(RelabelPart { dry_run: false, place: None }, BASE).await.unwrap();
    assert!(done.resources < 2100, "{done:?}");
    assert!(world.store.relabel(RelabelPart { dry_run: true, place: Some("1".into()) }, BASE).await.is_err());
}

#[tokio::test]
async fn the_same_import_again_makes_no_version_and_lowers_nothing() {
    let world = world(&[condition("c", "F10.20", "", &[])]).await;
    world.commit(PAT, vec![update(&condition("c", "F10.20", "", &["V"]), "v2", None)]).await.unwrap();
    let again = world.commit(Who::Operator, vec![import(&condition("c", "F10.20", "", &[]))]).await.unwrap();
    assert!(matches!(again.as_slice(), [portcullis_policy::Written::Unchanged(_)]), "{again:?}");
    assert_eq!(labels_of(&world, "Condition", "c").await, labels(&["V", "ETHUD"]));
    let other = world.commit(Who::Operator, vec![import(&condition("c", "E11.9", "", &[]))]).await.unwrap();
    assert!(matches!(other.as_slice(), [portcullis_policy::Written::Updated(_)]));
    assert_eq!(labels_of(&world, "Condition", "c").await, labels(&["V", "ETHUD"]));
}

#[derive(Clone, Debug)]
enum Step {
    Update(&'static str, Vec<&'static str>),
    Import(&'static str, Vec<&'static str>),
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    let content = || {
        let code = proptest::sample::select(vec!["E11.9", "F10.20", "B20", "F32.1"]);
        (code, proptest::sample::subsequence(vec!["U", "N", "R", "V", "HIV", "SEX", "HTEST", "NOREUSE"], 0..3))
    };
    prop_oneof![
        4 => content().prop_map(|(code, claims)| Step::Update(code, claims)),
        2 => content().prop_map(|(code, claims)| Step::Import(code, claims)),
        1 => Just(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written by whomever, no version has less than the one before it, and the one with the most has exactly one confidentiality.
    #[test]
    fn labels_never_fall(steps in prop::collection::vec(step(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world(&[condition("c", "E11.9", "", &[])]).await;
            let mut before = Labels::NONE;
            for (number, step) in steps.into_iter().enumerate() {
                let named = format!("n{number}");
                let (who, change) = match &step {
                    Step::Update(code, claims) => (PAT, update(&condition("c", code, "", claims), &named, None)),
                    Step::Import(code, claims) => {
                        (Who::Operator, Change::Import(version(&condition("c", code, "", claims), &named, 2_000)))
                    }
                    Step::Delete => (PAT, delete("Condition", "c", &named, None)),
                };
                match world.commit(who, vec![change]).await {
                    Ok(_) | Err(StoreError::Gone) => {}
                    Err(error) => panic!("{error}"),
                }
                let current = world.read(PAT, "Condition", "c").await.unwrap().unwrap();
                assert!(current.security.labels.contains(before), "{step:?}");
                before = current.security.labels;
                if let (Step::Update(_, claims) | Step::Import(_, claims), Some(body)) = (&step, &current.body) {
                    assert!(before.contains(labels(claims)));
                    let text = String::from_utf8(body.clone()).unwrap();
                    let confidentialities = text.matches("v3-Confidentiality").count();
                    assert_eq!(confidentialities, usize::from(before.confidentiality().is_some()), "{text}");
                }
            }
        });
    }
}
