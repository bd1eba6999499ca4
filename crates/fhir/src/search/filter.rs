//! From a parameter, a modifier and a value to a [`Test`].
//!
//! <https://hl7.org/fhir/R4/search.html#modifiers>: "Servers SHALL reject any search request that contains a search parameter modifier that
//! the server does not support for that parameter."

use super::value::{alternatives, date, normalised, number, quantity, reference, token, unescape};
use super::{SearchContext, Test, composite};
use crate::definitions::{ParameterType, SearchParameter};
use crate::outcome::IssueType;
use crate::query::echo;
use crate::types::{LogicalId, ResourceType};

/// Why a parameter did not become part of the query.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// Not known or not supported: subject to `Prefer: handling`.
    NotUnderstood(String),
    /// Known, and wrong: an error under any handling.
    Invalid(IssueType, String),
}

impl Rejection {
    /// A value that the parameter cannot have.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::Invalid(IssueType::Value, message.into())
    }
}

/// The test that a modifier and value ask of a parameter.
pub(super) fn parse(
    parameter: &SearchParameter,
    modifier: Option<&str>,
    value: &str,
    context: &SearchContext<'_>,
) -> Result<Test, Rejection> {
    let code = parameter.code;
    if parameter.base.is_none() && matches!(code, "_id" | "_lastUpdated") {
        return match modifier {
            Some("missing") => missing(value),
            Some(modifier) => Err(unknown_modifier(code, modifier, ":missing")),
            None if code == "_id" => alternatives(value, id).map(Test::Id).map_err(Rejection::value),
            None => alternatives(value, |text| date(text, context.now_ms)).map(Test::LastUpdated).map_err(Rejection::value),
        };
    }
    match (parameter.parameter_type, modifier) {
        (ParameterType::Composite, modifier) => composite::parse(parameter, modifier, value, context),
        (ParameterType::Special, _) => {
            Err(Rejection::NotUnderstood(format!("'{code}' is a special parameter and not supported.")))
        }
        (_, Some("missing")) => missing(value),
        (ParameterType::Token, _) => token_test(code, modifier, value),
        (ParameterType::String, _) => string_test(code, modifier, value),
        (ParameterType::Uri, _) => uri_test(code, modifier, value),
        (ParameterType::Reference, _) => reference_test(parameter, modifier, value, context),
        (ParameterType::Date | ParameterType::Number | ParameterType::Quantity, Some(modifier)) => {
            Err(unknown_modifier(code, modifier, ":missing"))
        }
        (ParameterType::Date, None) => {
            alternatives(value, |text| date(text, context.now_ms)).map(Test::Date).map_err(Rejection::value)
        }
        (ParameterType::Number, None) => alternatives(value, number).map(Test::Number).map_err(Rejection::value),
        (ParameterType::Quantity, None) => alternatives(value, quantity).map(Test::Quantity).map_err(Rejection::value),
    }
}

fn id(text: &str) -> Result<LogicalId, String> {
    LogicalId::parse(text).ok_or_else(|| "An id has 1 to 64 of the characters A-Z, a-z, 0-9, - and the dot.".to_owned())
}

fn missing(value: &str) -> Result<Test, Rejection> {
    match value {
        "true" => Ok(Test::Missing(true)),
        "false" => Ok(Test::Missing(false)),
        _ => Err(Rejection::value("Accepted are true and false.")),
    }
}

fn token_test(code: &str, modifier: Option<&str>, value: &str) -> Result<Test, Rejection> {
    let test = match modifier {
        None => alternatives(value, token).map(Test::Token),
        Some("not") => alternatives(value, token).map(Test::TokenNot),
        Some("text") => alternatives(value, normalised).map(Test::TokenText),
        Some(modifier) => return Err(unknown_modifier(code, modifier, ":missing, :not and :text")),
    };
    test.map_err(Rejection::value)
}

fn string_test(code: &str, modifier: Option<&str>, value: &str) -> Result<Test, Rejection> {
    let test = match modifier {
        None => alternatives(value, normalised).map(Test::StringStarts),
        Some("contains") => alternatives(value, normalised).map(Test::StringContains),
        Some("exact") => alternatives(value, unescape).map(Test::StringExact),
        Some(modifier) => return Err(unknown_modifier(code, modifier, ":missing, :exact and :contains")),
    };
    test.map_err(Rejection::value)
}

fn uri_test(code: &str, modifier: Option<&str>, value: &str) -> Result<Test, Rejection> {
    let test = match modifier {
        None => alternatives(value, unescape).map(Test::Uri),
        Some("below") => alternatives(value, unescape).map(Test::UriBelow),
        Some("above") => alternatives(value, unescape).map(Test::UriAbove),
        Some(modifier) => return Err(unknown_modifier(code, modifier, ":missing, :above and :below")),
    };
    test.map_err(Rejection::value)
}

fn reference_test(
    parameter: &SearchParameter,
    modifier: Option<&str>,
    value: &str,
    context: &SearchContext<'_>,
) -> Result<Test, Rejection> {
    let required = match modifier {
        None => None,
        Some("identifier") => return alternatives(value, token).map(Test::ReferenceIdentifier).map_err(Rejection::value),
        Some(modifier) => match ResourceType::parse(modifier) {
            Some(resource_type) if points_to(parameter, resource_type) => Some(resource_type),
            _ => {
                let mut accepted = ":missing, :identifier".to_owned();
                parameter.targets.iter().for_each(|target| accepted.extend([", :", target.name()]));
                if parameter.targets.is_empty() {
                    accepted.push_str(" and a resource type");
                }
                return Err(unknown_modifier(parameter.code, modifier, &accepted));
            }
        },
    };
    alternatives(value, |text| reference(text, parameter, required, context.base_url))
        .map(Test::Reference)
        .map_err(Rejection::value)
}

/// Whether a reference parameter may lead to this type; without targets it may lead to any.
pub(super) fn points_to(parameter: &SearchParameter, resource_type: ResourceType) -> bool {
    parameter.targets.is_empty() || parameter.targets.contains(&resource_type)
}

/// The error for a modifier that a parameter does not have.
pub(crate) fn unknown_modifier(code: &str, modifier: &str, accepted: &str) -> Rejection {
    Rejection::Invalid(IssueType::NotSupported, format!("'{code}' does not accept ':{}'; it accepts {accepted}.", echo(modifier)))
}
