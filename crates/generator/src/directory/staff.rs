//! Practitioners and their specialties.

use super::{Organization, PATIENTS_PER_REGION, npi, serial};
use crate::generate::Options;
use crate::mark::marked;
use crate::names::{self, Origin};
use crate::places;
use crate::rng::Rng;
use crate::terminology::systems::NUCC;
use crate::terminology::{Code, snomed};

/// How many practitioners a region has.
const STAFF_PER_REGION: u32 = 24;

/// What can be known of a practitioner without generating the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PractitionerSummary {
    /// The id of the Practitioner, such as `prac-0001`.
    pub id: String,
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The specialty, such as `Family Medicine Physician`.
    pub specialty: &'static str,
}

/// The ids of every Practitioner that these options need. The first is the primary care practitioner of patient 1, has a panel of
/// some patients, and has nothing to do with patient 2.
pub fn practitioner_ids(options: &Options) -> Vec<String> {
    (1..=regions(options) * STAFF_PER_REGION).map(|number| marked(options.seed, practitioner_id(number))).collect()
}

/// Every practitioner that these options need, in the order of [`practitioner_ids`].
pub fn practitioners(options: &Options) -> Vec<PractitionerSummary> {
    let summary = |practitioner: &Practitioner| PractitionerSummary {
        id: marked(options.seed, practitioner.id.clone()),
        given: practitioner.given.to_owned(),
        family: practitioner.family.to_owned(),
        specialty: practitioner.specialty.taxonomy.display,
    };
    let region = |index| super::Region::draw(options.seed, index).staff().map(summary).collect::<Vec<_>>();
    (0..regions(options)).flat_map(region).collect()
}

/// The id of a region's primary care practitioner, by practice and place.
pub(crate) fn primary_practitioner_id(region: u32, (practice, place): (u32, u32)) -> String {
    practitioner_id(region * STAFF_PER_REGION + practice * 3 + place + 1)
}

fn practitioner_id(number: u32) -> String {
    format!("prac-{number:04}")
}

fn regions(options: &Options) -> u32 {
    options.patients.max(1).div_ceil(PATIENTS_PER_REGION)
}

/// What a practitioner is trained for: the NUCC taxonomy of the directory and the SNOMED CT role of care teams.
pub(crate) struct Specialty {
    pub(crate) taxonomy: Code,
    pub(crate) role: Code,
    pub(crate) title: &'static str,
}

const fn specialty(taxonomy: (&'static str, &'static str), role: Code, title: &'static str) -> Specialty {
    Specialty { taxonomy: Code::new(NUCC, taxonomy.0, taxonomy.1), role, title }
}

const PRIMARY_CARE: Code = snomed("453231000124104", "Primary care provider");

static FAMILY: Specialty = specialty(("207Q00000X", "Family Medicine Physician"), PRIMARY_CARE, "MD");
static PEDIATRICIAN: Specialty = specialty(("208000000X", "Pediatrics Physician"), PRIMARY_CARE, "MD");
pub(super) static EMERGENCY: Specialty =
    specialty(("207P00000X", "Emergency Medicine Physician"), snomed("309294001", "Emergency department physician"), "MD");
pub(super) static HOSPITALIST: Specialty =
    specialty(("208M00000X", "Hospitalist Physician"), snomed("309343006", "Physician"), "MD");
pub(super) static SURGEON: Specialty = specialty(("208600000X", "Surgery Physician"), snomed("304292004", "Surgeon"), "MD");
pub(super) static CARDIOLOGIST: Specialty =
    specialty(("207RC0000X", "Cardiovascular Disease Physician"), snomed("17561000", "Cardiologist"), "MD");
pub(super) static PSYCHIATRIST: Specialty =
    specialty(("2084P0800X", "Psychiatry Physician"), snomed("80584001", "Psychiatrist"), "MD");
pub(super) static ADDICTION: Specialty =
    specialty(("2084A0401X", "Addiction Medicine (Psychiatry & Neurology) Physician"), snomed("80584001", "Psychiatrist"), "MD");
pub(super) static INFECTIOUS_DISEASE: Specialty =
    specialty(("207RI0200X", "Infectious Disease Physician"), snomed("76899008", "Infectious diseases physician"), "MD");
pub(super) static WOUND_NURSE: Specialty =
    specialty(("163WW0000X", "Wound Care Registered Nurse"), snomed("224535009", "Registered nurse"), "RN");
pub(super) static THERAPIST: Specialty =
    specialty(("225100000X", "Physical Therapist"), snomed("36682004", "Physiotherapist"), "PT");
pub(super) static DENTIST: Specialty =
    specialty(("1223G0001X", "General Practice Dentistry"), snomed("106289002", "Dentist"), "DDS");

/// The specialty of a practice's practitioners; the last practice is for children.
pub(super) fn primary_specialty(practice: usize) -> &'static Specialty {
    if practice == 3 { &PEDIATRICIAN } else { &FAMILY }
}

/// A practitioner.
pub(crate) struct Practitioner {
    pub(crate) id: String,
    pub(crate) role_id: String,
    pub(crate) specialty: &'static Specialty,
    pub(crate) female: bool,
    pub(crate) given: &'static str,
    pub(crate) family: &'static str,
    pub(crate) npi: String,
    pub(crate) phone: String,
    pub(crate) organization_id: String,
    pub(crate) location_id: String,
}

/// Hires a region's practitioners one after the other.
pub(super) struct Staff {
    rng: Rng,
    seed: u64,
    region: u32,
    hired: u32,
}

impl Staff {
    pub(super) fn new(rng: &Rng, (seed, region): (u64, u32)) -> Self {
        Self { rng: rng.clone(), seed, region, hired: 0 }
    }

    pub(super) fn hire(&mut self, specialty: &'static Specialty, employer: Option<&Organization>) -> Practitioner {
        let rng = &mut self.rng;
        let origin: &'static Origin = names::origin(rng);
        let female = rng.percent(54);
        self.hired += 1;
        let number = self.region * STAFF_PER_REGION + self.hired;
        Practitioner {
            id: practitioner_id(number),
            role_id: format!("role-{number:04}"),
            specialty,
            female,
            given: origin.given(female, rng),
            family: rng.choose(origin.family),
            npi: npi(serial(self.seed, self.region) + self.hired),
            phone: places::phone(rng),
            organization_id: employer.map(|employer| employer.id.clone()).unwrap_or_default(),
            location_id: employer.map(|employer| employer.location_id.clone()).unwrap_or_default(),
        }
    }
}
