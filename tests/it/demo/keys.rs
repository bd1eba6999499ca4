//! `portcullis keys`: beside a running server, and where none runs.

use portcullis_testkit::Demo;
use serde_json::Value;

use super::portcullis;

fn states(keys: &Value) -> Vec<&str> {
    keys.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect()
}

async fn published(demo: &Demo) -> usize {
    demo.client().get("/oauth/jwks").send().await.json()["keys"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_beside_a_running_server_and_where_none_runs() {
    let demo = Demo::start(&portcullis(), 2).await;
    assert_eq!(states(&demo.run(&["keys", "list", "--json"]).expect_json(0)), ["active", "active"]);
    assert_eq!(states(&demo.run(&["keys", "rotate", "--json"]).expect_json(0)), ["active", "active", "next", "next"]);
    assert_eq!(published(&demo).await, 4, "the running server publishes them at once");
    let again = demo.run(&["keys", "rotate"]).expect_failure(1);
    assert!(again.contains("A new key is published and signs in"), "{again}");
    let stopped = demo.stop();
    let hurried = stopped.run(&["keys", "rotate", "--now"]).expect(0);
    assert!(hurried.contains("The new keys sign from now on."), "{hurried}");
    let listed = stopped.run(&["keys", "list"]).expect(0);
    assert!(listed.contains("retired") && listed.contains("active") && !listed.contains("next"), "{listed}");
    let demo = stopped.start().await;
    assert_eq!(published(&demo).await, 4, "what was stored while nothing ran is published");
}
