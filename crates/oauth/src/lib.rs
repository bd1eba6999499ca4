//! OAuth 2.0, OpenID Connect and SMART App Launch as types and pure functions: requests, errors, clients, scopes, grants, tokens,
//! metadata, and the principal.
//!
//! RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 8252 (native apps), RFC 8414 (metadata), RFC 9068 (JWT access tokens), RFC 9207 (issuer
//! identification), RFC 9700 (security practice), OpenID Connect Core 1.0, SMART App Launch 2.2.0.
//!
//! Nothing here reads a clock, a socket, a file or random bytes: the time is an argument in seconds since the epoch, randomness is an
//! argument. Nothing here stores anything: life cycles are values whose transitions consume them, and the caller persists the outcome.

pub mod access_token;
pub mod approval;
pub mod assurance_policy;
pub mod authorize;
pub mod b2b;
pub mod break_glass;
pub mod capabilities;
pub mod certificate_names;
pub mod client_assertion;
pub mod client_certificate;
pub mod client_display;
pub mod client_request;
pub mod clients;
pub mod confirmation;
pub mod consent_groups;
pub mod dpop;
pub mod entitlements;
pub mod federation;
pub mod grant;
pub mod id_token;
pub mod identifiers;
pub mod introspection;
pub mod key_ring;
pub mod language;
pub mod launch;
pub mod lockout;
pub mod metadata;
pub mod parameters;
pub mod passkey;
pub mod pkce;
pub mod principal;
pub mod purposes;
pub mod pushed_request;
pub mod recovery;
pub mod redirect_uri;
pub mod registration;
mod repeated;
pub mod representation;
pub mod request_object;
pub mod scopes;
pub mod session;
pub mod software_statement;
pub mod token_error;
pub mod token_request;
pub mod token_response;
pub mod totp;
pub mod users;
