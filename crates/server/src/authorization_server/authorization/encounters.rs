//! Visits of one patient to choose from, newest first, as far as the signed-in person may see them.
//!
//! Read as that person, through the same decision, store and release as any other request.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::users::User;
use portcullis_policy::{SearchPage, StoredVersion};

use super::people;
use crate::context::Server;
use crate::ui::pages::EncounterChoice;

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
    let class =
        encounter.member("class").and_then(|class| text(class, "display").or_else(|| text(class, "code").map(class_name)));
    let reason = encounter.member("reasonCode").and_then(Value::as_array).and_then(<[Value]>::first).and_then(concept);
    let period = encounter.member("period");
    Some(EncounterChoice {
        id: version.id.to_string(),
        what: kind.or(class).unwrap_or_else(|| "Visit".to_owned()),
        why: reason.unwrap_or_default(),
        when: period.and_then(|period| text(period, "start")).map(|start| spoken_time(&start)).unwrap_or_default(),
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

/// The classes of v3-ActCode in words (<http://terminology.hl7.org/ValueSet/v3-ActEncounterCode>).
fn class_name(code: String) -> String {
    let words = match code.as_str() {
        "AMB" => "Visit to a clinic",
        "EMER" => "Emergency visit",
        "IMP" | "ACUTE" | "NONAC" => "Stay in hospital",
        "OBSENC" | "SS" => "Short stay",
        "HH" => "Visit at home",
        "VR" => "Visit by telephone or video",
        "FLD" => "Visit outside a clinic",
        "PRENC" => "Visit before a stay in hospital",
        _ => return code,
    };
    words.to_owned()
}

/// `12 March 2026 at 14:05 UTC`, or the day alone; what is no date stays as it is.
fn spoken_time(text: &str) -> String {
    if let Ok(time) = text.parse::<Timestamp>() {
        return time.to_zoned(TimeZone::UTC).strftime("%-d %B %Y at %H:%M UTC").to_string();
    }
    text.parse::<jiff::civil::Date>().map_or_else(|_| text.to_owned(), |date| date.strftime("%-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_write_them() {
        assert_eq!(spoken_time("2026-03-12T14:05:00+01:00"), "12 March 2026 at 13:05 UTC");
        assert_eq!(spoken_time("2026-03-12"), "12 March 2026");
        assert_eq!(spoken_time("2026"), "2026");
        assert_eq!(class_name("AMB".into()), "Visit to a clinic");
        assert_eq!(class_name("X9".into()), "X9");
    }
}
