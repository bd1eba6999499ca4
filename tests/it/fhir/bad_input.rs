//! Malformed, hostile and oversized input: a clear error in FHIR's own form, and a server that keeps serving.

use http::Method;
use portcullis_testkit::Protocol;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;

use super::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_body_is_refused_with_an_outcome_that_names_the_place() {
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("cut off", br#"{"resourceType":"Observation""#.to_vec(), "Observation"),
            (
                "duplicate key",
                br#"{"resourceType":"Observation","status":"final","status":"final"}"#.to_vec(),
                "Observation.status",
            ),
            ("wrong type", br#"{"resourceType":"Observation","status":7,"code":{"text":"x"}}"#.to_vec(), "Observation.status"),
            (
                "bad date",
                br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"effectiveDateTime":"2026-02-30"}"#
                    .to_vec(),
                "Observation.effective",
            ),
            (
                "unknown element",
                br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"statuss":"x"}"#.to_vec(),
                "Observation.statuss",
            ),
            ("no type", br#"{"status":"final"}"#.to_vec(), "resourceType"),
            ("unknown type", br#"{"resourceType":"Observatory"}"#.to_vec(), "resourceType"),
            ("other type", br#"{"resourceType":"Patient"}"#.to_vec(), "resourceType"),
            ("no object", b"[]".to_vec(), "Observation"),
            ("10,000 arrays", nested.into_bytes(), "Resource"),
            ("invalid UTF-8", b"{\"resourceType\":\"Observation\",\"status\":\"\xff\"}".to_vec(), "Observation.status"),
            (
                "endless number",
                br#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1e400000}}"#
                    .to_vec(),
                "Observation.value",
            ),
            ("empty", Vec::new(), "Observation"),
        ];
        for (name, body, place) in cases {
            let reply = world.server.client.post("/fhir/Observation").bearer(&token).fhir(body).send().await;
            assert!(matches!(reply.status.as_u16(), 400 | 422), "{name}: {} {}", reply.status, reply.text());
            let outcome = reply.json();
            assert_eq!(outcome["resourceType"], "OperationOutcome", "{name}");
            let expression = outcome["issue"][0]["expression"][0].as_str().unwrap_or_default();
            assert!(!expression.is_empty() && expression.starts_with(place), "{name}: {outcome}");
            assert!(outcome["issue"][0]["diagnostics"].as_str().is_some_and(|text| text.len() > 10), "{name}");
        }
        assert_eq!(world.server.client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_body_is_refused_before_it_is_read() {
    let world = World::start().await;
    let token = world.ann().await;
    let head = format!(
        "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/fhir+json\r\ncontent-length: 104857600\r\n\r\n"
    );
    let reply = world.server.client.raw(head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("OperationOutcome"), "{reply}");
    assert!(reply.contains(r#""expression":["Resource"]"#), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_names_its_host_once() {
    let world = World::start().await;
    let client = &world.server.client;
    for hosts in ["", "host: localhost\r\nhost: localhost\r\n", "host: localhost\r\nhost: elsewhere.example\r\n"] {
        for (path, body) in [("/fhir/metadata", "http.Host"), ("/oauth/token", "invalid_request"), ("/health", "Host")] {
            let reply = client.raw(format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n").as_bytes()).await;
            assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains(body), "{path} {hosts} {reply}");
        }
    }
}

/// What follows a request whose length two readers could see in two ways: it must never become a request of its own.
const SMUGGLED: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lengths_end_the_connection_after_the_answer_and_nothing_that_follows_is_answered() {
    let world = World::start().await;
    let token = world.ann().await;
    let authorization = format!("authorization: Bearer {token}\r\n");
    let observation =
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/ann"}}"#;
    let chunks = format!("{:x}\r\n{observation}\r\n0\r\n\r\n", observation.len());
    // RFC 9112, section 6.3: the chunks alone count, and "the server MUST close the connection after responding to such a request".
    for lengths in ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"] {
        for (body, status) in [(chunks.as_str(), "201"), ("0\r\n\r\n", "400")] {
            let head = format!(
                "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\n{authorization}content-type: application/fhir+json\r\n"
            );
            let request = format!("{head}{lengths}\r\nconnection: keep-alive\r\n\r\n{body}{SMUGGLED}");
            let reply = world.server.client.raw(request.as_bytes()).await;
            assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{lengths}: {reply}");
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{lengths}: {reply}");
            assert!(reply.to_ascii_lowercase().contains("connection: close\r\n"), "{lengths}: {reply}");
        }
        // Also where the answer needs no body to be read.
        let request =
            format!("GET /fhir/Patient/ann HTTP/1.1\r\nhost: localhost\r\n{authorization}{lengths}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let reply = world.server.client.raw(request.as_bytes()).await;
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{lengths}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_is_none_is_refused_and_ends_the_connection() {
    let world = World::start().await;
    let cases = [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: +4",
        "content-length: 4, 5",
        "content-length: 0x4",
        "content-length: -1",
        "transfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "content-length : 4",
        "transfer-encoding: chunked\r\n folded: yes",
    ];
    for lengths in cases {
        let request = format!("POST /oauth/token HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let reply = world.server.client.raw(request.as_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 400 ") && reply.matches("HTTP/1.1 ").count() == 1, "{lengths}: {reply}");
    }
    let old = format!("POST /oauth/token HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    let reply = world.server.client.raw(old.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.") && reply[8..].starts_with(" 400 ") && !reply[12..].contains("HTTP/1."), "{reply}");
    // Chunks that are none end the connection too.
    for chunk in ["zz\r\n", "1_0\r\n", "ffffffffffffffffff\r\n", "4\nabcd\r\n0\r\n\r\n"] {
        let request =
            format!("POST /oauth/token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{SMUGGLED}");
        let reply = world.server.client.raw(request.as_bytes()).await;
        assert!(reply.matches("HTTP/1.1 ").count() <= 1 && !reply.contains("HTTP/1.1 200"), "{chunk:?}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_is_refused_and_told_what_is_accepted() {
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let post = |coding: &'static str| {
            let request = world.server.client.post("/fhir/Observation").bearer(&token).header("content-encoding", coding);
            async move { request.fhir("{}").send().await }
        };
        let reply = post("gzip").await;
        assert_eq!((reply.status.as_u16(), reply.header("accept-encoding")), (415, "identity"), "{}", reply.text());
        assert_eq!(reply.json()["issue"][0]["expression"][0], "http.Content-Encoding");
        assert_eq!(post("identity").await.status, 400, "read, and found without a resourceType");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_that_audit_events_do_not_have_are_ignored_by_name_or_refused() {
    let world = World::start().await;
    let token = world.app.access_token("launch/patient patient/AuditEvent.rs", "ann", PASSWORD).await;
    let get = |handling: &'static str| {
        let request = world.server.client.get("/fhir/AuditEvent?type=rest&_count=1").bearer(&token);
        async move { request.header("prefer", handling).send().await }
    };
    let lenient = get("handling=lenient").await;
    assert_eq!(lenient.status, 200, "{}", lenient.text());
    assert!(lenient.text().contains("http.type") && lenient.text().contains("AuditEvent has no search parameter 'type'"));
    assert!(lenient.json()["link"][0]["url"].as_str().unwrap().ends_with("AuditEvent?_count=1"), "{}", lenient.text());
    let strict = get("handling=strict").await;
    assert_eq!(strict.status, 400, "{}", strict.text());
    assert_eq!(strict.json()["issue"][0]["expression"][0], "http.type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_version_in_if_none_match_is_not_sent_again() {
    let world = World::start().await;
    let token = world.ann().await;
    let get = |path: &'static str| {
        let request = world.server.client.get(path).bearer(&token).header("if-none-match", "*");
        async move { request.send().await.status.as_u16() }
    };
    assert_eq!(get("/fhir/Patient/ann").await, 304);
    assert_eq!((get("/fhir/Patient/bob").await, get("/fhir/Patient/nobody").await), (404, 404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_what_the_organisation_keeps_is_told_so() {
    let world = World::start().await;
    let token = world.ann().await;
    let body = r#"{"resourceType":"Organization","name":"x"}"#;
    let reply = world.server.client.post("/fhir/Organization").bearer(&token).fhir(body).send().await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(reply.text().contains("kept by the organisation"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_query_is_refused_and_names_the_parameter() {
    verifies!("SAFE-08");
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let get = |query: &str| {
            let request = world.server.client.get(&format!("/fhir/Observation?{query}")).bearer(&token);
            async move { request.send().await }
        };
        for (query, parameter) in [
            ("date=2026-13-01", "date"),
            ("date=yesterday", "date"),
            ("_count=-1", "_count"),
            ("_count=many", "_count"),
            ("code:sideways=x", "code"),
            ("_sort=nothing", "_sort"),
            ("value-quantity=x", "value-quantity"),
            ("_cursor=AAAA", "_cursor"),
            ("_id=a%2Fb", "_id"),
            ("code=a%00b", "control character"),
            (&"_id=a&".repeat(101), r#""expression":["http"]"#),
        ] {
            let reply = get(query).await;
            assert_eq!(reply.status, 400, "{query} {}", reply.text());
            assert!(reply.text().contains(parameter), "{query} {}", reply.text());
        }
        let bounded = get("_count=99999999999999999999").await.json();
        assert!(bounded["link"][0]["url"].as_str().unwrap().ends_with("?_count=1000"), "{bounded}");
        let ignored = get("unknown=1&_content=x").await;
        assert_eq!(ignored.status, 200);
        let bundle = ignored.json();
        let outcome =
            bundle["entry"].as_array().unwrap().iter().find(|entry| entry["search"]["mode"] == "outcome").unwrap().to_string();
        assert!(outcome.contains("unknown") && outcome.contains("_content") && outcome.contains("\"warning\""), "{outcome}");
        assert!(!bundle["link"][0]["url"].as_str().unwrap().contains("unknown"));
        let strict = world
            .server
            .client
            .get("/fhir/Observation?unknown=1")
            .bearer(&token)
            .header("prefer", "handling=strict")
            .send()
            .await;
        assert_eq!(strict.status, 400, "{}", strict.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_paths_methods_and_media_types_have_their_own_status() {
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let client = &world.server.client;
        for (method, path, status) in [
            (Method::GET, "/fhir/Observatory/1", 404),
            (Method::GET, "/fhir/Patient/ann/what", 404),
            (Method::GET, "/fhir/Patient/ann/Organization", 404),
            (Method::GET, "/fhir/Organization/hospital/*", 404),
            (Method::GET, "/fhir/Observation/obs-ann-1/$everything", 404),
            (Method::POST, "/fhir/Patient/ann/*", 405),
            (Method::GET, "/fhir/Patient/..%2Fann", 404),
            (Method::POST, "/fhir/Patient/ann", 405),
            (Method::DELETE, "/fhir/Patient", 400),
            (Method::PATCH, "/fhir/Patient", 400),
            (Method::PATCH, "/fhir/AuditEvent/1", 405),
            (Method::PUT, "/fhir", 405),
            (Method::GET, "/fhir//Patient/ann", 404),
            (Method::GET, "/fhir/Patient//ann", 404),
            (Method::GET, "/fhir/Patient/ann/", 404),
            (Method::GET, "/fhir/Patient/", 404),
            (Method::GET, "/fhir/Patient%2Fann", 404),
            (Method::GET, "/fhir/Patient/%61nn", 404),
            (Method::GET, "/fhir/./Patient/ann", 404),
            (Method::GET, "/fhir/Patient/../Patient/ann", 404),
            (Method::GET, "/fhir/%6detadata", 404),
            (Method::GET, "/fhir/metadata/", 404),
        ] {
            let reply = client.request(method.clone(), path).bearer(&token).fhir("{}").send().await;
            assert_eq!(reply.status, status, "{method} {path} {}", reply.text());
            assert_eq!(reply.json()["resourceType"], "OperationOutcome", "{method} {path}");
            assert_eq!(reply.json()["issue"][0]["expression"][0], "http", "{method} {path}");
        }
        let turtle =
            client.post("/fhir/Observation").bearer(&token).header("content-type", "text/turtle").bytes("<x/>").send().await;
        assert_eq!(turtle.status, 415, "{}", turtle.text());
        for path in ["/fhir/Patient/ann", "/fhir/Patient/ann/_history", "/fhir/Observation", "/fhir/metadata"] {
            let accept = client.get(path).bearer(&token).header("accept", "text/turtle").send().await;
            assert_eq!(accept.status, 406, "{path} {}", accept.text());
            let format = client.get(&format!("{path}?_format=ttl")).bearer(&token).send().await;
            assert_eq!(format.status, 406, "{path} {}", format.text());
            let either = client.get(path).bearer(&token).header("accept", "text/html, application/fhir+json;q=0.5").send().await;
            assert_eq!(either.status, 200, "{path} {}", either.text());
            let twice = client.get(path).bearer(&token).header("accept", "text/html").header("accept", "application/json");
            assert_eq!(twice.send().await.status, 200, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_would_become_too_many_rows_is_refused_with_the_reason() {
    let world = World::start().await;
    let token = world.ann().await;
    let codings: Vec<String> = (0..60_000).map(|number| format!(r#"{{"system":"http://x","code":"c{number}"}}"#)).collect();
    let body = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{}]}},"subject":{{"reference":"Patient/ann"}}}}"#,
        codings.join(",")
    );
    let reply = world.server.client.post("/fhir/Observation").bearer(&token).fhir(body).send().await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("50000"), "{}", reply.text());
    let stored = world.server.client.get("/fhir/Observation?_summary=count").bearer(&token).send().await;
    assert_eq!(stored.json()["total"], 2, "nothing was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_reads_and_histories_shape_the_answer_or_are_refused_when_strict() {
    let world = World::start().await;
    let token = world.ann().await;
    let get = |path: String, strict: bool| {
        let request = world.server.client.get(&path).bearer(&token);
        let request = if strict { request.header("prefer", "handling=strict") } else { request };
        async move { request.send().await }
    };
    let read = get("/fhir/Observation/obs-ann-1".into(), false).await;
    let version = read.header("etag").trim_start_matches("W/").trim_matches('"').to_owned();
    for path in ["", &format!("/_history/{version}"), "/_history"] {
        let path = format!("/fhir/Observation/obs-ann-1{path}");
        let strict = get(format!("{path}?colour=red"), true).await;
        assert_eq!(strict.status, 400, "{path}");
        assert!(strict.text().contains("http.colour"), "{}", strict.text());
        assert_eq!(get(format!("{path}?colour=red"), false).await.status, 200, "{path}");
        assert_eq!(get(format!("{path}?_summary=sideways"), false).await.status, 400, "{path}");
        let shaped = get(format!("{path}?_elements=code"), true).await.text();
        assert!(shaped.contains("\"code\"") && shaped.contains("SUBSETTED") && !shaped.contains("valueQuantity"), "{shaped}");
        let summary = get(format!("{path}?_summary=true&_format=json"), true).await.text();
        assert!(summary.contains("SUBSETTED"), "{summary}");
    }
    let history =
        get("/fhir/Observation/obs-ann-1/_history?colour=red&_count=5000&_format=json&_at=2020".into(), false).await.json();
    let link = history["link"][0]["url"].as_str().unwrap();
    assert!(link.ends_with("/fhir/Observation/obs-ann-1/_history?_count=1000&_format=json"), "{link}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cannot_fill_the_ledger_and_none_of_them_is_forgotten() {
    let world = World::start().await;
    let mut throttled = 0;
    for _ in 0..130 {
        let reply = world.server.client.get("/fhir/Patient/ann").send().await;
        throttled += u32::from(reply.status == 429);
    }
    assert!(throttled > 0, "the limit is above the test's number of requests");
    let gathered =
        |record: &portcullis_audit::Record| -> Option<u32> { record.detail.as_ref()?.split(" requests").next()?.parse().ok() };
    for _ in 0..100 {
        let records = world.server.records();
        if records.iter().filter_map(gathered).sum::<u32>() == throttled {
            assert_eq!(records.iter().filter(|record| record.status == 401).count(), 130 - throttled as usize);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{throttled} refusals were answered and not recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cannot_fill_the_ledger_by_other_routes_either() {
    let world = World::start().await;
    let client = &world.server.client;
    for (path, media_type) in [("/nowhere", "text/plain"), ("/oauth/token", "application/json"), ("/health", "text/plain")] {
        world.server.clock.advance_seconds(1);
        let before = world.server.records().len();
        let mut throttled = 0;
        for _ in 0..120 {
            let reply = client.post(path).form(&[("grant_type", "nonsense")]).send().await;
            if reply.status == 429 {
                throttled += 1;
                assert!(reply.header("content-type").starts_with(media_type), "{path} {:?}", reply.headers);
            }
        }
        assert_eq!(throttled, 20, "{path}");
        portcullis_server::middleware::refusals::flush(&world.server.server).await.unwrap();
        let records = world.server.records();
        assert!(records.len() <= before + 103, "{path}: {} records", records.len() - before);
        let told: u32 = records[before..]
            .iter()
            .filter_map(|record| record.detail.as_ref()?.split(" requests").next()?.parse::<u32>().ok())
            .sum();
        assert_eq!(told, throttled, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_told_so_while_strangers_flood() {
    let world = World::start().await;
    let token = world.ann().await;
    world.server.clock.advance_seconds(3601);
    let client = &world.server.client;
    for _ in 0..110 {
        client.get("/fhir/Patient/ann").send().await;
    }
    assert_eq!(client.get("/fhir/Patient/ann").send().await.status, 429);
    let expired = client.get("/fhir/Patient/ann").bearer(&token).send().await;
    assert_eq!(expired.status, 401);
    assert!(expired.header("www-authenticate").contains("invalid_token"), "{:?}", expired.headers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_that_the_ledger_could_not_take_are_not_lost() {
    let world = World::start().await;
    for _ in 0..110 {
        world.server.client.get("/fhir/Patient/ann").send().await;
    }
    let reader = || world.server.records().into_iter().filter(|record| record.status == 429).count();
    assert_eq!(reader(), 0, "the counts of this second are still open");
    portcullis_server::middleware::refusals::flush(&world.server.server).await.unwrap();
    assert_eq!(reader(), 1);
    portcullis_server::middleware::refusals::flush(&world.server.server).await.unwrap();
    assert_eq!(reader(), 1, "nothing is written twice");

    world.server.segments.fail();
    assert_eq!(world.server.client.get("/fhir/Patient/ann").send().await.status, 429);
    for attempt in
        ["what the ledger does not take is an error", "and stays counted: with nothing left to write there would be none"]
    {
        let flushed = portcullis_server::middleware::refusals::flush(&world.server.server).await;
        assert!(flushed.is_err(), "{attempt}");
    }
    assert_eq!(reader(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_ours_is_401_and_says_nothing_more() {
    verifies!("OAUTH-09", "OAUTH-10", "SMART-30");
    for protocol in Protocol::BOTH {
        let world = World::start_over(protocol).await;
        let token = world.ann().await;
        let client = &world.server.client;
        let mut tampered = token.clone();
        tampered.replace_range(tampered.len() - 4.., "AAAA");
        for header in ["Bearer x", "Bearer ", "Basic eDp5", "bearer", &format!("Bearer {tampered}"), &format!("Bearer {token} x")]
        {
            let reply = client.get("/fhir/Patient/ann").header("authorization", header).send().await;
            assert_eq!(reply.status, 401, "{header}");
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{header}");
        }
        let none = client.get("/fhir/Patient/ann").send().await;
        assert_eq!((none.status.as_u16(), none.header("www-authenticate")), (401, "Bearer realm=\"fhir\""));
        let in_query = client.get(&format!("/fhir/Patient/ann?access_token={token}")).send().await;
        assert_eq!(in_query.status, 401, "tokens in the query are not looked at");
        world.server.clock.advance_seconds(3601);
        let expired = client.get("/fhir/Patient/ann").bearer(&token).send().await;
        assert_eq!(expired.status, 401);
        assert_eq!(expired.json()["issue"][0]["code"], "expired");
    }
}
