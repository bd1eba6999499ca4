//! The command line, as typed. Nothing here opens a file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
same command. Loading a resource again makes a new version of it, also where
its content is the same.")]
    Load(Load),
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
    /// Add, list and remove OAuth clients
    #[command(after_help = "\
Examples:
  portcullis clients list --data-dir portcullis-data
  portcullis clients add --help")]
    Clients {
        /// What to do.
        #[command(subcommand)]
        command: Clients,
    },
    /// Add and list users
    #[command(after_help = "\
Examples:
  portcullis users list --data-dir portcullis-data
  portcullis users add --help")]
    Users {
        /// What to do.
        #[command(subcommand)]
        command: Users,
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
    /// Synthetic patients, where the directory is new
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
    #[arg(long, value_name = "N", default_value_t = 50)]
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

/// `clients ...`
#[derive(Debug, Subcommand)]
pub enum Clients {
    /// Register a client
    #[command(override_usage = "\
portcullis clients add [OPTIONS] --name <NAME> --scope <SCOPE>
           <--redirect-uri <URI>...|--jwks <FILE>|--jwks-uri <URL>>
           <--config <FILE>|--data-dir <DIR>>")]
    #[command(after_help = "\
Examples:
  portcullis clients add --name 'Growth chart' --data-dir DIR \\
    --redirect-uri https://app.example.org/callback \\
    --scope 'launch/patient openid fhirUser patient/Observation.rs'
  portcullis clients add --name 'Back office' --config FILE \\
    --confidential --redirect-uri https://... --scope ...
  portcullis clients add --name 'Night export' --config FILE \\
    --jwks public-keys.json --scope 'system/*.rs'")]
    Add(ClientsAdd),
    /// List the clients
    #[command(after_help = "\
Example:
  portcullis clients list --json --data-dir DIR")]
    List(Listing),
    /// Remove a client and everything that was granted to it
    #[command(after_help = "\
Example:
  portcullis clients remove growth-chart --data-dir DIR")]
    Remove(ClientsRemove),
}

/// `clients add`
#[derive(Debug, Args)]
pub struct ClientsAdd {
    /// The name that people see
    #[arg(long)]
    pub name: String,
    /// The client id; chosen by the server where absent
    #[arg(long)]
    pub id: Option<String>,
    /// Where the browser may be sent back to; may be repeated
    #[arg(long, required_unless_present_any = ["jwks", "jwks_uri"], value_name = "URI")]
    pub redirect_uri: Vec<String>,
    /// The scopes that it may ask for, separated by spaces
    #[arg(long)]
    pub scope: String,
    /// How it authenticates: public, confidential-symmetric or confidential-asymmetric; otherwise it follows from the options below
    #[arg(long, value_name = "KIND", value_parser = ["public", "confidential-symmetric", "confidential-asymmetric"])]
    pub kind: Option<String>,
    /// The JWK Set with the public keys that it signs with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jwks_uri", "confidential"])]
    pub jwks: Option<PathBuf>,
    /// The https address of that JWK Set
    #[arg(long, value_name = "URL", conflicts_with = "confidential")]
    pub jwks_uri: Option<String>,
    /// Give it a secret (printed once)
    #[arg(long)]
    pub confidential: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
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

/// `clients remove`
#[derive(Debug, Args)]
pub struct ClientsRemove {
    /// The client id
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
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
    /// List the users
    #[command(after_help = "\
Example:
  portcullis users list --data-dir DIR")]
    List(Listing),
}

/// `users add`
#[derive(Debug, Args)]
pub struct UsersAdd {
    /// The name to sign in with
    pub username: String,
    /// The name that others see
    #[arg(long)]
    pub display_name: String,
    /// patient, representative, clinician, auditor, security-officer or administrator; may be repeated
    #[arg(long, required = true)]
    pub role: Vec<String>,
    /// The FHIR resource that is this person, such as Practitioner/17
    #[arg(long, value_name = "TYPE/ID")]
    pub fhir_user: Option<String>,
    /// A patient whom this person may act for; may be repeated
    #[arg(long, value_name = "ID")]
    pub patient: Vec<String>,
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
