//! Token introspection (RFC 7662; SMART App Launch 2.2.0, "Token Introspection") and its answer as a JWT (RFC 9701).
//!
//! Who may see which token: a client sees its own tokens, a client that is registered as a resource server those of all clients, and a
//! public client none, since anybody can call itself by its name. Whatever is not active, not known or not for the caller is answered
//! with one and the same text. A token is active by the test that also precedes each request to data, with what the registry says at
//! this moment; what the scopes come to in the end (consents, labels) is not in the answer.

use portcullis_fhir::purpose::OBJECT_IDENTIFIER;
use portcullis_fhir::reference::LocalReference;
use portcullis_jose::{Algorithm, Secret, SignError, SigningKey};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::access_token::{Subject, VerifiedToken};
use crate::client_request::ClientRequest;
use crate::clients::{Client, ClientKind};
use crate::confirmation::Confirmation;
use crate::grant::{Grant, RefreshToken};
use crate::identifiers::ClientId;
use crate::principal::{EstablishError, TokenStatus};
use crate::purposes::Purposes;
use crate::scopes::{ScopeKind, ScopeSet};
use crate::session::Methods;
use crate::token_error::TokenError;
use crate::token_request::ClientCredentials;
use crate::users::{Role, Roles};

/// The media type of the answer as a JWT (RFC 9701 section 4).
pub const JWT_MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// The `typ` of that JWT (RFC 9701 section 5).
const HEADER_TYPE: &str = "token-introspection+jwt";

/// The code system of [`Role::class`].
const ROLE_CLASS: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleClass";

/// The whole answer about a token of which there is nothing to say (RFC 7662 section 2.2).
pub const INACTIVE: &str = r#"{"active":false}"#;

/// What a client sends: who it is, and the token in question. `token_type_hint` is not needed to find a token.
pub fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Secret<String>), TokenError> {
    let token = Secret::new(request.required("token", "token is required")?.to_owned());
    Ok((request.credentials()?, token))
}

/// The token in question, where the caller authenticates by a bearer token in the header. Other credentials beside it are refused.
pub fn parse_with_bearer(request: &ClientRequest<'_>) -> Result<Secret<String>, TokenError> {
    for name in ["client_secret", "client_assertion", "client_assertion_type"] {
        if request.optional(name)?.is_some() {
            return Err(TokenError::InvalidRequest("only one way of client authentication may be used"));
        }
    }
    Ok(Secret::new(request.required("token", "token is required")?.to_owned()))
}

/// Refuses callers who cannot be told from others.
pub fn check_caller(caller: &Client) -> Result<(), TokenError> {
    match caller.kind {
        ClientKind::Public => Err(TokenError::InvalidClient("introspection is for clients with credentials; this one is public")),
        _ => Ok(()),
    }
}

/// Whether a caller may see tokens of this client at all.
pub fn may_see(caller: &Client, owner: &ClientId) -> bool {
    caller.properties.resource_server || caller.id == *owner
}

/// What is the same for every answer of one server.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The FHIR base, the audience of access tokens.
    pub fhir_base: &'a str,
}

/// The state of a token, for somebody who may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveToken(Map<String, Value>);

impl ActiveToken {
    /// An access token, by its verified claims, the registry's word about it, and the grant that it descends from where a person gave it.
    pub fn access(
        token: &VerifiedToken,
        status: TokenStatus,
        grant: Option<&Grant>,
        issuer: &Issuer<'_>,
        now: i64,
    ) -> Result<Self, EstablishError> {
        let standing = status.standing(token, now)?;
        let subject = match token.subject() {
            Subject::User(user) => user.as_str(),
            Subject::Client(client) => client.as_str(),
        };
        let mut members = common(token.client(), token.scope(), issuer);
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        set("token_type", Confirmation::token_type(token.confirmation()).into());
        if let Some(confirmation) = token.confirmation() {
            set("cnf", json!(confirmation));
        }
        set("sub", subject.into());
        set("aud", issuer.fhir_base.into());
        set("exp", token.expires_at().into());
        set("iat", token.issued_at().into());
        set("jti", token.token_id().as_str().into());
        if let Some(fhir_user) = fhir_user(token.scope(), standing.user.as_ref().and_then(|user| user.fhir_user.as_ref())) {
            set("fhirUser", format!("{}/{fhir_user}", issuer.fhir_base).into());
        }
        if matches!(token.subject(), Subject::Client(_)) {
            let purposes = Purposes::of_client(&standing.purposes.client);
            let named = purposes.leave().map(|purpose| format!("{OBJECT_IDENTIFIER}#{purpose}"));
            members.insert("purpose_of_use".into(), named.collect::<Vec<_>>().into());
        }
        members.extend(launch_context(grant));
        Ok(Self(members))
    }

    /// A refresh token that would be exchanged at this moment for tokens with these scopes. It is for its own client alone: whoever protects
    /// resources must not take one for an access token.
    pub fn refresh(token: &RefreshToken, grant: &Grant, scopes: &ScopeSet, issuer: &Issuer<'_>) -> Self {
        let mut members = common(&token.client, &scopes.to_string(), issuer);
        members.insert("sub".into(), grant.user.as_str().into());
        members.insert("exp".into(), token.expires_at.into());
        members.extend(launch_context(Some(grant)));
        Self(members)
    }

    /// The same with how strongly the person had signed in who gave the grant, and when (RFC 9470 section 6.2).
    #[must_use]
    pub fn authenticated(mut self, methods: Option<Methods>, grant: Option<&Grant>) -> Self {
        if let Some(methods) = methods {
            self.0.insert("acr".into(), methods.level().acr().into());
        }
        if let Some(grant) = grant {
            self.0.insert("auth_time".into(), grant.authenticated_at.into());
        }
        self
    }

    /// The same with what the person is, for a caller that decides by it: `roles` (RFC 9068 section 2.2.3.1), as codes of v3-RoleClass, which the value set of
    /// security roles of FHIR R4 has.
    #[must_use]
    pub fn in_roles(mut self, roles: Roles) -> Self {
        let mut classes: Vec<&str> = roles.iter().map(Role::class).collect();
        classes.sort_unstable();
        classes.dedup();
        if !classes.is_empty() {
            let named: Vec<String> = classes.into_iter().map(|class| format!("{ROLE_CLASS}#{class}")).collect();
            self.0.insert("roles".into(), named.into());
        }
        self
    }

    /// The same with what consents leave, for a caller that has to obey them (IHE IUA and PCF, member `extensions`).
    #[must_use]
    pub fn extended(mut self, extensions: Option<Value>) -> Self {
        self.0.extend(extensions.map(|extensions| ("extensions".to_owned(), extensions)));
        self
    }

    /// The answer as JSON.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

fn common(client: &ClientId, scope: &str, issuer: &Issuer<'_>) -> Map<String, Value> {
    let members = json!({"active": true, "scope": scope, "client_id": client.as_str(), "iss": issuer.issuer});
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The person as a FHIR resource, where the id_token said it, too.
fn fhir_user<'a>(scope: &str, fhir_user: Option<&'a LocalReference>) -> Option<&'a LocalReference> {
    let scopes = ScopeSet::parse(scope).ok()?;
    fhir_user.filter(|_| scopes.has(ScopeKind::OpenId) && scopes.has(ScopeKind::FhirUser))
}

/// "If a launch context parameter was included in the original access token response, the parameter SHALL be included" (SMART).
fn launch_context(grant: Option<&Grant>) -> Map<String, Value> {
    let Some(grant) = grant else { return Map::new() };
    let mut members = grant.context.members();
    if let Some(patient) = &grant.patient {
        members.insert("patient".into(), patient.as_str().into());
    }
    members
}

/// The answer as a JWT (RFC 9701 section 5): for this caller alone, and without `sub` and `exp` of its own, so that nobody takes it for a
/// token.
pub fn sign(
    key: &SigningKey,
    answer: Option<&ActiveToken>,
    caller: &ClientId,
    issuer: &str,
    now: i64,
) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct Claims<'a> {
        iss: &'a str,
        aud: &'a str,
        iat: i64,
        token_introspection: Value,
    }
    let token_introspection = answer.map_or_else(|| json!({"active": false}), ActiveToken::to_json);
    portcullis_jose::sign(key, HEADER_TYPE, &Claims { iss: issuer, aud: caller.as_str(), iat: now, token_introspection })
}

/// The algorithm for a caller: what it registered, else RS256 (RFC 9701 section 6).
pub fn signing_algorithm(caller: &Client) -> Algorithm {
    caller.properties.introspection_signed_response_alg.map_or(Algorithm::Rs256, |chosen| chosen.0)
}

/// Whether an `Accept` header asks for the JWT: it names that media type without refusing it. A wildcard asks for nothing in particular.
pub fn wants_jwt(accept: Option<&str>) -> bool {
    accept.unwrap_or_default().split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(JWT_MEDIA_TYPE));
        let refused = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
        };
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::types::LogicalId;
    use portcullis_jose::{VerificationKeys, VerifyPolicy};

    use super::*;
    use crate::access_token::tests::{NOW, verified};
    use crate::client_request::ClientRequestParts;
    use crate::clients::tests::{backend_client, public_client};
    use crate::grant::{RefreshBinding, SecretHash};
    use crate::identifiers::{GrantId, SessionId, UserId};
    use crate::launch::ContextParameters;
    use crate::principal::{PrincipalUser, TokenFacts};
    use crate::users::Roles;

    const ISSUER: Issuer<'_> = Issuer { issuer: "https://localhost:8443", fhir_base: "https://localhost:8443/fhir" };

    fn grant() -> Grant {
        Grant {
            id: GrantId::parse("g1").unwrap(),
            client: ClientId::parse("demo-app").unwrap(),
            user: UserId::parse("u-ann").unwrap(),
            patient: LogicalId::parse("p1"),
            context: ContextParameters { intent: Some("reconcile".into()), ..ContextParameters::default() },
            scopes: ScopeSet::parse("openid offline_access patient/Observation.read").unwrap(),
            session: SessionId::parse("s1").unwrap(),
            authenticated_at: NOW,
            created_at: NOW,
            revoked_at: None,
        }
    }

    fn status(active: bool) -> TokenStatus {
        TokenStatus::from_registry(TokenFacts {
            token_id: verified().token_id().clone(),
            active,
            epoch: 1,
            client: ClientId::parse("demo-app"),
            user: Some(PrincipalUser {
                id: UserId::parse("u-ann").unwrap(),
                roles: Roles::NONE,
                fhir_user: LocalReference::parse("Patient/p1"),
                patients: Vec::new(),
                represents: Vec::new(),
            }),
            purposes: crate::purposes::PurposeFacts::default(),
            registered: None,
            clearance: portcullis_fhir::labels::Clearance::FULL,
        })
    }

    #[test]
    fn an_ended_token_has_no_state_to_show() {
        let access = |active, now| ActiveToken::access(&verified(), status(active), Some(&grant()), &ISSUER, now);
        assert_eq!(access(false, NOW), Err(EstablishError::Inactive));
        assert_eq!(access(true, NOW + 300), Err(EstablishError::Expired));
        assert!(access(true, NOW + 299).is_ok());
    }

    #[test]
    fn an_active_token_repeats_what_its_response_said() {
        let answer = ActiveToken::access(&verified(), status(true), Some(&grant()), &ISSUER, NOW).unwrap().to_json();
        assert_eq!(
            answer,
            json!({
                "active": true, "scope": "openid patient/Observation.read", "client_id": "demo-app", "token_type": "Bearer",
                "iss": "https://localhost:8443", "sub": "u-ann", "aud": "https://localhost:8443/fhir", "exp": NOW + 300, "iat": NOW,
                "jti": "t1", "patient": "p1", "intent": "reconcile",
            }),
            "fhirUser was not granted"
        );
        let reference = LocalReference::parse("Patient/p1").unwrap();
        assert!(fhir_user("openid fhirUser", Some(&reference)).is_some());
        assert!(fhir_user("fhirUser", Some(&reference)).is_none());
    }

    #[test]
    fn a_refresh_token_is_described_with_the_scopes_that_it_would_bring() {
        let hash = SecretHash::of("refresh");
        let token = RefreshToken::first(hash, grant().id, grant().client, RefreshBinding::Online(grant().session), NOW);
        let scopes = ScopeSet::parse("openid").unwrap();
        let shown = ActiveToken::refresh(&token, &grant(), &scopes, &ISSUER).to_json();
        assert_eq!((&shown["active"], &shown["scope"], &shown["exp"]), (&json!(true), &json!("openid"), &json!(NOW + 7200)));
    }

    #[test]
    fn public_clients_see_nothing_and_others_see_their_own() {
        assert_eq!(check_caller(&public_client()).unwrap_err().code(), "invalid_client");
        assert_eq!(check_caller(&backend_client()), Ok(()));
        let (own, other) = (ClientId::parse("backend").unwrap(), ClientId::parse("demo-app").unwrap());
        assert!(may_see(&backend_client(), &own) && !may_see(&backend_client(), &other));
        let mut resource_server = backend_client();
        resource_server.properties.resource_server = true;
        assert!(may_see(&resource_server, &own) && may_see(&resource_server, &other));
    }

    #[test]
    fn the_jwt_is_for_its_caller_and_is_no_token() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let caller = ClientId::parse("backend").unwrap();
        let text = sign(&key, None, &caller, ISSUER.issuer, NOW).unwrap();
        let payload: Value =
            serde_json::from_slice(&portcullis_jose::base64url::decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap();
        let expected = json!({"iss": ISSUER.issuer, "aud": "backend", "iat": NOW, "token_introspection": {"active": false}});
        assert_eq!(payload, expected);
        let keys = VerificationKeys::of([&key]);
        let policy = VerifyPolicy {
            keys: &keys,
            header_type: crate::access_token::HEADER_TYPE,
            issuer: ISSUER.issuer,
            audience: "backend",
            now: NOW,
            leeway_seconds: 0,
            maximum_age_seconds: None,
            required_claims: &[],
        };
        assert_eq!(portcullis_jose::verify(&text, &policy).unwrap_err(), portcullis_jose::JwtError::WrongType);
    }

    #[test]
    fn only_a_caller_who_names_the_media_type_gets_a_jwt() {
        for accept in [JWT_MEDIA_TYPE, "application/json;q=0.5, Application/Token-Introspection+JWT;q=0.1"] {
            assert!(wants_jwt(Some(accept)), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "application/jwt", "application/token-introspection+jwt; q=0"] {
            assert!(!wants_jwt(Some(accept)), "{accept}");
        }
        assert!(!wants_jwt(None));
    }

    #[test]
    fn a_request_needs_exactly_one_token_and_one_way_to_authenticate() {
        let request = |body: &'static str, authorization| {
            let content_type = Some("application/x-www-form-urlencoded");
            ClientRequest::read(&ClientRequestParts { content_type, authorization, body: body.as_bytes() })
        };
        let parse = |body, authorization| parse(&request(body, authorization)?);
        let parse_with_bearer = |body| parse_with_bearer(&request(body, None)?);
        for body in ["", "token=", "token=a&token=b", "token=a&client_secret=x"] {
            assert_eq!(parse(body, Some("Basic YTpi")).unwrap_err().code(), "invalid_request", "{body}");
        }
        assert_eq!(parse("token=a", None).unwrap_err().code(), "invalid_client");
        assert_eq!(parse_with_bearer("token=a&client_assertion=x").unwrap_err().code(), "invalid_request");
        assert_eq!(parse_with_bearer("token=a").unwrap().expose(), "a");
    }
}
