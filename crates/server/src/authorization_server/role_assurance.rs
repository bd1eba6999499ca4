//! What the operator asks of the sign-in of people of a role, on the pages of this server (`[[required_acr]]` with a `role`; the rules: [`portcullis_oauth::assurance_policy`]).
//!
//! Apps meet the same rules at the authorization endpoint and with each token (RFC 9470). The pages on which people change how they sign in stay open to who has no
//! factor yet: that is where one is added.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::assurance_policy::{Demand, demand};
use portcullis_oauth::session::AssuranceLevel;
use portcullis_store::RegistryError;

use super::authorization::step_up::proven;
use super::break_glass::strengthened;
use super::reply::{self, Account};
use super::session::SignedIn;
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::resource_server::Exchange;

/// What is answered instead of the page at this path, where the session is weaker than the person's roles take; `None` where it is strong enough.
pub async fn missing(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    path: &str,
) -> Result<Option<Answer>, RegistryError> {
    answered_instead(server, exchange, signed_in, path, |level| out_of_reach(exchange, level)).await
}

/// The same for the own page: whoever has nothing to prove it with is led to where that is added.
pub async fn missing_at_own_page(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    path: &str,
) -> Result<Option<Answer>, RegistryError> {
    let lead = |level| match level {
        AssuranceLevel::PhishingResistant => reply::see_other("/me/passkey"),
        AssuranceLevel::OneFactor | AssuranceLevel::TwoFactors => reply::see_other("/me/authenticator"),
    };
    answered_instead(server, exchange, signed_in, path, lead).await
}

async fn answered_instead(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    path: &str,
    unreachable: impl FnOnce(AssuranceLevel) -> Draft,
) -> Result<Option<Answer>, RegistryError> {
    let Some(required) = server.settings.authorization.assurance.of_roles(signed_in.user.roles) else { return Ok(None) };
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    match demand(Some(required), &proven(signed_in, &means)) {
        Demand::Met => Ok(None),
        Demand::StepUp => strengthened(server, exchange, signed_in, path).await.map(Some),
        Demand::OutOfReach => {
            let detail = format!("{} is required of this role, and there is nothing to prove it with", required.acr());
            let account = Account::new(Event::Page, reply::agent(exchange, signed_in), Outcome::Denied, detail);
            Ok(Some(reply::recorded(server, exchange, account, unreachable(required)).await))
        }
    }
}

fn out_of_reach(exchange: &Exchange, level: AssuranceLevel) -> Draft {
    let (has, add, spanish_has, spanish_add) = match level {
        AssuranceLevel::PhishingResistant => (
            "People with your role sign in with a passkey here. Your account has none.",
            "Open your own page, add a passkey, then come back.",
            "Las personas con su rol inician sesión aquí con una llave de acceso. Su cuenta no tiene ninguna.",
            "Abra su propia página, agregue una llave de acceso y vuelva.",
        ),
        AssuranceLevel::OneFactor | AssuranceLevel::TwoFactors => (
            "People with your role sign in with two steps here. Your account has no authenticator app and no passkey.",
            "Open your own page, add one of the two, then come back.",
            "Las personas con su rol inician sesión aquí en dos pasos. Su cuenta no tiene aplicación de autenticación ni llave de acceso.",
            "Abra su propia página, agregue una de las dos y vuelva.",
        ),
    };
    reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        ["This takes a second factor", has, "Nothing was opened or changed.", add],
        ["Para esto se necesita un segundo paso", spanish_has, "No se abrió ni se cambió nada.", spanish_add],
    )
}
