//! Rights that two people give: one proposes at the command line, another agrees there or on the page of security officers.

use std::sync::Arc;

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::approval::{ChangeKind, TwoPeople};
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_server::admin::protocol::{RefusalKind, Refused, Request, Response};
use portcullis_server::admin::{Caller, ChangeSummary, SafeguardRequest, SafeguardResponse, Service};
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::TestServer;

use super::{Visitor, in_form};
use crate::fhir::World;

async fn asked(world: &World, account: &str, request: SafeguardRequest) -> Result<SafeguardResponse, Refused> {
    let service = Service::new(Arc::clone(&world.server.server));
    match service.answer(&Caller::named(account), Request::Safeguard(request)).await {
        Response::Safeguard(response) => Ok(response),
        Response::Refused(refused) => Err(refused),
        other => panic!("{other:?}"),
    }
}

fn entitle(username: &str, right: &str) -> SafeguardRequest {
    SafeguardRequest::Entitle { username: username.into(), right: right.into() }
}

async fn proposed(world: &World, account: &str, username: &str, right: &str) -> ChangeSummary {
    match asked(world, account, entitle(username, right)).await {
        Ok(SafeguardResponse::Waiting(change)) => change,
        other => panic!("{other:?}"),
    }
}

fn approve(change: &ChangeSummary) -> SafeguardRequest {
    SafeguardRequest::Approve { id: change.id.clone(), digest: change.digest.clone() }
}

async fn rights(world: &World, name: &str) -> Vec<Entitlement> {
    world.server.server.registry.entitlements_of(&UserId::parse(&format!("user-{name}")).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_command_line_another_account_agrees_and_never_the_same_one() {
    let world = World::start().await;
    let change = proposed(&world, "root", "who", "break-glass").await;
    assert!(change.content.contains("\"who\"") && change.state == "waiting", "{change:?}");
    assert!(rights(&world, "who").await.is_empty(), "a proposal gives nothing");
    world.server.clock.advance_seconds(1);
    let own = asked(&world, "root", approve(&change)).await.unwrap_err();
    assert!(own.kind == RefusalKind::Conflict && own.message.contains("a second person"), "{own:?}");
    assert_eq!(world.last(Event::Administration).0, Outcome::Rejected);
    let other = SafeguardRequest::Approve { id: change.id.clone(), digest: "0".repeat(64) };
    assert!(asked(&world, "ops", other).await.unwrap_err().message.contains("digest"));
    assert!(matches!(asked(&world, "ops", approve(&change)).await, Ok(SafeguardResponse::Done)));
    assert_eq!(rights(&world, "who").await, [Entitlement::BreakGlass]);
    world.server.clock.advance_seconds(1);
    assert!(asked(&world, "third", approve(&change)).await.is_err(), "once");
    let taken = SafeguardRequest::Unentitle { username: "who".into(), right: "break-glass".into() };
    assert!(asked(&world, "root", taken).await.is_ok(), "one person takes a right");
    assert!(rights(&world, "who").await.is_empty());
    for (username, right, kind) in [
        ("ann", "break-glass", RefusalKind::Invalid),
        ("who", "approve-changes", RefusalKind::Invalid),
        ("who", "everything", RefusalKind::Invalid),
        ("nobody", "break-glass", RefusalKind::NotFound),
    ] {
        assert_eq!(asked(&world, "root", entitle(username, right)).await.unwrap_err().kind, kind, "{username} {right}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_two_officers_agree_for_all_that_follow() {
    let world = World::start().await;
    let officer = [portcullis_oauth::users::Role::SecurityOfficer];
    for name in ["second", "third"] {
        world.server.add_user(name, &officer, None, &[]).await;
    }
    for name in ["officer", "second"] {
        assert!(matches!(asked(&world, "root", entitle(name, "approve-changes")).await, Ok(SafeguardResponse::Done)), "{name}");
    }
    let change = proposed(&world, "root", "third", "approve-changes").await;
    let mut officer = Visitor::new(&world);
    officer.sign_in("officer").await;
    let page = officer.get("/security").await;
    assert!(page.text().contains("third Example (third) may agree to changes"), "{}", page.text());
    let fields = |page: &portcullis_testkit::Reply, decision: &'static str| {
        [
            ("csrf", in_form(page, "/security", "csrf")),
            ("change", change.id.clone()),
            ("digest", change.digest.clone()),
            ("decision", decision.to_owned()),
        ]
    };
    let post = async |visitor: &mut Visitor<'_>, fields: [(&str, String); 4]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        visitor.post("/security", &fields).await
    };
    assert_eq!(post(&mut officer, fields(&page, "approve")).await.status, 403, "no second factor");
    officer.add_authenticator().await;
    let mut third = Visitor::new(&world);
    third.sign_in("third").await;
    third.add_authenticator().await;
    let own = third.get("/security").await;
    assert!(own.text().contains("it is about you") && !own.text().contains("value=\"approve\""), "{}", own.text());
    let refused = post(&mut third, fields(&own, "approve")).await;
    assert!(
        refused.status == 409 && refused.text().contains("nobody agrees to a change that benefits themselves"),
        "{}",
        refused.text()
    );
    assert!(rights(&world, "third").await.is_empty());
    let spanish = officer.get("/security?ui_locales=es").await;
    assert!(spanish.text().contains("podrá aceptar cambios"), "{}", spanish.text());
    let forged = [
        ("csrf", "x".to_owned()),
        ("change", change.id.clone()),
        ("digest", change.digest.clone()),
        ("decision", "approve".to_owned()),
    ];
    post(&mut officer, forged).await;
    assert!(rights(&world, "third").await.is_empty(), "the form of another site");
    world.server.clock.advance_seconds(1);
    assert_eq!(post(&mut officer, fields(&page, "approve")).await.status, 303);
    assert_eq!(rights(&world, "third").await, [Entitlement::ApproveChanges]);
    let (outcome, detail) = world.last(Event::Administration);
    assert!(outcome == Outcome::Success && detail.contains(&change.digest), "{detail}");
    for name in ["who", "ann", "audit", "admin"] {
        let mut visitor = Visitor::new(&world);
        visitor.sign_in(name).await;
        assert_eq!(visitor.get("/security").await.status, 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switched_off_one_person_is_enough_for_that_kind_alone() {
    let settings = AuthorizationSettings { two_people: TwoPeople::but_for([ChangeKind::BreakGlass]), ..Default::default() };
    let world = World::over(TestServer::start_with(settings).await).await;
    assert!(matches!(asked(&world, "root", entitle("who", "break-glass")).await, Ok(SafeguardResponse::Done)));
    assert!(matches!(asked(&world, "root", entitle("who", "verify-consents")).await, Ok(SafeguardResponse::Waiting(_))));
}
