//! `/me/mail`: a person says where letters go, and shows to read there.
//!
//! Nothing changes before a code that went to the new address comes back, typed into the same session; the code is made of the session, the address and
//! the time, so nothing is stored for it. Then the address before and the new one are both told. A letter holds a code and no link: nobody shall learn to
//! sign in by way of letters.

use http::{StatusCode, header};
use portcullis_audit::record::{Event, Outcome};
use portcullis_jose::constant_time;
use portcullis_outbound::MailAddress;
use portcullis_store::RegistryError;
use portcullis_store::mail::{LetterKind, MAIL_FULL, MailChange, PersonalAddress};
use portcullis_store::registry::Change;

use super::account::{self, Owner};
use crate::answer::{Answer, Draft};
use crate::authorization_server::form::Form;
use crate::authorization_server::reply::{self, Account};
use crate::context::Server;
use crate::listener::Incoming;
use crate::mail::compose::{self, Facts};
use crate::mail::notices;
use crate::resource_server::Exchange;
use crate::ui::pages::{MailAddressPage, MailConfirmation};

/// Where the page is.
const PAGE: &str = "/me/mail";
/// How long a code counts, in seconds.
const CODE_SECONDS: i64 = 15 * 60;
/// The most codes that a person is sent within an hour: they go to addresses of anybody.
const CODES_PER_HOUR: usize = 5;
/// The characters of a code: 32 that nobody takes for each other (Crockford's Base32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many of them it has: 60 bits, which nobody guesses within its time.
const CODE_LENGTH: usize = 12;

/// Why an attempt ends where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NoAddress,
    SameAddress,
    WrongCode,
    TooManyCodes,
    MailFull,
}

impl Problem {
    fn status(self) -> StatusCode {
        match self {
            Self::NoAddress | Self::SameAddress | Self::WrongCode => StatusCode::BAD_REQUEST,
            Self::TooManyCodes => StatusCode::TOO_MANY_REQUESTS,
            Self::MailFull => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For the record: an address stands in none.
    fn detail(self) -> &'static str {
        match self {
            Self::NoAddress => "mail address not changed: no address",
            Self::SameAddress => "mail address not changed: the same",
            Self::WrongCode => "mail address not changed: wrong or old code",
            Self::TooManyCodes => "mail address not changed: too many codes",
            Self::MailFull => "mail address not changed: too much mail waits",
        }
    }

    fn said(self, owner: &Owner) -> &'static str {
        let reader = &owner.signed_in.reader;
        match self {
            Self::NoAddress => reader.say(
                "Type an email address, such as name@example.org.",
                "Escriba una dirección de correo, como nombre@example.org.",
            ),
            Self::SameAddress => reader.say("We send messages there already.", "Ya enviamos los mensajes allí."),
            Self::WrongCode => reader.say(
                "This code is wrong or too old. Ask for a new one.",
                "Este código es incorrecto o muy viejo. Pida uno nuevo.",
            ),
            Self::TooManyCodes => reader.say(
                "We sent many codes in the last hour. Wait an hour, then try again.",
                "Enviamos muchos códigos en la última hora. Espere una hora e inténtelo otra vez.",
            ),
            Self::MailFull => {
                reader.say("We cannot send mail now. Try again later.", "Ahora no podemos enviar correo. Inténtelo más tarde.")
            }
        }
    }
}

/// `GET /me/mail`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    account::guarded(server, exchange, PAGE, async |owner: Owner| {
        if !server.mail.is_configured() {
            return Ok(no_mail(server, exchange, &owner).await);
        }
        let draft = page(server, &owner, None, None).await?;
        Ok(account::shown(server, exchange, &owner, draft).await)
    })
    .await
}

/// `POST /me/mail`: asks for a code for an address, or brings the code.
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, PAGE, body, async |owner: Owner, form: Form| {
        if !server.mail.is_configured() {
            return Ok(no_mail(server, exchange, &owner).await);
        }
        let typed = MailAddress::parse(form.field("address").unwrap_or_default().trim());
        let Some(address) = typed.map(|address| address.as_str().to_owned()) else {
            return refused(server, exchange, &owner, Problem::NoAddress).await;
        };
        let before = server.registry.address_of(&owner.signed_in.user.id).await?;
        if before.is_some_and(|before| before.address.eq_ignore_ascii_case(&address)) {
            return refused(server, exchange, &owner, Problem::SameAddress).await;
        }
        let address = PersonalAddress {
            user: owner.signed_in.user.id.clone(),
            address,
            language: owner.signed_in.reader.language.tag().to_owned(),
            vouched_by: None,
        };
        let typed = form.field("code").unwrap_or_default();
        match form.field("made_at") {
            None => send_code(server, exchange, &owner, address).await,
            Some(made_at) if accepts(server, &owner, &address, (made_at, typed)) => {
                change(server, exchange, &owner, address).await
            }
            Some(_) => refused(server, exchange, &owner, Problem::WrongCode).await,
        }
    })
    .await
}

async fn send_code(
    server: &Server,
    exchange: &Exchange,
    owner: &Owner,
    address: PersonalAddress,
) -> Result<Answer, RegistryError> {
    let now = server.clock.now_seconds();
    let sent = server.registry.letters_of(&address.user).await?;
    let is_recent = |kind, created_at: i64| kind == LetterKind::AddressConfirmation && now.saturating_sub(created_at) < 3600;
    if sent.iter().filter(|letter| is_recent(letter.kind, letter.created_at)).count() >= CODES_PER_HOUR {
        return refused(server, exchange, owner, Problem::TooManyCodes).await;
    }
    let facts = Facts { code: Some(code(server, owner, &address, now)), ..Facts::default() };
    let letter = compose::written(server, &owner.signed_in.user, &address, (LetterKind::AddressConfirmation, facts))?;
    let change = notices::with([letter], Change::Nothing);
    let waiting = MailConfirmation { address: address.address, made_at: now.to_string() };
    let draft = page(server, owner, Some(waiting), None).await?;
    let account = told(exchange, owner, Outcome::Success, "code for a mail address asked for");
    match reply::changed(server, exchange, change, account, draft).await {
        Err(RegistryError::Conflict(MAIL_FULL)) => refused(server, exchange, owner, Problem::MailFull).await,
        answered => answered,
    }
}

async fn change(server: &Server, exchange: &Exchange, owner: &Owner, address: PersonalAddress) -> Result<Answer, RegistryError> {
    let facts = Facts::default();
    let letter = compose::written(server, &owner.signed_in.user, &address, (LetterKind::AddressConfirmed, facts))?;
    let set = MailChange::SetAddress { user: address.user.clone(), address: Some(address) };
    // The letter to the address before comes with the change, as with every change of an address.
    let change = notices::with([letter], Change::Mail(Box::new(set)));
    account::changed(server, exchange, owner, change, "mail address changed").await
}

/// The code for an address at a time, in groups of four.
fn code(server: &Server, owner: &Owner, address: &PersonalAddress, made_at: i64) -> String {
    let session = owner.signed_in.session.id.as_str();
    let text = format!("{session}\0{made_at}\0{}", address.address);
    let bytes = server.form_tokens.fingerprint("mail address", &text);
    let characters = bytes.iter().take(CODE_LENGTH).filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
    let characters: Vec<char> = characters.map(|byte| char::from(*byte)).collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

fn accepts(server: &Server, owner: &Owner, address: &PersonalAddress, (made_at, typed): (&str, &str)) -> bool {
    let Ok(made_at) = made_at.parse::<i64>() else { return false };
    let age = server.clock.now_seconds().saturating_sub(made_at);
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|character| !character.is_whitespace() && *character != '-');
        let kept = kept.map(|character| match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        });
        kept.collect()
    };
    let right = plain(&code(server, owner, address, made_at));
    (0..=CODE_SECONDS).contains(&age) && constant_time::equal(right.as_bytes(), plain(typed).as_bytes())
}

async fn page(
    server: &Server,
    owner: &Owner,
    waiting: Option<MailConfirmation>,
    problem: Option<Problem>,
) -> Result<Draft, RegistryError> {
    let current = server.registry.address_of(&owner.signed_in.user.id).await?;
    let html = MailAddressPage {
        reader: owner.signed_in.reader.clone(),
        person_name: owner.signed_in.user.display_name.clone(),
        sign_out_csrf: owner.csrf(server),
        csrf: owner.csrf(server),
        current: current.map(|current| current.address),
        waiting,
        problem: problem.map(|problem| problem.said(owner).to_owned()),
    };
    let status = problem.map_or(StatusCode::OK, Problem::status);
    Ok(reply::page(status, html.render(), None))
}

async fn refused(server: &Server, exchange: &Exchange, owner: &Owner, problem: Problem) -> Result<Answer, RegistryError> {
    let draft = page(server, owner, None, Some(problem)).await?;
    let draft = match problem {
        Problem::TooManyCodes => draft.with_text(header::RETRY_AFTER, "3600"),
        _ => draft,
    };
    Ok(reply::recorded(server, exchange, told(exchange, owner, Outcome::Rejected, problem.detail()), draft).await)
}

fn told(exchange: &Exchange, owner: &Owner, outcome: Outcome, detail: &str) -> Account {
    Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), outcome, detail)
}

/// There is no mail: nothing is here.
async fn no_mail(server: &Server, exchange: &Exchange, owner: &Owner) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::NOT_FOUND,
        [
            "This server sends no mail",
            "The people who run it have set up no mail server.",
            "Nothing was changed.",
            "Go back to your page.",
        ],
        [
            "Este servidor no envía correo",
            "Quienes lo administran no han configurado un servidor de correo.",
            "No se cambió nada.",
            "Vuelva a su página.",
        ],
    );
    reply::recorded(server, exchange, told(exchange, owner, Outcome::Rejected, "no mail is configured"), draft).await
}
