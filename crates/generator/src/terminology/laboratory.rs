//! Laboratory panels: LOINC codes, UCUM units, reference ranges, and where the values of a chart lie.

use super::{Code, Unit, loinc};

/// One measured substance. Numbers are in units of the last decimal place.
pub(crate) struct Analyte {
    pub(crate) code: Code,
    pub(crate) unit: Unit,
    pub(crate) scale: u32,
    pub(crate) range: (i32, i32),
    pub(crate) middle: i32,
    pub(crate) spread: i32,
    /// An ICD-10-CM category that moves the middle, and by how much.
    pub(crate) shifted_by: Option<(&'static str, i32)>,
}

/// Substances that are ordered, and reported, together.
pub(crate) struct Panel {
    pub(crate) code: Code,
    pub(crate) cpt: &'static str,
    pub(crate) price_cents: i64,
    pub(crate) analytes: &'static [Analyte],
}

const MG_DL: Unit = Unit::same("mg/dL");
const MMOL_L: Unit = Unit::same("mmol/L");
const PERCENT: Unit = Unit::same("%");
const THOUSAND_UL: Unit = Unit::new("10*3/uL", "10*3/uL");
const CELLS_UL: Unit = Unit::new("cells/uL", "{cells}/uL");

const fn analyte(
    code: Code,
    unit: Unit,
    scale: u32,
    values: (i32, i32, i32, i32),
    shifted_by: Option<(&'static str, i32)>,
) -> Analyte {
    Analyte { code, unit, scale, range: (values.0, values.1), middle: values.2, spread: values.3, shifted_by }
}

pub(crate) static METABOLIC: Panel = Panel {
    code: loinc("24321-2", "Basic metabolic 2000 panel - Serum or Plasma"),
    cpt: "80048",
    price_cents: 4820,
    analytes: &[
        analyte(loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma"), MG_DL, 0, (70, 99, 91, 12), Some(("E11", 58))),
        analyte(loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"), MG_DL, 0, (7, 20, 14, 6), Some(("N18", 16))),
        analyte(loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"), MG_DL, 2, (60, 120, 88, 26), Some(("N18", 85))),
        analyte(loinc("17861-6", "Calcium [Mass/volume] in Serum or Plasma"), MG_DL, 1, (85, 105, 95, 7), None),
        analyte(loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma"), MMOL_L, 0, (136, 145, 140, 5), None),
        analyte(loinc("2823-3", "Potassium [Moles/volume] in Serum or Plasma"), MMOL_L, 1, (35, 51, 42, 7), None),
        analyte(loinc("2075-0", "Chloride [Moles/volume] in Serum or Plasma"), MMOL_L, 0, (98, 107, 102, 5), None),
        analyte(loinc("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma"), MMOL_L, 0, (22, 29, 25, 4), None),
    ],
};

pub(crate) static LIPID: Panel = Panel {
    code: loinc("24331-1", "Lipid 1996 panel - Serum or Plasma"),
    cpt: "80061",
    price_cents: 5560,
    analytes: &[
        analyte(
            loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"),
            MG_DL,
            0,
            (100, 199, 176, 34),
            Some(("E78", 48)),
        ),
        analyte(loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"), MG_DL, 0, (0, 149, 108, 52), Some(("E78", 54))),
        analyte(loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"), MG_DL, 0, (40, 90, 54, 14), None),
        analyte(
            loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"),
            MG_DL,
            0,
            (0, 99, 98, 24),
            Some(("E78", 42)),
        ),
    ],
};

pub(crate) static BLOOD_COUNT: Panel = Panel {
    code: loinc("58410-2", "CBC panel - Blood by Automated count"),
    cpt: "85027",
    price_cents: 3175,
    analytes: &[
        analyte(loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"), THOUSAND_UL, 1, (45, 110, 72, 28), None),
        analyte(
            loinc("789-8", "Erythrocytes [#/volume] in Blood by Automated count"),
            Unit::same("10*6/uL"),
            2,
            (410, 570, 478, 62),
            None,
        ),
        analyte(loinc("718-7", "Hemoglobin [Mass/volume] in Blood"), Unit::same("g/dL"), 1, (120, 170, 142, 20), None),
        analyte(
            loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"),
            PERCENT,
            1,
            (360, 500, 424, 50),
            None,
        ),
        analyte(loinc("777-3", "Platelets [#/volume] in Blood by Automated count"), THOUSAND_UL, 0, (150, 400, 252, 90), None),
    ],
};

pub(crate) static HEMOGLOBIN_A1C: Panel = Panel {
    code: loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    cpt: "83036",
    price_cents: 3840,
    analytes: &[analyte(
        loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
        PERCENT,
        1,
        (40, 56, 53, 4),
        Some(("E11", 19)),
    )],
};

pub(crate) static THYROTROPIN: Panel = Panel {
    code: loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
    cpt: "84443",
    price_cents: 4410,
    analytes: &[analyte(
        loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
        Unit::new("mIU/L", "m[IU]/L"),
        2,
        (40, 450, 210, 140),
        Some(("E03", 190)),
    )],
};

pub(crate) static HIV_VIRAL_LOAD: Panel = Panel {
    code: loinc("20447-9", "HIV 1 RNA [#/volume] (viral load) in Serum or Plasma by NAA with probe detection"),
    cpt: "87536",
    price_cents: 18_600,
    analytes: &[analyte(
        loinc("20447-9", "HIV 1 RNA [#/volume] (viral load) in Serum or Plasma by NAA with probe detection"),
        Unit::new("copies/mL", "{copies}/mL"),
        0,
        (0, 20, 34, 30),
        None,
    )],
};

pub(crate) static CD4_COUNT: Panel = Panel {
    code: loinc("24467-3", "CD3+CD4+ (T4 helper) cells [#/volume] in Blood"),
    cpt: "86360",
    price_cents: 11_240,
    analytes: &[analyte(
        loinc("24467-3", "CD3+CD4+ (T4 helper) cells [#/volume] in Blood"),
        CELLS_UL,
        0,
        (500, 1500, 610, 260),
        None,
    )],
};
