//! `/ehr`: a clinician opens a patient's chart and, from there, an app. The smallest EHR that shows an EHR launch whole.
//!
//! SMART App Launch 2.2.0, "Launch App: EHR Launch". Whatever is shown is read as the signed-in clinician; whom somebody looks for and opens is posted,
//! so that it gets into no address.

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::clients::Client;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::launch::{ContextParameters, launch_location};
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::users::Role;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::authorize::Shown;
use super::encounters;
use super::people::{self, Wanted};
use crate::answer::{Answer, Draft};
use crate::authorization_server::clients::launch::{self, Contents};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui;
use crate::ui::pages::{ChartListPage, ChartPage, LaunchableApp};

/// Where the page is.
const PATH: &str = "/ehr";
/// The longest name that is looked for, in characters.
const MAXIMUM_NAME: usize = 100;

/// `GET /ehr`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    match session::current(server, exchange).await {
        Ok(None) => server.record_page(exchange, Outcome::Success, reply::see_other("/login?return_to=/ehr")).await,
        Ok(Some(signed_in)) if !may_open_charts(&signed_in) => no_clinician(server, exchange, &signed_in).await,
        Ok(Some(signed_in)) => {
            let answer = async {
                if let Some(missing) = role_assurance::missing(server, exchange, &signed_in, PATH).await? {
                    return Ok(missing);
                }
                let shown = list(server, &signed_in, &Wanted::default()).await;
                Ok(shown.recorded(server, exchange, reply::agent(exchange, &signed_in)).await)
            };
            reply::or_unavailable(server, exchange, answer.await).await
        }
        Err(error) => server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    }
}

/// `POST /ehr`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    reply::or_unavailable(server, exchange, attempt(server, exchange, body).await).await
}

async fn attempt(server: &Server, exchange: &Exchange, body: Incoming) -> Result<Answer, RegistryError> {
    let form = match form::received(server, exchange, Event::Page, body).await {
        Ok(form) => form,
        Err(answer) => return Ok(answer),
    };
    let Some(signed_in) = session::current(server, exchange).await? else {
        return Ok(server.record_page(exchange, Outcome::Denied, reply::see_other("/login?return_to=/ehr")).await);
    };
    let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Chart], Some(signed_in.session.id.as_str())) else {
        let account = Account::new(Event::Page, reply::agent(exchange, &signed_in), Outcome::Denied, "form token refused");
        return Ok(reply::recorded(server, exchange, account, form::outdated(exchange)).await);
    };
    if !may_open_charts(&signed_in) {
        return Ok(no_clinician(server, exchange, &signed_in).await);
    }
    if let Some(missing) = role_assurance::missing(server, exchange, &signed_in, PATH).await? {
        return Ok(missing);
    }
    let agent = reply::agent(exchange, &signed_in);
    let Some(patient) = form.field("patient").filter(|_| !is_search(&form)) else {
        let shown = list(server, &signed_in, &wanted(&form)).await;
        return Ok(shown.recorded(server, exchange, agent).await);
    };
    let opened = match LogicalId::parse(patient) {
        Some(id) => people::choice(server, &signed_in.user, &id).await.map(|choice| (id, choice)),
        None => None,
    };
    let Some((patient, choice)) = opened else {
        return Ok(refused(server, exchange, agent, "this person may not open that record").await);
    };
    let opens_apps = server.settings.authorization.capabilities.has(Capability::LaunchEhr);
    let apps: Vec<Client> = server.registry.clients().await?.into_iter().filter(|app| opens_apps && is_shown(app)).collect();
    let Some(wanted) = form.field("app") else {
        let visits = encounters::choices(server, &signed_in.user, &patient, None).await;
        let page = ChartPage {
            reader: signed_in.reader.clone(),
            person_name: signed_in.user.display_name.clone(),
            patient: choice,
            encounters: visits.encounters,
            apps: apps.iter().flat_map(launchable).collect(),
            csrf: form.token().to_owned(),
            sign_out_csrf: sign_out(server, &signed_in),
        };
        let shown = Shown { draft: chart_page(&apps, page), patients: vec![patient.to_string()] };
        return Ok(shown.recorded(server, exchange, agent).await);
    };
    let found = apps.iter().flat_map(|app| launch_urls(app).map(move |(value, url)| (app, value, url)));
    let Some((app, _, url)) = found.into_iter().find(|(_, value, _)| value == wanted) else {
        return Ok(refused(server, exchange, agent, "no such app").await);
    };
    let encounter = match form.field("encounter").map(LogicalId::parse) {
        None => None,
        Some(id) => match id {
            Some(id) if encounters::choice(server, &signed_in.user, &patient, &id).await.is_some() => Some(id),
            _ => return Ok(refused(server, exchange, agent, "this person may not open that visit").await),
        },
    };
    let contents = Contents {
        user: Some(signed_in.user.id.clone()),
        patient: Some(patient.clone()),
        context: ContextParameters { encounter, ..ContextParameters::default() },
    };
    let (handle, launch) = launch::new_launch(server, app, contents);
    let draft = reply::see_other(&launch_location(url, &server.settings.fhir_base, handle.expose()));
    let agent = Agent { client: Some(app.id.as_str().to_owned()), ..agent };
    let account = Account::new(Event::Page, agent, Outcome::Success, format!("launch of {} made", app.id)).about([patient]);
    reply::changed(server, exchange, Change::AddLaunch(launch), account, draft).await
}

/// Whether the page says where records are opened in an emergency; that page asks again.
async fn may_break_glass(server: &Server, signed_in: &SignedIn) -> bool {
    let rights = server.registry.entitlements_of(&signed_in.user.id).await;
    rights.is_ok_and(|rights| rights.contains(&Entitlement::BreakGlass))
}

fn may_open_charts(signed_in: &SignedIn) -> bool {
    signed_in.user.roles.contains(Role::Clinician)
}

fn is_search(form: &Form) -> bool {
    matches!(form.field("decision"), Some("search" | "more"))
}

fn wanted(form: &Form) -> Wanted {
    let is_later_page = form.field("decision") == Some("more");
    let typed = form.field(if is_later_page { "page_name" } else { "name" }).unwrap_or_default();
    let cursor = form.field("page").filter(|_| is_later_page).map(str::to_owned);
    Wanted { name: typed.trim().chars().take(MAXIMUM_NAME).collect(), cursor }
}

async fn list(server: &Server, signed_in: &SignedIn, wanted: &Wanted) -> Shown {
    let choices = people::choices(server, &signed_in.user, wanted).await;
    let patients = choices.people.iter().map(|person| person.id.clone()).collect();
    let html = ChartListPage {
        reader: signed_in.reader.clone(),
        person_name: signed_in.user.display_name.clone(),
        may_break_glass: may_break_glass(server, signed_in).await,
        can_search: choices.next.is_some() || wanted.cursor.is_some() || !wanted.name.is_empty(),
        name: wanted.name.clone(),
        people: choices.people,
        next: choices.next,
        csrf: server.form_tokens.token(Purpose::Chart, signed_in.session.id.as_str()),
        sign_out_csrf: sign_out(server, signed_in),
    };
    Shown { draft: reply::page(StatusCode::OK, html.render(), None), patients }
}

/// The chart, whose form may lead to any of the apps (Chromium applies form-action to redirects).
fn chart_page(apps: &[Client], page: ChartPage) -> Draft {
    let urls = apps.iter().flat_map(|app| &app.properties.launch_urls).filter_map(|url| RedirectUri::parse(url).ok());
    let mut origins: Vec<String> = urls.filter_map(|url| url.origin().map(str::to_owned)).collect();
    origins.sort_unstable();
    origins.dedup();
    Draft::new(StatusCode::OK).body(ui::MEDIA_TYPE, page.render()).with_text(
        http::header::CONTENT_SECURITY_POLICY,
        &ui::content_security_policy_leading_to(origins.iter().map(String::as_str)),
    )
}

/// Whether an app stands on the chart. One that registered itself does not: nobody here has looked at it, and its button would carry a patient's
/// context to wherever it says.
fn is_shown(app: &Client) -> bool {
    launch::is_launchable(app) && !app.properties.dynamic
}

/// The launch URLs of an app, each with the value that its button sends.
fn launch_urls(app: &Client) -> impl Iterator<Item = (String, &str)> {
    app.properties.launch_urls.iter().enumerate().map(|(number, url)| (format!("{} {number}", app.id), url.as_str()))
}

fn launchable(app: &Client) -> Vec<LaunchableApp> {
    let of = |(value, url): (String, &str)| {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest.split('/').next().unwrap_or(rest));
        LaunchableApp { value, name: app.name.clone(), host: host.to_owned() }
    };
    launch_urls(app).map(of).collect()
}

fn sign_out(server: &Server, signed_in: &SignedIn) -> String {
    server.form_tokens.token(Purpose::OwnPage, signed_in.session.id.as_str())
}

async fn no_clinician(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This page is for people who treat patients",
            "You are signed in, but not as somebody who treats patients here.",
            "No record was opened.",
            "To see your own record, open your page. If you treat patients, ask the people who run this server for that role.",
        ],
        [
            "Esta página es para quienes atienden pacientes",
            "Usted inició sesión, pero no como alguien que atiende pacientes aquí.",
            "No se abrió ningún expediente.",
            "Para ver su propio expediente, abra su página. Si usted atiende pacientes, pida ese rol a quienes administran este servidor.",
        ],
    );
    let account = Account::new(Event::Page, reply::agent(exchange, signed_in), Outcome::Denied, "no clinician");
    reply::recorded(server, exchange, account, draft).await
}

async fn refused(server: &Server, exchange: &Exchange, agent: Agent, detail: &str) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::NOT_FOUND,
        [
            "This chart cannot be opened",
            "There is no such record, visit or app for you.",
            "Nothing was opened or shared.",
            "Go back to the list of patients and choose again.",
        ],
        [
            "Este expediente no se puede abrir",
            "No encontramos ese expediente, esa consulta o esa aplicación entre lo que usted puede abrir.",
            "No se abrió ni se compartió nada.",
            "Vuelva a la lista de pacientes y elija otra vez.",
        ],
    );
    reply::recorded(server, exchange, Account::new(Event::Page, agent, Outcome::Denied, detail), draft).await
}
