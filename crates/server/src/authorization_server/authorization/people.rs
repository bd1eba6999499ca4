//! What the pages need to know about patients: names to choose from and to show.
//!
//! It is read as the signed-in person, through the same decision, store and release as any other request.

use portcullis_fhir::interaction::Read;
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::search::{self, Handling, SearchContext, SearchQuery};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::{Principal, PrincipalUser};
use portcullis_oauth::users::{Role, User};
use portcullis_policy::{Decision, Operation, PermittedOperation, SearchPage, decide};

use crate::context::Server;
use crate::ui::pages::PatientChoice;

/// Patients on one picker page.
const PAGE: u32 = 25;
/// Words of a name that are looked for; more are left out.
const MAXIMUM_WORDS: usize = 8;

/// Whom a person looks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Words of the name; empty: everybody.
    pub name: String,
    /// The bookmark of a later page.
    pub cursor: Option<String>,
}

/// Whom the person may choose.
#[derive(Debug, Default)]
pub struct Choices {
    /// One page of them.
    pub people: Vec<PatientChoice>,
    /// The bookmark of the next page.
    pub next: Option<String>,
}

/// The person as rules see them.
pub fn principal_user(user: &User) -> PrincipalUser {
    PrincipalUser {
        id: user.id.clone(),
        roles: user.roles,
        fhir_user: user.fhir_user.clone(),
        patients: user.patients.clone(),
        represents: user.represents.clone(),
    }
}

/// The person as a principal who may see names of patients and, on the own page, who looked; nothing else.
fn principal(server: &Server, user: &User) -> Principal {
    Principal::choosing_patient(principal_user(user), server.clock.now_seconds() + 60)
        .cleared(&server.settings.authorization.labels)
        .asking(server.circumstances())
}

/// Whom the person may choose: the patients represented, and for a clinician the patients in care, page by page.
pub async fn choices(server: &Server, user: &User, wanted: &Wanted) -> Choices {
    let mut people = Vec::new();
    if wanted.cursor.is_none() {
        for id in &user.patients {
            let choice = choice(server, user, id).await.unwrap_or_else(|| unnamed(id));
            if fits(choice.name.as_deref().unwrap_or(&choice.id), &wanted.name) {
                people.push(choice);
            }
        }
    }
    let mut next = None;
    if user.roles.contains(Role::Clinician) {
        let panel = panel(server, user, wanted).await.unwrap_or_default();
        next = panel.next;
        let in_care = panel.matches.iter().filter(|version| !user.patients.contains(&version.id));
        people.extend(in_care.filter_map(|version| described(&version.id, version.body.as_deref()?)));
    }
    Choices { people, next }
}

/// Whether each word that is looked for is in a name.
fn fits(name: &str, wanted: &str) -> bool {
    let name = name.to_lowercase();
    wanted.to_lowercase().split_whitespace().all(|word| name.contains(word))
}

/// One patient, where the person may see it.
pub async fn choice(server: &Server, user: &User, id: &LogicalId) -> Option<PatientChoice> {
    let principal = principal(server, user);
    let read = Operation::Read(Read { resource_type: ResourceType::PATIENT, id: id.clone() });
    let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(server.basis(), &principal, read) else {
        return None;
    };
    let released = permit.release(server.store.read(read).await.ok()?).ok()?;
    described(id, released.content().as_ref()?.body.as_deref()?)
}

/// The patients in care, by name.
async fn panel(server: &Server, user: &User, wanted: &Wanted) -> Option<SearchPage> {
    let words = wanted.name.split_whitespace().take(MAXIMUM_WORDS);
    let mut pairs: Vec<(String, String)> = words.map(|word| ("name:contains".to_owned(), escaped(word))).collect();
    pairs.extend([("_count".to_owned(), PAGE.to_string()), ("_sort".to_owned(), "family,given".to_owned())]);
    pairs.extend(wanted.cursor.clone().map(|cursor| ("_cursor".to_owned(), cursor)));
    let query = parsed(server, ResourceType::PATIENT, &pairs)?;
    search(server, &principal(server, user), query, &format!("patient-picker\n{}", user.id.as_str())).await
}

/// A search of our own making.
pub fn parsed(server: &Server, resource_type: ResourceType, pairs: &[(String, String)]) -> Option<SearchQuery> {
    let base_url = &server.settings.fhir_base;
    let context = SearchContext { base_url, handling: Handling::Strict, now_ms: server.clock.now_milliseconds() };
    search::parse(resource_type, pairs, &context).ok()
}

/// One page of matches, as this principal may see them.
pub async fn search(server: &Server, principal: &Principal, query: SearchQuery, binding: &str) -> Option<SearchPage> {
    let decision = decide(server.basis(), principal, Operation::Search(query));
    let Decision::Permit(permit, PermittedOperation::Search(search)) = decision else { return None };
    let found = server.store.search(search, binding.as_bytes()).await.ok()?;
    Some(permit.release(found).ok()?.content().clone())
}

/// Audit events as the person may see them, for the own page.
pub async fn audit_events(server: &Server, user: &User, query: SearchQuery) -> Option<SearchPage> {
    let principal = Principal::viewing_own_page(principal_user(user), server.clock.now_seconds() + 60)
        .cleared(&server.settings.authorization.labels)
        .asking(server.circumstances());
    search(server, &principal, query, &format!("own-page\n{}", user.id.as_str())).await
}

/// Matches as the person may see them, of a type from which something is to come into an app's context.
pub async fn search_to_open(server: &Server, user: &User, query: SearchQuery, binding: &str) -> Option<SearchPage> {
    search(server, &opening(server, user, query.resource_type), query, binding).await
}

/// Whether the person may see a resource that an app is to be told of.
pub async fn can_open(server: &Server, user: &User, reference: &LocalReference) -> bool {
    let principal = opening(server, user, reference.resource_type);
    let read = Operation::Read(Read { resource_type: reference.resource_type, id: reference.id.clone() });
    let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(server.basis(), &principal, read) else {
        return false;
    };
    let Ok(found) = server.store.read(read).await else { return false };
    permit.release(found).is_ok_and(|released| released.content().as_ref().is_some_and(|version| version.body.is_some()))
}

/// What a person, organisation, team or device is called, where this person may see it.
pub async fn name_of(server: &Server, user: &User, reference: &LocalReference) -> Option<String> {
    let principal = Principal::naming(principal_user(user), server.clock.now_seconds() + 60)
        .cleared(&server.settings.authorization.labels)
        .asking(server.circumstances());
    let read = Operation::Read(Read { resource_type: reference.resource_type, id: reference.id.clone() });
    let Decision::Permit(permit, PermittedOperation::Read(read)) = decide(server.basis(), &principal, read) else { return None };
    let released = permit.release(server.store.read(read).await.ok()?).ok()?;
    let body = json::parse(released.content().as_ref()?.body.as_deref()?).ok()?;
    match body.member("name")? {
        Value::Array(names) => names.iter().find_map(spoken),
        name => name.as_str().map(str::to_owned),
    }
}

/// The same; somebody who works here and of whom no record with a name is stored or to be seen is called as the account is, which says on this page who looked, too.
pub async fn called(server: &Server, user: &User, reference: &LocalReference) -> Option<String> {
    if let Some(name) = name_of(server, user, reference).await {
        return Some(name);
    }
    if !matches!(reference.resource_type, ResourceType::PRACTITIONER | ResourceType::PRACTITIONER_ROLE) {
        return None;
    }
    let mut names = server.registry.names_of_record(reference).await.ok()?;
    // Of several, nobody knows which is meant.
    names.pop().filter(|_| names.is_empty())
}

fn opening(server: &Server, user: &User, resource_type: ResourceType) -> Principal {
    Principal::opening_app(principal_user(user), resource_type, server.clock.now_seconds() + 60)
        .cleared(&server.settings.authorization.labels)
        .asking(server.circumstances())
}

/// A word as a value of a search parameter (<https://hl7.org/fhir/R4/search.html#escaping>).
pub fn escaped(word: &str) -> String {
    word.chars().flat_map(|character| if r"\,$|".contains(character) { vec!['\\', character] } else { vec![character] }).collect()
}

/// A patient of whom no name is known.
pub fn unnamed(id: &LogicalId) -> PatientChoice {
    PatientChoice { id: id.to_string(), name: None, birth_date: String::new() }
}

fn described(id: &LogicalId, body: &[u8]) -> Option<PatientChoice> {
    let patient = json::parse(body).ok()?;
    let names = patient.member("name").and_then(Value::as_array).unwrap_or_default();
    let usual = names.iter().find(|name| name.member("use").and_then(Value::as_str) == Some("official")).or(names.first());
    let name = usual.and_then(spoken);
    let birth_date = patient.member("birthDate").and_then(Value::as_str).unwrap_or_default();
    Some(PatientChoice { id: id.to_string(), name, birth_date: birth_date.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_be_in_the_name_and_none_is_an_operator() {
        assert!(fits("Ana Sofía Lopez", "lopez ana") && fits("Ana", "") && !fits("Ana Lopez", "ana smith"));
        assert_eq!(escaped(r"a,b|c\d$"), r"a\,b\|c\\d\$");
    }
}
