//! `policy ...`

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::Target;

/// `policy ...`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Say in plain words what rules mean
    #[command(after_help = "\
Examples:
  portcullis policy show --config portcullis.toml
  portcullis policy show --rules rules.toml")]
    Show(PolicyShow),
    /// Propose rules that let more be seen than those in force; a second person agrees to them
    #[command(after_help = "\
Example:
  portcullis policy propose --config portcullis.toml

What is agreed to is exactly this file in the place of exactly those rules that
are in force. After that: systemctl reload portcullis. Rules that let nobody
see more need nobody else.")]
    Propose(PolicyPropose),
    /// Test rules by a table of requests, without a server and without data
    #[command(after_help = "\
Examples:
  portcullis policy test rules-test.toml
  portcullis policy test rules-test.toml --rules next/rules.toml

The exit code is 0 where every test is as expected, else 1. How tests are
written: docs/policy.md.")]
    Test(PolicyTest),
    /// Explain why somebody could or could not see a record
    #[command(after_help = "\
Examples:
  portcullis policy explain --user ana --client demo-app \\
    --scopes 'patient/*.rs' --patient pat-0001 \\
    read Observation/17 --config FILE
  portcullis policy explain --client nightly --scopes 'system/*.rs' \\
    search Condition --at 2026-11-23T03:00:00Z --config FILE

Every explanation is recorded, with who asked for it.")]
    Explain(Box<PolicyExplain>),
}

/// `policy show`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["config", "rules"])))]
pub struct PolicyShow {
    /// The rules of the server that this configuration file describes
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A file of rules
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `policy propose`
#[derive(Debug, Args)]
pub struct PolicyPropose {
    /// The configuration file that names the rules
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `policy test`
#[derive(Debug, Args)]
pub struct PolicyTest {
    /// The tests
    pub file: PathBuf,
    /// Other rules than those that the file names
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `policy explain`
#[derive(Debug, Args)]
pub struct PolicyExplain {
    /// read, search, create, update or delete
    #[arg(value_name = "INTERACTION", value_parser = ["read", "search", "create", "update", "delete"])]
    pub interaction: String,
    /// The record, such as Observation/17; a type alone where it is about no record
    #[arg(value_name = "TYPE/ID")]
    pub record: String,
    /// The name to sign in with; absent where the client acts for itself
    #[arg(long, value_name = "USERNAME")]
    pub user: Option<String>,
    /// The client
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// The scopes of the token
    #[arg(long, value_name = "SCOPES")]
    pub scopes: String,
    /// The patient in context
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// The purpose of use that the request states
    #[arg(long, value_name = "CODE")]
    pub purpose: Option<String>,
    /// The address from which it comes
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// When, as 2026-11-23T10:00:00Z; now where absent
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// In few words, for the patient: English, or Spanish with --plain=es
    #[arg(long, value_name = "LANGUAGE", value_parser = ["en", "es"], num_args = 0..=1, require_equals = true, default_missing_value = "en")]
    pub plain: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "plain")]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}
