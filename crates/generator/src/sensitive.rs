//! Sensitive conditions: mental health, substance use and HIV, each with diagnosis, specialist visits, medication and findings.
//!
//! The codes are all there is: no security label is set (a labeller derives them), and names of resources give nothing away.

use crate::calendar::{Moment, plus_days};
use crate::chart::{Chart, Reason, Visit};
use crate::claims::professional;
use crate::clinical::medications::Supply;
use crate::clinical::{care_team, conditions, documents, encounters, laboratory, medications, provenance, surveys};
use crate::directory::Practitioner;
use crate::people::Sensitivity;
use crate::terminology::Diagnosis;
use crate::terminology::laboratory::{CD4_COUNT, HIV_VIRAL_LOAD, Panel};
use crate::terminology::medications::{BICTEGRAVIR, BUPRENORPHINE, Medication, NALTREXONE, SERTRALINE};

/// How a condition is treated.
struct Treatment {
    diagnosis: Diagnosis,
    medication: Option<&'static Medication>,
}

static MENTAL_HEALTH: &[Treatment] = &[
    Treatment {
        diagnosis: Diagnosis::new(
            ("832007", "Moderate major depression"),
            ("F32.1", "Major depressive disorder, single episode, moderate"),
        ),
        medication: Some(&SERTRALINE),
    },
    Treatment {
        diagnosis: Diagnosis::new(
            ("36923009", "Major depression, single episode"),
            ("F32.9", "Major depressive disorder, single episode, unspecified"),
        ),
        medication: Some(&SERTRALINE),
    },
    Treatment {
        diagnosis: Diagnosis::new(("21897009", "Generalized anxiety disorder"), ("F41.1", "Generalized anxiety disorder")),
        medication: Some(&SERTRALINE),
    },
    Treatment {
        diagnosis: Diagnosis::new(
            ("47505003", "Posttraumatic stress disorder"),
            ("F43.10", "Post-traumatic stress disorder, unspecified"),
        ),
        medication: None,
    },
];

static SUBSTANCE_USE: &[Treatment] = &[
    Treatment {
        diagnosis: Diagnosis::new(("75544000", "Opioid dependence"), ("F11.20", "Opioid dependence, uncomplicated")),
        medication: Some(&BUPRENORPHINE),
    },
    Treatment {
        diagnosis: Diagnosis::new(("66590003", "Alcohol dependence"), ("F10.20", "Alcohol dependence, uncomplicated")),
        medication: Some(&NALTREXONE),
    },
    Treatment {
        diagnosis: Diagnosis::new(("31956009", "Cocaine dependence"), ("F14.20", "Cocaine dependence, uncomplicated")),
        medication: None,
    },
    Treatment {
        diagnosis: Diagnosis::new(("85005007", "Cannabis dependence"), ("F12.20", "Cannabis dependence, uncomplicated")),
        medication: None,
    },
];

static HIV: &[Treatment] = &[Treatment {
    diagnosis: Diagnosis::new(
        ("86406008", "Human immunodeficiency virus infection"),
        ("B20", "Human immunodeficiency virus [HIV] disease"),
    ),
    medication: Some(&BICTEGRAVIR),
}];

static HIV_PANELS: &[&Panel] = &[&HIV_VIRAL_LOAD, &CD4_COUNT];

/// Records the patient's sensitive condition, where there is one.
pub(crate) fn record(chart: &mut Chart<'_>) {
    let region = chart.region;
    let (treatments, specialist, panels): (&'static [Treatment], &Practitioner, &[&'static Panel]) =
        match chart.person.sensitivity {
            None => return,
            Some(Sensitivity::MentalHealth) => (MENTAL_HEALTH, &region.psychiatrist, &[]),
            Some(Sensitivity::SubstanceUse) => (SUBSTANCE_USE, &region.addiction, &[]),
            Some(Sensitivity::Hiv) => (HIV, &region.infectious_disease, HIV_PANELS),
        };
    let treatment = chart.rng.pick(treatments);
    care_team::team(chart, "Specialist care team", &[specialist, chart.primary()]);
    let mut condition = None;
    let first_day = chart.rng.between(420, 640);
    for (count, days_before) in [first_day, first_day - 150, first_day - 330].into_iter().enumerate() {
        let start = Moment::at(plus_days(chart.end(), -days_before), 13, 30);
        let period = (start, start.plus_minutes(45));
        let visit = Visit::new(Reason::Specialist(&treatment.diagnosis), period, specialist, region.main_hospital());
        let mark = chart.len();
        let visit = encounters::record(chart, visit);
        let onset = plus_days(start.date, -120);
        let condition =
            condition.get_or_insert_with(|| conditions::problem_list_item(chart, &visit, &treatment.diagnosis, onset)).clone();
        if chart.person.sensitivity == Some(Sensitivity::MentalHealth) {
            // Treatment helps: the questionnaire's burden falls from visit to visit.
            surveys::phq_9(chart, &visit, 2 - i32::from(count > 0) - i32::from(count > 1));
        }
        for panel in panels {
            laboratory::record(chart, &visit, panel);
        }
        if let Some(medication) = treatment.medication {
            let status = if count == 2 && chart.person.deceased.is_none() { "active" } else { "completed" };
            let supply = Supply { days: 30, refills: 5, status };
            medications::prescribe(chart, &visit, (medication, &condition), supply);
        }
        professional::record(chart, &visit, panels);
        documents::note(chart, &visit);
        provenance::record(chart, &visit, mark);
    }
}
