//! `portcullis audit review`: what was denied and where the glass was broken, from the audit trail.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{ReviewRequest, ReviewedEvent};

use super::channel::unexpected;
use super::clients::{DETAIL_INDENT, ask};
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
    let table = terminal::whole_table(&["When", "What", "Who", "Purpose", "About"], &rows);
    terminal::print(&table.unwrap_or_else(|| narrow(&reviewed.events)))?;
    if reviewed.more {
        terminal::print_line("There are older ones. Give --since and --until, or --patient, to see others.")?;
    }
    Ok(())
}

fn row(event: &ReviewedEvent) -> Vec<String> {
    let purpose = event.purpose.clone().unwrap_or_default();
    vec![moment(event), event.kind.clone(), who(event), purpose, event.about.join(" ")]
}

/// For a narrow terminal: when and what in one line, and below it who it was and what it was about.
fn narrow(events: &[ReviewedEvent]) -> String {
    let mut text = String::new();
    for event in events {
        let purpose = event.purpose.as_ref().map(|purpose| format!(" for {purpose}")).unwrap_or_default();
        text.push_str(&format!("{}  {}{purpose}\n", moment(event), event.kind));
        text.push_str(&terminal::wrapped(&format!("by {}", who(event)), DETAIL_INDENT));
        if !event.about.is_empty() {
            text.push_str(&terminal::wrapped(&format!("about {}", event.about.join(" ")), DETAIL_INDENT));
        }
    }
    text
}

/// To the second, which is enough to find it; `--json` has all of it.
fn moment(event: &ReviewedEvent) -> String {
    format!("{}Z", event.recorded.split(['.', 'Z']).next().unwrap_or_default())
}

fn who(event: &ReviewedEvent) -> String {
    let who: Vec<&str> = event.user.iter().chain(&event.client).map(String::as_str).collect();
    if who.is_empty() { "nobody known".to_owned() } else { who.join(" with ") }
}
