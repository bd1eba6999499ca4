//! The subset of FHIRPath in which the search parameters of R4 are written.
//!
//! <https://hl7.org/fhir/R4/fhirpath.html>. Paths with choice elements, `[n]`, `where(path='text')`, `where(resolve() is Type)`, `as`, `ofType`, `extension`,
//! `exists`, `|`, `and`, `=` and `!=`. Names and types are looked up once, when an expression is compiled, so that evaluation compares member
//! names and nothing else. References are never followed: `resolve() is Type` reads the type from the reference itself.

mod compile;
mod parse;

use crate::definitions::{Kind, StructureId, structure};
use crate::json::Value;
use crate::reference::referenced_type;
use crate::types::ResourceType;

/// Why an expression cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text is not in the subset.
    #[error("{0}")]
    Syntax(&'static str),
    /// A function that the subset does not have.
    #[error("the function `{0}` is not supported")]
    Function(String),
    /// A name that no type at this place has.
    #[error("no element `{0}`")]
    Element(String),
    /// A type that R4 does not have.
    #[error("no type `{0}`")]
    Type(String),
}

/// A value found by a path, with its FHIR type.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The JSON value; never `null` and never an array.
    pub value: &'a Value,
    /// Its type.
    pub structure: StructureId,
    /// Of a plain `code`: the system that its binding implies; else empty.
    pub system: &'static str,
}

impl Node<'_> {
    /// What kind of type it has.
    pub fn kind(&self) -> Kind {
        structure(self.structure).kind
    }
}

/// An expression, ready to run.
#[derive(Debug)]
pub struct Path {
    start: Start,
    steps: Vec<Step>,
    types: Vec<compile::Type>,
}

#[derive(Debug)]
enum Start {
    Context,
    Union(Vec<Path>),
    Test(Box<Test>),
}

#[derive(Debug)]
enum Step {
    /// The children of a node; with an index only that one (counted within one parent).
    Children {
        children: Vec<Child>,
        index: Option<usize>,
    },
    OfType(StructureId),
    Where(Test),
}

#[derive(Debug)]
struct Child {
    /// The type of the parent, where parents of several types are possible.
    parent: Option<StructureId>,
    member: Box<str>,
    output: StructureId,
    system: &'static str,
}

#[derive(Debug)]
enum Test {
    Compare { path: Path, literal: Value, equal: bool },
    Exists(Path),
    And(Box<Test>, Box<Test>),
    ResolvesTo { resource_type: ResourceType, only_target: bool },
}

static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

impl Path {
    /// Compiles an expression for a resource of this type.
    pub fn compile(expression: &str, resource_type: ResourceType) -> Result<Self, PathError> {
        compile::compile(&parse::parse(expression)?, resource_type)
    }

    /// Compiles an expression that begins at the results of this one.
    pub fn compile_further(&self, expression: &str) -> Result<Self, PathError> {
        compile::compile_from(&parse::parse(expression)?, &self.types)
    }

    /// The types that its results may have.
    pub fn types(&self) -> impl Iterator<Item = StructureId> {
        self.types.iter().map(|item| item.structure)
    }

    /// Passes each result on the resource to `found`, in document order within each branch.
    pub fn evaluate<'a>(&self, resource: &'a Value, resource_type: ResourceType, found: &mut dyn FnMut(Node<'a>)) {
        let root = Node { value: resource, structure: crate::definitions::structure_of(resource_type), system: "" };
        self.visit(root, found);
    }

    /// The same for an expression that begins at this node.
    pub fn evaluate_at<'a>(&self, node: Node<'a>, found: &mut dyn FnMut(Node<'a>)) {
        self.visit(node, found);
    }

    /// The ways by which it goes, conditions included: each a list of steps, and each step the names that it accepts.
    pub fn routes(&self) -> Vec<Vec<Vec<&str>>> {
        let starts = match &self.start {
            Start::Context => vec![Vec::new()],
            Start::Union(branches) => branches.iter().flat_map(Self::routes).collect(),
            Start::Test(test) => test.routes(),
        };
        let mut found = Vec::new();
        for mut route in starts {
            for step in &self.steps {
                match step {
                    Step::Children { children, .. } => route.push(children.iter().map(|child| &*child.member).collect()),
                    Step::OfType(_) => {}
                    Step::Where(test) => {
                        found.extend(test.routes().into_iter().map(|condition| route.iter().cloned().chain(condition).collect()));
                    }
                }
            }
            found.push(route);
        }
        found
    }

    fn visit<'a>(&self, context: Node<'a>, found: &mut dyn FnMut(Node<'a>)) {
        match &self.start {
            Start::Context => walk(&self.steps, context, found),
            Start::Union(branches) => {
                for branch in branches {
                    branch.visit(context, &mut |node| walk(&self.steps, node, found));
                }
            }
            Start::Test(test) => {
                let value = if test.holds(context) { &TRUE } else { &FALSE };
                if let Some(boolean) = self.types.first() {
                    found(Node { value, structure: boolean.structure, system: "" });
                }
            }
        }
    }
}

fn walk<'a>(steps: &[Step], node: Node<'a>, found: &mut dyn FnMut(Node<'a>)) {
    let Some((step, rest)) = steps.split_first() else { return found(node) };
    match step {
        Step::Children { children, index } => {
            let mut position = 0;
            visit_children(children, node, &mut |child| {
                if index.is_none_or(|index| index == position) {
                    walk(rest, child, found);
                }
                position += 1;
            });
        }
        Step::OfType(wanted) if node.structure == *wanted => walk(rest, node, found),
        Step::Where(test) if test.holds(node) => walk(rest, node, found),
        Step::OfType(_) | Step::Where(_) => {}
    }
}

fn visit_children<'a>(children: &[Child], node: Node<'a>, found: &mut dyn FnMut(Node<'a>)) {
    let Value::Object(members) = node.value else { return };
    for (name, value) in members {
        let child =
            children.iter().find(|child| *child.member == **name && child.parent.is_none_or(|parent| parent == node.structure));
        let Some(child) = child else { continue };
        for item in value.items() {
            if *item != Value::Null {
                found(Node { value: item, structure: child.output, system: child.system });
            }
        }
        if children.len() == 1 {
            return;
        }
    }
}

impl Test {
    fn routes(&self) -> Vec<Vec<Vec<&str>>> {
        match self {
            Self::Compare { path, .. } | Self::Exists(path) => path.routes(),
            Self::And(left, right) => left.routes().into_iter().chain(right.routes()).collect(),
            Self::ResolvesTo { .. } => Vec::new(),
        }
    }

    fn holds(&self, node: Node<'_>) -> bool {
        match self {
            Self::Exists(path) => {
                let mut exists = false;
                path.visit(node, &mut |_| exists = true);
                exists
            }
            Self::Compare { path, literal, equal } => {
                // An empty collection compares to nothing, and `where` and `and` take nothing for false.
                let mut outcome = false;
                path.visit(node, &mut |found| outcome |= (found.value == literal) == *equal);
                outcome
            }
            Self::And(left, right) => left.holds(node) && right.holds(node),
            Self::ResolvesTo { resource_type, only_target } => resolves_to(node.value, *resource_type, *only_target),
        }
    }
}

/// Whether a reference points to this type, judged by the reference alone: its path, else `Reference.type`, else the only type that the element allows.
fn resolves_to(reference: &Value, resource_type: ResourceType, only_target: bool) -> bool {
    let text = reference.member("reference").and_then(Value::as_str);
    if text.is_some_and(|text| text.starts_with('#')) {
        return false;
    }
    if let Some(named) = text.and_then(referenced_type) {
        return named == resource_type;
    }
    match reference.member("type").and_then(Value::as_str) {
        Some(named) => named.rsplit('/').next() == Some(resource_type.name()),
        None => only_target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::{search_parameter, search_parameters};
    use crate::json::parse;

    fn run(expression: &str, resource: &str) -> Vec<(String, String)> {
        let resource = parse(resource.as_bytes()).unwrap();
        let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse).unwrap();
        let path = Path::compile(expression, resource_type).unwrap();
        let mut results = Vec::new();
        path.evaluate(&resource, resource_type, &mut |node| {
            results.push((structure(node.structure).name.to_owned(), String::from_utf8(node.value.to_bytes()).unwrap()));
        });
        results
    }

    fn texts(expression: &str, resource: &str) -> Vec<String> {
        run(expression, resource).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn every_expression_in_the_table_compiles() {
        for resource_type in ResourceType::all() {
            for parameter in search_parameters(resource_type) {
                let compiled = Path::compile(parameter.expression, resource_type);
                assert!(compiled.is_ok(), "{resource_type} {}: {} {compiled:?}", parameter.code, parameter.expression);
                assert!(compiled.unwrap().types().count() > 0, "{resource_type} {}", parameter.code);
            }
        }
    }

    #[test]
    fn choices_are_matched_in_every_type_and_the_type_is_remembered() {
        let quantity = r#"{"resourceType":"Observation","valueQuantity":{"value":1.10}}"#;
        assert_eq!(run("Observation.value", quantity), [("Quantity".to_owned(), r#"{"value":1.10}"#.to_owned())]);
        assert_eq!(texts("(Observation.value as Quantity)", quantity).len(), 1);
        assert_eq!(texts("Observation.value.as(Quantity)", quantity).len(), 1);
        assert_eq!(texts("Observation.value.ofType(Quantity).value", quantity), ["1.10"]);
        assert!(texts("(Observation.value as dateTime) | (Observation.value as Period)", quantity).is_empty());
        let date = r#"{"resourceType":"Observation","valueDateTime":"2024","effectivePeriod":{"start":"2024"}}"#;
        assert_eq!(run("Observation.value", date), [("dateTime".to_owned(), "\"2024\"".to_owned())]);
        assert_eq!(texts("Observation.effectivePeriod.start", date), ["\"2024\""]);
    }

    #[test]
    fn paths_go_through_arrays_and_unions_and_skip_nulls() {
        let patient = r#"{"resourceType":"Patient","name":[{"given":["A",null,"B"],"_given":[null,{"id":"x"},null]},{"given":["C"],"family":"D"}]}"#;
        assert_eq!(texts("Patient.name.given", patient), ["\"A\"", "\"B\"", "\"C\""]);
        assert_eq!(texts("Patient.name.family | Patient.name.given", patient), ["\"D\"", "\"A\"", "\"B\"", "\"C\""]);
        let bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"1"}},{"resource":{"id":"2"}}]}"#;
        assert_eq!(texts("Bundle.entry[0].resource", bundle), [r#"{"id":"1"}"#]);
        assert_eq!(texts("Bundle.entry[1].resource.id", bundle), ["\"2\""]);
        assert!(texts("Bundle.entry[2].resource", bundle).is_empty());
    }

    #[test]
    fn where_keeps_what_is_equal_and_drops_what_is_absent() {
        let patient = r#"{"resourceType":"Patient","telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"},{"value":"3"}]}"#;
        assert_eq!(texts("Patient.telecom.where(system='phone').value", patient), ["\"1\""]);
        assert!(texts("Patient.telecom.where(system='PHONE')", patient).is_empty());
    }

    #[test]
    fn extensions_are_found_by_url_in_three_spellings() {
        let patient = r#"{"resourceType":"Patient","extension":[{"url":"u","valueReference":{"reference":"Patient/2"}},
            {"url":"race","extension":[{"url":"omb","valueCoding":{"code":"x"}},{"url":"text","valueString":"y"}]}]}"#;
        for expression in [
            "Patient.extension('u').value",
            "Patient.extension.where(url='u').valueReference",
            "Patient.extension.where(url = 'u').value.as(Reference)",
        ] {
            assert_eq!(texts(expression, patient), [r#"{"reference":"Patient/2"}"#], "{expression}");
        }
        assert_eq!(texts("Patient.extension.where(url='race').extension.value.code", patient), ["\"x\""]);
    }

    #[test]
    fn the_type_of_a_reference_is_judged_by_the_reference() {
        let observation = |subject: &str| format!(r#"{{"resourceType":"Observation","subject":{subject}}}"#);
        let expression = search_parameter(ResourceType::OBSERVATION, "patient").unwrap().expression;
        for (subject, count) in [
            (r#"{"reference":"Patient/1"}"#, 1),
            (r#"{"reference":"https://x.example/Patient/1/_history/2"}"#, 1),
            (r#"{"reference":"Group/1"}"#, 0),
            (r##"{"reference":"#p","type":"Patient"}"##, 0),
            (r#"{"identifier":{"value":"1"},"type":"Patient"}"#, 1),
            (r#"{"identifier":{"value":"1"},"type":"http://hl7.org/fhir/StructureDefinition/Patient"}"#, 1),
            (r#"{"identifier":{"value":"1"}}"#, 0),
            (r#"{"reference":"Group/1","type":"Patient"}"#, 0),
            ("{\"reference\":\"urn:uuid:x\"}", 0),
        ] {
            assert_eq!(texts(expression, &observation(subject)).len(), count, "{subject}");
        }
    }

    #[test]
    fn deceased_is_a_boolean_for_every_patient() {
        let expression = search_parameter(ResourceType::PATIENT, "deceased").unwrap().expression;
        for (members, expected) in [
            ("", "false"),
            (r#","deceasedBoolean":false"#, "false"),
            (r#","deceasedBoolean":true"#, "true"),
            (r#","deceasedDateTime":"2020""#, "true"),
        ] {
            let patient = format!(r#"{{"resourceType":"Patient"{members}}}"#);
            assert_eq!(run(expression, &patient), [("boolean".to_owned(), expected.to_owned())], "{members}");
        }
    }

    #[test]
    fn what_is_outside_the_subset_or_the_tables_is_refused() {
        for expression in [
            "",
            "Observation.",
            "Observation.valu",
            "Observation.status.first()",
            "(Observation.value",
            "Observation.value)",
            "Observation.value as Foo",
            "Observation.component[x]",
            "Observation.code.where(coding=1)",
            "Observation.subject.where(resolve() is Foo)",
            "Observation.status = 'a",
            "a; b",
            "Patient.name",
            "resolve()",
            "iif(true)",
        ] {
            assert!(Path::compile(expression, ResourceType::OBSERVATION).is_err(), "{expression}");
        }
    }
}
