//! Requests that nobody authenticated: recorded one by one up to a limit per network and second, then as one record with a count.
//!
//! A stranger must not be able to fill the ledger (DESIGN: "Refusals without authentication"), by whatever route: FHIR, pages, the token endpoint, paths
//! that do not exist. What is over the limit is answered 429. A token that this server signed, expired or revoked, is counted apart, so that an app learns
//! that it needs a new one also while somebody floods from the same network. Counts are written every second, and when the server stops.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_audit::LedgerError;
use portcullis_audit::record::{Agent, Event, Outcome, Record, RecordId};

use crate::context::Server;

/// Requests of one network that are recorded one by one in a second.
const RECORDED: u32 = 100;
/// How long the others are gathered before they are recorded together.
const GATHERED: Duration = Duration::from_secs(1);
/// Networks that are told apart at one moment; with more, the newest share one count.
const NETWORKS: usize = 4096;

/// A request that goes into a common record. Made only here; it allows one fixed answer.
#[derive(Debug)]
pub struct Gathered(());

/// What becomes of a request without authentication.
#[derive(Debug)]
pub enum Admission {
    /// It is recorded by itself.
    Record,
    /// It is counted; the record follows within a second or two.
    Gather(Gathered),
}

/// How much is known of whoever is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing.
    Stranger,
    /// The token is one of ours, and no longer good.
    Former,
}

/// What is counted together. Networks beyond [`NETWORKS`] have no address here.
type Key = (Option<IpAddr>, Standing);

/// The counts of the current second.
#[derive(Debug, Default)]
pub struct Refusals {
    windows: Mutex<HashMap<Key, Window>>,
    /// Held while counts are written, so that none is written twice.
    writing: tokio::sync::Mutex<()>,
    /// Whether something was gathered that no task has looked at.
    waiting: AtomicBool,
    /// Whether a task writes what is gathered.
    followed: AtomicBool,
}

#[derive(Debug)]
struct Window {
    second: i64,
    recorded: u32,
    gathered: u32,
}

impl Refusals {
    fn count(&self, network: IpAddr, standing: Standing, second: i64) -> Admission {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= NETWORKS {
            windows.retain(|_, window| window.second == second || window.gathered > 0);
        }
        let own = (Some(network), standing);
        let key = if windows.len() < NETWORKS || windows.contains_key(&own) { own } else { (None, standing) };
        let window = windows.entry(key).or_insert(Window { second, recorded: 0, gathered: 0 });
        if window.gathered == 0 && window.second != second {
            *window = Window { second, recorded: 0, gathered: 0 };
        }
        if window.gathered == 0 && window.recorded < RECORDED {
            window.recorded += 1;
            return Admission::Record;
        }
        window.gathered = window.gathered.saturating_add(1);
        self.waiting.store(true, Ordering::SeqCst);
        Admission::Gather(Gathered(()))
    }

    fn gathered(&self) -> Vec<(Key, u32)> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.iter().filter(|(_, window)| window.gathered > 0).map(|(key, window)| (*key, window.gathered)).collect()
    }

    /// Takes from a count what was written of it.
    fn settle(&self, key: Key, written: u32) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(&key) {
            window.gathered = window.gathered.saturating_sub(written);
        }
    }
}

/// Decides how a request of this address is recorded that nobody authenticated.
pub fn admit(server: &Server, address: IpAddr, standing: Standing) -> Admission {
    server.refusals.count(network_of(address), standing, server.clock.now_seconds())
}

/// Records that a peer sent what is no request, or counts it.
pub async fn record_unreadable(server: &Server, address: IpAddr) {
    if let Admission::Gather(_) = admit(server, address, Standing::Stranger) {
        return;
    }
    let record = Record {
        agent: Agent { address: Some(address.to_canonical().to_string()), ..Agent::default() },
        outcome: Outcome::Rejected,
        status: 400,
        detail: Some("what was sent is no HTTP request, or has too large headers".to_owned()),
        ..gathered_record(server, (None, Standing::Stranger), 0)
    };
    if let Err(error) = server.ledger.append(record).await {
        tracing::error!(%error, "a request that could not be read is not recorded");
    }
}

/// Sees to it that what was gathered is written soon. Called after every answer; costs nothing while nothing is gathered.
pub fn follow(server: &Arc<Server>) {
    let refusals = &server.refusals;
    if !refusals.waiting.load(Ordering::SeqCst) || refusals.followed.swap(true, Ordering::SeqCst) {
        return;
    }
    let server = Arc::clone(server);
    tokio::spawn(async move {
        let refusals = &server.refusals;
        loop {
            tokio::time::sleep(GATHERED).await;
            refusals.waiting.store(false, Ordering::SeqCst);
            if let Err(error) = flush(&server).await {
                tracing::error!(%error, "gathered refusals wait to be recorded");
                refusals.waiting.store(true, Ordering::SeqCst);
                continue;
            }
            refusals.followed.store(false, Ordering::SeqCst);
            // What was gathered since the flush has found this task still following.
            if !refusals.waiting.load(Ordering::SeqCst) || refusals.followed.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    });
}

/// Writes what is gathered. What cannot be written stays counted.
pub async fn flush(server: &Server) -> Result<(), LedgerError> {
    let _alone = server.refusals.writing.lock().await;
    for (key, count) in server.refusals.gathered() {
        server.ledger.append(gathered_record(server, key, count)).await?;
        server.refusals.settle(key, count);
    }
    Ok(())
}

fn gathered_record(server: &Server, (network, standing): Key, count: u32) -> Record {
    let whose = match standing {
        Standing::Stranger => "without authentication",
        Standing::Former => "with tokens that are no longer good",
    };
    Record {
        id: RecordId(format!("{:032x}", server.random_u128())),
        recorded: server.clock.now_milliseconds(),
        event: Event::Refused,
        agent: Agent { address: network.map(|network| network.to_string()), ..Agent::default() },
        outcome: Outcome::Denied,
        status: 429,
        decision: None,
        rules: Vec::new(),
        operations: Vec::new(),
        request: None,
        detail: Some(format!("{count} requests {whose} from this network, recorded together")),
    }
}

/// The network that an address is counted with: /24 of IPv4, /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & !0xff).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Standing = Standing::Stranger;

    #[test]
    fn one_network_does_not_use_up_the_limit_of_another_and_a_second_later_it_begins_anew() {
        let refusals = Refusals::default();
        let (here, there) = (network_of("192.0.2.7".parse().unwrap()), network_of("198.51.100.1".parse().unwrap()));
        assert_eq!(here, network_of("192.0.2.200".parse().unwrap()));
        assert_eq!(here, network_of("::ffff:192.0.2.9".parse().unwrap()));
        for _ in 0..RECORDED {
            assert!(matches!(refusals.count(here, STRANGER, 1), Admission::Record));
        }
        assert!(matches!(refusals.count(here, STRANGER, 1), Admission::Gather(_)));
        assert!(matches!(refusals.count(here, STRANGER, 1), Admission::Gather(_)));
        assert!(matches!(refusals.count(there, STRANGER, 1), Admission::Record));
        assert!(matches!(refusals.count(here, STRANGER, 2), Admission::Gather(_)), "what is gathered is recorded first");
        assert_eq!(refusals.gathered(), [((Some(here), STRANGER), 3)]);
        refusals.settle((Some(here), STRANGER), 2);
        assert_eq!(refusals.gathered(), [((Some(here), STRANGER), 1)], "what came meanwhile stays counted");
        refusals.settle((Some(here), STRANGER), 1);
        assert!(matches!(refusals.count(here, STRANGER, 1), Admission::Gather(_)), "within one second the limit is used up once");
        refusals.settle((Some(here), STRANGER), 1);
        assert!(matches!(refusals.count(here, STRANGER, 2), Admission::Record));
    }

    #[test]
    fn tokens_that_were_good_once_are_counted_apart_from_strangers() {
        let refusals = Refusals::default();
        let here = network_of("2001:db8::1".parse().unwrap());
        for _ in 0..=RECORDED {
            refusals.count(here, STRANGER, 1);
        }
        assert!(matches!(refusals.count(here, STRANGER, 1), Admission::Gather(_)));
        assert!(matches!(refusals.count(here, Standing::Former, 1), Admission::Record));
    }

    #[test]
    fn more_networks_than_are_told_apart_share_one_count() {
        let refusals = Refusals::default();
        for number in 0..u32::try_from(NETWORKS).unwrap() + 10 {
            refusals.count(IpAddr::V4((number << 8).into()), STRANGER, 1);
        }
        assert!(refusals.windows.lock().unwrap().len() <= NETWORKS + 2);
    }
}
