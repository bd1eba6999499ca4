//! `portcullis audit review`: what was denied and where the glass was broken, from the audit trail.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{ReviewRequest, ReviewedEvent};

use super::channel::unexpected;
use super::clients::ask;
use crate::args::AuditReview;
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

/// Runs the command.
pub fn review(arguments: &AuditReview) -> Outcome {
    let AuditReview { since, until, patient, target, json } = arguments;
    let request = ReviewRequest { since: since.clone(), until: until.clone(), patient: patient.clone() };
    let Response::Reviewed(reviewed) = ask(target, "audit review", Request::Review(request))? else {
        return Err(unexpected());
    };
    if *json {
        return print_json(&reviewed);
    }
    if reviewed.events.is_empty() {
        return terminal::print_line("Nothing was denied, and nobody broke the glass.");
    }
    let rows: Vec<Vec<String>> = reviewed.events.iter().map(row).collect();
    terminal::print(&terminal::table(&["when", "what", "who", "purpose", "about"], &rows))?;
    if reviewed.more {
        terminal::print_line("There are older ones. Give --since and --until, or --patient, to see others.")?;
    }
    Ok(())
}

fn row(event: &ReviewedEvent) -> Vec<String> {
    let who: Vec<&str> = event.user.iter().chain(&event.client).map(String::as_str).collect();
    let purpose = event.purpose.clone().unwrap_or_default();
    vec![event.recorded.clone(), event.kind.clone(), who.join(" with "), purpose, event.about.join(" ")]
}
