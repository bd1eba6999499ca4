//! `/login/forgotten`: a person asks for a link by mail that sets another password.
//!
//! OWASP Forgot Password Cheat Sheet. The answer is the same whether there is such an account or not, and so is the work: what was typed is stored, and
//! somebody else looks later whom it is about ([`crate::mail::delivery`]). Requests are counted as wrong passwords are, under counters of their own, so
//! that nobody is kept from signing in because somebody else asked. Only where there is a mail server; otherwise there is no such page.

use http::{StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::attempts::Attempts;
use super::login::typed_name;
use crate::answer::{Answer, Draft};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, UncheckedForm};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, FormBinding};
use crate::context::Server;
use crate::listener::Incoming;
use crate::mail::{compose, notices};
use crate::resource_server::Exchange;
use crate::ui;
use crate::ui::pages::{ForgottenPage, ForgottenProblem, ForgottenState};

/// `GET /login/forgotten`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    if !server.mail.is_configured() {
        return absent(server, exchange).await;
    }
    let draft = page(server, exchange, ForgottenState::Asked(None));
    server.record_page(exchange, Outcome::Success, draft).await
}

/// `POST /login/forgotten`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    if !server.mail.is_configured() {
        return absent(server, exchange).await;
    }
    let form = match form::received(server, exchange, Event::Credential, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    reply::or_unavailable(server, exchange, attempt(server, exchange, form).await).await
}

async fn absent(server: &Server, exchange: &Exchange) -> Answer {
    server.record_page(exchange, Outcome::Rejected, ui::not_found(exchange)).await
}

async fn attempt(server: &Server, exchange: &Exchange, form: UncheckedForm) -> Result<Answer, RegistryError> {
    let account = |outcome, detail: &str| Account::new(Event::Credential, exchange.agent(), outcome, detail);
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Forgotten], session::form_binding(exchange)) else {
        let asked = ForgottenState::Asked(Some(ForgottenProblem::Expired));
        let draft = page(server, exchange, asked).with_status(StatusCode::FORBIDDEN);
        return Ok(reply::recorded(server, exchange, account(Outcome::Denied, "form token refused"), draft).await);
    };
    let typed = typed_name(form.field(ui::field::USERNAME).unwrap_or_default());
    if typed.is_empty() {
        let asked = ForgottenState::Asked(Some(ForgottenProblem::Empty));
        let draft = page(server, exchange, asked).with_status(StatusCode::BAD_REQUEST);
        return Ok(reply::recorded(server, exchange, account(Outcome::Rejected, "no name"), draft).await);
    }
    let _turn = server.passwords.turn(&typed).await;
    let attempts = Attempts::at_new_password(server, exchange, &typed);
    if let Some(seconds) = attempts.wait_seconds(server).await? {
        let minutes = u32::try_from(seconds.saturating_add(59) / 60).unwrap_or(1);
        let draft = page(server, exchange, ForgottenState::Wait { minutes }).with_status(StatusCode::TOO_MANY_REQUESTS);
        let draft = draft.with_text(header::RETRY_AFTER, &seconds.to_string());
        return Ok(reply::recorded(server, exchange, account(Outcome::Denied, "must wait: new password asked for"), draft).await);
    }
    let counted = Change::CountFailure { counters: attempts.counters(), now: server.clock.now_seconds() };
    let change = notices::with([compose::password_request(server, &typed)?], counted);
    let draft = page(server, exchange, ForgottenState::Taken);
    reply::changed(server, exchange, change, account(Outcome::Success, "new password asked for by mail"), draft).await
}

fn page(server: &Server, exchange: &Exchange, state: ForgottenState) -> Draft {
    let binding = FormBinding::of(server, exchange);
    let csrf = server.form_tokens.token(Purpose::Forgotten, &binding.value);
    let html = ForgottenPage { reader: exchange.reader(), csrf, state };
    binding.kept(reply::page(StatusCode::OK, html.render(), None))
}
