//! The operator's rules that hold now. They are exchanged as a whole: a request is decided by those of one file, the old ones or the new ones.
//!
//! Rules that let more be seen than those in force wait until a second person agrees to exactly that exchange ([`proposal`]).

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use portcullis_policy::OperatorRules;
use portcullis_policy::decision::{Effect, Trace};
use portcullis_policy::operator_rules::Widening;

/// The rules with where they came from.
#[derive(Debug, Default)]
pub struct HeldRules {
    held: ArcSwap<Held>,
    waiting: ArcSwapOption<WaitingRules>,
}

/// Rules and the text that they were compiled from.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// The rules.
    pub rules: Arc<OperatorRules>,
    /// Their file; empty where there is none.
    pub text: String,
    /// SHA-256 of their file in hexadecimal digits; empty where there is none.
    pub digest: String,
}

/// Rules that were read and are not in force, because nobody else has agreed to what they open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRules {
    /// As [`Held::digest`].
    pub digest: String,
    /// What they open.
    pub widenings: Vec<Widening>,
}

/// What is agreed to where these rules are to come in the place of those in force: both, and what the new ones open.
pub fn proposal(in_force: &Held, next: &Held) -> String {
    let named = |held: &Held| if held.digest.is_empty() { "no rules".to_owned() } else { format!("sha256:{}", held.digest) };
    let mut text = format!("# {} in the place of {}\n", named(next), named(in_force));
    for widening in next.rules.widen(&in_force.rules) {
        text.push_str(&format!("# {widening}\n"));
    }
    text.push('\n');
    text.push_str(&next.text);
    text
}

impl HeldRules {
    /// Holds these from the start.
    pub fn new(held: Held) -> Self {
        Self { held: ArcSwap::from_pointee(held), waiting: ArcSwapOption::empty() }
    }

    /// The rules of this moment.
    pub fn current(&self) -> Arc<OperatorRules> {
        Arc::clone(&self.held.load().rules)
    }

    /// The same with their digest.
    pub fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// From the next request on, these hold, and no others wait.
    pub fn exchange(&self, held: Held) {
        self.held.store(Arc::new(held));
        self.waiting.store(None);
    }

    /// These hold, and others wait for a second person.
    pub fn keep(&self, in_force: Held, waiting: WaitingRules) {
        self.held.store(Arc::new(in_force));
        self.waiting.store(Some(Arc::new(waiting)));
    }

    /// The rules that wait for a second person.
    pub fn waiting(&self) -> Option<Arc<WaitingRules>> {
        self.waiting.load_full()
    }
}

/// Says in the log what rules that are tried would have done with a request: which rule, and the id of the record that has the rest.
pub fn tell_tried(request: &str, trace: &Trace) {
    for verdict in &trace.0 {
        let rule = &verdict.rule;
        match &verdict.effect {
            Effect::WouldDeny => tracing::info!(%rule, request, "a rule that is tried would have denied a request"),
            Effect::WouldPermit => tracing::info!(%rule, request, "a rule that is tried would have opened records to a request"),
            Effect::WouldHide(tally) if tally.count() > 0 => {
                tracing::info!(%rule, request, versions = tally.count(), "a rule that is tried would have hidden what was released");
            }
            Effect::WouldHide(_) | Effect::Permit | Effect::Deny | Effect::Narrow | Effect::NotApplicable => {}
        }
    }
}
