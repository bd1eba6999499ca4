//! Written words: US Core DocumentReference with the text inside, and US Core DiagnosticReport for reports and notes.

use crate::calendar::push_date;
use crate::chart::{Chart, Kind, Reason, Visit};
use crate::datatypes::base64;
use crate::terminology::systems::{DOCUMENT_CATEGORY, US_CORE};
use crate::terminology::{Code, loinc};

const CLINICAL_NOTE: Code = Code::new(DOCUMENT_CATEGORY, "clinical-note", "Clinical Note");

/// Writes the note of a visit.
pub(crate) fn note(chart: &mut Chart<'_>, visit: &Visit<'_>) {
    let kind = match visit.reason {
        Reason::Stay(_) => loinc("18842-5", "Discharge summary"),
        Reason::Emergency(_) => loinc("34878-9", "Emergency medicine Note"),
        Reason::Examination(_) => loinc("34117-2", "History and physical note"),
        Reason::Acute(_) | Reason::Specialist(_) => loinc("11506-3", "Progress note"),
    };
    let written = visit.end.plus_minutes(chart.rng.between(10, 240));
    let data = base64(text(chart, visit).as_bytes());
    let mut w = chart.begin(Kind::DocumentReference);
    w.meta(&[(US_CORE, "us-core-documentreference")], None);
    w.single("identifier", |identifier| {
        let number = chart.len().to_string();
        identifier.identifier_members(None, "https://records.example.org/document", &[&chart.person.id, "-", &number]);
    });
    w.string("status", "current");
    w.concept("type", &[kind]);
    w.concepts("category", &[CLINICAL_NOTE]);
    chart.subject(&mut w);
    w.moment("date", written);
    w.practitioners("author", visit.practitioner);
    w.organization("custodian", visit.organization);
    w.single("content", |content| {
        content.object("attachment", |attachment| {
            attachment.string("contentType", "text/plain; charset=utf-8");
            attachment.string("language", "en-US");
            attachment.string("data", &data);
            attachment.string("title", kind.display);
            attachment.moment("creation", written);
        });
    });
    w.object("context", |context| {
        context.references("encounter", "Encounter", &chart.encounter_id(visit));
        context.period_of_moments("period", visit.start, Some(visit.end));
    });
    chart.add(w);
}

/// Writes the report on a procedure as a DiagnosticReport of the kind that carries text.
pub(crate) fn imaging_report(chart: &mut Chart<'_>, visit: &Visit<'_>, procedure_id: &str) {
    let data = base64(format!("Findings: see {procedure_id}. Impression: no unexpected finding.\n").as_bytes());
    let mut w = chart.begin(Kind::DiagnosticReport);
    w.meta(&[(US_CORE, "us-core-diagnosticreport-note")], None);
    w.string("status", "final");
    w.concepts("category", &[loinc("LP29684-5", "Radiology")]);
    w.concept("code", &[loinc("18748-4", "Diagnostic imaging study")]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("effectiveDateTime", visit.start.plus_minutes(80));
    w.moment("issued", visit.start.plus_minutes(190));
    w.practitioners("performer", visit.practitioner);
    w.single("presentedForm", |form| {
        form.string("contentType", "text/plain");
        form.string("data", &data);
    });
    chart.add(w);
}

fn text(chart: &Chart<'_>, visit: &Visit<'_>) -> String {
    let person = chart.person;
    let diagnosis = visit.reason.diagnosis();
    let mut text = format!("{} {}, seen on ", person.given, person.family);
    push_date(&mut text, visit.start.date);
    text.push_str(&format!(
        " by {} {}.\nReason: {} ({}).\nPlan: as discussed with the patient.\n",
        visit.practitioner.given, visit.practitioner.family, diagnosis.snomed.display, diagnosis.icd10.code
    ));
    text
}
