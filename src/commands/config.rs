//! `portcullis config check`: whether a configuration can be used, and everything that is wrong with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use portcullis_backends::DataDirectory;
use portcullis_backends::sqlite::RootKey;
use portcullis_oauth::capabilities::Capabilities;
use portcullis_server::listener::{CertificateFiles, ClientAuthorities, ReloadingCertificate, transport_in_force};

use super::clients::all_risks;
use super::place::configuration;
use super::safeguards::rules_in_force;
use crate::args::Target;
use crate::config::{AccessSettings, Configuration, Configured};
use crate::failure::{Failure, Outcome, causes};
use crate::terminal::{self, counted};

/// Runs the command.
pub fn check(path: &Path) -> Outcome {
    let configuration = configuration(path)?;
    let problems = problems(&configuration);
    if problems.is_empty() {
        for line in switched(configuration.capabilities) {
            terminal::print_line(&format!("{}: {line}", path.display()))?;
        }
        for line in transport_in_force() {
            terminal::print_line(&format!("{}: transport, {line}", path.display()))?;
        }
        for line in waiting(path, &configuration) {
            terminal::print_line(&format!("{}: {line}", path.display()))?;
        }
        for risk in risks(path, &configuration) {
            terminal::print_line(&format!("{}: risk: {risk}", path.display()))?;
        }
        return terminal::print_line(&format!(
            "{}: OK. Start it with: portcullis serve --config {}",
            path.display(),
            path.display()
        ));
    }
    for problem in &problems {
        terminal::print_line(&format!("{}: {problem}", path.display()))?;
    }
    let count = counted(u64::try_from(problems.len()).unwrap_or(u64::MAX), "problem", "problems");
    Err(Failure::usage(format!("{count} found")).advise("Correct what is named above, then check again."))
}

/// What of SMART is not as it is by default, a line for each.
fn switched(capabilities: Capabilities) -> impl Iterator<Item = String> {
    let off = capabilities.off().filter(|capability| !capability.is_optional());
    let off = off.map(|capability| format!("off: {} (smart.disabled)", capability.as_str()));
    off.chain(capabilities.switched_on().map(|capability| format!("on: {} (smart.enabled)", capability.as_str())))
}

/// Which settings would wait for a second person at the next start; nothing where nothing is in force yet.
fn waiting(path: &Path, configuration: &Configuration) -> Vec<String> {
    if !DataDirectory::exists(&configuration.data_dir) {
        return Vec::new();
    }
    let target = Target { config: Some(path.to_owned()), data_dir: None };
    let in_force = match rules_in_force(&target, "config check") {
        Ok(in_force) => in_force.settings,
        Err(failure) => return vec![format!("the settings that are in force could not be looked at: {failure}")],
    };
    let Ok(next) = Configured::of(configuration).read() else { return Vec::new() };
    let wider = if in_force.is_empty() { Vec::new() } else { next.widen(&AccessSettings::kept(&in_force).settings) };
    let line = |key| {
        format!(
            "{key} lets more be seen than what is in force, which goes on until a second person agreed (portcullis policy propose)"
        )
    };
    wider.into_iter().map(line).collect()
}

/// What a client may do that weakens the rules; nothing where there are no data yet, or where nobody can be asked about them.
fn risks(path: &Path, configuration: &Configuration) -> Vec<String> {
    let mut risks: Vec<String> = configuration.clients.risks().map(str::to_owned).into_iter().collect();
    let rules =
        configuration.policy.load(&format!("{}/fhir", configuration.public_url)).map(|held| held.rules).unwrap_or_default();
    let tried = rules.rules().iter().filter(|rule| rule.is_shadow());
    risks.extend(tried.map(|rule| format!("rule '{}' (line {}) is only tried: it changes nothing", rule.name(), rule.line())));
    risks.extend(configuration.developers.risks().map(str::to_owned));
    risks.extend(configuration.two_people.risks());
    if DataDirectory::exists(&configuration.data_dir) {
        let target = Target { config: Some(path.to_owned()), data_dir: None };
        match all_risks(&target) {
            Ok(of_clients) => risks.extend(of_clients),
            Err(failure) => risks.push(format!("the clients could not be looked at: {failure}")),
        }
    }
    risks
}

/// What would keep a server from starting, key by key.
fn problems(configuration: &Configuration) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = RootKey::read_file(&configuration.root_key_file) {
        let advice = "make one with: (umask 077; openssl rand -hex 32 > FILE)";
        problems.push(format!("root_key_file: {}: {}; {advice}", configuration.root_key_file.display(), causes(&error)));
    }
    let files = CertificateFiles { chain: configuration.tls.certificate.clone(), key: configuration.tls.key.clone() };
    if let Err(error) = ReloadingCertificate::load(files) {
        problems.push(format!("tls: {}", causes(&error)));
    }
    if let Ok(metadata) = fs::metadata(&configuration.tls.key)
        && metadata.mode() & 0o077 != 0
    {
        problems.push(format!("tls.key: {} may be read by others than its owner: chmod 600", configuration.tls.key.display()));
    }
    let mutual = configuration.mutual_tls.as_ref();
    for (key, file) in [
        ("mutual_tls.client_ca_file", mutual.and_then(|mutual| mutual.client_ca_file.as_ref())),
        ("mutual_tls.client_authorities", mutual.and_then(|mutual| mutual.client_authorities.as_ref())),
    ] {
        if let Some(Err(error)) = file.map(|path| ClientAuthorities::read(path)) {
            problems.push(format!("{key}: {}", causes(&error)));
        }
    }
    if let Err(found) = configuration.policy.load(&format!("{}/fhir", configuration.public_url)) {
        problems.extend(found.into_iter().map(|problem| format!("policy.rules: {problem}")));
    }
    if let Err(problem) = configuration.labels.rules() {
        problems.push(format!("labels.rules: {problem}"));
    }
    if let Err(problem) = configuration.labels.element_rules() {
        problems.push(format!("labels.elements: {problem}"));
    }
    if DataDirectory::exists(&configuration.data_dir) && configuration.data_dir.join("demo.json").exists() {
        problems
            .push(format!("data_dir: {} was made by `portcullis demo`, which is never served", configuration.data_dir.display()));
    }
    problems
}
