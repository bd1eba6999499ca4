//! `consents ...`.

use clap::{Args, Subcommand};

use super::Target;

/// `consents ...`
#[derive(Debug, Subcommand)]
pub enum Consents {
    /// List the consents that wait for a confirmation, or all of a patient
    #[command(after_help = "\
Examples:
  portcullis consents list --config FILE
  portcullis consents list --patient 17 --config FILE")]
    List(ConsentsList),
    /// Show a consent with who wrote and who confirmed it
    #[command(after_help = "\
Example:
  portcullis consents show 4f1c2ab... --config FILE")]
    Show(ConsentsShow),
    /// Confirm the current version of a consent
    #[command(after_help = "\
Example:
  portcullis consents verify 4f1c2ab... --officer olga --how paper --config FILE

Without --reviewed the current version is shown and confirmed. The officer has the
right verify-consents, did not write the version, and is not named in it.")]
    Verify(ConsentsVerify),
}

/// `consents list`
#[derive(Debug, Args)]
pub struct ConsentsList {
    /// The id of the patient
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `consents show`
#[derive(Debug, Args)]
pub struct ConsentsShow {
    /// The id of the Consent
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `consents verify`
#[derive(Debug, Args)]
pub struct ConsentsVerify {
    /// The id of the Consent
    pub id: String,
    /// The officer, by the name to sign in with
    #[arg(long, value_name = "USERNAME")]
    pub officer: String,
    /// How the patient's will was found out
    #[arg(long, value_parser = ["in-person", "paper", "telephone"])]
    pub how: String,
    /// The version that you looked at
    #[arg(long, value_name = "VERSION")]
    pub reviewed: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}
