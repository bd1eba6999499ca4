//! What is asked of a provider behind the browser's back: its document, its keys, and the tokens for a code.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use portcullis_jose::JwtError;
use portcullis_oauth::federation::{
    CodeCallback, CodeOrder, ExpectedIdentity, IdentityError, Provider, ProviderMetadata, TokenAnswer, VerifiedIdentity, id_token,
};
use portcullis_outbound::{Form, Purpose};

use super::attempt::Bound;
use super::begin::redirect_uri;
use super::failure::Failure;
use crate::context::Server;

/// The provider's document, which must name the issuer that is configured (OpenID Connect Discovery section 4.3).
pub async fn metadata(server: &Server, provider: &Provider) -> Result<Arc<ProviderMetadata>, Failure> {
    let url = ProviderMetadata::url(&provider.issuer);
    let found = server.federation.metadata.get(&url, server.clock.now_seconds()).await;
    let metadata = found.map_err(|error| Failure::unreachable(provider, &error))?;
    if metadata.issuer == provider.issuer {
        Ok(metadata)
    } else {
        Err(Failure::unbelievable(provider, "the document names another issuer"))
    }
}

/// Exchanges a code, and verifies who it is of.
pub async fn identity(
    server: &Server,
    provider: &Provider,
    bound: &Bound,
    callback: &CodeCallback,
) -> Result<VerifiedIdentity, Failure> {
    let metadata = metadata(server, provider).await?;
    let answer = tokens(server, provider, &metadata, bound, callback).await?;
    let now = server.clock.now_seconds();
    let token = id_token(answer.id_token.expose()).map_err(|error| Failure::unbelievable(provider, error))?;
    let keys = &server.federation.keys;
    let mut known = keys.get(&metadata.jwks_uri, now).await.map_err(|error| Failure::unreachable(provider, &error))?;
    let expected = ExpectedIdentity {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &bound.nonce(server),
        access_token: answer.access_token.as_ref().map(|token| token.expose().as_str()),
        not_before: bound.attempt.not_before,
        now,
    };
    let claim = provider.fhir_user_claim.as_deref();
    let mut verified = VerifiedIdentity::verify(&token, &known, &expected, claim);
    // The provider may have changed its keys since.
    if matches!(verified, Err(IdentityError::Jwt(JwtError::UnknownKey)))
        && let Some(newer) = keys.newer(&metadata.jwks_uri, &known, now).await
    {
        known = newer;
        verified = VerifiedIdentity::verify(&token, &known, &expected, claim);
    }
    verified.map_err(|error| match error {
        IdentityError::Age => Failure::NotAskedAgain(provider.name.clone()),
        other => Failure::unbelievable(provider, other),
    })
}

async fn tokens(
    server: &Server,
    provider: &Provider,
    metadata: &ProviderMetadata,
    bound: &Bound,
    callback: &CodeCallback,
) -> Result<TokenAnswer, Failure> {
    let order = CodeOrder {
        code: &callback.code,
        redirect_uri: &redirect_uri(server, &provider.id),
        verifier: &bound.verifier(server),
        assertion_id: &format!("{:032x}", server.random_u128()),
        now: server.clock.now_seconds(),
    };
    let form = order.form(provider, metadata).map_err(|error| Failure::unbelievable(provider, error))?;
    let authorization = form.authorization.as_ref().map(|text| HeaderValue::from_str(text.expose())).transpose();
    let authorization = authorization.map_err(|error| Failure::unbelievable(provider, error))?.map(|mut value| {
        value.set_sensitive(true);
        value
    });
    let form = Form { body: Bytes::copy_from_slice(form.body.expose().as_bytes()), authorization };
    let sent = server.federation.outbound.post(Purpose::ProviderToken, &metadata.token_endpoint, form).await;
    let reply = sent.map_err(|error| Failure::unreachable(provider, &error))?;
    TokenAnswer::parse(reply.status, &reply.bytes).map_err(|error| Failure::unbelievable(provider, error))
}
