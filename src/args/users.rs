//! `users ...` beyond adding and listing: invitations, resets, locks.

use clap::Args;

use super::Target;

/// `users invite`
#[derive(Debug, Args)]
pub struct UsersInvite {
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

/// `users reset`
#[derive(Debug, Args)]
pub struct UsersReset {
    /// The name to sign in with
    pub username: String,
    /// Remove the authenticator app, the passkeys and the recovery codes, for somebody who has lost them all
    #[arg(long)]
    pub remove_factors: bool,
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
