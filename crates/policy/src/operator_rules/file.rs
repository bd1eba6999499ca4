//! A file of rules: TOML, checked whole. What is wrong is said with line, rule and key, and with what to write instead.

use std::fmt;
use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Labels};
use portcullis_fhir::qualifier::Qualifier;
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::PurposeOfUse;
use portcullis_oauth::scopes::LetterSet;
use portcullis_oauth::users::{Role, Roles};
use serde::Deserialize;
use toml::Spanned;

use super::conditions::{Conditions, Person};
use super::hours::{Hours, Zones};
use super::jurisdictions::{Jurisdiction, concern};
use super::network::Network;
use super::{OperatorRules, Reach, Rule, RuleEffect, unreachable};
use crate::constraint::TypeSet;
use crate::qualified::{Admission, Exclusion};
use crate::relationship::Relationship;

/// The longest file, in bytes.
pub const MAXIMUM_FILE: usize = 256 * 1024;
/// The most rules of one file.
pub const MAXIMUM_RULES: usize = 200;
/// The most items of one list.
const MAXIMUM_ITEMS: usize = 200;
/// The most criteria of one rule, each of which is a part of every statement about its types.
const MAXIMUM_CRITERIA: usize = 10;
/// The longest name, in characters.
const MAXIMUM_NAME: usize = 64;
/// The longest description, in characters.
const MAXIMUM_DESCRIPTION: usize = 500;

/// What is wrong in a file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The rule, where its name is known.
    pub rule: Option<String>,
    /// The key; empty where the file as a whole is wrong.
    pub key: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}", self.line)?;
        if let Some(rule) = &self.rule {
            write!(formatter, ", rule '{rule}'")?;
        }
        if !self.key.is_empty() {
            write!(formatter, ", {}", self.key)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    jurisdictions: Option<Texts>,
    #[serde(default)]
    rule: Vec<Spanned<RuleEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: Spanned<String>,
    description: Option<Spanned<String>>,
    effect: Spanned<String>,
    #[serde(default)]
    shadow: bool,
    jurisdictions: Option<Texts>,
    when: Option<Spanned<ConditionsEntry>>,
    unless: Option<Spanned<ConditionsEntry>>,
    types: Option<Texts>,
    interactions: Option<Spanned<String>>,
    criteria: Option<Texts>,
    labels: Option<Texts>,
    relationship: Option<Spanned<String>>,
}

type Texts = Spanned<Vec<Spanned<String>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionsEntry {
    roles: Option<Texts>,
    users: Option<Texts>,
    clients: Option<Texts>,
    purpose: Option<Texts>,
    networks: Option<Texts>,
    hours: Option<Spanned<HoursEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoursEntry {
    #[serde(default)]
    days: Vec<String>,
    from: String,
    to: String,
    zone: String,
}

impl OperatorRules {
    /// Reads and compiles a file; `base_url` is the server's own FHIR base, `zones` gives the files of time zones. Everything that is wrong is returned.
    pub fn parse(text: &str, base_url: &str, zones: Zones<'_>) -> Result<Self, Vec<Problem>> {
        let whole = |line, message: String| Err(vec![Problem { line, rule: None, key: "", message }]);
        if text.len() > MAXIMUM_FILE {
            return whole(
                1,
                format!(
                    "the file is longer than {} KiB: rules apply to kinds of people and records, write fewer",
                    MAXIMUM_FILE >> 10
                ),
            );
        }
        let file: FileEntry = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(text, span.start));
                return whole(line, unreadable(error.message()));
            }
        };
        if file.rule.is_empty() {
            return whole(1, "there is no [[rule]]: write one, or leave `rules` out of [policy]".to_owned());
        }
        if file.rule.len() > MAXIMUM_RULES {
            return whole(1, format!("there are more than {MAXIMUM_RULES} rules: each is asked for every request, write fewer"));
        }
        let mut reader = Reader { text, base_url: base_url.into(), zones, problems: Vec::new(), line: 1, rule: None };
        let own = reader.own_jurisdictions(&file);
        let rules: Vec<Option<(bool, Rule)>> = file.rule.iter().map(|entry| reader.rule_here(entry, &own)).collect();
        let mut problems = reader.problems;
        let all: Vec<(bool, Arc<Rule>)> = rules.into_iter().flatten().map(|(is_here, rule)| (is_here, Arc::new(rule))).collect();
        problems.extend(named_twice(&all));
        let (here, elsewhere): (Vec<_>, Vec<_>) = all.into_iter().partition(|(is_here, _)| *is_here);
        let rules: Vec<Arc<Rule>> = here.into_iter().map(|(_, rule)| rule).collect();
        let elsewhere = elsewhere.into_iter().map(|(_, rule)| Arc::clone(&rule.name)).collect();
        problems.extend(unreachable::among(&rules));
        problems.sort_by_key(|problem| problem.line);
        if problems.is_empty() { Ok(Self { rules, elsewhere }) } else { Err(problems) }
    }
}

fn named_twice(rules: &[(bool, Arc<Rule>)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, (_, rule)) in rules.iter().enumerate() {
        if let Some((_, earlier)) = rules.iter().take(place).find(|(_, earlier)| earlier.name == rule.name) {
            problems.push(rule.problem("name", format!("line {} has a rule of this name: choose another one", earlier.line)));
        }
    }
    problems
}

impl Rule {
    pub(super) fn problem(&self, key: &'static str, message: String) -> Problem {
        Problem { line: self.line, rule: Some(self.name.to_string()), key, message }
    }
}

/// The reader's own words where they leave out what to do.
fn unreadable(message: &str) -> String {
    let advice =
        if message.starts_with("missing field") { ": every rule has a name and an effect, \"deny\" or \"permit\"" } else { "" };
    format!("{message}{advice}")
}

fn line_at(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}

struct Reader<'a> {
    text: &'a str,
    base_url: Arc<str>,
    zones: Zones<'a>,
    problems: Vec<Problem>,
    /// Where the rule begins that is being read.
    line: usize,
    rule: Option<String>,
}

/// What a rule is about, as its keys say.
struct About {
    types: Option<TypeSet>,
    criteria: Vec<(ResourceType, Vec<Arc<Qualifier>>)>,
    hidden: Clearance,
}

impl Reader<'_> {
    fn wrong(&mut self, place: usize, key: &'static str, message: impl Into<String>) {
        let line = line_at(self.text, place);
        self.problems.push(Problem { line, rule: self.rule.clone(), key, message: message.into() });
    }

    /// Where the server is. A file of which rules name jurisdictions must say so: else they would silently be for nobody.
    fn own_jurisdictions(&mut self, file: &FileEntry) -> Vec<Jurisdiction> {
        if let Some(texts) = &file.jurisdictions {
            return self.list(texts, "jurisdictions", Jurisdiction::parse);
        }
        let first = file.rule.iter().find_map(|rule| rule.get_ref().jurisdictions.as_ref());
        if let Some(texts) = first {
            let advice = "is named by a rule, and the file does not say where the server is: write jurisdictions = [\"US-TX\"], or what is true, before the first [[rule]]";
            self.wrong(texts.span().start, "jurisdictions", advice);
        }
        Vec::new()
    }

    /// A rule, and whether it is one for a server that is there.
    fn rule_here(&mut self, spanned: &Spanned<RuleEntry>, own: &[Jurisdiction]) -> Option<(bool, Rule)> {
        let rule = self.rule(spanned);
        let places = spanned.get_ref().jurisdictions.as_ref().map(|texts| self.list(texts, "jurisdictions", Jurisdiction::parse));
        Some((concern(&places.unwrap_or_default(), own), rule?))
    }

    fn rule(&mut self, spanned: &Spanned<RuleEntry>) -> Option<Rule> {
        let entry = spanned.get_ref();
        self.rule = Some(entry.name.get_ref().chars().take(MAXIMUM_NAME).collect());
        self.line = line_at(self.text, spanned.span().start);
        let start = spanned.span().start;
        let before = self.problems.len();
        let name = entry.name.get_ref();
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=MAXIMUM_NAME).contains(&name.len()) || !name.bytes().all(sound) {
            self.wrong(entry.name.span().start, "name", "must be 1 to 64 small letters, digits and hyphens, such as front-desk");
        }
        if let Some(description) = &entry.description {
            let sound = !description.get_ref().chars().any(char::is_control);
            if description.get_ref().chars().count() > MAXIMUM_DESCRIPTION || !sound {
                self.wrong(description.span().start, "description", "must be one line of at most 500 characters");
            }
        }
        let when = entry.when.as_ref().map(|when| self.conditions(when, "when")).unwrap_or_default();
        let unless = entry.unless.as_ref().map(|unless| self.conditions(unless, "unless"));
        let letters = match &entry.interactions {
            None => Some(LetterSet::ALL),
            Some(letters) => LetterSet::parse(letters.get_ref()),
        };
        if letters.is_none() {
            let place = entry.interactions.as_ref().map_or(start, |letters| letters.span().start);
            self.wrong(
                place,
                "interactions",
                "must be letters of scopes in the order cruds, such as \"rs\"; leave it out for all",
            );
        }
        let about = self.about(entry);
        let effect = match entry.effect.get_ref().as_str() {
            "deny" => self.deny(entry, start, (&when, unless.as_ref()), about),
            "permit" => self.permit(entry, start, &when, about),
            _ => {
                self.wrong(entry.effect.span().start, "effect", "must be \"deny\" or \"permit\"");
                None
            }
        };
        if unless.as_ref().is_some_and(|unless| !unless.are_none() && unless.include(&when) && !when.are_none()) {
            self.wrong(start, "unless", "holds whenever `when` does, so that the rule never applies: correct one of the two");
        }
        if self.problems.len() > before {
            return None;
        }
        Some(Rule {
            name: name.as_str().into(),
            description: entry.description.as_ref().map(|text| text.get_ref().clone()),
            line: self.line,
            shadow: entry.shadow,
            when,
            unless,
            letters: letters?,
            criteria: entry.criteria.iter().flat_map(|texts| texts.get_ref()).map(|text| text.get_ref().clone()).collect(),
            effect: effect?,
        })
    }

    fn deny(
        &mut self,
        entry: &RuleEntry,
        start: usize,
        (when, unless): (&Conditions, Option<&Conditions>),
        about: About,
    ) -> Option<RuleEffect> {
        if let Some(relationship) = &entry.relationship {
            self.wrong(
                relationship.span().start,
                "relationship",
                "is for effect = \"permit\": leave it out, or name types, criteria or labels",
            );
        }
        let narrowed = about.types.is_some() || !about.hidden.is_full() || entry.interactions.is_some();
        if when.are_none() && unless.is_none() && !narrowed {
            self.wrong(start, "when", "is missing, and so is everything else: the rule would deny everything to everybody");
        }
        let About { types, criteria, hidden } = about;
        let of_records = |types: &TypeSet| {
            let base_url = &self.base_url;
            let admission = |of: ResourceType| {
                let qualifiers = criteria.iter().find(|(other, _)| *other == of).map(|(_, qualifiers)| qualifiers.clone());
                let exclusion = Exclusion::new(qualifiers.unwrap_or_default(), hidden);
                (of, Arc::new(Admission::all_but(exclusion, base_url)))
            };
            types.iter().map(admission).collect()
        };
        Some(RuleEffect::Deny(match types {
            None if hidden.is_full() => Reach::Types(ResourceType::all().collect()),
            None => Reach::Labels(hidden),
            Some(types) if criteria.is_empty() && hidden.is_full() => Reach::Types(types),
            Some(types) => Reach::Records(of_records(&types)),
        }))
    }

    fn permit(&mut self, entry: &RuleEntry, start: usize, when: &Conditions, about: About) -> Option<RuleEffect> {
        if let Some(labels) = &entry.labels {
            let advice =
                "is for effect = \"deny\": a permit reaches what clinicians are cleared for ([labels.clinician]), and no further";
            self.wrong(labels.span().start, "labels", advice);
        }
        let names: Vec<&str> = Relationship::NAMED.into_iter().map(Relationship::as_str).collect();
        let relationship = entry.relationship.as_ref().map(|name| (name.span().start, Relationship::parse(name.get_ref())));
        let relationship = match relationship {
            Some((_, Some(relationship))) => Some(relationship),
            other => {
                let place = other.map_or(start, |(place, _)| place);
                let message = format!("must say whose records a permit opens: one of {}", names.join(", "));
                self.wrong(place, "relationship", message);
                None
            }
        };
        let usable = |role: Role| matches!(role, Role::Staff | Role::Clinician);
        if when.roles.is_empty() || !when.roles.iter().all(usable) {
            let place = entry.when.as_ref().map_or(start, |when| when.span().start);
            self.wrong(
                place,
                "when.roles",
                "must name staff, clinician or both: patients and those who act for them have their own record, and the other roles read no clinical data",
            );
        }
        let Some(types) = about.types else {
            self.wrong(start, "types", "must name the types that a permit opens, such as [\"Patient\", \"Appointment\"]");
            return None;
        };
        if types.contains(ResourceType::AUDIT_EVENT) {
            let place = entry.types.as_ref().map_or(start, |types| types.span().start);
            self.wrong(place, "types", "must not have AuditEvent: who looked at a record is for the patient and for auditors");
        }
        let admission = |(of, qualifiers)| (of, Arc::new(Admission::of_any(qualifiers, &self.base_url)));
        let admissions = about.criteria.into_iter().map(admission).collect();
        Some(RuleEffect::Permit { relationship: relationship?, types, admissions })
    }

    fn about(&mut self, entry: &RuleEntry) -> About {
        let mut about = About { types: None, criteria: Vec::new(), hidden: Clearance::FULL };
        if let Some(texts) = &entry.types {
            let parse = |text: &str| ResourceType::parse(text).ok_or_else(|| format!("'{text}' is no resource type of FHIR R4"));
            about.types = Some(self.list(texts, "types", parse).into_iter().collect());
        }
        if let Some(texts) = &entry.labels {
            let parse = |text: &str| {
                let known = || Labels::sensitivities().codings().map(|(_, code, _)| code).collect::<Vec<_>>().join(", ");
                Clearance::hiding(text).ok_or_else(|| {
                    format!("'{text}' is no label: write a confidentiality (N, R, V) or one of {}, HTEST", known())
                })
            };
            about.hidden = self.list(texts, "labels", parse).into_iter().fold(Clearance::FULL, Clearance::and);
        }
        let Some(texts) = &entry.criteria else { return about };
        let Some(types) = about.types.filter(|types| !types.is_empty()) else {
            self.wrong(texts.span().start, "criteria", "need types: write of which resource types these are search criteria");
            return about;
        };
        if texts.get_ref().len() > MAXIMUM_CRITERIA {
            self.wrong(
                texts.span().start,
                "criteria",
                format!("are more than {MAXIMUM_CRITERIA}: join values with commas, or write two rules"),
            );
            return about;
        }
        for resource_type in types.iter() {
            let parse = |text: &str| {
                let told = || {
                    format!(
                        "'{text}' cannot be judged by one {resource_type} alone: write a search by its own tokens, strings, dates, URIs or \
                         references, as in scopes"
                    )
                };
                Qualifier::parse(resource_type, text).map(Arc::new).ok_or_else(told)
            };
            let qualifiers = self.list(texts, "criteria", parse);
            about.criteria.push((resource_type, qualifiers));
        }
        about
    }

    fn conditions(&mut self, spanned: &Spanned<ConditionsEntry>, table: &'static str) -> Conditions {
        let entry = spanned.get_ref();
        let key = |of: usize| {
            let keys = if table == "when" {
                ["when.roles", "when.users", "when.clients", "when.purpose", "when.networks", "when.hours"]
            } else {
                ["unless.roles", "unless.users", "unless.clients", "unless.purpose", "unless.networks", "unless.hours"]
            };
            keys.get(of).copied().unwrap_or(table)
        };
        let mut conditions = Conditions::default();
        if let Some(texts) = &entry.roles {
            let names: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
            let parse =
                |text: &str| Role::parse(text).ok_or_else(|| format!("'{text}' is no role: the roles are {}", names.join(", ")));
            conditions.roles = Roles::from_iter(self.list(texts, key(0), parse));
        }
        if let Some(texts) = &entry.users {
            conditions.users = self.list(texts, key(1), person);
        }
        if let Some(texts) = &entry.clients {
            let parse =
                |text: &str| ClientId::parse(text).ok_or_else(|| format!("'{text}' is no client id (portcullis clients list)"));
            conditions.clients = self.list(texts, key(2), parse);
        }
        if let Some(texts) = &entry.purpose {
            let parse = |text: &str| {
                let told =
                    || format!("'{text}' is no purpose of use: write a code of v3-ActReason, such as TREAT, HPAYMT or HOPERAT");
                PurposeOfUse::parse(text).ok_or_else(told)
            };
            conditions.purposes = self.list(texts, key(3), parse);
        }
        if let Some(texts) = &entry.networks {
            conditions.networks = self.list(texts, key(4), Network::parse);
        }
        if let Some(hours) = &entry.hours {
            let HoursEntry { days, from, to, zone } = hours.get_ref();
            match Hours::parse(days, (from, to), zone, self.zones) {
                Ok(hours) => conditions.hours = vec![hours],
                Err(problem) => self.wrong(hours.span().start, key(5), problem),
            }
        }
        let asked = [&entry.roles, &entry.users, &entry.clients, &entry.purpose, &entry.networks];
        if asked.into_iter().all(Option::is_none) && entry.hours.is_none() {
            self.wrong(
                spanned.span().start,
                table,
                "is empty: write roles, users, clients, purpose, networks or hours, or leave it out",
            );
        }
        conditions
    }

    fn list<T>(&mut self, texts: &Texts, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let place = texts.span().start;
        match texts.get_ref().len() {
            0 => self.wrong(place, key, "is empty, which would hold for nothing: leave it out where it does not matter"),
            length if length > MAXIMUM_ITEMS => {
                self.wrong(place, key, format!("has more than {MAXIMUM_ITEMS} items: write a role or a network instead"))
            }
            _ => {}
        }
        let mut parsed = Vec::new();
        for (index, text) in texts.get_ref().iter().take(MAXIMUM_ITEMS).enumerate() {
            if texts.get_ref().iter().take(index).any(|earlier| earlier.get_ref() == text.get_ref()) {
                self.wrong(text.span().start, key, format!("has '{}' twice", text.get_ref()));
                continue;
            }
            match parse(text.get_ref()) {
                Ok(item) => parsed.push(item),
                Err(problem) => self.wrong(text.span().start, key, problem),
            }
        }
        parsed
    }
}

fn person(text: &str) -> Result<Person, String> {
    let parsed = match text.contains('/') {
        true => LocalReference::parse(text).map(Person::Resource),
        false => UserId::parse(text).map(Person::Account),
    };
    parsed.ok_or_else(|| {
        format!("'{text}' is no user: write an id (portcullis users list), or the person's resource such as Practitioner/17")
    })
}
