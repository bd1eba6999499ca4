//! Choosing a password: by a one-time link (invitation or reset), or on the own page.
//!
//! NIST SP 800-63B section 5.1.1.2: at least twelve characters, no rules of composition, not on the list of passwords that attackers know, where the
//! operator has one. A link counts once and ends; opening it changes nothing, so that mail scanners do not use it up.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{LINK_USED, LinkPurpose, OneTimeLink, SignInChange};

use super::password::{PasswordProblem, Usable};
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::authorize::field;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form, UncheckedForm};
use crate::authorization_server::own_page::account::{self, Owner};
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, FormBinding};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui;
use crate::ui::pages::NewPasswordPage;

/// The page of a link; what follows is the link's secret.
const PATH: &str = "/set-password?link=";
const OWN_PAGE: &str = "/me/password";

/// The address that opens a link.
pub fn address(server: &Server, secret: &str) -> String {
    format!("{}{PATH}{secret}", server.settings.public_url)
}

/// The same of a secret, still one.
pub fn secret_address(server: &Server, secret: &Secret<String>) -> Secret<String> {
    Secret::new(address(server, secret.expose()))
}

/// `GET /set-password`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let query = match page_query::received(server, exchange, &["link"]).await {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    let secret = field(&query, "link").unwrap_or_default();
    let draft = match opened(server, secret).await {
        Ok(Some((_, user))) => link_page(server, exchange, secret, &user, None),
        Ok(None) => return used(server, exchange).await,
        Err(error) => return server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    };
    server.record_page(exchange, Outcome::Success, draft).await
}

async fn opened(server: &Server, secret: &str) -> Result<Option<(OneTimeLink, User)>, RegistryError> {
    let Some(link) = server.registry.one_time_link(&SecretHash::of(secret), server.clock.now_seconds()).await? else {
        return Ok(None);
    };
    Ok(server.registry.user(&link.user).await?.map(|user| (link, user)))
}

fn link_page(server: &Server, exchange: &Exchange, secret: &str, user: &User, problem: Option<PasswordProblem>) -> Draft {
    let binding = FormBinding::of(server, exchange);
    let html = NewPasswordPage {
        reader: exchange.reader().at(&format!("{PATH}{secret}")),
        username: user.username.clone(),
        csrf: server.form_tokens.token(Purpose::SetPassword, &binding.value),
        link: Some(secret.to_owned()),
        sign_out_csrf: None,
        problem: problem.map(|problem| problem.said(exchange.language)),
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    binding.kept(reply::page(status, html.render(), None))
}

/// Unknown, used and old links look the same.
async fn used(server: &Server, exchange: &Exchange) -> Answer {
    // The page does not repeat the address, in which the secret of the link stands.
    let draft = ui::error(
        &exchange.reader().at("/login"),
        StatusCode::GONE,
        [
            "This link does not work any more",
            "It was used already, its time is over, or a newer one was made.",
            "Your password was not changed.",
            "Ask the people who sent it for a new link.",
        ],
        [
            "Este enlace ya no sirve",
            "Ya se usó, venció o se creó otro más reciente.",
            "Su contraseña no cambió.",
            "Pida un enlace nuevo a quienes se lo enviaron.",
        ],
    );
    let account = Account::new(Event::Credential, exchange.agent(), Outcome::Denied, "one-time link refused");
    reply::recorded(server, exchange, account, draft).await
}

/// `POST /set-password`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Credential, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    match attempt(server, exchange, form).await {
        Ok(answer) => answer,
        Err(RegistryError::Conflict(LINK_USED)) => used(server, exchange).await,
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    }
}

async fn attempt(server: &Server, exchange: &Exchange, form: UncheckedForm) -> Result<Answer, RegistryError> {
    let secret = form.hint("link").unwrap_or_default().to_owned();
    let Some((link, user)) = opened(server, &secret).await? else { return Ok(used(server, exchange).await) };
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::SetPassword], session::form_binding(exchange)) else {
        let draft =
            link_page(server, exchange, &secret, &user, Some(PasswordProblem::ExpiredForm)).with_status(StatusCode::FORBIDDEN);
        let account = Account::new(Event::Credential, exchange.agent(), Outcome::Denied, "form token refused");
        return Ok(reply::recorded(server, exchange, account, draft).await);
    };
    let password_hash = match chosen(server, &form).await? {
        Ok(hash) => hash,
        Err(problem) => {
            let draft = link_page(server, exchange, &secret, &user, Some(problem));
            let account =
                Account::new(Event::Credential, exchange.agent(), Outcome::Rejected, format!("password refused: {problem:?}"));
            return Ok(reply::recorded(server, exchange, account, draft).await);
        }
    };
    let agent = Agent { user: Some(user.id.as_str().to_owned()), ..exchange.agent() };
    let detail = match link.purpose {
        LinkPurpose::Invitation => format!("first password set; invited by {}", link.created_by),
        LinkPurpose::Forgotten if link.created_by == user.id.as_str() => {
            "password set anew by a link that was asked for by mail".to_owned()
        }
        LinkPurpose::Reset | LinkPurpose::Forgotten => format!("password set anew; recovered by {}", link.created_by),
    };
    let change = SignInChange::SetPasswordByLink { hash: SecretHash::of(&secret), password_hash };
    let account = Account::new(Event::Credential, agent, Outcome::Success, detail);
    // Whoever has the link is let in by it: from here on, strangers who guess at this name keep this browser waiting no more.
    let known = session::set_device(server, &user.id, server.clock.now_seconds());
    let draft = reply::see_other("/login").with_text(header::SET_COOKIE, &session::clear());
    let draft = draft.with_text(header::SET_COOKIE, &known);
    reply::changed(server, exchange, Change::SignIn(Box::new(change)), account, draft).await
}

/// The hash of the password in the form, or what is wrong with it.
async fn chosen(server: &Server, form: &Form) -> Result<Result<Secret<String>, PasswordProblem>, RegistryError> {
    let password = Secret::new(form.field("password").unwrap_or_default().to_owned());
    let mut salt = [0; 16];
    server.entropy.fill(&mut salt);
    let judged = server.passwords.hash_if_usable(password, salt).await;
    Ok(match judged.map_err(|error| RegistryError::Unavailable(Box::new(error)))? {
        Usable::Hash(hash) => Ok(hash),
        Usable::Not(problem) => Err(problem),
    })
}

/// `GET /me/password`
pub async fn show_own(server: &Server, exchange: &Exchange) -> Answer {
    account::guarded(server, exchange, OWN_PAGE, async |owner: Owner| {
        let draft = own_page(server, &owner, None);
        Ok(account::shown(server, exchange, &owner, draft).await)
    })
    .await
}

fn own_page(server: &Server, owner: &Owner, problem: Option<PasswordProblem>) -> Draft {
    let html = NewPasswordPage {
        reader: owner.signed_in.reader.clone(),
        username: owner.signed_in.user.username.clone(),
        csrf: owner.csrf(server),
        link: None,
        sign_out_csrf: Some(owner.csrf(server)),
        problem: problem.map(|problem| problem.said(owner.signed_in.reader.language)),
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    reply::page(status, html.render(), None)
}

/// `POST /me/password`
pub async fn change_own(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, OWN_PAGE, body, async |owner: Owner, form: Form| {
        let password_hash = match chosen(server, &form).await? {
            Ok(hash) => hash,
            Err(problem) => {
                let draft = own_page(server, &owner, Some(problem));
                let agent = reply::agent(exchange, &owner.signed_in);
                let account = Account::new(Event::Credential, agent, Outcome::Rejected, format!("password refused: {problem:?}"));
                return Ok(reply::recorded(server, exchange, account, draft).await);
            }
        };
        let (user, but) = (owner.signed_in.user.id.clone(), owner.signed_in.session.id.clone());
        let change = SignInChange::SetPassword { user, password_hash, but };
        account::changed(server, exchange, &owner, Change::SignIn(Box::new(change)), "password changed; other sessions ended")
            .await
    })
    .await
}
