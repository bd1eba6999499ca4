//! The registry: users, clients, sessions, grants. Every change carries the audit record that is stored with it.
//!
//! Reads that prepare an authentication (a user by name, a client, a session) come before there is a principal; listings of people are for
//! the operator and are recorded like changes.

use std::sync::Arc;

use portcullis_audit::{Acknowledgement, PendingRecord};
use portcullis_fhir::reference::LocalReference;
use portcullis_jose::Secret;
use portcullis_oauth::access_token::VerifiedToken;
use portcullis_oauth::client_assertion::VerifiedAssertion;
use portcullis_oauth::clients::Client;
use portcullis_oauth::dpop::VerifiedProof;
use portcullis_oauth::grant::{AuthorizationCode, CodeState, Grant, RefreshToken, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, SessionId, TokenId, UserId};
use portcullis_oauth::launch::{Launch, LaunchState};
use portcullis_oauth::lockout::{AttemptCounter, AttemptKey, Lockout};
use portcullis_oauth::principal::TokenStatus;
use portcullis_oauth::purposes::PurposeOfUse;
use portcullis_oauth::pushed_request::StoredRequest;
use portcullis_oauth::users::User;

use crate::app_state::AppStateRegistry;
use crate::client_registration::{InitialAccessToken, RegistrationChange};
use crate::consents::{ConsentConfirmation, ConsentRegistry};
use crate::federation::{FederationChange, FederationRegistry};
use crate::fhir_store::BoxFuture;
use crate::mail::{MailChange, MailRegistry};
use crate::safeguards::{SafeguardChange, SafeguardRegistry};
use crate::sign_in::{SessionDetails, SignInChange, SignInRegistry};

/// Why the registry could not.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// What the change rests on is not so (any more): the code was redeemed, the token rotated, the name taken, the thing gone.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// The store is full, locked or unreachable.
    #[error("unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored row cannot be read.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

/// The conflict of a client assertion that comes a second time.
pub const ASSERTION_USED: &str = "the client assertion was used before";

/// The conflict of an authorization code that comes a second time.
pub const CODE_USED: &str = "the code was used before";

/// The conflict of a refresh token that comes a second time.
pub const REFRESH_TOKEN_USED: &str = "the refresh token was used before";

/// The conflict of a launch that was used meanwhile.
pub const LAUNCH_USED: &str = "the launch was used before";

/// The conflict of one more pushed request than are kept.
pub const TOO_MANY_PUSHED: &str = "too many authorization requests wait";

/// The conflict of a server secret that somebody else replaced meanwhile.
pub const SECRET_CHANGED: &str = "the secret was changed meanwhile";

/// The conflict of a DPoP proof that comes a second time.
pub const PROOF_USED: &str = "the DPoP proof was used before";

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session; never sent to anybody.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// When, in seconds since the epoch (`auth_time`).
    pub authenticated_at: i64,
    /// The end, in seconds since the epoch.
    pub expires_at: i64,
    /// How, from where, and since when it is idle.
    pub details: SessionDetails,
}

/// A grant that stands, with its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingGrant {
    /// The grant.
    pub grant: Grant,
    /// When it was last used: a request with a token of it (to the minute), or a refresh. In seconds since the epoch.
    pub last_used_at: Option<i64>,
    /// When the last of its codes and tokens ends, as things stand, in seconds since the epoch.
    pub ends_at: i64,
}

/// A change of the registry, whole or not at all.
#[derive(Debug)]
pub enum Change {
    /// A new user; the name must be free.
    AddUser(Box<User>),
    /// A new client; the id must be free.
    AddClient(Box<Client>),
    /// Replaces a client's redirect URIs (the demo's port moved).
    ReplaceClient(Box<Client>),
    /// Removes a client and revokes what it was granted.
    RemoveClient(ClientId),
    /// A user signed in: the session exists from now on, failures are forgotten.
    OpenSession {
        /// The session.
        session: Session,
        /// SHA-256 of its cookie.
        hash: SecretHash,
        /// The counters that begin anew.
        forget: Vec<AttemptKey>,
    },
    /// A user signed out.
    CloseSession(SessionId),
    /// Second factors, passwords, links, locks, and sessions that go on.
    SignIn(Box<SignInChange>),
    /// Identities elsewhere, states that came back, and who acts for whom.
    Federation(Box<FederationChange>),
    /// Letters, and where they go.
    Mail(Box<MailChange>),
    /// Rights that take two people, proposals, and broken glass.
    Safeguard(Box<SafeguardChange>),
    /// A wrong password, or an unknown name: one more failure of each counter, and the wait that follows from it, counted in the
    /// transaction so that none is lost.
    CountFailure {
        /// The counters.
        counters: Vec<(AttemptCounter, AttemptKey)>,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A person allowed an app: the grant and its code.
    AddGrant(Box<Grant>, Box<AuthorizationCode>),
    /// Grants that are over are put away, and then this is done.
    PutGrantsAway {
        /// They must be of no use any more.
        grants: Vec<GrantId>,
        /// What is done with it.
        then: Box<Change>,
    },
    /// A code is presented, rightly or wrongly; it must not have been before. The grant must stand.
    SpendCode {
        /// The code.
        code: SecretHash,
        /// The first refresh token, where the exchange succeeded and the grant allows one.
        refresh: Option<Box<RefreshToken>>,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A refresh token is exchanged for its successor; it must be current. The grant must stand.
    RotateRefresh {
        /// The old one.
        from: SecretHash,
        /// The new one.
        to: Box<RefreshToken>,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A grant ends, with every token of it.
    RevokeGrant {
        /// The grant.
        grant: GrantId,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A client presented an assertion. It is spent, and with it, or not at all, what the client asked for happens; a `jti` that was used
    /// before is the conflict [`ASSERTION_USED`].
    SpendAssertion {
        /// The assertion; shared with whoever has to spend it alone where the rest conflicts.
        assertion: Arc<VerifiedAssertion>,
        /// Now, in seconds since the epoch.
        now: i64,
        /// What the client asked for.
        then: Box<Change>,
    },
    /// An EHR made a launch for an app.
    AddLaunch(Box<Launch>),
    /// An app came with the handle of a launch and got its answer. The handle counts once: it is spent together with what follows, or all of
    /// it is the conflict [`LAUNCH_USED`].
    SpendLaunch {
        /// The hash of the handle.
        launch: SecretHash,
        /// What follows.
        then: Box<Change>,
    },
    /// A client sent a DPoP proof. It is spent, and with it, or not at all, what the client asked for happens; a `jti` that the same key used
    /// before is the conflict [`PROOF_USED`].
    SpendProof {
        /// The proof; shared with whoever has to spend it alone where the rest conflicts.
        proof: Arc<VerifiedProof>,
        /// Now, in seconds since the epoch.
        now: i64,
        /// What the client asked for.
        then: Box<Change>,
    },
    /// An access token of a client on its own behalf serves for these purposes alone, of those that the client is registered for.
    BindPurposes {
        /// The token.
        token: TokenId,
        /// The purposes, the usual one first.
        purposes: Vec<PurposeOfUse>,
        /// When the token ends, in seconds since the epoch.
        expires_at: i64,
    },
    /// One access token ends before its time.
    RevokeToken {
        /// The token.
        token: TokenId,
        /// When it ends anyway, in seconds since the epoch.
        expires_at: i64,
    },
    /// A client registers itself, or what it needs for that changes.
    Registration(RegistrationChange),
    /// An authorization request came ahead of its browser, or goes on with it. There are at most so many ([`TOO_MANY_PUSHED`]).
    AddPushedRequest {
        /// The request.
        request: Box<StoredRequest>,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A browser begins with a pushed request, which must still wait, and goes on under another handle.
    BeginPushedRequest {
        /// The handle that is spent.
        waiting: SecretHash,
        /// What goes on.
        continued: Box<StoredRequest>,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A secret of the server in the place of the one that was read; another one meanwhile is the conflict [`SECRET_CHANGED`].
    ReplaceSecret {
        /// Its name.
        name: &'static str,
        /// The SHA-256 of the one before.
        before: [u8; 32],
        /// The new one.
        after: Secret<Vec<u8>>,
    },
    /// An app keeps, changes or removes a state, as a permit covers it; [`crate::app_state`] names the conflicts.
    AppState(Box<portcullis_policy::AuthorizedAppState<portcullis_policy::AppStateWrite>>),
    /// Somebody confirms the current version of a Consent; [`crate::consents`] names the conflicts.
    ConfirmConsent(Box<ConsentConfirmation>),
    /// Nothing changes, but the event must be as durable as a change: a refusal, a listing.
    Nothing,
}

/// Users, clients, sessions, grants.
pub trait Registry:
    SignInRegistry + FederationRegistry + MailRegistry + SafeguardRegistry + AppStateRegistry + ConsentRegistry + Send + Sync
{
    /// Makes a change durable together with its record.
    fn apply<'a>(&'a self, change: Change, record: &'a PendingRecord) -> BoxFuture<'a, Result<Acknowledgement, RegistryError>>;

    /// What holds about a token at this moment, `now` in seconds since the epoch: reads the grant, the client and the user.
    fn token_status<'a>(&'a self, token: &'a VerifiedToken, now: i64) -> BoxFuture<'a, Result<TokenStatus, RegistryError>>;

    /// A client.
    fn client<'a>(&'a self, id: &'a ClientId) -> BoxFuture<'a, Result<Option<Client>, RegistryError>>;

    /// All clients, by id.
    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, RegistryError>>;

    /// The sandbox clients of a person, the oldest first.
    fn clients_of<'a>(&'a self, owner: &'a UserId) -> BoxFuture<'a, Result<Vec<Client>, RegistryError>>;

    /// Whether a registered redirect URI has this origin (`https://host:port`).
    fn origin_registered<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<bool, RegistryError>>;

    /// A user, by the name to sign in with.
    fn user_named<'a>(&'a self, username: &'a str) -> BoxFuture<'a, Result<Option<User>, RegistryError>>;

    /// A user.
    fn user<'a>(&'a self, id: &'a UserId) -> BoxFuture<'a, Result<Option<User>, RegistryError>>;

    /// What the accounts are called whose record this is, each name once; at most two, which is as good as many.
    fn names_of_record<'a>(&'a self, record: &'a LocalReference) -> BoxFuture<'a, Result<Vec<String>, RegistryError>>;

    /// All users, by name.
    fn users(&self) -> BoxFuture<'_, Result<Vec<User>, RegistryError>>;

    /// An open session, by the hash of its cookie; expired ones too.
    fn session<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<Session>, RegistryError>>;

    /// Whether a session is open, by its id.
    fn session_open<'a>(&'a self, id: &'a SessionId, now: i64) -> BoxFuture<'a, Result<bool, RegistryError>>;

    /// A code as it stands, by its hash.
    fn code<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<CodeState>, RegistryError>>;

    /// A launch as it stands, by the hash of its handle.
    fn launch<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<LaunchState>, RegistryError>>;

    /// A refresh token, by its hash.
    fn refresh<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<RefreshToken>, RegistryError>>;

    /// The client that a registration access token is for, by the hash of the token.
    fn registered_by<'a>(&'a self, token: &'a SecretHash) -> BoxFuture<'a, Result<Option<ClientId>, RegistryError>>;

    /// The initial access tokens, also those that are used up or expired, by id.
    fn initial_access_tokens(&self) -> BoxFuture<'_, Result<Vec<InitialAccessToken>, RegistryError>>;

    /// An authorization request that came ahead of its browser, by the hash of its handle; expired ones too.
    fn pushed_request<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<StoredRequest>, RegistryError>>;

    /// A grant, also one that was revoked.
    fn grant<'a>(&'a self, id: &'a GrantId) -> BoxFuture<'a, Result<Option<Grant>, RegistryError>>;

    /// The counters of wrong passwords under these keys, in their order.
    fn lockouts<'a>(&'a self, keys: &'a [AttemptKey]) -> BoxFuture<'a, Result<Vec<Lockout>, RegistryError>>;

    /// Notes that a token of this grant was used. It is stored at most once a minute and grant, and soon instead of at once: each request has
    /// its own record, and this only saves whoever looks at the grants from searching for the last one.
    fn note_use(&self, grant: &GrantId, now: i64);

    /// The grants that a user gave and that were not revoked, newest first; also those whose tokens have ended.
    fn grants_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<StandingGrant>, RegistryError>>;

    /// A secret of the server (signing keys), sealed at rest; made by `generate` where there is none yet.
    fn server_secret(
        &self,
        name: &'static str,
        generate: &(dyn Fn() -> Option<Vec<u8>> + Sync),
    ) -> Result<Secret<Vec<u8>>, RegistryError>;
}
