//! The part of the AuditEvent resource that is rendered. Member order is that of the specification.

use std::borrow::Cow;

use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditEvent<'a> {
    pub resource_type: &'static str,
    pub id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contained: Vec<OperationOutcome>,
    pub r#type: Coding,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subtype: Vec<Coding>,
    pub action: &'static str,
    pub recorded: String,
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome_desc: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purpose_of_event: Vec<Purpose>,
    pub agent: Vec<Agent>,
    pub source: Source,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entity: Vec<Entity>,
}

#[derive(Serialize)]
pub(super) struct Meta {
    pub profile: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationOutcome {
    pub resource_type: &'static str,
    pub id: &'static str,
    pub issue: Vec<Issue>,
}

#[derive(Serialize)]
pub(super) struct Issue {
    pub severity: &'static str,
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Coding {
    pub system: &'static str,
    pub code: &'static str,
    pub display: &'static str,
}

impl Coding {
    pub const fn new(system: &'static str, code: &'static str, display: &'static str) -> Self {
        Self { system, code, display }
    }
}

#[derive(Serialize)]
pub(super) struct Concept {
    pub coding: [Coding; 1],
}

impl From<Coding> for Concept {
    fn from(coding: Coding) -> Self {
        Self { coding: [coding] }
    }
}

/// A purpose of use.
#[derive(Serialize)]
pub(super) struct Purpose {
    coding: [PurposeCoding; 1],
}

#[derive(Serialize)]
struct PurposeCoding {
    system: &'static str,
    code: String,
}

impl Purpose {
    /// The purpose with this code.
    pub fn of(code: String) -> Self {
        Self { coding: [PurposeCoding { system: "http://terminology.hl7.org/CodeSystem/v3-ActReason", code }] }
    }
}

#[derive(Serialize)]
pub(super) struct Agent {
    pub r#type: Concept,
    pub who: Reference,
    pub requestor: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    #[serde(rename = "purposeOfUse", skip_serializing_if = "Vec::is_empty")]
    pub purpose_of_use: Vec<Purpose>,
}

#[derive(Clone, Default, Serialize)]
pub(super) struct Reference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<Cow<'static, str>>,
}

#[derive(Clone, Serialize)]
pub(super) struct Identifier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<&'static str>,
    pub value: String,
}

#[derive(Clone, Serialize)]
pub(super) struct Network {
    pub address: String,
    pub r#type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Source {
    pub observer: Reference,
    pub r#type: [Coding; 1],
}

#[derive(Default, Serialize)]
pub(super) struct Entity {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<Coding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Coding>,
    #[serde(rename = "securityLabel", skip_serializing_if = "Vec::is_empty")]
    pub security_label: Vec<SecurityLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<Detail>,
}

/// A security label of what an event was about.
#[derive(Serialize)]
pub(super) struct SecurityLabel {
    pub system: &'static str,
    pub code: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detail {
    pub r#type: &'static str,
    pub value_string: String,
}
