//! Signing in with an account at another OpenID Connect provider: this server as a relying party.
//!
//! OpenID Connect Core 1.0 sections 3.1.2 to 3.1.3 (code flow), OpenID Connect Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` against mix-up), RFC 9700.
//! A person at a provider is issuer and subject, both byte for byte; an e-mail address says nothing here. Fetching, storing and showing are the server's.

mod callback;
mod id_token;
mod metadata;
mod provider;
mod request;

pub use callback::{CallbackError, CodeCallback};
pub use id_token::{ExpectedIdentity, IdentityError, VerifiedIdentity, id_token};
pub use metadata::ProviderMetadata;
pub use provider::{Provider, ProviderAuthentication};
pub use request::{AuthorizationOrder, CodeOrder, TokenAnswer, TokenAnswerError, TokenForm};
