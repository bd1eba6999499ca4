//! Bundles, taken apart: entry by entry, or whole where it is a transaction.
//!
//! Entries of a Bundle may refer to each other by their `fullUrl` (<https://hl7.org/fhir/R4/http.html#trules>). Such references are rewritten to the ids that the
//! entries are stored under. The id is the resource's own, or the one that a PUT names, or the UUID of the `fullUrl`: the same Bundle always gets the same ids.
//! An entry is read when it is its turn, so that a Bundle takes little more memory than its text. What would need a search first (`ifNoneExist`, conditional
//! updates and references) or another version (`ifMatch`) is refused with its place, never stored as something else.

use std::collections::HashMap;
use std::ops::Range;

use portcullis_fhir::bundle::{self, Entry, links};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_jose::digest::sha256;
use portcullis_server::admin::protocol::{ImportResource, Reason};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{Item, Place};

/// The Bundle types that are taken apart.
pub const TAKEN_APART: [&str; 4] = ["transaction", "batch", "collection", "searchset"];

/// The members of a Bundle that matter here.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "resourceType")]
    resource_type: Option<Member<'a>>,
    #[serde(rename = "type")]
    kind: Option<Member<'a>>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
}

/// A member of any JSON type, unread.
type Member<'a> = &'a RawValue;

/// What an entry is stored as, read without its content.
#[derive(Deserialize)]
struct Outline {
    #[serde(rename = "fullUrl")]
    full_url: Option<Box<str>>,
    resource: Option<ResourceOutline>,
    request: Option<RequestOutline>,
}

#[derive(Deserialize)]
struct ResourceOutline {
    #[serde(rename = "resourceType")]
    resource_type: Box<str>,
    id: Option<Box<str>>,
}

#[derive(Deserialize)]
struct RequestOutline {
    method: Box<str>,
    url: Box<str>,
}

/// A Bundle whose entries have been found and not read.
#[derive(Debug)]
pub struct Bundle {
    text: String,
    first_line: u64,
    is_transaction: bool,
    /// Where each entry stands in the text.
    ranges: Vec<Range<usize>>,
    identities: Identities,
}

/// What the entries are stored as, by `fullUrl`.
type Identities = HashMap<Box<str>, LocalReference>;

/// What a text turned out to be.
#[derive(Debug)]
pub enum Found {
    /// A Bundle to take apart.
    Bundle(Bundle),
    /// A Bundle that cannot be taken apart.
    Refused(Reason),
    /// A resource like any other, a Bundle of another type among them.
    Resource(String),
}

/// Looks for a Bundle in a text. The error is that of the JSON reader.
pub fn find(text: String, first_line: u64) -> Result<Found, (String, serde_json::Error)> {
    let head: Head<'_> = match serde_json::from_str(&text) {
        Ok(head) => head,
        // An array, a number: the import says what a resource looks like.
        Err(error) if error.is_data() && !text.trim_start().starts_with('{') => return Ok(Found::Resource(text)),
        Err(error) => return Err((text, error)),
    };
    if string(head.resource_type).as_deref() != Some("Bundle") {
        return Ok(Found::Resource(text));
    }
    let kind = string(head.kind);
    let is_transaction = kind.as_deref() == Some("transaction");
    match &kind {
        Some(kind) if TAKEN_APART.contains(&kind.as_str()) => {}
        Some(_) => return Ok(Found::Resource(text)),
        None => {
            let message = format!("Bundles of type {} can be loaded.", TAKEN_APART.join(", "));
            return Ok(Found::Refused(Reason { path: Some("Bundle.type".to_owned()), message, line: None }));
        }
    }
    let Some(ranges) = head.entry.map_or_else(|| Some(Vec::new()), |entry| ranges(&text, entry)) else {
        let message = "The entries are an array.".to_owned();
        return Ok(Found::Refused(Reason { path: Some("Bundle.entry".to_owned()), message, line: None }));
    };
    // Elsewhere than in a transaction absolute URLs are the addresses of a real other server.
    let refer = is_transaction || text.contains("\"urn:");
    let identities = if refer { identities(&text, &ranges, is_transaction) } else { Identities::new() };
    Ok(Found::Bundle(Bundle { text, first_line, is_transaction, ranges, identities }))
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Where the elements of an array stand in the text; `None` where it is no array.
fn ranges(text: &str, array: &RawValue) -> Option<Vec<Range<usize>>> {
    let elements: Vec<&RawValue> = serde_json::from_str(array.get()).ok()?;
    let range = |element: &&RawValue| {
        let start = element.get().as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        Some(start..start + element.get().len())
    };
    elements.iter().map(range).collect()
}

fn identities(text: &str, ranges: &[Range<usize>], is_transaction: bool) -> Identities {
    let identity = |range: &Range<usize>| {
        let outline: Outline = serde_json::from_str(text.get(range.clone())?).ok()?;
        let (resource, request) = (outline.resource?, outline.request);
        let put = request.as_ref().filter(|request| &*request.method == "PUT").map(|request| &*request.url);
        let id = identifier(resource.id.as_deref(), put, outline.full_url.as_deref(), &resource.resource_type)?;
        let reference = LocalReference::parse(&format!("{}/{id}", resource.resource_type))?;
        let full_url = outline.full_url?;
        (is_transaction || full_url.starts_with("urn:")).then_some((full_url, reference))
    };
    ranges.iter().filter_map(identity).collect()
}

/// The id of an entry: its own, the one that a PUT names, or one made from the `fullUrl`.
fn identifier(own: Option<&str>, put: Option<&str>, full_url: Option<&str>, resource_type: &str) -> Option<String> {
    if let Some(own) = own {
        return Some(own.to_owned());
    }
    if let Some(put) = put.and_then(LocalReference::parse) {
        return Some(put.id.as_str().to_owned());
    }
    let full_url = full_url.filter(|url| !url.is_empty())?;
    let uuid = full_url.strip_prefix("urn:uuid:").and_then(LogicalId::parse).map(|uuid| uuid.as_str().to_owned());
    // References relative to the address of their entry keep their meaning so.
    let address = || {
        let (base, id) = full_url.rsplit_once('/')?;
        base.ends_with(&format!("/{resource_type}")).then(|| LogicalId::parse(id))?.map(|id| id.as_str().to_owned())
    };
    Some(uuid.or_else(address).unwrap_or_else(|| sha256(full_url).iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
}

impl Bundle {
    /// Whether all entries are stored together or none.
    pub fn is_transaction(&self) -> bool {
        self.is_transaction
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// How many bytes the entries have together.
    pub fn bytes(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Where the Bundle itself begins.
    pub fn place(&self) -> Place {
        let before = self.text.len() - self.text.trim_start().len();
        Place { line: self.first_line + newlines(self.text.get(..before)), entry: None }
    }

    /// The items of the entries, in order, each read when it is asked for.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        self.into_items_with_full_urls().map(|(_, item)| item)
    }

    /// The same, each with the `fullUrl` of its entry.
    pub fn into_items_with_full_urls(self) -> impl Iterator<Item = (Option<Box<str>>, Item)> {
        let (mut line, mut at) = (self.first_line, 0);
        (0..self.ranges.len()).map(move |index| {
            let range = self.ranges.get(index).cloned().unwrap_or_default();
            line += newlines(self.text.get(at..range.start));
            at = range.start;
            let outline = |range| serde_json::from_str::<Outline>(self.text.get::<Range<usize>>(range)?).ok();
            let full_url = if self.is_transaction { outline(range.clone()).and_then(|outline| outline.full_url) } else { None };
            (full_url, self.item(Place { line, entry: Some(index) }, range))
        })
    }

    fn item(&self, place: Place, range: Range<usize>) -> Item {
        let index = place.entry.unwrap_or_default();
        // These reasons name the entry themselves.
        let refused = |reasons: Vec<Reason>| Item::Refused(Place { line: place.line, entry: None }, reasons);
        let at =
            |member: &str, message: String| Reason { path: Some(format!("Bundle.entry[{index}]{member}")), message, line: None };
        let value = match json::parse(self.text.get(range.clone()).unwrap_or_default().as_bytes()) {
            Ok(value) => value,
            Err(mut error) => {
                // An entry may begin in the middle of a line.
                let before =
                    self.text.get(..range.start).and_then(|before| before.rsplit('\n').next()).filter(|_| error.line == 1);
                error.column += before.map_or(0, |before| u32::try_from(before.chars().count()).unwrap_or(u32::MAX));
                return refused(vec![Reason { path: Some(format!("Bundle.entry[{index}]")), ..Reason::not_json(&error) }]);
            }
        };
        let entry = match bundle::entry(index, value) {
            Ok(entry) => entry,
            Err(issue) => return refused(vec![reason(issue)]),
        };
        if entry.request.as_ref().is_some_and(|request| request.if_match.is_some()) {
            return refused(vec![at(
                ".request.ifMatch",
                "The load replaces what is stored; it cannot be bound to a version.".into(),
            )]);
        }
        if let Some((member, message)) = self.objection(&entry) {
            return refused(vec![at(member, message)]);
        }
        let own = entry.resource.as_ref().and_then(|resource| resource.member("id")).and_then(Value::as_str);
        let resource_type = entry.resource.as_ref().map(type_of).unwrap_or_default();
        let put = entry.request.as_ref().filter(|request| &*request.method == "PUT").map(|request| &*request.url);
        let id = identifier(own, put, entry.full_url.as_deref(), resource_type);
        let Some(mut resource) = entry.resource else { return Item::Nothing };
        let base = entry.full_url.as_deref().and_then(links::base_of);
        links::rewrite(&mut resource, &|text| self.target(text, base).map(ToString::to_string));
        if self.is_transaction {
            let unresolved: Vec<Reason> =
                unresolved(&resource).into_iter().map(|(path, message)| at(&format!(".resource{path}"), message)).collect();
            if !unresolved.is_empty() {
                return refused(unresolved);
            }
        }
        // What was read from valid JSON is written as valid JSON.
        let text = String::from_utf8(resource.to_bytes()).unwrap_or_default();
        match RawValue::from_string(text) {
            Ok(raw) => Item::Resource(place, ImportResource { id, resource: raw }),
            Err(error) => refused(vec![at(".resource", format!("The resource cannot be written as JSON: {error}."))]),
        }
    }

    /// What an entry asks for that a load does not do: the member and the reason.
    fn objection(&self, entry: &Entry) -> Option<(&'static str, String)> {
        let Some(request) = &entry.request else {
            let needed =
                self.is_transaction.then(|| "An entry of a transaction says what is done with it: POST or PUT.".to_owned());
            return needed.map(|message| (".request", message));
        };
        if !matches!(&*request.method, "POST" | "PUT") {
            let message = format!("The entry asks to {}; only resources to store (POST, PUT) can be loaded.", request.method);
            return Some((".request.method", message));
        }
        let Some(resource) = &entry.resource else {
            return Some((".resource", format!("A {} needs a resource.", request.method)));
        };
        if request.if_none_exist.is_some() {
            let message = "A load makes no searches, so it cannot create on a condition. Send the resource with its id as a PUT.";
            return Some((".request.ifNoneExist", message.to_owned()));
        }
        let resource_type = type_of(resource);
        // Of an unknown type the import says what would be accepted.
        ResourceType::parse(resource_type)?;
        if &*request.method == "POST" {
            let agrees = request.url.trim_start_matches('/') == resource_type;
            return (!agrees).then(|| (".request.url", format!("A POST of this resource goes to '{resource_type}'.")));
        }
        let own = resource.member("id").and_then(Value::as_str);
        let named = LocalReference::parse(request.url.trim_start_matches('/'));
        let agrees = named
            .is_some_and(|named| named.resource_type.name() == resource_type && own.is_none_or(|own| own == named.id.as_str()));
        (!agrees).then(|| {
            let id = own.unwrap_or("id");
            let conditional =
                if request.url.contains('?') { " A load makes no searches, so it cannot update on a condition." } else { "" };
            (".request.url", format!("A PUT of this resource goes to '{resource_type}/{id}'.{conditional}"))
        })
    }

    /// The entry that a reference means. A relative one is read from the address of the entry that it stands in.
    fn target(&self, text: &str, base: Option<&str>) -> Option<&LocalReference> {
        if let Some(target) = self.identities.get(text) {
            return Some(target);
        }
        self.identities.get(links::name_of(text, base.filter(|_| self.is_transaction))?.as_str())
    }
}

fn newlines(text: Option<&str>) -> u64 {
    let count = text.unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn type_of(resource: &Value) -> &str {
    resource.member("resourceType").and_then(Value::as_str).unwrap_or_default()
}

/// References that would never lead anywhere: to an entry that is not there, or by a search. Each with its path below the resource and the reason.
fn unresolved(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.extend(unresolved(item).into_iter().map(|(path, message)| (format!("[{index}]{path}"), message)));
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let inner = match value {
                    Value::String(text) if &**name == "reference" => {
                        objection_to(text).map(|message| (String::new(), message)).into_iter().collect()
                    }
                    Value::Array(_) | Value::Object(_) => unresolved(value),
                    _ => Vec::new(),
                };
                found.extend(inner.into_iter().map(|(path, message)| (format!(".{name}{path}"), message)));
            }
        }
        _ => {}
    }
    found
}

fn objection_to(reference: &str) -> Option<String> {
    if links::is_placeholder(reference) {
        return Some(format!("No entry of this transaction has the fullUrl '{reference}'."));
    }
    let (resource_type, _query) = reference.split_once('?')?;
    ResourceType::parse(resource_type)?;
    Some("A load makes no searches, so it cannot follow a conditional reference. Write Type/id.".to_owned())
}

/// An issue as a reason for a refusal.
pub fn reason(issue: Issue) -> Reason {
    Reason { path: issue.expression, message: issue.diagnostics, line: None }
}
