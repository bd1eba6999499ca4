//! The searches that US Core and PACIO Re-Assessment Timepoints demand, over HTTP, by GET and by POST.

use portcullis_verifies::verifies;
use serde_json::Value;

use super::world::{World, ids};

/// A record of Ann's and the like of Bob's.
fn of_both(text: &str) -> [String; 2] {
    [text.replace('@', "ann"), text.replace('@', "bob")]
}

/// One record of each type of the demands of US Core, `@` for its patient.
const US_CORE: [&str; 16] = [
    r#"{"resourceType":"AllergyIntolerance","id":"al-@","patient":{"reference":"Patient/@"},"clinicalStatus":{"coding":[{"code":"active"}]}}"#,
    r#"{"resourceType":"CarePlan","id":"cp-@","status":"active","intent":"plan","subject":{"reference":"Patient/@"},"category":[{"coding":[{"code":"assess-plan"}]}]}"#,
    r#"{"resourceType":"CareTeam","id":"ct-@","status":"active","subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"Condition","id":"co-@","subject":{"reference":"Patient/@"},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"problem-list-item"}]}]}"#,
    r#"{"resourceType":"Coverage","id":"cv-@","status":"active","beneficiary":{"reference":"Patient/@"},"payor":[{"display":"x"}]}"#,
    r#"{"resourceType":"Device","id":"de-@","patient":{"reference":"Patient/@"},"type":{"coding":[{"code":"implant"}]}}"#,
    r#"{"resourceType":"DiagnosticReport","id":"dr-@","status":"final","code":{"coding":[{"code":"panel"}]},"category":[{"coding":[{"code":"LAB"}]}],"subject":{"reference":"Patient/@"},"effectiveDateTime":"2026-02-03"}"#,
    r#"{"resourceType":"DocumentReference","id":"do-@","status":"current","type":{"coding":[{"code":"note"}]},"category":[{"coding":[{"code":"clinical-note"}]}],"date":"2026-02-03T00:00:00Z","subject":{"reference":"Patient/@"},"content":[{"attachment":{"url":"http://x"}}]}"#,
    r#"{"resourceType":"Goal","id":"go-@","lifecycleStatus":"active","description":{"text":"x"},"subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"Immunization","id":"im-@","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/@"},"occurrenceDateTime":"2026"}"#,
    r#"{"resourceType":"MedicationDispense","id":"md-@","status":"completed","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"MedicationRequest","id":"mr-@","status":"active","intent":"order","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"Procedure","id":"pr-@","status":"completed","subject":{"reference":"Patient/@"},"performedDateTime":"2026-02-03"}"#,
    r#"{"resourceType":"QuestionnaireResponse","id":"qr-@","status":"completed","subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"ServiceRequest","id":"sr-@","status":"active","intent":"order","code":{"coding":[{"code":"s"}]},"category":[{"coding":[{"code":"c"}]}],"authoredOn":"2026-02-03","subject":{"reference":"Patient/@"}}"#,
    r#"{"resourceType":"Specimen","id":"sp-@","subject":{"reference":"Patient/@"}}"#,
];

/// What US Core 6.1 to 8.0 demand with SHALL, and what of Ann's they find.
const SEARCHES: [(&str, &[&str]); 42] = [
    ("AllergyIntolerance?patient=ann", &["al-ann"]),
    ("CarePlan?patient=ann&category=assess-plan", &["cp-ann"]),
    ("CareTeam?patient=ann&status=active", &["ct-ann"]),
    ("Condition?patient=ann", &["co-ann"]),
    ("Condition?patient=ann&category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item", &["co-ann"]),
    ("Condition?patient=ann&category=encounter-diagnosis", &[]),
    ("Coverage?patient=ann", &["cv-ann"]),
    ("Device?patient=ann", &["de-ann"]),
    ("DiagnosticReport?patient=ann", &["dr-ann"]),
    ("DiagnosticReport?patient=ann&category=LAB", &["dr-ann"]),
    ("DiagnosticReport?patient=ann&category=LAB&date=ge2026-02-03", &["dr-ann"]),
    ("DiagnosticReport?patient=ann&category=LAB&date=gt2026-02-03", &[]),
    ("DiagnosticReport?patient=ann&code=panel", &["dr-ann"]),
    ("DocumentReference?_id=do-ann", &["do-ann"]),
    ("DocumentReference?patient=ann", &["do-ann"]),
    ("DocumentReference?patient=ann&category=clinical-note", &["do-ann"]),
    ("DocumentReference?patient=ann&category=clinical-note&date=2026-02", &["do-ann"]),
    ("DocumentReference?patient=ann&type=note", &["do-ann"]),
    ("Encounter?_id=enc-ann", &["enc-ann"]),
    ("Encounter?patient=ann", &["enc-ann"]),
    ("Goal?patient=ann", &["go-ann"]),
    ("Immunization?patient=ann", &["im-ann"]),
    ("MedicationDispense?patient=ann", &["md-ann"]),
    ("MedicationRequest?patient=ann&intent=order", &["mr-ann"]),
    ("MedicationRequest?patient=ann&intent=order,plan&status=active", &["mr-ann"]),
    ("Observation?patient=ann&code=4548-4", &["obs-ann-2", "obs-ann-1"]),
    ("Observation?patient=Patient/ann&code=http://loinc.org|4548-4&date=lt2026-02-01", &["obs-ann-1"]),
    ("Patient?_id=ann", &["ann"]),
    ("Patient?name=Ann", &["ann"]),
    ("Patient?name=Bob", &[]),
    ("Procedure?patient=ann", &["pr-ann"]),
    ("Procedure?patient=ann&date=2026-02", &["pr-ann"]),
    ("QuestionnaireResponse?_id=qr-ann", &["qr-ann"]),
    ("QuestionnaireResponse?patient=ann", &["qr-ann"]),
    ("ServiceRequest?_id=sr-ann", &["sr-ann"]),
    ("ServiceRequest?patient=ann&category=c", &["sr-ann"]),
    ("ServiceRequest?patient=ann&code=s", &["sr-ann"]),
    ("ServiceRequest?patient=ann&category=c&authored=2026-02-03", &["sr-ann"]),
    ("Specimen?_id=sp-ann", &["sp-ann"]),
    ("Organization?name=hosp", &["hospital"]),
    ("Practitioner?name=Who", &["who"]),
    ("Practitioner?name=Other", &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_searches_that_us_core_demands_find_the_own_record_by_get_and_by_post() {
    verifies!("IG-05", "IG-06");
    let world = World::start().await;
    world.server.import(&US_CORE.iter().flat_map(|text| of_both(text)).collect::<Vec<_>>()).await;
    let token = world.ann().await;
    let client = &world.server.client;
    for (search, expected) in SEARCHES {
        let get = client.get(&format!("/fhir/{}", search.replace('|', "%7C"))).bearer(&token).header("prefer", "handling=strict");
        let get = get.send().await;
        assert_eq!(get.status, 200, "{search} {}", get.text());
        assert_eq!(ids(&get.json()), expected, "{search}");
        let (name, query) = search.split_once('?').unwrap();
        let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let post = client.post(&format!("/fhir/{name}/_search")).bearer(&token).form(&pairs).send().await;
        let entries = |reply: Value| reply["entry"].clone();
        assert_eq!((post.status, entries(post.json())), (get.status, entries(get.json())), "{search}");
        let theirs = search.replace("ann", "bob").replace("Ann", "Bob");
        if theirs != search {
            let hidden = client.get(&format!("/fhir/{}", theirs.replace('|', "%7C"))).bearer(&token).send().await;
            assert!(ids(&hidden.json()).is_empty(), "{theirs}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_encounters_of_pacio_are_read_written_and_found_by_their_parameters() {
    verifies!("IG-03");
    const ENCOUNTER: &str = r#"{"resourceType":"Encounter","id":"rt-@","meta":{"profile":["http://hl7.org/fhir/us/pacio-rt/StructureDefinition/reassessment-timepoints-encounter"]},
        "status":"in-progress","class":{"code":"IMP"},"subject":{"reference":"Patient/@"},"episodeOfCare":[{"reference":"EpisodeOfCare/ec-@"}],
        "partOf":{"reference":"Encounter/enc-@"},"period":{"start":"2026-03-01","end":"2026-03-10"},"serviceProvider":{"reference":"Organization/hospital"},
        "diagnosis":[{"condition":{"reference":"Condition/co-@"}}],"reasonReference":[{"reference":"Condition/co-@"}],
        "basedOn":[{"reference":"ServiceRequest/sr-@"},{"extension":[{"url":"http://hl7.org/fhir/us/pacio-rt/StructureDefinition/clinicalImpression","valueReference":{"reference":"ClinicalImpression/ci-@"}}]}]}"#;
    let world = World::start().await;
    world.server.import(&of_both(ENCOUNTER)).await;
    let token = world.ann().await;
    let client = &world.server.client;
    for query in [
        "_id=rt-ann",
        "date=2026-03",
        "episode-of-care=ec-ann",
        "part-of=enc-ann",
        "patient=ann&date=2026-03",
        "based-on=ServiceRequest/sr-ann",
        "based-on=ClinicalImpression/ci-ann",
        "diagnosis=Condition/co-ann",
        "reason-reference=Condition/co-ann",
        "service-provider=Organization/hospital&status=in-progress",
        "status=in-progress",
    ] {
        let search = |query: &str| {
            let request = client.get(&format!("/fhir/Encounter?{query}")).bearer(&token).header("prefer", "handling=strict");
            async move { request.send().await }
        };
        let found = search(query).await;
        assert_eq!(found.status, 200, "{query} {}", found.text());
        assert_eq!(ids(&found.json()), ["rt-ann"], "{query}");
        if query.contains("ann") {
            assert!(ids(&search(&query.replace("ann", "bob")).await.json()).is_empty(), "{query}");
        }
    }
    let read = client.get("/fhir/Encounter/rt-ann").bearer(&token).send().await;
    assert_eq!(read.status, 200);
    let changed = read.text().replace("in-progress", "finished");
    let put = client.request(http::Method::PUT, "/fhir/Encounter/rt-ann").bearer(&token).fhir(changed.clone()).send().await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(client.post("/fhir/Encounter").bearer(&token).fhir(changed).send().await.status, 201);
    assert_eq!(client.get("/fhir/Encounter/rt-ann/_history").bearer(&token).send().await.json()["total"], 2);
    assert_eq!(client.get("/fhir/Encounter/rt-ann").send().await.status, 401);
}
