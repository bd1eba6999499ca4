//! The endpoints at which clients authenticate, and what each answers to what is missing.

use portcullis_testkit::App;
use portcullis_testkit::app::VERIFIER;

use super::{Answered, Pairs, SCOPE, launches, owned, requests, required};

/// What an endpoint of clients asks for: each parameter with what its absence is answered.
pub struct Endpoint {
    pub path: &'static str,
    pub good: Pairs,
    pub absent: Vec<(&'static str, u16, &'static str, &'static str)>,
    /// What may be left out, and what is answered to a value of it that is too long for anything; nothing where any value is ignored.
    pub optional: Vec<(&'static str, Option<Answered>)>,
    /// What the good one is answered.
    pub answered: Answered,
}

/// The ways of client authentication in a body, which no request of a public client has.
fn credentials() -> Vec<(&'static str, Option<Answered>)> {
    let kind = "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let kind = Some((400, "invalid_request", kind));
    let secret = Some((401, "invalid_client", "send the client secret by HTTP Basic, not in the body"));
    vec![("client_secret", secret), ("client_assertion", kind), ("client_assertion_type", kind)]
}

type Absent = (&'static str, u16, &'static str, &'static str);
type Optional = (&'static str, Option<Answered>);

const CLIENT: Absent = ("client_id", 401, "invalid_client", "client_id or HTTP Basic is required");

fn invalid(name: &'static str, description: &'static str) -> Absent {
    (name, 400, "invalid_request", description)
}

fn asked(name: &'static str) -> Absent {
    invalid(name, required(name))
}

fn refused(error: &'static str, description: &'static str) -> Answered {
    (400, error, description)
}

/// These, whatever they say, beside the ways of client authentication.
fn ignoring(names: &[&'static str]) -> Vec<Optional> {
    with(names.iter().map(|name| (*name, None)).collect())
}

fn with(more: Vec<Optional>) -> Vec<Optional> {
    [credentials(), more].concat()
}

/// Every endpoint, the token endpoint with each of its grants.
pub fn endpoints(app: &App) -> Vec<Endpoint> {
    let mut endpoints = grants(app);
    endpoints.extend(others(app));
    endpoints
}

fn grants(app: &App) -> Vec<Endpoint> {
    let id = ("client_id", app.client_id.as_str());
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "nonsense"),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
        id,
    ];
    let grant_type = invalid("grant_type", "grant_type is required");
    vec![
        Endpoint {
            path: "/oauth/token",
            good: owned(&code),
            absent: vec![
                grant_type,
                invalid("code", "code is required"),
                asked("redirect_uri"),
                invalid("code_verifier", "code_verifier is required"),
                CLIENT,
            ],
            optional: ignoring(&["scope", "state", "resource", "nonce", "refresh_token", "token_type_hint"]),
            answered: refused("invalid_grant", "the code is not known"),
        },
        Endpoint {
            path: "/oauth/token",
            good: owned(&[("grant_type", "refresh_token"), ("refresh_token", "nonsense"), id]),
            absent: vec![grant_type, invalid("refresh_token", "refresh_token is required"), CLIENT],
            // What is wrong with a scope is told to whoever has a token.
            optional: ignoring(&["scope", "code", "code_verifier", "redirect_uri", "resource"]),
            answered: refused("invalid_grant", "the refresh token is not known"),
        },
        Endpoint {
            path: "/oauth/token",
            good: owned(&[("grant_type", "client_credentials"), ("scope", "system/*.rs"), id]),
            absent: vec![grant_type, asked("scope"), CLIENT],
            optional: ignoring(&["code", "refresh_token", "resource"]),
            answered: refused("unauthorized_client", "this client may not use this grant type"),
        },
    ]
}

fn others(app: &App) -> Vec<Endpoint> {
    let id = ("client_id", app.client_id.as_str());
    let pushed = app.authorization_query(SCOPE);
    let token = invalid("token", "token is required");
    vec![
        Endpoint {
            path: "/oauth/revoke",
            good: owned(&[("token", "nonsense"), id]),
            absent: vec![token, CLIENT],
            optional: ignoring(&["token_type_hint"]),
            answered: (200, "", ""),
        },
        Endpoint {
            path: "/oauth/introspect",
            good: owned(&[("token", "nonsense"), id]),
            absent: vec![token, CLIENT],
            optional: ignoring(&["token_type_hint", "resource"]),
            answered: (401, "invalid_client", "introspection is for clients with credentials; this one is public"),
        },
        Endpoint {
            path: "/oauth/launch",
            good: owned(&[("app", "launched"), id]),
            absent: vec![invalid("app", "app is required: the client_id of the app to be launched"), CLIENT],
            optional: with(launches::optional()),
            answered: refused("unauthorized_client", "this client is not registered as a launcher"),
        },
        Endpoint {
            path: "/oauth/par",
            good: url::form_urlencoded::parse(pushed.as_bytes()).into_owned().collect(),
            absent: vec![
                CLIENT,
                asked("response_type"),
                asked("redirect_uri"),
                asked("scope"),
                asked("state"),
                asked("aud"),
                asked("code_challenge"),
                asked("code_challenge_method"),
            ],
            optional: with(requests::optional_when_pushed()),
            answered: (201, "", ""),
        },
    ]
}

/// What is answered to a value that is too long for anything of what must not be absent; nothing where it is one that nobody knows, as the good one is.
pub fn too_long(path: &str, name: &str) -> Option<Answered> {
    Some(match (path, name) {
        (_, "client_id") => (401, "invalid_client", "client authentication failed"),
        (_, "grant_type") => {
            refused("unsupported_grant_type", "grant_type must be authorization_code, refresh_token or client_credentials")
        }
        (_, "code_verifier") => refused("invalid_request", "code_verifier must have 43 to 128 unreserved characters"),
        ("/oauth/launch", "app") => {
            refused("invalid_request", "app must be a client that has a launch URL registered and may ask for the scope launch")
        }
        ("/oauth/par", "response_type") => refused("unsupported_response_type", "response_type must be code"),
        ("/oauth/par", "redirect_uri") => refused("invalid_request", "redirect_uri is not registered for this client"),
        ("/oauth/par", "scope") => refused("invalid_scope", "none of the requested scopes can be granted to this client"),
        ("/oauth/par", "aud") => refused("invalid_request", "aud must be the FHIR base URL of this server"),
        ("/oauth/par", "code_challenge") => {
            refused("invalid_request", "code_challenge must have 43 to 128 unreserved characters")
        }
        ("/oauth/par", "code_challenge_method") => {
            refused("invalid_request", "code_challenge_method is required and must be S256")
        }
        _ => return None,
    })
}
