//! Letters about broken glass and about changes that take two people: to whom, and by which change.

use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::{Role, User};
use portcullis_store::RegistryError;
use portcullis_store::mail::{LetterKind, NewLetter};
use portcullis_store::registry::Change;
use portcullis_store::safeguards::SafeguardChange;

use super::compose::{self, Facts};
use super::notices;
use crate::context::Server;

/// The letters that tell of a change.
pub async fn of_change(server: &Server, change: &SafeguardChange) -> Result<Vec<NewLetter>, RegistryError> {
    match change {
        SafeguardChange::BreakGlass(entry) => {
            let now = server.clock.now_seconds();
            let mut told = Vec::new();
            for user in server.registry.users().await? {
                let user = user.acting_at(now);
                if user.id == entry.user {
                    continue;
                }
                if user.patients.contains(&entry.patient) {
                    told.push((user.id.clone(), LetterKind::GlassBroken));
                }
                if user.roles.contains(Role::SecurityOfficer) {
                    told.push((user.id, LetterKind::GlassBrokenReview));
                }
            }
            let name = server.registry.user(&entry.user).await?.map(|user| user.display_name);
            written(server, told, name).await
        }
        SafeguardChange::Propose(proposal) => {
            let mut told = Vec::new();
            for given in server.registry.entitlements().await? {
                let own = format!("user:{}", given.user.as_str()) == proposal.proposed_by
                    || proposal.beneficiary.as_ref() == Some(&given.user);
                if given.entitlement == Entitlement::ApproveChanges && !own {
                    told.push((given.user, LetterKind::ApprovalAwaited));
                }
            }
            written(server, told, None).await
        }
        SafeguardChange::Approve { .. }
        | SafeguardChange::Refuse { .. }
        | SafeguardChange::Use { .. }
        | SafeguardChange::Give { .. }
        | SafeguardChange::End { .. }
        | SafeguardChange::EndGlass { .. } => Ok(Vec::new()),
    }
}

/// Nothing but the word to the security officers that somebody without the right to it tried to break the glass. They get it once an hour at most.
pub async fn of_refused_glass(server: &Server, user: Option<&User>) -> Result<Change, RegistryError> {
    if !server.mail.is_configured() {
        return Ok(Change::Nothing);
    }
    let officers = server.registry.users().await?.into_iter().filter(|user| user.roles.contains(Role::SecurityOfficer));
    let told = officers.map(|officer| (officer.id, LetterKind::GlassRefused)).collect();
    let letters = written(server, told, user.map(|user| user.display_name.clone())).await?;
    Ok(notices::with(letters, Change::Nothing))
}

async fn written(
    server: &Server,
    told: Vec<(UserId, LetterKind)>,
    other: Option<String>,
) -> Result<Vec<NewLetter>, RegistryError> {
    let mut letters = Vec::new();
    for (user, kind) in told {
        let other = other.as_deref().map(|name| portcullis_oauth::client_display::shown(name, 100));
        letters.extend(compose::letter(server, &user, kind, Facts { other, ..Facts::default() }).await?);
    }
    Ok(letters)
}
