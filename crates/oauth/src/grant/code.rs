//! The authorization code: made at consent, redeemed once, within a minute.

use portcullis_fhir::types::LogicalId;

use super::SecretHash;
use crate::confirmation::KeyThumbprint;
use crate::identifiers::{ClientId, GrantId, UserId};
use crate::pkce::CodeChallenge;
use crate::scopes::ScopeSet;

/// The life of a code in seconds: "about one minute" (SMART App Launch 2.2.0); RFC 6749 section 4.1.2 allows ten.
pub const LIFETIME_SECONDS: i64 = 60;

/// A code that was issued and not yet redeemed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The hash of the code.
    pub hash: SecretHash,
    /// The grant that it stands for.
    pub grant: GrantId,
    /// The client that it was issued to.
    pub client: ClientId,
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// The challenge of the request; none where a client of SMART 1.0 sent none.
    pub challenge: Option<CodeChallenge>,
    /// The key that may redeem it (`dpop_jkt`, RFC 9449 section 10), where the request named one.
    pub key: Option<KeyThumbprint>,
    /// The granted scopes, as asked for.
    pub scopes: ScopeSet,
    /// The user who granted them.
    pub user: UserId,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The nonce of the request.
    pub nonce: Option<String>,
    /// When the user signed in, in seconds since the epoch.
    pub authenticated_at: i64,
    /// The end of validity, in seconds since the epoch.
    pub expires_at: i64,
}

/// A code as the registry keeps it. It is kept until well after its end, so that a replay is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeState {
    /// It may be redeemed.
    Issued(Box<AuthorizationCode>),
    /// It was presented before, rightly or wrongly.
    Spent {
        /// The grant that a replay revokes.
        grant: GrantId,
        /// The client that it was issued to.
        client: ClientId,
    },
}

impl CodeState {
    /// The grant that it belongs to.
    pub fn grant(&self) -> &GrantId {
        match self {
            Self::Issued(code) => &code.grant,
            Self::Spent { grant, .. } => grant,
        }
    }
}

/// What a client presents with a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeExchange<'a> {
    /// The client, authenticated.
    pub client: &'a ClientId,
    /// `redirect_uri` of the token request.
    pub redirect_uri: &'a str,
    /// `code_verifier`; none where a client of SMART 1.0 sent none.
    pub verifier: Option<&'a str>,
    /// The key that the client has proven to hold.
    pub key: Option<KeyThumbprint>,
}

/// A redeemed code: what tokens are minted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The grant.
    pub grant: GrantId,
    /// The client.
    pub client: ClientId,
    /// The user.
    pub user: UserId,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The granted scopes, as asked for.
    pub scopes: ScopeSet,
    /// The nonce for the id_token.
    pub nonce: Option<String>,
    /// When the user signed in, in seconds since the epoch.
    pub authenticated_at: i64,
}

/// Why a code is not redeemed. On the wire each of these is `invalid_grant`; the audit record keeps them apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// It was presented before: the whole grant must be revoked (RFC 6749 section 4.1.2).
    #[error("the code was used before")]
    Replayed {
        /// The grant to revoke.
        grant: GrantId,
    },
    /// Its time is over.
    #[error("the code has expired")]
    Expired,
    /// It was issued to another client.
    #[error("the code was issued to another client")]
    WrongClient,
    /// The redirect URI is not the one of the request.
    #[error("the redirect URI differs from the one of the authorization request")]
    WrongRedirectUri,
    /// The verifier does not fit the challenge.
    #[error("the code verifier does not fit the challenge")]
    WrongVerifier,
    /// The code is bound to a key that the client has not proven to hold.
    #[error("the code is bound to another key")]
    WrongKey,
}

impl CodeState {
    /// Redeems a code at a time in seconds since the epoch.
    ///
    /// Whatever comes out, the code is spent and the caller stores it as [`CodeState::Spent`]: a code in wrong hands is not tried twice.
    pub fn exchange(self, presented: &CodeExchange<'_>, now: i64) -> Result<Exchange, ExchangeError> {
        let code = match self {
            Self::Issued(code) => code,
            // The client comes first: a code that somebody else found in a log or a history, used long ago, ends nothing.
            Self::Spent { client, .. } if client != *presented.client => return Err(ExchangeError::WrongClient),
            Self::Spent { grant, .. } => return Err(ExchangeError::Replayed { grant }),
        };
        if now >= code.expires_at {
            return Err(ExchangeError::Expired);
        }
        if *presented.client != code.client {
            return Err(ExchangeError::WrongClient);
        }
        if presented.redirect_uri != code.redirect_uri {
            return Err(ExchangeError::WrongRedirectUri);
        }
        // One without the other is a request that somebody changed on its way (RFC 9700 section 4.8.2).
        let fits = match (&code.challenge, presented.verifier) {
            (Some(challenge), Some(verifier)) => challenge.accepts(verifier),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !fits {
            return Err(ExchangeError::WrongVerifier);
        }
        if code.key.is_some() && presented.key != code.key {
            return Err(ExchangeError::WrongKey);
        }
        let AuthorizationCode { grant, client, user, patient, scopes, nonce, authenticated_at, .. } = *code;
        Ok(Exchange { grant, client, user, patient, scopes, nonce, authenticated_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn code() -> AuthorizationCode {
        AuthorizationCode {
            hash: SecretHash::of("code"),
            grant: GrantId::parse("g1").unwrap(),
            client: ClientId::parse("demo-app").unwrap(),
            redirect_uri: "https://127.0.0.1:8444/callback".into(),
            challenge: CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            key: None,
            scopes: ScopeSet::parse("openid patient/*.rs").unwrap(),
            user: UserId::parse("u-ann").unwrap(),
            patient: LogicalId::parse("p1"),
            nonce: Some("n".into()),
            authenticated_at: NOW - 10,
            expires_at: NOW + LIFETIME_SECONDS,
        }
    }

    fn exchange(client: &str, redirect_uri: &str, verifier: &str, now: i64) -> Result<Exchange, ExchangeError> {
        let client = ClientId::parse(client).unwrap();
        let presented = CodeExchange { client: &client, redirect_uri, verifier: Some(verifier), key: None };
        CodeState::Issued(Box::new(code())).exchange(&presented, now)
    }

    const CALLBACK: &str = "https://127.0.0.1:8444/callback";

    #[test]
    fn a_code_cannot_be_redeemed_twice_and_the_replay_names_the_grant() {
        let client = ClientId::parse("demo-app").unwrap();
        let presented = CodeExchange { client: &client, redirect_uri: CALLBACK, verifier: Some(VERIFIER), key: None };
        let grant = GrantId::parse("g1").unwrap();
        let spent = CodeState::Spent { grant: grant.clone(), client: client.clone() };
        assert_eq!(spent.clone().exchange(&presented, NOW), Err(ExchangeError::Replayed { grant }));
        let other = ClientId::parse("other").unwrap();
        let presented = CodeExchange { client: &other, ..presented };
        assert_eq!(spent.exchange(&presented, NOW), Err(ExchangeError::WrongClient), "another client ends nothing");
    }

    #[test]
    fn a_code_is_bound_to_its_time_client_redirect_uri_and_verifier() {
        assert_eq!(exchange("demo-app", CALLBACK, VERIFIER, NOW + 60), Err(ExchangeError::Expired));
        assert_eq!(exchange("other", CALLBACK, VERIFIER, NOW), Err(ExchangeError::WrongClient));
        assert_eq!(exchange("demo-app", "https://127.0.0.1:8444/callback/", VERIFIER, NOW), Err(ExchangeError::WrongRedirectUri));
        assert_eq!(exchange("demo-app", "", VERIFIER, NOW), Err(ExchangeError::WrongRedirectUri));
        for verifier in ["", "x", &VERIFIER.replace('d', "e")] {
            assert_eq!(exchange("demo-app", CALLBACK, verifier, NOW), Err(ExchangeError::WrongVerifier));
        }
    }

    #[test]
    fn a_code_without_challenge_takes_no_verifier_and_one_with_challenge_needs_it() {
        let client = ClientId::parse("demo-app").unwrap();
        for (challenge, verifier, redeemed) in [
            (code().challenge, None, false),
            (None, Some(VERIFIER), false),
            (None, None, true),
            (code().challenge, Some(VERIFIER), true),
        ] {
            let presented = CodeExchange { client: &client, redirect_uri: CALLBACK, verifier, key: None };
            let issued = CodeState::Issued(Box::new(AuthorizationCode { challenge, ..code() }));
            assert_eq!(issued.exchange(&presented, NOW).is_ok(), redeemed, "{verifier:?}");
        }
    }

    #[test]
    fn a_code_that_is_bound_to_a_key_is_redeemed_with_that_key_alone() {
        let client = ClientId::parse("demo-app").unwrap();
        let [own, other] = [1, 2].map(|byte| KeyThumbprint::from_bytes([byte; 32]));
        for (key, redeemed) in [(None, false), (Some(other), false), (Some(own), true)] {
            let presented = CodeExchange { client: &client, redirect_uri: CALLBACK, verifier: Some(VERIFIER), key };
            let issued = CodeState::Issued(Box::new(AuthorizationCode { key: Some(own), ..code() }));
            let result = issued.exchange(&presented, NOW);
            assert_eq!(result.is_ok(), redeemed, "{key:?}");
            assert!(redeemed || result == Err(ExchangeError::WrongKey));
        }
    }

    #[test]
    fn a_code_yields_what_was_granted() {
        let exchange = exchange("demo-app", CALLBACK, VERIFIER, NOW + 59).unwrap();
        assert_eq!(exchange.grant.as_str(), "g1");
        assert_eq!(exchange.scopes, code().scopes);
        assert_eq!(exchange.patient, code().patient);
        assert_eq!(exchange.nonce.as_deref(), Some("n"));
        assert_eq!((exchange.user, exchange.client, exchange.authenticated_at), (code().user, code().client, NOW - 10));
    }
}
