//! Requests for authorization that end before anything is decided: told to the person, or to the app.

use http::{HeaderName, StatusCode};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::authorize::{AuthorizationError, AuthorizationErrorResponse, AuthorizationRequest, PageError};
use portcullis_oauth::parameters::ParametersError;
use portcullis_store::RegistryError;

use super::asking_app;
use crate::answer::{Answer, Draft};
use crate::authorization_server::developers::refused;
use crate::authorization_server::own_page::account;
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::ui::pages::GoingBackPage;

/// Where a browser shows what it asks for (Fetch Metadata Request Headers).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

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

/// Answers a request that ends here, after its person has answered a page.
pub async fn stopped(server: &Server, exchange: &Exchange, stop: Stop, agent: Agent) -> Answer {
    ended(server, exchange, (stop, Way::AtOnce), agent).await
}

/// The same for one that ends before its person has done anything. To an address that no operator registered the browser is not sent then: anybody could
/// lead people from our address to theirs ("the authorization server MUST always authenticate the user first and, with the exception of the authorization
/// request with prompt=none, prompt the user for credentials when needed, before redirecting the user", RFC 9700 section 4.11.2). They get a link.
pub async fn stopped_unasked(server: &Server, exchange: &Exchange, stop: Stop, agent: Agent) -> Answer {
    let way = match &stop {
        Stop::Redirect(response) if !goes_at_once(exchange, response) => Way::ByLink,
        _ => Way::AtOnce,
    };
    ended(server, exchange, (stop, way), agent).await
}

/// How an app learns that its request has ended.
#[derive(Clone, Copy)]
enum Way {
    /// The browser is sent back.
    AtOnce,
    /// The person is told, and may follow a link.
    ByLink,
}

/// Whether the browser may be sent back before anybody was asked: to an address of an operator, or from a frame that nobody sees, where the app asked for no
/// page at all. A browser says where its answer goes (`Sec-Fetch-Dest`); what says nothing is a program.
fn goes_at_once(exchange: &Exchange, response: &AuthorizationErrorResponse) -> bool {
    use AuthorizationError::{ConsentRequired, InteractionRequired, LoginRequired};
    let is_page = exchange.header(&SEC_FETCH_DEST) == Some("document");
    let asked_for_none = matches!(response.error, LoginRequired | ConsentRequired | InteractionRequired);
    response.redirect.is_trusted() || (asked_for_none && !is_page)
}

async fn ended(server: &Server, exchange: &Exchange, (stop, way): (Stop, Way), agent: Agent) -> Answer {
    let (draft, outcome, detail) = match &stop {
        Stop::Page(error) => (page_error(exchange, *error), Outcome::Rejected, error.to_string()),
        Stop::Redirect(response) => {
            let location = response.location(&server.settings.public_url);
            let draft = match way {
                Way::AtOnce => reply::see_other(&location),
                Way::ByLink => going_back(exchange, response, location),
            };
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

/// The page that says why the request ended, and where the app wants its person to go on.
fn going_back(exchange: &Exchange, response: &AuthorizationErrorResponse, location: String) -> Draft {
    let (host, has_lookalike_host) = asking_app::shown_host(&response.redirect);
    let page = GoingBackPage {
        reader: exchange.reader(),
        problem: response.description.to_owned(),
        host,
        scheme: response.redirect.private_scheme().map(str::to_owned),
        has_lookalike_host,
        location,
    };
    reply::page(StatusCode::BAD_REQUEST, page.render(), None)
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
