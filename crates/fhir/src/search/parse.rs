//! From names and values to a [`SearchQuery`].

use super::audit_event;
use super::chain;
use super::control::{self, Direction};
use super::filter::{self, Rejection, unknown_modifier};
use super::key::Key;
use super::{Filter, Handling, Ignored, SearchContext, SearchQuery, Shape, Test, Total};
use crate::definitions;
use crate::outcome::{Issue, IssueType};
use crate::query::{echo, too_many};
use crate::types::ResourceType;

/// Parses the parameters of a search of one type.
///
/// Every problem is named, not only the first. Parameters that are not understood are errors under strict handling and otherwise listed in
/// [`SearchQuery::ignored`]; wrong values and wrong modifiers of known parameters are always errors.
pub fn parse(
    resource_type: ResourceType,
    pairs: &[(String, String)],
    context: &SearchContext<'_>,
) -> Result<SearchQuery, Vec<Issue>> {
    if pairs.len() > SearchQuery::MAXIMUM_PARAMETERS {
        return Err(vec![too_many()]);
    }
    let mut parser = Parser::new(resource_type, context);
    for (name, value) in pairs {
        match parser.take(name, value) {
            Ok(Use::Applied) => parser.query.applied.push((name.clone(), value.clone())),
            // The self link says what was understood: the number as it is bounded.
            Ok(Use::Count) => parser.query.applied.push((name.clone(), parser.query.count.to_string())),
            Ok(Use::Bookmark) => {}
            Err(rejection) => settle(rejection, name, context.handling, &mut parser.query.ignored, &mut parser.issues),
        }
    }
    parser.finish()
}

/// What a rejection means under this handling: an issue, or an ignored parameter.
pub(crate) fn settle(rejection: Rejection, name: &str, handling: Handling, ignored: &mut Vec<Ignored>, issues: &mut Vec<Issue>) {
    let code = name.split(':').next().unwrap_or_default();
    let place = format!("http.{}", echo(code));
    match (rejection, handling) {
        (Rejection::Invalid(code, message), _) => issues.push(Issue::error(code, message).at(place)),
        (Rejection::NotUnderstood(reason), Handling::Strict) => {
            issues.push(Issue::error(IssueType::NotSupported, reason).at(place));
        }
        (Rejection::NotUnderstood(reason), Handling::Lenient) => ignored.push(Ignored { parameter: echo(name), reason }),
    }
}

/// What became of an understood parameter.
enum Use {
    /// It is part of the query and of the self link.
    Applied,
    /// It is the page size, which is bounded.
    Count,
    /// It is the place in the answer, which is no part of the query.
    Bookmark,
}

/// The state while the parameters are read.
struct Parser<'a> {
    query: SearchQuery,
    context: &'a SearchContext<'a>,
    /// The parameters that may be given once, and were.
    once: Vec<&'static str>,
    /// Alternatives of all filters so far.
    alternatives: usize,
    /// Chains so far.
    chains: usize,
    /// Ways that these stand for.
    ways: usize,
    /// Parameters that the includes follow, where each wildcard without a type counts as one.
    followed: usize,
    issues: Vec<Issue>,
}

/// The parameters that shape the answer and may be given once.
const ONCE: [&str; 7] = ["_count", "_cursor", "_elements", "_format", "_sort", "_summary", "_total"];

impl<'a> Parser<'a> {
    fn new(resource_type: ResourceType, context: &'a SearchContext<'a>) -> Self {
        let query = SearchQuery {
            resource_type,
            compartment: None,
            filters: Vec::new(),
            includes: Vec::new(),
            reverse_includes: Vec::new(),
            sort: Vec::new(),
            count: SearchQuery::DEFAULT_COUNT,
            total: Total::None,
            shape: Shape::Whole,
            cursor: None,
            applied: Vec::new(),
            ignored: Vec::new(),
        };
        Self { query, context, once: Vec::new(), alternatives: 0, chains: 0, ways: 0, followed: 0, issues: Vec::new() }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<Use, Rejection> {
        let Key::Plain { code, modifier } = Key::parse(name) else { return self.take_chain(name, value) };
        if let Some(once) = ONCE.iter().find(|once| **once == code) {
            return self.take_once(once, modifier, value);
        }
        match (code, modifier) {
            // `:recurse` is what `:iterate` was called before R4.
            ("_include" | "_revinclude", None | Some("iterate" | "recurse")) => {
                audit_event::check_include(self.query.resource_type)?;
                let direction = if code == "_include" { Direction::Forward } else { Direction::Reverse };
                let searched = self.query.resource_type;
                let includes = control::include(direction, (modifier.is_none()).then_some(searched), value)?;
                let known = match direction {
                    Direction::Forward => &mut self.query.includes,
                    Direction::Reverse => &mut self.query.reverse_includes,
                };
                let before = known.len();
                // Each once: a wildcard may name what another parameter has named.
                includes.into_iter().for_each(|include| {
                    if !known.contains(&include) {
                        known.push(include);
                    }
                });
                self.followed += if value == "*" { 1 } else { known.len() - before };
                self.check_followed()
            }
            ("_include" | "_revinclude", Some(modifier)) => Err(unknown_modifier(code, modifier, ":iterate")),
            _ => self.take_filter(code, modifier, value),
        }
    }

    fn check_followed(&self) -> Result<Use, Rejection> {
        if self.followed > SearchQuery::MAXIMUM_INCLUDES {
            let message =
                format!("At most {} parameters are followed by the includes of one search.", SearchQuery::MAXIMUM_INCLUDES);
            return Err(Rejection::Invalid(IssueType::TooLong, message));
        }
        Ok(Use::Applied)
    }

    fn take_once(&mut self, code: &'static str, modifier: Option<&str>, value: &str) -> Result<Use, Rejection> {
        if let Some(modifier) = modifier {
            return Err(unknown_modifier(code, modifier, "no modifier"));
        }
        if self.once.contains(&code) {
            return Err(Rejection::Invalid(IssueType::Invalid, format!("'{code}' is accepted once; it is given several times.")));
        }
        self.once.push(code);
        match code {
            "_count" => {
                self.query.count = control::count(value)?;
                return Ok(Use::Count);
            }
            "_elements" => self.query.shape = control::elements(self.query.resource_type, value)?,
            "_format" => {
                control::format(value).map_err(|message| Rejection::Invalid(IssueType::NotSupported, message.to_owned()))?
            }
            "_sort" => {
                self.query.sort = control::sort(self.query.resource_type, value)?;
                audit_event::check_order(self.query.resource_type, &self.query.sort)?;
            }
            "_summary" => self.query.shape = control::summary(value)?,
            "_total" => self.query.total = control::total(value)?,
            _ => {
                self.query.cursor = Some(control::cursor(value)?);
                return Ok(Use::Bookmark);
            }
        }
        Ok(Use::Applied)
    }

    fn take_chain(&mut self, name: &str, value: &str) -> Result<Use, Rejection> {
        let filter = chain::parse(self.query.resource_type, name, value, (self.context, &mut self.ways))?;
        self.count_alternatives(value)?;
        self.chains += 1;
        if self.chains > SearchQuery::MAXIMUM_CHAINS {
            let message = format!("At most {} chains are accepted in one search.", SearchQuery::MAXIMUM_CHAINS);
            return Err(Rejection::Invalid(IssueType::TooLong, message));
        }
        self.query.filters.push(filter);
        Ok(Use::Applied)
    }

    fn count_alternatives(&mut self, value: &str) -> Result<(), Rejection> {
        self.alternatives += value.split(',').count();
        if self.alternatives > SearchQuery::MAXIMUM_ALTERNATIVES {
            let message = format!("At most {} alternatives are accepted in one search.", SearchQuery::MAXIMUM_ALTERNATIVES);
            return Err(Rejection::Invalid(IssueType::TooLong, message));
        }
        Ok(())
    }

    fn take_filter(&mut self, code: &str, modifier: Option<&str>, value: &str) -> Result<Use, Rejection> {
        let resource_type = self.query.resource_type;
        let found = definitions::search_parameter(resource_type, code);
        let Some(parameter) = found.filter(|_| audit_event::offers(resource_type, code)) else {
            let all = definitions::search_parameters(resource_type).iter().map(|parameter| parameter.code);
            let known: Vec<&str> = all.filter(|code| audit_event::offers(resource_type, code)).collect();
            return Err(Rejection::NotUnderstood(format!(
                "{resource_type} has no search parameter '{}'; it has: {}.",
                echo(code),
                known.join(", ")
            )));
        };
        let test = filter::parse(parameter, modifier, value, self.context)?;
        audit_event::check_form(resource_type, code, &test)?;
        self.count_alternatives(value)?;
        match test {
            // One pair is two criteria: each has its own way through an index.
            Test::Pairs(pairs) if pairs.len() == 1 => self.query.filters.extend(pairs.into_iter().flatten()),
            test => self.query.filters.push(Filter { parameter, test }),
        }
        Ok(Use::Applied)
    }

    /// Refuses contradictions between parameters that are each in order.
    fn finish(mut self) -> Result<SearchQuery, Vec<Issue>> {
        let mut contradiction = |message: &str, place: &str| {
            self.issues.push(Issue::error(IssueType::Invalid, message).at(format!("http.{place}")));
        };
        if self.once.contains(&"_elements") && self.once.contains(&"_summary") {
            contradiction("_elements and _summary exclude each other.", "_elements");
        }
        let includes = !self.query.includes.is_empty() || !self.query.reverse_includes.is_empty();
        if includes && self.query.shape == Shape::Text {
            // "Note that the _include and _revinclude parameters cannot be mixed with _summary=text."
            contradiction("_summary=text excludes _include and _revinclude.", "_summary");
        }
        if self.query.count == 0 || self.query.shape == Shape::Count {
            if self.query.total == Total::None && self.once.contains(&"_total") {
                contradiction("Only the total is asked for, and _total=none asks for no total.", "_total");
            } else if self.query.total == Total::None {
                self.query.total = Total::Accurate;
            }
        }
        if self.issues.is_empty() { Ok(self.query) } else { Err(self.issues) }
    }
}
