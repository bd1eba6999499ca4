//! What a Consent says, in sentences for the patient: who may see what, why and when.
//!
//! Written from the resource as it is stored, provision by provision, at a reading level of about grade 8. People and organisations are called by the names that this
//! server has of them, never by what the Consent calls them: whoever wrote it may have written anything. What has no words here is said to be so; the page shows beside
//! the sentences what is written.

use std::collections::HashMap;

use portcullis_fhir::json::Value;
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::types::ResourceType;
use portcullis_oauth::consent_groups::noun;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::users::User;

use crate::authorization_server::authorization::{asking_app, people};
use crate::context::Server;
use crate::ui::Reader;
use crate::ui::pages::RuleLine;

/// The most sentences about one Consent.
const MAXIMUM_RULES: usize = 40;
/// The most people and organisations whose names are looked up for a page; the others are called by their references. A Consent may name any number.
const MAXIMUM_NAMES: usize = 40;

/// Says what Consents say, to one person.
pub struct Words<'a> {
    server: &'a Server,
    user: &'a User,
    reader: &'a Reader,
    /// What those are called who were looked up.
    names: HashMap<LocalReference, String>,
}

impl<'a> Words<'a> {
    /// For this person.
    pub fn new(server: &'a Server, user: &'a User, reader: &'a Reader) -> Self {
        Self { server, user, reader, names: HashMap::new() }
    }

    /// The sentences of a Consent.
    pub async fn rules(&mut self, consent: &Value) -> Vec<RuleLine> {
        let directive = consent.member("policyRule").map(|rule| many(rule, "coding")).unwrap_or_default();
        let base = directive.iter().find_map(|coding| match text(coding, "code") {
            Some("OPTIN" | "OPTINR") => Some(true),
            Some("OPTOUT" | "OPTOUTE") => Some(false),
            _ => None,
        });
        let mut lines = Vec::new();
        let Some(root) = consent.member("provision") else {
            lines.extend(base.map(|permits| RuleLine { text: self.sentence(&Value::Null, permits, ""), is_exception: false }));
            return lines;
        };
        let own = permits(root);
        let mut stack = vec![(root, own.or(base), false)];
        if let (Some(base), Some(own)) = (base, own)
            && base != own
        {
            lines.push(RuleLine { text: self.sentence(&Value::Null, base, ""), is_exception: false });
            stack = vec![(root, Some(own), true)];
        }
        while let Some((provision, effect, is_exception)) = stack.pop() {
            if lines.len() >= MAXIMUM_RULES {
                let more = self.reader.say("There are more rules than fit here.", "Hay más reglas de las que caben aquí.");
                lines.push(RuleLine { text: more.to_owned(), is_exception: false });
                break;
            }
            if let Some(effect) = effect {
                let who = self.who(provision).await;
                lines.push(RuleLine { text: self.sentence(provision, effect, &who), is_exception });
            }
            for nested in many(provision, "provision").iter().rev() {
                stack.push((nested, permits(nested).or(effect.map(|effect| !effect)), effect.is_some()));
            }
        }
        lines
    }

    /// "Dr. Amy Chen or Clinic app"; empty: everybody.
    async fn who(&mut self, provision: &Value) -> String {
        let mut names: Vec<String> = Vec::new();
        for actor in many(provision, "actor") {
            let name = match actor.member("reference") {
                Some(reference) => self.name(reference).await,
                None => None,
            };
            let name = name.unwrap_or_else(|| {
                self.reader.say("somebody whom we cannot name", "alguien a quien no podemos nombrar").to_owned()
            });
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(self.reader.say(" or ", " o "))
    }

    async fn name(&mut self, reference: &Value) -> Option<String> {
        if let Some(literal) = text(reference, "reference") {
            let Reference::Local(local) = Reference::parse(literal, &self.server.settings.fhir_base)? else { return None };
            return Some(self.called(&local).await);
        }
        let value = text(reference.member("identifier")?, "value")?;
        let client = self.server.registry.client(&ClientId::parse(value)?).await.ok().flatten();
        Some(client.map_or_else(|| value.to_owned(), |client| asking_app::shown_name(&client)))
    }

    async fn called(&mut self, local: &LocalReference) -> String {
        if self.user.fhir_user.as_ref() == Some(local) {
            return self.reader.say("you", "usted").to_owned();
        }
        if let Some(known) = self.names.get(local) {
            return known.clone();
        }
        if self.names.len() >= MAXIMUM_NAMES {
            return local.to_string();
        }
        let name = people::called(self.server, self.user, local).await.unwrap_or_else(|| local.to_string());
        self.names.insert(local.clone(), name.clone());
        name
    }

    fn sentence(&self, provision: &Value, permits: bool, who: &str) -> String {
        let what = self.what(provision);
        let (why, when) = (self.why(provision), self.when(provision, "period"));
        let does = self.does(provision);
        let reader = self.reader;
        let subject = match (permits, who.is_empty()) {
            (true, true) => reader.say(
                format!("Everybody who works with this server may {does}"),
                format!("Todos los que trabajan con este servidor pueden {does}"),
            ),
            (false, true) => reader.say(format!("Nobody but you may {does}"), format!("Nadie más que usted puede {does}")),
            (true, false) => reader.say(format!("{} may {does}", capital(who)), format!("{} puede {does}", capital(who))),
            (false, false) => reader.say(format!("{} may not {does}", capital(who)), format!("{} no puede {does}", capital(who))),
        };
        format!("{subject} {what}{why}{when}.")
    }

    /// "see", "add to", "change".
    fn does(&self, provision: &Value) -> String {
        let codes = codes(provision, "action");
        let (mut does, reader) = (Vec::new(), self.reader);
        if codes.is_empty() || codes.iter().any(|code| ["access", "use", "disclose"].contains(&code.as_str())) {
            does.push(reader.say("see", "ver"));
        }
        if codes.iter().any(|code| code == "collect") {
            does.push(reader.say("add to", "agregar algo a"));
        }
        if codes.iter().any(|code| code == "correct") {
            does.push(reader.say("change", "cambiar"));
        }
        does.join(reader.say(" or ", " o "))
    }

    /// "your conditions that are marked as mental health, from before 1 May 2020".
    fn what(&self, provision: &Value) -> String {
        let reader = self.reader;
        let kinds: Vec<String> = many(provision, "class").iter().map(|class| self.kind(class)).collect();
        let mut what = match kinds.as_slice() {
            [] => reader.say("your record", "su expediente").to_owned(),
            kinds => kinds.join(reader.say(" and ", " y ")),
        };
        let labels: Vec<String> = many(provision, "securityLabel").iter().map(|label| self.label(label)).collect();
        if !labels.is_empty() {
            let marked = reader.say(", where it is marked as", ", donde está marcado como");
            what.push_str(&format!("{marked} {}", labels.join(reader.say(" or ", " o "))));
        }
        let coded = codes(provision, "code");
        if !coded.is_empty() {
            let with = reader.say(", where it has the code", ", donde tiene el código");
            what.push_str(&format!("{with} {}", coded.join(reader.say(" or ", " o "))));
        }
        if !many(provision, "data").is_empty() {
            what.push_str(reader.say(", but only certain entries", ", pero solo ciertas entradas"));
        }
        let dated = self.when(provision, "dataPeriod");
        if !dated.is_empty() {
            what.push_str(reader.say(", about the time", ", sobre el tiempo"));
            what.push_str(&dated);
        }
        what
    }

    fn kind(&self, class: &Value) -> String {
        let code = text(class, "code").unwrap_or_default();
        let name = code.rsplit('/').next().unwrap_or_default();
        let found = ResourceType::parse(name).and_then(noun);
        found.map_or_else(|| name.to_owned(), |noun| noun.yours(self.reader.language))
    }

    fn label(&self, label: &Value) -> String {
        let code = text(label, "code").unwrap_or_default();
        let reader = self.reader;
        let known = match code {
            "PSY" | "MH" => reader.say("mental health", "salud mental"),
            "HIV" => reader.say("HIV", "VIH"),
            "ETH" | "ETHUD" | "SUD" | "OPIOIDUD" => reader.say("alcohol or drug use", "uso de alcohol o drogas"),
            "SDV" | "DVD" => reader.say("violence at home", "violencia en el hogar"),
            "SEX" | "STD" => reader.say("sexual health", "salud sexual"),
            "GDIS" => reader.say("your genes", "sus genes"),
            "R" => reader.say("restricted", "restringido"),
            "V" => reader.say("very restricted", "muy restringido"),
            "N" => reader.say("not secret", "sin secreto"),
            other => return other.to_owned(),
        };
        known.to_owned()
    }

    fn why(&self, provision: &Value) -> String {
        let reader = self.reader;
        let purpose = |purpose: &Value| {
            let code = text(purpose, "code").unwrap_or_default();
            let known = match code {
                "TREAT" => reader.say("to treat you", "para atenderle"),
                "ETREAT" => reader.say("to treat you in an emergency", "para atenderle en una urgencia"),
                "BTG" => reader.say("in an emergency", "en una emergencia"),
                "HPAYMT" => reader.say("to handle payment", "para los pagos"),
                "HOPERAT" => reader.say("to run the hospital or clinic", "para administrar el hospital o la clínica"),
                "HRESCH" => reader.say("for research", "para la investigación"),
                "HMARKT" => reader.say("for advertising", "para publicidad"),
                "PUBHLTH" => reader.say("for public health", "para la salud pública"),
                "PATRQT" => reader.say("because you asked for it", "porque usted lo pidió"),
                "FAMRQT" => reader.say("because your family asked for it", "porque su familia lo pidió"),
                other => return reader.say(format!("for the purpose {other}"), format!("con el fin {other}")),
            };
            known.to_owned()
        };
        let purposes: Vec<String> = many(provision, "purpose").iter().map(purpose).collect();
        match purposes.as_slice() {
            [] => String::new(),
            purposes => format!(", {}", purposes.join(reader.say(" or ", " o "))),
        }
    }

    fn when(&self, provision: &Value, period: &str) -> String {
        let Some(period) = provision.member(period) else { return String::new() };
        let (start, end) = (text(period, "start"), text(period, "end"));
        let reader = self.reader;
        let from = start.map(|start| {
            reader.say(format!(", from {}", reader.written(start)), format!(", desde el {}", reader.written(start)))
        });
        let to =
            end.map(|end| reader.say(format!(", until {}", reader.written(end)), format!(", hasta el {}", reader.written(end))));
        [from, to].into_iter().flatten().collect()
    }
}

fn permits(provision: &Value) -> Option<bool> {
    text(provision, "type").map(|effect| effect == "permit")
}

fn codes(provision: &Value, member: &str) -> Vec<String> {
    let concepts = many(provision, member).iter().flat_map(|concept| many(concept, "coding"));
    concepts.filter_map(|coding| text(coding, "code")).map(str::to_owned).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.member(member).and_then(Value::as_str)
}

fn many<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.member(member).map_or(&[], Value::items)
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
