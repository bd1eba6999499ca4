//! What the public conformance suites for SMART App Launch (2.2, 2.0, 1.0) and 45 CFR 170.315(g)(10) ask of a server, group by group, with the scopes
//! that they ask for. What each answer means is tested elsewhere; this is so that none of their checks comes as a surprise.

use http::Method;
use portcullis_oauth::clients::{ClientProperties, KeySource};
use portcullis_testkit::app::{VERIFIER, basic, query_value};
use portcullis_testkit::backend::{ASSERTION_TYPE, BackendClient};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::launch::{Ehr, LAUNCH_URL};
use crate::fhir::World;

/// The origin of the apps' redirect URI.
const ORIGIN: &str = "https://127.0.0.1:9";
/// What a client of the suites registers.
const REGISTERED: &str = "openid fhirUser offline_access launch launch/patient launch/encounter patient/*.rs user/*.rs";
/// The types for which the suites ask one by one.
const TYPES: [&str; 20] = [
    "Medication",
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Goal",
    "Immunization",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
    "Provenance",
    "PractitionerRole",
];
/// What they then search for, with the first parameters that US Core has for the type.
const SEARCHES: [(&str, &str); 15] = [
    ("AllergyIntolerance", "patient=ann"),
    ("CarePlan", "patient=ann&category=assess-plan"),
    ("CareTeam", "patient=ann&status=active"),
    ("Condition", "patient=ann"),
    ("Device", "patient=ann"),
    ("DiagnosticReport", "patient=ann&category=LAB"),
    ("DocumentReference", "patient=ann"),
    ("Encounter", "patient=ann"),
    ("Goal", "patient=ann"),
    ("Immunization", "patient=ann"),
    ("MedicationRequest", "patient=ann&intent=order"),
    ("Observation", "patient=ann&category=laboratory"),
    ("Patient", "_id=ann&_revinclude=Provenance:target"),
    ("Procedure", "patient=ann"),
    ("Provenance", "patient=ann"),
];

/// The scopes of a launch: context, then every type in this context with these letters.
fn scopes(launch: &str, context: &str, letters: &str) -> String {
    let types: Vec<String> = TYPES.iter().map(|name| format!("{context}/{name}.{letters}")).collect();
    format!("{launch} openid fhirUser offline_access {}", types.join(" "))
}

/// An app, and how it shows who it is at the token endpoint.
struct Suite<'a> {
    world: &'a World,
    app: App,
    signer: Option<BackendClient>,
    assertions: std::cell::Cell<u32>,
}

impl<'a> Suite<'a> {
    async fn of(world: &'a World, kind: &str) -> Self {
        let (app, signer) = match kind {
            "ES384" | "RS384" => {
                let key = ClientKey::generate("k", kind);
                let (app, signer) = world.server.add_signing_app(&format!("suite-{kind}"), REGISTERED, key).await;
                (app, Some(signer))
            }
            _ => (world.server.add_app(&format!("suite-{kind}"), REGISTERED, kind == "symmetric").await, None),
        };
        Self { world, app, signer, assertions: std::cell::Cell::new(0) }
    }

    /// A request to the token endpoint from a page of the app's.
    async fn token(&self, fields: &[(&str, &str)]) -> Reply {
        let number = self.assertions.replace(self.assertions.get() + 1).to_string();
        let mut fields = fields.to_vec();
        let now = self.world.server.server.clock.now_seconds();
        let assertion = self.signer.as_ref().map(|signer| signer.assertion(now, &number));
        let mut request = self.world.server.client.post("/oauth/token").header("origin", ORIGIN);
        match (&assertion, &self.app.secret) {
            (Some(assertion), _) => {
                fields.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())]);
            }
            (None, Some(secret)) => request = request.header("authorization", &basic(&self.app.client_id, secret)),
            (None, None) => fields.push(("client_id", &self.app.client_id)),
        }
        request.form(&fields).send().await
    }

    /// Launches with everything that is asked for, less what is unticked: the code.
    async fn code(&self, scope: &str, unticked: &[&str]) -> String {
        let at = self.app.sign_in(&self.app.authorization_query(scope), "ann", PASSWORD).await;
        let ticked: Vec<&str> = scope.split(' ').filter(|scope| !unticked.contains(scope)).collect();
        let back = self.app.consent(&at, &ticked, "allow").await;
        assert_eq!(query_value(&back, "state").as_deref(), Some("state-of-at-least-122-bits"));
        query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()))
    }

    async fn exchange(&self, code: &str, verifier: Option<&str>) -> Reply {
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", self.app.redirect_uri.as_str())];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        self.token(&fields).await
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.world.server.client.get(&format!("/fhir/{path}")).header("origin", ORIGIN).bearer(token).send().await
    }
}

/// The checks of a token response, headers and body: what it says.
fn checked(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
    assert!(reply.header("content-type").starts_with("application/json"));
    let body = reply.json();
    for name in ["access_token", "token_type", "scope"] {
        assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {body}");
    }
    assert!(body["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
    assert!(body["expires_in"].as_u64().is_some_and(|seconds| (1..=3600).contains(&seconds)), "{body}");
    body
}

/// Verifies an ID token with another library than ours. The time is compared with that of the test's clock elsewhere.
fn verify(token: &str, key: &Value, issuer: &str, audience: &str) {
    let component = |name: &str| key[name].as_str().unwrap();
    let key = jsonwebtoken::DecodingKey::from_rsa_components(component("n"), component("e")).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    let damaged = format!("{}A{}", &token[..token.len() - 9], &token[token.len() - 8..]);
    let other = format!("{}B{}", &token[..token.len() - 9], &token[token.len() - 8..]);
    let good = [damaged, other].iter().filter(|token| jsonwebtoken::decode::<Value>(*token, &key, &validation).is_ok()).count();
    assert!(good <= 1, "a signature that is not looked at");
}

fn claims(token: &str, part: usize) -> Value {
    serde_json::from_slice(&portcullis_testkit::decode_base64url(token.split('.').nth(part).unwrap())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_has_every_field_with_its_type_and_every_capability_of_both_scenarios() {
    verifies!("SMART-08");
    let world = World::start().await;
    let client = &world.server.client;
    let get = async |path: &str| {
        let reply = client.get(path).header("accept", "application/json").header("origin", "https://suite.example").send().await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, "*"), "{path}");
        assert!(reply.header("content-type").starts_with("application/"), "{path}");
        reply.json()
    };
    let smart = get("/fhir/.well-known/smart-configuration").await;
    let strings = |document: &Value, name: &str| -> Vec<String> {
        let items = document[name].as_array().unwrap_or_else(|| panic!("{name}: {document}"));
        assert!(!items.is_empty(), "{name}");
        items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    for name in [
        "grant_types_supported",
        "capabilities",
        "scopes_supported",
        "response_types_supported",
        "code_challenge_methods_supported",
    ] {
        strings(&smart, name);
    }
    assert_eq!(strings(&smart, "code_challenge_methods_supported"), ["S256"]);
    let capabilities = strings(&smart, "capabilities");
    for needed in [
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-style",
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "permission-offline",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ] {
        assert!(capabilities.iter().any(|capability| capability == needed), "{needed}");
    }
    // Each endpoint is there: whatever it says to a bare GET or POST, it is not that there is nothing, nor that it broke.
    let endpoints = [
        "authorization_endpoint",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "management_endpoint",
        "user_access_brand_bundle",
    ];
    let public_url = world.server.server.settings.public_url.to_string();
    for name in endpoints {
        let url = smart[name].as_str().unwrap_or_else(|| panic!("no {name}"));
        let path = url.strip_prefix(&public_url).unwrap_or_else(|| panic!("{name}: {url}"));
        for method in [Method::GET, Method::POST] {
            let status = client.request(method, path).send().await.status;
            assert!(status != 404 && !status.is_server_error(), "{name} {status}");
        }
    }
    assert!(smart["user_access_brand_identifier"]["value"].is_string());
    // OpenID Connect: required fields, and RS256, which SMART names.
    let openid = get("/.well-known/openid-configuration").await;
    for name in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
        assert_eq!(openid[name], smart[name], "{name}");
    }
    for name in ["response_types_supported", "subject_types_supported"] {
        strings(&openid, name);
    }
    assert!(strings(&openid, "id_token_signing_alg_values_supported").contains(&"RS256".to_owned()));
    // SMART 1.0: the same endpoints in the CapabilityStatement.
    let statement = get("/fhir/metadata").await;
    let uris = statement["rest"][0]["security"]["extension"][0]["extension"].as_array().unwrap();
    let uri = |name: &str| uris.iter().find(|uri| uri["url"] == name).map(|uri| &uri["valueUri"]);
    assert_eq!((uri("authorize"), uri("token")), (Some(&smart["authorization_endpoint"]), Some(&smart["token_endpoint"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standalone_launch_passes_for_each_kind_of_client_in_either_syntax_of_scopes() {
    verifies!("SMART-49", "FHIR-SEC-20", "SEED-USCORE-21");
    let world = World::start().await;
    let keys = world.server.client.get("/oauth/jwks").send().await.json();
    for (kind, letters) in [("public", "rs"), ("symmetric", "read"), ("ES384", "rs"), ("RS384", "read")] {
        let suite = Suite::of(&world, kind).await;
        let asked = scopes("launch/patient", "patient", letters);
        let first = checked(&suite.exchange(&suite.code(&asked, &[]).await, Some(VERIFIER)).await);
        assert_eq!((&first["scope"], &first["patient"]), (&json!(asked), &json!("ann")), "{kind}");
        let token = first["access_token"].as_str().unwrap();
        assert_eq!(world.server.client.get("/fhir/Patient/ann").send().await.status, 401, "unauthorized access");
        for (name, query) in SEARCHES {
            let reply = suite.get(&format!("{name}?{query}"), token).await;
            assert_eq!(reply.status, 200, "{kind} {name} {}", reply.text());
        }

        // The ID token, and what it says of the person, read from a page of the app's origin.
        let id_token = first["id_token"].as_str().unwrap();
        let (header, id) = (claims(id_token, 0), claims(id_token, 1));
        let published = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
        assert_eq!((&header["alg"], &published["kty"]), (&json!("RS256"), &json!("RSA")));
        assert!(published.get("x5c").is_none(), "a bare key");
        verify(id_token, published, &world.server.server.settings.public_url, &suite.app.client_id);
        assert_eq!((&id["iss"], &id["aud"]), (&json!(*world.server.server.settings.public_url), &json!(suite.app.client_id)));
        assert!(id["sub"].as_str().is_some_and(|sub| (1..256).contains(&sub.len())));
        assert!(id["exp"].as_i64() > Some(world.server.server.clock.now_seconds()) && id["iat"].is_i64());
        let person = id["fhirUser"].as_str().unwrap().strip_prefix(&format!("{}/", world.server.fhir_base)).unwrap();
        let reply = suite.get(person, token).await;
        assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, ORIGIN));
        assert_eq!(reply.json()["resourceType"], "Patient");

        // Refresh without scopes, then with all that were received; what comes is a part of what was there.
        let mut refresh = first["refresh_token"].as_str().unwrap().to_owned();
        for with_scope in [false, true] {
            let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
            if with_scope {
                fields.push(("scope", &asked));
            }
            let again = checked(&suite.token(&fields).await);
            assert_eq!((&again["scope"], &again["patient"]), (&first["scope"], &first["patient"]));
            assert_eq!(suite.get("Patient/ann", again["access_token"].as_str().unwrap()).await.status, 200);
            refresh = again["refresh_token"].as_str().unwrap_or(&refresh).to_owned();
        }
        let bad = suite.token(&[("grant_type", "refresh_token"), ("refresh_token", "BAD_REFRESH_TOKEN")]).await;
        assert_eq!((bad.status.as_u16(), &bad.json()["error"]), (400, &json!("invalid_grant")), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_limits_an_app_to_some_types_and_takes_everything_back() {
    verifies!("USCORE-11", "SMART-66", "BP-05");
    let world = World::start().await;
    let suite = Suite::of(&world, "symmetric").await;
    let asked = scopes("launch/patient", "patient", "rs");
    let kept = ["patient/Patient.rs", "patient/Condition.rs", "patient/Observation.rs"];
    let unticked: Vec<&str> = asked.split(' ').filter(|scope| scope.contains('.') && !kept.contains(scope)).collect();
    let limited = checked(&suite.exchange(&suite.code(&asked, &unticked).await, Some(VERIFIER)).await);
    assert_eq!(
        limited["scope"],
        "launch/patient openid fhirUser offline_access patient/Condition.rs patient/Observation.rs patient/Patient.rs"
    );
    let token = limited["access_token"].as_str().unwrap();
    for (name, query) in SEARCHES {
        let query = query.split("&_revinclude").next().unwrap();
        let expected = if kept.contains(&format!("patient/{name}.rs").as_str()) { 200 } else { 403 };
        assert_eq!(suite.get(&format!("{name}?{query}"), token).await.status, expected, "{name}");
    }
    // Token revocation, as the person does it on the own page.
    let at = suite.app.sign_in(&suite.app.authorization_query("launch/patient patient/Patient.rs"), "ann", PASSWORD).await;
    let page = world.server.client.get("/me").header("cookie", &at.cookies).send().await;
    assert!(page.text().contains("App suite-symmetric") && page.text().contains("Last used on"), "{}", page.text());
    assert!(!page.text().contains("It ends by itself"), "the app keeps its access until it is taken back");
    let (csrf, grant) = (portcullis_testkit::app::hidden(&page, "csrf"), portcullis_testkit::app::hidden(&page, "grant"));
    let fields = [("csrf", csrf.as_str()), ("grant", grant.as_str())];
    assert_eq!(world.server.client.post("/me/revoke").header("cookie", &at.cookies).form(&fields).send().await.status, 303);
    assert_eq!(suite.get("Patient/ann", token).await.status, 401);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", limited["refresh_token"].as_str().unwrap())];
    let refused = suite.token(&refresh).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gives_parts_of_conditions_and_observations_instead_of_all_of_them() {
    verifies!("USCORE-10", "USCORE-11");
    let world = World::start().await;
    let suite = Suite::of(&world, "public").await;
    let asked = "launch/patient openid fhirUser offline_access patient/Condition.rs patient/Observation.rs patient/Patient.rs";
    let at = suite.app.sign_in(&suite.app.authorization_query(asked), "ann", PASSWORD).await;
    let page = at.page.text();
    let (terminology, us_core) = ("http://terminology.hl7.org/CodeSystem", "http://hl7.org/fhir/us/core/CodeSystem");
    let (condition, observation) = (format!("{terminology}/condition-category"), format!("{terminology}/observation-category"));
    let parts = [
        format!("patient/Condition.rs?category={condition}|encounter-diagnosis"),
        format!("patient/Condition.rs?category={condition}|problem-list-item"),
        format!("patient/Condition.rs?category={us_core}/condition-category|health-concern"),
        format!("patient/Observation.rs?category={observation}|laboratory"),
        format!("patient/Observation.rs?category={observation}|vital-signs"),
        format!("patient/Observation.rs?category={observation}|procedure"),
        format!("patient/Observation.rs?category={observation}|social-history"),
        format!("patient/Observation.rs?category={observation}|survey"),
        format!("patient/Observation.rs?category={us_core}/us-core-category|sdoh"),
    ];
    for part in &parts {
        assert!(page.contains(&format!("name=\"part\" value=\"{part}\"")), "{part}: {page}");
    }
    assert!(!page.contains("value=\"patient/Patient.rs?"), "only what US Core divides is divided");

    let answer = async |more: &[(&str, &str)]| {
        let field = |name: &str| portcullis_testkit::app::hidden(&at.page, name);
        let (csrf, request) = (field("csrf"), field("request"));
        let fields = [&[("csrf", csrf.as_str()), ("request", request.as_str()), ("decision", "allow")], more].concat();
        let back = world.server.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
        let code = query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()));
        checked(&suite.exchange(&code, Some(VERIFIER)).await)
    };
    let all: Vec<(&str, &str)> = asked.split(' ').map(|scope| ("scope", scope)).collect();
    assert_eq!(answer(&all).await["scope"], asked, "who ticks no part gives the whole");
    // Whether the whole stayed ticked or not: the parts are meant.
    let ticked = [("part", parts[0].as_str()), ("part", parts[3].as_str()), ("part", parts[7].as_str())];
    let whole = ["patient/Condition.rs", "patient/Observation.rs"];
    let rest: Vec<(&str, &str)> = all.iter().copied().filter(|(_, scope)| !whole.contains(scope)).collect();
    for answered in [[&all[..], &ticked].concat(), [&rest[..], &ticked].concat()] {
        let token = answer(&answered).await;
        let expected =
            format!("launch/patient openid fhirUser offline_access {} {} {} patient/Patient.rs", parts[0], parts[3], parts[7]);
        assert_eq!(token["scope"], expected);
        let read = suite.get("Observation/obs-ann-1", token["access_token"].as_str().unwrap()).await;
        assert_eq!(read.status, 404, "it has no category");
    }
    // What the form makes up is no part of anything that was asked for.
    let made_up = [("part", "patient/Patient.rs?gender=female"), ("part", "patient/Immunization.rs"), ("part", "user/*.cruds")];
    assert_eq!(answer(&[&rest[..], &made_up].concat()).await["scope"], asked.replace(&whole.join(" "), "").replace("  ", " "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_from_the_ehr_by_post_has_patient_visit_banner_and_style() {
    let ehr = Ehr::start().await;
    let world = &ehr.world;
    let suite = Suite::of(world, "symmetric").await;
    let properties = ClientProperties { launch_urls: vec![LAUNCH_URL.into()], ..ClientProperties::default() };
    world.server.set_properties("suite-symmetric", properties).await;
    let asked = scopes("launch", "user", "rs");
    let fields = [("app", "suite-symmetric"), ("patient", "ann"), ("encounter", "enc-ann")];
    let handle = ehr.ehr.token_request_to("/oauth/launch", &fields).await.json()["launch"].as_str().unwrap().to_owned();
    let query = format!("{}&launch={handle}", suite.app.authorization_query(&asked));
    let posted: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let posted: Vec<(&str, &str)> = posted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let by_post = world.server.client.post("/oauth/authorize").form(&posted).send().await;
    assert!(by_post.status.is_success() || by_post.status.is_redirection(), "{} {}", by_post.status, by_post.text());

    let at = suite.app.sign_in(&query, "who", PASSWORD).await;
    let back = suite.app.consent(&at, &asked.split(' ').collect::<Vec<_>>(), "allow").await;
    let body = checked(&suite.exchange(&query_value(&back, "code").unwrap(), Some(VERIFIER)).await);
    assert_eq!((&body["scope"], &body["patient"], &body["encounter"]), (&json!(asked), &json!("ann"), &json!("enc-ann")));
    assert!(body["need_patient_banner"].is_boolean(), "{body}");
    let style = body["smart_style_url"].as_str().unwrap().strip_prefix(&*world.server.server.settings.public_url).unwrap();
    let reply = world.server.client.get(style).header("origin", ORIGIN).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (200, "*"));
    assert!(reply.json().is_object());
    let token = body["access_token"].as_str().unwrap();
    for path in ["Patient/ann", "Encounter/enc-ann", "Practitioner/who"] {
        assert_eq!(suite.get(path, token).await.status, 200, "{path}");
    }
    let id = claims(body["id_token"].as_str().unwrap(), 1);
    assert_eq!(id["fhirUser"], format!("{}/Practitioner/who", world.server.fhir_base));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_launch_gives_no_code_and_a_broken_exchange_no_token() {
    let world = World::start().await;
    let suite = Suite::of(&world, "symmetric").await;
    let asked = scopes("launch/patient", "patient", "rs");
    let good = suite.app.authorization_query(&asked);
    let aud: String = url::form_urlencoded::byte_serialize(world.server.fhir_base.as_bytes()).collect();
    let invalid_aud = good.replace(&aud, "https%3A%2F%2Finferno.healthit.gov%2Finvalid_aud");
    assert_ne!(invalid_aud, good);
    for query in [invalid_aud, format!("{good}&launch=INVALID_LAUNCH_PARAM")] {
        let reply = world.server.client.get(&format!("/oauth/authorize?{query}")).send().await;
        assert!(query_value(&reply, "code").is_none() && query_value(&reply, "error").is_some(), "{}", reply.header("location"));
        assert_eq!(query_value(&reply, "state").as_deref(), Some("state-of-at-least-122-bits"));
    }
    let challenge =
        url::form_urlencoded::parse(good.as_bytes()).find(|(name, _)| name == "code_challenge").unwrap().1.into_owned();
    for verifier in [None, Some(""), Some("11111111-2222-3333-4444-555555555555-66666666"), Some(challenge.as_str())] {
        let reply = suite.exchange(&suite.code(&asked, &[]).await, verifier).await;
        assert!([400, 401].contains(&reply.status.as_u16()), "{verifier:?}: {}", reply.text());
        assert_eq!(reply.json().get("access_token"), None);
    }
    assert_eq!(suite.exchange("BAD_CODE", Some(VERIFIER)).await.status, 400);
    let code = suite.code(&asked, &[]).await;
    let bad = App { client_id: "BAD_CLIENT_ID".into(), ..suite.app.clone() };
    assert!([400, 401].contains(&bad.exchange(&code).await.status.as_u16()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_service_gets_a_token_and_each_bad_request_the_status_that_is_asked_for() {
    verifies!("SMART-67", "SEED-USCORE-21");
    let world = World::start().await;
    for (kind, scope) in [("ES384", "system/*.read"), ("RS384", "system/*.rs")] {
        let key = ClientKey::generate("k", kind);
        let keys = KeySource::value(&key.jwks().to_string()).unwrap();
        let backend = world.server.add_backend(&format!("bulk-{kind}"), scope, key, keys).await;
        let now = world.server.server.clock.now_seconds();
        let post = async |jti: &str, grant: &str, assertion_type: &str, issuer: &str| {
            let mut claims = backend.claims(now, jti);
            claims["iss"] = json!(issuer);
            // As long as the specification lets an assertion live.
            claims["exp"] = json!(now + 300);
            let assertion = backend.key.sign(&backend.key.header(), &claims);
            let fields = [
                ("grant_type", grant),
                ("scope", scope),
                ("client_assertion_type", assertion_type),
                ("client_assertion", assertion.as_str()),
            ];
            let form = world.server.client.post("/oauth/token").header("accept", "application/json").form(&fields);
            form.send().await
        };
        let own = backend.client_id.as_str();
        assert_eq!(post("1", "not_a_grant_type", ASSERTION_TYPE, own).await.status, 400, "{kind}");
        assert_eq!(post("2", "client_credentials", "not_an_assertion_type", own).await.status, 400, "{kind}");
        let status = post("3", "client_credentials", ASSERTION_TYPE, "not_a_valid_iss").await.status.as_u16();
        assert!([400, 401].contains(&status), "{kind} {status}");
        let beyond = backend.request(&backend.assertion(now, "beyond"), "system/Patient.cruds patient/*.rs").await;
        let told = beyond.json();
        assert_eq!((beyond.status.as_u16(), &told["error"]), (400, &json!("invalid_scope")), "{kind}");
        assert_eq!(told["error_description"], "scope names no system/ scope that this client is registered for");
        let good = post("4", "client_credentials", ASSERTION_TYPE, own).await;
        assert_eq!((good.header("cache-control"), good.header("pragma")), ("no-store", "no-cache"));
        let body = good.json();
        assert_eq!((&body["scope"], &body["expires_in"]), (&json!(scope), &json!(300)), "{body}");
        assert!(body["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(world.server.client.get("/fhir/Patient").bearer(token).send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspection_repeats_the_token_response_and_says_nothing_of_other_tokens() {
    verifies!("USCORE-08");
    let world = World::start().await;
    let suite = Suite::of(&world, "symmetric").await;
    let asked = format!("{} launch/encounter", scopes("launch/patient", "patient", "rs"));
    let body = checked(&suite.exchange(&suite.code(&asked, &[]).await, Some(VERIFIER)).await);
    let smart = world.server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let path = smart["introspection_endpoint"].as_str().unwrap().strip_prefix(&*world.server.server.settings.public_url).unwrap();
    let ask = async |token: &str| suite.app.token_request_to(path, &[("token", token)]).await;
    let active = ask(body["access_token"].as_str().unwrap()).await.json();
    assert_eq!((&active["active"], &active["client_id"]), (&json!(true), &json!(suite.app.client_id)));
    for name in ["scope", "patient", "encounter"] {
        assert!(body[name].is_string() && active[name] == body[name], "{name}: {active}");
    }
    let id = claims(body["id_token"].as_str().unwrap(), 1);
    for name in ["iss", "sub", "fhirUser"] {
        assert!(id[name].is_string() && active[name] == id[name], "{name}: {active}");
    }
    assert!(active["exp"].as_i64() > Some(world.server.server.clock.now_seconds()));
    assert_eq!(ask("invalid_token_value").await.json(), json!({"active": false}));
}
