//! Wrong passwords: whoever guesses waits longer and longer, whether the name exists or not; the owner does not.

use portcullis_policy::operator_rules::Network;
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::app::{cookie, hidden};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Reply, TestServer};

use crate::account::links::{CHOSEN, choose, link, reset};
use crate::fhir::World;

/// A browser at the sign-in page.
struct Visitor<'a> {
    world: &'a World,
    cookies: String,
    csrf: String,
}

impl<'a> Visitor<'a> {
    async fn arrive(world: &'a World) -> Self {
        let login = world.server.client.get("/login").send().await;
        Self { world, cookies: cookie(&login), csrf: hidden(&login, "csrf") }
    }

    async fn attempt(&self, username: &str, password: &str) -> Reply {
        let fields = [("csrf", self.csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)];
        self.world.server.client.post("/login").header("cookie", &self.cookies).form(&fields).send().await
    }

    async fn status(&self, username: &str, password: &str) -> u16 {
        self.attempt(username, password).await.status.as_u16()
    }

    /// Signs in and keeps what the browser would keep, without the session.
    async fn become_known(&mut self, username: &str) {
        let reply = self.attempt(username, PASSWORD).await;
        assert_eq!(reply.status, 303);
        let set = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let device = set.filter_map(|value| value.split(';').next()).find(|value| value.starts_with("__Host-portcullis-device="));
        self.cookies = format!("{}; {}", self.cookies, device.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_wrong_passwords_make_a_name_wait_whether_it_exists_or_not() {
    let world = World::start().await;
    let visitor = Visitor::arrive(&world).await;
    let mut pages = Vec::new();
    for name in ["ann", "nobody"] {
        for _ in 0..5 {
            assert_eq!(visitor.status(name, "wrong").await, 401, "{name}");
        }
        let reply = visitor.attempt(name, PASSWORD).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "60"), "{name}");
        assert!(reply.text().contains("Please wait one minute") && reply.text().contains("<h1>Sign in</h1>"), "{}", reply.text());
        // Form token and challenge are made anew for each page.
        let (token, challenge) = (hidden(&reply, "csrf"), hidden(&reply, "challenge"));
        pages.push([token, challenge, name.to_owned()].iter().fold(reply.text(), |text, secret| text.replace(secret, "")));
    }
    assert_eq!(pages[0], pages[1], "nothing tells an account from a name that nobody has");
    world.server.clock.advance_seconds(61);
    for name in ["Ann", "NOBODY"] {
        assert_eq!(visitor.status(name, "wrong").await, 401, "{name}");
        let reply = visitor.attempt(name, PASSWORD).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "120"), "{name}: each wait is twice as long");
    }
    world.server.clock.advance_seconds(121);
    assert_eq!(visitor.status("ann", PASSWORD).await, 303);
    for _ in 0..4 {
        assert_eq!(visitor.status("ann", "wrong").await, 401, "the right password began the count anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_guess_do_not_keep_the_owner_out() {
    let world = World::start().await;
    let mut owner = Visitor::arrive(&world).await;
    owner.become_known("ann").await;
    let stranger = Visitor::arrive(&world).await;
    for _ in 0..6 {
        stranger.attempt("ann", "wrong").await;
    }
    assert_eq!(stranger.status("ann", PASSWORD).await, 429);
    assert_eq!(owner.status("ann", PASSWORD).await, 303, "a browser in which its owner has signed in before has its own count");
    assert_eq!(stranger.status("ann", PASSWORD).await, 429, "which does not let strangers in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_guesses_without_end_keeps_nobody_out_who_has_a_one_time_link() {
    let world = World::start().await;
    let link = link(&world, "root", reset("ann", false)).await;
    let guess = Visitor::arrive(&world).await;
    for _ in 0..40 {
        guess.attempt("ann", "wrong").await;
        world.server.clock.advance_seconds(60);
    }
    let mut stranger = crate::account::Visitor::new(&world);
    assert_eq!(stranger.password("ann", "/me").await.status, 429, "the name waits, whoever types it");
    let mut ann = crate::account::Visitor::new(&world);
    choose(&mut ann, &link, CHOSEN).await;
    let page = ann.get("/login").await;
    let csrf = hidden(&page, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", CHOSEN)];
    assert_eq!(ann.post("/login", &fields).await.status, 303);
    assert_eq!(stranger.password("ann", "/me").await.status, 429, "which lets nobody else in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_browser_may_not_guess_for_ever_and_serves_one_name() {
    let world = World::start().await;
    let mut owner = Visitor::arrive(&world).await;
    owner.become_known("ann").await;
    for _ in 0..5 {
        assert_eq!(owner.status("ann", "wrong").await, 401);
    }
    assert_eq!(owner.status("ann", PASSWORD).await, 429);
    assert_eq!(Visitor::arrive(&world).await.status("ann", PASSWORD).await, 303, "its count is its own");
    for _ in 0..5 {
        owner.attempt("bob", "wrong").await;
    }
    assert_eq!(Visitor::arrive(&world).await.status("bob", PASSWORD).await, 429, "for another name it is a stranger");
    let forged = Visitor { cookies: owner.cookies.replace("device=1", "device=2"), ..Visitor::arrive(&world).await };
    for _ in 0..5 {
        forged.attempt("carer", "wrong").await;
    }
    assert_eq!(forged.status("carer", PASSWORD).await, 403, "the cookies of another browser serve no form");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_password_tried_on_many_names_makes_the_address_wait() {
    let world = World::start().await;
    let visitor = Visitor::arrive(&world).await;
    for number in 0..50 {
        assert_eq!(visitor.status(&format!("name-{number}"), "wrong").await, 401, "{number}");
    }
    let reply = visitor.attempt("ann", PASSWORD).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "60"));
    world.server.clock.advance_seconds(60);
    assert_eq!(visitor.status("ann", PASSWORD).await, 303, "an address that many share waits a minute at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_sent_at_once_are_counted_one_after_the_other() {
    let world = World::start().await;
    let login = world.server.client.get("/login").send().await;
    let (form, csrf) = (cookie(&login), hidden(&login, "csrf"));
    let attempts = (0..12).map(|_| {
        let (client, form, csrf) = (world.server.client.clone(), form.clone(), csrf.clone());
        tokio::spawn(async move {
            let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", "wrong")];
            client.post("/login").header("cookie", &form).form(&fields).send().await.status.as_u16()
        })
    });
    let mut statuses = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        statuses.push(attempt.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_that_is_trusted_nobody_waits_for_the_guesses_of_other_people() {
    for (trusted, waits) in [(vec![Network::parse("127.0.0.1").unwrap()], [429, 303]), (Vec::new(), [429, 429])] {
        let settings = AuthorizationSettings { trusted_proxies: trusted, ..Default::default() };
        let world = World::over(TestServer::start_with(settings).await).await;
        let visitor = Visitor::arrive(&world).await;
        let from = async |address: &str, username: &str, password: &str| {
            let fields = [("csrf", visitor.csrf.as_str()), ("return_to", "/me"), ("username", username), ("password", password)];
            let request = world.server.client.post("/login").header("cookie", &visitor.cookies);
            request.header("x-forwarded-for", address).form(&fields).send().await.status.as_u16()
        };
        for number in 0..50 {
            assert_eq!(from("192.0.2.7", &format!("nobody-{number}"), "wrong").await, 401);
        }
        let answers = [from("192.0.2.7", "ann", PASSWORD).await, from("198.51.100.1", "ann", PASSWORD).await];
        assert_eq!(answers, waits);
    }
}
