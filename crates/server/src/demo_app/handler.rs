//! Serves the demo app's files on a listener of its own: fixed bytes, and nothing that anybody has to be authorized for.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use portcullis_audit::Counted;

use super::{configuration, content_security_policy, files};
use crate::answer::{Answer, Counters, Draft};
use crate::listener::{Handler, Incoming, Peer};

/// What the app must know about the server and about itself.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// The app's own origin.
    pub url: String,
    /// The server's issuer, which is also its origin.
    pub issuer: String,
    /// The server's FHIR base.
    pub fhir_base: String,
    /// The app's client id.
    pub client_id: String,
    /// Where the app's answers come back to.
    pub redirect_uri: String,
    /// What the app asks for.
    pub scope: String,
}

/// The demo app, ready to be served.
#[derive(Debug)]
pub struct DemoApp {
    url: String,
    configuration: Bytes,
    policy: String,
    counters: Counters,
}

impl DemoApp {
    /// The app with these settings.
    pub fn new(settings: &AppSettings) -> Self {
        let AppSettings { url, issuer, fhir_base, client_id, redirect_uri, scope } = settings;
        Self {
            url: url.clone(),
            configuration: configuration(issuer, fhir_base, client_id, redirect_uri, scope).into(),
            policy: content_security_policy(issuer),
            counters: Counters::default(),
        }
    }

    /// The app's origin.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn draft(&self, method: &Method, path: &str) -> Draft {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Draft::new(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, "GET, HEAD");
        }
        if path == "/config.json" {
            return Draft::new(StatusCode::OK).body("application/json", self.configuration.clone());
        }
        match files().iter().find(|(name, _, _)| *name == path) {
            Some((_, media_type, bytes)) => Draft::new(StatusCode::OK).body(media_type, Bytes::from_static(bytes)),
            None => {
                Draft::new(StatusCode::NOT_FOUND).body("text/plain; charset=utf-8", "There is nothing here. The app is at /.\n")
            }
        }
    }
}

impl Handler for DemoApp {
    async fn handle(self: Arc<Self>, _peer: Peer, request: Request<Incoming>) -> Answer {
        let draft = self
            .draft(request.method(), request.uri().path())
            .with_text(header::CONTENT_SECURITY_POLICY, &self.policy)
            .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(header::REFERRER_POLICY, "no-referrer")
            .with(header::CACHE_CONTROL, "no-cache")
            .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        let answer = Answer::counted(Counted::StaticFile, &self.counters, draft);
        if request.method() == Method::HEAD { answer.without_body() } else { answer }
    }

    /// Nothing of this app's is recorded.
    async fn unreadable(self: Arc<Self>, _peer: Peer) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> DemoApp {
        DemoApp::new(&AppSettings {
            url: "https://127.0.0.1:8444".into(),
            issuer: "https://localhost:8443".into(),
            fhir_base: "https://localhost:8443/fhir".into(),
            client_id: "demo-app".into(),
            redirect_uri: "https://127.0.0.1:8444/".into(),
            scope: "openid".into(),
        })
    }

    #[test]
    fn only_the_files_of_the_app_are_served_and_only_for_reading() {
        let status = |method: Method, path: &str| app().draft(&method, path).status();
        for path in ["/", "/app.js", "/style.css", "/config.json", "/callback"] {
            assert_eq!(status(Method::GET, path), StatusCode::OK, "{path}");
            assert_eq!(status(Method::POST, path), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
        for path in ["", "/..", "/../Cargo.toml", "/fhir/Patient", "/app.js/"] {
            assert_eq!(status(Method::GET, path), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
