//! The rows by which a current version is found and judged: derived once, stored with the resource, and taken away exactly as they were put.
//!
//! An update changes only the rows that differ. `_id` and `_lastUpdated` have no rows: `locator` and `resource` answer them.

use portcullis_fhir::care::Carer;
use portcullis_fhir::index::{IndexEntry, IndexValue, fold_code, normalise};
use portcullis_fhir::instant::Range;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::ResourceType;
use portcullis_fhir::version::NewVersion;
use portcullis_mutants::off;
use portcullis_policy::constraint::SHARED_TYPES;
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::locator::Locators;
use super::row_codec;
use super::row_statements::RowStatements;
use super::seal::Seal;

pub use portcullis_fhir::index::CLINICAL_TIME;

/// What is added to a token parameter's key for the rows of its texts in `index_string`.
pub const TEXT_OFFSET: u32 = 65_536;

/// One row of one index table, without the resource's own `pk`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// `compartment`
    Compartment { patient: i64, resource_type: u8, neg_time: i64 },
    /// `care`
    Care { actor: i64, patient: i64, time: Range },
    /// `shared_link`
    SharedLink { target: i64 },
    /// `about`
    About { target: i64 },
    /// `index_token`
    Token { parameter: u32, code: i64, system: i64, neg_time: i64 },
    /// `index_string`
    String { parameter: u32, normalised: Box<str>, exact: Box<str> },
    /// `index_reference`
    Reference { parameter: u32, target: i64, neg_time: i64 },
    /// `index_date`
    Date { parameter: u32, low: i64, high: i64 },
    /// `index_number`; the three floating-point numbers as their bits.
    Number { parameter: u32, value: u64, low: u64, high: u64, system: i64, code: i64, unit: i64 },
    /// `index_uri`
    Uri { parameter: u32, uri: Box<str> },
    /// `index_composite`; behind a pointer, so that the many other rows stay small.
    Component(Box<ComponentRow>),
}

/// A row of `index_composite`: a value of one component within one element. What a kind of value does not have is 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentRow {
    /// The composite.
    pub parameter: u32,
    /// The number of the element.
    pub element: u32,
    /// The place in the composite.
    pub component: u8,
    /// The hash of a code; of a reference the target.
    pub code: i64,
    /// The hash of a system.
    pub system: i64,
    /// A number and its range, as their bits.
    pub numbers: [u64; 3],
    /// The hash of a unit's text.
    pub unit: i64,
    /// A string.
    pub normalised: Box<str>,
}

impl Row {
    /// The same row of a resource with this time.
    pub fn at(self, time: i64) -> Self {
        match self {
            Self::Compartment { patient, resource_type, .. } => Self::Compartment { patient, resource_type, neg_time: time },
            Self::Token { parameter, code, system, .. } => Self::Token { parameter, code, system, neg_time: time },
            Self::Reference { parameter, target, .. } => Self::Reference { parameter, target, neg_time: time },
            other => other,
        }
    }

    /// Whether the row stays when the resource is deleted: what says to whom the deletion is visible.
    fn outlives_deletion(&self) -> bool {
        matches!(self, Self::Compartment { .. } | Self::About { .. })
    }
}

/// Minus the clinical time of a version in milliseconds since the epoch, or minus `last_updated` where it has none.
pub fn neg_time(version: &NewVersion) -> i64 {
    let rank = |entry: &IndexEntry| CLINICAL_TIME.iter().position(|code| *code == entry.parameter.code);
    let dates = version.entries.iter().filter_map(|entry| match entry.value {
        IndexValue::Date { low, high } => Some((rank(entry)?, known_end(low, high)?)),
        _ => None,
    });
    // Of several values of the best parameter the latest counts.
    let best = dates.min_by_key(|(rank, time)| (*rank, std::cmp::Reverse(*time)));
    best.map_or(version.last_updated, |(_, time)| time).saturating_neg()
}

/// The begin of a range, or the end where the begin is open.
fn known_end(low: i64, high: i64) -> Option<i64> {
    /// The year 1, before which no FHIR date lies.
    const FIRST: i64 = -62_135_596_800_000;
    /// The year 10000.
    const LAST: i64 = 253_402_300_800_000;
    [low, high].into_iter().find(|end| (FIRST..LAST).contains(end))
}

/// Everything that the rows of a version are derived from.
pub struct Source<'a> {
    /// The writing connection.
    pub connection: &'a Connection,
    /// The writer's locators.
    pub locators: &'a mut Locators,
    /// The hashes.
    pub seal: &'a Seal,
}

impl Source<'_> {
    /// The rows that state who has to do with these patients, and when.
    pub fn care(&mut self, carers: &[Carer], patients: &[i64], rows: &mut Vec<Row>) -> Result<(), StoreError> {
        for Carer { actor, time } in carers {
            let actor = self.locators.obtain(self.connection, actor.resource_type, actor.id.as_str())?;
            rows.extend(patients.iter().map(|patient| Row::Care { actor, patient: *patient, time: *time }));
        }
        Ok(())
    }

    /// The rows of a version, ascending, each once. `patients` are the locators of its patients.
    pub fn rows(&mut self, version: &NewVersion, patients: &[i64], neg_time: i64) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::with_capacity(version.entries.len() + 8);
        let resource_type = version.resource_type.code();
        rows.extend(patients.iter().map(|patient| Row::Compartment { patient: *patient, resource_type, neg_time }));
        self.care(&version.carers, patients, &mut rows)?;
        if !patients.is_empty() {
            for shared in version.links.iter().filter(|reference| SHARED_TYPES.contains(&reference.resource_type)) {
                let target = self.locators.obtain(self.connection, shared.resource_type, shared.id.as_str())?;
                rows.push(Row::SharedLink { target });
            }
        }
        if let Some(context) = &version.follows {
            let target = self.locators.obtain(self.connection, context.resource_type, context.id.as_str())?;
            rows.push(Row::About { target });
        }
        for entry in version.entries.iter().filter(|entry| !matches!(entry.parameter.code, "_id" | "_lastUpdated")) {
            self.entry(entry, version.resource_type, neg_time, &mut rows)?;
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    /// Adds the rows of labels, which no entry of the version has.
    pub fn labels(&mut self, labels: Labels, (of, neg_time): (ResourceType, i64), rows: &mut Vec<Row>) -> Result<(), StoreError> {
        if labels.is_empty() { Ok(()) } else { self.entries(&labels.entries(of), (of, neg_time), rows) }
    }

    /// Adds the rows of these entries.
    pub fn entries(
        &mut self,
        entries: &[IndexEntry],
        (of, neg_time): (ResourceType, i64),
        rows: &mut Vec<Row>,
    ) -> Result<(), StoreError> {
        for entry in entries {
            self.entry(entry, of, neg_time, rows)?;
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(())
    }

    fn entry(&mut self, entry: &IndexEntry, of: ResourceType, neg_time: i64, rows: &mut Vec<Row>) -> Result<(), StoreError> {
        let parameter = u32::from(entry.parameter.key);
        match &entry.value {
            IndexValue::Token { system, code, text } => {
                if !code.is_empty() || !system.is_empty() {
                    rows.push(Row::Token {
                        parameter,
                        code: self.seal.hash64(&fold_code(code)),
                        system: self.seal.hash64(system),
                        neg_time,
                    });
                }
                if !text.is_empty() {
                    let normalised = normalise(text).into();
                    rows.push(Row::String { parameter: parameter + TEXT_OFFSET, normalised, exact: text.clone() });
                }
            }
            IndexValue::String { normalised, exact } => {
                rows.push(Row::String { parameter, normalised: normalised.clone(), exact: exact.clone() });
            }
            IndexValue::Reference(reference) => {
                let target = self.locators.obtain_reference(self.connection, reference)?;
                rows.push(Row::Reference { parameter, target, neg_time });
                if of == ResourceType::PROVENANCE && entry.parameter.code == "target" && matches!(reference, Reference::Local(_))
                {
                    rows.push(Row::About { target });
                }
            }
            IndexValue::Date { low, high } => rows.push(Row::Date { parameter, low: *low, high: *high }),
            IndexValue::Number { value, low, high } => rows.extend(number(parameter, [*value, *low, *high], [0; 3])),
            IndexValue::Quantity { value, low, high, system, code, unit } => {
                let hashes = [system, code, unit].map(|text| self.seal.hash64(text));
                rows.extend(number(parameter, [*value, *low, *high], hashes));
            }
            IndexValue::Uri(uri) => rows.push(Row::Uri { parameter, uri: uri.clone() }),
            IndexValue::Component { .. } => self.components(std::slice::from_ref(entry), rows)?,
        }
        Ok(())
    }

    /// Adds the rows of the components among these values.
    pub fn components(&mut self, entries: &[IndexEntry], rows: &mut Vec<Row>) -> Result<(), StoreError> {
        for entry in entries {
            if let IndexValue::Component { element, component, value } = &entry.value {
                let parameter = u32::from(entry.parameter.key);
                let place = ComponentRow { parameter, element: *element, component: *component, ..ComponentRow::default() };
                rows.extend(self.component(place, value)?);
            }
        }
        Ok(())
    }

    /// The row of a component's value at its place.
    fn component(&mut self, place: ComponentRow, value: &IndexValue) -> Result<Option<Row>, StoreError> {
        let row = match value {
            IndexValue::Token { system, code, .. } => {
                ComponentRow { code: self.seal.hash64(&fold_code(code)), system: self.seal.hash64(system), ..place }
            }
            IndexValue::Reference(reference) => {
                ComponentRow { code: self.locators.obtain_reference(self.connection, reference)?, ..place }
            }
            IndexValue::String { normalised, .. } => ComponentRow { normalised: normalised.clone(), ..place },
            IndexValue::Number { value, low, high } => ComponentRow { numbers: [*value, *low, *high].map(f64::to_bits), ..place },
            IndexValue::Quantity { value, low, high, system, code, unit } => {
                let [system, code, unit] = [system, code, unit].map(|text| self.seal.hash64(text));
                ComponentRow { numbers: [*value, *low, *high].map(f64::to_bits), system, code, unit, ..place }
            }
            // No composite of R4 has components of other kinds: a test of the definitions says so.
            IndexValue::Date { .. } | IndexValue::Uri(_) | IndexValue::Component { .. } => return Ok(None),
        };
        let comparable = !row.numbers.iter().any(|bits| f64::from_bits(*bits).is_nan());
        Ok(comparable.then(|| Row::Component(Box::new(row))))
    }
}

/// SQLite stores no NaN, and nothing compares to it.
fn number(parameter: u32, numbers: [f64; 3], [system, code, unit]: [i64; 3]) -> Option<Row> {
    let [value, low, high] = numbers.map(f64::to_bits);
    (!numbers.iter().any(|number| number.is_nan())).then_some(Row::Number { parameter, value, low, high, system, code, unit })
}

/// Rows of resources that had none, to be put together in the order of the indexes' keys: what stands together in an index is then put one after the
/// other, on pages that are still at hand. Of a large import this saves a third of the writer's time.
#[derive(Debug, Default)]
pub struct Waiting(Vec<(Row, i64)>);

impl Waiting {
    /// Remembers the rows of a resource now; what it is found by waits.
    pub fn add(&mut self, connection: &Connection, pk: i64, rows: Vec<Row>) -> Result<(), StoreError> {
        row_codec::store(connection, pk, &rows)?;
        self.0.extend(rows.into_iter().map(|row| (row, pk)));
        Ok(())
    }

    /// Puts everything that waits.
    pub fn put(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut rows = std::mem::take(&mut self.0);
        rows.sort_unstable();
        let mut statements = RowStatements::inserting(connection);
        rows.iter().try_for_each(|(row, pk)| statements.execute(*pk, row))
    }

    /// Forgets what waits, where the resources themselves were undone.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// Makes these the rows of a resource that had others; rows in both stay untouched.
pub fn replace(connection: &Connection, pk: i64, rows: &[Row]) -> Result<(), StoreError> {
    let before = row_codec::load(connection, pk)?;
    let mut removing = RowStatements::removing(connection);
    for row in before.iter().filter(|row| rows.binary_search(row).is_err()) {
        removing.execute(pk, row)?;
    }
    let mut inserting = RowStatements::inserting(connection);
    for row in rows.iter().filter(|row| before.binary_search(row).is_err()) {
        inserting.execute(pk, row)?;
    }
    row_codec::store(connection, pk, rows)
}

/// Takes away what a deleted resource must not be found by.
pub fn retire(connection: &Connection, pk: i64) -> Result<(), StoreError> {
    let mut remaining = row_codec::load(connection, pk)?;
    remaining.retain(|row| row.outlives_deletion() || off!("care-ended") && matches!(row, Row::Care { .. }));
    replace(connection, pk, &remaining)
}
