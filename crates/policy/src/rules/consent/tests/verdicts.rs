//! What is noted of decisions for the audit record.

use super::*;

fn version(text: &str) -> CompiledConsent {
    compiled(&consent(json!({"type": "permit"}))).of_version(id(text))
}

/// What is noted of one decision about the record of `p`.
fn noted(asked: &Asked, consents: &[CompiledConsent], implicit: ImplicitPolicy) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let patient = id("p");
    let verdict = decide(consents, &patient, (&asked.request(), &asked.resource), implicit);
    verdicts.note((&patient, &asked.request()), &verdict);
    verdicts
}

/// The patient, the effect, the versions, whether others decided too, and the policy.
type Told = (String, Effect, Vec<String>, bool, Option<ImplicitPolicy>);

fn told(verdicts: &Verdicts) -> Vec<Told> {
    let named = |verdict: &PatientsVerdict| verdict.versions().map(|(id, version)| format!("{id}/{version}")).collect();
    let one = |(patient, effect, verdict): (&LogicalId, Effect, &PatientsVerdict)| {
        (patient.to_string(), effect, named(verdict), verdict.others, verdict.policy)
    };
    verdicts.iter().map(one).collect()
}

#[test]
fn the_version_that_decided_is_noted_once_and_what_rests_on_no_consent_is_not() {
    let asked = Asked::for_resource(&observation());
    let permit = ("p".to_owned(), Effect::Permit, vec!["c/v1".to_owned()], false, None);
    let mut verdicts = noted(&asked, &[version("v1")], ImplicitPolicy::Deny);
    assert_eq!(told(&verdicts), std::slice::from_ref(&permit));
    verdicts.join(&noted(&asked, &[version("v1")], ImplicitPolicy::Deny));
    assert_eq!(told(&verdicts), std::slice::from_ref(&permit));
    verdicts.join(&noted(&asked, &[version("v2")], ImplicitPolicy::Deny));
    assert_eq!(told(&verdicts)[0].2, ["c/v1", "c/v2"]);
    assert!(verdicts.clone().of_denials().is_empty());

    let denial = compiled(&consent(json!({"type": "deny"}))).of_version(id("v3"));
    verdicts.join(&noted(&asked, std::slice::from_ref(&denial), ImplicitPolicy::AllNormal));
    let denied = ("p".to_owned(), Effect::Deny, vec!["c/v3".to_owned()], false, None);
    assert_eq!(told(&verdicts)[1..], *std::slice::from_ref(&denied));
    assert_eq!(told(&verdicts.of_denials()), [denied]);

    // The policy lets it in, or keeps it out.
    assert!(noted(&asked, &[], ImplicitPolicy::AllNormal).is_empty());
    let by_policy = ("p".to_owned(), Effect::Deny, Vec::new(), false, Some(ImplicitPolicy::Deny));
    assert_eq!(told(&noted(&asked, &[], ImplicitPolicy::Deny)), [by_policy]);
    // Whoever broke the glass.
    let emergency = Asked { purpose: Purpose::of_code("BTG").unwrap(), ..asked.clone() };
    let by_policy = ("p".to_owned(), Effect::Permit, Vec::new(), false, Some(ImplicitPolicy::AllNormal));
    assert_eq!(told(&noted(&emergency, &[], ImplicitPolicy::AllNormal)), [by_policy]);
    // The own record.
    let own = Asked { own_record: true, ..asked.clone() };
    assert!(noted(&own, &[denial], ImplicitPolicy::Deny).is_empty());
    // A version that nobody knows.
    let unknown = CompiledConsent::unreadable(id("x"), id("p"));
    let denied = ("p".to_owned(), Effect::Deny, Vec::new(), true, None);
    assert_eq!(told(&noted(&asked, &[unknown], ImplicitPolicy::AllNormal)), [denied]);
}
