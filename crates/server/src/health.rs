//! Whether this process lives, and whether it can serve: `/health` and `/health/ready`.
//!
//! Both answer 200 or 503 in plain text, to anybody; they name no path, no version and no person. Lives means: its audit ledger takes records, for without
//! that nothing but static pages is answered, and a restart on a sound disk mends it. Ready means also that the database answers and that the disk has
//! room. Neither looks at the network.

use std::path::PathBuf;
use std::time::Duration;

use http::{StatusCode, header};

use crate::answer::Draft;
use crate::context::Server;

/// The least room on the disk of the data directory with which a server is ready, in bytes: one segment of the ledger.
const MINIMUM_FREE: u64 = 64 * 1024 * 1024;
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// An origin that nobody can register: a question to the database that finds nothing.
const NO_ORIGIN: &str = "https://health.invalid";

/// What readiness looks at beside the stores.
#[derive(Debug, Default)]
pub struct Disk {
    directory: Option<PathBuf>,
}

impl Disk {
    /// The disk on which this directory lies.
    pub fn of(directory: PathBuf) -> Self {
        Self { directory: Some(directory) }
    }

    /// Bytes that this process may still write there; `None` where that is not known.
    fn free(&self) -> Option<u64> {
        let status = rustix::fs::statvfs(self.directory.as_deref()?).ok()?;
        status.f_bavail.checked_mul(status.f_frsize)
    }
}

/// Answers `/health`.
pub fn live(server: &Server) -> Draft {
    match server.ledger.health() {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(error) => unavailable(&[format!(
            "{error}; it is tried again at least every 30 seconds, and works once the disk is sound and has room"
        )]),
    }
}

/// Answers `/health/ready`.
pub async fn ready(server: &Server) -> Draft {
    let mut reasons = Vec::new();
    if let Err(error) = server.ledger.health() {
        reasons.push(error.to_string());
    }
    if !matches!(tokio::time::timeout(PATIENCE, server.registry.origin_registered(NO_ORIGIN)).await, Ok(Ok(_))) {
        reasons.push("the database does not answer".to_owned());
    }
    if server.disk.free().is_some_and(|free| free < MINIMUM_FREE) {
        reasons.push(format!("less than {} MiB are free on the disk of the data directory", MINIMUM_FREE / 1024 / 1024));
    }
    if !reasons.is_empty() {
        return unavailable(&reasons);
    }
    // The server serves, by the rules before; who looks after it should know.
    let rules = if server.operator_rules.waiting().is_some() { "warning: rules wait for a second person\n" } else { "" };
    let waiting = !server.settings.authorization.access.waiting.is_empty();
    let settings = if waiting { "warning: settings of the configuration wait for a second person\n" } else { "" };
    text(StatusCode::OK, format!("ready\n{rules}{settings}"))
}

fn unavailable(reasons: &[String]) -> Draft {
    let lines: String = reasons.iter().map(|reason| format!("not available: {reason}\n")).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, lines).with(header::RETRY_AFTER, "10")
}

fn text(status: StatusCode, text: String) -> Draft {
    Draft::new(status).body("text/plain; charset=utf-8", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_on_a_disk_is_known_where_there_is_a_directory() {
        assert!(Disk::of(std::env::temp_dir()).free().is_some());
        assert_eq!(Disk::of("/nowhere/at/all".into()).free(), None);
        assert_eq!(Disk::default().free(), None);
    }
}
