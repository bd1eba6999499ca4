//! Principals of whom somebody asks what they could do: for explanations and for tests of rules, never for a request.
//!
//! One is what a token of these facts would make. What is authorized under it must not leave but in words about the decision; the repository's tidy test
//! holds the list of call sites.

use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, LabelPolicy};
use portcullis_fhir::types::LogicalId;

use super::{Circumstances, LaunchContext, Principal, PrincipalUser};
use crate::identifiers::ClientId;
use crate::purposes::{PurposeFacts, PurposeOfUse, Purposes};
use crate::scopes::ScopeSet;

/// The facts of an imagined request.
#[derive(Clone, Debug)]
pub struct Imagined {
    /// The client.
    pub client: ClientId,
    /// The user; `None` where the client acts for itself.
    pub user: Option<PrincipalUser>,
    /// The scopes of the token.
    pub scopes: ScopeSet,
    /// What the client may do on its own behalf, where it acts for itself.
    pub registered: Option<ScopeSet>,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// For which purposes those behind the token may use data.
    pub purposes: PurposeFacts,
    /// The purpose that the request states.
    pub stated: Option<PurposeOfUse>,
    /// Up to which labels records may go to the client.
    pub client_clearance: Clearance,
    /// When, and from where.
    pub circumstances: Circumstances,
}

impl Principal {
    /// The principal that these facts would make.
    pub fn imagined(imagined: Imagined, labels: impl Into<LabelPolicy>) -> Self {
        let Imagined { client, user, scopes, registered, patient, purposes, stated, client_clearance, circumstances } = imagined;
        let now = circumstances.now.div_euclid(1000);
        let purposes = match &user {
            Some(user) => Purposes::of_user(user.roles, purposes, now),
            None => Purposes::of_client(&purposes.client),
        };
        Self {
            client,
            registered: if user.is_some() { None } else { registered.map(|set| set.compiled()) },
            user: user.map(|user| user.acting_at(now)),
            launch: LaunchContext { patient },
            scopes: Arc::new(scopes.compiled().at(&circumstances.base_url)),
            purposes: purposes.stating(stated),
            token_id: None,
            grant: None,
            epoch: 0,
            expires_at: i64::MAX,
            operator: None,
            labels: labels.into(),
            client_clearance,
            circumstances: Some(circumstances),
        }
    }
}
