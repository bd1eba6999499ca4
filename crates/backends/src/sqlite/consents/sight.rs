//! What a request's question needs of the store besides its rows: of what organisations a practitioner is, and the Consents by which release decides again.
//!
//! Resolved at the begin of each piece of work, in its snapshot. Where nobody has a Consent and the implicit policy lets the request in, statements are as they
//! would be without consents. Where it is plain whose records are asked for, what these patients say is read first: those who let whoever asks have everything are
//! not asked again for each row, which took most of the time of a search.

use std::borrow::Cow;

use portcullis_fhir::definitions::search_parameter;
use portcullis_fhir::index::fold_code;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::search::{ReferenceMatch, SearchQuery, Test};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::Boundary;
use portcullis_policy::rules::consent::{Memberships, Question, Verdicts};
use portcullis_policy::{ConsentsOf, Constraint, Consulted, StoredVersion};
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension};

use super::super::database::store_error;
use super::super::locator;
use super::super::parameters::Parameters;
use super::super::seal::Seal;
use super::super::visibility::patients_in_care;
use super::{denials, load, parties};

/// The most patients of whom is read first what they say.
const MAXIMUM_EXPECTED: usize = 4;

/// A constraint with what the store knows about who asks.
pub struct Sight<'a> {
    constraint: Cow<'a, Constraint>,
    /// As it was decided.
    decided: &'a Constraint,
    memberships: Memberships,
    asked: Asked,
    /// The patients whom it is likely to be about, where it matters what they deny.
    expected: Vec<LogicalId>,
}

/// Whose consents a piece of work asks for.
enum Asked {
    /// Nobody's: no question is asked.
    Nobody,
    /// Everybody's, and nobody has any.
    NobodyHasAny,
    /// Those of these patients alone, ascending, who have none.
    Silent(Vec<LogicalId>),
    /// Those of the patients of what is found.
    Patients,
    /// The same, and these were read already.
    Expected(Box<Consulted>),
}

impl<'a> Sight<'a> {
    /// What the constraint is in this snapshot.
    pub fn of(connection: &Connection, seal: &Seal, constraint: &'a Constraint) -> Result<Self, StoreError> {
        Self::expecting(connection, seal, constraint, Vec::new())
    }

    /// The same for a search.
    pub fn of_search(
        connection: &Connection,
        seal: &Seal,
        constraint: &'a Constraint,
        query: &SearchQuery,
    ) -> Result<Self, StoreError> {
        Self::expecting(connection, seal, constraint, named(query))
    }

    /// The same for a piece of work that is likely to be about these patients, and about those within whose records the constraint stays.
    fn expecting(
        connection: &Connection,
        seal: &Seal,
        constraint: &'a Constraint,
        expected: Vec<LogicalId>,
    ) -> Result<Self, StoreError> {
        let sight = |with, asked| {
            let (memberships, expected) = (Memberships::default(), Vec::new());
            Self { constraint: with, decided: constraint, memberships, asked, expected }
        };
        let Some(question) = constraint.question() else { return Ok(sight(Cow::Borrowed(constraint), Asked::Nobody)) };
        if let Some(own) = constraint.asks_only_of_own_records() {
            if says_nothing(connection, own)? {
                return Ok(sight(Cow::Owned(constraint.where_owners_said_nothing()), Asked::Silent(ascending(own.iter()))));
            }
        } else if says_nobody_anything(connection)? {
            let expected =
                if question.is_implicitly_permitted() { Vec::new() } else { likely(connection, constraint, &expected)? };
            let sight = sight(Cow::Owned(constraint.where_nobody_consented()), Asked::NobodyHasAny);
            return Ok(Self { expected, ..sight });
        }
        let memberships = match question.person() {
            None => Memberships::default(),
            Some(person) => memberships(connection, seal, person)?,
        };
        let joined =
            if question.person().is_some() { Cow::Owned(constraint.joined(&memberships)) } else { Cow::Borrowed(constraint) };
        let expected = likely(connection, constraint, &expected)?;
        let mut sight =
            Self { constraint: joined, decided: constraint, memberships, asked: Asked::Patients, expected: Vec::new() };
        // A change looks at single rows, and a Consent may come with it that says otherwise.
        let reads = matches!(constraint.letter(), Letter::Read | Letter::Search);
        if reads && !expected.is_empty() && expected.len() <= MAXIMUM_EXPECTED {
            let consulted = match sight.read(connection, seal, question, expected.clone()) {
                Ok(consulted) => consulted,
                // Whoever names a hidden patient is answered as by an absent one: what cannot be read matters where a record is found.
                Err(StoreError::Corrupt(_)) => return Ok(sight),
                Err(error) => return Err(error),
            };
            let question = question.joined(&consulted.memberships);
            let agrees =
                |patient: &LogicalId| off!("consent-agreed") || question.is_let_in_to_everything_of(&consulted.consents, patient);
            let agreed: Vec<LogicalId> = expected.iter().filter(|patient| agrees(patient)).cloned().collect();
            sight.expected = expected;
            if !agreed.is_empty() {
                sight.constraint = Cow::Owned(sight.constraint.where_agreed(agreed));
            }
            sight.asked = Asked::Expected(Box::new(consulted));
        }
        Ok(sight)
    }

    /// The constraint for statements.
    pub fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// What release needs to know of the consents of the patients of these versions.
    pub fn consult(&self, connection: &Connection, seal: &Seal, versions: &[&StoredVersion]) -> Result<Consulted, StoreError> {
        self.consult_patients(connection, seal, versions.iter().flat_map(|version| &version.patients))
    }

    /// The same for these patients.
    pub fn consult_patients<'p>(
        &self,
        connection: &Connection,
        seal: &Seal,
        patients: impl IntoIterator<Item = &'p LogicalId>,
    ) -> Result<Consulted, StoreError> {
        let question = match (&self.asked, self.decided.question()) {
            (Asked::Patients | Asked::Expected(_), Some(question)) => question,
            (Asked::NobodyHasAny, _) => return Ok(Consulted::nobody_has_any()),
            (Asked::Silent(own), _) => return Ok(Consulted { of: ConsentsOf::Patients(own.clone()), ..Consulted::default() }),
            (Asked::Nobody | Asked::Patients | Asked::Expected(_), _) => return Ok(Consulted::default()),
        };
        let patients = ascending(patients);
        match &self.asked {
            Asked::Expected(consulted) if patients.iter().all(|patient| consulted.knows(patient)) => Ok((**consulted).clone()),
            _ => self.read(connection, seal, question, patients),
        }
    }

    /// What consents deny of the patients whom a search of this type names, or in whose records it stays, and of whom nothing is among these versions: as far as their records would
    /// be open otherwise. For the record alone.
    pub fn denied(&self, connection: &Connection, of: ResourceType, versions: &[&StoredVersion]) -> Result<Verdicts, StoreError> {
        let (mut denied, nobody_has_any) = (Verdicts::default(), Consulted::nobody_has_any());
        let consulted = match &self.asked {
            Asked::Expected(consulted) => consulted,
            Asked::NobodyHasAny => &nobody_has_any,
            Asked::Nobody | Asked::Silent(_) | Asked::Patients => return Ok(denied),
        };
        let Some(question) = self.decided.question().filter(|_| self.expected.len() <= MAXIMUM_EXPECTED) else {
            return Ok(denied);
        };
        for patient in &self.expected {
            if versions.iter().any(|version| version.patients.contains(patient)) {
                continue;
            }
            let question = question.joined(&consulted.memberships);
            let verdicts = consulted.of_any(&question, (self.decided.letter(), of), patient).of_denials();
            let is_somebody = || locator::find(connection, ResourceType::PATIENT, patient.as_str());
            if !verdicts.is_empty() && is_somebody()?.is_some() && denials::opens(connection, self.decided, of, patient)? {
                denied.join(&verdicts);
            }
        }
        Ok(denied)
    }

    /// Reads what these patients, ascending, say, and what is asked of that.
    fn read(
        &self,
        connection: &Connection,
        seal: &Seal,
        question: &Question,
        patients: Vec<LogicalId>,
    ) -> Result<Consulted, StoreError> {
        let question = question.joined(&self.memberships);
        let context = question.context();
        let consents = load::of_patients(connection, seal, &context, &patients)?;
        let related = load::related(connection, seal, context.base_url, &consents.iter().collect::<Vec<_>>())?;
        let mut memberships = self.memberships.clone();
        let actors: Vec<Reference> = question.actors().cloned().collect();
        parties::resolve(connection, (&actors, question.unresolved()), &consents, &mut memberships)?;
        Ok(Consulted { of: ConsentsOf::Patients(patients), consents, memberships, related })
    }
}

/// The patients whom a piece of work is likely to be about. Of whom nothing can be found, nothing is read: a search that names somebody hidden does the work of one
/// that names somebody absent, but for the look whether there is a relationship.
fn likely(connection: &Connection, constraint: &Constraint, expected: &[LogicalId]) -> Result<Vec<LogicalId>, StoreError> {
    let in_care = patients_in_care(connection, constraint, expected)?;
    let is_own = |boundary: &Boundary, patient: &LogicalId| matches!(boundary, Boundary::Itself(record) if record.resource_type == ResourceType::PATIENT && record.id == *patient);
    let reachable = |patient: &&LogicalId| {
        constraint.boundaries().any(|boundary| boundary.contains(patient, &in_care) || is_own(boundary, patient))
    };
    Ok(ascending(constraint.boundaries().flat_map(within).chain(expected.iter().filter(reachable))))
}

/// Whether nobody has said anything, and the implicit policy lets everybody in who asks this.
pub fn lets_everybody_in(connection: &Connection, constraint: &Constraint) -> Result<bool, StoreError> {
    Ok(constraint.question().is_none_or(Question::is_implicitly_permitted) && says_nobody_anything(connection)?)
}

/// The constraint with what the store knows about who asks.
pub fn joined(connection: &Connection, seal: &Seal, constraint: &Constraint) -> Result<Constraint, StoreError> {
    match constraint.question().and_then(Question::person) {
        Some(person) => Ok(constraint.joined(&memberships(connection, seal, person)?)),
        None => Ok(constraint.clone()),
    }
}

/// The patients within whose records a boundary stays.
fn within(boundary: &Boundary) -> &[LogicalId] {
    match boundary {
        Boundary::Patients(patients) => patients.items(),
        _ => &[],
    }
}

/// The patients whom a search names as those of what it looks for: all others are asked as if it had not.
fn named(query: &SearchQuery) -> Vec<LogicalId> {
    let is_patient = |reference: &&LocalReference| reference.resource_type == ResourceType::PATIENT;
    let of = |reference: &LocalReference| reference.id.clone();
    let by_address = query.compartment.as_ref().filter(is_patient).map(of);
    let references = query.filters.iter().filter_map(|filter| match &filter.test {
        Test::Reference(references) => Some((filter.parameter.targets.contains(&ResourceType::PATIENT), references)),
        _ => None,
    });
    let by_filters = references.flat_map(|(may_be_patient, references)| {
        references.iter().filter_map(move |reference| match reference {
            ReferenceMatch::Exact(Reference::Local(local)) => Some(local).filter(is_patient).map(of),
            ReferenceMatch::AnyType(id) => may_be_patient.then(|| id.clone()),
            ReferenceMatch::Exact(_) => None,
        })
    });
    by_address.into_iter().chain(by_filters).collect()
}

/// Each once, as [`ConsentsOf::Patients`] has them.
fn ascending<'p>(patients: impl IntoIterator<Item = &'p LogicalId>) -> Vec<LogicalId> {
    let mut patients: Vec<&LogicalId> = patients.into_iter().collect();
    patients.sort_unstable();
    patients.dedup();
    patients.into_iter().cloned().collect()
}

/// Whether no consent at all is here. Rows that were lost say nothing of who has consented: whoever wrote or confirmed a Consent is remembered besides.
fn says_nobody_anything(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT NOT (EXISTS (SELECT 1 FROM consent_base) OR EXISTS (SELECT 1 FROM consent_verification) \
        OR EXISTS (SELECT 1 FROM consent_writer) OR EXISTS (SELECT 1 FROM consent_held))";
    connection.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0))).map_err(store_error)
}

/// Whether none of these patients has a Consent: asked of the rows by which statements decide, and, since some may be lost, of those by which release does.
fn says_nothing(connection: &Connection, patients: &[LogicalId]) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM consent_base b WHERE b.patient = p.pk) \
         OR EXISTS (SELECT 1 FROM consent_verification v WHERE v.patient = p.pk) \
         OR EXISTS (SELECT 1 FROM consent_held h WHERE h.patient = p.pk) \
         OR EXISTS (SELECT 1 FROM compartment c WHERE c.patient = p.pk AND c.type = {}) FROM locator p WHERE p.type = {} AND p.id = ?1",
        ResourceType::CONSENT.code(),
        ResourceType::PATIENT.code()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    for patient in patients {
        // Of whom nothing is known there is nothing to show either.
        let says = statement.query_row([patient.as_str()], |row| row.get::<_, bool>(0)).optional().map_err(store_error)?;
        if says == Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a practitioner is besides: roles that are not ended, and their organisations. Only whoever may write everything puts anybody into one. Where no role is stored,
/// nobody knows of what organisation somebody is.
pub fn memberships(connection: &Connection, seal: &Seal, person: &LocalReference) -> Result<Memberships, StoreError> {
    let mut memberships = Memberships::default();
    let Some(own) = locator::find(connection, person.resource_type, person.id.as_str())? else { return Ok(memberships) };
    let (mut any, mut all_have_one) = (false, true);
    for (pk, role) in roles(connection, seal, own)? {
        let organizations = organizations(connection, pk)?;
        (any, all_have_one) = (true, all_have_one && !organizations.is_empty());
        memberships.actors.push(Reference::Local(role));
        memberships.actors.extend(organizations);
    }
    memberships.wider = wider(connection, &memberships.actors)?;
    // A role without an organisation that is known here may be in any.
    let known = [(ResourceType::PRACTITIONER_ROLE, any), (ResourceType::ORGANIZATION, any && all_have_one)];
    memberships.known = known.into_iter().filter(|(_, known)| *known).map(|(of, _)| of).collect();
    Ok(memberships)
}

fn roles(connection: &Connection, seal: &Seal, practitioner: i64) -> Result<Vec<(i64, LocalReference)>, StoreError> {
    let (Some(of), Some(active)) = (role_parameter("practitioner"), role_parameter("active")) else { return Ok(Vec::new()) };
    let mut parameters = Parameters::default();
    let (practitioner, inactive) = (parameters.bind(practitioner), parameters.bind(seal.hash64(&fold_code("false"))));
    let sql = format!(
        "SELECT l.type, l.id, l.pk FROM index_reference x CROSS JOIN resource r ON r.pk = x.pk CROSS JOIN locator l ON l.pk = r.pk \
         WHERE x.parameter = {of} AND x.target = {practitioner} AND r.deleted = 0 AND r.pk NOT IN \
         (SELECT t.pk FROM index_token t WHERE t.parameter = {active} AND t.code = {inactive})"
    );
    local_references(connection, &parameters, &sql)
}

fn organizations(connection: &Connection, role: i64) -> Result<Vec<Reference>, StoreError> {
    let Some(of) = role_parameter("organization") else { return Ok(Vec::new()) };
    let mut parameters = Parameters::default();
    let role = parameters.bind(role);
    let sql = format!(
        "SELECT l.type, l.id, l.pk FROM index_reference x CROSS JOIN locator l ON l.pk = x.target WHERE x.pk = {role} AND x.parameter = {of}"
    );
    Ok(local_references(connection, &parameters, &sql)?
        .into_iter()
        .map(|(_, organization)| Reference::Local(organization))
        .collect())
}

/// The organisations of which these are parts, and those of which they are parts in turn, as far as they are known here.
fn wider(connection: &Connection, actors: &[Reference]) -> Result<Vec<Reference>, StoreError> {
    let Some(part_of) = search_parameter(ResourceType::ORGANIZATION, "partof") else { return Ok(Vec::new()) };
    let mut parameters = Parameters::default();
    let organization = |actor: &Reference| match actor {
        Reference::Local(local) if local.resource_type == ResourceType::ORGANIZATION => Some(local.id.as_str().to_owned()),
        _ => None,
    };
    let own = parameters.bind_list(actors.iter().filter_map(organization));
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let (key, organization) = (part_of.key, ResourceType::ORGANIZATION.code());
    // UNION, not UNION ALL: a circle ends.
    let sql = format!(
        "WITH RECURSIVE wider(pk) AS (SELECT x.target FROM locator o CROSS JOIN index_reference x ON x.pk = o.pk AND x.parameter = {key} \
         WHERE o.type = {organization} AND o.id IN ({own}) \
         UNION SELECT x.target FROM wider w CROSS JOIN index_reference x ON x.pk = w.pk AND x.parameter = {key}) \
         SELECT l.type, l.id, l.pk FROM wider w CROSS JOIN locator l ON l.pk = w.pk WHERE l.type = {organization}"
    );
    Ok(local_references(connection, &parameters, &sql)?.into_iter().map(|(_, wider)| Reference::Local(wider)).collect())
}

fn role_parameter(code: &str) -> Option<u16> {
    search_parameter(ResourceType::PRACTITIONER_ROLE, code).map(|parameter| parameter.key)
}

/// Rows of a type, an id and a locator; what is no resource of this server is passed over.
fn local_references(
    connection: &Connection,
    parameters: &Parameters,
    sql: &str,
) -> Result<Vec<(i64, LocalReference)>, StoreError> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows: Vec<(u8, String, i64)> = parameters.rows(connection, sql, row).map_err(store_error)?;
    let local = |(code, id, pk): (u8, String, i64)| {
        Some((pk, LocalReference { resource_type: ResourceType::from_code(code)?, id: LogicalId::parse(&id)? }))
    };
    Ok(rows.into_iter().filter_map(local).collect())
}
