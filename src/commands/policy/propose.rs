//! `portcullis policy propose`: rules that let more be seen than those in force, for a second person to agree to.

use portcullis_oauth::approval::ChangeKind;
use portcullis_server::operator_rules::proposal;
use serde_json::json;

use super::show::loaded;
use crate::args::{PolicyPropose, Target};
use crate::commands::place::configuration;
use crate::commands::safeguards::{propose_rules, rules_in_force};
use crate::config::kept_rules;
use crate::failure::Outcome;
use crate::terminal;

/// Runs the command.
pub fn run(arguments: PolicyPropose) -> Outcome {
    let PolicyPropose { config, json } = arguments;
    let configuration = configuration(&config)?;
    let fhir_base = format!("{}/fhir", configuration.public_url);
    let next = loaded(&configuration.policy, &fhir_base)?;
    let target = Target { config: Some(config), data_dir: None };
    let in_force = kept_rules(rules_in_force(&target, "policy propose")?.text, &fhir_base);
    let needless = |said: &str| match json {
        true => terminal::print_json(&json!({"proposed": false, "reason": said})),
        false => terminal::print(&terminal::wrapped(said, 0)),
    };
    if next.text == in_force.text {
        return needless("These rules are in force already.");
    }
    let widenings = next.rules.widen(&in_force.rules);
    if widenings.is_empty() {
        return needless("Nobody sees more by these rules, so nobody else is needed: systemctl reload portcullis.");
    }
    if !configuration.two_people.settings().are_needed(ChangeKind::Rules) {
        return needless("One person is enough here ([two_people] disabled): systemctl reload portcullis.");
    }
    propose_rules(&target, proposal(&in_force, &next), json)
}
