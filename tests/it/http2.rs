//! HTTP/2 beside HTTP/1.1: early refusals of large bodies arrive, and the limits of a connection hold.
//!
//! RFC 9112 section 9.6, RFC 9113 sections 5.1.2, 6.5 and 8.1. The matrix and the tests of bad input run over both protocols in their own modules.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use portcullis_testkit::{Protocol, Reply, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fhir::World;

/// More than a FHIR body may have.
const TOO_LARGE: usize = 9 * 1024 * 1024;

fn assert_refused(reply: &Reply, status: u16, context: &str) {
    assert_eq!(reply.status.as_u16(), status, "{context}: {}", reply.text());
    assert_eq!(reply.json()["resourceType"], "OperationOutcome", "{context}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refusal_of_a_large_body_arrives_over_both_protocols() {
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let post = || world.server.client.post("/fhir/Observation").fhir(vec![b' '; TOO_LARGE]);
        let context = format!("{protocol:?}");
        assert_refused(&post().bearer(&token).send().await, 413, &context);
        assert_refused(&post().send().await, 401, &context);
        assert_refused(&post().bearer("x.y.z").send().await, 401, &context);
        let form = world.server.client.post("/oauth/token").form(&[("grant_type", &"x".repeat(TOO_LARGE))]).send().await;
        assert_eq!((form.status.as_u16(), form.json()["error"].as_str()), (400, Some("invalid_request")), "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_on_after_a_refused_body() {
    let world = World::start_over(Protocol::Http2).await;
    let token = world.ann().await;
    let client = &world.server.client;
    let large = || client.post("/fhir/Observation").bearer(&token).fhir(vec![b' '; TOO_LARGE]);
    let small = || client.get("/fhir/Patient/ann").bearer(&token);
    let replies = client.send_in_turn(vec![large(), small(), large(), small()]).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [413, 200, 413, 200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_all_before_it_reads_is_told_over_http_1_that_the_connection_ends() {
    let world = World::start().await;
    let token = world.ann().await;
    let mut request = format!(
        "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/fhir+json\r\ncontent-length: {TOO_LARGE}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + TOO_LARGE, b' ');
    let reply = world.server.client.raw(&request).await;
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("OperationOutcome"), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
    // What is small is read to its end, and the connection goes on.
    let small = "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let reply = world.server.client.raw(small.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 401 ") && reply.ends_with("ok\n"), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_leave_to_send_a_body_that_is_refused_gets_none() {
    let world = World::start().await;
    let head = "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    let reply = world.server.client.raw(head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 401 ") && reply.contains("connection: close"), "{reply}");
    assert!(!reply.contains("100 Continue"), "{reply}");
}

/// What curl says of an upload: status, version, and the body that came back.
fn curl(server: &TestServer, options: &[&str], body: &std::path::Path) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, answer) = (folder.path().join("ca.pem"), folder.path().join("answer"));
    std::fs::write(&certificate, &server.certificate_pem).unwrap();
    let address = format!("https://localhost:{}/fhir/Observation", server.client.address().port());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--ipv4", "--noproxy", "*", "--max-time", "30", "--request", "POST"])
        .args(["--header", "content-type: application/fhir+json", "--write-out", "%{http_code} HTTP/%{http_version}"])
        .arg("--cacert")
        .arg(&certificate)
        .arg("--output")
        .arg(&answer)
        .arg("--data-binary")
        .arg(format!("@{}", body.display()))
        .args(options)
        .arg(&address)
        .output()
        .unwrap_or_else(|error| panic!("curl, which `cargo xtask test` installs: {error}"));
    assert!(output.status.success(), "{options:?}: {output:?}");
    (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(&answer).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_the_refusal_of_a_large_body_in_every_way_of_sending_it() {
    let world = World::start().await;
    let token = format!("authorization: Bearer {}", world.ann().await);
    let mut body = tempfile::NamedTempFile::new().unwrap();
    // More than the server reads before it lets go.
    body.write_all(&vec![b' '; 40 * 1024 * 1024]).unwrap();
    for (version, protocol) in [("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")] {
        for encoding in ["x-nothing: 1", "transfer-encoding: chunked", "expect:"] {
            let (said, answer) = curl(&world.server, &[version, "--header", encoding, "--header", &token], body.path());
            assert_eq!(said, format!("413 {protocol}"), "{encoding}");
            assert!(answer.contains("OperationOutcome"), "{version} {encoding}: {answer}");
            let (said, answer) = curl(&world.server, &[version, "--header", encoding], body.path());
            assert_eq!(said, format!("401 {protocol}"), "{encoding}");
            assert!(answer.contains("OperationOutcome"), "{version} {encoding}: {answer}");
        }
    }
}

/// Frames of HTTP/2 (RFC 9113, section 6) as this test needs them.
mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    /// END_STREAM and END_HEADERS.
    pub const WHOLE: u8 = 5;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// `GET /health`, without Huffman coding (RFC 7541).
    pub fn get_health() -> Vec<u8> {
        [&[0x82, 0x87, 0x04, 7][..], b"/health", &[0x01, 9], b"localhost"].concat()
    }

    /// Kind, stream and payload of each whole frame.
    pub fn parse(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
        let mut frames = Vec::new();
        while bytes.len() >= 9 {
            let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & 0x7fff_ffff;
            let Some(payload) = bytes.get(9..9 + length) else { break };
            frames.push((bytes[3], stream, payload.to_vec()));
            bytes = &bytes[9 + length..];
        }
        frames
    }
}

/// Sends frames after the preface and reads what comes until the server closes or is silent for a second.
async fn exchange(server: &TestServer, sent: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut stream = server.client.over(Protocol::Http2).connect().await.unwrap();
    let opening = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&opening).await.unwrap();
    // The server may close while this is still being sent.
    let _ = stream.write_all(sent).await;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
        received.extend_from_slice(&buffer[..length]);
    }
    frames::parse(&received)
}

fn goaway_code(received: &[(u8, u32, Vec<u8>)]) -> Option<u32> {
    let (_, _, payload) = received.iter().find(|(kind, ..)| *kind == frames::GOAWAY)?;
    Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_announces_its_limits() {
    let server = TestServer::start().await;
    let received = exchange(&server, &[]).await;
    let (_, _, settings) = received.iter().find(|(kind, ..)| *kind == frames::SETTINGS).unwrap();
    let setting = |wanted: u16| {
        let found = settings.chunks_exact(6).find(|pair| u16::from_be_bytes([pair[0], pair[1]]) == wanted);
        found.map(|pair| u32::from_be_bytes(pair[2..6].try_into().unwrap()))
    };
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    assert_eq!(setting(MAX_CONCURRENT_STREAMS), Some(128));
    assert_eq!(setting(INITIAL_WINDOW_SIZE), Some(256 * 1024));
    assert_eq!(setting(MAX_HEADER_LIST_SIZE), Some(64 * 1024), "twice what is answered, so that a refusal is recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_beyond_the_limit_are_refused_over_both_protocols() {
    for protocol in Protocol::BOTH {
        let server = TestServer::start_over(protocol).await;
        let refused = async |path: &str, bytes: usize| {
            server.client.get(path).header("x-large", &"x".repeat(bytes * 1024)).try_send().await
        };
        let told = refused("/fhir/Patient/ann", 40).await.unwrap();
        assert_eq!((told.status.as_u16(), told.json()["issue"][0]["code"].as_str()), (431, Some("too-long")), "{protocol:?}");
        let told = refused("/oauth/token", 40).await.unwrap();
        assert_eq!((told.status.as_u16(), told.json()["error"].as_str()), (431, Some("invalid_request")), "{protocol:?}");
        let recorded = |status: u16| server.records().iter().filter(|record| record.status == status).count();
        assert_eq!(recorded(431), 2, "{protocol:?}");
        // Twice as much is more than anybody reads.
        match refused("/health", 80).await {
            Ok(reply) => assert_eq!((reply.status.as_u16(), reply.text()), (431, String::new()), "{protocol:?}"),
            Err(error) => assert_eq!(protocol, Protocol::Http2, "{error}"),
        }
        assert_eq!(server.client.get("/health").send().await.status, 200, "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_request_leave_a_record_too() {
    let server = TestServer::start().await;
    let large = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n", "x".repeat(80 * 1024));
    for (sent, status) in [("GET /fhir\r\n\r\n", "400"), ("\0\0\0\0\r\n\r\n", "400"), (large.as_str(), "431")] {
        let before = server.records().len();
        let answer = server.client.raw(sent.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let mut records = server.records();
        for _ in 0..100 {
            if records.len() > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            records = server.records();
        }
        let record = records.last().unwrap();
        assert_eq!(
            (records.len(), record.status, record.agent.address.as_deref()),
            (before + 1, 400, Some("127.0.0.1")),
            "{sent:.20}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rapid_reset_ends_the_connection_and_no_other() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let server = TestServer::start_over(Protocol::Http2).await;
    let attack: Vec<u8> = (0..2_000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let cancel = frames::frame(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [frames::frame(frames::HEADERS, frames::WHOLE, stream, &frames::get_health()), cancel].concat()
        })
        .collect();
    let received = exchange(&server, &attack).await;
    assert_eq!(goaway_code(&received), Some(ENHANCE_YOUR_CALM), "{:?}", received.len());
    assert_eq!(server.client.get("/health").send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit_are_refused_and_a_flood_of_pings_and_settings_is_survived() {
    const REFUSED_STREAM: u32 = 7;
    let world = World::start_over(Protocol::Http2).await;
    // Without END_STREAM: the server waits for the bodies of these forms.
    let post = [&[0x83, 0x87, 0x04, 12][..], b"/oauth/token", &[0x01, 9], b"localhost"].concat();
    let open: Vec<u8> = (0..200_u32).flat_map(|number| frames::frame(frames::HEADERS, 4, 2 * number + 1, &post)).collect();
    let received = exchange(&world.server, &open).await;
    let refused =
        received.iter().filter(|(kind, _, payload)| *kind == frames::RST_STREAM && **payload == REFUSED_STREAM.to_be_bytes());
    assert_eq!(refused.count(), 200 - 128);
    let flood = [frames::frame(frames::PING, 0, 0, &[0; 8]), frames::frame(frames::SETTINGS, 0, 0, &[])].concat().repeat(20_000);
    exchange(&world.server, &flood).await;
    assert_eq!(world.server.client.get("/health").send().await.status, 200);
}
