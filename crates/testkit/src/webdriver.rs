//! A small WebDriver client: a headless Chromium that a test drives as a person would.
//!
//! W3C WebDriver (<https://www.w3.org/TR/webdriver2/>) over plain HTTP to a chromedriver that this value starts and ends; `goog/cdp/execute` for what
//! WebDriver cannot say. Everything waits: a test names what it expects, and fails with what the page shows instead.
//!
//! The browser accepts any certificate, because no CA is installed where the tests run. That the certificates are right is tested without a browser.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Running;

/// How long is waited for what a test expects.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(30);
/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);
/// Where screenshots go; nowhere if it is not set.
const SCREENSHOTS: &str = "PORTCULLIS_SCREENSHOTS";
/// How many pixels of a screenshot make one CSS pixel.
const SCREENSHOT_SCALE: &str = "PORTCULLIS_SCREENSHOT_SCALE";
/// The member that holds the id of an element (WebDriver, section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Tab key (WebDriver, section 17.4.2).
pub const TAB: char = '\u{E004}';
/// The Enter key.
pub const ENTER: char = '\u{E007}';
/// The space bar.
pub const SPACE: char = ' ';

/// An open browser with one tab; it is closed with its value.
pub struct Browser {
    /// Dropped after the session was closed.
    driver: Running,
    port: u16,
    session: String,
    /// The browser hands out each line of its console once; they are kept here.
    console: RefCell<Vec<ConsoleLine>>,
    profile: TempDir,
}

/// A line of the browser's console.
#[derive(Clone, Debug)]
pub struct ConsoleLine {
    /// `SEVERE`, `WARNING`, `INFO`.
    pub level: String,
    /// `security`, `network`, `console-api`, `javascript`, ...
    pub source: String,
    /// What it says.
    pub message: String,
}

/// What chromedriver refused, and why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// `no such element`, `stale element reference`, ...
    pub error: String,
    /// In words.
    pub message: String,
}

/// An element of the page as it was when it was found.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    browser: &'a Browser,
    id: &'a str,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing the session ends the browser; were chromedriver only killed, the browser would stay.
        let _ = send(self.port, "DELETE", &format!("/session/{}", self.session), None);
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists()).unwrap_or_else(|| {
        panic!("{name} is not installed. `cargo xtask test` installs what the tests need (Debian: apt-get install chromium chromium-driver)")
    })
}

impl Browser {
    /// Opens a browser with an empty profile.
    pub fn open() -> Self {
        let chromium = program("chromium");
        let mut command = Command::new(program("chromedriver"));
        command.arg("--port=0").stdin(Stdio::null());
        let mut driver = Running::start(command);
        let port = wait_for_port(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let reply = send(port, "POST", "/session", Some(&capabilities(&chromium, profile.path())));
        let reply = reply.unwrap_or_else(|refused| panic!("Chromium does not start: {}: {}", refused.error, refused.message));
        let session = reply["sessionId"].as_str().unwrap().to_owned();
        Self { driver, port, session, console: RefCell::default(), profile }
    }

    /// Sends a command of the session.
    pub fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        send(self.port, method, &format!("/session/{}{path}", self.session), body)
    }

    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.command(method, path, body)
            .unwrap_or_else(|refused| self.fail(&format!("{path}: {}: {}", refused.error, refused.message)))
    }

    /// Fails with what the browser shows.
    pub fn fail(&self, what: &str) -> ! {
        let _ = self.try_screenshot("failure");
        let text = self.command("POST", "/execute/sync", Some(&json!({"script": "return document.body.innerText", "args": []})));
        let url = self.command("GET", "/url", None);
        let shown = text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
        panic!(
            "{what}\nat {url:?} (profile {}, driver {}):\n{shown}\n{:#?}",
            self.profile.path().display(),
            self.driver.pid(),
            self.console()
        );
    }

    /// Opens an address.
    pub fn goto(&self, url: &str) {
        self.must("POST", "/url", Some(&json!({ "url": url })));
    }

    /// The address that is open.
    pub fn url(&self) -> String {
        self.must("GET", "/url", None).as_str().unwrap().to_owned()
    }

    /// The title of the page.
    pub fn title(&self) -> String {
        self.must("GET", "/title", None).as_str().unwrap().to_owned()
    }

    fn find_id(&self, css: &str) -> Option<String> {
        let found = self.command("POST", "/element", Some(&json!({"using": "css selector", "value": css}))).ok()?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// Whether an element is there.
    pub fn has(&self, css: &str) -> bool {
        self.find_id(css).is_some()
    }

    /// Whether an element is there and shown.
    pub fn shows(&self, css: &str) -> bool {
        // In one command: what WebDriver itself would ask is a long script each time, and this is asked again and again.
        let script = format!(
            "const found = document.querySelector({}); return Boolean(found?.checkVisibility() && found.getClientRects().length);",
            json!(css)
        );
        self.command("POST", "/execute/sync", Some(&json!({"script": script, "args": []}))).is_ok_and(|shown| shown == true)
    }

    /// Waits until something is so.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is_so() {
            if since.elapsed() > PATIENCE {
                self.fail(&format!("waited in vain: {what}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until an element is shown.
    pub fn wait_for(&self, css: &str) {
        self.wait_until(css, || self.shows(css));
    }

    /// Does something with an element, once it is shown. A page that changes meanwhile is looked at again.
    fn with<T>(&self, css: &str, act: impl Fn(Element<'_>) -> Result<T, Refused>) -> T {
        self.wait_for(css);
        let since = Instant::now();
        loop {
            let refused = match self.find_id(css).map(|id| act(Element { browser: self, id: &id })) {
                Some(Ok(value)) => return value,
                Some(Err(refused)) => Some(refused),
                None => None,
            };
            if since.elapsed() > PATIENCE {
                self.fail(&format!("{css}: {refused:?}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Clicks an element.
    pub fn click(&self, css: &str) {
        self.with(css, |element| element.command("POST", "/click", &json!({})));
    }

    /// Types into an element, after emptying it.
    pub fn enter_text(&self, css: &str, text: &str) {
        self.with(css, |element| {
            element.command("POST", "/clear", &json!({}))?;
            element.command("POST", "/value", &json!({ "text": text }))
        });
    }

    /// The text of an element as it is shown.
    pub fn text(&self, css: &str) -> String {
        self.with(css, |element| element.get("/text")).as_str().unwrap_or_default().to_owned()
    }

    /// An attribute of an element; `None` where it has none of this name.
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let found = self.find_id(css)?;
        let value = self.command("GET", &format!("/element/{found}/attribute/{name}"), None).ok()?;
        value.as_str().map(str::to_owned)
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let stroke = |key: char| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let strokes: Vec<Value> = keys.chars().flat_map(stroke).collect();
        self.must("POST", "/actions", Some(&json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})));
    }

    /// Runs a function body in the page.
    pub fn execute(&self, script: &str) -> Value {
        self.must("POST", "/execute/sync", Some(&json!({"script": script, "args": []})))
    }

    /// A command of the Chrome DevTools Protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.must("POST", "/goog/cdp/execute", Some(&json!({"cmd": command, "params": parameters})))
    }

    /// Makes the page as wide and high as a phone's, in CSS pixels.
    pub fn be_phone(&self) {
        self.be_of_size(390, 844, true);
    }

    /// Makes the page as wide and high as a desk's.
    pub fn be_desk(&self) {
        self.be_of_size(1280, 900, false);
    }

    /// Makes the page as wide and high as this.
    pub fn be_of_size(&self, width: u32, height: u32, mobile: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": pixels_per_point(), "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Makes the scripts of every page that is opened from now on believe that it is this time now, in milliseconds since 1970. Without it a page lives
    /// in the real time, and a server with a [`crate::FakeClock`] does not.
    pub fn be_at(&self, now_milliseconds: i64) {
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let ahead = now_milliseconds - i64::try_from(real).unwrap();
        let source = format!(
            "{{ const Real = Date; window.Date = class extends Real {{
                constructor(...parts) {{ if (parts.length) super(...parts); else super(Real.now() + {ahead}); }}
                static now() {{ return Real.now() + {ahead}; }}
            }}; }}"
        );
        self.devtools("Page.enable", &json!({}));
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": source }));
    }

    /// What the person has chosen in the system: `light` or `dark`.
    pub fn prefer_colours(&self, scheme: &str) {
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &feature);
    }

    /// Keeps a picture of the whole page under this name, where `PORTCULLIS_SCREENSHOTS` names a folder.
    pub fn screenshot(&self, name: &str) {
        self.try_screenshot(name).unwrap_or_else(|refused| panic!("{refused:?}"));
    }

    fn try_screenshot(&self, name: &str) -> Result<(), Refused> {
        let Some(folder) = std::env::var_os(SCREENSHOTS).map(PathBuf::from) else { return Ok(()) };
        let command = json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true}});
        let picture = self.command("POST", "/goog/cdp/execute", Some(&command))?;
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
        Ok(())
    }

    /// Everything that the console has said so far.
    pub fn console(&self) -> Vec<ConsoleLine> {
        let lines = self.command("POST", "/se/log", Some(&json!({"type": "browser"}))).unwrap_or_default();
        let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let line = |line: &Value| ConsoleLine {
            level: text(line, "level"),
            source: text(line, "source"),
            message: text(line, "message"),
        };
        let mut console = self.console.borrow_mut();
        console.extend(lines.as_array().into_iter().flatten().map(line));
        console.clone()
    }
}

impl Element<'_> {
    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refused> {
        self.browser.command(method, &format!("/element/{}{path}", self.id), Some(body))
    }

    fn get(&self, path: &str) -> Result<Value, Refused> {
        self.browser.command("GET", &format!("/element/{}{path}", self.id), None)
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        // One process less to start and to talk to.
        "--in-process-gpu",
        "--disable-extensions",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--lang=en-US",
        &profile,
    ];
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"binary": chromium, "args": arguments},
    }}})
}

/// Pictures for docs are as sharp as a good screen: `PORTCULLIS_SCREENSHOT_SCALE=2`.
fn pixels_per_point() -> u32 {
    std::env::var(SCREENSHOT_SCALE).ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// chromedriver chooses a port and says so.
fn wait_for_port(driver: &mut Running) -> u16 {
    let since = Instant::now();
    loop {
        let said = driver.stdout();
        let port =
            said.split("successfully on port ").nth(1).and_then(|rest| rest.split('.').next()).and_then(|port| port.parse().ok());
        if let Some(port) = port {
            return port;
        }
        let ended = driver.ended();
        assert!(ended.is_none() && since.elapsed() < PATIENCE, "chromedriver does not start: {said} {ended:?}");
        std::thread::sleep(LOOK);
    }
}

/// Sends one command and returns its value.
fn send(port: u16, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
    let failed = |error: std::io::Error| Refused { error: "connection".to_owned(), message: error.to_string() };
    let (status, answer) = exchange(port, method, path, body).map_err(failed)?;
    let value = serde_json::from_slice::<Value>(&answer).map(|mut answer| answer["value"].take()).unwrap_or_default();
    if status == 200 {
        return Ok(value);
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Err(Refused { error: text("error"), message: text("message") })
}

/// One HTTP/1.1 exchange on a connection of its own.
fn exchange(port: u16, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(COMMAND))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer)?;
    Ok((status, answer))
}
