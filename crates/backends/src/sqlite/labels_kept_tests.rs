//! Labels inside a body, of the whole and of its elements, from version to version: no update takes one away.

use std::sync::Arc;

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::labels::{Labels, Rules};
use portcullis_fhir::redaction::inline::INLINE_LABEL;
use portcullis_policy::{Change, Written};
use portcullis_store::relabelling::RelabelPart;
use portcullis_store::{FhirStore, StoreError};
use portcullis_verifies::verifies;

use super::store::SqliteStore;
use super::testing::*;

const DOC: Who<'_> = Who::Clinician("doc");
const PAT: Who<'_> = Who::Patient("pat");
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

fn label(system: &str, code: &str) -> String {
    format!(r#"{{"system":"{system}","code":"{code}"}}"#)
}

/// Pat with these labels and something else.
fn labelled(labels: &[String], more: &str) -> String {
    let meta = if labels.is_empty() { String::new() } else { format!(r#""meta":{{"security":[{}]}},"#, labels.join(",")) };
    format!(
        r#"{{"resourceType":"Patient","id":"pat",{meta}"name":[{{"family":"Ann"}}],"gender":"female","birthDate":"1970-01-02"{more}}}"#
    )
}

/// `identifier` with these values, each with a label of its own or without.
fn identifiers(each: &[(&str, Option<&str>)]) -> String {
    let one = |(value, code): &(&str, Option<&str>)| {
        let label = code
            .map(|code| format!(r#""extension":[{{"url":"{INLINE_LABEL}","valueCoding":{}}}],"#, label(CONFIDENTIALITY, code)));
        format!(r#"{{{}"value":"{value}"}}"#, label.unwrap_or_default())
    };
    format!(r#","identifier":[{}]"#, each.iter().map(one).collect::<Vec<_>>().join(","))
}

async fn world(patient: &str) -> World {
    World::of(&[patient.to_owned(), encounter("enc", "pat", "doc")]).await
}

async fn put(world: &World, who: Who<'_>, text: &str, named: &str) -> Result<Vec<Written>, StoreError> {
    world.commit(who, vec![update(text, named, None)]).await
}

async fn seen(world: &World, who: Who<'_>) -> Option<(Vec<String>, String)> {
    let body = world.read(who, "Patient", "pat").await.unwrap()?.body.unwrap();
    let value = json::parse(&body).unwrap();
    let security = value.member("meta").and_then(|meta| meta.member("security")).map(Value::items).unwrap_or_default();
    let codes = security.iter().map(|coding| coding.member("code").unwrap().as_str().unwrap().to_owned()).collect();
    Some((codes, String::from_utf8(body).unwrap()))
}

#[tokio::test]
async fn the_label_of_an_element_counts_for_the_whole_where_an_update_moves_it_or_leaves_it_out() {
    for (after, is_dropped) in [
        (identifiers(&[("mrn", None), ("ssn", Some("R"))]), false),
        (identifiers(&[("ssn", None), ("mrn", Some("R"))]), true),
        (identifiers(&[("mrn", None)]), true),
    ] {
        let world = world(&labelled(&[], &identifiers(&[("ssn", Some("R")), ("mrn", None)]))).await;
        assert!(seen(&world, DOC).await.unwrap().1.contains("mrn"));
        put(&world, PAT, &labelled(&[], &after), "v2").await.unwrap();
        assert_eq!(seen(&world, DOC).await.is_none(), is_dropped, "{after}");
        // Labelling anew, by whatever rules, takes nothing away that somebody said.
        let World { store, root, directory } = world;
        drop(store);
        let rules = Arc::new(Rules::parse("urn:a | X -> R HIV").unwrap());
        let store = SqliteStore::open_labelling(&directory.path().join("portcullis.db"), &root, rules).unwrap();
        let world = World { store, root, directory };
        assert!(world.store.label_anew(BASE).unwrap().is_some());
        assert_eq!(seen(&world, DOC).await.is_none(), is_dropped, "{after}");
        let restricted = Labels::named("R").unwrap();
        let labels = world.read(Who::Operator, "Patient", "pat").await.unwrap().unwrap().security;
        assert_eq!(labels.claimed.contains(restricted), is_dropped);
    }
}

#[tokio::test]
async fn obligations_refrains_and_labels_of_others_stay_whoever_leaves_them_out() {
    let given = [label(ACT_CODE, "DEID"), label(ACT_CODE, "NORELINK"), label("urn:own", "OWN")];
    let mark = label("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "CLINRPT");
    let world = world(&labelled(&[given.as_slice(), &[mark]].concat(), "")).await;
    assert_eq!(seen(&world, PAT).await.unwrap().0, ["DEID", "NORELINK", "OWN", "CLINRPT"]);
    put(&world, PAT, &labelled(&[], ""), "v2").await.unwrap();
    let (codes, text) = seen(&world, PAT).await.unwrap();
    assert_eq!(codes, ["DEID", "NORELINK", "OWN"], "{text}");
    assert!(world.search(PAT, "Patient", "name=Ann").await.unwrap().is_empty(), "what an obligation hides is found by nobody");
    assert_eq!(world.search(PAT, "Patient", "_security=NORELINK").await.unwrap(), ["pat"]);
    // Some of them, and one more.
    put(&world, PAT, &labelled(&[label("urn:own", "OWN"), label(ACT_CODE, "HIV"), label(ACT_CODE, "NOPAT")], ""), "v3")
        .await
        .unwrap();
    assert_eq!(seen(&world, PAT).await.unwrap().0, ["OWN", "NOPAT", "DEID", "NORELINK", "HIV"]);
    // Not even an import takes them away, nor one after a deletion; the same again is no version.
    world.commit(Who::Operator, vec![import(&labelled(&[], ""))]).await.unwrap();
    let again = world.commit(Who::Operator, vec![import(&labelled(&[], ""))]).await.unwrap();
    assert!(matches!(again.as_slice(), [Written::Unchanged(_)]), "{again:?}");
    let kept = ["OWN", "NOPAT", "DEID", "NORELINK", "HIV"];
    assert_eq!(seen(&world, PAT).await.unwrap().0, kept);
    world.commit(PAT, vec![delete("Patient", "pat", "v5", None)]).await.unwrap();
    let back = world.commit(Who::Operator, vec![Change::Import(version(&labelled(&[], ""), "v6", 4_000))]).await.unwrap();
    assert!(matches!(back.as_slice(), [Written::Created(_)]), "{back:?}");
    assert_eq!(seen(&world, PAT).await.unwrap().0, kept);
}

#[tokio::test]
async fn what_an_obligation_hides_stays_hidden_after_an_update_that_does_not_repeat_it() {
    verifies!("SPM-11");
    for code in ["DEID", "MASK", "REDACT"] {
        let world = world(&labelled(&[label(ACT_CODE, code)], "")).await;
        put(&world, PAT, &labelled(&[], r#","maritalStatus":{"text":"m"}"#), "v2").await.unwrap();
        let (codes, text) = seen(&world, DOC).await.unwrap();
        assert!(!text.contains("Ann") && text.contains("\"1970\"") && codes.contains(&code.to_owned()), "{text}");
        assert!(matches!(put(&world, DOC, &labelled(&[], ""), "v3").await, Err(StoreError::Redacted)));
        assert!(seen(&world, PAT).await.unwrap().1.contains("Ann"));
    }
}

#[tokio::test]
async fn where_labels_of_several_policies_are_there_each_says_which_is_its_own() {
    verifies!("LABEL-13");
    let codes = ["42CFRPart2", "HIPAAPsyNotes", "ETHUD", "PSY", "NORELINK"];
    let own = [label("urn:own", "OWN"), label(CONFIDENTIALITY, "R")];
    let given: Vec<String> = codes.iter().map(|code| label(ACT_CODE, code)).chain(own).collect();
    for (labels, several) in [(given.as_slice(), true), (&given[1..], false)] {
        let world = world(&labelled(labels, "")).await;
        let body = world.read(PAT, "Patient", "pat").await.unwrap().unwrap().body.unwrap();
        let value = json::parse(&body).unwrap();
        let security = value.member("meta").unwrap().member("security").unwrap().items();
        assert_eq!(security.len(), labels.len());
        for coding in security {
            let extensions = coding.member("extension").map(Value::items).unwrap_or_default();
            let urls: Vec<&str> = extensions.iter().map(|one| one.member("url").unwrap().as_str().unwrap()).collect();
            let basis = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis";
            assert_eq!(urls, if several { vec![basis] } else { vec![] });
        }
        // What was read may be written back: it is the same then.
        put(&world, PAT, &String::from_utf8(body.clone()).unwrap(), "v2").await.unwrap();
        let again = json::parse(&world.read(PAT, "Patient", "pat").await.unwrap().unwrap().body.unwrap()).unwrap();
        let sorted = |value: &Value| {
            let mut labels: Vec<String> = value
                .member("meta")
                .unwrap()
                .member("security")
                .unwrap()
                .items()
                .iter()
                .map(|label| format!("{label:?}"))
                .collect();
            labels.sort();
            labels
        };
        assert_eq!(sorted(&again), sorted(&value));
    }
}

#[tokio::test]
async fn a_version_with_too_many_labels_is_refused() {
    let many =
        |from: usize| -> Vec<String> { (from..from + 150).map(|number| label("urn:own", &format!("l{number}"))).collect() };
    let world = world(&labelled(&many(0), "")).await;
    assert!(matches!(put(&world, PAT, &labelled(&many(150), ""), "v2").await, Err(StoreError::NotSupported(_))));
    put(&world, PAT, &labelled(&many(20), ""), "v2").await.unwrap();
}

#[tokio::test]
async fn labelling_anew_takes_from_the_index_what_labels_inside_may_hide() {
    let world = world(&labelled(&[], &identifiers(&[("hidden", Some("R"))]))).await;
    let twin = labelled(&[], &identifiers(&[("hidden", None)])).replace(r#""id":"pat""#, r#""id":"twin""#);
    world.commit(Who::Operator, vec![import(&twin)]).await.unwrap();
    world.store.label_anew(BASE).unwrap();
    // As a program stored it that did not keep such elements from the index.
    let pk = |own: &str| format!("(SELECT pk FROM locator WHERE id = '{own}')");
    world.tamper(&format!(
        "UPDATE index_rows SET rows = (SELECT rows FROM index_rows WHERE pk = {}) WHERE pk = {}",
        pk("twin"),
        pk("pat")
    ));
    world.tamper(&format!(
        "INSERT OR IGNORE INTO index_token (pk, parameter, code, system, neg_time) \
         SELECT {}, parameter, code, system, neg_time FROM index_token WHERE pk = {}",
        pk("pat"),
        pk("twin")
    ));
    let found = async || world.search(Who::Operator, "Patient", "identifier=hidden").await.unwrap();
    assert_eq!(found().await, ["pat", "twin"]);
    let run = async |dry_run| world.store.relabel(RelabelPart { dry_run, place: None }, BASE).await.unwrap();
    assert_eq!(run(true).await.changed, 0);
    assert_eq!(found().await, ["pat", "twin"], "a dry run changes nothing");
    assert_eq!(run(false).await.changed, 0);
    assert_eq!(found().await, ["twin"]);
    assert_eq!(world.search(PAT, "Patient", "gender=female").await.unwrap(), ["pat"], "and all else is found");
}
