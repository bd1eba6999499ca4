//! Criteria that one resource decides by itself: the part of a SMART scope behind the question mark.
//!
//! SMART App Launch 2.2.0, "Finer-grained resource constraints using search parameters". The text means what the same text means as the query of a
//! search of that type. Several parameters must all hold, one of several values with commas must. What does not depend on this one resource alone
//! (chains, `_has`, absolute references, `ap` on dates, result parameters), and what is stored beside the content (`_id`, `_lastUpdated`), makes the
//! whole text not understood: then there is no [`Qualifier`].

use std::collections::BTreeSet;
use std::fmt;

use crate::definitions::{ParameterType, SearchParameter};
use crate::index::{self, IndexEntry, IndexValue, fold_code};
use crate::json;
use crate::labels::Security;
use crate::query;
use crate::redaction;
use crate::reference::Reference;
use crate::search::{self, DateMatch, Filter, Handling, Prefix, ReferenceMatch, SearchContext, SearchQuery, Test, TokenMatch};
use crate::types::ResourceType;

/// Criteria about one resource, completely understood. Two are equal where they mean the same, however they were written.
#[derive(Clone)]
pub struct Qualifier {
    resource_type: ResourceType,
    filters: Vec<Filter>,
    /// What each criterion means, without the order and spelling in which it was written; sorted, each once.
    meanings: Vec<Meaning>,
}

/// A criterion: whether the alternatives are excluded, and the alternatives as bytes that are equal where these mean the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Meaning {
    parameter: u16,
    excludes: bool,
    alternatives: BTreeSet<Vec<u8>>,
}

impl Qualifier {
    /// The criteria in a query text (percent-encoded, without the question mark); `None` where any part of it is not fully understood.
    pub fn parse(resource_type: ResourceType, text: &str) -> Option<Self> {
        // The audit trail is no part of the tables that searches of other types use.
        if resource_type == ResourceType::AUDIT_EVENT || text.split('&').any(str::is_empty) {
            return None;
        }
        let pairs = query::parse(text.as_bytes()).ok()?;
        if pairs.iter().any(|(name, value)| name.chars().chain(value.chars()).any(char::is_control)) {
            return None;
        }
        let context = SearchContext { base_url: "", handling: Handling::Strict, now_ms: 0 };
        let understood = search::parse(resource_type, &pairs, &context).ok()?;
        // Whatever is not a criterion (a result parameter, an include) is one filter too few.
        if understood.filters.is_empty()
            || understood.filters.len() != pairs.len()
            || !understood.filters.iter().all(stands_alone)
        {
            return None;
        }
        let meanings: BTreeSet<Meaning> = understood.filters.iter().map(|filter| meaning(&understood, filter)).collect();
        Some(Self { resource_type, filters: understood.filters, meanings: meanings.into_iter().collect() })
    }

    /// The type that it is about.
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The criteria, all of which must hold.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether whatever this admits is admitted by `wider` for sure.
    pub fn implies(&self, wider: &Self) -> bool {
        let narrower = |own: &Meaning, other: &Meaning| {
            own.parameter == other.parameter
                && own.excludes == other.excludes
                && if own.excludes {
                    own.alternatives.is_superset(&other.alternatives)
                } else {
                    own.alternatives.is_subset(&other.alternatives)
                }
        };
        self.resource_type == wider.resource_type
            && wider.meanings.iter().all(|other| self.meanings.iter().any(|own| narrower(own, other)))
    }

    /// Of which resources nobody can say whether it admits them, as bits of [`Security::column`]: a criterion that is fulfilled by what is not there, where not everything is
    /// told, and one about times, where these are coarse.
    pub fn undecided(&self) -> i64 {
        let bits = self.filters.iter().map(|filter| match filter.test {
            Test::TokenNot(_) | Test::Missing(true) => Security::NOT_TOLD,
            Test::Date(_) => Security::COARSE,
            _ => 0,
        });
        bits.fold(0, |all, bits| all | bits)
    }

    /// Whether a resource of the type with these index entries fulfils every criterion.
    pub fn admits(&self, entries: &[IndexEntry]) -> bool {
        self.filters.iter().all(|filter| holds(filter, entries))
    }
}

/// The index entries of a stored body that these criteria look at, as they were derived when it was stored. `None` where it is no JSON, or of another type
/// than one of the criteria.
pub fn entries<'a>(
    criteria: impl Iterator<Item = &'a Qualifier> + Clone,
    body: &[u8],
    base_url: &str,
) -> Option<Vec<IndexEntry>> {
    let Some(resource_type) = criteria.clone().next().map(|qualifier| qualifier.resource_type) else { return Some(Vec::new()) };
    let keys: Vec<u16> = criteria.clone().flat_map(|qualifier| &qualifier.filters).map(|filter| filter.parameter.key).collect();
    let asked = |parameter: &SearchParameter| keys.contains(&parameter.key);
    // A page has many bodies of which the criteria look at one member.
    let body = json::parse_members(body, index::looks_at(resource_type, asked))?;
    let is_of_type = body.member("resourceType")?.as_str()? == resource_type.name();
    if !is_of_type || criteria.clone().any(|qualifier| qualifier.resource_type != resource_type) {
        return None;
    }
    let indexable = redaction::indexable(&body);
    let body = indexable.as_ref().unwrap_or(&body);
    Some(index::extract_some((body, resource_type), base_url, asked))
}

impl PartialEq for Qualifier {
    fn eq(&self, other: &Self) -> bool {
        self.resource_type == other.resource_type && self.meanings == other.meanings
    }
}

impl Eq for Qualifier {}

impl fmt::Debug for Qualifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let criteria = self.filters.iter().map(|filter| (filter.parameter.code, &filter.test));
        write!(formatter, "{} ", self.resource_type)?;
        formatter.debug_map().entries(criteria).finish()
    }
}

/// Whether the content of one resource decides a criterion, and decides it the same way at any time.
fn stands_alone(filter: &Filter) -> bool {
    use ParameterType::{Date, Reference as Referring, String, Token, Uri};
    let in_content = !(filter.parameter.base.is_none() && matches!(filter.parameter.code, "_id" | "_lastUpdated"));
    let kind = filter.parameter.parameter_type;
    in_content
        && match &filter.test {
            Test::Missing(_) => matches!(kind, Token | String | Referring | Date | Uri),
            Test::Token(_) | Test::TokenNot(_) => kind == Token,
            Test::StringStarts(_) | Test::StringContains(_) | Test::StringExact(_) => kind == String,
            Test::Uri(_) => kind == Uri,
            Test::Reference(alternatives) => {
                alternatives.iter().all(|one| matches!(one, ReferenceMatch::Exact(Reference::Local(_))))
            }
            Test::Date(alternatives) => alternatives.iter().all(|one| one.prefix != Prefix::Ap),
            _ => false,
        }
}

fn meaning(query: &SearchQuery, filter: &Filter) -> Meaning {
    let bytes = |test: Test| {
        let filters = vec![Filter { parameter: filter.parameter, test }];
        SearchQuery { filters, ..query.clone() }.canonical()
    };
    let tests: Vec<Test> = match &filter.test {
        Test::Token(items) => items.iter().map(|item| Test::Token(vec![folded(item)])).collect(),
        Test::TokenNot(items) => items.iter().map(|item| Test::TokenNot(vec![folded(item)])).collect(),
        Test::StringStarts(items) => items.iter().map(|item| Test::StringStarts(vec![item.clone()])).collect(),
        Test::StringContains(items) => items.iter().map(|item| Test::StringContains(vec![item.clone()])).collect(),
        Test::StringExact(items) => items.iter().map(|item| Test::StringExact(vec![item.clone()])).collect(),
        Test::Uri(items) => items.iter().map(|item| Test::Uri(vec![item.clone()])).collect(),
        Test::Reference(items) => items.iter().map(|item| Test::Reference(vec![item.clone()])).collect(),
        Test::Date(items) => items.iter().map(|item| Test::Date(vec![*item])).collect(),
        other => vec![other.clone()],
    };
    Meaning {
        parameter: filter.parameter.key,
        excludes: matches!(filter.test, Test::TokenNot(_)),
        alternatives: tests.into_iter().map(bytes).collect(),
    }
}

/// The token as it is compared.
fn folded(token: &TokenMatch) -> TokenMatch {
    TokenMatch { system: token.system.clone(), code: token.code.as_deref().map(|code| fold_code(code).as_ref().into()) }
}

fn holds(filter: &Filter, entries: &[IndexEntry]) -> bool {
    let any = |test: &dyn Fn(&IndexValue) -> bool| {
        entries.iter().filter(|entry| entry.parameter.key == filter.parameter.key).any(|entry| test(&entry.value))
    };
    match &filter.test {
        Test::Missing(missing) => any(&|value| is_present(value)) != *missing,
        Test::Token(wanted) => any(&|value| wanted.iter().any(|one| is_token(one, value))),
        Test::TokenNot(unwanted) => !any(&|value| unwanted.iter().any(|one| is_token(one, value))),
        Test::StringStarts(texts) => any(&|value| {
            let starts = |normalised: &str| texts.iter().any(|text| normalised.starts_with(&**text));
            matches!(value, IndexValue::String { normalised, .. } if starts(normalised))
        }),
        Test::StringContains(texts) => any(&|value| {
            let contains = |normalised: &str| texts.iter().any(|text| normalised.contains(&**text));
            matches!(value, IndexValue::String { normalised, .. } if contains(normalised))
        }),
        Test::StringExact(texts) => any(&|value| matches!(value, IndexValue::String { exact, .. } if texts.contains(exact))),
        Test::Uri(uris) => any(&|value| matches!(value, IndexValue::Uri(uri) if uris.contains(uri))),
        Test::Reference(wanted) => any(&|value| {
            let is_target =
                |found: &Reference| wanted.iter().any(|one| matches!(one, ReferenceMatch::Exact(own) if own == found));
            matches!(value, IndexValue::Reference(found) if is_target(found))
        }),
        Test::Date(dates) => any(&|value| {
            let compares = |low: i64, high: i64| dates.iter().any(|date| is_date(date, low, high));
            matches!(value, IndexValue::Date { low, high } if compares(*low, *high))
        }),
        // `stands_alone` let no other pass; what cannot be judged is not admitted.
        _ => false,
    }
}

/// Whether a value is one that `:missing` counts.
fn is_present(value: &IndexValue) -> bool {
    match value {
        IndexValue::Token { system, code, text } => !(system.is_empty() && code.is_empty() && text.is_empty()),
        _ => true,
    }
}

fn is_token(wanted: &TokenMatch, value: &IndexValue) -> bool {
    let IndexValue::Token { system, code, .. } = value else { return false };
    // A concept that is text only has no code to compare.
    (!system.is_empty() || !code.is_empty())
        && wanted.system.as_ref().is_none_or(|wanted| wanted == system)
        && wanted.code.as_ref().is_none_or(|wanted| fold_code(wanted) == fold_code(code))
}

/// Half-open ranges on both sides (<https://hl7.org/fhir/R4/search.html#prefix>).
fn is_date(date: &DateMatch, low: i64, high: i64) -> bool {
    let within = low >= date.low && high <= date.high;
    match date.prefix {
        Prefix::Eq => within,
        Prefix::Ne => !within,
        Prefix::Gt => high > date.high,
        Prefix::Lt => low < date.low,
        Prefix::Ge => high > date.high || within,
        Prefix::Le => low < date.low || within,
        Prefix::Sa => low >= date.high,
        Prefix::Eb => high <= date.low,
        Prefix::Ap => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    const BASE: &str = "https://fhir.example/fhir";
    const LABORATORY: &str = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";

    fn parsed(text: &str) -> Option<Qualifier> {
        Qualifier::parse(ResourceType::OBSERVATION, text)
    }

    fn observation_text(more: &str) -> String {
        format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"Glucose"}}{more}}}"#)
    }

    fn observation(more: &str) -> Vec<IndexEntry> {
        all_entries(&observation_text(more))
    }

    fn all_entries(body: &str) -> Vec<IndexEntry> {
        index::extract(&Resource::parse(body.as_bytes()).unwrap(), BASE)
    }

    #[test]
    fn the_entries_that_criteria_look_at_decide_as_all_entries_do() {
        let bodies = ["laboratory", "vital-signs"].map(|code| {
            let when = r#","effectiveDateTime":"2024-05-31","subject":{"reference":"Patient/a"},"meta":{"profile":["http://example.org/p"]}"#;
            observation_text(&(category(code) + when))
        });
        let texts =
            [LABORATORY, "date=2024", "date=2023", "patient=Patient/a", "subject=Patient/b", "_profile=http://example.org/p"];
        let both = texts.iter().flat_map(|one| texts.iter().map(move |other| format!("{one}&{other}")));
        let criteria: Vec<Qualifier> = both.chain(["status:not=final".into()]).map(|text| parsed(&text).unwrap()).collect();
        for body in &bodies {
            let (all, every) = (all_entries(body), entries(criteria.iter(), body.as_bytes(), BASE).unwrap());
            assert!(every.len() < all.len(), "only what is asked for");
            for qualifier in &criteria {
                let own = entries([qualifier].into_iter(), body.as_bytes(), BASE).unwrap();
                assert_eq!(qualifier.admits(&own), qualifier.admits(&all), "{qualifier:?}");
                assert_eq!(qualifier.admits(&every), qualifier.admits(&all), "{qualifier:?}");
            }
        }
        for other in ["[", "{}", r#"{"resourceType":"Patient"}"#, r#"{"resourceType":7}"#] {
            assert!(entries([&criteria[0]].into_iter(), other.as_bytes(), BASE).is_none(), "{other}");
        }
    }

    fn category(code: &str) -> String {
        format!(
            r#","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"{code}"}}]}}]"#
        )
    }

    #[test]
    fn what_one_resource_does_not_decide_alone_is_not_understood() {
        portcullis_verifies::verifies!("SMART-42");
        for text in [
            "",
            "&",
            "category",
            "category=",
            "category=a&",
            "=a",
            "kategorie=a",
            "category:in=http://example.org/vs",
            "category:below=a",
            "category:text=a",
            "category:foo=a",
            "code-value-quantity=a$1",
            "value-quantity=5",
            "patient.name=x",
            "subject:Patient.name=x",
            "_has:Provenance:target:agent=x",
            "_filter=a",
            "_count=5",
            "category=a&_count=5",
            "category=a&_sort=date",
            "category=a&_include=Observation:subject",
            "category=a&_summary=count",
            "_id=a",
            "_lastUpdated=gt2020",
            "date=ap2020",
            "date=yesterday",
            "subject=https://elsewhere.example/Patient/1",
            "subject=1",
            "subject:identifier=s|v",
            "category=a|b|c",
            "category=a%",
            "category=a%00",
            "category=a%0Ab",
            "category=%80",
            "category=a\\b",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(Qualifier::parse(ResourceType::AUDIT_EVENT, "action=R"), None);
    }

    #[test]
    fn spelling_order_and_repetition_do_not_count_and_meaning_does() {
        let lab = parsed(LABORATORY).unwrap();
        for same in [
            "category=http%3A%2F%2Fterminology.hl7.org%2FCodeSystem%2Fobservation-category%7Claboratory",
            "category=http://terminology.hl7.org/CodeSystem/observation-category%7claboratory",
            "c%61tegory=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
            "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
        ] {
            assert_eq!(parsed(same).as_ref(), Some(&lab), "{same}");
        }
        assert_eq!(parsed(&format!("{LABORATORY}&{LABORATORY}")), Some(lab.clone()));
        assert_eq!(parsed("category=a,b&status=final"), parsed("status=final&category=b,a"));
        for other in
            ["category=laboratory", "category=|laboratory", "category:not=laboratory", "category=a%26b", "category=a%2Cb"]
        {
            assert_ne!(parsed(other), Some(lab.clone()), "{other}");
        }
        // An escaped ampersand is part of the value, a plus is a space as in every query, and its escape is a plus.
        assert_ne!(parsed("category=a%26b"), parsed("category=a&status=b"));
        assert_eq!(parsed("category=a+b"), parsed("category=a%20b"));
        assert_ne!(parsed("category=a+b"), parsed("category=a%2Bb"));
    }

    #[test]
    fn all_parameters_must_hold_and_one_of_their_values() {
        let lab = observation(&category("laboratory"));
        let vital = observation(&category("vital-signs"));
        for (text, admits) in [
            (LABORATORY, [true, false]),
            ("category=laboratory,vital-signs", [true, true]),
            ("category=laboratory&category=vital-signs", [false, false]),
            ("category=laboratory&status=final", [true, false]),
            ("category=laboratory&status=preliminary", [false, false]),
            ("category=http://terminology.hl7.org/CodeSystem/observation-category|", [true, true]),
            ("category=|laboratory", [false, false]),
            ("category:not=laboratory", [false, true]),
            ("category:missing=true", [false, false]),
            ("code:missing=false", [true, true]),
            ("category=a%26b", [false, false]),
        ] {
            let qualifier = parsed(text).unwrap();
            assert_eq!([qualifier.admits(&lab), qualifier.admits(&vital)], admits, "{text}");
        }
    }

    #[test]
    fn references_dates_texts_and_addresses_compare_as_in_a_search() {
        let about = |reference: &str| observation(&format!(r#","subject":{{"reference":"{reference}"}}"#));
        let subject = parsed("subject=Patient/1").unwrap();
        assert!(subject.admits(&about("Patient/1")) && subject.admits(&about("https://fhir.example/fhir/Patient/1")));
        assert!(!subject.admits(&about("Patient/2")) && !subject.admits(&about("https://elsewhere.example/Patient/1")));

        let dated = observation(r#","effectiveDateTime":"2024-05-31""#);
        for (text, holds) in [
            ("2024", true),
            ("2024-05-31", true),
            ("2023", false),
            ("ne2023", true),
            ("gt2024-05-30", true),
            ("ge2024-05-31", true),
            ("sa2024-05-31", false),
            ("lt2024-06", true),
            ("eb2024-05-31", false),
            ("le2024-05-31", true),
        ] {
            assert_eq!(parsed(&format!("date={text}")).unwrap().admits(&dated), holds, "{text}");
        }

        let patient = all_entries(r#"{"resourceType":"Patient","name":[{"family":"M\u00fcller"}]}"#);
        for (text, holds) in
            [("family=mull", true), ("family:contains=ULL", true), ("family:exact=Muller", false), ("family=ller", false)]
        {
            assert_eq!(Qualifier::parse(ResourceType::PATIENT, text).unwrap().admits(&patient), holds, "{text}");
        }
        let profiled = observation(r#","meta":{"profile":["http://example.org/p"]}"#);
        assert!(parsed("_profile=http://example.org/p").unwrap().admits(&profiled));
        assert!(!parsed("_profile=http://example.org/p2").unwrap().admits(&profiled));
    }

    #[test]
    fn what_is_narrower_implies_what_is_wider_and_never_the_other_way_round() {
        for (narrow, wide) in [
            ("category=a", "category=a,b"),
            ("category=a&status=final", "category=a"),
            ("category=a&status=final", "status=final,amended"),
            ("category:not=a,b", "category:not=a"),
        ] {
            let (narrow, wide) = (parsed(narrow).unwrap(), parsed(wide).unwrap());
            assert!(narrow.implies(&wide) && narrow.implies(&narrow) && wide.implies(&wide));
            assert!(!wide.implies(&narrow), "{wide:?} / {narrow:?}");
        }
        for (one, other) in [("category=a", "category=b"), ("category=a", "category:not=a"), ("category=a", "category=s|a")] {
            assert!(!parsed(one).unwrap().implies(&parsed(other).unwrap()), "{one} / {other}");
        }
    }
}
