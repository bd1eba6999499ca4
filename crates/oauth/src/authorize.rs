//! The authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section 3.1.2.1, SMART App Launch
//! 2.2.0 "Obtain authorization code").
//!
//! It is read in two stages. First who asks and where answers go: "If the request fails due to a missing, invalid, or mismatching
//! redirection URI, or if the client identifier is missing or invalid, the authorization server SHOULD inform the resource owner of
//! the error and MUST NOT automatically redirect" (RFC 6749 section 4.1.2.1). Then the rest, whose errors go to the app.
//!
//! What the handle of a launch from an EHR stands for is looked up by the caller: [`crate::launch`].

mod error;

pub use error::{AuthorizationError, AuthorizationErrorResponse, PageError};

use portcullis_jose::verify::MAXIMUM_TOKEN_BYTES;

use crate::capabilities::{Capabilities, Capability, LaunchSequence};
use crate::clients::{Client, GrantType};
use crate::confirmation::KeyThumbprint;
use crate::grant::SecretHash;
use crate::identifiers::ClientId;
use crate::metadata;
use crate::parameters::{Parameters, append_to_query};
use crate::pkce::{self, CodeChallenge};
use crate::redirect_uri::RedirectTarget;
use crate::scopes::{RequestedScopes, Scope, ScopeKind, ScopeSet};
use crate::session::AssuranceLevel;

/// The longest `nonce` and `login_hint`, in bytes.
const MAXIMUM_HINT_BYTES: usize = 512;

/// The client that a request names; the caller looks it up. An error is shown on a page.
pub fn claimed_client(parameters: &Parameters) -> Result<ClientId, PageError> {
    let text = parameters.value("client_id").map_err(|_| PageError::RepeatedParameter("client_id"))?;
    ClientId::parse(text.ok_or(PageError::MissingParameter("client_id"))?).ok_or(PageError::UnknownClient)
}

/// A request whose client and redirect URI are known to belong together: from here on, errors go to the app.
#[derive(Debug)]
pub struct RedirectableRequest<'a> {
    parameters: &'a Parameters,
    client: &'a Client,
    redirect: RedirectTarget,
}

impl<'a> RedirectableRequest<'a> {
    /// Joins a request with the client that was found for it. An error is shown on a page.
    pub fn new(parameters: &'a Parameters, client: Option<&'a Client>) -> Result<Self, PageError> {
        let claimed = claimed_client(parameters)?;
        let client = client.filter(|client| client.id == claimed).ok_or(PageError::UnknownClient)?;
        let requested = parameters.value("redirect_uri").map_err(|_| PageError::RepeatedParameter("redirect_uri"))?;
        let requested = requested.ok_or(PageError::MissingParameter("redirect_uri"))?;
        let redirect = client.redirect_target(requested).ok_or(PageError::UnregisteredRedirectUri)?;
        Ok(Self { parameters, client, redirect })
    }

    /// The answer that takes an error to the app before the rest of the request is read.
    pub fn refuse(&self, error: AuthorizationError, description: &'static str) -> AuthorizationErrorResponse {
        let state = self.parameters.value("state").ok().flatten().map(str::to_owned);
        AuthorizationErrorResponse { redirect: self.redirect.clone(), error, description, state }
    }

    /// Reads the rest of the request for a server with this FHIR base (without slash at the end) and these capabilities.
    pub fn parse(self, fhir_base: &str, capabilities: Capabilities) -> Result<AuthorizationRequest, AuthorizationErrorResponse> {
        let state = self.parameters.value("state").ok().flatten().map(str::to_owned);
        self.parse_rest(fhir_base, capabilities).map_err(|(error, description)| AuthorizationErrorResponse {
            redirect: self.redirect.clone(),
            error,
            description,
            state,
        })
    }

    fn parse_rest(&self, fhir_base: &str, capabilities: Capabilities) -> Result<AuthorizationRequest, Refusal> {
        self.check_form()?;
        let sequence = self.sequence(capabilities)?;
        let state = self.required("state", "state is required")?;
        self.check_audience(fhir_base)?;
        let challenge = self.challenge()?;
        let (mut scopes, mut left_out) = self.scopes(|scope| capabilities.admits_when(scope, sequence))?;
        let launch = self.launch(&mut scopes, &mut left_out)?;
        Ok(AuthorizationRequest {
            client: self.client.id.clone(),
            redirect: self.redirect.clone(),
            state: state.to_owned(),
            scopes,
            left_out,
            launch,
            challenge,
            key: self.key()?,
            nonce: self.bounded("nonce", "nonce is too long")?,
            prompt: self.prompt()?,
            max_age_seconds: self.max_age()?,
            login_hint: self.bounded("login_hint", "login_hint is too long")?,
            assurance: self.assurance()?,
            id_token_hint: self.id_token_hint()?,
        })
    }

    /// What makes the request one that this server can answer at all.
    fn check_form(&self) -> Result<(), Refusal> {
        use AuthorizationError::{
            InvalidRequest, RequestNotSupported, RequestUriNotSupported, UnauthorizedClient, UnsupportedResponseType,
        };
        self.parameters.check_each_once().map_err(|repeated| (InvalidRequest, repeated.description()))?;
        match self.optional("response_type")? {
            Some("code") => {}
            None => return Err((InvalidRequest, "response_type is required and must be code")),
            Some(_) => return Err((UnsupportedResponseType, "response_type must be code")),
        }
        if !self.client.may_use(GrantType::AuthorizationCode) {
            return Err((UnauthorizedClient, "this client may not use the authorization code grant"));
        }
        if self.optional("request")?.is_some() {
            return Err((RequestNotSupported, "request objects are not supported"));
        }
        if self.optional("request_uri")?.is_some() {
            return Err((RequestUriNotSupported, "request_uri is not supported"));
        }
        if self.optional("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err((InvalidRequest, "response_mode must be query"));
        }
        Ok(())
    }

    /// How the app was opened, if apps of this kind are opened so here.
    fn sequence(&self, capabilities: Capabilities) -> Result<LaunchSequence, Refusal> {
        capabilities.check_client(self.client).map_err(|off| (AuthorizationError::UnauthorizedClient, off))?;
        let (sequence, capability) = match self.optional("launch")? {
            Some(_) => (LaunchSequence::Ehr, Capability::LaunchEhr),
            None => (LaunchSequence::Standalone, Capability::LaunchStandalone),
        };
        capabilities.check(capability).map_err(|off| (AuthorizationError::InvalidRequest, off))?;
        Ok(sequence)
    }

    /// `aud` names this FHIR server, with or without a slash at the end; `resource` (RFC 8707) may stand in for it, and where both are
    /// sent both must.
    fn check_audience(&self, fhir_base: &str) -> Result<(), Refusal> {
        let names_us = |audience: &str| audience.strip_suffix('/').unwrap_or(audience) == fhir_base;
        let sent = [self.optional("aud")?, self.optional("resource")?];
        if sent.iter().all(Option::is_none) {
            return Err((AuthorizationError::InvalidRequest, "aud is required and must be the FHIR base URL"));
        }
        if !sent.into_iter().flatten().all(names_us) {
            return Err((AuthorizationError::InvalidRequest, "aud must be the FHIR base URL of this server"));
        }
        Ok(())
    }

    /// The challenge: required of all but clients that were let off it, and enforced wherever it is sent.
    fn challenge(&self) -> Result<Option<CodeChallenge>, Refusal> {
        let method = self.optional("code_challenge_method")?;
        let Some(text) = self.optional("code_challenge")? else {
            return if self.client.may_omit_challenge() && method.is_none() {
                Ok(None)
            } else {
                Err((AuthorizationError::InvalidRequest, "code_challenge is required"))
            };
        };
        // An absent method means plain (RFC 7636 section 4.3), and plain protects nothing.
        if method != Some(pkce::METHOD) {
            return Err((AuthorizationError::InvalidRequest, "code_challenge_method is required and must be S256"));
        }
        let problem = (AuthorizationError::InvalidRequest, "code_challenge must have 43 to 128 unreserved characters");
        CodeChallenge::parse(text).map(Some).ok_or(problem)
    }

    /// The thumbprint of the key that the code is to be bound to (RFC 9449 section 10).
    fn key(&self) -> Result<Option<KeyThumbprint>, Refusal> {
        let Some(text) = self.optional("dpop_jkt")? else { return Ok(None) };
        let problem = (AuthorizationError::InvalidRequest, "dpop_jkt must be a SHA-256 thumbprint in base64url");
        KeyThumbprint::parse(text).map(Some).ok_or(problem)
    }

    /// The scopes that can be granted, and those that are left out: not understood, not offered, switched off, or not open to this client.
    fn scopes(&self, is_on: impl Fn(&Scope) -> bool) -> Result<(ScopeSet, Vec<String>), Refusal> {
        let text = self.required("scope", "scope is required")?;
        let requested = RequestedScopes::parse(text).map_err(|_| (AuthorizationError::InvalidScope, "too many scopes"))?;
        let mut left_out: Vec<String> = requested.unsupported.into_iter().map(|unsupported| unsupported.0.into()).collect();
        let is_offered = |scope: &Scope| metadata::offers(scope) && is_on(scope);
        let offered = requested.supported.retaining(is_offered);
        let (scopes, beyond) = offered.within(&self.client.scope);
        left_out.extend(requested.supported.iter().filter(|scope| !is_offered(scope)).map(Scope::to_string));
        left_out.extend(beyond.iter().map(Scope::to_string));
        if scopes.is_empty() {
            return Err((AuthorizationError::InvalidScope, "none of the requested scopes can be granted to this client"));
        }
        Ok((scopes, left_out))
    }

    /// The handle of a launch from an EHR; it and the scope `launch` need each other. An app that asks for a choice of its own, too, comes
    /// standalone when it brings no handle: then `launch` is left out.
    fn launch(&self, scopes: &mut ScopeSet, left_out: &mut Vec<String>) -> Result<Option<SecretHash>, Refusal> {
        use AuthorizationError::{InvalidRequest, InvalidScope};
        let standalone = scopes.has(ScopeKind::LaunchPatient) || scopes.has(ScopeKind::LaunchEncounter);
        match (self.bounded("launch", "launch is too long")?, scopes.has(ScopeKind::Launch)) {
            (Some(handle), true) => Ok(Some(SecretHash::of(&handle))),
            (Some(_), false) if left_out.iter().any(|scope| scope == "launch") => {
                Err((InvalidScope, "this client may not ask for the scope launch"))
            }
            (Some(_), false) => Err((InvalidRequest, "the parameter launch needs the scope launch")),
            (None, true) if standalone => {
                *scopes = scopes.retaining(|scope| scope.kind() != ScopeKind::Launch);
                left_out.push("launch".to_owned());
                Ok(None)
            }
            (None, true) => Err((InvalidRequest, "the scope launch needs the parameter launch that the EHR gave to the app")),
            (None, false) => Ok(None),
        }
    }

    fn prompt(&self) -> Result<Prompt, Refusal> {
        let mut prompt = Prompt::default();
        for word in self.optional("prompt")?.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err((AuthorizationError::InvalidRequest, "prompt must be none, login, consent or select_account")),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err((AuthorizationError::InvalidRequest, "prompt none excludes the others"));
        }
        Ok(prompt)
    }

    fn max_age(&self) -> Result<Option<i64>, Refusal> {
        let problem = (AuthorizationError::InvalidRequest, "max_age must be a number of seconds");
        let Some(text) = self.optional("max_age")? else { return Ok(None) };
        if text.len() > 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(problem);
        }
        text.parse().map(Some).map_err(|_| problem)
    }

    /// What the request says, or else what the client registered.
    fn assurance(&self) -> Result<Option<AssuranceLevel>, Refusal> {
        let sent = self.bounded("acr_values", "acr_values is too long")?;
        let values = sent.unwrap_or_else(|| self.client.properties.default_acr_values.join(" "));
        Ok(AssuranceLevel::preferred(&values))
    }

    /// Its signature is looked at by whoever has the keys: [`crate::id_token::user_of_past`].
    fn id_token_hint(&self) -> Result<Option<String>, Refusal> {
        match self.optional("id_token_hint")? {
            Some(text) if text.len() > MAXIMUM_TOKEN_BYTES => {
                Err((AuthorizationError::InvalidRequest, "id_token_hint is too long"))
            }
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn bounded(&self, name: &str, problem: &'static str) -> Result<Option<String>, Refusal> {
        match self.optional(name)? {
            Some(text) if text.len() > MAXIMUM_HINT_BYTES => Err((AuthorizationError::InvalidRequest, problem)),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn required(&self, name: &str, problem: &'static str) -> Result<&'a str, Refusal> {
        self.optional(name)?.ok_or((AuthorizationError::InvalidRequest, problem))
    }

    fn optional(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.parameters.value(name).map_err(|repeated| (AuthorizationError::InvalidRequest, repeated.description()))
    }
}

/// The code and the description of an error that goes to the app.
type Refusal = (AuthorizationError, &'static str);

/// What the app wants the person to see (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Prompt {
    /// No page at all; excludes the others.
    pub none: bool,
    /// Sign in again even if signed in.
    pub login: bool,
    /// Ask for consent again even if given.
    pub consent: bool,
    /// Choose the account.
    pub select_account: bool,
}

/// A valid authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// The client.
    pub client: ClientId,
    /// Where the answer goes.
    pub redirect: RedirectTarget,
    /// To be returned byte for byte.
    pub state: String,
    /// The scopes that may be granted, as asked for.
    pub scopes: ScopeSet,
    /// The scopes that will not be granted, as asked for; the consent screen names them.
    pub left_out: Vec<String>,
    /// The hash of the handle of a launch from an EHR.
    pub launch: Option<SecretHash>,
    /// What the code's redeemer must know the origin of; none where a client of SMART 1.0 sent none.
    pub challenge: Option<CodeChallenge>,
    /// The key that the code is bound to.
    pub key: Option<KeyThumbprint>,
    /// To be returned in the id_token.
    pub nonce: Option<String>,
    /// What the person should see.
    pub prompt: Prompt,
    /// How long ago the person may have signed in, in seconds.
    pub max_age_seconds: Option<i64>,
    /// Who will probably sign in.
    pub login_hint: Option<String>,
    /// How sure the app wants to be who it is (`acr_values`): the first level that is known here.
    pub assurance: Option<AssuranceLevel>,
    /// An id_token of this server, as sent: whoever it names is to sign in, and nobody else.
    pub id_token_hint: Option<String>,
}

impl AuthorizationRequest {
    /// The URL that takes a code to the app (RFC 6749 section 4.1.2), with `iss` (RFC 9207).
    pub fn success_location(&self, code: &str, issuer: &str) -> String {
        let mut location = self.redirect.as_str().to_owned();
        append_to_query(&mut location, "code", code);
        append_to_query(&mut location, "state", &self.state);
        append_to_query(&mut location, "iss", issuer);
        location
    }

    /// The answer that takes an error to the app. The description must be of visible ASCII without quotes or backslashes.
    pub fn refuse(&self, error: AuthorizationError, description: &'static str) -> AuthorizationErrorResponse {
        AuthorizationErrorResponse { redirect: self.redirect.clone(), error, description, state: Some(self.state.clone()) }
    }

    /// Whether no earlier login counts at all: whoever is to choose another account signs in for that.
    pub fn demands_sign_in(&self) -> bool {
        self.prompt.login || self.prompt.select_account
    }

    /// Whether a login at a time (seconds since the epoch) is still recent enough for this request.
    pub fn accepts_login_at(&self, signed_in_at: i64, now: i64) -> bool {
        !self.demands_sign_in() && self.max_age_seconds.is_none_or(|maximum| now.saturating_sub(signed_in_at) <= maximum)
    }
}

#[cfg(test)]
mod tests;
