//! Tests of consents: what is refused, what is decided, and that tree, rows and an independent model agree.

use portcullis_fhir::index;
use portcullis_fhir::instant;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use serde_json::{Value, json};

use super::*;
use crate::constraint::TypeSet;

mod blanket;
mod checks;
mod decisions;
mod explained;
mod model;
mod random;
mod residual;
mod speed;
mod verdicts;

const BASE: &str = "https://fhir.example/fhir";
const ISSUER: &str = "https://fhir.example";
const CONTEXT: Context<'static> = Context { base_url: BASE, issuer: ISSUER };
const TODAY: &str = "2024-06-15T12:00:00Z";

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const TYPES: &str = "http://hl7.org/fhir/resource-types";

fn id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}

fn moment(text: &str) -> i64 {
    instant::range(text).unwrap_or_else(|| panic!("{text}")).low
}

fn reference(text: &str) -> Reference {
    Reference::parse(text, BASE).unwrap()
}

fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [coding(system, code)]})
}

fn purpose(code: &str) -> Value {
    coding(ACT_REASON, code)
}

fn actor(reference: &str) -> Value {
    let role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
    json!({"role": role, "reference": {"reference": reference}})
}

/// An active privacy consent of the patient `p` with this provision.
fn consent(provision: Value) -> Value {
    json!({
        "resourceType": "Consent",
        "id": "c",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": {"reference": "Patient/p"},
        "dateTime": "2024-01-01",
        "performer": [{"reference": "Patient/p"}],
        "organization": [{"reference": "Organization/o"}],
        "sourceReference": {"reference": "DocumentReference/d"},
        "policy": [{"uri": "https://example.org/policy"}],
        "provision": provision,
    })
}

/// The consent with some members set; `null` removes one.
fn with(mut consent: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            consent.as_object_mut().unwrap().remove(name);
        } else {
            consent[name] = value.clone();
        }
    }
    consent
}

fn parsed(consent: &Value) -> Resource {
    Resource::parse(consent.to_string().as_bytes()).unwrap_or_else(|issues| panic!("{consent}: {issues:?}"))
}

fn issues(consent: &Value) -> Vec<portcullis_fhir::outcome::Issue> {
    check(&parsed(consent), &CONTEXT, None)
}

/// What a store would keep of a consent that passes the check.
fn compiled_as(consent: &Value, standing: Standing) -> Option<CompiledConsent> {
    // What is too involved for rows is refused, and decided by its tree all the same.
    let found: Vec<_> = issues(consent).into_iter().filter(|issue| !issue.diagnostics.contains("too involved")).collect();
    assert_eq!(found, [], "{consent}");
    let document = ConsentDocument::read(&parsed(consent), BASE).unwrap();
    CompiledConsent::of(&document, &CONTEXT, (id("c"), id("p")), standing)
}

fn compiled(consent: &Value) -> CompiledConsent {
    compiled_as(consent, Standing::Verified).unwrap_or_else(|| panic!("does not count: {consent}"))
}

/// A request and the resource that it is for.
#[derive(Clone, Debug)]
struct Asked {
    actors: Vec<Reference>,
    client: Vec<Reference>,
    unresolved: TypeSet,
    purpose: Purpose,
    actions: Actions,
    by_clinician: bool,
    own_record: bool,
    now: i64,
    resource: ResourceFacts,
}

impl Asked {
    /// A clinician of the organisation `o` reads for treatment, now, with the app `app`.
    fn for_resource(resource: &Value) -> Self {
        Self {
            actors: ["Practitioner/dr", "Organization/o"].map(reference).to_vec(),
            client: vec![reference("Device/app"), Reference::Identifier { system: ISSUER.into(), value: "app".into() }],
            unresolved: TypeSet::default(),
            purpose: Purpose::of_code("TREAT").unwrap(),
            actions: Actions::of_reading(),
            by_clinician: true,
            own_record: false,
            now: moment(TODAY),
            resource: facts(resource),
        }
    }

    fn purpose(mut self, code: &str) -> Self {
        self.purpose = Purpose::of_code(code).unwrap();
        self
    }

    fn request(&self) -> Request<'_> {
        Request {
            actors: &self.actors,
            client: &self.client,
            unresolved: &self.unresolved,
            wider: &[],
            others: &[],
            purpose: &self.purpose,
            actions: self.actions,
            by_clinician: self.by_clinician,
            own_record: self.own_record,
            now: self.now,
        }
    }

    /// What these consents decide; `None`: they say nothing.
    fn of(&self, consents: &[CompiledConsent]) -> Option<Effect> {
        let by = |implicit| decide(consents, &id("p"), (&self.request(), &self.resource), implicit);
        let verdict = by(ImplicitPolicy::Deny);
        assert!(!self.own_record, "whoever reads the own record is not asked by consents alone");
        match verdict.ground {
            Ground::Implicit(_) => {
                assert_eq!(by(ImplicitPolicy::AllNormal).effect, Effect::Permit);
                None
            }
            _ => Some(verdict.effect),
        }
    }

    fn one(&self, provision: Value) -> Option<Effect> {
        self.of(&[compiled(&consent(provision))])
    }
}

fn facts(resource: &Value) -> ResourceFacts {
    let labels = resource["meta"]["security"].as_array().into_iter().flatten();
    let label = |coding: &Value| Labels::of(coding["system"].as_str().unwrap(), coding["code"].as_str().unwrap()).unwrap();
    let labels = labels.map(label).fold(Labels::NONE, Labels::and);
    let resource = parsed(resource);
    let entries = index::extract(&resource, BASE);
    let mut facts = ResourceFacts::of(&resource, &entries, &index::references(&resource, BASE), labels).unwrap();
    facts.referred_from = Some(Vec::new());
    facts
}

/// A glucose value of 10 March 2024, by `Practitioner/author`, in the visit `v`.
fn observation() -> Value {
    json!({
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": concept("http://loinc.org", "2339-0"),
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/v"},
        "performer": [{"reference": "Practitioner/author"}],
        "effectiveDateTime": "2024-03-10",
    })
}

fn labelled(labels: &[(&str, &str)]) -> Value {
    let labels: Vec<Value> = labels.iter().map(|(system, code)| coding(system, code)).collect();
    if labels.is_empty() { observation() } else { with(observation(), json!({"meta": {"security": labels}})) }
}
