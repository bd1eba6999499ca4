//! `cargo xtask bench`: how far the product is from what is physically possible, as ratios against anchors that run beside it.
//!
//! C is CPU microseconds per operation of the whole process group, user and system: it holds when the machine is busy. Servers are pinned to one core and
//! what loads them to the other; rounds interleave, and each number is the median of its rounds with the spread beside it. `docs/benchmarks.md` says
//! what each id means and what was measured. Everything stays on loopback, and in `bench` in the target directory.

mod consents;
mod cost_of_security;
mod load_generator;
mod login;
mod nginx;
mod person;
mod process;
mod report;
mod serving;
mod statistics;
mod storage;
mod token_endpoint;
mod workshop;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use self::process::load_average;
use self::report::Report;
use self::workshop::Workshop;
use crate::{packages, run};

/// What can be asked for.
const IDS: &[&str] = &["G2", "G2b", "G3", "G3b", "G5", "G6", "G7", "G7b", "G8", "G9", "G10", "LOGIN", "COST"];
/// Rounds where nothing else is said.
const ROUNDS: usize = 5;
/// Programs that drive or anchor a run, and their Debian packages.
const NEEDED: &[(&str, &str)] =
    &[("/usr/bin/wrk", "wrk"), ("/usr/sbin/nginx", "nginx"), ("/usr/bin/curl", "curl"), ("/usr/bin/taskset", "util-linux")];

/// Which numbers are wanted.
#[derive(Debug)]
pub struct Wanted(Vec<String>);

impl Wanted {
    /// Whether any of these is.
    pub fn any(&self, ids: &[&str]) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| ids.contains(&wanted.as_str()))
    }
}

struct Options {
    rounds: usize,
    wanted: Wanted,
    json: Option<PathBuf>,
}

/// Measures, prints the table, and fails where a floor is missed or a part could not be measured; the others are measured and told all the same.
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    ensure!(
        std::thread::available_parallelism()?.get() >= 2,
        "the benchmark needs two cores: one for servers, one for their load"
    );
    packages::require(NEEDED, "the benchmark needs")?;
    let mut report = Report::default();
    let workshop = Workshop::open(options.rounds)?;
    let started = Instant::now();
    machine(&mut report, options.rounds);
    let mut failed = Vec::new();
    let mut part = |wanted: bool, measured: &mut dyn FnMut() -> Result<()>| {
        if wanted && let Err(error) = measured() {
            eprintln!("    not measured: {error:#}");
            failed.push(format!("{error:#}"));
        }
    };
    let (wanted, rounds) = (&options.wanted, options.rounds);
    part(true, &mut || storage::measure(&workshop, wanted, rounds, &mut report));
    part(wanted.any(&["G2b", "G5", "G6", "G8", "G10"]), &mut || serving::measure(&workshop, wanted, rounds, &mut report));
    part(wanted.any(&["G3", "G3b"]), &mut || token_endpoint::measure(&workshop, wanted, rounds, &mut report));
    part(wanted.any(&["LOGIN"]), &mut || login::measure(&workshop, rounds, &mut report));
    part(wanted.any(&["G9"]), &mut || consents::measure(&workshop, rounds, &mut report));
    part(wanted.any(&["COST"]), &mut || cost_of_security::measure(&workshop, rounds, &mut report));
    report.note("load average at the end", load_average());
    report.note("seconds, without builds and data", format!("{:.0}", started.elapsed().as_secs_f64()));
    std::fs::remove_dir_all(&workshop.folder)?;
    eprintln!("\n{}", report.table());
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let missed = report.missed();
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    ensure!(missed.is_empty(), "floors missed: {}", missed.join(", "));
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { rounds: ROUNDS, wanted: Wanted(Vec::new()), json: None };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().with_context(|| format!("{name} needs a value"))?;
        match *name {
            "--rounds" => options.rounds = value.parse().context("--rounds needs a number")?,
            "--only" => options.wanted = Wanted(value.split(',').map(str::to_owned).collect()),
            "--json" => options.json = Some(PathBuf::from(value)),
            other => bail!("unknown option {other}; there are --rounds N, --only G5,G6 and --json FILE"),
        }
    }
    ensure!((1..=20).contains(&options.rounds), "--rounds is 1 to 20");
    let unknown = options.wanted.0.iter().find(|id| !IDS.contains(&id.as_str()));
    ensure!(unknown.is_none(), "{} is not measured here; {} are", unknown.map_or("", String::as_str), IDS.join(", "));
    Ok(options)
}

fn machine(report: &mut Report, rounds: usize) {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ':', ' ']).to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let commit = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(run::root()).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    report.note("machine", format!("{cores} cores, {model}, Linux {}", kernel.trim()));
    report.note("commit", commit);
    report.note("rounds", rounds.to_string());
    report.note("load average at the start", load_average());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_before_anything_is_built() {
        let options = parse(&["--only", "G5,G7b", "--rounds", "7", "--json", "x"]).unwrap();
        assert_eq!(options.rounds, 7);
        assert!(options.wanted.any(&["G7b"]) && !options.wanted.any(&["G7", "G6"]));
        assert!(parse(&[]).unwrap().wanted.any(&["G6"]));
        for wrong in [&["--only", "G99"][..], &["--rounds", "0"], &["--rounds"], &["--fast", "1"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
