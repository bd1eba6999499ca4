//! `cargo xtask mutants`: the tests of non-interference against builds in which rules of the access control are switched off, one after the other (ADR 0023).
//!
//! One build has all switches (`--cfg portcullis_mutant`, in a target directory of its own); which rule is off, the environment says. A mutant is caught where a
//! test fails, and has survived where all pass. What comes of it is written to `specs/mutants.md`, which is checked in.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::run::root;
use crate::test::Scratch;

/// The switches, and the file of what came of them.
const LIST: &str = "crates/mutants/mutants.txt";
const REPORT: &str = "specs/mutants.md";
/// The tests in the order in which they are tried: the next only where those before have not failed.
const STAGES: [&[&str]; 5] = [
    &["non_interference::regressions"],
    &["non_interference::an_answer_tells_nothing_but_what_the_asking_person_may_see"],
    &["non_interference::worlds"],
    &["non_interference::over_http", "non_interference::two_servers"],
    // What is said of a whole Bundle, and what is no record of FHIR's.
    &["app_state::", "labels::a_bundle_has_the_highest"],
];
/// Questions of each property to each mutant, where nothing else is asked for.
const CASES: &str = "2000";
/// Every run asks the same.
const SEED: &str = "20201121";
/// The longest time of one stage: an hour, since other things may run beside it.
const LIMIT: Duration = Duration::from_secs(3_600);
/// What release says where it refuses what a statement has found.
const REFUSED: [&str; 2] = ["NotCovered", "which the permit does not cover"];

/// What came of one run.
struct Outcome {
    mutant: String,
    what: String,
    /// The first test that failed; `None`: all have passed.
    caught_by: Option<String>,
    /// Whether release refused what the statement had found, and nothing got out.
    refused: bool,
}

/// Runs it. Options: `--only NAME,...` (then nothing is written), `--cases N`.
pub fn run(options: &[&str]) -> Result<()> {
    let (mut only, mut cases): (Option<Vec<&str>>, &str) = (None, CASES);
    for pair in options.chunks(2) {
        match pair {
            ["--only", names] => only = Some(names.split(',').collect()),
            ["--cases", number] => cases = number,
            _ => bail!("mutants takes --only NAME,... and --cases N"),
        }
    }
    let started = Instant::now();
    let list = fs::read_to_string(root().join(LIST)).context(LIST)?;
    let mutants = mutants(&list)?;
    let program = build()?;
    let scratch = Scratch::in_memory();
    let folder = scratch.as_ref().map_or_else(std::env::temp_dir, |scratch| scratch.folder().to_owned());
    let sound = try_one(&program, &folder, ("", "nothing"), cases)?;
    ensure!(sound.caught_by.is_none(), "without a mutant {} fails", sound.caught_by.unwrap_or_default());
    let wanted = |mutant: &str| only.as_ref().is_none_or(|only| only.contains(&mutant));
    let waiting: VecDeque<(String, String)> = mutants.into_iter().filter(|(mutant, _)| wanted(mutant)).collect();
    let order: Vec<String> = waiting.iter().map(|(mutant, _)| mutant.clone()).collect();
    let mut outcomes = side_by_side(&program, &folder, waiting, cases)?;
    outcomes.sort_by_key(|outcome| order.iter().position(|mutant| *mutant == outcome.mutant));
    let caught = outcomes.iter().filter(|outcome| outcome.caught_by.is_some()).count();
    eprintln!("==> {caught} of {} mutants caught in {:.0} s", outcomes.len(), started.elapsed().as_secs_f64());
    if only.is_none() {
        fs::write(root().join(REPORT), report(&outcomes, cases)?)?;
    }
    Ok(())
}

/// The runs that the list asks for, with what is off.
fn mutants(list: &str) -> Result<Vec<(String, String)>> {
    let mut mutants = Vec::new();
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let (name, how) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let what = words.collect::<Vec<_>>().join(" ");
        match how {
            "-" => {}
            "alone" => mutants.push((name.to_owned(), what)),
            "both" => {
                mutants.push((name.to_owned(), what.clone()));
                mutants.push((format!("{name}+release"), format!("{what}; nor does release")));
            }
            _ => bail!("{LIST}: {line}"),
        }
    }
    Ok(mutants)
}

/// The program with all switches in it.
fn build() -> Result<PathBuf> {
    eprintln!("==> building the tests with --cfg portcullis_mutant");
    let arguments = ["test", "--package", "portcullis", "--test", "it", "--no-run", "--locked", "--message-format", "json"];
    let output = Command::new("cargo")
        .args(arguments)
        .args(["--target-dir", "target/mutants"])
        .env("RUSTFLAGS", "--cfg portcullis_mutant")
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "the build failed");
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_tests = messages.filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some("it"));
    let program = of_tests.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from)).next_back();
    program.context("cargo names no program of tests")
}

/// Tries all of them, as many at a time as there are processors.
fn side_by_side(program: &Path, folder: &Path, waiting: VecDeque<(String, String)>, cases: &str) -> Result<Vec<Outcome>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(waiting.len());
    let (waiting, outcomes) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let work = |number: usize| -> Result<()> {
        let folder = folder.join(format!("of-{number}"));
        fs::create_dir_all(&folder)?;
        while let Some((mutant, what)) = next() {
            let began = Instant::now();
            let outcome = try_one(program, &folder, (&mutant, &what), cases)?;
            let told = outcome.caught_by.as_deref().unwrap_or("SURVIVED");
            let refused = if outcome.refused { ", refused by release" } else { "" };
            eprintln!("    {mutant}: {told}{refused} ({:.0} s)", began.elapsed().as_secs_f64());
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push(outcome);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..workers).map(|number| scope.spawn(move || work(number))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker has crashed")))
    })?;
    outcomes.into_inner().map_err(|_| anyhow!("a worker has crashed"))
}

fn try_one(program: &Path, folder: &Path, (mutant, what): (&str, &str), cases: &str) -> Result<Outcome> {
    let mut outcome = Outcome { mutant: mutant.to_owned(), what: what.to_owned(), caught_by: None, refused: false };
    for stage in STAGES {
        let output = folder.join("output");
        let file = fs::File::create(&output)?;
        let mut child = Command::new(program)
            .args(stage)
            .envs([("PORTCULLIS_MUTANT", mutant), ("PORTCULLIS_CASES", cases)])
            .envs([("PROPTEST_RNG_SEED", SEED), ("PROPTEST_MAX_SHRINK_ITERS", "0")])
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()?;
        let began = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if began.elapsed() > LIMIT => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        let said = String::from_utf8_lossy(&fs::read(&output)?).into_owned();
        if status.is_some_and(|status| status.success()) {
            continue;
        }
        let failed = said.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        outcome.caught_by = Some(failed.unwrap_or(if status.is_none() { "the limit of time" } else { "a crash" }).to_owned());
        outcome.refused = REFUSED.iter().any(|words| said.contains(words));
        break;
    }
    Ok(outcome)
}

fn report(outcomes: &[Outcome], cases: &str) -> Result<String> {
    let caught = outcomes.iter().filter(|outcome| outcome.caught_by.is_some()).count();
    let mut text = format!(
        "# Mutants\n\nGenerated by `cargo xtask mutants` (ADR 0023): rules of the access control, each switched off in a build that is made for this, and the first test of \
         non-interference that failed, with {cases} questions per property. \"Refused\": release would not let out what the statement had found, and the answer was an \
         internal error.\n\n**{caught} of {} caught.**\n\n| mutant | what is off | caught by |\n|---|---|---|\n",
        outcomes.len()
    );
    for Outcome { mutant, what, caught_by, refused } in outcomes {
        let test = caught_by.as_deref().map(|test| test.trim_start_matches("non_interference::").to_owned());
        let caught = match test {
            None => "**survived**".to_owned(),
            Some(test) if *refused => format!("{test} (refused)"),
            Some(test) => test,
        };
        writeln!(text, "| {mutant} | {what} | {caught} |")?;
    }
    Ok(text)
}
