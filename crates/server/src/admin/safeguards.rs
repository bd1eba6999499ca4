//! Rights that take two people, the changes that wait for the second of them, and broken glass (`portcullis users entitle`, `approvals`, `break-glass`).
//!
//! At the command line somebody is the account of the operating system that the kernel names. Whoever can use two such accounts can be two people here: what that means
//! stands in the threat model.

use portcullis_audit::record::{Event, OperationEntry};
use portcullis_oauth::approval::{Actor, ChangeKind, MAXIMUM_CONTENT, PendingChange};
use portcullis_oauth::break_glass::GlassEntry;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::principal::{Operator, OperatorOperation};
use portcullis_oauth::users::{Role, User};
use portcullis_store::registry::Change;
use portcullis_store::safeguards::{FIRST_APPROVERS, SafeguardChange};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error};

/// What is to be done about rights, proposals and broken glass.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafeguardRequest {
    /// Gives somebody a right, or proposes it.
    Entitle {
        /// The name to sign in with.
        username: String,
        /// The right.
        right: String,
    },
    /// Takes a right.
    Unentitle {
        /// The name to sign in with.
        username: String,
        /// The right.
        right: String,
    },
    /// All rights.
    Rights,
    /// The latest proposals.
    Changes,
    /// Proposes a change that is no right of a person.
    Propose {
        /// What kind.
        kind: String,
        /// Exactly what is applied.
        content: String,
    },
    /// The operator's rules that are in force, and whether others wait.
    RulesInForce,
    /// Agrees to a proposal.
    Approve {
        /// Which.
        id: String,
        /// The digest of what was looked at.
        digest: String,
    },
    /// Refuses one, or takes the own back.
    Refuse {
        /// Which.
        id: String,
    },
    /// The latest times that somebody broke the glass.
    Glass,
    /// Ends one of them.
    EndGlass {
        /// Which.
        id: String,
    },
}

impl SafeguardRequest {
    /// Which operation it is, and the words for the record.
    pub fn described(&self) -> (OperatorOperation, String) {
        use OperatorOperation::{ChangeSafeguards, ListSafeguards};
        match self {
            Self::Entitle { username, right } => (ChangeSafeguards, format!("right {right} for {username}")),
            Self::Unentitle { username, right } => (ChangeSafeguards, format!("right {right} of {username} ended")),
            Self::Rights => (ListSafeguards, "rights listed".to_owned()),
            Self::Changes => (ListSafeguards, "changes that take two people listed".to_owned()),
            Self::Propose { kind, content } => (ChangeSafeguards, format!("change of {kind}, {} bytes", content.len())),
            Self::RulesInForce => (ListSafeguards, "rules in force read".to_owned()),
            Self::Approve { id, digest } => (ChangeSafeguards, format!("change approved: {id} ({digest})")),
            Self::Refuse { id } => (ChangeSafeguards, format!("change refused: {id}")),
            Self::Glass => (ListSafeguards, "emergency access listed".to_owned()),
            Self::EndGlass { id } => (ChangeSafeguards, format!("emergency access {id} ended before its time")),
        }
    }
}

/// A right in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightSummary {
    /// The name to sign in with.
    pub username: String,
    /// The right.
    pub right: String,
    /// Since when, in seconds since the epoch.
    pub given_at: i64,
    /// Who proposed it.
    pub given_by: String,
    /// Who agreed; absent where one person was enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

/// A proposal in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSummary {
    /// Names it.
    pub id: String,
    /// What kind.
    pub kind: String,
    /// Exactly what is applied.
    pub content: String,
    /// What is agreed to.
    pub digest: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// When, in seconds since the epoch.
    pub proposed_at: i64,
    /// Until when it can be decided, in seconds since the epoch.
    pub expires_at: i64,
    /// `waiting`, `approved`, `applied`, `refused` or `expired`.
    pub state: String,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
}

/// One time that somebody broke the glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlassSummary {
    /// Names it.
    pub id: String,
    /// The name to sign in with.
    pub username: String,
    /// The patient's id.
    pub patient: String,
    /// Why.
    pub reason: String,
    /// When, in seconds since the epoch.
    pub began_at: i64,
    /// When it ends or ended, in seconds since the epoch.
    pub ends_at: i64,
    /// Whether it is open.
    pub open: bool,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// The operator's rules that are in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesInForce {
    /// Their file; empty where there is none.
    pub text: String,
    /// Its SHA-256; empty where there is none.
    pub digest: String,
    /// The SHA-256 of a file that was read and waits for a second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// The sections of the configuration that decide who sees what; empty where none are kept.
    #[serde(default)]
    pub settings: String,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafeguardResponse {
    /// It was done.
    Done,
    /// It waits for a second person.
    Waiting(ChangeSummary),
    /// To [`SafeguardRequest::Rights`].
    Rights(Vec<RightSummary>),
    /// To [`SafeguardRequest::Changes`].
    Changes(Vec<ChangeSummary>),
    /// To [`SafeguardRequest::Glass`].
    Glass(Vec<GlassSummary>),
    /// To [`SafeguardRequest::RulesInForce`].
    Rules(RulesInForce),
}

impl Service {
    /// Carries out a request.
    pub(super) async fn safeguard(&self, task: &Task, request: SafeguardRequest) -> Result<Response, Refused> {
        let failed = |error| registry_error(error, task.described());
        let registry = &self.server.registry;
        let now = self.server.clock.now_seconds();
        let by = task.actor();
        let change = match request {
            SafeguardRequest::Entitle { username, right } => return self.entitle(task, &username, &right).await,
            SafeguardRequest::Propose { kind, content } => {
                let kind = ChangeKind::parse(&kind).filter(|kind| matches!(kind, ChangeKind::Rules | ChangeKind::Settings));
                let kind = kind.ok_or_else(|| invalid("What can be proposed like this is rules and settings."))?;
                if content.is_empty() || content.len() > MAXIMUM_CONTENT {
                    return Err(invalid(&format!("A proposal has 1 to {MAXIMUM_CONTENT} bytes.")));
                }
                let proposal = self.propose(task, (kind, content), None).await?;
                return Ok(Response::Safeguard(SafeguardResponse::Waiting(summary(proposal, now))));
            }
            SafeguardRequest::RulesInForce => return self.rules_in_force(task).await,
            SafeguardRequest::Unentitle { username, right } => {
                let (user, entitlement) = (self.user_by_name(&username).await?, entitlement(&right)?);
                SafeguardChange::End { user: user.id, entitlement, by }
            }
            SafeguardRequest::Approve { id, digest } => SafeguardChange::Approve { id, digest, by },
            SafeguardRequest::Refuse { id } => SafeguardChange::Refuse { id, by },
            SafeguardRequest::EndGlass { id } => {
                let entry = registry.glass_entry(&id).await.map_err(failed)?;
                let entry =
                    entry.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no emergency access '{id}'.")))?;
                let about = OperationEntry { patients: vec![entry.patient.to_string()], ..OperationEntry::default() };
                let change = Change::Safeguard(Box::new(SafeguardChange::EndGlass { id, by }));
                self.change_recorded(task, (Event::BreakGlassEnd, vec![about]), change).await?;
                return Ok(Response::Safeguard(SafeguardResponse::Done));
            }
            SafeguardRequest::Rights => {
                let mut rights = Vec::new();
                for given in registry.entitlements().await.map_err(failed)? {
                    let username = self.username(&given.user).await?;
                    let right = given.entitlement.as_str().to_owned();
                    let (given_at, given_by, approved_by) = (given.given_at, given.given_by, given.approved_by);
                    rights.push(RightSummary { username, right, given_at, given_by, approved_by });
                }
                self.change(task, Change::Nothing).await?;
                return Ok(Response::Safeguard(SafeguardResponse::Rights(rights)));
            }
            SafeguardRequest::Changes => {
                let changes = registry.pending_changes(now).await.map_err(failed)?;
                self.change(task, Change::Nothing).await?;
                let changes = changes.into_iter().map(|change| summary(change, now)).collect();
                return Ok(Response::Safeguard(SafeguardResponse::Changes(changes)));
            }
            SafeguardRequest::Glass => {
                let mut glass = Vec::new();
                for entry in registry.broken_glass(now).await.map_err(failed)? {
                    let username = self.username(&entry.user).await?;
                    glass.push(glass_summary(entry, username, now));
                }
                self.change(task, Change::Nothing).await?;
                return Ok(Response::Safeguard(SafeguardResponse::Glass(glass)));
            }
        };
        self.change(task, Change::Safeguard(Box::new(change))).await?;
        Ok(Response::Safeguard(SafeguardResponse::Done))
    }

    async fn rules_in_force(&self, task: &Task) -> Result<Response, Refused> {
        self.change(task, Change::Nothing).await?;
        let rules = &self.server.operator_rules;
        let (held, waiting) = (rules.held(), rules.waiting().map(|waiting| waiting.digest.clone()));
        let settings = self.server.settings.authorization.access.text.get().cloned().unwrap_or_default();
        let in_force = RulesInForce { text: held.text.clone(), digest: held.digest.clone(), waiting, settings };
        Ok(Response::Safeguard(SafeguardResponse::Rules(in_force)))
    }

    /// Gives a right where one person is enough, and proposes it where not.
    async fn entitle(&self, task: &Task, username: &str, right: &str) -> Result<Response, Refused> {
        let (user, entitlement) = (self.user_by_name(username).await?, entitlement(right)?);
        let role = match entitlement {
            Entitlement::BreakGlass => Some(Role::Clinician),
            Entitlement::ApproveChanges => Some(Role::SecurityOfficer),
            Entitlement::VerifyConsents => None,
        };
        if let Some(role) = role.filter(|role| !user.roles.contains(*role)) {
            return Err(invalid(&format!(
                "{right} counts for users with the role {role} alone, and {username} does not have it."
            )));
        }
        let kind = ChangeKind::of_entitlement(entitlement);
        let ever = self.server.registry.ever_entitled(entitlement).await.map_err(|error| registry_error(error, username))?;
        let first = entitlement == Entitlement::ApproveChanges && ever < FIRST_APPROVERS;
        if first || !self.server.settings.authorization.two_people.are_needed(kind) {
            let given = SafeguardChange::Give { user: user.id, entitlement, by: task.actor(), first };
            self.change(task, Change::Safeguard(Box::new(given))).await?;
            return Ok(Response::Safeguard(SafeguardResponse::Done));
        }
        let content = json!({"right": entitlement.as_str(), "user": user.id.as_str(), "username": user.username}).to_string();
        let proposal = self.propose(task, (kind, content), Some(&user)).await?;
        Ok(Response::Safeguard(SafeguardResponse::Waiting(summary(proposal, self.server.clock.now_seconds()))))
    }

    /// Proposes a change that takes two people, in the name of the operator.
    pub(super) async fn propose(
        &self,
        task: &Task,
        change: (ChangeKind, String),
        beneficiary: Option<&User>,
    ) -> Result<PendingChange, Refused> {
        let (id, now) = (format!("{:032x}", self.server.random_u128()), self.server.clock.now_seconds());
        let mut proposal = PendingChange::propose(id, change, &task.actor(), now);
        if let Some(user) = beneficiary {
            proposal = proposal.benefiting(user.id.clone());
        }
        let described = format!("{}: proposed as {} ({})", task.described(), proposal.id, proposal.digest);
        let change = Change::Safeguard(Box::new(SafeguardChange::Propose(Box::new(proposal.clone()))));
        self.change(&task.redescribed(described), change).await?;
        Ok(proposal)
    }

    async fn user_by_name(&self, username: &str) -> Result<User, Refused> {
        let found = self.server.registry.user_named(username).await.map_err(|error| registry_error(error, username))?;
        found.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{username}'.")))
    }

    async fn username(&self, id: &portcullis_oauth::identifiers::UserId) -> Result<String, Refused> {
        let found = self.server.registry.user(id).await.map_err(|error| registry_error(error, id.as_str()))?;
        Ok(found.map_or_else(|| id.as_str().to_owned(), |user| user.username))
    }
}

impl Task {
    /// Who is behind the command, as proposals name them.
    pub(super) fn actor(&self) -> Actor {
        Actor::Account(self.principal().operator().map(Operator::name).unwrap_or_default().to_owned())
    }
}

fn entitlement(name: &str) -> Result<Entitlement, Refused> {
    let names: Vec<&str> = Entitlement::ALL.into_iter().map(Entitlement::as_str).collect();
    Entitlement::parse(name).ok_or_else(|| invalid(&format!("'{name}' is no right. The rights are {}.", names.join(", "))))
}

fn summary(change: PendingChange, now: i64) -> ChangeSummary {
    let expired = change.state == portcullis_oauth::approval::ChangeState::Waiting && !change.waits(now);
    ChangeSummary {
        state: if expired { "expired".to_owned() } else { change.state.as_str().to_owned() },
        id: change.id,
        kind: change.kind.as_str().to_owned(),
        content: change.content,
        digest: change.digest,
        proposed_by: change.proposed_by,
        proposed_at: change.proposed_at,
        expires_at: change.expires_at,
        decided_by: change.decided_by,
    }
}

fn glass_summary(entry: GlassEntry, username: String, now: i64) -> GlassSummary {
    GlassSummary {
        open: entry.is_open(now),
        id: entry.id,
        username,
        patient: entry.patient.to_string(),
        reason: entry.reason,
        began_at: entry.began_at,
        ends_at: entry.ended_at.unwrap_or(entry.ends_at),
        ended_by: entry.ended_by,
    }
}
