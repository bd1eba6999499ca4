//! Visits of one patient to choose from, newest first, as far as the signed-in person may see them.
//!
//! Read as that person, through the same decision, store and release as any other request.

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::users::User;
use portcullis_policy::{SearchPage, StoredVersion};

use super::people;
use crate::context::Server;
use crate::ui::pages::{EncounterChoice, VisitKind};

/// Visits on one page.
const PAGE: u32 = 25;

/// What the person may choose.
#[derive(Debug, Default)]
pub struct Encounters {
    /// One page of visits.
    pub encounters: Vec<EncounterChoice>,
    /// The bookmark of the next page.
    pub next: Option<String>,
}

/// Visits of a patient, newest first; `cursor` is the bookmark of a later page.
pub async fn choices(server: &Server, user: &User, patient: &LogicalId, cursor: Option<String>) -> Encounters {
    let mut pairs = vec![
        ("patient".to_owned(), patient.to_string()),
        ("_sort".to_owned(), "-date".to_owned()),
        ("_count".to_owned(), PAGE.to_string()),
    ];
    pairs.extend(cursor.map(|cursor| ("_cursor".to_owned(), cursor)));
    let Some(page) = search(server, user, &pairs, &format!("encounter-picker\n{}\n{patient}", user.id.as_str())).await else {
        return Encounters::default();
    };
    Encounters { encounters: page.matches.iter().filter_map(described).collect(), next: page.next }
}

/// One visit of a patient, where the person may see it.
pub async fn choice(server: &Server, user: &User, patient: &LogicalId, id: &LogicalId) -> Option<EncounterChoice> {
    let pairs = [("patient".to_owned(), patient.to_string()), ("_id".to_owned(), id.to_string())];
    let page = search(server, user, &pairs, "encounter").await?;
    page.matches.first().and_then(described)
}

async fn search(server: &Server, user: &User, pairs: &[(String, String)], binding: &str) -> Option<SearchPage> {
    let query = people::parsed(server, ResourceType::ENCOUNTER, pairs)?;
    people::search_to_open(server, user, query, binding).await
}

fn described(version: &StoredVersion) -> Option<EncounterChoice> {
    let encounter = json::parse(version.body.as_deref()?).ok()?;
    let kind = encounter.member("type").and_then(Value::as_array).and_then(<[Value]>::first).and_then(concept);
    let class = encounter
        .member("class")
        .and_then(|class| text(class, "display").map(VisitKind::Told).or_else(|| text(class, "code").map(VisitKind::Class)));
    let reason = encounter.member("reasonCode").and_then(Value::as_array).and_then(<[Value]>::first).and_then(concept);
    let period = encounter.member("period");
    Some(EncounterChoice {
        id: version.id.to_string(),
        what: kind.map(VisitKind::Told).or(class).unwrap_or(VisitKind::Unknown),
        why: reason.unwrap_or_default(),
        when: period.and_then(|period| text(period, "start")).unwrap_or_default(),
    })
}

fn text(value: &Value, member: &str) -> Option<String> {
    value.member(member).and_then(Value::as_str).map(str::to_owned)
}

fn concept(concept: &Value) -> Option<String> {
    let coding = || {
        concept.member("coding").and_then(Value::as_array).and_then(<[Value]>::first).and_then(|coding| text(coding, "display"))
    };
    text(concept, "text").or_else(coding)
}
