//! `portcullis policy show`: rules in plain words.

use portcullis_policy::operator_rules::{Described, RuleEffect};
use portcullis_server::operator_rules::Held;
use serde_json::json;

use crate::args::PolicyShow;
use crate::commands::place::configuration;
use crate::config::PolicySettings;
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// The FHIR base for a file of rules alone: only references with this server's own address depend on it.
pub const NO_BASE: &str = "https://localhost/fhir";

/// Runs the command.
pub fn run(arguments: &PolicyShow) -> Outcome {
    let held = match (&arguments.config, &arguments.rules) {
        (Some(path), _) => {
            let configuration = configuration(path)?;
            loaded(&configuration.policy, &format!("{}/fhir", configuration.public_url))?
        }
        (None, Some(rules)) => loaded(&PolicySettings::of_file(rules.clone()), NO_BASE)?,
        (None, None) => return Err(Failure::usage("No rules were named").advise("Add --config FILE or --rules FILE.")),
    };
    if arguments.json {
        return terminal::print_json(&listed(&held));
    }
    if held.rules.are_none() {
        return terminal::print_line(
            "There are no rules of the operator ([policy] rules). The program's own rules alone decide.",
        );
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
    text.push_str(&terminal::wrapped(
        "A denial overrides every permission, also of the program's own rules, and holds for everybody but the operator at the command line.",
        0,
    ));
    text.push_str(&format!("sha256:{}\n", held.digest));
    terminal::print(&text)
}

/// The rules, or everything that is wrong with them.
pub fn loaded(policy: &PolicySettings, fhir_base: &str) -> Outcome<Held> {
    policy.load(fhir_base).map_err(|problems| Failure::usage(problems.join("\n")).advise("Correct the file, then try again."))
}

fn listed(held: &Held) -> serde_json::Value {
    let rules = held.rules.rules().iter().map(|rule| {
        let effect = if matches!(rule.effect(), RuleEffect::Deny(_)) { "deny" } else { "permit" };
        json!({"name": rule.name(), "line": rule.line(), "effect": effect, "shadow": rule.is_shadow(), "means": Described(rule).to_string()})
    });
    json!({"sha256": held.digest, "rules": rules.collect::<Vec<_>>()})
}
