//! One change inside the writer's savepoint: what it rests on is checked first, and every error undoes all of it.

use std::sync::Arc;

use portcullis_store::StoreError;
use portcullis_store::client_registration::RegistrationChange;
use portcullis_store::federation::FederationChange;
use portcullis_store::mail::MailChange;
use portcullis_store::registry::Change;
use rusqlite::Connection;
use serde::Deserialize;

use super::{
    app_state, assertions, attempts, clients, codes, consents, federation, grants, launches, mail, pushed_requests, refresh,
    registrations, safeguards, secrets, sessions, sign_in, users,
};
use crate::sqlite::seal::Seal;

/// The time of a record that is stored with a change, in seconds since the epoch: the "now" of changes that carry none.
pub fn recorded_at(record: &[u8]) -> Result<i64, StoreError> {
    #[derive(Deserialize)]
    struct Recorded {
        recorded: i64,
    }
    let Recorded { recorded } =
        serde_json::from_slice(record).map_err(|_| StoreError::Corrupt("a record without its time".into()))?;
    Ok(recorded.div_euclid(1000))
}

/// Makes the change, or says why it cannot be made.
pub fn apply(connection: &Connection, seal: &Arc<Seal>, change: &Change, now: i64) -> Result<(), StoreError> {
    match change {
        Change::AddUser(user) => users::add(connection, user),
        Change::AddClient(client) => clients::add(connection, client),
        Change::ReplaceClient(client) => clients::replace(connection, client),
        Change::RemoveClient(client) => {
            clients::remove(connection, client)?;
            grants::revoke_of_client(connection, client, now)
        }
        Change::OpenSession { session, hash, forget } => {
            attempts::forget(connection, forget)?;
            sessions::open(connection, session, hash)
        }
        Change::CloseSession(session) => sessions::close(connection, session),
        Change::SignIn(change) => sign_in::apply(connection, seal, change, now),
        Change::CountFailure { counters, now } => attempts::count_failure(connection, counters, *now),
        Change::AddGrant(grant, code) => {
            sign_in::check_consent(connection, grant)?;
            grants::add(connection, grant)?;
            sign_in::note_methods(connection, grant)?;
            codes::add(connection, code, grant)
        }
        Change::PutGrantsAway { grants, then } => {
            grants.iter().try_for_each(|grant| grants::revoke(connection, grant, now))?;
            apply(connection, seal, then, now)
        }
        Change::SpendCode { code, refresh, now } => {
            let grant = codes::spend(connection, code)?;
            if let Some(token) = refresh {
                refresh::add(connection, token, &grant)?;
            }
            grants::issued(connection, &grant, *now)
        }
        Change::RotateRefresh { from, to, now } => {
            let grant = refresh::supersede(connection, from)?;
            refresh::add(connection, to, &grant)?;
            grants::issued(connection, &grant, *now)?;
            grants::used(connection, &grant.id, *now)
        }
        Change::RevokeGrant { grant, now } => grants::revoke(connection, grant, *now),
        Change::SpendAssertion { assertion, now: presented, then } => {
            assertions::spend(connection, assertion, *presented)?;
            apply(connection, seal, then, now)
        }
        Change::SpendProof { proof, now: presented, then } => {
            assertions::spend_proof(connection, proof, *presented)?;
            apply(connection, seal, then, now)
        }
        Change::AddLaunch(launch) => launches::add(connection, launch),
        Change::SpendLaunch { launch, then } => {
            launches::spend(connection, launch)?;
            apply(connection, seal, then, now)
        }
        Change::BindPurposes { token, purposes, expires_at } => {
            assertions::bind_purposes(connection, token, purposes, *expires_at)
        }
        Change::RevokeToken { token, expires_at } => assertions::revoke_token(connection, token, *expires_at),
        Change::Registration(change) => {
            registrations::apply(connection, change)?;
            match change {
                RegistrationChange::OfOwner { then, .. } | RegistrationChange::IfUnchanged { then, .. } => {
                    apply(connection, seal, then, now)
                }
                _ => Ok(()),
            }
        }
        Change::AddPushedRequest { request, now } => pushed_requests::add(connection, request, *now),
        Change::BeginPushedRequest { waiting, continued, now } => pushed_requests::begin(connection, waiting, continued, *now),
        Change::Federation(change) => {
            federation::apply(connection, change, now)?;
            match &**change {
                FederationChange::SpendState { then, .. } | FederationChange::SignIn { then, .. } => {
                    apply(connection, seal, then, now)
                }
                _ => Ok(()),
            }
        }
        Change::Mail(change) => {
            mail::apply(connection, seal, change, now)?;
            match &**change {
                MailChange::Tell { then, .. } => apply(connection, seal, then, now),
                _ => Ok(()),
            }
        }
        Change::Safeguard(change) => safeguards::apply(connection, seal, change, now),
        Change::ReplaceSecret { name, before, after } => secrets::replace(connection, seal, name, (before, after)),
        Change::AppState(write) => app_state::apply(connection, seal, write),
        Change::ConfirmConsent(confirmation) => consents::confirm(connection, seal, confirmation, now),
        Change::Nothing => Ok(()),
    }
}
