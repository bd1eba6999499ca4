//! The one place where a search becomes SQL. It cannot be called without the constraint.
//!
//! A search is one statement: a way to candidates (an index that is as selective as possible, or one that is already in order), the criteria, the
//! access constraint, the place after which the page begins, an order and a limit. The constraint stands beside the criteria, before
//! the limit: what it hides takes no place on a page and counts in no total.

use portcullis_fhir::reference::Reference;
use portcullis_fhir::search::{Filter, ReferenceMatch, SearchQuery, Test};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;
use portcullis_policy::constraint::Sources;
use portcullis_policy::{Boundary, Constraint, Visibility};
use portcullis_store::StoreError;

use super::cursor::Position;
use super::database::store_error;
use super::parameters::{Parameters, all};
use super::read::COLUMNS;
use super::search_filter::{self, Condition, Resolver, Route};
use super::sort::Order;
use super::visibility;

/// Candidates that are counted to compare routes; from here on a route counts as long.
const COUNTED_CANDIDATES: i64 = 1000;
/// The most values of a query that one statement binds. SQLite has room for 32,766; the rest is for the constraint and for what the criteria find.
const MAXIMUM_VALUES: usize = 5_000;

/// What the statement of a page delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRows {
    /// The columns of [`COLUMNS`] and an integer, without end, in the order of that integer. Rows that have the same come in any order; their place is
    /// that of their ids.
    InOrderOfIndex,
    /// `pk` and the columns of the position, in order, as many as are needed.
    Sorted,
}

/// The statements of one search.
#[derive(Debug)]
pub struct SearchStatements {
    /// The values of both.
    pub parameters: Parameters,
    /// The rows of a page: one row more than the page has says that there is another page.
    pub page: String,
    /// What these rows are.
    pub rows: PageRows,
    /// How many columns a position has.
    pub width: usize,
    /// The tables of all rows of all pages.
    candidates: String,
    /// What holds for these rows.
    condition: String,
}

impl SearchStatements {
    /// For a search that finds nothing whatever is stored: SQLite would not accept a named index for it.
    fn nothing() -> Self {
        let page = "SELECT 0 WHERE 0".to_owned();
        let (candidates, condition) = ("(SELECT 0)".to_owned(), "0".to_owned());
        Self { parameters: Parameters::default(), page, rows: PageRows::Sorted, width: 0, candidates, condition }
    }

    /// The number of all rows of all pages.
    pub fn count(&self) -> String {
        let condition = if off!("total") { "r.deleted = 0" } else { &self.condition };
        format!("SELECT count(*) FROM {} WHERE {condition}", self.candidates)
    }
}

/// Turns a search into statements that produce nothing but what the constraint shows.
pub fn compile(query: &SearchQuery, resolver: &Resolver<'_>, after: Option<&Position>) -> Result<SearchStatements, StoreError> {
    let (resource_type, constraint) = (query.resource_type, resolver.constraint);
    let mut parameters = Parameters::default();
    let visible = visibility::predicate(constraint, resource_type, constraint.letter(), "r", &mut parameters);
    // Counted in the query and not in the statement: how many values that binds depends on what is stored.
    if query.filters.iter().map(|filter| search_filter::values(&filter.test)).sum::<usize>() > MAXIMUM_VALUES {
        return Err(StoreError::NotSupported("so many alternatives in one search".to_owned()));
    }
    let conditions =
        query.filters.iter().map(|filter| search_filter::condition(filter, resource_type, resolver, &mut parameters));
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    // An order that is not supported is refused before the answer is known to be empty: that may depend on what is hidden.
    let order = |time| Order::new(resource_type, &query.sort, time);
    order("r.neg_time")?;
    if visible == "0" || conditions.iter().any(|condition| condition.sql == "0") {
        return Ok(SearchStatements::nothing());
    }
    let chosen = choose(query, &conditions, resolver, &mut parameters)?;
    let visible = if off!("search") { "1".to_owned() } else { visible };
    let current = if off!("deleted") { "1" } else { "r.deleted = 0" };
    let mut terms = vec![format!("r.type = {} AND {current}", resource_type.code())];
    // What the route leads to fulfils its criterion already.
    let remaining = conditions.iter().enumerate().filter(|(position, _)| chosen.criterion != Some(*position));
    terms.extend(remaining.map(|(_, condition)| condition.sql.clone()));
    terms.push(visible);

    let candidates = chosen.from(query, &mut terms);
    let order = order(chosen.time_column())?;
    let condition = all(&terms);
    let later = match after {
        None => None,
        Some(position) => Some(all(&[condition.clone(), order.after(position, &mut parameters)?])),
    };
    let shown = later.as_ref().unwrap_or(&condition);
    // Whole rows go through no sort: an index has the order, and who reads them puts ties in order.
    if let Some(column) = chosen.indexed_column(query).filter(|column| order.is_by(column)) {
        let page = format!(
            "SELECT {COLUMNS}, {column} FROM {candidates} CROSS JOIN locator l ON l.pk = r.pk WHERE {shown} ORDER BY {}",
            order.first_term()
        );
        let (rows, width) = (PageRows::InOrderOfIndex, order.width());
        return Ok(SearchStatements { parameters, page, rows, width, candidates, condition });
    }
    let limit = parameters.bind(i64::from(query.count) + 1);
    let page = format!(
        "SELECT r.pk, {} FROM {candidates} CROSS JOIN locator l ON l.pk = r.pk{} WHERE {shown} ORDER BY {} LIMIT {limit}",
        order.columns(),
        order.joins(),
        order.terms()
    );
    Ok(SearchStatements { parameters, page, rows: PageRows::Sorted, width: order.width(), candidates, condition })
}

/// The way that was chosen to the candidates.
struct Chosen {
    /// `None`: every resource of the type, in the order that is asked for where an index has it.
    route: Option<Route>,
    /// The criterion that the route fulfils.
    criterion: Option<usize>,
}

impl Chosen {
    fn time_column(&self) -> &'static str {
        if matches!(self.route, Some(Route::Ordered { .. })) { "d.neg_time" } else { "r.neg_time" }
    }

    /// The column by which the route delivers its rows in order.
    fn indexed_column(&self, query: &SearchQuery) -> Option<&'static str> {
        match &self.route {
            Some(Route::Ordered { .. }) => Some("d.neg_time"),
            Some(Route::Set(_)) => None,
            None if is_by_change(query) => Some("r.last_updated"),
            None => Some("r.neg_time"),
        }
    }

    /// The tables up to `r`; a route's own condition is added to the terms. `CROSS JOIN` fixes the order of the loops.
    fn from(&self, query: &SearchQuery, terms: &mut Vec<String>) -> String {
        match &self.route {
            Some(Route::Ordered { table, seek }) => {
                terms.push(seek.clone());
                format!("{table} d CROSS JOIN resource r ON r.pk = d.pk")
            }
            Some(Route::Set(set)) => format!("(SELECT DISTINCT pk FROM ({set})) d CROSS JOIN resource r ON r.pk = d.pk"),
            None => format!("resource r INDEXED BY {}", if is_by_change(query) { "resource_updated" } else { "resource_newest" }),
        }
    }
}

fn is_by_change(query: &SearchQuery) -> bool {
    query.sort.first().is_some_and(|key| key.parameter.base.is_none() && key.parameter.code == "_lastUpdated")
}

/// Chooses among the criteria and the boundary the way with the fewest candidates.
fn choose(
    query: &SearchQuery,
    conditions: &[Condition],
    resolver: &Resolver<'_>,
    parameters: &mut Parameters,
) -> Result<Chosen, StoreError> {
    let criteria =
        conditions.iter().enumerate().filter_map(|(position, condition)| Some((Some(position), condition.route.clone()?)));
    let mut routes: Vec<(Option<usize>, Route)> = criteria.collect();
    if let Some(route) = boundary_route(query, resolver.constraint, parameters)
        .filter(|_| !off!("own-patients") && !off!("care") && !off!("search"))
    {
        routes.push((None, route));
    }
    if let [(criterion, route @ Route::Ordered { .. })] = routes.as_slice() {
        return Ok(Chosen { route: Some(route.clone()), criterion: *criterion });
    }
    // The records of one patient are the likeliest to be few, and no other way is counted further than the shortest so far.
    routes.sort_by_key(|(criterion, _)| !criterion.is_some_and(|position| is_of_one_patient(query, position)));
    let (mut fewest, mut best) = (COUNTED_CANDIDATES, None);
    for (position, (_, route)) in routes.iter().enumerate() {
        let candidates = count_candidates(route, fewest, resolver, parameters)?;
        if candidates < fewest {
            (fewest, best) = (candidates, Some(position));
        }
    }
    // Where every way is long, one that is in order needs no sort and can stop early.
    let in_order = || routes.iter().position(|(_, route)| matches!(route, Route::Ordered { .. }));
    let position = best.or_else(in_order);
    let chosen = position.and_then(|position| routes.into_iter().nth(position));
    Ok(chosen.map_or(Chosen { route: None, criterion: None }, |(criterion, route)| Chosen { route: Some(route), criterion }))
}

/// The candidates of a route, as far as there are fewer than `most`.
fn count_candidates(route: &Route, most: i64, resolver: &Resolver<'_>, parameters: &Parameters) -> Result<i64, StoreError> {
    // A power of two: the statements that are kept prepared stay few.
    let most = u64::try_from(most).unwrap_or_default().next_power_of_two();
    let candidates = match route {
        Route::Ordered { table, seek } => format!("SELECT 1 FROM {table} d WHERE {seek} LIMIT {most}"),
        Route::Set(set) => format!("SELECT 1 FROM ({set}) LIMIT {most}"),
    };
    parameters.integer(resolver.connection, &format!("SELECT count(*) FROM ({candidates})")).map_err(store_error)
}

/// The way through the boundary, where there is only one and it is bounded.
fn boundary_route(query: &SearchQuery, constraint: &Constraint, parameters: &mut Parameters) -> Option<Route> {
    let ways = visibility::ways(constraint, query.resource_type, constraint.letter());
    // A way to candidates may lead to more than is shown.
    match ways.iter().map(Visibility::unqualified).collect::<Vec<_>>().as_slice() {
        [Visibility::Compartment(Boundary::Patients(patients))] if names_patient(query, patients.items()) => None,
        // Everybody in somebody's care is more than one of them.
        [Visibility::Compartment(Boundary::CareRelationship(_) | Boundary::PatientsInCare(..))] if names_one_patient(query) => {
            None
        }
        [Visibility::Compartment(boundary)] => compartment_route(boundary, query.resource_type, parameters),
        [Visibility::ReferencedFrom { boundary, sources }] => referenced_route(boundary, sources, parameters),
        // A Device: somebody's, or shared.
        [Visibility::Compartment(own), Visibility::ReferencedFrom { boundary, sources }] if own == boundary => {
            let Some(Route::Set(shared)) = referenced_route(boundary, sources, parameters) else { return None };
            let inside = compartment_members(boundary, query.resource_type, parameters)?;
            Some(Route::Set(format!("{inside} UNION ALL {shared}")))
        }
        _ => None,
    }
}

/// Whether a criterion already leads to the records of the only patient: then the compartment would be the same way again.
fn names_patient(query: &SearchQuery, patients: &[LogicalId]) -> bool {
    let [patient] = patients else { return false };
    query.filters.iter().any(|filter| patient_of(filter) == Some(patient))
}

fn names_one_patient(query: &SearchQuery) -> bool {
    query.filters.iter().any(|filter| patient_of(filter).is_some())
}

fn is_of_one_patient(query: &SearchQuery, position: usize) -> bool {
    query.filters.get(position).is_some_and(|filter| patient_of(filter).is_some())
}

/// The patient whom a criterion asks for, where that is one.
fn patient_of(filter: &Filter) -> Option<&LogicalId> {
    let Test::Reference(alternatives) = &filter.test else { return None };
    match alternatives.as_slice() {
        [ReferenceMatch::Exact(Reference::Local(local))] if local.resource_type == ResourceType::PATIENT => Some(&local.id),
        _ => None,
    }
}

fn compartment_route(boundary: &Boundary, resource_type: ResourceType, parameters: &mut Parameters) -> Option<Route> {
    let code = resource_type.code();
    if let Boundary::Patients(patients) = boundary
        && patients.items().len() == 1
    {
        let inside = visibility::within(boundary, "d.patient", parameters);
        return Some(Route::Ordered { table: "compartment", seek: format!("{inside} AND d.type = {code}") });
    }
    compartment_members(boundary, resource_type, parameters).map(Route::Set)
}

fn compartment_members(boundary: &Boundary, resource_type: ResourceType, parameters: &mut Parameters) -> Option<String> {
    let patients = visibility::patients_of(boundary, parameters)?;
    let code = resource_type.code();
    Some(format!("SELECT c.pk FROM compartment c WHERE c.type = {code} AND c.patient IN ({patients})"))
}

fn referenced_route(boundary: &Boundary, sources: &Sources<'_>, parameters: &mut Parameters) -> Option<Route> {
    match boundary {
        Boundary::Patients(_) | Boundary::PatientsInCare(..) => {
            Some(Route::Set(visibility::referenced_from(boundary, sources, parameters)))
        }
        Boundary::CareRelationship(_) | Boundary::Related(..) | Boundary::Itself(_) | Boundary::Whole => None,
    }
}
