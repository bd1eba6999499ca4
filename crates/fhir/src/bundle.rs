//! Bundles: searchsets, histories and answers to batches, written; and Bundles from elsewhere, read entry by entry.
//!
//! <https://hl7.org/fhir/R4/bundle.html>. The writer copies resources that are serialised already, byte for byte, and never parses them. The reader takes
//! a Bundle apart into its entries; it does not judge the resources, and does not carry out a transaction. Links between entries: [`links`].

use crate::json::{Value, write_string};
use crate::labels::HighWater;
use crate::outcome::{Issue, IssueType};

pub mod links;

/// The pages that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The address of this answer, as the server understood it.
    pub this: String,
    /// The address of the next page, where there is one.
    pub next: Option<String>,
}

/// Why an entry is in a searchset (<https://hl7.org/fhir/R4/valueset-search-entry-mode.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchMode {
    /// It matches the search.
    Match,
    /// A match refers to it, or it refers to a match.
    Include,
    /// An OperationOutcome about the search itself.
    Outcome,
}

impl SearchMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
            Self::Outcome => "outcome",
        }
    }
}

/// What a version in a history came from, and what the answer to it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry<'a> {
    /// `POST`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// The address relative to the base: `Patient` for a creation, else `Patient/1`.
    pub url: &'a str,
    /// `201`, `200` or `204`.
    pub status: &'a str,
    /// The version id; it becomes the weak ETag.
    pub version: &'a str,
    /// When the version was made, as FHIR `instant`.
    pub last_modified: &'a str,
}

/// What became of one entry of a batch or transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryResponse<'a> {
    /// The status code.
    pub status: &'a str,
    /// The address of the version that was made.
    pub location: Option<&'a str>,
    /// The version id, and when the version was made, as FHIR `instant`.
    pub version: Option<(&'a str, &'a str)>,
    /// An OperationOutcome, as JSON.
    pub outcome: Option<&'a [u8]>,
}

/// What an entry of a searchset takes beside its resource, with a typical address.
const ENTRY_BYTES: usize = 160;

/// Writes a Bundle of type `searchset` or `history` from finished parts.
#[derive(Debug)]
pub struct BundleWriter {
    output: Vec<u8>,
    entries: usize,
}

impl BundleWriter {
    /// A searchset; `total` counts the matches, where it is known.
    pub fn searchset(links: &Links, total: Option<u64>) -> Self {
        Self::start("searchset", Some(links), total)
    }

    /// A history; `total` counts the versions, where it is known.
    pub fn history(links: &Links, total: Option<u64>) -> Self {
        Self::start("history", Some(links), total)
    }

    /// The answer to a batch or transaction, of type `batch-response` or `transaction-response`.
    pub fn responses(bundle_type: &str) -> Self {
        Self::start(bundle_type, None, None)
    }

    /// Makes room for so many entries whose resources have so many bytes together, so that nothing is copied while it grows.
    #[must_use]
    pub fn with_room(mut self, entries: usize, bytes: usize) -> Self {
        self.output.reserve(bytes.saturating_add(entries.saturating_mul(ENTRY_BYTES)));
        self
    }

    /// Says how confidential the entries are and what is to be done with them. Belongs before the first entry.
    #[must_use]
    pub fn labelled(mut self, labels: &HighWater) -> Self {
        if let Some(meta) = labels.meta() {
            self.raw(r#","meta":"#);
            self.output.extend_from_slice(&meta);
        }
        self
    }

    fn start(bundle_type: &str, links: Option<&Links>, total: Option<u64>) -> Self {
        let mut writer = Self { output: Vec::with_capacity(4096), entries: 0 };
        writer.raw(r#"{"resourceType":"Bundle","type":""#);
        writer.raw(bundle_type);
        writer.raw("\"");
        if let Some(total) = total {
            writer.raw(r#","total":"#);
            writer.raw(&total.to_string());
        }
        let Some(links) = links else { return writer };
        writer.raw(r#","link":[{"relation":"self","url":"#);
        writer.text(&links.this);
        writer.raw("}");
        if let Some(next) = &links.next {
            writer.raw(r#",{"relation":"next","url":"#);
            writer.text(next);
            writer.raw("}");
        }
        writer.raw("]");
        writer
    }

    /// Adds a resource of a searchset; an outcome has no `full_url`.
    pub fn resource(&mut self, full_url: Option<&str>, resource: &[u8], mode: SearchMode) {
        self.open_entry();
        if let Some(full_url) = full_url {
            self.raw(r#""fullUrl":"#);
            self.text(full_url);
            self.raw(",");
        }
        self.raw(r#""resource":"#);
        self.output.extend_from_slice(resource);
        self.raw(r#","search":{"mode":""#);
        self.raw(mode.as_str());
        self.raw(r#""}}"#);
    }

    /// Adds a version of a history; a deletion has no resource.
    pub fn version(&mut self, full_url: &str, resource: Option<&[u8]>, entry: &HistoryEntry<'_>) {
        self.open_entry();
        self.raw(r#""fullUrl":"#);
        self.text(full_url);
        if let Some(resource) = resource {
            self.raw(r#","resource":"#);
            self.output.extend_from_slice(resource);
        }
        self.raw(r#","request":{"method":"#);
        self.text(entry.method);
        self.raw(r#","url":"#);
        self.text(entry.url);
        self.raw(r#"},"response":{"status":"#);
        self.text(entry.status);
        self.raw(r#","etag":"#);
        self.text(&format!("W/\"{}\"", entry.version));
        self.raw(r#","lastModified":"#);
        self.text(entry.last_modified);
        self.raw("}}");
    }

    /// Adds what became of an entry, with a resource where there is one to send.
    pub fn response(&mut self, full_url: Option<&str>, resource: Option<&[u8]>, response: &EntryResponse<'_>) {
        self.open_entry();
        if let Some(full_url) = full_url {
            self.raw(r#""fullUrl":"#);
            self.text(full_url);
            self.raw(",");
        }
        if let Some(resource) = resource {
            self.raw(r#""resource":"#);
            self.output.extend_from_slice(resource);
            self.raw(",");
        }
        self.raw(r#""response":{"status":"#);
        self.text(response.status);
        if let Some(location) = response.location {
            self.raw(r#","location":"#);
            self.text(location);
        }
        if let Some((version, last_modified)) = response.version {
            self.raw(r#","etag":"#);
            self.text(&format!("W/\"{version}\""));
            self.raw(r#","lastModified":"#);
            self.text(last_modified);
        }
        if let Some(outcome) = response.outcome {
            self.raw(r#","outcome":"#);
            self.output.extend_from_slice(outcome);
        }
        self.raw("}}");
    }

    /// How many entries there are so far.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The whole Bundle.
    pub fn finish(mut self) -> Vec<u8> {
        // FHIR forbids empty arrays: without entries there is no member.
        self.raw(if self.entries > 0 { "]}" } else { "}" });
        self.output
    }

    fn open_entry(&mut self) {
        self.raw(if self.entries == 0 { r#","entry":[{"# } else { ",{" });
        self.entries += 1;
    }

    fn raw(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        write_string(text, &mut self.output);
    }
}

/// The Bundle types that can be loaded (<https://hl7.org/fhir/R4/valueset-bundle-type.html>).
const LOADABLE: [&str; 4] = ["transaction", "batch", "collection", "searchset"];

/// One entry of a Bundle that is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `fullUrl`, to which references in the same Bundle may point.
    pub full_url: Option<Box<str>>,
    /// The resource, unchecked.
    pub resource: Option<Value>,
    /// `request`, in a transaction or batch.
    pub request: Option<EntryRequest>,
}

/// What a transaction or batch asks to do with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRequest {
    /// `GET`, `POST`, `PUT`, `DELETE`, ...
    pub method: Box<str>,
    /// The address relative to the base.
    pub url: Box<str>,
    /// `ifNoneExist`: create only where this search finds nothing.
    pub if_none_exist: Option<Box<str>>,
    /// `ifMatch`: the version that must be current.
    pub if_match: Option<Box<str>>,
    /// `ifNoneMatch`: versions that are not sent again.
    pub if_none_match: Option<Box<str>>,
    /// `ifModifiedSince`: what is not newer is not sent again.
    pub if_modified_since: Option<Box<str>>,
}

/// Takes a Bundle apart. The outer error refuses the Bundle, an inner one a single entry; positions stay those of the source.
///
/// Entries of a searchset whose mode is `outcome` speak about the search; they have no resource here.
pub fn entries(bundle: Value) -> Result<Vec<Result<Entry, Issue>>, Issue> {
    let structure = |message: &str, place: &str| Issue::error(IssueType::Structure, message).at(place);
    let Value::Object(members) = bundle else {
        return Err(structure("A Bundle is a JSON object.", "Bundle"));
    };
    let member = |name: &str| members.iter().find(|(key, _)| &**key == name).map(|(_, value)| value);
    if member("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(structure("The resourceType is not Bundle.", "Bundle"));
    }
    let loadable = format!("Bundles of type {} can be loaded.", LOADABLE.join(", "));
    match member("type").and_then(Value::as_str) {
        Some(bundle_type) if LOADABLE.contains(&bundle_type) => {}
        Some(_) => return Err(Issue::error(IssueType::NotSupported, loadable).at("Bundle.type")),
        None => return Err(Issue::error(IssueType::Required, loadable).at("Bundle.type")),
    }
    match members.into_iter().find(|(name, _)| &**name == "entry") {
        None => Ok(Vec::new()),
        Some((_, Value::Array(items))) => Ok(items.into_iter().enumerate().map(|(index, item)| entry(index, item)).collect()),
        Some(_) => Err(structure("The entries are an array.", "Bundle.entry")),
    }
}

/// Reads one entry, which stands at this place of its Bundle.
pub fn entry(index: usize, item: Value) -> Result<Entry, Issue> {
    let place = format!("Bundle.entry[{index}]");
    let Value::Object(members) = item else {
        return Err(Issue::error(IssueType::Structure, "An entry is a JSON object.").at(place));
    };
    let mut entry = Entry { full_url: None, resource: None, request: None };
    let mut is_outcome = false;
    for (name, value) in members {
        match (&*name, value) {
            ("fullUrl", Value::String(url)) => entry.full_url = Some(url),
            ("resource", resource @ Value::Object(_)) => entry.resource = Some(resource),
            ("request", request @ Value::Object(_)) => entry.request = Some(entry_request(&request, &place)?),
            ("search", search @ Value::Object(_)) => {
                is_outcome = search.member("mode").and_then(Value::as_str) == Some("outcome")
            }
            ("fullUrl" | "resource" | "request" | "search", _) => {
                let message = "The member has another JSON type than FHIR gives it.";
                return Err(Issue::error(IssueType::Structure, message).at(format!("{place}.{name}")));
            }
            _ => {}
        }
    }
    if is_outcome {
        entry.resource = None;
    }
    Ok(entry)
}

fn entry_request(request: &Value, place: &str) -> Result<EntryRequest, Issue> {
    // A condition that were overlooked would do what its sender wants to prevent.
    let text = |name: &str| match request.member(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => {
            let message = "The member has another JSON type than FHIR gives it.";
            Err(Issue::error(IssueType::Structure, message).at(format!("{place}.request.{name}")))
        }
    };
    let required = |name: &str| {
        text(name)?.ok_or_else(|| {
            Issue::error(IssueType::Required, format!("'{name}' is needed.")).at(format!("{place}.request.{name}"))
        })
    };
    Ok(EntryRequest {
        method: required("method")?,
        url: required("url")?,
        if_none_exist: text("ifNoneExist")?,
        if_match: text("ifMatch")?,
        if_none_match: text("ifNoneMatch")?,
        if_modified_since: text("ifModifiedSince")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn links(next: Option<&str>) -> Links {
        Links { this: "https://h/Patient?name=\"x".to_owned(), next: next.map(str::to_owned) }
    }

    fn text(writer: BundleWriter) -> String {
        let bytes = writer.finish();
        json::parse(&bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn bundles_that_cannot_be_loaded_are_refused_with_the_place() {
        for (bundle, place) in [
            ("[]", "Bundle"),
            ("{}", "Bundle"),
            (r#"{"resourceType":"Patient","type":"batch"}"#, "Bundle"),
            (r#"{"resourceType":"Bundle"}"#, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":1}"#, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":"history"}"#, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":"document"}"#, "Bundle.type"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#, "Bundle.entry"),
        ] {
            let issue = entries(json::parse(bundle.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(issue.expression.as_deref(), Some(place), "{bundle}");
        }
    }

    #[test]
    fn one_broken_entry_does_not_hide_the_others() {
        let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
            1,
            {"resource":[]},
            {"request":{"method":"PUT"}},
            {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"a=b"}},
            {"request":{"method":"DELETE","url":"Patient/1"}}]}"#;
        let entries = entries(json::parse(bundle.as_bytes()).unwrap()).unwrap();
        let places: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().err()?.expression.as_deref()).collect();
        assert_eq!(places, ["Bundle.entry[0]", "Bundle.entry[1].resource", "Bundle.entry[2].request.url"]);
        let entry = entries[3].as_ref().unwrap();
        assert_eq!(entry.full_url.as_deref(), Some("urn:uuid:1"));
        assert_eq!(entry.request.as_ref().unwrap().if_none_exist.as_deref(), Some("a=b"));
        assert!(entry.resource.is_some());
        assert!(entries[4].as_ref().unwrap().resource.is_none());
    }

    #[test]
    fn the_outcome_of_a_searchset_is_not_a_resource_to_load() {
        let bundle = r#"{"resourceType":"Bundle","type":"searchset","entry":[
            {"resource":{"resourceType":"OperationOutcome"},"search":{"mode":"outcome"}},
            {"search":{"mode":"match"},"resource":{"resourceType":"Patient"}}]}"#;
        let entries = entries(json::parse(bundle.as_bytes()).unwrap()).unwrap();
        assert_eq!(entries.iter().filter(|entry| entry.as_ref().unwrap().resource.is_some()).count(), 1);
    }

    #[test]
    fn an_empty_searchset_has_no_entry_member() {
        assert_eq!(
            text(BundleWriter::searchset(&links(None), Some(0))),
            r#"{"resourceType":"Bundle","type":"searchset","total":0,"link":[{"relation":"self","url":"https://h/Patient?name=\"x"}]}"#
        );
    }

    #[test]
    fn a_searchset_carries_the_bytes_of_its_resources_untouched() {
        let mut writer = BundleWriter::searchset(&links(Some("https://h/n")), None);
        writer.resource(Some("https://h/Patient/1"), br#"{"a": 1.10}"#, SearchMode::Match);
        writer.resource(Some("https://h/Patient/2"), b"{}", SearchMode::Include);
        writer.resource(None, b"{}", SearchMode::Outcome);
        assert_eq!(writer.entries(), 3);
        assert_eq!(
            text(writer),
            concat!(
                r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"https://h/Patient?name=\"x"},"#,
                r#"{"relation":"next","url":"https://h/n"}],"entry":["#,
                r#"{"fullUrl":"https://h/Patient/1","resource":{"a": 1.10},"search":{"mode":"match"}},"#,
                r#"{"fullUrl":"https://h/Patient/2","resource":{},"search":{"mode":"include"}},"#,
                r#"{"resource":{},"search":{"mode":"outcome"}}]}"#
            )
        );
    }

    #[test]
    fn a_history_tells_how_each_version_came_about() {
        let mut writer = BundleWriter::history(&links(None), Some(2));
        let time = "2026-01-01T00:00:00.000Z";
        let deletion = HistoryEntry { method: "DELETE", url: "Patient/1", status: "204", version: "b", last_modified: time };
        writer.version("https://h/Patient/1", None, &deletion);
        let creation = HistoryEntry { method: "POST", url: "Patient", status: "201", version: "a", last_modified: time };
        writer.version("https://h/Patient/1", Some(b"{}"), &creation);
        let text = text(writer);
        assert!(
            text.ends_with(concat!(
                r#""entry":[{"fullUrl":"https://h/Patient/1","request":{"method":"DELETE","url":"Patient/1"},"#,
                r#""response":{"status":"204","etag":"W/\"b\"","lastModified":"2026-01-01T00:00:00.000Z"}},"#,
                r#"{"fullUrl":"https://h/Patient/1","resource":{},"request":{"method":"POST","url":"Patient"},"#,
                r#""response":{"status":"201","etag":"W/\"a\"","lastModified":"2026-01-01T00:00:00.000Z"}}]}"#
            )),
            "{text}"
        );
    }
}
