//! Consents and writes: whether the consents of its patients let somebody store a version, and what follows for them when it is stored.

use portcullis_audit::UnfinishedRecord;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_fhir::version::NewVersion;
use portcullis_policy::{Change, Written};
use portcullis_store::StoreError;

use super::super::commit::{Application, Done};
use super::super::locator;
use super::derive::{self, Derivation};
use super::sight::Sight;
use super::verification::{self, Verification};

/// How a confirmation by an operator who loads data is kept.
const BY_IMPORT: &str = "import";

impl Application<'_> {
    /// A version may be stored only where the consents of its patients permit that: as if the patients who do not were nobody's.
    pub(in super::super) fn require_consent(&self, version: &NewVersion, labels: Labels) -> Result<(), StoreError> {
        let Some(question) = self.constraint.question() else { return Ok(()) };
        let sight = Sight::of(self.connection, self.seal, self.constraint)?;
        let consulted = sight.consult_patients(self.connection, self.seal, &version.patients)?;
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let facts = || consulted.facts(question, (target.clone(), labels), Some(&version.body));
        let permitted = consulted.permit(question, self.constraint.letter(), (&version.patients, &facts));
        if permitted { Ok(()) } else { Err(StoreError::OutsideBoundary) }
    }

    /// Writes what decisions about consents need of a change that was made.
    pub(in super::super) fn derive_consents(
        &mut self,
        change: &Change,
        done: &Done,
        record: &UnfinishedRecord,
    ) -> Result<(), StoreError> {
        let version = done.written.version();
        let is_consent = version.resource_type == ResourceType::CONSENT;
        if !is_consent && !derive::is_anything_covered(self.connection)? {
            return Ok(());
        }
        let Some(pk) = locator::find(self.connection, version.resource_type, version.id.as_str())? else { return Ok(()) };
        let patients = derive::locators_of(self.connection, &version.patients)?;
        if !is_consent && !derive::concerns(self.connection, pk, &patients)? {
            return Ok(());
        }
        // What a rule covers is found by the rows of what was written before.
        self.put_waiting()?;
        let base_url = match (change.proposed(), self.constraint.question()) {
            (Some(proposed), _) => proposed.base_url.to_string(),
            (None, Some(question)) => question.context().base_url.to_owned(),
            // Only who is asked for consents deletes, or nobody has any.
            (None, None) => String::new(),
        };
        let derivation = Derivation { connection: self.connection, seal: self.seal, base_url: &base_url };
        let changed = !matches!(done.written, Written::Unchanged(_));
        if changed {
            derivation.record_stored(pk, version, &patients)?;
        }
        if !is_consent {
            return Ok(());
        }
        let (at, writer) = (record.at(), record.writer());
        let named = version.version.as_str();
        if changed {
            derivation.consent_stored(pk, version)?;
            verification::note_writer(self.connection, (pk, named), &writer)?;
        }
        let is_confirmed = !changed && verification::is_confirmed(self.connection, (pk, named))?;
        if matches!(change, Change::Import(_)) && !is_confirmed {
            let patient = patients.first().copied().filter(|_| version.body.is_some());
            let confirmed = Verification { consent: pk, version: named, patient, by_whom: &writer, how: BY_IMPORT, at };
            verification::add(self.connection, &confirmed)?;
            derivation.consent_confirmed(pk)?;
        }
        Ok(())
    }
}
