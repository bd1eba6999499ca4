//! Changes that take two people: one proposes, another agrees, and exactly what was proposed is done.
//!
//! Nobody agrees to what they proposed themselves, nor to what gives them something, whatever account they use of those that this server can tell apart. What is agreed
//! to is named by a digest over its kind and its whole content, so that nobody agrees to something else than what is applied. A proposal ends by itself.

use std::fmt;

use portcullis_jose::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::entitlements::Entitlement;
use crate::identifiers::UserId;

/// How long a proposal waits, in seconds.
pub const PROPOSAL_SECONDS: i64 = 7 * 24 * 3600;
/// The longest content of a proposal, in bytes.
pub const MAXIMUM_CONTENT: usize = 320 * 1024;

/// What kinds of changes take two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The right to break the glass.
    BreakGlass,
    /// The right to verify consents.
    VerifyConsents,
    /// The right to agree to changes.
    ApproveChanges,
    /// Rules that let somebody see more.
    Rules,
    /// Settings of the configuration that let somebody see more.
    Settings,
    /// A key leaves the server.
    KeyExport,
}

impl ChangeKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::BreakGlass, Self::VerifyConsents, Self::ApproveChanges, Self::Rules, Self::Settings, Self::KeyExport];

    /// The name as it is stored, configured and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break-glass",
            Self::VerifyConsents => "verify-consents",
            Self::ApproveChanges => "approve-changes",
            Self::Rules => "rules",
            Self::Settings => "settings",
            Self::KeyExport => "key-export",
        }
    }

    /// The kind of this exact name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind by which a right is given.
    pub fn of_entitlement(entitlement: Entitlement) -> Self {
        match entitlement {
            Entitlement::BreakGlass => Self::BreakGlass,
            Entitlement::VerifyConsents => Self::VerifyConsents,
            Entitlement::ApproveChanges => Self::ApproveChanges,
        }
    }

    /// The right that such a change gives; `None` where it is no right of a person.
    pub fn entitlement(self) -> Option<Entitlement> {
        Entitlement::ALL.into_iter().find(|entitlement| Self::of_entitlement(*entitlement) == self)
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// For which kinds of changes two people are needed: all, but for those that the operator switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TwoPeople {
    /// The kinds for which one person is enough, as bits.
    disabled: u8,
}

impl TwoPeople {
    /// Two people for all but these.
    pub fn but_for(kinds: impl IntoIterator<Item = ChangeKind>) -> Self {
        Self { disabled: kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8) }
    }

    /// Whether a change of this kind takes two people.
    pub fn are_needed(self, kind: ChangeKind) -> bool {
        self.disabled & (1 << kind as u8) == 0
    }

    /// The kinds for which one person is enough.
    pub fn disabled(self) -> impl Iterator<Item = ChangeKind> {
        ChangeKind::ALL.into_iter().filter(move |kind| !self.are_needed(*kind))
    }
}

/// Who proposes or decides: by the account of the operating system at the command line, or as a signed-in user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody at the command line.
    Account(String),
    /// A signed-in user.
    User(UserId),
}

impl Actor {
    /// As it is stored and recorded: `account:root`, `user:...`.
    pub fn name(&self) -> String {
        match self {
            Self::Account(name) => format!("account:{name}"),
            Self::User(id) => format!("user:{}", id.as_str()),
        }
    }
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// Nobody has decided.
    Waiting,
    /// Somebody else agreed; it is applied by whoever needs it.
    Approved,
    /// It was applied, once.
    Applied,
    /// Somebody said no.
    Refused,
}

impl ChangeState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Approved, Self::Applied, Self::Refused];

    /// The name as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A change that somebody proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// Names it: 32 hexadecimal digits.
    pub id: String,
    /// What kind.
    pub kind: ChangeKind,
    /// Exactly what is applied.
    pub content: String,
    /// [`digest`] of kind and content.
    pub digest: String,
    /// Whom it gives something.
    pub beneficiary: Option<UserId>,
    /// Who proposed it ([`Actor::name`]).
    pub proposed_by: String,
    /// When, in seconds since the epoch.
    pub proposed_at: i64,
    /// Until when it can be decided, in seconds since the epoch.
    pub expires_at: i64,
    /// Where it stands.
    pub state: ChangeState,
    /// Who decided ([`Actor::name`]).
    pub decided_by: Option<String>,
    /// When, in seconds since the epoch.
    pub decided_at: Option<i64>,
}

/// Why somebody cannot decide about a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalError {
    /// Somebody decided before, or it was applied.
    NotWaiting,
    /// Its time is over.
    Expired,
    /// It is the decider's own proposal.
    OwnProposal,
    /// It gives the decider something.
    OwnBenefit,
    /// What was looked at is not what waits.
    OtherContent,
}

impl ApprovalError {
    /// What to tell whoever tried.
    pub fn message(self) -> &'static str {
        match self {
            Self::NotWaiting => "this change does not wait for a decision any more",
            Self::Expired => "the time to decide about this change is over: propose it again",
            Self::OwnProposal => "whoever proposed a change does not agree to it: a second person does",
            Self::OwnBenefit => "nobody agrees to a change that benefits themselves",
            Self::OtherContent => "the digest is not that of the change that waits: look at it again",
        }
    }
}

impl fmt::Display for ApprovalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for ApprovalError {}

/// The SHA-256 of a change, in hexadecimal: what is agreed to.
pub fn digest(kind: ChangeKind, content: &str) -> String {
    let hash = sha256(format!("{kind}\n{content}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PendingChange {
    /// A proposal, by somebody at a time in seconds since the epoch.
    pub fn propose(id: String, (kind, content): (ChangeKind, String), by: &Actor, now: i64) -> Self {
        Self {
            id,
            digest: digest(kind, &content),
            kind,
            content,
            beneficiary: None,
            proposed_by: by.name(),
            proposed_at: now,
            expires_at: now.saturating_add(PROPOSAL_SECONDS),
            state: ChangeState::Waiting,
            decided_by: None,
            decided_at: None,
        }
    }

    /// The same where it gives somebody something.
    #[must_use]
    pub fn benefiting(self, user: UserId) -> Self {
        Self { beneficiary: Some(user), ..self }
    }

    /// Whether it waits at a time in seconds since the epoch.
    pub fn waits(&self, now: i64) -> bool {
        self.state == ChangeState::Waiting && now < self.expires_at
    }

    /// Whether somebody agreed, it was not applied yet, and there is still time, at a time in seconds since the epoch.
    pub fn can_be_applied(&self, now: i64) -> bool {
        self.state == ChangeState::Approved && now < self.expires_at
    }

    /// Whether somebody may agree to it, who looked at what has this digest.
    pub fn check_approval(&self, by: &Actor, seen: &str, now: i64) -> Result<(), ApprovalError> {
        self.check_open(now)?;
        if self.digest != seen || self.digest != digest(self.kind, &self.content) {
            return Err(ApprovalError::OtherContent);
        }
        if by.name() == self.proposed_by {
            return Err(ApprovalError::OwnProposal);
        }
        match by {
            Actor::User(user) if self.beneficiary.as_ref() == Some(user) => Err(ApprovalError::OwnBenefit),
            _ => Ok(()),
        }
    }

    /// Whether anybody may refuse it, or take it back, at this time.
    pub fn check_open(&self, now: i64) -> Result<(), ApprovalError> {
        if self.state != ChangeState::Waiting {
            return Err(ApprovalError::NotWaiting);
        }
        if now >= self.expires_at { Err(ApprovalError::Expired) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn user(id: &str) -> Actor {
        Actor::User(UserId::parse(id).unwrap())
    }

    fn proposal() -> PendingChange {
        let content = (ChangeKind::BreakGlass, "{\"user\":\"u-ben\"}".to_owned());
        PendingChange::propose("1".repeat(32), content, &user("u-ann"), NOW).benefiting(UserId::parse("u-ben").unwrap())
    }

    #[test]
    fn nobody_agrees_to_the_own_proposal_or_the_own_benefit() {
        let change = proposal();
        let by = |actor: &Actor| change.check_approval(actor, &change.digest, NOW + 1);
        assert_eq!(by(&user("u-ann")), Err(ApprovalError::OwnProposal));
        assert_eq!(by(&user("u-ben")), Err(ApprovalError::OwnBenefit));
        assert_eq!(by(&user("u-cid")), Ok(()));
        assert_eq!(by(&Actor::Account("root".into())), Ok(()));
        let own = PendingChange { proposed_by: Actor::Account("root".into()).name(), ..change.clone() };
        assert_eq!(own.check_approval(&Actor::Account("root".into()), &own.digest, NOW), Err(ApprovalError::OwnProposal));
        assert_eq!(own.check_approval(&Actor::Account("portcullis".into()), &own.digest, NOW), Ok(()));
    }

    #[test]
    fn what_is_agreed_to_is_what_was_looked_at_and_what_is_stored() {
        let change = proposal();
        assert_eq!(change.check_approval(&user("u-cid"), &"0".repeat(64), NOW), Err(ApprovalError::OtherContent));
        let changed = PendingChange { content: "{\"user\":\"u-eve\"}".into(), ..change.clone() };
        assert_eq!(changed.check_approval(&user("u-cid"), &change.digest, NOW), Err(ApprovalError::OtherContent));
        let other = PendingChange { kind: ChangeKind::ApproveChanges, ..change.clone() };
        assert_eq!(other.check_approval(&user("u-cid"), &change.digest, NOW), Err(ApprovalError::OtherContent));
        assert_eq!(change.digest.len(), 64);
    }

    #[test]
    fn a_proposal_is_decided_once_and_in_time() {
        let change = proposal();
        let end = change.expires_at;
        assert_eq!(change.check_approval(&user("u-cid"), &change.digest, end - 1), Ok(()));
        assert_eq!(change.check_approval(&user("u-cid"), &change.digest, end), Err(ApprovalError::Expired));
        assert_eq!(change.check_open(end), Err(ApprovalError::Expired));
        for state in [ChangeState::Approved, ChangeState::Applied, ChangeState::Refused] {
            let decided = PendingChange { state, ..proposal() };
            assert_eq!(decided.check_approval(&user("u-cid"), &decided.digest, NOW), Err(ApprovalError::NotWaiting));
            assert!(!decided.waits(NOW));
        }
    }

    #[test]
    fn two_people_are_needed_for_all_that_was_not_switched_off() {
        assert!(ChangeKind::ALL.into_iter().all(|kind| TwoPeople::default().are_needed(kind)));
        let some = TwoPeople::but_for([ChangeKind::Rules]);
        assert_eq!(some.disabled().collect::<Vec<_>>(), [ChangeKind::Rules]);
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.as_str()), Some(kind));
            assert!(kind.entitlement().is_none_or(|entitlement| ChangeKind::of_entitlement(entitlement) == kind));
        }
        assert!(ChangeState::ALL.into_iter().all(|state| ChangeState::parse(state.as_str()) == Some(state)));
    }
}
