//! What is known of an interaction when its record is written: whoever asked, what was asked, and how it was decided.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis_audit::Sought;
use portcullis_audit::record::{Event, OperationEntry, Outcome, Record};
use portcullis_fhir::interaction::{Format, Interaction};
use portcullis_fhir::search::{SearchPlace, SearchQuery};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::principal::Principal;
use portcullis_policy::decision::Trace;
use portcullis_policy::{Constraint, Decision, DecisionId, Denial, Operation, Permit, PermittedOperation, decide};
use portcullis_store::{StoreError, Subject};
use tokio::time::Instant;

use super::exchange::bounded;
use super::refusal::Refusal;
use super::respond::Summary;
use super::{Exchange, named};
use crate::context::Server;
use crate::operator_rules;

/// Much longer than it takes to answer an attempt in vain.
const BEAT: Duration = Duration::from_millis(2);

/// The account of one interaction.
#[derive(Default)]
pub struct Account {
    /// Who asked.
    pub principal: Option<Arc<Principal>>,
    /// The form of the answer, where the body has been read.
    pub format: Option<Format>,
    /// What was asked, once that is understood.
    pub operation: Option<OperationEntry>,
    /// What a request by id is after.
    subject: Option<Subject>,
    /// Under what it was permitted to look for that.
    constraint: Option<Arc<Constraint>>,
    /// When it was understood: what comes before that, whoever asks can draw out.
    understood: Option<Instant>,
    decision: Option<String>,
    trace: Trace,
}

impl Account {
    /// An account of what this principal asks.
    pub fn of(principal: Arc<Principal>) -> Self {
        Self { principal: Some(principal), ..Self::default() }
    }

    /// Whoever asked; nothing is decided for nobody.
    pub fn principal(&self) -> Result<Arc<Principal>, Refusal> {
        self.principal.clone().ok_or(Refusal::Internal("a request lost its principal"))
    }

    /// The account of a part of the same, decided as this was last.
    pub fn part(&self, operation: OperationEntry) -> Self {
        let (principal, decision, trace) = (self.principal.clone(), self.decision.clone(), self.trace.clone());
        Self { principal, operation: Some(operation), decision, trace, ..Self::default() }
    }

    /// Notes what was asked; `form` is the body of a search that was posted.
    pub fn describe(&mut self, exchange: &Exchange, interaction: &Interaction, form: &[u8]) {
        let mut entry = describe(interaction, exchange, form);
        entry.name(named::by(interaction));
        self.operation = Some(entry);
        self.subject = subject(interaction);
        self.understood = Some(Instant::now());
    }

    /// Notes whom a condition names.
    pub fn name_searched(&mut self, condition: &SearchQuery) {
        if let Some(entry) = &mut self.operation {
            entry.name(named::searched(condition));
        }
    }

    /// Notes whom the content names that is to be stored.
    pub fn name_proposed(&mut self, operation: &Operation) {
        if let Some(entry) = &mut self.operation {
            entry.name(named::proposed(operation));
        }
    }

    /// Decides about an operation and notes how.
    pub fn decide(
        &mut self,
        server: &Server,
        principal: &Principal,
        operation: Operation,
    ) -> Result<(Permit, PermittedOperation), Refusal> {
        match decide(server.basis(), principal, operation) {
            Decision::Permit(permit, permitted) => {
                self.decision = Some(permit.id().to_string());
                self.trace = permit.trace().clone();
                self.constraint = self.subject.as_ref().map(|_| permit.shared_constraint());
                Ok((permit, permitted))
            }
            Decision::Deny(denial) => Err(self.denied(denial)),
        }
    }

    /// Notes a permit that something else than [`decide`] gave.
    pub fn permitted(&mut self, id: DecisionId, trace: &Trace) {
        self.decision = Some(id.to_string());
        self.trace = trace.clone();
    }

    /// Notes a denial.
    pub fn denied(&mut self, denial: Denial) -> Refusal {
        self.decision = Some(denial.id.to_string());
        self.trace = denial.trace.clone();
        Refusal::Denied(denial)
    }

    /// A record with what the account holds.
    pub fn record(&self, exchange: &Exchange, outcome: Outcome, status: StatusCode) -> Record {
        let agent = self.principal.as_ref().map_or_else(|| exchange.agent(), |principal| exchange.agent_of(principal));
        let event = if self.operation.is_some() { Event::Rest } else { Event::Refused };
        let mut record = exchange.record(event, agent, outcome, status);
        record.decision.clone_from(&self.decision);
        record.rules = self.trace.0.iter().filter(|verdict| !verdict.effect.is_silent()).map(ToString::to_string).collect();
        operator_rules::tell_tried(&record.id.0, &self.trace);
        record.operations = vec![self.operation.clone().unwrap_or_else(|| exchange.raw_operation())];
        record
    }

    /// The record of an interaction that released something of these patients, or found nothing.
    pub async fn completed(
        &self,
        server: &Server,
        exchange: &Exchange,
        summary: impl Into<Summary>,
        status: StatusCode,
    ) -> Record {
        let Summary { patients, returned, redacted, labels, consents } = summary.into();
        let outcome = if status.is_client_error() { Outcome::Rejected } else { Outcome::Success };
        let mut record = self.record(exchange, outcome, status);
        // What was permitted and found nothing, by either style of denials.
        let in_vain = matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN);
        for operation in &mut record.operations {
            operation.named.retain(|patient| !patients.contains(patient));
            operation.patients.clone_from(&patients);
            operation.returned = Some(returned);
            operation.redacted = redacted;
            operation.consents.clone_from(&consents);
            operation.labels = labels.codings().map(|(_, code, _)| code.to_owned()).collect();
            if in_vain {
                self.seek(server, operation, true).await;
            }
        }
        record
    }

    /// The record of an interaction that was refused.
    pub async fn refused(&self, server: &Server, exchange: &Exchange, refusal: &Refusal, status: StatusCode) -> Record {
        if refusal.outcome() == Outcome::Failed {
            // The record holds the details; a log must not name anybody's resources.
            tracing::error!(request = exchange.id, kind = refusal.kind(), "a FHIR request failed");
        }
        let mut record = self.record(exchange, refusal.outcome(), status);
        record.detail = Some(refusal.to_string());
        let in_vain = match refusal {
            Refusal::Store(StoreError::NotFound) => Some(true),
            Refusal::ReadOnly => Some(false),
            Refusal::Store(
                StoreError::Gone | StoreError::VersionConflict | StoreError::OutsideBoundary | StoreError::Redacted,
            ) => Some(false),
            // A refusal by scope or role must not depend on what is stored, and the others never got to the store.
            _ => None,
        };
        if let (Some(in_vain), [operation]) = (in_vain, record.operations.as_mut_slice()) {
            self.seek(server, operation, in_vain).await;
        }
        record
    }

    /// What the record alone says of an attempt that released nothing: whether there is something, and in whose records. `in_vain`: to whoever asked,
    /// there is nothing.
    async fn seek(&self, server: &Server, operation: &mut OperationEntry, in_vain: bool) {
        let Some(subject) = &self.subject else { return };
        let sought = server.store.seek(subject, self.constraint.as_deref()).await;
        if let Some(understood) = self.understood.filter(|_| sought.as_ref().is_ok_and(Sought::has_asked_consents)) {
            wait_for_beat(understood).await;
        }
        match sought {
            Ok(sought) if in_vain => operation.sought_in_vain(sought),
            Ok(sought) => operation.sought_and_refused(sought),
            // The attempt is recorded all the same, and answered as it would have been.
            Err(error) => tracing::error!(%error, "a record cannot say what was sought"),
        }
    }
}

/// Waits for the next moment at which an attempt in vain may be answered, where what it was after took a time that could tell what is there: a whole number of beats since this.
async fn wait_for_beat(since: Instant) {
    let beats = since.elapsed().as_nanos() / BEAT.as_nanos() + 1;
    let moment = since + BEAT * u32::try_from(beats).unwrap_or(u32::MAX);
    // The runtime's timer waits for whole milliseconds from where it is asked, and so tells when that was.
    let wait = move || std::thread::sleep(moment.saturating_duration_since(Instant::now()));
    if tokio::task::spawn_blocking(wait).await.is_err() {
        tracing::error!("an answer did not wait for its time");
    }
}

/// What the record says about the interaction.
fn describe(interaction: &Interaction, exchange: &Exchange, form: &[u8]) -> OperationEntry {
    let entry = |code: &str, resource_type: &str, id: Option<&LogicalId>| OperationEntry {
        interaction: code.to_owned(),
        resource_type: Some(resource_type.to_owned()),
        id: id.map(ToString::to_string),
        ..OperationEntry::default()
    };
    let sent = exchange.target.query().unwrap_or_default();
    match interaction {
        Interaction::Capabilities => OperationEntry { interaction: "capabilities".to_owned(), ..OperationEntry::default() },
        Interaction::Read(read) => entry("read", read.resource_type.name(), Some(&read.id)),
        Interaction::VersionRead(read) => OperationEntry {
            version: Some(read.version.to_string()),
            ..entry("vread", read.resource_type.name(), Some(&read.id))
        },
        Interaction::InstanceHistory(history) => entry("history-instance", history.resource_type.name(), Some(&history.id)),
        Interaction::Search(query) => {
            let place = query.compartment.as_ref().map(|compartment| format!("{compartment}/{}", query.resource_type));
            let sent = searched(place.as_deref(), exchange, form);
            OperationEntry { query: Some(sent), ..entry("search-type", query.resource_type.name(), None) }
        }
        Interaction::SearchOfTypes(search) => {
            let place = Some(search.place.path()).filter(|path| !path.is_empty());
            let query = Some(searched(place.as_deref(), exchange, form));
            match &search.place {
                SearchPlace::Everything(focus) => {
                    OperationEntry { query, ..entry("operation", focus.resource_type.name(), Some(&focus.id)) }
                }
                SearchPlace::System | SearchPlace::Compartment(_) => {
                    OperationEntry { interaction: "search-system".to_owned(), query, ..OperationEntry::default() }
                }
            }
        }
        Interaction::Patch(patch) => entry("update", patch.resource_type.name(), Some(&patch.id)),
        Interaction::ConditionalPatch(patch) => {
            OperationEntry { query: Some(bounded(sent)), ..entry("update", patch.condition.resource_type.name(), None) }
        }
        Interaction::Create(create) => {
            let condition = create.condition.as_ref().and_then(|_| exchange.header(&IF_NONE_EXIST)).map(bounded);
            OperationEntry { query: condition, ..entry("create", create.resource.resource_type().name(), None) }
        }
        Interaction::Update(update) => entry("update", update.resource.resource_type().name(), Some(&update.id)),
        Interaction::Delete(delete) => entry("delete", delete.resource_type.name(), Some(&delete.id)),
        Interaction::ConditionalUpdate(update) => {
            OperationEntry { query: Some(bounded(sent)), ..entry("update", update.condition.resource_type.name(), None) }
        }
        Interaction::ConditionalDelete(delete) => {
            OperationEntry { query: Some(bounded(sent)), ..entry("delete", delete.condition.resource_type.name(), None) }
        }
    }
}

/// The parameters of a search as sent, after the compartment where the address names one.
fn searched(place: Option<&str>, exchange: &Exchange, form: &[u8]) -> String {
    let mut sent = exchange.target.query().unwrap_or_default().to_owned();
    if exchange.method == http::Method::POST {
        sent = format!("{sent}&{}", String::from_utf8_lossy(form));
    }
    let sent = sent.trim_matches('&');
    bounded(&place.map_or_else(|| sent.to_owned(), |place| format!("{place}?{sent}")))
}

/// The header of a conditional create.
pub const IF_NONE_EXIST: http::HeaderName = http::HeaderName::from_static("if-none-exist");

/// What a request by id is after.
fn subject(interaction: &Interaction) -> Option<Subject> {
    let (resource_type, id, version) = match interaction {
        Interaction::Read(read) => (read.resource_type, &read.id, None),
        Interaction::VersionRead(read) => (read.resource_type, &read.id, Some(read.version.clone())),
        Interaction::InstanceHistory(history) => (history.resource_type, &history.id, None),
        Interaction::Update(update) => (update.resource.resource_type(), &update.id, None),
        Interaction::Delete(delete) => (delete.resource_type, &delete.id, None),
        Interaction::Patch(patch) => (patch.resource_type, &patch.id, None),
        Interaction::SearchOfTypes(search) => match &search.place {
            SearchPlace::Everything(focus) => (focus.resource_type, &focus.id, None),
            SearchPlace::System | SearchPlace::Compartment(_) => return None,
        },
        Interaction::Capabilities
        | Interaction::Search(_)
        | Interaction::ConditionalPatch(_)
        | Interaction::Create(_)
        | Interaction::ConditionalUpdate(_)
        | Interaction::ConditionalDelete(_) => return None,
    };
    Some(Subject { resource_type, id: id.clone(), version })
}
