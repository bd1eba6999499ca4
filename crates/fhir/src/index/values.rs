//! From an element of some datatype to the values by which a parameter of some type finds it.
//!
//! The tables of <https://hl7.org/fhir/R4/search.html#token>, `#string`, `#reference`, `#date`, `#number`, `#quantity` and `#uri`, row by row.

use super::{ImpliedRange, IndexValue, implied_range, normalise};
use crate::definitions::{Datatype, Kind, ParameterType, Primitive};
use crate::instant;
use crate::json::Value;
use crate::path::Node;
use crate::reference::Reference;

/// The system of currency codes (<https://hl7.org/fhir/R4/valueset-currencies.html>).
const CURRENCIES: &str = "urn:iso:std:iso:4217";

type Push<'p> = &'p mut dyn FnMut(IndexValue);

pub(super) fn extract(parameter_type: ParameterType, node: Node<'_>, base_url: &str, push: Push<'_>) {
    let (kind, value) = (node.kind(), node.value);
    match parameter_type {
        ParameterType::Token => token(node, push),
        ParameterType::String => string(kind, value, push),
        ParameterType::Reference => reference(kind, value, base_url, push),
        ParameterType::Date => {
            date(kind, value).into_iter().for_each(|range| push(IndexValue::Date { low: range.low, high: range.high }))
        }
        ParameterType::Number => number(kind, value, push),
        ParameterType::Quantity => quantity(kind, value, push),
        ParameterType::Uri => uri(kind, value, push),
        ParameterType::Composite | ParameterType::Special => {}
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.member(member).and_then(Value::as_str).unwrap_or_default()
}

fn members<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.member(member).map_or(&[], Value::items)
}

fn token(node: Node<'_>, push: Push<'_>) {
    let value = node.value;
    let mut plain = |code: &str| push(IndexValue::Token { system: node.system.into(), code: code.into(), text: "".into() });
    match (node.kind(), value) {
        (Kind::Datatype(Datatype::Coding), _) => coding(value, push),
        (Kind::Datatype(Datatype::CodeableConcept), _) => concept(value, push),
        (Kind::Datatype(Datatype::Identifier), _) => {
            let code = text(value, "value");
            let kind_text = value.member("type").map_or("", |concept| text(concept, "text"));
            if !code.is_empty() {
                push(IndexValue::Token {
                    system: text(value, "system").into(),
                    code: code.into(),
                    text: normalise(kind_text).into(),
                });
            }
        }
        (Kind::Datatype(Datatype::ContactPoint), _) => {
            let code = text(value, "value");
            if !code.is_empty() {
                plain(code);
            }
        }
        (Kind::Primitive(_), Value::String(code)) => plain(code),
        (Kind::Primitive(_), Value::Bool(true)) => plain("true"),
        (Kind::Primitive(_), Value::Bool(false)) => plain("false"),
        (Kind::Primitive(_), Value::Number(number)) => plain(number),
        _ => {}
    }
}

fn coding(value: &Value, push: Push<'_>) {
    let (system, code, display) = (text(value, "system"), text(value, "code"), text(value, "display"));
    if !(system.is_empty() && code.is_empty() && display.is_empty()) {
        push(IndexValue::Token { system: system.into(), code: code.into(), text: normalise(display).into() });
    }
}

/// Each coding, and the concept's own text where no coding displays it.
fn concept(value: &Value, push: Push<'_>) {
    let codings = members(value, "coding");
    for item in codings {
        coding(item, push);
    }
    let own = text(value, "text");
    if !own.is_empty() && !codings.iter().any(|item| text(item, "display") == own) {
        push(IndexValue::Token { system: "".into(), code: "".into(), text: normalise(own).into() });
    }
}

fn string(kind: Kind, value: &Value, push: Push<'_>) {
    let parts: &[&str] = match kind {
        Kind::Datatype(Datatype::HumanName) => &["text", "family", "given", "prefix", "suffix"],
        Kind::Datatype(Datatype::Address) => &["text", "line", "city", "district", "state", "postalCode", "country"],
        Kind::Datatype(Datatype::CodeableConcept) => &["text"],
        Kind::Datatype(Datatype::Coding) => &["display"],
        Kind::Primitive(_) => {
            one_string(value, push);
            return;
        }
        _ => return,
    };
    for part in parts {
        for item in members(value, part) {
            one_string(item, push);
        }
    }
}

fn one_string(value: &Value, push: Push<'_>) {
    if let Value::String(text) = value {
        push(IndexValue::String { normalised: normalise(text).into(), exact: text.clone() });
    }
}

fn reference(kind: Kind, value: &Value, base_url: &str, push: Push<'_>) {
    match (kind, value) {
        (Kind::Datatype(Datatype::Reference), _) => {
            if let Some(literal) = Reference::parse(text(value, "reference"), base_url) {
                push(IndexValue::Reference(literal));
            }
            let Some(identifier) = value.member("identifier") else { return };
            let number = text(identifier, "value");
            if !number.is_empty() {
                let system = text(identifier, "system").into();
                push(IndexValue::Reference(Reference::Identifier { system, value: number.into() }));
            }
        }
        // A canonical is found with its version and without.
        (Kind::Primitive(_), Value::String(url)) if !url.starts_with('#') => {
            if let Some((unversioned, _)) = url.split_once('|') {
                push(IndexValue::Reference(Reference::Absolute(unversioned.into())));
            }
            push(IndexValue::Reference(Reference::Absolute(url.clone())));
        }
        _ => {}
    }
}

/// A canonical (`_profile`) is found with its version and without.
fn uri(kind: Kind, value: &Value, push: Push<'_>) {
    let Some(text) = value.as_str() else { return };
    if kind == Kind::Primitive(Primitive::Canonical)
        && let Some((unversioned, _)) = text.split_once('|')
    {
        push(IndexValue::Uri(unversioned.into()));
    }
    push(IndexValue::Uri(text.into()));
}

fn date(kind: Kind, value: &Value) -> Option<instant::Range> {
    match kind {
        Kind::Primitive(_) => instant::range(value.as_str()?),
        Kind::Datatype(Datatype::Period) => period(value),
        Kind::Datatype(Datatype::Timing) => timing(value),
        _ => None,
    }
}

/// A missing or unreadable end is open; a period without both ends is no date.
fn period(value: &Value) -> Option<instant::Range> {
    let start = instant::range(text(value, "start"));
    let end = instant::range(text(value, "end"));
    if start.is_none() && end.is_none() {
        return None;
    }
    Some(instant::Range {
        low: start.map_or(instant::MINIMUM, |start| start.low),
        high: end.map_or(instant::MAXIMUM, |end| end.high),
    })
}

/// "The specified scheduling details are ignored and only the outer limits matter."
fn timing(value: &Value) -> Option<instant::Range> {
    let events = members(value, "event").iter().filter_map(|event| instant::range(event.as_str()?));
    let bounds = value.member("repeat").and_then(|repeat| repeat.member("boundsPeriod")).and_then(period);
    events.chain(bounds).reduce(|left, right| instant::Range { low: left.low.min(right.low), high: left.high.max(right.high) })
}

fn number(kind: Kind, value: &Value, push: Push<'_>) {
    let range = match kind {
        Kind::Primitive(_) => value.as_number().and_then(implied_range),
        Kind::Datatype(Datatype::Range) => range(value),
        _ => None,
    };
    if let Some(ImpliedRange { value, low, high }) = range {
        push(IndexValue::Number { value, low, high });
    }
}

/// A range of quantities; a missing end is open. Its ends are inclusive and exact: 1.5 to 2.5 holds neither 1.49 nor 2.51
/// (<https://hl7.org/fhir/R4/datatypes.html#Range>).
fn range(value: &Value) -> Option<ImpliedRange> {
    let end = |name| value.member(name).and_then(|end| end.member("value")).and_then(Value::as_number).and_then(implied_range);
    let (low, high) = (end("low"), end("high"));
    let written = low.or(high)?.value;
    Some(ImpliedRange {
        value: written,
        low: low.map_or(f64::MIN, |low| low.value),
        high: high.map_or(f64::MAX, |high| high.value),
    })
}

fn quantity(kind: Kind, value: &Value, push: Push<'_>) {
    let (numbers, units) = match kind {
        Kind::Datatype(Datatype::Quantity) => (compared(value), value),
        Kind::Datatype(Datatype::Range) => (range(value), value.member("low").or_else(|| value.member("high")).unwrap_or(value)),
        Kind::Datatype(Datatype::Money) => {
            let Some(ImpliedRange { value: amount, low, high }) = compared(value) else { return };
            let currency = text(value, "currency");
            let system = if currency.is_empty() { "" } else { CURRENCIES };
            push(IndexValue::Quantity {
                value: amount,
                low,
                high,
                system: system.into(),
                code: currency.into(),
                unit: currency.into(),
            });
            return;
        }
        Kind::Primitive(Primitive::Decimal | Primitive::Integer) => (value.as_number().and_then(implied_range), value),
        _ => return,
    };
    if let Some(ImpliedRange { value, low, high }) = numbers {
        let (system, code, unit) = (text(units, "system").into(), text(units, "code").into(), text(units, "unit").into());
        push(IndexValue::Quantity { value, low, high, system, code, unit });
    }
}

/// The number of a quantity; a comparator opens the range on its side.
fn compared(value: &Value) -> Option<ImpliedRange> {
    let mut range = value.member("value").and_then(Value::as_number).and_then(implied_range)?;
    match text(value, "comparator") {
        "<" | "<=" => range.low = f64::MIN,
        ">" | ">=" => range.high = f64::MAX,
        _ => {}
    }
    Some(range)
}
