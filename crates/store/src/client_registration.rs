//! Clients that register themselves (RFC 7591), and the tokens by which they may; and sandbox clients, which belong to a person.

use portcullis_oauth::clients::Client;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{ClientId, UserId};

use crate::registry::Change;

/// The conflict of one more sandbox client than a person may own.
pub const TOO_MANY_OWNED: &str = "this person owns as many sandbox clients as may be";

/// The conflict of a change to a sandbox client that is not, or not any more, this person's.
pub const NOT_OWNED: &str = "the client is not this person's";

/// The conflict of a client that somebody else changed since it was read.
pub const CLIENT_CHANGED: &str = "the client was changed meanwhile";

/// The conflict of an initial access token that is unknown, used up or expired.
pub const INITIAL_TOKEN_REFUSED: &str = "the initial access token is unknown, used up or expired";

/// The conflict of one more registration within the hour than the operator allows.
pub const TOO_MANY_REGISTRATIONS: &str = "too many clients have registered within this hour";

/// By which somebody may register clients (RFC 7591 section 3, "initial access token").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialAccessToken {
    /// The hash of the token.
    pub hash: SecretHash,
    /// By which it is listed and taken back.
    pub id: String,
    /// Whom it is for.
    pub name: String,
    /// How many clients may still be registered with it.
    pub uses_left: u32,
    /// When it was made, in seconds since the epoch.
    pub created_at: i64,
    /// The end of validity, in seconds since the epoch.
    pub expires_at: i64,
}

/// A change about clients that register themselves.
#[derive(Debug)]
pub enum RegistrationChange {
    /// A client registers itself.
    Register {
        /// The client, whose id is free.
        client: Box<Client>,
        /// The hash of its registration access token.
        token: SecretHash,
        /// The hash of the initial access token that it came with; one use of it is spent.
        initial: Option<SecretHash>,
        /// The most registrations within an hour.
        hourly_limit: u32,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A new initial access token.
    AddInitialToken(InitialAccessToken),
    /// An initial access token is taken back, by its id.
    RemoveInitialToken(String),
    /// A person registers a sandbox client, which names its owner and whose id is free; more than `limit` are the conflict [`TOO_MANY_OWNED`].
    RegisterOwned {
        /// The client.
        client: Box<Client>,
        /// The most that its owner may own.
        limit: u32,
    },
    /// What follows is done to a sandbox client that belongs to this person at that moment, or not at all ([`NOT_OWNED`]).
    OfOwner {
        /// The person.
        owner: UserId,
        /// The client.
        client: ClientId,
        /// What follows.
        then: Box<Change>,
    },
    /// What follows was made of what was read of a client, and is done only while that is what is registered ([`CLIENT_CHANGED`]): otherwise the later of two
    /// changes would undo the earlier, and bring back a secret that was replaced.
    IfUnchanged {
        /// The client as it was read.
        before: Box<Client>,
        /// What follows.
        then: Box<Change>,
    },
}

impl RegistrationChange {
    /// Replaces a client by what was made of it.
    pub fn replacing(before: Client, client: Client) -> Change {
        Change::Registration(Self::IfUnchanged {
            before: Box::new(before),
            then: Box::new(Change::ReplaceClient(Box::new(client))),
        })
    }
}
