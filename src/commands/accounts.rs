//! `portcullis users show|invite|reset|lock|unlock|confirm`: how somebody gets into an account. Links are printed; nothing is mailed.

use portcullis_server::admin::protocol::{Hidden, NewUser, Request, Response};
use portcullis_server::admin::{UserDetails, UserLink, UserRequest};
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
    };
    let Response::UserLink(link) = ask(&arguments.target, "users invite", Request::User(UserRequest::Invite(user)))? else {
        return Err(unexpected());
    };
    print_link(&link, arguments.json, "Give this link to them and to nobody else. It sets the first password, once:")
}

/// `users reset`
pub fn reset(arguments: UsersReset) -> Outcome {
    let request = UserRequest::Reset { username: arguments.username, remove_factors: arguments.remove_factors };
    let Response::UserLink(link) = ask(&arguments.target, "users reset", Request::User(request))? else {
        return Err(unexpected());
    };
    let said = "Give this link to the owner of the account and to nobody else. It sets another password, once. Until the owner signs in with a second \
                factor, or somebody else runs `portcullis users confirm`, the account opens no health records:";
    print_link(&link, arguments.json, said)
}

fn print_link(link: &UserLink, json: bool, said: &str) -> Outcome {
    if json {
        return print_json(&json!({ "username": link.username, "link": link.link.0, "expires_at": link.expires_at }));
    }
    let until = format!("It ends on {}.", time(link.expires_at));
    terminal::print(&format!("{}\n{}\n\n{until}\n", terminal::wrapped(said, 0), link.link.0))
}

/// `users show`
pub fn show(arguments: UsersOne) -> Outcome {
    about(arguments, "users show", |username| UserRequest::Show { username })
}

/// `users lock`
pub fn lock(arguments: UsersOne) -> Outcome {
    about(arguments, "users lock", |username| UserRequest::Lock { username })
}

/// `users unlock`
pub fn unlock(arguments: UsersOne) -> Outcome {
    about(arguments, "users unlock", |username| UserRequest::Unlock { username })
}

/// `users confirm`
pub fn confirm(arguments: UsersOne) -> Outcome {
    about(arguments, "users confirm", |username| UserRequest::Confirm { username })
}

fn about(arguments: UsersOne, command: &'static str, request: impl FnOnce(String) -> UserRequest) -> Outcome {
    let Response::User(details) = ask(&arguments.target, command, Request::User(request(arguments.username)))? else {
        return Err(unexpected());
    };
    if arguments.json { print_json(&details) } else { terminal::print(&described(&details)) }
}

fn described(details: &UserDetails) -> String {
    let summary = &details.summary;
    let yes = |have: bool| if have { "yes" } else { "no" }.to_owned();
    let mut lines = vec![
        ("User name", summary.username.clone()),
        ("Name", summary.display_name.clone()),
        ("Roles", summary.roles.join(" ")),
        ("FHIR user", summary.fhir_user.clone().unwrap_or_else(|| "-".to_owned())),
        ("Acts for", if summary.patients.is_empty() { "-".to_owned() } else { summary.patients.join(" ") }),
        ("Added", time(details.created_at)),
        ("Password", yes(details.has_password)),
        ("Authenticator", yes(details.has_authenticator)),
        ("Passkeys", details.passkeys.to_string()),
        ("Recovery codes", details.recovery_codes.to_string()),
        ("Sessions", details.sessions.to_string()),
    ];
    if let Some(at) = details.locked_at {
        lines.push(("Locked", format!("since {}", time(at))));
    }
    if let Some(by) = &details.recovered_by {
        lines.push(("Given back by", format!("{by}, not yet confirmed")));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<15} {value}\n")).collect()
}

fn time(seconds: i64) -> String {
    terminal::time(seconds.saturating_mul(1000))
}
