//! The pages about records opened in an emergency and changes that take two people.

use super::*;

/// Each page, with this text for every value.
pub(super) fn pages(reader: &Reader, text: &str) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let opened = OpenedRecord { id: text(), patient: text(), reason: text(), until: text() };
    let glass = BreakGlassPage {
        reader: reader.clone(),
        person_name: text(),
        minutes: 60,
        sends_mail: true,
        opened: vec![opened],
        problem: None,
        csrf: text(),
        sign_out_csrf: text(),
    };
    let failed = |problem| BreakGlassPage { problem: Some(problem), opened: Vec::new(), ..glass.clone() };
    let proposal = ProposalLine {
        id: text(),
        what: text(),
        content: Some(text()),
        digest: text(),
        by: text(),
        since: text(),
        until: text(),
        is_own: false,
    };
    let agreed = AgreedLine { what: text(), digest: text(), by: text(), agreed_by: text(), until: text() };
    let own = ProposalLine { is_own: true, content: None, ..proposal.clone() };
    let open =
        EmergencyLine { id: text(), who: text(), patient: text(), reason: text(), since: text(), open_until: Some(text()) };
    let ended = EmergencyLine { open_until: None, ..open.clone() };
    let security = SecurityPage {
        reader: reader.clone(),
        person_name: text(),
        notice: Some(text()),
        may_decide: true,
        waiting_rules: vec![text()],
        waiting_settings: vec![text()],
        proposals: vec![proposal, own],
        agreed: vec![agreed],
        emergencies: vec![open, ended],
        csrf: text(),
        sign_out_csrf: text(),
    };
    let idle = SecurityPage {
        notice: None,
        waiting_rules: Vec::new(),
        waiting_settings: Vec::new(),
        agreed: Vec::new(),
        proposals: Vec::new(),
        emergencies: Vec::new(),
        ..security.clone()
    };
    let looking = SecurityPage { may_decide: false, ..security.clone() };
    vec![
        ("break_glass_reason", failed(BreakGlassProblem::Reason).render()),
        ("break_glass_nobody", failed(BreakGlassProblem::NobodyFits).render()),
        ("break_glass_many", failed(BreakGlassProblem::TooMany).render()),
        ("break_glass_again", failed(BreakGlassProblem::OpenAlready).render()),
        ("break_glass_wait", failed(BreakGlassProblem::Wait { minutes: 8 }).render()),
        ("break_glass_without_mail", BreakGlassPage { sends_mail: false, ..glass.clone() }.render()),
        ("break_glass", glass.render()),
        ("security", security.render()),
        ("security_idle", idle.render()),
        ("security_looking", looking.render()),
    ]
}
