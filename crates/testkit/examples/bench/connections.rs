//! What open TLS connections cost a server in memory: each is opened, used for one request, and kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long memory may settle before it is read: longer than what a server that rests takes to give its caches back.
const SETTLING: Duration = Duration::from_secs(8);
/// How often it may have become less since, until it is read all the same.
const LOOKS: usize = 6;
/// What may be given back between two looks at memory that has settled, KiB.
const STIRRING: u64 = 256;

/// Arguments: address, path, file with the token, file with the CA's certificate, number of connections, process.
pub fn run(arguments: &[&str]) -> Value {
    let [address, path, token, authority, count, process] = arguments else { panic!("six arguments are needed") };
    let address: SocketAddr = address.parse().unwrap();
    let count: usize = count.parse().unwrap();
    let token = std::fs::read_to_string(token).unwrap();
    let connector = connector(authority);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What the server does for the first time is no matter of connections, nor what it still holds of its start: who rests gives nothing back.
        let mut first = connection(address, &connector, path, token.trim()).await;
        for _ in 0..count {
            ask(&mut first, address, path, token.trim()).await;
        }
        let before = settled(process).await;
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            open.push(connection(address, &connector, path, token.trim()).await);
        }
        let after = settled(process).await;
        assert!(open.iter().all(|connection| !connection.is_closed()), "the server has closed connections");
        assert!(after > before, "{count} connections cost {before} to {after} kB: that is no measurement");
        drop(first);
        json!({ "connections": count, "before": before, "after": after })
    })
}

fn connector(authority: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn connection(address: SocketAddr, connector: &TlsConnector, path: &str, token: &str) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    ask(&mut sender, address, path, token).await;
    sender
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, address: SocketAddr, path: &str, token: &str) {
    let request = Request::get(path)
        .header(header::HOST, format!("localhost:{}", address.port()))
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap();
}

/// Resident memory once it no longer becomes less.
async fn settled(process: &str) -> u64 {
    let mut found = u64::MAX;
    for _ in 0..LOOKS {
        tokio::time::sleep(SETTLING).await;
        let now = resident_kilobytes(process);
        if now.saturating_add(STIRRING) >= found {
            return now;
        }
        found = now;
    }
    found
}

fn resident_kilobytes(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
