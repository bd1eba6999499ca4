//! Composites as SQL: values that belong together within one element of a resource, and pairs of criteria of the resource itself.
//!
//! <https://hl7.org/fhir/R4/search.html#combining>. The rows of `index_composite` that have the same resource, composite and element are the values of
//! one element. `f` is a row of the first component, which leads to the others; `x` is a row of another one.

use portcullis_fhir::index::fold_code;
use portcullis_fhir::search::{Filter, Test, TokenMatch};
use portcullis_store::StoreError;

use super::parameters::{Parameters, all, any};
use super::search_filter::{self, Condition, LOOKED_UP_ALTERNATIVES, Resolver, Route};
use super::search_range;

/// All criteria of one of the alternatives hold within one element of `r`.
pub(super) fn components(
    key: u16,
    alternatives: &[Vec<Filter>],
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Condition, StoreError> {
    let mut elements = Vec::with_capacity(alternatives.len());
    for criteria in alternatives {
        elements.extend(element(key, criteria, resolver, parameters)?);
    }
    if elements.is_empty() {
        return Ok(Condition::never());
    }
    let first = format!("f.parameter = {key} AND f.component = 0 AND {}", any(&elements));
    Ok(Condition {
        sql: format!("EXISTS (SELECT 1 FROM index_composite f WHERE f.pk = r.pk AND {first})"),
        route: Some(Route::Set(format!("SELECT f.pk FROM index_composite f WHERE {first}"))),
    })
}

/// The condition that `f` and rows of the same element fulfil the criteria; `None` where nothing can.
fn element(
    key: u16,
    criteria: &[Filter],
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Option<String>, StoreError> {
    let mut terms = Vec::with_capacity(criteria.len());
    for (component, filter) in criteria.iter().enumerate() {
        let alias = if component == 0 { "f" } else { "x" };
        let Some(value) = value(filter, alias, resolver, parameters)? else { return Ok(None) };
        terms.push(match component {
            0 => value,
            _ => format!(
                "EXISTS (SELECT 1 FROM index_composite x WHERE x.pk = f.pk AND x.parameter = {key} AND x.element = f.element \
                 AND x.component = {component} AND {value})"
            ),
        });
    }
    Ok(Some(all(&terms)))
}

/// A row holds a value that one criterion asks for.
fn value(
    filter: &Filter,
    alias: &str,
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Option<String>, StoreError> {
    let conditions: Vec<String> = match (&filter.test, alias) {
        (Test::Token(alternatives), _) => alternatives.iter().filter_map(|one| token(one, alias, resolver, parameters)).collect(),
        (Test::Reference(alternatives), _) => {
            let targets = search_filter::targets(filter.parameter, alternatives, resolver)?;
            let list: Vec<String> = targets.iter().map(i64::to_string).collect();
            (!targets.is_empty()).then(|| format!("{alias}.code IN ({})", list.join(", "))).into_iter().collect()
        }
        (Test::StringStarts(texts), _) => {
            let column = format!("{alias}.normalised");
            texts.iter().map(|text| search_filter::prefix(&column, text, parameters)).collect()
        }
        (Test::Number(alternatives), "x") => alternatives.iter().map(|one| search_range::number(one, parameters)).collect(),
        (Test::Quantity(alternatives), "x") => {
            alternatives.iter().map(|one| search_filter::quantity(one, resolver, parameters)).collect()
        }
        // No composite of R4 has others.
        _ => return Err(StoreError::NotSupported(format!("'{}' as a component", filter.parameter.code))),
    };
    Ok((!conditions.is_empty()).then(|| any(&conditions)))
}

fn token(
    TokenMatch { system, code }: &TokenMatch,
    alias: &str,
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Option<String> {
    let code = code.as_ref().map(|code| ("code", resolver.seal.hash64(&fold_code(code))));
    let system = system.as_ref().map(|system| ("system", resolver.seal.hash64(system)));
    let equal = |(column, hash): (&str, i64)| format!("{alias}.{column} = {}", parameters.bind(hash));
    let terms: Vec<String> = [code, system].into_iter().flatten().map(equal).collect();
    (!terms.is_empty()).then(|| all(&terms))
}

/// Both criteria of one of the pairs hold, each by itself: what they ask for is there once in a resource.
pub(super) fn pairs(pairs: Vec<[Condition; 2]>) -> Condition {
    let possible: Vec<[Condition; 2]> = pairs.into_iter().filter(|pair| pair.iter().all(|one| one.sql != "0")).collect();
    if possible.is_empty() {
        return Condition::never();
    }
    let either: Vec<String> = possible.iter().map(|[first, second]| all(&[first.sql.clone(), second.sql.clone()])).collect();
    // Each pair is a term of its own, of which SQLite takes five hundred.
    let routes = if possible.len() <= LOOKED_UP_ALTERNATIVES { possible.iter().map(pair_route).collect() } else { None };
    Condition { sql: any(&either), route: routes.map(|routes: Vec<String>| Route::Set(routes.join(" UNION ALL "))) }
}

/// The way through the first criterion, with the second looked up for each row.
fn pair_route([first, second]: &[Condition; 2]) -> Option<String> {
    let rows = rows_of(first.route.as_ref()?);
    Some(format!("SELECT r.pk FROM ({rows}) d CROSS JOIN resource r ON r.pk = d.pk WHERE {}", second.sql))
}

fn rows_of(route: &Route) -> String {
    match route {
        Route::Ordered { table, seek } => format!("SELECT d.pk FROM {table} d WHERE {seek}"),
        Route::Set(set) => set.clone(),
    }
}

/// One of the conditions holds.
pub(super) fn either(conditions: &[Condition]) -> Condition {
    let possible: Vec<&Condition> = conditions.iter().filter(|condition| condition.sql != "0").collect();
    if possible.is_empty() {
        return Condition::never();
    }
    let sql: Vec<String> = possible.iter().map(|condition| condition.sql.clone()).collect();
    let routes: Option<Vec<String>> = possible.iter().map(|condition| condition.route.as_ref().map(rows_of)).collect();
    Condition { sql: any(&sql), route: routes.map(|routes| Route::Set(routes.join(" UNION ALL "))) }
}
