//! Who the patients are: households, names, ages, relatives, insurer, primary care practitioner, and who has a sensitive condition.
//!
//! Patients come in blocks of ten with a fixed shape: one adult alone; a couple; an older adult with a grown child as caregiver; two
//! parents with two children; one adult alone; an older adult alone. All of it is drawn from the patient's number and the seed, so
//! that a list of people costs no charts.

use jiff::civil::Date;

use crate::calendar::{age_in_years, plus_days};
use crate::directory::{PATIENTS_PER_REGION, primary_practitioner_id};
use crate::generate::Options;
use crate::mark::marked;
use crate::names::{self, Origin};
use crate::places::{self, Address};
use crate::rng::{Rng, Stream};

/// What can be known of a patient without generating the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonSummary {
    /// The id of the Patient, such as `pat-0001`, or `pat-0001-s7` under seed 7.
    pub patient_id: String,
    /// The first given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The date of birth.
    pub birth_date: Date,
    /// Whether the chart has substance use, HIV or mental health data.
    pub has_sensitive: bool,
    /// The id of the Practitioner who is this patient's primary care practitioner.
    pub general_practitioner_id: String,
    /// The patient's relatives, in the order of their ids; at least one.
    pub related_persons: Vec<RelatedPersonSummary>,
}

/// A relative of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedPersonSummary {
    /// The id of the RelatedPerson, such as `rel-0001-01`.
    pub id: String,
    /// The first given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// What the relative is to the patient, such as `mother`.
    pub relationship: &'static str,
}

/// Every patient that [`generate`](crate::generate()) would make for these options, in its order.
pub fn people(options: &Options) -> Vec<PersonSummary> {
    (1..=options.patients).map(|number| Person::draw(options, number).summary(options.seed)).collect()
}

/// A group of conditions that law or custom protects more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sensitivity {
    MentalHealth,
    SubstanceUse,
    Hiv,
}

/// A relative's relationship to the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relationship {
    Mother,
    Father,
    Husband,
    Wife,
    Daughter,
    Son,
}

impl Relationship {
    /// The v3-RoleCode and its display.
    pub(crate) fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::Mother => ("MTH", "mother"),
            Self::Father => ("FTH", "father"),
            Self::Husband => ("HUSB", "husband"),
            Self::Wife => ("WIFE", "wife"),
            Self::Daughter => ("DAUC", "daughter"),
            Self::Son => ("SONC", "son"),
        }
    }

    /// Whether the relative is a woman.
    pub(crate) fn is_female(self) -> bool {
        matches!(self, Self::Mother | Self::Wife | Self::Daughter)
    }
}

/// Someone whom a chart names as a relative; may be a patient too, under another number.
pub(crate) struct Relative {
    pub(crate) id: String,
    pub(crate) relationship: Relationship,
    pub(crate) given: &'static str,
    pub(crate) family: &'static str,
    pub(crate) birth_date: Date,
}

/// A patient.
pub(crate) struct Person {
    pub(crate) number: u32,
    pub(crate) id: String,
    pub(crate) origin: &'static Origin,
    pub(crate) female: bool,
    pub(crate) given: &'static str,
    pub(crate) middle: &'static str,
    pub(crate) family: &'static str,
    pub(crate) birth_date: Date,
    pub(crate) deceased: Option<Date>,
    pub(crate) married: bool,
    pub(crate) address: Address,
    pub(crate) phone: String,
    pub(crate) payer: u32,
    /// The practice of the region, and the practitioner's place in it.
    pub(crate) primary: (u32, u32),
    pub(crate) sensitivity: Option<Sensitivity>,
    pub(crate) relatives: Vec<Relative>,
}

impl Person {
    /// Draws the patient of a number, which counts from 1.
    pub(crate) fn draw(options: &Options, number: u32) -> Self {
        let seat = Seat::of(number);
        let household = Household::draw(options.seed, &seat);
        let identity = Identity::draw(options, &seat, &household);
        let mut rng = identity.rng.clone();
        let age = age_in_years(identity.birth_date, options.as_of);
        let practice = if age < 18 { 3 } else { household.practice };
        let deceased =
            (seat.place == Place::ElderAlone && rng.percent(12)).then(|| plus_days(options.as_of, -rng.between(30, 500)));
        // The first patients are who demonstrations and small tests look at: one without and one with a sensitive condition.
        let sensitivity = match number {
            1 => None,
            2 => Some(Sensitivity::MentalHealth),
            _ if age >= 18 && rng.percent(25) => Some(match rng.below(10) {
                0..=4 => Sensitivity::MentalHealth,
                5..=7 => Sensitivity::SubstanceUse,
                _ => Sensitivity::Hiv,
            }),
            _ => None,
        };
        let relatives = relatives(options, &seat, &household, &identity);
        Self {
            number,
            id: format!("pat-{number:04}"),
            origin: household.origin,
            female: identity.female,
            given: identity.given,
            middle: household.origin.middle(identity.female, identity.given, &mut rng),
            family: household.family,
            birth_date: identity.birth_date,
            deceased,
            married: matches!(seat.place, Place::Couple | Place::Parent),
            phone: places::phone(&mut rng),
            payer: household.payer,
            primary: (practice, if number == 1 { 0 } else { rng.below(3) }),
            address: household.address,
            sensitivity,
            relatives,
        }
    }

    /// The region whose practices and hospitals the patient uses.
    pub(crate) fn region(&self) -> u32 {
        (self.number - 1) / PATIENTS_PER_REGION
    }

    fn summary(&self, seed: u64) -> PersonSummary {
        let relative = |relative: &Relative| RelatedPersonSummary {
            id: marked(seed, relative.id.clone()),
            given: relative.given.to_owned(),
            family: relative.family.to_owned(),
            relationship: relative.relationship.code().1,
        };
        PersonSummary {
            patient_id: marked(seed, self.id.clone()),
            given: self.given.to_owned(),
            family: self.family.to_owned(),
            birth_date: self.birth_date,
            has_sensitive: self.sensitivity.is_some(),
            general_practitioner_id: marked(seed, primary_practitioner_id(self.region(), self.primary)),
            related_persons: self.relatives.iter().map(relative).collect(),
        }
    }
}

/// A place in a block of ten patients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Couple,
    ElderWithChild,
    Parent,
    Child,
    ElderAlone,
}

/// Where a patient sits: the household's number, the place, and whether the first or second of that place.
struct Seat {
    number: u32,
    household: u32,
    place: Place,
    second: bool,
}

impl Seat {
    fn of(number: u32) -> Self {
        let (household, place, second) = match (number - 1) % 10 {
            0 => (0, Place::Alone, false),
            1 => (1, Place::Couple, false),
            2 => (1, Place::Couple, true),
            3 => (2, Place::ElderWithChild, false),
            4 => (3, Place::Parent, false),
            5 => (3, Place::Parent, true),
            6 => (3, Place::Child, false),
            7 => (3, Place::Child, true),
            8 => (4, Place::Alone, false),
            _ => (5, Place::ElderAlone, false),
        };
        Self { number, household: (number - 1) / 10 * 6 + household, place, second }
    }

    /// The same block's other seat, so many numbers away.
    fn other(&self, distance: i32) -> Self {
        Self::of(self.number.saturating_add_signed(distance))
    }
}

/// What people who live together share.
struct Household {
    origin: &'static Origin,
    family: &'static str,
    base_age: i32,
    address: Address,
    payer: u32,
    practice: u32,
}

impl Household {
    fn draw(seed: u64, seat: &Seat) -> Self {
        let mut rng = Rng::new(seed, Stream::Household, seat.household);
        let origin = names::origin(&mut rng);
        let base_age = match seat.place {
            Place::Alone => rng.between(22, 63),
            Place::Couple => rng.between(28, 62),
            Place::Parent | Place::Child => rng.between(29, 48),
            Place::ElderWithChild | Place::ElderAlone => rng.between(67, 91),
        };
        let drawn_practice = rng.below(3);
        // The first two households go to different practices, so that a clinician of the first does not know the second.
        let practice = if seat.household < 2 { seat.household } else { drawn_practice };
        Self {
            origin,
            family: rng.choose(origin.family),
            base_age,
            address: Address::draw(&mut rng),
            payer: rng.below(2),
            practice,
        }
    }
}

/// The part of a person that relatives need to know.
struct Identity {
    female: bool,
    given: &'static str,
    birth_date: Date,
    rng: Rng,
}

impl Identity {
    fn draw(options: &Options, seat: &Seat, household: &Household) -> Self {
        let mut rng = Rng::new(options.seed, Stream::Person, seat.number);
        let drawn_female = rng.percent(51);
        let female = match seat.place {
            Place::Couple | Place::Parent => !seat.second,
            _ => drawn_female,
        };
        let age = match seat.place {
            Place::Couple | Place::Parent => household.base_age + rng.between(-3, 3),
            Place::Child => rng.between(1, (household.base_age - 22).min(17)),
            _ => household.base_age,
        };
        let birth_date = plus_days(options.as_of, -(age * 365 + age / 4) - rng.between(1, 364));
        Self { female, given: household.origin.given(female, &mut rng), birth_date, rng }
    }
}

fn relatives(options: &Options, seat: &Seat, household: &Household, identity: &Identity) -> Vec<Relative> {
    let in_household = |distance: i32, relationship: Relationship| {
        let other = Identity::draw(options, &seat.other(distance), household);
        (relationship, other.given, other.birth_date)
    };
    let mut rng = Rng::new(options.seed ^ 0x5e1a_71fe, Stream::Person, seat.number);
    let mut outside = |relationship: Relationship, years: i32| {
        let given = household.origin.given(relationship.is_female(), &mut rng);
        (relationship, given, plus_days(identity.birth_date, years * 365 + rng.between(-900, 900)))
    };
    let found = match seat.place {
        Place::Alone => vec![outside(Relationship::Mother, -27)],
        Place::Couple | Place::Parent if seat.second => vec![in_household(-1, Relationship::Wife)],
        Place::Couple | Place::Parent => vec![in_household(1, Relationship::Husband)],
        Place::Child => {
            let first = if seat.second { -3 } else { -2 };
            vec![in_household(first, Relationship::Mother), in_household(first + 1, Relationship::Father)]
        }
        Place::ElderWithChild => vec![outside(Relationship::Daughter, 29)],
        Place::ElderAlone => vec![outside(Relationship::Son, 31)],
    };
    let numbered = (1..).zip(found);
    let relative = |(count, (relationship, given, birth_date))| Relative {
        id: format!("rel-{:04}-{count:02}", seat.number),
        relationship,
        given,
        family: household.family,
        birth_date,
    };
    numbered.map(relative).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn options(patients: u32) -> Options {
        Options { patients, seed: 1, as_of: date(2026, 10, 1) }
    }

    #[test]
    fn people_do_not_depend_on_how_many_are_asked_for() {
        let few = people(&options(15));
        let many = people(&options(200));
        assert_eq!(few.as_slice(), &many[..15]);
    }

    #[test]
    fn another_seed_gives_other_people() {
        let other = Options { seed: 2, ..options(20) };
        assert_ne!(people(&options(20)), people(&other));
    }

    #[test]
    fn children_have_their_mother_and_father_of_the_same_household() {
        let all = people(&options(10));
        let (mother, father) = (&all[4], &all[5]);
        for child in &all[6..8] {
            let relatives = &child.related_persons;
            assert_eq!((relatives[0].relationship, &relatives[0].given), ("mother", &mother.given));
            assert_eq!((relatives[1].relationship, &relatives[1].given), ("father", &father.given));
            assert!(age_in_years(mother.birth_date, child.birth_date) >= 17, "{mother:?} {child:?}");
            assert_eq!(child.family, mother.family);
        }
    }

    #[test]
    fn about_a_fifth_has_a_sensitive_condition_and_no_child() {
        let all = people(&options(2000));
        let sensitive = all.iter().filter(|person| person.has_sensitive).count();
        assert!((320..=480).contains(&sensitive), "{sensitive} of 2000");
        let child = |person: &&PersonSummary| age_in_years(person.birth_date, date(2026, 10, 1)) < 18;
        assert!(all.iter().filter(child).all(|person| !person.has_sensitive));
    }

    #[test]
    fn the_first_two_patients_have_different_practitioners_and_sensitivity() {
        for seed in 0..50 {
            let all = people(&Options { seed, ..options(2) });
            let first = marked(seed, "prac-0001".to_owned());
            assert_eq!(all[0].general_practitioner_id, first);
            assert_ne!(all[1].general_practitioner_id, first);
            assert!(!all[0].has_sensitive && all[1].has_sensitive);
        }
    }
}
