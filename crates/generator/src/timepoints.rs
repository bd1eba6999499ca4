//! PACIO Re-Assessment Timepoints 1.0.0: after some hospital stays, a stay in a skilled nursing facility that is cut into timepoints
//! (admission, weekly re-assessments, discharge), each an Encounter that is part of the facility stay and based on its order.

use crate::calendar::{Moment, days_between, plus_days};
use crate::chart::{Chart, Kind, Reason, Visit};
use crate::clinical::conditions;
use crate::terminology::problems::Stay;
use crate::terminology::systems::{
    ACT_CODE, ADMIT_SOURCE, DIAGNOSIS_ROLE, PACIO_RT, PARTICIPATION_TYPE, TIMEPOINT_CLASS, TIMEPOINT_ENTITY, TIMEPOINT_SERVICE,
    US_CORE,
};
use crate::terminology::{Code, Unit, snomed};
use crate::writer::{Decimal, Writer};

const ATTENDER: Code = Code::new(PARTICIPATION_TYPE, "ATND", "attender");

/// The ids that every timepoint of a facility stay refers to.
struct Facility<'a> {
    stay: &'static Stay,
    /// The facility stay as a visit, of which the timepoints are parts.
    visit: Visit<'a>,
    episode_id: String,
    order_id: String,
    condition_id: String,
    weeks: i32,
}

/// Records the facility stay after the hospital stay that led to one.
pub(crate) fn record<'a>(chart: &mut Chart<'a>, visits: &[Visit<'a>]) {
    for visit in visits {
        if let Reason::Stay(stay) = visit.reason
            && stay.rehabilitation
        {
            let drawn = chart.rng.between(3, 7);
            // Nobody is assessed after death.
            let weeks = chart.person.deceased.map_or(drawn, |date| drawn.min(days_between(visit.end.date, date) / 7 - 1)).max(1);
            let facility = admit(chart, visit, stay, weeks);
            for week in 0..=weeks {
                timepoint(chart, &facility, week);
            }
        }
    }
}

/// Writes the EpisodeOfCare, the facility stay, its diagnosis and the order for assessment.
fn admit<'a>(chart: &mut Chart<'a>, hospital: &Visit<'a>, stay: &'static Stay, weeks: i32) -> Facility<'a> {
    let region = chart.region;
    let start = hospital.end.plus_minutes(150);
    let end = start.plus_minutes(weeks * 7 * 24 * 60 - 120);
    let episode_id = episode(chart, start, end);
    let planned = Visit::new(hospital.reason, (start, end), &region.therapist, &region.skilled_nursing);
    let visit = facility_encounter(chart, planned, &episode_id);
    let condition_id = conditions::problem_list_item(chart, &visit, &stay.diagnosis, hospital.start.date);
    let order_id = order(chart, &visit);
    Facility { stay, visit, episode_id, order_id, condition_id, weeks }
}

fn episode(chart: &mut Chart<'_>, start: Moment, end: Moment) -> String {
    let over = end.date <= chart.end();
    let mut w = chart.begin(Kind::EpisodeOfCare);
    w.string("status", if over { "finished" } else { "active" });
    w.reference("patient", "Patient", &chart.person.id);
    w.organization("managingOrganization", &chart.region.skilled_nursing);
    w.period_of_moments("period", start, over.then_some(end));
    chart.add(w)
}

fn facility_encounter<'a>(chart: &mut Chart<'a>, visit: Visit<'a>, episode_id: &str) -> Visit<'a> {
    let over = visit.end.date <= chart.end();
    let mut w = chart.begin(Kind::Encounter);
    w.meta(&[(US_CORE, "us-core-encounter")], None);
    w.single("identifier", |identifier| {
        identifier.identifier_members(None, "https://records.example.org/encounter", &[&chart.person.id, "-snf"]);
    });
    w.string("status", if over { "finished" } else { "in-progress" });
    w.coding("class", &Code::new(ACT_CODE, "IMP", "inpatient encounter"));
    w.concepts("type", &[snomed("449411000124106", "Admission to skilled nursing facility")]);
    chart.subject(&mut w);
    w.references("episodeOfCare", "EpisodeOfCare", episode_id);
    participant(&mut w, &visit, visit.start);
    w.period_of_moments("period", visit.start, over.then_some(visit.end));
    w.concepts("reasonCode", &[visit.reason.diagnosis().icd10]);
    w.object("hospitalization", |hospitalization| {
        hospitalization.concept("admitSource", &[Code::new(ADMIT_SOURCE, "hosp-trans", "Transferred from other hospital")]);
    });
    place(&mut w, &visit);
    chart.add_visit(w, visit)
}

fn order(chart: &mut Chart<'_>, visit: &Visit<'_>) -> String {
    let mut w = chart.begin(Kind::ServiceRequest);
    w.meta(&[(US_CORE, "us-core-servicerequest")], None);
    w.string("status", if visit.end.date <= chart.end() { "completed" } else { "active" });
    w.string("intent", "order");
    w.concepts("category", &[snomed("386053000", "Evaluation procedure")]);
    w.concept("code", &[snomed("91251008", "Physical therapy procedure")]);
    chart.subject(&mut w);
    chart.encounter(&mut w, visit);
    w.moment("authoredOn", visit.start);
    w.practitioner("requester", chart.primary());
    w.organizations("performer", visit.organization);
    chart.add(w)
}

/// Writes the timepoint that begins so many weeks after admission; the last one is the discharge.
fn timepoint(chart: &mut Chart<'_>, facility: &Facility<'_>, week: i32) {
    let visit = &facility.visit;
    let last = week == facility.weeks;
    let start = Moment::at(plus_days(visit.start.date, week * 7 - i32::from(last)), 9, 0).max(visit.start);
    let days = if last { 1 } else { 6 };
    let end = Moment::at(plus_days(start.date, days - 1), 17, 0).max(start.plus_minutes(30));
    let today = chart.end();
    let status = match () {
        () if start.date > today => "planned",
        () if end.date > today => "in-progress",
        () => "finished",
    };
    let name = match week {
        0 => "admission",
        _ if last => "discharge",
        _ => "reassessment",
    };
    let diagnosis = &facility.stay.diagnosis;
    let mut w = chart.begin(Kind::Encounter);
    w.meta(&[(PACIO_RT, "reassessment-timepoints-encounter")], None);
    w.single("identifier", |identifier| {
        let number = week.to_string();
        let value = [chart.person.id.as_str(), "-", name, "-", &number];
        identifier.identifier_members(None, "https://records.example.org/timepoint", &value);
    });
    w.string("status", status);
    w.coding("class", &Code::new(TIMEPOINT_CLASS, "SNF", "skilled nursing facility"));
    w.concepts("type", &[Code::new(TIMEPOINT_ENTITY, "regulatory-federal", "Regulatory - Federal")]);
    let by_instrument = Code::new(TIMEPOINT_SERVICE, "mds", "Minimum Data Set");
    let by_therapist = Code::new(TIMEPOINT_SERVICE, "pt", "Physical Therapy Assessment");
    w.concept("serviceType", &[if name == "reassessment" { by_therapist } else { by_instrument }]);
    chart.subject(&mut w);
    w.references("episodeOfCare", "EpisodeOfCare", &facility.episode_id);
    w.references("basedOn", "ServiceRequest", &facility.order_id);
    participant(&mut w, visit, start);
    w.period_of_moments("period", start, Some(end));
    w.quantity("length", Decimal::new(i64::from(days_between(start.date, end.date)) + 1, 0), Unit::new("days", "d"));
    w.concepts("reasonCode", &[diagnosis.icd10]);
    w.references("reasonReference", "Condition", &facility.condition_id);
    w.single("diagnosis", |entry| {
        entry.reference("condition", "Condition", &facility.condition_id);
        entry.concept("use", &[Code::new(DIAGNOSIS_ROLE, "AD", "Admission diagnosis")]);
    });
    place(&mut w, visit);
    w.reference("partOf", "Encounter", &chart.encounter_id(visit));
    chart.add(w);
}

fn participant(w: &mut Writer, visit: &Visit<'_>, start: Moment) {
    w.single("participant", |participant| {
        participant.concepts("type", &[ATTENDER]);
        participant.object("period", |period| period.moment("start", start));
        participant.practitioner("individual", visit.practitioner);
    });
}

fn place(w: &mut Writer, visit: &Visit<'_>) {
    w.single("location", |location| location.location("location", visit.organization));
    w.organization("serviceProvider", visit.organization);
}
