//! The tree of an expression becomes steps whose names and types are looked up.

use super::parse::{Expression, Literal};
use super::{Child, Path, PathError, Start, Step, Test};
use crate::definitions::{Element, ElementType, StructureId, structure, structure_named, structure_of};
use crate::json::Value;
use crate::types::ResourceType;

/// A type that a result may have, and for references the types that they may point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) structure: StructureId,
    targets: &'static str,
}

impl Type {
    fn new(structure: StructureId) -> Self {
        Self { structure, targets: "" }
    }
}

pub(super) fn compile(expression: &Expression<'_>, resource_type: ResourceType) -> Result<Path, PathError> {
    path(expression, &[Type::new(structure_of(resource_type))])
}

/// The same for an expression that begins at values of these types.
pub(super) fn compile_from(expression: &Expression<'_>, context: &[Type]) -> Result<Path, PathError> {
    path(expression, context)
}

fn path(expression: &Expression<'_>, context: &[Type]) -> Result<Path, PathError> {
    match expression {
        Expression::Name(name) => {
            let itself = Path { start: Start::Context, steps: Vec::new(), types: context.to_vec() };
            if names_context(name, context) { Ok(itself) } else { itself.child(name) }
        }
        Expression::Member(parent, name) => path(parent, context)?.child(name),
        Expression::Index(parent, wanted) => {
            let mut compiled = path(parent, context)?;
            match compiled.steps.last_mut() {
                Some(Step::Children { index, .. }) => *index = Some(*wanted),
                _ => return Err(PathError::Syntax("an index must follow an element")),
            }
            Ok(compiled)
        }
        Expression::OfType(value, name) => path(value, context)?.of_type(name),
        Expression::Where(value, criterion) => {
            let mut compiled = path(value, context)?;
            let criterion = test(criterion, &compiled.types)?;
            compiled.steps.push(Step::Where(criterion));
            Ok(compiled)
        }
        Expression::Extension(value, url) => {
            let mut compiled = path(value, context)?.child("extension")?;
            let path = path(&Expression::Name("url"), &compiled.types)?;
            compiled.steps.push(Step::Where(Test::Compare { path, literal: Value::from(*url), equal: true }));
            Ok(compiled)
        }
        Expression::Union(branches) => {
            let branches = branches.iter().map(|branch| path(branch, context)).collect::<Result<Vec<_>, _>>()?;
            let mut types = Vec::new();
            for candidate in branches.iter().flat_map(|branch| &branch.types) {
                if !types.contains(candidate) {
                    types.push(*candidate);
                }
            }
            Ok(Path { start: Start::Union(branches), steps: Vec::new(), types })
        }
        Expression::Exists(_) | Expression::ResolvesTo(_) | Expression::And(..) | Expression::Compare { .. } => {
            let boolean = structure_named("boolean").ok_or_else(|| PathError::Type("boolean".to_owned()))?;
            let start = Start::Test(Box::new(test(expression, context)?));
            Ok(Path { start, steps: Vec::new(), types: vec![Type::new(boolean)] })
        }
    }
}

/// Whether the name at the beginning of a path is the context's own type or a type that it specialises.
fn names_context(name: &str, context: &[Type]) -> bool {
    let Some(first) = context.first() else { return false };
    std::iter::successors(Some(first.structure), |id| structure(*id).parent).any(|id| structure(id).name == name)
}

fn test(expression: &Expression<'_>, context: &[Type]) -> Result<Test, PathError> {
    match expression {
        Expression::Exists(value) => Ok(Test::Exists(path(value, context)?)),
        Expression::And(left, right) => Ok(Test::And(Box::new(test(left, context)?), Box::new(test(right, context)?))),
        Expression::Compare { left, right, equal } => {
            let literal = match right {
                Literal::Text(text) => Value::from(*text),
                Literal::Boolean(value) => Value::Bool(*value),
            };
            Ok(Test::Compare { path: path(left, context)?, literal, equal: *equal })
        }
        Expression::ResolvesTo(name) => {
            let resource_type = ResourceType::parse(name).ok_or_else(|| PathError::Type((*name).to_owned()))?;
            let only_target = context.iter().all(|item| item.targets == resource_type.name());
            Ok(Test::ResolvesTo { resource_type, only_target })
        }
        _ => Err(PathError::Syntax("a criterion was expected")),
    }
}

impl Path {
    /// One step down, to every element of this name that a possible parent has.
    fn child(mut self, name: &str) -> Result<Self, PathError> {
        let several_parents = self.types.len() > 1;
        let (mut children, mut types) = (Vec::new(), Vec::new());
        for parent in &self.types {
            for (member, element_type) in members(parent.structure, name) {
                let output = element_type.structure;
                let parent = several_parents.then_some(parent.structure);
                children.push(Child { parent, member: member.into(), output, system: element_type.system });
                let found = Type { structure: output, targets: element_type.targets };
                if !types.contains(&found) {
                    types.push(found);
                }
            }
        }
        if children.is_empty() {
            return Err(PathError::Element(name.to_owned()));
        }
        self.steps.push(Step::Children { children, index: None });
        self.types = types;
        Ok(self)
    }

    fn of_type(mut self, name: &str) -> Result<Self, PathError> {
        let wanted = structure_named(name).ok_or_else(|| PathError::Type(name.to_owned()))?;
        self.types.retain(|item| item.structure == wanted);
        if self.types.is_empty() {
            return Err(PathError::Type(name.to_owned()));
        }
        match self.steps.last_mut() {
            // The type is known from the member's name, so the other names need not be looked at.
            Some(Step::Children { children, index: None }) => children.retain(|child| child.output == wanted),
            _ => self.steps.push(Step::OfType(wanted)),
        }
        Ok(self)
    }
}

/// The JSON members of an element: by its name (a choice has one for each type), or by the JSON name of one type of a choice
/// (`valueReference`), which is not FHIRPath but is what some published guides write.
fn members(parent: StructureId, name: &str) -> Vec<(String, &'static ElementType)> {
    let parent = structure(parent);
    if let Some(element) = parent.element(name) {
        return Element::member_names(element).into_iter().zip(element.types()).collect();
    }
    parent.member(name).map(|(_, element_type)| (name.to_owned(), element_type)).into_iter().collect()
}
