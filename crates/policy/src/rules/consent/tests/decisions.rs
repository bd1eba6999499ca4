//! Decisions, table by table.

use portcullis_verifies::verifies;

use super::super::compiled::Replacing;
use super::*;

const PERMIT: Option<Effect> = Some(Effect::Permit);
const DENY: Option<Effect> = Some(Effect::Deny);

fn asked() -> Asked {
    Asked::for_resource(&observation())
}

fn of_type(name: &str) -> Asked {
    let mut asked = asked();
    asked.resource.target.resource_type = ResourceType::parse(name).unwrap();
    asked
}

#[test]
fn only_active_privacy_consents_count_and_only_while_they_hold() {
    for status in ["draft", "proposed", "rejected", "inactive", "entered-in-error"] {
        let consent = with(consent(json!({"type": "deny"})), json!({"status": status}));
        assert_eq!(compiled_as(&consent, Standing::Verified), None, "{status}");
    }
    let scope = concept("http://terminology.hl7.org/CodeSystem/consentscope", "research");
    assert_eq!(compiled_as(&with(consent(json!({"type": "deny"})), json!({"scope": scope})), Standing::Verified), None);
    for (period, expected) in [
        (json!({"start": "2024-06-15", "end": "2024-06-15"}), DENY),
        (json!({"start": "2024-06"}), DENY),
        (json!({"end": "2024"}), DENY),
        (json!({"end": "2024-06-14"}), None),
        (json!({"start": "2024-06-16"}), None),
        (json!({"start": "2024-06-15T12:00:01Z"}), None),
    ] {
        assert_eq!(asked().one(json!({"type": "deny", "period": period})), expected, "{period}");
    }
    let others = CompiledConsent { patient: id("q"), ..compiled(&consent(json!({"type": "deny"}))) };
    assert_eq!(asked().of(&[others]), None, "another patient's consent");
}

#[test]
fn the_base_is_the_type_at_the_root_or_the_directive_of_the_policy() {
    verifies!("CONSENT-03");
    let labs = json!([coding(TYPES, "Observation")]);
    let by_rule =
        |code: &str, provision: Value| compiled(&with(consent(provision), json!({"policyRule": concept(ACT_CODE, code)})));
    let nested = |effect: &str| json!({"provision": [{"type": effect, "class": labs}]});
    // R4: a directive, and exceptions with types.
    let opted_in = [by_rule("OPTIN", nested("deny"))];
    assert_eq!((asked().of(&opted_in), of_type("Condition").of(&opted_in)), (DENY, PERMIT));
    let opted_out = [by_rule("OPTOUTE", nested("permit"))];
    assert_eq!((asked().of(&opted_out), of_type("Condition").of(&opted_out)), (PERMIT, DENY));
    // PCF: a type at the root.
    assert_eq!(asked().one(json!({"type": "permit"})), PERMIT);
    // R5: a type at the root alone, and exceptions without.
    let inherited = json!({"type": "permit", "provision": [{"class": labs}]});
    assert_eq!((asked().one(inherited.clone()), of_type("Condition").one(inherited)), (DENY, PERMIT));
    // HL7's examples: a directive, and the opposite at the root for what is excepted.
    let except = json!({"type": "deny", "actor": [actor("Organization/o")]});
    let except = [by_rule("OPTIN", except)];
    let mut elsewhere = asked();
    elsewhere.actors.pop();
    assert_eq!((asked().of(&except), elsewhere.of(&except)), (DENY, PERMIT));
    // The same at the root and in the directive: outside, the consent says nothing.
    let same = [by_rule("OPTIN", json!({"type": "permit", "actor": [actor("Organization/other")]}))];
    assert_eq!(asked().of(&same), None);
    // No directive and no type: what is nested speaks for itself.
    assert_eq!((asked().one(nested("deny")), of_type("Condition").one(nested("deny"))), (DENY, None));
    let whole = with(consent(json!(null)), json!({"provision": null, "policyRule": concept(ACT_CODE, "OPTOUT")}));
    assert_eq!(asked().of(&[compiled(&whole)]), DENY);
}

#[test]
fn exceptions_nest_three_levels_deep() {
    let consent = [compiled(&consent(json!({"type": "permit", "provision": [
        {"type": "deny", "purpose": [purpose("HMARKT")]},
        {"type": "deny", "securityLabel": [coding(CONFIDENTIALITY, "R")]},
        {"type": "deny", "purpose": [purpose("HPAYMT")], "provision": [{"type": "permit", "class": [coding(TYPES, "Claim")]}]},
    ]})))];
    let restricted = Asked::for_resource(&labelled(&[(CONFIDENTIALITY, "R")]));
    let mut restricted_claim = restricted.clone().purpose("HPAYMT");
    restricted_claim.resource.target.resource_type = ResourceType::parse("Claim").unwrap();
    for (number, (asked, expected)) in [
        (asked(), PERMIT),
        (asked().purpose("HMARKT"), DENY),
        (restricted, DENY),
        (asked().purpose("HPAYMT"), DENY),
        (of_type("Claim").purpose("HPAYMT"), PERMIT),
        (of_type("Claim").purpose("HMARKT"), DENY),
        (restricted_claim, DENY),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(asked.of(&consent), expected, "request {number}");
    }
}

#[test]
fn each_element_alone_tells_what_it_is_about_from_what_it_is_not() {
    let marked = with(
        observation(),
        json!({"meta": {"profile": ["http://example.org/glucose|1.0"], "security": [coding(ACT_CODE, "HIV")]}}),
    );
    let asked = Asked::for_resource(&marked);
    let data = |meaning: &str, target: &str| json!([{"meaning": meaning, "reference": {"reference": target}}]);
    let action = |code: &str| json!([concept("http://terminology.hl7.org/CodeSystem/consentaction", code)]);
    let client = |id: &str| {
        let mut actor = actor("Device/x");
        actor["reference"] = json!({"identifier": {"system": ISSUER, "value": id}});
        json!([actor])
    };
    let table = [
        ("actor", json!([actor("Practitioner/dr")]), json!([actor("Practitioner/other")])),
        ("actor", json!([actor("Organization/o")]), json!([actor("Organization/other")])),
        ("actor", json!([actor("Device/app")]), json!([actor("Device/other")])),
        ("actor", client("app"), client("other")),
        ("actor", json!([actor("Group/x"), actor("Practitioner/dr")]), json!([actor("Group/x")])),
        ("action", action("access"), action("correct")),
        ("purpose", json!([purpose("TREAT")]), json!([purpose("HRESCH")])),
        ("purpose", json!([purpose("HRESCH"), purpose("TREAT")]), json!([purpose("COC")])),
        ("class", json!([coding(TYPES, "Observation")]), json!([coding(TYPES, "Condition")])),
        (
            "class",
            json!([coding("urn:ietf:rfc:3986", "http://example.org/glucose")]),
            json!([coding("urn:ietf:rfc:3986", "http://example.org/x")]),
        ),
        (
            "class",
            json!([coding("urn:ietf:rfc:3986", "http://hl7.org/fhir/StructureDefinition/Observation")]),
            json!([coding("urn:ietf:rfc:3986", "http://hl7.org/fhir/StructureDefinition/Condition")]),
        ),
        ("code", json!([concept("http://loinc.org", "2339-0")]), json!([concept("http://loinc.org", "2345-7")])),
        ("code", json!([concept("http://loinc.org", "2339-0")]), json!([concept("http://snomed.info/sct", "2339-0")])),
        ("securityLabel", json!([coding(ACT_CODE, "HIV")]), json!([coding(ACT_CODE, "PSY")])),
        ("dataPeriod", json!({"start": "2024-03", "end": "2024-03"}), json!({"start": "2024-04"})),
        ("data", data("instance", "Observation/o"), data("instance", "Encounter/v")),
        ("data", data("related", "Encounter/v"), data("related", "Encounter/w")),
        ("data", data("dependents", "Encounter/v"), data("dependents", "Observation/x")),
        ("data", data("authoredby", "Practitioner/author"), data("authoredby", "Practitioner/dr")),
    ];
    for (element, matching, other) in table {
        for (value, inside) in [(matching, true), (other, false)] {
            let root = json!({"type": "permit", element: value});
            assert_eq!(asked.one(root), inside.then_some(Effect::Permit), "{element} {value}");
            let exception = json!({"type": "permit", "provision": [{"type": "deny", element: value}]});
            assert_eq!(asked.one(exception), if inside { DENY } else { PERMIT }, "{element} {value}");
        }
    }
    let nested = |period: Value| json!({"type": "permit", "provision": [{"period": period}]});
    assert_eq!(asked.one(nested(json!({"start": "2024-06"}))), DENY);
    assert_eq!(asked.one(nested(json!({"end": "2024-05"}))), PERMIT);
}

#[test]
fn elements_of_a_provision_narrow_each_other() {
    let both = json!({"type": "permit", "actor": [actor("Practitioner/dr")], "purpose": [purpose("HPAYMT")]});
    assert_eq!(asked().one(both.clone()), None);
    assert_eq!(asked().purpose("COVERAGE").one(both), PERMIT);
}

#[test]
fn a_confidentiality_is_a_mark_up_to_which_is_permitted_and_from_which_is_denied() {
    let levels = ["U", "L", "M", "N", "R", "V"];
    let at = |code: &str| Asked::for_resource(&labelled(&[(CONFIDENTIALITY, code)]));
    for (place, mark) in levels.iter().enumerate() {
        let label = json!([coding(CONFIDENTIALITY, mark)]);
        let permit = json!({"type": "permit", "securityLabel": label});
        let deny = json!({"type": "permit", "provision": [{"type": "deny", "securityLabel": label}]});
        for (other, level) in levels.iter().enumerate() {
            assert_eq!(at(level).one(permit.clone()), (other <= place).then_some(Effect::Permit), "permit {mark}: {level}");
            assert_eq!(at(level).one(deny.clone()), if other >= place { DENY } else { PERMIT }, "deny {mark}: {level}");
        }
        let is_normal = place >= 3;
        assert_eq!(asked().one(permit), is_normal.then_some(Effect::Permit), "permit {mark}: without a label");
        assert_eq!(asked().one(deny), PERMIT, "without a label");
    }
    // A denial of one label, of each that PCF asks for: what has it is withheld, the sibling without is not.
    for code in ["ETH", "ETHUD", "OPIOIDUD", "PSY", "SDV", "HIV"] {
        let deny = json!({"type": "permit", "provision": [{"type": "deny", "securityLabel": [coding(ACT_CODE, code)]}]});
        assert_eq!(Asked::for_resource(&labelled(&[(ACT_CODE, code)])).one(deny.clone()), DENY, "{code}");
        assert_eq!(asked().one(deny), PERMIT, "{code}");
    }
    let substances = json!({"type": "permit", "provision": [{"type": "deny", "securityLabel": [coding(ACT_CODE, "ETH")]}]});
    for (code, expected) in [("ETHUD", DENY), ("OPIOIDUD", DENY), ("SUD", DENY), ("HIV", PERMIT)] {
        assert_eq!(Asked::for_resource(&labelled(&[(ACT_CODE, code)])).one(substances.clone()), expected, "{code}");
    }
    let both = json!({"type": "permit", "securityLabel": [coding(CONFIDENTIALITY, "N"), coding(ACT_CODE, "PSY")]});
    for (labels, expected) in [
        (vec![(CONFIDENTIALITY, "R")], None),
        (vec![(CONFIDENTIALITY, "R"), (ACT_CODE, "PSY")], PERMIT),
        (vec![(CONFIDENTIALITY, "N")], PERMIT),
    ] {
        assert_eq!(Asked::for_resource(&labelled(&labels)).one(both.clone()), expected, "{labels:?}");
    }
}

#[test]
fn break_glass_does_not_come_with_a_treatment_consent_and_a_denial_of_treatment_denies_it() {
    let asked = || asked().purpose("BTG");
    for (provision, expected) in [
        (json!({"type": "permit", "purpose": [purpose("TREAT")]}), None),
        (json!({"type": "permit", "purpose": [purpose("ETREAT")]}), None),
        (json!({"type": "permit", "purpose": [purpose("BTG")]}), PERMIT),
        (json!({"type": "permit"}), PERMIT),
        (json!({"type": "deny", "purpose": [purpose("TREAT")]}), DENY),
        (
            json!({"type": "deny", "purpose": [purpose("TREAT")], "provision": [{"type": "permit", "purpose": [purpose("BTG")]}]}),
            DENY,
        ),
        (json!({"type": "deny", "provision": [{"type": "permit", "purpose": [purpose("BTG")]}]}), PERMIT),
    ] {
        assert_eq!(asked().one(provision.clone()), expected, "{provision}");
    }
}

#[test]
fn a_doubt_denies_and_never_permits() {
    let undated = Asked::for_resource(&with(observation(), json!({"effectiveDateTime": null})));
    let at = |span: Value| Asked::for_resource(&with(observation(), json!({"effectiveDateTime": null, "effectivePeriod": span})));
    let partly = at(json!({"start": "2023-12-30", "end": "2024-01-02"}));
    let period = json!({"start": "2024", "end": "2024"});
    for asked in [undated, partly] {
        assert_eq!(asked.one(json!({"type": "permit", "dataPeriod": period})), None);
        assert_eq!(asked.one(json!({"type": "deny", "dataPeriod": period})), DENY);
        assert_eq!(asked.one(json!({"type": "permit", "provision": [{"type": "deny", "dataPeriod": period}]})), DENY);
        let excepted = json!({"type": "deny", "provision": [{"type": "permit", "dataPeriod": period}]});
        assert_eq!(asked.one(excepted), DENY);
    }
    let mut unresolved = asked();
    unresolved.unresolved = [ResourceType::parse("Group").unwrap()].into_iter().collect();
    assert_eq!(unresolved.one(json!({"type": "permit", "actor": [actor("Group/g")]})), None);
    assert_eq!(unresolved.one(json!({"type": "deny", "actor": [actor("Group/g")]})), DENY);
    let mut not_looked_up = asked();
    not_looked_up.resource.referred_from = None;
    let related = json!([{"meaning": "related", "reference": {"reference": "Encounter/other"}}]);
    assert_eq!(not_looked_up.one(json!({"type": "deny", "data": related})), DENY);
    assert_eq!(not_looked_up.one(json!({"type": "permit", "data": related})), None);
    not_looked_up.resource.referred_from = Some(vec![LocalReference::parse("Encounter/other").unwrap()]);
    assert_eq!(not_looked_up.one(json!({"type": "permit", "data": related})), PERMIT);
    // A code that merely stands in a resource may be what the patient meant to keep back.
    let category = concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory");
    let mentions = Asked::for_resource(&with(observation(), json!({"category": [category]})));
    assert_eq!(mentions.one(json!({"type": "deny", "code": [category]})), DENY);
    assert_eq!(mentions.one(json!({"type": "permit", "code": [category]})), None);
    let contained = json!({"contained": [{"resourceType": "Condition", "id": "h", "subject": {"reference": "Patient/p"}, "code": concept("http://x", "1")}]});
    let hidden = Asked::for_resource(&with(observation(), contained));
    assert_eq!(hidden.one(json!({"type": "permit", "provision": [{"type": "deny", "code": [concept("http://x", "1")]}]})), DENY);
}

#[test]
fn siblings_that_disagree_deny_and_the_deepest_provision_decides() {
    let to = |effect: &str, name: &str| json!({"type": effect, "actor": [actor(name)]});
    let siblings = json!({"type": "deny", "provision": [to("permit", "Practitioner/dr"), {"type": "permit", "actor": [actor("Organization/o")],
        "provision": [{"class": [coding(TYPES, "Observation")]}]}]});
    assert_eq!(asked().one(siblings.clone()), DENY);
    assert_eq!(of_type("Condition").one(siblings), PERMIT);
    // A permit within a permit cannot reach further than what is around it.
    let widening = json!({"type": "permit", "securityLabel": [coding(CONFIDENTIALITY, "N")],
        "provision": [{"type": "permit", "securityLabel": [coding(CONFIDENTIALITY, "R")], "actor": [actor("Practitioner/dr")]}]});
    assert_eq!(Asked::for_resource(&labelled(&[(CONFIDENTIALITY, "R")])).one(widening), None);
}

#[test]
fn what_replaces_is_found_for_all_at_once_as_for_each_two() {
    let one = compiled(&consent(json!({"type": "permit"})));
    let mut all = Vec::new();
    for series in [None, Some("a"), Some("b")] {
        for since in [None, Some(1), Some(2), Some(3), Some(9)] {
            for standing in [Standing::Verified, Standing::Outdated, Standing::Unverified, Standing::Held] {
                all.push(CompiledConsent { series: series.map(std::sync::Arc::from), since, standing, ..one.clone() });
            }
        }
    }
    let mut found = [0, 0];
    for first in 0..all.len() {
        let some: Vec<&CompiledConsent> = all.iter().skip(first).step_by(7).collect();
        let replacing = Replacing::of(some.iter().copied(), 5);
        for consent in &all {
            let replaced = some.iter().any(|other| consent.is_replaced_by(other, 5));
            assert_eq!(replacing.replaces(consent), replaced, "{consent:?}");
            found[usize::from(replaced)] += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 100), "{found:?}");
}

#[test]
fn one_denial_is_enough_unless_a_newer_verified_consent_has_replaced_it() {
    let dated = |effect: &str, date: &str| with(consent(json!({"type": effect})), json!({"dateTime": date}));
    let verified = |consent: &Value| compiled(consent);
    let old_denial = verified(&dated("deny", "2023-01-01"));
    let new_permit = verified(&dated("permit", "2024-01-01"));
    assert_eq!(asked().of(&[old_denial.clone(), new_permit.clone()]), PERMIT);
    assert_eq!(asked().of(&[new_permit.clone(), old_denial.clone()]), PERMIT);
    assert_eq!(asked().of(&[verified(&dated("permit", "2023-01-01")), verified(&dated("deny", "2024-01-01"))]), DENY);
    assert_eq!(
        asked().of(&[verified(&dated("permit", "2023-01-01")), verified(&dated("deny", "2023-01-01"))]),
        DENY,
        "of the same day"
    );
    let replacing = |members: Value| verified(&with(dated("permit", "2024-01-01"), members));
    for (other, why) in [
        (json!({"organization": [{"reference": "Organization/other"}]}), "another organisation"),
        (json!({"organization": null}), "no organisation"),
        (json!({"policy": [{"uri": "https://example.org/another"}]}), "another policy"),
        (json!({"dateTime": null}), "no date"),
        (json!({"dateTime": "2024-06-16"}), "not given yet"),
    ] {
        assert_eq!(asked().of(&[old_denial.clone(), replacing(other)]), DENY, "{why}");
    }
    let unverified = compiled_as(&dated("permit", "2024-01-01"), Standing::Unverified).unwrap();
    assert_eq!(asked().of(&[old_denial.clone(), unverified.clone()]), DENY, "nobody has verified the newer");
    assert_eq!(asked().of(&[unverified]), None, "what nobody has verified permits nothing");
    assert_eq!(asked().of(&[compiled_as(&dated("deny", "2024-01-01"), Standing::Unverified).unwrap()]), DENY);
    // A newer one that no longer counts replaces nothing.
    let over = replacing(json!({"provision": {"type": "permit", "period": {"end": "2024-02"}}}));
    assert_eq!(asked().of(&[old_denial, over]), DENY);
}

#[test]
fn a_change_that_nobody_has_confirmed_narrows_at_once_and_widens_nothing() {
    let version = |provision: Value, date: &str, standing| {
        compiled_as(&with(consent(provision), json!({"dateTime": date})), standing).unwrap()
    };
    let (permit, deny) = (|| json!({"type": "permit"}), || json!({"type": "deny"}));
    let observations = || json!({"type": "permit", "class": [coding(TYPES, "Observation")]});
    let was = |provision| version(provision, "2024-01-01", Standing::Outdated);
    let is = |provision| version(provision, "2024-01-01", Standing::Unverified);
    for (consents, expected, why) in [
        (vec![was(permit())], None, "a withdrawn permit has ended"),
        (vec![was(deny())], DENY, "a withdrawn denial has not"),
        (vec![was(permit()), is(permit())], PERMIT, "both permit"),
        (vec![was(permit()), is(deny())], DENY, "narrower"),
        (vec![was(deny()), is(permit())], DENY, "wider"),
        (
            vec![was(json!({"type": "permit", "class": [coding(TYPES, "Claim")]})), is(permit())],
            None,
            "wider than what was confirmed",
        ),
        (vec![was(observations()), is(permit())], PERMIT, "as far as it was confirmed"),
    ] {
        assert_eq!(asked().of(&consents), expected, "{why}");
    }
    // The confirmed version goes on to replace an older consent; otherwise a change would bring that one back.
    let older = version(permit(), "2023-01-01", Standing::Verified);
    let other = CompiledConsent { id: id("older"), ..older };
    assert_eq!(of_type("Condition").of(&[other.clone(), was(observations()), is(permit())]), None);
    assert_eq!(of_type("Condition").of(&[other]), PERMIT);
}

#[test]
fn where_no_consent_speaks_the_implicit_policy_does() {
    use ImplicitPolicy::{AllNormal, BasicNormal, BreakGlassOnly, Deny};
    verifies!("CONSENT-11");
    let table = [
        (true, "TREAT", [true, true, false, false]),
        (true, "ERTREAT", [true, true, false, false]),
        (true, "BTG", [false, true, true, false]),
        (true, "HPAYMT", [false, true, false, false]),
        (false, "TREAT", [false, true, false, false]),
        (false, "BTG", [false, true, false, false]),
        (false, "FAMRQT", [false, true, false, false]),
    ];
    for (by_clinician, purpose, expected) in table {
        for (policy, permits) in [BasicNormal, AllNormal, BreakGlassOnly, Deny].into_iter().zip(expected) {
            let asked = Asked { by_clinician, ..asked() }.purpose(purpose);
            let verdict = decide(&[], &id("p"), (&asked.request(), &asked.resource), policy);
            assert_eq!(verdict.effect == Effect::Permit, permits, "{policy:?} {purpose} {by_clinician}");
            assert_eq!(verdict.ground, Ground::Implicit(policy));
            assert_eq!(ImplicitPolicy::parse(policy.uri()), Some(policy));
        }
    }
    assert_eq!(ImplicitPolicy::parse("https://profiles.ihe.net/ITI/PCF/Policy-open"), None);
}

#[test]
fn patients_read_their_own_record_whatever_they_have_said_about_others_but_not_with_an_app_that_they_have_shut_out() {
    let own = |consents: &[CompiledConsent]| {
        let asked = Asked { own_record: true, by_clinician: false, ..asked() }.purpose("PATRQT");
        decide(consents, &id("p"), (&asked.request(), &asked.resource), ImplicitPolicy::Deny).effect
    };
    assert_eq!(own(&[]), Effect::Permit);
    for provision in [
        json!({"type": "deny"}),
        json!({"type": "deny", "purpose": [purpose("PATRQT")]}),
        json!({"type": "deny", "actor": [actor("Practitioner/dr")]}),
        json!({"type": "deny", "provision": [{"type": "permit", "actor": [actor("Device/other")]}]}),
        json!({"type": "deny", "actor": [actor("Device/other")]}),
        json!({"type": "deny", "actor": [actor("Device/app")], "provision": [{"type": "permit", "class": [coding(TYPES, "Observation")]}]}),
    ] {
        assert_eq!(own(&[compiled(&consent(provision.clone()))]), Effect::Permit, "{provision}");
    }
    for provision in [
        json!({"type": "deny", "actor": [actor("Device/app")]}),
        json!({"type": "permit", "provision": [{"type": "deny", "actor": [actor("Device/app")], "class": [coding(TYPES, "Observation")]}]}),
    ] {
        assert_eq!(own(&[compiled(&consent(provision.clone()))]), Effect::Deny, "{provision}");
    }
    assert_eq!(own(&[CompiledConsent::unreadable(id("c"), id("p"))]), Effect::Permit);
}

#[test]
fn a_consent_that_cannot_be_read_denies_to_everybody_else() {
    let broken = CompiledConsent::unreadable(id("c"), id("p"));
    assert_eq!(asked().of(&[compiled(&consent(json!({"type": "permit"}))), broken.clone()]), DENY);
    assert_eq!(rows(&broken), Err(NotCompilable::Unreadable));
    // It was stored before there was a check: ambiguous, and so closed, even outside its period.
    let provision = json!({"actor": [actor("Practitioner/dr")], "period": {"end": "2020"}});
    let ambiguous = with(consent(provision), json!({"policyRule": concept(ACT_CODE, "OPTIN")}));
    let document = ConsentDocument::read(&parsed(&ambiguous), BASE).unwrap();
    let stored = CompiledConsent::of(&document, &CONTEXT, (id("c"), id("p")), Standing::Verified).unwrap();
    assert_eq!(asked().of(&[stored]), DENY);
    // The store says that it lies in the compartment of somebody whom it does not name.
    let document = ConsentDocument::read(&parsed(&consent(json!({"type": "permit"}))), BASE).unwrap();
    let anothers = CompiledConsent::of(&document, &CONTEXT, (id("c"), id("q")), Standing::Verified).unwrap();
    let asked = asked();
    let verdict =
        decide(std::slice::from_ref(&anothers), &id("q"), (&asked.request(), &asked.resource), ImplicitPolicy::AllNormal);
    assert_eq!(verdict.ground, Ground::Unreadable(&id("c")));
}

#[test]
fn a_verdict_names_the_provision_that_decided() {
    let consents = [compiled(&consent(json!({"type": "permit", "provision": [
        {"type": "deny", "purpose": [purpose("HMARKT")]},
        {"type": "deny", "purpose": [purpose("HPAYMT")], "provision": [{"type": "permit", "class": [coding(TYPES, "Claim")]}]},
    ]})))];
    for (asked, expression) in [
        (asked(), "Consent.provision"),
        (asked().purpose("HMARKT"), "Consent.provision.provision[0]"),
        (of_type("Claim").purpose("HPAYMT"), "Consent.provision.provision[1].provision[0]"),
    ] {
        let verdict = decide(&consents, &id("p"), (&asked.request(), &asked.resource), ImplicitPolicy::Deny);
        assert_eq!(verdict.ground, Ground::Provision { consent: &id("c"), expression });
    }
}

#[test]
fn purposes_are_understood_by_every_name_of_their_code_system() {
    for system in [
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "http://terminology.hl7.org/CodeSystem/v3-PurposeOfUse",
        "http://hl7.org/fhir/v3/ActReason",
        "urn:oid:2.16.840.1.113883.5.8",
    ] {
        let denial = json!({"type": "deny", "purpose": [coding(system, "TREAT")]});
        assert_eq!(asked().one(denial.clone()), DENY, "{system}");
        assert_eq!(asked().purpose("COC").one(denial.clone()), DENY, "{system}");
        assert_eq!(asked().purpose("HPAYMT").one(denial), None, "{system}");
    }
}

#[test]
fn what_says_its_code_by_a_reference_may_have_any() {
    let by_reference =
        Asked::for_resource(&json!({"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p"}, "medicationReference": {"reference": "Medication/x"}}));
    let by_code = Asked::for_resource(
        &json!({"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p"}, "medicationCodeableConcept": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "1")}),
    );
    let rule = |effect: &str| json!({"type": effect, "code": [concept("http://www.nlm.nih.gov/research/umls/rxnorm", "2")]});
    assert_eq!((by_reference.one(rule("deny")), by_reference.one(rule("permit"))), (DENY, None));
    assert_eq!((by_code.one(rule("deny")), by_code.one(rule("permit"))), (None, None));
}
