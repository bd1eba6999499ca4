//! The own page of consents with all that it can show.

use super::*;

pub(super) fn pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let line = |is_exception| RuleLine { text: text(), is_exception };
    let consent = OwnConsent {
        id: text(),
        version: text(),
        patient_name: Some(text()),
        since: Some(text()),
        rules: vec![line(false), line(true)],
        until_then: vec![line(false), line(true)],
        exact: Some(text()),
    };
    let ended = OwnConsent { rules: Vec::new(), since: None, exact: None, ..consent.clone() };
    let page = OwnConsentsPage {
        reader: reader.clone(),
        person_name: text(),
        sign_out_csrf: text(),
        csrf: text(),
        notice: Some(text()),
        is_problem: false,
        has_record: true,
        waiting: vec![consent.clone(), ended],
        holding: vec![consent],
        going_on: vec![MovedConsent { patient_name: Some(text()), rules: vec![line(false)] }],
    };
    let none = OwnConsentsPage { notice: None, waiting: Vec::new(), holding: Vec::new(), going_on: Vec::new(), ..page.clone() };
    let refused = OwnConsentsPage { is_problem: true, ..none.clone() };
    let without = OwnConsentsPage { has_record: false, ..none.clone() };
    vec![
        ("own_consents", page.render()),
        ("own_consents_none", none.render()),
        ("own_consents_refused", refused.render()),
        ("own_consents_without_record", without.render()),
    ]
}
