//! The sections of the configuration that decide who sees what ([`AccessSettings`]): they are read at the start alone.
//!
//! What of them lets more be seen than what was in force last holds only where somebody else agreed to exactly that; until then the former stays, also over further
//! restarts, and the start says so. What narrows holds at once. What the first start of a server finds is the operator's installation and counts.
//!
//! What is kept and not understood, as after a return to an earlier version, stays as it is kept until two people agree to others; nothing is labelled anew until then.

use std::sync::{Arc, OnceLock};

use portcullis_audit::record::{Event, Outcome as Ended};
use portcullis_oauth::approval::{ChangeKind, digest};
use portcullis_server::context::AccessInForce;
use portcullis_store::Registry;

use super::Instance;
use super::in_force::InForce;
use super::run::record;
use crate::config::{AccessSettings, KeptSettings};
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
    /// Whether these are what is kept, or will be. Otherwise what is kept is not understood, and waits as it is.
    pub understood: bool,
    /// What is kept, as it lies there.
    kept: Option<String>,
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
        let text = match &self.kept {
            // Until they are kept by a server that serves, none are in force.
            _ if self.adopted == Some(Reason::First) => None,
            // The same is read from it elsewhere.
            Some(kept) if !self.understood => Some(kept.clone()),
            _ => Some(self.text()?),
        };
        Ok(AccessInForce { text: Arc::new(text.map(OnceLock::from).unwrap_or_default()), waiting: self.waiting.clone() })
    }

    fn text(&self) -> Outcome<String> {
        self.settings.text().or_fail("The settings that are in force cannot be kept")
    }
}

/// What of the settings that were read holds, at a time in seconds since the epoch. Nothing is kept or recorded: only a server that serves does that ([`begin`]).
pub async fn hold(registry: &dyn Registry, read: AccessSettings, now: i64) -> Outcome<Held> {
    let kept = InForce::read(registry, KEPT_NAME)?.text;
    let held = |settings, adopted| Held { settings, waiting: Vec::new(), adopted, understood: true, kept: kept.clone() };
    let Some(text) = &kept else { return Ok(held(read, Some(Reason::First))) };
    let former = AccessSettings::kept(text);
    let KeptSettings { settings: in_force, understood } = &former;
    if read == *in_force && *understood {
        return Ok(held(read, None));
    }
    let waiting = read.widen(in_force);
    if waiting.is_empty() && *understood {
        return Ok(held(read, Some(Reason::Narrower)));
    }
    // That one person is enough must have been in force before.
    if !in_force.two_people().settings().are_needed(ChangeKind::Settings) {
        return Ok(held(read, Some(Reason::OnePerson)));
    }
    let content = read.proposal(in_force);
    let asked = registry.approved_change(ChangeKind::Settings, &digest(ChangeKind::Settings, &content), now).await;
    if asked.or_fail("The approvals cannot be read")?.is_some() {
        return Ok(held(read, Some(Reason::Agreed(content))));
    }
    let settings = former.narrowed_by(&read);
    let adopted = (settings != *in_force && *understood).then_some(Reason::Narrower);
    Ok(Held { waiting, understood: *understood, ..held(settings, adopted) })
}

/// Keeps the settings that hold as those in force, and says what waits.
pub async fn begin(instance: &Instance) -> Outcome {
    let (server, held) = (instance.server(), &instance.access);
    if let Some(reason) = &held.adopted {
        let text = held.text()?;
        let spending = match reason {
            Reason::Agreed(content) => Some((ChangeKind::Settings, content.as_str())),
            Reason::First | Reason::Narrower | Reason::OnePerson => None,
        };
        let detail = format!("access settings: {}", reason.told());
        InForce::read(&*server.registry, KEPT_NAME)?.exchange(server, text.clone(), spending, detail).await?;
        // Empty where these are the first.
        server.settings.authorization.access.text.get_or_init(|| text);
    }
    if !held.understood {
        tracing::error!(
            "the settings that are kept as those in force are not understood: they stay as they are and nothing is labelled anew; until two people agree to others, or a \
             version that understands them starts, nobody but patients sees records without a consent or a permit of the operator's rules"
        );
    }
    if held.waiting.is_empty() {
        return Ok(());
    }
    for key in &held.waiting {
        tracing::warn!(%key, "this setting lets more be seen: it waits for a second person, and what was in force goes on");
    }
    let unread = if held.understood { "" } else { "; those that are kept are not understood and stay" };
    let detail = format!("access settings not exchanged: {} wait for a second person{unread}", held.waiting.join(", "));
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
        AccessSettings::kept(&AccessSettings::default().text().unwrap().replace("all-normal", "deny")).settings
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
        )
        .settings;
        for _ in 0..2 {
            let (second, _, waiting) = started(&root, alone.clone()).await;
            assert_eq!(waiting, ["labels.rules", "two_people.disabled"]);
            let held = second.access.settings.label_rules();
            assert_eq!(held.labels("urn:a", "X"), Rules::parse("urn:a | X -> R HIV").unwrap().labels("urn:a", "X"));
            second.close().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn settings_of_a_later_version_stay_as_they_are_kept_until_two_people_agree() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        let meaning = |text: &str| AccessSettings::default().with_label_rules(&Rules::parse(text).unwrap());
        let (former, next) = (meaning("urn:a | X -> R HIV"), meaning("urn:a | X -> V HIV"));
        let (first, ..) = started(&root, former.clone()).await;
        assert_eq!(first.server().settings.authorization.access.text.get(), Some(&former.text().unwrap()), "kept by this start");
        let later = former.text().unwrap().replacen('{', "{\"later\":1,", 1);
        let keep = |instance: &Instance| InForce::read(&*instance.server().registry, KEPT_NAME).unwrap();
        keep(&first).exchange(first.server(), later.clone(), None, "a later version".into()).await.unwrap();
        first.close().await.unwrap();

        for _ in 0..2 {
            let (earlier, implicit, waiting) = started(&root, next.clone()).await;
            assert_eq!((implicit, waiting), (ImplicitPolicy::Deny, vec!["consent.implicit", "labels", "break_glass.minutes"]));
            assert_eq!(keep(&earlier).text, Some(later.clone()), "the same bytes");
            assert_eq!(earlier.server().settings.authorization.access.text.get(), Some(&later), "what is proposed is about it");
            assert!(!earlier.access.understood && earlier.access.settings.label_rules() == former.label_rules());
            earlier.close().await.unwrap();
        }
        let said = |detail: &String| detail.contains("are not understood and stay");
        assert_eq!(records(&root).iter().filter(|record| record.detail.as_ref().is_some_and(said)).count(), 2);

        let (earlier, ..) = started(&root, next.clone()).await;
        let content = next.proposal(&AccessSettings::kept(&later).settings);
        let propose = SafeguardRequest::Propose { kind: "settings".into(), content };
        let Ok(SafeguardResponse::Waiting(change)) = asked(&earlier, "root", propose).await else { panic!("not proposed") };
        let approve = SafeguardRequest::Approve { id: change.id.clone(), digest: change.digest.clone() };
        assert!(asked(&earlier, "ops", approve).await.is_ok());
        earlier.close().await.unwrap();
        let (agreed, implicit, waiting) = started(&root, next.clone()).await;
        assert_eq!((implicit, waiting, keep(&agreed).text), (ImplicitPolicy::AllNormal, vec![], next.text().ok()));
        agreed.close().await.unwrap();
    }
}
