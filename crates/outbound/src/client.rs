//! One call, a GET or a form: resolve, check, connect to the checked address, TLS, request, bounded answer.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::freshness;
use crate::target::{ExemptHost, ForbiddenUrl, Target};

/// The most calls at once.
const CONCURRENT_CALLS: usize = 16;
/// The most addresses of one name that are tried.
const ADDRESSES_TRIED: usize = 4;

/// Why a call is made. The bounds follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The public keys of a client (`jwks_uri`).
    ClientKeys,
    /// The logo of a client (`logo_uri`).
    Logo,
    /// What an identity provider says of itself (OpenID Connect Discovery).
    ProviderMetadata,
    /// The public keys of an identity provider.
    ProviderKeys,
    /// The token endpoint of an identity provider.
    ProviderToken,
}

impl Purpose {
    /// The largest answer, in bytes.
    fn maximum_bytes(self) -> usize {
        match self {
            Self::ClientKeys | Self::ProviderMetadata | Self::ProviderKeys | Self::ProviderToken => 64 * 1024,
            Self::Logo => 1024 * 1024,
        }
    }

    /// The longest time for all of it, from the first question for an address to the last byte.
    fn time(self) -> Duration {
        match self {
            Self::ClientKeys | Self::Logo | Self::ProviderMetadata | Self::ProviderKeys => Duration::from_secs(5),
            // The provider may ask its own directory.
            Self::ProviderToken => Duration::from_secs(10),
        }
    }

    /// What is asked for.
    fn accept(self) -> &'static str {
        match self {
            Self::ClientKeys | Self::ProviderKeys => "application/jwk-set+json, application/json",
            Self::ProviderMetadata | Self::ProviderToken => "application/json",
            Self::Logo => "image/png, image/jpeg",
        }
    }
}

/// Why nothing was fetched. None of these carries what the other side said.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL may not be fetched.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenUrl),
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// One of the name's addresses is not public.
    #[error("the name leads to an address that is not public")]
    ForbiddenAddress,
    /// No connection, or it broke.
    #[error("the connection failed")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The certificate or the handshake.
    #[error("TLS failed")]
    Tls(#[source] std::io::Error),
    /// Another status than 200; redirects are not followed.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// More bytes than the purpose allows.
    #[error("the answer is too large")]
    TooLarge,
    /// It took too long.
    #[error("the answer took too long")]
    TooSlow,
}

/// What was fetched.
#[derive(Debug)]
pub struct Document {
    /// The body.
    pub bytes: Bytes,
    /// For how many seconds it may be kept.
    pub fresh_for_seconds: i64,
}

/// A form for a token endpoint (RFC 6749 section 3.2), encoded by the caller. It holds secrets, so it is never shown.
pub struct Form {
    /// The body, `application/x-www-form-urlencoded`.
    pub body: Bytes,
    /// The `Authorization` header, where the caller authenticates by one.
    pub authorization: Option<HeaderValue>,
}

impl fmt::Debug for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Form(…)")
    }
}

/// What an endpoint answered to a form: a token endpoint tells errors with the status 400 and a document.
#[derive(Debug)]
pub struct Reply {
    /// The status, 200 or 400.
    pub status: u16,
    /// The body.
    pub bytes: Bytes,
}

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, is not PEM, or holds no certificate.
    #[error("{0} holds no certificates in PEM form")]
    File(std::path::PathBuf),
    /// The library refuses a certificate or the configuration.
    #[error("the certificates cannot be used")]
    Library(#[from] rustls::Error),
}

/// Which certification authorities are trusted.
#[derive(Clone, Debug)]
pub struct Trust(RootCertStore);

impl Trust {
    /// Those that browsers trust (the roots of Mozilla).
    pub fn of_the_web() -> Self {
        Self(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Those, and one more.
    pub fn with(mut self, certificate: CertificateDer<'static>) -> Result<Self, TrustError> {
        self.0.add(certificate)?;
        Ok(self)
    }

    /// Those, and the ones of a PEM file of the operator's.
    pub fn with_file(mut self, path: &Path) -> Result<Self, TrustError> {
        let unusable = || TrustError::File(path.to_owned());
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unusable())? {
            self.0.add(certificate.map_err(|_| unusable())?)?;
            found = true;
        }
        if found { Ok(self) } else { Err(unusable()) }
    }
}

/// The HTTP client.
pub struct Outbound {
    exempt: Vec<ExemptHost>,
    connector: TlsConnector,
    turns: Semaphore,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbound").field("exempt", &self.exempt).finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client that trusts these authorities and exempts these hosts.
    pub fn new(trust: Trust, exempt: Vec<ExemptHost>) -> Result<Self, TrustError> {
        let connector = tls_connector(trust, vec![b"http/1.1".to_vec()])?;
        Ok(Self { exempt, connector, turns: Semaphore::new(CONCURRENT_CALLS) })
    }

    /// Whether a URL may be fetched as far as can be told without asking for the addresses of its name.
    pub fn check(&self, url: &str) -> Result<(), ForbiddenUrl> {
        Target::parse(url, &self.exempt).map(|_| ())
    }

    /// Fetches a document.
    pub async fn get(&self, purpose: Purpose, url: &str) -> Result<Document, OutboundError> {
        let answer = self.call(purpose, url, None).await?;
        if answer.status != StatusCode::OK {
            return Err(OutboundError::Status(answer.status.as_u16()));
        }
        Ok(Document { bytes: answer.bytes, fresh_for_seconds: answer.fresh_for_seconds })
    }

    /// Sends a form, with the same checks of the address. Any status but 200 and 400 is an error; redirects are not followed.
    pub async fn post(&self, purpose: Purpose, url: &str, form: Form) -> Result<Reply, OutboundError> {
        let answer = self.call(purpose, url, Some(form)).await?;
        match answer.status.as_u16() {
            status @ (200 | 400) => Ok(Reply { status, bytes: answer.bytes }),
            other => Err(OutboundError::Status(other)),
        }
    }

    async fn call(&self, purpose: Purpose, url: &str, form: Option<Form>) -> Result<Received, OutboundError> {
        let target = Target::parse(url, &self.exempt)?;
        let call = async {
            let _turn = self.turns.acquire().await;
            let stream = self.connect(&target).await?;
            request(stream, purpose, &target, form).await
        };
        tokio::time::timeout(purpose.time(), call).await.unwrap_or(Err(OutboundError::TooSlow))
    }

    async fn connect(&self, target: &Target) -> Result<tokio_rustls::client::TlsStream<TcpStream>, OutboundError> {
        let addresses = addresses_of(target.host(), target.port()).await;
        // One closed address among open ones is refused, too: the name's owner would choose which one is taken.
        if addresses.iter().any(|address| !target.permits(address.ip())) {
            return Err(OutboundError::ForbiddenAddress);
        }
        let stream = connect_to_one(&addresses).await.map_err(|error| match error {
            Some(error) => OutboundError::Connection(Box::new(error)),
            None => OutboundError::Unresolved,
        })?;
        let name = ServerName::try_from(target.host().to_owned()).map_err(|_| ForbiddenUrl::NotHttps)?;
        self.connector.connect(name, stream).await.map_err(OutboundError::Tls)
    }
}

/// The one TLS client configuration, for whatever is spoken inside.
pub(crate) fn tls_connector(trust: Trust, alpn: Vec<Vec<u8>>) -> Result<TlsConnector, TrustError> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // The suites of NIST SP 800-52r2, as for the server.
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("AES"));
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(trust.0).with_no_client_auth();
    config.alpn_protocols = alpn;
    // Each call stands alone; nothing is remembered about a host.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The addresses of a host; none where it has no address.
pub(crate) async fn addresses_of(host: &str, port: u16) -> Vec<SocketAddr> {
    lookup_host((host, port)).await.map(Iterator::collect).unwrap_or_default()
}

/// A connection to the first address that takes one; else what the last of them said.
pub(crate) async fn connect_to_one(addresses: &[SocketAddr]) -> Result<TcpStream, Option<std::io::Error>> {
    let mut failed = None;
    for address in addresses.iter().take(ADDRESSES_TRIED) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed)
}

/// An answer of a status that some caller may want.
struct Received {
    status: StatusCode,
    bytes: Bytes,
    fresh_for_seconds: i64,
}

async fn request(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    purpose: Purpose,
    target: &Target,
    form: Option<Form>,
) -> Result<Received, OutboundError> {
    let broken = |error: hyper::Error| OutboundError::Connection(Box::new(error));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let method = if form.is_some() { Method::POST } else { Method::GET };
    let mut builder = Request::builder()
        .method(method)
        .uri(target.path_and_query())
        .header(header::HOST, target.authority())
        .header(header::ACCEPT, purpose.accept())
        .header(header::USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if form.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let mut body = Bytes::new();
    if let Some(form) = form {
        body = form.body;
        if let Some(authorization) = form.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
    }
    let request = builder.body(Full::new(body)).map_err(|error| OutboundError::Connection(Box::new(error)))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if status != StatusCode::OK && status != StatusCode::BAD_REQUEST {
            return Err(OutboundError::Status(status.as_u16()));
        }
        let fresh_for_seconds = freshness::lifetime(response.headers());
        let bytes = collect(response.into_body(), purpose.maximum_bytes()).await?;
        Ok(Received { status, bytes, fresh_for_seconds })
    };
    // The connection moves only while the answer is awaited, and ends with it.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        ended = &mut connection => {
            ended.map_err(broken)?;
            answer.await
        }
    }
}

async fn collect(mut body: hyper::body::Incoming, limit: usize) -> Result<Bytes, OutboundError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| OutboundError::Connection(Box::new(error)))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit {
                return Err(OutboundError::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
pub(crate) mod tests;
