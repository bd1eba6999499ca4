//! What to change after a refusal of the authorization server, in plain words: one table for each kind of error.
//!
//! A remedy says no more than the client was told: it follows from the error and its fixed description, and from nothing else.

use portcullis_oauth::authorize::{AuthorizationError, PageError};
use portcullis_oauth::dpop::ProofError;
use portcullis_oauth::parameters::Repeated;
use portcullis_oauth::token_error::TokenError;

use super::DEVELOPERS_ALONE;

/// Descriptions that have a remedy of their own. Others have that of their kind.
const OF_DESCRIPTIONS: &[(&str, &str)] = &[
    (
        "code_verifier is required",
        "Send the code_verifier of the code_challenge that you sent to /oauth/authorize. Make a new pair for each launch.",
    ),
    (
        "code_challenge is required",
        "Add code_challenge and code_challenge_method=S256 to the authorization request. code_challenge is the SHA-256 of your code_verifier, as \
         base64url without padding.",
    ),
    ("code_challenge_method is required and must be S256", "Send code_challenge_method=S256. The method “plain” is not taken."),
    (
        "aud is required and must be the FHIR base URL",
        "Add aud with the FHIR base URL of this server, exactly as this page shows it.",
    ),
    (
        "aud must be the FHIR base URL of this server",
        "Set aud to the FHIR base URL of this server, exactly as this page shows it.",
    ),
    (
        "state is required",
        "Add state: a random value of at least 122 bits, new for each launch. Compare it when the answer comes.",
    ),
    (
        "none of the requested scopes can be granted to this client",
        "Register the scopes on this page first, or ask for those that are registered.",
    ),
    (
        "the scope launch needs the parameter launch that the EHR gave to the app",
        "The scope launch belongs to a launch from an EHR. For a standalone launch ask for launch/patient instead.",
    ),
    (DEVELOPERS_ALONE, "Sign in as somebody with the role developer. Real patients cannot be asked by a sandbox app."),
    (
        "this person may not open that record",
        "Sign in as somebody who has a record here, or may see the one that you want to open.",
    ),
    (
        "nobody is signed in",
        "With prompt=none no page is shown. Leave prompt out, so that the person can sign in, or the one whom id_token_hint names.",
    ),
    (
        "the person has to allow it",
        "With prompt=none no page is shown: it works for openid, profile and fhirUser, which the person has allowed before. Leave prompt out, so that the \
         person can decide.",
    ),
    (
        "too many answers without a page are still of use",
        "Twenty at a time are answered. Keep the id_token that you got, and ask again when it ends, or use a refresh token.",
    ),
    (
        "id_token_hint is no id_token of this server for this client",
        "Send the id_token that this server gave to this client, or leave id_token_hint out.",
    ),
    (
        "this client must authenticate by HTTP Basic",
        "Send client id and secret as HTTP Basic: curl --user CLIENT_ID:CLIENT_SECRET.",
    ),
    (
        "send the client secret by HTTP Basic, not in the body",
        "Move the secret out of the body. Send client id and secret as HTTP Basic: curl --user CLIENT_ID:CLIENT_SECRET.",
    ),
    (
        "this client must authenticate by client_assertion",
        "Sign a JWT with your registered key. Send it as client_assertion, with client_assertion_type=\
         urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
    ),
    (
        "this client is public and must send client_id without a secret",
        "Send client_id in the body, and no secret and no Authorization header. Or register the client as confidential.",
    ),
    (
        "client_id or HTTP Basic is required",
        "Say which client asks: client_id in the body for a public client, HTTP Basic for one with a secret.",
    ),
    (
        "this client has no registered keys and cannot send an assertion",
        "Register your public keys on this page (kind: signs with a key), or authenticate as the client is registered.",
    ),
    (
        "client_assertion: the registered jwks_uri gave no usable JWK Set",
        "Open your jwks_uri in a browser. It must answer 200 with a JWK Set of public keys, over https, without a redirect, from a public address.",
    ),
    (
        "client_assertion: jti was used before",
        "Make a new assertion with a new jti for each request. One that was sent, even in vain, counts no more.",
    ),
    (
        "the code is expired, used, or was issued for another client_id, redirect_uri or code_verifier",
        "Exchange the code once, within 60 seconds, with the same client_id and redirect_uri, and with the code_verifier of that launch. Then start a new launch.",
    ),
    (
        "the code is not known",
        "Send the code exactly as it came in the query of your redirect URI, decoded once. Then start a new launch.",
    ),
    (
        "the refresh token is expired, used, revoked, or was issued to another client",
        "Keep the refresh token of the newest answer: each one counts once. If it is lost, start a new launch.",
    ),
    ("the refresh token is not known", "Send the refresh token exactly as it came. If it is lost, start a new launch."),
    ("the grant was revoked", "The person took the access back, or a code or token came twice. Start a new launch."),
    ("the method must be POST", "Send a POST with a form in its body."),
    (
        "the body must be application/x-www-form-urlencoded",
        "Send the parameters as a form, with Content-Type: application/x-www-form-urlencoded. JSON is not taken.",
    ),
    ("response_type must be code", "Send response_type=code. Tokens never come in the redirect."),
];

fn of_description(description: &str) -> Option<&'static str> {
    let own = OF_DESCRIPTIONS.iter().find(|(known, _)| *known == description).map(|(_, remedy)| *remedy);
    own.or_else(|| Repeated::is_described_by(description).then_some("Send each parameter once."))
}

/// What to change after an error of an endpoint at which clients authenticate.
pub fn of_token_error(error: TokenError) -> &'static str {
    if let Some(remedy) = of_description(&error.to_string()) {
        return remedy;
    }
    match error {
        TokenError::InvalidRequest(_) => "Correct the parameter that the description names, and send the request again.",
        TokenError::InvalidClient("client authentication failed") => {
            "Check the client id and the secret. If the secret is lost, make a new one on this page."
        }
        TokenError::InvalidClient(_) => {
            "Authenticate as the client is registered. For an assertion check iss and sub (your client id), aud (the token endpoint), exp (at most \
             five minutes away), jti, kid and the signing key."
        }
        TokenError::InvalidGrant(_) => "Start a new launch and use what it gives once.",
        TokenError::UnauthorizedClient(_) => {
            "Sandbox clients use authorization_code and refresh_token. Others are given by the people who run this server."
        }
        TokenError::UnsupportedGrantType(_) => "Send grant_type=authorization_code or grant_type=refresh_token.",
        TokenError::InvalidScope(_) => "Ask for scopes that were granted, or leave scope out. For more, start a new launch.",
        TokenError::AuthorizationRequest(error, description) => of_authorization_error(error, description),
        TokenError::Dpop(error) => of_proof_error(error),
        TokenError::ServerError | TokenError::TemporarilyUnavailable => "Nothing. Wait a minute, and send the request again.",
    }
}

/// What to change about a DPoP proof.
pub fn of_proof_error(error: ProofError) -> &'static str {
    match error {
        ProofError::Nonce => {
            "Put the value of the DPoP-Nonce header of this answer into the proof as nonce, and send the request again."
        }
        ProofError::Missing => "Send a DPoP proof in the header DPoP, made with the key of the token.",
        ProofError::NotOneHeader => "Send the header DPoP once.",
        ProofError::Replayed => "Make a new proof with a new jti for each request.",
        ProofError::TooOld | ProofError::InTheFuture => "Set iat to the time of the request. Check the clock of your machine.",
        ProofError::WrongMethod => "Set htm to the method of the request.",
        ProofError::WrongUrl => "Set htu to the URL of the request, without query and fragment.",
        ProofError::WrongToken => "Set ath to the SHA-256 of the access token, as base64url without padding.",
        ProofError::OtherKey => "Use one key from the authorization request to the token request.",
        ProofError::TokenIdTooLong => "Use a shorter jti.",
        ProofError::Jwt(_) => "Make the proof as RFC 9449, section 4.2, says: typ dpop+jwt, alg ES256, your public key as jwk.",
    }
}

/// What to change after an error that went to the app.
pub fn of_authorization_error(error: AuthorizationError, description: &str) -> &'static str {
    if let Some(remedy) = of_description(description) {
        return remedy;
    }
    match error {
        AuthorizationError::InvalidRequest => "Correct the parameter that the description names, and begin the launch again.",
        AuthorizationError::UnauthorizedClient => "Use the authorization code grant, as the client is registered for it.",
        AuthorizationError::AccessDenied => "The person or a rule said no. Let the person decide again; ask for less if you can.",
        AuthorizationError::UnsupportedResponseType => "Send response_type=code.",
        AuthorizationError::InvalidScope => "Ask for scopes that this server offers and that this client is registered for.",
        AuthorizationError::ServerError | AuthorizationError::TemporarilyUnavailable => {
            "Nothing. Wait a minute, and begin the launch again."
        }
        AuthorizationError::LoginRequired | AuthorizationError::ConsentRequired | AuthorizationError::InteractionRequired => {
            "Leave prompt=none out, so that the person can be asked."
        }
        AuthorizationError::UnmetAuthenticationRequirements => {
            "Ask for an acr_values that the person can meet, or leave it out. The person can add a second factor on the own page."
        }
        AuthorizationError::RequestNotSupported => {
            "Send the parameters themselves. Signed requests are for clients with registered keys."
        }
        AuthorizationError::RequestUriNotSupported => "Push the request to /oauth/par, and use the request_uri of the answer.",
        AuthorizationError::InvalidRequestObject => {
            "Sign the request object with a registered key; iss is your client id, aud is this server."
        }
        AuthorizationError::InvalidRequestUri => "Use a request_uri once, at once, and with the client_id that pushed it.",
    }
}

/// What to change after an error that the person saw, since nothing said where an answer could go.
pub fn of_page_error(error: PageError) -> &'static str {
    match error {
        PageError::Parameters(_) => "Send a query of parameters, percent-encoded once, each at most once.",
        PageError::MissingParameter(_) => "Add the parameter. client_id and redirect_uri are always needed.",
        PageError::RepeatedParameter(_) => "Send the parameter once.",
        PageError::UnknownClient => "Send the client_id exactly as this page shows it.",
        PageError::UnregisteredRedirectUri => {
            "Send a redirect_uri that is registered on this page, byte for byte: scheme, host, port, path and slash at the end. Or register the one that you send."
        }
        PageError::Request(error, description) => of_authorization_error(error, description),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_remedy_is_a_sentence_that_a_developer_can_follow() {
        let kinds = [
            of_token_error(TokenError::InvalidRequest("x")),
            of_token_error(TokenError::InvalidClient("x")),
            of_token_error(TokenError::InvalidClient("client authentication failed")),
            of_token_error(TokenError::InvalidGrant("x")),
            of_token_error(TokenError::UnauthorizedClient("x")),
            of_token_error(TokenError::UnsupportedGrantType("x")),
            of_token_error(TokenError::InvalidScope("x")),
            of_proof_error(ProofError::Nonce),
            of_page_error(PageError::UnregisteredRedirectUri),
        ];
        for remedy in kinds.into_iter().chain(OF_DESCRIPTIONS.iter().map(|(_, remedy)| *remedy)) {
            assert!(remedy.ends_with('.') && remedy.len() > 15 && !remedy.contains("  "), "{remedy}");
        }
    }

    #[test]
    fn a_description_with_a_remedy_of_its_own_does_not_get_that_of_its_kind() {
        let known = of_token_error(TokenError::InvalidRequest("code_verifier is required"));
        assert!(known.contains("code_challenge"));
        assert_eq!(of_token_error(TokenError::InvalidRequest(Repeated::of("scope").description())), "Send each parameter once.");
        assert_ne!(known, of_token_error(TokenError::InvalidRequest("another")));
        let pushed = TokenError::AuthorizationRequest(AuthorizationError::InvalidRequest, "state is required");
        assert_eq!(of_token_error(pushed), of_authorization_error(AuthorizationError::InvalidRequest, "state is required"));
    }

    /// The descriptions are looked for in the sources that say them: a text that is changed there would lose its remedy here.
    #[test]
    fn every_description_is_one_that_clients_are_told() {
        let sources = [
            include_str!("../../../../oauth/src/authorize.rs"),
            include_str!("../../../../oauth/src/token_request.rs"),
            include_str!("../../../../oauth/src/client_request.rs"),
            include_str!("../../../../oauth/src/token_error.rs"),
            include_str!("../../../../oauth/src/grant/code.rs"),
            include_str!("../clients/token.rs"),
            include_str!("../clients/token/refreshing.rs"),
            include_str!("../clients/client_authentication.rs"),
            include_str!("../authorization/authorize.rs"),
            include_str!("../authorization/granting.rs"),
            include_str!("../authorization/launch_context.rs"),
            include_str!("../mod.rs"),
            include_str!("mod.rs"),
        ];
        for (description, _) in OF_DESCRIPTIONS {
            assert!(sources.iter().any(|source| source.contains(&format!("\"{description}\""))), "nobody says: {description}");
        }
    }
}
