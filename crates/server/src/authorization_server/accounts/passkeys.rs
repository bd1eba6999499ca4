//! Signing in with a passkey, and adding one on the own page (WebAuthn Level 3; the rules are in [`portcullis_oauth::passkey`]).
//!
//! A challenge carries its own proof (time, browser, purpose), so that opening the sign-in page stores nothing; one that was answered is spent in the
//! transaction that it opens. Passkeys are discoverable: the device knows whose it is, and nobody types a name.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::base64url;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::passkey::{self, Assertion, Expected, PasskeyError};
use portcullis_oauth::session::{Method, Methods};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::{FACTOR_USED, FactorUse, LOCKED, Passkey, SignInChange, SpentChallenge};

use super::{login, sign_in};
use crate::answer::Answer;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form, UncheckedForm};
use crate::authorization_server::own_page::account::{self, Owner};
use crate::authorization_server::own_page::factors;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{LoginError, NewPasskeyPage, PasskeyForm};

/// How long a challenge may be answered, in seconds.
const CHALLENGE_SECONDS: i64 = 15 * 60;
/// The longest name of a passkey, in characters.
const MAXIMUM_NAME: usize = 60;
/// The page on which one is added.
const PAGE: &str = "/me/passkey";

/// A new challenge as the page has it: base64url.
fn challenge(server: &Server, purpose: Purpose, binding: &str) -> String {
    let head = format!("{}.{:032x}", server.clock.now_seconds(), server.random_u128());
    let tag = server.form_tokens.token(purpose, &format!("{head}\0{binding}"));
    base64url::encode(format!("{head}.{tag}"))
}

/// The challenge, if it was made for this, here, a short time ago.
fn accepted(server: &Server, purpose: Purpose, binding: &str, challenge: &str) -> Option<SpentChallenge> {
    let text = String::from_utf8(base64url::decode(challenge)?).ok()?;
    let (head, tag) = text.rsplit_once('.')?;
    let made_at: i64 = head.split_once('.')?.0.parse().ok()?;
    let age = server.clock.now_seconds().saturating_sub(made_at);
    let genuine = server.form_tokens.accepts(purpose, &format!("{head}\0{binding}"), tag);
    let expires_at = made_at.saturating_add(CHALLENGE_SECONDS);
    (genuine && (0..=CHALLENGE_SECONDS).contains(&age)).then(|| SpentChallenge { hash: SecretHash::of(challenge), expires_at })
}

fn expected<'a>(server: &'a Server, challenge: &'a str) -> Expected<'a> {
    let origin = server.settings.public_url.as_str();
    Expected { challenge, origin, relying_party: passkey::relying_party(origin) }
}

/// The form of the sign-in pages; it shows where the browser knows passkeys.
pub fn sign_in_form(server: &Server, binding: &str, return_to: &str) -> PasskeyForm {
    PasskeyForm {
        csrf: server.form_tokens.token(Purpose::Login, binding),
        challenge: challenge(server, Purpose::PasskeyChallenge, binding),
        relying_party: passkey::relying_party(&server.settings.public_url).to_owned(),
        return_to: return_to.to_owned(),
    }
}

/// Why a sign-in with a passkey fails.
enum Refused {
    /// The page was open for too long, or is another browser's.
    Expired,
    /// The answer does not prove anything. Why is for the record.
    Denied(String),
    Registry(RegistryError),
}

impl From<RegistryError> for Refused {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<PasskeyError> for Refused {
    fn from(error: PasskeyError) -> Self {
        Self::Denied(format!("passkey: {error}"))
    }
}

/// `POST /login/passkey`
pub async fn sign_in(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let form = match form::received(server, exchange, Event::Login, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let return_to = login::return_path(form.hint("return_to"));
    let detail = match attempt(server, exchange, form, &return_to).await {
        Ok(answer) => return answer,
        Err(Refused::Expired) => return login::expired(server, exchange, &return_to).await,
        Err(Refused::Denied(detail)) => detail,
        Err(Refused::Registry(error)) => {
            let account = login::account(exchange, Outcome::Failed, "registry failed");
            return reply::recorded(server, exchange, account, reply::unavailable(exchange, &error)).await;
        }
    };
    let attempt = login::Attempt { return_to: &return_to, username: "", error: Some(LoginError::UnknownPasskey) };
    let draft = login::page(server, exchange, &attempt).await;
    reply::recorded(server, exchange, login::account(exchange, Outcome::Denied, detail), draft).await
}

async fn attempt(server: &Server, exchange: &Exchange, form: UncheckedForm, return_to: &str) -> Result<Answer, Refused> {
    let binding = session::form_binding(exchange).ok_or(Refused::Expired)?;
    let form = form.checked(&server.form_tokens, &[Purpose::Login], Some(binding)).map_err(|_| Refused::Expired)?;
    let field = |name: &str| form.field(name).unwrap_or_default();
    let bytes = |name: &str| base64url::decode(field(name)).ok_or(PasskeyError::Malformed);
    let spent = accepted(server, Purpose::PasskeyChallenge, binding, field("challenge")).ok_or(Refused::Expired)?;
    let id = passkey::read_credential_id(field("credential")).ok_or(PasskeyError::Malformed)?;
    let Some((owner, known)) = server.registry.passkey(&id).await? else {
        return Err(Refused::Denied("passkey: unknown".to_owned()));
    };
    let (client_data, authenticator_data) = (bytes("client_data")?, bytes("authenticator_data")?);
    let signature = bytes("signature")?;
    let assertion = Assertion { client_data: &client_data, authenticator_data: &authenticator_data, signature: &signature };
    let sign_count = passkey::verify(&assertion, &known.key, &expected(server, field("challenge")))?;
    // "Verify that response.userHandle is present [and] that the user account identified by it contains [the] credential record" (section 7.2).
    if bytes("user_handle")? != passkey::user_handle(owner.as_str()) {
        return Err(Refused::Denied("passkey: of another user".to_owned()));
    }
    let user = server.registry.user(&owner).await?.ok_or_else(|| Refused::Denied("passkey: the user is gone".to_owned()))?;
    let factor = FactorUse::Passkey { id, sign_count, challenge: spent };
    let methods = Methods::of([Method::Passkey]);
    let proof = sign_in::Proof { user: &user, methods, factor: Some(factor), forget: Vec::new(), return_to };
    match sign_in::open(server, exchange, proof).await {
        Ok(answer) => Ok(answer),
        Err(RegistryError::Conflict(LOCKED)) => Ok(login::locked(server, exchange, &user, return_to).await),
        Err(RegistryError::Conflict(FACTOR_USED)) => Err(Refused::Denied("passkey: answered before".to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// `GET /me/passkey`
pub async fn show_new(server: &Server, exchange: &Exchange) -> Answer {
    account::guarded(server, exchange, PAGE, async |owner: Owner| {
        let draft = new_page(server, &owner, StatusCode::OK, None);
        Ok(account::shown(server, exchange, &owner, draft).await)
    })
    .await
}

fn new_page(server: &Server, owner: &Owner, status: StatusCode, problem: Option<&str>) -> crate::answer::Draft {
    let User { id, username, display_name, .. } = &owner.signed_in.user;
    let session = owner.signed_in.session.id.as_str();
    let html = NewPasskeyPage {
        reader: owner.signed_in.reader.clone(),
        person_name: display_name.clone(),
        sign_out_csrf: owner.csrf(server),
        csrf: owner.csrf(server),
        challenge: challenge(server, Purpose::NewPasskey, session),
        relying_party: passkey::relying_party(&server.settings.public_url).to_owned(),
        user_handle: base64url::encode(passkey::user_handle(id.as_str())),
        username: username.clone(),
        known: owner.means.passkeys.iter().map(|passkey| base64url::encode(&passkey.key.id)).collect::<Vec<_>>().join(" "),
        problem: problem.map(str::to_owned),
    };
    reply::page_with_script(status, html.render(), None)
}

/// `POST /me/passkey`
pub async fn add(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, PAGE, body, async |owner: Owner, form: Form| {
        let session = owner.signed_in.session.id.as_str();
        let field = |name: &str| form.field(name).unwrap_or_default();
        let made = accepted(server, Purpose::NewPasskey, session, field("challenge")).and_then(|spent| {
            let client_data = base64url::decode(field("client_data"))?;
            let attestation = base64url::decode(field("attestation"))?;
            Some((spent, passkey::register(&client_data, &attestation, &expected(server, field("challenge")))))
        });
        let (spent, key) = match made {
            Some((spent, Ok(key))) => (spent, key),
            refused => {
                let why = refused
                    .and_then(|(_, error)| error.err())
                    .map_or("expired or unreadable".to_owned(), |error| error.to_string());
                return not_added(server, exchange, &owner, &why).await;
            }
        };
        let name: String = field("name").trim().chars().filter(|character| !character.is_control()).take(MAXIMUM_NAME).collect();
        let name = if name.is_empty() { exchange.language.say("Passkey", "Llave de acceso").to_owned() } else { name };
        let passkey = Passkey { key, name, created_at: server.clock.now_seconds(), last_used_at: None };
        let user = owner.signed_in.user.id.clone();
        let change = SignInChange::AddPasskey { user, passkey: Box::new(passkey), challenge: spent };
        match factors::added(server, exchange, &owner, change, "passkey added").await {
            Err(RegistryError::Conflict(why)) => not_added(server, exchange, &owner, why).await,
            added => added,
        }
    })
    .await
}

async fn not_added(server: &Server, exchange: &Exchange, owner: &Owner, why: &str) -> Result<Answer, RegistryError> {
    let said = exchange.language.say(
        "This passkey could not be added. Try once more, or use another device.",
        "No se pudo agregar esta llave de acceso. Inténtelo otra vez, o use otro dispositivo.",
    );
    let draft = new_page(server, owner, StatusCode::BAD_REQUEST, Some(said));
    let agent = reply::agent(exchange, &owner.signed_in);
    let account = Account::new(Event::Credential, agent, Outcome::Rejected, format!("passkey not added: {why}"));
    Ok(reply::recorded(server, exchange, account, draft).await)
}

/// `POST /me/passkey/remove`
pub async fn remove(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, account::PAGE, body, async |owner: Owner, form: Form| {
        let id = form.field("passkey").and_then(passkey::read_credential_id);
        let known = id.filter(|id| owner.means.passkeys.iter().any(|passkey| passkey.key.id == *id));
        let Some(id) = known else { return Ok(account::nothing(server, exchange, &owner).await) };
        let others = owner.means.passkeys.len() > 1;
        if !others && !owner.means.has_password {
            return Ok(account::nothing(server, exchange, &owner).await);
        }
        let change = SignInChange::RemovePasskey { user: owner.signed_in.user.id.clone(), id };
        account::changed(server, exchange, &owner, Change::SignIn(Box::new(change)), "passkey removed").await
    })
    .await
}
