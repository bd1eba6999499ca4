//! The software statement of a client that registers itself: whose it is, and whether it holds (RFC 7591 section 3.1.1).

use portcullis_jose::JwtError;
use portcullis_oauth::registration::MetadataError;
use portcullis_oauth::software_statement::{PresentedStatement, VerifiedStatement};
use serde_json::Value;

use crate::context::Server;

/// The statement, verified with the keys of an issuer whom the operator trusts.
pub async fn verified(server: &Server, value: &Value) -> Result<VerifiedStatement, MetadataError> {
    let presented = PresentedStatement::parse(value)?;
    let settings = &server.settings;
    let issuer = settings.authorization.statement_issuers.iter().find(|known| known.issuer == presented.issuer());
    let issuer = issuer.ok_or(MetadataError::SoftwareStatement)?;
    let now = server.clock.now_seconds();
    let keys = server.client_keys.of(&issuer.keys, now).await.map_err(|error| {
        tracing::error!(issuer = %issuer.issuer, %error, "the keys of an issuer of software statements could not be had");
        MetadataError::InvalidStatement("software_statement: the keys of its issuer cannot be had now")
    })?;
    let endpoint = format!("{}/oauth/register", settings.public_url);
    let ours = [settings.public_url.as_str(), endpoint.as_str()];
    let verified = match presented.verify(&keys, &ours, now) {
        // The issuer may have new keys since ours were fetched.
        Err(JwtError::UnknownKey) => match server.client_keys.newer(&issuer.keys, &keys, now).await {
            Some(newer) => presented.verify(&newer, &ours, now),
            None => Err(JwtError::UnknownKey),
        },
        other => other,
    };
    verified.map_err(PresentedStatement::refusal)
}
