//! `_include` and `_revinclude`: what the matches of a page refer to, and what refers to them, as far as the constraint shows it.
//!
//! <https://hl7.org/fhir/R4/search.html#include>. Only `:iterate` goes on from what was included, round by round, until a round finds nothing new. Each statement carries the
//! condition of the included type, before its limit: nothing is reached through what is hidden. What a resource refers to is what the index holds for the parameter.

use portcullis_fhir::definitions::SearchParameter;
use portcullis_fhir::search::{Include, SearchQuery};
use portcullis_fhir::types::ResourceType;
use portcullis_mutants::off;
use portcullis_policy::Constraint;
use portcullis_store::StoreError;
use rusqlite::Connection;

use super::database::store_error;
use super::parameters::{Parameters, any};
use super::visibility;

/// The most resources that includes may add to a page.
pub const MAXIMUM_INCLUDED: usize = 1000;
/// How often `:iterate` is followed from what was just included: longer chains of references than this are a structure to be walked by reading.
const MAXIMUM_ROUNDS: usize = 16;
/// The most types whose conditions stand in one statement: SQLite refuses one of a thousand sub-queries, and a type has a dozen for each way in which somebody sees it.
const TYPES_PER_STATEMENT: usize = 12;

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
    let mut inclusion = Inclusion { connection, constraint, matches, found: Vec::new() };
    let mut ends: Vec<(i64, ResourceType)> = matches.iter().map(|pk| (*pk, query.resource_type)).collect();
    let mut round = 0;
    while !ends.is_empty() {
        if round > MAXIMUM_ROUNDS {
            return Err(StoreError::NotSupported(format!("following ':iterate' more than {MAXIMUM_ROUNDS} times")));
        }
        let followed = |include: &&Include| round == 0 || include.iterates;
        let mut added = Vec::new();
        for include in query.includes.iter().filter(followed) {
            let from: Vec<i64> = ends.iter().filter(|(_, end)| *end == include.source).map(|(pk, _)| *pk).collect();
            for types in inclusion.targets(include, &from)?.chunks(TYPES_PER_STATEMENT) {
                let join: Join<'_> =
                    &|includes, constraint, matches, parameters| forward((includes, types), constraint, matches, parameters);
                added.extend(inclusion.follow(&[include], join, from.clone())?);
            }
        }
        let followed: Vec<&Include> = query.reverse_includes.iter().filter(followed).collect();
        // A wildcard stands for hundreds of parameters: those of one type are one statement.
        for group in followed.chunk_by(|one, next| (one.source, one.target) == (next.source, next.target)) {
            let target = group.first().and_then(|include| include.target);
            let from = ends.iter().filter(|(_, end)| target.is_none_or(|target| target == *end));
            added.extend(inclusion.follow(group, &reverse, from.map(|(pk, _)| *pk).collect())?);
        }
        ends = added;
        round += 1;
    }
    Ok(inclusion.found)
}

/// What the includes of one page have found.
struct Inclusion<'a> {
    connection: &'a Connection,
    constraint: &'a Constraint,
    matches: &'a [i64],
    found: Vec<i64>,
}

impl Inclusion<'_> {
    /// The types to which these resources refer by an include's parameter, of those to which it may lead, in their order.
    fn targets(&self, include: &Include, ends: &[i64]) -> Result<Vec<ResourceType>, StoreError> {
        let mut parameters = Parameters::default();
        let ends = parameters.bind_list(ends.iter().copied());
        let sql = format!(
            "SELECT DISTINCT t.type FROM index_reference x CROSS JOIN locator t ON t.pk = x.target WHERE x.pk IN ({ends}) AND x.parameter = {}",
            include.parameter.key
        );
        let found = parameters.rows(self.connection, &sql, |row| row.get::<_, u8>(0)).map_err(store_error)?;
        Ok(target_types(include).filter(|target| found.contains(&target.code())).collect())
    }

    /// Follows includes of the same source and target from these resources; returns what is new.
    fn follow(&mut self, includes: &[&Include], join: Join<'_>, ends: Vec<i64>) -> Result<Vec<(i64, ResourceType)>, StoreError> {
        if ends.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = Parameters::default();
        let matches = parameters.bind_list(self.matches.iter().copied());
        let ends = parameters.bind_list(ends);
        let Some(join) = join(includes, self.constraint, &ends, &mut parameters) else { return Ok(Vec::new()) };
        // Visible rows that an earlier include found do not count against this one.
        let limit = parameters.bind(i64::try_from(MAXIMUM_INCLUDED + self.found.len()).unwrap_or(i64::MAX).saturating_add(1));
        let sql = format!(
            "SELECT DISTINCT r.pk, r.type, r.neg_time, l.id FROM {join} AND r.deleted = 0 AND r.pk NOT IN ({matches}) \
             ORDER BY r.type, r.neg_time, l.id LIMIT {limit}"
        );
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, u8>(1)?));
        let mut added = Vec::new();
        for (pk, code) in parameters.rows(self.connection, &sql, row).map_err(store_error)? {
            if !self.found.contains(&pk) {
                let corrupt = || StoreError::Corrupt("a row with an impossible type".to_owned());
                self.found.push(pk);
                added.push((pk, ResourceType::from_code(code).ok_or_else(corrupt)?));
            }
        }
        if self.found.len() > MAXIMUM_INCLUDED {
            let message = format!(
                "a page whose includes add more than {MAXIMUM_INCLUDED} resources; a smaller '_count' makes smaller pages"
            );
            return Err(StoreError::NotSupported(message));
        }
        Ok(added)
    }
}

/// Tables and conditions up to the included `r`; `None` where nothing can be shown.
type Join<'a> = &'a dyn Fn(&[&Include], &Constraint, &str, &mut Parameters) -> Option<String>;

fn forward(
    (includes, types): (&[&Include], &[ResourceType]),
    constraint: &Constraint,
    matches: &str,
    parameters: &mut Parameters,
) -> Option<String> {
    let include = includes.first()?;
    let shown: Vec<String> = types
        .iter()
        .copied()
        .filter(|target| !visibility::ways(constraint, *target, constraint.letter()).is_empty())
        .map(|target| {
            let visible = visibility::predicate(constraint, target, constraint.letter(), "r", parameters);
            let visible = if off!("include") { "1".to_owned() } else { visible };
            format!("(r.type = {} AND {visible})", target.code())
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    Some(format!(
        "index_reference x CROSS JOIN resource r ON r.pk = x.target CROSS JOIN locator l ON l.pk = r.pk \
         WHERE x.pk IN ({matches}) AND x.parameter = {} AND {}",
        include.parameter.key,
        any(&shown)
    ))
}

/// The types that an include may lead to; a parameter without targets may lead to any.
fn target_types(include: &Include) -> impl Iterator<Item = ResourceType> {
    let SearchParameter { targets, .. } = include.parameter;
    let wanted = include.target;
    ResourceType::all().filter(move |candidate| {
        wanted.is_none_or(|wanted| wanted == *candidate) && (targets.is_empty() || targets.contains(candidate))
    })
}

fn reverse(includes: &[&Include], constraint: &Constraint, matches: &str, parameters: &mut Parameters) -> Option<String> {
    let source = includes.first()?.source;
    let visible = visibility::predicate(constraint, source, constraint.letter(), "r", parameters);
    if visible == "0" {
        return None;
    }
    let visible = if off!("revinclude") { "1".to_owned() } else { visible };
    let keys: Vec<String> = includes.iter().map(|include| include.parameter.key.to_string()).collect();
    Some(format!(
        "index_reference x CROSS JOIN resource r ON r.pk = x.pk CROSS JOIN locator l ON l.pk = r.pk \
         WHERE x.parameter IN ({}) AND x.target IN ({matches}) AND r.type = {} AND {visible}",
        keys.join(", "),
        source.code()
    ))
}
