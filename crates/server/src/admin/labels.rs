//! `portcullis relabel`: labels what is stored anew by the rules of this server, part by part, each recorded with its counts.

use portcullis_store::StoreError;
use portcullis_store::registry::Change;
use portcullis_store::relabelling::RelabelPart;

use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task};

/// What a request is about, for its record.
pub(super) fn described(part: &RelabelPart) -> String {
    let what = if part.dry_run { "labels compared with the rules" } else { "labelled anew" };
    format!("{what}{}", if part.place.is_some() { ", further" } else { "" })
}

impl Service {
    /// Does the next part. The labels of a version and the record of the run are no secrets of a patient: it has counts and the digest of the rules.
    pub(super) async fn relabel(&self, task: &Task, part: RelabelPart) -> Result<Response, Refused> {
        let done = self.server.store.relabel(part, &self.server.settings.fhir_base).await.map_err(|error| match error {
            StoreError::InvalidCursor => Refused::new(RefusalKind::Invalid, "This is no place where a run could go on."),
            other => Refused::new(RefusalKind::Unavailable, format!("The stored versions cannot be labelled: {other}.")),
        })?;
        let end = if done.place.is_none() { "; done" } else { "" };
        let task = task.redescribed(format!("{}: {}{end}", task.described(), done.described()));
        self.change(&task, Change::Nothing).await?;
        Ok(Response::Relabelled(done))
    }
}
