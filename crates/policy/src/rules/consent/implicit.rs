//! What holds where no consent says anything: the implicit policies of IHE PCF, of which the operator chooses one.
//!
//! <https://profiles.ihe.net/ITI/PCF/>, volume 1, "Implicit Option".

use super::document::Effect;
use super::facts::Request;

/// An implicit policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImplicitPolicy {
    /// Clinicians, for treatment.
    BasicNormal,
    /// Everybody whom all other rules let in.
    AllNormal,
    /// Clinicians who break the glass.
    BreakGlassOnly,
    /// Nobody.
    Deny,
}

impl ImplicitPolicy {
    /// All four.
    pub const ALL: [Self; 4] = [Self::BasicNormal, Self::AllNormal, Self::BreakGlassOnly, Self::Deny];

    /// The URI by which PCF names it.
    pub fn uri(self) -> &'static str {
        match self {
            Self::BasicNormal => "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal",
            Self::AllNormal => "https://profiles.ihe.net/ITI/PCF/Policy-all-normal",
            Self::BreakGlassOnly => "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only",
            Self::Deny => "https://profiles.ihe.net/ITI/PCF/Policy-deny",
        }
    }

    /// The policy with this URI.
    pub fn parse(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.uri() == uri)
    }

    /// What it says of a request. Break-glass is no treatment: under the basic policy it needs a consent.
    pub fn decide(self, request: &Request<'_>) -> Effect {
        let permits = match self {
            Self::BasicNormal => request.by_clinician && request.purpose.is_treatment(),
            Self::AllNormal => true,
            Self::BreakGlassOnly => request.by_clinician && request.purpose.is_break_glass(),
            Self::Deny => false,
        };
        if permits { Effect::Permit } else { Effect::Deny }
    }
}
