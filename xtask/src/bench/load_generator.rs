//! wrk: keep-alive load on one address. An answer that is an error or too short, or a socket error, fails the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process::{Core, Server};

/// Prints one line of JSON at the end. wrk counts statuses above 399; what is shorter than the body that is asked for shows in the bytes.
const SCRIPT: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\nRESULT {"requests":%d,"seconds":%f,"bytes":%d,"bad":%d,"broken":%d,"p50":%f,"p99":%f}\n', summary.requests,
    summary.duration / 1e6, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

/// Connections of a run that posts.
const POSTING_CONNECTIONS: u32 = 64;

/// Posts the lines of a file, each once. With no line left it posts nothing, which fails the run.
const POSTING: &str = r#"
local bodies, sent = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do bodies[#bodies + 1] = line end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
end
function request()
  sent = sent + 1
  return wrk.format(nil, nil, nil, bodies[sent] or "")
end
"#;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<String>,
    /// The length of the body that it answers with.
    pub body_bytes: usize,
}

/// What one run of wrk found.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Requests that were answered.
    pub requests: f64,
    /// Requests per second.
    pub rate: f64,
    /// CPU microseconds of the server per request.
    pub cost: f64,
    /// The median latency, microseconds.
    pub p50: f64,
    /// The 99th percentile, microseconds.
    pub p99: f64,
}

/// The load generator.
#[derive(Debug)]
pub struct LoadGenerator {
    getting: PathBuf,
    posting: PathBuf,
}

impl LoadGenerator {
    /// One that keeps its script in this folder.
    pub fn new(folder: &Path) -> Result<Self> {
        let (getting, posting) = (folder.join("wrk.lua"), folder.join("wrk-post.lua"));
        fs::write(&getting, SCRIPT)?;
        fs::write(&posting, format!("{POSTING}{SCRIPT}"))?;
        Ok(Self { getting, posting })
    }

    /// Loads a place with so many connections for so many seconds, and counts what the server uses meanwhile.
    pub fn run(&self, server: &Server, place: &Place, connections: u32, seconds: u32) -> Result<Run> {
        self.load(server, place, (connections, seconds), None)
    }

    /// The same with a POST of each line of a file, of which there must be enough.
    pub fn post(&self, server: &Server, place: &Place, bodies: &Path, seconds: u32) -> Result<Run> {
        self.load(server, place, (POSTING_CONNECTIONS, seconds), Some(bodies))
    }

    fn load(&self, server: &Server, place: &Place, (connections, seconds): (u32, u32), bodies: Option<&Path>) -> Result<Run> {
        let before = server.cpu_seconds()?;
        let mut command = Core::Load.command(Path::new("wrk"));
        command.args(["-t1", "--timeout=10s"]).args([format!("-c{connections}"), format!("-d{seconds}s")]);
        command.arg("-s").arg(if bodies.is_some() { &self.posting } else { &self.getting });
        for header in &place.headers {
            command.args(["-H", header]);
        }
        command.arg(&place.url);
        if let Some(bodies) = bodies {
            command.arg("--").arg(bodies);
        }
        let output = command.stdin(Stdio::null()).output().context("cannot start wrk")?;
        let after = server.cpu_seconds()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let line = line.with_context(|| format!("wrk: {text} {}", String::from_utf8_lossy(&output.stderr)))?;
        let result: Value = serde_json::from_str(line)?;
        let number = |name: &str| result.get(name).and_then(Value::as_f64).with_context(|| format!("wrk says no {name}"));
        let (requests, bad, broken) = (number("requests")?, number("bad")?, number("broken")?);
        ensure!(bad == 0.0 && broken == 0.0, "{}: {bad} answers were not 2xx, {broken} connections failed", place.url);
        ensure!(requests > 0.0, "{}: no answer", place.url);
        let least = requests * place.body_bytes as f64;
        ensure!(
            number("bytes")? >= least,
            "{}: answers are shorter than the {} bytes of the first one",
            place.url,
            place.body_bytes
        );
        let cost = (after - before) * 1e6 / requests;
        Ok(Run { requests, rate: requests / number("seconds")?, cost, p50: number("p50")?, p99: number("p99")? })
    }
}
