//! A batch or transaction as it is posted to the base address: read as far as its entries, none of which is judged yet.
//!
//! <https://hl7.org/fhir/R4/http.html#transaction>, <https://hl7.org/fhir/R4/bundle.html>. Each entry becomes a request of its own
//! ([`super::parse_entry`]); in what order they are done, and together or alone, is decided elsewhere.

use super::format::{check_format, read};
use super::parse::{Parsed, bad_request};
use super::{Context, Method, Preferences, Refusal, RequestLine};
use crate::bundle::{self, Entry, EntryRequest};
use crate::instant;
use crate::json::Value;
use crate::outcome::{Issue, IssueType};
use crate::query;

/// The most entries of one batch or transaction.
pub const MAXIMUM_ENTRIES: usize = 500;

/// Whether the entries stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each entry succeeds or fails alone.
    Batch,
    /// All entries succeed or fail together.
    Transaction,
}

impl Kind {
    /// The restful interaction code, which is the type of the Bundle, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Transaction => "transaction",
        }
    }

    /// The type of the Bundle that answers.
    pub fn response(self) -> &'static str {
        match self {
            Self::Batch => "batch-response",
            Self::Transaction => "transaction-response",
        }
    }
}

/// A batch or transaction.
#[derive(Debug)]
pub struct BundleRequest {
    /// Which of the two.
    pub kind: Kind,
    /// `Prefer`
    pub preferences: Preferences,
    /// The entries in order; what is wrong with one is said with its place, `Bundle.entry[0]...`.
    pub entries: Vec<Result<BundleEntry, Issue>>,
}

/// One entry.
#[derive(Debug)]
pub struct BundleEntry {
    /// What other entries call its resource.
    pub full_url: Option<Box<str>>,
    /// What is asked.
    pub request: EntryLine,
    /// The resource, unchecked.
    pub resource: Option<Value>,
}

/// What an entry asks, as a request of its own would say it.
#[derive(Debug)]
pub struct EntryLine {
    /// The method.
    pub method: Method,
    /// Its name as sent.
    pub method_name: Box<str>,
    /// The path below the base with a slash in front, still percent-encoded.
    pub path: Box<str>,
    /// The query without its question mark, still percent-encoded.
    pub query: Box<str>,
    /// `ifMatch`
    pub if_match: Option<Box<str>>,
    /// `ifNoneMatch`
    pub if_none_match: Option<Box<str>>,
    /// `ifNoneExist`
    pub if_none_exist: Option<Box<str>>,
    /// `ifModifiedSince`, in milliseconds since the epoch.
    pub if_modified_since: Option<i64>,
}

/// Whether a request posts to the base itself.
pub fn is_posted(method: Method, path: &str) -> bool {
    method == Method::Post && matches!(path, "" | "/")
}

/// Reads a batch or transaction.
pub fn parse(request: &RequestLine<'_>, context: &Context<'_>) -> Result<BundleRequest, Refusal> {
    let preferences = Preferences::parse(request.headers.prefer);
    let pairs = query::parse(request.query.as_bytes()).map_err(bad_request)?;
    check_format(&pairs, request.headers.accept)?;
    Parsed::new(preferences.handling).without_parameters(&pairs)?;
    let tree = read(request.headers.content_type, request.body).map_err(|mut refusal| {
        for issue in refusal.issues.iter_mut().filter(|issue| issue.expression.as_deref() == Some("Resource")) {
            issue.expression = Some("Bundle".to_owned());
        }
        refusal
    })?;
    let refuse = |issue: Issue| Refusal::new(400, issue);
    let Value::Object(members) = tree else {
        return Err(refuse(Issue::error(IssueType::Structure, "A Bundle is a JSON object.").at("Bundle")));
    };
    let kind = kind(&members).map_err(refuse)?;
    let items = match members.into_iter().find(|(name, _)| &**name == "entry") {
        None => Vec::new(),
        Some((_, Value::Array(items))) => items,
        Some(_) => return Err(refuse(Issue::error(IssueType::Structure, "The entries are an array.").at("Bundle.entry"))),
    };
    if items.len() > MAXIMUM_ENTRIES {
        let message = format!("The Bundle has {} entries; at most {MAXIMUM_ENTRIES} are accepted. Divide it.", items.len());
        return Err(Refusal::new(413, Issue::error(IssueType::TooLong, message).at("Bundle.entry")));
    }
    let entries = items.into_iter().enumerate().map(|(index, item)| entry(index, item, context.base_url)).collect();
    Ok(BundleRequest { kind, preferences, entries })
}

fn kind(members: &[(Box<str>, Value)]) -> Result<Kind, Issue> {
    let member = |name: &str| members.iter().find(|(key, _)| &**key == name).map(|(_, value)| value);
    if member("resourceType").and_then(Value::as_str) != Some("Bundle") {
        let message = "Only a Bundle is posted to the base address; other resources go to their type.";
        return Err(Issue::error(IssueType::Structure, message).at("Bundle"));
    }
    match member("type").and_then(Value::as_str) {
        Some("batch") => Ok(Kind::Batch),
        Some("transaction") => Ok(Kind::Transaction),
        Some(_) => {
            let message = "Bundles of type batch and transaction are processed here. To store a Bundle, post it to Bundle.";
            Err(Issue::error(IssueType::NotSupported, message).at("Bundle.type"))
        }
        None => Err(Issue::error(IssueType::Required, "The type is needed: batch or transaction.").at("Bundle.type")),
    }
}

fn entry(index: usize, item: Value, base_url: &str) -> Result<BundleEntry, Issue> {
    let place = |member: &str| format!("Bundle.entry[{index}]{member}");
    let Entry { full_url, resource, request } = bundle::entry(index, item)?;
    let Some(request) = request else {
        let message = "An entry of a batch or transaction says what is asked: request.method and request.url.";
        return Err(Issue::error(IssueType::Required, message).at(place(".request")));
    };
    let reads = matches!(&*request.method, "GET" | "HEAD" | "DELETE");
    if reads && resource.is_some() {
        let message = format!("An entry that asks to {} brings no resource.", request.method);
        return Err(Issue::error(IssueType::Invalid, message).at(place(".resource")));
    }
    let request = line(request, base_url).map_err(|(member, issue)| issue.at(place(member)))?;
    Ok(BundleEntry { full_url, request, resource })
}

fn line(request: EntryRequest, base_url: &str) -> Result<EntryLine, (&'static str, Issue)> {
    let address = request.url.strip_prefix(base_url).filter(|rest| rest.starts_with('/')).unwrap_or(&request.url);
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    let is_printable = address.bytes().all(|byte| byte.is_ascii_graphic());
    if path.contains(':') || address.contains('#') || !is_printable {
        let message = "The address is relative to the base address and percent-encoded, as in Patient/1 or Observation?code=x.";
        return Err((".request.url", Issue::error(IssueType::Value, message)));
    }
    let since = request.if_modified_since.as_deref().map(|text| {
        let range = instant::range(text).filter(|_| instant::is_instant(text));
        range.map(|range| range.low).ok_or_else(|| {
            let message = "An instant is accepted, such as 2024-05-31T10:00:00Z.";
            (".request.ifModifiedSince", Issue::error(IssueType::Value, message))
        })
    });
    Ok(EntryLine {
        method: Method::parse(&request.method),
        method_name: request.method,
        path: format!("/{path}").into(),
        query: query.into(),
        if_match: request.if_match,
        if_none_match: request.if_none_match,
        if_none_exist: request.if_none_exist,
        if_modified_since: since.transpose()?,
    })
}

/// The same issue as it stands in an answer about the whole Bundle: with its place in this entry.
pub fn placed(issue: Issue, index: usize) -> Issue {
    let entry = format!("Bundle.entry[{index}]");
    let place = match issue.expression.as_deref() {
        None => entry,
        Some(place) if place.starts_with("Bundle.entry[") => return issue,
        Some("http.If-Match") => format!("{entry}.request.ifMatch"),
        Some("http.If-None-Match") => format!("{entry}.request.ifNoneMatch"),
        Some("http.If-None-Exist") => format!("{entry}.request.ifNoneExist"),
        Some(place) if place == "http" || place.starts_with("http.") => format!("{entry}.request.url"),
        Some("resourceType") => format!("{entry}.resource.resourceType"),
        // Of a resource the first step is its type.
        Some(place) => {
            let below = place.find(['.', '[']).and_then(|end| place.get(end..)).unwrap_or_default();
            format!("{entry}.resource{below}")
        }
    };
    issue.at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::Headers;

    const CONTEXT: Context<'static> = Context { base_url: "https://h/fhir", now_ms: 0 };

    fn read(body: &str) -> Result<BundleRequest, Refusal> {
        let headers = Headers { content_type: Some("application/fhir+json"), ..Headers::default() };
        parse(&RequestLine { method: Method::Post, path: "", query: "", headers, body: body.as_bytes() }, &CONTEXT)
    }

    fn batch(entries: &str) -> String {
        format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#)
    }

    #[test]
    fn what_is_no_batch_and_no_transaction_is_refused_with_its_place() {
        let many = vec![r#"{"request":{"method":"GET","url":"Patient"}}"#; MAXIMUM_ENTRIES + 1].join(",");
        for (body, status, place) in [
            ("", 400, "Bundle"),
            ("[]", 400, "Bundle"),
            (r#"{"resourceType":"Patient"}"#, 400, "Bundle"),
            (r#"{"resourceType":"Bundle"}"#, 400, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":"collection"}"#, 400, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#, 400, "Bundle.entry"),
            (&batch(&many), 413, "Bundle.entry"),
        ] {
            let refusal = read(body).unwrap_err();
            assert_eq!((refusal.status, refusal.issues[0].expression.as_deref()), (status, Some(place)), "{refusal:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_said_of_that_entry_alone() {
        for (entry, place) in [
            ("1", "Bundle.entry[0]"),
            ("{}", "Bundle.entry[0].request"),
            (r#"{"request":{"url":"Patient"}}"#, "Bundle.entry[0].request.method"),
            (r#"{"request":{"method":"GET"}}"#, "Bundle.entry[0].request.url"),
            (r#"{"request":{"method":"GET","url":"https://other/Patient/1"}}"#, "Bundle.entry[0].request.url"),
            (r#"{"request":{"method":"GET","url":"Patient?name=a b"}}"#, "Bundle.entry[0].request.url"),
            (r#"{"request":{"method":"GET","url":"Patient#x"}}"#, "Bundle.entry[0].request.url"),
            (r#"{"request":{"method":"PUT","url":"Patient/1","ifMatch":1}}"#, "Bundle.entry[0].request.ifMatch"),
            (r#"{"request":{"method":"POST","url":"Patient","ifNoneExist":{}}}"#, "Bundle.entry[0].request.ifNoneExist"),
            (
                r#"{"request":{"method":"GET","url":"Patient/1","ifModifiedSince":"2024"}}"#,
                "Bundle.entry[0].request.ifModifiedSince",
            ),
            (r#"{"request":{"method":"DELETE","url":"Patient/1"},"resource":{}}"#, "Bundle.entry[0].resource"),
        ] {
            let bundle = read(&batch(&format!(r#"{entry},{{"request":{{"method":"GET","url":"Patient/1"}}}}"#))).unwrap();
            let issue = bundle.entries[0].as_ref().unwrap_err();
            assert_eq!(issue.expression.as_deref(), Some(place), "{entry}");
            assert!(bundle.entries[1].is_ok(), "{entry}");
        }
    }

    #[test]
    fn an_address_is_relative_or_below_the_own_base() {
        for url in ["Patient/1?_summary=true", "/Patient/1?_summary=true", "https://h/fhir/Patient/1?_summary=true"] {
            let bundle = read(&batch(&format!(r#"{{"request":{{"method":"GET","url":"{url}"}}}}"#))).unwrap();
            let entry = bundle.entries[0].as_ref().unwrap();
            assert_eq!((&*entry.request.path, &*entry.request.query), ("/Patient/1", "_summary=true"), "{url}");
        }
    }

    #[test]
    fn an_issue_is_placed_in_its_entry() {
        let issue = |place: &str| Issue::error(IssueType::Value, "x").at(place);
        for (place, expected) in [
            ("http", "Bundle.entry[3].request.url"),
            ("http.birthdate", "Bundle.entry[3].request.url"),
            ("http.If-Match", "Bundle.entry[3].request.ifMatch"),
            ("Observation", "Bundle.entry[3].resource"),
            ("Observation.code[1].text", "Bundle.entry[3].resource.code[1].text"),
            ("Bundle.entry[3].resource.x", "Bundle.entry[3].resource.x"),
        ] {
            assert_eq!(placed(issue(place), 3).expression.as_deref(), Some(expected));
        }
        assert_eq!(placed(Issue::error(IssueType::Value, "x"), 3).expression.as_deref(), Some("Bundle.entry[3]"));
    }
}
