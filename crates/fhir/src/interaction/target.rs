//! What the path of a request names, and the methods that it has.

use super::{Method, Refusal, RequestLine, client_may_write};
use crate::definitions::{CompartmentType, compartment_parameters};
use crate::outcome::{Issue, IssueType};
use crate::query::{self, echo};
use crate::reference::LocalReference;
use crate::types::{LogicalId, ResourceType};

/// The place of an error in method or path: R4 has names for headers and parameters only, and this is what they begin with.
pub(super) const PATH: &str = "http";

/// What a path names.
pub(super) enum Target {
    /// The base itself.
    Base,
    /// `/metadata`
    Metadata,
    /// `/[type]`
    Type(ResourceType),
    /// `/[type]/_search`
    SearchForm(ResourceType),
    /// `/_search`
    SystemForm,
    /// `/[type]/[id]`
    Instance(ResourceType, LogicalId),
    /// `/[type]/[id]/_history`
    History(ResourceType, LogicalId),
    /// `/[type]/[id]/_history/[vid]`
    Version(ResourceType, LogicalId, LogicalId),
    /// `/[compartment]/[id]/[type]`, or `*` for all types.
    Compartment(CompartmentType, LogicalId, Option<ResourceType>),
    /// The same with `/_search`.
    CompartmentForm(CompartmentType, LogicalId, Option<ResourceType>),
    /// `/[type]/[id]/$everything`
    Everything(LocalReference),
}

impl Target {
    pub fn parse(request: &RequestLine<'_>) -> Result<Self, Refusal> {
        let path = request.path.strip_prefix('/').unwrap_or(request.path);
        if path.is_empty() {
            return Ok(Self::Base);
        }
        let decoded: Option<Vec<String>> = path.split('/').map(query::decode_segment).collect();
        let Some(segments) = decoded else {
            let message = "The path is not percent-encoded UTF-8 without NUL.";
            return Err(Refusal::new(400, Issue::error(IssueType::Invalid, message).at(PATH)));
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        check_spelling(path, &segments)?;
        match segments.as_slice() {
            ["metadata"] => Ok(Self::Metadata),
            ["_history"] | [_, "_history"] => {
                Err(nowhere("Only the history of one resource is supported: [type]/[id]/_history."))
            }
            ["_search"] => Ok(Self::SystemForm),
            [name @ ("Patient" | "Encounter"), id, "$everything"] => {
                let (resource_type, id) = (resource_type(name)?, logical_id(id, Method::Get)?);
                Ok(Self::Everything(LocalReference { resource_type, id }))
            }
            [.., operation] if operation.starts_with('$') => {
                Err(nowhere("This operation is not supported; there is $everything of one Patient or Encounter."))
            }
            [name] => Ok(Self::Type(resource_type(name)?)),
            [name, "_search"] => Ok(Self::SearchForm(resource_type(name)?)),
            [name, id] => Ok(Self::Instance(resource_type(name)?, logical_id(id, request.method)?)),
            [name, id, "_history"] => Ok(Self::History(resource_type(name)?, logical_id(id, request.method)?)),
            [name, id, "_history", version] => {
                let (resource_type, id) = (resource_type(name)?, logical_id(id, request.method)?);
                Ok(Self::Version(resource_type, id, logical_id(version, request.method)?))
            }
            [name, id, "_search"] => {
                let (compartment, id, _) = compartment(name, id, "*")?;
                Ok(Self::CompartmentForm(compartment, id, None))
            }
            [name, id, searched] if ResourceType::parse(searched).is_some() || *searched == "*" => {
                let (compartment, id, searched) = compartment(name, id, searched)?;
                Ok(Self::Compartment(compartment, id, searched))
            }
            [name, id, searched, "_search"] => {
                let (compartment, id, searched) = compartment(name, id, searched)?;
                Ok(Self::CompartmentForm(compartment, id, searched))
            }
            _ => Err(nowhere("No interaction has this path.")),
        }
    }

    /// The methods of the target, for the header `Allow`.
    pub fn allow(&self) -> &'static str {
        match self {
            Self::Base | Self::Everything(_) => "GET, HEAD, POST",
            Self::Metadata | Self::History(..) | Self::Version(..) | Self::Compartment(..) => "GET, HEAD",
            Self::Type(resource_type) if client_may_write(*resource_type) => "GET, HEAD, POST, PUT, PATCH, DELETE",
            Self::Instance(resource_type, _) if client_may_write(*resource_type) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Type(_) | Self::Instance(..) => "GET, HEAD",
            Self::SearchForm(_) | Self::SystemForm | Self::CompartmentForm(..) => "POST",
        }
    }

    /// Whether the body is the form of a search.
    pub fn is_form(&self) -> bool {
        matches!(self, Self::SearchForm(_) | Self::SystemForm | Self::CompartmentForm(..))
    }

    pub fn check_method(&self, method: Method) -> Result<(), Refusal> {
        let name = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options | Method::Other => "",
        };
        if !name.is_empty() && self.allow().split(", ").any(|allowed| allowed == name) {
            return Ok(());
        }
        let message = match (self, method) {
            (Self::Base, _) => "Batches and transactions are posted here, and GET searches several types.".to_owned(),
            (
                Self::Type(resource_type) | Self::Instance(resource_type, _),
                Method::Post | Method::Put | Method::Patch | Method::Delete,
            ) if !client_may_write(*resource_type) => {
                format!("Clients do not write {resource_type}.")
            }
            _ => format!("The methods here are: {}.", self.allow()),
        };
        let issue = Issue::error(IssueType::NotSupported, message).at(PATH);
        Err(Refusal { status: 405, allow: Some(self.allow()), issues: vec![issue] })
    }
}

/// A compartment, and the type that is searched in it; `None` for all types.
fn compartment(name: &str, id: &str, searched: &str) -> Result<(CompartmentType, LogicalId, Option<ResourceType>), Refusal> {
    let owner = resource_type(name)?;
    let Some(compartment) = CompartmentType::of(owner) else {
        return Err(nowhere("Only Patient, Encounter, RelatedPerson, Practitioner and Device have compartments."));
    };
    let id = logical_id(id, Method::Get)?;
    if searched == "*" {
        return Ok((compartment, id, None));
    }
    let searched = resource_type(searched)?;
    if searched == ResourceType::AUDIT_EVENT {
        return Err(nowhere("The audit trail is not searched by compartment; there is AuditEvent?patient=... ."));
    }
    if searched != owner && compartment_parameters(compartment, searched).is_empty() {
        return Err(nowhere(&format!("No {searched} lies in the compartment of a {owner}.")));
    }
    Ok((compartment, id, Some(searched)))
}

/// A path has one spelling: no empty segments, no dot segments, no escapes but that of `$`. Of two spellings of one address, a filter in front of this
/// server may know only one.
fn check_spelling(path: &str, segments: &[&str]) -> Result<(), Refusal> {
    if segments.contains(&"") {
        return Err(nowhere("The path has an empty segment; it has no slash at its end and no two in a row."));
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(nowhere("The path has a dot segment."));
    }
    if path.split('/').zip(segments).any(|(sent, meant)| sent != *meant && sent.replace("%24", "$") != *meant) {
        return Err(nowhere("The path has percent-escapes; types, ids and the names of interactions need none."));
    }
    Ok(())
}

fn resource_type(name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::parse(name).ok_or_else(|| {
        let message = format!("'{}' is no resource type of FHIR R4 (names are case-sensitive).", echo(name));
        Refusal::new(404, Issue::error(IssueType::NotFound, message).at(PATH))
    })
}

/// An id that breaks the grammar cannot exist: not found, except where the client wants to write it.
fn logical_id(text: &str, method: Method) -> Result<LogicalId, Refusal> {
    LogicalId::parse(text).ok_or_else(|| match method {
        Method::Put => {
            let message = "An id has 1 to 64 of the characters A-Z, a-z, 0-9, - and the dot.";
            Refusal::new(400, Issue::error(IssueType::Value, message).at(PATH))
        }
        _ => Refusal::new(404, Issue::error(IssueType::NotFound, "No resource can have this id.").at(PATH)),
    })
}

fn nowhere(message: &str) -> Refusal {
    Refusal::new(404, Issue::error(IssueType::NotSupported, message).at(PATH))
}
