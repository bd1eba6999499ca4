//! What the profiles of IHE PCF ask of a consent that claims one in `meta.profile`, and of every consent where the operator wants one.
//!
//! <https://profiles.ihe.net/ITI/PCF/>, StructureDefinition/IHE.PCF.consentBasic, .consentIntermediate and .consentAdvanced. A consent that claims none, at a server
//! that wants none, is held to R4 and to what this server can enforce (`check.rs`).

use portcullis_fhir::labels::SYSTEM_ACT_REASON;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::Reference;

use super::document::{ConsentDocument, Data, Meaning, Provision};
use super::vocabulary::{RECIPIENT, SYSTEM_PARTICIPATION};

const BASE: &str = "https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consent";
/// The purposes of the Basic profile.
const BASIC_PURPOSES: [&str; 3] = ["TREAT", "HPAYMT", "HOPERAT"];
/// What data may be related to.
const RELATED: [&str; 3] = ["Encounter", "CarePlan", "EpisodeOfCare"];
/// By whom data may be authored.
const AUTHORS: [&str; 8] =
    ["Practitioner", "PractitionerRole", "Organization", "Device", "Group", "CareTeam", "Patient", "RelatedPerson"];

/// A profile of IHE PCF: each allows more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Whom and for what purpose, on one level.
    Basic,
    /// Also which data and of what time, on two levels.
    Intermediate,
    /// Also by security labels.
    Advanced,
}

impl Profile {
    fn parse(canonical: &str) -> Option<Self> {
        Some(match canonical.split('|').next()?.strip_prefix(BASE)? {
            "Basic" => Self::Basic,
            "Intermediate" => Self::Intermediate,
            "Advanced" => Self::Advanced,
            _ => return None,
        })
    }
}

/// What is missing or too much for the profiles that the consent claims, and for the one that the operator wants of every consent.
pub(super) fn check(document: &ConsentDocument, wanted: Option<Profile>) -> Vec<Issue> {
    let claimed = document.profiles.iter().filter_map(|profile| Profile::parse(profile));
    // All ask for the same head, and what the first forbids, the others may allow.
    let Some(strictest) = claimed.chain(wanted).min() else { return Vec::new() };
    let mut findings = Findings(Vec::new());
    findings.head(document);
    if let Some(root) = &document.provision {
        findings.provisions(root, strictest);
    }
    findings.0
}

struct Findings(Vec<Issue>);

impl Findings {
    fn demand(&mut self, holds: bool, reason: &str, expression: impl Into<String>) {
        if !holds {
            self.0.push(Issue::error(IssueType::Invalid, format!("{reason} (profile of IHE PCF).")).at(expression));
        }
    }

    fn head(&mut self, document: &ConsentDocument) {
        let has_type = document.provision.as_ref().is_some_and(|provision| provision.effect.is_some());
        let has_policy = !document.policies.is_empty() && document.policies.iter().all(Option::is_some);
        self.demand(document.date_time.is_some(), "dateTime is required", "Consent.dateTime");
        self.demand(!document.performers.is_empty(), "performer is required", "Consent.performer");
        self.demand(!document.organisations.is_empty(), "organization is required", "Consent.organization");
        self.demand(document.has_source, "source[x] is required", "Consent.source");
        self.demand(has_policy, "policy.uri is required", "Consent.policy.uri");
        self.demand(!document.has_authority, "policy.authority is not used", "Consent.policy.authority");
        self.demand(document.policy_rule.is_none(), "policyRule is not used", "Consent.policyRule");
        self.demand(document.verified_with.is_empty(), "verification is not used", "Consent.verification");
        self.demand(has_type, "provision.type is required", "Consent.provision.type");
    }

    fn provisions(&mut self, root: &Provision, option: Profile) {
        let deepest = if option == Profile::Basic { 0 } else { 1 };
        self.demand(root.depth() <= deepest, &format!("{deepest} levels may be nested"), "Consent.provision.provision");
        for provision in root.all() {
            let expression = &provision.expression;
            let recipients = provision
                .actors
                .iter()
                .all(|actor| actor.role.iter().any(|role| &*role.system == SYSTEM_PARTICIPATION && &*role.code == RECIPIENT));
            self.demand(recipients, "actor.role is IRCP", format!("{expression}.actor.role"));
            for (is_absent, name) in [
                (provision.actions.is_empty(), "action"),
                (provision.classes.is_empty(), "class"),
                (provision.codes.is_empty(), "code"),
            ] {
                self.demand(is_absent, &format!("{name} is not used"), format!("{expression}.{name}"));
            }
            let labels = option == Profile::Advanced || provision.labels.is_empty();
            self.demand(labels, "securityLabel needs the Advanced profile", format!("{expression}.securityLabel"));
            if option == Profile::Basic {
                self.basic(provision);
            } else {
                let related = provision.data.iter().all(is_published_relation);
                let reason = "data is an instance, related to an Encounter, CarePlan or EpisodeOfCare, or authored by somebody";
                self.demand(related, reason, format!("{expression}.data"));
            }
        }
    }

    fn basic(&mut self, provision: &Provision) {
        let expression = &provision.expression;
        let is_basic = |code: &str| BASIC_PURPOSES.contains(&code);
        let purposes = provision.purposes.iter().all(|purpose| &*purpose.system == SYSTEM_ACT_REASON && is_basic(&purpose.code));
        self.demand(purposes, "purpose is TREAT, HPAYMT or HOPERAT in the Basic profile", format!("{expression}.purpose"));
        let no_time = provision.data_period.is_none();
        self.demand(no_time, "dataPeriod needs the Intermediate profile", format!("{expression}.dataPeriod"));
        self.demand(provision.data.is_empty(), "data needs the Intermediate profile", format!("{expression}.data"));
    }
}

fn is_published_relation(data: &Data) -> bool {
    let target = match &data.target {
        Some(Reference::Local(local)) => local.resource_type.name(),
        _ => "",
    };
    match data.meaning {
        Some(Meaning::Instance) => true,
        Some(Meaning::Related) => RELATED.contains(&target),
        Some(Meaning::AuthoredBy) => AUTHORS.contains(&target),
        Some(Meaning::Dependents) | None => false,
    }
}
