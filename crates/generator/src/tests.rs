//! What every generated data set must hold: valid R4, references that resolve, no mixing of patients, and realistic shares.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DEMO_SEED, Date, GeneratedResource, Options, chart, generate, people, practitioner_ids, practitioners};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::resource::Resource;

fn options(patients: u32, seed: u64) -> Options {
    Options { patients, seed, as_of: Date::constant(2026, 10, 1) }
}

fn parsed(resource: &GeneratedResource) -> Resource {
    Resource::parse(resource.json.as_bytes()).unwrap_or_else(|issues| panic!("{}: {issues:?}", resource.id))
}

/// The tree alone, where validity is not the question: much quicker.
fn tree(resource: &GeneratedResource) -> Value {
    json::parse(resource.json.as_bytes()).unwrap_or_else(|error| panic!("{}: {error:?}", resource.id))
}

/// Every `reference` below a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if &**name == "reference" => found.push(text.to_owned()),
                    _ => references(member, found),
                }
            }
        }
        _ => {}
    }
}

/// The same from the text alone, which is quicker.
fn references_of(resource: &GeneratedResource) -> Vec<String> {
    let starts = resource.json.split("\"reference\":\"").skip(1);
    starts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

fn profiles_of(resource: &GeneratedResource) -> Vec<String> {
    let list = resource.json.split_once("\"profile\":[").map(|(_, rest)| rest.split(']').next().unwrap()).unwrap_or_default();
    list.split(',')
        .filter(|url| !url.is_empty())
        .map(|url| url.trim_matches('"').rsplit('/').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_resource_is_structurally_valid_r4_under_its_own_id() {
    for seed in [0, 1, u64::MAX] {
        let mut ids = BTreeSet::new();
        for resource in generate(&options(20, seed)) {
            let parsed = parsed(&resource);
            assert_eq!(parsed.resource_type().to_string(), resource.resource_type);
            assert_eq!(parsed.id().map(ToString::to_string).as_deref(), Some(resource.id.as_str()));
            assert!(ids.insert((resource.resource_type, resource.id.clone())), "{} twice", resource.id);
            assert!(!resource.json.contains('\n'));
            let mut found = Vec::new();
            references(parsed.body(), &mut found);
            assert_eq!(found, references_of(&resource));
        }
    }
}

#[test]
fn every_reference_points_to_a_resource_that_came_before() {
    let mut seen = BTreeSet::new();
    // More than 200 patients, so that a second region is used.
    for resource in generate(&options(210, 5)) {
        for reference in references_of(&resource) {
            assert!(seen.contains(&reference), "{}/{} -> {reference}", resource.resource_type, resource.id);
        }
        seen.insert(format!("{}/{}", resource.resource_type, resource.id));
    }
}

#[test]
fn no_resource_of_a_chart_names_another_patient() {
    for number in 1..=30 {
        let own = format!("Patient/pat-{number:04}-s9");
        for resource in chart(&options(30, 9), number) {
            let others =
                references_of(&resource).into_iter().find(|reference| reference.starts_with("Patient/") && *reference != own);
            assert_eq!(others, None, "{}", resource.id);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let first: Vec<GeneratedResource> = generate(&options(12, 3)).collect();
    let second: Vec<GeneratedResource> = generate(&options(12, 3)).collect();
    assert!(first == second);
    assert!(!generate(&options(12, 4)).eq(first));
}

#[test]
fn two_seeds_have_no_id_and_no_record_number_in_common() {
    let ids = |seed| generate(&options(3, seed)).map(|resource| (resource.resource_type, resource.id)).collect::<BTreeSet<_>>();
    let numbers = |seed| {
        let patients: Vec<String> = (1..=3).map(|number| chart(&options(3, seed), number)[0].json.clone()).collect();
        let value = |part: &str| part.split('"').next().unwrap().to_owned();
        patients
            .iter()
            .flat_map(|json| json.split("\"value\":\"").skip(1).take(2).map(value).collect::<Vec<_>>())
            .collect::<BTreeSet<_>>()
    };
    for (one, other) in [(DEMO_SEED, 1), (1, 2), (1, 11)] {
        assert!(ids(one).is_disjoint(&ids(other)), "{one} {other}");
        assert!(numbers(one).len() == 6 && numbers(one).is_disjoint(&numbers(other)), "{:?} {:?}", numbers(one), numbers(other));
    }
    assert!(ids(DEMO_SEED).contains(&("Patient", "pat-0001".to_owned())));
}

/// The days that a value names under these members, each with the member.
fn days<'v>(value: &'v Value, names: &[&str], found: &mut Vec<(String, &'v str)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| days(item, names, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if names.contains(&&**name) && text.len() >= 10 => found.push((name.to_string(), &text[..10])),
                    _ => days(member, names, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_happens_before_birth_or_after_death() {
    let names = ["effectiveDateTime", "performedDateTime", "occurrenceDateTime", "authoredOn", "onsetDateTime", "issued"];
    let mut dead = 0;
    let options = options(150, 4);
    for number in 1..=options.patients {
        let chart = chart(&options, number);
        let patient = tree(&chart[0]);
        let born = patient.member("birthDate").and_then(Value::as_str).unwrap().to_owned();
        let died = patient.member("deceasedDateTime").and_then(Value::as_str).map(|text| text[..10].to_owned());
        dead += u32::from(died.is_some());
        for resource in &chart[1..] {
            let body = tree(resource);
            let mut found = Vec::new();
            days(&body, &names, &mut found);
            if resource.resource_type == "Encounter" && body.member("status").and_then(Value::as_str) != Some("planned") {
                days(body.member("period").unwrap(), &["start", "end"], &mut found);
            }
            for (name, day) in found {
                assert!(day >= born.as_str(), "{} {name} {day} before the birth {born}", resource.id);
                if let Some(died) = &died {
                    assert!(day <= died.as_str(), "{} {name} {day} after the death {died}", resource.id);
                }
            }
        }
    }
    assert!(dead > 0, "somebody has died");
}

#[test]
fn ages_and_sexes_are_those_of_a_population() {
    let options = options(2000, 3);
    let all = people(&options);
    let age = |person: &crate::PersonSummary| options.as_of.year() - person.birth_date.year();
    let share = |low: i16, high: i16| all.iter().filter(|person| (low..high).contains(&age(person))).count() * 100 / all.len();
    assert!((15..=25).contains(&share(0, 18)), "{}", share(0, 18));
    assert!((45..=65).contains(&share(18, 65)), "{}", share(18, 65));
    assert!((15..=30).contains(&share(65, 120)), "{}", share(65, 120));
    assert!(all.iter().all(|person| (0..=95).contains(&age(person)) && person.birth_date < options.as_of));
}

#[test]
fn who_provides_a_service_is_named_as_the_directory_names_it() {
    let resources: BTreeMap<String, Value> = generate(&options(10, 1))
        .map(|resource| (format!("{}/{}", resource.resource_type, resource.id), tree(&resource)))
        .collect();
    let mut named = 0;
    for (id, body) in resources.iter().filter(|(id, _)| id.starts_with("Encounter/")) {
        let provider = body.member("serviceProvider").unwrap();
        let reference = provider.member("reference").and_then(Value::as_str).unwrap();
        assert_eq!(provider.member("display"), resources[reference].member("name"), "{id}");
        named += 1;
    }
    assert!(named > 20);
}

#[test]
fn the_bytes_are_those_of_every_other_machine_and_version() {
    let mut stream = generate(&options(1, 1));
    let first = stream.next().unwrap().json;
    assert_eq!(first, include_str!("../golden/first.json").trim_end());
    let patient = stream.find(|resource| resource.resource_type == "Patient").unwrap().json;
    assert_eq!(patient, include_str!("../golden/patient.json").trim_end());
}

#[test]
fn a_chart_does_not_depend_on_how_many_patients_are_asked_for() {
    let many: Vec<GeneratedResource> = generate(&options(9, 2)).collect();
    let alone = chart(&options(1, 2), 9);
    assert!(many.ends_with(&alone));
    assert_eq!(alone[0].id, "pat-0009-s2");
}

#[test]
fn the_first_charts_show_everything_that_a_demonstration_needs() {
    for seed in 0..12 {
        let of = |number| chart(&options(4, seed), number);
        let types: BTreeSet<&str> = of(1).iter().map(|resource| resource.resource_type).collect();
        let expected = [
            "AllergyIntolerance",
            "CarePlan",
            "CareTeam",
            "Condition",
            "Coverage",
            "DiagnosticReport",
            "DocumentReference",
            "Encounter",
            "ExplanationOfBenefit",
            "Goal",
            "Immunization",
            "MedicationRequest",
            "Observation",
            "Patient",
            "Procedure",
            "Provenance",
            "RelatedPerson",
            "ServiceRequest",
        ];
        assert_eq!(types, BTreeSet::from(expected), "seed {seed}");
        let profiles = |number| of(number).iter().flat_map(profiles_of).collect::<BTreeSet<String>>();
        let first = profiles(1);
        for kind in ["Inpatient-Institutional", "Outpatient-Institutional", "Professional-NonClinician", "Pharmacy", "Oral"] {
            assert!(first.contains(&format!("C4BB-ExplanationOfBenefit-{kind}|2.0.0")), "seed {seed} lacks {kind}");
        }
        assert!(of(2).iter().any(|resource| resource.json.contains("\"44249-1\"")), "seed {seed}: no PHQ-9");
        let fourth = profiles(4);
        for name in ["reassessment-timepoints-encounter", "WoundAssert", "WoundSize", "WoundRelatedObservationsPanel"] {
            assert!(fourth.contains(name), "seed {seed} lacks {name}");
        }
    }
}

#[test]
fn timepoints_are_part_of_the_facility_stay_and_based_on_its_order() {
    let chart = chart(&options(4, 1), 4);
    let timepoints: Vec<Value> = chart
        .iter()
        .filter(|resource| profiles_of(resource).contains(&"reassessment-timepoints-encounter".to_owned()))
        .map(tree)
        .collect();
    assert!(timepoints.len() >= 3, "admission, at least one re-assessment, discharge");
    let text = |value: &Value, name: &str| {
        let member = value.member(name).unwrap();
        let reference = member.items().first().unwrap_or(member);
        reference.member("reference").and_then(Value::as_str).unwrap().to_owned()
    };
    for timepoint in &timepoints {
        assert_eq!(text(timepoint, "partOf"), text(&timepoints[0], "partOf"));
        assert_eq!(text(timepoint, "basedOn"), text(&timepoints[0], "basedOn"));
        assert!(text(timepoint, "partOf").starts_with("Encounter/"));
        assert!(text(timepoint, "basedOn").starts_with("ServiceRequest/"));
    }
}

#[test]
fn has_sensitive_says_what_the_chart_holds() {
    let codes = [
        "\"F10.",
        "\"F11.",
        "\"F12.",
        "\"F14.",
        "\"F32.",
        "\"F41.",
        "\"F43.",
        "\"B20\"",
        "\"44249-1\"",
        "\"44261-6\"",
        "\"20447-9\"",
        "\"24467-3\"",
        "med-sertraline",
        "med-buprenorphine",
        "med-naltrexone",
        "med-bictegravir",
    ];
    let options = options(150, 6);
    let mut sensitive = 0;
    for (number, person) in (1..).zip(people(&options)) {
        let chart = chart(&options, number);
        let found = chart.iter().any(|resource| codes.iter().any(|code| resource.json.contains(code)));
        assert_eq!(found, person.has_sensitive, "{}", person.patient_id);
        sensitive += u32::from(found);
    }
    assert!((18..=42).contains(&sensitive), "{sensitive} of 150");
}

#[test]
fn the_first_practitioner_has_a_panel_of_some_patients_and_not_the_second() {
    for seed in 0..6 {
        let options = options(50, seed);
        let me = format!("Practitioner/{}", practitioner_ids(&options)[0]);
        let mut panel = BTreeSet::new();
        for number in 1..=options.patients {
            let names_me = |resource: &GeneratedResource| {
                matches!(resource.resource_type, "Encounter" | "CareTeam") && references_of(resource).contains(&me)
            };
            if chart(&options, number).iter().any(names_me) {
                panel.insert(number);
            }
        }
        assert!(panel.contains(&1) && !panel.contains(&2), "seed {seed}: {panel:?}");
        assert!((3..=25).contains(&panel.len()), "seed {seed}: {panel:?}");
    }
}

#[test]
fn summaries_agree_with_the_resources() {
    let options = options(12, 8);
    let resources: BTreeMap<String, Value> = generate(&options).map(|resource| (resource.id.clone(), tree(&resource))).collect();
    let name = |id: &str| {
        let name = &resources[id].member("name").unwrap().items()[0];
        let given = name.member("given").unwrap().items()[0].as_str().unwrap();
        (given.to_owned(), name.member("family").and_then(Value::as_str).unwrap().to_owned())
    };
    for person in people(&options) {
        assert_eq!(name(&person.patient_id), (person.given, person.family));
        let birth_date = resources[&person.patient_id].member("birthDate").and_then(Value::as_str).unwrap();
        assert_eq!(birth_date, person.birth_date.to_string());
        let mut found = Vec::new();
        references(resources[&person.patient_id].member("generalPractitioner").unwrap(), &mut found);
        assert_eq!(found, [format!("Practitioner/{}", person.general_practitioner_id)]);
        assert!(!person.related_persons.is_empty());
        for relative in person.related_persons {
            assert_eq!(name(&relative.id), (relative.given, relative.family));
        }
    }
    assert_eq!(practitioners(&options).len(), practitioner_ids(&options).len());
    for practitioner in practitioners(&options) {
        assert_eq!(name(&practitioner.id), (practitioner.given, practitioner.family));
    }
}

#[test]
fn charts_have_a_realistic_size_and_every_profile_occurs() {
    let options = options(200, 1);
    let mut sizes = Vec::new();
    let mut profiles = BTreeSet::new();
    for number in 1..=options.patients {
        let chart = chart(&options, number);
        sizes.push(chart.len());
        profiles.extend(chart.iter().flat_map(profiles_of));
    }
    let average = sizes.iter().sum::<usize>() / sizes.len();
    assert!((80..=120).contains(&average), "{average} resources on average");
    assert!(sizes.iter().all(|size| (12..=320).contains(size)), "{sizes:?}");
    let listed: BTreeSet<String> = crate::profiles().map(|(_, url)| url.rsplit('/').next().unwrap().to_owned()).collect();
    let of_directory: BTreeSet<String> = crate::directory(&options).flat_map(|resource| profiles_of(&resource)).collect();
    assert_eq!(listed, &profiles | &of_directory, "what a demo says that it has is what there is");
    // 29 of US Core, 8 of CARIN (5 of ExplanationOfBenefit), 1 of PACIO, 11 of the wound guide, 2 of PCF.
    assert_eq!(profiles.len(), 51, "{profiles:#?}");
}

/// Cents of the amount that stands under an adjudication category.
fn cents(entries: &[Value], category: &str) -> i64 {
    let is_category = |entry: &&Value| {
        let coding = entry.member("category").and_then(|concept| concept.member("coding")).map(Value::items).unwrap_or_default();
        coding.iter().any(|coding| coding.member("code").and_then(Value::as_str) == Some(category))
    };
    let entry = entries.iter().find(is_category).unwrap();
    let written = entry.member("amount").and_then(|amount| amount.member("value")).and_then(Value::as_number).unwrap();
    let (whole, places) = written.split_once('.').unwrap();
    assert_eq!(places.len(), 2, "money has two places: {written}");
    format!("{whole}{places}").parse().unwrap()
}

#[test]
fn totals_of_a_claim_are_the_sums_of_its_lines() {
    let mut checked = 0;
    for resource in generate(&options(8, 1)).filter(|resource| resource.resource_type == "ExplanationOfBenefit") {
        let body = tree(&resource);
        let total = body.member("total").unwrap().items();
        for category in ["submitted", "eligible", "memberliability", "paidtoprovider"] {
            let lines = body.member("item").unwrap().items();
            let mut sum = 0;
            for line in lines.iter().filter_map(|line| line.member("adjudication")) {
                sum += cents(line.items(), category);
            }
            // An inpatient claim is adjudicated in its head.
            if lines.iter().all(|line| line.member("adjudication").is_none()) {
                sum = cents(body.member("adjudication").unwrap().items(), category);
            }
            assert_eq!(cents(total, category), sum, "{} {category}", resource.id);
        }
        checked += 1;
    }
    assert!(checked > 40);
}

#[test]
fn histories_end_on_the_day_of_looking() {
    for resource in generate(&options(60, 12)) {
        let body = tree(&resource);
        for name in ["recorded", "created", "authoredOn", "recordedDate", "issued", "occurrenceDateTime"] {
            if let Some(moment) = body.member(name).and_then(Value::as_str) {
                assert!(&moment[..10] <= "2026-10-01", "{} {name} {moment}", resource.id);
            }
        }
    }
}

#[test]
fn no_patients_give_a_directory_and_nothing_else() {
    assert!(generate(&options(0, 1)).all(|resource| resource.resource_type != "Patient"));
    assert!(people(&options(0, 1)).is_empty());
    assert_eq!(generate(&options(0, 1)).filter(|resource| resource.resource_type == "Practitioner").count(), 24);
}
