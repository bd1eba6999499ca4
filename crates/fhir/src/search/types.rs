//! A search of several types: of the whole system, or of everything in a compartment.
//!
//! <https://hl7.org/fhir/R4/http.html#search>, <https://hl7.org/fhir/R4/search.html#searchcontexts>. It is a search of each type, one after the other in alphabetical
//! order: each is decided alone. A parameter counts where every type has it. There is no common order to sort by, and includes belong to one type:
//! `_sort`, `_include` and `_revinclude` are refused by name. The audit trail is searched alone.

use super::canonical::with_parameters;
use super::control;
use super::filter::Rejection;
use super::membership::membership;
use super::parse::{parse, settle};
use super::{Handling, Ignored, SearchContext, SearchQuery, Shape, Total};
use crate::definitions::CompartmentType;
use crate::interaction::is_stored;
use crate::outcome::{Issue, IssueType};
use crate::query::echo;
use crate::reference::LocalReference;
use crate::types::ResourceType;

/// The most parameters of a search of several types: each is read for each type.
const MAXIMUM_PARAMETERS: usize = 20;

/// Where several types are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchPlace {
    /// `GET [base]?_type=...`
    System,
    /// `GET [base]/[compartment]/[id]/*`
    Compartment(LocalReference),
    /// `GET [base]/[type]/[id]/$everything`
    Everything(LocalReference),
}

impl SearchPlace {
    /// The path below the base, without a slash in front.
    pub fn path(&self) -> String {
        match self {
            Self::System => String::new(),
            Self::Compartment(focus) => format!("{focus}/*"),
            Self::Everything(focus) => format!("{focus}/$everything"),
        }
    }

    /// The resource in whose compartment it is.
    pub fn focus(&self) -> Option<&LocalReference> {
        match self {
            Self::System => None,
            Self::Compartment(focus) | Self::Everything(focus) => Some(focus),
        }
    }
}

/// A search of several types, completely parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOfTypes {
    /// Where.
    pub place: SearchPlace,
    /// Whether the client has named the types. Those that it names must all be open; where it names none, those that are open are searched.
    pub named: bool,
    /// Whether what the place names is itself part of the answer.
    pub with_focus: bool,
    /// The search of each type, in alphabetical order, without cursors.
    pub parts: Vec<SearchQuery>,
    /// Matches per page; 0 asks for the count alone.
    pub count: u32,
    /// `_total`
    pub total: Total,
    /// The bookmark of a further page, as received.
    pub cursor: Option<Box<str>>,
    /// The parameters that were understood, as sent.
    pub applied: Vec<(String, String)>,
    /// The parameters that were not understood and therefore ignored.
    pub ignored: Vec<Ignored>,
}

impl SearchOfTypes {
    /// What the search means, in bytes; see [`SearchQuery::canonical`].
    pub fn canonical(&self) -> Vec<u8> {
        let mut form = self.place.path().into_bytes();
        form.push(0);
        form.push(u8::from(self.with_focus));
        for part in &self.parts {
            let part = part.canonical();
            form.extend_from_slice(&(part.len() as u64).to_be_bytes());
            form.extend_from_slice(&part);
        }
        form
    }

    /// The address of this search: what was understood, without the cursor.
    pub fn self_link(&self, base_url: &str) -> String {
        let path = self.place.path();
        let address = if path.is_empty() { base_url.to_owned() } else { format!("{base_url}/{path}") };
        with_parameters(address, &self.applied)
    }

    /// Whether the answer has no matches by its own wish.
    pub fn counts_only(&self) -> bool {
        self.count == 0 || self.parts.iter().any(|part| part.shape == Shape::Count)
    }
}

/// The types that can be searched there: those that are stored, without the audit trail, and within a compartment those that have a place in it.
pub(super) fn types_of(place: &SearchPlace) -> Vec<ResourceType> {
    let stored = ResourceType::all().filter(|candidate| is_stored(*candidate) && *candidate != ResourceType::AUDIT_EVENT);
    let has_place = |candidate: &ResourceType| {
        place.focus().is_none_or(|focus| {
            let compartment = CompartmentType::of(focus.resource_type);
            compartment.is_some_and(|compartment| membership(compartment, &focus.id, *candidate).is_some())
        })
    };
    stored.filter(has_place).collect()
}

/// `_type`: some of these types, separated by commas.
pub(super) fn named_types(value: &str, offered: &[ResourceType]) -> Result<Vec<ResourceType>, Rejection> {
    let mut named = Vec::new();
    for name in value.split(',') {
        let resource_type = control::known_type(name)?;
        if resource_type == ResourceType::AUDIT_EVENT {
            return Err(Rejection::value("The audit trail is searched alone: AuditEvent?patient=... ."));
        }
        if !offered.contains(&resource_type) {
            return Err(Rejection::value(format!("Resources of type {resource_type} are not found here.")));
        }
        named.push(resource_type);
    }
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

/// What the parameters say that are read once for all types.
#[derive(Default)]
struct Common {
    named: Option<Vec<ResourceType>>,
    cursor: Option<Box<str>>,
    applied: Vec<(String, String)>,
    /// Those that each type must have.
    others: Vec<(String, String)>,
}

impl Common {
    fn take(&mut self, offered: &[ResourceType], name: &str, value: &str) -> Result<(), Rejection> {
        let twice =
            || Err(Rejection::Invalid(IssueType::Invalid, format!("'{name}' is accepted once; it is given several times.")));
        match name {
            "_type" if self.named.is_some() => return twice(),
            "_type" => {
                self.named = Some(named_types(value, offered)?);
                self.applied.push((name.to_owned(), value.to_owned()));
            }
            "_cursor" if self.cursor.is_some() => return twice(),
            "_cursor" => self.cursor = Some(control::cursor(value)?),
            _ => match name.split(':').next().unwrap_or_default() {
                control @ ("_sort" | "_include" | "_revinclude") => {
                    let message = format!("'{control}' belongs to a search of one type; here several are searched.");
                    return Err(Rejection::Invalid(IssueType::NotSupported, message));
                }
                _ => self.others.push((name.to_owned(), value.to_owned())),
            },
        }
        Ok(())
    }
}

/// Parses a search of several types.
pub fn parse_types(
    place: SearchPlace,
    pairs: &[(String, String)],
    context: &SearchContext<'_>,
) -> Result<SearchOfTypes, Vec<Issue>> {
    if pairs.len() > MAXIMUM_PARAMETERS {
        let message = format!("At most {MAXIMUM_PARAMETERS} parameters are accepted in a search of several types.");
        return Err(vec![Issue::error(IssueType::TooLong, message).at("http")]);
    }
    let offered = types_of(&place);
    let (mut common, mut ignored, mut issues) = (Common::default(), Vec::new(), Vec::new());
    for (name, value) in pairs {
        if let Err(rejection) = common.take(&offered, name, value) {
            settle(rejection, name, context.handling, &mut ignored, &mut issues);
        }
    }
    let types = common.named.clone().unwrap_or(offered);
    let is_known = |pair: &(String, String)| types.iter().find(|one| !knows(**one, pair, context));
    let mut understood = Vec::with_capacity(common.others.len());
    for pair in std::mem::take(&mut common.others) {
        match is_known(&pair) {
            None => understood.push(pair),
            Some(resource_type) => {
                let message = format!(
                    "'{}' is no parameter of {resource_type}; a search of several types accepts those that each of them has.",
                    echo(&pair.0)
                );
                settle(Rejection::NotUnderstood(message), &pair.0, context.handling, &mut ignored, &mut issues);
            }
        }
    }
    if !issues.is_empty() {
        return Err(issues);
    }
    let strictly = SearchContext { handling: Handling::Strict, ..*context };
    let mut parts = Vec::with_capacity(types.len());
    for resource_type in types {
        let mut part = parse(resource_type, &understood, &strictly)?;
        if let Some(focus) = place.focus() {
            let compartment = CompartmentType::of(focus.resource_type);
            part.filters.extend(compartment.and_then(|compartment| membership(compartment, &focus.id, resource_type)));
        }
        parts.push(part);
    }
    let Some(first) = parts.first() else {
        return Err(vec![Issue::error(IssueType::Value, "No type is named.").at("http._type")]);
    };
    let (count, total) = (first.count, first.total);
    common.applied.extend(first.applied.iter().cloned());
    let Common { named, cursor, applied, .. } = common;
    Ok(SearchOfTypes { place, named: named.is_some(), with_focus: false, parts, count, total, cursor, applied, ignored })
}

/// Whether a type has a parameter, whatever it makes of the value.
fn knows(resource_type: ResourceType, pair: &(String, String), context: &SearchContext<'_>) -> bool {
    let leniently = SearchContext { handling: Handling::Lenient, ..*context };
    parse(resource_type, std::slice::from_ref(pair), &leniently).map_or(true, |query| query.ignored.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::Test;
    use super::*;
    use crate::query;

    fn parsed(place: &SearchPlace, text: &str, handling: Handling) -> Result<SearchOfTypes, Vec<Issue>> {
        let pairs = query::parse(text.as_bytes())?;
        parse_types(place.clone(), &pairs, &SearchContext { base_url: "https://h", handling, now_ms: 0 })
    }

    fn patient() -> SearchPlace {
        SearchPlace::Compartment(LocalReference::parse("Patient/p").unwrap())
    }

    fn names(search: &SearchOfTypes) -> Vec<&str> {
        search.parts.iter().map(|part| part.resource_type.name()).collect()
    }

    #[test]
    fn what_belongs_to_one_type_is_refused_by_name_under_any_handling() {
        let many = "_tag=a&".repeat(MAXIMUM_PARAMETERS + 1);
        for (place, text, expression) in [
            (SearchPlace::System, "_type=Patient,Observation&_sort=_lastUpdated", "http._sort"),
            (SearchPlace::System, "_type=Patient&_include=*", "http._include"),
            (SearchPlace::System, "_type=Patient&_revinclude:iterate=Provenance:target", "http._revinclude"),
            (SearchPlace::System, "_type=Patient,Nothing", "http._type"),
            (SearchPlace::System, "_type=", "http._type"),
            (SearchPlace::System, "_type=Patient,AuditEvent", "http._type"),
            (SearchPlace::System, "_type=OperationOutcome", "http._type"),
            (SearchPlace::System, "_type=Patient&_type=Observation", "http._type"),
            (SearchPlace::System, "_cursor=a&_cursor=b", "http._cursor"),
            (SearchPlace::System, "_type=Patient&_count=x", "http._count"),
            (SearchPlace::System, "_lastUpdated=x", "http._lastUpdated"),
            (SearchPlace::System, "_type=Patient,Observation&_elements=name", "http._elements"),
            (SearchPlace::System, &many, "http"),
            (patient(), "_type=Organization", "http._type"),
            (patient(), "_sort=_id", "http._sort"),
        ] {
            for handling in [Handling::Strict, Handling::Lenient] {
                let issues = parsed(&place, text, handling).expect_err(text);
                assert_eq!(issues[0].expression.as_deref(), Some(expression), "{text} {issues:?}");
            }
        }
    }

    #[test]
    fn a_parameter_that_one_of_the_types_lacks_limits_none_of_them() {
        for (place, text) in [
            (SearchPlace::System, "_type=Patient,Observation&code=x"),
            (SearchPlace::System, "_type=Patient,Observation&birthdate=2020"),
            (SearchPlace::System, "code=x"),
            (patient(), "code=x"),
        ] {
            let issues = parsed(&place, text, Handling::Strict).expect_err(text);
            assert_eq!(issues[0].code, IssueType::NotSupported);
            let lenient = parsed(&place, text, Handling::Lenient).unwrap();
            assert_eq!(lenient.ignored.len(), 1, "{text}");
            assert!(!lenient.self_link("https://h").contains("code"), "{text}");
        }
        let both = parsed(&SearchPlace::System, "_type=Condition,Observation&code=x", Handling::Strict).unwrap();
        assert!(both.parts.iter().all(|part| part.filters.len() == 1));
    }

    #[test]
    fn each_type_is_a_search_of_its_own_in_the_order_of_their_names() {
        let search =
            parsed(&SearchPlace::System, "_type=Patient,Observation,Patient&_id=a,b&_count=3", Handling::Strict).unwrap();
        assert_eq!((names(&search), search.named, search.count), (vec!["Observation", "Patient"], true, 3));
        assert_eq!(search.self_link("https://h"), "https://h?_type=Patient,Observation,Patient&_id=a,b&_count=3");
        let search = parsed(&SearchPlace::System, "_tag=x", Handling::Strict).unwrap();
        assert!(!search.named && !names(&search).contains(&"AuditEvent") && !names(&search).contains(&"Parameters"));
        assert_eq!(search.parts.len(), 143);
        let search = parsed(&patient(), "_lastUpdated=ge2020", Handling::Strict).unwrap();
        assert_eq!(search.parts.len(), 66);
        assert!(search.parts.iter().all(|part| part.filters.len() == 2));
        let own = search.parts.iter().find(|part| part.resource_type == ResourceType::PATIENT).unwrap();
        assert!(matches!(&own.filters[1].test, Test::Either(ways) if ways.len() == 2), "{own:?}");
        assert_eq!(search.self_link("https://h"), "https://h/Patient/p/*?_lastUpdated=ge2020");
    }

    #[test]
    fn a_search_of_several_types_is_bound_to_its_place_and_criteria() {
        let canonical = |place: &SearchPlace, text: &str| parsed(place, text, Handling::Strict).unwrap().canonical();
        let forms = [
            canonical(&SearchPlace::System, "_type=Patient"),
            canonical(&SearchPlace::System, "_type=Patient,Observation"),
            canonical(&SearchPlace::System, "_type=Patient&_id=a"),
            canonical(&patient(), "_type=Patient"),
        ];
        for (index, form) in forms.iter().enumerate() {
            assert!(!forms[..index].contains(form), "{index}");
        }
        let place = SearchPlace::System;
        assert_eq!(canonical(&place, "_type=Patient&_count=1&_cursor=x"), canonical(&place, "_type=Patient&_count=2"));
    }
}
