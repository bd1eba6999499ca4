//! AuditEvents over a real ledger, through real permits and with release.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_audit::{Agent, Event, FileSegments, Ledger, OperationEntry, Outcome, Record, RecordId, event_id};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::Principal;
use portcullis_oauth::users::Role;
use portcullis_policy::{Decision, DecisionId, HistoryPage, Operation, PermittedOperation, SearchPage, StoredVersion, decide};
use portcullis_store::{FhirStore, StoreError};

use super::audit_index::AuditIndex;
use super::audit_store::AuditedStore;
use super::search_tests::world::{World, patient, person, query};

const OBSERVER: &str = "https://example.org";

/// A ledger with its index beside a FHIR store.
struct Trail {
    world: World,
    ledger: Arc<Ledger>,
    store: AuditedStore,
    directory: tempfile::TempDir,
}

impl Trail {
    async fn new() -> Self {
        let world = World::of(&[
            r#"{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ann"},"participant":[{"individual":{"reference":"Practitioner/doc"}}]}"#,
        ])
        .await;
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(directory.path().join("ledger"));
        let index = AuditIndex::open(
            &directory.path().join("audit-index.db"),
            Arc::clone(&ledger),
            OBSERVER,
            Arc::clone(world.store.seal()),
        )
        .unwrap();
        let store = AuditedStore::new(Arc::clone(&world.store), index);
        Self { world, ledger, store, directory }
    }

    fn index_file(&self) -> PathBuf {
        self.directory.path().join("audit-index.db")
    }

    /// Opens the index again, as after a restart.
    fn reopen(&mut self) {
        let seal = Arc::clone(self.world.store.seal());
        let index = AuditIndex::open(&self.index_file(), Arc::clone(&self.ledger), OBSERVER, seal).unwrap();
        self.store = AuditedStore::new(Arc::clone(&self.world.store), index);
    }

    async fn record(&self, number: u32, change: impl FnOnce(&mut Record)) {
        let mut record = Record {
            id: RecordId(format!("{number:032x}")),
            recorded: 1_700_000_000_000 + i64::from(number) * 1000,
            event: Event::Rest,
            agent: Agent {
                client: Some("app".into()),
                user: Some("u-doc".into()),
                fhir_user: Some("Practitioner/doc".into()),
                ..Agent::default()
            },
            outcome: Outcome::Success,
            status: 200,
            decision: None,
            rules: Vec::new(),
            request: None,
            operations: vec![OperationEntry {
                interaction: "read".into(),
                resource_type: Some("Observation".into()),
                id: Some("o".into()),
                patients: vec!["ann".into()],
                ..OperationEntry::default()
            }],
            detail: None,
        };
        change(&mut record);
        self.ledger.append(&record).await.unwrap();
    }

    async fn search(&self, principal: &Principal, text: &str) -> Result<SearchPage, StoreError> {
        self.search_query(principal, query(text)).await
    }

    async fn search_query(
        &self,
        principal: &Principal,
        query: portcullis_fhir::search::SearchQuery,
    ) -> Result<SearchPage, StoreError> {
        let Decision::Permit(permit, PermittedOperation::Search(search)) =
            decide(DecisionId(1), principal, Operation::Search(query))
        else {
            panic!("not permitted")
        };
        let found = self.store.search(search, b"test").await?;
        Ok(permit.release(found).unwrap().into_content())
    }

    /// The records of the matches: their numbers, and the patient where that is not Ann.
    async fn found(&self, principal: &Principal, text: &str) -> Vec<String> {
        numbers(&self.search(principal, text).await.unwrap())
    }

    async fn read(&self, principal: &Principal, id: &str) -> Option<StoredVersion> {
        let read = Operation::Read(Read { resource_type: ResourceType::AUDIT_EVENT, id: LogicalId::parse(id).unwrap() });
        let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(DecisionId(1), principal, read) else {
            panic!("not permitted")
        };
        permit.release(self.store.read(read).await.unwrap()).unwrap().into_content()
    }
}

fn ledger(directory: PathBuf) -> Arc<Ledger> {
    std::fs::create_dir_all(&directory).unwrap();
    Arc::new(Ledger::open(&directory, Arc::new(FileSegments)).unwrap())
}

fn numbers(page: &SearchPage) -> Vec<String> {
    let number = |version: &StoredVersion| {
        let record = version.id.as_str().split('-').next().unwrap().trim_start_matches('0');
        match version.patients.as_slice() {
            [patient] if patient.as_str() == "ann" => record.to_owned(),
            patients => format!("{record}-{}", patients[0]),
        }
    };
    page.matches.iter().map(number).collect()
}

/// The id of a patient's event in the record of this number.
fn id(record: u32, patient: &str, ordinal: u32) -> String {
    event_id(&RecordId(format!("{record:032x}")), Some(patient), ordinal)
}

fn auditor() -> Principal {
    person(Role::Auditor, "Practitioner/auditor", &[], "user/AuditEvent.rs", None)
}

fn text(version: &StoredVersion) -> &str {
    str::from_utf8(version.body.as_ref().unwrap()).unwrap()
}

/// 1: doc reads Ann's; 2: Ann reads her own and is denied; 3: another app creates for Bob; 4: a batch over Ann and Bob; 5: Bob touches Ann's.
async fn some_trail() -> Trail {
    let trail = Trail::new().await;
    trail.record(1, |_| {}).await;
    trail
        .record(2, |record| {
            record.agent = Agent {
                client: Some("phone".into()),
                user: Some("u-ann".into()),
                fhir_user: Some("Patient/ann".into()),
                ..Agent::default()
            };
            (record.outcome, record.status) = (Outcome::Denied, 403);
        })
        .await;
    trail
        .record(3, |record| {
            record.agent.client = Some("other".into());
            record.operations[0].interaction = "create".into();
            record.operations[0].id = Some("made".into());
            record.operations[0].patients = vec!["bob".into()];
        })
        .await;
    trail
        .record(4, |record| {
            record.operations[0].interaction = "search-type".into();
            record.operations[0].id = None;
            record.operations[0].query = Some("patient=ann,bob".into());
            record.operations[0].patients = vec!["ann".into(), "bob".into()];
        })
        .await;
    trail
        .record(5, |record| {
            record.agent = Agent {
                client: Some("phone".into()),
                user: Some("u-bob".into()),
                fhir_user: Some("Patient/bob".into()),
                ..Agent::default()
            };
            record.operations[0].interaction = "update".into();
        })
        .await;
    trail
}

#[tokio::test]
async fn the_whole_trail_is_found_by_each_parameter() {
    let trail = some_trail().await;
    for (search, expected) in [
        ("AuditEvent", &["5", "4-bob", "4", "3-bob", "2", "1"] as &[&str]),
        ("AuditEvent?_sort=-date", &["5", "4-bob", "4", "3-bob", "2", "1"]),
        ("AuditEvent?_sort=date", &["1", "2", "3-bob", "4", "4-bob", "5"]),
        ("AuditEvent?patient=bob", &["5", "4-bob", "3-bob"]),
        ("AuditEvent?patient=Patient/ann&_sort=_lastUpdated", &["1", "2", "4", "5"]),
        ("AuditEvent?agent=Practitioner/doc", &["4-bob", "4", "3-bob", "1"]),
        ("AuditEvent?agent=doc", &["4-bob", "4", "3-bob", "1"]),
        ("AuditEvent?agent=Patient/ann", &["2"]),
        ("AuditEvent?agent=Device/phone", &["5", "2"]),
        ("AuditEvent?agent=phone", &["5", "2"]),
        ("AuditEvent?agent:identifier=u-ann,other", &["3-bob", "2"]),
        ("AuditEvent?agent:identifier=x|u-ann", &[]),
        ("AuditEvent?agent=Practitioner/nobody", &[]),
        ("AuditEvent?entity=Observation/made", &["3-bob"]),
        ("AuditEvent?entity=Patient/bob", &["4-bob", "3-bob"]),
        ("AuditEvent?action=C", &["3-bob"]),
        ("AuditEvent?action=C,U", &["5", "3-bob"]),
        ("AuditEvent?action:not=R,E", &["5", "3-bob"]),
        ("AuditEvent?action=http://hl7.org/fhir/audit-event-action|C", &["3-bob"]),
        ("AuditEvent?action=http://elsewhere.org|C", &[]),
        ("AuditEvent?outcome=8", &["2"]),
        ("AuditEvent?outcome:not=0", &["2"]),
        ("AuditEvent?date=ge2023-11-14T22:13:24Z", &["5", "4-bob", "4"]),
        ("AuditEvent?date=lt2023-11-14T22:13:22Z", &["1"]),
        ("AuditEvent?date=2022", &[]),
        ("AuditEvent?_lastUpdated=gt2023-11-14T22:13:24Z", &["5"]),
        ("AuditEvent?patient=ann&agent=Practitioner/doc&outcome=0&_count=1", &["4"]),
    ] {
        assert_eq!(trail.found(&auditor(), search).await, expected, "{search}");
    }
    let id = id(4, "bob", 1);
    assert_eq!(trail.found(&auditor(), &format!("AuditEvent?_id={id}")).await, ["4-bob"]);
    let page = trail.search(&auditor(), "AuditEvent?patient=bob&_count=2&_total=accurate").await.unwrap();
    assert_eq!((page.matches.len(), page.total), (2, Some(3)));
    let page = trail.search(&auditor(), "AuditEvent?_summary=count").await.unwrap();
    assert_eq!((page.matches.len(), page.total), (0, Some(6)));
}

#[tokio::test]
async fn a_patient_sees_the_own_events_and_nothing_of_another_patient() {
    let trail = some_trail().await;
    let ann = patient("ann", "patient/AuditEvent.rs");
    let page = trail.search(&ann, "AuditEvent?_total=accurate").await.unwrap();
    assert_eq!((numbers(&page), page.total), (["5", "4", "2", "1"].map(str::to_owned).to_vec(), Some(4)));
    for event in &page.matches {
        assert!(!text(event).contains("bob"), "{}", text(event));
        assert_eq!(event.patients, [LogicalId::parse("ann").unwrap()]);
    }
    // What the narrow view does not show finds nothing either.
    for search in [
        "AuditEvent?agent=Patient/bob",
        "AuditEvent?agent:identifier=u-bob",
        "AuditEvent?patient=bob",
        "AuditEvent?entity=Patient/bob",
        "AuditEvent?agent=Device/other",
    ] {
        let page = trail.search(&ann, &format!("{search}&_total=accurate")).await.unwrap();
        assert_eq!((page.matches.len(), page.total), (0, Some(0)), "{search}");
    }
    assert_eq!(trail.found(&ann, "AuditEvent?agent=Practitioner/doc").await, ["4", "1"]);
    assert_eq!(trail.found(&ann, "AuditEvent?agent=Device/phone").await, ["5", "2"]);
    assert_eq!(trail.found(&ann, "AuditEvent?patient=ann&date=ge2020").await, ["5", "4", "2", "1"]);
}

/// As the whole trail has it, it was updated.
#[tokio::test]
async fn a_record_that_became_a_patients_was_created_for_this_patient() {
    let trail = some_trail().await;
    trail
        .record(6, |record| {
            record.operations[0].interaction = "update".into();
            record.operations[0].patients = vec!["bob".into(), "ann".into()];
            record.operations[0].joined = vec!["ann".into()];
        })
        .await;
    let [ann, bob] = ["ann", "bob"].map(|id| patient(id, "patient/AuditEvent.rs"));
    let table: [(&Principal, &str, &[&str]); 7] = [
        (&ann, "action=C", &["6"]),
        (&ann, "action=U", &["5"]),
        (&ann, "action:not=C", &["5", "4", "2", "1"]),
        (&bob, "action=U", &["6-bob"]),
        (&bob, "action=C", &["3-bob"]),
        (&auditor(), "action=U", &["6", "6-bob", "5"]),
        (&auditor(), "action=C", &["3-bob"]),
    ];
    for (reader, search, expected) in table {
        assert_eq!(trail.found(reader, &format!("AuditEvent?{search}")).await, expected, "{search}");
    }
    let own = trail.read(&ann, &id(6, "ann", 1)).await.unwrap();
    assert!(text(&own).contains("create") && !text(&own).contains("update"), "{}", text(&own));
}

#[tokio::test]
async fn whom_an_attempt_only_names_finds_it_as_a_denied_one() {
    let trail = some_trail().await;
    trail
        .record(6, |record| {
            record.outcome = Outcome::Rejected;
            record.status = 404;
            record.operations[0].patients.clear();
            record.operations[0].named = vec!["bob".into()];
        })
        .await;
    let bob = patient("bob", "patient/AuditEvent.rs");
    let table: [(&Principal, &str, &[&str]); 4] = [
        (&bob, "patient=bob&outcome=8", &["6-bob"]),
        (&bob, "patient=bob&outcome=4", &[]),
        (&auditor(), "patient=bob&outcome=4", &["6-bob"]),
        (&auditor(), "patient=bob&outcome=8", &[]),
    ];
    for (reader, search, expected) in table {
        assert_eq!(trail.found(reader, &format!("AuditEvent?{search}")).await, expected, "{search}");
    }
}

#[tokio::test]
async fn how_far_the_ledger_reached_is_noted_at_every_opening() {
    let mut trail = some_trail().await;
    trail.reopen();
    let seen = AuditIndex::seen(&trail.index_file()).unwrap();
    assert_eq!((seen.position, seen.head), (trail.ledger.position(), trail.ledger.head()));
    let damaged = trail.directory.path().join("damaged");
    std::fs::write(&damaged, b"no database").unwrap();
    assert_eq!(AuditIndex::seen(&damaged), None, "an index that is damaged says nothing of the ledger");
    assert_eq!(AuditIndex::seen(&trail.directory.path().join("nothing")), None);
}

#[tokio::test]
async fn a_hidden_event_is_read_as_an_absent_one() {
    let trail = some_trail().await;
    let ann = patient("ann", "patient/AuditEvent.rs");
    for visible in [id(4, "bob", 1), id(4, "ann", 1)] {
        assert!(trail.read(&auditor(), &visible).await.is_some());
    }
    let hidden = [id(4, "bob", 1), id(3, "bob", 1)];
    let absent = [id(4, "ann", 2), id(3, "ann", 1), id(99, "ann", 1), format!("{:032x}-1", 4)];
    for asked in hidden.iter().chain(&absent) {
        assert_eq!(trail.read(&ann, asked).await, None, "{asked}");
    }
    let own = trail.read(&ann, &id(4, "ann", 1)).await.unwrap();
    assert!(!text(&own).contains("bob"));
    let all = trail.read(&auditor(), &id(4, "ann", 1)).await.unwrap();
    assert_ne!(own.body, all.body, "the auditor's form has the query");
}

#[tokio::test]
async fn an_event_has_one_version() {
    let trail = some_trail().await;
    let id = LogicalId::parse(&id(1, "ann", 1)).unwrap();
    for (version, expected) in [("1", true), ("2", false)] {
        let read =
            VersionRead { resource_type: ResourceType::AUDIT_EVENT, id: id.clone(), version: LogicalId::parse(version).unwrap() };
        let Decision::Permit(permit, PermittedOperation::VersionRead(read)) =
            decide(DecisionId(1), &auditor(), Operation::VersionRead(read))
        else {
            panic!("not permitted")
        };
        let found = permit.release(trail.store.version_read(read).await.unwrap()).unwrap().into_content();
        assert_eq!(found.is_some(), expected, "{version}");
    }
    let history = InstanceHistory { resource_type: ResourceType::AUDIT_EVENT, id, count: 10, since: None, cursor: None };
    let Decision::Permit(permit, PermittedOperation::History(history)) =
        decide(DecisionId(1), &auditor(), Operation::History(history))
    else {
        panic!("not permitted")
    };
    let page: HistoryPage = permit.release(trail.store.history(history, b"").await.unwrap()).unwrap().into_content();
    assert_eq!((page.versions.len(), page.total), (1, 1));
}

#[tokio::test]
async fn pages_add_up_in_both_directions() {
    let trail = some_trail().await;
    let ann = patient("ann", "patient/AuditEvent.rs");
    for (principal, search) in [
        (auditor(), "AuditEvent?"),
        (auditor(), "AuditEvent?_sort=date"),
        (ann, "AuditEvent?_sort=date"),
        (auditor(), "AuditEvent?patient=bob"),
    ] {
        let whole = trail.found(&principal, search).await;
        for count in 1..4 {
            let mut all = Vec::new();
            let mut cursor: Option<Box<str>> = None;
            loop {
                let mut query = query(search);
                (query.count, query.cursor) = (count, cursor.take());
                let page = trail.search_query(&principal, query).await.unwrap();
                all.extend(numbers(&page));
                let Some(next) = page.next else { break };
                cursor = Some(next.into());
            }
            assert_eq!(all, whole, "{search} by {count}");
        }
    }
}

#[tokio::test]
async fn a_search_sees_what_was_recorded_the_moment_before() {
    let trail = Trail::new().await;
    assert_eq!(trail.found(&auditor(), "AuditEvent").await, Vec::<String>::new());
    for number in 1..5 {
        trail.record(number, |_| {}).await;
        assert_eq!(trail.found(&auditor(), "AuditEvent").await.len(), usize::try_from(number).unwrap());
    }
}

#[tokio::test]
async fn more_records_than_a_batch_are_followed_to_the_end() {
    let trail = Trail::new().await;
    let records: Vec<Record> = (1..1300_u32)
        .map(|number| Record {
            id: RecordId(format!("{number:032x}")),
            recorded: i64::from(number),
            event: Event::Start,
            agent: Agent::default(),
            outcome: Outcome::Success,
            status: 0,
            decision: None,
            rules: Vec::new(),
            request: None,
            operations: Vec::new(),
            detail: None,
        })
        .collect();
    trail.ledger.append_many(&records).await.unwrap();
    assert_eq!(trail.search(&auditor(), "AuditEvent?_summary=count").await.unwrap().total, Some(1299));
}

#[tokio::test]
async fn the_index_goes_on_where_it_was_and_is_made_again_where_it_does_not_fit() {
    let mut trail = some_trail().await;
    let whole = trail.found(&auditor(), "AuditEvent").await;
    trail.reopen();
    assert_eq!(trail.found(&auditor(), "AuditEvent").await, whole);

    let spoil = |trail: &Trail, sql: &str| {
        let connection = rusqlite::Connection::open(trail.index_file()).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    for sql in [
        "PRAGMA user_version = 77",
        "UPDATE followed SET first = 'another'",
        "UPDATE followed SET segment = 99",
        "DROP TABLE key; PRAGMA user_version = 0",
    ] {
        spoil(&trail, sql);
        trail.reopen();
        assert_eq!(trail.found(&auditor(), "AuditEvent").await, whole, "{sql}");
    }
    let file = trail.index_file();
    let elsewhere = trail.directory.path().join("unused.db");
    let seal = Arc::clone(trail.world.store.seal());
    trail.store = AuditedStore::new(
        Arc::clone(&trail.world.store),
        AuditIndex::open(&elsewhere, Arc::clone(&trail.ledger), OBSERVER, seal).unwrap(),
    );
    std::fs::write(&file, b"no database at all, and long enough to be read as one whose header is damaged ".repeat(20)).unwrap();
    trail.reopen();
    assert_eq!(trail.found(&auditor(), "AuditEvent").await, whole);
}

#[tokio::test]
async fn a_tampered_index_shows_nothing_to_the_wrong_reader() {
    let trail = some_trail().await;
    let ann = patient("ann", "patient/AuditEvent.rs");
    trail.found(&auditor(), "AuditEvent").await;
    let connection = rusqlite::Connection::open(trail.index_file()).unwrap();
    // Every event is put into Ann's compartment.
    let sql = "UPDATE OR IGNORE key SET name = (SELECT pk FROM name WHERE text = 'Patient/ann') WHERE kind = 0";
    connection.execute_batch(sql).unwrap();
    assert!(matches!(trail.search(&ann, "AuditEvent").await, Err(StoreError::Corrupt(_))));
    assert_eq!(trail.read(&ann, &id(3, "bob", 1)).await, None);
}

#[tokio::test]
async fn a_clinician_in_a_patients_context_does_not_see_who_looked_at_the_record() {
    let clinician = person(Role::Clinician, "Practitioner/doc", &[], "patient/AuditEvent.rs", Some("ann"));
    let decision = decide(DecisionId(1), &clinician, Operation::Search(query("AuditEvent")));
    assert!(matches!(decision, Decision::Deny(_)));
}

#[tokio::test]
async fn while_the_ledger_rests_the_index_follows_it() {
    let trail = some_trail().await;
    let seal = Arc::clone(trail.world.store.seal());
    let file = trail.directory.path().join("followed.db");
    let index = AuditIndex::open(&file, Arc::clone(&trail.ledger), OBSERVER, seal).unwrap();
    index.follow_when_idle().unwrap();
    let events = || {
        rusqlite::Connection::open(&file)
            .unwrap()
            .query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    for _ in 0..100 {
        if events() == 6 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{} of 6 events after ten seconds of rest", events());
}
