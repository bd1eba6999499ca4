//! The operator's rules: read at the start, where a mistake keeps the server from starting, and again on SIGHUP, where it keeps the rules that hold.
//!
//! What was in force last is kept sealed in the registry. Rules that let more be seen take its place only where somebody else agreed to exactly that exchange; the
//! agreement is spent in the transaction that keeps them. Until then those before hold, also after a restart. What the first start of a server finds is the operator's
//! installation and counts.

use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_oauth::approval::ChangeKind;
use portcullis_server::approvals::{Leave, leave};
use portcullis_server::context::Server;
use portcullis_server::operator_rules::{Held, WaitingRules, proposal};

use super::Instance;
use super::in_force::InForce;
use super::run::record;
use crate::config::{PolicySettings, kept_rules};
use crate::failure::{Failure, OrFail, Outcome};

/// Under which name the registry keeps the rules in force.
const KEPT_NAME: &str = "operator rules in force";

/// What becomes of rules that were read.
#[derive(Debug)]
enum Next {
    /// They are in force.
    Unchanged,
    /// They come into force, for this reason.
    Adopt(Reason),
    /// Those before stay.
    Wait(Held, WaitingRules),
}

/// Why rules may come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Nothing was in force yet.
    First,
    /// Nobody sees more by them.
    Narrower,
    /// Somebody else agreed.
    Agreed,
    /// The operator says that one person is enough.
    OnePerson,
}

impl Reason {
    fn told(self) -> &'static str {
        match self {
            Self::First => "the first rules of this server",
            Self::Narrower => "nobody sees more by them",
            Self::Agreed => "somebody else agreed to what they open",
            Self::OnePerson => "they open more, and one person is enough here",
        }
    }
}

/// The rules for a server that starts.
pub fn load(policy: &PolicySettings, public_url: &str) -> Outcome<Held> {
    policy.load(&format!("{public_url}/fhir")).map_err(|problems| {
        Failure::usage(format!("policy.rules: {}", problems.join("\npolicy.rules: "))).advise(
            "Nothing is served with rules that are not understood. Correct the file, then check it: portcullis config check FILE",
        )
    })
}

/// Has the rules in force hold where those that were read must wait. Nothing is kept or recorded: only a server that serves does that ([`begin`]).
pub async fn hold(server: &Server) -> Outcome {
    let read = server.operator_rules.held();
    if let Next::Wait(in_force, waiting) = judge(server, &read, &InForce::read(&*server.registry, KEPT_NAME)?).await? {
        server.operator_rules.keep(in_force, waiting);
    }
    Ok(())
}

/// Brings the rules that were read at the start into force, or says that they wait.
pub async fn begin(instance: &Instance) -> Outcome {
    let server = instance.server();
    let read = instance.policy.load(&server.settings.fhir_base);
    let read = read.map_err(|problems| Failure::usage(format!("policy.rules: {}", problems.join("\npolicy.rules: "))))?;
    bring(instance, read).await
}

/// Reads the rules again. What cannot be used is told, and the rules that hold go on.
pub async fn reload(instance: &Instance) -> Outcome {
    match instance.policy.load(&instance.server().settings.fhir_base) {
        Ok(read) => bring(instance, read).await,
        Err(problems) => {
            for problem in &problems {
                tracing::error!(%problem, "the rules of [policy] cannot be used; those that held go on");
            }
            let first = problems.first().cloned().unwrap_or_default();
            record(instance, (Event::Administration, Ended::Failed), format!("rules not exchanged: {first}")).await
        }
    }
}

async fn bring(instance: &Instance, read: Held) -> Outcome {
    let server = instance.server();
    if !read.rules.elsewhere().is_empty() {
        let rules = read.rules.elsewhere().join(", ");
        tracing::info!(%rules, "these rules of [policy] are for other jurisdictions and decide nothing here");
    }
    let kept = InForce::read(&*server.registry, KEPT_NAME)?;
    match judge(server, &read, &kept).await? {
        Next::Unchanged => {
            // Also where others waited, and the file was put back.
            if !read.digest.is_empty() {
                tracing::info!("the rules of [policy] are those in force");
            }
            server.operator_rules.exchange(read);
            Ok(())
        }
        Next::Adopt(reason) => {
            let detail = format!("{}: {}", told(&read), reason.told());
            // What cannot be recorded does not hold.
            adopt(server, (&read, reason), &kept, detail.clone()).await?;
            server.operator_rules.exchange(read);
            tracing::info!(%detail, "from the next request on these rules hold");
            Ok(())
        }
        Next::Wait(in_force, waiting) => {
            let widenings: Vec<String> = waiting.widenings.iter().map(ToString::to_string).collect();
            for widening in &widenings {
                tracing::warn!(%widening, "the rules of [policy] let more be seen: they wait for a second person, and those before go on");
            }
            let detail =
                format!("rules not exchanged: sha256:{} waits for a second person: {}", waiting.digest, widenings.join("; "));
            server.operator_rules.keep(in_force, waiting);
            record(instance, (Event::Administration, Ended::Rejected), detail).await
        }
    }
}

async fn judge(server: &Server, read: &Held, kept: &InForce) -> Outcome<Next> {
    let Some(text) = &kept.text else { return Ok(Next::Adopt(Reason::First)) };
    if *text == read.text {
        return Ok(Next::Unchanged);
    }
    let in_force = kept_rules(text.clone(), &server.settings.fhir_base);
    let widenings = read.rules.widen(&in_force.rules);
    if widenings.is_empty() {
        return Ok(Next::Adopt(Reason::Narrower));
    }
    let leave = leave(server, (ChangeKind::Rules, &proposal(&in_force, read))).await.or_fail("The approvals cannot be read")?;
    Ok(match leave {
        Leave::OnePerson => Next::Adopt(Reason::OnePerson),
        Leave::Agreed => Next::Adopt(Reason::Agreed),
        Leave::Missing => Next::Wait(in_force, WaitingRules { digest: read.digest.clone(), widenings }),
    })
}

/// Keeps the rules as those in force, together with the record, and spends the agreement where one was needed.
async fn adopt(server: &Server, (read, reason): (&Held, Reason), kept: &InForce, detail: String) -> Outcome {
    let content = || proposal(&kept_rules(kept.text.clone().unwrap_or_default(), &server.settings.fhir_base), read);
    let agreed = (reason == Reason::Agreed).then(content);
    let spending = agreed.as_deref().map(|content| (ChangeKind::Rules, content));
    kept.exchange(server, read.text.clone(), spending, detail).await
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

    use portcullis_server::admin::protocol::{Refused, Request, Response};
    use portcullis_server::admin::{Caller, SafeguardRequest, SafeguardResponse};

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
        // What is adopted is recorded by way of the outbox, so the ledger may have it later than what came after it.
        let count = |ended| outcomes.iter().filter(|outcome| **outcome == ended).count();
        assert_eq!((count(Ended::Success), count(Ended::Failed), told.len()), (2, 3, 5), "{told:?}");
        assert!(told.iter().any(|(outcome, detail)| *outcome == Ended::Success && detail.contains(&digest)), "{told:?}");
    }

    /// The same, but that it takes less away.
    const WIDER: &str = "[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Condition']\ninteractions = 'rs'\n";

    async fn asked(instance: &Instance, account: &str, request: SafeguardRequest) -> Result<SafeguardResponse, Refused> {
        match instance.service().answer(&Caller::named(account), Request::Safeguard(request)).await {
            Response::Safeguard(response) => Ok(response),
            Response::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    /// Proposes what the file says now; returns the id and the digest.
    async fn proposed(instance: &Instance, account: &str) -> (String, String) {
        let server = instance.server();
        let next = instance.policy.load(&server.settings.fhir_base).unwrap();
        let content = proposal(&server.operator_rules.held(), &next);
        match asked(instance, account, SafeguardRequest::Propose { kind: "rules".into(), content }).await {
            Ok(SafeguardResponse::Waiting(change)) => (change.id, change.digest),
            other => panic!("{other:?}"),
        }
    }

    async fn approved(instance: &Instance, account: &str, (id, digest): &(String, String)) -> Result<SafeguardResponse, Refused> {
        asked(instance, account, SafeguardRequest::Approve { id: id.clone(), digest: digest.clone() }).await
    }

    fn in_force(instance: &Instance) -> (String, bool) {
        let rules = &instance.server().operator_rules;
        (rules.held().text.clone(), rules.waiting().is_some())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_that_let_more_be_seen_wait_for_another_person_also_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path().join("data"), folder.path().join("rules.toml"));
        let mut first = instance(&root).await;
        first.policy = PolicySettings::of_file(path.clone());
        fs::write(&path, GOOD).unwrap();
        begin(&first).await.unwrap();
        assert_eq!(in_force(&first), (GOOD.to_owned(), false), "the first rules are the operator's installation");
        fs::write(&path, WIDER).unwrap();
        reload(&first).await.unwrap();
        assert_eq!(in_force(&first), (GOOD.to_owned(), true));
        let change = proposed(&first, "root").await;
        assert!(approved(&first, "root", &change).await.unwrap_err().message.contains("a second person"));
        reload(&first).await.unwrap();
        assert_eq!(in_force(&first), (GOOD.to_owned(), true), "a proposal is no leave");
        first.close().await.unwrap();

        // The configuration names no rules any more: they hold nevertheless.
        let mut second = instance(&root).await;
        assert_eq!(in_force(&second), (GOOD.to_owned(), true));
        begin(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), true));
        second.policy = PolicySettings::of_file(path.clone());
        begin(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), true), "a restart is no leave");
        assert!(approved(&second, "ops", &change).await.is_ok());
        // What was agreed to is this file in the place of those rules, to the byte.
        fs::write(&path, format!("{WIDER}\n# more\n")).unwrap();
        reload(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), true));
        fs::write(&path, WIDER).unwrap();
        reload(&second).await.unwrap();
        assert_eq!(in_force(&second), (WIDER.to_owned(), false));
        // It counted once, and nobody else is needed for what opens less.
        fs::write(&path, GOOD).unwrap();
        reload(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), false));
        fs::write(&path, WIDER).unwrap();
        reload(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), true));
        fs::write(&path, GOOD).unwrap();
        reload(&second).await.unwrap();
        assert_eq!(in_force(&second), (GOOD.to_owned(), false), "the file was put back");
        second.close().await.unwrap();
        let waited = records(&root).into_iter().filter(|record| {
            record.outcome == Ended::Rejected
                && record.detail.as_ref().is_some_and(|detail| detail.contains("waits for a second person: rule 'r' denies less"))
        });
        assert_eq!(waited.count(), 5, "each time that it was read, but at the start without a file");
    }
}
