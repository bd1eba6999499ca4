//! The codes that a consent may use: purposes, actions, recipients, directives, and which sensitivities include others.
//!
//! <http://terminology.hl7.org/CodeSystem/v3-ActReason>, <http://terminology.hl7.org/CodeSystem/v3-ActCode>,
//! <http://terminology.hl7.org/CodeSystem/v3-ParticipationType>, <http://terminology.hl7.org/CodeSystem/consentaction>.

use portcullis_fhir::labels::{Labels, SYSTEM_ACT_CODE, SYSTEM_ACT_REASON};
use portcullis_fhir::purpose::PurposeOfUse;

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

/// The names under which v3-ActReason is written: its own, that of the page on security labels of R4 (of a system that there is not), that of DSTU2 and its OID.
const ACT_REASON: [&str; 4] = [
    SYSTEM_ACT_REASON,
    "http://terminology.hl7.org/CodeSystem/v3-PurposeOfUse",
    "http://hl7.org/fhir/v3/ActReason",
    "urn:oid:2.16.840.1.113883.5.8",
];

/// The place of `TREAT`.
const TREATMENT: u8 = PurposeOfUse::TREATMENT.place();
/// The place of `BTG`.
const BREAK_GLASS: u8 = PurposeOfUse::BREAK_GLASS.place();

/// Why data is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A purpose of v3-ActReason.
    Known {
        /// Its place ([`PurposeOfUse::place`]).
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
        PurposeOfUse::parse(code).map(Self::from)
    }

    /// The purpose that a Coding says; `None` where it has no system, no code, or a code that v3-ActReason does not have as a purpose.
    pub fn of(system: &str, code: &str) -> Option<Self> {
        if ACT_REASON.contains(&system) {
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

    /// As a text that is the same for the same purpose: a code of v3-ActReason, or `system|code`.
    pub fn key(&self) -> Box<str> {
        match self {
            Self::Known { place, .. } => Self::known(*place).map_or("", PurposeOfUse::code).into(),
            Self::Other(own) => own.clone(),
        }
    }

    /// The keys of the purposes that cover this one, and of those of which that is in doubt.
    pub fn covering(&self) -> (Vec<Box<str>>, Vec<Box<str>>) {
        let all: Vec<Self> = match self {
            Self::Known { within, .. } => {
                let places = (0..64).filter(|place| within & (1 << place) != 0);
                places.filter_map(Self::known).map(Self::from).collect()
            }
            Self::Other(_) => vec![self.clone()],
        };
        let those = |wanted| all.iter().filter(|other| other.covers(self) == wanted).map(Self::key).collect();
        (those(Match::Yes), those(Match::Doubt))
    }

    fn known(place: u8) -> Option<PurposeOfUse> {
        PurposeOfUse::all().find(|purpose| purpose.place() == place)
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

impl From<PurposeOfUse> for Purpose {
    fn from(purpose: PurposeOfUse) -> Self {
        Self::Known { place: purpose.place(), within: purpose.within() }
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
