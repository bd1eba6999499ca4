//! The stream of resources: the directory first, then one patient at a time.

use jiff::civil::Date;

use crate::chart::Chart;
use crate::directory::{PATIENTS_PER_REGION, Region, shared};
use crate::people::Person;
use crate::{claims, clinical, consents, patient, sensitive, timepoints, wounds};

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many patients.
    pub patients: u32,
    /// The seed: another one gives other people with other histories, under other ids. [`DEMO_SEED`](crate::DEMO_SEED) is that of the demo.
    pub seed: u64,
    /// The day on which the data is looked at. Histories end on it; only plans and coverage reach beyond. Meant for 1950 to 2200.
    pub as_of: Date,
}

/// A resource of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedResource {
    /// The resource type, such as `Patient`.
    pub resource_type: &'static str,
    /// The id, unique for the type.
    pub id: String,
    /// The resource as JSON text without line breaks.
    pub json: String,
}

/// Every resource, lazily: the directory, then the charts by patient number. At most one region and one chart are in memory.
///
/// Each reference points to a resource that came before. An average patient has about 119 resources of 2 kB each.
pub fn generate(options: &Options) -> impl Iterator<Item = GeneratedResource> + use<> {
    let options = *options;
    let mut region = Region::draw(options.seed, 0);
    let charts = (1..=options.patients).flat_map(move |number| {
        let person = Person::draw(&options, number);
        if region.index != person.region() {
            region = Region::draw(options.seed, person.region());
        }
        fill(&options, &person, &region)
    });
    directory(&options).chain(charts)
}

/// The directory that these options need: payers and medications, then region by region the organizations, their locations,
/// practitioners and practitioner roles.
pub fn directory(options: &Options) -> impl Iterator<Item = GeneratedResource> + use<> {
    let options = *options;
    let regions = options.patients.max(1).div_ceil(PATIENTS_PER_REGION);
    shared(&options).into_iter().chain((0..regions).flat_map(move |index| Region::draw(options.seed, index).resources(&options)))
}

/// The chart of the patient of a number, which counts from 1: the same resources as in the stream, also beyond `options.patients`.
pub fn chart(options: &Options, number: u32) -> Vec<GeneratedResource> {
    let person = Person::draw(options, number.max(1));
    let region = Region::draw(options.seed, person.region());
    fill(options, &person, &region)
}

fn fill(options: &Options, person: &Person, region: &Region) -> Vec<GeneratedResource> {
    let mut chart = Chart::open(options, person, region);
    patient::record(&mut chart);
    claims::coverage::record(&mut chart);
    clinical::care_team::record(&mut chart);
    let visits = clinical::record(&mut chart);
    sensitive::record(&mut chart);
    timepoints::record(&mut chart, &visits);
    wounds::record(&mut chart);
    clinical::plans::record(&mut chart);
    claims::oral::record(&mut chart);
    consents::record(&mut chart);
    chart.close()
}
