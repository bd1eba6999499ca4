//! Labels all stored versions anew, where other rules held when they were stored: DS4P, changed rules apply to stored data.
//!
//! No version is made: labels are beside the body. Each version has what its own content means by today's rules, what its writer claimed, what it refers to, and what
//! the version before it has; so labels can fall here, and only here. It runs before the server listens, in transactions of some hundred resources, and goes on
//! where it was interrupted. What others refer to comes first, so that one run suffices but for chains of references within a type.

use aws_lc_rs::digest;
use portcullis_fhir::index::{self, IndexEntry};
use portcullis_fhir::json;
use portcullis_fhir::labels::{Labels, Rules, SECURITY, Security, body};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_policy::StoredVersion;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::commit::column;
use super::database::store_error;
use super::labelling;
use super::locator::Locators;
use super::read::{self, SealedRow};
use super::row_codec;
use super::rows::{self, Row, Source, TEXT_OFFSET};
use super::seal::{Header, Seal};

/// Resources in one transaction.
const BATCH: i64 = 200;
/// Changes when this program finds other labels by the same rules.
const METHOD: &[u8] = b"labels 1\n";
/// The types that come first, in this order, because others are understood by them.
const FIRST: [ResourceType; 4] =
    [ResourceType::HEALTHCARE_SERVICE, ResourceType::MEDICATION, ResourceType::OBSERVATION, ResourceType::CONDITION];

/// What a run, or a part of it, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Versions that were looked at.
    pub seen: usize,
    /// Those of them whose labels changed.
    pub changed: usize,
    /// Those that cannot be read, and keep the labels that they have.
    pub unreadable: usize,
}

impl Labelled {
    /// Adds what another part did.
    pub fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.changed += other.changed;
        self.unreadable += other.unreadable;
    }
}

/// Where a run is: the group of types, and the locator that was done last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    group: usize,
    after: i64,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (group, after) = text.split_once(' ')?;
        Some(Self { group: group.parse().ok()?, after: after.parse().ok()? })
    }

    /// Which types its group has; `None` after the last.
    fn types(self) -> Option<String> {
        let codes = FIRST.iter().map(|first| first.code().to_string()).collect::<Vec<_>>().join(", ");
        match FIRST.get(self.group) {
            Some(first) => Some(format!("= {}", first.code())),
            None if self.group == FIRST.len() => Some(format!("NOT IN ({codes})")),
            None => None,
        }
    }
}

/// Begins a run, or goes on with one; `false` where everything is labelled by these rules.
pub fn begin(connection: &Connection, rules: &Rules) -> Result<bool, StoreError> {
    let digest = digest_of(rules);
    let stored = connection.query_row("SELECT rules, place FROM label_run", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let stored: Option<(Vec<u8>, Option<String>)> = stored.optional().map_err(store_error)?;
    match stored {
        Some((rules, None)) if rules == digest => return Ok(false),
        Some((rules, Some(_))) if rules == digest => return Ok(true),
        _ => {}
    }
    let sql = "INSERT INTO label_run (one, rules, place) \
        VALUES (1, ?1, CASE WHEN EXISTS (SELECT 1 FROM resource) THEN '0 0' END) \
        ON CONFLICT (one) DO UPDATE SET rules = excluded.rules, place = excluded.place RETURNING place IS NOT NULL";
    connection.query_row(sql, [digest], |row| row.get(0)).map_err(store_error)
}

fn digest_of(rules: &Rules) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(METHOD);
    context.update(rules.text().as_bytes());
    context.finish().as_ref().to_vec()
}

/// Labels the next resources; `None` where none is left. `base_url` tells local references from foreign ones.
pub fn step(connection: &Connection, seal: &Seal, rules: &Rules, base_url: &str) -> Result<Option<Labelled>, StoreError> {
    let place: Option<String> = connection.query_row("SELECT place FROM label_run", [], |row| row.get(0)).map_err(store_error)?;
    let Some(place) = place.as_deref().and_then(Place::parse) else { return Ok(None) };
    let Some(types) = place.types() else {
        connection.execute("UPDATE label_run SET place = NULL", []).map_err(store_error)?;
        return Ok(None);
    };
    let sql = format!("SELECT pk FROM resource WHERE pk > ?1 AND type {types} ORDER BY pk LIMIT ?2");
    let mut statement = connection.prepare(&sql).map_err(store_error)?;
    let next = statement.query_map([place.after, BATCH], |row| row.get(0)).map_err(store_error)?;
    let next = next.collect::<Result<Vec<i64>, _>>().map_err(store_error)?;
    let mut labeller = Labeller { connection, seal, rules, base_url, locators: Locators::new(), done: Labelled::default() };
    for pk in &next {
        labeller.resource(*pk)?;
    }
    let place = next.last().map_or(Place { group: place.group + 1, after: 0 }, |last| Place { after: *last, ..place });
    let text = format!("{} {}", place.group, place.after);
    connection.execute("UPDATE label_run SET place = ?1", [text]).map_err(store_error)?;
    Ok(Some(labeller.done))
}

struct Labeller<'a> {
    connection: &'a Connection,
    seal: &'a Seal,
    rules: &'a Rules,
    base_url: &'a str,
    locators: Locators,
    done: Labelled,
}

/// A version that was read, with the labels that it shall have.
struct Judged {
    version: StoredVersion,
    key: i64,
    security: Security,
    /// The body without labels, and what it was read to be; `None` for a deletion.
    content: Option<(Vec<u8>, Resource)>,
}

impl Judged {
    fn is_changed(&self) -> bool {
        self.security != self.version.security || self.content.as_ref().map(|(body, _)| body) != self.version.body.as_ref()
    }
}

impl Labeller<'_> {
    fn resource(&mut self, pk: i64) -> Result<(), StoreError> {
        let mut before = Labels::NONE;
        for sequence in self.sequences(pk)? {
            let sql = "SELECT r.pk, l.type, l.id, r.version, r.last_updated, r.deleted, r.patients, r.data_key, r.body, r.security \
                FROM version r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.sequence = ?2";
            let row = self.row(sql, &[pk, sequence])?;
            let update = "UPDATE version SET security = ?2, body = ?3 WHERE pk = ?1 AND sequence = ?4";
            if let Some(judged) = self.judge(row, &mut before)?
                && judged.is_changed()
            {
                let (security, sealed) = self.sealed(&judged)?;
                self.execute(update, params![pk, security, sealed, sequence])?;
            }
        }
        let sql = format!("SELECT {} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1", read::COLUMNS);
        let row = self.row(&sql, &[pk])?;
        let Some(judged) = self.judge(row, &mut before)? else { return Ok(()) };
        if !judged.is_changed() {
            return Ok(());
        }
        let (security, sealed) = self.sealed(&judged)?;
        self.execute("UPDATE resource SET security = ?2, body = ?3 WHERE pk = ?1", params![pk, security, sealed])?;
        match &judged.content {
            Some((_, resource)) => self.index(pk, resource, judged.security.labels),
            None => Ok(()),
        }
    }

    fn sequences(&self, pk: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT sequence FROM version WHERE pk = ?1 ORDER BY sequence";
        let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map([pk], |row| row.get(0)).map_err(store_error)?;
        rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)
    }

    fn row(&self, sql: &str, parameters: &[i64]) -> Result<SealedRow, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
        let parameters = rusqlite::params_from_iter(parameters);
        statement.query_row(parameters, |row| Ok(SealedRow::take(row))).map_err(store_error)?
    }

    fn execute(&mut self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        self.done.changed += 1;
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(store_error)?;
        Ok(())
    }

    /// What labels a version shall have. Those that follow have them too, also where this one cannot be read.
    fn judge(&mut self, row: SealedRow, before: &mut Labels) -> Result<Option<Judged>, StoreError> {
        self.done.seen += 1;
        let key = row.key();
        let judged = match row.open(&mut self.seal.opener(self.connection)) {
            Ok((_, version)) => self.judge_opened(version, key, *before)?,
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        match &judged {
            Some(judged) => *before = judged.security.labels,
            None => self.done.unreadable += 1,
        }
        Ok(judged)
    }

    fn judge_opened(&self, version: StoredVersion, key: i64, before: Labels) -> Result<Option<Judged>, StoreError> {
        let Some(stored) = &version.body else {
            let security = Security { labels: before, ..Security::NONE };
            return Ok(Some(Judged { version, key, security, content: None }));
        };
        let Ok(mut value) = json::parse(stored) else { return Ok(None) };
        let mut content = body::take(&mut value);
        let Ok(resource) = Resource::from_value(value) else { return Ok(None) };
        content.claimed = content.claimed | version.security.claimed;
        let references = index::references(&resource, self.base_url);
        let hints = labelling::hints(self.connection, &references, |_| Ok(true))?;
        let security = Security {
            labels: labelling::own_labels(self.rules, &content) | hints | before,
            claimed: content.claimed.without(before),
            residual: content.residual,
        };
        let bytes = resource.to_bytes();
        Ok(Some(Judged { version, key, security, content: Some((bytes, resource)) }))
    }

    fn sealed(&self, judged: &Judged) -> Result<(i64, Vec<u8>), StoreError> {
        let Judged { version, key, security, content } = judged;
        let patients = column(&version.patients);
        let header = Header {
            resource_type: version.resource_type,
            id: version.id.as_str(),
            version: version.version.as_str(),
            last_updated: version.last_updated,
            deleted: content.is_none(),
            patients: &patients,
            security: security.column(),
        };
        let body = content.as_ref().map_or(&[][..], |(body, _)| body);
        let sealed = self.seal.data_key(self.connection, *key)?.seal(&header, body)?;
        Ok((header.security, sealed))
    }

    /// Makes `_security` find the current version by its labels.
    fn index(&mut self, pk: i64, resource: &Resource, labels: Labels) -> Result<(), StoreError> {
        let of = resource.resource_type();
        let neg_time = "SELECT neg_time FROM resource WHERE pk = ?1";
        let neg_time = self.connection.query_row(neg_time, [pk], |row| row.get(0)).map_err(store_error)?;
        let mut entries = index::extract(resource, self.base_url);
        entries.retain(|IndexEntry { parameter, .. }| parameter.base.is_none() && parameter.code == SECURITY);
        entries.extend(labels.entries(of));
        let key = portcullis_fhir::definitions::search_parameter(of, SECURITY).map(|parameter| u32::from(parameter.key));
        let mut rows = row_codec::load(self.connection, pk)?;
        rows.retain(|row| match row {
            Row::Token { parameter, .. } => Some(*parameter) != key,
            Row::String { parameter, .. } => Some(*parameter) != key.map(|key| key + TEXT_OFFSET),
            _ => true,
        });
        let mut source = Source { connection: self.connection, locators: &mut self.locators, seal: self.seal };
        source.entries(&entries, (of, neg_time), &mut rows)?;
        rows::replace(self.connection, pk, &rows)
    }
}
