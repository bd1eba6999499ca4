//! Security labels: what a resource says, or this server says of it, about who should see it.
//!
//! <https://hl7.org/fhir/R4/security-labels.html>, HL7 FHIR DS4P (<http://hl7.org/fhir/uv/security-label-ds4p>). Labels that this server understands are kept as
//! a small set beside the body ([`Labels`]) and are put into `meta.security` of what leaves ([`body::splice`]). A resource has at most one confidentiality, the
//! highest that anybody gave; so a set is only ever joined to another. Labels of elements are [`crate::redaction::inline`].

mod basis;
pub mod body;
pub mod carried;
mod classifier;
pub mod clearance;
mod high_water;
mod policy;
mod rules;
mod vocabulary;

use std::ops::BitOr;

use crate::definitions::search_parameter;
use crate::index::{IndexEntry, IndexValue, normalise};
use crate::types::ResourceType;

pub use classifier::{Classifier, LABEL_CLASSIFIER};
pub use clearance::{Clearance, Clearances};
pub use high_water::HighWater;
pub use policy::LabelPolicy;
pub use rules::{Rules, RulesError};
pub use vocabulary::{Confidentiality, SYSTEM_ACT_CODE, SYSTEM_ACT_REASON, SYSTEM_CONFIDENTIALITY, SYSTEM_OBSERVATION_VALUE};
use vocabulary::{FIRST_OTHER, OTHERS, SENSITIVITIES};

/// A set of labels: one confidentiality at most, sensitivities, and marks. A confidentiality is kept with all those below it, so that a set that joins
/// two has the higher one, and so that one comparison of bits tells whether a set is above a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(u32);

impl Labels {
    /// No label.
    pub const NONE: Self = Self(0);
    /// The mark of a resource with labels on elements (`PROCESSINLINELABEL`).
    pub const INLINE: Self = Self(1 << (FIRST_OTHER + OTHERS.len() as u32 - 1));
    /// That the resource has a label which nobody here understands. It has no code: the label itself stays in the body.
    pub const UNKNOWN: Self = Self(1 << (Self::WIDTH - 1));
    /// How many bits a set has.
    const WIDTH: u32 = 30;

    /// The set of this confidentiality.
    pub const fn confidential(confidentiality: Confidentiality) -> Self {
        Self((1 << (confidentiality as u32 + 1)) - 1)
    }

    /// The label with this code, where it is one of ours. Codes of v3-ActReason are known under v3-ActCode, too: the page of R4 calls HTEST an ActCode.
    pub fn of(system: &str, code: &str) -> Option<Self> {
        if system == SYSTEM_CONFIDENTIALITY {
            return Confidentiality::parse(code).map(Self::confidential);
        }
        let named = Self::named(code).filter(|labels| labels.confidentiality().is_none())?;
        (system == SYSTEM_ACT_CODE || system == SYSTEM_ACT_REASON && named == Self::named("HTEST")?).then_some(named)
    }

    /// The label with this code, whatever its system: no code is in two.
    pub fn named(code: &str) -> Option<Self> {
        if let Some(confidentiality) = Confidentiality::parse(code) {
            return Some(Self::confidential(confidentiality));
        }
        (FIRST_OTHER..).zip(OTHERS).find(|(_, (_, known))| *known == code).map(|(bit, _)| Self(1 << bit))
    }

    /// Every sensitivity.
    pub fn sensitivities() -> Self {
        Self(((1 << SENSITIVITIES) - 1) << FIRST_OTHER)
    }

    /// Whether all of them are confidentialities and sensitivities: what a clearance is about.
    pub fn decides_visibility(self) -> bool {
        Self::confidential(Confidentiality::VeryRestricted).and(Self::sensitivities()).contains(self)
    }

    /// The labels that no update takes away: all but the mark of labels on elements, which is there as long as they are.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self(self.0 & !Self::INLINE.0)
    }

    /// The confidentiality, where there is one.
    pub fn confidentiality(self) -> Option<Confidentiality> {
        Confidentiality::ALL.into_iter().rev().find(|confidentiality| self.0 & (1 << *confidentiality as u32) != 0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has a label of the other.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set has all labels of the other: the same or a higher confidentiality, and all else.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The labels of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The labels that both sets have: the lower confidentiality, and what else is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The labels that the other set has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        let confidentiality = self.confidentiality().filter(|own| other.confidentiality().is_none_or(|other| *own > other));
        let others = self.0 & !other.0 & !((1 << FIRST_OTHER) - 1);
        Self(others).and(confidentiality.map_or(Self::NONE, Self::confidential))
    }

    /// The set as bits: bit 0 to 5 say that the confidentiality is at least U, L, M, N, R, V.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set with these bits; `None` where one has no meaning.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits >> Self::WIDTH == 0).then_some(Self(bits))
    }

    /// System, code and display of each label, the confidentiality first.
    pub fn codings(self) -> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
        let confidentiality = self.confidentiality().map(|own| (SYSTEM_CONFIDENTIALITY, own.code(), Some(own.display())));
        let others = (FIRST_OTHER..).zip(OTHERS).filter(move |(bit, _)| self.0 & (1 << bit) != 0);
        confidentiality.into_iter().chain(others.map(|(_, (system, code))| (*system, *code, None)))
    }

    /// What search finds a resource with these labels by (`_security`).
    pub fn entries(self, resource_type: ResourceType) -> Vec<IndexEntry> {
        let Some(parameter) = search_parameter(resource_type, SECURITY) else { return Vec::new() };
        let entry = |(system, code, display): (&str, &str, Option<&str>)| {
            let text = display.map(normalise).unwrap_or_default().into();
            IndexEntry { parameter, value: IndexValue::Token { system: system.into(), code: code.into(), text } }
        };
        self.codings().map(entry).collect()
    }
}

/// The search parameter for labels.
pub const SECURITY: &str = "_security";

impl BitOr for Labels {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// What a store keeps about the labels of one version, beside its body and authenticated with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// All labels that hold: what the content means, what was claimed for this version, what its references hint at, and what the version before had.
    pub labels: Labels,
    /// Of these the labels that whoever wrote this version or one before gave it, while it had them not yet: no rule assigns them anew.
    pub claimed: Labels,
    /// Whether the body has labels of its own in `meta.security`, which this server does not understand or does not want to change.
    pub residual: bool,
    /// Whether one of these is an obligation to leave out what names somebody: then that is not indexed, and times are only by their year.
    pub obliged: bool,
}

impl Security {
    /// Nothing to say: what a store had before there were labels.
    pub const NONE: Self = Self { labels: Labels::NONE, claimed: Labels::NONE, residual: false, obliged: false };
    /// The bits of a column of which one says that the index does not tell everything: an element has a label of its own, or there is an obligation.
    pub const NOT_TOLD: i64 = (1 << Self::OBLIGED) | Labels::INLINE.0 as i64;
    /// The bit of a column that says that the index tells times by their year.
    pub const COARSE: i64 = 1 << Self::OBLIGED;
    const RESIDUAL: i64 = 1 << Labels::WIDTH;
    const CLAIMED: u32 = Labels::WIDTH + 1;
    const OBLIGED: u32 = Self::CLAIMED + Labels::WIDTH;

    /// The labels that nobody gave it who wrote it: this server assigned them.
    #[must_use]
    pub fn assigned(self) -> Labels {
        self.labels.without(self.claimed)
    }

    /// As one integer, never negative. Its low bits are those of the labels, so that a statement can compare them with a mask.
    pub fn column(self) -> i64 {
        let residual = if self.residual { Self::RESIDUAL } else { 0 };
        let obliged = i64::from(self.obliged) << Self::OBLIGED;
        i64::from(self.labels.bits()) | residual | i64::from(self.claimed.bits()) << Self::CLAIMED | obliged
    }

    /// Whether its column has one of these bits.
    pub fn has(self, bits: i64) -> bool {
        self.column() & bits != 0
    }

    /// What an integer says; `None` where it says nothing.
    pub fn of_column(column: i64) -> Option<Self> {
        let obliged = match column >> Self::OBLIGED {
            0 => false,
            1 => true,
            _ => return None,
        };
        let claimed = u32::try_from((column >> Self::CLAIMED) & ((1 << Labels::WIDTH) - 1)).ok()?;
        let low = u32::try_from(column & (Self::RESIDUAL - 1)).ok()?;
        Some(Self {
            labels: Labels::from_bits(low)?,
            claimed: Labels::from_bits(claimed)?,
            residual: column & Self::RESIDUAL != 0,
            obliged,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_labels() -> impl Strategy<Value = Labels> {
        (0..=6_u32, 0..1_u32 << OTHERS.len()).prop_map(|(level, others)| Labels(((1 << level) - 1) | (others << FIRST_OTHER)))
    }

    proptest! {
        /// Whatever is joined to a set, its confidentiality and its other labels never fall.
        #[test]
        fn labels_never_fall_when_sets_are_joined(one in any_labels(), other in any_labels()) {
            let joined = one | other;
            prop_assert!(joined.contains(one) && joined.contains(other));
            prop_assert_eq!(joined.confidentiality(), one.confidentiality().max(other.confidentiality()));
            prop_assert!(joined.codings().filter(|(system, ..)| *system == SYSTEM_CONFIDENTIALITY).count() <= 1);
            prop_assert_eq!(one.without(other) | other, joined);
        }

        #[test]
        fn a_column_says_what_was_written(labels in any_labels(), claimed in any_labels(), residual: bool, obliged: bool) {
            let security = Security { labels, claimed, residual, obliged };
            prop_assert_eq!(Security::of_column(security.column()), Some(security));
            prop_assert_eq!(security.column() & i64::from(u32::MAX >> 2), i64::from(labels.bits()));
        }
    }

    #[test]
    fn every_label_reads_back_by_system_and_code_and_no_code_is_there_twice() {
        // Rules can name no label but these.
        portcullis_verifies::verifies!("LABEL-04");
        let all = Labels((1 << Labels::WIDTH) - 1);
        let mut codes = Vec::new();
        for (system, code, _) in all.codings() {
            let label = Labels::of(system, code).unwrap();
            assert_eq!(label.codings().map(|(system, code, _)| (system, code)).collect::<Vec<_>>(), [(system, code)]);
            assert!(!codes.contains(&code), "{code}");
            assert!(system.starts_with("http://terminology.hl7.org/CodeSystem/v3-"), "{system}");
            codes.push(code);
        }
        for confidentiality in Confidentiality::ALL {
            assert_eq!(Labels::confidential(confidentiality).confidentiality(), Some(confidentiality));
        }
        assert_eq!(Labels::of(SYSTEM_ACT_CODE, "R"), None, "a code of another system");
        assert_eq!(Labels::of(SYSTEM_CONFIDENTIALITY, "HIV"), None);
        assert_eq!(Labels::of("", "R"), None);
        assert_eq!(Labels::NONE.confidentiality(), None);
    }

    #[test]
    fn a_column_with_bits_without_meaning_says_nothing() {
        for column in [-1, i64::MIN, 1 << 62, 3 << 61] {
            assert_eq!(Security::of_column(column), None, "{column}");
        }
    }
}
