//! Whether an app's request may go on in this session, or needs a second factor first (the rules: [`portcullis_oauth::session`]).

use portcullis_oauth::assurance_policy::{Demand, demand};
use portcullis_oauth::authorize::AuthorizationError;
use portcullis_oauth::session::{Proven, SECOND_FACTOR_COUNTS_SECONDS, is_sensitive, needs_step_up};
use portcullis_store::sign_in::SignInMeans;

use super::authorize::Understood;
use super::stop::{Stop, refuse};
use crate::authorization_server::session::SignedIn;
use crate::context::Server;

/// How the person can give a second factor that this request needs; `None` where it needs none.
pub async fn needed(server: &Server, understood: &Understood, signed_in: &SignedIn) -> Result<Option<SignInMeans>, Stop> {
    needed_at(server, understood, signed_in, server.clock.now_seconds()).await
}

/// The same when the consent screen is answered, which may have been open for as long as a second factor counts.
pub async fn needed_for_answer(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
) -> Result<Option<SignInMeans>, Stop> {
    let shown_at = server.clock.now_seconds().saturating_sub(SECOND_FACTOR_COUNTS_SECONDS);
    needed_at(server, understood, signed_in, shown_at).await
}

async fn needed_at(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
    now: i64,
) -> Result<Option<SignInMeans>, Stop> {
    let request = &understood.request;
    let required = server.settings.authorization.assurance.of_request(&understood.client, &request.scopes, signed_in.user.roles);
    if required.is_none() && request.assurance.is_none() && !is_sensitive(&request.scopes) {
        return Ok(None);
    }
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    let proven = proven(signed_in, &means);
    match demand(required, &proven) {
        Demand::OutOfReach => {
            let told = "this takes a stronger sign-in than this person can give here";
            Err(refuse(request, AuthorizationError::UnmetAuthenticationRequirements, told))
        }
        Demand::StepUp => Ok(Some(means)),
        Demand::Met => Ok(needs_step_up(&request.scopes, request.assurance, &proven, now).then_some(means)),
    }
}

/// What this session has proven, and what the person could prove.
pub fn proven(signed_in: &SignedIn, means: &SignInMeans) -> Proven {
    let details = &signed_in.session.details;
    Proven {
        methods: details.methods,
        second_factor_at: details.second_factor_at,
        has_second_factor: means.has_second_factor(),
        has_passkey: !means.passkeys.is_empty(),
    }
}
