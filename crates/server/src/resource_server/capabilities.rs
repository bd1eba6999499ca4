//! The capability statement of this installation, rendered once at start.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{StatusCode, header};
use portcullis_fhir::capability::{Installation, OauthAddresses, statement};
use portcullis_fhir::instant;
use portcullis_fhir::interaction::Format;
use portcullis_fhir::xml;

use super::representation::VARY;
use crate::answer::Draft;
use crate::authorization_server::discovery;
use crate::context::Settings;

/// The statement in both forms. Whoever asks for it needs no token, so the XML is made once, when it is asked for first.
#[derive(Clone, Debug)]
pub struct CapabilityStatement {
    json: Bytes,
    xml: OnceLock<Option<Bytes>>,
}

impl CapabilityStatement {
    /// The answer in this form.
    pub fn draft(&self, format: Format) -> Draft {
        let body = match format {
            Format::Json => Some(self.json.clone()),
            Format::Xml => self.xml.get_or_init(|| xml::from_json(&self.json).ok().map(Bytes::from)).clone(),
        };
        let draft = match body {
            Some(body) => Draft::new(StatusCode::OK).body(format.media_type(), body),
            // It consists of names of this crate and of settings; that XML cannot say one of them is not foreseen.
            None => Draft::new(StatusCode::INTERNAL_SERVER_ERROR),
        };
        draft.with(header::VARY, VARY)
    }
}

/// Renders the statement.
pub fn render(settings: &Settings) -> CapabilityStatement {
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
    CapabilityStatement { json: Bytes::from(statement(&installation)), xml: OnceLock::new() }
}
