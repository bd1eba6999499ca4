//! `[policy]`: the operator's own rules.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_fhir::redaction::ElementRules;
use portcullis_policy::OperatorRules;
use portcullis_policy::operator_rules::{MAXIMUM_FILE, Network, Problem, Rule};
use portcullis_policy::redaction::lets_in_by;
use portcullis_server::operator_rules::Held;
use serde::Deserialize;

/// Where the files of time zones are (package tzdata).
const ZONES: &str = "/usr/share/zoneinfo";
/// The longest file of a time zone, in bytes.
const MAXIMUM_ZONE: u64 = 64 * 1024;
/// A rule that denies everything to everybody.
const DENY_ALL: &str = "[[rule]]\nname = \"rules-not-understood\"\neffect = \"deny\"\ninteractions = \"cruds\"\n";

/// `[policy]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// A file of rules; none: the program's own rules alone.
    rules: Option<PathBuf>,
    /// Networks of proxies that are believed when they say from where a request comes.
    trusted_proxies: Vec<TrustedProxies>,
    /// The list of elements that are hidden (`labels.elements`), by none of which a rule may let anybody in.
    #[serde(skip)]
    elements: Option<PathBuf>,
}

/// A network as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct TrustedProxies(Network);

impl TryFrom<String> for TrustedProxies {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Whoever trusts everybody believes what anybody writes.
        if text.ends_with("/0") {
            return Err(format!("'{text}' is everybody: name the addresses of the proxies"));
        }
        Network::parse(&text).map(Self)
    }
}

impl PolicySettings {
    /// Rules from this file.
    pub fn of_file(path: PathBuf) -> Self {
        Self { rules: Some(path), ..Self::default() }
    }

    /// Makes the file's path relative to the configuration's folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.rules = self.rules.take().map(|path| folder.join(path));
    }

    /// Proxies that are believed when they say from where a request comes.
    pub fn trusted_proxies(&self) -> Vec<Network> {
        self.trusted_proxies.iter().map(|TrustedProxies(network)| *network).collect()
    }

    /// Rules are refused that let somebody in by an element of this list.
    pub fn beside(&mut self, elements: Option<&Path>) {
        self.elements = elements.map(Path::to_owned);
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
        let named = |problems: Vec<Problem>| -> Vec<String> {
            problems.iter().map(|problem| format!("{}, {problem}", path.display())).collect()
        };
        let held = compiled(text, fhir_base).map_err(named)?;
        self.agree(&held, path)?;
        Ok(held)
    }

    /// Whether no rule lets in by what is hidden. A list that cannot be read is refused where it is read for itself.
    fn agree(&self, held: &Held, path: &Path) -> Result<(), Vec<String>> {
        let text = self.elements.as_ref().and_then(|elements| fs::read_to_string(elements).ok());
        let Some(elements) = text.and_then(|text| ElementRules::parse(&text).ok()) else { return Ok(()) };
        let told = |rule: &Arc<Rule>| {
            let element = lets_in_by(rule, &elements)?;
            let (line, name) = (rule.line(), rule.name());
            Some(format!(
                "{}, line {line}, rule '{name}', relationship: it lets people in by {element}, which labels.elements hides; leave out one of the two",
                path.display()
            ))
        };
        let problems: Vec<String> = held.rules.rules().iter().filter_map(told).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// The rules that were in force as their text was kept. Where this version does not understand them any more, nobody sees anything until a second person has agreed to
/// others: what they took away is not known.
pub fn kept_rules(text: String, fhir_base: &str) -> Held {
    if text.is_empty() {
        return Held::default();
    }
    compiled(text.clone(), fhir_base).unwrap_or_else(|problems| {
        for problem in &problems {
            tracing::error!(%problem, "the rules that are in force are not understood any more; everything is denied until there are others");
        }
        let all = compiled(DENY_ALL.to_owned(), fhir_base).unwrap_or_default();
        Held { digest: digest(&text), text, ..all }
    })
}

fn compiled(text: String, fhir_base: &str) -> Result<Held, Vec<Problem>> {
    let rules = OperatorRules::parse(&text, fhir_base, &zone)?;
    Ok(Held { rules: Arc::new(rules), digest: digest(&text), text })
}

fn digest(text: &str) -> String {
    portcullis_jose::digest::sha256(text).iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn a_rule_that_lets_in_by_an_element_that_is_hidden_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (rules, elements) = (folder.path().join("rules.toml"), folder.path().join("elements.txt"));
        let permit = |relationship: &str| {
            format!(
                "[[rule]]\nname = 'r'\neffect = 'permit'\nrelationship = '{relationship}'\ntypes = ['Patient']\nwhen = {{ roles = ['staff'] }}\n"
            )
        };
        for (relationship, list, refused) in [
            ("general-practitioner", "Patient.generalPractitioner -> R", true),
            ("general-practitioner", "Patient.generalPractitioner.display -> R", true),
            ("general-practitioner", "Encounter.serviceProvider Patient.identifier -> R", false),
            ("organization", "Patient.identifier Encounter.serviceProvider -> R", true),
            ("care-team", "Patient.generalPractitioner Encounter.serviceProvider -> R", false),
            ("organization", "not a list", false),
        ] {
            fs::write(&rules, permit(relationship)).unwrap();
            fs::write(&elements, list).unwrap();
            let mut settings = PolicySettings::of_file(rules.clone());
            assert!(settings.load(BASE).is_ok(), "without a list");
            settings.beside(Some(&elements));
            let problems = settings.load(BASE).err().unwrap_or_default();
            assert_eq!(problems.len(), usize::from(refused), "{relationship}, {list}: {problems:?}");
            assert!(
                problems
                    .iter()
                    .all(|problem| problem.contains("rules.toml, line 1, rule 'r'") && problem.contains("labels.elements"))
            );
        }
    }

    #[test]
    fn rules_that_are_kept_and_not_understood_any_more_deny_everything() {
        let text = "[[rule]]\nname = 'r'\neffect = 'deny'\ntypes = ['Condition']";
        let kept = kept_rules(text.to_owned(), BASE);
        assert_eq!((kept.rules.rules().len(), kept.rules.rules()[0].name(), kept.text.as_str()), (1, "r", text));
        assert!(kept_rules(String::new(), BASE).rules.are_none());
        let lost = kept_rules("[[rule]]\nname = 'r'\neffect = 'forbid'".to_owned(), BASE);
        assert_eq!(lost.rules.rules()[0].name(), "rules-not-understood");
        assert!(!kept.rules.widen(&lost.rules).is_empty(), "whatever comes in its place takes two people");
        assert_eq!((lost.digest.len(), lost.digest == kept.digest), (64, false));
    }

    #[test]
    fn proxies_are_named_by_their_networks_and_nobody_is_one_by_default() {
        let read = |text: &str| toml::from_str::<PolicySettings>(text).map(|settings| settings.trusted_proxies().len());
        assert_eq!(read("").unwrap(), 0);
        assert_eq!(read("trusted_proxies = ['10.0.0.0/8', '2001:db8::7']").unwrap(), 2);
        for wrong in [
            "trusted_proxies = ['proxy']",
            "trusted_proxies = ['0.0.0.0/0']",
            "trusted_proxies = ['::/0']",
            "trusted_proxies = '10.0.0.1'",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_name_of_a_zone_leads_nowhere_else() {
        for name in ["../../etc/passwd", "/etc/passwd", "Europe//Berlin", "."] {
            assert_eq!(zone(name), None, "{name}");
        }
    }
}
