//! From XML to the JSON tree.
//!
//! The table says of each element whether it repeats (an array), what its type is (string, number, boolean, object) and where it stands. Elements are demanded in
//! their order, as the schemas of FHIR demand them. Recursion is bounded by the depth that JSON may have.

use std::borrow::Cow;

use quick_xml::events::BytesStart;

use super::reader::{Allowed, Attributes, Read, Reader, Space, Token, local_name};
use super::{ParseError, is_character, narrative, primitive};
use crate::definitions::{
    Element, ElementType, Kind, Primitive, Structure, StructureId, structure, structure_named, structure_of,
};
use crate::json::{MAXIMUM_DEPTH, Place, Step, Value, line_and_column};
use crate::query::echo;
use crate::resource::{nearest, suggestion};
use crate::types::ResourceType;

type Members = Vec<(Box<str>, Value)>;

const FHIR_IS_NEEDED: &str = "the element is not in the namespace http://hl7.org/fhir";
const TEXT: &str = "text between elements; the value of an element stands in its attribute `value`";

/// Reads one resource. It is as unchecked as JSON is when it is parsed, but that every element is known and no more frequent than it may be.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    let at = |position: usize, message: Cow<'static, str>, place: &Place| {
        let (line, column) = line_and_column(bytes, position);
        ParseError { line, column, message: message.into_owned(), expression: place.expression() }
    };
    if matches!(bytes, [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] | [_, 0, ..]) {
        return Err(at(0, "the text is UTF-16 or UTF-32; it must be UTF-8".into(), &Place::default()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(at(error.valid_up_to(), "the text is not valid UTF-8".into(), &Place::default())),
    };
    // XML lets UTF-8 begin with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let before = bytes.len() - text.len();
    if let Some((position, _)) = text.char_indices().find(|(_, character)| !is_character(*character)) {
        return Err(at(before + position, "a character that XML does not have".into(), &Place::default()));
    }
    let mut parser = Parser { reader: Reader::new(text), depth: 0, place: Place::default() };
    parser.document().map_err(|message| at(before + parser.reader.at, message, &parser.place))
}

struct Parser<'a> {
    reader: Reader<'a>,
    /// How deep the JSON is nested here.
    depth: usize,
    /// Filled while an error is on its way out.
    place: Place,
}

/// One occurrence of an element.
enum Found {
    /// What is not primitive.
    Value(Value),
    /// A primitive: its value, and what stands in the member with the underscore.
    Primitive(Option<Value>, Option<Value>),
}

/// The occurrences of one element, which stand side by side.
#[derive(Default)]
struct Run {
    values: Vec<Value>,
    extras: Vec<Value>,
}

impl Run {
    fn add(&mut self, found: Found) {
        match found {
            Found::Value(value) => self.values.push(value),
            Found::Primitive(value, extra) => {
                self.values.push(value.unwrap_or(Value::Null));
                self.extras.push(extra.unwrap_or(Value::Null));
            }
        }
    }

    /// Puts the members into the object; nulls stand only in arrays, and no array consists of them.
    fn finish(self, name: &str, repeats: bool, members: &mut Members) {
        let members_of = [(Box::from(name), self.values), (format!("_{name}").into(), self.extras)];
        for (name, items) in members_of {
            if items.iter().any(|item| *item != Value::Null) {
                let value = if repeats { Some(Value::Array(items)) } else { items.into_iter().next() };
                members.extend(value.map(|value| (name, value)));
            }
        }
    }
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Read<Value> {
        let (space, tag) = match self.reader.next()? {
            Token::Start(space, tag) => (space, tag),
            Token::Text => return Err("text before the resource".into()),
            Token::End | Token::Eof => return Err("there is no resource".into()),
        };
        let resource = self.resource(space, &tag, Allowed::OfRoot)?;
        match self.reader.next()? {
            Token::Eof => Ok(resource),
            _ => Err("unexpected content after the resource".into()),
        }
    }

    /// Does something so many arrays and objects deeper in the JSON.
    fn nested<T>(&mut self, levels: usize, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth + levels > MAXIMUM_DEPTH {
            return Err("elements are nested too deeply".into());
        }
        self.depth += levels;
        let done = read(self);
        self.depth -= levels;
        done
    }

    fn resource(&mut self, space: Space, tag: &BytesStart<'a>, allowed: Allowed) -> Read<Value> {
        let name = local_name(tag);
        if space != Space::Fhir {
            return Err(FHIR_IS_NEEDED.into());
        }
        let Some(resource_type) = ResourceType::parse(name) else {
            let near = nearest(name, ResourceType::all().map(|known| known.name().to_owned()));
            return Err(format!("`{}` is not a resource type of FHIR R4{}", echo(name), suggestion(near)).into());
        };
        if allowed == Allowed::OfRoot {
            self.place.in_type(resource_type);
        }
        self.reader.attributes(tag, allowed)?;
        let mut members = vec![("resourceType".into(), Value::from(resource_type.name()))];
        self.nested(1, |parser| parser.elements(structure_of(resource_type), &mut members))?;
        Ok(Value::Object(members))
    }

    /// The elements up to the end of what surrounds them.
    fn elements(&mut self, id: StructureId, members: &mut Members) -> Read<()> {
        let structure = structure(id);
        // The element that is being read: its place in the order, its name with the type of a choice, and what there is of it.
        let mut current: Option<(usize, &'static Element, Box<str>)> = None;
        let mut run = Run::default();
        loop {
            let (space, tag) = match self.reader.next()? {
                Token::Start(space, tag) => (space, tag),
                Token::End => break,
                Token::Text => return Err(TEXT.into()),
                Token::Eof => return Err("the text ends inside an element".into()),
            };
            let name = local_name(&tag);
            let (position, element, element_type) = self.known(structure, name)?;
            if let Some((last, before, before_name)) = &current {
                let problem = match position.cmp(last) {
                    std::cmp::Ordering::Less => {
                        Some(format!("`{name}` stands before `{before_name}`: the order is that of the definitions"))
                    }
                    std::cmp::Ordering::Equal if **before_name != *name => {
                        Some(format!("only one of `{}` may be present, and `{before_name}` is too", before.name))
                    }
                    std::cmp::Ordering::Equal if !element.repeats => Some(format!("`{name}` occurs at most once")),
                    _ => None,
                };
                if let Some(problem) = problem {
                    self.place.within(Step::Member(name.into()));
                    return Err(problem.into());
                }
            }
            match &current {
                Some((last, ..)) if *last == position => {}
                _ => {
                    if let Some((_, before, before_name)) = current.replace((position, element, name.into())) {
                        std::mem::take(&mut run).finish(&before_name, before.repeats, members);
                    }
                }
            }
            match self.occurrence(element, element_type, space, &tag) {
                Ok(found) => run.add(found),
                Err(message) => {
                    if element.repeats {
                        self.place.within(Step::Item(run.values.len()));
                    }
                    self.place.within(Step::Member(name.into()));
                    return Err(message);
                }
            }
        }
        if let Some((_, element, name)) = current {
            run.finish(&name, element.repeats, members);
        }
        Ok(())
    }

    /// The element of this name, with its place in the order.
    fn known(&mut self, structure: &Structure, name: &str) -> Read<(usize, &'static Element, &'static ElementType)> {
        let mut elements = structure.elements_in_order().enumerate();
        let found = elements.find_map(|(position, element)| Some((position, element, element.type_of_member(name)?)));
        let problem = match found {
            Some((_, element, _)) if structure.has_as_attribute(element) => {
                format!("`{name}` is an attribute of `{}`", structure.name)
            }
            Some(found) => return Ok(found),
            None => {
                let near = nearest(name, structure.elements().flat_map(Element::member_names));
                format!("{} has no element `{}`{}", structure.name, echo(name), suggestion(near))
            }
        };
        self.place.within(Step::Member(name.into()));
        Err(problem.into())
    }

    fn occurrence(&mut self, element: &Element, element_type: &ElementType, space: Space, tag: &BytesStart<'a>) -> Read<Found> {
        let kind = structure(element_type.structure).kind;
        if kind == Kind::Primitive(Primitive::Xhtml) {
            return self.narrative(space, tag).map(|text| Found::Primitive(Some(Value::from(text)), None));
        }
        if space != Space::Fhir {
            return Err(FHIR_IS_NEEDED.into());
        }
        let array = usize::from(element.repeats);
        match kind {
            Kind::Primitive(primitive) => self.nested(array, |parser| parser.primitive(primitive, tag)),
            Kind::AnyResource | Kind::Resource(_) => self.nested(array, |parser| parser.container(tag)).map(Found::Value),
            Kind::Datatype(_) | Kind::Complex => {
                self.nested(array + 1, |parser| parser.complex(element_type.structure, tag)).map(Found::Value)
            }
        }
    }

    /// An element that holds one resource and nothing else.
    fn container(&mut self, tag: &BytesStart<'a>) -> Read<Value> {
        self.reader.attributes(tag, Allowed::Nothing)?;
        let resource = match self.reader.next()? {
            Token::Start(space, tag) => self.resource(space, &tag, Allowed::Nothing)?,
            Token::Text => return Err(TEXT.into()),
            Token::End | Token::Eof => return Err("a resource was expected in the element".into()),
        };
        match self.reader.next()? {
            Token::End => Ok(resource),
            _ => Err("the element holds one resource and nothing else".into()),
        }
    }

    fn complex(&mut self, id: StructureId, tag: &BytesStart<'a>) -> Read<Value> {
        let is_extension = structure(id).name == "Extension";
        let allowed = if is_extension { Allowed::IdAndUrl } else { Allowed::Id };
        let Attributes { id: element_id, url, value: _ } = self.reader.attributes(tag, allowed)?;
        let mut members = Members::new();
        members.extend(element_id.map(|text| ("id".into(), Value::String(text.into()))));
        members.extend(url.map(|text| ("url".into(), Value::String(text.into()))));
        self.elements(id, &mut members)?;
        if members.is_empty() {
            return Err("an element cannot be empty".into());
        }
        Ok(Value::Object(members))
    }

    fn primitive(&mut self, kind: Primitive, tag: &BytesStart<'a>) -> Read<Found> {
        let Attributes { id, value, url: _ } = self.reader.attributes(tag, Allowed::IdAndValue)?;
        let value = value.map(|text| primitive::to_json(kind, &text)).transpose()?;
        let mut extra = Members::new();
        extra.extend(id.map(|text| ("id".into(), Value::String(text.into()))));
        let element = structure_named("Element").ok_or("the table has no Element")?;
        self.nested(1, |parser| parser.elements(element, &mut extra))?;
        if value.is_none() && extra.is_empty() {
            return Err("an element has a value or an extension".into());
        }
        Ok(Found::Primitive(value, (!extra.is_empty()).then_some(Value::Object(extra))))
    }

    /// The text of a `div` from its first character to its last.
    fn narrative(&mut self, space: Space, tag: &BytesStart<'a>) -> Read<String> {
        if space != Space::Xhtml {
            return Err("a narrative is a div in the namespace http://www.w3.org/1999/xhtml".into());
        }
        self.reader.check_attributes(tag)?;
        let start = self.reader.at;
        let mut open = 1_usize;
        while open > 0 {
            match self.reader.next()? {
                Token::Start(Space::Xhtml, tag) => {
                    self.reader.check_attributes(&tag)?;
                    open += 1;
                    if open > MAXIMUM_DEPTH {
                        return Err("elements are nested too deeply".into());
                    }
                }
                Token::Start(..) => return Err("a narrative holds elements of XHTML alone".into()),
                Token::End => open -= 1,
                Token::Text => {}
                Token::Eof => return Err("the text ends inside a narrative".into()),
            }
        }
        Ok(narrative::to_json(self.reader.slice(start, self.reader.position())))
    }
}
