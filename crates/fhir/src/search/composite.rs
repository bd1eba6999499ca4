//! Values of composites: `first$second`, each part as the parameter of its component takes it.
//!
//! <https://hl7.org/fhir/R4/search.html#combining>: "Modifiers are not used on composite parameters".

use super::filter::{Rejection, parse as parse_filter, unknown_modifier};
use super::value::split;
use super::{Filter, SearchContext, SearchQuery, Test};
use crate::definitions::{Composition, SearchParameter, search_parameter};

/// The test that a value asks of a composite.
pub(super) fn parse(
    parameter: &SearchParameter,
    modifier: Option<&str>,
    value: &str,
    context: &SearchContext<'_>,
) -> Result<Test, Rejection> {
    if let Some(modifier) = modifier {
        return Err(unknown_modifier(parameter.code, modifier, "no modifier"));
    }
    let not_defined = || Rejection::NotUnderstood(format!("'{}' is not supported.", parameter.code));
    let named = |code: &str| parameter.base.and_then(|base| search_parameter(base, code)).ok_or_else(not_defined);
    match parameter.composition.as_ref().ok_or_else(not_defined)? {
        Composition::Resource([first, second]) => {
            let components = [named(first)?, named(second)?];
            let pairs = alternatives(&components, value, context)?;
            let pairs = pairs.into_iter().map(|pair| <[Filter; 2]>::try_from(pair).map_err(|_| not_defined()));
            pairs.collect::<Result<_, _>>().map(Test::Pairs)
        }
        Composition::Element(components) => {
            let components = components.iter().map(|component| named(component.parameter)).collect::<Result<Vec<_>, _>>()?;
            alternatives(&components, value, context).map(Test::Components)
        }
        Composition::Either(codes) => {
            let one = |code: &&str| {
                let parameter = named(code)?;
                parse_filter(parameter, None, value, context).map(|test| Filter { parameter, test })
            };
            codes.iter().map(one).collect::<Result<_, _>>().map(Test::Either)
        }
    }
}

/// The alternatives of a value, each with one criterion for each component.
fn alternatives(
    components: &[&'static SearchParameter],
    value: &str,
    context: &SearchContext<'_>,
) -> Result<Vec<Vec<Filter>>, Rejection> {
    let one = |text: &str| {
        let parts = split(text, '$');
        if parts.len() != components.len() {
            let names: Vec<String> = components.iter().map(|parameter| format!("one of '{}'", parameter.code)).collect();
            let message = format!("Accepted are values with a $ between them: {}.", names.join(", then "));
            return Err(Rejection::value(message));
        }
        let criteria = components
            .iter()
            .zip(parts)
            .map(|(parameter, part)| parse_filter(parameter, None, part, context).map(|test| Filter { parameter, test }));
        criteria.collect::<Result<Vec<_>, _>>()
    };
    let parts = split(value, ',');
    if parts.len() > SearchQuery::MAXIMUM_ALTERNATIVES {
        let message = format!("At most {} alternatives are accepted in one parameter.", SearchQuery::MAXIMUM_ALTERNATIVES);
        return Err(Rejection::value(message));
    }
    parts.into_iter().map(one).collect()
}
