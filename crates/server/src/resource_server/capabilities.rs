//! The capability statement of this installation, rendered once at start.

use bytes::Bytes;
use portcullis_fhir::capability::{Installation, OauthAddresses, statement};
use portcullis_fhir::instant;

use crate::authorization_server::discovery::endpoints;
use crate::context::Settings;

/// Renders the statement.
pub fn render(settings: &Settings) -> Bytes {
    let endpoints = endpoints(&settings.public_url);
    let started = instant::format(settings.started);
    let oauth = OauthAddresses {
        authorize: &endpoints.authorization,
        token: &endpoints.token,
        revoke: endpoints.revocation.as_deref(),
        introspect: endpoints.introspection.as_deref(),
        register: None,
        manage: endpoints.management.as_deref(),
    };
    let installation = Installation { base_url: &settings.fhir_base, software_version: settings.version, date: &started, oauth };
    Bytes::from(statement(&installation))
}
