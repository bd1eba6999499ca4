//! What the operator decided about labels: who is cleared for what, for which purpose, and which elements are shown to whom.

use std::sync::Arc;

use super::{Classifier, Clearance, Clearances};
use crate::purpose::PurposeOfUse;
use crate::redaction::ElementRules;

/// Clearances, those that hold for single purposes instead, and the list of elements with labels of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelPolicy {
    /// What holds for every other purpose.
    pub clearances: Clearances,
    /// What holds for a purpose and for those that it includes instead.
    pub purposes: Arc<[(PurposeOfUse, Clearances)]>,
    /// Elements that are shown only to those who are cleared for their labels.
    pub elements: Arc<ElementRules>,
    /// How labels say that this server assigned them; they do not where there is none.
    pub classifier: Option<Classifier>,
}

impl LabelPolicy {
    /// For a principal of whom nobody says what it is cleared for: as little as possible.
    pub fn least() -> Self {
        Clearances::least().into()
    }

    /// Up to which labels each kind of principal sees records for a purpose, through a client that is registered up to a clearance: what both allow. That of the client
    /// holds for patients, too: it says what may go to the app, whoever uses it.
    pub fn clearances(&self, purpose: PurposeOfUse, client: Clearance) -> Clearances {
        let including = || self.purposes.iter().filter(|(including, _)| including.includes(purpose));
        // Of several the narrowest counts.
        let narrowest = including().find(|(one, _)| including().all(|(other, _)| other.includes(*one)));
        narrowest.map_or(&self.clearances, |(_, clearances)| clearances).and(client)
    }
}

impl From<&LabelPolicy> for LabelPolicy {
    fn from(policy: &LabelPolicy) -> Self {
        policy.clone()
    }
}

impl From<Clearances> for LabelPolicy {
    fn from(clearances: Clearances) -> Self {
        Self { clearances, ..Self::default() }
    }
}
