//! The service: who asks, what exactly may be done, the doing, and the record.

use std::sync::Arc;

use portcullis_audit::PendingRecord;
use portcullis_audit::record::{Agent, Event, OperationEntry, Outcome, Record, RecordId};
use portcullis_fhir::interaction::Read;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_jose::Secret;
use portcullis_oauth::clients::Client;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::key_ring::Beginning;
use portcullis_oauth::principal::{Operator, OperatorOperation, Principal};
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::users::{Role, Roles, User};
use portcullis_policy::{Decision, Operation, PermittedOperation, decide};
use portcullis_store::registry::{Change, RegistryError};
use tokio::sync::mpsc;

use super::import::{self, Prepared, Unit};
use super::labels;
use super::protocol::{ImportBatch, NewUser, RefusalKind, Refused, Request, Response, Status, UserSummary};
use crate::authorization_server::accounts::password::{self, hash_now};
use crate::context::{Borrowed, Server};
use crate::mail::notices;

/// The shortest password that is accepted, in characters.
pub const MINIMUM_PASSWORD: usize = 12;
/// The longest name, in characters.
const MAXIMUM_NAME: usize = 100;
/// The longest text about what was done that a record keeps, in characters.
const MAXIMUM_DETAIL: usize = 1000;

/// The person behind a command, by the account of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    name: String,
}

impl Caller {
    /// The account with this number.
    pub fn of_uid(uid: u32) -> Self {
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        });
        Self { name: named.unwrap_or_else(|| format!("uid {uid}")) }
    }

    /// The account of this name, where its number cannot be had.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    fn principal(&self, operations: impl IntoIterator<Item = OperatorOperation>) -> Principal {
        Principal::command_line_operator(Operator::new(&self.name, operations))
    }
}

/// What a record says beyond who and when.
#[derive(Debug)]
pub struct Description {
    /// The kind of event.
    pub event: Event,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done to what.
    pub detail: String,
}

/// A record of what an operator does.
pub fn record_of(server: &Server, principal: &Principal, description: &Description) -> Record {
    let agent = Agent {
        client: Some(principal.client().as_str().to_owned()),
        user: principal.operator().map(|operator| format!("account:{}", operator.name())),
        purpose: Some(principal.purpose_of_use().code().to_owned()),
        ..Agent::default()
    };
    Record {
        id: RecordId(format!("{:032x}", server.random_u128())),
        recorded: server.clock.now_milliseconds(),
        event: description.event,
        agent,
        outcome: description.outcome,
        status: 0,
        decision: None,
        rules: Vec::new(),
        operations: Vec::new(),
        request: None,
        detail: Some(description.detail.chars().take(MAXIMUM_DETAIL).collect()),
    }
}

/// Administration of one running instance.
pub struct Service {
    pub(super) server: Arc<Server>,
}

/// What is being done, by whom, and in which words it is recorded.
pub(super) struct Task {
    principal: Principal,
    operation: Option<OperatorOperation>,
    described: String,
}

impl Task {
    pub(super) fn new(caller: &Caller, operation: Option<OperatorOperation>, described: String) -> Self {
        Self { principal: caller.principal(operation), operation, described }
    }

    pub(super) fn described(&self) -> &str {
        &self.described
    }

    /// The same in other words.
    pub(super) fn redescribed(&self, described: String) -> Self {
        Self { principal: self.principal_for(self.operation), operation: self.operation, described }
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The operator as records name it.
    pub(super) fn operator_account(&self) -> String {
        format!("account:{}", self.principal.operator().map(Operator::name).unwrap_or_default())
    }

    /// The same operator, for something else.
    pub(super) fn principal_for(&self, operations: impl IntoIterator<Item = OperatorOperation>) -> Principal {
        let name = self.principal.operator().map(Operator::name).unwrap_or_default();
        Principal::command_line_operator(Operator::new(name, operations))
    }
}

/// A request on its way through a conversation.
enum Stage {
    Imported(Result<Prepared, Refused>),
    Other(Request),
}

impl Service {
    /// The service of this instance.
    pub fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// Answers requests in their order until there are no more, or nobody takes the answers. While one batch is being stored the next one is
    /// being read.
    pub async fn converse(&self, caller: Caller, mut requests: mpsc::Receiver<Request>, responses: mpsc::Sender<Response>) {
        let (stages, mut ready) = mpsc::channel(1);
        let reading = async move {
            while let Some(request) = requests.recv().await {
                let stage = match request {
                    Request::Import(batch) => Stage::Imported(self.prepare(batch, Unit::Resource).await),
                    Request::ImportTransaction(batch) => Stage::Imported(self.prepare(batch, Unit::Batch).await),
                    other => Stage::Other(other),
                };
                if stages.send(stage).await.is_err() {
                    return;
                }
            }
        };
        let answering = async move {
            while let Some(stage) = ready.recv().await {
                let response = match stage {
                    Stage::Imported(prepared) => self.import(&caller, prepared).await,
                    Stage::Other(request) => self.answer(&caller, request).await,
                };
                if responses.send(response).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(reading, answering);
    }

    /// Answers one request.
    pub async fn answer(&self, caller: &Caller, request: Request) -> Response {
        let (operation, described) = match &request {
            Request::Import(_) | Request::ImportTransaction(_) => {
                return Response::Refused(Refused::new(RefusalKind::Internal, "An import goes another way."));
            }
            // Nothing is told and nothing is done, so there is nothing to record.
            Request::Hello => return Response::Hello,
            Request::Status => (None, "status".to_owned()),
            Request::ListClients => (Some(OperatorOperation::ListClients), "clients listed".to_owned()),
            Request::AddClient(client) => (Some(OperatorOperation::AddClient), format!("client added: {}", client.name)),
            Request::RemoveClient { id } => (Some(OperatorOperation::RemoveClient), format!("client removed: {id}")),
            Request::Client(request) => {
                let (operation, described) = request.described();
                (Some(operation), described)
            }
            Request::ListUsers => (Some(OperatorOperation::ListUsers), "users listed".to_owned()),
            Request::User(request) => {
                let (operation, described) = request.described();
                (Some(operation), described)
            }
            Request::Explain(request) => (Some(OperatorOperation::ExplainDecision), request.described()),
            Request::Safeguard(request) => {
                let (operation, described) = request.described();
                (Some(operation), described)
            }
            Request::Consent(request) => {
                let (operation, described) = request.described();
                (Some(operation), described)
            }
            Request::Review(request) => (Some(OperatorOperation::ReviewAudit), request.described()),
            Request::AddUser(user) => (Some(OperatorOperation::AddUser), format!("user added: {}", user.username)),
            Request::LinkUser(link) => (Some(OperatorOperation::LinkUser), link.described("linked")),
            Request::UnlinkUser(link) => (Some(OperatorOperation::LinkUser), link.described("separated")),
            Request::Represent(represents) => (Some(OperatorOperation::RepresentPatient), represents.described()),
            Request::Relabel(part) => (Some(OperatorOperation::LabelResources), labels::described(part)),
            Request::ListKeys => (Some(OperatorOperation::ListKeys), "signing keys listed".to_owned()),
            Request::RotateKeys { now } => {
                let when = if *now { "at once" } else { "after their publication" };
                (Some(OperatorOperation::RotateKeys), format!("signing keys rotated; the new ones sign {when}"))
            }
        };
        let task = Task::new(caller, operation, described);
        match self.carry_out(&task, request).await {
            Ok(response) => response,
            Err(refused) => self.refuse(&task, refused).await,
        }
    }

    /// Replaces where a client's browser may be sent back to and where an EHR opens it, as when a demo moves to another port.
    pub async fn move_client(
        &self,
        caller: &Caller,
        id: &str,
        (redirect_uris, launch_urls): (&[String], &[String]),
    ) -> Result<(), Refused> {
        let task = Task::new(caller, Some(OperatorOperation::InitialiseDataDirectory), format!("client moved: {id}"));
        let mut client = self.client(id).await?;
        client.redirect_uris = redirects(redirect_uris)?;
        client.properties.launch_urls = launch_urls.to_vec();
        self.change(&task, Change::ReplaceClient(Box::new(client))).await
    }

    async fn prepare(&self, batch: ImportBatch, unit: Unit) -> Result<Prepared, Refused> {
        let server = Arc::clone(&self.server);
        let reading = tokio::task::spawn_blocking(move || import::prepare(&server, batch, unit));
        reading.await.map_err(|_| Refused::new(RefusalKind::Internal, "Reading a batch failed in an unexpected way."))
    }

    async fn import(&self, caller: &Caller, prepared: Result<Prepared, Refused>) -> Response {
        let principal = caller.principal([OperatorOperation::LoadResources]);
        let imported = match prepared {
            Ok(prepared) => import::store(&self.server, &principal, prepared).await,
            Err(refused) => Err(refused),
        };
        imported.map_or_else(Response::Refused, Response::Imported)
    }

    async fn carry_out(&self, task: &Task, request: Request) -> Result<Response, Refused> {
        match request {
            Request::Hello => Ok(Response::Hello),
            Request::Import(_) | Request::ImportTransaction(_) | Request::Status => {
                self.change(task, Change::Nothing).await?;
                Ok(Response::Status(self.status()))
            }
            Request::ListClients => self.list_clients(task).await,
            Request::AddClient(client) => self.add_client(task, client).await,
            Request::RemoveClient { id } => self.remove_client(task, &id).await,
            Request::Client(request) => self.change_client(task, request).await,
            Request::ListUsers => {
                let users = self.server.registry.users().await.map_err(|error| registry_error(error, &task.described))?;
                self.change(task, Change::Nothing).await?;
                Ok(Response::Users(users.iter().map(user_summary).collect()))
            }
            Request::AddUser(user) => self.add_user(task, user).await,
            Request::User(request) => self.change_user(task, request).await,
            Request::Explain(request) => self.explain(task, *request).await,
            Request::Safeguard(request) => self.safeguard(task, request).await,
            Request::Consent(request) => self.about_consents(task, request).await,
            Request::Review(request) => self.review(task, &request).await,
            Request::LinkUser(link) => self.link_user(task, link, true).await,
            Request::UnlinkUser(link) => self.link_user(task, link, false).await,
            Request::Represent(represents) => self.represent(task, represents).await,
            Request::Relabel(part) => self.relabel(task, part).await,
            Request::ListKeys => self.list_keys(task).await,
            Request::RotateKeys { now: true } => self.rotate_keys(task, Beginning::Now).await,
            Request::RotateKeys { now: false } => self.rotate_keys(task, Beginning::Published).await,
        }
    }

    async fn add_user(&self, task: &Task, new: NewUser) -> Result<Response, Refused> {
        let mut user = self.checked_user(&new)?;
        let contact = new.contact.clone();
        let mut salt = [0; 16];
        self.server.entropy.fill(&mut salt);
        let hashing = tokio::task::spawn_blocking(move || hash_now(&new.password.0, salt));
        let hash = hashing.await.map_err(|_| Refused::new(RefusalKind::Internal, "The password could not be hashed."))?;
        user.password_hash =
            Secret::new(hash.map_err(|_| Refused::new(RefusalKind::Internal, "The password could not be hashed."))?);
        let id = user.id.as_str().to_owned();
        let (user_id, contact) = (user.id.clone(), self.checked_contact(&contact)?);
        let absent = self.absent(task, &user).await?;
        let looked = if absent.is_empty() { String::new() } else { format!(" (not stored: {})", absent.join(", ")) };
        let described = format!("{}{looked}", task.described);
        let task = Task { principal: task.principal_for(task.operation), operation: task.operation, described };
        self.change(&task, Change::AddUser(Box::new(user))).await?;
        if contact.is_some() {
            self.set_address(&task, &user_id, contact).await?;
        }
        Ok(Response::UserAdded { id, absent })
    }

    /// What a user is bound to and is not stored. That is allowed, since people may be added before their data, and worth a word, since it may be a
    /// slip of the pen. Only whether it is there leaves this function.
    async fn absent(&self, task: &Task, user: &User) -> Result<Vec<String>, Refused> {
        let principal = task.principal_for([OperatorOperation::ReadResources]);
        let mut bound: Vec<LocalReference> = user.fhir_user.iter().cloned().collect();
        bound.extend(user.patients.iter().map(|id| LocalReference { resource_type: ResourceType::PATIENT, id: id.clone() }));
        bound.sort_unstable_by_key(ToString::to_string);
        bound.dedup();
        let mut absent = Vec::new();
        for LocalReference { resource_type, id } in bound {
            let name = format!("{resource_type}/{id}");
            let read = Operation::Read(Read { resource_type, id });
            let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(self.server.basis(), &principal, read) else {
                return Err(Refused::new(RefusalKind::Denied, "Policy does not let this command look for the user's patients."));
            };
            let internal = |error: &dyn std::fmt::Display| Refused::new(RefusalKind::Internal, format!("Not done: {error}."));
            let found = self.server.store.read(read).await.map_err(|error| internal(&error))?;
            let released = permit.release(found).map_err(|error| internal(&error))?;
            if released.content().as_ref().is_none_or(|version| version.body.is_none()) {
                absent.push(name);
            }
        }
        Ok(absent)
    }

    /// The user, still without a password.
    fn checked_user(&self, new: &NewUser) -> Result<User, Refused> {
        if new.password.0.chars().count() < MINIMUM_PASSWORD || new.password.0.len() > password::MAXIMUM_LENGTH {
            return Err(invalid(&format!(
                "A password has at least {MINIMUM_PASSWORD} characters and at most {} bytes.",
                password::MAXIMUM_LENGTH
            )));
        }
        self.checked_person(new)
    }

    /// The user, whatever the password.
    pub(super) fn checked_person(&self, new: &NewUser) -> Result<User, Refused> {
        let name = |text: &str| (1..=MAXIMUM_NAME).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control);
        if !name(&new.username) || new.username.contains(char::is_whitespace) {
            return Err(invalid("A user name has 1 to 100 characters and no white space."));
        }
        if !name(&new.display_name) {
            return Err(invalid("A display name has 1 to 100 characters."));
        }
        let role = |text: &String| {
            let names: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
            Role::parse(text).ok_or_else(|| invalid(&format!("'{text}' is no role. The roles are {}.", names.join(", "))))
        };
        let roles: Roles = new.roles.iter().map(role).collect::<Result<_, _>>()?;
        if roles.is_empty() {
            return Err(invalid("A user needs at least one role."));
        }
        let patient =
            |text: &String| LogicalId::parse(text).ok_or_else(|| invalid(&format!("'{text}' is not the id of a patient.")));
        let patients = new.patients.iter().map(patient).collect::<Result<Vec<_>, _>>()?;
        if patients.is_empty() && (roles.contains(Role::Patient) || roles.contains(Role::Representative)) {
            return Err(invalid("A patient or representative needs the id of at least one patient to act for."));
        }
        Ok(User {
            id: UserId::generate(&mut Borrowed(&*self.server.entropy)),
            username: new.username.clone(),
            display_name: new.display_name.clone(),
            password_hash: Secret::new(String::new()),
            roles,
            fhir_user: new.fhir_user.as_deref().map(fhir_user).transpose()?,
            patients,
            represents: Vec::new(),
            created_at: self.server.clock.now_seconds(),
        })
    }

    pub(super) async fn client(&self, id: &str) -> Result<Client, Refused> {
        let absent = || Refused::new(RefusalKind::NotFound, format!("There is no client '{id}'."));
        let parsed = ClientId::parse(id).ok_or_else(absent)?;
        self.server.registry.client(&parsed).await.map_err(|error| registry_error(error, id))?.ok_or_else(absent)
    }

    /// A change with its record, both or neither.
    pub(super) async fn change(&self, task: &Task, change: Change) -> Result<(), Refused> {
        self.change_recorded(task, (Event::Administration, Vec::new()), change).await
    }

    /// The same with a record of another kind, and with what it is about.
    pub(super) async fn change_recorded(
        &self,
        task: &Task,
        (event, operations): (Event, Vec<OperationEntry>),
        change: Change,
    ) -> Result<(), Refused> {
        let internal = |message: &str| Refused::new(RefusalKind::Internal, message);
        let allowed = |operation| task.principal.operator().is_some_and(|operator| operator.may(operation));
        if !task.operation.is_none_or(allowed) {
            return Err(Refused::new(RefusalKind::Denied, "This command may not do that."));
        }
        let description = Description { event, outcome: Outcome::Success, detail: task.described.clone() };
        let record = Record { operations, ..record_of(&self.server, &task.principal, &description) };
        let pending = PendingRecord::new(&record).map_err(|_| internal("An audit record cannot be written as JSON."))?;
        let change = notices::telling(&self.server, change).await.map_err(|error| registry_error(error, &task.described))?;
        let acknowledged =
            self.server.registry.apply(change, &pending).await.map_err(|error| registry_error(error, &task.described))?;
        pending.receipt(&acknowledged).map(|_receipt| ()).map_err(|error| internal(&error.to_string()))
    }

    async fn refuse(&self, task: &Task, refused: Refused) -> Response {
        let outcome = match refused.kind {
            RefusalKind::Invalid | RefusalKind::Conflict | RefusalKind::NotFound => Outcome::Rejected,
            RefusalKind::Denied => Outcome::Denied,
            RefusalKind::Unavailable | RefusalKind::Internal => Outcome::Failed,
        };
        let detail = format!("{}: {}", task.described, refused.message);
        let record = record_of(&self.server, &task.principal, &Description { event: Event::Administration, outcome, detail });
        match self.server.ledger.append(record).await {
            Ok(_receipt) => Response::Refused(refused),
            Err(error) => {
                Response::Refused(Refused::new(RefusalKind::Unavailable, format!("The audit ledger cannot be written: {error}.")))
            }
        }
    }

    fn status(&self) -> Status {
        let settings = &self.server.settings;
        Status {
            version: settings.version.to_owned(),
            process: std::process::id(),
            public_url: settings.public_url.clone(),
            started: settings.started,
        }
    }
}

pub(super) fn invalid(message: &str) -> Refused {
    Refused::new(RefusalKind::Invalid, message)
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}

fn redirects(texts: &[String]) -> Result<Vec<RedirectUri>, Refused> {
    let parse =
        |text: &String| RedirectUri::parse(text).map_err(|error| invalid(&format!("'{text}' cannot be registered: {error}.")));
    texts.iter().map(parse).collect()
}

/// The types that a `fhirUser` may have (SMART App Launch 2.2.0, "Scopes for requesting identity data").
fn fhir_user(text: &str) -> Result<LocalReference, Refused> {
    const TYPES: [ResourceType; 5] = [
        ResourceType::PATIENT,
        ResourceType::PERSON,
        ResourceType::PRACTITIONER,
        ResourceType::PRACTITIONER_ROLE,
        ResourceType::RELATED_PERSON,
    ];
    let parsed = LocalReference::parse(text).filter(|reference| TYPES.contains(&reference.resource_type));
    parsed.ok_or_else(|| invalid(&format!("'{text}' is no person. Write for example Practitioner/17 or Patient/4.")))
}

pub(super) fn registry_error(error: RegistryError, subject: &str) -> Refused {
    match error {
        RegistryError::Conflict(reason) => Refused::new(RefusalKind::Conflict, format!("Not done: {reason}.")),
        RegistryError::Unavailable(source) => {
            Refused::new(RefusalKind::Unavailable, format!("The store cannot be written ({subject}): {source}."))
        }
        RegistryError::Corrupt(reason) => Refused::new(RefusalKind::Internal, format!("A stored row cannot be read: {reason}.")),
    }
}

pub(super) fn user_summary(user: &User) -> UserSummary {
    UserSummary {
        id: user.id.as_str().to_owned(),
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        roles: user.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        fhir_user: user.fhir_user.as_ref().map(ToString::to_string),
        patients: user.patients.iter().map(|id| id.as_str().to_owned()).collect(),
    }
}
