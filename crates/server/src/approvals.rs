//! Whether a change that takes two people may be applied. Whoever applies one asks here, with exactly what would be applied, and spends the agreement in the
//! transaction that applies it ([`portcullis_store::safeguards::SafeguardChange::Use`]).

use portcullis_oauth::approval::{ChangeKind, digest};
use portcullis_store::RegistryError;

use crate::context::Server;

/// Whether there is leave for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// One person is enough for this kind.
    OnePerson,
    /// A second one agreed to exactly this content, it was not applied since, and there is still time.
    Agreed,
    /// Neither.
    Missing,
}

/// Whether this content may be applied now. What a person is given is no matter of this: it is applied where it is agreed to.
pub async fn leave(server: &Server, (kind, content): (ChangeKind, &str)) -> Result<Leave, RegistryError> {
    if !server.settings.authorization.two_people.are_needed(kind) {
        return Ok(Leave::OnePerson);
    }
    let approved = server.registry.approved_change(kind, &digest(kind, content), server.clock.now_seconds()).await?;
    Ok(if approved.is_some() { Leave::Agreed } else { Leave::Missing })
}
