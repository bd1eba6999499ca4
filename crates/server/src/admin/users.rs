//! What an operator does to an account: shows it, invites, resets, locks, unlocks, confirms (`portcullis users`).
//!
//! An operator never learns or chooses a password: an account is opened by a one-time link, which is stored as a hash and told once.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::principal::{Operator, OperatorOperation};
use portcullis_oauth::users::User;
use portcullis_store::mail::LetterKind;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{LinkPurpose, OneTimeLink, SignInChange};
use serde::{Deserialize, Serialize};

use super::grants::GrantSummary;
use super::mail::{LetterSummary, UserAddress};
use super::protocol::{Hidden, NewUser, RefusalKind, Refused, Response, UserSummary};
use super::service::{Service, Task, registry_error, user_summary};
use crate::authorization_server::accounts::new_password;
use crate::context::Borrowed;
use crate::mail::compose::{self, Facts};
use crate::mail::notices;

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
        /// Whether the link is told to the operator instead of being mailed.
        #[serde(default)]
        print_link: bool,
    },
    /// Sets where somebody's letters go, or that they go nowhere.
    Email {
        /// The name to sign in with.
        username: String,
        /// The address.
        contact: super::Contact,
    },
    /// Tells how the mail is doing.
    Mail,
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
            Self::Email { username, .. } => (OperatorOperation::ChangeUser, format!("mail address set: {username}")),
            Self::Mail => (OperatorOperation::ListUsers, "state of the mail shown".to_owned()),
            Self::Reset { username, remove_factors, .. } => {
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
    /// Where the person's letters go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<UserAddress>,
    /// The last letters about the account, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub letters: Vec<LetterSummary>,
    /// What the person has granted to apps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantSummary>,
}

/// A one-time link that went by letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct MailedLink {
    /// The name to sign in with.
    pub username: String,
    /// The address that it goes to.
    pub address: String,
    /// Until when it works, in seconds since the epoch.
    pub expires_at: i64,
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

/// How a link is made.
struct Way {
    purpose: LinkPurpose,
    remove_factors: bool,
    print_link: bool,
}

impl Service {
    /// Carries out a request about one account.
    pub(super) async fn change_user(&self, task: &Task, request: UserRequest) -> Result<Response, Refused> {
        let (username, change): (String, fn(UserId) -> SignInChange) = match request {
            UserRequest::Invite(new) => return self.invite(task, new).await,
            UserRequest::Reset { username, remove_factors, print_link } => {
                let user = self.user_named(&username).await?;
                let way = Way { purpose: LinkPurpose::Reset, remove_factors, print_link };
                return self.make_link(task, user, way).await;
            }
            UserRequest::Email { username, contact } => {
                let user = self.user_named(&username).await?;
                self.set_address(task, &user.id, self.checked_contact(&contact)?).await?;
                return Ok(Response::User(Box::new(self.details(&user).await?)));
            }
            UserRequest::Mail => return self.mail_status(task).await,
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
                let details = self.details(&user).await?;
                let address = details.mail.and_then(|mail| mail.unconfirmed_by).filter(|by| *by != task.operator());
                if details.recovered_by.is_none() && address.is_none() {
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
        let contact = self.checked_contact(&new.contact)?;
        let known = registry.user_named(&new.username).await.map_err(|error| registry_error(error, &new.username))?;
        let user = match known {
            Some(user) if user.password_hash.expose().is_empty() => user,
            Some(_) => {
                let advice =
                    format!("{} has an account already. `portcullis users reset` makes a link for a new password.", new.username);
                return Err(Refused::new(RefusalKind::Conflict, advice));
            }
            None => {
                self.change(task, Change::AddUser(Box::new(self.checked_person(&new)?))).await?;
                self.user_named(&new.username).await?
            }
        };
        if contact.is_some() {
            self.set_address(task, &user.id, contact).await?;
        }
        let way = Way { purpose: LinkPurpose::Invitation, remove_factors: false, print_link: new.contact.print_link };
        self.make_link(task, user, way).await
    }

    /// Makes a link. Where it can be mailed it goes to the person alone; otherwise the operator is told, and hands it over.
    async fn make_link(&self, task: &Task, user: User, way: Way) -> Result<Response, Refused> {
        let Way { purpose, remove_factors, print_link } = way;
        let failed = |error| registry_error(error, &user.username);
        let seconds = match purpose {
            LinkPurpose::Invitation => INVITATION_SECONDS,
            LinkPurpose::Reset | LinkPurpose::Forgotten => RESET_SECONDS,
        };
        let expires_at = self.server.clock.now_seconds().saturating_add(seconds);
        let (secret, hash) = SecretHash::generate(&mut Borrowed(&*self.server.entropy));
        let address = self.server.registry.address_of(&user.id).await.map_err(failed)?;
        let address = address.filter(|_| self.server.mail.is_configured() && !print_link);
        let mailed = address.is_some();
        let link = OneTimeLink { user: user.id.clone(), purpose, created_by: task.operator(), mailed, expires_at };
        let change = Change::SignIn(Box::new(SignInChange::MakeLink { link, hash, remove_factors }));
        let Some(address) = address else {
            self.change(task, change).await?;
            let link = Hidden(new_password::address(&self.server, secret.expose()));
            return Ok(Response::UserLink(UserLink { username: user.username, link, expires_at }));
        };
        let kind = if purpose == LinkPurpose::Invitation { LetterKind::Invitation } else { LetterKind::Reset };
        let facts = Facts { link: Some((new_password::secret_address(&self.server, &secret), expires_at)), ..Facts::default() };
        let letter = compose::written(&self.server, &user, &address, (kind, facts)).map_err(failed)?;
        self.change(task, notices::with([letter], change)).await?;
        Ok(Response::LinkMailed(MailedLink { username: user.username, address: address.address, expires_at }))
    }

    async fn user_named(&self, username: &str) -> Result<User, Refused> {
        let found = self.server.registry.user_named(username).await.map_err(|error| registry_error(error, username))?;
        found.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{username}'.")))
    }

    async fn details(&self, user: &User) -> Result<UserDetails, Refused> {
        let failed = |error| registry_error(error, &user.username);
        let means = self.server.registry.sign_in_means(&user.id).await.map_err(failed)?;
        let sessions = self.server.registry.sessions_of(&user.id, self.server.clock.now_seconds()).await.map_err(failed)?;
        let (mail, letters) = self.mail_of(user).await?;
        let grants = self.server.registry.grants_of(&user.id).await.map_err(failed)?;
        Ok(UserDetails {
            grants: grants.into_iter().map(GrantSummary::from).collect(),
            mail,
            letters,
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
