//! What the entries of a transaction call each other, and what they are stored under.
//!
//! <https://hl7.org/fhir/R4/http.html#trules>, <https://hl7.org/fhir/R4/bundle.html#references>.

use std::collections::HashMap;

use portcullis_fhir::bundle::links;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;

/// Names of resources: `fullUrl`s, and conditional references.
#[derive(Debug, Default)]
pub struct Names {
    entries: HashMap<Box<str>, LocalReference>,
    conditions: HashMap<Box<str>, LocalReference>,
}

impl Names {
    /// Names the resource of an entry. `false` where another entry has the name.
    pub fn add_entry(&mut self, full_url: Box<str>, target: LocalReference) -> bool {
        self.entries.insert(full_url, target).is_none()
    }

    /// Says what a conditional reference finds.
    pub fn add_condition(&mut self, reference: Box<str>, target: LocalReference) {
        self.conditions.insert(reference, target);
    }

    /// Whether a conditional reference is known.
    pub fn has_condition(&self, reference: &str) -> bool {
        self.conditions.contains_key(reference)
    }

    /// Replaces the names in the resource of an entry of this `fullUrl`. What names an entry and leads to none is refused, with its path below the resource.
    pub fn replace(&self, resource: &mut Resource, full_url: Option<&str>) -> Result<(), Issue> {
        let base = full_url.and_then(links::base_of);
        resource.relink(&|link| self.target(link, base).cloned());
        let references = links::references(resource.body());
        match references.iter().find(|(_, reference)| links::is_placeholder(reference)) {
            None => Ok(()),
            Some((path, _)) => {
                let message = "No entry of this transaction has this fullUrl.";
                Err(Issue::error(IssueType::NotFound, message).at(format!("{}{path}", resource.resource_type())))
            }
        }
    }

    fn target(&self, link: &str, base: Option<&str>) -> Option<&LocalReference> {
        let named = self.entries.get(link).or_else(|| self.conditions.get(link));
        named.or_else(|| self.entries.get(links::name_of(link, base)?.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(reference: &str) -> Resource {
        let text = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{reference}"}}}}"#
        );
        Resource::parse(text.as_bytes()).unwrap()
    }

    fn names() -> Names {
        let mut names = Names::default();
        let target = |text| LocalReference::parse(text).unwrap();
        assert!(names.add_entry("urn:uuid:1".into(), target("Patient/new")));
        assert!(names.add_entry("https://other/fhir/Patient/1".into(), target("Patient/copy")));
        assert!(!names.add_entry("urn:uuid:1".into(), target("Patient/new")));
        names.add_condition("Patient?identifier=1".into(), target("Patient/found"));
        names
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused_with_its_path() {
        for reference in ["urn:uuid:2", "urn:oid:1.2.3"] {
            let issue = names().replace(&mut resource(reference), None).unwrap_err();
            assert_eq!(issue.expression.as_deref(), Some("Observation.subject.reference"));
        }
    }

    #[test]
    fn names_become_what_is_stored_and_everything_else_stays() {
        for (reference, full_url, expected) in [
            ("urn:uuid:1", None, "Patient/new"),
            ("Patient?identifier=1", None, "Patient/found"),
            ("https://other/fhir/Patient/1", None, "Patient/copy"),
            ("Patient/1", Some("https://other/fhir/Observation/1"), "Patient/copy"),
            ("Patient/1", Some("https://elsewhere/fhir/Observation/1"), "Patient/1"),
            ("Patient/1", Some("urn:uuid:9"), "Patient/1"),
            ("Patient/1", None, "Patient/1"),
            ("https://other/fhir/Patient/2", None, "https://other/fhir/Patient/2"),
        ] {
            let mut resource = resource(reference);
            names().replace(&mut resource, full_url).unwrap();
            let subject = resource.body().member("subject").unwrap();
            assert_eq!(subject.member("reference").unwrap().as_str(), Some(expected), "{reference} {full_url:?}");
        }
    }
}
