//! `[compartments]`: by what part in a record somebody sees it who is not its subject. Nothing, where nothing is said.

use portcullis_oauth::principal::{Membership, Part, Parts};
use serde::{Deserialize, Serialize};

/// `[compartments]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CompartmentSettings {
    /// Clinicians.
    practitioner: Vec<Named>,
    /// Representatives who are a RelatedPerson.
    related_person: Vec<Named>,
    /// Patients, in records about others.
    patient: Vec<Named>,
}

/// A part by the name of its search parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
struct Named(Part);

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let names = Part::ALL.map(Part::code).join(", ");
        Part::parse(&name).map(Self).ok_or_else(|| format!("'{name}' is none of {names}"))
    }
}

impl From<Named> for &'static str {
    fn from(Named(part): Named) -> Self {
        part.code()
    }
}

impl CompartmentSettings {
    /// Whether some part counts that does not in the other.
    pub fn open_more_than(&self, other: &Self) -> bool {
        let more = |own: &[Named], other: &[Named]| own.iter().any(|part| !other.contains(part));
        more(&self.practitioner, &other.practitioner)
            || more(&self.related_person, &other.related_person)
            || more(&self.patient, &other.patient)
    }

    /// What was chosen.
    pub fn membership(&self) -> Membership {
        let parts = |named: &[Named]| -> Parts { named.iter().map(|Named(part)| *part).collect() };
        Membership {
            practitioner: parts(&self.practitioner),
            related_person: parts(&self.related_person),
            patient: parts(&self.patient),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Membership, toml::de::Error> {
        toml::from_str::<CompartmentSettings>(text).map(|settings| settings.membership())
    }

    #[test]
    fn nothing_is_chosen_where_nothing_is_said_and_nothing_else_than_these_can_be() {
        assert_eq!(read("").unwrap(), Membership::default());
        let chosen = read("practitioner = ['author', 'recorder']\nrelated-person = ['performer']").unwrap();
        assert_eq!(chosen.practitioner.iter().collect::<Vec<_>>(), [Part::Author, Part::Recorder]);
        assert_eq!(chosen.related_person.iter().collect::<Vec<_>>(), [Part::Performer]);
        assert!(chosen.patient.are_none());
        for wrong in ["practitioner = ['subject']", "practitioner = 'author'", "clinician = []", "patient = ['Author']"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
