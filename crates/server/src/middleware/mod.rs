//! What every request passes before and after its route: limits, CORS and security headers.

pub mod body;
pub mod cors;
pub mod framing;
pub mod headers;
pub mod refusals;
