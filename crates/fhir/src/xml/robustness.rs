//! Properties: no bytes make the parser panic, and whatever the definitions allow comes back from XML as it was.

use proptest::prelude::*;

use super::*;
use crate::definitions::{Element, ElementType, Kind, Primitive, Structure, structure, structure_of};
use crate::json::{self, Value};
use crate::resource::same_content;
use crate::types::ResourceType;

/// Pieces of which hostile documents are made.
const PIECES: [&str; 40] = [
    "<Patient xmlns=\"http://hl7.org/fhir\">",
    "</Patient>",
    "<name>",
    "</name>",
    "<name",
    "<given",
    " value=\"",
    " id='",
    "\"",
    "'",
    "/>",
    ">",
    "<",
    "&",
    "&amp;",
    "&#x41;",
    "&#0;",
    "&nbsp;",
    ";",
    "<!--",
    "-->",
    "--",
    "<![CDATA[",
    "]]>",
    "<?xml version=\"1.0\"?>",
    "<?",
    "?>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "<active value=\"true\"/>",
    "<div xmlns=\"http://www.w3.org/1999/xhtml\">",
    "</div>",
    "<text>",
    "</text>",
    "<contained>",
    "xmlns:f=\"http://hl7.org/fhir\"",
    "f:",
    " ",
    "\r\n",
    "é",
    "\u{feff}",
];

fn document() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => (0..PIECES.len()).prop_map(|index| PIECES[index].as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    let parts = prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat());
    prop_oneof![parts.clone(), parts.prop_map(|inner| [PIECES[0].as_bytes(), &inner, PIECES[1].as_bytes()].concat())]
}

/// A small generator of numbers (Knuth, MMIX): a resource is a function of its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn text(&mut self) -> String {
        const CHARACTERS: [char; 16] =
            ['a', 'Z', '0', ' ', '\t', '\n', '\r', '<', '>', '&', '"', '\'', 'é', '😀', ']', '\u{fffd}'];
        (0..=self.below(8)).map(|_| CHARACTERS[self.below(CHARACTERS.len())]).collect()
    }

    fn value(&mut self, primitive: Primitive) -> Value {
        const NUMBERS: [&str; 6] = ["0", "-1", "1.10", "1e3", "-0.00E-7", "123456789012345678901234567890"];
        match primitive {
            Primitive::Boolean => Value::Bool(self.one_in(2)),
            Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
                Value::Number(NUMBERS[self.below(NUMBERS.len())].into())
            }
            Primitive::Xhtml => {
                "<div xmlns=\"http://www.w3.org/1999/xhtml\" lang='a'>x<br /> &amp; <!-- y --><p title='>'>é</p></div>".into()
            }
            _ => self.text().into(),
        }
    }

    fn resource(&mut self, resource_type: ResourceType, depth: usize) -> Value {
        let mut members = vec![("resourceType".into(), resource_type.name().into())];
        self.elements(structure(structure_of(resource_type)), depth, &mut members);
        Value::Object(members)
    }

    fn elements(&mut self, within: &'static Structure, depth: usize, members: &mut Vec<(Box<str>, Value)>) {
        for element in within.elements() {
            if depth == 0 || !self.one_in(3) {
                continue;
            }
            let types = element.types();
            let chosen = self.below(types.len());
            let name = element.member_names().swap_remove(chosen);
            let is_text = within.has_as_attribute(element);
            self.element((element, &types[chosen], is_text), &name, depth - 1, members);
        }
    }

    fn element(
        &mut self,
        (element, element_type, is_text): (&'static Element, &'static ElementType, bool),
        name: &str,
        depth: usize,
        members: &mut Vec<(Box<str>, Value)>,
    ) {
        let count = if element.repeats { 1 + self.below(3) } else { 1 };
        let Kind::Primitive(primitive) = structure(element_type.structure).kind else {
            let items: Vec<Value> = (0..count).map(|_| self.complex(element_type, depth)).collect();
            let value = if element.repeats { Value::Array(items) } else { items.into_iter().next().unwrap() };
            return members.push((name.into(), value));
        };
        let plain = is_text || primitive == Primitive::Xhtml;
        let (mut values, mut extras) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (has_extra, has_value) = (!plain && self.one_in(3), self.one_in(2));
            let extra = Value::object([("id", self.text().into()), ("extension", Value::array([self.extension()]))]);
            values.push(if has_value || !has_extra { self.value(primitive) } else { Value::Null });
            extras.push(if has_extra { extra } else { Value::Null });
        }
        for (name, items) in [(name.to_owned(), values), (format!("_{name}"), extras)] {
            if items.iter().any(|item| *item != Value::Null) {
                let value = if element.repeats { Value::Array(items) } else { items.into_iter().next().unwrap() };
                members.push((name.into(), value));
            }
        }
    }

    fn extension(&mut self) -> Value {
        Value::object([("url", self.text().into()), ("valueBoolean", self.one_in(2).into())])
    }

    fn complex(&mut self, element_type: &ElementType, depth: usize) -> Value {
        match structure(element_type.structure).kind {
            Kind::AnyResource => {
                let types: Vec<ResourceType> = ResourceType::all().collect();
                let resource_type = types[self.below(types.len())];
                self.resource(resource_type, depth)
            }
            Kind::Resource(resource_type) => self.resource(resource_type, depth),
            _ => {
                let mut members = Vec::new();
                self.elements(structure(element_type.structure), depth, &mut members);
                if members.is_empty() {
                    members.push(("id".into(), "x".into()));
                }
                Value::Object(members)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bytes_make_the_parser_panic_and_what_it_reads_can_be_written(bytes in document()) {
        if let Ok(value) = parse(&bytes)
            // The narrative is checked by whoever checks the resource.
            && let Ok(xml) = from_json(&value.to_bytes())
        {
            prop_assert!(same_content(&parse(&xml).unwrap().to_bytes(), &value.to_bytes()));
        }
    }

    #[test]
    fn random_bytes_are_refused_and_nothing_worse(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(parse(&bytes).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_the_definitions_allow_comes_back_from_xml_as_it_was(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        for resource_type in ResourceType::all().filter(|_| seed.is_multiple_of(2)).chain([ResourceType::OBSERVATION, ResourceType::PATIENT]) {
            let source = dice.resource(resource_type, 4).to_bytes();
            let xml = from_json(&source).unwrap();
            let back = parse(&xml).map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&xml))))?;
            prop_assert!(same_content(&back.to_bytes(), &source), "{}", String::from_utf8_lossy(&source));
            prop_assert_eq!(from_json(&back.to_bytes()).unwrap(), xml);
            prop_assert!(json::parse(&back.to_bytes()).is_ok());
        }
    }
}
