//! What commands and the administration service say to each other: JSON, each message behind its length as four bytes, big-endian.
//!
//! A conversation is a row of requests, each answered in its order. The bytes of an imported resource travel as they are, so that nothing is
//! escaped or rewritten on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use portcullis_fhir::json::ParseError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message, in bytes: one resource of the largest size with its envelope, or a whole batch.
pub const MAXIMUM_MESSAGE: usize = 40 * 1024 * 1024;
/// Resources of one transaction at most: it is one commit, and one audit record names them all.
pub const MAXIMUM_TRANSACTION_RESOURCES: usize = 10_000;
/// Bytes of the resources of one transaction at most; it travels as one message.
pub const MAXIMUM_TRANSACTION_BYTES: usize = 32 * 1024 * 1024;

/// What one transaction may hold, as a sentence.
pub fn transaction_limit() -> String {
    format!(
        "A transaction is stored in one commit, which takes at most {MAXIMUM_TRANSACTION_RESOURCES} resources of {} MiB together. \
         Split it where that is safe, or send a Bundle of type batch or NDJSON.",
        MAXIMUM_TRANSACTION_BYTES >> 20
    )
}

/// What a command asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Whether anybody takes commands: answered at once, tells nothing, and is not recorded.
    Hello,
    /// What runs here.
    Status,
    /// All clients.
    ListClients,
    /// Registers a client.
    AddClient(NewClient),
    /// Removes a client and everything that was granted to it.
    RemoveClient {
        /// The client id.
        id: String,
    },
    /// Shows or changes a client.
    Client(super::ClientRequest),
    /// All users.
    ListUsers,
    /// Adds a user.
    AddUser(NewUser),
    /// Shows an account, or changes how somebody gets into it.
    User(super::UserRequest),
    /// Why somebody could or could not do something with a record.
    Explain(Box<super::ExplainRequest>),
    /// Rights that take two people, proposals, and broken glass.
    Safeguard(super::SafeguardRequest),
    /// Consents and who confirmed them.
    Consent(super::ConsentRequest),
    /// What was denied, and where the glass was broken.
    Review(super::ReviewRequest),
    /// Links an account elsewhere with a user.
    LinkUser(super::people::UserLink),
    /// Separates them.
    UnlinkUser(super::people::UserLink),
    /// Lets a user act for a patient, within limits, or ends that.
    Represent(super::people::UserRepresents),
    /// All signing keys that count.
    ListKeys,
    /// Makes new signing keys.
    RotateKeys {
        /// Whether they sign at once.
        now: bool,
    },
    /// Stores resources under the ids that their source gave them.
    Import(ImportBatch),
    /// The same, but all of them or none.
    ImportTransaction(ImportBatch),
    /// Labels what is stored anew, the next part of it.
    Relabel(portcullis_store::relabelling::RelabelPart),
}

/// What the service answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Hello`].
    Hello,
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::ListClients`].
    Clients(Vec<ClientSummary>),
    /// To [`Request::AddClient`].
    ClientAdded {
        /// The client id.
        id: String,
        /// The secret of a confidential client; told this once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<Hidden>,
    },
    /// To [`Request::RemoveClient`].
    ClientRemoved,
    /// To [`Request::Client`], about initial access tokens.
    InitialTokens(Vec<super::InitialToken>),
    /// To [`Request::Client`].
    Client(Box<super::ClientDetails>),
    /// To [`Request::ListUsers`].
    Users(Vec<UserSummary>),
    /// To [`Request::AddUser`].
    UserAdded {
        /// The user's identifier.
        id: String,
        /// What the user is bound to and is not stored (yet), each as `Type/id`.
        #[serde(default)]
        absent: Vec<String>,
    },
    /// To [`Request::LinkUser`], [`Request::UnlinkUser`] and [`Request::Represent`].
    Done,
    /// To [`Request::ListKeys`] and [`Request::RotateKeys`].
    Keys(Vec<super::KeySummary>),
    /// To [`Request::User`], where a link was made.
    UserLink(super::UserLink),
    /// To [`Request::User`], where a link went by letter and nobody else is told.
    LinkMailed(super::MailedLink),
    /// To [`Request::User`], about the mail.
    Mail(super::MailStatus),
    /// To [`Request::User`] otherwise.
    User(Box<super::UserDetails>),
    /// To [`Request::Explain`].
    Explained(Box<super::Explained>),
    /// To [`Request::Safeguard`].
    Safeguard(super::SafeguardResponse),
    /// To [`Request::Consent`] that lists or shows.
    Consents(Vec<super::ConsentSummary>),
    /// To [`Request::Review`].
    Reviewed(super::Reviewed),
    /// To [`Request::Import`] and [`Request::ImportTransaction`].
    Imported(ImportReport),
    /// To [`Request::Relabel`].
    Relabelled(portcullis_store::relabelling::Relabelled),
    /// The request was not carried out.
    Refused(Refused),
}

/// A text that is sent and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A client that is to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewClient {
    /// Its id; chosen by the server where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name that people see.
    pub name: String,
    /// Whether it gets a secret.
    pub confidential: bool,
    /// Where the browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes that it may ask for, separated by spaces.
    pub scope: String,
    /// The public keys that it signs with, where it does; then it gets no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<NewClientKeys>,
    /// Other members of its metadata.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// The public keys of a client that is to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewClientKeys {
    /// A JWK Set as JSON text.
    Jwks(String),
    /// The https address of one.
    JwksUri(String),
}

/// A user that is to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    /// The name to sign in with.
    pub username: String,
    /// The name that others see.
    pub display_name: String,
    /// The password.
    pub password: Hidden,
    /// The roles by name.
    pub roles: Vec<String>,
    /// The FHIR resource that is this person, `Type/id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// The ids of the patients whom this person may act for.
    #[serde(default)]
    pub patients: Vec<String>,
    /// How the person is reached.
    #[serde(default)]
    pub contact: super::Contact,
}

/// Resources to store, in their order.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportBatch {
    /// Where they come from, for the audit record and for the ids of resources that have none.
    pub source: String,
    /// The number of the first of them among all resources of the source, from 0.
    pub first: u64,
    /// The resources.
    pub resources: Vec<ImportResource>,
}

/// One resource to store.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportResource {
    /// The id under which to store it where the resource itself has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The resource as JSON text.
    pub resource: Box<RawValue>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// How many resources of each type were stored.
    pub stored: BTreeMap<String, u64>,
    /// How many of these replaced a resource that was there.
    #[serde(default)]
    pub replaced: u64,
    /// How many more were there already with the same content, and were left as they are.
    #[serde(default)]
    pub unchanged: u64,
    /// Those that were not, in the order of the batch.
    pub refused: Vec<RefusedResource>,
    /// Why nothing of a transaction was stored, where the reason is not one of its resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Reason>,
}

/// A resource that was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedResource {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why; at least one reason.
    pub reasons: Vec<Reason>,
}

/// One reason for a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The FHIRPath of the element, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong and what would be accepted.
    pub message: String,
    /// The line of the resource's own text, from 1, where the reason is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Reason {
    /// A text that is not JSON; whoever knows where the text stands adds its place to the line.
    pub fn not_json(error: &ParseError) -> Self {
        let message = format!("This is not valid JSON at column {}: {}.", error.column, error.message);
        // A place that says no more than that it is somewhere in a resource is none.
        let path = (error.expression != "Resource").then(|| error.expression.clone());
        Self { path, message, line: Some(error.line) }
    }
}

/// What runs here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The product's version.
    pub version: String,
    /// The process.
    pub process: u32,
    /// The URL under which it is reached.
    pub public_url: String,
    /// When it started, milliseconds since the epoch.
    pub started: i64,
}

/// A client in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSummary {
    /// Its id.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// How it authenticates.
    pub kind: String,
    /// Where the browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes that it may ask for, separated by spaces.
    pub scope: String,
    /// When it was registered, seconds since the epoch.
    pub created_at: i64,
    /// What an operator should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
}

/// A user in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// The identifier.
    pub id: String,
    /// The name to sign in with.
    pub username: String,
    /// The name that others see.
    pub display_name: String,
    /// The roles by name.
    pub roles: Vec<String>,
    /// The FHIR resource that is this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// The ids of the patients whom this person may act for.
    pub patients: Vec<String>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// What is wrong and what would be accepted.
    pub message: String,
}

impl Refused {
    /// A refusal.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The request is wrong.
    Invalid,
    /// The name or id is taken.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// Policy says no.
    Denied,
    /// The store or the audit ledger cannot be written; the same request may succeed later.
    Unavailable,
    /// Something stored is damaged, or two parts of the server disagree.
    Internal,
}

/// Sends one message.
pub async fn send<T: Serialize + Sync>(stream: &mut (impl AsyncWrite + Unpin + Send), message: &T) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAXIMUM_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    let prefix = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
    if let Some(place) = bytes.first_chunk_mut::<4>() {
        *place = prefix;
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Receives one message; `None` where the other side has ended the conversation between two messages.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    if stream.read(prefix.get_mut(..1).unwrap_or_default()).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(prefix.get_mut(1..).unwrap_or_default()).await?;
    let length = u32::from_be_bytes(prefix);
    if usize::try_from(length).map_or(true, |length| length > MAXIMUM_MESSAGE) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    // The buffer grows with what arrives, not with what is announced.
    let mut bytes = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() != usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> Request {
        let resource = RawValue::from_string(text.to_owned()).unwrap();
        Request::Import(ImportBatch {
            source: "a.ndjson".into(),
            first: 7,
            resources: vec![ImportResource { id: None, resource }],
        })
    }

    async fn through(bytes: &[u8]) -> io::Result<Option<Request>> {
        receive(&mut io::Cursor::new(bytes.to_vec())).await
    }

    async fn framed(request: &Request) -> Vec<u8> {
        let mut bytes = io::Cursor::new(Vec::new());
        send(&mut bytes, request).await.unwrap();
        bytes.into_inner()
    }

    #[tokio::test]
    async fn a_resource_arrives_as_the_bytes_that_were_sent() {
        let text = r#"{"resourceType" : "Observation","valueQuantity":{"value":1.10},"note":"\u00e4"}"#;
        match through(&framed(&import(text)).await).await.unwrap() {
            Some(Request::Import(batch)) => {
                assert_eq!(batch.resources[0].resource.get(), text);
                assert_eq!((batch.source.as_str(), batch.first), ("a.ndjson", 7));
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_conversation_ends_only_between_messages() {
        let bytes = framed(&import("{}")).await;
        assert!(through(&[]).await.unwrap().is_none());
        for cut in 1..bytes.len() {
            assert!(through(&bytes[..cut]).await.is_err(), "{cut}");
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_or_unknown_is_refused() {
        assert!(through(&[0xff, 0xff, 0xff, 0xff, b'{']).await.is_err());
        for text in ["", "{}", "\"shut-down\"", "{\"import\":1}", "\"status\" x"] {
            let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend_from_slice(text.as_bytes());
            assert!(through(&bytes).await.is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_and_secrets_are_not_shown() {
        let user = NewUser {
            username: "ana".into(),
            display_name: "Ana".into(),
            password: Hidden("correct horse".into()),
            roles: Vec::new(),
            fhir_user: None,
            patients: Vec::new(),
            contact: Default::default(),
        };
        assert!(!format!("{user:?}").contains("horse"));
        let added = Response::ClientAdded { id: "x".into(), secret: Some(Hidden("battery".into())) };
        assert!(!format!("{added:?}").contains("battery"));
    }
}
