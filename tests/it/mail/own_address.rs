//! A person changes where letters go: only with the code that went there, and both addresses are told.

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::identifiers::UserId;
use portcullis_outbound::MailSecurity;
use portcullis_store::mail::PersonalAddress;
use portcullis_testkit::Reply;
use portcullis_testkit::app::hidden;

use super::{Smtp, deliver, world};
use crate::account::{Visitor, in_form};
use crate::fhir::World;

const PAGE: &str = "/me/mail";
const NEW: &str = "ann@new.example";

async fn of_ann(world: &World) -> Option<PersonalAddress> {
    let registry = &world.server.server.registry;
    let user: UserId = registry.user_named("ann").await.unwrap().unwrap().id;
    registry.address_of(&user).await.unwrap()
}

/// Asks for a code; the page that takes it.
async fn ask(visitor: &mut Visitor<'_>, address: &str) -> Reply {
    let page = visitor.get(PAGE).await;
    let csrf = in_form(&page, PAGE, "csrf");
    visitor.post(PAGE, &[("csrf", &csrf), ("address", address)]).await
}

/// Types a code into that page, for the address that it names unless another is named.
async fn type_code(visitor: &mut Visitor<'_>, page: &Reply, code: &str, address: Option<&str>) -> Reply {
    let field = |name| in_form(page, PAGE, name);
    let (csrf, shown, made_at) = (field("csrf"), field("address"), field("made_at"));
    let address = address.unwrap_or(&shown);
    visitor.post(PAGE, &[("csrf", &csrf), ("address", address), ("made_at", &made_at), ("code", code)]).await
}

/// The code in a letter: the one line of groups of four.
fn code_in(text: &str) -> String {
    let is_code = |line: &&str| line.len() == 14 && line.split('-').all(|group| group.len() == 4);
    text.lines().find(is_code).unwrap_or_else(|| panic!("no code: {text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_go_to_a_new_address_only_after_its_code_came_back_in_the_same_session() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    deliver(&world).await.unwrap();
    assert!(ann.get(PAGE).await.text().contains("ann@example.org"));
    for (address, said) in [
        ("", "Type an email address"),
        ("ann", "Type an email address"),
        ("ann@new.example\r\nBcc: x@y.example", "Type an email address"),
        ("Ann@Example.org", "We send messages there already."),
    ] {
        let reply = ask(&mut ann, address).await;
        assert_eq!(reply.status, 400, "{address}");
        assert!(reply.text().contains(said), "{address}: {}", reply.text());
    }
    deliver(&world).await.unwrap();
    assert!(smtp.is_quiet());

    let page = ask(&mut ann, NEW).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(of_ann(&world).await.unwrap().address, "ann@example.org", "nothing changes yet");
    deliver(&world).await.unwrap();
    let letter = smtp.next();
    assert_eq!(letter.to, NEW);
    assert!(!letter.text.contains("://") && smtp.is_quiet(), "{}", letter.text);
    let code = code_in(&letter.text);
    let refused = async |visitor: &mut Visitor<'_>, code: &str, address: Option<&str>| {
        let reply = type_code(visitor, &page, code, address).await;
        assert_eq!(reply.status, 400, "{code} {address:?}");
        assert!(reply.text().contains("This code is wrong or too old."), "{}", reply.text());
    };
    refused(&mut ann, "", None).await;
    refused(&mut ann, "0000-0000-0000", None).await;
    refused(&mut ann, &code, Some("mallory@evil.example")).await;
    let said = "mail address not changed: wrong or old code";
    let records = world.server.records();
    let refusals = records.iter().filter(|record| record.event == Event::Credential && record.detail.as_deref() == Some(said));
    assert_eq!(refusals.filter(|record| record.outcome == Outcome::Rejected).count(), 3);
    let mut elsewhere = Visitor::new(&world);
    elsewhere.sign_in("ann").await;
    let csrf = hidden(&elsewhere.get(PAGE).await, "csrf");
    let made_at = in_form(&page, PAGE, "made_at");
    let fields = [("csrf", csrf.as_str()), ("address", NEW), ("made_at", &made_at), ("code", &code)];
    assert_eq!(elsewhere.post(PAGE, &fields).await.status, 400, "the code is good in the session that asked for it");
    assert_eq!(ann.post(PAGE, &[&[("csrf", "x")][..], &fields[1..]].concat()).await.status, 403, "no form of ours");
    assert_eq!(of_ann(&world).await.unwrap().address, "ann@example.org");
    deliver(&world).await.unwrap();
    while !smtp.is_quiet() {}

    let done = type_code(&mut ann, &page, &code.to_lowercase().replace('-', " "), None).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/me"), "{}", done.text());
    let address = of_ann(&world).await.unwrap();
    assert_eq!((address.address.as_str(), address.vouched_by), (NEW, None), "its owner has shown to read there");
    deliver(&world).await.unwrap();
    let mut told = [smtp.next(), smtp.next()].map(|letter| (letter.to, letter.text));
    told.sort();
    assert_eq!((told[0].0.as_str(), told[1].0.as_str()), ("ann@example.org", NEW), "the address before is told, too");
    assert!(told[0].1.contains("ya no llegarán a esta dirección"), "in the language that was kept: {}", told[0].1);
    assert!(told[1].1.contains("come to this address from now on"), "{}", told[1].1);
    assert!(ann.get("/me").await.text().contains(NEW));
    let records = format!("{:?}", world.server.records());
    assert!(!records.contains(NEW) && !records.contains(&code), "neither stands in a record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_gets_old_and_there_are_not_many_of_them() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let page = ask(&mut ann, NEW).await;
    deliver(&world).await.unwrap();
    let code = code_in(&smtp.next().text);
    world.server.clock.advance_seconds(15 * 60 + 1);
    assert_eq!(type_code(&mut ann, &page, &code, None).await.header("location"), "/login?return_to=/me/mail", "sign in again");
    ann.sign_in("ann").await;
    for _ in 0..4 {
        assert_eq!(ask(&mut ann, NEW).await.status, 200);
    }
    let many = ask(&mut ann, NEW).await;
    assert_eq!((many.status.as_u16(), many.header("retry-after")), (429, "3600"), "{}", many.text());
    assert!(many.text().contains("We sent many codes in the last hour."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_mail_has_no_such_page() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    assert_eq!(ann.get(PAGE).await.header("location"), "/login?return_to=/me/mail");
    ann.sign_in("ann").await;
    let page = ann.get(PAGE).await;
    assert_eq!(page.status, 404);
    assert!(page.text().contains("This server sends no mail") && !ann.get("/me").await.text().contains(PAGE));
}
