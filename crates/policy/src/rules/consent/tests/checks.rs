//! What a write refuses, and where it says the reason lies.

use super::*;

fn places(consent: &Value) -> Vec<String> {
    issues(consent).into_iter().filter_map(|issue| issue.expression).collect()
}

fn refused_at(consent: &Value, expression: &str) {
    assert!(places(consent).iter().any(|place| place == expression), "{expression}: {:?}\n{consent}", issues(consent));
}

fn opt_in() -> Value {
    concept(ACT_CODE, "OPTIN")
}

#[test]
fn a_plain_consent_passes() {
    for provision in [
        json!({"type": "permit"}),
        json!({"type": "deny"}),
        json!({"type": "permit", "purpose": [coding("http://example.org/policies/purposeOfUse", "FooBar")]}),
        json!({"type": "permit", "actor": [actor("CareTeam/t"), actor("Group/g"), actor("https://fhir.example/fhir/Device/d")]}),
    ] {
        assert_eq!(issues(&consent(provision.clone())), [], "{provision}");
    }
}

#[test]
fn scope_patient_and_policy_are_needed() {
    let base = consent(json!({"type": "permit"}));
    let table = [
        (json!({"scope": {"text": "privacy"}}), "Consent.scope"),
        (json!({"scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "all")}), "Consent.scope"),
        (json!({"patient": null}), "Consent.patient"),
        (json!({"patient": {"display": "Ann"}}), "Consent.patient"),
        (json!({"patient": {"reference": "Group/g"}}), "Consent.patient"),
        (json!({"patient": {"reference": "https://other.example/fhir/Patient/p"}}), "Consent.patient"),
        (json!({"patient": {"reference": "#p"}}), "Consent.patient"),
        (json!({"patient": {"identifier": {"system": "https://records.example.org", "value": "1"}}}), "Consent.patient"),
        (json!({"policy": null}), "Consent.policyRule"),
        (json!({"status": "revoked"}), "Consent.status"),
        (json!({"implicitRules": "https://example.org/rules"}), "Consent.implicitRules"),
        (json!({"modifierExtension": [{"url": "https://example.org/not", "valueBoolean": true}]}), "Consent.modifierExtension"),
    ];
    for (change, place) in table {
        refused_at(&with(base.clone(), change), place);
    }
    for scope in ["treatment", "research", "adr"] {
        let scope = concept("http://terminology.hl7.org/CodeSystem/consentscope", scope);
        let other = with(base.clone(), json!({"scope": scope, "provision": {"actor": [actor("Organization/o")]}}));
        assert_eq!(issues(&other), [], "other scopes are not decided, only kept");
        refused_at(&with(other, json!({"patient": null})), "Consent.patient");
    }
}

#[test]
fn a_consent_that_decides_nothing_or_can_be_read_in_two_ways_is_refused() {
    let narrowed = json!({"actor": [actor("Organization/o")]});
    let table = [
        (consent(json!({"purpose": [purpose("TREAT")]})), "Consent.provision.type"),
        (with(consent(json!(null)), json!({"provision": null})), "Consent"),
        (with(consent(narrowed.clone()), json!({"policyRule": opt_in()})), "Consent.provision.type"),
        (with(consent(json!({"type": "deny"})), json!({"policyRule": opt_in()})), "Consent.provision.type"),
        (
            with(
                consent(json!({"type": "permit"})),
                json!({"policyRule": {"coding": [coding(ACT_CODE, "OPTIN"), coding(ACT_CODE, "OPTOUT")]}}),
            ),
            "Consent.policyRule",
        ),
        (consent(json!({"provision": [narrowed]})), "Consent.provision.provision[0].type"),
        (consent(json!({"type": "permit", "provision": [{"type": "deny"}]})), "Consent.provision.provision[0]"),
        (
            consent(json!({"type": "deny", "provision": [{"type": "deny", "purpose": [purpose("TREAT")]}]})),
            "Consent.provision.provision[0].type",
        ),
        (
            consent(
                json!({"securityLabel": [coding(CONFIDENTIALITY, "R")], "provision": [{"type": "deny", "purpose": [purpose("TREAT")]}]}),
            ),
            "Consent.provision.securityLabel[0]",
        ),
        (consent(json!({"type": "maybe"})), "Consent.provision.type"),
        (consent(json!({"_type": {"extension": [{"url": "x", "valueCode": "unknown"}]}})), "Consent.provision.type"),
    ];
    for (consent, place) in table {
        refused_at(&consent, place);
    }
}

#[test]
fn what_could_only_be_ignored_is_refused() {
    let changed = |change: Value| {
        let mut actor = actor("Organization/o");
        actor.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"actor": [actor]})
    };
    let data = |meaning: &str, target: &str| json!({"data": [{"meaning": meaning, "reference": {"reference": target}}]});
    let table = [
        (changed(json!({"role": {"text": "doctor"}})), "actor[0].role"),
        (changed(json!({"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "CST")})), "actor[0].role"),
        (changed(json!({"role": concept("http://example.org/roles", "IRCP")})), "actor[0].role"),
        (changed(json!({"reference": {"display": "Dr. Who"}})), "actor[0].reference"),
        (changed(json!({"reference": {"reference": "#o"}})), "actor[0].reference"),
        (changed(json!({"reference": {"reference": "https://other.example/Organization/o"}})), "actor[0].reference"),
        (changed(json!({"reference": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}})), "actor[0].reference"),
        (
            changed(json!({"reference": {"identifier": {"system": "https://other.example", "value": "app"}}})),
            "actor[0].reference",
        ),
        (changed(json!({"modifierExtension": [{"url": "x", "valueBoolean": true}]})), "actor[0].modifierExtension"),
        (json!({"action": [concept("http://example.org/actions", "access")]}), "action[0]"),
        (json!({"action": [concept("http://terminology.hl7.org/CodeSystem/consentaction", "read")]}), "action[0]"),
        (json!({"action": [{"text": "read"}]}), "action[0]"),
        (json!({"purpose": [purpose("TREATMENT")]}), "purpose[0]"),
        (json!({"purpose": [{"code": "TREAT"}]}), "purpose[0]"),
        (json!({"purpose": [purpose("TREAT"), {"system": ACT_REASON}]}), "purpose[1]"),
        (json!({"class": [coding(TYPES, "Observations")]}), "class[0]"),
        (json!({"class": [coding("urn:ietf:bcp:13", "application/hl7-cda+xml")]}), "class[0]"),
        (json!({"code": [{"text": "glucose"}]}), "code[0]"),
        (json!({"code": [{"coding": [{"code": "2339-0"}]}]}), "code[0]"),
        (json!({"securityLabel": [coding("http://example.org/labels", "R")]}), "securityLabel[0]"),
        (json!({"securityLabel": [coding(ACT_CODE, "WHATEVER")]}), "securityLabel[0]"),
        (json!({"dataPeriod": {"start": "2024", "end": "2023"}}), "dataPeriod"),
        (
            json!({"dataPeriod": {"end": "2023", "_start": {"extension": [{"url": "x", "valueCode": "unknown"}]}}}),
            "dataPeriod.start",
        ),
        (json!({"period": {"extension": [{"url": "x", "valueString": "always"}]}}), "period"),
        (data("about", "Observation/o"), "data[0].meaning"),
        (data("instance", "https://other.example/Observation/o"), "data[0].reference"),
        (data("instance", "Patient/q"), "data[0].reference"),
        (data("related", "Patient/q"), "data[0].reference"),
        (data("instance", "Consent/c"), "data[0].reference"),
    ];
    for (change, place) in table {
        let provision = with(json!({"type": "permit"}), change.clone());
        refused_at(&consent(provision), &format!("Consent.provision.{place}"));
        let mut nested = with(json!({"type": "deny"}), change);
        nested["class"] = nested.get("class").cloned().unwrap_or_else(|| json!([coding(TYPES, "Condition")]));
        refused_at(
            &consent(json!({"type": "permit", "provision": [nested]})),
            &format!("Consent.provision.provision[0].{place}"),
        );
    }
    // Requests state purposes of v3-ActReason: what denies another would deny nothing.
    let other = json!([coding("https://example.org/purposes", "study-7")]);
    refused_at(&consent(json!({"type": "deny", "purpose": other})), "Consent.provision.purpose[0]");
    let nested = json!([{"type": "deny", "class": [coding(TYPES, "Condition")], "purpose": other}]);
    refused_at(&consent(json!({"type": "permit", "provision": nested})), "Consent.provision.provision[0].purpose[0]");
    assert_eq!(issues(&consent(json!({"type": "permit", "purpose": other}))), []);
    let mut translated = actor("Organization/o");
    translated["role"]["coding"].as_array_mut().unwrap().push(coding("http://example.org/roles", "reader"));
    assert_eq!(issues(&consent(json!({"type": "permit", "actor": [translated]}))), [], "a role with its translation");
    let own = consent(json!({"type": "permit", "data": [{"meaning": "authoredby", "reference": {"reference": "Patient/q"}}]}));
    assert_eq!(issues(&own), [], "what another patient has written about this one");
}

#[test]
fn a_consent_is_given_and_confirmed_by_its_own_patient_or_nobody_who_is_a_patient() {
    let base = consent(json!({"type": "permit"}));
    refused_at(
        &with(base.clone(), json!({"performer": [{"reference": "Patient/p"}, {"reference": "Patient/q"}]})),
        "Consent.performer[1]",
    );
    let verification = json!([{"verified": true, "verifiedWith": {"reference": "Patient/q"}}]);
    refused_at(&with(base.clone(), json!({"verification": verification})), "Consent.verification[0].verifiedWith");
    refused_at(&with(base.clone(), json!({"sourceReference": {"reference": "Consent/c"}})), "Consent.sourceReference");
    assert_eq!(issues(&with(base, json!({"performer": [{"reference": "RelatedPerson/r"}]}))), []);
}

#[test]
fn size_and_depth_are_limited() {
    let nested = |levels: usize| {
        (0..levels).fold(json!({"type": "permit", "purpose": [purpose("TREAT")]}), |inner, level| {
            let effect = if level % 2 == 0 { "deny" } else { "permit" };
            json!({"type": effect, "class": [coding(TYPES, "Observation")], "provision": [inner]})
        })
    };
    assert_eq!(issues(&consent(nested(4))), []);
    refused_at(&consent(nested(5)), "Consent.provision");
    let beside = |count: usize| {
        let codes = (0..count).map(|number| json!({"type": "deny", "code": [concept("http://loinc.org", &number.to_string())]}));
        consent(json!({"type": "permit", "provision": codes.collect::<Vec<_>>()}))
    };
    assert_eq!(issues(&beside(63)), []);
    refused_at(&beside(64), "Consent.provision");
    let codes = |count: usize| {
        let codes: Vec<Value> = (0..count).map(|number| concept("http://loinc.org", &number.to_string())).collect();
        consent(json!({"type": "permit", "code": codes}))
    };
    assert_eq!(issues(&codes(500)), []);
    refused_at(&codes(501), "Consent.provision");
    let wrong: Vec<Value> = (0..100).map(|_| json!({"code": "TREAT"})).collect();
    assert_eq!(issues(&consent(json!({"type": "permit", "purpose": wrong}))).len(), Resource::MAXIMUM_ISSUES);
}

#[test]
fn what_is_wrong_can_always_be_taken_back() {
    let ambiguous = with(consent(json!({"actor": [actor("Organization/o")]})), json!({"policyRule": opt_in()}));
    let modified = with(ambiguous.clone(), json!({"modifierExtension": [{"url": "x", "valueBoolean": true}]}));
    for wrong in [ambiguous, modified] {
        assert_ne!(issues(&wrong), []);
        for status in ["rejected", "inactive", "entered-in-error"] {
            assert_eq!(issues(&with(wrong.clone(), json!({"status": status}))), [], "{status}");
        }
        assert_ne!(issues(&with(wrong, json!({"status": "draft"}))), []);
    }
}

fn claiming(option: &str, provision: Value) -> Value {
    let profile = format!("https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consent{option}");
    with(consent(provision), json!({"meta": {"profile": [profile]}}))
}

#[test]
fn a_profile_that_is_claimed_is_held_to() {
    let purposes = json!([purpose("TREAT"), purpose("HPAYMT"), purpose("HOPERAT")]);
    let basic = || claiming("Basic", json!({"type": "permit", "purpose": purposes, "actor": [actor("Organization/o")]}));
    assert_eq!(issues(&basic()), []);
    for (change, place) in [
        (json!({"dateTime": null}), "Consent.dateTime"),
        (json!({"performer": null}), "Consent.performer"),
        (json!({"organization": null}), "Consent.organization"),
        (json!({"sourceReference": null}), "Consent.source"),
        (json!({"policy": null, "policyRule": opt_in()}), "Consent.policy.uri"),
        (json!({"policy": [{"authority": "https://example.org"}]}), "Consent.policy.uri"),
        (json!({"policyRule": opt_in()}), "Consent.policyRule"),
        (json!({"verification": [{"verified": true}]}), "Consent.verification"),
        (json!({"provision": null, "policyRule": opt_in()}), "Consent.provision.type"),
    ] {
        refused_at(&with(basic(), change), place);
    }
    let access = concept("http://terminology.hl7.org/CodeSystem/consentaction", "access");
    let data = |meaning: &str, target: &str| json!([{"meaning": meaning, "reference": {"reference": target}}]);
    // Of each: whether Basic, Intermediate and Advanced let it pass.
    let table = [
        (json!({"purpose": [purpose("TREAT")]}), [true, true, true], "purpose"),
        (json!({"purpose": [purpose("BTG")]}), [false, true, true], "purpose"),
        (json!({"purpose": [purpose("HRESCH")]}), [false, true, true], "purpose"),
        (json!({"dataPeriod": {"start": "2022"}}), [false, true, true], "dataPeriod"),
        (json!({"data": data("instance", "Observation/o")}), [false, true, true], "data"),
        (json!({"data": data("related", "Encounter/v")}), [false, true, true], "data"),
        (json!({"data": data("related", "Observation/o")}), [false, false, false], "data"),
        (json!({"data": data("dependents", "Encounter/v")}), [false, false, false], "data"),
        (json!({"data": data("authoredby", "Practitioner/x")}), [false, true, true], "data"),
        (json!({"securityLabel": [coding(CONFIDENTIALITY, "N")]}), [false, false, true], "securityLabel"),
        (json!({"action": [access]}), [false, false, false], "action"),
        (json!({"class": [coding(TYPES, "Observation")]}), [false, false, false], "class"),
        (json!({"code": [concept("http://loinc.org", "2339-0")]}), [false, false, false], "code"),
    ];
    for (element, passes, place) in table {
        for (option, passes) in ["Basic", "Intermediate", "Advanced"].into_iter().zip(passes) {
            let root = with(json!({"type": "permit"}), element.clone());
            let nested = json!({"type": "permit", "provision": [with(json!({"type": "deny"}), element.clone())]});
            let expected: &[String] = if passes { &[] } else { &[format!("Consent.provision.{place}")] };
            assert_eq!(places(&claiming(option, root)), expected, "{option} {element}");
            assert_eq!(issues(&claiming(option, nested)).is_empty(), passes && option != "Basic", "{option} {element}");
        }
    }
    let recipient = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PRCP");
    let primary = json!({"role": recipient, "reference": {"reference": "Organization/o"}});
    refused_at(&claiming("Advanced", json!({"type": "permit", "actor": [primary]})), "Consent.provision.actor.role");
    let deep = json!({"type": "permit", "provision": [{"purpose": [purpose("TREAT")], "provision": [{"data": data("instance", "Observation/o")}]}]});
    refused_at(&claiming("Advanced", deep), "Consent.provision.provision");
}

#[test]
fn what_searches_could_not_decide_by_rows_is_refused() {
    let codes: Vec<Value> = (0..40).map(|number| concept("http://loinc.org", &number.to_string())).collect();
    let types = ["Observation", "Condition", "Procedure"].map(|name| coding(TYPES, name));
    let purposes: Vec<Value> =
        ["TREAT", "HPAYMT", "HOPERAT", "HRESCH", "HMARKT", "PUBHLTH", "PATRQT", "COC", "TRAIN"].map(purpose).to_vec();
    let wide = json!({"type": "deny", "code": codes, "class": types, "purpose": purposes});
    refused_at(&consent(wide), "Consent.provision");
}

/// What is refused on write, and there all the same: whoever wrote it to this database, it opens nothing and closes everything but the own record.
#[test]
fn what_is_refused_denies_where_it_is_stored_all_the_same() {
    let permit = || consent(json!({"type": "permit"}));
    let nested = |depth: usize| {
        let deepest = json!({"type": "permit", "purpose": [purpose("TREAT")]});
        (0..depth).fold(deepest, |inner, _| json!({"type": "permit", "purpose": [purpose("TREAT")], "provision": [inner]}))
    };
    let many = |count: usize| json!({"type": "permit", "code": vec![concept("http://loinc.org", "1-8"); count]});
    for (what, bad) in [
        ("malformed: a status that does not exist", with(permit(), json!({"status": "revoked"}))),
        ("malformed: an effect that does not exist", consent(json!({"type": "allow"}))),
        (
            "malformed: a period that ends before it begins",
            consent(json!({"type": "permit", "period": {"start": "2024", "end": "2020"}})),
        ),
        ("malformed: no scope", with(permit(), json!({"scope": {"text": "all"}}))),
        ("malformed: no policy", with(permit(), json!({"policy": null}))),
        ("contradictory: opted out and permitted", with(permit(), json!({"policyRule": concept(ACT_CODE, "OPTOUT")}))),
        (
            "contradictory: opted in and out",
            with(permit(), json!({"policyRule": {"coding": [coding(ACT_CODE, "OPTIN"), coding(ACT_CODE, "OPTOUT")]}})),
        ),
        ("cyclic: its own source", with(permit(), json!({"sourceReference": {"reference": "Consent/c"}}))),
        (
            "cyclic: about itself",
            consent(json!({"type": "permit", "data": [{"meaning": "instance", "reference": {"reference": "Consent/c"}}]})),
        ),
        ("enormous: depth", consent(nested(9))),
        ("enormous: values", consent(many(501))),
        ("expired before it began to count", consent(json!({"type": "permit", "dataPeriod": {"start": "2024", "end": "2020"}}))),
        ("of another patient", with(permit(), json!({"patient": {"reference": "Patient/q"}}))),
        ("of nobody", with(permit(), json!({"patient": null}))),
        ("given by another patient", with(permit(), json!({"performer": [{"reference": "Patient/q"}]}))),
        (
            "signed by another patient",
            with(permit(), json!({"verification": [{"verified": true, "verifiedWith": {"reference": "Patient/q"}}]})),
        ),
    ] {
        if !what.starts_with("of another patient") {
            let found = issues(&bad);
            assert!(!found.is_empty(), "{what}");
            assert!(found.iter().all(|issue| issue.expression.is_some() && issue.diagnostics.len() > 20), "{what}: {found:?}");
        }
        let stored = CompiledConsent::of_body(bad.to_string().as_bytes(), &CONTEXT, (id("c"), id("p")), Standing::Verified);
        let asked = Asked::for_resource(&observation());
        assert_eq!(asked.of(&[stored.unwrap_or_else(|| panic!("decides nothing: {what}"))]), Some(Effect::Deny), "{what}");
    }
    // Signed by nobody: it says what it says, and opens nothing before somebody confirms it.
    let unsigned = compiled_as(&permit(), Standing::Unverified).unwrap();
    assert_eq!(Asked::for_resource(&observation()).of(&[unsigned]), None);
}
