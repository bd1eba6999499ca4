//! What a store returns: versions with the facts that release judges them by, never parsed bodies.

use portcullis_fhir::instant;
use portcullis_fhir::labels::{Clearance, Labels, Security, body};
use portcullis_fhir::redaction::{self, Showing};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};

/// One stored version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The opaque version id.
    pub version: LogicalId,
    /// `meta.lastUpdated`, milliseconds since the epoch.
    pub last_updated: i64,
    /// The patients in whose compartments this version lies, ascending; authenticated with the body.
    pub patients: Vec<LogicalId>,
    /// Its security labels, which are not in the body before it is released; authenticated with the body.
    pub security: Security,
    /// What made it visible, where that is not its own compartment: one record, or one for each way where ways differ in what they show.
    pub grounds: Vec<Grounds>,
    /// The JSON bytes; `None` for a deletion.
    pub body: Option<Vec<u8>>,
}

impl StoredVersion {
    /// Makes the body one that may leave, which is done once, at release: labels are put in, and what is not shown is taken out; whether anything was. `None` where the body cannot be
    /// read. Nobody who has judged a version is left without saying what of it is shown.
    pub(crate) fn show(&mut self, showing: &Showing<'_>) -> Option<bool> {
        let Some(body) = self.body.take() else { return Some(false) };
        let Self { resource_type, id, version, last_updated, security, .. } = self;
        let identity = body::Identity { resource_type: *resource_type, id, version, last_updated: *last_updated };
        let shown = redaction::show(body, identity, *security, showing)?;
        self.security.labels = shown.labels;
        if shown.is_deidentified {
            self.last_updated = instant::beginning_of_year(self.last_updated);
        }
        self.body = Some(shown.body);
        Some(shown.is_redacted)
    }
}

/// The record through which a shared resource (or a Provenance) is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// The referring record (or, for Provenance, its target).
    pub record: LocalReference,
    /// The patients in whose compartments that record lies.
    pub patients: Vec<LogicalId>,
    /// The labels of that record.
    pub labels: Labels,
    /// Up to which labels the way shows that it opens: another way, which may show more, is open by grounds of its own.
    pub clearance: Clearance,
}

/// One page of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPage {
    /// The matches of this page, in order.
    pub matches: Vec<StoredVersion>,
    /// What `_include` and `_revinclude` add, without duplicates and without the matches.
    pub included: Vec<StoredVersion>,
    /// The number of all matches, where asked for.
    pub total: Option<u64>,
    /// The encrypted bookmark of the next page, where there is one.
    pub next: Option<String>,
}

/// One page of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The versions of this page, newest first; empty: nothing is visible.
    pub versions: Vec<StoredVersion>,
    /// The number of all versions.
    pub total: u64,
    /// The encrypted bookmark of the next page, where there is one.
    pub next: Option<String>,
    /// What the last version of this page followed; where the page is empty, the newest version that is older than what was asked for.
    pub predecessor: Predecessor,
}

/// What a version followed, as far as the reader may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predecessor {
    /// Nothing: it is the first that the reader may see.
    #[default]
    Nothing,
    /// Another version.
    Content,
    /// A deletion.
    Deletion,
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Stored as the first version (also: brought back after a deletion).
    Created(StoredVersion),
    /// Stored as a further version.
    Updated(StoredVersion),
    /// An import that brought nothing new: the version that is there stays.
    Unchanged(StoredVersion),
    /// Deleted, or deleted before.
    Deleted(StoredVersion),
}

impl Written {
    /// The version that the change made, or left as it was.
    pub fn version(&self) -> &StoredVersion {
        match self {
            Self::Created(version) | Self::Updated(version) | Self::Unchanged(version) | Self::Deleted(version) => version,
        }
    }

    /// The same, to be judged.
    pub fn version_mut(&mut self) -> &mut StoredVersion {
        match self {
            Self::Created(version) | Self::Updated(version) | Self::Unchanged(version) | Self::Deleted(version) => version,
        }
    }
}
