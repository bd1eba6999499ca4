//! The only HTTP client: GET, and forms for token endpoints, over TLS to addresses that were checked, with bounds on everything, and a cache of what was fetched.
//!
//! A URL often comes from somebody else (a client's `jwks_uri`), so that whoever wrote it could make this server ask its own neighbours
//! (OWASP API7, server-side request forgery). Each call names its [`Purpose`]; the host is resolved once, every address is checked, and the
//! connection goes to a checked one. Loopback, private, link-local, shared, multicast, documentation, mapped and translated addresses are
//! refused. No redirect is followed and no proxy variable is read. Hosts that the operator names, by exact host and port, are exempt from the
//! check of addresses and from nothing else.
//!
//! Mail goes the same way: one letter at a time to the operator's own SMTP server, over TLS unless that server is this machine.
//!
//! It sends no cookies, and credentials only in the form that its caller made for an identity provider of the operator's. It knows nothing of what it
//! fetches.

mod address;
mod cache;
mod client;
mod freshness;
mod letter;
mod mail;
mod target;

pub use address::is_public;
pub use cache::{DocumentCache, DocumentError};
pub use client::{Document, Form, Outbound, OutboundError, Purpose, Reply, Trust, TrustError};
pub use letter::{Letter, LetterError, MailAddress, Sender};
pub use mail::{MailError, MailSecurity, MailServer, Mailer};
pub use target::{ExemptHost, ForbiddenUrl, Target};
