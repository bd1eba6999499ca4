//! Every way by which a record could be seen or noticed, while a consent hides it.

use portcullis_fhir::search::{Handling, SearchContext};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::principal::{Circumstances, ImplicitPolicy};
use portcullis_policy::{Decision, DecisionId, Operation, PermittedOperation, decide};
use portcullis_store::{FhirStore, StoreError};
use portcullis_verifies::verifies;

use super::*;

/// An Observation of Pat with a performer of its own, which a Provenance is about.
fn hidden() -> Vec<String> {
    vec![
        json!({"resourceType": "Practitioner", "id": "psych", "name": [{"family": "Quiet"}]}).to_string(),
        json!({
            "resourceType": "Condition", "id": "hidden", "subject": {"reference": "Patient/pat"},
            "encounter": {"reference": "Encounter/pat-doc"},
            "code": concept("http://hl7.org/fhir/sid/icd-10-cm", "E11.9"), "recorder": {"reference": "Practitioner/psych"},
        })
        .to_string(),
        json!({
            "resourceType": "Provenance", "id": "of-hidden", "target": [{"reference": "Condition/hidden"}],
            "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": {"reference": "Practitioner/doc"}}],
        })
        .to_string(),
        json!({
            "resourceType": "Observation", "id": "referring", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/pat"}, "focus": [{"reference": "Condition/hidden"}],
            "derivedFrom": [{"reference": "Observation/of-pat"}],
        })
        .to_string(),
    ]
}

#[tokio::test]
async fn what_a_consent_hides_is_found_in_no_way_and_shows_nothing_else() {
    verifies!("CONSENT-10");
    let world = world(&hidden()).await;
    for (type_name, own) in [("Condition", "hidden"), ("Practitioner", "psych"), ("Provenance", "of-hidden")] {
        assert!(sees(&world, DOC, type_name, own).await, "{own}, before");
    }
    let search = "_has:Condition:patient:code=E11.9";
    assert_eq!(world.search(DOC, "Patient", search).await.unwrap(), ["pat"]);
    world.commit(PAT, vec![import_as_create(&consent("c", "pat", deny_type("doc", "Condition")))]).await.unwrap();
    for (type_name, own) in [("Condition", "hidden"), ("Practitioner", "psych"), ("Provenance", "of-hidden")] {
        assert!(!sees(&world, DOC, type_name, own).await, "{own}");
        assert!(world.version_read(DOC, type_name, own, "v1").await.unwrap().is_none(), "{own}");
        for who in [OTHER, PAT, Who::Operator] {
            assert!(world.read(who, type_name, own).await.unwrap().is_some(), "{own}: {who:?}");
        }
    }
    assert!(world.search(DOC, "Patient", search).await.unwrap().is_empty());
    assert_eq!(world.search(OTHER, "Patient", search).await.unwrap(), ["pat"]);
    assert!(world.search(DOC, "Observation", "focus:Condition.code=E11.9").await.unwrap().is_empty());
    assert_eq!(world.search(OTHER, "Observation", "focus:Condition.code=E11.9").await.unwrap(), ["referring"]);
    assert_eq!(world.search(DOC, "Condition", "_sort=-_lastUpdated").await.unwrap(), Vec::<String>::new());
    for (who, total, included) in [(DOC, 0, 0), (OTHER, 1, 1)] {
        assert_eq!(page(&world, who, "Condition", "_total=accurate").await.total, Some(total), "{who:?}");
        assert_eq!(page(&world, who, "Condition", "_summary=count").await.total, Some(total), "{who:?}");
        let by_include = page(&world, who, "Observation", "_id=referring&_include=Observation:focus").await;
        assert_eq!(by_include.included.len(), included, "{who:?}");
        let by_reference = page(&world, who, "Encounter", "_id=pat-doc&_revinclude=Condition:encounter").await;
        assert_eq!(by_reference.included.len(), included, "{who:?}");
        let iterated = "_id=of-pat&_revinclude=Observation:derived-from&_include:iterate=Observation:focus";
        let own = |version: &portcullis_policy::StoredVersion| version.resource_type.name() == "Condition";
        let found = page(&world, who, "Observation", iterated).await.included.iter().filter(|version| own(version)).count();
        assert_eq!(found, included, "{who:?}");
    }
}

#[tokio::test]
async fn what_is_hidden_cannot_be_written_and_answers_as_what_is_absent() {
    let world = world(&hidden()).await;
    world.commit(PAT, vec![import_as_create(&consent("c", "pat", deny_type("doc", "Condition")))]).await.unwrap();
    let hidden = &hidden()[1];
    for (change, absent) in [
        (update(hidden, "v2", None), update(&hidden.replace("\"hidden\"", "\"absent\""), "v2", None)),
        (delete("Condition", "hidden", "v2", None), delete("Condition", "absent", "v2", None)),
    ] {
        assert!(matches!(world.commit(DOC, vec![change]).await, Err(StoreError::NotFound)));
        assert!(matches!(world.commit(DOC, vec![absent]).await, Err(StoreError::NotFound)));
    }
    // Nor is anything of the kind created, whoever's it is that it would be hidden from.
    let created = portcullis_policy::Change::Create(version(&hidden.replace("\"hidden\"", "\"new\""), "v1", 1_000));
    assert!(matches!(world.commit(DOC, vec![created]).await, Err(StoreError::OutsideBoundary)));
    let created = portcullis_policy::Change::Create(version(&hidden.replace("\"hidden\"", "\"new\""), "v1", 1_000));
    world.commit(OTHER, vec![created]).await.unwrap();
    assert!(!sees(&world, DOC, "Condition", "new").await);
    // The answer to a write shows what a read would.
    let observation = observation("of-pat", "pat", "4548-4");
    let written = world.commit(DOC, vec![update(&observation, "v2", None)]).await.unwrap();
    assert!(written[0].version().body.is_some());
    let access = json!({"type": "deny", "actor": [practitioner("doc")],
        "action": [concept("http://terminology.hl7.org/CodeSystem/consentaction", "access")]});
    world.commit(PAT, vec![import_as_create(&consent("d", "pat", access))]).await.unwrap();
    assert!(matches!(world.commit(DOC, vec![update(&observation, "v3", None)]).await, Err(StoreError::NotFound)));
    let created = portcullis_policy::Change::Create(version(&observation.replace("of-pat", "new"), "v1", 1_000));
    let written = world.commit(DOC, vec![created]).await.unwrap();
    assert!(written[0].version().body.is_none(), "collected, and not shown");
}

#[tokio::test]
async fn a_deletion_is_as_hidden_as_what_it_ended_and_earlier_versions_are_judged_by_what_they_said() {
    let code = json!({"type": "deny", "actor": [practitioner("doc")], "code": [concept("http://loinc.org", "4548-4")]});
    let world = world(&[consent("c", "pat", code).to_string(), observation("public", "pat", "8867-4")]).await;
    assert!(!sees(&world, DOC, "Observation", "of-pat").await && sees(&world, DOC, "Observation", "public").await);
    world.commit(PAT, vec![delete("Observation", "of-pat", "v2", None)]).await.unwrap();
    assert!(world.read(DOC, "Observation", "of-pat").await.unwrap().is_none());
    assert!(world.read(OTHER, "Observation", "of-pat").await.unwrap().unwrap().body.is_none());
    // The code is gone from the current version, and stays in the first.
    world.commit(PAT, vec![update(&observation("again", "pat", "8867-4"), "v1", None)]).await.unwrap_err();
    let world = self::world(&[consent(
        "c",
        "pat",
        json!({"type": "deny", "actor": [practitioner("doc")],
        "code": [concept("http://loinc.org", "4548-4")]}),
    )
    .to_string()])
    .await;
    world.commit(PAT, vec![update(&observation("of-pat", "pat", "8867-4"), "v2", None)]).await.unwrap();
    assert!(sees(&world, DOC, "Observation", "of-pat").await);
    assert!(world.version_read(DOC, "Observation", "of-pat", "v1").await.unwrap().is_none());
    assert_eq!(world.history(DOC, all_versions("Observation", "of-pat")).await.unwrap().total, 1);
    assert_eq!(world.history(OTHER, all_versions("Observation", "of-pat")).await.unwrap().total, 2);
    // And back: the current version decides, too.
    world.commit(PAT, vec![update(&observation("of-pat", "pat", "4548-4"), "v3", None)]).await.unwrap();
    assert!(!sees(&world, DOC, "Observation", "of-pat").await);
    assert!(world.version_read(DOC, "Observation", "of-pat", "v2").await.unwrap().is_none());
}

#[tokio::test]
async fn a_record_of_several_patients_needs_all_of_them_but_for_whoever_reads_the_own() {
    let shared = json!({
        "resourceType": "Appointment", "id": "both", "status": "booked",
        "participant": [{"actor": {"reference": "Patient/pat"}, "status": "accepted"},
            {"actor": {"reference": "Patient/quinn"}, "status": "accepted"}],
    });
    let world = world(&[shared.to_string()]).await;
    assert!(sees(&world, DOC, "Appointment", "both").await);
    world
        .commit(Who::Patient("quinn"), vec![import_as_create(&consent("c", "quinn", deny_type("doc", "Appointment")))])
        .await
        .unwrap();
    assert!(!sees(&world, DOC, "Appointment", "both").await, "one of two");
    assert!(sees(&world, Who::Patient("quinn"), "Appointment", "both").await);
    // What Quinn says about everybody else says nothing about Pat's own record, and what Pat says about this app does.
    let everybody = consent("d", "quinn", json!({"type": "deny"}));
    world.commit(Who::Patient("quinn"), vec![import_as_create(&everybody)]).await.unwrap();
    assert!(sees(&world, PAT, "Appointment", "both").await);
    assert!(!sees(&world, OTHER, "Appointment", "both").await);
    let this_app = consent("e", "pat", json!({"type": "deny", "actor": [client("client")]}));
    world.commit(PAT, vec![import_as_create(&this_app)]).await.unwrap();
    assert!(!sees(&world, PAT, "Appointment", "both").await, "the patient does not want this app to have anything");
    assert!(world.read(PAT, "Patient", "pat").await.unwrap().is_none());
}

/// A create of a resource that has its id already: what a server would have chosen.
pub fn import_as_create(resource: &Value) -> portcullis_policy::Change {
    portcullis_policy::Change::Create(version(&resource.to_string(), "v1", 1_000))
}

async fn page(world: &World, who: Who<'_>, type_name: &str, query: &str) -> portcullis_policy::SearchPage {
    world.page(who, type_name, query).await.unwrap()
}

/// Each type that a chain may lead to has the whole condition once more: statements of thousands of tables. SQLite would refuse to run them with a `WITH` after these,
/// and where that were refused in words of ours, these would tell whether anybody has consented: then there are more tables.
#[tokio::test]
async fn the_widest_chains_are_searched_in_every_order() {
    let panel = json!({
        "resourceType": "Observation", "id": "panel", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/pat"}, "hasMember": [{"reference": "Observation/of-pat"}],
    });
    let world = world(&[panel.to_string(), consent("c", "pat", deny_type("other", "Condition")).to_string()]).await;
    let criteria = "patient/Observation.rs?code=4548-4 patient/Patient.rs patient/Encounter.rs patient/Practitioner.rs user/*.rs";
    let widest = "has-member.patient.general-practitioner.identifier:not";
    for (scope, chain, times) in [
        ("patient/*.rs user/*.rs", "has-member.encounter.participant.identifier:not", 1),
        ("patient/*.rs user/*.rs", widest, 1),
        (criteria, widest, 1),
        (criteria, widest, 2),
    ] {
        let principal = Who::Both("doc", "pat", scope).principal();
        let principal = principal.asking(Circumstances { implicit: ImplicitPolicy::Deny, ..circumstances() });
        for sort in ["_id", "value-quantity", "-subject", "code,-date"] {
            let mut pairs = vec![(chain.to_owned(), "nobody".to_owned()); times];
            pairs.push(("_sort".to_owned(), sort.to_owned()));
            let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms: circumstances().now };
            let query = portcullis_fhir::search::parse(ResourceType::OBSERVATION, &pairs, &context).unwrap();
            let decided = decide(DecisionId(1), &principal, Operation::Search(query));
            let Decision::Permit(_, PermittedOperation::Search(search)) = decided else { panic!() };
            let found = world.store.search(search, b"test").await;
            assert!(found.is_ok(), "{times} {chain} {sort}: {:?}", found.err());
        }
    }
}
