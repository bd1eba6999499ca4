//! The operator's rules that hold now. They are exchanged as a whole: a request is decided by those of one file, the old ones or the new ones.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_policy::OperatorRules;
use portcullis_policy::decision::{Effect, Trace};

/// The rules with where they came from.
#[derive(Debug, Default)]
pub struct HeldRules {
    held: ArcSwap<Held>,
}

/// Rules and the text that they were compiled from.
#[derive(Debug, Default)]
pub struct Held {
    /// The rules.
    pub rules: Arc<OperatorRules>,
    /// SHA-256 of their file in hexadecimal digits; empty where there is none.
    pub digest: String,
}

impl HeldRules {
    /// Holds these from the start.
    pub fn new(held: Held) -> Self {
        Self { held: ArcSwap::from_pointee(held) }
    }

    /// The rules of this moment.
    pub fn current(&self) -> Arc<OperatorRules> {
        Arc::clone(&self.held.load().rules)
    }

    /// The same with their digest.
    pub fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// From the next request on, these hold.
    pub fn exchange(&self, held: Held) {
        self.held.store(Arc::new(held));
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
