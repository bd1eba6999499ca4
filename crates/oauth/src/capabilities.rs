//! The capabilities of SMART App Launch 2.2.0 ("Capability Sets"), and which of them an operator has switched off.
//!
//! One that is switched off stands in no metadata and is refused in use: [`crate::metadata`] asks here, and so does everything that reads a request.
//! What was issued before lives on for as long as an access token does, and is not refreshed with it.

use crate::clients::{Client, ClientKind};
use crate::launch::ContextParameters;
use crate::metadata;
use crate::scopes::{Scope, ScopeContext, ScopeKind, ScopeSyntax};

macro_rules! capabilities {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// A capability that is built. `tests/it/oauth/capabilities.rs` proves each; smart-app-state is not built.
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

/// Which capabilities are on; by default all that are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// A bit for each that is off.
    off: u32,
}

impl Capabilities {
    /// All but these.
    pub fn without(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self { off: capabilities.into_iter().fold(0, |off, capability| off | capability.bit()) }
    }

    /// Whether one is on.
    pub fn has(self, capability: Capability) -> bool {
        self.off & capability.bit() == 0
    }

    /// Those that are on.
    pub fn on(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.has(*capability))
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

    /// The context parameters without what is off. The encounter of an earlier launch stays: how it came into context is not known any more.
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
    fn names_read_back_and_what_is_not_built_has_none() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.as_str()), Some(capability));
            assert!(capability.refusal().starts_with(capability.as_str()));
            let off = Capabilities::without([capability]);
            assert!(!off.has(capability) && off.on().count() == Capability::ALL.len() - 1);
            assert_eq!(off.off().collect::<Vec<_>>(), [capability]);
        }
        for unknown in ["", "smart-app-state", "Launch-EHR", "launch"] {
            assert_eq!(Capability::parse(unknown), None, "{unknown}");
        }
        assert_eq!(Capabilities::default().off().count(), 0);
    }
}
