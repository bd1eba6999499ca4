//! The product as a client: what it would tell a token endpoint goes to no server but one that has proved over TLS that it is the one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot be set up has failed")]

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderValue;
use portcullis_outbound::{ExemptHost, ForbiddenUrl, Form, Outbound, OutboundError, Purpose, Trust};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What must not be heard by anybody else.
const SECRET: &str = "grant_type=authorization_code&code=a-code-that-nobody-else-shall-read&client_secret=a-secret";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server on loopback, with or without TLS, that hears whatever it is told.
struct Server {
    port: u16,
    certificate: Option<CertificateDer<'static>>,
    /// What came in as plain text: before encryption where there is none, and after decryption where there is.
    heard: Arc<Mutex<Vec<u8>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    async fn start(certified_for: Option<&str>) -> Self {
        let (certificate, acceptor) = match certified_for.map(acceptor) {
            Some((certificate, acceptor)) => (Some(certificate), Some(acceptor)),
            None => (None, None),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, certificate, heard: Arc::default(), connections: Arc::default() };
        let (heard, connections) = (Arc::clone(&server.heard), Arc::clone(&server.connections));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let Some(acceptor) = &acceptor else {
                    listen(&mut stream, &heard).await;
                    let _ = stream.write_all(ANSWER).await;
                    continue;
                };
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    listen(&mut stream, &heard).await;
                    let _ = stream.write_all(ANSWER).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        server
    }

    /// A client that trusts this server's certificate, whatever its name, and may call loopback.
    fn client(&self) -> Outbound {
        let exempt = vec![ExemptHost::parse(&format!("localhost:{}", self.port)).unwrap()];
        let trust = match &self.certificate {
            Some(certificate) => Trust::of_the_web().with(certificate.clone()).unwrap(),
            None => Trust::of_the_web(),
        };
        Outbound::new(trust, exempt).unwrap()
    }

    async fn told(&self, scheme: &str) -> Result<(), OutboundError> {
        let form = Form {
            body: Bytes::from_static(SECRET.as_bytes()),
            authorization: Some(HeaderValue::from_static("Basic YS1jbGllbnQ6YS1zZWNyZXQ=")),
        };
        let url = format!("{scheme}://localhost:{}/token", self.port);
        self.client().post(Purpose::ProviderToken, &url, form).await.map(|_| ())
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn acceptor(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    (certificate, TlsAcceptor::from(Arc::new(config)))
}

/// Hears one request, or whatever else comes first.
async fn listen(stream: &mut (impl AsyncRead + Unpin), heard: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let mut heard = heard.lock().unwrap();
        heard.extend_from_slice(&buffer[..length]);
        let is_hello = heard.first() == Some(&0x16);
        if is_hello || heard.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
            return;
        }
    }
}

#[tokio::test]
async fn secrets_and_codes_go_to_no_server_that_is_not_authenticated_over_tls() {
    portcullis_verifies::verifies!("SMART-17");
    // The right one hears them, so that silence below means something.
    let right = Server::start(Some("localhost")).await;
    right.told("https").await.unwrap();
    assert!(right.heard().contains(SECRET) && right.heard().contains("Basic "), "{}", right.heard());

    // Plain http: no connection is made at all, exempt or not.
    let plain = Server::start(None).await;
    let refused = plain.told("http").await.unwrap_err();
    assert!(matches!(refused, OutboundError::Forbidden(ForbiddenUrl::NotHttps)), "{refused}");
    assert_eq!((plain.heard().as_str(), *plain.connections.lock().unwrap()), ("", 0));

    // A server without TLS behind an https URL hears a greeting and nothing of the request.
    let refused = plain.told("https").await.unwrap_err();
    assert!(matches!(refused, OutboundError::Tls(_)), "{refused}");
    assert!(plain.heard.lock().unwrap().first() == Some(&0x16), "a TLS ClientHello");
    assert!(!plain.heard().contains("secret") && !plain.heard().contains("POST") && !plain.heard().contains("Basic"));

    // A certificate that is trusted, for another host.
    let other = Server::start(Some("elsewhere.example")).await;
    let refused = other.told("https").await.unwrap_err();
    assert!(matches!(refused, OutboundError::Tls(_)), "{refused}");
    assert_eq!((other.heard().as_str(), *other.connections.lock().unwrap()), ("", 1), "the handshake ended before the request");
}
