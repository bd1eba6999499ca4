//! Draws one AuditEvent: agents, source and entities from a record, as far as its reader may see them.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_fhir::labels::Labels;

use super::codes::{
    DOMAIN_RESOURCE_ROLE, OPERATION_OUTCOME, OTHER, PATIENT_ROLE, PERSON, PROFILE_BASE, QUERY_ROLE, REQUEST_ID,
    SECURITY_RESOURCE_ROLE, SYSTEM_OBJECT,
};
use super::resource::{
    Agent, AuditEvent, Detail, Entity, Identifier, Issue, Meta, Network, OperationOutcome, Purpose, Reference, SecurityLabel,
    Source,
};
use super::shape::{Shape, Subject, shape};
use super::{EventKeys, Part, RenderedEvent, View};
use crate::record::{Event, OperationEntry, Outcome, Record};
use crate::sought::Presence;

/// The types that `AuditEvent.agent.who` may refer to.
const AGENT_TYPES: [&str; 6] = ["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"];

const IP_ADDRESS: &str = "2";
const MACHINE_NAME: &str = "1";
const URI: &str = "5";

pub(super) fn draw(view: &View<'_>, part: &Part<'_>, id: &str) -> RenderedEvent {
    let (keys, event) = drawn(view, part, id);
    // The structures have string keys only and no maps: serialising them cannot fail.
    RenderedEvent { keys, body: serde_json::to_vec(&event).unwrap_or_default() }
}

pub(super) fn keys(view: &View<'_>, part: &Part<'_>, id: &str) -> EventKeys {
    drawn(view, part, id).0
}

fn drawn<'a>(view: &View<'a>, part: &Part<'a>, id: &'a str) -> (EventKeys, AuditEvent<'a>) {
    let record = view.record;
    let interaction = part.operation.map(|operation| interaction(view, part, operation));
    let shape = shape(record.event, interaction, part.patient.is_some());
    let mut agents = Agents::default();
    agents.add_client(view, &shape);
    agents.add_server(view, &shape);
    agents.add_user(view, &shape);
    let profile = profile(record, part, &shape, &agents);
    let mut entities = Entities::default();
    entities.add_patient(part);
    entities.add_subject(view, part, &shape);
    let outcome = outcome(view, part);
    let failed = outcome != Outcome::Success;
    if failed {
        let what = Reference { reference: Some("#outcome".to_owned()), ..Reference::default() };
        entities.drawn.push(Entity { what: Some(what), r#type: Some(OPERATION_OUTCOME), ..Entity::default() });
    }
    // IUA.71 is closed: it has no place for how the request was decided.
    if record.event != Event::Token {
        entities.add_decision(view, part);
    }
    if matches!(record.event, Event::Rest | Event::Refused) {
        // BALP's `transaction`: the record of the request has the id that the answer carried.
        let what = clean(&record.request.as_ref().unwrap_or(&record.id).0).map(|id| identified(None, id));
        entities.drawn.push(Entity { what, r#type: Some(REQUEST_ID), ..Entity::default() });
    }
    let detail = record.detail.as_deref().filter(|_| view.only_patient.is_none()).and_then(clean);
    let event = AuditEvent {
        resource_type: "AuditEvent",
        id,
        meta: profile.map(|name| Meta { profile: vec![format!("{PROFILE_BASE}{name}")] }),
        contained: if failed { vec![operation_outcome(outcome, detail.clone())] } else { Vec::new() },
        r#type: shape.event_type,
        subtype: shape.subtype.into_iter().collect(),
        action: shape.action,
        recorded: instant(record.recorded),
        outcome: outcome_code(record, outcome),
        outcome_desc: detail.or_else(|| failed.then(|| outcome_text(outcome).to_owned())),
        purpose_of_event: purpose(record),
        agent: agents.drawn,
        source: Source { observer: observer(view.observer), r#type: [shape.source] },
        entity: entities.drawn,
    };
    let keys = EventKeys {
        id: id.to_owned(),
        patients: part.compartment.map(str::to_owned).into_iter().collect(),
        agents: agents.keys,
        entities: entities.keys,
        action: shape.action,
        outcome: outcome_code(record, outcome),
        recorded: record.recorded,
        subtype: shape.subtype.map(|subtype| (subtype.system, subtype.code)),
        // An attempt in vain at what is there has an event in the record; one at what is not has none.
        for_the_patient_alone: part.patient.is_some() && part.operation.is_some_and(|operation| operation.presence.is_some()),
    };
    (keys, event)
}

/// The interaction as its reader may know it. Where an update made a record this patient's, nothing was there before for this patient.
fn interaction<'a>(view: &View<'_>, part: &Part<'_>, operation: &'a OperationEntry) -> &'a str {
    let is_new =
        view.only_patient.is_some() && part.patient.is_some_and(|patient| operation.joined.iter().any(|one| one == patient));
    if is_new { "create" } else { &operation.interaction }
}

/// How it ended as its reader may know it. To somebody whom the request only names, every attempt in vain is a denied one.
fn outcome(view: &View<'_>, part: &Part<'_>) -> Outcome {
    let outcome = view.record.outcome;
    if outcome != Outcome::Success && view.hides_attempt(part) { Outcome::Denied } else { outcome }
}

/// The profile that the event satisfies: each demands success, a named client, and the client's network address.
fn profile(record: &Record, part: &Part<'_>, shape: &Shape, agents: &Agents) -> Option<&'static str> {
    let (plain, with_patient) = shape.profiles?;
    let asks_query = shape.subject == Subject::QueryIfAny;
    let has_query = part.operation.is_some_and(|operation| operation.query.as_deref().is_some_and(|query| !query.is_empty()));
    if record.outcome != Outcome::Success || !agents.client_is_known || (asks_query && !has_query) {
        return None;
    }
    if part.patient.is_some() && !part.only_named { with_patient } else { Some(plain) }
}

/// Who took part.
#[derive(Default)]
pub(super) struct Agents {
    pub(super) drawn: Vec<Agent>,
    pub(super) keys: Vec<String>,
    /// Whether there is a client with an id and a network address.
    client_is_known: bool,
}

impl Agents {
    pub(super) fn add_client(&mut self, view: &View<'_>, shape: &Shape) {
        let Some(role) = shape.client else { return };
        let agent = &view.record.agent;
        let address = agent.address.as_deref().filter(|_| !view.hides_user()).and_then(clean);
        let client = agent.client.as_deref().and_then(clean);
        self.client_is_known = client.is_some() && address.is_some();
        self.keys.extend(client.clone());
        let who = match client {
            Some(client) => identified(None, client),
            None => displayed("not identified"),
        };
        // The token stands with the user where there is one.
        let policy = if agent.user.is_none() && agent.fhir_user.is_none() { token_policy(view) } else { Vec::new() };
        let network = address.map(|address| {
            let kind = if address.parse::<IpAddr>().is_ok() { IP_ADDRESS } else { MACHINE_NAME };
            Network { address, r#type: kind }
        });
        // BALP: the purpose stands with the user, where there is one.
        let alone = agent.user.is_none() && agent.fhir_user.is_none();
        let purpose_of_use = if alone { purpose(view.record) } else { Vec::new() };
        self.drawn.push(Agent { r#type: role.into(), who, requestor: false, policy, network, purpose_of_use });
    }

    pub(super) fn add_server(&mut self, view: &View<'_>, shape: &Shape) {
        let kind = if is_url(view.observer) { URI } else { MACHINE_NAME };
        let network = clean(view.observer).map(|address| Network { address, r#type: kind });
        let who = observer(view.observer);
        let (policy, purpose_of_use) = (Vec::new(), Vec::new());
        self.drawn.push(Agent { r#type: shape.server.into(), who, requestor: false, policy, network, purpose_of_use });
    }

    pub(super) fn add_user(&mut self, view: &View<'_>, shape: &Shape) {
        let agent = &view.record.agent;
        let user = agent.user.as_deref().and_then(clean);
        let resource = agent.fhir_user.as_deref().and_then(clean);
        if user.is_none() && resource.is_none() {
            return;
        }
        let who = if view.hides_user() {
            displayed("another patient")
        } else {
            self.keys.extend(user.clone());
            self.keys.extend(resource.clone());
            let resource_type =
                resource.as_deref().and_then(|resource| resource.split_once('/')).map(|(name, _)| name.to_owned());
            let known = resource_type.filter(|name| AGENT_TYPES.contains(&name.as_str()));
            let identifier = if known.is_some() { user } else { user.or_else(|| resource.clone()) };
            Reference {
                reference: resource.filter(|_| known.is_some()),
                r#type: known,
                identifier: identifier.map(|value| Identifier { system: None, value }),
                display: None,
            }
        };
        let policy = token_policy(view);
        // BALP: users are no network devices.
        let purpose_of_use = purpose(view.record);
        self.drawn.push(Agent { r#type: shape.user.into(), who, requestor: true, policy, network: None, purpose_of_use });
    }
}

#[derive(Default)]
struct Entities {
    drawn: Vec<Entity>,
    keys: Vec<String>,
}

impl Entities {
    fn add_patient(&mut self, part: &Part<'_>) {
        let Some(reference) = part.patient.and_then(clean).map(|patient| format!("Patient/{patient}")) else { return };
        self.keys.push(reference.clone());
        let what = Reference { reference: Some(reference), r#type: Some("Patient".to_owned()), ..Reference::default() };
        // Without the role: this patient's record was not the object of anything.
        let (role, description) = if part.only_named { (None, Some("named by the request")) } else { (Some(PATIENT_ROLE), None) };
        self.drawn.push(Entity { what: Some(what), r#type: Some(PERSON), role, description, ..Entity::default() });
    }

    fn add_subject(&mut self, view: &View<'_>, part: &Part<'_>, shape: &Shape) {
        let Some(operation) = part.operation else { return };
        let query = match shape.subject {
            Subject::Query => Some(request(operation)),
            Subject::QueryIfAny => operation.query.clone().filter(|query| !query.is_empty()),
            // Method and path of what was not understood.
            Subject::RequestIfAny => operation.query.clone().filter(|request| !request.is_empty()),
            Subject::Data | Subject::DataIfAny => None,
        };
        if let Some(query) = query {
            // Whom the parameters name is not known, so a reader who may see one patient sees none of them.
            let withheld = view.only_patient.is_some();
            let query = if withheld { operation.resource_type.clone().unwrap_or_else(|| "/".to_owned()) } else { query };
            self.drawn.push(Entity {
                r#type: Some(SYSTEM_OBJECT),
                role: Some(QUERY_ROLE),
                security_label: security_labels(view, (part, operation)),
                description: withheld.then_some("the parameters are withheld"),
                query: Some(STANDARD.encode(query)),
                ..Entity::default()
            });
        } else if matches!(shape.subject, Subject::Data | Subject::DataIfAny) {
            self.add_data(view, (part, operation), shape.subject);
        }
    }

    fn add_data(&mut self, view: &View<'_>, (part, operation): (&Part<'_>, &OperationEntry), subject: Subject) {
        let resource_type = operation.resource_type.as_deref().and_then(clean);
        let is_other_patient = view.only_patient.is_some()
            && resource_type.as_deref() == Some("Patient")
            && operation.id.as_deref() != view.only_patient;
        let is_the_patient = resource_type.as_deref() == Some("Patient") && operation.id.as_deref() == part.patient;
        let withheld = is_other_patient || (view.hides_attempt(part) && !is_the_patient);
        let id = operation.id.as_deref().filter(|_| !withheld).and_then(clean);
        let what = match (resource_type, id) {
            (Some(resource_type), Some(id)) => {
                let mut reference = format!("{resource_type}/{id}");
                self.keys.push(reference.clone());
                if let Some(version) = operation.version.as_deref().and_then(clean) {
                    reference.push_str("/_history/");
                    reference.push_str(&version);
                }
                Reference { reference: Some(reference), r#type: Some(resource_type), ..Reference::default() }
            }
            (Some(resource_type), None) => Reference { r#type: Some(resource_type), ..displayed("no single resource is named") },
            (None, _) if subject == Subject::Data => displayed("no resource is named"),
            (None, _) => return,
        };
        self.drawn.push(Entity {
            what: Some(what),
            r#type: Some(SYSTEM_OBJECT),
            role: Some(DOMAIN_RESOURCE_ROLE),
            security_label: security_labels(view, (part, operation)),
            ..Entity::default()
        });
    }

    /// How the request was decided: for those who review the server, not for patients.
    fn add_decision(&mut self, view: &View<'_>, part: &Part<'_>) {
        if view.only_patient.is_some() {
            return;
        }
        let record = view.record;
        let status = (record.status != 0).then(|| record.status.to_string());
        let returned = part.operation.and_then(|operation| operation.returned).map(|count| count.to_string());
        let redacted =
            part.operation.map(|operation| operation.redacted).filter(|count| *count > 0).map(|count| count.to_string());
        let presence = part.operation.and_then(|operation| operation.presence).map(|presence| match presence {
            Presence::Hidden => "hidden".to_owned(),
            Presence::Absent => "absent".to_owned(),
        });
        let decision = record.decision.as_deref().and_then(clean);
        let single =
            [("decision", decision), ("status", status), ("returned", returned), ("redacted", redacted), ("presence", presence)];
        let rules = record.rules.iter().map(|rule| ("rule", clean(rule)));
        let detail =
            single.into_iter().chain(rules).filter_map(|(name, value)| Some(Detail { r#type: name, value_string: value? }));
        let detail = detail.collect::<Vec<_>>();
        if !detail.is_empty() {
            self.drawn.push(Entity { r#type: Some(OTHER), role: Some(SECURITY_RESOURCE_ROLE), detail, ..Entity::default() });
        }
    }
}

/// The labels of what was read or made. A patient may read with an app that is not cleared for what a label is about, and an event of several patients says nothing of
/// each: there stand the confidentiality and what is to be done with it, and only where nobody else is concerned.
fn security_labels(view: &View<'_>, (part, operation): (&Part<'_>, &OperationEntry)) -> Vec<SecurityLabel> {
    let is_for_all = view.only_patient.is_none();
    let concerns_others = operation.patients.iter().any(|patient| Some(patient.as_str()) != view.only_patient);
    if !is_for_all && (concerns_others || part.only_named) {
        return Vec::new();
    }
    let labels = operation.labels.iter().filter_map(|code| Labels::named(code)).fold(Labels::NONE, |all, label| all | label);
    let labels = if is_for_all { labels } else { labels.without(Labels::sensitivities()) };
    labels.codings().map(|(system, code, _)| SecurityLabel { system, code }).collect()
}

/// The search request as far as it is recorded.
fn request(operation: &OperationEntry) -> String {
    let resource_type = operation.resource_type.as_deref().unwrap_or("/");
    match operation.query.as_deref().filter(|query| !query.is_empty()) {
        // Older records have the type in front.
        Some(query) if query.strip_prefix(resource_type).is_some_and(|rest| rest.starts_with('?')) => query.to_owned(),
        Some(query) => format!("{resource_type}?{query}"),
        None => resource_type.to_owned(),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc3553> with BALP's name for a JWT id.
fn token_policy(view: &View<'_>) -> Vec<String> {
    let token = view.record.agent.token.as_deref().filter(|_| !view.hides_user());
    let token = token.map(|token| token.chars().filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c)).collect::<String>());
    token.filter(|token| !token.is_empty()).map(|token| format!("urn:ietf:params:oauth:jti:{token}")).into_iter().collect()
}

/// Why data was asked for, where that is known.
pub(super) fn purpose(record: &Record) -> Vec<Purpose> {
    record.agent.purpose.as_deref().and_then(clean).map(Purpose::of).into_iter().collect()
}

pub(super) fn observer(name: &str) -> Reference {
    let Some(name) = clean(name) else { return displayed("this server") };
    match name.split_once('/') {
        Some((resource_type, id)) if AGENT_TYPES.contains(&resource_type) && !id.is_empty() => {
            let resource_type = Some(resource_type.to_owned());
            Reference { reference: Some(name), r#type: resource_type, ..Reference::default() }
        }
        _ => identified(is_url(&name).then_some("urn:ietf:rfc:3986"), name),
    }
}

fn is_url(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
}

fn identified(system: Option<&'static str>, value: String) -> Reference {
    Reference { identifier: Some(Identifier { system, value }), ..Reference::default() }
}

fn displayed(text: &'static str) -> Reference {
    Reference { display: Some(Cow::Borrowed(text)), ..Reference::default() }
}

fn operation_outcome(outcome: Outcome, diagnostics: Option<String>) -> OperationOutcome {
    let code = match outcome {
        Outcome::Success => "informational",
        Outcome::Rejected => "processing",
        Outcome::Denied => "forbidden",
        Outcome::Failed => "exception",
    };
    OperationOutcome {
        resource_type: "OperationOutcome",
        id: "outcome",
        issue: vec![Issue { severity: "error", code, diagnostics }],
    }
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-outcome.html>
fn outcome_code(record: &Record, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "0",
        Outcome::Rejected => "4",
        Outcome::Failed if record.status == 503 => "12",
        Outcome::Denied | Outcome::Failed => "8",
    }
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "done",
        Outcome::Rejected => "the request was wrong",
        Outcome::Denied => "denied",
        Outcome::Failed => "the server failed",
    }
}

/// A FHIR `instant` with milliseconds.
pub(super) fn instant(milliseconds: i64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    format!("{timestamp:.3}")
}

/// The text without what a FHIR `string` may not hold; `None` where nothing is left.
pub(super) fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_milliseconds_and_a_zone() {
        assert_eq!(instant(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(1_795_255_200_007), "2026-11-21T10:00:00.007Z");
        assert_eq!(instant(i64::MAX), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn control_characters_and_empty_texts_do_not_get_into_a_resource() {
        assert_eq!(clean(" a\u{0}b\nc "), Some("a\u{fffd}b\u{fffd}c".to_owned()));
        assert_eq!(clean(" \n"), None);
    }
}
