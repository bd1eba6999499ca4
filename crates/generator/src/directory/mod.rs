//! The shared directory: payers and medications for all; and per region of 200 patients hospitals, practices, a skilled nursing
//! facility, a dental practice, a pharmacy, a laboratory and 24 practitioners.

mod resources;
mod staff;

use crate::places::{self, Address};
use crate::rng::{Rng, Stream};

pub(crate) use resources::shared;
pub(crate) use staff::{Practitioner, primary_practitioner_id};
pub use staff::{PractitionerSummary, practitioner_ids, practitioners};

/// How many consecutive patients share a region.
pub(crate) const PATIENTS_PER_REGION: u32 = 200;

/// An insurer.
pub(crate) struct Payer {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) payer_id: &'static str,
    pub(crate) plan: &'static str,
    pub(crate) member_system: &'static str,
}

/// The payers of medical coverage; a patient's `payer` counts into them.
pub(crate) static HARBOR: Payer = Payer {
    id: "org-payer-01",
    name: "Harbor Light Health Plan",
    payer_id: "HLHP1",
    plan: "Harbor Light Silver PPO",
    member_system: "https://harborlight.example.org/member",
};
pub(crate) static MERIDIAN: Payer = Payer {
    id: "org-payer-02",
    name: "Meridian Mutual Insurance",
    payer_id: "MERM2",
    plan: "Meridian Family HMO",
    member_system: "https://meridianmutual.example.org/member",
};
/// The payer of dental coverage.
pub(crate) static BRIGHTSIDE: Payer = Payer {
    id: "org-payer-03",
    name: "Brightside Dental Cooperative",
    payer_id: "BRDC3",
    plan: "Brightside Dental Basic",
    member_system: "https://brightsidedental.example.org/member",
};

/// The payer of a patient's medical coverage.
pub(crate) fn medical_payer(number: u32) -> &'static Payer {
    if number == 0 { &HARBOR } else { &MERIDIAN }
}

/// What an organization does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrganizationKind {
    Hospital,
    Practice,
    SkilledNursing,
    Dental,
    Pharmacy,
    Laboratory,
}

impl OrganizationKind {
    fn word(self) -> &'static str {
        match self {
            Self::Hospital => "hospital",
            Self::Practice => "practice",
            Self::SkilledNursing => "nursing",
            Self::Dental => "dental",
            Self::Pharmacy => "pharmacy",
            Self::Laboratory => "laboratory",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Hospital => &["Saint Brigid Hospital", "Riverbend Medical Center", "Northgate General Hospital"],
            Self::Practice => &["Family Practice", "Community Health Associates", "Primary Care Group", "Medical Partners"],
            Self::SkilledNursing => &["Willowmere Skilled Nursing", "Stillwater Rehabilitation and Nursing"],
            Self::Dental => &["Dental Studio", "Family Dentistry"],
            Self::Pharmacy => &["Corner Pharmacy", "Apothecary"],
            Self::Laboratory => &["Clinical Laboratory", "Diagnostics Laboratory"],
        }
    }
}

/// A provider organization and its one location.
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) location_id: String,
    pub(crate) kind: OrganizationKind,
    pub(crate) name: String,
    npi: String,
    phone: String,
    address: Address,
}

/// The providers of 200 patients.
pub(crate) struct Region {
    pub(crate) index: u32,
    pub(crate) hospitals: [Organization; 2],
    pub(crate) practices: [Organization; 4],
    pub(crate) skilled_nursing: Organization,
    pub(crate) dental: Organization,
    pub(crate) pharmacy: Organization,
    pub(crate) laboratory: Organization,
    /// By practice; the last practice is for children.
    primary: [[Practitioner; 3]; 4],
    pub(crate) emergency: [Practitioner; 2],
    pub(crate) hospitalists: [Practitioner; 2],
    pub(crate) surgeon: Practitioner,
    pub(crate) cardiologist: Practitioner,
    pub(crate) psychiatrist: Practitioner,
    pub(crate) addiction: Practitioner,
    pub(crate) infectious_disease: Practitioner,
    pub(crate) wound_nurse: Practitioner,
    pub(crate) therapist: Practitioner,
    pub(crate) dentist: Practitioner,
}

impl Region {
    /// Draws a region by its number, which counts from 0.
    pub(crate) fn draw(seed: u64, index: u32) -> Self {
        let mut rng = Rng::new(seed, Stream::Region, index);
        let rng = &mut rng;
        let hospitals = std::array::from_fn(|count| organization(rng, (seed, index), OrganizationKind::Hospital, count));
        let practices = std::array::from_fn(|count| organization(rng, (seed, index), OrganizationKind::Practice, count));
        let mut first = |kind| organization(rng, (seed, index), kind, 0);
        let skilled_nursing = first(OrganizationKind::SkilledNursing);
        let dental = first(OrganizationKind::Dental);
        let pharmacy = first(OrganizationKind::Pharmacy);
        let laboratory = first(OrganizationKind::Laboratory);
        let mut staff = staff::Staff::new(rng, (seed, index));
        let primary = std::array::from_fn(|practice: usize| {
            let specialty = staff::primary_specialty(practice);
            let employer = practices.get(practice);
            std::array::from_fn(|_| staff.hire(specialty, employer))
        });
        let hospital = hospitals.first();
        Self {
            index,
            primary,
            emergency: std::array::from_fn(|_| staff.hire(&staff::EMERGENCY, hospital)),
            hospitalists: std::array::from_fn(|_| staff.hire(&staff::HOSPITALIST, hospital)),
            surgeon: staff.hire(&staff::SURGEON, hospital),
            cardiologist: staff.hire(&staff::CARDIOLOGIST, hospital),
            psychiatrist: staff.hire(&staff::PSYCHIATRIST, hospital),
            addiction: staff.hire(&staff::ADDICTION, hospital),
            infectious_disease: staff.hire(&staff::INFECTIOUS_DISEASE, hospital),
            wound_nurse: staff.hire(&staff::WOUND_NURSE, Some(&skilled_nursing)),
            therapist: staff.hire(&staff::THERAPIST, Some(&skilled_nursing)),
            dentist: staff.hire(&staff::DENTIST, Some(&dental)),
            hospitals,
            practices,
            skilled_nursing,
            dental,
            pharmacy,
            laboratory,
        }
    }

    /// The primary care practitioner of a practice and place.
    pub(crate) fn primary(&self, (practice, place): (u32, u32)) -> &Practitioner {
        let practice = self.primary.get(practice as usize).unwrap_or(&self.primary[0]);
        practice.get(place as usize).unwrap_or(&practice[0])
    }

    /// The practice of a number.
    pub(crate) fn practice(&self, number: u32) -> &Organization {
        self.practices.get(number as usize).unwrap_or(&self.practices[0])
    }

    /// The hospital where the region's specialists work.
    pub(crate) fn main_hospital(&self) -> &Organization {
        &self.hospitals[0]
    }

    fn organizations(&self) -> impl Iterator<Item = &Organization> {
        let others = [&self.skilled_nursing, &self.dental, &self.pharmacy, &self.laboratory];
        self.hospitals.iter().chain(&self.practices).chain(others)
    }

    fn staff(&self) -> impl Iterator<Item = &Practitioner> {
        let specialists = [
            &self.surgeon,
            &self.cardiologist,
            &self.psychiatrist,
            &self.addiction,
            &self.infectious_disease,
            &self.wound_nurse,
            &self.therapist,
            &self.dentist,
        ];
        self.primary.iter().flatten().chain(&self.emergency).chain(&self.hospitalists).chain(specialists)
    }
}

fn organization(rng: &mut Rng, (seed, region): (u64, u32), kind: OrganizationKind, count: usize) -> Organization {
    let address = Address::draw(rng);
    let base = rng.pick(kind.names());
    let name = match kind {
        OrganizationKind::Hospital | OrganizationKind::SkilledNursing => format!("{base} of {}", address.town.name),
        _ => format!("{} {base}", address.town.name),
    };
    let suffix = format!("{}-{:02}-{}", kind.word(), region + 1, count + 1);
    Organization {
        id: format!("org-{suffix}"),
        location_id: format!("loc-{suffix}"),
        kind,
        name,
        // Serial numbers from 40 on are free of practitioners; kinds have at most four organizations.
        npi: npi(serial(seed, region) + 40 + kind as u32 * 4 + count as u32),
        phone: places::phone(rng),
        address,
    }
}

/// The first serial number of a region: 64 for each, and other ones for a thousand neighbouring seeds.
fn serial(seed: u64, region: u32) -> u32 {
    (seed % 1000) as u32 * 100_000 + region * 64
}

/// A National Provider Identifier: ten digits whose last is the Luhn check digit over `80840` and the first nine (45 CFR 162.406).
///
/// Serial numbers are spread over the range, so that neighbours do not look alike; different numbers below 10^8 never meet.
fn npi(serial: u32) -> String {
    let body = format!("1{:08}", u64::from(serial) * 7_654_321 % 99_999_989);
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = format!("80840{body}")
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| if place % 2 == 0 { doubled(u32::from(byte - b'0')) } else { u32::from(byte - b'0') })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luhn_holds(digits: &str) -> bool {
        let mut sum = 0;
        for (place, byte) in digits.bytes().rev().enumerate() {
            let digit = u32::from(byte - b'0');
            sum += match (place % 2, digit) {
                (0, _) => digit,
                (_, 0..=4) => digit * 2,
                _ => digit * 2 - 9,
            };
        }
        sum % 10 == 0
    }

    #[test]
    fn every_npi_has_its_check_digit_and_is_unique() {
        // The example of the CMS standard: 123456789 has the check digit 3.
        assert!(luhn_holds("808401234567893"));
        let mut all: Vec<String> = (0..5000).map(npi).collect();
        assert!(all.iter().all(|npi| npi.len() == 10 && luhn_holds(&format!("80840{npi}"))));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5000);
    }

    #[test]
    fn ids_of_practitioners_follow_the_staff_list() {
        let region = Region::draw(3, 1);
        let ids: Vec<&str> = region.staff().map(|practitioner| practitioner.id.as_str()).collect();
        let expected: Vec<String> = (25..=48).map(|number| format!("prac-{number:04}")).collect();
        assert_eq!(ids, expected);
        assert_eq!(region.primary((2, 1)).id, primary_practitioner_id(1, (2, 1)));
    }
}
