//! Logs: lines on standard error, without data about patients.
//!
//! `PORTCULLIS_LOG` chooses what is logged (`info`, `portcullis_server=debug`, ...), `PORTCULLIS_LOG_FORMAT=json` writes one JSON object per line.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::args::Command;

/// Starts logging. A server tells what it does; a command only what goes wrong.
pub fn start(command: &Command) {
    let default = if matches!(command, Command::Serve(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let json = std::env::var("PORTCULLIS_LOG_FORMAT").is_ok_and(|format| format == "json");
    // Only a second start in one process could fail, and there is none.
    let _ = if json {
        builder.json().try_init().map_err(|_| ())
    } else {
        builder.with_target(false).compact().try_init().map_err(|_| ())
    };
}
