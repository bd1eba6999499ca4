//! `portcullis policy test`: whether rules decide as a table says, by the very decision that a server makes, without one.

use std::path::Path;
use std::sync::Arc;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::search::{self, Handling, SearchContext};
use portcullis_oauth::scopes::Letter;
use portcullis_policy::decision::{RuleName, Trace};
use portcullis_policy::explanation::Says;
use portcullis_policy::operator_rules::Holds;
use portcullis_policy::{Basis, Decision, DecisionId, Operation, OperatorRules, decide, denial};
use serde_json::json;

use super::cases::{Case, Cases, Expected, Question};
use super::show::{NO_BASE, loaded};
use crate::args::PolicyTest;
use crate::config::PolicySettings;
use crate::failure::{Failure, Outcome};
use crate::terminal::{self, counted};

/// What came of one test.
#[derive(Debug)]
pub struct Outcomes {
    /// Its name.
    pub name: String,
    /// Where it is in its file.
    pub line: usize,
    /// What the rules decided.
    pub found: Expected,
    /// The rules of the operator that have a part in it.
    pub by: Vec<String>,
    /// What is not as expected; empty: the test passed.
    pub wrong: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &PolicyTest) -> Outcome {
    let cases = Cases::read(&arguments.file).map_err(Failure::usage)?;
    let folder = arguments.file.parent().unwrap_or(Path::new("."));
    let rules = arguments.rules.clone().or_else(|| cases.rules.as_ref().map(|rules| folder.join(rules)));
    let rules = rules.ok_or_else(|| {
        Failure::usage(format!("{} names no rules", arguments.file.display()))
            .advise("Write rules = \"rules.toml\" at its top, or add --rules FILE.")
    })?;
    let held = loaded(&PolicySettings::of_file(rules.clone()), NO_BASE)?;
    let text = std::fs::read_to_string(&arguments.file).unwrap_or_default();
    let mut outcomes = Vec::new();
    for case in &cases.test {
        let line = 1 + text.bytes().take(case.span().start).filter(|byte| *byte == b'\n').count();
        let case = case.get_ref();
        let question = case.question().map_err(|problem| {
            Failure::usage(format!("{}, line {line}, test '{}': {problem}", arguments.file.display(), case.name))
        })?;
        outcomes.push(judged(&held.rules, case, &question, line));
    }
    let failed = outcomes.iter().filter(|outcome| outcome.wrong.is_some()).count();
    if arguments.json {
        terminal::print_json(&listed(&outcomes))?;
    } else {
        terminal::print(&shown(&outcomes))?;
    }
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    if failed > 0 {
        let failed = counted(number(failed), "test is", "tests are");
        return Err(Failure::failed(format!("{failed} not as expected, of {}", outcomes.len()))
            .advise("Correct the rules or the table. `portcullis policy show` says in words what the rules mean."));
    }
    if arguments.json {
        return Ok(());
    }
    terminal::print_line(&format!("{} as expected, with {}", counted(number(outcomes.len()), "test", "tests"), rules.display()))
}

/// What comes of one test.
pub fn judged(rules: &Arc<OperatorRules>, case: &Case, question: &Question, line: usize) -> Outcomes {
    let (found, by) = decided(rules, question);
    let missing: Vec<&String> = case.by.iter().filter(|name| !by.contains(name)).collect();
    let wrong = if found != case.expect {
        Some(format!("expected {}, and it is {}", case.expect.as_str(), found.as_str()))
    } else {
        missing.first().map(|name| format!("rule '{name}' has no part in it"))
    };
    Outcomes { name: case.name.clone(), line, found, by, wrong }
}

fn decided(rules: &Arc<OperatorRules>, question: &Question) -> (Expected, Vec<String>) {
    let Question { principal, resource_type, id, letter, version, in_care } = question;
    let basis = || Basis { id: DecisionId(0), rules: Arc::clone(rules) };
    if let Some(denial) = denial(basis(), principal, &[(*resource_type, *letter)]) {
        return (Expected::Deny, named(&denial.trace));
    }
    let context = SearchContext { base_url: NO_BASE, handling: Handling::Strict, now_ms: 0 };
    let operation = match (letter, search::parse(*resource_type, &[], &context)) {
        (Letter::Search, Ok(query)) => Operation::Search(query),
        _ => Operation::Read(Read { resource_type: *resource_type, id: id.clone() }),
    };
    // What is written is judged as far as the request is: whose content it may be is for the store to say.
    if matches!(letter, Letter::Create | Letter::Update | Letter::Delete) {
        return (Expected::Permit, applying(rules, question));
    }
    let (permit, _) = match decide(basis(), principal, operation) {
        Decision::Permit(permit, permitted) => (permit, permitted),
        Decision::Deny(denial) => return (Expected::Deny, named(&denial.trace)),
    };
    let shown = permit.explain(version, in_care).iter().any(|way| way.iter().all(|step| step.says == Says::Yes));
    let mut by = named(permit.trace());
    by.extend(hiding(rules, question).filter(|name| !by.contains(name)).collect::<Vec<_>>());
    (if shown { Expected::Permit } else { Expected::Hidden }, by)
}

/// The rules of the operator that a trace names, but for those that it says nothing of.
fn named(trace: &Trace) -> Vec<String> {
    let names = trace.0.iter().filter_map(|verdict| match &verdict.rule {
        RuleName::Operator(name) => Some(name.to_string()),
        RuleName::BuiltIn(_) => None,
    });
    names.collect()
}

fn applying(rules: &OperatorRules, question: &Question) -> Vec<String> {
    let opens = |rule: &portcullis_policy::operator_rules::Rule| {
        rule.opens(&question.principal).is_some_and(|grant| grant.types(question.letter).contains(question.resource_type))
    };
    rules.rules().iter().filter(|rule| opens(rule)).map(|rule| rule.name().to_owned()).collect()
}

fn hiding<'a>(rules: &'a OperatorRules, question: &'a Question) -> impl Iterator<Item = String> + 'a {
    let applies = |rule: &&Arc<portcullis_policy::operator_rules::Rule>| rule.applies(&question.principal) != Holds::No;
    let rules = rules.rules().iter().filter(applies);
    rules.filter(|rule| rule.hides(&question.version, question.letter)).map(|rule| rule.name().to_owned())
}

fn shown(outcomes: &[Outcomes]) -> String {
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let mark = if outcome.wrong.is_some() { "FAILED" } else { "ok" };
            vec![mark.to_owned(), outcome.name.clone(), outcome.found.as_str().to_owned(), outcome.by.join(", ")]
        })
        .collect();
    let mut text = terminal::table(&["", "TEST", "DECISION", "BY"], &rows);
    for outcome in outcomes {
        if let Some(wrong) = &outcome.wrong {
            text.push_str(&format!("line {}: {}: {wrong}\n", outcome.line, outcome.name));
        }
    }
    text
}

fn listed(outcomes: &[Outcomes]) -> serde_json::Value {
    let tests = outcomes.iter().map(|outcome| {
        json!({"name": outcome.name, "line": outcome.line, "decision": outcome.found.as_str(), "by": outcome.by, "passed": outcome.wrong.is_none(), "problem": outcome.wrong})
    });
    json!({"passed": outcomes.iter().all(|outcome| outcome.wrong.is_none()), "tests": tests.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "[[rule]]\nname = 'desk'\neffect = 'permit'\nrelationship = 'organization'\ntypes = ['Patient']\ninteractions = 'rs'\n\
        when = { roles = ['staff'] }\n[[rule]]\nname = 'night'\neffect = 'deny'\nwhen = { clients = ['night-app'] }\n\
        unless = { hours = { from = '07:00', to = '19:00', zone = 'UTC' } }\n[[rule]]\nname = 'hiv'\neffect = 'deny'\nlabels = ['HIV']\n\
        when = { roles = ['patient'] }\n";

    const CASES: &str = r#"
        [[test]]
        name = "the desk reads its patients"
        user = { roles = ["staff"], fhir_user = "Practitioner/d" }
        scopes = "user/*.rs"
        ask = "read Patient/p"
        record = { related = ["organization"] }
        expect = "permit"
        by = ["desk"]
        [[test]]
        name = "and no others"
        user = { roles = ["staff"], fhir_user = "Practitioner/d" }
        scopes = "user/*.rs"
        ask = "read Patient/p"
        expect = "hidden"
        [[test]]
        name = "and writes nothing"
        user = { roles = ["staff"], fhir_user = "Practitioner/d" }
        scopes = "user/*.cruds"
        ask = "update Patient/p"
        expect = "deny"
        [[test]]
        name = "nobody comes through the night app at night"
        user = { roles = ["patient"], patients = ["p"] }
        client = "night-app"
        scopes = "patient/*.rs"
        patient = "p"
        at = 2026-11-23T03:00:00+01:00
        ask = "search Observation"
        expect = "deny"
        by = ["night"]
        [[test]]
        name = "by day they do"
        user = { roles = ["patient"], patients = ["p"] }
        client = "night-app"
        scopes = "patient/*.rs"
        patient = "p"
        at = 2026-11-23T10:00:00+01:00
        ask = "search Observation"
        expect = "permit"
        [[test]]
        name = "a label hides"
        user = { roles = ["patient"], patients = ["p"] }
        scopes = "user/*.rs"
        ask = "read Observation/1"
        record = { labels = ["HIV"], json = '''{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}''' }
        expect = "hidden"
        by = ["hiv"]
    "#;

    fn written(cases: &str) -> (tempfile::TempDir, PolicyTest) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.toml"), RULES).unwrap();
        let file = folder.path().join("test.toml");
        std::fs::write(&file, format!("rules = 'rules.toml'\n{cases}")).unwrap();
        (folder, PolicyTest { file, rules: None, json: false })
    }

    #[test]
    fn a_table_of_decisions_passes_where_the_rules_decide_so() {
        let (_folder, arguments) = written(CASES);
        run(&arguments).unwrap();
    }

    #[test]
    fn a_test_that_is_not_as_expected_fails_by_decision_and_by_rule() {
        for (from, to, named) in [
            (
                "expect = \"hidden\"\n        [[test]]\n        name = \"and writes",
                "expect = \"permit\"\n        [[test]]\n        name = \"and writes",
                "1 test is not",
            ),
            ("by = [\"night\"]", "by = [\"desk\"]", "1 test is not"),
            ("2026-11-23T03:00:00+01:00", "2026-11-23T08:30:00+01:00", "1 test is not"),
        ] {
            let (_folder, arguments) = written(&CASES.replace(from, to));
            assert!(CASES.contains(from));
            let failure = run(&arguments).unwrap_err();
            assert!(failure.to_string().contains(named), "{failure}");
            assert_eq!(failure.exit_code(), std::process::ExitCode::from(1));
        }
    }

    #[test]
    fn a_table_that_cannot_be_understood_is_refused_with_its_line() {
        for (from, to, named) in [
            ("read Observation/1", "look Observation/1", "line 42, test 'a label hides': ask"),
            ("roles = [\"staff\"]", "roles = [\"nurse\"]", "line 3, test 'the desk reads its patients': user.roles"),
            ("labels = [\"HIV\"]", "labels = [\"AIDS\"]", "record.labels"),
            ("expect = \"deny\"", "expect = \"no\"", "expect"),
            ("by = [\"desk\"]", "because = \"desk\"", "because"),
        ] {
            let (_folder, arguments) = written(&CASES.replace(from, to));
            let failure = run(&arguments).unwrap_err();
            assert!(failure.to_string().contains(named), "{failure}");
            assert_eq!(failure.exit_code(), std::process::ExitCode::from(2));
        }
    }
}
