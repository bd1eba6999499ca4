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
            let users = server.registry.users().await?;
            let reviewing = reviewers(server, &users, &entry.user).await?;
            let others = users.into_iter().filter(|user| user.id != entry.user).map(|user| user.acting_at(now));
            let people = others.filter(|user| user.patients.contains(&entry.patient));
            let mut told: Vec<(UserId, LetterKind)> = people.map(|user| (user.id, LetterKind::GlassBroken)).collect();
            told.extend(reviewing.into_iter().map(|user| (user, LetterKind::GlassBrokenReview)));
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
    alert(server, LetterKind::GlassRefused, user, Change::Nothing).await
}

/// The change, with the word to the security officers that somebody with the right looked for several people whom nobody knows.
pub async fn of_searched_glass(server: &Server, user: &User, change: Change) -> Result<Change, RegistryError> {
    alert(server, LetterKind::GlassSearched, Some(user), change).await
}

async fn alert(server: &Server, kind: LetterKind, user: Option<&User>, change: Change) -> Result<Change, RegistryError> {
    if !server.mail.is_configured() {
        return Ok(change);
    }
    let users = server.registry.users().await?;
    let reviewing = match user {
        Some(user) => reviewers(server, &users, &user.id).await?,
        None => users.into_iter().filter(|user| user.roles.contains(Role::SecurityOfficer)).map(|user| user.id).collect(),
    };
    let told = reviewing.into_iter().map(|reviewer| (reviewer, kind)).collect();
    let mut letters = written(server, told, user.map(|user| user.display_name.clone())).await?;
    for letter in &mut letters {
        letter.about = user.map(|user| user.id.clone());
    }
    Ok(notices::with(letters, change))
}

/// Who looks at what somebody did: the security officers, but for that person; where no other one gets mail, the auditors, else the administrators.
pub async fn reviewers(server: &Server, users: &[User], about: &UserId) -> Result<Vec<UserId>, RegistryError> {
    for role in [Role::SecurityOfficer, Role::Auditor, Role::Administrator] {
        let mut found = Vec::new();
        for user in users.iter().filter(|user| user.id != *about && user.roles.contains(role)) {
            if server.registry.address_of(&user.id).await?.is_some() {
                found.push(user.id.clone());
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    tracing::warn!(
        "nobody can be written to about emergency access but whoever asked for it: give a second officer or an auditor an address"
    );
    Ok(Vec::new())
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
