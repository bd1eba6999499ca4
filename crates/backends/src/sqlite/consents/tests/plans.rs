//! What the condition costs: every table of it is entered by an index, however many patients have consents.

use portcullis_fhir::interaction::Read;
use portcullis_oauth::principal::{Circumstances, ImplicitPolicy};
use portcullis_oauth::scopes::Letter;
use portcullis_policy::constraint::Asking;
use portcullis_policy::{Decision, DecisionId, Operation, PermittedOperation, decide};
use rusqlite::Connection;

use super::super::super::parameters::Parameters;
use super::super::condition::consented;
use super::super::sight::Sight;
use super::*;

/// The longest condition that goes into a statement.
const LONGEST: usize = 6_000;

#[tokio::test]
async fn every_table_of_the_condition_is_entered_by_an_index() {
    let code = json!({"type": "deny", "actor": [practitioner("doc")], "code": [concept("http://loinc.org", "4548-4")]});
    let world = world(&[consent("c", "pat", code).to_string()]).await;
    for (who, implicit, own_only) in [
        (DOC, ImplicitPolicy::AllNormal, false),
        (DOC, ImplicitPolicy::Deny, false),
        (PAT, ImplicitPolicy::Deny, true),
        (Who::Both("doc", "pat", "user/*.rs"), ImplicitPolicy::Deny, false),
    ] {
        let principal = who.principal().asking(Circumstances { implicit, ..circumstances() });
        let read = Read { resource_type: resource_type("Observation"), id: id("of-pat") };
        let decided = decide(DecisionId(1), &principal, Operation::Read(read));
        let Decision::Permit(_, PermittedOperation::Read(read)) = decided else { panic!() };
        let work = |connection: &Connection| {
            let sight = Sight::of(connection, world.store.seal(), read.constraint())?;
            let question = sight.constraint().question().or(read.constraint().question()).unwrap();
            let mut longest = 0;
            for agreed in [Vec::new(), vec![id("pat"), id("other")]] {
                let (question, mut parameters) = (&question.where_agreed(agreed), Parameters::default());
                let shown = consented(Asking { question, letter: Letter::Read }, "r", own_only, &mut parameters);
                assert!(own_only || implicit == ImplicitPolicy::Deny || shown.len() < LONGEST, "{} bytes", shown.len());
                let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM resource r WHERE r.pk = 1 AND ({shown})");
                let plan = parameters.rows(connection, &sql, |row| row.get::<_, String>(3)).unwrap();
                let scans: Vec<&String> =
                    plan.iter().filter(|step| step.starts_with("SCAN") && *step != "SCAN CONSTANT ROW").collect();
                assert!(scans.is_empty(), "{who:?} {implicit:?}: {plan:#?}");
                // Otherwise each consent of a patient would be compared with each.
                assert!(plan.iter().any(|step| step.contains("(patient=? AND series=? AND since")), "{plan:#?}");
                longest = longest.max(shown.len());
            }
            Ok(longest)
        };
        let length = world.store.readers().with(work).unwrap();
        eprintln!("{who:?} {implicit:?}: {length} bytes");
    }
}
