//! Searches that name no type or a compartment, and `$everything`.
//!
//! <https://hl7.org/fhir/R4/search.html#searchcontexts>, <https://hl7.org/fhir/R4/operations.html#request>.

use super::headers::is_json;
use super::parse::{Content, JSON, Pairs, bad_request, unsupported_content};
use super::target::PATH;
use super::{Interaction, Refusal, RequestLine};
use crate::definitions::CompartmentType;
use crate::json;
use crate::outcome::{Issue, IssueType};
use crate::reference::LocalReference;
use crate::search::{self, SearchContext, SearchPlace};
use crate::types::{LogicalId, ResourceType};

/// `GET [base]?...`
pub(super) fn system(pairs: &Pairs, context: &SearchContext<'_>) -> Result<Interaction, Refusal> {
    let search = search::parse_types(SearchPlace::System, pairs, context).map_err(bad_request)?;
    Ok(Interaction::SearchOfTypes(Box::new(search)))
}

/// `GET [base]/[compartment]/[id]/[type]?...`, or of all types.
pub(super) fn compartment(
    (compartment, id, resource_type): (CompartmentType, LogicalId, Option<ResourceType>),
    pairs: &Pairs,
    context: &SearchContext<'_>,
) -> Result<Interaction, Refusal> {
    let Some(resource_type) = resource_type else {
        let place = SearchPlace::Compartment(LocalReference { resource_type: compartment.resource_type(), id });
        let search = search::parse_types(place, pairs, context).map_err(bad_request)?;
        return Ok(Interaction::SearchOfTypes(Box::new(search)));
    };
    let query = search::parse(resource_type, pairs, context).map_err(bad_request)?;
    search::within(query, compartment, &id).map(Interaction::Search).ok_or_else(|| {
        let message = format!("No {resource_type} lies in such a compartment.");
        Refusal::new(404, Issue::error(IssueType::NotSupported, message).at(PATH))
    })
}

/// `GET [base]/[type]/[id]/$everything`
pub(super) fn everything(focus: LocalReference, pairs: &Pairs, context: &SearchContext<'_>) -> Result<Interaction, Refusal> {
    let search = search::parse_everything(focus, pairs, context);
    let unknown = || Refusal::new(404, Issue::error(IssueType::NotSupported, "This operation is not supported.").at(PATH));
    let search = search.ok_or_else(unknown)?.map_err(bad_request)?;
    Ok(Interaction::SearchOfTypes(Box::new(search)))
}

/// The parameters of an operation that was posted; without a body there are none.
pub(super) fn operation_parameters(request: &RequestLine<'_>, content: Content<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let parameters = match content {
        Content::Text([]) | Content::Tree(None) => return Ok(Vec::new()),
        Content::Text(_) if !is_json(request.headers.content_type) => return Err(unsupported_content(JSON)),
        Content::Text(text) => json::parse(text).map_err(|error| {
            let issue = Issue::error(IssueType::Structure, format!("not valid JSON: {error}"));
            Refusal::new(400, issue.at("Parameters"))
        })?,
        Content::Tree(Some(tree)) => tree,
    };
    search::pairs_of(&parameters).map_err(|issue| Refusal::new(400, issue))
}
