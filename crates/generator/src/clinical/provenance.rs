//! US Core Provenance: who wrote what was recorded at a visit, and which organization sent it.

use crate::calendar::Moment;
use crate::chart::{Chart, Kind, Visit};
use crate::terminology::Code;
use crate::terminology::systems::{PROVENANCE_AGENT, US_CORE, US_CORE_PROVENANCE_AGENT};

/// Writes the Provenance of everything that came into the chart since `mark`.
pub(crate) fn record(chart: &mut Chart<'_>, visit: &Visit<'_>, mark: usize) {
    let targets = chart.since(mark);
    let recorded: Moment = visit.end.plus_minutes(27 * 60);
    let mut w = chart.begin(Kind::Provenance);
    w.meta(&[(US_CORE, "us-core-provenance")], None);
    w.list("target", |list| {
        for (resource_type, id) in &targets {
            list.entry(|target| target.reference_members(resource_type, id));
        }
    });
    w.moment("recorded", recorded);
    w.list("agent", |list| {
        list.entry(|agent| {
            agent.concept("type", &[Code::new(PROVENANCE_AGENT, "author", "Author")]);
            agent.practitioner("who", visit.practitioner);
            agent.organization("onBehalfOf", visit.organization);
        });
        list.entry(|agent| {
            agent.concept("type", &[Code::new(US_CORE_PROVENANCE_AGENT, "transmitter", "Transmitter")]);
            agent.organization("who", visit.organization);
        });
    });
    chart.add(w);
}
