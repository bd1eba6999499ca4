//! The developer's page: off unless switched on, closed to others, its form, its limit, a try from end to end, and what was refused with what to change.

use http::Method;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::clients::ApplicationType;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::users::Role;
use portcullis_server::context::{AuthorizationSettings, DeveloperSettings};
use portcullis_testkit::app::{VERIFIER, hidden};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply, TestServer};

use super::{Visitor, in_form};
use crate::fhir::World;

const NEW: &str = "/developers/new";
const SCOPE: &str = "openid fhirUser launch/patient offline_access patient/*.rs";
/// A JWK Set with one P-256 key (RFC 7515 appendix A.3).
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A server with two developers: Dev, whose own record is Ann's, and Eve.
async fn world(clients_per_person: u32) -> World {
    let developers = Some(DeveloperSettings { clients_per_person, anybody_may_connect: false });
    let server = TestServer::start_with(AuthorizationSettings { developers, ..AuthorizationSettings::default() }).await;
    let world = World::over(server).await;
    world.server.add_user("dev", &[Role::Developer, Role::Patient], Some("Patient/ann"), &["ann"]).await;
    world.server.add_user("eve", &[Role::Developer], None, &[]).await;
    world
}

async fn signed_in<'a>(world: &'a World, username: &str) -> Visitor<'a> {
    let mut visitor = Visitor::new(world);
    visitor.sign_in(username).await;
    visitor
}

/// The form with a change of one of its fields.
async fn register(visitor: &mut Visitor<'_>, changes: &[(&'static str, &str)]) -> Reply {
    let page = visitor.get(NEW).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let csrf = in_form(&page, NEW, "csrf");
    send_form(visitor, NEW, &csrf, changes).await
}

async fn send_form(visitor: &mut Visitor<'_>, path: &str, csrf: &str, changes: &[(&'static str, &str)]) -> Reply {
    let mut fields: Vec<(&str, &str)> = vec![
        ("csrf", csrf),
        ("client_name", "Growth chart"),
        ("redirect_uris", "https://127.0.0.1:9/callback"),
        ("kind", "public"),
        ("jwks", ""),
        ("jwks_uri", ""),
        ("scope", SCOPE),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    visitor.post(path, &fields).await
}

/// The id of a client that was just registered.
fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", reply.text());
    reply.header("location").strip_prefix("/developers/clients/").unwrap().to_owned()
}

/// The last refusals on the page of a client.
async fn refusals(visitor: &mut Visitor<'_>, id: &str) -> String {
    let page = visitor.get(&format!("/developers/clients/{id}")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.text().split("id=\"refusals\"").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
}

fn app(world: &World, id: &str) -> App {
    App { client_id: id.to_owned(), ..world.app.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_there_unless_the_operator_switched_it_on() {
    let world = World::start().await;
    world.server.add_user("dev", &[Role::Developer], None, &[]).await;
    let mut dev = signed_in(&world, "dev").await;
    for path in ["/developers", NEW, "/developers/callback", "/developers/clients/a1", "/developers/clients/a1/edit"] {
        world.server.clock.advance_seconds(1);
        assert_eq!(dev.get(path).await.status, 404, "{path}");
        assert_eq!(dev.post(path, &[]).await.status, 404, "{path}");
    }
}

/// A page without the id in its own address.
fn without_id(text: &str, path: &str) -> String {
    let id = path.rsplit('/').next().unwrap();
    ["/", "%2F"].iter().fold(text.to_owned(), |text, slash| text.replace(&format!("clients{slash}{id}"), "clients/ID"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_see_nothing_and_a_client_of_somebody_else_is_answered_as_absent() {
    let world = world(5).await;
    let mut dev = signed_in(&world, "dev").await;
    let own = id(&register(&mut dev, &[]).await);
    let page = format!("/developers/clients/{own}");
    let mut stranger = Visitor::new(&world);
    for path in ["/developers", NEW, &page, &format!("{page}/edit")] {
        assert_eq!(stranger.get(path).await.header("location"), format!("/login?return_to={path}"));
        world.server.clock.advance_seconds(1);
    }
    for path in [NEW, &format!("{page}/edit"), &format!("{page}/secret"), &format!("{page}/remove")] {
        assert_eq!(stranger.post(path, &[]).await.header("location"), "/login?return_to=/developers");
    }
    let mut patient = signed_in(&world, "ann").await;
    for path in ["/developers", NEW, &page] {
        let reply = patient.get(path).await;
        assert!(reply.status == 403 && !reply.text().contains("Growth chart"), "{}", reply.text());
    }
    let mut eve = signed_in(&world, "eve").await;
    let csrf = in_form(&eve.get(NEW).await, NEW, "csrf");
    assert!(!eve.get("/developers").await.text().contains("Growth chart"));
    // An app of the operator has no owner, and one that is not there has none either.
    for path in [page.as_str(), "/developers/clients/app", "/developers/clients/nobody"] {
        let mut told = Vec::new();
        for method in [Method::GET, Method::POST] {
            let reply = match method {
                Method::GET => eve.get(path).await,
                _ => send_form(&mut eve, &format!("{path}/edit"), &csrf, &[("client_name", "Stolen")]).await,
            };
            assert_eq!(reply.status, 404, "{path}");
            told.push(without_id(&reply.text(), path));
        }
        for action in ["secret", "remove"] {
            assert_eq!(eve.post(&format!("{path}/{action}"), &[("csrf", &csrf)]).await.status, 404, "{path} {action}");
        }
        let nobody = "/developers/clients/nobody";
        let absent = without_id(&eve.get(nobody).await.text(), nobody);
        assert_eq!(told[0], absent, "{path}");
    }
    // Dev's own forms of another page or session change nothing.
    for csrf in ["", "x", csrf.as_str()] {
        assert_eq!(dev.post(&format!("{page}/remove"), &[("csrf", csrf)]).await.status, 403);
    }
    assert!(dev.get(&page).await.text().contains("Growth chart"), "it is there as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_is_told_beside_its_field_and_the_number_of_clients_is_limited() {
    let world = world(2).await;
    let mut dev = signed_in(&world, "dev").await;
    let private = KEYS.replace("\"kid\"", "\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\",\"kid\"");
    let keys = ("kind", "confidential-asymmetric");
    for (changes, field, told) in [
        (vec![("client_name", "")], "name", "Type a name"),
        (vec![("redirect_uris", "http://app.example/cb")], "uris", "must use https"),
        (vec![("redirect_uris", "https://app.example/cb\r\nhttps://app.example/*")], "uris", "no wildcard"),
        (vec![("redirect_uris", "")], "uris", "at least one redirect URI"),
        (vec![("redirect_uris", "myapp:/callback")], "uris", "written backwards"),
        (
            vec![("redirect_uris", "com.example.app:/callback"), ("kind", "confidential-symmetric")],
            "uris",
            "for public apps alone",
        ),
        (vec![keys], "jwks", "Paste the JWK Set"),
        (vec![keys, ("jwks", "{}")], "jwks", "JWK Set"),
        (vec![keys, ("jwks", private.as_str())], "jwks", "private or symmetric key"),
        (vec![keys, ("jwks_uri", "https://169.254.169.254/jwks")], "jwks_uri", "jwks"),
        (vec![keys, ("jwks", KEYS), ("jwks_uri", "https://keys.example/jwks")], "jwks_uri", "not both"),
        (vec![("scope", "system/*.rs")], "scope", "without a person"),
        (vec![("scope", "patient/*.rs unheard-of")], "scope", "unheard-of"),
        (vec![("scope", "")], "scope", "Type the scopes"),
    ] {
        let reply = register(&mut dev, &changes).await;
        let text = reply.text();
        let beside = text.split(&format!("id=\"{field}-problem\">")).nth(1).and_then(|rest| rest.split('<').next());
        let beside = beside.unwrap_or_else(|| panic!("{changes:?}: {text}"));
        assert!(reply.status == 400 && (beside.contains(told) || field == "jwks_uri"), "{changes:?}: {beside}");
        assert!(text.contains("aria-invalid=\"true\"") && text.contains("<title>Error: "), "{text}");
        assert_eq!(world.last(Event::Administration).0, Outcome::Rejected);
    }
    let deceptive = register(&mut dev, &[("client_name", "Good \u{202E}ppA")]).await;
    assert!(deceptive.status == 400 && deceptive.text().contains("control character"), "{}", deceptive.text());
    // One with a secret shows it once; one with keys is taken with them.
    let with_secret = register(&mut dev, &[("kind", "confidential-symmetric")]).await;
    assert_eq!(with_secret.status, 200, "{}", with_secret.text());
    let secret = |reply: &Reply| {
        reply.text().split("<p class=\"address\"><code>").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned())
    };
    let first = secret(&with_secret).unwrap();
    let page = with_secret
        .text()
        .split("action=\"")
        .find_map(|rest| {
            rest.split("/secret\"").next().filter(|path| path.starts_with("/developers/clients/")).map(str::to_owned)
        })
        .unwrap();
    let second = dev.get(&page).await;
    assert!(secret(&second).is_none() && !second.text().contains(&first));
    let csrf = in_form(&second, &format!("{page}/remove"), "csrf");
    let renewed = secret(&dev.post(&format!("{page}/secret"), &[("csrf", &csrf)]).await).unwrap();
    assert_ne!(first, renewed);
    let signing = id(&register(&mut dev, &[keys, ("jwks", KEYS)]).await);
    let client = world.server.server.registry.client(&ClientId::parse(&signing).unwrap()).await.unwrap().unwrap();
    assert_eq!((client.kind.as_str(), client.properties.owner.clone()), ("confidential-asymmetric", UserId::parse("user-dev")));
    assert!(!client.properties.verified && !client.properties.dynamic);
    // The limit counts in the transaction.
    let third = register(&mut dev, &[]).await;
    assert!(third.status == 400 && third.text().contains("as many as you may"), "{}", third.text());
    assert!(!dev.get("/developers").await.text().contains("href=\"/developers/new\""));
    // Changed, it stays this person's; removed, it makes room.
    let edit = format!("/developers/clients/{signing}/edit");
    let csrf = in_form(&dev.get(&edit).await, &edit, "csrf");
    let changed = send_form(&mut dev, &edit, &csrf, &[("client_name", "Growth chart 2"), ("comes_back_here", "yes")]).await;
    assert_eq!(changed.header("location"), format!("/developers/clients/{signing}"), "{}", changed.text());
    let client = world.server.server.registry.client(&client.id).await.unwrap().unwrap();
    assert_eq!((client.name.as_str(), client.kind.as_str(), client.redirect_uris.len()), ("Growth chart 2", "public", 2));
    assert_eq!(client.properties.owner, UserId::parse("user-dev"));
    let removed = dev.post(&format!("/developers/clients/{signing}/remove"), &[("csrf", &csrf)]).await;
    assert_eq!(removed.header("location"), "/developers");
    world.server.move_outbox().await;
    assert_eq!(world.last(Event::Administration), (Outcome::Success, format!("sandbox client removed: {signing}")));
    id(&register(&mut dev, &[]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_on_a_phone_is_registered_by_its_scheme() {
    let world = world(2).await;
    let mut dev = signed_in(&world, "dev").await;
    let registered = async |id: &str| world.server.server.registry.client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
    let id = id(&register(&mut dev, &[("redirect_uris", "com.example.app:/callback")]).await);
    assert_eq!(registered(&id).await.properties.application_type, Some(ApplicationType::Native));
    // The form shows it again, and it stays one.
    let edit = format!("/developers/clients/{id}/edit");
    let page = dev.get(&edit).await;
    assert!(page.text().contains(">com.example.app:/callback</textarea>"), "{}", page.text());
    let csrf = in_form(&page, &edit, "csrf");
    let twice = [("redirect_uris", "com.example.app:/callback\r\norg.example.app:/back")];
    assert_eq!(send_form(&mut dev, &edit, &csrf, &twice).await.header("location"), format!("/developers/clients/{id}"));
    assert_eq!(registered(&id).await.redirect_uris.len(), 2);
    let confidential = [twice[0], ("kind", "confidential-symmetric")];
    assert_eq!(send_form(&mut dev, &edit, &csrf, &confidential).await.status, 400);
    assert_eq!(registered(&id).await.kind.as_str(), "public");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_and_a_new_name_at_the_same_moment_are_both_kept() {
    let world = world(2).await;
    let mut dev = signed_in(&world, "dev").await;
    register(&mut dev, &[("kind", "confidential-symmetric")]).await;
    let registry = &world.server.server.registry;
    let client = registry.clients_of(&UserId::parse("user-dev").unwrap()).await.unwrap().remove(0);
    let (edit, renew) = (format!("/developers/clients/{}/edit", client.id), format!("/developers/clients/{}/secret", client.id));
    let csrf = in_form(&dev.get(&edit).await, &edit, "csrf");
    for number in 0..10 {
        let name = format!("Chart {number}");
        let mut other = Visitor { world: &world, jar: dev.jar.clone(), agent: dev.agent };
        let changes = [("kind", "confidential-symmetric"), ("client_name", name.as_str())];
        let fields = [("csrf", csrf.as_str())];
        let (renewed, changed) = tokio::join!(dev.post(&renew, &fields), send_form(&mut other, &edit, &csrf, &changes));
        assert_eq!((renewed.status.as_u16(), changed.status.as_u16()), (200, 303), "{} {}", renewed.text(), changed.text());
        let shown = renewed.text();
        let secret = shown.split("<p class=\"address\"><code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let app = App { secret: Some(secret.to_owned()), ..app(&world, client.id.as_str()) };
        let reply = app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
        assert_eq!(reply.json()["error"], "invalid_grant", "{number}: the secret that was shown counts");
        assert_eq!(registry.client(&client.id).await.unwrap().unwrap().name, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_told_to_the_owner_with_what_to_change_and_to_nobody_else() {
    let world = world(5).await;
    let mut dev = signed_in(&world, "dev").await;
    let mut eve = signed_in(&world, "eve").await;
    let own = id(&register(&mut dev, &[]).await);
    let other = id(&register(&mut eve, &[]).await);
    let sandbox = app(&world, &own);
    assert!(refusals(&mut dev, &own).await.contains("Nothing was refused"));
    // At the authorization endpoint: before and after it is known where answers go.
    let query = sandbox.authorization_query("launch/patient patient/*.rs");
    let elsewhere = query.replace("callback", "elsewhere");
    assert_eq!(world.server.client.get(&format!("/oauth/authorize?{elsewhere}")).send().await.status, 400);
    let without_aud: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("aud=")).collect();
    world.server.client.get(&format!("/oauth/authorize?{}", without_aud.join("&"))).send().await;
    let told = refusals(&mut dev, &own).await;
    assert!(told.contains("did not register") && told.contains("byte for byte"), "{told}");
    assert!(told.contains("aud is required") && told.contains("Add aud with the FHIR base URL"), "{told}");
    // A patient is not asked by a sandbox client, and its owner learns why.
    world.server.clock.advance_seconds(1);
    let at = sandbox.sign_in(&query, "bob", PASSWORD).await;
    assert!(at.page.text().contains("/callback?error=access_denied&#38;"), "a link leads back: {}", at.page.text());
    assert!(refusals(&mut dev, &own).await.contains("Sign in as somebody with the role developer"));
    // At the token endpoint.
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", "never-made"),
        ("redirect_uri", &sandbox.redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(sandbox.token_request(&fields).await.status, 400);
    assert_eq!(sandbox.token_request(&fields[..3]).await.status, 400);
    let told = refusals(&mut dev, &own).await;
    assert!(
        told.contains("POST /oauth/token") && told.contains("<code>invalid_grant</code>") && told.contains("decoded once"),
        "{told}"
    );
    assert!(told.contains("code_verifier is required") && told.contains("Make a new pair for each launch"), "{told}");
    assert!(!told.contains("never-made"), "nothing of the request is kept: {told}");
    // At the FHIR endpoint: what the token does not open, and a token whose time is over.
    let token = sandbox.access_token("launch/patient patient/Patient.r", "dev", PASSWORD).await;
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 200);
    for _ in 0..3 {
        assert_eq!(world.server.client.get("/fhir/Observation?code=secret-code").bearer(&token).send().await.status, 403);
    }
    assert!(world.server.client.get("/fhir/Patient?birthdate=Ann-Smith").bearer(&token).send().await.status.is_client_error());
    world.server.clock.advance_seconds(3601);
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 401);
    let mut dev = signed_in(&world, "dev").await;
    let told = refusals(&mut dev, &own).await;
    assert!(
        told.contains("no scope for Observation") && told.contains("3 times in a row") && told.contains("patient/Observation.s"),
        "{told}"
    );
    assert!(told.contains("has expired") && told.contains("Use the refresh token"), "{told}");
    for hidden in ["secret-code", "Ann-Smith", "Patient/ann", "/ann"] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
    // Nobody else's page tells it; a client without owner has no such page at all.
    let mut eve = signed_in(&world, "eve").await;
    assert!(refusals(&mut eve, &other).await.contains("Nothing was refused"));
    assert_eq!(eve.get(&format!("/developers/clients/{own}")).await.status, 404);
    world.app.token_request(&fields).await;
    assert!(world.server.server.sandbox_refusals.of(&ClientId::parse("app").unwrap()).is_empty());
    let kept = world.server.server.sandbox_refusals.of(&ClientId::parse(&own).unwrap());
    assert!(kept.iter().all(|refusal| refusal.remedy.ends_with('.')), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_is_tried_from_the_page_to_the_token_in_one_browser_alone() {
    let world = world(5).await;
    let mut dev = signed_in(&world, "dev").await;
    let own = id(&register(&mut dev, &[("comes_back_here", "yes")]).await);
    let page = dev.get(&format!("/developers/clients/{own}")).await;
    let start = page
        .text()
        .split("href=\"")
        .find(|rest| rest.starts_with("/oauth/authorize?"))
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    let consent = dev.get(&start).await;
    assert!(consent.status == 200 && consent.text().contains("Not verified"), "{}", consent.text());
    let (csrf, request) = (hidden(&consent, "csrf"), hidden(&consent, "request"));
    let fields = [("csrf", csrf.as_str()), ("request", request.as_str()), ("scope", "patient/*.rs"), ("decision", "allow")];
    let back = dev.post("/consent", &fields).await;
    let location = back.header("location").to_owned();
    let path = location.strip_prefix(&world.server.server.settings.public_url).unwrap_or_else(|| panic!("{location}")).to_owned();
    assert!(path.starts_with("/developers/callback?code="), "{path}");
    // Another browser, and an answer that somebody made up, show nothing.
    let mut other = signed_in(&world, "dev").await;
    other.get(&format!("/developers/clients/{own}")).await;
    let refused =
        [other.get(&path).await, dev.get(&path.replace("state=", "state=x")).await, dev.get("/developers/callback").await];
    for reply in refused {
        assert!(reply.status == 400 && !reply.text().contains("code_verifier"), "{}", reply.text());
    }
    let answer = dev.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let field = |name| in_form(&answer, "/oauth/token", name);
    let names = ["grant_type", "code", "redirect_uri", "client_id", "code_verifier"];
    let values = names.map(field);
    let fields: Vec<(&str, &str)> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
    let token = dev.post("/oauth/token", &fields).await.json();
    assert_eq!((&token["patient"], &token["token_type"]), (&"ann".into(), &"Bearer".into()), "{token}");
    // Neither code nor verifier is in a record.
    world.server.move_outbox().await;
    let records = format!("{:?}", world.server.records());
    assert!(!records.contains(&values[1]) && !records.contains(&values[4]));
}
