//! `portcullis users entitle`, `approvals` and `break-glass`: rights that take two people, the changes that wait, and records opened in an emergency.

use portcullis_oauth::approval::ChangeKind;
use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{ChangeSummary, GlassSummary, RightSummary, RulesInForce, SafeguardRequest, SafeguardResponse};
use serde_json::json;

use super::channel::unexpected;
use super::clients::{DETAIL_INDENT, ask};
use crate::args::{ApprovalsApprove, Listing, SafeguardOne, Target, UsersRight};
use crate::failure::{Failure, Outcome};
use crate::terminal::{self, print_json};

fn asked(target: &Target, command: &str, request: SafeguardRequest) -> Outcome<SafeguardResponse> {
    match ask(target, command, Request::Safeguard(request))? {
        Response::Safeguard(response) => Ok(response),
        _ => Err(unexpected()),
    }
}

/// `users entitle`
pub fn entitle(arguments: UsersRight) -> Outcome {
    let UsersRight { username, right, target, json } = arguments;
    let request = SafeguardRequest::Entitle { username: username.clone(), right: right.clone() };
    match asked(&target, "users entitle", request)? {
        SafeguardResponse::Done if json => print_json(&json!({"given": true})),
        SafeguardResponse::Done => terminal::print_line(&format!("{username} has the right {right} from the next request on.")),
        SafeguardResponse::Waiting(change) if json => print_json(&json!({"given": false, "change": change})),
        SafeguardResponse::Waiting(change) => waiting(&change),
        _ => Err(unexpected()),
    }
}

/// Says that a change waits, and for whom.
pub fn waiting(change: &ChangeSummary) -> Outcome {
    let ChangeSummary { id, expires_at, .. } = change;
    let until = terminal::minute(*expires_at);
    let text = format!(
        "Proposed as {id}: it waits for a second person until {until}. A security officer with the right approve-changes agrees on the page /security, or another \
         account of this machine with `portcullis approvals approve {id}`."
    );
    terminal::print(&terminal::wrapped(&text, 0))
}

/// Proposes rules or settings that let more be seen.
pub fn propose(target: &Target, (kind, content): (ChangeKind, String)) -> Outcome<ChangeSummary> {
    let request = SafeguardRequest::Propose { kind: kind.as_str().to_owned(), content };
    match asked(target, "policy propose", request)? {
        SafeguardResponse::Waiting(change) => Ok(change),
        _ => Err(unexpected()),
    }
}

/// The rules that are in force at a server.
pub fn rules_in_force(target: &Target, command: &str) -> Outcome<RulesInForce> {
    match asked(target, command, SafeguardRequest::RulesInForce)? {
        SafeguardResponse::Rules(rules) => Ok(rules),
        _ => Err(unexpected()),
    }
}

/// `users unentitle`
pub fn unentitle(arguments: UsersRight) -> Outcome {
    let UsersRight { username, right, target, json } = arguments;
    let said = format!("{username} does not have the right {right} any more, from the next request on.");
    done(&target, ("users unentitle", json), SafeguardRequest::Unentitle { username, right }, &said)
}

/// `users rights`
pub fn rights(listing: &Listing) -> Outcome {
    let SafeguardResponse::Rights(rights) = asked(&listing.target, "users rights", SafeguardRequest::Rights)? else {
        return Err(unexpected());
    };
    if listing.json {
        return print_json(&rights);
    }
    if rights.is_empty() {
        return terminal::print_line("Nobody has such a right. `portcullis users entitle` gives one.");
    }
    let row = |right: &RightSummary| {
        let agreed = right.approved_by.clone().unwrap_or_else(|| "one person was enough".to_owned());
        vec![right.username.clone(), right.right.clone(), terminal::minute(right.given_at), right.given_by.clone(), agreed]
    };
    let rows: Vec<Vec<String>> = rights.iter().map(row).collect();
    terminal::print(&terminal::table(&["User name", "Right", "Since", "Proposed by", "Approved by"], &rows))
}

/// `approvals list`
pub fn changes(listing: &Listing) -> Outcome {
    let changes = listed(&listing.target, "approvals list")?;
    if listing.json {
        return print_json(&changes);
    }
    if changes.is_empty() {
        return terminal::print_line("No change was proposed yet.");
    }
    let mut text = String::new();
    for change in &changes {
        text.push_str(&format!("{}  {}  {}\n", change.id, change.state, change.kind));
        text.push_str(&terminal::wrapped(&change.content, DETAIL_INDENT));
        let proposed = format!(
            "proposed by {} on {}, until {}",
            change.proposed_by,
            terminal::minute(change.proposed_at),
            terminal::minute(change.expires_at)
        );
        text.push_str(&terminal::wrapped(&proposed, DETAIL_INDENT));
        if let Some(by) = &change.decided_by {
            text.push_str(&terminal::wrapped(&format!("decided by {by}"), DETAIL_INDENT));
        }
        text.push_str(&terminal::wrapped(&format!("SHA-256 {}", change.digest), DETAIL_INDENT));
    }
    terminal::print(&text)
}

fn listed(target: &Target, command: &str) -> Outcome<Vec<ChangeSummary>> {
    match asked(target, command, SafeguardRequest::Changes)? {
        SafeguardResponse::Changes(changes) => Ok(changes),
        _ => Err(unexpected()),
    }
}

/// `approvals approve`
pub fn approve(arguments: ApprovalsApprove) -> Outcome {
    let ApprovalsApprove { id, digest, target } = arguments;
    let digest = match digest {
        Some(digest) => digest,
        None => {
            let changes = listed(&target, "approvals approve")?;
            let change = changes.into_iter().find(|change| change.id == id);
            let absent =
                || Failure::failed(format!("There is no change '{id}'")).advise("`portcullis approvals list` lists them.");
            let change = change.ok_or_else(absent)?;
            terminal::print_line(&change.content)?;
            change.digest
        }
    };
    let said = format!("Approved {id}.");
    done(&target, ("approvals approve", false), SafeguardRequest::Approve { id, digest }, &said)
}

/// `approvals refuse`
pub fn refuse(arguments: SafeguardOne) -> Outcome {
    let SafeguardOne { id, target } = arguments;
    let said = format!("Refused {id}.");
    done(&target, ("approvals refuse", false), SafeguardRequest::Refuse { id }, &said)
}

/// `break-glass list`
pub fn glass(listing: &Listing) -> Outcome {
    let SafeguardResponse::Glass(glass) = asked(&listing.target, "break-glass list", SafeguardRequest::Glass)? else {
        return Err(unexpected());
    };
    if listing.json {
        return print_json(&glass);
    }
    if glass.is_empty() {
        return terminal::print_line("Nobody has opened a record in an emergency.");
    }
    let mut text = String::new();
    for entry in &glass {
        let GlassSummary { id, username, patient, reason, began_at, ends_at, open, ended_by } = entry;
        let state = if *open {
            format!("open until {}", terminal::minute(*ends_at))
        } else {
            format!("ended on {}", terminal::minute(*ends_at))
        };
        let by = ended_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        text.push_str(&format!("{id}\n"));
        text.push_str(&terminal::wrapped(
            &format!("{username} for Patient/{patient} on {}, {state}{by}", terminal::minute(*began_at)),
            DETAIL_INDENT,
        ));
        text.push_str(&terminal::wrapped(&format!("\u{201c}{}\u{201d}", reason.replace('\n', " ")), DETAIL_INDENT));
    }
    terminal::print(&text)
}

/// `break-glass end`
pub fn end_glass(arguments: SafeguardOne) -> Outcome {
    let SafeguardOne { id, target } = arguments;
    let said = "Ended: it opens nothing from the next request on.";
    done(&target, ("break-glass end", false), SafeguardRequest::EndGlass { id }, said)
}

fn done(target: &Target, (command, json): (&str, bool), request: SafeguardRequest, said: &str) -> Outcome {
    match asked(target, command, request)? {
        SafeguardResponse::Done if json => print_json(&json!({"done": true})),
        SafeguardResponse::Done => terminal::print_line(said),
        _ => Err(unexpected()),
    }
}
