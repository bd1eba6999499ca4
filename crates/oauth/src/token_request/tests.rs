//! Each rule of the token request with a request that breaks only it.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;
use crate::client_assertion::ASSERTION_TYPE;
use crate::client_request::ClientRequestParts;
use crate::clients::ClientSecretHash;
use crate::clients::tests::{Counter, public_client};
use crate::parameters::{Repeated, append_to_query};

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const CODE_GRANT: [(&str, &str); 5] = [
    ("grant_type", "authorization_code"),
    ("code", "c0de"),
    ("redirect_uri", "https://127.0.0.1:8444/callback"),
    ("code_verifier", VERIFIER),
    ("client_id", "demo-app"),
];

/// The good form with some parameters set to other values, left out (empty), or added.
fn form(changes: &[(&str, &str)]) -> String {
    let mut url = String::from("x:");
    for (name, value) in CODE_GRANT {
        if !changes.iter().any(|(changed, _)| *changed == name) {
            append_to_query(&mut url, name, value);
        }
    }
    for (name, value) in changes {
        append_to_query(&mut url, name, value);
    }
    url.split_once('?').unwrap().1.to_owned()
}

fn parse(authorization: Option<&str>, body: &str) -> Result<TokenRequest, TokenError> {
    read(ClientRequestParts { content_type: FORM, authorization, body: body.as_bytes() })
}

fn read(parts: ClientRequestParts<'_>) -> Result<TokenRequest, TokenError> {
    TokenRequest::parse(&ClientRequest::read(&parts)?)
}

/// Authenticates a client for what it asks for.
fn authenticate(
    request: &TokenRequest,
    registered: Option<&Client>,
    assertion: Option<VerifiedAssertion>,
) -> Result<AuthenticatedClient, TokenError> {
    let proof = assertion.map_or(ClientProof::Nothing, ClientProof::Assertion);
    let client = request.credentials.authenticate(registered.cloned(), proof)?;
    request.grant.check_allowed(client.client())?;
    Ok(client)
}

fn code_of(result: Result<TokenRequest, TokenError>) -> &'static str {
    result.unwrap_err().code()
}

fn basic_header(text: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

#[test]
fn only_forms_are_read() {
    for content_type in
        [None, Some("application/json"), Some("multipart/form-data"), Some(""), Some("application/x-www-form-urlencoded2")]
    {
        let body = form(&[]);
        let result = read(ClientRequestParts { content_type, authorization: None, body: body.as_bytes() });
        assert_eq!(code_of(result), "invalid_request", "{content_type:?}");
    }
    let body = form(&[]);
    let content_type = Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8");
    assert!(read(ClientRequestParts { content_type, authorization: None, body: body.as_bytes() }).is_ok());
}

#[test]
fn malformed_oversized_and_repeating_forms_are_invalid_requests() {
    assert_eq!(code_of(parse(None, "a=%zz")), "invalid_request");
    assert_eq!(code_of(parse(None, &form(&[("x", &"x".repeat(20_000))]))), "invalid_request");
    for name in ["grant_type", "code", "client_id", "whatever"] {
        let error = parse(None, &format!("{}&{name}=a&{name}=a", form(&[]))).unwrap_err();
        assert_eq!(error, TokenError::InvalidRequest(Repeated::of(name).description()), "{name}");
    }
}

#[test]
fn a_missing_parameter_is_an_invalid_request_that_names_it() {
    for name in ["grant_type", "code", "redirect_uri"] {
        let error = parse(None, &form(&[(name, "")])).unwrap_err();
        assert_eq!(error, TokenError::InvalidRequest(error_text(name)), "{name}");
    }
    let refresh = [("grant_type", "refresh_token"), ("code", "")];
    assert_eq!(parse(None, &form(&refresh)).unwrap_err(), TokenError::InvalidRequest("refresh_token is required"));
}

fn error_text(name: &str) -> &'static str {
    match name {
        "grant_type" => "grant_type is required",
        "code" => "code is required",
        "redirect_uri" => "redirect_uri is required",
        other => panic!("{other} may be missing"),
    }
}

#[test]
fn other_grant_types_are_unsupported() {
    for grant_type in
        ["password", "Client_Credentials", "implicit", "AUTHORIZATION_CODE", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
    {
        assert_eq!(code_of(parse(None, &form(&[("grant_type", grant_type)]))), "unsupported_grant_type", "{grant_type}");
    }
}

#[test]
fn an_ill_formed_verifier_is_an_invalid_request() {
    for verifier in ["x", &"x".repeat(42), &"x".repeat(129), &"+".repeat(43)] {
        assert_eq!(code_of(parse(None, &form(&[("code_verifier", verifier)]))), "invalid_request", "{verifier}");
    }
}

#[test]
fn two_ways_of_client_authentication_are_refused() {
    let header = basic_header("demo-app:secret");
    for change in [("client_secret", "secret"), ("client_assertion", "x"), ("client_assertion_type", "x")] {
        assert_eq!(code_of(parse(Some(&header), &form(&[change]))), "invalid_request", "{change:?}");
    }
    assert_eq!(code_of(parse(None, &form(&[("client_secret", "s"), ("client_assertion", "x")]))), "invalid_request");
    assert_eq!(code_of(parse(Some(&header), &form(&[("client_id", "other")]))), "invalid_request");
}

#[test]
fn a_secret_in_the_body_or_nothing_at_all_is_an_invalid_client() {
    for change in [("client_secret", "secret"), ("client_id", ""), ("client_id", "a b")] {
        assert_eq!(code_of(parse(None, &form(&[change]))), "invalid_client", "{change:?}");
    }
}

#[test]
fn an_assertion_comes_with_its_type_and_names_the_client() {
    let good = crate::client_assertion::tests::good();
    let kind = ("client_assertion_type", ASSERTION_TYPE);
    for (changes, code) in [
        (vec![("client_assertion", good.as_str())], "invalid_request"),
        (vec![kind], "invalid_request"),
        (vec![("client_assertion", good.as_str()), ("client_assertion_type", "not_an_assertion_type")], "invalid_request"),
        (vec![("client_assertion", "x"), kind], "invalid_client"),
        (vec![("client_assertion", good.as_str()), kind], "invalid_client"),
    ] {
        // The form names the client demo-app, the assertion another one.
        assert_eq!(code_of(parse(None, &form(&changes))), code, "{changes:?}");
    }
    let request = parse(None, &form(&[("client_assertion", good.as_str()), kind, ("client_id", "")])).unwrap();
    assert_eq!(request.credentials.client_id().as_str(), "backend");
    assert!(!format!("{request:?}").contains(&good[good.len() - 20..]), "an assertion that was not used is as good as a secret");
}

#[test]
fn system_access_needs_a_scope_and_a_verified_assertion_of_the_same_client() {
    use crate::client_assertion::tests::{good, verified};
    use crate::clients::tests::backend_client;
    let base = [("grant_type", "client_credentials"), ("client_assertion_type", ASSERTION_TYPE), ("client_id", "")];
    let good = good();
    let with = |more: &[(&'static str, &'static str)]| {
        let mut changes: Vec<(&str, &str)> = base.to_vec();
        changes.push(("client_assertion", &good));
        changes.extend(more);
        parse(None, &form(&changes))
    };
    assert_eq!(code_of(with(&[])), "invalid_request");
    let request = with(&[("scope", "system/*.rs")]).unwrap();
    assert_eq!(request.grant.grant_type(), GrantType::ClientCredentials);
    let (backend, other) = (backend_client(), Client { id: ClientId::parse("other").unwrap(), ..backend_client() });
    let code = |client: Option<&Client>, assertion| authenticate(&request, client, assertion).unwrap_err().code();
    assert_eq!(code(None, Some(verified())), "invalid_client");
    assert_eq!(code(Some(&backend), None), "invalid_client");
    assert_eq!(code(Some(&other), Some(verified())), "invalid_client");
    let public = Client { id: backend.id.clone(), ..public_client() };
    assert_eq!(code(Some(&public), Some(verified())), "invalid_client");
    let by_code = Client { grant_types: vec![GrantType::AuthorizationCode], ..backend_client() };
    assert_eq!(code(Some(&by_code), Some(verified())), "unauthorized_client");
    let client = authenticate(&request, Some(&backend), Some(verified())).unwrap();
    assert_eq!(client.id().as_str(), "backend");
    assert!(client.assertion().is_some());
    // Who has keys uses them.
    let named = parse(None, &form(&[("client_id", "backend")])).unwrap();
    assert_eq!(authenticate(&named, Some(&backend), None).unwrap_err().code(), "invalid_client");
}

#[test]
fn a_header_that_is_not_basic_is_an_invalid_client() {
    let long = basic_header(&format!("demo-app:{}", "x".repeat(4096)));
    let (no_colon, no_name) = (basic_header("demo-app"), basic_header(":secret"));
    let (bad_escape, bad_text) = (basic_header("demo-app:%zz"), format!("Basic {}", "_w=="));
    for header in ["", "Basic", "Basic ", "Bearer abc", "Basic !!!", "Basicx", &long, &no_colon, &no_name, &bad_escape, &bad_text]
    {
        assert_eq!(code_of(parse(Some(header), &form(&[]))), "invalid_client", "{header}");
    }
}

#[test]
fn the_halves_of_a_basic_header_are_form_decoded() {
    let header = basic_header("demo%2Dapp:s%3A%25%2B+x:y").replacen("Basic", "bASIC", 1);
    let request = parse(Some(&header), &form(&[])).unwrap();
    let ClientCredentials::Basic { client_id, secret } = request.credentials else { panic!("Basic") };
    assert_eq!((client_id.as_str(), secret.expose().as_str()), ("demo-app", "s:%+ x:y"));
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let request = parse(None, &form(&[])).unwrap();
    assert_eq!(request.credentials.client_id().as_str(), "demo-app");
    assert_eq!(request.grant.grant_type(), GrantType::AuthorizationCode);
    let TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier } = request.grant else { panic!("code grant") };
    assert_eq!((code.expose().as_str(), code_verifier.unwrap().expose().as_str()), ("c0de", VERIFIER));
    assert_eq!(redirect_uri, CODE_GRANT[2].1);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "r"), ("scope", "openid")];
    let request = parse(None, &form(&refresh)).unwrap();
    let TokenGrant::RefreshToken { refresh_token, scope } = request.grant else { panic!("refresh grant") };
    assert_eq!((refresh_token.expose().as_str(), scope.as_deref()), ("r", Some("openid")));
}

#[test]
fn debug_output_of_a_request_has_no_secret() {
    let request = parse(Some(&basic_header("demo-app:hunter2")), &form(&[])).unwrap();
    let debug = format!("{request:?}");
    assert!(!debug.contains("hunter2") && !debug.contains("c0de") && !debug.contains(VERIFIER), "{debug}");
}

#[test]
fn a_client_authenticates_in_its_own_way_only() {
    let (secret, secret_hash) = ClientSecretHash::generate(&mut Counter(0));
    let confidential = Client { kind: ClientKind::ConfidentialSymmetric { secret_hash }, ..public_client() };
    let right = parse(Some(&basic_header(&format!("demo-app:{}", secret.expose()))), &form(&[])).unwrap();
    let wrong = parse(Some(&basic_header("demo-app:wrong")), &form(&[])).unwrap();
    let named = parse(None, &form(&[])).unwrap();
    let stranger = parse(None, &form(&[("client_id", "other")])).unwrap();
    for (request, client) in [
        (&right, None),
        (&right, Some(public_client())),
        (&wrong, Some(confidential.clone())),
        (&named, Some(confidential.clone())),
        (&named, None),
        (&stranger, Some(public_client())),
    ] {
        let error = authenticate(request, client.as_ref(), None).unwrap_err();
        assert_eq!((error.code(), error.status()), ("invalid_client", 401));
    }
    assert_eq!(authenticate(&right, Some(&confidential), None).unwrap().id().as_str(), "demo-app");
    assert_eq!(authenticate(&named, Some(&public_client()), None).unwrap().id().as_str(), "demo-app");
}

#[test]
fn a_client_may_use_only_its_grant_types() {
    let client = Client { grant_types: vec![GrantType::RefreshToken], ..public_client() };
    let error = authenticate(&parse(None, &form(&[])).unwrap(), Some(&client), None).unwrap_err();
    assert_eq!(error.code(), "unauthorized_client");
}

proptest! {
    #[test]
    fn arbitrary_headers_and_bodies_never_panic(header in "\\PC{0,60}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let parts = ClientRequestParts { content_type: FORM, authorization: Some(&header), body: &body };
        let _ = read(parts);
        let encoded = basic_header(&header);
        let _ = read(ClientRequestParts { authorization: Some(&encoded), ..parts });
        let _ = read(ClientRequestParts { authorization: None, ..parts });
    }
}

#[test]
fn a_code_without_verifier_is_for_clients_of_smart_1_0() {
    let grant = parse(None, &form(&[("code_verifier", "")])).unwrap().grant;
    let mut client = public_client();
    assert_eq!(grant.check_allowed(&client), Err(TokenError::InvalidRequest("code_verifier is required")));
    client.properties.smart = Some(crate::clients::SmartVersion::V1_0);
    assert_eq!(grant.check_allowed(&client), Ok(()));
}
