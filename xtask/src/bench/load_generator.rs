//! wrk: keep-alive load on one address. An answer that is not 2xx, or a socket error, fails the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process::{Core, Server};

/// Counts statuses, which wrk itself does not do for 3xx, and prints one line of JSON at the end.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) bad = 0 end
function response(status, headers, body) if status < 200 or status > 299 then bad = bad + 1 end end
function done(summary, latency, requests)
  local bad = 0
  for _, thread in ipairs(threads) do bad = bad + thread:get("bad") end
  local e = summary.errors
  io.write(string.format('\nRESULT {"requests":%d,"seconds":%f,"bad":%d,"broken":%d,"p50":%f,"p99":%f}\n', summary.requests,
    summary.duration / 1e6, bad, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<String>,
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
    script: PathBuf,
}

impl LoadGenerator {
    /// One that keeps its script in this folder.
    pub fn new(folder: &Path) -> Result<Self> {
        let script = folder.join("wrk.lua");
        fs::write(&script, SCRIPT)?;
        Ok(Self { script })
    }

    /// Loads a place with so many connections for so many seconds, and counts what the server uses meanwhile.
    pub fn run(&self, server: &Server, place: &Place, connections: u32, seconds: u32) -> Result<Run> {
        let before = server.cpu_seconds()?;
        let mut command = Core::Load.command(Path::new("wrk"));
        command.args([format!("-t1"), format!("-c{connections}"), format!("-d{seconds}s"), "--timeout=10s".to_owned()]);
        command.arg("-s").arg(&self.script);
        for header in &place.headers {
            command.args(["-H", header]);
        }
        let output = command.arg(&place.url).stdin(Stdio::null()).output().context("cannot start wrk")?;
        let after = server.cpu_seconds()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let line = line.with_context(|| format!("wrk: {text} {}", String::from_utf8_lossy(&output.stderr)))?;
        let result: Value = serde_json::from_str(line)?;
        let number = |name: &str| result.get(name).and_then(Value::as_f64).with_context(|| format!("wrk says no {name}"));
        let (requests, bad, broken) = (number("requests")?, number("bad")?, number("broken")?);
        ensure!(bad == 0.0 && broken == 0.0, "{}: {bad} answers were not 2xx, {broken} connections failed", place.url);
        ensure!(requests > 0.0, "{}: no answer", place.url);
        let cost = (after - before) * 1e6 / requests;
        Ok(Run { requests, rate: requests / number("seconds")?, cost, p50: number("p50")?, p99: number("p99")? })
    }
}
