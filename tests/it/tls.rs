//! Transport: versions, suites, groups, plain text, time limits.

use std::sync::Arc;

use portcullis_testkit::TestServer;
use portcullis_verifies::verifies;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ClientConfig, NamedGroup, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn plain(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.client.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_gets_a_redirect_for_the_start_page_and_nothing_else() {
    verifies!("SEED-RT-01", "TLS-12");
    let server = TestServer::start().await;
    let start = plain(&server, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(start.starts_with("HTTP/1.1 308 ") && start.contains("location: https://"), "{start}");
    for request in
        ["GET /fhir/Patient/1 HTTP/1.1\r\nhost: x\r\n\r\n", "POST / HTTP/1.1\r\nhost: x\r\n\r\n", "\r\n\r\n", "SSH-2.0-x\r\n"]
    {
        assert_eq!(plain(&server, request.as_bytes()).await, "", "{request}");
    }
}

struct Offer {
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// The group that was agreed on, or the error.
async fn handshake(server: &TestServer, offer: Offer) -> Result<Option<NamedGroup>, std::io::Error> {
    let provider = CryptoProvider { cipher_suites: offer.suites, kx_groups: offer.groups, ..aws_lc_rs::default_provider() };
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&offer.versions).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(server.client.address()).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let (_, connection) = stream.get_ref();
    Ok(connection.negotiated_key_exchange_group().map(|group| group.name()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_approved_suites_and_groups_are_agreed_on_and_the_hybrid_group_first() {
    verifies!("SEED-RT-07", "SEED-USCORE-18", "TLS-02", "TLS-03", "FHIR-SEC-06");
    let server = TestServer::start().await;
    let default = aws_lc_rs::default_provider();
    let tls13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
    let tls12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    let all = Offer { suites: default.cipher_suites.clone(), groups, versions: tls13.to_vec() };
    assert_eq!(handshake(&server, all).await.unwrap(), Some(NamedGroup::X25519MLKEM768));
    let old = Offer { suites: default.cipher_suites.clone(), groups: vec![kx_group::SECP256R1], versions: tls12.to_vec() };
    assert_eq!(handshake(&server, old).await.unwrap(), Some(NamedGroup::secp256r1));
    let chacha13 = Offer {
        suites: vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        groups: default.kx_groups.clone(),
        versions: tls13.to_vec(),
    };
    assert!(handshake(&server, chacha13).await.is_err());
    let chacha12 = Offer {
        suites: vec![cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256],
        groups: default.kx_groups.clone(),
        versions: tls12.to_vec(),
    };
    assert!(handshake(&server, chacha12).await.is_err());
    let x25519 = Offer { suites: default.cipher_suites.clone(), groups: vec![kx_group::X25519], versions: tls13.to_vec() };
    assert!(handshake(&server, x25519).await.is_err());
}

/// A hello (RFC 4346, section 7.4.1.2) of a client whose newest version is this one.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let suites: [u8; 6] = [0xc0, 0x13, 0xc0, 0x2f, 0x00, 0x2f];
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 6]);
    body.extend(suites);
    body.extend([1, 0]);
    let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    message.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
    record.extend(message);
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_before_tls_1_2_are_refused_and_1_3_is_the_default() {
    verifies!("TLS-01", "FHIR-SEC-05", "SEED-SKIN-09", "SEED-CARIN-06", "SEED-CARIN-07", "BP-01");
    let server = TestServer::start().await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut stream = TcpStream::connect(server.client.address()).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        // An alert (21), fatal (2); no hello of the server (22).
        assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "{version:?} {answer:?}");
    }
    let stream = server.client.connect().await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}
