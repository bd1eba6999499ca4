//! US Core Encounter.

use crate::chart::{Chart, Kind, Reason, Visit};
use crate::terminology::systems::{ACT_CODE, ADMIT_SOURCE, DISCHARGE_DISPOSITION, PARTICIPATION_TYPE, US_CORE};
use crate::terminology::{Code, snomed};
use crate::writer::Writer;

const ATTENDER: Code = Code::new(PARTICIPATION_TYPE, "ATND", "attender");
const PRIMARY_PERFORMER: Code = Code::new(PARTICIPATION_TYPE, "PPRF", "primary performer");

/// Writes the Encounter of a visit.
pub(crate) fn record<'a>(chart: &mut Chart<'a>, visit: Visit<'a>) -> Visit<'a> {
    let (class, kind) = classification(visit.reason);
    let diagnosis = visit.reason.diagnosis();
    let mut w = chart.begin(Kind::Encounter);
    w.meta(&[(US_CORE, "us-core-encounter")], None);
    w.single("identifier", |identifier| {
        identifier.identifier_members(None, "https://records.example.org/encounter", &[&chart.person.id, "-", &number(&visit)]);
    });
    w.string("status", "finished");
    w.coding("class", &class);
    w.concepts("type", &[kind]);
    chart.subject(&mut w);
    participant(&mut w, &visit);
    w.period_of_moments("period", visit.start, Some(visit.end));
    w.concepts("reasonCode", &[diagnosis.snomed, diagnosis.icd10]);
    if let Reason::Stay(stay) = visit.reason {
        let home = Code::new(DISCHARGE_DISPOSITION, "home", "Home");
        let nursing = Code::new(DISCHARGE_DISPOSITION, "snf", "Skilled nursing facility");
        w.object("hospitalization", |hospitalization| {
            hospitalization.concept("admitSource", &[Code::new(ADMIT_SOURCE, "emd", "From accident/emergency department")]);
            hospitalization.concept("dischargeDisposition", &[if stay.rehabilitation { nursing } else { home }]);
        });
    }
    w.single("location", |location| location.location("location", visit.organization));
    w.organization("serviceProvider", visit.organization);
    chart.add_visit(w, visit)
}

/// The encounter class, and the type of visit.
fn classification(reason: Reason) -> (Code, Code) {
    let ambulatory = Code::new(ACT_CODE, "AMB", "ambulatory");
    match reason {
        Reason::Examination(diagnosis) => (ambulatory, diagnosis.snomed),
        Reason::Acute(_) => (ambulatory, snomed("185345009", "Encounter for symptom")),
        Reason::Specialist(_) => (ambulatory, snomed("390906007", "Follow-up encounter")),
        Reason::Emergency(_) => {
            (Code::new(ACT_CODE, "EMER", "emergency"), snomed("50849002", "Emergency department patient visit"))
        }
        Reason::Stay(_) => (Code::new(ACT_CODE, "IMP", "inpatient encounter"), snomed("32485007", "Hospital admission")),
    }
}

fn participant(w: &mut Writer, visit: &Visit<'_>) {
    let role = if matches!(visit.reason, Reason::Stay(_)) { ATTENDER } else { PRIMARY_PERFORMER };
    w.single("participant", |participant| {
        participant.concepts("type", &[role]);
        participant.period_of_moments("period", visit.start, Some(visit.end));
        participant.practitioner("individual", visit.practitioner);
    });
}

/// The part of a visit's business identifier that its day gives.
fn number(visit: &Visit<'_>) -> String {
    visit.start.date.strftime("%Y%m%d").to_string()
}
