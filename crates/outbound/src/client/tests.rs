//! Calls to a TLS server on loopback that the test exempts, and to what must not be called.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server that answers every request with the same bytes, and counts.
pub(crate) struct Origin {
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    answer: Arc<Mutex<Vec<u8>>>,
    calls: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    pub(crate) async fn start(name: &str) -> Self {
        let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let certificate = issued.cert.der().clone();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, calls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, counter, seen) = (Arc::clone(&answer), Arc::clone(&calls), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answers, counter, seen) =
                    (acceptor.clone(), Arc::clone(&answers), Arc::clone(&counter), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    counter.fetch_add(1, Ordering::SeqCst);
                    seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                    let answer: Vec<u8> = answers.lock().unwrap().clone();
                    let _ = stream.write_all(&answer).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, certificate, answer, calls, requests }
    }

    /// What is answered from now on.
    pub(crate) fn answer(&self, status: &str, headers: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
        *self.answer.lock().unwrap() = text.into_bytes();
    }

    pub(crate) fn answer_raw(&self, bytes: &[u8]) {
        *self.answer.lock().unwrap() = bytes.to_vec();
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/jwks?v=1", self.port)
    }

    /// A client that trusts this server and exempts its address.
    pub(crate) fn client(&self) -> Outbound {
        let exempt = vec![ExemptHost::parse(&format!("localhost:{}", self.port)).unwrap()];
        Outbound::new(Trust::of_the_web().with(self.certificate.clone()).unwrap(), exempt).unwrap()
    }
}

async fn fetched(origin: &Origin) -> Result<Document, OutboundError> {
    origin.client().get(Purpose::ClientKeys, &origin.url()).await
}

#[tokio::test]
async fn a_host_that_is_not_exempt_is_not_called_even_when_it_is_trusted() {
    let origin = Origin::start("localhost").await;
    origin.answer("200 OK", "", "{}");
    let trust = Trust::of_the_web().with(origin.certificate.clone()).unwrap();
    let other_port = ExemptHost::parse(&format!("localhost:{}", origin.port ^ 1)).unwrap();
    let client = Outbound::new(trust, vec![other_port]).unwrap();
    for url in
        [origin.url(), format!("https://127.0.0.1:{}/", origin.port), format!("https://[::ffff:127.0.0.1]:{}/", origin.port)]
    {
        let error = client.get(Purpose::ClientKeys, &url).await.unwrap_err();
        assert!(matches!(error, OutboundError::Forbidden(ForbiddenUrl::NotPublic)), "{url}: {error}");
        assert_eq!(client.check(&url), Err(ForbiddenUrl::NotPublic));
    }
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_a_neighbour_is_refused_after_resolution() {
    let origin = Origin::start("localhost").await;
    // Most systems name themselves in /etc/hosts; the check must not depend on what the name looks like.
    let target = Target::parse("https://keys.example/", &[]).unwrap();
    assert!(!target.permits("10.0.0.1".parse().unwrap()) && !target.permits("::1".parse().unwrap()));
    assert!(target.permits("1.1.1.1".parse().unwrap()));
    if let Ok(name) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        let url = format!("https://{}:{}/", name.trim(), origin.port);
        let error = origin.client().get(Purpose::ClientKeys, &url).await.unwrap_err();
        let refused = matches!(error, OutboundError::ForbiddenAddress | OutboundError::Unresolved | OutboundError::Forbidden(_));
        assert!(refused, "{error}");
    }
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn an_untrusted_or_foreign_certificate_ends_the_call() {
    let origin = Origin::start("localhost").await;
    origin.answer("200 OK", "", "{}");
    let exempt = || vec![ExemptHost::parse(&format!("localhost:{}", origin.port)).unwrap()];
    let strict = Outbound::new(Trust::of_the_web(), exempt()).unwrap();
    assert!(matches!(strict.get(Purpose::ClientKeys, &origin.url()).await, Err(OutboundError::Tls(_))));
    let other = Origin::start("keys.example").await;
    other.answer("200 OK", "", "{}");
    assert!(matches!(fetched(&other).await, Err(OutboundError::Tls(_))), "the certificate is for another name");
    assert_eq!(origin.calls() + other.calls(), 0);
}

#[tokio::test]
async fn redirects_and_errors_are_not_followed() {
    let origin = Origin::start("localhost").await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "404 Not Found", "500 Oops", "204 No Content"]
    {
        origin.answer(status, &format!("location: {}\r\n", origin.url()), "{}");
        let before = origin.calls();
        let error = fetched(&origin).await.unwrap_err();
        assert!(matches!(error, OutboundError::Status(code) if status.starts_with(&code.to_string())), "{status}: {error}");
        assert_eq!(origin.calls(), before + 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_cut_off_with_and_without_a_length() {
    let origin = Origin::start("localhost").await;
    let large = "x".repeat(64 * 1024 + 1);
    origin.answer("200 OK", "", &large);
    assert!(matches!(fetched(&origin).await, Err(OutboundError::TooLarge)));
    origin.answer_raw(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{large}").as_bytes());
    assert!(matches!(fetched(&origin).await, Err(OutboundError::TooLarge)));
    origin.answer("200 OK", "", &"x".repeat(64 * 1024));
    assert_eq!(fetched(&origin).await.unwrap().bytes.len(), 64 * 1024);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let origin = Origin::start("localhost").await;
    origin.answer_raw(b"");
    assert!(matches!(fetched(&origin).await, Err(OutboundError::TooSlow)));
}

#[tokio::test]
async fn what_is_not_http_or_breaks_off_is_an_error() {
    let origin = Origin::start("localhost").await;
    for answer in [&b"nonsense\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nx"] {
        origin.answer_raw(answer);
        assert!(matches!(fetched(&origin).await, Err(OutboundError::Connection(_))), "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_document_comes_with_the_time_that_it_may_be_kept() {
    let origin = Origin::start("localhost").await;
    origin.answer("200 OK", "cache-control: max-age=90\r\n", "{\"keys\":[]}");
    let document = fetched(&origin).await.unwrap();
    assert_eq!((&document.bytes[..], document.fresh_for_seconds), (&b"{\"keys\":[]}"[..], 90));
    let request = origin.requests.lock().unwrap().last().unwrap().clone();
    assert!(request.starts_with("GET /jwks?v=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: localhost:{}\r\n", origin.port)), "{request}");
    assert!(!request.contains("authorization") && !request.contains("cookie"), "{request}");
}

#[test]
fn an_operators_file_must_hold_certificates() {
    let path = std::env::temp_dir().join(format!("portcullis-outbound-{}.pem", std::process::id()));
    std::fs::write(&path, "not PEM").unwrap();
    assert!(matches!(Trust::of_the_web().with_file(&path), Err(TrustError::File(_))));
    let issued = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap();
    std::fs::write(&path, issued.cert.pem()).unwrap();
    assert!(Trust::of_the_web().with_file(&path).is_ok());
    std::fs::remove_file(&path).unwrap();
    assert!(Trust::of_the_web().with_file(&path).is_err());
}

#[tokio::test]
async fn a_form_goes_to_checked_addresses_alone_and_errors_come_back_as_documents() {
    let origin = Origin::start("localhost").await;
    let form = || Form { body: Bytes::from_static(b"a=b"), authorization: Some(HeaderValue::from_static("Basic x")) };
    let post = async || origin.client().post(Purpose::ProviderToken, &origin.url(), form()).await;
    origin.answer("400 Bad Request", "", r#"{"error":"invalid_grant"}"#);
    let reply = post().await.unwrap();
    assert_eq!((reply.status, &*reply.bytes), (400, &br#"{"error":"invalid_grant"}"#[..]));
    let sent = origin.requests.lock().unwrap().last().unwrap().to_lowercase();
    assert!(
        sent.starts_with("post /jwks?v=1 http/1.1") && sent.contains("content-type: application/x-www-form-urlencoded"),
        "{sent}"
    );
    assert!(sent.contains("authorization: basic x") && sent.contains("content-length: 3"), "{sent}");
    for status in ["302 Found", "401 Unauthorized", "500 x"] {
        origin.answer(status, "location: https://evil.example/\r\n", "");
        let refused = post().await.unwrap_err();
        assert!(matches!(refused, OutboundError::Status(_)), "{status}: {refused}");
    }
    origin.answer("200 OK", "", &"x".repeat(65 * 1024));
    assert!(matches!(post().await.unwrap_err(), OutboundError::TooLarge));
    let calls = origin.calls();
    for url in ["https://127.0.0.1/token", "http://login.example/token", "https://[::1]/token"] {
        let refused = origin.client().post(Purpose::ProviderToken, url, form()).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Forbidden(_)), "{url}");
    }
    assert_eq!(origin.calls(), calls);
    origin.answer("400 Bad Request", "", "{}");
    assert!(matches!(fetched(&origin).await.unwrap_err(), OutboundError::Status(400)), "a document is asked for with 200 alone");
    assert_eq!(format!("{:?}", form()), "Form(…)");
}
