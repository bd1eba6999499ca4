//! Requests for authorization that end before anything is decided: told to the person, or to the app.

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::authorize::{AuthorizationError, AuthorizationErrorResponse, AuthorizationRequest, PageError};
use portcullis_oauth::parameters::ParametersError;
use portcullis_store::RegistryError;

use crate::answer::{Answer, Draft};
use crate::authorization_server::developers::refused;
use crate::authorization_server::own_page::account;
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::resource_server::Exchange;

/// Why an authorization request ends here.
#[derive(Debug)]
pub enum Stop {
    /// Told to the person.
    Page(PageError),
    /// Told to the app.
    Redirect(Box<AuthorizationErrorResponse>),
    /// The account was given back by somebody else and that is not yet confirmed: nothing is decided in such a session.
    NotConfirmed,
    /// The registry failed.
    Registry(RegistryError),
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// The answer that takes an error to the app.
pub fn refuse(request: &AuthorizationRequest, error: AuthorizationError, description: &'static str) -> Stop {
    Stop::Redirect(Box::new(request.refuse(error, description)))
}

/// Answers a request that ends here.
pub async fn stopped(server: &Server, exchange: &Exchange, stop: Stop, agent: Agent) -> Answer {
    let (draft, outcome, detail) = match &stop {
        Stop::Page(error) => (page_error(exchange, *error), Outcome::Rejected, error.to_string()),
        Stop::Redirect(response) => {
            let draft = reply::see_other(&response.location(&server.settings.public_url));
            (draft, Outcome::Rejected, format!("{}: {}", response.error.code(), response.description))
        }
        Stop::NotConfirmed => {
            let draft =
                account::not_confirmed(exchange, "You cannot connect an app yet", "Todavía no puede conectar una aplicación");
            (draft, Outcome::Denied, "recovered by somebody else and not confirmed".to_owned())
        }
        Stop::Registry(error) => (reply::unavailable(exchange, error), Outcome::Failed, "registry failed".to_owned()),
    };
    refused::at_authorization(server, exchange, agent.client.as_deref(), &stop).await;
    let account = Account::new(Event::Consent, agent, outcome, detail);
    reply::recorded(server, exchange, account, draft).await
}

/// What is wrong is said as the app's makers need it: in the words of the specifications.
pub fn page_error(exchange: &Exchange, error: PageError) -> Draft {
    reply::error(
        exchange,
        StatusCode::BAD_REQUEST,
        [
            "This app cannot connect",
            &format!("The app sent a request that we cannot use: {error}."),
            "Nothing was shared.",
            "Go back to the app. If this happens again, tell the people who make it.",
        ],
        [
            "Esta aplicación no se puede conectar",
            &format!("La aplicación envió una solicitud que no podemos usar: {}.", in_spanish(error)),
            "No se compartió nada.",
            "Vuelva a la aplicación. Si vuelve a pasar, avise a quienes la hacen.",
        ],
    )
}

/// What is wrong, for people who read Spanish. What a specification says of a request object stays in its words.
fn in_spanish(error: PageError) -> String {
    match error {
        PageError::Parameters(ParametersError::TooLarge) => "tiene demasiados parámetros, o son demasiado largos".to_owned(),
        PageError::Parameters(ParametersError::Malformed) => "sus parámetros no se pueden leer".to_owned(),
        PageError::MissingParameter(name) => format!("falta {name}"),
        PageError::RepeatedParameter(name) => format!("{name} aparece más de una vez"),
        PageError::UnknownClient => "la aplicación no está registrada aquí".to_owned(),
        PageError::UnregisteredRedirectUri => "pide la respuesta en una dirección que la aplicación no registró".to_owned(),
        PageError::Request(..) => format!("el detalle técnico, en inglés, es: {error}"),
    }
}
