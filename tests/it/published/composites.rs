//! Composites of the published examples: which apply, and the questions that must find each, by a second reading of the definitions over plain JSON.
//!
//! A composite applies where its expression leads to an element at which every component leads to a value that can be compared. Its questions are put
//! together from the values that the components' own parameters would be asked for.

use std::collections::BTreeMap;

use portcullis_fhir::definitions::{Composition, ParameterType, SearchParameter, search_parameter};
use portcullis_fhir::index::{IndexEntry, IndexValue};
use portcullis_fhir::types::ResourceType;
use serde_json::Value;

use super::applies;
use super::queries::{self, Query};

/// Whether a composite applies, by reading the JSON.
pub fn applies(parameter: &SearchParameter, resource: &Value) -> bool {
    let base = parameter.base.unwrap();
    let named = |code: &str| search_parameter(base, code).unwrap();
    match parameter.composition.as_ref().unwrap() {
        Composition::Either(codes) => codes.iter().any(|code| applies(named(code), resource)),
        Composition::Resource(codes) => codes.iter().all(|code| applies::applies(named(code), resource).unwrap()),
        Composition::Element(components) => applies::nodes(parameter.expression, resource).into_iter().any(|element| {
            components.iter().all(|component| {
                let kind = named(component.parameter).parameter_type;
                let values = if component.expression.starts_with(&format!("{base}.")) {
                    applies::nodes(component.expression, resource)
                } else {
                    let branches = component.expression.split(" | ").map(|branch| format!("x.{branch}"));
                    applies::nodes(&branches.collect::<Vec<_>>().join(" | "), element)
                };
                values.into_iter().any(|value| applies::can_be_asked_for(kind, value))
            })
        }),
    }
}

/// Whether a composite has what it needs among the entries.
pub fn is_indexed(parameter: &SearchParameter, entries: &[IndexEntry]) -> bool {
    let named = |code: &str| search_parameter(parameter.base.unwrap(), code).unwrap();
    match parameter.composition.as_ref().unwrap() {
        Composition::Either(codes) => codes.iter().any(|code| is_indexed(named(code), entries)),
        Composition::Resource(codes) => codes.iter().all(|code| entries.iter().any(|entry| entry.parameter == named(code))),
        Composition::Element(_) => entries.iter().any(|entry| entry.parameter == parameter),
    }
}

/// Every composite's questions that must find a resource with these entries.
pub fn questions(parameters: &[&'static SearchParameter], entries: &[IndexEntry], base: &str) -> Vec<Query> {
    let composites = parameters.iter().filter(|parameter| parameter.parameter_type == ParameterType::Composite);
    composites.flat_map(|parameter| of(parameter, parameter.code, entries, base)).collect()
}

fn of(parameter: &'static SearchParameter, code: &str, entries: &[IndexEntry], base: &str) -> Vec<Query> {
    let resource_type = parameter.base.unwrap();
    let named = |code: &str| search_parameter(resource_type, code).unwrap();
    match parameter.composition.as_ref().unwrap() {
        Composition::Either(codes) => codes.iter().flat_map(|other| of(named(other), code, entries, base)).collect(),
        Composition::Resource(codes) => {
            let values = |component: &str| {
                let own = entries.iter().filter(|entry| entry.parameter == named(component));
                own.flat_map(|entry| plain(entry, base)).collect::<Vec<_>>()
            };
            together(code, &codes.map(values))
        }
        Composition::Element(components) => {
            // The values of each component, by the number of the element.
            let mut elements: BTreeMap<u32, Vec<Vec<String>>> = BTreeMap::new();
            for entry in entries.iter().filter(|entry| entry.parameter == parameter) {
                let IndexValue::Component { element, component, value } = &entry.value else { panic!("{entry:?}") };
                let component = usize::from(*component);
                let values = elements.entry(*element).or_insert_with(|| vec![Vec::new(); components.len()]);
                let as_own = IndexEntry { parameter: named(components[component].parameter), value: (**value).clone() };
                values[component].extend(plain(&as_own, base));
            }
            elements.values().flat_map(|values| together(code, values)).collect()
        }
    }
}

/// The values by which an entry is asked for without a modifier.
fn plain(entry: &IndexEntry, base: &str) -> Vec<String> {
    let queries = queries::of(entry, base).into_iter();
    queries.filter(|(name, _)| name == entry.parameter.code).map(|(_, value)| value).collect()
}

/// Each value once, beside the first of the other components: all pairs would be some thousands for one resource.
fn together(code: &str, components: &[Vec<String>]) -> Vec<Query> {
    let Some(firsts) = components.iter().map(|values| values.first()).collect::<Option<Vec<&String>>>() else {
        return Vec::new();
    };
    let one = |changed: usize, value: &String| {
        let mut parts = firsts.clone();
        parts[changed] = value;
        (code.to_owned(), parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join("$"))
    };
    let all = components.iter().enumerate().flat_map(|(changed, values)| values.iter().map(move |value| (changed, value)));
    all.map(|(changed, value)| one(changed, value)).collect()
}

#[test]
fn a_composite_applies_where_one_element_has_every_component() {
    let named = |code: &str| search_parameter(ResourceType::OBSERVATION, code).unwrap();
    let coded = |code: &str| serde_json::json!({"coding": [{"code": code}]});
    let apart = serde_json::json!({"resourceType": "Observation", "code": coded("panel"), "component": [
        {"code": {"text": "text alone"}, "valueQuantity": {"value": 1}}, {"code": coded("a"), "valueString": "x"}]});
    for code in ["component-code-value-quantity", "combo-code-value-quantity", "code-value-quantity", "code-value-string"] {
        assert!(!applies(named(code), &apart), "{code}");
    }
    let mut together = apart.clone();
    together["component"][1]["valueQuantity"] = serde_json::json!({"value": 2});
    assert!(applies(named("component-code-value-quantity"), &together) && applies(named("combo-code-value-quantity"), &together));
    together["valueString"] = "x".into();
    assert!(applies(named("code-value-string"), &together) && !applies(named("code-value-quantity"), &together));
}
