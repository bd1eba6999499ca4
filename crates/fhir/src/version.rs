//! A version of a resource that is about to be stored, with everything that storage, search and policy derive from its body.

use crate::care::{self, Carer};
use crate::compartment;
use crate::index::{self, IndexEntry};
use crate::json::{self, Value};
use crate::labels::{self, Labels};
use crate::outcome::{Issue, IssueType};
use crate::reference::LocalReference;
use crate::resource::Resource;
use crate::types::{LogicalId, ResourceType};

/// A new version: the exact bytes and what was derived from them, once.
#[derive(Debug)]
pub struct NewVersion {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The opaque version id.
    pub version: LogicalId,
    /// `meta.lastUpdated`, milliseconds since the epoch, UTC.
    pub last_updated: i64,
    /// The resource as JSON bytes, with id and meta set.
    pub body: Vec<u8>,
    /// The patients in whose compartments it lies, ascending.
    pub patients: Vec<LogicalId>,
    /// Who has to do with those patients by what it states, and when.
    pub carers: Vec<Carer>,
    /// Every resource of this server that the body refers to.
    pub references: Vec<LocalReference>,
    /// Those of them of which everybody learns who sees the version.
    pub links: Vec<LocalReference>,
    /// The resource whose access it follows: the security context of a Binary, where that is no Patient.
    pub follows: Option<LocalReference>,
    /// What search finds it by, without labels.
    pub entries: Vec<IndexEntry>,
    /// What matters for its labels, which are not in the body.
    pub labelled_by: labels::body::Content,
    /// The base that told local references from foreign ones.
    pub base_url: Box<str>,
}

impl NewVersion {
    /// Gives a resource its identity and derives the rest. `base_url` tells local references from foreign ones. A resource from which more would be
    /// derived than [`index::MAXIMUM_ENTRIES`] is refused: its search values and references become rows of a store.
    pub fn of(
        mut resource: Resource,
        id: LogicalId,
        version: LogicalId,
        last_updated: i64,
        base_url: &str,
    ) -> Result<Self, Issue> {
        check_labels(&resource)?;
        let labelled_by = resource.take_labels(base_url)?;
        let resource = resource.with_identity(id.clone(), &version, last_updated);
        let references = index::references(&resource, base_url);
        // What labels inside the resource hide from somebody, nobody finds it by.
        let may_hide = labelled_by.obliged || labelled_by.claimed.contains(Labels::INLINE);
        let indexable = if may_hide { resource.indexable() } else { None };
        let indexed = indexable.as_ref().unwrap_or(&resource);
        let entries = index::extract(indexed, base_url);
        let links = indexable.as_ref().map_or_else(|| references.clone(), |indexed| index::references(indexed, base_url));
        let carers = care::carers(&resource, &entries, base_url);
        if [entries.len(), references.len(), carers.len()].iter().any(|count| *count > index::MAXIMUM_ENTRIES) {
            let message = format!(
                "The resource has more than {} values or references that are indexed; divide it into several.",
                index::MAXIMUM_ENTRIES
            );
            return Err(Issue::error(IssueType::TooLong, message).at(resource.resource_type().name()));
        }
        Ok(Self {
            resource_type: resource.resource_type(),
            patients: compartment::patients(&resource, &entries, &references),
            carers,
            follows: compartment::security_context(&resource).filter(|context| context.resource_type != ResourceType::PATIENT),
            references,
            links,
            body: resource.to_bytes(),
            id,
            version,
            last_updated,
            entries,
            labelled_by,
            base_url: base_url.into(),
        })
    }

    /// The same with these labels in its body, too: those of the version before that it left out.
    pub fn keeping(&self, labels: Vec<Value>) -> Result<Self, Issue> {
        let refused = |text: &str| Issue::error(IssueType::TooLong, text).at(self.resource_type.name());
        let mut body = json::parse(&self.body).map_err(|_| refused("The resource cannot be read again."))?;
        if !labels::carried::put(&mut body, labels) {
            let maximum = labels::carried::MAXIMUM_LABELS;
            return Err(refused(&format!(
                "With the labels of the version before, which stay, there would be more than {maximum}."
            )));
        }
        let resource = Resource::from_value(body).map_err(|_| refused("The resource cannot be read again."))?;
        let mut version = Self::of(resource, self.id.clone(), self.version.clone(), self.last_updated, &self.base_url)?;
        // Those of its writer are not in the body any more.
        version.labelled_by.claimed = version.labelled_by.claimed | self.labelled_by.claimed;
        Ok(version)
    }
}

/// Refuses more labels than a body may have: each is compared with those of the version before.
fn check_labels(resource: &Resource) -> Result<(), Issue> {
    let maximum = labels::carried::MAXIMUM_LABELS;
    let given = resource.body().member("meta").and_then(|meta| meta.member("security"));
    if given.map_or(0, |given| given.items().len()) <= maximum {
        return Ok(());
    }
    let name = resource.resource_type().name();
    Err(Issue::error(IssueType::TooLong, format!("There are more than {maximum} labels.")).at(format!("{name}.meta.security")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(resource: &str) -> Result<NewVersion, Issue> {
        let id = |text| LogicalId::parse(text).unwrap();
        NewVersion::of(Resource::parse(resource.as_bytes()).unwrap(), id("a"), id("v"), 0, "https://fhir.example")
    }

    #[test]
    fn more_labels_than_a_body_may_have_are_refused() {
        let labelled = |count: usize| {
            let coding = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"NOCOLLECT"}"#;
            let security = vec![coding; count].join(",");
            version_of(&format!(r#"{{"resourceType":"Basic","meta":{{"security":[{security}]}},"code":{{"text":"x"}}}}"#))
        };
        assert!(labelled(labels::carried::MAXIMUM_LABELS).is_ok());
        let refused = labelled(labels::carried::MAXIMUM_LABELS + 1).err().unwrap();
        assert_eq!(refused.expression.as_deref(), Some("Basic.meta.security"));
    }

    #[test]
    fn a_resource_that_would_become_too_many_rows_is_refused_and_repeated_values_count_once() {
        let patient = |names: &mut dyn Iterator<Item = usize>| {
            let names: Vec<String> = names.map(|number| format!("\"n{number}\"")).collect();
            format!(r#"{{"resourceType":"Patient","name":[{{"given":[{}]}}]}}"#, names.join(","))
        };
        for numbers in [index::MAXIMUM_ENTRIES + 1, 3 * index::MAXIMUM_ENTRIES] {
            let issue = version_of(&patient(&mut (0..numbers))).unwrap_err();
            assert!(issue.diagnostics.contains("50000 values"), "{issue:?}");
        }
        let repeated = version_of(&patient(&mut std::iter::repeat_n(7, 20_000))).unwrap();
        assert!(repeated.entries.len() < 10, "{}", repeated.entries.len());
        assert!(version_of(&patient(&mut (0..5_000))).is_ok());
    }

    #[test]
    fn a_resource_with_too_many_references_is_refused() {
        let item = |number: usize| format!(r#"{{"item":{{"reference":"Patient/p{number}"}}}}"#);
        let list = |count: usize| {
            let entries: Vec<String> = (0..count).map(item).collect();
            format!(r#"{{"resourceType":"List","status":"current","mode":"working","entry":[{}]}}"#, entries.join(","))
        };
        assert!(version_of(&list(index::MAXIMUM_ENTRIES + 1)).is_err());
        assert!(version_of(&list(100)).is_ok());
    }
}
