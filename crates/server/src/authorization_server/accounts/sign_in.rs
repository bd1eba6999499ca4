//! The end of a sign-in, whatever was proven: the session, its cookie, and where the person goes on.
//!
//! The cookie is a new one each time, so that one that somebody planted before is worth nothing afterwards. In a browser where the same person is signed
//! in the session goes on under the new cookie; anybody else's session there ends.

use http::header;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::SessionId;
use portcullis_oauth::lockout::AttemptKey;
use portcullis_oauth::session::{LIFETIME_SECONDS, Methods};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, Session};
use portcullis_store::sign_in::{FactorUse, SessionDetails, SignInChange};

use crate::answer::Answer;
use crate::authorization_server::authorization::authorize;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::{place, session};
use crate::context::{Borrowed, Server};
use crate::mail::notices;
use crate::resource_server::Exchange;

/// What was proven, and what follows.
#[derive(Debug)]
pub struct Proof<'a> {
    /// Who.
    pub user: &'a User,
    /// How.
    pub methods: Methods,
    /// The second factor that is used up with it.
    pub factor: Option<FactorUse>,
    /// The counters of failures that begin anew.
    pub forget: Vec<AttemptKey>,
    /// Where to go on.
    pub return_to: &'a str,
}

/// What another provider said of a sign-in, and what goes with it.
pub struct Vouched<'a> {
    /// When the person signed in there, in seconds since the epoch.
    pub authenticated_at: i64,
    /// When a second factor was given there, where the provider is trusted in that, in seconds since the epoch.
    pub second_factor_at: Option<i64>,
    /// The header that takes the cookie of the attempt away.
    pub cookie: String,
    /// Makes the change one that spends what was brought from there.
    pub spend: &'a (dyn Fn(Change) -> Change + Send + Sync),
}

/// Opens a session, or goes on with that of the same person in this browser.
pub async fn open(server: &Server, exchange: &Exchange, proof: Proof<'_>) -> Result<Answer, RegistryError> {
    open_vouched(server, exchange, proof, None).await
}

/// The same for a sign-in that another provider may have vouched for.
pub async fn open_vouched(
    server: &Server,
    exchange: &Exchange,
    proof: Proof<'_>,
    vouched: Option<Vouched<'_>>,
) -> Result<Answer, RegistryError> {
    let Proof { user, methods, factor, forget, return_to } = proof;
    let now = server.clock.now_seconds();
    let second_factor_at = vouched.as_ref().map_or_else(|| factor.is_some().then_some(now), |vouched| vouched.second_factor_at);
    let mut random = Borrowed(&*server.entropy);
    let (cookie, hash) = SecretHash::generate(&mut random);
    let here = session::open_here(server, exchange).await?;
    let same = here.as_ref().filter(|here| here.user == user.id).map(|here| here.id.clone());
    let session = Session {
        id: same.clone().unwrap_or_else(|| SessionId::generate(&mut random)),
        user: user.id.clone(),
        authenticated_at: vouched.as_ref().map_or(now, |vouched| vouched.authenticated_at),
        expires_at: now + LIFETIME_SECONDS,
        details: SessionDetails {
            last_used_at: now,
            methods,
            second_factor_at,
            browser: place::browser(exchange),
            network: place::network(exchange),
            recovered_by: None,
        },
    };
    let location = authorize::after_sign_in(server, return_to, &session.id).await;
    let change = match (same, here) {
        (Some(_), _) => Change::SignIn(Box::new(SignInChange::RenewSession { session, hash, forget })),
        (None, None) => Change::OpenSession { session, hash, forget },
        (None, Some(other)) => {
            let first = Box::new(SignInChange::EndSession { user: other.user, session: other.id });
            let then = Box::new(Change::OpenSession { session, hash, forget });
            Change::SignIn(Box::new(SignInChange::Then { first, then }))
        }
    };
    let change = match factor {
        Some(factor) => {
            Change::SignIn(Box::new(SignInChange::UseFactor { user: user.id.clone(), factor, then: Box::new(change) }))
        }
        None => change,
    };
    let mut draft = reply::see_other(&location)
        .with_text(header::SET_COOKIE, &session::set(cookie.expose()))
        .with_text(header::SET_COOKIE, &session::set_device(server, &user.id, now));
    let is_known = session::device(server, exchange, &user.id, now).is_some();
    let change = match vouched {
        Some(vouched) => {
            draft = draft.with_text(header::SET_COOKIE, &vouched.cookie);
            (vouched.spend)(change)
        }
        None => change,
    };
    let place = (place::browser(exchange), place::network(exchange));
    let change = if is_known { change } else { notices::of_new_browser(server, &user.id, place, change).await? };
    let mut account = Account::new(Event::Login, exchange.agent(), Outcome::Success, format!("signed in: {methods}"));
    account.agent.user = Some(user.id.as_str().to_owned());
    account.agent.fhir_user = user.fhir_user.as_ref().map(ToString::to_string);
    reply::changed(server, exchange, change, account, draft).await
}
