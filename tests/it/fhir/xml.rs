//! The same answers in XML: every interaction takes and gives it, what is hidden is hidden in it too, and what is no FHIR XML is refused with its place.

use std::time::{Duration, Instant};

use http::Method;
use portcullis_fhir::labels::Security;
use portcullis_fhir::redaction::ElementRules;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::xml;
use portcullis_policy::StoredVersion;
use portcullis_server::context::AuthorizationSettings;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{Reply, TestServer};
use serde_json::{Value, json};

use super::world::World;

const XML: &str = "application/fhir+xml";

/// The JSON of what an answer says in XML.
pub fn of_xml(reply: &Reply) -> Value {
    assert_eq!(reply.header("content-type"), "application/fhir+xml; charset=utf-8", "{}", reply.text());
    let tree = xml::parse(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text()));
    serde_json::from_slice(&tree.to_bytes()).unwrap()
}

/// A resource as XML.
fn in_xml(resource: &Value) -> Vec<u8> {
    xml::from_json(resource.to_string().as_bytes()).unwrap()
}

fn observation(id: Option<&str>, value: &str) -> Value {
    let mut observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/ann"}, "valueString": value});
    if let Some(id) = id {
        observation["id"] = id.into();
    }
    observation
}

/// A request in XML that wants XML.
async fn send(world: &World, token: &str, method: Method, path: &str, body: Option<&Value>) -> Reply {
    let request = world.server.client.request(method, path).bearer(token).header("accept", XML);
    match body {
        Some(body) => request.header("content-type", XML).bytes(in_xml(body)).send().await,
        None => request.send().await,
    }
}

async fn in_json(world: &World, token: &str, path: &str) -> Reply {
    world.server.client.get(path).bearer(token).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interaction_takes_and_gives_xml() {
    let world = World::start().await;
    let token = world.ann().await;
    let created = send(&world, &token, Method::POST, "/fhir/Observation", Some(&observation(None, "a < \"b\"\n"))).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let made = of_xml(&created);
    assert_eq!(made["valueString"], "a < \"b\"\n");
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Observation/{id}");
    assert!(created.header("location").contains(&path) && created.header("etag").starts_with("W/\""));

    let updated = send(&world, &token, Method::PUT, &path, Some(&observation(Some(&id), "c"))).await;
    assert_eq!((updated.status.as_u16(), &of_xml(&updated)["valueString"]), (200, &json!("c")));
    let (read, same) = (send(&world, &token, Method::GET, &path, None).await, in_json(&world, &token, &path).await);
    assert_eq!((of_xml(&read), read.header("etag")), (same.json(), same.header("etag")), "a tag is that of the version");
    for reply in [&read, &same] {
        assert_eq!(reply.header("vary"), "Accept, Authorization, Origin");
    }
    let known = world.server.client.get(&path).bearer(&token).header("accept", XML).header("if-none-match", read.header("etag"));
    let known = known.send().await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let head = send(&world, &token, Method::HEAD, &path, None).await;
    assert_eq!(
        (head.status.as_u16(), head.body.len(), head.header("content-type")),
        (200, 0, "application/fhir+xml; charset=utf-8")
    );
    assert_eq!(head.header("content-length"), read.body.len().to_string());

    let first = made["meta"]["versionId"].as_str().unwrap();
    for path in [
        format!("{path}/_history/{first}"),
        format!("{path}/_history"),
        "/fhir/Observation?code=4548-4&_include=Observation:patient&unknown=1".to_owned(),
        "/fhir?_type=Observation,Patient".to_owned(),
        "/fhir/Patient/ann/$everything".to_owned(),
        "/fhir/Patient/ann?_summary=true".to_owned(),
        "/fhir/Patient/ann?_elements=name".to_owned(),
        "/fhir/Patient/bob".to_owned(),
        "/fhir/Dragon/1".to_owned(),
        "/fhir/metadata".to_owned(),
    ] {
        let (read, same) = (send(&world, &token, Method::GET, &path, None).await, in_json(&world, &token, &path).await);
        assert_eq!((read.status, of_xml(&read)), (same.status, same.json()), "{path}");
    }
    let entries = json!([{"request": {"method": "GET", "url": "Patient/ann"}}, {"request": {"method": "GET", "url": "Patient/bob"}},
        {"resource": observation(None, "d"), "request": {"method": "POST", "url": "Observation"}}]);
    for (bundle_type, entries, expected) in [
        ("batch", entries.clone(), vec!["200", "404", "201"]),
        ("transaction", json!([entries[0], entries[2]]), vec!["200", "201"]),
    ] {
        let bundle = json!({"resourceType": "Bundle", "type": bundle_type, "entry": entries});
        let reply = send(&world, &token, Method::POST, "/fhir", Some(&bundle)).await;
        let answers = of_xml(&reply)["entry"].as_array().unwrap().clone();
        let statuses: Vec<&str> = answers.iter().map(|entry| &entry["response"]["status"].as_str().unwrap()[..3]).collect();
        assert_eq!((reply.status.as_u16(), statuses), (200, expected), "{}", reply.text());
        assert_eq!(answers[0]["resource"]["id"], "ann");
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Patient"}]});
    let everything = send(&world, &token, Method::POST, "/fhir/Patient/ann/$everything", Some(&parameters)).await;
    assert_eq!(
        (everything.status.as_u16(), of_xml(&everything)["entry"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{}",
        everything.text()
    );

    let deleted = send(&world, &token, Method::DELETE, &path, None).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    let gone = send(&world, &token, Method::GET, &path, None).await;
    assert_eq!((gone.status.as_u16(), &of_xml(&gone)["issue"][0]["code"]), (410, &json!("deleted")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_is_negotiated_by_accept_and_format_and_errors_have_it_too() {
    let world = World::start().await;
    let token = world.ann().await;
    let client = &world.server.client;
    for (accept, format, is_xml) in [
        ("*/*", "", false),
        ("", "", false),
        ("text/xml", "", true),
        ("application/xml;q=0.9, application/fhir+json;q=0.8", "", true),
        ("application/fhir+xml; fhirVersion=4.0", "", true),
        ("application/fhir+json", "?_format=xml", true),
        ("text/html", "?_format=application/fhir%2Bxml", true),
        (XML, "?_format=json", false),
    ] {
        let media_type = if is_xml { "application/fhir+xml; charset=utf-8" } else { "application/fhir+json; charset=utf-8" };
        for path in
            ["/fhir/Patient/ann", "/fhir/Patient/none", "/fhir/Observation", "/fhir/metadata", "/fhir/Patient/ann/_history"]
        {
            let reply = client.get(&format!("{path}{format}")).bearer(&token).header("accept", accept).send().await;
            assert!(matches!(reply.status.as_u16(), 200 | 404), "{accept} {path}{format}: {}", reply.text());
            assert_eq!(reply.header("content-type"), media_type, "{accept} {path}{format}");
        }
        let stranger = client.get(&format!("/fhir/Patient/ann{format}")).header("accept", accept).send().await;
        assert_eq!((stranger.status.as_u16(), stranger.header("content-type")), (401, media_type), "{accept} {format}");
        assert!(stranger.header("www-authenticate").starts_with("Bearer"));
    }
    for (accept, format) in [("application/fhir+xml; fhirVersion=3.0", ""), ("text/turtle", ""), (XML, "?_format=ttl")] {
        let reply = client.get(&format!("/fhir/Patient/ann{format}")).bearer(&token).header("accept", accept).send().await;
        assert_eq!(reply.status, 406, "{accept} {format}: {}", reply.text());
    }
    let form =
        client.post("/fhir/Observation/_search").bearer(&token).form(&[("code", "4548-4"), ("_format", "xml")]).send().await;
    assert_eq!((form.status.as_u16(), &of_xml(&form)["resourceType"]), (200, &json!("Bundle")));
    let wrong = client.post("/fhir/Observation/_search").bearer(&token).form(&[("date", "x"), ("_format", "xml")]).send().await;
    assert_eq!((wrong.status.as_u16(), &of_xml(&wrong)["issue"][0]["expression"][0]), (400, &json!("http.date")));
    let next = client.get("/fhir/Observation?_count=1&_format=xml").bearer(&token).send().await;
    let links = of_xml(&next)["link"].to_string();
    assert_eq!(links.matches("_format=xml").count(), 2, "the next page is in the same form: {links}");
    let formats = in_json(&world, &token, "/fhir/metadata").await.json()["format"].clone();
    assert_eq!(formats, json!(["application/fhir+json", "json", "application/fhir+xml", "xml"]));
    for content_type in ["application/xml-patch+xml", XML, "application/xml"] {
        let patch =
            client.request(Method::PATCH, "/fhir/Observation/obs-ann-1").bearer(&token).header("content-type", content_type);
        let reply = patch.header("accept", XML).bytes("<diff/>").send().await;
        assert_eq!((reply.status.as_u16(), &of_xml(&reply)["issue"][0]["expression"][0]), (415, &json!("http.Content-Type")));
    }
    let patch = client.request(Method::PATCH, "/fhir/Observation/obs-ann-1").bearer(&token).header("accept", XML);
    let patch = patch
        .header("content-type", "application/json-patch+json")
        .bytes(r#"[{"op":"replace","path":"/status","value":"amended"}]"#);
    assert_eq!(of_xml(&patch.send().await)["status"], "amended");
}

/// What is not shown is taken out of the JSON before anything becomes XML.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_is_hidden_in_xml_too() {
    let mut settings = AuthorizationSettings::default();
    let rules = "Patient.identifier Patient.telecom -> R\nObservation.status Observation.value[x] -> R";
    settings.labels.elements = std::sync::Arc::new(ElementRules::parse(rules).unwrap());
    let world = World::over(TestServer::start_with(settings).await).await;
    let ann = json!({"resourceType": "Patient", "id": "ann", "name": [{"family": "Ann"}],
        "identifier": [{"system": "urn:ssn", "value": "078-05-1120"}], "telecom": [{"system": "phone", "value": "555-0100"}]});
    world.server.import(&[ann.to_string()]).await;
    let (own, who) = (world.ann().await, world.app.access_token("user/*.cruds", "who", PASSWORD).await);
    assert!(
        send(&world, &own, Method::GET, "/fhir/Patient/ann", None).await.text().contains("078-05-1120"),
        "the own record is whole"
    );
    let mut hidden = 0;
    for token in [&own, &who] {
        for path in [
            "/fhir/Patient/ann",
            "/fhir/Patient/bob",
            "/fhir/Patient/none",
            "/fhir/Patient",
            "/fhir/Patient?identifier=urn:ssn|078-05-1120",
            "/fhir/Observation/obs-ann-1",
            "/fhir/Observation/obs-bob-1",
            "/fhir/Observation/obs-bob-1/_history",
            "/fhir/Observation?patient=bob",
            "/fhir/Observation?_include=Observation:patient",
            "/fhir/Patient/ann/_history",
            "/fhir/Patient/ann/$everything",
            "/fhir/Patient/bob/$everything",
            "/fhir/AuditEvent",
        ] {
            let path = path.replace('|', "%7C");
            let same = in_json(&world, token, &path).await;
            let read = send(&world, token, Method::GET, &path, None).await;
            assert_eq!((read.status, of_xml(&read)), (same.status, same.json()), "{path}");
            if *token == who {
                assert!(
                    !read.text().contains("078-05") && !read.text().contains("555-0100") && !read.text().contains("9.90"),
                    "{path}"
                );
                hidden += usize::from(read.text().contains("REDACTED"));
            }
        }
    }
    assert!(hidden > 4, "{hidden}");
}

/// A mark in place of the url of an extension is JSON that no XML is for: nothing of it is answered, and that is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_xml_cannot_say_is_an_internal_error_without_any_of_it() {
    let world = World::start().await;
    let ann = world.ann().await;
    // Nothing like it can be written.
    let body = br#"{"resourceType":"Patient","id":"ann","extension":[{"_url":{"id":"secret"},"valueString":"Secret"}],"name":[{"family":"Annabel"}]}"#;
    let id = |text: &str| LogicalId::parse(text).unwrap();
    let found = StoredVersion {
        resource_type: ResourceType::PATIENT,
        id: id("ann"),
        version: id("v1"),
        last_updated: 0,
        patients: vec![id("ann")],
        security: Security::NONE,
        grounds: Vec::new(),
        body: Some(body.to_vec()),
    };
    *world.server.found_instead.lock().unwrap() = Some(found);
    assert_eq!(in_json(&world, &ann, "/fhir/Patient/ann").await.status, 200);
    let read = send(&world, &ann, Method::GET, "/fhir/Patient/ann", None).await;
    assert_eq!((read.status.as_u16(), &of_xml(&read)["issue"][0]["code"]), (500, &json!("exception")));
    for said in ["Annabel", "Secret", "secret", "Patient/ann", "masked"] {
        assert!(!read.text().contains(said) && !format!("{:?}", read.headers).contains(said), "{said}: {read:?}");
    }
    assert_eq!((read.header("etag"), read.header("content-location"), read.header("last-modified")), ("", "", ""));
    let records = world.server.records();
    let failed: Vec<_> = records.iter().filter(|record| record.status == 500).collect();
    let detail = failed.iter().filter_map(|record| record.detail.as_deref()).collect::<String>();
    assert!(failed.len() == 1 && detail.contains("Patient.extension[0].url"), "{detail}");
    let released = records.iter().find(|record| detail.contains(&record.id.0)).unwrap();
    assert_eq!(
        (released.status, &*released.operations[0].interaction),
        (200, "read"),
        "what was released as JSON keeps its record"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_many_times_as_long_in_xml_is_given_in_json_alone() {
    let world = World::start().await;
    let token = world.ann().await;
    // One byte and a comma for each number, thirty in XML.
    let items: Vec<u32> = vec![1; 40_000];
    let claim = json!({"resourceType": "ExplanationOfBenefit", "status": "active", "type": {"text": "x"}, "use": "claim", "outcome": "complete",
        "patient": {"reference": "Patient/ann"}, "created": "2020-01-01", "insurer": {"display": "x"}, "provider": {"display": "x"},
        "insurance": [{"focal": true, "coverage": {"display": "x"}}],
        "item": [{"sequence": 1, "informationSequence": items, "productOrService": {"text": "x"}}]});
    let request = world.server.client.post("/fhir/ExplanationOfBenefit").bearer(&token).header("accept", XML);
    let created = request.fhir(claim.to_string()).send().await;
    assert_eq!((created.status.as_u16(), &of_xml(&created)["issue"][0]["code"]), (406, &json!("too-long")));
    // It was stored, and whoever made it learns where: nobody makes it again.
    let (location, version) = (created.header("location").to_owned(), created.header("etag").to_owned());
    let path = location.strip_prefix(&world.server.fhir_base).unwrap().split("/_history").next().unwrap().to_owned();
    let read = in_json(&world, &token, &format!("/fhir{path}")).await;
    assert_eq!((read.status.as_u16(), read.header("etag")), (200, version.as_str()));
    for path in [format!("/fhir{path}"), "/fhir/ExplanationOfBenefit".to_owned()] {
        let in_xml = send(&world, &token, Method::GET, &path, None).await;
        assert_eq!(in_xml.status, 406, "{path}");
        assert!(in_xml.body.len() < 1_000 && in_xml.header("etag").is_empty(), "{path}");
    }
}

/// The outcome that refuses a body.
async fn refused(world: &World, token: &str, path: &str, body: Vec<u8>) -> (u16, Value) {
    let request = world.server.client.post(path).bearer(token).header("content-type", XML).header("accept", XML);
    let reply = request.bytes(body).send().await;
    (reply.status.as_u16(), of_xml(&reply)["issue"][0].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_faulty_document_is_refused_with_an_outcome_that_names_the_place() {
    let world = World::start().await;
    let token = world.ann().await;
    let whole = |content: &str| format!("<Observation xmlns=\"http://hl7.org/fhir\">{content}</Observation>");
    let good = "<status value=\"final\"/><code><text value=\"x\"/></code><subject><reference value=\"Patient/ann\"/></subject>";
    let utf_16: Vec<u8> = "\u{feff}<Observation/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bomb = format!(
        "<!DOCTYPE o [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"{}\">]>{}",
        "&a;".repeat(10_000),
        whole("<status value=\"&b;\"/>")
    );
    let external = format!("<!DOCTYPE o SYSTEM \"file:///etc/passwd\">{}", whole(good));
    let deep = whole(&format!("{}{}", "<extension url=\"u\">".repeat(10_000), "</extension>".repeat(10_000)));
    let valued = |value: &str| whole(&format!("{good}{value}"));
    for (name, body, place, words) in [
        ("empty", Vec::new(), "Observation", "The body is empty; it must be the resource."),
        ("malformed", b"<Observation xmlns=\"http://hl7.org/fhir\"><status></Observation>".to_vec(), "Observation.status", "line 1, column 50: not well-formed XML: "),
        ("cut off", b"<Observation xmlns=\"http://hl7.org/fhir\">".to_vec(), "Observation", "line 1, column 42: the text ends inside an element"),
        ("other root", b"<Patient xmlns=\"http://hl7.org/fhir\"/>".to_vec(), "resourceType", "The address is for Observation, and the body is another type."),
        ("unknown type", b"<Observatory xmlns=\"http://hl7.org/fhir\"/>".to_vec(), "Resource", "line 1, column 1: `Observatory` is not a resource type of FHIR R4"),
        ("unknown element", whole("<statuss value=\"x\"/>").into_bytes(), "Observation.statuss", "Observation has no element `statuss`; did you mean `status`?"),
        ("wrong namespace", b"<Observation xmlns=\"urn:hl7-org:v3\"/>".to_vec(), "Resource", "the element is not in the namespace http://hl7.org/fhir"),
        ("no namespace", b"<Observation/>".to_vec(), "Resource", "the element is not in the namespace http://hl7.org/fhir"),
        ("twice", whole("<status value=\"final\"/><status value=\"final\"/>").into_bytes(), "Observation.status", "`status` occurs at most once"),
        ("two of a choice", valued("<valueString value=\"a\"/><valueInteger value=\"1\"/>").into_bytes(), "Observation.valueInteger", "only one of `value[x]` may be present, and `valueString` is too"),
        ("order", whole("<code><text value=\"x\"/></code><status value=\"final\"/>").into_bytes(), "Observation.status", "`status` stands before `code`: the order is that of the definitions"),
        ("attribute", whole("<code text=\"x\"/>").into_bytes(), "Observation.code", "`code` has no attribute `text`"),
        ("attribute of root", b"<Observation xmlns=\"http://hl7.org/fhir\" id=\"a\"/>".to_vec(), "Observation", "`Observation` has no attribute `id`"),
        ("entities", bomb.into_bytes(), "Resource", "line 1, column 1: a document type (DOCTYPE) is not allowed"),
        ("external entity", external.into_bytes(), "Resource", "line 1, column 1: a document type (DOCTYPE) is not allowed"),
        ("entity", whole("<status value=\"&xxe;\"/>").into_bytes(), "Observation.status", "the entity `&xxe;` is not allowed"),
        ("instruction", whole("<?php x?>").into_bytes(), "Observation", "processing instructions are not allowed"),
        ("10,000 elements", deep.into_bytes(), &format!("Observation{}", ".extension[0]".repeat(15)), "elements are nested too deeply"),
        ("invalid UTF-8", [whole("").as_bytes(), b"\xff"].concat(), "Resource", "the text is not valid UTF-8"),
        ("UTF-16", utf_16, "Resource", "the text is UTF-16 or UTF-32; it must be UTF-8"),
        ("text", whole("final").into_bytes(), "Observation", "text between elements"),
        ("text of an element", whole("<status>final</status>").into_bytes(), "Observation.status", "text between elements"),
        ("empty value", whole("<status value=\"\"/>").into_bytes(), "Observation.status", "the attribute `value` is empty"),
        ("no value", whole("<status/>").into_bytes(), "Observation.status", "an element has a value or an extension"),
        ("no number", valued("<valueInteger value=\"one\"/>").into_bytes(), "Observation.valueInteger", "expected a number"),
        ("no boolean", valued("<valueBoolean value=\"1\"/>").into_bytes(), "Observation.valueBoolean", "expected true or false"),
        ("no date", valued("<valueDateTime value=\"2026-02-30\"/>").into_bytes(), "Observation.valueDateTime", "expected a date that exists"),
        ("missing", whole("<status value=\"final\"/>").into_bytes(), "Observation.code", "the required element `code` is missing"),
        ("script", whole(&format!("<text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\"><script>1</script></div></text>{good}")).into_bytes(), "Observation.text.div", "script"),
    ] {
        let (status, issue) = refused(&world, &token, "/fhir/Observation", body).await;
        // Everything but the script can be read no further.
        let expected = if name == "script" { 422 } else { 400 };
        assert_eq!((status, &issue["expression"][0]), (expected, &json!(place)), "{name}: {issue}");
        assert!(issue["diagnostics"].as_str().unwrap().contains(words), "{name}: {issue}");
    }
    for (body, place) in [
        ("<Bundle", "Bundle"),
        ("<Patient xmlns=\"http://hl7.org/fhir\"/>", "Bundle"),
        (
            "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch\"/><entry><resource><Patient><x/></Patient></resource></entry></Bundle>",
            "Bundle.entry[0].resource.x",
        ),
    ] {
        let (status, issue) = refused(&world, &token, "/fhir", body.as_bytes().to_vec()).await;
        assert_eq!((status, &issue["expression"][0]), (400, &json!(place)), "{issue}");
    }
    assert_eq!(
        world
            .server
            .client
            .post("/fhir/Observation")
            .bearer(&token)
            .header("content-type", XML)
            .bytes(whole(good))
            .send()
            .await
            .status,
        201
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_documents_are_refused_soon() {
    let world = World::start().await;
    let token = world.ann().await;
    let head = format!(
        "POST /fhir/Observation HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\naccept: {XML}\r\ncontent-type: {XML}\r\ncontent-length: 104857600\r\n\r\n"
    );
    let reply = world.server.client.raw(head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.contains("<expression value=\"Resource\"/>"), "{reply}");
    let root = "<Observation xmlns=\"http://hl7.org/fhir\"";
    let many = |text: &str| text.repeat(4_000_000 / text.len());
    for (name, body, words) in [
        ("open elements", format!("{root}>{}", many("<extension url='u'>")), "too deeply"),
        (
            "attributes",
            format!("{root} {}/>", (0..200_000).map(|number| format!(" a{number}='x'")).collect::<String>()),
            "too many attributes",
        ),
        (
            "namespaces",
            format!("{root} {}/>", (0..200_000).map(|number| format!(" xmlns:a{number}='x'")).collect::<String>()),
            "well-formed",
        ),
        ("references", format!("{root}><status value='{}'/>", many("&#65;")), "ends inside"),
        ("a comment", format!("{root}><!--{}", many("- ")), "well-formed"),
        ("one tag", format!("<{}", many("a")), "well-formed"),
    ] {
        let begun = Instant::now();
        let (status, issue) = refused(&world, &token, "/fhir/Observation", body.into_bytes()).await;
        assert!(
            status == 400 && issue["diagnostics"].as_str().is_some_and(|text| text.contains(words) && text.len() < 400),
            "{name}: {issue}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {:?}", begun.elapsed());
    }
}
