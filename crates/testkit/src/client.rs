//! An HTTPS client that trusts one certificate, follows nothing and keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A protocol that the client speaks; the server must agree by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// Both: what an app sees must not depend on it.
    pub const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    host: String,
    config: Arc<ClientConfig>,
    protocol: Protocol,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Reads a response to its end.
    pub async fn read(response: Response<Incoming>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// A client that trusts these certificates for `host` and connects to `address`.
    pub fn new(address: SocketAddr, host: &str, trusted: &[CertificateDer<'static>]) -> Self {
        let mut roots = RootCertStore::empty();
        trusted.iter().for_each(|certificate| roots.add(certificate.clone()).unwrap());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        Self { address, host: host.to_owned(), config, protocol: Protocol::Http1 }.over(Protocol::Http1)
    }

    /// The same client with another protocol; raw bytes are always HTTP/1.1.
    #[must_use]
    pub fn over(&self, protocol: Protocol) -> Self {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Self { config: Arc::new(config), protocol, ..self.clone() }
    }

    /// The same client at another port, where it shows this certificate; none where there is none to show.
    pub fn showing(&self, port: u16, shown: Option<(CertificateDer<'static>, rustls_pki_types::PrivateKeyDer<'static>)>) -> Self {
        self.showing_chain(port, shown.map(|(certificate, key)| (vec![certificate], key)))
    }

    /// The same with the certificates of those who vouch for it.
    pub fn showing_chain(
        &self,
        port: u16,
        shown: Option<(Vec<CertificateDer<'static>>, rustls_pki_types::PrivateKeyDer<'static>)>,
    ) -> Self {
        let mut config = (*self.config).clone();
        if let Some((chain, key)) = shown {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let key = rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();
            config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
        }
        config.resumption = rustls::client::Resumption::disabled();
        Self { address: SocketAddr::new(self.address.ip(), port), config: Arc::new(config), ..self.clone() }
    }

    /// The protocol that it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// A TLS connection on which nothing was said yet.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        // Else the second frame of a request waits for the acknowledgement of the first, which waits too: 40 ms for each request with a body.
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(ServerName::try_from(self.host.clone())?, stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(self.protocol.alpn()));
        Ok(stream)
    }

    /// Sends one request over a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// The same, where the connection may fail.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TokioIo::new(self.connect().await?);
        let (response, driver) = match self.protocol {
            Protocol::Http1 => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
                let driver = tokio::spawn(async { drop(connection.await) });
                (sender.send_request(request).await?, driver)
            }
            Protocol::Http2 => {
                let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
                let driver = tokio::spawn(async { drop(connection.await) });
                (sender.send_request(self.absolute(request)?).await?, driver)
            }
        };
        let reply = Reply::read(response).await;
        driver.abort();
        reply
    }

    /// Sends requests one after the other over one HTTP/2 connection.
    pub async fn send_in_turn(&self, requests: Vec<Pending<'_>>) -> Vec<Reply> {
        let stream = TokioIo::new(self.over(Protocol::Http2).connect().await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let driver = tokio::spawn(async { drop(connection.await) });
        let mut replies = Vec::new();
        for request in requests {
            let response = sender.send_request(self.absolute(request.build()).unwrap()).await.unwrap();
            replies.push(Reply::read(response).await.unwrap());
        }
        driver.abort();
        replies
    }

    /// The request as HTTP/2 wants it: `:authority` instead of `Host` (RFC 9113, section 8.3.1).
    pub fn absolute<B>(&self, mut request: Request<B>) -> Result<Request<B>, http::Error> {
        request.headers_mut().remove(header::HOST);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let authority = format!("{}:{}", self.host, self.address.port());
        *request.uri_mut() = Uri::builder().scheme("https").authority(authority).path_and_query(path).build()?;
        Ok(request)
    }

    /// Sends raw bytes over TLS and returns what comes back until the server closes, or has been silent for two seconds.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.over(Protocol::Http1).connect().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(length @ 1..)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await {
            received.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Sends raw bytes over TLS and says that nothing more will come, without waiting for an answer. The connection ends with the value.
    pub async fn hang_up_after(&self, bytes: &[u8]) -> impl Sized + use<> {
        let mut stream = self.over(Protocol::Http1).connect().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    }

    /// A request under construction.
    pub fn request(&self, method: Method, path: &str) -> Pending<'_> {
        let builder =
            Request::builder().method(method).uri(path).header(header::HOST, format!("{}:{}", self.host, self.address.port()));
        Pending { client: self, builder, body: Bytes::new() }
    }

    /// GET
    pub fn get(&self, path: &str) -> Pending<'_> {
        self.request(Method::GET, path)
    }

    /// POST
    pub fn post(&self, path: &str) -> Pending<'_> {
        self.request(Method::POST, path)
    }

    /// The client's server address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A request under construction.
pub struct Pending<'a> {
    client: &'a Client,
    builder: http::request::Builder,
    body: Bytes,
}

impl Pending<'_> {
    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a FHIR body.
    pub fn fhir(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/fhir+json")
    }

    /// With a form.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        self.body = form.finish().into();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// With raw bytes.
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it.
    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap()
    }

    /// Sends it, where the connection may fail.
    pub async fn try_send(self) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let client = self.client;
        client.try_send(self.build()).await
    }

    /// The request, to be sent by other means.
    pub fn build(self) -> Request<Full<Bytes>> {
        self.builder.body(Full::new(self.body)).unwrap()
    }
}
