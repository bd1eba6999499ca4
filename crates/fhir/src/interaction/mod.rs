//! What a request asks of the FHIR server.
//!
//! <https://hl7.org/fhir/R4/http.html>. Other operations than `$everything`, system and type histories and FHIRPath Patch are recognised and refused; who may do what
//! is decided elsewhere. A batch or transaction is no interaction: it is taken apart into its entries ([`bundle`]), each of which is one.

use crate::outcome::Issue;
use crate::patch;
use crate::resource::Resource;
use crate::search::{Ignored, SearchOfTypes, SearchQuery, Shape};
use crate::types::{LogicalId, ResourceType};

pub mod bundle;
mod condition;
mod format;
mod headers;
mod parse;
mod patching;
mod searching;
mod target;
#[cfg(test)]
mod tests;

pub use condition::reference_condition;
pub(crate) use format::NAMES as FORMAT_NAMES;
pub use format::{Format, answer_format};
pub use headers::{Headers, IfNoneMatch, Preferences, ReturnPreference};
pub use parse::{parse, parse_entry};

/// A request to the FHIR server, as HTTP delivers it.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: Method,
    /// The path below the base, still percent-encoded: `/Patient/1`; empty or `/` is the base itself.
    pub path: &'a str,
    /// The query without its question mark, still percent-encoded.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: as GET; the body of the answer is not sent.
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS` (a preflight is answered before this parser).
    Options,
    /// Any other.
    Other,
}

impl Method {
    /// The method with this name; methods are case-sensitive.
    pub fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// What parsing a request needs to know besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The server's own base URL, without a slash at the end.
    pub base_url: &'a str,
    /// Now, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// A request that is understood: what is to be done, and how the answer shall look.
#[derive(Debug)]
pub struct Request {
    /// What is to be done. Only this is subject to authorization.
    pub interaction: Interaction,
    /// `Prefer`
    pub preferences: Preferences,
    /// `_summary` and `_elements` of a read, version read or history; a search has its own.
    pub shape: Shape,
    /// `If-None-Match` of a read: where the version that would be released is one of these, 304 answers.
    pub if_none_match: IfNoneMatch,
    /// `If-Modified-Since` of a read, in milliseconds since the epoch: where the version that would be released is not newer, 304 answers.
    pub if_modified_since: Option<i64>,
    /// The parameters that were not understood and therefore ignored; a search has its own.
    pub ignored: Vec<Ignored>,
}

/// A request that is refused before anything is decided or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// For status 405: the `Allow` header, which may be empty (RFC 9110, section 10.2.1).
    pub allow: Option<&'static str>,
    /// Why, and what would be accepted.
    pub issues: Vec<Issue>,
}

impl Refusal {
    /// A refusal for one reason.
    pub fn new(status: u16, issue: Issue) -> Self {
        Self { status, allow: None, issues: vec![issue] }
    }
}

/// Whether clients may create, update and delete resources of this type. The server alone writes AuditEvent; the other two are messages and are never stored.
pub fn client_may_write(resource_type: ResourceType) -> bool {
    resource_type != ResourceType::AUDIT_EVENT && is_stored(resource_type)
}

/// Whether resources of this type are stored at all.
pub fn is_stored(resource_type: ResourceType) -> bool {
    !matches!(resource_type.name(), "OperationOutcome" | "Parameters")
}

/// A FHIR interaction, parsed to the end: nothing about the request has to be guessed later.
#[derive(Debug)]
pub enum Interaction {
    /// `GET [base]/metadata`
    Capabilities,
    /// `GET [base]/[type]/[id]`
    Read(Read),
    /// `GET [base]/[type]/[id]/_history/[vid]`
    VersionRead(VersionRead),
    /// `GET [base]/[type]/[id]/_history`
    InstanceHistory(InstanceHistory),
    /// `GET [base]/[type]?...` or `POST [base]/[type]/_search`
    Search(SearchQuery),
    /// `GET [base]?_type=...`, `GET [base]/[compartment]/[id]/*` or `GET [base]/[type]/[id]/$everything`: a search of each of several types.
    SearchOfTypes(Box<SearchOfTypes>),
    /// `POST [base]/[type]`
    Create(Create),
    /// `PUT [base]/[type]/[id]`
    Update(Update),
    /// `DELETE [base]/[type]/[id]`
    Delete(Delete),
    /// `PATCH [base]/[type]/[id]`
    Patch(Patch),
    /// `PATCH [base]/[type]?...`
    ConditionalPatch(ConditionalPatch),
    /// `PUT [base]/[type]?...`
    ConditionalUpdate(ConditionalUpdate),
    /// `DELETE [base]/[type]?...`
    ConditionalDelete(ConditionalDelete),
}

/// A change of the current version, as a patch says.
#[derive(Debug)]
pub struct Patch {
    /// The type in the path.
    pub resource_type: ResourceType,
    /// The id in the path.
    pub id: LogicalId,
    /// What is to be changed.
    pub document: patch::Document,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}

/// A change of the one resource that a search finds.
#[derive(Debug)]
pub struct ConditionalPatch {
    /// What finds the resource; criteria alone.
    pub condition: SearchQuery,
    /// What is to be changed.
    pub document: patch::Document,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}

/// The read of the current version.
#[derive(Clone, Debug)]
pub struct Read {
    /// The type asked for.
    pub resource_type: ResourceType,
    /// The id asked for.
    pub id: LogicalId,
}

/// The read of one version.
#[derive(Clone, Debug)]
pub struct VersionRead {
    /// The type asked for.
    pub resource_type: ResourceType,
    /// The id asked for.
    pub id: LogicalId,
    /// The version asked for; opaque.
    pub version: LogicalId,
}

/// The versions of one resource, newest first.
#[derive(Clone, Debug)]
pub struct InstanceHistory {
    /// The type asked for.
    pub resource_type: ResourceType,
    /// The id asked for.
    pub id: LogicalId,
    /// Versions per page.
    pub count: u32,
    /// `_since`, milliseconds since the epoch: only versions from then on.
    pub since: Option<i64>,
    /// The encrypted bookmark of a further page.
    pub cursor: Option<Box<str>>,
}

/// A new resource; the server chooses the id.
#[derive(Debug)]
pub struct Create {
    /// The resource as sent.
    pub resource: Resource,
    /// `If-None-Exist`: create only where this finds nothing.
    pub condition: Option<SearchQuery>,
}

/// A new version of the resource that a search finds, or a new resource where it finds none.
#[derive(Debug)]
pub struct ConditionalUpdate {
    /// What finds the resource; criteria alone.
    pub condition: SearchQuery,
    /// The resource as sent.
    pub resource: Resource,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}

/// The end of the one resource that a search finds.
#[derive(Debug)]
pub struct ConditionalDelete {
    /// What finds the resource; criteria alone.
    pub condition: SearchQuery,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}

/// A new version of a resource.
#[derive(Debug)]
pub struct Update {
    /// The id in the path; equals the id in the body.
    pub id: LogicalId,
    /// The resource as sent.
    pub resource: Resource,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}

/// The end of a resource; its history remains.
#[derive(Clone, Debug)]
pub struct Delete {
    /// The type in the path.
    pub resource_type: ResourceType,
    /// The id in the path.
    pub id: LogicalId,
    /// `If-Match`: the version that must be current.
    pub if_match: Option<LogicalId>,
}
