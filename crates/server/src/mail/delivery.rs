//! Sending letters: one task, one letter after the other, each until the mail server took it, refused it for good, or nobody needs it any more.
//!
//! At least once: a letter ends in the registry after the mail server's word, so a crash in between sends it again, with the same Message-ID. Every attempt is noted
//! before it is made, so that a letter whose end cannot be noted does not go again at once and again. The next comes after half a minute, then after twice the
//! time, up to an hour. What became of a letter is recorded, and `portcullis users show` and `users list` tell it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::PendingRecord;
use portcullis_audit::record::{Agent, Event, Outcome, Record, RecordId};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_outbound::{LetterError, MailAddress, MailError};
use portcullis_store::RegistryError;
use portcullis_store::mail::{LetterKind, MailChange, NewLetter, WaitingLetter};
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{LinkPurpose, OneTimeLink};

use super::Mail;
use super::compose::{self, Facts};
use crate::authorization_server::accounts::new_password;
use crate::context::{Borrowed, Server};

/// Letters that are read at once.
const AT_ONCE: u32 = 16;
/// The first wait before a letter is tried again, in seconds.
const FIRST_WAIT_SECONDS: i64 = 30;
/// The longest wait, in seconds.
const LONGEST_WAIT_SECONDS: i64 = 3600;
/// How often it is looked for letters whose time has come.
const FALLBACK: Duration = Duration::from_secs(10);
/// How long a link works that somebody asked for by mail, in seconds.
const FORGOTTEN_SECONDS: i64 = 3600;

/// Sends letters until it is dropped or `stopped` is ready. Does nothing without a mail server.
pub async fn run(server: Arc<Server>, stopped: impl Future<Output = ()>) {
    if !server.mail.is_configured() {
        return;
    }
    let mut stopped = std::pin::pin!(stopped);
    let mut failing = false;
    loop {
        // A letter that is on its way when the server stops is sent again after the next start.
        let round = tokio::select! {
            () = &mut stopped => return,
            round = deliver_due(&server) => round,
        };
        match round {
            Ok(()) => failing = false,
            // Once per failure, not at each attempt.
            Err(_) if failing => {}
            Err(error) => {
                failing = true;
                tracing::warn!(%error, "letters wait: they are tried again");
            }
        }
        tokio::select! {
            () = &mut stopped => return,
            () = server.registry.letter_stored() => {}
            () = tokio::time::sleep(FALLBACK) => {}
        }
    }
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The registry failed.
    #[error("the registry failed: {0}")]
    Registry(#[from] RegistryError),
    /// The mail server cannot be reached or does not let us in.
    #[error("{0}")]
    Mail(MailError),
}

/// Sends what is due. Ends early where the mail server cannot be spoken to at all.
pub async fn deliver_due(server: &Server) -> Result<(), DeliveryError> {
    loop {
        let due = server.registry.due_letters(server.clock.now_seconds(), AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        for letter in due {
            match letter.kind {
                LetterKind::PasswordRequest => answer(server, letter).await?,
                _ => deliver(server, letter).await?,
            }
        }
    }
}

async fn deliver(server: &Server, letter: WaitingLetter) -> Result<(), DeliveryError> {
    let now = server.clock.now_seconds();
    if letter.gives_up_at <= now {
        return end(server, &letter, Err(format!("given up after {} attempts", letter.attempts))).await;
    }
    server.registry.try_letter(&letter.id, now.saturating_add(wait_seconds(letter.attempts))).await?;
    match send_only(&server.mail, &letter).await {
        Ok(()) => end(server, &letter, Ok(())).await,
        Err(error) if error.is_final() => end(server, &letter, Err(error.to_string())).await,
        // "Not now" to one letter says nothing of the next one.
        Err(MailError::Refused(_)) => Ok(()),
        Err(error) => Err(DeliveryError::Mail(error)),
    }
}

/// Sends a letter and notes nothing of it.
pub async fn send_only(mail: &Mail, letter: &WaitingLetter) -> Result<(), MailError> {
    let written = compose::letter_of(&letter.id, &letter.content).ok_or(MailError::Letter(LetterError))?;
    match &mail.mailer {
        Some(mailer) => mailer.send(&written).await,
        None => Err(MailError::Unresolved),
    }
}

/// The wait after so many attempts before the last one.
fn wait_seconds(attempts: u32) -> i64 {
    FIRST_WAIT_SECONDS.saturating_mul(1 << attempts.min(10)).min(LONGEST_WAIT_SECONDS)
}

async fn end(server: &Server, letter: &WaitingLetter, how: Result<(), String>) -> Result<(), DeliveryError> {
    let to = letter.user.as_ref().map_or("nobody", UserId::as_str);
    let (outcome, record, detail) = match how {
        Ok(()) => ("sent".to_owned(), Outcome::Success, format!("letter sent: {} to {to}", letter.kind.as_str())),
        Err(reason) => {
            tracing::warn!(letter = letter.id, kind = letter.kind.as_str(), reason, "a letter did not go");
            let detail = format!("letter not sent: {} to {to}: {reason}", letter.kind.as_str());
            (reason, Outcome::Failed, detail)
        }
    };
    let change = MailChange::End { id: letter.id.clone(), outcome };
    Ok(apply(server, change, record, detail).await?)
}

/// Finds out whom a request for a new password is about, and writes to them. Nobody waits for it, so nobody learns how long it took.
async fn answer(server: &Server, letter: WaitingLetter) -> Result<(), DeliveryError> {
    let mut links = Vec::new();
    let mut named = Vec::new();
    if letter.gives_up_at > server.clock.now_seconds() {
        let typed = compose::typed_name(&letter.content).unwrap_or_default();
        for user in people(server, &typed).await? {
            if let Some(link) = link_for(server, &user).await? {
                named.push(user.as_str().to_owned());
                links.push(link);
            }
        }
    }
    let whom = if named.is_empty() { "nobody".to_owned() } else { named.join(" ") };
    let change = MailChange::Answer { id: letter.id, links };
    Ok(apply(server, change, Outcome::Success, format!("request for a new password answered: link for {whom}")).await?)
}

async fn people(server: &Server, typed: &str) -> Result<Vec<UserId>, RegistryError> {
    if let Some(user) = server.registry.user_named(typed).await? {
        return Ok(vec![user.id]);
    }
    match MailAddress::parse(typed) {
        Some(address) => server.registry.people_at(address.as_str()).await,
        None => Ok(Vec::new()),
    }
}

/// A link for this person with its letter; `None` for whoever cannot have one: a locked account, nowhere to write to, or an account that has no password
/// because it is opened in another way.
async fn link_for(server: &Server, user: &UserId) -> Result<Option<(OneTimeLink, SecretHash, NewLetter)>, RegistryError> {
    let means = server.registry.sign_in_means(user).await?;
    let elsewhere = !means.passkeys.is_empty() || !server.registry.identities_of(user).await?.is_empty();
    let (Some(address), Some(person)) = (server.registry.address_of(user).await?, server.registry.user(user).await?) else {
        return Ok(None);
    };
    if means.locked_at.is_some() || (!means.has_password && elsewhere) {
        return Ok(None);
    }
    let purpose = if means.has_password { LinkPurpose::Forgotten } else { LinkPurpose::Invitation };
    let expires_at = server.clock.now_seconds().saturating_add(FORGOTTEN_SECONDS);
    let created_by = address.vouched_by.clone().unwrap_or_else(|| user.as_str().to_owned());
    let (secret, hash) = SecretHash::generate(&mut Borrowed(&*server.entropy));
    let link = OneTimeLink { user: user.clone(), purpose, created_by, mailed: true, expires_at };
    let facts = Facts { link: Some((new_password::secret_address(server, &secret), expires_at)), ..Facts::default() };
    let letter = compose::written(server, &person, &address, (LetterKind::Forgotten, facts))?;
    Ok(Some((link, hash, letter)))
}

/// A change of the registry that this task makes, with its record.
async fn apply(server: &Server, change: MailChange, outcome: Outcome, detail: String) -> Result<(), RegistryError> {
    let record = Record {
        id: RecordId(format!("{:032x}", server.random_u128())),
        recorded: server.clock.now_milliseconds(),
        event: Event::Credential,
        agent: Agent::default(),
        outcome,
        status: 0,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: Vec::new(),
        detail: Some(detail),
    };
    let corrupt = |text: String| RegistryError::Corrupt(text);
    let pending = PendingRecord::new(&record).map_err(|error| corrupt(error.to_string()))?;
    let acknowledged = server.registry.apply(Change::Mail(Box::new(change)), &pending).await?;
    pending.receipt(&acknowledged).map(|_receipt| ()).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_an_hour() {
        let waits: Vec<i64> = [0, 1, 2, 6, 7, 40, u32::MAX].into_iter().map(wait_seconds).collect();
        assert_eq!(waits, [30, 60, 120, 1920, 3600, 3600, 3600]);
    }
}
