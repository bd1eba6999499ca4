//! A consent as decisions need it: whose it is, when it counts, what it may replace, and a tree of provisions with their effects.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};

use super::check::is_sound;
use super::criteria::{Criteria, Translator};
use super::document::{Coding, ConsentDocument, Effect, Interval, Meaning, Provision, Status};
use super::rows::rows;
use super::vocabulary::{SCOPE_PRIVACY, SCOPES, SYSTEM_SCOPE, directives};

/// What is needed to read a consent besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The server's own FHIR base, without a slash at the end.
    pub base_url: &'a str,
    /// The issuer of client ids: the system of the identifiers by which actors name apps.
    pub issuer: &'a str,
}

impl<'a> Context<'a> {
    /// The context of the server at this base: its issuer is the address without `/fhir`.
    pub fn of(base_url: &'a str) -> Self {
        Self { base_url, issuer: base_url.strip_suffix("/fhir").unwrap_or(base_url) }
    }
}

/// What the server knows about who stands behind a version of a consent. Never read from the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody who may has confirmed it, and it is the current version.
    Verified,
    /// It was confirmed, and then changed, withdrawn or deleted, which nobody has confirmed yet: what it denies counts; what it permits, only where the current
    /// version permits it, too.
    Outdated,
    /// The current version, which nobody has confirmed: what it denies counts, what it permits does not, and it replaces no other.
    Unverified,
    /// A version that nobody confirmed and that is current no more, changed by another than who wrote it, or by somebody whom it denies: what it denies counts until the
    /// current version is confirmed, what it permits does not, and it replaces no other.
    Held,
}

/// A provision in the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// FHIRPath of what it comes from.
    pub(super) expression: Box<str>,
    /// `None`: it only narrows what is nested.
    pub(super) effect: Option<Effect>,
    pub(super) criteria: Criteria,
    pub(super) children: Vec<Node>,
}

/// An active privacy consent, ready to decide; a copy shares what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledConsent {
    pub(super) id: LogicalId,
    /// Which version says so; `None` where that is not known.
    pub(super) version: Option<LogicalId>,
    pub(super) patient: LogicalId,
    /// When it counts.
    pub(super) valid: Interval,
    /// Which others it replaces, if it is newer: organisations and policies as one text. `None`: none.
    pub(super) series: Option<Arc<str>>,
    /// The policies that it names by URI.
    pub(super) policies: Arc<[Box<str>]>,
    /// When it was given.
    pub(super) since: Option<i64>,
    pub(super) standing: Standing,
    /// `None`: it cannot be read, and denies everything.
    pub(super) top: Option<Arc<Node>>,
}

impl CompiledConsent {
    /// What counts of a document: nothing (`None`) where it is not active or about something else than privacy. What cannot be read denies everything to
    /// everybody but the patients themselves: [`super::check()`] keeps such consents out, but they may have been there before.
    pub fn of(
        document: &ConsentDocument,
        context: &Context<'_>,
        (id, patient): (LogicalId, LogicalId),
        standing: Standing,
    ) -> Option<Self> {
        if document.status != Status::Active || has_known_scope(document) && !is_privacy(document) {
            return None;
        }
        let is_own = document.patient
            == Some(Reference::Local(LocalReference { resource_type: ResourceType::PATIENT, id: patient.clone() }));
        let top = tree(document, context, &patient).ok().filter(|_| is_own && is_sound(document, &patient));
        let period = document.provision.as_ref().and_then(|provision| provision.period);
        Some(Self {
            id,
            version: None,
            patient,
            valid: period.filter(|_| top.is_some()).unwrap_or(Interval::ALWAYS),
            series: series(document),
            policies: document.policy_uris().map(Into::into).collect(),
            since: document.date_time,
            standing,
            top: top.map(Arc::new),
        })
    }

    /// What counts of a stored body. What cannot be read or cannot be decided by rows denies everything, as [`CompiledConsent::of`] says; withdrawn consents may be
    /// as wrong as they were.
    pub fn of_body(
        body: &[u8],
        context: &Context<'_>,
        (id, patient): (LogicalId, LogicalId),
        standing: Standing,
    ) -> Option<Self> {
        let unreadable = |id, patient| Some(Self { standing, ..Self::unreadable(id, patient) });
        let Ok(resource) = Resource::parse(body) else { return unreadable(id, patient) };
        let Ok(document) = ConsentDocument::read(&resource, context.base_url) else {
            let status = resource.body().member("status").and_then(Value::as_str).and_then(Status::parse);
            return if status.is_some_and(Status::is_withdrawn) { None } else { unreadable(id, patient) };
        };
        let compiled = Self::of(&document, context, (id, patient), standing)?;
        let has_rows = rows(&compiled).is_ok();
        Some(if has_rows { compiled } else { Self { top: None, ..compiled } })
    }

    /// A consent of this patient that cannot even be parsed.
    pub fn unreadable(id: LogicalId, patient: LogicalId) -> Self {
        Self {
            id,
            version: None,
            patient,
            valid: Interval::ALWAYS,
            series: None,
            policies: Arc::new([]),
            since: None,
            standing: Standing::Unverified,
            top: None,
        }
    }

    /// The same version of a consent, of which the server knows this.
    #[must_use]
    pub fn standing_as(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// The same, of which this version is known to say so.
    #[must_use]
    pub fn of_version(self, version: LogicalId) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Which version says so; `None` where that is not known.
    pub fn version(&self) -> Option<&LogicalId> {
        self.version.as_ref()
    }

    /// The id of the Consent.
    pub fn id(&self) -> &LogicalId {
        &self.id
    }

    /// Whose it is.
    pub fn patient(&self) -> &LogicalId {
        &self.patient
    }

    /// When it counts.
    pub fn valid(&self) -> Interval {
        self.valid
    }

    /// What it and those that replace it have in common; `None`: it replaces none.
    pub fn series(&self) -> Option<&str> {
        self.series.as_deref()
    }

    /// When it was given.
    pub fn since(&self) -> Option<i64> {
        self.since
    }

    /// Whether it says the same of all records of a type, whatever they say and however they are labelled.
    pub fn tells_no_records_apart(&self) -> bool {
        self.nodes().iter().all(|node| !node.criteria.ask_for_content() && node.criteria.labels.is_empty())
    }

    /// Whether a decision needs to know what a resource says, and not only its type and labels.
    pub fn asks_for_content(&self) -> bool {
        self.nodes().iter().any(|node| node.criteria.ask_for_content())
    }

    /// The resources of which a decision needs to know what they refer to.
    pub fn related(&self) -> Vec<LocalReference> {
        let criteria = self.nodes().into_iter().flat_map(|node| &node.criteria.data);
        let related = criteria.filter(|data| data.meaning == Meaning::Related);
        let mut targets: Vec<LocalReference> = related
            .filter_map(|data| match &data.target {
                Reference::Local(target) => Some(target.clone()),
                _ => None,
            })
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Whether it counts and cannot be read.
    pub fn is_unreadable(&self) -> bool {
        self.top.is_none()
    }

    /// Whether it denies anybody anything.
    pub fn denies(&self) -> bool {
        self.top.is_none() || self.nodes().iter().any(|node| node.effect == Some(Effect::Deny))
    }

    /// Everybody whom it names.
    pub fn actors(&self) -> Vec<&Reference> {
        self.nodes().into_iter().flat_map(|node| &node.criteria.actors).collect()
    }

    fn nodes(&self) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self.top.as_deref().into_iter().collect();
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            nodes.extend(&node.children);
            next += 1;
        }
        nodes
    }

    /// Whether a newer consent of the same organisation about the same policy has taken its place. One that says it will be given later has not.
    pub(super) fn is_replaced_by(&self, other: &Self, now: i64) -> bool {
        matches!(other.standing, Standing::Verified | Standing::Outdated)
            && self.series.is_some()
            && self.series == other.series
            && self.patient == other.patient
            && matches!((self.since, other.since), (Some(own), Some(others)) if own < others && others <= now)
    }
}

/// When the newest of each series was given that takes the place of others: found once for all consents of a patient, of whom each would otherwise look at all others.
pub(super) struct Replacing<'a>(HashMap<&'a str, i64>);

impl<'a> Replacing<'a> {
    /// Of consents of one patient that count.
    pub(super) fn of(counting: impl Iterator<Item = &'a CompiledConsent>, now: i64) -> Self {
        let mut newest = HashMap::new();
        for consent in counting.filter(|consent| matches!(consent.standing, Standing::Verified | Standing::Outdated)) {
            let (Some(series), Some(since)) = (consent.series.as_deref(), consent.since) else { continue };
            if since <= now {
                let known = newest.entry(series).or_insert(since);
                *known = since.max(*known);
            }
        }
        Self(newest)
    }

    /// Whether one of them has taken the place of a consent of the same patient: as [`CompiledConsent::is_replaced_by`] says of two.
    pub(super) fn replaces(&self, consent: &CompiledConsent) -> bool {
        let newest = consent.series.as_deref().and_then(|series| self.0.get(series));
        matches!((consent.since, newest), (Some(own), Some(newest)) if own < *newest)
    }
}

/// Whether a consent says what it is about.
pub(super) fn has_known_scope(document: &ConsentDocument) -> bool {
    document.scope.iter().any(|coding| &*coding.system == SYSTEM_SCOPE && SCOPES.contains(&&*coding.code))
}

/// Whether a consent is about privacy.
pub(super) fn is_privacy(document: &ConsentDocument) -> bool {
    document.scope.iter().any(|coding| &*coding.system == SYSTEM_SCOPE && &*coding.code == SCOPE_PRIVACY)
}

/// Organisations and policies, where it has both and all of them can be compared. Opting in or out is no policy: those who change their mind do it under the same.
fn series(document: &ConsentDocument) -> Option<Arc<str>> {
    let organisations: Option<Vec<&Reference>> = document.organisations.iter().map(Option::as_ref).collect();
    let mut organisations: Vec<String> = organisations?.into_iter().map(|organisation| format!("{organisation:?}")).collect();
    let is_directive = |coding: &&Coding| !directives(std::slice::from_ref(coding)).is_empty();
    let rules = document.policy_rule.iter().flatten().filter(|coding| !is_directive(coding));
    let mut policies: Vec<String> = document.policy_uris().map(ToOwned::to_owned).collect();
    policies.extend(rules.map(|coding| format!("{}|{}", coding.system, coding.code)));
    organisations.sort_unstable();
    policies.sort_unstable();
    (!organisations.is_empty() && !policies.is_empty()).then(|| format!("{organisations:?} {policies:?}").into())
}

/// The tree of what a consent provides, or what is wrong with it.
pub(super) fn tree(document: &ConsentDocument, context: &Context<'_>, patient: &LogicalId) -> Result<Node, Vec<Issue>> {
    let translator = Translator { context, patient, consent: document.id.as_ref(), issues: Vec::new() };
    let mut builder = Builder { translator };
    let directives = document.policy_rule.as_deref().map(directives).unwrap_or_default();
    let contradictory = directives.first().is_some_and(|first| directives.iter().any(|other| other != first));
    if contradictory {
        let reason = "policyRule says both opt-in and opt-out.";
        builder.translator.refuse(IssueType::Invalid, reason, "Consent.policyRule");
    }
    let top = builder.top(document.provision.as_ref(), directives.first().copied());
    let issues = builder.translator.issues;
    match top {
        Some(top) if issues.is_empty() => Ok(top),
        _ => Err(issues),
    }
}

struct Builder<'a> {
    translator: Translator<'a>,
}

impl Builder<'_> {
    fn top(&mut self, root: Option<&Provision>, rule: Option<Effect>) -> Option<Node> {
        let base = |effect, children| Node {
            expression: "Consent.policyRule".into(),
            effect: Some(effect),
            criteria: Criteria::default(),
            children,
        };
        let Some(root) = root else {
            if rule.is_none() {
                let reason = "The consent decides nothing: give provision.type, or a policyRule of OPTIN or OPTOUT (v3-ActCode).";
                self.translator.refuse(IssueType::Invalid, reason, "Consent");
            }
            return rule.map(|rule| base(rule, Vec::new()));
        };
        let narrowed = root.narrowings() > 0;
        match (root.effect, rule) {
            (Some(effect), Some(rule)) if effect != rule => {
                if !narrowed {
                    let reason =
                        "policyRule and provision.type say the opposite of each other, and nothing says where each holds.";
                    self.translator.refuse(IssueType::Invalid, reason, "Consent.provision.type");
                }
                let inside = self.node(root, Some(effect), false);
                Some(base(rule, vec![inside]))
            }
            (Some(effect), _) => Some(self.node(root, Some(effect), false)),
            (None, Some(_)) if narrowed => {
                let reason = "policyRule opens or closes everything, and the provision narrows without a type: it can be read as what is covered and as what is \
                              excepted. Give provision.type.";
                self.translator.refuse(IssueType::Invalid, reason, "Consent.provision.type");
                None
            }
            (None, Some(rule)) => Some(self.node(root, Some(rule), false)),
            (None, None) => {
                if root.provisions.is_empty() {
                    let reason =
                        "The consent decides nothing: give provision.type, or a policyRule of OPTIN or OPTOUT (v3-ActCode).";
                    self.translator.refuse(IssueType::Invalid, reason, "Consent.provision.type");
                }
                Some(self.node(root, None, false))
            }
        }
    }

    fn node(&mut self, provision: &Provision, effect: Option<Effect>, nested: bool) -> Node {
        let criteria = self.translator.criteria(provision, effect, nested);
        let children = provision.provisions.iter().map(|child| self.child(child, effect)).collect();
        Node { expression: provision.expression.clone(), effect, criteria, children }
    }

    fn child(&mut self, child: &Provision, parent: Option<Effect>) -> Node {
        let effect = child.effect.or(parent.map(Effect::opposite));
        if effect.is_none() {
            let reason = "Nothing around this provision says what it is an exception to: give it a type.";
            self.translator.refuse(IssueType::Invalid, reason, format!("{}.type", child.expression));
        }
        if child.narrowings() == 0 && child.period.is_none() {
            let reason = "A nested provision without criteria would take the place of the whole provision around it: say what it is about.";
            self.translator.refuse(IssueType::Invalid, reason, &*child.expression);
        }
        if (effect, parent) == (Some(Effect::Deny), Some(Effect::Deny)) {
            let reason = "What is nested in a denial is an exception to it, so a denial there denies nothing more: put it beside the other.";
            self.translator.refuse(IssueType::Invalid, reason, format!("{}.type", child.expression));
        }
        self.node(child, effect, true)
    }
}
