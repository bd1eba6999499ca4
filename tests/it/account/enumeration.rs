//! Nothing that the sign-in says or how long it takes tells which names exist, who has a second factor, or whose account is locked.

use portcullis_server::admin::UserRequest;
use portcullis_testkit::app::hidden;

use super::Visitor;
use super::links::operator;
use crate::fhir::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_looks_the_same_for_every_account_and_for_none() {
    let world = World::start().await;
    let mut owner = Visitor::new(&world);
    owner.sign_in("ann").await;
    owner.add_authenticator().await;
    operator(&world, "root", UserRequest::Lock { username: "bob".to_owned() }).await;
    let invited = portcullis_server::admin::protocol::NewUser {
        username: "eve".to_owned(),
        display_name: "Eve".to_owned(),
        password: portcullis_server::admin::protocol::Hidden(String::new()),
        roles: vec!["auditor".to_owned()],
        fhir_user: None,
        patients: Vec::new(),
        contact: Default::default(),
    };
    operator(&world, "root", UserRequest::Invite(invited)).await;
    let mut pages = Vec::new();
    for name in ["ann", "bob", "who", "eve", "nobody"] {
        let mut stranger = Visitor::new(&world);
        let page = stranger.get("/login").await;
        let csrf = hidden(&page, "csrf");
        let fields = [("csrf", csrf.as_str()), ("return_to", "/me"), ("username", name), ("password", "wrong password")];
        let reply = stranger.post("/login", &fields).await;
        assert_eq!(reply.status, 401, "{name}");
        let text = reply.text().replace(&format!("value=\"{name}\""), "");
        // What is made anew for each page: form token and challenge.
        let plain: Vec<&str> = text.split('"').filter(|part| part.len() < 40 || part.contains(' ')).collect();
        pages.push(plain.join("\""));
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]), "{pages:#?}");
}
