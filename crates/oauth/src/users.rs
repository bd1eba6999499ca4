//! Users who sign in here: roles, the patients they may act for, and lockout after wrong passwords.
//!
//! The password hash is opaque text (Argon2id in PHC form); checking it costs tens of milliseconds and is the server's business.

use std::fmt;

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;

use crate::identifiers::UserId;

/// What a user may be. The last three read no clinical data.
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
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Patient, Self::Representative, Self::Clinician, Self::Auditor, Self::SecurityOfficer, Self::Administrator];

    /// The name as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Representative => "representative",
            Self::Clinician => "clinician",
            Self::Auditor => "auditor",
            Self::SecurityOfficer => "security-officer",
            Self::Administrator => "administrator",
        }
    }

    /// The role of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether users of this role may see clinical data at all.
    pub fn reads_clinical_data(self) -> bool {
        match self {
            Self::Patient | Self::Representative | Self::Clinician => true,
            Self::Auditor | Self::SecurityOfficer | Self::Administrator => false,
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
    /// When the user was made, in seconds since the epoch.
    pub created_at: i64,
    /// Wrong passwords since the last right one.
    pub lockout: Lockout,
}

/// Wrong passwords and the lock that follows from them (NIST SP 800-63B section 5.2.2).
///
/// From the fifth failure on, each one locks for twice as long as the one before: 1, 2, 4, 8 and then always 15 minutes. The lock
/// ends by itself, so that a stranger who types wrong passwords cannot shut a person out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lockout {
    /// Failures in a row.
    pub failures: u32,
    /// Until when no password is accepted, in seconds since the epoch.
    pub locked_until: Option<i64>,
}

impl Lockout {
    /// The failures that are free.
    pub const FREE_FAILURES: u32 = 4;
    /// The first lock, in seconds.
    pub const FIRST_LOCK_SECONDS: i64 = 60;
    /// The longest lock, in seconds.
    pub const LONGEST_LOCK_SECONDS: i64 = 15 * 60;

    /// Whether a password may not even be tried now.
    pub fn is_locked(self, now: i64) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    /// The state after a wrong password.
    #[must_use]
    pub fn after_failure(self, now: i64) -> Self {
        let failures = self.failures.saturating_add(1);
        let locked_until = failures.checked_sub(Self::FREE_FAILURES + 1).map(|beyond| {
            let seconds = Self::FIRST_LOCK_SECONDS << beyond.min(8);
            now.saturating_add(seconds.min(Self::LONGEST_LOCK_SECONDS))
        });
        Self { failures, locked_until }
    }

    /// The state after the right password.
    #[must_use]
    pub fn after_success(self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_wrong_password_locks_and_the_lock_grows_and_ends() {
        let mut lockout = Lockout::default();
        for _ in 0..4 {
            lockout = lockout.after_failure(1000);
            assert!(!lockout.is_locked(1000));
        }
        for seconds in [60, 120, 240, 480, 900, 900, 900] {
            lockout = lockout.after_failure(1000);
            assert!(lockout.is_locked(1000 + seconds - 1), "{seconds}");
            assert!(!lockout.is_locked(1000 + seconds), "{seconds}");
        }
        assert_eq!(lockout.after_success(), Lockout::default());
        let endless = Lockout { failures: u32::MAX, locked_until: None }.after_failure(i64::MAX);
        assert_eq!(endless, Lockout { failures: u32::MAX, locked_until: Some(i64::MAX) });
    }

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
            created_at: 0,
            lockout: Lockout::default(),
        };
        assert!(!format!("{user:?}").contains("argon2id"));
    }
}
