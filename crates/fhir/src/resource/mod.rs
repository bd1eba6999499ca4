//! A resource that has passed the structural checks of R4.
//!
//! <https://hl7.org/fhir/R4/json.html>, <https://hl7.org/fhir/R4/validation.html>: known elements, JSON types, cardinalities, choices, primitive formats and
//! safe narrative. Bindings, invariants, profiles, slicing and the existence of reference targets are not checked.

mod attachments;
mod content;
mod entities;
mod narrative;
mod primitive;
mod validate;

use crate::bundle::links;
use crate::instant;
use crate::json::{self, Value};
use crate::labels;
use crate::outcome::{Issue, IssueType};
use crate::redaction;
use crate::reference::LocalReference;
use crate::types::{LogicalId, ResourceType};

pub use attachments::Stated;
pub use content::same_content;
pub(crate) use entities::code_point as named_character;
pub(crate) use validate::{nearest, suggestion};

/// Whether a text is a narrative that a resource may carry.
pub(crate) fn is_safe_narrative(text: &str) -> bool {
    narrative::check(text).is_ok()
}

/// A well-formed R4 resource: known type, known elements with the right JSON types and cardinalities, valid primitives.
///
/// Made only by [`Resource::parse`] and [`Resource::from_value`]; a profile is not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    resource_type: ResourceType,
    id: Option<LogicalId>,
    body: Value,
}

impl Resource {
    /// The most issues that one refusal names.
    pub const MAXIMUM_ISSUES: usize = 20;

    /// Reads a resource from its JSON text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Issue>> {
        let refusal = |error: json::ParseError| {
            vec![Issue::error(IssueType::Structure, format!("not valid JSON: {error}")).at(error.expression)]
        };
        Self::from_value(json::parse(bytes).map_err(refusal)?)
    }

    /// Checks a tree.
    pub fn from_value(body: Value) -> Result<Self, Vec<Issue>> {
        let resource_type = validate::resource(&body)?;
        let id = body.member("id").and_then(Value::as_str).and_then(LogicalId::parse);
        Ok(Self { resource_type, id, body })
    }

    /// Its type.
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// Its id, where the source had one.
    pub fn id(&self) -> Option<&LogicalId> {
        self.id.as_ref()
    }

    /// The tree.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The tree, for a new resource to be built from it.
    pub fn into_body(self) -> Value {
        self.body
    }

    /// The same resource with the id, version and time (milliseconds since the epoch) that the server gives it; other members of `meta` stay.
    pub fn with_identity(self, id: LogicalId, version: &LogicalId, last_updated: i64) -> Self {
        let Value::Object(members) = self.body else { return self };
        let mut meta = vec![
            ("versionId".into(), Value::from(version.as_str())),
            ("lastUpdated".into(), Value::from(instant::format(last_updated))),
        ];
        let mut rest = Vec::with_capacity(members.len());
        for (name, value) in members {
            match (&*name, value) {
                ("resourceType" | "id" | "_id", _) => {}
                ("meta", Value::Object(old)) => {
                    let assigned = ["versionId", "_versionId", "lastUpdated", "_lastUpdated"];
                    meta.extend(old.into_iter().filter(|(name, _)| !assigned.contains(&&**name)));
                }
                (_, value) => rest.push((name, value)),
            }
        }
        let mut members: Vec<(Box<str>, Value)> = vec![
            ("resourceType".into(), Value::from(self.resource_type.name())),
            ("id".into(), Value::from(id.as_str())),
            ("meta".into(), Value::Object(meta)),
        ];
        members.append(&mut rest);
        Self { resource_type: self.resource_type, id: Some(id), body: Value::Object(members) }
    }

    /// Replaces the links that `target` knows by what it says, which must be `Type/id`: that is valid wherever a link may stand.
    pub fn relink(&mut self, target: &impl Fn(&str) -> Option<LocalReference>) {
        links::rewrite(&mut self.body, &|link| target(link).map(|target| target.to_string()));
    }

    /// Takes the security labels out, which are kept beside the body; refused where a contained resource has some. `base_url` names this server.
    pub fn take_labels(&mut self, base_url: &str) -> Result<labels::body::Content, Issue> {
        labels::body::check_contained(&self.body)?;
        Ok(labels::body::take(&mut self.body, base_url))
    }

    /// The resource as search finds it, without what labels inside it may hide from somebody who sees it; `None` where that is all of it.
    pub fn indexable(&self) -> Option<Self> {
        let body = redaction::indexable(&self.body)?;
        Some(Self { resource_type: self.resource_type, id: self.id.clone(), body })
    }

    /// The compact JSON text.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.body.to_bytes()
    }
}

#[cfg(test)]
mod tests;
