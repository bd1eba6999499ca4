//! The combining rules once more, as a model that shares nothing with the product: consents as a few words, decided by the matching provisions that have no matching
//! provision inside. The product gets the same consents as FHIR JSON, through its check.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use super::*;

const CASES: u32 = 1_500;
const REQUESTS: usize = 8;

/// An element of a provision with its alternatives.
#[derive(Clone, Debug)]
enum Want {
    Actor(Vec<&'static str>),
    Purpose(Vec<&'static str>),
    Class(Vec<&'static str>),
    Code(Vec<&'static str>),
    Label(Vec<&'static str>),
    /// Months of 2023, both included.
    Months(u32, u32),
    Author(Vec<&'static str>),
}

impl Want {
    fn element(&self) -> &'static str {
        match self {
            Self::Actor(_) => "actor",
            Self::Purpose(_) => "purpose",
            Self::Class(_) => "class",
            Self::Code(_) => "code",
            Self::Label(_) => "securityLabel",
            Self::Months(..) => "dataPeriod",
            Self::Author(_) => "data",
        }
    }

    fn json(&self) -> Value {
        let each = |values: &[&str], json: &dyn Fn(&str) -> Value| values.iter().map(|value| json(value)).collect::<Value>();
        match self {
            Self::Actor(values) => each(values, &actor),
            Self::Purpose(values) => each(values, &purpose),
            Self::Class(values) => each(values, &|code| coding(TYPES, code)),
            Self::Code(values) => each(values, &|code| concept("http://loinc.org", code)),
            Self::Label(values) => each(values, &|code| coding(if code.len() == 1 { CONFIDENTIALITY } else { ACT_CODE }, code)),
            Self::Months(first, last) => json!({"start": format!("2023-{first:02}"), "end": format!("2023-{last:02}")}),
            Self::Author(values) => each(values, &|who| json!({"meaning": "authoredby", "reference": {"reference": who}})),
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    /// `None`: what it says follows from what is around it; at the root, nothing.
    permits: Option<bool>,
    says_so: bool,
    wants: Vec<Want>,
    inside: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Paper {
    directive: Option<bool>,
    root: Rule,
    organisation: &'static str,
    policy: &'static str,
    day: u32,
    verified: bool,
}

#[derive(Clone, Debug)]
struct Question {
    who: Vec<&'static str>,
    app: &'static str,
    purpose: &'static str,
    kind: &'static str,
    code: &'static str,
    labels: Vec<&'static str>,
    months: (u32, u32),
    author: &'static str,
    own: bool,
    policy: ImplicitPolicy,
}

/// 0: no, 1: perhaps, 2: yes.
fn met(want: &Want, permits: bool, question: &Question) -> u8 {
    let yes = |is_so: bool| if is_so { 2 } else { 0 };
    match want {
        Want::Actor(values) => yes(values.iter().any(|value| question.who.contains(value) || question.app == *value)),
        Want::Class(values) => yes(values.contains(&question.kind)),
        Want::Code(values) => yes(values.contains(&question.code)),
        Want::Author(values) => yes(values.contains(&question.author)),
        Want::Purpose(values) => {
            let above = match question.purpose {
                "COC" | "ETREAT" => vec!["TREAT"],
                "BTG" => vec!["ETREAT", "TREAT"],
                _ => vec![],
            };
            if values.contains(&question.purpose) {
                2
            } else if values.iter().any(|value| above.contains(value)) {
                if question.purpose == "BTG" { 1 } else { 2 }
            } else {
                0
            }
        }
        Want::Label(values) => {
            let level = |code: &str| "ULMNRV".find(code).filter(|_| code.len() == 1);
            let own = question.labels.iter().find_map(|code| level(code));
            yes(values.iter().any(|value| match (level(value), permits) {
                // What has no confidentiality is not said to be less than normal, nor to be confidential.
                (Some(mark), true) => own.or(level("N")).is_some_and(|own| own <= mark),
                (Some(mark), false) => own.is_some_and(|own| own >= mark),
                (None, _) => {
                    let narrower: &[&str] = if *value == "ETH" { &["ETH", "ETHUD", "OPIOIDUD"] } else { &[*value][..] };
                    question.labels.iter().any(|label| narrower.contains(label) || label == value)
                }
            }))
        }
        Want::Months(first, last) => {
            let (from, to) = question.months;
            if *first <= from && to <= *last {
                2
            } else if to < *first || *last < from {
                0
            } else {
                1
            }
        }
    }
}

/// Every provision by its place, with what it says, how well all around it matches, and whether the app is named on the way.
type Found = (Vec<usize>, Option<bool>, u8, bool);

fn collect(rule: &Rule, (place, around, named): (Vec<usize>, u8, bool), question: &Question, found: &mut Vec<Found>) {
    let direction = rule.permits.unwrap_or(true);
    let matches = rule.wants.iter().map(|want| met(want, direction, question)).fold(around, u8::min);
    let named = named || rule.wants.iter().any(|want| matches!(want, Want::Actor(values) if values.contains(&question.app)));
    found.push((place.clone(), rule.permits, matches, named));
    for (index, inner) in rule.inside.iter().enumerate() {
        let place = [place.as_slice(), &[index]].concat();
        collect(inner, (place, matches, named), question, found);
    }
}

/// What one consent says.
fn said(paper: &Paper, question: &Question) -> Option<bool> {
    let mut found = Vec::new();
    let around = paper.directive.filter(|directive| paper.root.permits.is_some_and(|permits| permits != *directive));
    if let Some(around) = around {
        found.push((Vec::new(), Some(around), 2, false));
    }
    collect(&paper.root, (vec![0], 2, false), question, &mut found);
    let counted: Vec<(Vec<usize>, bool)> = found
        .into_iter()
        .filter_map(|(place, permits, matches, named)| match permits {
            Some(true) if matches == 2 => Some((place, true)),
            Some(false) if matches > 0 && (named || !question.own) => Some((place, false)),
            _ => None,
        })
        .collect();
    let innermost = |place: &[usize]| !counted.iter().any(|(other, _)| other.len() > place.len() && other.starts_with(place));
    let deciding: Vec<bool> = counted.iter().filter(|(place, _)| innermost(place)).map(|(_, permits)| *permits).collect();
    if deciding.is_empty() { None } else { Some(deciding.iter().all(|permits| *permits)) }
}

fn all_said(papers: &[Paper], question: &Question) -> bool {
    let same = |one: &Paper, other: &Paper| (one.organisation, one.policy) == (other.organisation, other.policy);
    let current =
        papers.iter().filter(|paper| !papers.iter().any(|other| other.verified && same(paper, other) && other.day > paper.day));
    let mut permitted = false;
    for paper in current {
        match said(paper, question) {
            Some(false) => return false,
            Some(true) => permitted |= paper.verified,
            None => {}
        }
    }
    permitted
        || question.own
        || match question.policy {
            ImplicitPolicy::AllNormal => true,
            ImplicitPolicy::Deny => false,
            ImplicitPolicy::BasicNormal => ["TREAT", "COC", "ERTREAT", "ETREAT"].contains(&question.purpose),
            ImplicitPolicy::BreakGlassOnly => question.purpose == "BTG",
        }
}

fn provision(rule: &Rule) -> Value {
    let mut json = json!({});
    if let Some(permits) = rule.permits.filter(|_| rule.says_so) {
        json["type"] = if permits { "permit" } else { "deny" }.into();
    }
    for want in &rule.wants {
        json[want.element()] = want.json();
    }
    if !rule.inside.is_empty() {
        json["provision"] = rule.inside.iter().map(provision).collect();
    }
    json
}

fn fhir(paper: &Paper) -> Value {
    let directive = paper.directive.map(|permits| concept(ACT_CODE, if permits { "OPTIN" } else { "OPTOUT" }));
    with(
        consent(provision(&paper.root)),
        json!({
            "policyRule": directive,
            "organization": [{"reference": paper.organisation}],
            "policy": [{"uri": paper.policy}],
            "dateTime": format!("2024-01-{:02}", paper.day),
        }),
    )
}

const WHO: [&str; 4] = ["Practitioner/dr", "Organization/o", "Device/app", "Device/other"];
const PURPOSES: [&str; 6] = ["TREAT", "COC", "ETREAT", "BTG", "HPAYMT", "HRESCH"];
const LABELS: [&str; 6] = ["N", "R", "V", "ETH", "HIV", "ETHUD"];

fn pick(pool: &[&'static str]) -> impl Strategy<Value = Vec<&'static str>> + use<> {
    subsequence(pool.to_vec(), 1..=2)
}

fn months() -> impl Strategy<Value = (u32, u32)> {
    (1..=12_u32, 0..=5_u32).prop_map(|(first, more)| (first, (first + more).min(12)))
}

fn wants(least: usize) -> impl Strategy<Value = Vec<Want>> {
    let want = prop_oneof![
        pick(&WHO).prop_map(Want::Actor),
        pick(&PURPOSES).prop_map(Want::Purpose),
        pick(&["Observation", "Condition"]).prop_map(Want::Class),
        pick(&["1-1", "1-2", "1-3"]).prop_map(Want::Code),
        pick(&LABELS).prop_map(Want::Label),
        months().prop_map(|(first, last)| Want::Months(first, last)),
        pick(&["Practitioner/dr", "Practitioner/author"]).prop_map(Want::Author),
    ];
    vec(want, least..3).prop_map(|mut wants: Vec<Want>| {
        let mut seen = Vec::new();
        wants.retain(|want| !seen.contains(&want.element()) && (seen.push(want.element()), true).1);
        wants
    })
}

/// A rule within one that permits, denies, or says nothing (`None`); a denial has no denials inside.
fn rule(around: Option<bool>, levels: u32) -> BoxedStrategy<Rule> {
    let denies = if around == Some(false) { Just(false).boxed() } else { prop::bool::weighted(0.8).boxed() };
    (denies, any::<bool>())
        .prop_flat_map(move |(denies, says_so)| {
            let permits = Some(!denies);
            let says_so = says_so || around != Some(denies);
            let inside = if levels == 0 { Just(Vec::new()).boxed() } else { vec(rule(permits, levels - 1), 0..3).boxed() };
            (wants(1), inside).prop_map(move |(wants, inside)| Rule { permits, says_so, wants, inside })
        })
        .boxed()
}

fn root() -> impl Strategy<Value = (Option<bool>, Rule)> {
    // A type alone; a directive with exceptions; a directive and the opposite; nothing but what is nested.
    let forms = (0..5_u8, any::<bool>());
    forms.prop_flat_map(|(form, permits)| {
        let (directive, says, least) = match form {
            0 | 1 => (None, Some(permits), 0),
            2 => (Some(permits), None, 0),
            3 => (Some(permits), Some(!permits), 1),
            _ => (None, None, 0),
        };
        let effect = says.or(directive);
        let wants = if form == 2 { Just(Vec::new()).boxed() } else { wants(least).boxed() };
        let children = usize::from(form == 2 || form == 4);
        (wants, vec(rule(effect, 2), children..4)).prop_map(move |(mut wants, inside)| {
            // Nobody could say whether a confidentiality means "up to" or "from" where nothing is said.
            wants.retain(|want| effect.is_some() || !matches!(want, Want::Label(_)));
            (directive, Rule { permits: effect, says_so: says.is_some(), wants, inside })
        })
    })
}

fn paper() -> impl Strategy<Value = Paper> {
    let head = (select(&["Organization/a", "Organization/b"]), select(&["https://x.example", "https://y.example"]), 1..=3_u32);
    (root(), head, prop::bool::weighted(0.8)).prop_map(|((directive, root), (organisation, policy, day), verified)| Paper {
        directive,
        root,
        organisation,
        policy,
        day,
        verified,
    })
}

fn question() -> impl Strategy<Value = Question> {
    let requester = (
        subsequence(vec!["Practitioner/dr", "Organization/o"], 0..=2),
        select(&["Device/app", "Device/other"]),
        select(&PURPOSES),
    );
    let resource = (
        select(&["Observation", "Condition"]),
        select(&["1-1", "1-2"]),
        (subsequence(vec!["N", "R", "V"], 0..=1), subsequence(vec!["ETH", "HIV", "ETHUD"], 0..=2)),
        months(),
        select(&["Practitioner/dr", "Practitioner/author"]),
    );
    (requester, resource, prop::bool::weighted(0.2), select(ImplicitPolicy::ALL.to_vec())).prop_map(
        |((who, app, purpose), (kind, code, (level, sensitive), months, author), own, policy)| Question {
            who,
            app,
            purpose,
            kind,
            code,
            labels: [level, sensitive].concat(),
            months,
            author,
            own,
            policy,
        },
    )
}

/// The question as the product is asked, about a resource of which it derives the facts itself.
fn asked(question: &Question) -> Asked {
    let (first, last) = question.months;
    let span = json!({"start": format!("2023-{first:02}"), "end": format!("2023-{last:02}")});
    let labels: Vec<(&str, &str)> =
        question.labels.iter().map(|code| (if code.len() == 1 { CONFIDENTIALITY } else { ACT_CODE }, *code)).collect();
    let body = json!({
        "effectiveDateTime": null,
        "effectivePeriod": span,
        "code": concept("http://loinc.org", question.code),
        "performer": [{"reference": question.author}],
    });
    let mut asked = Asked::for_resource(&with(labelled(&labels), body));
    asked.resource.target.resource_type = ResourceType::parse(question.kind).unwrap();
    Asked {
        actors: question.who.iter().map(|who| reference(who)).collect(),
        client: vec![reference(question.app)],
        purpose: Purpose::of_code(question.purpose).unwrap(),
        own_record: question.own,
        ..asked
    }
}

#[test]
fn random_consents_decide_as_the_model_does() {
    let tally: [Cell<u32>; 2] = Default::default();
    let mut runner = TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&(vec(paper(), 0..4), vec(question(), REQUESTS)), |(papers, questions)| {
        let standing = |paper: &Paper| if paper.verified { Standing::Verified } else { Standing::Unverified };
        let consents: Vec<CompiledConsent> =
            papers.iter().map(|paper| compiled_as(&fhir(paper), standing(paper)).unwrap()).collect();
        for question in questions {
            let expected = all_said(&papers, &question);
            let asked = asked(&question);
            let verdict = decide(&consents, &id("p"), (&asked.request(), &asked.resource), question.policy);
            let place = usize::from(expected);
            tally[place].set(tally[place].get() + 1);
            prop_assert_eq!(verdict.effect == Effect::Permit, expected, "{:?}\n{:?}", question, verdict);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(tally.iter().all(|tally| tally.get() > CASES), "{tally:?}");
}
