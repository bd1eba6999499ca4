//! A Device with a patient is that patient's; one without is shared, visible where a visible record refers to it.

use portcullis_oauth::principal::Principal;

use super::world::{World, clinician, patient};

const RECORDS: [&str; 12] = [
    r#"{"resourceType":"Patient","id":"ann"}"#,
    r#"{"resourceType":"Patient","id":"bob"}"#,
    r#"{"resourceType":"Organization","id":"maker","name":"Maker"}"#,
    r#"{"resourceType":"Device","id":"of-ann","patient":{"reference":"Patient/ann"},"owner":{"reference":"Organization/maker"},"type":{"text":"stent"}}"#,
    r#"{"resourceType":"Device","id":"of-bob","patient":{"reference":"Patient/bob"},"type":{"text":"stent"}}"#,
    r#"{"resourceType":"Device","id":"elsewhere","patient":{"reference":"https://other.example/fhir/Patient/ann"}}"#,
    r#"{"resourceType":"Device","id":"monitor","type":{"text":"monitor"}}"#,
    r#"{"resourceType":"Device","id":"unused"}"#,
    // Ann's record names a monitor, and Bob's stent by mistake.
    r#"{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"},"device":{"reference":"Device/monitor"}}"#,
    r#"{"resourceType":"Observation","id":"o2","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"},"device":{"reference":"Device/of-bob"}}"#,
    r#"{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ann"},
        "participant":[{"individual":{"reference":"Practitioner/who"}}]}"#,
    r#"{"resourceType":"Provenance","id":"about-device","target":[{"reference":"Device/of-ann"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}"#,
];

fn people() -> [(&'static str, Principal); 2] {
    [("Ann", patient("ann", "patient/*.rs")), ("a clinician of Ann's", clinician("who", "user/*.rs"))]
}

#[tokio::test]
async fn a_device_is_found_by_its_patient_and_by_whoever_uses_one_that_is_nobodys() {
    let world = World::of(&RECORDS).await;
    for (name, person) in people() {
        for (search, expected) in [
            ("Device?patient=ann", &["Device/of-ann"] as &[&str]),
            ("Device?patient=bob", &[]),
            ("Device?patient:missing=true", &["Device/monitor"]),
            ("Device", &["Device/monitor", "Device/of-ann"]),
            ("Device?_sort=_id&_count=1&_total=accurate", &["Device/monitor"]),
            ("Device?type:text=stent", &["Device/of-ann"]),
            ("Device?_id=of-bob,of-ann,unused,elsewhere", &["Device/of-ann"]),
            ("Organization", &["Organization/maker"]),
        ] {
            let mut found = world.matches(&person, search).await;
            found.sort_unstable();
            assert_eq!(found, expected, "{name}: {search}");
        }
        assert_eq!(world.ids(&person, "Device?_summary=count").await.total, Some(2), "{name}");
    }
}

#[tokio::test]
async fn an_include_shows_no_device_of_another_patient() {
    let world = World::of(&RECORDS).await;
    for (name, person) in people() {
        assert_eq!(world.ids(&person, "Observation?_include=Observation:device").await.included, ["Device/monitor"], "{name}");
        let provenance = world.ids(&person, "Device?patient=ann&_revinclude=Provenance:target").await;
        assert_eq!(provenance.included, ["Provenance/about-device"], "{name}");
    }
    assert!(world.ids(&patient("bob", "patient/*.rs"), "Device?_revinclude=Provenance:target").await.included.is_empty());
}

#[tokio::test]
async fn where_no_record_that_refers_is_open_only_ones_own_devices_are_visible() {
    let world = World::of(&RECORDS).await;
    let person = patient("ann", "patient/Device.rs");
    assert_eq!(world.matches(&person, "Device").await, ["Device/of-ann"], "what shows the monitor is not open");
}
