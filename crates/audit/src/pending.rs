//! A record that is stored in the same transaction as the change that it describes (the outbox).
//!
//! Whom a change concerns is known only inside its transaction: the patients of the version that was current before count as much as those of the
//! new one. So a store is given an [`UnfinishedRecord`], completes it where it applies the changes, and stores the bytes that come out. The receipt
//! is made from its word about what it stored.

use std::collections::HashSet;

use crate::receipt::AuditReceipt;
use crate::record::{ConsentDecision, Record, RecordId};
use crate::segment::MAXIMUM_RECORD_BYTES;

/// A record in its exact bytes, before the transaction that will hold it.
#[derive(Debug)]
pub struct PendingRecord {
    id: RecordId,
    bytes: Vec<u8>,
}

/// A record of changes that are not made yet: one operation for each of them, in their order.
#[derive(Debug)]
pub struct UnfinishedRecord {
    record: Record,
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The interaction that it turned out to be: an import may create or update.
    pub interaction: &'static str,
    /// The resource's id.
    pub id: String,
    /// The version that the change made, or left as it was.
    pub version: String,
    /// The patients of the version before, where there was one.
    pub before: Vec<String>,
    /// The patients of the version after.
    pub after: Vec<String>,
    /// The codes of the labels of the version after.
    pub labels: Vec<String>,
    /// What the consents of its patients decided.
    pub consents: Vec<ConsentDecision>,
}

/// A backend's word that exactly these bytes are durable. The backend computes the digest from what it stored.
#[derive(Debug)]
pub struct Acknowledgement {
    digest: [u8; 32],
}

impl Acknowledgement {
    /// Acknowledges these bytes; called by a backend after the transaction that stored them has been made durable.
    pub fn of_stored(bytes: &[u8]) -> Self {
        Self { digest: digest(bytes) }
    }
}

/// Why a record cannot be stored with its change, so that the change is not made either.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// The record has no JSON form.
    #[error("the audit record cannot be written as JSON")]
    Serialize(#[from] serde_json::Error),
    /// The ledger would never take it.
    #[error("the audit record would have {0} bytes; the ledger takes {MAXIMUM_RECORD_BYTES}")]
    TooLong(usize),
    /// The operations of the record are not the changes of the set.
    #[error("an audit record of {operations} operations for {changes} changes")]
    OtherChanges {
        /// What the record holds.
        operations: usize,
        /// What was changed.
        changes: usize,
    },
}

/// The backend acknowledged something else than what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend acknowledged other bytes than the pending record's, or another record")]
pub struct OtherBytes;

impl PendingRecord {
    /// Fixes the bytes of a record. One that the ledger could not take is refused here, before anything is changed.
    pub fn new(record: &Record) -> Result<Self, PendingError> {
        let bytes = serde_json::to_vec(record)?;
        if bytes.len() > MAXIMUM_RECORD_BYTES {
            return Err(PendingError::TooLong(bytes.len()));
        }
        Ok(Self { id: record.id.clone(), bytes })
    }

    /// The record's id: the outbox's key, by which duplicates are dropped.
    pub fn id(&self) -> &RecordId {
        &self.id
    }

    /// The bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The receipt, if the backend stored exactly these bytes.
    pub fn receipt(self, acknowledgement: &Acknowledgement) -> Result<AuditReceipt, OtherBytes> {
        if digest(&self.bytes) == acknowledgement.digest { Ok(AuditReceipt::for_durable(self.id)) } else { Err(OtherBytes) }
    }
}

impl UnfinishedRecord {
    /// A record whose operations stand for the changes of one set, in their order.
    pub fn new(record: Record) -> Self {
        Self { record }
    }

    /// The record's id, which stays.
    pub fn id(&self) -> &RecordId {
        &self.record.id
    }

    /// Who makes the changes: the user, or a client that acts for itself.
    pub fn writer(&self) -> String {
        let agent = &self.record.agent;
        agent.user.clone().unwrap_or_else(|| format!("client:{}", agent.client.as_deref().unwrap_or_default()))
    }

    /// When, in seconds since the epoch.
    pub fn at(&self) -> i64 {
        self.record.recorded.div_euclid(1000)
    }

    /// Says for each change what it touched, and fixes the bytes. For the store, inside the transaction.
    pub fn complete(mut self, changes: Vec<Completion>) -> Result<PendingRecord, PendingError> {
        let operations = &mut self.record.operations;
        if operations.len() != changes.len() {
            return Err(PendingError::OtherChanges { operations: operations.len(), changes: changes.len() });
        }
        for (operation, change) in operations.iter_mut().zip(changes) {
            let Completion { interaction, id, version, before, after, labels, consents } = change;
            let mut patients = Vec::with_capacity(before.len() + after.len());
            let mut seen = HashSet::new();
            patients.extend(before.into_iter().filter(|patient| seen.insert(patient.clone())));
            let known = patients.len();
            patients.extend(after.into_iter().filter(|patient| seen.insert(patient.clone())));
            if interaction == "update" {
                operation.joined = patients.get(known..).unwrap_or_default().to_vec();
            }
            interaction.clone_into(&mut operation.interaction);
            operation.id = Some(id);
            operation.version = Some(version);
            operation.named.retain(|patient| !seen.contains(patient));
            operation.patients = patients;
            operation.labels = labels;
            operation.consents = consents;
        }
        PendingRecord::new(&self.record)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut output = [0; 32];
    output.copy_from_slice(digest.as_ref());
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Agent, Event, OperationEntry, Outcome};

    fn record(operations: usize) -> Record {
        Record {
            id: RecordId("0".repeat(32)),
            recorded: 1,
            event: Event::Rest,
            agent: Agent::default(),
            outcome: Outcome::Success,
            status: 200,
            decision: None,
            rules: Vec::new(),
            operations: vec![OperationEntry { interaction: "update".to_owned(), ..OperationEntry::default() }; operations],
            request: None,
            detail: None,
        }
    }

    fn completion(interaction: &'static str, before: &[&str], after: &[&str]) -> Completion {
        let [before, after] = [before, after].map(|patients| patients.iter().map(|patient| (*patient).to_owned()).collect());
        Completion {
            interaction,
            id: "o1".to_owned(),
            version: "v2".to_owned(),
            before,
            after,
            labels: Vec::new(),
            consents: Vec::new(),
        }
    }

    #[test]
    fn a_completed_record_names_the_patients_before_and_after_once_each_in_order() {
        let changes = vec![completion("update", &["b", "a"], &["c", "a", "b", "c"]), completion("update", &[], &[])];
        let pending = UnfinishedRecord::complete(UnfinishedRecord::new(record(2)), changes);
        let stored: Record = serde_json::from_slice(pending.unwrap().bytes()).unwrap();
        assert_eq!(stored.operations[0].patients, ["b", "a", "c"]);
        assert_eq!(stored.operations[0].joined, ["c"]);
        assert_eq!((stored.operations[0].id.as_deref(), stored.operations[0].version.as_deref()), (Some("o1"), Some("v2")));
        assert!(stored.operations[1].patients.is_empty());
    }

    #[test]
    fn only_an_update_has_patients_who_joined() {
        for (interaction, joined) in [("create", &[] as &[&str]), ("update", &["c"]), ("delete", &[])] {
            let changes = vec![completion(interaction, &["a"], &["c"])];
            let pending = UnfinishedRecord::complete(UnfinishedRecord::new(record(1)), changes).unwrap();
            let stored: Record = serde_json::from_slice(pending.bytes()).unwrap();
            assert_eq!(
                (stored.operations[0].patients.len(), stored.operations[0].joined.as_slice()),
                (2, &*joined.iter().map(ToString::to_string).collect::<Vec<_>>())
            );
        }
    }

    #[test]
    fn a_record_whose_operations_are_not_the_changes_is_refused() {
        for (operations, changes) in [(0, 1), (1, 0), (2, 1)] {
            let completed = UnfinishedRecord::complete(
                UnfinishedRecord::new(record(operations)),
                vec![completion("update", &[], &["a"]); changes],
            );
            assert!(matches!(completed, Err(PendingError::OtherChanges { .. })), "{operations} {changes}");
        }
    }

    #[test]
    fn a_record_that_the_ledger_could_not_take_is_refused_before_anything_is_stored() {
        let mut long = record(0);
        long.detail = Some("x".repeat(MAXIMUM_RECORD_BYTES));
        assert!(matches!(PendingRecord::new(&long), Err(PendingError::TooLong(_))));
        let unfinished = UnfinishedRecord::new(record(1));
        let long = "x".repeat(MAXIMUM_RECORD_BYTES / 16);
        let many = (0..16).map(|number| format!("{long}{number}")).collect();
        let completion = Completion { after: many, ..completion("update", &[], &[]) };
        assert!(matches!(UnfinishedRecord::complete(unfinished, vec![completion]), Err(PendingError::TooLong(_))));
    }
}
