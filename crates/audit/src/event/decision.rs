//! Draws what the consents of a patient decided about an interaction.
//!
//! IHE BALP, "Authorization Decision using Roles and Consent" (<https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.AuthZconsent>). The profile asks for the
//! organisation of the user, whom this server need not know, so the event has its codes, agents and (closed) entities, and does not claim it. It begins with the id of the record of
//! the interaction, whose events come after it.

use super::codes::{CONSENT, OAUTH_AGENT, PATIENT_ROLE, PERSON};
use super::draw::{Agents, clean, instant, observer, purpose};
use super::resource::{AuditEvent, Entity, Identifier, Reference, Source};
use super::shape::shape;
use super::{EventKeys, RenderedEvent, View};
use crate::record::{ConsentDecision, ConsentEffect, Event};

pub(super) fn draw(view: &View<'_>, decided: &ConsentDecision, id: &str) -> RenderedEvent {
    let (keys, event) = drawn(view, decided, id);
    // As in `draw.rs`: this cannot fail.
    RenderedEvent { keys, body: serde_json::to_vec(&event).unwrap_or_default() }
}

pub(super) fn keys(view: &View<'_>, decided: &ConsentDecision, id: &str) -> EventKeys {
    drawn(view, decided, id).0
}

fn drawn<'a>(view: &View<'a>, decided: &ConsentDecision, id: &'a str) -> (EventKeys, AuditEvent<'a>) {
    let record = view.record;
    let shape = shape(Event::Consent, None, true);
    let mut agents = Agents::default();
    agents.add_client(view, &shape);
    agents.add_server(view, &shape);
    agents.add_user(view, &shape);
    let (entities, names) = entities(view, decided);
    let outcome = match decided.effect {
        ConsentEffect::Permit => "0",
        ConsentEffect::Deny => "8",
    };
    let event = AuditEvent {
        resource_type: "AuditEvent",
        id,
        meta: None,
        contained: Vec::new(),
        r#type: shape.event_type,
        subtype: shape.subtype.into_iter().collect(),
        action: shape.action,
        recorded: instant(record.recorded),
        outcome,
        outcome_desc: words(decided),
        purpose_of_event: purpose(record),
        agent: agents.drawn,
        source: Source { observer: observer(view.observer), r#type: [shape.source] },
        entity: entities,
    };
    let keys = EventKeys {
        id: id.to_owned(),
        // What patients are denied who ask for the own record is meant against the app that they hold in their hands: it lies in nobody's compartment.
        patients: if decided.own { Vec::new() } else { vec![decided.patient.clone()] },
        agents: agents.keys,
        entities: names,
        action: shape.action,
        outcome,
        recorded: record.recorded,
        subtype: shape.subtype.map(|subtype| (subtype.system, subtype.code)),
        // Whom the patient keeps out may well be among those who may see who looked.
        for_the_patient_alone: decided.effect == ConsentEffect::Deny,
    };
    (keys, event)
}

/// The patient, the Consents with the versions that decided, and the token; with what they are found by.
fn entities(view: &View<'_>, decided: &ConsentDecision) -> (Vec<Entity>, Vec<String>) {
    let (mut entities, mut names) = (Vec::new(), Vec::new());
    let local = |reference, resource_type: &str| Reference {
        reference: Some(reference),
        r#type: Some(resource_type.to_owned()),
        ..Reference::default()
    };
    if let Some(patient) = clean(&decided.patient).map(|patient| format!("Patient/{patient}")) {
        names.push(patient.clone());
        let (r#type, role) = (Some(PERSON), Some(PATIENT_ROLE));
        entities.push(Entity { what: Some(local(patient, "Patient")), r#type, role, ..Entity::default() });
    }
    for consent in &decided.consents {
        let (Some(id), Some(version)) = (clean(&consent.id), clean(&consent.version)) else { continue };
        let what = Some(local(format!("Consent/{id}/_history/{version}"), "Consent"));
        entities.push(Entity { what, r#type: Some(CONSENT), ..Entity::default() });
        names.push(format!("Consent/{id}"));
    }
    let token = view.record.agent.token.as_deref().filter(|_| !view.hides_user()).and_then(clean);
    if let Some(token) = token {
        let identifier = Identifier { system: None, value: format!("urn:ietf:params:oauth:jti:{token}") };
        let what = Some(Reference { identifier: Some(identifier), ..Reference::default() });
        entities.push(Entity { what, r#type: Some(OAUTH_AGENT), ..Entity::default() });
    }
    (entities, names)
}

/// What the entities do not say.
fn words(decided: &ConsentDecision) -> Option<String> {
    let mut words = Vec::new();
    if decided.effect == ConsentEffect::Deny {
        words.push("denied".to_owned());
    }
    if let Some(policy) = decided.policy.as_deref().and_then(clean) {
        words.push(format!("where no Consent says anything, the implicit policy {policy} decided"));
    }
    if decided.more > 0 {
        words.push(format!("at least {} more decided that are not named, or cannot be read", decided.more));
    }
    (!words.is_empty()).then(|| words.join("; "))
}
