//! What other systems and earlier versions of this one gave away (LESSONS.md), each by name, and each also compared with the view.

use std::sync::Mutex;

use super::data::{Draft, Form, Link, Record, kind, records_of};
use super::people::{CRITERIA, Context, Person, Scope, service_for_all};
use super::requests::Request;
use super::stores::{Answer, Held, Seen};
use super::writes::{Match, Write};
use super::{Tally, check, runtime};

pub const P0: &str = r#"{"resourceType":"Patient","id":"p0"}"#;
pub const P1: &str = r#"{"resourceType":"Patient","id":"p1","identifier":[{"system":"ssn","value":"123-45"}]}"#;
pub const D0: &str = r#"{"resourceType":"Practitioner","id":"d0"}"#;

pub fn observation(id: &str, subject: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"s","code":"c"}}]}},
        "subject":{{"reference":"Patient/{subject}"}}{more}}}"#
    )
}

fn provenance(targets: &[&str], agent: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!(r#"{{"reference":"{target}"}}"#)).collect();
    format!(
        r#"{{"resourceType":"Provenance","id":"r0","target":[{}],"recorded":"2026-01-01T00:00:00Z","agent":[{{"who":{{"reference":"{agent}"}}}}]}}"#,
        targets.join(",")
    )
}

/// The answers to these requests, after each was compared with the view.
pub fn answers(texts: &[&str], person: &Person, requests: &[Request]) -> Vec<Answer> {
    let records: Vec<Record> = records_of(texts);
    runtime().block_on(async {
        let people = [person.clone()];
        check(&records, &people, (requests, &[]), &Mutex::new(Tally::default()))
            .await
            .unwrap_or_else(|difference| panic!("{difference}"));
        let held = Held::of(&records).await;
        let mut answers = Vec::new();
        for request in requests {
            answers.push(held.ask(&person.principal(), request).await);
        }
        answers
    })
}

/// The names of everything in an answer.
pub fn names(answer: &Answer) -> Vec<&str> {
    let all: Vec<&Seen> = match answer {
        Answer::Denied | Answer::Refused(_) | Answer::Written(..) => panic!("{answer:?}"),
        Answer::Version(version) => version.iter().collect(),
        Answer::Pages(pages) => pages.iter().flat_map(|page| page.matches.iter().chain(&page.included)).collect(),
    };
    all.iter().map(|seen| seen.name.as_str()).collect()
}

fn totals(answer: &Answer) -> Vec<Option<u64>> {
    let Answer::Pages(pages) = answer else { panic!("{answer:?}") };
    pages.iter().map(|page| page.total).collect()
}

fn history(name: &str) -> Request {
    Request::History { kind: kind(name), slot: 0, count: 50, since: None }
}

/// LESSONS 2.
#[test]
fn includes_and_their_further_pages_never_leave_the_compartment_by_elements_that_give_no_membership() {
    let focus = r#","focus":[{"reference":"Patient/p1"},{"reference":"Patient/p0"}],"performer":[{"reference":"Patient/p1"}]"#;
    let hidden = r#","focus":[{"reference":"Patient/p0"}],"hasMember":[{"reference":"Observation/o0"}]"#;
    let texts = [P0, P1, &observation("o0", "p0", focus), &observation("o1", "p0", focus), &observation("o2", "p1", hidden)];
    let requests = [
        "Observation?_include=Observation:focus&_include=Observation:performer&_count=1&_total=accurate",
        "Patient?_revinclude=Observation:focus",
        "Observation?_revinclude=Observation:has-member&_count=1",
    ];
    let answers = answers(&texts, &Person::patient("p0"), &requests.map(Request::search));
    assert_eq!(names(&answers[0]), ["Observation/o0/v1", "Patient/p0/v1", "Observation/o1/v1", "Patient/p0/v1"]);
    assert_eq!(totals(&answers[0]), [Some(2), Some(2)]);
    assert_eq!(names(&answers[1]), ["Patient/p0/v1", "Observation/o0/v1", "Observation/o1/v1"]);
    assert_eq!(names(&answers[2]), ["Observation/o0/v1", "Observation/o1/v1"]);
}

/// LESSONS 8.
#[test]
fn a_version_that_belonged_to_another_patient_is_shown_to_neither_by_history_nor_by_version() {
    let moved =
        [P0, P1, &observation("o0", "p1", ""), &observation("o0", "p0", ""), "-Observation/o0", &observation("o0", "p0", "")];
    let versions = [1, 2, 3, 4].map(|number| Request::VersionRead(kind("Observation"), 0, number));
    let requests = [&[history("Observation")][..], &versions[..]].concat();
    let own = answers(&moved, &Person::patient("p0"), &requests);
    assert_eq!(names(&own[0]), ["Observation/o0/v4", "Observation/o0/v3", "Observation/o0/v2"]);
    assert_eq!(totals(&own[0]), [Some(3)]);
    let shown: Vec<usize> = own[1..].iter().map(|answer| names(answer).len()).collect();
    assert_eq!(shown, [0, 1, 1, 1]);
    let former = answers(&moved, &Person::patient("p1"), &requests);
    assert!(former.iter().all(|answer| names(answer).is_empty()), "{former:?}");
}

/// LESSONS 9.
#[test]
fn a_total_counts_what_is_visible_and_nothing_else() {
    let texts = [P0, P1, &observation("o0", "p0", ""), &observation("o1", "p1", ""), &observation("o2", "p1", "")];
    let requests = [
        "Observation?_total=accurate",
        "Observation?_summary=count",
        "Observation?_count=0",
        "Observation?code=s|c&_total=estimate&_count=1",
    ];
    for answer in answers(&texts, &Person::patient("p0"), &requests.map(Request::search)) {
        assert_eq!(totals(&answer), [Some(1)]);
    }
}

/// A sort by a reference was refused, and only where something hidden matched: the answer to "is there a patient with this number?".
#[test]
fn what_is_asked_about_hidden_records_is_answered_as_about_none() {
    let texts = [P0, P1, &observation("o0", "p1", "")];
    let requests = [
        "Patient?identifier=123-45&_sort=organization",
        "Patient?identifier=absent&_sort=organization",
        "Observation?subject=Patient/p1&_sort=subject&_total=accurate",
        "Observation?subject=Patient/absent&_sort=subject&_total=accurate",
    ];
    let answers = answers(&texts, &Person::patient("p0"), &requests.map(Request::search));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2], answers[3]);
}

/// A code or reference of a hidden record took part in the count of bound values: a search at the limit was refused only where it existed.
#[test]
fn whether_a_search_is_too_long_depends_on_its_words_alone() {
    let texts = [P0, P1, &observation("o0", "p1", "")];
    let padded = |criterion: &str, slashes: usize| {
        Request::search(&format!("Observation?_profile:above={}x&{criterion}", "/".repeat(slashes)))
    };
    let pairs = [("code=c", "code=absent"), ("subject=Patient/p1", "subject=Patient/absent")];
    runtime().block_on(async {
        let held = Held::of(&records_of(&texts)).await;
        let person = Person::patient("p0").principal();
        for (hidden, absent) in pairs {
            let (mut accepted, mut refused) = (1, 60_000);
            while refused - accepted > 1 {
                let middle = usize::midpoint(accepted, refused);
                match held.ask(&person, &padded(absent, middle)).await {
                    Answer::Refused(_) => refused = middle,
                    _ => accepted = middle,
                }
            }
            for slashes in accepted - 2..=refused + 2 {
                let (hidden, absent) = (padded(hidden, slashes), padded(absent, slashes));
                assert_eq!(held.ask(&person, &hidden).await, held.ask(&person, &absent).await, "{slashes} slashes");
            }
        }
    });
}

/// A Provenance lies in the compartment of each Patient that it targets, and is hidden where it has another target outside: it grounded its agent all the same.
#[test]
fn what_only_a_hidden_provenance_refers_to_stays_hidden() {
    let texts = [P0, P1, D0, &provenance(&["Patient/p0", "Patient/p1"], "Practitioner/d0")];
    let requests = [
        Request::Read(kind("Provenance"), 0),
        Request::Read(kind("Practitioner"), 0),
        Request::search("Practitioner?_total=accurate"),
    ];
    let answers = answers(&texts, &Person::patient("p0"), &requests);
    assert!(answers.iter().all(|answer| names(answer).is_empty()), "{answers:?}");
    assert_eq!(totals(&answers[2]), [Some(0)]);
}

/// The same for a Provenance about a Provenance.
#[test]
fn what_is_about_a_hidden_provenance_stays_hidden() {
    let about = provenance(&["Provenance/r0"], "Practitioner/d0").replace(r#""id":"r0""#, r#""id":"r1""#);
    let texts = [P0, P1, &provenance(&["Patient/p0", "Patient/p1"], "Practitioner/d0"), &about];
    let answers = answers(&texts, &Person::patient("p0"), &[Request::search("Provenance?_total=accurate")]);
    assert!(names(&answers[0]).is_empty(), "{answers:?}");
}

/// A deletion has no targets of its own; it was shown to whoever sees the next life of the resource.
#[test]
fn a_deleted_provenance_stays_with_those_who_saw_it() {
    let texts = [P0, P1, &provenance(&["Patient/p0"], "Practitioner/d0"), "-Provenance/r0"];
    let deleted = answers(&texts, &Person::patient("p0"), &[history("Provenance")]);
    assert_eq!(names(&deleted[0]), ["Provenance/r0/v2", "Provenance/r0/v1"]);
    let again = provenance(&["Patient/p1"], "Practitioner/d0");
    let texts = [texts.as_slice(), &[again.as_str()]].concat();
    let requests =
        [history("Provenance"), Request::VersionRead(kind("Provenance"), 0, 2), Request::VersionRead(kind("Provenance"), 0, 1)];
    let reborn = answers(&texts, &Person::patient("p1"), &requests);
    assert_eq!(names(&reborn[0]), ["Provenance/r0/v3"]);
    assert!(names(&reborn[1]).is_empty() && names(&reborn[2]).is_empty(), "{reborn:?}");
}

/// Care ends with what states it, also for what was included or counted.
#[test]
fn a_clinician_sees_nothing_of_a_patient_whose_encounter_was_deleted_or_moved() {
    let encounter = |subject: &str| {
        format!(
            r#"{{"resourceType":"Encounter","id":"e0","status":"finished","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/{subject}"}},
            "participant":[{{"individual":{{"reference":"Practitioner/d0"}}}}]}}"#
        )
    };
    let requests = ["Patient?_total=accurate", "Observation?_include=Observation:subject&_total=accurate", "Practitioner"]
        .map(Request::search);
    let texts = [P0, P1, D0, &observation("o0", "p0", ""), &observation("o1", "p1", ""), &encounter("p0")];
    let clinician = Person::clinician("d0");
    let seen = answers(&texts, &clinician, &requests);
    assert_eq!(names(&seen[0]), ["Patient/p0/v1"]);
    assert_eq!(names(&seen[1]), ["Observation/o0/v1", "Patient/p0/v1"]);
    assert_eq!(names(&seen[2]), ["Practitioner/d0/v1"]);
    let ended = answers(&[texts.as_slice(), &["-Encounter/e0"]].concat(), &clinician, &requests);
    assert!(ended.iter().all(|answer| names(answer).is_empty()), "{ended:?}");
    let moved = answers(&[texts.as_slice(), &[encounter("p1").as_str()]].concat(), &clinician, &requests);
    assert_eq!(names(&moved[1]), ["Observation/o1/v1", "Patient/p1/v1"]);
}

/// The subject, and whom else it names.
pub fn draft(name: &str, subject: u8, others: &[(&str, u8)]) -> Draft {
    let link = |name: &str, slot| Link { kind: kind(name), slot, form: Form::Relative };
    let others = others.iter().map(|(name, slot)| link(name, *slot)).collect();
    Draft { kind: kind(name), slot: 0, subject: link("Patient", subject), others, code: 0, date: 0, value: 0 }
}

/// Writes of these people in turn, each compared with what must come of it; each asks these requests before and after the own writes.
pub fn after(texts: &[&str], people: &[Person], writes: &[Write], requests: &[Request]) -> Tally {
    let tally = Mutex::new(Tally::default());
    let requests = [requests, requests].concat();
    let records = records_of(texts);
    let checked = check(&records, people, (&requests, writes), &tally);
    runtime().block_on(checked).unwrap_or_else(|difference| panic!("{difference}"));
    tally.into_inner().unwrap()
}

pub fn with_all_letters(person: Person) -> Person {
    let scopes = person.scopes.iter().map(|scope| Scope { letters: "cruds", ..*scope }).collect();
    Person { scopes, ..person }
}

pub const E0: &str = r#"{"resourceType":"Encounter","id":"e0","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p0"},
    "participant":[{"individual":{"reference":"Practitioner/d0"}}]}"#;

/// Found by the property: SQL's NULL for a patient who does not exist was an internal error, and told that somebody else by that id does.
#[test]
fn a_launch_patient_who_does_not_exist_is_nobody_and_no_error() {
    let scopes =
        [Context::Patient, Context::User].map(|context| Scope { context, resource_type: None, letters: "cruds", criteria: None });
    let person = Person { practitioner: Some("d0"), launch: Some("p3"), scopes: scopes.to_vec(), ..Person::default() };
    let tally = after(&[P0, D0, E0], &[person], &[Write::Create(draft("Observation", 0, &[]))], &[]);
    assert_eq!((tally.writes, tally.written), (1, 1));
}

/// LESSONS 23. Who writes a reference to a record of the directory does not let themselves see it.
#[test]
fn nobody_lets_themselves_in_by_writing() {
    let texts = [P0, P1, D0, r#"{"resourceType":"Organization","id":"g0","name":"hidden"}"#, &observation("o0", "p0", "")];
    let others = [("Organization", 0), ("Practitioner", 0)];
    let writes = [
        Write::Update { draft: draft("Observation", 0, &others), matched: Match::Current, keeps_subject: true },
        Write::Create(draft("Encounter", 0, &others)),
        Write::Create(draft("Observation", 1, &others)),
    ];
    let requests = ["Organization", "Practitioner?_total=accurate", "Observation?_include=Observation:performer"];
    let person = with_all_letters(Person::patient("p0"));
    let tally = after(&texts, &[person], &writes, &requests.map(Request::search));
    assert_eq!((tally.writes, tally.written), (3, 2));
}

/// LESSONS 23. Who names a practitioner in an Encounter or CareTeam does not let that practitioner see the patient.
#[test]
fn nobody_lets_others_in_by_writing() {
    let people = [with_all_letters(Person::patient("p0")), Person::clinician("d0")];
    let writes = ["Encounter", "Observation", "CareTeam"].map(|name| Write::Create(draft(name, 0, &[("Practitioner", 0)])));
    let requests = ["Patient?_total=accurate", "Observation?_total=accurate", "Encounter", "CareTeam"];
    let tally = after(&[P0, D0, &observation("o0", "p0", "")], &people, &writes, &requests.map(Request::search));
    // The second is the clinician's, who has no scope for it.
    assert_eq!((tally.writes, tally.written), (3, 2));
}

/// A reference to what the writer can read makes it visible, and goes on to where it was visible by another record before.
#[test]
fn a_reference_to_what_the_writer_sees_counts() {
    let texts = [P0, D0, E0, &observation("o0", "p0", "")];
    let writes = [
        Write::Update { draft: draft("Observation", 0, &[("Practitioner", 0)]), matched: Match::Anything, keeps_subject: true },
        Write::Delete(kind("Encounter"), 0, Match::Current),
    ];
    let person = with_all_letters(Person::patient("p0"));
    let tally = after(&texts, &[person], &writes, &["Practitioner", "Encounter"].map(Request::search));
    assert_eq!((tally.written, tally.found), (2, 3));
}

/// Only the first of these Observations is open by its content; what the other refers to stays hidden.
#[test]
fn what_a_scope_does_not_open_by_its_content_shows_nothing_else() {
    let scopes = [("Observation", CRITERIA.iter().find(|criteria| criteria.text == "code=4548-4")), ("Organization", None)];
    let scopes =
        scopes.map(|(name, criteria)| Scope { context: Context::Patient, resource_type: Some(name), letters: "rs", criteria });
    let performer = |id: &str| format!(r#","performer":[{{"reference":"Organization/{id}"}}]"#);
    let texts = [
        P0,
        r#"{"resourceType":"Organization","id":"g0"}"#,
        r#"{"resourceType":"Organization","id":"g1"}"#,
        &observation("o0", "p0", &performer("g0")).replace(r#""code":"c""#, r#""code":"4548-4""#),
        &observation("o1", "p0", &performer("g1")),
    ];
    let person = Person { scopes: scopes.to_vec(), ..Person::patient("p0") };
    let found = answers(&texts, &person, &["Organization", "Observation"].map(Request::search));
    assert_eq!(names(&found[0]), ["Organization/g0/v1"]);
    assert_eq!(names(&found[1]), ["Observation/o0/v1"]);
}

/// A clinician who is a patient, too, and asks as one.
#[test]
fn whoever_asks_for_themselves_does_not_see_the_patients_in_their_care() {
    let scopes = vec![Scope { context: Context::User, resource_type: None, letters: "rs", criteria: None }];
    let both = Person { patients: vec!["p1"], practitioner: Some("d0"), scopes, ..Person::default() };
    let texts = [P0, P1, D0, E0, &observation("o0", "p0", ""), &observation("o1", "p1", "")];
    let request = [Request::search("Observation")];
    assert_eq!(names(&answers(&texts, &both, &request)[0]), ["Observation/o0/v1", "Observation/o1/v1"]);
    let for_oneself = Person { stated: Some("PATRQT"), ..both };
    assert_eq!(names(&answers(&texts, &for_oneself, &request)[0]), ["Observation/o1/v1"]);
}

/// Patients have leave for what patients ask for, and a client for what it was registered for.
#[test]
fn a_purpose_for_which_there_is_no_leave_opens_nothing() {
    let texts = [P0, &observation("o0", "p0", "")];
    let request = [Request::search("Observation")];
    for person in [Person::patient("p0"), service_for_all()] {
        assert_eq!(names(&answers(&texts, &person, &request)[0]), ["Observation/o0/v1"]);
        assert_eq!(answers(&texts, &Person { stated: Some("HPAYMT"), ..person }, &request)[0], Answer::Denied);
    }
}

/// What a daughter asks for herself is not about her mother.
#[test]
fn whoever_asks_for_themselves_does_not_see_whom_they_act_for() {
    let scopes = vec![Scope { context: Context::User, resource_type: None, letters: "rs", criteria: None }];
    let daughter = Person { patients: vec!["p0", "p1"], own: Some("p0"), scopes, ..Person::default() };
    let texts = [P0, P1, &observation("o0", "p0", ""), &observation("o1", "p1", "")];
    let request = [Request::search("Observation")];
    assert_eq!(names(&answers(&texts, &daughter, &request)[0]), ["Observation/o0/v1", "Observation/o1/v1"]);
    let for_herself = Person { stated: Some("PATRQT"), ..daughter };
    assert_eq!(names(&answers(&texts, &for_herself, &request)[0]), ["Observation/o0/v1"]);
}

/// A record that refers to a device of somebody else does not show it.
#[test]
fn a_device_of_somebody_is_shown_to_nobody_by_a_reference() {
    let device = |id: &str, more: &str| format!(r#"{{"resourceType":"Device","id":"{id}"{more}}}"#);
    let refers = |id: &str| format!(r#","device":{{"reference":"Device/{id}"}}"#);
    let texts = [
        P0,
        P1,
        &device("w0", r#","patient":{"reference":"Patient/p1"}"#),
        &device("w1", ""),
        &observation("o0", "p0", &refers("w0")),
        &observation("o1", "p0", &refers("w1")),
    ];
    let found =
        answers(&texts, &Person::patient("p0"), &["Device", "Observation?_include=Observation:device"].map(Request::search));
    assert_eq!(names(&found[0]), ["Device/w1/v1"]);
    assert_eq!(names(&found[1]).last(), Some(&"Device/w1/v1"));
}

/// There is nothing here by which anybody could see it.
#[test]
fn a_provenance_of_what_is_elsewhere_is_shown_to_nobody() {
    let texts = [P0, &provenance(&["https://elsewhere.example/fhir/Patient/p0"], "Practitioner/d0")];
    let requests = [Request::Read(kind("Provenance"), 0), Request::search("Provenance?_total=accurate")];
    assert!(answers(&texts, &Person::patient("p0"), &requests).iter().all(|answer| names(answer).is_empty()));
}

/// Found by the property: three ways into the records, the types that `focus` may lead to and the conditions of consents made a statement that SQLite refused.
#[test]
fn an_include_to_any_type_is_answered_to_whoever_has_several_ways_and_is_asked_for_consents() {
    let scope = |context, name, criteria| Scope { context, resource_type: name, letters: "rs", criteria };
    let criteria = CRITERIA.iter().find(|criteria| criteria.text == "code=4548-4");
    let scopes = vec![scope(Context::Patient, Some("Observation"), criteria), scope(Context::User, None, None)];
    let person = Person { patients: vec!["p0"], practitioner: Some("d0"), launch: Some("p0"), scopes, ..Person::default() };
    let consent = Draft { value: 0, ..draft("Consent", 1, &[]) };
    let consent = super::bodies::body(&consent).to_string();
    let texts = [P0, P1, D0, E0, &consent, &observation("o0", "p0", r#","focus":[{"reference":"Encounter/e0"}]"#)];
    let requests = ["Observation?_include=Observation:focus", "Observation?_include=*", "Patient?_revinclude=*"];
    for answer in answers(&texts, &person, &requests.map(Request::search)) {
        assert!(!names(&answer).is_empty());
    }
}

/// Everything by which a rule of a consent is about some requests and not about others.
#[test]
fn a_consent_is_about_what_it_says_and_about_nothing_else() {
    const ACTOR: &str =
        r#""role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]}"#;
    const TYPES: &str = "http://hl7.org/fhir/resource-types";
    let actor = |reference: &str| format!(r#","actor":[{{{ACTOR},"reference":{reference}}}]"#);
    let practitioner = |id: &str| actor(&format!(r#"{{"reference":"Practitioner/{id}"}}"#));
    let purpose =
        |code: &str| format!(r#","purpose":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"{code}"}}]"#);
    let class = |name: &str| format!(r#","class":[{{"system":"{TYPES}","code":"{name}"}}]"#);
    let label = r#","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}]"#;
    let code = r#","code":[{"coding":[{"system":"http://loinc.org","code":"4548-4"}]}]"#;
    let over = r#","period":{"end":"2026-12-31"}"#;
    let inner = |effect: &str, more: &str| format!(r#","provision":[{{"type":"{effect}"{}{more}}}]"#, class("Patient"));
    let provisions = [
        ("deny", practitioner("d0")),
        ("deny", practitioner("d1")),
        ("deny", actor(r#"{"identifier":{"system":"https://localhost:8443","value":"app"}}"#)),
        ("deny", purpose("TREAT")),
        ("deny", purpose("PATRQT")),
        ("deny", purpose("FAMRQT")),
        ("deny", class("Encounter")),
        ("deny", label.to_owned()),
        ("deny", code.to_owned()),
        ("deny", over.to_owned()),
        ("deny", inner("permit", "")),
        ("deny", inner("permit", over)),
        ("permit", practitioner("d0")),
        ("permit", practitioner("d1")),
        ("permit", purpose("TREAT")),
        ("permit", purpose("PATRQT")),
        ("permit", class("Observation")),
        ("permit", code.to_owned()),
        ("permit", over.to_owned()),
        ("permit", inner("deny", "")),
    ];
    let clinician = Person { clearance: 2, ..Person::clinician("d0") };
    let broken = Person { glass: vec!["p0"], stated: Some("BTG"), ..clinician.clone() };
    // What denies the family denies whoever is both.
    let both = Person { patients: vec!["p0", "p1"], ..clinician.clone() };
    let people = [clinician, broken, both, Person::patient("p0")];
    let people = [0, 1].into_iter().flat_map(|implicit| people.clone().map(|person| Person { implicit, ..person }));
    let people: Vec<Person> = people.collect();
    let labelled = r#","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}]}"#;
    let coded =
        observation("o1", "p0", "").replace(r#""system":"s","code":"c""#, r#""system":"http://loinc.org","code":"4548-4""#);
    let texts = [P0, D0, E0, &observation("o0", "p0", ""), &coded, &observation("o2", "p0", labelled)];
    let requests = ["Patient", "Observation?_total=accurate", "Encounter", "Consent"].map(Request::search);
    for (effect, more) in &provisions {
        let consent = consent("n0", "2026-01-01", &format!(r#"{{"type":"{effect}"{more}}}"#));
        let texts = [texts.as_slice(), &[consent.as_str()]].concat();
        after(&texts, &people, &[], &requests);
    }
    // A newer one of the same organisation takes the place of an older one.
    let replaced = [
        consent("n0", "2026-01-01", r#"{"type":"deny"}"#),
        consent("n1", "2026-02-01", &format!(r#"{{"type":"deny"{}}}"#, class("Encounter"))),
    ];
    let texts = [texts.as_slice(), &[replaced[0].as_str(), replaced[1].as_str()]].concat();
    after(&texts, &people, &[], &requests);
}

pub fn consent(id: &str, day: &str, provision: &str) -> String {
    format!(
        r#"{{"resourceType":"Consent","id":"{id}","status":"active","scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}}]}},
        "category":[{{"coding":[{{"system":"http://loinc.org","code":"59284-0"}}]}}],"patient":{{"reference":"Patient/p0"}},"dateTime":"{day}",
        "organization":[{{"reference":"Organization/g9"}}],"policy":[{{"uri":"https://example.org/policy"}}],"provision":{provision}}}"#
    )
}

/// What a patient's app writes narrows at once, and widens when somebody has confirmed it.
#[test]
fn a_consent_that_nobody_has_confirmed_lets_nobody_in() {
    let clinician = Person { implicit: 1, ..Person::clinician("d0") };
    let others = [("Organization", 0), ("Organization", 1), ("Organization", 2)];
    let permit = Draft { code: 5, date: 5, value: 0, ..draft("Consent", 0, &others) };
    let people = [with_all_letters(Person::patient("p0")), clinician];
    let requests = ["Patient", "Encounter?_total=accurate"].map(Request::search);
    let tally = after(&[P0, D0, E0], &people, &[Write::Create(permit)], &requests);
    assert_eq!(tally.written, 1);
}

/// The record of another refers to the second one before the first one is there: a number of the store would tell that in the order of equals.
#[test]
fn what_stands_in_no_order_stands_in_that_of_ids() {
    let hidden = r#"{"resourceType":"Condition","id":"c0","code":{"text":"x"},"subject":{"reference":"Patient/p1"},
        "evidence":[{"detail":[{"reference":"Observation/o1"}]}]}"#;
    let texts = [P0, P1, hidden, &observation("o0", "p0", ""), &observation("o1", "p0", "")];
    let requests = ["Observation", "Observation?_sort=status", "Observation?_sort=date&_count=1"].map(Request::search);
    for answer in answers(&texts, &Person::patient("p0"), &requests) {
        assert_eq!(names(&answer), ["Observation/o0/v1", "Observation/o1/v1"]);
    }
}

/// What has ended has no date, and is not one without a date.
#[test]
fn a_chain_leads_to_nothing_that_has_ended() {
    let texts = [P0, D0, E0, &observation("o0", "p0", r#","encounter":{"reference":"Encounter/e0"}"#)];
    let requests = [Request::search("Observation?encounter.date:missing=true")];
    let person = Person::patient("p0");
    assert_eq!(names(&answers(&texts, &person, &requests)[0]), ["Observation/o0/v1"]);
    let ended = [texts.as_slice(), &["-Encounter/e0"]].concat();
    assert!(names(&answers(&ended, &person, &requests)[0]).is_empty());
}

/// What is written is judged like what is read: by the criteria of the scope, labels, consents; and who may not read it is not shown it.
#[test]
fn what_is_written_is_judged_by_what_it_says() {
    let update =
        Write::Update { draft: Draft { code: 1, ..draft("Observation", 0, &[]) }, matched: Match::Anything, keeps_subject: true };
    let criteria = CRITERIA.iter().find(|criteria| criteria.text == "code=4548-4");
    let scopes = vec![Scope { context: Context::Patient, resource_type: Some("Observation"), letters: "cruds", criteria }];
    let coded = observation("o0", "p0", "").replace(r#""code":"c""#, r#""code":"4548-4""#);
    let person = Person { scopes, ..Person::patient("p0") };
    assert_eq!(after(&[P0, &coded], &[person], &[update], &[]).written, 0, "the criteria of the scope");
    let clinician = with_all_letters(Person::clinician("d0"));
    let restricted = Write::Create(Draft { code: 1, value: 1, ..draft("Encounter", 0, &[]) });
    assert_eq!(after(&[P0, D0, E0], std::slice::from_ref(&clinician), &[restricted], &[]).written, 0, "labels");
    let denied = r#"{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}"#;
    let texts = [P0, D0, E0, &consent("n0", "2026-01-01", denied)];
    let create = || [Write::Create(draft("Observation", 0, &[]))];
    assert_eq!(after(&texts, std::slice::from_ref(&clinician), &create(), &[]).written, 0, "a consent");
    let scopes = clinician.scopes.iter().map(|scope| Scope { letters: "c", ..*scope }).collect();
    assert_eq!(after(&texts[..3], &[Person { scopes, ..clinician }], &create(), &[]).written, 1, "without the body");
}
