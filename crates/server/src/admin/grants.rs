//! What a person has granted to apps, as an operator sees it. Scopes are told as URIs, since this leaves the server whose names they are.

use portcullis_oauth::scopes::Scope;
use portcullis_store::registry::StandingGrant;
use serde::{Deserialize, Serialize};

/// A grant that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSummary {
    /// The client that has it.
    pub client: String,
    /// What it may do (SMART App Launch 2.2.0: scopes as URIs).
    pub scopes: Vec<String>,
    /// The patient in context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Since when, in seconds since the epoch.
    pub created_at: i64,
    /// The last token, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
}

impl From<StandingGrant> for GrantSummary {
    fn from(standing: StandingGrant) -> Self {
        let StandingGrant { grant, last_used_at, .. } = standing;
        Self {
            client: grant.client.to_string(),
            scopes: grant.scopes.iter().map(Scope::uri).collect(),
            patient: grant.patient.map(|patient| patient.to_string()),
            created_at: grant.created_at,
            last_used_at,
        }
    }
}
