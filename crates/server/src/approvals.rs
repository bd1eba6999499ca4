//! Whether a change that takes two people may be applied. Whoever applies one asks here, with exactly what would be applied.

use portcullis_oauth::approval::{ChangeKind, TwoPeople, digest};
use portcullis_store::{Registry, RegistryError};

/// Whether one person is enough for this kind of change, or a second one agreed to exactly this content. What a person is given is no matter of this: it is
/// applied where it is agreed to.
pub async fn stands(
    registry: &dyn Registry,
    two_people: TwoPeople,
    (kind, content): (ChangeKind, &str),
) -> Result<bool, RegistryError> {
    if !two_people.are_needed(kind) {
        return Ok(true);
    }
    Ok(registry.approved_change(kind, &digest(kind, content)).await?.is_some())
}
