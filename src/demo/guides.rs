//! The profiles of the demo's records.

use portcullis_fhir::capability::Guides;
use portcullis_fhir::types::ResourceType;

/// Those that the generator writes into them. No guide as a whole is claimed: US Core, for one, has `$docref`, which is not built.
pub fn guides() -> Guides {
    let known = |(name, url): (&str, String)| Some((ResourceType::parse(name)?, url));
    Guides { instantiates: Vec::new(), profiles: portcullis_generator::profiles().filter_map(known).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_of_the_generator_is_one_of_a_known_type() {
        let guides = guides();
        assert_eq!(guides.profiles.len(), portcullis_generator::profiles().count());
        let patient = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient".to_owned();
        assert!(guides.profiles.contains(&(ResourceType::PATIENT, patient)));
    }
}
