//! What was allowed becomes a grant and a code: by the answer of a person, or, where no page may be shown, by what the person has allowed before.

use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::authorize::AuthorizationError;
use portcullis_oauth::clients::ClientKind;
use portcullis_oauth::grant::{AuthorizationCode, CODE_LIFETIME_SECONDS, Grant, SecretHash};
use portcullis_oauth::identifiers::GrantId;
use portcullis_oauth::launch::LaunchRefusal;
use portcullis_oauth::scopes::{Scope, ScopeKind, ScopeSet};
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, LAUNCH_USED};

use super::authorize::Understood;
use super::launch_context::{self, Chosen, Next};
use super::step_up;
use super::stop::{Stop, refuse};
use crate::answer::Answer;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::SignedIn;
use crate::context::{Borrowed, Server};
use crate::resource_server::Exchange;

/// What a person allows.
pub struct Allowed {
    /// What is in context.
    pub context: Chosen,
    /// The scopes.
    pub scopes: ScopeSet,
    /// How the record calls it.
    pub told: &'static str,
    /// Earlier grants that are put away with it.
    pub over: Vec<GrantId>,
}

/// Makes the grant and its code, and sends the browser back with it.
pub async fn allow(
    server: &Server,
    exchange: &Exchange,
    (understood, signed_in): (&Understood, &SignedIn),
    Allowed { context, scopes, told, over }: Allowed,
    agent: &Agent,
) -> Result<Answer, Stop> {
    let request = &understood.request;
    let parameters = launch_context::parameters(server, understood, &context);
    // A visit that there is none of is not granted.
    let has_encounter = parameters.encounter.is_some();
    let scopes = scopes.retaining(|scope| has_encounter || scope.kind() != ScopeKind::LaunchEncounter);
    let patient = context.patient;
    let mut random = Borrowed(&*server.entropy);
    let now = server.clock.now_seconds();
    let (code, hash) = SecretHash::generate(&mut random);
    let grant = Grant {
        id: GrantId::generate(&mut random),
        client: understood.client.id.clone(),
        user: signed_in.user.id.clone(),
        patient: patient.clone(),
        context: parameters,
        scopes: scopes.clone(),
        session: signed_in.session.id.clone(),
        authenticated_at: signed_in.session.authenticated_at,
        created_at: now,
        revoked_at: None,
    };
    let waiting = AuthorizationCode {
        hash,
        grant: grant.id.clone(),
        client: grant.client.clone(),
        redirect_uri: request.redirect.as_str().to_owned(),
        challenge: request.challenge.clone(),
        key: request.key,
        scopes: scopes.clone(),
        user: grant.user.clone(),
        patient,
        nonce: request.nonce.clone(),
        authenticated_at: grant.authenticated_at,
        expires_at: now + CODE_LIFETIME_SECONDS,
    };
    let draft = reply::see_other(&request.success_location(code.expose(), &server.settings.public_url));
    let account = Account::new(Event::Consent, agent.clone(), Outcome::Success, format!("{told}: {scopes}"));
    let account = account.about(grant.patient.clone());
    let change = Change::AddGrant(Box::new(grant), Box::new(waiting));
    let change = match over.is_empty() {
        true => change,
        false => Change::PutGrantsAway { grants: over, then: Box::new(change) },
    };
    let change = match &understood.launch {
        Some(launch) => Change::SpendLaunch { launch: launch.hash, then: Box::new(change) },
        None => change,
    };
    reply::changed(server, exchange, change, account, draft).await.map_err(|error| match error {
        RegistryError::Conflict(LAUNCH_USED) => launch_context::refused(request, LaunchRefusal::Used),
        other => Stop::Registry(other),
    })
}

/// Answers a request for which no page may be shown (`prompt=none`, OpenID Connect Core section 3.1.2.1): who is signed in is told to an app that may know
/// it already. All else needs the person, and the app is told so: no record leaves without a page before it.
pub async fn unasked(
    server: &Server,
    exchange: &Exchange,
    understood: &Understood,
    (signed_in, agent): (&SignedIn, &Agent),
) -> Result<Answer, Stop> {
    let request = &understood.request;
    let needs = |error, told| Err(refuse(request, error, told));
    if !is_certain(understood) || !request.scopes.iter().all(tells_who) {
        return needs(AuthorizationError::ConsentRequired, ASK);
    }
    if signed_in.recovered_by().is_some() {
        return needs(AuthorizationError::InteractionRequired, "the account has to be confirmed first");
    }
    if step_up::needed(server, understood, signed_in).await?.is_some() {
        return needs(AuthorizationError::InteractionRequired, "a second factor is needed");
    }
    let context = match launch_context::next(server, understood, signed_in, Chosen::default()).await? {
        Next::Decided(context) => context,
        Next::Page(_) => return needs(AuthorizationError::InteractionRequired, "the person has to choose"),
    };
    let over = match before(server, understood, signed_in).await? {
        Before::Allowed { over } => over,
        Before::NotAllowed => return needs(AuthorizationError::ConsentRequired, ASK),
        Before::TooOften => return needs(AuthorizationError::InteractionRequired, TOO_OFTEN),
    };
    let allowed = Allowed { context, scopes: request.scopes.clone(), told: "allowed as before, without a page", over };
    allow(server, exchange, (understood, signed_in), allowed, agent).await
}

/// Answers without a page of which tokens are out, for one app and one person.
const MOST_UNASKED: usize = 20;
const ASK: &str = "the person has to allow it";
const TOO_OFTEN: &str = "too many answers without a page are still of use";

/// Whether a scope is about who is signed in, and nothing else.
fn tells_who(scope: &Scope) -> bool {
    matches!(scope.kind(), ScopeKind::OpenId | ScopeKind::Profile | ScopeKind::FhirUser)
}

/// Whether it is certain which app gets the answer: "unless the identity of the client can be proven, the request SHOULD be processed as if no previous
/// request had been approved" (RFC 8252 section 8.6), and an `https` address is such a proof.
fn is_certain(understood: &Understood) -> bool {
    understood.client.kind != ClientKind::Public || understood.request.redirect.as_str().starts_with("https://")
}

/// What the person has said of this app before.
enum Before {
    /// One grant covers all that is asked for. Grants of answers without a page that are over go with the next one, so that an app that asks every few minutes leaves no more than
    /// a few behind.
    Allowed { over: Vec<GrantId> },
    /// None does.
    NotAllowed,
    /// The app has asked too often.
    TooOften,
}

/// Whether one grant that the person gave, and sees on the own page, covers all that is asked for. One that tells who somebody is and nothing else may be of an
/// answer without a page: it is no word of the person, and there are only so many of them at a time.
async fn before(server: &Server, understood: &Understood, signed_in: &SignedIn) -> Result<Before, RegistryError> {
    let now = server.clock.now_seconds();
    let grants = server.registry.grants_of(&signed_in.user.id).await?;
    let of_app = grants.into_iter().filter(|standing| standing.grant.client == understood.client.id);
    let (telling_who, given): (Vec<_>, Vec<_>) = of_app.partition(|standing| standing.grant.scopes.iter().all(tells_who));
    let covers = |grant: &Grant| understood.request.scopes.iter().all(|scope| grant.scopes.covers(scope));
    if !given.iter().any(|standing| standing.ends_at > now && covers(&standing.grant)) {
        return Ok(Before::NotAllowed);
    }
    let (over, live): (Vec<_>, Vec<_>) = telling_who.into_iter().partition(|standing| standing.ends_at <= now);
    match live.len() < MOST_UNASKED {
        true => Ok(Before::Allowed { over: over.into_iter().map(|standing| standing.grant.id).collect() }),
        false => Ok(Before::TooOften),
    }
}
