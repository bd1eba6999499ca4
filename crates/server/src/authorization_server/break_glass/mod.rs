//! `/break-glass`: a clinician who is entitled to it opens one patient's record in an emergency, says why, and can end it again.
//!
//! FHIR R4 "Security", break-the-glass; 45 CFR 164.312(a)(2)(ii). It takes the right (given by two people), a second factor of the last quarter of an hour, and a
//! reason. What was opened ends by itself, is written to the patient and to security officers, and stands in the audit trail as an emergency. Apps reach it by stating
//! the purpose `BTG` ([`crate::resource_server`]). Whoever has no right is refused whatever they type, and learns of no record.

mod lookups;
mod patient;

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::approval::Actor;
use portcullis_oauth::break_glass::{GlassEntry, MAXIMUM_AT_ONCE, reason};
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_oauth::session::{AssuranceLevel, SECOND_FACTOR_COUNTS_SECONDS};
use portcullis_oauth::users::Role;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::safeguards::{OPEN_ALREADY, SafeguardChange, TOO_MUCH_GLASS};

use self::lookups::Lookups;
use crate::answer::{Answer, Draft};
use crate::authorization_server::accounts::second_factor;
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::mail::alerts;
use crate::resource_server::Exchange;
use crate::ui::pages::{BreakGlassPage, BreakGlassProblem, OpenedRecord};

/// Where the page is.
pub const PATH: &str = "/break-glass";

/// `GET /break-glass`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let answer = async {
        let signed_in = match entitled(server, exchange, Alert::Nobody).await? {
            Ok(signed_in) => signed_in,
            Err(answer) => return Ok(answer),
        };
        shown(server, exchange, &signed_in, None).await
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

/// `POST /break-glass`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let answer = async {
        let form = match form::received(server, exchange, Event::BreakGlass, body).await {
            Ok(form) => form,
            Err(answer) => return Ok(answer),
        };
        let signed_in = match entitled(server, exchange, Alert::Officers).await? {
            Ok(signed_in) => signed_in,
            Err(answer) => return Ok(answer),
        };
        let Ok(form) = form.checked(&server.form_tokens, &[Purpose::BreakGlass], Some(signed_in.session.id.as_str())) else {
            let account = account(exchange, &signed_in, Outcome::Denied, "form token refused");
            return Ok(reply::recorded(server, exchange, account, form::outdated(exchange)).await);
        };
        match form.field("end") {
            Some(id) => end(server, exchange, &signed_in, id).await,
            None => open(server, exchange, &signed_in, &form).await,
        }
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

/// Whether a second factor was given in this session within the time in which it counts.
pub fn is_strong(server: &Server, signed_in: &SignedIn) -> bool {
    let details = &signed_in.session.details;
    let now = server.clock.now_seconds();
    let fresh = details.second_factor_at.is_some_and(|at| now.saturating_sub(at) <= SECOND_FACTOR_COUNTS_SECONDS);
    fresh && details.methods.level() >= AssuranceLevel::TwoFactors
}

/// What somebody in a session gets instead of a page that takes a second factor: the question for it, or the word that there is none to give.
pub async fn strengthened(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    path: &str,
) -> Result<Answer, RegistryError> {
    let means = server.registry.sign_in_means(&signed_in.user.id).await?;
    if means.has_second_factor() {
        let draft = second_factor::step_up_page(server, exchange, signed_in, &means, path).await;
        let agent = reply::agent(exchange, signed_in);
        let account = Account::new(Event::Page, agent, Outcome::Success, "the second factor is asked for");
        return Ok(reply::recorded(server, exchange, account, draft).await);
    }
    let draft = reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This takes a second factor",
            "Your account has no authenticator app and no passkey.",
            "Nothing was opened or changed.",
            "Open your own page, add one of the two, then come back.",
        ],
        [
            "Para esto se necesita un segundo paso",
            "Su cuenta no tiene aplicación de autenticación ni llave de acceso.",
            "No se abrió ni se cambió nada.",
            "Abra su propia página, agregue una de las dos y vuelva.",
        ],
    );
    let account = Account::new(Event::Page, reply::agent(exchange, signed_in), Outcome::Denied, "no second factor to give");
    Ok(reply::recorded(server, exchange, account, draft).await)
}

/// Whom a refusal is told to. Anybody can put a link to the page before somebody, so that only what is sent from it tells of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alert {
    Nobody,
    Officers,
}

/// The clinician in this browser, if entitled and signed in strongly a short time ago; else what is answered instead.
async fn entitled(server: &Server, exchange: &Exchange, alert: Alert) -> Result<Result<SignedIn, Answer>, RegistryError> {
    let Some(signed_in) = session::current(server, exchange).await? else {
        let draft = reply::see_other("/login?return_to=/break-glass");
        return Ok(Err(server.record_page(exchange, Outcome::Success, draft).await));
    };
    let rights = server.registry.entitlements_of(&signed_in.user.id).await?;
    if !signed_in.user.roles.contains(Role::Clinician) || !rights.contains(&Entitlement::BreakGlass) {
        return refused(server, exchange, &signed_in, alert).await.map(Err);
    }
    if !is_strong(server, &signed_in) {
        return strengthened(server, exchange, &signed_in, PATH).await.map(Err);
    }
    // A role may take more than two factors.
    let missing = role_assurance::missing(server, exchange, &signed_in, PATH).await?;
    Ok(missing.map_or(Ok(signed_in), Err))
}

async fn open(server: &Server, exchange: &Exchange, signed_in: &SignedIn, form: &Form) -> Result<Answer, RegistryError> {
    let typed = |name: &str| form.field(name).unwrap_or_default().trim().to_owned();
    let (who, born) = (typed("who"), typed("born"));
    let Some(reason) = reason(form.field("reason").unwrap_or_default()) else {
        return shown(server, exchange, signed_in, Some(BreakGlassProblem::Reason)).await;
    };
    // An incomplete form is no look-up, and counts as none.
    if !patient::is_enough(&who, &born) {
        return shown(server, exchange, signed_in, Some(BreakGlassProblem::NobodyFits)).await;
    }
    // Before anything is looked up: whoever has no room left learns nothing of whom they typed.
    let at = server.clock.now_seconds();
    let entries = server.registry.broken_glass(at).await?;
    let open = entries.iter().filter(|entry| entry.user == signed_in.user.id && entry.is_open(at));
    if open.count() >= usize::try_from(MAXIMUM_AT_ONCE).unwrap_or(usize::MAX) {
        return shown(server, exchange, signed_in, Some(BreakGlassProblem::TooMany)).await;
    }
    // One after the other, so that each sees the misses of those before.
    let _turn = server.passwords.turn(&signed_in.user.username).await;
    let lookups = Lookups::of(server, signed_in).await?;
    if let Some(seconds) = lookups.wait_seconds(at) {
        return shown(server, exchange, signed_in, Some(BreakGlassProblem::Wait { minutes: (seconds + 59) / 60 })).await;
    }
    let Some(found) = patient::find(server, &signed_in.user, &who, &born).await else {
        // That somebody looked is on record; whom they typed is not, since it may be nobody here.
        let (account, draft) = page(server, exchange, signed_in, Some(BreakGlassProblem::NobodyFits)).await?;
        let missed = lookups.missed(server, &signed_in.user).await?;
        return reply::changed(server, exchange, missed, account, draft).await;
    };
    let now = server.clock.now_seconds();
    let entry = GlassEntry {
        id: format!("{:032x}", server.random_u128()),
        user: signed_in.user.id.clone(),
        patient: found.clone(),
        reason,
        began_at: now,
        ends_at: now.saturating_add(server.settings.authorization.break_glass.0),
        ended_at: None,
        ended_by: None,
    };
    let detail = format!("broke the glass until {}: {}", entry.ends_at, entry.reason);
    let account = account(exchange, signed_in, Outcome::Success, &detail).about([found]);
    let change = Change::Safeguard(Box::new(SafeguardChange::BreakGlass(Box::new(entry))));
    match reply::changed(server, exchange, change, account, reply::see_other(PATH)).await {
        Err(RegistryError::Conflict(TOO_MUCH_GLASS)) => {
            shown(server, exchange, signed_in, Some(BreakGlassProblem::TooMany)).await
        }
        Err(RegistryError::Conflict(OPEN_ALREADY)) => {
            shown(server, exchange, signed_in, Some(BreakGlassProblem::OpenAlready)).await
        }
        // The right ended meanwhile.
        Err(RegistryError::Conflict(_)) => refused(server, exchange, signed_in, Alert::Officers).await,
        other => other,
    }
}

async fn end(server: &Server, exchange: &Exchange, signed_in: &SignedIn, id: &str) -> Result<Answer, RegistryError> {
    let own = server.registry.glass_entry(id).await?.filter(|entry| entry.user == signed_in.user.id);
    let Some(entry) = own else {
        let account = account(exchange, signed_in, Outcome::Denied, "no own access of this name");
        return Ok(reply::recorded(server, exchange, account, reply::see_other(PATH)).await);
    };
    ended(server, exchange, signed_in, &entry, PATH).await
}

/// Ends what somebody opened, for the person who is signed in, and leads back to a page.
pub async fn ended(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    entry: &GlassEntry,
    path: &str,
) -> Result<Answer, RegistryError> {
    let by = Actor::User(signed_in.user.id.clone());
    let change = Change::Safeguard(Box::new(SafeguardChange::EndGlass { id: entry.id.clone(), by }));
    let detail = format!("emergency access {} ended before its time", entry.id);
    let account = Account::new(Event::BreakGlassEnd, reply::agent(exchange, signed_in), Outcome::Success, detail);
    let account = account.about([&entry.patient]);
    match reply::changed(server, exchange, change, account, reply::see_other(path)).await {
        // It ended by itself, or somebody else was faster.
        Err(RegistryError::Conflict(reason)) => {
            let account = Account::new(Event::BreakGlassEnd, reply::agent(exchange, signed_in), Outcome::Rejected, reason);
            Ok(reply::recorded(server, exchange, account, reply::see_other(path)).await)
        }
        other => other,
    }
}

async fn shown(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    problem: Option<BreakGlassProblem>,
) -> Result<Answer, RegistryError> {
    let (account, draft) = page(server, exchange, signed_in, problem).await?;
    Ok(reply::recorded(server, exchange, account, draft).await)
}

/// The page with what is open, and what went wrong.
async fn page(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    problem: Option<BreakGlassProblem>,
) -> Result<(Account, Draft), RegistryError> {
    let now = server.clock.now_seconds();
    let reader = &signed_in.reader;
    let mut opened = Vec::new();
    for entry in server.registry.broken_glass(now).await? {
        if entry.user == signed_in.user.id && entry.is_open(now) {
            let until = reader.moment(entry.ends_at);
            opened.push(OpenedRecord { id: entry.id, patient: entry.patient.to_string(), reason: entry.reason, until });
        }
    }
    let patients: Vec<LogicalId> = opened.iter().filter_map(|record| LogicalId::parse(&record.patient)).collect();
    let html = BreakGlassPage {
        reader: reader.clone(),
        person_name: signed_in.user.display_name.clone(),
        minutes: server.settings.authorization.break_glass.0 / 60,
        sends_mail: server.mail.is_configured(),
        opened,
        problem,
        csrf: server.form_tokens.token(Purpose::BreakGlass, signed_in.session.id.as_str()),
        sign_out_csrf: server.form_tokens.token(Purpose::OwnPage, signed_in.session.id.as_str()),
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let draft = reply::page(status, html.render(), None);
    let (outcome, detail) = match problem {
        None => (Outcome::Success, ""),
        Some(BreakGlassProblem::Reason) => (Outcome::Rejected, "no sufficient reason"),
        Some(BreakGlassProblem::NobodyFits) => (Outcome::Rejected, "no single record fits what was typed"),
        Some(BreakGlassProblem::TooMany) => (Outcome::Rejected, TOO_MUCH_GLASS),
        Some(BreakGlassProblem::OpenAlready) => (Outcome::Rejected, OPEN_ALREADY),
        Some(BreakGlassProblem::Wait { .. }) => (Outcome::Denied, "too many look-ups that fit nobody"),
    };
    let event = if problem.is_some() { Event::BreakGlass } else { Event::Page };
    let account = Account { event, ..account(exchange, signed_in, outcome, detail) }.about(patients);
    Ok((account, draft))
}

/// Whoever has no right: nothing is looked up, and it is on record; of what was sent security officers are told.
async fn refused(server: &Server, exchange: &Exchange, signed_in: &SignedIn, alert: Alert) -> Result<Answer, RegistryError> {
    let account = account(exchange, signed_in, Outcome::Denied, "no right to break the glass");
    let letters = match alert {
        Alert::Nobody => Change::Nothing,
        Alert::Officers => alerts::of_refused_glass(server, Some(&signed_in.user)).await?,
    };
    match letters {
        Change::Nothing => Ok(reply::recorded(server, exchange, account, not_entitled(exchange)).await),
        letters => reply::changed(server, exchange, letters, account, not_entitled(exchange)).await,
    }
}

fn not_entitled(exchange: &Exchange) -> Draft {
    reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "You may not open records in an emergency",
            "This takes a right that two people give together. Your account does not have it.",
            "No record was opened. That you asked is on record, and the people who look after security can see it.",
            "In an emergency, ask a colleague who has the right. To get it, ask the people who run this server.",
        ],
        [
            "Usted no puede abrir expedientes por emergencia",
            "Para esto se necesita un permiso que dos personas dan juntas. Su cuenta no lo tiene.",
            "No se abrió ningún expediente. Queda registrado que usted lo pidió, y los responsables de seguridad lo pueden ver.",
            "En una emergencia, pida ayuda a un colega que tenga el permiso. Para tenerlo, pregunte a quienes administran este servidor.",
        ],
    )
}

/// What is recorded of whatever happens here: always as an emergency.
fn account(exchange: &Exchange, signed_in: &SignedIn, outcome: Outcome, detail: &str) -> Account {
    let purpose = Some(PurposeOfUse::BREAK_GLASS.code().to_owned());
    let agent = Agent { purpose, ..reply::agent(exchange, signed_in) };
    Account::new(Event::BreakGlass, agent, outcome, detail)
}
