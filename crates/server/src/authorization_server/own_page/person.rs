//! `/me`: the signed-in person's page. Which apps are connected, how to take it back, and who looked.

use std::collections::BTreeMap;

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_jose::base64url;
use portcullis_oauth::consent_groups::ConsentGroup;
use portcullis_oauth::grant::RefreshBinding;
use portcullis_oauth::identifiers::{ClientId, GrantId};
use portcullis_oauth::parameters::Parameters;
use portcullis_oauth::scopes::plain_words;
use portcullis_oauth::session::{AssuranceLevel, Method, Methods};
use portcullis_oauth::users::Role;
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, Session, StandingGrant};
use portcullis_store::sign_in::{Passkey, SessionDetails};

use super::{account, looks, own_sessions, reach};
use crate::answer::Answer;
use crate::authorization_server::authorization::authorize::{Shown, field};
use crate::authorization_server::authorization::people;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::Form;
use crate::authorization_server::page_query;
use crate::authorization_server::place;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{ConnectedApp, PasskeyLine, PersonAccount, PersonPage, SessionLine};
use crate::ui::{Language, Reader};

/// The parameter of the own page that names a grant that was just ended.
const STOPPED: &str = "stopped";

/// `GET /me`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let query = match page_query::received(server, exchange, &[STOPPED]).await {
        Ok(query) => query,
        Err(answer) => return answer,
    };
    match session::current(server, exchange).await {
        Ok(None) => server.record_page(exchange, Outcome::Success, reply::see_other("/login?return_to=/me")).await,
        Ok(Some(signed_in)) => {
            let answer = async {
                if let Some(missing) = role_assurance::missing_at_own_page(server, exchange, &signed_in, "/me").await? {
                    return Ok(missing);
                }
                let shown = page(server, &query, &signed_in).await?;
                Ok(shown.recorded(server, exchange, reply::agent(exchange, &signed_in)).await)
            };
            reply::or_unavailable(server, exchange, answer.await).await
        }
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    }
}

async fn page(server: &Server, query: &Parameters, signed_in: &SignedIn) -> Result<Shown, RegistryError> {
    let user = &signed_in.user;
    let reader = &signed_in.reader;
    let now = server.clock.now_seconds();
    let grants = server.registry.grants_of(&user.id).await?;
    let account = account(server, signed_in, &grants).await?;
    let mut apps = Vec::new();
    let mut names: BTreeMap<LogicalId, String> = BTreeMap::new();
    for standing in grants {
        if standing.ends_at <= now {
            continue;
        }
        if signed_in.recovered_by().is_some() {
            apps.push(unnamed(reader, standing, apps.len() + 1));
            continue;
        }
        let app_name = app_name(server, &standing.grant.client).await?;
        let mut patient_name = None;
        if let Some(id) = &standing.grant.patient {
            if !names.contains_key(id) {
                let name = people::choice(server, user, id).await.unwrap_or_else(|| people::unnamed(id));
                names.insert(id.clone(), name.shown_name(reader));
            }
            patient_name = names.get(id).cloned();
        }
        apps.push(connected(reader, standing, app_name, patient_name));
    }
    let session = signed_in.session.id.as_str();
    let patients = names.keys().chain(&user.patients).map(ToString::to_string).collect();
    let html = PersonPage {
        reader: signed_in.reader.clone(),
        person_name: user.display_name.clone(),
        notice: notice(server, query, signed_in).await?,
        apps,
        reach: reach::reach(server, user, reader).await,
        looks: looks::looks(server, user, reader).await,
        has_record: !user.patients.is_empty(),
        is_officer: user.roles.contains(Role::SecurityOfficer),
        account,
        csrf: server.form_tokens.token(Purpose::OwnPage, session),
        sign_out_csrf: server.form_tokens.token(Purpose::OwnPage, session),
    };
    Ok(Shown { draft: reply::page(StatusCode::OK, html.render(), None), patients })
}

/// Sessions, and how the person can sign in.
async fn account(server: &Server, signed_in: &SignedIn, grants: &[StandingGrant]) -> Result<PersonAccount, RegistryError> {
    let reader = &signed_in.reader;
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    let sessions = own_sessions::listed(server, signed_in, grants).await?;
    let passkey = |passkey: Passkey| PasskeyLine {
        handle: base64url::encode(&passkey.key.id),
        name: passkey.name,
        since: reader.day(passkey.created_at),
        last_used: passkey.last_used_at.map(|at| reader.moment(at)),
        is_copied: passkey.key.backed_up,
    };
    Ok(PersonAccount {
        recovered_by: signed_in.recovered_by().map(str::to_owned),
        sessions: sessions.into_iter().map(|session| session_line(server, signed_in, session)).collect(),
        has_password: means.has_password,
        totp_since: means.totp.map(|totp| reader.day(totp.created_at)),
        passkeys: means.passkeys.into_iter().map(passkey).collect(),
        recovery_codes: means.recovery_codes,
        has_mail: server.mail.is_configured(),
        mail_address: server.registry.address_of(&signed_in.user.id).await?.map(|address| address.address),
        may_link: !server.federation.providers().is_empty(),
    })
}

fn session_line(server: &Server, signed_in: &SignedIn, session: Session) -> SessionLine {
    let SessionDetails { last_used_at, methods, browser, network, recovered_by, .. } = session.details;
    let reader = &signed_in.reader;
    let network = match network.as_str() {
        "" => reader.say("an address that was not noted", "una dirección que no se anotó").to_owned(),
        _ => network,
    };
    SessionLine {
        handle: own_sessions::handle(server, &session.id),
        browser: place::shown(&browser, reader.language),
        network,
        how: how(methods, reader),
        since: reader.moment(session.authenticated_at),
        last_used: reader.moment(last_used_at),
        is_here: session.id == signed_in.session.id,
        recovered_by,
    }
}

fn how(methods: Methods, reader: &Reader) -> &'static str {
    if methods.contains(Method::Passkey) && methods.contains(Method::Password) {
        reader.say("Signed in with a password and a passkey", "Sesión iniciada con contraseña y llave de acceso")
    } else if methods.contains(Method::Passkey) {
        reader.say("Signed in with a passkey", "Sesión iniciada con llave de acceso")
    } else if methods.contains(Method::Federation) && methods.level() >= AssuranceLevel::TwoFactors {
        reader.say(
            "Signed in by way of another service and with a second factor here",
            "Sesión iniciada por medio de otro servicio, con un segundo paso aquí",
        )
    } else if methods.contains(Method::RecoveryCode) {
        reader.say("Signed in with a password and a recovery code", "Sesión iniciada con contraseña y código de recuperación")
    } else if methods.contains(Method::Totp) {
        reader.say(
            "Signed in with a password and an authenticator app",
            "Sesión iniciada con contraseña y aplicación de autenticación",
        )
    } else if methods.contains(Method::Federation) || methods.contains(Method::FederatedFactors) {
        reader.say("Signed in by way of another service", "Sesión iniciada por medio de otro servicio")
    } else {
        reader.say("Signed in with a password", "Sesión iniciada con contraseña")
    }
}

/// What was just done, where the address names a grant of this person and it has ended indeed.
async fn notice(server: &Server, query: &Parameters, signed_in: &SignedIn) -> Result<Option<String>, RegistryError> {
    let Some(id) = field(query, STOPPED).and_then(GrantId::parse) else { return Ok(None) };
    let grant = server.registry.grant(&id).await?.filter(|grant| grant.user == signed_in.user.id && !grant.is_active());
    let Some(grant) = grant else { return Ok(None) };
    let app = match signed_in.recovered_by() {
        Some(_) => signed_in.reader.say("that app", "esa aplicación").to_owned(),
        None => app_name(server, &grant.client).await?,
    };
    Ok(Some(match signed_in.reader.language {
        Language::English => format!("You stopped the access of {app}."),
        Language::Spanish => format!("Usted detuvo el acceso de {app}."),
    }))
}

async fn app_name(server: &Server, id: &ClientId) -> Result<String, RegistryError> {
    Ok(server
        .registry
        .client(id)
        .await?
        .map_or_else(|| id.to_string(), |client| crate::authorization_server::authorization::asking_app::shown_name(&client)))
}

fn connected(reader: &Reader, standing: StandingGrant, app_name: String, patient_name: Option<String>) -> ConnectedApp {
    let StandingGrant { grant, last_used_at, ends_at } = standing;
    let binding = grant.refresh_binding();
    ConnectedApp {
        grant_id: grant.id.as_str().to_owned(),
        app_name,
        patient_name,
        lines: grant
            .scopes
            .iter()
            .filter(|scope| ConsentGroup::of(scope).is_some())
            .map(|scope| plain_words(scope, reader.language))
            .collect(),
        since: reader.day(grant.created_at),
        last_used: last_used_at.map(|at| reader.moment(at)),
        ends: (binding != Some(RefreshBinding::Offline)).then(|| reader.moment(ends_at)),
        is_online: matches!(binding, Some(RefreshBinding::Online(_))),
    }
}

/// The same for somebody of whom it is not certain that the account is theirs: it can be stopped, and says neither which app it is (a name may tell
/// of an illness) nor whose record it is about, or what of it.
fn unnamed(reader: &Reader, standing: StandingGrant, number: usize) -> ConnectedApp {
    let name = format!("{} {number}", reader.say("App", "Aplicación"));
    ConnectedApp { lines: Vec::new(), ..connected(reader, standing, name, None) }
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
