//! Clients that register themselves (RFC 7591), and the tokens by which they may.

use portcullis_oauth::clients::Client;
use portcullis_oauth::grant::SecretHash;

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
}
