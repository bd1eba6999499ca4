//! What of a configuration decides who sees what, beside the rules of `[policy]`: what holds without a consent, parts in records, labels with their files, emergencies,
//! believed proxies, and for which changes one person is enough.
//!
//! It is compared section by section with what is in force. A section that lets more be seen waits for a second person, the others hold at once; in doubt a section
//! lets more be seen. Files stand here by what is in them: what was agreed to is no path.

use std::sync::Arc;

use portcullis_fhir::labels::{Clearance, Clearances, LabelPolicy, Rules};
use portcullis_fhir::purpose::PurposeOfUse;
use portcullis_fhir::redaction::ElementRules;
use portcullis_jose::digest::sha256;
use portcullis_policy::operator_rules::Network;
use portcullis_server::context::AuthorizationSettings;
use serde::{Deserialize, Serialize};

use super::{BreakGlassSettings, CompartmentSettings, Configuration, ConsentSettings, LabelSettings, TwoPeopleSettings};

/// The most lines about one file in a proposal; what is agreed to is the whole file by its digest.
const MAXIMUM_LINES: usize = 100;

/// A part of these settings that waits or holds as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Consent,
    Compartments,
    Clearances,
    LabelRules,
    Elements,
    BreakGlass,
    Proxies,
    TwoPeople,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Consent,
        Self::Compartments,
        Self::Clearances,
        Self::LabelRules,
        Self::Elements,
        Self::BreakGlass,
        Self::Proxies,
        Self::TwoPeople,
    ];

    /// The key of the configuration.
    fn key(self) -> &'static str {
        match self {
            Self::Consent => "consent.implicit",
            Self::Compartments => "compartments",
            Self::Clearances => "labels",
            Self::LabelRules => "labels.rules",
            Self::Elements => "labels.elements",
            Self::BreakGlass => "break_glass.minutes",
            Self::Proxies => "policy.trusted_proxies",
            Self::TwoPeople => "two_people.disabled",
        }
    }
}

/// These sections as a configuration has them: files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    consent: ConsentSettings,
    compartments: CompartmentSettings,
    labels: LabelSettings,
    break_glass: BreakGlassSettings,
    trusted_proxies: Vec<Network>,
    two_people: TwoPeopleSettings,
}

impl Configured {
    /// Those of a configuration.
    pub fn of(configuration: &Configuration) -> Self {
        Self {
            consent: configuration.consent,
            compartments: configuration.compartments.clone(),
            labels: configuration.labels.clone(),
            break_glass: configuration.break_glass,
            trusted_proxies: configuration.policy.trusted_proxies(),
            two_people: configuration.two_people.clone(),
        }
    }

    /// The same with what is in the files, or the key of the file that cannot be used, and why.
    pub fn read(&self) -> Result<AccessSettings, String> {
        let rules = self.labels.rules().map_err(|problem| format!("labels.rules: {problem}"))?;
        let elements = self.labels.element_rules().map_err(|problem| format!("labels.elements: {problem}"))?;
        Ok(AccessSettings {
            consent: self.consent,
            compartments: self.compartments.clone(),
            labels: self.labels.without_files(),
            label_rules: (!Arc::ptr_eq(&rules, &Rules::built_in())).then(|| rules.text().to_owned()),
            elements: elements.text().to_owned(),
            break_glass: self.break_glass,
            trusted_proxies: self.trusted_proxies.iter().map(Network::to_string).collect(),
            two_people: self.two_people.clone(),
        })
    }
}

/// These sections with what is in their files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default = "AccessSettings::unwritten")]
pub struct AccessSettings {
    consent: ConsentSettings,
    compartments: CompartmentSettings,
    labels: LabelSettings,
    /// What codes mean; nothing where the rules that are built in hold.
    label_rules: Option<String>,
    /// The list of elements.
    elements: String,
    break_glass: BreakGlassSettings,
    trusted_proxies: Vec<String>,
    two_people: TwoPeopleSettings,
}

/// Settings that were kept.
#[derive(Clone, Debug)]
pub struct KeptSettings {
    /// What holds.
    pub settings: AccessSettings,
    /// Whether this is what was kept. Otherwise it is the least that can be said, and what is kept must stay as it is until two people agree to others.
    pub understood: bool,
}

impl KeptSettings {
    /// Of others that were read what does not let more be seen than these. In the place of what is not understood rules about labels stay as they are: others would
    /// label by what nobody agreed to.
    pub fn narrowed_by(&self, read: &AccessSettings) -> AccessSettings {
        let narrower = read.as_far_as_narrower(&self.settings);
        if self.understood { narrower } else { narrower.with(Section::LabelRules, &self.settings) }
    }
}

impl AccessSettings {
    /// The settings as they were kept, or those that hold in the place of what this version does not understand.
    pub fn kept(text: &str) -> KeptSettings {
        let read: Option<Self> = serde_json::from_str(text).ok();
        match read.filter(Self::is_sound) {
            Some(settings) => KeptSettings { settings, understood: true },
            None => KeptSettings { settings: Self::least(text), understood: false },
        }
    }

    /// What counts for a section that the version did not know which kept them: what holds where the configuration does not name it. Every version wrote `consent`.
    fn unwritten() -> Self {
        Self { consent: ConsentSettings::deny(), ..Self::default() }
    }

    /// The least that these settings can open: nobody without a consent, nothing that is labelled restricted or sensitive but for patients, no emergencies. Files that are
    /// still understood count further, so that codes go on to mean what they meant.
    fn least(kept: &str) -> Self {
        let kept: serde_json::Value = serde_json::from_str(kept).unwrap_or_default();
        let file = |name: &str| kept.get(name).and_then(|file| file.as_str()).map(str::to_owned);
        Self {
            consent: ConsentSettings::deny(),
            labels: LabelSettings::least(),
            label_rules: file("label_rules").filter(|text| Rules::parse(text).is_ok()),
            elements: file("elements").filter(|text| ElementRules::parse(text).is_ok()).unwrap_or_default(),
            break_glass: BreakGlassSettings::never(),
            ..Self::default()
        }
    }

    /// As they are kept.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// These with other rules about labels, for tests.
    #[cfg(test)]
    pub fn with_label_rules(self, rules: &Rules) -> Self {
        Self { label_rules: Some(rules.text().to_owned()), ..self }
    }

    fn is_sound(&self) -> bool {
        self.labels.check().is_ok()
            && self.two_people.check().is_ok()
            && self.break_glass.check().is_ok()
            && self.label_rules.as_ref().is_none_or(|text| Rules::parse(text).is_ok())
            && ElementRules::parse(&self.elements).is_ok()
            && self.trusted_proxies.iter().all(|text| Network::parse(text).is_ok())
    }

    /// What codes mean for labels. What is wrong was refused when the file was read.
    pub fn label_rules(&self) -> Arc<Rules> {
        let read = self.label_rules.as_ref().and_then(|text| Rules::parse(text).ok());
        read.map_or_else(Rules::built_in, Arc::new)
    }

    fn element_rules(&self) -> Arc<ElementRules> {
        ElementRules::parse(&self.elements).map(Arc::new).unwrap_or_default()
    }

    fn label_policy(&self) -> LabelPolicy {
        self.labels.policy_with(self.element_rules())
    }

    /// Has these hold in a server's settings.
    pub fn apply(&self, settings: AuthorizationSettings) -> AuthorizationSettings {
        AuthorizationSettings {
            implicit_consent: self.consent.implicit(),
            membership: self.compartments.membership(),
            labels: self.label_policy(),
            break_glass: self.break_glass.settings(),
            trusted_proxies: self.trusted_proxies.iter().filter_map(|text| Network::parse(text).ok()).collect(),
            two_people: self.two_people.settings(),
            ..settings
        }
    }

    /// For which changes one person is enough.
    pub fn two_people(&self) -> &TwoPeopleSettings {
        &self.two_people
    }

    /// The keys of what would let more be seen than these do that are in force; none: nobody sees more.
    pub fn widen(&self, in_force: &Self) -> Vec<&'static str> {
        self.wider(in_force).map(Section::key).collect()
    }

    fn wider<'a>(&'a self, in_force: &'a Self) -> impl Iterator<Item = Section> + 'a {
        Section::ALL.into_iter().filter(|section| self.opens_more(*section, in_force))
    }

    /// These, but for what would let more be seen than what is in force.
    #[must_use]
    pub fn as_far_as_narrower(&self, in_force: &Self) -> Self {
        self.wider(in_force).fold(self.clone(), |held, section| held.with(section, in_force))
    }

    fn opens_more(&self, section: Section, in_force: &Self) -> bool {
        match section {
            Section::Consent => self.consent.lets_in_more_than(in_force.consent),
            Section::Compartments => self.compartments.open_more_than(&in_force.compartments),
            Section::Clearances => {
                let (own, other) = (self.label_policy(), in_force.label_policy());
                let of = |policy: &LabelPolicy, purpose| policy.clearances(purpose, Clearance::FULL);
                PurposeOfUse::all().any(|purpose| clear_more(of(&own, purpose), of(&other, purpose)))
            }
            Section::LabelRules => !self.changed_labels(in_force).is_empty(),
            Section::Elements => !self.shown_elements(in_force).is_empty(),
            Section::BreakGlass => self.break_glass > in_force.break_glass,
            // One that is believed no more has its own address, which may be one that is let in.
            Section::Proxies => self.trusted_proxies != in_force.trusted_proxies,
            Section::TwoPeople => self.two_people.ask_less_than(&in_force.two_people),
        }
    }

    fn with(self, section: Section, other: &Self) -> Self {
        match section {
            Section::Consent => Self { consent: other.consent, ..self },
            Section::Compartments => Self { compartments: other.compartments.clone(), ..self },
            Section::Clearances => Self { labels: other.labels.clone(), ..self },
            Section::LabelRules => Self { label_rules: other.label_rules.clone(), ..self },
            Section::Elements => Self { elements: other.elements.clone(), ..self },
            Section::BreakGlass => Self { break_glass: other.break_glass, ..self },
            Section::Proxies => Self { trusted_proxies: other.trusted_proxies.clone(), ..self },
            Section::TwoPeople => Self { two_people: other.two_people.clone(), ..self },
        }
    }

    /// Codes that mean something else than by the rules in force, but for a higher confidentiality: a Consent may permit what has a label.
    fn changed_labels(&self, in_force: &Self) -> Vec<String> {
        if self.label_rules == in_force.label_rules {
            Vec::new()
        } else {
            self.label_rules().changed_from(&in_force.label_rules())
        }
    }

    /// Elements that are shown to more than by the list in force.
    fn shown_elements(&self, in_force: &Self) -> Vec<String> {
        let (own, other) = (self.element_rules(), in_force.element_rules());
        let hides = |rule: &&portcullis_fhir::redaction::ElementRule| {
            own.entries().iter().any(|kept| kept.path == rule.path && kept.labels.contains(rule.labels))
        };
        other.entries().iter().filter(|rule| !hides(rule)).map(|rule| rule.path.as_str().to_owned()).collect()
    }

    /// What is agreed to where these are to come in the place of those in force: what opens more, before and after. It says the same whether the rest holds already or not.
    pub fn proposal(&self, in_force: &Self) -> String {
        let mut text = "# Settings that let more be seen than those in force\n".to_owned();
        for section in self.wider(in_force) {
            let (key, before, after) = (section.key(), in_force.told(section), self.told(section));
            text.push_str(&format!("\n{key}\n  in force: {before}\n  proposed: {after}\n"));
            let (what, lines) = match section {
                Section::LabelRules => ("means something else", self.changed_labels(in_force)),
                Section::Elements => ("opens more", self.shown_elements(in_force)),
                _ => ("", Vec::new()),
            };
            lines.iter().take(MAXIMUM_LINES).for_each(|line| text.push_str(&format!("  {what}: {line}\n")));
            if lines.len() > MAXIMUM_LINES {
                text.push_str(&format!("  and {} more\n", lines.len().saturating_sub(MAXIMUM_LINES)));
            }
        }
        text
    }

    fn told(&self, section: Section) -> String {
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        match section {
            Section::Consent => json(serde_json::to_string(&self.consent)),
            Section::Compartments => json(serde_json::to_string(&self.compartments)),
            Section::Clearances => json(serde_json::to_string(&self.labels)),
            Section::LabelRules => self.label_rules.as_ref().map_or_else(|| "built in".to_owned(), |text| digest(text)),
            Section::Elements => digest(&self.elements),
            Section::BreakGlass => json(serde_json::to_string(&self.break_glass)),
            Section::Proxies => json(serde_json::to_string(&self.trusted_proxies)),
            Section::TwoPeople => json(serde_json::to_string(&self.two_people)),
        }
    }
}

/// Whether somebody is cleared for something who is not by the others.
fn clear_more(own: Clearances, other: Clearances) -> bool {
    let more = |own: Clearance, other: Clearance| other.and(own) != own;
    more(own.patient, other.patient)
        || more(own.clinician, other.clinician)
        || more(own.client, other.client)
        || more(own.break_glass, other.break_glass)
}

fn digest(text: &str) -> String {
    let hexadecimal: String = sha256(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hexadecimal}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The settings of a configuration with these sections.
    fn settings(sections: &str) -> AccessSettings {
        settings_beside(sections, "", "")
    }

    fn settings_beside(sections: &str, rules: &str, elements: &str) -> AccessSettings {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("labels.txt"), rules).unwrap();
        fs::write(folder.path().join("elements.txt"), elements).unwrap();
        let path = folder.path().join("portcullis.toml");
        let rest =
            "public_url = 'https://fhir.example.org'\nlisten = '127.0.0.1:8443'\ndata_dir = 'data'\nroot_key_file = 'root.key'\n";
        fs::write(&path, format!("{rest}[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\n{sections}")).unwrap();
        Configured::of(&Configuration::read(&path).unwrap()).read().unwrap()
    }

    #[test]
    fn each_setting_that_lets_more_be_seen_is_named_and_what_takes_away_is_not() {
        for (narrow, wide, key) in [
            ("[consent]\nimplicit = 'deny'", "", "consent.implicit"),
            ("[consent]\nimplicit = 'break-glass-only'", "[consent]\nimplicit = 'all-normal'", "consent.implicit"),
            ("", "[compartments]\npatient = ['recorder']", "compartments"),
            ("", "[labels]\nclinician = { confidentiality = 'R', sensitivities = ['PSY'] }", "labels"),
            ("[labels]\nhide_test_data = true", "", "labels"),
            ("", "[labels]\nunknown = 'ignore'", "labels"),
            ("[labels]\nclient = { confidentiality = 'N' }", "", "labels"),
            ("[labels.purpose.HRESCH]\ndeidentify = true", "", "labels"),
            ("[labels]\nbreak_glass = { confidentiality = 'R' }", "", "labels"),
            ("", "[labels.purpose.TREAT]\nclinician = { confidentiality = 'R' }", "labels"),
            ("", "[break_glass]\nminutes = 61", "break_glass.minutes"),
            ("", "[two_people]\ndisabled = ['settings']", "two_people.disabled"),
        ] {
            let (narrow, wide) = (settings(narrow), settings(wide));
            assert_eq!(wide.widen(&narrow), [key]);
            assert!(narrow.widen(&wide).is_empty(), "{key}");
            assert!(narrow.widen(&narrow).is_empty() && wide.widen(&wide).is_empty(), "{key}");
            assert_eq!(wide.as_far_as_narrower(&narrow), narrow, "{key}");
            assert_eq!(narrow.as_far_as_narrower(&wide), narrow, "{key}");
        }
        // Neither includes the other.
        let (treatment, emergency) = ("[consent]\nimplicit = 'basic-normal'", "[consent]\nimplicit = 'break-glass-only'");
        assert_eq!(settings(treatment).widen(&settings(emergency)), ["consent.implicit"]);
        assert_eq!(settings(emergency).widen(&settings(treatment)), ["consent.implicit"]);
        let proxy = "[policy]\ntrusted_proxies = ['10.0.0.5']";
        assert_eq!(settings(proxy).widen(&settings("")), ["policy.trusted_proxies"]);
        assert_eq!(settings("").widen(&settings(proxy)), ["policy.trusted_proxies"], "its own address may be one that is let in");
    }

    #[test]
    fn the_files_are_compared_by_what_they_say_and_not_by_their_names() {
        let rules = |text: &str| settings_beside("[labels]\nrules = 'labels.txt'", text, "");
        let one = rules("urn:a | X1 X2 Y* -> R HIV");
        assert!(rules("# said otherwise\nurn:a | Y* X2 -> R HIV\nurn:a | X1 -> V HIV\nurn:a | Z* -> R").widen(&one).is_empty());
        for more in ["X1 X2 Y* -> R HIV PSY", "X1 X2 Y* Z -> R HIV", "X* Y* -> R HIV"] {
            let more = rules(&format!("urn:a | {more}"));
            assert_eq!(more.widen(&one), ["labels.rules"], "a Consent may permit what has this label");
            assert!(more.proposal(&one).contains("means something else: urn:a|"));
        }
        for fewer in
            ["urn:a | X1 Y* -> R HIV", "urn:a | X1 X2 Y* -> R", "urn:a | X1 X2 Y* -> N HIV", "urn:a | X1 X2 Y Y1* -> R HIV", ""]
        {
            assert_eq!(rules(fewer).widen(&one), ["labels.rules"], "{fewer}");
        }
        assert_eq!(one.widen(&settings("")), ["labels.rules"], "those that are built in mean something else");
        let elements = |text: &str| settings_beside("[labels]\nelements = 'elements.txt'", "", text);
        let two = elements("Patient.identifier Patient.telecom -> R PSY");
        assert!(elements("Patient.telecom -> V PSY\nPatient.identifier Patient.photo -> R PSY").widen(&two).is_empty());
        for fewer in ["Patient.identifier -> R PSY", "Patient.identifier Patient.telecom -> R", ""] {
            assert_eq!(elements(fewer).widen(&two), ["labels.elements"], "{fewer}");
        }
    }

    #[test]
    fn what_narrows_holds_at_once_beside_what_waits_and_the_proposal_is_the_same_before_and_after() {
        let in_force = settings("[consent]\nimplicit = 'deny'");
        let next = settings("[labels]\nhide_test_data = true\n[compartments]\npatient = ['author']");
        let held = next.as_far_as_narrower(&in_force);
        assert_eq!(held, settings("[consent]\nimplicit = 'deny'\n[labels]\nhide_test_data = true"));
        assert_eq!(next.widen(&in_force), ["consent.implicit", "compartments"]);
        assert_eq!(next.proposal(&in_force), next.proposal(&held));
        assert!(next.proposal(&held).contains("in force: {\"implicit\":\"deny\"}\n  proposed: {\"implicit\":\"all-normal\"}"));
        let other = settings("[labels]\nhide_test_data = true\n[compartments]\npatient = ['performer']");
        assert_ne!(other.proposal(&held), next.proposal(&held));
    }

    #[test]
    fn settings_are_kept_whole_and_what_is_not_understood_lets_nobody_in() {
        let all = settings_beside(
            "[labels]\nrules = 'labels.txt'\nelements = 'elements.txt'\nclinician = { confidentiality = 'R', sensitivities = ['PSY'] }\n\
             [labels.purpose.HRESCH]\ndeidentify = true\n[consent]\nimplicit = 'basic-normal'\n[compartments]\npractitioner = ['author']\n\
             [policy]\ntrusted_proxies = ['10.0.0.0/8']\n[break_glass]\nminutes = 5\n[two_people]\ndisabled = ['rules']",
            "urn:a | X -> R HIV",
            "Patient.identifier -> R",
        );
        let kept = AccessSettings::kept(&all.text().unwrap());
        assert!(kept.understood && kept.settings == all);
        let (held, direct) = (kept.settings.apply(Default::default()), all.apply(Default::default()));
        assert_eq!((&held.labels, held.membership, held.two_people), (&direct.labels, direct.membership, direct.two_people));
        assert_eq!(held.labels.purposes.len(), 1);
        let unwritten = AccessSettings::kept("{}");
        assert!(unwritten.understood && unwritten.settings.consent == ConsentSettings::deny());
        let text = all.text().unwrap();
        for lost in [
            "",
            "null",
            &text.replace("basic-normal", "whoever"),
            &text.replace("\"R\"", "\"X\""),
            &text.replacen('{', "{\"later\":1,", 1),
        ] {
            let kept = AccessSettings::kept(lost);
            assert!(!kept.understood, "{lost}");
            assert_eq!((kept.settings.consent, kept.settings.break_glass.settings().0), (ConsentSettings::deny(), 0), "{lost}");
            let files = lost.contains("label_rules");
            assert_eq!((kept.settings.label_rules == all.label_rules, kept.settings.elements == all.elements), (files, files));
            for next in [settings(""), all.clone(), AccessSettings::least("")] {
                assert_eq!(kept.narrowed_by(&next).label_rules, kept.settings.label_rules);
            }
            assert!(!settings("").widen(&kept.settings).is_empty(), "whatever comes in its place takes two people");
        }
    }
}
