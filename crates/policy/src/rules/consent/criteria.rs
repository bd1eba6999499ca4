//! What narrows a provision, in the form in which it is compared with a request and a resource.
//!
//! Values of one element are alternatives; elements that are there must all match; an element that is absent matches everything. Whether something matches can
//! be in doubt: a clinical time that is unknown or only partly inside, break-glass under treatment, a group nobody has looked up. A doubt counts where a
//! provision denies, and does not count where it permits.

use portcullis_fhir::labels::{Confidentiality, Labels, SYSTEM_CONFIDENTIALITY};
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::Reference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_mutants::off;

use super::compiled::Context;
use super::document::{Actor, Coding, Data, Effect, Interval, Meaning, Provision};
use super::facts::{Request, ResourceFacts};
use super::vocabulary::{
    Actions, Purpose, RECIPIENTS, SYSTEM_ACTION, SYSTEM_PARTICIPATION, SYSTEM_RESOURCE_TYPES, SYSTEM_URI, with_included,
};

/// The base of the URLs of R4's own definitions: as a profile, such a URL is a type.
const R4_DEFINITIONS: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Whether something matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It does not.
    No,
    /// It may: denies, and never permits.
    Doubt,
    /// It does.
    Yes,
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// What kind of resource a provision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// A resource type.
    Type(ResourceType),
    /// A profile that the resource claims, without a version.
    Profile(Box<str>),
}

/// A code in a system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeKey {
    /// The system.
    pub system: Box<str>,
    /// The code.
    pub code: Box<str>,
}

/// A security label, as bits of [`Labels`]: one of `any_of` is set, where it has any, and none of `none_of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelCriterion {
    /// One of these is set; no bits: whatever is set.
    pub any_of: u32,
    /// None of these is set.
    pub none_of: u32,
}

/// Which resources are meant by their relation to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCriterion {
    /// The relation.
    pub meaning: Meaning,
    /// To what.
    pub target: Reference,
}

/// Everything that narrows one provision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Criteria {
    pub(super) valid: Option<Interval>,
    pub(super) actors: Vec<Reference>,
    pub(super) purposes: Vec<Purpose>,
    pub(super) actions: Actions,
    pub(super) classes: Vec<Class>,
    pub(super) codes: Vec<CodeKey>,
    pub(super) labels: Vec<LabelCriterion>,
    pub(super) data_period: Option<Interval>,
    pub(super) data: Vec<DataCriterion>,
}

impl Criteria {
    /// Whether a request for a resource matches all of them.
    pub(super) fn matches(&self, request: &Request<'_>, resource: &ResourceFacts) -> Match {
        if self.valid.is_some_and(|valid| !valid.holds(request.now))
            || !self.actions.is_empty() && !self.actions.intersects(request.actions)
        {
            return Match::No;
        }
        let checks: [&dyn Fn() -> Match; 7] = [
            &|| any(&self.purposes, |purpose| purpose.covers(request.purpose)),
            &|| any(&self.actors, |actor| request.is(actor)),
            &|| any(&self.classes, |class| class.covers(resource)),
            &|| any(&self.labels, |label| label.covers(resource.labels)),
            &|| any(&self.codes, |code| code.is_in(resource)),
            &|| self.data_period.map_or(Match::Yes, |period| at_time(period, resource)),
            &|| any(&self.data, |data| data.covers(resource)),
        ];
        let mut least = Match::Yes;
        for check in checks {
            least = least.min(check());
            if least == Match::No {
                break;
            }
        }
        least
    }

    /// How well whoever asks, why and when match, whatever is asked for.
    pub(super) fn concern(&self, request: &Request<'_>) -> Match {
        if self.valid.is_some_and(|valid| !valid.holds(request.now)) {
            return Match::No;
        }
        let purpose = any(&self.purposes, |purpose| purpose.covers(request.purpose));
        if purpose == Match::No { Match::No } else { purpose.min(any(&self.actors, |actor| request.is(actor))) }
    }

    /// Whether they ask for what only the content of a resource says.
    pub(super) fn ask_for_content(&self) -> bool {
        let profiles = self.classes.iter().any(|class| matches!(class, Class::Profile(_)));
        profiles || !self.codes.is_empty() || self.data_period.is_some() || !self.data.is_empty()
    }

    /// Whether an actor of them is the client of the request.
    pub(super) fn name_client(&self, request: &Request<'_>) -> bool {
        self.actors.iter().any(|actor| request.client.contains(actor))
    }
}

/// The best of alternatives; no alternatives are no limit.
fn any<T>(alternatives: &[T], matches: impl Fn(&T) -> Match) -> Match {
    if alternatives.is_empty() {
        return Match::Yes;
    }
    let mut best = Match::No;
    for alternative in alternatives {
        best = best.max(matches(alternative));
        if best == Match::Yes {
            break;
        }
    }
    best
}

/// Whether the clinical time of a resource lies inside; partly, or nobody knows: a doubt.
pub(super) fn at_time(period: Interval, resource: &ResourceFacts) -> Match {
    match resource.clinical_time {
        Some(time) if period.contains(time) => Match::Yes,
        Some(time) if period.and(time).is_none() => Match::No,
        _ => Match::Doubt,
    }
}

/// Whether a resource claims a profile.
pub(super) fn claims(profile: &str, resource: &ResourceFacts) -> Match {
    if resource.is_gone { Match::Doubt } else { resource.profiles.iter().any(|claimed| **claimed == *profile).into() }
}

impl Class {
    pub(super) fn covers(&self, resource: &ResourceFacts) -> Match {
        match self {
            Self::Type(resource_type) => (*resource_type == resource.target.resource_type).into(),
            Self::Profile(profile) => claims(profile, resource),
        }
    }
}

impl CodeKey {
    /// A code that says what the resource is, matches; one that merely stands in it (a reason, a component) is a doubt, and so is any where another resource
    /// says what it is.
    pub(super) fn is_in(&self, resource: &ResourceFacts) -> Match {
        if resource.is_gone {
            Match::Doubt
        } else if resource.codes.contains(self) {
            Match::Yes
        } else if resource.mentioned.binary_search(self).is_ok()
            || resource.is_coded_elsewhere && !off!("consent-coded-elsewhere")
        {
            Match::Doubt
        } else {
            Match::No
        }
    }
}

impl LabelCriterion {
    pub(super) fn covers(self, labels: Labels) -> Match {
        let bits = labels.bits();
        ((self.any_of == 0 || bits & self.any_of != 0) && bits & self.none_of == 0).into()
    }
}

impl DataCriterion {
    pub(super) fn covers(&self, resource: &ResourceFacts) -> Match {
        if resource.is_gone && self.meaning != Meaning::Instance {
            return Match::Doubt;
        }
        if self.meaning == Meaning::AuthoredBy {
            return resource.authors.contains(&self.target).into();
        }
        let Reference::Local(target) = &self.target else { return Match::Doubt };
        let is_target = *target == resource.target;
        let refers = resource.references.contains(target);
        match (self.meaning, &resource.referred_from) {
            (Meaning::Instance, _) => is_target.into(),
            (Meaning::Related, None) if !is_target && !refers => Match::Doubt,
            (Meaning::Related, Some(from)) => (is_target || refers || from.contains(target)).into(),
            _ => (is_target || refers).into(),
        }
    }
}

/// Turns what a document says into what can be compared, or says what cannot.
pub(super) struct Translator<'a> {
    pub(super) context: &'a Context<'a>,
    /// Whose consent it is.
    pub(super) patient: &'a LogicalId,
    pub(super) consent: Option<&'a LogicalId>,
    pub(super) issues: Vec<Issue>,
}

impl Translator<'_> {
    /// The criteria of a provision with an effect; its validity is kept only where it is `nested`.
    pub(super) fn criteria(&mut self, provision: &Provision, effect: Option<Effect>, nested: bool) -> Criteria {
        let expression = &*provision.expression;
        let mut criteria = Criteria { valid: provision.period.filter(|_| nested), ..Criteria::default() };
        for (period, name) in [(provision.period, "period"), (provision.data_period, "dataPeriod")] {
            if period.is_some_and(|period| period.from >= period.to) {
                self.refuse(IssueType::Invalid, "The period ends before it begins.", format!("{expression}.{name}"));
            } else if period == Some(Interval::ALWAYS) {
                self.refuse(IssueType::Invalid, "A period needs a start or an end.", format!("{expression}.{name}"));
            }
        }
        criteria.data_period = provision.data_period;
        for (index, actor) in provision.actors.iter().enumerate() {
            criteria.actors.extend(self.actor(actor, &format!("{expression}.actor[{index}]")));
        }
        for (index, concept) in provision.actions.iter().enumerate() {
            criteria.actions = criteria.actions.and(self.action(concept, format!("{expression}.action[{index}]")));
        }
        for (index, coding) in provision.labels.iter().enumerate() {
            self.label(coding, effect, format!("{expression}.securityLabel[{index}]"), &mut criteria.labels);
        }
        for (index, coding) in provision.purposes.iter().enumerate() {
            let purpose = Purpose::of(&coding.system, &coding.code);
            if purpose.is_none() {
                let reason = "A purpose needs a system and a code; of v3-ActReason one of the purposes of use.";
                self.refuse(IssueType::Value, reason, format!("{expression}.purpose[{index}]"));
            }
            // No request states one: what denies it would deny nothing.
            if effect != Some(Effect::Permit) && matches!(purpose, Some(Purpose::Other(_))) {
                let reason = "Requests state purposes of v3-ActReason: only a permit may name one of another system.";
                self.refuse(IssueType::NotSupported, reason, format!("{expression}.purpose[{index}]"));
            }
            criteria.purposes.extend(purpose);
        }
        for (index, coding) in provision.classes.iter().enumerate() {
            criteria.classes.extend(self.class(coding, format!("{expression}.class[{index}]")));
        }
        for (index, concept) in provision.codes.iter().enumerate() {
            self.code(concept, format!("{expression}.code[{index}]"), &mut criteria.codes);
        }
        for (index, data) in provision.data.iter().enumerate() {
            criteria.data.extend(self.data(data, &format!("{expression}.data[{index}]")));
        }
        criteria
    }

    pub(super) fn refuse(&mut self, code: IssueType, reason: &str, expression: impl Into<String>) {
        self.issues.push(Issue::error(code, reason).at(expression));
    }

    fn actor(&mut self, actor: &Actor, expression: &str) -> Option<Reference> {
        // Codings of other systems are translations; of this one each counts.
        let mut roles = actor.role.iter().filter(|coding| &*coding.system == SYSTEM_PARTICIPATION).peekable();
        if roles.peek().is_none() || !roles.all(|coding| RECIPIENTS.contains(&&*coding.code)) {
            let reason = "Only actors who receive information can be compared with who asks: the role must be IRCP (or NOT, PRCP, REFB, REFT, TRC) of v3-ParticipationType.";
            self.refuse(IssueType::NotSupported, reason, format!("{expression}.role"));
            return None;
        }
        let known = match &actor.who {
            Some(Reference::Local(_)) => true,
            Some(Reference::Identifier { system, .. }) => **system == *self.context.issuer,
            _ => false,
        };
        if !known {
            let reason = format!(
                "The actor must be a resource of this server, or an app by its client_id as an identifier with the system {}.",
                self.context.issuer
            );
            self.refuse(IssueType::NotSupported, &reason, format!("{expression}.reference"));
            return None;
        }
        actor.who.clone()
    }

    fn action(&mut self, concept: &[Coding], expression: String) -> Actions {
        let own = concept.iter().filter(|coding| &*coding.system == SYSTEM_ACTION);
        let actions: Option<Vec<Actions>> = own.map(|coding| Actions::of_code(&coding.code)).collect();
        let Some(actions) = actions.filter(|actions| !actions.is_empty()) else {
            let reason =
                "An action is collect, access, use, disclose or correct of http://terminology.hl7.org/CodeSystem/consentaction.";
            self.refuse(IssueType::NotSupported, reason, expression);
            return Actions::NONE;
        };
        actions.into_iter().fold(Actions::NONE, Actions::and)
    }

    /// A confidentiality is a high-water mark: a permit up to `R` is for `R` and below, a denial of `R` for `R` and above. A permit up to
    /// less than `N` is not for what has none. Other labels include others.
    fn label(&mut self, coding: &Coding, effect: Option<Effect>, expression: String, criteria: &mut Vec<LabelCriterion>) {
        let Some(label) = Labels::of(&coding.system, &coding.code) else {
            let reason = "This server does not know the label, so it could only be ignored.";
            return self.refuse(IssueType::NotSupported, reason, expression);
        };
        let confidentiality = Confidentiality::parse(&coding.code).filter(|_| &*coding.system == SYSTEM_CONFIDENTIALITY);
        criteria.push(match (confidentiality, effect) {
            (None, _) => LabelCriterion { any_of: with_included(label).bits(), none_of: 0 },
            (Some(level), Some(Effect::Deny)) => LabelCriterion { any_of: 1 << level as u32, none_of: 0 },
            (Some(level), Some(Effect::Permit)) => {
                let any_of = if level < Confidentiality::Normal { all_levels() } else { 0 };
                LabelCriterion { any_of, none_of: above(level) }
            }
            (Some(_), None) => {
                let reason = "A confidentiality means 'up to' in a permit and 'from' in a denial: give the provision a type.";
                return self.refuse(IssueType::Invalid, reason, expression);
            }
        });
    }

    fn class(&mut self, coding: &Coding, expression: String) -> Option<Class> {
        let class = match &*coding.system {
            SYSTEM_RESOURCE_TYPES => ResourceType::parse(&coding.code).map(Class::Type),
            SYSTEM_URI if !coding.code.is_empty() => {
                let profile = coding.code.split('|').next().unwrap_or_default();
                let of_type = profile.strip_prefix(R4_DEFINITIONS).and_then(ResourceType::parse);
                Some(of_type.map_or_else(|| Class::Profile(profile.into()), Class::Type))
            }
            _ => None,
        };
        if class.is_none() {
            let reason =
                "A class is a resource type (system http://hl7.org/fhir/resource-types) or a profile (system urn:ietf:rfc:3986).";
            self.refuse(IssueType::NotSupported, reason, expression);
        }
        class
    }

    fn code(&mut self, concept: &[Coding], expression: String, codes: &mut Vec<CodeKey>) {
        if concept.is_empty() || concept.iter().any(|coding| coding.system.is_empty() || coding.code.is_empty()) {
            let reason = "A code is compared by system and code: text alone could only be ignored.";
            return self.refuse(IssueType::NotSupported, reason, expression);
        }
        codes.extend(concept.iter().map(|coding| CodeKey { system: coding.system.clone(), code: coding.code.clone() }));
    }

    fn data(&mut self, data: &Data, expression: &str) -> Option<DataCriterion> {
        let Some(meaning) = data.meaning else {
            let reason = "meaning must be instance, related, dependents or authoredby.";
            self.refuse(IssueType::Value, reason, format!("{expression}.meaning"));
            return None;
        };
        let Some(Reference::Local(target)) = &data.target else {
            let reason = "Data is named by a reference to a resource of this server.";
            self.refuse(IssueType::NotSupported, reason, format!("{expression}.reference"));
            return None;
        };
        if target.resource_type == ResourceType::PATIENT && target.id != *self.patient && meaning != Meaning::AuthoredBy {
            let reason = "A consent is about the records of its own patient; this is another patient.";
            self.refuse(IssueType::Invalid, reason, format!("{expression}.reference"));
        }
        if target.resource_type == ResourceType::CONSENT && Some(&target.id) == self.consent {
            let reason = "A consent cannot be about itself.";
            self.refuse(IssueType::Invalid, reason, format!("{expression}.reference"));
        }
        Some(DataCriterion { meaning, target: Reference::Local(target.clone()) })
    }
}

/// The bits of every confidentiality.
fn all_levels() -> u32 {
    Confidentiality::ALL.into_iter().fold(0, |bits, level| bits | 1 << level as u32)
}

/// The bits of every confidentiality above a level.
pub(super) fn above(level: Confidentiality) -> u32 {
    Confidentiality::ALL.into_iter().filter(|other| *other > level).fold(0, |bits, other| bits | 1 << other as u32)
}
