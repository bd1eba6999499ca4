//! From an HTTP request to an [`Interaction`].
//!
//! The order of the checks is part of the behaviour: path (404), method (405), format (406), content type (415), parameters, headers and body (400).

use super::format::{Format, check_format, check_format_of_entry, read_resource};
use super::headers::{IfNoneMatch, entity_tag, is_form};
use super::target::{PATH, Target};
use super::{
    ConditionalDelete, ConditionalPatch, ConditionalUpdate, Context, Create, Delete, InstanceHistory, Interaction, Method, Patch,
    Preferences, Read, Refusal, Request, RequestLine, Update, VersionRead, condition, patching, searching,
};
use crate::instant;
use crate::json::Value;
use crate::outcome::{Issue, IssueType};
use crate::query;
use crate::resource::Resource;
use crate::search::control;
use crate::search::{self, Handling, Ignored, Rejection, SearchContext, SearchQuery, Shape};
use crate::types::{LogicalId, ResourceType};

/// What is said to a batch in a batch.
const NESTED: &str = "A batch or transaction is posted to the base address and cannot be an entry of another one.";

/// Names and values of a query or form, in order.
pub(super) type Pairs = [(String, String)];

/// Parses a request; what it does not understand it refuses, and never guesses.
pub fn parse(request: &RequestLine<'_>, context: &Context<'_>) -> Result<Request, Refusal> {
    parse_with(request, Content::Text(request.body), context)
}

/// The same for an entry of a batch or transaction: its resource is read already, and the body of the request line is not looked at.
pub fn parse_entry(request: &RequestLine<'_>, resource: Option<Value>, context: &Context<'_>) -> Result<Request, Refusal> {
    parse_with(request, Content::Tree(resource), context)
}

/// What a request brings along.
pub(super) enum Content<'a> {
    /// The body as it came.
    Text(&'a [u8]),
    /// A resource that stood in a Bundle.
    Tree(Option<Value>),
}

fn parse_with(request: &RequestLine<'_>, content: Content<'_>, context: &Context<'_>) -> Result<Request, Refusal> {
    let target = Target::parse(request)?;
    target.check_method(request.method)?;
    let preferences = Preferences::parse(request.headers.prefer);
    let mut pairs = query::parse(request.query.as_bytes()).map_err(bad_request)?;
    if let (true, Content::Text(body)) = (target.is_form(), &content) {
        if !is_form(request.headers.content_type) {
            return Err(unsupported_content("application/x-www-form-urlencoded"));
        }
        pairs.extend(query::parse(body).map_err(bad_request)?);
    }
    check_format(&pairs, request.headers.accept)?;
    if matches!(content, Content::Tree(_)) {
        check_format_of_entry(&pairs)?;
    }
    let searched = SearchContext { base_url: context.base_url, handling: preferences.handling, now_ms: context.now_ms };
    let mut parsed = Parsed::new(preferences.handling);
    let mut if_none_match = IfNoneMatch::default();
    let interaction = match target {
        // What is posted to the base itself is taken apart before anything gets here.
        Target::Base if request.method == Method::Post => {
            return Err(Refusal::new(400, Issue::error(IssueType::NotSupported, NESTED).at(PATH)));
        }
        Target::Base | Target::SystemForm => searching::system(&pairs, &searched)?,
        Target::Compartment(compartment, id, resource_type) | Target::CompartmentForm(compartment, id, resource_type) => {
            searching::compartment((compartment, id, resource_type), &pairs, &searched)?
        }
        Target::Everything(focus) => {
            if request.method == Method::Post {
                pairs.extend(searching::operation_parameters(request, content)?);
            }
            searching::everything(focus, &pairs, &searched)?
        }
        Target::Metadata => {
            parsed.without_parameters(&pairs)?;
            Interaction::Capabilities
        }
        Target::Type(resource_type) if request.method == Method::Post => {
            parsed.without_parameters(&pairs)?;
            Interaction::Create(create(resource_type, request, content, context)?)
        }
        Target::Type(resource_type) if request.method == Method::Put => {
            let condition = condition::of_write(resource_type, &pairs, context)?;
            let if_match = if_match(request)?;
            let resource = body(resource_type, request, content)?;
            Interaction::ConditionalUpdate(ConditionalUpdate { condition, resource, if_match })
        }
        Target::Type(resource_type) if request.method == Method::Patch => {
            let condition = condition::of_write(resource_type, &pairs, context)?;
            let document = patching::document(request, content)?;
            Interaction::ConditionalPatch(ConditionalPatch { condition, document, if_match: if_match(request)? })
        }
        Target::Type(resource_type) if request.method == Method::Delete => {
            let condition = condition::of_write(resource_type, &pairs, context)?;
            Interaction::ConditionalDelete(ConditionalDelete { condition, if_match: if_match(request)? })
        }
        Target::Type(resource_type) | Target::SearchForm(resource_type) => {
            Interaction::Search(search::parse(resource_type, &pairs, &searched).map_err(bad_request)?)
        }
        Target::Instance(resource_type, id) => match request.method {
            Method::Put => {
                parsed.without_parameters(&pairs)?;
                Interaction::Update(update(resource_type, id, request, content)?)
            }
            Method::Patch => {
                parsed.without_parameters(&pairs)?;
                let if_match = if_match(request)?;
                Interaction::Patch(Patch { resource_type, id, document: patching::document(request, content)?, if_match })
            }
            Method::Delete => {
                parsed.without_parameters(&pairs)?;
                Interaction::Delete(Delete { resource_type, id, if_match: if_match(request)? })
            }
            _ => {
                parsed.reading(resource_type, &pairs)?;
                if_none_match = IfNoneMatch::parse(request.headers.if_none_match);
                Interaction::Read(Read { resource_type, id })
            }
        },
        Target::Version(resource_type, id, version) => {
            parsed.reading(resource_type, &pairs)?;
            if_none_match = IfNoneMatch::parse(request.headers.if_none_match);
            Interaction::VersionRead(VersionRead { resource_type, id, version })
        }
        Target::History(resource_type, id) => Interaction::InstanceHistory(parsed.history(resource_type, id, &pairs)?),
    };
    let if_modified_since = request.headers.if_modified_since.filter(|_| request.headers.if_none_match.is_none());
    Ok(Request { interaction, preferences, shape: parsed.shape, if_none_match, if_modified_since, ignored: parsed.ignored })
}

/// What the parameters of an interaction other than search say.
pub(super) struct Parsed {
    handling: Handling,
    shape: Shape,
    ignored: Vec<Ignored>,
}

impl Parsed {
    /// Nothing yet.
    pub(super) fn new(handling: Handling) -> Self {
        Self { handling, shape: Shape::Whole, ignored: Vec::new() }
    }

    /// Goes through the parameters. `take` says `None` for a name that it does not know.
    fn each(
        &mut self,
        pairs: &Pairs,
        mut take: impl FnMut(&mut Self, &str, &str) -> Option<Result<(), Rejection>>,
    ) -> Result<(), Refusal> {
        let mut issues = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            let repeated = seen.contains(&name.as_str());
            seen.push(name);
            let taken = if name == "_format" { Some(Ok(())) } else { take(self, name, value) };
            let rejection = match taken {
                Some(Ok(())) if repeated => {
                    Rejection::Invalid(IssueType::Invalid, "The parameter is given several times.".to_owned())
                }
                Some(Ok(())) => continue,
                Some(Err(rejection)) => rejection,
                None => Rejection::NotUnderstood("This interaction has no such parameter.".to_owned()),
            };
            search::settle(rejection, name, self.handling, &mut self.ignored, &mut issues);
        }
        if issues.is_empty() { Ok(()) } else { Err(bad_request(issues)) }
    }

    /// An interaction that has no parameters but `_format`.
    pub(super) fn without_parameters(&mut self, pairs: &Pairs) -> Result<(), Refusal> {
        self.each(pairs, |_, _, _| None)
    }

    /// `_summary` and `_elements` of a read.
    fn reading(&mut self, resource_type: ResourceType, pairs: &Pairs) -> Result<(), Refusal> {
        self.each(pairs, |parsed, name, value| parsed.take_shape(resource_type, name, value))?;
        self.check_shape(pairs)
    }

    fn take_shape(&mut self, resource_type: ResourceType, name: &str, value: &str) -> Option<Result<(), Rejection>> {
        let shape = match name {
            "_summary" => control::summary(value),
            "_elements" => control::elements(resource_type, value),
            _ => return None,
        };
        Some(match shape {
            Ok(Shape::Count) => Err(Rejection::value("Only a search has a count.")),
            Ok(shape) => {
                self.shape = shape;
                Ok(())
            }
            Err(rejection) => Err(rejection),
        })
    }

    fn check_shape(&self, pairs: &Pairs) -> Result<(), Refusal> {
        let has = |wanted: &str| pairs.iter().any(|(name, _)| name == wanted);
        if has("_summary") && has("_elements") {
            let issue = Issue::error(IssueType::Invalid, "_elements and _summary exclude each other.").at("http._elements");
            return Err(Refusal::new(400, issue));
        }
        Ok(())
    }

    /// `_count`, `_since` and `_cursor` of a history (<https://hl7.org/fhir/R4/http.html#history>), and its shape.
    fn history(&mut self, resource_type: ResourceType, id: LogicalId, pairs: &Pairs) -> Result<InstanceHistory, Refusal> {
        let mut history = InstanceHistory { resource_type, id, count: SearchQuery::DEFAULT_COUNT, since: None, cursor: None };
        self.each(pairs, |parsed, name, value| {
            let taken = match name {
                "_count" => control::count(value).map(|count| history.count = count),
                "_cursor" => control::cursor(value).map(|cursor| history.cursor = Some(cursor)),
                "_since" => since(value).map(|since| history.since = Some(since)),
                _ => return parsed.take_shape(resource_type, name, value),
            };
            Some(taken)
        })?;
        self.check_shape(pairs)?;
        Ok(history)
    }
}

fn since(value: &str) -> Result<i64, Rejection> {
    instant::range(value).map(|range| range.low).ok_or_else(|| {
        Rejection::value("An instant is accepted, such as 2024-05-31T10:00:00Z; the plus of a time zone is written %2B.")
    })
}

fn create(
    resource_type: ResourceType,
    request: &RequestLine<'_>,
    content: Content<'_>,
    context: &Context<'_>,
) -> Result<Create, Refusal> {
    let condition = request.headers.if_none_exist.map(|query| condition::of_header(resource_type, query, context)).transpose()?;
    Ok(Create { resource: body(resource_type, request, content)?, condition })
}

fn update(
    resource_type: ResourceType,
    id: LogicalId,
    request: &RequestLine<'_>,
    content: Content<'_>,
) -> Result<Update, Refusal> {
    if request.headers.if_none_match.is_some() {
        // "If-None-Match: *" asks not to overwrite; to ignore it would overwrite.
        let message = "If-None-Match is supported for reads only; use If-Match with the version that you have read.";
        return Err(Refusal::new(400, Issue::error(IssueType::NotSupported, message).at("http.If-None-Match")));
    }
    let if_match = if_match(request)?;
    let resource = body(resource_type, request, content)?;
    let issue = match resource.id() {
        Some(sent) if *sent == id => return Ok(Update { id, resource, if_match }),
        Some(_) => Issue::error(IssueType::Value, "The id in the resource is not the id in the address."),
        None => Issue::error(IssueType::Required, "The resource has no id; it must have the one in the address."),
    };
    Err(Refusal::new(400, issue.at(format!("{resource_type}.id"))))
}

fn body(resource_type: ResourceType, request: &RequestLine<'_>, content: Content<'_>) -> Result<Resource, Refusal> {
    let read = match content {
        Content::Text(text) if text.is_empty() && Format::of_body(request.headers.content_type).is_some() => None,
        Content::Text(text) => Some(read_resource(request.headers.content_type, text)),
        Content::Tree(tree) => tree.map(|tree| Resource::from_value(tree).map_err(bad_request)),
    };
    let Some(read) = read else {
        let issue = Issue::error(IssueType::Required, "The body is empty; it must be the resource.");
        return Err(Refusal::new(400, issue.at(resource_type.name())));
    };
    let resource = read.map_err(|mut refusal| {
        // What is wrong with the whole body has the place that the address names.
        for issue in refusal.issues.iter_mut().filter(|issue| issue.expression.is_none()) {
            issue.expression = Some(resource_type.name().to_owned());
        }
        refusal
    })?;
    if resource.resource_type() != resource_type {
        let message = format!("The address is for {resource_type}, and the body is another type.");
        return Err(Refusal::new(400, Issue::error(IssueType::Invalid, message).at("resourceType")));
    }
    Ok(resource)
}

fn if_match(request: &RequestLine<'_>) -> Result<Option<LogicalId>, Refusal> {
    let Some(header) = request.headers.if_match else { return Ok(None) };
    match entity_tag(header) {
        Some(version) => Ok(Some(version)),
        None => {
            let message = "One version is accepted, as in W/\"1\".";
            Err(Refusal::new(400, Issue::error(IssueType::Value, message).at("http.If-Match")))
        }
    }
}

pub(super) fn unsupported_content(accepted: &str) -> Refusal {
    let message = format!("The body must be of type {accepted}.");
    Refusal::new(415, Issue::error(IssueType::NotSupported, message).at("http.Content-Type"))
}

/// The refusal of what cannot be read: 400, and 422 where it can and nothing is wrong but what it says (<https://hl7.org/fhir/R4/http.html#create>).
pub(super) fn bad_request(issues: Vec<Issue>) -> Refusal {
    let is_readable = !issues.is_empty() && issues.iter().all(|issue| issue.code == IssueType::Invariant);
    Refusal { status: if is_readable { 422 } else { 400 }, allow: None, issues }
}
