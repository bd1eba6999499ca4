//! The second factor: after the right password, or in a session for which an app's request needs one (step-up).
//!
//! Between password and second factor nothing is stored: the page carries a proof that the password was right, bound to the person, the password, this
//! browser and five minutes. It opens nothing without the factor. Wrong codes count as wrong passwords do ([`super::attempts`]).

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::recovery;
use portcullis_oauth::session::{Method, Methods};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, Session};
use portcullis_store::sign_in::{FACTOR_USED, FactorUse, LOCKED, SignInChange, SignInMeans};

use super::attempts::Attempts;
use super::passkeys;
use super::{login, sign_in};
use crate::answer::{Answer, Draft};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form, UncheckedForm};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, FormBinding, SignedIn};
use crate::context::{Borrowed, Server};
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::Reader;
use crate::ui::pages::{SecondFactorError, SecondFactorPage};

/// How long after the password the second factor is taken, in seconds.
const PENDING_SECONDS: i64 = 300;

/// Asks for the second factor after the right password.
pub async fn ask(server: &Server, exchange: &Exchange, user: &User, means: &SignInMeans, return_to: &str) -> Answer {
    let binding = session::form_binding(exchange).unwrap_or_default();
    let pending = pending(server, user, (binding, Method::Password), server.clock.now_seconds());
    let csrf = server.form_tokens.token(Purpose::Login, binding);
    let asked = Asked { means, pending: &pending, csrf: &csrf, return_to };
    let draft = asked.page(server, exchange, None).await;
    let agent = Agent { user: Some(user.id.as_str().to_owned()), ..exchange.agent() };
    let account = Account::new(Event::Page, agent, Outcome::Success, "right password; the second factor is asked for");
    reply::recorded(server, exchange, account, draft).await
}

/// Asks for the second factor after another provider vouched; the change spends what was brought from there, and the cookie goes with it.
pub async fn ask_federated(
    server: &Server,
    exchange: &Exchange,
    user: &User,
    (means, change, clear): (&SignInMeans, Change, &str),
    return_to: &str,
) -> Result<Answer, RegistryError> {
    // The browser may come without ever having seen the form of the sign-in page.
    let binding = FormBinding::of(server, exchange);
    let pending = pending(server, user, (&binding.value, Method::Federation), server.clock.now_seconds());
    let csrf = server.form_tokens.token(Purpose::Login, &binding.value);
    let asked = Asked { means, pending: &pending, csrf: &csrf, return_to };
    let draft =
        binding.kept(asked.bare_page(server, exchange.reader(), &binding, None).await).with_text(header::SET_COOKIE, clear);
    let agent = Agent { user: Some(user.id.as_str().to_owned()), ..exchange.agent() };
    let account = Account::new(Event::Page, agent, Outcome::Success, "another provider vouched; the second factor is asked for");
    reply::changed(server, exchange, change, account, draft).await
}

/// The page that asks for a second factor in a session.
pub async fn step_up_page(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    means: &SignInMeans,
    return_to: &str,
) -> Draft {
    let csrf = server.form_tokens.token(Purpose::StepUp, signed_in.session.id.as_str());
    Asked { means, pending: "", csrf: &csrf, return_to }.page(server, exchange, None).await
}

/// What is asked, of whom, and where it leads.
struct Asked<'a> {
    means: &'a SignInMeans,
    /// Empty in a session.
    pending: &'a str,
    csrf: &'a str,
    return_to: &'a str,
}

impl Asked<'_> {
    async fn page(&self, server: &Server, exchange: &Exchange, error: Option<SecondFactorError>) -> Draft {
        let binding = FormBinding::of(server, exchange);
        binding.kept(self.bare_page(server, exchange.reader(), &binding, error).await)
    }

    /// The page without the header that binds its forms to the browser.
    async fn bare_page(&self, server: &Server, reader: Reader, binding: &FormBinding, error: Option<SecondFactorError>) -> Draft {
        let reader = reader.at(self.return_to);
        let status = match error {
            None => StatusCode::OK,
            Some(SecondFactorError::WrongCode) => StatusCode::UNAUTHORIZED,
            Some(SecondFactorError::Wait { .. }) => StatusCode::TOO_MANY_REQUESTS,
        };
        let passkey = (!self.means.passkeys.is_empty()).then(|| passkeys::sign_in_form(server, &binding.value, self.return_to));
        let html = SecondFactorPage {
            reader,
            csrf: self.csrf.to_owned(),
            pending: self.pending.to_owned(),
            return_to: self.return_to.to_owned(),
            has_app: self.means.totp.is_some(),
            has_recovery_codes: self.means.recovery_codes > 0,
            in_session: self.pending.is_empty(),
            passkey,
            error,
        };
        let origin = login::redirect_origin(server, self.return_to).await;
        reply::page_with_script(status, html.render(), origin.as_deref())
    }
}

fn pending_binding(user: &User, at: i64, (browser, first): (&str, Method)) -> String {
    format!("{}\0{at}\0{browser}\0{}\0{}", user.id.as_str(), first.as_str(), user.password_hash.expose())
}

/// The proof that the first factor was right: a password, or another provider's word.
fn pending(server: &Server, user: &User, (browser, first): (&str, Method), at: i64) -> String {
    let tag = server.form_tokens.token(Purpose::PasswordPassed, &pending_binding(user, at, (browser, first)));
    format!("{tag}.{at}.{}.{}", first.as_str(), user.id.as_str())
}

/// Whose first factor was right, and which it was, if it was, in this browser, a short time ago.
async fn passed(server: &Server, exchange: &Exchange, pending: &str) -> Result<Option<(User, Method)>, RegistryError> {
    let mut parts = pending.splitn(4, '.');
    let (Some(tag), Some(at)) = (parts.next(), parts.next().and_then(|at| at.parse::<i64>().ok())) else { return Ok(None) };
    let named = parts.next();
    let first = [Method::Password, Method::Federation].into_iter().find(|method| Some(method.as_str()) == named);
    let (Some(first), Some(user)) = (first, parts.next()) else { return Ok(None) };
    let age = server.clock.now_seconds().saturating_sub(at);
    let (Some(id), true) = (UserId::parse(user), (0..=PENDING_SECONDS).contains(&age)) else { return Ok(None) };
    let browser = session::form_binding(exchange).unwrap_or_default();
    let user = server.registry.user(&id).await?;
    let genuine =
        |user: &User| server.form_tokens.accepts(Purpose::PasswordPassed, &pending_binding(user, at, (browser, first)), tag);
    Ok(user.filter(genuine).map(|user| (user, first)))
}

/// `POST /login/second`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Login, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    match attempt(server, exchange, form).await {
        Ok(answer) => answer,
        Err(error) => {
            let account = login::account(exchange, Outcome::Failed, "registry failed");
            reply::recorded(server, exchange, account, reply::unavailable(exchange, &error)).await
        }
    }
}

/// Who gives a second factor: after the password, or in a session.
enum Giver {
    AfterFirst(User, Method),
    InSession(Box<SignedIn>),
}

async fn attempt(server: &Server, exchange: &Exchange, form: UncheckedForm) -> Result<Answer, RegistryError> {
    let return_to = login::return_path(form.hint("return_to"));
    let Some((giver, form)) = giver(server, exchange, form).await? else {
        return Ok(login::expired(server, exchange, &return_to).await);
    };
    let field = |name: &str| form.field(name).unwrap_or_default();
    let user = match &giver {
        Giver::AfterFirst(user, _) => user,
        Giver::InSession(signed_in) => &signed_in.user,
    };
    let means = server.registry.sign_in_means(&user.id).await?;
    let asked = Asked { means: &means, pending: field("pending"), csrf: form.token(), return_to: &return_to };
    let _turn = server.passwords.turn(&user.username).await;
    let attempts = Attempts::of(server, exchange, &user.username, Some(user));
    if let Some(seconds) = attempts.wait_seconds(server).await? {
        let minutes = u32::try_from(seconds.saturating_add(59) / 60).unwrap_or(1);
        let draft = asked.page(server, exchange, Some(SecondFactorError::Wait { minutes })).await;
        let draft = draft.with_text(header::RETRY_AFTER, &seconds.to_string());
        let account = login::account(exchange, Outcome::Denied, format!("must wait: {}", user.id));
        return Ok(reply::recorded(server, exchange, account, draft).await);
    }
    let Some((factor, method)) = judged(server, user, &means, field("code")) else {
        return refuse(server, exchange, user, &asked, attempts).await;
    };
    let forget = attempts.forgotten();
    let done = match &giver {
        Giver::AfterFirst(user, first) => {
            let methods = Methods::of([*first, method]);
            let proof = sign_in::Proof { user, methods, factor: Some(factor), forget, return_to: &return_to };
            sign_in::open(server, exchange, proof).await
        }
        Giver::InSession(signed_in) => step_up(server, exchange, signed_in, (factor, method), &return_to).await,
    };
    match done {
        Err(RegistryError::Conflict(FACTOR_USED)) => refuse(server, exchange, user, &asked, attempts).await,
        Err(RegistryError::Conflict(LOCKED)) => Ok(login::locked(server, exchange, user, &return_to).await),
        done => done,
    }
}

async fn giver(server: &Server, exchange: &Exchange, form: UncheckedForm) -> Result<Option<(Giver, Form)>, RegistryError> {
    if form.hint("pending").is_none() {
        let Some(signed_in) = session::current(server, exchange).await? else { return Ok(None) };
        let form = form.checked(&server.form_tokens, &[Purpose::StepUp], Some(signed_in.session.id.as_str()));
        return Ok(form.ok().map(|form| (Giver::InSession(Box::new(signed_in)), form)));
    }
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Login], session::form_binding(exchange)) else {
        return Ok(None);
    };
    let passed = passed(server, exchange, form.field("pending").unwrap_or_default()).await?;
    Ok(passed.map(|(user, first)| (Giver::AfterFirst(user, first), form)))
}

/// What was typed, if it may be a factor of this person. Whether a recovery code is one of theirs the registry says when it is used up.
fn judged(server: &Server, user: &User, means: &SignInMeans, typed: &str) -> Option<(FactorUse, Method)> {
    let now = server.clock.now_seconds();
    if let Some(step) = means.totp.as_ref().and_then(|totp| totp.secret.accepts(typed, now, Some(totp.last_step))) {
        return Some((FactorUse::Totp { step }, Method::Totp));
    }
    let code = recovery::normalised(typed)?;
    Some((FactorUse::RecoveryCode { hash: recovery_hash(server, &user.id, &code) }, Method::RecoveryCode))
}

/// What a recovery code is stored as.
pub fn recovery_hash(server: &Server, user: &UserId, code: &str) -> [u8; 32] {
    server.form_tokens.fingerprint("recovery-code", &format!("{}\0{code}", user.as_str()))
}

async fn refuse(
    server: &Server,
    exchange: &Exchange,
    user: &User,
    asked: &Asked<'_>,
    attempts: Attempts,
) -> Result<Answer, RegistryError> {
    let draft = asked.page(server, exchange, Some(SecondFactorError::WrongCode)).await;
    let account = login::account(exchange, Outcome::Denied, format!("wrong second factor: {}", user.id));
    let change = Change::CountFailure { counters: attempts.counters(), now: server.clock.now_seconds() };
    reply::changed(server, exchange, change, account, draft).await
}

/// The session goes on, under a new cookie, with the second factor of this moment. When the person signed in stays what it was.
async fn step_up(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    (factor, method): (FactorUse, Method),
    return_to: &str,
) -> Result<Answer, RegistryError> {
    let now = server.clock.now_seconds();
    let (cookie, hash) = SecretHash::generate(&mut Borrowed(&*server.entropy));
    let mut renewed: Session = signed_in.session.clone();
    renewed.details.methods = renewed.details.methods.with(method);
    renewed.details.second_factor_at = Some(now);
    renewed.details.last_used_at = now;
    let remaining = renewed.expires_at.saturating_sub(now);
    let change = SignInChange::UseFactor {
        user: signed_in.user.id.clone(),
        factor,
        then: Box::new(Change::SignIn(Box::new(SignInChange::RenewSession { session: renewed, hash, forget: Vec::new() }))),
    };
    let draft = reply::see_other(return_to).with_text(header::SET_COOKIE, &session::set_for(cookie.expose(), remaining));
    let account = Account::new(Event::Login, reply::agent(exchange, signed_in), Outcome::Success, "second factor given again");
    reply::changed(server, exchange, Change::SignIn(Box::new(change)), account, draft).await
}
