//! `[labels]`: which codes mean which security labels, and up to which labels clinicians and clients see records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Clearances, Confidentiality, Labels, Rules};
use serde::Deserialize;

use crate::failure::{Failure, Outcome};

/// `[labels]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelSettings {
    /// A file of rules instead of those that are built in.
    rules: Option<PathBuf>,
    /// Whether records that are marked as test data are hidden from clinicians and clients.
    hide_test_data: bool,
    /// What clinicians see of the patients in their care.
    clinician: Option<ClearanceEntry>,
    /// What clients see on their own behalf.
    client: Option<ClearanceEntry>,
}

/// `[labels.clinician]` or `[labels.client]`
#[derive(Clone, Debug, Deserialize)]
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
        let highest = Confidentiality::parse(&self.confidentiality).filter(|highest| *highest >= Confidentiality::Normal);
        // What has no label counts as normal, so that a lower clearance would promise what it does not keep.
        let highest = highest.ok_or("confidentiality must be N, R or V")?;
        let mut cleared = Labels::NONE;
        for code in &self.sensitivities {
            let known = Labels::named(code).filter(|label| Labels::sensitivities().contains(*label) && code != "*");
            let all = || (code == "*").then(Labels::sensitivities);
            let known = known.or_else(all);
            cleared = cleared
                | known.ok_or_else(|| {
                    let known: Vec<&str> = Labels::sensitivities().codings().map(|(_, code, _)| code).collect();
                    format!("sensitivities: '{code}' is none of {}, nor '*' for all", known.join(", "))
                })?;
        }
        Ok(Clearance::up_to(highest, cleared))
    }
}

impl LabelSettings {
    /// Makes the file's path relative to the configuration's folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.rules = self.rules.take().map(|path| folder.join(path));
    }

    /// What is wrong with it, the rules apart.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let of = |entry: &Option<ClearanceEntry>| entry.as_ref().map(ClearanceEntry::clearance).transpose();
        of(&self.clinician).map_err(|problem| ("labels.clinician", problem))?;
        of(&self.client).map_err(|problem| ("labels.client", problem))?;
        Ok(())
    }

    /// Up to which labels each kind of principal sees records; what is wrong was refused when the file was read.
    pub fn clearances(&self) -> Clearances {
        let default = Clearances::default();
        let of = |entry: &Option<ClearanceEntry>, otherwise: Clearance| {
            let clearance = entry.as_ref().and_then(|entry| entry.clearance().ok()).unwrap_or(otherwise);
            if self.hide_test_data { clearance.without_test_data() } else { clearance }
        };
        Clearances { clinician: of(&self.clinician, default.clinician), client: of(&self.client, default.client) }
    }

    /// The rules, or what is wrong with their file.
    pub fn rules(&self) -> Result<Arc<Rules>, String> {
        let Some(path) = &self.rules else { return Ok(Rules::built_in()) };
        let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Rules::parse(&text).map(Arc::new).map_err(|error| format!("{}, {error}", path.display()))
    }

    /// The rules for a server that starts.
    pub fn load(&self) -> Outcome<Arc<Rules>> {
        self.rules().map_err(|problem| Failure::usage(format!("labels.rules: {problem}")))
    }
}

#[cfg(test)]
mod tests {
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
        let all = settings("clinician = { confidentiality = 'V', sensitivities = ['*'] }").clearances();
        assert!(all.clinician.is_full());
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could_be() {
        for (text, key, named) in [
            ("clinician = { confidentiality = 'L' }", "labels.clinician", "N, R or V"),
            ("client = { confidentiality = 'high' }", "labels.client", "N, R or V"),
            ("clinician = { confidentiality = 'R', sensitivities = ['AIDS'] }", "labels.clinician", "HIV"),
            ("clinician = { confidentiality = 'R', sensitivities = ['R'] }", "labels.clinician", "'R' is none of"),
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
