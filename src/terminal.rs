//! What people see: plain text on standard output, progress on standard error where that is a terminal.
//!
//! A reader that goes away (`portcullis generate | head`) ends the command quietly. On a terminal tables fit its width; in a pipe or a file nothing is cut.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// The width of texts where no terminal says another one, in characters.
const WIDTH: usize = 80;
/// The space between columns.
const GAP: usize = 2;
/// The narrowest that a column is made.
const NARROWEST: usize = 8;
/// How often a progress bar is drawn, per second.
const DRAWS_PER_SECOND: u8 = 8;

/// Writes text to standard output.
pub fn print(text: &str) -> Outcome {
    let mut output = io::stdout().lock();
    written(output.write_all(text.as_bytes()).and_then(|()| output.flush())).map(|_| ())
}

/// Writes a line to standard output.
pub fn print_line(text: &str) -> Outcome {
    print(&format!("{text}\n"))
}

/// Writes a value to standard output as indented JSON.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::failed(format!("The result cannot be written as JSON: {error}")))?;
    print_line(&text)
}

/// Writes a line to standard error. Nothing can be done where that fails.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes lines to standard error; on a terminal no word is broken at the edge.
pub fn say_wrapped(text: &str) {
    if !io::stderr().is_terminal() {
        return say(text);
    }
    for line in text.lines() {
        // What is indented, such as a piece of a file, stands as it is.
        if line.starts_with(' ') || line.chars().count() <= WIDTH { say(line) } else { say(wrapped(line, 0).trim_end()) }
    }
}

/// What became of writing to standard output: `false` where nobody reads it any more.
pub fn written(result: io::Result<()>) -> Outcome<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(format!("Standard output cannot be written: {error}"))),
    }
}

/// How many columns standard output has; `None` where it is no terminal.
fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0).max(40))
}

/// A table with aligned columns. Where it does not fit the terminal, the widest columns are cut, and cut texts end in `…`.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    table_within(columns(), headings, rows)
}

/// The table, where all of it fits the terminal.
pub fn whole_table(headings: &[&str], rows: &[Vec<String>]) -> Option<String> {
    whole_table_within(columns(), headings, rows)
}

fn whole_table_within(columns: Option<usize>, headings: &[&str], rows: &[Vec<String>]) -> Option<String> {
    let table = table_within(None, headings, rows);
    let fits = |columns| table.lines().all(|line| line.chars().count() <= columns);
    columns.is_none_or(fits).then_some(table)
}

fn table_within(columns: Option<usize>, headings: &[&str], rows: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = headings.iter().map(|heading| length(heading)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(cell));
        }
    }
    let spaces = GAP * widths.len().saturating_sub(1);
    while columns.is_some_and(|columns| widths.iter().sum::<usize>() + spaces > columns) {
        match widths.iter_mut().max().filter(|width| **width > NARROWEST) {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    let mut text = String::new();
    let heading: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| fitted(cell, *width)).collect();
        text.push_str(cells.join(&" ".repeat(GAP)).trim_end());
        text.push('\n');
    }
    text
}

/// Words in lines that keep the width, each behind an indentation.
pub fn wrapped(text: &str, indent: usize) -> String {
    wrapped_within(columns().unwrap_or(WIDTH), text, indent)
}

fn wrapped_within(columns: usize, text: &str, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().map(visible).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A control character in a name must not move the cursor.
fn visible(character: char) -> char {
    if character.is_control() { '\u{fffd}' } else { character }
}

fn fitted(cell: &str, width: usize) -> String {
    let mut text: String = cell.chars().map(visible).collect();
    if text.chars().count() > width {
        text = text.chars().take(width.saturating_sub(1)).collect();
        text.push('…');
    }
    format!("{text:<width$}")
}

/// A number with a comma between each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One of something, several of it.
pub fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { several })
}

/// A length of time for people.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A date and time in UTC from milliseconds since the epoch.
pub fn time(milliseconds: i64) -> String {
    portcullis_fhir::instant::format(milliseconds)
}

/// A date and time in UTC to the minute, from seconds since the epoch: what nobody compares with a record.
pub fn minute(seconds: i64) -> String {
    let text = time(seconds.saturating_mul(1000));
    match text.split_once('T') {
        Some((day, clock)) => format!("{day} {} UTC", clock.chars().take("23:59".len()).collect::<String>()),
        None => text,
    }
}

/// A progress bar on standard error; nothing where that is no terminal.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Progress through a known number of bytes.
    pub fn bytes(total: Option<u64>) -> Self {
        let template = "{wide_bar} {bytes}/{total_bytes}  {msg}  {eta} left";
        let unknown = "{spinner} {bytes}  {msg}";
        Self::of(total, template, unknown)
    }

    /// Progress through a known number of things.
    pub fn things(total: Option<u64>) -> Self {
        Self::of(total, "{wide_bar} {human_pos}/{human_len}  {msg}  {eta} left", "{spinner} {human_pos}  {msg}")
    }

    /// No progress, where the same terminal shows something else.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    fn of(total: Option<u64>, known: &str, unknown: &str) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() { known } else { unknown };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        Self(bar)
    }

    /// Where it stands.
    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// What stands beside the bar.
    pub fn message(&self, text: String) {
        self.0.set_message(text);
    }

    /// Writes a line to standard error without breaking the bar.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| say(text));
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_fits_the_terminal() {
        let rows =
            [vec!["a".to_owned(), "x".repeat(100), "end".to_owned()], vec!["bbb".to_owned(), "y".to_owned(), "end".to_owned()]];
        let text = table_within(Some(80), &["Id", "Scope", "Kind"], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(lines[1].contains('…'));
        let column = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count());
        assert_eq!(column(lines[1], "end"), column(lines[2], "end"));
        assert_eq!(column(lines[0], "Kind"), column(lines[2], "end"));
    }

    #[test]
    fn nothing_is_cut_where_nobody_watches() {
        let rows = [vec!["a".to_owned(), "x".repeat(100), "end".to_owned()]];
        let text = table_within(None, &["Id", "Scope", "Kind"], &rows);
        assert!(text.contains(&"x".repeat(100)) && text.contains("end") && !text.contains('…'), "{text}");
        assert!(whole_table_within(Some(120), &["Id", "Scope", "Kind"], &rows).is_some());
        assert_eq!(whole_table_within(Some(80), &["Id", "Scope", "Kind"], &rows), None);
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert!(!table(&["Name"], &[vec!["a\u{1b}[2Jb".to_owned()]]).contains('\u{1b}'));
        assert!(!wrapped("a\u{1b}[2Jb", 2).contains('\u{1b}'));
    }

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        let words = "patient/Observation.rs ".repeat(9);
        let text = wrapped_within(80, &words, 4);
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.starts_with("    patient") && line.len() <= 80),
            "{text}"
        );
        assert_eq!(text.split_whitespace().count(), 9);
        assert_eq!(wrapped("", 4), "");
    }

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(100_000), "100,000");
        assert_eq!(counted(1, "record", "records"), "1 record");
        assert_eq!(duration(Duration::from_millis(2_140)), "2.1 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(minute(1_795_332_242), "2026-11-22 07:24 UTC");
    }
}
