//! Refresh tokens: rotated at each use, and a reuse ends the family (RFC 9700 section 4.14.2).

use super::SecretHash;
use crate::confirmation::Confirmation;
use crate::identifiers::{ClientId, GrantId, SessionId};

/// How long a refresh token of `offline_access` stays good without being used, in seconds (90 days; RFC 9700 section 4.14.2 asks for such a limit).
pub const IDLE_LIFETIME_SECONDS: i64 = 90 * 24 * 3600;

/// How long one of `online_access` does, in seconds: until its access token has ended, and then as long as a session without a page being opened.
pub const ONLINE_IDLE_LIFETIME_SECONDS: i64 = crate::access_token::MAXIMUM_LIFETIME_SECONDS + crate::session::IDLE_SECONDS;

/// Whether a refresh token outlives the session (SMART App Launch 2.2.0, `offline_access` and `online_access`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshBinding {
    /// It does.
    Offline,
    /// It ends with this session.
    Online(SessionId),
}

impl RefreshBinding {
    /// How long a token that is bound so stays good without being used, in seconds.
    pub fn idle_seconds(&self) -> i64 {
        match self {
            Self::Offline => IDLE_LIFETIME_SECONDS,
            Self::Online(_) => ONLINE_IDLE_LIFETIME_SECONDS,
        }
    }
}

/// Whether a refresh token may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshState {
    /// It is the newest of its family.
    Current,
    /// It was used, and a successor was issued.
    Superseded,
}

/// A refresh token as the registry keeps it. Superseded ones are kept as long as the family, so that a reuse is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The hash of the token.
    pub hash: SecretHash,
    /// The family: the grant that all its generations descend from.
    pub family: GrantId,
    /// 0 for the first, and one more for each successor.
    pub generation: u32,
    /// Whether it may still be used.
    pub state: RefreshState,
    /// The client that it was issued to.
    pub client: ClientId,
    /// Whether it outlives the session.
    pub binding: RefreshBinding,
    /// What whoever presents it must prove; nothing for clients that authenticate, since their credentials bind it (RFC 9449 section 5).
    pub confirmation: Option<Confirmation>,
    /// The end of validity if it is not used, in seconds since the epoch.
    pub expires_at: i64,
}

/// The state of the session that a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The person is signed in.
    Active,
    /// The person signed out, or the session's time is over, or there is no such session.
    Ended,
}

/// What follows when a refresh token is presented. All but the first are `invalid_grant` on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Supersede it and issue this successor.
    Rotate(Box<RefreshToken>),
    /// It was used before: someone else has it, so revoke the family.
    Reused {
        /// The grant to revoke.
        family: GrantId,
    },
    /// Its time, or that of its session, is over.
    Expired,
    /// It was issued to another client.
    WrongClient,
    /// It is bound to a key or certificate that the client has not proven to hold.
    WrongKey,
}

impl RefreshToken {
    /// The first token of a family, at a time in seconds since the epoch.
    pub fn first(hash: SecretHash, family: GrantId, client: ClientId, binding: RefreshBinding, now: i64) -> Self {
        let expires_at = now.saturating_add(binding.idle_seconds());
        Self { hash, family, generation: 0, state: RefreshState::Current, client, binding, confirmation: None, expires_at }
    }

    /// The same token, bound to what whoever presents it must prove.
    pub fn bound_to(self, confirmation: Option<Confirmation>) -> Self {
        Self { confirmation, ..self }
    }

    /// Decides about a presented token. `shown` is what the client has proven to hold; `successor` is the hash of the token that would replace it; `session` the state of the session
    /// that the token is bound to (any value for an offline token).
    pub fn present(
        &self,
        (client, shown): (&ClientId, Option<Confirmation>),
        session: SessionState,
        successor: SecretHash,
        now: i64,
    ) -> Rotation {
        // The client comes first: another client's mistake must not end this family.
        if *client != self.client {
            return Rotation::WrongClient;
        }
        if self.state == RefreshState::Superseded {
            return Rotation::Reused { family: self.family.clone() };
        }
        // Whoever stole the token has not stolen the key; its holder is not made to pay for that with the family.
        if self.confirmation.is_some_and(|bound| !shown.unwrap_or_default().covers(&bound)) {
            return Rotation::WrongKey;
        }
        let session_ended = matches!(self.binding, RefreshBinding::Online(_)) && session == SessionState::Ended;
        if now >= self.expires_at || session_ended {
            return Rotation::Expired;
        }
        Rotation::Rotate(Box::new(Self {
            hash: successor,
            generation: self.generation.saturating_add(1),
            expires_at: now.saturating_add(self.binding.idle_seconds()),
            ..self.clone()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn token(binding: RefreshBinding) -> RefreshToken {
        let client = ClientId::parse("demo-app").unwrap();
        RefreshToken::first(SecretHash::of("first"), GrantId::parse("g1").unwrap(), client, binding, NOW)
    }

    fn present(token: &RefreshToken, client: &str, session: SessionState, now: i64) -> Rotation {
        token.present((&ClientId::parse(client).unwrap(), None), session, SecretHash::of("second"), now)
    }

    #[test]
    fn a_superseded_token_ends_its_family_even_after_its_time() {
        let used = RefreshToken { state: RefreshState::Superseded, ..token(RefreshBinding::Offline) };
        let family = GrantId::parse("g1").unwrap();
        for now in [NOW, NOW + IDLE_LIFETIME_SECONDS + 1] {
            assert_eq!(present(&used, "demo-app", SessionState::Active, now), Rotation::Reused { family: family.clone() });
        }
    }

    #[test]
    fn another_client_gets_nothing_and_ends_nothing() {
        portcullis_verifies::verifies!("SMART-31");
        let used = RefreshToken { state: RefreshState::Superseded, ..token(RefreshBinding::Offline) };
        assert_eq!(present(&used, "other", SessionState::Active, NOW), Rotation::WrongClient);
        assert_eq!(present(&token(RefreshBinding::Offline), "other", SessionState::Active, NOW), Rotation::WrongClient);
    }

    #[test]
    fn a_bound_token_rotates_with_its_own_key_alone_and_its_theft_ends_nothing() {
        let [own, other] = [1, 2].map(|byte| crate::confirmation::KeyThumbprint::from_bytes([byte; 32]));
        let confirmation = |key| Some(Confirmation { key: Some(key), certificate: None });
        let bound = token(RefreshBinding::Offline).bound_to(confirmation(own));
        let client = ClientId::parse("demo-app").unwrap();
        let present = |shown| bound.present((&client, shown), SessionState::Active, SecretHash::of("second"), NOW);
        for shown in [None, Some(Confirmation::default()), confirmation(other)] {
            assert_eq!(present(shown), Rotation::WrongKey, "{shown:?}");
        }
        let Rotation::Rotate(next) = present(confirmation(own)) else { panic!("the holder of the key goes on") };
        assert_eq!(next.confirmation, bound.confirmation, "the successor is bound, too");
    }

    #[test]
    fn an_unused_token_expires() {
        let offline = token(RefreshBinding::Offline);
        assert_eq!(present(&offline, "demo-app", SessionState::Active, NOW + IDLE_LIFETIME_SECONDS), Rotation::Expired);
    }

    #[test]
    fn an_online_token_ends_with_its_session_and_an_offline_one_does_not() {
        portcullis_verifies::verifies!("SMART-33");
        let online = token(RefreshBinding::Online(SessionId::parse("s1").unwrap()));
        assert_eq!(present(&online, "demo-app", SessionState::Ended, NOW), Rotation::Expired);
        let late = NOW + ONLINE_IDLE_LIFETIME_SECONDS;
        assert_eq!(present(&online, "demo-app", SessionState::Active, late), Rotation::Expired, "an idle app is not online");
        let Rotation::Rotate(next) = present(&online, "demo-app", SessionState::Active, late - 1) else { panic!("it goes on") };
        assert_eq!(next.expires_at, late - 1 + ONLINE_IDLE_LIFETIME_SECONDS);
        assert!(matches!(present(&token(RefreshBinding::Offline), "demo-app", SessionState::Ended, NOW), Rotation::Rotate(_)));
    }

    #[test]
    fn the_successor_is_the_next_generation_of_the_same_family() {
        let first = token(RefreshBinding::Offline);
        let Rotation::Rotate(second) = present(&first, "demo-app", SessionState::Active, NOW + 100) else {
            panic!("a current token rotates")
        };
        assert_eq!(second.hash, SecretHash::of("second"));
        assert_eq!((second.generation, second.state), (1, RefreshState::Current));
        assert_eq!((&second.family, &second.client, &second.binding), (&first.family, &first.client, &first.binding));
        assert_eq!(second.expires_at, NOW + 100 + IDLE_LIFETIME_SECONDS);
    }
}
