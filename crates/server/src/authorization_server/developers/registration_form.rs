//! The form of a sandbox client: from what was typed to a client that may be stored, or to what is wrong, field by field.
//!
//! The rules are those of [`ClientMetadata`] for [`Registrar::Developer`]. What they would leave out in silence, such as a scope that is not known, is an error
//! here: a person reads the answer.

use portcullis_oauth::clients::{ApplicationType, Client, ClientKind, GrantType, KeySource};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::metadata;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::registration::{ClientMetadata, MetadataError, Registered, Registrar, described};
use portcullis_oauth::scopes::{ScopeContext, ScopeSet};
use serde_json::{Value, json};

use crate::authorization_server::form::Form;
use crate::context::{Borrowed, Server};
use crate::route::DevelopersRoute;
use crate::ui::Reader;
use crate::ui::pages::SandboxProblems;

/// What a new client is offered to ask for.
const USUAL_SCOPE: &str = "openid fhirUser launch/patient offline_access patient/*.rs";

/// What stands in the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The name that people see.
    pub name: String,
    /// Redirect URIs, one a line, without this server's own page.
    pub redirect_uris: String,
    /// Whether this server's own page is one of them.
    pub comes_back_here: bool,
    /// How the client authenticates.
    pub kind: String,
    /// A JWK Set.
    pub jwks: String,
    /// The address of one.
    pub jwks_uri: String,
    /// Scopes.
    pub scope: String,
}

/// The address of this server's own page for answers.
pub fn callback(server: &Server) -> String {
    format!("{}{}", server.settings.public_url, DevelopersRoute::CALLBACK)
}

impl Entered {
    /// A new client's form.
    pub fn blank() -> Self {
        Self {
            name: String::new(),
            redirect_uris: String::new(),
            comes_back_here: true,
            kind: ClientKind::Public.as_str().to_owned(),
            jwks: String::new(),
            jwks_uri: String::new(),
            scope: USUAL_SCOPE.to_owned(),
        }
    }

    /// What was typed.
    pub fn of_form(form: &Form) -> Self {
        let text = |name: &str| form.field(name).unwrap_or_default().trim().to_owned();
        Self {
            name: text("client_name"),
            redirect_uris: lines(&text("redirect_uris")).collect::<Vec<_>>().join("\n"),
            comes_back_here: form.field("comes_back_here").is_some(),
            kind: text("kind"),
            jwks: text("jwks"),
            jwks_uri: text("jwks_uri"),
            scope: text("scope").split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// What is registered.
    pub fn of_client(client: &Client, callback: &str) -> Self {
        let (jwks, jwks_uri) = match &client.kind {
            ClientKind::ConfidentialAsymmetric { keys: KeySource::Value(set), .. } => (set.to_string(), String::new()),
            ClientKind::ConfidentialAsymmetric { keys: KeySource::Url(url), .. } => (String::new(), url.to_string()),
            ClientKind::Public | ClientKind::ConfidentialSymmetric { .. } => Default::default(),
        };
        let uris = client.redirect_uris.iter().map(RedirectUri::as_str);
        Self {
            name: client.name.clone(),
            redirect_uris: uris.clone().filter(|uri| *uri != callback).collect::<Vec<_>>().join("\n"),
            comes_back_here: uris.clone().any(|uri| uri == callback),
            kind: client.kind.as_str().to_owned(),
            jwks,
            jwks_uri,
            scope: client.scope.to_string(),
        }
    }

    /// The client that this describes. `before` is what is registered so far.
    pub fn client(
        &self,
        server: &Server,
        reader: &Reader,
        owner: &UserId,
        (id, before): (ClientId, Option<&Client>),
    ) -> Result<Registered, Box<SandboxProblems>> {
        let mut problems = SandboxProblems::default();
        if self.name.is_empty() {
            problems.name = said(
                reader,
                "Type a name. People see it when the app asks for access.",
                "Escriba un nombre. Las personas lo ven cuando la aplicación pide acceso.",
            );
        }
        let redirect_uris = self.redirect_uris(server, reader, &mut problems);
        let method = self.method(server, reader, &mut problems);
        self.check_scope(reader, &mut problems);
        if !problems.is_empty() {
            return Err(Box::new(problems));
        }
        let mut members = before.map(described).unwrap_or_default();
        if self.has_private_scheme() {
            members.insert("application_type".to_owned(), json!(ApplicationType::Native));
        }
        let grant_types = before.map_or(&GrantType::WITH_PERSON[..], |client| &client.grant_types);
        let grant_types: Vec<&str> = grant_types.iter().map(|grant_type| grant_type.as_str()).collect();
        for (name, value) in [
            ("owner", json!(owner)),
            ("client_name", json!(self.name)),
            ("redirect_uris", json!(redirect_uris)),
            ("token_endpoint_auth_method", json!(method)),
            ("grant_types", json!(grant_types)),
            ("scope", json!(self.scope)),
            ("jwks", json!(self.set())),
            ("jwks_uri", json!(self.address())),
        ] {
            members.insert(name.to_owned(), value);
        }
        let mut random = Borrowed(&*server.entropy);
        let registered = ClientMetadata::from_members(members)
            .and_then(|metadata| metadata.client((id, before), Registrar::Developer, &mut random, server.clock.now_seconds()));
        registered.map_err(|error| {
            match error {
                MetadataError::RedirectUri(text) => problems.redirect_uris = Some(sentence(&text)),
                other => problems.whole = Some(sentence(&other.to_string())),
            }
            Box::new(problems)
        })
    }

    fn redirect_uris(&self, server: &Server, reader: &Reader, problems: &mut SandboxProblems) -> Vec<String> {
        let mut uris: Vec<String> = lines(&self.redirect_uris).map(str::to_owned).collect();
        let wrong = uris.iter().find_map(|uri| RedirectUri::parse(uri).err().map(|error| (uri, error)));
        if let Some((uri, error)) = wrong {
            problems.redirect_uris =
                Some(reader.say(format!("“{uri}” cannot be used: {error}."), format!("“{uri}” no se puede usar: {error}.")));
        }
        if problems.redirect_uris.is_none() && self.has_private_scheme() && self.kind != ClientKind::Public.as_str() {
            problems.redirect_uris = said(
                reader,
                "A scheme of the app's own is for public apps alone: others on the same device may claim it. Choose “Public” below.",
                "Un esquema propio es solo para aplicaciones públicas: otras del mismo dispositivo pueden reclamarlo. Elija “Pública” abajo.",
            );
        }
        uris.extend(self.comes_back_here.then(|| callback(server)));
        if uris.is_empty() {
            problems.redirect_uris = said(
                reader,
                "Type at least one redirect URI, or tick the box below to use the test page of this server.",
                "Escriba al menos una URI de redirección, o marque la casilla de abajo para usar la página de prueba de este servidor.",
            );
        }
        uris
    }

    /// How the client authenticates, with the keys that it needs for that.
    fn method(&self, server: &Server, reader: &Reader, problems: &mut SandboxProblems) -> &'static str {
        match self.kind.as_str() {
            "public" => "none",
            "confidential-symmetric" => "client_secret_basic",
            "confidential-asymmetric" => {
                self.check_keys(server, reader, problems);
                "private_key_jwt"
            }
            _ => {
                problems.kind = said(reader, "Choose one of the three kinds.", "Elija uno de los tres tipos.");
                "none"
            }
        }
    }

    fn check_keys(&self, server: &Server, reader: &Reader, problems: &mut SandboxProblems) {
        match (self.jwks.is_empty(), self.jwks_uri.is_empty()) {
            (true, true) => {
                problems.jwks = said(
                    reader,
                    "Paste the JWK Set with your public keys, or give its address below.",
                    "Pegue el JWK Set con sus claves públicas, o dé su dirección abajo.",
                )
            }
            (false, false) => {
                problems.jwks_uri = said(
                    reader,
                    "Give the keys or their address, not both. Empty one of the two.",
                    "Dé las claves o su dirección, no las dos. Deje vacía una de las dos.",
                )
            }
            (false, true) => {
                if let Err(error) = KeySource::value(&self.jwks) {
                    problems.jwks = Some(sentence(&error.to_string()));
                }
            }
            (true, false) => {
                let forbidden = || server.client_keys.check_url(&self.jwks_uri).err().map(|error| error.to_string());
                let wrong = KeySource::url(&self.jwks_uri).err().map(|error| error.to_string()).or_else(forbidden);
                problems.jwks_uri = wrong.map(|text| sentence(&text));
            }
        }
    }

    fn check_scope(&self, reader: &Reader, problems: &mut SandboxProblems) {
        problems.scope = match ScopeSet::parse(&self.scope) {
            _ if self.scope.is_empty() => said(
                reader,
                "Type the scopes that the app may ask for, such as launch/patient patient/*.rs.",
                "Escriba los permisos que la aplicación puede pedir, como launch/patient patient/*.rs.",
            ),
            Err(unknown) => Some(reader.say(
                format!("“{}” is no scope that this server knows.", unknown.0),
                format!("“{}” no es un permiso que este servidor conozca.", unknown.0),
            )),
            Ok(scopes) if scopes.has_context(ScopeContext::System) => said(
                reader,
                "system/ scopes give access without a person. The people who run this server give them: ask them.",
                "Los permisos system/ dan acceso sin una persona. Los dan quienes administran este servidor: pídaselos.",
            ),
            Ok(scopes) => {
                let withheld = scopes.iter().find(|scope| !metadata::offers(scope)).map(ToString::to_string);
                withheld.map(|scope| {
                    reader.say(
                        format!("“{scope}” cannot be granted by this server."),
                        format!("Este servidor no puede dar “{scope}”."),
                    )
                })
            }
        };
    }

    /// Whether it is sent back to by a scheme of its own, which makes it an app on a person's device (RFC 8252 section 7.1).
    fn has_private_scheme(&self) -> bool {
        lines(&self.redirect_uris).any(|uri| RedirectUri::parse(uri).is_ok_and(|uri| uri.private_scheme().is_some()))
    }

    fn is_asymmetric(&self) -> bool {
        self.kind == "confidential-asymmetric"
    }

    fn set(&self) -> Option<Value> {
        // It was read as a set of keys before, so it is JSON.
        Some(&self.jwks).filter(|text| self.is_asymmetric() && !text.is_empty()).and_then(|text| serde_json::from_str(text).ok())
    }

    fn address(&self) -> Option<String> {
        Some(&self.jwks_uri).filter(|text| self.is_asymmetric() && !text.is_empty()).cloned()
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A sentence in the reader's language.
fn said(reader: &Reader, english: &str, spanish: &str) -> Option<String> {
    Some(reader.say(english, spanish).to_owned())
}

/// An error as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let sentence: String = first.chain(characters).collect();
    if sentence.ends_with('.') { sentence } else { format!("{sentence}.") }
}
