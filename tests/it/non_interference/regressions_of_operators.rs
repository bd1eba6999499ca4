//! What operators decide beside scopes and roles, and the rarer parts of consents and writes: one test with a name for what chance seldom draws.

use super::data::{Draft, kind};
use super::people::{CRITERIA, Context, Person, QUALIFIABLE, Scope};
use super::regressions::{D0, E0, P0, P1, after, answers, consent, draft, names, observation, with_all_letters};
use super::requests::Request;
use super::rules::{Relation, Rule};
use super::stores::Answer;
use super::writes::{Match, Write};

const G0: &str = r#"{"resourceType":"Organization","id":"g0","name":"Smith"}"#;
const G1: &str = r#"{"resourceType":"Organization","id":"g1","name":"Adams"}"#;

/// A clinician who is not shown what this list hides.
fn clinician(hidden: usize) -> Person {
    Person { hidden, ..Person::clinician("d0") }
}

fn ruled(person: Person, rules: Vec<Rule>) -> Person {
    Person { rules, ..person }
}

/// LESSONS 11: what is left out of an answer was found by a search for it.
#[test]
fn a_search_by_what_is_not_shown_is_refused() {
    let measured = r#","valueQuantity":{"value":5.4,"unit":"mg"}"#;
    let texts = [P0, D0, E0, &observation("o0", "p0", measured), &observation("o1", "p0", "")];
    let requests = ["Observation?value-quantity=gt5", "Encounter?_has:Observation:encounter:value-quantity=gt5"];
    let requests = requests.map(Request::search);
    assert_eq!(answers(&texts, &clinician(1), &requests), [Answer::Denied, Answer::Denied]);
    // To whoever is shown it, it is an element as others.
    assert_eq!(names(&answers(&texts, &Person { clearance: 1, ..clinician(1) }, &requests)[0]), ["Observation/o0/v1"]);
}

/// What is shown only where a hidden element says so tells what that element says.
#[test]
fn a_scope_that_goes_by_what_is_not_shown_opens_nothing() {
    let by_name = CRITERIA.iter().find(|criteria| criteria.text == "name=smith");
    let texts = [
        P0,
        D0,
        E0,
        G0,
        G1,
        &observation("o0", "p0", r#","performer":[{"reference":"Organization/g0"},{"reference":"Organization/g1"}]"#),
    ];
    let requests =
        [Request::Read(kind("Organization"), 0), Request::Read(kind("Organization"), 1), Request::search("Organization")];
    for letters in ["rs", "r", "s"] {
        let scope = |name, letters, criteria| Scope { context: Context::User, resource_type: Some(name), letters, criteria };
        let scopes = vec![scope("Observation", "rs", None), scope("Organization", letters, by_name)];
        let found = answers(&texts, &Person { scopes: scopes.clone(), ..clinician(2) }, &requests);
        let shows = |answer: &Answer| *answer != Answer::Denied && !names(answer).is_empty();
        assert!(!found.iter().any(shows), "{letters}: {found:?}");
        let found = answers(&texts, &Person { scopes, clearance: 1, ..clinician(2) }, &requests);
        assert!(found.iter().any(shows), "{letters}: {found:?}");
    }
}

/// The performer is not shown, and so nobody learns of the organisation that it names.
#[test]
fn a_reference_that_is_not_shown_shows_nothing() {
    let texts = [P0, D0, E0, G0, &observation("o0", "p0", r#","performer":[{"reference":"Organization/g0"}]"#)];
    let requests = ["Organization", "Observation?_include=Observation:encounter"].map(Request::search);
    let found = answers(&texts, &clinician(1), &requests);
    assert!(names(&found[0]).is_empty(), "{found:?}");
    assert_eq!(names(&found[1]), ["Observation/o0/v1"]);
    assert_eq!(names(&answers(&texts, &clinician(0), &requests)[0]), ["Organization/g0/v1"]);
}

/// An organisation that a patient in care names, and a record of one's own: the own way shows its name, whichever of the two is found first.
#[test]
fn what_one_way_leaves_out_another_way_shows() {
    let named = r#","performer":[{"reference":"Organization/g0"}]"#;
    let of_care = observation("o0", "p0", named);
    let person = Person { patients: vec!["p1"], ..clinician(2) };
    let by_include = Request::search("Observation?_include=Observation:performer");
    let requests = [Request::search("Organization"), Request::Read(kind("Organization"), 0), by_include];
    for (own, shown) in [(observation("o1", "p1", ""), false), (observation("o1", "p1", named), true)] {
        for answer in answers(&[P0, P1, D0, E0, G0, &of_care, &own], &person, &requests) {
            let text = format!("{answer:?}");
            assert!(text.contains("Organization/g0"), "{text}");
            assert_eq!(text.contains(r#"\"name\":\"Smith\""#), shown, "{text}");
        }
    }
}

/// A narrative was made of all elements.
#[test]
fn a_text_about_what_is_not_shown_is_not_shown() {
    let text = r#","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">5.4 mg</div>"},"valueQuantity":{"value":5.4}"#;
    let texts = [P0, D0, E0, &observation("o0", "p0", text)];
    let requests = [Request::search("Observation"), Request::Read(kind("Observation"), 0)];
    for answer in answers(&texts, &clinician(1), &requests) {
        assert_eq!((names(&answer), format!("{answer:?}").contains("5.4")), (vec!["Observation/o0/v1"], false));
    }
}

/// What would be stored lacked what was left out.
#[test]
fn whoever_is_shown_a_part_does_not_replace_the_whole() {
    let update = || Write::Update { draft: draft("Observation", 0, &[]), matched: Match::Anything, keeps_subject: true };
    let texts = [P0, D0, E0, &observation("o0", "p0", "")];
    for (hidden, written) in [(1, 0), (0, 1)] {
        assert_eq!(after(&texts, &[with_all_letters(clinician(hidden))], &[update()], &[]).written, written, "list {hidden}");
    }
}

/// LESSONS 1: neither a chain nor `_has` finds a visible record by what a hidden one says.
#[test]
fn a_hidden_record_leads_to_nothing_by_a_chain() {
    let focus = r#","focus":[{"reference":"Patient/p1"}]"#;
    let about = r#","focus":[{"reference":"Patient/p0"}]"#;
    let texts = [P0, P1, &observation("o0", "p0", focus), &observation("o1", "p1", about)];
    let requests = [
        "Observation?focus:Patient.identifier=ssn%7C123-45&_total=accurate",
        "Observation?focus:Patient.identifier=123-45",
        "Patient?_has:Observation:focus:code=c&_total=accurate",
    ];
    let requests = requests.map(|text| Request::search(&text.replace("%7C", "|")));
    for answer in answers(&texts, &Person::patient("p0"), &requests) {
        assert!(names(&answer).is_empty(), "{answer:?}");
    }
    let both = Person { patients: vec!["p0", "p1"], scopes: Person::clinician("d0").scopes, ..Person::default() };
    let found = answers(&texts, &both, &requests);
    assert!(found.iter().all(|answer| !names(answer).is_empty()), "{found:?}");
}

/// Whoever represents somebody to read only, and without Observations, sees none of these and changes nothing; the own record is whole.
#[test]
fn whoever_represents_somebody_within_limits_stays_within_them() {
    let limited = Person {
        patients: vec!["p0", "p1"],
        scopes: with_all_letters(Person::clinician("d0")).scopes,
        limits: Some((true, "Observation")),
        ..Person::default()
    };
    let encounter = E0.replace("e0", "e1").replace("Patient/p0", "Patient/p1");
    let texts = [P0, P1, D0, E0, &encounter, &observation("o0", "p0", ""), &observation("o1", "p1", "")];
    let requests =
        [Request::search("Observation?_total=accurate"), Request::search("Encounter"), Request::Read(kind("Observation"), 1)];
    let found = answers(&texts, &limited, &requests);
    assert_eq!(names(&found[0]), ["Observation/o0/v1"]);
    assert_eq!(names(&found[1]).len(), 2, "{found:?}");
    assert!(names(&found[2]).is_empty(), "{found:?}");
    for (slot, written) in [(0, 1), (1, 0)] {
        let draft = Draft { slot, ..draft("Encounter", slot, &[]) };
        let update = Write::Update { draft, matched: Match::Anything, keeps_subject: true };
        let came = after(&texts, std::slice::from_ref(&limited), &[update], &[]);
        assert_eq!(came.written, written, "Encounter/e{slot}");
    }
}

/// In an emergency every sensitivity is open, and nothing very restricted.
#[test]
fn whoever_broke_the_glass_sees_nothing_very_restricted() {
    let labelled = |code: &str| {
        let system = if code == "HIV" { "v3-ActCode" } else { "v3-Confidentiality" };
        format!(r#","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}]}}"#)
    };
    let texts = ["R", "V", "HIV"].map(labelled);
    let observations: Vec<String> =
        texts.iter().enumerate().map(|(at, text)| observation(&format!("o{at}"), "p0", text)).collect();
    let mut all = vec![P0, D0];
    all.extend(observations.iter().map(String::as_str));
    let in_emergency = Person { glass: vec!["p0"], stated: Some("BTG"), ..clinician(0) };
    let found = answers(&all, &in_emergency, &[Request::search("Observation"), Request::Read(kind("Observation"), 1)]);
    assert_eq!(names(&found[0]), ["Observation/o0/v1", "Observation/o2/v1"]);
    assert!(names(&found[1]).is_empty(), "{found:?}");
}

/// A rule about records of a type takes those with the content or the label, and no others.
#[test]
fn a_rule_about_some_records_takes_these_away() {
    let (_, criteria) =
        QUALIFIABLE.iter().find(|(name, criteria)| *name == "Observation" && criteria.text == "code=4548-4").unwrap();
    let coded = observation("o1", "p0", "").replace(r#""code":"c""#, r#""code":"4548-4""#);
    let label = r#","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}]}"#;
    let texts = [P0, D0, E0, &observation("o0", "p0", ""), &coded, &observation("o2", "p0", label)];
    let requests = [Request::search("Observation?_total=accurate"), Request::Read(kind("Observation"), 1)];
    let person = Person { clearance: 2, ..clinician(0) };
    let of_observations = |rule: Rule| Rule { types: vec!["Observation"], ..rule };
    let by_content = Rule { criteria: Some(criteria), ..of_observations(Rule::of(None)) };
    let by_label = Rule { label: Some("HIV"), ..of_observations(Rule::of(None)) };
    for (rule, left) in
        [(by_content, ["Observation/o0/v1", "Observation/o2/v1"]), (by_label, ["Observation/o0/v1", "Observation/o1/v1"])]
    {
        assert_eq!(names(&answers(&texts, &ruled(person.clone(), vec![rule]), &requests)[0]), left);
    }
}

/// A rule for others, or for another purpose, or with an exception that holds takes nothing away.
#[test]
fn a_rule_applies_where_its_conditions_hold_and_no_exception_does() {
    let texts = [P0, D0, E0, &observation("o0", "p0", "")];
    let requests = [Request::search("Observation"), Request::search("Encounter?_total=accurate")];
    let about = |rule: Rule| Rule { types: vec!["Observation"], ..rule };
    let denies = || about(Rule::of(None));
    for (rule, applies) in [
        (denies(), true),
        (Rule { role: Some("patient"), ..denies() }, false),
        (Rule { role: Some("clinician"), ..denies() }, true),
        (Rule { purpose: Some("PATRQT"), ..denies() }, false),
        (Rule { purpose: Some("TREAT"), ..denies() }, true),
        (Rule { unless: Some("TREAT"), ..denies() }, false),
        (Rule { unless: Some("PATRQT"), ..denies() }, true),
    ] {
        let told = format!("{rule:?}");
        let found = answers(&texts, &ruled(clinician(0), vec![rule]), &requests);
        assert_eq!(found[0] == Answer::Denied, applies, "{told}");
        assert_eq!(names(&found[1]), ["Encounter/e0/v1"], "{told}");
    }
}

/// Who works for the organisation that manages a patient sees that patient, for what the rule says, and nobody else's.
#[test]
fn a_rule_that_permits_opens_the_records_of_the_relationship_for_its_letters() {
    let role = r#"{"resourceType":"PractitionerRole","id":"q0","practitioner":{"reference":"Practitioner/d0"},"organization":{"reference":"Organization/g0"}}"#;
    let managed = r#"{"resourceType":"Patient","id":"p0","managingOrganization":{"reference":"Organization/g0"}}"#;
    let texts = [managed, P1, D0, G0, role, &observation("o0", "p0", ""), &observation("o1", "p1", "")];
    let permits = |letters| Rule {
        role: Some("clinician"),
        types: vec!["Patient", "Observation"],
        letters,
        ..Rule::of(Some(Relation::Organization))
    };
    let requests = [
        Request::search("Observation?_total=accurate"),
        Request::search("Patient?_total=accurate"),
        Request::Read(kind("Observation"), 0),
        Request::Read(kind("Observation"), 1),
    ];
    for (letters, [searched, read]) in [("rs", [true, true]), ("r", [false, true]), ("s", [true, false])] {
        let found = answers(&texts, &ruled(clinician(0), vec![permits(letters)]), &requests);
        let own = |is_open: bool, name: &'static str| if is_open { vec![name] } else { Vec::new() };
        let expected =
            [own(searched, "Observation/o0/v1"), own(searched, "Patient/p0/v1"), own(read, "Observation/o0/v1"), Vec::new()];
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), expected, "{letters}");
    }
}

/// A rule of a consent may be about reading or about writing.
#[test]
fn a_consent_about_what_is_done_is_about_nothing_else() {
    let texts = [P0, D0, E0, &observation("o0", "p0", "")];
    let requests = ["Observation?_total=accurate", "Patient"].map(Request::search);
    let update = Write::Update { draft: draft("Observation", 0, &[]), matched: Match::Anything, keeps_subject: true };
    let writes = [Write::Create(draft("Observation", 0, &[])), update];
    let person = with_all_letters(clinician(0));
    for (effect, implicit) in [("deny", 0), ("permit", 1)] {
        for action in ["collect", "access", "use", "disclose", "correct"] {
            let action =
                format!(r#"{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"{action}"}}]}}"#);
            let consent = consent("n0", "2026-01-01", &format!(r#"{{"type":"{effect}","action":[{action}]}}"#));
            let texts = [texts.as_slice(), &[consent.as_str()]].concat();
            after(&texts, &[Person { implicit, ..person.clone() }], &writes, &requests);
        }
    }
}

/// One that has more alternatives than rows can be made of hides its patient, and is over as others are.
#[test]
fn a_consent_that_has_ended_says_nothing_however_large_it_is() {
    let list = |element: &str, of: &dyn Fn(usize) -> String| {
        format!(r#","{element}":[{}]"#, (0..40).map(of).collect::<Vec<_>>().join(","))
    };
    let purpose = |number| portcullis_fhir::purpose::PurposeOfUse::all().nth(number).unwrap().code();
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    let purposes = list("purpose", &|number| format!(r#"{{"system":"{system}","code":"{}"}}"#, purpose(number)));
    let codes = list("code", &|number| format!(r#"{{"coding":[{{"system":"https://example.org/codes","code":"{number}"}}]}}"#));
    let ended = format!(r#"{{"type":"deny","period":{{"end":"2026-12-31"}}{purposes}{codes}}}"#);
    let texts = [P0, D0, E0, &observation("o0", "p0", ""), &consent("n0", "2026-01-01", &ended)];
    let requests = ["Observation?_total=accurate", "Encounter"].map(Request::search);
    assert_eq!(names(&answers(&texts, &clinician(0), &requests)[0]), ["Observation/o0/v1"]);
}

/// One way shows what is stored, the other one would take what is sent: neither does both.
#[test]
fn criteria_of_the_way_that_writes_hold_for_what_is_stored() {
    let criteria = QUALIFIABLE.iter().find(|(name, criteria)| *name == "Coverage" && criteria.text == "_profile:missing=true");
    let scope = |context, criteria| Scope { context, resource_type: Some("Coverage"), letters: "cruds", criteria };
    let scopes = vec![scope(Context::Patient, None), scope(Context::User, criteria.map(|(_, criteria)| *criteria))];
    let person = Person { patients: vec!["p0", "p1"], launch: Some("p0"), scopes, ..Person::default() };
    let coverage = |meta: &str| {
        format!(
            r#"{{"resourceType":"Coverage","id":"v0","status":"active"{meta},"beneficiary":{{"reference":"Patient/p0"}},
            "subscriber":{{"reference":"Patient/p1"}},"payor":[{{"reference":"Organization/g0"}}]}}"#
        )
    };
    let update = || {
        let draft = Draft { code: 5, ..draft("Coverage", 0, &[("Patient", 1)]) };
        Write::Update { draft, matched: Match::Anything, keeps_subject: true }
    };
    let profiled = coverage(r#","meta":{"profile":["http://example.org/profile"]}"#);
    for (stored, written) in [(profiled, 0), (coverage(""), 1)] {
        assert_eq!(after(&[P0, P1, &stored], std::slice::from_ref(&person), &[update()], &[]).written, written, "{stored}");
    }
}
