//! Invitations, resets and locks: by the administration service, as `portcullis users` asks it, and on the pages that follow.

use portcullis_audit::record::{Event, Outcome};
use portcullis_server::admin::protocol::{Hidden, NewUser, RefusalKind, Request, Response};
use portcullis_server::admin::{Caller, Service, UserDetails, UserRequest};
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;

use super::Visitor;
use crate::fhir::World;

pub const CHOSEN: &str = "four words in a row";

/// Asks the administration service as this account of the operating system.
pub async fn operator(world: &World, account: &str, request: UserRequest) -> Response {
    let service = Service::new(std::sync::Arc::clone(&world.server.server));
    service.answer(&Caller::named(account), Request::User(request)).await
}

/// The path of the link that this request makes.
pub async fn link(world: &World, account: &str, request: UserRequest) -> String {
    match operator(world, account, request).await {
        Response::UserLink(link) => link.link.0.strip_prefix(&world.server.server.settings.public_url).unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub async fn details(world: &World, account: &str, request: UserRequest) -> UserDetails {
    match operator(world, account, request).await {
        Response::User(details) => *details,
        other => panic!("{other:?}"),
    }
}

pub fn invitation(username: &str) -> UserRequest {
    UserRequest::Invite(NewUser {
        username: username.to_owned(),
        display_name: "Eve Example".to_owned(),
        password: Hidden(String::new()),
        roles: vec!["patient".to_owned()],
        fhir_user: None,
        patients: vec!["bob".to_owned()],
        contact: Default::default(),
    })
}

pub fn reset(username: &str, remove_factors: bool) -> UserRequest {
    UserRequest::Reset { username: username.to_owned(), remove_factors, print_link: false }
}

/// Opens a link and sends a password.
pub async fn choose(visitor: &mut Visitor<'_>, path: &str, password: &str) -> Reply {
    let page = visitor.get(path).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let (csrf, link) = (hidden(&page, "csrf"), hidden(&page, "link"));
    visitor.post("/set-password", &[("csrf", &csrf), ("link", &link), ("password", password)]).await
}

async fn password(visitor: &mut Visitor<'_>, username: &str, password: &str) -> u16 {
    let page = visitor.get("/login").await;
    let csrf = hidden(&page, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)];
    visitor.post("/login", &fields).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_opens_a_new_account_once() {
    let world = World::start().await;
    let path = link(&world, "root", invitation("eve")).await;
    let mut eve = Visitor::new(&world);
    assert_eq!(password(&mut eve, "eve", "").await, 401, "there is no password yet");
    assert!(eve.get(&path).await.text().contains("It is for the username <strong><bdi>eve</bdi></strong>"));
    for (short, words) in [("elevenchars", "too short"), ("", "too short"), (&*"x".repeat(1025), "too long")] {
        let reply = choose(&mut eve, &path, short).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains(words)), (400, true), "{short}");
    }
    let reply = choose(&mut eve, &path, CHOSEN).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/login"));
    assert_eq!(world.last(Event::Credential), (Outcome::Success, "first password set; invited by account:root".to_owned()));
    assert_eq!(password(&mut eve, "eve", CHOSEN).await, 303);
    let me = eve.get("/me").await.text();
    assert!(me.contains("Eve Example") && !me.contains("gave this account back"), "an invitation is no recovery");
    let again = eve.get(&path).await;
    assert_eq!((again.status.as_u16(), again.text().contains("This link does not work any more")), (410, true));
    assert!(again.header("referrer-policy").contains("no-referrer"));
    let Response::Refused(refused) = operator(&world, "root", invitation("eve")).await else { panic!("a second account") };
    assert_eq!(refused.kind, RefusalKind::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_used_old_and_replaced_links_look_the_same_and_set_nothing() {
    let world = World::start().await;
    let first = link(&world, "root", invitation("eve")).await;
    let second = link(&world, "root", invitation("eve")).await;
    let mut eve = Visitor::new(&world);
    let page = eve.get(&second).await;
    let csrf = hidden(&page, "csrf");
    let mut pages = Vec::new();
    for path in [first.as_str(), "/set-password?link=x", "/set-password?link=", "/set-password"] {
        let reply = eve.get(path).await;
        assert_eq!(reply.status, 410, "{path}");
        pages.push(reply.text());
        let secret = path.split("link=").nth(1).unwrap_or_default();
        let reply = eve.post("/set-password", &[("csrf", &csrf), ("link", secret), ("password", CHOSEN)]).await;
        assert_eq!(reply.status, 410, "{path}");
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    // Two are no address that anybody was sent, even where one of them is good.
    let good = second.split_once('?').unwrap().1;
    for query in ["link=a&link=b", &format!("{good}&link=b"), &format!("link=a&{good}"), &format!("{good}&{good}")] {
        let reply = eve.get(&format!("/set-password?{query}")).await;
        let told = reply.text().contains("A part of it is there more than once.");
        assert_eq!((reply.status.as_u16(), told), (400, true), "{query}");
    }
    let secret = hidden(&page, "link");
    let mut other = Visitor::new(&world);
    for csrf in [csrf.as_str(), "", "x"] {
        let reply = other.post("/set-password", &[("csrf", csrf), ("link", &secret), ("password", CHOSEN)]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().contains("open for too long")),
            (403, true),
            "the form of another browser"
        );
    }
    world.server.clock.advance_seconds(7 * 24 * 3600);
    assert_eq!(eve.get(&second).await.status, 410, "its time is over");
    let rows = format!("{:?}", world.server.records());
    assert!(!rows.contains(&secret), "the secret of a link is in no record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_every_session_and_the_old_password() {
    let world = World::start().await;
    let mut thief = Visitor::new(&world);
    thief.sign_in("ann").await;
    let path = link(&world, "root", reset("ann", false)).await;
    assert_eq!(thief.get("/me").await.status, 200, "making the link changes nothing");
    let mut ann = Visitor::new(&world);
    assert_eq!(choose(&mut ann, &path, CHOSEN).await.status, 303);
    assert_eq!(thief.get("/me").await.status, 303);
    assert_eq!(thief.password("ann", "/me").await.status, 401);
    assert_eq!(password(&mut ann, "ann", CHOSEN).await, 303);
    let hour = link(&world, "root", reset("ann", false)).await;
    world.server.clock.advance_seconds(3600);
    assert_eq!(ann.get(&hour).await.status, 410, "a reset lasts an hour");
    let Response::Refused(refused) = operator(&world, "root", reset("nobody", false)).await else { panic!("nobody") };
    assert_eq!(refused.kind, RefusalKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_account_opens_for_nobody_and_its_tokens_do_not_count() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let token = world.ann().await;
    let read = || world.server.client.get("/fhir/Patient/ann").bearer(&token).send();
    assert_eq!(read().await.status, 200);
    let named = || "ann".to_owned();
    let locked = details(&world, "root", UserRequest::Lock { username: named() }).await;
    assert_eq!((locked.locked_at.is_some(), locked.sessions), (true, 0));
    assert_eq!((read().await.status.as_u16(), ann.get("/me").await.status.as_u16()), (401, 303), "on the next request");
    let right = ann.password("ann", "/me").await;
    assert_eq!((right.status.as_u16(), right.text().contains("This account is locked.")), (403, true));
    let page = ann.get("/login").await;
    let csrf = hidden(&page, "csrf");
    let wrong = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", "wrong")];
    let wrong = ann.post("/login", &wrong).await;
    assert_eq!((wrong.status.as_u16(), wrong.text().contains("locked")), (401, false), "only who knows the password is told");
    details(&world, "root", UserRequest::Unlock { username: named() }).await;
    assert_eq!(ann.password("ann", "/me").await.status, 303);
    assert_eq!(read().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_locked_between_password_and_second_factor_stays_closed() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let (secret, _) = ann.add_authenticator().await;
    let mut late = Visitor::new(&world);
    let asked = late.password("ann", "/me").await;
    details(&world, "root", UserRequest::Lock { username: "ann".to_owned() }).await;
    world.server.clock.advance_seconds(60);
    let closed = late.second(&asked, &world.code(&secret)).await;
    assert_eq!((closed.status.as_u16(), closed.text().contains("This account is locked.")), (403, true), "{}", closed.text());
    assert!(!late.jar.contains_key("__Host-portcullis-session"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_ends_the_other_sessions() {
    let world = World::start().await;
    let mut elsewhere = Visitor::new(&world);
    elsewhere.sign_in("ann").await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let page = ann.get("/me/password").await;
    assert_eq!(page.status, 200);
    let csrf = super::in_form(&page, "/me/password", "csrf");
    let short = ann.post("/me/password", &[("csrf", &csrf), ("password", "short")]).await;
    assert_eq!((short.status.as_u16(), short.text().contains("too short")), (400, true));
    assert_eq!(ann.post("/me/password", &[("csrf", ""), ("password", CHOSEN)]).await.status, 403);
    assert_eq!(elsewhere.get("/me").await.status, 200, "the form of another site changes nothing");
    assert_eq!(ann.post("/me/password", &[("csrf", &csrf), ("password", CHOSEN)]).await.header("location"), "/me");
    assert_eq!((ann.get("/me").await.status.as_u16(), elsewhere.get("/me").await.status.as_u16()), (200, 303));
    assert_eq!(password(&mut elsewhere, "ann", CHOSEN).await, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_the_list_is_not_taken_and_a_newer_list_counts_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let other = "0".repeat(40);
    // SHA-1 of CHOSEN, as the Pwned Passwords download writes it.
    let listed = format!("{other}:1\r\n{}:37359195\r\n", "C2CD39D8D23D3AD6F7542E2C494FA5063984046E");
    std::fs::write(file.path(), &listed).unwrap();
    let path = file.path().to_owned();
    let server = portcullis_testkit::TestServer::start_changed(|server| {
        let list = portcullis_server::authorization_server::accounts::breached::BreachedPasswords::open(&path).unwrap();
        server.passwords = portcullis_server::authorization_server::accounts::password::Passwords::default().refusing(Some(list));
    })
    .await;
    let world = World::over(server).await;
    let path = link(&world, "root", invitation("eve")).await;
    let mut eve = Visitor::new(&world);
    let refused = choose(&mut eve, &path, CHOSEN).await;
    let text = refused.text();
    assert!(
        refused.status == 400 && text.contains("This password is on a list that attackers use. Choose another one."),
        "{text}"
    );
    assert!(world.last(Event::Credential).1.contains("password refused: Known"));
    // Another list in its place, and back: whoever keeps the file up to date need not start the server anew.
    let newer = tempfile::NamedTempFile::new_in(file.path().parent().unwrap()).unwrap();
    std::fs::write(newer.path(), format!("{other}\n")).unwrap();
    newer.persist(file.path()).unwrap();
    assert_eq!(choose(&mut eve, &path, CHOSEN).await.status, 303);
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    std::fs::write(file.path(), &listed).unwrap();
    let page = ann.get("/me/password").await;
    let fields = [("csrf", hidden(&page, "csrf")), ("password", CHOSEN.to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refused = ann.post("/me/password", &fields).await;
    assert!(refused.status == 400 && refused.text().contains("on a list that attackers use"), "{}", refused.text());
    // A list that is gone or broken takes no password at all.
    std::fs::write(file.path(), "no list").unwrap();
    assert_eq!(ann.post("/me/password", &fields).await.status, 503);
}
