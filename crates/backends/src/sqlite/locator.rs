//! Locators: the integer that stands for a resource, existing or merely referred to, in every table.

use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::ResourceType;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::store_error;
use super::generations::Generations;

/// The `type` of locators that stand for an absolute URL.
pub const ABSOLUTE: u8 = 255;
/// The `type` of locators that stand for a business identifier, `system|value`.
pub const IDENTIFIER: u8 = 254;

/// Locators that the writer remembers, at most twice this number.
const MAXIMUM_REMEMBERED: usize = 8192;

/// The locator of a resource; `None` where nothing has it or refers to it.
pub fn find(connection: &Connection, resource_type: ResourceType, id: &str) -> Result<Option<i64>, StoreError> {
    find_kind(connection, resource_type.code(), id)
}

/// The locator of what a reference points to; `None` where nothing else points there.
pub fn find_reference(connection: &Connection, reference: &Reference) -> Result<Option<i64>, StoreError> {
    let (kind, id) = kind_and_id(reference);
    find_kind(connection, kind, &id)
}

fn find_kind(connection: &Connection, kind: u8, id: &str) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT pk FROM locator WHERE type = ?1 AND id = ?2").map_err(store_error)?;
    statement.query_row(params![kind, id], |row| row.get(0)).optional().map_err(store_error)
}

fn kind_and_id(reference: &Reference) -> (u8, std::borrow::Cow<'_, str>) {
    match reference {
        Reference::Local(local) => (local.resource_type.code(), local.id.as_str().into()),
        Reference::Absolute(url) => (ABSOLUTE, (&**url).into()),
        Reference::Identifier { system, value } => (IDENTIFIER, format!("{system}|{value}").into()),
    }
}

/// Locators that the writer has seen. Void after a rollback.
#[derive(Debug)]
pub struct Locators {
    remembered: Generations<Box<[u8]>, i64>,
    /// Where keys are put together, so that a lookup allocates nothing.
    key: Vec<u8>,
}

impl Locators {
    /// Nothing remembered.
    pub fn new() -> Self {
        Self { remembered: Generations::new(MAXIMUM_REMEMBERED), key: Vec::new() }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.remembered.clear();
    }

    /// The locator of a resource, made where it is absent.
    pub fn obtain(&mut self, connection: &Connection, resource_type: ResourceType, id: &str) -> Result<i64, StoreError> {
        self.obtain_kind(connection, resource_type.code(), id)
    }

    /// The locator of what a reference points to, made where it is absent.
    pub fn obtain_reference(&mut self, connection: &Connection, reference: &Reference) -> Result<i64, StoreError> {
        let (kind, id) = kind_and_id(reference);
        self.obtain_kind(connection, kind, &id)
    }

    fn obtain_kind(&mut self, connection: &Connection, kind: u8, id: &str) -> Result<i64, StoreError> {
        self.key.clear();
        self.key.push(kind);
        self.key.extend_from_slice(id.as_bytes());
        if let Some(pk) = self.remembered.find(self.key.as_slice()) {
            return Ok(pk);
        }
        let pk = match find_kind(connection, kind, id)? {
            Some(pk) => pk,
            None => {
                let mut statement =
                    connection.prepare_cached("INSERT INTO locator (type, id) VALUES (?1, ?2)").map_err(store_error)?;
                statement.insert(params![kind, id]).map_err(store_error)?
            }
        };
        self.remembered.insert(self.key.as_slice().into(), pk);
        Ok(pk)
    }
}
