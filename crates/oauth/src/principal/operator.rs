//! The person at the command line of the machine that the data lies on.

use crate::identifiers::ClientId;

/// One thing that a command does. A command names the ones that it needs, and its principal can do no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperatorOperation {
    /// `load`: write resources.
    LoadResources,
    /// `audit verify`: read the ledger, without clinical content.
    VerifyAudit,
    /// `audit review`.
    ReviewAudit,
    /// `clients list`.
    ListClients,
    /// `clients add`.
    AddClient,
    /// `clients update`.
    ChangeClient,
    /// `clients remove`.
    RemoveClient,
    /// `users list`.
    ListUsers,
    /// `users add`, `users invite`.
    AddUser,
    /// `users reset`, `lock`, `unlock`, `confirm`.
    ChangeUser,
    /// `keys list`.
    ListKeys,
    /// `keys rotate`.
    RotateKeys,
    /// `users link`, `users unlink`.
    LinkUser,
    /// `users represent`.
    RepresentPatient,
    /// `approvals list`, `break-glass list`, `users rights`.
    ListSafeguards,
    /// `users entitle`, `users unentitle`, `approvals approve`, `approvals refuse`, `break-glass end`.
    ChangeSafeguards,
    /// `consents list`, `consents show`.
    ListConsents,
    /// `consents verify`.
    VerifyConsents,
    /// `policy explain`.
    ExplainDecision,
    /// `relabel`.
    LabelResources,
    /// First start of `demo` and `serve`: keys, certificates, the first user.
    InitialiseDataDirectory,
    /// Read and search every resource: whoever holds the data directory and its key can.
    ReadResources,
}

impl OperatorOperation {
    /// All operations.
    pub const ALL: [Self; 22] = [
        Self::LoadResources,
        Self::VerifyAudit,
        Self::ReviewAudit,
        Self::ListClients,
        Self::AddClient,
        Self::ChangeClient,
        Self::RemoveClient,
        Self::ListUsers,
        Self::AddUser,
        Self::ChangeUser,
        Self::ListKeys,
        Self::RotateKeys,
        Self::LinkUser,
        Self::RepresentPatient,
        Self::ListSafeguards,
        Self::ChangeSafeguards,
        Self::ListConsents,
        Self::VerifyConsents,
        Self::ExplainDecision,
        Self::LabelResources,
        Self::InitialiseDataDirectory,
        Self::ReadResources,
    ];

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// A person at the command line, with the operations of one command.
#[derive(Debug)]
pub struct Operator {
    name: Box<str>,
    operations: u32,
}

impl Operator {
    /// An operator by the name of the operating system's account.
    pub fn new(name: &str, operations: impl IntoIterator<Item = OperatorOperation>) -> Self {
        Self { name: name.into(), operations: operations.into_iter().fold(0, |bits, operation| bits | operation.bit()) }
    }

    /// The account's name, for the audit record.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the command was started for this operation.
    pub fn may(&self, operation: OperatorOperation) -> bool {
        self.operations & operation.bit() != 0
    }

    /// The client that stands for the command line in records; [`ClientId::is_reserved`] keeps registered clients from having it.
    pub fn client_id() -> ClientId {
        ClientId::reserved_command_line()
    }
}
