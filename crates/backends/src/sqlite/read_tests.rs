//! Reads, versions and histories: what may be seen, and what a changed file gives instead of an answer.

use portcullis_fhir::interaction::InstanceHistory;
use portcullis_policy::HistoryPage;
use portcullis_store::StoreError;

use crate::sqlite::OpenError;
use crate::sqlite::root_key::RootKey;
use crate::sqlite::store::SqliteStore;
use crate::sqlite::testing::*;

const PAT: Who<'_> = Who::Patient("pat");
const OTHER: Who<'_> = Who::Patient("other");

fn asked(type_name: &str, own: &str, count: u32, since: Option<i64>, cursor: Option<String>) -> InstanceHistory {
    InstanceHistory { resource_type: resource_type(type_name), id: id(own), count, since, cursor: cursor.map(Into::into) }
}

fn versions(page: &HistoryPage) -> Vec<&str> {
    page.versions.iter().map(|version| version.version.as_str()).collect()
}

/// An observation of `pat`, then of `other`, then of `pat` again, then deleted.
async fn moved() -> World {
    let world = World::of(&[patient("pat"), patient("other"), observation("o1", "pat", "1")]).await;
    for (subject, named, time) in [("other", "v2", 2_000), ("pat", "v3", 3_000)] {
        let changed = portcullis_policy::Change::Import(version(&observation("o1", subject, named), named, time));
        world.commit(Who::Operator, vec![changed]).await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_version_is_visible_only_together_with_the_current_one() {
    let world = moved().await;
    for (who, named, visible) in [
        (PAT, "v1", true),
        (PAT, "v2", false),
        (PAT, "v3", true),
        (OTHER, "v1", false),
        (OTHER, "v2", false),
        (OTHER, "v3", false),
        (Who::Operator, "v2", true),
        (Who::Operator, "v9", false),
    ] {
        let read = world.version_read(who, "Observation", "o1", named).await.unwrap();
        assert_eq!(read.is_some(), visible, "{who:?} {named}");
        assert!(read.is_none_or(|version| version.version == id(named)));
    }
}

#[tokio::test]
async fn a_history_leaves_out_versions_outside_and_does_not_count_them() {
    let world = moved().await;
    let page = world.history(PAT, asked("Observation", "o1", 10, None, None)).await.unwrap();
    assert_eq!((versions(&page), page.total, page.next.is_none()), (vec!["v3", "v1"], 2, true));
    let page = world.history(OTHER, asked("Observation", "o1", 10, None, None)).await.unwrap();
    assert_eq!(page, HistoryPage::default());
    let page = world.history(Who::Operator, asked("Observation", "o1", 10, Some(2_000), None)).await.unwrap();
    assert_eq!((versions(&page), page.total), (vec!["v3", "v2"], 2));
    let absent = world.history(PAT, asked("Observation", "absent", 10, None, None)).await.unwrap();
    assert_eq!(absent, HistoryPage::default());
}

#[tokio::test]
async fn a_history_is_paged_and_new_versions_do_not_disturb_its_bookmarks() {
    let world = moved().await;
    let first = world.history(Who::Operator, asked("Observation", "o1", 2, None, None)).await.unwrap();
    assert_eq!((versions(&first), first.total), (vec!["v3", "v2"], 3));
    world.commit(PAT, vec![delete("Observation", "o1", "v4", None)]).await.unwrap();
    let second = world.history(Who::Operator, asked("Observation", "o1", 2, None, first.next.clone())).await.unwrap();
    assert_eq!((versions(&second), second.total, second.next.is_none()), (vec!["v1"], 4, true));
    let elsewhere = world.history(Who::Operator, asked("Patient", "pat", 2, None, first.next)).await;
    assert!(matches!(elsewhere, Err(StoreError::InvalidCursor)));
    let deleted = world.history(PAT, asked("Observation", "o1", 10, None, None)).await.unwrap();
    assert_eq!(versions(&deleted), ["v4", "v3", "v1"]);
    assert!(deleted.versions[0].body.is_none());
}

#[tokio::test]
async fn a_clinician_sees_the_versions_of_patients_in_care() {
    let world = moved().await;
    world.commit(Who::Operator, vec![import(&encounter("e1", "pat", "doc"))]).await.unwrap();
    let doctor = Who::Clinician("doc");
    let page = world.history(doctor, asked("Observation", "o1", 10, None, None)).await.unwrap();
    assert_eq!(versions(&page), ["v3", "v1"]);
    assert!(world.version_read(doctor, "Observation", "o1", "v2").await.unwrap().is_none());
    assert!(world.version_read(doctor, "Observation", "o1", "v1").await.unwrap().is_some());
    world.commit(Who::Operator, vec![import(&encounter("e2", "other", "doc"))]).await.unwrap();
    assert!(world.version_read(doctor, "Observation", "o1", "v2").await.unwrap().is_some());
}

#[tokio::test]
async fn a_practitioner_is_visible_through_a_visible_record_with_every_version() {
    let practitioner = r#"{"resourceType":"Practitioner","id":"doc"}"#.to_owned();
    let hermit = r#"{"resourceType":"Practitioner","id":"hermit"}"#.to_owned();
    let world = World::of(&[patient("pat"), patient("other"), observation("o1", "pat", "1"), practitioner.clone(), hermit]).await;
    let second = practitioner.replace("\"doc\"", "\"doc\",\"active\":true");
    world.commit(Who::Operator, vec![portcullis_policy::Change::Import(version(&second, "v2", 2))]).await.unwrap();
    assert!(world.read(PAT, "Practitioner", "doc").await.unwrap().unwrap().grounds.len() == 1);
    assert!(world.read(PAT, "Practitioner", "hermit").await.unwrap().is_none());
    assert!(world.read(OTHER, "Practitioner", "doc").await.unwrap().is_none());
    assert!(world.version_read(PAT, "Practitioner", "doc", "v1").await.unwrap().is_some());
    let page = world.history(PAT, asked("Practitioner", "doc", 10, None, None)).await.unwrap();
    assert_eq!(versions(&page), ["v2", "v1"]);
    world.commit(PAT, vec![delete("Observation", "o1", "d", None)]).await.unwrap();
    assert!(world.read(PAT, "Practitioner", "doc").await.unwrap().is_none());
}

fn provenance(target: &str) -> String {
    format!(
        r#"{{"resourceType":"Provenance","id":"pr","target":[{{"reference":"{target}"}}],"recorded":"2024-01-01T00:00:00Z",
        "agent":[{{"who":{{"reference":"Practitioner/doc"}}}}]}}"#
    )
}

#[tokio::test]
async fn a_provenance_follows_its_target_also_when_that_is_deleted_or_another_one() {
    let world =
        World::of(&[patient("pat"), patient("other"), observation("o1", "pat", "1"), observation("o2", "other", "1")]).await;
    world.commit(Who::Operator, vec![import(&provenance("Observation/o2"))]).await.unwrap();
    world
        .commit(Who::Operator, vec![portcullis_policy::Change::Import(version(&provenance("Observation/o1"), "v2", 2))])
        .await
        .unwrap();
    assert!(world.read(PAT, "Provenance", "pr").await.unwrap().is_some());
    assert!(world.read(OTHER, "Provenance", "pr").await.unwrap().is_none());
    assert!(world.version_read(PAT, "Provenance", "pr", "v1").await.unwrap().is_none(), "it was about another patient then");
    let page = world.history(PAT, asked("Provenance", "pr", 10, None, None)).await.unwrap();
    assert_eq!((versions(&page), page.total), (vec!["v2"], 1));
    world.commit(PAT, vec![delete("Observation", "o1", "d", None)]).await.unwrap();
    world.read(PAT, "Provenance", "pr").await.unwrap();
}

#[tokio::test]
async fn a_tampered_row_is_an_error_and_never_an_answer() {
    portcullis_verifies::verifies!("HIPAA-15");
    for sql in [
        "UPDATE resource SET body = zeroblob(length(body)) WHERE version = 'v3'",
        "UPDATE resource SET last_updated = last_updated + 1 WHERE version = 'v3'",
        "UPDATE resource SET patients = 'pat other' WHERE version = 'v3'",
        "UPDATE resource SET deleted = 1 WHERE version = 'v3'",
        "UPDATE resource SET version = 'v4' WHERE version = 'v3'",
        "UPDATE resource SET data_key = data_key + 1 WHERE version = 'v3'",
        "UPDATE resource SET body = (SELECT body FROM version WHERE version = 'v1') WHERE version = 'v3'",
        "UPDATE resource SET body = (SELECT x.body FROM resource x JOIN locator l ON l.pk = x.pk WHERE l.id = 'pat') WHERE version = 'v3'",
        "UPDATE data_key SET wrapped = zeroblob(length(wrapped))",
    ] {
        let world = moved().await.reopened();
        world.tamper(sql);
        let read = world.read(PAT, "Observation", "o1").await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{sql}: {read:?}");
        assert!(
            matches!(world.history(PAT, asked("Observation", "o1", 9, None, None)).await, Err(StoreError::Corrupt(_))),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_forged_compartment_row_shows_nothing() {
    let world = moved().await;
    world.tamper(
        "INSERT INTO compartment (patient, type, neg_time, pk) SELECT (SELECT pk FROM locator WHERE id = 'other'), c.type, c.neg_time, c.pk \
         FROM compartment c JOIN locator l ON l.pk = c.pk WHERE l.id = 'o1'",
    );
    let read = portcullis_fhir::interaction::Read { resource_type: resource_type("Observation"), id: id("o1") };
    let (permit, portcullis_policy::PermittedOperation::Read(read)) = OTHER.permit(portcullis_policy::Operation::Read(read))
    else {
        panic!()
    };
    let unreleased = portcullis_store::FhirStore::read(&*world.store, read).await.unwrap();
    assert!(permit.release(unreleased).is_err(), "release judges by the authenticated patients");
}

#[tokio::test]
async fn a_store_is_not_opened_with_another_root_key() {
    let world = moved().await;
    let path = world.directory.path().join("portcullis.db");
    let opened = SqliteStore::open(&path, &RootKey::generate().unwrap());
    assert!(matches!(opened, Err(OpenError::WrongKey)));
}

#[tokio::test]
async fn the_file_holds_no_body_in_the_clear() {
    let secret = r#"{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"c"},"subject":{"reference":"Patient/pat"},
        "note":[{"text":"an unmistakable sentence"}]}"#;
    let world = World::of(&[patient("pat"), secret.to_owned()]).await;
    let read = world.read(PAT, "Observation", "o1").await.unwrap().unwrap();
    assert!(String::from_utf8(read.body.unwrap()).unwrap().contains("unmistakable"));
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"unmistakable"));
    }
}

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn measure_how_well_hidden_and_absent_are_told_apart() {
    let texts: Vec<String> =
        (0..2_000).map(|number| observation(&format!("o{number}"), &format!("p{}", number % 20), "1")).collect();
    let world = World::of(&texts).await;
    let time = async |own: &str| {
        let read = portcullis_fhir::interaction::Read { resource_type: resource_type("Observation"), id: id(own) };
        let (permit, portcullis_policy::PermittedOperation::Read(read)) = PAT.permit(portcullis_policy::Operation::Read(read))
        else {
            panic!()
        };
        let begin = std::time::Instant::now();
        let found = portcullis_store::FhirStore::read(&*world.store, read).await.unwrap();
        let elapsed = begin.elapsed().as_nanos();
        assert!(permit.release(found).unwrap().content().is_none());
        elapsed
    };
    let (mut hidden, mut absent) = (Vec::new(), Vec::new());
    for number in 0..10_000 {
        hidden.push(time(&format!("o{}", number % 2_000)).await);
        absent.push(time(&format!("x{}", number % 2_000)).await);
    }
    let median = |times: &mut Vec<u128>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (median_hidden, median_absent) = (median(&mut hidden), median(&mut absent));
    let below: usize = hidden.iter().map(|time| absent.partition_point(|other| other < time)).sum();
    eprintln!("hidden {median_hidden} ns, absent {median_absent} ns, AUC {}", below as f64 / 1e8);
}
