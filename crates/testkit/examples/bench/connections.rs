//! What open TLS connections cost a server in memory: each is opened, used for one request, and kept; then as many again.

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

/// Arguments: address, path, file with the token, file with the CA's certificate, number of connections, process.
pub fn run(arguments: &[&str]) -> Value {
    let [address, path, token, authority, count, process] = arguments else { panic!("six arguments are needed") };
    let address: SocketAddr = address.parse().unwrap();
    let count: usize = count.parse().unwrap();
    let token = std::fs::read_to_string(token).unwrap();
    let connector = connector(authority);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A server gives back what its start took as soon as it works, so what the first connections cost tells nothing: as many more are counted.
        let mut open = Vec::with_capacity(2 * count);
        let mut read = [0; 2];
        for resident in &mut read {
            for _ in 0..count {
                open.push(connection(address, &connector, path, token.trim()).await);
            }
            tokio::time::sleep(SETTLING).await;
            *resident = resident_kilobytes(process);
        }
        let [before, after] = read;
        assert!(open.iter().all(|connection| !connection.is_closed()), "the server has closed connections");
        assert!(after > before, "{count} connections cost {before} to {after} kB: that is no measurement");
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
    let request = Request::get(path)
        .header(header::HOST, format!("localhost:{}", address.port()))
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap();
    sender
}

fn resident_kilobytes(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
