//! From JSON texts to what is stored on its own: single resources and entries of Bundles, and transactions as a whole.
//!
//! A Bundle of a type that is not taken apart (document, message, ...) is a resource like any other.

use std::collections::HashSet;

use portcullis_fhir::json::{self, Value};
use portcullis_server::admin::protocol::{
    ImportResource, MAXIMUM_TRANSACTION_BYTES, MAXIMUM_TRANSACTION_RESOURCES, Reason, transaction_limit,
};
use serde_json::value::RawValue;

use super::bundle::{self, Bundle, Found};
use super::framing::Text;

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
        let inner = match path.map(|path| path.split_once('.').ok_or(path)) {
            Some(Ok((_type, inner))) => format!(".{inner}"),
            // Where the type is not known the path does not begin with it.
            Some(Err("resourceType")) => ".resourceType".to_owned(),
            Some(Err(_)) | None => String::new(),
        };
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
    /// Resources that are stored together or not at all; the place is that of their Bundle.
    Transaction(Place, Vec<(Place, ImportResource)>),
    /// A transaction of which nothing is stored.
    TransactionRefused {
        /// Where its Bundle begins.
        place: Place,
        /// How many entries it has.
        entries: u64,
        /// What is wrong, and where.
        refusals: Vec<(Place, Vec<Reason>)>,
    },
}

impl Item {
    /// How many of the numbers that count the items of a source it takes: those of its entries for a transaction.
    pub fn numbers(&self) -> u64 {
        match self {
            Self::Resource(..) | Self::Refused(..) | Self::Nothing => 1,
            Self::Transaction(_, resources) => u64::try_from(resources.len()).unwrap_or(u64::MAX),
            Self::TransactionRefused { entries, .. } => *entries,
        }
    }
}

/// Items, made one by one.
type Items = Box<dyn Iterator<Item = Item>>;

/// The items of one text, in order. Their number depends only on the text.
pub fn items(text: Text) -> Items {
    let place = Place { line: text.line, entry: None };
    let string = match String::from_utf8(text.bytes) {
        Ok(string) => string,
        Err(error) => return one(syntax(&place, error.as_bytes(), "it is not UTF-8")),
    };
    // Only a text with this word can be a Bundle; looking for it is much faster than reading the text.
    let string = if string.contains("\"Bundle\"") {
        match bundle::find(string, text.line) {
            Ok(Found::Bundle(bundle)) if bundle.is_transaction() => return one(transaction(bundle)),
            Ok(Found::Bundle(bundle)) => return Box::new(bundle.into_items()),
            Ok(Found::Refused(reason)) => return one(Item::Refused(place, vec![reason])),
            Ok(Found::Resource(string)) => string,
            Err((string, error)) => return one(syntax(&place, string.as_bytes(), &error.to_string())),
        }
    } else {
        string
    };
    match serde_json::from_str::<Box<RawValue>>(&string) {
        Ok(resource) => one(Item::Resource(place, ImportResource { id: None, resource })),
        Err(error) => one(syntax(&place, string.as_bytes(), &error.to_string())),
    }
}

fn one(item: Item) -> Items {
    Box::new(std::iter::once(item))
}

/// Says where a text stops being JSON; the line is the file's.
fn syntax(place: &Place, bytes: &[u8], otherwise: &str) -> Item {
    // A text that ends early ends on its last line, not after it.
    let reason = match json::parse(bytes.trim_ascii_end()) {
        Err(error) => Reason::not_json(&error),
        Ok(_) => Reason { path: None, message: format!("This is not valid JSON: {otherwise}."), line: None },
    };
    Item::Refused(place.clone(), vec![reason])
}

/// All entries of a transaction, or what is wrong with any of them.
fn transaction(bundle: Bundle) -> Item {
    let place = bundle.place();
    let entries = u64::try_from(bundle.len()).unwrap_or(u64::MAX);
    if entries == 0 {
        return Item::Nothing;
    }
    if bundle.len() > MAXIMUM_TRANSACTION_RESOURCES || bundle.bytes() > MAXIMUM_TRANSACTION_BYTES {
        let message = format!("The transaction has {entries} entries, {} MiB. {}", bundle.bytes() >> 20, transaction_limit());
        let refusals = vec![(place.clone(), vec![Reason { path: Some("Bundle".to_owned()), message, line: None }])];
        return Item::TransactionRefused { place, entries, refusals };
    }
    let (mut resources, mut refusals) = (Vec::with_capacity(bundle.len()), Vec::new());
    let (mut identities, mut full_urls) = (HashSet::new(), HashSet::new());
    for (index, item) in bundle.into_items_with_full_urls().enumerate() {
        let (full_url, item) = item;
        let at = |member: &str| Some(format!("Bundle.entry[{index}]{member}"));
        match item {
            Item::Resource(place, resource) => {
                let whole = Place { line: place.line, entry: None };
                // "If any resource identities overlap, then the transaction SHALL fail", and bdl-7 for the fullUrl.
                if !identity(&resource).is_none_or(|identity| identities.insert(identity)) {
                    let message = "Another entry of this transaction stores the same resource.".to_owned();
                    refusals.push((whole, vec![Reason { path: at(".resource.id"), message, line: None }]));
                } else if !full_url.is_none_or(|full_url| full_urls.insert(full_url)) {
                    let message = "Another entry of this transaction has the same fullUrl.".to_owned();
                    refusals.push((whole, vec![Reason { path: at(".fullUrl"), message, line: None }]));
                } else {
                    resources.push((place, resource));
                }
            }
            Item::Refused(place, reasons) => refusals.push((place, reasons)),
            Item::Nothing | Item::Transaction(..) | Item::TransactionRefused { .. } => {}
        }
    }
    if refusals.is_empty() { Item::Transaction(place, resources) } else { Item::TransactionRefused { place, entries, refusals } }
}

/// Type and id of what is stored, where the source decides about them.
fn identity(resource: &ImportResource) -> Option<(String, String)> {
    let value = json::parse(resource.resource.get().as_bytes()).ok()?;
    let id = value.member("id").and_then(Value::as_str).or(resource.id.as_deref())?.to_owned();
    Some((value.member("resourceType")?.as_str()?.to_owned(), id))
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
