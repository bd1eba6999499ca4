//! Who stands behind a Consent: which versions were confirmed, by whom, and the confirmation itself.
//!
//! A part of [`crate::Registry`], in a file of its own. A Consent is written by whoever may write it; what it opens counts when somebody else has confirmed it.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::identifiers::UserId;

use crate::fhir_store::BoxFuture;
use crate::registry::RegistryError;

/// The conflict of a confirmation of a version that is not the current one.
pub const NOT_CURRENT: &str = "the consent has another current version";
/// The conflict of a confirmation by whoever wrote the version.
pub const OWN_WORK: &str = "whoever wrote a version of a consent cannot confirm it";
/// The conflict of a confirmation by somebody who could not sign in to make it.
pub const NOT_STANDING: &str = "the account of the officer is locked, or was given back and nobody has confirmed that";
/// The conflict of a confirmation by somebody whom the consent names.
pub const NAMED_IN_IT: &str = "whoever is named in a consent cannot confirm it";

/// The conflict of a confirmation by somebody whose record it is not.
pub const NOT_OWN: &str = "patients confirm their own consents";
/// The conflict of a confirmation, by somebody who acts for the patient, of what concerns that person, too.
pub const ABOUT_RELATIVE: &str =
    "whoever acts for a patient confirms nothing that says something about that person or about everybody";

/// How the will of the patient was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The patient confirmed it on a page of this server.
    Patient,
    /// The patient was there and said so.
    InPerson,
    /// A signed paper is there.
    Paper,
    /// The patient was called back.
    Telephone,
}

impl How {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::Patient, Self::InPerson, Self::Paper, Self::Telephone];

    /// The name as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::InPerson => "in-person",
            Self::Paper => "paper",
            Self::Telephone => "telephone",
        }
    }

    /// The way of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.as_str() == name)
    }
}

/// A confirmation of the current version of a Consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentConfirmation {
    /// The Consent.
    pub consent: LogicalId,
    /// The version that was looked at.
    pub version: LogicalId,
    /// Who confirms it: never its writer, nor anybody whom it names, but the patient.
    pub by: UserId,
    /// The person as a resource, `Type/id`, where there is one.
    pub person: Option<String>,
    /// How.
    pub how: How,
}

/// The last confirmation of a Consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The version.
    pub version: String,
    /// By whom: a user's id, or the account of an operator who loaded it.
    pub by_whom: String,
    /// How.
    pub how: String,
    /// When, in seconds since the epoch.
    pub at: i64,
}

/// A Consent in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentEntry {
    /// The id.
    pub id: LogicalId,
    /// The current version.
    pub version: LogicalId,
    /// Whose it is.
    pub patient: Option<LogicalId>,
    /// `Consent.status`, `deleted`, or `unreadable`: then it hides its patient.
    pub status: String,
    /// Who stored the current version, where that is known.
    pub writer: Option<String>,
    /// The last confirmation.
    pub confirmed: Option<Confirmed>,
    /// The current version as it is stored; `None` for a deletion.
    pub body: Option<Vec<u8>>,
    /// Earlier versions that hold until the current one is confirmed: the one that was confirmed last, and those whose denials are held.
    pub counting: Vec<Vec<u8>>,
    /// Such versions of somebody else's: the Consent was moved to another patient, and goes on for the one before.
    pub moved: Vec<(LogicalId, Vec<u8>)>,
    /// Whether so many changes wait that nobody but the patients sees anything until the current one is confirmed.
    pub is_folded: bool,
}

impl ConsentEntry {
    /// Whether the current version is the one that was confirmed last.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.as_ref().is_some_and(|confirmed| confirmed.version == self.version.as_str())
    }
}

/// Which Consents are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentsListed {
    /// Those whose current version nobody has confirmed, and those that cannot be read; at most 200.
    Waiting,
    /// Those of a patient.
    OfPatient(LogicalId),
    /// One.
    One(LogicalId),
}

/// Consents and who confirmed them.
pub trait ConsentRegistry: Send + Sync {
    /// Consents with their standing. For the operator and for the patients themselves: what is listed is recorded like a change.
    fn consents(&self, which: ConsentsListed) -> BoxFuture<'_, Result<Vec<ConsentEntry>, RegistryError>>;
}
