//! `/security`: security officers review who broke the glass, end it, and agree to changes that somebody else proposed, or refuse them.
//!
//! Looking takes the role; deciding takes a second factor of the last quarter of an hour as well, and agreeing the right to agree. No clinical data is shown: patients
//! stand here by their ids.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::approval::{Actor, ChangeKind, PendingChange};
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::users::Role;
use portcullis_policy::operator_rules::{Widened, Widening};
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;
use portcullis_store::safeguards::SafeguardChange;

use super::break_glass::{ended, is_strong, strengthened};
use super::csrf::Purpose;
use super::form::{self, Form};
use super::reply::{self, Account};
use super::role_assurance;
use super::session::{self, SignedIn};
use crate::answer::Answer;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::Reader;
use crate::ui::pages::{AgreedLine, EmergencyLine, ProposalLine, SecurityPage};

/// Where the page is.
const PATH: &str = "/security";

/// `GET /security`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    let answer = async {
        match officer(server, exchange).await? {
            Ok(signed_in) => shown(server, exchange, &signed_in, None).await,
            Err(answer) => Ok(answer),
        }
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

/// `POST /security`
pub async fn submit(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    let answer = async {
        let form = match form::received(server, exchange, Event::Administration, body).await {
            Ok(form) => form,
            Err(answer) => return Ok(answer),
        };
        let signed_in = match officer(server, exchange).await? {
            Ok(signed_in) => signed_in,
            Err(answer) => return Ok(answer),
        };
        let Ok(form) = form.checked(&server.form_tokens, &[Purpose::Security], Some(signed_in.session.id.as_str())) else {
            let agent = reply::agent(exchange, &signed_in);
            let account = Account::new(Event::Administration, agent, Outcome::Denied, "form token refused");
            return Ok(reply::recorded(server, exchange, account, form::outdated(exchange)).await);
        };
        if !is_strong(server, &signed_in) {
            return strengthened(server, exchange, &signed_in, PATH).await;
        }
        if let Some(id) = form.field("end") {
            return match server.registry.glass_entry(id).await? {
                Some(entry) => ended(server, exchange, &signed_in, &entry, PATH).await,
                None => shown(server, exchange, &signed_in, None).await,
            };
        }
        decide(server, exchange, &signed_in, &form).await
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

async fn decide(server: &Server, exchange: &Exchange, signed_in: &SignedIn, form: &Form) -> Result<Answer, RegistryError> {
    let (id, digest) = (form.field("change").unwrap_or_default(), form.field("digest").unwrap_or_default());
    let by = Actor::User(signed_in.user.id.clone());
    let (change, done) = match form.field("decision") {
        Some("approve") => {
            let agreed = SafeguardChange::Approve { id: id.to_owned(), digest: digest.to_owned(), by };
            (agreed, "approved")
        }
        Some("refuse") => (SafeguardChange::Refuse { id: id.to_owned(), by }, "refused"),
        _ => return shown(server, exchange, signed_in, None).await,
    };
    let described = match server.registry.pending_change(id).await? {
        Some(proposal) => format!("change {done}: {} {} ({})", proposal.kind, proposal.id, proposal.digest),
        None => format!("change {done}: unknown"),
    };
    let agent = reply::agent(exchange, signed_in);
    let account = Account::new(Event::Administration, agent.clone(), Outcome::Success, described.clone());
    let change = Change::Safeguard(Box::new(change));
    match reply::changed(server, exchange, change, account, reply::see_other(PATH)).await {
        Err(RegistryError::Conflict(reason)) => shown(server, exchange, signed_in, Some((reason, described))).await,
        other => other,
    }
}

/// The security officer in this browser; else what is answered instead.
async fn officer(server: &Server, exchange: &Exchange) -> Result<Result<SignedIn, Answer>, RegistryError> {
    let Some(signed_in) = session::current(server, exchange).await? else {
        let draft = reply::see_other("/login?return_to=/security");
        return Ok(Err(server.record_page(exchange, Outcome::Success, draft).await));
    };
    if signed_in.user.roles.contains(Role::SecurityOfficer) {
        let missing = role_assurance::missing(server, exchange, &signed_in, PATH).await?;
        return Ok(missing.map_or(Ok(signed_in), Err));
    }
    let draft = reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This page is for security officers",
            "You are signed in, but not as somebody who looks after security here.",
            "Nothing was shown or changed.",
            "To see your own record, open your page. For that role, ask the people who run this server.",
        ],
        [
            "Esta página es para los responsables de seguridad",
            "Usted inició sesión, pero no como responsable de seguridad.",
            "No se mostró ni se cambió nada.",
            "Para ver su propio expediente, abra su página. Para tener ese rol, pregunte a quienes administran este servidor.",
        ],
    );
    let account = Account::new(Event::Page, reply::agent(exchange, &signed_in), Outcome::Denied, "no security officer");
    Ok(Err(reply::recorded(server, exchange, account, draft).await))
}

/// The page; `failed` says why what was asked for was not done, and what that was.
async fn shown(
    server: &Server,
    exchange: &Exchange,
    signed_in: &SignedIn,
    failed: Option<(&'static str, String)>,
) -> Result<Answer, RegistryError> {
    let (now, reader) = (server.clock.now_seconds(), &signed_in.reader);
    let rights = server.registry.entitlements_of(&signed_in.user.id).await?;
    let (mut proposals, mut agreed) = (Vec::new(), Vec::new());
    for proposal in server.registry.pending_changes(now).await? {
        if proposal.waits(now) {
            proposals.push(line(server, signed_in, proposal).await?);
        } else if proposal.can_be_applied(now) {
            agreed.push(agreed_line(server, reader, proposal).await?);
        }
    }
    let waiting_rules = server.operator_rules.waiting();
    let waiting_rules = waiting_rules.iter().flat_map(|waiting| &waiting.widenings).map(|widening| widened(widening, reader));
    let waiting_settings = server.settings.authorization.access.waiting.iter().map(|key| wider_setting(key, reader));
    let mut emergencies = Vec::new();
    for entry in server.registry.broken_glass(now).await? {
        let open_until = entry.is_open(now).then(|| reader.moment(entry.ends_at));
        let (since, who) = (reader.moment(entry.began_at), name(server, &entry.user).await?);
        emergencies.push(EmergencyLine {
            id: entry.id,
            who,
            patient: entry.patient.to_string(),
            reason: entry.reason,
            since,
            open_until,
        });
    }
    let session = signed_in.session.id.as_str();
    let failure = |reason: &str| match reader.say(true, false) {
        true => format!("Nothing was changed: {reason}."),
        false => "No se cambió nada: el cambio ya no espera, o lo debe aceptar otra persona.".to_owned(),
    };
    let html = SecurityPage {
        reader: reader.clone(),
        person_name: signed_in.user.display_name.clone(),
        notice: failed.as_ref().map(|(reason, _)| failure(reason)),
        may_decide: rights.contains(&Entitlement::ApproveChanges),
        waiting_rules: waiting_rules.collect(),
        waiting_settings: waiting_settings.collect(),
        proposals,
        agreed,
        emergencies,
        csrf: server.form_tokens.token(Purpose::Security, session),
        sign_out_csrf: server.form_tokens.token(Purpose::OwnPage, session),
    };
    let agent = reply::agent(exchange, signed_in);
    let (status, account) = match failed {
        None => (StatusCode::OK, Account::new(Event::Page, agent, Outcome::Success, "")),
        Some((reason, what)) => {
            let detail = format!("{what}: not done: {reason}");
            (StatusCode::CONFLICT, Account::new(Event::Administration, agent, Outcome::Denied, detail))
        }
    };
    Ok(reply::recorded(server, exchange, account, reply::page(status, html.render(), None)).await)
}

async fn line(server: &Server, signed_in: &SignedIn, proposal: PendingChange) -> Result<ProposalLine, RegistryError> {
    let reader = &signed_in.reader;
    let whom = match &proposal.beneficiary {
        Some(user) => name(server, user).await?,
        None => String::new(),
    };
    let own = Actor::User(signed_in.user.id.clone()).name() == proposal.proposed_by;
    let is_own = own || proposal.beneficiary.as_ref() == Some(&signed_in.user.id);
    let by = actor(server, &proposal.proposed_by).await?;
    Ok(ProposalLine {
        what: words(proposal.kind, &whom, reader),
        content: proposal.kind.entitlement().is_none().then_some(proposal.content),
        digest: proposal.digest,
        by,
        since: reader.moment(proposal.proposed_at),
        until: reader.moment(proposal.expires_at),
        is_own,
        id: proposal.id,
    })
}

async fn agreed_line(server: &Server, reader: &Reader, proposal: PendingChange) -> Result<AgreedLine, RegistryError> {
    Ok(AgreedLine {
        what: words(proposal.kind, "", reader),
        by: actor(server, &proposal.proposed_by).await?,
        agreed_by: actor(server, proposal.decided_by.as_deref().unwrap_or_default()).await?,
        until: reader.moment(proposal.expires_at),
        digest: proposal.digest,
    })
}

/// Who proposed or decided: a person by name, an account of the operating system as it is stored.
async fn actor(server: &Server, stored: &str) -> Result<String, RegistryError> {
    match stored.strip_prefix("user:").and_then(UserId::parse) {
        Some(user) => name(server, &user).await,
        None => Ok(stored.to_owned()),
    }
}

/// What a rule of a file would open.
fn widened(widening: &Widening, reader: &Reader) -> String {
    let (english, spanish) = match widening.how {
        Widened::DenialGone => ("denies nothing any more: it is gone", "ya no niega nada: no está"),
        Widened::DenialWeaker => ("denies less, or to fewer", "niega menos, o a menos personas"),
        Widened::DenialTried => ("denies nothing any more: it is only tried", "ya no niega nada: solo se prueba"),
        Widened::PermitNew => ("permits something, and is new", "permite algo, y es nueva"),
        Widened::PermitWider => ("permits more, or to more", "permite más, o a más personas"),
        Widened::PermitCounts => ("permits something, and was only tried", "permite algo, y antes solo se probaba"),
    };
    format!("{} “{}” {}", reader.say("Rule", "La regla"), widening.rule, reader.say(english, spanish))
}

/// What a setting of the configuration would do.
fn wider_setting(key: &str, reader: &Reader) -> String {
    let (english, spanish) = ("would let more be seen than what is in force", "dejaría ver más que lo que está en vigor");
    format!("{} '{key}' {}", reader.say("The setting", "El ajuste"), reader.say(english, spanish))
}

/// What a change does.
fn words(kind: ChangeKind, whom: &str, reader: &Reader) -> String {
    let (english, spanish) = match kind {
        ChangeKind::BreakGlass => ("may open records in an emergency", "podrá abrir expedientes por emergencia"),
        ChangeKind::VerifyConsents => ("may verify consents", "podrá verificar consentimientos"),
        ChangeKind::ApproveChanges => ("may agree to changes", "podrá aceptar cambios"),
        ChangeKind::Rules => ("New rules that let somebody see more", "Reglas nuevas que dejan ver más"),
        ChangeKind::Settings => ("New settings that let somebody see more", "Ajustes nuevos que dejan ver más"),
        ChangeKind::KeyExport => ("A key leaves this server", "Una llave sale de este servidor"),
    };
    let said = reader.say(english, spanish);
    if kind.entitlement().is_some() { format!("{whom} {said}") } else { said.to_owned() }
}

async fn name(server: &Server, user: &UserId) -> Result<String, RegistryError> {
    let found = server.registry.user(user).await?;
    Ok(found.map_or_else(|| user.as_str().to_owned(), |user| format!("{} ({})", user.display_name, user.username)))
}
