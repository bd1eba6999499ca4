//! What a decision is asked about: who asks and why, and what is known of the resource.

use portcullis_fhir::index::{IndexEntry, IndexValue};
use portcullis_fhir::json::Value;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::ResourceType;

use super::criteria::{CodeKey, Match};
use super::document::Interval;
use super::vocabulary::{Actions, Purpose};
use crate::constraint::TypeSet;

/// The search parameters that say what a resource is; codes that others find merely stand in it.
const KIND: [&str; 5] = ["code", "type", "vaccine-code", "medication", "specialty"];
/// The search parameters that say when something happened or was observed, best first.
const TIME: [&str; 21] = [
    "onset",
    "onset-date",
    "date",
    "occurrence",
    "effective",
    "effective-time",
    "whenhandedover",
    "whenprepared",
    "collected",
    "started",
    "identified",
    "period",
    "start-date",
    "event-date",
    "authored",
    "authoredon",
    "authored-on",
    "datewritten",
    "datetime",
    "created",
    "sent",
];
/// The search parameters that say who wrote something, or did what it records.
const AUTHORS: [&str; 9] =
    ["author", "performer", "recorder", "asserter", "requester", "source", "sender", "provider", "enterer"];

/// Who asks, why, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Everything that the requester is but for the client: the person, roles, organisations, groups, care teams.
    pub actors: &'a [Reference],
    /// The organisations of which those are parts: whoever names one may mean its parts, too.
    pub wider: &'a [Reference],
    /// What names the client: Devices, and its `client_id` as an identifier of the issuer.
    pub client: &'a [Reference],
    /// The types of actors of which nobody has looked up whether the requester is among them: provisions that name one are in doubt.
    pub unresolved: &'a TypeSet,
    /// Of these the requester is certainly none.
    pub others: &'a [Reference],
    /// Why. The server has a purpose for every request.
    pub purpose: &'a Purpose,
    /// What happens with the data.
    pub actions: Actions,
    /// Whether a clinician asks (for the implicit policies).
    pub by_clinician: bool,
    /// Whether the patients themselves ask for their own record, not somebody for them.
    pub own_record: bool,
    /// When, in milliseconds since the epoch.
    pub now: i64,
}

impl Request<'_> {
    /// Whether the requester is this actor.
    pub(super) fn is(&self, actor: &Reference) -> Match {
        if self.actors.contains(actor) || self.client.contains(actor) {
            return Match::Yes;
        }
        if self.wider.contains(actor) {
            return Match::Doubt;
        }
        match actor {
            Reference::Local(local) if self.unresolved.contains(local.resource_type) && !self.others.contains(actor) => {
                Match::Doubt
            }
            _ => Match::No,
        }
    }
}

/// What consents ask about a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceFacts {
    /// The resource.
    pub target: LocalReference,
    /// The profiles that it claims, without versions.
    pub profiles: Vec<Box<str>>,
    /// The codes that say what it is.
    pub codes: Vec<CodeKey>,
    /// All codes that stand anywhere in it, ascending: reasons, components, what is contained.
    pub mentioned: Vec<CodeKey>,
    /// Its labels.
    pub labels: Labels,
    /// When it happened; `None`: nobody knows.
    pub clinical_time: Option<Interval>,
    /// What it refers to.
    pub references: Vec<LocalReference>,
    /// What refers to it; `None`: not looked up.
    pub referred_from: Option<Vec<LocalReference>>,
    /// Whether another resource says what it is (`MedicationRequest.medicationReference`): any code may be that one's.
    pub is_coded_elsewhere: bool,
    /// Who wrote it.
    pub authors: Vec<Reference>,
    /// Whether nobody knows any more what it said: it is deleted, or cannot be read. What asks for content is then in doubt.
    pub is_gone: bool,
}

impl ResourceFacts {
    /// The facts of a resource with an id: `index` is what [`portcullis_fhir::index::extract`] gave for it, `references` what it refers to. What refers to it is
    /// left open.
    pub fn of(resource: &Resource, index: &[IndexEntry], references: &[LocalReference], labels: Labels) -> Option<Self> {
        let target = LocalReference { resource_type: resource.resource_type(), id: resource.id()?.clone() };
        let mut mentioned = Vec::new();
        for (name, member) in resource.body().as_object().unwrap_or_default() {
            // Labels and tags are about the resource, not in it.
            if &**name != "meta" {
                mentions(member, &mut mentioned);
            }
        }
        mentioned.sort_unstable();
        mentioned.dedup();
        let mut facts = Self {
            target,
            profiles: Vec::new(),
            codes: Vec::new(),
            mentioned,
            labels,
            clinical_time: clinical_time(index),
            references: references.to_vec(),
            referred_from: None,
            is_coded_elsewhere: false,
            authors: Vec::new(),
            is_gone: false,
        };
        for entry in index {
            let parameter = entry.parameter.code;
            match &entry.value {
                IndexValue::Token { system, code, .. } if KIND.contains(&parameter) && !system.is_empty() && !code.is_empty() => {
                    facts.codes.push(CodeKey { system: system.clone(), code: code.clone() });
                }
                IndexValue::Uri(profile) if parameter == "_profile" => {
                    facts.profiles.push(profile.split('|').next().unwrap_or_default().into());
                }
                IndexValue::Reference(_) if KIND.contains(&parameter) => facts.is_coded_elsewhere = true,
                IndexValue::Reference(author) if AUTHORS.contains(&parameter) => facts.authors.push(author.clone()),
                _ => {}
            }
        }
        Some(facts)
    }

    /// The facts of a resource of which only this is known: it is deleted or cannot be read (`is_gone`), or nobody asks for more.
    pub fn outline(target: LocalReference, labels: Labels, is_gone: bool) -> Self {
        Self {
            target,
            profiles: Vec::new(),
            codes: Vec::new(),
            mentioned: Vec::new(),
            labels,
            clinical_time: None,
            references: Vec::new(),
            referred_from: None,
            is_coded_elsewhere: false,
            authors: Vec::new(),
            is_gone,
        }
    }

    /// Its type.
    pub fn resource_type(&self) -> ResourceType {
        self.target.resource_type
    }
}

/// Every code in a system that stands somewhere in a value; the depth is bounded by the parser.
fn mentions(value: &Value, codes: &mut Vec<CodeKey>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| mentions(item, codes)),
        Value::Object(members) => {
            let text = |member: &str| value.member(member).and_then(Value::as_str);
            if let (Some(system), Some(code)) = (text("system"), text("code")) {
                codes.push(CodeKey { system: system.into(), code: code.into() });
            }
            members.iter().for_each(|(_, member)| mentions(member, codes));
        }
        _ => {}
    }
}

/// The span of the best parameter that has a value.
fn clinical_time(index: &[IndexEntry]) -> Option<Interval> {
    let span = |parameter: &&str| {
        let of_parameter = index.iter().filter(|entry| entry.parameter.code == *parameter);
        let spans = of_parameter.filter_map(|entry| match entry.value {
            IndexValue::Date { low, high } => Some(Interval { from: low, to: high }),
            _ => None,
        });
        spans.reduce(|one, other| Interval { from: one.from.min(other.from), to: one.to.max(other.to) })
    };
    TIME.iter().find_map(span)
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::definitions::search_parameters;

    use super::*;

    #[test]
    fn every_parameter_that_is_asked_for_is_one_of_some_type() {
        for code in KIND.iter().chain(&TIME).chain(&AUTHORS) {
            let is_known = ResourceType::all().any(|each| search_parameters(each).iter().any(|known| known.code == *code));
            assert!(is_known, "{code}");
        }
    }
}
