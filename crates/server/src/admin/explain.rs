//! `portcullis policy explain`: why somebody could or could not do something with a record, rule by rule.
//!
//! Nothing is decided here: the decision itself is asked for the principal that a token of these facts would make, and the store whether it would show the record
//! to that principal. What stands in the record, and who has to do with the patient, is read as the operator. Each explanation is recorded; no client can ask for one.

use std::net::IpAddr;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::clients::RegisteredClearance;
use portcullis_oauth::principal::{Circumstances, Imagined, OperatorOperation, Principal, PurposeOfUse};
use portcullis_oauth::purposes::{PurposeFacts, RegisteredPurpose};
use portcullis_oauth::scopes::{Letter, ScopeSet};
use portcullis_policy::explanation::{self, Says, Step};
use portcullis_policy::{Decision, Operation, Permit, PermittedOperation, SearchPage, StoredVersion, decide};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};

use super::evidence;
use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error};
use crate::authorization_server::authorization::people::principal_user;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The same in few words, for the patient.
    pub plain: String,
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
    /// Explains, and records that it did and for whom.
    pub(super) async fn explain(&self, task: &Task, request: ExplainRequest) -> Result<Response, Refused> {
        let question = self.question(&request).await?;
        let explained = self.explained(task, &question).await?;
        let task = task.redescribed(format!("{}: {:?}", task.described(), explained.comes).to_lowercase());
        self.change(&task, Change::Nothing).await?;
        Ok(Response::Explained(Box::new(explained)))
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
                ..PurposeFacts::default()
            },
            stated: stated.transpose()?,
            client_clearance: client.properties.clearance.as_ref().map_or(Clearance::FULL, RegisteredClearance::clearance),
            circumstances,
        };
        let principal = Principal::imagined(imagined, &self.server.settings.authorization.labels);
        Ok(Question { principal, letter, resource_type, id })
    }

    async fn explained(&self, task: &Task, question: &Question) -> Result<Explained, Refused> {
        let Question { principal, letter, resource_type, id } = question;
        let operator = task.principal_for([OperatorOperation::ReadResources]);
        let stored = match id {
            Some(id) => self.stored(&operator, *resource_type, id).await?,
            None => None,
        };
        let basis = self.server.basis();
        let mut steps = vec![explanation::scopes(principal, (*resource_type, *letter))];
        let rules = explanation::operator_rules(&basis.rules, (principal, *letter), (*resource_type, stored.as_ref()));
        if let Some(denial) = portcullis_policy::denial(basis.clone(), principal, &[(*resource_type, *letter)]) {
            steps.extend(explanation::built_in(&denial.trace, Some(denial.reason)));
            steps.extend(rules);
            return Ok(told(Comes::Deny, steps, Vec::new()));
        }
        // What is written is judged by the store with its content, which nobody has here: the boundary of a read is told.
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
                return Ok(told(Comes::Deny, steps, Vec::new()));
            }
        };
        steps.extend(explanation::built_in(permit.trace(), None));
        steps.extend(rules);
        let Some(stored) = stored else {
            return Ok(told(if id.is_some() { Comes::Absent } else { Comes::Permit }, steps, Vec::new()));
        };
        let related = evidence::of(self, &operator, (&permitted, &stored)).await?;
        steps.extend(related.steps);
        let ways = permit.explain(&stored, &related.in_care);
        let shown = self.shown(&permit, permitted).await?;
        steps.push(self.consents(&operator, question, (&stored, &ways, shown)).await?);
        Ok(told(if shown { Comes::Permit } else { Comes::Hidden }, steps, ways))
    }

    /// What consents say. The store asks them in the statement that reads: where everything else says yes and it shows nothing, they are what is left.
    async fn consents(
        &self,
        _operator: &Principal,
        _question: &Question,
        (stored, ways, shown): (&StoredVersion, &[Vec<Step>], bool),
    ) -> Result<Step, Refused> {
        let otherwise = ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes));
        Ok(match (shown, otherwise) {
            _ if stored.patients.is_empty() => {
                Step::new("consent", Says::Nothing, "the record is nobody's, so that nobody is asked")
            }
            (true, _) => Step::new("consent", Says::Yes, "no consent of the patient stands in the way"),
            (false, true) => Step::new(
                "consent",
                Says::No,
                "everything else lets it through, and it is not shown: a consent of the patient, or what holds where there is none ([consent]), stands in the way",
            ),
            (false, false) => Step::new("consent", Says::Nothing, "it does not matter what consents say"),
        })
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

    /// Whether the store shows the record to the principal in question. It goes nowhere but into this answer.
    async fn shown(&self, permit: &Permit, permitted: PermittedOperation) -> Result<bool, Refused> {
        let store = &self.server.store;
        Ok(match permitted {
            PermittedOperation::Read(read) => {
                let found = store.read(read).await.map_err(|error| internal(&error))?;
                permit
                    .release(found)
                    .map_err(|error| internal(&error))?
                    .content()
                    .as_ref()
                    .is_some_and(|version| version.body.is_some())
            }
            PermittedOperation::Search(search) => {
                let found = store.search(search, b"explanation").await.map_err(|error| internal(&error))?;
                !permit.release(found).map_err(|error| internal(&error))?.content().matches.is_empty()
            }
            PermittedOperation::VersionRead(_) | PermittedOperation::History(_) | PermittedOperation::Write(_) => false,
        })
    }
}

fn told(comes: Comes, steps: Vec<Step>, ways: Vec<Vec<Step>>) -> Explained {
    let plain = plain(comes, &steps, &ways);
    let of = |steps: Vec<Step>| steps.into_iter().map(ExplainedStep::from).collect::<Vec<_>>();
    Explained { comes, steps: of(steps), ways: ways.into_iter().map(of).collect(), plain }
}

/// What a patient needs to know of it.
fn plain(comes: Comes, steps: &[Step], ways: &[Vec<Step>]) -> String {
    let refusing = |name: &str| steps.iter().any(|step| step.says == Says::No && step.rule.starts_with(name));
    let missing = |part: &str| ways.iter().any(|way| way.iter().all(|step| step.says == Says::Yes || step.rule == part));
    let because = match comes {
        Comes::Permit => {
            let care = steps.iter().find(|step| step.says == Says::Yes && step.rule.starts_with("relationship"));
            return match care {
                Some(step) => format!("Yes: this record can be seen. Why: {}.", step.because),
                None => "Yes: this record can be seen, by whose record it is or by what the app was allowed to do.".to_owned(),
            };
        }
        Comes::Absent => return "There is no such record.".to_owned(),
        _ if refusing("scope") => "the app was not allowed to ask for this kind of record",
        _ if refusing("purpose") => "nobody may ask for it for this purpose",
        _ if refusing("rule:") => "a rule of the organisation that keeps the record does not allow it",
        Comes::Deny => "the person or app has no right to such records",
        Comes::Hidden if refusing("consent") => "the patient's consent does not allow it",
        Comes::Hidden if missing("labels") => "the record is specially protected, and the person or app may not see such records",
        Comes::Hidden if missing("criteria") => "the app was allowed to see other records of this kind only",
        Comes::Hidden => "nothing says that the person has to do with this patient",
    };
    format!("No: this record cannot be seen, because {because}.")
}

fn internal(error: &dyn std::fmt::Display) -> Refused {
    Refused::new(RefusalKind::Internal, format!("Not explained: {error}."))
}

fn denied() -> Refused {
    Refused::new(RefusalKind::Denied, "Policy does not let this command look.")
}

/// A reference as a search parameter takes it.
pub(super) fn parameter(name: &str, reference: &LocalReference) -> (String, String) {
    (name.to_owned(), reference.to_string())
}
