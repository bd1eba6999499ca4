//! From an HTTP request to an [`Interaction`].
//!
//! The order of the checks is part of the behaviour: path (404), method (405), format (406), content type (415), parameters, headers and body (400).

use super::headers::{IfNoneMatch, accepts_json, entity_tag, is_form, is_json};
use super::{
    ConditionalDelete, ConditionalUpdate, Context, Create, Delete, InstanceHistory, Interaction, Method, Preferences, Read,
    Refusal, Request, RequestLine, Update, VersionRead, client_may_write, condition,
};
use crate::instant;
use crate::json::Value;
use crate::outcome::{Issue, IssueType};
use crate::query::{self, echo};
use crate::resource::Resource;
use crate::search::control;
use crate::search::{self, Handling, Ignored, Rejection, SearchContext, SearchQuery, Shape};
use crate::types::{LogicalId, ResourceType};

/// What a body must be.
pub(super) const JSON: &str = "application/fhir+json and application/json, in UTF-8, of FHIR version 4.0";

/// The place of an error in method or path: R4 has names for headers and parameters only, and this is what they begin with.
const PATH: &str = "http";

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
enum Content<'a> {
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
    if let (Target::SearchForm(_), Content::Text(body)) = (&target, &content) {
        if !is_form(request.headers.content_type) {
            return Err(unsupported_content("application/x-www-form-urlencoded"));
        }
        pairs.extend(query::parse(body).map_err(bad_request)?);
    }
    check_format(&pairs, request.headers.accept)?;
    let mut parsed = Parsed::new(preferences.handling);
    let mut if_none_match = IfNoneMatch::default();
    let interaction = match target {
        // What is posted to the base itself is taken apart before anything gets here.
        Target::Base => return Err(Refusal::new(400, Issue::error(IssueType::NotSupported, NESTED).at(PATH))),
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
        Target::Type(resource_type) if request.method == Method::Delete => {
            let condition = condition::of_write(resource_type, &pairs, context)?;
            Interaction::ConditionalDelete(ConditionalDelete { condition, if_match: if_match(request)? })
        }
        Target::Type(resource_type) | Target::SearchForm(resource_type) => {
            let context = SearchContext { base_url: context.base_url, handling: preferences.handling, now_ms: context.now_ms };
            Interaction::Search(search::parse(resource_type, &pairs, &context).map_err(bad_request)?)
        }
        Target::Instance(resource_type, id) => match request.method {
            Method::Put => {
                parsed.without_parameters(&pairs)?;
                Interaction::Update(update(resource_type, id, request, content)?)
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

/// What a path names.
enum Target {
    Base,
    Metadata,
    Type(ResourceType),
    SearchForm(ResourceType),
    Instance(ResourceType, LogicalId),
    History(ResourceType, LogicalId),
    Version(ResourceType, LogicalId, LogicalId),
}

impl Target {
    fn parse(request: &RequestLine<'_>) -> Result<Self, Refusal> {
        let path = request.path.strip_prefix('/').unwrap_or(request.path);
        if path.is_empty() {
            return Ok(Self::Base);
        }
        let decoded: Option<Vec<String>> = path.split('/').map(query::decode_segment).collect();
        let Some(segments) = decoded else {
            let message = "The path is not percent-encoded UTF-8 without NUL.";
            return Err(Refusal::new(400, Issue::error(IssueType::Invalid, message).at(PATH)));
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        check_spelling(path, &segments)?;
        match segments.as_slice() {
            ["metadata"] => Ok(Self::Metadata),
            ["_history"] | [_, "_history"] => {
                Err(nowhere("Only the history of one resource is supported: [type]/[id]/_history."))
            }
            ["_search"] => Err(nowhere("Search names one type: [type]/_search.")),
            [.., operation] if operation.starts_with('$') => Err(nowhere("This operation is not supported.")),
            [name] => Ok(Self::Type(resource_type(name)?)),
            [name, "_search"] => Ok(Self::SearchForm(resource_type(name)?)),
            [name, id] => Ok(Self::Instance(resource_type(name)?, logical_id(id, request.method)?)),
            [name, id, "_history"] => Ok(Self::History(resource_type(name)?, logical_id(id, request.method)?)),
            [name, id, "_history", version] => {
                let (resource_type, id) = (resource_type(name)?, logical_id(id, request.method)?);
                Ok(Self::Version(resource_type, id, logical_id(version, request.method)?))
            }
            ["Patient", _, name] if ResourceType::parse(name).is_some() || *name == "*" => {
                Err(nowhere("Search within a compartment is not supported; search the type with its patient parameter."))
            }
            _ => Err(nowhere("No interaction has this path.")),
        }
    }

    /// The methods of the target, for the header `Allow`.
    fn allow(&self) -> &'static str {
        match self {
            Self::Base => "POST",
            Self::Metadata | Self::History(..) | Self::Version(..) => "GET, HEAD",
            Self::Type(resource_type) if client_may_write(*resource_type) => "GET, HEAD, POST, PUT, DELETE",
            Self::Instance(resource_type, _) if client_may_write(*resource_type) => "GET, HEAD, PUT, DELETE",
            Self::Type(_) | Self::Instance(..) => "GET, HEAD",
            Self::SearchForm(_) => "POST",
        }
    }

    fn check_method(&self, method: Method) -> Result<(), Refusal> {
        let name = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options | Method::Other => "",
        };
        if !name.is_empty() && self.allow().split(", ").any(|allowed| allowed == name) {
            return Ok(());
        }
        let message = match (self, method) {
            (Self::Base, _) => "Batches and transactions are posted here; search and history name one type.".to_owned(),
            (_, Method::Patch) => "PATCH is not supported; send the whole resource with PUT.".to_owned(),
            (Self::Type(resource_type) | Self::Instance(resource_type, _), Method::Post | Method::Put | Method::Delete)
                if !client_may_write(*resource_type) =>
            {
                format!("Clients do not write {resource_type}.")
            }
            _ => format!("The methods here are: {}.", self.allow()),
        };
        let issue = Issue::error(IssueType::NotSupported, message).at(PATH);
        Err(Refusal { status: 405, allow: Some(self.allow()), issues: vec![issue] })
    }
}

/// A path has one spelling: no empty segments, no dot segments, no escapes but that of `$`. Of two spellings of one address, a filter in front of this
/// server may know only one.
fn check_spelling(path: &str, segments: &[&str]) -> Result<(), Refusal> {
    if segments.contains(&"") {
        return Err(nowhere("The path has an empty segment; it has no slash at its end and no two in a row."));
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(nowhere("The path has a dot segment."));
    }
    if path.split('/').zip(segments).any(|(sent, meant)| sent != *meant && sent.replace("%24", "$") != *meant) {
        return Err(nowhere("The path has percent-escapes; types, ids and the names of interactions need none."));
    }
    Ok(())
}

fn resource_type(name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::parse(name).ok_or_else(|| {
        let message = format!("'{}' is no resource type of FHIR R4 (names are case-sensitive).", echo(name));
        Refusal::new(404, Issue::error(IssueType::NotFound, message).at(PATH))
    })
}

/// An id that breaks the grammar cannot exist: not found, except where the client wants to write it.
fn logical_id(text: &str, method: Method) -> Result<LogicalId, Refusal> {
    LogicalId::parse(text).ok_or_else(|| match method {
        Method::Put => {
            let message = "An id has 1 to 64 of the characters A-Z, a-z, 0-9, - and the dot.";
            Refusal::new(400, Issue::error(IssueType::Value, message).at(PATH))
        }
        _ => Refusal::new(404, Issue::error(IssueType::NotFound, "No resource can have this id.").at(PATH)),
    })
}

/// `_format` where there is one, else `Accept`: the answer is FHIR JSON or nothing.
pub(super) fn check_format(pairs: &Pairs, accept: Option<&str>) -> Result<(), Refusal> {
    let mut formats = pairs.iter().filter(|(name, _)| name == "_format").peekable();
    if formats.peek().is_none() {
        if accepts_json(accept) {
            return Ok(());
        }
        let message = "Only FHIR JSON of R4 can be sent: application/fhir+json.";
        return Err(Refusal::new(406, Issue::error(IssueType::NotSupported, message).at("http.Accept")));
    }
    for (_, value) in formats {
        if let Err(message) = control::format(value) {
            return Err(Refusal::new(406, Issue::error(IssueType::NotSupported, message).at("http._format")));
        }
    }
    Ok(())
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
    if matches!(content, Content::Text(_)) && !is_json(request.headers.content_type) {
        return Err(unsupported_content(JSON));
    }
    let parsed = match content {
        Content::Text([]) | Content::Tree(None) => {
            let issue = Issue::error(IssueType::Required, "The body is empty; it must be the resource.");
            return Err(Refusal::new(400, issue.at(resource_type.name())));
        }
        Content::Text(text) => Resource::parse(text),
        Content::Tree(Some(tree)) => Resource::from_value(tree),
    };
    let resource = parsed.map_err(|issues| {
        // What is wrong with the whole body has the place that the address names.
        let place = |issue: Issue| if issue.expression.is_none() { issue.at(resource_type.name()) } else { issue };
        bad_request(issues.into_iter().map(place).collect())
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

fn nowhere(message: &str) -> Refusal {
    Refusal::new(404, Issue::error(IssueType::NotSupported, message).at(PATH))
}

pub(super) fn bad_request(issues: Vec<Issue>) -> Refusal {
    Refusal { status: 400, allow: None, issues }
}
