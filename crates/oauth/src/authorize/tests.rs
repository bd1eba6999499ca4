//! Each rule of the authorization request with a request that breaks only it.

use proptest::prelude::*;

use super::*;
use crate::clients::tests::public_client;
use crate::parameters::{ParametersError, Repeated};
use crate::redirect_uri::RedirectUri;

const BASE: &str = "https://localhost:8443/fhir";
const ISSUER: &str = "https://localhost:8443";
const CALLBACK: &str = "https://127.0.0.1:8444/callback";

const GOOD: [(&str, &str); 9] = [
    ("response_type", "code"),
    ("client_id", "demo-app"),
    ("redirect_uri", CALLBACK),
    ("scope", "openid fhirUser launch/patient patient/Observation.read"),
    ("state", "s+/?&=#%ü"),
    ("aud", BASE),
    ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ("code_challenge_method", "S256"),
    ("nonce", "n1"),
];

/// The good query with some parameters set to other values, left out (empty), or added.
fn query(changes: &[(&str, &str)]) -> String {
    let mut url = String::from("x:");
    for (name, value) in GOOD {
        if !changes.iter().any(|(changed, _)| *changed == name) {
            append_to_query(&mut url, name, value);
        }
    }
    for (name, value) in changes {
        append_to_query(&mut url, name, value);
    }
    url.split_once('?').unwrap().1.to_owned()
}

fn page_error(query: &str) -> PageError {
    let parameters = Parameters::parse(query.as_bytes()).unwrap();
    RedirectableRequest::new(&parameters, Some(&public_client())).unwrap_err()
}

fn parse(query: &str) -> Result<AuthorizationRequest, AuthorizationErrorResponse> {
    let parameters = Parameters::parse(query.as_bytes()).unwrap();
    RedirectableRequest::new(&parameters, Some(&public_client())).unwrap().parse(BASE, Capabilities::default())
}

fn refusal(changes: &[(&str, &str)]) -> (AuthorizationError, &'static str) {
    let response = parse(&query(changes)).unwrap_err();
    (response.error, response.description)
}

#[test]
fn errors_about_client_or_redirect_uri_are_shown_and_never_redirected() {
    assert_eq!(page_error(&query(&[("client_id", "")])), PageError::MissingParameter("client_id"));
    assert_eq!(page_error(&query(&[("client_id", "other")])), PageError::UnknownClient);
    assert_eq!(page_error(&query(&[("client_id", "a b")])), PageError::UnknownClient);
    assert_eq!(page_error(&format!("{}&client_id=demo-app", query(&[]))), PageError::RepeatedParameter("client_id"));
    assert_eq!(page_error(&query(&[("redirect_uri", "")])), PageError::MissingParameter("redirect_uri"));
    assert_eq!(page_error(&query(&[("redirect_uri", "https://evil.example/")])), PageError::UnregisteredRedirectUri);
    assert_eq!(page_error(&query(&[("redirect_uri", &format!("{CALLBACK}/"))])), PageError::UnregisteredRedirectUri);
    assert_eq!(page_error(&format!("{}&redirect_uri=x", query(&[]))), PageError::RepeatedParameter("redirect_uri"));
    let parameters = Parameters::parse(query(&[]).as_bytes()).unwrap();
    assert_eq!(RedirectableRequest::new(&parameters, None).unwrap_err(), PageError::UnknownClient);
    assert_eq!(PageError::from(ParametersError::TooLarge), PageError::Parameters(ParametersError::TooLarge));
}

#[test]
fn a_missing_parameter_is_an_invalid_request_that_names_it() {
    for name in ["response_type", "scope", "state", "aud", "code_challenge", "code_challenge_method"] {
        let (error, description) = refusal(&[(name, "")]);
        assert_eq!(error, AuthorizationError::InvalidRequest, "{name}");
        assert!(description.contains(name), "{name}: {description}");
    }
}

#[test]
fn a_repeated_parameter_is_an_invalid_request_even_if_unknown() {
    for name in ["scope", "aud", "nonce", "state", "response_type", "whatever"] {
        let response = parse(&format!("{}&{name}=x&{name}=x", query(&[]))).unwrap_err();
        assert_eq!(
            (response.error, response.description),
            (AuthorizationError::InvalidRequest, Repeated::of(name).description())
        );
        assert_eq!(response.state.is_none(), name == "state", "{name}");
    }
}

#[test]
fn an_unknown_parameter_is_ignored() {
    assert!(parse(&query(&[("whatever", "x"), ("claims", "{}")])).is_ok());
}

#[test]
fn other_response_types_are_unsupported() {
    for response_type in ["token", "id_token", "code token", "CODE"] {
        let (error, _) = refusal(&[("response_type", response_type)]);
        assert_eq!(error, AuthorizationError::UnsupportedResponseType, "{response_type}");
    }
}

#[test]
fn a_client_without_the_code_grant_is_unauthorized() {
    let mut client = public_client();
    client.grant_types.clear();
    let parameters = Parameters::parse(query(&[]).as_bytes()).unwrap();
    let response =
        RedirectableRequest::new(&parameters, Some(&client)).unwrap().parse(BASE, Capabilities::default()).unwrap_err();
    assert_eq!(response.error, AuthorizationError::UnauthorizedClient);
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    assert_eq!(refusal(&[("request", "x")]).0, AuthorizationError::RequestNotSupported);
    assert_eq!(refusal(&[("request_uri", "x")]).0, AuthorizationError::RequestUriNotSupported);
    assert_eq!(refusal(&[("response_mode", "fragment")]).0, AuthorizationError::InvalidRequest);
    assert!(parse(&query(&[("response_mode", "query")])).is_ok());
}

/// A request of a client that may be launched from an EHR, too.
fn launched(changes: &[(&str, &str)]) -> Result<AuthorizationRequest, AuthorizationErrorResponse> {
    let mut client = public_client();
    client.scope = ScopeSet::parse("openid launch launch/patient launch/encounter patient/*.rs user/*.rs").unwrap();
    let query = query(changes);
    let parameters = Parameters::parse(query.as_bytes()).unwrap();
    RedirectableRequest::new(&parameters, Some(&client)).unwrap().parse(BASE, Capabilities::default())
}

#[test]
fn the_scope_launch_and_the_handle_of_a_launch_need_each_other() {
    use AuthorizationError::{InvalidRequest, InvalidScope};
    let told = |changes: &[(&str, &str)]| launched(changes).map_err(|response| (response.error, response.description));
    let missing = told(&[("scope", "launch openid user/*.rs")]);
    assert_eq!(missing, Err((InvalidRequest, "the scope launch needs the parameter launch that the EHR gave to the app")));
    let empty = told(&[("scope", "launch openid user/*.rs"), ("launch", "")]);
    assert_eq!(empty, missing);
    let scopeless = told(&[("launch", "abc")]);
    assert_eq!(scopeless, Err((InvalidRequest, "the parameter launch needs the scope launch")));
    let long = "x".repeat(513);
    assert_eq!(told(&[("scope", "launch"), ("launch", &long)]), Err((InvalidRequest, "launch is too long")));
    let unregistered = refusal(&[("scope", "openid launch"), ("launch", "abc")]);
    assert_eq!(unregistered, (InvalidScope, "this client may not ask for the scope launch"));
    let request = launched(&[("scope", "launch patient/*.rs"), ("launch", "abc")]).unwrap();
    assert_eq!((request.launch, request.scopes.to_string().as_str()), (Some(SecretHash::of("abc")), "launch patient/*.rs"));
}

#[test]
fn an_app_that_also_asks_for_a_choice_of_its_own_comes_standalone_without_a_handle() {
    for choice in ["launch/patient", "launch/encounter"] {
        let scope = format!("launch {choice} patient/*.rs");
        let request = launched(&[("scope", &scope)]).unwrap();
        assert_eq!(request.scopes.to_string(), format!("{choice} patient/*.rs"));
        assert_eq!((request.left_out, request.launch), (vec!["launch".to_owned()], None));
    }
}

#[test]
fn the_audience_must_be_this_server() {
    for audience in
        ["https://evil.example/fhir", "https://localhost:8443", "https://localhost:8443/fhir//", "HTTPS://localhost:8443/fhir"]
    {
        assert_eq!(refusal(&[("aud", audience)]).0, AuthorizationError::InvalidRequest, "{audience}");
        assert_eq!(refusal(&[("aud", ""), ("resource", audience)]).0, AuthorizationError::InvalidRequest, "{audience}");
        assert_eq!(refusal(&[("resource", audience)]).0, AuthorizationError::InvalidRequest, "{audience}");
    }
    for changes in [&[("aud", "https://localhost:8443/fhir/")][..], &[("aud", ""), ("resource", BASE)], &[("resource", BASE)]] {
        assert!(parse(&query(changes)).is_ok(), "{changes:?}");
    }
}

#[test]
fn only_s256_challenges_of_the_right_form_are_accepted() {
    for method in ["plain", "s256", "S512"] {
        let (error, description) = refusal(&[("code_challenge_method", method)]);
        assert_eq!((error, description.contains("S256")), (AuthorizationError::InvalidRequest, true), "{method}");
    }
    for challenge in ["short", &"x".repeat(42), &"x".repeat(129), &"=".repeat(43)] {
        assert_eq!(refusal(&[("code_challenge", challenge)]).0, AuthorizationError::InvalidRequest, "{challenge}");
    }
}

#[test]
fn scopes_that_cannot_be_granted_are_left_out_and_named() {
    let request = parse(&query(&[(
        "scope",
        "openid patient/Observation.rs?category:in=x patient/*.cruds launch system/Patient.rs bogus patient/AuditEvent.rs patient/Coverage.read",
    )]))
    .unwrap();
    assert_eq!(request.scopes.to_string(), "openid patient/Coverage.read");
    assert_eq!(
        request.left_out,
        [
            "patient/Observation.rs?category:in=x",
            "bogus",
            "system/Patient.rs",
            "patient/*.cruds",
            "launch",
            "patient/AuditEvent.rs"
        ]
    );
}

#[test]
fn a_request_of_which_nothing_can_be_granted_is_an_invalid_scope() {
    for scope in ["bogus", "patient/*.cruds", "system/*.rs", "patient/Observation.rs?x=y", "user/Patient.rs"] {
        assert_eq!(refusal(&[("scope", scope)]).0, AuthorizationError::InvalidScope, "{scope}");
    }
    let many = "openid ".repeat(300);
    assert_eq!(refusal(&[("scope", &many)]).0, AuthorizationError::InvalidScope);
}

#[test]
fn prompts_and_ages_that_make_no_sense_are_refused() {
    for prompt in ["none login", "consent none", "whatever", "LOGIN"] {
        assert_eq!(refusal(&[("prompt", prompt)]).0, AuthorizationError::InvalidRequest, "{prompt}");
    }
    for age in ["-1", "1.5", "x", "99999999999", "+1", " 1"] {
        assert_eq!(refusal(&[("max_age", age)]).0, AuthorizationError::InvalidRequest, "{age}");
    }
    assert_eq!(refusal(&[("nonce", &"x".repeat(513))]).0, AuthorizationError::InvalidRequest);
    assert_eq!(refusal(&[("login_hint", &"x".repeat(513))]).0, AuthorizationError::InvalidRequest);
}

#[test]
fn a_good_request_is_read_as_it_was_sent() {
    let request = parse(&query(&[("prompt", "login consent"), ("max_age", "60"), ("login_hint", "ann")])).unwrap();
    assert_eq!(request.client.as_str(), "demo-app");
    assert_eq!(request.redirect.as_str(), CALLBACK);
    assert_eq!(request.state, "s+/?&=#%ü");
    assert_eq!(request.scopes.to_string(), GOOD[3].1);
    assert!(request.left_out.is_empty());
    assert_eq!(request.challenge.as_ref().unwrap().as_str(), GOOD[6].1);
    assert_eq!(request.nonce.as_deref(), Some("n1"));
    assert_eq!(request.prompt, Prompt { login: true, consent: true, ..Prompt::default() });
    assert_eq!(request.max_age_seconds, Some(60));
    assert_eq!(request.login_hint.as_deref(), Some("ann"));
}

#[test]
fn an_old_login_or_prompt_login_asks_for_a_new_one() {
    let request = parse(&query(&[("max_age", "60")])).unwrap();
    assert!(request.accepts_login_at(1000, 1060));
    assert!(!request.accepts_login_at(1000, 1061));
    assert!(parse(&query(&[])).unwrap().accepts_login_at(0, i64::MAX));
    assert!(!parse(&query(&[("prompt", "login")])).unwrap().accepts_login_at(1000, 1000));
}

#[test]
fn answers_carry_the_exact_state_and_the_issuer() {
    let request = parse(&query(&[])).unwrap();
    let answered = |location: &str, name: &str| {
        let (target, query) = location.split_once('?').unwrap();
        assert_eq!(target, CALLBACK);
        Parameters::parse(query.as_bytes()).unwrap().value(name).unwrap().map(str::to_owned)
    };
    let location = request.success_location("c0de", ISSUER);
    assert_eq!(answered(&location, "code").as_deref(), Some("c0de"));
    assert_eq!(answered(&location, "state").as_deref(), Some("s+/?&=#%ü"));
    assert_eq!(answered(&location, "iss").as_deref(), Some(ISSUER));
    let location = request.refuse(AuthorizationError::AccessDenied, "the person did not allow it").location(ISSUER);
    assert_eq!(answered(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(answered(&location, "error_description").as_deref(), Some("the person did not allow it"));
    assert_eq!(answered(&location, "state").as_deref(), Some("s+/?&=#%ü"));
    assert_eq!(answered(&location, "iss").as_deref(), Some(ISSUER));
}

#[test]
fn a_redirect_uri_that_has_a_query_keeps_it() {
    let mut client = public_client();
    client.redirect_uris = vec![RedirectUri::parse("https://app.example/cb?tenant=1").unwrap()];
    let query = query(&[("redirect_uri", "https://app.example/cb?tenant=1"), ("state", "x")]);
    let parameters = Parameters::parse(query.as_bytes()).unwrap();
    let request = RedirectableRequest::new(&parameters, Some(&client)).unwrap().parse(BASE, Capabilities::default()).unwrap();
    let expected = "https://app.example/cb?tenant=1&code=c&state=x&iss=https%3A%2F%2Flocalhost%3A8443";
    assert_eq!(request.success_location("c", ISSUER), expected);
}

proptest! {
    #[test]
    fn any_change_of_one_parameter_is_answered_without_panic(
        position in 0_usize..GOOD.len(),
        value in "\\PC{0,60}",
    ) {
        let query = query(&[(GOOD[position].0, &value)]);
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        let client = public_client();
        if let Ok(request) = RedirectableRequest::new(&parameters, Some(&client)) {
            match request.parse(BASE, Capabilities::default()) {
                Ok(request) => prop_assert!(request.success_location("c", ISSUER).starts_with(CALLBACK)),
                Err(response) => prop_assert!(response.location(ISSUER).starts_with(CALLBACK)),
            }
        }
    }
}
