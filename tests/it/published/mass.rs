//! Every published resource: loaded, read back, and searched by every value that it is indexed by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portcullis_fhir::definitions::{ParameterType, search_parameters};
use portcullis_fhir::index::{IndexEntry, extract};
use portcullis_fhir::types::ResourceType;
use portcullis_testkit::TestServer;
use tokio::task::JoinSet;

use super::applies;
use super::composites;
use super::examples::{self, Example};
use super::queries::{self, Query};
use super::store::Everything;
use super::tree::Tree;

/// The examples that are not valid R4: file, place, and the rule of the specification that they break.
const REFUSED: &[(&str, &str, &str)] = &[(
    "US Core 3.1.1, DiagnosticReport-cardiology-report.json",
    "DiagnosticReport.presentedForm[0].hash",
    "`EQH/..AgME` is no base64Binary: R4 datatypes, (\\s*([0-9a-zA-Z\\+\\/=]){4}\\s*)+; later releases of the guide mended it",
)];

/// Searches that run at the same time.
const CONCURRENT: usize = 4;

/// The examples that the product takes; each of the others must stand in [`REFUSED`] with the place that the product names.
fn accepted(examples: Vec<Example>, refused: &mut BTreeSet<&'static str>, unexpected: &mut Vec<String>) -> Vec<Example> {
    let mut accepted = Vec::new();
    for example in examples {
        match example.parse() {
            Ok(resource) => {
                let key = format!("{}/{}", resource.resource_type(), resource.id().unwrap());
                assert_eq!(key, example.key);
                accepted.push(example);
            }
            Err(issues) => match REFUSED.iter().find(|(name, ..)| example.name == *name) {
                Some((name, place, _)) if issues.iter().all(|issue| issue.expression.as_deref() == Some(place)) => {
                    refused.insert(name);
                }
                _ => unexpected.push(format!("{}: {issues:?}", example.name)),
            },
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_example_comes_back_as_written_and_is_found_by_every_parameter_that_applies() {
    let Some(packages) = examples::packages() else { return };
    let started = Instant::now();
    let server = TestServer::start().await;
    let everything = Everything::of(&server);
    let mut refused = BTreeSet::new();
    let mut held: BTreeMap<String, Vec<IndexEntry>> = BTreeMap::new();
    let mut asked: BTreeSet<(String, Query)> = BTreeSet::new();
    let mut tally = Tally::default();
    let mut unexpected = Vec::new();
    // A later release has other versions of the same resources: release after release, as a server would meet them.
    for package in packages {
        let examples = accepted(package.examples, &mut refused, &mut unexpected);
        let texts: Vec<String> = examples.iter().map(|example| example.text.clone()).collect();
        server.import(&texts).await;
        for example in &examples {
            let read = everything.read(&example.key).await.unwrap_or_else(|| panic!("{} is not there", example.name));
            let written = Tree::resource(&example.text);
            let difference = written.difference(&Tree::answer(&read, &written));
            assert_eq!(difference, None, "{}", example.name);
        }
        let mut questions: BTreeMap<(ResourceType, Query), BTreeSet<String>> = BTreeMap::new();
        for example in &examples {
            let resource = example.parse().unwrap();
            let entries = extract(&resource, &everything.base);
            check_applicability(example, resource.resource_type(), &entries);
            tally.resources += 1;
            let mut own: Vec<Query> = Vec::new();
            for entry in &entries {
                tally.count(entry);
                own.extend(queries::of(entry, &everything.base));
            }
            let composites = composites::questions(search_parameters(resource.resource_type()), &entries, &everything.base);
            tally.composites += composites.len();
            own.extend(composites);
            for query in own {
                if asked.insert((example.key.clone(), query.clone())) {
                    questions.entry((resource.resource_type(), query)).or_default().insert(example.key.clone());
                }
            }
            held.insert(example.key.clone(), entries);
        }
        tally.searches += questions.len();
        tally.found += ask(&everything, questions, package.name).await;
    }
    assert!(unexpected.is_empty(), "refused without a reason in REFUSED:\n{}", unexpected.join("\n"));
    let stale: Vec<_> = REFUSED.iter().filter(|(name, ..)| !refused.contains(name)).collect();
    assert!(stale.is_empty(), "accepted, though listed as refused: {stale:?}");
    tally.searches += presence_and_order(&everything, &held).await;
    eprintln!("{tally:?}, {} refused, {:?}", refused.len(), started.elapsed());
    assert!(tally.resources >= 700 && tally.found > 5_000, "{tally:?}");
    assert!(tally.composites > 500, "{tally:?}");
    for kind in ["Token", "String", "Reference", "Date", "Quantity", "Uri"] {
        assert!(tally.kinds.get(kind).is_some_and(|count| *count > 100), "{kind}: {tally:?}");
    }
}

/// The parameters that have entries are those that apply, by a second reading of the expressions.
fn check_applicability(example: &Example, resource_type: ResourceType, entries: &[IndexEntry]) {
    let json = serde_json::from_str(&example.text).unwrap();
    for parameter in search_parameters(resource_type) {
        let indexed = match parameter.parameter_type {
            ParameterType::Composite => composites::is_indexed(parameter, entries),
            _ => entries.iter().any(|entry| entry.parameter == *parameter),
        };
        let applies = applies::applies(parameter, &json);
        assert!(applies.is_none_or(|applies| applies == indexed), "{}: {} applies: {applies:?}", example.name, parameter.code);
    }
}

/// What a run was, to show that it asked something.
#[derive(Debug, Default)]
struct Tally {
    resources: usize,
    searches: usize,
    /// Resources that were asked for and found, summed over the searches.
    found: usize,
    /// Questions for composites.
    composites: usize,
    /// Index entries by the type of their parameter.
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    fn count(&mut self, entry: &IndexEntry) {
        *self.kinds.entry(format!("{:?}", entry.parameter.parameter_type)).or_default() += 1;
    }
}

/// Asks all questions; gives the number of resources that were found, all of which had to be.
async fn ask(
    everything: &Everything,
    questions: BTreeMap<(ResourceType, Query), BTreeSet<String>>,
    package: &'static str,
) -> usize {
    let questions: Arc<Vec<_>> = Arc::new(questions.into_iter().collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENT {
        let (everything, questions, next) = (everything.clone(), Arc::clone(&questions), Arc::clone(&next));
        workers.spawn(async move {
            let mut failures = Vec::new();
            while let Some(((resource_type, query), expected)) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                let found = everything.search(*resource_type, std::slice::from_ref(query)).await;
                let lost: Vec<&String> = expected.difference(&found).collect();
                if !lost.is_empty() {
                    failures.push(format!("{package}: {resource_type}?{} does not find {lost:?}", queries::encoded(query)));
                }
            }
            failures
        });
    }
    let failures: Vec<String> = workers.join_all().await.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{} searches fail:\n{}", failures.len(), failures.join("\n"));
    questions.iter().map(|(_, expected)| expected.len()).sum()
}

/// For every parameter of every type that is held: `:missing` parts the resources as their entries do, and sorting loses and repeats none.
async fn presence_and_order(everything: &Everything, held: &BTreeMap<String, Vec<IndexEntry>>) -> usize {
    let mut types: BTreeMap<ResourceType, BTreeSet<String>> = BTreeMap::new();
    for key in held.keys() {
        let name = key.split('/').next().unwrap();
        types.entry(ResourceType::parse(name).unwrap()).or_default().insert(key.clone());
    }
    let mut searches = 0;
    for (resource_type, all) in &types {
        for parameter in search_parameters(*resource_type) {
            let special = matches!(parameter.parameter_type, ParameterType::Composite | ParameterType::Special);
            if special || matches!(parameter.code, "_id" | "_lastUpdated") {
                continue;
            }
            let with = |key: &&String| held[*key].iter().any(|entry| entry.parameter == *parameter);
            let (mut present, mut absent): (BTreeSet<String>, BTreeSet<String>) = all.iter().cloned().partition(|key| with(&key));
            let search = |name: &str, value: &str| {
                let query = (name.to_owned(), value.to_owned());
                async move { everything.search(*resource_type, &[query]).await }
            };
            let missing = format!("{}:missing", parameter.code);
            if parameter.code == "_security" {
                // The server labels by what it finds in the content: more have labels than were written with some.
                let labelled = search(&missing, "false").await;
                assert!(labelled.is_superset(&present), "{resource_type}: {present:?}");
                absent.retain(|key| !labelled.contains(key));
                present = labelled;
            }
            assert_eq!(search(&missing, "false").await, present, "{resource_type}?{missing}=false");
            assert_eq!(search(&missing, "true").await, absent, "{resource_type}?{missing}=true");
            assert_eq!(search("_sort", parameter.code).await, *all, "{resource_type}?_sort={}", parameter.code);
            searches += 3;
        }
    }
    searches
}
