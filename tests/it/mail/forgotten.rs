//! "Forgot your password?": the same answer for everybody, a link for whom it concerns.

use std::time::{Duration, Instant};

use portcullis_outbound::MailSecurity;
use portcullis_server::admin::UserRequest;
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;

use super::{Smtp, deliver, set_address, world};
use crate::account::Visitor;
use crate::account::links::{CHOSEN, choose, details, link, operator};
use crate::fhir::World;

const PAGE: &str = "/login/forgotten";

async fn ask(visitor: &mut Visitor<'_>, typed: &str) -> Reply {
    let csrf = hidden(&visitor.get(PAGE).await, "csrf");
    visitor.post(PAGE, &[("csrf", &csrf), ("username", typed)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gets_a_link_by_name_or_address_that_works_once_for_an_hour_and_is_no_recovery() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let mut ann = Visitor::new(&world);
    assert!(ann.get("/login").await.text().contains("href=\"/login/forgotten\""));
    let asked = ask(&mut ann, " ANN@example.org ").await;
    assert_eq!((asked.status.as_u16(), asked.text().contains("Check your email")), (200, true));
    deliver(&world).await.unwrap();
    let letter = smtp.next();
    assert!(letter.to == "ann@example.org" && letter.text.contains("Esperamos que haya sido usted"), "{}", letter.text);
    assert_eq!(choose(&mut ann, &letter.path(), CHOSEN).await.status, 303);
    assert_eq!(ann.get(&letter.path()).await.status, 410, "it works once");
    let csrf = hidden(&ann.get("/login").await, "csrf");
    let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", "ann"), ("password", CHOSEN)];
    assert_eq!(ann.post("/login", &fields).await.status, 303);
    assert!(!ann.get("/me").await.text().contains("gave this account back"));
    deliver(&world).await.unwrap();
    assert!(smtp.next().text.contains("Se cambió la contraseña"));
    world.server.clock.advance_seconds(400);
    ask(&mut ann, "ann").await;
    deliver(&world).await.unwrap();
    let late = smtp.next().path();
    world.server.clock.advance_seconds(3600);
    assert_eq!(ann.get(&late).await.status, 410, "and for an hour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_asks_ends_no_link_of_an_operator() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let reset = UserRequest::Reset { username: "ann".into(), remove_factors: false, print_link: true };
    let printed = link(&world, "first", reset).await;
    let mut stranger = Visitor::new(&world);
    ask(&mut stranger, "ann").await;
    deliver(&world).await.unwrap();
    let mut ann = Visitor::new(&world);
    assert_eq!(ann.get(&printed).await.status, 200, "what the operator handed over still works");
    let letters = [smtp.next(), smtp.next()];
    let asked = letters.iter().find(|letter| letter.text.contains("/set-password")).unwrap();
    assert_eq!(choose(&mut ann, &printed, CHOSEN).await.status, 303);
    assert_eq!(ann.get(&asked.path()).await.status, 410, "and with one of them all of them end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_only_an_operator_vouches_for_gives_the_account_back_by_that_operator() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    set_address(&world, "ann", "mallory@example.org").await;
    deliver(&world).await.unwrap();
    let told = smtp.next();
    assert!(
        told.to == "ann@example.org" && told.text.contains("ya no llegarán a esta dirección"),
        "the owner is told where she reads"
    );
    let mut mallory = Visitor::new(&world);
    ask(&mut mallory, "ann").await;
    deliver(&world).await.unwrap();
    let letter = smtp.next();
    assert_eq!(letter.to, "mallory@example.org");
    choose(&mut mallory, &letter.path(), CHOSEN).await;
    let show = || UserRequest::Show { username: "ann".into() };
    assert_eq!(details(&world, "root", show()).await.recovered_by.as_deref(), Some("account:first"));
    let confirm = || UserRequest::Confirm { username: "ann".into() };
    operator(&world, "first", confirm()).await;
    assert!(details(&world, "root", show()).await.recovered_by.is_some());
    let confirmed = details(&world, "second", confirm()).await;
    assert_eq!((confirmed.recovered_by, confirmed.mail.unwrap().unconfirmed_by), (None, None));
}

/// The page without what is made anew for each.
fn text(reply: &Reply) -> String {
    let text = reply.text();
    let csrf = text.split("name=\"csrf\" value=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    csrf.map_or_else(|| text.clone(), |csrf| text.replace(&csrf, ""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_tells_by_text_and_time_nothing_of_who_has_an_account() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    operator(&world, "root", UserRequest::Lock { username: "who".into() }).await;
    let mut pages = Vec::new();
    for typed in ["ann", "bob", "who", "nobody", "ann@example.org", "nobody@example.org"] {
        let mut visitor = Visitor::new(&world);
        let reply = ask(&mut visitor, typed).await;
        assert_eq!((reply.status.as_u16(), reply.headers.get_all("set-cookie").iter().count()), (200, 0), "{typed}");
        pages.push(text(&reply));
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    // The work is the same, so the times are the same as far as a machine with other work can tell: the medians of interleaved requests.
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..12 {
        for (name, times) in [("ann", &mut known), ("nobody", &mut unknown)] {
            world.server.clock.advance_seconds(24 * 3600);
            let mut visitor = Visitor::new(&world);
            let csrf = hidden(&visitor.get(PAGE).await, "csrf");
            let begun = Instant::now();
            let reply = visitor.post(PAGE, &[("csrf", &csrf), ("username", name)]).await;
            times.push(begun.elapsed());
            assert_eq!(reply.status, 200, "{round}");
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (known, unknown) = (median(&mut known), median(&mut unknown));
    let apart = known.abs_diff(unknown);
    assert!(apart < known.max(unknown) / 2 + Duration::from_millis(2), "{known:?} {unknown:?}");
    world.server.clock.advance_seconds(24 * 3600);
    deliver(&world).await.unwrap();
    assert!(smtp.is_quiet(), "what was asked for so long ago is not answered any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_often_waits_and_keeps_nobody_from_signing_in() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    for name in ["ann", "nobody"] {
        let mut stranger = Visitor::new(&world);
        let statuses = [ask(&mut stranger, name).await.status, ask(&mut stranger, name).await.status];
        assert!(statuses.iter().all(|status| *status == 200));
        let mut last = ask(&mut stranger, name).await;
        for _ in 0..4 {
            last = ask(&mut stranger, name).await;
        }
        assert_eq!(
            (last.status.as_u16(), last.header("retry-after"), last.text().contains("Please wait")),
            (429, "60", true),
            "{name}"
        );
    }
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    deliver(&world).await.unwrap();
    assert_eq!(smtp.next().to, "ann@example.org");
    assert!(smtp.is_quiet(), "one letter, however often somebody asks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_of_others_count_for_nothing_and_without_a_mail_server_there_is_no_such_page() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let mailed = world(smtp.mail()).await;
    let mut visitor = Visitor::new(&mailed);
    let csrf = hidden(&visitor.get(PAGE).await, "csrf");
    for (csrf, typed, status) in [("", "ann", 403), ("x", "ann", 403), (csrf.as_str(), "", 400), (csrf.as_str(), " \u{7} ", 400)]
    {
        assert_eq!(visitor.post(PAGE, &[("csrf", csrf), ("username", typed)]).await.status.as_u16(), status, "{typed:?}");
    }
    assert_eq!(Visitor::new(&mailed).post(PAGE, &[("csrf", &csrf), ("username", "ann")]).await.status, 403);
    deliver(&mailed).await.unwrap();
    assert!(smtp.is_quiet());
    let without = World::start().await;
    let mut visitor = Visitor::new(&without);
    assert!(!visitor.get("/login").await.text().contains("/login/forgotten"));
    assert_eq!(
        (visitor.get(PAGE).await.status.as_u16(), visitor.post(PAGE, &[("username", "ann")]).await.status.as_u16()),
        (404, 404)
    );
}
