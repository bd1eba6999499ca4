//! `portcullis users show|invite|reset|lock|unlock|confirm`: how somebody gets into an account. Links are mailed where there is a mail server, or printed.

use portcullis_server::admin::protocol::{Hidden, NewUser, Request, Response};
use portcullis_server::admin::{Contact, UserDetails, UserLink, UserRequest};
use serde_json::json;

use super::channel::unexpected;
use super::clients::ask;
use crate::args::{UsersInvite, UsersOne, UsersReset};
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

/// `users invite`
pub fn invite(arguments: UsersInvite) -> Outcome {
    let user = NewUser {
        username: arguments.username,
        display_name: arguments.display_name,
        password: Hidden(String::new()),
        roles: arguments.role,
        fhir_user: arguments.fhir_user,
        patients: arguments.patient,
        contact: Contact { email: arguments.email, language: arguments.language, print_link: arguments.print_link },
    };
    let said = "Give this link to them and to nobody else. It sets the first password, once:";
    linked(ask(&arguments.target, "users invite", Request::User(UserRequest::Invite(user)))?, arguments.json, said)
}

/// `users reset`
pub fn reset(arguments: UsersReset) -> Outcome {
    let UsersReset { username, remove_factors, print_link, target, json } = arguments;
    let request = UserRequest::Reset { username, remove_factors, print_link };
    let said = "Give this link to the owner of the account and to nobody else. It sets another password, once. Until the owner signs in with a second \
                factor, or somebody else runs `portcullis users confirm`, the account opens no health records:";
    linked(ask(&target, "users reset", Request::User(request))?, json, said)
}

/// Tells where the link went, or the link.
fn linked(response: Response, json: bool, said: &str) -> Outcome {
    match response {
        Response::UserLink(link) => print_link(&link, json, said),
        Response::LinkMailed(mailed) if json => print_json(&mailed),
        Response::LinkMailed(mailed) => {
            let (address, until) = (&mailed.address, terminal::minute(mailed.expires_at));
            terminal::print(&terminal::wrapped(
                &format!(
                    "A letter with the link is on its way to {address}. The link ends on {until}. Whether the letter went: `portcullis users show {}`.",
                    mailed.username
                ),
                0,
            ))
        }
        _ => Err(unexpected()),
    }
}

fn print_link(link: &UserLink, json: bool, said: &str) -> Outcome {
    if json {
        return print_json(&json!({ "username": link.username, "link": link.link.0, "expires_at": link.expires_at }));
    }
    let until = format!("It ends on {}.", terminal::minute(link.expires_at));
    terminal::print(&format!("{}\n{}\n\n{until}\n", terminal::wrapped(said, 0), link.link.0))
}

/// `users show`
pub fn show(arguments: UsersOne) -> Outcome {
    about(arguments, "users show", |username| UserRequest::Show { username }, waiting)
}

/// `users lock`
pub fn lock(arguments: UsersOne) -> Outcome {
    about(
        arguments,
        "users lock",
        |username| UserRequest::Lock { username },
        |details| {
            let name = &details.summary.username;
            format!(
                "Locked: every session has ended, and no token of an app counts. `portcullis users unlock {name}` opens it again."
            )
        },
    )
}

/// `users unlock`
pub fn unlock(arguments: UsersOne) -> Outcome {
    about(
        arguments,
        "users unlock",
        |username| UserRequest::Unlock { username },
        |details| format!("{} is not locked, and can sign in.", details.summary.username),
    )
}

/// `users confirm`
pub fn confirm(arguments: UsersOne) -> Outcome {
    about(
        arguments,
        "users confirm",
        |username| UserRequest::Confirm { username },
        |details| format!("Confirmed: the account of {} opens health records again.", details.summary.username),
    )
}

/// What remains to be done about an account.
fn waiting(details: &UserDetails) -> String {
    let name = &details.summary.username;
    if details.locked_at.is_some() {
        return format!("It is locked. `portcullis users unlock {name}` opens it again.");
    }
    match &details.recovered_by {
        Some(by) => format!("Somebody else than {by} confirms that it is with its owner: `portcullis users confirm {name}`"),
        None => String::new(),
    }
}

fn about(
    arguments: UsersOne,
    command: &'static str,
    request: impl FnOnce(String) -> UserRequest,
    said: impl FnOnce(&UserDetails) -> String,
) -> Outcome {
    let Response::User(details) = ask(&arguments.target, command, Request::User(request(arguments.username)))? else {
        return Err(unexpected());
    };
    if arguments.json {
        return print_json(&details);
    }
    let said = said(&details);
    let space = if said.is_empty() { "" } else { "\n" };
    terminal::print(&format!("{}{space}{}", described(&details), terminal::wrapped(&said, 0)))
}

/// An account in lines.
pub fn described(details: &UserDetails) -> String {
    let summary = &details.summary;
    let yes = |have: bool| if have { "yes" } else { "no" }.to_owned();
    let mut lines = vec![
        ("User name", summary.username.clone()),
        ("Name", summary.display_name.clone()),
        ("Roles", summary.roles.join(" ")),
        ("FHIR user", summary.fhir_user.clone().unwrap_or_else(|| "-".to_owned())),
        ("Acts for", if summary.patients.is_empty() { "-".to_owned() } else { summary.patients.join(" ") }),
        ("Added", terminal::minute(details.created_at)),
        ("Password", yes(details.has_password)),
        ("Authenticator", yes(details.has_authenticator)),
        ("Passkeys", details.passkeys.to_string()),
        ("Recovery codes", details.recovery_codes.to_string()),
        ("Sessions", details.sessions.to_string()),
    ];
    if let Some(at) = details.locked_at {
        lines.push(("Locked", format!("since {}", terminal::minute(at))));
    }
    if let Some(by) = &details.recovered_by {
        lines.push(("Given back by", format!("{by}, not yet confirmed")));
    }
    if let Some(mail) = &details.mail {
        let set_by = mail.unconfirmed_by.as_ref().map(|by| format!(", set by {by}, not yet confirmed")).unwrap_or_default();
        lines.push(("Mail", format!("{} ({}){set_by}", mail.address, mail.language)));
    }
    for letter in &details.letters {
        let outcome = letter.outcome.clone().unwrap_or_else(|| format!("waiting, {} attempts", letter.attempts));
        lines.push(("Letter", format!("{}: {}: {outcome}", terminal::minute(letter.created_at), letter.kind)));
    }
    for grant in &details.grants {
        lines.push(("App", format!("{}, since {}", grant.client, terminal::minute(grant.created_at))));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<15} {value}\n")).collect()
}
