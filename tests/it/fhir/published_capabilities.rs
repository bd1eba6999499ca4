//! The capability statement says what is implemented, and nothing else: whatever it lists is asked for, and so is what it does not list.

use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::World;

/// How many requests one batch carries.
const AT_ONCE: usize = 100;

/// What a parameter of this type can be asked for.
fn value(parameter: &Value) -> &'static str {
    match parameter["type"].as_str().unwrap() {
        "number" | "quantity" => "1",
        "date" => "2020",
        "uri" => "urn:x",
        "reference" => "Patient/ann",
        _ => "a",
    }
}

/// The answers to GETs, in order, and all of them in batches.
async fn got(world: &World, token: &str, urls: &[String]) -> Vec<Value> {
    let mut answers = Vec::new();
    for some in urls.chunks(AT_ONCE) {
        let entries: Vec<Value> = some.iter().map(|url| json!({"request": {"method": "GET", "url": url}})).collect();
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let reply = world.server.client.post("/fhir").bearer(token).fhir(batch.to_string()).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        answers.extend(reply.json()["entry"].as_array().unwrap().clone());
    }
    assert_eq!(answers.len(), urls.len());
    answers
}

fn status(entry: &Value) -> &str {
    &entry["response"]["status"].as_str().unwrap()[..3]
}

/// The part of the query of the self link that says what was understood.
fn understood(entry: &Value) -> String {
    let links = entry["resource"]["link"].as_array().cloned().unwrap_or_default();
    let own = links.iter().find(|link| link["relation"] == "self").unwrap_or_else(|| panic!("{entry}"));
    own["url"].as_str().unwrap().split_once('?').map_or("", |(_, query)| query).to_owned()
}

async fn statement(world: &World) -> Value {
    let reply = world.server.client.get("/fhir/metadata").send().await;
    assert_eq!(reply.status, 200, "no token is needed");
    reply.json()
}

fn names(resource: &Value, list: &str, member: &str) -> Vec<String> {
    let listed = resource[list].as_array().cloned().unwrap_or_default();
    listed.iter().map(|one| if member.is_empty() { one } else { &one[member] }.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_search_parameter_that_is_listed_is_understood_and_no_other_is() {
    verifies!("SAFE-05");
    let world = World::start().await;
    let token = world.app.access_token("user/*.cruds user/AuditEvent.rs", "who", PASSWORD).await;
    let statement = statement(&world).await;
    let rest = &statement["rest"][0];
    let of_all = rest["searchParam"].as_array().unwrap();
    let (mut urls, mut expected) = (Vec::new(), Vec::new());
    for resource in rest["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        let own = resource["searchParam"].as_array().cloned().unwrap_or_default();
        for parameter in own.iter().chain(of_all) {
            let code = parameter["name"].as_str().unwrap();
            let asked = format!("{code}={}", value(parameter));
            urls.push(format!("{name}?{asked}"));
            expected.push((code.to_owned(), true));
        }
        let known = names(resource, "searchParam", "name");
        for code in ["code", "patient", "status", "near", "value-quantity", "frobnicate"] {
            if !known.iter().any(|known| known == code) {
                urls.push(format!("{name}?{code}=a"));
                expected.push((code.to_owned(), false));
            }
        }
    }
    let answers = got(&world, &token, &urls).await;
    assert!(answers.len() > 1_000, "{}", answers.len());
    let mut wrong = Vec::new();
    for ((url, (code, is_listed)), answer) in urls.iter().zip(&expected).zip(&answers) {
        // A clinician does not read the audit trail, whatever is asked.
        if url.starts_with("AuditEvent?") {
            continue;
        }
        // What parts a composite has is told by whoever knows it.
        let told = answer["response"]["outcome"]["issue"][0]["diagnostics"].as_str().unwrap_or_default();
        if *is_listed && told.contains("with a $ between them") {
            continue;
        }
        if status(answer) != "200" {
            wrong.push(format!("{url}: {answer}"));
            continue;
        }
        let query = understood(answer);
        let is_understood = query.split('&').any(|pair| pair.split(['=', ':']).next() == Some(code.as_str()));
        if is_understood != *is_listed {
            wrong.push(format!("{url}: listed {is_listed}, but {query}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), urls.len(), &wrong[..wrong.len().min(20)]);
}

/// Whether an answer says that there is no such thing here, rather than that something is wrong with what was asked or with who asks.
fn is_unsupported(reply: &Reply) -> bool {
    let code = reply.json()["issue"][0]["code"].as_str().unwrap_or_default().to_owned();
    code == "not-supported" || reply.status == 405
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interaction_that_is_listed_is_there_and_what_is_not_listed_is_not() {
    verifies!("SAFE-05");
    let world = World::start().await;
    let token = world.app.access_token("user/*.cruds user/AuditEvent.rs", "who", PASSWORD).await;
    let statement = statement(&world).await;
    let send = async |method: &str, path: &str, body: &str| {
        let request = world.server.client.request(method.parse().unwrap(), &format!("/fhir/{path}")).bearer(&token);
        let media_type = if method == "PATCH" { "application/json-patch+json" } else { "application/fhir+json" };
        request.header("content-type", media_type).bytes(body.to_owned()).send().await
    };
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        let listed = names(resource, "interaction", "code");
        let body = format!(r#"{{"resourceType":"{name}","id":"x"}}"#);
        for (interaction, method, path, body) in [
            ("read", "GET", format!("{name}/x"), ""),
            ("vread", "GET", format!("{name}/x/_history/1"), ""),
            ("history-instance", "GET", format!("{name}/x/_history"), ""),
            ("history-type", "GET", format!("{name}/_history"), ""),
            ("search-type", "GET", name.to_owned(), ""),
            ("create", "POST", name.to_owned(), body.as_str()),
            ("update", "PUT", format!("{name}/x"), body.as_str()),
            ("patch", "PATCH", format!("{name}/x"), r#"[{"op":"remove","path":"/text"}]"#),
            ("delete", "DELETE", format!("{name}/x"), ""),
        ] {
            let reply = send(method, &path, body).await;
            let is_listed = listed.iter().any(|listed| listed == interaction);
            assert_eq!(is_unsupported(&reply), !is_listed, "{method} {path}: {} {}", reply.status, reply.text());
            assert!(reply.status.as_u16() < 500, "{method} {path}: {}", reply.status);
        }
        // A PUT of an id that nothing has makes nothing: updateCreate is false.
        assert_eq!(resource["updateCreate"], false);
        let everything = send("GET", &format!("{name}/x/$everything"), "").await;
        let operations = names(resource, "operation", "name");
        assert_eq!(is_unsupported(&everything), operations.is_empty(), "{name}: {}", everything.text());
    }
    let system: Vec<String> = names(&statement["rest"][0], "interaction", "code");
    let bundle = |kind: &str| format!(r#"{{"resourceType":"Bundle","type":"{kind}"}}"#);
    for (interaction, method, path, body) in [
        ("batch", "POST", "", bundle("batch")),
        ("transaction", "POST", "", bundle("transaction")),
        ("search-system", "GET", "?_type=Patient", String::new()),
        ("history-system", "GET", "_history", String::new()),
        ("operation", "GET", "$export", String::new()),
        ("operation", "POST", "$graphql", "{}".to_owned()),
    ] {
        let reply = match path {
            "" | "?_type=Patient" => {
                let request = world.server.client.request(method.parse().unwrap(), &format!("/fhir{path}")).bearer(&token);
                request.fhir(body).send().await
            }
            _ => send(method, path, &body).await,
        };
        let is_listed = system.iter().any(|listed| listed == interaction);
        assert_eq!(is_unsupported(&reply), !is_listed, "{interaction}: {} {}", reply.status, reply.text());
    }
    // Both formats that are listed are written, and one that is not is refused.
    let formats = names(&statement, "format", "");
    for format in formats.iter().map(String::as_str).chain(["text/turtle", "ttl", "html"]) {
        let path = format!("/fhir/metadata?_format={}", format.replace('/', "%2F").replace('+', "%2B"));
        let reply = world.server.client.get(&path).send().await;
        let is_listed = formats.iter().any(|listed| listed == format);
        assert_eq!(reply.status.as_u16(), if is_listed { 200 } else { 406 }, "{format}");
    }
}
