//! Which consent decided about a record, and what each other consent of the patient says: for explanations.
//!
//! [`decide()`] decides; this asks it again for one patient and one thing that happens with the record, and then each consent alone. Nothing is decided here.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::scopes::Letter;

use super::compiled::{CompiledConsent, Standing};
use super::document::Effect;
use super::evaluate::{Ground, decide};
use super::facts::{Request, ResourceFacts};
use super::implicit::ImplicitPolicy;
use super::question::{Question, actions_of};

/// What the consents of one patient come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Whose consents.
    pub patient: LogicalId,
    /// Whether they let the request have the record.
    pub effect: Effect,
    /// What decided.
    pub by: DecidedBy,
    /// What each consent says, in the order in which they were read.
    pub each: Vec<Said>,
}

/// What decided, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// A consent: its place in [`Answered::each`].
    Consent(usize),
    /// No consent: the policy of the operator.
    Implicit(ImplicitPolicy),
    /// No consent names the client, and the record is the requester's own.
    RightOfAccess,
}

/// What one consent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The Consent.
    pub consent: LogicalId,
    /// Who stands behind this version of it.
    pub standing: Standing,
    /// What it alone says about the record, if anything.
    pub effect: Option<Effect>,
    /// FHIRPath of the provision that says so; `None` where it cannot be read, or says nothing.
    pub provision: Option<Box<str>>,
    /// Why what it says does not count, where it does not.
    pub passed_over: Option<PassedOver>,
}

/// Why a consent does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// Its period is over or has not begun.
    NotNow,
    /// A newer one of the same organisation about the same policy has taken its place.
    Replaced,
    /// It would permit, and nobody has confirmed it.
    NotConfirmed,
}

impl Question {
    /// What the consents of each patient who is asked come to, for what would happen with a record of these patients. Of several things that happen, the first
    /// that is denied is told. The question has been [joined](Question::joined).
    pub fn explained(
        &self,
        consents: &[CompiledConsent],
        (patients, resource): (&[LogicalId], &ResourceFacts),
        letter: Letter,
    ) -> Vec<Answered> {
        let (asked, own_record) = self.asked(patients);
        let of_patient = |patient: &LogicalId| {
            let answers = actions_of(letter).iter().map(|actions| {
                let request = self.request(*actions, own_record);
                let answer = answered(consents, patient, (&request, resource), self.implicit());
                // What denies the other capacity of whoever asks denies the request.
                let besides = self.besides(patient).map(|purpose| Request { purpose, ..request });
                let besides = besides.map(|request| answered(consents, patient, (&request, resource), ImplicitPolicy::AllNormal));
                besides.filter(|besides| answer.effect == Effect::Permit && besides.effect == Effect::Deny).unwrap_or(answer)
            });
            let mut last = None;
            for answer in answers {
                let denies = answer.effect == Effect::Deny;
                last = Some(answer);
                if denies {
                    break;
                }
            }
            last
        };
        asked.into_iter().filter_map(of_patient).collect()
    }
}

/// The same for one request.
pub(super) fn answered(
    consents: &[CompiledConsent],
    patient: &LogicalId,
    (request, resource): (&Request<'_>, &ResourceFacts),
    implicit: ImplicitPolicy,
) -> Answered {
    let verdict = decide(consents, patient, (request, resource), implicit);
    let own: Vec<&CompiledConsent> = consents.iter().filter(|consent| consent.patient == *patient).collect();
    let each: Vec<Said> = own.iter().map(|consent| said(consent, &own, (request, resource))).collect();
    let decided = |id: &LogicalId, expression: Option<&str>| {
        let is_it = |said: &Said| {
            said.consent == *id
                && said.effect == Some(verdict.effect)
                && said.provision.as_deref() == expression
                && said.passed_over.is_none()
        };
        each.iter().position(is_it).map_or(DecidedBy::Implicit(implicit), DecidedBy::Consent)
    };
    let by = match &verdict.ground {
        Ground::Provision { consent, expression } => decided(consent, Some(expression)),
        Ground::Unreadable(consent) => decided(consent, None),
        Ground::Implicit(policy) => DecidedBy::Implicit(*policy),
        Ground::RightOfAccess => DecidedBy::RightOfAccess,
    };
    Answered { patient: patient.clone(), effect: verdict.effect, by, each }
}

fn said(consent: &CompiledConsent, all: &[&CompiledConsent], (request, resource): (&Request<'_>, &ResourceFacts)) -> Said {
    let alone = consent.verdict(request, resource);
    let effect = alone.as_ref().map(|verdict| verdict.effect);
    let provision = alone.and_then(|verdict| match verdict.ground {
        Ground::Provision { expression, .. } => Some(expression.into()),
        Ground::Unreadable(_) | Ground::Implicit(_) | Ground::RightOfAccess => None,
    });
    let still_permits = |current: &&CompiledConsent| {
        let is_current = current.id == consent.id && current.standing == Standing::Unverified;
        is_current && current.verdict(request, resource).is_some_and(|verdict| verdict.effect == Effect::Permit)
    };
    let is_confirmed = match consent.standing {
        Standing::Verified => true,
        Standing::Outdated => all.iter().any(still_permits),
        Standing::Unverified | Standing::Held => false,
    };
    let passed_over = if !consent.valid.holds(request.now) {
        Some(PassedOver::NotNow)
    } else if all.iter().any(|other| other.valid.holds(request.now) && consent.is_replaced_by(other, request.now)) {
        Some(PassedOver::Replaced)
    } else if effect == Some(Effect::Permit) && !is_confirmed {
        Some(PassedOver::NotConfirmed)
    } else {
        None
    };
    Said { consent: consent.id.clone(), standing: consent.standing, effect, provision, passed_over }
}
