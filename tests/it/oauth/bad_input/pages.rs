//! Pages that strangers would like to use: open redirects, forms of other sites, frames, sessions that were planted, names that are guessed.

use std::time::Instant;

use portcullis_testkit::app::{cookie, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::SCOPE;
use crate::account::passkeys;
use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_leads_nowhere_but_here() {
    verifies!("OAUTH-23", "OAUTH-26");
    let world = World::start().await;
    let client = &world.server.client;
    for target in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2f/evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/me\r\nset-cookie: x=y",
        "me",
        "",
        "/.//evil.example",
        "/..//evil.example",
    ] {
        let query = url::form_urlencoded::byte_serialize(target.as_bytes()).collect::<String>();
        let login = client.get(&format!("/login?return_to={query}")).send().await;
        let (bound, csrf) = (cookie(&login), hidden(&login, "csrf"));
        let fields = [("csrf", csrf.as_str()), ("return_to", target), ("username", "ann"), ("password", PASSWORD)];
        let reply = client.post("/login").header("cookie", &bound).form(&fields).send().await;
        assert_eq!(reply.status, 303, "a form is answered with 303, so that no password is sent on: {target:?}");
        let base = url::Url::parse("https://localhost/login").unwrap();
        let location = base.join(reply.header("location")).unwrap();
        assert_eq!(location.origin(), base.origin(), "{target:?} {}", reply.header("location"));
        assert_eq!(reply.headers.get_all("set-cookie").iter().filter(|value| value.as_bytes().starts_with(b"x=")).count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_that_is_longer_than_any_request_of_an_app_is_not_taken() {
    let world = World::start().await;
    let client = &world.server.client;
    // Each begins as a path of ours does: nothing but its length can be wrong.
    let way = |bytes: usize| format!("/me?{}", "x".repeat(bytes - 4));
    let (fits, too_long) = (way(8 * 1024), way(16 * 1024 + 256 + 1));
    for (target, expected) in [(fits.as_str(), fits.as_str()), (too_long.as_str(), "/me")] {
        let login = client.get(&format!("/login?return_to={target}")).send().await;
        assert_eq!(hidden(&login, "return_to"), expected, "the page with {} bytes", target.len());
        let (bound, csrf) = (cookie(&login), hidden(&login, "csrf"));
        let fields = [("csrf", csrf.as_str()), ("return_to", target), ("username", "ann"), ("password", PASSWORD)];
        let reply = client.post("/login").header("cookie", &bound).form(&fields).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, expected), "the form with {} bytes", target.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_changes_nothing() {
    verifies!("OAUTH-08");
    let world = World::start().await;
    let client = &world.server.client;
    let at = world.app.sign_in(&world.app.authorization_query(SCOPE), "ann", PASSWORD).await;
    let request = hidden(&at.page, "request");
    let allow = [("request", request.as_str()), ("scope", "patient/Patient.r"), ("decision", "allow")];
    let other = world.app.sign_in(&world.app.authorization_query(SCOPE), "bob", PASSWORD).await;
    let of_bob = hidden(&other.page, "csrf");
    for csrf in [None, Some(""), Some("guessed"), Some(of_bob.as_str())] {
        let mut fields = allow.to_vec();
        fields.extend(csrf.map(|csrf| ("csrf", csrf)));
        let reply = client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, ""), "{csrf:?} {}", reply.text());
    }
    for path in ["/logout", "/me/revoke"] {
        let reply = client.post(path).header("cookie", &at.cookies).form(&[("csrf", "guessed"), ("grant", "x")]).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (403, ""), "{path}");
        assert!(reply.text().contains("This page does not count any more"), "{path} {}", reply.text());
        let own = client.get("/me").header("cookie", &at.cookies).send().await;
        assert_eq!(own.status, 200, "{path}: still signed in");
    }
    // Without a session, the right form token is worth nothing.
    let csrf = hidden(&at.page, "csrf");
    let mut fields = allow.to_vec();
    fields.push(("csrf", csrf.as_str()));
    let stranger = client.post("/consent").form(&fields).send().await;
    assert!(query_value(&stranger, "code").is_none() && stranger.status != 200, "{} {}", stranger.status, stranger.text());
    let good = client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await;
    assert!(query_value(&good, "code").is_some(), "{}", good.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_can_be_framed_kept_or_followed() {
    verifies!("OAUTH-08", "OAUTH-29");
    let world = World::start().await;
    let client = &world.server.client;
    let query = world.app.authorization_query(SCOPE);
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let own = client.get("/me").header("cookie", &at.cookies).send().await;
    let login = client.get("/login").send().await;
    let refused = client.get("/oauth/authorize?client_id=nobody").send().await;
    let unconfirmed = client.post("/consent").header("cookie", &at.cookies).form(&[("csrf", "x")]).send().await;
    for (name, page) in [("consent", &at.page), ("own", &own), ("login", &login), ("error", &refused), ("csrf", &unconfirmed)] {
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{name}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{name}");
        assert!(page.header("cache-control").contains("no-store"), "{name}: {}", page.header("cache-control"));
        // Nothing comes from elsewhere.
        for attribute in ["src=\"http", "src=\"//", "<link rel=\"stylesheet\" href=\"http"] {
            assert!(!page.text().contains(attribute), "{name} {attribute}");
        }
    }
}

/// Of no known password.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$CAgICAgICAgICAgICAgICA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_and_one_without_a_password_take_as_long_as_a_wrong_password() {
    let world = World::start().await;
    let client = &world.server.client;
    for name in ["kim", "lou", "mia"] {
        passkeys::without_password(&world, name).await;
    }
    // With the parameters of the product: those of the other tests' passwords are too weak to be noticed.
    for name in ["ann", "bob", "who"] {
        passkeys::set_password(&world, name, HASH).await;
    }
    let mut fastest = Vec::new();
    for names in [["ann", "bob", "who"], ["zed", "yan", "xil"], ["kim", "lou", "mia"]] {
        let mut times = Vec::new();
        for name in names {
            let login = client.get("/login").send().await;
            let (bound, csrf) = (cookie(&login), hidden(&login, "csrf"));
            let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", name), ("password", "wrong")];
            let begun = Instant::now();
            assert_eq!(client.post("/login").header("cookie", &bound).form(&fields).send().await.status, 401);
            times.push(begun.elapsed());
        }
        fastest.push(times.into_iter().min().unwrap());
    }
    // Without the hash, either is answered in a fifth of the time.
    assert!(fastest[1] * 3 > fastest[0], "known {:?}, unknown {:?}", fastest[0], fastest[1]);
    assert!(fastest[2] * 3 > fastest[0], "known {:?}, without a password {:?}", fastest[0], fastest[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_of_another_site_to_the_authorization_endpoint_asks_and_answers_nothing() {
    verifies!("OAUTH-08");
    let world = World::start().await;
    let client = &world.server.client;
    let query = world.app.authorization_query(SCOPE);
    let at = world.app.sign_in(&query, "ann", PASSWORD).await;
    let (csrf, request) = (hidden(&at.page, "csrf"), hidden(&at.page, "request"));
    let form = "application/x-www-form-urlencoded";
    let grants = async || {
        let ann = world.server.server.registry.user_named("ann").await.unwrap().unwrap();
        world.server.server.registry.grants_of(&ann.id).await.unwrap().len()
    };
    // Apps may post their requests from wherever they are; the answer leads to the page that asks the person, and never to the app.
    let mut answer = url::form_urlencoded::Serializer::new(query.clone());
    answer.extend_pairs([("csrf", csrf.as_str()), ("request", &request), ("decision", "allow"), ("scope", "patient/Patient.r")]);
    let foreign = client.post("/oauth/authorize").header("cookie", &at.cookies).header("content-type", form);
    let foreign = foreign.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    let reply = foreign.bytes(query.clone()).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, format!("/oauth/authorize?{query}").as_str()));
    let asked = client.get(reply.header("location")).header("cookie", &at.cookies).send().await;
    assert_eq!((asked.status.as_u16(), asked.text().contains("name=\"decision\"")), (200, true), "the person is asked");
    let foreign = client.post("/oauth/authorize").header("cookie", &at.cookies).header("content-type", form);
    let reply = foreign.header("sec-fetch-site", "cross-site").bytes(answer.finish()).send().await;
    let followed = client.get(reply.header("location")).header("cookie", &at.cookies).send().await;
    assert!(query_value(&reply, "code").is_none() && query_value(&followed, "code").is_none(), "{}", followed.header("location"));
    assert_eq!(grants().await, 0);
    let long = format!("{query}&x={}", "x".repeat(17 * 1024));
    for (media_type, body, told) in [
        ("application/json", query.as_bytes(), "the parameters are not valid form data"),
        ("", query.as_bytes(), "the parameters are not valid form data"),
        (form, long.as_bytes(), "the request has too many or too long parameters"),
        (form, b"client_id=\xff", "the parameters are not valid form data"),
        (form, b"client_id=app\r\nset-cookie: x=y", "the parameters are not valid form data"),
    ] {
        let reply = client.post("/oauth/authorize").header("content-type", media_type).bytes(body.to_vec()).send().await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (400, ""), "{media_type} {told}");
        assert!(reply.text().contains(told), "{media_type}: {}", reply.text());
    }
}
