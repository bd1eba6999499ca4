//! Which resources of this server a body speaks of.

use std::collections::BTreeSet;

use crate::json::Value;
use crate::reference::{LocalReference, Reference, referenced_type};
use crate::resource::Resource;
use crate::types::{LogicalId, ResourceType};

/// Every resource of this server that the body refers to, each once; also in contained resources and extensions. A Bundle speaks of what is in it, too: by
/// `fullUrl`, and by type and id. What another server's `fullUrl` stands before is another server's, and so is what that refers to without naming a server
/// (<https://hl7.org/fhir/R4/bundle.html#references>).
pub fn references(resource: &Resource, base_url: &str) -> Vec<LocalReference> {
    let mut walk = Walk { base_url, found: BTreeSet::new() };
    walk.value(resource.body(), Home::Here);
    walk.found.into_iter().collect()
}

/// The server to which a reference leads that names none.
#[derive(Clone, Copy)]
enum Home {
    Here,
    Elsewhere,
}

struct Walk<'a> {
    base_url: &'a str,
    found: BTreeSet<LocalReference>,
}

impl Walk<'_> {
    /// The depth of the tree is bounded by the parser and the structural checks.
    fn value(&mut self, value: &Value, home: Home) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.value(item, home)),
            Value::Object(members) => {
                for (name, member) in members {
                    match (&**name, member) {
                        ("reference", Value::String(text)) => self.reference(text, home),
                        ("resource", Value::Object(_)) => self.entry(value, member, home),
                        (_, Value::Array(_) | Value::Object(_)) => self.value(member, home),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn reference(&mut self, text: &str, home: Home) {
        let names_a_server = || LocalReference::parse(text).is_none();
        if let Some(Reference::Local(local)) = Reference::parse(text, self.base_url)
            && (matches!(home, Home::Here) || names_a_server())
        {
            self.found.insert(local);
        }
    }

    /// A resource within a Bundle: what it is itself, and what it refers to.
    fn entry(&mut self, entry: &Value, resource: &Value, home: Home) {
        let text = |of: &Value, name: &str| of.member(name).and_then(Value::as_str).map(str::to_owned);
        let full_url = text(entry, "fullUrl");
        let home = full_url.as_deref().map_or(home, |full_url| self.home_of(full_url, home));
        if let Some(full_url) = full_url {
            self.reference(&full_url, home);
        }
        let resource_type = text(resource, "resourceType").and_then(|name| ResourceType::parse(&name));
        let id = text(resource, "id").and_then(|id| LogicalId::parse(&id));
        if let (Home::Here, Some(resource_type), Some(id)) = (home, resource_type, id) {
            self.found.insert(LocalReference { resource_type, id });
        }
        self.value(resource, home);
    }

    /// An address that is none of a resource (a `urn:uuid:`) tells of no server.
    fn home_of(&self, full_url: &str, around: Home) -> Home {
        match Reference::parse(full_url, self.base_url) {
            Some(Reference::Local(_)) => Home::Here,
            _ if is_of_a_server(full_url) && !is_of_host(full_url, self.base_url) => Home::Elsewhere,
            _ => around,
        }
    }
}

/// Whether both are of one host, however that is written: this server may have been addressed by another scheme or port.
fn is_of_host(one: &str, other: &str) -> bool {
    host(one).zip(host(other)).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
}

fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', ':']).next()
}

fn is_of_a_server(full_url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| full_url.starts_with(scheme)) && referenced_type(full_url).is_some()
}
