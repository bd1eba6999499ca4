//! Bad input at the endpoint where an EHR has a launch made.

use portcullis_testkit::Reply;
use portcullis_verifies::verifies;

use super::{Answered, answered};
use crate::oauth::launch::Ehr;

const INVALID: &str = "invalid_request";
const BANNER: &str = "need_patient_banner must be true or false";
const FORM: &str = "fhirContext must be a JSON array of at most 20 objects with reference, canonical, identifier, type and role";
const STYLE: &str = "smart_style_url must be an https URL";
const TEXT: &str = "intent and tenant must have at most 512 characters and no control characters";
const PATIENT: &str = "patient must be the id of a Patient";
const ENCOUNTER: &str = "encounter must be the id of an Encounter";

/// What an EHR may leave out, and what is answered to a value that is too long for anything; nothing where that takes an EHR to be found out.
pub fn optional() -> Vec<(&'static str, Option<Answered>)> {
    let told = |description| Some((400, INVALID, description));
    vec![
        ("launch_url", None),
        ("user", None),
        ("patient", told(PATIENT)),
        ("encounter", told(ENCOUNTER)),
        ("fhirContext", told(FORM)),
        ("need_patient_banner", told(BANNER)),
        ("intent", told(TEXT)),
        ("smart_style_url", told(STYLE)),
        ("tenant", told(TEXT)),
        ("unknown", None),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_value_of_a_launch_has_its_error() {
    verifies!("OAUTH-03");
    let ehr = Ehr::start().await;
    let long = "x".repeat(513);
    let no_app = "app must be a client that has a launch URL registered and may ask for the scope launch";
    let empty = "each item of fhirContext needs reference, canonical or identifier";
    let values = "in fhirContext, canonical must be an absolute URI, type a resource type, and role a name or an absolute URI";
    let many = format!("[{}]", vec![r#"{"canonical":"https://a.example/x"}"#; 21].join(","));
    let ask = async |fields: &[(&str, &str)]| -> Reply { ehr.ehr.token_request_to("/oauth/launch", fields).await };
    for (name, value, told) in [
        ("app", "nobody", no_app),
        ("app", "a b", no_app),
        ("app", "ehr", no_app),
        ("app", &long, no_app),
        ("launch_url", "https://elsewhere.example/launch", "launch_url must be one that the app has registered"),
        ("launch_url", &long, "launch_url must be one that the app has registered"),
        ("user", "nobody", "user must be the name with which a person signs in here"),
        ("user", &long, "user must be the name with which a person signs in here"),
        ("patient", "Patient/ann", PATIENT),
        ("patient", &long, PATIENT),
        ("encounter", "a/b", ENCOUNTER),
        ("encounter", "enc-ann", "encounter needs patient"),
        ("need_patient_banner", "yes", BANNER),
        ("need_patient_banner", "TRUE", BANNER),
        ("fhirContext", "{}", FORM),
        ("fhirContext", "[", FORM),
        ("fhirContext", "[1]", FORM),
        ("fhirContext", r#"[{"other":1}]"#, FORM),
        ("fhirContext", &many, FORM),
        ("fhirContext", "[{}]", empty),
        ("fhirContext", r#"[{"identifier":{}}]"#, empty),
        (
            "fhirContext",
            r#"[{"reference":"https://h/Observation/1"}]"#,
            "reference in fhirContext must be Type/id on this server",
        ),
        ("fhirContext", r#"[{"canonical":"x"}]"#, values),
        ("fhirContext", r#"[{"reference":"Observation/x","type":"Nothing"}]"#, values),
        ("fhirContext", r#"[{"reference":"Observation/x","role":"a b"}]"#, values),
        (
            "fhirContext",
            r#"[{"reference":"Patient/ann"}]"#,
            "Patient and Encounter stand in patient and encounter; in fhirContext they need a role other than launch",
        ),
        ("smart_style_url", "http://h.example/", STYLE),
        ("smart_style_url", "https://u@h.example/", STYLE),
        ("intent", &long, TEXT),
        ("intent", "a\nb", TEXT),
        ("tenant", &long, TEXT),
        ("tenant", "a\u{7f}b", TEXT),
    ] {
        ehr.world.server.clock.advance_seconds(1);
        let fields = if name == "app" { vec![(name, value)] } else { vec![("app", "launched"), (name, value)] };
        let reply = ask(&fields).await;
        assert_eq!(answered(&reply), (400, INVALID.to_owned(), told.to_owned()), "{name}={value:.40}");
    }
    assert_eq!(
        ask(&[("app", "launched"), ("patient", "ann"), ("encounter", "enc-ann")]).await.status,
        201,
        "the right one works"
    );
}
