//! `portcullis users`: adds and lists the people who sign in.

use std::io::{self, IsTerminal, Read};

use portcullis_server::admin::protocol::{Hidden, NewUser, Request, Response, UserSummary};
use portcullis_server::admin::{Contact, MINIMUM_PASSWORD};
use serde_json::json;

use super::channel::unexpected;
use super::clients::{DETAIL_INDENT, ask};
use crate::args::{Listing, UsersAdd};
use crate::failure::{Failure, OrFail, Outcome};
use crate::terminal::{self, print_json};

/// The longest input that is read, in bytes.
const MAXIMUM_INPUT: u64 = 4096;

/// `users add`
pub fn add(arguments: UsersAdd) -> Outcome {
    let password = read_password()?;
    let user = NewUser {
        username: arguments.username,
        display_name: arguments.display_name,
        password,
        roles: arguments.role,
        fhir_user: arguments.fhir_user,
        patients: arguments.patient,
        contact: Contact { email: arguments.email, language: arguments.language, print_link: false },
    };
    let username = user.username.clone();
    let Response::UserAdded { id, absent } = ask(&arguments.target, "users add", Request::AddUser(user))? else {
        return Err(unexpected());
    };
    if !absent.is_empty() {
        let (names, there) = (absent.join(" and "), if absent.len() == 1 { "is" } else { "are" });
        terminal::say_wrapped(&format!(
            "portcullis: warning: {names} {there} not stored yet, so {username} finds nothing there for now.\n\
             If the id is mistyped, add another user with the right one."
        ));
    }
    if arguments.json {
        return print_json(&json!({ "id": id, "username": username, "absent": absent }));
    }
    terminal::print_line(&format!("Added {username}, who can sign in from now on."))
}

/// The first line of standard input.
fn read_password() -> Outcome<Hidden> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("The password is read from standard input, and that is a terminal")
            .advise("Put it into a file that only you can read and end the command with: < FILE"));
    }
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MAXIMUM_INPUT)
        .read_to_string(&mut text)
        .or_fail("The password cannot be read from standard input")?;
    let password = text.lines().next().unwrap_or_default();
    if password.chars().count() < MINIMUM_PASSWORD {
        return Err(Failure::usage(format!("The password has fewer than {MINIMUM_PASSWORD} characters"))
            .advise("Choose a longer one; four random words are easy to type and hard to guess."));
    }
    Ok(Hidden(password.to_owned()))
}

/// `users list`
pub fn list(listing: &Listing) -> Outcome {
    let Response::Users(users) = ask(&listing.target, "users list", Request::ListUsers)? else {
        return Err(unexpected());
    };
    if listing.json {
        return print_json(&users);
    }
    if users.is_empty() {
        return terminal::print_line("There are no users. `portcullis users add` adds one.");
    }
    let row = |user: &UserSummary| {
        let person = user.fhir_user.clone().unwrap_or_else(|| "-".to_owned());
        let patients = if user.patients.is_empty() { "-".to_owned() } else { user.patients.join(" ") };
        vec![user.username.clone(), user.roles.join(" "), person, patients, user.display_name.clone()]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    let table = terminal::whole_table(&["User name", "Roles", "FHIR user", "Acts for", "Name"], &rows);
    let table = table.unwrap_or_else(|| narrow(&users));
    terminal::print(&format!("{table}\n`portcullis users show NAME` says how one of them signs in.\n"))
}

/// For a narrow terminal: who it is in one line, and below it what the person is bound to.
fn narrow(users: &[UserSummary]) -> String {
    let row = |user: &UserSummary| vec![user.username.clone(), user.roles.join(" "), user.display_name.clone()];
    let table = terminal::table(&["User name", "Roles", "Name"], &users.iter().map(row).collect::<Vec<_>>());
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, user) in lines.zip(users) {
        text.push_str(&format!("{line}\n"));
        if let Some(person) = &user.fhir_user {
            text.push_str(&terminal::wrapped(&format!("is {person}"), DETAIL_INDENT));
        }
        if !user.patients.is_empty() {
            text.push_str(&terminal::wrapped(&format!("acts for {}", user.patients.join(" ")), DETAIL_INDENT));
        }
    }
    text
}
