//! The decision of a patient's consents about one resource for one request.
//!
//! - A consent says something where its outermost provision matches; the deepest provision that matches decides, and siblings that disagree deny.
//! - Several consents: one denial is enough, unless a newer one of the same organisation about the same policy has replaced it.
//! - What nobody has confirmed narrows and never widens ([`Standing`]): a withdrawn permit ends at once, a withdrawn denial when the withdrawal is confirmed.
//! - Where no consent says anything, the implicit policy of the operator does.
//! - **Patients' own access** (right of access: 45 CFR 164.524, GDPR article 15; CARIN and US Core apps depend on it) is not limited by what they have consented
//!   to about others, but where they name the client: "this app must not have my data" is meant against the app they hold in their hands.

use std::cell::LazyCell;

use portcullis_fhir::types::LogicalId;

use super::compiled::{CompiledConsent, Node, Replacing, Standing};
use super::criteria::Match;
use super::document::Effect;
use super::facts::{Request, ResourceFacts};
use super::implicit::{ImplicitPolicy, implied};

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict<'a> {
    /// Whether the consents let the request have the resource.
    pub effect: Effect,
    /// Why.
    pub ground: Ground<'a>,
    /// The consent that decided, if one did.
    pub by: Option<&'a CompiledConsent>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground<'a> {
    /// A provision of a consent.
    Provision {
        /// The Consent.
        consent: &'a LogicalId,
        /// FHIRPath of the provision within it.
        expression: &'a str,
    },
    /// A consent that cannot be read.
    Unreadable(&'a LogicalId),
    /// No consent: the policy of the operator.
    Implicit(ImplicitPolicy),
    /// No consent names the client, and the record is the requester's own.
    RightOfAccess,
}

/// Decides by the consents of the patient (those of others are passed over) and, where they say nothing, by the implicit policy.
pub fn decide<'a>(
    consents: &'a [CompiledConsent],
    patient: &LogicalId,
    (request, resource): (&Request<'_>, &ResourceFacts),
    implicit: ImplicitPolicy,
) -> Verdict<'a> {
    let counts = |consent: &&CompiledConsent| consent.patient == *patient && consent.valid.holds(request.now);
    let replacing = LazyCell::new(|| Replacing::of(consents.iter().filter(counts), request.now));
    let mut permitted = None;
    for consent in consents.iter().filter(counts) {
        let Some(verdict) = consent.verdict(request, resource) else { continue };
        let still_permits = |current: &CompiledConsent| {
            let is_current = current.id == consent.id && current.standing == Standing::Unverified;
            is_current && current.verdict(request, resource).is_some_and(|verdict| verdict.effect == Effect::Permit)
        };
        let permits = || match consent.standing {
            Standing::Verified => true,
            Standing::Outdated => consents.iter().filter(counts).any(still_permits),
            Standing::Unverified | Standing::Held => false,
        };
        let is_moot = verdict.effect == Effect::Permit && (permitted.is_some() || !permits());
        if is_moot || replacing.replaces(consent) {
            continue;
        }
        match verdict.effect {
            Effect::Deny => return verdict,
            Effect::Permit => permitted = Some(verdict),
        }
    }
    if request.own_record {
        return Verdict { effect: Effect::Permit, ground: Ground::RightOfAccess, by: None };
    }
    permitted.unwrap_or_else(|| Verdict { effect: implied(implicit, request), ground: Ground::Implicit(implicit), by: None })
}

impl CompiledConsent {
    /// What this consent alone says, while it counts; `None`: nothing.
    pub(super) fn verdict(&self, request: &Request<'_>, resource: &ResourceFacts) -> Option<Verdict<'_>> {
        let Some(top) = &self.top else {
            let denial = Verdict { effect: Effect::Deny, ground: Ground::Unreadable(&self.id), by: Some(self) };
            return (!request.own_record).then_some(denial);
        };
        let (effect, node) = Walk { request, resource }.at(top, Match::Yes, false)?;
        let ground = Ground::Provision { consent: &self.id, expression: &node.expression };
        Some(Verdict { effect, ground, by: Some(self) })
    }
}

struct Walk<'a> {
    request: &'a Request<'a>,
    resource: &'a ResourceFacts,
}

impl Walk<'_> {
    /// What a provision and what is nested in it say, and which of them said it. `surrounding` is how well everything around it matches, `named` whether an actor
    /// of it is the client.
    fn at<'n>(&self, node: &'n Node, surrounding: Match, named: bool) -> Option<(Effect, &'n Node)> {
        let matches = surrounding.min(node.criteria.matches(self.request, self.resource));
        if matches == Match::No {
            return None;
        }
        let named = named || node.criteria.name_client(self.request);
        let mut exception = None;
        for child in &node.children {
            match self.at(child, matches, named) {
                Some((Effect::Deny, denying)) => return Some((Effect::Deny, denying)),
                Some(permitting) => exception = Some(permitting),
                None => {}
            }
        }
        exception.or_else(|| {
            let counts = match node.effect? {
                Effect::Permit => matches == Match::Yes,
                Effect::Deny => named || !self.request.own_record,
            };
            node.effect.filter(|_| counts).map(|effect| (effect, node))
        })
    }
}
