//! Attachments whose content is in the resource, with what they say of it.
//!
//! <https://hl7.org/fhir/R4/datatypes.html#Attachment>: `size` is that of the content before base64, `hash` its SHA-1. What is at a `url` is not looked at: this
//! server follows none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Resource;
use crate::definitions::{Kind, StructureId, structure, structure_of};
use crate::json::Value;
use crate::types::ResourceType;

/// An attachment with content, and with a size or a hash of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated<'a> {
    /// Where it is.
    pub place: String,
    /// The content.
    pub content: Vec<u8>,
    /// Its size in bytes, as a number is written.
    pub size: Option<String>,
    /// Its SHA-1 in base64.
    pub hash: Option<&'a str>,
}

impl Resource {
    /// The attachments that say something of their own content.
    pub fn stated_attachments(&self) -> Vec<Stated<'_>> {
        let mut found = Vec::new();
        find(structure_of(self.resource_type), &self.body, self.resource_type.name(), &mut found);
        found
    }
}

/// Looks in an object of a structure. The parser has bounded the depth.
fn find<'a>(id: StructureId, value: &'a Value, place: &str, found: &mut Vec<Stated<'a>>) {
    let structure = structure(id);
    if structure.name == "Attachment" {
        found.extend(stated(value, place));
    }
    for (name, member) in value.as_object().unwrap_or_default() {
        let Some((_, element_type)) = structure.member(name) else { continue };
        let is_list = matches!(member, Value::Array(_));
        for (index, item) in member.items().iter().enumerate().filter(|(_, item)| item.as_object().is_some()) {
            let own = crate::definitions::structure(element_type.structure);
            let inside = match own.kind {
                Kind::AnyResource => {
                    let named = item.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
                    let Some(resource_type) = named else { continue };
                    structure_of(resource_type)
                }
                _ => element_type.structure,
            };
            let place = if is_list { format!("{place}.{name}[{index}]") } else { format!("{place}.{name}") };
            find(inside, item, &place, found);
        }
    }
}

fn stated<'a>(attachment: &'a Value, place: &str) -> Option<Stated<'a>> {
    let text = |name| attachment.member(name).and_then(Value::as_str);
    let size = attachment.member("size").map(|size| String::from_utf8_lossy(&size.to_bytes()).into_owned());
    let hash = text("hash");
    if size.is_none() && hash.is_none() {
        return None;
    }
    // The type base64Binary was checked; white space is allowed in it.
    let data: String = text("data")?.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    Some(Stated { place: place.to_owned(), content: STANDARD.decode(data).ok()?, size, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_are_found_wherever_their_type_is_and_only_those_that_state_something() {
        let text = r#"{"resourceType":"DocumentReference","status":"current",
            "contained":[{"resourceType":"Patient","id":"p","photo":[{"data":"YQ==","size":1}]}],
            "extension":[{"url":"u","valueAttachment":{"data":"Yg==","hash":"eA=="}}],
            "content":[{"attachment":{"data":"Yw==","contentType":"text/plain"}},{"attachment":{"data":"ZA==","size":2,"hash":"eQ=="}},
                {"attachment":{"url":"https://elsewhere.example/x","size":9,"hash":"eg=="}}]}"#;
        let resource = Resource::parse(text.as_bytes()).unwrap();
        let found = resource.stated_attachments();
        let told: Vec<_> =
            found.iter().map(|one| (one.place.as_str(), one.content.as_slice(), one.size.as_deref(), one.hash)).collect();
        assert_eq!(
            told,
            [
                ("DocumentReference.contained[0].photo[0]", &b"a"[..], Some("1"), None),
                ("DocumentReference.extension[0].valueAttachment", b"b", None, Some("eA==")),
                ("DocumentReference.content[1].attachment", b"d", Some("2"), Some("eQ==")),
            ]
        );
    }
}
