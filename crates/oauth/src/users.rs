//! Users who sign in here: roles and the patients they may act for. What wrong passwords lead to is in [`crate::lockout`].
//!
//! The password hash is opaque text (Argon2id in PHC form); checking it costs tens of milliseconds and is the server's business.

use std::fmt;

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;

use crate::identifiers::UserId;
use crate::representation::{Representation, acting_for};

/// What a user may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees the own record.
    Patient,
    /// Acts for patients who, or whose guardians, said so.
    Representative,
    /// Treats patients.
    Clinician,
    /// Reads the audit record.
    Auditor,
    /// Reads the audit record and manages rules, keys and revocation.
    SecurityOfficer,
    /// Manages users and clients.
    Administrator,
    /// Builds apps: registers sandbox clients on the developer's page.
    Developer,
    /// Works for an organisation, at its front desk or with its bills: sees what rules of the operator give, and nothing without them.
    Staff,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Patient,
        Self::Representative,
        Self::Clinician,
        Self::Auditor,
        Self::SecurityOfficer,
        Self::Administrator,
        Self::Developer,
        Self::Staff,
    ];

    /// The name as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Representative => "representative",
            Self::Clinician => "clinician",
            Self::Auditor => "auditor",
            Self::SecurityOfficer => "security-officer",
            Self::Administrator => "administrator",
            Self::Developer => "developer",
            Self::Staff => "staff",
        }
    }

    /// The code of v3-RoleClass that says this to others: who the person is to the organisation, not what is theirs to do here.
    pub fn class(self) -> &'static str {
        match self {
            Self::Patient => "PAT",
            Self::Representative => "AGNT",
            Self::Clinician => "PROV",
            Self::Auditor | Self::SecurityOfficer | Self::Administrator | Self::Developer => "ASSIGNED",
            Self::Staff => "EMP",
        }
    }

    /// The role of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether users of this role see clinical data without a rule of the operator that gives it.
    pub fn reads_clinical_data(self) -> bool {
        match self {
            Self::Patient | Self::Representative | Self::Clinician => true,
            Self::Auditor | Self::SecurityOfficer | Self::Administrator | Self::Developer | Self::Staff => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u8);

impl Roles {
    /// No role: such a user may sign in and see nothing.
    pub const NONE: Self = Self(0);

    /// Whether the role is in the set.
    pub fn contains(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }

    /// The set with one more role.
    #[must_use]
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | Self::bit(role))
    }

    /// The roles in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of the roles may see clinical data.
    pub fn reads_clinical_data(self) -> bool {
        self.iter().any(Role::reads_clinical_data)
    }

    fn bit(role: Role) -> u8 {
        1 << (role as u8)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// A user who can sign in.
#[derive(Debug)]
pub struct User {
    /// The identifier; also `sub`.
    pub id: UserId,
    /// What the user types to sign in.
    pub username: String,
    /// The name that pages show.
    pub display_name: String,
    /// The password hash in PHC form.
    pub password_hash: Secret<String>,
    /// The roles.
    pub roles: Roles,
    /// The FHIR resource that is this user (Patient, Practitioner, PractitionerRole, RelatedPerson, Person).
    pub fhir_user: Option<LocalReference>,
    /// The patients for whom the user may act; for a patient, the own record.
    pub patients: Vec<LogicalId>,
    /// For whom the user acts for a time, or within limits; also those whose time is over or has not come.
    pub represents: Vec<Representation>,
    /// When the user was made, in seconds since the epoch.
    pub created_at: i64,
}

impl User {
    /// The user with those patients for whom the user may act at a time in seconds since the epoch.
    #[must_use]
    pub fn acting_at(mut self, now: i64) -> Self {
        self.represents.retain(|representation| representation.holds(now));
        self.patients = acting_for(&self.patients, &self.represents, now);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_roles_read_clinical_data() {
        let readers: Vec<Role> = Role::ALL.into_iter().filter(|role| role.reads_clinical_data()).collect();
        assert_eq!(readers, [Role::Patient, Role::Representative, Role::Clinician]);
        assert!(!Roles::NONE.reads_clinical_data());
        assert!(!Roles::from_iter([Role::Auditor, Role::SecurityOfficer, Role::Administrator]).reads_clinical_data());
        assert!(Roles::from_iter([Role::Auditor, Role::Clinician]).reads_clinical_data());
    }

    #[test]
    fn roles_read_back_by_name_and_others_do_not() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            let set = Roles::NONE.with(role);
            assert_eq!(set.iter().collect::<Vec<_>>(), [role]);
        }
        for name in ["", "Patient", "admin", "root"] {
            assert_eq!(Role::parse(name), None, "{name}");
        }
    }

    #[test]
    fn debug_output_of_a_user_hides_the_password_hash() {
        let user = User {
            id: UserId::parse("u1").unwrap(),
            username: "ann".into(),
            display_name: "Ann".into(),
            password_hash: Secret::new("$argon2id$secret".into()),
            roles: Roles::NONE.with(Role::Patient),
            fhir_user: None,
            patients: Vec::new(),
            represents: Vec::new(),
            created_at: 0,
        };
        assert!(!format!("{user:?}").contains("argon2id"));
    }
}
