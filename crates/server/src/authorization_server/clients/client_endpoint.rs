//! Endpoints at which clients authenticate: token, revocation, and whatever else asks who the client is.
//!
//! An endpoint says how its request is read and what it would do for an authenticated client; [`serve`] does the rest. It alone makes an
//! [`AuthenticatedClient`], lends it to the endpoint, and takes back a [`Proposal`] or a [`Refusal`], neither of which is an answer. So nothing
//! is answered to a client whose assertion or proof was not spent in the transaction of what was done for it: not when the endpoint changes nothing, and
//! not when its change comes too late.

use http::header;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::client_request::{ClientRequest, ClientRequestParts};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials};
use portcullis_store::RegistryError;
use portcullis_store::registry::{self, Change};

use super::client_authentication;
use crate::answer::{Answer, Draft};
use crate::authorization_server::developers::refused;
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::listener::Incoming;
use crate::middleware::body;
use crate::resource_server::Exchange;

/// An endpoint at which clients authenticate.
pub trait ClientEndpoint {
    /// What is asked for, well-formed.
    type Request: Send;

    /// What its exchanges are recorded as.
    const EVENT: Event;

    /// Reads a request: who sends it, and what is asked for.
    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Self::Request), TokenError>;

    /// What is to be done for the client. Looks and decides; whatever must change is in what it returns.
    fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        request: Self::Request,
    ) -> impl Future<Output = Result<Proposal, Refusal>> + Send;
}

/// What an endpoint would change, record and answer. It becomes an answer together with what the client has to spend.
#[derive(Debug)]
#[must_use]
pub struct Proposal {
    /// What changes; [`Change::Nothing`] where nothing does.
    pub change: Change,
    /// What the record says.
    pub account: Account,
    /// What is answered once the change is durable.
    pub draft: Draft,
    /// What is answered where the change conflicts: somebody else was faster. What it changes is changed where the thing was used before, and
    /// not where it has merely ended.
    pub overtaken: Option<Box<Refusal>>,
}

/// Why an endpoint does not do what was asked.
#[derive(Debug)]
pub enum Refusal {
    /// The client's fault.
    Client {
        /// What the client is told.
        error: TokenError,
        /// What the record says; `None` where the error and the client are all there is to say.
        account: Option<Box<Account>>,
        /// What changes all the same: a code is spent, a family ends.
        change: Box<Change>,
    },
    /// The registry could not.
    Registry(RegistryError),
}

impl Refusal {
    /// A refusal that changes nothing but has more to say in its record.
    pub fn with_account(error: TokenError, account: Account) -> Self {
        Self::Client { error, account: Some(Box::new(account)), change: Box::new(Change::Nothing) }
    }

    /// The same, and everything stays as it is.
    fn changing_nothing(self) -> Self {
        match self {
            Self::Client { error, account, .. } => Self::Client { error, account, change: Box::new(Change::Nothing) },
            Self::Registry(_) => self,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Client { error, account: None, change: Box::new(Change::Nothing) }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// Serves one request to such an endpoint.
pub async fn serve<E: ClientEndpoint>(server: &Server, exchange: &Exchange, incoming: Incoming) -> Answer {
    let body = match body::read(incoming, body::MAXIMUM_FORM).await {
        Ok(body) => body,
        Err(_) => {
            let error = TokenError::InvalidRequest("the body is too large or incomplete");
            return Ending { server, exchange, event: E::EVENT, client: None }.unauthenticated(error.into()).await;
        }
    };
    let mut ending = Ending { server, exchange, event: E::EVENT, client: None };
    let authorization = match authorization(exchange) {
        Ok(authorization) => authorization,
        Err(error) => return ending.unauthenticated(error.into()).await,
    };
    let parts = ClientRequestParts { content_type: exchange.header(&header::CONTENT_TYPE), authorization, body: &body };
    let request = match ClientRequest::read(&parts) {
        Ok(request) => request,
        Err(error) => {
            ending.client = parts.claimed_client();
            return ending.unauthenticated(error.into()).await;
        }
    };
    ending.client = request.claimed_client();
    let implied = match request.lone_refresh_token() {
        Some(token) => match server.registry.refresh(&token).await {
            Ok(token) => token.map(|token| token.client),
            Err(error) => return ending.unauthenticated(error.into()).await,
        },
        None => None,
    };
    let (credentials, request) = match E::parse(&request.implying(implied)) {
        Ok(parsed) => parsed,
        Err(error) => return ending.unauthenticated(error.into()).await,
    };
    ending.client = Some(credentials.client_id().clone());
    let client = match client_authentication::authenticate(server, exchange, &credentials).await {
        Ok(client) => client,
        Err(refusal) => return ending.unauthenticated(refusal).await,
    };
    match E::decide(server, exchange, &client, request).await {
        Ok(proposal) => ending.commit(&client, proposal).await,
        // Boxed: what seldom happens takes no room from what always does.
        Err(refusal) => Box::pin(ending.refuse(&client, refusal)).await,
    }
}

/// The `Authorization` header, of which there is one or none. One that is no text is still one: whoever sends it has not come without.
pub(super) fn authorization(exchange: &Exchange) -> Result<Option<&str>, TokenError> {
    let mut sent = exchange.headers.get_all(header::AUTHORIZATION).iter();
    let first = sent.next().map(|value| value.to_str().unwrap_or_default());
    match sent.next() {
        None => Ok(first),
        Some(_) => Err(TokenError::InvalidRequest("only one way of client authentication may be used")),
    }
}

/// What every ending of a request needs.
struct Ending<'a> {
    server: &'a Server,
    exchange: &'a Exchange,
    event: Event,
    /// The client as it says.
    client: Option<ClientId>,
}

impl Ending<'_> {
    fn account(&self, outcome: Outcome, detail: &str) -> Account {
        let client = self.client.as_ref().map(|client| client.as_str().to_owned());
        Account::new(self.event, Agent { client, ..self.exchange.agent() }, outcome, detail)
    }

    /// Tells the owner of a sandbox client what it was refused.
    async fn noted(&self, error: TokenError) {
        refused::at_client_endpoint(self.server, self.exchange, self.client.as_ref(), error).await;
    }

    async fn recorded(&self, account: Account, error: TokenError) -> Answer {
        self.noted(error).await;
        reply::recorded(self.server, self.exchange, account, reply::oauth_error(error)).await
    }

    /// The answer to somebody of whom nothing is proven, and who has nothing to spend.
    async fn unauthenticated(&self, refusal: Refusal) -> Answer {
        if let Some(client) = &self.client {
            self.exchange.asker.is(client);
        }
        let (error, account, _) = self.told(refusal);
        self.recorded(account, error).await
    }

    /// What a refusal says on the wire and in the record, and what it changes.
    fn told(&self, refusal: Refusal) -> (TokenError, Account, Change) {
        match refusal {
            Refusal::Client { error, account, change } => {
                let account = account.map_or_else(|| self.account(Outcome::Denied, &error.to_string()), |account| *account);
                (error, account, *change)
            }
            Refusal::Registry(error) => {
                tracing::error!(%error, path = self.exchange.target.path(), "the registry failed at an endpoint of clients");
                (TokenError::TemporarilyUnavailable, self.account(Outcome::Failed, "registry failed"), Change::Nothing)
            }
        }
    }

    /// Makes the change with everything that the client has to spend, or not at all.
    async fn commit(&self, client: &AuthenticatedClient, proposal: Proposal) -> Answer {
        let Proposal { change, account, draft, overtaken } = proposal;
        if matches!(change, Change::Nothing) && !client_authentication::owes(client) {
            return reply::recorded(self.server, self.exchange, account, draft).await;
        }
        let change = client_authentication::spending(client, self.server.clock.now_seconds(), change);
        match reply::changed(self.server, self.exchange, change, account, draft).await {
            Ok(answer) => answer,
            Err(failure) => match (client_authentication::replayed(&failure), overtaken) {
                (Some(error), _) => self.replayed(error).await,
                (None, Some(refusal)) if let RegistryError::Conflict(reason) = failure => {
                    let was_used = matches!(reason, registry::CODE_USED | registry::REFRESH_TOKEN_USED);
                    let refusal = if was_used { *refusal } else { refusal.changing_nothing() };
                    Box::pin(self.refuse(client, refusal)).await
                }
                (None, _) => Box::pin(self.refuse(client, Refusal::Registry(failure))).await,
            },
        }
    }

    /// Refuses an authenticated client, whose assertion is spent all the same.
    async fn refuse(&self, client: &AuthenticatedClient, refusal: Refusal) -> Answer {
        let (error, account, change) = self.told(refusal);
        if matches!(change, Change::Nothing) && !client_authentication::owes(client) {
            return self.recorded(account, error).await;
        }
        let now = self.server.clock.now_seconds();
        let alone = matches!(change, Change::Nothing);
        let spending = client_authentication::spending(client, now, change);
        let draft = || reply::oauth_error(error);
        let failure = match reply::changed(self.server, self.exchange, spending, account.clone(), draft()).await {
            Ok(answer) => {
                self.noted(error).await;
                return answer;
            }
            // What should have ended has ended already; the assertion counts once all the same.
            Err(failure @ RegistryError::Conflict(_)) if !alone && client_authentication::replayed(&failure).is_none() => {
                let spending = client_authentication::spending(client, now, Change::Nothing);
                match reply::changed(self.server, self.exchange, spending, account, draft()).await {
                    Ok(answer) => {
                        self.noted(error).await;
                        return answer;
                    }
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        if let Some(error) = client_authentication::replayed(&failure) {
            return self.replayed(error).await;
        }
        tracing::error!(error = %failure, path = self.exchange.target.path(), "a refusal could not be stored");
        self.recorded(self.account(Outcome::Failed, "registry failed"), TokenError::TemporarilyUnavailable).await
    }

    async fn replayed(&self, error: TokenError) -> Answer {
        self.recorded(self.account(Outcome::Denied, &error.to_string()), error).await
    }
}
