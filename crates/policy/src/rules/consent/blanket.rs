//! What the consents of a patient say of a request whatever record it is for: the common case, in which nothing is denied to whoever asks, can be found out once and
//! not for each record. What is let in so, is let in by the decision about each (a property test shows it); nothing follows where it is not.

use std::cell::LazyCell;

use portcullis_fhir::types::LogicalId;

use super::compiled::{CompiledConsent, Node, Replacing, Standing};
use super::criteria::Match;
use super::document::Effect;
use super::facts::Request;
use super::implicit::{ImplicitPolicy, implied};
use super::question::Question;
use super::vocabulary::Actions;

impl Question {
    /// Whether the consents of this patient, which are all that count, let whoever asks have every record of the patient, whatever is done with it; the question
    /// has been [joined](Self::joined) with all memberships. `false` says nothing.
    pub fn is_let_in_to_everything_of(&self, consents: &[CompiledConsent], patient: &LogicalId) -> bool {
        let request = self.request(Actions::NONE, self.own().contains(patient));
        let besides = self.besides(patient).map(|purpose| Request { purpose, ..request });
        lets_in(consents, patient, &request, self.implicit())
            && besides.is_none_or(|request| lets_in(consents, patient, &request, ImplicitPolicy::AllNormal))
    }
}

/// The same for one purpose and one implicit policy.
pub(super) fn lets_in(
    consents: &[CompiledConsent],
    patient: &LogicalId,
    request: &Request<'_>,
    implicit: ImplicitPolicy,
) -> bool {
    let counts = |consent: &&CompiledConsent| consent.patient == *patient && consent.valid.holds(request.now);
    if consents.iter().filter(counts).any(|consent| consent.may_deny(request)) {
        return false;
    }
    if request.own_record || implied(implicit, request) == Effect::Permit {
        return true;
    }
    let replacing = LazyCell::new(|| Replacing::of(consents.iter().filter(counts), request.now));
    let permits = |consent: &CompiledConsent| {
        consent.standing == Standing::Verified && consent.permits_everything(request) && !replacing.replaces(consent)
    };
    consents.iter().filter(counts).any(permits)
}

impl CompiledConsent {
    /// Whether a provision that denies is about whoever asks, and why: for whatever record, and whatever its exceptions say.
    fn may_deny(&self, request: &Request<'_>) -> bool {
        self.top.as_ref().map_or(!request.own_record, |top| may_deny(top, request, false))
    }

    /// Whether its outermost provision permits whoever asks, without a limit to some records or some actions.
    fn permits_everything(&self, request: &Request<'_>) -> bool {
        self.top.as_ref().is_some_and(|top| {
            let criteria = &top.criteria;
            let limits = criteria.ask_for_content() || !criteria.classes.is_empty() || !criteria.labels.is_empty();
            let is_about_all = !limits && criteria.actions.is_empty();
            top.effect == Some(Effect::Permit) && is_about_all && criteria.concern(request) == Match::Yes
        })
    }
}

/// `named`: an actor of a provision around it is the client.
fn may_deny(node: &Node, request: &Request<'_>, named: bool) -> bool {
    if node.criteria.concern(request) == Match::No {
        return false;
    }
    let named = named || node.criteria.name_client(request);
    let denies = node.effect == Some(Effect::Deny) && (named || !request.own_record);
    denies || node.children.iter().any(|child| may_deny(child, request, named))
}
