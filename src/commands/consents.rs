//! `portcullis consents ...`: which consents wait for a confirmation, what they say, and the confirmation.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{ConsentRequest, ConsentSummary, provision_of};

use super::channel::unexpected;
use super::clients::ask;
use crate::args::{ConsentsList, ConsentsShow, ConsentsVerify, Target};
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

fn listed(target: &Target, command: &str, request: ConsentRequest) -> Outcome<Vec<ConsentSummary>> {
    match ask(target, command, Request::Consent(request))? {
        Response::Consents(consents) => Ok(consents),
        _ => Err(unexpected()),
    }
}

/// `consents list`
pub fn list(arguments: &ConsentsList) -> Outcome {
    let request = ConsentRequest::List { patient: arguments.patient.clone() };
    let consents = listed(&arguments.target, "consents list", request)?;
    if arguments.json {
        return print_json(&consents);
    }
    if consents.is_empty() {
        return terminal::print_line(match arguments.patient {
            None => "Every consent is confirmed.",
            Some(_) => "The patient has no consents.",
        });
    }
    let row = |consent: &ConsentSummary| {
        let patient = consent.patient.as_ref().map(|patient| format!("Patient/{patient}")).unwrap_or_default();
        vec![consent.id.clone(), patient, consent.status.clone(), standing(consent).to_owned()]
    };
    terminal::print(&terminal::table(&["id", "patient", "status", "confirmed"], &consents.iter().map(row).collect::<Vec<_>>()))
}

fn standing(consent: &ConsentSummary) -> &'static str {
    match (consent.confirmed, &consent.confirmed_version) {
        (true, _) => "yes",
        (false, Some(_)) => "an earlier version",
        (false, None) => "no",
    }
}

/// `consents show`
pub fn show(arguments: &ConsentsShow) -> Outcome {
    let request = ConsentRequest::Show { id: arguments.id.clone() };
    let consents = listed(&arguments.target, "consents show", request)?;
    let Some(consent) = consents.first() else { return Err(unexpected()) };
    if arguments.json { print_json(consent) } else { terminal::print(&described(consent)) }
}

fn described(consent: &ConsentSummary) -> String {
    let mut text = format!("Consent/{} version {} ({})\n", consent.id, consent.version, consent.status);
    if let Some(writer) = &consent.writer {
        text.push_str(&format!("Written by {writer}.\n"));
    }
    match (&consent.confirmed_by, &consent.confirmed_version) {
        (Some((by, how, at)), Some(version)) => {
            text.push_str(&format!("Version {version} was confirmed by {by} ({how}) on {}.\n", terminal::minute(*at)));
        }
        _ => text.push_str("Nobody has confirmed it: what it denies counts, what it permits does not.\n"),
    }
    if let Some(resource) = &consent.resource {
        text.push_str(&format!("\n{}\n", provision_of(resource)));
    }
    text
}

/// `consents verify`
pub fn verify(arguments: ConsentsVerify) -> Outcome {
    let ConsentsVerify { id, officer, how, reviewed, target } = arguments;
    let version = match reviewed {
        Some(version) => version,
        None => {
            let shown = listed(&target, "consents verify", ConsentRequest::Show { id: id.clone() })?;
            let Some(consent) = shown.into_iter().next() else { return Err(unexpected()) };
            terminal::print(&described(&consent))?;
            consent.version
        }
    };
    let request = ConsentRequest::Verify { id: id.clone(), version: version.clone(), officer: officer.clone(), how };
    match ask(&target, "consents verify", Request::Consent(request))? {
        Response::Done => terminal::print_line(&format!(
            "{officer} confirmed version {version} of Consent/{id}: it counts from the next request on."
        )),
        _ => Err(unexpected()),
    }
}
