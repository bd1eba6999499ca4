//! What the registry keeps of rights that take two people, of changes that wait for the second of them, and of broken glass.
//!
//! A part of [`crate::Registry`], in a file of its own. Changes travel in [`crate::registry::Change::Safeguard`]. Who may decide about a proposal, and whether a right
//! stands, is checked in the transaction of the change: of two who decide at the same time the second is late.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::approval::{Actor, ChangeKind, PendingChange};
use portcullis_oauth::break_glass::GlassEntry;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::identifiers::UserId;

use crate::fhir_store::BoxFuture;
use crate::registry::{Change, RegistryError};

/// The conflict of breaking the glass without the right to do so.
pub const NOT_ENTITLED: &str = "the right to break the glass is missing";
/// The conflict of opening a record that is open already for the same person.
pub const OPEN_ALREADY: &str = "this record is open already";
/// The conflict of one more patient than one person may have open at a time.
pub const TOO_MUCH_GLASS: &str = "too many records are open already: end one of them first";
/// How many people get the right to agree to changes by one person's word, before two people are needed for it.
pub const FIRST_APPROVERS: u32 = 2;

/// A right that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenEntitlement {
    /// Whose.
    pub user: UserId,
    /// What.
    pub entitlement: Entitlement,
    /// Since when, in seconds since the epoch.
    pub given_at: i64,
    /// Who proposed it.
    pub given_by: String,
    /// Who agreed; `None` where one person was enough.
    pub approved_by: Option<String>,
}

/// A change about rights, proposals and broken glass.
#[derive(Debug)]
pub enum SafeguardChange {
    /// Somebody proposes a change. The same one must not wait already.
    Propose(Box<PendingChange>),
    /// Somebody agrees. A right is given at once; anything else is approved from now on and waits for its use.
    Approve {
        /// Which.
        id: String,
        /// What was looked at.
        digest: String,
        /// Who.
        by: Actor,
    },
    /// Somebody says no, or takes the own proposal back.
    Refuse {
        /// Which.
        id: String,
        /// Who.
        by: Actor,
    },
    /// What was approved is applied, once and in time.
    Use {
        /// What kind.
        kind: ChangeKind,
        /// Which content.
        digest: String,
        /// How it is applied: together with this, or not at all.
        then: Box<Change>,
    },
    /// One person gives a right, where the operator says that one is enough.
    Give {
        /// Whom.
        user: UserId,
        /// What.
        entitlement: Entitlement,
        /// Who.
        by: Actor,
        /// Whether it is one of the [`FIRST_APPROVERS`], which must hold.
        first: bool,
    },
    /// A right ends.
    End {
        /// Whose.
        user: UserId,
        /// What.
        entitlement: Entitlement,
        /// Who ends it.
        by: Actor,
    },
    /// Somebody breaks the glass. The right must stand.
    BreakGlass(Box<GlassEntry>),
    /// Somebody ends what was opened.
    EndGlass {
        /// Which.
        id: String,
        /// Who.
        by: Actor,
    },
}

/// Rights, proposals and broken glass, as far as they are stored.
pub trait SafeguardRegistry: Send + Sync {
    /// The rights that a user has.
    fn entitlements_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<Entitlement>, RegistryError>>;

    /// The rights of everybody, by user.
    fn entitlements(&self) -> BoxFuture<'_, Result<Vec<GivenEntitlement>, RegistryError>>;

    /// How many people have, or ever had, a right.
    fn ever_entitled(&self, entitlement: Entitlement) -> BoxFuture<'_, Result<u32, RegistryError>>;

    /// All proposals that can still be decided or applied at this time in seconds since the epoch, then at most 200 others; the newest first.
    fn pending_changes(&self, now: i64) -> BoxFuture<'_, Result<Vec<PendingChange>, RegistryError>>;

    /// A proposal.
    fn pending_change<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<PendingChange>, RegistryError>>;

    /// The proposal of this content to which somebody else agreed, that was not applied since, and whose time is not over.
    fn approved_change<'a>(
        &'a self,
        kind: ChangeKind,
        digest: &'a str,
        now: i64,
    ) -> BoxFuture<'a, Result<Option<PendingChange>, RegistryError>>;

    /// All that is open by broken glass at this time in seconds since the epoch, then at most 200 earlier times; the newest first.
    fn broken_glass(&self, now: i64) -> BoxFuture<'_, Result<Vec<GlassEntry>, RegistryError>>;

    /// The same for a patient; at most 20 earlier times.
    fn broken_glass_of<'a>(&'a self, patient: &'a LogicalId, now: i64) -> BoxFuture<'a, Result<Vec<GlassEntry>, RegistryError>>;

    /// One of them.
    fn glass_entry<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GlassEntry>, RegistryError>>;
}
