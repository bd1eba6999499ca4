//! The authenticator app and the recovery codes on the own page.
//!
//! The secret of an app that is being added travels in the form, with a proof that this server made it for this session a short time ago; it is stored,
//! sealed, once a code of it was typed. Recovery codes come with the first second factor and are shown once.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::recovery;
use portcullis_oauth::totp::TotpSecret;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::sign_in::SignInChange;
use qrcode::{Color, EcLevel, QrCode};

use super::account::{self, Owner};
use crate::answer::{Answer, Draft};
use crate::authorization_server::accounts::second_factor::recovery_hash;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::Form;
use crate::authorization_server::reply::{self, Account};
use crate::context::{Borrowed, Server};
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{AuthenticatorPage, QrPicture, RecoveryCodesPage};

/// How long a secret that is shown may be confirmed, in seconds.
const SHOWN_SECONDS: i64 = 15 * 60;
const PAGE: &str = "/me/authenticator";

/// `GET /me/authenticator`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    account::guarded(server, exchange, PAGE, async |owner: Owner| {
        let secret = TotpSecret::generate(&mut Borrowed(&*server.entropy));
        let draft = page(server, &owner, &secret, StatusCode::OK);
        Ok(account::shown(server, exchange, &owner, draft).await)
    })
    .await
}

fn page(server: &Server, owner: &Owner, secret: &TotpSecret, status: StatusCode) -> Draft {
    let text = secret.base32();
    let at = server.clock.now_seconds();
    let issuer = server.settings.public_url.trim_start_matches("https://");
    let uri = secret.uri(&format!("Portcullis {issuer}"), &owner.signed_in.user.username);
    let html = AuthenticatorPage {
        reader: owner.signed_in.reader.clone(),
        person_name: owner.signed_in.user.display_name.clone(),
        sign_out_csrf: owner.csrf(server),
        csrf: owner.csrf(server),
        proof: format!("{at}.{}", server.form_tokens.token(Purpose::NewAuthenticator, &binding(owner, at, &text))),
        spaced_secret: spaced(&text),
        secret: text,
        picture: picture(&uri),
        uri,
        replaces: owner.means.totp.is_some(),
        is_wrong: status != StatusCode::OK,
    };
    reply::page(status, html.render(), None)
}

fn binding(owner: &Owner, at: i64, secret: &str) -> String {
    format!("{}\0{at}\0{secret}", owner.signed_in.session.id.as_str())
}

/// Groups of four, as a person types them.
fn spaced(text: &str) -> String {
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// The picture as one line of an SVG: along the middle of each row, one stroke for each run of dark modules. A square for each module would be five
/// times as long.
fn picture(uri: &str) -> Option<QrPicture> {
    let code = QrCode::with_error_correction_level(uri, EcLevel::M).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (row, modules) in modules.chunks(width).enumerate() {
        path.push_str(&format!("M0 {row}.5"));
        for run in modules.chunk_by(|one, next| one == next) {
            let stroke = if run.first() == Some(&Color::Dark) { 'h' } else { 'm' };
            path.push_str(&format!("{stroke}{}", run.len()));
            if stroke == 'm' {
                path.push_str(" 0");
            }
        }
    }
    Some(QrPicture { width, path })
}

/// The secret that the form carries, if this server showed it in this session a short time ago.
fn shown_secret(server: &Server, owner: &Owner, form: &Form) -> Option<TotpSecret> {
    let text = form.field("secret")?;
    let (at, tag) = form.field("proof")?.split_once('.')?;
    let at: i64 = at.parse().ok()?;
    let age = server.clock.now_seconds().saturating_sub(at);
    let genuine = server.form_tokens.accepts(Purpose::NewAuthenticator, &binding(owner, at, text), tag);
    TotpSecret::from_base32(text).filter(|_| genuine && (0..=SHOWN_SECONDS).contains(&age))
}

/// `POST /me/authenticator`
pub async fn add(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, PAGE, body, async |owner: Owner, form: Form| {
        let account =
            |detail: &str| Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), Outcome::Rejected, detail);
        let Some(secret) = shown_secret(server, &owner, &form) else {
            // Too old, or not ours: a new secret is shown.
            let account = account("authenticator app not added: expired");
            return Ok(reply::recorded(server, exchange, account, reply::see_other(PAGE)).await);
        };
        let code = form.field("code").unwrap_or_default();
        let Some(step) = secret.accepts(code, server.clock.now_seconds(), None) else {
            let draft = page(server, &owner, &secret, StatusCode::BAD_REQUEST);
            return Ok(reply::recorded(server, exchange, account("authenticator app not added: wrong code"), draft).await);
        };
        let change = SignInChange::SetTotp { user: owner.signed_in.user.id.clone(), secret, step };
        added(server, exchange, &owner, change, "authenticator app added").await
    })
    .await
}

/// A factor is added; with the first one come recovery codes. The session counts as one with a second factor: it was just shown.
pub async fn added(
    server: &Server,
    exchange: &Exchange,
    owner: &Owner,
    change: SignInChange,
    detail: &str,
) -> Result<Answer, RegistryError> {
    let user = owner.signed_in.user.id.clone();
    let method = match &change {
        SignInChange::AddPasskey { .. } => portcullis_oauth::session::Method::Passkey,
        _ => portcullis_oauth::session::Method::Totp,
    };
    let session = owner.signed_in.session.id.clone();
    let proven = SignInChange::NoteSecondFactor { session, method, now: server.clock.now_seconds() };
    let mut changes = vec![change, proven];
    let codes = if owner.means.recovery_codes == 0 { Some(new_codes(server, owner)) } else { None };
    if let Some((_, hashes)) = &codes {
        changes.push(SignInChange::SetRecoveryCodes { user, hashes: hashes.clone() });
    }
    let change = Change::SignIn(Box::new(SignInChange::Together(changes)));
    match codes {
        None => account::changed(server, exchange, owner, change, detail).await,
        Some((codes, _)) => {
            let detail = format!("{detail}; recovery codes made");
            let account = Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), Outcome::Success, detail);
            reply::changed(server, exchange, change, account, codes_page(server, owner, codes)).await
        }
    }
}

fn new_codes(server: &Server, owner: &Owner) -> (Vec<String>, Vec<[u8; 32]>) {
    let codes = recovery::generate(&mut Borrowed(&*server.entropy));
    let user = &owner.signed_in.user.id;
    let hash = |code: &String| recovery::normalised(code).map(|code| recovery_hash(server, user, &code));
    let hashes = codes.iter().filter_map(hash).collect();
    (codes, hashes)
}

fn codes_page(server: &Server, owner: &Owner, codes: Vec<String>) -> Draft {
    let person_name = owner.signed_in.user.display_name.clone();
    let html =
        RecoveryCodesPage { reader: owner.signed_in.reader.clone(), person_name, sign_out_csrf: owner.csrf(server), codes };
    reply::page(StatusCode::OK, html.render(), None)
}

/// `POST /me/authenticator/remove`
pub async fn remove(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, account::PAGE, body, async |owner: Owner, _form: Form| {
        if owner.means.totp.is_none() {
            return Ok(account::nothing(server, exchange, &owner).await);
        }
        let change = SignInChange::RemoveTotp(owner.signed_in.user.id.clone());
        account::changed(server, exchange, &owner, Change::SignIn(Box::new(change)), "authenticator app removed").await
    })
    .await
}

/// `POST /me/recovery-codes`
pub async fn renew_codes(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted(server, exchange, account::PAGE, body, async |owner: Owner, _form: Form| {
        if !owner.means.has_second_factor() {
            return Ok(account::nothing(server, exchange, &owner).await);
        }
        let (codes, hashes) = new_codes(server, &owner);
        let change = SignInChange::SetRecoveryCodes { user: owner.signed_in.user.id.clone(), hashes };
        let account =
            Account::new(Event::Credential, reply::agent(exchange, &owner.signed_in), Outcome::Success, "recovery codes made");
        reply::changed(server, exchange, Change::SignIn(Box::new(change)), account, codes_page(server, &owner, codes)).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_every_dark_module_once_and_is_short() {
        let uri = format!("otpauth://totp/Portcullis:somebody?secret={}&issuer=Portcullis", "A".repeat(32));
        let code = QrCode::with_error_correction_level(&uri, EcLevel::M).unwrap();
        let (width, modules) = (code.width(), code.to_colors());
        let picture = picture(&uri).unwrap();
        let mut drawn = vec![Color::Light; width * width];
        for (row, strokes) in picture.path.split('M').skip(1).enumerate() {
            let (start, strokes) = strokes.split_at(format!("0 {row}.5").len());
            assert_eq!(start, format!("0 {row}.5"));
            let mut column = 0;
            let strokes = strokes.replace(" 0", "").replace('h', " h").replace('m', " m");
            for (kind, length) in strokes.split_whitespace().map(|stroke| stroke.split_at(1)) {
                let length: usize = length.parse().unwrap();
                if kind == "h" {
                    drawn[row * width + column..][..length].fill(Color::Dark);
                }
                column += length;
            }
            assert_eq!(column, width);
        }
        assert!(drawn == modules);
        assert!(picture.path.len() < 8_000, "{}", picture.path.len());
    }
}
