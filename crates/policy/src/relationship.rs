//! How whoever asks has to do with patients, and when.

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::principal::Principal;

use crate::constraint::NonEmpty;

/// Those who ask, as actors of relationships, and when they do: what lets them in must be so then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actors {
    /// Practitioners or roles.
    pub who: NonEmpty<LocalReference>,
    /// The time of the request, in milliseconds since the epoch.
    pub at: i64,
}

impl Actors {
    /// The principal as this actor; `None` where it is not known when the principal asks.
    pub fn of(principal: &Principal, actor: LocalReference) -> Option<Self> {
        Some(Self { who: NonEmpty::of([actor])?, at: principal.circumstances()?.now })
    }
}

/// How a practitioner, or somebody in a role, has to do with a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relationship {
    /// An Encounter or a CareTeam names the actor.
    Care,
    /// An organisation in which the actor has a PractitionerRole manages the patient, or provides one of the patient's Encounters or EpisodesOfCare.
    Organization,
    /// A CareTeam of the patient names the actor.
    CareTeam,
    /// The patient's general practitioner is the actor.
    GeneralPractitioner,
}

impl Relationship {
    /// Those that a rule of the operator may name.
    pub const NAMED: [Self; 3] = [Self::Organization, Self::CareTeam, Self::GeneralPractitioner];

    /// The name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Care => "care",
            Self::Organization => "organization",
            Self::CareTeam => "care-team",
            Self::GeneralPractitioner => "general-practitioner",
        }
    }

    /// The relationship of this name that a rule may name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|relationship| relationship.as_str() == name)
    }
}

/// A record by which somebody has to do with a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedRelationship {
    /// How.
    pub relationship: Relationship,
    /// The patient.
    pub patient: LogicalId,
    /// The Encounter, CareTeam, EpisodeOfCare or Patient that says so.
    pub record: LocalReference,
}

/// Patients to whom an actor of a constraint has a relationship, as a store found it in a statement of its own.
pub type InCare = Vec<(Relationship, LogicalId)>;
