//! Who may see a person's record beside the apps that the person allowed, and why: what holds at this moment, in sentences.
//!
//! Those who treat the patient are told by the visits and care teams that name them, searched as the person; the rest by what the operator has set up. Nothing is
//! decided here, and nobody is told as excluded: consents and labels may hide more, which the sentence above the list says.

use std::collections::BTreeMap;

use portcullis_fhir::json::{self, Value};
use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::users::User;
use portcullis_policy::Relationship;
use portcullis_policy::operator_rules::{Rule, RuleEffect};

use crate::authorization_server::authorization::people;
use crate::context::Server;
use crate::ui::Reader;
use crate::ui::pages::Reach;

/// The most people who are named, and the records in which they are looked for.
const MAXIMUM_NAMED: usize = 10;
const RECORDS: &str = "50";

/// Who may see the records of the patients for whom the person may act.
pub async fn reach(server: &Server, user: &User, reader: &Reader) -> Vec<Reach> {
    if user.patients.is_empty() {
        return Vec::new();
    }
    let say = |english: &str, spanish: &str| reader.say(english, spanish).to_owned();
    let (visits, teams) = (
        named(server, user, (ResourceType::ENCOUNTER, "individual")).await,
        named(server, user, (ResourceType::CARE_TEAM, "member")).await,
    );
    let mut all = Vec::new();
    for (people, why) in [
        (visits, say("because a visit names them", "porque una visita los menciona")),
        (teams, say("because a care team names them", "porque un equipo de atención los menciona")),
    ] {
        for (reference, display) in people.into_iter().take(MAXIMUM_NAMED) {
            let who = called(server, user, &reference).await.or(display).unwrap_or(reference);
            all.push(Reach { who, why: why.clone() });
        }
    }
    let rules = server.operator_rules.current();
    all.extend(rules.rules().iter().filter(|rule| !rule.is_shadow()).filter_map(|rule| of_rule(rule, reader)));
    all.push(Reach {
        who: say(
            "People whom the organisation lets act for you, and programs that it runs",
            "Personas a quienes la organización permite actuar por usted, y programas que ella usa",
        ),
        why: say("as far as it registered them for that", "hasta donde los registró para eso"),
    });
    all.push(Reach {
        who: say("Clinicians with a special right, in an emergency", "Profesionales con un derecho especial, en una emergencia"),
        why: say("for a short time; you are told of it", "por poco tiempo; a usted se le avisa"),
    });
    all
}

/// By the name that the server has of them, if it has one.
async fn called(server: &Server, user: &User, reference: &str) -> Option<String> {
    let Reference::Local(local) = Reference::parse(reference, &server.settings.fhir_base)? else { return None };
    people::called(server, user, &local).await
}

/// Who is named by the newest records of a type, by reference, and what the record calls them.
async fn named(server: &Server, user: &User, (of, member): (ResourceType, &str)) -> BTreeMap<String, Option<String>> {
    let patients: Vec<String> = user.patients.iter().map(|id| format!("Patient/{id}")).collect();
    let pairs = [("patient".to_owned(), patients.join(",")), ("_count".to_owned(), RECORDS.to_owned())];
    let mut people = BTreeMap::new();
    let Some(query) = people::parsed(server, of, &pairs) else { return people };
    let binding = format!("own-page reach\n{}", user.id.as_str());
    let Some(page) = people::search_to_open(server, user, query, &binding).await else { return people };
    for body in page.matches.iter().filter_map(|version| json::parse(version.body.as_deref()?).ok()) {
        for participant in body.member("participant").and_then(Value::as_array).unwrap_or_default() {
            let Some(person) = participant.member(member) else { continue };
            let text = |name: &str| person.member(name).and_then(Value::as_str);
            let reference = text("reference").filter(|reference| reference.contains("Practitioner"));
            if let Some(reference) = reference {
                people.insert(reference.to_owned(), text("display").map(str::to_owned));
            }
        }
    }
    people
}

/// Whom a rule of the operator lets in.
fn of_rule(rule: &Rule, reader: &Reader) -> Option<Reach> {
    let RuleEffect::Permit { relationship, types, .. } = rule.effect() else { return None };
    let who = match relationship {
        Relationship::Organization => reader.say(
            "People who work in an organisation that looks after you",
            "Personas que trabajan en una organización que le atiende",
        ),
        Relationship::CareTeam | Relationship::Care => {
            reader.say("People in your care team", "Personas de su equipo de atención")
        }
        Relationship::GeneralPractitioner => reader.say("Your general practitioner", "Su médico de cabecera"),
    };
    let types: Vec<&str> = types.iter().map(ResourceType::name).collect();
    let rule = reader.say("by a rule of the organisation, for", "por una regla de la organización, para");
    Some(Reach { who: who.to_owned(), why: format!("{rule} {}", types.join(", ")) })
}
