//! Every page that people see, in Chromium: against WCAG 2.2 with axe-core, at the sizes of a phone and a desk, in light and dark.
//!
//! One server, one browser, one walk. What is measured stands in `check.js` and `reflow.js`. axe comes in by the browser's own tools, so the pages keep
//! their content security policy. `PORTCULLIS_SCREENSHOTS=DIR` keeps a picture of every page in every form; `cargo xtask screenshots` makes those of
//! docs/ this way.

mod developers;
mod people;
mod walk;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use portcullis_store::Clock as _;
use portcullis_testkit::Browser;
use serde_json::{Value, json};

use self::people::Hospital;

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");
const CHECK: &str = include_str!("check.js");
const REFLOW: &str = include_str!("reflow.js");

/// The most bytes of a page with its style sheet, icons and script.
const PAGE_WEIGHT: u64 = 30_000;
/// The same for the demo app, which is an app and no page.
const APP_WEIGHT: u64 = 60_000;

/// axe-core; `None` where npm or its registry is not to be had.
fn axe() -> Option<String> {
    let version: Value = serde_json::from_str(PACKAGE).unwrap();
    let version = version["dependencies"]["axe-core"].as_str().unwrap();
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("npm-axe-core-{version}"));
    if !kept.exists() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(folder.path().join("package.json"), PACKAGE).unwrap();
        fs::write(folder.path().join("package-lock.json"), LOCK).unwrap();
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let output = Command::new("npm").args(install).current_dir(&folder).output();
        if !output.is_ok_and(|output| output.status.success()) {
            println!("axe-core could not be had from npm, so no page was looked at");
            return None;
        }
        // Another test process may have been faster.
        let _ = fs::rename(folder.path(), &kept);
    }
    Some(fs::read_to_string(kept.join("node_modules/axe-core/axe.min.js")).unwrap())
}

/// A browser that looks at what it is shown, and keeps what is wrong.
pub struct Inspector {
    pub browser: Browser,
    /// Whether every page is looked at in every pair of size and colours. Else it is on a phone in light and on a desk in dark: that shows what a size or a
    /// colour can change, in half the time.
    is_thorough: bool,
    looked_at: Vec<String>,
    problems: Vec<String>,
}

impl Inspector {
    fn open(axe: &str) -> Self {
        let browser = Browser::open();
        browser.devtools("Page.enable", &json!({}));
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": axe }));
        browser.be_desk();
        let is_thorough = ["PORTCULLIS_SCREENSHOTS", "PORTCULLIS_CASES"].into_iter().any(|name| std::env::var_os(name).is_some());
        Self { browser, is_thorough, looked_at: Vec::new(), problems: Vec::new() }
    }

    /// Looks at the page that is open, in its sizes and colours.
    fn look(&mut self, name: &str) {
        self.weigh(name);
        // Text at twice its size on a desk is 640 pixels wide; at four times it is 320 (WCAG 1.4.10).
        for (width, height) in [(640, 450), (320, 740)] {
            self.browser.be_of_size(width, height, false);
            self.keep(name, "narrow", &format!("return ({REFLOW})()"));
        }
        for (size, width, height) in [("phone", 360, 740), ("desk", 1280, 900)] {
            self.browser.be_of_size(width, height, size == "phone");
            for scheme in ["light", "dark"] {
                let extent = match (size, scheme) {
                    ("phone", "light") => "all",
                    ("desk", "dark") => "layout",
                    _ if self.is_thorough => "layout",
                    _ => continue,
                };
                self.prefer(scheme);
                self.browser.screenshot(&format!("{name}-{size}-{scheme}"));
                self.keep(name, &format!("{size} {scheme}"), &format!("return ({CHECK})('{extent}')"));
            }
        }
        self.prefer("light");
        self.looked_at.push(name.to_owned());
    }

    fn prefer(&self, scheme: &str) {
        let features =
            json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "", "features": features}));
    }

    fn keep(&mut self, name: &str, form: &str, script: &str) {
        let found = self.browser.execute(script);
        let problems = found.as_array().unwrap_or_else(|| self.browser.fail(&format!("{name}: {found}")));
        self.problems.extend(problems.iter().map(|problem| format!("{name}, {form}: {}", problem.as_str().unwrap())));
    }

    fn weigh(&mut self, name: &str) {
        let script = "return ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))\
                      .filter(entry => entry.initiatorType !== 'fetch').reduce((sum, entry) => sum + entry.decodedBodySize, 0)";
        let bytes = self.browser.execute(script).as_u64().unwrap();
        let most = if name.starts_with("app-") { APP_WEIGHT } else { PAGE_WEIGHT };
        if !(1000..most).contains(&bytes) {
            self.problems.push(format!("{name} weighs {bytes} bytes"));
        }
    }

    /// What is printed of the own page, on paper.
    fn print(&mut self, name: &str) {
        self.browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
        self.browser.screenshot(&format!("{name}-print"));
        let script = "return ['.top', '.bottom', 'article form', 'main .button'].filter(css => [...document.querySelectorAll(css)].some(\
                      element => element.checkVisibility())).map(css => `${css} is printed`)";
        self.keep(name, "print", script);
        let colour = "return getComputedStyle(document.body).backgroundColor";
        assert_eq!(self.browser.execute(colour), "rgb(255, 255, 255)", "paper is white");
        self.prefer("light");
    }

    /// What the browser complained of: the pages keep within their own policy.
    fn complaints(&self) -> Vec<String> {
        let lines = self.browser.console();
        let expected = |source: &str, message: &str| source == "network" && message.contains("with a status of 4");
        let bad = lines.into_iter().filter(|line| line.level == "SEVERE" || line.source == "security");
        bad.filter(|line| !expected(&line.source, &line.message))
            .map(|line| format!("{}: {}", line.source, line.message))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_keeps_to_wcag_2_2_on_a_phone_and_on_a_desk_in_light_and_dark() {
    let Some(axe) = axe() else { return };
    let hospital = Hospital::open().await;
    let mut inspector = Inspector::open(&axe);
    inspector.browser.be_at(hospital.world.server.clock.now_milliseconds());
    walk::every_page(&hospital, &mut inspector).await;
    assert_eq!(inspector.complaints(), Vec::<String>::new());
    assert!(inspector.looked_at.len() > 35, "{:?}", inspector.looked_at);
    assert!(inspector.problems.is_empty(), "{} problems:\n{}", inspector.problems.len(), inspector.problems.join("\n"));
}
