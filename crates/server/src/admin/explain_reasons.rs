//! Which consent and which labels decided about a record: what an explanation names, with versions, provisions and reasons.

use std::collections::BTreeMap;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::Labels;
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::Letter;
use portcullis_policy::explanation::{Assigned, LabelReason, Says, Step};
use portcullis_policy::rules::consent::{Answered, DecidedBy, Effect, PassedOver, Said, Standing};
use portcullis_policy::{Decision, Operation, Permit, PermittedOperation, StoredVersion, decide};
use portcullis_store::consents::{ConsentEntry, ConsentsListed};
use serde::{Deserialize, Serialize};

use super::explain::{denied, internal};
use super::protocol::Refused;
use super::service::{Service, registry_error};

/// What one consent of a patient says about the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedConsent {
    /// `Consent/id`.
    pub consent: String,
    /// The version that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whose it is, `Patient/id`.
    pub patient: String,
    /// `confirmed`, `changed-since` (an earlier version was confirmed, and this is that one) or `waiting` for a confirmation.
    pub standing: String,
    /// `permit` or `deny`; nothing where it says nothing about the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The path of the provision that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provision: Option<String>,
    /// Whether this is what decided for its patient.
    pub decided: bool,
    /// Why, for people.
    pub because: String,
}

/// A label of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedLabel {
    /// The system of the code.
    pub system: String,
    /// The code; empty for a label that nobody here understands.
    pub code: String,
    /// Whether the one who asks is cleared for it.
    pub cleared: bool,
    /// What gave the record the label, each for people.
    pub why: Vec<String>,
}

/// Both, and the steps in which they are told.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    pub consents: Vec<ExplainedConsent>,
    pub labels: Vec<ExplainedLabel>,
    pub steps: Vec<Step>,
}

impl Reasons {
    /// Whether the consents of somebody stand in the way.
    pub fn deny(&self) -> bool {
        self.steps.iter().any(|step| step.rule == "consent" && step.says == Says::No)
    }
}

/// Asks the store and the registry about a record that the operator may read, for somebody's permit.
pub(super) async fn of(
    service: &Service,
    operator: &Principal,
    (permit, letter): (&Permit, Letter),
    stored: &StoredVersion,
) -> Result<Reasons, Refused> {
    let read = Operation::Read(Read { resource_type: stored.resource_type, id: stored.id.clone() });
    let Decision::Permit(_, PermittedOperation::Read(read)) = decide(service.server.basis(), operator, read) else {
        return Err(denied());
    };
    let base_url = &service.server.settings.fhir_base;
    let evidence = service.server.store.evidence(read, permit.constraint(), base_url).await.map_err(|error| internal(&error))?;
    let answers = permit.explain_consents(&evidence.consulted, stored, letter);
    let mut reasons = Reasons { labels: labels(permit, stored, &evidence.labels), ..Reasons::default() };
    if stored.patients.is_empty() {
        reasons.steps.push(Step::new("consent", Says::Nothing, "the record is nobody's, so that nobody is asked"));
    }
    for answered in &answers {
        let entries = entries(service, &answered.patient).await?;
        let told: Vec<ExplainedConsent> =
            (0..).zip(&answered.each).map(|(place, said)| consent(answered, (place, said), &entries)).collect();
        reasons.steps.extend(answered.each.iter().zip(&told).map(|(said, told)| step_of(said, told)));
        reasons.steps.push(decided(answered, &told));
        reasons.consents.extend(told);
    }
    for label in &reasons.labels {
        let why = if label.why.is_empty() { "nobody knows why".to_owned() } else { label.why.join("; ") };
        reasons.steps.push(Step::new(format!("label:{}", label.code), Says::Nothing, why));
    }
    Ok(reasons)
}

/// The Consents of a patient with who stands behind them, by id.
async fn entries(service: &Service, patient: &LogicalId) -> Result<BTreeMap<LogicalId, ConsentEntry>, Refused> {
    let listed = service.server.registry.consents(ConsentsListed::OfPatient(patient.clone())).await;
    let listed = listed.map_err(|error| registry_error(error, "explanation"))?;
    Ok(listed.into_iter().map(|entry| (entry.id.clone(), entry)).collect())
}

fn consent(answered: &Answered, (place, said): (usize, &Said), entries: &BTreeMap<LogicalId, ConsentEntry>) -> ExplainedConsent {
    let entry = entries.get(&said.consent);
    let confirmed = entry.and_then(|entry| entry.confirmed.as_ref());
    let current = entry.map(|entry| entry.version.to_string());
    let (standing, version) = match said.standing {
        Standing::Verified => ("confirmed", current),
        Standing::Outdated => ("changed-since", confirmed.map(|confirmed| confirmed.version.clone())),
        Standing::Unverified => ("waiting", current),
        Standing::Held => ("held", None),
    };
    let provision = said.provision.as_deref().unwrap_or("it cannot be read, and therefore");
    let what = match (said.effect, said.passed_over) {
        (None, _) => "says nothing about this record".to_owned(),
        (Some(_), Some(PassedOver::NotNow)) => "does not count at this time".to_owned(),
        (Some(_), Some(PassedOver::Replaced)) => "has been replaced by a newer one".to_owned(),
        (Some(_), Some(PassedOver::NotConfirmed)) => format!("{provision} would permit it, and nobody has confirmed that"),
        (Some(Effect::Deny), None) => format!("{provision} denies it"),
        (Some(Effect::Permit), None) => format!("{provision} permits it"),
    };
    let confirmed = match (said.standing, confirmed) {
        (Standing::Unverified, _) => "not confirmed".to_owned(),
        (Standing::Held, _) => "changed since by somebody else, which nobody has confirmed".to_owned(),
        (_, Some(confirmed)) => format!("confirmed by {} ({})", confirmed.by_whom, confirmed.how),
        (_, None) => "confirmed".to_owned(),
    };
    let because = format!("version {}, {confirmed}: {what}", version.as_deref().unwrap_or("unknown"));
    ExplainedConsent {
        consent: format!("Consent/{}", said.consent),
        version,
        patient: format!("Patient/{}", answered.patient),
        standing: standing.to_owned(),
        says: said.effect.map(|effect| word(effect).to_owned()),
        provision: said.provision.as_deref().map(str::to_owned),
        decided: answered.by == DecidedBy::Consent(place),
        because,
    }
}

fn step_of(said: &Said, told: &ExplainedConsent) -> Step {
    let says = match (said.effect, said.passed_over) {
        (Some(Effect::Deny), None) => Says::No,
        (Some(Effect::Permit), None) => Says::Yes,
        (None, _) | (Some(_), Some(_)) => Says::Nothing,
    };
    Step::new(format!("consent:{}", told.consent), says, told.because.clone())
}

/// What the consents of one patient come to.
fn decided(answered: &Answered, told: &[ExplainedConsent]) -> Step {
    let patient = &answered.patient;
    let because = match answered.by {
        DecidedBy::Consent(place) => {
            let deciding = told.get(place);
            let name = deciding.map(|consent| consent.consent.as_str()).unwrap_or_default();
            let provision = deciding.and_then(|consent| consent.provision.as_deref()).unwrap_or("unreadable");
            format!("{name} of Patient/{patient} decides ({provision}): {}", word(answered.effect))
        }
        DecidedBy::Implicit(policy) => {
            format!("no consent of Patient/{patient} decides; [consent] has {}: {}", policy.uri(), word(answered.effect))
        }
        DecidedBy::RightOfAccess => format!("it is the own record of Patient/{patient}, and no consent names the app"),
    };
    Step::new("consent", if answered.effect == Effect::Permit { Says::Yes } else { Says::No }, because)
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Deny => "deny",
    }
}

fn labels(permit: &Permit, stored: &StoredVersion, reasons: &[LabelReason]) -> Vec<ExplainedLabel> {
    let all = stored.security.labels;
    let told = |(system, code): (&str, &str), label: Labels| ExplainedLabel {
        system: system.to_owned(),
        code: code.to_owned(),
        cleared: permit.is_cleared(stored, label),
        why: reasons.iter().filter(|reason| gives(reason, label)).map(|reason| in_words(&reason.why)).collect(),
    };
    let named = all.codings().filter_map(|(system, code, _)| Some(told((system, code), Labels::named(code)?)));
    let unknown = all.contains(Labels::UNKNOWN).then(|| told(("", ""), Labels::UNKNOWN));
    named.chain(unknown).collect()
}

/// Whether a reason gives this very label: a higher confidentiality is another one.
fn gives(reason: &LabelReason, label: Labels) -> bool {
    match label.confidentiality() {
        Some(own) => reason.labels.confidentiality() == Some(own),
        None => reason.labels.contains(label),
    }
}

fn in_words(why: &Assigned) -> String {
    match why {
        Assigned::Code { system, code } => {
            format!("the rules of [labels] give it to the code {system}|{code}, which the record has")
        }
        Assigned::Writer => "whoever wrote the record gave it".to_owned(),
        Assigned::Reference(record) => format!("{record} has it, to which the record refers"),
        Assigned::NotUnderstood => "the record has a label that this server does not understand".to_owned(),
        Assigned::Earlier => "an earlier version of the record, or earlier rules, gave it".to_owned(),
    }
}
