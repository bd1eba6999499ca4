//! What a request was after that released nothing: for its record alone.
//!
//! To whoever asks, a hidden resource is an absent one. The record knows which of the two it was, and whose record the attempt was on, so that somebody
//! who reviews attempts can find them by patient. A store makes a [`Sought`] with the same work in both cases. It can be read by nothing: it only goes into a record.

use serde::{Deserialize, Serialize};

use crate::record::{ConsentDecision, OperationEntry};

/// Why a request by id released nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// There is such a resource (or version), and it is not for whoever asked.
    Hidden,
    /// There is none.
    Absent,
}

/// What the store holds under the id that was asked for. Has no way out but into a record.
#[derive(Debug)]
pub struct Sought {
    presence: Option<Presence>,
    patients: Vec<String>,
    consents: Vec<ConsentDecision>,
    asked_consents: bool,
}

impl Sought {
    /// What was found: whether exactly what was asked for exists, and in whose records the resource lies.
    pub fn found(exists: bool, patients: Vec<String>) -> Self {
        Self {
            presence: Some(if exists { Presence::Hidden } else { Presence::Absent }),
            patients,
            consents: Vec::new(),
            asked_consents: false,
        }
    }

    /// Nothing is known.
    pub fn unknown() -> Self {
        Self { presence: None, patients: Vec::new(), consents: Vec::new(), asked_consents: false }
    }

    /// The same where it was looked for what consents keep from whoever asked, which is nothing where nothing is there, or something else hides it.
    #[must_use]
    pub fn denied_by(self, consents: Vec<ConsentDecision>) -> Self {
        Self { consents, asked_consents: true, ..self }
    }

    /// Whether that was looked for: that depends on who asks and on whether anybody has a consent, not on what was sought; how long it took does, and the answer must not say so.
    pub fn has_asked_consents(&self) -> bool {
        self.asked_consents
    }
}

impl OperationEntry {
    /// The attempt found nothing that it may see.
    pub fn sought_in_vain(&mut self, sought: Sought) {
        self.presence = sought.presence;
        self.sought_and_refused(sought);
    }

    /// The attempt was refused although it may see the resource.
    pub fn sought_and_refused(&mut self, sought: Sought) {
        self.named.retain(|patient| !sought.patients.contains(patient));
        self.patients = sought.patients;
        self.consents.extend(sought.consents);
    }
}
