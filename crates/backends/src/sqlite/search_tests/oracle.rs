//! What a search should find, by looking at every resource: slow, and without SQL.

use std::cmp::Ordering;

use portcullis_fhir::definitions::SearchParameter;
use portcullis_fhir::index::{IndexValue, normalise};
use portcullis_fhir::reference::Reference;
use portcullis_fhir::search::{DateMatch, Filter, NumberMatch, Prefix, ReferenceMatch, SearchQuery, Test, TokenMatch};
use portcullis_fhir::version::NewVersion;

use super::super::rows::neg_time;

/// `Type/id` of what a query finds among these visible versions, in order.
pub fn find(query: &SearchQuery, visible: &[&NewVersion]) -> Vec<String> {
    let of_type = visible.iter().filter(|version| version.resource_type == query.resource_type);
    let mut found: Vec<&NewVersion> =
        of_type.copied().filter(|version| query.filters.iter().all(|filter| holds(filter, version, visible))).collect();
    found.sort_by(|left, right| compare(query, left, right));
    found.iter().map(|version| format!("{}/{}", version.resource_type, version.id)).collect()
}

fn holds(filter: &Filter, version: &NewVersion, visible: &[&NewVersion]) -> bool {
    let values = values(filter.parameter, version);
    let some = |test: &dyn Fn(&IndexValue) -> bool| values.iter().any(|value| test(value));
    let texts = |texts: &[Box<str>], test: &dyn Fn(&str, &str, &str) -> bool| {
        some(&|value| match value {
            IndexValue::String { normalised, exact } => texts.iter().any(|text| test(normalised, exact, text)),
            _ => false,
        })
    };
    let uris = |uris: &[Box<str>], test: &dyn Fn(&str, &str) -> bool| {
        some(&|value| match value {
            IndexValue::Uri(uri) => uris.iter().any(|asked| test(uri, asked)),
            _ => false,
        })
    };
    match &filter.test {
        Test::Missing(missing) if matches!(filter.parameter.code, "_id" | "_lastUpdated") => !missing,
        Test::Missing(missing) => values.is_empty() == *missing,
        Test::Token(alternatives) => some(&|value| alternatives.iter().any(|asked| token(value, asked))),
        Test::TokenNot(alternatives) => !some(&|value| alternatives.iter().any(|asked| token(value, asked))),
        Test::TokenText(asked) => some(&|value| match value {
            IndexValue::Token { text, .. } => asked.iter().any(|asked| text.starts_with(&**asked)),
            _ => false,
        }),
        Test::StringStarts(asked) => texts(asked, &|normalised, _, asked| normalised.starts_with(asked)),
        Test::StringContains(asked) => texts(asked, &|normalised, _, asked| normalised.contains(asked)),
        Test::StringExact(asked) => texts(asked, &|_, exact, asked| exact == asked),
        Test::Reference(alternatives) => {
            some(&|value| alternatives.iter().any(|asked| reference(filter.parameter, value, asked)))
        }
        Test::ReferenceIdentifier(alternatives) => some(&|value| match value {
            IndexValue::Reference(Reference::Identifier { system, value }) => alternatives.iter().any(|asked| {
                asked.system.as_ref().is_none_or(|asked| asked == system)
                    && asked.code.as_ref().is_none_or(|asked| asked == value)
            }),
            _ => false,
        }),
        Test::Date(alternatives) => some(&|value| match value {
            IndexValue::Date { low, high } => alternatives.iter().any(|asked| date(*low, *high, asked)),
            _ => false,
        }),
        Test::LastUpdated(alternatives) => {
            alternatives.iter().any(|asked| date(version.last_updated, version.last_updated + 1, asked))
        }
        Test::Number(alternatives) => some(&|value| match value {
            IndexValue::Number { value, low, high } => alternatives.iter().any(|asked| number([*value, *low, *high], asked)),
            _ => false,
        }),
        Test::Quantity(alternatives) => some(&|stored| match stored {
            IndexValue::Quantity { value, low, high, system, code, unit } => alternatives.iter().any(|asked| {
                number([*value, *low, *high], &asked.number)
                    && asked.system.as_ref().is_none_or(|asked| asked == system)
                    && asked.code.as_ref().is_none_or(|wanted| wanted == code || (asked.system.is_none() && wanted == unit))
            }),
            _ => false,
        }),
        Test::Uri(asked) => uris(asked, &|uri, asked| uri == asked),
        Test::UriBelow(asked) => uris(asked, &|uri, asked| uri.starts_with(asked)),
        Test::UriAbove(asked) => uris(asked, &|uri, asked| {
            asked == uri || asked.strip_prefix(uri).is_some_and(|rest| uri.ends_with('/') || rest.starts_with('/'))
        }),
        Test::Id(ids) => ids.contains(&version.id),
        Test::Pairs(pairs) => pairs.iter().any(|pair| pair.iter().all(|filter| holds(filter, version, visible))),
        Test::Either(filters) => filters.iter().any(|filter| holds(filter, version, visible)),
        Test::Chain(links) => links.iter().any(|link| {
            let mut reached = visible.iter().filter(|other| refers(filter.parameter, version, other));
            reached.any(|other| other.resource_type == link.resource_type && holds(&link.criterion, other, visible))
        }),
        Test::ReverseChain(link) => visible.iter().any(|other| {
            other.resource_type == link.resource_type
                && refers(filter.parameter, other, version)
                && holds(&link.criterion, other, visible)
        }),
        // `composites` has an oracle of its own, which reads elements.
        Test::Components(_) => panic!("composites over elements are not asked here"),
    }
}

/// Whether one version refers to the resource of another by a parameter.
fn refers(parameter: &SearchParameter, from: &NewVersion, to: &NewVersion) -> bool {
    values(parameter, from).iter().any(|value| match value {
        IndexValue::Reference(Reference::Local(local)) => local.resource_type == to.resource_type && local.id == to.id,
        _ => false,
    })
}

fn values<'v>(parameter: &SearchParameter, version: &'v NewVersion) -> Vec<&'v IndexValue> {
    version.entries.iter().filter(|entry| entry.parameter == parameter).map(|entry| &entry.value).collect()
}

fn token(value: &IndexValue, asked: &TokenMatch) -> bool {
    let IndexValue::Token { system, code, .. } = value else { return false };
    if system.is_empty() && code.is_empty() {
        return false;
    }
    asked.system.as_ref().is_none_or(|asked| asked == system)
        && asked.code.as_ref().is_none_or(|asked| asked.to_lowercase() == code.to_lowercase())
}

fn reference(parameter: &SearchParameter, value: &IndexValue, asked: &ReferenceMatch) -> bool {
    let IndexValue::Reference(stored) = value else { return false };
    match (asked, stored) {
        (ReferenceMatch::Exact(asked), stored) => asked == stored,
        (ReferenceMatch::AnyType(id), Reference::Local(local)) => {
            local.id == *id && (parameter.targets.is_empty() || parameter.targets.contains(&local.resource_type))
        }
        _ => false,
    }
}

/// The table of <https://hl7.org/fhir/R4/search.html#prefix>, in its own words.
fn date(low: i64, high: i64, asked: &DateMatch) -> bool {
    let contains_target = asked.low <= low && high <= asked.high;
    let above_intersects = high > asked.high;
    let below_intersects = low < asked.low;
    match asked.prefix {
        Prefix::Eq => contains_target,
        Prefix::Ne => !contains_target,
        Prefix::Gt => above_intersects,
        Prefix::Lt => below_intersects,
        Prefix::Ge => above_intersects || contains_target,
        Prefix::Le => below_intersects || contains_target,
        Prefix::Sa => low >= asked.high,
        Prefix::Eb => high <= asked.low,
        Prefix::Ap => low.max(asked.low) < high.min(asked.high),
    }
}

fn number([value, low, high]: [f64; 3], asked: &NumberMatch) -> bool {
    // A comparator or an open range reaches to the end of all numbers.
    let first = if low == f64::MIN { low } else { value };
    let last = if high == f64::MAX { high } else { value };
    match asked.prefix {
        Prefix::Eq => first >= asked.low && last < asked.high,
        Prefix::Ne => !(first >= asked.low && last < asked.high),
        Prefix::Gt => last > asked.value,
        Prefix::Ge => last >= asked.value,
        Prefix::Lt => first < asked.value,
        Prefix::Le => first <= asked.value,
        Prefix::Sa => first > asked.value,
        Prefix::Eb => last < asked.value,
        Prefix::Ap => first < asked.high && last >= asked.low,
    }
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum SortValue {
    Integer(i64),
    Real(f64),
    Text(String),
}

fn compare(query: &SearchQuery, left: &NewVersion, right: &NewVersion) -> Ordering {
    for key in &query.sort {
        let value = |version| sort_value(key.parameter, key.descending, version);
        let ordering = match (value(left), value(right)) {
            (Some(left), Some(right)) => {
                let ascending = left.partial_cmp(&right).unwrap();
                if key.descending { ascending.reverse() } else { ascending }
            }
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (None, None) => Ordering::Equal,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    let by_change = query.sort.iter().any(|key| key.parameter.code == "_lastUpdated");
    let time = if by_change { Ordering::Equal } else { neg_time(left).cmp(&neg_time(right)) };
    let time = if query.sort.iter().any(|key| key.parameter.code == "date") { Ordering::Equal } else { time };
    time.then_with(|| left.id.as_str().cmp(right.id.as_str()))
}

fn sort_value(parameter: &SearchParameter, descending: bool, version: &NewVersion) -> Option<SortValue> {
    match parameter.code {
        "_id" => return Some(SortValue::Text(version.id.to_string())),
        "_lastUpdated" => return Some(SortValue::Integer(version.last_updated)),
        "date" => return Some(SortValue::Integer(-neg_time(version))),
        _ => {}
    }
    let one = |value: &&IndexValue| match value {
        IndexValue::String { normalised, .. } => Some(SortValue::Text(normalised.to_string())),
        IndexValue::Token { text, .. } => (!text.is_empty()).then(|| SortValue::Text(normalise(text))),
        IndexValue::Uri(uri) => Some(SortValue::Text(uri.to_string())),
        IndexValue::Date { low, high } => Some(SortValue::Integer(if descending { *high } else { *low })),
        IndexValue::Number { value, .. } | IndexValue::Quantity { value, .. } => Some(SortValue::Real(*value)),
        IndexValue::Reference(reference) => Some(SortValue::Text(match reference {
            Reference::Local(local) => format!("{:03} {}", local.resource_type.code(), local.id),
            Reference::Identifier { system, value } => format!("254 {system}|{value}"),
            Reference::Absolute(url) => format!("255 {url}"),
        })),
        IndexValue::Component { .. } => None,
    };
    let values = values(parameter, version);
    let mut values: Vec<SortValue> = values.iter().filter_map(one).collect();
    values.sort_by(|left, right| left.partial_cmp(right).unwrap());
    if descending { values.pop() } else { values.into_iter().next() }
}
