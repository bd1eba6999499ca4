//! `approvals ...`, `break-glass ...`, and the rights of `users ...`.

use clap::{Args, Subcommand};

use super::{Listing, Target};

/// `users entitle` and `users unentitle`
#[derive(Debug, Args)]
pub struct UsersRight {
    /// The name to sign in with
    pub username: String,
    /// break-glass, verify-consents or approve-changes
    #[arg(value_parser = ["break-glass", "verify-consents", "approve-changes"])]
    pub right: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `approvals ...`
#[derive(Debug, Subcommand)]
pub enum Approvals {
    /// List the latest changes, and what became of them
    #[command(after_help = "\
Example:
  portcullis approvals list --config FILE")]
    List(Listing),
    /// Agree to a change; a right is given at once
    #[command(after_help = "\
Example:
  portcullis approvals approve 4f1c2ab... --digest 9b74c9... --config FILE

Without --digest the change is approved as it is listed at this moment.")]
    Approve(ApprovalsApprove),
    /// Refuse a change, or take the own one back
    #[command(after_help = "\
Example:
  portcullis approvals refuse 4f1c2ab... --config FILE")]
    Refuse(SafeguardOne),
}

/// `approvals approve`
#[derive(Debug, Args)]
pub struct ApprovalsApprove {
    /// The id of the change
    pub id: String,
    /// The SHA-256 of what you looked at
    #[arg(long, value_name = "SHA-256")]
    pub digest: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `approvals refuse` and `break-glass end`
#[derive(Debug, Args)]
pub struct SafeguardOne {
    /// The id
    pub id: String,
    /// Which server.
    #[command(flatten)]
    pub target: Target,
}

/// `break-glass ...`
#[derive(Debug, Subcommand)]
pub enum BreakGlass {
    /// List the latest times that somebody opened a record in an emergency
    #[command(after_help = "\
Example:
  portcullis break-glass list --config FILE")]
    List(Listing),
    /// End one; it counts for the next request
    #[command(after_help = "\
Example:
  portcullis break-glass end 4f1c2ab... --config FILE")]
    End(SafeguardOne),
}
