//! What every page has in common on which a person changes how they sign in: who may open it, which forms count, what is recorded.
//!
//! Such a page needs a sign-in of the last quarter of an hour, with the second factor of who has one. It stays closed in a session that somebody else's
//! recovery opened: whoever got in that way cannot make a factor of their own.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::session::SECOND_FACTOR_COUNTS_SECONDS;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::SignInMeans;

use crate::answer::{Answer, Draft};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form, UncheckedForm};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;

/// Where a person goes on after a change.
pub const PAGE: &str = "/me";

/// The person whose account it is, signed in a short time ago.
pub struct Owner {
    /// Who, in which session.
    pub signed_in: SignedIn,
    /// How the person can sign in.
    pub means: SignInMeans,
}

impl Owner {
    /// The token of the forms of the own page.
    pub fn csrf(&self, server: &Server) -> String {
        server.form_tokens.token(Purpose::OwnPage, self.signed_in.session.id.as_str())
    }
}

/// Lets the owner do something, or says what is missing.
pub async fn guarded(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    work: impl AsyncFnOnce(Owner) -> Result<Answer, RegistryError>,
) -> Answer {
    let answer = async {
        match owner(server, exchange, path).await? {
            Ok(owner) => work(owner).await,
            Err((outcome, draft)) => Ok(server.record_page(exchange, outcome, draft).await),
        }
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

/// The same for a form of one of these pages.
pub async fn submitted(
    server: &Server,
    exchange: &Exchange,
    path: &str,
    body: Incoming,
    work: impl AsyncFnOnce(Owner, Form) -> Result<Answer, RegistryError>,
) -> Answer {
    let form = match form::received(server, exchange, Event::Credential, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    guarded(server, exchange, path, async |owner: Owner| match checked(server, form, &owner.signed_in) {
        Some(form) => work(owner, form).await,
        None => Ok(refused(server, exchange, &owner.signed_in).await),
    })
    .await
}

/// Does what a form of the own page says that takes something away. That needs no sign-in of a short time ago, and works in every session: also in one that
/// somebody else's recovery opened.
pub async fn submitted_in_any_session(
    server: &Server,
    exchange: &Exchange,
    body: Incoming,
    work: impl AsyncFnOnce(SignedIn, Form) -> Result<Answer, RegistryError>,
) -> Answer {
    let form = match form::received(server, exchange, Event::Credential, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let answer = async {
        let Some(signed_in) = session::current(server, exchange).await? else {
            return Ok(server.record_page(exchange, Outcome::Denied, reply::see_other("/login?return_to=/me")).await);
        };
        match checked(server, form, &signed_in) {
            Some(form) => work(signed_in, form).await,
            None => Ok(refused(server, exchange, &signed_in).await),
        }
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

fn checked(server: &Server, form: UncheckedForm, signed_in: &SignedIn) -> Option<Form> {
    form.checked(&server.form_tokens, &[Purpose::OwnPage], Some(signed_in.session.id.as_str())).ok()
}

async fn refused(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Answer {
    let account = Account::new(Event::Credential, reply::agent(exchange, signed_in), Outcome::Denied, "form token refused");
    reply::recorded(server, exchange, account, form::outdated(exchange)).await
}

type Refused = (Outcome, Draft);

/// The person in this browser, if the sign-in is recent and nobody else's recovery opened the session; else what is answered instead.
pub async fn owner(server: &Server, exchange: &Exchange, path: &str) -> Result<Result<Owner, Refused>, RegistryError> {
    let sign_in = || reply::see_other(&format!("/login?return_to={path}"));
    let Some(signed_in) = session::current(server, exchange).await? else {
        return Ok(Err((Outcome::Success, sign_in())));
    };
    if signed_in.recovered_by().is_some() {
        return Ok(Err((
            Outcome::Denied,
            not_confirmed(exchange, "You cannot change how you sign in yet", "Todavía no puede cambiar cómo inicia sesión"),
        )));
    }
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    let details = &signed_in.session.details;
    let proven_at = if means.has_second_factor() { details.second_factor_at } else { Some(signed_in.session.authenticated_at) };
    let now = server.clock.now_seconds();
    let fresh = proven_at.is_some_and(|at| now.saturating_sub(at) <= SECOND_FACTOR_COUNTS_SECONDS);
    Ok(if fresh { Ok(Owner { signed_in, means }) } else { Err((Outcome::Success, sign_in())) })
}

/// What a person reads whose account was given back and not yet confirmed.
pub fn not_confirmed(exchange: &Exchange, title: &str, spanish_title: &str) -> Draft {
    reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            title,
            "Somebody gave this account back to you. A second person has not yet confirmed it.",
            "Until then this account opens no health records, and no app can be connected.",
            "Ask the people who run this server to confirm it. Or sign in with a passkey, an authenticator app or a recovery code that you had before.",
        ],
        [
            spanish_title,
            "Alguien le devolvió esta cuenta. Una segunda persona todavía no lo ha confirmado.",
            "Hasta entonces esta cuenta no abre ningún expediente médico, y no se puede conectar ninguna aplicación.",
            "Pida a quienes administran este servidor que lo confirmen. O inicie sesión con una llave de acceso, una aplicación de autenticación o un código de recuperación que usted ya tenía.",
        ],
    )
}

/// Answers with a page and records who saw it.
pub async fn shown(server: &Server, exchange: &Exchange, owner: &Owner, draft: Draft) -> Answer {
    let account = Account::new(Event::Page, reply::agent(exchange, &owner.signed_in), Outcome::Success, "");
    reply::recorded(server, exchange, account, draft).await
}

/// Makes a change and goes back to the own page.
pub async fn changed(
    server: &Server,
    exchange: &Exchange,
    owner: &Owner,
    change: Change,
    detail: &str,
) -> Result<Answer, RegistryError> {
    let account = Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), Outcome::Success, detail);
    reply::changed(server, exchange, change, account, reply::see_other(PAGE)).await
}

/// The form names nothing of this person: nothing happens, and that is recorded.
pub async fn nothing(server: &Server, exchange: &Exchange, owner: &Owner) -> Answer {
    let account =
        Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), Outcome::Rejected, "nothing to change");
    reply::recorded(server, exchange, account, reply::see_other(PAGE)).await
}
