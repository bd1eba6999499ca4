//! `/me`: the signed-in person's page. Which apps are connected, how to take it back, and who looked.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_jose::base64url;
use portcullis_oauth::consent_groups::ConsentGroup;
use portcullis_oauth::identifiers::{ClientId, GrantId};
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::scopes::{ScopeKind, plain_words};
use portcullis_oauth::session::{AssuranceLevel, Method, Methods};
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, Session, StandingGrant};
use portcullis_store::sign_in::{Passkey, SessionDetails};

use super::{account, looks, own_sessions};
use crate::answer::Answer;
use crate::authorization_server::authorization::authorize::{Shown, field};
use crate::authorization_server::authorization::people;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::Form;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{ConnectedApp, PasskeyLine, PersonAccount, PersonPage, SessionLine};

/// The parameter of the own page that names a grant that was just ended.
const STOPPED: &str = "stopped";

/// `GET /me`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    match session::current(server, exchange).await {
        Ok(None) => server.record_page(exchange, Outcome::Success, reply::see_other("/login?return_to=/me")).await,
        Ok(Some(signed_in)) => match page(server, exchange, &signed_in).await {
            Ok(shown) => shown.recorded(server, exchange, reply::agent(exchange, &signed_in)).await,
            Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(&error)).await,
        },
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(&error)).await,
    }
}

async fn page(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Result<Shown, RegistryError> {
    let user = &signed_in.user;
    let now = server.clock.now_seconds();
    let mut apps = Vec::new();
    let mut names: BTreeMap<LogicalId, String> = BTreeMap::new();
    for standing in server.registry.grants_of(&user.id).await? {
        if standing.ends_at <= now {
            continue;
        }
        let app_name = app_name(server, &standing.grant.client).await?;
        let mut patient_name = None;
        if let Some(id) = &standing.grant.patient {
            if !names.contains_key(id) {
                let name = people::choice(server, user, id).await.map(|choice| choice.name);
                names.insert(id.clone(), name.unwrap_or_else(|| format!("Patient {id}")));
            }
            patient_name = names.get(id).cloned();
        }
        apps.push(connected(standing, app_name, patient_name));
    }
    let session = signed_in.session.id.as_str();
    let patients = names.keys().chain(&user.patients).map(ToString::to_string).collect();
    let html = PersonPage {
        person_name: user.display_name.clone(),
        notice: notice(server, exchange, signed_in).await?,
        apps,
        looks: looks::looks(server, user).await,
        has_record: !user.patients.is_empty(),
        account: account(server, signed_in).await?,
        csrf: server.form_tokens.token(Purpose::OwnPage, session),
        sign_out_csrf: server.form_tokens.token(Purpose::OwnPage, session),
    };
    Ok(Shown { draft: reply::page(StatusCode::OK, html.render(), None), patients })
}

/// Sessions, and how the person can sign in.
async fn account(server: &Server, signed_in: &SignedIn) -> Result<PersonAccount, RegistryError> {
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    let sessions = own_sessions::listed(server, signed_in).await?;
    let passkey = |passkey: Passkey| PasskeyLine {
        handle: base64url::encode(&passkey.key.id),
        name: passkey.name,
        since: spoken_date(passkey.created_at),
        last_used: passkey.last_used_at.map(spoken_time),
        is_copied: passkey.key.backed_up,
    };
    Ok(PersonAccount {
        recovered_by: signed_in.recovered_by().map(str::to_owned),
        sessions: sessions.into_iter().map(|session| session_line(server, signed_in, session)).collect(),
        has_password: means.has_password,
        totp_since: means.totp.map(|totp| spoken_date(totp.created_at)),
        passkeys: means.passkeys.into_iter().map(passkey).collect(),
        recovery_codes: means.recovery_codes,
        may_link: !server.federation.providers().is_empty(),
    })
}

fn session_line(server: &Server, signed_in: &SignedIn, session: Session) -> SessionLine {
    let SessionDetails { last_used_at, methods, browser, network, recovered_by, .. } = session.details;
    let unknown = |text: String, words: &str| if text.is_empty() { words.to_owned() } else { text };
    SessionLine {
        handle: own_sessions::handle(server, &session.id),
        browser: unknown(browser, "A browser that we do not know"),
        network: unknown(network, "an address that was not noted"),
        how: how(methods),
        since: spoken_time(session.authenticated_at),
        last_used: spoken_time(last_used_at),
        is_here: session.id == signed_in.session.id,
        recovered_by,
    }
}

fn how(methods: Methods) -> &'static str {
    if methods.contains(Method::Passkey) && methods.contains(Method::Password) {
        "Signed in with a password and a passkey"
    } else if methods.contains(Method::Passkey) {
        "Signed in with a passkey"
    } else if methods.contains(Method::Federation) && methods.level() >= AssuranceLevel::TwoFactors {
        "Signed in by way of another service and with a second factor here"
    } else if methods.contains(Method::RecoveryCode) {
        "Signed in with a password and a recovery code"
    } else if methods.contains(Method::Totp) {
        "Signed in with a password and an authenticator app"
    } else if methods.contains(Method::Federation) || methods.contains(Method::FederatedFactors) {
        "Signed in by way of another service"
    } else {
        "Signed in with a password"
    }
}

/// What was just done, where the address names a grant of this person and it has ended indeed.
async fn notice(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Result<Option<String>, RegistryError> {
    let query = Parameters::parse(exchange.target.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let Some(id) = field(&query, STOPPED).and_then(GrantId::parse) else { return Ok(None) };
    let grant = server.registry.grant(&id).await?.filter(|grant| grant.user == signed_in.user.id && !grant.is_active());
    let Some(grant) = grant else { return Ok(None) };
    Ok(Some(format!("You stopped the access of {}.", app_name(server, &grant.client).await?)))
}

async fn app_name(server: &Server, id: &ClientId) -> Result<String, RegistryError> {
    Ok(server
        .registry
        .client(id)
        .await?
        .map_or_else(|| id.to_string(), |client| crate::authorization_server::authorization::asking_app::shown_name(&client)))
}

fn connected(standing: StandingGrant, app_name: String, patient_name: Option<String>) -> ConnectedApp {
    let StandingGrant { grant, last_used_at, ends_at } = standing;
    let lasts = grant.scopes.has(ScopeKind::OfflineAccess);
    ConnectedApp {
        grant_id: grant.id.as_str().to_owned(),
        app_name,
        patient_name,
        lines: grant.scopes.iter().filter(|scope| ConsentGroup::of(scope).is_some()).map(plain_words).collect(),
        since: spoken_date(grant.created_at),
        last_used: last_used_at.map(spoken_time),
        ends: (!lasts).then(|| spoken_time(ends_at)),
    }
}

/// `12 March 2026`, UTC.
fn spoken_date(seconds: i64) -> String {
    spoken(seconds, "%-d %B %Y")
}

/// `12 March 2026 at 14:05 UTC`: the reader's time zone is not known.
pub fn spoken_time(seconds: i64) -> String {
    spoken(seconds, "%-d %B %Y at %H:%M UTC")
}

fn spoken(seconds: i64, form: &str) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::UTC).strftime(form).to_string()
}

/// `POST /me/revoke`
pub async fn revoke(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    account::submitted_in_any_session(server, exchange, body, async |signed_in: SignedIn, form: Form| {
        let grant = match form.field("grant").and_then(GrantId::parse) {
            Some(id) => server.registry.grant(&id).await?.filter(|grant| grant.user == signed_in.user.id),
            None => None,
        };
        let Some(grant) = grant else {
            return Ok(server.record_page(exchange, Outcome::Denied, reply::see_other("/me")).await);
        };
        let detail = format!("grant {} revoked by its owner", grant.id);
        let mut account = Account::new(Event::Revocation, reply::agent(exchange, &signed_in), Outcome::Success, detail);
        account.agent.client = Some(grant.client.as_str().to_owned());
        let account = account.about(grant.patient);
        let draft = reply::see_other(&format!("/me?{STOPPED}={}", grant.id));
        let change = Change::RevokeGrant { grant: grant.id, now: server.clock.now_seconds() };
        reply::changed(server, exchange, change, account, draft).await
    })
    .await
}
