//! Who looked at a person's record, and when: the audit trail as far as the person may read it, told in sentences.
//!
//! It is searched like any AuditEvent, as that person. Only requests for data are told; sign-ins, pages and tokens are not looks. What an app asked
//! for in vain touched no record and is not told either.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use portcullis_fhir::json::{self, Value};
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::consent_groups::{Noun, noun};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::purposes::PurposeOfUse;
use portcullis_oauth::users::User;

use crate::authorization_server::authorization::people;
use crate::context::Server;
use crate::ui::pages::Look;
use crate::ui::{Language, Reader};

/// The most sentences on the page.
const MAXIMUM_LOOKS: usize = 20;
/// Events in one search, and the most searches: what the page costs at most.
const EVENTS: u32 = 200;
const SEARCHES: usize = 3;
/// Requests of one kind that are no further apart are one look, in seconds.
const TOGETHER_SECONDS: i64 = 15 * 60;

/// One request for data of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Touch {
    patient: String,
    resource_type: String,
    verb: Verb,
    client: Option<String>,
    user: Option<String>,
    /// Whether somebody broke the glass for it.
    emergency: bool,
    at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Saw,
    Added,
    Changed,
    Removed,
}

/// The latest looks at the records of the patients for whom the person may act, newest first.
pub async fn looks(server: &Server, user: &User, reader: &Reader) -> Vec<Look> {
    let mut groups: Vec<(Touch, u32)> = Vec::new();
    let mut cursor = None;
    for _ in 0..SEARCHES {
        let Some((touches, next)) = page(server, user, cursor).await else { break };
        for touch in touches {
            gather(&mut groups, touch);
        }
        cursor = next;
        if cursor.is_none() || groups.len() > MAXIMUM_LOOKS {
            break;
        }
    }
    let mut names = Names { server, user, reader, known: HashMap::new() };
    let mut looks = Vec::new();
    for (touch, count) in groups.into_iter().take(MAXIMUM_LOOKS) {
        looks.push(names.told(&touch, count).await);
    }
    looks
}

async fn page(server: &Server, user: &User, cursor: Option<String>) -> Option<(Vec<Touch>, Option<String>)> {
    if user.patients.is_empty() {
        return None;
    }
    let patients: Vec<String> = user.patients.iter().map(|id| format!("Patient/{id}")).collect();
    let mut pairs = vec![
        ("patient".to_owned(), patients.join(",")),
        ("outcome".to_owned(), "0".to_owned()),
        ("_count".to_owned(), EVENTS.to_string()),
    ];
    pairs.extend(cursor.map(|cursor| ("_cursor".to_owned(), cursor)));
    let query = people::parsed(server, ResourceType::AUDIT_EVENT, &pairs)?;
    let found = people::audit_events(server, user, query).await?;
    let events = found.matches.iter().filter_map(|version| json::parse(version.body.as_deref()?).ok());
    Some((events.filter_map(|event| touch(&event, &user.patients)).collect(), found.next))
}

/// What an event tells about data of one of these patients.
fn touch(event: &Value, patients: &[LogicalId]) -> Option<Touch> {
    let text = |value: &Value, path: &[&str]| -> Option<String> {
        let mut at = value;
        for name in path {
            at = at.member(name)?;
        }
        at.as_str().map(str::to_owned)
    };
    let list = |name: &str| event.member(name).and_then(Value::as_array).unwrap_or_default();
    if text(event, &["type", "code"])? != "rest" {
        return None;
    }
    let verb = match text(list("subtype").first()?, &["code"])?.as_str() {
        "create" => Verb::Added,
        "update" | "patch" => Verb::Changed,
        "delete" => Verb::Removed,
        _ => Verb::Saw,
    };
    let entities = list("entity");
    let is_person = |entity: &&Value| text(entity, &["role", "code"]).as_deref() == Some("1");
    let patient = entities.iter().find(is_person).and_then(|entity| text(entity, &["what", "reference"]))?;
    let patient = patient.strip_prefix("Patient/")?.to_owned();
    patients.iter().find(|id| id.as_str() == patient)?;
    let resource_type = entities.iter().filter(|entity| !is_person(entity)).find_map(|entity| {
        let query = text(entity, &["query"]).and_then(|query| String::from_utf8(STANDARD.decode(query).ok()?).ok());
        let named = query.or_else(|| text(entity, &["what", "reference"])).or_else(|| text(entity, &["what", "type"]))?;
        let name = named.split(['/', '?']).next()?.to_owned();
        ResourceType::parse(&name).map(|_| name)
    })?;
    let agent = |requestor: bool| {
        let agents = list("agent").iter();
        let mut fitting = agents.filter(move |agent| agent.member("requestor").and_then(Value::as_bool) == Some(requestor));
        fitting.find_map(|agent| text(agent, &["who", "identifier", "value"]))
    };
    let at = text(event, &["recorded"])?.parse::<Timestamp>().ok()?.as_second();
    let purpose = list("purposeOfEvent").first().and_then(|purpose| purpose.member("coding")?.as_array()?.first());
    let emergency = purpose.and_then(|coding| text(coding, &["code"])).as_deref() == Some(PurposeOfUse::BREAK_GLASS.code());
    Some(Touch { patient, resource_type, verb, client: agent(false), user: agent(true), emergency, at })
}

/// Adds a request to the look that it belongs to. They come newest first, so a look has the time of its newest request.
fn gather(groups: &mut Vec<(Touch, u32)>, touch: Touch) {
    let same = |(group, _): &&mut (Touch, u32)| {
        group.at.saturating_sub(touch.at) <= TOGETHER_SECONDS && *group == Touch { at: group.at, ..touch.clone() }
    };
    match groups.iter_mut().find(same) {
        Some((_, count)) => *count = count.saturating_add(1),
        None => groups.push((touch, 1)),
    }
}

/// Names of apps and people, each looked up once.
struct Names<'a> {
    server: &'a Server,
    user: &'a User,
    reader: &'a Reader,
    known: HashMap<String, String>,
}

impl Names<'_> {
    async fn told(&mut self, touch: &Touch, count: u32) -> Look {
        let reader = self.reader;
        let client = match &touch.client {
            Some(client) => self.client(client).await,
            None => reader.say("An app", "Una aplicación").to_owned(),
        };
        let (with, you) = (reader.say("with", "con"), reader.say("You", "Usted"));
        let who = match &touch.user {
            Some(user) if user == self.user.id.as_str() => format!("{you}, {with} {client},"),
            Some(user) => format!("{}, {with} {client},", self.person(user).await),
            None => client,
        };
        let whose = self.whose(&touch.patient).await;
        let thing = thing(&whose, ResourceType::parse(&touch.resource_type).and_then(noun), reader.language);
        let times = match count {
            1 => String::new(),
            2 => reader.say(", twice", ", dos veces").to_owned(),
            more => format!(", {more} {}", reader.say("times", "veces")),
        };
        let did = match touch.verb {
            Verb::Saw => reader.say("saw", "vio"),
            Verb::Added => reader.say("added to", "agregó algo en"),
            Verb::Changed => reader.say("changed", "cambió"),
            Verb::Removed => reader.say("removed some of", "borró algo de"),
        };
        let why = if touch.emergency { reader.say(", in an emergency", ", por una emergencia") } else { "" };
        Look { who, what: format!("{did} {thing}{times}{why}"), when: reader.moment(touch.at) }
    }

    async fn client(&mut self, id: &str) -> String {
        if let Some(name) = self.known.get(id) {
            return name.clone();
        }
        let name = match ClientId::parse(id) {
            Some(parsed) => self
                .server
                .registry
                .client(&parsed)
                .await
                .ok()
                .flatten()
                .map(|client| crate::authorization_server::authorization::asking_app::shown_name(&client)),
            None => None,
        };
        let name = name.unwrap_or_else(|| {
            format!("{} ({id})", self.reader.say("an app that is no longer here", "una aplicación que ya no está aquí"))
        });
        self.known.insert(id.to_owned(), name.clone());
        name
    }

    async fn person(&mut self, id: &str) -> String {
        let name = match UserId::parse(id) {
            Some(parsed) => self.server.registry.user(&parsed).await.ok().flatten().map(|user| user.display_name),
            None => None,
        };
        name.unwrap_or_else(|| self.reader.say("Somebody who is no longer here", "Alguien que ya no está aquí").to_owned())
    }

    /// Whose record it is.
    async fn whose(&mut self, patient: &str) -> Whose {
        if self.user.fhir_user.as_ref().is_some_and(|own| own.to_string() == format!("Patient/{patient}")) {
            return Whose::Yours;
        }
        let key = format!("Patient/{patient}");
        if let Some(name) = self.known.get(&key) {
            return Whose::Of(name.clone());
        }
        let choice = match LogicalId::parse(patient) {
            Some(id) => people::choice(self.server, self.user, &id).await,
            None => None,
        };
        let unknown = || self.reader.say("a patient", "un paciente").to_owned();
        let name = choice.map_or_else(unknown, |choice| choice.shown_name(self.reader));
        self.known.insert(key, name.clone());
        Whose::Of(name)
    }
}

/// Whose record a look was at.
enum Whose {
    /// The reader's own.
    Yours,
    /// Somebody's for whom the reader acts.
    Of(String),
}

/// "your insurance plans", "Ana’s insurance plans", "sus planes de seguro", "planes de seguro de Ana".
fn thing(whose: &Whose, noun: Option<Noun>, language: Language) -> String {
    match (language, whose, noun) {
        (_, Whose::Yours, Some(noun)) => noun.yours(language),
        (_, Whose::Yours, None) => language.say("your record", "su expediente").to_owned(),
        (Language::English, Whose::Of(name), noun) => format!("{name}’s {}", noun.map_or("record", |noun| noun.bare(language))),
        (Language::Spanish, Whose::Of(name), Some(noun)) => format!("{}, de {name}", noun.bare(language)),
        (Language::Spanish, Whose::Of(name), None) => format!("el expediente de {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch_at(at: i64, resource_type: &str) -> Touch {
        Touch {
            patient: "ann".into(),
            resource_type: resource_type.into(),
            verb: Verb::Saw,
            client: Some("app".into()),
            user: None,
            emergency: false,
            at,
        }
    }

    #[test]
    fn requests_of_one_kind_within_a_quarter_of_an_hour_are_one_look() {
        let mut groups = Vec::new();
        for (at, resource_type) in
            [(5000, "Coverage"), (4999, "Observation"), (4990, "Coverage"), (4100, "Coverage"), (4099, "Coverage")]
        {
            gather(&mut groups, touch_at(at, resource_type));
        }
        let told: Vec<(i64, &str, u32)> =
            groups.iter().map(|(touch, count)| (touch.at, touch.resource_type.as_str(), *count)).collect();
        assert_eq!(told, [(5000, "Coverage", 3), (4999, "Observation", 1), (4099, "Coverage", 1)]);
    }

    #[test]
    fn only_data_of_the_persons_own_patients_is_a_look() {
        let event = |kind: &str, patient: &str| {
            format!(
                r#"{{"type":{{"code":"{kind}"}},"subtype":[{{"code":"read"}}],"recorded":"2026-11-21T10:00:00.000Z",
                "agent":[{{"who":{{"identifier":{{"value":"app"}}}},"requestor":false}},{{"who":{{"identifier":{{"value":"u"}}}},"requestor":true}}],
                "entity":[{{"what":{{"reference":"Patient/{patient}"}},"role":{{"code":"1"}}}},
                {{"what":{{"reference":"Observation/o/_history/1"}},"role":{{"code":"4"}}}}]}}"#
            )
        };
        let told = |text: &str| touch(&json::parse(text.as_bytes()).unwrap(), &[LogicalId::parse("ann").unwrap()]);
        let expected = Touch { user: Some("u".into()), at: 1_795_255_200, ..touch_at(0, "Observation") };
        assert_eq!(told(&event("rest", "ann")), Some(expected));
        assert_eq!(told(&event("rest", "bob")), None);
        assert_eq!(told(&event("110114", "ann")), None);
    }
}
