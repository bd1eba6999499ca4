//! What must be so of a request for a rule to apply: who asks, for what purpose, from where, and when.

use portcullis_fhir::reference::LocalReference;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Principal, PurposeOfUse};
use portcullis_oauth::users::Roles;

use super::hours::Hours;
use super::network::Network;

/// Conditions that must all hold. What is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The user has one of these roles.
    pub roles: Roles,
    /// The user is one of these.
    pub users: Vec<Person>,
    /// The client is one of these.
    pub clients: Vec<ClientId>,
    /// The purpose is one of these, or one that they include.
    pub purposes: Vec<PurposeOfUse>,
    /// The peer is in one of these.
    pub networks: Vec<Network>,
    /// The time is in one of these.
    pub hours: Vec<Hours>,
}

/// A user as rules name one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    /// By the identifier of the account.
    Account(UserId),
    /// By the FHIR resource that is this person.
    Resource(LocalReference),
}

/// Whether something holds; a fact that nobody knows makes neither yes nor no of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nobody knows.
    Unknown,
}

impl Holds {
    /// Whether both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }

    /// Whether it does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// One condition by the key under which a rule writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The key.
    pub key: &'static str,
    /// Whether it holds.
    pub holds: Holds,
}

impl Conditions {
    /// Whether nothing is asked for.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all hold.
    pub fn hold(&self, principal: &Principal) -> Holds {
        self.each(principal).fold(Holds::Yes, |all, judged| all.and(judged.holds))
    }

    /// Each condition that the rule asks for.
    pub fn each<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = Judged> + 'a {
        let asked = |key, asks: bool, holds: &dyn Fn() -> Holds| asks.then(|| Judged { key, holds: holds() });
        [
            asked("roles", !self.roles.is_empty(), &|| self.roles.iter().any(|role| principal.roles().contains(role)).into()),
            asked("users", !self.users.is_empty(), &|| self.users.iter().any(|user| user.is(principal)).into()),
            asked("clients", !self.clients.is_empty(), &|| self.clients.contains(principal.client()).into()),
            asked("purpose", !self.purposes.is_empty(), &|| {
                self.purposes.iter().any(|purpose| purpose.includes(principal.purpose_of_use())).into()
            }),
            asked("networks", !self.networks.is_empty(), &|| {
                let among = |address| self.networks.iter().any(|network| network.contains(address)).into();
                principal.circumstances().and_then(|circumstances| circumstances.address).map_or(Holds::Unknown, among)
            }),
            asked("hours", !self.hours.is_empty(), &|| {
                let among = |at| self.hours.iter().any(|hours| hours.contain(at)).into();
                principal.circumstances().map_or(Holds::Unknown, |circumstances| among(circumstances.now.div_euclid(1000)))
            }),
        ]
        .into_iter()
        .flatten()
    }

    /// Whether whenever the other conditions hold, these do for sure.
    pub fn include(&self, other: &Self) -> bool {
        let roles = self.roles.is_empty() || !other.roles.is_empty() && other.roles.iter().all(|role| self.roles.contains(role));
        let networks = |narrower: &Network| self.networks.iter().any(|network| network.includes(narrower));
        let purposes = |narrower: &PurposeOfUse| self.purposes.iter().any(|purpose| purpose.includes(*narrower));
        roles
            && each_of(&self.users, &other.users, |user| self.users.contains(user))
            && each_of(&self.clients, &other.clients, |client| self.clients.contains(client))
            && each_of(&self.purposes, &other.purposes, purposes)
            && each_of(&self.networks, &other.networks, networks)
            && (self.hours.iter().any(Hours::are_always)
                || each_of(&self.hours, &other.hours, |hours| self.hours.contains(hours)))
    }
}

/// Whether everything that is asked for in `narrower` is among what is asked for here; nothing asked for is everything.
fn each_of<T>(wider: &[T], narrower: &[T], included: impl Fn(&T) -> bool) -> bool {
    wider.is_empty() || !narrower.is_empty() && narrower.iter().all(included)
}

impl Person {
    fn is(&self, principal: &Principal) -> bool {
        principal.user().is_some_and(|user| match self {
            Self::Account(id) => user.id == *id,
            Self::Resource(resource) => user.fhir_user.as_ref() == Some(resource),
        })
    }
}
