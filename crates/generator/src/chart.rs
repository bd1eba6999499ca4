//! A patient's chart while it is being filled: it numbers the resources and knows what was found so far.

use jiff::civil::Date;

use crate::calendar::{Moment, age_in_years};
use crate::directory::{Organization, Practitioner, Region};
use crate::generate::{GeneratedResource, Options};
use crate::people::Person;
use crate::rng::{Rng, Stream};
use crate::terminology::Diagnosis;
use crate::terminology::problems::{AcuteProblem, ChronicProblem, EmergencyProblem, Stay};
use crate::writer::Writer;

macro_rules! kinds {
    ($($kind:ident = $prefix:literal),* $(,)?) => {
        /// The resource types of a chart that are numbered.
        #[derive(Clone, Copy)]
        pub(crate) enum Kind { $($kind),* }

        impl Kind {
            const COUNT: usize = [$($prefix),*].len();

            fn resource_type(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),* }
            }

            fn prefix(self) -> &'static str {
                match self { $(Self::$kind => $prefix),* }
            }
        }
    };
}

kinds! {
    AllergyIntolerance = "alg",
    CarePlan = "plan",
    CareTeam = "team",
    Condition = "cond",
    Consent = "consent",
    Coverage = "cov",
    DiagnosticReport = "rep",
    DocumentReference = "doc",
    Encounter = "enc",
    EpisodeOfCare = "epi",
    ExplanationOfBenefit = "eob",
    Goal = "goal",
    Immunization = "imm",
    MedicationRequest = "rx",
    Observation = "obs",
    Procedure = "proc",
    Provenance = "prov",
    ServiceRequest = "req",
}

/// Why a patient is seen.
#[derive(Clone, Copy)]
pub(crate) enum Reason {
    /// A regular examination; its diagnosis says whether of a child or an adult.
    Examination(&'static Diagnosis),
    Acute(&'static AcuteProblem),
    Emergency(&'static EmergencyProblem),
    Stay(&'static Stay),
    /// A specialist's treatment of a long-term condition.
    Specialist(&'static Diagnosis),
}

impl Reason {
    /// The diagnosis that the visit is about.
    pub(crate) fn diagnosis(self) -> &'static Diagnosis {
        match self {
            Self::Examination(diagnosis) | Self::Specialist(diagnosis) => diagnosis,
            Self::Acute(problem) => &problem.diagnosis,
            Self::Emergency(problem) => &problem.diagnosis,
            Self::Stay(stay) => &stay.diagnosis,
        }
    }
}

/// An encounter with whom, where and why. It has a number once its Encounter is in the chart.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    encounter: u16,
    pub(crate) reason: Reason,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) practitioner: &'a Practitioner,
    pub(crate) organization: &'a Organization,
}

impl<'a> Visit<'a> {
    /// A visit before its Encounter is written.
    pub(crate) fn new(
        reason: Reason,
        period: (Moment, Moment),
        practitioner: &'a Practitioner,
        organization: &'a Organization,
    ) -> Self {
        Self { encounter: 0, reason, start: period.0, end: period.1, practitioner, organization }
    }
}

/// A problem of the problem list and the id of its Condition.
pub(crate) struct ListedProblem {
    pub(crate) problem: &'static ChronicProblem,
    pub(crate) condition_id: String,
}

/// How the patient is built, on which vital signs rest.
pub(crate) struct Build {
    pub(crate) adult_height_cm: i32,
    pub(crate) bmi_tenths: i32,
}

/// The chart of one patient.
pub(crate) struct Chart<'a> {
    pub(crate) person: &'a Person,
    pub(crate) region: &'a Region,
    pub(crate) rng: Rng,
    pub(crate) as_of: Date,
    pub(crate) seed: u64,
    pub(crate) problems: Vec<ListedProblem>,
    pub(crate) build: Build,
    /// The ids of the policies, once they are written.
    pub(crate) medical_coverage: String,
    pub(crate) dental_coverage: String,
    counts: [u16; Kind::COUNT],
    /// Each with its id without the mark.
    resources: Vec<(String, GeneratedResource)>,
}

impl<'a> Chart<'a> {
    /// Opens an empty chart.
    pub(crate) fn open(options: &Options, person: &'a Person, region: &'a Region) -> Self {
        let mut rng = Rng::new(options.seed, Stream::Chart, person.number);
        let adult_height_cm = if person.female { rng.around(163, 13) } else { rng.around(176, 14) };
        let bmi_tenths = rng.around(272, 90);
        Self {
            person,
            region,
            rng,
            as_of: options.as_of,
            seed: options.seed,
            problems: Vec::new(),
            build: Build { adult_height_cm, bmi_tenths },
            medical_coverage: String::new(),
            dental_coverage: String::new(),
            counts: [0; Kind::COUNT],
            resources: Vec::with_capacity(128),
        }
    }

    /// Hands over the resources.
    pub(crate) fn close(self) -> Vec<GeneratedResource> {
        self.resources.into_iter().map(|(_, resource)| resource).collect()
    }

    /// The last day of the history: the day of looking, or of death.
    pub(crate) fn end(&self) -> Date {
        self.person.deceased.unwrap_or(self.as_of)
    }

    /// The patient's age in years at the end of the history.
    pub(crate) fn age(&self) -> i32 {
        self.age_on(self.end())
    }

    /// The patient's age in years on a day.
    pub(crate) fn age_on(&self, date: Date) -> i32 {
        age_in_years(self.person.birth_date, date)
    }

    /// Whether the problem list has a problem of this ICD-10-CM category.
    pub(crate) fn has_problem(&self, category: &str) -> bool {
        self.problems.iter().any(|listed| listed.problem.diagnosis.icd10.code.starts_with(category))
    }

    /// The primary care practitioner.
    pub(crate) fn primary(&self) -> &'a Practitioner {
        self.region.primary(self.person.primary)
    }

    /// The practice of the primary care practitioner.
    pub(crate) fn practice(&self) -> &'a Organization {
        self.region.practice(self.person.primary.0)
    }

    /// Begins the next resource of a kind.
    pub(crate) fn begin(&mut self, kind: Kind) -> Writer {
        let count = match self.counts.get_mut(kind as usize) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        };
        Writer::resource(kind.resource_type(), self.id_of(kind, count), self.seed)
    }

    /// Puts a finished resource into the chart and gives the id by which others refer to it.
    pub(crate) fn add(&mut self, writer: Writer) -> String {
        let (id, resource) = writer.finish();
        self.resources.push((id.clone(), resource));
        id
    }

    /// Puts a visit's finished Encounter into the chart and gives the visit its number.
    pub(crate) fn add_visit(&mut self, writer: Writer, visit: Visit<'a>) -> Visit<'a> {
        self.add(writer);
        Visit { encounter: self.counts.get(Kind::Encounter as usize).copied().unwrap_or_default(), ..visit }
    }

    /// The id of a visit's Encounter.
    pub(crate) fn encounter_id(&self, visit: &Visit<'_>) -> String {
        self.id_of(Kind::Encounter, visit.encounter)
    }

    /// How many resources the chart has.
    pub(crate) fn len(&self) -> usize {
        self.resources.len()
    }

    /// The types and ids of the resources since the chart had so many.
    pub(crate) fn since(&self, mark: usize) -> Vec<(&'static str, String)> {
        self.resources.iter().skip(mark).map(|(id, resource)| (resource.resource_type, id.clone())).collect()
    }

    /// Writes `subject`.
    pub(crate) fn subject(&self, writer: &mut Writer) {
        writer.reference("subject", "Patient", &self.person.id);
    }

    /// Writes `encounter`.
    pub(crate) fn encounter(&self, writer: &mut Writer, visit: &Visit<'_>) {
        writer.reference("encounter", "Encounter", &self.encounter_id(visit));
    }

    fn id_of(&self, kind: Kind, count: u16) -> String {
        let number = self.person.number;
        match kind {
            Kind::Observation => format!("{}-{number:04}-{count:03}", kind.prefix()),
            _ => format!("{}-{number:04}-{count:02}", kind.prefix()),
        }
    }
}
