//! `[compartments]` by an element that a rule hides: it opens nothing by that, and everything else stays as it is.

use portcullis_fhir::redaction::ElementRules;
use portcullis_oauth::principal::{Membership, Part};

use super::*;
use crate::constraint::Boundary;

#[test]
fn a_part_in_records_that_a_rule_hides_opens_nothing_and_refuses_nothing() {
    // Whether or not somebody may search: a read by a hidden part tells of it, too.
    for scopes in ["user/*.cruds", "user/*.r", "user/*.ru"] {
        opens_nothing_by_a_hidden_part(scopes);
    }
}

fn opens_nothing_by_a_hidden_part(scopes: &str) {
    let list = ElementRules::parse("Observation.performer -> R").unwrap();
    let clinician = Clearance::parse("R", ["*"]).unwrap();
    let labels = LabelPolicy { elements: Arc::new(list), ..Clearances { clinician, ..Clearances::default() }.into() };
    let asking = Asking { scopes, ..CLINICIAN }.under(&labels);
    let circumstances = asking.circumstances().unwrap().clone();
    let performing = Membership { practitioner: [Part::Performer].into_iter().collect(), ..Membership::default() };
    let asking = asking.asking(Circumstances { membership: performing, ..circumstances });
    let read = || Operation::Read(Read { resource_type: kind("Observation"), id: id("x") });
    let decides =
        |rules: &Arc<OperatorRules>| match decide(Basis { id: DecisionId(1), rules: Arc::clone(rules) }, &asking, read()) {
            Decision::Permit(permit, _) => Ok(permit),
            Decision::Deny(denial) => Err(denial.reason),
        };
    let by_part = |permit: &Permit| {
        permit
            .constraint
            .grants()
            .iter()
            .any(|grant| grant.boundary == Boundary::Whole && grant.read.contains(kind("Observation")))
    };
    let without = decides(&Arc::default()).unwrap();
    assert!(by_part(&without), "who is cleared for the performer is shown what he or she performed");
    let hiding = rules("[[rule]]\nname = 'r'\neffect = 'deny'\nlabels = ['R']\n");
    let permit = decides(&hiding).unwrap();
    assert!(!by_part(&permit), "the performer is not shown any more");
    assert!(
        permit.constraint.grants().iter().any(|grant| grant.read.contains(kind("Observation"))),
        "what the care relationship opens stays"
    );
}
