//! What the five ExplanationOfBenefit profiles share (C4BB ExplanationOfBenefit 2.0.0).

use jiff::civil::Date;

use super::amounts::Amounts;
use crate::calendar::{Moment, plus_days};
use crate::chart::{Chart, Kind};
use crate::directory::{Organization, Payer, Practitioner};
use crate::terminology::systems::{
    C4BB_DISCRIMINATOR, C4BB_IDENTIFIER, C4BB_STATUS, C4BB_SUPPORTING, CARIN, CLAIM_TYPE, NUBC_PRESENT, NUBC_REVENUE, NUCC,
    PAYEE_TYPE, PLACE_OF_SERVICE, TOOTH,
};
use crate::terminology::{Code, Unit};
use crate::writer::{Decimal, Writer};

/// The head of a claim.
pub(super) struct Claim<'c> {
    /// The profile's name after `C4BB-ExplanationOfBenefit-`, with its version: the profiles require one.
    pub(super) profile: &'static str,
    pub(super) kind: (&'static str, &'static str),
    pub(super) sub_type: Option<Code>,
    pub(super) payer: &'static Payer,
    pub(super) coverage_id: &'c str,
    pub(super) provider: &'c Organization,
    pub(super) period: (Date, Date),
}

/// Begins an ExplanationOfBenefit, up to and including its insurance.
pub(super) fn begin(chart: &mut Chart<'_>, claim: &Claim<'_>) -> Writer {
    let received = received(claim);
    let number = chart.rng.between(10_000_000, 99_999_999).to_string();
    let mut w = chart.begin(Kind::ExplanationOfBenefit);
    w.meta(&[(CARIN, claim.profile)], Some(received.plus_minutes(4 * 24 * 60)));
    w.single("identifier", |identifier| {
        let unique = Code::new(C4BB_IDENTIFIER, "uc", "Unique Claim ID");
        let system = "https://claims.example.org/claim";
        identifier.identifier_members(Some(&unique), system, &[claim.payer.payer_id, "-", &number]);
    });
    w.string("status", "active");
    w.concept("type", &[Code::new(CLAIM_TYPE, claim.kind.0, claim.kind.1)]);
    if let Some(sub_type) = claim.sub_type {
        w.concept("subType", &[sub_type]);
    }
    w.string("use", "claim");
    w.reference("patient", "Patient", &chart.person.id);
    w.period("billablePeriod", claim.period.0, Some(claim.period.1));
    w.moment("created", received.plus_minutes(2 * 24 * 60));
    w.object("insurer", |insurer| {
        insurer.reference_members("Organization", claim.payer.id);
        insurer.string("display", claim.payer.name);
    });
    w.object("provider", |provider| {
        provider.reference_members("Organization", &claim.provider.id);
        provider.string("display", &claim.provider.name);
    });
    w.object("payee", |payee| {
        payee.concept("type", &[Code::new(PAYEE_TYPE, "provider", "Provider")]);
        payee.organization("party", claim.provider);
    });
    w.string("outcome", "complete");
    w.single("insurance", |insurance| {
        insurance.boolean("focal", true);
        insurance.reference("coverage", "Coverage", claim.coverage_id);
    });
    w
}

/// Writes totals and payment, and puts the claim into the chart.
pub(super) fn finish(chart: &mut Chart<'_>, mut w: Writer, claim: &Claim<'_>, total: &Amounts) {
    w.list("total", |list| total.write(list));
    w.object("payment", |payment| {
        payment.concept("type", &[Code::new(C4BB_STATUS, "paid", "Paid")]);
        payment.date("date", plus_days(received(claim).date, 4));
        payment.money("amount", total.benefit());
    });
    chart.add(w);
}

/// When the payer received the claim.
fn received(claim: &Claim<'_>) -> Moment {
    Moment::at(plus_days(claim.period.1, 3), 7, 30)
}

/// Writes `careTeam`, in order of sequence.
pub(super) fn care_team(w: &mut Writer, members: &[(&Practitioner, Code)]) {
    w.list("careTeam", |list| {
        for (sequence, (practitioner, role)) in (1..).zip(members) {
            let taxonomy = practitioner.specialty.taxonomy;
            list.entry(|member| {
                member.integer("sequence", sequence);
                member.practitioner("provider", practitioner);
                member.concept("role", &[*role]);
                member.concept("qualification", &[Code::new(NUCC, taxonomy.code, taxonomy.display)]);
            });
        }
    });
}

/// Writes `diagnosis`, in order of sequence; institutional claims say whether it was present on admission.
pub(super) fn diagnoses(w: &mut Writer, diagnoses: &[(Code, Code)], present_on_admission: bool) {
    w.list("diagnosis", |list| {
        for (sequence, (code, kind)) in (1..).zip(diagnoses) {
            list.entry(|diagnosis| {
                diagnosis.integer("sequence", sequence);
                diagnosis.concept("diagnosisCodeableConcept", &[*code]);
                diagnosis.concepts("type", &[*kind]);
                if present_on_admission {
                    diagnosis.concept("onAdmission", &[Code::new(NUBC_PRESENT, "Y", "")]);
                }
            });
        }
    });
}

/// The content of an element of supporting information.
pub(super) enum Support {
    Code(Code),
    Period(Date, Date),
    Quantity(i64, Option<Unit>),
    Text(String),
    Facility(String),
    /// The day on which the payer received the claim.
    Received,
}

/// Writes `supportingInfo`: its C4BB category and content, in order of sequence.
pub(super) fn supporting(w: &mut Writer, claim: &Claim<'_>, elements: &[(&'static str, Support)]) {
    w.list("supportingInfo", |list| {
        for (sequence, (category, content)) in (1..).zip(elements) {
            list.entry(|element| {
                element.integer("sequence", sequence);
                element.single_coded("category", C4BB_SUPPORTING, category);
                match content {
                    Support::Code(code) => element.concept("code", &[*code]),
                    Support::Period(start, end) => element.period("timingPeriod", *start, Some(*end)),
                    Support::Quantity(value, Some(unit)) => element.quantity("valueQuantity", Decimal::new(*value, 0), *unit),
                    Support::Quantity(value, None) => {
                        element.object("valueQuantity", |quantity| quantity.integer("value", *value))
                    }
                    Support::Text(text) => element.string("valueString", text),
                    Support::Facility(id) => element.reference("valueReference", "Organization", id),
                    Support::Received => element.date("timingDate", received(claim).date),
                }
            });
        }
    });
}

/// A line of a claim.
pub(super) struct Line {
    pub(super) product: Code,
    /// The revenue code of an institution.
    pub(super) revenue: Option<(&'static str, &'static str)>,
    /// The place of service of a practitioner.
    pub(super) place: Option<(&'static str, &'static str)>,
    /// A tooth and its surface.
    pub(super) tooth: Option<(&'static str, Code)>,
    pub(super) date: Date,
    pub(super) quantity: i64,
    pub(super) amounts: Amounts,
}

impl Line {
    /// A line of one service on a day.
    pub(super) fn new(product: Code, date: Date, amounts: Amounts) -> Self {
        Self { product, revenue: None, place: None, tooth: None, date, quantity: 1, amounts }
    }

    /// The line at a place of service.
    pub(super) fn at(self, place: (&'static str, &'static str)) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The line under a revenue code.
    pub(super) fn under(self, revenue: (&'static str, &'static str)) -> Self {
        Self { revenue: Some(revenue), ..self }
    }

    /// The line for so many units.
    pub(super) fn times(self, quantity: i64) -> Self {
        Self { quantity, ..self }
    }
}

/// Where a claim's amounts stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// In the head; lines have none (inpatient).
    Head,
    /// At each line (outpatient, pharmacy).
    Lines,
    /// At each line, with the network status of its payment (professional, oral).
    LinesWithStatus,
}

/// Writes `item` in order of sequence, and gives the sum of the lines.
pub(super) fn items(w: &mut Writer, lines: &[Line], detail: Detail, encounter_id: Option<&str>) -> Amounts {
    w.list("item", |list| {
        for (sequence, line) in (1..).zip(lines) {
            list.entry(|item| write_line(item, sequence, line, (detail, encounter_id)));
        }
    });
    Amounts::sum(lines.iter().map(|line| line.amounts))
}

fn write_line(item: &mut Writer, sequence: i64, line: &Line, (detail, encounter_id): (Detail, Option<&str>)) {
    item.integer("sequence", sequence);
    item.integers("careTeamSequence", &[1]);
    if let Some(revenue) = line.revenue {
        item.concept("revenue", &[Code::new(NUBC_REVENUE, revenue.0, revenue.1)]);
    }
    item.concept("productOrService", &[line.product]);
    item.date("servicedDate", line.date);
    if let Some(place) = line.place {
        item.concept("locationCodeableConcept", &[Code::new(PLACE_OF_SERVICE, place.0, place.1)]);
    }
    item.object("quantity", |quantity| quantity.integer("value", line.quantity));
    if let Some((tooth, surface)) = line.tooth {
        item.concept("bodySite", &[Code::new(TOOTH, tooth, "")]);
        item.concepts("subSite", &[surface]);
    }
    if let Some(id) = encounter_id {
        item.references("encounter", "Encounter", id);
    }
    if detail != Detail::Head {
        item.list("adjudication", |list| {
            if detail == Detail::LinesWithStatus {
                status(list, "benefitpaymentstatus", "Benefit Payment Status");
            }
            line.amounts.write(list);
        });
    }
}

/// Writes the head's `adjudication`: network states, and the amounts where lines have none.
pub(super) fn adjudication(w: &mut Writer, states: &[(&'static str, &'static str)], amounts: Option<&Amounts>) {
    w.list("adjudication", |list| {
        for (code, display) in states {
            status(list, code, display);
        }
        if let Some(amounts) = amounts {
            amounts.write(list);
        }
    });
}

pub(super) const BENEFIT_STATUS: (&str, &str) = ("benefitpaymentstatus", "Benefit Payment Status");
pub(super) const BILLING_STATUS: (&str, &str) = ("billingnetworkstatus", "Billing Network Status");
pub(super) const RENDERING_STATUS: (&str, &str) = ("renderingnetworkstatus", "Rendering Network Status");

fn status(list: &mut Writer, code: &'static str, display: &'static str) {
    list.entry(|entry| {
        entry.concept("category", &[Code::new(C4BB_DISCRIMINATOR, code, display)]);
        entry.concept("reason", &[Code::new(C4BB_STATUS, "innetwork", "In Network")]);
    });
}
