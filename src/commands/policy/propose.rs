//! `portcullis policy propose`: rules and settings that let more be seen than those in force, for a second person to agree to.

use portcullis_oauth::approval::{ChangeKind, TwoPeople};
use portcullis_server::operator_rules::proposal;
use serde_json::{Value, json};

use super::show::loaded;
use crate::args::{PolicyPropose, Target};
use crate::commands::place::configuration;
use crate::commands::safeguards::{propose, rules_in_force, waiting};
use crate::config::{AccessSettings, Configuration, Configured, kept_rules};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// What becomes of what was read.
enum Asked {
    /// Nobody else is needed, for this reason.
    Needless(&'static str),
    /// Exactly this is to be agreed to.
    For(String),
}

/// Runs the command.
pub fn run(arguments: PolicyPropose) -> Outcome {
    let PolicyPropose { config, json } = arguments;
    let configuration = configuration(&config)?;
    let target = Target { config: Some(config), data_dir: None };
    let in_force = rules_in_force(&target, "policy propose")?;
    let settled =
        Some(in_force.settings.as_str()).filter(|text| !text.is_empty()).map(|text| AccessSettings::kept(text).settings);
    let two_people = settled.as_ref().map_or(configuration.two_people.settings(), |settled| settled.two_people().settings());
    let rules = rules(&configuration, in_force.text, two_people)?;
    let settings = settings(&configuration, settled)?;
    let told = [
        (ChangeKind::Rules, rules, "Once somebody agreed, have the server read the file: systemctl reload portcullis."),
        (ChangeKind::Settings, settings, "Once somebody agreed, start the server anew: systemctl restart portcullis."),
    ];
    let mut answers: Vec<(ChangeKind, Value)> = Vec::new();
    for (kind, asked, then) in told {
        match asked {
            Asked::Needless(said) if json => answers.push((kind, json!({"proposed": false, "reason": said}))),
            Asked::Needless(said) => terminal::print(&terminal::wrapped(said, 0))?,
            Asked::For(content) => {
                let change = propose(&target, (kind, content))?;
                if json {
                    answers.push((kind, json!({"proposed": true, "change": change})));
                } else {
                    waiting(&change)?;
                    terminal::print(&terminal::wrapped(then, 0))?;
                }
            }
        }
    }
    if json { terminal::print_json(&together(answers)) } else { Ok(()) }
}

/// What is said of the rules, with what is said of the settings in it.
fn together(answers: Vec<(ChangeKind, Value)>) -> Value {
    let mut all = serde_json::Map::new();
    for (kind, answer) in answers {
        match answer {
            Value::Object(members) if kind == ChangeKind::Rules => all.extend(members),
            other => drop(all.insert(kind.as_str().to_owned(), other)),
        }
    }
    Value::Object(all)
}

fn rules(configuration: &Configuration, in_force: String, two_people: TwoPeople) -> Outcome<Asked> {
    let fhir_base = format!("{}/fhir", configuration.public_url);
    let next = loaded(&configuration.policy, &fhir_base)?;
    let in_force = kept_rules(in_force, &fhir_base);
    if next.text == in_force.text {
        return Ok(Asked::Needless("These rules are in force already."));
    }
    if next.rules.widen(&in_force.rules).is_empty() {
        return Ok(Asked::Needless("Nobody sees more by these rules, so nobody else is needed: systemctl reload portcullis."));
    }
    if !two_people.are_needed(ChangeKind::Rules) {
        return Ok(Asked::Needless("One person is enough here ([two_people] disabled): systemctl reload portcullis."));
    }
    Ok(Asked::For(proposal(&in_force, &next)))
}

fn settings(configuration: &Configuration, in_force: Option<AccessSettings>) -> Outcome<Asked> {
    let next = Configured::of(configuration).read().map_err(Failure::usage)?;
    let Some(in_force) = in_force else {
        return Ok(Asked::Needless("No settings are in force yet: those of the first start are the installation."));
    };
    if next == in_force {
        return Ok(Asked::Needless("These settings are in force already."));
    }
    if next.widen(&in_force).is_empty() {
        return Ok(Asked::Needless(
            "Nobody sees more by these settings, so nobody else is needed: systemctl restart portcullis.",
        ));
    }
    if !in_force.two_people().settings().are_needed(ChangeKind::Settings) {
        return Ok(Asked::Needless(
            "One person is enough here for settings ([two_people] disabled): systemctl restart portcullis.",
        ));
    }
    Ok(Asked::For(next.proposal(&in_force)))
}
