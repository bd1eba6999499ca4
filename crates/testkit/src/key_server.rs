//! A TLS server on loopback that publishes a client's JWK Set, changes it when the test says so, and counts who asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The server; its task ends with the runtime of the test.
#[derive(Clone)]
pub struct KeyServer {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    port: u16,
    answer: Arc<Mutex<Vec<u8>>>,
    calls: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Starts it on a free port; until something is published it answers 404.
    pub async fn start() -> Self {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = issued.cert.der().clone();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()));
        let server = Self { certificate, port, answer, calls: Arc::default() };
        tokio::spawn(server.clone().serve(listener, acceptor));
        server
    }

    async fn serve(self, listener: TcpListener, acceptor: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                if !matches!(stream.read(&mut request).await, Ok(1..)) {
                    return;
                }
                server.calls.fetch_add(1, Ordering::SeqCst);
                let answer = server.answer.lock().unwrap().clone();
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    }

    /// What is published from now on, with this `Cache-Control`.
    pub fn publish(&self, set: &Value, cache_control: &str) {
        let body = set.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncache-control: {cache_control}\r\n\r\n");
        *self.answer.lock().unwrap() = (head + &body).into_bytes();
    }

    /// The same for a file of any kind.
    pub fn publish_file(&self, file: &[u8]) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.len());
        *self.answer.lock().unwrap() = [head.as_bytes(), file].concat();
    }

    /// Where.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/jwks.json", self.port)
    }

    /// `host:port`, as an operator exempts it.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// How many requests came.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}
