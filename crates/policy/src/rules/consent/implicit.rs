//! What the operator's implicit policy says of a request, where no consent says anything.
//!
//! <https://profiles.ihe.net/ITI/PCF/>, volume 1, "Implicit Option".

pub use portcullis_oauth::principal::ImplicitPolicy;

use super::document::Effect;
use super::facts::Request;

/// What a policy says of a request. Break-glass is no treatment: under the basic policy it needs a consent.
pub(super) fn implied(policy: ImplicitPolicy, request: &Request<'_>) -> Effect {
    let permits = match policy {
        ImplicitPolicy::BasicNormal => request.by_clinician && request.purpose.is_treatment(),
        ImplicitPolicy::AllNormal => true,
        ImplicitPolicy::BreakGlassOnly => request.by_clinician && request.purpose.is_break_glass(),
        ImplicitPolicy::Deny => false,
    };
    if permits { Effect::Permit } else { Effect::Deny }
}
