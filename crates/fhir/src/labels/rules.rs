//! The rules of the automatic labeller: which codes of which systems mean which labels.
//!
//! A small text format, so that an operator can read and replace the whole. Each line is empty, a comment, a name for systems, or a rule:
//!
//! ```text
//! # Substance use
//! @icd10 = http://hl7.org/fhir/sid/icd-10-cm urn:oid:2.16.840.1.113883.6.90
//! @icd10 | F10* G31.2 -> R ETHUD
//! http://loinc.org | 20447-9 -> R HIV
//! ```
//!
//! A star stands for every continuation of a code. Every rule has exactly one confidentiality. Codes are compared without regard to case. What has no system, or
//! only text, is not labelled: words are not understood.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::{Confidentiality, Labels};

/// The rules that hold where the operator gives none.
static DEFAULT: LazyLock<Arc<Rules>> =
    LazyLock::new(|| Arc::new(Rules::parse(include_str!("../../data/label-rules.txt")).unwrap_or_default()));

/// The largest file of rules, in bytes.
pub const MAXIMUM_BYTES: usize = 4 << 20;

/// Rules, checked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rules {
    text: Box<str>,
    systems: HashMap<Box<str>, Codes>,
}

/// The rules about the codes of one system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Codes {
    exact: HashMap<Box<str>, Labels>,
    beginnings: HashMap<Box<str>, Labels>,
}

/// What is wrong with a line, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}; {remedy}")]
pub struct RulesError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: &'static str,
}

const RULE: &str = "write a rule as `system | code other-code beginning* -> R HIV`";
const NAME: &str = "write a name as `@icd10 = http://hl7.org/fhir/sid/icd-10-cm`, before it is used";
const LABELS: &str = "write exactly one of U, L, M, N, R and V, then codes of v3-ActCode that this server knows, such as HIV, PSY, SUD or 42CFRPart2";
const SHORTER: &str = "divide or shorten the file";

impl Rules {
    /// The rules that are built in.
    pub fn built_in() -> Arc<Self> {
        Arc::clone(&DEFAULT)
    }

    /// Reads rules.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let mut rules = Self { text: text.into(), systems: HashMap::new() };
        if text.len() > MAXIMUM_BYTES {
            let problem = format!("the file has more than {MAXIMUM_BYTES} bytes");
            return Err(RulesError { line: 1, problem, remedy: SHORTER });
        }
        let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split_once('#').filter(|(before, _)| before.trim().is_empty()).map_or(content, |_| "").trim();
            let refused = |problem: String, remedy| RulesError { line, problem, remedy };
            if content.is_empty() {
                continue;
            }
            if let Some((rule, labels)) = content.split_once("->") {
                let labels = parse_labels(labels).map_err(|problem| refused(problem, LABELS))?;
                let (system, codes) = rule.split_once('|').ok_or_else(|| refused("there is no '|'".into(), RULE))?;
                let system = system.trim();
                let systems = match names.get(system) {
                    Some(systems) => systems.clone(),
                    None if system.starts_with('@') => return Err(refused(format!("{system} is not known"), NAME)),
                    None if is_system(system) => vec![system],
                    None => return Err(refused(format!("'{system}' is no system"), RULE)),
                };
                rules.add(&systems, codes, labels).map_err(|problem| refused(problem, RULE))?;
            } else {
                let named = content.split_once('=').map(|(name, systems)| (name.trim(), systems));
                let (name, systems) = named
                    .filter(|(name, _)| name.len() > 1 && name.starts_with('@') && !name.contains(char::is_whitespace))
                    .ok_or_else(|| refused("this is neither a rule nor a name".into(), RULE))?;
                let systems: Vec<&str> = systems.split_whitespace().collect();
                if systems.is_empty() || !systems.iter().all(|system| is_system(system)) {
                    return Err(refused(format!("{name} names no systems"), NAME));
                }
                if names.insert(name, systems).is_some() {
                    return Err(refused(format!("{name} is named twice"), NAME));
                }
            }
        }
        Ok(rules)
    }

    fn add(&mut self, systems: &[&str], codes: &str, labels: Labels) -> Result<(), String> {
        let codes: Vec<&str> = codes.split_whitespace().collect();
        if codes.is_empty() {
            return Err("the rule has no code".to_owned());
        }
        for code in codes {
            let beginning = code.strip_suffix('*');
            let word = beginning.unwrap_or(code);
            if word.is_empty() || word.contains(['*', ',', '|']) {
                return Err(format!("'{code}' is no code"));
            }
            for system in systems {
                let of_system = self.systems.entry((*system).into()).or_default();
                let table = if beginning.is_some() { &mut of_system.beginnings } else { &mut of_system.exact };
                let known = table.entry(folded(word)).or_default();
                *known = *known | labels;
            }
        }
        Ok(())
    }

    /// What a code means.
    pub fn labels(&self, system: &str, code: &str) -> Labels {
        let Some(codes) = self.systems.get(system) else { return Labels::NONE };
        let code = folded(code);
        let mut labels = codes.exact.get(&code).copied().unwrap_or_default();
        if !codes.beginnings.is_empty() {
            let beginnings = code.char_indices().map(|(start, char)| start + char.len_utf8());
            for beginning in beginnings.filter_map(|end| code.get(..end)) {
                labels = labels | codes.beginnings.get(beginning).copied().unwrap_or_default();
            }
        }
        labels
    }

    /// The codes that mean something else than by other rules, but for a higher confidentiality: `system|code`, ordered. A sensitivity that is new counts as one that is
    /// gone: it hides records from clearances, and a Consent may permit what has it.
    pub fn changed_from(&self, before: &Self) -> Vec<String> {
        let confidentialities = Labels::confidential(Confidentiality::VeryRestricted);
        let mut changed = self.lacking(before, Labels::NONE);
        changed.extend(before.lacking(self, confidentialities));
        changed.sort();
        changed.dedup();
        changed
    }

    /// The codes that have labels by other rules which they do not have by these, whichever of some of them they have: `system|code`.
    fn lacking(&self, other: &Self, whichever: Labels) -> Vec<String> {
        let mut lacking = Vec::new();
        for (system, codes) in &other.systems {
            let less = |own: Labels, other: Labels| !(own | whichever).contains(other);
            let exact = codes.exact.keys().filter(|code| less(self.labels(system, code), other.labels(system, code)));
            lacking.extend(exact.map(|code| format!("{system}|{code}")));
            let of_beginnings = |code: &str| less(self.of_beginnings(system, code), other.of_beginnings(system, code));
            let beginnings = codes.beginnings.keys().filter(|code| of_beginnings(code));
            lacking.extend(beginnings.map(|code| format!("{system}|{code}*")));
        }
        lacking
    }

    /// What every continuation of a code means.
    fn of_beginnings(&self, system: &str, code: &str) -> Labels {
        let Some(codes) = self.systems.get(system) else { return Labels::NONE };
        let ends = code.char_indices().map(|(start, char)| start + char.len_utf8());
        let known = ends.filter_map(|end| codes.beginnings.get(code.get(..end)?));
        known.fold(Labels::NONE, |labels, more| labels | *more)
    }

    /// The text that they were read from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rules about {} systems", self.systems.len())
    }
}

fn is_system(text: &str) -> bool {
    text.contains(':') && !text.contains(char::is_whitespace) && !text.starts_with('@')
}

fn folded(code: &str) -> Box<str> {
    code.to_ascii_uppercase().into()
}

fn parse_labels(text: &str) -> Result<Labels, String> {
    let (mut labels, mut confidentialities) = (Labels::NONE, 0);
    for code in text.split_whitespace() {
        let label = Labels::named(code).ok_or_else(|| format!("'{code}' is no label"))?;
        confidentialities += usize::from(label.confidentiality().is_some());
        labels = labels | label;
    }
    if confidentialities == 1 { Ok(labels) } else { Err(format!("the rule has {confidentialities} confidentialities")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
    const SNOMED: &str = "http://snomed.info/sct";
    const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
    const LOINC: &str = "http://loinc.org";

    fn codes(labels: Labels) -> String {
        labels.codings().map(|(_, code, _)| code).collect::<Vec<_>>().join(" ")
    }

    /// Every group that the documentation promises, by codes of each system that it has.
    #[test]
    fn the_built_in_rules_know_every_group() {
        let rules = Rules::built_in();
        assert_eq!(Rules::parse(rules.text()).unwrap(), *rules, "the file itself is right");
        for (system, code, expected) in [
            (ICD, "F10.20", "R ETHUD"),
            (ICD, "f11.20", "R OPIOIDUD"),
            (ICD, "F14.20", "R SUD"),
            (ICD, "F32.1", "R PSY"),
            (ICD, "B20", "R HIV"),
            (ICD, "Z21", "R HIV"),
            (ICD, "A53.9", "R STD"),
            (ICD, "Z30.09", "R SEX"),
            (ICD, "O04.5", "R SEX"),
            (ICD, "T74.11XA", "R SDV"),
            (ICD, "Y07.01", "R SDV"),
            (ICD, "Z14.1", "R GDIS"),
            (ICD, "D57.1", "R SCA"),
            (SNOMED, "75544000", "R OPIOIDUD"),
            (SNOMED, "66590003", "R ETHUD"),
            (SNOMED, "86406008", "R HIV"),
            (SNOMED, "36923009", "R PSY"),
            (RXNORM, "351267", "R OPIOIDUD"),
            (RXNORM, "1999667", "R HIV"),
            (LOINC, "20447-9", "R HIV"),
            (LOINC, "44249-1", "R PSY"),
            (ICD, "E11.9", ""),
            (ICD, "F", ""),
            (ICD, "B2", ""),
            (SNOMED, "44054006", ""),
            ("http://example.org", "F10.20", ""),
        ] {
            assert_eq!(codes(rules.labels(system, code)), expected, "{code}");
        }
    }

    #[test]
    fn a_code_that_several_rules_know_has_the_labels_of_all_and_the_highest_confidentiality() {
        let rules = Rules::parse(
            "@own = urn:a urn:b\n@own | X* -> N HIV\nurn:a | X1 -> R PSY\n  # a comment\n\nurn:a|x12-> V 42CFRPart2 NORDSCLCD",
        )
        .unwrap();
        assert_eq!(codes(rules.labels("urn:a", "X")), "N HIV");
        assert_eq!(codes(rules.labels("urn:a", "X1")), "R PSY HIV");
        assert_eq!(codes(rules.labels("urn:a", "X12")), "V HIV 42CFRPart2 NORDSCLCD");
        assert_eq!(codes(rules.labels("urn:b", "X1")), "N HIV");
        assert_eq!(codes(rules.labels("urn:b", "Y")), "");
        assert_eq!(codes(rules.labels("urn:b", "")), "");
    }

    #[test]
    fn a_change_is_a_label_that_is_lost_or_a_sensitivity_that_is_new_and_no_higher_confidentiality() {
        let rules = |text: &str| Rules::parse(text).unwrap();
        let before = rules("urn:a | X Y* -> N HIV");
        for (after, changed) in [
            ("urn:a | Y* X -> R HIV\nurn:b | Z -> V", ""),
            ("urn:a | X Y* -> U HIV", "urn:a|X urn:a|Y*"),
            ("urn:a | X Y* -> N HIV\nurn:a | Y1 -> N PSY", "urn:a|Y1"),
            ("urn:a | X* Y* -> N HIV", "urn:a|X*"),
            ("urn:a | X Y* -> N HIV PSY", "urn:a|X urn:a|Y*"),
            ("urn:a | X -> N HIV\nurn:b | Z -> N HIV", "urn:a|Y* urn:b|Z"),
        ] {
            assert_eq!(rules(after).changed_from(&before).join(" "), changed, "{after}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        for (text, line, problem, remedy) in [
            ("nonsense", 1, "neither a rule nor a name", RULE),
            ("\nurn:a X -> R", 2, "no '|'", RULE),
            ("urn:a | -> R", 1, "no code", RULE),
            ("urn:a | * -> R", 1, "'*' is no code", RULE),
            ("urn:a | F1*0 -> R", 1, "'F1*0' is no code", RULE),
            ("urn:a | F10,F11 -> R", 1, "is no code", RULE),
            ("icd | F10 -> R", 1, "'icd' is no system", RULE),
            ("@icd | F10 -> R", 1, "@icd is not known", NAME),
            ("@icd = urn:a\n@icd = urn:b", 2, "named twice", NAME),
            ("@icd =", 1, "names no systems", NAME),
            ("@icd = icd10", 1, "names no systems", NAME),
            ("urn:a | X -> HIV", 1, "0 confidentialities", LABELS),
            ("urn:a | X -> N R", 1, "2 confidentialities", LABELS),
            ("urn:a | X -> R AIDS", 1, "'AIDS' is no label", LABELS),
            ("urn:a | X ->", 1, "0 confidentialities", LABELS),
        ] {
            let error = Rules::parse(text).unwrap_err();
            assert!(error.problem.contains(problem), "{text}: {error}");
            assert_eq!((error.line, error.remedy), (line, remedy), "{text}");
        }
        let long = "#".repeat(MAXIMUM_BYTES + 1);
        assert_eq!(Rules::parse(&long).unwrap_err().remedy, SHORTER);
    }
}
