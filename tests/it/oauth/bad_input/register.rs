//! Bad input at the registration endpoint.

use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use portcullis_testkit::{Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

const PATH: &str = "/oauth/register";

fn good() -> Value {
    json!({"client_name": "Growth chart", "redirect_uris": ["https://growth.example/cb"], "scope": "launch/patient patient/*.rs openid",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none"})
}

async fn post(server: &TestServer, body: impl Into<Vec<u8>>) -> Reply {
    server.client.post(PATH).header("content-type", "application/json").bytes(body.into()).send().await
}

/// A client that registered itself, and may change that.
struct Registration {
    server: TestServer,
    path: String,
    token: String,
    id: String,
}

impl Registration {
    async fn open() -> Self {
        let settings =
            AuthorizationSettings { registration: RegistrationPolicy::Open, registrations_per_hour: 1, ..Default::default() };
        let server = TestServer::start_with(settings).await;
        let reply = post(&server, good().to_string()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
        let (token, id) = (text("registration_access_token"), text("client_id"));
        Self { path: format!("{PATH}/{id}"), token, id, server }
    }

    /// The same document to register a client with, and to change the one that is registered.
    async fn both(&self, media_type: &str, body: &[u8]) -> [Reply; 2] {
        let post = self.server.client.post(PATH).header("content-type", media_type);
        let put = self.server.client.request(http::Method::PUT, &self.path).header("content-type", media_type);
        [post.bytes(body.to_vec()).send().await, put.bearer(&self.token).bytes(body.to_vec()).send().await]
    }

    /// What was answered that should not be.
    async fn judge(&self, what: &str, (media_type, body): (&str, &[u8]), (code, told): (&str, &str), problems: &mut Vec<String>) {
        self.server.clock.advance_seconds(1);
        for (method, reply) in ["POST", "PUT"].into_iter().zip(self.both(media_type, body).await) {
            let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
            let found = (reply.status.as_u16(), text("error"), text("error_description"));
            if found != (400, code.to_owned(), told.to_owned()) {
                problems.push(format!("{method} {what}: expected {code} {told:?}, got {found:?}"));
            }
            assert_eq!(reply.header("cache-control"), "no-store", "{method} {what}");
        }
    }

    /// Nothing was registered, and nothing changed.
    async fn is_as_it_was(&self) {
        let clients = self.server.server.registry.clients().await.unwrap();
        assert_eq!(clients.iter().map(|client| client.id.as_str()).collect::<Vec<_>>(), [self.id.as_str()]);
        let read = self.server.client.get(&self.path).bearer(&self.token).send().await.json();
        assert_eq!((&read["client_name"], &read["redirect_uris"]), (&good()["client_name"], &good()["redirect_uris"]));
        let changed = self.both("application/json", good().to_string().as_bytes()).await;
        assert_eq!(changed.map(|reply| reply.status.as_u16()), [429, 200], "the right one is read: there may be one in an hour");
    }
}

const METADATA: &str = "invalid_client_metadata";
const NO_OBJECT: (&str, &str) = (METADATA, "the body must be a JSON object without repeated members");
const NO_JSON: (&str, &str) = ("invalid_request", "the body must be application/json");
/// What is told of a member, after its name.
const TYPE: (&str, &str) = (METADATA, "has the wrong type or an unknown value");

const COUNT: &str = "a client needs 1 to 20 redirect URIs";
const ABSOLUTE: &str = "the redirect URI must be an absolute URL of ASCII characters, at most 2048 long";
const SCHEME: &str = "the redirect URI must use https, http on 127.0.0.1, [::1] or localhost, or, for a native app, a scheme that is a domain \
                      name of its maker written backwards, as in com.example.app:/callback";
const NAME: &str =
    "the client's name must have 1 to 100 characters, none of them a control character or one that hides or turns text";
const RESPONSE: &str = "response_types must be code for authorization_code, and empty otherwise";
const METHOD: &str = "token_endpoint_auth_method must be none, client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth";
const NO_KEYS: &str = "private_key_jwt and self_signed_tls_client_auth need jwks or jwks_uri";
const NO_KEY_METHOD: &str = "jwks and jwks_uri are for token_endpoint_auth_method private_key_jwt";
const SUBJECT: &str = "token_endpoint_auth_method tls_client_auth and exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, \
                       tls_client_auth_san_uri, tls_client_auth_san_ip, tls_client_auth_san_email need each other";
const STATEMENT: &str = "software_statement: must be a signed JWT without crit and without a key inside";
const KEY_URL: &str = "the jwks_uri must be an https URL without user information and fragment";
const CONTACTS: &str = "contacts must be at most 20 mail addresses";
const LAUNCH_URLS: &str = "launch_urls must be at most 20 https URLs without fragment, in their normal form";
const LOGO: &str = "logo_uri must be an https URL of at most 2048 characters without user information";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_metadata_has_its_error_and_registers_nothing() {
    verifies!("OAUTH-13");
    let registration = Registration::open().await;
    let repeated = good().to_string().replacen('{', "{\"client_name\":\"Another\",", 1);
    let deep = good().to_string().replacen('{', &format!("{{\"contacts\":{}{},", "[".repeat(500), "]".repeat(500)), 1);
    let mut broken = good().to_string().into_bytes();
    let place = broken.iter().position(|byte| *byte == b'G').unwrap();
    broken[place] = 0xff;
    let huge = good().to_string().replace("Growth chart", &"x".repeat(70_000)).into_bytes();
    let mut problems = Vec::new();
    for (what, body, told) in [
        ("nothing", Vec::new(), NO_OBJECT),
        ("an array", b"[]".to_vec(), NO_OBJECT),
        ("text", b"\"x\"".to_vec(), NO_OBJECT),
        ("null", b"null".to_vec(), NO_OBJECT),
        ("half", good().to_string().into_bytes()[..40].to_vec(), NO_OBJECT),
        ("two", format!("{}{}", good(), good()).into_bytes(), NO_OBJECT),
        ("a name twice", repeated.into_bytes(), NO_OBJECT),
        ("deep", deep.into_bytes(), NO_OBJECT),
        ("no UTF-8", broken, NO_OBJECT),
        ("a form", b"client_name=x".to_vec(), NO_OBJECT),
        ("huge", huge, ("invalid_request", "the body is too large or incomplete")),
    ] {
        registration.judge(what, ("application/json", &body), told, &mut problems).await;
    }
    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/fhir+json"] {
        let body = good().to_string().into_bytes();
        registration.judge(media_type, (media_type, &body), NO_JSON, &mut problems).await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    registration.is_as_it_was().await;
}

const REDIRECT: &str = "invalid_redirect_uri";
const UNVERIFIED: &str = "invalid_software_statement";

/// A member with a value that cannot be, and the error and description that it has.
type Fault = (&'static str, Value, &'static str, &'static str);

fn faults_of_links(long: &str) -> Vec<Fault> {
    vec![
        ("redirect_uris", Value::Null, REDIRECT, COUNT),
        ("redirect_uris", json!([]), REDIRECT, COUNT),
        ("redirect_uris", json!([""]), REDIRECT, ABSOLUTE),
        ("redirect_uris", json!([7]), REDIRECT, "redirect_uris must be an array of text"),
        ("redirect_uris", json!(["javascript:alert(1)"]), REDIRECT, SCHEME),
        ("redirect_uris", json!(["http://growth.example/cb"]), REDIRECT, SCHEME),
        ("redirect_uris", json!(["https://growth.example/cb#x"]), REDIRECT, "the redirect URI must have no fragment"),
        ("redirect_uris", json!(["https://u:p@growth.example/cb"]), REDIRECT, "the redirect URI must have no user name"),
        ("redirect_uris", json!([format!("https://growth.example/{long}")]), REDIRECT, ABSOLUTE),
        ("redirect_uris", json!("https://growth.example/cb"), TYPE.0, TYPE.1),
        ("launch_urls", json!("https://growth.example/launch"), TYPE.0, TYPE.1),
        ("launch_urls", json!(vec!["https://growth.example/launch"; 21]), METADATA, LAUNCH_URLS),
        ("launch_urls", json!(["http://growth.example/launch"]), METADATA, LAUNCH_URLS),
        ("logo_uri", json!("javascript:alert(1)"), METADATA, LOGO),
        ("logo_uri", json!(format!("https://growth.example/{long}")), METADATA, LOGO),
        ("logo_uri", json!(7), TYPE.0, TYPE.1),
    ]
}

fn faults(long: &str, key: &Value) -> Vec<Fault> {
    let mut faults = faults_of_links(long);
    let scopes: Vec<String> = (0..201).map(|number| format!("patient/Observation.rs?code={number}")).collect();
    let scopes = scopes.join(" ");
    faults.extend([
        ("client_name", json!(7), TYPE.0, TYPE.1),
        ("client_name", json!(""), METADATA, NAME),
        ("client_name", json!(long), METADATA, NAME),
        ("client_name", json!("a\nb"), METADATA, NAME),
        ("scope", json!(["openid"]), TYPE.0, TYPE.1),
        ("scope", json!(""), METADATA, "a client needs at least one scope"),
        ("scope", json!(scopes), METADATA, "scope names too many scopes"),
        ("scope", json!("nonsense"), METADATA, "a client needs at least one scope"),
        ("scope", json!("system/*.rs"), METADATA, "system/ scopes and the grant type client_credentials need each other"),
        ("grant_types", json!("authorization_code"), TYPE.0, TYPE.1),
        ("grant_types", json!([]), METADATA, RESPONSE),
        ("grant_types", json!(["implicit"]), METADATA, "grant_types names a grant type that is not supported"),
        (
            "grant_types",
            json!(["client_credentials"]),
            METADATA,
            "client_credentials is registered by the operator of this server",
        ),
        ("grant_types", json!(["refresh_token"]), METADATA, RESPONSE),
        ("response_types", json!("code"), TYPE.0, TYPE.1),
        ("response_types", json!(["code token"]), METADATA, RESPONSE),
        ("token_endpoint_auth_method", json!(7), TYPE.0, TYPE.1),
        ("token_endpoint_auth_method", json!("client_secret_post"), METADATA, METHOD),
        ("token_endpoint_auth_method", json!(""), METADATA, METHOD),
        ("token_endpoint_auth_method", json!("private_key_jwt"), METADATA, NO_KEYS),
        ("token_endpoint_auth_method", json!("tls_client_auth"), METADATA, SUBJECT),
        ("jwks", key.clone(), METADATA, NO_KEY_METHOD),
        ("jwks_uri", json!(7), TYPE.0, TYPE.1),
        ("jwks_uri", json!("http://growth.example/keys"), METADATA, NO_KEY_METHOD),
        (
            "client_uri",
            json!("http://growth.example/"),
            METADATA,
            "client_uri must be an https URL of at most 2048 characters without user information",
        ),
        (
            "policy_uri",
            json!("x"),
            METADATA,
            "policy_uri must be an https URL of at most 2048 characters without user information",
        ),
        (
            "tos_uri",
            json!("ftp://growth.example/"),
            METADATA,
            "tos_uri must be an https URL of at most 2048 characters without user information",
        ),
        ("contacts", json!("a@growth.example"), TYPE.0, TYPE.1),
        ("contacts", json!([7]), TYPE.0, TYPE.1),
        ("contacts", json!([""]), METADATA, CONTACTS),
        ("contacts", json!(["growth.example"]), METADATA, CONTACTS),
        ("contacts", json!(["a@growth.example\r\nBcc: b@growth.example"]), METADATA, CONTACTS),
        ("contacts", json!([format!("{long}@growth.example")]), METADATA, CONTACTS),
        ("contacts", json!(vec!["a@growth.example"; 21]), METADATA, CONTACTS),
        ("default_acr_values", json!("x"), TYPE.0, TYPE.1),
        ("dpop_bound_access_tokens", json!("true"), TYPE.0, TYPE.1),
        ("require_pushed_authorization_requests", json!("true"), TYPE.0, TYPE.1),
        ("require_signed_request_object", json!(true), METADATA, "require_signed_request_object is for clients with public keys"),
        ("introspection_signed_response_alg", json!("HS256"), TYPE.0, TYPE.1),
        ("application_type", json!("toaster"), TYPE.0, TYPE.1),
        ("application_type", json!(7), TYPE.0, TYPE.1),
        ("tls_client_certificate_bound_access_tokens", json!("true"), TYPE.0, TYPE.1),
        ("subject_type", json!("pairwise"), METADATA, "subject_type must be public"),
        ("id_token_signed_response_alg", json!("none"), METADATA, "id_token_signed_response_alg must be RS256"),
        ("id_token_signed_response_alg", json!("HS256"), METADATA, "id_token_signed_response_alg must be RS256"),
        ("id_token_signed_response_alg", json!(["RS256"]), METADATA, "id_token_signed_response_alg must be RS256"),
        (
            "token_endpoint_auth_signing_alg",
            json!("HS256"),
            METADATA,
            "token_endpoint_auth_signing_alg must be RS384 or ES384 or RS256 or ES256",
        ),
        (
            "request_object_signing_alg",
            json!("none"),
            METADATA,
            "request_object_signing_alg must be RS384 or ES384 or RS256 or ES256",
        ),
        (
            "id_token_encrypted_response_alg",
            json!("RSA-OAEP-256"),
            METADATA,
            "id_token_encrypted_response_alg is not supported: leave it out",
        ),
        ("userinfo_signed_response_alg", json!("RS256"), METADATA, "userinfo_signed_response_alg is not supported: leave it out"),
        ("software_statement", json!(7), UNVERIFIED, STATEMENT),
        ("software_statement", json!("a.b.c"), UNVERIFIED, STATEMENT),
        ("software_statement", json!(long), UNVERIFIED, STATEMENT),
    ]);
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_of_metadata_has_its_error() {
    verifies!("OAUTH-13");
    let registration = Registration::open().await;
    let long = "x".repeat(5000);
    let key = json!({"keys": [{"kty": "oct", "k": "AAAA"}]});
    let mut problems = Vec::new();
    for (name, value, code, told) in faults(&long, &key) {
        let mut faulty = good();
        faulty[name] = value.clone();
        if value.is_null() {
            faulty.as_object_mut().unwrap().remove(name);
        }
        let what = format!("{name} {value:.60}");
        let told = if told == TYPE.1 { format!("{name} {told}") } else { told.to_owned() };
        registration.judge(&what, ("application/json", faulty.to_string().as_bytes()), (code, &told), &mut problems).await;
    }
    // Keys, where the method is the one that takes them.
    for (name, value, told) in [
        ("jwks", key, "the JWK Set holds a private or symmetric key; register the public keys alone"),
        (
            "jwks",
            json!({"keys": []}),
            "the JWK Set has no usable key: RSA of 2048 bits or more, P-256 or P-384, with a kid, for signatures",
        ),
        ("jwks", json!("x"), r#"not a JWK Set: expected {"keys": [...]} in which no member occurs twice"#),
        ("jwks_uri", json!("http://growth.example/keys"), KEY_URL),
        ("jwks_uri", json!("https://127.0.0.1/keys"), "jwks_uri cannot be used: the host is not a public one"),
        ("jwks_uri", json!(""), KEY_URL),
    ] {
        let mut faulty = good();
        faulty["token_endpoint_auth_method"] = json!("private_key_jwt");
        faulty[name] = value.clone();
        let what = format!("private_key_jwt with {name} {value:.60}");
        registration.judge(&what, ("application/json", faulty.to_string().as_bytes()), (METADATA, told), &mut problems).await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    registration.is_as_it_was().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_of_a_certificate_has_its_error() {
    verifies!("OAUTH-13");
    let registration = Registration::open().await;
    let wrong = |name: &str| format!("{name} is not a name of its kind, written out and without wildcards");
    let long = "x".repeat(1025);
    let mut problems = Vec::new();
    for (name, values) in [
        ("tls_client_auth_subject_dn", ["", "growth", "CN=*.growth.example", "CN=", "TOASTER=x", long.as_str()]),
        (
            "tls_client_auth_san_dns",
            ["", "*.growth.example", "growth example", "https://growth.example", "10.0.0.1", long.as_str()],
        ),
        ("tls_client_auth_san_uri", ["", "growth", "https://*.growth.example/", "urn:a b", "/path", long.as_str()]),
        ("tls_client_auth_san_ip", ["", "growth.example", "10.0.0.0/8", "10.0.0.256", "10.0.0.1:443", long.as_str()]),
        ("tls_client_auth_san_email", ["", "growth.example", "*@growth.example", "a@", "@growth.example", long.as_str()]),
    ] {
        for value in values {
            let mut faulty = good();
            (faulty["token_endpoint_auth_method"], faulty[name]) = (json!("tls_client_auth"), json!(value));
            let what = format!("{name} {value:.60}");
            let expected = (METADATA, wrong(name));
            registration
                .judge(&what, ("application/json", faulty.to_string().as_bytes()), (expected.0, &expected.1), &mut problems)
                .await;
        }
        let mut faulty = good();
        (faulty["token_endpoint_auth_method"], faulty[name]) = (json!("tls_client_auth"), json!(["growth.example"]));
        let told = format!("{name} {}", TYPE.1);
        registration.judge(name, ("application/json", faulty.to_string().as_bytes()), (METADATA, &told), &mut problems).await;
        // One of another method has none.
        let mut faulty = good();
        faulty[name] = json!("growth.example");
        registration.judge(name, ("application/json", faulty.to_string().as_bytes()), (METADATA, SUBJECT), &mut problems).await;
    }
    const ONE: &str =
        "tls_client_auth needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email";
    let mut both = good();
    both["token_endpoint_auth_method"] = json!("tls_client_auth");
    (both["tls_client_auth_san_dns"], both["tls_client_auth_san_ip"]) = (json!("growth.example"), json!("192.0.2.1"));
    registration.judge("two names", ("application/json", both.to_string().as_bytes()), (METADATA, ONE), &mut problems).await;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    registration.is_as_it_was().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_describes_another_one_changes_nothing() {
    verifies!("OAUTH-13");
    let registration = Registration::open().await;
    for other in ["growth", "", &format!("{}x", registration.id)] {
        let mut body = good();
        (body["client_id"], body["client_name"]) = (json!(other), json!("Another"));
        let request = registration.server.client.request(http::Method::PUT, &registration.path).bearer(&registration.token);
        let reply = request.header("content-type", "application/json").bytes(body.to_string()).send().await;
        let found = (reply.status.as_u16(), reply.json()["error"].clone(), reply.json()["error_description"].clone());
        assert_eq!(found, (400, json!(METADATA), json!("client_id must be that of this registration")), "{other}");
    }
    registration.is_as_it_was().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_token_of_the_registration_learns_and_changes_nothing() {
    verifies!("OAUTH-13");
    let registration = Registration::open().await;
    let (client, path) = (&registration.server.client, &registration.path);
    let asked = "this takes the registration access token of the client";
    let refused = "the registration access token is not valid for this client";
    let good_header = format!("Bearer {}", registration.token);
    for (headers, told) in [
        (&[][..], asked),
        (&["Bearer"], asked),
        (&["Bearer "], asked),
        (&["Basic x"], asked),
        (&[good_header.as_str(), good_header.as_str()], asked),
        (&["Bearer guessed"], refused),
        (&[&format!("Bearer  {}", registration.token)], refused),
        (&[&format!("{good_header}x")], refused),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            registration.server.clock.advance_seconds(1);
            let request = client.request(method.parse().unwrap(), path).header("content-type", "application/json");
            let request = headers.iter().fold(request, |request, header| request.header("authorization", header));
            let reply = request.bytes(good().to_string()).send().await;
            let found = (reply.status.as_u16(), reply.json()["error"].clone(), reply.json()["error_description"].clone());
            assert_eq!(found, (401, json!("invalid_token"), json!(told)), "{method} {headers:?}");
        }
    }
    let other = client.get(&format!("{PATH}/nobody")).bearer(&registration.token).send().await;
    assert_eq!((other.status.as_u16(), other.json()["error_description"].clone()), (401, json!(refused)));
    registration.is_as_it_was().await;
}
