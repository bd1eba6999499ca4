//! Labels all stored versions anew, where other rules held when they were stored: DS4P, changed rules apply to stored data.
//!
//! No version is made: labels are beside the body. Each version has what its own content means by today's rules, what its writer claimed, what it refers to, and what
//! the version before it has; so labels can fall here, and only here. It runs before the server listens, in transactions of some hundred resources, and goes on
//! where it was interrupted. What others refer to comes first, so that one run suffices but for chains of references within a type.

use aws_lc_rs::digest;
use portcullis_fhir::index::{self, IndexEntry};
use portcullis_fhir::json;
use portcullis_fhir::labels::{Confidentiality, Labels, Rules, SECURITY, Security, body};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;
use portcullis_policy::StoredVersion;
use portcullis_policy::constraint::SHARED_TYPES;
use portcullis_store::StoreError;
use portcullis_store::relabelling::{RelabelPart, Relabelled};
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
/// Changes when this program finds other labels by the same rules, or indexes otherwise what labels inside may hide.
const METHOD: &[u8] = b"labels 4\n";
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
    /// Resources whose versions these are.
    pub resources: usize,
    /// How many versions got or lost a label, by its highest bit.
    gained: [usize; 32],
    lost: [usize; 32],
}

impl Labelled {
    /// Adds what another part did.
    pub fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.changed += other.changed;
        self.unreadable += other.unreadable;
        self.resources += other.resources;
        for (own, more) in [(&mut self.gained, other.gained), (&mut self.lost, other.lost)] {
            own.iter_mut().zip(more).for_each(|(own, more)| *own += more);
        }
    }

    /// The same as others see it, by these rules.
    pub fn told(&self, rules: &Rules) -> Relabelled {
        let named = |counts: &[usize; 32]| {
            let codes = (0..32_u32).zip(counts).filter(|(_, count)| **count > 0);
            codes.map(|(bit, count)| (code_of(bit), *count as u64)).collect()
        };
        Relabelled {
            place: None,
            resources: self.resources as u64,
            total: 0,
            versions: self.seen as u64,
            changed: self.changed as u64,
            unreadable: self.unreadable as u64,
            gained: named(&self.gained),
            lost: named(&self.lost),
            rules: digest_of(rules).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn count(&mut self, before: Labels, after: Labels) {
        for (counts, one, other) in [(&mut self.gained, after, before), (&mut self.lost, before, after)] {
            let has = |code: &str| other.codings().any(|(_, own, _)| own == code);
            let different = one.codings().filter(|(_, code, _)| !has(code)).filter_map(|(_, code, _)| Labels::named(code));
            let unknown = (one.contains(Labels::UNKNOWN) && !other.contains(Labels::UNKNOWN)).then_some(Labels::UNKNOWN);
            for label in different.chain(unknown) {
                let bit = 31_u32.saturating_sub(label.bits().leading_zeros());
                if let Some(count) = counts.get_mut(bit as usize) {
                    *count += 1;
                }
            }
        }
    }
}

/// The code of the label with this highest bit.
fn code_of(bit: u32) -> String {
    let of_bit = |label: &Labels| 31_u32.saturating_sub(label.bits().leading_zeros()) == bit;
    let all = Labels::from_bits((1 << 30) - 1).unwrap_or_default();
    let others = all.codings().filter_map(|(_, code, _)| Labels::named(code));
    let confidentialities = Confidentiality::ALL.into_iter().map(Labels::confidential);
    let found = confidentialities.chain(others).find(of_bit);
    let code = found.and_then(|label| label.codings().next().map(|(_, code, _)| code));
    code.unwrap_or("unknown").to_owned()
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
    let Some((place, done)) = batch(connection, (seal, rules), base_url, (place, false))? else {
        connection.execute("UPDATE label_run SET place = NULL", []).map_err(store_error)?;
        return Ok(None);
    };
    let text = format!("{} {}", place.group, place.after);
    connection.execute("UPDATE label_run SET place = ?1", [text]).map_err(store_error)?;
    Ok(Some(done))
}

/// Batches in one part of a run: some seconds' work.
const BATCHES: usize = 10;

/// Does the next part of a run that somebody asked for, though the rules are the same; a dry one changes nothing.
pub fn part(
    connection: &Connection,
    (seal, rules): (&Seal, &Rules),
    base_url: &str,
    part: &RelabelPart,
) -> Result<Relabelled, StoreError> {
    let mut done = Labelled::default();
    let place = if part.dry_run {
        let mut place = match &part.place {
            None => Some(Place { group: 0, after: 0 }),
            Some(text) => Some(Place::parse(text).ok_or(StoreError::InvalidCursor)?),
        };
        for _ in 0..BATCHES {
            let Some(here) = place else { break };
            let Some((next, labelled)) = batch(connection, (seal, rules), base_url, (here, true))? else {
                return told(connection, &done, rules, None);
            };
            done.add(labelled);
            place = Some(next);
        }
        place
    } else {
        if part.place.is_none() && !is_running(connection, rules)? {
            let sql = "INSERT INTO label_run (one, rules, place) VALUES (1, ?1, '0 0') \
                ON CONFLICT (one) DO UPDATE SET rules = excluded.rules, place = excluded.place";
            connection.execute(sql, [digest_of(rules)]).map_err(store_error)?;
        }
        for _ in 0..BATCHES {
            match step(connection, seal, rules, base_url)? {
                Some(labelled) => done.add(labelled),
                None => return told(connection, &done, rules, None),
            }
        }
        connection
            .query_row("SELECT place FROM label_run", [], |row| row.get::<_, Option<String>>(0))
            .map_err(store_error)?
            .as_deref()
            .and_then(Place::parse)
    };
    told(connection, &done, rules, place)
}

fn told(connection: &Connection, done: &Labelled, rules: &Rules, place: Option<Place>) -> Result<Relabelled, StoreError> {
    let total: i64 = connection.query_row("SELECT count(*) FROM resource", [], |row| row.get(0)).map_err(store_error)?;
    let place = place.map(|place| format!("{} {}", place.group, place.after));
    Ok(Relabelled { place, total: total.unsigned_abs(), ..done.told(rules) })
}

/// Whether a run by these rules was interrupted.
fn is_running(connection: &Connection, rules: &Rules) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM label_run WHERE rules = ?1 AND place IS NOT NULL";
    let running: i64 = connection.query_row(sql, [digest_of(rules)], |row| row.get(0)).map_err(store_error)?;
    Ok(running > 0)
}

/// Labels the next resources from a place on; `None` where none is left. A dry one writes nothing.
fn batch(
    connection: &Connection,
    (seal, rules): (&Seal, &Rules),
    base_url: &str,
    (place, dry_run): (Place, bool),
) -> Result<Option<(Place, Labelled)>, StoreError> {
    let Some(types) = place.types() else { return Ok(None) };
    let sql = format!("SELECT pk FROM resource WHERE pk > ?1 AND type {types} ORDER BY pk LIMIT ?2");
    let mut statement = connection.prepare(&sql).map_err(store_error)?;
    let next = statement.query_map([place.after, BATCH], |row| row.get(0)).map_err(store_error)?;
    let next = next.collect::<Result<Vec<i64>, _>>().map_err(store_error)?;
    let done = Labelled { resources: next.len(), ..Labelled::default() };
    let mut labeller = Labeller { connection, seal, rules, base_url, dry_run, locators: Locators::new(), done };
    for pk in &next {
        labeller.resource(*pk)?;
    }
    let place = next.last().map_or(Place { group: place.group + 1, after: 0 }, |last| Place { after: *last, ..place });
    Ok(Some((place, labeller.done)))
}

struct Labeller<'a> {
    connection: &'a Connection,
    seal: &'a Seal,
    rules: &'a Rules,
    base_url: &'a str,
    dry_run: bool,
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
        let mut before = Security::NONE;
        for sequence in self.sequences(pk)? {
            let sql = "SELECT r.pk, l.type, l.id, r.version, r.last_updated, r.deleted, r.patients, r.data_key, r.body, r.security \
                FROM version r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1 AND r.sequence = ?2";
            let row = self.row(sql, &[pk, sequence])?;
            let update = "UPDATE version SET security = ?2, body = ?3 WHERE pk = ?1 AND sequence = ?4";
            if let Some(judged) = self.judge(row, &mut before)?
                && self.is_to_change(&judged)
            {
                let (security, sealed) = self.sealed(&judged)?;
                self.execute(update, params![pk, security, sealed, sequence])?;
            }
        }
        let sql = format!("SELECT {} FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.pk = ?1", read::COLUMNS);
        let row = self.row(&sql, &[pk])?;
        let Some(judged) = self.judge(row, &mut before)? else { return Ok(()) };
        let is_to_change = self.is_to_change(&judged);
        if is_to_change {
            let (security, sealed) = self.sealed(&judged)?;
            self.execute("UPDATE resource SET security = ?2, body = ?3 WHERE pk = ?1", params![pk, security, sealed])?;
        }
        // What labels inside may hide was found by other rules when older programs stored it, whatever the labels of the whole.
        let has_inline = judged.security.labels.contains(Labels::INLINE) && !self.dry_run;
        match &judged.content {
            Some((_, resource)) if is_to_change || has_inline => self.index(pk, resource, judged.security.labels),
            _ => Ok(()),
        }
    }

    /// Whether a version is to be changed, which is counted.
    fn is_to_change(&mut self, judged: &Judged) -> bool {
        if !judged.is_changed() {
            return false;
        }
        self.done.changed += 1;
        self.done.count(judged.version.security.labels, judged.security.labels);
        !self.dry_run
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

    fn execute(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(store_error)?;
        Ok(())
    }

    /// What labels a version shall have. Those that follow have them too, also where this one cannot be read.
    fn judge(&mut self, row: SealedRow, before: &mut Security) -> Result<Option<Judged>, StoreError> {
        self.done.seen += 1;
        let key = row.key();
        let judged = match row.open(&mut self.seal.opener(self.connection)) {
            Ok((_, version)) => self.judge_opened(version, key, *before)?,
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        match &judged {
            Some(judged) => *before = judged.security,
            None => self.done.unreadable += 1,
        }
        Ok(judged)
    }

    fn judge_opened(&self, version: StoredVersion, key: i64, before: Security) -> Result<Option<Judged>, StoreError> {
        let Some(stored) = &version.body else {
            let security = Security { residual: false, obliged: false, ..before };
            return Ok(Some(Judged { version, key, security, content: None }));
        };
        let Ok(mut value) = json::parse(stored) else { return Ok(None) };
        let mut content = body::take(&mut value, self.base_url);
        let Ok(resource) = Resource::from_value(value) else { return Ok(None) };
        content.claimed = content.claimed | version.security.claimed;
        let references = index::references(&resource, self.base_url);
        let hints = labelling::hints(self.connection, (resource.resource_type(), &references), |_| Ok(true))?;
        let security = Security {
            labels: labelling::own_labels(self.rules, &content) | hints | before.labels.lasting(),
            claimed: content.claimed.without(before.labels) | before.claimed.lasting(),
            residual: content.residual,
            obliged: content.obliged,
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

    /// Makes `_security` find the current version by its labels, and nothing find it by what labels inside it may hide.
    fn index(&mut self, pk: i64, resource: &Resource, labels: Labels) -> Result<(), StoreError> {
        let of = resource.resource_type();
        let neg_time = "SELECT neg_time FROM resource WHERE pk = ?1";
        let neg_time = self.connection.query_row(neg_time, [pk], |row| row.get(0)).map_err(store_error)?;
        if let Some(indexable) = resource.indexable() {
            return self.index_anew((pk, neg_time), &indexable, labels);
        }
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

    /// Makes all rows of a resource by which it is found. Those that say whose it is and who cares stay, and of those that make others visible what is still there.
    fn index_anew(&mut self, (pk, neg_time): (i64, i64), indexable: &Resource, labels: Labels) -> Result<(), StoreError> {
        let of = indexable.resource_type();
        let mut links = Vec::new();
        for link in index::references(indexable, self.base_url).iter().filter(|link| SHARED_TYPES.contains(&link.resource_type)) {
            links.push(self.locators.obtain(self.connection, link.resource_type, link.id.as_str())?);
        }
        let mut rows = row_codec::load(self.connection, pk)?;
        rows.retain(|row| match row {
            Row::Compartment { .. } | Row::Care { .. } | Row::About { .. } => true,
            Row::SharedLink { target } => links.contains(target),
            _ => false,
        });
        let mut entries = index::extract(indexable, self.base_url);
        entries.extend(labels.entries(of));
        let mut source = Source { connection: self.connection, locators: &mut self.locators, seal: self.seal };
        source.entries(&entries, (of, neg_time), &mut rows)?;
        rows::replace(self.connection, pk, &rows)
    }
}
