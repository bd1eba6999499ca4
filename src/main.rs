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

use clap::FromArgMatches;

use crate::args::{Approvals, Arguments, Audit, BreakGlass, Clients, Command, Config, Consents, Keys, Policy, Users};
use crate::failure::Outcome;

/// Gives freed memory back to the system soon (its second version, without huge pages), so that a server that rests after a load is small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut command = args::command();
    let typed = Arguments::from_arg_matches(&command.get_matches_mut());
    let arguments = typed.unwrap_or_else(|error| error.format(&mut command).exit());
    if portcullis_mutants::COMPILED_IN {
        terminal::say_wrapped(
            "portcullis: this program was built to be broken (--cfg portcullis_mutant), for tests alone: it runs nothing.",
        );
        return ExitCode::FAILURE;
    }
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
        Command::Relabel(relabel) => commands::relabel::run(&relabel),
        Command::Generate(generate) => commands::generate::run(&generate),
        Command::Audit { command: Audit::Verify(verify) } => commands::audit::verify(&verify),
        Command::Audit { command: Audit::Review(review) } => commands::audit_review::review(&review),
        Command::Clients { command: Clients::Add(add) } => commands::clients::add(*add),
        Command::Clients { command: Clients::List(listing) } => commands::clients::list(&listing),
        Command::Clients { command: Clients::Show(show) } => commands::clients::show(&show),
        Command::Clients { command: Clients::Update(update) } => commands::clients::update(*update),
        Command::Clients { command: Clients::Token { command } } => commands::clients::token(command),
        Command::Clients { command: Clients::Remove(remove) } => commands::clients::remove(&remove),
        Command::Users { command: Users::Add(add) } => commands::users::add(add),
        Command::Users { command: Users::Link(link) } => commands::people::link(link),
        Command::Users { command: Users::Unlink(link) } => commands::people::unlink(link),
        Command::Users { command: Users::Represent(represent) } => commands::people::represent(represent),
        Command::Users { command: Users::Entitle(right) } => commands::safeguards::entitle(right),
        Command::Users { command: Users::Unentitle(right) } => commands::safeguards::unentitle(right),
        Command::Users { command: Users::Rights(listing) } => commands::safeguards::rights(&listing),
        Command::Approvals { command: Approvals::List(listing) } => commands::safeguards::changes(&listing),
        Command::Approvals { command: Approvals::Approve(approve) } => commands::safeguards::approve(approve),
        Command::Approvals { command: Approvals::Refuse(one) } => commands::safeguards::refuse(one),
        Command::Consents { command: Consents::List(list) } => commands::consents::list(&list),
        Command::Consents { command: Consents::Show(show) } => commands::consents::show(&show),
        Command::Consents { command: Consents::Verify(verify) } => commands::consents::verify(verify),
        Command::BreakGlass { command: BreakGlass::List(listing) } => commands::safeguards::glass(&listing),
        Command::BreakGlass { command: BreakGlass::End(one) } => commands::safeguards::end_glass(one),
        Command::Users { command: Users::List(listing) } => commands::users::list(&listing),
        Command::Users { command: Users::Email(email) } => commands::mail::email(email),
        Command::Users { command: Users::Mail(listing) } => commands::mail::status(&listing),
        Command::Users { command: Users::Show(one) } => commands::accounts::show(one),
        Command::Users { command: Users::Invite(invite) } => commands::accounts::invite(invite),
        Command::Users { command: Users::Reset(reset) } => commands::accounts::reset(reset),
        Command::Users { command: Users::Lock(one) } => commands::accounts::lock(one),
        Command::Users { command: Users::Unlock(one) } => commands::accounts::unlock(one),
        Command::Users { command: Users::Confirm(one) } => commands::accounts::confirm(one),
        Command::Keys { command: Keys::List(listing) } => commands::keys::list(&listing),
        Command::Keys { command: Keys::Rotate(rotate) } => commands::keys::rotate(&rotate),
        Command::Policy { command: Policy::Propose(propose) } => commands::policy::propose(propose),
        Command::Policy { command: Policy::Show(show) } => commands::policy::show(&show),
        Command::Policy { command: Policy::Test(test) } => commands::policy::test(&test),
        Command::Policy { command: Policy::Explain(explain) } => commands::policy::explain(*explain),
        Command::Config { command: Config::Check { file } } => commands::config::check(&file),
    }
}
