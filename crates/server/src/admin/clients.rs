//! What an operator does to clients: adds, shows, changes, removes (`portcullis clients`), and hands out initial access tokens (RFC 7591 section 3).
//!
//! At the command line, through the socket and over HTTPS the rules are those of [`portcullis_oauth::registration`]. A change counts from the next
//! request on: a token request sees the client as registered at that moment, so narrower scopes take effect with the next refresh at the latest.

use portcullis_oauth::clients::{CertificateSubject, Client, ClientKind, ClientSecretHash, KeySource};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::metadata::{self, SELF_SIGNED_TLS_CLIENT_AUTH, TLS_CLIENT_AUTH};
use portcullis_oauth::principal::OperatorOperation;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::registration::{ClientMetadata, Registrar, described};
use portcullis_oauth::scopes::{Scope, ScopeSet};
use portcullis_store::client_registration::{InitialAccessToken, RegistrationChange};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::https::NO_AUTHORITIES;
use super::protocol::{ClientSummary, Hidden, NewClient, NewClientKeys, RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error, sentence};
use crate::authorization_server::developers::refusals::SandboxRefusal;
use crate::context::Borrowed;

/// What is to be done to a client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientRequest {
    /// Tells everything about a client.
    Show {
        /// The client id.
        id: String,
    },
    /// Changes members of a client's metadata; `null` takes one away.
    Update {
        /// The client id.
        id: String,
        /// The members, as RFC 7591 and [`portcullis_oauth::clients::ClientProperties`] name them.
        changes: Map<String, Value>,
        /// Whether it gets a new secret; the old one counts no more.
        new_secret: bool,
    },
    /// Makes an initial access token.
    AddToken {
        /// Whom it is for.
        name: String,
        /// How many clients may be registered with it.
        uses: u32,
        /// How many days it is good.
        days: u32,
    },
    /// Lists the initial access tokens.
    ListTokens,
    /// Takes an initial access token back.
    RemoveToken {
        /// Its id.
        id: String,
    },
}

/// An initial access token as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialToken {
    /// By which it is taken back.
    pub id: String,
    /// Whom it is for.
    pub name: String,
    /// How many clients may still be registered with it.
    pub uses_left: u32,
    /// Until when, in seconds since the epoch.
    pub expires_at: i64,
    /// The token itself; told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Hidden>,
}

impl ClientRequest {
    /// Which operation it is, and the words for the record. Names of members are told, their values are not.
    pub fn described(&self) -> (OperatorOperation, String) {
        match self {
            Self::Show { id } => (OperatorOperation::ListClients, format!("client shown: {id}")),
            Self::Update { id, changes, new_secret } => {
                let mut names: Vec<&str> = changes.keys().map(String::as_str).collect();
                names.extend(new_secret.then_some("client_secret"));
                (OperatorOperation::ChangeClient, format!("client changed: {id} ({})", names.join(", ")))
            }
            Self::AddToken { name, uses, days } => {
                (OperatorOperation::AddClient, format!("initial access token made for {name}: {uses} uses, {days} days"))
            }
            Self::ListTokens => (OperatorOperation::ListClients, "initial access tokens listed".to_owned()),
            Self::RemoveToken { id } => (OperatorOperation::RemoveClient, format!("initial access token removed: {id}")),
        }
    }
}

/// A client as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientDetails {
    /// Its metadata, with `client_id`.
    pub metadata: Map<String, Value>,
    /// What an operator should know about it.
    pub risks: Vec<String>,
    /// The last refusals of a sandbox client, the newest first, where the server runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<SandboxRefusal>,
    /// A secret that it just got; told this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Hidden>,
}

impl ClientDetails {
    fn of(client: &Client, secret: Option<Hidden>) -> Self {
        Self { metadata: described(client), risks: risks(client), refusals: Vec::new(), secret }
    }
}

fn risks(client: &Client) -> Vec<String> {
    client.properties.risks().into_iter().map(str::to_owned).collect()
}

impl Service {
    /// Carries out a request about one client.
    pub(super) async fn change_client(&self, task: &Task, request: ClientRequest) -> Result<Response, Refused> {
        match request {
            ClientRequest::Show { id } => {
                let client = self.client(&id).await?;
                self.change(task, Change::Nothing).await?;
                let refusals = self.server.sandbox_refusals.of(&client.id);
                Ok(Response::Client(Box::new(ClientDetails { refusals, ..ClientDetails::of(&client, None) })))
            }
            ClientRequest::Update { id, changes, new_secret } => {
                let before = self.client(&id).await?;
                let mut members = match serde_json::to_value(ClientMetadata::of(&before)) {
                    Ok(Value::Object(members)) => members,
                    _ => return Err(Refused::new(RefusalKind::Internal, "The client cannot be written as JSON.")),
                };
                changed(&mut members, changes);
                let (client, secret) = self.described_client(members, &before.id, Some(&before), new_secret)?;
                self.change(task, RegistrationChange::replacing(before, client.clone())).await?;
                Ok(Response::Client(Box::new(ClientDetails::of(&client, secret))))
            }
            ClientRequest::AddToken { name, uses, days } => self.add_token(task, name, uses, days).await,
            ClientRequest::ListTokens => {
                let tokens = self.server.registry.initial_access_tokens().await;
                let tokens = tokens.map_err(|error| registry_error(error, task.described()))?;
                self.change(task, Change::Nothing).await?;
                Ok(Response::InitialTokens(tokens.iter().map(initial_token).collect()))
            }
            ClientRequest::RemoveToken { id } => {
                self.change(task, Change::Registration(RegistrationChange::RemoveInitialToken(id))).await?;
                Ok(Response::InitialTokens(Vec::new()))
            }
        }
    }

    async fn add_token(&self, task: &Task, name: String, uses: u32, days: u32) -> Result<Response, Refused> {
        if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(invalid("Whom the token is for has 1 to 100 characters."));
        }
        if !(1..=1000).contains(&uses) || !(1..=365).contains(&days) {
            return Err(invalid("A token is good for 1 to 1000 clients and 1 to 365 days."));
        }
        let mut random = Borrowed(&*self.server.entropy);
        let (secret, hash) = SecretHash::generate(&mut random);
        let created_at = self.server.clock.now_seconds();
        let token = InitialAccessToken {
            hash,
            id: ClientId::generate(&mut random).as_str().to_owned(),
            name,
            uses_left: uses,
            created_at,
            expires_at: created_at.saturating_add(i64::from(days) * 86_400),
        };
        let told = InitialToken { token: Some(Hidden(secret.expose().clone())), ..initial_token(&token) };
        self.change(task, Change::Registration(RegistrationChange::AddInitialToken(token))).await?;
        Ok(Response::InitialTokens(vec![told]))
    }

    /// The client that metadata describes, under the rules for operators.
    pub(super) fn described_client(
        &self,
        members: Map<String, Value>,
        id: &ClientId,
        before: Option<&Client>,
        new_secret: bool,
    ) -> Result<(Client, Option<Hidden>), Refused> {
        let mut random = Borrowed(&*self.server.entropy);
        let refused = |error: &dyn std::fmt::Display| invalid(&sentence(&error.to_string()));
        let metadata = ClientMetadata::from_members(members).map_err(|error| refused(&error))?;
        let now = self.server.clock.now_seconds();
        let registered = metadata.client((id.clone(), before), Registrar::Operator, &mut random, now);
        let mut registered = registered.map_err(|error| refused(&error))?;
        let by_name = registered.client.properties.certificate_subject.is_named();
        if by_name && self.server.settings.authorization.client_authorities.is_none() {
            return Err(invalid(&sentence(NO_AUTHORITIES)));
        }
        if let ClientKind::ConfidentialAsymmetric { keys: KeySource::Url(url), .. } = &registered.client.kind {
            self.check_key_url(url)?;
        }
        if new_secret {
            let ClientKind::ConfidentialSymmetric { secret_hash } = &mut registered.client.kind else {
                return Err(invalid("Only a confidential-symmetric client has a secret."));
            };
            let (secret, hash) = ClientSecretHash::generate(&mut random);
            *secret_hash = hash;
            registered.secret = Some(secret);
        }
        Ok((registered.client, registered.secret.map(|secret| Hidden(secret.expose().clone()))))
    }

    pub(super) async fn list_clients(&self, task: &Task) -> Result<Response, Refused> {
        let clients = self.server.registry.clients().await.map_err(|error| registry_error(error, task.described()))?;
        self.change(task, Change::Nothing).await?;
        Ok(Response::Clients(clients.iter().map(client_summary).collect()))
    }

    pub(super) async fn remove_client(&self, task: &Task, id: &str) -> Result<Response, Refused> {
        let client = self.client(id).await?;
        self.change(task, Change::RemoveClient(client.id)).await?;
        Ok(Response::ClientRemoved)
    }

    pub(super) async fn add_client(&self, task: &Task, new: NewClient) -> Result<Response, Refused> {
        let id = match &new.id {
            Some(id) => ClientId::parse(id).ok_or_else(|| invalid("A client id has 1 to 255 visible ASCII characters."))?,
            None => ClientId::generate(&mut Borrowed(&*self.server.entropy)),
        };
        if new.keys.is_some() && new.confidential {
            return Err(invalid("A client has a secret or keys of its own, not both."));
        }
        // An operator's slip of the pen is told; only what programs send is left out in silence.
        let scope = ScopeSet::parse(&new.scope).map_err(|unknown| {
            invalid(&format!("The scope '{}' is not known; for example patient/Observation.rs or launch/patient is.", unknown.0))
        })?;
        let offered = |scope: &&Scope| !metadata::offers(scope) && !metadata::offers_to_clients(scope);
        if let Some(scope) = scope.iter().find(offered) {
            return Err(invalid(&format!("The scope '{scope}' cannot be granted by this version.")));
        }
        for text in &new.redirect_uris {
            RedirectUri::parse(text).map_err(|error| invalid(&format!("'{text}' cannot be registered: {error}.")))?;
        }
        let (client, secret) = self.described_client(members_of(&new)?, &id, None, false)?;
        self.change(task, Change::AddClient(Box::new(client))).await?;
        Ok(Response::ClientAdded { id: id.as_str().to_owned(), secret })
    }

    /// An address that could never be asked is refused now and not at the first token.
    fn check_key_url(&self, url: &str) -> Result<(), Refused> {
        let checked = self.server.client_keys.check_url(url);
        checked.map_err(|error| invalid(&format!("'{url}' cannot be registered: {error}.")))
    }
}

/// Changes members; those of another way of authentication go with it.
fn changed(members: &mut Map<String, Value>, changes: Map<String, Value>) {
    if changes.contains_key("jwks") {
        members.remove("jwks_uri");
    }
    if changes.contains_key("jwks_uri") {
        members.remove("jwks");
    }
    let with_keys =
        |method: &Value| [TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH, "private_key_jwt"].iter().any(|name| method == name);
    if CertificateSubject::MEMBERS.iter().any(|name| changes.get(*name).is_some_and(|value| !value.is_null())) {
        // One name takes the place of another, and of every other way of authentication.
        CertificateSubject::MEMBERS.into_iter().for_each(|name| drop(members.remove(name)));
        members.remove(SELF_SIGNED_TLS_CLIENT_AUTH);
        members.insert("token_endpoint_auth_method".into(), TLS_CLIENT_AUTH.into());
    } else if changes.get("token_endpoint_auth_method").is_some_and(|method| method != TLS_CLIENT_AUTH) {
        CertificateSubject::MEMBERS.into_iter().for_each(|name| drop(members.remove(name)));
    }
    if changes.get("token_endpoint_auth_method").is_some_and(|method| !with_keys(method)) {
        for name in ["jwks", "jwks_uri", SELF_SIGNED_TLS_CLIENT_AUTH] {
            members.remove(name);
        }
    }
    if changes.contains_key(SELF_SIGNED_TLS_CLIENT_AUTH) && members.contains_key(SELF_SIGNED_TLS_CLIENT_AUTH) {
        members.insert("token_endpoint_auth_method".into(), "private_key_jwt".into());
    }
    // What an operator decides about a client that registered itself, that client must not take back (RFC 7592): it is the operator's from then on.
    members.remove("dynamic");
    // What follows from other members is told anew.
    if changes.contains_key("grant_types") {
        members.remove("response_types");
    }
    for (name, value) in changes {
        match value {
            Value::Null => drop(members.remove(&name)),
            value => drop(members.insert(name, value)),
        }
    }
}

/// A new client as metadata.
fn members_of(new: &NewClient) -> Result<Map<String, Value>, Refused> {
    let mut members = new.properties.clone();
    let method = match &new.keys {
        Some(_) => "private_key_jwt",
        None if new.confidential => "client_secret_basic",
        None if CertificateSubject::MEMBERS.iter().any(|name| members.contains_key(*name)) => TLS_CLIENT_AUTH,
        None => "none",
    };
    members.insert("token_endpoint_auth_method".into(), method.into());
    members.insert("client_name".into(), new.name.clone().into());
    members.insert("redirect_uris".into(), new.redirect_uris.clone().into());
    members.insert("scope".into(), new.scope.clone().into());
    match &new.keys {
        None => {}
        Some(NewClientKeys::JwksUri(url)) => drop(members.insert("jwks_uri".into(), url.clone().into())),
        Some(NewClientKeys::Jwks(text)) => {
            // Read as keys first, whose errors say what is wrong with which.
            KeySource::value(text).map_err(|error| invalid(&sentence(&error.to_string())))?;
            let set: Value = serde_json::from_str(text).map_err(|_| invalid("The JWK Set is not JSON."))?;
            members.insert("jwks".into(), set);
        }
    }
    Ok(members)
}

fn initial_token(token: &InitialAccessToken) -> InitialToken {
    InitialToken {
        id: token.id.clone(),
        name: token.name.clone(),
        uses_left: token.uses_left,
        expires_at: token.expires_at,
        token: None,
    }
}

fn client_summary(client: &Client) -> ClientSummary {
    ClientSummary {
        id: client.id.as_str().to_owned(),
        name: client.name.clone(),
        kind: client.kind.as_str().to_owned(),
        redirect_uris: client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
        scope: client.scope.to_string(),
        created_at: client.created_at,
        risks: risks(client),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(before: Value, changes: Value) -> Value {
        let (Value::Object(mut members), Value::Object(changes)) = (before, changes) else { panic!("objects") };
        changed(&mut members, changes);
        Value::Object(members)
    }

    #[test]
    fn a_change_by_an_operator_takes_a_client_over_that_registered_itself() {
        let before = json!({"scope": "patient/*.rs", "dynamic": true});
        assert_eq!(after(before.clone(), json!({"scope": "patient/Patient.r"})), json!({"scope": "patient/Patient.r"}));
        assert_eq!(after(before, json!({"dynamic": true}))["dynamic"], true, "unless the operator says otherwise");
    }

    #[test]
    fn authentication_by_certificate_goes_with_its_method_and_the_method_with_it() {
        let before =
            json!({"token_endpoint_auth_method": SELF_SIGNED_TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH: true, "jwks": {}});
        for off in [json!(false), Value::Null] {
            let after = after(before.clone(), json!({SELF_SIGNED_TLS_CLIENT_AUTH: off}));
            assert_eq!((&after["token_endpoint_auth_method"], &after["jwks"]), (&json!("private_key_jwt"), &json!({})));
            assert_ne!(after[SELF_SIGNED_TLS_CLIENT_AUTH], true);
        }
        let public = json!({"token_endpoint_auth_method": "none"});
        assert_eq!(after(before, public.clone()), public);
        let by_certificate = json!({"token_endpoint_auth_method": SELF_SIGNED_TLS_CLIENT_AUTH});
        assert_eq!(after(json!({"jwks": {}}), by_certificate)["jwks"], json!({}), "the keys stay");
    }
}
