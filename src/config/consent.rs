//! `[consent]`: what holds where no consent of a patient says anything, and to which profile consents must conform.

use portcullis_oauth::principal::ImplicitPolicy;
use portcullis_policy::rules::consent::Profile;
use serde::{Deserialize, Serialize};

/// `[consent]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsentSettings {
    implicit: Implicit,
    /// Never kept as in force: it lets nobody see more or less.
    #[serde(skip_serializing)]
    profile: Option<Conformance>,
}

/// The profiles of IHE PCF by the last part of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Conformance {
    Basic,
    Intermediate,
    Advanced,
}

/// The implicit policies of IHE PCF by the last part of their URIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Implicit {
    /// Clinicians, for treatment.
    BasicNormal,
    /// Everybody whom all other rules let in.
    #[default]
    AllNormal,
    /// Clinicians who break the glass.
    BreakGlassOnly,
    /// Nobody but the patients themselves.
    Deny,
}

impl ConsentSettings {
    /// The policy that lets nobody in.
    pub fn deny() -> Self {
        Self { implicit: Implicit::Deny, profile: None }
    }

    /// Whether somebody sees something by this policy who does not by the other.
    pub fn lets_in_more_than(self, other: Self) -> bool {
        // Neither of the two in the middle includes the other: treatment is no emergency.
        self.implicit != other.implicit && self.implicit != Implicit::Deny && other.implicit != Implicit::AllNormal
    }

    /// The profile that every privacy consent must conform to.
    pub fn profile(self) -> Option<Profile> {
        self.profile.map(|profile| match profile {
            Conformance::Basic => Profile::Basic,
            Conformance::Intermediate => Profile::Intermediate,
            Conformance::Advanced => Profile::Advanced,
        })
    }

    /// The policy.
    pub fn implicit(self) -> ImplicitPolicy {
        match self.implicit {
            Implicit::BasicNormal => ImplicitPolicy::BasicNormal,
            Implicit::AllNormal => ImplicitPolicy::AllNormal,
            Implicit::BreakGlassOnly => ImplicitPolicy::BreakGlassOnly,
            Implicit::Deny => ImplicitPolicy::Deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_pcf_has_the_name_of_its_uri_and_nothing_else_is_taken() {
        for policy in ImplicitPolicy::ALL {
            let name = policy.uri().rsplit("Policy-").next().unwrap();
            let settings: ConsentSettings = toml::from_str(&format!("implicit = '{name}'")).unwrap();
            assert_eq!(settings.implicit(), policy, "{name}");
        }
        assert_eq!(ConsentSettings::default().implicit(), ImplicitPolicy::AllNormal);
        for wrong in ["implicit = 'open'", "implicit = ''", "default = 'deny'", "profile = 'strict'"] {
            assert!(toml::from_str::<ConsentSettings>(wrong).is_err(), "{wrong}");
        }
    }
}
