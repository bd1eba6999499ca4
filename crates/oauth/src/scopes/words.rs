//! Scopes in plain words, for the consent screen and the list of connected apps.
//!
//! The words address the person who decides. Per type they come from the table in [`crate::consent_groups`].

use portcullis_fhir::query;
use portcullis_fhir::search::Test;
use portcullis_fhir::types::ResourceType;

use super::letters::{Letter, LetterSet};
use super::parse::{ResourceScope, Scope, ScopeContext, ScopeKind, ScopeTarget};
use crate::client_display::shown;
use crate::consent_groups::{category_noun, noun};

/// The longest criteria that are shown, in characters.
const LONGEST_CRITERIA: usize = 300;

/// What a scope lets an app do, as a phrase that begins with a capital and has no full stop.
pub fn plain_words(scope: &Scope) -> String {
    match scope.kind() {
        ScopeKind::OpenId => "Know that it is you when you come back".into(),
        ScopeKind::FhirUser => "Know who you are".into(),
        ScopeKind::Profile => "Know your name".into(),
        ScopeKind::OfflineAccess => "Keep access when you are not using the app, until you take it back".into(),
        ScopeKind::OnlineAccess => "Keep access while you stay signed in".into(),
        ScopeKind::Launch => "Know which record you had open".into(),
        ScopeKind::LaunchPatient => "Know which patient you chose".into(),
        ScopeKind::LaunchEncounter => "Know which visit you chose".into(),
        ScopeKind::Resource(resource) => resource_words(resource),
        ScopeKind::Qualified(resource) => qualified_words(scope, resource),
    }
}

/// "Your lab results only", or for criteria that have no name of their own "Your prescriptions, only where status is active".
fn qualified_words(scope: &Scope, reach: ResourceScope) -> String {
    let reads = reach.letters.intersects(LetterSet::READ);
    let changes = change_verbs(reach.letters);
    let (things, limit) = match (known_category(scope), reach.target) {
        (Some(known), _) => (known.to_owned(), " only".to_owned()),
        (None, ScopeTarget::Type(resource_type)) => (noun_phrase(resource_type), format!(", only where {}", criteria(scope))),
        (None, ScopeTarget::Any) => ("record".to_owned(), format!(", only where {}", criteria(scope))),
    };
    match reach.context {
        ScopeContext::Patient => with_verbs(&format!("your {things}{limit}"), reads, changes),
        ScopeContext::User => with_verbs(&format!("{things}{limit}, for every patient you care for"), reads, changes),
        ScopeContext::System => with_verbs(&format!("{things}{limit}, for every patient here"), reads, changes),
    }
}

/// The name of a category that people know, where the criteria are that category and nothing else.
fn known_category(scope: &Scope) -> Option<&'static str> {
    let qualifier = scope.qualifier()?;
    let [only] = qualifier.filters() else { return None };
    let Test::Token(alternatives) = &only.test else { return None };
    let [token] = alternatives.as_slice() else { return None };
    let (system, code) = (token.system.as_deref()?, token.code.as_deref()?);
    if only.parameter.code != "category" {
        return None;
    }
    category_noun(qualifier.resource_type(), system, code)
}

/// Criteria as they were asked for, decoded: "category is laboratory and status is final or amended". What is more than a code is in quotation marks:
/// an app can write whole sentences there, and they shall not read as ours.
fn criteria(scope: &Scope) -> String {
    let text = scope.as_str().split_once('?').map_or("", |(_, criteria)| criteria);
    let one = |(name, value): &(String, String)| {
        let name = name.trim_start_matches('_');
        let values = value.split(',').map(quoted).collect::<Vec<_>>().join(" or ");
        match name.split_once(':') {
            None => format!("{name} is {values}"),
            Some((name, "not")) => format!("{name} is not {values}"),
            Some((name, "missing")) if value == "true" => format!("{name} is missing"),
            Some((name, "missing")) => format!("{name} is not missing"),
            Some((name, modifier)) => format!("{name} ({modifier}) is {values}"),
        }
    };
    let pairs = query::parse(text.as_bytes()).unwrap_or_default();
    // The values are the app's, and may hold any character.
    shown(&pairs.iter().map(one).collect::<Vec<_>>().join(" and "), LONGEST_CRITERIA)
}

/// A value as it is shown: bare where it has only characters of codes, systems and dates.
fn quoted(value: &str) -> String {
    let value = shown(value, LONGEST_CRITERIA);
    let is_of_code = |character: char| character.is_ascii_alphanumeric() || "-_.:/|#".contains(character);
    if !value.is_empty() && value.chars().all(is_of_code) {
        return value;
    }
    format!("“{}”", value.replace(['“', '”', '"'], "'"))
}

/// What a resource type is called, without "your".
fn noun_phrase(resource_type: ResourceType) -> String {
    noun(resource_type).map_or_else(|| format!("{} entries", spaced(resource_type.name())), str::to_owned)
}

fn resource_words(scope: ResourceScope) -> String {
    let reads = scope.letters.intersects(LetterSet::READ);
    let changes = change_verbs(scope.letters);
    match (scope.context, scope.target) {
        (ScopeContext::Patient, ScopeTarget::Any) => match (reads, changes) {
            (true, None) => "Your whole health record".into(),
            (true, Some(verbs)) => format!("See your whole health record, and {verbs} entries in it"),
            (false, verbs) => format!("{} entries in your record", capitalised(&verbs.unwrap_or_default())),
        },
        (ScopeContext::User, ScopeTarget::Any) => match (reads, changes) {
            (true, None) => "Whatever you can see here, for every patient you care for".into(),
            (true, Some(verbs)) => {
                format!("Whatever you can see here, for every patient you care for, and {verbs} entries as you can")
            }
            (false, verbs) => {
                format!("{} entries as you can here, for every patient you care for", capitalised(&verbs.unwrap_or_default()))
            }
        },
        (ScopeContext::System, ScopeTarget::Any) => with_verbs("the whole record of every patient here", reads, changes),
        (ScopeContext::Patient, ScopeTarget::Type(resource_type)) => {
            with_verbs(&format!("your {}", noun_phrase(resource_type)), reads, changes)
        }
        (ScopeContext::User, ScopeTarget::Type(resource_type)) => {
            with_verbs(&format!("{}, for every patient you care for", noun_phrase(resource_type)), reads, changes)
        }
        (ScopeContext::System, ScopeTarget::Type(resource_type)) => {
            with_verbs(&format!("{}, for every patient here", noun_phrase(resource_type)), reads, changes)
        }
    }
}

/// "Your tests", "Add or change your tests", "See, add or change your tests".
fn with_verbs(thing: &str, reads: bool, changes: Option<String>) -> String {
    match (reads, changes) {
        (_, None) => capitalised(thing),
        (false, Some(verbs)) => format!("{} {thing}", capitalised(&verbs)),
        (true, Some(verbs)) => format!("See, {verbs} {thing}"),
    }
}

/// "add, change or remove", only for the letters that are there; `None` where nothing changes.
fn change_verbs(letters: LetterSet) -> Option<String> {
    let verbs: Vec<&str> = [(Letter::Create, "add"), (Letter::Update, "change"), (Letter::Delete, "remove")]
        .into_iter()
        .filter(|(letter, _)| letters.contains(*letter))
        .map(|(_, verb)| verb)
        .collect();
    let (last, others) = verbs.split_last()?;
    Some(if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// "ResearchStudy" as "research study".
fn spaced(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_as_a_person_would_say_them() {
        for (scope, words) in [
            ("patient/Patient.rs", "Your name, birth date, address and contact details"),
            ("patient/Observation.rs", "Your test results, vital signs and answers to health questions"),
            ("patient/Observation.read", "Your test results, vital signs and answers to health questions"),
            ("patient/ExplanationOfBenefit.rs", "Your insurance claims: visits, prescriptions, what was paid"),
            ("patient/Coverage.rs", "Your insurance plans"),
            ("patient/Coverage.cruds", "See, add, change or remove your insurance plans"),
            ("patient/Coverage.u", "Change your insurance plans"),
            ("patient/Coverage.cd", "Add or remove your insurance plans"),
            ("patient/*.rs", "Your whole health record"),
            ("patient/*.cud", "Add, change or remove entries in your record"),
            ("patient/*.*", "See your whole health record, and add, change or remove entries in it"),
            ("patient/ResearchStudy.rs", "Your research study entries"),
            ("user/*.rs", "Whatever you can see here, for every patient you care for"),
            ("user/Coverage.rs", "Insurance plans, for every patient you care for"),
            ("system/*.rs", "The whole record of every patient here"),
            ("offline_access", "Keep access when you are not using the app, until you take it back"),
            ("online_access", "Keep access while you stay signed in"),
            ("openid", "Know that it is you when you come back"),
            ("fhirUser", "Know who you are"),
            ("launch/patient", "Know which patient you chose"),
        ] {
            assert_eq!(plain_words(&Scope::parse(scope).unwrap()), words, "{scope}");
        }
    }

    #[test]
    fn a_scope_with_criteria_names_what_people_know_and_else_what_was_asked() {
        let category = "http://terminology.hl7.org/CodeSystem/observation-category";
        for (scope, words) in [
            (format!("patient/Observation.rs?category={category}|laboratory"), "Your lab results only"),
            (format!("patient/Observation.rs?category={category}%7Claboratory"), "Your lab results only"),
            (
                format!("patient/Observation.cruds?category={category}|vital-signs"),
                "See, add, change or remove your vital signs, such as blood pressure and weight only",
            ),
            (
                format!("user/Observation.rs?category={category}|survey"),
                "Answers to surveys and screenings only, for every patient you care for",
            ),
            (
                "patient/Condition.rs?category=http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern"
                    .to_owned(),
                "Your health concerns only",
            ),
            (
                format!("patient/Observation.rs?category={category}|laboratory&status=final,amended"),
                "Your test results, vital signs and answers to health questions, only where category is http://terminology.hl7.org/CodeSystem/observation-category|laboratory and status is final or amended",
            ),
            (
                "patient/Observation.rs?category=laboratory".to_owned(),
                "Your test results, vital signs and answers to health questions, only where category is laboratory",
            ),
            ("patient/Coverage.rs?status:not=cancelled".to_owned(), "Your insurance plans, only where status is not cancelled"),
            ("patient/Coverage.rs?_tag=x%E2%80%AEcba".to_owned(), "Your insurance plans, only where tag is xcba"),
            (
                "patient/Coverage.rs?_tag=x+%E2%80%9D.+Nothing+leaves+this+server,y".to_owned(),
                "Your insurance plans, only where tag is “x '. Nothing leaves this server” or y",
            ),
        ] {
            assert_eq!(plain_words(&Scope::parse(&scope).unwrap()), words, "{scope}");
        }
    }

    #[test]
    fn no_scope_is_shown_as_code() {
        for resource_type in ResourceType::all() {
            for context in ScopeContext::ALL {
                for suffix in ["rs", "cud", "cruds"] {
                    let text = format!("{}/{resource_type}.{suffix}", context.as_str());
                    let words = plain_words(&Scope::parse(&text).unwrap());
                    assert!(
                        !words.contains(['/', '*']) && words.starts_with(|first: char| first.is_uppercase()),
                        "{text}: {words}"
                    );
                }
            }
        }
    }
}
