//! `portcullis users link`, `unlink` and `represent`: who a user is elsewhere, and for whom a user acts.

use portcullis_fhir::instant;
use portcullis_server::admin::people::{UserLink, UserRepresents};
use portcullis_server::admin::protocol::{Request, Response};

use super::channel::unexpected;
use super::clients::ask;
use crate::args::{Target, UsersLink, UsersRepresent};
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

/// `users link`
pub fn link(arguments: UsersLink) -> Outcome {
    let said = format!("Linked: {} signs in at {} from now on.", arguments.username, arguments.issuer);
    let (target, link) = parts(arguments);
    done(&target, "users link", Request::LinkUser(link), &said)
}

/// `users unlink`
pub fn unlink(arguments: UsersLink) -> Outcome {
    let said = format!("Separated: {} does not sign in at {} with this account any more.", arguments.username, arguments.issuer);
    let (target, link) = parts(arguments);
    done(&target, "users unlink", Request::UnlinkUser(link), &said)
}

fn parts(arguments: UsersLink) -> (Target, UserLink) {
    let UsersLink { username, issuer, subject, target } = arguments;
    (target, UserLink { username, issuer, subject })
}

/// `users represent`
pub fn represent(arguments: UsersRepresent) -> Outcome {
    let from = arguments.from.as_deref().map(|text| day("--from", text)).transpose()?;
    // The last day counts whole.
    let until = arguments.until.as_deref().map(|text| day("--until", text)).transpose()?.map(|day| day.saturating_add(DAY));
    let said = if arguments.end {
        format!("{} does not act for Patient/{} any more, from the next request on.", arguments.username, arguments.patient)
    } else {
        format!("{} acts for Patient/{}, from the next request on.", arguments.username, arguments.patient)
    };
    let asked = UserRepresents {
        username: arguments.username,
        patient: arguments.patient,
        from,
        until,
        read_only: arguments.read_only,
        excluded: arguments.exclude,
        end: arguments.end,
    };
    done(&arguments.target, "users represent", Request::Represent(asked), &said)
}

/// The beginning of a day, UTC, in seconds since the epoch.
fn day(option: &str, text: &str) -> Outcome<i64> {
    let range = instant::range(text).filter(|_| instant::is_date(text) && text.len() == "2026-01-31".len());
    match range {
        Some(range) => Ok(range.low.div_euclid(1000)),
        None => Err(Failure::usage(format!("{option}: '{text}' is no day")).advise("Write it as 2026-01-31.")),
    }
}

fn done(target: &Target, command: &str, request: Request, said: &str) -> Outcome {
    match ask(target, command, request)? {
        Response::Done => terminal::print_line(said),
        _ => Err(unexpected()),
    }
}
