//! Passkeys over HTTP, with a device in software: added, signed in with, and every way in which an answer can be wrong.

use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::identifiers::{SessionId, UserId};
use portcullis_oauth::passkey::user_handle;
use portcullis_oauth::users::Role;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::SignInChange;
use portcullis_testkit::Reply;
use portcullis_testkit::authenticator::Authenticator;

use super::{Visitor, codes, in_form};
use crate::fhir::World;

fn device(world: &World, id: &str) -> Authenticator {
    Authenticator::new(&world.server.server.settings.public_url, id)
}

async fn register(visitor: &mut Visitor<'_>, device: &mut Authenticator) -> Reply {
    let page = visitor.get("/me/passkey").await;
    assert_eq!(page.status, 200, "{}", page.header("location"));
    let field = |name| in_form(&page, "/me/passkey", name);
    let (csrf, challenge) = (field("csrf"), field("challenge"));
    let answer = device.register(&challenge);
    let mut fields = vec![("csrf", csrf.as_str()), ("challenge", &challenge), ("name", "My <phone>")];
    fields.extend(answer.iter().map(|(name, value)| (*name, value.as_str())));
    visitor.post("/me/passkey", &fields).await
}

/// Gives a person another password; none where the hash is empty.
pub async fn set_password(world: &World, name: &str, hash: &str) {
    let user = UserId::parse(&format!("user-{name}")).unwrap();
    let (password_hash, but) = (Secret::new(hash.to_owned()), SessionId::parse("none").unwrap());
    world.server.change(Change::SignIn(Box::new(SignInChange::SetPassword { user, password_hash, but }))).await;
}

/// Adds a person who signs in with a passkey and has no password.
pub async fn without_password(world: &World, name: &str) {
    world.server.add_user(name, &[Role::Patient], None, &["ann"]).await;
    let mut visitor = Visitor::new(world);
    visitor.sign_in(name).await;
    let mut key = device(world, &format!("{name}-phone"));
    assert_eq!(register(&mut visitor, &mut key).await.status, 200);
    set_password(world, name, "").await;
    let handle = user_handle(&format!("user-{name}"));
    assert_eq!(sign_in(&mut Visitor::new(world), &mut key, &handle, |_| ()).await.status, 303, "{name}: by passkey");
}

/// Opens the sign-in page and answers its challenge; the answer may be changed before it is sent.
async fn sign_in(
    visitor: &mut Visitor<'_>,
    device: &mut Authenticator,
    handle: &[u8],
    change: impl FnOnce(&mut Vec<(&'static str, String)>),
) -> Reply {
    let page = visitor.get("/login?return_to=/me").await;
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let field = |name| in_form(&page, "/login/passkey", name);
    let mut fields = vec![("csrf", field("csrf")), ("return_to", field("return_to")), ("challenge", field("challenge"))];
    fields.extend(device.sign_in(&field("challenge"), handle));
    change(&mut fields);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    visitor.post("/login/passkey", &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_signs_in_without_a_password() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let mut key = device(&world, "ann-phone");
    let added = register(&mut ann, &mut key).await;
    assert_eq!((added.status.as_u16(), codes(&added).len()), (200, 10), "{}", added.text());
    let me = ann.get("/me").await.text();
    assert!(me.contains("<bdi>My &#60;phone&#62;</bdi>") && me.contains("Not used yet."), "{me}");
    let mut elsewhere = Visitor::new(&world);
    let reply = sign_in(&mut elsewhere, &mut key, &user_handle("user-ann"), |_| ()).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/me"), "{}", reply.text());
    assert_eq!(world.last(Event::Login), (Outcome::Success, "signed in: passkey".to_owned()));
    let me = elsewhere.get("/me").await.text();
    assert!(me.contains("Signed in with a passkey") && me.contains("Last used on 21 November 2020"), "{me}");
    // From now on a password alone does not sign in.
    let asked = Visitor::new(&world).password("ann", "/me").await;
    assert!(asked.text().contains("Use your passkey, or type a recovery code."), "{}", asked.text());
    assert!(asked.text().contains("action=\"/login/passkey\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_answer_looks_the_same_and_opens_nothing() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let mut key = device(&world, "ann-phone");
    register(&mut ann, &mut key).await;
    let handle = user_handle("user-ann");
    let mut refused = Vec::new();
    let mut attempt = async |key: &mut Authenticator, handle: &[u8], field: &str, value: &str| {
        world.server.clock.advance_seconds(1);
        let mut visitor = Visitor::new(&world);
        let reply = sign_in(&mut visitor, key, handle, |fields| {
            if let Some((_, found)) = fields.iter_mut().find(|(name, _)| *name == field) {
                *found = value.to_owned();
            }
        })
        .await;
        assert!(!visitor.jar.contains_key("__Host-portcullis-session"));
        refused.push((
            reply.status.as_u16(),
            reply.text().contains("This passkey does not open an account here."),
            world.last(Event::Login).1,
        ));
    };
    attempt(&mut key, &user_handle("user-bob"), "", "").await;
    attempt(&mut key, &handle, "user_handle", "").await;
    attempt(&mut key, &handle, "credential", "").await;
    attempt(&mut key, &handle, "credential", "bm9ib2R5").await;
    attempt(&mut key, &handle, "signature", "AAAA").await;
    attempt(&mut key, &handle, "signature", "not base64!").await;
    attempt(&mut key, &handle, "client_data", "e30").await;
    attempt(&mut key, &handle, "authenticator_data", "AAAA").await;
    key.flags = 1;
    attempt(&mut key, &handle, "", "").await;
    key.flags = 5;
    key.origin = "https://evil.example".to_owned();
    attempt(&mut key, &handle, "", "").await;
    key.origin.clone_from(&world.server.server.settings.public_url);
    key.relying_party = "evil.example".to_owned();
    attempt(&mut key, &handle, "", "").await;
    key.relying_party = "localhost".to_owned();
    key.count = 0;
    attempt(&mut key, &handle, "", "").await;
    let mut other = device(&world, "ann-phone");
    other.count = 100;
    attempt(&mut other, &handle, "", "").await;
    let expected = [
        "passkey: of another user",
        "passkey: of another user",
        "passkey: the answer of the device cannot be read",
        "passkey: unknown",
        "passkey: the signature is wrong",
        "passkey: the answer of the device cannot be read",
        "passkey: the answer of the device cannot be read",
        "passkey: the answer of the device cannot be read",
        "passkey: the device did not verify its owner",
        "passkey: the answer was made for another origin",
        "passkey: the answer was made for another relying party",
        "passkey: the counter of the key went back",
        "passkey: the signature is wrong",
    ];
    let expected: Vec<(u16, bool, String)> = expected.into_iter().map(|detail| (401, true, detail.to_owned())).collect();
    assert_eq!(refused, expected);
    key.count = 200;
    assert_eq!(sign_in(&mut Visitor::new(&world), &mut key, &handle, |_| ()).await.status, 303, "and the right one still does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_for_one_browser_one_answer_and_a_quarter_of_an_hour() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let mut key = device(&world, "ann-phone");
    key.count = 5;
    register(&mut ann, &mut key).await;
    let handle = user_handle("user-ann");
    let mut visitor = Visitor::new(&world);
    let mut sent = Vec::new();
    assert_eq!(sign_in(&mut visitor, &mut key, &handle, |fields| sent.clone_from(fields)).await.status, 303);
    let replay: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let replayed = visitor.post("/login/passkey", &replay).await;
    assert_eq!(replayed.status, 401, "the counter went back");
    // A device that does not count answers the same challenge twice.
    key.count = u32::MAX;
    let mut still = device(&world, "no-counter");
    still.count = u32::MAX;
    register(&mut ann, &mut still).await;
    still.count = u32::MAX;
    let mut sent = Vec::new();
    assert_eq!(sign_in(&mut visitor, &mut still, &handle, |fields| sent.clone_from(fields)).await.status, 303);
    let replay: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.server.clock.advance_seconds(1);
    assert_eq!(visitor.post("/login/passkey", &replay).await.status, 401);
    assert_eq!(world.last(Event::Login), (Outcome::Denied, "passkey: answered before".to_owned()));
    let mut thief = Visitor::new(&world);
    thief.get("/login").await;
    assert_eq!(thief.post("/login/passkey", &replay).await.status, 403, "another browser");
    for (field, value) in [("csrf", ""), ("challenge", ""), ("challenge", "AAAA")] {
        still.count = u32::MAX;
        let reply = sign_in(&mut visitor, &mut still, &handle, |fields| {
            fields.iter_mut().find(|(name, _)| *name == field).unwrap().1 = value.to_owned();
        });
        assert_eq!(reply.await.status, 403, "{field} {value}");
    }
    let page = visitor.get("/login?return_to=/me").await;
    let field = |name| in_form(&page, "/login/passkey", name);
    still.count = u32::MAX;
    let mut fields = vec![("csrf", field("csrf")), ("return_to", "/me".to_owned()), ("challenge", field("challenge"))];
    fields.extend(still.sign_in(&field("challenge"), &handle));
    world.server.clock.advance_seconds(901);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let late = visitor.post("/login/passkey", &fields).await;
    assert_eq!((late.status.as_u16(), late.text().contains("This page was open for too long.")), (403, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_added_by_its_owner_once_and_removed() {
    let world = World::start().await;
    let mut ann = Visitor::new(&world);
    ann.sign_in("ann").await;
    let mut key = device(&world, "ann-phone");
    register(&mut ann, &mut key).await;
    let twice = register(&mut ann, &mut key).await;
    assert_eq!((twice.status.as_u16(), twice.text().contains("This passkey could not be added.")), (400, true));
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    assert_eq!(register(&mut bob, &mut key).await.status, 400, "nor does anybody else add it");
    let page = bob.get("/me/passkey").await;
    let field = |name| in_form(&page, "/me/passkey", name);
    let mut own = device(&world, "bob-key");
    own.flags = 1;
    let answer = own.register(&field("challenge"));
    let unverified = [
        ("csrf", &*field("csrf")),
        ("challenge", &*field("challenge")),
        (answer[0].0, &*answer[0].1),
        (answer[1].0, &*answer[1].1),
    ];
    world.server.clock.advance_seconds(1);
    assert_eq!(bob.post("/me/passkey", &unverified).await.status, 400);
    assert_eq!(world.last(Event::Credential).1, "passkey not added: the device did not verify its owner");
    let sent = own.register("AAAA");
    let foreign = [("csrf", &*field("csrf")), ("challenge", "AAAA"), (sent[0].0, &*sent[0].1), (sent[1].0, &*sent[1].1)];
    assert_eq!(bob.post("/me/passkey", &foreign).await.status, 400, "a challenge that was not made here");
    assert!(bob.get("/me").await.text().contains("You have no passkey."));
    let id = portcullis_jose::base64url::encode("ann-phone");
    let csrf = bob.own_csrf().await;
    bob.post("/me/passkey/remove", &[("csrf", &csrf), ("passkey", &id)]).await;
    assert!(ann.get("/me").await.text().contains("My &#60;phone&#62;"), "somebody else's cannot be removed");
    let csrf = ann.own_csrf().await;
    ann.post("/me/passkey/remove", &[("csrf", "x"), ("passkey", &id)]).await;
    assert!(ann.get("/me").await.text().contains("My &#60;phone&#62;"));
    ann.post("/me/passkey/remove", &[("csrf", &csrf), ("passkey", &id)]).await;
    assert!(ann.get("/me").await.text().contains("You have no passkey."));
    assert_eq!(sign_in(&mut Visitor::new(&world), &mut key, &user_handle("user-ann"), |_| ()).await.status, 401);
}
