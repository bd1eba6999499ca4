//! From a stored body to one that may leave: labels put in, elements taken out, and a mark that says so.

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

/// What those grants together hide that show a resource: what all of them hide. Never of no grant.
#[derive(Clone, Debug)]
pub struct Showing<'a> {
    first: &'a Redactions,
    others: Vec<&'a Redactions>,
}

impl<'a> Showing<'a> {
    /// What one grant hides.
    pub fn by(first: &'a Redactions) -> Self {
        Self { first, others: Vec::new() }
    }

    /// The same, shown by another grant, too.
    pub fn or(&mut self, other: &'a Redactions) {
        if *self.first != *other && !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    fn all(&self, hides: impl Fn(&Redactions) -> bool) -> bool {
        hides(self.first) && self.others.iter().all(|other| hides(other))
    }

    fn paths(&self, resource_type: ResourceType) -> impl Iterator<Item = &'a ElementPath> + '_ {
        let of_all =
            move |path: &&ElementPath| self.others.iter().all(|other| other.paths(resource_type).any(|own| own == *path));
        self.first.paths(resource_type).filter(of_all)
    }

    fn hides_by_list(&self) -> bool {
        ResourceType::all().any(|resource_type| self.paths(resource_type).next().is_some())
    }
}

/// The body as it may leave; `None` where it cannot be read. A body of which nothing can be hidden is not parsed.
pub fn show(stored: Vec<u8>, identity: Identity<'_>, security: Security, showing: &Showing<'_>) -> Option<Vec<u8>> {
    let has_inline = security.labels.contains(Labels::INLINE);
    let deidentified = showing.all(Redactions::is_deidentified);
    let obeys = showing.all(|one| !one.is_none());
    let listed = showing.paths(identity.resource_type).next().is_some();
    let has_list = !showing.first.is_static_free();
    let nested = || has_list && holds_resources(identity.resource_type, &stored) && showing.hides_by_list();
    let may_hide = has_inline || deidentified || listed || (obeys && security.residual) || nested();
    if !may_hide {
        return body::splice(stored, identity, security);
    }
    let mut resource = json::parse(&stored).ok()?;
    let mut marks = Vec::new();
    let mut labels = security.labels;
    if has_inline {
        let mut hides = |own: inline::ElementLabels| showing.all(|one| one.hides(own.labels) || own.unknown && !one.is_none());
        let (removed, shown) = inline::redact(&mut resource, &mut hides);
        // The highest protection of what is there: who sees more is told of more.
        labels = labels | shown;
        if removed {
            drop_narrative(&mut resource);
            marks.push(Mark::Redacted);
        }
    }
    if by_list(&mut resource, showing) {
        drop_narrative(&mut resource);
        marks.push(Mark::Redacted);
    }
    let obligations = if obeys { body::obligations(&resource) } else { Vec::new() };
    if deidentified || !obligations.is_empty() {
        deidentify::deidentify(&mut resource);
        marks.push(Mark::Pseudonymised);
        marks.extend(obligations);
    }
    body::label(&mut resource, labels, &marks).then(|| resource.to_bytes())
}

/// Whether other resources may be in there.
fn holds_resources(resource_type: ResourceType, body: &[u8]) -> bool {
    const CONTAINED: &[u8] = b"\"contained\":";
    matches!(resource_type.name(), "Bundle" | "Parameters") || body.windows(CONTAINED.len()).any(|window| window == CONTAINED)
}

/// A text that was made from all of the resource would tell what is left out.
fn drop_narrative(resource: &mut Value) {
    if let Value::Object(members) = resource {
        members.retain(|(name, _)| !matches!(&**name, "text" | "_text"));
    }
}

/// Takes out what the list hides, in the resource and in those that it holds; whether the list has something about one of them.
fn by_list(resource: &mut Value, showing: &Showing<'_>) -> bool {
    let resource_type = resource.member("resourceType").and_then(Value::as_str).and_then(ResourceType::parse);
    let (Some(resource_type), Value::Object(members)) = (resource_type, &mut *resource) else { return false };
    let paths: Vec<&ElementPath> = showing.paths(resource_type).collect();
    let mut walk = Walk { paths: &paths, showing, concerned: !paths.is_empty() };
    let begun = (0..paths.len()).map(|path| (path, 0)).collect();
    walk.object(members, structure(structure_of(resource_type)), begun);
    let concerned = walk.concerned;
    if concerned {
        drop_narrative(resource);
    }
    concerned
}

struct Walk<'a> {
    paths: &'a [&'a ElementPath],
    showing: &'a Showing<'a>,
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
            Value::Object(_) if matches!(of.kind, Kind::AnyResource) => self.concerned |= by_list(value, self.showing),
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
