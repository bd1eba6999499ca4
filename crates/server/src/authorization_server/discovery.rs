//! Discovery documents and public keys.

use http::{StatusCode, header};
use portcullis_jose::jwk::Jwks;
use portcullis_oauth::metadata::Endpoints;
use serde_json::Value;

use crate::answer::Draft;
use crate::context::Server;

/// The endpoints of this server.
pub fn endpoints(public_url: &str) -> Endpoints {
    let at = |path: &str| format!("{public_url}{path}");
    Endpoints {
        issuer: public_url.to_owned(),
        authorization: at("/oauth/authorize"),
        token: at("/oauth/token"),
        jwks: at("/oauth/jwks"),
        management: Some(at("/me")),
        revocation: Some(at("/oauth/revoke")),
        introspection: None,
    }
}

/// `.well-known/smart-configuration` (SMART App Launch 2.2.0, conformance).
pub fn smart_configuration(server: &Server) -> Draft {
    document(&endpoints(&server.settings.public_url).smart_configuration())
}

/// `.well-known/openid-configuration`
pub fn openid_configuration(server: &Server) -> Draft {
    document(&endpoints(&server.settings.public_url).openid_configuration())
}

/// `.well-known/oauth-authorization-server`
pub fn oauth_metadata(server: &Server) -> Draft {
    document(&endpoints(&server.settings.public_url).authorization_server_metadata())
}

/// The public keys of id_tokens and access tokens.
pub fn jwks(server: &Server) -> Draft {
    let keys = [server.keys.identity.public_jwk().clone(), server.keys.access.public_jwk().clone()];
    document(&Jwks::new(keys).to_json())
}

fn document(value: &Value) -> Draft {
    Draft::new(StatusCode::OK).body("application/json", value.to_string()).with(header::CACHE_CONTROL, "public, max-age=300")
}
