//! `portcullis audit review`: what was denied to whom, by which consents, and where the glass was broken, for those who review it.
//!
//! Read from the audit trail as anybody reads it, by searches of AuditEvents, as the operator. Reading the trail is itself on record, with the patients whose events were shown. IHE
//! Privacy Consent on FHIR, "Security considerations": denials and break-glass can be reviewed.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_audit::record::{Event, OperationEntry};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::OperatorOperation;
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::protocol::{Refused, Response};
use super::service::{Service, Task, invalid};

/// The most events of each search that are shown, the newest ones.
const MAXIMUM: usize = 500;
/// The most pages of each search that are looked through for them, and their size.
const PAGES: usize = 20;
const PAGE: &str = "500";
/// The purpose of whoever has broken the glass (v3-ActReason).
const BREAK_GLASS: &str = "BTG";

/// What is looked for, each a search of AuditEvents: what was denied, what found something that it may not see, what consents decided, and what broke the glass or ended that.
const SEARCHES: [&[(&str, &str)]; 4] = [
    &[("outcome", "8,12")],
    &[("outcome", "4")],
    &[("subtype", "AuthZ-Consent"), ("outcome", "0")],
    &[("subtype", "110127,110138"), ("outcome", "0,4")],
];

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRequest {
    /// From this day or time on, as a FHIR date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Up to this day or time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of this patient alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The events, oldest first.
    pub events: Vec<ReviewedEvent>,
    /// Whether there are older ones that are not shown.
    pub more: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedEvent {
    /// The id of the AuditEvent.
    pub id: String,
    /// When, as a FHIR instant.
    pub recorded: String,
    /// `denied`, `hidden` (asked for by its id, and answered as absent), `consent-denied`, `break-glass` or `failed`.
    pub kind: String,
    /// The codes of the event: type, and subtype where it has one.
    pub codes: Vec<String>,
    /// The client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The user, as a FHIR resource or by the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Why data was asked for (v3-ActReason).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What it was about: patients, Consents with their versions, and other resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// What is said of how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl ReviewRequest {
    pub(super) fn described(&self) -> String {
        let of = self.patient.as_ref().map(|patient| format!(" of Patient/{patient}")).unwrap_or_default();
        format!("denials and break-glass reviewed{of}")
    }

    /// As parameters of a search.
    fn criteria(&self) -> Result<Vec<(String, String)>, Refused> {
        let mut criteria = vec![("_count".to_owned(), PAGE.to_owned())];
        for (prefix, date) in [("ge", &self.since), ("le", &self.until)] {
            let Some(date) = date else { continue };
            portcullis_fhir::instant::range(date)
                .ok_or_else(|| invalid(&format!("'{date}' is no date: give it as 2026-01-31 or 2026-01-31T08:00:00Z.")))?;
            criteria.push(("date".to_owned(), format!("{prefix}{date}")));
        }
        if let Some(patient) = &self.patient {
            let id = LogicalId::parse(patient).ok_or_else(|| invalid(&format!("'{patient}' is no id of a resource.")))?;
            criteria.push(("patient".to_owned(), format!("Patient/{id}")));
        }
        Ok(criteria)
    }
}

impl Service {
    /// Reviews, and records who did.
    pub(super) async fn review(&self, task: &Task, request: &ReviewRequest) -> Result<Response, Refused> {
        let criteria = request.criteria()?;
        let operator = task.principal_for([OperatorOperation::ReadResources]);
        let (mut found, mut more, mut patients) = (BTreeMap::new(), false, BTreeSet::new());
        for search in SEARCHES {
            let own = search.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let mut pairs: Vec<(String, String)> = criteria.iter().cloned().chain(own).collect();
            let (mut shown, mut next) = (0, None);
            for _ in 0..PAGES {
                pairs.retain(|(name, _)| name != "_cursor");
                pairs.extend(next.take().map(|cursor| ("_cursor".to_owned(), cursor)));
                let page = self.searched(&operator, ResourceType::AUDIT_EVENT, &pairs).await?;
                for version in &page.matches {
                    let event = version.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
                    if let Some(event) = event.as_ref().and_then(reviewed) {
                        patients.extend(version.patients.iter().map(ToString::to_string));
                        found.entry(place_of(&event)).and_modify(|known: &mut ReviewedEvent| known.join(&event)).or_insert(event);
                        shown += 1;
                    }
                }
                next = page.next;
                if next.is_none() || shown >= MAXIMUM {
                    break;
                }
            }
            more |= next.is_some();
        }
        let mut read = OperationEntry {
            interaction: "search-type".to_owned(),
            resource_type: Some("AuditEvent".to_owned()),
            patients: patients.into_iter().collect(),
            returned: u32::try_from(found.len()).ok(),
            ..OperationEntry::default()
        };
        read.name(request.patient.clone().filter(|patient| !read.patients.contains(patient)));
        self.change_recorded(task, (Event::Administration, vec![read]), Change::Nothing).await?;
        Ok(Response::Reviewed(Reviewed { events: found.into_values().collect(), more }))
    }
}

impl ReviewedEvent {
    /// Adds what another event of the same request is about.
    fn join(&mut self, other: &Self) {
        for what in &other.about {
            if !self.about.contains(what) {
                self.about.push(what.clone());
            }
        }
    }
}

/// In which order events are shown; those of one request are one, but where consents of several patients decided, each on its own.
fn place_of(event: &ReviewedEvent) -> (String, String) {
    let request = event.id.split('-').next().unwrap_or_default();
    let own = if event.kind == "consent-denied" { &event.id } else { request };
    (event.recorded.clone(), format!("{own} {}", event.codes.join(" ")))
}

/// Whether this text stands there.
fn says(value: &Value, pointer: &str, expected: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_str) == Some(expected)
}

/// What of an event is shown; `None` where it is no denial and no break-glass.
fn reviewed(event: &Value) -> Option<ReviewedEvent> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let list = |name: &str| event.get(name).and_then(Value::as_array).into_iter().flatten();
    let purpose = text("/purposeOfEvent/0/coding/0/code").map(str::to_owned);
    let subtype = text("/subtype/0/code");
    let mut details = list("entity").filter_map(|entity| entity.get("detail")?.as_array()).flatten();
    let is_hidden = details.any(|detail| says(detail, "/type", "presence") && says(detail, "/valueString", "hidden"));
    let names_patient = list("entity").any(|entity| says(entity, "/role/code", "1"));
    let kind = match (text("/outcome")?, subtype) {
        ("8", Some("AuthZ-Consent")) if names_patient => "consent-denied",
        (_, Some("110127" | "110138")) => "break-glass",
        ("0", _) if purpose.as_deref() == Some(BREAK_GLASS) => "break-glass",
        ("12", _) => "failed",
        ("8", _) => "denied",
        ("4", _) if is_hidden => "hidden",
        _ => return None,
    };
    let who = |agent: &Value| {
        let named = |pointer: &str| agent.pointer(pointer).and_then(Value::as_str);
        named("/who/reference").or_else(|| named("/who/identifier/value")).map(str::to_owned)
    };
    let is_requestor = |agent: &&Value, expected: bool| agent.get("requestor").and_then(Value::as_bool) == Some(expected);
    // The client stands first, then the server, then the user.
    let client = list("agent").next().filter(|agent| is_requestor(agent, false)).and_then(who);
    Some(ReviewedEvent {
        id: text("/id")?.to_owned(),
        recorded: text("/recorded")?.to_owned(),
        kind: kind.to_owned(),
        codes: text("/type/code").into_iter().chain(subtype).map(str::to_owned).collect(),
        client,
        user: list("agent").find(|agent| is_requestor(agent, true)).and_then(who),
        purpose,
        about: list("entity")
            .filter_map(|entity| entity.pointer("/what/reference")?.as_str())
            .filter(|what| !what.starts_with('#'))
            .fold(Vec::new(), |mut about, what| {
                if !about.iter().any(|known| known == what) {
                    about.push(what.to_owned());
                }
                about
            }),
        detail: text("/outcomeDesc").map(str::to_owned),
    })
}
