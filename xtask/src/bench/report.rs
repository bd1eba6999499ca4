//! What was measured, against floor and goal of each number, as a table and as JSON.

use serde_json::{Value, json};

use super::statistics::{median, spread};

/// Which side of floor and goal is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Less is better.
    AtMost,
    /// More is better.
    AtLeast,
}

/// A number that has a floor and a goal.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id, such as `G5`.
    pub id: &'static str,
    /// What is measured against what.
    pub what: &'static str,
    /// The unit; `x` for ratios.
    pub unit: &'static str,
    /// Which side is good.
    pub bound: Bound,
    /// What must hold.
    pub floor: f64,
    /// What to reach.
    pub goal: f64,
}

impl Target {
    fn meets(&self, measured: f64, limit: f64) -> bool {
        match self.bound {
            Bound::AtMost => measured <= limit,
            Bound::AtLeast => measured >= limit,
        }
    }

    fn verdict(&self, measured: f64) -> &'static str {
        if self.meets(measured, self.goal) {
            "goal"
        } else if self.meets(measured, self.floor) {
            "floor"
        } else {
            "MISSED"
        }
    }
}

/// Everything that a run has measured.
#[derive(Debug, Default)]
pub struct Report {
    machine: Vec<(String, String)>,
    results: Vec<(Target, Vec<f64>)>,
    figures: Vec<(String, &'static str, Vec<f64>)>,
}

impl Report {
    /// Says something about the machine or the run.
    pub fn note(&mut self, name: &str, text: impl Into<String>) {
        self.machine.push((name.to_owned(), text.into()));
    }

    /// The rounds of a number with a target.
    pub fn result(&mut self, target: Target, samples: Vec<f64>) {
        self.results.push((target, samples));
    }

    /// The rounds of a number beside the targets.
    pub fn figure(&mut self, name: impl Into<String>, unit: &'static str, samples: Vec<f64>) {
        self.figures.push((name.into(), unit, samples));
    }

    /// The ids that miss their floor.
    pub fn missed(&self) -> Vec<&'static str> {
        let missed = self.results.iter().filter(|(target, samples)| target.verdict(median(samples)) == "MISSED");
        missed.map(|(target, _)| target.id).collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let header = ["id", "what", "median", "[min .. max]", "floor", "goal", "verdict"].map(str::to_owned).to_vec();
        let mut results = vec![header];
        results.extend(self.results.iter().map(|(target, samples)| {
            let sign = if target.bound == Bound::AtMost { "<=" } else { ">=" };
            let limit = |limit: f64| format!("{sign} {}", shown(limit, target.unit));
            let measured = median(samples);
            vec![
                target.id.to_owned(),
                target.what.to_owned(),
                shown(measured, target.unit),
                range(samples),
                limit(target.floor),
                limit(target.goal),
                target.verdict(measured).to_owned(),
            ]
        }));
        let mut figures = vec![["beside", "median", "[min .. max]"].map(str::to_owned).to_vec()];
        let figure = |(name, unit, samples): &(String, &'static str, Vec<f64>)| {
            vec![name.clone(), shown(median(samples), unit), range(samples)]
        };
        figures.extend(self.figures.iter().map(figure));
        let machine: String = self.machine.iter().map(|(name, text)| format!("{name}: {text}\n")).collect();
        format!("{machine}\n{}\n{}", aligned(&results), aligned(&figures))
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rounds = |samples: &[f64]| {
            let (minimum, maximum) = spread(samples);
            json!({ "median": median(samples), "min": minimum, "max": maximum, "rounds": samples })
        };
        let result = |(target, samples): &(Target, Vec<f64>)| {
            json!({
                "id": target.id, "what": target.what, "unit": target.unit, "measured": rounds(samples),
                "bound": if target.bound == Bound::AtMost { "at most" } else { "at least" },
                "floor": target.floor, "goal": target.goal, "verdict": target.verdict(median(samples)),
            })
        };
        let figure = |(name, unit, samples): &(String, &'static str, Vec<f64>)| json!({ "name": name, "unit": unit, "measured": rounds(samples) });
        json!({
            "machine": self.machine.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
            "beside": self.figures.iter().map(figure).collect::<Vec<_>>(),
        })
    }
}

fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

fn shown(value: f64, unit: &str) -> String {
    match unit {
        "x" => format!("{}x", number(value)),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

fn range(samples: &[f64]) -> String {
    let (minimum, maximum) = spread(samples);
    format!("[{} .. {}]", number(minimum), number(maximum))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(bound: Bound) -> Target {
        Target { id: "G0", what: "something", unit: "x", bound, floor: 4.0, goal: if bound == Bound::AtMost { 2.0 } else { 8.0 } }
    }

    #[test]
    fn a_verdict_depends_on_the_median_and_the_good_side() {
        for (bound, measured, verdict) in [
            (Bound::AtMost, 2.0, "goal"),
            (Bound::AtMost, 3.0, "floor"),
            (Bound::AtMost, 4.1, "MISSED"),
            (Bound::AtLeast, 8.0, "goal"),
            (Bound::AtLeast, 4.0, "floor"),
            (Bound::AtLeast, 3.9, "MISSED"),
            (Bound::AtMost, f64::NAN, "MISSED"),
        ] {
            assert_eq!(target(bound).verdict(measured), verdict, "{bound:?} {measured}");
        }
        let mut report = Report::default();
        report.result(target(Bound::AtMost), vec![1.0, 5.0, 6.0]);
        assert_eq!(report.missed(), ["G0"]);
        assert!(report.table().contains("5.00x"), "{}", report.table());
    }
}
