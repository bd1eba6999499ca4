//! Up to which labels somebody may see records.

use super::{Confidentiality, Labels};

/// The highest confidentiality and the sensitivities that are open to somebody. Both must cover a record: a record with a sensitivity that is not cleared is
/// hidden whatever its confidentiality. What has no confidentiality is open to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clearance {
    /// The labels that hide a record.
    hidden: Labels,
    /// Whether what names somebody is left out of what is shown.
    deidentified: bool,
}

impl Clearance {
    /// Everything, whatever its labels.
    pub const FULL: Self = Self { hidden: Labels::NONE, deidentified: false };

    /// Up to this confidentiality and with these sensitivities, and nothing whose labels nobody understands; other labels do not matter. For the highest confidentiality and
    /// every sensitivity it is everything.
    pub fn up_to(highest: Confidentiality, sensitivities: Labels) -> Self {
        let above = Confidentiality::ALL.iter().filter(|above| **above > highest);
        let above = above.fold(0, |bits, above| bits | 1 << *above as u32);
        let hidden = above | Labels::sensitivities().bits() & !sensitivities.bits();
        let hidden = if hidden == 0 { Labels::NONE } else { Labels(hidden) | Labels::UNKNOWN };
        Self { hidden, ..Self::FULL }
    }

    /// The clearance up to a confidentiality (`N`, `R` or `V`) and with these sensitivities, or `*` for all; what is wrong, and what would be right. What has no label
    /// counts as normal, so that a lower clearance would promise what it does not keep.
    pub fn parse<'a>(highest: &str, sensitivities: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let highest = Confidentiality::parse(highest).filter(|highest| *highest >= Confidentiality::Normal);
        let highest = highest.ok_or("confidentiality must be N, R or V")?;
        let mut cleared = Labels::NONE;
        for code in sensitivities {
            let known = Labels::named(code).filter(|label| Labels::sensitivities().contains(*label));
            let all = || (code == "*").then(Labels::sensitivities);
            cleared = cleared
                | known.or_else(all).ok_or_else(|| {
                    let known: Vec<&str> = Labels::sensitivities().codings().map(|(_, code, _)| code).collect();
                    format!("sensitivities: '{code}' is none of {}, nor '*' for all", known.join(", "))
                })?;
        }
        Ok(Self::up_to(highest, cleared))
    }

    /// The same with records that have labels which nobody understands.
    #[must_use]
    pub fn with_unknown(self) -> Self {
        Self { hidden: Labels(self.hidden.0 & !Labels::UNKNOWN.0), ..self }
    }

    /// The same without records that are marked as test data (`HTEST`).
    #[must_use]
    pub fn without_test_data(self) -> Self {
        Self { hidden: self.hidden | Labels::named("HTEST").unwrap_or_default(), ..self }
    }

    /// Everything but records with this label; with a confidentiality, but records that have it or a higher one. `None` where there is no such label.
    pub fn hiding(code: &str) -> Option<Self> {
        let bits = Confidentiality::parse(code).map(|lowest| 1 << lowest as u32);
        Some(Self { hidden: bits.map_or_else(|| Labels::named(code), |bits| Some(Labels(bits)))?, ..Self::FULL })
    }

    /// What both cover.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { hidden: Labels(self.hidden.0 | other.hidden.0), deidentified: self.deidentified || other.deidentified }
    }

    /// The same for records of which nothing is shown that names somebody.
    #[must_use]
    pub fn deidentified(self) -> Self {
        Self { deidentified: true, ..self }
    }

    /// Whether nothing is shown that names somebody.
    pub fn is_deidentified(self) -> bool {
        self.deidentified
    }

    /// Whether no label hides anything, of no record.
    pub fn is_full(self) -> bool {
        self.hidden.is_empty() && !self.deidentified
    }

    /// Whether who has this one is shown more of a record that both show. Of two of which neither covers the other it is the one that names people, then the one that hides
    /// fewer labels: one of them must count.
    pub fn shows_more_than(self, other: Self) -> bool {
        let hidden = |clearance: Self| (clearance.deidentified, clearance.hidden.bits().count_ones(), clearance.hidden.bits());
        hidden(self) < hidden(other)
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
    /// Patients and those who act for them: everything, as far as the client is cleared for it.
    pub patient: Clearance,
    /// Clinicians, for the patients in their care.
    pub clinician: Clearance,
    /// Clients on their own behalf (`system/` scopes).
    pub client: Clearance,
    /// Clinicians who broke the glass, for the patient for whom they did.
    pub break_glass: Clearance,
}

impl Clearances {
    /// For a principal of whom nobody has said yet what it is cleared for: nothing with a label above the lowest. So one that is forgotten sees too little.
    pub fn least() -> Self {
        let least = Clearance::up_to(Confidentiality::Unrestricted, Labels::NONE);
        Self { patient: least, clinician: least, client: least, break_glass: least }
    }

    /// Each, as far as this one allows it, too.
    #[must_use]
    pub fn and(self, other: Clearance) -> Self {
        let Self { patient, clinician, client, break_glass } = self;
        let [patient, clinician, client, break_glass] = [patient, clinician, client, break_glass].map(|own| own.and(other));
        Self { patient, clinician, client, break_glass }
    }
}

impl Default for Clearances {
    /// Clinicians see what is not restricted and has no sensitivity. Clients see all that they are registered for: each was registered by an operator for
    /// that, and one that lost a part of what it fetches would not notice. Who breaks the glass sees every sensitivity, since any may matter to somebody's life, but
    /// not what is very restricted (`V`).
    fn default() -> Self {
        Self {
            patient: Clearance::FULL,
            clinician: Clearance::up_to(Confidentiality::Normal, Labels::NONE),
            client: Clearance::FULL,
            break_glass: Clearance::up_to(Confidentiality::Restricted, Labels::sensitivities()),
        }
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
