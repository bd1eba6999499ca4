//! The binary `portcullis`: reads the command line and hands each command to its module.

mod application;
mod args;
mod commands;
mod config;
mod demo;
mod failure;
mod logging;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Audit, Clients, Command, Config, Users};
use crate::failure::Outcome;

/// Gives freed memory back to the system soon (its second version, without huge pages), so that a server that rests after a load is small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(&arguments.command);
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::say_wrapped(&format!("portcullis: {failure}"));
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Serve(serve) => commands::serve::run(&serve),
        Command::Load(load) => commands::load::run(&load),
        Command::Generate(generate) => commands::generate::run(&generate),
        Command::Audit { command: Audit::Verify(verify) } => commands::audit::verify(&verify),
        Command::Clients { command: Clients::Add(add) } => commands::clients::add(add),
        Command::Clients { command: Clients::List(listing) } => commands::clients::list(&listing),
        Command::Clients { command: Clients::Remove(remove) } => commands::clients::remove(&remove),
        Command::Users { command: Users::Add(add) } => commands::users::add(add),
        Command::Users { command: Users::List(listing) } => commands::users::list(&listing),
        Command::Config { command: Config::Check { file } } => commands::config::check(&file),
    }
}
