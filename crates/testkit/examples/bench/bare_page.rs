//! What a page takes where nothing is checked: one thread with TLS, the raw query, one append with `fdatasync`, and the answer.
//!
//! Its p99 at one connection is what this machine takes by itself, whatever a server does between.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, Stream};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::raw::{self, RawPages};

/// Bytes of an audit record, about.
const RECORD_BYTES: usize = 700;

/// Serves until it is ended.
pub fn serve(port: u16, database: &Path, patient: &str, certificates: &Path, log: &Path) -> ! {
    let chain = CertificateDer::pem_file_iter(certificates.join("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let store = raw::open(database);
    let (mut pages, patient) = (RawPages::of(&store), raw::patient_key(patient));
    let mut ledger = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    loop {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut connection = Stream::new(&mut session, &mut socket);
        answer(&mut connection, || {
            let mut body = Vec::new();
            pages.page(patient, |_, resource| body.extend_from_slice(&resource));
            ledger.write_all(&[b'x'; RECORD_BYTES]).unwrap();
            ledger.sync_data().unwrap();
            body
        });
    }
}

/// Answers requests without bodies until the client goes.
fn answer(connection: &mut Stream<'_, ServerConnection, TcpStream>, mut page: impl FnMut() -> Vec<u8>) {
    let (mut buffer, mut held) = ([0; 8192], Vec::new());
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        held.extend_from_slice(&buffer[..length]);
        if !held.ends_with(b"\r\n\r\n") {
            continue;
        }
        held.clear();
        let body = page();
        let mut reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        reply.extend_from_slice(&body);
        if connection.write_all(&reply).is_err() {
            return;
        }
    }
}
