//! The access constraint as SQL: which rows of `resource` a permit shows, and the facts by which release judges them again.
//!
//! [`predicate`] is a condition that stands in every statement and sub-query that produces resources, before any limit. What [`grounds`] and
//! [`patients_in_care`] report comes from statements of their own, so that release compares two answers and not one with itself.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_fhir::compartment::membership_parameters;
use portcullis_fhir::labels::Clearance;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::{Asking, NonEmpty, Sources, TypeSet};
use portcullis_policy::stored::Grounds;
use portcullis_policy::{Actors, Boundary, Constraint, InCare, Relationship, StatedRelationship, StoredVersion, Visibility};
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::admission::admitted;
use super::consents::condition::consented;
use super::database::store_error;
use super::locator::IDENTIFIER;
use super::parameters::{Parameters, all, any};
use super::{read, relationship};

/// Patients per statement of [`patients_in_care`].
const PATIENTS_PER_STATEMENT: usize = 500;

/// A condition over `alias`, a row with the columns `pk`, `neg_time`, `patients` and `security` of a current resource of this type: whether the constraint shows it for
/// this letter. Hidden types give `0`.
pub fn predicate(
    constraint: &Constraint,
    resource_type: ResourceType,
    letter: Letter,
    alias: &str,
    parameters: &mut Parameters,
) -> String {
    let shown: Vec<String> =
        ways(constraint, resource_type, letter).iter().map(|way| shows(way, resource_type, alias, parameters)).collect();
    any(&shown)
}

/// The same but for what the patients of the record itself say: to know what they kept from whoever asked, for the record alone.
pub fn predicate_but_for_consents(
    constraint: &Constraint,
    resource_type: ResourceType,
    letter: Letter,
    alias: &str,
    parameters: &mut Parameters,
) -> String {
    let ways = ways(constraint, resource_type, letter);
    let unasked = ways.iter().map(|way| match way {
        Visibility::Consented { way, .. } => &**way,
        other => other,
    });
    any(&unasked.map(|way| shows(way, resource_type, alias, parameters)).collect::<Vec<_>>())
}

/// The distinct ways in which records of a type are visible; where one of them shows every record, only that one.
pub fn ways(constraint: &Constraint, resource_type: ResourceType, letter: Letter) -> Vec<Visibility<'_>> {
    let mut ways: Vec<Visibility<'_>> = Vec::new();
    for way in constraint.visibility_for(resource_type, letter) {
        if way == Visibility::Every {
            return vec![way];
        }
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

fn shows(way: &Visibility<'_>, resource_type: ResourceType, alias: &str, parameters: &mut Parameters) -> String {
    match way {
        Visibility::Every => "1".to_owned(),
        Visibility::Itself(_) if off!("own-entry") => "1".to_owned(),
        Visibility::Itself(record) => {
            let id = parameters.bind(record.id.as_str().to_owned());
            format!("{alias}.pk = (SELECT pk FROM locator WHERE type = {} AND id = {id})", record.resource_type.code())
        }
        Visibility::Cleared { way, .. } if off!("clearance-in-statements") => shows(way, resource_type, alias, parameters),
        Visibility::Cleared { way, clearance } => {
            // As a sub-query it comes after the other way, and not before: what is hidden by its labels costs the work of what is absent.
            format!("({} AND (SELECT {}))", shows(way, resource_type, alias, parameters), cleared(*clearance, alias))
        }
        Visibility::AboutNothingHidden { clearance, asking } => {
            let mut shown = vec![cleared(*clearance, "t")];
            shown.extend(asking.map(|asking| consented(asking, "t", false, parameters)));
            format!(
                "NOT EXISTS (SELECT 1 FROM about b CROSS JOIN resource t ON t.pk = b.target WHERE b.source = {alias}.pk AND NOT {})",
                all(&shown)
            )
        }
        Visibility::Consented { way, .. } if off!("consent-in-statements") => shows(way, resource_type, alias, parameters),
        Visibility::Consented { way, asking } => {
            let shown = shows(way, resource_type, alias, parameters);
            format!("({shown} AND ({}))", consented(*asking, alias, is_own(way, *asking), parameters))
        }
        Visibility::Qualified { way, .. } if off!("criteria-in-statements") => shows(way, resource_type, alias, parameters),
        Visibility::Qualified { way, admission } => {
            format!("({} AND {})", shows(way, resource_type, alias, parameters), admitted(admission, alias, parameters))
        }
        Visibility::Compartment(boundary) => {
            let inside = within(boundary, "c.patient", parameters);
            let code = resource_type.code();
            format!(
                "EXISTS (SELECT 1 FROM compartment c WHERE {inside} AND c.type = {code} AND c.neg_time = {alias}.neg_time \
                 AND c.pk = {alias}.pk)"
            )
        }
        Visibility::ReferencedFrom { boundary, sources } => {
            let referred_to = match boundary {
                // A practice's popular practitioner is soon found from the practitioner's side, a patient's few records from the patient's.
                Boundary::CareRelationship(_) | Boundary::Related(..) | Boundary::Itself(_) | Boundary::Whole => {
                    let inside = within(boundary, "c.patient", parameters);
                    let source = is_source(sources, "c", parameters);
                    format!(
                        "EXISTS (SELECT 1 FROM shared_link s CROSS JOIN compartment c ON c.pk = s.source \
                         WHERE s.target = {alias}.pk AND {source} AND {inside})"
                    )
                }
                Boundary::Patients(_) | Boundary::PatientsInCare(..) => {
                    format!("{alias}.pk IN ({})", referenced_from(boundary, sources, parameters))
                }
            };
            // What is somebody's (a Device with a patient) is not shared.
            if membership_parameters(resource_type).is_empty() || off!("shared-of-somebody") {
                referred_to
            } else {
                format!("({alias}.patients = '' AND {referred_to})")
            }
        }
        Visibility::About { boundary, targets } => {
            let source = is_source(targets, "c", parameters);
            let inside = within(boundary, "c.patient", parameters);
            let target = format!("EXISTS (SELECT 1 FROM compartment c WHERE c.pk = b.target AND {source} AND {inside})");
            let outside = if off!("about-all") || off!("about") { "0".to_owned() } else { format!("NOT {target}") };
            let target = if off!("about") { "1".to_owned() } else { target };
            format!(
                "(EXISTS (SELECT 1 FROM about b WHERE b.source = {alias}.pk AND {target}) \
                 AND NOT EXISTS (SELECT 1 FROM about b CROSS JOIN locator t ON t.pk = b.target \
                 WHERE b.source = {alias}.pk AND t.type < {IDENTIFIER} AND {outside}))"
            )
        }
    }
}

/// A condition over a row with the column `security`: whether its labels are cleared. The mask is a constant of the role: written into the statement.
fn cleared(clearance: Clearance, alias: &str) -> String {
    format!("({alias}.security & {}) = 0", clearance.mask())
}

/// A query for the shared records that records of these types inside the boundary refer to; a record may come several times.
pub fn referenced_from(boundary: &Boundary, sources: &Sources<'_>, parameters: &mut Parameters) -> String {
    let inside = within(boundary, "c.patient", parameters);
    let source = is_source(sources, "c", parameters);
    format!("SELECT s.target AS pk FROM compartment c CROSS JOIN shared_link s ON s.source = c.pk WHERE {inside} AND {source}")
}

/// A condition over the locator of a patient: whether the boundary holds that patient's compartment.
pub fn within(boundary: &Boundary, patient: &str, parameters: &mut Parameters) -> String {
    match boundary {
        Boundary::Patients(_) if off!("own-patients") => "1".to_owned(),
        Boundary::CareRelationship(_) | Boundary::PatientsInCare(..) if off!("care") => "1".to_owned(),
        Boundary::Related(..) if off!("rule-relationship") => "1".to_owned(),
        Boundary::Patients(allowed) => format!("{patient} {}", one_of(allowed, parameters)),
        Boundary::PatientsInCare(_, actors) if off!("launch-in-care") => {
            in_care((Relationship::Care, actors), patient, parameters)
        }
        Boundary::CareRelationship(actors) => in_care((Relationship::Care, actors), patient, parameters),
        Boundary::PatientsInCare(allowed, actors) => {
            let allowed = one_of(allowed, parameters);
            format!("({patient} {allowed} AND {})", in_care((Relationship::Care, actors), patient, parameters))
        }
        Boundary::Related(relationship, actors) => in_care((*relationship, actors), patient, parameters),
        // It is about no compartment.
        Boundary::Itself(_) => "0".to_owned(),
        Boundary::Whole => "1".to_owned(),
    }
}

/// A query for the locators of the patients in a boundary; `None` where it names no patients and no actors.
pub fn patients_of(boundary: &Boundary, parameters: &mut Parameters) -> Option<String> {
    match boundary {
        Boundary::Patients(allowed) | Boundary::PatientsInCare(allowed, _) => Some(locators_of(allowed, parameters)),
        Boundary::CareRelationship(actors) => {
            let actors = actor_locators(&actors.who, parameters);
            Some(format!("SELECT k.patient FROM care k WHERE k.actor IN ({actors})"))
        }
        Boundary::Related(relationship, actors) => {
            let actors = relationship::actors((*relationship, actors), parameters);
            Some(format!("SELECT k.patient FROM care k WHERE k.actor IN ({actors})"))
        }
        Boundary::Itself(_) | Boundary::Whole => None,
    }
}

fn one_of(patients: &NonEmpty<LogicalId>, parameters: &mut Parameters) -> String {
    let locators = locators_of(patients, parameters);
    // An equality with a scalar lets an index deliver its order; `IN` does not.
    if let [_] = patients.items() { format!("= ({locators})") } else { format!("IN ({locators})") }
}

fn locators_of(patients: &NonEmpty<LogicalId>, parameters: &mut Parameters) -> String {
    let ids = parameters.bind_list(patients.items().iter().map(|id| id.as_str().to_owned()));
    format!("SELECT pk FROM locator WHERE type = {} AND id IN ({ids})", ResourceType::PATIENT.code())
}

/// A care row counts at its time, and only while the record that states it is current and not deleted.
fn in_care((relationship, actors): (Relationship, &Actors), patient: &str, parameters: &mut Parameters) -> String {
    let holds = relationship::holds(actors, "k", parameters);
    let actors = relationship::actors((relationship, actors), parameters);
    let current = if off!("care-ended") { "1" } else { "o.deleted = 0" };
    format!(
        "EXISTS (SELECT 1 FROM care k CROSS JOIN resource o ON o.pk = k.source \
         WHERE k.actor IN ({actors}) AND k.patient = {patient} AND {holds} AND {current} AND o.type IN ({}))",
        relationship::sources(relationship)
    )
}

pub(super) fn actor_locators(actors: &NonEmpty<LocalReference>, parameters: &mut Parameters) -> String {
    let one = |actor: &LocalReference| {
        let id = parameters.bind(actor.id.as_str().to_owned());
        format!("SELECT pk FROM locator WHERE type = {} AND id = {id}", actor.resource_type.code())
    };
    actors.items().iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
}

/// The types of records that make others visible. Type codes are small integers of ours: written into the statement, so that one text serves all patients.
///
/// A Provenance makes nothing visible: it lies in the compartment of each Patient that it targets, and is hidden where it has another target outside.
fn type_list(types: &TypeSet) -> String {
    let grounding = types.iter().filter(|resource_type| *resource_type != ResourceType::PROVENANCE);
    grounding.map(|resource_type| resource_type.code().to_string()).collect::<Vec<_>>().join(", ")
}

/// A condition over `alias`, a row with the columns `pk` and `type`: whether it is a record that makes others visible. The alias `x` stands for a row of
/// `resource` itself.
fn is_source(sources: &Sources<'_>, alias: &str, parameters: &mut Parameters) -> String {
    let mut either = vec![format!("{alias}.type IN ({})", type_list(&sources.whole))];
    let grounding = sources.qualified.iter().filter(|(resource_type, _)| *resource_type != ResourceType::PROVENANCE);
    either.extend(grounding.map(|(resource_type, admission)| {
        format!("({alias}.type = {} AND {})", resource_type.code(), admitted(admission, alias, parameters))
    }));
    let source = if off!("source-types") { "1".to_owned() } else { any(&either) };
    let is_row = alias == "x";
    let row = if is_row { alias } else { "z" };
    let mut shown = Vec::new();
    if !sources.clearance.is_full() {
        shown.push(cleared(sources.clearance, row));
    }
    shown.extend(sources.asking.map(|asking| consented(asking, row, false, parameters)));
    if shown.is_empty() {
        source
    } else if is_row {
        format!("({source} AND {})", all(&shown))
    } else {
        format!("({source} AND EXISTS (SELECT 1 FROM resource z WHERE z.pk = {alias}.pk AND {}))", all(&shown))
    }
}

/// Whether every record of a way lies in the record of somebody whose own it is.
fn is_own(way: &Visibility<'_>, asking: Asking<'_>) -> bool {
    match way.unqualified() {
        Visibility::Compartment(Boundary::Patients(patients)) => {
            patients.items().iter().all(|patient| asking.question.own().contains(patient))
        }
        _ => false,
    }
}

/// Fills in what makes each row visible, where that is not its own compartment. Rows are locators with versions of current resources.
pub fn grounds(
    connection: &Connection,
    constraint: &Constraint,
    letter: Letter,
    rows: &mut [(i64, StoredVersion)],
) -> Result<(), StoreError> {
    let mut of_type: Option<(ResourceType, Vec<Visibility<'_>>)> = None;
    for (pk, version) in rows {
        if of_type.as_ref().is_none_or(|(known, _)| *known != version.resource_type) {
            of_type = Some((version.resource_type, ways(constraint, version.resource_type, letter)));
        }
        for way in of_type.iter().flat_map(|(_, ways)| ways).filter(|way| needs_grounds(way)) {
            let admitted = way.clearance().covers(version.security.labels)
                && way.admission().is_none_or(|admission| admission.admits_version(version));
            let found = if admitted { grounds_in(connection, way, *pk)? } else { None };
            version.grounds.extend(found);
            // Of several ways the one that shows more counts, which may be a later one.
            if !version.grounds.is_empty() && !constraint.has_several_clearances() {
                break;
            }
        }
    }
    Ok(())
}

/// Whether another record makes a resource visible in this way.
fn needs_grounds(way: &Visibility<'_>) -> bool {
    matches!(way.unqualified(), Visibility::ReferencedFrom { .. } | Visibility::About { .. })
}

/// What makes a current resource visible in one way, where that is not its own compartment; whether its content is admitted is not asked.
pub fn grounds_in(connection: &Connection, way: &Visibility<'_>, pk: i64) -> Result<Option<Grounds>, StoreError> {
    match way.unqualified() {
        Visibility::Every
        | Visibility::Itself(_)
        | Visibility::Compartment(_)
        | Visibility::AboutNothingHidden { .. }
        | Visibility::Qualified { .. }
        | Visibility::Cleared { .. }
        | Visibility::Consented { .. } => Ok(None),
        Visibility::ReferencedFrom { boundary, sources } => referring_record(connection, pk, boundary, sources),
        Visibility::About { boundary, targets } => target_record(connection, pk, boundary, targets),
    }
}

fn referring_record(
    connection: &Connection,
    pk: i64,
    boundary: &Boundary,
    sources: &Sources<'_>,
) -> Result<Option<Grounds>, StoreError> {
    let mut parameters = Parameters::default();
    let target = parameters.bind(pk);
    let inside = within(boundary, "c.patient", &mut parameters);
    let source = is_source(sources, "x", &mut parameters);
    let joined = match boundary {
        Boundary::CareRelationship(_) | Boundary::Related(..) | Boundary::Itself(_) | Boundary::Whole => {
            "shared_link s CROSS JOIN compartment c ON c.pk = s.source"
        }
        Boundary::Patients(_) | Boundary::PatientsInCare(..) => "compartment c CROSS JOIN shared_link s ON s.source = c.pk",
    };
    let sql = format!(
        "SELECT x.type, l.id, x.patients, x.security FROM {joined} CROSS JOIN resource x ON x.pk = s.source CROSS JOIN locator l ON l.pk = x.pk \
         WHERE s.target = {target} AND {inside} AND x.deleted = 0 AND {source} LIMIT 1"
    );
    first_grounds(connection, (&sql, &parameters), sources.clearance)
}

fn target_record(
    connection: &Connection,
    pk: i64,
    boundary: &Boundary,
    targets: &Sources<'_>,
) -> Result<Option<Grounds>, StoreError> {
    let mut parameters = Parameters::default();
    let source = parameters.bind(pk);
    let inside = within(boundary, "c.patient", &mut parameters);
    let target = is_source(targets, "x", &mut parameters);
    let sql = format!(
        "SELECT x.type, l.id, x.patients, x.security FROM about b CROSS JOIN resource x ON x.pk = b.target CROSS JOIN locator l ON l.pk = x.pk \
         WHERE b.source = {source} AND {target} \
         AND EXISTS (SELECT 1 FROM compartment c WHERE c.pk = x.pk AND {inside}) LIMIT 1"
    );
    first_grounds(connection, (&sql, &parameters), targets.clearance)
}

fn first_grounds(
    connection: &Connection,
    (sql, parameters): (&str, &Parameters),
    clearance: Clearance,
) -> Result<Option<Grounds>, StoreError> {
    let mut found = None;
    let read = |row: &rusqlite::Row<'_>| {
        found = Some((row.get::<_, u8>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?));
        Ok(false)
    };
    parameters.for_each_row(connection, sql, read).map_err(store_error)?;
    let Some((code, id, patients, security)) = found else { return Ok(None) };
    let corrupt = || StoreError::Corrupt("a row with an impossible type or id".to_owned());
    let resource_type = ResourceType::from_code(code).ok_or_else(corrupt)?;
    let id = LogicalId::parse(&id).ok_or_else(corrupt)?;
    let patients: Option<Vec<LogicalId>> = patients.split_ascii_whitespace().map(LogicalId::parse).collect();
    let labels = read::security(security)?.labels;
    Ok(Some(Grounds { record: LocalReference { resource_type, id }, patients: patients.ok_or_else(corrupt)?, labels, clearance }))
}

/// Whether a boundary of the constraint asks for a care relationship.
pub fn asks_for_care(constraint: &Constraint) -> bool {
    constraint.boundaries().any(|boundary| boundary.relationship().is_some())
}

/// Those of these patients to whom an actor of the constraint has a relationship that a boundary asks for; none where no boundary asks for one.
pub fn patients_in_care(connection: &Connection, constraint: &Constraint, patients: &[LogicalId]) -> Result<InCare, StoreError> {
    let mut found = InCare::new();
    for_each_stated(constraint, patients, |relationship, stated, parameters| {
        let sql = format!("SELECT DISTINCT p.id {stated}");
        let rows = parameters.rows(connection, &sql, |row| row.get::<_, String>(0)).map_err(store_error)?;
        found.extend(rows.iter().filter_map(|id| LogicalId::parse(id)).map(|id| (relationship, id)));
        Ok(())
    })?;
    Ok(found)
}

/// The same with one of the records by which that is so, the first that was stored.
pub fn relationships(
    connection: &Connection,
    constraint: &Constraint,
    patients: &[LogicalId],
) -> Result<Vec<StatedRelationship>, StoreError> {
    let mut found = Vec::new();
    for_each_stated(constraint, patients, |relationship, stated, parameters| {
        let sql = format!(
            "SELECT f.id, s.type, s.id FROM (SELECT p.id AS id, min(o.pk) AS source {stated} GROUP BY p.id) f \
             CROSS JOIN locator s ON s.pk = f.source"
        );
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u8>(1)?, row.get::<_, String>(2)?));
        for (patient, code, id) in parameters.rows(connection, &sql, read).map_err(store_error)? {
            let stated = LogicalId::parse(&patient).zip(ResourceType::from_code(code)).zip(LogicalId::parse(&id));
            found.extend(stated.map(|((patient, resource_type), id)| StatedRelationship {
                relationship,
                patient,
                record: LocalReference { resource_type, id },
            }));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `each` with every relationship that a boundary asks for and the rest of a statement that finds, for some of the patients `p`, the records `o` that state it.
fn for_each_stated(
    constraint: &Constraint,
    patients: &[LogicalId],
    mut each: impl FnMut(Relationship, &str, &Parameters) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut asked: BTreeMap<(Relationship, i64), BTreeSet<&LocalReference>> = BTreeMap::new();
    for (relationship, actors) in constraint.boundaries().filter_map(Boundary::relationship) {
        asked.entry((relationship, actors.at)).or_default().extend(actors.who.items());
    }
    let patients: BTreeSet<&LogicalId> = patients.iter().collect();
    let patients: Vec<&LogicalId> = patients.into_iter().collect();
    for ((relationship, at), actors) in asked {
        let Some(who) = NonEmpty::of(actors.into_iter().cloned()) else { continue };
        let actors = Actors { who, at };
        for chunk in patients.chunks(PATIENTS_PER_STATEMENT) {
            let mut parameters = Parameters::default();
            let ids = parameters.bind_list(chunk.iter().map(|id| id.as_str().to_owned()));
            let holds = relationship::holds(&actors, "k", &mut parameters);
            let actors = relationship::actors((relationship, &actors), &mut parameters);
            let stated = format!(
                "FROM locator p CROSS JOIN care k ON k.patient = p.pk CROSS JOIN resource o ON o.pk = k.source \
                 WHERE p.type = {} AND p.id IN ({ids}) AND k.actor IN ({actors}) AND {holds} AND o.deleted = 0 AND o.type IN ({})",
                ResourceType::PATIENT.code(),
                relationship::sources(relationship)
            );
            each(relationship, &stated, &parameters)?;
        }
    }
    Ok(())
}
