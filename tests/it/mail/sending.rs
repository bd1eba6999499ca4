//! From the queue to the mail server, and what the server may do on the way.

use portcullis_audit::record::Event;
use portcullis_outbound::MailSecurity;
use portcullis_server::admin::protocol::{Hidden, NewUser, Response};
use portcullis_server::admin::{Contact, UserDetails, UserRequest};

use super::{Smtp, deliver, set_address, world};
use crate::account::Visitor;
use crate::account::links::{CHOSEN, choose, details, operator, reset};
use crate::fhir::World;

fn invitation(username: &str, address: &str, print_link: bool) -> UserRequest {
    UserRequest::Invite(NewUser {
        username: username.to_owned(),
        display_name: "Eve Ñandú".to_owned(),
        password: Hidden(String::new()),
        roles: vec!["patient".to_owned()],
        fhir_user: None,
        patients: vec!["bob".to_owned()],
        contact: Contact { email: Some(address.to_owned()), language: None, print_link },
    })
}

async fn shown(world: &World, username: &str) -> UserDetails {
    details(world, "root", UserRequest::Show { username: username.to_owned() }).await
}

async fn waiting(world: &World) -> u32 {
    let Response::Mail(status) = operator(world, "root", UserRequest::Mail).await else { panic!() };
    status.waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_goes_by_letter_over_tls_and_the_operator_does_not_see_the_link() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let Response::LinkMailed(mailed) = operator(&world, "root", invitation("eve", "eve@example.org", false)).await else {
        panic!()
    };
    assert_eq!((mailed.address.as_str(), mailed.username.as_str()), ("eve@example.org", "eve"));
    deliver(&world).await.unwrap();
    let letter = smtp.next();
    assert_eq!((letter.to.as_str(), letter.seen["tls"].as_bool()), ("eve@example.org", Some(true)));
    assert_eq!(
        (letter.seen["login"].as_str(), letter.seen["from"].as_str()),
        (Some("portcullis"), Some("noreply@hospital.example"))
    );
    for line in ["Auto-Submitted: auto-generated", "To: eve@example.org", "Subject: Your new account"] {
        assert!(letter.head.lines().any(|found| found == line), "{line}: {}", letter.head);
    }
    assert!(
        letter.head.contains("Message-ID: <") && letter.head.contains("@hospital.example>") && letter.head.contains("Date: ")
    );
    assert_eq!(letter.text.matches("://").count(), 1, "{}", letter.text);
    assert!(letter.text.contains("Hello Eve Ñandú") && letter.text.contains("Account: eve"), "{}", letter.text);
    let mut eve = Visitor::new(&world);
    assert_eq!(choose(&mut eve, &letter.path(), CHOSEN).await.status, 303);
    let eve = shown(&world, "eve").await;
    assert_eq!((eve.mail.unwrap().unconfirmed_by, eve.letters[0].outcome.as_deref()), (None, Some("sent")), "she reads there");
    assert_eq!((smtp.is_quiet(), waiting(&world).await), (true, 0));
    let records = format!("{:?}", world.server.records());
    assert!(
        records.contains("letter sent: invitation to ")
            && !records.contains("eve@example.org")
            && !records.contains("set-password?link")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_printed_on_request_and_where_there_is_no_address_or_no_mail_server() {
    let smtp = Smtp::start(MailSecurity::Tls);
    let world = world(smtp.mail()).await;
    assert!(matches!(operator(&world, "root", invitation("eve", "eve@example.org", true)).await, Response::UserLink(_)));
    assert!(matches!(operator(&world, "root", reset("bob", false)).await, Response::UserLink(_)), "bob has no address");
    let Response::LinkMailed(_) = operator(&world, "root", reset("ann", false)).await else { panic!() };
    deliver(&world).await.unwrap();
    let letter = smtp.next();
    assert!(letter.text.contains("Hola, ann Example:") && letter.text.contains("Sirve una sola vez"), "{}", letter.text);
    assert!(letter.head.contains("Subject: Una =?utf-8?b?") && letter.head.is_ascii(), "{}", letter.head);
    assert!(smtp.is_quiet());
    let without = World::start().await;
    set_address(&without, "ann", "ann@example.org").await;
    assert!(matches!(operator(&without, "root", reset("ann", false)).await, Response::UserLink(_)));
    for address in ["eve", "eve@example.org\r\nBcc: x@example.org", "\"eve\"@example.org", "eve@exämple.org", ""] {
        let Response::Refused(refused) = operator(&without, "root", invitation("eva", address, false)).await else { panic!() };
        assert!(refused.message.contains("mail address"), "{}", refused.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_tried_again_and_a_poisoned_address_is_given_up() {
    let mut smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    for (name, address) in [("eve", "poison@example.org"), ("lea", "later@example.org"), ("mia", "mia@example.org")] {
        operator(&world, "root", invitation(name, address, false)).await;
    }
    smtp.stop();
    let (before, began) = (world.server.records().len(), std::time::Instant::now());
    deliver(&world).await.unwrap_err();
    assert!(began.elapsed().as_secs() < 2 && waiting(&world).await == 3, "a round ends with the first connection that fails");
    assert_eq!(Visitor::new(&world).get("/login").await.status, 200);
    smtp.again();
    world.server.clock.advance_seconds(30);
    deliver(&world).await.unwrap();
    assert_eq!(smtp.next().to, "mia@example.org");
    let poisoned = shown(&world, "eve").await.letters.remove(0);
    assert_eq!(poisoned.outcome.as_deref(), Some("the mail server refused the letter with the code 550"));
    let later = shown(&world, "lea").await.letters.remove(0);
    assert_eq!((later.outcome, waiting(&world).await), (None, 1), "not now is not never");
    let told: Vec<String> = world.server.records()[before..].iter().filter_map(|record| record.detail.clone()).collect();
    assert!(told.iter().any(|detail| detail.contains("letter not sent: invitation") && detail.contains("code 550")), "{told:?}");
    world.server.clock.advance_seconds(7 * 24 * 3600);
    deliver(&world).await.unwrap();
    let later = shown(&world, "lea").await.letters.remove(0);
    assert!(later.outcome.unwrap().starts_with("given up after"), "its link has ended, too");
    let (_, detail) = world.last(Event::Credential);
    assert!(detail.contains("letter not sent: invitation") && waiting(&world).await == 0, "{detail}");
    let Response::Mail(status) = operator(&world, "root", UserRequest::Mail).await else { panic!() };
    assert!(status.configured && status.given_up >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_certificate_name_or_password_gets_no_letter() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    for (mail, said) in [
        (smtp.mail_to("localhost", "mail password", false), "TLS with the mail server failed"),
        (smtp.mail_to("127.0.0.1", "mail password", true), "TLS with the mail server failed"),
        (smtp.mail_to("localhost", "wrong", true), "did not take name and password"),
    ] {
        let world = world(mail).await;
        operator(&world, "root", reset("ann", false)).await;
        let error = deliver(&world).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!((waiting(&world).await, smtp.is_quiet()), (1, true), "it waits for the operator to mend the configuration");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_is_noted_before_it_is_made_so_that_no_letter_goes_again_and_again() {
    // A mail server that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = portcullis_outbound::MailServer {
        host: "127.0.0.1".into(),
        port: silent.local_addr().unwrap().port(),
        security: MailSecurity::NoneOnLoopback,
        credentials: None,
        from: portcullis_outbound::Sender::parse(super::FROM).unwrap(),
    };
    let mailer = portcullis_outbound::Mailer::new(server, portcullis_outbound::Trust::of_the_web()).unwrap();
    let world = world(portcullis_server::mail::Mail::by(mailer)).await;
    operator(&world, "root", invitation("eve", "eve@example.org", false)).await;
    tokio::select! {
        sent = deliver(&world) => panic!("{sent:?}"),
        connection = silent.accept() => drop(connection.unwrap()),
    }
    let due = |now| world.server.server.registry.due_letters(now, 10);
    let now = portcullis_store::Clock::now_seconds(&*world.server.clock);
    assert!(due(now + 29).await.unwrap().is_empty(), "whatever became of this attempt");
    let waiting = due(now + 30).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].attempts), (1, 1));
}
