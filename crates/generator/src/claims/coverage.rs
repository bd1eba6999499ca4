//! Coverage: one medical and one dental policy per patient (C4BB Coverage, US Core Coverage).

use crate::calendar::{Moment, plus_days};
use crate::chart::{Chart, Kind};
use crate::directory::{self, Payer};
use crate::patient::{MEMBER_NUMBER, record_number};
use crate::terminology::Code;
use crate::terminology::systems::{ACT_CODE, CARIN, COVERAGE_CLASS, SUBSCRIBER_RELATIONSHIP, US_CORE};
use crate::writer::Writer;

/// Writes both policies and notes their ids in the chart.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let medical = directory::medical_payer(chart.person.payer);
    chart.medical_coverage = policy(chart, medical, Code::new(ACT_CODE, "HIP", "health insurance plan policy"));
    chart.dental_coverage = policy(chart, &directory::BRIGHTSIDE, Code::new(ACT_CODE, "DENTAL", "dental care policy"));
}

fn policy(chart: &mut Chart<'_>, payer: &Payer, kind: Code) -> String {
    let person = chart.person;
    let number = record_number(person);
    let start = plus_days(chart.end(), -365 * 5).max(person.birth_date);
    let mut w = chart.begin(Kind::Coverage);
    w.meta(&[(US_CORE, "us-core-coverage"), (CARIN, "C4BB-Coverage|2.0.0")], Some(Moment::at(plus_days(chart.end(), -2), 3, 0)));
    w.single("identifier", |identifier| {
        identifier.identifier_members(Some(&MEMBER_NUMBER), payer.member_system, &["M", &number, "01"]);
    });
    w.string("status", "active");
    w.concept("type", &[kind]);
    subscriber(chart, &mut w);
    w.marked("subscriberId", &["M", &number]);
    w.reference("beneficiary", "Patient", &person.id);
    w.object("period", |period| {
        period.date("start", start);
        period.date("end", person.deceased.unwrap_or(plus_days(chart.as_of, 200)));
    });
    w.single("payor", |payor| {
        payor.reference_members("Organization", payer.id);
        payor.string("display", payer.name);
    });
    classes(&mut w, payer);
    chart.add(w)
}

fn subscriber(chart: &Chart<'_>, w: &mut Writer) {
    let person = chart.person;
    // A child is insured through a parent. The parent is named as the child's RelatedPerson, not as a Patient, so that the policy
    // belongs to the child's compartment alone.
    let parent = person.relatives.first().filter(|_| chart.age() < 18);
    let (resource_type, id, relationship) = match parent {
        Some(parent) => ("RelatedPerson", &parent.id, ("child", "Child")),
        None => ("Patient", &person.id, ("self", "Self")),
    };
    w.reference("policyHolder", resource_type, id);
    w.reference("subscriber", resource_type, id);
    w.string("dependent", if parent.is_some() { "02" } else { "01" });
    w.concept("relationship", &[Code::new(SUBSCRIBER_RELATIONSHIP, relationship.0, relationship.1)]);
}

fn classes(w: &mut Writer, payer: &Payer) {
    w.list("class", |list| {
        for (code, display, value) in [("group", "Group", "GRP-4410"), ("plan", "Plan", payer.payer_id)] {
            list.entry(|class| {
                class.concept("type", &[Code::new(COVERAGE_CLASS, code, display)]);
                class.string("value", value);
                class.string("name", payer.plan);
            });
        }
    });
    w.string("network", payer.plan);
}
