//! The query of every page that reads one: broken, repeated and too long, it is told to whoever opened the page, and nothing is done.

use portcullis_testkit::Reply;
use portcullis_verifies::verifies;

use crate::account::Visitor;
use crate::pages::people::Hospital;

const BROKEN: &str = "A part of it is broken or missing.";
const TWICE: &str = "A part of it is there more than once.";
const LONG: &str = "It is longer than the addresses of our pages are.";
const NO_MOMENT: &str = "The moment after “before” is not one that we can read.";

/// Each page that reads a query, with what it looks for there.
const PAGES: [(&str, &[&str]); 10] = [
    ("/login", &["return_to"]),
    ("/login/federated", &["provider", "link", "return_to"]),
    ("/login/federated/callback/elsewhere", &["state"]),
    ("/set-password", &["link"]),
    ("/me", &["stopped"]),
    ("/me/consents", &["agreed"]),
    ("/me/history.csv", &["before"]),
    ("/me/history.ndjson", &["before"]),
    ("/developers/callback", &["state", "code", "iss", "error", "error_description"]),
    ("/language", &["to", "return_to"]),
];

fn is(reply: &Reply, told: &str) -> bool {
    let is_page = reply.header("content-type").starts_with("text/html") && reply.header("location").is_empty();
    reply.status == 400 && is_page && reply.text().contains(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_a_page_that_cannot_be_read_has_its_error() {
    verifies!("OAUTH-08");
    let hospital = Hospital::open().await;
    let mut maria = Visitor::new(&hospital.world);
    maria.sign_in("maria").await;
    let many = (0..1100).map(|number| format!("p{number}=")).collect::<Vec<_>>().join("&");
    let mut problems = Vec::new();
    for (path, names) in PAGES {
        let own = |told| if path.contains("history") { NO_MOMENT } else { told };
        let mut cases = vec![(many.clone(), own(LONG))];
        for name in names {
            let values = ["%ff", "%zz", "%", "%f", "%c0%80", "%ed%a0%80", "%00"];
            cases.extend(values.map(|value| (format!("{name}={value}"), own(BROKEN))));
            cases.extend(["a", ""].map(|other| (format!("{name}=b&{name}={other}"), own(TWICE))));
        }
        // Whatever a page does not look for must be readable, and may be there as often as somebody likes.
        cases.push(("unknown=%ff".to_owned(), own(BROKEN)));
        for (query, told) in cases {
            hospital.world.server.clock.advance_seconds(1);
            let reply = maria.get(&format!("{path}?{query}")).await;
            if !is(&reply, told) {
                problems.push(format!(
                    "{path}?{query:.40}: expected {told}, got {} {}",
                    reply.status,
                    super::forms::said(&reply)
                ));
            }
        }
        let more = maria.get(&format!("{path}?unknown=1&unknown=2")).await;
        let plain = maria.get(path).await;
        if (more.status, more.header("location")) != (plain.status, plain.header("location")) {
            problems.push(format!("{path}: what it does not look for changes it: {} instead of {}", more.status, plain.status));
        }
        // What is too long for anything is what nobody knows.
        for name in names {
            let [long, unknown] = ["x".repeat(4000), "nobody".to_owned()].map(|value| format!("{path}?{name}={value}"));
            let (long, unknown) = (maria.get(&long).await, maria.get(&unknown).await);
            let of = |reply: &Reply| (reply.status.as_u16(), reply.header("location").to_owned(), super::forms::said(reply));
            if of(&long) != of(&unknown) && !is(&long, own(LONG)) {
                problems.push(format!("{path}?{name}: long: {:?}, unknown: {:?}", of(&long), of(&unknown)));
            }
        }
        for languages in ["xx", "", "%2a", "es-419%20xx", &"a-".repeat(2000), "es&ui_locales=en"] {
            let reply = maria.get(&format!("{path}?ui_locales={languages}")).await;
            if (reply.status, reply.header("location")) != (plain.status, plain.header("location")) {
                problems.push(format!("{path}: ui_locales={languages:.20} changes it: {}", reply.status));
            }
        }
        if !is(&maria.get(&format!("{path}?ui_locales=%ff")).await, own(BROKEN)) {
            problems.push(format!("{path}: ui_locales=%ff is read"));
        }
        // More than any address has: refused before a page is looked for.
        let huge = maria.get(&format!("{path}?{}={}", names[0], "x".repeat(33 * 1024))).await;
        if huge.status != 414 {
            problems.push(format!("{path}: huge: {}", huge.status));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(maria.get("/me").await.status, 200, "and Maria is still signed in");
}
