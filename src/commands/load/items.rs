//! From JSON texts to resources: single ones as they are, Bundles entry by entry.
//!
//! Entries of a Bundle may refer to each other by their `fullUrl` (<https://hl7.org/fhir/R4/http.html#trules>). Such references are rewritten to the ids that the
//! entries are stored under. The id is the resource's own, or the one that a PUT names, or the UUID of the `fullUrl`: the same Bundle always gets the same ids.
//! A Bundle of another type (document, message, ...) is a resource like any other and stays whole. Conditional references are stored as they are.

use std::collections::HashMap;

use portcullis_fhir::bundle::{self, Entry};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::outcome::Issue;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::digest::sha256;
use portcullis_server::admin::protocol::{ImportResource, Reason};
use serde_json::value::RawValue;

use super::framing::Text;

/// The Bundle types that are taken apart.
const TAKEN_APART: [&str; 4] = ["transaction", "batch", "collection", "searchset"];

/// Where a resource stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its entry, if it stands in a Bundle.
    pub entry: Option<usize>,
}

impl Place {
    /// The path of an element as seen from the source: `Patient.name` of an entry becomes `Bundle.entry[3].resource.name`.
    pub fn path(&self, path: Option<&str>) -> Option<String> {
        let Some(entry) = self.entry else { return path.map(str::to_owned) };
        let inner = path.and_then(|path| path.split_once('.')).map(|(_, inner)| format!(".{inner}")).unwrap_or_default();
        Some(format!("Bundle.entry[{entry}].resource{inner}"))
    }
}

/// What stands at one place.
#[derive(Debug)]
pub enum Item {
    /// A resource to store.
    Resource(Place, ImportResource),
    /// Something that cannot be stored.
    Refused(Place, Vec<Reason>),
    /// Something that says nothing to store, such as the outcome of a search.
    Nothing,
}

/// The items of one text, in order. Their number depends only on the text.
pub fn items(text: Text) -> Vec<Item> {
    let place = Place { line: text.line, entry: None };
    let string = match String::from_utf8(text.bytes) {
        Ok(string) => string,
        Err(error) => return vec![syntax(&place, error.as_bytes(), "it is not UTF-8")],
    };
    // Only a text with this word can be a Bundle; looking for it is much faster than reading the text.
    if string.contains("\"Bundle\"") {
        let value = match json::parse(string.as_bytes()) {
            Ok(value) => value,
            Err(error) => return vec![syntax(&place, string.as_bytes(), error.message)],
        };
        if is_taken_apart(&value) {
            let lines = if string.trim().contains('\n') { entry_lines(string.as_bytes(), text.line) } else { Vec::new() };
            return entries(value, text.line, &lines);
        }
    }
    match serde_json::from_str::<Box<RawValue>>(&string) {
        Ok(resource) => vec![Item::Resource(place, ImportResource { id: None, resource })],
        Err(error) => vec![syntax(&place, string.as_bytes(), &error.to_string())],
    }
}

/// Says where a text stops being JSON; the line is the file's.
fn syntax(place: &Place, bytes: &[u8], otherwise: &str) -> Item {
    // A text that ends early ends on its last line, not after it.
    let (line, message) = match json::parse(bytes.trim_ascii_end()) {
        Err(error) => {
            let line = place.line + u64::from(error.line) - 1;
            (line, format!("This is not valid JSON at column {}: {}.", error.column, error.message))
        }
        Ok(_) => (place.line, format!("This is not valid JSON: {otherwise}.")),
    };
    Item::Refused(Place { line, entry: None }, vec![Reason { path: None, message }])
}

fn is_taken_apart(value: &Value) -> bool {
    let text = |name| value.member(name).and_then(Value::as_str);
    // One without a type is refused with a reason by the Bundle reader.
    text("resourceType") == Some("Bundle") && text("type").is_none_or(|kind| TAKEN_APART.contains(&kind))
}

fn entries(bundle: Value, first_line: u64, lines: &[u64]) -> Vec<Item> {
    let is_transaction = bundle.member("type").and_then(Value::as_str) == Some("transaction");
    let entries = match bundle::entries(bundle) {
        Ok(entries) => entries,
        Err(issue) => return vec![Item::Refused(Place { line: first_line, entry: None }, vec![reason(issue)])],
    };
    let identities = identities(&entries, is_transaction);
    let place = |index: usize| Place { line: lines.get(index).copied().unwrap_or(first_line), entry: Some(index) };
    let item = |(index, entry): (usize, Result<Entry, Issue>)| match entry {
        Ok(entry) => entry_item(entry, place(index), &identities),
        // The issue names the entry itself.
        Err(issue) => Item::Refused(Place { entry: None, ..place(index) }, vec![reason(issue)]),
    };
    entries.into_iter().enumerate().map(item).collect()
}

/// What the entries are stored as, by `fullUrl`. Absolute URLs count in a transaction only: elsewhere they are the address of a real other server.
fn identities(entries: &[Result<Entry, Issue>], is_transaction: bool) -> HashMap<Box<str>, LocalReference> {
    let identity = |entry: &Entry| {
        let full_url = entry.full_url.clone()?;
        let resource_type = entry.resource.as_ref()?.member("resourceType")?.as_str()?;
        let reference = LocalReference::parse(&format!("{resource_type}/{}", identifier(entry)?))?;
        (is_transaction || full_url.starts_with("urn:")).then_some((full_url, reference))
    };
    entries.iter().filter_map(|entry| identity(entry.as_ref().ok()?)).collect()
}

/// The id of an entry: its own, the one that a PUT names, or one made from the `fullUrl`.
fn identifier(entry: &Entry) -> Option<String> {
    let own = entry.resource.as_ref()?.member("id").and_then(Value::as_str);
    if let Some(own) = own {
        return Some(own.to_owned());
    }
    let put = entry
        .request
        .as_ref()
        .filter(|request| &*request.method == "PUT")
        .and_then(|request| LocalReference::parse(&request.url));
    if let Some(put) = put {
        return Some(put.id.as_str().to_owned());
    }
    let full_url = entry.full_url.as_deref().filter(|url| !url.is_empty())?;
    let uuid = full_url.strip_prefix("urn:uuid:").and_then(LogicalId::parse);
    Some(uuid.map_or_else(
        || sha256(full_url).iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        |uuid| uuid.as_str().to_owned(),
    ))
}

fn entry_item(entry: Entry, place: Place, identities: &HashMap<Box<str>, LocalReference>) -> Item {
    let refused = |place: Place, message: String| {
        let path = place.entry.map(|entry| format!("Bundle.entry[{entry}].request.method"));
        Item::Refused(Place { entry: None, ..place }, vec![Reason { path, message }])
    };
    let method = entry.request.as_ref().map(|request| request.method.clone());
    if let Some(method) = method.filter(|method| !matches!(&**method, "POST" | "PUT")) {
        return refused(place, format!("The entry asks to {method}; only resources to store (POST, PUT) can be loaded."));
    }
    let id = identifier(&entry);
    let Some(mut resource) = entry.resource else { return Item::Nothing };
    rewrite(&mut resource, identities);
    // What was read from valid JSON is written as valid JSON.
    let text = String::from_utf8(resource.to_bytes()).unwrap_or_default();
    match RawValue::from_string(text) {
        Ok(raw) => Item::Resource(place, ImportResource { id, resource: raw }),
        Err(error) => refused(place, format!("The resource cannot be written as JSON: {error}.")),
    }
}

/// Replaces references to entries of the same Bundle. The depth of the tree is bounded by the parser.
fn rewrite(value: &mut Value, identities: &HashMap<Box<str>, LocalReference>) {
    if identities.is_empty() {
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, identities)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if matches!(&**name, "reference" | "url" | "valueUri" | "valueUrl") => {
                        if let Some(target) = identities.get(text) {
                            *text = target.to_string().into();
                        }
                    }
                    Value::Array(_) | Value::Object(_) => rewrite(value, identities),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn reason(issue: Issue) -> Reason {
    Reason { path: issue.expression, message: issue.diagnostics }
}

/// The lines on which the entries of a Bundle begin. The text has been parsed before, so only strings and nesting matter.
fn entry_lines(bytes: &[u8], first_line: u64) -> Vec<u64> {
    let mut lines = Vec::new();
    let (mut line, mut depth) = (first_line, 0_usize);
    let mut rest = bytes.iter().enumerate();
    // The string that was read last at the top level, and whether the array of entries is open.
    let (mut key, mut inside): (&[u8], bool) = (&[], false);
    while let Some((position, byte)) = rest.next() {
        match byte {
            b'\n' => line += 1,
            b'"' => {
                let mut end = position;
                while let Some((at, byte)) = rest.next() {
                    end = at;
                    match byte {
                        b'\\' => drop(rest.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
                if depth == 1 {
                    key = bytes.get(position + 1..end).unwrap_or_default();
                }
            }
            b'{' | b'[' => {
                if inside && depth == 2 {
                    lines.push(line);
                }
                inside |= depth == 1 && *byte == b'[' && key == b"entry";
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                inside &= depth > 1;
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
