//! `$everything` of a Patient or Encounter, as a search of each type that has a part in it.
//!
//! <https://hl7.org/fhir/R4/patient-operation-everything.html>, <https://hl7.org/fhir/R4/encounter-operation-everything.html>. It consists of the resource itself,
//! of what lies in its compartment, and of the directory resources (and, for an Encounter, the patients) that something in the compartment refers to by a
//! search parameter. `start` and `end` are about when something happened; what has no such date is in. The audit trail is no part of it.

use super::control;
use super::filter::{self, Rejection, points_to};
use super::membership::{membership, one_of};
use super::parse::settle;
use super::types::{SearchOfTypes, SearchPlace, named_types, types_of};
use super::{Filter, Link, SearchContext, SearchQuery, Test, Total, parse};
use crate::compartment::DIRECTORY_TYPES;
use crate::definitions::{CompartmentType, ParameterType, SearchParameter, search_parameter, search_parameters};
use crate::index::CLINICAL_TIME;
use crate::outcome::{Issue, IssueType};
use crate::query;
use crate::reference::LocalReference;
use crate::types::{LogicalId, ResourceType};

/// What the parameters ask for.
#[derive(Default)]
struct Asked {
    named: Option<Vec<ResourceType>>,
    since: Option<Filter>,
    /// `ge` or `le` with a date.
    dates: Vec<String>,
    count: Option<u32>,
    cursor: Option<Box<str>>,
    applied: Vec<(String, String)>,
}

/// Parses the parameters of `$everything`; `None` where this type has no such operation.
pub fn parse_everything(
    focus: LocalReference,
    pairs: &[(String, String)],
    context: &SearchContext<'_>,
) -> Option<Result<SearchOfTypes, Vec<Issue>>> {
    let compartment = CompartmentType::of(focus.resource_type)
        .filter(|compartment| matches!(compartment, CompartmentType::Patient | CompartmentType::Encounter))?;
    Some(parsed((compartment, focus), pairs, context))
}

fn parsed(
    (compartment, focus): (CompartmentType, LocalReference),
    pairs: &[(String, String)],
    context: &SearchContext<'_>,
) -> Result<SearchOfTypes, Vec<Issue>> {
    let place = SearchPlace::Everything(focus.clone());
    let inside: Vec<ResourceType> = types_of(&place).into_iter().filter(|inside| *inside != focus.resource_type).collect();
    let mut offered: Vec<ResourceType> =
        inside.iter().copied().chain(DIRECTORY_TYPES.iter().copied()).chain([ResourceType::PATIENT]).collect();
    offered.push(focus.resource_type);
    let (mut asked, mut ignored, mut issues) = (Asked::default(), Vec::new(), Vec::new());
    for (name, value) in pairs {
        if let Err(rejection) = asked.take((compartment, &offered), (name, value), context) {
            settle(rejection, name, context.handling, &mut ignored, &mut issues);
        }
    }
    if !issues.is_empty() {
        return Err(issues);
    }
    offered.sort_unstable();
    offered.dedup();
    let is_wanted = |resource_type: &ResourceType| asked.named.as_ref().is_none_or(|named| named.contains(resource_type));
    let mut parts = Vec::new();
    for resource_type in offered.iter().copied().filter(|one| *one != focus.resource_type).filter(is_wanted) {
        let mut ways: Vec<Filter> = membership(compartment, &focus.id, resource_type).into_iter().collect();
        if DIRECTORY_TYPES.contains(&resource_type) || resource_type == ResourceType::PATIENT {
            let sources = inside.iter().copied().chain([focus.resource_type]);
            ways.extend(sources.flat_map(|source| references((compartment, &focus.id), source, resource_type)));
        }
        let Some(part) = one_of(ways) else { continue };
        let mut query = parse(resource_type, &[], context)?;
        query.filters.push(part);
        query.filters.extend(asked.since.clone());
        for date in &asked.dates {
            let filter = care_date(resource_type, date, context).map_err(|_| vec![not_a_date("start")])?;
            query.filters.extend(filter);
        }
        parts.push(query);
    }
    let with_focus = is_wanted(&focus.resource_type);
    let Asked { named, count, cursor, applied, .. } = asked;
    // A page of nothing would never come to an end.
    let count = count.unwrap_or(SearchQuery::DEFAULT_COUNT).max(1);
    Ok(SearchOfTypes { place, named: named.is_some(), with_focus, parts, count, total: Total::None, cursor, applied, ignored })
}

impl Asked {
    fn take(
        &mut self,
        (compartment, offered): (CompartmentType, &[ResourceType]),
        (name, value): (&str, &str),
        context: &SearchContext<'_>,
    ) -> Result<(), Rejection> {
        let repeated = name != "_type" && self.applied.iter().any(|(known, _)| known == name);
        if repeated || (name == "_cursor" && self.cursor.is_some()) {
            return Err(Rejection::Invalid(IssueType::Invalid, format!("'{name}' is accepted once; it is given several times.")));
        }
        match name {
            "_type" => self.named.get_or_insert_default().extend(named_types(value, offered)?),
            "_count" => {
                let count = control::count(value)?;
                self.count = Some(count);
                self.applied.push((name.to_owned(), count.to_string()));
                return Ok(());
            }
            "_cursor" => {
                self.cursor = Some(control::cursor(value)?);
                return Ok(());
            }
            "_format" => {
                control::format(value).map_err(|message| Rejection::Invalid(IssueType::NotSupported, message.to_owned()))?;
            }
            "_since" => self.since = since(value, context)?,
            "start" | "end" if compartment == CompartmentType::Patient => {
                let date = format!("{}{value}", if name == "start" { "ge" } else { "le" });
                let begins_with_digit = value.starts_with(|first: char| first.is_ascii_digit());
                let known = care_date(ResourceType::OBSERVATION, &date, context);
                self.dates.push(date);
                known.ok().filter(|_| begins_with_digit).ok_or_else(|| Rejection::value(A_DATE))?;
            }
            _ => {
                let others = if compartment == CompartmentType::Patient { ", start, end" } else { "" };
                return Err(Rejection::NotUnderstood(format!("$everything has the parameters _since, _type, _count{others}.")));
            }
        }
        self.applied.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// What is said where a date is wanted.
const A_DATE: &str = "A date is accepted, such as 2024-05-31.";

fn not_a_date(name: &str) -> Issue {
    Issue::error(IssueType::Value, A_DATE).at(format!("http.{name}"))
}

/// `_since`: what was changed at that time or later.
fn since(value: &str, context: &SearchContext<'_>) -> Result<Option<Filter>, Rejection> {
    if !value.starts_with(|first: char| first.is_ascii_digit()) || value.contains(',') {
        return Err(Rejection::value(
            "An instant is accepted, such as 2024-05-31T10:00:00Z; the plus of a time zone is written %2B.",
        ));
    }
    let Some(parameter) = search_parameter(ResourceType::PATIENT, "_lastUpdated") else { return Ok(None) };
    Ok(Some(Filter { parameter, test: filter::parse(parameter, None, &format!("ge{value}"), context)? }))
}

/// What is asked of the date when something happened; `None` where the type has none.
fn care_date(resource_type: ResourceType, date: &str, context: &SearchContext<'_>) -> Result<Option<Filter>, Rejection> {
    if date.contains(',') {
        return Err(Rejection::value(A_DATE));
    }
    let rank = |parameter: &&SearchParameter| CLINICAL_TIME.iter().position(|code| *code == parameter.code);
    let dates = search_parameters(resource_type).iter().copied();
    let dates = dates.filter(|parameter| parameter.parameter_type == ParameterType::Date && rank(parameter).is_some());
    let Some(parameter) = dates.min_by_key(|parameter| (rank(parameter), parameter.key)) else { return Ok(None) };
    let then = Filter { parameter, test: filter::parse(parameter, None, date, context)? };
    Ok(one_of(vec![then, Filter { parameter, test: Test::Missing(true) }]))
}

/// That something of one type in the compartment refers here, by each parameter by which it may.
fn references(
    (compartment, id): (CompartmentType, &LogicalId),
    source: ResourceType,
    target: ResourceType,
) -> impl Iterator<Item = Filter> {
    let criterion = membership(compartment, id, source);
    let leading = search_parameters(source)
        .iter()
        .copied()
        .filter(move |parameter| parameter.parameter_type == ParameterType::Reference && points_to(parameter, target));
    leading.filter_map(move |parameter| {
        let link = Link { resource_type: source, criterion: criterion.clone()? };
        Some(Filter { parameter, test: Test::ReverseChain(Box::new(link)) })
    })
}

/// The parameters of an operation as a Parameters resource gives them, in the form of a query (<https://hl7.org/fhir/R4/operations.html#request>).
pub fn pairs_of(parameters: &crate::json::Value) -> Result<Vec<(String, String)>, Issue> {
    use crate::json::Value;
    let wrong = |message: &str, place: String| Err(Issue::error(IssueType::Structure, message).at(place));
    if parameters.member("resourceType").and_then(Value::as_str) != Some("Parameters") {
        return wrong("The body of an operation is a Parameters resource.", "Parameters".to_owned());
    }
    let items = match parameters.member("parameter") {
        None => &[][..],
        Some(Value::Array(items)) if items.len() <= SearchQuery::MAXIMUM_PARAMETERS => items.as_slice(),
        Some(Value::Array(_)) => return Err(query::too_many()),
        Some(_) => return wrong("The parameters are an array.", "Parameters.parameter".to_owned()),
    };
    let mut pairs = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = format!("Parameters.parameter[{index}]");
        let value = item.as_object().and_then(|members| members.iter().find(|(name, _)| name.starts_with("value")));
        let text = value.and_then(|(_, value)| value.as_str().or_else(|| value.as_number()));
        let (Some(name), Some(text)) = (item.member("name").and_then(Value::as_str), text) else {
            return wrong("A parameter of this operation has a name and a primitive value.", place);
        };
        pairs.push((name.to_owned(), text.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::Handling;
    use super::*;
    use crate::json;

    fn everything(focus: &str, text: &str, handling: Handling) -> Result<SearchOfTypes, Vec<Issue>> {
        let pairs = query::parse(text.as_bytes())?;
        let context = SearchContext { base_url: "https://h", handling, now_ms: 0 };
        parse_everything(LocalReference::parse(focus).unwrap(), &pairs, &context).unwrap()
    }

    fn part<'a>(search: &'a SearchOfTypes, name: &str) -> Option<&'a SearchQuery> {
        search.parts.iter().find(|part| part.resource_type.name() == name)
    }

    #[test]
    fn parameters_that_the_operation_does_not_have_or_cannot_have_twice_are_refused() {
        for (focus, text, place) in [
            ("Patient/p", "start=x", "http.start"),
            ("Patient/p", "start=ge2020", "http.start"),
            ("Patient/p", "end=2020,2021", "http.end"),
            ("Patient/p", "start=2020&start=2021", "http.start"),
            ("Patient/p", "_since=yesterday", "http._since"),
            ("Patient/p", "_since=ge2020", "http._since"),
            ("Patient/p", "_type=Nothing", "http._type"),
            ("Patient/p", "_type=AuditEvent", "http._type"),
            ("Patient/p", "_type=ValueSet", "http._type"),
            ("Encounter/e", "_type=Immunization", "http._type"),
            ("Patient/p", "_count=-1", "http._count"),
            ("Patient/p", "_cursor=", "http._cursor"),
        ] {
            let issues = everything(focus, text, Handling::Lenient).expect_err(text);
            assert_eq!(issues[0].expression.as_deref(), Some(place), "{text} {issues:?}");
        }
        for (focus, text) in [("Patient/p", "code=x"), ("Encounter/e", "start=2020"), ("Patient/p", "_sort=date")] {
            assert!(everything(focus, text, Handling::Strict).is_err(), "{focus} {text}");
            assert_eq!(everything(focus, text, Handling::Lenient).unwrap().ignored.len(), 1, "{focus} {text}");
        }
        let context = SearchContext { base_url: "https://h", handling: Handling::Strict, now_ms: 0 };
        assert!(parse_everything(LocalReference::parse("Observation/o").unwrap(), &[], &context).is_none());
    }

    #[test]
    fn everything_is_the_compartment_and_the_directory_that_it_names_each_type_once() {
        let search = everything("Patient/p", "", Handling::Strict).unwrap();
        let mut types: Vec<ResourceType> = search.parts.iter().map(|part| part.resource_type).collect();
        assert!(types.is_sorted());
        types.dedup();
        assert_eq!(types.len(), search.parts.len());
        assert!(part(&search, "Patient").is_none() && part(&search, "AuditEvent").is_none() && search.with_focus);
        assert!(part(&search, "Observation").is_some() && part(&search, "Organization").is_some());
        let Test::Either(ways) = &part(&search, "Practitioner").unwrap().filters[0].test else { panic!("one way") };
        assert!(ways.iter().all(|way| matches!(way.test, Test::ReverseChain(_))) && ways.len() > 50, "{}", ways.len());
        let search = everything("Encounter/e", "", Handling::Strict).unwrap();
        assert!(part(&search, "Patient").is_some() && part(&search, "Encounter").is_none());
    }

    #[test]
    fn dates_are_those_of_care_and_what_has_none_is_in() {
        let search = everything("Patient/p", "start=2020&end=2021-02&_since=2019&_count=0", Handling::Strict).unwrap();
        assert_eq!((part(&search, "Observation").unwrap().filters.len(), search.count), (4, 1));
        let dated = &part(&search, "Observation").unwrap().filters[2];
        assert!(
            matches!(&dated.test, Test::Either(ways) if ways[0].parameter.code == "date" && ways[1].test == Test::Missing(true))
        );
        assert_eq!(part(&search, "Organization").unwrap().filters.len(), 2, "an organization has no date, and a change");
        let search = everything("Patient/p", "_type=Observation&_type=Condition", Handling::Strict).unwrap();
        assert!(search.named && !search.with_focus && search.parts.len() == 2);
        assert_eq!(search.self_link("https://h"), "https://h/Patient/p/$everything?_type=Observation&_type=Condition");
    }

    #[test]
    fn parameters_that_are_no_named_primitives_are_refused() {
        let read = |text: &str| pairs_of(&json::parse(text.as_bytes()).unwrap());
        for text in [
            "{}",
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Parameters","parameter":{}}"#,
            r#"{"resourceType":"Parameters","parameter":[1]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"start"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"valueDate":"2020"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"start","valuePeriod":{"start":"2020"}}]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let text = r#"{"resourceType":"Parameters","parameter":[{"name":"start","valueDate":"2020"},{"name":"_count","valueInteger":5}]}"#;
        assert_eq!(read(text).unwrap(), [("start".into(), "2020".into()), ("_count".into(), "5".into())]);
        assert_eq!(read(r#"{"resourceType":"Parameters"}"#).unwrap(), []);
    }
}
