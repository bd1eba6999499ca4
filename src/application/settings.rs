//! The sections of the configuration that decide who sees what ([`AccessSettings`]): they are read at the start alone.
//!
//! What of them lets more be seen than what was in force last holds only where somebody else agreed to exactly that; until then the former stays, also over further
//! restarts, and the start says so. What narrows holds at once. What the first start of a server finds is the operator's installation and counts.

use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_oauth::approval::{ChangeKind, digest};
use portcullis_server::context::AccessInForce;
use portcullis_store::Registry;

use super::Instance;
use super::in_force::InForce;
use super::run::record;
use crate::config::AccessSettings;
use crate::failure::{OrFail, Outcome};

/// Under which name the registry keeps the settings in force.
const KEPT_NAME: &str = "access settings in force";

/// What holds at this start.
#[derive(Debug)]
pub struct Held {
    /// The settings.
    pub settings: AccessSettings,
    /// The keys of those that were read and wait for a second person.
    pub waiting: Vec<&'static str>,
    /// Why those hold that are not kept yet; `None` where nothing is to be kept.
    adopted: Option<Reason>,
}

/// Why settings may come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    First,
    Narrower,
    OnePerson,
    /// Somebody else agreed to this content.
    Agreed(String),
}

impl Reason {
    fn told(&self) -> &'static str {
        match self {
            Self::First => "the first of this server",
            Self::Narrower => "nobody sees more by them",
            Self::Agreed(_) => "somebody else agreed to what they open",
            Self::OnePerson => "they open more, and one person is enough here",
        }
    }
}

impl Held {
    /// As the server shows it.
    pub fn shown(&self) -> Outcome<AccessInForce> {
        let text = self.settings.text().or_fail("The settings that are in force cannot be kept")?;
        Ok(AccessInForce { text, waiting: self.waiting.clone() })
    }
}

/// What of the settings that were read holds, at a time in seconds since the epoch. Nothing is kept or recorded: only a server that serves does that ([`begin`]).
pub async fn hold(registry: &dyn Registry, read: AccessSettings, now: i64) -> Outcome<Held> {
    let held = |settings, adopted| Held { settings, waiting: Vec::new(), adopted };
    let Some(text) = InForce::read(registry, KEPT_NAME)?.text else { return Ok(held(read, Some(Reason::First))) };
    let in_force = AccessSettings::kept(&text);
    if read == in_force {
        return Ok(held(read, None));
    }
    let waiting = read.widen(&in_force);
    if waiting.is_empty() {
        return Ok(held(read, Some(Reason::Narrower)));
    }
    // That one person is enough must have been in force before.
    if !in_force.two_people().settings().are_needed(ChangeKind::Settings) {
        return Ok(held(read, Some(Reason::OnePerson)));
    }
    let content = read.proposal(&in_force);
    let asked = registry.approved_change(ChangeKind::Settings, &digest(ChangeKind::Settings, &content), now).await;
    if asked.or_fail("The approvals cannot be read")?.is_some() {
        return Ok(held(read, Some(Reason::Agreed(content))));
    }
    let settings = read.as_far_as_narrower(&in_force);
    let adopted = (settings != in_force).then_some(Reason::Narrower);
    Ok(Held { settings, waiting, adopted })
}

/// Keeps the settings that hold as those in force, and says what waits.
pub async fn begin(instance: &Instance) -> Outcome {
    let (server, held) = (instance.server(), &instance.access);
    if let Some(reason) = &held.adopted {
        let AccessInForce { text, .. } = held.shown()?;
        let spending = match reason {
            Reason::Agreed(content) => Some((ChangeKind::Settings, content.as_str())),
            Reason::First | Reason::Narrower | Reason::OnePerson => None,
        };
        let detail = format!("access settings: {}", reason.told());
        InForce::read(&*server.registry, KEPT_NAME)?.exchange(server, text, spending, detail).await?;
    }
    if held.waiting.is_empty() {
        return Ok(());
    }
    for key in &held.waiting {
        tracing::warn!(%key, "this setting lets more be seen: it waits for a second person, and what was in force goes on");
    }
    let detail = format!("access settings not exchanged: {} wait for a second person", held.waiting.join(", "));
    record(instance, (Event::Administration, Ended::Rejected), detail).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_fhir::labels::Rules;
    use portcullis_oauth::principal::ImplicitPolicy;
    use portcullis_server::admin::protocol::{Refused, Request, Response};
    use portcullis_server::admin::{Caller, SafeguardRequest, SafeguardResponse};

    use super::*;
    use crate::application::tests::{records, with_access};

    fn closed() -> AccessSettings {
        AccessSettings::kept(&AccessSettings::default().text().unwrap().replace("all-normal", "deny"))
    }

    /// What holds after a start with these settings: the implicit policy and what waits.
    async fn started(root: &Path, access: AccessSettings) -> (Instance, ImplicitPolicy, Vec<&'static str>) {
        let instance = with_access(root, access).await;
        begin(&instance).await.unwrap();
        let settings = &instance.server().settings.authorization;
        let (implicit, waiting) = (settings.implicit_consent, settings.access.waiting.clone());
        (instance, implicit, waiting)
    }

    async fn asked(instance: &Instance, account: &str, request: SafeguardRequest) -> Result<SafeguardResponse, Refused> {
        match instance.service().answer(&Caller::named(account), Request::Safeguard(request)).await {
            Response::Safeguard(response) => Ok(response),
            Response::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn settings_that_let_more_be_seen_wait_for_another_person_over_restarts_and_what_narrows_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let open = AccessSettings::default();
        let (first, implicit, waiting) = started(&root, closed()).await;
        assert_eq!((implicit, waiting), (ImplicitPolicy::Deny, vec![]), "the first settings are the operator's installation");
        let propose = SafeguardRequest::Propose { kind: "settings".into(), content: open.proposal(&closed()) };
        let Ok(SafeguardResponse::Waiting(change)) = asked(&first, "root", propose).await else { panic!("not proposed") };
        let approve = || SafeguardRequest::Approve { id: change.id.clone(), digest: change.digest.clone() };
        assert!(asked(&first, "root", approve()).await.unwrap_err().message.contains("a second person"));
        first.close().await.unwrap();

        for _ in 0..2 {
            let (second, implicit, waiting) = started(&root, open.clone()).await;
            assert_eq!(
                (implicit, waiting),
                (ImplicitPolicy::Deny, vec!["consent.implicit"]),
                "neither a restart nor a proposal is leave"
            );
            second.close().await.unwrap();
        }
        let (third, ..) = started(&root, closed()).await;
        assert!(asked(&third, "ops", approve()).await.is_ok());
        third.close().await.unwrap();
        let (fourth, implicit, waiting) = started(&root, open.clone()).await;
        assert_eq!((implicit, waiting), (ImplicitPolicy::AllNormal, vec![]), "somebody else agreed");
        fourth.close().await.unwrap();
        let (fifth, implicit, waiting) = started(&root, closed()).await;
        assert_eq!((implicit, waiting), (ImplicitPolicy::Deny, vec![]), "what narrows takes nobody else");
        fifth.close().await.unwrap();
        let (sixth, implicit, waiting) = started(&root, open).await;
        assert_eq!((implicit, waiting), (ImplicitPolicy::Deny, vec!["consent.implicit"]), "the agreement counted once");
        sixth.close().await.unwrap();
        let waited = records(&root).into_iter().filter(|record| {
            record.outcome == Ended::Rejected
                && record.detail.as_ref().is_some_and(|detail| detail.contains("consent.implicit wait for a second person"))
        });
        assert_eq!(waited.count(), 3, "each start says it");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_about_labels_that_mean_less_do_not_label_anything_anew_and_one_person_cannot_say_that_one_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let meaning = |text: &str| AccessSettings::default().with_label_rules(&Rules::parse(text).unwrap());
        let (first, ..) = started(&root, meaning("urn:a | X -> R HIV")).await;
        first.close().await.unwrap();
        let alone = AccessSettings::kept(
            &meaning("urn:a | X -> N").text().unwrap().replace("\"disabled\":[]", "\"disabled\":[\"settings\"]"),
        );
        for _ in 0..2 {
            let (second, _, waiting) = started(&root, alone.clone()).await;
            assert_eq!(waiting, ["labels.rules", "two_people.disabled"]);
            let held = second.access.settings.label_rules();
            assert_eq!(held.labels("urn:a", "X"), Rules::parse("urn:a | X -> R HIV").unwrap().labels("urn:a", "X"));
            second.close().await.unwrap();
        }
    }
}
