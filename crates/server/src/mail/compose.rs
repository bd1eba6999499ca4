//! Writing a letter: whom to, in which language, with which facts.

use portcullis_jose::Secret;
use portcullis_oauth::client_display::shown;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::language::Language;
use portcullis_oauth::users::User;
use portcullis_outbound::{Letter, MailAddress};
use portcullis_store::RegistryError;
use portcullis_store::mail::{LetterKind, NewLetter, PersonalAddress};
use serde::{Deserialize, Serialize};

use super::words;
use crate::context::Server;

/// How long a letter is tried that only tells of something, in seconds.
const TELLING_SECONDS: i64 = 2 * 24 * 3600;
/// The most characters of a name that a letter repeats.
const MAXIMUM_NAME: usize = 100;

/// What a letter says beyond its kind.
#[derive(Debug, Default)]
pub struct Facts {
    /// The link, with its end in seconds since the epoch.
    pub link: Option<(Secret<String>, i64)>,
    /// The browser and the network of a sign-in.
    pub place: Option<(String, String)>,
    /// The code that is typed into a page.
    pub code: Option<String>,
    /// Who did it, where that is somebody else.
    pub other: Option<String>,
}

/// What is kept of a letter until it went.
#[derive(Serialize, Deserialize)]
struct Written {
    to: String,
    subject: String,
    text: String,
    written_at: u64,
}

/// What is kept of a request for a new password until it is answered.
#[derive(Serialize, Deserialize)]
struct Typed {
    typed: String,
}

/// The letter to a person, if there is an address to send it to.
pub async fn letter(server: &Server, user: &UserId, kind: LetterKind, facts: Facts) -> Result<Option<NewLetter>, RegistryError> {
    let Some(address) = server.registry.address_of(user).await? else { return Ok(None) };
    let Some(user) = server.registry.user(user).await? else { return Ok(None) };
    Ok(Some(written(server, &user, &address, (kind, facts))?))
}

/// The letter to a person at this address.
pub fn written(
    server: &Server,
    user: &User,
    address: &PersonalAddress,
    (kind, facts): (LetterKind, Facts),
) -> Result<NewLetter, RegistryError> {
    let now = server.clock.now_seconds();
    let language = Language::of_tag(&address.language).unwrap_or(server.settings.language);
    let host = server.settings.public_url.strip_prefix("https://").unwrap_or_default();
    let gives_up_at = facts.link.as_ref().map_or(now.saturating_add(TELLING_SECONDS), |(_, until)| *until);
    let name = |text: &str| shown(text, MAXIMUM_NAME);
    let about = words::About { person: &name(&user.display_name), username: &name(&user.username), host, at: now, facts: &facts };
    let (subject, text) = words::say(kind, language, &about);
    let written = Written { to: address.address.clone(), subject, text, written_at: u64::try_from(now).unwrap_or_default() };
    kept(server, Some(user.id.clone()), kind, &written, gives_up_at)
}

/// What is kept of somebody who asks for a new password: the name that was typed, whoever that is.
pub fn password_request(server: &Server, typed: &str) -> Result<NewLetter, RegistryError> {
    let gives_up_at = server.clock.now_seconds().saturating_add(3600);
    kept(server, None, LetterKind::PasswordRequest, &Typed { typed: typed.to_owned() }, gives_up_at)
}

fn kept(
    server: &Server,
    user: Option<UserId>,
    kind: LetterKind,
    content: &impl Serialize,
    gives_up_at: i64,
) -> Result<NewLetter, RegistryError> {
    let content = serde_json::to_vec(content).map_err(|error| RegistryError::Corrupt(error.to_string()))?;
    Ok(NewLetter {
        id: format!("{:032x}", server.random_u128()),
        user,
        kind,
        about: None,
        content: Secret::new(content),
        gives_up_at,
    })
}

/// A stored letter as it is sent; `None` where it cannot be read.
pub fn letter_of(id: &str, content: &Secret<Vec<u8>>) -> Option<Letter> {
    let Written { to, subject, text, written_at } = serde_json::from_slice(content.expose()).ok()?;
    Some(Letter { id: id.to_owned(), to: MailAddress::parse(&to)?, subject, text, written_at })
}

/// The name that a request for a new password is about.
pub fn typed_name(content: &Secret<Vec<u8>>) -> Option<String> {
    serde_json::from_slice::<Typed>(content.expose()).ok().map(|typed| typed.typed)
}
