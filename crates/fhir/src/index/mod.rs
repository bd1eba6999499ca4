//! What search finds a resource by: the values that its search parameters extract.
//!
//! <https://hl7.org/fhir/R4/search.html>. `_id` and `_lastUpdated` are columns of a store and are not extracted. Composites extract the components of each
//! element, unless they consist of other parameters. Parameters of type `special` extract nothing, and neither does a `SampledData` (it has no one value). Nothing is looked up in terminologies: the system of
//! a plain `code` is the one that its required binding implies, where that is exactly one.

mod composite;
mod decimal;
mod normalise;
mod references;
mod values;

use std::cmp::Ordering;
use std::sync::{LazyLock, OnceLock};

use crate::definitions::{ParameterType, SearchParameter, search_parameters};
use crate::json::Value;
use crate::path::Path;
use crate::reference::Reference;
use crate::resource::Resource;
use crate::types::ResourceType;

pub use decimal::{ImpliedRange, implied_range};
pub use normalise::{fold_code, normalise};
pub use references::references;

/// One value that one search parameter extracted from one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    /// The parameter that extracted it.
    pub parameter: &'static SearchParameter,
    /// The value in the form that the parameter's type compares.
    pub value: IndexValue,
}

/// A value in the form that search compares.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexValue {
    /// `token`: a code in a system, with the text that `:text` searches.
    Token {
        /// Empty where the element has none.
        system: Box<str>,
        /// Empty where the element is text only.
        code: Box<str>,
        /// Normalised display, text or type; empty where there is none.
        text: Box<str>,
    },
    /// `string`
    String {
        /// Lower case, accents and punctuation folded, see [`normalise`].
        normalised: Box<str>,
        /// As written, for `:exact`.
        exact: Box<str>,
    },
    /// `reference`, also a canonical.
    Reference(Reference),
    /// `date`: the instant range `[low, high)` in milliseconds since the epoch, UTC. An open end of a period is
    /// [`MINIMUM`](crate::instant::MINIMUM) or [`MAXIMUM`](crate::instant::MAXIMUM).
    Date {
        /// The first millisecond.
        low: i64,
        /// The first millisecond after.
        high: i64,
    },
    /// `number`: the value with the half-open range of its implied precision.
    Number {
        /// As written.
        value: f64,
        /// The low end, inclusive.
        low: f64,
        /// The high end, exclusive.
        high: f64,
    },
    /// `quantity`: the number with unit. An open end (of a range, or because of a comparator) is [`f64::MIN`] or [`f64::MAX`].
    Quantity {
        /// As written; of a range the end that it has, the low one first.
        value: f64,
        /// The low end, inclusive.
        low: f64,
        /// The high end, exclusive.
        high: f64,
        /// The system of the unit's code; empty where it has none.
        system: Box<str>,
        /// The unit's code, of money the currency; empty where it has none.
        code: Box<str>,
        /// The unit for people; empty where it has none.
        unit: Box<str>,
    },
    /// `uri`, as written.
    Uri(Box<str>),
    /// `composite` over elements: a value of one component in one element that has values of all of them.
    Component {
        /// The element, numbered within the composite's expression.
        element: u32,
        /// The component, in the order of the composite.
        component: u8,
        /// In the form that the component's own parameter compares; never a `Component`.
        value: Box<IndexValue>,
    },
}

/// The compiled parameters of each type, by the type's code; compiled when the first resource of the type is indexed.
static COMPILED: LazyLock<Vec<OnceLock<Vec<Compiled>>>> =
    LazyLock::new(|| ResourceType::all().map(|_| OnceLock::new()).collect());

struct Compiled {
    parameter: &'static SearchParameter,
    path: Path,
    /// The members of a resource at which the path begins; `None`: it may look at any.
    members: Option<Vec<Box<str>>>,
}

/// The members at which a path begins.
fn first_members(path: &Path) -> Option<Vec<Box<str>>> {
    let mut members: Vec<Box<str>> = Vec::new();
    for route in path.routes() {
        members.extend(route.first()?.iter().map(|member| Box::from(*member)));
    }
    Some(members)
}

fn compiled(resource_type: ResourceType) -> &'static [Compiled] {
    let compile = || {
        search_parameters(resource_type)
            .iter()
            .filter(|parameter| !matches!(parameter.parameter_type, ParameterType::Composite | ParameterType::Special))
            .filter(|parameter| !matches!(parameter.code, "_id" | "_lastUpdated"))
            // A test compiles every expression of the table, so none is lost here.
            .filter_map(|parameter| {
                let path = Path::compile(parameter.expression, resource_type).ok()?;
                let members = first_members(&path);
                Some(Compiled { parameter, path, members })
            })
            .collect()
    };
    COMPILED.get(usize::from(resource_type.code())).map_or(&[], |cell| cell.get_or_init(compile))
}

/// The most values that may be extracted from one resource. A List of ten thousand items has some ten thousand.
pub const MAXIMUM_ENTRIES: usize = 50_000;

/// Names of date parameters, from the one that best says when something happened.
pub const CLINICAL_TIME: &[&str] = &[
    "date",
    "period",
    "effective",
    "effective-time",
    "occurrence",
    "service-date",
    "service-start-date",
    "onset-date",
    "recorded-date",
    "authored",
    "authoredon",
    "authored-on",
    "recorded",
    "created",
    "started",
    "sent",
    "issued",
    "whenprepared",
    "whenhandedover",
    "start-date",
    "onset",
];

/// The values that every search parameter of the type extracts, each once; `base_url` is the server's own base, without a slash at the end.
///
/// A resource with more than [`MAXIMUM_ENTRIES`] (or twice as many before repeated ones are removed) gives more than that, and not all: it cannot be
/// stored.
pub fn extract(resource: &Resource, base_url: &str) -> Vec<IndexEntry> {
    let mut entries = Vec::with_capacity(32);
    for compiled in compiled(resource.resource_type()) {
        compiled.extract((resource.body(), resource.resource_type()), base_url, &mut entries);
        if entries.len() > 2 * MAXIMUM_ENTRIES {
            return entries;
        }
    }
    composite::extract(resource, base_url, &mut entries);
    entries
}

/// The values that some search parameters extract from the tree of a stored resource of this type: what [`extract`] gives for these parameters, without
/// a check of the whole resource. `wanted` is asked for each parameter that is no composite.
pub fn extract_some(
    (body, resource_type): (&Value, ResourceType),
    base_url: &str,
    wanted: impl Fn(&SearchParameter) -> bool,
) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    for compiled in compiled(resource_type).iter().filter(|compiled| wanted(compiled.parameter)) {
        compiled.extract((body, resource_type), base_url, &mut entries);
    }
    entries
}

/// A condition on the name of a member of a resource of this type: whether [`extract_some`] may look at it for these parameters. What says of the resource
/// what it is, and what it contains, is always looked at.
pub fn looks_at(resource_type: ResourceType, wanted: impl Fn(&SearchParameter) -> bool) -> impl Fn(&str) -> bool {
    let compiled: Vec<&Compiled> = compiled(resource_type).iter().filter(|compiled| wanted(compiled.parameter)).collect();
    move |name| {
        // Beside a primitive stand its extensions.
        let element = name.strip_prefix('_').unwrap_or(name);
        let begins = |compiled: &&Compiled| {
            compiled.members.as_ref().is_none_or(|members| members.iter().any(|member| **member == *element))
        };
        matches!(element, "resourceType" | "id" | "meta" | "contained") || compiled.iter().any(begins)
    }
}

impl Compiled {
    /// Adds the parameter's values, each once.
    fn extract(&self, (body, resource_type): (&Value, ResourceType), base_url: &str, entries: &mut Vec<IndexEntry>) {
        let (start, parameter) = (entries.len(), self.parameter);
        self.path.evaluate(body, resource_type, &mut |node| {
            if entries.len() > 2 * MAXIMUM_ENTRIES {
                return;
            }
            values::extract(parameter.parameter_type, node, base_url, &mut |value| entries.push(IndexEntry { parameter, value }));
        });
        if entries.len() <= 2 * MAXIMUM_ENTRIES {
            remove_repeated(entries, start);
        }
    }
}

/// Whether composites of this type extract values of their own.
pub fn has_composites_over_elements(resource_type: ResourceType) -> bool {
    !composite::compiled(resource_type).is_empty()
}

/// Leaves each value once among the entries from `start` on.
fn remove_repeated(entries: &mut Vec<IndexEntry>, start: usize) {
    if entries.len() < start + 2 {
        return;
    }
    let mut own = entries.split_off(start);
    own.sort_by(|left, right| order(&left.value, &right.value));
    own.dedup_by(|left, right| order(&left.value, &right.value) == Ordering::Equal);
    entries.append(&mut own);
}

/// A total order of values of one kind.
fn order(left: &IndexValue, right: &IndexValue) -> Ordering {
    use IndexValue::{Component, Date, Number, Quantity, String, Token, Uri};
    match (left, right) {
        (Token { system: a, code: b, text: c }, Token { system: x, code: y, text: z }) => (a, b, c).cmp(&(x, y, z)),
        (String { normalised: a, exact: b }, String { normalised: x, exact: y }) => (a, b).cmp(&(x, y)),
        (IndexValue::Reference(a), IndexValue::Reference(x)) => a.cmp(x),
        (Date { low: a, high: b }, Date { low: x, high: y }) => (a, b).cmp(&(x, y)),
        (Number { value: a, low: b, high: c }, Number { value: x, low: y, high: z }) => order_numbers([*a, *b, *c], [*x, *y, *z]),
        (
            Quantity { value: a, low: b, high: c, system, code, unit },
            Quantity { value: x, low: y, high: z, system: other_system, code: other_code, unit: other_unit },
        ) => order_numbers([*a, *b, *c], [*x, *y, *z])
            .then_with(|| (system, code, unit).cmp(&(other_system, other_code, other_unit))),
        (Uri(a), Uri(x)) => a.cmp(x),
        (Component { element: a, component: b, value }, Component { element: x, component: y, value: other }) => {
            (a, b).cmp(&(x, y)).then_with(|| order(value, other))
        }
        // One parameter's values are of one kind.
        _ => Ordering::Less,
    }
}

fn order_numbers(left: [f64; 3], right: [f64; 3]) -> Ordering {
    left.iter().zip(&right).map(|(a, b)| a.total_cmp(b)).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests;
