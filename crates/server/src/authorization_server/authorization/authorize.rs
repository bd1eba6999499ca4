//! The authorization endpoint: from an app's request to a page that a person understands.
//!
//! RFC 6749 section 4.1.1, SMART App Launch 2.2.0. A wrong client or redirect URI is told to the person and never redirected; everything
//! else goes back to the app with `error`, `state` and `iss` (RFC 9207): at once where an operator registered the app, and by a link that the person
//! follows where it registered itself.

use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::JwtError;
use portcullis_oauth::authorize::{AuthorizationError, AuthorizationRequest, PageError, RedirectableRequest, claimed_client};
use portcullis_oauth::clients::Client;
use portcullis_oauth::id_token;
use portcullis_oauth::identifiers::{ClientId, SessionId, UserId};
use portcullis_oauth::launch::Launch;
use portcullis_oauth::parameters::{MAXIMUM_BYTES, Parameters, ParametersError};
use portcullis_oauth::pushed_request::check_origin;

use super::launch_context::{self, Chosen, Next};
use super::stop::{Stop, page_error, refuse, stopped_unasked};
use super::{consent, granting, step_up};
use crate::answer::{Answer, Draft};
use crate::authorization_server::accounts::{login, second_factor};
use crate::authorization_server::clients::pushed;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body::{self, BodyError};
use crate::resource_server::Exchange;
use crate::ui::pages::LoginError;

/// The endpoint with the mark of its query.
pub(in crate::authorization_server) const PATH: &str = "/oauth/authorize?";
/// The parameter of ours that proves a sign-in for this request. Apps do not know it and cannot make it.
const PROOF: &str = "signed_in";
/// How long after the sign-in the page may be opened that follows it, in seconds.
const PROOF_LIFETIME_SECONDS: i64 = 300;

/// A request that the server understands, with the client that sent it.
pub struct Understood {
    /// The request.
    pub request: AuthorizationRequest,
    /// The client.
    pub client: Client,
    /// The launch from an EHR that it brings.
    pub launch: Option<Box<Launch>>,
    /// Whom it is for, where it says so (`id_token_hint`).
    hinted: Option<Hint>,
    /// The query as sent: the handle by which the forms carry it on. It is parsed and checked anew each time.
    pub query: String,
}

/// Parses and checks a query.
pub async fn understand(server: &Server, query: &str) -> Result<Understood, Stop> {
    let parameters = Parameters::parse(query.as_bytes()).map_err(|error| Stop::Page(PageError::Parameters(error)))?;
    let (parameters, origin) = pushed::resolved(server, parameters).await?;
    let claimed = claimed_client(&parameters).map_err(Stop::Page)?;
    let client = server.registry.client(&claimed).await?;
    let redirectable = RedirectableRequest::new(&parameters, client.as_ref()).map_err(Stop::Page)?;
    let required = server.settings.authorization.require_pushed_authorization_requests;
    if let Some(Err((error, description))) = client.as_ref().map(|client| check_origin(client, required, origin)) {
        return Err(Stop::Redirect(Box::new(redirectable.refuse(error, description))));
    }
    let request = redirectable.parse(&server.settings.fhir_base, server.settings.authorization.capabilities);
    let request = request.map_err(|response| Stop::Redirect(Box::new(response)))?;
    let client = client.ok_or(Stop::Page(PageError::UnknownClient))?;
    let hinted = request.id_token_hint.as_deref().map(|hint| hinted(server, &request.client, hint)).transpose();
    let hinted = hinted.map_err(|(error, description)| refuse(&request, error, description))?;
    let launch = launch_context::presented(server, &request).await?;
    Ok(Understood { request, client, launch, hinted, query: pushed::carried(query) })
}

/// Whom an `id_token_hint` names.
pub enum Hint {
    /// This user.
    User(UserId),
    /// Somebody whom nobody can tell any more: its key is published no longer. Apps keep their id_tokens for longer than a server keeps its keys, and a hint
    /// is to help them: it counts as left out, but for those who ask for an answer without a page, which is for the person named alone.
    Forgotten,
}

/// Whom an `id_token_hint` names.
pub fn hinted(server: &Server, client: &ClientId, hint: &str) -> Result<Hint, (AuthorizationError, &'static str)> {
    let now = server.clock.now_seconds();
    let keys = server.keys.at(now);
    match id_token::user_of_past(hint, &keys.identities, (&server.settings.public_url, client), now) {
        Ok(user) => Ok(Hint::User(user)),
        Err(JwtError::UnknownKey) => Ok(Hint::Forgotten),
        Err(_) => Err((AuthorizationError::InvalidRequest, "id_token_hint is no id_token of this server for this client")),
    }
}

impl Understood {
    /// The path that asks for the same again.
    pub fn path(&self) -> String {
        format!("{PATH}{}", without_proof(&self.query).0)
    }

    /// The same with the proof of a sign-in that it carries.
    pub fn path_with_proof(&self) -> String {
        format!("{PATH}{}", self.query)
    }

    /// Whether a sign-in counts for this request (OpenID Connect Core section 3.1.2.1, `prompt` and `max_age`): it was made for this very request,
    /// or the request takes an earlier one of that age.
    fn takes(&self, server: &Server, signed_in: &SignedIn, age_seconds: i64) -> bool {
        let session = &signed_in.session;
        let proven = self.is_proven(server, signed_in) && age_seconds <= PROOF_LIFETIME_SECONDS;
        let takes = |at: i64| self.request.accepts_login_at(at, at.saturating_add(age_seconds));
        self.is_for(signed_in) && (proven || takes(session.authenticated_at))
    }

    /// Whether it may be answered for this person: one that brings an id_token is for the person whom that names (OpenID Connect Core section 3.1.2.1).
    fn is_for(&self, signed_in: &SignedIn) -> bool {
        match &self.hinted {
            None => true,
            Some(Hint::User(user)) => *user == signed_in.user.id,
            Some(Hint::Forgotten) => !self.request.prompt.none,
        }
    }

    /// Whether the answer to a form of this request counts: if a sign-in was demanded for it, it was made for it. How long the page was open since
    /// does not matter.
    pub fn takes_answer(&self, server: &Server, signed_in: &SignedIn) -> bool {
        self.is_for(signed_in) && (!self.request.demands_sign_in() || self.is_proven(server, signed_in))
    }

    fn is_proven(&self, server: &Server, signed_in: &SignedIn) -> bool {
        let (query, proof) = without_proof(&self.query);
        let binding = proof_binding(&signed_in.session.id, &query);
        proof.is_some_and(|proof| server.form_tokens.accepts(Purpose::SignedIn, &binding, proof))
    }
}

/// What a request query is carried on with after a sign-in that was made for it.
fn proof_binding(session: &SessionId, query: &str) -> String {
    format!("{}\0{query}", session.as_str())
}

/// A query without the proof of a sign-in, and the proof.
fn without_proof(query: &str) -> (String, Option<&str>) {
    let mut proof = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix(PROOF).and_then(|value| value.strip_prefix('=')) {
            Some(value) => proof = Some(value),
            None => rest.push(pair),
        }
    }
    (rest.join("&"), proof)
}

/// Where a person goes who signed in: where the sign-in page was told, with the proof that it was for that request where the request asks for one.
pub async fn after_sign_in(server: &Server, return_to: &str, session: &SessionId) -> String {
    let Some(waiting) = waiting_request(server, return_to).await else { return return_to.to_owned() };
    let path = waiting.path();
    if !waiting.request.demands_sign_in() && waiting.request.max_age_seconds.is_none() {
        return path;
    }
    let (query, _) = without_proof(&waiting.query);
    let proof = server.form_tokens.token(Purpose::SignedIn, &proof_binding(session, &query));
    format!("{path}&{PROOF}={proof}")
}

/// The authorization request behind a return path.
pub async fn waiting_request(server: &Server, return_to: &str) -> Option<Understood> {
    understand(server, return_to.strip_prefix(PATH)?).await.ok()
}

/// `GET /oauth/authorize`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let query = exchange.target.query().unwrap_or_default();
    if let Some(answer) = pushed::begin(server, exchange, query).await {
        return answer;
    }
    let understood = match understand(server, query).await {
        Ok(understood) => understood,
        Err(stop) => return stopped_unasked(server, exchange, stop, exchange.agent()).await,
    };
    let mut agent = Agent { client: Some(understood.client.id.as_str().to_owned()), ..exchange.agent() };
    match next_step(server, exchange, &understood, &mut agent).await {
        Ok(Step::Page(shown)) => shown.recorded(server, exchange, agent).await,
        Ok(Step::Answered(answer)) => answer,
        Err(stop) => stopped_unasked(server, exchange, stop, agent).await,
    }
}

/// What follows from a request that counts.
enum Step {
    /// The person is asked.
    Page(Shown),
    /// The app has its answer.
    Answered(Answer),
}

/// A page and whose names are on it.
pub struct Shown {
    /// The page.
    pub draft: Draft,
    /// The patients.
    pub patients: Vec<String>,
}

impl Shown {
    /// Answers with the page and records who saw whose names.
    pub async fn recorded(self, server: &Server, exchange: &Exchange, agent: Agent) -> Answer {
        let account = Account::new(Event::Page, agent, Outcome::Success, "").about(self.patients);
        reply::recorded(server, exchange, account, self.draft).await
    }
}

/// `POST /oauth/authorize` (SMART capability authorize-post): the same request as a GET, so that the session's cookie comes with it.
pub async fn redirect_to_get(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let (outcome, draft) = match posted_query(exchange, body).await {
        Ok(query) => (Outcome::Success, reply::see_other(&format!("{PATH}{query}"))),
        Err(error) => (Outcome::Rejected, page_error(exchange, PageError::Parameters(error))),
    };
    server.record_page(exchange, outcome, draft).await
}

/// A form as the query that says the same; no longer than a query may be.
async fn posted_query(exchange: &Exchange, body: Incoming) -> Result<String, ParametersError> {
    if !form::is_form(exchange) {
        return Err(ParametersError::Malformed);
    }
    let bytes = body::read(body, MAXIMUM_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge(_) => ParametersError::TooLarge,
        BodyError::TooSlow | BodyError::Broken => ParametersError::Malformed,
    })?;
    let query = String::from_utf8(bytes.to_vec()).map_err(|_| ParametersError::Malformed)?;
    if query.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(query) } else { Err(ParametersError::Malformed) }
}

/// Sign-in, patient choice or consent: whatever is missing. Whoever is signed in becomes the agent.
async fn next_step(server: &Server, exchange: &Exchange, understood: &Understood, agent: &mut Agent) -> Result<Step, Stop> {
    let request = &understood.request;
    let now = server.clock.now_seconds();
    let signed_in = session::current(server, exchange).await?;
    let is_other = signed_in.as_ref().is_some_and(|signed_in| !understood.is_for(signed_in));
    let age = |signed_in: &SignedIn| now.saturating_sub(signed_in.session.authenticated_at);
    let Some(signed_in) = signed_in.filter(|signed_in| understood.takes(server, signed_in, age(signed_in))) else {
        if request.prompt.none {
            return Err(refuse(request, AuthorizationError::LoginRequired, "nobody is signed in"));
        }
        let error = is_other.then_some(LoginError::AnotherAccount);
        let blank = login::Attempt { return_to: &understood.path(), username: "", error };
        return Ok(Step::Page(Shown { draft: login::page(server, exchange, &blank).await, patients: Vec::new() }));
    };
    *agent = Agent { client: agent.client.take(), ..reply::agent(exchange, &signed_in) };
    if request.prompt.none {
        return granting::unasked(server, exchange, understood, (&signed_in, agent)).await.map(Step::Answered);
    }
    if signed_in.recovered_by().is_some() {
        return Err(Stop::NotConfirmed);
    }
    if let Some(means) = step_up::needed(server, understood, &signed_in).await? {
        let draft = second_factor::step_up_page(server, exchange, &signed_in, &means, &understood.path_with_proof()).await;
        return Ok(Step::Page(Shown { draft, patients: Vec::new() }));
    }
    match launch_context::next(server, understood, &signed_in, Chosen::default()).await? {
        Next::Page(shown) => Ok(Step::Page(shown)),
        Next::Decided(context) => Ok(Step::Page(consent::page(server, understood, &signed_in, &context).await)),
    }
}

/// Whether the body of a form names a value exactly once.
pub fn field<'a>(form: &'a Parameters, name: &str) -> Option<&'a str> {
    form.value(name).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_told_from_the_query_wherever_it_stands() {
        assert_eq!(without_proof("a=b&signed_in=x&c=d"), ("a=b&c=d".to_owned(), Some("x")));
        assert_eq!(without_proof("signed_in=&a=b"), ("a=b".to_owned(), Some("")));
        assert_eq!(without_proof("a=signed_in&signed_inx=1"), ("a=signed_in&signed_inx=1".to_owned(), None));
    }
}
