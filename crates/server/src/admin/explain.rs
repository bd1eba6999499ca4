//! `portcullis policy explain` and `POST /admin/policy/explain`: why somebody could or could not do something with a record, rule by rule.
//!
//! Nothing is decided here: the decision itself is asked for the principal that a token of these facts would make, and the store whether it would show the record
//! to that principal. What stands in the record, who has to do with the patient, and what consents and labels there are is read as the operator, so an explanation is
//! itself an access to the record: it is on record as one, with the record's patients. No client can ask for one but those that are registered for it (`explain_https`).

use std::net::IpAddr;

use portcullis_audit::record::{Event, OperationEntry};
use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::clients::RegisteredClearance;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::principal::{Circumstances, Imagined, OperatorOperation, Principal, PurposeOfUse};
use portcullis_oauth::purposes::{BrokenGlass, PurposeFacts, RegisteredPurpose};
use portcullis_oauth::scopes::{Letter, ScopeSet};
use portcullis_oauth::users::User;
use portcullis_policy::explanation::{self, Says, Step};
use portcullis_policy::{Basis, Decision, Operation, Permit, PermittedOperation, SearchPage, StoredVersion, decide};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};

use super::evidence;
use super::explain_plain::plain;
use super::explain_reasons::{self, ExplainedConsent, ExplainedLabel, Reasons};
use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error};
use crate::authorization_server::authorization::people::principal_user;
use crate::ui::Language;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// `read`, `search`, `create`, `update` or `delete`.
    pub interaction: String,
    /// `Type/id`, or a type.
    pub record: String,
    /// The name to sign in with; none: the client acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The client.
    pub client: String,
    /// The scopes of the token.
    pub scopes: String,
    /// The patient in context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// The purpose that the request states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// From where it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// When, in seconds since the epoch; now where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl ExplainRequest {
    pub(super) fn described(&self) -> String {
        let who = self.user.as_deref().unwrap_or("the client itself");
        format!("decision explained: {who} through {}, {} {}", self.client, self.interaction, self.record)
    }
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comes {
    /// The request is let in, and the record is shown; or there is no record to ask about.
    Permit,
    /// The request is refused.
    Deny,
    /// The request is let in, and the record is answered as absent.
    Hidden,
    /// There is no such record.
    Absent,
}

/// A decision, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// What comes of it.
    pub comes: Comes,
    /// What each rule says.
    pub steps: Vec<ExplainedStep>,
    /// The ways in which such records become visible, each with its parts: a record is visible where all parts of one of them say yes.
    pub ways: Vec<Vec<ExplainedStep>>,
    /// What each consent of the record's patients says, and which of them decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<ExplainedConsent>,
    /// The record's labels, and what gave it each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<ExplainedLabel>,
    /// The same in few words, for the patient.
    pub plain: String,
    /// The same in Spanish.
    pub plain_spanish: String,
}

/// One rule, or one part of a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedStep {
    /// Its name.
    pub rule: String,
    /// `yes`, `no` or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<bool>,
    /// Why.
    pub because: String,
}

impl From<Step> for ExplainedStep {
    fn from(Step { rule, says, because }: Step) -> Self {
        let says = match says {
            Says::Yes => Some(true),
            Says::No => Some(false),
            Says::Nothing => None,
        };
        Self { rule, says, because }
    }
}

/// The question, understood.
struct Question {
    principal: Principal,
    letter: Letter,
    resource_type: ResourceType,
    id: Option<LogicalId>,
}

impl Service {
    /// Explains, and records that it did, for whom, and about whose record.
    pub(super) async fn explain(&self, task: &Task, request: ExplainRequest) -> Result<Response, Refused> {
        let (explained, about) = self.explanation(task, &request).await?;
        let task = task.redescribed(format!("{}: {:?}", task.described(), explained.comes).to_lowercase());
        self.change_recorded(&task, (Event::Administration, about), Change::Nothing).await?;
        Ok(Response::Explained(Box::new(explained)))
    }

    /// An explanation, and what its record says of the record that it is about: whoever gets it knows what there is and what decides about it.
    pub(super) async fn explanation(
        &self,
        task: &Task,
        request: &ExplainRequest,
    ) -> Result<(Explained, Vec<OperationEntry>), Refused> {
        let question = self.question(request).await?;
        let operator = task.principal_for([OperatorOperation::ReadResources]);
        let stored = match &question.id {
            Some(id) => self.stored(&operator, question.resource_type, id).await?,
            None => None,
        };
        let about = stored.iter().map(about).collect();
        Ok((self.explained(&operator, &question, stored).await?, about))
    }

    async fn question(&self, request: &ExplainRequest) -> Result<Question, Refused> {
        let (name, id) = request.record.split_once('/').map_or((request.record.as_str(), None), |(name, id)| (name, Some(id)));
        let wrong = || invalid(&format!("'{}' is no record: write for example Observation/17, or a type.", request.record));
        let resource_type = ResourceType::parse(name).ok_or_else(wrong)?;
        let id = id.map(|id| LogicalId::parse(id).ok_or_else(wrong)).transpose()?;
        let letter = match request.interaction.as_str() {
            "create" => Letter::Create,
            "read" => Letter::Read,
            "update" => Letter::Update,
            "delete" => Letter::Delete,
            "search" => Letter::Search,
            other => return Err(invalid(&format!("'{other}' is none of read, search, create, update and delete."))),
        };
        let client = self.client(&request.client).await?;
        let user = match &request.user {
            None => None,
            Some(name) => {
                let found = self.server.registry.user_named(name).await.map_err(|error| registry_error(error, name))?;
                Some(found.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{name}'.")))?)
            }
        };
        let scopes =
            ScopeSet::parse(&request.scopes).map_err(|_| invalid(&format!("'{}' cannot be read as scopes.", request.scopes)))?;
        let patient = request.patient.as_deref();
        let patient =
            patient.map(|text| LogicalId::parse(text).ok_or_else(|| invalid(&format!("'{text}' is not the id of a patient."))));
        let stated = request.purpose.as_deref();
        let stated = stated.map(|code| {
            PurposeOfUse::parse(code).ok_or_else(|| invalid(&format!("'{code}' is no purpose of use of v3-ActReason.")))
        });
        let now = self.server.circumstances();
        let circumstances =
            Circumstances { address: request.address, now: request.at.map_or(now.now, |at| at.saturating_mul(1000)), ..now };
        let imagined = Imagined {
            client: client.id.clone(),
            user: user.as_ref().map(principal_user),
            registered: Some(client.scope.clone()),
            scopes,
            patient: patient.transpose()?,
            purposes: PurposeFacts {
                client: client.properties.purposes.iter().map(|RegisteredPurpose(purpose)| *purpose).collect(),
                ..self.emergencies(user.as_ref(), circumstances.now / 1000).await?
            },
            stated: stated.transpose()?,
            client_clearance: client.properties.clearance.as_ref().map_or(Clearance::FULL, RegisteredClearance::clearance),
            circumstances,
        };
        let principal = Principal::imagined(imagined, &self.server.settings.authorization.labels);
        Ok(Question { principal, letter, resource_type, id })
    }

    /// Whether somebody may break the glass, and for whom it is broken at a time in seconds since the epoch.
    async fn emergencies(&self, user: Option<&User>, at: i64) -> Result<PurposeFacts, Refused> {
        let Some(user) = user else { return Ok(PurposeFacts::default()) };
        let failed = |error| registry_error(error, &user.username);
        let rights = self.server.registry.entitlements_of(&user.id).await.map_err(failed)?;
        let entries = self.server.registry.broken_glass(at).await.map_err(failed)?;
        let open = entries.into_iter().filter(|entry| entry.user == user.id && entry.began_at <= at && entry.is_open(at));
        Ok(PurposeFacts {
            client: Vec::new(),
            may_break_glass: rights.contains(&Entitlement::BreakGlass),
            broken_glass: open.map(|entry| BrokenGlass { patient: entry.patient, until: entry.ends_at }).collect(),
        })
    }

    async fn explained(
        &self,
        operator: &Principal,
        question: &Question,
        stored: Option<StoredVersion>,
    ) -> Result<Explained, Refused> {
        let Question { principal, letter, resource_type, id } = question;
        let basis = self.server.basis();
        let mut steps = vec![explanation::scopes(principal, (*resource_type, *letter))];
        let rules = explanation::operator_rules(&basis.rules, (principal, *letter), (*resource_type, stored.as_ref()));
        if let Some(denial) = portcullis_policy::denial(basis.clone(), principal, &[(*resource_type, *letter)]) {
            steps.extend(explanation::built_in(&denial.trace, Some(denial.reason)));
            steps.extend(rules);
            return Ok(told(Comes::Deny, (steps, Vec::new()), Reasons::default()));
        }
        if matches!(letter, Letter::Create | Letter::Update | Letter::Delete) {
            return self.change_explained(operator, (basis, question), (steps, rules), stored).await;
        }
        let query = id.as_ref().map(|id| ("_id".to_owned(), id.to_string()));
        let operation = match (letter, id) {
            (Letter::Search, _) | (_, None) => {
                Operation::Search(self.parsed(*resource_type, &query.into_iter().collect::<Vec<_>>())?)
            }
            (_, Some(id)) => Operation::Read(Read { resource_type: *resource_type, id: id.clone() }),
        };
        let (permit, permitted) = match decide(basis, principal, operation) {
            Decision::Permit(permit, permitted) => (permit, permitted),
            Decision::Deny(denial) => {
                steps.extend(explanation::built_in(&denial.trace, Some(denial.reason)));
                steps.extend(rules);
                return Ok(told(Comes::Deny, (steps, Vec::new()), Reasons::default()));
            }
        };
        steps.extend(explanation::built_in(permit.trace(), None));
        steps.extend(rules);
        let Some(mut stored) = stored else {
            let comes = if id.is_some() { Comes::Absent } else { Comes::Permit };
            return Ok(told(comes, (steps, Vec::new()), Reasons::default()));
        };
        let mut reasons = explain_reasons::of(self, operator, (&permit, *letter), &stored).await?;
        let shown = self.shown(&permit, permitted).await?;
        let is_shown = shown.is_some();
        stored.grounds = shown.map(|shown| shown.grounds).unwrap_or_default();
        let related = evidence::of(self, (permit.constraint(), &stored)).await?;
        steps.extend(related.steps);
        let ways = permit.explain(&stored, &related.in_care);
        // The store asks consents in the statement that reads, also those about the record that makes this one visible.
        let otherwise = ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes));
        if !is_shown && otherwise && !reasons.deny() {
            let because = "everything else lets it through, and it is not shown: the consents about a record that would show it stand in the way";
            reasons.steps.push(Step::new("consent", Says::No, because));
        }
        let comes = if is_shown && !reasons.deny() { Comes::Permit } else { Comes::Hidden };
        Ok(told(comes, (steps, ways), reasons))
    }

    /// What would come of a change: judged by the boundary of the change, not of a read. What is proposed nobody has here; the store judges it, too, and a change whose content
    /// lies outside is refused though the record could be changed.
    async fn change_explained(
        &self,
        operator: &Principal,
        (basis, question): (Basis, &Question),
        (mut steps, rules): (Vec<Step>, Vec<Step>),
        stored: Option<StoredVersion>,
    ) -> Result<Explained, Refused> {
        let Question { principal, letter, resource_type, id } = question;
        let permit = match portcullis_policy::decide_change(basis, principal, (*resource_type, *letter)) {
            Ok(permit) => permit,
            Err(denial) => {
                steps.extend(explanation::built_in(&denial.trace, Some(denial.reason)));
                steps.extend(rules);
                return Ok(told(Comes::Deny, (steps, Vec::new()), Reasons::default()));
            }
        };
        steps.extend(explanation::built_in(permit.trace(), None));
        steps.extend(rules);
        let Some(stored) = stored else {
            let comes = if id.is_some() && *letter != Letter::Create { Comes::Absent } else { Comes::Permit };
            return Ok(told(comes, (steps, Vec::new()), Reasons::default()));
        };
        let related = evidence::of(self, (permit.constraint(), &stored)).await?;
        steps.extend(related.steps);
        let reasons = explain_reasons::of(self, operator, (&permit, *letter), &stored).await?;
        let ways = permit.explain(&stored, &related.in_care);
        let is_inside = ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes));
        let comes = if is_inside && !reasons.deny() { Comes::Permit } else { Comes::Hidden };
        Ok(told(comes, (steps, ways), reasons))
    }

    /// The record as it is stored.
    async fn stored(
        &self,
        operator: &Principal,
        resource_type: ResourceType,
        id: &LogicalId,
    ) -> Result<Option<StoredVersion>, Refused> {
        let read = Operation::Read(Read { resource_type, id: id.clone() });
        let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(self.server.basis(), operator, read) else {
            return Err(denied());
        };
        let found = self.server.store.read(read).await.map_err(|error| internal(&error))?;
        let released = permit.release(found).map_err(|error| internal(&error))?;
        Ok(released.into_content().filter(|version| version.body.is_some()))
    }

    /// What the operator finds.
    pub(super) async fn searched(
        &self,
        operator: &Principal,
        resource_type: ResourceType,
        pairs: &[(String, String)],
    ) -> Result<SearchPage, Refused> {
        let query = self.parsed(resource_type, pairs)?;
        let Decision::Permit(permit, PermittedOperation::Search(search)) =
            decide(self.server.basis(), operator, Operation::Search(query))
        else {
            return Err(denied());
        };
        let found = self.server.store.search(search, b"explanation").await.map_err(|error| internal(&error))?;
        Ok(permit.release(found).map_err(|error| internal(&error))?.into_content())
    }

    fn parsed(&self, resource_type: ResourceType, pairs: &[(String, String)]) -> Result<search::SearchQuery, Refused> {
        let base_url = &self.server.settings.fhir_base;
        let context = SearchContext { base_url, handling: Handling::Strict, now_ms: self.server.clock.now_milliseconds() };
        search::parse(resource_type, pairs, &context)
            .map_err(|_| Refused::new(RefusalKind::Internal, "A search of an explanation cannot be understood."))
    }

    /// What the store shows of the record to the principal in question. It goes nowhere but into this answer.
    async fn shown(&self, permit: &Permit, permitted: PermittedOperation) -> Result<Option<StoredVersion>, Refused> {
        let store = &self.server.store;
        let found = match permitted {
            PermittedOperation::Read(read) => {
                let found = store.read(read).await.map_err(|error| internal(&error))?;
                permit.release(found).map_err(|error| internal(&error))?.into_content()
            }
            PermittedOperation::Search(search) => {
                let found = store.search(search, b"explanation").await.map_err(|error| internal(&error))?;
                permit.release(found).map_err(|error| internal(&error))?.into_content().matches.into_iter().next()
            }
            PermittedOperation::VersionRead(_) | PermittedOperation::History(_) | PermittedOperation::Write(_) => None,
        };
        Ok(found.filter(|version| version.body.is_some()))
    }
}

/// What the record of an explanation says of the record that it is about.
fn about(stored: &StoredVersion) -> OperationEntry {
    OperationEntry {
        interaction: "read".to_owned(),
        resource_type: Some(stored.resource_type.name().to_owned()),
        id: Some(stored.id.to_string()),
        version: Some(stored.version.to_string()),
        patients: stored.patients.iter().map(ToString::to_string).collect(),
        ..OperationEntry::default()
    }
}

fn told(comes: Comes, (mut steps, ways): (Vec<Step>, Vec<Vec<Step>>), mut reasons: Reasons) -> Explained {
    let [english, spanish] =
        [Language::English, Language::Spanish].map(|language| plain(comes, (&steps, &ways), &reasons, language));
    steps.append(&mut reasons.steps);
    let of = |steps: Vec<Step>| steps.into_iter().map(ExplainedStep::from).collect::<Vec<_>>();
    Explained {
        comes,
        steps: of(steps),
        ways: ways.into_iter().map(of).collect(),
        consents: reasons.consents,
        labels: reasons.labels,
        plain: english,
        plain_spanish: spanish,
    }
}

pub(super) fn internal(error: &dyn std::fmt::Display) -> Refused {
    Refused::new(RefusalKind::Internal, format!("Not explained: {error}."))
}

pub(super) fn denied() -> Refused {
    Refused::new(RefusalKind::Denied, "Policy does not let this command look.")
}
