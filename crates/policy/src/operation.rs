//! What is asked of the store, before anybody has decided about it.

use portcullis_fhir::interaction::{InstanceHistory, Read, VersionRead};
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::scopes::Letter;

/// One FHIR operation, parsed and with everything that a write will store.
#[derive(Debug)]
pub enum Operation {
    /// Read the current version.
    Read(Read),
    /// Read one version.
    VersionRead(VersionRead),
    /// List versions.
    History(InstanceHistory),
    /// Search one type.
    Search(SearchQuery),
    /// Change records, all or none.
    Write(WriteSet),
}

impl Operation {
    /// The types and letters that scopes must open (SMART App Launch 2.2, scopes: instance history is `r`).
    pub fn demands(&self) -> Vec<(ResourceType, Letter)> {
        match self {
            Self::Read(read) => vec![(read.resource_type, Letter::Read)],
            Self::VersionRead(read) => vec![(read.resource_type, Letter::Read)],
            Self::History(history) => vec![(history.resource_type, Letter::Read)],
            Self::Search(query) => vec![(query.resource_type, Letter::Search)],
            Self::Write(set) => set.changes.iter().map(|change| (change.resource_type(), change.letter())).collect(),
        }
    }
}

/// Changes that are stored together or not at all. All changes of one set need the same letter.
#[derive(Debug)]
pub struct WriteSet {
    /// The changes, in the order in which they apply.
    pub changes: Vec<Change>,
}

/// One change of one resource.
#[derive(Debug)]
pub enum Change {
    /// A resource that did not exist; its id was chosen by the server.
    Create(NewVersion),
    /// A new version of an existing, visible resource.
    Update {
        /// What is stored.
        version: NewVersion,
        /// The version that must be current.
        if_match: Option<LogicalId>,
    },
    /// The end of an existing, visible resource.
    Delete {
        /// The type.
        resource_type: ResourceType,
        /// The id.
        id: LogicalId,
        /// The opaque version id of the deletion.
        version: LogicalId,
        /// When, in milliseconds since the epoch.
        last_updated: i64,
        /// The version that must be current.
        if_match: Option<LogicalId>,
    },
    /// Create or replace under an id chosen by the source; only an operator's import may.
    Import(NewVersion),
}

impl Change {
    /// The type of the resource.
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::Create(version) | Self::Update { version, .. } | Self::Import(version) => version.resource_type,
            Self::Delete { resource_type, .. } => *resource_type,
        }
    }

    /// The letter that scopes must open.
    pub fn letter(&self) -> Letter {
        match self {
            Self::Create(_) | Self::Import(_) => Letter::Create,
            Self::Update { .. } => Letter::Update,
            Self::Delete { .. } => Letter::Delete,
        }
    }

    /// What would be stored; `None` for a deletion.
    pub fn proposed(&self) -> Option<&NewVersion> {
        match self {
            Self::Create(version) | Self::Update { version, .. } | Self::Import(version) => Some(version),
            Self::Delete { .. } => None,
        }
    }
}
