//! Purposes of use over HTTP, and a clinician who breaks the glass: from the page to the patient's record, and back.

use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::approval::Actor;
use portcullis_oauth::break_glass::GlassEntry;
use portcullis_oauth::clients::ClientProperties;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_oauth::purposes::RegisteredPurpose;
use portcullis_oauth::totp::TotpSecret;
use portcullis_store::registry::Change;
use portcullis_store::safeguards::SafeguardChange;
use portcullis_store::sign_in::SignInChange;
use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};
use crate::account::{Visitor, in_form};

pub const BTG: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; label=\"break the glass\"";
pub const REASON: &str = "Unconscious after a fall, no relatives here";

fn purpose(code: &str) -> String {
    format!("http://terminology.hl7.org/CodeSystem/v3-ActReason#{code}")
}

fn user(name: &str) -> UserId {
    UserId::parse(&format!("user-{name}")).unwrap()
}

fn safeguard(change: SafeguardChange) -> Change {
    Change::Safeguard(Box::new(change))
}

impl World {
    /// Gives the right as two people would.
    pub async fn entitle(&self, name: &str, entitlement: Entitlement) {
        let by = Actor::Account("test".into());
        self.server.change(safeguard(SafeguardChange::Give { user: user(name), entitlement, by, first: false })).await;
    }

    async fn glass(&self) -> Vec<GlassEntry> {
        let server = &self.server.server;
        server.registry.broken_glass(server.clock.now_seconds()).await.unwrap()
    }

    async fn clinician(&self) -> String {
        self.app.access_token("user/*.cruds", "who", PASSWORD).await
    }

    /// An answer under a purpose.
    pub async fn asking(&self, token: &str, path: &str, category: &str) -> Reply {
        self.server.client.get(&format!("/fhir/{path}")).bearer(token).header("category", category).send().await
    }
}

/// A clinician with the right, signed in with a second factor of this moment.
pub async fn entitled(world: &World) -> (Visitor<'_>, TotpSecret) {
    world.entitle("who", Entitlement::BreakGlass).await;
    let mut who = Visitor::new(world);
    who.sign_in("who").await;
    let (secret, _) = who.add_authenticator().await;
    (who, secret)
}

/// Breaks the glass for whoever has this name and birthday, for this reason.
pub async fn break_glass(who: &mut Visitor<'_>, typed: [&str; 3]) -> Reply {
    let page = who.get("/break-glass").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let csrf = in_form(&page, "/break-glass", "csrf");
    let [name, born, reason] = typed;
    who.post("/break-glass", &[("csrf", &csrf), ("who", name), ("born", born), ("reason", reason)]).await
}

fn diagnostics(reply: &Reply) -> String {
    reply.json()["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purpose_is_understood_or_refused_and_takes_leave() {
    let world = World::start().await;
    let token = world.clinician().await;
    for unknown in ["BTG", "break the glass", &purpose("ABUSE"), &format!("{}, {}", purpose("TREAT"), purpose("BTG"))] {
        let reply = world.asking(&token, "Patient/ann", unknown).await;
        assert_eq!(reply.status, 400, "{unknown}");
        assert_eq!(reply.json()["issue"][0]["expression"][0], "http.category");
    }
    let twice = world.server.client.get("/fhir/Patient/ann").bearer(&token).header("category", &purpose("TREAT"));
    assert_eq!(twice.header("category", &purpose("TREAT")).send().await.status, 400);
    for (code, status) in [("TREAT", 200), ("COC", 200), ("HPAYMT", 403), ("HOPERAT", 403), ("BTG", 403)] {
        assert_eq!(world.asking(&token, "Patient/ann", &purpose(code)).await.status, status, "{code}");
    }
    assert!(diagnostics(&world.asking(&token, "Patient/ann", &purpose("HPAYMT")).await).contains("HPAYMT"));
    // Neither the cached token nor the one request's purpose leads to another's.
    assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 200);
    let body =
        json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Patient/ann"}}]});
    let batch = || world.server.client.post("/fhir").bearer(&token).fhir(body.to_string());
    assert_eq!(batch().send().await.json()["entry"][0]["response"]["status"].as_str().unwrap()[..3], *"200");
    let denied = batch().header("category", &purpose("HPAYMT")).send().await;
    assert_eq!(denied.json()["entry"][0]["response"]["status"].as_str().unwrap()[..3], *"403", "{}", denied.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_registration_narrows_the_purposes_of_whoever_uses_it() {
    let world = World::start().await;
    let token = world.clinician().await;
    let registered = |codes: &[&str]| {
        let purposes = codes.iter().map(|code| RegisteredPurpose(PurposeOfUse::parse(code).unwrap())).collect();
        ClientProperties { purposes, ..ClientProperties::default() }
    };
    world.server.set_properties("app", registered(&["COC"])).await;
    let read = || world.server.client.get("/fhir/Patient/ann").bearer(&token).send();
    assert_eq!(read().await.status, 200);
    assert_eq!(world.asking(&token, "Patient/ann", &purpose("TREAT")).await.status, 403);
    let records = world.server.records();
    let purposes: Vec<_> = records.iter().filter(|record| record.event == Event::Rest).map(|r| r.agent.purpose.clone()).collect();
    assert_eq!(purposes, [Some("COC".into()), Some("TREAT".into())], "what was stated is on record, also in vain");
    world.server.set_properties("app", registered(&["HMARKT"])).await;
    assert_eq!(read().await.status, 403, "no purpose suits both, for a token from before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_purpose_alone_opens_nothing_and_is_an_alert() {
    let world = World::start().await;
    let token = world.clinician().await;
    let reply = world.asking(&token, "Patient/bob", BTG).await;
    assert_eq!(reply.status, 403);
    let denied = world.server.records().into_iter().rfind(|record| record.event == Event::Rest).unwrap();
    assert_eq!((denied.outcome, denied.agent.purpose.as_deref()), (Outcome::Denied, Some("BTG")));
    // Nor does the right without the page, nor the page without the right.
    world.entitle("who", Entitlement::BreakGlass).await;
    let reply = world.asking(&token, "Patient/bob", BTG).await;
    assert_eq!(reply.status, 403);
    assert!(diagnostics(&reply).contains("/break-glass"), "{}", diagnostics(&reply));
    for name in ["ann", "officer"] {
        world.entitle(name, Entitlement::BreakGlass).await;
        let mut visitor = Visitor::new(&world);
        visitor.sign_in(name).await;
        assert_eq!(visitor.get("/break-glass").await.status, 403, "{name} treats nobody");
        assert_eq!(world.last(Event::BreakGlass).0, Outcome::Denied);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_wants_the_right_a_second_factor_a_reason_and_exactly_one_patient() {
    let world = World::start().await;
    let mut who = Visitor::new(&world);
    who.sign_in("who").await;
    assert_eq!(who.get("/break-glass").await.status, 403, "no right");
    world.entitle("who", Entitlement::BreakGlass).await;
    let without = who.get("/break-glass").await;
    assert!(without.status == 403 && without.text().contains("second factor"), "{}", without.text());
    let (secret, _) = who.add_authenticator().await;
    for (typed, told) in [
        (["Test Bob", "1970-01-01", "urgent"], "Say why"),
        (["Test Bob", "1970-01-01", ""], "Say why"),
        (["Test Bob", "1970-01-02", REASON], "No single record fits"),
        (["Bob", "1970-01-01", REASON], "No single record fits"),
        (["Nobody Here", "1970-01-01", REASON], "No single record fits"),
        (["Nobody Here", "1971-01-01", REASON], "No single record fits"),
        (["Nobody There", "1970-01-01", REASON], "No single record fits"),
        // These are none, and count as none.
        (["Test Bob", "1970", REASON], "No single record fits"),
        (["", "1970-01-01", REASON], "No single record fits"),
    ] {
        let reply = break_glass(&mut who, typed).await;
        assert!(reply.status == 422 && reply.text().contains(told), "{typed:?} {}", reply.text());
        let (outcome, detail) = world.last(Event::BreakGlass);
        assert!(outcome == Outcome::Rejected && !detail.contains("Bob"), "{detail}");
        world.server.clock.advance_seconds(1);
    }
    // Five look-ups fit nobody: for a while nobody is looked up, also not whoever is there.
    let waiting = break_glass(&mut who, ["Test Bob", "1970-01-01", REASON]).await;
    assert!(waiting.status == 422 && waiting.text().contains("Minutes to wait: 1"), "{}", waiting.text());
    assert_eq!(world.last(Event::BreakGlass).0, Outcome::Denied);
    let forged = [("csrf", "x"), ("who", "Test Bob"), ("born", "1970-01-01"), ("reason", REASON)];
    assert_eq!(who.post("/break-glass", &forged).await.status, 403);
    world.server.clock.advance_seconds(901);
    let again = who.get("/break-glass").await;
    assert!(again.text().contains("This needs a fresh check that it is you."), "{}", again.text());
    assert_eq!(who.second(&again, &world.code(&secret)).await.header("location"), "/break-glass");
    assert_eq!(who.get("/break-glass").await.status, 200);
    assert!(world.glass().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_come_at_once_are_counted_one_after_the_other() {
    let world = World::start().await;
    let (mut who, _) = entitled(&world).await;
    let csrf = in_form(&who.get("/break-glass").await, "/break-glass", "csrf");
    let guess = async || {
        let mut same = Visitor { jar: who.jar.clone(), ..Visitor::new(&world) };
        let typed = [("csrf", csrf.as_str()), ("who", "Nobody Here"), ("born", "1970-01-01"), ("reason", REASON)];
        same.post("/break-glass", &typed).await.text().contains("No single record fits")
    };
    let four = async || tokio::join!(guess(), guess(), guess(), guess());
    let (first, second, third) = tokio::join!(four(), four(), four());
    let looked_up = [first, second, third].map(|(a, b, c, d)| [a, b, c, d]).concat().into_iter().filter(|was| *was).count();
    assert_eq!(looked_up, 5, "of twelve that came together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entitled_clinician_opens_one_record_for_a_time_and_everybody_learns_of_it() {
    verifies!("LABEL-08");
    let world = World::start().await;
    let token = world.clinician().await;
    let narrow = world.app.access_token("user/Encounter.rs", "who", PASSWORD).await;
    assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 403, "the header alone");
    let (mut who, _) = entitled(&world).await;
    assert_eq!(world.server.client.get("/fhir/Patient/bob").bearer(&token).send().await.status, 404);
    assert_eq!(break_glass(&mut who, ["Test Bob", "1970-01-01", REASON]).await.header("location"), "/break-glass");
    let again = break_glass(&mut who, ["Test Bob", "1970-01-01", REASON]).await;
    assert!(again.status == 422 && again.text().contains("open already"), "{}", again.text());
    assert_eq!(world.glass().await.len(), 1);
    let page = who.get("/break-glass").await.text();
    assert!(page.contains("Patient/bob") && page.contains(REASON), "{page}");
    for path in ["Patient/bob", "Observation/obs-bob-1"] {
        assert_eq!(world.asking(&token, path, BTG).await.status, 200, "{path}");
        assert_eq!(world.server.client.get(&format!("/fhir/{path}")).bearer(&token).send().await.status, 404, "unsaid: {path}");
    }
    // Nobody else's record, not even of patients in care, and nothing is written.
    assert_eq!(world.asking(&token, "Patient/ann", BTG).await.status, 404);
    assert_eq!(ids(&world.asking(&token, "Observation", BTG).await.json()), ["obs-bob-1"]);
    let writing = world.server.client.request(http::Method::DELETE, "/fhir/Observation/obs-bob-1").bearer(&token);
    assert_eq!(writing.header("category", BTG).send().await.status, 403);
    assert_eq!(world.asking(&narrow, "Patient/bob", BTG).await.status, 403, "within the scopes");
    // Another clinician's token, and an app's token of the patient's, are another user's.
    world.server.add_user("other", &[portcullis_oauth::users::Role::Clinician], Some("Practitioner/third"), &[]).await;
    world.entitle("other", Entitlement::BreakGlass).await;
    let other = world.app.access_token("user/*.rs", "other", PASSWORD).await;
    assert_eq!(world.asking(&other, "Patient/bob", BTG).await.status, 403, "another user");
    // So that the app of the tests, which knows a password alone, gets in.
    world.server.change(Change::SignIn(Box::new(SignInChange::RemoveTotp(user("who"))))).await;
    world.server.clock.advance_seconds(3540);
    let late = world.app.access_token("user/*.rs", "who", PASSWORD).await;
    assert_eq!(world.asking(&late, "Patient/bob", BTG).await.status, 200);
    world.server.clock.advance_seconds(60);
    let over = world.app.access_token("user/*.rs", "who", PASSWORD).await;
    assert_eq!(world.asking(&over, "Patient/bob", BTG).await.status, 403, "its time is over");
    told_afterwards(&world).await;
}

/// What the trail and the patient's own page say of it.
async fn told_afterwards(world: &World) {
    let auditor = world.app.access_token("user/AuditEvent.rs", "audit", PASSWORD).await;
    world.server.move_outbox().await;
    let found = world.server.client.get("/fhir/AuditEvent?patient=Patient/bob&_count=100").bearer(&auditor).send().await.json();
    let events: Vec<&Value> = found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
    let emergency = |event: &&&Value| event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG";
    let started = events.iter().filter(|event| event["subtype"][0]["code"] == "110127");
    let started: Vec<_> = started.filter(|event| event["outcome"] == "0").collect();
    assert_eq!(started.len(), 1);
    assert!(started.iter().all(&emergency) && started[0]["type"]["code"] == "110113", "{}", started[0]);
    let reads = events.iter().filter(emergency).filter(|event| event["type"]["code"] == "rest" && event["outcome"] == "0");
    let reads: Vec<_> = reads.collect();
    assert_eq!(reads.len(), 4, "two reads, one search, one late read");
    let requestor = reads[0]["agent"].as_array().unwrap().iter().find(|agent| agent["requestor"] == true).unwrap();
    assert_eq!(requestor["purposeOfUse"][0]["coding"][0]["code"], "BTG");
    let mut bob = Visitor::new(world);
    bob.sign_in("bob").await;
    let page = bob.get("/me").await.text();
    assert!(page.contains("who Example") && page.contains("in an emergency"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ended_or_taken_away_is_closed_for_the_next_request() {
    let world = World::start().await;
    let token = world.clinician().await;
    let (mut who, _) = entitled(&world).await;
    let opened = async |who: &mut Visitor<'_>| {
        assert_eq!(break_glass(who, ["Test Bob", "1970-01-01", REASON]).await.status, 303);
        assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 200);
        world.glass().await.into_iter().find(|entry| entry.ended_at.is_none()).unwrap()
    };
    // By whoever opened it.
    let entry = opened(&mut who).await;
    let csrf = in_form(&who.get("/break-glass").await, "/break-glass", "csrf");
    world.server.clock.advance_seconds(1);
    assert_eq!(who.post("/break-glass", &[("csrf", &csrf), ("end", &entry.id)]).await.status, 303);
    assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 403);
    assert_eq!(world.last(Event::BreakGlassEnd).0, Outcome::Success);
    // By a security officer with a second factor.
    let mut officer = Visitor::new(&world);
    officer.sign_in("officer").await;
    let entry = opened(&mut who).await;
    let page = officer.get("/security").await;
    assert!(page.text().contains("Patient/bob") && page.text().contains(REASON), "{}", page.text());
    let csrf = in_form(&page, "/security", "csrf");
    assert_eq!(officer.post("/security", &[("csrf", &csrf), ("end", &entry.id)]).await.status, 403, "no second factor");
    assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 200);
    officer.add_authenticator().await;
    assert_eq!(officer.post("/security", &[("csrf", &csrf), ("end", &entry.id)]).await.status, 303);
    assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 403);
    // By taking the right.
    opened(&mut who).await;
    let by = Actor::Account("test".into());
    world.server.change(safeguard(SafeguardChange::End { user: user("who"), entitlement: Entitlement::BreakGlass, by })).await;
    assert_eq!(world.asking(&token, "Patient/bob", BTG).await.status, 403);
    assert_eq!(who.get("/break-glass").await.status, 403);
}
