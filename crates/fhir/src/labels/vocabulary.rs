//! The codes that this server understands.
//!
//! <http://terminology.hl7.org/CodeSystem/v3-Confidentiality>, <http://terminology.hl7.org/CodeSystem/v3-ActCode>,
//! <http://terminology.hl7.org/CodeSystem/v3-ActReason>.

/// The system of confidentialities.
pub const SYSTEM_CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// The system of sensitivities, policies, obligations and refrains.
pub const SYSTEM_ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// The system of purposes, and of the mark of test data.
pub const SYSTEM_ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// The system of marks: of integrity, and of what was left out.
pub const SYSTEM_OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// How confidential something is, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidentiality {
    /// `U`
    Unrestricted,
    /// `L`
    Low,
    /// `M`
    Moderate,
    /// `N`
    Normal,
    /// `R`
    Restricted,
    /// `V`
    VeryRestricted,
}

impl Confidentiality {
    /// All, ascending.
    pub const ALL: [Self; 6] =
        [Self::Unrestricted, Self::Low, Self::Moderate, Self::Normal, Self::Restricted, Self::VeryRestricted];

    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unrestricted => "U",
            Self::Low => "L",
            Self::Moderate => "M",
            Self::Normal => "N",
            Self::Restricted => "R",
            Self::VeryRestricted => "V",
        }
    }

    /// What the code system calls it.
    pub fn display(self) -> &'static str {
        match self {
            Self::Unrestricted => "unrestricted",
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::Normal => "normal",
            Self::Restricted => "restricted",
            Self::VeryRestricted => "very restricted",
        }
    }

    /// The confidentiality with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|confidentiality| confidentiality.code() == code)
    }
}

/// The first bit after those of the confidentialities.
pub(super) const FIRST_OTHER: u32 = 6;

/// How many of [`OTHERS`], from the first, are sensitivities.
pub(super) const SENSITIVITIES: u32 = 16;

/// Labels other than confidentialities, each with its bit by its place. The order is stored: new ones go to the end of their kind only while
/// [`super::Labels`] has stored none of what follows.
pub(super) const OTHERS: &[(&str, &str)] = &[
    (SYSTEM_ACT_CODE, "ETH"),
    (SYSTEM_ACT_CODE, "ETHUD"),
    (SYSTEM_ACT_CODE, "OPIOIDUD"),
    (SYSTEM_ACT_CODE, "SUD"),
    (SYSTEM_ACT_CODE, "PSY"),
    (SYSTEM_ACT_CODE, "PSYTHPN"),
    (SYSTEM_ACT_CODE, "HIV"),
    (SYSTEM_ACT_CODE, "SDV"),
    (SYSTEM_ACT_CODE, "SEX"),
    (SYSTEM_ACT_CODE, "STD"),
    (SYSTEM_ACT_CODE, "GDIS"),
    (SYSTEM_ACT_CODE, "SCA"),
    (SYSTEM_ACT_CODE, "BH"),
    (SYSTEM_ACT_CODE, "MH"),
    (SYSTEM_ACT_CODE, "TBOO"),
    (SYSTEM_ACT_CODE, "VIP"),
    (SYSTEM_ACT_CODE, "42CFRPart2"),
    (SYSTEM_ACT_CODE, "HIPAAPsyNotes"),
    (SYSTEM_ACT_CODE, "DELAU"),
    (SYSTEM_ACT_CODE, "NOREUSE"),
    (SYSTEM_ACT_CODE, "NORDSCLCD"),
    (SYSTEM_ACT_REASON, "HTEST"),
    (SYSTEM_ACT_CODE, "PROCESSINLINELABEL"),
];

/// Codes of v3-ActCode that say what must not be done with data, or what is to be done: refrains and obligations. Those that this server has a bit for come first.
const HANDLING: &[&str] = &[
    "DELAU",
    "NOREUSE",
    "NORDSCLCD",
    "NOAUTH",
    "NOCOLLECT",
    "NODSCLCD",
    "NODSCLCDS",
    "NOINTEGRATE",
    "NOLIST",
    "NOMOU",
    "NOORGPOL",
    "NOPAT",
    "NOPERSISTP",
    "NORDSCLCDS",
    "NORDSCLW",
    "NORELINK",
    "NOVIP",
    "ORCON",
    "ANONY",
    "AOD",
    "AUDIT",
    "AUDTR",
    "CPLYCC",
    "CPLYCD",
    "CPLYCUI",
    "CPLYJPP",
    "CPLYJSP",
    "CPLYOPP",
    "CPLYOSP",
    "CPLYPOL",
    "DECLASSIFYLABEL",
    "DEID",
    "DOWNGRDLABEL",
    "DRIVLABEL",
    "ENCRYPT",
    "ENCRYPTR",
    "ENCRYPTT",
    "ENCRYPTU",
    "HUAPRV",
    "LABEL",
    "MASK",
    "MINEC",
    "PERSISTLABEL",
    "PRIVMARK",
    "CUIMark",
    "PSEUD",
    "REDACT",
    "UPGRDLABEL",
];

/// Codes of v3-ActCode that say under which policy or consent data stands. As with refrains and obligations they say nothing about how sensitive it is: they are passed
/// on as they came, and what a receiver does not know of them hides nothing.
const POLICIES: &[&str] = &[
    "OPTIN",
    "OPTINR",
    "OPTOUT",
    "OPTOUTE",
    "HIPAANOPP",
    "HIPAAAuth",
    "HIPAAConsentCD",
    "HIPAAROA",
    "Title38Section7332",
    "Title38Part1",
    "JurisIP",
    "JurisCUI",
    "JurisDEID",
    "JurisLDS",
    "JurisNCL",
    "JurisNDAUTH",
    "OrgIP",
    "OrgCUI",
    "OrgDEID",
    "OrgLDS",
];

/// Whether a code of v3-ActCode names a policy or a law: those of consents do not.
pub(super) fn is_policy(code: &str) -> bool {
    matches!(code, "42CFRPart2" | "HIPAAPsyNotes") || !code.starts_with("OPT") && POLICIES.contains(&code)
}

/// The refrain or obligation with this code of v3-ActCode.
pub(super) fn handling(code: &str) -> Option<&'static str> {
    HANDLING.iter().copied().find(|known| *known == code)
}

/// Whether a label is understood as far as it hides nothing: marks, purposes and handling codes of the HL7 systems.
pub(super) fn is_handling(system: &str, code: &str) -> bool {
    match system {
        SYSTEM_ACT_REASON | SYSTEM_OBSERVATION_VALUE => true,
        SYSTEM_ACT_CODE => HANDLING.contains(&code) || POLICIES.contains(&code),
        _ => false,
    }
}
