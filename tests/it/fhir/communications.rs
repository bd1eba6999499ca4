//! What the section on communications of FHIR's security page asks, <https://hl7.org/fhir/R4/security.html#http>: requests that would be something else than they look.

use portcullis_verifies::verifies;

use super::world::World;

/// What no answer tells: how the server is made, and where it runs.
const TELLING: [&str; 9] = ["sqlite", "select ", "panicked", ".rs:", "/home/", "/tmp/", "rusqlite", "stack", "thread '"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_smuggle_climb_or_never_end_are_refused_and_tell_nothing() {
    verifies!("FHIR-SEC-01");
    let world = World::start().await;
    let token = world.ann().await;
    let authorization = format!("authorization: Bearer {token}");
    let long = "a".repeat(9_000);
    let get = |target: &str, header: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{authorization}\r\n{header}connection: close\r\n\r\n")
    };
    let read = "/fhir/Observation/obs-ann-1";
    let cases: Vec<(String, u16)> = vec![
        // CR and LF where they end a header for one reader and not for another.
        (get(read, "x-request-id: one\rset-cookie: two\r\n"), 400),
        (get(read, "x-request-id: one\nset-cookie: two\r\n"), 200),
        (get(read, "x-request-id: one\r\n set-cookie: two\r\n"), 400),
        (get(read, "x-request-id: one\0two\r\n"), 400),
        (get("/fhir/Observation/obs-ann-1\rset-cookie:two", ""), 400),
        (get("/fhir/Observation?code=%0d%0aset-cookie:two", ""), 200),
        (get("/fhir/Observation/%0d%0aset-cookie:two", ""), 404),
        // Ways out of the folder.
        (get("/fhir/../../etc/passwd", ""), 404),
        (get("/fhir/Observation/../Patient/bob", ""), 404),
        (get("/fhir/%2e%2e/%2e%2e/etc/passwd", ""), 404),
        (get("/fhir/Observation/..%2f..%2fPatient%2fbob", ""), 404),
        (get("/fhir/Observation/..%5c..%5cPatient", ""), 404),
        (get("/static/../../Cargo.toml", ""), 404),
        (get("/static/%2e%2e%2fserver.key", ""), 404),
        // Ends of strings of other languages.
        (get("/fhir/Observation/obs-ann-1%00.html", ""), 400),
        (get("/fhir/Observation?code=%00", ""), 400),
        (get("/fhir/Observation/obs-ann-1\0", ""), 400),
        // No end.
        (get(&format!("/fhir/Observation/{long}"), ""), 404),
        (get(&format!("/fhir/Observation?code={}", long.repeat(4)), ""), 414),
        (get(read, &format!("x-request-id: {}\r\n", long.repeat(8))), 431),
        // Fragments are the client's own business.
        (get("/fhir/Observation/obs-ann-1#/../Patient/bob", ""), 200),
    ];
    for (request, expected) in cases {
        let reply = world.server.client.raw(request.as_bytes()).await;
        let shown: String = request.chars().take(120).collect();
        let status: u16 = reply.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default();
        assert_eq!(status, expected, "{shown:?}: {reply}");
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{shown:?}: {reply}");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\nset-cookie: two") && !head.contains("set-cookie:two\r"), "{shown:?}: {head}");
        assert!(!body.contains("root:") && !body.contains("[package]") && !body.contains("PRIVATE KEY"), "{shown:?}: {body}");
        assert!(!body.contains("\"bob\"") && !body.contains("Patient/bob\""), "{shown:?}: {body}");
        let told = body.to_lowercase();
        assert!(TELLING.iter().all(|telling| !told.contains(telling)), "{shown:?}: {body}");
    }
    assert_eq!(world.server.client.get(read).bearer(&token).send().await.status, 200, "it goes on");
}
