//! What a load tells: each refusal with file, line, path and reason at once, and a summary at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use portcullis_server::admin::protocol::Reason;
use serde::Serialize;

use super::items::Place;
use crate::failure::Outcome;
use crate::terminal::{self, Progress, counted, duration, grouped};

/// Refusals that the JSON summary lists; all of them are told on standard error, and counted.
const MAXIMUM_LISTED: usize = 1000;

/// The counts so far.
#[derive(Debug)]
pub struct Report {
    stored: BTreeMap<String, u64>,
    replaced: u64,
    /// Resources that were there already with the same content.
    unchanged: u64,
    refused: u64,
    /// How many of the refusals are transactions with all of their entries.
    transactions: u64,
    skipped: u64,
    listed: Vec<Refusal>,
    /// Refusals that were told and are not listed.
    unlisted: u64,
    started: Instant,
}

/// One reason of a refusal, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    file: String,
    /// `None` where the whole file is meant.
    line: Option<u64>,
    path: Option<String>,
    reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if let Some(path) = &self.path {
            write!(formatter, ": {path}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    loaded: u64,
    new: u64,
    replaced: u64,
    unchanged: u64,
    refused: u64,
    loaded_before: u64,
    by_type: &'a BTreeMap<String, u64>,
    refusals: &'a [Refusal],
    refusals_not_listed: u64,
    seconds: f64,
    per_second: f64,
    complete: bool,
}

impl Report {
    /// A report that begins now; `skipped` items were dealt with by an earlier load.
    pub fn begin(skipped: u64) -> Self {
        Self {
            stored: BTreeMap::new(),
            replaced: 0,
            unchanged: 0,
            refused: 0,
            transactions: 0,
            skipped,
            listed: Vec::new(),
            unlisted: 0,
            started: Instant::now(),
        }
    }

    /// Resources were stored; so many of them replaced what was there.
    pub fn stored(&mut self, by_type: BTreeMap<String, u64>, replaced: u64) {
        self.replaced += replaced;
        for (name, count) in by_type {
            *self.stored.entry(name).or_default() += count;
        }
    }

    /// So many resources were there already with the same content.
    pub fn unchanged(&mut self, count: u64) {
        self.unchanged += count;
    }

    /// A resource was refused: told at once, a line for each reason.
    pub fn refused(&mut self, label: &str, place: &Place, reasons: &[Reason], progress: &Progress) {
        self.refused += 1;
        self.tell(refusals(label, place, reasons), progress);
    }

    fn tell(&mut self, refusals: Vec<Refusal>, progress: &Progress) {
        for refusal in refusals {
            progress.say(&refusal.to_string());
            if self.listed.len() < MAXIMUM_LISTED {
                self.listed.push(refusal);
            } else {
                self.unlisted += 1;
            }
        }
    }

    /// What became of a transaction: nothing to tell where it was not refused, else each reason at its place, and then that all of it is refused.
    pub fn transaction_refused(
        &mut self,
        (label, bundle): (&str, &Place),
        entries: u64,
        reasons: &[(Place, Vec<Reason>)],
        progress: &Progress,
    ) {
        if reasons.is_empty() {
            return;
        }
        for (place, reasons) in reasons {
            self.tell(refusals(label, place, reasons), progress);
        }
        let entries_text = counted(entries, "entry", "entries");
        let message = format!("Nothing of this transaction ({entries_text}) is stored: it is stored whole or not at all.");
        let whole = [Reason { path: Some("Bundle".to_owned()), message, line: None }];
        self.tell(refusals(label, bundle, &whole), progress);
        self.refused += entries;
        self.transactions += 1;
    }

    /// Whether anything was refused.
    pub fn any_refused(&self) -> bool {
        self.refused > 0
    }

    /// What was refused and what became of the rest, as one sentence.
    pub fn refusals_told(&self) -> String {
        let its = if self.refused == 1 { "its" } else { "their" };
        let refused = counted(self.refused, "refusal", "refusals");
        let whole = match self.transactions {
            0 => String::new(),
            1 => " (among them every entry of a transaction)".to_owned(),
            many => format!(" (among them every entry of {} transactions)", grouped(many)),
        };
        let rest = match (self.present(), self.skipped) {
            (0, 0) => "nothing is stored",
            (0, _) => "nothing more is stored",
            _ => "everything else is stored",
        };
        format!("{refused}{whole}, named above with {its} reasons; {rest}")
    }

    /// How many resources were stored.
    pub fn loaded(&self) -> u64 {
        self.stored.values().sum()
    }

    /// How many resources are stored as they were given, now or before.
    fn present(&self) -> u64 {
        self.loaded() + self.unchanged
    }

    /// What stands beside the progress bar.
    pub fn rate_text(&self) -> String {
        format!("{} resources, {} per second", grouped(self.present()), grouped(self.per_second()))
    }

    fn per_second(&self) -> u64 {
        let milliseconds = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.present().saturating_mul(1000) / milliseconds
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Writes the summary to standard output.
    pub fn print(&self, json: bool, complete: bool) -> Outcome {
        if json {
            let seconds = self.elapsed().as_secs_f64();
            let per_second = if seconds > 0.0 { rate(self.present(), seconds) } else { 0.0 };
            let loaded = self.loaded();
            return terminal::print_json(&Summary {
                loaded,
                new: loaded.saturating_sub(self.replaced),
                replaced: self.replaced,
                unchanged: self.unchanged,
                refused: self.refused,
                loaded_before: self.skipped,
                by_type: &self.stored,
                refusals: &self.listed,
                refusals_not_listed: self.unlisted,
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
        if self.unchanged > 0 {
            text.push_str(&format!("; {} unchanged", grouped(self.unchanged)));
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

fn refusals(label: &str, place: &Place, reasons: &[Reason]) -> Vec<Refusal> {
    let refusal = |reason: &Reason| Refusal {
        file: label.to_owned(),
        line: (place.line > 0).then(|| place.line + u64::from(reason.line.unwrap_or(1).saturating_sub(1))),
        path: place.path(reason.path.as_deref()),
        reason: reason.message.clone(),
    };
    reasons.iter().map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_lines(label: &str, place: &Place, reasons: &[Reason]) -> Vec<String> {
        refusals(label, place, reasons).iter().map(Refusal::to_string).collect()
    }

    #[test]
    fn what_is_told_at_the_end_is_true_of_the_rest() {
        let progress = Progress::bytes(None);
        let place = Place { line: 1, entry: None };
        let reasons = [Reason { path: None, message: "odd".into(), line: None }];
        let mut report = Report::begin(0);
        report.transaction_refused(("a.json", &place), 2, &[(place.clone(), reasons.to_vec())], &progress);
        assert_eq!(
            report.refusals_told(),
            "2 refusals (among them every entry of a transaction), named above with their reasons; nothing is stored"
        );
        report.stored(BTreeMap::from([("Patient".to_owned(), 1)]), 0);
        assert!(report.refusals_told().ends_with("; everything else is stored"));
        let mut same = Report::begin(0);
        same.unchanged(4);
        same.refused("a.json", &place, &reasons, &progress);
        assert!(same.refusals_told().ends_with("; everything else is stored"));
        let mut resumed = Report::begin(7);
        resumed.refused("a.json", &place, &reasons, &progress);
        assert_eq!(resumed.refusals_told(), "1 refusal, named above with its reasons; nothing more is stored");
    }

    #[test]
    fn the_list_of_refusals_is_bounded_and_says_so() {
        let mut report = Report::begin(0);
        let reasons = [Reason { path: None, message: "odd".into(), line: None }];
        for line in 1..=1003 {
            report.refused("a.ndjson", &Place { line, entry: None }, &reasons, &Progress::bytes(None));
        }
        assert_eq!((report.listed.len(), report.unlisted, report.refused), (1000, 3, 1003));
        let first = Refusal { file: "a.ndjson".into(), line: Some(1), path: None, reason: "odd".into() };
        assert_eq!(report.listed[0], first);
    }

    #[test]
    fn the_line_of_a_reason_counts_from_where_its_text_begins() {
        let reasons = [Reason { path: None, message: "odd".into(), line: Some(3) }];
        assert_eq!(refusal_lines("a.json", &Place { line: 5, entry: None }, &reasons), ["a.json:7: odd"]);
    }

    #[test]
    fn a_refusal_names_file_line_path_and_reason() {
        let reasons = [
            Reason { path: Some("Patient.birthDate".into()), message: "not a date".into(), line: None },
            Reason { path: None, message: "odd".into(), line: None },
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
        report.unchanged(3);
        let text = report.text();
        assert!(text.contains("Loaded 1,204 resources in "), "{text}");
        assert!(
            text.contains("; 1,203 new, 1 replaced what was there; 3 unchanged; refused 2; 7 were dealt with before."),
            "{text}"
        );
        assert!(text.contains("Patient           1,201"), "{text}");
    }
}
