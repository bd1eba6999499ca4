//! Which consents decided about the records of an interaction: for its audit record.
//!
//! Noted where the decision is made, so that nothing is decided a second time. What rests on no consent is not noted, but for two cases: the implicit policy keeps a record from
//! whoever asks ("consent required"), and somebody who has broken the glass gets one. Each consent is noted once, however many records it decided about.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_fhir::types::LogicalId;

use super::document::Effect;
use super::evaluate::{Ground, Verdict};
use super::facts::Request;
use super::implicit::ImplicitPolicy;

/// What was decided, by patient and effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(BTreeMap<LogicalId, [Option<PatientsVerdict>; 2]>);

/// What the consents of one patient decided, to one effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatientsVerdict {
    /// Whether the patient asked for the own record.
    pub own: bool,
    /// The Consents that decided, with the versions that did.
    pub consents: BTreeMap<LogicalId, BTreeSet<LogicalId>>,
    /// Whether there are others, of which the version is not known.
    pub others: bool,
    /// The policy that decided where no consent said anything.
    pub policy: Option<ImplicitPolicy>,
}

impl Verdicts {
    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes what the consents of a patient say of a request.
    pub(super) fn note(&mut self, (patient, request): (&LogicalId, &Request<'_>), verdict: &Verdict<'_>) {
        let rests_on_consents = match verdict.ground {
            Ground::Provision { .. } | Ground::Unreadable(_) => true,
            Ground::Implicit(_) => verdict.effect == Effect::Deny || request.purpose.is_break_glass(),
            Ground::RightOfAccess => false,
        };
        let by = verdict.by.map(|consent| (consent.id(), consent.version()));
        // Most records of a page are of patients and by consents that are noted.
        let is_noted = |known: &PatientsVerdict| matches!(by, Some((id, Some(version))) if known.names(id, version));
        if !rests_on_consents || self.find(patient, verdict.effect).is_some_and(is_noted) {
            return;
        }
        let noted = self.of(patient, verdict.effect);
        noted.own |= request.own_record;
        match (&verdict.ground, by) {
            (Ground::Implicit(policy), _) => noted.policy = Some(*policy),
            (_, Some((id, Some(version)))) => noted.add(id, version),
            (_, Some((_, None)) | None) => noted.others = true,
        }
    }

    /// Notes what a store has found: the Consents by whose rows a record of a patient is denied, or, where there are none, that the policy denies it.
    pub fn note_denial(&mut self, (patient, own): (&LogicalId, bool), by: Result<(&LogicalId, &LogicalId), ImplicitPolicy>) {
        let noted = self.of(patient, Effect::Deny);
        noted.own |= own;
        match by {
            Ok((consent, version)) => noted.add(consent, version),
            Err(policy) => noted.policy = Some(policy),
        }
    }

    /// Notes that the Consents that were found are not all.
    pub fn note_others(&mut self, patient: &LogicalId) {
        self.of(patient, Effect::Deny).others = true;
    }

    /// Notes all that others have noted.
    pub fn join(&mut self, others: &Self) {
        for (patient, verdicts) in &others.0 {
            for (verdict, effect) in verdicts.iter().zip([Effect::Permit, Effect::Deny]) {
                let Some(verdict) = verdict else { continue };
                let own = self.of(patient, effect);
                own.own |= verdict.own;
                own.others |= verdict.others;
                own.policy = own.policy.or(verdict.policy);
                verdict.versions().for_each(|(id, version)| own.add(id, version));
            }
        }
    }

    /// What was denied of it.
    #[must_use]
    pub fn of_denials(mut self) -> Self {
        self.0.retain(|_, [permit, deny]| {
            *permit = None;
            deny.is_some()
        });
        self
    }

    /// What was noted: patient by patient, permits before denials.
    pub fn iter(&self) -> impl Iterator<Item = (&LogicalId, Effect, &PatientsVerdict)> {
        self.0.iter().flat_map(|(patient, verdicts)| {
            let by_effect = verdicts.iter().zip([Effect::Permit, Effect::Deny]);
            by_effect.filter_map(move |(verdict, effect)| Some((patient, effect, verdict.as_ref()?)))
        })
    }

    fn find(&self, patient: &LogicalId, effect: Effect) -> Option<&PatientsVerdict> {
        let [permit, deny] = self.0.get(patient)?;
        match effect {
            Effect::Permit => permit.as_ref(),
            Effect::Deny => deny.as_ref(),
        }
    }

    fn of(&mut self, patient: &LogicalId, effect: Effect) -> &mut PatientsVerdict {
        let [permit, deny] = self.0.entry(patient.clone()).or_default();
        match effect {
            Effect::Permit => permit.get_or_insert_default(),
            Effect::Deny => deny.get_or_insert_default(),
        }
    }
}

impl PatientsVerdict {
    /// The versions of Consents that decided.
    pub fn versions(&self) -> impl Iterator<Item = (&LogicalId, &LogicalId)> {
        self.consents.iter().flat_map(|(id, versions)| versions.iter().map(move |version| (id, version)))
    }

    fn names(&self, id: &LogicalId, version: &LogicalId) -> bool {
        self.consents.get(id).is_some_and(|versions| versions.contains(version))
    }

    fn add(&mut self, id: &LogicalId, version: &LogicalId) {
        if !self.names(id, version) {
            self.consents.entry(id.clone()).or_default().insert(version.clone());
        }
    }
}
