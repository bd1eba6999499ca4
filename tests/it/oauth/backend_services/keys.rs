//! Keys that a client publishes at an address: fetched through the one guarded way out, kept, replaced, and refused where they are unusable.

use super::*;

fn description(reply: &Reply) -> String {
    reply.json()["error_description"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_at_an_address_are_fetched_kept_and_replaced() {
    verifies!("SMART-54", "SMART-57", "SMART-58");
    let backend = Backend::start(SCOPE).await;
    let (server, origin) = (&backend.server, &backend.server.keys);
    let first = ClientKey::generate("first", "RS384");
    origin.publish(&first.jwks(), "max-age=60");
    let mut client = server.add_backend("remote", SCOPE, first, KeySource::url(&origin.url()).unwrap()).await;
    for jti in ["1", "2", "3"] {
        client.token(backend.now(), jti, "system/*.rs").await;
    }
    assert_eq!(origin.calls(), 1, "the set is kept");
    let mut header = client.key.header();
    header["jku"] = json!(origin.url());
    let named = client.key.sign(&header, &client.claims(backend.now(), "jku"));
    assert_eq!(client.request(&named, "system/*.rs").await.status, 200, "jku may repeat the registered address");
    header["jku"] = json!(origin.url().replace("jwks.json", "other.json"));
    let other = client.key.sign(&header, &client.claims(backend.now(), "other-jku"));
    assert_eq!(error(&client.request(&other, "system/*.rs").await), refused(401, "invalid_client"));
    assert_eq!(origin.calls(), 1);
    // The client changes its key. Within the minute the old set holds; afterwards the new key counts and the old one does not.
    let second = ClientKey::generate("second", "ES384");
    origin.publish(&second.jwks(), "max-age=60");
    let old = std::mem::replace(&mut client.key, second);
    assert_eq!(
        error(&client.request(&client.assertion(backend.now(), "4"), "system/*.rs").await),
        refused(401, "invalid_client")
    );
    assert_eq!(origin.calls(), 1, "an unknown kid is looked for at most once a minute");
    server.clock.advance_seconds(61);
    client.token(backend.now(), "5", "system/*.rs").await;
    assert_eq!(origin.calls(), 2);
    let stale = old.sign(&old.header(), &client.claims(backend.now(), "6"));
    assert_eq!(error(&client.request(&stale, "system/*.rs").await), refused(401, "invalid_client"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_found_before_the_old_set_ends() {
    verifies!("SMART-58");
    let backend = Backend::start(SCOPE).await;
    let origin = &backend.server.keys;
    let first = ClientKey::generate("first", "ES384");
    origin.publish(&first.jwks(), "max-age=86400");
    let mut client = backend.server.add_backend("remote", SCOPE, first, KeySource::url(&origin.url()).unwrap()).await;
    client.token(backend.now(), "1", "system/*.rs").await;
    client.key = ClientKey::generate("second", "ES384");
    origin.publish(&client.key.jwks(), "max-age=86400");
    backend.server.clock.advance_seconds(60);
    client.token(backend.now(), "2", "system/*.rs").await;
    assert_eq!(origin.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_not_fetched_from_neighbours_and_unusable_sets_let_nobody_in() {
    verifies!("OAUTH-27", "TLS-11");
    let backend = Backend::start(SCOPE).await;
    let origin = &backend.server.keys;
    let invalid = refused(401, "invalid_client");
    let port = origin.authority().rsplit_once(':').unwrap().1.to_owned();
    for (number, url) in [
        format!("https://127.0.0.1:{port}/jwks.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/jwks.json"),
        format!("https://localhost:{}/jwks.json", backend.server.client.address().port()),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/jwks".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let key = ClientKey::generate("k", "ES256");
        origin.publish(&key.jwks(), "max-age=60");
        let client = backend.server.add_backend(&format!("inside-{number}"), SCOPE, key, KeySource::url(&url).unwrap()).await;
        let reply = client.request(&client.assertion(backend.now(), "1"), "system/*.rs").await;
        assert_eq!(
            (error(&reply), description(&reply).as_str()),
            (invalid.clone(), "client_assertion: the registered jwks_uri gave no usable JWK Set"),
            "{url}"
        );
    }
    assert_eq!(origin.calls(), 0);
    let key = ClientKey::generate("k", "ES256");
    origin.publish(&json!({"keys": [key.jwk(), key.jwk()]}), "no-store");
    let client = backend.server.add_backend("remote", SCOPE, key, KeySource::url(&origin.url()).unwrap()).await;
    let reply = client.request(&client.assertion(backend.now(), "1"), "system/*.rs").await;
    let two = "client_assertion: kid names more than one registered key";
    assert_eq!((error(&reply), description(&reply).as_str()), (invalid.clone(), two));
    origin.publish(&json!({"keys": []}), "no-store");
    let reply = client.request(&client.assertion(backend.now(), "2"), "system/*.rs").await;
    assert_eq!(
        (error(&reply), description(&reply).as_str()),
        (invalid, "client_assertion: the registered jwks_uri gave no usable JWK Set")
    );
    origin.publish(&client.key.jwks(), "no-store");
    backend.server.clock.advance_seconds(15);
    client.token(backend.now(), "3", "system/*.rs").await;
}
