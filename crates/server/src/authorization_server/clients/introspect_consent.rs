//! What the consents of the patient in context leave of an access token, for the servers that have to obey them: the extension `ihe_pcf` of IHE PCF (ITI-71, and ITI-102
//! for introspection) beside `ihe_iua` with the purpose for which it holds.
//!
//! <https://profiles.ihe.net/ITI/PCF/other.html>. No client sees it, only registered resource servers. Nothing is decided here: the rules say at most what the consents
//! let through ([`Residual`]), and hold for the moment in which they are asked for. Where the consents cannot be read there is no answer.

use portcullis_fhir::instant;
use portcullis_fhir::labels::{Clearance, SYSTEM_ACT_REASON};
use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::clients::RegisteredClearance;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Imagined, Principal};
use portcullis_oauth::purposes::{PurposeFacts, RegisteredPurpose};
use portcullis_oauth::scopes::{Letter, ScopeSet};
use portcullis_policy::decide_change;
use portcullis_policy::rules::consent::{DataCriterion, Effect, Interval, Meaning, Residual, ResidualRule};
use portcullis_store::{RegistryError, StoreError};
use serde_json::{Map, Value, json};

use crate::authorization_server::authorization::people::principal_user;
use crate::context::Server;

/// Scopes under which the consents of whoever is in context are asked; what the token's own open is told by its `scope`.
const READING: &str = "patient/Patient.r user/Patient.r";

/// The member `extensions` of an answer about a token that this user gave this client, with this patient in context.
pub async fn extensions(
    server: &Server,
    (client, user): (&ClientId, &UserId),
    patient: &LogicalId,
) -> Result<Option<Value>, RegistryError> {
    let (Some(client), Some(user)) = (server.registry.client(client).await?, server.registry.user(user).await?) else {
        return Ok(None);
    };
    let Ok(scopes) = ScopeSet::parse(READING) else { return Ok(None) };
    let imagined = Imagined {
        client: client.id.clone(),
        user: Some(principal_user(&user)),
        registered: None,
        scopes,
        patient: Some(patient.clone()),
        purposes: PurposeFacts {
            client: client.properties.purposes.iter().map(|RegisteredPurpose(purpose)| *purpose).collect(),
            ..PurposeFacts::default()
        },
        stated: None,
        client_clearance: client.properties.clearance.as_ref().map_or(Clearance::FULL, RegisteredClearance::clearance),
        circumstances: server.circumstances(),
    };
    let principal = Principal::imagined(imagined, &server.settings.authorization.labels);
    let residual = residual(server, &principal, patient).await?;
    let base_url = &server.settings.fhir_base;
    let purpose = json!({"system": SYSTEM_ACT_REASON, "code": principal.purpose_of_use().to_string()});
    Ok(Some(json!({"ihe_iua": {"purpose_of_use": [purpose]}, "ihe_pcf": rendered(&residual, patient, base_url)})))
}

/// What the consents leave; everything is forbidden to whom the rules let in nowhere.
async fn residual(server: &Server, principal: &Principal, patient: &LogicalId) -> Result<Residual, RegistryError> {
    let permit = decide_change(server.basis(), principal, (ResourceType::PATIENT, Letter::Read));
    let Some((permit, question)) = permit.ok().and_then(|permit| {
        let question = permit.constraint().question().cloned()?;
        Some((permit, question))
    }) else {
        return Ok(Residual::nothing());
    };
    let consulted =
        server.store.consult(permit.constraint(), std::slice::from_ref(patient)).await.map_err(|error| match error {
            StoreError::Corrupt(what) => RegistryError::Corrupt(what),
            other => RegistryError::Unavailable(Box::new(other)),
        })?;
    Ok(Residual::of(&question.joined(&consulted.memberships), &consulted, patient))
}

fn rendered(residual: &Residual, patient: &LogicalId, base_url: &str) -> Value {
    let mut members = Map::new();
    members.insert("patient_id".into(), format!("{base_url}/Patient/{patient}").into());
    let consents: Vec<String> = residual.consents.iter().map(|consent| format!("{base_url}/Consent/{consent}")).collect();
    let policies: Vec<&str> = residual.policies.iter().map(|policy| &**policy).collect();
    let rules: Vec<Value> = residual.rules.iter().map(|rule| rendered_rule(rule, base_url)).collect();
    for (name, values) in [("doc_id", json!(consents)), ("acp", json!(policies)), ("residual", rules.into())] {
        if values.as_array().is_some_and(|values| !values.is_empty()) {
            members.insert(name.into(), values);
        }
    }
    Value::Object(members)
}

fn rendered_rule(rule: &ResidualRule, base_url: &str) -> Value {
    let mut members = Map::new();
    let effect = if rule.effect == Effect::Deny { "forbid" } else { "permit" };
    members.insert("type".into(), effect.into());
    if !rule.labels.is_empty() {
        let labels: Vec<Value> = rule.labels.iter().map(|(system, code)| json!({"system": system, "code": code})).collect();
        members.insert("securityLabel".into(), labels.into());
    }
    if let Some(period) = rule.data_period {
        members.insert("dataPeriod".into(), rendered_period(period));
    }
    if let Some(data) = &rule.data {
        members.insert("data".into(), json!([rendered_data(data, base_url)]));
    }
    Value::Object(members)
}

/// A FHIR Period includes its end (<https://hl7.org/fhir/R4/datatypes.html#Period>).
fn rendered_period(period: Interval) -> Value {
    let mut members = Map::new();
    if period.from != Interval::ALWAYS.from {
        members.insert("start".into(), instant::format(period.from).into());
    }
    if period.to != Interval::ALWAYS.to {
        members.insert("end".into(), instant::format(period.to - 1).into());
    }
    Value::Object(members)
}

fn rendered_data(data: &DataCriterion, base_url: &str) -> Value {
    let meaning = match data.meaning {
        Meaning::Instance => "instance",
        Meaning::Related => "related",
        Meaning::Dependents => "dependents",
        Meaning::AuthoredBy => "authoredby",
    };
    let reference = match &data.target {
        Reference::Local(local) => json!({"reference": format!("{base_url}/{local}")}),
        Reference::Identifier { system, value } => json!({"identifier": {"system": system, "value": value}}),
        Reference::Absolute(url) => json!({"reference": url}),
    };
    json!({"meaning": meaning, "reference": reference})
}
