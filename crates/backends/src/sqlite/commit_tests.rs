//! Writes, observed through reads and searches under permits that policy decided.

use portcullis_policy::{Change, Written};
use portcullis_store::{Outbox, StoreError};

use crate::sqlite::testing::*;

const PAT: Who<'_> = Who::Patient("pat");
const OTHER: Who<'_> = Who::Patient("other");

async fn world() -> World {
    World::of(&[patient("pat"), patient("other"), observation("o1", "pat", "1234-5"), observation("o2", "other", "1234-5")]).await
}

#[tokio::test]
async fn what_is_written_is_read_with_its_exact_bytes() {
    let world = world().await;
    let expected = version(&observation("o1", "pat", "1234-5"), "v1", 1_000).body;
    let read = world.read(PAT, "Observation", "o1").await.unwrap().unwrap();
    assert_eq!(read.body.as_deref(), Some(expected.as_slice()));
    assert!(str::from_utf8(&expected).unwrap().contains("5.40"));
    assert_eq!((read.version, read.patients), (id("v1"), vec![id("pat")]));
}

#[tokio::test]
async fn everything_is_there_after_the_store_was_closed() {
    let world = world().await.reopened();
    assert!(world.read(PAT, "Observation", "o1").await.unwrap().is_some());
    assert_eq!(world.search(PAT, "Observation", "code=1234-5").await.unwrap(), ["o1"]);
}

#[tokio::test]
async fn a_hidden_resource_answers_every_change_as_an_absent_one() {
    let world = world().await;
    for own in ["o2", "absent"] {
        assert!(world.read(PAT, "Observation", own).await.unwrap().is_none());
        for if_match in [None, Some("v1"), Some("x")] {
            let changed = world.commit(PAT, vec![update(&observation(own, "pat", "1"), "v2", if_match)]).await;
            assert!(matches!(changed, Err(StoreError::NotFound)), "{own} {changed:?}");
            let outside = world.commit(PAT, vec![update(&observation(own, "other", "1"), "v2", if_match)]).await;
            assert!(matches!(outside, Err(StoreError::NotFound)), "{own} {outside:?}");
            let deleted = world.commit(PAT, vec![delete("Observation", own, "v2", if_match)]).await;
            assert!(matches!(deleted, Err(StoreError::NotFound)), "{own} {deleted:?}");
        }
    }
    assert_eq!(world.read(OTHER, "Observation", "o2").await.unwrap().unwrap().version, id("v1"));
}

#[tokio::test]
async fn content_outside_the_boundary_is_refused() {
    let world = world().await;
    let nobody = r#"{"resourceType":"Organization","id":"org","name":"Org"}"#;
    let both = r#"{"resourceType":"Appointment","id":"ap","status":"booked","participant":[
        {"actor":{"reference":"Patient/pat"},"status":"accepted"},{"actor":{"reference":"Patient/other"},"status":"accepted"}]}"#;
    for text in [&observation("n1", "other", "1"), nobody, both] {
        let created = world.commit(PAT, vec![Change::Create(version(text, "v1", 1))]).await;
        assert!(matches!(created, Err(StoreError::OutsideBoundary)), "{text} {created:?}");
    }
    let moved = world.commit(PAT, vec![update(&observation("o1", "other", "1"), "v2", None)]).await;
    assert!(matches!(moved, Err(StoreError::OutsideBoundary)));
    assert_eq!(world.read(PAT, "Observation", "o1").await.unwrap().unwrap().version, id("v1"));
}

#[tokio::test]
async fn a_record_that_others_share_is_seen_and_not_changed() {
    let shared = |reference: &str| {
        format!(
            r#"{{"resourceType":"Appointment","id":"ap","status":"booked","participant":[
            {{"actor":{{"reference":"Patient/pat"}},"status":"accepted"}},{{"actor":{{"reference":"{reference}"}},"status":"accepted"}}]}}"#
        )
    };
    let performed = observation("o1", "pat", "1").replace("Practitioner/doc", "Organization/org");
    let organization = r#"{"resourceType":"Organization","id":"org","name":"Org"}"#;
    let world = World::of(&[patient("pat"), patient("other"), shared("Patient/other"), performed, organization.to_owned()]).await;
    for (type_name, own) in [("Appointment", "ap"), ("Organization", "org")] {
        assert!(world.read(PAT, type_name, own).await.unwrap().is_some(), "{own}");
        let deleted = world.commit(PAT, vec![delete(type_name, own, "v2", None)]).await;
        assert!(matches!(deleted, Err(StoreError::OutsideBoundary)), "{own} {deleted:?}");
        let absent = world.commit(OTHER, vec![delete(type_name, "absent", "v2", None)]).await;
        assert!(matches!(absent, Err(StoreError::NotFound)), "{absent:?}");
    }
    let hidden = world.commit(OTHER, vec![delete("Organization", "org", "v2", None)]).await;
    assert!(matches!(hidden, Err(StoreError::NotFound)), "{hidden:?}");
    for text in [shared("Practitioner/doc"), shared("Patient/other")] {
        let taken = world.commit(PAT, vec![update(&text, "v2", None)]).await;
        assert!(matches!(taken, Err(StoreError::OutsideBoundary)), "nobody takes a shared record for themselves: {taken:?}");
    }
    assert_eq!(world.read(OTHER, "Appointment", "ap").await.unwrap().unwrap().version, id("v1"));
    world.commit(Who::Operator, vec![import(&shared("Practitioner/doc"))]).await.unwrap();
    world.commit(PAT, vec![delete("Appointment", "ap", "v2", None)]).await.unwrap();
}

#[tokio::test]
async fn a_clinician_writes_only_for_patients_in_care() {
    let world = world().await;
    let doctor = Who::Clinician("doc");
    let create = |own: &str| vec![Change::Create(version(&observation(own, "pat", "1"), "v1", 1))];
    assert!(matches!(world.commit(doctor, create("n1")).await, Err(StoreError::OutsideBoundary)));
    let self_made = vec![Change::Create(version(&encounter("e0", "pat", "doc"), "v1", 1))];
    assert!(
        matches!(world.commit(doctor, self_made).await, Err(StoreError::OutsideBoundary)),
        "nobody takes a patient into care alone"
    );
    world.commit(Who::Operator, vec![import(&encounter("e1", "pat", "doc"))]).await.unwrap();
    let written = world.commit(doctor, create("n1")).await.unwrap();
    assert!(written[0].version().body.is_some(), "the answer shows what a read would show");
    assert!(world.read(doctor, "Observation", "o1").await.unwrap().is_some());
    assert!(world.read(doctor, "Observation", "o2").await.unwrap().is_none());
    world.commit(Who::Operator, vec![import(&encounter("e1", "other", "doc"))]).await.unwrap();
    assert!(
        matches!(world.commit(doctor, create("n2")).await, Err(StoreError::OutsideBoundary)),
        "care ends with what states it"
    );
    assert!(world.read(doctor, "Observation", "o1").await.unwrap().is_none());
}

#[tokio::test]
async fn if_match_must_name_the_current_version() {
    let world = world().await;
    let text = observation("o1", "pat", "2");
    assert!(matches!(world.commit(PAT, vec![update(&text, "v2", Some("v0"))]).await, Err(StoreError::VersionConflict)));
    assert!(matches!(
        world.commit(PAT, vec![delete("Observation", "o1", "v2", Some("v0"))]).await,
        Err(StoreError::VersionConflict)
    ));
    let written = world.commit(PAT, vec![update(&text, "v2", Some("v1"))]).await.unwrap();
    assert!(matches!(written.as_slice(), [Written::Updated(updated)] if updated.version == id("v2")));
    assert!(matches!(world.commit(PAT, vec![update(&text, "v3", Some("v1"))]).await, Err(StoreError::VersionConflict)));
}

#[tokio::test]
async fn a_deleted_resource_is_gone_for_those_who_saw_it_and_absent_for_others() {
    let world = world().await;
    world.commit(PAT, vec![delete("Observation", "o1", "v2", Some("v1"))]).await.unwrap();
    let read = world.read(PAT, "Observation", "o1").await.unwrap().unwrap();
    assert_eq!((read.body, read.version, read.last_updated), (None, id("v2"), 3_000));
    assert!(world.read(OTHER, "Observation", "o1").await.unwrap().is_none());
    assert!(world.search(PAT, "Observation", "").await.unwrap().is_empty());
    assert!(world.search(PAT, "Observation", "code=1234-5").await.unwrap().is_empty());
    assert!(matches!(world.commit(PAT, vec![update(&observation("o1", "pat", "1"), "v3", None)]).await, Err(StoreError::Gone)));
    assert!(matches!(
        world.commit(OTHER, vec![update(&observation("o1", "other", "1"), "v3", None)]).await,
        Err(StoreError::NotFound)
    ));
    let again = world.commit(PAT, vec![delete("Observation", "o1", "v3", None)]).await.unwrap();
    assert!(
        matches!(again.as_slice(), [Written::Deleted(deleted)] if deleted.version == id("v2")),
        "a second deletion makes no version"
    );
    assert_eq!(world.integer("SELECT count(*) FROM version"), 1);
}

#[tokio::test]
async fn an_update_to_another_subject_leaves_no_row_behind() {
    let world = world().await;
    let rows = |sql: &str| world.integer(sql);
    world.commit(Who::Operator, vec![import(&observation("o1", "other", "9999-9"))]).await.unwrap();
    assert!(world.search(PAT, "Observation", "").await.unwrap().is_empty());
    assert!(world.search(Who::Operator, "Observation", "patient=pat").await.unwrap().is_empty());
    assert!(world.read(PAT, "Observation", "o1").await.unwrap().is_none());
    assert_eq!(world.search(OTHER, "Observation", "code=9999-9").await.unwrap(), ["o1"]);
    assert_eq!(world.search(OTHER, "Observation", "code=1234-5").await.unwrap(), ["o2"]);
    world.commit(Who::Operator, vec![import(&observation("o2", "other", "9999-9"))]).await.unwrap();
    assert_eq!(
        rows("SELECT count(*) FROM compartment c JOIN locator l ON l.pk = c.patient WHERE l.id = 'pat'"),
        1,
        "only the Patient itself"
    );
    world.commit(OTHER, vec![delete("Observation", "o1", "d1", None), delete("Observation", "o2", "d2", None)]).await.unwrap();
    for table in
        ["index_token", "index_string", "index_reference", "index_date", "index_number", "index_uri", "shared_link", "care"]
    {
        let key = if matches!(table, "shared_link" | "care") { "source" } else { "pk" };
        let left = rows(&format!("SELECT count(*) FROM {table} i JOIN locator l ON l.pk = i.{key} WHERE l.id IN ('o1', 'o2')"));
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn an_update_touches_only_the_rows_that_differ() {
    let world = world().await;
    let changes = |code: &'static str| {
        let writer = world.store.writer();
        let count = || writer.run(|connection| Ok(connection.total_changes()));
        let world = &world;
        async move {
            let before = count().await.unwrap();
            world.commit(PAT, vec![update(&observation("o1", "pat", code), "v2", None)]).await.unwrap();
            count().await.unwrap() - before
        }
    };
    // The version that moved, the resource, its index rows and the audit record.
    assert_eq!(changes("1234-5").await, 4);
    // And of `code` and `combo-code` and such one row less and one more each.
    let more = changes("77").await - 4;
    assert!(more > 0 && more.is_multiple_of(2) && more <= 12, "{more}");
    assert_eq!(world.search(PAT, "Observation", "code=77").await.unwrap(), ["o1"]);
    assert!(world.search(PAT, "Observation", "code=1234-5").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_create_under_a_taken_id_is_refused_and_one_that_was_only_referred_to_is_free() {
    let world = world().await;
    let create = |text: &str| vec![Change::Create(version(text, "v1", 1))];
    assert!(matches!(world.commit(PAT, create(&observation("o1", "pat", "1"))).await, Err(StoreError::IdTaken)));
    let practitioner = r#"{"resourceType":"Practitioner","id":"doc"}"#;
    assert!(matches!(world.commit(Who::Operator, create(practitioner)).await.unwrap().as_slice(), [Written::Created(_)]));
}

#[tokio::test]
async fn an_import_creates_replaces_and_brings_back() {
    let world = world().await;
    let again = world.commit(Who::Operator, vec![import(&observation("o1", "pat", "2"))]).await.unwrap();
    assert!(matches!(again.as_slice(), [Written::Updated(_)]));
    assert_eq!(world.integer("SELECT count(*) FROM version"), 1);
    world.commit(PAT, vec![delete("Observation", "o1", "v2", None)]).await.unwrap();
    let back = world.commit(Who::Operator, vec![import(&observation("o1", "pat", "3"))]).await.unwrap();
    assert!(matches!(back.as_slice(), [Written::Created(_)]));
    assert_eq!(world.search(PAT, "Observation", "code=3").await.unwrap(), ["o1"]);
}

#[tokio::test]
async fn of_two_imports_of_a_resource_in_one_set_only_the_later_one_is_found() {
    let world = world().await;
    let set = ["4", "5"].map(|code| import(&observation("o9", "pat", code)));
    let written = world.commit(Who::Operator, set.into()).await.unwrap();
    assert!(matches!(written.as_slice(), [Written::Created(_), Written::Updated(_)]));
    assert_eq!(world.search(PAT, "Observation", "code=5").await.unwrap(), ["o9"]);
    assert!(world.search(PAT, "Observation", "code=4").await.unwrap().is_empty());
}

#[tokio::test]
async fn one_refused_change_undoes_the_set_and_its_record_and_what_was_remembered() {
    let world = world().await;
    let waiting = world.store.waiting(100).unwrap().len();
    let changes = |second: &str| {
        let create = |own: &str| Change::Create(version(&observation(own, "new-patient", "1"), "v1", 1));
        vec![create("n1"), create(second)]
    };
    assert!(matches!(world.commit(Who::Operator, changes("o1")).await, Err(StoreError::IdTaken)));
    assert!(world.read(Who::Operator, "Observation", "n1").await.unwrap().is_none());
    assert_eq!(world.store.waiting(100).unwrap().len(), waiting);
    // Locators and the data key of the new patient were made and undone; they are made again, and what they seal can be opened by a new process.
    world.commit(Who::Operator, changes("n2")).await.unwrap();
    let world = world.reopened();
    for own in ["n1", "n2"] {
        assert!(world.read(Who::Patient("new-patient"), "Observation", own).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_record_is_in_the_outbox_until_it_is_moved() {
    let world = World::new();
    world.commit(Who::Operator, vec![import(&patient("pat"))]).await.unwrap();
    world.commit(Who::Operator, vec![import(&patient("other"))]).await.unwrap();
    let waiting = world.store.waiting(10).unwrap();
    assert_eq!(waiting.len(), 2);
    let first: portcullis_audit::Record = serde_json::from_slice(&waiting[0].1).unwrap();
    assert_eq!((&first.id, first.operations[0].id.as_deref()), (&waiting[0].0, Some("pat")));
    assert_eq!(world.store.waiting(1).unwrap(), waiting[..1]);
    let (world, waiting) = tokio::task::spawn_blocking(move || {
        world.store.remove(&[waiting[0].0.clone()]).unwrap();
        (world, waiting)
    })
    .await
    .unwrap();
    assert_eq!(world.reopened().store.waiting(10).unwrap(), waiting[1..]);
}

/// What the newest record in the outbox says: interaction, id, version, patients.
fn last_operations(world: &World) -> Vec<(String, String, String, Vec<String>)> {
    let (_, bytes) = world.store.waiting(1000).unwrap().pop().unwrap();
    let record: portcullis_audit::Record = serde_json::from_slice(&bytes).unwrap();
    let operations = record.operations.into_iter();
    operations.map(|entry| (entry.interaction, entry.id.unwrap(), entry.version.unwrap(), entry.patients)).collect()
}

fn operation(interaction: &str, own: &str, version: &str, patients: &[&str]) -> (String, String, String, Vec<String>) {
    (interaction.into(), own.into(), version.into(), patients.iter().map(|patient| (*patient).to_owned()).collect())
}

#[tokio::test]
async fn the_record_of_a_change_names_the_patients_before_and_after() {
    let world = world().await;
    world
        .commit(Who::Operator, vec![import(&observation("o1", "other", "1")), import(&observation("o9", "pat", "1"))])
        .await
        .unwrap();
    let moved = operation("update", "o1", "v1", &["pat", "other"]);
    assert_eq!(last_operations(&world), [moved, operation("create", "o9", "v1", &["pat"])]);
    let (_, bytes) = world.store.waiting(1000).unwrap().pop().unwrap();
    let record: portcullis_audit::Record = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        record.operations.into_iter().map(|entry| entry.joined).collect::<Vec<_>>(),
        [vec!["other".to_owned()], Vec::new()],
        "whose it is now, and was not before"
    );
    let text = r#"{"resourceType":"Appointment","id":"ap","status":"booked","participant":[
        {"actor":{"reference":"Patient/pat"},"status":"accepted"},{"actor":{"reference":"Patient/other"},"status":"accepted"}]}"#;
    let alone = text.replace("Patient/other", "Practitioner/doc");
    world.commit(Who::Operator, vec![import(text)]).await.unwrap();
    world.commit(Who::Operator, vec![import(&alone)]).await.unwrap();
    assert_eq!(last_operations(&world), [operation("update", "ap", "v1", &["other", "pat"])]);
    world.commit(PAT, vec![update(&alone, "v2", None)]).await.unwrap();
    assert_eq!(last_operations(&world), [operation("update", "ap", "v2", &["pat"])]);
    for named in ["v3", "v4"] {
        world.commit(PAT, vec![delete("Appointment", "ap", named, None)]).await.unwrap();
        assert_eq!(last_operations(&world), [operation("delete", "ap", "v3", &["pat"])], "a second deletion makes no version");
    }
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_changes_undoes_them() {
    let world = world().await;
    let changes = vec![import(&observation("n1", "pat", "1"))];
    let operation = portcullis_policy::Operation::Write(portcullis_policy::WriteSet { changes });
    let (_, portcullis_policy::PermittedOperation::Write(set)) = Who::Operator.permit(operation) else { panic!() };
    let waiting = world.store.waiting(100).unwrap().len();
    let refused = portcullis_store::FhirStore::commit(&*world.store, set, record("other-number", 2)).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert!(world.read(PAT, "Observation", "n1").await.unwrap().is_none());
    assert_eq!(world.store.waiting(100).unwrap().len(), waiting);
}

#[tokio::test]
async fn only_the_record_learns_what_is_there() {
    let world = world().await;
    world.commit(Who::Operator, vec![import(&observation("o1", "other", "1").replace("\"1\"", "\"2\""))]).await.unwrap();
    let hidden = |patients: &[&str]| {
        (Some(portcullis_audit::Presence::Hidden), patients.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let absent = |patients: &[&str]| {
        (Some(portcullis_audit::Presence::Absent), patients.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for (own, named, expected) in [
        ("o2", None, hidden(&["other"])),
        ("none", None, absent(&[])),
        ("o2", Some("v1"), hidden(&["other"])),
        ("o2", Some("v9"), absent(&["other"])),
        ("none", Some("v1"), absent(&[])),
    ] {
        let subject =
            portcullis_store::Subject { resource_type: resource_type("Observation"), id: id(own), version: named.map(id) };
        let mut entry = portcullis_audit::OperationEntry::default();
        entry.sought_in_vain(portcullis_store::FhirStore::seek(&*world.store, &subject, None).await.unwrap());
        assert_eq!((entry.presence, entry.patients), expected, "{own} {named:?}");
    }
    let empty = World::new();
    let subject = portcullis_store::Subject { resource_type: resource_type("Observation"), id: id("o2"), version: None };
    let mut entry = portcullis_audit::OperationEntry::default();
    entry.sought_in_vain(portcullis_store::FhirStore::seek(&*empty.store, &subject, None).await.unwrap());
    assert_eq!(entry.presence, Some(portcullis_audit::Presence::Absent));
}

#[tokio::test]
async fn many_writers_at_once_lose_nothing() {
    let world = std::sync::Arc::new(world().await);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                let own = format!("m{number}");
                world.commit(PAT, vec![Change::Create(version(&observation(&own, "pat", "7"), "v1", number))]).await.unwrap();
                assert!(world.read(PAT, "Observation", &own).await.unwrap().is_some());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.integer("SELECT count(*) FROM resource"), 104);
}

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn measure_commits_of_one_hundred() {
    let world = World::of(&[patient("pat")]).await;
    let set = |round: u32| -> Vec<Change> {
        let one = |number: u32| {
            import(&observation(
                &format!("m-{:x}-{number}", (round * 100 + number).wrapping_mul(0x9e37_79b9)),
                &format!("p{}", number % 10),
                "1234-5",
            ))
        };
        (0..100).map(one).collect()
    };
    let sets: Vec<_> = (0..100).map(set).collect();
    eprintln!("{} index entries", version(&observation("a", "pat", "1"), "v", 1).entries.len());
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    let before = cpu();
    for set in sets {
        world.commit(Who::Operator, set).await.unwrap();
    }
    eprintln!("commit: {} us of CPU per resource", (cpu() - before) * 1e4 / 10_000.0);
    let permits: Vec<_> = (0..10_000)
        .map(|_| {
            let read = portcullis_fhir::interaction::Read { resource_type: resource_type("Patient"), id: id("pat") };
            let (permit, portcullis_policy::PermittedOperation::Read(read)) =
                Who::Operator.permit(portcullis_policy::Operation::Read(read))
            else {
                panic!()
            };
            (permit, read)
        })
        .collect();
    let before = cpu();
    for (permit, read) in permits {
        permit.release(portcullis_store::FhirStore::read(&*world.store, read).await.unwrap()).unwrap();
    }
    eprintln!("read: {} us of CPU", (cpu() - before) * 1e4 / 10_000.0);
}
