//! Where people's letters go, and what became of them (`portcullis users email`, `users mail`).

use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::language::Language;
use portcullis_oauth::users::User;
use portcullis_outbound::MailAddress;
use portcullis_store::mail::{LetterState, MailChange, PersonalAddress};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};

use super::protocol::{Refused, Response};
use super::service::{Service, Task, invalid, registry_error};

/// How a new user is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// The mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The language of letters, `en` or `es`; that of the server where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether a link is told to the operator instead of being mailed.
    pub print_link: bool,
}

/// Where somebody's letters go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAddress {
    /// The address.
    pub address: String,
    /// The language.
    pub language: String,
    /// The operator who set it, while nothing has shown that the account's owner reads there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed_by: Option<String>,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterSummary {
    /// What about.
    pub kind: String,
    /// When it was written, in seconds since the epoch.
    pub created_at: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// `sent`, or why not; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl From<LetterState> for LetterSummary {
    fn from(LetterState { kind, created_at, attempts, outcome }: LetterState) -> Self {
        Self { kind: kind.as_str().to_owned(), created_at, attempts, outcome }
    }
}

/// How the mail is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailStatus {
    /// Whether there is a mail server.
    pub configured: bool,
    /// Letters that wait.
    pub waiting: u32,
    /// When the oldest of them was written, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<i64>,
    /// Letters that did not go within the last week.
    pub given_up: u32,
}

impl Service {
    /// Tells how the mail is doing.
    pub(super) async fn mail_status(&self, task: &Task) -> Result<Response, Refused> {
        let overview = self.server.registry.mail_overview(self.server.clock.now_seconds()).await;
        let overview = overview.map_err(|error| registry_error(error, task.described()))?;
        self.change(task, Change::Nothing).await?;
        Ok(Response::Mail(MailStatus {
            configured: self.server.mail.is_configured(),
            waiting: overview.waiting,
            oldest_at: overview.oldest_at,
            given_up: overview.given_up,
        }))
    }

    /// The address of a new user, checked before anything is stored.
    pub(super) fn checked_contact(&self, contact: &Contact) -> Result<Option<(MailAddress, Language)>, Refused> {
        let Some(email) = &contact.email else { return Ok(None) };
        let address = MailAddress::parse(email).ok_or_else(|| {
            invalid(&format!("'{email}' is not a mail address that can be written to. Write for example ana@example.org."))
        })?;
        let language = match contact.language.as_deref() {
            None => self.server.settings.language,
            Some(text) => Language::ALL
                .into_iter()
                .find(|language| language.tag() == text)
                .ok_or_else(|| invalid(&format!("'{text}' is no language of this server. The languages are en and es.")))?,
        };
        Ok(Some((address, language)))
    }

    /// Sets or takes away where somebody's letters go. The letter about it goes to the address before.
    pub(super) async fn set_address(
        &self,
        task: &Task,
        user: &UserId,
        address: Option<(MailAddress, Language)>,
    ) -> Result<(), Refused> {
        let failed = |error| registry_error(error, task.described());
        let before = self.server.registry.address_of(user).await.map_err(failed)?;
        let address = address.map(|(address, language)| PersonalAddress {
            user: user.clone(),
            address: address.as_str().to_owned(),
            language: language.tag().to_owned(),
            vouched_by: Some(task.operator_account()),
        });
        let parts = |address: &PersonalAddress| (address.address.clone(), address.language.clone());
        if before.as_ref().map(parts) == address.as_ref().map(parts) {
            return self.change(task, Change::Nothing).await;
        }
        let change = MailChange::SetAddress { user: user.clone(), address };
        self.change(task, Change::Mail(Box::new(change))).await
    }

    /// Where somebody's letters go, and what became of the last ones.
    pub(super) async fn mail_of(&self, user: &User) -> Result<(Option<UserAddress>, Vec<LetterSummary>), Refused> {
        let failed = |error| registry_error(error, &user.username);
        let address = self.server.registry.address_of(&user.id).await.map_err(failed)?;
        let letters = self.server.registry.letters_of(&user.id).await.map_err(failed)?;
        let address = address.map(|address| UserAddress {
            address: address.address,
            language: address.language,
            unconfirmed_by: address.vouched_by,
        });
        Ok((address, letters.into_iter().map(LetterSummary::from).collect()))
    }
}
