//! Up to which labels somebody may see records.

use super::{Confidentiality, Labels};

/// The highest confidentiality and the sensitivities that are open to somebody. Both must cover a record: a record with a sensitivity that is not cleared is
/// hidden whatever its confidentiality. What has no confidentiality is open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clearance {
    /// The labels that hide a record.
    hidden: Labels,
}

impl Clearance {
    /// Everything, whatever its labels.
    pub const FULL: Self = Self { hidden: Labels::NONE };

    /// Up to this confidentiality and with these sensitivities; other labels than sensitivities do not matter.
    pub fn up_to(highest: Confidentiality, sensitivities: Labels) -> Self {
        let above = Confidentiality::ALL.iter().filter(|above| **above > highest);
        let above = above.fold(0, |bits, above| bits | 1 << *above as u32);
        Self { hidden: Labels(above | Labels::sensitivities().bits() & !sensitivities.bits()) }
    }

    /// The same without records that are marked as test data (`HTEST`).
    #[must_use]
    pub fn without_test_data(self) -> Self {
        Self { hidden: self.hidden | Labels::named("HTEST").unwrap_or_default() }
    }

    /// Whether no label hides anything.
    pub fn is_full(self) -> bool {
        self.hidden.is_empty()
    }

    /// Whether a record with these labels is open.
    pub fn covers(self, labels: Labels) -> bool {
        !self.hidden.intersects(labels)
    }

    /// The bits of [`super::Security::column`] of which none may be set.
    pub fn mask(self) -> u32 {
        self.hidden.bits()
    }
}

/// What the operator lets each kind of principal see. Patients and those who act for them are not limited by labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clearances {
    /// Clinicians, for the patients in their care.
    pub clinician: Clearance,
    /// Clients on their own behalf (`system/` scopes).
    pub client: Clearance,
}

impl Clearances {
    /// For a principal of whom nobody has said yet what it is cleared for: nothing with a label above the lowest. So one that is forgotten sees too little.
    pub fn least() -> Self {
        let least = Clearance::up_to(Confidentiality::Unrestricted, Labels::NONE);
        Self { clinician: least, client: least }
    }
}

impl Default for Clearances {
    /// Clinicians see what is not restricted and has no sensitivity. Clients see all that they are registered for: each was registered by an operator for
    /// that, and one that lost a part of what it fetches would not notice.
    fn default() -> Self {
        Self { clinician: Clearance::up_to(Confidentiality::Normal, Labels::NONE), client: Clearance::FULL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(codes: &[&str]) -> Labels {
        codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap())
    }

    #[test]
    fn both_the_confidentiality_and_every_sensitivity_must_be_cleared() {
        let normal = Clearance::up_to(Confidentiality::Normal, Labels::NONE);
        let psychiatry = Clearance::up_to(Confidentiality::Restricted, labels(&["PSY", "PSYTHPN"]));
        let table: [(&[&str], bool, bool); 9] = [
            (&[], true, true),
            (&["U"], true, true),
            (&["N"], true, true),
            (&["R"], false, true),
            (&["V"], false, false),
            (&["R", "PSY"], false, true),
            (&["N", "HIV"], false, false),
            (&["R", "PSY", "HIV"], false, false),
            (&["N", "HTEST", "DELAU"], true, true),
        ];
        for (codes, by_normal, by_psychiatry) in table {
            assert_eq!(normal.covers(labels(codes)), by_normal, "{codes:?}");
            assert_eq!(psychiatry.covers(labels(codes)), by_psychiatry, "{codes:?}");
            assert!(Clearance::FULL.covers(labels(codes)));
        }
        let everything = Clearance::up_to(Confidentiality::VeryRestricted, Labels::sensitivities());
        assert!(everything.is_full() && !normal.is_full());
        assert!(!everything.without_test_data().covers(labels(&["HTEST"])));
        assert!(Clearances::default().client.is_full() && !Clearances::default().clinician.is_full());
    }
}
