//! Refusals of requests that nobody authenticated: recorded one by one up to a limit per network and second, then as one record with a count.
//!
//! A stranger must not be able to fill the ledger (DESIGN: "Refusals without authentication"). What is over the limit is answered 429.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_audit::record::{Agent, Event, Outcome, Record, RecordId};

use crate::context::Server;

/// Refusals of one network that are recorded one by one in a second.
const RECORDED: u32 = 100;
/// How long the others of one network are gathered before they are recorded together.
const GATHERED: Duration = Duration::from_secs(1);
/// Networks that are told apart at one moment; with more, the newest share one count.
const NETWORKS: usize = 4096;

/// A refusal that goes into a common record. Made only here; it allows one fixed answer.
#[derive(Debug)]
pub struct Gathered(());

/// What becomes of a refusal.
#[derive(Debug)]
pub enum Admission {
    /// It is recorded by itself.
    Record,
    /// It is counted; the record follows within a second or two.
    Gather(Gathered),
}

/// The counts of the current second.
#[derive(Debug, Default)]
pub struct Refusals {
    windows: Mutex<HashMap<Option<IpAddr>, Window>>,
}

#[derive(Debug)]
struct Window {
    second: i64,
    recorded: u32,
    gathered: u32,
}

impl Refusals {
    /// Counts one refusal of this network; the second value says whether it is the first to be gathered.
    fn count(&self, network: IpAddr, second: i64) -> (Admission, bool, Option<IpAddr>) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= NETWORKS {
            windows.retain(|_, window| window.second == second || window.gathered > 0);
        }
        let key = (windows.len() < NETWORKS || windows.contains_key(&Some(network))).then_some(network);
        let window = windows.entry(key).or_insert(Window { second, recorded: 0, gathered: 0 });
        if window.gathered == 0 && window.second != second {
            *window = Window { second, recorded: 0, gathered: 0 };
        }
        if window.gathered == 0 && window.recorded < RECORDED {
            window.recorded += 1;
            return (Admission::Record, false, key);
        }
        window.gathered = window.gathered.saturating_add(1);
        (Admission::Gather(Gathered(())), window.gathered == 1, key)
    }

    fn take(&self, key: Option<IpAddr>) -> u32 {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.remove(&key).map_or(0, |window| window.gathered)
    }
}

/// Decides how a refusal of this address is recorded.
pub fn admit(server: &Arc<Server>, address: IpAddr) -> Admission {
    let (admission, first, key) = server.refusals.count(network_of(address), server.clock.now_seconds());
    if first {
        let server = Arc::clone(server);
        tokio::spawn(async move {
            tokio::time::sleep(GATHERED).await;
            let record = gathered_record(&server, key, server.refusals.take(key));
            if let Err(error) = server.ledger.append(record).await {
                tracing::error!(%error, "gathered refusals could not be recorded");
            }
        });
    }
    admission
}

fn gathered_record(server: &Server, network: Option<IpAddr>, count: u32) -> Record {
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
        detail: Some(format!("{count} requests without authentication from this network, recorded together")),
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

    #[test]
    fn one_network_does_not_use_up_the_limit_of_another_and_a_second_later_it_begins_anew() {
        let refusals = Refusals::default();
        let (here, there) = (network_of("192.0.2.7".parse().unwrap()), network_of("198.51.100.1".parse().unwrap()));
        assert_eq!(here, network_of("192.0.2.200".parse().unwrap()));
        assert_eq!(here, network_of("::ffff:192.0.2.9".parse().unwrap()));
        for _ in 0..RECORDED {
            assert!(matches!(refusals.count(here, 1).0, Admission::Record));
        }
        assert!(matches!(refusals.count(here, 1), (Admission::Gather(_), true, _)));
        assert!(matches!(refusals.count(here, 1), (Admission::Gather(_), false, _)));
        assert!(matches!(refusals.count(there, 1).0, Admission::Record));
        assert!(matches!(refusals.count(here, 2).0, Admission::Gather(_)), "what is gathered is recorded first");
        assert_eq!(refusals.take(Some(here)), 3);
        assert!(matches!(refusals.count(here, 2).0, Admission::Record));
    }

    #[test]
    fn more_networks_than_are_told_apart_share_one_count() {
        let refusals = Refusals::default();
        for number in 0..u32::try_from(NETWORKS).unwrap() + 10 {
            refusals.count(IpAddr::V4((number << 8).into()), 1);
        }
        assert!(refusals.windows.lock().unwrap().len() <= NETWORKS + 1);
    }
}
