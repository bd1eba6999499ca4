//! Back from a provider: whose sign-in it is here.

use http::header;
use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::constant_time;
use portcullis_oauth::federation::{CallbackError, CodeCallback, Provider, VerifiedIdentity};
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::session::{Method, Methods};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::federation::{FederationChange, LinkedIdentity};
use portcullis_store::registry::Change;
use portcullis_store::sign_in::LOCKED;

use super::attempt::{Bound, Intent, clear_cookie};
use super::exchange;
use super::failure::{self, Failure, spending};
use super::own;
use crate::answer::Answer;
use crate::authorization_server::accounts::sign_in::{self, Proof, Vouched};
use crate::authorization_server::accounts::{login, second_factor};
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session;
use crate::context::Server;
use crate::resource_server::Exchange;

/// `GET /login/federated/callback/ID`
pub async fn come_back(server: &Server, request: &Exchange, id: &str) -> Answer {
    let query = match page_query::received(server, request, &["state"]).await {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    let Some((bound, provider)) = attempt(server, request, id, &query) else {
        return failure::answer(server, request, Failure::NotThisBrowser).await;
    };
    let outcome = async {
        if server.registry.state_spent(&bound.state_hash(server)).await? {
            return Err(Failure::StateUsed);
        }
        let metadata = exchange::metadata(server, provider).await?;
        let callback = CodeCallback::parse(&query, &provider.issuer, metadata.names_itself).map_err(|error| match error {
            CallbackError::Malformed => Failure::Malformed(provider.name.clone()),
            CallbackError::OtherIssuer => Failure::OtherIssuer(provider.name.clone()),
            CallbackError::Refused(code) => Failure::Refused(provider.name.clone(), code),
        })?;
        let identity = exchange::identity(server, provider, &bound, &callback).await?;
        let arrival = Arrival { server, request, bound: &bound, provider, identity };
        match &bound.attempt.intent {
            Intent::SignIn => arrival.sign_in().await,
            Intent::Link(session) => arrival.link(session).await,
        }
    };
    match outcome.await {
        Ok(answer) => answer,
        Err(failure) => failure::spent(server, request, &bound, failure).await,
    }
}

/// The attempt of this browser that the answer belongs to, at the provider whose address it came to.
fn attempt<'a>(server: &'a Server, request: &Exchange, id: &str, query: &Parameters) -> Option<(Bound, &'a Provider)> {
    let bound = Bound::of_browser(server, request)?;
    let provider = server.federation.provider(id).filter(|provider| provider.id == bound.attempt.provider)?;
    let state = query.value("state").ok().flatten()?;
    constant_time::equal(bound.state(server), state).then_some((bound, provider))
}

/// Somebody who signed in at a provider and stands before us.
struct Arrival<'a> {
    server: &'a Server,
    request: &'a Exchange,
    bound: &'a Bound,
    provider: &'a Provider,
    identity: VerifiedIdentity,
}

impl Arrival<'_> {
    /// Signs the linked account in. The rules about second factors are those of any sign-in: whoever has one gives it here, unless the provider is
    /// trusted to have asked for one and says that it did.
    async fn sign_in(self) -> Result<Answer, Failure> {
        let Self { server, request, bound, provider, ref identity } = self;
        let linked = server.registry.federated_user(&identity.issuer, &identity.subject).await?;
        let user = match linked {
            Some(id) => server.registry.user(&id).await?,
            None => None,
        };
        let user = user.ok_or_else(|| Failure::not_linked(provider, identity))?;
        if identity.fhir_user.as_ref().zip(user.fhir_user.as_ref()).is_some_and(|(there, here)| there != here) {
            return Err(Failure::OtherPerson(provider.name.clone()));
        }
        let means = server.registry.sign_in_means(&user.id).await?;
        if means.locked_at.is_some() {
            return Ok(login::locked(server, request, &user, &bound.attempt.return_to).await);
        }
        let two_factors = provider.vouches_for_two_factors(&identity.amr, identity.acr.as_deref());
        if means.has_second_factor() && !two_factors {
            let change = spending(server, bound, Change::Nothing);
            let cookie = clear_cookie();
            let asked = (&means, change, cookie.as_str());
            return Ok(second_factor::ask_federated(server, request, &user, asked, &bound.attempt.return_to).await?);
        }
        self.open(&user, two_factors).await
    }

    async fn open(&self, user: &User, two_factors: bool) -> Result<Answer, Failure> {
        let Self { server, request, bound, identity, .. } = self;
        let methods = Methods::of([if two_factors { Method::FederatedFactors } else { Method::Federation }]);
        let now = server.clock.now_seconds();
        let vouched = Vouched {
            authenticated_at: identity.authenticated_at.unwrap_or(now),
            // When it was not told, it was not a short time ago.
            second_factor_at: identity.authenticated_at.filter(|_| two_factors),
            cookie: clear_cookie(),
            spend: &|then| {
                let (issuer, subject) = (identity.issuer.clone(), identity.subject.clone());
                let signed_in = FederationChange::SignIn { issuer, subject, then: Box::new(then) };
                spending(server, bound, Change::Federation(Box::new(signed_in)))
            },
        };
        let proof = Proof { user, methods, factor: None, forget: Vec::new(), return_to: &bound.attempt.return_to };
        match sign_in::open_vouched(server, request, proof, Some(vouched)).await {
            Err(RegistryError::Conflict(LOCKED)) => Ok(login::locked(server, request, user, &bound.attempt.return_to).await),
            opened => Ok(opened?),
        }
    }

    /// Links the person there with the account that is signed in here: in the session in which that was begun, and in no other.
    async fn link(self, session: &str) -> Result<Answer, Failure> {
        let Self { server, request, bound, provider, identity } = self;
        let signed_in = session::current(server, request).await?;
        let same = signed_in.filter(|signed_in| signed_in.session.id.as_str() == session && signed_in.recovered_by().is_none());
        let signed_in = same.ok_or(Failure::NotThisBrowser)?;
        match server.registry.federated_user(&identity.issuer, &identity.subject).await? {
            Some(user) if user != signed_in.user.id => return Err(Failure::LinkedElsewhere(provider.name.clone())),
            Some(_) => return Ok(own::linked_already(server, request, &signed_in).await),
            None => {}
        }
        let user = signed_in.user.id.clone();
        let linked_by = user.as_str().to_owned();
        let linked_at = server.clock.now_seconds();
        let link = LinkedIdentity { issuer: identity.issuer, subject: identity.subject, user, linked_at, linked_by };
        let change = spending(server, bound, Change::Federation(Box::new(FederationChange::Link(link))));
        let detail = format!("linked with an account at {}", provider.name);
        let account = Account::new(Event::Credential, reply::agent(request, &signed_in), Outcome::Success, detail);
        let draft = reply::see_other(&bound.attempt.return_to).with_text(header::SET_COOKIE, &clear_cookie());
        Ok(reply::changed(server, request, change, account, draft).await?)
    }
}
