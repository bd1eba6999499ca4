//! How the consent screen groups what an app asks for, and what each resource type is called in plain words.
//!
//! One table in both languages, so that a reviewer or translator reads it in one place. The nouns stand at a reading level of about
//! grade 8. This knows nothing of pages; it only says in which group a scope belongs.

use portcullis_fhir::types::ResourceType;

use crate::language::Language;
use crate::scopes::{Scope, ScopeKind, ScopeTarget};

/// A group of lines on the consent screen, in the order of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentGroup {
    /// Name, address, identity.
    WhoYouAre,
    /// Observations, reports, images, questionnaires.
    TestsAndMeasurements,
    /// Diagnoses, allergies, risks.
    Conditions,
    /// Prescriptions and vaccinations.
    Medicines,
    /// Encounters, appointments, procedures.
    Visits,
    /// Insurance and money.
    ClaimsAndCoverage,
    /// The people and places that give care, and their plans.
    CareTeam,
    /// Documents, files, messages, decisions.
    Documents,
    /// Whatever has no group of its own, and scopes over everything.
    EverythingElse,
}

impl ConsentGroup {
    /// All groups in the order of the screen.
    pub const ALL: [Self; 9] = [
        Self::WhoYouAre,
        Self::TestsAndMeasurements,
        Self::Conditions,
        Self::Medicines,
        Self::Visits,
        Self::ClaimsAndCoverage,
        Self::CareTeam,
        Self::Documents,
        Self::EverythingElse,
    ];

    /// The heading of the group.
    pub fn title(self, language: Language) -> &'static str {
        match self {
            Self::WhoYouAre => language.say("Who you are", "Quién es usted"),
            Self::TestsAndMeasurements => language.say("Tests and measurements", "Pruebas y mediciones"),
            Self::Conditions => language.say("Conditions", "Problemas de salud"),
            Self::Medicines => language.say("Medicines", "Medicinas"),
            Self::Visits => language.say("Visits", "Consultas"),
            Self::ClaimsAndCoverage => language.say("Claims and coverage", "Reclamos y seguro"),
            Self::CareTeam => language.say("Care team", "Equipo de atención"),
            Self::Documents => language.say("Documents", "Documentos"),
            Self::EverythingElse => language.say("Everything else", "Todo lo demás"),
        }
    }

    /// The group of a scope; `None` for `offline_access` and `online_access`, which belong to the question "for how long".
    pub fn of(scope: &Scope) -> Option<Self> {
        match scope.kind() {
            ScopeKind::OfflineAccess | ScopeKind::OnlineAccess => None,
            ScopeKind::OpenId | ScopeKind::FhirUser | ScopeKind::Profile | ScopeKind::Launch | ScopeKind::LaunchPatient => {
                Some(Self::WhoYouAre)
            }
            ScopeKind::LaunchEncounter => Some(Self::Visits),
            ScopeKind::Resource(resource) | ScopeKind::Qualified(resource) => Some(match resource.target {
                ScopeTarget::Any => Self::EverythingElse,
                ScopeTarget::Type(resource_type) => Self::of_type(resource_type),
            }),
        }
    }

    /// The group of a resource type.
    pub fn of_type(resource_type: ResourceType) -> Self {
        entry(resource_type).map_or(Self::EverythingElse, |(_, group, _)| *group)
    }
}

/// What people call a part of a record: after "your" in English, with "su" or "sus" in Spanish, which has two words for "your".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noun(&'static str, &'static str);

impl Noun {
    /// "your insurance plans", "sus planes de seguro"
    pub fn yours(self, language: Language) -> String {
        match language {
            Language::English => format!("your {}", self.0),
            Language::Spanish => self.1.to_owned(),
        }
    }

    /// "insurance plans", "planes de seguro"
    pub fn bare(self, language: Language) -> &'static str {
        match language {
            Language::English => self.0,
            Language::Spanish => self.1.trim_start_matches("sus ").trim_start_matches("su "),
        }
    }
}

/// What a resource type is called; `None` for types that no patient's record usually has.
pub fn noun(resource_type: ResourceType) -> Option<Noun> {
    entry(resource_type).map(|(_, _, noun)| *noun)
}

/// What the resources of one category are called: the categories by which US Core divides types (its "SMART on FHIR Obligations and
/// Capabilities"), and others of the same code systems.
pub fn category_noun(resource_type: ResourceType, system: &str, code: &str) -> Option<Noun> {
    let is_it = |row: &&(&str, &str, &str, Noun)| row.0 == resource_type.name() && row.1 == system && row.2 == code;
    CATEGORIES.iter().find(is_it).map(|row| row.3)
}

fn entry(resource_type: ResourceType) -> Option<&'static (&'static str, ConsentGroup, Noun)> {
    TYPES.iter().find(|(name, _, _)| *name == resource_type.name())
}

use ConsentGroup::{
    CareTeam, ClaimsAndCoverage, Conditions, Documents, EverythingElse, Medicines, TestsAndMeasurements, Visits, WhoYouAre,
};

/// Type, group, and what a person calls it.
#[rustfmt::skip]
static TYPES: &[(&str, ConsentGroup, Noun)] = &[
    ("Patient", WhoYouAre, Noun("name, birth date, address and contact details", "su nombre, fecha de nacimiento, dirección y datos de contacto")),
    ("Person", WhoYouAre, Noun("name and contact details as other places know them", "su nombre y datos de contacto como los conocen en otros lugares")),
    ("RelatedPerson", WhoYouAre, Noun("relatives and others who help with your care", "sus familiares y otras personas que ayudan con su atención")),

    ("Observation", TestsAndMeasurements, Noun("test results, vital signs and answers to health questions", "sus resultados de pruebas, signos vitales y respuestas a preguntas de salud")),
    ("DiagnosticReport", TestsAndMeasurements, Noun("reports about tests and scans", "sus informes de pruebas y estudios de imagen")),
    ("Specimen", TestsAndMeasurements, Noun("blood, tissue and other samples", "sus muestras de sangre, de tejido y otras")),
    ("ImagingStudy", TestsAndMeasurements, Noun("scans and X-rays", "sus estudios de imagen y rayos X")),
    ("Media", TestsAndMeasurements, Noun("clinical photos, videos and recordings", "sus fotos, videos y grabaciones clínicas")),
    ("MolecularSequence", TestsAndMeasurements, Noun("genetic test data", "sus datos de pruebas genéticas")),
    ("BodyStructure", TestsAndMeasurements, Noun("body sites that were examined", "sus partes del cuerpo que se examinaron")),
    ("QuestionnaireResponse", TestsAndMeasurements, Noun("answers to forms and surveys", "sus respuestas a formularios y encuestas")),
    ("RiskAssessment", TestsAndMeasurements, Noun("estimates of health risks", "sus cálculos de riesgos de salud")),
    ("VisionPrescription", TestsAndMeasurements, Noun("glasses and lens prescriptions", "sus recetas de lentes")),

    ("Condition", Conditions, Noun("health problems and diagnoses", "sus problemas de salud y diagnósticos")),
    ("AllergyIntolerance", Conditions, Noun("allergies and intolerances", "sus alergias e intolerancias")),
    ("FamilyMemberHistory", Conditions, Noun("family's health history", "sus antecedentes médicos familiares")),
    ("ClinicalImpression", Conditions, Noun("assessments made by clinicians", "sus evaluaciones hechas por el personal clínico")),
    ("AdverseEvent", Conditions, Noun("harmful events during care", "sus daños sufridos durante la atención")),
    ("DetectedIssue", Conditions, Noun("safety warnings, such as medicines that do not mix", "sus avisos de seguridad, como medicinas que no se deben mezclar")),
    ("Flag", Conditions, Noun("alerts for the people who treat you", "sus alertas para quienes le dan atención")),

    ("MedicationRequest", Medicines, Noun("prescriptions", "sus recetas médicas")),
    ("MedicationDispense", Medicines, Noun("medicines handed out by a pharmacy", "sus medicinas entregadas por una farmacia")),
    ("MedicationAdministration", Medicines, Noun("medicines given to you by others", "sus medicinas administradas por otras personas")),
    ("MedicationStatement", Medicines, Noun("medicines that you say you take", "sus medicinas que toma, según usted informó")),
    ("Medication", Medicines, Noun("medicines and what is in them", "sus medicinas y lo que contienen")),
    ("Immunization", Medicines, Noun("vaccinations", "sus vacunas")),
    ("ImmunizationEvaluation", Medicines, Noun("checks on whether vaccinations count", "sus revisiones de la validez de las vacunas")),
    ("ImmunizationRecommendation", Medicines, Noun("vaccinations that are due", "sus vacunas pendientes")),

    ("Encounter", Visits, Noun("visits and hospital stays", "sus consultas y hospitalizaciones")),
    ("EpisodeOfCare", Visits, Noun("periods of care with one provider", "sus periodos de atención con un mismo proveedor")),
    ("Appointment", Visits, Noun("appointments", "sus citas")),
    ("AppointmentResponse", Visits, Noun("replies to appointments", "sus respuestas a citas")),
    ("Schedule", Visits, Noun("appointment calendars", "sus calendarios de citas")),
    ("Procedure", Visits, Noun("operations and treatments", "sus operaciones y tratamientos")),
    ("ServiceRequest", Visits, Noun("referrals and orders", "sus referencias y órdenes médicas")),

    ("ExplanationOfBenefit", ClaimsAndCoverage, Noun("insurance claims: visits, prescriptions, what was paid", "sus reclamos al seguro: consultas, recetas, lo que se pagó")),
    ("Coverage", ClaimsAndCoverage, Noun("insurance plans", "sus planes de seguro")),
    ("Claim", ClaimsAndCoverage, Noun("claims sent to an insurer", "sus reclamos enviados a un seguro")),
    ("ClaimResponse", ClaimsAndCoverage, Noun("insurer's answers to claims", "sus respuestas del seguro a reclamos")),
    ("CoverageEligibilityRequest", ClaimsAndCoverage, Noun("questions to an insurer about cover", "sus preguntas a un seguro sobre la cobertura")),
    ("CoverageEligibilityResponse", ClaimsAndCoverage, Noun("insurer's answers about cover", "sus respuestas del seguro sobre la cobertura")),
    ("Account", ClaimsAndCoverage, Noun("billing accounts", "sus cuentas por pagar")),
    ("ChargeItem", ClaimsAndCoverage, Noun("charges for care", "sus cargos por la atención")),
    ("Invoice", ClaimsAndCoverage, Noun("bills", "sus facturas")),
    ("EnrollmentRequest", ClaimsAndCoverage, Noun("requests to join an insurance plan", "sus solicitudes para entrar a un plan de seguro")),
    ("EnrollmentResponse", ClaimsAndCoverage, Noun("answers about joining an insurance plan", "sus respuestas sobre la entrada a un plan de seguro")),
    ("PaymentNotice", ClaimsAndCoverage, Noun("payment notices", "sus avisos de pago")),
    ("PaymentReconciliation", ClaimsAndCoverage, Noun("payments matched to claims", "sus pagos relacionados con reclamos")),
    ("InsurancePlan", ClaimsAndCoverage, Noun("insurer's offers", "sus ofertas del seguro")),
    ("Contract", ClaimsAndCoverage, Noun("contracts", "sus contratos")),

    ("CareTeam", CareTeam, Noun("care team", "su equipo de atención")),
    ("CarePlan", CareTeam, Noun("care plans", "sus planes de atención")),
    ("Goal", CareTeam, Noun("health goals", "sus metas de salud")),
    ("Practitioner", CareTeam, Noun("doctors, nurses and other clinicians", "sus médicos, enfermeras y otro personal clínico")),
    ("PractitionerRole", CareTeam, Noun("clinicians' roles and places of work", "sus datos del personal clínico: funciones y lugares de trabajo")),
    ("Organization", CareTeam, Noun("hospitals, practices and insurers", "sus hospitales, consultorios y seguros")),
    ("Location", CareTeam, Noun("places of care", "sus lugares de atención")),
    ("HealthcareService", CareTeam, Noun("health services", "sus servicios de salud")),

    ("DocumentReference", Documents, Noun("documents and clinical notes", "sus documentos y notas clínicas")),
    ("DocumentManifest", Documents, Noun("collections of documents", "sus colecciones de documentos")),
    ("Composition", Documents, Noun("health summaries", "sus resúmenes de salud")),
    ("Binary", Documents, Noun("files", "sus archivos")),
    ("Communication", Documents, Noun("messages about your care", "sus mensajes sobre la atención")),
    ("CommunicationRequest", Documents, Noun("requests to send messages about your care", "sus solicitudes de enviar mensajes sobre la atención")),
    ("Consent", Documents, Noun("privacy choices", "sus decisiones de privacidad")),

    ("AuditEvent", EverythingElse, Noun("access history: who looked at your record and when, with names of staff", "su historial de accesos: quién vio el expediente y cuándo, con nombres del personal")),
    ("Provenance", EverythingElse, Noun("record's sources: who wrote each entry and when", "su información de origen: quién escribió cada dato del expediente y cuándo")),
    ("Device", EverythingElse, Noun("medical devices and implants", "sus aparatos médicos e implantes")),
    ("DeviceRequest", EverythingElse, Noun("orders for medical devices", "sus órdenes de aparatos médicos")),
    ("DeviceUseStatement", EverythingElse, Noun("use of medical devices", "su uso de aparatos médicos")),
    ("NutritionOrder", EverythingElse, Noun("diet orders", "sus órdenes de dieta")),
    ("SupplyRequest", EverythingElse, Noun("orders for medical supplies", "sus órdenes de material médico")),
    ("SupplyDelivery", EverythingElse, Noun("deliveries of medical supplies", "sus entregas de material médico")),
    ("ResearchSubject", EverythingElse, Noun("part in research studies", "su participación en estudios de investigación")),
    ("MeasureReport", EverythingElse, Noun("results on quality measures", "sus resultados en medidas de calidad")),
    ("RequestGroup", EverythingElse, Noun("groups of orders", "sus grupos de órdenes")),
    ("Group", EverythingElse, Noun("memberships in groups of patients", "su pertenencia a grupos de pacientes")),
    ("List", EverythingElse, Noun("lists kept by clinicians", "sus listas hechas por el personal clínico")),
    ("Task", EverythingElse, Noun("tasks in care", "sus tareas de la atención")),
    ("Basic", EverythingElse, Noun("entries of other kinds", "sus datos de otros tipos")),
];

/// Types that no patient's record usually has, and what follows "sus" in Spanish. In English their name is taken apart instead.
#[rustfmt::skip]
static OTHER_TYPES: &[(&str, &str)] = &[
    ("ActivityDefinition", "definiciones de actividades"),
    ("BiologicallyDerivedProduct", "productos de origen biológico"),
    ("Bundle", "paquetes de datos"),
    ("CapabilityStatement", "descripciones de sistemas"),
    ("CatalogEntry", "datos de catálogos"),
    ("ChargeItemDefinition", "definiciones de cargos"),
    ("CodeSystem", "sistemas de códigos"),
    ("CompartmentDefinition", "definiciones de secciones"),
    ("ConceptMap", "tablas de conceptos"),
    ("DeviceDefinition", "definiciones de aparatos"),
    ("DeviceMetric", "medidas de aparatos"),
    ("EffectEvidenceSynthesis", "síntesis de efectos"),
    ("Endpoint", "direcciones técnicas"),
    ("EventDefinition", "definiciones de eventos"),
    ("Evidence", "datos de evidencia"),
    ("EvidenceVariable", "variables de evidencia"),
    ("ExampleScenario", "escenarios de ejemplo"),
    ("GraphDefinition", "definiciones de grafos"),
    ("GuidanceResponse", "respuestas de guías"),
    ("ImplementationGuide", "guías técnicas"),
    ("Library", "bibliotecas"),
    ("Linkage", "enlaces entre datos"),
    ("Measure", "medidas de calidad"),
    ("MedicationKnowledge", "datos sobre medicinas"),
    ("MedicinalProduct", "productos medicinales"),
    ("MedicinalProductAuthorization", "permisos de productos medicinales"),
    ("MedicinalProductContraindication", "contraindicaciones de productos medicinales"),
    ("MedicinalProductIndication", "indicaciones de productos medicinales"),
    ("MedicinalProductIngredient", "ingredientes de productos medicinales"),
    ("MedicinalProductInteraction", "interacciones de productos medicinales"),
    ("MedicinalProductManufactured", "productos medicinales fabricados"),
    ("MedicinalProductPackaged", "productos medicinales envasados"),
    ("MedicinalProductPharmaceutical", "formas de productos medicinales"),
    ("MedicinalProductUndesirableEffect", "efectos no deseados de productos medicinales"),
    ("MessageDefinition", "definiciones de mensajes"),
    ("MessageHeader", "encabezados de mensajes"),
    ("NamingSystem", "sistemas de nombres"),
    ("ObservationDefinition", "definiciones de observaciones"),
    ("OperationDefinition", "definiciones de operaciones"),
    ("OperationOutcome", "resultados de operaciones"),
    ("OrganizationAffiliation", "relaciones entre organizaciones"),
    ("Parameters", "parámetros"),
    ("PlanDefinition", "definiciones de planes"),
    ("Questionnaire", "formularios en blanco"),
    ("ResearchDefinition", "definiciones de investigación"),
    ("ResearchElementDefinition", "definiciones de partes de investigación"),
    ("ResearchStudy", "estudios de investigación"),
    ("RiskEvidenceSynthesis", "síntesis de riesgos"),
    ("SearchParameter", "parámetros de búsqueda"),
    ("Slot", "horarios para citas"),
    ("SpecimenDefinition", "definiciones de muestras"),
    ("StructureDefinition", "definiciones de estructuras"),
    ("StructureMap", "tablas de estructuras"),
    ("Subscription", "suscripciones"),
    ("Substance", "sustancias"),
    ("SubstanceNucleicAcid", "ácidos nucleicos"),
    ("SubstancePolymer", "polímeros"),
    ("SubstanceProtein", "proteínas"),
    ("SubstanceReferenceInformation", "datos sobre sustancias"),
    ("SubstanceSourceMaterial", "materiales de origen de sustancias"),
    ("SubstanceSpecification", "descripciones de sustancias"),
    ("TerminologyCapabilities", "descripciones de terminología"),
    ("TestReport", "informes de pruebas de sistemas"),
    ("TestScript", "guiones de pruebas de sistemas"),
    ("ValueSet", "listas de códigos"),
    ("VerificationResult", "resultados de verificación"),
];

/// What follows "sus" for a type that has no noun.
pub fn other_in_spanish(resource_type: ResourceType) -> Option<&'static str> {
    OTHER_TYPES.iter().find(|(name, _)| *name == resource_type.name()).map(|(_, words)| *words)
}

pub(crate) const OBSERVATION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
pub(crate) const CONDITION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/condition-category";
pub(crate) const US_CORE_CONDITION: &str = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";
pub(crate) const US_CORE_CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category";
pub(crate) const US_CORE_DOCUMENT: &str = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category";
const DIAGNOSTIC_SERVICE: &str = "http://terminology.hl7.org/CodeSystem/v2-0074";

/// Type, system and code of a category, and what a person calls it.
#[rustfmt::skip]
static CATEGORIES: &[(&str, &str, &str, Noun)] = &[
    ("Observation", OBSERVATION_CATEGORY, "laboratory", Noun("lab results", "sus resultados de laboratorio")),
    ("Observation", OBSERVATION_CATEGORY, "vital-signs", Noun("vital signs, such as blood pressure and weight", "sus signos vitales, como la presión arterial y el peso")),
    ("Observation", OBSERVATION_CATEGORY, "social-history", Noun("habits and social history, such as smoking", "sus hábitos y antecedentes sociales, como fumar")),
    ("Observation", OBSERVATION_CATEGORY, "survey", Noun("answers to surveys and screenings", "sus respuestas a encuestas y evaluaciones")),
    ("Observation", OBSERVATION_CATEGORY, "imaging", Noun("findings from scans and X-rays", "sus hallazgos de estudios de imagen y rayos X")),
    ("Observation", OBSERVATION_CATEGORY, "procedure", Noun("findings from procedures", "sus hallazgos de procedimientos")),
    ("Observation", OBSERVATION_CATEGORY, "exam", Noun("findings from examinations", "sus hallazgos de exámenes físicos")),
    ("Observation", OBSERVATION_CATEGORY, "therapy", Noun("findings from therapy", "sus hallazgos de terapias")),
    ("Observation", OBSERVATION_CATEGORY, "activity", Noun("physical activity", "su actividad física")),
    ("Observation", US_CORE_CATEGORY, "sdoh", Noun("living situation, such as food, housing and transport", "sus condiciones de vida, como alimentación, vivienda y transporte")),
    ("Condition", CONDITION_CATEGORY, "encounter-diagnosis", Noun("diagnoses from visits", "sus diagnósticos de consultas")),
    ("Condition", CONDITION_CATEGORY, "problem-list-item", Noun("problem list", "su lista de problemas de salud")),
    ("Condition", US_CORE_CONDITION, "health-concern", Noun("health concerns", "sus preocupaciones de salud")),
    ("Condition", US_CORE_CATEGORY, "sdoh", Noun("problems with your living situation, such as food, housing and transport", "sus problemas de vida, como alimentación, vivienda y transporte")),
    ("DocumentReference", US_CORE_DOCUMENT, "clinical-note", Noun("clinical notes", "sus notas clínicas")),
    ("DiagnosticReport", DIAGNOSTIC_SERVICE, "LAB", Noun("lab reports", "sus informes de laboratorio")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_resource_type_of_r4_and_only_once() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, _, noun) in TYPES {
            assert!(ResourceType::parse(name).is_some(), "{name}");
            assert!(seen.insert(name), "{name} twice");
            let Noun(english, spanish) = noun;
            assert!(!english.is_empty() && !english.starts_with("your"), "{english}");
            assert!(spanish.starts_with("su ") || spanish.starts_with("sus "), "{spanish}");
        }
    }

    #[test]
    fn every_type_has_words_in_spanish() {
        for resource_type in ResourceType::all() {
            assert_ne!(noun(resource_type).is_some(), other_in_spanish(resource_type).is_some(), "{resource_type}");
        }
    }

    #[test]
    fn every_category_names_a_type_with_that_parameter() {
        for (name, system, code, noun) in CATEGORIES {
            let resource_type = ResourceType::parse(name).unwrap();
            let scope = format!("patient/{name}.rs?category={system}|{code}");
            assert!(Scope::parse(&scope).is_ok(), "{scope}");
            assert_eq!(category_noun(resource_type, system, code), Some(*noun));
        }
        assert_eq!(category_noun(ResourceType::PATIENT, OBSERVATION_CATEGORY, "laboratory"), None);
        // The table of US Core misspells this system once; a misspelling is not known.
        assert_eq!(
            category_noun(
                ResourceType::OBSERVATION,
                "http://terminology.hl7.org//CodeSystem-observation-category",
                "social-history"
            ),
            None
        );
    }

    #[test]
    fn every_group_has_a_line_and_a_heading() {
        for group in ConsentGroup::ALL {
            assert_ne!(group.title(Language::English), "");
            assert!(TYPES.iter().any(|(_, found, _)| *found == group), "{group:?}");
        }
    }

    #[test]
    fn scopes_fall_into_the_groups_of_the_screen() {
        for (scope, group) in [
            ("openid", Some(WhoYouAre)),
            ("offline_access", None),
            ("online_access", None),
            ("launch/encounter", Some(Visits)),
            ("patient/Observation.read", Some(TestsAndMeasurements)),
            ("patient/*.rs", Some(EverythingElse)),
            ("user/Coverage.rs", Some(ClaimsAndCoverage)),
            ("patient/StructureMap.rs", Some(EverythingElse)),
        ] {
            assert_eq!(ConsentGroup::of(&Scope::parse(scope).unwrap()), group, "{scope}");
        }
    }
}
