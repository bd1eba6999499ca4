//! `portcullis generate`: synthetic patients as NDJSON on standard output.

use std::io::{self, BufWriter, IsTerminal, Write};

use portcullis_generator::{Date, Options, generate};
use portcullis_store::{Clock, SystemClock};

use crate::args;
use crate::failure::{Failure, Outcome};
use crate::terminal::{self, Progress};

/// What is written at once.
const BUFFER: usize = 256 * 1024;

/// Runs the command.
pub fn run(arguments: &args::Generate) -> Outcome {
    let as_of = match &arguments.as_of {
        Some(text) => {
            text.parse().map_err(|_| Failure::usage(format!("'{text}' is not a date")).advise("Write it as 2026-01-31."))?
        }
        None => today()?,
    };
    let options = Options { patients: arguments.patients, seed: arguments.seed, as_of };
    // A bar in the middle of what is written would help nobody.
    let progress =
        if io::stdout().is_terminal() { Progress::hidden() } else { Progress::things(Some(u64::from(arguments.patients))) };
    progress.message("patients".to_owned());
    let outcome = write(&options, &progress);
    progress.clear();
    terminal::written(outcome).map(|_| ())
}

fn write(options: &Options, progress: &Progress) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let mut patients = 0;
    for resource in generate(options) {
        output.write_all(resource.json.as_bytes())?;
        output.write_all(b"\n")?;
        if resource.resource_type == "Patient" {
            patients += 1;
            progress.set(patients);
        }
    }
    output.flush()
}

/// The day, UTC.
pub fn today() -> Outcome<Date> {
    let now = terminal::time(SystemClock.now_milliseconds());
    let day = now.split('T').next().unwrap_or_default();
    day.parse().map_err(|_| Failure::failed("The system's clock gives no usable date"))
}
