//! Clients as they were read, so that a request of a client does not read and parse its registration anew.
//!
//! What is found here is what the database says. Whatever may change a client marks the cache on the writer's thread, inside its transaction, before it
//! changes anything, and until its COMMIT has returned or failed: meanwhile every look-up reads. What was read before or meanwhile is not
//! found afterwards. Changes count as such unless they are known to leave clients alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_oauth::clients::Client;
use portcullis_oauth::identifiers::ClientId;
use portcullis_store::StoreError;
use portcullis_store::registry::Change;

use crate::sqlite::generations::Generations;

/// Clients in each of the two generations.
const REMEMBERED: usize = 128;

/// The clients that were asked for last.
#[derive(Debug)]
pub struct ClientCache {
    /// Grows when a change begins and when it has ended.
    epoch: AtomicU64,
    /// Changes that are being made: at most one writer makes them, but those whom it answers may be slow to hear of it.
    changing: AtomicU64,
    clients: Mutex<Generations<ClientId, (u64, Arc<Client>)>>,
}

impl Default for ClientCache {
    fn default() -> Self {
        let clients = Mutex::new(Generations::new(REMEMBERED));
        Self { epoch: AtomicU64::new(0), changing: AtomicU64::new(0), clients }
    }
}

impl ClientCache {
    /// The client as it is remembered, or as it is read.
    pub fn find(
        &self,
        id: &ClientId,
        read: impl FnOnce() -> Result<Option<Client>, StoreError>,
    ) -> Result<Option<Client>, StoreError> {
        let Some(epoch) = self.settled() else { return read() };
        let remembered = self.clients.lock().unwrap_or_else(PoisonError::into_inner).find(id);
        if let Some((_, client)) = remembered.filter(|(of, _)| *of == epoch) {
            return Ok(Some(Client::clone(&client)));
        }
        let found = read()?;
        if let Some(client) = &found {
            // Under the epoch of before the reading: a change that began since has made it void.
            let entry = (epoch, Arc::new(client.clone()));
            self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), entry);
        }
        Ok(found)
    }

    /// To be called inside the transaction of a change before anything is changed, and dropped when it is durable or undone.
    pub fn changing(self: &Arc<Self>, change: &Change) -> Option<Changing> {
        if leaves_clients(change) {
            return None;
        }
        self.changing.fetch_add(1, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Some(Changing(Arc::clone(self)))
    }

    /// The epoch, where no change is being made.
    fn settled(&self) -> Option<u64> {
        // In this order: whoever sees the end of a change sees its epoch, too.
        let changing = self.changing.load(Ordering::SeqCst);
        let epoch = self.epoch.load(Ordering::SeqCst);
        (changing == 0).then_some(epoch)
    }
}

/// A change of clients is being made.
#[derive(Debug)]
#[must_use]
pub struct Changing(Arc<ClientCache>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.changing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a change is one of those that are made often and change no client.
fn leaves_clients(change: &Change) -> bool {
    match change {
        Change::Nothing
        | Change::OpenSession { .. }
        | Change::CountFailure { .. }
        | Change::AddGrant(..)
        | Change::SpendCode { .. }
        | Change::BindPurposes { .. }
        | Change::RotateRefresh { .. }
        | Change::RevokeGrant { .. } => true,
        Change::SpendAssertion { then, .. } | Change::SpendProof { then, .. } | Change::PutGrantsAway { then, .. } => {
            leaves_clients(then)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_oauth::clients::{ClientKind, GrantType};
    use portcullis_oauth::redirect_uri::RedirectUri;
    use portcullis_oauth::scopes::ScopeSet;

    use super::*;

    fn client(name: &str) -> Client {
        Client {
            id: id(),
            name: name.to_owned(),
            kind: ClientKind::Public,
            redirect_uris: vec![RedirectUri::parse("https://app.example/callback").unwrap()],
            scope: ScopeSet::parse("patient/*.rs").unwrap(),
            grant_types: vec![GrantType::AuthorizationCode],
            created_at: 1,
            properties: Default::default(),
        }
    }

    fn id() -> ClientId {
        ClientId::parse("app").unwrap()
    }

    fn name(cache: &ClientCache, stored: &str) -> String {
        cache.find(&id(), || Ok(Some(client(stored)))).unwrap().unwrap().name
    }

    #[test]
    fn a_client_is_read_once_until_something_changes() {
        let cache = Arc::new(ClientCache::default());
        assert_eq!(name(&cache, "first"), "first");
        assert_eq!(name(&cache, "second"), "first", "nothing said that it changed");
        let removal = Change::RemoveClient(id());
        let changing = cache.changing(&removal).unwrap();
        assert_eq!(name(&cache, "before the commit"), "before the commit", "read while it changes");
        drop(changing);
        assert_eq!(name(&cache, "second"), "second");
        assert!(cache.find(&ClientId::parse("nobody").unwrap(), || Ok(None)).unwrap().is_none());
    }

    #[test]
    fn what_was_read_while_a_change_began_or_ended_is_not_kept() {
        let cache = Arc::new(ClientCache::default());
        let removal = Change::RemoveClient(id());
        let began_meanwhile = cache.find(&id(), || {
            drop(cache.changing(&removal));
            Ok(Some(client("of before")))
        });
        assert_eq!(began_meanwhile.unwrap().unwrap().name, "of before");
        assert_eq!(name(&cache, "of after"), "of after");
        let (first, second) = (cache.changing(&removal), cache.changing(&removal));
        drop(first);
        assert_eq!(name(&cache, "of the second"), "of the second", "another change is still being made");
        drop(second);
        assert_eq!(name(&cache, "of both"), "of both");
    }

    #[test]
    fn only_changes_that_are_known_to_leave_clients_alone_do() {
        let cache = Arc::new(ClientCache::default());
        let (app, now) = (client("app"), 1);
        assert!(cache.changing(&Change::Nothing).is_none());
        assert!(cache.changing(&Change::CountFailure { counters: Vec::new(), now }).is_none());
        for change in [Change::AddClient(Box::new(app.clone())), Change::ReplaceClient(Box::new(app)), Change::RemoveClient(id())]
        {
            assert!(cache.changing(&change).is_some(), "{change:?}");
        }
    }
}
