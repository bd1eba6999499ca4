//! The table of compartments: which search parameters put a resource into a compartment.
//!
//! <https://hl7.org/fhir/R4/compartmentdefinition.html>. This is the published table and one line of our own: a Device belongs to its `patient`
//! (docs/adr/0012-device-in-the-patient-compartment.md). `crate::compartment` narrows the Patient compartment.

use std::sync::LazyLock;

use crate::types::ResourceType;

/// The five published compartments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CompartmentType {
    /// `Patient`
    Patient,
    /// `Encounter`
    Encounter,
    /// `RelatedPerson`
    RelatedPerson,
    /// `Practitioner`
    Practitioner,
    /// `Device`
    Device,
}

impl CompartmentType {
    /// The compartment of resources of this type, where it has one.
    pub fn of(resource_type: ResourceType) -> Option<Self> {
        Self::parse(resource_type.name())
    }

    /// The type of the resources whose compartments these are.
    pub fn resource_type(self) -> ResourceType {
        match self {
            Self::Patient => ResourceType::PATIENT,
            Self::Encounter => ResourceType::ENCOUNTER,
            Self::RelatedPerson => ResourceType::RELATED_PERSON,
            Self::Practitioner => ResourceType::PRACTITIONER,
            Self::Device => ResourceType::DEVICE,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Patient" => Self::Patient,
            "Encounter" => Self::Encounter,
            "RelatedPerson" => Self::RelatedPerson,
            "Practitioner" => Self::Practitioner,
            "Device" => Self::Device,
            _ => return None,
        })
    }
}

type Membership = ((CompartmentType, ResourceType), Vec<&'static str>);

static SOURCE: &str = include_str!("../../data/compartments.tsv");

static MEMBERSHIPS: LazyLock<Vec<Membership>> = LazyLock::new(|| {
    let mut memberships: Vec<Membership> = SOURCE.lines().filter_map(parse_line).collect();
    memberships.sort_unstable_by_key(|(place, _)| *place);
    memberships
});

fn parse_line(line: &'static str) -> Option<Membership> {
    let mut fields = line.split('\t');
    let place = (CompartmentType::parse(fields.next()?)?, ResourceType::parse(fields.next()?)?);
    Some((place, fields.next()?.split(' ').collect()))
}

/// The search parameters by which a resource of this type belongs to a compartment; none where the type is outside.
pub fn compartment_parameters(compartment: CompartmentType, resource_type: ResourceType) -> &'static [&'static str] {
    let place = (compartment, resource_type);
    let found = MEMBERSHIPS.binary_search_by_key(&place, |(place, _)| *place).ok();
    found.and_then(|position| MEMBERSHIPS.get(position)).map_or(&[], |(_, codes)| codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::{ParameterType, search_parameter};

    #[test]
    fn every_line_is_read_and_names_reference_parameters_of_its_type() {
        assert_eq!(MEMBERSHIPS.len(), SOURCE.lines().count());
        for ((_, resource_type), codes) in MEMBERSHIPS.iter() {
            for code in codes {
                let parameter = search_parameter(*resource_type, code);
                assert_eq!(
                    parameter.map(|parameter| parameter.parameter_type),
                    Some(ParameterType::Reference),
                    "{resource_type} {code}"
                );
            }
        }
    }

    #[test]
    fn the_patient_compartment_is_the_published_one_and_devices() {
        let codes = |name: &str| compartment_parameters(CompartmentType::Patient, ResourceType::parse(name).unwrap());
        assert_eq!(codes("Observation"), ["subject", "performer"]);
        assert_eq!(codes("Coverage"), ["policy-holder", "subscriber", "beneficiary", "payor"]);
        assert_eq!(codes("Patient"), ["link"]);
        assert_eq!(codes("Device"), ["patient"]);
        for outside in
            ["Organization", "Practitioner", "Task", "GuidanceResponse", "Contract", "Binary", "Bundle", "Medication", "Location"]
        {
            assert!(codes(outside).is_empty(), "{outside}");
        }
        let types = MEMBERSHIPS.iter().filter(|((compartment, _), _)| *compartment == CompartmentType::Patient).count();
        assert_eq!(types, 66 + 1);
    }
}
