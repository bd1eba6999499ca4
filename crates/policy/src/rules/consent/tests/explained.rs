//! Explanations of consents: what is told to have decided is what decided.

use super::*;
use crate::rules::consent::explained::answered;

/// Consents that differ in all that makes one count.
fn consents() -> Vec<CompiledConsent> {
    let mut all = Vec::new();
    for provision in [
        json!({"type": "deny"}),
        json!({"type": "permit"}),
        json!({"type": "permit", "provision": [{"type": "deny", "class": [coding(TYPES, "Observation")]}]}),
        json!({"type": "deny", "purpose": [purpose("HRESCH")]}),
    ] {
        for standing in [Standing::Verified, Standing::Outdated, Standing::Unverified] {
            for (period, since) in [("2030", "2024-01-01"), ("2030", "2024-02-02"), ("2021", "2024-01-01")] {
                let provision = with(provision.clone(), json!({"period": {"start": "2020", "end": period}}));
                all.push(compiled_as(&with(consent(provision), json!({"dateTime": since})), standing).unwrap());
            }
        }
    }
    all.push(CompiledConsent::unreadable(id("c"), id("p")));
    all
}

#[test]
fn what_is_told_to_have_decided_is_what_decided() {
    let all = consents();
    let (mut by_consent, mut passed_over) = (0, 0);
    for (first, second) in all.iter().flat_map(|first| all.iter().map(move |second| (first, second))) {
        for (other_id, own_record) in [("c", false), ("d", false), ("d", true)] {
            let pair = [first.clone(), CompiledConsent { id: id(other_id), ..second.clone() }];
            let asked = Asked { own_record, ..Asked::for_resource(&observation()) };
            let (request, implicit) = (asked.request(), ImplicitPolicy::AllNormal);
            let verdict = decide(&pair, &id("p"), (&request, &asked.resource), implicit);
            let told = answered(&pair, &id("p"), (&request, &asked.resource), implicit);
            assert_eq!((told.effect, told.each.len()), (verdict.effect, 2), "{pair:?}");
            match (&verdict.ground, &told.by) {
                (Ground::Provision { consent, expression }, DecidedBy::Consent(place)) => {
                    let said = &told.each[*place];
                    assert_eq!((&said.consent, said.provision.as_deref()), (*consent, Some(*expression)), "{pair:?}");
                    assert_eq!((said.effect, said.passed_over), (Some(verdict.effect), None), "{pair:?}");
                    by_consent += 1;
                }
                (Ground::Unreadable(consent), DecidedBy::Consent(place)) => {
                    assert_eq!((&told.each[*place].consent, &told.each[*place].provision), (*consent, &None), "{pair:?}");
                }
                (Ground::Implicit(_), DecidedBy::Implicit(_)) | (Ground::RightOfAccess, DecidedBy::RightOfAccess) => {}
                other => panic!("{other:?} of {pair:?}"),
            }
            let denies = told.each.iter().any(|said| said.effect == Some(Effect::Deny) && said.passed_over.is_none());
            assert_eq!(denies, verdict.effect == Effect::Deny, "one that counts and denies is enough: {pair:?}");
            passed_over += told.each.iter().filter(|said| said.passed_over.is_some()).count();
        }
    }
    assert!(by_consent > 1_000 && passed_over > 1_000, "{by_consent} {passed_over}");
}

#[test]
fn another_patients_consents_are_not_told() {
    let others = CompiledConsent { patient: id("q"), ..compiled(&consent(json!({"type": "deny"}))) };
    let asked = Asked::for_resource(&observation());
    let told = answered(&[others], &id("p"), (&asked.request(), &asked.resource), ImplicitPolicy::Deny);
    assert_eq!((told.by, told.each.len()), (DecidedBy::Implicit(ImplicitPolicy::Deny), 0));
}
