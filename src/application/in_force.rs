//! What is in force, kept sealed in the registry under a name, so that a configuration that lets more be seen does not take its place by a restart.
//!
//! It is exchanged together with its record, and with the agreement that is spent by it where one was needed.

use portcullis_audit::PendingRecord;
use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_jose::Secret;
use portcullis_jose::digest::sha256;
use portcullis_oauth::approval::{ChangeKind, digest};
use portcullis_server::context::Server;
use portcullis_store::registry::Change;
use portcullis_store::safeguards::SafeguardChange;
use portcullis_store::{Registry, RegistryError};
use serde::{Deserialize, Serialize};

use super::run::of_process;
use crate::failure::{OrFail, Outcome};

/// What is kept, as it lies there: needed once more to exchange it.
pub struct InForce {
    name: &'static str,
    sealed: Secret<Vec<u8>>,
    /// The text; `None` where nothing was in force yet.
    pub text: Option<String>,
}

/// The form in which it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Their file; empty where there is none.
    text: String,
    /// Since when, in seconds since the epoch.
    since: i64,
}

impl InForce {
    /// What is kept under a name.
    pub fn read(registry: &dyn Registry, name: &'static str) -> Outcome<Self> {
        let failed = "What is in force cannot be read";
        let sealed = registry.server_secret(name, &|| Some(Vec::new())).or_fail(failed)?;
        let kept: Option<Kept> = match sealed.expose().is_empty() {
            true => None,
            false => Some(serde_json::from_slice(sealed.expose()).or_fail(failed)?),
        };
        Ok(Self { name, text: kept.map(|kept| kept.text), sealed })
    }

    /// Keeps another text in the place of this one, where it is still what is kept; `spending` the agreement to exactly this content.
    pub async fn exchange(&self, server: &Server, text: String, spending: Option<(ChangeKind, &str)>, detail: String) -> Outcome {
        let failed = "What was read cannot be brought into force";
        let after = Secret::new(serde_json::to_vec(&Kept { text, since: server.clock.now_seconds() }).or_fail(failed)?);
        let kept_now = Change::ReplaceSecret { name: self.name, before: sha256(self.sealed.expose()), after };
        let change = match spending {
            None => kept_now,
            Some((kind, content)) => {
                let spent = SafeguardChange::Use { kind, digest: digest(kind, content), then: Box::new(kept_now) };
                Change::Safeguard(Box::new(spent))
            }
        };
        let record = of_process(server, (Event::Administration, Ended::Success), detail);
        let pending = PendingRecord::new(&record).or_fail(failed)?;
        let stored: Result<_, RegistryError> = server.registry.apply(change, &pending).await;
        pending.receipt(&stored.or_fail(failed)?).map(|_receipt| ()).or_fail(failed)
    }
}
