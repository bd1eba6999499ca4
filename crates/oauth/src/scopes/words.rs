//! Scopes in plain words, for the consent screen and the list of connected apps.
//!
//! The words address the person who decides. Per type they come from the table in [`crate::consent_groups`].

use portcullis_fhir::query;
use portcullis_fhir::search::Test;
use portcullis_fhir::types::ResourceType;

use super::letters::{Letter, LetterSet};
use super::parse::{ResourceScope, Scope, ScopeContext, ScopeKind, ScopeTarget};
use crate::client_display::shown;
use crate::consent_groups::{Noun, category_noun, noun, other_in_spanish};
use crate::language::Language;

/// The longest criteria that are shown, in characters.
const LONGEST_CRITERIA: usize = 300;

/// What a scope lets an app do, as a phrase that begins with a capital and has no full stop.
pub fn plain_words(scope: &Scope, language: Language) -> String {
    let words = match scope.kind() {
        ScopeKind::OpenId => language.say("Know that it is you when you come back", "Saber que es usted cuando vuelve"),
        ScopeKind::FhirUser => {
            language.say("Know who you are, and see your name and details", "Saber quién es usted y ver su nombre y sus datos")
        }
        ScopeKind::Profile => language.say("Know your name", "Saber su nombre"),
        ScopeKind::OfflineAccess => language.say(
            "Keep access when you are not using the app, until you take it back",
            "Mantener el acceso cuando usted no usa la aplicación, hasta que usted lo retire",
        ),
        ScopeKind::OnlineAccess => {
            language.say("Keep access while you stay signed in", "Mantener el acceso mientras su sesión siga abierta")
        }
        ScopeKind::Launch => language.say("Know which record you had open", "Saber qué expediente tenía usted abierto"),
        ScopeKind::LaunchPatient => language.say("Know which patient you chose", "Saber qué paciente eligió usted"),
        ScopeKind::LaunchEncounter => language.say("Know which visit you chose", "Saber qué consulta eligió usted"),
        ScopeKind::Resource(resource) => return resource_words(resource, language),
        ScopeKind::Qualified(resource) => return qualified_words(scope, resource, language),
    };
    words.to_owned()
}

/// Whose entries a scope is about, after the name of a type.
fn of_whom(context: ScopeContext, language: Language) -> &'static str {
    match context {
        ScopeContext::Patient => "",
        ScopeContext::User => language.say(", for every patient you care for", ", de todos los pacientes que usted atiende"),
        ScopeContext::System => language.say(", for every patient here", ", de todos los pacientes de este servidor"),
    }
}

/// "Your lab results only", or for criteria that have no name of their own "Your prescriptions, only where status is active".
fn qualified_words(scope: &Scope, reach: ResourceScope, language: Language) -> String {
    let reads = reach.letters.intersects(LetterSet::READ);
    let changes = change_verbs(reach.letters, language);
    let whom = of_whom(reach.context, language);
    let of_patient = reach.context == ScopeContext::Patient;
    if let Some(known) = known_category(scope) {
        let things = if of_patient { known.yours(language) } else { known.bare(language).to_owned() };
        let thing = match language {
            Language::English => format!("{things} only{whom}"),
            Language::Spanish => format!("solo {things}{whom}"),
        };
        return with_verbs(&thing, reads, changes, language);
    }
    let things = match reach.target {
        ScopeTarget::Type(resource_type) => things(resource_type, of_patient, language),
        ScopeTarget::Any if of_patient => language.say("your record", "su expediente").to_owned(),
        ScopeTarget::Any => language.say("record", "expediente").to_owned(),
    };
    let criteria = criteria(scope, language);
    let thing = match language {
        Language::English => format!("{things}, only where {criteria}{whom}"),
        Language::Spanish => format!("{things}, solo donde {criteria}{whom}"),
    };
    with_verbs(&thing, reads, changes, language)
}

/// The name of a category that people know, where the criteria are that category and nothing else.
fn known_category(scope: &Scope) -> Option<Noun> {
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
fn criteria(scope: &Scope, language: Language) -> String {
    let text = scope.as_str().split_once('?').map_or("", |(_, criteria)| criteria);
    let is = language.say("is", "es");
    let one = |(name, value): &(String, String)| {
        let name = name.trim_start_matches('_');
        let values = value.split(',').map(quoted).collect::<Vec<_>>().join(language.say(" or ", " o "));
        match name.split_once(':') {
            None => format!("{name} {is} {values}"),
            Some((name, "not")) => format!("{name} {} {values}", language.say("is not", "no es")),
            Some((name, "missing")) if value == "true" => format!("{name} {}", language.say("is missing", "falta")),
            Some((name, "missing")) => format!("{name} {}", language.say("is not missing", "no falta")),
            Some((name, modifier)) => format!("{name} ({modifier}) {is} {values}"),
        }
    };
    let pairs = query::parse(text.as_bytes()).unwrap_or_default();
    // The values are the app's, and may hold any character.
    shown(&pairs.iter().map(one).collect::<Vec<_>>().join(language.say(" and ", " y ")), LONGEST_CRITERIA)
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

/// What the entries of a type are called: a patient's own with "your".
fn things(resource_type: ResourceType, yours: bool, language: Language) -> String {
    if let Some(noun) = noun(resource_type) {
        return if yours { noun.yours(language) } else { noun.bare(language).to_owned() };
    }
    match language {
        Language::English => format!("{}{} entries", if yours { "your " } else { "" }, spaced(resource_type.name())),
        Language::Spanish => {
            let words = other_in_spanish(resource_type).unwrap_or("otros datos");
            format!("{}{words}", if yours { "sus " } else { "" })
        }
    }
}

fn resource_words(scope: ResourceScope, language: Language) -> String {
    let reads = scope.letters.intersects(LetterSet::READ);
    let changes = change_verbs(scope.letters, language);
    let resource_type = match (scope.target, scope.context) {
        (ScopeTarget::Type(resource_type), _) => resource_type,
        (ScopeTarget::Any, ScopeContext::Patient) => return whole_record(reads, changes, language),
        (ScopeTarget::Any, ScopeContext::User) => return whatever_you_see(reads, changes, language),
        (ScopeTarget::Any, ScopeContext::System) => {
            let every = language
                .say("the whole record of every patient here", "el expediente completo de cada paciente de este servidor");
            return with_verbs(every, reads, changes, language);
        }
    };
    let things = things(resource_type, scope.context == ScopeContext::Patient, language);
    with_verbs(&format!("{things}{}", of_whom(scope.context, language)), reads, changes, language)
}

/// `patient/*`
fn whole_record(reads: bool, changes: Option<String>, language: Language) -> String {
    match (language, reads, changes) {
        (Language::English, true, None) => "Your whole health record".to_owned(),
        (Language::English, true, Some(verbs)) => format!("See your whole health record, and {verbs} entries in it"),
        (Language::English, false, verbs) => format!("{} entries in your record", capitalised(&verbs.unwrap_or_default())),
        (Language::Spanish, true, None) => "Todo su expediente médico".to_owned(),
        (Language::Spanish, true, Some(verbs)) => format!("Ver todo su expediente médico, y {verbs} datos en él"),
        (Language::Spanish, false, verbs) => format!("{} datos en su expediente", capitalised(&verbs.unwrap_or_default())),
    }
}

/// `user/*`
fn whatever_you_see(reads: bool, changes: Option<String>, language: Language) -> String {
    match (language, reads, changes) {
        (Language::English, true, None) => "Whatever you can see here, for every patient you care for".to_owned(),
        (Language::English, true, Some(verbs)) => {
            format!("Whatever you can see here, for every patient you care for, and {verbs} entries as you can")
        }
        (Language::English, false, verbs) => {
            format!("{} entries as you can here, for every patient you care for", capitalised(&verbs.unwrap_or_default()))
        }
        (Language::Spanish, true, None) => "Todo lo que usted puede ver aquí, de todos los pacientes que atiende".to_owned(),
        (Language::Spanish, true, Some(verbs)) => {
            format!("Todo lo que usted puede ver aquí, de todos los pacientes que atiende, y {verbs} datos igual que usted")
        }
        (Language::Spanish, false, verbs) => {
            format!("{} datos aquí igual que usted, de todos los pacientes que atiende", capitalised(&verbs.unwrap_or_default()))
        }
    }
}

/// "Your tests", "Add or change your tests", "See, add or change your tests".
fn with_verbs(thing: &str, reads: bool, changes: Option<String>, language: Language) -> String {
    match (reads, changes) {
        (_, None) => capitalised(thing),
        (false, Some(verbs)) => format!("{} {thing}", capitalised(&verbs)),
        (true, Some(verb)) if !verb.contains(' ') => format!("{} {verb} {thing}", language.say("See or", "Ver o")),
        (true, Some(verbs)) => format!("{}, {verbs} {thing}", language.say("See", "Ver")),
    }
}

/// "add, change or remove", only for the letters that are there; `None` where nothing changes.
fn change_verbs(letters: LetterSet, language: Language) -> Option<String> {
    let verbs: Vec<&str> = [
        (Letter::Create, language.say("add", "agregar")),
        (Letter::Update, language.say("change", "cambiar")),
        (Letter::Delete, language.say("remove", "borrar")),
    ]
    .into_iter()
    .filter(|(letter, _)| letters.contains(*letter))
    .map(|(_, verb)| verb)
    .collect();
    let (last, others) = verbs.split_last()?;
    let or = language.say("or", "o");
    Some(if others.is_empty() { (*last).to_owned() } else { format!("{} {or} {last}", others.join(", ")) })
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
            ("fhirUser", "Know who you are, and see your name and details"),
            ("launch/patient", "Know which patient you chose"),
        ] {
            assert_eq!(plain_words(&Scope::parse(scope).unwrap(), Language::English), words, "{scope}");
        }
    }

    #[test]
    fn scopes_read_as_a_person_would_say_them_in_spanish() {
        for (scope, words) in [
            ("patient/Patient.rs", "Su nombre, fecha de nacimiento, dirección y datos de contacto"),
            ("patient/Observation.rs", "Sus resultados de pruebas, signos vitales y respuestas a preguntas de salud"),
            ("patient/ExplanationOfBenefit.rs", "Sus reclamos al seguro: consultas, recetas, lo que se pagó"),
            ("patient/Coverage.rs", "Sus planes de seguro"),
            ("patient/Coverage.cruds", "Ver, agregar, cambiar o borrar sus planes de seguro"),
            ("patient/Coverage.u", "Cambiar sus planes de seguro"),
            ("patient/Coverage.cd", "Agregar o borrar sus planes de seguro"),
            ("patient/*.rs", "Todo su expediente médico"),
            ("patient/*.cud", "Agregar, cambiar o borrar datos en su expediente"),
            ("patient/*.*", "Ver todo su expediente médico, y agregar, cambiar o borrar datos en él"),
            ("patient/ResearchStudy.rs", "Sus estudios de investigación"),
            ("user/*.rs", "Todo lo que usted puede ver aquí, de todos los pacientes que atiende"),
            ("user/Coverage.rs", "Planes de seguro, de todos los pacientes que usted atiende"),
            (
                "user/Patient.rs",
                "Nombre, fecha de nacimiento, dirección y datos de contacto, de todos los pacientes que usted atiende",
            ),
            ("system/*.rs", "El expediente completo de cada paciente de este servidor"),
            ("offline_access", "Mantener el acceso cuando usted no usa la aplicación, hasta que usted lo retire"),
            ("online_access", "Mantener el acceso mientras su sesión siga abierta"),
            ("openid", "Saber que es usted cuando vuelve"),
            ("fhirUser", "Saber quién es usted y ver su nombre y sus datos"),
            ("launch/patient", "Saber qué paciente eligió usted"),
            (
                "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
                "Solo sus resultados de laboratorio",
            ),
            (
                "patient/Observation.rus?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
                "Ver o cambiar solo sus signos vitales, como la presión arterial y el peso",
            ),
            ("patient/Coverage.rs?status:not=cancelled", "Sus planes de seguro, solo donde status no es cancelled"),
            ("user/Coverage.rs?_tag=x,y", "Planes de seguro, solo donde tag es x o y, de todos los pacientes que usted atiende"),
        ] {
            assert_eq!(plain_words(&Scope::parse(scope).unwrap(), Language::Spanish), words, "{scope}");
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
            assert_eq!(plain_words(&Scope::parse(&scope).unwrap(), Language::English), words, "{scope}");
        }
    }

    #[test]
    fn no_scope_is_shown_as_code() {
        for resource_type in ResourceType::all() {
            for context in ScopeContext::ALL {
                for suffix in ["rs", "cud", "cruds"] {
                    let text = format!("{}/{resource_type}.{suffix}", context.as_str());
                    for language in Language::ALL {
                        let words = plain_words(&Scope::parse(&text).unwrap(), language);
                        assert!(
                            !words.contains(['/', '*']) && words.starts_with(|first: char| first.is_uppercase()),
                            "{text}: {words}"
                        );
                    }
                }
            }
        }
    }
}
