//! Administration: one service behind the socket in the data directory and behind commands that hold the directory themselves.
//!
//! Every request is made by an operator principal that may do exactly this one thing, and leaves an audit record; a change and its record are
//! stored together. Imports pass the same decision as any other write. Nothing here speaks HTTP.

mod clients;
mod consents;
mod evidence;
mod explain;
pub mod explain_https;
mod explain_plain;
mod explain_reasons;
mod grants;
pub mod https;
mod import;
mod keys;
mod labels;
mod mail;
pub mod people;
mod preapproval;
pub mod protocol;
mod review;
mod safeguards;
mod service;
pub mod socket;
mod users;

pub use clients::{ClientDetails, ClientRequest, InitialToken};
pub use consents::{ConsentRequest, ConsentSummary, provision_of};
pub use explain::{Comes, ExplainRequest, Explained, ExplainedStep};
pub use explain_reasons::{ExplainedConsent, ExplainedLabel};
pub use grants::GrantSummary;
pub use import::MAXIMUM_RESOURCE;
pub use keys::KeySummary;
pub use mail::{Contact, LetterSummary, MailStatus, UserAddress};
pub use review::{ReviewRequest, Reviewed, ReviewedEvent};
pub use safeguards::{ChangeSummary, GlassSummary, RightSummary, RulesInForce, SafeguardRequest, SafeguardResponse};
pub use service::{Caller, MINIMUM_PASSWORD, Service};
pub use users::{MailedLink, UserDetails, UserLink, UserRequest};
