//! US Core CareTeam.

use crate::calendar::plus_days;
use crate::chart::{Chart, Kind};
use crate::directory::Practitioner;
use crate::terminology::snomed;
use crate::terminology::systems::US_CORE;

/// Writes the team around the primary care practitioner: patient, practitioner, and relatives as caregivers.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let primary = chart.primary();
    team(chart, "Primary care team", &[primary]);
}

/// Writes a care team of some practitioners.
pub(crate) fn team(chart: &mut Chart<'_>, name: &'static str, practitioners: &[&Practitioner]) {
    let person = chart.person;
    let start = plus_days(chart.end(), -365 * 4).max(person.birth_date);
    let mut w = chart.begin(Kind::CareTeam);
    w.meta(&[(US_CORE, "us-core-careteam")], None);
    w.string("status", if person.deceased.is_some() { "inactive" } else { "active" });
    w.string("name", name);
    chart.subject(&mut w);
    w.period("period", start, person.deceased);
    w.list("participant", |list| {
        list.entry(|participant| {
            participant.concepts("role", &[snomed("116154003", "Patient")]);
            participant.reference("member", "Patient", &person.id);
        });
        for practitioner in practitioners {
            list.entry(|participant| {
                participant.concepts("role", &[practitioner.specialty.role]);
                participant.practitioner("member", practitioner);
                participant.reference("onBehalfOf", "Organization", &practitioner.organization_id);
            });
        }
        for relative in &person.relatives {
            list.entry(|participant| {
                participant.concepts("role", &[snomed("133932002", "Caregiver")]);
                participant.reference("member", "RelatedPerson", &relative.id);
            });
        }
    });
    if let Some(first) = practitioners.first() {
        w.references("managingOrganization", "Organization", &first.organization_id);
    }
    chart.add(w);
}
