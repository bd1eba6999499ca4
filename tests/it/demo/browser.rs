//! The whole story in Chromium: start page, demo app on another origin, sign-in, consent, and back under the strict content security policy.
//!
//! `PORTCULLIS_SCREENSHOTS=DIR` keeps pictures of every page.

use std::path::Path;

use portcullis_audit::record::{Event, Outcome, Record};
use portcullis_testkit::process::Person;
use portcullis_testkit::webdriver::{ENTER, SPACE, TAB};
use portcullis_testkit::{Browser, Demo};
use portcullis_verifies::verifies;

use super::{portcullis, records};

const PARTS: [&str; 4] = ["claims", "coverage", "observations", "encounters"];
const ALLOW: &str = "button[name=decision][value=allow]";

struct Story {
    demo: Demo,
    browser: Browser,
    person: Person,
}

impl Story {
    async fn begin() -> Self {
        let demo = Demo::start(&portcullis(), 4).await;
        let person = demo.person("patient");
        Self { demo, browser: Browser::open(), person }
    }

    fn app_url(&self) -> &str {
        self.demo.description["app_url"].as_str().unwrap()
    }

    fn sign_in(&self, password: &str) {
        self.browser.enter_text("#username", &self.person.username);
        self.browser.enter_text("#password", password);
        self.browser.click("form[action='/login'] button[type=submit]");
    }

    /// From the app's first page to the consent screen; only the first time asks for the password.
    fn connect(&self) {
        self.browser.click("#connect");
        self.browser
            .wait_until("the sign-in or the consent page", || self.browser.shows("#username") || self.browser.shows(ALLOW));
        if self.browser.shows("#username") {
            self.sign_in(&self.person.password);
        }
        self.browser.wait_for(ALLOW);
    }

    fn state(&self, part: &str) -> String {
        self.browser.attribute(&format!("#{part}"), "data-state").unwrap_or_default()
    }

    fn wait_for_record(&self) {
        self.browser.wait_for("#record[data-state=loaded]");
        self.browser.wait_until("every part has settled", || PARTS.iter().all(|part| !self.state(part).is_empty()));
        assert!(self.browser.url().starts_with(self.app_url()), "{}", self.browser.url());
        assert!(!self.browser.url().contains("code="), "the code does not stay in the address bar");
    }

    /// What the console says that no page of ours should cause. A refused request is an answer like any other, and Chromium notes it.
    fn complaints(&self) -> Vec<String> {
        let lines = self.browser.console();
        let expected = |source: &str, message: &str| source == "network" && message.contains("with a status of 4");
        lines
            .into_iter()
            .filter(|line| (line.level != "INFO" && line.level != "DEBUG") || line.source == "security")
            .filter(|line| !expected(&line.source, &line.message))
            .map(|line| format!("{} {}: {}", line.level, line.source, line.message))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_connects_the_demo_app_and_decides_what_it_sees() {
    verifies!("USCORE-11", "SEED-CARIN-04", "SMART-19", "SMART-34");
    let story = Story::begin().await;
    the_start_page_leads_on(&story);
    a_wrong_password_is_refused_with_a_message(&story);
    an_unticked_line_is_not_shared(&story);
    the_permission_stays_with_the_server_that_gave_it(&story);
    another_patients_record_does_not_exist(&story);
    disconnecting_ends_the_permission(&story).await;
    everything_can_be_shared(&story);
    saying_no_shares_nothing(&story);
    a_forged_answer_is_refused(&story);
    assert_eq!(story.complaints(), Vec::<String>::new());
    // A stop moves what still waits in the outbox into the ledger.
    the_records_tell_the_story(&story.demo.stop().directory);
}

fn the_start_page_leads_on(story: &Story) {
    let browser = &story.browser;
    browser.be_desk();
    browser.goto(&story.demo.issuer());
    assert_eq!(browser.title(), "Health records, guarded – Portcullis");
    assert_eq!(browser.text("h1"), "Health records, guarded");
    assert!(browser.text("main").contains(&story.person.username), "it says who one can be");
    for link in ["/login", "/docs", "/fhir/metadata"] {
        assert!(browser.shows(&format!("a[href='{link}']")), "{link}");
    }
    let loaded = "return getComputedStyle(document.querySelector('.button')).backgroundColor !== 'rgba(0, 0, 0, 0)'";
    assert_eq!(browser.execute(loaded), true, "the style sheet is applied");
    browser.screenshot("start");
    browser.goto(&format!("{}/docs", story.demo.issuer()));
    browser.wait_for("h1");
    browser.screenshot("docs");
    browser.goto(&story.demo.issuer());
    browser.click(&format!("a[href='{}']", story.app_url()));
    browser.wait_for("#connect");
    browser.wait_until("the button can be pressed", || {
        browser.execute("return !document.getElementById('connect').disabled") == true
    });
    browser.screenshot("app-launch");
}

fn a_wrong_password_is_refused_with_a_message(story: &Story) {
    let browser = &story.browser;
    browser.click("#connect");
    browser.wait_for("#username");
    assert!(browser.url().starts_with(&story.demo.issuer()), "the password is typed at the server: {}", browser.url());
    assert!(browser.text("main").contains("Demo app"), "it says which app sent the person");
    browser.screenshot("login");
    story.sign_in("not the password");
    browser.wait_for("[role=alert]");
    assert!(browser.text("[role=alert]").contains("do not match"), "{}", browser.text("[role=alert]"));
    assert!(!browser.has(ALLOW));
    browser.screenshot("login-refused");
    story.sign_in(&story.person.password);
    browser.wait_for(ALLOW);
}

/// An absolute reference may lead to another server: the app does not go there with the token (SMART App Launch 2.2.0, "Access FHIR API").
fn the_permission_stays_with_the_server_that_gave_it(story: &Story) {
    let fhir = story.demo.description["fhir_base"].as_str().unwrap();
    let elsewhere = [
        "https://elsewhere.example/fhir/Practitioner/1",
        "//elsewhere.example/fhir/Practitioner/1",
        &format!("{fhir}x/Practitioner/1"),
    ];
    for reference in elsewhere {
        let script = format!(
            "const sent = []; const before = window.fetch; \
             window.fetch = (...all) => {{ sent.push(String(all[0])); return before(...all); }}; \
             return import('/fhir.js').then(({{ fhir }}) => fhir('{reference}')).then(() => 'answered', problem => problem.message) \
             .then(told => {{ window.fetch = before; return [told, sent.length]; }});"
        );
        let told = story.browser.execute(&script);
        assert_eq!(told, serde_json::json!(["The server named a page on another server.", 0]), "{reference}");
    }
}

fn an_unticked_line_is_not_shared(story: &Story) {
    let browser = &story.browser;
    let text = browser.text("main");
    assert!(text.contains("HIPAA") && text.contains("127.0.0.1"), "{text}");
    for words in [".rs", "patient/", "openid", "offline_access"] {
        assert!(!text.contains(words), "plain words instead of {words}: {text}");
    }
    browser.screenshot("consent");
    browser.click("input[value='patient/ExplanationOfBenefit.rs']");
    browser.click(ALLOW);
    story.wait_for_record();
    assert_eq!(PARTS.map(|part| story.state(part)), ["refused", "loaded", "loaded", "loaded"]);
    assert!(browser.text("#claims").contains("You did not share your claims"), "{}", browser.text("#claims"));
    let count = |part: &str| browser.attribute(&format!("#{part}"), "data-count").and_then(|count| count.parse::<u32>().ok());
    assert!(PARTS[1..].iter().all(|part| count(part).is_some_and(|count| count > 0)));
    assert!(browser.text("#patient").len() > 10, "{}", browser.text("#patient"));
    browser.screenshot("app-record-without-claims");
}

fn another_patients_record_does_not_exist(story: &Story) {
    let browser = &story.browser;
    let other = story.demo.people("patient")[1].id().to_owned();
    browser.click("#developer summary");
    browser.enter_text("#other-id", &other);
    browser.click("#try-other");
    browser.wait_for("#other-answer[data-status='404']");
    let answer = browser.text("#other-answer");
    assert!(answer.contains("same status and the same length"), "{answer}");
    browser.screenshot("app-other-patient");
}

/// Somebody lures a person to the app with an answer that the app did not ask for.
fn a_forged_answer_is_refused(story: &Story) {
    let browser = &story.browser;
    let app = story.app_url();
    for answer in [
        "code=%3Cscript%3Edocument.title=1%3C/script%3E",
        "error=%3Cimg%20src=x%20onerror=document.title=1%3E&error_description=%3Cb%3Ebold",
    ] {
        browser.goto(&format!("{app}/callback?{answer}&state=guessed&iss={}&next=https://evil.example", story.demo.issuer()));
        browser.wait_for("#problem");
        assert!(browser.text("#problem").contains("does not belong to a sign-in"), "{}", browser.text("#problem"));
        assert_eq!(browser.url(), format!("{app}/callback"), "nobody is sent elsewhere, and the answer leaves the address bar");
        assert_eq!(browser.title(), "My health record – demo app");
        assert_eq!(browser.execute("return document.cookie + sessionStorage.length"), "0");
    }
}

async fn disconnecting_ends_the_permission(story: &Story) {
    let browser = &story.browser;
    let session = browser.execute("return sessionStorage.getItem('session')");
    let session: serde_json::Value = serde_json::from_str(session.as_str().unwrap()).unwrap();
    let scope = session["scope"].as_str().unwrap();
    assert!(scope.contains("patient/Coverage.rs") && !scope.contains("ExplanationOfBenefit"), "{scope}");
    let token = session["access_token"].as_str().unwrap();
    let read = || async { story.demo.client().get("/fhir/Coverage").bearer(token).send().await.status };
    assert_eq!(read().await, 200);
    browser.click("#disconnect");
    browser.wait_for("#connect");
    assert!(browser.text("#status").contains("its permission is taken back"), "{}", browser.text("#status"));
    assert_eq!(browser.execute("return sessionStorage.length"), 0);
    assert!(!browser.shows("#record"));
    assert_eq!(read().await, 401, "the very next request is refused");
    browser.screenshot("app-disconnected");
}

fn everything_can_be_shared(story: &Story) {
    let browser = &story.browser;
    story.connect();
    assert!(browser.execute("return [...document.querySelectorAll('main')].length === 1") == true);
    browser.execute("for (const box of document.querySelectorAll('input[type=checkbox]:not(:checked)')) box.click()");
    browser.click(ALLOW);
    story.wait_for_record();
    assert_eq!(PARTS.map(|part| story.state(part)), ["loaded"; 4]);
    assert!(browser.shows("#claims table"), "claims are shown as a table");
    browser.screenshot("app-record");
    browser.goto(&format!("{}/me", story.demo.issuer()));
    browser.wait_for("#apps");
    assert!(browser.text("main").contains("Demo app"), "{}", browser.text("main"));
    browser.screenshot("me");
    let has_app = "return [...document.querySelectorAll('article h3')].some(title => title.textContent === 'Demo app')";
    assert_eq!(browser.execute(has_app), true);
    let stop = "[...document.querySelectorAll('article')].find(app => app.querySelector('h3').textContent === 'Demo app').querySelector('button').click()";
    browser.execute(stop);
    browser.wait_until("the app is gone from the list", || browser.execute(has_app) == false);
    browser.screenshot("me-stopped");
    browser.goto(story.app_url());
    browser.wait_for("#problem");
    assert!(browser.text("#problem").contains("Your permission has ended"), "{}", browser.text("#problem"));
}

fn saying_no_shares_nothing(story: &Story) {
    let browser = &story.browser;
    story.connect();
    browser.click("button[name=decision][value=deny]");
    browser.wait_for("#problem");
    assert!(browser.text("#problem").contains("You chose not to share"), "{}", browser.text("#problem"));
    assert!(!browser.shows("#record"));
    browser.screenshot("app-denied");
    browser.goto(&format!("{}/nowhere", story.demo.issuer()));
    browser.wait_for("h1");
    browser.screenshot("not-found");
}

fn the_records_tell_the_story(directory: &Path) {
    let records = records(directory);
    let count = |event: Event, outcome: Outcome| {
        records.iter().filter(|record| record.event == event && record.outcome == outcome).count()
    };
    let line = |record: &Record| format!("{:?} {:?} {:?} {:?}", record.event, record.outcome, record.agent.user, record.detail);
    let told = || records.iter().filter(|record| record.event != Event::Rest).map(line).collect::<Vec<_>>();
    assert_eq!(count(Event::Login, Outcome::Denied), 1, "{:#?}", told());
    assert_eq!(count(Event::Login, Outcome::Success), 1, "{:#?}", told());
    assert_eq!(count(Event::Consent, Outcome::Success), 2, "{:#?}", told());
    assert_eq!(count(Event::Consent, Outcome::Denied), 1, "{:#?}", told());
    assert_eq!(count(Event::Token, Outcome::Success), 2, "{:#?}", told());
    assert_eq!(count(Event::Revocation, Outcome::Success), 2, "{:#?}", told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_is_enough_and_phones_and_dark_mode_work() {
    let story = Story::begin().await;
    let browser = &story.browser;
    browser.be_phone();
    browser.goto(&story.demo.issuer());
    no_sideways_scrolling(browser, "start");
    browser.screenshot("phone-start");
    browser.goto(story.app_url());
    browser.wait_for("#connect");
    browser.wait_until("the button can be pressed", || {
        browser.execute("return !document.getElementById('connect').disabled") == true
    });
    tab_to(browser, "document.activeElement.id === 'connect'");
    browser.press(&ENTER.to_string());

    browser.wait_for("#username");
    browser.wait_until("the name has the focus", || browser.execute("return document.activeElement.id") == "username");
    no_sideways_scrolling(browser, "login");
    browser.screenshot("phone-login");
    browser.press(&format!("{}{TAB}{}{ENTER}", story.person.username, story.person.password));

    browser.wait_for(ALLOW);
    no_sideways_scrolling(browser, "consent");
    browser.screenshot("phone-consent");
    tab_to(browser, "document.activeElement.value === 'patient/ExplanationOfBenefit.rs'");
    browser.press(&SPACE.to_string());
    browser.press(&ENTER.to_string());
    if !browser.has(ALLOW) {
        browser.fail("the Enter key on a tick box decides nothing");
    }
    browser.prefer_colours("dark");
    browser.screenshot("phone-consent-dark");
    tab_to(browser, "document.activeElement.value === 'allow'");
    browser.press(&ENTER.to_string());

    story.wait_for_record();
    assert_eq!(story.state("claims"), "refused");
    no_sideways_scrolling(browser, "record");
    browser.screenshot("phone-record-dark");
    for (page, address) in [("start", "/"), ("login", "/login"), ("me", "/me"), ("docs", "/docs")] {
        browser.goto(&format!("{}{address}", story.demo.issuer()));
        browser.wait_for("h1");
        no_sideways_scrolling(browser, page);
        let dark = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every(part => part < 80)";
        assert_eq!(browser.execute(dark), true, "{page} is dark");
        browser.screenshot(&format!("phone-{page}-dark"));
    }
    assert_eq!(story.complaints(), Vec::<String>::new());
}

/// Presses Tab until something has the focus.
fn tab_to(browser: &Browser, is_there: &str) {
    for _ in 0..60 {
        if browser.execute(&format!("return {is_there}")) == true {
            return;
        }
        browser.press(&TAB.to_string());
    }
    browser.fail(&format!("the Tab key does not lead to {is_there}"));
}

fn no_sideways_scrolling(browser: &Browser, page: &str) {
    let width = browser.execute("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(width, 0, "{page} is wider than the phone");
}
