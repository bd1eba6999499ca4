//! Data that must not escape through a search (LESSONS 2, 3, 9, 10).

use super::world::{World, clinician, operator, patient};

const ANN: &str = r#"{"resourceType":"Patient","id":"ann","name":[{"family":"Abel"}],"managingOrganization":{"reference":"Organization/clinic"}}"#;
const BOB: &str = r#"{"resourceType":"Patient","id":"bob","name":[{"family":"Bell"}],"link":[{"other":{"reference":"Patient/ann"},"type":"seealso"}]}"#;

fn observation(id: &str, patient: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"s","code":"x"}}]}},"subject":{{"reference":"Patient/{patient}"}}{more}}}"#
    )
}

async fn two_patients() -> World {
    let own = observation("own", "ann", r#","effectiveDateTime":"2024-01-01","performer":[{"reference":"Practitioner/known"}]"#);
    let focus =
        observation("focus", "bob", r#","focus":[{"reference":"Patient/ann"}],"performer":[{"reference":"Patient/ann"}]"#);
    let member = observation(
        "member",
        "bob",
        r#","hasMember":[{"reference":"Observation/own"}],"performer":[{"reference":"Practitioner/other"}]"#,
    );
    let panel = observation(
        "panel",
        "ann",
        r#","effectiveDateTime":"2023","hasMember":[{"reference":"Observation/member"},{"reference":"Observation/own"}]"#,
    );
    World::of(&[
        ANN,
        BOB,
        &own,
        &focus,
        &member,
        &panel,
        r#"{"resourceType":"Practitioner","id":"known","name":[{"family":"Known"}]}"#,
        r#"{"resourceType":"Practitioner","id":"other","name":[{"family":"Other"}]}"#,
        r#"{"resourceType":"Organization","id":"clinic","name":"Clinic"}"#,
        r#"{"resourceType":"Organization","id":"elsewhere","name":"Elsewhere"}"#,
        r#"{"resourceType":"Provenance","id":"of-own","target":[{"reference":"Observation/own"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}"#,
        r#"{"resourceType":"Provenance","id":"of-both","target":[{"reference":"Observation/own"},{"reference":"Observation/member"}],"recorded":"2024-01-02T00:00:00Z","agent":[{"who":{"display":"x"}}]}"#,
        r#"{"resourceType":"Provenance","id":"of-shared","target":[{"reference":"Observation/own"},{"reference":"Organization/elsewhere"}],"recorded":"2024-01-03T00:00:00Z","agent":[{"who":{"display":"x"}}]}"#,
        r#"{"resourceType":"Provenance","id":"of-foreign","target":[{"reference":"Observation/own"},{"reference":"http://elsewhere.org/Observation/1"}],"recorded":"2024-01-04T00:00:00Z","agent":[{"who":{"display":"x"}}]}"#,
        r#"{"resourceType":"Encounter","id":"visit","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/bob"},"participant":[{"individual":{"reference":"Practitioner/known"}}]}"#,
    ])
    .await
}

#[tokio::test]
async fn a_search_does_not_leave_the_compartment() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    assert_eq!(world.matches(&ann, "Observation").await, ["Observation/own", "Observation/panel"]);
    assert_eq!(world.matches(&ann, "Patient").await, ["Patient/ann"]);
    assert_eq!(world.matches(&ann, "Observation?code=x&_sort=_id").await, ["Observation/own", "Observation/panel"]);
    assert_eq!(world.matches(&operator(), "Observation?_sort=_id").await.len(), 4);
}

#[tokio::test]
async fn naming_another_patient_does_not_widen_the_search() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    for search in [
        "Observation?patient=bob",
        "Observation?subject=Patient/bob",
        "Observation?subject=https://example.org/fhir/Patient/bob",
        "Observation?_id=focus",
        "Observation?_id=member,focus",
        "Observation?focus=Patient/ann",
        "Observation?performer=Patient/ann",
        "Patient?_id=bob",
        "Patient?family=bell",
        "Patient?link=Patient/ann",
    ] {
        let found = world.ids(&ann, &format!("{search}&_total=accurate")).await;
        assert_eq!((found.matches.len(), found.total), (0, Some(0)), "{search}");
    }
    assert_eq!(world.matches(&ann, "Observation?patient=ann,bob&_sort=_id").await, ["Observation/own", "Observation/panel"]);
}

#[tokio::test]
async fn an_include_does_not_leave_the_compartment() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    let found = world.ids(&ann, "Observation?_id=panel&_include=Observation:has-member&_include=Observation:subject").await;
    assert_eq!(found.matches, ["Observation/panel"]);
    assert_eq!(found.included, ["Observation/own", "Patient/ann"], "not Observation/member, which is Bob's");
    let all = world.ids(&operator(), "Observation?_id=panel&_include=Observation:has-member").await;
    assert_eq!(all.included, ["Observation/member", "Observation/own"]);
}

#[tokio::test]
async fn a_reverse_include_does_not_leave_the_compartment() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    let found = world.ids(&ann, "Observation?_id=own&_revinclude=Observation:has-member&_revinclude=Provenance:target").await;
    assert_eq!(found.included, ["Observation/panel", "Provenance/of-foreign", "Provenance/of-own"]);
    let found =
        world.ids(&ann, "Patient?_revinclude=Observation:focus&_revinclude=Observation:performer&_revinclude=Patient:link").await;
    assert_eq!(found.included, Vec::<String>::new(), "focus, performer and link are no membership");
}

#[tokio::test]
async fn an_include_needs_the_scope_of_what_it_adds() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/Observation.rs");
    let found = world
        .ids(
            &ann,
            "Observation?_id=own&_include=Observation:subject&_include=Observation:performer&_revinclude=Provenance:target",
        )
        .await;
    assert_eq!((found.matches.len(), found.included), (1, Vec::new()));
    let reads_only = patient("ann", "patient/Observation.rs patient/Patient.r");
    let found = world.ids(&reads_only, "Observation?_id=own&_include=Observation:subject").await;
    assert_eq!(found.included, Vec::<String>::new(), "an include is a search, which the scope does not open");
}

#[tokio::test]
async fn a_continued_page_stays_in_the_compartment() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    let first = world.search(&ann, super::world::query("Observation?_count=1&_include=Observation:has-member")).await.unwrap();
    let mut query = super::world::query("Observation?_count=1&_include=Observation:has-member");
    query.cursor = first.next.map(Into::into);
    let second = super::world::ids(&world.search(&ann, query).await.unwrap());
    assert_eq!((second.matches, second.included), (vec!["Observation/panel".to_owned()], vec!["Observation/own".to_owned()]));
}

#[tokio::test]
async fn the_total_counts_nothing_that_is_withheld() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    for search in
        ["Observation?_total=accurate", "Observation?_total=estimate", "Observation?_summary=count", "Observation?_count=0"]
    {
        assert_eq!(world.ids(&ann, search).await.total, Some(2), "{search}");
    }
    assert_eq!(world.ids(&ann, "Observation").await.total, None);
    assert_eq!(world.ids(&ann, "Observation?_count=1&_total=accurate").await.total, Some(2));
    assert_eq!(world.ids(&ann, "Observation?_summary=count").await.matches, Vec::<String>::new());
}

#[tokio::test]
async fn missing_and_not_tell_nothing_about_hidden_records() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    assert_eq!(world.matches(&ann, "Observation?focus:missing=false").await, Vec::<String>::new());
    assert_eq!(world.matches(&ann, "Observation?code:not=x").await, Vec::<String>::new());
    assert_eq!(world.matches(&ann, "Observation?code:not=y&_sort=_id").await, ["Observation/own", "Observation/panel"]);
}

#[tokio::test]
async fn shared_records_are_found_only_where_an_own_record_refers_to_them() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    assert_eq!(world.matches(&ann, "Practitioner").await, ["Practitioner/known"]);
    assert_eq!(world.matches(&ann, "Practitioner?family=other").await, Vec::<String>::new());
    assert_eq!(world.matches(&ann, "Organization?_total=accurate").await, ["Organization/clinic"]);
    let narrow = patient("ann", "patient/Practitioner.rs patient/Patient.rs");
    assert_eq!(world.matches(&narrow, "Practitioner").await, Vec::<String>::new(), "the referring Observation is not open");
    let found = world.ids(&ann, "Observation?_id=own&_include=Observation:performer").await;
    assert_eq!(found.included, ["Practitioner/known"]);
}

#[tokio::test]
async fn a_provenance_is_found_only_where_every_local_target_is_visible() {
    let world = two_patients().await;
    let ann = patient("ann", "patient/*.rs");
    assert_eq!(world.matches(&ann, "Provenance?_sort=_id").await, ["Provenance/of-foreign", "Provenance/of-own"]);
    assert_eq!(world.matches(&ann, "Provenance?target=Observation/member").await, Vec::<String>::new());
    assert_eq!(world.matches(&operator(), "Provenance").await.len(), 4);
    let narrow = patient("ann", "patient/Provenance.rs");
    assert_eq!(world.matches(&narrow, "Provenance").await, Vec::<String>::new(), "no target's type is open");
}

#[tokio::test]
async fn a_clinician_sees_patients_in_care_and_loses_them_with_the_relationship() {
    let world = two_patients().await;
    let known = clinician("known", "user/*.cruds");
    assert_eq!(world.matches(&known, "Patient").await, ["Patient/bob"]);
    assert_eq!(world.matches(&known, "Observation?_sort=_id").await, ["Observation/focus", "Observation/member"]);
    assert_eq!(world.matches(&known, "Practitioner?_sort=_id").await, ["Practitioner/known", "Practitioner/other"]);
    assert_eq!(world.matches(&clinician("other", "user/*.rs"), "Patient").await, Vec::<String>::new());
    world.delete(&known, "Encounter/visit").await;
    for search in ["Patient", "Observation", "Practitioner", "Encounter", "Provenance"] {
        assert_eq!(world.matches(&known, search).await, Vec::<String>::new(), "{search}");
    }
}

#[tokio::test]
async fn a_deleted_record_is_found_by_nothing() {
    let world = two_patients().await;
    let known = clinician("known", "user/*.cruds");
    world.delete(&known, "Observation/member").await;
    for search in [
        "Observation?_id=member",
        "Observation?code=x&patient=bob&_id=member",
        "Observation?has-member=Observation/own&patient=bob",
    ] {
        assert_eq!(world.matches(&operator(), search).await, Vec::<String>::new(), "{search}");
    }
    let found = world.ids(&operator(), "Observation?_id=panel&_include=Observation:has-member").await;
    assert_eq!(found.included, ["Observation/own"]);
}

#[tokio::test]
async fn audit_events_are_not_included_and_the_refusal_says_so() {
    let world = two_patients().await;
    let refused = world.search(&operator(), super::world::query("Patient?_revinclude=AuditEvent:patient")).await;
    assert!(matches!(refused, Err(portcullis_store::StoreError::NotSupported(message)) if message.contains("AuditEvent")));
}
