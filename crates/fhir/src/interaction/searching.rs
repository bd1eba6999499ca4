//! Searches that name no type or a compartment, and `$everything`.
//!
//! <https://hl7.org/fhir/R4/search.html#searchcontexts>, <https://hl7.org/fhir/R4/operations.html#request>.

use super::format::read;
use super::parse::{Content, Pairs, bad_request};
use super::target::PATH;
use super::{Interaction, Refusal, RequestLine};
use crate::definitions::CompartmentType;
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
        Content::Text(text) => read(request.headers.content_type, text).map_err(|mut refusal| {
            let places = refusal.issues.iter_mut().filter_map(|issue| issue.expression.as_mut());
            places.filter(|place| !place.starts_with("http.")).for_each(|place| "Parameters".clone_into(place));
            refusal
        })?,
        Content::Tree(Some(tree)) => tree,
    };
    search::pairs_of(&parameters).map_err(|issue| Refusal::new(400, issue))
}
