//! Which changes of a file let more be seen: as a table, and against what random rules really decide.

use proptest::prelude::*;

use super::model::{Modelled, answered, any_question, any_rule};
use super::*;
use crate::operator_rules::{Widened, Widening};

fn widened(before: &str, after: &str) -> Vec<(String, Widened)> {
    let none = |text: &str| if text.is_empty() { Arc::default() } else { rules(text) };
    let found = none(after).widen(&none(before));
    found.into_iter().map(|Widening { rule, how }| (rule.to_string(), how)).collect()
}

fn rule(name: &str, rest: &str) -> String {
    format!("[[rule]]\nname = '{name}'\n{rest}\n")
}

fn deny(rest: &str) -> String {
    rule("r", &format!("effect = 'deny'\n{rest}"))
}

fn permit(rest: &str) -> String {
    rule("r", &format!("effect = 'permit'\nrelationship = 'organization'\n{rest}"))
}

#[test]
fn whoever_moves_a_server_to_another_place_lets_more_be_seen_where_rules_of_the_place_deny() {
    let of = |place: &str| format!("jurisdictions = ['{place}']\n{}", deny("jurisdictions = ['US-TX']\ntypes = ['Condition']"));
    assert_eq!(widened(&of("US-TX"), &of("US-CA")), [("r".to_owned(), Widened::DenialGone)]);
    assert_eq!(widened(&of("US-CA"), &of("US-TX")), []);
}

#[test]
fn a_denial_that_is_removed_weakened_or_only_tried_lets_more_be_seen() {
    let all = "types = ['Condition', 'Observation']\n";
    let inside = "unless = { networks = ['10.0.0.0/8'] }";
    for (before, after, how) in [
        (deny(all), String::new(), Widened::DenialGone),
        (deny(all), rule("s", "effect = 'deny'\ntypes = ['Patient']"), Widened::DenialGone),
        (deny(all), permit("types = ['Condition']\nwhen = { roles = ['staff'] }"), Widened::DenialGone),
        (deny(all), deny(&format!("{all}shadow = true")), Widened::DenialTried),
        (deny(all), deny("types = ['Condition']"), Widened::DenialWeaker),
        (deny(all), deny(&format!("{all}interactions = 'rs'")), Widened::DenialWeaker),
        (deny(all), deny(&format!("{all}when = {{ roles = ['staff'] }}")), Widened::DenialWeaker),
        (deny(all), deny(&format!("{all}{inside}")), Widened::DenialWeaker),
        (deny(all), deny(&format!("{all}criteria = ['_tag=a']")), Widened::DenialWeaker),
        (deny(all), deny(&format!("{all}labels = ['HIV']")), Widened::DenialWeaker),
        (
            deny(&format!("{all}{inside}")),
            deny(&format!("{all}unless = {{ networks = ['10.0.0.0/8', '192.168.0.0/16'] }}")),
            Widened::DenialWeaker,
        ),
        (
            deny(&format!("{all}when = {{ clients = ['one', 'two'] }}")),
            deny(&format!("{all}when = {{ clients = ['one'] }}")),
            Widened::DenialWeaker,
        ),
        (deny("labels = ['HIV', 'PSY']"), deny("labels = ['HIV']"), Widened::DenialWeaker),
    ] {
        let found = widened(&before, &after);
        assert!(found.contains(&("r".to_owned(), how)), "{before}{after}{found:?}");
    }
}

#[test]
fn a_permit_that_is_new_wider_or_not_only_tried_any_more_lets_more_be_seen() {
    let staff = "when = { roles = ['staff'] }\n";
    let both = format!("types = ['Patient', 'Condition']\n{staff}");
    let one = format!("types = ['Patient']\n{staff}");
    for (before, after, how) in [
        (String::new(), permit(&one), Widened::PermitNew),
        (deny("types = ['Condition']"), permit(&one), Widened::PermitNew),
        (permit(&format!("{one}shadow = true")), permit(&one), Widened::PermitCounts),
        (permit(&one), permit(&both), Widened::PermitWider),
        (permit(&format!("{one}interactions = 'r'")), permit(&one), Widened::PermitWider),
        (permit(&format!("{one}criteria = ['gender=male']")), permit(&one), Widened::PermitWider),
        (permit(&one), permit("types = ['Patient']\nwhen = { roles = ['staff', 'clinician'] }"), Widened::PermitWider),
        (permit(&one), permit(&one).replace("organization", "care-team"), Widened::PermitWider),
        (permit(&format!("{one}unless = {{ networks = ['10.0.0.0/8'] }}")), permit(&one), Widened::PermitWider),
    ] {
        let found = widened(&before, &after);
        assert!(found.contains(&("r".to_owned(), how)), "{before}{after}{found:?}");
    }
}

#[test]
fn what_takes_more_away_opens_less_or_is_said_otherwise_lets_nothing_more_be_seen() {
    let staff = "types = ['Patient']\nwhen = { roles = ['staff'] }\n";
    let condition = deny("types = ['Condition']");
    for (before, after) in [
        (String::new(), condition.clone()),
        (condition.clone(), condition.clone()),
        (condition.clone(), format!("# a comment\n{}", deny("description = 'why'\ntypes = ['Condition']"))),
        (condition.clone(), condition.replace("'r'", "'renamed'")),
        (condition.clone(), deny("types = ['Condition', 'Patient']")),
        (deny("types = ['Condition']\ncriteria = ['_tag=a']"), condition.clone()),
        (deny("types = ['Condition']\nlabels = ['HIV']"), condition.clone()),
        (
            deny("types = ['Condition']\nunless = { networks = ['10.0.0.0/8'] }"),
            deny("types = ['Condition']\nunless = { networks = ['10.1.0.0/16'] }"),
        ),
        (
            deny("types = ['Condition']\nwhen = { clients = ['one'] }"),
            deny("types = ['Condition']\nwhen = { clients = ['one', 'two'] }"),
        ),
        (deny("types = ['Condition']\nshadow = true"), condition.clone()),
        (permit(staff), String::new()),
        (permit(staff), permit(&format!("{staff}shadow = true"))),
        (permit(staff), permit(&format!("{staff}interactions = 'rs'"))),
        (permit(staff), permit(&format!("{staff}criteria = ['gender=male']"))),
        (permit(staff), permit(&format!("{staff}unless = {{ networks = ['10.0.0.0/8'] }}"))),
        (permit(staff), permit(&format!("{staff}shadow = true"))),
        (String::new(), permit(&format!("{staff}shadow = true"))),
    ] {
        assert_eq!(widened(&before, &after), [], "{before}{after}");
    }
}

/// What somebody does to a rule of a file.
#[derive(Clone, Debug)]
enum Edit {
    Keep,
    Remove,
    Try,
    Letters(&'static str),
    Types(Vec<&'static str>),
    Roles(Vec<&'static str>),
    Client(Option<&'static str>),
    Network(bool),
    Night(bool),
    Status(Option<&'static str>),
    Label(Option<&'static str>),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let letters = prop::sample::select(vec!["r", "rs", "cruds"]).prop_map(Edit::Letters);
    let types = prop::sample::subsequence(vec!["Observation", "Condition", "Patient"], 1..=3).prop_map(Edit::Types);
    let roles = prop::sample::select(vec![vec!["staff"], vec!["clinician"], vec!["staff", "clinician"]]).prop_map(Edit::Roles);
    prop_oneof![
        4 => Just(Edit::Keep),
        1 => Just(Edit::Remove),
        1 => Just(Edit::Try),
        1 => letters,
        1 => types,
        1 => roles,
        1 => prop::option::of(prop::sample::select(vec!["one", "two"])).prop_map(Edit::Client),
        1 => any::<bool>().prop_map(Edit::Network),
        1 => any::<bool>().prop_map(Edit::Night),
        1 => prop::option::of(prop::sample::select(vec!["a", "b"])).prop_map(Edit::Status),
        1 => prop::option::of(prop::sample::select(vec!["HIV", "PSY"])).prop_map(Edit::Label),
    ]
}

fn edited(rule: &Modelled, edit: &Edit) -> Option<Modelled> {
    let mut rule = rule.clone();
    match edit.clone() {
        Edit::Keep => {}
        Edit::Remove => return None,
        Edit::Try => rule.shadow = !rule.shadow,
        Edit::Letters(letters) => rule.letters = letters,
        Edit::Types(types) => rule.types = types,
        Edit::Roles(roles) => rule.roles = roles,
        Edit::Client(client) => rule.client = client,
        Edit::Network(unless) => rule.unless_network = unless,
        Edit::Night(night) => rule.night_only = night,
        Edit::Status(status) => rule.status = status,
        Edit::Label(label) => rule.label = label,
    }
    Some(rule)
}

/// The rules of a file; each keeps its number when others are removed.
fn numbered<'a>(numbered: impl Iterator<Item = (usize, &'a Modelled)>) -> Arc<OperatorRules> {
    let text: String = numbered.map(|(number, rule)| rule.text(number)).collect();
    if text.is_empty() { Arc::default() } else { rules(&text) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_nothing_is_said_to_widen_nobody_sees_more(
        edits in prop::collection::vec((any_rule(), any_edit()), 1..5),
        questions in prop::collection::vec(any_question(), 24),
    ) {
        let before = numbered(edits.iter().map(|(rule, _)| rule).enumerate());
        let edited: Vec<Option<Modelled>> = edits.iter().map(|(rule, edit)| edited(rule, edit)).collect();
        let after = numbered(edited.iter().enumerate().filter_map(|(number, rule)| Some((number, rule.as_ref()?))));
        if after.widen(&before).is_empty() {
            for asked in &questions {
                prop_assert!(answered(&before, asked) || !answered(&after, asked), "{asked:?}");
            }
        }
    }
}
