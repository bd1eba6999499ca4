//! Whether a search parameter applies to a resource, by a second reading of its expression: plain text steps over plain JSON, without the product's
//! path compiler, tables of elements, and extraction.

use portcullis_fhir::definitions::{ParameterType, SearchParameter};
use serde_json::Value;

use super::composites;

/// The types that end the names of choice elements. (`Id` does too, but `subscriberId` is no `subscriber`.)
const CHOICES: [&str; 24] = [
    "Age",
    "Annotation",
    "Attachment",
    "Boolean",
    "Canonical",
    "CodeableConcept",
    "Coding",
    "Date",
    "DateTime",
    "Decimal",
    "Duration",
    "Identifier",
    "Instant",
    "Integer",
    "Money",
    "Period",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "SampledData",
    "String",
    "Timing",
    "Uri",
];

/// Whether the parameter applies; `None` where this reading cannot say.
pub fn applies(parameter: &SearchParameter, resource: &Value) -> Option<bool> {
    if parameter.parameter_type == ParameterType::Composite {
        return Some(composites::applies(parameter, resource));
    }
    let silent = parameter.parameter_type == ParameterType::Special
        || matches!(parameter.code, "_id" | "_lastUpdated")
        || parameter.expression.contains(" and ");
    (!silent)
        .then(|| nodes(parameter.expression, resource).into_iter().any(|node| says_something(parameter.parameter_type, node)))
}

/// What an expression leads to.
pub fn nodes<'a>(expression: &str, resource: &'a Value) -> Vec<&'a Value> {
    expression.split(" | ").flat_map(|branch| branch_nodes(&plain(branch), resource)).collect()
}

/// `(a.b as T).c` as `a.b.as(T).c`.
fn plain(branch: &str) -> String {
    match branch.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
        Some((inner, rest)) => format!("{}){rest}", inner.replacen(" as ", ".as(", 1)),
        None => branch.to_owned(),
    }
}

fn branch_nodes<'a>(branch: &str, resource: &'a Value) -> Vec<&'a Value> {
    let mut steps = steps(branch).into_iter();
    // The resource type itself.
    steps.next();
    // Values with the type that their member's name ends in, where the element is a choice.
    let mut nodes = vec![(resource, String::new())];
    for step in steps {
        nodes = match step.split_once('(') {
            Some(("as" | "ofType", wanted)) => {
                let wanted = wanted.trim_end_matches(')');
                nodes.into_iter().filter(|(_, suffix)| suffix.eq_ignore_ascii_case(wanted)).collect()
            }
            Some(("where", test)) => nodes.into_iter().filter(|(node, _)| holds(test.strip_suffix(')').unwrap(), node)).collect(),
            Some(_) => panic!("{step} in {branch}"),
            None => nodes.into_iter().flat_map(|(node, _)| children(&step, node)).collect(),
        };
    }
    nodes.into_iter().map(|(node, _)| node).collect()
}

/// Splits at dots outside parentheses and quotes.
fn steps(branch: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let (mut depth, mut quoted) = (0_i32, false);
    for character in branch.trim().chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' => depth += 1,
            ')' => depth -= 1,
            '.' if depth == 0 && !quoted => {
                steps.push(String::new());
                continue;
            }
            _ => {}
        }
        steps.last_mut().unwrap().push(character);
    }
    steps
}

fn children<'a>(step: &str, node: &'a Value) -> Vec<(&'a Value, String)> {
    let (name, index) = match step.split_once('[') {
        Some((name, index)) => (name, Some(index.trim_end_matches(']').parse::<usize>().unwrap())),
        None => (step, None),
    };
    let Value::Object(members) = node else { return Vec::new() };
    let chosen = members.iter().filter_map(|(member, value)| {
        let suffix = member.strip_prefix(name)?;
        (suffix.is_empty() || CHOICES.contains(&suffix)).then(|| (value, suffix.to_owned()))
    });
    let items = chosen.flat_map(|(value, suffix)| match value {
        Value::Array(items) => items.iter().map(|item| (item, suffix.clone())).collect(),
        one => vec![(one, suffix)],
    });
    items.enumerate().filter(|(position, _)| index.is_none_or(|index| index == *position)).map(|(_, item)| item).collect()
}

fn holds(test: &str, node: &Value) -> bool {
    if let Some(wanted) = test.strip_prefix("resolve() is ") {
        let reference = node["reference"].as_str().unwrap_or_default();
        return reference.starts_with(&format!("{wanted}/")) || reference.contains(&format!("/{wanted}/"));
    }
    let (member, literal) = test.split_once('=').unwrap();
    node[member.trim()].as_str() == Some(literal.trim().trim_matches('\''))
}

/// The same for a component of a composite, which has no modifiers: a concept of text alone cannot be asked for.
pub fn can_be_asked_for(kind: ParameterType, node: &Value) -> bool {
    let coded = |value: &Value| value["system"].is_string() || value["code"].is_string();
    let text_alone = kind == ParameterType::Token
        && node.is_object()
        && !coded(node)
        && !node["coding"].as_array().is_some_and(|codings| codings.iter().any(coded));
    !text_alone && says_something(kind, node)
}

/// Whether a value holds anything that a search of this kind can compare.
fn says_something(kind: ParameterType, node: &Value) -> bool {
    let text = |member: &str| node[member].as_str().is_some_and(|text| !text.is_empty());
    if node.is_object() && text("resourceType") {
        return false;
    }
    match kind {
        ParameterType::Reference => {
            node.is_string() || text_that_leads_out(&node["reference"]) || node["identifier"]["value"].is_string()
        }
        ParameterType::Token => {
            let coded = |value: &Value| ["system", "code", "display"].iter().any(|member| value[member].is_string());
            let codings = node["coding"].as_array().is_some_and(|codings| codings.iter().any(coded));
            let bare = node["system"].is_string() && !node["value"].is_string() && !node["code"].is_string();
            !node.is_null()
                && (!node.is_object() || codings || text("text") || text("code") || text("value") || (coded(node) && !bare))
        }
        ParameterType::String => {
            let parts =
                ["text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"];
            node.is_string() || text("display") || parts.iter().any(|part| !node[part].is_null())
        }
        ParameterType::Date => {
            node.is_string()
                || text("start")
                || text("end")
                || node["event"].is_array()
                || node["repeat"]["boundsPeriod"].is_object()
        }
        ParameterType::Number | ParameterType::Quantity => {
            node.is_number() || ["value", "low", "high"].iter().any(|member| !node[member].is_null())
        }
        ParameterType::Uri => node.is_string(),
        ParameterType::Composite | ParameterType::Special => false,
    }
}

fn text_that_leads_out(reference: &Value) -> bool {
    reference.as_str().is_some_and(|text| !text.is_empty() && !text.starts_with('#'))
}

#[test]
fn expressions_of_every_form_are_read() {
    let observation = serde_json::json!({
        "resourceType": "Observation", "status": "final", "valueQuantity": {"value": 1}, "subject": {"reference": "Group/1"},
        "component": [{"valueString": "x"}, {"valueCodeableConcept": {"text": "y"}}],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email"}],
    });
    for (expression, count) in [
        ("Observation.status", 1),
        ("Observation.value", 1),
        ("(Observation.value as Quantity) | (Observation.component.value as CodeableConcept)", 2),
        ("(Observation.component.value as CodeableConcept).text", 1),
        ("Observation.value.as(SampledData)", 0),
        ("Observation.component[1].value", 1),
        ("Observation.subject.where(resolve() is Group)", 1),
        ("Observation.subject.where(resolve() is Patient)", 0),
        ("Observation.telecom.where(system='phone').value", 1),
    ] {
        assert_eq!(nodes(expression, &observation).len(), count, "{expression}");
    }
}
