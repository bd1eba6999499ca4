//! Client metadata, member by member.

use super::*;
use crate::clients::tests::{Counter, KEYS, backend_client, public_client};

fn register(document: Value, registrar: Registrar) -> Result<Registered, MetadataError> {
    let metadata = ClientMetadata::parse(document.to_string().as_bytes())?;
    metadata.client((ClientId::parse("c1").unwrap(), None), registrar, &mut Counter(0), 1000)
}

fn good() -> Value {
    json!({"client_name": "App", "redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none",
        "scope": "openid patient/*.rs unheard-of", "grant_types": ["authorization_code", "refresh_token"]})
}

fn refused(name: &str, value: Value) -> (&'static str, String) {
    let mut document = good();
    document[name] = value;
    let error = register(document, Registrar::Dynamic).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn each_faulty_member_has_the_error_of_the_specification() {
    for (name, value) in [
        ("redirect_uris", json!([])),
        ("redirect_uris", json!(["http://app.example/cb"])),
        ("redirect_uris", json!(["https://app.example/#x"])),
        ("redirect_uris", json!(["https://*.example/"])),
        ("redirect_uris", json!([7])),
        ("redirect_uris", json!(vec!["https://app.example/cb"; 21])),
    ] {
        assert_eq!(refused(name, value.clone()).0, "invalid_redirect_uri", "{value}");
    }
    for (name, value) in [
        ("redirect_uris", json!("https://app.example/cb")),
        ("client_name", json!("")),
        ("client_name", json!(7)),
        ("client_name", json!("x".repeat(101))),
        ("grant_types", json!(["implicit"])),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!(["refresh_token"])),
        ("grant_types", json!([])),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("scope", json!("system/*.rs")),
        ("scope", json!("unheard-of")),
        ("scope", json!(["openid"])),
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("jwks", json!({"keys": []})),
        ("jwks_uri", json!("https://app.example/jwks")),
        ("logo_uri", json!("http://app.example/logo.png")),
        ("tos_uri", json!("javascript:alert(1)")),
        ("contacts", json!(["nobody"])),
        ("smart", json!("1.0")),
        ("smart", json!("2.0")),
        ("verified", json!(true)),
        ("resource_server", json!(true)),
        ("administrator", json!(true)),
        ("owner", json!("somebody")),
    ] {
        assert_eq!(refused(name, value.clone()).0, "invalid_client_metadata", "{name} {value}");
    }
    assert_eq!(refused("software_statement", json!("a.b.c")).0, "unapproved_software_statement");
    for text in ["", "[]", "null", r#"{"scope":"openid","scope":"x"}"#, &format!("{{\"x\":\"{}\"}}", "x".repeat(MAXIMUM_BYTES))] {
        assert_eq!(ClientMetadata::parse(text.as_bytes()).unwrap_err().code(), "invalid_client_metadata");
    }
}

#[test]
fn a_client_that_registers_itself_is_marked_and_unverified() {
    let mut document = good();
    document["dynamic"] = json!(false);
    document["unknown_member"] = json!({"ignored": true});
    let registered = register(document, Registrar::Dynamic).unwrap();
    assert!(registered.client.properties.dynamic && !registered.client.properties.verified);
    assert_eq!(registered.client.scope.to_string(), "openid patient/*.rs", "what is not understood is left out");
    assert!(registered.secret.is_none());
}

#[test]
fn what_a_developer_registers_has_an_owner_and_no_access_of_its_own() {
    let mut document = good();
    assert!(register(document.clone(), Registrar::Developer).is_err(), "nobody owns it");
    document["owner"] = json!("user-1");
    let client = register(document.clone(), Registrar::Developer).unwrap().client;
    assert!(client.properties.owner.is_some() && !client.properties.dynamic && !client.properties.verified);
    for (name, value) in [
        ("grant_types", json!(["client_credentials"])),
        ("scope", json!("system/*.rs")),
        ("verified", json!(true)),
        ("administrator", json!(true)),
        ("launcher", json!(true)),
        ("smart", json!("1.0")),
    ] {
        let mut faulty = document.clone();
        faulty["token_endpoint_auth_method"] = json!("client_secret_basic");
        faulty[name] = value.clone();
        assert!(register(faulty, Registrar::Developer).is_err(), "{name} {value}");
    }
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_specification() {
    let registered = register(json!({"redirect_uris": ["https://app.example:8443/cb"]}), Registrar::Dynamic).unwrap();
    let client = &registered.client;
    assert_eq!((client.kind.as_str(), client.name.as_str()), ("confidential-symmetric", "app.example:8443"));
    assert_eq!(client.grant_types, [GrantType::AuthorizationCode]);
    assert!(registered.secret.is_some());
    let information =
        information(client, registered.secret.as_ref().map(|secret| secret.expose().as_str()), ("t", "https://as/c1"));
    for name in ["client_id", "client_secret", "client_id_issued_at", "registration_access_token", "registration_client_uri"] {
        assert!(!information[name].is_null(), "{name}");
    }
    assert_eq!(information["client_secret_expires_at"], 0);
    assert_eq!(information["token_endpoint_auth_method"], "client_secret_basic");
}

#[test]
fn a_client_registers_how_its_requests_and_tokens_are_bound_and_by_which_certificate_it_authenticates() {
    let mut document = good();
    for name in ["dpop_bound_access_tokens", "require_pushed_authorization_requests"] {
        document[name] = json!(true);
    }
    // What has no value is left out (RFC 7592 section 2.2).
    for name in ["contacts", "jwks", "verified", "logo_uri", "software_statement"] {
        document[name] = Value::Null;
    }
    let properties = register(document, Registrar::Dynamic).unwrap().client.properties;
    assert!(properties.dpop_bound_access_tokens && properties.require_pushed_authorization_requests);
    let mut document = good();
    document["token_endpoint_auth_method"] = json!("self_signed_tls_client_auth");
    assert_eq!(register(document.clone(), Registrar::Dynamic).unwrap_err().code(), "invalid_client_metadata");
    document["jwks"] = serde_json::from_str(KEYS).unwrap();
    let client = register(document, Registrar::Dynamic).unwrap().client;
    assert!(client.properties.self_signed_tls_client_auth && client.kind.as_str() == "confidential-asymmetric");
    assert_eq!(described(&client)["token_endpoint_auth_method"], "self_signed_tls_client_auth");
}

#[test]
fn tls_client_auth_is_registered_with_exactly_one_name() {
    let mut document = good();
    document["token_endpoint_auth_method"] = json!("tls_client_auth");
    let refused = |document: &Value| register(document.clone(), Registrar::Dynamic).unwrap_err().code();
    assert_eq!(refused(&document), "invalid_client_metadata");
    document["tls_client_auth_san_dns"] = json!("client.example.org");
    let client = register(document.clone(), Registrar::Dynamic).unwrap().client;
    assert!(client.authenticates_by_certificate());
    let described = described(&client);
    assert_eq!((&described["token_endpoint_auth_method"], described.get("jwks")), (&json!("tls_client_auth"), None));
    assert_eq!(described["tls_client_auth_san_dns"], "client.example.org");
    let again = ClientMetadata::of(&client).client((client.id.clone(), Some(&client)), Registrar::Dynamic, &mut Counter(9), 5);
    assert_eq!(again.unwrap().client, client);
    for (name, value) in [
        ("tls_client_auth_san_ip", json!("10.0.0.1")),
        ("tls_client_auth_san_dns", json!("*.example.org")),
        ("token_endpoint_auth_method", json!("none")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("self_signed_tls_client_auth", json!(true)),
        ("require_signed_request_object", json!(true)),
    ] {
        let mut wrong = document.clone();
        wrong[name] = value;
        assert_eq!(refused(&wrong), "invalid_client_metadata", "{name}");
    }
}

#[test]
fn an_update_names_its_own_client_or_none() {
    let client = public_client();
    let update = |named: Option<&str>| {
        let metadata = ClientMetadata { client_id: named.map(str::to_owned), ..ClientMetadata::of(&client) };
        metadata.client((client.id.clone(), Some(&client)), Registrar::Dynamic, &mut Counter(0), 5)
    };
    assert!(update(None).is_ok() && update(Some("demo-app")).is_ok());
    assert_eq!(update(Some("other")).unwrap_err().code(), "invalid_client_metadata");
}

#[test]
fn an_operator_may_register_what_a_client_may_not() {
    let keys: Value = serde_json::from_str(KEYS).unwrap();
    let document = json!({"client_name": "Night export", "jwks": keys, "scope": "system/*.rs", "resource_server": true});
    let client = register(document.clone(), Registrar::Operator).unwrap().client;
    assert_eq!(
        (client.kind.as_str(), client.grant_types.as_slice()),
        ("confidential-asymmetric", &[GrantType::ClientCredentials][..])
    );
    assert!(register(document, Registrar::Dynamic).is_err());
}

#[test]
fn metadata_reads_back_and_an_update_keeps_secret_and_registration() {
    let mut certified = backend_client();
    certified.properties.self_signed_tls_client_auth = true;
    for client in [public_client(), backend_client(), certified] {
        let again =
            ClientMetadata::of(&client).client((client.id.clone(), Some(&client)), Registrar::Operator, &mut Counter(9), 5);
        let mut again = again.unwrap().client;
        // A set of keys is written anew; it must be the same set, not the same text.
        if let (ClientKind::ConfidentialAsymmetric { keys, .. }, ClientKind::ConfidentialAsymmetric { keys: old, .. }) =
            (&mut again.kind, &client.kind)
        {
            let (KeySource::Value(new), KeySource::Value(old_text)) = (&*keys, old) else { panic!("by value") };
            assert_eq!(serde_json::from_str::<Value>(new).unwrap(), serde_json::from_str::<Value>(old_text).unwrap());
            *keys = old.clone();
        }
        assert_eq!(again, client);
    }
    let registered = register(json!({"redirect_uris": ["https://app.example/cb"]}), Registrar::Dynamic).unwrap();
    let update = ClientMetadata { client_name: Some("New".into()), ..ClientMetadata::of(&registered.client) };
    let updated =
        update.client((registered.client.id.clone(), Some(&registered.client)), Registrar::Dynamic, &mut Counter(9), 5).unwrap();
    assert!(updated.secret.is_none() && updated.client.kind == registered.client.kind && updated.client.created_at == 1000);
}
