//! What an operator does to an account: shows it, invites, resets, locks, unlocks, confirms (`portcullis users`).
//!
//! An operator never learns or chooses a password: an account is opened by a one-time link, which is stored as a hash and told once.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::principal::{Operator, OperatorOperation};
use portcullis_oauth::users::User;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{LinkPurpose, OneTimeLink, SignInChange};
use serde::{Deserialize, Serialize};

use super::protocol::{Hidden, NewUser, RefusalKind, Refused, Response, UserSummary};
use super::service::{Service, Task, registry_error, user_summary};
use crate::authorization_server::accounts::new_password;
use crate::context::Borrowed;

/// How long an invitation may be opened, in seconds.
const INVITATION_SECONDS: i64 = 7 * 24 * 3600;
/// How long a reset may be opened, in seconds.
const RESET_SECONDS: i64 = 3600;

/// What is to be done to an account.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserRequest {
    /// Tells how somebody can sign in.
    Show {
        /// The name to sign in with.
        username: String,
    },
    /// Adds a user without a password, and makes the link that sets it; for a user who has not used such a link yet, makes another one.
    Invite(NewUser),
    /// Makes a link that sets another password.
    Reset {
        /// The name to sign in with.
        username: String,
        /// Whether the second factors go, for somebody who has lost them.
        remove_factors: bool,
    },
    /// Locks an account.
    Lock {
        /// The name to sign in with.
        username: String,
    },
    /// Unlocks it.
    Unlock {
        /// The name to sign in with.
        username: String,
    },
    /// Confirms that an account that somebody else gave back is with its owner.
    Confirm {
        /// The name to sign in with.
        username: String,
    },
}

impl UserRequest {
    /// Which operation it is, and the words for the record.
    pub fn described(&self) -> (OperatorOperation, String) {
        match self {
            Self::Show { username } => (OperatorOperation::ListUsers, format!("user shown: {username}")),
            Self::Invite(user) => (OperatorOperation::AddUser, format!("user invited: {}", user.username)),
            Self::Reset { username, remove_factors } => {
                let factors = if *remove_factors { "; second factors removed" } else { "" };
                (OperatorOperation::ChangeUser, format!("reset link made: {username}{factors}"))
            }
            Self::Lock { username } => (OperatorOperation::ChangeUser, format!("user locked: {username}")),
            Self::Unlock { username } => (OperatorOperation::ChangeUser, format!("user unlocked: {username}")),
            Self::Confirm { username } => (OperatorOperation::ChangeUser, format!("recovery confirmed: {username}")),
        }
    }
}

/// An account as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    /// Who.
    #[serde(flatten)]
    pub summary: UserSummary,
    /// Since when, in seconds since the epoch.
    pub created_at: i64,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether there is an authenticator app.
    pub has_authenticator: bool,
    /// How many passkeys there are.
    pub passkeys: usize,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
    /// Open sessions.
    pub sessions: usize,
    /// Since when it is locked, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<i64>,
    /// Who gave it back, where that is not yet confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_by: Option<String>,
}

/// A one-time link, told once.
#[derive(Debug, Serialize, Deserialize)]
pub struct UserLink {
    /// The name to sign in with.
    pub username: String,
    /// The address to open.
    pub link: Hidden,
    /// Until when, in seconds since the epoch.
    pub expires_at: i64,
}

impl Service {
    /// Carries out a request about one account.
    pub(super) async fn change_user(&self, task: &Task, request: UserRequest) -> Result<Response, Refused> {
        let (username, change): (String, fn(UserId) -> SignInChange) = match request {
            UserRequest::Invite(new) => return self.invite(task, new).await,
            UserRequest::Reset { username, remove_factors } => {
                let user = self.user_named(&username).await?;
                return self.make_link(task, (user.id, username), LinkPurpose::Reset, remove_factors).await;
            }
            UserRequest::Show { username } => {
                let user = self.user_named(&username).await?;
                let details = self.details(&user).await?;
                self.change(task, Change::Nothing).await?;
                return Ok(Response::User(Box::new(details)));
            }
            UserRequest::Lock { username } => (username, SignInChange::Lock),
            UserRequest::Unlock { username } => (username, SignInChange::Unlock),
            UserRequest::Confirm { username } => {
                let user = self.user_named(&username).await?;
                if self.details(&user).await?.recovered_by.is_none() {
                    return Err(Refused::new(
                        RefusalKind::Conflict,
                        format!("The account of {username} waits for no confirmation."),
                    ));
                }
                let change = SignInChange::ConfirmRecovery { user: user.id.clone(), by: task.operator() };
                self.change(task, Change::SignIn(Box::new(change))).await?;
                return Ok(Response::User(Box::new(self.details(&user).await?)));
            }
        };
        let user = self.user_named(&username).await?;
        self.change(task, Change::SignIn(Box::new(change(user.id.clone())))).await?;
        Ok(Response::User(Box::new(self.details(&user).await?)))
    }

    async fn invite(&self, task: &Task, new: NewUser) -> Result<Response, Refused> {
        let registry = &self.server.registry;
        let known = registry.user_named(&new.username).await.map_err(|error| registry_error(error, &new.username))?;
        let id = match known {
            Some(user) if user.password_hash.expose().is_empty() => user.id,
            Some(_) => {
                let advice =
                    format!("{} has an account already. `portcullis users reset` makes a link for a new password.", new.username);
                return Err(Refused::new(RefusalKind::Conflict, advice));
            }
            None => {
                let user = self.checked_person(&new)?;
                let id = user.id.clone();
                self.change(task, Change::AddUser(Box::new(user))).await?;
                id
            }
        };
        self.make_link(task, (id, new.username), LinkPurpose::Invitation, false).await
    }

    async fn make_link(
        &self,
        task: &Task,
        (user, username): (UserId, String),
        purpose: LinkPurpose,
        remove_factors: bool,
    ) -> Result<Response, Refused> {
        let seconds = match purpose {
            LinkPurpose::Invitation => INVITATION_SECONDS,
            LinkPurpose::Reset => RESET_SECONDS,
        };
        let expires_at = self.server.clock.now_seconds().saturating_add(seconds);
        let (secret, hash) = SecretHash::generate(&mut Borrowed(&*self.server.entropy));
        let link = OneTimeLink { user, purpose, created_by: task.operator(), expires_at };
        self.change(task, Change::SignIn(Box::new(SignInChange::MakeLink { link, hash, remove_factors }))).await?;
        let link = Hidden(new_password::address(&self.server, secret.expose()));
        Ok(Response::UserLink(UserLink { username, link, expires_at }))
    }

    async fn user_named(&self, username: &str) -> Result<User, Refused> {
        let found = self.server.registry.user_named(username).await.map_err(|error| registry_error(error, username))?;
        found.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{username}'.")))
    }

    async fn details(&self, user: &User) -> Result<UserDetails, Refused> {
        let failed = |error| registry_error(error, &user.username);
        let means = self.server.registry.sign_in_means(&user.id).await.map_err(failed)?;
        let sessions = self.server.registry.sessions_of(&user.id, self.server.clock.now_seconds()).await.map_err(failed)?;
        Ok(UserDetails {
            summary: user_summary(user),
            created_at: user.created_at,
            has_password: means.has_password,
            has_authenticator: means.totp.is_some(),
            passkeys: means.passkeys.len(),
            recovery_codes: means.recovery_codes,
            sessions: sessions.len(),
            locked_at: means.locked_at,
            recovered_by: means.recovered_by,
        })
    }
}

impl Task {
    /// Who is behind the command, as records name them.
    fn operator(&self) -> String {
        format!("account:{}", self.principal().operator().map(Operator::name).unwrap_or_default())
    }
}
