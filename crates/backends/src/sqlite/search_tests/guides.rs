//! What the guides ask of includes: Provenance of every US Core type, everything that a CARIN claim refers to.

use portcullis_verifies::verifies;

use super::world::{World, operator, patient};

/// The types for which US Core 8.0.0 demands `_revinclude=Provenance:target`, each with the members that it needs and the name of its patient.
const US_CORE: [(&str, &str, &str); 19] = [
    ("AllergyIntolerance", "patient", ""),
    ("CarePlan", "subject", r#","status":"active","intent":"plan""#),
    ("CareTeam", "subject", r#","status":"active""#),
    ("Condition", "subject", ""),
    ("Coverage", "beneficiary", r#","status":"active","payor":[{"display":"x"}]"#),
    ("Device", "patient", ""),
    ("DiagnosticReport", "subject", r#","status":"final","code":{"text":"x"}"#),
    ("DocumentReference", "subject", r#","status":"current","content":[{"attachment":{"url":"http://x"}}]"#),
    ("Encounter", "subject", r#","status":"finished","class":{"code":"AMB"}"#),
    ("Goal", "subject", r#","lifecycleStatus":"active","description":{"text":"x"}"#),
    ("Immunization", "patient", r#","status":"completed","vaccineCode":{"text":"x"},"occurrenceDateTime":"2024""#),
    ("MedicationDispense", "subject", r#","status":"completed","medicationCodeableConcept":{"text":"x"}"#),
    ("MedicationRequest", "subject", r#","status":"active","intent":"order","medicationCodeableConcept":{"text":"x"}"#),
    ("Observation", "subject", r#","status":"final","code":{"text":"x"}"#),
    ("Patient", "", ""),
    ("Procedure", "subject", r#","status":"completed""#),
    ("QuestionnaireResponse", "subject", r#","status":"completed""#),
    ("RelatedPerson", "patient", ""),
    ("ServiceRequest", "subject", r#","status":"active","intent":"order""#),
];

/// A record of this type about this patient; a Patient is itself.
fn record((name, about, more): (&str, &str, &str), owner: &str) -> (String, String) {
    let (id, subject) = match about {
        "" => (owner.to_owned(), String::new()),
        about => (format!("{}-{owner}", name.to_lowercase()), format!(r#","{about}":{{"reference":"Patient/{owner}"}}"#)),
    };
    (format!("{name}/{id}"), format!(r#"{{"resourceType":"{name}","id":"{id}"{subject}{more}}}"#))
}

fn provenance(id: &str, targets: &[&str]) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!(r#"{{"reference":"{target}"}}"#)).collect();
    format!(
        r#"{{"resourceType":"Provenance","id":"{id}","target":[{}],"recorded":"2024-01-01T00:00:00Z","agent":[{{"who":{{"display":"x"}}}}]}}"#,
        targets.join(",")
    )
}

#[tokio::test]
async fn every_us_core_type_brings_its_provenance_where_its_targets_are_visible() {
    verifies!("PROV-04", "SPM-09");
    let mut texts = Vec::new();
    for kind in US_CORE {
        let ((ann, anns), (bob, bobs)) = (record(kind, "ann"), record(kind, "bob"));
        let id = |of: &str| format!("{}-{of}", kind.0.to_lowercase());
        texts.extend([anns, bobs, provenance(&id("p-ann"), &[&ann]), provenance(&id("p-bob"), &[&bob])]);
        texts.push(provenance(&id("p-both"), &[&ann, &bob]));
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let world = World::of(&texts).await;
    for kind in US_CORE {
        let (key, _) = record(kind, "ann");
        let search = format!("{}?_revinclude=Provenance:target", kind.0);
        let found = world.ids(&patient("ann", "patient/*.rs"), &search).await;
        assert_eq!(found.matches, [key.as_str()], "{search}");
        assert_eq!(found.included, [format!("Provenance/{}-p-ann", kind.0.to_lowercase())], "{search}");
        let without = world.ids(&patient("ann", &format!("patient/{}.rs", kind.0)), &search).await;
        assert!(without.included.is_empty(), "{search} without a scope for Provenance");
    }
}

#[tokio::test]
async fn a_wildcard_includes_everything_that_a_claim_refers_to_and_is_visible() {
    verifies!("FHIR-SEC-28");
    let claim = |id: &str, owner: &str| {
        format!(
            r#"{{"resourceType":"ExplanationOfBenefit","id":"{id}","status":"active","type":{{"text":"x"}},"use":"claim","outcome":"complete",
            "patient":{{"reference":"Patient/{owner}"}},"created":"2024-01-01","insurer":{{"reference":"Organization/payer"}},
            "provider":{{"reference":"Practitioner/dr"}},"careTeam":[{{"sequence":1,"provider":{{"reference":"Practitioner/team"}}}}],
            "payee":{{"party":{{"reference":"Organization/payee"}}}},"facility":{{"reference":"Location/ward"}},
            "claim":{{"reference":"Claim/of-bob"}},
            "insurance":[{{"focal":true,"coverage":{{"reference":"Coverage/of-{owner}"}}}},{{"focal":false,"coverage":{{"reference":"Coverage/of-bob"}}}}]}}"#
        )
    };
    let coverage = |owner: &str| {
        format!(
            r#"{{"resourceType":"Coverage","id":"of-{owner}","status":"active","beneficiary":{{"reference":"Patient/{owner}"}},"payor":[{{"reference":"Organization/payer"}}]}}"#
        )
    };
    let named = |name: &str, id: &str| format!(r#"{{"resourceType":"{name}","id":"{id}"}}"#);
    let organization = |id: &str| format!(r#"{{"resourceType":"Organization","id":"{id}","name":"{id}"}}"#);
    let bobs_claim = r#"{"resourceType":"Claim","id":"of-bob","status":"active","type":{"text":"x"},"use":"claim","patient":{"reference":"Patient/bob"},
        "created":"2024-01-01","provider":{"display":"x"},"priority":{"text":"x"},"insurance":[{"sequence":1,"focal":true,"coverage":{"display":"x"}}]}"#
        .to_owned();
    let texts = [
        named("Patient", "ann"),
        named("Patient", "bob"),
        claim("e-ann", "ann"),
        claim("e-bob", "bob"),
        coverage("ann"),
        coverage("bob"),
        bobs_claim,
        organization("payer"),
        organization("payee"),
        organization("other"),
        named("Practitioner", "dr"),
        named("Practitioner", "team"),
        named("Location", "ward"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let world = World::of(&texts).await;
    let all = "ExplanationOfBenefit?_include=ExplanationOfBenefit:*";
    let mut included = world.ids(&patient("ann", "patient/*.rs"), all).await.included;
    included.sort_unstable();
    assert_eq!(
        included,
        [
            "Coverage/of-ann",
            "Location/ward",
            "Organization/payee",
            "Organization/payer",
            "Patient/ann",
            "Practitioner/dr",
            "Practitioner/team"
        ]
    );
    let narrow = patient("ann", "patient/ExplanationOfBenefit.rs patient/Organization.rs");
    let mut directory = world.ids(&narrow, all).await.included;
    directory.sort_unstable();
    assert_eq!(directory, ["Organization/payee", "Organization/payer"]);
    let reverse = world.ids(&operator(), "Coverage?_id=of-ann&_revinclude=ExplanationOfBenefit:*").await;
    assert_eq!(reverse.included, ["ExplanationOfBenefit/e-ann"]);
    let one_type = world.ids(&operator(), &format!("{all}:Practitioner&_id=e-bob")).await;
    assert_eq!(one_type.included, ["Practitioner/team", "Practitioner/dr"], "in the order of the parameters");
}

#[tokio::test]
async fn fragments_of_other_languages_are_values_like_any_other() {
    verifies!("FHIR-SEC-50");
    let named = r#"{"resourceType":"Patient","id":"ann","name":[{"family":"O'Hara; 1=1 --"}],"birthDate":"1970-01-01","gender":"female"}"#;
    let world =
        World::of(&[named, &record(US_CORE[13], "ann").1, r#"{"resourceType":"Patient","id":"bob","name":[{"family":"Bell"}]}"#])
            .await;
    let ann = patient("ann", "patient/*.rs");
    for fragment in [
        "' OR 'a'='a",
        "'; DROP TABLE resource; --",
        "1) OR (1=1",
        "%",
        "_",
        "*",
        "\"x\" UNION SELECT body FROM resource",
        "(&(uid=*))",
        "$ne",
    ] {
        let escaped = fragment.replace('\\', "\\\\").replace('$', "\\$").replace(',', "\\,");
        for name in [
            "Patient?name",
            "Patient?family:exact",
            "Patient?family:contains",
            "Patient?gender",
            "Patient?identifier",
            "Patient?gender:text",
            "Patient?_tag",
            "Patient?_profile",
            "Patient?_profile:below",
            "Patient?_source",
            "Observation?code",
            "Observation?subject:identifier",
            "Observation?value-string",
        ] {
            let (resource_type, parameter) = name.split_once('?').unwrap();
            let pairs = [(parameter.to_owned(), escaped.clone())];
            let Ok(query) = super::world::parsed(resource_type, &pairs) else { continue };
            let found = world.search(&ann, query).await.unwrap_or_else(|error| panic!("{name}={fragment}: {error}"));
            assert!(found.matches.is_empty() && found.included.is_empty(), "{name}={fragment}");
        }
    }
    assert_eq!(world.matches(&ann, "Patient?family:exact=O'Hara; 1=1 --").await, ["Patient/ann"]);
    assert_eq!(
        world.matches(&operator(), "Patient?_sort=_id").await,
        ["Patient/ann", "Patient/bob"],
        "everything is still there"
    );
}
