//! The browser's session: a cookie that only this server reads, found in the registry by its hash.
//!
//! RFC 6265bis: `__Host-` prefix, Secure, HttpOnly, SameSite=Lax, so that it comes with a link from an app and never with a foreign form.

use http::header;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Session;

use super::csrf::Purpose;
use crate::context::Server;
use crate::resource_server::Exchange;

/// The session's cookie.
const SESSION: &str = "__Host-portcullis-session";
/// The cookie that binds the sign-in form to a browser.
const FORM: &str = "__Host-portcullis-form";
/// The cookie that tells a browser in which its person has signed in before; it opens nothing.
const DEVICE: &str = "__Host-portcullis-device";
/// How long a browser is known, in seconds: as long as browsers keep a cookie (RFC 6265bis, section 5.5).
const DEVICE_LIFETIME_SECONDS: i64 = 400 * 24 * 3600;
/// How long a session lasts, in seconds.
pub const LIFETIME_SECONDS: i64 = 8 * 3600;

/// Somebody who is signed in, in this browser.
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The person.
    pub user: User,
}

/// Who is signed in.
pub async fn current(server: &Server, exchange: &Exchange) -> Result<Option<SignedIn>, RegistryError> {
    let Some(cookie) = cookie(exchange, SESSION) else { return Ok(None) };
    let Some(session) = server.registry.session(&SecretHash::of(cookie)).await? else { return Ok(None) };
    if session.expires_at <= server.clock.now_seconds() {
        return Ok(None);
    }
    let user = server.registry.user(&session.user).await?;
    Ok(user.map(|user| SignedIn { session, user }))
}

/// The value that binds the sign-in form to this browser, where it has one.
pub fn form_binding(exchange: &Exchange) -> Option<&str> {
    cookie(exchange, FORM)
}

/// The header that gives a browser its binding for the sign-in form.
pub fn set_form_binding(value: &str) -> String {
    format!("{FORM}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600")
}

/// The header that gives a browser its session.
pub fn set(value: &str) -> String {
    format!("{SESSION}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIFETIME_SECONDS}")
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
fn cookie<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a str> {
    let mut found = None;
    for header in exchange.headers.get_all(header::COOKIE) {
        for pair in header.to_str().ok()?.split(';') {
            let Some((key, value)) = pair.trim().split_once('=') else { continue };
            if key == name && found.replace(value).is_some() {
                return None;
            }
        }
    }
    found.filter(|value| !value.is_empty())
}
