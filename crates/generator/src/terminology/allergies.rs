//! Allergens and their reactions.

use super::systems::RXNORM;
use super::{Code, snomed};

/// Something that a patient does not tolerate.
pub(crate) struct Allergen {
    pub(crate) code: Code,
    /// The R4 AllergyIntolerance.category.
    pub(crate) category: &'static str,
}

pub(crate) static ALLERGENS: &[Allergen] = &[
    Allergen { code: Code::new(RXNORM, "7980", "penicillin G"), category: "medication" },
    Allergen { code: Code::new(RXNORM, "10180", "sulfamethoxazole"), category: "medication" },
    Allergen { code: Code::new(RXNORM, "1191", "aspirin"), category: "medication" },
    Allergen { code: snomed("762952008", "Peanut"), category: "food" },
    Allergen { code: snomed("735029006", "Shellfish"), category: "food" },
    Allergen { code: snomed("111088007", "Latex"), category: "environment" },
    Allergen { code: snomed("288328004", "Bee venom"), category: "environment" },
];

/// Reactions with the R4 AllergyIntolerance.reaction.severity.
pub(crate) static REACTIONS: &[(Code, &str)] = &[
    (snomed("126485001", "Urticaria"), "mild"),
    (snomed("271807003", "Eruption of skin"), "mild"),
    (snomed("418290006", "Itching"), "mild"),
    (snomed("422587007", "Nausea"), "moderate"),
    (snomed("267036007", "Dyspnea"), "severe"),
    (snomed("39579001", "Anaphylaxis"), "severe"),
];
