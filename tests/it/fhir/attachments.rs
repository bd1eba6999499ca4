//! Attachments: what is at a URL is never fetched, and what is sent must be what it says that it is.

use std::net::TcpListener;

use portcullis_testkit::Reply;
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::world::{World, ids};

/// `hello`, in base64 as all that follows.
const DATA: &str = "aGVsbG8=";
/// `hello!`
const MORE: &str = "aGVsbG8h";
/// SHA-1 of `hello` (FIPS 180-4).
const HASH: &str = "qvTGHdzF6KLavt4PO0gs2a6pQ00=";

async fn posted(world: &World, token: &str, attachment: &Value) -> Reply {
    let document = json!({
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/ann"},
        "content": [{"attachment": attachment}],
    });
    world.server.client.post("/fhir/DocumentReference").bearer(token).fhir(document.to_string()).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_attachment_says_of_its_content_must_be_so() {
    verifies!("FHIR-SEC-45");
    let world = World::start().await;
    let token = world.ann().await;
    for good in [
        json!({"data": DATA}),
        json!({"data": DATA, "size": 5}),
        json!({"data": DATA, "hash": HASH}),
        json!({"data": DATA, "size": 5, "hash": HASH, "contentType": "text/plain"}),
        json!({"url": "https://elsewhere.example/document", "size": 9, "hash": HASH}),
    ] {
        let reply = posted(&world, &token, &good).await;
        assert_eq!(reply.status, 201, "{good}: {}", reply.text());
    }
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (bad, place) in [
        (json!({"data": DATA, "hash": other}), "hash"),
        (json!({"data": DATA, "hash": "c2hvcnQ="}), "hash"),
        (json!({"data": MORE, "hash": HASH}), "hash"),
        (json!({"data": DATA, "size": 4}), "size"),
        (json!({"data": DATA, "size": 8}), "size"),
        (json!({"data": DATA, "url": "https://elsewhere.example/document", "hash": other}), "hash"),
    ] {
        let reply = posted(&world, &token, &bad).await;
        let issue = &reply.json()["issue"][0];
        let expression = format!("DocumentReference.content[0].attachment.{place}");
        assert_eq!((reply.status.as_u16(), &issue["expression"][0]), (422, &json!(expression)), "{bad}: {}", reply.text());
    }
    // By whatever way it comes.
    let entry = json!({"resource": {"resourceType": "Communication", "status": "completed", "subject": {"reference": "Patient/ann"},
        "payload": [{"contentAttachment": {"data": DATA, "hash": other}}]}, "request": {"method": "POST", "url": "Communication"}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    let reply = world.server.client.post("/fhir").bearer(&token).fhir(transaction.to_string()).send().await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("Bundle.entry[0].resource.payload[0].contentAttachment.hash"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_follows_no_url_of_a_resource() {
    verifies!("FHIR-SEC-45");
    let world = World::start().await;
    let token = world.ann().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let closed = format!("http://{}/", listener.local_addr().unwrap());
    // The server may call this one, and does where a client's keys are there.
    let callable = format!("https://{}/document", world.server.keys.authority());
    for url in [closed.as_str(), callable.as_str()] {
        let reply = posted(&world, &token, &json!({"url": url, "size": 5, "hash": HASH})).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let path = format!("/fhir/DocumentReference/{}", reply.json()["id"].as_str().unwrap());
        let read = world.server.client.get(&path).bearer(&token).send().await;
        assert_eq!(read.json()["content"][0]["attachment"]["url"], url);
        let found = world.server.client.get(&format!("/fhir/DocumentReference?location={url}")).bearer(&token).send().await;
        assert_eq!(ids(&found.json()).len(), 1, "{}", found.text());
    }
    world.server.move_outbox().await;
    assert!(listener.accept().is_err(), "somebody came");
    assert_eq!(world.server.keys.calls(), 0);
}
