//! `SqliteRegistry`: users, clients, sessions and grants in the same file as the FHIR tables, behind the same writer and readers.
//!
//! A change checks what it rests on, is made, and stores its audit record in one savepoint of the writer; the acknowledgement is of the bytes as
//! they were stored, after the COMMIT. Reads are single statements, so each sees one state of the file.

mod app_state;
mod assertions;
mod attempts;
mod change;
pub(super) mod client_cache;
mod clients;
mod codes;
mod consents;
mod expiry;
mod factors;
mod federation;
mod grants;
mod launches;
mod mail;
mod pushed_requests;
mod refresh;
mod registrations;
mod representations;
mod safeguards;
mod secrets;
mod sessions;
mod sign_in;
pub mod spent;
mod statements;
mod token_status;
mod users;
mod uses;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_audit::{Acknowledgement, PendingRecord};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use portcullis_oauth::access_token::VerifiedToken;
use portcullis_oauth::approval::{ChangeKind, PendingChange};
use portcullis_oauth::break_glass::GlassEntry;
use portcullis_oauth::clients::Client;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::grant::{CodeState, Grant, RefreshToken, SecretHash};
use portcullis_oauth::identifiers::{ClientId, GrantId, SessionId, UserId};
use portcullis_oauth::launch::LaunchState;
use portcullis_oauth::lockout::{AttemptKey, Lockout};
use portcullis_oauth::principal::TokenStatus;
use portcullis_oauth::pushed_request::StoredRequest;
use portcullis_oauth::session::Methods;
use portcullis_oauth::users::User;
use portcullis_policy::{AppState, AppStateLookup, AuthorizedAppState, Unreleased};
use portcullis_store::app_state::AppStateRegistry;
use portcullis_store::client_registration::InitialAccessToken;
use portcullis_store::consents::{ConsentEntry, ConsentRegistry, ConsentsListed};
use portcullis_store::federation::{FederationRegistry, LinkedIdentity};
use portcullis_store::mail::{LetterState, MailOverview, MailRegistry, PersonalAddress, WaitingLetter};
use portcullis_store::registry::{Change, Session, StandingGrant};
use portcullis_store::safeguards::{GivenEntitlement, SafeguardRegistry};
use portcullis_store::sign_in::{OneTimeLink, Passkey, SignInMeans, SignInRegistry};
use portcullis_store::{BoxFuture, Registry, RegistryError, StoreError};
use rusqlite::Connection;

use super::outbox;
use super::readers::Readers;
use super::seal::Seal;
use super::store::SqliteStore;
use super::writer::Writer;
use client_cache::ClientCache;
use statements::registry_error;

/// Every how many changes what has expired is removed.
const CHANGES_PER_REMOVAL: u64 = 64;

/// The registry in the file of a [`SqliteStore`].
#[derive(Debug)]
pub struct SqliteRegistry {
    writer: Arc<Writer>,
    readers: Readers,
    seal: Arc<Seal>,
    /// Told of each record that got into the outbox.
    filled: Arc<tokio::sync::Notify>,
    /// Told of each change that may have stored a letter.
    letters: tokio::sync::Notify,
    changes: AtomicU64,
    uses: uses::Uses,
    /// Shared by all registries of the store.
    clients: Arc<ClientCache>,
}

impl SqliteRegistry {
    /// The registry that shares the store's writer, readers and keys.
    pub fn new(store: &SqliteStore) -> Self {
        Self {
            writer: Arc::clone(store.writer()),
            readers: store.readers().clone(),
            seal: Arc::clone(store.seal()),
            filled: Arc::clone(store.filled()),
            letters: tokio::sync::Notify::new(),
            changes: AtomicU64::new(0),
            uses: uses::Uses::default(),
            clients: Arc::clone(store.clients()),
        }
    }

    /// A read of microseconds, on the calling thread.
    fn point<'a, T, F>(&'a self, work: F) -> BoxFuture<'a, Result<T, RegistryError>>
    where
        T: Send + 'a,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'a,
    {
        Box::pin(async move { self.readers.with(work).map_err(registry_error) })
    }

    /// A listing, on a blocking thread.
    fn listing<T, F>(&self, work: F) -> BoxFuture<'_, Result<T, RegistryError>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Box::pin(async move { self.readers.blocking(work).await.map_err(registry_error) })
    }
}

impl Registry for SqliteRegistry {
    fn apply<'a>(&'a self, change: Change, record: &'a PendingRecord) -> BoxFuture<'a, Result<Acknowledgement, RegistryError>> {
        let removal_is_due = self.changes.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHANGES_PER_REMOVAL);
        let tells = matches!(change, Change::Mail(_));
        let (id, bytes) = (record.id().0.clone(), record.bytes().to_vec());
        let (seal, clients) = (Arc::clone(&self.seal), Arc::clone(&self.clients));
        let applied = self.writer.run_sized(bytes.len(), move |connection| {
            let now = change::recorded_at(&bytes)?;
            // It goes back with the result, which nobody gets, or drops, before the COMMIT has returned.
            let changing = clients.changing(&change);
            change::apply(connection, &seal, &change, now)?;
            if removal_is_due {
                expiry::remove_expired(connection, now)?;
            }
            Ok((outbox::store_bytes(connection, &id, &bytes)?, changing))
        });
        Box::pin(async move {
            let (stored, changing) = applied.await.map_err(registry_error)?;
            drop(changing);
            self.filled.notify_one();
            if tells {
                self.letters.notify_one();
            }
            Ok(Acknowledgement::of_stored(&stored))
        })
    }

    fn token_status<'a>(&'a self, token: &'a VerifiedToken, now: i64) -> BoxFuture<'a, Result<TokenStatus, RegistryError>> {
        self.point(move |connection| token_status::read(connection, token, now))
    }

    fn client<'a>(&'a self, id: &'a ClientId) -> BoxFuture<'a, Result<Option<Client>, RegistryError>> {
        let read = || self.readers.with(|connection| clients::by_id(connection, id));
        let found = self.clients.find(id, read).map_err(registry_error);
        Box::pin(std::future::ready(found))
    }

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, RegistryError>> {
        self.listing(clients::all)
    }

    fn clients_of<'a>(&'a self, owner: &'a UserId) -> BoxFuture<'a, Result<Vec<Client>, RegistryError>> {
        self.point(|connection| clients::of_owner(connection, owner))
    }

    fn origin_registered<'a>(&'a self, origin: &'a str) -> BoxFuture<'a, Result<bool, RegistryError>> {
        self.point(|connection| clients::origin_registered(connection, origin))
    }

    fn user_named<'a>(&'a self, username: &'a str) -> BoxFuture<'a, Result<Option<User>, RegistryError>> {
        self.point(|connection| users::by_name(connection, username))
    }

    fn user<'a>(&'a self, id: &'a UserId) -> BoxFuture<'a, Result<Option<User>, RegistryError>> {
        self.point(|connection| users::by_id(connection, id))
    }

    fn names_of_record<'a>(&'a self, record: &'a LocalReference) -> BoxFuture<'a, Result<Vec<String>, RegistryError>> {
        self.point(|connection| users::names_of_record(connection, record))
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<User>, RegistryError>> {
        self.listing(users::all)
    }

    fn session<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<Session>, RegistryError>> {
        self.point(|connection| sessions::by_hash(connection, hash))
    }

    fn session_open<'a>(&'a self, id: &'a SessionId, now: i64) -> BoxFuture<'a, Result<bool, RegistryError>> {
        self.point(move |connection| sessions::is_open(connection, id, now))
    }

    fn code<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<CodeState>, RegistryError>> {
        self.point(|connection| codes::by_hash(connection, hash))
    }

    fn launch<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<LaunchState>, RegistryError>> {
        self.point(|connection| launches::by_hash(connection, hash))
    }

    fn refresh<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<RefreshToken>, RegistryError>> {
        self.point(|connection| refresh::by_hash(connection, hash))
    }

    fn registered_by<'a>(&'a self, token: &'a SecretHash) -> BoxFuture<'a, Result<Option<ClientId>, RegistryError>> {
        self.point(|connection| registrations::by_token(connection, token))
    }

    fn initial_access_tokens(&self) -> BoxFuture<'_, Result<Vec<InitialAccessToken>, RegistryError>> {
        self.listing(registrations::initial_tokens)
    }

    fn pushed_request<'a>(&'a self, hash: &'a SecretHash) -> BoxFuture<'a, Result<Option<StoredRequest>, RegistryError>> {
        self.point(|connection| pushed_requests::by_hash(connection, hash))
    }

    fn grant<'a>(&'a self, id: &'a GrantId) -> BoxFuture<'a, Result<Option<Grant>, RegistryError>> {
        self.point(|connection| grants::by_id(connection, id))
    }

    fn lockouts<'a>(&'a self, keys: &'a [AttemptKey]) -> BoxFuture<'a, Result<Vec<Lockout>, RegistryError>> {
        self.point(|connection| keys.iter().map(|key| attempts::by_key(connection, key)).collect())
    }

    fn note_use(&self, grant: &GrantId, now: i64) {
        if !self.uses.is_news(grant, now) {
            return;
        }
        let grant = grant.clone();
        // Submitted at once; whoever asked for data does not wait until it is stored.
        drop(self.writer.run(move |connection| grants::used(connection, &grant, now)));
    }

    fn grants_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<StandingGrant>, RegistryError>> {
        self.point(|connection| grants::standing_of(connection, user))
    }

    fn server_secret(
        &self,
        name: &'static str,
        generate: &(dyn Fn() -> Option<Vec<u8>> + Sync),
    ) -> Result<Secret<Vec<u8>>, RegistryError> {
        let found = self.readers.with(|connection| secrets::find(connection, &self.seal, name)).map_err(registry_error)?;
        if let Some(secret) = found {
            return Ok(secret);
        }
        let generated =
            generate().map(Secret::new).ok_or_else(|| RegistryError::Unavailable("the secret could not be generated".into()))?;
        let sealed = secrets::seal(&self.seal, name, &generated).map_err(registry_error)?;
        let seal = Arc::clone(&self.seal);
        let kept = self.writer.run_blocking(move |connection| secrets::keep_first(connection, &seal, name, &sealed));
        kept.map_err(registry_error)
    }
}

impl FederationRegistry for SqliteRegistry {
    fn state_spent<'a>(&'a self, state: &'a SecretHash) -> BoxFuture<'a, Result<bool, RegistryError>> {
        self.point(|connection| federation::is_spent(connection, state))
    }

    fn federated_user<'a>(&'a self, issuer: &'a str, subject: &'a str) -> BoxFuture<'a, Result<Option<UserId>, RegistryError>> {
        self.point(|connection| federation::user_of(connection, issuer, subject))
    }

    fn identities_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<LinkedIdentity>, RegistryError>> {
        self.point(|connection| federation::of_user(connection, user))
    }
}

impl SignInRegistry for SqliteRegistry {
    fn sign_in_means<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<SignInMeans, RegistryError>> {
        self.point(|connection| factors::means(connection, &self.seal, user))
    }

    fn passkey<'a>(&'a self, id: &'a [u8]) -> BoxFuture<'a, Result<Option<(UserId, Passkey)>, RegistryError>> {
        self.point(|connection| factors::passkey(connection, id))
    }

    fn sessions_of<'a>(&'a self, user: &'a UserId, now: i64) -> BoxFuture<'a, Result<Vec<Session>, RegistryError>> {
        self.point(move |connection| sessions::of(connection, user, now))
    }

    fn note_session_use(&self, session: &Session, now: i64) {
        if now.saturating_sub(session.details.last_used_at) < uses::EXACTNESS_SECONDS {
            return;
        }
        let id = session.id.clone();
        drop(self.writer.run(move |connection| sessions::used(connection, &id, now)));
    }

    fn one_time_link<'a>(&'a self, hash: &'a SecretHash, now: i64) -> BoxFuture<'a, Result<Option<OneTimeLink>, RegistryError>> {
        self.point(move |connection| sign_in::link(connection, hash, now))
    }

    fn methods_of_grant<'a>(&'a self, grant: &'a GrantId) -> BoxFuture<'a, Result<Option<Methods>, RegistryError>> {
        self.point(|connection| sign_in::methods_of_grant(connection, grant))
    }
}

impl AppStateRegistry for SqliteRegistry {
    fn app_states(
        &self,
        lookup: AuthorizedAppState<AppStateLookup>,
    ) -> BoxFuture<'_, Result<Unreleased<Vec<AppState>>, RegistryError>> {
        let seal = Arc::clone(&self.seal);
        self.listing(move |connection| app_state::find(connection, &seal, &lookup))
    }
}

impl ConsentRegistry for SqliteRegistry {
    fn consents(&self, which: ConsentsListed) -> BoxFuture<'_, Result<Vec<ConsentEntry>, RegistryError>> {
        let seal = Arc::clone(&self.seal);
        self.listing(move |connection| consents::list(connection, &seal, &which))
    }
}

impl SafeguardRegistry for SqliteRegistry {
    fn entitlements_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<Entitlement>, RegistryError>> {
        self.point(|connection| safeguards::entitlements_of(connection, user))
    }

    fn entitlements(&self) -> BoxFuture<'_, Result<Vec<GivenEntitlement>, RegistryError>> {
        self.listing(safeguards::entitlements)
    }

    fn ever_entitled(&self, entitlement: Entitlement) -> BoxFuture<'_, Result<u32, RegistryError>> {
        self.point(move |connection| safeguards::ever(connection, entitlement))
    }

    fn pending_changes(&self, now: i64) -> BoxFuture<'_, Result<Vec<PendingChange>, RegistryError>> {
        self.listing(move |connection| safeguards::pending_changes(connection, now))
    }

    fn pending_change<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<PendingChange>, RegistryError>> {
        self.point(|connection| safeguards::pending_change(connection, id))
    }

    fn approved_change<'a>(
        &'a self,
        kind: ChangeKind,
        digest: &'a str,
        now: i64,
    ) -> BoxFuture<'a, Result<Option<PendingChange>, RegistryError>> {
        self.point(move |connection| safeguards::approved(connection, (kind, digest), now))
    }

    fn broken_glass(&self, now: i64) -> BoxFuture<'_, Result<Vec<GlassEntry>, RegistryError>> {
        self.listing(move |connection| safeguards::broken_glass(connection, now))
    }

    fn broken_glass_of<'a>(&'a self, patient: &'a LogicalId, now: i64) -> BoxFuture<'a, Result<Vec<GlassEntry>, RegistryError>> {
        self.point(move |connection| safeguards::broken_glass_of(connection, patient, now))
    }

    fn glass_entry<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GlassEntry>, RegistryError>> {
        self.point(|connection| safeguards::glass_entry(connection, id))
    }
}

impl MailRegistry for SqliteRegistry {
    fn address_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Option<PersonalAddress>, RegistryError>> {
        self.point(|connection| mail::address(connection, user))
    }

    fn people_at<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Vec<UserId>, RegistryError>> {
        self.point(|connection| mail::people_at(connection, address))
    }

    fn due_letters(&self, now: i64, limit: u32) -> BoxFuture<'_, Result<Vec<WaitingLetter>, RegistryError>> {
        let seal = Arc::clone(&self.seal);
        self.listing(move |connection| mail::due(connection, &seal, now, limit))
    }

    fn try_letter<'a>(&'a self, id: &'a str, due_at: i64) -> BoxFuture<'a, Result<(), RegistryError>> {
        let id = id.to_owned();
        let noted = self.writer.run(move |connection| mail::attempt(connection, &id, due_at));
        Box::pin(async move { noted.await.map_err(registry_error) })
    }

    fn mail_overview(&self, now: i64) -> BoxFuture<'_, Result<MailOverview, RegistryError>> {
        self.listing(move |connection| mail::overview(connection, now))
    }

    fn letters_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<LetterState>, RegistryError>> {
        self.point(|connection| mail::states(connection, user))
    }

    fn letter_stored(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.letters.notified())
    }
}

#[cfg(test)]
mod tests;
