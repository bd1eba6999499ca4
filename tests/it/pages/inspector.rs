//! A browser that looks at pages, and keeps what is wrong with them.

use std::collections::HashMap;
use std::env;

use portcullis_oauth::language::Language::{self, English, Spanish};
use portcullis_testkit::{Browser, Client};
use serde_json::{Value, json};

const CHECK: &str = include_str!("check.js");
const REFLOW: &str = include_str!("reflow.js");
const REPLACE: &str = include_str!("replace.js");
/// Who asks for the same page in Spanish.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

/// The most bytes of a page with its style sheet, icons and script.
const PAGE_WEIGHT: u64 = 30_000;
/// The same for the demo app, which is an app and no page.
const APP_WEIGHT: u64 = 60_000;

/// One size and one pair of colours in which a page is looked at.
struct Form {
    name: &'static str,
    size: (u32, u32),
    scheme: &'static str,
    /// What is asked of the page, as `check.js` calls it.
    extent: &'static str,
}

/// Text at four times its size on a desk is 320 pixels wide, as a small phone is (WCAG 1.4.10): every rule holds there.
const PHONE: Form = Form { name: "phone light", size: (320, 740), scheme: "light", extent: "all" };
/// What another size or other colours can change.
const DESK: Form = Form { name: "desk dark", size: (1280, 900), scheme: "dark", extent: "layout" };
/// What other words can change: whether they fit, and what has no word.
const IN_OTHER_WORDS: Form = Form { name: "phone", extent: "words", ..PHONE };

/// What is looked at besides where nobody waits: the other pairs of size and colours, and the width of a desk on which text is twice as large.
const IN_A_LONG_RUN: [Form; 3] = [
    Form { name: "phone dark", size: (360, 740), scheme: "dark", extent: "layout" },
    Form { name: "desk light", size: (1280, 900), scheme: "light", extent: "layout" },
    Form { name: "narrow desk", size: (640, 450), scheme: "light", extent: "words" },
];

/// A browser that looks at what it is shown, and keeps what is wrong.
pub struct Inspector {
    pub browser: Browser,
    /// For the same pages in another language.
    server: Client,
    language: Language,
    /// Whether pictures are kept, of every pair of size and colours.
    takes_pictures: bool,
    /// Whether this is a long run.
    is_thorough: bool,
    looked_at: HashMap<Language, Vec<String>>,
    problems: Vec<String>,
}

impl Inspector {
    /// Opens the browser of somebody who reads English.
    pub fn open(axe: &str, server: Client) -> Self {
        let browser = Browser::open();
        browser.devtools("Page.enable", &json!({}));
        browser.devtools("Network.enable", &json!({}));
        // Most pages are only passed through: axe is compiled where it is asked.
        let source = format!("window.loadAxe = () => {{ {axe} }};");
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
        let takes_pictures = env::var_os("PORTCULLIS_SCREENSHOTS").is_some();
        let is_thorough = takes_pictures || env::var_os("PORTCULLIS_CASES").is_some();
        let (looked_at, problems) = (HashMap::new(), Vec::new());
        let mut inspector = Self { browser, server, language: English, takes_pictures, is_thorough, looked_at, problems };
        inspector.read(English);
        inspector.show(&PHONE);
        inspector
    }

    /// From now on pages are asked for in this language.
    pub fn read(&mut self, language: Language) {
        self.browser.devtools("Network.setExtraHTTPHeaders", &json!({"headers": {"accept-language": language.tag()}}));
        self.language = language;
    }

    /// Looks at the page that is open, in its sizes and colours, then at the same page in Spanish.
    pub async fn look(&mut self, name: &str) {
        self.look_once(name);
        self.look_in_spanish(name).await;
    }

    /// Looks at the page that is open in Spanish: as the server gives it to the same browser, in the place of the English one. A document of its own would
    /// cost more than all that is looked at. No script of the page is bound to it any more.
    pub async fn look_in_spanish(&mut self, name: &str) {
        let cookies = self.browser.command("GET", "/cookie", None).unwrap();
        let pair = |cookie: &Value| format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap());
        let cookies: Vec<String> = cookies.as_array().unwrap().iter().map(pair).collect();
        let here = self.browser.execute("return location.pathname + location.search");
        let request = self.server.get(here.as_str().unwrap()).header("cookie", &cookies.join("; "));
        let reply = request.header("accept-language", Spanish.tag()).header("user-agent", AGENT).send().await;
        let parts = self.browser.execute(&format!("return ({REPLACE})({})", json!(reply.text())));
        assert_eq!(parts[0], parts[1], "{name} is another page in Spanish");
        self.language = Spanish;
        self.look_at_words(name);
        self.language = English;
    }

    /// Looks at a page that is not to be had twice: it answers a form, or a script has changed it.
    pub fn look_once(&mut self, name: &str) {
        // Pages are opened on a phone.
        self.check(name, &PHONE);
        let besides: &[Form] = if self.is_thorough { &IN_A_LONG_RUN } else { &[] };
        for form in [&DESK].into_iter().chain(besides) {
            self.show(form);
            self.check(name, form);
        }
        self.picture(name);
        self.show(&PHONE);
        self.looked_at.entry(self.language).or_default().push(name.to_owned());
    }

    /// Looks at a page in Spanish.
    pub fn look_at_words(&mut self, name: &str) {
        self.check(name, &IN_OTHER_WORDS);
        self.looked_at.entry(self.language).or_default().push(name.to_owned());
        if self.takes_pictures {
            self.picture(name);
            self.show(&PHONE);
        }
    }

    fn show(&self, form: &Form) {
        let (width, height) = form.size;
        self.browser.be_of_size(width, height, form.size == PHONE.size);
        self.prefer(form.scheme);
    }

    fn check(&mut self, name: &str, form: &Form) {
        let is_app = name.starts_with("app-");
        let most = if is_app { APP_WEIGHT } else { PAGE_WEIGHT };
        let facts = json!({ "language": self.language.tag(), "weight": [1000, most] });
        let extent = form.extent;
        self.keep(name, form.name, &format!("return ({CHECK})('{extent}', {facts}, {REFLOW})"));
    }

    fn picture(&self, name: &str) {
        if !self.takes_pictures {
            return;
        }
        for (size, width, height) in [("phone", 360, 740), ("desk", 1280, 900)] {
            self.browser.be_of_size(width, height, size == "phone");
            for scheme in ["light", "dark"] {
                self.prefer(scheme);
                self.browser.screenshot(&format!("{name}-{size}-{scheme}{}", self.language.say("", "-es")));
            }
        }
    }

    fn prefer(&self, scheme: &str) {
        let features =
            json!([{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "", "features": features}));
    }

    fn keep(&mut self, name: &str, form: &str, script: &str) {
        let found = self.browser.execute(script);
        let problems = found.as_array().unwrap_or_else(|| self.browser.fail(&format!("{name}: {found}")));
        let language = self.language.tag();
        self.problems.extend(problems.iter().map(|problem| format!("{name}, {language}, {form}: {}", problem.as_str().unwrap())));
    }

    /// What is printed of a page, on paper.
    pub fn print(&mut self, name: &str) {
        self.browser.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
        self.browser.screenshot(&format!("{name}-print"));
        let script = "return ['.top', '.bottom', 'article form', 'main .button'].filter(css => [...document.querySelectorAll(css)].some(\
                      element => element.checkVisibility())).map(css => `${css} is printed`)";
        self.keep(name, "print", script);
        let script = "return [...document.querySelectorAll('.note, .tag')].filter(element => element.checkVisibility() \
                      && getComputedStyle(element).backgroundColor !== 'rgba(0, 0, 0, 0)').map(element => `${element.className} is printed in colour`)";
        self.keep(name, "print", script);
        let colour = "return getComputedStyle(document.body).backgroundColor";
        assert_eq!(self.browser.execute(colour), "rgb(255, 255, 255)", "paper is white");
        self.prefer("light");
    }

    /// Fails with what was wrong, or if not so many pages were looked at in English and in Spanish.
    pub fn finish(self, pages: [usize; 2]) {
        assert_eq!(self.complaints(), Vec::<String>::new());
        assert!(self.problems.is_empty(), "{} problems:\n{}", self.problems.len(), self.problems.join("\n"));
        let looked_at = [English, Spanish].map(|language| self.looked_at.get(&language).map_or(0, Vec::len));
        assert_eq!(looked_at, pages, "{:?}", self.looked_at);
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
