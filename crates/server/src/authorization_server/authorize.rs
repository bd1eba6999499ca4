//! The authorization endpoint: from an app's request to a page that a person understands.
//!
//! RFC 6749 section 4.1.1, SMART App Launch 2.2.0. A wrong client or redirect URI is told to the person and never redirected; everything
//! else goes back to the app with `error`, `state` and `iss` (RFC 9207).

use http::StatusCode;
use hyper::body::Incoming;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::authorize::{
    AuthorizationError, AuthorizationErrorResponse, AuthorizationRequest, PageError, RedirectableRequest, claimed_client,
};
use portcullis_oauth::clients::Client;
use portcullis_oauth::parameters::Parameters;
use portcullis_store::RegistryError;

use super::reply::{self, Account};
use super::session::{self, SignedIn};
use super::{consent, form, login, people};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::middleware::body::MAXIMUM_FORM;
use crate::resource_server::Exchange;

/// Why an authorization request ends here.
#[derive(Debug)]
pub enum Stop {
    /// Told to the person.
    Page(PageError),
    /// Told to the app.
    Redirect(Box<AuthorizationErrorResponse>),
    /// The registry failed.
    Registry(RegistryError),
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// A request that the server understands, with the client that sent it.
pub struct Understood {
    /// The request.
    pub request: AuthorizationRequest,
    /// The client.
    pub client: Client,
    /// The query as sent: the handle by which the forms carry it on. It is parsed and checked anew each time.
    pub query: String,
}

/// Parses and checks a query.
pub async fn understand(server: &Server, query: &str) -> Result<Understood, Stop> {
    let parameters = Parameters::parse(query.as_bytes()).map_err(|error| Stop::Page(PageError::Parameters(error)))?;
    let claimed = claimed_client(&parameters).map_err(Stop::Page)?;
    let client = server.registry.client(&claimed).await?;
    let redirectable = RedirectableRequest::new(&parameters, client.as_ref()).map_err(Stop::Page)?;
    let request = redirectable.parse(&server.settings.fhir_base).map_err(|response| Stop::Redirect(Box::new(response)))?;
    let client = client.ok_or(Stop::Page(PageError::UnknownClient))?;
    Ok(Understood { request, client, query: query.to_owned() })
}

/// `GET /oauth/authorize`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let query = exchange.target.query().unwrap_or_default();
    let result = match understand(server, query).await {
        Ok(understood) => next_page(server, exchange, &understood).await,
        Err(stop) => Err(stop),
    };
    match result {
        Ok(draft) => server.record_page(exchange, Outcome::Success, draft).await,
        Err(stop) => stopped(server, exchange, stop).await,
    }
}

/// `POST /oauth/authorize` (SMART capability authorize-post): the same request as a GET, so that the session's cookie comes with it.
pub async fn redirect_to_get(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let sent = crate::middleware::body::read(body, MAXIMUM_FORM).await.ok();
    let query = sent
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
        .filter(|query| query.bytes().all(|byte| byte.is_ascii_graphic()));
    let draft = match query {
        Some(query) => reply::see_other(&format!("/oauth/authorize?{query}")),
        None => page_error(PageError::Parameters(portcullis_oauth::parameters::ParametersError::Malformed)),
    };
    server.record_page(exchange, Outcome::Success, draft).await
}

/// Sign-in, patient choice or consent: whatever is missing.
async fn next_page(server: &Server, exchange: &Exchange, understood: &Understood) -> Result<Draft, Stop> {
    let request = &understood.request;
    let now = server.clock.now_seconds();
    let signed_in = session::current(server, exchange).await?;
    // `prompt=login` is answered by a sign-in that is newer than this request, which a session of less than a minute is taken for.
    let fresh = |session: &SignedIn| {
        request.accepts_login_at(session.session.authenticated_at, now)
            || (request.prompt.login && now - session.session.authenticated_at < 60)
    };
    let Some(signed_in) = signed_in.filter(fresh) else {
        if request.prompt.none {
            return Err(refuse(request, AuthorizationError::LoginRequired, "nobody is signed in"));
        }
        let return_to = format!("/oauth/authorize?{}", understood.query);
        let blank = login::Attempt { return_to: &return_to, username: "", error: None };
        return Ok(login::page(server, exchange, &blank).await);
    };
    if request.prompt.none {
        return Err(refuse(request, AuthorizationError::ConsentRequired, "consent is asked for each time"));
    }
    if !request.scopes.needs_patient() {
        return Ok(consent::page(server, understood, &signed_in, None).await);
    }
    let choices = people::choices(server, &signed_in.user).await;
    match choices.as_slice() {
        [] => Err(refuse(request, AuthorizationError::AccessDenied, "this person may not open any patient record")),
        [only] => Ok(consent::page(server, understood, &signed_in, LogicalId::parse(&only.id).as_ref()).await),
        _ => Ok(consent::picker(server, understood, &signed_in, choices)),
    }
}

/// The answer that takes an error to the app.
pub fn refuse(request: &AuthorizationRequest, error: AuthorizationError, description: &'static str) -> Stop {
    Stop::Redirect(Box::new(request.refuse(error, description)))
}

/// Answers a request that ends here.
pub async fn stopped(server: &Server, exchange: &Exchange, stop: Stop) -> Answer {
    let (draft, outcome, detail) = match &stop {
        Stop::Page(error) => (page_error(*error), Outcome::Rejected, error.to_string()),
        Stop::Redirect(response) => {
            let draft = reply::see_other(&response.location(&server.settings.public_url));
            (draft, Outcome::Rejected, format!("{}: {}", response.error.code(), response.description))
        }
        Stop::Registry(error) => (reply::unavailable(error), Outcome::Failed, "registry failed".to_owned()),
    };
    let account = Account { event: Event::Consent, agent: exchange.agent(), outcome, detail };
    reply::recorded(server, exchange, account, draft).await
}

fn page_error(error: PageError) -> Draft {
    reply::error(
        StatusCode::BAD_REQUEST,
        "This app cannot connect",
        &format!("The app sent a request that we cannot use: {error}."),
        "Nothing was shared.",
        "Go back to the app. If this happens again, tell the people who make it.",
    )
}

/// The name of the app behind a return path, for the sign-in page.
pub async fn app_name(server: &Server, return_to: &str) -> Option<String> {
    let query = return_to.strip_prefix("/oauth/authorize?")?;
    Some(understand(server, query).await.ok()?.client.name)
}

/// The origin to which the forms on the way may lead.
pub async fn redirect_origin(server: &Server, return_to: &str) -> Option<String> {
    let query = return_to.strip_prefix("/oauth/authorize?")?;
    Some(understand(server, query).await.ok()?.request.redirect.origin().to_owned())
}

/// Whether the body of a form names a value exactly once.
pub fn field<'a>(form: &'a Parameters, name: &str) -> Option<&'a str> {
    form.value(name).ok().flatten()
}

/// Reads a form that a page of ours sent; `None` where it is no form.
pub async fn own_form(exchange: &Exchange, body: Incoming) -> Option<Parameters> {
    form::read(exchange, body).await.ok()
}
