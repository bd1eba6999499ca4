//! What needs servers: a read (G5), a page (G6), their growth (G8), records per flush (G2b), and memory (G10).

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Wanted;
use super::load_generator::{LoadGenerator, Place, Run};
use super::nginx;
use super::person::Person;
use super::process::{self, Server};
use super::report::{Bound, Report, Target};
use super::statistics::ratios;
use super::workshop::{Workshop, free_ports};

/// Connections under load.
const CONNECTIONS: u32 = 64;
/// Seconds of one run under load, and of one run with a single connection.
const SECONDS: u32 = 3;
const SECONDS_ALONE: u32 = 2;
/// Appends by which the disk is measured beside a page at one connection: a page waits for one flush, raw SQLite for none.
const APPENDS: &str = "400";
/// What a p99 may be longer than that of raw SQLite before it is compared, in microseconds: a page waits for the disk, raw SQLite does not.
const ALLOWANCE: f64 = 2_000.0;
/// Open connections whose memory is measured.
const OPEN: &str = "500";
/// The ledger's thread: each of its write calls is followed by one fdatasync (crates/audit/src/writer.rs).
const FLUSHER: &str = "audit-flusher";
/// How long memory may settle.
const SETTLING: Duration = Duration::from_secs(6);

/// One store that is served.
struct Served {
    server: Server,
    person: Person,
    port: u16,
    idle_kilobytes: f64,
    read: Place,
    page: Place,
    body: String,
}

impl Served {
    fn start(workshop: &Workshop, directory: &str, name: &'static str) -> Result<Self> {
        let (server, person, port) = workshop.demo(directory, name)?;
        std::thread::sleep(Duration::from_secs(1));
        let idle_kilobytes = server.resident_kilobytes()?;
        let token = person.access_token()?;
        let (read, page) = (format!("Patient/{}", person.patient), page(&person.patient));
        let (body, bundle) = (person.fetch(&read, &token)?, person.fetch(&page, &token)?);
        let entries: Value = serde_json::from_str(&bundle)?;
        anyhow::ensure!(entries.pointer("/entry/19").is_some(), "the page has fewer than 20 entries");
        std::fs::write(workshop.path("token.txt"), &token)?;
        let place = |path: &str, body: &str| Place {
            url: format!("https://127.0.0.1:{port}/fhir/{path}"),
            headers: vec![format!("Authorization: Bearer {token}"), format!("Host: localhost:{port}")],
            body_bytes: body.len(),
        };
        let (read, page) = (place(&read, &body), place(&page, &bundle));
        Ok(Self { server, person, port, idle_kilobytes, read, page, body })
    }
}

/// The newest 20 observations of a patient.
fn page(patient: &str) -> String {
    format!("Observation?patient={patient}&_sort=-date&_count=20")
}

/// The rounds of one kind of run.
#[derive(Default)]
struct Series(Vec<Run>);

impl Series {
    fn of(&self, what: impl Fn(&Run) -> f64) -> Vec<f64> {
        self.0.iter().map(what).collect()
    }

    fn costs(&self) -> Vec<f64> {
        self.of(|run| run.cost)
    }
}

/// What the rounds have found.
#[derive(Default)]
struct Found {
    nginx: Series,
    read: Series,
    small_read: Series,
    page: Series,
    small_page: Series,
    read_alone: Series,
    page_alone: Series,
    bare_page_alone: Series,
    nginx_alone: Series,
    records_per_flush: Vec<f64>,
    raw_cost: Vec<f64>,
    raw_p50: Vec<f64>,
    raw_p99: Vec<f64>,
    raw_cost_of_one: Vec<f64>,
    sync_p50: Vec<f64>,
    sync_p99: Vec<f64>,
}

/// The servers of a run, of which one works at a time.
struct Servers {
    nginx: Server,
    anchor: Place,
    small: Served,
    large: Served,
    /// What the page takes by itself, with TLS and one flush.
    bare: Server,
    bare_page: Place,
    generator: LoadGenerator,
}

impl Servers {
    fn start(workshop: &Workshop) -> Result<Self> {
        workshop.copy_small("served")?;
        let small = Served::start(workshop, "served", "small demo")?;
        let large = Served::start(workshop, "large", "large demo")?;
        let (nginx, anchor) = nginx::start(&workshop.folder, free_ports()?, &large.body, &workshop.path("large"))?;
        small.server.rest()?;
        large.server.rest()?;
        let port = free_ports()?;
        let files = [workshop.text("raw.db"), workshop.text("large/tls"), workshop.text("bare.log")];
        let arguments = ["bare-page", &port.to_string(), &files[0], &large.person.patient, &files[1], &files[2]];
        let bare = workshop.harness_server(&arguments, "bare page")?;
        let url = format!("https://127.0.0.1:{port}/page");
        let bare_page = Place { url, headers: Vec::new(), body_bytes: large.body.len() };
        Ok(Self { nginx, anchor, small, large, bare, bare_page, generator: LoadGenerator::new(&workshop.folder)? })
    }

    /// Loads one server while the others are paused.
    fn run(&self, server: &Server, place: &Place, connections: u32, seconds: u32) -> Result<Run> {
        let all = [&self.nginx, &self.small.server, &self.large.server, &self.bare];
        process::alone(server, &all, || self.generator.run(server, place, connections, seconds))
    }
}

/// Measures what is wanted; the large store must be there.
pub fn measure(workshop: &Workshop, wanted: &Wanted, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> servers");
    let servers = Servers::start(workshop)?;
    let mut found = Found::default();
    for round in 0..rounds {
        eprintln!("    round {} of {rounds}", round + 1);
        if wanted.any(&["G2b", "G5", "G8"]) {
            read_round(&servers, &mut found)?;
        }
        if wanted.any(&["G6", "G8"]) {
            page_round(workshop, &servers, &mut found)?;
        }
    }
    if wanted.any(&["G5"]) {
        indexing(&servers, report)?;
    }
    reads(wanted, &found, report);
    pages(wanted, &found, report);
    if wanted.any(&["G10"]) {
        memory(workshop, &[&servers.small, &servers.large], rounds, report)?;
    }
    for server in [servers.nginx, servers.small.server, servers.large.server, servers.bare] {
        server.stop()?;
    }
    Ok(())
}

fn read_round(servers: &Servers, found: &mut Found) -> Result<()> {
    let (nginx, anchor, small, large) = (&servers.nginx, &servers.anchor, &servers.small, &servers.large);
    found.nginx.0.push(servers.run(nginx, anchor, CONNECTIONS, SECONDS)?);
    let flushes = large.server.writes_of_thread(FLUSHER)?;
    let run = servers.run(&large.server, &large.read, CONNECTIONS, SECONDS)?;
    let flushes = large.server.writes_of_thread(FLUSHER)? - flushes;
    found.records_per_flush.push(run.requests / flushes as f64);
    found.read.0.push(run);
    found.small_read.0.push(servers.run(&small.server, &small.read, CONNECTIONS, SECONDS)?);
    found.nginx_alone.0.push(servers.run(nginx, anchor, 1, SECONDS_ALONE)?);
    found.read_alone.0.push(servers.run(&large.server, &large.read, 1, SECONDS_ALONE)?);
    Ok(())
}

fn page_round(workshop: &Workshop, servers: &Servers, found: &mut Found) -> Result<()> {
    let (small, large) = (&servers.small, &servers.large);
    [small, large].iter().try_for_each(|served| served.server.pause())?;
    let raw = raw_page(workshop, &large.person, found);
    [small, large].iter().try_for_each(|served| served.server.resume())?;
    raw?;
    found.page.0.push(servers.run(&large.server, &large.page, CONNECTIONS, SECONDS)?);
    found.small_page.0.push(servers.run(&small.server, &small.page, CONNECTIONS, SECONDS)?);
    // A server that was paused takes the pause for a rest, and would index meanwhile what the load before has left.
    large.server.rest()?;
    found.page_alone.0.push(servers.run(&large.server, &large.page, 1, SECONDS_ALONE)?);
    found.bare_page_alone.0.push(servers.run(&servers.bare, &servers.bare_page, 1, SECONDS_ALONE)?);
    disk(workshop, found)
}

/// What a flush took at this moment, in a file of its own.
fn disk(workshop: &Workshop, found: &mut Found) -> Result<()> {
    let folder = workshop.path("disk");
    std::fs::create_dir_all(&folder)?;
    let flushes = workshop.harness(&["ledger", &folder.display().to_string(), APPENDS])?;
    std::fs::remove_dir_all(&folder)?;
    let number = |pointer: &str| {
        flushes.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("the harness says no {pointer}"))
    };
    found.sync_p50.push(number("/sync_p50")?);
    found.sync_p99.push(number("/sync_p99")?);
    Ok(())
}

/// What a read costs later, when the server has time: its record goes into the index by which AuditEvents are searched.
fn indexing(servers: &Servers, report: &mut Report) -> Result<()> {
    let large = &servers.large;
    large.server.rest()?;
    let run = servers.run(&large.server, &large.read, CONNECTIONS, SECONDS)?;
    let later = large.server.rest()?;
    report.figure("G5 C of indexing a read's record afterwards, once", "µs", vec![later * 1e6 / run.requests]);
    Ok(())
}

fn raw_page(workshop: &Workshop, person: &Person, found: &mut Found) -> Result<()> {
    let raw = workshop.harness(&["raw-page", &workshop.text("raw.db"), &person.patient, "1"])?;
    let number =
        |pointer: &str| raw.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("the harness says no {pointer}"));
    found.raw_cost.push(number("/all/cost")?);
    found.raw_p50.push(number("/all/p50")?);
    found.raw_p99.push(number("/all/p99")?);
    found.raw_cost_of_one.push(number("/one/cost")?);
    Ok(())
}

fn reads(wanted: &Wanted, found: &Found, report: &mut Report) {
    let costs = (found.read.costs(), found.nginx.costs());
    if wanted.any(&["G2b"]) {
        let target = Target {
            id: "G2b",
            what: "audit records per fdatasync at 64 concurrent reads",
            unit: "",
            bound: Bound::AtLeast,
            floor: 15.0,
            goal: 30.0,
        };
        report.result(target, found.records_per_flush.clone());
    }
    if wanted.any(&["G5"]) {
        let target = Target {
            id: "G5",
            what: "secured, audited GET of a Patient at 10^5: C against nginx static TLS",
            unit: "x",
            bound: Bound::AtMost,
            floor: 4.0,
            goal: 2.3,
        };
        report.result(target, ratios(&costs.0, &costs.1));
        report.figure("G5 C of a read", "µs", costs.0);
        report.figure("G5 C of nginx", "µs", costs.1);
        latencies(report, "G5 read, 64 connections", &found.read);
        latencies(report, "G5 read, 1 connection", &found.read_alone);
        latencies(report, "G5 nginx, 1 connection", &found.nginx_alone);
        report.figure("G5 reads per second on one core", "/s", found.read.of(|run| run.rate));
        report.figure("G5 nginx, requests per second on one core", "/s", found.nginx.of(|run| run.rate));
    }
    if wanted.any(&["G8"]) {
        let growth = ratios(&found.read.costs(), &found.small_read.costs());
        report.result(grown("G8a", "10^3 to 10^5: C of a read", 2.0, 1.3), growth);
    }
}

fn pages(wanted: &Wanted, found: &Found, report: &mut Report) {
    if wanted.any(&["G6"]) {
        let target = Target {
            id: "G6",
            what: "Observation by patient, newest 20, at 10^5: C against raw SQLite",
            unit: "x",
            bound: Bound::AtMost,
            floor: 8.0,
            goal: 4.0,
        };
        report.result(target, ratios(&found.page.costs(), &found.raw_cost));
        let target = Target {
            id: "G6p",
            what: "the same: p99 at one connection against that of raw SQLite and 2 ms",
            unit: "x",
            bound: Bound::AtMost,
            floor: 8.0,
            goal: 4.0,
        };
        let both = || found.page_alone.0.iter().zip(&found.raw_p99);
        report.result(target, both().map(|(run, raw)| run.p99 / (raw + ALLOWANCE)).collect());
        let beyond = both().map(|(run, raw)| (run.p99 - raw) / 1000.0);
        report.figure("G6 p99 at one connection beyond that of raw SQLite", "ms", beyond.collect());
        report.figure("G6 C of a page", "µs", found.page.costs());
        report.figure("G6 C of a page, raw, all patients in turn", "µs", found.raw_cost.clone());
        report.figure("G6 C of a page, raw, the same patient again and again", "µs", found.raw_cost_of_one.clone());
        report.figure("G6 raw p50", "µs", found.raw_p50.clone());
        report.figure("G6 raw p99", "µs", found.raw_p99.clone());
        report.figure("G6 fdatasync beside, p50", "µs", found.sync_p50.clone());
        report.figure("G6 fdatasync beside, p99", "µs", found.sync_p99.clone());
        let unexplained = found.page_alone.0.iter().zip(&found.sync_p99).zip(&found.raw_p99);
        let unexplained = unexplained.map(|((run, sync), raw)| (run.p99 - sync - raw) / 1000.0);
        report.figure("G6 p99 at one connection beyond raw SQLite and one flush of the disk", "ms", unexplained.collect());
        let beyond_bare =
            found.page_alone.0.iter().zip(&found.bare_page_alone.0).map(|(run, bare)| (run.p99 - bare.p99) / 1000.0);
        report.figure("G6 p99 at one connection beyond the bare page with TLS and one flush", "ms", beyond_bare.collect());
        latencies(report, "G6 page, 64 connections", &found.page);
        latencies(report, "G6 page, 1 connection", &found.page_alone);
        latencies(report, "G6 bare page with TLS and one flush, 1 connection", &found.bare_page_alone);
        report.figure("G6 pages per second on one core", "/s", found.page.of(|run| run.rate));
    }
    if wanted.any(&["G8"]) {
        let growth = ratios(&found.page.costs(), &found.small_page.costs());
        report.result(grown("G8b", "10^3 to 10^5: C of the newest-20 page", 2.5, 1.5), growth);
    }
}

fn grown(id: &'static str, what: &'static str, floor: f64, goal: f64) -> Target {
    Target { id, what, unit: "x", bound: Bound::AtMost, floor, goal }
}

fn latencies(report: &mut Report, name: &str, series: &Series) {
    report.figure(format!("{name}: p50"), "µs", series.of(|run| run.p50));
    report.figure(format!("{name}: p99"), "µs", series.of(|run| run.p99));
}

/// G10: after the start, after all the load, and with open connections in servers that have just been started.
fn memory(workshop: &Workshop, served: &[&Served], rounds: usize, report: &mut Report) -> Result<()> {
    let target =
        Target { id: "G10a", what: "idle memory after the start", unit: "MB", bound: Bound::AtMost, floor: 60.0, goal: 25.0 };
    report.result(target, served.iter().map(|served| served.idle_kilobytes / 1024.0).collect());
    std::thread::sleep(SETTLING);
    let after = served.iter().map(|served| served.server.resident_kilobytes()).collect::<Result<Vec<f64>>>()?;
    report.figure("G10 memory after the load, idle", "MB", after.iter().map(|kilobytes| kilobytes / 1024.0).collect());
    let mut each = Vec::new();
    for _ in 0..rounds {
        // Memory that an earlier round has left could hide what this one takes.
        workshop.copy_small("connected")?;
        let fresh = Served::start(workshop, "connected", "demo for connections")?;
        let (address, path) = (format!("127.0.0.1:{}", fresh.port), format!("/fhir/Patient/{}", fresh.person.patient));
        let (token, authority) = (workshop.text("token.txt"), fresh.person.authority.display().to_string());
        let process = fresh.server.id().to_string();
        let found = workshop.harness(&["connections", &address, &path, &token, &authority, OPEN, &process])?;
        let number = |name: &str| found.get(name).and_then(Value::as_f64).context("the harness says no memory");
        each.push((number("after")? - number("before")?) / number("connections")?);
        fresh.server.stop()?;
    }
    let target =
        Target { id: "G10b", what: "memory per open TLS connection", unit: "KB", bound: Bound::AtMost, floor: 60.0, goal: 40.0 };
    report.result(target, each);
    Ok(())
}
