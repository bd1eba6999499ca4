//! The access history as a table that a spreadsheet opens (RFC 4180), in plain words.
//!
//! A cell that a spreadsheet would take for a formula begins with an apostrophe instead: ids and names come from others.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_fhir::json::Value;
use portcullis_oauth::identifiers::{ClientId, UserId};

use crate::authorization_server::session::SignedIn;
use crate::context::Server;
use crate::ui::Language;

const COLUMNS: usize = 11;
const ENGLISH_HEADINGS: [&str; COLUMNS] = [
    "Time (UTC)",
    "What was done",
    "How it ended",
    "Whose record",
    "What it was about",
    "What was searched for",
    "App",
    "App ID",
    "Person",
    "From network address",
    "Entry ID",
];
const SPANISH_HEADINGS: [&str; COLUMNS] = [
    "Hora (UTC)",
    "Qué se hizo",
    "Cómo terminó",
    "De quién es el expediente",
    "De qué datos",
    "Qué se buscó",
    "Aplicación",
    "ID de la aplicación",
    "Persona",
    "Desde la dirección de red",
    "ID del registro",
];
/// How spreadsheets know that a file is UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    time: String,
    action: String,
    outcome: &'static str,
    patients: String,
    resources: String,
    query: String,
    client: Option<String>,
    user: Option<String>,
    /// What stands for the user where there is no id.
    shown_user: String,
    address: String,
    id: String,
}

/// The table. `note` is told in a last row.
pub async fn table(server: &Server, signed_in: &SignedIn, events: &[Value], note: Option<&str>) -> String {
    let language = signed_in.reader.language;
    let mut text = String::from(BYTE_ORDER_MARK);
    line(&mut text, language.say(ENGLISH_HEADINGS, SPANISH_HEADINGS));
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for event in events {
        let row = Row::of(event, language);
        let app = match &row.client {
            Some(id) => named(&mut names, format!("app {id}"), async || app_name(server, id).await).await,
            None => String::new(),
        };
        let person = match &row.user {
            Some(id) if id == signed_in.user.id.as_str() => language.say("you", "usted").to_owned(),
            Some(id) => named(&mut names, format!("user {id}"), async || person_name(server, id, language).await).await,
            None => row.shown_user,
        };
        let client = row.client.unwrap_or_default();
        line(
            &mut text,
            [
                &row.time,
                &row.action,
                row.outcome,
                &row.patients,
                &row.resources,
                &row.query,
                &app,
                &client,
                &person,
                &row.address,
                &row.id,
            ],
        );
    }
    if let Some(note) = note {
        let mut cells = [""; COLUMNS];
        cells[0] = note;
        line(&mut text, cells);
    }
    text
}

/// A name that is looked up once.
async fn named(names: &mut BTreeMap<String, String>, key: String, find: impl AsyncFnOnce() -> String) -> String {
    if let Some(known) = names.get(&key) {
        return known.clone();
    }
    let name = find().await;
    names.insert(key, name.clone());
    name
}

async fn app_name(server: &Server, id: &str) -> String {
    let Some(parsed) = ClientId::parse(id) else { return String::new() };
    let client = server.registry.client(&parsed).await.ok().flatten();
    client.map_or_else(String::new, |client| crate::authorization_server::authorization::asking_app::shown_name(&client))
}

async fn person_name(server: &Server, id: &str, language: Language) -> String {
    let Some(parsed) = UserId::parse(id) else { return id.to_owned() };
    let user = server.registry.user(&parsed).await.ok().flatten();
    let gone = || language.say("somebody who is no longer here", "alguien que ya no está aquí").to_owned();
    user.map_or_else(gone, |user| user.display_name)
}

impl Row {
    fn of(event: &Value, language: Language) -> Self {
        let list = |name: &str| event.member(name).and_then(Value::as_array).unwrap_or_default();
        let entities = list("entity");
        let is_patient = |entity: &&Value| text(entity, &["role", "code"]) == Some("1");
        let reference = |entity: &Value| text(entity, &["what", "reference"]).map(str::to_owned);
        let joined = |texts: Vec<String>| texts.join(" ");
        let queries = entities.iter().filter_map(|entity| text(entity, &["query"]));
        let query = queries.filter_map(|query| String::from_utf8(STANDARD.decode(query).ok()?).ok()).collect();
        let is_user = |agent: &&Value| agent.member("requestor").and_then(Value::as_bool) == Some(true);
        let (users, others): (Vec<&Value>, Vec<&Value>) = list("agent").iter().partition(|agent| is_user(agent));
        let identifier = |agent: &Value| text(agent, &["who", "identifier", "value"]).map(str::to_owned);
        let shown =
            |agent: &Value| text(agent, &["who", "display"]).or_else(|| text(agent, &["who", "reference"])).map(str::to_owned);
        // The client is the agent before the server, and the server has no identifier but its own URL.
        let client = others.iter().find(|agent| text(agent, &["network", "type"]) != Some("5"));
        Self {
            time: text(event, &["recorded"]).unwrap_or_default().to_owned(),
            action: action(event, language),
            outcome: match text(event, &["outcome"]) {
                Some("0") => language.say("done", "hecho"),
                Some("4") => language.say("refused: the request was wrong", "rechazado: la solicitud no era correcta"),
                _ => language.say("refused or failed", "rechazado o fallido"),
            },
            patients: joined(entities.iter().filter(is_patient).filter_map(reference).collect()),
            resources: joined(entities.iter().filter(|entity| !is_patient(entity)).filter_map(reference).collect()),
            query: joined(query),
            client: client.and_then(|agent| identifier(agent)),
            user: users.first().and_then(|agent| identifier(agent)),
            shown_user: users.first().and_then(|agent| shown(agent)).unwrap_or_default(),
            address: client.and_then(|agent| text(agent, &["network", "address"])).unwrap_or_default().to_owned(),
            id: text(event, &["id"]).unwrap_or_default().to_owned(),
        }
    }
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    let mut at = value;
    for name in path {
        at = at.member(name)?;
    }
    at.as_str()
}

/// What was done: in words for requests, as the event calls it for all else.
fn action(event: &Value, language: Language) -> String {
    let subtype = event.member("subtype").and_then(Value::as_array).and_then(<[Value]>::first);
    let words = match subtype.and_then(|subtype| text(subtype, &["code"])) {
        Some("read" | "vread") => language.say("read", "leyó"),
        Some("search-type" | "search-system" | "search") => language.say("searched", "buscó"),
        Some("history-instance" | "history-type" | "history") => language.say("read the history", "leyó el historial"),
        Some("create") => language.say("added", "agregó"),
        Some("update" | "patch") => language.say("changed", "cambió"),
        Some("delete") => language.say("removed", "borró"),
        _ => {
            let display = |coding: &Value| text(coding, &["display"]).map(str::to_owned);
            return subtype.and_then(display).or_else(|| event.member("type").and_then(display)).unwrap_or_default();
        }
    };
    words.to_owned()
}

/// Adds a row of cells, all quoted.
fn line<const N: usize>(output: &mut String, cells: [&str; N]) {
    for (position, cell) in cells.iter().enumerate() {
        if position > 0 {
            output.push(',');
        }
        output.push('"');
        if is_formula(cell) {
            output.push('\'');
        }
        for character in cell.chars() {
            if character == '"' {
                output.push('"');
            }
            output.push(character);
        }
        output.push('"');
    }
    output.push_str("\r\n");
}

/// Whether a spreadsheet may compute the cell instead of showing it. Some of them skip white space before they decide.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::json;

    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_no_cell_ends_early() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "\n-1"] {
            let mut output = String::new();
            line(&mut output, [cell]);
            assert!(output.starts_with("\"'"), "{output:?}");
        }
        let mut output = String::new();
        line(&mut output, ["Ann \"A\", B=1", "", "2026-11-21T10:00:00.000Z"]);
        assert_eq!(output, "\"Ann \"\"A\"\", B=1\",\"\",\"2026-11-21T10:00:00.000Z\"\r\n");
    }

    #[test]
    fn an_event_is_a_row_of_what_it_says() {
        let event = json::parse(
            br#"{"resourceType":"AuditEvent","id":"e1","type":{"code":"rest","display":"RESTful Operation"},"subtype":[{"code":"search-type"}],
            "recorded":"2026-11-21T10:00:00.000Z","outcome":"0",
            "agent":[{"who":{"identifier":{"value":"app"}},"requestor":false,"network":{"address":"192.0.2.7","type":"2"}},
            {"who":{"display":"x"},"requestor":false,"network":{"address":"https://h.example","type":"5"}},
            {"who":{"display":"another patient"},"requestor":true}],
            "entity":[{"what":{"reference":"Patient/ann"},"role":{"code":"1"}},{"query":"Q292ZXJhZ2U/eD15","role":{"code":"24"}},
            {"what":{"reference":"Coverage/c/_history/1"},"role":{"code":"4"}}]}"#,
        )
        .unwrap();
        let expected = Row {
            time: "2026-11-21T10:00:00.000Z".into(),
            action: "searched".into(),
            outcome: "done",
            patients: "Patient/ann".into(),
            resources: "Coverage/c/_history/1".into(),
            query: "Coverage?x=y".into(),
            client: Some("app".into()),
            user: None,
            shown_user: "another patient".into(),
            address: "192.0.2.7".into(),
            id: "e1".into(),
        };
        assert_eq!(Row::of(&event, Language::English), expected);
        let spanish = Row::of(&event, Language::Spanish);
        assert_eq!((spanish.action.as_str(), spanish.outcome), ("buscó", "hecho"));
    }
}
