//! The codes that a consent may use: purposes, actions, recipients, directives, and which sensitivities include others.
//!
//! <http://terminology.hl7.org/CodeSystem/v3-ActReason>, <http://terminology.hl7.org/CodeSystem/v3-ActCode>,
//! <http://terminology.hl7.org/CodeSystem/v3-ParticipationType>, <http://terminology.hl7.org/CodeSystem/consentaction>.

use portcullis_fhir::labels::{Labels, SYSTEM_ACT_CODE, SYSTEM_ACT_REASON};

use super::criteria::Match;
use super::document::{Coding, Effect};

/// The system of scopes of a consent.
pub(super) const SYSTEM_SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
/// The scope of the consents that are decided here.
pub(super) const SCOPE_PRIVACY: &str = "patient-privacy";
/// The scopes of R4.
pub(super) const SCOPES: [&str; 4] = [SCOPE_PRIVACY, "treatment", "research", "adr"];
/// The system of actions.
pub(super) const SYSTEM_ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
/// The system of the roles of actors.
pub(super) const SYSTEM_PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
/// The role of whoever receives information.
pub(super) const RECIPIENT: &str = "IRCP";
/// The roles that say that the actor receives information: `IRCP` and what it includes.
pub(super) const RECIPIENTS: [&str; 6] = [RECIPIENT, "NOT", "PRCP", "REFB", "REFT", "TRC"];
/// The system of resource types as classes.
pub(super) const SYSTEM_RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
/// The system of URIs as codes: profiles as classes.
pub(super) const SYSTEM_URI: &str = "urn:ietf:rfc:3986";

/// The purposes of v3-ActReason, each with the place of the one that includes it. At most 64: a set of them is a number.
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

/// The place of `TREAT`.
const TREATMENT: u8 = 0;
/// The place of `BTG`.
const BREAK_GLASS: u8 = 2;

/// Why data is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A purpose of v3-ActReason.
    Known {
        /// Its place in the table.
        place: u8,
        /// Itself and the purposes that include it, as bits by place.
        within: u64,
    },
    /// Somebody's own purpose: nothing is known of it but whether it is the same.
    Other(Box<str>),
}

impl Purpose {
    /// The purpose with this code of v3-ActReason.
    pub fn of_code(code: &str) -> Option<Self> {
        let place = PURPOSES.iter().position(|(known, _)| *known == code)?;
        let place = u8::try_from(place).ok()?;
        let mut within = 0;
        let mut next = Some(place);
        while let Some(place) = next {
            within |= 1 << place;
            next = PURPOSES.get(usize::from(place)).and_then(|(_, parent)| *parent);
        }
        Some(Self::Known { place, within })
    }

    /// The purpose that a Coding says; `None` where it has no system, no code, or a code that v3-ActReason does not have as a purpose.
    pub fn of(system: &str, code: &str) -> Option<Self> {
        if system == SYSTEM_ACT_REASON {
            return Self::of_code(code);
        }
        (!system.is_empty() && !code.is_empty()).then(|| Self::Other(format!("{system}|{code}").into()))
    }

    /// Whether a provision with this purpose is about a request with that purpose. Purposes include others (`TREAT` includes `COC`), but for break-glass: it
    /// lies under `TREAT`, and an ordinary treatment consent does not open it. That is a doubt, which denies where a provision denies treatment.
    pub(super) fn covers(&self, requested: &Self) -> Match {
        match (self, requested) {
            (Self::Known { place, .. }, Self::Known { place: asked, within }) => {
                if within & (1 << place) == 0 {
                    Match::No
                } else if *asked == BREAK_GLASS && *place != BREAK_GLASS {
                    Match::Doubt
                } else {
                    Match::Yes
                }
            }
            (Self::Other(own), Self::Other(asked)) if own == asked => Match::Yes,
            _ => Match::No,
        }
    }

    /// Whether it is treatment, break-glass excepted.
    pub(super) fn is_treatment(&self) -> bool {
        matches!(self, Self::Known { place, within } if within & (1 << TREATMENT) != 0 && *place != BREAK_GLASS)
    }

    /// Whether it is break-glass.
    pub(super) fn is_break_glass(&self) -> bool {
        matches!(self, Self::Known { place: BREAK_GLASS, .. })
    }
}

/// A set of the actions of a consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// No action; in a provision: any.
    pub const NONE: Self = Self(0);
    const CODES: [&str; 5] = ["collect", "access", "use", "disclose", "correct"];

    /// The action with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::CODES.iter().position(|known| *known == code).map(|place| Self(1 << place))
    }

    /// What happens when somebody reads: the data is accessed, used, and disclosed to whoever reads.
    pub const fn of_reading() -> Self {
        Self(0b01110)
    }

    /// What happens when something new is stored: it is collected.
    pub const fn of_creating() -> Self {
        Self(0b00001)
    }

    /// What happens when something stored is changed or deleted: it is corrected.
    pub const fn of_changing() -> Self {
        Self(0b10000)
    }

    /// The actions of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one action is in both.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all actions of the other are in this.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The actions as bits, in the order collect, access, use, disclose, correct.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// What the codings of `policyRule` say of everything: opted in, opted out, or nothing that is known here.
pub(super) fn directives(codings: &[Coding]) -> Vec<Effect> {
    let directive = |coding: &Coding| match (&*coding.system, &*coding.code) {
        (SYSTEM_ACT_CODE, "OPTIN" | "OPTINR") => Some(Effect::Permit),
        (SYSTEM_ACT_CODE, "OPTOUT" | "OPTOUTE") => Some(Effect::Deny),
        _ => None,
    };
    codings.iter().filter_map(directive).collect()
}

/// A label with those that it includes. `ETH` was the code for all substance use before R4 had `SUD`.
pub(super) fn with_included(label: Labels) -> Labels {
    let included: &[(&str, &[&str])] = &[("ETH", &["SUD", "ETHUD", "OPIOIDUD"]), ("SUD", &["ETHUD", "OPIOIDUD"])];
    let is_this = |code: &str| Labels::named(code) == Some(label);
    let codes = included.iter().find(|(code, _)| is_this(code)).map_or(&[][..], |(_, codes)| codes);
    codes.iter().filter_map(|code| Labels::named(code)).fold(label, Labels::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(code: &str) -> Purpose {
        Purpose::of_code(code).unwrap_or_else(|| panic!("{code}"))
    }

    #[test]
    fn every_parent_stands_before_what_it_includes_and_no_code_twice() {
        for (place, (code, parent)) in PURPOSES.iter().enumerate() {
            assert!(parent.is_none_or(|parent| usize::from(parent) < place), "{code}");
            assert_eq!(PURPOSES.iter().filter(|(other, _)| other == code).count(), 1, "{code}");
        }
        assert!(PURPOSES.len() <= 64);
        assert_eq!((PURPOSES[TREATMENT as usize].0, PURPOSES[BREAK_GLASS as usize].0), ("TREAT", "BTG"));
    }

    #[test]
    fn purposes_include_others_and_treatment_does_not_open_break_glass() {
        let table = [
            ("TREAT", "TREAT", Match::Yes),
            ("TREAT", "COC", Match::Yes),
            ("TREAT", "ERTREAT", Match::Yes),
            ("COC", "TREAT", Match::No),
            ("TREAT", "BTG", Match::Doubt),
            ("ETREAT", "BTG", Match::Doubt),
            ("BTG", "BTG", Match::Yes),
            ("BTG", "TREAT", Match::No),
            ("HPAYMT", "ELIGVER", Match::Yes),
            ("HPAYMT", "TREAT", Match::No),
            ("PATRQT", "FAMRQT", Match::Yes),
            ("HOPERAT", "HTEST", Match::Yes),
        ];
        for (own, asked, expected) in table {
            assert_eq!(purpose(own).covers(&purpose(asked)), expected, "{own} {asked}");
        }
        let own = Purpose::of("http://example.org/p", "x").unwrap();
        assert_eq!(own.covers(&own), Match::Yes);
        assert_eq!(own.covers(&purpose("TREAT")), Match::No);
        assert_eq!(Purpose::of(SYSTEM_ACT_REASON, "PurposeOfUse"), None);
        assert_eq!(Purpose::of("", "TREAT"), None);
    }

    #[test]
    fn a_reading_is_access_use_and_disclosure() {
        for (code, expected) in [("access", true), ("use", true), ("disclose", true), ("collect", false), ("correct", false)] {
            assert_eq!(Actions::of_reading().intersects(Actions::of_code(code).unwrap()), expected, "{code}");
        }
        assert!(Actions::of_creating().contains(Actions::of_code("collect").unwrap()));
        assert!(Actions::of_changing().contains(Actions::of_code("correct").unwrap()));
        assert_eq!(Actions::of_code("read"), None);
    }

    #[test]
    fn substance_use_includes_what_is_used() {
        let named = |code: &str| Labels::named(code).unwrap();
        assert!(with_included(named("ETH")).contains(named("ETHUD")));
        assert!(with_included(named("SUD")).contains(named("OPIOIDUD")));
        assert_eq!(with_included(named("ETHUD")), named("ETHUD"));
        assert_eq!(with_included(named("HIV")), named("HIV"));
    }
}
