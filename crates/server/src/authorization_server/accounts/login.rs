//! Signing in with name and password, and signing out.

use http::{StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::Secret;
use portcullis_oauth::parameters::MAXIMUM_BYTES;
use portcullis_oauth::session::{Method, Methods};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::LOCKED;

use super::attempts::Attempts;
use super::{passkeys, password, second_factor, sign_in};
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::authorize;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, UncheckedForm};
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, FormBinding};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::Reader;
use crate::ui::pages::{LoginError, LoginPage, SignedOutPage};

/// Where a person goes after signing in without having come from an app.
const DEFAULT_RETURN: &str = "/me";
/// The longest return path, in bytes: an authorization request with all its parameters fits.
const MAXIMUM_RETURN: usize = MAXIMUM_BYTES + 256;

/// The longest name that is looked up, in characters: a mail address fits (RFC 5321 section 4.5.3.1.3).
const MAXIMUM_NAME: usize = 254;

/// `GET /login`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let parameters = match page_query::received(server, exchange, &["return_to"]).await {
        Ok(parameters) => parameters,
        Err(answer) => return answer,
    };
    let return_to = return_path(parameters.value("return_to").ok().flatten());
    let draft = page(server, exchange, &Attempt { return_to: &return_to, username: "", error: None }).await;
    server.record_page(exchange, Outcome::Success, draft).await
}

/// What the sign-in page repeats of the attempt before.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// Where to go afterwards.
    pub return_to: &'a str,
    /// The name that was typed; empty: what the app suggests (`login_hint`).
    pub username: &'a str,
    /// Why the attempt failed; it decides the status.
    pub error: Option<LoginError>,
}

/// The sign-in page, with the cookie that binds its form to this browser.
pub async fn page(server: &Server, exchange: &Exchange, attempt: &Attempt<'_>) -> Draft {
    let Attempt { return_to, username, error } = *attempt;
    let status = match error {
        None | Some(LoginError::AnotherAccount) => StatusCode::OK,
        Some(LoginError::WrongCredentials | LoginError::UnknownPasskey) => StatusCode::UNAUTHORIZED,
        Some(LoginError::Wait { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(LoginError::ExpiredForm | LoginError::Locked) => StatusCode::FORBIDDEN,
    };
    let binding = FormBinding::of(server, exchange);
    let waiting = authorize::waiting_request(server, return_to).await;
    let hint = waiting.as_ref().and_then(|waiting| waiting.request.login_hint.as_deref());
    let origin = waiting.as_ref().map(|waiting| waiting.request.redirect.origin());
    let html = LoginPage {
        reader: reader(exchange, return_to),
        app_name: waiting
            .as_ref()
            .map(|waiting| crate::authorization_server::authorization::asking_app::shown_name(&waiting.client)),
        csrf: server.form_tokens.token(Purpose::Login, &binding.value),
        return_to: return_to.to_owned(),
        username: if username.is_empty() { typed_name(hint.unwrap_or_default()) } else { username.to_owned() },
        again: return_to.starts_with("/me/"),
        passkey: passkeys::sign_in_form(server, &binding.value, return_to),
        providers: super::federation::buttons(server, return_to),
        forgotten: server.mail.is_configured(),
        error,
    };
    binding.kept(reply::page_with_script(status, html.render(), origin))
}

/// Who reads the sign-in page. Elsewhere than at its own address it is found again by where the sign-in leads: that says no more than what counts.
fn reader(exchange: &Exchange, return_to: &str) -> Reader {
    let reader = exchange.reader();
    let is_own_address = exchange.method == http::Method::GET && exchange.target.path() == "/login";
    if is_own_address { reader } else { reader.at(return_to) }
}

/// A name as it is looked up: trimmed, of bounded length, without control characters.
pub fn typed_name(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(MAXIMUM_NAME).collect()
}

/// `POST /login`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Login, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    match attempt(server, exchange, form).await {
        Ok(answer) => answer,
        Err(error) => {
            let draft = reply::unavailable(exchange, &error);
            reply::recorded(server, exchange, account(exchange, Outcome::Failed, "registry failed"), draft).await
        }
    }
}

async fn attempt(server: &Server, exchange: &Exchange, form: UncheckedForm) -> Result<Answer, RegistryError> {
    let return_to = return_path(form.hint("return_to"));
    let username = typed_name(form.hint("username").unwrap_or_default());
    let blank = Attempt { return_to: &return_to, username: &username, error: None };
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Login], session::form_binding(exchange)) else {
        let draft = page(server, exchange, &Attempt { error: Some(LoginError::ExpiredForm), ..blank }).await;
        return Ok(reply::recorded(server, exchange, account(exchange, Outcome::Denied, "form token refused"), draft).await);
    };
    let password = form.field("password").unwrap_or_default();
    let _turn = server.passwords.turn(&username).await;
    let user = server.registry.user_named(&username).await?;
    let attempts = Attempts::of(server, exchange, &username, user.as_ref());
    if let Some(seconds) = attempts.wait_seconds(server).await? {
        return Ok(wait(server, exchange, user.as_ref(), &blank, seconds).await);
    }
    let typed = Secret::new(password.to_owned());
    // Whoever was invited and has no password yet is to the clock a name that nobody has.
    let hash = user.as_ref().map(|user| user.password_hash.expose().clone()).filter(|hash| !hash.is_empty()).map(Secret::new);
    let right = password.len() <= password::MAXIMUM_LENGTH
        && server.passwords.verify(typed, hash).await.map_err(|error| RegistryError::Unavailable(Box::new(error)))?;
    match user {
        Some(user) if right => go_on(server, exchange, &user, &return_to, attempts).await,
        user => refuse(server, exchange, user.as_ref(), &blank, attempts).await,
    }
}

/// Too many wrong passwords: nothing is tried, and whoever asks learns how long to wait, whether there is such a name or not.
async fn wait(server: &Server, exchange: &Exchange, user: Option<&User>, blank: &Attempt<'_>, seconds: i64) -> Answer {
    let minutes = u32::try_from(seconds.saturating_add(59) / 60).unwrap_or(1);
    let draft = page(server, exchange, &Attempt { error: Some(LoginError::Wait { minutes }), ..*blank }).await;
    let draft = draft.with_text(header::RETRY_AFTER, &seconds.to_string());
    let detail = user.map_or_else(|| "must wait: unknown name".to_owned(), |user| format!("must wait: {}", user.id));
    reply::recorded(server, exchange, account(exchange, Outcome::Denied, detail), draft).await
}

/// A wrong password looks like an unknown name: same text, same status, same time, same waiting times.
async fn refuse(
    server: &Server,
    exchange: &Exchange,
    user: Option<&User>,
    blank: &Attempt<'_>,
    attempts: Attempts,
) -> Result<Answer, RegistryError> {
    let draft = page(server, exchange, &Attempt { error: Some(LoginError::WrongCredentials), ..*blank }).await;
    let detail = user.map_or_else(|| "unknown name".to_owned(), |user| format!("wrong password: {}", user.id));
    let account = account(exchange, Outcome::Denied, detail);
    let change = Change::CountFailure { counters: attempts.counters(), now: server.clock.now_seconds() };
    reply::changed(server, exchange, change, account, draft).await
}

/// The password was right: a second factor is asked for where there is one, else the session is opened.
async fn go_on(
    server: &Server,
    exchange: &Exchange,
    user: &User,
    return_to: &str,
    attempts: Attempts,
) -> Result<Answer, RegistryError> {
    let means = server.registry.sign_in_means(&user.id).await?;
    if means.locked_at.is_some() {
        return Ok(locked(server, exchange, user, return_to).await);
    }
    if means.has_second_factor() {
        return Ok(second_factor::ask(server, exchange, user, &means, return_to).await);
    }
    let methods = Methods::of([Method::Password]);
    let proof = sign_in::Proof { user, methods, factor: None, forget: attempts.forgotten(), return_to };
    match sign_in::open(server, exchange, proof).await {
        Err(RegistryError::Conflict(LOCKED)) => Ok(locked(server, exchange, user, return_to).await),
        opened => opened,
    }
}

/// The account is locked. Only whoever has proven to be its owner is told.
pub async fn locked(server: &Server, exchange: &Exchange, user: &User, return_to: &str) -> Answer {
    let draft = page(server, exchange, &Attempt { return_to, username: &user.username, error: Some(LoginError::Locked) }).await;
    reply::recorded(server, exchange, account(exchange, Outcome::Denied, format!("locked account: {}", user.id)), draft).await
}

/// The form was made for another browser, or too long ago: the person starts again.
pub async fn expired(server: &Server, exchange: &Exchange, return_to: &str) -> Answer {
    let draft = page(server, exchange, &Attempt { return_to, username: "", error: Some(LoginError::ExpiredForm) }).await;
    reply::recorded(server, exchange, account(exchange, Outcome::Denied, "form token refused"), draft).await
}

/// Where the answer to a form may lead: the app's origin, where an app waits.
pub async fn redirect_origin(server: &Server, return_to: &str) -> Option<String> {
    let waiting = authorize::waiting_request(server, return_to).await?;
    Some(waiting.request.redirect.origin().to_owned())
}

/// `POST /logout`
pub async fn sign_out(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Logout, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let signed_in = match session::current(server, exchange).await {
        Ok(signed_in) => signed_in,
        Err(error) => {
            let account = account(exchange, Outcome::Failed, "registry failed");
            return reply::recorded(server, exchange, account, reply::unavailable(exchange, &error)).await;
        }
    };
    // Whoever signs out to let somebody else decide about an app goes on with that app's request.
    let next = form.hint("return_to").map(|path| return_path(Some(path)));
    let page = || {
        let draft = match &next {
            Some(path) => reply::see_other(path),
            None => reply::page(StatusCode::OK, SignedOutPage { reader: exchange.reader() }.render(), None),
        };
        draft.with_text(header::SET_COOKIE, &session::clear())
    };
    let Some(signed_in) = signed_in else {
        return server.record_page(exchange, Outcome::Success, page()).await;
    };
    // The pages on the way to an app have one token for both of their forms.
    let purposes = [Purpose::OwnPage, Purpose::Consent];
    if form.checked(&server.form_tokens, &purposes, Some(signed_in.session.id.as_str())).is_err() {
        let account = Account::new(Event::Logout, reply::agent(exchange, &signed_in), Outcome::Denied, "form token refused");
        return reply::recorded(server, exchange, account, form::outdated(exchange)).await;
    }
    let agent = reply::agent(exchange, &signed_in);
    let account = Account::new(Event::Logout, agent, Outcome::Success, "signed out");
    let change = Change::CloseSession(signed_in.session.id);
    match reply::changed(server, exchange, change, account, page()).await {
        Ok(answer) => answer,
        Err(error) => {
            let account = self::account(exchange, Outcome::Failed, "registry failed");
            reply::recorded(server, exchange, account, reply::unavailable(exchange, &error)).await
        }
    }
}

/// The record of a sign-in that somebody not yet known attempts.
pub fn account(exchange: &Exchange, outcome: Outcome, detail: impl Into<String>) -> Account {
    Account::new(Event::Login, exchange.agent(), outcome, detail)
}

/// A path of this server and nothing else: what could lead elsewhere becomes the default.
pub fn return_path(requested: Option<&str>) -> String {
    return_path_or(requested, DEFAULT_RETURN)
}

/// The same with another default.
pub fn return_path_or(requested: Option<&str>, default: &str) -> String {
    let ours = |path: &&str| {
        let mut bytes = path.bytes();
        bytes.next() == Some(b'/')
            && !matches!(bytes.next(), Some(b'/' | b'\\'))
            && path.len() <= MAXIMUM_RETURN
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    requested.filter(ours).unwrap_or(default).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_path_cannot_lead_to_another_site() {
        for path in ["https://evil.example", "//evil.example", "/\\evil.example", "", "me", "/a b", "/\r\nset-cookie:x", "/é"] {
            assert_eq!(return_path(Some(path)), DEFAULT_RETURN, "{path}");
        }
        assert_eq!(return_path(Some("/oauth/authorize?client_id=a&scope=b+c")), "/oauth/authorize?client_id=a&scope=b+c");
        assert_eq!(return_path(None), DEFAULT_RETURN);
        // Whoever signs in for the longest request that an app may send comes back to it.
        let longest = format!("{}{}", authorize::PATH, "x".repeat(MAXIMUM_BYTES));
        assert_eq!(return_path(Some(&longest)), longest);
        assert_eq!(return_path(Some(&format!("/{}", "x".repeat(MAXIMUM_RETURN)))), DEFAULT_RETURN);
    }
}
