//! By what part in a record somebody who is not its subject gets to see it: the operator's choice, and nothing where he says nothing.
//!
//! The R4 compartments of Practitioner, RelatedPerson and Patient (<https://hl7.org/fhir/R4/compartmentdefinition.html>) let in whoever performed, wrote or recorded
//! what a record says. That answers "what has to do with this person" and not "what may this person read", so it opens nothing by itself.

/// A part that somebody has in a record, by the search parameter of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `author`
    Author,
    /// `link` of a Patient: it is about the same person, or about somebody who has to do with whoever is named.
    Link,
    /// `performer`
    Performer,
    /// `recorder`
    Recorder,
}

impl Part {
    /// All.
    pub const ALL: [Self; 4] = [Self::Author, Self::Link, Self::Performer, Self::Recorder];

    /// The search parameter.
    pub fn code(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Link => "link",
            Self::Performer => "performer",
            Self::Recorder => "recorder",
        }
    }

    /// The part of this name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.code() == code)
    }
}

/// Parts that open a record to whoever has one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// Whether none does.
    pub fn are_none(self) -> bool {
        self.0 == 0
    }

    /// The parts.
    pub fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.0 & (1 << *part as u8) != 0)
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |all, part| all | 1 << part as u8))
    }
}

/// What `[compartments]` of the configuration says: which parts let whom see a record, to read and search, within `user/` scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Clinicians, by their Practitioner or PractitionerRole.
    pub practitioner: Parts,
    /// Representatives, by their RelatedPerson.
    pub related_person: Parts,
    /// Patients, by their Patient: records about others.
    pub patient: Parts,
}
