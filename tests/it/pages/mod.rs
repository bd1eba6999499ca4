//! Every page that people see, in Chromium: against WCAG 2.2 with axe-core, on a phone and on a desk, in light and dark, in English and in Spanish.
//!
//! A test is a walk: a server with made-up people, a browser, and what somebody comes by on the way. What is measured stands in `inspector.rs`, `check.js`
//! and `reflow.js`. axe comes in by the browser's own tools, so the pages keep their content security policy. `PORTCULLIS_SCREENSHOTS=DIR` keeps a
//! picture of every page in every size and colour; `cargo xtask screenshots` makes those of docs/ this way.

mod apps;
mod clinicians;
mod developers;
pub mod emergencies;
mod inspector;
mod own_page;
pub mod people;
mod visitors;
mod walk;

use std::fs;

use portcullis_store::Clock as _;
use serde_json::Value;

use self::inspector::Inspector;
use self::people::Hospital;
use crate::foreign;

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// axe-core; `None` where npm or its registry is not to be had.
fn axe() -> Option<String> {
    let version: Value = serde_json::from_str(PACKAGE).unwrap();
    let version = version["dependencies"]["axe-core"].as_str().unwrap();
    let files = [("package.json", PACKAGE), ("package-lock.json", LOCK)];
    let install: &[&str] = &["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    let kept = foreign::had(&format!("npm-axe-core-{version}"), &files, &[install])?;
    Some(fs::read_to_string(kept.join("node_modules/axe-core/axe.min.js")).unwrap())
}

/// Goes a way through a hospital of its own; so many pages are looked at on it, in English and in Spanish.
async fn walked(way: impl AsyncFnOnce(&Hospital, &mut Inspector), pages: [usize; 2]) {
    let Some(axe) = axe() else { return };
    let hospital = Hospital::open().await;
    let mut inspector = Inspector::open(&axe, hospital.world.server.client.clone());
    inspector.browser.be_at(hospital.world.server.clock.now_milliseconds());
    way(&hospital, &mut inspector).await;
    inspector.finish(pages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_visitors_see_keeps_to_wcag_2_2() {
    walked(visitors::way, [18, 14]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_see_of_their_own_keeps_to_wcag_2_2() {
    walked(own_page::way, [13, 10]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_people_sign_in_keeps_to_wcag_2_2() {
    walked(own_page::way_in, [10, 5]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_apps_ask_and_show_keeps_to_wcag_2_2() {
    walked(apps::way, [10, 5]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_see_who_act_for_others_keeps_to_wcag_2_2() {
    walked(clinicians::way, [12, 10]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_developers_see_keeps_to_wcag_2_2() {
    walked(developers::way, [10, 9]).await;
}
