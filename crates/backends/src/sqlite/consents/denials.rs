//! Which Consents keep a record, or everything of a patient, from whoever asks: for the audit record of an attempt, never for an answer.
//!
//! Of a record that was asked for by its id it is told by the rows by which statements decide, and nothing is opened. The same statements look at another row where there is none
//! of that id; since what they find there takes another time, the answer waits for a time that says nothing (docs/adr/0026-decisions-on-consent.md). Of a search it is known of the patients whom it names, whose consents were read for it already. What a search
//! left out of other patients' records is not known to anybody, and not looked for.

use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::constraint::Asking;
use portcullis_policy::rules::consent::Verdicts;
use portcullis_policy::{Constraint, Visibility};
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::super::database::store_error;
use super::super::parameters::Parameters;
use super::super::seal::Seal;
use super::super::{read, visibility};
use super::{condition, sight};

/// The most Consents that are looked at: one more than a record names.
const MAXIMUM: usize = portcullis_audit::ConsentDecision::MAXIMUM_CONSENTS + 1;

/// What a denying Consent is: its id, its version, and whose it is.
type Denying = (String, String, String);

/// What consents deny of the record in this row, where nothing else keeps it from whoever asks; `None` where nobody needs to be asked.
pub fn of_row(
    connection: &Connection,
    seal: &Seal,
    asked: &Constraint,
    (resource_type, pk): (ResourceType, i64),
) -> Result<Option<Verdicts>, StoreError> {
    let mut denied = Verdicts::default();
    let is_asked = visibility::ways(asked, resource_type, asked.letter()).iter().any(|way| way.asking().is_some());
    if !is_asked || sight::lets_everybody_in(connection, asked)? {
        return Ok(None);
    }
    let joined = sight::joined(connection, seal, asked)?;
    let Some(question) = joined.question() else { return Ok(None) };
    let (is_hidden, patients) = is_hidden_by_consents(connection, &joined, (resource_type, pk))?;
    let mut parameters = Parameters::default();
    let pk = parameters.bind(pk);
    let asking = Asking { question, letter: joined.letter() };
    let (everybodys, own) = condition::denying(asking, "r", &mut parameters);
    let silent = condition::unpermitted(asking, "r", &mut parameters);
    let silent = unpermitted(connection, &parameters, &pk, &silent)?;
    let (everybodys, own) = (find(connection, &parameters, &pk, &everybodys)?, find(connection, &parameters, &pk, &own)?);
    let (asked, is_own) = question.asked(&patients);
    if !is_hidden {
        return Ok(Some(denied));
    }
    let found = if is_own { own } else { everybodys };
    for patient in asked {
        let by_patient: Vec<&Denying> = found.iter().filter(|(_, _, whose)| whose == patient.as_str()).collect();
        for (consent, version, _) in by_patient.iter().take(MAXIMUM - 1) {
            match (LogicalId::parse(consent), LogicalId::parse(version)) {
                (Some(consent), Some(version)) => denied.note_denial((patient, is_own), Ok((&consent, &version))),
                _ => denied.note_others(patient),
            }
        }
        if by_patient.len() == MAXIMUM {
            denied.note_others(patient);
        }
        // Another patient of the record may have let whoever asks in.
        if by_patient.is_empty()
            && !is_own
            && !question.is_implicitly_permitted()
            && silent.iter().any(|one| one == patient.as_str())
        {
            denied.note_denial((patient, is_own), Err(question.implicit()));
        }
    }
    Ok(Some(denied))
}

/// Whether the record would be visible if its patients were not asked, and is not; and who they are.
fn is_hidden_by_consents(
    connection: &Connection,
    constraint: &Constraint,
    (resource_type, pk): (ResourceType, i64),
) -> Result<(bool, Vec<LogicalId>), StoreError> {
    let (mut parameters, letter) = (Parameters::default(), constraint.letter());
    let pk = parameters.bind(pk);
    let unasked = visibility::predicate_but_for_consents(constraint, resource_type, letter, "r", &mut parameters);
    let shown = visibility::predicate(constraint, resource_type, letter, "r", &mut parameters);
    let sql = format!("SELECT ({unasked}) IS TRUE, ({shown}) IS TRUE, r.patients FROM resource r WHERE r.pk = {pk}");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)? && !row.get::<_, bool>(1)?, row.get::<_, String>(2)?));
    let found = parameters.rows(connection, &sql, row).map_err(store_error)?.pop();
    found.map_or(Ok((false, Vec::new())), |(is_hidden, patients)| Ok((is_hidden, read::patients(&patients)?)))
}

fn find(connection: &Connection, parameters: &Parameters, pk: &str, from: &[String]) -> Result<Vec<Denying>, StoreError> {
    let mut found: Vec<Denying> = Vec::new();
    for from in from {
        let sql = format!(
            "SELECT (SELECT id FROM locator WHERE pk = kb.consent), kb.version, (SELECT id FROM locator WHERE pk = kc.patient) \
             FROM resource r CROSS JOIN {from} AND r.pk = {pk} LIMIT {MAXIMUM}"
        );
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        for denying in parameters.rows(connection, &sql, row).map_err(store_error)? {
            if !found.contains(&denying) {
                found.push(denying);
            }
        }
    }
    Ok(found)
}

/// The patients of the record none of whose consents permits it.
fn unpermitted(connection: &Connection, parameters: &Parameters, pk: &str, from: &[String]) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for from in from {
        let sql = format!(
            "SELECT (SELECT id FROM locator WHERE pk = kc.patient) FROM resource r CROSS JOIN {from} AND r.pk = {pk} LIMIT {MAXIMUM}"
        );
        found.extend(parameters.rows(connection, &sql, |row| row.get::<_, String>(0)).map_err(store_error)?);
    }
    Ok(found)
}

/// Whether the constraint opens records of this type and patient, as far as whose they are goes.
pub fn opens(
    connection: &Connection,
    constraint: &Constraint,
    of: ResourceType,
    patient: &LogicalId,
) -> Result<bool, StoreError> {
    let in_care = visibility::patients_in_care(connection, constraint, std::slice::from_ref(patient))?;
    let ways = visibility::ways(constraint, of, constraint.letter());
    Ok(ways.iter().filter(|way| way.asking().is_some()).any(|way| match way.unqualified() {
        Visibility::Every => true,
        Visibility::Compartment(boundary) => boundary.contains(patient, &in_care),
        Visibility::Itself(record) => record.resource_type == ResourceType::PATIENT && record.id == *patient,
        _ => false,
    }))
}
