//! What the audit record of a write set says of each change, once it is made.

use portcullis_audit::{Completion, PendingError};
use portcullis_fhir::types::LogicalId;
use portcullis_policy::Written;
use portcullis_policy::rules::consent::Verdicts;
use portcullis_store::StoreError;
use portcullis_store::consent_decisions::decisions;

use super::commit::Done;

/// What the record says of a change; a deletion has the patients of what it deleted.
pub fn completion((done, verdicts): &(Done, Verdicts)) -> Completion {
    let version = done.written.version();
    let interaction = match done.written {
        Written::Created(_) => "create",
        // What was asked for; the version that it names is the one that was there.
        Written::Updated(_) | Written::Unchanged(_) => "update",
        Written::Deleted(_) => "delete",
    };
    let names = |patients: &[LogicalId]| patients.iter().map(|patient| patient.as_str().to_owned()).collect();
    Completion {
        interaction,
        id: version.id.as_str().to_owned(),
        version: version.version.as_str().to_owned(),
        before: names(&done.before),
        after: names(&version.patients),
        labels: version.security.labels.codings().map(|(_, code, _)| code.to_owned()).collect(),
        consents: decisions(verdicts),
    }
}

/// Why a record cannot be stored with its changes.
pub fn not_recordable(error: PendingError) -> StoreError {
    match error {
        PendingError::TooLong(_) => StoreError::NotSupported(error.to_string()),
        PendingError::Serialize(_) | PendingError::OtherChanges { .. } => StoreError::Corrupt(error.to_string()),
    }
}
