//! Identifiers of clients, users, grants, sessions and tokens: distinct types, so that one is never taken for another.

use std::fmt;

use portcullis_jose::Random;
use portcullis_jose::random::identifier;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest identifier, in characters (OpenID Connect Core section 2 allows a `sub` of 255).
pub const MAXIMUM_LENGTH: usize = 255;

/// Visible ASCII without space, at least one character: what `client_id` and `sub` may hold and what needs no escaping in a log.
fn valid(text: &str) -> bool {
    (1..=MAXIMUM_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

macro_rules! identifier {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses an identifier: 1 to 255 visible ASCII characters.
            pub fn parse(text: &str) -> Option<Self> {
                valid(text).then(|| Self(text.into()))
            }

            /// A new identifier of 128 random bits.
            pub fn generate(random: &mut dyn Random) -> Self {
                Self(identifier(random).into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({})", stringify!($name), self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an identifier"))
            }
        }
    };
}

identifier! {
    /// A `client_id` (RFC 6749 section 2.2).
    ClientId
}
identifier! {
    /// A user of this server; also the `sub` of tokens.
    UserId
}
identifier! {
    /// One authorization that a user gave to a client; every token and refresh token descends from one, and dies with it.
    GrantId
}
identifier! {
    /// One login session at this server.
    SessionId
}
identifier! {
    /// The `jti` of a token (RFC 7519 section 4.1.7).
    TokenId
}

impl ClientId {
    /// The client that stands for the command line in records; no registered client may have this id.
    pub(crate) fn reserved_command_line() -> Self {
        Self("portcullis-command-line".into())
    }

    /// The client that stands for this server's own pages in records.
    pub(crate) fn reserved_browser() -> Self {
        Self("portcullis-pages".into())
    }

    /// Whether this id is kept for the server's own use.
    pub fn is_reserved(&self) -> bool {
        *self == Self::reserved_command_line() || *self == Self::reserved_browser()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_visible_ascii_of_sensible_length_is_no_identifier() {
        for text in ["", " ", "a b", "a\n", "ä", "a\0", &"x".repeat(256)] {
            assert_eq!(ClientId::parse(text), None, "{text:?}");
            assert!(serde_json::from_value::<UserId>(text.into()).is_err(), "{text:?}");
        }
        assert_eq!(ClientId::parse(&"x".repeat(255)).unwrap().as_str().len(), 255);
        assert_eq!(serde_json::to_value(GrantId::parse("g").unwrap()).unwrap(), "g");
    }
}
