//! Under what circumstances consents are asked: when, by whose names, and what holds where no consent says anything.
//!
//! The server says them for each request. A principal without them is let in nowhere but where no patient is asked (the operator at the command line).

use std::sync::Arc;

use super::Membership;

/// What holds where no consent says anything: the implicit policies of IHE PCF, of which the operator chooses one.
///
/// <https://profiles.ihe.net/ITI/PCF/>, volume 1, "Implicit Option".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImplicitPolicy {
    /// Clinicians, for treatment.
    BasicNormal,
    /// Everybody whom all other rules let in.
    #[default]
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
}

/// When and where a request is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// From where the request came, where somebody said. Without it, rules about networks decide against whoever asks.
    pub address: Option<core::net::IpAddr>,
    /// The time, in milliseconds since the epoch.
    pub now: i64,
    /// The server's own FHIR base, without a slash at the end.
    pub base_url: Arc<str>,
    /// What holds where no consent says anything.
    pub implicit: ImplicitPolicy,
    /// By what part in a record somebody sees it who is not its subject.
    pub membership: Membership,
}
