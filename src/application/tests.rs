//! Administration over a real store and ledger: imports, people, clients, and the socket beside a running instance.

use std::path::Path;
use std::sync::Arc;

use portcullis_audit::record::{Event, Outcome as Ended, Record};
use portcullis_audit::{Sought, UnfinishedRecord};
use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_policy::{Authorized, Change, HistoryPage, SearchPage, StoredVersion, Unreleased, WriteSet};
use portcullis_server::admin::protocol::{
    Hidden, ImportBatch, ImportReport, ImportResource, NewClient, NewUser, RefusalKind, Refused, Request, Response,
};
use portcullis_server::admin::socket::AdminSocket;
use portcullis_server::listener::Shutdown;
use portcullis_store::together::{Done, NotDone, Together};
use portcullis_store::{BoxFuture, Committed, FhirStore, StoreError, Subject};
use serde_json::value::RawValue;

use super::*;
use crate::commands::channel::Channel;
use portcullis_store::relabelling::{RelabelPart, Relabelled};

pub(super) async fn instance(root: &Path) -> Instance {
    labelling(root, Rules::built_in()).await
}

/// The instance under these rules about labels.
async fn labelling(root: &Path, label_rules: Arc<Rules>) -> Instance {
    with_access(root, AccessSettings::default().with_label_rules(&label_rules)).await
}

/// The instance with these settings.
pub(super) async fn with_access(root: &Path, access: AccessSettings) -> Instance {
    let directory =
        if DataDirectory::exists(root) { DataDirectory::open(root, "test") } else { DataDirectory::create(root, false, "test") }
            .unwrap();
    let path = root.with_extension("key");
    if !path.exists() {
        RootKey::generate().unwrap().write_file(&path).unwrap();
    }
    let root_key = RootKey::read_file(&path).unwrap();
    Instance::open(Setup {
        directory,
        root_key,
        public_url: "https://localhost:1".into(),
        brand: Default::default(),
        guides: Default::default(),
        language: Default::default(),
        authorization: Default::default(),
        demo: None,
        outbound: Default::default(),
        mutual_tls_url: None,
        breached_passwords: None,
        federation: Vec::new(),
        mail: Default::default(),
        access,
        policy: Default::default(),
    })
    .await
    .unwrap()
}

fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    (folder, root)
}

fn batch(texts: &[&str]) -> Request {
    let resource = |text: &&str| ImportResource { id: None, resource: RawValue::from_string((*text).to_owned()).unwrap() };
    Request::Import(ImportBatch { source: "test.ndjson".into(), first: 0, resources: texts.iter().map(resource).collect() })
}

async fn import(channel: &mut Channel, texts: &[&str]) -> ImportReport {
    match channel.call(batch(texts)).await.unwrap() {
        Response::Imported(report) => report,
        other => panic!("{other:?}"),
    }
}

async fn refusal(channel: &mut Channel, request: Request) -> Refused {
    channel.send(request).await.unwrap();
    match channel.receive().await.unwrap() {
        Response::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

/// Every record, from the files of a ledger that is closed.
pub(super) fn records(root: &Path) -> Vec<Record> {
    let reader = portcullis_audit::Reader::new(&root.join("ledger"));
    reader.records(portcullis_audit::Position::START, None).map(|located| located.unwrap().record).collect()
}

fn user(username: &str) -> NewUser {
    NewUser {
        username: username.into(),
        display_name: "Ana Ruiz".into(),
        password: Hidden("four random words here".into()),
        roles: vec!["patient".into()],
        fhir_user: Some("Patient/p1".into()),
        patients: vec!["p1".into()],
        contact: Default::default(),
    }
}

fn client(id: &str) -> NewClient {
    NewClient {
        id: Some(id.into()),
        name: "App".into(),
        confidential: true,
        keys: None,
        redirect_uris: vec!["https://app.example/cb".into()],
        scope: "patient/*.rs".into(),
        properties: Default::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_resource_is_refused_with_its_reason_and_stops_no_other() {
    let (_folder, root) = place();
    let mut channel = Channel::own(instance(&root).await);
    let texts = [
        r#"{"resourceType":"Patient","id":"p1","birthDate":"1980-02-30"}"#,
        r#"{"resourceType":"Patient","id":"p1"}"#,
        r#"{"resourceType":"Nonsense"}"#,
        r#"[1]"#,
        r#"{"resourceType":"AuditEvent","id":"a"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}"#,
    ];
    let report = import(&mut channel, &texts).await;
    assert_eq!(report.stored.into_iter().collect::<Vec<_>>(), [("Observation".to_owned(), 1), ("Patient".to_owned(), 1)]);
    let refused: Vec<usize> = report.refused.iter().map(|refused| refused.index).collect();
    assert_eq!(refused, [0, 2, 3, 4]);
    assert_eq!(report.refused[0].reasons[0].path.as_deref(), Some("Patient.birthDate"));
    assert!(report.refused.iter().all(|refused| !refused.reasons.is_empty()));
    channel.close().await.unwrap();

    let records = records(&root);
    let stored = records.iter().find(|record| record.outcome == Ended::Success).unwrap();
    assert_eq!((stored.event, stored.operations.len()), (Event::Import, 2));
    assert_eq!(
        (stored.operations[0].id.as_deref(), stored.operations[1].patients.as_slice()),
        (Some("p1"), &["p1".to_owned()][..])
    );
    assert!(stored.agent.user.as_deref().unwrap().starts_with("account:"));
    let refused = records.iter().find(|record| record.outcome == Ended::Rejected).unwrap();
    assert!(refused.detail.as_deref().unwrap().contains("4 resources refused, numbers 0, 2, 3, 4"), "{refused:?}");
    assert_eq!(records.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_twice_gives_the_same_ids_also_to_resources_without_one() {
    let (_folder, root) = place();
    let mut channel = Channel::own(instance(&root).await);
    let texts = [r#"{"resourceType":"Patient","gender":"female"}"#, r#"{"resourceType":"Patient","gender":"female"}"#];
    import(&mut channel, &texts).await;
    import(&mut channel, &texts).await;
    channel.close().await.unwrap();
    let ids: Vec<Vec<String>> =
        records(&root).iter().map(|record| record.operations.iter().filter_map(|entry| entry.id.clone()).collect()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0][0], ids[0][1], "two resources of the same content are two");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_clients_are_checked_and_every_request_is_recorded() {
    let (_folder, root) = place();
    let mut channel = Channel::own(instance(&root).await);
    let Response::UserAdded { .. } = channel.call(Request::AddUser(user("ana"))).await.unwrap() else { panic!() };
    let Response::ClientAdded { secret: Some(secret), .. } = channel.call(Request::AddClient(client("app"))).await.unwrap()
    else {
        panic!()
    };
    let mut refusals = Vec::new();
    for (request, kind) in [
        (Request::AddUser(user("ana")), RefusalKind::Conflict),
        (Request::AddUser(NewUser { password: Hidden("short".into()), ..user("bo") }), RefusalKind::Invalid),
        (Request::AddUser(NewUser { roles: vec!["nurse".into()], ..user("bo") }), RefusalKind::Invalid),
        (Request::AddUser(NewUser { roles: Vec::new(), ..user("bo") }), RefusalKind::Invalid),
        (Request::AddUser(NewUser { patients: Vec::new(), ..user("bo") }), RefusalKind::Invalid),
        (Request::AddUser(NewUser { fhir_user: Some("Observation/1".into()), ..user("bo") }), RefusalKind::Invalid),
        (Request::AddUser(user("two words")), RefusalKind::Invalid),
        (Request::AddClient(client("app")), RefusalKind::Conflict),
        (Request::AddClient(NewClient { scope: "everything".into(), ..client("x") }), RefusalKind::Invalid),
        (Request::AddClient(NewClient { redirect_uris: vec!["http://h.example/".into()], ..client("x") }), RefusalKind::Invalid),
        (Request::AddClient(NewClient { redirect_uris: Vec::new(), ..client("x") }), RefusalKind::Invalid),
        (Request::RemoveClient { id: "nobody".into() }, RefusalKind::NotFound),
    ] {
        let described = format!("{request:?}");
        let refused = refusal(&mut channel, request).await;
        assert_eq!(refused.kind, kind, "{described}: {refused:?}");
        refusals.push(refused);
    }
    let Response::Users(users) = channel.call(Request::ListUsers).await.unwrap() else { panic!() };
    assert_eq!(users.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["ana"]);
    let Response::ClientRemoved = channel.call(Request::RemoveClient { id: "app".into() }).await.unwrap() else { panic!() };
    let Response::Clients(clients) = channel.call(Request::ListClients).await.unwrap() else { panic!() };
    assert!(clients.is_empty());
    channel.close().await.unwrap();

    let records = records(&root);
    assert_eq!(records.len(), 2 + refusals.len() + 3);
    assert_eq!(records.iter().filter(|record| record.outcome == Ended::Rejected).count(), refusals.len());
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains("four random words here") && !text.contains(&secret.0), "no secret is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_a_running_instance_uses_its_socket_and_the_same_service() {
    let (folder, root) = place();
    let running = instance(&root).await;
    let shutdown = Shutdown::default();
    let socket = AdminSocket::bind(&root.join("admin.sock")).unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(root.join("admin.sock")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let serving = tokio::spawn(socket.run(Arc::clone(running.service()), shutdown.clone()));

    let held = DataDirectory::open(&root, "load").unwrap_err();
    assert!(matches!(held, portcullis_backends::DirectoryError::HeldBy { .. }));
    let mut channel = Channel::beside(&root, 1, "serve").await.unwrap();
    let report = import(&mut channel, &[r#"{"resourceType":"Patient","id":"p1"}"#, "{}"]).await;
    assert_eq!((report.stored.len(), report.refused.len()), (1, 1));
    let Response::Status(status) = channel.call(Request::Status).await.unwrap() else { panic!() };
    assert_eq!((status.process, status.public_url.as_str()), (std::process::id(), "https://localhost:1"));
    // Answers come in the order of the requests, also where the next one is sent before.
    for number in 0..20 {
        channel.send(batch(&[&format!(r#"{{"resourceType":"Basic","id":"b{number}","code":{{"text":"x"}}}}"#)])).await.unwrap();
        channel.send(Request::Status).await.unwrap();
        assert!(matches!(channel.receive().await.unwrap(), Response::Imported(_)));
        assert!(matches!(channel.receive().await.unwrap(), Response::Status(_)));
    }
    channel.close().await.unwrap();
    shutdown.stop();
    serving.await.unwrap();
    assert!(!root.join("admin.sock").exists());
    running.close().await.unwrap();
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_in_the_outbox_is_in_the_ledger_after_the_next_start() {
    let (_folder, root) = place();
    let killed = instance(&root).await;
    let mut channel = Channel::own(killed);
    import(&mut channel, &[r#"{"resourceType":"Patient","id":"p1"}"#]).await;
    // No close: nothing is moved on purpose, as after a kill.
    drop(channel.end().await);
    let next = instance(&root).await;
    next.close().await.unwrap();
    let records = records(&root);
    assert_eq!(records.iter().filter(|record| record.event == Event::Import).count(), 1, "neither lost nor doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_are_made_once() {
    let (_folder, root) = place();
    let first = instance(&root).await;
    let kids = |instance: &Instance| {
        let keys = instance.server().keys.at(instance.server().clock.now_seconds());
        (keys.access.kid().to_owned(), keys.identity.kid().to_owned())
    };
    let before = kids(&first);
    first.close().await.unwrap();
    let second = instance(&root).await;
    assert_eq!(kids(&second), before);
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn labelling_anew_is_recorded_with_counts_and_the_rules_and_a_dry_run_changes_nothing() {
    let (_folder, root) = place();
    let condition = r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p1"},"code":{"coding":[{"system":"urn:own","code":"X"}]}}"#;
    let mut channel = Channel::own(instance(&root).await);
    import(&mut channel, &[condition]).await;
    channel.close().await.unwrap();
    let rules = Arc::new(Rules::parse("urn:own | X -> R HIV").unwrap());
    let mut channel = Channel::own(labelling(&root, rules).await);
    for dry_run in [true, false] {
        let request = Request::Relabel(RelabelPart { dry_run, place: None });
        let Response::Relabelled(done) = channel.call(request).await.unwrap() else { panic!() };
        assert_eq!((done.place, done.versions, done.changed), (None, 1, 0), "the start has done it");
    }
    let wrong = RelabelPart { dry_run: true, place: Some("x".into()) };
    assert_eq!(refusal(&mut channel, Request::Relabel(wrong)).await.kind, RefusalKind::Invalid);
    channel.close().await.unwrap();
    let records = records(&root);
    let details: Vec<&str> =
        records.iter().filter_map(|record| record.detail.as_deref()).filter(|detail| detail.contains("label")).collect();
    // A refusal is recorded at once, what was done by way of the outbox.
    let [at_start, refused, compared, labelled] = details.as_slice() else { panic!("{details:?}") };
    assert!(at_start.starts_with("labelled anew at the start: 1 versions of 1 resources, 1 changed, 0 unreadable; gained: HIV 1, R 1; lost: nothing; rules "), "{at_start}");
    assert!(
        compared.starts_with("labels compared with the rules: 1 versions") && labelled.starts_with("labelled anew: 1 versions"),
        "{details:?}"
    );
    assert!(labelled.ends_with("; done") && refused.contains("no place"), "{details:?}");
    let rules = |text: &str| text.split("rules ").nth(1).map(|rules| rules.chars().take(64).collect::<String>());
    assert_eq!(rules(at_start).unwrap().len(), 64);
}

/// A store that cannot store one id, and is busy the first time.
struct Picky {
    inner: Arc<dyn FhirStore>,
    busy: std::sync::atomic::AtomicBool,
}

impl FhirStore for Picky {
    fn read(&self, read: Authorized<Read>) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        self.inner.read(read)
    }

    fn version_read(
        &self,
        read: Authorized<VersionRead>,
    ) -> BoxFuture<'_, Result<Unreleased<Option<StoredVersion>>, StoreError>> {
        self.inner.version_read(read)
    }

    fn history<'a>(
        &'a self,
        history: Authorized<InstanceHistory>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<HistoryPage>, StoreError>> {
        self.inner.history(history, binding)
    }

    fn search<'a>(
        &'a self,
        search: Authorized<SearchQuery>,
        binding: &'a [u8],
    ) -> BoxFuture<'a, Result<Unreleased<SearchPage>, StoreError>> {
        self.inner.search(search, binding)
    }

    fn seek<'a>(
        &'a self,
        subject: &'a Subject,
        asked: Option<&'a portcullis_policy::constraint::Constraint>,
    ) -> BoxFuture<'a, Result<Sought, StoreError>> {
        self.inner.seek(subject, asked)
    }

    fn stored_types(&self) -> BoxFuture<'_, Result<portcullis_policy::constraint::TypeSet, StoreError>> {
        self.inner.stored_types()
    }

    fn consult<'a>(
        &'a self,
        asked: &'a portcullis_policy::Constraint,
        patients: &'a [portcullis_fhir::types::LogicalId],
    ) -> BoxFuture<'a, Result<portcullis_policy::Consulted, StoreError>> {
        self.inner.consult(asked, patients)
    }

    fn evidence<'a>(
        &'a self,
        read: Authorized<Read>,
        asked: &'a portcullis_policy::Constraint,
        base_url: &'a str,
    ) -> BoxFuture<'a, Result<portcullis_policy::explanation::Evidence, StoreError>> {
        self.inner.evidence(read, asked, base_url)
    }

    fn relationships<'a>(
        &'a self,
        asked: &'a portcullis_policy::Constraint,
        patients: &'a [portcullis_fhir::types::LogicalId],
    ) -> BoxFuture<'a, Result<Vec<portcullis_policy::StatedRelationship>, StoreError>> {
        self.inner.relationships(asked, patients)
    }

    fn relabel<'a>(&'a self, part: RelabelPart, base_url: &'a str) -> BoxFuture<'a, Result<Relabelled, StoreError>> {
        self.inner.relabel(part, base_url)
    }

    fn commit(&self, set: Authorized<WriteSet>, record: UnfinishedRecord) -> BoxFuture<'_, Result<Committed, StoreError>> {
        if self.busy.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::Unavailable("busy".into())) });
        }
        let poisoned = set.operation().changes.iter().filter_map(Change::proposed).any(|version| version.id.as_str() == "poison");
        if poisoned {
            return Box::pin(async { Err(StoreError::Corrupt("poison".into())) });
        }
        self.inner.commit(set, record)
    }

    fn commit_together(&self, together: Together) -> BoxFuture<'_, Result<Vec<Done>, NotDone>> {
        self.inner.commit_together(together)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_resource_that_the_store_refuses_is_found_by_halving_and_the_others_are_stored_once() {
    let (_folder, root) = place();
    let mut instance = instance(&root).await;
    let original = Arc::clone(instance.server());
    let store = Picky { inner: Arc::clone(&original.store), busy: true.into() };
    let picky = Server {
        settings: original.settings.clone(),
        store: Arc::new(store),
        registry: Arc::clone(&original.registry),
        ledger: Arc::clone(&original.ledger),
        clock: Arc::clone(&original.clock),
        entropy: Arc::clone(&original.entropy),
        federation: portcullis_server::authorization_server::accounts::federation::Federation::new(
            Vec::new(),
            Arc::new(OutboundSettings::default().client().unwrap()),
        ),
        keys: keys::token_keys(&*original.registry, original.clock.now_seconds()).unwrap(),
        proof_nonces: Default::default(),
        form_tokens: keys::form_tokens(&*original.registry).unwrap(),
        client_keys: ClientKeys::new(Arc::new(OutboundSettings::default().client().unwrap())),
        logos: original.logos.clone(),
        mail: Default::default(),
        tokens: token_cache(),
        passwords: Passwords::default(),
        refusals: Default::default(),
        sandbox_refusals: Default::default(),
        large: Default::default(),
        disk: Default::default(),
        counters: Counters::default(),
        capability_statement: original.capability_statement.clone(),
        operator_rules: Default::default(),
    };
    instance.service = Arc::new(Service::new(Arc::new(picky)));
    let mut channel = Channel::own(instance);
    let texts: Vec<String> = (0..100)
        .map(|number| {
            let id = if number == 37 { "poison".to_owned() } else { format!("p{number}") };
            format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)
        })
        .collect();
    let report = import(&mut channel, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(report.stored["Patient"], 99);
    assert_eq!(report.refused.iter().map(|refused| refused.index).collect::<Vec<_>>(), [37]);
    channel.close().await.unwrap();
    let mut ids: Vec<String> =
        records(&root).into_iter().flat_map(|record| record.operations).filter_map(|entry| entry.id).collect();
    assert_eq!(ids.len(), 99);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 99, "what was undone is not recorded as stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_reaches_the_ledger_soon_after_its_change() {
    let (_folder, root) = place();
    let mut channel = Channel::own(instance(&root).await);
    import(&mut channel, &[r#"{"resourceType":"Patient","id":"p1"}"#]).await;
    let begun = std::time::Instant::now();
    while records(&root).is_empty() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(3), "nothing told the task that a record came");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    channel.close().await.unwrap();
}
