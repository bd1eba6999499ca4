//! Whom a user is elsewhere, and for whom a user acts (`portcullis users link`, `users unlink`, `users represent`).

use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::representation::{Limits, MAXIMUM_EXCLUDED, Representation};
use portcullis_oauth::users::{Role, User};
use portcullis_store::federation::{FederationChange, LinkedIdentity};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};

use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error};

/// The longest issuer or subject, in bytes.
const MAXIMUM_NAME: usize = 2048;

/// A user here and an account elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLink {
    /// The name to sign in with.
    pub username: String,
    /// The provider's issuer, exactly as it writes it.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
}

impl UserLink {
    pub(super) fn described(&self, done: &str) -> String {
        format!("user {done}: {} with {} at {}", self.username, self.subject, self.issuer)
    }
}

/// For whom a user acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRepresents {
    /// The name to sign in with.
    pub username: String,
    /// The patient's id.
    pub patient: String,
    /// The beginning, in seconds since the epoch; now where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The end, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Whether nothing may be written.
    #[serde(default)]
    pub read_only: bool,
    /// Types of records that stay closed.
    #[serde(default)]
    pub excluded: Vec<String>,
    /// Whether it ends now instead.
    #[serde(default)]
    pub end: bool,
}

impl UserRepresents {
    pub(super) fn described(&self) -> String {
        if self.end {
            return format!("representation ended: {} for Patient/{}", self.username, self.patient);
        }
        let limits = if self.read_only { ", read only" } else { "" };
        let without = if self.excluded.is_empty() { String::new() } else { format!(", without {}", self.excluded.join(" ")) };
        let time = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let (from, until) = (time(self.from), time(self.until));
        format!("representation given: {} for Patient/{} from {from} until {until}{limits}{without}", self.username, self.patient)
    }
}

impl Service {
    async fn user(&self, username: &str) -> Result<User, Refused> {
        let found = self.server.registry.user_named(username).await.map_err(|error| registry_error(error, username))?;
        found.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{username}'.")))
    }

    /// Links or separates. What a provider calls somebody is taken as it is: only a sign-in there shows whether there is such a person.
    pub(super) async fn link_user(&self, task: &Task, link: UserLink, together: bool) -> Result<Response, Refused> {
        let user = self.user(&link.username).await?;
        let sound =
            |text: &str| (1..=MAXIMUM_NAME).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !sound(&link.issuer) || !sound(&link.subject) || !link.issuer.starts_with("https://") {
            return Err(invalid("An issuer is an https URL and a subject is text, both exactly as the provider writes them."));
        }
        let UserLink { issuer, subject, .. } = link;
        let change = if together {
            if !self.server.federation.providers().iter().any(|provider| provider.issuer == issuer) {
                return Err(invalid(&format!("'{issuer}' is the issuer of no [[federation]] provider in the configuration.")));
            }
            let linked_at = self.server.clock.now_seconds();
            let linked_by = task.operator_account();
            FederationChange::Link(LinkedIdentity { issuer, subject, user: user.id, linked_at, linked_by })
        } else {
            FederationChange::Unlink { user: user.id, issuer, subject }
        };
        self.change(task, Change::Federation(Box::new(change))).await?;
        Ok(Response::Done)
    }

    /// Lets a user act for a patient, or ends it. It counts for the next request.
    pub(super) async fn represent(&self, task: &Task, asked: UserRepresents) -> Result<Response, Refused> {
        let user = self.user(&asked.username).await?;
        let patient = LogicalId::parse(&asked.patient)
            .ok_or_else(|| invalid(&format!("'{}' is not the id of a patient.", asked.patient)))?;
        let change = if asked.end {
            FederationChange::EndRepresentation { user: user.id, patient }
        } else {
            let representation = self.checked(&user, patient, &asked)?;
            FederationChange::Represent { user: user.id, representation }
        };
        self.change(task, Change::Federation(Box::new(change))).await?;
        Ok(Response::Done)
    }

    fn checked(&self, user: &User, patient: LogicalId, asked: &UserRepresents) -> Result<Representation, Refused> {
        if !user.roles.contains(Role::Representative) && !user.roles.contains(Role::Patient) {
            return Err(invalid("Only a user with the role representative or patient acts for a patient."));
        }
        if user.patients.contains(&patient) {
            return Err(invalid("The user was added for this patient, without an end and without limits."));
        }
        let from = asked.from.unwrap_or_else(|| self.server.clock.now_seconds());
        if asked.until.is_some_and(|until| until <= from) {
            return Err(invalid("The end must come after the beginning."));
        }
        let parse = |name: &String| {
            ResourceType::parse(name).ok_or_else(|| invalid(&format!("'{name}' is no resource type of FHIR R4.")))
        };
        let excluded = asked.excluded.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if excluded.len() > MAXIMUM_EXCLUDED || excluded.contains(&ResourceType::PATIENT) {
            return Err(invalid(&format!(
                "At most {MAXIMUM_EXCLUDED} types can be left out, and Patient cannot: nobody could be chosen."
            )));
        }
        Ok(Representation { patient, from, until: asked.until, limits: Limits::new(asked.read_only, excluded) })
    }
}
