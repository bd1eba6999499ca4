//! `[labels]`: which codes mean which security labels, up to which labels clinicians and clients see records, and without which elements.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Clearances, LabelPolicy, Rules};
use portcullis_fhir::purpose::PurposeOfUse;
use portcullis_fhir::redaction::ElementRules;
use serde::{Deserialize, Serialize};

/// `[labels]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelSettings {
    /// A file of rules instead of those that are built in.
    #[serde(skip_serializing)]
    rules: Option<PathBuf>,
    /// Whether records that are marked as test data are hidden from clinicians and clients.
    hide_test_data: bool,
    /// What clinicians see of the patients in their care.
    clinician: Option<ClearanceEntry>,
    /// What clients see on their own behalf.
    client: Option<ClearanceEntry>,
    /// What clinicians see who broke the glass.
    break_glass: Option<ClearanceEntry>,
    /// What holds for single purposes of use instead.
    purpose: BTreeMap<String, PurposeEntry>,
    /// A file with elements that are shown only to those who are cleared for their labels.
    #[serde(skip_serializing)]
    elements: Option<PathBuf>,
    /// What happens to records with labels that nobody understands.
    unknown: UnknownLabels,
}

/// `[labels.clinician]`, `[labels.client]` or `[labels.break_glass]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ClearanceEntry {
    /// The highest confidentiality.
    confidentiality: String,
    /// The sensitivities, or `*` for all.
    #[serde(default)]
    sensitivities: Vec<String>,
}

impl ClearanceEntry {
    fn clearance(&self) -> Result<Clearance, String> {
        Clearance::parse(&self.confidentiality, self.sensitivities.iter().map(String::as_str))
    }
}

/// `[labels.purpose.CODE]`: what holds for this purpose of use instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct PurposeEntry {
    /// What clinicians see.
    clinician: Option<ClearanceEntry>,
    /// What clients see on their own behalf.
    client: Option<ClearanceEntry>,
    /// Whether both see nothing that names somebody.
    deidentify: bool,
}

/// What happens to records with labels that nobody understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum UnknownLabels {
    /// Only those see them who are cleared for everything.
    #[default]
    Withhold,
    /// They hide nothing.
    Ignore,
}

impl LabelSettings {
    /// Makes the files' paths relative to the configuration's folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.rules = self.rules.take().map(|path| folder.join(path));
        self.elements = self.elements.take().map(|path| folder.join(path));
    }

    /// The file with elements.
    pub fn elements(&self) -> Option<&Path> {
        self.elements.as_deref()
    }

    /// What is wrong with it, the files apart.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let of = |entry: &Option<ClearanceEntry>| entry.as_ref().map(ClearanceEntry::clearance).transpose();
        of(&self.clinician).map_err(|problem| ("labels.clinician", problem))?;
        of(&self.client).map_err(|problem| ("labels.client", problem))?;
        of(&self.break_glass).map_err(|problem| ("labels.break_glass", problem))?;
        for (code, entry) in &self.purpose {
            let wrong = |problem: String| ("labels.purpose", format!("{code}: {problem}"));
            match PurposeOfUse::parse(code) {
                None => return Err(wrong("is no purpose of use; HRESCH, TREAT and HPAYMT are, for example".to_owned())),
                Some(PurposeOfUse::BREAK_GLASS) => return Err(wrong("is what labels.break_glass is about".to_owned())),
                Some(_) => {}
            }
            of(&entry.clinician).and_then(|_| of(&entry.client)).map_err(wrong)?;
        }
        Ok(())
    }

    /// Up to which labels each kind of principal sees records; what is wrong was refused when the file was read.
    pub fn clearances(&self) -> Clearances {
        let default = Clearances::default();
        Clearances {
            patient: default.patient,
            clinician: self.effective(self.clinician.as_ref(), default.clinician),
            client: self.effective(self.client.as_ref(), default.client),
            break_glass: self.effective(self.break_glass.as_ref(), default.break_glass),
        }
    }

    fn effective(&self, entry: Option<&ClearanceEntry>, otherwise: Clearance) -> Clearance {
        let clearance = entry.and_then(|entry| entry.clearance().ok()).unwrap_or(otherwise);
        let clearance = if self.hide_test_data { clearance.without_test_data() } else { clearance };
        if self.unknown == UnknownLabels::Ignore { clearance.with_unknown() } else { clearance }
    }

    fn for_purpose(&self, entry: &PurposeEntry) -> Clearances {
        let general = self.clearances();
        let of = |entry: &Option<ClearanceEntry>, otherwise| self.effective(entry.as_ref(), otherwise);
        let named = |clearance: Clearance, deidentify: bool| if deidentify { clearance.deidentified() } else { clearance };
        Clearances {
            clinician: named(of(&entry.clinician, general.clinician), entry.deidentify),
            client: named(of(&entry.client, general.client), entry.deidentify),
            ..general
        }
    }

    /// The list of elements, or what is wrong with its file.
    pub fn element_rules(&self) -> Result<Arc<ElementRules>, String> {
        let Some(path) = &self.elements else { return Ok(Arc::default()) };
        let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        ElementRules::parse(&text).map(Arc::new).map_err(|error| format!("{}, {error}", path.display()))
    }

    /// What is decided about labels, with this list of elements.
    pub fn policy_with(&self, elements: Arc<ElementRules>) -> LabelPolicy {
        let purpose = |(code, entry): (&String, &PurposeEntry)| Some((PurposeOfUse::parse(code)?, self.for_purpose(entry)));
        let purposes = self.purpose.iter().filter_map(purpose).collect();
        LabelPolicy { clearances: self.clearances(), purposes, elements, classifier: None }
    }

    /// The same without the files, which are kept by what is in them.
    #[must_use]
    pub fn without_files(&self) -> Self {
        Self { rules: None, elements: None, ..self.clone() }
    }

    /// The least that can be said: nothing restricted or sensitive, for nobody but patients.
    pub fn least() -> Self {
        let normal = || Some(ClearanceEntry { confidentiality: "N".to_owned(), sensitivities: Vec::new() });
        Self { clinician: normal(), client: normal(), break_glass: normal(), hide_test_data: true, ..Self::default() }
    }

    /// The rules, or what is wrong with their file.
    pub fn rules(&self) -> Result<Arc<Rules>, String> {
        let Some(path) = &self.rules else { return Ok(Rules::built_in()) };
        let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Rules::parse(&text).map(Arc::new).map_err(|error| format!("{}, {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::labels::Labels;

    use super::*;

    fn settings(text: &str) -> LabelSettings {
        toml::from_str(text).unwrap()
    }

    fn labels(codes: &[&str]) -> Labels {
        codes.iter().fold(Labels::NONE, |labels, code| labels | Labels::named(code).unwrap())
    }

    #[test]
    fn without_the_section_clinicians_see_nothing_restricted_and_clients_all() {
        assert_eq!(settings("").clearances(), Clearances::default());
        let hiding = settings("hide_test_data = true").clearances();
        assert!(!hiding.client.covers(labels(&["HTEST"])) && hiding.client.covers(labels(&["V", "HIV"])));
        assert!(!hiding.clinician.covers(labels(&["HTEST"])) && !hiding.clinician.covers(labels(&["R"])));
    }

    #[test]
    fn a_clearance_is_what_the_file_says() {
        let clearances =
            settings("clinician = { confidentiality = 'R', sensitivities = ['PSY'] }\n[client]\nconfidentiality = 'N'")
                .clearances();
        assert!(clearances.clinician.covers(labels(&["R", "PSY"])) && !clearances.clinician.covers(labels(&["R", "HIV"])));
        assert!(clearances.client.covers(labels(&["N"])) && !clearances.client.covers(labels(&["R"])));
        let emergency = settings("").clearances().break_glass;
        assert!(emergency.covers(labels(&["R", "HIV", "PSY"])) && !emergency.covers(labels(&["V"])));
        let all = settings("clinician = { confidentiality = 'V', sensitivities = ['*'] }").clearances();
        assert!(all.clinician.is_full());
    }

    #[test]
    fn a_purpose_has_clearances_of_its_own_and_may_want_no_names() {
        let policy = settings(
            "[purpose.HRESCH]\ndeidentify = true\nclient = { confidentiality = 'N' }\n[purpose.TREAT]\nclinician = { confidentiality = 'R', sensitivities = ['HIV'] }",
        );
        assert_eq!(policy.check(), Ok(()));
        let policy = policy.policy_with(Arc::default());
        let of = |code| policy.clearances(PurposeOfUse::parse(code).unwrap(), Clearance::FULL);
        assert!(of("TREAT").clinician.covers(labels(&["R", "HIV"])) && !of("HPAYMT").clinician.covers(labels(&["R"])));
        let research = of("HRESCH");
        assert!(research.client.is_deidentified() && research.clinician.is_deidentified() && !research.patient.is_deidentified());
        assert!(!research.client.covers(labels(&["R"])) && of("TREAT").client.is_full());
        // What both the purpose and the client allow.
        assert_eq!(of("CLINTRCH"), research, "what is included");
        let limited = policy.clearances(PurposeOfUse::TREATMENT, Clearance::parse("R", ["PSY"]).unwrap());
        for clearance in [limited.patient, limited.clinician, limited.client] {
            assert!(clearance.covers(labels(&["R"])) && !clearance.covers(labels(&["R", "HIV"])));
        }
        assert!(limited.patient.covers(labels(&["R", "PSY"])) && !limited.clinician.covers(labels(&["R", "PSY"])));
    }

    #[test]
    fn labels_that_nobody_understands_withhold_a_record_unless_the_operator_says_otherwise() {
        assert!(
            !settings("").clearances().clinician.covers(Labels::UNKNOWN)
                && settings("").clearances().client.covers(Labels::UNKNOWN)
        );
        assert!(!settings("client = { confidentiality = 'R' }").clearances().client.covers(Labels::UNKNOWN));
        let ignoring = settings("unknown = 'ignore'\nclient = { confidentiality = 'R' }").clearances();
        assert!(ignoring.clinician.covers(Labels::UNKNOWN) && ignoring.client.covers(Labels::UNKNOWN));
        assert!(!ignoring.clinician.covers(labels(&["R"])));
        assert!(toml::from_str::<LabelSettings>("unknown = 'open'").is_err());
    }

    #[test]
    fn the_list_of_elements_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut named = settings("elements = 'elements.txt'");
        named.relative_to(folder.path());
        assert!(named.element_rules().unwrap_err().contains("cannot be read"));
        fs::write(folder.path().join("elements.txt"), "Patient.identifier -> R\nPatient.nam -> R").unwrap();
        assert!(named.element_rules().unwrap_err().contains("elements.txt, line 2"));
        fs::write(folder.path().join("elements.txt"), "Patient.identifier -> R").unwrap();
        assert_eq!(named.element_rules().unwrap().entries().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could_be() {
        for (text, key, named) in [
            ("clinician = { confidentiality = 'L' }", "labels.clinician", "N, R or V"),
            ("client = { confidentiality = 'high' }", "labels.client", "N, R or V"),
            ("break_glass = { confidentiality = 'U' }", "labels.break_glass", "N, R or V"),
            ("clinician = { confidentiality = 'R', sensitivities = ['AIDS'] }", "labels.clinician", "HIV"),
            ("clinician = { confidentiality = 'R', sensitivities = ['R'] }", "labels.clinician", "'R' is none of"),
            ("[purpose.RESEARCH]\ndeidentify = true", "labels.purpose", "RESEARCH: is no purpose"),
            ("[purpose.BTG]\ndeidentify = true", "labels.purpose", "labels.break_glass"),
            ("[purpose.TREAT]\nclient = { confidentiality = 'L' }", "labels.purpose", "TREAT: confidentiality must be"),
        ] {
            let (wrong, problem) = settings(text).check().unwrap_err();
            assert_eq!(wrong, key);
            assert!(problem.contains(named), "{problem}");
        }
        let folder = tempfile::tempdir().unwrap();
        let mut named = settings("rules = 'rules.txt'");
        named.relative_to(folder.path());
        assert!(named.rules().unwrap_err().contains("cannot be read"));
        fs::write(folder.path().join("rules.txt"), "urn:a | X -> R HIV\nurn:a Y -> R").unwrap();
        assert!(named.rules().unwrap_err().contains("rules.txt, line 2"));
        fs::write(folder.path().join("rules.txt"), "urn:a | X -> R HIV").unwrap();
        assert_eq!(named.rules().unwrap().labels("urn:a", "X"), labels(&["R", "HIV"]));
    }
}
