//! What needs no server: durability of the audit (G2), transactions (G7), bulk load (G7b), its growth (G8) and its memory (G10).

use anyhow::{Context, Result};
use serde_json::Value;

use super::Wanted;
use super::report::{Bound, Report, Target};
use super::statistics::{median, ratios};
use super::workshop::{BULK, GROWTH, LARGE, TRANSACTIONS, Workshop};

/// Appends of one round of G2.
const APPENDS: &str = "200";

fn number(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("the harness says no {pointer}: {value}"))
}

/// Measures what is wanted. Leaves the large store behind in `large` where a later part needs it.
pub fn measure(workshop: &Workshop, wanted: &Wanted, rounds: usize, report: &mut Report) -> Result<()> {
    if wanted.any(&["G2"]) {
        durability(workshop, rounds, report)?;
    }
    if wanted.any(&["G7"]) {
        transactions(workshop, rounds, report)?;
    }
    if wanted.any(&["G7b"]) {
        bulk(workshop, rounds, report)?;
    }
    if wanted.any(&["G2b", "G5", "G6", "G8", "G10", "COST"]) {
        let peak = large(workshop, report)?;
        if wanted.any(&["G10"]) {
            let target = Target {
                id: "G10c",
                what: "peak memory of a load of 10^5 against 10^4",
                unit: "x",
                bound: Bound::AtMost,
                floor: 1.5,
                goal: 1.2,
            };
            let tenth = peaks_of_tenth(workshop, rounds)?;
            report.result(target, tenth.iter().map(|tenth| peak / tenth).collect());
            report.figure("G10 peak memory of a load of 10^4", "MB", tenth.iter().map(|tenth| tenth / 1024.0).collect());
            report.figure("G10 peak memory of a load of 10^5", "MB", vec![peak / 1024.0]);
        }
    }
    if wanted.any(&["G8"]) {
        growth(workshop, rounds, report)?;
    }
    Ok(())
}

/// G2: in process, one append after the other, each beside a bare write and fdatasync.
fn durability(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> G2 durability");
    let (mut added, mut tail, mut p50, mut p99, mut bare) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let folder = workshop.path(&format!("durability-{round}"));
        std::fs::create_dir_all(&folder)?;
        let found = workshop.harness(&["ledger", &folder.display().to_string(), APPENDS])?;
        added.push(number(&found, "/append_p50")? / number(&found, "/sync_p50")?);
        tail.push(number(&found, "/append_p99")? / number(&found, "/sync_p99")?);
        p50.push(number(&found, "/append_p50")?);
        p99.push(number(&found, "/append_p99")?);
        bare.push(number(&found, "/sync_p50")?);
    }
    let target = Target {
        id: "G2",
        what: "added median latency of the audit against one fdatasync, one at a time",
        unit: "x",
        bound: Bound::AtMost,
        floor: 2.5,
        goal: 1.5,
    };
    report.result(target, added);
    report.figure("G2 the same at p99", "x", tail);
    report.figure("G2 append p50", "µs", p50);
    report.figure("G2 append p99", "µs", p99);
    report.figure("fdatasync of a small append, p50", "µs", bare);
    Ok(())
}

/// G7: in process, with the disk's own rhythm in both.
fn transactions(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> G7 transactions");
    let (file, folder) = (workshop.text("transactions.ndjson"), workshop.text(""));
    let found = workshop.harness(&["transactions", &file, &folder, &rounds.to_string(), &TRANSACTIONS.to_string()])?;
    let series = |pointer: &str| -> Result<Vec<f64>> {
        found.as_array().into_iter().flatten().map(|round| number(round, pointer)).collect()
    };
    let (store, raw) = (series("/store/seconds")?, series("/raw/seconds")?);
    let (store_cpu, raw_cpu) = (series("/store/cpu_seconds")?, series("/raw/cpu_seconds")?);
    let target = Target {
        id: "G7",
        what: "transactions of 100, durable: resources/s against raw SQLite FULL/100",
        unit: "x",
        bound: Bound::AtLeast,
        floor: 0.25,
        goal: 0.5,
    };
    report.result(target, ratios(&raw, &store));
    let each = |seconds: &[f64]| seconds.iter().map(|seconds| seconds * 1e6 / TRANSACTIONS as f64).collect::<Vec<_>>();
    report.figure("G7 the same by CPU", "x", ratios(&raw_cpu, &store_cpu));
    report.figure("G7 C of a resource", "µs", each(&store_cpu));
    report.figure("G7 C of a resource, raw", "µs", each(&raw_cpu));
    report.figure("G7 resources per second", "/s", store.iter().map(|seconds| TRANSACTIONS as f64 / seconds).collect());
    Ok(())
}

/// G7b: the command itself, from its start to its end, into a demo that holds 10^3.
fn bulk(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> G7b bulk load");
    let (mut rate, mut cpu, mut cost, mut raw_cost, mut speed) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        workshop.copy_small("bulk")?;
        let ours = workshop.load("bulk.ndjson", "bulk")?;
        let raw = raw_load(workshop, "bulk.ndjson", "raw-bulk.db")?;
        rate.push(number(&raw, "/seconds")? / ours.seconds);
        let raw_cpu = number(&raw, "/cpu_seconds")?;
        cpu.push(raw_cpu / ours.cpu_seconds);
        cost.push(ours.cpu_seconds * 1e6 / BULK as f64);
        raw_cost.push(raw_cpu * 1e6 / BULK as f64);
        speed.push(BULK as f64 / ours.seconds);
    }
    let target = Target {
        id: "G7b",
        what: "bulk load of 4*10^4 as NDJSON: resources/s against raw SQLite NORMAL/1000",
        unit: "x",
        bound: Bound::AtLeast,
        floor: 0.35,
        goal: 0.6,
    };
    report.result(target, rate);
    report.figure("G7b the same by CPU", "x", cpu);
    report.figure("G7b C of a resource", "µs", cost);
    report.figure("G7b C of a resource, raw", "µs", raw_cost);
    report.figure("G7b resources per second", "/s", speed);
    Ok(())
}

/// G10: the peak memory of loads of 10^4, KiB.
fn peaks_of_tenth(workshop: &Workshop, rounds: usize) -> Result<Vec<f64>> {
    let peak = |_| {
        workshop.copy_small("tenth")?;
        Ok(workshop.load("tenth.ndjson", "tenth")?.peak_kilobytes)
    };
    (0..rounds).map(peak).collect()
}

fn raw_load(workshop: &Workshop, file: &str, database: &str) -> Result<Value> {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(workshop.path(&format!("{database}{suffix}")));
    }
    workshop.harness(&["raw-load", &workshop.text(file), &workshop.text(database), "normal", "1000"])
}

/// The stores of 10^5, ours and raw. Returns the peak memory of the load in KiB.
fn large(workshop: &Workshop, report: &mut Report) -> Result<f64> {
    eprintln!("==> stores of 10^5");
    workshop.copy_small("large")?;
    let ours = workshop.load("base.ndjson", "large")?;
    let raw = raw_load(workshop, "large.ndjson", "raw.db")?;
    let (count, raw_count) = ((LARGE - workshop.small_resources) as f64, LARGE as f64);
    let ratio = (count / ours.seconds) / (raw_count / number(&raw, "/seconds")?);
    report.figure("load of 10^5 against raw, resources/s, once", "x", vec![ratio]);
    report.figure("load of 10^5, C of a resource, once", "µs", vec![ours.cpu_seconds * 1e6 / count]);
    report.figure("load of 10^5, raw, C of a resource, once", "µs", vec![number(&raw, "/cpu_seconds")? * 1e6 / raw_count]);
    Ok(ours.peak_kilobytes)
}

/// G8: the same resources into a store of 10^3 and into one of 10^5; what a load that brings nothing new takes is taken off.
fn growth(workshop: &Workshop, rounds: usize, report: &mut Report) -> Result<()> {
    eprintln!("==> G8 growth of loading");
    let (mut small, mut large) = (vec![], vec![]);
    for round in 0..rounds {
        workshop.copy_small("growing")?;
        let file = format!("growth-{round}.ndjson");
        for (directory, costs) in [("growing", &mut small), ("large", &mut large)] {
            let nothing = workshop.load("known.ndjson", directory)?;
            let loaded = workshop.load(&file, directory)?;
            costs.push((loaded.cpu_seconds - nothing.cpu_seconds) * 1e6 / GROWTH as f64);
        }
    }
    let target = Target {
        id: "G8c",
        what: "10^3 to 10^5: C of loading one resource",
        unit: "x",
        bound: Bound::AtMost,
        floor: 4.0,
        goal: 3.0,
    };
    report.result(target, ratios(&large, &small));
    report.figure("G8 C of loading one resource at 10^3", "µs", vec![median(&small)]);
    report.figure("G8 C of loading one resource at 10^5", "µs", vec![median(&large)]);
    Ok(())
}
