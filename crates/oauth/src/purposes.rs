//! For which purposes of use somebody may ask for data, and for which one a request does.
//!
//! The purpose follows from what the user is, or from how a client that acts for itself was registered. A request may state another one, but only one that
//! both the user's roles and the client's registration give leave for (FHIR R4 "Security Labels", "Break the Glass": a header alone is worth nothing).
//! Break-glass is never part of another leave: the user must be entitled to it, and have broken the glass for a patient.

use portcullis_fhir::types::LogicalId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::users::{Role, Roles};

pub use portcullis_fhir::purpose::PurposeOfUse;

/// A purpose of use as it is registered about a client: its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredPurpose(pub PurposeOfUse);

impl Serialize for RegisteredPurpose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

impl<'de> Deserialize<'de> for RegisteredPurpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        PurposeOfUse::parse(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a purpose of use of v3-ActReason"))
    }
}

/// A patient for whom a user broke the glass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenGlass {
    /// The patient.
    pub patient: LogicalId,
    /// The end, in seconds since the epoch.
    pub until: i64,
}

impl BrokenGlass {
    /// One line of text: the patient and the end.
    pub fn parse(line: &str) -> Option<Self> {
        let (patient, until) = line.split_once(' ')?;
        Some(Self { patient: LogicalId::parse(patient)?, until: until.parse().ok()? })
    }

    /// Whether it holds at a time in seconds since the epoch.
    pub fn holds(&self, now: i64) -> bool {
        now < self.until
    }
}

/// What the registry knows of purposes behind a token, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurposeFacts {
    /// The purposes that the client is registered for; none: those of whoever it acts for.
    pub client: Vec<PurposeOfUse>,
    /// Whether the user is entitled to break the glass.
    pub may_break_glass: bool,
    /// For whom the user did; also what is over.
    pub broken_glass: Vec<BrokenGlass>,
}

/// What is left of the purposes that a client is registered for where its assertion named some ([`crate::b2b`]): those, as far as there is leave for them at this
/// moment. Where nothing is left it is break-glass, for which no client has leave.
pub fn narrowed(registered: &[PurposeOfUse], asserted: &[PurposeOfUse]) -> Vec<PurposeOfUse> {
    let own = if registered.is_empty() { &[PurposeOfUse::OPERATIONS] } else { registered };
    let meets = asserted.iter().flat_map(|asserted| own.iter().filter_map(|own| own.meet(*asserted)));
    let left: Vec<PurposeOfUse> = meets.filter(|purpose| *purpose != PurposeOfUse::BREAK_GLASS).collect();
    if left.is_empty() { vec![PurposeOfUse::BREAK_GLASS] } else { left }
}

/// A set of purposes for which there is leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Leave(u64);

impl Leave {
    fn with(self, purpose: PurposeOfUse) -> Self {
        Self(self.0 | 1 << purpose.place())
    }

    fn allows(self, purpose: PurposeOfUse) -> bool {
        PurposeOfUse::all().any(|own| self.0 & (1 << own.place()) != 0 && own.includes(purpose))
    }
}

/// The purpose of one request, with the leave that there is for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purposes {
    of_use: PurposeOfUse,
    leave: Leave,
    /// For whom the glass is broken now.
    broken_glass: Vec<LogicalId>,
    /// Whether it is looked for the patient for whom it is about to be broken.
    seeks_patient: bool,
}

impl Purposes {
    /// Those of a user through a client, at a time in seconds since the epoch.
    pub fn of_user(roles: Roles, facts: PurposeFacts, now: i64) -> Self {
        let mut own = of_roles(roles);
        if facts.may_break_glass && roles.contains(Role::Clinician) {
            own.push(PurposeOfUse::BREAK_GLASS);
        }
        let mut purposes = Self::within(&own, &facts.client);
        if purposes.leave.allows(PurposeOfUse::BREAK_GLASS) {
            purposes.broken_glass =
                facts.broken_glass.into_iter().filter(|glass| glass.holds(now)).map(|glass| glass.patient).collect();
        }
        purposes
    }

    /// Those of a client that acts for itself. One that was registered for none is there for the organisation's operations; breaking the glass takes a person.
    pub fn of_client(registered: &[PurposeOfUse]) -> Self {
        let own: Vec<PurposeOfUse> = registered.iter().copied().filter(|purpose| *purpose != PurposeOfUse::BREAK_GLASS).collect();
        Self::within(if registered.is_empty() { &[PurposeOfUse::OPERATIONS] } else { &own }, &[])
    }

    /// Of somebody on a page of this server, without an app.
    pub fn of_page(roles: Roles) -> Self {
        Self::within(&of_roles(roles), &[])
    }

    /// Of somebody entitled who is about to break the glass, on the page for that: to find out for whom.
    pub fn of_breaking_glass() -> Self {
        let glass = Self::within(&[PurposeOfUse::BREAK_GLASS], &[]);
        Self { seeks_patient: true, ..glass.stating(Some(PurposeOfUse::BREAK_GLASS)) }
    }

    /// What both give leave for. Without any, the purpose is the own one, and there is no leave for it.
    fn within(own: &[PurposeOfUse], client: &[PurposeOfUse]) -> Self {
        let both = || own.iter().flat_map(|own| client.iter().filter_map(|client| own.meet(*client)));
        let allowed: Vec<PurposeOfUse> = if client.is_empty() { own.to_vec() } else { both().collect() };
        let leave = allowed.iter().copied().fold(Leave::default(), Leave::with);
        // Nobody breaks the glass without saying so.
        let usual = allowed.iter().chain(own).copied().find(|purpose| *purpose != PurposeOfUse::BREAK_GLASS);
        Self { of_use: usual.unwrap_or(PurposeOfUse::OPERATIONS), leave, broken_glass: Vec::new(), seeks_patient: false }
    }

    /// The same where the request states its purpose; as they are where it states none.
    #[must_use]
    pub fn stating(self, stated: Option<PurposeOfUse>) -> Self {
        Self { of_use: stated.unwrap_or(self.of_use), ..self }
    }

    /// For which purposes there is leave, without those that others include.
    pub fn leave(&self) -> impl Iterator<Item = PurposeOfUse> {
        let leave = self.leave.0;
        PurposeOfUse::all().filter(move |purpose| leave & (1 << purpose.place()) != 0)
    }

    /// Why data is asked for.
    pub fn of_use(&self) -> PurposeOfUse {
        self.of_use
    }

    /// Whether there is leave to ask for that purpose.
    pub fn is_allowed(&self) -> bool {
        self.leave.allows(self.of_use)
    }

    /// Whether it is looked for the patient for whom the glass is about to be broken: names and birth dates of patients alone.
    pub fn seeks_patient(&self) -> bool {
        self.seeks_patient
    }

    /// The patients for whom the glass is broken, where the request says that it is about that.
    pub fn broken_glass(&self) -> &[LogicalId] {
        if self.of_use == PurposeOfUse::BREAK_GLASS && self.is_allowed() { &self.broken_glass } else { &[] }
    }
}

/// The purposes that follow from what a user is. Who is several things acts first as the one that is furthest from the own record, about which nobody is asked:
/// otherwise what another patient denies to clinicians would not be denied to a clinician who is a patient, too.
fn of_roles(roles: Roles) -> Vec<PurposeOfUse> {
    let furthest = [
        (Role::Clinician, PurposeOfUse::TREATMENT),
        (Role::Representative, PurposeOfUse::FAMILY_REQUEST),
        (Role::Patient, PurposeOfUse::PATIENT_REQUEST),
    ];
    let mut purposes: Vec<PurposeOfUse> =
        furthest.into_iter().filter(|(role, _)| roles.contains(*role)).map(|(_, purpose)| purpose).collect();
    if purposes.is_empty() || roles.iter().any(|role| !role.reads_clinical_data()) {
        purposes.push(PurposeOfUse::OPERATIONS);
    }
    purposes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn purpose(code: &str) -> PurposeOfUse {
        PurposeOfUse::parse(code).unwrap()
    }

    fn glass(patient: &str, until: i64) -> BrokenGlass {
        BrokenGlass { patient: LogicalId::parse(patient).unwrap(), until }
    }

    fn entitled(client: &[&str]) -> PurposeFacts {
        PurposeFacts {
            client: client.iter().map(|code| purpose(code)).collect(),
            may_break_glass: true,
            broken_glass: vec![glass("p1", NOW + 1), glass("p2", NOW)],
        }
    }

    fn clinician(facts: PurposeFacts) -> Purposes {
        Purposes::of_user(Roles::NONE.with(Role::Clinician), facts, NOW)
    }

    fn may(purposes: &Purposes, code: &str) -> bool {
        purposes.clone().stating(Some(purpose(code))).is_allowed()
    }

    #[test]
    fn the_purpose_follows_from_what_the_user_is() {
        for (roles, expected) in [
            (vec![Role::Patient, Role::Clinician], "TREAT"),
            (vec![Role::Patient, Role::Representative], "FAMRQT"),
            (vec![Role::Patient], "PATRQT"),
            (vec![Role::Representative], "FAMRQT"),
            (vec![Role::Clinician, Role::Administrator], "TREAT"),
            (vec![Role::Auditor], "HOPERAT"),
            (vec![], "HOPERAT"),
        ] {
            let purposes = Purposes::of_page(roles.iter().copied().collect());
            assert_eq!((purposes.of_use(), purposes.is_allowed()), (purpose(expected), true), "{roles:?}");
        }
    }

    #[test]
    fn a_request_states_only_what_the_roles_include() {
        let purposes = clinician(PurposeFacts::default());
        for code in ["TREAT", "COC", "ERTREAT"] {
            assert!(may(&purposes, code), "{code}");
        }
        for code in ["HPAYMT", "HOPERAT", "HRESCH", "PATRQT", "BTG", "HMARKT"] {
            assert!(!may(&purposes, code), "{code}");
        }
        assert_eq!(purposes.clone().stating(None), purposes);
    }

    #[test]
    fn a_client_narrows_purposes_and_never_widens_them() {
        let registered = |codes: &[&str]| {
            clinician(PurposeFacts { client: codes.iter().map(|code| purpose(code)).collect(), ..PurposeFacts::default() })
        };
        let coordination = registered(&["COC", "HMARKT"]);
        assert_eq!((coordination.of_use(), coordination.is_allowed()), (purpose("COC"), true));
        assert!(!may(&coordination, "TREAT") && !may(&coordination, "HMARKT"));
        let marketing = registered(&["HMARKT"]);
        assert_eq!((marketing.of_use(), marketing.is_allowed()), (purpose("TREAT"), false), "no purpose suits both");
        assert!(!may(&marketing, "HMARKT"));
    }

    #[test]
    fn breaking_the_glass_takes_the_entitlement_the_role_the_client_and_the_word() {
        let stated = |purposes: Purposes| purposes.stating(Some(PurposeOfUse::BREAK_GLASS));
        let open = |purposes: &Purposes| purposes.broken_glass().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(open(&stated(clinician(entitled(&[])))), ["p1"], "what is over is over");
        assert!(open(&clinician(entitled(&[]))).is_empty(), "not stated");
        let without = PurposeFacts { may_break_glass: false, ..entitled(&[]) };
        assert!(open(&stated(clinician(without.clone()))).is_empty() && !stated(clinician(without)).is_allowed());
        for client in [&["TREAT"][..], &["ETREAT"], &["HPAYMT"]] {
            assert!(!stated(clinician(entitled(client))).is_allowed(), "{client:?}");
        }
        let registered = clinician(entitled(&["TREAT", "BTG"]));
        assert_eq!(registered.of_use(), PurposeOfUse::TREATMENT);
        assert_eq!(open(&stated(registered)), ["p1"]);
        let only = clinician(entitled(&["BTG"]));
        assert_eq!((only.of_use(), only.is_allowed()), (PurposeOfUse::TREATMENT, false), "never without saying so");
        let patient = Purposes::of_user(Roles::NONE.with(Role::Patient), entitled(&[]), NOW);
        assert!(!stated(patient).is_allowed());
    }

    #[test]
    fn a_client_of_its_own_states_what_it_is_registered_for() {
        let unregistered = Purposes::of_client(&[]);
        assert_eq!((unregistered.of_use(), unregistered.is_allowed()), (PurposeOfUse::OPERATIONS, true));
        assert!(!may(&unregistered, "TREAT"));
        let payer = Purposes::of_client(&[PurposeOfUse::PAYMENT, PurposeOfUse::RESEARCH]);
        assert_eq!(payer.of_use(), PurposeOfUse::PAYMENT);
        assert!(may(&payer, "ELIGVER") && may(&payer, "HRESCH") && !may(&payer, "HOPERAT"));
        let breaker = Purposes::of_client(&[PurposeOfUse::BREAK_GLASS]);
        assert!(!breaker.is_allowed() && !may(&breaker, "BTG"));
    }

    #[test]
    fn what_an_assertion_names_narrows_what_a_client_is_registered_for() {
        let left = |registered: &[&str], asserted: &[&str]| {
            let parsed = |codes: &[&str]| codes.iter().map(|code| purpose(code)).collect::<Vec<_>>();
            let purposes = Purposes::of_client(&narrowed(&parsed(registered), &parsed(asserted)));
            (purposes.clone(), purposes.of_use().code(), purposes.is_allowed())
        };
        let (coordinating, code, allowed) = left(&["TREAT", "HPAYMT"], &["COC"]);
        assert!((code, allowed) == ("COC", true) && !may(&coordinating, "TREAT") && !may(&coordinating, "HPAYMT"));
        let (both, code, _) = left(&["TREAT", "HPAYMT"], &["HPAYMT", "TREAT"]);
        assert!(code == "HPAYMT" && may(&both, "TREAT") && may(&both, "ELIGVER"));
        assert!(left(&[], &["HOPERAT"]).2, "who is registered for none is there for operations");
        for (registered, asserted) in [(&["HPAYMT"][..], "TREAT"), (&[], "TREAT"), (&["BTG"], "BTG")] {
            assert!(!left(registered, &[asserted]).2, "{asserted}");
        }
    }

    #[test]
    fn a_line_of_the_registry_is_a_patient_and_an_end() {
        assert_eq!(BrokenGlass::parse("p1 5"), Some(glass("p1", 5)));
        for line in ["", "p1", "p1 x", "p_1 5", "p1 5 6"] {
            assert_eq!(BrokenGlass::parse(line), None, "{line}");
        }
    }
}
