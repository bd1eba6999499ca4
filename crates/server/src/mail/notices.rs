//! Which changes their owner is told of. One place decides it, for every change that a page or an operator makes, so that none is forgotten.

use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_store::RegistryError;
use portcullis_store::federation::FederationChange;
use portcullis_store::mail::{LetterKind, MailChange, NewLetter};
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{LinkPurpose, SignInChange};

use super::alerts;
use super::compose::{self, Facts};
use crate::context::Server;

/// Of whom and what a change is.
enum Told {
    Person(UserId, LetterKind),
    /// Whoever a link is for.
    ByLink(SecretHash),
}

/// The change, together with the letters that tell of it.
pub async fn telling(server: &Server, change: Change) -> Result<Change, RegistryError> {
    if !server.mail.is_configured() {
        return Ok(change);
    }
    let mut told = Vec::new();
    of_change(&change, &mut told);
    let mut letters = Vec::new();
    for told in told {
        let (user, kind) = match told {
            Told::Person(user, kind) => (user, kind),
            Told::ByLink(hash) => match server.registry.one_time_link(&hash, server.clock.now_seconds()).await? {
                Some(link) => match link.purpose {
                    LinkPurpose::Invitation => continue,
                    LinkPurpose::Reset | LinkPurpose::Forgotten => (link.user, LetterKind::PasswordChanged),
                },
                // The change will be refused.
                None => continue,
            },
        };
        letters.extend(Box::pin(compose::letter(server, &user, kind, Facts::default())).await?);
    }
    if let Change::Safeguard(safeguard) = &change {
        letters.extend(Box::pin(alerts::of_change(server, safeguard)).await?);
    }
    Ok(with(letters, change))
}

/// The same, where the sign-in is from a browser that was not known.
pub async fn of_new_browser(
    server: &Server,
    user: &UserId,
    place: (String, String),
    change: Change,
) -> Result<Change, RegistryError> {
    if !server.mail.is_configured() {
        return Ok(change);
    }
    let facts = Facts { place: Some(place), ..Facts::default() };
    Ok(with(compose::letter(server, user, LetterKind::NewBrowser, facts).await?, change))
}

/// A change with letters; without letters it is left as it is.
pub fn with(letters: impl IntoIterator<Item = NewLetter>, change: Change) -> Change {
    let letters: Vec<NewLetter> = letters.into_iter().collect();
    if letters.is_empty() {
        return change;
    }
    Change::Mail(Box::new(MailChange::Tell { letters, then: Box::new(change) }))
}

fn of_change(change: &Change, told: &mut Vec<Told>) {
    match change {
        Change::SignIn(change) => of_sign_in(change, told),
        Change::Federation(change) => match &**change {
            FederationChange::SpendState { then, .. } | FederationChange::SignIn { then, .. } => of_change(then, told),
            FederationChange::Link(identity) => {
                let kind =
                    if identity.linked_by == identity.user.as_str() { LetterKind::IdentityLinked } else { LetterKind::Recovery };
                told.push(Told::Person(identity.user.clone(), kind));
            }
            FederationChange::Unlink { .. } | FederationChange::Represent { .. } | FederationChange::EndRepresentation { .. } => {
            }
        },
        Change::Mail(change) => match &**change {
            MailChange::Tell { then, .. } => of_change(then, told),
            MailChange::SetAddress { user, .. } => told.push(Told::Person(user.clone(), LetterKind::AddressChanged)),
            MailChange::End { .. } | MailChange::Answer { .. } => {}
        },
        // Nothing else changes how somebody gets in, or carries such a change.
        _ => {}
    }
}

fn of_sign_in(change: &SignInChange, told: &mut Vec<Told>) {
    let (user, kind) = match change {
        SignInChange::UseFactor { then, .. } => return of_change(then, told),
        SignInChange::Then { first, then } => {
            of_sign_in(first, told);
            return of_change(then, told);
        }
        SignInChange::Together(changes) => {
            // Recovery codes come with the first factor; its letter is enough.
            let codes = |change: &SignInChange| matches!(change, SignInChange::SetRecoveryCodes { .. });
            let others = changes.len() > 1;
            return changes.iter().filter(|change| !(others && codes(change))).for_each(|change| of_sign_in(change, told));
        }
        SignInChange::SetPasswordByLink { hash, .. } => return told.push(Told::ByLink(*hash)),
        SignInChange::SetPassword { user, .. } => (user, LetterKind::PasswordChanged),
        SignInChange::SetTotp { user, .. } => (user, LetterKind::AuthenticatorAdded),
        SignInChange::AddPasskey { user, .. } => (user, LetterKind::PasskeyAdded),
        SignInChange::RemoveTotp(user) | SignInChange::RemovePasskey { user, .. } => (user, LetterKind::FactorRemoved),
        SignInChange::SetRecoveryCodes { user, .. } => (user, LetterKind::RecoveryCodes),
        // A link that goes by letter tells of itself.
        SignInChange::MakeLink { link, .. } if link.purpose == LinkPurpose::Reset && !link.mailed => {
            (&link.user, LetterKind::Recovery)
        }
        SignInChange::ConfirmRecovery { user, .. } => (user, LetterKind::RecoveryConfirmed),
        SignInChange::MakeLink { .. }
        | SignInChange::RenewSession { .. }
        | SignInChange::NoteSecondFactor { .. }
        | SignInChange::EndSession { .. }
        | SignInChange::EndOtherSessions { .. }
        | SignInChange::Lock(_)
        | SignInChange::Unlock(_) => return,
    };
    told.push(Told::Person(user.clone(), kind));
}
