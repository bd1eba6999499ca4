//! An HTTPS client that trusts one certificate, follows nothing and keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    host: String,
    connector: TlsConnector,
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
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Self { address, host: host.to_owned(), connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Sends one request over a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// The same, where the connection may fail.
    pub async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let stream = self.connector.connect(ServerName::try_from(self.host.clone())?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        driver.abort();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    /// Sends raw bytes over TLS and returns what comes back until the server closes, or has been silent for two seconds.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut stream = self.connector.connect(ServerName::try_from(self.host.clone()).unwrap(), stream).await.unwrap();
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
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut stream = self.connector.connect(ServerName::try_from(self.host.clone()).unwrap(), stream).await.unwrap();
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
        let request = self.builder.body(Full::new(self.body)).unwrap();
        self.client.try_send(request).await
    }
}
