//! A version of a resource that is about to be stored, with everything that storage, search and policy derive from its body.

use crate::compartment;
use crate::index::{self, IndexEntry};
use crate::reference::LocalReference;
use crate::resource::Resource;
use crate::types::{LogicalId, ResourceType};

/// A new version: the exact bytes and what was derived from them, once.
#[derive(Debug)]
pub struct NewVersion {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The opaque version id.
    pub version: LogicalId,
    /// `meta.lastUpdated`, milliseconds since the epoch, UTC.
    pub last_updated: i64,
    /// The resource as JSON bytes, with id and meta set.
    pub body: Vec<u8>,
    /// The patients in whose compartments it lies, ascending.
    pub patients: Vec<LogicalId>,
    /// Practitioners whose care relationship with those patients it states (Encounter, CareTeam).
    pub care_actors: Vec<LocalReference>,
    /// Every resource of this server that the body refers to.
    pub references: Vec<LocalReference>,
    /// What search finds it by.
    pub entries: Vec<IndexEntry>,
}

impl NewVersion {
    /// Gives a resource its identity and derives the rest. `base_url` tells local references from foreign ones.
    pub fn of(resource: Resource, id: LogicalId, version: LogicalId, last_updated: i64, base_url: &str) -> Self {
        let resource = resource.with_identity(id.clone(), &version, last_updated);
        let entries = index::extract(&resource, base_url);
        Self {
            resource_type: resource.resource_type(),
            patients: compartment::patients(&resource, &entries),
            care_actors: compartment::care_actors(&resource, &entries),
            references: index::references(&resource, base_url),
            body: resource.to_bytes(),
            id,
            version,
            last_updated,
            entries,
        }
    }
}
