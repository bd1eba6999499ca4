//! Conditions: searches that say which resource a conditional create, update, delete or reference means.
//!
//! <https://hl7.org/fhir/R4/http.html#ccreate>, `#cond-update`, `#cdelete`, and "conditional references" of `#trules`. A condition is read strictly, whatever the
//! client prefers: a criterion that were ignored would let it mean more. It has criteria only, and at least one.

use super::parse::{Pairs, bad_request};
use super::{Context, Refusal, client_may_write};
use crate::outcome::{Issue, IssueType};
use crate::query;
use crate::search::{self, Handling, SearchContext, SearchQuery, Shape, Total};
use crate::types::ResourceType;

/// One match more than there may be.
const ENOUGH: u32 = 2;

/// The place of a condition that came as a header.
const HEADER: &str = "http.If-None-Exist";

/// The condition in the address of an update or deletion.
pub(super) fn of_write(resource_type: ResourceType, pairs: &Pairs, context: &Context<'_>) -> Result<SearchQuery, Refusal> {
    of_pairs(resource_type, pairs, context).map_err(bad_request)
}

/// The condition in `If-None-Exist`, a query without its question mark; one that has it is understood, too.
pub(super) fn of_header(resource_type: ResourceType, text: &str, context: &Context<'_>) -> Result<SearchQuery, Refusal> {
    let text = text.strip_prefix('?').unwrap_or(text);
    let pairs = query::parse(text.as_bytes());
    let condition = pairs.and_then(|pairs| of_pairs(resource_type, &pairs, context));
    condition.map_err(|issues| bad_request(issues.into_iter().map(|issue| issue.at(HEADER)).collect()))
}

/// The condition of a reference such as `Patient?identifier=...`; `None` where the reference is none. The issues have no place.
pub fn reference_condition(reference: &str, context: &Context<'_>) -> Option<Result<SearchQuery, Vec<Issue>>> {
    let (name, text) = reference.split_once('?')?;
    let resource_type = ResourceType::parse(name)?;
    if !client_may_write(resource_type) {
        let message = format!("A reference cannot find a resource of type {resource_type} by a search.");
        return Some(Err(vec![Issue::error(IssueType::NotSupported, message)]));
    }
    let pairs = query::parse(text.as_bytes());
    let condition = pairs.and_then(|pairs| of_pairs(resource_type, &pairs, context));
    Some(condition.map_err(|issues| issues.into_iter().map(|issue| Issue { expression: None, ..issue }).collect()))
}

fn of_pairs(resource_type: ResourceType, pairs: &Pairs, context: &Context<'_>) -> Result<SearchQuery, Vec<Issue>> {
    let context = SearchContext { base_url: context.base_url, handling: Handling::Strict, now_ms: context.now_ms };
    let mut query = search::parse(resource_type, pairs, &context)?;
    let more = !query.includes.is_empty()
        || !query.reverse_includes.is_empty()
        || !query.sort.is_empty()
        || query.total != Total::None
        || query.shape != Shape::Whole
        || query.cursor.is_some();
    if more {
        let message = "A condition has search criteria only: no includes, order, total, summary or page.";
        return Err(vec![Issue::error(IssueType::Invalid, message).at("http")]);
    }
    if query.filters.is_empty() {
        let message = format!("A condition needs at least one criterion, as in {resource_type}?identifier=system|value.");
        return Err(vec![Issue::error(IssueType::Required, message).at("http")]);
    }
    query.count = ENOUGH;
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'static> = Context { base_url: "https://h/fhir", now_ms: 0 };

    #[test]
    fn a_condition_that_would_mean_more_than_it_says_is_refused() {
        for text in [
            "Patient?",
            "Patient?unknown=1",
            "Patient?identifier=1&unknown=1",
            "Patient?identifier=1&_has:Observation:code:code=x",
            "Patient?identifier=1&_has:AuditEvent:patient:agent=x",
            "Patient?identifier=1&_include:iterate=Patient:link",
            "Patient?_sort=name",
            "Patient?identifier=1&_sort=name",
            "Patient?identifier=1&_include=Patient:organization",
            "Patient?identifier=1&_summary=count",
            "Patient?identifier=1&_total=accurate",
            "Patient?identifier=1&_cursor=x",
            "Patient?_count=1",
            "Patient?identifier=%",
            "AuditEvent?patient=1",
        ] {
            assert!(reference_condition(text, &CONTEXT).unwrap().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_type_and_a_question_mark_make_a_condition() {
        for text in ["Patient/1", "urn:uuid:1", "https://h/fhir/Patient?identifier=1", "patient?identifier=1", "#a?b=c", ""] {
            assert!(reference_condition(text, &CONTEXT).is_none(), "{text}");
        }
        let query = reference_condition("Patient?identifier=http://x|1&active=true", &CONTEXT).unwrap().unwrap();
        assert_eq!((query.filters.len(), query.count), (2, 2));
        let text = "Patient?_has:Observation:patient:code=x&general-practitioner.name=y";
        assert_eq!(reference_condition(text, &CONTEXT).unwrap().unwrap().filters.len(), 2);
    }
}
