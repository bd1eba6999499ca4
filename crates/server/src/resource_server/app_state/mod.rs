//! `/app-state`: small configurations that apps keep for themselves (SMART App Launch 2.2.0, "Persisting App State", experimental; off by default).
//!
//! A FHIR base of its own with one type: `POST /Basic`, `PUT` and `DELETE /Basic/[id]` with `If-Match`, and `GET /Basic?code=&subject=`. A request goes the
//! way of every other: authenticated, decided ([`portcullis_policy::app_state`]), executed, released, recorded, answered. State is opaque, and no search of
//! `/fhir` finds it. There is one state for a code and a subject; there is no history and no read by id.

mod content;
mod query;

use std::sync::Arc;

use http::{StatusCode, header};
use portcullis_audit::PendingRecord;
use portcullis_audit::record::{OperationEntry, Outcome, Record};
use portcullis_fhir::bundle::{BundleWriter, Links, SearchMode};
use portcullis_fhir::interaction::{self, Create, Delete, Interaction, Update};
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::app_state::{self, AppStateCell, AppStateFacts};
use portcullis_policy::{AppState, AppStateLookup, AppStatePermit, AppStateWrite, AuthorizedAppState, Consulted, Denial};
use portcullis_store::app_state::{CELL_TAKEN, STATE_CHANGED};
use portcullis_store::registry::Change;
use portcullis_store::{RegistryError, StoreError};

use self::query::Query;
use super::account::Account;
use super::exchange::bounded;
use super::pipeline::{self, Sent};
use super::refusal::{Refusal, not_found};
use super::reply::{FHIR_JSON, http_date};
use super::{Exchange, authenticate};
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::people;
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body;

/// Where it is, behind the public URL.
pub const BASE: &str = "/app-state";

/// What an app asks for.
enum Asked {
    Search(Query),
    Create(Box<Create>, AppStateCell),
    Update(Box<Update>, AppStateCell, LogicalId),
    Delete(Delete, LogicalId),
}

/// Serves one request; `path` is what follows [`BASE`], still percent-encoded.
pub async fn serve(server: &Arc<Server>, exchange: Exchange, path: String, body: Incoming) -> Answer {
    if !server.settings.authorization.capabilities.has(Capability::SmartAppState) {
        return server.record_page(&exchange, Outcome::Rejected, nothing()).await;
    }
    let mut account = Account::default();
    match stages(server, &exchange, &path, body, &mut account).await {
        Ok(answer) => answer,
        Err(refusal) => pipeline::refuse(server, &exchange, account, &refusal).await,
    }
}

fn nothing() -> Draft {
    let (status, issues) = not_found();
    Draft::new(status).body(FHIR_JSON, portcullis_fhir::outcome::render(&issues))
}

async fn stages(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    body: Incoming,
    account: &mut Account,
) -> Result<Answer, Refusal> {
    let credentials = authenticate::authenticate(server, exchange).await?.stating(account)?;
    let body = body::read(body, content::MAXIMUM_BYTES).await?;
    if !body.is_empty() {
        // A body may take its time, and the access may have been taken back meanwhile.
        account.principal = Some(Arc::new(credentials.establish(server).await?));
    }
    let principal = account.principal()?;
    let request = pipeline::parse(server, exchange, path, Sent::Body(&body))?;
    let asked = asked(server, exchange, request.interaction)?;
    account.operation = Some(asked.entry(exchange));
    let permit = decide(server, &principal, asked.letter()).await?.map_err(|denial| account.denied(denial))?;
    account.permitted(permit.id(), permit.trace());
    match asked {
        Asked::Search(query) => search(server, exchange, account, (&permit, &query)).await,
        Asked::Create(create, cell) => {
            let state = state(server, create.resource, pipeline::fresh(server)?, cell)?;
            let answer = Answered::Version { status: StatusCode::CREATED, state: state.clone() };
            write(server, exchange, account, (&permit, AppStateWrite::Create(state)), answer).await
        }
        Asked::Update(update, cell, if_match) => {
            let found = current(server, account, (&permit, &update.id, &if_match)).await?;
            if found.cell != cell || !content::keeps_place(&found.body, &update.resource) {
                return Err(failed_precondition(
                    "The code and the subject of a state stay as they are. Send them as they were stored.",
                ));
            }
            let state = state(server, update.resource, update.id, cell)?;
            let answer = Answered::Version { status: StatusCode::OK, state: state.clone() };
            write(server, exchange, account, (&permit, AppStateWrite::Update(state, if_match)), answer).await
        }
        Asked::Delete(delete, if_match) => {
            let found = current(server, account, (&permit, &delete.id, &if_match)).await?;
            let write_of = AppStateWrite::Delete { id: delete.id, cell: found.cell, if_match };
            write(server, exchange, account, (&permit, write_of), Answered::Nothing).await
        }
    }
}

impl Asked {
    fn letter(&self) -> Letter {
        match self {
            Self::Search(_) => Letter::Search,
            Self::Create(..) => Letter::Create,
            Self::Update(..) => Letter::Update,
            Self::Delete(..) => Letter::Delete,
        }
    }

    /// What the record says of it, before it is known what there is.
    fn entry(&self, exchange: &Exchange) -> OperationEntry {
        let entry = |code: &str, id: Option<&LogicalId>| OperationEntry {
            interaction: code.to_owned(),
            resource_type: Some(ResourceType::BASIC.name().to_owned()),
            id: id.map(ToString::to_string),
            ..OperationEntry::default()
        };
        let about = |entry: OperationEntry, cell: &AppStateCell| {
            let mut entry = entry;
            entry.name(patients(std::slice::from_ref(cell)));
            entry
        };
        match self {
            Self::Search(_) => {
                OperationEntry { query: Some(bounded(exchange.target.query().unwrap_or_default())), ..entry("search-type", None) }
            }
            Self::Create(_, cell) => about(entry("create", None), cell),
            Self::Update(update, cell, _) => about(entry("update", Some(&update.id)), cell),
            Self::Delete(delete, _) => entry("delete", Some(&delete.id)),
        }
    }
}

/// What a parsed request asks for, if that is one of the interactions of app state.
fn asked(server: &Server, exchange: &Exchange, interaction: Interaction) -> Result<Asked, Refusal> {
    let base_url = &server.settings.fhir_base;
    let basic = |resource_type: ResourceType| if resource_type == ResourceType::BASIC { Ok(()) } else { Err(elsewhere()) };
    let unprocessable = |issue| Refusal::Parse(interaction::Refusal::new(422, issue));
    match interaction {
        Interaction::Search(search) if search.compartment.is_none() => {
            basic(search.resource_type)?;
            let query = Query::parse(exchange.target.query().unwrap_or_default(), base_url);
            match exchange.method {
                http::Method::GET | http::Method::HEAD => query.map(Asked::Search).map_err(bad_request),
                _ => Err(not_allowed("GET, HEAD")),
            }
        }
        Interaction::Create(create) => {
            basic(create.resource.resource_type())?;
            if create.condition.is_some() {
                let message = "There is one state for a code and a subject at most: leave If-None-Exist out.";
                return Err(bad_request(Issue::error(IssueType::NotSupported, message).at("http.If-None-Exist")));
            }
            let cell = content::cell(&create.resource, base_url).map_err(unprocessable)?;
            Ok(Asked::Create(Box::new(create), cell))
        }
        Interaction::Update(update) => {
            basic(update.resource.resource_type())?;
            let if_match = required(update.if_match.as_ref())?;
            let cell = content::cell(&update.resource, base_url).map_err(unprocessable)?;
            Ok(Asked::Update(Box::new(update), cell, if_match))
        }
        Interaction::Delete(delete) => {
            basic(delete.resource_type)?;
            let if_match = required(delete.if_match.as_ref())?;
            Ok(Asked::Delete(delete, if_match))
        }
        Interaction::Read(read) if read.resource_type == ResourceType::BASIC => Err(not_allowed("PUT, DELETE")),
        Interaction::Patch(patch) if patch.resource_type == ResourceType::BASIC => Err(not_allowed("PUT, DELETE")),
        _ => Err(elsewhere()),
    }
}

/// "requiring the presence of `If-Match` to prevent contention"
fn required(if_match: Option<&LogicalId>) -> Result<LogicalId, Refusal> {
    let message = "Send If-Match with the ETag of the state that you change, such as If-Match: W/\"1\".";
    if_match.cloned().ok_or_else(|| bad_request(Issue::error(IssueType::Required, message).at("http.If-Match")))
}

/// Stage 6. What is registered for the client, and whether its user may see the patient in context, is read for each request.
async fn decide(server: &Server, principal: &Principal, letter: Letter) -> Result<Result<AppStatePermit, Denial>, Refusal> {
    let client = server.registry.client(principal.client()).await.map_err(registry)?;
    let entitlements = client.map(|client| client.properties.app_state).unwrap_or_default();
    let patient = principal.launch().patient.as_ref();
    let in_reach = match (patient, principal.user()) {
        (Some(patient), Some(user)) => match server.registry.user(&user.id).await.map_err(registry)? {
            Some(user) => {
                let reference = LocalReference { resource_type: ResourceType::PATIENT, id: patient.clone() };
                people::can_open(server, &user, &reference).await
            }
            None => false,
        },
        _ => false,
    };
    let facts = AppStateFacts { entitlements: &entitlements, patient_in_reach: patient.filter(|_| in_reach) };
    let unasked = match app_state::decide(server.basis(), principal, letter, facts) {
        Ok(unasked) => unasked,
        Err(denial) => return Ok(Err(denial)),
    };
    let consulted = match unasked.asking() {
        Some((constraint, patients)) => server.store.consult(constraint, patients).await?,
        None => Consulted::default(),
    };
    Ok(Ok(unasked.consented(&consulted)))
}

async fn search(
    server: &Server,
    exchange: &Exchange,
    account: &mut Account,
    (permit, query): (&AppStatePermit, &Query),
) -> Result<Answer, Refusal> {
    let lookup = permit.lookup(AppStateLookup { id: None }, |cell| query.wants(cell)).map_err(|denial| account.denied(denial))?;
    let about = patients(lookup.cells());
    let states = look_up(server, permit, lookup).await?;
    let base = base(server);
    let this = format!("{base}/Basic?{}", exchange.target.query().unwrap_or_default());
    let mut bundle = BundleWriter::searchset(&Links { this, next: None }, u64::try_from(states.len()).ok());
    for state in &states {
        bundle.resource(Some(&format!("{base}/Basic/{}", state.id)), &state.body, SearchMode::Match);
    }
    let draft = Draft::new(StatusCode::OK).body(FHIR_JSON, bundle.finish());
    let returned = u32::try_from(states.len()).unwrap_or(u32::MAX);
    let record = account.completed(server, exchange, (about, returned), draft.status()).await;
    Ok(pipeline::recorded(server, record, draft).await)
}

/// Stages 8 and 9 of a lookup.
async fn look_up(
    server: &Server,
    permit: &AppStatePermit,
    lookup: AuthorizedAppState<AppStateLookup>,
) -> Result<Vec<AppState>, Refusal> {
    let found = server.registry.app_states(lookup).await.map_err(registry)?;
    Ok(permit.release(found)?.into_content())
}

/// The state of an id, in one of the open cells and in this version. What is not there, is deleted or lies elsewhere fails alike: "Servers SHALL process any
/// subsequent requests about this `Basic.id` as a failed precondition".
async fn current(
    server: &Server,
    account: &mut Account,
    (permit, id, if_match): (&AppStatePermit, &LogicalId, &LogicalId),
) -> Result<AppState, Refusal> {
    let lookup = permit.lookup(AppStateLookup { id: Some(id.clone()) }, |_| true).map_err(|denial| account.denied(denial))?;
    let states = look_up(server, permit, lookup).await?;
    states.into_iter().find(|state| state.version == *if_match).ok_or_else(changed)
}

/// A new version of a state.
fn state(
    server: &Server,
    resource: portcullis_fhir::resource::Resource,
    id: LogicalId,
    cell: AppStateCell,
) -> Result<AppState, Refusal> {
    let (version, last_updated) = (pipeline::fresh(server)?, server.clock.now_milliseconds());
    let body = resource.with_identity(id.clone(), &version, last_updated).to_bytes();
    Ok(AppState { id, version, last_updated, cell, body })
}

/// What a change is answered with.
enum Answered {
    Version { status: StatusCode, state: AppState },
    Nothing,
}

impl Answered {
    fn draft(&self, server: &Server) -> Draft {
        match self {
            Self::Nothing => Draft::new(StatusCode::NO_CONTENT),
            Self::Version { status, state } => {
                let draft = Draft::new(*status)
                    .body(FHIR_JSON, state.body.clone())
                    .with_text(header::ETAG, &format!("W/\"{}\"", state.version))
                    .with_text(header::LAST_MODIFIED, &http_date(state.last_updated));
                match *status {
                    StatusCode::CREATED => draft.with_text(header::LOCATION, &format!("{}/Basic/{}", base(server), state.id)),
                    _ => draft,
                }
            }
        }
    }
}

/// Stages 7 to 11 of a change: the record is stored in its transaction.
async fn write(
    server: &Server,
    exchange: &Exchange,
    account: &mut Account,
    (permit, write): (&AppStatePermit, AppStateWrite),
    answered: Answered,
) -> Result<Answer, Refusal> {
    server.ledger.health()?;
    let authorized = permit.write(write).map_err(|denial| account.denied(denial))?;
    let draft = answered.draft(server);
    let record = completed(account.record(exchange, Outcome::Success, draft.status()), authorized.cells(), &answered);
    let pending = PendingRecord::new(&record).map_err(|_| Refusal::Internal("a record cannot be written"))?;
    let acknowledgement = server.registry.apply(Change::AppState(Box::new(authorized)), &pending).await.map_err(registry)?;
    let receipt = pending.receipt(&acknowledgement);
    let receipt = receipt.map_err(|_| Refusal::Internal("the registry acknowledged another record than the one it was given"))?;
    Ok(Answer::recorded(receipt, draft))
}

fn completed(mut record: Record, cells: &[AppStateCell], answered: &Answered) -> Record {
    for operation in &mut record.operations {
        operation.patients = patients(cells);
        operation.named.clear();
        if let Answered::Version { state, .. } = answered {
            operation.id = Some(state.id.to_string());
            operation.version = Some(state.version.to_string());
        }
    }
    record
}

/// The patients whom cells are about.
fn patients(cells: &[AppStateCell]) -> Vec<String> {
    let subjects = cells.iter().filter_map(|cell| cell.subject.as_ref());
    let mut patients: Vec<String> =
        subjects.filter(|subject| subject.resource_type == ResourceType::PATIENT).map(|subject| subject.id.to_string()).collect();
    patients.sort_unstable();
    patients.dedup();
    patients
}

fn base(server: &Server) -> String {
    format!("{}{BASE}", server.settings.public_url)
}

fn registry(error: RegistryError) -> Refusal {
    match error {
        RegistryError::Conflict(CELL_TAKEN) => {
            let message = "There is a state of this code and subject already. Search for it, and change it with PUT.";
            Refusal::Parse(interaction::Refusal::new(409, Issue::error(IssueType::Conflict, message)))
        }
        RegistryError::Conflict(STATE_CHANGED) => changed(),
        RegistryError::Conflict(_) => Refusal::Internal("the registry refused a change of app state"),
        RegistryError::Unavailable(source) => Refusal::Store(StoreError::Unavailable(source)),
        RegistryError::Corrupt(what) => Refusal::Store(StoreError::Corrupt(what)),
    }
}

fn changed() -> Refusal {
    failed_precondition(
        "There is no state of this id in the version that If-Match names. Search for it again, and repeat the change on what you find.",
    )
}

fn failed_precondition(message: &str) -> Refusal {
    Refusal::Parse(interaction::Refusal::new(412, Issue::error(IssueType::Conflict, message.to_owned())))
}

fn bad_request(issue: Issue) -> Refusal {
    Refusal::Parse(interaction::Refusal::new(400, issue))
}

fn elsewhere() -> Refusal {
    let message = "There is app state here alone: POST Basic, PUT and DELETE Basic/[id], GET Basic?code=&subject=.";
    Refusal::Parse(interaction::Refusal::new(404, Issue::error(IssueType::NotFound, message)))
}

fn not_allowed(allow: &'static str) -> Refusal {
    let message = "App state is found by its code and subject, and changed as a whole.";
    let refusal = interaction::Refusal::new(405, Issue::error(IssueType::NotSupported, message));
    Refusal::Parse(interaction::Refusal { allow: Some(allow), ..refusal })
}
