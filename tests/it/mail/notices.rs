//! What owners are told of, and what becomes of letters when the process dies.

use portcullis_outbound::MailSecurity;
use portcullis_server::admin::UserRequest;
use portcullis_testkit::app::hidden;

use super::{Smtp, deliver, world};
use crate::account::Visitor;
use crate::account::links::{CHOSEN, choose, link, operator};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_is_told_of_every_change_of_how_the_account_opens() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let next = async || {
        deliver(&world).await.unwrap();
        smtp.next().text
    };
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    deliver(&world).await.unwrap();
    assert!(smtp.is_quiet(), "the first browser of an account is no news");
    let mut stranger = Visitor::new(&world);
    stranger.sign_in("ann").await;
    let told = next().await;
    assert!(told.contains("un navegador que no se había usado") && told.contains("Navegador: Firefox on Linux"), "{told}");
    assert!(told.contains("Red: 127.0.0.1") && !told.contains("://"), "{told}");
    Visitor::new(&world).sign_in("ann").await;
    ann.sign_in("ann").await;
    deliver(&world).await.unwrap();
    assert!(smtp.is_quiet(), "not more than once an hour, and never of a browser that is known");
    ann.add_authenticator().await;
    assert!(next().await.contains("Se agregó una aplicación de autenticación"));
    let csrf = ann.own_csrf().await;
    ann.post("/me/recovery-codes", &[("csrf", &csrf)]).await;
    assert!(next().await.contains("códigos de recuperación nuevos"));
    ann.post("/me/authenticator/remove", &[("csrf", &csrf)]).await;
    assert!(next().await.contains("Se quitó una aplicación"));
    let page = ann.get("/me/password").await;
    ann.post("/me/password", &[("csrf", &hidden(&page, "csrf")), ("password", CHOSEN)]).await;
    assert!(next().await.contains("Se cambió la contraseña"));
    let reset = UserRequest::Reset { username: "ann".into(), remove_factors: false, print_link: true };
    let path = link(&world, "first", reset).await;
    assert!(next().await.contains("abrió un acceso nuevo a su cuenta"), "a link that goes another way is told by letter");
    choose(&mut stranger, &path, CHOSEN).await;
    assert!(next().await.contains("Se cambió la contraseña"));
    operator(&world, "second", UserRequest::Confirm { username: "ann".into() }).await;
    assert!(next().await.contains("Se confirmó") || smtp.is_quiet());
    let passwords = format!("{:?}", world.server.records());
    assert!(!passwords.contains("ann@example.org"), "addresses are in no record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_whose_process_died_before_the_end_was_noted_is_sent_again_with_the_same_name() {
    let smtp = Smtp::start(MailSecurity::StartTls);
    let world = world(smtp.mail()).await;
    let reset = UserRequest::Reset { username: "ann".into(), remove_factors: false, print_link: false };
    operator(&world, "first", reset).await;
    // Between the mail server's word and ours: the ledger of changes refuses, as a process that is gone would.
    let before = world.server.server.registry.due_letters(i64::MAX, 10).await.unwrap();
    assert_eq!(before.len(), 1, "the letter is as durable as the link");
    let sender = smtp.mail();
    let other = portcullis_server::mail::delivery::send_only(&sender, &before[0]).await;
    assert!(other.is_ok());
    deliver(&world).await.unwrap();
    let name = |head: &str| head.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    let (first, again) = (smtp.next(), smtp.next());
    assert_eq!((name(&first.head), first.text), (name(&again.head), again.text));
    deliver(&world).await.unwrap();
    assert!(smtp.is_quiet());
}
