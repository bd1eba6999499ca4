//! The capabilities of SMART App Launch 2.2.0 ("Capability Sets"), and which of them an operator has switched off or on.
//!
//! One that is switched off stands in no metadata and is refused in use: [`crate::metadata`] asks here, and so does everything that reads a request.
//! What was issued before lives on for as long as an access token does, and is not refreshed with it; what was in context by way of it is so no more
//! ([`Capabilities::standing`]).

use crate::clients::{Client, ClientKind};
use crate::grant::Grant;
use crate::launch::{ByChoice, ContextParameters};
use crate::metadata;
use crate::scopes::{Scope, ScopeContext, ScopeKind, ScopeSet, ScopeSyntax};

macro_rules! capabilities {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// A capability that is built. `tests/it/oauth/capabilities.rs` proves each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Capability {
            $(#[doc = $meaning] $variant,)*
        }

        impl Capability {
            /// All of them, in the order in which they are published.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name in metadata.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What whoever uses it is told where it is off.
            pub fn refusal(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($name, " is switched off at this server"),)*
                }
            }
        }
    };
}

capabilities! {
    LaunchEhr "launch-ehr" "Apps are opened from an EHR.",
    LaunchStandalone "launch-standalone" "Apps are opened by themselves.",
    AuthorizePost "authorize-post" "The authorization request may be a POST.",
    ClientPublic "client-public" "Clients without credentials.",
    ClientConfidentialSymmetric "client-confidential-symmetric" "Clients with a shared secret.",
    ClientConfidentialAsymmetric "client-confidential-asymmetric" "Clients that sign with a key.",
    SsoOpenIdConnect "sso-openid-connect" "The id_token.",
    ContextBanner "context-banner" "`need_patient_banner`.",
    ContextStyle "context-style" "`smart_style_url`.",
    ContextEhrPatient "context-ehr-patient" "A patient by the launch from an EHR.",
    ContextEhrEncounter "context-ehr-encounter" "An encounter by the launch from an EHR.",
    ContextStandalonePatient "context-standalone-patient" "A patient by choice.",
    ContextStandaloneEncounter "context-standalone-encounter" "An encounter by choice.",
    PermissionOffline "permission-offline" "Refresh tokens that outlive the session.",
    PermissionOnline "permission-online" "Refresh tokens that end with the session.",
    PermissionPatient "permission-patient" "`patient/` scopes.",
    PermissionUser "permission-user" "`user/` scopes.",
    PermissionV1 "permission-v1" "Scopes such as `patient/*.read`.",
    PermissionV2 "permission-v2" "Scopes such as `patient/*.rs`.",
    SmartAppState "smart-app-state" "Apps keep small configurations here. Experimental, and off unless it is switched on.",
}

impl Capability {
    /// The capability of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == name)
    }

    /// What a client's way of authentication belongs to. Certificates (RFC 8705) are no matter of SMART.
    pub fn of_client(client: &Client) -> Option<Self> {
        match client.kind {
            ClientKind::Public => Some(Self::ClientPublic),
            ClientKind::ConfidentialSymmetric { .. } => Some(Self::ClientConfidentialSymmetric),
            ClientKind::ConfidentialAsymmetric { .. } if client.authenticates_by_certificate() => None,
            ClientKind::ConfidentialAsymmetric { .. } => Some(Self::ClientConfidentialAsymmetric),
        }
    }

    /// Whether it is off until an operator switches it on.
    pub fn is_optional(self) -> bool {
        self == Self::SmartAppState
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// How an app is opened, which decides where its context comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchSequence {
    /// From an EHR, with a handle.
    Ehr,
    /// By itself.
    Standalone,
}

/// Which capabilities are on; by default all that are not optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A bit for each that is switched off.
    off: u32,
    /// A bit for each that is switched on: without it one that is optional is off.
    on: u32,
}

impl Capabilities {
    /// All that are on by default but these.
    pub fn without(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self { off: capabilities.into_iter().fold(0, |off, capability| off | capability.bit()), on: 0 }
    }

    /// The same and these, unless they are switched off.
    #[must_use]
    pub fn and(self, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self { on: capabilities.into_iter().fold(self.on, |on, capability| on | capability.bit()), ..self }
    }

    /// Whether one is on.
    pub fn has(self, capability: Capability) -> bool {
        self.off & capability.bit() == 0 && (!capability.is_optional() || self.on & capability.bit() != 0)
    }

    /// Those that are on.
    pub fn on(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.has(*capability))
    }

    /// Those that are on though they are optional.
    pub fn switched_on(self) -> impl Iterator<Item = Capability> {
        self.on().filter(|capability| capability.is_optional())
    }

    /// Those that are off.
    pub fn off(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| !self.has(*capability))
    }

    /// Refuses the use of one that is off, with what to say.
    pub fn check(self, capability: Capability) -> Result<(), &'static str> {
        if self.has(capability) { Ok(()) } else { Err(capability.refusal()) }
    }

    /// Refuses a client whose way of authentication is off.
    pub fn check_client(self, client: &Client) -> Result<(), &'static str> {
        Capability::of_client(client).map_or(Ok(()), |capability| self.check(capability))
    }

    /// Whether a scope may be issued, now or again. Where its context comes from is asked when it is granted: [`Self::admits_when`].
    pub fn admits(self, scope: &Scope) -> bool {
        let of_syntax = match scope.syntax() {
            None => true,
            Some(ScopeSyntax::V1) => self.has(Capability::PermissionV1),
            Some(ScopeSyntax::V2) => self.has(Capability::PermissionV2),
        };
        of_syntax
            && match scope.kind() {
                ScopeKind::OpenId | ScopeKind::FhirUser | ScopeKind::Profile => self.has(Capability::SsoOpenIdConnect),
                ScopeKind::OfflineAccess => self.has(Capability::PermissionOffline),
                ScopeKind::OnlineAccess => self.has(Capability::PermissionOnline),
                ScopeKind::Launch => self.has(Capability::LaunchEhr),
                ScopeKind::LaunchPatient | ScopeKind::LaunchEncounter => true,
                ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => match resource.context {
                    ScopeContext::Patient => self.has(Capability::PermissionPatient),
                    ScopeContext::User => self.has(Capability::PermissionUser),
                    ScopeContext::System => true,
                },
            }
    }

    /// Whether a scope may be granted to an app that is opened in this way: what needs a patient or an encounter needs a way to get it.
    pub fn admits_when(self, scope: &Scope, sequence: LaunchSequence) -> bool {
        let from = |ehr, choice| self.has(choice) || (sequence == LaunchSequence::Ehr && self.has(ehr));
        let patient = || from(Capability::ContextEhrPatient, Capability::ContextStandalonePatient);
        let encounter = || from(Capability::ContextEhrEncounter, Capability::ContextStandaloneEncounter);
        self.admits(scope) && (!scope.needs_patient() || patient()) && (scope.kind() != ScopeKind::LaunchEncounter || encounter())
    }

    /// Whether metadata may name a scope: somebody can be granted it.
    pub fn publishes(self, scope: &Scope) -> bool {
        let ways = [(Capability::LaunchEhr, LaunchSequence::Ehr), (Capability::LaunchStandalone, LaunchSequence::Standalone)];
        let to_apps = || ways.into_iter().any(|(way, sequence)| self.has(way) && self.admits_when(scope, sequence));
        (metadata::offers(scope) && to_apps()) || (metadata::offers_to_clients(scope) && self.admits(scope))
    }

    /// Whether people connect apps at all.
    pub fn opens_apps(self) -> bool {
        self.has(Capability::LaunchEhr) || self.has(Capability::LaunchStandalone)
    }

    /// Whether any refresh token is issued.
    pub fn refreshes(self) -> bool {
        self.opens_apps() && (self.has(Capability::PermissionOffline) || self.has(Capability::PermissionOnline))
    }

    /// Whether a patient in the context of a grant of these scopes may stay there. Where no `launch` was granted, no EHR can have named anybody.
    pub fn keeps_patient(self, granted: &ScopeSet, by_choice: ByChoice) -> bool {
        let chosen = by_choice.patient || !granted.has(ScopeKind::Launch);
        self.has(if chosen { Capability::ContextStandalonePatient } else { Capability::ContextEhrPatient })
    }

    /// The same for an encounter.
    pub fn keeps_encounter(self, granted: &ScopeSet, by_choice: ByChoice) -> bool {
        let chosen = by_choice.encounter || !granted.has(ScopeKind::Launch);
        self.has(if chosen { Capability::ContextStandaloneEncounter } else { Capability::ContextEhrEncounter })
    }

    /// Whether a token that was issued for these scopes may still have a patient in context, however that patient came there.
    pub fn keeps_any_patient(self, granted: &ScopeSet) -> bool {
        [false, true].into_iter().any(|patient| self.keeps_patient(granted, ByChoice { patient, encounter: false }))
    }

    /// A grant as it stands: without what was in context by way of a capability that is off, and without the scopes that are about it.
    pub fn standing(self, mut grant: Grant) -> Grant {
        let (by_choice, granted) = (grant.context.by_choice, grant.scopes.clone());
        let patient = self.keeps_patient(&granted, by_choice);
        let encounter = patient && self.keeps_encounter(&granted, by_choice);
        grant.patient = grant.patient.filter(|_| patient);
        grant.context.encounter = grant.context.encounter.filter(|_| encounter);
        grant.context = self.context(grant.context);
        let stays = |scope: &Scope| match scope.kind() {
            ScopeKind::LaunchEncounter => encounter,
            _ => patient || !scope.needs_patient(),
        };
        grant.scopes = granted.retaining(stays);
        grant
    }

    /// The context parameters without what is off, but for the encounter.
    pub fn context(self, parameters: ContextParameters) -> ContextParameters {
        ContextParameters {
            need_patient_banner: parameters.need_patient_banner.filter(|_| self.has(Capability::ContextBanner)),
            smart_style_url: parameters.smart_style_url.filter(|_| self.has(Capability::ContextStyle)),
            ..parameters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn a_scope_goes_with_the_capability_that_it_belongs_to_and_with_no_other() {
        for (text, needed) in [
            ("openid", &[Capability::SsoOpenIdConnect][..]),
            ("fhirUser", &[Capability::SsoOpenIdConnect]),
            ("profile", &[Capability::SsoOpenIdConnect]),
            ("launch", &[Capability::LaunchEhr]),
            ("offline_access", &[Capability::PermissionOffline]),
            ("online_access", &[Capability::PermissionOnline]),
            ("launch/patient", &[]),
            ("launch/encounter", &[]),
            ("patient/*.rs", &[Capability::PermissionPatient, Capability::PermissionV2]),
            ("patient/*.read", &[Capability::PermissionPatient, Capability::PermissionV1]),
            ("patient/*.*", &[Capability::PermissionPatient, Capability::PermissionV1]),
            ("patient/Observation.rs?category=a.read", &[Capability::PermissionPatient, Capability::PermissionV2]),
            ("user/Patient.write", &[Capability::PermissionUser, Capability::PermissionV1]),
            ("system/Patient.r", &[Capability::PermissionV2]),
            ("system/Patient.read", &[Capability::PermissionV1]),
        ] {
            for capability in Capability::ALL {
                let admitted = Capabilities::without([capability]).admits(&scope(text));
                assert_eq!(admitted, !needed.contains(&capability), "{text} without {}", capability.as_str());
            }
        }
    }

    #[test]
    fn context_is_granted_only_where_there_is_a_way_to_it() {
        use Capability::{ContextEhrEncounter, ContextEhrPatient, ContextStandaloneEncounter, ContextStandalonePatient};
        for (text, off, sequence, admitted) in [
            ("patient/*.rs", &[ContextStandalonePatient][..], LaunchSequence::Standalone, false),
            ("patient/*.rs", &[ContextStandalonePatient], LaunchSequence::Ehr, true),
            ("patient/*.rs", &[ContextStandalonePatient, ContextEhrPatient], LaunchSequence::Ehr, false),
            ("patient/*.rs", &[ContextEhrPatient], LaunchSequence::Standalone, true),
            ("launch/patient", &[ContextStandalonePatient], LaunchSequence::Standalone, false),
            ("launch/encounter", &[ContextStandaloneEncounter], LaunchSequence::Standalone, false),
            ("launch/encounter", &[ContextStandaloneEncounter], LaunchSequence::Ehr, true),
            ("launch/encounter", &[ContextStandaloneEncounter, ContextEhrEncounter], LaunchSequence::Ehr, false),
            ("user/*.rs", &[ContextStandalonePatient, ContextEhrPatient], LaunchSequence::Standalone, true),
        ] {
            let capabilities = Capabilities::without(off.iter().copied());
            assert_eq!(capabilities.admits_when(&scope(text), sequence), admitted, "{text} {off:?} {sequence:?}");
        }
    }

    #[test]
    fn what_came_into_context_by_way_of_something_that_is_off_is_gone_with_its_scopes() {
        use Capability::{ContextEhrEncounter, ContextEhrPatient, ContextStandaloneEncounter, ContextStandalonePatient};
        let by = |patient, encounter| ByChoice { patient, encounter };
        let (launched, alone) = ("launch user/*.rs patient/*.rs launch/encounter", "user/*.rs patient/*.rs launch/encounter");
        for (off, granted, by_choice, left) in [
            (ContextEhrPatient, launched, by(false, false), "launch user/*.rs"),
            (ContextEhrPatient, launched, by(true, true), "launch user/*.rs patient/*.rs launch/encounter + patient + encounter"),
            (
                ContextStandalonePatient,
                launched,
                by(false, false),
                "launch user/*.rs patient/*.rs launch/encounter + patient + encounter",
            ),
            (ContextStandalonePatient, launched, by(true, false), "launch user/*.rs"),
            (ContextStandalonePatient, alone, by(false, false), "user/*.rs"),
            (ContextEhrPatient, alone, by(false, false), "user/*.rs patient/*.rs launch/encounter + patient + encounter"),
            (ContextEhrEncounter, launched, by(false, false), "launch user/*.rs patient/*.rs + patient"),
            (
                ContextEhrEncounter,
                launched,
                by(false, true),
                "launch user/*.rs patient/*.rs launch/encounter + patient + encounter",
            ),
            (ContextStandaloneEncounter, launched, by(false, true), "launch user/*.rs patient/*.rs + patient"),
            (ContextStandaloneEncounter, alone, by(true, false), "user/*.rs patient/*.rs + patient"),
        ] {
            let mut grant = crate::grant::tests::grant(granted);
            grant.patient = portcullis_fhir::types::LogicalId::parse("p1");
            grant.context.encounter = portcullis_fhir::types::LogicalId::parse("e1");
            grant.context.by_choice = by_choice;
            let capabilities = Capabilities::without([off]);
            let standing = capabilities.standing(grant.clone());
            let patient = if standing.patient.is_some() { " + patient" } else { "" };
            let encounter = if standing.context.encounter.is_some() { " + encounter" } else { "" };
            assert_eq!(
                format!("{}{patient}{encounter}", standing.scopes),
                left,
                "{granted} {by_choice:?} without {}",
                off.as_str()
            );
            assert_eq!(Capabilities::default().standing(grant.clone()), grant);
        }
    }

    #[test]
    fn names_read_back_and_what_is_not_built_has_none() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.as_str()), Some(capability));
            assert!(capability.refusal().starts_with(capability.as_str()));
            let off = Capabilities::without([capability]).and([Capability::SmartAppState]);
            assert!(!off.has(capability) && off.on().count() == Capability::ALL.len() - 1);
            assert_eq!(off.off().collect::<Vec<_>>(), [capability]);
        }
        for unknown in ["", "smart_app_state", "Launch-EHR", "launch"] {
            assert_eq!(Capability::parse(unknown), None, "{unknown}");
        }
        let all = Capabilities::default().and([Capability::SmartAppState]);
        assert_eq!((all.off().count(), all.switched_on().count()), (0, 1));
        assert_eq!(Capabilities::default().off().collect::<Vec<_>>(), [Capability::SmartAppState], "it is experimental");
        assert_eq!(Capabilities::default().switched_on().count(), 0);
    }
}
