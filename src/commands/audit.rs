//! `portcullis audit verify`: reads the ledger's files, beside a running server too, and says what they prove.

use std::path::{Path, PathBuf};

use portcullis_audit::{Head, Proved, Report, VerifyError};
use portcullis_backends::sqlite::AuditIndex;
use serde::Serialize;

use super::place::configuration;
use crate::args::{AuditVerify, Target};
use crate::failure::{Exit, Failure, Outcome, causes};
use crate::terminal::{self, counted, grouped};

const INCIDENT: &str = "Keep the files as they are, compare them with a backup, and treat this as an incident.";

#[derive(Serialize)]
struct Answer<'a> {
    proved: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    being_written_bytes: Option<u64>,
    /// The head that was noted beside the ledger, which the ledger reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    reaches_noted_head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// Runs the command.
pub fn verify(arguments: &AuditVerify) -> Outcome {
    let expect = arguments.expect.as_deref().map(str::parse::<Head>).transpose();
    let expect = expect.map_err(|error| {
        Failure::usage(format!("--expect: {error}")).advise("Give the head as an earlier `portcullis audit verify` printed it.")
    })?;
    let directory = match (&arguments.target.config, &arguments.target.data_dir) {
        (Some(path), _) => configuration(path)?.data_dir,
        (None, directory) => directory.clone().unwrap_or_default(),
    };
    // Read before the ledger, which may grow meanwhile.
    let seen = AuditIndex::seen(&directory.join("audit-index.db")).map(|seen| seen.head);
    let ledger = ledger_of(&directory, seen)?;
    match portcullis_audit::verify(&ledger, expect, seen) {
        Ok(report) if arguments.json => terminal::print_json(&answer(&report, seen)),
        Ok(report) => terminal::print(&text(&ledger, (&report, seen), &again(&arguments.target, &directory))),
        Err(error) => fail(&error, arguments.json),
    }
}

/// The command that checks the same ledger again, but for the head.
fn again(target: &Target, directory: &Path) -> String {
    let (option, path) = match &target.config {
        Some(path) => ("--config", path.as_path()),
        None => ("--data-dir", directory),
    };
    format!("portcullis audit verify {option} {} --expect", quoted(path))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+,:@%".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn ledger_of(directory: &Path, seen: Option<Head>) -> Outcome<PathBuf> {
    let ledger = directory.join("ledger");
    if ledger.is_dir() {
        return Ok(ledger);
    }
    if let Some(seen) = seen.filter(|seen| *seen != Head::EMPTY) {
        let missing = format!("The audit ledger {} is gone: it held {} records", ledger.display(), seen.records);
        return Err(Failure::new(Exit::Integrity, missing).advise(INCIDENT));
    }
    Err(Failure::usage(format!("{} holds no audit ledger", directory.display()))
        .advise("Name the data directory of a server that has been started at least once."))
}

fn fail(error: &VerifyError, json: bool) -> Outcome {
    let problem = causes(error);
    if json {
        let nothing = Answer {
            proved: "nothing",
            head: None,
            records: None,
            segments: None,
            bytes: None,
            first: None,
            last: None,
            being_written_bytes: None,
            reaches_noted_head: None,
            problem: Some(&problem),
        };
        terminal::print_json(&nothing)?;
    }
    match error {
        VerifyError::Read(_) => Err(Failure::failed(problem)),
        VerifyError::Damaged { .. } | VerifyError::Cut { .. } | VerifyError::Rewritten { .. } => {
            Err(Failure::new(Exit::Integrity, format!("The audit ledger is not what was written: {problem}")).advise(INCIDENT))
        }
    }
}

fn answer(report: &Report, seen: Option<Head>) -> Answer<'static> {
    Answer {
        proved: match report.proved {
            Proved::SelfConsistent => "self-consistent",
            Proved::NothingBeforeExpectedChanged(_) => "nothing-before-expected-changed",
        },
        head: Some(report.head.to_string()),
        records: Some(report.head.records),
        segments: Some(report.segments),
        bytes: Some(report.bytes),
        first: report.first.map(terminal::time),
        last: report.last.map(terminal::time),
        being_written_bytes: report.torn.as_ref().map(|torn| torn.bytes),
        reaches_noted_head: seen.map(|head| head.to_string()),
        problem: None,
    }
}

fn text(ledger: &Path, (report, seen): (&Report, Option<Head>), again: &str) -> String {
    let mut lines = vec![
        format!("Ledger   {}", ledger.display()),
        format!(
            "Records  {} in {}, {} bytes",
            grouped(report.head.records),
            counted(report.segments, "segment", "segments"),
            grouped(report.bytes)
        ),
    ];
    if let (Some(first), Some(last)) = (report.first, report.last) {
        lines.push(format!("From     {}", terminal::time(first)));
        lines.push(format!("To       {}", terminal::time(last)));
    }
    lines.push(format!("Head     {}", report.head));
    if let Some(torn) = &report.torn {
        lines.push(format!(
            "Tail     {} at {} belong to a record that is being written, or never was acknowledged",
            counted(torn.bytes, "byte", "bytes"),
            torn.at
        ));
    }
    lines.push(String::new());
    match report.proved {
        Proved::SelfConsistent => {
            lines.extend([
                "Proved: the files agree with themselves. Nothing was changed, cut out or".to_owned(),
                "put in before the last record without computing everything after it anew.".to_owned(),
            ]);
            lines.push(match seen {
                Some(seen) => format!(
                    "They reach the {} that this server last noted in audit-index.db.",
                    counted(seen.records, "record", "records")
                ),
                None => "No note in audit-index.db says how far they must reach.".to_owned(),
            });
            lines.extend([
                "Not proved: that nothing is missing at the end, against somebody who can write".to_owned(),
                "to this directory. For that, give a head that was kept elsewhere.".to_owned(),
            ]);
        }
        Proved::NothingBeforeExpectedChanged(expected) => lines.extend([
            format!(
                "Proved: the first {} are those that the expected head stands",
                counted(expected.records, "record", "records")
            ),
            "for. Nobody has changed, cut or rewritten any of them since it was printed,".to_owned(),
            "and the files after it agree with themselves.".to_owned(),
        ]),
    }
    lines.extend([
        String::new(),
        "Keep the head in another place. With it the next check proves more:".to_owned(),
        format!("  {again} {}", report.head),
    ]);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_is_shown_can_be_pasted() {
        assert_eq!(quoted(Path::new("./portcullis-data")), "./portcullis-data");
        assert_eq!(quoted(Path::new("my data/it's")), r"'my data/it'\''s'");
        let target = Target { config: None, data_dir: Some("data".into()) };
        assert_eq!(again(&target, Path::new("data")), "portcullis audit verify --data-dir data --expect");
    }
}
