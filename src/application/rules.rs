//! The operator's rules: read at the start, where a mistake keeps the server from starting, and again on SIGHUP, where it keeps the rules that hold.

use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_server::operator_rules::Held;

use super::Instance;
use super::run::record;
use crate::config::PolicySettings;
use crate::failure::{Failure, Outcome};

/// The rules for a server that starts.
pub fn load(policy: &PolicySettings, public_url: &str) -> Outcome<Held> {
    policy.load(&format!("{public_url}/fhir")).map_err(|problems| {
        Failure::usage(format!("policy.rules: {}", problems.join("\npolicy.rules: "))).advise(
            "Nothing is served with rules that are not understood. Correct the file, then check it: portcullis config check FILE",
        )
    })
}

/// Reads the rules again. What cannot be used is told, and the rules that hold go on.
pub async fn reload(instance: &Instance) -> Outcome {
    let server = instance.server();
    let (ended, detail, next) = match instance.policy.load(&server.settings.fhir_base) {
        Ok(held) if held.digest == server.operator_rules.held().digest => {
            tracing::info!("the rules of [policy] are as they were");
            return Ok(());
        }
        Ok(held) => (Ended::Success, told(&held), Some(held)),
        Err(problems) => {
            for problem in &problems {
                tracing::error!(%problem, "the rules of [policy] cannot be used; those that held go on");
            }
            let first = problems.first().cloned().unwrap_or_default();
            (Ended::Failed, format!("rules not exchanged: {first}"), None)
        }
    };
    // What cannot be recorded does not hold.
    record(instance, (Event::Administration, ended), detail.clone()).await?;
    if let Some(held) = next {
        server.operator_rules.exchange(held);
        tracing::info!(%detail, "from the next request on other rules hold");
    }
    Ok(())
}

/// What a record says of rules.
pub fn told(held: &Held) -> String {
    if held.digest.is_empty() {
        return "no rules of the operator".to_owned();
    }
    format!("{} rules of the operator, sha256:{}", held.rules.rules().len(), held.digest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::application::tests::{instance, records};

    const GOOD: &str = "[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Condition']\n";

    #[test]
    fn a_server_does_not_start_with_rules_that_are_not_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let policy = PolicySettings::of_file(path.clone());
        assert!(load(&policy, "https://localhost:1").is_err(), "no file");
        for wrong in ["", "[[rule]]", "[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Conditions']"] {
            fs::write(&path, wrong).unwrap();
            let failure = load(&policy, "https://localhost:1").unwrap_err().to_string();
            assert!(failure.contains("policy.rules: ") && failure.contains("rules.toml, line"), "{failure}");
        }
        fs::write(&path, GOOD).unwrap();
        assert_eq!(load(&policy, "https://localhost:1").unwrap().rules.rules().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_are_read_again_and_those_that_hold_go_on_where_the_new_ones_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path().join("data"), folder.path().join("rules.toml"));
        let mut instance = instance(&root).await;
        instance.policy = PolicySettings::of_file(path.clone());
        let held = |instance: &Instance| instance.server().operator_rules.current().rules().len();
        fs::write(&path, GOOD).unwrap();
        reload(&instance).await.unwrap();
        assert_eq!(held(&instance), 1);
        reload(&instance).await.unwrap();
        for wrong in ["[[rule]]\nname = 'r'\n", ""] {
            fs::write(&path, wrong).unwrap();
            reload(&instance).await.unwrap();
            assert_eq!(held(&instance), 1, "the rules that held go on");
        }
        fs::remove_file(&path).unwrap();
        reload(&instance).await.unwrap();
        assert_eq!(held(&instance), 1);
        fs::write(&path, format!("{GOOD}{}", GOOD.replace("'r'", "'s'").replace("Condition", "Patient"))).unwrap();
        reload(&instance).await.unwrap();
        assert_eq!(held(&instance), 2);
        let digest = instance.server().operator_rules.held().digest.clone();
        instance.close().await.unwrap();
        let told: Vec<(Ended, String)> = records(&root)
            .into_iter()
            .filter(|record| record.event == Event::Administration)
            .filter_map(|record| Some((record.outcome, record.detail.filter(|detail| detail.contains("rules"))?)))
            .collect();
        let outcomes: Vec<Ended> = told.iter().map(|(outcome, _)| *outcome).collect();
        assert_eq!(outcomes, [Ended::Success, Ended::Failed, Ended::Failed, Ended::Failed, Ended::Success], "{told:?}");
        assert!(told.last().unwrap().1.contains(&digest), "{told:?}");
    }
}
