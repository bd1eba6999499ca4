//! Privacy consents after IHE PCF: what some patients have signed at their practice.
//!
//! Whoever has a sensitive condition keeps it from payers and administration (Advanced profile); of the others every fourth has signed that treatment, payment and
//! operations may use the record (Basic profile). Nothing is drawn for them, so that everything else in a chart stays as it is without them.

use crate::calendar::plus_days;
use crate::chart::{Chart, Kind};
use crate::people::Sensitivity;
use crate::terminology::systems::{ACT_CODE, ACT_REASON, CONSENT_SCOPE, PCF};
use crate::terminology::{Code, loinc};
use crate::writer::Writer;

const TREATMENT: Code = Code::new(ACT_REASON, "TREAT", "treatment");
const PAYMENT: Code = Code::new(ACT_REASON, "HPAYMT", "healthcare payment");
const OPERATIONS: Code = Code::new(ACT_REASON, "HOPERAT", "healthcare operations");
const PRIVACY: Code = Code::new(CONSENT_SCOPE, "patient-privacy", "Privacy Consent");

/// Of how many patients without a sensitive condition one has signed.
const ONE_OF: u32 = 4;

/// Records what the patient has signed.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let kept_back = chart.person.sensitivity.map(|sensitivity| match sensitivity {
        Sensitivity::MentalHealth => Code::new(ACT_CODE, "PSY", ""),
        Sensitivity::SubstanceUse => Code::new(ACT_CODE, "ETH", ""),
        Sensitivity::Hiv => Code::new(ACT_CODE, "HIV", ""),
    });
    if kept_back.is_none() && !chart.person.number.is_multiple_of(ONE_OF) {
        return;
    }
    let person = chart.person;
    let given = plus_days(chart.end(), -400).max(person.birth_date);
    let practice = chart.practice();
    let guardian = person.relatives.first().filter(|_| chart.age_on(given) < 18);
    let profile = if kept_back.is_some() { "IHE.PCF.consentAdvanced" } else { "IHE.PCF.consentBasic" };
    let mut w = chart.begin(Kind::Consent);
    w.meta(&[(PCF, profile)], None);
    w.string("status", "active");
    w.concept("scope", &[PRIVACY]);
    w.concepts("category", &[loinc("59284-0", "Patient Consent")]);
    w.reference("patient", "Patient", &person.id);
    w.date("dateTime", given);
    match guardian {
        Some(guardian) => w.references("performer", "RelatedPerson", &guardian.id),
        None => w.references("performer", "Patient", &person.id),
    }
    w.organizations("organization", practice);
    w.object("sourceAttachment", |source| source.string("title", "Signed privacy choices"));
    w.single("policy", |policy| policy.string("uri", "https://policies.example.org/sharing"));
    w.object("provision", |provision| {
        provision.string("type", "permit");
        purposes(provision, &[TREATMENT, PAYMENT, OPERATIONS]);
        if let Some(label) = kept_back {
            provision.single("provision", |nested| {
                nested.string("type", "deny");
                nested.single("securityLabel", |coding| coding.coding_members(&label));
                purposes(nested, &[PAYMENT, OPERATIONS]);
            });
        }
    });
    chart.add(w);
}

fn purposes(provision: &mut Writer, purposes: &[Code]) {
    provision.list("purpose", |list| {
        for purpose in purposes {
            list.entry(|coding| coding.coding_members(purpose));
        }
    });
}
