//! Scopes as URIs, for places where their names alone could be taken for others' (SMART App Launch 2.2.0, "Scopes", representation as URIs).

use super::parse::{Scope, ScopeKind};

/// Before what SMART names.
const SMART: &str = "http://smarthealthit.org/fhir/scopes/";
/// Before what OpenID Connect Core 1.0 names (sections 3.1.2.1, 5.4 and 11).
const OPENID_CONNECT: &str = "http://openid.net/specs/openid-connect-core-1_0#";

impl Scope {
    /// The scope as a URI, in the spelling in which it was asked for.
    pub fn uri(&self) -> String {
        let prefix = match self.kind() {
            ScopeKind::OpenId | ScopeKind::Profile | ScopeKind::OfflineAccess => OPENID_CONNECT,
            ScopeKind::FhirUser
            | ScopeKind::OnlineAccess
            | ScopeKind::Launch
            | ScopeKind::LaunchPatient
            | ScopeKind::LaunchEncounter
            | ScopeKind::Resource(_)
            | ScopeKind::Qualified(_) => SMART,
        };
        format!("{prefix}{}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_stands_under_the_name_of_whoever_defined_it() {
        for (text, uri) in [
            ("patient/*.rs", "http://smarthealthit.org/fhir/scopes/patient/*.rs"),
            ("patient/*.read", "http://smarthealthit.org/fhir/scopes/patient/*.read"),
            ("user/Observation.rs?category=a", "http://smarthealthit.org/fhir/scopes/user/Observation.rs?category=a"),
            ("launch/patient", "http://smarthealthit.org/fhir/scopes/launch/patient"),
            ("fhirUser", "http://smarthealthit.org/fhir/scopes/fhirUser"),
            ("online_access", "http://smarthealthit.org/fhir/scopes/online_access"),
            ("openid", "http://openid.net/specs/openid-connect-core-1_0#openid"),
            ("profile", "http://openid.net/specs/openid-connect-core-1_0#profile"),
            ("offline_access", "http://openid.net/specs/openid-connect-core-1_0#offline_access"),
        ] {
            assert_eq!(Scope::parse(text).unwrap().uri(), uri);
        }
    }
}
