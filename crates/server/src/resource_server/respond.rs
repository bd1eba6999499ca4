//! Stage 11: released content becomes a FHIR answer, alone or in the answer to a batch or transaction.
//!
//! <https://hl7.org/fhir/R4/http.html>. Bodies are copied as bytes; only `_summary` and `_elements` parse them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::StatusCode;
use portcullis_audit::ConsentDecision;
use portcullis_fhir::bundle::{BundleWriter, HistoryEntry, Links, SearchMode};
use portcullis_fhir::instant;
use portcullis_fhir::interaction::{IfNoneMatch, Interaction, Preferences, Request, ReturnPreference};
use portcullis_fhir::json;
use portcullis_fhir::labels::{HighWater, Labels};
use portcullis_fhir::outcome::{self, Issue, IssueType, Severity};
use portcullis_fhir::query;
use portcullis_fhir::search::{Ignored, SearchQuery, Shape, Total};
use portcullis_fhir::shape;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_policy::rules::consent::Verdicts;
use portcullis_policy::{Change, HistoryPage, Operation, Predecessor, Released, SearchPage, StoredVersion, Written};
use portcullis_store::consent_decisions::decisions;

use super::Exchange;
use super::refusal::{Refusal, unseen};
use super::reply::{Reply, high_water};
use super::several::Gathered;
use crate::context::Server;

/// How the answer shall look.
pub struct Asked {
    preferences: Preferences,
    shape: Shape,
    if_none_match: IfNoneMatch,
    if_modified_since: Option<i64>,
    search: Option<Searched>,
    /// The page size of a history.
    count: Option<u32>,
    ignored: Vec<Ignored>,
}

/// What of a search its answer repeats.
struct Searched {
    self_link: String,
    shape: Shape,
    ignored: Vec<Ignored>,
}

impl Asked {
    /// Separates what is asked for from how it shall be answered.
    pub fn of(request: Request, base_url: &str) -> (Self, Interaction) {
        let Request { interaction, preferences, shape, if_none_match, if_modified_since, ignored } = request;
        let search = match &interaction {
            Interaction::Search(query) => Some(Searched {
                self_link: query.self_link(base_url),
                shape: query.shape.clone(),
                ignored: query.ignored.clone(),
            }),
            Interaction::SearchOfTypes(search) => {
                Some(Searched { self_link: search.self_link(base_url), shape: Shape::Whole, ignored: search.ignored.clone() })
            }
            _ => None,
        };
        let count = match &interaction {
            Interaction::InstanceHistory(history) => Some(history.count),
            _ => None,
        };
        (Self { preferences, shape, if_none_match, if_modified_since, search, count, ignored }, interaction)
    }
}

/// What was found and released.
pub enum Found {
    /// A version, or none.
    Version(Released<Option<StoredVersion>>),
    /// A page of a history.
    History(Released<HistoryPage>),
    /// A page of a search.
    Page(Released<SearchPage>),
}

impl Found {
    /// What the record says of it.
    pub fn summary(&self) -> Summary {
        let versions: Vec<&StoredVersion> = match self {
            Self::Version(version) => version.content().iter().collect(),
            Self::History(page) => page.content().versions.iter().collect(),
            Self::Page(page) => page.content().matches.iter().chain(&page.content().included).collect(),
        };
        let (verdicts, redacted) = match self {
            Self::Version(version) => (version.verdicts(), version.redacted()),
            Self::History(page) => (page.verdicts(), page.redacted()),
            Self::Page(page) => (page.verdicts(), page.redacted()),
        };
        Summary::of(versions).decided(verdicts, redacted)
    }
}

/// What the record says of what was released.
pub struct Summary {
    /// The patients concerned.
    pub patients: Vec<String>,
    /// The number of resources.
    pub returned: u32,
    /// Of how many of these something was left out.
    pub redacted: u32,
    /// The labels of all of them.
    pub labels: Labels,
    /// What consents decided.
    pub consents: Vec<ConsentDecision>,
}

impl Summary {
    /// That of these versions.
    pub fn of<'a>(versions: impl IntoIterator<Item = &'a StoredVersion>) -> Self {
        let (mut patients, mut labels, mut returned) = (BTreeSet::<&LogicalId>::new(), Labels::NONE, 0_u32);
        for version in versions {
            patients.extend(&version.patients);
            labels = labels | version.security.labels;
            returned = returned.saturating_add(1);
        }
        let patients = patients.into_iter().map(ToString::to_string).collect();
        Self { patients, returned, redacted: 0, labels, consents: Vec::new() }
    }

    /// The same with what consents decided, and with how many of the resources are shown in part.
    #[must_use]
    pub fn decided(self, verdicts: &Verdicts, redacted: u32) -> Self {
        Self { consents: decisions(verdicts), redacted, ..self }
    }
}

impl From<(Vec<String>, u32)> for Summary {
    /// That of something without labels.
    fn from((patients, returned): (Vec<String>, u32)) -> Self {
        Self { patients, returned, redacted: 0, labels: Labels::NONE, consents: Vec::new() }
    }
}

/// The answer to a reading interaction.
pub fn found(server: &Server, exchange: &Exchange, asked: &Asked, found: &Found) -> Result<Reply, Refusal> {
    match found {
        Found::Version(released) => match released.content() {
            None => Ok(nothing(server)),
            Some(version) => version_reply(server, asked, version),
        },
        Found::History(released) => history_reply(server, exchange, asked, released.content()),
        Found::Page(released) => search_reply(server, asked, released.content()),
    }
}

fn nothing(server: &Server) -> Reply {
    let (status, issues) = unseen(server.settings.authorization.denials);
    Reply::new(status).outcome(&issues)
}

fn version_reply(server: &Server, asked: &Asked, version: &StoredVersion) -> Result<Reply, Refusal> {
    let reply = |status| Reply::new(status).about(version, url(server, version));
    let Some(body) = &version.body else {
        return Ok(reply(StatusCode::GONE).outcome(&[Issue::error(IssueType::Deleted, "The resource was deleted.")]));
    };
    // The header knows seconds only (RFC 9110, section 13.1.3). A time that says the year alone does not tell what changed since.
    let is_exact = version.last_updated != instant::beginning_of_year(version.last_updated);
    let is_old = |since: i64| version.last_updated.div_euclid(1000) <= since.div_euclid(1000);
    let is_known = is_exact && asked.if_modified_since.is_some_and(is_old);
    if is_known || asked.if_none_match.matches(&version.version) {
        return Ok(reply(StatusCode::NOT_MODIFIED));
    }
    let body = shaped(body, &asked.shape, version.resource_type)?.into_owned();
    Ok(reply(StatusCode::OK).resource(body).found_at(version_url(server, version)))
}

fn url(server: &Server, version: &StoredVersion) -> String {
    let mut output = String::new();
    push_url(server, version, &mut output);
    output
}

fn push_url(server: &Server, version: &StoredVersion, output: &mut String) {
    for part in [server.settings.fhir_base.as_str(), "/", version.resource_type.name(), "/", version.id.as_str()] {
        output.push_str(part);
    }
}

fn version_url(server: &Server, version: &StoredVersion) -> String {
    format!("{}/_history/{}", url(server, version), version.version)
}

/// The bytes to send: as stored, unless a summary or single elements were asked for.
fn shaped<'a>(body: &'a [u8], wanted: &Shape, resource_type: ResourceType) -> Result<Cow<'a, [u8]>, Refusal> {
    if matches!(wanted, Shape::Whole) {
        return Ok(Cow::Borrowed(body));
    }
    let mut value = json::parse(body).map_err(|_| Refusal::Internal("a stored body is not JSON"))?;
    shape::apply(wanted, resource_type, &mut value);
    let mut output = Vec::with_capacity(body.len());
    value.write(&mut output);
    Ok(Cow::Owned(output))
}

fn search_reply(server: &Server, asked: &Asked, page: &SearchPage) -> Result<Reply, Refusal> {
    let Some(Searched { self_link, shape, ignored }) = &asked.search else {
        return Err(Refusal::Internal("a search page without its query"));
    };
    let next = page.next.as_ref().map(|cursor| SearchQuery::page_link(self_link, cursor));
    let links = Links { this: self_link.clone(), next };
    let versions = page.matches.iter().chain(&page.included);
    let labels = if matches!(shape, Shape::Count) { HighWater::default() } else { high_water(versions.clone()) };
    let (entries, bytes) = versions
        .filter_map(|version| version.body.as_ref())
        .fold((0, 0), |(entries, bytes), body| (entries + 1, bytes + body.len()));
    let mut bundle = BundleWriter::searchset(&links, page.total).with_room(entries, bytes).labelled(&labels);
    let mut address = String::new();
    if !matches!(shape, Shape::Count) {
        // "The list of elements does not apply to included resources." (https://hl7.org/fhir/R4/search.html#elements)
        let included = if matches!(shape, Shape::Elements(_)) { &Shape::Whole } else { shape };
        for (mode, versions, shape) in
            [(SearchMode::Match, &page.matches, shape), (SearchMode::Include, &page.included, included)]
        {
            for version in versions {
                let body = version.body.as_deref().ok_or(Refusal::Internal("a search found a deletion"))?;
                let body = shaped(body, shape, version.resource_type)?;
                address.clear();
                push_url(server, version, &mut address);
                bundle.resource(Some(&address), &body, mode);
            }
        }
    }
    if !ignored.is_empty() {
        let issues: Vec<Issue> = ignored.iter().map(ignored_issue).collect();
        bundle.resource(None, &outcome::render(&issues), SearchMode::Outcome);
    }
    Ok(Reply::new(StatusCode::OK).labelled(labels).resource(bundle.finish()))
}

/// Of a search whether the number of matches is asked for; `None` of everything else.
pub fn counts_matches(operation: &Operation) -> Option<bool> {
    match operation {
        Operation::Search(query) => Some(query.total != Total::None || matches!(query.shape, Shape::Count)),
        _ => None,
    }
}

/// The answer to a search that finds nothing, whatever is stored; `counts`: the number of matches was asked for.
pub fn no_match(server: &Server, asked: &Asked, counts: bool) -> Result<Reply, Refusal> {
    search_reply(server, asked, &SearchPage { total: counts.then_some(0), ..SearchPage::default() })
}

/// The answer to a search of several types: each page in the shape of its search.
pub fn several(server: &Server, asked: &Asked, gathered: &Gathered) -> Result<Reply, Refusal> {
    let Some(Searched { self_link, ignored, .. }) = &asked.search else {
        return Err(Refusal::Internal("a search page without its query"));
    };
    let next = gathered.next.as_ref().map(|cursor| SearchQuery::page_link(self_link, cursor));
    let focus = gathered.focus.iter().filter_map(|focus| focus.content().as_ref()).map(|version| (version, &Shape::Whole));
    let pages = gathered.pages.iter().flat_map(|(_, shape, page)| page.content().matches.iter().map(move |one| (one, shape)));
    let shown = focus.chain(pages);
    let labels = high_water(shown.clone().map(|(version, _)| version));
    let links = Links { this: self_link.clone(), next };
    let mut bundle = BundleWriter::searchset(&links, gathered.total).labelled(&labels);
    for (version, shape) in shown {
        let body = version.body.as_deref().ok_or(Refusal::Internal("a search found a deletion"))?;
        let body = shaped(body, shape, version.resource_type)?;
        bundle.resource(Some(&url(server, version)), &body, SearchMode::Match);
    }
    if !ignored.is_empty() {
        let issues: Vec<Issue> = ignored.iter().map(ignored_issue).collect();
        bundle.resource(None, &outcome::render(&issues), SearchMode::Outcome);
    }
    Ok(Reply::new(StatusCode::OK).labelled(labels).resource(bundle.finish()))
}

fn ignored_issue(ignored: &Ignored) -> Issue {
    Issue {
        severity: Severity::Warning,
        code: IssueType::NotSupported,
        diagnostics: format!("The parameter was ignored: {}", ignored.reason),
        expression: Some(format!("http.{}", ignored.parameter)),
    }
}

fn history_reply(server: &Server, exchange: &Exchange, asked: &Asked, page: &HistoryPage) -> Result<Reply, Refusal> {
    if page.versions.is_empty() && page.total == 0 && page.predecessor == Predecessor::Nothing {
        return Ok(nothing(server));
    }
    let base = format!("{}{}", server.settings.public_url, exchange.target.path());
    // The page size as it is bounded: the self link says what was understood.
    let count = asked.count.map(|count| format!("_count={count}")).unwrap_or_default();
    let mut understood = understood(exchange.target.query().unwrap_or_default(), &asked.ignored);
    understood.iter_mut().filter(|part| part.starts_with("_count=")).for_each(|part| *part = &count);
    let link = |parts: &[&str]| if parts.is_empty() { base.clone() } else { format!("{base}?{}", parts.join("&")) };
    let next = page.next.as_ref().map(|cursor| {
        let place = format!("_cursor={cursor}");
        let kept = understood.iter().copied().filter(|part| !part.starts_with("_cursor="));
        link(&kept.chain([place.as_str()]).collect::<Vec<_>>())
    });
    let labels = high_water(page.versions.iter());
    let mut bundle = BundleWriter::history(&Links { this: link(&understood), next }, Some(page.total)).labelled(&labels);
    for (index, version) in page.versions.iter().enumerate() {
        let predecessor = match page.versions.get(index + 1) {
            Some(StoredVersion { body: Some(_), .. }) => Predecessor::Content,
            Some(_) => Predecessor::Deletion,
            None => page.predecessor,
        };
        let (method, status) = made_by(version, predecessor);
        let instance = format!("{}/{}", version.resource_type, version.id);
        let entry = HistoryEntry {
            method,
            url: if method == "POST" { version.resource_type.name() } else { &instance },
            status,
            version: version.version.as_str(),
            last_modified: &instant::format(version.last_updated),
        };
        let body = version.body.as_ref().map(|body| shaped(body, &asked.shape, version.resource_type)).transpose()?;
        bundle.version(&url(server, version), body.as_deref(), &entry);
    }
    Ok(Reply::new(StatusCode::OK).labelled(labels).resource(bundle.finish()))
}

/// The method that made a version, and the status that it was answered with. Which of POST and PUT made the first version is not kept: the server has
/// chosen the id, or an import has.
fn made_by(version: &StoredVersion, predecessor: Predecessor) -> (&'static str, &'static str) {
    match (&version.body, predecessor) {
        (None, _) => ("DELETE", "204"),
        (Some(_), Predecessor::Nothing) => ("POST", "201"),
        (Some(_), Predecessor::Deletion) => ("PUT", "201"),
        (Some(_), Predecessor::Content) => ("PUT", "200"),
    }
}

/// The parts of a query as sent, without the parameters that were ignored.
fn understood<'a>(query: &'a str, ignored: &[Ignored]) -> Vec<&'a str> {
    let is_ignored = |part: &str| {
        let named = query::parse(part.as_bytes()).unwrap_or_default();
        named.iter().any(|(name, _)| ignored.iter().any(|ignored| *ignored.parameter == **name))
    };
    query.split('&').filter(|part| !part.is_empty() && !is_ignored(part)).collect()
}

/// The status of a write that succeeds.
pub fn status_of(changes: &[Change]) -> StatusCode {
    match changes.first() {
        Some(Change::Create(_) | Change::Import(_)) => StatusCode::CREATED,
        Some(Change::Update { .. }) => StatusCode::OK,
        Some(Change::Delete { .. }) | None => StatusCode::NO_CONTENT,
    }
}

/// The answer to a write.
pub fn written(server: &Server, asked: &Asked, written: &[Written]) -> Reply {
    let Some(first) = written.first() else {
        return Reply::new(StatusCode::NO_CONTENT);
    };
    let version = first.version();
    let reply = |status| Reply::new(status).about(version, url(server, version));
    match first {
        Written::Deleted(_) => reply(StatusCode::NO_CONTENT),
        Written::Created(_) => with_preferred(reply(StatusCode::CREATED).made_at(version_url(server, version)), asked, version),
        Written::Updated(_) | Written::Unchanged(_) => {
            with_preferred(reply(StatusCode::OK).found_at(version_url(server, version)), asked, version)
        }
    }
}

/// The answer to a conditional create that found what it would have created: "the server ignores the post and returns 200 OK"
/// (<https://hl7.org/fhir/R4/http.html#ccreate>).
pub fn existing(server: &Server, asked: &Asked, version: &StoredVersion) -> Reply {
    let reply = Reply::new(StatusCode::OK).about(version, url(server, version)).made_at(version_url(server, version));
    with_preferred(reply, asked, version)
}

fn with_preferred(reply: Reply, asked: &Asked, version: &StoredVersion) -> Reply {
    match (&version.body, asked.preferences.body) {
        (Some(body), ReturnPreference::Representation) => reply.resource(body.clone()),
        (_, ReturnPreference::OperationOutcome) => {
            let text = format!("{}/{} is stored.", version.resource_type, version.id);
            reply.outcome(&[Issue::information(IssueType::Informational, text)])
        }
        _ => reply,
    }
}
