//! The browser's session: a cookie that only this server reads, found in the registry by its hash.
//!
//! RFC 6265bis: `__Host-` prefix, Secure, HttpOnly, SameSite=Lax, so that it comes with a link from an app and never with a foreign form.

use http::{HeaderMap, header};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::session::{IDLE_SECONDS, LIFETIME_SECONDS};
use portcullis_oauth::users::{Roles, User};
use portcullis_store::RegistryError;
use portcullis_store::registry::Session;

use super::csrf::Purpose;
use crate::answer::Draft;
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::ui::Reader;

/// The session's cookie.
const SESSION: &str = "__Host-portcullis-session";
/// The cookie that binds the sign-in form to a browser.
const FORM: &str = "__Host-portcullis-form";
/// The cookie that tells a browser in which its person has signed in before; it opens nothing.
const DEVICE: &str = "__Host-portcullis-device";
/// How long a browser is known, in seconds: as long as browsers keep a cookie (RFC 6265bis, section 5.5).
const DEVICE_LIFETIME_SECONDS: i64 = 400 * 24 * 3600;

/// Somebody who is signed in, in this browser.
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The person.
    pub user: User,
    /// The language of the pages.
    pub reader: Reader,
}

impl SignedIn {
    /// Who gave the account back, where nothing has yet confirmed that its owner has it.
    pub fn recovered_by(&self) -> Option<&str> {
        self.session.details.recovered_by.as_deref()
    }
}

/// Who is signed in. Somebody whose account was given back by somebody else, and not confirmed, is nobody to every rule that is about data: without
/// roles, patients and record.
pub async fn current(server: &Server, exchange: &Exchange) -> Result<Option<SignedIn>, RegistryError> {
    let Some(session) = open_here(server, exchange).await? else { return Ok(None) };
    server.registry.note_session_use(&session, server.clock.now_seconds());
    let Some(user) = server.registry.user(&session.user).await? else { return Ok(None) };
    let mut user = user.acting_at(server.clock.now_seconds());
    if session.details.recovered_by.is_some() {
        user = User { roles: Roles::NONE, patients: Vec::new(), represents: Vec::new(), fhir_user: None, ..user };
    }
    Ok(Some(SignedIn { session, user, reader: exchange.reader() }))
}

/// The session of this browser that has neither ended nor been idle for too long.
pub async fn open_here(server: &Server, exchange: &Exchange) -> Result<Option<Session>, RegistryError> {
    let Some(cookie) = cookie(exchange, SESSION) else { return Ok(None) };
    let session = server.registry.session(&SecretHash::of(cookie)).await?;
    let now = server.clock.now_seconds();
    Ok(session.filter(|session| session.expires_at > now && !is_idle(session, now)))
}

/// Whether no page was opened in it for too long.
pub fn is_idle(session: &Session, now: i64) -> bool {
    now.saturating_sub(session.details.last_used_at) > IDLE_SECONDS
}

/// The value that binds the sign-in form to this browser, where it has one.
pub fn form_binding(exchange: &Exchange) -> Option<&str> {
    cookie(exchange, FORM)
}

/// What binds the forms before a sign-in to this browser.
#[derive(Debug)]
pub struct FormBinding {
    /// Its value.
    pub value: String,
    /// The header that gives it to the browser, where it has none yet.
    set: Option<String>,
}

impl FormBinding {
    /// The browser's own, or a new one.
    pub fn of(server: &Server, exchange: &Exchange) -> Self {
        if let Some(known) = form_binding(exchange) {
            return Self { value: known.to_owned(), set: None };
        }
        let value = format!("{:032x}", server.random_u128());
        Self { set: Some(set_form_binding(&value)), value }
    }

    /// The page with the header that it needs.
    pub fn kept(&self, draft: Draft) -> Draft {
        match &self.set {
            Some(set) => draft.with_text(header::SET_COOKIE, set),
            None => draft,
        }
    }
}

/// The header that gives a browser its binding for the sign-in form.
fn set_form_binding(value: &str) -> String {
    format!("{FORM}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600")
}

/// The header that gives a browser its session.
pub fn set(value: &str) -> String {
    set_for(value, LIFETIME_SECONDS)
}

/// The same for the seconds that are left of it.
pub fn set_for(value: &str, seconds: i64) -> String {
    format!("{SESSION}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

/// The header that makes this browser known as one in which the user has signed in.
pub fn set_device(server: &Server, user: &UserId, now: i64) -> String {
    let device = format!("{now}.{:032x}", server.random_u128());
    let tag = server.form_tokens.token(Purpose::Device, &device_binding(user, &device));
    format!("{DEVICE}={device}.{tag}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={DEVICE_LIFETIME_SECONDS}")
}

/// The mark of this browser, if this user has signed in here before.
pub fn device<'a>(server: &Server, exchange: &'a Exchange, user: &UserId, now: i64) -> Option<&'a str> {
    let (device, tag) = cookie(exchange, DEVICE)?.rsplit_once('.')?;
    let known = server.form_tokens.accepts(Purpose::Device, &device_binding(user, device), tag);
    let since: i64 = device.split_once('.')?.0.parse().ok()?;
    (known && now.saturating_sub(since) < DEVICE_LIFETIME_SECONDS).then_some(device)
}

fn device_binding(user: &UserId, device: &str) -> String {
    format!("{}\0{device}", user.as_str())
}

/// The header that takes the session's cookie away.
pub fn clear() -> String {
    format!("{SESSION}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// A cookie that stands exactly once; two of the same name are a trick.
pub(super) fn cookie<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    cookie_of(&exchange.headers, name)
}

/// The same of these headers.
pub(crate) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.to_str().ok()?.split(';') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            if key == name && found.replace(value).is_some() {
                return None;
            }
        }
    }
    found.filter(|value| !value.is_empty())
}
