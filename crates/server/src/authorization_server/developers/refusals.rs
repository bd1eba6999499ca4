//! The last refusals of sandbox clients, kept in memory for the people who own them.
//!
//! What is kept is what the client was told and what to change; nothing of a request's content, nobody's name, no resource's id. It is a help for
//! developers and no record: it is bounded, begins anew with the process, and is this node's alone. The record of each refusal is in the ledger.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_oauth::identifiers::ClientId;
use serde::{Deserialize, Serialize};

/// The most refusals that are kept of one client.
pub const PER_CLIENT: usize = 50;
/// The most clients of which refusals are kept; the one that was quiet for longest makes room.
pub const CLIENTS: usize = 500;

/// One refusal, or several in a row that differ in nothing but their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRefusal {
    /// When, the last time, in seconds since the epoch.
    pub at: i64,
    /// How often in a row.
    pub times: u32,
    /// Where: "POST /oauth/token".
    pub endpoint: String,
    /// The error code on the wire.
    pub code: String,
    /// What was wrong, as the client was told.
    pub wrong: String,
    /// What to change.
    pub remedy: String,
}

impl SandboxRefusal {
    fn repeats(&self, other: &Self) -> bool {
        (&self.endpoint, &self.code, &self.wrong, &self.remedy) == (&other.endpoint, &other.code, &other.wrong, &other.remedy)
    }
}

/// The refusals of all sandbox clients.
#[derive(Debug, Default)]
pub struct SandboxRefusals(Mutex<HashMap<ClientId, VecDeque<SandboxRefusal>>>);

impl SandboxRefusals {
    /// Keeps a refusal; the caller knows that the client is a sandbox client.
    pub fn note(&self, client: &ClientId, refusal: SandboxRefusal) {
        let mut rings = self.rings();
        if !rings.contains_key(client) && rings.len() >= CLIENTS {
            let last = |ring: &VecDeque<SandboxRefusal>| ring.back().map_or(i64::MIN, |refusal| refusal.at);
            let quietest = rings.iter().min_by_key(|(_, ring)| last(ring)).map(|(client, _)| client.clone());
            if let Some(quietest) = quietest {
                rings.remove(&quietest);
            }
        }
        let ring = rings.entry(client.clone()).or_default();
        if let Some(last) = ring.back_mut().filter(|last| last.repeats(&refusal)) {
            last.at = refusal.at;
            last.times = last.times.saturating_add(1);
            return;
        }
        if ring.len() >= PER_CLIENT {
            ring.pop_front();
        }
        ring.push_back(refusal);
    }

    /// The refusals of a client, the newest first.
    pub fn of(&self, client: &ClientId) -> Vec<SandboxRefusal> {
        self.rings().get(client).map(|ring| ring.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a client that is removed.
    pub fn forget(&self, client: &ClientId) {
        self.rings().remove(client);
    }

    fn rings(&self) -> MutexGuard<'_, HashMap<ClientId, VecDeque<SandboxRefusal>>> {
        // Every change of the map is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClientId {
        ClientId::parse(text).unwrap()
    }

    fn refusal(at: i64, code: &str) -> SandboxRefusal {
        let text = || "x".to_owned();
        SandboxRefusal { at, times: 1, endpoint: text(), code: code.to_owned(), wrong: text(), remedy: text() }
    }

    #[test]
    fn one_client_keeps_fifty_and_nothing_of_another() {
        let refusals = SandboxRefusals::default();
        for number in 0..70 {
            refusals.note(&id("a"), refusal(number, &format!("code-{number}")));
        }
        let kept = refusals.of(&id("a"));
        assert_eq!((kept.len(), kept[0].at, kept[49].at), (PER_CLIENT, 69, 20));
        assert!(refusals.of(&id("b")).is_empty());
        refusals.forget(&id("a"));
        assert!(refusals.of(&id("a")).is_empty());
    }

    #[test]
    fn the_same_again_is_counted_and_does_not_push_others_out() {
        let refusals = SandboxRefusals::default();
        refusals.note(&id("a"), refusal(1, "first"));
        for at in 2..1000 {
            refusals.note(&id("a"), refusal(at, "again"));
        }
        let kept = refusals.of(&id("a"));
        assert_eq!((kept.len(), kept[0].times, kept[0].at, kept[1].code.as_str()), (2, 998, 999, "first"));
    }

    #[test]
    fn the_memory_is_bounded_whoever_is_refused() {
        let refusals = SandboxRefusals::default();
        for number in 0..i64::try_from(CLIENTS).unwrap() + 5 {
            refusals.note(&id(&format!("client-{number}")), refusal(number, "x"));
        }
        assert_eq!(refusals.rings().len(), CLIENTS);
        assert!(refusals.of(&id("client-0")).is_empty(), "the quietest made room");
        assert_eq!(refusals.of(&id("client-504")).len(), 1);
    }
}
