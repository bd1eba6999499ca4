//! What every request meets at the front door: nobody without a token, operations that give no more than the scopes, clocks that differ, errors in the form that was
//! asked for.

use http::Method;
use portcullis_oauth::clients::KeySource;
use portcullis_store::Clock as _;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ClientKey, Reply};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_whatever_is_not_discovery_takes_a_token() {
    verifies!("FHIR-SEC-18");
    let world = World::start().await;
    let client = &world.server.client;
    let open = ["/fhir/metadata", "/fhir/.well-known/smart-configuration"];
    for path in open {
        assert_eq!(client.get(path).send().await.status, 200, "{path}");
    }
    let statement = client.get("/fhir/metadata").send().await.json();
    let mut requests: Vec<(Method, String)> = Vec::new();
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE] {
            requests.push((method, format!("/fhir/{name}/x")));
        }
        requests.extend([Method::GET, Method::POST].map(|method| (method, format!("/fhir/{name}"))));
        requests.push((Method::GET, format!("/fhir/{name}/x/_history/1")));
        requests.push((Method::POST, format!("/fhir/{name}/_search")));
    }
    for (method, path) in [
        (Method::GET, "/fhir"),
        (Method::POST, "/fhir"),
        (Method::GET, "/fhir/"),
        (Method::POST, "/fhir/metadata"),
        (Method::GET, "/fhir/Patient/ann"),
        (Method::GET, "/fhir/Patient/ann/Observation"),
        (Method::GET, "/fhir/Patient/ann/$everything"),
        (Method::GET, "/fhir/$export"),
        (Method::GET, "/fhir/Nothing"),
        (Method::GET, "/fhir/.well-known/other"),
        (Method::GET, "/oauth/userinfo"),
        (Method::GET, "/admin/clients"),
        (Method::GET, "/admin/policy/explain"),
    ] {
        requests.push((method, path.to_owned()));
    }
    for (number, (method, path)) in requests.iter().enumerate() {
        // Strangers are answered in full up to a number per second.
        if number % 50 == 0 {
            world.server.clock.advance_seconds(2);
        }
        let is_write = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        let request = client.request(method.clone(), path);
        let reply = if is_write { request.fhir("{}").send().await } else { request.send().await };
        let challenge = reply.header("www-authenticate");
        assert_eq!(reply.status, 401, "{method} {path}: {}", reply.text());
        assert!(challenge.starts_with("Bearer "), "{method} {path}: {challenge}");
        assert!(!reply.text().contains("Test"), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_gives_no_more_than_the_scopes_and_what_is_not_there_is_refused() {
    verifies!("FHIR-SEC-30");
    let world = World::start().await;
    let condition = |id: &str, patient: &str| {
        json!({"resourceType": "Condition", "id": id, "subject": {"reference": format!("Patient/{patient}")}}).to_string()
    };
    world.server.import(&[condition("of-ann", "ann"), condition("of-bob", "bob")]).await;
    let app = world.server.add_app("conditions", "launch/patient patient/Condition.rs patient/Patient.rs", false).await;
    for (scope, expected) in [
        ("launch/patient patient/Condition.rs", &["of-ann"][..]),
        ("launch/patient patient/Condition.rs patient/Patient.rs", &["ann", "of-ann"]),
    ] {
        let token = app.access_token(scope, "ann", PASSWORD).await;
        let get = async |path: &str| world.server.client.get(&format!("/fhir/{path}")).bearer(&token).send().await;
        let everything = get("Patient/ann/$everything").await;
        assert_eq!(
            (everything.status.as_u16(), ids(&everything.json())),
            (200, expected.iter().map(|id| (*id).to_owned()).collect())
        );
        assert_eq!(get("Patient/ann/$everything?_type=Observation").await.status, 403, "a type that is named must be open");
        let of_other = get("Patient/bob/$everything").await;
        assert!(ids(&of_other.json()).is_empty(), "{}", of_other.text());
        assert!(!of_other.text().contains("of-bob"));
        for operation in [
            "$export",
            "Patient/$export",
            "Group/all/$export",
            "Patient/$match",
            "Composition/x/$document",
            "Observation/$lastn",
            "Measure/x/$evaluate-measure",
            "$graphql",
            "Patient/ann/$graphql",
            "Observation/obs-ann-1/$everything",
            "Patient/$everything",
        ] {
            let refused = get(operation).await;
            let outcome = refused.json();
            assert_eq!((refused.status.as_u16(), &outcome["issue"][0]["code"]), (404, &json!("not-supported")), "{operation}");
            assert!(outcome["entry"].is_null(), "{operation}: {outcome}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_half_a_minute_ahead_is_borne_and_one_of_ten_minutes_refused() {
    verifies!("FHIR-SEC-12");
    let world = World::start().await;
    let key = ClientKey::generate("key-1", "ES384");
    let keys = KeySource::value(&key.jwks().to_string()).unwrap();
    let backend = world.server.add_backend("backend", "system/Patient.rs", key, keys).await;
    let now = world.server.clock.now_seconds();
    let request = async |ahead: i64| {
        let mut claims = backend.claims(now + ahead, &format!("jti-{ahead}"));
        claims["iat"] = json!(now + ahead);
        let assertion = backend.key.sign(&backend.key.header(), &claims);
        backend.request(&assertion, "system/Patient.rs").await
    };
    for ahead in [-30, 0, 30] {
        let reply = request(ahead).await;
        assert_eq!(reply.status, 200, "{ahead}: {}", reply.text());
    }
    for ahead in [31, 600, 86_400] {
        let reply = request(ahead).await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (401, Some("invalid_client")), "{ahead}");
    }
    // Only the time of issue lies ahead.
    let mut claims = backend.claims(now, "jti-only");
    claims["iat"] = json!(now + 31);
    let reply = backend.request(&backend.key.sign(&backend.key.header(), &claims), "system/Patient.rs").await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (401, Some("invalid_client")));
}

const JSON: &str = "application/fhir+json; charset=utf-8";

fn outcome(reply: &Reply) -> Value {
    assert_eq!(reply.header("content-type"), JSON, "{}", reply.text());
    let outcome = reply.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    assert!(outcome["issue"][0]["diagnostics"].is_string());
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_outcomes_in_the_format_of_the_query_whatever_the_header_says() {
    verifies!("SAFE-19");
    let world = World::start().await;
    let token = world.ann().await;
    let get = async |path: &str, accept: &str| world.server.client.get(path).bearer(&token).header("accept", accept).send().await;
    let wanted = get("/fhir/Patient/none?_format=json", "text/html").await;
    assert_eq!(wanted.status, 404);
    assert_eq!(outcome(&wanted)["issue"][0]["code"], "not-found");
    for format in ["json", "application/json", "application%2Ffhir%2Bjson"] {
        let found = get(&format!("/fhir/Patient/ann?_format={format}"), "application/fhir+xml").await;
        assert_eq!((found.status.as_u16(), found.header("content-type")), (200, JSON), "{format}");
    }
    let as_xml = get("/fhir/Patient/none?_format=xml", "application/fhir+json").await;
    assert_eq!((as_xml.status.as_u16(), as_xml.header("content-type")), (404, "application/fhir+xml; charset=utf-8"));
    // Each kind of error, also where no format can be given that was asked for.
    for (method, path, accept, status) in [
        (Method::GET, "/fhir/Patient?_format=json&birthdate=x", "text/html", 400),
        (Method::GET, "/fhir/AuditEvent?_format=json", "text/html", 403),
        (Method::GET, "/fhir/Nothing?_format=json", "text/html", 404),
        (Method::DELETE, "/fhir/metadata?_format=json", "text/html", 405),
        (Method::GET, "/fhir/Patient/ann", "text/html", 406),
        (Method::GET, "/fhir/Patient/ann?_format=turtle", "application/fhir+json", 406),
        (Method::POST, "/fhir/Observation?_format=json", "text/html", 415),
    ] {
        let request = world.server.client.request(method.clone(), path).bearer(&token).header("accept", accept);
        let reply = if status == 415 { request.form(&[("a", "b")]).send().await } else { request.send().await };
        assert_eq!(reply.status.as_u16(), status, "{method} {path}: {}", reply.text());
        outcome(&reply);
    }
    let nobody = world.server.client.get("/fhir/Patient/ann?_format=json").header("accept", "text/html").send().await;
    assert_eq!(nobody.status, 401);
    outcome(&nobody);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_in_a_narrative_is_refused_by_whatever_way_it_comes() {
    verifies!("SAFE-17");
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    let subject = json!({"reference": "Patient/ann"});
    let with = |content: &str| {
        json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": subject,
            "text": {"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>")},
        })
    };
    for content in [
        "<script>alert(1)</script>",
        "<SCRIPT src=\"x\"/>",
        "<p onclick=\"alert(1)\">x</p>",
        "<a href=\"java\tscript:alert(1)\">x</a>",
        "<img src=\"x\" onerror=\"alert(1)\"/>",
        "<iframe src=\"https://elsewhere.example\"/>",
        "<form action=\"x\"><input/></form>",
        "<p style=\"background:url(https://elsewhere.example)\">x</p>",
    ] {
        let bad = with(content);
        let contained = json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": subject,
            "contained": [{"resourceType": "Patient", "id": "p", "text": bad["text"]}],
        });
        let mut update = bad.clone();
        update["id"] = "obs-ann-1".into();
        let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry":
            [{"resource": bad, "request": {"method": "POST", "url": "Observation"}}]});
        let patch = json!([{"op": "add", "path": "/text", "value": bad["text"]}]);
        for (request, body) in [
            (client.post("/fhir/Observation"), &bad),
            (client.post("/fhir/Observation"), &contained),
            (client.request(Method::PUT, "/fhir/Observation/obs-ann-1"), &update),
            (client.post("/fhir"), &transaction),
        ] {
            let reply = request.bearer(&token).fhir(body.to_string()).send().await;
            assert_eq!(reply.status, 422, "{content}: {}", reply.text());
        }
        let patched = client.request(Method::PATCH, "/fhir/Observation/obs-ann-1").bearer(&token);
        let patched = patched.header("content-type", "application/json-patch+json").bytes(patch.to_string()).send().await;
        assert_eq!(patched.status, 422, "{content}: {}", patched.text());
    }
    let harmless = client.post("/fhir/Observation").bearer(&token).fhir(with("<p><b>5.6</b> mg/dL</p>").to_string()).send().await;
    assert_eq!(harmless.status, 201, "{}", harmless.text());
    let kept = client.get("/fhir/Observation?_sort=_id").bearer(&token).send().await;
    assert!(!kept.text().to_lowercase().contains("script"), "{}", kept.text());
}
