//! What consents decided, as audit records say it.

use portcullis_audit::{ConsentDecision, ConsentEffect, record::ConsentVersion};
use portcullis_policy::rules::consent::{Effect, Verdicts};

/// What a record says of verdicts: of each patient and effect so many Consents as a record names.
pub fn decisions(verdicts: &Verdicts) -> Vec<ConsentDecision> {
    let decision = |(patient, effect, verdict): (&_, Effect, &portcullis_policy::rules::consent::PatientsVerdict)| {
        let versions = verdict.versions();
        let named = versions
            .take(ConsentDecision::MAXIMUM_CONSENTS)
            .map(|(id, version)| ConsentVersion { id: id.to_string(), version: version.to_string() });
        let left = verdict.versions().count().saturating_sub(ConsentDecision::MAXIMUM_CONSENTS) + usize::from(verdict.others);
        ConsentDecision {
            patient: ToString::to_string(patient),
            effect: match effect {
                Effect::Permit => ConsentEffect::Permit,
                Effect::Deny => ConsentEffect::Deny,
            },
            own: verdict.own,
            consents: named.collect(),
            more: u32::try_from(left).unwrap_or(u32::MAX),
            policy: verdict.policy.map(|policy| policy.uri().to_owned()),
        }
    };
    verdicts.iter().map(decision).collect()
}
