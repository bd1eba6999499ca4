//! `users ...` beyond adding and listing: invitations, resets, locks.

use clap::Args;

use super::Target;

/// `users invite`
#[derive(Debug, Args)]
pub struct UsersInvite {
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
    /// Where letters to this person go; the link is mailed there where the configuration has a mail server
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The language of letters, en or es
    #[arg(long, value_name = "LANGUAGE", requires = "email")]
    pub language: Option<String>,
    /// Print the link instead of mailing it
    #[arg(long)]
    pub print_link: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `users reset`
#[derive(Debug, Args)]
pub struct UsersReset {
    /// The name to sign in with
    pub username: String,
    /// Remove the authenticator app, the passkeys and the recovery codes, for somebody who has lost them all
    #[arg(long)]
    pub remove_factors: bool,
    /// Print the link instead of mailing it
    #[arg(long)]
    pub print_link: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `users show`, `lock`, `unlock`, `confirm`
#[derive(Debug, Args)]
pub struct UsersOne {
    /// The name to sign in with
    pub username: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `users email`
#[derive(Debug, Args)]
pub struct UsersEmail {
    /// The name to sign in with
    pub username: String,
    /// Where letters go from now on
    #[arg(required_unless_present = "remove")]
    pub address: Option<String>,
    /// The language of letters, en or es
    #[arg(long, value_name = "LANGUAGE", requires = "address")]
    pub language: Option<String>,
    /// Send no letters
    #[arg(long, conflicts_with = "address")]
    pub remove: bool,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
