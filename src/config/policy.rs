//! `[policy]`: the operator's own rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_policy::OperatorRules;
use portcullis_policy::operator_rules::MAXIMUM_FILE;
use portcullis_server::operator_rules::Held;
use serde::Deserialize;

/// Where the files of time zones are (package tzdata).
const ZONES: &str = "/usr/share/zoneinfo";
/// The longest file of a time zone, in bytes.
const MAXIMUM_ZONE: u64 = 64 * 1024;

/// `[policy]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// A file of rules; none: the program's own rules alone.
    rules: Option<PathBuf>,
}

impl PolicySettings {
    /// Rules from this file.
    pub fn of_file(path: PathBuf) -> Self {
        Self { rules: Some(path) }
    }

    /// Makes the file's path relative to the configuration's folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.rules = self.rules.take().map(|path| folder.join(path));
    }

    /// The file.
    pub fn file(&self) -> Option<&Path> {
        self.rules.as_deref()
    }

    /// Reads and compiles the rules for a server with this FHIR base; else everything that is wrong, each with file and line.
    pub fn load(&self, fhir_base: &str) -> Result<Held, Vec<String>> {
        let Some(path) = &self.rules else { return Ok(Held::default()) };
        let unreadable = |error: &dyn std::fmt::Display| vec![format!("{} cannot be read: {error}", path.display())];
        let length = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        if length > u64::try_from(MAXIMUM_FILE).unwrap_or(u64::MAX) {
            return Err(vec![format!("{} is longer than {} KiB", path.display(), MAXIMUM_FILE >> 10)]);
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let rules = OperatorRules::parse(&text, fhir_base, &zone);
        let rules = rules
            .map_err(|problems| problems.iter().map(|problem| format!("{}, {problem}", path.display())).collect::<Vec<_>>())?;
        let digest = portcullis_jose::digest::sha256(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Held { rules: Arc::new(rules), digest })
    }
}

/// The file of a time zone. The name has been looked at: it goes nowhere else.
fn zone(name: &str) -> Option<Vec<u8>> {
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return None;
    }
    let path = Path::new(ZONES).join(name);
    let metadata = fs::metadata(&path).ok()?;
    if metadata.is_file() && metadata.len() <= MAXIMUM_ZONE { fs::read(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://fhir.example.org/fhir";

    fn load(text: &str) -> Result<Held, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        PolicySettings::of_file(path).load(BASE)
    }

    #[test]
    fn rules_are_compiled_and_have_a_digest() {
        let held = load("[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Condition']").unwrap();
        assert_eq!(held.rules.rules().len(), 1);
        assert_eq!(held.digest.len(), 64);
        let none = PolicySettings::default().load(BASE).unwrap();
        assert!(none.rules.are_none() && none.digest.is_empty());
    }

    #[test]
    fn what_is_wrong_names_the_file_and_the_line() {
        let problems = load("[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Conditions']").err().unwrap();
        assert!(problems.len() == 1 && problems[0].contains("rules.toml, line 4, rule 'r', types"), "{problems:?}");
        let absent = PolicySettings::of_file("/nowhere/rules.toml".into()).load(BASE).err().unwrap();
        assert!(absent[0].contains("/nowhere/rules.toml cannot be read"), "{absent:?}");
        assert!(load(&"#".repeat(MAXIMUM_FILE + 1)).err().unwrap()[0].contains("longer than"));
    }

    #[test]
    fn the_name_of_a_zone_leads_nowhere_else() {
        for name in ["../../etc/passwd", "/etc/passwd", "Europe//Berlin", "."] {
            assert_eq!(zone(name), None, "{name}");
        }
    }
}
