//! The command line, as typed. Nothing here opens a file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod clients;
mod consents;
mod policy;
mod presentation;
mod safeguards;
mod users;

pub use clients::{ClientMembers, Clients, ClientsAdd, ClientsOne, ClientsShow, ClientsToken, ClientsUpdate};
pub use consents::{Consents, ConsentsList, ConsentsShow, ConsentsVerify};
pub use policy::{Policy, PolicyExplain, PolicyPropose, PolicyShow, PolicyTest};
pub use presentation::command;
pub use safeguards::{Approvals, ApprovalsApprove, BreakGlass, SafeguardOne, UsersRight};
pub use users::{UsersEmail, UsersInvite, UsersOne, UsersReset};

/// Exchange FHIR R4 data, and prove that it was done safely.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    max_term_width = 80,
    after_help = "\
Examples:
  portcullis demo                            try it: no set-up, loopback only
  portcullis serve --config portcullis.toml  run it
  portcullis load export/ --data-dir DIR     import Bundles and NDJSON
  portcullis audit verify --data-dir DIR     check the audit ledger

Exit codes: 0 done, 1 failed, 2 usage, 3 integrity violation, 4 locked."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a complete server with synthetic data on this machine
    #[command(after_help = "\
Examples:
  portcullis demo
  portcullis demo --patients 500 --port 9443 --data-dir /tmp/demo")]
    Demo(Demo),
    /// Run the server that a configuration file describes
    #[command(after_help = "\
Example:
  portcullis serve --config /etc/portcullis/portcullis.toml")]
    Serve(Serve),
    /// Import Bundles and NDJSON, plain or gzip
    #[command(override_usage = "\
portcullis load [OPTIONS] --config <FILE> <FILE|DIR|->...
       portcullis load [OPTIONS] --data-dir <DIR> <FILE|DIR|->...")]
    #[command(after_help = "\
Examples:
  portcullis load export/ --data-dir portcullis-data
  portcullis load patients.ndjson.gz --config portcullis.toml
  portcullis generate | portcullis load - --data-dir portcullis-data

A Bundle of type transaction is stored whole or not at all; of all else each
resource stands alone. An interrupted load goes on where it stopped, with the
same command. What is stored already with the same content stays as it is.")]
    Load(Load),
    /// Give stored records the security labels that the rules say
    #[command(after_help = "\
Examples:
  portcullis relabel --dry-run --config portcullis.toml
  portcullis relabel --config portcullis.toml

The rules are those of [labels] when the server started, or of the file where none
runs. A start under other rules does it by itself; this does it again, for records
that were stored before what they refer to. An interrupted run goes on.")]
    Relabel(Relabel),
    /// Write synthetic patients as NDJSON
    #[command(after_help = "\
Example:
  portcullis generate --patients 1000 --seed 7 > patients.ndjson")]
    Generate(Generate),
    /// Work with the audit ledger
    #[command(after_help = "\
Example:
  portcullis audit verify --data-dir portcullis-data")]
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: Audit,
    },
    /// Add, list, show, update and remove OAuth clients
    #[command(after_help = "\
Examples:
  portcullis clients list --data-dir portcullis-data
  portcullis clients add --help")]
    Clients {
        /// What to do.
        #[command(subcommand)]
        command: Clients,
    },
    /// Add, invite, list, reset, lock and link the people who sign in
    #[command(after_help = "\
Examples:
  portcullis users list --data-dir portcullis-data
  portcullis users invite --help
  portcullis users add --help")]
    Users {
        /// What to do.
        #[command(subcommand)]
        command: Users,
    },
    /// List, approve and refuse changes that take two people
    #[command(after_help = "\
Examples:
  portcullis approvals list --config portcullis.toml
  portcullis approvals approve 4f1c... --config portcullis.toml

Whoever proposed a change cannot approve it. Here that is the account of the
operating system; security officers sign in and use the page /security.")]
    Approvals {
        /// What to do.
        #[command(subcommand)]
        command: Approvals,
    },
    /// List, show and confirm patients' consents
    #[command(after_help = "\
Examples:
  portcullis consents list --config portcullis.toml
  portcullis consents verify 4f1c... --officer olga --how paper --config portcullis.toml

A consent that was written through an app narrows at once; what it opens counts
when an officer, or the patient, has confirmed it.")]
    Consents {
        /// What to do.
        #[command(subcommand)]
        command: Consents,
    },
    /// List who opened records in an emergency, and end it
    #[command(after_help = "\
Examples:
  portcullis break-glass list --config portcullis.toml
  portcullis break-glass end 4f1c... --config portcullis.toml")]
    BreakGlass {
        /// What to do.
        #[command(subcommand)]
        command: BreakGlass,
    },
    /// List and rotate the keys that sign tokens
    #[command(after_help = "\
Examples:
  portcullis keys list --data-dir portcullis-data
  portcullis keys rotate --config portcullis.toml")]
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: Keys,
    },
    /// Show and test the operator's rules, and explain who may see what
    #[command(after_help = "\
Examples:
  portcullis policy show --config portcullis.toml
  portcullis policy test rules-test.toml
  portcullis policy explain --help")]
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: Policy,
    },
    /// Check a configuration file
    #[command(after_help = "\
Example:
  portcullis config check /etc/portcullis/portcullis.toml")]
    Config {
        /// What to do.
        #[command(subcommand)]
        command: Config,
    },
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Where data, keys and demo.json live; made if absent
    #[arg(long, value_name = "DIR", default_value = "./portcullis-data")]
    pub data_dir: PathBuf,
    /// Port of the FHIR server; the demo app listens on the next one
    #[arg(long, value_name = "P", default_value_t = 8443, value_parser = clap::value_parser!(u16).range(1..=65534))]
    pub port: u16,
    /// Synthetic patients, where the directory is new: 2 to 100,000
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub patients: u32,
}

/// `serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Which server a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The server that this configuration file describes
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory of a demo
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `load`
#[derive(Debug, Args)]
pub struct Load {
    /// Files, folders (searched for .json, .ndjson and .gz), or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub sources: Vec<PathBuf>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Start from the beginning, also where an earlier load was interrupted
    #[arg(long)]
    pub restart: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// How many patients
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub patients: u32,
    /// The same seed and day give the same data, and no two seeds share an id; 0 is the data of the demo
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The day on which the histories end, as 2026-01-31; today where absent
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<String>,
}

/// `audit ...`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Prove that the ledger's files agree with themselves, and with an earlier head
    #[command(after_help = "\
Examples:
  portcullis audit verify --data-dir DIR
  portcullis audit verify --data-dir DIR --expect 1042:9f3c...")]
    Verify(AuditVerify),
    /// List what was denied, by which consents, and where the glass was broken
    #[command(after_help = "\
Examples:
  portcullis audit review --config FILE --since 2026-01-31
  portcullis audit review --config FILE --patient 17 --json

The newest 500 events of each outcome are looked at, attempts at what is not there among them:
--patient, --since and --until lead to older ones. That somebody reviewed is on record, too.")]
    Review(AuditReview),
}

/// `audit review`
#[derive(Debug, Args)]
pub struct AuditReview {
    /// From this day or time on, as 2026-01-31
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to this day or time
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Of this patient alone
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `audit verify`
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// A head that an earlier run printed: nothing before it may have changed
    #[arg(long, value_name = "HEAD")]
    pub expect: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A listing.
#[derive(Debug, Args)]
pub struct Listing {
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `users ...`
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Add a user; the password is read from standard input
    #[command(override_usage = "\
portcullis users add [OPTIONS] --display-name <NAME> --role <ROLE>
           <--config <FILE>|--data-dir <DIR>> <USERNAME>")]
    #[command(after_help = "\
Example:
  portcullis users add ana --display-name 'Ana Ruiz' --role patient \\
    --patient pat-0001 --fhir-user Patient/pat-0001 \\
    --data-dir DIR < password.txt")]
    Add(UsersAdd),
    /// Link an account at another identity provider with a user
    #[command(after_help = "\
Example:
  portcullis users link ana --issuer https://id.city.example \\
    --subject 248289761001 --config FILE")]
    Link(UsersLink),
    /// Separate an account at another identity provider from a user
    #[command(after_help = "\
Example:
  portcullis users unlink ana --issuer https://id.city.example \\
    --subject 248289761001 --config FILE")]
    Unlink(UsersLink),
    /// Let a user act for a patient, for a time and within limits
    #[command(after_help = "\
Examples:
  portcullis users represent ana --patient pat-0002 --until 2027-06-30 \\
    --read-only --data-dir DIR
  portcullis users represent ana --patient pat-0002 --end --data-dir DIR")]
    Represent(UsersRepresent),
    /// Give somebody a right that two people give together, or propose it
    #[command(after_help = "\
Examples:
  portcullis users entitle ana break-glass --config FILE
  portcullis users entitle sam approve-changes --config FILE

The rights are break-glass (to open a record in an emergency), verify-consents
and approve-changes (to agree to what somebody else proposed). The first two
people get approve-changes at once; everything else waits for a second person.")]
    Entitle(UsersRight),
    /// Take such a right; it counts for the next request
    #[command(after_help = "\
Example:
  portcullis users unentitle ana break-glass --config FILE")]
    Unentitle(UsersRight),
    /// List who has such rights
    #[command(after_help = "\
Example:
  portcullis users rights --config FILE")]
    Rights(Listing),
    /// List the users
    #[command(after_help = "\
Example:
  portcullis users list --data-dir DIR")]
    List(Listing),
    /// Set where somebody's letters go
    #[command(after_help = "\
Examples:
  portcullis users email ana ana@example.org --language es --config FILE
  portcullis users email ana --remove --config FILE

Until the owner has used a link that came there, or somebody else than you runs
`users confirm`, a new password by mail counts as given back by you.")]
    Email(UsersEmail),
    /// Tell how the mail is doing
    #[command(after_help = "\
Example:
  portcullis users mail --config FILE")]
    Mail(Listing),
    /// Show how somebody can sign in
    #[command(after_help = "\
Example:
  portcullis users show ana --data-dir DIR")]
    Show(UsersOne),
    /// Add a user and mail or print the one-time link that sets the first password
    #[command(after_help = "\
Example:
  portcullis users invite ana --display-name 'Ana Ruiz' --role patient \\
    --patient pat-0001 --data-dir DIR")]
    Invite(UsersInvite),
    /// Mail or print a one-time link that sets another password
    #[command(after_help = "\
Examples:
  portcullis users reset ana --data-dir DIR
  portcullis users reset ana --remove-factors --data-dir DIR

Until the owner signs in with a second factor that was there before, or
somebody else runs `users confirm`, the account opens no health records.")]
    Reset(UsersReset),
    /// Lock an account: sessions end, and the tokens of its apps do not count
    #[command(after_help = "\
Example:
  portcullis users lock ana --data-dir DIR")]
    Lock(UsersOne),
    /// Unlock an account
    #[command(after_help = "\
Example:
  portcullis users unlock ana --data-dir DIR")]
    Unlock(UsersOne),
    /// Confirm, as another person than who reset it, that an account is with its owner
    #[command(after_help = "\
Example:
  portcullis users confirm ana --data-dir DIR")]
    Confirm(UsersOne),
}

/// `users link`, `users unlink`
#[derive(Debug, Args)]
pub struct UsersLink {
    /// The name to sign in with
    pub username: String,
    /// The provider's issuer, exactly as it writes it
    #[arg(long, value_name = "URL")]
    pub issuer: String,
    /// What the provider calls the person (sub)
    #[arg(long, value_name = "SUB")]
    pub subject: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `users represent`
#[derive(Debug, Args)]
pub struct UsersRepresent {
    /// The name to sign in with
    pub username: String,
    /// The patient
    #[arg(long, value_name = "ID")]
    pub patient: String,
    /// The first day, as 2026-01-31, UTC; from now on where absent
    #[arg(long, value_name = "DATE", conflicts_with = "end")]
    pub from: Option<String>,
    /// The last day, as 2026-12-31, UTC
    #[arg(long, value_name = "DATE", conflicts_with = "end")]
    pub until: Option<String>,
    /// Nothing may be written
    #[arg(long, conflicts_with = "end")]
    pub read_only: bool,
    /// A resource type that stays closed; may be repeated
    #[arg(long, value_name = "TYPE", conflicts_with = "end")]
    pub exclude: Vec<String>,
    /// End it now
    #[arg(long)]
    pub end: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `users add`
#[derive(Debug, Args)]
pub struct UsersAdd {
    /// The name to sign in with
    pub username: String,
    /// The name that others see
    #[arg(long, value_name = "NAME")]
    pub display_name: String,
    /// patient, representative, clinician, auditor, security-officer, administrator or developer; may be repeated
    #[arg(long, required = true)]
    pub role: Vec<String>,
    /// The FHIR resource that is this person, such as Practitioner/17
    #[arg(long, value_name = "TYPE/ID")]
    pub fhir_user: Option<String>,
    /// A patient whom this person may act for; may be repeated
    #[arg(long, value_name = "ID")]
    pub patient: Vec<String>,
    /// Where letters to this person go
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The language of letters, en or es
    #[arg(long, value_name = "LANGUAGE", requires = "email")]
    pub language: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `keys ...`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List the keys that sign or verify
    #[command(after_help = "\
Example:
  portcullis keys list --json --data-dir DIR")]
    List(Listing),
    /// Make new keys, beside a running server too
    #[command(after_help = "\
Examples:
  portcullis keys rotate --config FILE
  portcullis keys rotate --now --data-dir DIR

New keys are published at once and sign six minutes later, when no copy of the
published keys is without them. Old keys verify until the last token that they
signed has expired, and are then removed. Nobody is signed out.")]
    Rotate(KeysRotate),
}

/// `relabel`
#[derive(Debug, Args)]
pub struct Relabel {
    /// Change nothing, and say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `keys rotate`
#[derive(Debug, Args)]
pub struct KeysRotate {
    /// Sign with the new keys at once; clients that keep a copy of the published keys must fetch them again
    #[arg(long)]
    pub now: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `config ...`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say whether a configuration file can be used, and what is wrong with it
    #[command(after_help = "\
Example:
  portcullis config check /etc/portcullis/portcullis.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
}
