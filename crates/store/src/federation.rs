//! What the registry keeps of people who sign in elsewhere, and of people who act for patients for a time.
//!
//! A part of [`crate::Registry`], in a file of its own. Changes travel in [`crate::registry::Change::Federation`].

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::representation::Representation;

use crate::fhir_store::BoxFuture;
use crate::registry::{Change, RegistryError};

/// The conflict of a state that came back from a provider before.
pub const STATE_USED: &str = "the state was used before";

/// An account here and who its owner is elsewhere. Accounts are linked by issuer and subject, never by an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The provider's issuer, byte for byte.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// The account here.
    pub user: UserId,
    /// Since when, in seconds since the epoch.
    pub linked_at: i64,
    /// Who linked them: the user's own id, or an operator.
    pub linked_by: String,
}

/// A change about federation or representation.
#[derive(Debug)]
pub enum FederationChange {
    /// A browser came back from a provider. Its state counts once, together with what follows, or all of it is the conflict [`STATE_USED`].
    SpendState {
        /// The hash of the state.
        state: SecretHash,
        /// Until when the same one would still be accepted, in seconds since the epoch.
        expires_at: i64,
        /// What follows.
        then: Box<Change>,
    },
    /// An identity elsewhere belongs to an account here; it must not belong to another one. Where an operator links it with an account that was used, whoever
    /// signs in with it is recovered by that operator, until a second officer confirms.
    Link(LinkedIdentity),
    /// Somebody signed in with an identity elsewhere and nothing else. If an operator has linked it with an account in use, the account counts as recovered
    /// by that operator, before what follows.
    SignIn {
        /// The provider's issuer.
        issuer: String,
        /// Its `sub`.
        subject: String,
        /// What follows.
        then: Box<Change>,
    },
    /// It does not any more.
    Unlink {
        /// The account.
        user: UserId,
        /// The provider's issuer.
        issuer: String,
        /// Its `sub`.
        subject: String,
    },
    /// A person acts for a patient from now on, or within other limits than before.
    Represent {
        /// The person.
        user: UserId,
        /// For whom, when, and how far.
        representation: Representation,
    },
    /// A person acts for a patient no more.
    EndRepresentation {
        /// The person.
        user: UserId,
        /// The patient.
        patient: LogicalId,
    },
}

/// Who people are elsewhere, as far as it is stored.
pub trait FederationRegistry: Send + Sync {
    /// Whether a state came back before.
    fn state_spent<'a>(&'a self, state: &'a SecretHash) -> BoxFuture<'a, Result<bool, RegistryError>>;

    /// The account of an identity elsewhere.
    fn federated_user<'a>(&'a self, issuer: &'a str, subject: &'a str) -> BoxFuture<'a, Result<Option<UserId>, RegistryError>>;

    /// The identities of an account, the oldest first.
    fn identities_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<LinkedIdentity>, RegistryError>>;
}
