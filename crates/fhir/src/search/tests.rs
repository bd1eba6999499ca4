//! Tables over the whole grammar, refusals first.

use super::*;
use crate::outcome::{Issue, IssueType};
use crate::query;
use crate::reference::LocalReference;

pub(super) const BASE: &str = "https://fhir.example/r4";

/// 2024-01-01T00:00:00Z
pub(super) const NOW: i64 = 1_704_067_200_000;

const DAY: i64 = 86_400_000;

pub(super) fn parse_as(resource_type: &str, text: &str, handling: Handling) -> Result<SearchQuery, Vec<Issue>> {
    let pairs = query::parse(text.as_bytes())?;
    let context = SearchContext { base_url: BASE, handling, now_ms: NOW };
    parse(ResourceType::parse(resource_type).unwrap(), &pairs, &context)
}

pub(super) fn strict(resource_type: &str, text: &str) -> SearchQuery {
    parse_as(resource_type, text, Handling::Strict).unwrap_or_else(|issues| panic!("{text}: {issues:?}"))
}

/// The test of the only filter.
pub(super) fn test_of(resource_type: &str, text: &str) -> Test {
    let query = strict(resource_type, text);
    assert_eq!(query.filters.len(), 1, "{text}");
    query.filters[0].test.clone()
}

/// Asserts that both handlings refuse the query with one issue at this place.
pub(super) fn assert_refused(resource_type: &str, text: &str, place: &str) {
    for handling in [Handling::Strict, Handling::Lenient] {
        let issues = parse_as(resource_type, text, handling).err().unwrap_or_else(|| panic!("{text} is accepted"));
        assert_eq!(issues.len(), 1, "{text}: {issues:?}");
        assert_eq!(issues[0].expression.as_deref(), Some(place), "{text}");
        assert!(!issues[0].diagnostics.is_empty());
    }
}

#[test]
fn wrong_values_of_known_parameters_are_refused_under_any_handling() {
    for (resource_type, text, place) in [
        ("Patient", "_id=a/b", "http._id"),
        ("Patient", "_id=", "http._id"),
        ("Patient", "_id=a,,b", "http._id"),
        ("Patient", "_id=a_b", "http._id"),
        ("Patient", "birthdate=2024-13", "http.birthdate"),
        ("Patient", "birthdate=xx2024", "http.birthdate"),
        ("Patient", "birthdate=2024-02-30", "http.birthdate"),
        ("Patient", "birthdate=2024-01-01T10:00:00%202:00", "http.birthdate"),
        ("Patient", "birthdate=", "http.birthdate"),
        ("Patient", "birthdate=eq", "http.birthdate"),
        ("Patient", "_lastUpdated=yesterday", "http._lastUpdated"),
        ("Patient", "name=", "http.name"),
        ("Patient", "name=%20", "http.name"),
        ("Patient", "name=a,", "http.name"),
        ("Patient", "name=a%5Cb", "http.name"),
        ("Patient", "name=...", "http.name"),
        ("Patient", "gender=", "http.gender"),
        ("Patient", "identifier=|", "http.identifier"),
        ("Patient", "identifier=a|b|c", "http.identifier"),
        ("Patient", "gender:missing=maybe", "http.gender"),
        ("Patient", "gender:missing=true,false", "http.gender"),
        ("RiskAssessment", "probability=1,2,x", "http.probability"),
        ("RiskAssessment", "probability=1e999", "http.probability"),
        ("RiskAssessment", "probability=NaN", "http.probability"),
        ("RiskAssessment", "probability=inf", "http.probability"),
        ("RiskAssessment", "probability=gt", "http.probability"),
        ("RiskAssessment", "probability=zz5", "http.probability"),
        ("Observation", "value-quantity=x", "http.value-quantity"),
        ("Observation", "value-quantity=5|mg", "http.value-quantity"),
        ("Observation", "value-quantity=5||", "http.value-quantity"),
        ("Observation", "value-quantity=5|a|b|c", "http.value-quantity"),
        ("Observation", "value-quantity=|a|b", "http.value-quantity"),
        ("Observation", "subject=Foo/1", "http.subject"),
        ("Observation", "subject=Patient/", "http.subject"),
        ("Observation", "subject=Patient/a/b", "http.subject"),
        ("Observation", "subject=%23p", "http.subject"),
        ("Observation", "subject:Patient=Group/1", "http.subject"),
        ("Observation", "subject:identifier=|", "http.subject"),
        ("Observation", "code-value-quantity=a", "http.code-value-quantity"),
        ("Observation", "code-value-quantity=a$", "http.code-value-quantity"),
        ("Observation", "code-value-quantity=$1", "http.code-value-quantity"),
        ("Observation", "code-value-quantity=a$x", "http.code-value-quantity"),
        ("Observation", "code-value-quantity=a$1$2", "http.code-value-quantity"),
        ("Observation", "code-value-quantity=a$1,", "http.code-value-quantity"),
        ("Observation", r"code-value-quantity=a\$1", "http.code-value-quantity"),
        ("Observation", "code-value-quantity:missing=true", "http.code-value-quantity"),
    ] {
        assert_refused(resource_type, text, place);
    }
}

#[test]
fn unknown_modifiers_of_known_parameters_are_refused_under_any_handling() {
    for (resource_type, text, place) in [
        ("Patient", "name:foo=a", "http.name"),
        ("Patient", "name:=a", "http.name"),
        ("Patient", "name:not=a", "http.name"),
        ("Patient", "name:Exact=a", "http.name"),
        ("Patient", "gender:exact=male", "http.gender"),
        ("Patient", "gender:in=http://x", "http.gender"),
        ("Patient", "gender:not-in=http://x", "http.gender"),
        ("Patient", "identifier:of-type=a|b|c", "http.identifier"),
        ("Patient", "birthdate:exact=2024", "http.birthdate"),
        ("Patient", "_id:not=a", "http._id"),
        ("Patient", "_id:exact=a", "http._id"),
        ("Patient", "_lastUpdated:exact=2024", "http._lastUpdated"),
        ("Patient", "_id:missing=a", "http._id"),
        ("Patient", "_count:x=1", "http._count"),
        ("Patient", "_sort:asc=name", "http._sort"),
        ("Patient", "_summary:x=true", "http._summary"),
        ("Patient", "_include:foo=Patient:organization", "http._include"),
        ("Patient", "_revinclude:Iterate=Observation:subject", "http._revinclude"),
        ("Observation", "subject:Organization=1", "http.subject"),
        ("Observation", "subject:patient=1", "http.subject"),
        ("Observation", "subject:above=1", "http.subject"),
        ("Observation", "subject:Patient:exact=1", "http.subject"),
        ("Observation", "code:below=1", "http.code"),
        ("Observation", "value-quantity:not=1", "http.value-quantity"),
        ("RiskAssessment", "probability:exact=1", "http.probability"),
        ("ValueSet", "url:exact=http://x", "http.url"),
    ] {
        assert_refused(resource_type, text, place);
    }
}

#[test]
fn wrong_result_parameters_are_refused_under_any_handling() {
    for (text, place) in [
        ("_count=-1", "http._count"),
        ("_count=", "http._count"),
        ("_count=ten", "http._count"),
        ("_count=1.5", "http._count"),
        ("_count=%2B5", "http._count"),
        ("_sort=", "http._sort"),
        ("_sort=code,", "http._sort"),
        ("_sort=--code", "http._sort"),
        ("_sort=nothing", "http._sort"),
        ("_sort=code,-code", "http._sort"),
        ("_sort=code-value-quantity", "http._sort"),
        ("_total=some", "http._total"),
        ("_summary=", "http._summary"),
        ("_summary=True", "http._summary"),
        ("_elements=", "http._elements"),
        ("_elements=status,nothing", "http._elements"),
        ("_elements=_status", "http._elements"),
        ("_elements=component.code", "http._elements"),
        ("_cursor=", "http._cursor"),
        ("_format=ttl", "http._format"),
        ("_format=text/turtle", "http._format"),
        ("_include=", "http._include"),
        ("_include=Observation", "http._include"),
        ("_include=Observation:nothing", "http._include"),
        ("_include=Observation:code", "http._include"),
        ("_include=observation:subject", "http._include"),
        ("_include=Observation:subject:Organization", "http._include"),
        ("_include=Observation:subject:Patient:x", "http._include"),
        ("_include=Patient:organization", "http._include"),
        ("_revinclude=Provenance:agent", "http._revinclude"),
        ("_revinclude=Provenance:target:Patient", "http._revinclude"),
        ("_revinclude=Nothing:target", "http._revinclude"),
        ("_include=Patient:*", "http._include"),
        ("_include=Nothing:*", "http._include"),
        ("_include=*:*", "http._include"),
        ("_include=*:subject", "http._include"),
        ("_include=Observation:*:*", "http._include"),
        ("_revinclude=Schedule:*:Patient", "http._revinclude"),
        ("_revinclude=HealthcareService:*", "http._revinclude"),
    ] {
        assert_refused("Observation", text, place);
    }
    assert_refused("Observation", &format!("_cursor={}", "a".repeat(SearchQuery::MAXIMUM_CURSOR_LENGTH + 1)), "http._cursor");
}

#[test]
fn contradictions_and_repetitions_are_refused() {
    for (text, place) in [
        ("_sort=code&_sort=date", "http._sort"),
        ("_count=1&_count=1", "http._count"),
        ("_total=none&_total=accurate", "http._total"),
        ("_summary=true&_summary=true", "http._summary"),
        ("_elements=status&_elements=code", "http._elements"),
        ("_cursor=a&_cursor=b", "http._cursor"),
        ("_elements=status&_summary=true", "http._elements"),
        ("_summary=false&_elements=status", "http._elements"),
        ("_summary=text&_include=Observation:subject", "http._summary"),
        ("_revinclude=Provenance:target&_summary=text", "http._summary"),
        ("_count=0&_total=none", "http._total"),
        ("_total=none&_summary=count", "http._total"),
    ] {
        assert_refused("Observation", text, place);
    }
}

#[test]
fn too_many_alternatives_and_parameters_are_refused() {
    let alternatives = "a,".repeat(SearchQuery::MAXIMUM_ALTERNATIVES) + "a";
    assert_refused("Patient", &format!("_id={alternatives}"), "http._id");
    let pair = ("name".to_owned(), "a".to_owned());
    let context = SearchContext { base_url: BASE, handling: Handling::Lenient, now_ms: NOW };
    let pairs = vec![pair; SearchQuery::MAXIMUM_PARAMETERS + 1];
    assert_eq!(parse(ResourceType::PATIENT, &pairs, &context).unwrap_err()[0].code, IssueType::TooLong);
    assert!(parse(ResourceType::PATIENT, &pairs[1..], &context).is_ok());
}

#[test]
fn every_problem_is_named_and_not_only_the_first() {
    let issues = parse_as("Patient", "birthdate=x&name:foo=a&_count=-1&gender=male", Handling::Lenient).unwrap_err();
    let places: Vec<_> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
    assert_eq!(places, ["http.birthdate", "http.name", "http._count"]);
}

#[test]
fn what_is_not_understood_is_an_error_when_strict_and_named_when_lenient() {
    for (name, place) in [
        ("nothing", "http.nothing"),
        ("nothing:exact", "http.nothing"),
        ("_text", "http._text"),
        ("_content", "http._content"),
        ("_filter", "http._filter"),
        ("_list", "http._list"),
        ("_query", "http._query"),
        ("_has:AuditEvent:entity:agent", "http._has"),
        ("_has:Observation:has-member:_has:AuditEvent:entity:agent", "http._has"),
        ("_has:Observation:has-member:nothing", "http._has"),
        ("nothing.name", "http.nothing.name"),
        ("subject.nothing", "http.subject.nothing"),
        ("subject:Patient.nothing", "http.subject"),
        ("_count.x", "http._count.x"),
        ("_has.x", "http._has.x"),
        ("_Count", "http._Count"),
        ("Code", "http.Code"),
        ("code ", "http.code "),
    ] {
        let text = format!("{}=x&status=final", name.replace(' ', "+"));
        let issues = parse_as("Observation", &text, Handling::Strict).unwrap_err();
        assert_eq!(issues.len(), 1, "{name}");
        assert_eq!((issues[0].code, issues[0].expression.as_deref()), (IssueType::NotSupported, Some(place)));
        let query = parse_as("Observation", &text, Handling::Lenient).unwrap();
        assert_eq!(query.ignored.len(), 1, "{name}");
        assert_eq!(query.ignored[0].parameter, name);
        assert_eq!(query.applied, [("status".to_owned(), "final".to_owned())]);
        assert_eq!((query.filters.len(), query.includes.len(), query.reverse_includes.len()), (1, 0, 0), "{name}");
    }
}

#[test]
fn a_composite_is_both_of_its_criteria() {
    let one = strict("Observation", "code-value-quantity=s|a$gt5.4|u|mg");
    assert_eq!(one.filters, strict("Observation", "code=s|a&value-quantity=gt5.4|u|mg").filters);
    let Test::Pairs(pairs) = test_of("Observation", r"code-value-concept=a\,b$c,d\$e$|f") else { panic!("no pairs") };
    let tests: Vec<Test> = pairs.iter().flatten().map(|filter| filter.test.clone()).collect();
    let single = |system, code| Test::Token(vec![token(system, Some(code))]);
    assert_eq!(tests, [single(None, "a,b"), single(None, "c"), single(None, "d$e"), single(Some(""), "f")]);
    assert_eq!(pairs[0][0].parameter.code, "code");
    assert_eq!(pairs[0][1].parameter.code, "value-concept");
}

#[test]
fn a_composite_over_elements_keeps_its_criteria_together() {
    let Test::Components(alternatives) = test_of("Observation", r"component-code-value-quantity=l|s$gt140,d$le90||mm\$") else {
        panic!("no components")
    };
    let [first, second] = alternatives.as_slice() else { panic!("{alternatives:?}") };
    let codes: Vec<&str> = first.iter().map(|filter| filter.parameter.code).collect();
    assert_eq!(codes, ["component-code", "component-value-quantity"]);
    assert_eq!(first[0].test, Test::Token(vec![token(Some("l"), Some("s"))]));
    assert_eq!(first[1].test, test_of("Observation", "component-value-quantity=gt140"));
    assert_eq!(second[1].test, test_of("Observation", r"component-value-quantity=le90||mm\$"));
    let Test::Either(either) = test_of("Observation", "combo-code-value-concept=a$b") else { panic!("not either") };
    let codes: Vec<&str> = either.iter().map(|filter| filter.parameter.code).collect();
    assert_eq!(codes, ["code-value-concept", "component-code-value-concept"]);
    let Test::Components(alternatives) = test_of("MolecularSequence", "chromosome-variant-coordinate=1$lt345$gt123") else {
        panic!("no components")
    };
    assert_eq!(alternatives[0].len(), 3);
}

#[test]
fn composites_refuse_modifiers_and_other_numbers_of_components() {
    for (resource_type, text) in [
        ("Observation", "component-code-value-quantity:missing=true"),
        ("Observation", "code-value-quantity:not=a$1"),
        ("Observation", "combo-code-value-quantity:text=a$1"),
        ("Observation", "component-code-value-quantity=a"),
        ("Observation", "component-code-value-quantity=a$1$2"),
        ("Observation", r"component-code-value-quantity=a\$1"),
        ("Observation", "component-code-value-quantity=a$b"),
        ("Observation", "component-code-value-quantity=$1"),
        ("Observation", "component-code-value-quantity=a$"),
        ("Observation", "component-code-value-quantity=a$1,"),
        ("MolecularSequence", "chromosome-variant-coordinate=1$2"),
        ("DocumentReference", "relationship=a b$replaces"),
    ] {
        // Wrong under any handling: what is known and wrong is never ignored.
        assert!(parse_as(resource_type, text, Handling::Lenient).is_err(), "{text}");
    }
}

#[test]
fn a_wildcard_stands_for_every_reference_parameter_that_leads_there_once() {
    let codes = |includes: &[Include]| includes.iter().map(|include| include.parameter.code).collect::<Vec<_>>();
    let carin = strict("ExplanationOfBenefit", "_include=ExplanationOfBenefit:*");
    for code in ["care-team", "coverage", "insurer", "patient", "payee", "provider"] {
        assert!(codes(&carin.includes).contains(&code), "{code}");
    }
    assert!(!codes(&carin.includes).contains(&"identifier"));
    let both = strict("ExplanationOfBenefit", "_include=ExplanationOfBenefit:insurer&_include=ExplanationOfBenefit:*");
    assert_eq!(both.includes.len(), carin.includes.len());
    let reverse = strict("Observation", "_revinclude=Provenance:*");
    assert_eq!(codes(&reverse.reverse_includes), ["entity", "target"]);
    let patients = strict("Observation", "_include=Observation:*:Patient");
    assert_eq!(codes(&patients.includes), ["focus", "patient", "performer", "subject"]);
    assert!(patients.includes.iter().all(|include| include.target == Some(ResourceType::PATIENT)));
    let many: Vec<String> = ResourceType::all().map(|name| format!("_revinclude={name}:*")).take(60).collect();
    let issues = parse_as("Patient", &many.join("&"), Handling::Lenient).unwrap_err();
    assert!(issues.iter().any(|issue| issue.code == IssueType::TooLong), "{issues:?}");
}

fn token(system: Option<&str>, code: Option<&str>) -> TokenMatch {
    TokenMatch { system: system.map(Into::into), code: code.map(Into::into) }
}

fn local(resource_type: ResourceType, id: &str) -> ReferenceMatch {
    ReferenceMatch::Exact(Reference::Local(LocalReference { resource_type, id: LogicalId::parse(id).unwrap() }))
}

#[test]
fn tokens_strings_and_uris_take_their_modifiers() {
    for (resource_type, text, expected) in [
        ("Patient", "gender=male,|x", Test::Token(vec![token(None, Some("male")), token(Some(""), Some("x"))])),
        ("Patient", "identifier=urn:s|", Test::Token(vec![token(Some("urn:s"), None)])),
        ("Patient", r"identifier=s|a\,b", Test::Token(vec![token(Some("s"), Some("a,b"))])),
        ("Patient", "gender:not=male", Test::TokenNot(vec![token(None, Some("male"))])),
        ("Observation", "code:text=Heart", Test::TokenText(vec!["heart".into()])),
        ("Patient", "gender:missing=true", Test::Missing(true)),
        ("Observation", "subject:missing=false", Test::Missing(false)),
        ("Observation", "date:missing=false", Test::Missing(false)),
        ("Patient", "_tag=s|t", Test::Token(vec![token(Some("s"), Some("t"))])),
        ("Patient", "_security=R", Test::Token(vec![token(None, Some("R"))])),
        ("Patient", "name=Ann,BOB", Test::StringStarts(vec!["ann".into(), "bob".into()])),
        ("Patient", "name:contains=nN", Test::StringContains(vec!["nn".into()])),
        ("Patient", "name:exact=Ann-M.", Test::StringExact(vec!["Ann-M.".into()])),
        ("ValueSet", "url=http://x/y", Test::Uri(vec!["http://x/y".into()])),
        ("ValueSet", "url:below=http://x/y", Test::UriBelow(vec!["http://x/y".into()])),
        ("ValueSet", "url:above=http://x/y", Test::UriAbove(vec!["http://x/y".into()])),
        ("Patient", "_profile=http://x/p", Test::Uri(vec!["http://x/p".into()])),
        ("Patient", "_source=http://x/s", Test::Uri(vec!["http://x/s".into()])),
        ("Patient", "_id=a,b", Test::Id(["a", "b"].map(|id| LogicalId::parse(id).unwrap()).to_vec())),
    ] {
        assert_eq!(test_of(resource_type, text), expected, "{text}");
    }
}

#[test]
fn references_take_ids_types_and_urls() {
    let absolute = |url: &str| ReferenceMatch::Exact(Reference::Absolute(url.into()));
    for (text, expected) in [
        ("subject=1", ReferenceMatch::AnyType(LogicalId::parse("1").unwrap())),
        ("subject=Patient/1", local(ResourceType::PATIENT, "1")),
        ("subject:Patient=1", local(ResourceType::PATIENT, "1")),
        ("subject:Patient=Patient/1", local(ResourceType::PATIENT, "1")),
        ("patient=1", local(ResourceType::PATIENT, "1")),
        ("subject=https://fhir.example/r4/Patient/1", local(ResourceType::PATIENT, "1")),
        ("subject=https://other.example/r4/Patient/1", absolute("https://other.example/r4/Patient/1")),
        ("subject=urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", absolute("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7")),
    ] {
        assert_eq!(test_of("Observation", text), Test::Reference(vec![expected]), "{text}");
    }
    let identifier = Test::ReferenceIdentifier(vec![token(Some("http://x"), Some("1"))]);
    assert_eq!(test_of("Observation", "subject:identifier=http://x|1"), identifier);
}

#[test]
fn numbers_and_quantities_have_the_range_of_their_precision() {
    let Test::Number(numbers) = test_of("RiskAssessment", "probability=0.50,gt1,ap100") else { panic!("no number") };
    let close = |left: f64, right: f64| (left - right).abs() < 1e-9;
    for (number, (prefix, value, low, high)) in
        numbers.iter().zip([(Prefix::Eq, 0.5, 0.495, 0.505), (Prefix::Gt, 1.0, 0.5, 1.5), (Prefix::Ap, 100.0, 90.0, 110.0)])
    {
        assert_eq!(number.prefix, prefix);
        assert!(close(number.value, value) && close(number.low, low) && close(number.high, high), "{number:?}");
    }
    let Test::Number(numbers) = test_of("RiskAssessment", "probability=ap-100,ap0") else { panic!("no number") };
    assert!(close(numbers[0].low, -110.0) && close(numbers[0].high, -90.0));
    assert!(close(numbers[1].low, -0.5) && close(numbers[1].high, 0.5));
    for (text, system, code) in [
        ("value-quantity=5.4", None, None),
        ("value-quantity=le5.4|http://unitsofmeasure.org|mg", Some("http://unitsofmeasure.org"), Some("mg")),
        ("value-quantity=5.4||mg", None, Some("mg")),
        ("value-quantity=5.4|http://unitsofmeasure.org|", Some("http://unitsofmeasure.org"), None),
    ] {
        let Test::Quantity(quantities) = test_of("Observation", text) else { panic!("no quantity") };
        assert_eq!((quantities[0].system.as_deref(), quantities[0].code.as_deref()), (system, code), "{text}");
        assert!(close(quantities[0].number.value, 5.4));
    }
}

#[test]
fn dates_have_every_prefix_and_approximation_widens_towards_now() {
    for letters in ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"] {
        let Test::Date(dates) = test_of("Patient", &format!("birthdate={letters}2023-12-31")) else { panic!("no date") };
        let expected = DateMatch { prefix: Prefix::parse(letters).unwrap(), low: NOW - DAY, high: NOW };
        assert_eq!(dates, [expected]);
        assert_eq!(expected.prefix.as_str(), letters);
    }
    for (text, low, high) in [
        // Now lies at the end of the day, within the day, ten days after the end, ten days before the start.
        ("ap2023-12-31", NOW - DAY, NOW),
        ("ap2024-01-01", NOW, NOW + DAY),
        ("ap2023-12-21", NOW - 11 * DAY - DAY, NOW - 10 * DAY + DAY),
        ("ap2024-01-11", NOW + 10 * DAY - DAY, NOW + 11 * DAY + DAY),
    ] {
        let Test::Date(dates) = test_of("Patient", &format!("birthdate={text}")) else { panic!("no date") };
        assert_eq!((dates[0].low, dates[0].high), (low, high), "{text}");
    }
    let updated = DateMatch { prefix: Prefix::Ge, low: NOW, high: NOW + 60_000 };
    assert_eq!(test_of("Patient", "_lastUpdated=ge2024-01-01T00:00Z"), Test::LastUpdated(vec![updated]));
}

#[test]
fn result_parameters_are_understood() {
    let query = strict(
        "Observation",
        "_count=5&_sort=-date,_id&_total=accurate&_elements=status,value,valueQuantity&_format=application/fhir+json\
         &_include=Observation:subject:Patient&_include=Observation:subject:Patient&_revinclude=Provenance:target&_cursor=abc",
    );
    assert_eq!((query.count, query.total, query.cursor.as_deref()), (5, Total::Accurate, Some("abc")));
    assert_eq!(query.shape, Shape::Elements(vec!["status".into(), "value[x]".into()]));
    let sort: Vec<_> = query.sort.iter().map(|key| (key.parameter.code, key.descending)).collect();
    assert_eq!(sort, [("date", true), ("_id", false)]);
    assert_eq!((query.includes.len(), query.reverse_includes.len()), (1, 1));
    assert_eq!(query.includes[0].target, Some(ResourceType::PATIENT));
    assert_eq!(query.reverse_includes[0].source, ResourceType::PROVENANCE);
    assert!(query.applied.iter().all(|(name, _)| name != "_cursor"));
    assert_eq!(query.applied.len(), 8);
}

#[test]
fn a_count_is_bounded_and_zero_asks_for_the_total() {
    assert_eq!(strict("Patient", "").count, SearchQuery::DEFAULT_COUNT);
    for huge in ["1001", "4294967296", "99999999999999999999999999"] {
        assert_eq!(strict("Patient", &format!("_count={huge}")).count, SearchQuery::MAXIMUM_COUNT);
    }
    let zero = strict("Patient", "_count=0");
    assert_eq!((zero.count, zero.total), (0, Total::Accurate));
    let summary = strict("Patient", "_summary=count");
    assert_eq!((summary.shape, summary.total), (Shape::Count, Total::Accurate));
    assert_eq!(strict("Patient", "_count=1").total, Total::None);
}

#[test]
fn the_self_link_shows_what_was_understood_and_escapes_it() {
    let query = parse_as("Patient", "name=a%26b%3Dc+d&nothing=1&identifier=s|x&_cursor=c&_count=2", Handling::Lenient).unwrap();
    let link = "https://fhir.example/r4/Patient?name=a%26b%3Dc%20d&identifier=s%7Cx&_count=2";
    assert_eq!(query.self_link(BASE), link);
    assert_eq!(SearchQuery::page_link(link, "x+y"), format!("{link}&_cursor=x%2By"));
    assert_eq!(strict("Patient", "").self_link(BASE), "https://fhir.example/r4/Patient");
    assert_eq!(SearchQuery::page_link("https://fhir.example/r4/Patient", "x"), "https://fhir.example/r4/Patient?_cursor=x");
}

#[test]
fn canonical_bytes_differ_where_the_meaning_does_and_only_there() {
    let queries = [
        "",
        "name=a",
        "name=b",
        "name=a,b",
        "name=a&name=b",
        "name:exact=a",
        "name:contains=a",
        "family=a",
        "name:missing=true",
        "name:missing=false",
        "gender=a",
        "gender=|a",
        "gender=a|",
        "gender:not=a",
        "birthdate=2024",
        "birthdate=2024-01",
        "birthdate=gt2024",
        "birthdate=ap2024",
        "birthdate=ap2023",
        "_sort=name",
        "_sort=-name",
        "_total=accurate",
        "_summary=true",
        "_elements=name",
        "_elements=name,gender",
        "_include=Patient:organization",
        "_revinclude=Observation:subject",
        "_revinclude=Observation:subject:Patient",
        "general-practitioner=a",
        "general-practitioner=Practitioner/a",
        "general-practitioner=urn:a",
        "general-practitioner:identifier=a",
    ];
    let forms: Vec<_> = queries.iter().map(|text| strict("Patient", text).canonical()).collect();
    for (position, form) in forms.iter().enumerate() {
        assert!(!forms[..position].contains(form), "{}", queries[position]);
    }
    for (left, right) in [
        ("name=Ann&_count=1", "_cursor=x&name=ann&_format=json"),
        ("general-practitioner:Practitioner=a", "general-practitioner=https://fhir.example/r4/Practitioner/a"),
    ] {
        assert_eq!(strict("Patient", left).canonical(), strict("Patient", right).canonical());
    }
    assert_ne!(strict("Patient", "").canonical(), strict("Person", "").canonical());
}

#[test]
fn canonical_bytes_do_not_change_while_time_goes_on() {
    let pairs = [("birthdate".to_owned(), "ap1990-05".to_owned())];
    let at = |now_ms| {
        let context = SearchContext { base_url: BASE, handling: Handling::Strict, now_ms };
        parse(ResourceType::PATIENT, &pairs, &context).unwrap()
    };
    assert_ne!(at(NOW).filters, at(NOW + DAY).filters);
    assert_eq!(at(NOW).canonical(), at(NOW + DAY).canonical());
}

#[test]
fn audit_events_are_searched_by_what_their_index_has_and_by_nothing_else() {
    for (text, place) in [
        ("type=rest", "http.type"),
        ("address=127", "http.address"),
        ("_tag=x", "http._tag"),
        ("_include=AuditEvent:agent", "http._include"),
        ("_revinclude=Provenance:target", "http._revinclude"),
    ] {
        let issues = parse_as("AuditEvent", text, Handling::Strict).unwrap_err();
        assert_eq!((issues.len(), issues[0].expression.as_deref()), (1, Some(place)), "{text}");
        assert!(issues[0].diagnostics.ends_with('.') && !issues[0].diagnostics.contains("altid"), "{issues:?}");
        let query = parse_as("AuditEvent", text, Handling::Lenient).unwrap();
        assert_eq!((query.filters.len(), query.includes.len(), query.applied.len(), query.ignored.len()), (0, 0, 0, 1), "{text}");
    }
    for (text, place) in [
        ("patient:missing=true", "http.patient"),
        ("date:missing=false", "http.date"),
        ("action:text=x", "http.action"),
        ("entity:identifier=x", "http.entity"),
        ("_sort=action", "http._sort"),
        ("_sort=date,_id", "http._sort"),
    ] {
        assert_refused("AuditEvent", text, place);
    }
    strict(
        "AuditEvent",
        "_id=a&_lastUpdated=2024&action:not=C&agent:identifier=x&date=2024&entity=Patient/a&outcome=0&patient=a&subtype=AuthZ-Consent",
    );
}

#[test]
fn the_self_link_shows_the_page_size_as_it_is_bounded() {
    for sent in ["1000000", "99999999999999999999", "01000"] {
        assert_eq!(strict("Patient", &format!("_count={sent}")).self_link(BASE), format!("{BASE}/Patient?_count=1000"), "{sent}");
    }
    assert_eq!(strict("Patient", "_count=7").self_link(BASE), format!("{BASE}/Patient?_count=7"));
}

#[test]
fn a_wildcard_without_a_type_stands_for_every_reference_and_counts_as_one() {
    let forward = strict("Observation", "_include=*");
    assert_eq!(forward.includes, strict("Observation", "_include=Observation:*").includes);
    let reverse = strict("Patient", "_revinclude=*");
    assert!(reverse.reverse_includes.len() > SearchQuery::MAXIMUM_INCLUDES, "{}", reverse.reverse_includes.len());
    let has = |source: &str, code: &str| {
        let leads = |include: &Include| include.source.name() == source && include.parameter.code == code;
        reverse.reverse_includes.iter().any(leads)
    };
    assert!(has("Observation", "subject") && has("Provenance", "target") && has("Patient", "link"));
    assert!(!has("AuditEvent", "patient") && !has("Observation", "encounter"));
    assert_eq!(strict("Patient", "_include=*&_revinclude=*&_revinclude=*").reverse_includes, reverse.reverse_includes);
    for text in ["_include:iterate=*", "_revinclude:iterate=*", "_include=*:*"] {
        let place = format!("http.{}", text.split([':', '=']).next().unwrap());
        assert_refused("Patient", text, &place);
    }
}
