//! The rows that statements join, made from the Consents that count: when a Consent is stored, when a record that rules cover is stored, and all of them anew where
//! they were derived otherwise.
//!
//! What a rule says about content is asked of the functions that `decide` calls, once per record, and kept as [`consent_covered`](super::condition). Codes, relations
//! and dates are so never decided by index rows, which do not hold everything that a body says. Everything is written in the transaction of the version.

use portcullis_fhir::index;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::StoredVersion;
use portcullis_policy::consulted::referring;
use portcullis_policy::rules::consent::{
    Actions, ConsentRow, Context, Effect, Interval, Match, Question, ResourceFacts, Standing, rows,
};
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::database::store_error;
use super::super::locator::Locators;
use super::super::seal::Seal;
use super::condition::key;
use super::held::{self, Before, Holding};
use super::verification::Writer;
use super::{load, parties};

/// Rules of one base at most, and the distance of the first rules of two bases.
const RULES_OF_BASE: i64 = 1024;
/// The labels among the bits of a column `security`.
const LABELS: u32 = (1 << 30) - 1;
/// Every action.
const ANY_ACTION: u8 = 31;
/// Changes when this program derives other rows from the same Consents.
const METHOD: &str = "consents 4";

/// Where rows are derived.
pub struct Derivation<'a> {
    /// The writing connection, inside a transaction.
    pub connection: &'a Connection,
    /// The keys.
    pub seal: &'a Seal,
    /// Where the server is.
    pub base_url: &'a str,
}

/// A version of a Consent that is current now, or was confirmed.
struct Base {
    id: i64,
    consent: i64,
    version: String,
    patient: i64,
    standing: i64,
}

impl Derivation<'_> {
    /// A version of a Consent was stored, which nobody has confirmed yet: it is a base beside the one that was confirmed last, which is current no more. What it
    /// takes the place of is held, unless its writer takes it back, or an import (`by` is `None`) is about to confirm what follows.
    pub fn consent_stored(
        &self,
        pk: i64,
        version: &StoredVersion,
        by: Option<(&Writer, Option<&Question>)>,
    ) -> Result<(), StoreError> {
        for base in self.bases("WHERE consent = ?1 AND standing = 2", pk)? {
            let Some(by) = by else { break };
            let before = Before { consent: pk, version: &base.version, patient: base.patient };
            if !held::may_be_taken_back((self.connection, self.seal), &before, by, &self.context())? {
                match held::hold((self.connection, self.seal), &before)? {
                    Holding::Apart => self.execute("UPDATE consent_base SET standing = 3 WHERE id = ?1", params![base.id])?,
                    Holding::Known => {}
                    Holding::Folded => self.fold(pk)?,
                }
            }
        }
        self.drop_bases(pk, "standing = 2")?;
        self.execute("UPDATE consent_base SET standing = 1 WHERE consent = ?1 AND standing = 0", params![pk])?;
        self.add_base(pk, version, Standing::Unverified)
    }

    /// The bases of what is held together: each hides its patient from everybody else.
    fn fold(&self, consent: i64) -> Result<(), StoreError> {
        self.drop_bases(consent, "standing = 3")?;
        self.add_folded(consent)
    }

    /// The current version of a Consent was confirmed, for the first time: it alone is the base. One that was confirmed before is the base already.
    pub fn consent_confirmed(&self, pk: i64) -> Result<(), StoreError> {
        held::release(self.connection, pk)?;
        self.drop_bases(pk, "standing <> 2")?;
        self.execute("UPDATE consent_base SET standing = 0 WHERE consent = ?1", params![pk])
    }

    /// A version of a resource of any type was stored: what of it the rules of these patients' consents cover, and what is covered because of it.
    pub fn record_stored(&self, pk: i64, version: &StoredVersion, patients: &[i64]) -> Result<(), StoreError> {
        self.execute("DELETE FROM consent_covered WHERE resource = ?1", params![pk])?;
        for patient in patients {
            for base in self.bases("WHERE content = 1 AND patient = ?1", *patient)? {
                if let Some(rules) = self.readable_rules(&base)? {
                    self.cover(&rules, pk, version)?;
                }
            }
        }
        for base in self.bases("WHERE id IN (SELECT base FROM consent_relation WHERE target = ?1)", pk)? {
            self.cover_all(&base)?;
        }
        Ok(())
    }

    /// Makes all rows anew.
    fn all(&self) -> Result<(), StoreError> {
        for table in ["consent_base", "consent_rule", "consent_covered", "consent_relation"] {
            self.execute(&format!("DELETE FROM {table}"), &[])?;
        }
        let consents = {
            let sql = "SELECT r.pk, (SELECT v.version FROM consent_verification v WHERE v.consent = r.pk ORDER BY v.id DESC LIMIT 1) \
                FROM resource r WHERE r.type = ?1";
            let mut statement = self.connection.prepare(sql).map_err(store_error)?;
            let rows =
                statement.query_map([ResourceType::CONSENT.code()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(store_error)?;
            rows.collect::<Result<Vec<(i64, Option<String>)>, _>>().map_err(store_error)?
        };
        self.parties()?;
        for (pk, confirmed) in consents {
            let current = self.version_or_patients(pk, None)?;
            let is_current = |confirmed: &str| match &current {
                Found::Nothing => false,
                Found::Version(current) => current.version.as_str() == confirmed,
                Found::Unreadable { version, .. } => version == confirmed,
            };
            let is_confirmed = confirmed.as_deref().is_some_and(is_current);
            self.add_found(pk, current, if is_confirmed { Standing::Verified } else { Standing::Unverified })?;
            if let Some(confirmed) = confirmed.filter(|_| !is_confirmed) {
                self.add_found(pk, self.version_or_patients(pk, Some(&confirmed))?, Standing::Outdated)?;
            }
            for version in held::apart(self.connection, pk)? {
                self.add_found(pk, self.version_or_patients(pk, Some(&version))?, Standing::Held)?;
            }
            self.add_folded(pk)?;
        }
        Ok(())
    }

    /// The same where nothing that is held is there yet.
    fn add_folded(&self, consent: i64) -> Result<(), StoreError> {
        let patients = held::folded(self.connection, consent)?;
        self.add_found(consent, Found::Unreadable { version: String::new(), patients }, Standing::Held)
    }

    /// Members of teams, groups and devices that were stored before anybody noted them: what they say, as far as nobody noted more.
    fn parties(&self) -> Result<(), StoreError> {
        let types: Vec<String> =
            parties::PARTIES.into_iter().filter_map(ResourceType::parse).map(|party| party.code().to_string()).collect();
        let sql = format!(
            "SELECT r.pk FROM resource r CROSS JOIN locator l ON l.pk = r.pk WHERE r.type IN ({}) AND r.deleted = 0 \
             AND NOT EXISTS (SELECT 1 FROM consent_party p WHERE p.party = CASE r.type {} END || '/' || l.id)",
            types.join(", "),
            parties::PARTIES
                .into_iter()
                .filter_map(|name| Some(format!("WHEN {} THEN '{name}'", ResourceType::parse(name)?.code())))
                .collect::<Vec<_>>()
                .join(" ")
        );
        let waiting = {
            let mut statement = self.connection.prepare(&sql).map_err(store_error)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(store_error)?;
            rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?
        };
        for pk in waiting {
            match load::current(self.connection, self.seal, pk) {
                // Nobody knows its members: a denial for it holds for everybody.
                Err(StoreError::Corrupt(_)) | Ok(None) => {}
                Ok(Some(version)) => parties::stored(self.connection, &version, false, &self.context())?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add_found(&self, pk: i64, found: Found, standing: Standing) -> Result<(), StoreError> {
        match found {
            Found::Nothing => Ok(()),
            Found::Version(version) => self.add_base(pk, &version, standing),
            Found::Unreadable { version, patients } => patients.into_iter().try_for_each(|patient| {
                self.execute(
                    "INSERT INTO consent_base (consent, version, patient, standing, valid_from, valid_to, compilable, content) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
                    params![pk, version, patient, number(standing), Interval::ALWAYS.from, Interval::ALWAYS.to],
                )
            }),
        }
    }

    /// A version of a Consent, the current one or the one that is named. What cannot be read hides its patients from everybody else.
    fn version_or_patients(&self, pk: i64, named: Option<&str>) -> Result<Found, StoreError> {
        let found = match named {
            None => load::current(self.connection, self.seal, pk),
            Some(named) => load::version(self.connection, self.seal, pk, named),
        };
        match found {
            Ok(found) => Ok(found.map_or(Found::Nothing, Found::Version)),
            Err(StoreError::Corrupt(problem)) => {
                tracing::error!(
                    problem,
                    "a Consent cannot be read: its patient is hidden until another version is stored and confirmed"
                );
                let (version, patients) = load::outline(self.connection, pk, named)?;
                let patients = locators_of(self.connection, &patients)?;
                Ok(Found::Unreadable { version, patients })
            }
            Err(error) => Err(error),
        }
    }

    /// The rules of a base. A Consent that cannot be read any more stops nobody else from writing: it hides its patient.
    fn readable_rules(&self, base: &Base) -> Result<Option<Rules>, StoreError> {
        match self.rules(base) {
            Err(StoreError::Corrupt(problem)) => {
                tracing::error!(
                    problem,
                    "a Consent cannot be read: its patient is hidden until another version is stored and confirmed"
                );
                self.execute("UPDATE consent_base SET compilable = 0 WHERE id = ?1", params![base.id])?;
                Ok(None)
            }
            other => other,
        }
    }

    fn add_base(&self, pk: i64, version: &StoredVersion, standing: Standing) -> Result<(), StoreError> {
        let Some(consent) = load::compiled(version, &self.context(), standing) else { return Ok(()) };
        let rules = rows(&consent).ok();
        let patient = Locators::new().obtain(self.connection, ResourceType::PATIENT, consent.patient().as_str())?;
        let valid = consent.valid();
        let series = consent.series().map(|series| self.seal.hash64(series));
        let standing = number(standing);
        self.execute(
            "INSERT INTO consent_base (consent, version, patient, standing, valid_from, valid_to, series, since, compilable, content) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                pk,
                version.version.as_str(),
                patient,
                standing,
                valid.from,
                valid.to,
                series,
                consent.since(),
                rules.is_some(),
                consent.asks_for_content()
            ],
        )?;
        let id = self.connection.last_insert_rowid();
        for (place, rule) in (0..).zip(rules.iter().flatten()) {
            self.add_rule(id, place, rule)?;
        }
        for target in consent.related() {
            let target = Locators::new().obtain(self.connection, target.resource_type, target.id.as_str())?;
            self.execute("INSERT OR IGNORE INTO consent_relation (target, base) VALUES (?1, ?2)", params![target, id])?;
        }
        if consent.asks_for_content() {
            let base = Base { id, consent: pk, version: version.version.to_string(), patient, standing };
            self.cover_all(&base)?;
        }
        Ok(())
    }

    fn add_rule(&self, base: i64, place: i64, rule: &ConsentRow) -> Result<(), StoreError> {
        let mut actors = rule.actors.iter().map(key);
        let mut actions = rule.actions.iter().map(|actions: &Actions| actions.bits());
        let mut labels = rule.labels_any.iter().map(|any| any & LABELS);
        self.execute(
            "INSERT INTO consent_rule (id, base, path, depth, effect, valid_from, valid_to, actor, actor_2, purpose, actions, actions_2, \
             type, labels_any, labels_any_2, labels_none, covered) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
                base * RULES_OF_BASE + place,
                base,
                &*rule.path,
                i64::try_from(rule.depth).unwrap_or(i64::MAX),
                rule.effect == Effect::Deny,
                rule.valid.from,
                rule.valid.to,
                actors.next(),
                actors.next(),
                rule.purpose.as_ref().map(|purpose| purpose.key().to_string()),
                actions.next().unwrap_or(ANY_ACTION),
                actions.next().unwrap_or(ANY_ACTION),
                rule.resource_type.map(ResourceType::code),
                labels.next().unwrap_or_default(),
                labels.next().unwrap_or_default(),
                rule.labels_none & LABELS,
                rule.asks_for_content()
            ],
        )
    }

    fn drop_bases(&self, consent: i64, which: &str) -> Result<(), StoreError> {
        for base in self.bases(&format!("WHERE consent = ?1 AND {which}"), consent)? {
            self.uncover(base.id)?;
            self.execute("DELETE FROM consent_rule WHERE base = ?1", params![base.id])?;
            self.execute("DELETE FROM consent_relation WHERE base = ?1", params![base.id])?;
            self.execute("DELETE FROM consent_base WHERE id = ?1", params![base.id])?;
        }
        Ok(())
    }

    fn uncover(&self, base: i64) -> Result<(), StoreError> {
        let rules = params![base * RULES_OF_BASE, (base + 1) * RULES_OF_BASE];
        self.execute("DELETE FROM consent_covered WHERE rule >= ?1 AND rule < ?2", rules)
    }

    fn bases(&self, which: &str, value: i64) -> Result<Vec<Base>, StoreError> {
        let sql = format!("SELECT id, consent, version, patient, standing FROM consent_base {which}");
        let mut statement = self.connection.prepare_cached(&sql).map_err(store_error)?;
        let base = |row: &rusqlite::Row<'_>| {
            let [id, consent, patient, standing] = [row.get(0)?, row.get(1)?, row.get(3)?, row.get(4)?];
            Ok(Base { id, consent, version: row.get(2)?, patient, standing })
        };
        let rows = statement.query_map([value], base).map_err(store_error)?;
        rows.collect::<Result<Vec<_>, _>>().map_err(store_error)
    }

    /// The rules of a base, opened; `None` where it has none.
    fn rules(&self, base: &Base) -> Result<Option<Rules>, StoreError> {
        let Some(version) = load::version(self.connection, self.seal, base.consent, &base.version)? else { return Ok(None) };
        let standing = if base.standing == 0 { Standing::Verified } else { Standing::Unverified };
        let Some(consent) = load::compiled(&version, &self.context(), standing) else { return Ok(None) };
        let Ok(rows) = rows(&consent) else { return Ok(None) };
        let related = load::related(self.connection, self.seal, self.base_url, &[&consent])?;
        let numbers = base.id * RULES_OF_BASE..;
        let asking = numbers.zip(rows).filter(|(_, row)| row.asks_for_content()).collect();
        Ok(Some(Rules { asking, related }))
    }

    /// What the rules of a base cover of everything that its patient has.
    fn cover_all(&self, base: &Base) -> Result<(), StoreError> {
        self.uncover(base.id)?;
        let Some(rules) = self.readable_rules(base)? else { return Ok(()) };
        let records = {
            let sql = "SELECT DISTINCT pk FROM compartment WHERE patient = ?1";
            let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
            let rows = statement.query_map([base.patient], |row| row.get(0)).map_err(store_error)?;
            rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?
        };
        for pk in records {
            let stored = match load::current(self.connection, self.seal, pk) {
                // It cannot be shown either.
                Err(StoreError::Corrupt(_)) => None,
                other => other?,
            };
            if let Some(stored) = stored {
                self.cover(&rules, pk, &stored)?;
            }
        }
        Ok(())
    }

    fn cover(&self, rules: &Rules, pk: i64, version: &StoredVersion) -> Result<(), StoreError> {
        let facts = self.facts(version, rules);
        for (rule, row) in &rules.asking {
            let covered = row.covers(&facts);
            if covered != Match::No {
                let certain = covered == Match::Yes;
                let sql = "INSERT OR REPLACE INTO consent_covered (rule, resource, certain) VALUES (?1, ?2, ?3)";
                self.execute(sql, params![rule, pk, certain])?;
            }
        }
        Ok(())
    }

    fn facts(&self, version: &StoredVersion, rules: &Rules) -> ResourceFacts {
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let of_body = |body: &Vec<u8>| {
            let resource = Resource::parse(body).ok()?;
            let entries = index::extract(&resource, self.base_url);
            // Labels are a column of the statement.
            let mut facts = ResourceFacts::of(&resource, &entries, &index::references(&resource, self.base_url), Labels::NONE)?;
            facts.referred_from = Some(referring(&rules.related, &target));
            Some(facts)
        };
        version.body.as_ref().and_then(of_body).unwrap_or_else(|| ResourceFacts::outline(target.clone(), Labels::NONE, true))
    }

    fn context(&self) -> Context<'_> {
        Context::of(self.base_url)
    }

    fn execute(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(store_error)?;
        Ok(())
    }
}

/// How a standing is kept.
fn number(standing: Standing) -> i64 {
    match standing {
        Standing::Verified => 0,
        Standing::Outdated => 1,
        Standing::Unverified => 2,
        Standing::Held => 3,
    }
}

/// A version of a Consent, as far as it can be read.
enum Found {
    Nothing,
    Version(StoredVersion),
    Unreadable { version: String, patients: Vec<i64> },
}

/// The rules of one base that ask for content, with their numbers.
struct Rules {
    asking: Vec<(i64, ConsentRow)>,
    related: Vec<(LocalReference, Vec<LocalReference>)>,
}

/// Makes all rows anew where they were derived by another program or for another address; `false` where they were not.
pub fn refresh(connection: &Connection, seal: &Seal, base_url: &str) -> Result<bool, StoreError> {
    let made = format!("{METHOD} {base_url}");
    let stored = connection.query_row("SELECT made FROM consent_derivation", [], |row| row.get::<_, String>(0));
    if stored.optional().map_err(store_error)?.as_deref() == Some(&made) {
        return Ok(false);
    }
    Derivation { connection, seal, base_url }.all()?;
    let sql = "INSERT INTO consent_derivation (one, made) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET made = excluded.made";
    connection.execute(sql, [made]).map_err(store_error)?;
    Ok(true)
}

/// Versions of Consents that cannot be read hide their patients from now on.
pub fn hide_unreadable(connection: &Connection, unreadable: impl IntoIterator<Item = (i64, String)>) -> Result<(), StoreError> {
    let sql = "UPDATE consent_base SET compilable = 0 WHERE consent = ?1 AND version = ?2";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    for (consent, version) in unreadable {
        statement.execute(params![consent, version]).map_err(store_error)?;
    }
    Ok(())
}

/// For which address the rows were derived; none where nobody said yet.
pub fn base_url(connection: &Connection) -> Result<String, StoreError> {
    let made = connection.query_row("SELECT made FROM consent_derivation", [], |row| row.get::<_, String>(0));
    let made = made.optional().map_err(store_error)?.unwrap_or_default();
    Ok(made.strip_prefix(METHOD).unwrap_or_default().trim_start().to_owned())
}

/// Whether a rule of anybody asks for content: mostly none does, and an import asks this for each record.
pub fn is_anything_covered(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM consent_base WHERE content = 1";
    connection.prepare_cached(sql).and_then(|mut statement| statement.exists([])).map_err(store_error)
}

/// Whether a consent of these patients asks for content, or depends on this resource.
pub fn concerns(connection: &Connection, pk: i64, patients: &[i64]) -> Result<bool, StoreError> {
    let exists = |sql: &str, value: i64| {
        let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
        statement.exists([value]).map_err(store_error)
    };
    for patient in patients {
        if exists("SELECT 1 FROM consent_base WHERE patient = ?1 AND content = 1", *patient)? {
            return Ok(true);
        }
    }
    Ok(exists("SELECT 1 FROM consent_relation WHERE target = ?1", pk)?
        || exists("SELECT 1 FROM consent_covered WHERE resource = ?1", pk)?)
}

/// The locators of these patients.
pub fn locators_of(connection: &Connection, patients: &[LogicalId]) -> Result<Vec<i64>, StoreError> {
    let mut locators = Locators::new();
    patients.iter().map(|patient| locators.obtain(connection, ResourceType::PATIENT, patient.as_str())).collect()
}
