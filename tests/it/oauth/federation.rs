//! Signing in with an account elsewhere: what a provider, or somebody between, may do wrong, and what the person then reads. That it works with a
//! provider of another author is shown in `demo/federation.rs`.

use std::sync::Arc;

use portcullis_audit::PendingRecord;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::totp::TotpSecret;
use portcullis_oauth::users::Role;
use portcullis_server::admin::people::UserLink;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Caller, Service, UserRequest};
use portcullis_store::Clock as _;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::SignInChange;
use portcullis_testkit::provider_server::Arrived;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{ProviderServer, Reply, TestServer};
use serde_json::{Value, json};

use crate::jar::Jar;

type Browser<'a> = Jar<'a>;

/// The server's own change, as one of its pages makes it.
async fn with_authenticator_app(server: &TestServer, user: &str) -> TotpSecret {
    let secret = TotpSecret::from_bytes(vec![7; 20]).unwrap();
    let change = SignInChange::SetTotp {
        user: UserId::parse(user).unwrap(),
        secret: TotpSecret::from_bytes(vec![7; 20]).unwrap(),
        step: 0,
    };
    let record = format!(
        r#"{{"id":"{:032x}","recorded":{},"event":"credential","agent":{{}},"outcome":"success"}}"#,
        server.server.random_u128(),
        server.clock.now_seconds() * 1000
    );
    let record = PendingRecord::new(&serde_json::from_str(&record).unwrap()).unwrap();
    server.server.registry.apply(Change::SignIn(Box::new(change)), &record).await.unwrap();
    secret
}

/// A server, a provider, and Ann, who is `ann-there` at the provider.
struct World {
    provider: ProviderServer,
    server: TestServer,
}

impl World {
    async fn start() -> Self {
        let provider = ProviderServer::start().await;
        let server = TestServer::start_with_provider(&provider, provider.configured()).await;
        server.add_user("ann", &[Role::Patient], Some("Patient/ann"), &["ann"]).await;
        server.add_user("bob", &[Role::Patient], Some("Patient/bob"), &["bob"]).await;
        let world = Self { provider, server };
        assert!(matches!(world.link("ann", "ann-there").await, Response::Done));
        world
    }

    async fn link(&self, username: &str, subject: &str) -> Response {
        let link = UserLink { username: username.into(), issuer: self.provider.issuer(), subject: subject.into() };
        Service::new(Arc::clone(&self.server.server)).answer(&Caller::named("test"), Request::LinkUser(link)).await
    }

    fn now(&self) -> i64 {
        self.server.clock.now_seconds()
    }

    /// The browser goes to the provider.
    async fn go(&self, browser: &mut Browser<'_>) -> Arrived {
        let reply = browser.get("/login/federated?provider=elsewhere&return_to=%2Fme").await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        self.provider.arrived(reply.header("location"))
    }

    /// The browser comes back with an id_token of these claims.
    async fn back(&self, browser: &mut Browser<'_>, arrived: &Arrived, claims: &Value) -> Reply {
        let path = self.provider.answer(arrived, self.provider.sign(claims));
        browser.get(&path).await
    }

    fn claims(&self, arrived: &Arrived) -> Value {
        self.provider.claims(arrived, "ann-there", self.now())
    }

    fn recorded(&self, text: &str) -> bool {
        self.server.records().iter().any(|record| record.detail.as_deref().is_some_and(|detail| detail.contains(text)))
    }
}

fn assert_page(reply: &Reply, status: u16, title: &str) {
    let text = reply.text();
    assert!(reply.status == status && text.contains(&format!("<h1>{title}</h1>")), "{status} {title}: {} {text}", reply.status);
    assert!(
        !reply.headers.get_all("set-cookie").iter().any(|value| value.to_str().unwrap().starts_with("__Host-portcullis-session"))
    );
}

const UNBELIEVABLE: &str = "Elsewhere gave an answer that we cannot accept";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_person_signs_in_and_the_provider_learns_nothing_of_the_way() {
    let world = World::start().await;
    let mut browser = Browser::new(&world.server.client);
    let page = browser.get("/login?return_to=/me").await;
    assert!(page.text().contains("Sign in with <bdi>Elsewhere</bdi>"), "{}", page.text());
    let arrived = world.go(&mut browser).await;
    for (name, value) in
        [("response_type", "code"), ("code_challenge_method", "S256"), ("scope", "openid profile"), ("client_id", "portcullis")]
    {
        assert_eq!(arrived.get(name), value);
    }
    assert_eq!((arrived.get("state").len(), arrived.get("nonce").len(), arrived.get("code_challenge").len()), (43, 43, 43));
    let reply = world.back(&mut browser, &arrived, &world.claims(&arrived)).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/me"), "{}", reply.text());
    assert!(browser.is_signed_in() && !browser.cookies.contains_key("__Host-portcullis-federation"));
    assert_eq!(browser.get("/me").await.status, 200);
    assert!(world.recorded("signed in: federation"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_counts_in_its_own_browser_and_once() {
    portcullis_verifies::verifies!("SMART-18");
    let world = World::start().await;
    let mut states = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let arrived = world.go(&mut Browser::new(&world.server.client)).await;
        assert_eq!(arrived.get("state").len(), 43, "256 bits of the same source as every code: hygiene.rs measures it");
        states.insert(arrived.get("state").to_owned());
    }
    assert_eq!(states.len(), 50);
    let (mut ann, mut mallory) = (Browser::new(&world.server.client), Browser::new(&world.server.client));
    let (arrived, other) = (world.go(&mut ann).await, world.go(&mut mallory).await);
    let path = world.provider.answer(&arrived, world.provider.sign(&world.claims(&arrived)));
    assert_page(&mallory.get(&path).await, 403, "This sign-in did not begin here");
    let stranger = Browser::new(&world.server.client).get(&path).await;
    assert_page(&stranger, 403, "This sign-in did not begin here");
    let swapped = path.replace(arrived.get("state"), other.get("state"));
    assert_page(&ann.get(&swapped).await, 403, "This sign-in did not begin here");
    let elsewhere = path.replace("/callback/elsewhere", "/callback/another");
    assert_page(&ann.get(&elsewhere).await, 403, "This sign-in did not begin here");
    let kept = ann.cookies.clone();
    assert_eq!(ann.get(&path).await.status, 303);
    let mut replay = Browser { client: &world.server.client, cookies: kept.clone() };
    assert_page(&replay.get(&path).await, 403, "This sign-in was used before");
    let mut forged = Browser { client: &world.server.client, cookies: kept };
    let cookie = forged.cookies.get_mut("__Host-portcullis-federation").unwrap();
    *cookie = format!("A{}", &cookie[1..]);
    assert_page(&forged.get(&path).await, 403, "This sign-in did not begin here");
    let late = world.go(&mut mallory).await;
    world.server.clock.advance_seconds(900);
    let reply = world.back(&mut mallory, &late, &world.claims(&late)).await;
    assert_page(&reply, 403, "This sign-in did not begin here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_for_this_request_signs_nobody_in() {
    let world = World::start().await;
    let now = world.now();
    for (name, value, detail) in [
        ("nonce", json!("another"), "the id_token is of another browser's request"),
        ("aud", json!("another"), "the id_token is for another client"),
        ("aud", json!(["portcullis", "another"]), "the id_token is for another client"),
        ("azp", json!("another"), "the id_token is for another client"),
        ("iss", json!("https://evil.example"), "the id_token is of another issuer"),
        ("exp", json!(now - 61), "the id_token is not of this time"),
        ("exp", json!("2099"), "a claim has the wrong type"),
        ("at_hash", json!("x"), "the id_token belongs to another access token"),
        ("sub", json!(""), "a required claim is missing"),
    ] {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        let mut claims = world.claims(&arrived);
        claims[name] = value;
        assert_page(&world.back(&mut browser, &arrived, &claims).await, 502, UNBELIEVABLE);
        assert!(world.recorded(detail), "{name}: {detail}");
        assert!(!browser.is_signed_in(), "{name}");
    }
    let part = |value: Value| portcullis_jose::base64url::encode(value.to_string());
    for algorithm in ["none", "HS256"] {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        let signature = if algorithm == "none" { "" } else { "c2lnbmF0dXJl" };
        let token = format!("{}.{}.{signature}", part(json!({"alg": algorithm, "kid": "k"})), part(world.claims(&arrived)));
        let path = world.provider.answer(&arrived, token);
        assert_page(&browser.get(&path).await, 502, UNBELIEVABLE);
        assert!(world.recorded("the algorithm is refused"), "{algorithm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_others_and_errors_are_told_and_spend_the_state() {
    portcullis_verifies::verifies!("OAUTH-28");
    let world = World::start().await;
    let long = format!("code={}&iss=ISS", "x".repeat(5000));
    let cases = [
        ("code=c&iss=https%3A%2F%2Fevil.example", 403, "The answer came from somebody else"),
        ("code=c", 403, "The answer came from somebody else"),
        ("error=access_denied&iss=ISS", 403, "You did not finish signing in"),
        ("error=server_error&iss=ISS", 502, UNBELIEVABLE),
        ("code=unknown&iss=ISS", 502, UNBELIEVABLE),
        ("iss=ISS", 502, UNBELIEVABLE),
        ("code=a&code=b&iss=ISS", 502, UNBELIEVABLE),
        ("code=&iss=ISS", 502, UNBELIEVABLE),
        (long.as_str(), 502, UNBELIEVABLE),
        ("code=c&iss=ISS&iss=ISS", 502, UNBELIEVABLE),
        ("error=access_denied&error=x&iss=ISS", 502, UNBELIEVABLE),
        ("error=%3Cscript%3E&iss=ISS", 502, UNBELIEVABLE),
    ];
    let issuer: String = url::form_urlencoded::byte_serialize(world.provider.issuer().as_bytes()).collect();
    for (query, status, title) in cases {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        let kept = browser.cookies.clone();
        let path =
            format!("/login/federated/callback/elsewhere?state={}&{}", arrived.get("state"), query.replace("ISS", &issuer));
        assert_page(&browser.get(&path).await, status, title);
        let mut again = Browser { client: &world.server.client, cookies: kept };
        assert_page(&again.get(&path).await, 403, "This sign-in was used before");
    }
    let asked = world.provider.calls().iter().filter(|call| call.starts_with("/token")).count();
    assert_eq!(asked, 1, "the provider hears of the one code alone that could be its own");
    assert!(world.recorded("Elsewhere refused: access_denied"));
    assert!(world.recorded("the provider refused the code: invalid_grant"));
    let unknown = Browser::new(&world.server.client).get("/login/federated?provider=nobody").await;
    assert_page(&unknown, 404, "There is no such way to sign in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_does_not_answer_or_answers_too_much_leaves_nothing_behind() {
    for (path, status, headers, body) in [
        ("/token", "302 Found", "location: https://evil.example/token\r\n", String::new()),
        ("/token", "500 x", "", String::new()),
        ("/token", "200 OK", "", format!("{{\"id_token\":\"{}\"}}", "x".repeat(70_000))),
        ("/jwks", "200 OK", "", format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(70_000))),
        ("/jwks", "302 Found", "location: /other\r\n", String::new()),
        ("/.well-known/openid-configuration", "503 x", "", String::new()),
        ("/.well-known/openid-configuration", "200 OK", "", "x".repeat(70_000)),
    ] {
        let world = World::start().await;
        world.provider.say(path, status, headers, &body);
        let mut browser = Browser::new(&world.server.client);
        if path.starts_with("/.well-known") {
            let reply = browser.get("/login/federated?provider=elsewhere").await;
            assert_page(&reply, 503, "Elsewhere does not answer");
            assert!(browser.cookies.is_empty());
            continue;
        }
        let arrived = world.go(&mut browser).await;
        let reply = world.back(&mut browser, &arrived, &world.claims(&arrived)).await;
        assert_page(&reply, 503, "Elsewhere does not answer");
        assert_eq!(reply.header("retry-after"), "60");
        assert!(
            !browser.is_signed_in() && !world.provider.calls().iter().any(|call| call == "/other"),
            "redirects are not followed"
        );
    }
    let world = World::start().await;
    let document = json!({"issuer": "https://evil.example", "authorization_endpoint": "https://evil.example/a",
                          "token_endpoint": "https://evil.example/t", "jwks_uri": "https://evil.example/j"});
    world.provider.say("/.well-known/openid-configuration", "200 OK", "", &document.to_string());
    let reply = Browser::new(&world.server.client).get("/login/federated?provider=elsewhere").await;
    assert_page(&reply, 502, UNBELIEVABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_may_change_its_keys() {
    let world = World::start().await;
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.go(&mut browser).await;
    assert_eq!(world.back(&mut browser, &arrived, &world.claims(&arrived)).await.status, 303);
    world.provider.roll_keys(true);
    world.server.clock.advance_seconds(61);
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.go(&mut browser).await;
    assert_eq!(world.back(&mut browser, &arrived, &world.claims(&arrived)).await.status, 303, "its keys are fetched again");
    assert_eq!(world.provider.calls().iter().filter(|call| *call == "/jwks").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_by_an_e_mail_address_or_a_name() {
    let world = World::start().await;
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.go(&mut browser).await;
    let mut claims = world.provider.claims(&arrived, "somebody", world.now());
    for (name, value) in [("email", "ann"), ("preferred_username", "ann"), ("name", "ann Example"), ("fhirUser", "Patient/ann")] {
        claims[name] = json!(value);
    }
    claims["email_verified"] = json!(true);
    assert_page(&world.back(&mut browser, &arrived, &claims).await, 403, "Your account is not linked yet");
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.go(&mut browser).await;
    let mut claims = world.claims(&arrived);
    claims["fhirUser"] = json!("Patient/bob");
    assert_page(&world.back(&mut browser, &arrived, &claims).await, 403, "Two different people");
    assert!(matches!(world.link("bob", "ann-there").await, Response::Refused(_)), "one identity, one account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_links_and_separates_accounts_on_the_own_page_and_nobody_else_can() {
    let world = World::start().await;
    let mut bob = Browser::new(&world.server.client);
    assert_eq!(bob.sign_in("bob", PASSWORD).await.status, 303);
    let page = bob.get("/me/federation").await;
    assert!(page.text().contains("No account is linked."), "{}", page.text());
    let href = page
        .text()
        .split("href=\"")
        .find(|rest| rest.starts_with("/login/federated?"))
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let href = href.replace("&amp;", "&").replace("&#38;", "&");
    let forged = bob.get("/login/federated?provider=elsewhere&link=forged").await;
    assert_page(&forged, 403, "This sign-in did not begin here");
    // A session that was left open shows the same token on the own page: it adds no way in.
    world.server.clock.advance_seconds(901);
    assert_eq!(bob.get("/me").await.status, 200);
    let late = bob.get(&href).await;
    assert_eq!((late.status.as_u16(), late.header("location")), (303, "/me/federation"), "{}", late.text());
    assert!(world.recorded("linked only after a recent sign-in"));
    assert!(bob.get("/me/federation").await.header("location").starts_with("/login?"));
    assert_eq!(bob.sign_in("bob", PASSWORD).await.status, 303);
    let reply = bob.get(&href).await;
    let arrived = world.provider.arrived(reply.header("location"));
    assert_eq!(arrived.get("prompt"), "login", "whoever happens to be signed in there is not linked by accident");
    // In another session the answer links nothing.
    let path = world.provider.answer(&arrived, world.provider.sign(&world.provider.claims(&arrived, "bob-there", world.now())));
    let mut other = Browser { client: &world.server.client, cookies: bob.cookies.clone() };
    other.cookies.remove("__Host-portcullis-session");
    assert_page(&other.get(&path).await, 403, "This sign-in did not begin here");
    let arrived = world.provider.arrived(bob.get(&href).await.header("location"));
    let reply = world.back(&mut bob, &arrived, &world.provider.claims(&arrived, "ann-there", world.now())).await;
    assert_page(&reply, 409, "This sign-in belongs to another account");
    let arrived = world.provider.arrived(bob.get(&href).await.header("location"));
    let reply = world.back(&mut bob, &arrived, &world.provider.claims(&arrived, "bob-there", world.now())).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/me/federation"), "{}", reply.text());
    let page = bob.get("/me/federation").await;
    assert!(page.text().contains("bob-there"), "{}", page.text());
    let signs_in = async || {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        world.back(&mut browser, &arrived, &world.provider.claims(&arrived, "bob-there", world.now())).await.status.as_u16()
    };
    assert_eq!(signs_in().await, 303);
    let csrf = portcullis_testkit::app::hidden(&page, "csrf");
    let issuer = world.provider.issuer();
    let fields = [("csrf", csrf.as_str()), ("issuer", issuer.as_str()), ("subject", "bob-there")];
    assert_eq!(bob.post("/me/federation/unlink", &fields).await.status, 303);
    assert_eq!(signs_in().await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_wants_a_new_sign_in_gets_one_of_the_provider() {
    let world = World::start().await;
    world.server.import(&[portcullis_testkit::resources::patient("ann", "Ann")]).await;
    let app = world.server.add_app("app", "launch/patient patient/Patient.r", false).await;
    let begin = |more: &str| {
        let path = format!("/oauth/authorize?{}{more}", app.authorization_query("launch/patient patient/Patient.r"));
        let encoded: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        format!("/login/federated?provider=elsewhere&return_to={encoded}")
    };
    for (more, prompt, age, old) in [("&prompt=login", "login", "28800", 120), ("&max_age=300", "", "300", 400)] {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.provider.arrived(browser.get(&begin(more)).await.header("location"));
        assert_eq!((arrived.get("prompt"), arrived.get("max_age")), (prompt, age), "{more}");
        let mut claims = world.claims(&arrived);
        claims["auth_time"] = json!(world.now() - old);
        assert_page(&world.back(&mut browser, &arrived, &claims).await, 403, "Please sign in once more");
        let arrived = world.provider.arrived(browser.get(&begin(more)).await.header("location"));
        let reply = world.back(&mut browser, &arrived, &world.claims(&arrived)).await;
        let consent = browser.get(reply.header("location")).await;
        assert!(consent.text().contains("value=\"allow\""), "{more}: {}", consent.text());
    }
    // Without such a demand an older sign-in there is taken, and told as what it is.
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.provider.arrived(browser.get(&begin("")).await.header("location"));
    let mut claims = world.claims(&arrived);
    claims["auth_time"] = json!(world.now() - 1000);
    let reply = world.back(&mut browser, &arrived, &claims).await;
    assert!(browser.get(reply.header("location")).await.text().contains("value=\"allow\""));
    let page = browser
        .get(&format!("/oauth/authorize?{}&max_age=900", app.authorization_query("launch/patient patient/Patient.r")))
        .await;
    assert!(page.text().contains("type=\"password\""), "the sign-in there was longer ago than this app takes");
    let long = begin(&format!("&x={}", "x".repeat(4000)));
    assert_page(&Browser::new(&world.server.client).get(&long).await, 400, "This app cannot be opened this way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_a_second_factor_gives_it_here_unless_the_provider_is_trusted_with_that() {
    let world = World::start().await;
    let secret = with_authenticator_app(&world.server, "user-ann").await;
    for amr in [Value::Null, json!(["pwd"]), json!("mfa")] {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        let kept = browser.cookies.clone();
        let mut claims = world.claims(&arrived);
        claims["amr"] = amr.clone();
        let path = world.provider.answer(&arrived, world.provider.sign(&claims));
        let asked = browser.get(&path).await;
        assert!(
            asked.status == 200 && asked.text().contains("name=\"code\"") && !browser.is_signed_in(),
            "{amr}: {}",
            asked.text()
        );
        let mut replay = Browser { client: &world.server.client, cookies: kept };
        assert_page(&replay.get(&path).await, 403, "This sign-in was used before");
        let hidden = |name: &str| portcullis_testkit::app::hidden(&asked, name);
        let (csrf, pending, return_to) = (hidden("csrf"), hidden("pending"), hidden("return_to"));
        let fields = |code: &str| {
            [("csrf", csrf.clone()), ("pending", pending.clone()), ("return_to", return_to.clone()), ("code", code.to_owned())]
        };
        let send = async |browser: &mut Browser<'_>, fields: [(&str, String); 4]| {
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            browser.post("/login/second", &fields).await
        };
        // What the provider said is not made into a password.
        let mut lied = fields("000000");
        lied[1].1 = pending.replace(".federation.", ".password.");
        assert_eq!(send(&mut browser, lied).await.status, 403);
        assert_eq!(send(&mut browser, fields("000000")).await.status, 401);
        world.server.clock.advance_seconds(30);
        let code = secret.code(world.now() / 30);
        let done = send(&mut browser, fields(&code)).await;
        assert!(done.status == 303 && browser.is_signed_in(), "{}", done.text());
    }
    assert!(world.recorded("signed in: totp federation"));
    let mut browser = Browser::new(&world.server.client);
    let arrived = world.go(&mut browser).await;
    let mut claims = world.claims(&arrived);
    claims["amr"] = json!(["pwd", "mfa"]);
    assert_eq!(world.back(&mut browser, &arrived, &claims).await.status, 303);
    assert!(browser.is_signed_in() && world.recorded("signed in: federated-factors"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_in_use_that_an_operator_links_is_given_back_by_that_operator_until_another_confirms() {
    let world = World::start().await;
    let operator = async |name: &str, request: UserRequest| {
        Service::new(Arc::clone(&world.server.server)).answer(&Caller::named(name), Request::User(request)).await
    };
    let confirm = || UserRequest::Confirm { username: "bob".into() };
    let mut bob = Browser::new(&world.server.client);
    assert_eq!(bob.sign_in("bob", PASSWORD).await.status, 303);
    assert!(matches!(world.link("bob", "the-operators-own").await, Response::Done));
    assert!(matches!(operator("test", confirm()).await, Response::Refused(_)), "nobody came yet");
    let come = async |amr: Value| {
        let mut browser = Browser::new(&world.server.client);
        let arrived = world.go(&mut browser).await;
        let mut claims = world.provider.claims(&arrived, "the-operators-own", world.now());
        claims["amr"] = amr;
        assert_eq!(world.back(&mut browser, &arrived, &claims).await.status, 303);
        browser
    };
    let marked = "Somebody gave this account back to you: account:test.";
    let mut mallory = come(Value::Null).await;
    let page = mallory.get("/me").await.text();
    assert!(page.contains(marked) && !page.contains("Who looked, and when"), "{page}");
    assert_eq!(mallory.get("/me/password").await.status, 403, "and makes no factor of the own");
    assert!(!bob.get("/me").await.text().contains("gave this account back"), "the session from before is the owner's");
    assert!(matches!(operator("test", confirm()).await, Response::Refused(_)), "not by whoever linked it");
    // Its owner shows a factor: whoever came in by the link is out, and comes back no better than before.
    let secret = with_authenticator_app(&world.server, "user-bob").await;
    let mut owner = Browser::new(&world.server.client);
    let asked = owner.sign_in("bob", PASSWORD).await;
    let hidden = |name: &str| portcullis_testkit::app::hidden(&asked, name);
    let (csrf, pending, code) = (hidden("csrf"), hidden("pending"), secret.code(world.now() / 30));
    let fields = [("csrf", csrf.as_str()), ("pending", &pending), ("return_to", "/me"), ("code", &code)];
    assert_eq!(owner.post("/login/second", &fields).await.status, 303);
    assert!(!owner.get("/me").await.text().contains("gave this account back"));
    assert_eq!(mallory.get("/me").await.status, 303, "signed out");
    assert!(come(json!(["mfa"])).await.get("/me").await.text().contains(marked));
    assert!(matches!(operator("second", confirm()).await, Response::User(_)));
    assert!(!come(json!(["mfa"])).await.get("/me").await.text().contains("gave this account back"));
}
