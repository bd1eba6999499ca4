//! Diagnoses by the kind of care in which they appear, and what they lead to.

use super::medications::{self, Medication};
use super::systems::{ICD_10_PCS, MS_DRG};
use super::{Code, Diagnosis, snomed};

/// A long-term problem of the problem list.
pub(crate) struct ChronicProblem {
    pub(crate) diagnosis: Diagnosis,
    pub(crate) from_age: i32,
    pub(crate) percent: u32,
    pub(crate) percent_from_65: u32,
    pub(crate) medication: Option<&'static Medication>,
    pub(crate) goal: &'static str,
}

const fn chronic(
    diagnosis: Diagnosis,
    odds: (i32, u32, u32),
    medication: Option<&'static Medication>,
    goal: &'static str,
) -> ChronicProblem {
    ChronicProblem { diagnosis, from_age: odds.0, percent: odds.1, percent_from_65: odds.2, medication, goal }
}

pub(crate) static CHRONIC: &[ChronicProblem] = &[
    chronic(
        Diagnosis::new(("59621000", "Essential hypertension"), ("I10", "Essential (primary) hypertension")),
        (30, 30, 62),
        Some(&medications::LISINOPRIL),
        "Blood pressure below 130/80 mmHg",
    ),
    chronic(
        Diagnosis::new(("44054006", "Diabetes mellitus type 2"), ("E11.9", "Type 2 diabetes mellitus without complications")),
        (30, 11, 27),
        Some(&medications::METFORMIN),
        "Hemoglobin A1c below 7 percent",
    ),
    chronic(
        Diagnosis::new(("55822004", "Hyperlipidemia"), ("E78.5", "Hyperlipidemia, unspecified")),
        (35, 26, 48),
        Some(&medications::ATORVASTATIN),
        "LDL cholesterol below 100 mg/dL",
    ),
    chronic(
        Diagnosis::new(("195967001", "Asthma"), ("J45.909", "Unspecified asthma, uncomplicated")),
        (4, 9, 7),
        Some(&medications::ALBUTEROL),
        "No night-time symptoms for three months",
    ),
    chronic(
        Diagnosis::new(
            ("235595009", "Gastroesophageal reflux disease"),
            ("K21.9", "Gastro-esophageal reflux disease without esophagitis"),
        ),
        (25, 16, 22),
        Some(&medications::OMEPRAZOLE),
        "Free of heartburn without daily medication",
    ),
    chronic(
        Diagnosis::new(("40930008", "Hypothyroidism"), ("E03.9", "Hypothyroidism, unspecified")),
        (30, 7, 14),
        Some(&medications::LEVOTHYROXINE),
        "Thyrotropin within the reference range",
    ),
    chronic(
        Diagnosis::new(("396275006", "Osteoarthritis"), ("M19.90", "Unspecified osteoarthritis, unspecified site")),
        (50, 16, 44),
        Some(&medications::IBUPROFEN),
        "Walk for thirty minutes on most days",
    ),
    chronic(
        Diagnosis::new(("49436004", "Atrial fibrillation"), ("I48.91", "Unspecified atrial fibrillation")),
        (55, 3, 14),
        Some(&medications::WARFARIN),
        "INR between 2 and 3",
    ),
    chronic(
        Diagnosis::new(
            ("13645005", "Chronic obstructive lung disease"),
            ("J44.9", "Chronic obstructive pulmonary disease, unspecified"),
        ),
        (50, 6, 15),
        Some(&medications::ALBUTEROL),
        "No smoking",
    ),
    chronic(
        Diagnosis::new(
            ("433144002", "Chronic kidney disease stage 3"),
            ("N18.30", "Chronic kidney disease, stage 3 unspecified"),
        ),
        (50, 4, 20),
        Some(&medications::AMLODIPINE),
        "Stable kidney function",
    ),
    chronic(
        Diagnosis::new(("61582004", "Allergic rhinitis"), ("J30.9", "Allergic rhinitis, unspecified")),
        (5, 15, 8),
        None,
        "Symptoms controlled in the pollen season",
    ),
    chronic(
        Diagnosis::new(
            ("37796009", "Migraine"),
            ("G43.909", "Migraine, unspecified, not intractable, without status migrainosus"),
        ),
        (14, 11, 4),
        None,
        "Fewer than two attacks a month",
    ),
    chronic(
        Diagnosis::new(("24079001", "Atopic dermatitis"), ("L20.9", "Atopic dermatitis, unspecified")),
        (1, 8, 2),
        None,
        "Clear skin between flares",
    ),
];

/// A short illness treated in a practice.
pub(crate) struct AcuteProblem {
    pub(crate) diagnosis: Diagnosis,
    pub(crate) medication: Option<&'static Medication>,
}

const fn acute(diagnosis: Diagnosis, medication: Option<&'static Medication>) -> AcuteProblem {
    AcuteProblem { diagnosis, medication }
}

pub(crate) static ACUTE: &[AcuteProblem] = &[
    acute(
        Diagnosis::new(("54150009", "Upper respiratory infection"), ("J06.9", "Acute upper respiratory infection, unspecified")),
        None,
    ),
    acute(Diagnosis::new(("10509002", "Acute bronchitis"), ("J20.9", "Acute bronchitis, unspecified")), None),
    acute(
        Diagnosis::new(("43878008", "Streptococcal sore throat"), ("J02.0", "Streptococcal pharyngitis")),
        Some(&medications::AMOXICILLIN),
    ),
    acute(
        Diagnosis::new(("3110003", "Acute otitis media"), ("H66.90", "Otitis media, unspecified, unspecified ear")),
        Some(&medications::AMOXICILLIN),
    ),
    acute(
        Diagnosis::new(
            ("68566005", "Urinary tract infectious disease"),
            ("N39.0", "Urinary tract infection, site not specified"),
        ),
        Some(&medications::AMOXICILLIN),
    ),
    acute(
        Diagnosis::new(("279039007", "Low back pain"), ("M54.50", "Low back pain, unspecified")),
        Some(&medications::IBUPROFEN),
    ),
    acute(Diagnosis::new(("111843007", "Viral gastroenteritis"), ("A08.4", "Viral intestinal infection, unspecified")), None),
];

/// A reason to come to an emergency department, and what is done there.
pub(crate) struct EmergencyProblem {
    pub(crate) diagnosis: Diagnosis,
    pub(crate) procedure: Code,
    pub(crate) procedure_cpt: &'static str,
}

pub(crate) static EMERGENCY: &[EmergencyProblem] = &[
    EmergencyProblem {
        diagnosis: Diagnosis::new(("29857009", "Chest pain"), ("R07.9", "Chest pain, unspecified")),
        procedure: snomed("29303009", "Electrocardiographic procedure"),
        procedure_cpt: "93005",
    },
    EmergencyProblem {
        diagnosis: Diagnosis::new(
            ("284549007", "Laceration of hand"),
            ("S61.419A", "Laceration without foreign body of unspecified hand, initial encounter"),
        ),
        procedure: snomed("288086009", "Suture open wound"),
        procedure_cpt: "12001",
    },
    EmergencyProblem {
        diagnosis: Diagnosis::new(
            ("44465007", "Sprain of ankle"),
            ("S93.409A", "Sprain of unspecified ligament of unspecified ankle, initial encounter"),
        ),
        procedure: snomed("19490002", "Ankle X-ray"),
        procedure_cpt: "73610",
    },
    EmergencyProblem {
        diagnosis: Diagnosis::new(("21522001", "Abdominal pain"), ("R10.9", "Unspecified abdominal pain")),
        procedure: snomed("45036003", "Ultrasonography of abdomen"),
        procedure_cpt: "76700",
    },
];

/// A reason for a stay in hospital.
pub(crate) struct Stay {
    pub(crate) diagnosis: Diagnosis,
    pub(crate) procedure: Code,
    pub(crate) procedure_pcs: Code,
    pub(crate) drg: Code,
    pub(crate) days: (i32, i32),
    pub(crate) from_age: i32,
    /// Whether the patient goes on to a skilled nursing facility.
    pub(crate) rehabilitation: bool,
}

pub(crate) static STAYS: &[Stay] = &[
    Stay {
        diagnosis: Diagnosis::new(("74400008", "Appendicitis"), ("K35.80", "Unspecified acute appendicitis")),
        procedure: snomed("80146002", "Excision of appendix"),
        procedure_pcs: Code::new(ICD_10_PCS, "0DTJ4ZZ", "Resection of Appendix, Percutaneous Endoscopic Approach"),
        drg: Code::new(MS_DRG, "399", "APPENDIX PROCEDURES WITHOUT CC/MCC"),
        days: (1, 3),
        from_age: 6,
        rehabilitation: false,
    },
    Stay {
        diagnosis: Diagnosis::new(("65275009", "Acute cholecystitis"), ("K81.0", "Acute cholecystitis")),
        procedure: snomed("45595009", "Laparoscopic cholecystectomy"),
        procedure_pcs: Code::new(ICD_10_PCS, "0FT44ZZ", "Resection of Gallbladder, Percutaneous Endoscopic Approach"),
        drg: Code::new(MS_DRG, "419", "LAPAROSCOPIC CHOLECYSTECTOMY WITHOUT C.D.E. WITHOUT CC/MCC"),
        days: (2, 4),
        from_age: 20,
        rehabilitation: false,
    },
    Stay {
        diagnosis: Diagnosis::new(
            ("401314000", "Acute non-ST segment elevation myocardial infarction"),
            ("I21.4", "Non-ST elevation (NSTEMI) myocardial infarction"),
        ),
        procedure: snomed("33367005", "Angiography of coronary artery"),
        procedure_pcs: Code::new(ICD_10_PCS, "B2111ZZ", "Fluoroscopy of Multiple Coronary Arteries using Low Osmolar Contrast"),
        drg: Code::new(MS_DRG, "281", "ACUTE MYOCARDIAL INFARCTION, DISCHARGED ALIVE WITH CC"),
        days: (3, 6),
        from_age: 45,
        rehabilitation: false,
    },
    Stay {
        diagnosis: Diagnosis::new(
            ("5913000", "Fracture of neck of femur"),
            ("S72.009A", "Fracture of unspecified part of neck of unspecified femur, initial encounter for closed fracture"),
        ),
        procedure: snomed("52734007", "Total replacement of hip"),
        procedure_pcs: Code::new(
            ICD_10_PCS,
            "0SR90JZ",
            "Replacement of Right Hip Joint with Synthetic Substitute, Open Approach",
        ),
        drg: Code::new(MS_DRG, "522", "HIP REPLACEMENT WITH PRINCIPAL DIAGNOSIS OF HIP FRACTURE WITHOUT MCC"),
        days: (4, 7),
        from_age: 65,
        rehabilitation: true,
    },
    Stay {
        diagnosis: Diagnosis::new(("422504002", "Ischemic stroke"), ("I63.9", "Cerebral infarction, unspecified")),
        procedure: snomed("303653007", "CT of head"),
        procedure_pcs: Code::new(ICD_10_PCS, "B020ZZZ", "Computerized Tomography (CT Scan) of Brain"),
        drg: Code::new(MS_DRG, "065", "INTRACRANIAL HEMORRHAGE OR CEREBRAL INFARCTION WITH CC OR TPA IN 24 HOURS"),
        days: (4, 9),
        from_age: 60,
        rehabilitation: true,
    },
    Stay {
        diagnosis: Diagnosis::new(("233604007", "Pneumonia"), ("J18.9", "Pneumonia, unspecified organism")),
        procedure: snomed("399208008", "Plain chest X-ray"),
        procedure_pcs: Code::new(ICD_10_PCS, "BW03ZZZ", "Plain Radiography of Chest"),
        drg: Code::new(MS_DRG, "194", "SIMPLE PNEUMONIA AND PLEURISY WITH CC"),
        days: (3, 6),
        from_age: 60,
        rehabilitation: false,
    },
];

pub(crate) static ADULT_EXAMINATION: Diagnosis = Diagnosis::new(
    ("162673000", "General examination of patient"),
    ("Z00.00", "Encounter for general adult medical examination without abnormal findings"),
);

pub(crate) static CHILD_EXAMINATION: Diagnosis = Diagnosis::new(
    ("410620009", "Well child visit"),
    ("Z00.129", "Encounter for routine child health examination without abnormal findings"),
);

pub(crate) static DENTAL_EXAMINATION: Code =
    super::icd10("Z01.20", "Encounter for dental examination and cleaning without abnormal findings");
