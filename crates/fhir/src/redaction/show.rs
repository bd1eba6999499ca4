//! From a stored body to one that may leave: labels put in, elements taken out, and a mark that says so.

use std::fmt;

use portcullis_mutants::off;

use super::Redactions;
use super::deidentify;
use super::element_path::{ElementPath, Segment};
use super::inline;
use super::masked::{self, Members};
use crate::definitions::{Kind, Structure, structure, structure_of};
use crate::json::{self, Value};
use crate::labels::body::{self, Identity, Mark};
use crate::labels::{Labels, Security};
use crate::types::ResourceType;

/// What the grant hides by which a resource is shown. Of several that show it one counts, which shows the most: so nobody sees more of it than one of them alone would
/// show. Two that show different parts are not added up. What the patient has denied of elements by their labels is hidden whoever shows it.
#[derive(Clone, Copy)]
pub struct Showing<'a> {
    redactions: &'a Redactions,
    denied: Option<&'a dyn Fn(Labels) -> bool>,
}

impl fmt::Debug for Showing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Showing").field("redactions", self.redactions).finish_non_exhaustive()
    }
}

impl<'a> Showing<'a> {
    /// What one grant hides.
    pub fn by(redactions: &'a Redactions) -> Self {
        Self { redactions, denied: None }
    }

    /// The same without the elements whose labels are denied.
    #[must_use]
    pub fn but_for(self, denied: &'a dyn Fn(Labels) -> bool) -> Self {
        Self { denied: Some(denied), ..self }
    }

    /// The same, shown by another grant, too.
    pub fn or(&mut self, other: &'a Redactions) {
        if other.clearance.shows_more_than(self.redactions.clearance) {
            self.redactions = other;
        }
    }
}

/// A body that may leave.
#[derive(Debug)]
pub struct Shown {
    /// The body.
    pub body: Vec<u8>,
    /// All labels of what is shown: those of elements that are shown count for the whole.
    pub labels: Labels,
    /// Whether what names somebody was left out. Then the time of the version says the year alone.
    pub is_deidentified: bool,
    /// Whether something was left out.
    pub is_redacted: bool,
}

/// The body as it may leave; `None` where it cannot be read. A body of which nothing can be hidden is not parsed.
pub fn show(stored: Vec<u8>, identity: Identity<'_>, security: Security, showing: &Showing<'_>) -> Option<Shown> {
    let redactions = showing.redactions;
    let has_inline = security.labels.contains(Labels::INLINE);
    let obeys = !redactions.is_none();
    let may_hide = has_inline
        || obeys
            && (security.residual
                || redactions.is_deidentified()
                || redactions.paths(identity.resource_type).next().is_some()
                || !redactions.is_static_free() && holds_resources(identity.resource_type, &stored));
    if !may_hide {
        let body = body::splice(stored, identity, security, redactions.classifier.as_ref())?;
        return Some(Shown { body, labels: security.labels, is_deidentified: false, is_redacted: false });
    }
    let mut resource = json::parse(&stored).ok()?;
    let mut marks = Vec::new();
    let mut labels = security.labels;
    // First what the list leaves out, so that nothing is said of the labels that it has.
    if obeys && by_list(&mut resource, redactions) {
        marks.push(Mark::Redacted);
    }
    if has_inline {
        let is_denied = |own: inline::ElementLabels| showing.denied.is_some_and(|denied| denied(own.labels));
        let is_above = |own: inline::ElementLabels| redactions.hides(own.labels) && !off!("element-clearance");
        let mut hides = |own: inline::ElementLabels| is_above(own) || own.unknown && obeys || is_denied(own);
        let (removed, shown) = inline::redact(&mut resource, &mut hides);
        // The highest protection of what is there: who sees more is told of more.
        labels = labels | shown;
        if removed {
            marks.push(Mark::Redacted);
        }
    }
    if !marks.is_empty() && !off!("narrative") {
        drop_narratives(&mut resource);
    }
    let obligations = if obeys { body::obligations(&resource) } else { Vec::new() };
    let is_deidentified = redactions.is_deidentified() || !obligations.is_empty();
    if is_deidentified {
        deidentify::deidentify(&mut resource);
        marks.push(Mark::Pseudonymised);
        marks.extend(obligations);
    }
    let is_redacted = is_deidentified || !marks.is_empty();
    let assigned = redactions.classifier.as_ref().map(|classifier| (classifier, security.assigned()));
    body::label(&mut resource, (labels, assigned), &marks).then(|| Shown {
        body: resource.to_bytes(),
        labels,
        is_deidentified,
        is_redacted,
    })
}

/// Whether other resources may be in there.
fn holds_resources(resource_type: ResourceType, body: &[u8]) -> bool {
    const CONTAINED: &[u8] = b"\"contained\":";
    matches!(resource_type.name(), "Bundle" | "Parameters") || body.windows(CONTAINED.len()).any(|window| window == CONTAINED)
}

/// Takes out every narrative, also of what is inside and around: a text that was made from all of it would tell what is left out.
fn drop_narratives(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_resource = members.iter().any(|(name, _)| &**name == "resourceType");
            // Elsewhere a text is a narrative where it is an object (`Composition.section.text`).
            let is_narrative = |name: &str, value: &Value| match name {
                "text" => is_resource || matches!(value, Value::Object(_)),
                "_text" => is_resource,
                _ => false,
            };
            members.retain(|(name, value)| !is_narrative(name, value));
            members.iter_mut().for_each(|(_, value)| drop_narratives(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_narratives),
        _ => {}
    }
}

/// Takes out what the list hides, in the resource and in those that it holds; whether the list has something about one of them.
fn by_list(resource: &mut Value, redactions: &Redactions) -> bool {
    let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
    let (Some(resource_type), Value::Object(members)) = (resource_type, &mut *resource) else { return false };
    let paths: Vec<&ElementPath> = redactions.paths(resource_type).collect();
    let mut walk = Walk { paths: &paths, redactions, concerned: !paths.is_empty() };
    let begun = (0..paths.len()).map(|path| (path, 0)).collect();
    walk.object(members, structure(structure_of(resource_type)), begun);
    walk.concerned
}

struct Walk<'a> {
    paths: &'a [&'a ElementPath],
    redactions: &'a Redactions,
    concerned: bool,
}

impl Walk<'_> {
    /// `open` are the paths that lead here, each with the place of the segment that comes next.
    fn object(&mut self, members: &mut Members, of: &'static Structure, mut open: Vec<(usize, usize)>) {
        // A structure that has repetitions of itself inside itself is where its path leads, at any depth.
        for (number, path) in self.paths.iter().enumerate() {
            for (place, segment) in path.segments().iter().enumerate().skip(1) {
                if of.name.contains('.')
                    && segment.parents.iter().any(|parent| structure(*parent).name == of.name)
                    && !open.contains(&(number, place))
                {
                    open.push((number, place));
                }
            }
        }
        for (number, place) in &open {
            let Some(segments) = self.paths.get(*number).map(|path| path.segments()) else { continue };
            if let (Some(last), true) = (segments.get(*place), place + 1 == segments.len()) {
                withhold(members, of, last);
            }
        }
        for (name, value) in members.iter_mut() {
            let Some((element, of_type)) = of.member(name) else { continue };
            let inner = structure(of_type.structure);
            let paths = self.paths;
            let further = |item: &Value| -> Vec<(usize, usize)> {
                let leads = |(number, place): &(usize, usize)| {
                    let segment = paths.get(*number).and_then(|path| path.segments().get(*place))?;
                    let is_of_url = |url: &str| item.member("url").and_then(Value::as_str) == Some(url);
                    let leads = *segment.stem == *element.stem && segment.url.as_deref().is_none_or(is_of_url);
                    leads.then_some((*number, place + 1))
                };
                open.iter().filter_map(leads).collect()
            };
            let items = if let Value::Array(items) = value { items.as_mut_slice() } else { std::slice::from_mut(value) };
            for item in items {
                let further = further(item);
                self.inside(item, inner, &further);
            }
        }
    }

    fn inside(&mut self, value: &mut Value, of: &'static Structure, open: &[(usize, usize)]) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.inside(item, of, open)),
            Value::Object(_) if matches!(of.kind, Kind::AnyResource) => self.concerned |= by_list(value, self.redactions),
            Value::Object(members) => self.object(members, of, open.to_vec()),
            _ => {}
        }
    }
}

fn withhold(members: &mut Members, of: &'static Structure, last: &Segment) {
    let Some(element) = of.element(&last.stem) else { return };
    let Some(url) = &last.url else { return masked::withhold(members, element) };
    for (name, value) in members.iter_mut() {
        if let ("extension", Value::Array(items)) = (&**name, value) {
            items.retain(|item| item.member("url").and_then(Value::as_str) != Some(url));
        }
    }
    members.retain(|(name, value)| &**name != "extension" || !matches!(value, Value::Array(items) if items.is_empty()));
}
