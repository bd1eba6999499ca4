//! `portcullis users email|mail`: where letters go, and how they are doing.

use portcullis_server::admin::protocol::{Request, Response};
use portcullis_server::admin::{Contact, MailStatus, UserRequest};

use super::accounts;
use super::channel::unexpected;
use super::clients::ask;
use crate::args::{Listing, UsersEmail};
use crate::failure::Outcome;
use crate::terminal::{self, print_json};

/// `users email`
pub fn email(arguments: UsersEmail) -> Outcome {
    let UsersEmail { username, address, language, remove: _, target, json } = arguments;
    let contact = Contact { email: address, language, print_link: false };
    let request = UserRequest::Email { username, contact };
    let Response::User(details) = ask(&target, "users email", Request::User(request))? else { return Err(unexpected()) };
    if json { print_json(&details) } else { terminal::print(&accounts::described(&details)) }
}

/// `users mail`
pub fn status(listing: &Listing) -> Outcome {
    let Response::Mail(status) = ask(&listing.target, "users mail", Request::User(UserRequest::Mail))? else {
        return Err(unexpected());
    };
    if listing.json { print_json(&status) } else { terminal::print(&described(&status)) }
}

fn described(status: &MailStatus) -> String {
    let mut lines = vec![
        ("Mail server", if status.configured { "configured" } else { "none: links are printed" }.to_owned()),
        ("Waiting", status.waiting.to_string()),
    ];
    if let Some(at) = status.oldest_at {
        lines.push(("Oldest", terminal::minute(at)));
    }
    lines.push(("Not sent", format!("{} within the last week", status.given_up)));
    lines.into_iter().map(|(name, value)| format!("{name:<15} {value}\n")).collect()
}
