//! Discovery documents and public keys.

use http::{StatusCode, header};
use portcullis_oauth::capabilities::{Capabilities, Capability};
use portcullis_oauth::key_ring::PUBLISHED_FRESH_SECONDS;
use portcullis_oauth::metadata::Endpoints;
use serde_json::Value;

use crate::answer::Draft;
use crate::context::{RegistrationPolicy, Server, Settings};

/// The endpoints of this server.
pub fn endpoints(public_url: &str) -> Endpoints {
    let at = |path: &str| format!("{public_url}{path}");
    Endpoints {
        issuer: public_url.to_owned(),
        mutual_tls: None,
        certificate_authorities: false,
        authorization: at("/oauth/authorize"),
        token: at("/oauth/token"),
        jwks: at("/oauth/jwks"),
        management: Some(at("/me")),
        revocation: Some(at("/oauth/revoke")),
        introspection: Some(at("/oauth/introspect")),
        userinfo: Some(at("/oauth/userinfo")),
        pushed_authorization_request: Some(at("/oauth/par")),
        require_pushed_authorization_requests: false,
        registration: None,
        brand: None,
        app_state: at(crate::resource_server::app_state::BASE),
        capabilities: Capabilities::default(),
    }
}

/// The endpoints as this server is set up.
pub fn of(server: &Server) -> Endpoints {
    configured(&server.settings)
}

/// The endpoints of a server with these settings.
pub fn configured(settings: &Settings) -> Endpoints {
    let required = settings.authorization.require_pushed_authorization_requests;
    let mutual_tls = settings.mutual_tls_url.clone();
    let open = settings.authorization.registration != RegistrationPolicy::Off;
    let registration = open.then(|| format!("{}/oauth/register", settings.public_url));
    Endpoints {
        mutual_tls,
        certificate_authorities: settings.authorization.client_authorities.is_some(),
        registration,
        require_pushed_authorization_requests: required,
        brand: crate::brand::link(settings),
        capabilities: settings.authorization.capabilities,
        ..endpoints(&settings.public_url)
    }
}

/// `.well-known/smart-configuration` (SMART App Launch 2.2.0, conformance).
pub fn smart_configuration(server: &Server) -> Draft {
    document(&of(server).smart_configuration())
}

/// `.well-known/openid-configuration`
pub fn openid_configuration(server: &Server) -> Draft {
    if let Err(off) = server.settings.authorization.capabilities.check(Capability::SsoOpenIdConnect) {
        return Draft::new(StatusCode::NOT_FOUND).body("text/plain; charset=utf-8", off);
    }
    document(&of(server).openid_configuration())
}

/// `.well-known/oauth-authorization-server`
pub fn oauth_metadata(server: &Server) -> Draft {
    document(&of(server).authorization_server_metadata())
}

/// The public keys of id_tokens and access tokens.
pub fn jwks(server: &Server) -> Draft {
    document(&server.keys.at(server.clock.now_seconds()).jwks.to_json())
}

fn document(value: &Value) -> Draft {
    Draft::new(StatusCode::OK)
        .body("application/json", value.to_string())
        .with_text(header::CACHE_CONTROL, &format!("public, max-age={PUBLISHED_FRESH_SECONDS}"))
}
