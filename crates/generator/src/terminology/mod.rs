//! The codes that charts are made of: published facts of SNOMED CT, LOINC, ICD-10-CM, RxNorm, CVX, UCUM and others.
//!
//! CPT codes stand without a description (the American Medical Association owns those).

pub(crate) mod allergies;
pub(crate) mod laboratory;
pub(crate) mod medications;
pub(crate) mod problems;
pub(crate) mod systems;
pub(crate) mod vaccines;

/// A code, its system and its display; an empty display is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    pub(crate) system: &'static str,
    pub(crate) code: &'static str,
    pub(crate) display: &'static str,
}

impl Code {
    /// A code of a system.
    pub(crate) const fn new(system: &'static str, code: &'static str, display: &'static str) -> Self {
        Self { system, code, display }
    }
}

/// A SNOMED CT code.
pub(crate) const fn snomed(code: &'static str, display: &'static str) -> Code {
    Code::new(systems::SNOMED, code, display)
}

/// A LOINC code.
pub(crate) const fn loinc(code: &'static str, display: &'static str) -> Code {
    Code::new(systems::LOINC, code, display)
}

/// An ICD-10-CM code.
pub(crate) const fn icd10(code: &'static str, display: &'static str) -> Code {
    Code::new(systems::ICD_10_CM, code, display)
}

/// A CPT code.
pub(crate) const fn cpt(code: &'static str) -> Code {
    Code::new(systems::CPT, code, "")
}

/// A diagnosis in the clinical and in the billing code system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Diagnosis {
    pub(crate) snomed: Code,
    pub(crate) icd10: Code,
}

impl Diagnosis {
    /// A diagnosis from a SNOMED CT code and an ICD-10-CM code, each with its display.
    pub(crate) const fn new(clinical: (&'static str, &'static str), billing: (&'static str, &'static str)) -> Self {
        Self { snomed: snomed(clinical.0, clinical.1), icd10: icd10(billing.0, billing.1) }
    }
}

/// A unit of measure: how people write it, and its UCUM code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) unit: &'static str,
    pub(crate) ucum: &'static str,
}

impl Unit {
    /// A unit whose human and UCUM forms may differ.
    pub(crate) const fn new(unit: &'static str, ucum: &'static str) -> Self {
        Self { unit, ucum }
    }

    /// A unit whose human form is its UCUM code.
    pub(crate) const fn same(ucum: &'static str) -> Self {
        Self { unit: ucum, ucum }
    }
}
