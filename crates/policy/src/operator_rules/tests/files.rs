//! What is wrong in a file is refused with line, rule, key and what to write instead.

use super::*;

fn problems(text: &str) -> Vec<String> {
    parse(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// A rule of this effect with these lines more.
fn rule(effect: &str, more: &str) -> String {
    format!("[[rule]]\nname = 'r'\neffect = '{effect}'\n{more}\n")
}

#[test]
fn each_mistake_is_named_with_line_rule_and_key_and_what_to_write() {
    for (text, place, advice) in [
        (rule("forbid", ""), "line 3, rule 'r', effect", "\"deny\" or \"permit\""),
        (rule("deny", ""), "line 1, rule 'r', when", "everything to everybody"),
        (rule("deny", "when = {}"), "line 4, rule 'r', when", "is empty"),
        (rule("deny", "when = { roles = [] }"), "line 4, rule 'r', when.roles", "is empty"),
        (rule("deny", "when = { roles = ['nurse'] }"), "line 4, rule 'r', when.roles", "staff"),
        (rule("deny", "when = { roles = ['staff', 'staff'] }"), "line 4, rule 'r', when.roles", "twice"),
        (rule("deny", "unless = { networks = ['10.0.0.1/8'] }"), "line 4, rule 'r', unless.networks", "10.0.0.0/8"),
        (rule("deny", "when = { purpose = ['treatment'] }"), "line 4, rule 'r', when.purpose", "TREAT"),
        (rule("deny", "when = { users = ['Practitioner/'] }"), "line 4, rule 'r', when.users", "Practitioner/17"),
        (rule("deny", "when = { hours = { from = '8', to = '17:00', zone = 'UTC' } }"), "line 4, rule 'r', when.hours", "07:30"),
        (
            rule("deny", "when = { hours = { from = '08:00', to = '17:00', zone = 'Mars/Base' } }"),
            "when.hours",
            "America/New_York",
        ),
        (rule("deny", "types = ['Observations']"), "line 4, rule 'r', types", "no resource type"),
        (rule("deny", "types = []"), "line 4, rule 'r', types", "is empty"),
        (rule("deny", "interactions = 'sr'"), "line 4, rule 'r', interactions", "order cruds"),
        (rule("deny", "interactions = ''"), "line 4, rule 'r', interactions", "order cruds"),
        (rule("deny", "labels = ['AIDS']"), "line 4, rule 'r', labels", "HIV"),
        (rule("deny", "criteria = ['status=final']"), "line 4, rule 'r', criteria", "need types"),
        (rule("deny", "types = ['Observation']\ncriteria = ['status']"), "line 5, rule 'r', criteria", "as in scopes"),
        (rule("deny", "types = ['Observation']\ncriteria = ['patient.name=x']"), "line 5, rule 'r', criteria", "as in scopes"),
        (rule("deny", "types = ['AuditEvent']\ncriteria = ['type=rest']"), "line 5, rule 'r', criteria", "as in scopes"),
        (rule("deny", "relationship = 'organization'\ntypes = ['Patient']"), "line 4, rule 'r', relationship", "leave it out"),
        (rule("permit", "types = ['Patient']\nwhen = { roles = ['staff'] }"), "line 1, rule 'r', relationship", "care-team"),
        (
            rule("permit", "types = ['Patient']\nrelationship = 'care'\nwhen = { roles = ['staff'] }"),
            "line 5, rule 'r', relationship",
            "organization",
        ),
        (rule("permit", "relationship = 'organization'\nwhen = { roles = ['staff'] }"), "line 1, rule 'r', types", "Appointment"),
        (rule("permit", "types = ['Patient']\nrelationship = 'organization'"), "line 1, rule 'r', when.roles", "staff"),
        (
            rule("permit", "types = ['Patient']\nrelationship = 'organization'\nwhen = { roles = ['administrator', 'staff'] }"),
            "line 6, rule 'r', when.roles",
            "read no clinical data",
        ),
        (
            rule("permit", "types = ['AuditEvent']\nrelationship = 'organization'\nwhen = { roles = ['staff'] }"),
            "line 4, rule 'r', types",
            "auditors",
        ),
        (
            rule("permit", "types = ['Patient']\nlabels = ['HIV']\nrelationship = 'organization'\nwhen = { roles = ['staff'] }"),
            "line 5, rule 'r', labels",
            "labels.clinician",
        ),
        ("[[rule]]\nname = 'R 1'\neffect = 'deny'\ntypes = ['Patient']".to_owned(), "line 2, rule 'R 1', name", "hyphens"),
        ("[[rule]]\neffect = 'deny'".to_owned(), "line 1: missing field", "every rule has a name"),
        ("[[rules]]\nname = 'r'".to_owned(), "line 1", "rules"),
        (rule("deny", "type = ['Patient']"), "line 4", "type"),
        (rule("deny", "when = { role = ['staff'] }"), "line 4", "role"),
        (String::new(), "line 1", "[[rule]]"),
        ("[[rule]\n".to_owned(), "line 1", ""),
    ] {
        let found = problems(&text);
        assert!(found.iter().any(|problem| problem.contains(place) && problem.contains(advice)), "{text}: {found:#?}");
    }
}

#[test]
fn contradictory_rules_are_refused() {
    let always = rule("deny", "when = { networks = ['10.1.0.0/16'] }\nunless = { networks = ['10.0.0.0/8'] }");
    assert!(problems(&always)[0].contains("never applies"), "{:?}", problems(&always));
    let always = rule("deny", "when = { roles = ['staff'], clients = ['a'] }\nunless = { roles = ['staff', 'clinician'] }");
    assert!(problems(&always)[0].contains("never applies"));
    let sometimes = rule("deny", "when = { roles = ['staff'] }\nunless = { roles = ['staff'], networks = ['10.0.0.0/8'] }");
    assert_eq!(problems(&sometimes), Vec::<String>::new());
}

#[test]
fn rules_that_can_never_change_anything_are_refused() {
    let named = |name: &str, effect: &str, more: &str| rule(effect, more).replace("'r'", &format!("'{name}'"));
    let wide = named("wide", "deny", "types = ['Observation', 'Condition']");
    let table = [
        (named("narrow", "deny", "types = ['Condition']\nwhen = { roles = ['staff'] }"), true),
        (named("narrow", "deny", "types = ['Condition']\ninteractions = 'rs'"), true),
        (named("narrow", "deny", "types = ['Condition']\ncriteria = ['code=x']"), true),
        (named("narrow", "deny", "types = ['Condition']\nlabels = ['HIV']"), true),
        (named("narrow", "deny", "types = ['Condition', 'Patient']"), false),
        (named("narrow", "permit", "types = ['Condition']\nrelationship = 'organization'\nwhen = { roles = ['staff'] }"), true),
        (
            named(
                "narrow",
                "permit",
                "types = ['Condition', 'Patient']\nrelationship = 'organization'\nwhen = { roles = ['staff'] }",
            ),
            false,
        ),
    ];
    for (narrow, unreachable) in table {
        for text in [format!("{wide}{narrow}"), format!("{narrow}{wide}")] {
            let found = problems(&text);
            let expected = found.len() == 1 && found[0].contains("rule 'narrow'") && found[0].contains("rule 'wide'");
            assert_eq!(expected, unreachable, "{text}: {found:?}");
            assert_eq!(found.is_empty(), !unreachable);
        }
        let tried = format!("{}shadow = true\n{narrow}", wide.trim_end_matches('\n').to_owned() + "\n");
        assert_eq!(problems(&tried), Vec::<String>::new(), "a rule that is tried takes nothing");
    }
    let twice = format!("{wide}{}", wide.replace("'wide'", "'again'"));
    assert!(problems(&twice)[0].contains("rule 'again'"), "of two that are the same, the later one");
    let conditional = format!(
        "{}{}",
        named("a", "deny", "types = ['Condition']\nunless = { clients = ['x'] }"),
        named("b", "deny", "types = ['Condition']\nlabels = ['HIV']")
    );
    assert_eq!(problems(&conditional), Vec::<String>::new());
}

#[test]
fn two_rules_of_one_name_are_refused() {
    let text = format!("{}{}", rule("deny", "types = ['Patient']"), rule("deny", "types = ['Condition']"));
    assert!(problems(&text)[0].contains("line 1 has a rule of this name"), "{:?}", problems(&text));
}

#[test]
fn enormous_files_are_refused() {
    let many: String = (0..=super::super::MAXIMUM_RULES)
        .map(|number| rule("deny", &format!("when = {{ clients = ['c{number}'] }}")).replace("'r'", &format!("'r{number}'")))
        .collect();
    assert!(problems(&many)[0].contains("more than 200 rules"));
    let long = format!("# {}\n{}", "x".repeat(super::super::MAXIMUM_FILE), rule("deny", "types = ['Patient']"));
    assert!(problems(&long)[0].contains("longer than"));
    let clients: Vec<String> = (0..201).map(|number| format!("'c{number}'")).collect();
    assert!(
        problems(&rule("deny", &format!("when = {{ clients = [{}] }}", clients.join(", "))))[0].contains("more than 200 items")
    );
    let criteria: Vec<String> = (0..11).map(|number| format!("'status=s{number}'")).collect();
    assert!(
        problems(&rule("deny", &format!("types = ['Observation']\ncriteria = [{}]", criteria.join(", "))))[0]
            .contains("more than 10")
    );
}

#[test]
fn every_mistake_of_a_file_is_told_at_once_in_the_order_of_its_lines() {
    let text = format!("{}{}", rule("deny", "types = ['X']\nlabels = ['Y']"), rule("dney", "interactions = 'x'"));
    let found = problems(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    let lines: Vec<&str> = found.iter().map(|problem| problem.split(',').next().unwrap()).collect();
    assert_eq!(lines, ["line 4", "line 5", "line 8", "line 9"]);
}

#[test]
fn rules_read_as_plain_words() {
    let words = |text: &str| super::super::Described(&rules(text).rules()[0]).to_string();
    assert_eq!(
        words(&rule(
            "deny",
            "types = ['Condition']\ninteractions = 'rs'\nwhen = { roles = ['clinician'], clients = ['app'] }\nunless = { networks = ['10.0.0.0/8'] }"
        )),
        "Whoever has the role clinician and through the client app is denied reading and searching every Condition, unless it is asked from 10.0.0.0/8."
    );
    assert_eq!(
        words(&rule(
            "permit",
            "types = ['Patient']\nrelationship = 'organization'\ninteractions = 'rs'\nwhen = { roles = ['staff'] }\ndescription = 'the front desk'"
        )),
        "Whoever has the role staff may, within the scopes of the token, read and search every Patient of the patients of the user's organisation. (the front desk)"
    );
    assert_eq!(
        words(&rule("deny", "labels = ['R', 'HIV']\nshadow = true")),
        "Everybody would be denied any access to every record with the confidentiality R or a higher one or the label HIV. This is only tried: it is recorded, and changes nothing."
    );
    assert_eq!(
        words(&rule(
            "deny",
            "types = ['Observation']\ncriteria = ['status=preliminary']\nwhen = { purpose = ['HPAYMT'] }\nunless = { hours = { days = ['mon-fri'], from = '07:00', to = '19:00', zone = 'UTC' } }"
        )),
        "Everybody is denied any access to every Observation that ?status=preliminary finds for the purpose HPAYMT, unless it is asked at these hours: mon, tue, wed, thu, fri from 07:00 to 19:00 UTC."
    );
}

#[test]
fn rules_for_other_places_are_checked_and_left_aside() {
    let of = |own: &str, places: &str| format!("{own}\n{}", rule("deny", &format!("{places}\ntypes = ['Condition']")));
    for (own, places, here) in [
        ("jurisdictions = ['US-TX']", "", 1),
        ("jurisdictions = ['US-TX']", "jurisdictions = ['US']", 1),
        ("jurisdictions = ['US-TX', 'city-clinic']", "jurisdictions = ['city-clinic', 'US-CA']", 1),
        ("jurisdictions = ['US-TX']", "jurisdictions = ['US-CA']", 0),
        ("jurisdictions = ['US']", "jurisdictions = ['US-TX']", 0),
    ] {
        let parsed = parse(&of(own, places)).unwrap();
        let names: Vec<&str> = parsed.elsewhere().iter().map(|name| &**name).collect();
        assert_eq!((parsed.rules().len(), names.len()), (here, 1 - here), "{own} {places}");
    }
    for (own, places, told) in [
        (
            "",
            "jurisdictions = ['US-TX']",
            "line 5, jurisdictions: is named by a rule, and the file does not say where the server is",
        ),
        ("jurisdictions = []", "", "line 1, jurisdictions: is empty"),
        ("jurisdictions = ['US', 'US']", "", "line 1, jurisdictions: has 'US' twice"),
        ("jurisdictions = ['US_TX']", "", "line 1, jurisdictions: 'US_TX' must be letters and digits"),
        ("jurisdictions = ['US']", "jurisdictions = ['-']", "line 5, rule 'r', jurisdictions: '-' must be"),
    ] {
        let problems = problems(&of(own, places));
        assert!(problems.len() == 1 && problems[0].starts_with(told), "{own} {places}: {problems:?}");
    }
    // What is wrong in a rule for elsewhere would be wrong there.
    assert_eq!(problems(&of("jurisdictions = ['US']", "jurisdictions = ['CA']").replace("'Condition'", "'Conditio'")).len(), 1);
    // Nor does a rule for elsewhere make another one superfluous.
    let twice = format!(
        "jurisdictions = ['US']\n{}{}",
        rule("deny", "jurisdictions = ['US']\ntypes = ['Condition']"),
        rule("deny", "jurisdictions = ['CA']\ntypes = ['Condition']").replace("'r'", "'other'")
    );
    assert_eq!(problems(&twice), Vec::<String>::new());
}
