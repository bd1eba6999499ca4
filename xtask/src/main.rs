//! Chores of the repository: `cargo xtask test` is what CI runs.

mod bench;
mod coverage;
mod dependencies;
mod mutants;
mod packages;
mod run;
mod screenshots;
mod test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  test           everything that CI runs: packages, format, lints, dependencies, docs, tests, coverage; --long: with 10^5 non-interference cases
  mutants        rules of the access control switched off in turn: which the tests of non-interference catch; writes specs/mutants.md: [--only NAME,...] [--cases N]
  bench          ratios of speed and memory against anchors beside: [--rounds N] [--only G5,G6,...] [--json FILE]
  coverage       write specs/coverage.md and specs/uncovered.txt from the verifies! marks
  screenshots    take the pictures of docs/screenshots anew
  dependencies   check licences, banned crates and known advisories against Cargo.lock";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => test::run(test::Extent::Usual),
        ["test", "--long"] => test::run(test::Extent::Long),
        ["mutants", options @ ..] => mutants::run(options),
        ["bench", options @ ..] => bench::run(options),
        ["coverage"] => coverage::write(),
        ["screenshots"] => screenshots::run(),
        ["dependencies"] => dependencies::check(),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
