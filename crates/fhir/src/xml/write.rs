//! From JSON to XML. What was stored has passed the checks; what XML cannot say all the same is an error, and nothing of it is written.

use super::{FHIR, TOO_LONG, Unwritable, is_character, narrative, primitive};
use crate::definitions::{Element, Kind, Primitive, StructureId, structure, structure_named, structure_of};
use crate::json::{self, MAXIMUM_DEPTH, Place, Step, Value};
use crate::types::ResourceType;

/// How much deeper an answer may be than what was stored: entries in the answer to a search in the answer to a batch.
const AROUND: usize = 12;

/// How many times as long as its JSON a resource may be in XML, and what is granted to small ones besides. Names stand twice around each value of an array: what
/// has many short ones, and nothing that anybody records does, would be sixteen times as long.
const GROWTH: usize = 4;
const GRANTED: usize = 64 * 1024;

/// Writes a resource, in memory that is bounded by a multiple of its length.
pub fn from_json(resource: &[u8]) -> Result<Vec<u8>, Unwritable> {
    let nowhere = |reason| Unwritable { expression: "Resource".to_owned(), reason };
    let tree = json::parse_to(MAXIMUM_DEPTH + AROUND, resource).map_err(|_| nowhere("it is not JSON"))?;
    // Names stand twice in XML, quotation marks once less.
    let output = Vec::with_capacity(resource.len() + resource.len() / 2);
    let limit = resource.len().saturating_mul(GROWTH).saturating_add(GRANTED);
    let mut writer = Writer { output, limit, place: Place::default() };
    writer.output.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    match writer.resource(&tree, true) {
        Ok(()) => Ok(writer.output),
        Err(reason) => Err(Unwritable { expression: writer.place.expression(), reason }),
    }
}

/// Recursion is bounded by the depth that the parser of JSON accepts.
struct Writer {
    output: Vec<u8>,
    /// The most bytes of output, but for the last element.
    limit: usize,
    /// Filled while an error is on its way out.
    place: Place,
}

type Written = Result<(), &'static str>;

type Members = [(Box<str>, Value)];

/// What an object says of one element: the name of the member, its value, and the member with the underscore.
struct Part<'v> {
    position: usize,
    element: &'static Element,
    structure: StructureId,
    name: &'v str,
    value: Option<&'v Value>,
    extra: Option<&'v Value>,
}

impl Writer {
    fn resource(&mut self, resource: &Value, is_root: bool) -> Written {
        let members = resource.as_object().ok_or("a resource is an object")?;
        let name = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
        let resource_type = name.ok_or("the type of the resource is not known")?;
        if is_root {
            self.place.in_type(resource_type);
        }
        self.raw(&["<", resource_type.name()]);
        if is_root {
            self.raw(&[" xmlns=\"", FHIR, "\""]);
        }
        self.content(structure_of(resource_type), resource_type.name(), members)
    }

    fn raw(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| self.output.extend_from_slice(text.as_bytes()));
    }

    /// The attributes of an element whose start tag is open, its children and its end.
    fn content(&mut self, id: StructureId, tag: &str, members: &Members) -> Written {
        let mut parts = self.parts(id, members)?;
        let (attributes, children): (Vec<Part<'_>>, Vec<Part<'_>>) =
            parts.drain(..).partition(|part| structure(id).has_as_attribute(part.element));
        for part in &attributes {
            match (part.value, part.extra) {
                (Some(Value::String(text)), None) => self.attribute(part.name, text)?,
                _ => return self.fail(part.name, "it is an attribute in XML, which has text alone"),
            }
        }
        if children.is_empty() {
            self.raw(&["/>"]);
            return Ok(());
        }
        self.raw(&[">"]);
        for part in &children {
            self.part(part)?;
        }
        self.raw(&["</", tag, ">"]);
        Ok(())
    }

    fn fail<T>(&mut self, name: &str, reason: &'static str) -> Result<T, &'static str> {
        self.place.within(Step::Member(name.into()));
        Err(reason)
    }

    /// The members of an object by element, in the order of XML.
    fn parts<'v>(&mut self, id: StructureId, members: &'v Members) -> Result<Vec<Part<'v>>, &'static str> {
        let structure = structure(id);
        let is_resource = matches!(structure.kind, Kind::Resource(_));
        let mut parts: Vec<Part<'v>> = Vec::with_capacity(members.len());
        for (name, value) in members {
            if is_resource && &**name == "resourceType" {
                continue;
            }
            let (base, is_extra) = name.strip_prefix('_').map_or((&**name, false), |base| (base, true));
            let (value, extra) = if is_extra { (None, Some(value)) } else { (Some(value), None) };
            if let Some(part) = parts.iter_mut().find(|part| part.name == base) {
                part.value = part.value.or(value);
                part.extra = part.extra.or(extra);
                continue;
            }
            let mut elements = structure.elements_in_order().enumerate();
            let found = elements.find_map(|(position, element)| Some((position, element, element.type_of_member(base)?)));
            let Some((position, element, element_type)) = found else { return self.fail(name, "the element is not known") };
            if parts.iter().any(|part| part.position == position) {
                return self.fail(name, "there are two of a choice");
            }
            parts.push(Part { position, element, structure: element_type.structure, name: base, value, extra });
        }
        parts.sort_by_key(|part| part.position);
        Ok(parts)
    }

    fn part(&mut self, part: &Part<'_>) -> Written {
        if !part.element.repeats {
            return self
                .occurrence(part, part.value, part.extra)
                .inspect_err(|_| self.place.within(Step::Member(part.name.into())));
        }
        let (Some(values), Some(extras)) = (items(part.value), items(part.extra)) else {
            return self.fail(part.name, "the element repeats, so it is an array");
        };
        if part.value.is_some() && part.extra.is_some() && values.len() != extras.len() || values.len() + extras.len() == 0 {
            return self.fail(part.name, "the two arrays of the element do not fit together");
        }
        for index in 0..values.len().max(extras.len()) {
            let present = |items: &'_ [Value]| items.get(index).is_some_and(|item| *item != Value::Null);
            let value = values.get(index).filter(|_| present(values));
            let extra = extras.get(index).filter(|_| present(extras));
            self.occurrence(part, value, extra).inspect_err(|_| {
                self.place.within(Step::Item(index));
                self.place.within(Step::Member(part.name.into()));
            })?;
        }
        Ok(())
    }

    fn occurrence(&mut self, part: &Part<'_>, value: Option<&Value>, extra: Option<&Value>) -> Written {
        if self.output.len() > self.limit {
            return Err(TOO_LONG);
        }
        let kind = structure(part.structure).kind;
        if let Kind::Primitive(primitive) = kind {
            return match (primitive, value, extra) {
                (Primitive::Xhtml, Some(Value::String(text)), None) => self.narrative(text),
                (Primitive::Xhtml, ..) => Err("a narrative is text"),
                _ => self.primitive(part.name, primitive, value, extra),
            };
        }
        let (Some(value), None) = (value, extra) else { return Err("the element has no value") };
        self.raw(&["<", part.name]);
        match kind {
            Kind::AnyResource | Kind::Resource(_) => {
                self.raw(&[">"]);
                self.resource(value, false)?;
                self.raw(&["</", part.name, ">"]);
                Ok(())
            }
            _ => match value {
                Value::Object(members) if !members.is_empty() => self.content(part.structure, part.name, members),
                _ => Err("the element is an object with something in it"),
            },
        }
    }

    fn primitive(&mut self, name: &str, kind: Primitive, value: Option<&Value>, extra: Option<&Value>) -> Written {
        self.raw(&["<", name]);
        let extra = match extra {
            None => &[][..],
            Some(Value::Object(members)) if !members.is_empty() => members.as_slice(),
            Some(_) => return Err("what extends a primitive is an object with something in it"),
        };
        match value {
            // The order of attributes says nothing.
            Some(value) => self.attribute("value", primitive::to_text(kind, value).ok_or("the value is not of its type")?)?,
            None if extra.is_empty() => return Err("the element has neither value nor extension"),
            None => {}
        }
        let element = structure_named("Element").ok_or("the table has no Element")?;
        self.content(element, name, extra)
    }

    fn narrative(&mut self, text: &str) -> Written {
        let div = narrative::to_xml(text).ok_or("the narrative is not one that may be shown")?;
        self.raw(&[&div]);
        Ok(())
    }

    fn attribute(&mut self, name: &str, text: &str) -> Written {
        if text.is_empty() {
            return Err("XML has no empty values");
        }
        self.raw(&[" ", name, "=\""]);
        let mut rest = text;
        while let Some(place) = rest.find(|character: char| escape(character).is_some()) {
            let (plain, special) = rest.split_at_checked(place).unwrap_or((rest, ""));
            let mut characters = special.chars();
            let reference = characters.next().and_then(escape).filter(|reference| !reference.is_empty());
            self.raw(&[plain, reference.ok_or("a character that XML does not have")?]);
            rest = characters.as_str();
        }
        self.raw(&[rest, "\""]);
        Ok(())
    }
}

/// How a character stands in an attribute, where not as itself; nothing where XML does not have it.
fn escape(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        // As themselves they would be read as spaces.
        '\t' => "&#9;",
        '\n' => "&#10;",
        '\r' => "&#13;",
        _ if !is_character(character) => "",
        _ => return None,
    })
}

/// The items of a member that must be an array; none where there is no member.
fn items(member: Option<&Value>) -> Option<&[Value]> {
    member.map_or(Some(&[]), Value::as_array)
}
