//! The combining of rules written once more, as small as can be, and random rules, askers and records on which both must agree.

use proptest::prelude::*;

use super::*;

/// A rule in the model: sets as lists, and no machinery.
#[derive(Clone, Debug)]
pub(super) struct Modelled {
    deny: bool,
    pub(super) shadow: bool,
    pub(super) roles: Vec<&'static str>,
    pub(super) client: Option<&'static str>,
    pub(super) unless_network: bool,
    pub(super) night_only: bool,
    pub(super) types: Vec<&'static str>,
    pub(super) letters: &'static str,
    pub(super) status: Option<&'static str>,
    pub(super) label: Option<&'static str>,
}

const TYPES: [&str; 3] = ["Observation", "Condition", "Patient"];

impl Modelled {
    pub(super) fn text(&self, number: usize) -> String {
        let list = |items: &[&str]| items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>().join(", ");
        let mut text = format!(
            "[[rule]]\nname = 'r{number}'\neffect = '{}'\nshadow = {}\n",
            if self.deny { "deny" } else { "permit" },
            self.shadow
        );
        // Distinct clients that nobody uses keep random rules from making each other pointless, which a file must not.
        let mut when = vec![format!(
            "clients = [{}, 'nobody-{number}']",
            self.client.map_or_else(|| list(&["one", "two"]), |client| list(&[client]))
        )];
        if !self.deny {
            text.push_str("relationship = 'organization'\n");
        }
        if !self.roles.is_empty() {
            when.push(format!("roles = [{}]", list(&self.roles)));
        }
        if self.night_only {
            when.push("hours = { from = '20:00', to = '06:00', zone = 'UTC' }".to_owned());
        }
        text.push_str(&format!("when = {{ {} }}\n", when.join(", ")));
        if self.unless_network {
            text.push_str("unless = { networks = ['10.0.0.0/8'] }\n");
        }
        text.push_str(&format!("types = [{}]\ninteractions = '{}'\n", list(&self.types), self.letters));
        if let Some(status) = self.status {
            text.push_str(&format!("criteria = ['_tag={status}']\n"));
        }
        if let Some(label) = self.label.filter(|_| self.deny) {
            text.push_str(&format!("labels = ['{label}']\n"));
        }
        text
    }

    fn applies(&self, asked: &Asked) -> bool {
        (self.roles.is_empty() || self.roles.contains(&asked.role))
            && self.client.is_none_or(|client| client == asked.client)
            && (!self.night_only || asked.night)
            && !(self.unless_network && asked.inside)
    }

    fn is_about(&self, asked: &Asked) -> bool {
        self.types.contains(&asked.kind)
            && self.letters.contains('r')
            && self.status.is_none_or(|status| status == asked.status)
            && (!self.deny || self.label.is_none_or(|label| asked.label == Some(label)))
    }
}

/// A question about one record.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    role: &'static str,
    client: &'static str,
    night: bool,
    inside: bool,
    kind: &'static str,
    status: &'static str,
    label: Option<&'static str>,
    relationship: Relationship,
}

/// What the model says: shown where the role or a permit opens it, and no deny takes it away.
fn expected(rules: &[Modelled], asked: &Asked) -> bool {
    let enforced = || rules.iter().filter(|rule| !rule.shadow && rule.applies(asked) && rule.is_about(asked));
    let by_role = asked.role == "clinician" && asked.relationship == Relationship::Care;
    let by_permit = asked.relationship == Relationship::Organization && enforced().any(|rule| !rule.deny);
    (by_role || by_permit) && !enforced().any(|rule| rule.deny)
}

pub(super) fn answered(rules: &Arc<OperatorRules>, asked: &Asked) -> bool {
    let asking = Asking {
        roles: if asked.role == "staff" { &[Role::Staff] } else { &[Role::Clinician] },
        client: asked.client,
        address: Some(if asked.inside { "10.0.0.9" } else { "192.0.2.9" }),
        at: if asked.night { MONDAY + 12 * 3600 } else { MONDAY },
        scopes: "user/*.rs",
        ..CLINICIAN
    };
    let tag = format!(r#","meta":{{"tag":[{{"code":"{}"}}]}}"#, asked.status);
    let mut version = version(asked.kind, &asked.label.into_iter().collect::<Vec<_>>(), &tag);
    if asked.kind == "Patient" {
        version.id = id("p");
    }
    asking.reads(rules, asked.kind).is_ok_and(|permit| releases(&permit, asked.relationship, &version))
}

pub(super) fn any_rule() -> impl Strategy<Value = Modelled> {
    let roles = prop::sample::select(vec![vec![], vec!["staff"], vec!["clinician"], vec!["staff", "clinician"]]);
    let client = prop::option::of(prop::sample::select(vec!["one", "two"]));
    let types = prop::sample::subsequence(TYPES.to_vec(), 1..=3);
    let letters = prop::sample::select(vec!["r", "rs", "s", "cruds"]);
    let content =
        (prop::option::of(prop::sample::select(vec!["a", "b"])), prop::option::of(prop::sample::select(vec!["HIV", "PSY"])));
    (any::<bool>(), prop::bool::weighted(0.2), roles, client, any::<bool>(), any::<bool>(), types, letters, content).prop_map(
        |(deny, shadow, mut roles, client, unless_network, night_only, types, letters, (status, label))| {
            if !deny && roles.is_empty() {
                roles = vec!["staff"];
            }
            Modelled { deny, shadow, roles, client, unless_network, night_only, types, letters, status, label }
        },
    )
}

pub(super) fn any_question() -> impl Strategy<Value = Asked> {
    let who = (prop::sample::select(vec!["staff", "clinician"]), prop::sample::select(vec!["one", "two"]));
    let label = prop::option::of(prop::sample::select(vec!["HIV", "PSY"]));
    let what = (prop::sample::select(TYPES.to_vec()), prop::sample::select(vec!["a", "b"]), label);
    let relationship =
        prop::sample::select(vec![Relationship::Care, Relationship::Organization, Relationship::GeneralPractitioner]);
    (who, any::<bool>(), any::<bool>(), what, relationship).prop_map(
        |((role, client), night, inside, (kind, status, label), relationship)| Asked {
            role,
            client,
            night,
            inside,
            kind,
            status,
            label,
            relationship,
        },
    )
}

fn compiled(rules: &[Modelled]) -> Option<Arc<OperatorRules>> {
    let text: String = rules.iter().enumerate().map(|(number, rule)| rule.text(number)).collect();
    if rules.is_empty() {
        return Some(Arc::default());
    }
    match parse(&text) {
        Ok(rules) => Some(Arc::new(rules)),
        Err(problems) => panic!("{text}{problems:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rules_decide_as_the_model_does(
        rules in prop::collection::vec(any_rule(), 0..5),
        asked in prop::collection::vec(any_question(), 8),
    ) {
        let compiled = compiled(&rules).unwrap();
        for asked in &asked {
            prop_assert_eq!(answered(&compiled, asked), expected(&rules, asked), "{:?} {:?}", rules, asked);
        }
    }

    #[test]
    fn one_deny_more_never_shows_more_and_one_that_is_tried_changes_nothing(
        rules in prop::collection::vec(any_rule(), 0..4),
        more in any_rule(),
        asked in prop::collection::vec(any_question(), 8),
    ) {
        let with = |rule: Modelled| compiled(&rules.iter().cloned().chain([rule]).collect::<Vec<_>>()).unwrap();
        let before = compiled(&rules).unwrap();
        let denied = with(Modelled { deny: true, shadow: false, ..more.clone() });
        let tried = with(Modelled { shadow: true, roles: if more.roles.is_empty() { vec!["staff"] } else { more.roles.clone() }, ..more });
        for asked in &asked {
            prop_assert!(answered(&before, asked) || !answered(&denied, asked), "{:?}", asked);
            prop_assert_eq!(answered(&before, asked), answered(&tried, asked), "{:?}", asked);
        }
    }
}
