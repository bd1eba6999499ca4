//! `GET /me/history.csv` and `GET /me/history.ndjson`: the whole access history of the signed-in person, and of whom the person acts for, to keep.
//!
//! It is what the own page tells the newest of, read as that person through the same decision, store and release; as a table for people, and as FHIR
//! AuditEvents, one a line (<https://hl7.org/fhir/R4/nd-json.html>), for programs. One file is bounded; where there is more, its last line says so
//! and where the rest is. Whoever was given the account by somebody else, unconfirmed, gets nothing.

use http::{StatusCode, header};
use jiff::Timestamp;
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::search::SearchQuery;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::users::{Role, Roles, User};
use portcullis_policy::StoredVersion;
use tokio::sync::Semaphore;

use super::{account, history_table};
use crate::account_route::HistoryForm;
use crate::answer::{Answer, Draft};
use crate::authorization_server::authorization::authorize::field;
use crate::authorization_server::authorization::people;
use crate::authorization_server::page_query;
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::resource_server::Exchange;
use crate::ui::Language;

/// The most events in one file.
pub const MAXIMUM_EVENTS: usize = 10_000;
/// The most bytes of events in one file.
const MAXIMUM_BYTES: usize = 16 * 1024 * 1024;
/// Events in one search.
const EVENTS: u32 = 500;
/// Files that are made at the same time: what they can take of memory together.
static AT_ONCE: Semaphore = Semaphore::const_new(4);
/// The parameter of the moment, with a zone, after which nothing is wanted.
const BEFORE: &str = "before";

/// Events as the person may see them, newest first.
#[derive(Debug, Default)]
struct History {
    events: Vec<Value>,
    /// The moment from which on backwards the next file begins, where this one does not hold all. Events of exactly that moment are in both.
    rest: Option<String>,
}

/// Why there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// The parameter `before` is no moment.
    NoMoment,
    /// Too many are being made.
    Busy,
    /// The trail did not answer, or not whole. Part of a history is never given for all of it.
    Unavailable,
}

/// `GET /me/history.csv`, `GET /me/history.ndjson`
pub async fn show(server: &Server, exchange: &Exchange, form: HistoryForm) -> Answer {
    let mut signed_in = match session::current(server, exchange).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return server.record_page(exchange, Outcome::Success, reply::see_other("/login?return_to=/me")).await,
        Err(error) => return server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    };
    match role_assurance::missing(server, exchange, &signed_in, "/me").await {
        Ok(None) => {}
        Ok(Some(missing)) => return missing,
        Err(error) => return server.record_page(exchange, Outcome::Failed, reply::unavailable(exchange, &error)).await,
    }
    let agent = reply::agent(exchange, &signed_in);
    signed_in.user.roles = as_patient(signed_in.user.roles);
    let (outcome, draft, detail, patients) = if signed_in.recovered_by().is_some() {
        let draft =
            account::not_confirmed(exchange, "You cannot have this history yet", "Todavía no puede obtener este historial");
        (Outcome::Denied, draft, "access history refused to a recovered account".to_owned(), Vec::new())
    } else {
        match file(server, exchange, &signed_in, form).await {
            Ok((draft, count)) => {
                let detail = format!("access history downloaded: {count} events");
                (Outcome::Success, draft, detail, signed_in.user.patients.clone())
            }
            Err(missing) => {
                let outcome = if missing == Missing::NoMoment { Outcome::Rejected } else { Outcome::Failed };
                (outcome, missing.draft(exchange), "access history not given".to_owned(), Vec::new())
            }
        }
    };
    let account = Account::new(Event::Page, agent, outcome, detail).about(patients);
    reply::recorded(server, exchange, account, draft).await
}

async fn file(server: &Server, exchange: &Exchange, signed_in: &SignedIn, form: HistoryForm) -> Result<(Draft, usize), Missing> {
    let before = before(exchange)?;
    let _turn = AT_ONCE.try_acquire().map_err(|_| Missing::Busy)?;
    let history = history(server, &signed_in.user, before).await.ok_or(Missing::Unavailable)?;
    let rest = history.rest.as_ref().map(|moment| format!("{}{}?{BEFORE}={moment}", server.settings.public_url, form.path()));
    let count = history.events.len();
    let note = rest.as_ref().map(|rest| match form {
        HistoryForm::Table if signed_in.reader.language == Language::Spanish => {
            format!("Estos son los {count} registros más recientes. Los anteriores: {rest}")
        }
        HistoryForm::Table | HistoryForm::Events => format!("These are the newest {count} events. Older ones: {rest}"),
    });
    let (media_type, file_name, body) = match form {
        HistoryForm::Table => (
            "text/csv; charset=utf-8; header=present",
            "access-history.csv",
            history_table::table(server, signed_in, &history.events, note.as_deref()).await.into_bytes(),
        ),
        HistoryForm::Events => ("application/fhir+ndjson", "access-history.ndjson", lines(&history.events, note.as_deref())),
    };
    let mut draft = Draft::new(StatusCode::OK)
        .body(media_type, body)
        .with_text(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{file_name}\""));
    if let Some(rest) = rest {
        draft = draft.with_text(header::LINK, &format!("<{rest}>; rel=\"next\""));
    }
    Ok((draft, history.events.len()))
}

/// The parameter, with milliseconds in UTC.
fn before(exchange: &Exchange) -> Result<Option<String>, Missing> {
    let query = page_query::read(exchange, &[BEFORE]).map_err(|_| Missing::NoMoment)?;
    let Some(text) = field(&query, BEFORE) else { return Ok(None) };
    let moment: Timestamp = text.parse().map_err(|_| Missing::NoMoment)?;
    Ok(Some(format!("{moment:.3}")))
}

/// The person as far as the person acts for patients: whoever also audits has the trail of others elsewhere, and not in the own history.
fn as_patient(roles: Roles) -> Roles {
    [Role::Patient, Role::Representative].into_iter().filter(|role| roles.contains(*role)).collect()
}

async fn history(server: &Server, user: &User, before: Option<String>) -> Option<History> {
    let mut history = History::default();
    if user.patients.is_empty() || user.roles.is_empty() {
        return Some(history);
    }
    let (mut bytes, mut cursor) = (0_usize, None);
    loop {
        let (found, next) = page(server, user, before.as_deref(), cursor).await?;
        for version in found {
            let body = version.body.unwrap_or_default();
            bytes = bytes.saturating_add(body.len());
            let event = json::parse(&body).ok()?;
            if history.events.len() == MAXIMUM_EVENTS || bytes > MAXIMUM_BYTES {
                history.rest = Some(event.member("recorded").and_then(Value::as_str)?.to_owned());
                return Some(history);
            }
            history.events.push(event);
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Some(history),
        }
    }
}

async fn page(
    server: &Server,
    user: &User,
    before: Option<&str>,
    cursor: Option<String>,
) -> Option<(Vec<StoredVersion>, Option<String>)> {
    let mut pairs = vec![("_count".to_owned(), EVENTS.min(SearchQuery::MAXIMUM_COUNT).to_string())];
    pairs.extend(before.map(|moment| ("date".to_owned(), format!("le{moment}"))));
    pairs.extend(cursor.map(|cursor| ("_cursor".to_owned(), cursor)));
    let query = people::parsed(server, ResourceType::AUDIT_EVENT, &pairs)?;
    let found = people::audit_events(server, user, query).await?;
    Some((found.matches, found.next))
}

/// One event a line, and an OperationOutcome at the end where there is more.
fn lines(events: &[Value], note: Option<&str>) -> Vec<u8> {
    let mut output = Vec::new();
    for event in events {
        event.write(&mut output);
        output.push(b'\n');
    }
    if let Some(note) = note {
        let issue = serde_json::json!({"severity": "information", "code": "incomplete", "diagnostics": note});
        let outcome = serde_json::json!({"resourceType": "OperationOutcome", "issue": [issue]});
        output.extend_from_slice(outcome.to_string().as_bytes());
        output.push(b'\n');
    }
    output
}

impl Missing {
    fn draft(self, exchange: &Exchange) -> Draft {
        match self {
            Self::NoMoment => reply::error(
                exchange,
                StatusCode::BAD_REQUEST,
                [
                    "We do not understand this address",
                    "The moment after “before” is not one that we can read.",
                    "Nothing was looked up.",
                    "Write it like 2026-11-21T10:00:00Z, or leave it out for the newest events.",
                ],
                [
                    "No entendemos esta dirección",
                    "No pudimos leer la fecha y hora que sigue a “before”.",
                    "No se buscó nada.",
                    "Escríbala así: 2026-11-21T10:00:00Z. O quítela para ver lo más reciente.",
                ],
            ),
            Self::Busy | Self::Unavailable => reply::error(
                exchange,
                StatusCode::SERVICE_UNAVAILABLE,
                [
                    "We cannot make this file right now",
                    if self == Self::Busy {
                        "Too many such files are being made."
                    } else {
                        "The record of who looked did not answer."
                    },
                    "You got no part of it, since a part could pass for the whole.",
                    "Wait a minute and try again.",
                ],
                [
                    "En este momento no podemos hacer este archivo",
                    if self == Self::Busy {
                        "Se están haciendo demasiados archivos de este tipo."
                    } else {
                        "El registro de accesos no respondió."
                    },
                    "No le dimos ninguna parte, porque una parte podría parecer el todo.",
                    "Espere un minuto e inténtelo de nuevo.",
                ],
            )
            .with(header::RETRY_AFTER, "10"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_all_says_so_in_a_line_that_is_a_resource() {
        let event = json::parse(br#"{ "resourceType": "AuditEvent", "outcomeDesc": "a\nb" }"#).unwrap();
        let text = String::from_utf8(lines(&[event], Some("Older ones: x"))).unwrap();
        // A line break in a value is none of the file.
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((last["resourceType"].as_str(), text.lines().count()), (Some("OperationOutcome"), 2));
    }
}
