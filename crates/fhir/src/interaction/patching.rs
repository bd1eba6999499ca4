//! The body of a PATCH: JSON Patch, as it is, or in a Binary where it stands in a batch or transaction.
//!
//! <https://hl7.org/fhir/R4/http.html#patch>. FHIRPath Patch and XML Patch are refused by name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::headers::essence;
use super::parse::Content;
use super::{Refusal, RequestLine};
use crate::json::Value;
use crate::outcome::{Issue, IssueType};
use crate::patch::{Document, JSON_PATCH};

/// Reads the document.
pub(super) fn document(request: &RequestLine<'_>, content: Content<'_>) -> Result<Document, Refusal> {
    match content {
        Content::Text(body) => {
            check(&essence(request.headers.content_type), "http.Content-Type")?;
            parsed(body, "http")
        }
        Content::Tree(tree) => {
            let wanted = || {
                let message = format!("An entry that asks to PATCH brings a Binary with contentType {JSON_PATCH} and data.");
                Refusal::new(400, Issue::error(IssueType::Required, message).at("Binary"))
            };
            let binary = tree.ok_or_else(wanted)?;
            let text = |name: &str| binary.member(name).and_then(Value::as_str);
            match text("resourceType") {
                Some("Parameters") => return Err(not_supported(FHIRPATH, "Parameters")),
                Some("Binary") => {}
                _ => return Err(wanted()),
            }
            check(&essence(text("contentType")), "Binary.contentType")?;
            let data = text("data").and_then(|data| STANDARD.decode(data).ok()).ok_or_else(wanted)?;
            parsed(&data, "Binary.data")
        }
    }
}

const FHIRPATH: &str = "FHIRPath Patch is not supported; send a JSON Patch of type application/json-patch+json.";

fn check(essence: &str, place: &str) -> Result<(), Refusal> {
    match essence {
        JSON_PATCH => Ok(()),
        "application/fhir+json" | "application/json+fhir" | "application/fhir+xml" | "application/xml+fhir" => {
            Err(not_supported(FHIRPATH, place))
        }
        _ => Err(not_supported("A patch is a JSON Patch of type application/json-patch+json.", place)),
    }
}

fn not_supported(message: &str, place: &str) -> Refusal {
    Refusal::new(415, Issue::error(IssueType::NotSupported, message).at(place))
}

fn parsed(body: &[u8], place: &str) -> Result<Document, Refusal> {
    Document::parse(body).map_err(|issue| {
        let status = if issue.code == IssueType::TooLong { 413 } else { 400 };
        Refusal::new(status, issue.at(place))
    })
}
