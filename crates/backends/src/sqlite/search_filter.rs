//! One criterion of a search as SQL: a condition over `r`, a current resource, and where there is one, a way to its rows through an index.
//!
//! <https://hl7.org/fhir/R4/search.html#ptypes>. Conditions see nothing but index rows of `r` itself; that `r` is visible is a condition beside
//! them (`search_sql`). Chains lead to other resources, each under the condition of its own type (`search_chain`). A criterion that names something this store has never seen is false.

use portcullis_fhir::definitions::{ParameterType, SearchParameter};
use portcullis_fhir::index::{fold_code, normalise};
use portcullis_fhir::search::{Filter, QuantityMatch, ReferenceMatch, Test, TokenMatch};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::Constraint;
use portcullis_store::StoreError;
use rusqlite::{Connection, params};

use super::database::store_error;
use super::locator::{self, IDENTIFIER};
use super::parameters::{Parameters, any};
use super::rows::TEXT_OFFSET;
use super::seal::Seal;
use super::{search_chain, search_composite, search_range};

/// Up to so many alternatives each candidate is looked up; beyond, the alternatives are collected once. Of what the store knows of a criterion no
/// more than this is bound; more is written into the statement, as numbers.
pub(super) const LOOKED_UP_ALTERNATIVES: usize = 8;

/// From this length on, in bytes, a URI counts as several values.
const LONG_URI: usize = 256;

/// What search needs of the store besides the query: names become numbers here.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a> {
    /// The snapshot.
    pub connection: &'a Connection,
    /// The keyed hash.
    pub seal: &'a Seal,
    /// What the search may see, also where a criterion leads to other resources.
    pub constraint: &'a Constraint,
}

impl Resolver<'_> {
    /// The systems under which this code is indexed for a parameter: one step per system, not per row.
    fn systems(&self, parameter: u16, code: i64) -> Result<Vec<i64>, StoreError> {
        const SQL: &str = "WITH RECURSIVE s (system) AS (
            SELECT min(system) FROM index_token WHERE parameter = ?1 AND code = ?2
            UNION ALL
            SELECT (SELECT min(x.system) FROM index_token x WHERE x.parameter = ?1 AND x.code = ?2 AND x.system > s.system)
            FROM s WHERE s.system IS NOT NULL)
          SELECT system FROM s WHERE system IS NOT NULL";
        let mut statement = self.connection.prepare_cached(SQL).map_err(store_error)?;
        let rows = statement.query_map(params![parameter, code], |row| row.get(0)).map_err(store_error)?;
        rows.collect::<Result<_, _>>().map_err(store_error)
    }
}

/// A criterion as SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A condition over `r`.
    pub sql: String,
    /// A way to the rows that fulfil it.
    pub route: Option<Route>,
}

/// A way to the rows that fulfil a condition, without looking at others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Rows of a table (alias `d`), each resource once, newest first where `seek` fixes the key's first columns.
    Ordered {
        /// A table with the columns `neg_time` and `pk`.
        table: &'static str,
        /// The condition that fixes the first columns.
        seek: String,
    },
    /// A query with the column `pk`, in any order, with duplicates.
    Set(String),
}

impl Condition {
    /// What nothing fulfils.
    pub(super) fn never() -> Self {
        Self { sql: "0".to_owned(), route: None }
    }

    fn only(sql: String) -> Self {
        Self { sql, route: None }
    }

    /// Membership of a set that is collected once per statement.
    pub(super) fn member(set: String) -> Self {
        Self { sql: format!("r.pk IN ({set})"), route: Some(Route::Set(set)) }
    }
}

/// The condition of one criterion.
pub fn condition(
    filter: &Filter,
    resource_type: ResourceType,
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Condition, StoreError> {
    let key = filter.parameter.key;
    Ok(match &filter.test {
        Test::Missing(missing) => presence(filter.parameter, *missing)?,
        Test::Token(alternatives) => token(key, alternatives, resolver, parameters)?,
        Test::TokenNot(alternatives) => Condition::only(format!("NOT {}", token(key, alternatives, resolver, parameters)?.sql)),
        Test::TokenText(texts) => starting(u32::from(key) + TEXT_OFFSET, texts, parameters),
        Test::StringStarts(texts) => starting(u32::from(key), texts, parameters),
        Test::StringContains(texts) => Condition::only(format!("r.pk IN ({})", containing(key, texts, parameters))),
        Test::StringExact(texts) => Condition::member(exact(key, texts, parameters)),
        Test::Reference(alternatives) => {
            let targets = targets(filter.parameter, alternatives, resolver)?;
            reference(key, &targets, parameters)
        }
        Test::ReferenceIdentifier(alternatives) => Condition::member(identified(key, alternatives, parameters)),
        Test::Date(alternatives) => search_range::date(key, alternatives, parameters),
        Test::LastUpdated(alternatives) => Condition::only(search_range::instant("r.last_updated", alternatives, parameters)),
        Test::Number(alternatives) => {
            let values: Vec<String> = alternatives.iter().map(|number| search_range::number(number, parameters)).collect();
            Condition::only(format!("r.pk IN (SELECT x.pk FROM index_number x WHERE x.parameter = {key} AND {})", any(&values)))
        }
        Test::Quantity(alternatives) => {
            let values: Vec<String> = alternatives.iter().map(|one| quantity(one, resolver, parameters)).collect();
            Condition::only(format!("r.pk IN (SELECT x.pk FROM index_number x WHERE x.parameter = {key} AND {})", any(&values)))
        }
        Test::Uri(uris) => {
            let uris = parameters.bind_list(uris.iter().map(|uri| uri.to_string()));
            Condition::member(format!("SELECT x.pk FROM index_uri x WHERE x.parameter = {key} AND x.uri IN ({uris})"))
        }
        Test::UriBelow(uris) => {
            let below: Vec<String> = uris.iter().map(|uri| prefix("x.uri", uri, parameters)).collect();
            Condition::member(format!("SELECT x.pk FROM index_uri x WHERE x.parameter = {key} AND {}", any(&below)))
        }
        Test::UriAbove(uris) => {
            let above = parameters.bind_list(uris.iter().flat_map(|uri| path_prefixes(uri)));
            Condition::member(format!("SELECT x.pk FROM index_uri x WHERE x.parameter = {key} AND x.uri IN ({above})"))
        }
        Test::Pairs(pairs) => {
            let mut one = |filter| condition(filter, resource_type, resolver, parameters);
            let pairs = pairs.iter().map(|[first, second]| Ok([one(first)?, one(second)?]));
            search_composite::pairs(pairs.collect::<Result<_, StoreError>>()?)
        }
        Test::Components(alternatives) => search_composite::components(key, alternatives, resolver, parameters)?,
        Test::Either(filters) => {
            let one = |filter| condition(filter, resource_type, resolver, parameters);
            search_composite::either(&filters.iter().map(one).collect::<Result<Vec<_>, _>>()?)
        }
        Test::Chain(links) => search_chain::chain(key, links, resolver, parameters)?,
        Test::ReverseChain(link) => search_chain::reverse_chain(key, link, resolver, parameters)?,
        Test::Id(ids) => {
            let code = resource_type.code();
            let ids = parameters.bind_list(ids.iter().map(|id| id.as_str().to_owned()));
            Condition::member(format!("SELECT pk FROM locator WHERE type = {code} AND id IN ({ids})"))
        }
    })
}

/// The most values that a test binds for what the query says, whatever is stored.
pub fn values(test: &Test) -> usize {
    match test {
        Test::Missing(_) => 0,
        Test::Token(alternatives) | Test::TokenNot(alternatives) | Test::ReferenceIdentifier(alternatives) => {
            2 * alternatives.len()
        }
        Test::TokenText(texts) | Test::StringStarts(texts) | Test::StringExact(texts) => 2 * texts.len(),
        Test::StringContains(texts) => texts.len(),
        Test::Reference(alternatives) => alternatives.len(),
        Test::Date(alternatives) | Test::LastUpdated(alternatives) => 2 * alternatives.len(),
        Test::Number(alternatives) => 2 * alternatives.len(),
        Test::Quantity(alternatives) => 4 * alternatives.len(),
        Test::Uri(uris) => uris.len(),
        Test::UriBelow(uris) => 2 * uris.len(),
        // Every prefix is bound, so that a long URI with many slashes is many long values.
        Test::UriAbove(uris) => uris.iter().map(|uri| 1 + 2 * uri.matches('/').count() * (1 + uri.len() / LONG_URI)).sum(),
        Test::Id(ids) => ids.len(),
        Test::Pairs(pairs) => pairs.iter().flatten().map(|filter| values(&filter.test)).sum(),
        Test::Components(alternatives) => alternatives.iter().flatten().map(|filter| values(&filter.test)).sum(),
        Test::Either(filters) => filters.iter().map(|filter| values(&filter.test)).sum(),
        Test::Chain(links) => links.iter().map(|link| values(&link.criterion.test)).sum(),
        Test::ReverseChain(link) => values(&link.criterion.test),
    }
}

fn presence(parameter: &SearchParameter, missing: bool) -> Result<Condition, StoreError> {
    if parameter.base.is_none() && matches!(parameter.code, "_id" | "_lastUpdated") {
        // Every stored resource has both.
        return Ok(if missing { Condition::never() } else { Condition::only("1".to_owned()) });
    }
    let key = parameter.key;
    let present = match parameter.parameter_type {
        ParameterType::Date => format!("EXISTS (SELECT 1 FROM index_date x WHERE x.pk = r.pk AND x.parameter = {key})"),
        ParameterType::Reference => format!("EXISTS (SELECT 1 FROM index_reference x WHERE x.pk = r.pk AND x.parameter = {key})"),
        // A concept may have nothing but text.
        ParameterType::Token => {
            format!("({} OR {})", collected("index_token", key.into()), collected("index_string", u32::from(key) + TEXT_OFFSET))
        }
        ParameterType::String => collected("index_string", key.into()),
        ParameterType::Number | ParameterType::Quantity => collected("index_number", key.into()),
        ParameterType::Uri => collected("index_uri", key.into()),
        ParameterType::Composite | ParameterType::Special => {
            return Err(StoreError::NotSupported(format!("':missing' on '{}'", parameter.code)));
        }
    };
    Ok(Condition::only(if missing { format!("NOT {present}") } else { present }))
}

fn collected(table: &str, key: u32) -> String {
    format!("r.pk IN (SELECT x.pk FROM {table} x WHERE x.parameter = {key})")
}

fn token(
    key: u16,
    alternatives: &[TokenMatch],
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Condition, StoreError> {
    // Pairs of code and system, and systems any of whose codes will do.
    let mut pairs: Vec<(i64, i64)> = Vec::new();
    let mut systems: Vec<i64> = Vec::new();
    for TokenMatch { system, code } in alternatives {
        let system = system.as_ref().map(|system| resolver.seal.hash64(system));
        let code = code.as_ref().map(|code| resolver.seal.hash64(&fold_code(code)));
        match (code, system) {
            (Some(code), Some(system)) => pairs.push((code, system)),
            (Some(code), None) => pairs.extend(resolver.systems(key, code)?.into_iter().map(|system| (code, system))),
            (None, Some(system)) => systems.push(system),
            (None, None) => {}
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    if let ([(code, system)], []) = (pairs.as_slice(), systems.as_slice()) {
        let (code, system) = (parameters.bind(*code), parameters.bind(*system));
        let seek = |alias: &str| format!("{alias}.parameter = {key} AND {alias}.code = {code} AND {alias}.system = {system}");
        return Ok(ordered("index_token", seek));
    }
    let mut conditions = Vec::new();
    let mut sets = Vec::new();
    if !pairs.is_empty() {
        let few = pairs.len() <= LOOKED_UP_ALTERNATIVES;
        let mut value = |number: i64| if few { parameters.bind(number) } else { number.to_string() };
        let values: Vec<(String, String)> = pairs.iter().map(|(code, system)| (value(*code), value(*system))).collect();
        let listed: Vec<String> = values.iter().map(|(code, system)| format!("({code}, {system})")).collect();
        let set = format!(
            "SELECT x.pk FROM (VALUES {}) v CROSS JOIN index_token x ON x.parameter = {key} AND x.code = v.column1 AND x.system = v.column2",
            listed.join(", ")
        );
        if few {
            conditions.extend(values.iter().map(|(code, system)| {
                looked_up("index_token", &format!("x.parameter = {key} AND x.code = {code} AND x.system = {system}"))
            }));
        } else {
            conditions.push(format!("r.pk IN ({set})"));
        }
        sets.push(set);
    }
    if !systems.is_empty() {
        let systems = parameters.bind_list(systems);
        let set = format!("SELECT x.pk FROM index_token x WHERE x.parameter = {key} AND x.system IN ({systems})");
        conditions.push(format!("r.pk IN ({set})"));
        sets.push(set);
    }
    if sets.is_empty() {
        return Ok(Condition::never());
    }
    Ok(Condition { sql: any(&conditions), route: Some(Route::Set(sets.join(" UNION ALL "))) })
}

/// The resource's own row under a key that ends in (neg_time, pk): one seek.
fn looked_up(table: &str, seek: &str) -> String {
    format!("EXISTS (SELECT 1 FROM {table} x WHERE {seek} AND x.neg_time = r.neg_time AND x.pk = r.pk)")
}

fn ordered(table: &'static str, seek: impl Fn(&str) -> String) -> Condition {
    Condition { sql: looked_up(table, &seek("x")), route: Some(Route::Ordered { table, seek: seek("d") }) }
}

/// The locators that a reference criterion means, ascending; those that do not exist are left out.
pub fn targets(
    parameter: &SearchParameter,
    alternatives: &[ReferenceMatch],
    resolver: &Resolver<'_>,
) -> Result<Vec<i64>, StoreError> {
    let mut targets = Vec::new();
    for alternative in alternatives {
        match alternative {
            ReferenceMatch::Exact(reference) => targets.extend(locator::find_reference(resolver.connection, reference)?),
            ReferenceMatch::AnyType(id) => targets.extend(of_any_type(parameter, id, resolver)?),
        }
    }
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

fn of_any_type(parameter: &SearchParameter, id: &LogicalId, resolver: &Resolver<'_>) -> Result<Vec<i64>, StoreError> {
    let found = |resource_type: ResourceType| locator::find(resolver.connection, resource_type, id.as_str()).transpose();
    if parameter.targets.is_empty() {
        ResourceType::all().filter_map(found).collect()
    } else {
        parameter.targets.iter().copied().filter_map(found).collect()
    }
}

fn reference(key: u16, targets: &[i64], parameters: &mut Parameters) -> Condition {
    match targets {
        [] => Condition::never(),
        [target] => {
            let target = parameters.bind(*target);
            ordered("index_reference", |alias| format!("{alias}.parameter = {key} AND {alias}.target = {target}"))
        }
        several => {
            let few = several.len() <= LOOKED_UP_ALTERNATIVES;
            let value = |target: &i64| if few { parameters.bind(*target) } else { target.to_string() };
            let list = several.iter().map(value).collect::<Vec<_>>().join(", ");
            let set = format!("SELECT x.pk FROM index_reference x WHERE x.parameter = {key} AND x.target IN ({list})");
            let sql = format!(
                "EXISTS (SELECT 1 FROM index_reference x WHERE x.pk = r.pk AND x.parameter = {key} AND x.target IN ({list}))"
            );
            Condition { sql, route: Some(Route::Set(set)) }
        }
    }
}

/// References by identifier. A locator's text is `system|value`, and a system (a URI) has no `|`.
fn identified(key: u16, alternatives: &[TokenMatch], parameters: &mut Parameters) -> String {
    let one = |TokenMatch { system, code }: &TokenMatch| match (system, code) {
        (Some(system), Some(value)) => format!("id = {}", parameters.bind(format!("{system}|{value}"))),
        (Some(system), None) => prefix("id", &format!("{system}|"), parameters),
        (None, Some(value)) => format!("substr(id, instr(id, '|') + 1) = {}", parameters.bind(value.to_string())),
        (None, None) => "0".to_owned(),
    };
    let identifiers: Vec<String> = alternatives.iter().map(one).collect();
    format!(
        "SELECT x.pk FROM index_reference x WHERE x.parameter = {key} \
         AND x.target IN (SELECT pk FROM locator WHERE type = {IDENTIFIER} AND {})",
        any(&identifiers)
    )
}

fn starting(key: u32, texts: &[Box<str>], parameters: &mut Parameters) -> Condition {
    let ranges: Vec<String> = texts.iter().map(|text| prefix("x.normalised", text, parameters)).collect();
    Condition::member(format!("SELECT x.pk FROM index_string x WHERE x.parameter = {key} AND {}", any(&ranges)))
}

fn containing(key: u16, texts: &[Box<str>], parameters: &mut Parameters) -> String {
    let parts: Vec<String> =
        texts.iter().map(|text| format!("instr(x.normalised, {}) > 0", parameters.bind(text.to_string()))).collect();
    format!("SELECT x.pk FROM index_string x WHERE x.parameter = {key} AND {}", any(&parts))
}

fn exact(key: u16, texts: &[Box<str>], parameters: &mut Parameters) -> String {
    let mut equal = |text: &str| {
        let (normalised, exact) = (parameters.bind(normalise(text)), parameters.bind(text.to_owned()));
        format!("(x.normalised = {normalised} AND x.exact = {exact})")
    };
    let equals: Vec<String> = texts.iter().map(|text| equal(text)).collect();
    format!("SELECT x.pk FROM index_string x WHERE x.parameter = {key} AND {}", any(&equals))
}

/// Texts that start with `text`, as a range of the index: no pattern, so that nothing in the text has a meaning.
pub(super) fn prefix(column: &str, text: &str, parameters: &mut Parameters) -> String {
    let low = parameters.bind(text.to_owned());
    match after(text) {
        Some(end) => format!("({column} >= {low} AND {column} < {})", parameters.bind(end)),
        None => format!("{column} >= {low}"),
    }
}

/// The least text that is greater than every text with this prefix, in the order of code points (which is that of UTF-8 bytes).
fn after(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// A URI and every prefix of it that ends before or after a slash.
fn path_prefixes(uri: &str) -> Vec<String> {
    let slashes = uri.match_indices('/').flat_map(|(position, _)| [uri.get(..position), uri.get(..=position)]);
    let mut prefixes: Vec<String> =
        slashes.chain([Some(uri)]).flatten().filter(|part| !part.is_empty()).map(str::to_owned).collect();
    prefixes.dedup();
    prefixes
}

/// A stored quantity (a row `x` with the columns of `index_number`) against the quantity of the query.
pub(super) fn quantity(quantity: &QuantityMatch, resolver: &Resolver<'_>, parameters: &mut Parameters) -> String {
    let mut conditions = vec![search_range::number(&quantity.number, parameters)];
    let hash = |text: &str| resolver.seal.hash64(text);
    if let Some(system) = &quantity.system {
        conditions.push(format!("x.system = {}", parameters.bind(hash(system))));
    }
    if let Some(code) = &quantity.code {
        let code = parameters.bind(hash(code));
        // "number||code": a code or a unit as people write it (https://hl7.org/fhir/R4/search.html#quantity).
        let with_unit = format!("(x.code = {code} OR x.unit = {code})");
        conditions.push(if quantity.system.is_some() { format!("x.code = {code}") } else { with_unit });
    }
    super::parameters::all(&conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_least_text_after_all_that_start_with_it() {
        for (prefix, expected) in [
            ("a", Some("b")),
            ("az", Some("a{")),
            ("\u{D7FF}", Some("\u{E000}")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(after(prefix).as_deref(), expected, "{prefix:?}");
        }
    }

    #[test]
    fn a_long_uri_of_many_slashes_counts_as_many_values() {
        let values = |uri: String| values(&Test::UriAbove(vec![uri.into()]));
        assert_eq!(values("http://example.org/a".to_owned()), 7);
        assert!(values("/".repeat(2_000)) > 20_000);
    }

    #[test]
    fn path_prefixes_end_at_slashes() {
        assert_eq!(path_prefixes("http://a/b"), ["http:", "http:/", "http://", "http://a", "http://a/", "http://a/b"]);
        assert_eq!(path_prefixes("urn:x"), ["urn:x"]);
    }
}
