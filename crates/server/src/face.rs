//! To whom an answer speaks: a FHIR client, an OAuth client, or a person with a browser. Each is told in its own form when nothing can be answered.

use http::{StatusCode, header};

use crate::answer::Draft;
use crate::resource_server::Exchange;
use crate::route::Route;
use crate::ui::{self, Language, Reader};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// An OperationOutcome.
    Fhir,
    /// The JSON of RFC 6749, section 5.2.
    OAuth,
    /// A page in a language.
    Page(Language),
}

impl Face {
    /// The face that an exchange turns to.
    pub fn of(exchange: &Exchange) -> Self {
        Self::of_path(exchange.target.path(), exchange.language)
    }

    /// The face that a raw request path turns to; pages are in this language.
    pub fn of_path(path: &str, language: Language) -> Self {
        Self::of_route(&Route::of(path), language)
    }

    /// The face of a route.
    pub fn of_route(route: &Route, language: Language) -> Self {
        match route {
            Route::Fhir(_) | Route::AppState(_) | Route::SmartConfiguration => Self::Fhir,
            Route::Token
            | Route::Revoke
            | Route::Introspect
            | Route::UserInfo
            | Route::PushedRequest
            | Route::Clients(_)
            | Route::Explain
            | Route::Jwks
            | Route::OpenIdConfiguration
            | Route::OAuthMetadata => Self::OAuth,
            Route::Launch => Self::OAuth,
            Route::Brands => Self::Fhir,
            _ => Self::Page(language),
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
            Self::Page(language) => ui::error(
                &Reader::of(language),
                StatusCode::SERVICE_UNAVAILABLE,
                [
                    "We cannot do this right now",
                    "This server writes down all that it does, and at this moment it cannot.",
                    "So it shows and changes nothing.",
                    "Wait a few minutes and try again. If it goes on, tell the people who run this server.",
                ],
                [
                    "En este momento no podemos hacerlo",
                    "Este servidor registra todo lo que hace, y en este momento no puede registrarlo.",
                    "Por eso no muestra ni cambia nada.",
                    "Espere unos minutos e inténtelo de nuevo. Si sigue igual, avise a quienes administran este servidor.",
                ],
            ),
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
            Self::Page(language) => {
                let words = language.say(
                    "Too many requests from your network. Wait a second and try again.\n",
                    "Demasiadas solicitudes desde su red. Espere un segundo e inténtelo de nuevo.\n",
                );
                draft.body("text/plain; charset=utf-8", words).with_text(header::CONTENT_LANGUAGE, language.tag())
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
            ("/oauth/authorize", Face::Page(Language::Spanish)),
            ("/login", Face::Page(Language::Spanish)),
            ("/nowhere", Face::Page(Language::Spanish)),
        ] {
            assert_eq!(Face::of_path(path, Language::Spanish), face, "{path}");
        }
    }
}
