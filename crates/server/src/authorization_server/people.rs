//! What the pages need to know about patients: names to choose from and to show.
//!
//! It is read as the signed-in person, through the same decision, store and release as any other request.

use portcullis_fhir::interaction::Read;
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::search::{SearchQuery, Shape, Total};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::{Principal, PrincipalUser};
use portcullis_oauth::users::{Role, User};
use portcullis_policy::{Decision, Operation, PermittedOperation, decide};

use crate::context::Server;
use crate::ui::pages::PatientChoice;

/// Patients on one picker page.
const MAXIMUM_CHOICES: u32 = 50;

/// The person as a principal who may see names of patients and nothing else.
fn principal(server: &Server, user: &User) -> Principal {
    let user = PrincipalUser {
        id: user.id.clone(),
        roles: user.roles,
        fhir_user: user.fhir_user.clone(),
        patients: user.patients.clone(),
    };
    Principal::choosing_patient(user, server.clock.now_seconds() + 60)
}

/// Whom the person may choose: the patients represented, or for a clinician the patients in care.
pub async fn choices(server: &Server, user: &User) -> Vec<PatientChoice> {
    if !user.patients.is_empty() {
        let mut choices = Vec::new();
        for id in &user.patients {
            choices.push(choice(server, user, id).await.unwrap_or_else(|| unnamed(id)));
        }
        return choices;
    }
    if !user.roles.contains(Role::Clinician) {
        return Vec::new();
    }
    panel(server, user).await.unwrap_or_default()
}

/// One patient, where the person may see it.
pub async fn choice(server: &Server, user: &User, id: &LogicalId) -> Option<PatientChoice> {
    let principal = principal(server, user);
    let read = Operation::Read(Read { resource_type: ResourceType::PATIENT, id: id.clone() });
    let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(server.decision_id(), &principal, read) else {
        return None;
    };
    let released = permit.release(server.store.read(read).await.ok()?).ok()?;
    described(id, released.content().as_ref()?.body.as_deref()?)
}

async fn panel(server: &Server, user: &User) -> Option<Vec<PatientChoice>> {
    let principal = principal(server, user);
    let query = SearchQuery {
        resource_type: ResourceType::PATIENT,
        filters: Vec::new(),
        includes: Vec::new(),
        reverse_includes: Vec::new(),
        sort: Vec::new(),
        count: MAXIMUM_CHOICES,
        total: Total::None,
        shape: Shape::Whole,
        cursor: None,
        applied: Vec::new(),
        ignored: Vec::new(),
    };
    let decision = decide(server.decision_id(), &principal, Operation::Search(query));
    let Decision::Permit(permit, PermittedOperation::Search(search)) = decision else { return None };
    let released = permit.release(server.store.search(search, b"patient-picker").await.ok()?).ok()?;
    let found = released.content().matches.iter();
    Some(found.filter_map(|version| described(&version.id, version.body.as_deref()?)).collect())
}

fn unnamed(id: &LogicalId) -> PatientChoice {
    PatientChoice { id: id.to_string(), name: format!("Patient {id}"), birth_date: String::new() }
}

fn described(id: &LogicalId, body: &[u8]) -> Option<PatientChoice> {
    let patient = json::parse(body).ok()?;
    let names = patient.member("name").and_then(Value::as_array).unwrap_or_default();
    let usual = names.iter().find(|name| name.member("use").and_then(Value::as_str) == Some("official")).or(names.first());
    let name = usual.and_then(spoken).unwrap_or_else(|| format!("Patient {id}"));
    let birth_date = patient.member("birthDate").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(PatientChoice { id: id.to_string(), name, birth_date })
}

fn spoken(name: &Value) -> Option<String> {
    if let Some(text) = name.member("text").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let given = name.member("given").and_then(Value::as_array).unwrap_or_default().iter().filter_map(Value::as_str);
    let family = name.member("family").and_then(Value::as_str);
    let parts: Vec<&str> = given.chain(family).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
