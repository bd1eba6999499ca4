//! Why somebody could or could not see one record, rule by rule. Nothing leaves by an explanation but words about the decision.
//!
//! It asks the decision itself and the same visibility as release does, and never decides anew. Whether a record that makes another one visible is itself
//! visible is the store's word; so is what consents say, which the caller adds.

use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Labels};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::principal::Principal;
use portcullis_oauth::scopes::{Letter, ScopeContext};

use crate::constraint::{Boundary, Constraint, Visibility};
use crate::consulted::Consulted;
use crate::decision::{DenialReason, Permit, Trace};
use crate::operator_rules::{Holds, OperatorRules, Rule, RuleEffect};
use crate::relationship::Relationship;
use crate::rules::consent::Answered;
use crate::stored::StoredVersion;

/// What one step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It lets the record through.
    Yes,
    /// It stands in the way.
    No,
    /// It has nothing to do with it.
    Nothing,
}

/// One rule, or one part of what a rule gives, with what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule's name as in traces, or the part: `boundary`, `criteria`, `labels`.
    pub rule: String,
    /// What it says.
    pub says: Says,
    /// Why, for people.
    pub because: String,
}

impl Step {
    /// A step.
    pub fn new(rule: impl Into<String>, says: Says, because: impl Into<String>) -> Self {
        Self { rule: rule.into(), says, because: because.into() }
    }
}

/// Which scopes open a type for a letter, and which do not.
pub fn scopes(principal: &Principal, (resource_type, letter): (ResourceType, Letter)) -> Step {
    let opening: Vec<&str> = ScopeContext::ALL
        .into_iter()
        .filter(|context| principal.scopes().allows(*context, resource_type, letter))
        .map(|context| match context {
            ScopeContext::Patient => "patient/",
            ScopeContext::User => "user/",
            ScopeContext::System => "system/",
        })
        .collect();
    let asked = format!("{resource_type}.{}", letter.as_char());
    if opening.is_empty() {
        Step::new("scope", Says::No, format!("no scope of the token opens {asked}"))
    } else {
        Step::new("scope", Says::Yes, format!("{asked} is open by scopes of {}", opening.join(" and ")))
    }
}

/// What each of the program's own rules said, as the trace of a decision has it.
pub fn built_in(trace: &Trace, reason: Option<DenialReason>) -> Vec<Step> {
    use crate::decision::{Effect, RuleName};
    let mut steps = Vec::new();
    for verdict in &trace.0 {
        let RuleName::BuiltIn(name) = verdict.rule else { continue };
        if name == "scope" {
            continue;
        }
        steps.push(match &verdict.effect {
            Effect::Permit => Step::new(name, Says::Yes, about(name).0),
            Effect::Deny => {
                let told = reason.map(|reason| format!(" ({reason:?})")).unwrap_or_default();
                Step::new(name, Says::No, format!("{}{told}", about(name).1))
            }
            _ => Step::new(name, Says::Nothing, about(name).2),
        });
    }
    steps
}

/// What a rule means by yes, by no, and by nothing.
fn about(rule: &str) -> (&'static str, &'static str, &'static str) {
    match rule {
        "purpose" => ("there is leave to ask for this purpose", "there is no leave to ask for this purpose", ""),
        "patient-context" => (
            "the patient in context is one whom the user acts for or treats",
            "there is no patient in context, or none whom the user acts for or treats",
            "there are no patient/ scopes",
        ),
        "user-context" => (
            "the roles of the user give a boundary",
            "the roles of the user give nothing",
            "there are no user/ scopes, or rules give what there is",
        ),
        "system-context" => (
            "the client is registered to act on its own behalf",
            "the client is not registered to act on its own behalf",
            "there are no system/ scopes",
        ),
        "membership" => {
            ("[compartments] opens what the user wrote, did or recorded", "", "[compartments] opens nothing to the user")
        }
        "own-entry" => {
            ("the scopes open the resource that stands for the user", "", "the scopes open no resource that stands for the user")
        }
        "break-glass" => ("the glass is broken for somebody", "the glass is broken for nobody", "the purpose is not break-glass"),
        "operator" => ("it is the operator", "it is not the operator", "it is not the operator at the command line"),
        "scope-criteria" => ("criteria of scopes narrow what is open", "", ""),
        _ => ("", "", ""),
    }
}

/// What each rule of the operator says about a version, or about the request where there is none.
pub fn operator_rules(
    rules: &OperatorRules,
    (principal, letter): (&Principal, Letter),
    (resource_type, version): (ResourceType, Option<&StoredVersion>),
) -> Vec<Step> {
    rules.rules().iter().map(|rule| operator_rule(rule, (principal, letter), (resource_type, version))).collect()
}

fn operator_rule(
    rule: &Rule,
    (principal, letter): (&Principal, Letter),
    (resource_type, version): (ResourceType, Option<&StoredVersion>),
) -> Step {
    let name = format!("rule:{}", rule.name());
    let conditions = conditions(rule, principal);
    let tried = if rule.is_shadow() { " (only tried)" } else { "" };
    let nothing = |because: String| Step::new(&name, Says::Nothing, format!("{because}{tried}"));
    let said = |says, because: String| {
        Step::new(&name, if rule.is_shadow() { Says::Nothing } else { says }, format!("{because}{tried}"))
    };
    match rule.effect() {
        RuleEffect::Permit { relationship, .. } => match rule.opens(principal) {
            Some(grant) if grant.types(letter).contains(resource_type) => said(
                Says::Yes,
                format!("it opens {resource_type} of patients by the relationship {}{conditions}", relationship.as_str()),
            ),
            Some(_) => nothing(format!("it opens other types or interactions{conditions}")),
            None => nothing(format!("it does not apply{conditions}")),
        },
        RuleEffect::Deny(_) => match (rule.applies(principal), version) {
            (Holds::No, _) => nothing(format!("it does not apply{conditions}")),
            (Holds::Yes | Holds::Unknown, Some(version)) if rule.hides(version, letter) => {
                said(Says::No, format!("it takes this record away{conditions}"))
            }
            (Holds::Yes | Holds::Unknown, None) if rule.takes(resource_type, letter) => {
                said(Says::No, format!("it takes all of {resource_type} away{conditions}"))
            }
            (Holds::Yes | Holds::Unknown, _) => nothing(format!("it applies, and is about other records{conditions}")),
        },
    }
}

/// Each condition with how it was judged; empty where there is none.
fn conditions(rule: &Rule, principal: &Principal) -> String {
    let judged = |conditions: &crate::operator_rules::Conditions, table: &str| {
        let told = |holds| match holds {
            Holds::Yes => "yes",
            Holds::No => "no",
            Holds::Unknown => "not known",
        };
        conditions.each(principal).map(|one| format!("{table}.{}: {}", one.key, told(one.holds))).collect::<Vec<_>>()
    };
    let mut all = judged(rule.when(), "when");
    all.extend(rule.unless().map(|unless| judged(unless, "unless")).unwrap_or_default());
    if all.is_empty() { String::new() } else { format!("; {}", all.join(", ")) }
}

impl Permit {
    /// Under what constraint it is.
    pub fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// The same for whoever keeps it longer.
    pub fn shared_constraint(&self) -> Arc<Constraint> {
        Arc::clone(&self.constraint)
    }

    /// Whether each way in which records of this type are visible shows a version to whom these patients are related so, and which part of it does not. Consents
    /// are not asked. Empty: the type is hidden.
    pub fn explain(&self, version: &StoredVersion, in_care: &[(Relationship, LogicalId)]) -> Vec<Vec<Step>> {
        let ways = self.constraint.visibility_for(version.resource_type, self.constraint.letter());
        ways.iter().map(|way| parts(way, version, in_care)).collect()
    }
}

impl Permit {
    /// What the consents of each patient of a version come to for what would happen with it, and what each of them says. Nothing where nobody is asked.
    pub fn explain_consents(&self, consulted: &Consulted, version: &StoredVersion, letter: Letter) -> Vec<Answered> {
        let Some(question) = self.constraint.question() else { return Vec::new() };
        let question = question.joined(&consulted.memberships);
        let target = LocalReference { resource_type: version.resource_type, id: version.id.clone() };
        let facts = consulted.facts(&question, (target, version.security.labels), version.body.as_deref());
        question.explained(&consulted.consents, (&version.patients, &facts), letter)
    }

    /// Whether some way in which records of the type are visible is cleared for these labels.
    pub fn is_cleared(&self, version: &StoredVersion, labels: Labels) -> bool {
        let ways = self.constraint.visibility_for(version.resource_type, self.constraint.letter());
        ways.iter().any(|way| way.clearance().covers(labels))
    }
}

/// Why a version has labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelReason {
    /// The labels.
    pub labels: Labels,
    /// Why.
    pub why: Assigned,
}

/// What gave a version a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// A code in its content, by a rule of the automatic labeller.
    Code {
        /// The system of the code.
        system: Box<str>,
        /// The code.
        code: Box<str>,
    },
    /// Whoever wrote it.
    Writer,
    /// A record that it refers to, by which it would be understood.
    Reference(LocalReference),
    /// A label of its own that nobody here understands.
    NotUnderstood,
    /// An earlier version of it, or earlier rules: labels are not lowered.
    Earlier,
}

/// What a store knows of why a record is or is not shown to somebody, beside its rows. It must not leave but in words about a decision.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The consents of its patients, as release consults them.
    pub consulted: Consulted,
    /// Why it has the labels that it has.
    pub labels: Vec<LabelReason>,
}

/// The part of a way that is opened by who wrote, did or recorded something.
pub const BY_PART: &str = "membership";

fn parts(way: &Visibility<'_>, version: &StoredVersion, in_care: &[(Relationship, LogicalId)]) -> Vec<Step> {
    let yes = |holds: bool| if holds { Says::Yes } else { Says::No };
    match way {
        Visibility::Every => vec![Step::new("boundary", Says::Yes, "every record of the type is inside")],
        Visibility::Itself(record) => {
            let is_it = record.resource_type == version.resource_type && record.id == version.id;
            let because = if is_it { "it is the user's own entry" } else { "it is not the user's own entry" };
            vec![Step::new("boundary", yes(is_it), because)]
        }
        Visibility::AboutNothingHidden { .. } => {
            vec![Step::new("boundary", Says::Yes, "it is shown where none of its targets is hidden")]
        }
        Visibility::Compartment(boundary) => {
            let inside =
                **boundary == Boundary::Whole || version.patients.iter().any(|patient| boundary.contains(patient, in_care));
            let whose = version.patients.iter().map(|patient| format!("Patient/{patient}")).collect::<Vec<_>>().join(", ");
            let whose = if whose.is_empty() { "nobody's".to_owned() } else { format!("in the record of {whose}") };
            let lies = if inside { "which is inside" } else { "which is not inside" };
            vec![Step::new("boundary", yes(inside), format!("it is {whose}, {lies} {}", described(boundary)))]
        }
        Visibility::ReferencedFrom { boundary, .. } | Visibility::About { boundary, .. } => {
            let grounds = version.grounds.iter().find(|grounds| {
                **boundary == Boundary::Whole || grounds.patients.iter().any(|patient| boundary.contains(patient, in_care))
            });
            let because = match grounds {
                Some(grounds) => format!("{} makes it visible, which is inside {}", grounds.record, described(boundary)),
                None => format!("no visible record inside {} refers to it", described(boundary)),
            };
            vec![Step::new("boundary", yes(grounds.is_some()), because)]
        }
        Visibility::Qualified { way, admission } => {
            let mut steps = parts(way, version, in_care);
            let admitted = admission.admits_version(version);
            if admission.is_by_part() {
                let because = match admitted {
                    true => "it names the user as [compartments] asks for: by who wrote, did or recorded it",
                    false => "it does not name the user as [compartments] asks for, or criteria of scopes and rules leave it out",
                };
                steps.push(Step::new(BY_PART, yes(admitted), because));
                return steps;
            }
            let because = if admitted {
                "its content is what scopes and rules leave open"
            } else {
                "its content is not what scopes and rules leave open"
            };
            steps.push(Step::new("criteria", yes(admitted), because));
            steps
        }
        Visibility::Cleared { way, clearance } => {
            let mut steps = parts(way, version, in_care);
            let covered = clearance.covers(version.security.labels);
            steps.push(Step::new("labels", yes(covered), labels(version.security.labels, *clearance)));
            steps
        }
        Visibility::Consented { way, .. } => parts(way, version, in_care),
    }
}

fn labels(labels: Labels, clearance: Clearance) -> String {
    let codes: Vec<&str> = labels.codings().map(|(_, code, _)| code).collect();
    if codes.is_empty() {
        return "it has no label".to_owned();
    }
    let uncovered: Vec<&str> = labels
        .codings()
        .map(|(_, code, _)| code)
        .filter(|code| Labels::named(code).is_some_and(|label| !clearance.covers(label)))
        .collect();
    let open = if uncovered.is_empty() {
        "all of which are cleared".to_owned()
    } else {
        format!("of which {} is not cleared", uncovered.join(", "))
    };
    format!("it has the labels {}, {open}", codes.join(", "))
}

/// A boundary in words.
pub fn described(boundary: &Boundary) -> String {
    let patients =
        |patients: &[LogicalId]| patients.iter().map(|patient| format!("Patient/{patient}")).collect::<Vec<_>>().join(", ");
    let actors = |actors: &[portcullis_fhir::reference::LocalReference]| {
        actors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match boundary {
        Boundary::Patients(allowed) => format!("the record of {}", patients(allowed.items())),
        Boundary::CareRelationship(whose) => {
            format!("the records of patients whose Encounter or CareTeam names {}", actors(whose.who.items()))
        }
        Boundary::PatientsInCare(allowed, whose) => {
            format!(
                "the record of {}, as far as an Encounter or CareTeam names {}",
                patients(allowed.items()),
                actors(whose.who.items())
            )
        }
        Boundary::Related(relationship, whose) => {
            format!(
                "the records of patients to whom {} has the relationship {}",
                actors(whose.who.items()),
                relationship.as_str()
            )
        }
        Boundary::Itself(record) => format!("{record} alone"),
        Boundary::Whole => "everything".to_owned(),
    }
}
