//! The questions that a client would ask to find a resource by one of its values.

use portcullis_fhir::index::{IndexEntry, IndexValue, implied_range};
use portcullis_fhir::instant::{self, MAXIMUM, MINIMUM};
use portcullis_fhir::query;
use portcullis_fhir::reference::Reference;

/// A name, with modifier, and a value.
pub type Query = (String, String);

/// A query as it stands in an address.
pub fn encoded((name, value): &Query) -> String {
    let mut text = String::new();
    query::encode(name, &mut text);
    text.push('=');
    query::encode(value, &mut text);
    text
}

/// Every form of query that must find a resource with this entry; `base` is the server's own. The first is the plainest.
pub fn of(entry: &IndexEntry, base: &str) -> Vec<Query> {
    let code = entry.parameter.code;
    let plain = |value: String| (code.to_owned(), value);
    let modified = |modifier: &str, value: String| (format!("{code}:{modifier}"), value);
    match &entry.value {
        IndexValue::Token { system, code, text } => token(&escape(system), &escape(code), text, plain, modified),
        IndexValue::String { normalised, exact } => string(normalised, exact, plain, modified),
        IndexValue::Reference(Reference::Local(local)) => vec![
            plain(local.to_string()),
            plain(format!("{base}/{local}")),
            plain(local.id.to_string()),
            modified(local.resource_type.name(), local.id.to_string()),
        ],
        IndexValue::Reference(Reference::Absolute(url)) => vec![plain(escape(url))],
        IndexValue::Reference(Reference::Identifier { system, value }) => {
            vec![modified("identifier", format!("{}|{}", escape(system), escape(value)))]
        }
        IndexValue::Date { low, high } => date(*low, *high).into_iter().map(plain).collect(),
        IndexValue::Number { value, low, high } => number(*value, *low, *high).into_iter().map(plain).collect(),
        IndexValue::Quantity { value, low, high, system, code, unit } => {
            let numbers = number(*value, *low, *high);
            let (system, code, unit) = (escape(system), escape(code), escape(unit));
            let mut queries: Vec<Query> = Vec::new();
            if !code.is_empty() {
                queries.extend(numbers.iter().map(|number| plain(format!("{number}|{system}|{code}"))));
                queries.extend(numbers.first().map(|number| plain(format!("{number}||{code}"))));
            }
            if !unit.is_empty() {
                queries.extend(numbers.first().map(|number| plain(format!("{number}||{unit}"))));
            }
            queries.extend(numbers.into_iter().map(plain));
            queries
        }
        // One value of a composite is no question: `composites` puts them together.
        IndexValue::Component { .. } => Vec::new(),
        IndexValue::Uri(uri) => {
            let parent = uri.rsplit_once('/').map_or(&**uri, |(parent, _)| parent);
            vec![plain(escape(uri)), modified("below", escape(parent)), modified("above", format!("{}/further", escape(uri)))]
        }
    }
}

fn token(
    system: &str,
    code: &str,
    text: &str,
    plain: impl Fn(String) -> Query,
    modified: impl Fn(&str, String) -> Query,
) -> Vec<Query> {
    let mut queries = Vec::new();
    if !code.is_empty() {
        queries.extend([plain(format!("{system}|{code}")), plain(code.to_owned())]);
    }
    if !system.is_empty() {
        queries.push(plain(format!("{system}|")));
    }
    if !text.is_empty() {
        queries.push(modified("text", text.to_owned()));
    }
    queries
}

fn string(
    normalised: &str,
    exact: &str,
    plain: impl Fn(String) -> Query,
    modified: impl Fn(&str, String) -> Query,
) -> Vec<Query> {
    let mut queries = vec![modified("exact", escape(exact))];
    // Signs alone (`-`) are no text to compare by.
    if !normalised.is_empty() {
        let half: String = normalised.chars().take(normalised.chars().count().div_ceil(2)).collect();
        let rest: String = normalised.chars().skip(1).collect();
        queries.extend([plain(escape(exact)), plain(half.to_uppercase())]);
        queries.extend((!rest.trim().is_empty()).then(|| modified("contains", rest)));
    }
    queries
}

/// `eq` with the finest and the coarsest date that cover the value, and the bounds that it has.
fn date(low: i64, high: i64) -> Vec<String> {
    let first = instant::format(low);
    let texts =
        [first.clone(), format!("{}Z", &first[..19]), first[..10].to_owned(), first[..7].to_owned(), first[..4].to_owned()];
    let covers = |text: &&String| instant::search_range(text).is_some_and(|range| range.low <= low && high <= range.high);
    let covering: Vec<&String> = texts.iter().filter(covers).collect();
    let (finest, coarsest) = (covering.first(), covering.last().filter(|_| covering.len() > 1));
    let mut queries: Vec<String> = finest.into_iter().chain(coarsest).map(|text| (*text).clone()).collect();
    queries.extend((low > MINIMUM).then(|| format!("ge{}", instant::format(low))));
    queries.extend((high < MAXIMUM).then(|| format!("le{}", instant::format(high - 1))));
    queries.extend((low > MINIMUM).then(|| format!("sa{}", instant::format(low - 1))));
    queries.extend((high < MAXIMUM).then(|| format!("eb{}", instant::format(high))));
    queries
}

/// `eq` where the value is one number (a range or one with a comparator is not), and the bounds.
fn number(value: f64, low: f64, high: f64) -> Vec<String> {
    let one = (value - low) <= 1.5 * (high - value) && (high - value) <= 1.5 * (value - low);
    assert!(!one || implied_range(&value.to_string()).is_some_and(|range| range.low <= low && high <= range.high), "{value}");
    let mut numbers: Vec<String> = one.then(|| value.to_string()).into_iter().collect();
    numbers.extend([format!("ge{value}"), format!("le{value}")]);
    numbers
}

/// <https://hl7.org/fhir/R4/search.html#escaping>
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, ',' | '|' | '$' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
