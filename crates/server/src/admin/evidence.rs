//! Which record makes it so that somebody has to do with a patient: what an explanation names. Read as the operator, by ordinary searches.

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::Principal;
use portcullis_policy::constraint::Boundary;
use portcullis_policy::explanation::{Says, Step};
use portcullis_policy::{Constraint, InCare, Relationship, StoredVersion};

use super::explain::parameter;
use super::protocol::Refused;
use super::service::Service;

/// The most patients of one record, and of those that show it, that are looked at.
const MAXIMUM_PATIENTS: usize = 10;

/// The relationships that hold, and a step for each that is asked for.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Those that hold.
    pub in_care: InCare,
    /// What is told of them.
    pub steps: Vec<Step>,
}

/// What is found about the patients of a version and of the records that show it, as far as boundaries ask for it.
pub(super) async fn of(
    service: &Service,
    operator: &Principal,
    (constraint, version): (&Constraint, &StoredVersion),
) -> Result<Evidence, Refused> {
    let mut evidence = Evidence::default();
    let mut asked: Vec<(Relationship, LocalReference)> = Vec::new();
    for (relationship, actors) in constraint.boundaries().filter_map(Boundary::relationship) {
        asked.extend(actors.items().iter().map(|actor| (relationship, actor.clone())));
    }
    asked.sort_unstable();
    asked.dedup();
    let of_grounds = version.grounds.iter().flat_map(|grounds| &grounds.patients);
    let mut patients: Vec<&LogicalId> = Vec::new();
    for patient in version.patients.iter().chain(of_grounds) {
        if !patients.contains(&patient) && patients.len() < MAXIMUM_PATIENTS {
            patients.push(patient);
        }
    }
    for (relationship, actor) in asked {
        for &patient in &patients {
            let found = stating(service, operator, (relationship, &actor), patient).await?;
            let rule = format!("relationship:{}", relationship.as_str());
            evidence.steps.push(match &found {
                Some(record) => {
                    Step::new(rule, Says::Yes, format!("{record} says that {actor} has to do with Patient/{patient}"))
                }
                None => {
                    Step::new(rule, Says::Nothing, format!("no record says that {actor} has to do with Patient/{patient} so"))
                }
            });
            if found.is_some() {
                evidence.in_care.push((relationship, patient.clone()));
            }
        }
    }
    Ok(evidence)
}

/// The record that states a relationship.
async fn stating(
    service: &Service,
    operator: &Principal,
    (relationship, actor): (Relationship, &LocalReference),
    patient: &LogicalId,
) -> Result<Option<LocalReference>, Refused> {
    let (patient_parameter, own_parameter) =
        (("patient".to_owned(), format!("Patient/{patient}")), ("_id".to_owned(), patient.to_string()));
    let whose =
        |resource_type| if resource_type == ResourceType::PATIENT { own_parameter.clone() } else { patient_parameter.clone() };
    let (types, actors): (&[(ResourceType, &str)], Vec<LocalReference>) = match relationship {
        Relationship::Care => {
            (&[(ResourceType::ENCOUNTER, "participant"), (ResourceType::CARE_TEAM, "participant")], vec![actor.clone()])
        }
        Relationship::CareTeam => (&[(ResourceType::CARE_TEAM, "participant")], with_roles(service, operator, actor).await?),
        Relationship::GeneralPractitioner => {
            (&[(ResourceType::PATIENT, "general-practitioner")], with_roles(service, operator, actor).await?)
        }
        Relationship::Organization => (
            &[
                (ResourceType::PATIENT, "organization"),
                (ResourceType::ENCOUNTER, "service-provider"),
                (ResourceType::EPISODE_OF_CARE, "organization"),
            ],
            organizations(service, operator, actor).await?,
        ),
    };
    for actor in &actors {
        for (resource_type, name) in types {
            let page = service.searched(operator, *resource_type, &[whose(*resource_type), parameter(name, actor)]).await?;
            if let Some(found) = page.matches.first() {
                return Ok(Some(LocalReference { resource_type: found.resource_type, id: found.id.clone() }));
            }
        }
    }
    Ok(None)
}

/// Somebody, and the roles that are not said to be inactive.
async fn with_roles(service: &Service, operator: &Principal, actor: &LocalReference) -> Result<Vec<LocalReference>, Refused> {
    let mut actors = vec![actor.clone()];
    if actor.resource_type == ResourceType::PRACTITIONER {
        let active = ("active:not".to_owned(), "false".to_owned());
        let pairs = [parameter("practitioner", actor), active];
        let page = service.searched(operator, ResourceType::PRACTITIONER_ROLE, &pairs).await?;
        actors.extend(page.matches.iter().map(|role| LocalReference { resource_type: role.resource_type, id: role.id.clone() }));
    }
    Ok(actors)
}

/// The organisations in which somebody has such a role.
async fn organizations(service: &Service, operator: &Principal, actor: &LocalReference) -> Result<Vec<LocalReference>, Refused> {
    let pairs = match actor.resource_type {
        ResourceType::PRACTITIONER_ROLE => vec![("_id".to_owned(), actor.id.to_string())],
        _ => vec![parameter("practitioner", actor)],
    };
    let include = ("_include".to_owned(), "PractitionerRole:organization".to_owned());
    let active = ("active:not".to_owned(), "false".to_owned());
    let pairs: Vec<(String, String)> = pairs.into_iter().chain([active, include]).collect();
    let page = service.searched(operator, ResourceType::PRACTITIONER_ROLE, &pairs).await?;
    let organization = |version: &&StoredVersion| version.resource_type == ResourceType::ORGANIZATION;
    let found = page.included.iter().filter(organization);
    Ok(found.map(|version| LocalReference { resource_type: version.resource_type, id: version.id.clone() }).collect())
}
