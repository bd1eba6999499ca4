//! `_include` and `_revinclude`: what the matches of a page refer to, and what refers to them, as far as the constraint shows it.
//!
//! <https://hl7.org/fhir/R4/search.html#include>. One step only: nothing is included because of something that was included. Each statement carries the
//! condition of the included type, before its limit. What a resource refers to is what the index holds for the parameter.

use portcullis_fhir::definitions::SearchParameter;
use portcullis_fhir::search::{Include, SearchQuery};
use portcullis_fhir::types::ResourceType;
use portcullis_policy::Constraint;
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::database::store_error;
use super::parameters::{Parameters, any};
use super::visibility;

/// The most resources that includes may add to a page.
pub const MAXIMUM_INCLUDED: usize = 1000;

/// The locators of the visible resources that the query's includes add to these matches: each once, none of the matches, in a stable order.
pub fn included(
    connection: &Connection,
    query: &SearchQuery,
    constraint: &Constraint,
    matches: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let of_trail = |include: &Include| [Some(include.source), include.target].contains(&Some(ResourceType::AUDIT_EVENT));
    if query.includes.iter().chain(&query.reverse_includes).any(of_trail) {
        // The audit trail is no part of these tables: nothing found would look like nothing recorded.
        return Err(StoreError::NotSupported("including AuditEvents; search them by 'patient' or 'entity'".to_owned()));
    }
    let mut found: Vec<i64> = Vec::new();
    if matches.is_empty() {
        return Ok(found);
    }
    let forward = query.includes.iter().map(|include| (include, forward as Join));
    let reverse = query.reverse_includes.iter().map(|include| (include, reverse as Join));
    for (include, join) in forward.chain(reverse) {
        let mut parameters = Parameters::default();
        let pages = parameters.bind_list(matches.iter().copied());
        let join = join(include, constraint, &pages, &mut parameters);
        // Visible rows that an earlier include found do not count against this one.
        let limit = parameters.bind(i64::try_from(MAXIMUM_INCLUDED + found.len()).unwrap_or(i64::MAX).saturating_add(1));
        let sql = format!(
            "SELECT DISTINCT r.pk, r.type, r.neg_time, l.id FROM {join} AND r.deleted = 0 AND r.pk NOT IN ({pages}) \
             ORDER BY r.type, r.neg_time, l.id LIMIT {limit}"
        );
        for pk in parameters.rows(connection, &sql, |row| row.get::<_, i64>(0)).map_err(store_error)? {
            if !found.contains(&pk) {
                found.push(pk);
            }
        }
        if found.len() > MAXIMUM_INCLUDED {
            let message = format!(
                "a page whose includes add more than {MAXIMUM_INCLUDED} resources; a smaller '_count' makes smaller pages"
            );
            return Err(StoreError::NotSupported(message));
        }
    }
    Ok(found)
}

/// Tables and conditions up to the included `r`.
type Join = fn(&Include, &Constraint, &str, &mut Parameters) -> String;

fn forward(include: &Include, constraint: &Constraint, matches: &str, parameters: &mut Parameters) -> String {
    let shown: Vec<String> = target_types(include)
        .filter(|target| !visibility::ways(constraint, *target, constraint.letter()).is_empty())
        .map(|target| {
            let visible = visibility::predicate(constraint, target, constraint.letter(), "r", parameters);
            format!("(r.type = {} AND {visible})", target.code())
        })
        .collect();
    format!(
        "index_reference x CROSS JOIN resource r ON r.pk = x.target CROSS JOIN locator l ON l.pk = r.pk \
         WHERE x.pk IN ({matches}) AND x.parameter = {} AND {}",
        include.parameter.key,
        any(&shown)
    )
}

/// The types that an include may lead to; a parameter without targets may lead to any.
fn target_types(include: &Include) -> impl Iterator<Item = ResourceType> {
    let SearchParameter { targets, .. } = include.parameter;
    let wanted = include.target;
    ResourceType::all().filter(move |candidate| {
        wanted.is_none_or(|wanted| wanted == *candidate) && (targets.is_empty() || targets.contains(candidate))
    })
}

fn reverse(include: &Include, constraint: &Constraint, matches: &str, parameters: &mut Parameters) -> String {
    let visible = visibility::predicate(constraint, include.source, constraint.letter(), "r", parameters);
    format!(
        "index_reference x CROSS JOIN resource r ON r.pk = x.pk CROSS JOIN locator l ON l.pk = r.pk \
         WHERE x.parameter = {} AND x.target IN ({matches}) AND r.type = {} AND {visible}",
        include.parameter.key,
        include.source.code()
    )
}
