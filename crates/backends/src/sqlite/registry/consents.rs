//! Which Consents there are and who stands behind them; a confirmation, with what follows for decisions, in one transaction.

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::PrincipalUser;
use portcullis_oauth::users::User;
use portcullis_policy::StoredVersion;
use portcullis_policy::constraint::TypeSet;
use portcullis_policy::rules::consent::{CompiledConsent, Confirming, Context, Memberships, Standing, own_records};
use portcullis_store::StoreError;
use portcullis_store::consents::{
    ABOUT_RELATIVE, Confirmed, ConsentConfirmation, ConsentEntry, ConsentsListed, How, NAMED_IN_IT, NOT_CURRENT, NOT_OWN,
    NOT_STANDING, OWN_WORK,
};
use rusqlite::{Connection, OptionalExtension};

use super::statements::{conflict, exists};
use super::users;
use crate::sqlite::consents::derive::{self, Derivation, locators_of};
use crate::sqlite::consents::verification::{self, Verification};
use crate::sqlite::consents::{held, load, parties, sight};
use crate::sqlite::database::store_error;
use crate::sqlite::locator;
use crate::sqlite::seal::Seal;

/// The status of what cannot be read.
const UNREADABLE: &str = "unreadable";
/// Consents of one listing.
const MAXIMUM_LISTED: i64 = 200;

/// Consents with their standing.
pub fn list(connection: &Connection, seal: &Seal, which: &ConsentsListed) -> Result<Vec<ConsentEntry>, StoreError> {
    let code = ResourceType::CONSENT.code();
    let (sql, value) = match which {
        ConsentsListed::Waiting => (
            format!(
                "SELECT r.pk FROM resource r WHERE r.type = {code} AND (r.version IS NOT (SELECT v.version FROM consent_verification v \
                 WHERE v.consent = r.pk ORDER BY v.id DESC LIMIT 1) OR r.pk IN (SELECT b.consent FROM consent_base b WHERE b.compilable = 0)) AND ?1 = ?1 \
                 ORDER BY r.last_updated DESC LIMIT {MAXIMUM_LISTED}"
            ),
            String::new(),
        ),
        ConsentsListed::OfPatient(patient) => (
            format!(
                "SELECT c.pk FROM locator p CROSS JOIN compartment c ON c.patient = p.pk AND c.type = {code} \
                 WHERE p.type = {patient} AND p.id = ?1 \
                 UNION SELECT v.consent FROM locator p CROSS JOIN consent_verification v ON v.patient = p.pk WHERE p.type = {patient} AND p.id = ?1 \
                 UNION SELECT h.consent FROM locator p CROSS JOIN consent_held h ON h.patient = p.pk WHERE p.type = {patient} AND p.id = ?1 \
                 LIMIT {MAXIMUM_LISTED}",
                patient = ResourceType::PATIENT.code()
            ),
            patient.to_string(),
        ),
        ConsentsListed::One(id) => (
            format!("SELECT r.pk FROM locator l CROSS JOIN resource r ON r.pk = l.pk WHERE l.type = {code} AND l.id = ?1"),
            id.to_string(),
        ),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let rows = statement.query_map([value], |row| row.get(0)).map_err(store_error)?;
    let found = rows.collect::<Result<Vec<i64>, _>>().map_err(store_error)?;
    found.into_iter().filter_map(|pk| entry(connection, seal, pk).transpose()).collect()
}

fn entry(connection: &Connection, seal: &Seal, pk: i64) -> Result<Option<ConsentEntry>, StoreError> {
    let (id, version, patients, body, is_readable) = match load::current(connection, seal, pk) {
        // Whoever looks after the server must find it: it hides its patient.
        Err(StoreError::Corrupt(_)) => match unreadable(connection, pk)? {
            Some((id, version, patients)) => (id, version, patients, None, false),
            None => return Ok(None),
        },
        other => match other? {
            Some(StoredVersion { id, version, patients, body, .. }) => (id, version, patients, body, true),
            None => return Ok(None),
        },
    };
    let confirmed = confirmed(connection, pk)?;
    let (mut counting, mut moved) = (Vec::new(), Vec::new());
    let mut named = held::apart(connection, pk)?;
    named.extend(confirmed.as_ref().map(|last| last.version.clone()));
    for earlier in named.iter().filter(|earlier| *earlier != version.as_str()) {
        // What cannot be read is shown to nobody.
        let earlier = load::version(connection, seal, pk, earlier).ok().flatten();
        let Some(StoredVersion { patients: of, body: Some(body), .. }) = earlier else { continue };
        if status(Some(&body)) != "active" {
            continue;
        }
        match of.into_iter().next() {
            // A version may have been about somebody else, who is nobody's business here.
            Some(before) if !patients.contains(&before) => moved.push((before, body)),
            _ => counting.push(body),
        }
    }
    Ok(Some(ConsentEntry {
        counting,
        moved,
        is_folded: !held::folded(connection, pk)?.is_empty(),
        status: if is_readable { status(body.as_deref()) } else { UNREADABLE.to_owned() },
        writer: verification::writer_of(connection, (pk, version.as_str()))?.map(|writer| writer.account),
        confirmed,
        patient: patients.into_iter().next(),
        id,
        version,
        body,
    }))
}

/// The id, version and patients of a current version that cannot be opened.
fn unreadable(connection: &Connection, pk: i64) -> Result<Option<(LogicalId, LogicalId, Vec<LogicalId>)>, StoreError> {
    let (version, patients) = load::outline(connection, pk, None)?;
    let mut statement = connection.prepare_cached("SELECT id FROM locator WHERE pk = ?1").map_err(store_error)?;
    let id: Option<String> = statement.query_row([pk], |row| row.get(0)).optional().map_err(store_error)?;
    let parsed = id.and_then(|id| LogicalId::parse(&id)).zip(LogicalId::parse(&version));
    Ok(parsed.map(|(id, version)| (id, version, patients)))
}

fn status(body: Option<&[u8]>) -> String {
    let Some(body) = body else { return "deleted".to_owned() };
    let parsed = json::parse(body).ok();
    let status = parsed.as_ref().and_then(|body| body.member("status")).and_then(Value::as_str);
    status.unwrap_or(UNREADABLE).to_owned()
}

fn confirmed(connection: &Connection, pk: i64) -> Result<Option<Confirmed>, StoreError> {
    let sql = "SELECT version, by_whom, how, at FROM consent_verification WHERE consent = ?1 ORDER BY id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(store_error)?;
    let row =
        |row: &rusqlite::Row<'_>| Ok(Confirmed { version: row.get(0)?, by_whom: row.get(1)?, how: row.get(2)?, at: row.get(3)? });
    statement.query_row([pk], row).optional().map_err(store_error)
}

/// Confirms the current version. Whoever wrote it or is named in it cannot, but for the patients about their own.
pub fn confirm(connection: &Connection, seal: &Seal, confirmation: &ConsentConfirmation, now: i64) -> Result<(), StoreError> {
    let ConsentConfirmation { consent, version, by, how, .. } = confirmation;
    let absent = || conflict(NOT_CURRENT);
    let pk = locator::find(connection, ResourceType::CONSENT, consent.as_str())?.ok_or_else(absent)?;
    let current = load::current(connection, seal, pk)?.filter(|current| current.version == *version).ok_or_else(absent)?;
    let counting = Counting::of((connection, seal), (pk, current))?;
    match how {
        How::Patient => counting.require_patient(connection, seal, confirmation)?,
        How::InPerson | How::Paper | How::Telephone => counting.require_officer(connection, seal, confirmation)?,
    }
    if verification::is_confirmed(connection, (pk, version.as_str()))? {
        return Ok(());
    }
    let current = counting.current();
    let patients = locators_of(connection, &current.patients)?;
    let patient = patients.first().copied().filter(|_| current.body.is_some());
    let added =
        Verification { consent: pk, version: version.as_str(), patient, by_whom: by.as_str(), how: how.as_str(), at: now };
    verification::add(connection, &added)?;
    // Nothing is derived from the address here.
    Derivation { connection, seal, base_url: "" }.consent_confirmed(pk)
}

/// The versions of a Consent on which its confirmation has a bearing: the current one, the one that was confirmed last, and those that are held.
struct Counting {
    pk: i64,
    versions: Vec<StoredVersion>,
    /// Whether one of them cannot be read.
    unreadable: bool,
    current: StoredVersion,
}

impl Counting {
    fn of((connection, seal): (&Connection, &Seal), (pk, current): (i64, StoredVersion)) -> Result<Self, StoreError> {
        let (mut versions, mut unreadable) = (vec![current.clone()], false);
        let mut named = held::of_consent(connection, pk)?;
        named.extend(confirmed(connection, pk)?.map(|last| last.version));
        for version in named.iter().filter(|version| *version != current.version.as_str()) {
            match load::version(connection, seal, pk, version) {
                Err(StoreError::Corrupt(_)) => unreadable = true,
                other => match other? {
                    Some(found) => versions.push(found),
                    None => unreadable = true,
                },
            }
        }
        Ok(Self { pk, versions, unreadable, current })
    }

    fn current(&self) -> &StoredVersion {
        &self.current
    }

    fn compiled(&self, base_url: &str) -> Vec<CompiledConsent> {
        let context = Context::of(base_url);
        self.versions.iter().filter_map(|version| load::compiled(version, &context, Standing::Verified)).collect()
    }

    /// An officer is somebody else than who wrote the version, and than everybody whom one of the versions names, by whatever membership.
    fn require_officer(&self, connection: &Connection, seal: &Seal, by: &ConsentConfirmation) -> Result<(), StoreError> {
        let fallen = "SELECT 1 FROM user WHERE id = ?1 AND (locked_at IS NOT NULL OR recovered_by IS NOT NULL)";
        if exists(connection, fallen, [by.by.as_str()])? {
            return Err(conflict(NOT_STANDING));
        }
        let account = users::by_id(connection, &by.by)?;
        let person = by.person.clone().or_else(|| Some(account.as_ref()?.fhir_user.as_ref()?.to_string()));
        let writer = verification::writer_of(connection, (self.pk, self.current.version.as_str()))?;
        if writer.is_some_and(|writer| writer.account == by.by.as_str() || person.is_some() && writer.person == person) {
            return Err(conflict(OWN_WORK));
        }
        let acts_for = |version: &StoredVersion| {
            let patients = account.iter().flat_map(|account| &account.patients);
            patients.into_iter().any(|patient| version.patients.contains(patient))
        };
        if person.as_ref().is_some_and(|person| self.versions.iter().any(|version| mentions(version, person)))
            || self.versions.iter().any(acts_for)
        {
            return Err(conflict(NAMED_IN_IT));
        }
        let base_url = derive::base_url(connection)?;
        let compiled = self.compiled(&base_url);
        let person = person.as_deref().and_then(|person| match Reference::parse(person, &base_url) {
            Some(Reference::Local(local)) => Some(local),
            _ => None,
        });
        let memberships = memberships_of((connection, seal), person.as_ref(), &compiled)?;
        let confirming = Confirming { person: person.as_ref(), memberships: &memberships };
        if self.unreadable || compiled.iter().any(|consent| confirming.is_named_in(consent)) {
            return Err(conflict(NAMED_IN_IT));
        }
        Ok(())
    }

    /// The patient whose all of the versions are; or who acts for the patient, about others than that person alone.
    fn require_patient(&self, connection: &Connection, seal: &Seal, by: &ConsentConfirmation) -> Result<(), StoreError> {
        let refused = || conflict(NOT_OWN);
        let User { id, roles, fhir_user, patients, represents, .. } = users::by_id(connection, &by.by)?.ok_or_else(refused)?;
        let user = PrincipalUser { id, roles, fhir_user, patients, represents };
        let all = |whose: &[LogicalId]| {
            self.versions.iter().all(|version| version.patients.iter().all(|patient| whose.contains(patient)))
        };
        if self.unreadable || self.current.patients.is_empty() || !all(&user.patients) {
            return Err(refused());
        }
        if all(&own_records(&user)) {
            return Ok(());
        }
        let compiled = self.compiled(&derive::base_url(connection)?);
        let memberships = memberships_of((connection, seal), user.fhir_user.as_ref(), &compiled)?;
        let confirming = Confirming { person: user.fhir_user.as_ref(), memberships: &memberships };
        if compiled.iter().any(|consent| confirming.is_concerned_by(consent)) { Err(conflict(ABOUT_RELATIVE)) } else { Ok(()) }
    }
}

/// What a person is besides, as far as these consents name it.
fn memberships_of(
    (connection, seal): (&Connection, &Seal),
    person: Option<&LocalReference>,
    consents: &[CompiledConsent],
) -> Result<Memberships, StoreError> {
    let practitioner = person.filter(|person| person.resource_type == ResourceType::PRACTITIONER);
    let mut memberships = match practitioner {
        Some(practitioner) => sight::memberships(connection, seal, practitioner)?,
        None => Memberships::default(),
    };
    let mut actors: Vec<Reference> = person.cloned().map(Reference::Local).into_iter().collect();
    actors.extend(memberships.actors.iter().cloned());
    let mut unresolved: TypeSet = [ResourceType::PRACTITIONER, ResourceType::PRACTITIONER_ROLE, ResourceType::ORGANIZATION]
        .into_iter()
        .filter(|unknown| {
            let is_known =
                memberships.known.contains(*unknown) || practitioner.is_some() && *unknown == ResourceType::PRACTITIONER;
            !is_known
        })
        .collect();
    unresolved.insert(ResourceType::CARE_TEAM);
    ResourceType::parse("Group").into_iter().for_each(|group| unresolved.insert(group));
    parties::resolve(connection, (&actors, &unresolved), consents, &mut memberships)?;
    Ok(memberships)
}

/// Whether a version refers to somebody anywhere: relative, or under some base.
fn mentions(version: &StoredVersion, person: &str) -> bool {
    let Some(body) = &version.body else { return false };
    let under_base = format!("/{person}");
    let is = |text: &str| {
        let text = text.split("/_history/").next().unwrap_or(text);
        text == person || text.ends_with(&under_base)
    };
    json::parse(body).map_or(true, |body| refers(&body, &is))
}

/// Whether a reference in a value is as `is` says.
fn refers(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, member)| &**name == "reference" && member.as_str().is_some_and(is) || refers(member, is))
        }
        Value::Array(items) => items.iter().any(|item| refers(item, is)),
        _ => false,
    }
}
