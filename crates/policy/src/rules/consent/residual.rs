//! What the consents of a patient leave of an access, in the terms in which a token can say it to another server (IHE PCF, ITI-71, extension `ihe_pcf`).
//!
//! <https://profiles.ihe.net/ITI/PCF/other.html>. Who asks and why has been judged here; what remains is about data: "residual `forbid` indicates data that is forbidden;
//! residual `permit` overrides an explicit residual `forbid`; if no `forbid` applies, then the data is allowed". That language knows security labels, a time and
//! relations to a resource, one level and no order of consents. **What it cannot say is said more strictly**, never less: whatever a residual lets through, the consents
//! do (a property test shows it), and this server itself decides by the consents.

use portcullis_fhir::labels::{Confidentiality, Labels};
use portcullis_fhir::types::LogicalId;

use super::compiled::{CompiledConsent, Replacing, Standing};
use super::criteria::{DataCriterion, Match, above};
use super::document::{Effect, Interval};
use super::facts::Request;
use super::implicit::{ImplicitPolicy, implied};
use super::question::Question;
use super::rows::{ConsentRow, rows};
use super::vocabulary::Actions;
use crate::consulted::Consulted;

/// What consents leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// The Consents that count now, each once.
    pub consents: Vec<LogicalId>,
    /// The policies that they name by URI, each once.
    pub policies: Vec<Box<str>>,
    /// First what is forbidden, then what is permitted all the same. None: everything that the scopes open.
    pub rules: Vec<ResidualRule>,
}

/// A rule about data: it is about whatever has one of the labels, lies in the time and has the relation; what it does not name is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualRule {
    /// Deny is PCF's `forbid`. In doubt (a clinical time that nobody knows) it applies, and a permit does not.
    pub effect: Effect,
    /// System and code.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The clinical time.
    pub data_period: Option<Interval>,
    /// The relation to a resource.
    pub data: Option<DataCriterion>,
}

impl ResidualRule {
    /// Everything is forbidden.
    const FORBID: Self = Self { effect: Effect::Deny, labels: Vec::new(), data_period: None, data: None };
}

impl Residual {
    /// Nothing at all.
    pub fn nothing() -> Self {
        Self { consents: Vec::new(), policies: Vec::new(), rules: vec![ResidualRule::FORBID] }
    }

    /// What they leave of what this question, [joined](Question::joined) with the memberships, asks of a patient. Where the consents are not known, nothing.
    pub fn of(question: &Question, consulted: &Consulted, patient: &LogicalId) -> Self {
        let own_record = question.own().contains(patient);
        let request = question.request(Actions::NONE, own_record);
        let counting = counting(&consulted.consents, patient, request.now);
        let mut consents: Vec<LogicalId> = counting.iter().map(|consent| consent.id.clone()).collect();
        consents.sort_unstable();
        consents.dedup();
        let mut policies: Vec<Box<str>> = counting.iter().flat_map(|consent| consent.policies.iter().cloned()).collect();
        policies.sort_unstable();
        policies.dedup();
        let rules = if !consulted.knows(patient) {
            vec![ResidualRule::FORBID]
        } else {
            let asked = Asked { request, implicit: question.implicit() };
            let besides = question
                .besides(patient)
                .map(|purpose| Asked { request: Request { purpose, ..request }, implicit: ImplicitPolicy::AllNormal });
            match besides {
                None => asked.rules(&counting),
                Some(besides) => both(asked.rules(&counting), besides.rules(&counting)),
            }
        };
        Self { consents, policies, rules }
    }
}

/// The consents of a patient that count now.
pub(super) fn counting<'a>(consents: &'a [CompiledConsent], patient: &LogicalId, now: i64) -> Vec<&'a CompiledConsent> {
    let counts = |consent: &&CompiledConsent| consent.patient == *patient && consent.valid.holds(now);
    let replacing = Replacing::of(consents.iter().filter(counts), now);
    consents.iter().filter(counts).filter(|consent| !replacing.replaces(consent)).collect()
}

/// What two residuals let through: all that either forbids is forbidden, and exceptions could override the other's.
fn both(one: Vec<ResidualRule>, other: Vec<ResidualRule>) -> Vec<ResidualRule> {
    let mut rules: Vec<ResidualRule> = one.into_iter().chain(other).filter(|rule| rule.effect == Effect::Deny).collect();
    if rules.contains(&ResidualRule::FORBID) {
        rules = vec![ResidualRule::FORBID];
    }
    rules
}

/// For whom and for what.
pub(super) struct Asked<'a> {
    pub(super) request: Request<'a>,
    pub(super) implicit: ImplicitPolicy,
}

/// A row that says something to whoever asks, and of which version of a consent it is.
struct Placed {
    consent: usize,
    row: ConsentRow,
}

impl Asked<'_> {
    pub(super) fn rules(&self, counting: &[&CompiledConsent]) -> Vec<ResidualRule> {
        let (mut denying, mut permitting) = (Vec::new(), Vec::new());
        for (place, consent) in counting.iter().enumerate() {
            let Ok(rows) = rows(consent) else {
                if self.request.own_record {
                    continue;
                }
                return vec![ResidualRule::FORBID];
            };
            for row in rows.into_iter().filter(|row| row.valid.holds(self.request.now)) {
                let (concerns, placed) = (self.concerns(&row), Placed { consent: place, row });
                match placed.row.effect {
                    Effect::Deny if concerns != Match::No => denying.push(placed),
                    Effect::Permit if concerns == Match::Yes && consent.standing == Standing::Verified => permitting.push(placed),
                    _ => {}
                }
            }
        }
        let is_open = self.request.own_record
            || implied(self.implicit, &self.request) == Effect::Permit
            || permitting.iter().any(|placed| placed.row.is_about_everything());
        let forbidden: Vec<ResidualRule> = denying.iter().map(|placed| placed.row.forbidding()).collect();
        if is_open && forbidden.is_empty() {
            return Vec::new();
        }
        // An exception overrides every rule that forbids, so it stands only where it is one to each row that denies.
        let is_exception =
            |placed: &&Placed| denying.iter().all(|other| other.consent == placed.consent && placed.row.is_inside(&other.row));
        let exceptions = permitting.iter().filter(is_exception).filter_map(|placed| placed.row.permitting());
        let nothing = (!is_open).then_some(ResidualRule::FORBID);
        deduplicated(nothing.into_iter().chain(forbidden).chain(exceptions))
    }

    /// Whether a row is about whoever asks, and why.
    fn concerns(&self, row: &ConsentRow) -> Match {
        let named = row.actors.iter().any(|actor| self.request.client.contains(actor));
        if row.effect == Effect::Deny && self.request.own_record && !named {
            return Match::No;
        }
        let purpose = row.purpose.iter().map(|purpose| purpose.covers(self.request.purpose));
        purpose.chain(row.actors.iter().map(|actor| self.request.is(actor))).min().unwrap_or(Match::Yes)
    }
}

fn deduplicated(rules: impl Iterator<Item = ResidualRule>) -> Vec<ResidualRule> {
    let mut once = Vec::new();
    for rule in rules {
        if !once.contains(&rule) {
            once.push(rule);
        }
    }
    once
}

impl ConsentRow {
    /// Whether it asks for nothing of a resource and of what happens with it.
    fn is_about_everything(&self) -> bool {
        self.says_all_of_it()
            && self.labels_any.is_empty()
            && self.labels_none == 0
            && self.data_periods.is_empty()
            && self.data.is_empty()
    }

    /// Whether a rule of a residual can say what it is about, but for labels.
    fn says_all_of_it(&self) -> bool {
        let plain = self.actions.is_empty() && self.resource_type.is_none() && self.profiles.is_empty() && self.codes.is_empty();
        plain && self.data_periods.len() <= 1 && self.data.len() <= 1
    }

    /// Whether it is an exception to another row of the same consent.
    fn is_inside(&self, other: &Self) -> bool {
        self.depth > other.depth && self.path.starts_with(&*other.path)
    }

    /// At least all that it denies.
    fn forbidding(&self) -> ResidualRule {
        let labels = self.labels_any.first().map(|bits| denied_codes(*bits)).unwrap_or_default();
        ResidualRule {
            effect: Effect::Deny,
            labels,
            data_period: self.data_periods.first().copied(),
            data: self.data.first().cloned(),
        }
    }

    /// What it permits, where a rule can say it.
    fn permitting(&self) -> Option<ResidualRule> {
        let labels = match (self.labels_any.as_slice(), self.labels_none) {
            ([], 0) => Vec::new(),
            ([any], 0) => permitted_codes(*any)?,
            ([], none) => up_to(Confidentiality::ALL.into_iter().find(|level| above(*level) == none)?),
            _ => return None,
        };
        let rule = ResidualRule {
            effect: Effect::Permit,
            labels,
            data_period: self.data_periods.first().copied(),
            data: self.data.first().cloned(),
        };
        self.says_all_of_it().then_some(rule)
    }
}

/// The codes of a resource that has one of these bits: of a confidentiality, it and those above.
fn denied_codes(bits: u32) -> Vec<(&'static str, &'static str)> {
    if bits & Labels::UNKNOWN.bits() != 0 {
        // It has no code, so that only a rule about everything is about it.
        return Vec::new();
    }
    let levels = Confidentiality::ALL.into_iter().filter(|level| (0..=*level as u32).any(|below| bits & (1 << below) != 0));
    codes(levels.map(Labels::confidential).chain(others(bits)))
}

/// The codes of which a resource has one only if it has one of these bits; none where that cannot be said.
fn permitted_codes(bits: u32) -> Option<Vec<(&'static str, &'static str)>> {
    let codes = codes(others(bits));
    (!codes.is_empty()).then_some(codes)
}

fn up_to(level: Confidentiality) -> Vec<(&'static str, &'static str)> {
    codes(Confidentiality::ALL.into_iter().filter(|other| *other <= level).map(Labels::confidential))
}

/// One set for each bit that is no confidentiality.
fn others(bits: u32) -> impl Iterator<Item = Labels> {
    (0..u32::BITS)
        .map(|bit| 1 << bit)
        .filter(move |bit| bits & bit != 0)
        .filter_map(Labels::from_bits)
        .filter(|one| one.confidentiality().is_none())
}

fn codes(sets: impl Iterator<Item = Labels>) -> Vec<(&'static str, &'static str)> {
    let mut codes: Vec<_> = sets.filter_map(|set| set.codings().next()).map(|(system, code, _)| (system, code)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
