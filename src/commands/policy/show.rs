//! `portcullis policy show`: rules in plain words.

use std::path::Path;

use portcullis_backends::DataDirectory;
use portcullis_policy::operator_rules::{Described, RuleEffect};
use portcullis_server::operator_rules::Held;
use serde_json::json;

use crate::args::{PolicyShow, Target};
use crate::commands::place::configuration;
use crate::commands::safeguards::rules_in_force;
use crate::config::{Configuration, PolicySettings, kept_rules};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// The FHIR base for a file of rules alone: only references with this server's own address depend on it.
pub const NO_BASE: &str = "https://localhost/fhir";

/// Runs the command.
pub fn run(arguments: &PolicyShow) -> Outcome {
    let (held, standing) = match (&arguments.config, &arguments.rules) {
        (Some(path), _) => {
            let configuration = configuration(path)?;
            let fhir_base = format!("{}/fhir", configuration.public_url);
            let held = loaded(&configuration.policy, &fhir_base)?;
            let standing = standing(path, &configuration, &held)?;
            (held, standing)
        }
        (None, Some(rules)) => (loaded(&PolicySettings::of_file(rules.clone()), NO_BASE)?, None),
        (None, None) => return Err(Failure::usage("No rules were named").advise("Add --config FILE or --rules FILE.")),
    };
    if arguments.json {
        return terminal::print_json(&listed(&held, standing.as_ref()));
    }
    if held.rules.are_none() && held.rules.elsewhere().is_empty() {
        terminal::print_line("There are no rules of the operator ([policy] rules). The program's own rules alone decide.")?;
        return standing.map_or(Ok(()), |standing| terminal::print(&standing.said()));
    }
    let mut text = String::new();
    for rule in held.rules.rules() {
        text.push_str(&format!(
            "{} (line {})\n{}\n",
            rule.name(),
            rule.line(),
            terminal::wrapped(&Described(rule).to_string(), 2)
        ));
    }
    if !held.rules.elsewhere().is_empty() {
        let names = format!("For other jurisdictions, and without effect here: {}", held.rules.elsewhere().join(", "));
        text.push_str(&terminal::wrapped(&names, 0));
    }
    text.push_str(&terminal::wrapped(
        "A denial overrides every permission, also of the program's own rules, and holds for everybody but the operator at the command line.",
        0,
    ));
    text.push_str(&format!("sha256:{}\n", held.digest));
    text.push_str(&standing.map(|standing| standing.said()).unwrap_or_default());
    terminal::print(&text)
}

/// Whether rules that were read from a file are those by which a server decides.
enum Standing {
    InForce,
    /// Nobody sees more by them: the server has not read them yet.
    Unread,
    /// They let more be seen in these ways.
    Wider(Vec<String>),
}

impl Standing {
    fn said(&self) -> String {
        let mut text = match self {
            Self::InForce => return "In force.\n".to_owned(),
            Self::Unread => {
                return terminal::wrapped(
                    "NOT IN FORCE: the server has not read them. Have it do so: systemctl reload portcullis.",
                    0,
                );
            }
            Self::Wider(_) => terminal::wrapped(
                "NOT IN FORCE: they let more be seen than the rules that are, so a second person must agree.",
                0,
            ),
        };
        if let Self::Wider(widenings) = self {
            widenings.iter().for_each(|widening| text.push_str(&terminal::wrapped(widening, 2)));
        }
        text.push_str(&terminal::wrapped(
            "Propose them: portcullis policy propose. `portcullis approvals list` shows what was proposed.",
            0,
        ));
        text
    }
}

/// What the server says, which keeps the rules in force; nothing where it was never started.
fn standing(path: &Path, configuration: &Configuration, held: &Held) -> Outcome<Option<Standing>> {
    if !DataDirectory::exists(&configuration.data_dir) {
        return Ok(None);
    }
    let target = Target { config: Some(path.to_owned()), data_dir: None };
    let in_force = kept_rules(rules_in_force(&target, "policy show")?.text, &format!("{}/fhir", configuration.public_url));
    if in_force.text == held.text {
        return Ok(Some(Standing::InForce));
    }
    let widenings: Vec<String> = held.rules.widen(&in_force.rules).iter().map(ToString::to_string).collect();
    Ok(Some(if widenings.is_empty() { Standing::Unread } else { Standing::Wider(widenings) }))
}

/// The rules, or everything that is wrong with them.
pub fn loaded(policy: &PolicySettings, fhir_base: &str) -> Outcome<Held> {
    policy.load(fhir_base).map_err(|problems| Failure::usage(problems.join("\n")).advise("Correct the file, then try again."))
}

fn listed(held: &Held, standing: Option<&Standing>) -> serde_json::Value {
    let rules = held.rules.rules().iter().map(|rule| {
        let effect = if matches!(rule.effect(), RuleEffect::Deny(_)) { "deny" } else { "permit" };
        json!({"name": rule.name(), "line": rule.line(), "effect": effect, "shadow": rule.is_shadow(), "means": Described(rule).to_string()})
    });
    let in_force = standing.map(|standing| matches!(standing, Standing::InForce));
    let opens = match standing {
        Some(Standing::Wider(widenings)) => widenings.as_slice(),
        _ => &[],
    };
    let elsewhere: Vec<&str> = held.rules.elsewhere().iter().map(|name| &**name).collect();
    json!({"sha256": held.digest, "rules": rules.collect::<Vec<_>>(), "elsewhere": elsewhere, "in_force": in_force, "opens": opens})
}
