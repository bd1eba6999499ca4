//! `/me`: the signed-in person's page. Which apps are connected, and how to take it back.

use http::StatusCode;
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::consent_groups::ConsentGroup;
use portcullis_oauth::identifiers::GrantId;
use portcullis_oauth::scopes::plain_words;
use portcullis_store::RegistryError;
use portcullis_store::registry::{Change, StandingGrant};

use super::authorize::{field, own_form};
use super::csrf::Purpose;
use super::reply::{self, Account};
use super::session::{self, SignedIn};
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::ui::pages::{ConnectedApp, PersonPage};

/// `GET /me`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    match session::current(server, exchange).await {
        Ok(None) => server.record_page(exchange, Outcome::Success, reply::see_other("/login?return_to=/me")).await,
        Ok(Some(signed_in)) => match page(server, &signed_in).await {
            Ok(draft) => {
                let account = account(exchange, &signed_in, Event::Page, "own page".to_owned());
                reply::recorded(server, exchange, account, draft).await
            }
            Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(&error)).await,
        },
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(&error)).await,
    }
}

async fn page(server: &Server, signed_in: &SignedIn) -> Result<Draft, RegistryError> {
    let mut apps = Vec::new();
    for standing in server.registry.grants_of(&signed_in.user.id).await? {
        let client = server.registry.client(&standing.grant.client).await?;
        let name = client.map_or_else(|| standing.grant.client.to_string(), |client| client.name);
        apps.push(connected(standing, name));
    }
    let session = signed_in.session.id.as_str();
    let html = PersonPage {
        person_name: signed_in.user.display_name.clone(),
        notice: None,
        apps,
        looks: Vec::new(),
        csrf: server.form_tokens.token(Purpose::OwnPage, session),
        sign_out_csrf: server.form_tokens.token(Purpose::OwnPage, session),
    };
    Ok(reply::page(StatusCode::OK, html.render(), None))
}

fn connected(standing: StandingGrant, app_name: String) -> ConnectedApp {
    let StandingGrant { grant, last_used_at } = standing;
    ConnectedApp {
        grant_id: grant.id.as_str().to_owned(),
        app_name,
        lines: grant.scopes.iter().filter(|scope| ConsentGroup::of(scope).is_some()).map(plain_words).collect(),
        since: spoken_date(grant.created_at),
        last_used: (last_used_at > 0).then(|| spoken_date(last_used_at)),
    }
}

/// `12 March 2026`, UTC.
fn spoken_date(seconds: i64) -> String {
    let timestamp = Timestamp::from_second(seconds).unwrap_or_default();
    timestamp.to_zoned(TimeZone::UTC).strftime("%-d %B %Y").to_string()
}

/// `POST /me/revoke`
pub async fn revoke(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    match attempt(server, exchange, body).await {
        Ok(answer) => answer,
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(&error)).await,
    }
}

async fn attempt(server: &Server, exchange: &Exchange, body: Incoming) -> Result<Answer, RegistryError> {
    let Some(signed_in) = session::current(server, exchange).await? else {
        return Ok(server.record_page(exchange, Outcome::Denied, reply::see_other("/login?return_to=/me")).await);
    };
    let form = own_form(exchange, body).await.unwrap_or_default();
    let csrf = field(&form, "csrf").unwrap_or_default();
    let genuine = server.form_tokens.accepts(Purpose::OwnPage, signed_in.session.id.as_str(), csrf);
    let grant = match field(&form, "grant").and_then(GrantId::parse).filter(|_| genuine) {
        Some(id) => server.registry.grant(&id).await?.filter(|grant| grant.user == signed_in.user.id),
        None => None,
    };
    let Some(grant) = grant else {
        return Ok(server.record_page(exchange, Outcome::Denied, reply::see_other("/me")).await);
    };
    let detail = format!("grant {} revoked by its owner", grant.id);
    let mut account = account(exchange, &signed_in, Event::Revocation, detail);
    account.agent.client = Some(grant.client.as_str().to_owned());
    let change = Change::RevokeGrant { grant: grant.id, now: server.clock.now_seconds() };
    reply::changed(server, exchange, change, account, reply::see_other("/me")).await
}

fn account(exchange: &Exchange, signed_in: &SignedIn, event: Event, detail: String) -> Account {
    Account { event, agent: reply::agent(exchange, signed_in), outcome: Outcome::Success, detail }
}
