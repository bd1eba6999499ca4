//! Chained parameters and `_has` as SQL: sets of resources that refer to others, or are referred to.
//!
//! <https://hl7.org/fhir/R4/search.html#chaining>, <https://hl7.org/fhir/R4/search.html#has>. What a step leads to is a current resource that the
//! constraint shows for the same letter as the match itself; its condition stands in each set. So a chain says nothing about what is hidden: to whoever asks it
//! is as if that were not stored.

use portcullis_fhir::search::Link;
use portcullis_mutants::off;
use portcullis_store::StoreError;

use super::parameters::{Parameters, all, any};
use super::search_filter::{self, Condition, Resolver, Route};
use super::visibility;

/// Which end of a reference a step begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Source,
    Target,
}

/// The parameter refers to a resource as one of these links says.
pub(super) fn chain(
    parameter: u16,
    links: &[Link],
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Condition, StoreError> {
    let sets = links.iter().map(|link| set(parameter, link, End::Source, resolver, parameters));
    let sets: Vec<String> = sets.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    if sets.is_empty() {
        return Ok(Condition::never());
    }
    let members: Vec<String> = sets.iter().map(|set| format!("r.pk IN ({set})")).collect();
    Ok(Condition { sql: any(&members), route: Some(Route::Set(sets.join(" UNION ALL "))) })
}

/// A resource as the link says refers here by the parameter.
pub(super) fn reverse_chain(
    parameter: u16,
    link: &Link,
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Condition, StoreError> {
    let set = set(parameter, link, End::Target, resolver, parameters)?;
    Ok(set.map_or_else(Condition::never, Condition::member))
}

/// A query with the column `pk`: the near ends of those references of the parameter whose far end is as the link says and visible; `None` where there is none.
///
/// The far end is `r` within the query, as conditions expect it. The way to it is that of its criterion, so that a selective one is not paid by the number of all
/// references.
fn set(
    parameter: u16,
    link: &Link,
    near: End,
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Option<String>, StoreError> {
    let (far, letter) = (link.resource_type, resolver.constraint.letter());
    let visible = visibility::predicate(resolver.constraint, far, letter, "r", parameters);
    let condition = search_filter::condition(&link.criterion, far, resolver, parameters)?;
    if visible == "0" || condition.sql == "0" {
        return Ok(None);
    }
    let visible = if off!("chain") { "1".to_owned() } else { visible };
    let current = if off!("chain-deleted") { "1" } else { "r.deleted = 0" };
    let mut terms = vec![format!("r.type = {} AND {current}", far.code())];
    let candidates = match condition.route {
        Some(Route::Ordered { table, seek }) => {
            terms.push(seek);
            format!("{table} d CROSS JOIN resource r ON r.pk = d.pk")
        }
        Some(Route::Set(set)) => format!("(SELECT DISTINCT pk FROM ({set})) d CROSS JOIN resource r ON r.pk = d.pk"),
        None => {
            terms.push(condition.sql);
            "resource r".to_owned()
        }
    };
    terms.push(visible);
    let (result, join) = match near {
        End::Source => ("x.pk", "x.target = r.pk"),
        End::Target => ("x.target", "x.pk = r.pk"),
    };
    Ok(Some(format!(
        "SELECT {result} AS pk FROM {candidates} CROSS JOIN index_reference x ON {join} AND x.parameter = {parameter} WHERE {}",
        all(&terms)
    )))
}
