//! Why data is asked for: the purposes of use of v3-ActReason, and which of them includes which.
//!
//! <http://terminology.hl7.org/CodeSystem/v3-ActReason>, value set PurposeOfUse. This is the only list of them: principals, consents, audit records and the
//! request header use it. Break-glass (`BTG`) lies under treatment there and is included by nothing here: whoever may treat may not break the glass for that.

use std::fmt;

/// The code system.
pub const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// Its object identifier, as UDAP writes it.
pub const OBJECT_IDENTIFIER: &str = "urn:oid:2.16.840.1.113883.5.8";

/// Each purpose with the place of the one that includes it. At most 64: a set of them is a number.
const PURPOSES: &[(&str, Option<u8>)] = &[
    ("TREAT", None),
    ("ETREAT", Some(0)),
    ("BTG", Some(1)),
    ("ERTREAT", Some(1)),
    ("CLINTRL", Some(0)),
    ("COC", Some(0)),
    ("POPHLTH", Some(0)),
    ("HPAYMT", None),
    ("CLMATTCH", Some(7)),
    ("COVAUTH", Some(7)),
    ("COVERAGE", Some(7)),
    ("ELIGDTRM", Some(10)),
    ("ELIGVER", Some(10)),
    ("ENROLLM", Some(10)),
    ("MILDCRG", Some(10)),
    ("REMITADV", Some(7)),
    ("HOPERAT", None),
    ("CAREMGT", Some(16)),
    ("DONAT", Some(16)),
    ("FRAUD", Some(16)),
    ("GOV", Some(16)),
    ("HACCRED", Some(16)),
    ("HCOMPL", Some(16)),
    ("HDECD", Some(16)),
    ("HDIRECT", Some(16)),
    ("HDM", Some(16)),
    ("HLEGAL", Some(16)),
    ("HOUTCOMS", Some(16)),
    ("HPRGRP", Some(16)),
    ("HQUALIMP", Some(16)),
    ("HSYSADMIN", Some(16)),
    ("LABELING", Some(30)),
    ("METAMGT", Some(30)),
    ("MEMADMIN", Some(16)),
    ("MILCDM", Some(16)),
    ("PATADMIN", Some(16)),
    ("PATSFTY", Some(16)),
    ("PERFMSR", Some(16)),
    ("RECORDMGT", Some(16)),
    ("SYSDEV", Some(16)),
    ("HTEST", Some(39)),
    ("TRAIN", Some(16)),
    ("HRESCH", None),
    ("BIORCH", Some(42)),
    ("CLINTRCH", Some(42)),
    ("CLINTRCHNPC", Some(44)),
    ("CLINTRCHPC", Some(44)),
    ("PRECLINTRCH", Some(44)),
    ("DSRCH", Some(42)),
    ("POARCH", Some(42)),
    ("TRANSRCH", Some(42)),
    ("HMARKT", None),
    ("PATRQT", None),
    ("FAMRQT", Some(52)),
    ("PWATRNY", Some(52)),
    ("SUPNWK", Some(52)),
    ("PUBHLTH", None),
    ("DISASTER", Some(56)),
    ("THREAT", Some(56)),
];

/// A purpose of use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurposeOfUse(u8);

impl PurposeOfUse {
    /// `TREAT`: treatment.
    pub const TREATMENT: Self = Self(0);
    /// `BTG`: break-glass.
    pub const BREAK_GLASS: Self = Self(2);
    /// `HPAYMT`: payment.
    pub const PAYMENT: Self = Self(7);
    /// `HOPERAT`: operations.
    pub const OPERATIONS: Self = Self(16);
    /// `HRESCH`: research.
    pub const RESEARCH: Self = Self(42);
    /// `PATRQT`: the patient asked.
    pub const PATIENT_REQUEST: Self = Self(52);
    /// `FAMRQT`: the family asked.
    pub const FAMILY_REQUEST: Self = Self(53);

    /// All purposes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self).take(PURPOSES.len())
    }

    /// The code in v3-ActReason.
    pub fn code(self) -> &'static str {
        PURPOSES.get(usize::from(self.0)).map_or("", |(code, _)| code)
    }

    /// The purpose with this code.
    pub fn parse(code: &str) -> Option<Self> {
        let place = PURPOSES.iter().position(|(known, _)| *known == code)?;
        u8::try_from(place).ok().map(Self)
    }

    /// The purpose of this URI: the code system or its object identifier, `#` and the code.
    pub fn of_uri(uri: &str) -> Option<Self> {
        let (system, code) = uri.split_once('#')?;
        [SYSTEM, OBJECT_IDENTIFIER].contains(&system).then(|| Self::parse(code)).flatten()
    }

    /// Its place in the code system's order here: below 64, so that it is a bit of a set.
    pub const fn place(self) -> u8 {
        self.0
    }

    /// Itself and the purposes that include it in v3-ActReason, as bits by place.
    pub fn within(self) -> u64 {
        let mut within = 0;
        let mut next = Some(self.0);
        while let Some(place) = next {
            within |= 1 << place;
            next = PURPOSES.get(usize::from(place)).and_then(|(_, parent)| *parent);
        }
        within
    }

    /// Whether leave to use data for this purpose is leave to use it for the other one. Break-glass is included by itself alone.
    pub fn includes(self, other: Self) -> bool {
        self == other || (other != Self::BREAK_GLASS && other.within() & (1 << self.0) != 0)
    }

    /// What both of these are leave for at most: the narrower one, where one includes the other.
    pub fn meet(self, other: Self) -> Option<Self> {
        if self.includes(other) { Some(other) } else { other.includes(self).then_some(self) }
    }
}

impl fmt::Display for PurposeOfUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl fmt::Debug for PurposeOfUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(code: &str) -> PurposeOfUse {
        PurposeOfUse::parse(code).unwrap_or_else(|| panic!("{code}"))
    }

    #[test]
    fn every_parent_stands_before_what_it_includes_and_no_code_twice() {
        for (place, (code, parent)) in PURPOSES.iter().enumerate() {
            assert!(parent.is_none_or(|parent| usize::from(parent) < place), "{code}");
            assert_eq!(PURPOSES.iter().filter(|(other, _)| other == code).count(), 1, "{code}");
        }
        assert!(PURPOSES.len() <= 64);
        assert_eq!(PurposeOfUse::all().count(), PURPOSES.len());
    }

    #[test]
    fn the_named_purposes_are_those_codes() {
        for (named, code) in [
            (PurposeOfUse::TREATMENT, "TREAT"),
            (PurposeOfUse::BREAK_GLASS, "BTG"),
            (PurposeOfUse::PAYMENT, "HPAYMT"),
            (PurposeOfUse::OPERATIONS, "HOPERAT"),
            (PurposeOfUse::RESEARCH, "HRESCH"),
            (PurposeOfUse::PATIENT_REQUEST, "PATRQT"),
            (PurposeOfUse::FAMILY_REQUEST, "FAMRQT"),
        ] {
            assert_eq!((named.code(), purpose(code)), (code, named));
        }
    }

    #[test]
    fn only_codes_of_the_value_set_in_their_own_case_are_purposes() {
        for code in ["", "treat", "TREAT ", "PurposeOfUse", "ABUSE", "BTG#"] {
            assert_eq!(PurposeOfUse::parse(code), None, "{code}");
        }
        assert_eq!(PurposeOfUse::of_uri("urn:oid:2.16.840.1.113883.5.8#BTG"), Some(PurposeOfUse::BREAK_GLASS));
        assert_eq!(PurposeOfUse::of_uri(&format!("{SYSTEM}#HPAYMT")), Some(PurposeOfUse::PAYMENT));
        for uri in
            ["BTG", "#BTG", "http://terminology.hl7.org/CodeSystem/v3-PurposeOfUse#BTG", "urn:oid:2.16.840.1.113883.5.8#btg"]
        {
            assert_eq!(PurposeOfUse::of_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn treatment_includes_its_kinds_but_no_break_glass() {
        for (own, asked, included) in [
            ("TREAT", "TREAT", true),
            ("TREAT", "COC", true),
            ("TREAT", "ERTREAT", true),
            ("TREAT", "BTG", false),
            ("ETREAT", "BTG", false),
            ("BTG", "BTG", true),
            ("BTG", "TREAT", false),
            ("COC", "TREAT", false),
            ("PATRQT", "FAMRQT", true),
            ("HPAYMT", "TREAT", false),
        ] {
            assert_eq!(purpose(own).includes(purpose(asked)), included, "{own} {asked}");
        }
        assert_eq!(purpose("TREAT").meet(purpose("COC")), Some(purpose("COC")));
        assert_eq!(purpose("COC").meet(purpose("TREAT")), Some(purpose("COC")));
        assert_eq!(purpose("TREAT").meet(purpose("HPAYMT")), None);
        assert_eq!(purpose("TREAT").meet(purpose("BTG")), None);
    }
}
