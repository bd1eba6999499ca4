//! `portcullis audit review` at the command line: what it prints where nothing happened, and where something did.

use portcullis_testkit::Demo;

use super::command_line::on_a_terminal;
use super::portcullis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_at_the_command_line_says_what_was_kept_from_whom() {
    let demo = Demo::start(&portcullis(), 2).await;
    let patient = demo.person("patient");
    let other = demo.people("patient").into_iter().find(|person| person.id() != patient.id()).unwrap();
    assert_eq!(demo.run(&["audit", "review"]).expect(0), "Nothing was denied, and nobody broke the glass.\n");
    assert_eq!(demo.run(&["audit", "review", "--json"]).expect_json(0)["events"], serde_json::json!([]));
    let app = demo.app("demo-app");
    let token = app.access_token("launch/patient patient/Patient.rs", &patient.username, &patient.password).await;
    let read = async |path: &str| demo.client().get(&format!("/fhir/{path}")).bearer(&token).send().await.status.as_u16();
    let (own, hidden) = (format!("Patient/{}", patient.id()), format!("Patient/{}", other.id()));
    assert_eq!([read(&own).await, read(&hidden).await, read("Patient/nobody").await], [200, 404, 404]);
    assert_eq!(read("Observation?code=1").await, 403);

    let events = async || {
        let told = demo.run(&["audit", "review", "--json"]).expect_json(0);
        told["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The trail's index follows the ledger.
    let mut kinds = events().await;
    for _ in 0..100 {
        if kinds.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        kinds = events().await;
    }
    assert_eq!(kinds, ["hidden", "denied"], "{}", demo.run(&["audit", "review", "--json"]).expect(0));
    let table = demo.run(&["audit", "review"]).expect(0);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("When ") && lines.len() == 3, "{table}");
    let who = format!("{own} with demo-app");
    assert!(lines[1].contains("hidden") && lines[1].contains(&who) && lines[1].trim_end().ends_with(&hidden), "{table}");
    assert!(lines[2].contains("denied") && lines[2].contains(&who), "{table}");
    assert!(!table.contains("nobody"), "nothing was there:\n{table}");
    let of_other = demo.run(&["audit", "review", "--patient", other.id()]).expect(0);
    assert!(of_other.contains("hidden") && !of_other.contains("denied"), "{of_other}");
    let later = demo.run(&["audit", "review", "--since", "2999-01-01"]).expect(0);
    assert_eq!(later, "Nothing was denied, and nobody broke the glass.\n");
    for width in [80, 120] {
        let table = on_a_terminal(&demo, width, "audit review");
        assert!(table.lines().all(|line| line.chars().count() <= width), "{width}:\n{table}");
        assert!(!table.contains('…') && table.contains(&who) && table.contains(&hidden), "{width}:\n{table}");
    }
    let told = demo.run(&["audit", "review", "--since", "yesterday"]).expect_failure(2);
    assert!(told.contains("'yesterday' is no date: give it as 2026-01-31"), "{told}");
}
