//! To whom an answer speaks: a FHIR client, an OAuth client, or a person with a browser. Each is told in its own form when nothing can be answered.

use http::{StatusCode, header};

use crate::answer::Draft;
use crate::route::Route;
use crate::ui;
use crate::ui::pages::ErrorPage;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// An OperationOutcome.
    Fhir,
    /// The JSON of RFC 6749, section 5.2.
    OAuth,
    /// A page.
    Page,
}

impl Face {
    /// The face that a raw request path turns to.
    pub fn of_path(path: &str) -> Self {
        match Route::of(path) {
            Route::Fhir(_) | Route::SmartConfiguration => Self::Fhir,
            Route::Token
            | Route::Revoke
            | Route::Introspect
            | Route::PushedRequest
            | Route::Clients(_)
            | Route::Jwks
            | Route::OpenIdConfiguration
            | Route::OAuthMetadata => Self::OAuth,
            Route::Launch => Self::OAuth,
            Route::Brands => Self::Fhir,
            _ => Self::Page,
        }
    }

    /// What is said when no record could be made durable: 503, fixed text, nothing else.
    pub(crate) fn unrecorded(self) -> Draft {
        const OUTCOME: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"transient","diagnostics":"The audit ledger is not available, so nothing can be answered. Try again later."}]}"#;
        const ERROR: &str =
            r#"{"error":"temporarily_unavailable","error_description":"the server cannot record what it does; try again later"}"#;
        let draft = Draft::new(StatusCode::SERVICE_UNAVAILABLE);
        let draft = match self {
            Self::Fhir => draft.body("application/fhir+json; charset=utf-8", OUTCOME),
            Self::OAuth => draft.body("application/json", ERROR).with(header::PRAGMA, "no-cache"),
            Self::Page => {
                let page = ErrorPage {
                    title: "We cannot do this right now".to_owned(),
                    what_happened: "This server writes down all that it does, and at this moment it cannot.".to_owned(),
                    what_it_means: "So it shows and changes nothing.".to_owned(),
                    what_to_do: "Wait a few minutes and try again. If it goes on, tell the operator of this server.".to_owned(),
                    status: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
                };
                draft
                    .body(ui::MEDIA_TYPE, page.render())
                    .with_text(header::CONTENT_SECURITY_POLICY, &ui::content_security_policy(None))
            }
        };
        draft.with(header::RETRY_AFTER, "10").with(header::CACHE_CONTROL, "no-store")
    }

    /// What is said to whoever asks too often without authentication: 429, fixed text. No page is rendered: it would be work for strangers.
    pub(crate) fn gathered(self) -> Draft {
        const OUTCOME: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"throttled","diagnostics":"Too many requests without a valid access token. Wait a second, and send one."}]}"#;
        const ERROR: &str = r#"{"error":"temporarily_unavailable","error_description":"too many refused requests from this network; wait a second"}"#;
        let draft = Draft::new(StatusCode::TOO_MANY_REQUESTS);
        let draft = match self {
            Self::Fhir => draft.body("application/fhir+json; charset=utf-8", OUTCOME),
            Self::OAuth => draft.body("application/json", ERROR).with(header::PRAGMA, "no-cache"),
            Self::Page => {
                draft.body("text/plain; charset=utf-8", "Too many requests from your network. Wait a second and try again.\n")
            }
        };
        draft.with(header::RETRY_AFTER, "1").with(header::CACHE_CONTROL, "no-store")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_the_face_of_whoever_asks_there() {
        for (path, face) in [
            ("/fhir/Patient/1", Face::Fhir),
            ("/fhir", Face::Fhir),
            ("/oauth/token", Face::OAuth),
            ("/oauth/revoke", Face::OAuth),
            ("/oauth/authorize", Face::Page),
            ("/login", Face::Page),
            ("/nowhere", Face::Page),
        ] {
            assert_eq!(Face::of_path(path), face, "{path}");
        }
    }
}
