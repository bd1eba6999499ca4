//! What a load tells: each refusal with file, line, path and reason at once, and a summary at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_server::admin::protocol::Reason;
use serde::Serialize;

use super::items::Place;
use crate::failure::Outcome;
use crate::terminal::{self, Progress, counted, duration, grouped};

/// The counts so far.
#[derive(Debug)]
pub struct Report {
    stored: BTreeMap<String, u64>,
    replaced: u64,
    refused: u64,
    skipped: u64,
    started: Instant,
}

#[derive(Serialize)]
struct Summary<'a> {
    loaded: u64,
    new: u64,
    replaced: u64,
    refused: u64,
    loaded_before: u64,
    by_type: &'a BTreeMap<String, u64>,
    seconds: f64,
    per_second: f64,
    complete: bool,
}

impl Report {
    /// A report that begins now; `skipped` items were dealt with by an earlier load.
    pub fn begin(skipped: u64) -> Self {
        Self { stored: BTreeMap::new(), replaced: 0, refused: 0, skipped, started: Instant::now() }
    }

    /// Resources were stored; so many of them replaced what was there.
    pub fn stored(&mut self, by_type: BTreeMap<String, u64>, replaced: u64) {
        self.replaced += replaced;
        for (name, count) in by_type {
            *self.stored.entry(name).or_default() += count;
        }
    }

    /// A resource was refused: told at once, a line for each reason.
    pub fn refused(&mut self, label: &str, place: &Place, reasons: &[Reason], progress: &Progress) {
        self.refused += 1;
        for line in refusal_lines(label, place, reasons) {
            progress.say(&line);
        }
    }

    /// What became of a transaction: nothing to tell where it was not refused, else each reason at its place, and then that all of it is refused.
    pub fn transaction_refused(
        &mut self,
        (label, bundle): (&str, &Place),
        entries: u64,
        refusals: &[(Place, Vec<Reason>)],
        progress: &Progress,
    ) {
        if refusals.is_empty() {
            return;
        }
        let lines = refusals.iter().flat_map(|(place, reasons)| refusal_lines(label, place, reasons));
        lines.for_each(|line| progress.say(&line));
        let entries_text = counted(entries, "entry", "entries");
        let message = format!("Nothing of this transaction ({entries_text}) is stored: it is stored whole or not at all.");
        let whole = [Reason { path: Some("Bundle".to_owned()), message }];
        refusal_lines(label, bundle, &whole).iter().for_each(|line| progress.say(line));
        self.refused += entries;
    }

    /// Whether anything was refused.
    pub fn any_refused(&self) -> bool {
        self.refused > 0
    }

    /// How many were refused.
    pub fn refusals(&self) -> u64 {
        self.refused
    }

    /// How many resources were stored.
    pub fn loaded(&self) -> u64 {
        self.stored.values().sum()
    }

    /// What stands beside the progress bar.
    pub fn rate_text(&self) -> String {
        format!("{} resources, {} per second", grouped(self.loaded()), grouped(self.per_second()))
    }

    fn per_second(&self) -> u64 {
        let milliseconds = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.loaded().saturating_mul(1000) / milliseconds
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Writes the summary to standard output.
    pub fn print(&self, json: bool, complete: bool) -> Outcome {
        if json {
            let seconds = self.elapsed().as_secs_f64();
            let per_second = if seconds > 0.0 { rate(self.loaded(), seconds) } else { 0.0 };
            let loaded = self.loaded();
            return terminal::print_json(&Summary {
                loaded,
                new: loaded.saturating_sub(self.replaced),
                replaced: self.replaced,
                refused: self.refused,
                loaded_before: self.skipped,
                by_type: &self.stored,
                seconds,
                per_second,
                complete,
            });
        }
        terminal::print(&self.text())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.stored.is_empty() {
            let rows: Vec<Vec<String>> =
                self.stored.iter().map(|(name, count)| vec![name.clone(), format!("{:>10}", grouped(*count))]).collect();
            text.push_str(&terminal::table(&["Type", "    Loaded"], &rows));
            text.push('\n');
        }
        let loaded = counted(self.loaded(), "resource", "resources");
        text.push_str(&format!("Loaded {loaded} in {} ({} per second)", duration(self.elapsed()), grouped(self.per_second())));
        if self.replaced > 0 {
            let new = self.loaded().saturating_sub(self.replaced);
            text.push_str(&format!("; {} new, {} replaced what was there", grouped(new), grouped(self.replaced)));
        } else if self.loaded() > 0 {
            text.push_str("; all of them new");
        }
        if self.refused > 0 {
            text.push_str(&format!("; refused {}", grouped(self.refused)));
        }
        if self.skipped > 0 {
            text.push_str(&format!("; {} were dealt with before", grouped(self.skipped)));
        }
        text.push_str(".\n");
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people and charts")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn refusal_lines(label: &str, place: &Place, reasons: &[Reason]) -> Vec<String> {
    let at = if place.line == 0 { label.to_owned() } else { format!("{label}:{}", place.line) };
    let line = |reason: &Reason| match place.path(reason.path.as_deref()) {
        Some(path) => format!("{at}: {path}: {}", reason.message),
        None => format!("{at}: {}", reason.message),
    };
    reasons.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_file_line_path_and_reason() {
        let reasons = [
            Reason { path: Some("Patient.birthDate".into()), message: "not a date".into() },
            Reason { path: None, message: "odd".into() },
        ];
        let place = Place { line: 12, entry: None };
        assert_eq!(
            refusal_lines("a.ndjson", &place, &reasons),
            ["a.ndjson:12: Patient.birthDate: not a date", "a.ndjson:12: odd"]
        );
        let place = Place { line: 40, entry: Some(3) };
        let lines = refusal_lines("b.json", &place, &reasons);
        assert_eq!(
            lines,
            ["b.json:40: Bundle.entry[3].resource.birthDate: not a date", "b.json:40: Bundle.entry[3].resource: odd"]
        );
        assert_eq!(refusal_lines("c.gz", &Place { line: 0, entry: None }, &reasons[1..]), ["c.gz: odd"]);
    }

    #[test]
    fn the_summary_counts_what_was_loaded_refused_and_skipped() {
        let mut report = Report::begin(7);
        report.stored(BTreeMap::from([("Patient".to_owned(), 1200), ("Observation".to_owned(), 3)]), 0);
        assert!(report.text().contains("; all of them new;"), "{}", report.text());
        report.stored(BTreeMap::from([("Patient".to_owned(), 1)]), 1);
        report.refused = 2;
        let text = report.text();
        assert!(text.contains("Loaded 1,204 resources in "), "{text}");
        assert!(text.contains("; 1,203 new, 1 replaced what was there; refused 2; 7 were dealt with before."), "{text}");
        assert!(text.contains("Patient           1,201"), "{text}");
    }
}
