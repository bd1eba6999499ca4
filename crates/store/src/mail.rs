//! What the registry keeps of mail: people's addresses, and letters from the change that they tell of until they went or were given up.
//!
//! A part of [`crate::Registry`], in a file of its own. A letter is stored in the transaction of the change that it tells of, so that none is lost and none
//! tells of what did not happen. It is sent at least once: after a crash between the server's word and ours it is sent again, with the same Message-ID.
//! What it says is opaque here; it may hold the secret of a link, so it is sealed at rest and gone once it was sent.

use portcullis_jose::Secret;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;

use crate::fhir_store::BoxFuture;
use crate::registry::{Change, RegistryError};
use crate::sign_in::OneTimeLink;

/// The conflict of a letter that must go and finds too many others waiting.
pub const MAIL_FULL: &str = "too much mail waits to be sent";

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LetterKind {
    /// The link that opens a new account.
    Invitation,
    /// A link for a new password, made by an operator.
    Reset,
    /// No letter yet: somebody typed a name and asked for a new password. Whether there is such a person is found out later, away from whoever asked.
    PasswordRequest,
    /// A link for a new password, which the person asked for.
    Forgotten,
    /// The password was changed.
    PasswordChanged,
    /// An authenticator app was added.
    AuthenticatorAdded,
    /// A passkey was added.
    PasskeyAdded,
    /// An authenticator app or a passkey was removed.
    FactorRemoved,
    /// New recovery codes were made.
    RecoveryCodes,
    /// Somebody else makes or made a way back into the account.
    Recovery,
    /// Somebody else confirmed that the account is with its owner.
    RecoveryConfirmed,
    /// An account elsewhere opens this one from now on.
    IdentityLinked,
    /// The mail address was changed: to the address before.
    AddressChanged,
    /// The code by which a person shows to read at a new address.
    AddressConfirmation,
    /// The mail address was changed: to the new address.
    AddressConfirmed,
    /// A sign-in from a browser that was not known.
    NewBrowser,
    /// To a patient, or somebody who acts for one: a clinician broke the glass.
    GlassBroken,
    /// To a security officer: the same.
    GlassBrokenReview,
    /// To a security officer: somebody without the right tried to break the glass.
    GlassRefused,
    /// To a security officer: somebody with the right looked for several people whom nobody knows.
    GlassSearched,
    /// To a security officer: a change waits for a second person.
    ApprovalAwaited,
}

impl LetterKind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::Invitation,
        Self::Reset,
        Self::PasswordRequest,
        Self::Forgotten,
        Self::PasswordChanged,
        Self::AuthenticatorAdded,
        Self::PasskeyAdded,
        Self::FactorRemoved,
        Self::RecoveryCodes,
        Self::Recovery,
        Self::RecoveryConfirmed,
        Self::IdentityLinked,
        Self::AddressChanged,
        Self::AddressConfirmation,
        Self::AddressConfirmed,
        Self::NewBrowser,
        Self::GlassBroken,
        Self::GlassBrokenReview,
        Self::GlassRefused,
        Self::GlassSearched,
        Self::ApprovalAwaited,
    ];

    /// The name under which it is stored and recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
            Self::PasswordRequest => "password-request",
            Self::Forgotten => "forgotten-password",
            Self::PasswordChanged => "password-changed",
            Self::AuthenticatorAdded => "authenticator-added",
            Self::PasskeyAdded => "passkey-added",
            Self::FactorRemoved => "factor-removed",
            Self::RecoveryCodes => "recovery-codes",
            Self::Recovery => "recovery",
            Self::RecoveryConfirmed => "recovery-confirmed",
            Self::IdentityLinked => "identity-linked",
            Self::AddressChanged => "address-changed",
            Self::AddressConfirmation => "address-confirmation",
            Self::AddressConfirmed => "address-confirmed",
            Self::NewBrowser => "new-browser",
            Self::GlassBroken => "glass-broken",
            Self::GlassBrokenReview => "glass-broken-review",
            Self::GlassRefused => "glass-refused",
            Self::GlassSearched => "glass-searched",
            Self::ApprovalAwaited => "approval-awaited",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether somebody waits for it: then it is an error where it cannot be kept. All others tell of what happened anyway.
    pub fn is_awaited(self) -> bool {
        matches!(self, Self::Invitation | Self::Reset | Self::AddressConfirmation)
    }

    /// For how long after one of these no other one goes to the same person, in seconds.
    pub fn pause_seconds(self) -> i64 {
        match self {
            Self::NewBrowser | Self::GlassRefused | Self::GlassSearched => 3600,
            Self::Forgotten => 300,
            _ => 0,
        }
    }
}

/// A letter that is to be kept until it went.
#[derive(Debug)]
pub struct NewLetter {
    /// Names it: 32 hexadecimal digits.
    pub id: String,
    /// Whose account it is about; `None` for [`LetterKind::PasswordRequest`].
    pub user: Option<UserId>,
    /// What about.
    pub kind: LetterKind,
    /// About whom, where that is somebody else: the pause after such a letter is one for each of them.
    pub about: Option<UserId>,
    /// What it says.
    pub content: Secret<Vec<u8>>,
    /// When nobody needs it any more, in seconds since the epoch.
    pub gives_up_at: i64,
}

/// A letter that waits.
#[derive(Debug)]
pub struct WaitingLetter {
    /// Names it.
    pub id: String,
    /// Whose account it is about.
    pub user: Option<UserId>,
    /// What about.
    pub kind: LetterKind,
    /// What it says.
    pub content: Secret<Vec<u8>>,
    /// How often it was tried.
    pub attempts: u32,
    /// When nobody needs it any more, in seconds since the epoch.
    pub gives_up_at: i64,
}

/// What became of a letter, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterState {
    /// What it was about.
    pub kind: LetterKind,
    /// When it was written, in seconds since the epoch.
    pub created_at: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended: `sent`, or why not; `None` while it waits.
    pub outcome: Option<String>,
}

/// How the mail is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailOverview {
    /// Letters that wait.
    pub waiting: u32,
    /// When the oldest of them was written, in seconds since the epoch.
    pub oldest_at: Option<i64>,
    /// Letters that were given up within the last week.
    pub given_up: u32,
}

/// Where a person's letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalAddress {
    /// The account.
    pub user: UserId,
    /// The address.
    pub address: String,
    /// `en` or `es`.
    pub language: String,
    /// The operator who set it, while nothing has shown that its owner reads there.
    pub vouched_by: Option<String>,
}

/// A change about mail.
#[derive(Debug)]
pub enum MailChange {
    /// Something happens, and letters tell of it: all or nothing, but for letters that nobody waits for and that find no room.
    Tell {
        /// The letters.
        letters: Vec<NewLetter>,
        /// What happens.
        then: Box<Change>,
    },
    /// A letter is with the mail server, or is given up.
    End {
        /// Which.
        id: String,
        /// `sent`, or why not.
        outcome: String,
    },
    /// It is known now whom a request for a new password is about: the request ends, and each of these people gets a link by letter, unless one was on its way
    /// a short time ago.
    Answer {
        /// The request.
        id: String,
        /// The links, their hashes and the letters that tell them.
        links: Vec<(OneTimeLink, SecretHash, NewLetter)>,
    },
    /// Where a person's letters go from now on; `None`: nowhere.
    SetAddress {
        /// Whose.
        user: UserId,
        /// Where to.
        address: Option<PersonalAddress>,
    },
}

/// Mail, as far as it is stored.
pub trait MailRegistry: Send + Sync {
    /// Where a person's letters go.
    fn address_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Option<PersonalAddress>, RegistryError>>;

    /// The people with this address, however it is capitalised; at most five.
    fn people_at<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Vec<UserId>, RegistryError>>;

    /// Letters whose time has come, the oldest first.
    fn due_letters(&self, now: i64, limit: u32) -> BoxFuture<'_, Result<Vec<WaitingLetter>, RegistryError>>;

    /// Notes that a letter is tried now, and when it is tried again unless it ends.
    fn try_letter<'a>(&'a self, id: &'a str, due_at: i64) -> BoxFuture<'a, Result<(), RegistryError>>;

    /// How the mail is doing.
    fn mail_overview(&self, now: i64) -> BoxFuture<'_, Result<MailOverview, RegistryError>>;

    /// The last letters about a person's account, the newest first; at most ten.
    fn letters_of<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<Vec<LetterState>, RegistryError>>;

    /// Waits until a letter was stored; one that was stored before counts once.
    fn letter_stored(&self) -> BoxFuture<'_, ()>;
}
