//! Medications: RxNorm clinical drugs, with a National Drug Code that pharmacy claims use.

use super::systems::{NDC, RXNORM};
use super::{Code, Unit};

/// A prescribable medication.
#[derive(Debug)]
pub(crate) struct Medication {
    /// The id of its Medication resource.
    pub(crate) id: &'static str,
    pub(crate) rxnorm: Code,
    pub(crate) ndc: Code,
    /// What is taken at a time: a number of this unit.
    pub(crate) unit: Unit,
    /// Times per day.
    pub(crate) frequency: i64,
    /// Usual price of a month in cents.
    pub(crate) monthly_cents: i64,
    /// Whether requests point to the Medication resource; the others carry the code themselves, as real systems mix both.
    pub(crate) by_reference: bool,
}

const TABLET: Unit = Unit::new("tablet", "{tbl}");
const CAPSULE: Unit = Unit::new("capsule", "{capsule}");
const PUFF: Unit = Unit::new("puff", "{puff}");

macro_rules! medications {
    ($($name:ident = ($id:literal, $rxnorm:literal, $display:literal, $ndc:literal, $unit:expr, $frequency:literal, $cents:literal, $reference:literal);)*) => {
        $(pub(crate) static $name: Medication = Medication {
            id: $id,
            rxnorm: Code::new(RXNORM, $rxnorm, $display),
            ndc: Code::new(NDC, $ndc, $display),
            unit: $unit,
            frequency: $frequency,
            monthly_cents: $cents,
            by_reference: $reference,
        };)*
        /// Every medication, in the order of the directory.
        pub(crate) static ALL: &[&Medication] = &[$(&$name),*];
    };
}

medications! {
    METFORMIN = ("med-metformin-500", "861007", "metformin hydrochloride 500 MG Oral Tablet", "0087-6060-05", TABLET, 2, 1450, true);
    LISINOPRIL = ("med-lisinopril-10", "314076", "lisinopril 10 MG Oral Tablet", "0310-0131-10", TABLET, 1, 1120, true);
    AMLODIPINE = ("med-amlodipine-5", "197361", "amlodipine 5 MG Oral Tablet", "0069-1530-66", TABLET, 1, 1380, false);
    ATORVASTATIN = ("med-atorvastatin-20", "617310", "atorvastatin 20 MG Oral Tablet", "0071-0156-23", TABLET, 1, 1875, true);
    LEVOTHYROXINE = ("med-levothyroxine-75", "966222", "levothyroxine sodium 0.075 MG Oral Tablet", "0074-5182-90", TABLET, 1, 2260, false);
    OMEPRAZOLE = ("med-omeprazole-20", "198051", "omeprazole 20 MG Delayed Release Oral Capsule", "0186-0742-31", CAPSULE, 1, 1990, false);
    ALBUTEROL = ("med-albuterol", "2123111", "NDA020503 200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler", "0173-0682-20", PUFF, 4, 4835, true);
    WARFARIN = ("med-warfarin-5", "855332", "warfarin sodium 5 MG Oral Tablet", "0056-0172-70", TABLET, 1, 1640, true);
    AMOXICILLIN = ("med-amoxicillin-500", "308191", "amoxicillin 500 MG Oral Capsule", "0093-3109-05", CAPSULE, 3, 1215, false);
    IBUPROFEN = ("med-ibuprofen-600", "197806", "ibuprofen 600 MG Oral Tablet", "53746-465-01", TABLET, 3, 985, false);
    SERTRALINE = ("med-sertraline-50", "312941", "sertraline 50 MG Oral Tablet", "0049-4900-66", TABLET, 1, 1530, true);
    BUPRENORPHINE = ("med-buprenorphine-naloxone", "351267", "buprenorphine 8 MG / naloxone 2 MG Sublingual Tablet", "0054-0189-13", TABLET, 2, 9845, true);
    NALTREXONE = ("med-naltrexone-50", "1483744", "naltrexone hydrochloride 50 MG Oral Tablet", "0406-1170-03", TABLET, 1, 6720, true);
    BICTEGRAVIR = ("med-bictegravir", "1999667", "bictegravir 50 MG / emtricitabine 200 MG / tenofovir alafenamide 25 MG Oral Tablet", "61958-2501-1", TABLET, 1, 389_950, true);
}
