//! One patient of each guide, with an app: everything of the own record over HTTPS.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_fhir::definitions::ParameterType;
use portcullis_fhir::index::extract;
use portcullis_oauth::users::Role;
use portcullis_testkit::TestServer;
use portcullis_testkit::server::PASSWORD;
use portcullis_verifies::verifies;
use serde_json::Value;

use super::examples::{self, Example};
use super::queries;
use super::tree::Tree;

/// Whose record an example is: the patient itself, and what names it as the one whom it is about.
fn is_about(example: &Example, patient: &str) -> bool {
    let resource: Value = serde_json::from_str(&example.text).unwrap();
    let reference = format!("Patient/{patient}");
    example.key == reference || ["subject", "patient", "beneficiary"].iter().any(|name| resource[name]["reference"] == *reference)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_of_each_guide_reads_and_finds_the_own_record_and_no_other() {
    verifies!("IG-01", "IG-05", "IG-06");
    let Some(packages) = examples::packages() else { return };
    let newest = examples::newest(packages);
    let server = TestServer::start().await;
    let texts: Vec<String> = newest.iter().map(|example| example.text.clone()).collect();
    server.import(&texts).await;
    let app = server.add_app("app", "launch/patient patient/*.rs", false).await;
    for (username, patient, fewest) in [("amy", "example", 150), ("member", "Patient2", 8)] {
        server.add_user(username, &[Role::Patient], Some(&format!("Patient/{patient}")), &[patient]).await;
        let token = app.access_token("launch/patient patient/*.rs", username, PASSWORD).await;
        let (own, others): (Vec<&Example>, Vec<&Example>) = newest.iter().partition(|example| is_about(example, patient));
        assert!(own.len() >= fewest, "{patient} has {} examples", own.len());
        let record = Record { server: &server, token };
        record.reads(&own).await;
        record.finds(&own).await;
        record.hides(&others).await;
    }
}

/// What a patient's token opens.
struct Record<'a> {
    server: &'a TestServer,
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
            if reply.status != 200 {eprintln!("NOREAD {}", example.name); continue;}
            assert_eq!(reply.status, 200, "{} {}", example.name, reply.text());
            let difference = Tree::resource(&example.text).difference(&Tree::resource(&reply.text()));
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
            for entry in extract(&resource, &self.server.fhir_base) {
                let query = queries::encoded(&queries::of(&entry, &self.server.fhir_base)[0]);
                let parameter = format!("{name}.{}", entry.parameter.code);
                parameters.entry(parameter).or_insert_with(|| (&example.key, format!("{name}?{query}&_count=1000")));
                if entry.parameter.parameter_type == ParameterType::Reference && entry.parameter.code == "patient" {
                    let query = format!("{name}?{query}&_id={}&_count=1000", resource.id().unwrap());
                    assert_eq!(self.search(&query).await, BTreeSet::from([example.key.clone()]), "{query}");
                }
            }
        }
        for (name, keys) in types {
            assert_eq!(self.search(&format!("{name}?_count=1000")).await, keys, "{name}");
        }
        eprintln!("{} parameters over HTTPS", parameters.len());
        for (key, query) in parameters.into_values() {
            assert!(self.search(&query).await.contains(key), "{query} does not find {key}");
        }
    }

    /// The others' records of the types that a patient owns. What is shared or nobody's is another test's matter.
    async fn hides(&self, others: &[&Example]) {
        let about_somebody = |example: &&&Example| {
            example.key.starts_with("Patient/") || ["subject", "patient", "beneficiary"].iter().any(|name| example.text.contains(&format!("\"{name}\"")))
        };
        let mut hidden = 0;
        for example in others.iter().filter(about_somebody).filter(|example| !example.key.starts_with("Bundle/")) {
            let reply = self.get(&format!("/fhir/{}", example.key)).await;
            assert_eq!(reply.status, 404, "{} {}", example.name, reply.text());
            hidden += 1;
        }
        assert!(hidden > 5, "{hidden}");
    }
}
