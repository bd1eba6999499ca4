//! Cross-origin requests (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Discovery is open to any origin. The token endpoint and FHIR are open to the origins of the client that asks (SMART App Launch 2.2.0,
//! "Considerations for Cross-Origin Resource Sharing (CORS) support"): a page of one client reads no answer to the token of another. Whoever makes a
//! request an authenticated one names the client ([`Asker::is`]). Where nobody is known, in a preflight, which carries no credentials, and in the
//! refusal of such as are no good, the origins of all clients count: the app must be able to read what was wrong, and the text is the same for
//! everybody. Credentials (cookies) are never allowed across origins.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderValue, Method, header};
use portcullis_oauth::identifiers::ClientId;

use crate::context::Server;
use crate::route::Route;

/// Which client asks, as soon as that is known. Costs nothing where no page of a browser asks.
#[derive(Clone, Debug, Default)]
pub struct Asker(Option<Arc<OnceLock<ClientId>>>);

impl Asker {
    /// Nobody yet.
    pub fn of(headers: &HeaderMap) -> Self {
        Self(headers.contains_key(header::ORIGIN).then(Arc::default))
    }

    /// It is this client, or says so. The first word stays.
    pub fn is(&self, client: &ClientId) {
        if let Some(known) = &self.0 {
            known.get_or_init(|| client.clone());
        }
    }

    /// Whether a page of this origin may read the answer. Where the registry cannot say it, none may.
    pub async fn allows(&self, server: &Server, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if let Some(client) = self.0.as_ref().and_then(|known| known.get()) {
            match server.registry.client(client).await {
                Ok(Some(client)) => return client.origins().any(|own| own == origin),
                // Who names a client that does not exist is refused, and should see it.
                Ok(None) => {}
                Err(_) => return false,
            }
        }
        server.registry.origin_registered(origin).await.unwrap_or(false)
    }
}

/// Which origins may read a route's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Any.
    Any,
    /// Those of the client that asks; of all registered clients where nobody knows which.
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
        Route::Fhir(_)
        | Route::AppState(_)
        | Route::Token
        | Route::Revoke
        | Route::Introspect
        | Route::UserInfo
        | Route::PushedRequest => Openness::Registered,
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

/// Adds the headers by which `origin` may read the answer. `allowed` is what [`Asker::allows`] says.
pub fn allow(headers: &mut HeaderMap, openness: Openness, origin: &HeaderValue, allowed: bool) {
    let value = match openness {
        Openness::Any => HeaderValue::from_static("*"),
        Openness::Registered if allowed => origin.clone(),
        Openness::Registered | Openness::Closed => return,
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// What answers carry beyond what every page may read (<https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name>). No answer has a `Link`.
const EXPOSED: &str =
    "ETag, Location, Content-Location, Last-Modified, WWW-Authenticate, DPoP-Nonce, X-Request-Id, Retry-After, Allow, Date";

/// What pages may send: all that this server reads. `X-Requested-With` and `X-Request-Id` are not read, but libraries send them with everything, and no
/// request is another one with them. `X-Provenance` is not here: who sends it wants it stored, and it would not be.
const ACCEPTED: &str = "Authorization, DPoP, Content-Type, Accept, If-Match, If-None-Match, If-None-Exist, If-Modified-Since, Prefer, Category, \
                        X-Requested-With, X-Request-Id";

/// Adds what a preflight asks for.
pub fn allow_preflight(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ACCEPTED));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
