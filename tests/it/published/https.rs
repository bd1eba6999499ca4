//! One patient of each guide, with an app: everything of the own record over HTTPS.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use portcullis_fhir::definitions::search_parameters;
use portcullis_fhir::index::extract;
use portcullis_oauth::users::Role;
use portcullis_testkit::TestServer;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::Value;

use super::examples::{self, Example};
use super::tree::Tree;
use super::{composites, queries};

/// Where a record names the patient whom it is about.
const ABOUT: [&str; 3] = ["subject", "patient", "beneficiary"];

/// The patient whose record an example is.
fn owner(example: &Example) -> Option<String> {
    let resource: Value = serde_json::from_str(&example.text).unwrap();
    let reference = ABOUT.iter().find_map(|name| resource[name]["reference"].as_str());
    let key = example.key.starts_with("Patient/").then_some(example.key.as_str()).or(reference);
    key.filter(|key| key.starts_with("Patient/")).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_of_each_guide_reads_and_finds_the_own_record_and_no_other() {
    verifies!("SAFE-03");
    let Some(packages) = examples::packages() else { return };
    let newest = examples::newest(packages);
    let server = TestServer::start().await;
    let texts: Vec<String> = newest.iter().map(|example| example.text.clone()).collect();
    server.import(&texts).await;
    let app = server.add_app("app", "launch/patient patient/*.cruds", false).await;
    for (username, patient, fewest) in [("amy", "example", 150), ("member", "Patient2", 8)] {
        server.add_user(username, &[Role::Patient], Some(&format!("Patient/{patient}")), &[patient]).await;
        let token = app.access_token("launch/patient patient/*.cruds", username, PASSWORD).await;
        let owned = newest.iter().filter_map(|example| Some((owner(example)?, example)));
        let (own, others): (Vec<_>, Vec<_>) = owned.partition(|(owner, _)| *owner == format!("Patient/{patient}"));
        let [own, others] = [own, others].map(|owned| owned.into_iter().map(|(_, example)| example).collect::<Vec<&Example>>());
        assert!(own.len() >= fewest, "{patient} has {} examples", own.len());
        let record = Record { server: &server, patient, token };
        record.reads(&own).await;
        record.writes(&own).await;
        record.finds(&own).await;
        record.hides(&others).await;
    }
}

/// What a patient's token opens.
struct Record<'a> {
    server: &'a TestServer,
    patient: &'a str,
    token: String,
}

impl Record<'_> {
    async fn get(&self, path: &str) -> portcullis_testkit::Reply {
        self.server.client.get(path).bearer(&self.token).send().await
    }

    /// The keys of all matches.
    async fn search(&self, query: &str) -> BTreeSet<String> {
        let reply = self.get(&format!("/fhir/{query}")).await;
        assert_eq!(reply.status, 200, "{query} {}", reply.text());
        let bundle = reply.json();
        assert_eq!(bundle["link"].as_array().unwrap().len(), 1, "one page, everything understood: {query} {}", bundle["link"]);
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        let key = |entry: &Value| {
            assert_eq!(entry["search"]["mode"], "match", "{query} {entry}");
            let resource = &entry["resource"];
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
        };
        entries.iter().map(key).collect()
    }

    async fn reads(&self, own: &[&Example]) {
        for example in own {
            let reply = self.get(&format!("/fhir/{}", example.key)).await;
            assert_eq!(reply.status, 200, "{} {}", example.name, reply.text());
            let written = Tree::resource(&example.text);
            let difference = written.difference(&Tree::answer(&reply.text(), &written));
            assert_eq!(difference, None, "{}", example.name);
        }
    }

    /// Each type whole, and each parameter with the plainest query for one value of the first resource that it applies to.
    async fn finds(&self, own: &[&Example]) {
        let mut types: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut parameters: BTreeMap<String, (&str, String)> = BTreeMap::new();
        for example in own {
            let resource = example.parse().unwrap();
            let name = resource.resource_type().name();
            types.entry(name).or_default().insert(example.key.clone());
            let entries = extract(&resource, &self.server.fhir_base);
            let plainest = entries.iter().filter_map(|entry| queries::of(entry, &self.server.fhir_base).into_iter().next());
            let composites = composites::questions(search_parameters(resource.resource_type()), &entries, &self.server.fhir_base);
            for query in plainest.chain(composites) {
                let parameter = format!("{name}.{}", query.0.split(':').next().unwrap());
                let text = format!("{name}?{}&_count=1000", queries::encoded(&query));
                parameters.entry(parameter).or_insert_with(|| (&example.key, text));
            }
        }
        for (name, keys) in types {
            let found = self.search(&format!("{name}?_count=1000")).await;
            assert_eq!(found, keys, "{name}");
            if parameters.contains_key(&format!("{name}.patient")) {
                let reference = format!("{name}?patient={}&_count=1000", self.patient);
                assert_eq!(self.search(&reference).await, keys, "{reference}");
            }
        }
        eprintln!("{} parameters over HTTPS", parameters.len());
        for (key, query) in parameters.into_values() {
            assert!(self.search(&query).await.contains(key), "{query} does not find {key}");
        }
    }

    /// One example of each profile is written again, as its publisher wrote it.
    async fn writes(&self, own: &[&Example]) {
        let profiles = own.iter().map(|example| {
            let resource: Value = serde_json::from_str(&example.text).unwrap();
            (format!("{} {}", resource["resourceType"], resource["meta"]["profile"]), *example)
        });
        for example in profiles.collect::<BTreeMap<String, &Example>>().values() {
            let path = format!("/fhir/{}", example.key);
            let request = self.server.client.request(Method::PUT, &path).bearer(&self.token).fhir(example.text.clone());
            let put = request.send().await;
            assert_eq!(put.status, 200, "{} {}", example.name, put.text());
            let reply = self.get(&path).await;
            assert_eq!(reply.header("etag"), put.header("etag"), "{}", example.name);
            let written = Tree::resource(&example.text);
            let difference = written.difference(&Tree::answer(&reply.text(), &written));
            assert_eq!(difference, None, "{}", example.name);
        }
    }

    /// Others' records answer as absent ones do.
    async fn hides(&self, others: &[&Example]) {
        assert!(others.len() > 5, "{}", others.len());
        for example in others {
            let reply = self.get(&format!("/fhir/{}", example.key)).await;
            assert_eq!(reply.status, 404, "{} {}", example.name, reply.text());
        }
    }
}
