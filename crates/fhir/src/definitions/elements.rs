//! The table of elements: what every resource and datatype of R4 may contain.
//!
//! <https://hl7.org/fhir/R4/resourcelist.html>, <https://hl7.org/fhir/R4/datatypes.html>. A structure is a resource, a datatype or a backbone element
//! (`Observation.component`); it holds its own elements and names its parent, which holds the rest. Bindings, invariants and profiles are not here.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Range;
use std::sync::LazyLock;

use crate::types::ResourceType;

/// A structure's place in the table; stable within a build only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StructureId(u16);

/// A resource, datatype, backbone element or primitive.
#[derive(Debug)]
pub struct Structure {
    /// `Observation`, `Quantity`, `Observation.component`, `string`
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The structure whose elements it has too.
    pub parent: Option<StructureId>,
    own: Range<usize>,
}

/// What a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON string, number or boolean.
    Primitive(Primitive),
    /// A datatype that has a meaning of its own for search.
    Datatype(Datatype),
    /// Any resource, in `contained`, `Bundle.entry.resource` and `Parameters.parameter.resource`.
    AnyResource,
    /// A concrete resource.
    Resource(ResourceType),
    /// Any other structure with elements.
    Complex,
}

/// The primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the FHIR type of the same name")]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

const PRIMITIVES: [(&str, Primitive); 20] = [
    ("base64Binary", Primitive::Base64Binary),
    ("boolean", Primitive::Boolean),
    ("canonical", Primitive::Canonical),
    ("code", Primitive::Code),
    ("date", Primitive::Date),
    ("dateTime", Primitive::DateTime),
    ("decimal", Primitive::Decimal),
    ("id", Primitive::Id),
    ("instant", Primitive::Instant),
    ("integer", Primitive::Integer),
    ("markdown", Primitive::Markdown),
    ("oid", Primitive::Oid),
    ("positiveInt", Primitive::PositiveInt),
    ("string", Primitive::String),
    ("time", Primitive::Time),
    ("unsignedInt", Primitive::UnsignedInt),
    ("uri", Primitive::Uri),
    ("url", Primitive::Url),
    ("uuid", Primitive::Uuid),
    ("xhtml", Primitive::Xhtml),
];

/// The datatypes that search or validation treats in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the FHIR type of the same name; Quantity also stands for its specialisations (Age, Duration, ...)"
)]
pub enum Datatype {
    Address,
    CodeableConcept,
    Coding,
    ContactPoint,
    HumanName,
    Identifier,
    Money,
    Period,
    Quantity,
    Range,
    Reference,
    Timing,
}

impl Datatype {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Address" => Self::Address,
            "CodeableConcept" => Self::CodeableConcept,
            "Coding" => Self::Coding,
            "ContactPoint" => Self::ContactPoint,
            "HumanName" => Self::HumanName,
            "Identifier" => Self::Identifier,
            "Money" => Self::Money,
            "Period" => Self::Period,
            "Quantity" | "Age" | "Count" | "Distance" | "Duration" => Self::Quantity,
            "Range" => Self::Range,
            "Reference" => Self::Reference,
            "Timing" => Self::Timing,
            _ => return None,
        })
    }
}

/// One element of a structure.
#[derive(Debug)]
pub struct Element {
    /// As the specification names it; a choice with its suffix (`value[x]`).
    pub name: &'static str,
    /// The name without `[x]`.
    pub stem: &'static str,
    /// Whether at least one is required.
    pub mandatory: bool,
    /// Whether JSON writes it as an array.
    pub repeats: bool,
    /// Whether `_summary=true` keeps it.
    pub summary: bool,
    types: Range<usize>,
}

/// One type that an element may have.
#[derive(Debug)]
pub struct ElementType {
    /// The structure of its values.
    pub structure: StructureId,
    /// The name of the type as the table writes it (`Quantity`, `Observation.component`).
    pub name: &'static str,
    /// For `Reference`: the types that it may point to, separated by commas; empty for any.
    pub targets: &'static str,
    /// For `code`: the code system that its required binding implies; empty where it implies none.
    pub system: &'static str,
}

struct Tables {
    structures: Vec<Structure>,
    elements: Vec<Element>,
    types: Vec<ElementType>,
    by_name: HashMap<&'static str, StructureId, BuildHasherDefault<DefaultHasher>>,
}

static SOURCE: &str = include_str!("../../data/elements.tsv");

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::parse);

/// The structure of each resource type, by the type's code.
static OF_TYPE: LazyLock<Vec<StructureId>> =
    LazyLock::new(|| ResourceType::all().filter_map(|resource_type| structure_named(resource_type.name())).collect());

impl Tables {
    fn parse() -> Self {
        let lines = SOURCE.lines().count();
        let mut tables = Self {
            structures: Vec::with_capacity(1024),
            elements: Vec::with_capacity(lines),
            types: Vec::with_capacity(lines * 2),
            by_name: HashMap::with_capacity_and_hasher(1024, BuildHasherDefault::new()),
        };
        for (name, primitive) in PRIMITIVES {
            tables.add_structure(name, Kind::Primitive(primitive));
        }
        for name in SOURCE.lines().filter_map(|line| line.strip_prefix(':')?.split('\t').next()) {
            let kind = match name {
                "Resource" => Kind::AnyResource,
                _ => ResourceType::parse(name)
                    .map(Kind::Resource)
                    .or_else(|| Datatype::named(name).map(Kind::Datatype))
                    .unwrap_or(Kind::Complex),
            };
            tables.add_structure(name, kind);
        }
        let mut current = None;
        for line in SOURCE.lines() {
            if let Some(header) = line.strip_prefix(':') {
                current = tables.open_structure(header);
            } else if let Some(position) = current {
                tables.add_element(position, line);
            }
        }
        tables
    }

    fn add_structure(&mut self, name: &'static str, kind: Kind) {
        if let Ok(position) = u16::try_from(self.structures.len()) {
            self.structures.push(Structure { name, kind, parent: None, own: 0..0 });
            self.by_name.insert(name, StructureId(position));
        }
    }

    fn open_structure(&mut self, header: &'static str) -> Option<usize> {
        let (name, parent) = header.split_once('\t')?;
        let position = usize::from(self.by_name.get(name)?.0);
        let parent = self.by_name.get(parent).copied();
        let structure = self.structures.get_mut(position)?;
        structure.parent = parent;
        structure.own = self.elements.len()..self.elements.len();
        Some(position)
    }

    fn add_element(&mut self, owner: usize, line: &'static str) -> Option<()> {
        let mut fields = line.split('\t');
        let name = fields.next()?;
        let cardinality = fields.next()?;
        let summary = fields.next()? == "S";
        let first_type = self.types.len();
        for code in fields.next()?.split(' ') {
            let (name, detail) = code.split_once(':').unwrap_or((code, ""));
            let structure = *self.by_name.get(name)?;
            let (targets, system) = if name == "code" { ("", detail) } else { (detail, "") };
            self.types.push(ElementType { structure, name, targets, system });
        }
        let stem = name.strip_suffix("[x]").unwrap_or(name);
        let (mandatory, repeats) = (cardinality.starts_with('1'), cardinality.ends_with('*'));
        self.elements.push(Element { name, stem, mandatory, repeats, summary, types: first_type..self.types.len() });
        self.structures.get_mut(owner)?.own.end = self.elements.len();
        Some(())
    }
}

/// The structure with this place.
pub fn structure(id: StructureId) -> &'static Structure {
    // Ids are made only while the table is built, so the fallback is never taken.
    static NOTHING: Structure = Structure { name: "", kind: Kind::Complex, parent: None, own: 0..0 };
    TABLES.structures.get(usize::from(id.0)).unwrap_or(&NOTHING)
}

/// The structure with this name.
pub fn structure_named(name: &str) -> Option<StructureId> {
    TABLES.by_name.get(name).copied()
}

/// The structure of a resource type.
pub fn structure_of(resource_type: ResourceType) -> StructureId {
    OF_TYPE.get(usize::from(resource_type.code())).copied().unwrap_or(StructureId(u16::MAX))
}

impl Structure {
    /// Its elements, its own before those of its parents.
    pub fn elements(&self) -> impl Iterator<Item = &'static Element> {
        let own = self.own_elements();
        let parent = self.parent.map(structure);
        let grandparent = parent.and_then(|parent| parent.parent).map(structure);
        // DomainResource and BackboneElement are the deepest: Observation, DomainResource, Resource; Dosage, BackboneElement, Element.
        let inherited = parent.into_iter().chain(grandparent).flat_map(Structure::own_elements);
        own.iter().chain(inherited)
    }

    /// Its elements in the order of XML (<https://hl7.org/fhir/R4/xml.html>): what it inherits comes first.
    pub fn elements_in_order(&self) -> impl Iterator<Item = &'static Element> {
        let parent = self.parent.map(structure);
        let grandparent = parent.and_then(|parent| parent.parent).map(structure);
        grandparent.into_iter().chain(parent).flat_map(Structure::own_elements).chain(self.own_elements())
    }

    /// Whether one of its elements is an attribute in XML, and therefore text that nothing extends: the id of what is no resource, and the url of an extension.
    pub fn has_as_attribute(&self, element: &Element) -> bool {
        match element.name {
            "id" => !matches!(self.kind, Kind::Resource(_)),
            "url" => self.name == "Extension",
            _ => false,
        }
    }

    fn own_elements(&self) -> &'static [Element] {
        TABLES.elements.get(self.own.clone()).unwrap_or_default()
    }

    /// The element to which a JSON member belongs, with the type that the member's name states.
    pub fn member(&self, member: &str) -> Option<(&'static Element, &'static ElementType)> {
        self.elements().find_map(|element| element.type_of_member(member).map(|element_type| (element, element_type)))
    }

    /// The element with this name in FHIRPath, where a choice has no suffix.
    pub fn element(&self, stem: &str) -> Option<&'static Element> {
        self.elements().find(|element| element.stem == stem)
    }
}

impl Element {
    /// The types that its values may have.
    pub fn types(&self) -> &'static [ElementType] {
        TABLES.types.get(self.types.clone()).unwrap_or_default()
    }

    /// Whether the member's name carries the type (`value[x]`).
    pub fn is_choice(&self) -> bool {
        self.stem.len() != self.name.len()
    }

    /// The type that a JSON member of this element states; `None` where the member is another element.
    pub(crate) fn type_of_member(&self, member: &str) -> Option<&'static ElementType> {
        if !self.is_choice() {
            return if self.stem == member { self.types().first() } else { None };
        }
        let suffix = member.strip_prefix(self.stem)?;
        self.types().iter().find(|element_type| is_capitalised(suffix, element_type.name))
    }

    /// The JSON names of the element: one, or one per type of a choice.
    pub fn member_names(&self) -> Vec<String> {
        if !self.is_choice() {
            return vec![self.stem.to_owned()];
        }
        self.types().iter().map(|element_type| member_name(self.stem, element_type.name)).collect()
    }
}

/// The JSON name of a choice element with this type: `value` and `dateTime` give `valueDateTime`.
pub(crate) fn member_name(stem: &str, type_name: &str) -> String {
    let mut characters = type_name.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    stem.chars().chain(first).chain(characters).collect()
}

fn is_capitalised(suffix: &str, type_name: &str) -> bool {
    let (mut suffix, mut type_name) = (suffix.bytes(), type_name.bytes());
    suffix.next() == type_name.next().map(|first| first.to_ascii_uppercase()) && suffix.eq(type_name)
}

/// The names of a type's top-level elements, one list for each question.
struct Names {
    all: Vec<&'static str>,
    summary: Vec<&'static str>,
    mandatory: Vec<&'static str>,
}

static NAMES: LazyLock<Vec<Names>> = LazyLock::new(|| {
    let names = |resource_type, keep: fn(&Element) -> bool| {
        structure(structure_of(resource_type)).elements().filter(|element| keep(element)).map(|element| element.name).collect()
    };
    ResourceType::all()
        .map(|resource_type| Names {
            all: names(resource_type, |_| true),
            summary: names(resource_type, |element| element.summary),
            mandatory: names(resource_type, |element| element.mandatory),
        })
        .collect()
});

/// The top-level elements of a type that `_summary=true` keeps; a choice is named as in the specification (`value[x]`).
pub fn summary_elements(resource_type: ResourceType) -> &'static [&'static str] {
    NAMES.get(usize::from(resource_type.code())).map_or(&[], |names| &names.summary)
}

/// The top-level elements of a type whose minimum is 1; a choice is named as in the specification (`value[x]`).
pub fn mandatory_elements(resource_type: ResourceType) -> &'static [&'static str] {
    NAMES.get(usize::from(resource_type.code())).map_or(&[], |names| &names.mandatory)
}

/// Every top-level element of a type; a choice is named as in the specification (`value[x]`).
pub fn all_elements(resource_type: ResourceType) -> &'static [&'static str] {
    NAMES.get(usize::from(resource_type.code())).map_or(&[], |names| &names.all)
}

/// The element to which a JSON member of a resource belongs (`valueQuantity` and `_valueString` belong to `value[x]`), as the
/// specification names it; `None` for an unknown member and for `resourceType`.
pub fn element_of_member(resource_type: ResourceType, member: &str) -> Option<&'static str> {
    let member = member.strip_prefix('_').unwrap_or(member);
    structure(structure_of(resource_type)).member(member).map(|(element, _)| element.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static Structure {
        structure(structure_named(name).expect(name))
    }

    #[test]
    fn every_line_becomes_an_element_and_every_type_is_known() {
        let lines = SOURCE.lines().filter(|line| !line.starts_with(':')).count();
        assert_eq!(TABLES.elements.len(), lines);
        assert!(lines > 4000);
        assert!(TABLES.elements.iter().all(|element| !element.types().is_empty()));
        assert_eq!(OF_TYPE.len(), ResourceType::all().count());
        for header in SOURCE.lines().filter_map(|line| line.strip_prefix(':')) {
            let (name, parent) = header.split_once('\t').unwrap();
            assert_eq!(named(name).parent.map(|parent| structure(parent).name).unwrap_or_default(), parent, "{name}");
        }
    }

    #[test]
    fn inheritance_is_never_deeper_than_elements_follow_it() {
        for candidate in &TABLES.structures {
            let depth = std::iter::successors(candidate.parent, |parent| structure(*parent).parent).count();
            assert!(depth <= 2, "{}", candidate.name);
            // The validator keeps one bit for each element of a structure.
            assert!(candidate.elements().count() <= 128, "{}", candidate.name);
        }
    }

    #[test]
    fn choices_belong_to_one_element_and_carry_their_type() {
        let observation = named("Observation");
        let (element, element_type) = observation.member("valueQuantity").unwrap();
        assert_eq!((element.name, element.stem, element_type.name), ("value[x]", "value", "Quantity"));
        assert_eq!(observation.member("valueDateTime").unwrap().1.name, "dateTime");
        for unknown in ["value", "value[x]", "valuequantity", "valueMoney", "valuedateTime", "status[x]", "", "valu"] {
            assert!(observation.member(unknown).is_none(), "{unknown}");
        }
        assert_eq!(element_of_member(ResourceType::OBSERVATION, "_valueString"), Some("value[x]"));
        assert_eq!(element_of_member(ResourceType::OBSERVATION, "resourceType"), None);
    }

    #[test]
    fn inherited_elements_are_found_and_have_their_published_types() {
        assert_eq!(named("Observation").member("id").unwrap().1.name, "id");
        assert_eq!(named("Observation").member("contained").unwrap().1.name, "Resource");
        assert_eq!(named("Observation.component").member("id").unwrap().1.name, "string");
        assert_eq!(named("Observation.component").member("modifierExtension").unwrap().1.name, "Extension");
        assert_eq!(named("Extension").member("url").unwrap().1.name, "uri");
        assert_eq!(named("Age").member("value").unwrap().1.name, "decimal");
        assert!(named("Bundle").member("contained").is_none());
        assert!(named("HumanName").member("modifierExtension").is_none());
        let (range, element_type) = named("Observation.component").member("referenceRange").unwrap();
        assert_eq!((range.repeats, element_type.name), (true, "Observation.referenceRange"));
    }

    #[test]
    fn summary_and_mandatory_names_are_those_of_the_specification() {
        let observation = ResourceType::OBSERVATION;
        assert_eq!(mandatory_elements(observation), ["status", "code"]);
        assert!(summary_elements(observation).contains(&"value[x]"));
        assert!(summary_elements(observation).contains(&"meta"));
        assert!(!summary_elements(observation).contains(&"text"));
        assert!(!summary_elements(observation).contains(&"note"));
        assert!(all_elements(observation).contains(&"note"));
        assert!(all_elements(observation).contains(&"text"));
        for resource_type in ResourceType::all() {
            assert!(all_elements(resource_type).contains(&"meta"), "{resource_type}");
        }
    }

    #[test]
    fn reference_targets_are_kept() {
        let (_, element_type) = named("Observation").member("subject").unwrap();
        assert_eq!(element_type.targets, "Device,Group,Location,Patient");
        assert_eq!(named("Provenance").member("target").unwrap().1.targets, "");
    }

    #[test]
    fn codes_with_a_required_binding_to_one_system_imply_it() {
        assert_eq!(named("Patient").member("gender").unwrap().1.system, "http://hl7.org/fhir/administrative-gender");
        assert_eq!(named("Encounter").member("status").unwrap().1.system, "http://hl7.org/fhir/encounter-status");
        assert_eq!(named("Coding").member("code").unwrap().1.system, "");
    }
}
