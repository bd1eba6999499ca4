//! What is kept of what people and clients prove themselves with: nothing that could be used, in whatever file it is looked for.

use portcullis_testkit::app::query_value;
use portcullis_testkit::dump;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::Visitor;
use super::links::{choose, invitation, link};
use crate::fhir::World;

const CHOSEN: &str = "seven purple otters swim north";

/// Every secret of a whole run, by what it is.
async fn secrets(world: &World) -> Vec<(&'static str, String)> {
    let scope = "openid launch/patient patient/Patient.rs offline_access";
    let app = world.server.add_app("backoffice", scope, true).await;
    let path = link(world, "root", invitation("eve")).await;
    assert_eq!(choose(&mut Visitor::new(world), &path, CHOSEN).await.status, 303);
    let one_time_link = path.rsplit(['=', '/']).next().unwrap().to_owned();
    let at = app.sign_in(&app.authorization_query(scope), "eve", CHOSEN).await;
    let back = app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
    let code = query_value(&back, "code").unwrap();
    let tokens = app.exchange(&code).await.json();
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let rotated = app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", &token("refresh_token"))]).await.json();
    // A code that nobody has redeemed.
    let waiting = query_value(&app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await, "code");
    let mut bob = Visitor::new(world);
    bob.sign_in("bob").await;
    let (_, recovery_codes) = bob.add_authenticator().await;
    assert!(!recovery_codes.is_empty());
    let session =
        |cookies: &str| cookies.split("__Host-portcullis-session=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let mut secrets = vec![
        ("password", CHOSEN.to_owned()),
        ("password", PASSWORD.to_owned()),
        ("link", one_time_link),
        ("client secret", app.secret.clone().unwrap()),
        ("code", code),
        ("code", waiting.unwrap()),
        ("access token", token("access_token")),
        ("refresh token", token("refresh_token")),
        ("refresh token", rotated["refresh_token"].as_str().unwrap().to_owned()),
        ("session cookie", session(&at.cookies)),
        ("session cookie", session(&bob.cookies())),
    ];
    secrets.extend(recovery_codes.iter().map(|code| ("recovery code", code.clone())));
    secrets.extend(recovery_codes.iter().map(|code| ("recovery code", code.replace('-', ""))));
    secrets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_has_a_secret_in_clear_and_passwords_are_argon2id() {
    verifies!("FHIR-SEC-21");
    let world = World::start().await;
    let secrets = secrets(&world).await;
    world.server.move_outbox().await;
    let folder = world.server.ledger_directory().parent().unwrap().to_owned();
    let values = dump::tables(&folder.join("portcullis.db"));
    let files = dump::files(&folder);
    assert!(files.iter().any(|(name, bytes)| name.ends_with("portcullis.db-wal") && !bytes.is_empty()), "the WAL is looked at");
    for (kind, secret) in &secrets {
        assert!(secret.len() >= 8, "{kind}: {secret}");
        for value in &values {
            assert!(!dump::contains(&value.bytes, secret.as_bytes()), "{kind} {secret} in {}", value.column);
        }
        for (name, bytes) in &files {
            assert!(!dump::contains(bytes, secret.as_bytes()), "{kind} {secret} in {name}");
        }
    }
    // What names people and clients is there: the search would have found what it looks for.
    assert!(values.iter().any(|value| dump::contains(&value.bytes, b"backoffice")));

    // Hashes of tokens are random bytes, and begin with any of them.
    let texts = values.iter().filter_map(|value| String::from_utf8(value.bytes.clone()).ok());
    let hashes: Vec<String> = texts.filter(|text| text.starts_with('$')).collect();
    let is_of_tests = |hash: &&String| *hash == portcullis_testkit::server::PASSWORD_HASH;
    assert_eq!(hashes.iter().filter(|hash| !is_of_tests(hash)).count(), 1, "Eve alone has chosen a password: {hashes:?}");
    for hash in &hashes {
        assert!(hash.starts_with("$argon2id$v=19$m="), "{hash}");
    }
    let chosen = hashes.iter().find(|hash| !is_of_tests(hash)).unwrap();
    let cost: u32 = chosen.split("m=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    let (salt, lanes) = (chosen.split('$').nth(4).unwrap(), chosen.contains("t=1,"));
    assert!(cost >= 19 * 1024 && salt.len() >= 22 && !lanes, "memory-hard and salted: {chosen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_of_any_factor_are_throttled() {
    verifies!("FHIR-SEC-21");
    let world = World::start().await;
    let mut bob = Visitor::new(&world);
    bob.sign_in("bob").await;
    let (secret, _) = bob.add_authenticator().await;
    let mut guesser = Visitor::new(&world);
    let page = guesser.password("bob", "/me").await;
    for _ in 0..5 {
        assert_eq!(guesser.second(&page, "000000").await.status, 401);
    }
    world.server.clock.advance_seconds(30);
    let right = guesser.second(&page, &world.code(&secret)).await;
    assert_eq!(right.status, 429, "{}", right.text());
    assert!(right.header("retry-after").parse::<u32>().unwrap() > 0);
}
