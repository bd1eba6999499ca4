//! Cross-origin requests (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Discovery is open to any origin. The token endpoint and FHIR are open to the origins of registered redirect URIs. Credentials
//! (cookies) are never allowed across origins.

use http::{HeaderMap, HeaderValue, Method, header};

use crate::route::Route;

/// Which origins may read a route's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Any.
    Any,
    /// Those of registered clients.
    Registered,
    /// None.
    Closed,
}

/// How open a route is.
pub fn openness(route: &Route) -> Openness {
    match route {
        Route::SmartConfiguration | Route::OpenIdConfiguration | Route::OAuthMetadata | Route::Jwks => Openness::Any,
        Route::Brands => Openness::Any,
        Route::Static(name) if name == crate::authorization_server::authorization::launch_context::STYLE => Openness::Any,
        route if route.is_metadata() => Openness::Any,
        Route::Fhir(_) | Route::AppState(_) | Route::Token | Route::Revoke | Route::Introspect | Route::PushedRequest => {
            Openness::Registered
        }
        Route::Start
        | Route::Docs
        | Route::Language
        | Route::Static(_)
        | Route::Health
        | Route::Ready
        | Route::Authorize
        | Route::Launch
        | Route::Chart
        | Route::BreakGlass
        | Route::Security
        | Route::Login
        | Route::Logout
        | Route::Consent
        | Route::Explain
        | Route::Account(_)
        | Route::Federation(_)
        | Route::Developers(_)
        | Route::Clients(_)
        | Route::Person
        | Route::History(_)
        | Route::PersonRevoke
        | Route::Unknown => Openness::Closed,
    }
}

/// Whether this is a preflight request.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Adds the headers by which `origin` may read the answer. `allowed` says whether a registered client lives there.
pub fn allow(headers: &mut HeaderMap, openness: Openness, origin: &HeaderValue, allowed: bool) {
    let value = match openness {
        Openness::Any => HeaderValue::from_static("*"),
        Openness::Registered if allowed => origin.clone(),
        Openness::Registered | Openness::Closed => return,
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Location, Content-Location, Last-Modified, WWW-Authenticate, DPoP-Nonce, X-Request-Id"),
    );
}

/// Adds what a preflight asks for.
pub fn allow_preflight(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, DPoP, Content-Type, Accept, If-Match, If-None-Match, If-None-Exist, If-Modified-Since, Prefer, Category",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
