//! The capability statement of this installation, rendered once at start.

use bytes::Bytes;
use portcullis_fhir::capability::{Installation, OauthAddresses, statement};
use portcullis_fhir::instant;

use crate::authorization_server::discovery;
use crate::context::Settings;

/// Renders the statement.
pub fn render(settings: &Settings) -> Bytes {
    let endpoints = discovery::configured(settings);
    let started = instant::format(settings.started);
    let oauth = OauthAddresses {
        authorize: &endpoints.authorization,
        token: &endpoints.token,
        revoke: endpoints.revocation.as_deref(),
        introspect: endpoints.introspection.as_deref(),
        register: endpoints.registration.as_deref(),
        manage: endpoints.management.as_deref(),
    };
    let installation = Installation {
        base_url: &settings.fhir_base,
        software_version: settings.version,
        date: &started,
        oauth,
        guides: &settings.guides,
    };
    Bytes::from(statement(&installation))
}
