//! Rules that are tried: what they would have hidden is counted where it is released, and released all the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_oauth::scopes::Letter;

use super::{Reach, Rule, RuleEffect};
use crate::stored::StoredVersion;

/// How many versions of an answer a rule would have hidden; shared by the permit, which counts, and the trace, which tells.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicU32>);

impl Tally {
    /// The count of this moment.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count()
    }
}

impl Eq for Tally {}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.count(), formatter)
    }
}

/// A deny in shadow that applies to a request.
#[derive(Clone, Debug)]
pub struct Shadow {
    rule: Arc<Rule>,
    tally: Tally,
}

impl Shadow {
    pub(super) fn of(rule: &Arc<Rule>) -> Self {
        Self { rule: Arc::clone(rule), tally: Tally::default() }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Counts a version that is about to be released for this letter, if the rule would have hidden it. Its labels are not in its body yet.
    pub(crate) fn note(&self, version: &StoredVersion, letter: Letter) {
        if self.rule.hides(version, letter) {
            self.tally.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Rule {
    /// Whether it takes this version away, where it applies.
    pub fn hides(&self, version: &StoredVersion, letter: Letter) -> bool {
        let RuleEffect::Deny(reach) = &self.effect else { return false };
        self.letters.contains(letter)
            && match reach {
                Reach::Types(types) => types.contains(version.resource_type),
                Reach::Labels(clearance) => !clearance.covers(version.security.labels),
                Reach::Records(admissions) => {
                    let of_type = admissions.iter().filter(|(resource_type, _)| *resource_type == version.resource_type);
                    of_type.into_iter().any(|(_, admission)| !admission.admits_version(version))
                }
            }
    }
}
