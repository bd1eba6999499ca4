//! What searches must find, worked out from the published resources without the product's index: by a plain walk over their JSON, and by reading.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_fhir::types::ResourceType;
use portcullis_testkit::TestServer;
use serde_json::Value;

use super::examples;
use super::queries::{Query, escape};
use super::store::Everything;

/// How the values of an element are written in a query.
#[derive(Clone, Copy)]
enum Kind {
    /// `system|code` of each coding.
    Coding,
    /// The code, string or URI itself.
    Plain,
    /// `system|value`
    Identifier,
    /// `Reference.reference`
    Reference,
    /// A string with `:exact`.
    Exact,
}

/// Elements that are searched by their plain values: type, parameter, kind, and the paths of the elements.
const ELEMENTS: &[(&str, &str, Kind, &[&str])] = &[
    ("AllergyIntolerance", "clinical-status", Kind::Coding, &["clinicalStatus.coding"]),
    ("AllergyIntolerance", "code", Kind::Coding, &["code.coding", "reaction.substance.coding"]),
    ("AllergyIntolerance", "patient", Kind::Reference, &["patient"]),
    ("Bundle", "type", Kind::Plain, &["type"]),
    ("CarePlan", "category", Kind::Coding, &["category.coding"]),
    ("CarePlan", "status", Kind::Plain, &["status"]),
    ("CareTeam", "participant", Kind::Reference, &["participant.member"]),
    ("CareTeam", "role", Kind::Coding, &["participant.role.coding"]),
    ("Condition", "category", Kind::Coding, &["category.coding"]),
    ("Condition", "clinical-status", Kind::Coding, &["clinicalStatus.coding"]),
    ("Condition", "code", Kind::Coding, &["code.coding"]),
    ("Condition", "encounter", Kind::Reference, &["encounter"]),
    ("Coverage", "beneficiary", Kind::Reference, &["beneficiary"]),
    ("Coverage", "identifier", Kind::Identifier, &["identifier"]),
    ("Coverage", "payor", Kind::Reference, &["payor"]),
    ("Coverage", "status", Kind::Plain, &["status"]),
    ("Device", "type", Kind::Coding, &["type.coding"]),
    ("Device", "udi-di", Kind::Exact, &["udiCarrier.deviceIdentifier"]),
    ("DiagnosticReport", "category", Kind::Coding, &["category.coding"]),
    ("DiagnosticReport", "code", Kind::Coding, &["code.coding"]),
    ("DiagnosticReport", "result", Kind::Reference, &["result"]),
    ("DocumentReference", "contenttype", Kind::Plain, &["content.attachment.contentType"]),
    ("DocumentReference", "location", Kind::Plain, &["content.attachment.url"]),
    ("DocumentReference", "type", Kind::Coding, &["type.coding"]),
    ("Encounter", "class", Kind::Coding, &["class"]),
    ("Encounter", "location", Kind::Reference, &["location.location"]),
    ("Encounter", "type", Kind::Coding, &["type.coding"]),
    ("ExplanationOfBenefit", "care-team", Kind::Reference, &["careTeam.provider"]),
    ("ExplanationOfBenefit", "coverage", Kind::Reference, &["insurance.coverage"]),
    ("ExplanationOfBenefit", "identifier", Kind::Identifier, &["identifier"]),
    ("ExplanationOfBenefit", "insurer", Kind::Reference, &["insurer"]),
    ("ExplanationOfBenefit", "patient", Kind::Reference, &["patient"]),
    ("ExplanationOfBenefit", "payee", Kind::Reference, &["payee.party"]),
    ("ExplanationOfBenefit", "provider", Kind::Reference, &["provider"]),
    ("ExplanationOfBenefit", "status", Kind::Plain, &["status"]),
    ("ExplanationOfBenefit", "type", Kind::Coding, &["type.coding"]),
    ("Goal", "lifecycle-status", Kind::Plain, &["lifecycleStatus"]),
    ("Immunization", "vaccine-code", Kind::Coding, &["vaccineCode.coding"]),
    ("Location", "address-city", Kind::Exact, &["address.city"]),
    ("MedicationRequest", "code", Kind::Coding, &["medicationCodeableConcept.coding"]),
    ("MedicationRequest", "intent", Kind::Plain, &["intent"]),
    ("MedicationRequest", "requester", Kind::Reference, &["requester"]),
    ("Observation", "category", Kind::Coding, &["category.coding"]),
    ("Observation", "code", Kind::Coding, &["code.coding"]),
    ("Observation", "combo-code", Kind::Coding, &["code.coding", "component.code.coding"]),
    ("Observation", "component-code", Kind::Coding, &["component.code.coding"]),
    ("Observation", "derived-from", Kind::Reference, &["derivedFrom"]),
    ("Observation", "has-member", Kind::Reference, &["hasMember"]),
    ("Observation", "performer", Kind::Reference, &["performer"]),
    ("Observation", "specimen", Kind::Reference, &["specimen"]),
    ("Observation", "status", Kind::Plain, &["status"]),
    ("Observation", "subject", Kind::Reference, &["subject"]),
    ("Observation", "value-concept", Kind::Coding, &["valueCodeableConcept.coding"]),
    ("Observation", "_profile", Kind::Plain, &["meta.profile"]),
    ("Organization", "address-state", Kind::Exact, &["address.state"]),
    ("Organization", "identifier", Kind::Identifier, &["identifier"]),
    ("Organization", "name", Kind::Exact, &["name", "alias"]),
    ("Patient", "address-postalcode", Kind::Exact, &["address.postalCode"]),
    ("Patient", "family", Kind::Exact, &["name.family"]),
    ("Patient", "gender", Kind::Plain, &["gender"]),
    ("Patient", "given", Kind::Exact, &["name.given"]),
    ("Patient", "identifier", Kind::Identifier, &["identifier"]),
    ("Patient", "telecom", Kind::Plain, &["telecom.value"]),
    ("Practitioner", "family", Kind::Exact, &["name.family"]),
    ("Practitioner", "identifier", Kind::Identifier, &["identifier"]),
    ("Procedure", "code", Kind::Coding, &["code.coding"]),
    ("Questionnaire", "url", Kind::Plain, &["url"]),
    ("QuestionnaireResponse", "questionnaire", Kind::Plain, &["questionnaire"]),
    ("RelatedPerson", "relationship", Kind::Coding, &["relationship.coding"]),
    ("ServiceRequest", "category", Kind::Coding, &["category.coding"]),
    ("ServiceRequest", "code", Kind::Coding, &["code.coding"]),
    ("Specimen", "type", Kind::Coding, &["type.coding"]),
];

/// A server that holds the newest release of both guides, and the same as JSON by `Type/id`.
async fn world() -> Option<(TestServer, BTreeMap<String, Value>)> {
    let newest = examples::newest(examples::packages()?);
    let server = TestServer::start().await;
    let texts: Vec<String> = newest.iter().map(|example| example.text.clone()).collect();
    server.import(&texts).await;
    let resources = newest.into_iter().map(|example| (example.key, serde_json::from_str(&example.text).unwrap())).collect();
    Some((server, resources))
}

/// The values at a path of names, through arrays.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let one = |value: &'a Value| match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    };
    path.split('.').fold(vec![value], |values, name| values.into_iter().flat_map(|value| one(&value[name])).collect())
}

fn query(parameter: &str, kind: Kind, value: &Value) -> Option<Query> {
    let text = |member: &str| escape(value[member].as_str().unwrap_or_default());
    let whole = || value.as_str().map(escape);
    Some(match kind {
        Kind::Coding => {
            (parameter.to_owned(), Some(format!("{}|{}", text("system"), text("code"))).filter(|pair| !pair.ends_with('|'))?)
        }
        Kind::Plain => (parameter.to_owned(), whole()?),
        Kind::Identifier => {
            (parameter.to_owned(), Some(format!("{}|{}", text("system"), text("value"))).filter(|pair| !pair.ends_with('|'))?)
        }
        Kind::Reference => {
            (parameter.to_owned(), Some(text("reference")).filter(|text| !text.is_empty() && !text.starts_with('#'))?)
        }
        Kind::Exact => (format!("{parameter}:exact"), whole()?),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_plain_value_finds_exactly_the_resources_that_have_it() {
    let Some((server, resources)) = world().await else { return };
    let everything = Everything::of(&server);
    let mut searches = 0;
    for (name, parameter, kind, paths) in ELEMENTS {
        let mut expected: BTreeMap<Query, BTreeSet<String>> = BTreeMap::new();
        for (key, resource) in resources.iter().filter(|(_, resource)| resource["resourceType"] == *name) {
            for value in paths.iter().flat_map(|path| at(resource, path)) {
                if let Some(query) = query(parameter, *kind, value) {
                    expected.entry(query).or_default().insert(key.clone());
                }
            }
        }
        assert!(!expected.is_empty(), "no example has {name}.{parameter}");
        for (query, keys) in expected {
            assert_eq!(
                everything.search(ResourceType::parse(name).unwrap(), std::slice::from_ref(&query)).await,
                keys,
                "{name}?{query:?}"
            );
            searches += 1;
        }
    }
    eprintln!("{searches} searches");
}

/// Questions whose answers were read from the published files: type, query, the ids that must and those that must not be found. An empty first list
/// means that nothing at all is found.
const READ: &[(&str, &str, &[&str], &[&str])] = &[
    // Patient/example: Amy V. Shaw until 2020-07-22, then Amy V. Baxter, PharmD; born 1987-02-20; three races of the first level.
    ("Patient", "name=amy", &["example"], &["child-example", "Patient1"]),
    ("Patient", "name=PHARM", &["example"], &["child-example"]),
    ("Patient", "family=baxter", &["example"], &[]),
    ("Patient", "family:exact=baxter", &[], &[]),
    ("Patient", "family:contains=AXT", &["example"], &[]),
    ("Patient", "given=v", &["example"], &[]),
    ("Patient", "given:exact=V.", &["example"], &[]),
    ("Patient", "given:exact=V", &[], &[]),
    ("Patient", "birthdate=1987-02-20", &["example"], &["Patient1"]),
    ("Patient", "birthdate=1987", &["example"], &["Patient1"]),
    ("Patient", "birthdate=1986-01", &["Patient1"], &["example"]),
    ("Patient", "birthdate=ge1987-02-20", &["example"], &["Patient1"]),
    ("Patient", "birthdate=gt1987-02-20", &["child-example"], &["example"]),
    ("Patient", "birthdate=lt1987-02-20", &["Patient1"], &["example"]),
    ("Patient", "identifier=1032702", &["example"], &[]),
    ("Patient", "identifier=http://example.org/patient/identifiers|1032702", &["example"], &[]),
    ("Patient", "identifier=|1032702", &[], &[]),
    ("Patient", "identifier=103270", &[], &[]),
    ("Patient", "phone=555-555-5555", &["example"], &[]),
    ("Patient", "email=555-555-5555", &[], &[]),
    ("Patient", "address-city=mounds", &["example"], &["Patient1"]),
    ("Patient", "address-postalcode=74047", &["example"], &[]),
    ("Patient", "address=183 mountain", &["example"], &[]),
    ("Patient", "race=2028-9", &["example"], &["Patient1"]),
    ("Patient", "race=1586-7", &["example"], &[]),
    ("Patient", "ethnicity=2148-5", &["example"], &[]),
    ("Patient", "family=example1", &["Patient1"], &["Patient2"]),
    // Observation/serum-sodium: 137 mmol/L on 2005-07-05.
    ("Observation", "value-quantity=137", &["serum-sodium"], &["serum-chloride"]),
    ("Observation", "value-quantity=137.0", &["serum-sodium"], &[]),
    ("Observation", "value-quantity=137.4", &[], &[]),
    ("Observation", "value-quantity=1.4e2", &["serum-sodium"], &["serum-glucose"]),
    ("Observation", "value-quantity=137|http://unitsofmeasure.org|mmol/L", &["serum-sodium"], &[]),
    ("Observation", "value-quantity=137|http://unitsofmeasure.org|mg/dL", &[], &[]),
    ("Observation", "value-quantity=137||mmol/L", &["serum-sodium"], &[]),
    ("Observation", "value-quantity=gt136.9||mmol/L", &["serum-sodium"], &["serum-potassium"]),
    ("Observation", "value-quantity=lt137||mmol/L", &["serum-potassium"], &["serum-sodium"]),
    ("Observation", "code:text=sodium", &["serum-sodium"], &["serum-chloride"]),
    ("Observation", "code=http://loinc.org|2951-2&date=2005-07&patient=example", &["serum-sodium"], &[]),
    ("Observation", "category=laboratory&date=2005-07-05", &["serum-sodium", "serum-potassium"], &["blood-pressure"]),
    // Observation/blood-pressure: components of 109 and 44 mmHg.
    ("Observation", "component-value-quantity=109|http://unitsofmeasure.org|mm[Hg]", &["blood-pressure"], &["serum-sodium"]),
    ("Observation", "combo-value-quantity=44||mmHg", &["blood-pressure"], &[]),
    ("Observation", "value-quantity=44||mmHg", &[], &[]),
    ("Observation", "code=8480-6", &[], &[]),
    // Systolic 109, diastolic 44: the numbers belong to their codes.
    (
        "Observation",
        "component-code-value-quantity=http://loinc.org|8480-6$109",
        &["blood-pressure"],
        &["average-blood-pressure"],
    ),
    ("Observation", "component-code-value-quantity=8462-4$109", &[], &[]),
    ("Observation", "component-code-value-quantity=8462-4$gt100,8480-6$lt110||mmHg", &["blood-pressure"], &[]),
    ("Observation", "combo-code-value-quantity=8462-4$44", &["blood-pressure"], &["average-blood-pressure"]),
    ("Observation", "code-value-quantity=8462-4$44", &[], &[]),
    // A time with zone is the instant: 2022-03-28T18:30:40-07:00 is 2022-03-29T01:30:40Z.
    ("Observation", "date=2022-03-28T18:30:40-07:00", &["PRAPARE-item-example-54899-0"], &["serum-sodium"]),
    ("Observation", "date=2022-03-29T01:30:40Z", &["PRAPARE-item-example-54899-0"], &[]),
    ("Observation", "date=2022-03-29T03:30:40+02:00", &["PRAPARE-item-example-54899-0"], &[]),
    ("Observation", "date=2022-03-29T01:30", &["PRAPARE-item-example-54899-0"], &[]),
    ("Observation", "date=2022-03-29", &["PRAPARE-item-example-54899-0"], &[]),
    ("Observation", "date=2022-03-28T18:30:40Z", &[], &[]),
    ("Observation", "date=lt2022-03-29T01:30:40Z", &["serum-sodium"], &["PRAPARE-item-example-54899-0"]),
    ("Observation", "date=sa2022-03-29T01:30:39Z", &["PRAPARE-item-example-54899-0"], &["serum-sodium"]),
    // Encounter/example-1: 2015-11-01T17:00:14-05:00 to 18:00:14-05:00, an hour from 22:00:14Z.
    ("Encounter", "date=2015-11-01", &["example-1"], &[]),
    ("Encounter", "date=2015-11-01T22:30:00Z", &[], &[]),
    ("Encounter", "date=ap2015-11-01T22:30:00Z", &["example-1"], &[]),
    ("Encounter", "date=ge2015-11-01T23:00:00Z&date=le2015-11-01T22:00:30Z", &["example-1"], &[]),
    ("Encounter", "date=sa2015-11-01T17:00:13-05:00", &["example-1"], &[]),
    ("Encounter", "date=sa2015-11-01T17:00:14-05:00", &[], &["example-1"]),
    ("Encounter", "date=eb2015-11-01T18:00:15-05:00", &["example-1"], &[]),
    ("Encounter", "date=eb2015-11-01T18:00:14-05:00", &[], &["example-1"]),
    // CARIN: the inpatient claim of Patient2, billed from January to October 2019, served on 2019-11-02.
    (
        "ExplanationOfBenefit",
        "patient=Patient2&type=institutional&service-date=2019-11-02",
        &["EOBInpatient1"],
        &["EOBPharmacy1"],
    ),
    ("ExplanationOfBenefit", "patient=Patient1&service-date=2019-11-02&type=pharmacy", &[], &[]),
    (
        "ExplanationOfBenefit",
        "type=http://terminology.hl7.org/CodeSystem/claim-type|pharmacy",
        &["EOBPharmacy1"],
        &["EOBInpatient1"],
    ),
    ("ExplanationOfBenefit", "service-start-date=2019-01-01", &["EOBInpatient1"], &["EOBPharmacy1"]),
    ("ExplanationOfBenefit", "billable-period-start=2019-10-30", &["EOBPharmacy1"], &["EOBInpatient1"]),
    ("ExplanationOfBenefit", "service-date=2021-03-18&type=oral", &["EOBOral1"], &["EOBPharmacy1"]),
    ("ExplanationOfBenefit", "identifier=https://www.xxxplan.com/fhir/EOBIdentifier|210300002", &["EOBOral1"], &["EOBPharmacy1"]),
    ("ExplanationOfBenefit", "created=2021-03-18T15:23:00Z", &["EOBOral1"], &["EOBPharmacy1"]),
    ("Coverage", "identifier=88800933501&payor=Organization/Payer2", &["Coverage1"], &[]),
    ("Coverage", "beneficiary:Patient=Patient1&payor:Organization=Payer2", &["Coverage1"], &[]),
    ("Coverage", "payor:Patient=Payer2", &[], &["Coverage1"]),
    // Canonicals and profiles.
    ("Questionnaire", "url:below=http://hl7.org/fhir/us/core/Questionnaire", &["phq-9-example"], &[]),
    ("Patient", "_profile:below=http://hl7.org/fhir/us/carin-bb", &["Patient1", "Patient2"], &["example"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_as_a_reader_of_the_files_would() {
    let Some((server, _)) = world().await else { return };
    let everything = Everything::of(&server);
    let mut failures = Vec::new();
    for (name, query, present, absent) in READ {
        let pairs: Vec<Query> =
            query.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect();
        let found = everything.search(ResourceType::parse(name).unwrap(), &pairs).await;
        let holds = |id: &&str| found.contains(&format!("{name}/{id}"));
        let nothing = present.is_empty() && absent.is_empty();
        if !present.iter().all(&holds) || absent.iter().any(&holds) || (nothing && !found.is_empty()) {
            failures.push(format!("{name}?{query} finds {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
