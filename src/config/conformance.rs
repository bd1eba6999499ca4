//! `[conformance]`: which implementation guides and profiles the records follow, as the operator knows and the CapabilityStatement says, and which modifiers of
//! meaning everybody who reads here understands.
//!
//! The server looks at no profile: what is said here is the word of whoever fills the store.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_fhir::capability::Guides;
use portcullis_fhir::types::ResourceType;
use serde::Deserialize;

/// The most URLs.
const MAXIMUM: usize = 1000;

/// `[conformance]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConformanceSettings {
    /// CapabilityStatements of guides that this server fulfils (`CapabilityStatement.instantiates`).
    instantiates: Vec<String>,
    /// The profiles of each type (`rest.resource.supportedProfile`).
    profiles: BTreeMap<String, Vec<String>>,
    /// The URLs of modifier extensions and implicit rules that are stored.
    modifiers: Vec<String>,
}

impl ConformanceSettings {
    /// The modifier extensions and implicit rules that are stored.
    pub fn modifiers(&self) -> BTreeSet<Box<str>> {
        self.modifiers.iter().map(|url| url.as_str().into()).collect()
    }

    /// What the statement says, or the key that is wrong.
    pub fn guides(&self) -> Result<Guides, (&'static str, String)> {
        let is_canonical = |url: &String| {
            (url.starts_with("http://") || url.starts_with("https://")) && url.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let mut profiles = Vec::new();
        for (name, urls) in &self.profiles {
            let known =
                ResourceType::parse(name).ok_or_else(|| ("conformance.profiles", format!("{name} is no resource type of R4")))?;
            profiles.extend(urls.iter().map(|url| (known, url.clone())));
        }
        for (key, urls) in [
            ("conformance.instantiates", self.instantiates.iter().collect::<Vec<_>>()),
            ("conformance.profiles", profiles.iter().map(|(_, url)| url).collect()),
            ("conformance.modifiers", self.modifiers.iter().collect()),
        ] {
            if let Some(wrong) = urls.iter().find(|url| !is_canonical(url)) {
                return Err((key, format!("{wrong} is no canonical URL: http or https, without spaces")));
            }
            if urls.len() > MAXIMUM {
                return Err((key, format!("has more than {MAXIMUM} URLs")));
            }
        }
        Ok(Guides { instantiates: self.instantiates.clone(), profiles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Guides, (&'static str, String)> {
        toml::from_str::<ConformanceSettings>(text).unwrap().guides()
    }

    #[test]
    fn guides_and_profiles_are_read_and_what_is_no_type_or_url_is_named() {
        let guides =
            read("instantiates = ['http://g/server']\n[profiles]\nPatient = ['http://g/patient', 'https://h/p|1.0']").unwrap();
        assert_eq!(guides.instantiates, ["http://g/server"]);
        let patient = ResourceType::PATIENT;
        assert_eq!(guides.profiles, [(patient, "http://g/patient".to_owned()), (patient, "https://h/p|1.0".to_owned())]);
        for (text, key, problem) in [
            ("[profiles]\nPatients = ['http://g/p']", "conformance.profiles", "Patients is no resource type"),
            ("[profiles]\nPatient = ['us-core-patient']", "conformance.profiles", "us-core-patient is no canonical URL"),
            ("instantiates = ['http://g/a b']", "conformance.instantiates", "is no canonical URL"),
            ("modifiers = ['not']", "conformance.modifiers", "is no canonical URL"),
        ] {
            let (found, told) = read(text).unwrap_err();
            assert!(found == key && told.contains(problem), "{text}: {found} {told}");
        }
        assert!(toml::from_str::<ConformanceSettings>("profile = []").is_err());
    }
}
