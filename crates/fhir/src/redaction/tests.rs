//! What is left of resources, and which searches are refused: element by element.

use super::*;
use crate::definitions::search_parameter;
use crate::json::{self, Value};
use crate::labels::body::Identity;
use crate::labels::{Confidentiality, Security};
use crate::types::LogicalId;

fn labels(codes: &[&str]) -> Labels {
    codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap())
}

fn up_to(highest: Confidentiality, codes: &[&str]) -> Clearance {
    Clearance::up_to(highest, labels(codes))
}

const NORMAL: Confidentiality = Confidentiality::Normal;

fn list(text: &str) -> Arc<ElementRules> {
    Arc::new(ElementRules::parse(text).unwrap())
}

/// A stored body, shown under a clearance and a list.
fn shown(resource: &str, list_of: &str, clearance: Clearance) -> Value {
    let redactions = Redactions::of(&list(list_of), clearance);
    shown_by(resource, &Showing::by(&redactions))
}

fn shown_by(resource: &str, showing: &Showing<'_>) -> Value {
    let mut value = json::parse(resource.as_bytes()).unwrap_or_else(|error| panic!("{resource}: {error}"));
    let resource_type = ResourceType::parse(value.member("resourceType").unwrap().as_str().unwrap()).unwrap();
    let content = crate::labels::body::take(&mut value, "https://h/fhir");
    let security =
        Security { labels: content.claimed, claimed: content.claimed, residual: content.residual, obliged: content.obliged };
    let id = |text| LogicalId::parse(text).unwrap();
    let (id, version) = (id("a"), id("v"));
    let identity = Identity { resource_type, id: &id, version: &version, last_updated: 0 };
    json::parse(&show(value.to_bytes(), identity, security, showing).unwrap().body).unwrap()
}

fn codes(resource: &Value) -> Vec<&str> {
    let security = resource.member("meta").and_then(|meta| meta.member("security")).map(Value::items).unwrap_or_default();
    security.iter().map(|coding| coding.member("code").unwrap().as_str().unwrap()).collect()
}

fn text(value: &Value) -> String {
    String::from_utf8(value.to_bytes()).unwrap()
}

fn inline(system: &str, code: &str) -> String {
    format!(r#"{{"url":"{}","valueCoding":{{"system":"{system}","code":"{code}"}}}}"#, inline::INLINE_LABEL)
}

fn confidential(code: &str) -> String {
    inline("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", code)
}

#[test]
fn what_the_list_hides_is_gone_and_the_resource_is_marked_whether_it_was_there_or_not() {
    let patient = r#"{"resourceType":"Patient","id":"a","text":{"status":"generated","div":"<div>1-2</div>"},"identifier":[{"value":"1-2"}],
        "name":[{"family":"F","given":["G"]}],"address":[{"line":["Street 1"],"city":"C"}],"birthDate":"1970-01-02","_birthDate":{"id":"b"},
        "extension":[{"url":"urn:race","valueString":"r"},{"url":"urn:other","valueString":"o"}]}"#;
    let hidden = "Patient.identifier Patient.address.line Patient.birthDate -> R\nPatient.extension('urn:race') -> R HIV";
    let seen = shown(patient, hidden, up_to(NORMAL, &[]));
    for gone in ["1-2", "Street", "1970", "birthDate", "race", "div"] {
        assert!(!text(&seen).contains(gone), "{gone}: {}", text(&seen));
    }
    for there in [r#""family":"F""#, r#""city":"C""#, "urn:other"] {
        assert!(text(&seen).contains(there), "{there}: {}", text(&seen));
    }
    assert_eq!(codes(&seen), ["REDACTED"]);
    let without = r#"{"resourceType":"Patient","id":"a","name":[{"family":"F"}]}"#;
    assert_eq!(codes(&shown(without, hidden, up_to(NORMAL, &[]))), ["REDACTED"], "nothing tells whether something was there");
    // Who is cleared sees it: each for the labels of its element.
    let some = shown(patient, hidden, up_to(Confidentiality::Restricted, &[]));
    assert!(text(&some).contains("1-2") && text(&some).contains("Street") && !text(&some).contains("race"));
    let all = shown(patient, hidden, Clearance::FULL);
    assert_eq!(text(&all), text(&json::parse(patient.as_bytes()).unwrap()));
    // A type without rules is not looked at.
    let observation = r#"{"resourceType":"Observation","id":"a","text":{"status":"empty","div":"<div/>"},"status":"final","code":{"text":"c"}}"#;
    assert_eq!(text(&shown(observation, hidden, up_to(NORMAL, &[]))), observation);
}

#[test]
fn a_mandatory_element_says_that_it_is_masked_and_of_a_choice_not_which_one_it_was() {
    let observation =
        r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"s","code":"c"}]},"note":[{"text":"n"}]}"#;
    let seen = shown(observation, "Observation.status Observation.code Observation.note.text -> R", up_to(NORMAL, &[]));
    let absent = r#"{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}"#;
    for there in [format!(r#""_status":{absent}"#), format!(r#""code":{absent}"#), format!(r#""note":[{{"_text":{absent}}}]"#)] {
        assert!(text(&seen).contains(&there), "{there}: {}", text(&seen));
    }
    let request = |medication: &str| {
        let request = format!(r#"{{"resourceType":"MedicationRequest","status":"active","intent":"order",{medication}}}"#);
        text(&shown(&request, "MedicationRequest.medication[x] -> R", up_to(NORMAL, &[])))
    };
    let code = request(r#""medicationCodeableConcept":{"text":"m"}"#);
    assert_eq!(code, request(r#""medicationReference":{"reference":"Medication/m"}"#));
    assert!(code.contains("masked"), "{code}");
}

#[test]
fn a_path_holds_at_any_depth_and_in_contained_resources_and_entries() {
    let response = r#"{"resourceType":"QuestionnaireResponse","status":"completed","item":[{"linkId":"1","answer":[{"valueString":"A1","item":[
        {"linkId":"2","answer":[{"valueString":"A2"}]}]}],"item":[{"linkId":"3","text":"keep","answer":[{"valueString":"A3"}]}]}]}"#;
    let seen = text(&shown(response, "QuestionnaireResponse.item.answer.value[x] -> R", up_to(NORMAL, &[])));
    assert!(!seen.contains("A1") && !seen.contains("A2") && !seen.contains("A3") && seen.contains("keep"), "{seen}");
    let holder = r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"text":{"status":"generated","div":"<div>1-2</div>"},
        "contained":[{"resourceType":"Patient","id":"p","identifier":[{"value":"1-2"}],"gender":"male"}]}"#;
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","identifier":[{"value":"1-2"}],"gender":"male"}}]}"#;
    for holder in [holder, bundle] {
        let seen = shown(holder, "Patient.identifier -> R", up_to(NORMAL, &[]));
        assert!(!text(&seen).contains("1-2") && text(&seen).contains("male"), "{}", text(&seen));
        assert_eq!(codes(&seen), ["REDACTED"]);
    }
}

#[test]
fn no_narrative_stays_around_or_inside_a_resource_of_which_something_is_hidden() {
    let narrative = r#""text":{"status":"generated","div":"<div>1-2</div>"}"#;
    let restricted = confidential("R");
    let labelled =
        format!(r#"{{"resourceType":"Patient",{narrative},"identifier":[{{"extension":[{restricted}],"value":"1-2"}}]}}"#);
    let plain = format!(r#"{{"resourceType":"Patient",{narrative},"identifier":[{{"value":"1-2"}}]}}"#);
    let composition = format!(
        r#"{{"resourceType":"Composition","status":"final","section":[{{"title":"S",{narrative},"code":{{"text":"stays"}},"section":[{{"title":"S",{narrative}}}]}}]}}"#
    );
    for (patient, list_of) in [(&labelled, ""), (&plain, "Patient.identifier -> R")] {
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"document","entry":[{{"resource":{composition}}},{{"resource":{patient}}},{{"resource":{{"resourceType":"Observation","contained":[{patient}],{narrative}}}}}]}}"#
        );
        let seen = shown(&bundle, list_of, up_to(NORMAL, &[]));
        assert!(!text(&seen).contains("1-2") && text(&seen).contains("stays"), "{}", text(&seen));
        assert!(codes(&seen).contains(&"REDACTED"));
        assert!(text(&shown(&bundle, list_of, Clearance::FULL)).contains("<div>1-2</div>"));
    }
    let of_another = shown(&composition, "Patient.identifier -> R", up_to(NORMAL, &[]));
    assert!(text(&of_another).contains("1-2"), "nothing of it is hidden");
}

#[test]
fn a_list_is_refused_with_its_line_and_what_would_be_right() {
    for (text, line, problem) in [
        ("Patient.identifier", 1, "no '->'"),
        ("-> R", 1, "names no element"),
        ("\nPatient -> R", 2, "names no element"),
        ("Patint.name -> R", 1, "'Patint' is no resource type"),
        ("Patient.nam -> R", 1, "no element 'nam'"),
        ("Patient.name. -> R", 1, "no element"),
        ("Patient.name.family.x -> R", 1, "no element 'x'"),
        ("Patient.name('x') -> R", 1, "no element"),
        ("Patient.name -> HIV", 1, "0 confidentialities"),
        ("Patient.name -> N R", 1, "2 confidentialities"),
        ("Patient.name -> R NOREUSE", 1, "neither a confidentiality nor a sensitivity"),
        ("Patient.name -> R AIDS", 1, "'AIDS' is no label"),
        // What decides whose a record is, whom it lets in, or where it stands.
        ("Patient.id -> R", 1, "cannot be redacted"),
        ("Patient.meta -> R", 1, "cannot be redacted"),
        ("Observation.subject -> R", 1, "cannot be redacted"),
        ("Observation.subject.display -> R", 1, "cannot be redacted"),
        ("Observation.effective[x] -> R", 1, "cannot be redacted"),
        ("Encounter.participant.individual -> R", 1, "cannot be redacted"),
        ("Encounter.period -> R", 1, "cannot be redacted"),
        ("Provenance.target -> R", 1, "cannot be redacted"),
        ("AuditEvent.agent -> R", 1, "cannot be redacted"),
        ("Patient.extension.url -> R", 1, "name the extension"),
        ("Patient.name.extension('http://example.org/x').url -> R", 1, "name the extension"),
    ] {
        let error = ElementRules::parse(text).unwrap_err();
        assert!(error.problem.contains(problem) && error.line == line, "{text}: {error}");
        assert!(error.to_string().contains("Patient.identifier Patient.telecom -> R"));
    }
    let good =
        list("# a list\n\nPatient.identifier Patient.telecom -> R\nObservation.value[x] Observation.component.value[x] -> R PSY");
    assert_eq!(good.entries().len(), 4);
}

fn hides(of: &str, clearance: Clearance, resource_type: &str, code: &str) -> bool {
    let of_type = ResourceType::parse(resource_type).unwrap();
    Redactions::of(&list(of), clearance)
        .hides_parameter(of_type, search_parameter(of_type, code).unwrap_or_else(|| panic!("{code}")))
}

#[test]
fn a_parameter_is_hidden_that_looks_at_a_hidden_element_or_into_or_around_it() {
    let normal = up_to(NORMAL, &[]);
    let address = "Patient.address.line -> R";
    for (list, resource_type, code, expected) in [
        ("Patient.identifier -> R", "Patient", "identifier", true),
        ("Patient.identifier -> R", "Patient", "name", false),
        ("Patient.identifier -> R", "Observation", "identifier", false),
        ("Patient.name -> R", "Patient", "family", true),
        ("Patient.name.family -> R", "Patient", "name", true),
        ("Patient.name.family -> R", "Patient", "given", false),
        (address, "Patient", "address", true),
        (address, "Patient", "address-city", false),
        ("Patient.telecom -> R", "Patient", "email", true),
        ("Patient.telecom.system -> R", "Patient", "phone", true),
        ("Observation.value[x] -> R", "Observation", "value-quantity", true),
        ("Observation.value[x] -> R", "Observation", "combo-value-quantity", true),
        ("Observation.value[x] -> R", "Observation", "code-value-quantity", true),
        ("Observation.component.value[x] -> R", "Observation", "component-code-value-quantity", true),
        ("Observation.component.value[x] -> R", "Observation", "value-quantity", false),
        ("Patient.deceased[x] -> R", "Patient", "death-date", true),
        ("Patient.deceased[x] -> R", "Patient", "deceased", true),
        ("Encounter.location -> R", "Encounter", "location", true),
        ("Encounter.location.location -> R", "Encounter", "location-period", false),
        ("Patient.gender -> R", "Patient", "_id", false),
    ] {
        assert_eq!(hides(list, normal, resource_type, code), expected, "{list}: {resource_type}.{code}");
        assert!(!hides(list, Clearance::FULL, resource_type, code));
        assert!(!hides(list, up_to(Confidentiality::Restricted, &[]), resource_type, code));
    }
}

#[test]
fn a_search_is_refused_by_the_first_parameter_that_looks_at_something_hidden_wherever_it_stands() {
    use crate::search::{Handling, SearchContext, parse};
    let redactions = Redactions::of(&list("Patient.identifier -> R\nObservation.performer -> R"), up_to(NORMAL, &[]));
    let context = SearchContext { base_url: "https://fhir.example", handling: Handling::Strict, now_ms: 0 };
    for (resource_type, query, expected) in [
        ("Patient", "name=x", None),
        ("Patient", "identifier=x", Some("identifier")),
        ("Patient", "identifier:missing=true", Some("identifier")),
        ("Patient", "identifier:not=x", Some("identifier")),
        ("Patient", "name=x&_sort=-identifier", Some("identifier")),
        ("Observation", "subject:Patient.identifier=x", Some("identifier")),
        ("Observation", "patient.name=x", None),
        ("Observation", "performer:Practitioner.name=x", Some("performer")),
        ("Encounter", "subject:Patient._has:Observation:performer:code=x", Some("performer")),
        ("Practitioner", "_has:Observation:performer:code=x", Some("performer")),
        ("Patient", "_has:Observation:patient:code=x", None),
        ("Observation", "_include=Observation:performer", Some("performer")),
        ("Observation", "_include=Observation:patient", None),
        ("Observation", "_include=Observation:*", Some("performer")),
        ("Practitioner", "_revinclude=Observation:performer", Some("performer")),
        ("Encounter", "_include=Encounter:patient&_revinclude:iterate=Observation:performer", Some("performer")),
    ] {
        let pairs = crate::query::parse(query.as_bytes()).unwrap();
        let query = parse(ResourceType::parse(resource_type).unwrap(), &pairs, &context)
            .unwrap_or_else(|issues| panic!("{query}: {issues:?}"));
        let hidden = Redactions::hidden_in(&query, &|of, parameter| redactions.hides_parameter(of, parameter), &|_| false);
        assert_eq!(hidden.map(|(_, parameter)| parameter.code), expected, "{query:?}");
    }
}

#[test]
fn of_several_ways_to_see_a_record_one_counts_and_nobody_sees_more_than_that_one_shows() {
    let rules = list(
        "Patient.identifier -> R HIV\nPatient.telecom -> R PSY\nPatient.photo -> V\nPatient.name -> N HIV PSY\nPatient.name.family -> R SEX",
    );
    let of = |codes: &[&str]| Redactions::of(&rules, up_to(Confidentiality::Restricted, codes));
    let [none, hiv, psychiatry, both] = [of(&[]), of(&["HIV"]), of(&["PSY"]), of(&["HIV", "PSY"])];
    let patient = r#"{"resourceType":"Patient","identifier":[{"value":"one"}],"name":[{"family":"four","given":["five"]}],"telecom":[{"value":"two"}],"photo":[{"title":"three"}]}"#;
    let seen = |ways: &[&Redactions]| {
        let mut showing = Showing::by(ways[0]);
        ways.iter().for_each(|way| showing.or(way));
        text(&shown_by(patient, &showing))
    };
    let each: Vec<String> = [&none, &hiv, &psychiatry, &both].map(|way| seen(&[way])).into();
    let full = Redactions::none();
    for (ways, expected) in [
        (vec![&none, &hiv], &each[1]),
        (vec![&psychiatry, &none], &each[2]),
        (vec![&none, &both, &hiv], &each[3]),
        (vec![&both, &full], &text(&json::parse(patient.as_bytes()).unwrap())),
    ] {
        assert_eq!(&seen(&ways), expected);
        assert_eq!(&seen(&ways.iter().rev().copied().collect::<Vec<_>>()), expected, "in any order");
    }
    // Two of which neither shows all of the other, and a name of which one hides all and the other a part.
    let either = seen(&[&hiv, &psychiatry]);
    assert_eq!(either, seen(&[&psychiatry, &hiv]));
    assert!(each[1..3].contains(&either), "{either}");
    assert!(!each[3].contains("four") && each[3].contains("five"), "{}", each[3]);
    // What one shows without names the other does not make whole.
    let nameless = Redactions::of(&rules, Clearance::FULL.deidentified());
    for ways in [[&nameless, &hiv], [&hiv, &nameless]] {
        assert_eq!(seen(&ways), each[1]);
    }
}

#[test]
fn an_element_is_hidden_by_its_own_label_from_whoever_is_not_cleared() {
    let restricted = confidential("R");
    let patient = format!(
        r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div>ssn</div>"}},"identifier":[{{"extension":[{restricted}],"value":"ssn"}},{{"value":"open"}}],
        "birthDate":"1970-01-02","_birthDate":{{"extension":[{restricted}]}},"name":[{{"given":["Open","Shut"],"_given":[null,{{"extension":[{restricted}]}}]}}]}}"#
    );
    let seen = shown(&patient, "", up_to(NORMAL, &[]));
    assert!(!text(&seen).contains("ssn") && !text(&seen).contains("1970") && !text(&seen).contains("Shut"), "{}", text(&seen));
    assert!(text(&seen).contains("open") && text(&seen).contains("Open"), "{}", text(&seen));
    assert_eq!(codes(&seen), ["PROCESSINLINELABEL", "REDACTED"]);
    let all = shown(&patient, "", Clearance::FULL);
    assert!(text(&all).contains("ssn") && text(&all).contains("1970") && text(&all).contains("Shut"), "{}", text(&all));
    assert_eq!(codes(&all), ["R", "PROCESSINLINELABEL"], "the highest protection of what is there");
    let cleared = shown(&patient, "", up_to(Confidentiality::Restricted, &[]));
    assert_eq!(cleared, all);
}

#[test]
fn a_label_inside_an_extension_of_a_primitive_hides_what_it_is_on_and_not_the_primitive() {
    let restricted = confidential("R");
    let value = format!(r#"{{"url":"urn:v","valueCoding":{{"extension":[{restricted}],"code":"secret"}}}}"#);
    let nested = format!(r#"{{"url":"urn:n","extension":[{restricted},{{"url":"urn:i","valueString":"secret"}}]}}"#);
    let open = r#"{"url":"urn:o","valueString":"open"}"#;
    for (of_one, of_several) in [(&value, &nested), (&nested, &value)] {
        let patient = format!(
            r#"{{"resourceType":"Patient","birthDate":"1970-01-02","_birthDate":{{"extension":[{of_one},{open}]}},
            "name":[{{"given":["A","B"],"_given":[null,{{"extension":[{of_several},{open}]}}]}}]}}"#
        );
        let seen = shown(&patient, "", up_to(NORMAL, &[]));
        assert!(!text(&seen).contains("secret"), "{}", text(&seen));
        for there in ["1970-01-02", "open", r#"["A","B"]"#] {
            assert!(text(&seen).contains(there), "{there}: {}", text(&seen));
        }
        assert_eq!(codes(&seen), ["PROCESSINLINELABEL", "REDACTED"]);
        assert!(text(&shown(&patient, "", Clearance::FULL)).contains("secret"));
        let indexed = indexable(&json::parse(patient.as_bytes()).unwrap()).unwrap();
        assert!(!text(&indexed).contains("secret"));
    }
}

#[test]
fn a_path_leads_on_behind_an_extension_of_a_url_and_into_no_other() {
    let race =
        r#"{"url":"urn:race","extension":[{"url":"urn:detail","valueString":"secret"},{"url":"urn:text","valueString":"open"}]}"#;
    let other = r#"{"url":"urn:other","extension":[{"url":"urn:detail","valueString":"of another"}]}"#;
    let simple = r#"{"url":"urn:simple","valueCoding":{"code":"secret","display":"seen"}}"#;
    let patient = format!(r#"{{"resourceType":"Patient","gender":"male","extension":[{race},{other},{simple}]}}"#);
    let list_of = "Patient.extension('urn:race').extension('urn:detail') -> R\nPatient.extension('urn:simple').valueCoding -> R";
    assert!(ElementRules::parse(list_of).is_err(), "a choice is named as the specification names it");
    let list_of = "Patient.extension('urn:race').extension('urn:detail') Patient.extension('urn:simple').value[x].code -> R";
    let seen = text(&shown(&patient, list_of, up_to(NORMAL, &[])));
    assert!(!seen.contains("secret"), "{seen}");
    for there in ["urn:race", "open", "of another", "urn:simple", "seen"] {
        assert!(seen.contains(there), "{there}: {seen}");
    }
    let of_race = text(&shown(&patient, "Patient.extension('urn:race').extension.value[x] -> R", up_to(NORMAL, &[])));
    assert!(!of_race.contains("open") && of_race.contains("urn:text") && of_race.contains("of another"), "{of_race}");
}

#[test]
fn a_label_on_an_element_that_nobody_understands_hides_it_from_all_but_who_sees_everything() {
    let patient = |label: &str| {
        format!(r#"{{"resourceType":"Patient","gender":"male","identifier":[{{"extension":[{label}],"value":"x"}}]}}"#)
    };
    let unknown = patient(&inline("urn:own", "SECRET"));
    let empty = patient(&format!(r#"{{"url":"{}"}}"#, inline::INLINE_LABEL));
    for patient in [unknown, empty] {
        let nearly = shown(&patient, "", up_to(Confidentiality::VeryRestricted, &["HIV"]));
        assert!(!text(&nearly).contains("identifier"), "{}", text(&nearly));
        assert!(text(&shown(&patient, "", Clearance::FULL)).contains("identifier"));
    }
    let masked = patient(&inline("http://terminology.hl7.org/CodeSystem/v3-ActCode", "MASK"));
    let seen = shown(&masked, "", up_to(NORMAL, &[]));
    assert!(text(&seen).contains(r#""identifier":[{"extension""#) && text(&seen).contains("masked"), "{}", text(&seen));
}

#[test]
fn a_label_on_what_cannot_be_left_out_counts_for_the_whole() {
    let restricted = confidential("R");
    for (resource, raised) in [
        (
            format!(r#"{{"resourceType":"Observation","subject":{{"extension":[{restricted}],"reference":"Patient/p"}}}}"#),
            vec!["R"],
        ),
        (format!(r#"{{"resourceType":"Observation","extension":[{restricted}]}}"#), vec!["R"]),
        (
            format!(r#"{{"resourceType":"Observation","contained":[{{"resourceType":"Patient","extension":[{restricted}]}}]}}"#),
            vec!["R"],
        ),
        (
            format!(
                r#"{{"resourceType":"Observation","contained":[{{"resourceType":"Observation","subject":{{"extension":[{restricted}]}}}}]}}"#
            ),
            vec!["R"],
        ),
        (
            format!(
                r#"{{"resourceType":"Observation","contained":[{{"resourceType":"Observation","note":[{{"extension":[{restricted}]}}]}}]}}"#
            ),
            vec![],
        ),
        (format!(r#"{{"resourceType":"Observation","note":[{{"extension":[{restricted}],"text":"n"}}]}}"#), vec![]),
    ] {
        let content = crate::labels::body::take(&mut json::parse(resource.as_bytes()).unwrap(), "https://h/fhir");
        assert!(content.claimed.contains(Labels::INLINE), "{resource}");
        let raised_to: Vec<&str> = content.claimed.lasting().codings().map(|(_, code, _)| code).collect();
        assert_eq!(raised_to, raised, "{resource}");
    }
    // An element in a contained resource that can be left out is, and one that cannot stays under the label of the whole.
    let nested = format!(
        r#"{{"resourceType":"Observation","contained":[{{"resourceType":"Observation","note":[{{"extension":[{restricted}],"text":"n"}}],"subject":{{"extension":[{restricted}],"reference":"Patient/p"}}}}]}}"#
    );
    let seen = text(&shown(&nested, "", up_to(NORMAL, &[])));
    assert!(!seen.contains("\"note\"") && seen.contains("Patient/p"), "{seen}");
}

#[test]
fn what_may_be_hidden_from_somebody_is_indexed_for_nobody() {
    let restricted = confidential("R");
    let normal = confidential("N");
    let patient = |label: &str| {
        format!(r#"{{"resourceType":"Patient","identifier":[{{"extension":[{label}],"value":"x"}}],"gender":"male"}}"#)
    };
    let of = |text: &str| indexable(&json::parse(text.as_bytes()).unwrap()).map(|value| self::text(&value));
    assert_eq!(of(&patient(&restricted)).unwrap(), r#"{"resourceType":"Patient","gender":"male"}"#);
    let hidden = r#"{"resourceType":"Patient","gender":"male"}"#;
    assert_eq!(of(&patient(&normal)).unwrap(), hidden, "every clearance reaches it, and a consent may keep it");
    assert_eq!(of(r#"{"resourceType":"Patient","identifier":[{"value":"x"}]}"#), None);
    let obliged = r#"{"resourceType":"Patient","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"DEID"}]},"birthDate":"1970-01-02","name":[{"family":"F"}]}"#;
    let indexed = of(obliged).unwrap();
    assert!(indexed.contains("\"1970\"") && !indexed.contains("name"), "{indexed}");
}

const NAMED: &str = r##"{"resourceType":"Patient","id":"a","meta":{"versionId":"v"},"text":{"status":"generated","div":"<div>Ann</div>"},"extension":[{"url":"urn:x","valueString":"Ann"}],
    "contained":[{"resourceType":"Practitioner","id":"d","name":[{"family":"Ann"}],"gender":"male"}],
    "identifier":[{"value":"Ann"}],"name":[{"family":"Ann"}],"telecom":[{"value":"Ann"}],"gender":"female","birthDate":"1970-01-02","_birthDate":{"extension":[{"url":"u","valueString":"Ann"}]},
    "address":[{"city":"Ann"}],"maritalStatus":{"coding":[{"system":"s","code":"M","display":"Married"}],"text":"Ann"},"photo":[{"title":"Ann"}],
    "contact":[{"name":{"family":"Ann"},"gender":"male"}],"generalPractitioner":[{"reference":"#d","display":"Ann","identifier":{"value":"Ann"}}],
    "managingOrganization":{"reference":"Organization/o"}}"##;

#[test]
fn a_purpose_that_wants_it_gets_a_resource_without_what_names_somebody() {
    let seen = shown(NAMED, "", Clearance::FULL.deidentified());
    assert!(!text(&seen).contains("Ann"), "{}", text(&seen));
    for there in ["\"birthDate\":\"1970\"", "female", "\"male\"", "Married", "#d", "Organization/o", "\"id\":\"a\"", "versionId"]
    {
        assert!(text(&seen).contains(there), "{there}: {}", text(&seen));
    }
    assert_eq!(codes(&seen), ["PSEUDED"]);
    let note = r#"{"resourceType":"Observation","status":"final","code":{"text":"Ann"},"note":[{"text":"Ann"}],"valueString":"Ann","effectiveDateTime":"2020-05-06T01:02:03Z","issued":"2020-05-06T01:02:03Z"}"#;
    let seen = text(&shown(note, "", up_to(NORMAL, &[]).deidentified()));
    assert!(
        !seen.contains("Ann")
            && !seen.contains("issued")
            && seen.contains(r#""effectiveDateTime":"2020""#)
            && seen.contains("masked"),
        "{seen}"
    );
}

#[test]
fn without_names_a_version_says_its_year_and_neither_where_it_came_from_nor_who_tagged_it() {
    let label = r#"{"extension":[{"url":"urn:x","valueString":"Ann"}],"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}"#;
    let patient = format!(
        r#"{{"resourceType":"Patient","id":"a","meta":{{"extension":[{{"url":"urn:x","valueString":"Ann"}}],"versionId":"v","lastUpdated":"2024-05-06T07:08:09.010+02:00","source":"urn:Ann",
        "profile":["http://example.org/profile"],"security":[{label}],"tag":[{{"system":"urn:Ann","code":"c"}}]}},"gender":"male"}}"#
    );
    let seen = shown(&patient, "", Clearance::FULL.deidentified());
    assert!(!text(&seen).contains("Ann") && !text(&seen).contains("05-06"), "{}", text(&seen));
    for there in
        [r#""lastUpdated":"2024-01-01T00:00:00.000Z""#, r#""versionId":"v""#, "http://example.org/profile", r#""code":"HIV""#]
    {
        assert!(text(&seen).contains(there), "{there}: {}", text(&seen));
    }
    let study = r#"{"resourceType":"ImagingStudy","id":"a","status":"available","subject":{"reference":"Patient/p"},"endpoint":[{"reference":"Endpoint/e"}],
        "series":[{"uid":"2.16.124.113543.6003","modality":{"system":"s","code":"CT"},"started":"2024-05-06"}]}"#;
    let seen = text(&shown(study, "", Clearance::FULL.deidentified()));
    assert!(!seen.contains("113543") && !seen.contains("05-06") && seen.contains("masked") && seen.contains("\"CT\""), "{seen}");
    let endpoint = r#"{"resourceType":"Endpoint","status":"active","connectionType":{"code":"c"},"payloadType":[{"text":"t"}],"address":"https://ann.example"}"#;
    assert!(!text(&shown(endpoint, "", Clearance::FULL.deidentified())).contains("ann.example"));
}

#[test]
fn an_obligation_in_the_resource_is_executed_for_whoever_is_not_cleared_for_everything() {
    for (code, mark) in [("DEID", "PSEUDED"), ("REDACT", "REDACTED"), ("MASK", "MASKED")] {
        let coding = format!(r#"{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{code}"}}"#);
        let obliged = NAMED.replacen(r#""versionId":"v""#, &format!(r#""versionId":"v","security":[{coding}]"#), 1);
        let seen = shown(&obliged, "", up_to(NORMAL, &[]));
        assert!(!text(&seen).contains("Ann"), "{}", text(&seen));
        assert!(codes(&seen).contains(&mark) && codes(&seen).contains(&code), "the obligation is passed on: {:?}", codes(&seen));
        assert!(text(&shown(&obliged, "", Clearance::FULL)).contains("Ann"));
    }
}

#[test]
fn without_names_nothing_is_searched_that_is_left_out_or_made_coarser() {
    let redactions = Redactions::of(&list(""), Clearance::FULL.deidentified());
    for (resource_type, code, expected) in [
        ("Patient", "name", true),
        ("Patient", "identifier", true),
        ("Patient", "birthdate", true),
        ("Patient", "address-city", true),
        ("Patient", "email", true),
        ("Patient", "gender", false),
        ("Patient", "_lastUpdated", true),
        ("Patient", "_tag", true),
        ("Patient", "_source", true),
        ("Patient", "_profile", false),
        ("Patient", "_security", false),
        ("Patient", "_id", false),
        ("Observation", "code", false),
        ("Observation", "patient", false),
        ("Observation", "date", true),
        ("Observation", "value-string", true),
        ("Observation", "value-quantity", false),
        ("Observation", "code-value-quantity", true),
    ] {
        let of_type = ResourceType::parse(resource_type).unwrap();
        assert_eq!(redactions.hides_parameter(of_type, search_parameter(of_type, code).unwrap()), expected, "{code}");
    }
}

/// Whatever a parameter finds in a resource, it finds no more where the elements that hide it are hidden: the judgement by paths agrees with what is indexed.
#[test]
fn a_parameter_that_is_not_hidden_finds_the_same_in_what_is_shown() {
    let base = "https://fhir.example";
    let resources = [
        r#"{"resourceType":"Patient","identifier":[{"system":"s","value":"v"}],"name":[{"family":"F","given":["G"]}],"telecom":[{"system":"phone","value":"1"}],"gender":"male",
            "birthDate":"1970-01-02","deceasedBoolean":true,"address":[{"line":["L"],"city":"C","postalCode":"P"}],"generalPractitioner":[{"reference":"Practitioner/p"}],
            "communication":[{"language":{"coding":[{"system":"l","code":"es"}]}}],"managingOrganization":{"reference":"Organization/o"},"active":true}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"c","code":"1"}]},"category":[{"coding":[{"system":"k","code":"2"}]}],
            "subject":{"reference":"Patient/p"},"performer":[{"reference":"Practitioner/d"}],"effectiveDateTime":"2020","valueQuantity":{"value":5,"unit":"mg"},
            "component":[{"code":{"coding":[{"system":"c","code":"3"}]},"valueQuantity":{"value":6}}],"method":{"coding":[{"code":"m"}]},"device":{"reference":"Device/x"}}"#,
    ];
    let mut refused = 0;
    for resource in resources {
        let value = json::parse(resource.as_bytes()).unwrap();
        let of_type = ResourceType::parse(value.member("resourceType").unwrap().as_str().unwrap()).unwrap();
        let hiding = |element: &&'static str| {
            let rules = ElementRules::parse(&format!("{of_type}.{element} -> R")).ok()?;
            Some((*element, Redactions::of(&Arc::new(rules), up_to(NORMAL, &[]))))
        };
        let nameless = ("no names", Redactions::of(&list(""), Clearance::FULL.deidentified()));
        let all = crate::definitions::all_elements(of_type).iter().filter_map(hiding);
        for (element, redactions) in all.chain([nameless]) {
            let seen = shown_by(resource, &Showing::by(&redactions));
            for parameter in crate::definitions::search_parameters(of_type) {
                if redactions.hides_parameter(of_type, parameter) {
                    refused += 1;
                    continue;
                }
                let found = |value: &Value| crate::index::extract_some((value, of_type), base, |one| one.key == parameter.key);
                if parameter.code != "_security" {
                    assert_eq!(found(&value), found(&seen), "{element} {}", parameter.code);
                }
            }
        }
    }
    assert!(refused > 20, "{refused}");
}
