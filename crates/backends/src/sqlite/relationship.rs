//! How somebody has to do with a patient, as rows of `care`: which actors count, when, and what must state it.
//!
//! An Encounter names practitioners and the organisation that provides it, a CareTeam its members, a Patient the general practitioner and the organisation that
//! manages the record, an EpisodeOfCare its organisation. Only imports may add such rows (`commit.rs`): whoever could write one would let somebody in. In which
//! organisations somebody works, PractitionerRole says, which nobody writes who is bound to patients.

use portcullis_fhir::definitions::search_parameter;
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_policy::{Actors, Relationship};

use super::admission::hash_of;
use super::parameters::Parameters;
use super::visibility::actor_locators;

/// The types of the records that state a relationship, for a statement.
pub fn sources(relationship: Relationship) -> String {
    let types: &[ResourceType] = match relationship {
        Relationship::Care => &[ResourceType::ENCOUNTER, ResourceType::CARE_TEAM],
        Relationship::Organization => &[ResourceType::PATIENT, ResourceType::ENCOUNTER, ResourceType::EPISODE_OF_CARE],
        Relationship::CareTeam => &[ResourceType::CARE_TEAM],
        Relationship::GeneralPractitioner => &[ResourceType::PATIENT],
    };
    types.iter().map(|resource_type| resource_type.code().to_string()).collect::<Vec<_>>().join(", ")
}

/// A query for the locators that stand for these actors in the rows of a relationship.
pub fn actors((relationship, actors): (Relationship, &Actors), parameters: &mut Parameters) -> String {
    match relationship {
        Relationship::Care => actor_locators(&actors.who, parameters),
        Relationship::CareTeam | Relationship::GeneralPractitioner => {
            let own = actor_locators(&actors.who, parameters);
            format!("{own} UNION ALL {}", roles(actors, parameters))
        }
        Relationship::Organization => {
            let organization = key("organization");
            let roles = all_roles(actors, parameters);
            format!("SELECT w.target FROM index_reference w WHERE w.pk IN ({roles}) AND w.parameter = {organization}")
        }
    }
}

/// A condition over `alias`, a row of `care`: whether it holds when these actors ask.
pub fn holds(actors: &Actors, alias: &str, parameters: &mut Parameters) -> String {
    let at = parameters.bind(actors.at);
    format!("{alias}.since <= {at} AND {alias}.until > {at}")
}

/// The roles of these actors that are at work.
fn roles(actors: &Actors, parameters: &mut Parameters) -> String {
    let (practitioner, own) = (key("practitioner"), actor_locators(&actors.who, parameters));
    let working = working(actors, "q.pk", parameters);
    format!("SELECT q.pk FROM index_reference q WHERE q.parameter = {practitioner} AND q.target IN ({own}) AND {working}")
}

/// The same with those of the actors who are roles themselves.
fn all_roles(actors: &Actors, parameters: &mut Parameters) -> String {
    let roles = roles(actors, parameters);
    let own = actor_locators(&actors.who, parameters);
    let working = working(actors, "a.pk", parameters);
    let code = ResourceType::PRACTITIONER_ROLE.code();
    format!("{roles} UNION ALL SELECT a.pk FROM locator a WHERE a.type = {code} AND a.pk IN ({own}) AND {working}")
}

/// A condition over the locator of a role: whether it is not said to be inactive, and its `period` includes the time of the request.
fn working(actors: &Actors, role: &str, parameters: &mut Parameters) -> String {
    let (active, date) = (key("active"), key("date"));
    let inactive = hash_of("false", parameters);
    let at = parameters.bind(actors.at);
    let elsewhen = if off!("role-dates") { "0".to_owned() } else { format!("(d.low > {at} OR d.high <= {at})") };
    format!(
        "{role} NOT IN (SELECT t.pk FROM index_token t WHERE t.parameter = {active} AND t.code = {inactive}) \
         AND NOT EXISTS (SELECT 1 FROM index_date d WHERE d.pk = {role} AND d.parameter = {date} AND {elsewhen})"
    )
}

/// The storage key of a search parameter of PractitionerRole; one that is not there finds nothing.
fn key(code: &str) -> String {
    search_parameter(ResourceType::PRACTITIONER_ROLE, code)
        .map_or_else(|| "NULL".to_owned(), |parameter| parameter.key.to_string())
}
