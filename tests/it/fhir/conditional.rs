//! Conditional create, update and delete: they find what may be seen, and to them what is hidden is absent.

use http::Method;
use portcullis_testkit::Reply;
use portcullis_testkit::server::PASSWORD;
use serde_json::{Value, json};

use super::batch::{observed, post};
use super::world::World;

fn identified(patient: &str, value: &str) -> Value {
    let mut resource = observed(patient);
    resource["identifier"] = json!([{"system": "http://x", "value": value}]);
    resource
}

async fn create(world: &World, token: &str, resource: &Value, condition: &str) -> Reply {
    let request = world.server.client.post("/fhir/Observation").bearer(token).header("if-none-exist", condition);
    request.fhir(resource.to_string()).send().await
}

async fn put(world: &World, token: &str, query: &str, resource: &Value) -> Reply {
    let path = format!("/fhir/Observation?{query}");
    world.server.client.request(Method::PUT, &path).bearer(token).fhir(resource.to_string()).send().await
}

async fn delete(world: &World, token: &str, query: &str) -> Reply {
    world.server.client.request(Method::DELETE, &format!("/fhir/Observation?{query}")).bearer(token).send().await
}

async fn total(world: &World, token: &str, query: &str) -> u64 {
    let path = format!("/fhir/Observation?{query}&_summary=count");
    world.server.client.get(&path).bearer(token).send().await.json()["total"].as_u64().unwrap()
}

/// Ann's and Bob's tokens; Bob has an observation with the identifier `bobs`.
async fn two(world: &World) -> (String, String) {
    let ann = world.ann().await;
    let bob = world.app.access_token("launch/patient patient/*.cruds", "bob", PASSWORD).await;
    let created = create(world, &bob, &identified("bob", "bobs"), "identifier=http://x|bobs").await;
    assert_eq!(created.status, 201, "{}", created.text());
    (ann, bob)
}

/// What an answer says but for ids, versions and times.
fn shape(reply: &Reply) -> (u16, Vec<String>, usize) {
    let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (reply.status.as_u16(), names, reply.body.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_matches_only_hidden_data_answers_as_one_that_matches_nothing() {
    let world = World::start().await;
    let (ann, bob) = two(&world).await;
    let hidden = create(&world, &ann, &identified("ann", "new1"), "identifier=http://x|bobs").await;
    let absent = create(&world, &ann, &identified("ann", "new2"), "identifier=http://x|none").await;
    assert_eq!((hidden.status.as_u16(), shape(&hidden)), (201, shape(&absent)), "{}", hidden.text());
    let hidden = put(&world, &ann, "identifier=http://x|bobs", &identified("ann", "new3")).await;
    let absent = put(&world, &ann, "identifier=http://x|none", &identified("ann", "new4")).await;
    assert_eq!((hidden.status.as_u16(), shape(&hidden)), (201, shape(&absent)), "{}", hidden.text());
    let hidden = delete(&world, &ann, "identifier=http://x|bobs").await;
    let absent = delete(&world, &ann, "identifier=http://x|none").await;
    assert_eq!((hidden.status.as_u16(), shape(&hidden)), (204, shape(&absent)), "{}", hidden.text());
    assert_eq!(total(&world, &bob, "identifier=http://x|bobs").await, 1, "Bob's is untouched");
    let hidden = delete(&world, &ann, "_id=obs-bob-1").await;
    let absent = delete(&world, &ann, "_id=obs-non-1").await;
    assert_eq!(shape(&hidden), shape(&absent));
    let hidden = put(&world, &ann, "_id=obs-bob-1&status=final", &observed("bob")).await;
    let absent = put(&world, &ann, "_id=obs-non-1&status=final", &observed("bob")).await;
    assert_eq!((hidden.status.as_u16(), hidden.text()), (403, absent.text()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_needs_every_right_that_it_may_come_to_whatever_is_stored() {
    let world = World::start().await;
    world.ann().await;
    for (name, letters, denied) in [
        ("c", "c", ["create", "update", "delete"].as_slice()),
        ("cud", "cud", &["create", "update", "delete"]),
        ("us", "us", &["create", "update", "delete"]),
        ("cs", "cs", &["update", "delete"]),
        ("ds", "ds", &["create", "update"]),
    ] {
        let scope = format!("launch/patient patient/Observation.{letters}");
        let app = world.server.add_app(name, &scope, false).await;
        let token = app.access_token(&scope, "ann", PASSWORD).await;
        for condition in ["code=4548-4&date=2026-01-01", "code=none"] {
            for (write, reply) in [
                ("create", create(&world, &token, &observed("bob"), condition).await),
                ("update", put(&world, &token, condition, &observed("bob")).await),
                ("delete", delete(&world, &token, "code=none").await),
            ] {
                let missing = reply.header("www-authenticate").contains("insufficient_scope");
                assert_eq!(missing, denied.contains(&write), "{letters} {write} {condition} {} {}", reply.status, reply.text());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_finds_several_or_is_not_understood_changes_nothing() {
    let world = World::start().await;
    let token = world.ann().await;
    let new = observed("ann");
    let several = "code=4548-4";
    for reply in [
        create(&world, &token, &new, several).await,
        put(&world, &token, several, &new).await,
        delete(&world, &token, several).await,
    ] {
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["issue"][0]["code"]),
            (412, &json!("multiple-matches")),
            "{}",
            reply.text()
        );
    }
    for condition in
        ["", "unknown=1", "code=4548-4&unknown=1", "_sort=date", "code=1&_include=*", "date=x", "_has:Observation:patient:code=x"]
    {
        for reply in [
            create(&world, &token, &new, condition).await,
            put(&world, &token, condition, &new).await,
            delete(&world, &token, condition).await,
        ] {
            assert_eq!(reply.status, 400, "{condition} {}", reply.text());
        }
    }
    assert_eq!(total(&world, &token, "code=4548-4").await, 2);
    assert_eq!(total(&world, &token, "status=final").await, 2, "nothing was created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_writes_do_what_they_say() {
    let world = World::start().await;
    let token = world.ann().await;
    let condition = "identifier=http://x|1";
    let created = create(&world, &token, &identified("ann", "1"), condition).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let again = create(&world, &token, &identified("ann", "1"), condition).await;
    assert_eq!((again.status.as_u16(), again.json()["id"].as_str()), (200, Some(id.as_str())), "{}", again.text());
    assert_eq!((again.header("etag"), again.header("location")), (created.header("etag"), created.header("location")));
    assert_eq!(total(&world, &token, condition).await, 1);

    let mut changed = identified("ann", "1");
    changed["code"]["text"] = json!("y");
    let updated = put(&world, &token, condition, &changed).await;
    assert_eq!((updated.status.as_u16(), updated.json()["id"].as_str()), (200, Some(id.as_str())), "{}", updated.text());
    changed["id"] = json!("another");
    assert_eq!(put(&world, &token, condition, &changed).await.status, 400, "the id is another's");
    assert_eq!(put(&world, &token, "identifier=http://x|2", &changed).await.status, 400, "the server chooses ids");
    let stale = world.server.client.request(Method::PUT, &format!("/fhir/Observation?{condition}")).bearer(&token);
    let stale = stale.header("if-match", created.header("etag")).fhir(identified("ann", "1").to_string()).send().await;
    assert_eq!(stale.status, 412, "{}", stale.text());
    assert_eq!(delete(&world, &token, condition).await.status, 204);
    assert_eq!(total(&world, &token, condition).await, 0);
    assert_eq!(world.server.client.get(&format!("/fhir/Observation/{id}")).bearer(&token).send().await.status, 410);
    let records = world.server.records();
    let conditional: Vec<_> = records
        .iter()
        .flat_map(|record| &record.operations)
        .filter(|operation| operation.query.as_deref() == Some(condition))
        .collect();
    let interactions: Vec<_> = conditional.iter().map(|operation| operation.interaction.as_str()).collect();
    assert_eq!(interactions.iter().filter(|interaction| **interaction == "create").count(), 2);
    assert!(conditional.iter().filter(|operation| operation.id.is_some()).all(|operation| operation.patients == ["ann"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_create_on_one_condition_at_once_one_creates() {
    let world = World::start().await;
    let token = world.ann().await;
    let resource = identified("ann", "race");
    let entry = json!([{"resource": resource, "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=http://x|race"}}]);
    let attempts = (0..8).map(|number| {
        let (world, token, resource, entry) = (&world, &token, &resource, &entry);
        async move {
            if number % 2 == 0 {
                create(world, token, resource, "identifier=http://x|race").await
            } else {
                post(world, token, "transaction", entry.clone()).await
            }
        }
    });
    let mut attempts: Vec<_> = attempts.map(Box::pin).collect();
    let mut replies = Vec::new();
    std::future::poll_fn(|context| {
        attempts.retain_mut(|attempt| match attempt.as_mut().poll(context) {
            std::task::Poll::Ready(reply) => {
                replies.push(reply.status.as_u16());
                false
            }
            std::task::Poll::Pending => true,
        });
        if attempts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert!(replies.iter().all(|status| [200, 201, 409].contains(status)), "{replies:?}");
    assert_eq!(total(&world, &token, "identifier=http://x|race").await, 1, "{replies:?}");
}
