//! Rules in plain words, for whoever checks what a file means. In English alone: it is for operators.

use std::fmt;
use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Confidentiality, Labels};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::scopes::{Letter, LetterSet};

use super::conditions::{Conditions, Person};
use super::{Reach, Rule, RuleEffect};
use crate::constraint::TypeSet;
use crate::qualified::Admission;
use crate::relationship::Relationship;

/// A rule, shown as sentences.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a>(pub &'a Rule);

impl fmt::Display for Described<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        let done = done(rule.letters);
        match &rule.effect {
            RuleEffect::Deny(reach) => {
                let verb = if rule.shadow { "would be denied" } else { "is denied" };
                write!(formatter, "{} {verb} {done} {}", capital(&who(&rule.when)), taken(reach, &rule.criteria))?;
            }
            RuleEffect::Permit { relationship, types, admissions } => {
                let verb = if rule.shadow { "could" } else { "may" };
                let records = records(types, if admissions.is_empty() { &[] } else { &rule.criteria });
                write!(
                    formatter,
                    "{} {verb}, within the scopes of the token, {} {records} of {}",
                    capital(&who(&rule.when)),
                    active(rule.letters),
                    whose(*relationship)
                )?;
            }
        }
        formatter.write_str(&circumstances(&rule.when))?;
        if let Some(unless) = &rule.unless {
            let mut parts: Vec<String> = Vec::new();
            if !unless.roles.is_empty() || !unless.users.is_empty() || !unless.clients.is_empty() {
                parts.push(format!("it is {}", who(unless)));
            }
            let circumstances = circumstances(unless);
            if !circumstances.is_empty() {
                parts.push(format!("it is asked{circumstances}"));
            }
            write!(formatter, ", unless {}", parts.join(" and "))?;
        }
        formatter.write_str(".")?;
        if rule.shadow {
            formatter.write_str(" This is only tried: it is recorded, and changes nothing.")?;
        }
        match &rule.description {
            Some(description) => write!(formatter, " ({description})"),
            None => Ok(()),
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn who(conditions: &Conditions) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !conditions.roles.is_empty() {
        let roles = conditions.roles.iter().map(|role| role.as_str().replace('-', " ")).collect::<Vec<_>>();
        parts.push(format!("whoever has the role {}", either(&roles)));
    }
    if !conditions.users.is_empty() {
        let users = conditions.users.iter().map(|user| match user {
            Person::Account(id) => format!("the user {id}"),
            Person::Resource(resource) => format!("the user who is {resource}"),
        });
        parts.push(either(&users.collect::<Vec<_>>()));
    }
    if !conditions.clients.is_empty() {
        let clients = conditions.clients.iter().map(|client| format!("the client {client}")).collect::<Vec<_>>();
        let by = if parts.is_empty() { "" } else { "through " };
        parts.push(format!("{by}{}", either(&clients)));
    }
    if parts.is_empty() { "everybody".to_owned() } else { parts.join(" and ") }
}

/// Each with a space before it.
fn circumstances(conditions: &Conditions) -> String {
    let mut text = String::new();
    if !conditions.purposes.is_empty() {
        let codes = conditions.purposes.iter().map(|purpose| purpose.code().to_owned()).collect::<Vec<_>>();
        text.push_str(&format!(" for the purpose {}", either(&codes)));
    }
    if !conditions.networks.is_empty() {
        text.push_str(&format!(" from {}", either(&conditions.networks.iter().map(ToString::to_string).collect::<Vec<_>>())));
    }
    for hours in &conditions.hours {
        text.push_str(&format!(" at these hours: {hours}"));
    }
    text
}

fn words(letters: LetterSet, of: impl Fn(Letter) -> &'static str) -> Vec<String> {
    Letter::ALL.into_iter().filter(|letter| letters.contains(*letter)).map(|letter| of(letter).to_owned()).collect()
}

fn done(letters: LetterSet) -> String {
    if letters == LetterSet::ALL {
        return "any access to".to_owned();
    }
    both(&words(letters, |letter| match letter {
        Letter::Create => "creating",
        Letter::Read => "reading",
        Letter::Update => "changing",
        Letter::Delete => "deleting",
        Letter::Search => "searching",
    }))
}

fn active(letters: LetterSet) -> String {
    both(&words(letters, |letter| match letter {
        Letter::Create => "create",
        Letter::Read => "read",
        Letter::Update => "change",
        Letter::Delete => "delete",
        Letter::Search => "search",
    }))
}

fn taken(reach: &Reach, criteria: &[String]) -> String {
    match reach {
        Reach::Types(types) => records(types, &[]),
        Reach::Labels(clearance) => format!("every record with {}", labels(*clearance)),
        Reach::Records(admissions) => {
            let one = |(of, admission): &(ResourceType, Arc<Admission>)| {
                let parts = admission.exclusions().iter().map(|exclusion| {
                    let mut parts: Vec<String> = Vec::new();
                    if !exclusion.criteria().is_empty() {
                        parts.push(found(criteria));
                    }
                    if !exclusion.uncovered_by().is_full() {
                        parts.push(format!("with {}", labels(exclusion.uncovered_by())));
                    }
                    parts.join(" and ")
                });
                format!("every {of} {}", parts.collect::<Vec<_>>().join(", or "))
            };
            both(&admissions.iter().map(one).collect::<Vec<_>>())
        }
    }
}

fn records(types: &TypeSet, criteria: &[String]) -> String {
    if types.iter().count() == ResourceType::all().count() {
        return "all records".to_owned();
    }
    let which = if criteria.is_empty() { String::new() } else { format!(" {}", found(criteria)) };
    both(&types.iter().map(|of| format!("every {of}{which}")).collect::<Vec<_>>())
}

fn found(criteria: &[String]) -> String {
    format!("that {} finds", either(&criteria.iter().map(|text| format!("?{text}")).collect::<Vec<_>>()))
}

fn labels(clearance: Clearance) -> String {
    let mask = clearance.mask();
    let hidden = |label: Labels| !clearance.covers(label);
    let lowest = Confidentiality::ALL.into_iter().find(|level| mask & (1 << *level as u32) != 0);
    let mut parts: Vec<String> =
        lowest.map(|level| format!("the confidentiality {} or a higher one", level.code())).into_iter().collect();
    let named = Labels::sensitivities().codings().map(|(_, code, _)| code).chain(["HTEST"]);
    parts.extend(named.filter(|code| Labels::named(code).is_some_and(hidden)).map(|code| format!("the label {code}")));
    either(&parts)
}

fn whose(relationship: Relationship) -> &'static str {
    match relationship {
        Relationship::Care => "patients in care",
        Relationship::Organization => "the patients of the user's organisation",
        Relationship::CareTeam => "the patients in whose care team the user is",
        Relationship::GeneralPractitioner => "the patients whose general practitioner the user is",
    }
}

fn either(items: &[String]) -> String {
    joined(items, "or")
}

fn both(items: &[String]) -> String {
    joined(items, "and")
}

fn joined(items: &[String], word: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [several @ .., last] => format!("{} {word} {last}", several.join(", ")),
    }
}
