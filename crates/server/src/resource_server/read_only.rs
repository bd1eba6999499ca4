//! What whoever asks may read and not change: a change of it is refused (403), where one of what is hidden or absent finds nothing (404).
//!
//! Whether there is such a record is asked as a read would be, under a permit for that, so that it tells nothing that a read would not tell. It is asked whatever the change did not find.

use portcullis_fhir::interaction::Read;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::Principal;
use portcullis_policy::{Change, Decision, Operation, PermittedOperation, WriteSet, decide};
use portcullis_store::StoreError;

use super::refusal::Refusal;
use crate::context::Server;

/// The current version that a set of one change is about.
pub fn changed(set: &WriteSet) -> Option<Read> {
    let read = |resource_type: ResourceType, id: &LogicalId| Read { resource_type, id: id.clone() };
    match set.changes.as_slice() {
        [Change::Update { version, .. }] => Some(read(version.resource_type, &version.id)),
        [Change::Delete { resource_type, id, .. }] => Some(read(*resource_type, id)),
        _ => None,
    }
}

/// Why a change was refused: that nothing was found to change, or that what may be read may not be changed.
pub async fn refused(server: &Server, principal: &Principal, changed: Option<Read>, refusal: Refusal) -> Refusal {
    let (Refusal::Store(StoreError::NotFound), Some(read)) = (&refusal, changed) else { return refusal };
    if is_shown(server, principal, read).await { Refusal::ReadOnly } else { refusal }
}

/// Whether a read would show it. Where that cannot be found out it is as absent.
async fn is_shown(server: &Server, principal: &Principal, read: Read) -> bool {
    let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(server.basis(), principal, Operation::Read(read))
    else {
        return false;
    };
    let Ok(found) = server.store.read(read).await else { return false };
    permit.release(found).is_ok_and(|released| released.content().as_ref().is_some_and(|version| version.body.is_some()))
}
