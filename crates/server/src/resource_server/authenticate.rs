//! Stage 4: an access token becomes a principal, or a 401 that says what to do.
//!
//! RFC 6750, RFC 9068, RFC 9449 section 7, RFC 8705 section 3. The signature is verified once and cached; the status (grant, client, user) is read from the registry for every
//! request, so that a revocation holds for the next one; and what the token is bound to is proven with every request.

use std::sync::Arc;

use http::header;
use portcullis_fhir::outcome::IssueType;
use portcullis_jose::JwtError;
use portcullis_jose::digest::sha256;
use portcullis_oauth::access_token::{AccessTokenError, AccessTokenTrust, Subject, VerifiedToken};
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::confirmation::{CertificateThumbprint, ConfirmationError, Possession};
use portcullis_oauth::dpop::{ProofError, VerifiedProof};
use portcullis_oauth::principal::{EstablishError, Principal, PurposeOfUse, Uncleared};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::session::{AssuranceLevel, Methods};
use portcullis_oauth::users::Roles;
use portcullis_store::registry::RegistryError;

use super::account::Account;
use super::refusal::Refusal;
use super::{Exchange, purpose};
use crate::context::{Server, Settings};
use crate::dpop::{self, Worn};
use crate::middleware::refusals::Standing;

/// Why nobody is authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// No `Authorization` header.
    #[error("no credentials")]
    Missing,
    /// Another scheme than Bearer and DPoP, or a malformed header.
    #[error("malformed Authorization header")]
    Malformed,
    /// The token is not one of ours, for another audience, or revoked.
    #[error("invalid token: {0}")]
    Invalid(String, Scheme),
    /// The token is ours, and was revoked, or is somebody else's to use.
    #[error("token no longer good: {0}")]
    Ended(EstablishError, Scheme),
    /// The token's time is over.
    #[error("expired token")]
    Expired(Scheme),
    /// The person had not signed in as strongly as the operator wants it for the scopes of the token, or for the person's role (RFC 9470).
    #[error("the sign-in was not strong enough: {} is required", .0.acr())]
    Insufficient(AssuranceLevel, Scheme),
    /// The proof is missing or wrong, or came before.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The status cannot be read.
    #[error("the registry is not available")]
    Unavailable(#[source] RegistryError),
}

impl AuthenticationError {
    /// The same error about a token that came by this scheme.
    fn by(self, scheme: Scheme) -> Self {
        match self {
            Self::Invalid(reason, _) => Self::Invalid(reason, scheme),
            Self::Ended(error, _) => Self::Ended(error, scheme),
            Self::Expired(_) => Self::Expired(scheme),
            Self::Insufficient(level, _) => Self::Insufficient(level, scheme),
            other => other,
        }
    }

    /// The `WWW-Authenticate` headers: no error code where no credentials came (RFC 6750, section 3.1).
    pub fn challenges(&self) -> Vec<String> {
        let one = |scheme: Scheme, code: &str, description: &str| {
            let description =
                if description.is_empty() { String::new() } else { format!(", error_description=\"{description}\"") };
            vec![format!("{}, error=\"{code}\"{description}", scheme.challenge())]
        };
        match self {
            Self::Missing => vec![Scheme::Bearer.challenge(), Scheme::Dpop.challenge()],
            Self::Malformed => one(Scheme::Bearer, "invalid_request", ""),
            // A bound token as a bearer token: whoever holds the key learns what to send (RFC 9449 section 7.2).
            Self::Ended(EstablishError::Unconfirmed(ConfirmationError::ProofMissing), _) => {
                one(Scheme::Dpop, "invalid_token", "The access token is bound to a key and needs a DPoP proof")
            }
            Self::Ended(EstablishError::Unconfirmed(error), scheme) => {
                one(*scheme, "invalid_token", &format!("Not confirmed: {error}"))
            }
            Self::Invalid(_, scheme) | Self::Ended(_, scheme) => one(*scheme, "invalid_token", ""),
            Self::Unavailable(_) => one(Scheme::Bearer, "invalid_token", ""),
            Self::Expired(scheme) => one(*scheme, "invalid_token", "The access token has expired"),
            Self::Insufficient(level, scheme) => {
                let challenge = one(*scheme, "insufficient_user_authentication", "A stronger sign-in is required");
                challenge.into_iter().map(|challenge| format!("{challenge}, acr_values=\"{}\"", level.acr())).collect()
            }
            Self::Proof(ProofError::Nonce) => one(Scheme::Dpop, "use_dpop_nonce", &ProofError::Nonce.to_string()),
            Self::Proof(error) => one(Scheme::Dpop, "invalid_dpop_proof", &error.to_string()),
        }
    }

    /// The value of `error` where the answer is JSON of OAuth: as in the challenge.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "invalid_request",
            Self::Proof(ProofError::Nonce) => "use_dpop_nonce",
            Self::Proof(_) => "invalid_dpop_proof",
            Self::Insufficient(..) => "insufficient_user_authentication",
            Self::Missing | Self::Invalid(..) | Self::Ended(..) | Self::Expired(_) | Self::Unavailable(_) => "invalid_token",
        }
    }

    /// The issue code of the OperationOutcome.
    pub fn issue_type(&self) -> IssueType {
        match self {
            Self::Expired(_) => IssueType::Expired,
            _ => IssueType::Login,
        }
    }

    /// Whether the token was once good: its signature is ours.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Expired(_) | Self::Ended(..) | Self::Insufficient(..) | Self::Proof(_) => Standing::Former,
            Self::Missing | Self::Malformed | Self::Invalid(..) | Self::Unavailable(_) => Standing::Stranger,
        }
    }

    /// What to do about it. Does not say why a token is invalid: that would help only an attacker.
    pub fn advice(&self) -> String {
        let fixed = match self {
            Self::Missing => {
                "Send an access token: `Authorization: Bearer ...`. Apps get one as .well-known/smart-configuration describes."
            }
            Self::Malformed => "The Authorization header must be `Bearer` or `DPoP`, one space and the access token.",
            Self::Ended(EstablishError::Unconfirmed(ConfirmationError::ProofMissing), _) => {
                "The access token is bound to a key. Send it as `Authorization: DPoP ...` with a DPoP proof."
            }
            Self::Ended(EstablishError::Unconfirmed(ConfirmationError::NotBound), _) => {
                "The access token is bound to no key. Send it as `Authorization: Bearer ...`."
            }
            Self::Invalid(..) | Self::Ended(..) | Self::Unavailable(_) => "The access token is not valid here. Get a new one.",
            Self::Expired(_) => "The access token has expired. Use the refresh token, or start the app again.",
            Self::Insufficient(..) => {
                "A stronger sign-in is required. Ask for authorization again with the acr_values of the WWW-Authenticate header."
            }
            Self::Proof(error) => return format!("{error}. See RFC 9449, section 4.3."),
        };
        fixed.to_owned()
    }
}

/// The longest token that is looked at, in bytes.
const MAXIMUM_TOKEN: usize = 16 * 1024;

/// Whose request it is. What it asks of FHIR is decided for the purpose that it states: whoever it is and what serves to look again are given together with that alone.
#[derive(Debug)]
pub struct Authenticated {
    principal: Principal,
    credentials: Credentials,
    stated: Result<(), Refusal>,
}

impl Authenticated {
    /// For FHIR: notes who asks and for which purpose, and gives the credentials. A purpose that nobody knows is refused, and on record with whoever stated it.
    pub fn stating(self, account: &mut Account) -> Result<Credentials, Refusal> {
        account.principal = Some(Arc::new(self.principal));
        self.stated.map(|()| self.credentials)
    }

    /// For what reads no FHIR and decides by no purpose: registration, introspection, administration.
    pub fn beside_fhir(self) -> Principal {
        self.principal
    }
}

/// What a request was authenticated with: a verified token, and the proof that it was presented with, which has counted. Made only by
/// [`authenticate`].
#[derive(Debug)]
pub struct Credentials {
    token: Arc<VerifiedToken>,
    proof: Option<VerifiedProof>,
    certificate: Option<CertificateThumbprint>,
    /// The purpose that the request states.
    purpose: Option<PurposeOfUse>,
}

/// Authenticates a request. The credentials serve to look again ([`Credentials::establish`]) while the same request goes on.
pub async fn authenticate(server: &Server, exchange: &Exchange) -> Result<Authenticated, AuthenticationError> {
    let (scheme, text) = presented(exchange)?;
    let now = server.clock.now_seconds();
    let token = verified(server, text, now).map_err(|error| error.by(scheme))?;
    exchange.asker.is(token.client());
    let proof = match scheme {
        Scheme::Bearer => None,
        Scheme::Dpop => Some(dpop::proof(server, exchange, Some(text))?.ok_or(ProofError::Missing)?),
    };
    let stated = purpose::stated(exchange);
    let purpose = stated.as_ref().copied().unwrap_or_default();
    let credentials = Credentials { token, proof, certificate: exchange.peer.certificate, purpose };
    let principal = credentials.establish(server).await.map_err(|error| error.by(scheme))?;
    credentials.check_assurance(server, &principal).await.map_err(|error| error.by(scheme))?;
    if let Some(proof) = &credentials.proof {
        server.proof_nonces.note(proof, &*server.entropy, now).map_err(|worn| match worn {
            Worn::Replayed => ProofError::Replayed,
            Worn::Nonce => ProofError::Nonce,
        })?;
    }
    server.registry.note_use(credentials.token.grant(), now);
    Ok(Authenticated { principal, credentials, stated: stated.map(|_| ()) })
}

impl Credentials {
    /// The principal of this moment, for the purpose that the request states.
    pub async fn establish(&self, server: &Server) -> Result<Principal, AuthenticationError> {
        let now = server.clock.now_seconds();
        let status = server.registry.token_status(&self.token, now).await.map_err(AuthenticationError::Unavailable)?;
        let certificate = self.certificate;
        let possession = match &self.proof {
            Some(proof) => Possession::Proven { proof, certificate },
            None => Possession::Bearer { certificate },
        };
        let principal = Principal::establish(&self.token, &possession, status, now);
        let cleared = |principal: Uncleared| {
            let cleared = principal.cleared(&server.settings.authorization.labels);
            let principal = cleared.stating(self.purpose).asking(server.circumstances());
            if keeps_patient(&server.settings, &self.token) { principal } else { principal.without_patient() }
        };
        principal.map(cleared).map_err(|error| match error {
            EstablishError::Expired => AuthenticationError::Expired(Scheme::Bearer),
            other => AuthenticationError::Ended(other, Scheme::Bearer),
        })
    }

    /// Refuses a token of a grant that was given in a weaker sign-in than its scopes and the person's roles take by now. Costs nothing where the operator has
    /// no such rule.
    async fn check_assurance(&self, server: &Server, principal: &Principal) -> Result<(), AuthenticationError> {
        let roles = principal.user().map_or(Roles::NONE, |user| user.roles);
        if required_assurance(&server.settings, &self.token, roles).is_none() {
            return Ok(());
        }
        let methods = server.registry.methods_of_grant(self.token.grant()).await.map_err(AuthenticationError::Unavailable)?;
        match lacks_assurance(&server.settings, &self.token, roles, methods) {
            None => Ok(()),
            Some(required) => Err(AuthenticationError::Insufficient(required, Scheme::Bearer)),
        }
    }
}

/// Whether the patient of a token may still be in context. Costs nothing where no capability about it is off.
fn keeps_patient(settings: &Settings, token: &VerifiedToken) -> bool {
    let capabilities = settings.authorization.capabilities;
    let both = capabilities.has(Capability::ContextStandalonePatient) && capabilities.has(Capability::ContextEhrPatient);
    both || token.patient().is_none()
        || ScopeSet::parse(token.scope()).is_ok_and(|scopes| capabilities.keeps_any_patient(&scopes))
}

/// What the operator asks for before a token of these scopes serves a person of these roles; a client on its own behalf signs in nowhere.
fn required_assurance(settings: &Settings, token: &VerifiedToken, roles: Roles) -> Option<AssuranceLevel> {
    let policy = &settings.authorization.assurance;
    if policy.is_empty() || matches!(token.subject(), Subject::Client(_)) {
        return None;
    }
    // What a token says that this version cannot read takes the strongest sign-in that there is a rule about.
    ScopeSet::parse(token.scope()).map_or(Some(AssuranceLevel::PhishingResistant), |scopes| policy.of_scopes(&scopes, roles))
}

/// What was required of the sign-in of a grant with these methods, of a person of these roles, and is not fulfilled.
pub fn lacks_assurance(
    settings: &Settings,
    token: &VerifiedToken,
    roles: Roles,
    methods: Option<Methods>,
) -> Option<AssuranceLevel> {
    required_assurance(settings, token, roles).filter(|required| methods.is_none_or(|methods| methods.level() < *required))
}

/// How an access token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 section 7.1.
    Dpop,
}

impl Scheme {
    /// The scheme of a request, rightly or wrongly; bearer where it cannot be told.
    pub fn of(exchange: &Exchange) -> Self {
        presented(exchange).map_or(Self::Bearer, |(scheme, _)| scheme)
    }

    /// The start of its challenges.
    pub fn challenge(self) -> String {
        match self {
            Self::Bearer => "Bearer realm=\"fhir\"".to_owned(),
            Self::Dpop => format!("DPoP realm=\"fhir\", algs=\"{}\"", dpop::algorithms()),
        }
    }
}

fn presented(exchange: &Exchange) -> Result<(Scheme, &str), AuthenticationError> {
    let mut values = exchange.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthenticationError::Missing)?;
    if values.next().is_some() {
        return Err(AuthenticationError::Malformed);
    }
    let text = value.to_str().map_err(|_| AuthenticationError::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthenticationError::Malformed)?;
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else {
        return Err(AuthenticationError::Malformed);
    };
    let acceptable = !token.is_empty() && token.len() <= MAXIMUM_TOKEN;
    if acceptable { Ok((scheme, token)) } else { Err(AuthenticationError::Malformed) }
}

fn verified(server: &Server, token: &str, now: i64) -> Result<Arc<VerifiedToken>, AuthenticationError> {
    let key = sha256(token);
    if let Some(cached) = server.tokens.get(&key) {
        if cached.expires_at() <= now {
            server.tokens.invalidate(&key);
            return Err(AuthenticationError::Expired(Scheme::Bearer));
        }
        return Ok(cached);
    }
    let (settings, keys) = (&server.settings, server.keys.at(now));
    let trust = AccessTokenTrust { keys: &keys.verification, issuer: &settings.public_url, fhir_base: &settings.fhir_base };
    let verified = VerifiedToken::verify(token, &trust, now).map_err(|error| match error {
        AccessTokenError::Jwt(JwtError::Expired | JwtError::TooOld) => AuthenticationError::Expired(Scheme::Bearer),
        other => AuthenticationError::Invalid(other.to_string(), Scheme::Bearer),
    })?;
    let verified = Arc::new(verified);
    server.tokens.insert(key, Arc::clone(&verified));
    Ok(verified)
}
