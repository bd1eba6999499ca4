//! Which record makes it so that somebody has to do with a patient: what an explanation names.

use portcullis_fhir::types::LogicalId;
use portcullis_policy::constraint::Boundary;
use portcullis_policy::explanation::{Says, Step};
use portcullis_policy::{Constraint, InCare, StoredVersion};

use super::explain::internal;
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

/// What the store finds about the patients of a version and of the records that show it, as far as boundaries ask for it.
pub(super) async fn of(service: &Service, (constraint, version): (&Constraint, &StoredVersion)) -> Result<Evidence, Refused> {
    let mut asked: Vec<_> = constraint.boundaries().filter_map(Boundary::relationship).collect();
    asked.sort_by_key(|(relationship, _)| *relationship);
    asked.dedup();
    let of_grounds = version.grounds.iter().flat_map(|grounds| &grounds.patients);
    let mut patients: Vec<LogicalId> = Vec::new();
    for patient in version.patients.iter().chain(of_grounds) {
        if !patients.contains(patient) && patients.len() < MAXIMUM_PATIENTS {
            patients.push(patient.clone());
        }
    }
    let stated = service.server.store.relationships(constraint, &patients).await.map_err(|error| internal(&error))?;
    let mut evidence = Evidence::default();
    for (relationship, actors) in asked {
        let who = actors.who.items().iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        for patient in &patients {
            let rule = format!("relationship:{}", relationship.as_str());
            let found = stated.iter().find(|stated| stated.relationship == relationship && stated.patient == *patient);
            evidence.steps.push(match found {
                Some(found) => {
                    evidence.in_care.push((relationship, patient.clone()));
                    Step::new(rule, Says::Yes, format!("{} says that {who} has to do with Patient/{patient}", found.record))
                }
                None => {
                    let because =
                        format!("no record says that {who} has to do with Patient/{patient} so, at the time of the request");
                    Step::new(rule, Says::Nothing, because)
                }
            });
        }
    }
    Ok(evidence)
}
