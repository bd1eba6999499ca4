//! Consents and writes: whether the consents of its patients let somebody store a version, and what follows for them when it is stored.

use portcullis_audit::UnfinishedRecord;
use portcullis_fhir::json;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::redaction::inline;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::rules::consent::{Context, Question};
use portcullis_policy::{Change, DeniedElements, Written};
use portcullis_store::StoreError;

use super::super::commit::{Application, Done};
use super::super::locator;
use super::condition::key;
use super::derive::{self, Derivation};
use super::limits::Asked;
use super::sight::Sight;
use super::verification::{self, Verification, Writer};
use super::{load, parties};

/// How a confirmation by an operator who loads data is kept.
const BY_IMPORT: &str = "import";

impl Application<'_> {
    /// A version may be stored only where the consents of its patients permit that: as if the patients who do not were nobody's.
    pub(in super::super) fn require_consent(&self, version: &NewVersion, labels: Labels) -> Result<(), StoreError> {
        let Some(question) = self.constraint.question() else { return Ok(()) };
        let sight = Sight::of(self.connection, self.seal, self.constraint)?;
        let consulted = sight.consult_patients(self.connection, self.seal, &version.patients)?;
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let question = &question.joined(&consulted.memberships);
        let facts = || consulted.facts(question, (target.clone(), labels), Some(&version.body));
        let about = (version.patients.as_slice(), &facts as &dyn Fn() -> _);
        let verdicts = &mut *self.state.verdicts.borrow_mut();
        let permitted = consulted.permit_noting(question, self.constraint.letter(), about, verdicts);
        if permitted || off!("consent-of-writes") { Ok(()) } else { Err(StoreError::OutsideBoundary) }
    }

    /// Asks the consents a second time whether a resource may be deleted, as the statement that found it has, and notes for the record which of them decided.
    pub(in super::super) fn require_consent_to_delete(&self, pk: i64, patients: &[LogicalId]) -> Result<(), StoreError> {
        let Some(question) = self.constraint.question() else { return Ok(()) };
        let sight = Sight::of(self.connection, self.seal, self.constraint)?;
        let consulted = sight.consult_patients(self.connection, self.seal, patients)?;
        if consulted.consents.is_empty() {
            return Ok(());
        }
        if let Some(current) = load::current(self.connection, self.seal, pk)? {
            let question = question.joined(&consulted.memberships);
            let verdicts = &mut *self.state.verdicts.borrow_mut();
            if !consulted.permits_noting(&question, self.constraint.letter(), &current, verdicts) && !off!("consent-of-writes") {
                return Err(StoreError::OutsideBoundary);
            }
        }
        Ok(())
    }

    /// Whether the consents of its patients keep elements of a resource from whoever would change it: they cannot say what all of it shall be.
    pub(in super::super) fn consents_hide(&self, pk: i64, patients: &[LogicalId]) -> Result<bool, StoreError> {
        let Some(question) = self.constraint.question() else { return Ok(false) };
        let consulted =
            Sight::of(self.connection, self.seal, self.constraint)?.consult_patients(self.connection, self.seal, patients)?;
        let Some(current) = load::current(self.connection, self.seal, pk)? else { return Ok(false) };
        let question = question.joined(&consulted.memberships);
        let Some(denied) = DeniedElements::of(&consulted, (&question, Letter::Read), &current) else { return Ok(false) };
        // What cannot be read hides everything.
        let Some(Ok(mut body)) = current.body.as_deref().map(json::parse) else { return Ok(true) };
        let (hidden, _) = inline::redact(&mut body, &mut |own| denied.hold(own.labels));
        Ok(hidden)
    }

    /// What was written with a Consent must be permitted by what all of that leaves, too: whoever stores a denial and a record that it denies stores neither. Consents
    /// are not asked about themselves and each other, so that everything can be said.
    pub(in super::super) fn require_afterwards(&self, written: &[Written]) -> Result<(), StoreError> {
        let sight = Sight::of(self.connection, self.seal, self.constraint)?;
        let Some(question) = self.constraint.question() else { return Ok(()) };
        let records = written.iter().map(Written::version).filter(|version| version.resource_type != ResourceType::CONSENT);
        for version in records {
            let consulted = sight.consult(self.connection, self.seal, &[version])?;
            if !consulted.permits(&question.joined(&consulted.memberships), self.constraint.letter(), version)
                && !off!("consent-of-writes")
            {
                return Err(StoreError::OutsideBoundary);
            }
        }
        Ok(())
    }

    /// Writes what decisions about consents need of a change that was made; `asked` is the question of whoever made it.
    pub(in super::super) fn derive_consents(
        &mut self,
        (change, done): (&Change, &Done),
        record: &UnfinishedRecord,
        asked: Option<&Question>,
    ) -> Result<(), StoreError> {
        let version = done.written.version();
        let is_consent = version.resource_type == ResourceType::CONSENT;
        let trusted = || self.is_unbounded(version.resource_type);
        // Whoever may write everything says also what is there already: from then on those are members for certain.
        if parties::is_party(version.resource_type) && (!matches!(done.written, Written::Unchanged(_)) || trusted()) {
            let (base_url, trusted) = (self.base_url(change, asked)?, trusted());
            parties::stored(self.connection, version, trusted, &Context::of(&base_url))?;
        }
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
        let base_url = self.base_url(change, asked)?;
        let derivation = Derivation { connection: self.connection, seal: self.seal, base_url: &base_url };
        let changed = !matches!(done.written, Written::Unchanged(_));
        if changed {
            derivation.record_stored(pk, version, &patients)?;
        }
        if !is_consent {
            return Ok(());
        }
        let writer = writer(record, asked);
        let named = version.version.as_str();
        if changed {
            let by = (!matches!(change, Change::Import(_))).then_some((&writer, asked));
            let bounded = by.is_some() && !self.is_unbounded(version.resource_type);
            let asked = || Asked::of(self.connection, &patients, &writer);
            let before = bounded.then(asked).transpose()?;
            derivation.consent_stored(pk, version, by)?;
            verification::note_writer(self.connection, (pk, named), &writer)?;
            if let Some(before) = before {
                asked()?.require_room(before)?;
            }
        }
        let is_confirmed = !changed && verification::is_confirmed(self.connection, (pk, named))?;
        if matches!(change, Change::Import(_)) && !is_confirmed {
            let patient = patients.first().copied().filter(|_| version.body.is_some());
            let by_whom = writer.account.as_str();
            let confirmed = Verification { consent: pk, version: named, patient, by_whom, how: BY_IMPORT, at: record.at() };
            verification::add(self.connection, &confirmed)?;
            derivation.consent_confirmed(pk)?;
        }
        Ok(())
    }

    /// Where the server is.
    fn base_url(&self, change: &Change, asked: Option<&Question>) -> Result<String, StoreError> {
        match (change.proposed(), asked) {
            (Some(proposed), _) => Ok(proposed.base_url.to_string()),
            (None, Some(question)) => Ok(question.context().base_url.to_owned()),
            (None, None) => derive::base_url(self.connection),
        }
    }
}

/// Who makes a change.
fn writer(record: &UnfinishedRecord, asked: Option<&Question>) -> Writer {
    Writer {
        account: record.writer(),
        person: asked.and_then(Question::fhir_user).map(ToString::to_string),
        client: asked.and_then(|question| question.client().first()).map(key),
    }
}
