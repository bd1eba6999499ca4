//! The values of composites whose components belong together within an element.
//!
//! <https://hl7.org/fhir/R4/search.html#combining>. The composite's expression leads to elements, and each component's from there to values. Elements
//! are numbered, so that a search can ask for values of the same one. An element that lacks a component matches nothing and leaves nothing. Composites
//! that consist of other parameters have no values of their own.

use std::sync::{LazyLock, OnceLock};

use super::{IndexEntry, IndexValue, MAXIMUM_ENTRIES, remove_repeated, values};
use crate::definitions::{Component, Composition, ParameterType, SearchParameter, search_parameter, search_parameters};
use crate::path::{Node, Path};
use crate::resource::Resource;
use crate::types::ResourceType;

/// The compiled composites of each type, by the type's code; compiled when the first resource of the type is indexed.
static COMPILED: LazyLock<Vec<OnceLock<Vec<CompiledComposite>>>> =
    LazyLock::new(|| ResourceType::all().map(|_| OnceLock::new()).collect());

pub(super) struct CompiledComposite {
    parameter: &'static SearchParameter,
    elements: Path,
    components: Vec<CompiledComponent>,
}

struct CompiledComponent {
    /// Its place in the composite.
    number: u8,
    parameter_type: ParameterType,
    path: Path,
    /// Whether the path begins at the resource and not at the element.
    is_of_resource: bool,
}

pub(super) fn compiled(resource_type: ResourceType) -> &'static [CompiledComposite] {
    let compile = || search_parameters(resource_type).iter().filter_map(|parameter| compile(parameter, resource_type)).collect();
    COMPILED.get(usize::from(resource_type.code())).map_or(&[], |cell| cell.get_or_init(compile))
}

/// A test compiles every composite of the table, so none is lost here.
fn compile(parameter: &'static SearchParameter, resource_type: ResourceType) -> Option<CompiledComposite> {
    let Some(Composition::Element(components)) = &parameter.composition else { return None };
    let elements = Path::compile(parameter.expression, resource_type).ok()?;
    let one = |(number, Component { parameter: code, expression }): (u8, &Component)| {
        let of_resource = expression.strip_prefix(resource_type.name()).is_some_and(|rest| rest.starts_with('.'));
        let path = if of_resource { Path::compile(expression, resource_type) } else { elements.compile_further(expression) };
        let parameter_type = search_parameter(resource_type, code)?.parameter_type;
        Some(CompiledComponent { number, parameter_type, path: path.ok()?, is_of_resource: of_resource })
    };
    let components = (0..).zip(components).map(one).collect::<Option<_>>()?;
    Some(CompiledComposite { parameter, elements, components })
}

/// Adds the values of every composite; ends early where there are more than may be stored.
pub(super) fn extract(resource: &Resource, base_url: &str, entries: &mut Vec<IndexEntry>) {
    let resource_type = resource.resource_type();
    for composite in compiled(resource_type) {
        let mut element = 0_u32;
        composite.elements.evaluate(resource.body(), resource_type, &mut |node| {
            if entries.len() > 2 * MAXIMUM_ENTRIES {
                return;
            }
            let start = entries.len();
            if composite.extract_element(&Indexed { resource, base_url }, node, element, entries) {
                element = element.saturating_add(1);
            } else {
                entries.truncate(start);
            }
        });
    }
}

/// What is indexed: a resource, as the server with this base holds it.
struct Indexed<'a> {
    resource: &'a Resource,
    base_url: &'a str,
}

impl CompiledComposite {
    /// Adds the values of one element; `false` where a component has none. The last component is asked first: it is the one that most often has none.
    fn extract_element(
        &self,
        Indexed { resource, base_url }: &Indexed<'_>,
        node: Node<'_>,
        element: u32,
        entries: &mut Vec<IndexEntry>,
    ) -> bool {
        for CompiledComponent { number, parameter_type, path, is_of_resource } in self.components.iter().rev() {
            let start = entries.len();
            let mut found = |node: Node<'_>| {
                values::extract(*parameter_type, node, base_url, &mut |value| {
                    if is_compared(&value) {
                        let value = IndexValue::Component { element, component: *number, value: Box::new(value) };
                        entries.push(IndexEntry { parameter: self.parameter, value });
                    }
                });
            };
            if *is_of_resource {
                path.evaluate(resource.body(), resource.resource_type(), &mut found);
            } else {
                path.evaluate_at(node, &mut found);
            }
            if entries.len() == start {
                return false;
            }
            remove_repeated(entries, start);
        }
        true
    }
}

/// Whether a search without modifier can ask for the value: a concept of text alone can only be asked for by `:text`.
fn is_compared(value: &IndexValue) -> bool {
    !matches!(value, IndexValue::Token { system, code, .. } if system.is_empty() && code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_composite_over_elements_compiles_and_reaches_values_of_its_kinds() {
        for resource_type in ResourceType::all() {
            let over_elements = search_parameters(resource_type)
                .iter()
                .filter(|parameter| matches!(parameter.composition, Some(Composition::Element(_))));
            assert_eq!(compiled(resource_type).len(), over_elements.count(), "{resource_type}");
            for composite in compiled(resource_type) {
                let types = composite.components.iter().map(|component| component.parameter_type);
                let types: Vec<ParameterType> = types.collect();
                // What a store has to keep columns for.
                assert!(matches!(types[0], ParameterType::Token | ParameterType::Reference), "{}", composite.parameter.code);
                let kept = [ParameterType::Token, ParameterType::Quantity, ParameterType::Number, ParameterType::String];
                assert!(types[1..].iter().all(|kind| kept.contains(kind)), "{} {types:?}", composite.parameter.code);
            }
        }
    }
}
