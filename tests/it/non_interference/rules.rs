//! Rules of the operator, told a second time: as text for the product, and as what they mean to the view.

use std::sync::Arc;

use portcullis_policy::OperatorRules;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::data::BASE;
use super::labels::Labels;
use super::people::{Criteria, Person, QUALIFIABLE};
use super::purposes;

/// How a practitioner has to do with a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// An Encounter or a CareTeam names the practitioner.
    Care,
    /// An organisation of the practitioner's roles manages the patient, or provides an Encounter.
    Organization,
    /// A CareTeam names the practitioner or a role.
    CareTeam,
    /// The Patient names the practitioner or a role.
    GeneralPractitioner,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whose records it opens; `None`: it denies.
    pub permits: Option<Relation>,
    /// Who has this role.
    pub role: Option<&'static str>,
    /// Who asks for this.
    pub purpose: Option<&'static str>,
    /// But for who asks for this.
    pub unless: Option<&'static str>,
    /// None: all.
    pub types: Vec<&'static str>,
    /// A part of `cruds`.
    pub letters: &'static str,
    /// About records with this content.
    pub criteria: Option<&'static Criteria>,
    /// About records with this label.
    pub label: Option<&'static str>,
}

impl Rule {
    /// A rule about everything, for all.
    pub fn of(permits: Option<Relation>) -> Self {
        Self {
            permits,
            role: None,
            purpose: None,
            unless: None,
            types: Vec::new(),
            letters: "cruds",
            criteria: None,
            label: None,
        }
    }

    fn text(&self, number: usize) -> String {
        let list = |items: &[&str]| items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>().join(", ");
        let effect = if self.permits.is_some() { "permit" } else { "deny" };
        let mut text = format!("[[rule]]\nname = 'r{number}'\neffect = '{effect}'\n");
        let mut when = Vec::new();
        when.extend(self.role.map(|role| format!("roles = ['{role}']")));
        when.extend(self.purpose.map(|purpose| format!("purpose = ['{purpose}']")));
        if !when.is_empty() {
            text += &format!("when = {{ {} }}\n", when.join(", "));
        }
        text += &self.unless.map(|purpose| format!("unless = {{ purpose = ['{purpose}'] }}\n")).unwrap_or_default();
        if !self.types.is_empty() {
            text += &format!("types = [{}]\n", list(&self.types));
        }
        text += &format!("interactions = '{}'\n", self.letters);
        text += &self.criteria.map(|criteria| format!("criteria = ['{}']\n", criteria.text)).unwrap_or_default();
        text += &self.label.map(|label| format!("labels = ['{label}']\n")).unwrap_or_default();
        let relationship = match self.permits {
            None | Some(Relation::Care) => return text,
            Some(Relation::Organization) => "organization",
            Some(Relation::CareTeam) => "care-team",
            Some(Relation::GeneralPractitioner) => "general-practitioner",
        };
        text + &format!("relationship = '{relationship}'\n")
    }

    /// Whether it applies to what a person asks.
    pub fn applies(&self, person: &Person, letter: char) -> bool {
        let asks_for = |wider: &str| purposes::includes(wider, person.purpose());
        self.letters.contains(letter)
            && self.role.is_none_or(|role| person.roles().iter().any(|own| own.as_str() == role))
            && self.purpose.is_none_or(asks_for)
            && !self.unless.is_some_and(asks_for)
    }

    fn is_about(&self, resource_type: &str) -> bool {
        self.types.is_empty() || self.types.contains(&resource_type)
    }

    /// Whether it takes a type away.
    pub fn takes_type(&self, resource_type: &str) -> bool {
        self.permits.is_none() && self.criteria.is_none() && self.label.is_none() && self.is_about(resource_type)
    }

    /// Whether it takes away what has such labels, of whatever type.
    pub fn takes_labels(&self, labels: &Labels) -> bool {
        self.permits.is_none() && self.types.is_empty() && self.label.is_some_and(|label| labels.reach(label))
    }

    /// Whether it takes a record of a type away for its content or labels. Of a deletion it does not know, and takes it.
    pub fn takes_record(&self, resource_type: &str, content: Option<&Value>, labels: &Labels) -> bool {
        let by_record = self.criteria.is_some() || self.label.is_some();
        self.permits.is_none()
            && by_record
            && !self.types.is_empty()
            && self.is_about(resource_type)
            && content.is_none_or(|content| {
                self.criteria.is_none_or(|criteria| criteria.may_hold(content))
                    && self.label.is_none_or(|label| labels.reach(label))
            })
    }

    /// Whether it takes some records of a type away.
    pub fn takes_some(&self, resource_type: &str) -> bool {
        self.permits.is_none() && (self.criteria.is_some() || self.label.is_some()) && self.is_about(resource_type)
    }

    /// Whether a permit opens a record of a type.
    pub fn gives(&self, resource_type: &str, letter: char) -> bool {
        self.is_about(resource_type) && self.letters.contains(letter)
    }

    /// Whether a permit opens this content.
    pub fn gives_record(&self, content: Option<&Value>) -> bool {
        self.criteria.is_none_or(|criteria| content.is_some_and(|content| criteria.open(content)))
    }
}

/// The rules as the product has them.
pub fn compiled(rules: &[Rule]) -> Arc<OperatorRules> {
    if rules.is_empty() {
        return Arc::default();
    }
    parsed(rules).unwrap_or_else(|problems| panic!("{problems}"))
}

fn parsed(rules: &[Rule]) -> Result<Arc<OperatorRules>, String> {
    let text: String = rules.iter().enumerate().map(|(number, rule)| rule.text(number)).collect();
    OperatorRules::parse(&text, BASE, &|_| None).map(Arc::new).map_err(|problems| format!("{text}{problems:?}"))
}

/// Types that rules are about together.
static TYPES: [&[&str]; 5] =
    [&["Observation"], &["Patient", "Encounter"], &["Practitioner"], &["Condition", "Observation"], &["Organization"]];

/// Random rules, without those that a file must not have beside the others.
pub fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 1..4).prop_map(|drawn| {
        let mut rules = Vec::new();
        for rule in drawn {
            rules.push(rule);
            if parsed(&rules).is_err() {
                rules.pop();
            }
        }
        rules
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let purpose = || prop::option::weighted(0.25, select(&["TREAT", "COC", "PATRQT", "FAMRQT"][..]));
    let letters = select(&["cruds", "cruds", "rs", "r", "s", "u"][..]);
    let types = || select(&TYPES[..]);
    let role = || prop::option::weighted(0.4, select(&["clinician", "patient", "representative"][..]));
    let label = || select(&["HIV", "PSY", "R"][..]);
    let conditions = (role(), purpose(), purpose());
    let plain = Rule::of;
    let about = prop_oneof![
        3 => types().prop_map(move |types| Rule { types: types.to_vec(), ..plain(None) }),
        2 => label().prop_map(move |label| Rule { label: Some(label), ..plain(None) }),
        2 => (types(), label()).prop_map(move |(types, label)| Rule { types: types.to_vec(), label: Some(label), ..plain(None) }),
        3 => select(QUALIFIABLE.as_slice()).prop_map(move |(name, criteria)| Rule { types: vec![name], criteria: Some(criteria), ..plain(None) }),
    ];
    let deny = (about, conditions, letters.clone()).prop_map(|(rule, (role, purpose, unless), letters)| {
        // A rule about labels of all types is one about everything that is done with them.
        let letters = if rule.types.is_empty() { "cruds" } else { letters };
        Rule { role, purpose, unless, letters, ..rule }
    });
    let relation =
        select(&[Relation::Organization, Relation::Organization, Relation::CareTeam, Relation::GeneralPractitioner][..]);
    let opened = prop_oneof![
        2 => types().prop_map(<[_]>::to_vec),
        3 => Just(vec!["Patient", "Observation", "Encounter", "Condition", "Consent", "Practitioner", "Organization"]),
    ];
    let content = prop::option::weighted(0.2, select(QUALIFIABLE.as_slice()));
    let permit = (relation, opened, purpose(), letters, content).prop_map(move |(relation, types, purpose, letters, content)| {
        let (types, criteria) = content.map_or((types, None), |(name, criteria)| (vec![name], Some(criteria)));
        Rule { types, criteria, role: Some("clinician"), purpose, letters, ..plain(Some(relation)) }
    });
    prop_oneof![3 => deny, 2 => permit]
}
