//! What the registry keeps of how people sign in: sessions with their place, second factors, passkeys, one-time links, and accounts that are locked or
//! were recovered by somebody else.
//!
//! A part of [`crate::Registry`], in a file of its own. Changes travel in [`crate::registry::Change::SignIn`].

use portcullis_jose::Secret;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::{GrantId, SessionId, UserId};
use portcullis_oauth::passkey::PasskeyKey;
use portcullis_oauth::session::{Method, Methods};
use portcullis_oauth::totp::TotpSecret;

use crate::fhir_store::BoxFuture;
use crate::registry::{Change, RegistryError, Session};

/// The conflict of a code that was accepted before, or of a recovery code that was used.
pub const FACTOR_USED: &str = "the code was used before";
/// The conflict of a one-time link that was used, has expired, or is not known.
pub const LINK_USED: &str = "the link was used or has expired";
/// The conflict of a consent in a session that another person's recovery opened.
pub const NOT_CONFIRMED: &str = "the session was recovered by somebody else and is not confirmed";
/// The conflict of a sign-in to a locked account.
pub const LOCKED: &str = "the account is locked";

/// What is known of a session beyond who and when.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SessionDetails {
    /// When a page was last opened in it (to the minute), in seconds since the epoch.
    pub last_used_at: i64,
    /// How the person signed in.
    pub methods: Methods,
    /// When a second factor was last given, in seconds since the epoch.
    pub second_factor_at: Option<i64>,
    /// The browser in plain words: `Firefox on Windows`.
    pub browser: String,
    /// The network that it was opened from.
    pub network: String,
    /// Who gave the account back, where nothing has yet confirmed that its owner has it. The registry sets it; a caller cannot.
    pub recovered_by: Option<String>,
}

/// An authenticator app.
#[derive(Debug)]
pub struct TotpFactor {
    /// What it and the server share.
    pub secret: TotpSecret,
    /// The last step whose code was accepted.
    pub last_step: i64,
    /// Since when, in seconds since the epoch.
    pub created_at: i64,
}

/// A passkey with what its owner sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// What answers are checked with.
    pub key: PasskeyKey,
    /// What its owner calls it.
    pub name: String,
    /// Since when, in seconds since the epoch.
    pub created_at: i64,
    /// When it was last used, in seconds since the epoch.
    pub last_used_at: Option<i64>,
}

/// How a person can sign in, at this moment.
#[derive(Debug, Default)]
pub struct SignInMeans {
    /// Whether there is a password.
    pub has_password: bool,
    /// The authenticator app.
    pub totp: Option<TotpFactor>,
    /// The passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
    /// Recovery codes that were not yet used.
    pub recovery_codes: u32,
    /// Since when the account is locked, in seconds since the epoch.
    pub locked_at: Option<i64>,
    /// Who gave the account back, where its owner has not yet confirmed it.
    pub recovered_by: Option<String>,
}

impl SignInMeans {
    /// Whether a password alone is not enough.
    pub fn has_second_factor(&self) -> bool {
        self.totp.is_some() || !self.passkeys.is_empty()
    }
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The first password of a new account.
    Invitation,
    /// A new password, which somebody else arranged.
    Reset,
    /// A new password, which the person asked for by mail.
    Forgotten,
}

impl LinkPurpose {
    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
            Self::Forgotten => "forgotten",
        }
    }

    /// The purpose of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Invitation, Self::Reset, Self::Forgotten].into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A one-time link that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLink {
    /// Whose account.
    pub user: UserId,
    /// What for.
    pub purpose: LinkPurpose,
    /// Who made it: an operator, or for [`LinkPurpose::Forgotten`] the user, or the operator who set a mail address that nothing has confirmed since.
    pub created_by: String,
    /// Whether it was told to the person's mail address and to nobody else.
    pub mailed: bool,
    /// The end, in seconds since the epoch.
    pub expires_at: i64,
}

/// A second factor as it is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactorUse {
    /// A code of the authenticator app.
    Totp {
        /// Its step, which must be later than the last.
        step: i64,
    },
    /// A recovery code.
    RecoveryCode {
        /// Its keyed hash.
        hash: [u8; 32],
    },
    /// A passkey.
    Passkey {
        /// The credential's id.
        id: Vec<u8>,
        /// The new counter.
        sign_count: u32,
        /// The challenge that was answered, which must not have been answered before.
        challenge: SpentChallenge,
    },
}

/// A challenge that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentChallenge {
    /// Its SHA-256.
    pub hash: SecretHash,
    /// Until when the same one would still be accepted, in seconds since the epoch.
    pub expires_at: i64,
}

/// A change of how somebody signs in.
#[derive(Debug)]
pub enum SignInChange {
    /// A second factor is used up, and with it, or not at all, what it was given for happens. It confirms an account that somebody else gave back.
    UseFactor {
        /// Whose.
        user: UserId,
        /// Which.
        factor: FactorUse,
        /// What for.
        then: Box<Change>,
    },
    /// The session goes on under another cookie, after a sign-in or a second factor in the same browser.
    RenewSession {
        /// The session as it is from now on.
        session: Session,
        /// SHA-256 of its new cookie.
        hash: SecretHash,
        /// The counters of failures that begin anew.
        forget: Vec<portcullis_oauth::lockout::AttemptKey>,
    },
    /// A factor that was just added counts as given in this session.
    NoteSecondFactor {
        /// Which session.
        session: SessionId,
        /// Which kind of factor.
        method: Method,
        /// Now, in seconds since the epoch.
        now: i64,
    },
    /// A person ends one of the own sessions.
    EndSession {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
    },
    /// A person ends the own sessions but this one.
    EndOtherSessions {
        /// Whose.
        user: UserId,
        /// Which stays.
        but: SessionId,
    },
    /// An authenticator app, in the place of the one before.
    SetTotp {
        /// Whose.
        user: UserId,
        /// What it shares.
        secret: TotpSecret,
        /// The step of the code that confirmed it.
        step: i64,
    },
    /// The authenticator app goes.
    RemoveTotp(UserId),
    /// New recovery codes in the place of all others.
    SetRecoveryCodes {
        /// Whose.
        user: UserId,
        /// Their keyed hashes.
        hashes: Vec<[u8; 32]>,
    },
    /// One more passkey.
    AddPasskey {
        /// Whose.
        user: UserId,
        /// The passkey.
        passkey: Box<Passkey>,
        /// The challenge that its registration answered.
        challenge: SpentChallenge,
    },
    /// A passkey goes.
    RemovePasskey {
        /// Whose.
        user: UserId,
        /// Its credential id.
        id: Vec<u8>,
    },
    /// A one-time link; all earlier ones of the user end.
    MakeLink {
        /// The link.
        link: OneTimeLink,
        /// The SHA-256 of its secret.
        hash: SecretHash,
        /// Whether all second factors go, for somebody who has lost them.
        remove_factors: bool,
    },
    /// A password that a one-time link was opened for: the link is used up, all sessions end, and after a reset the account counts as recovered by whoever
    /// made the link. So it does after the invitation of somebody who has used the account without a password.
    SetPasswordByLink {
        /// The SHA-256 of the link's secret.
        hash: SecretHash,
        /// The password's hash in PHC form.
        password_hash: Secret<String>,
    },
    /// A person chose another password; the other sessions and the one-time links end.
    SetPassword {
        /// Whose.
        user: UserId,
        /// The password's hash in PHC form.
        password_hash: Secret<String>,
        /// The session in which it was done.
        but: SessionId,
    },
    /// The account is locked: sessions end, tokens do not count.
    Lock(UserId),
    /// It is not locked any more.
    Unlock(UserId),
    /// A second officer confirms that the account is with its owner.
    ConfirmRecovery {
        /// Whose.
        user: UserId,
        /// Who confirms; it must not be who gave the account back.
        by: String,
    },
    /// Several of these, whole or not at all.
    Together(Vec<SignInChange>),
    /// One of these and then another change, whole or not at all.
    Then {
        /// What comes first.
        first: Box<SignInChange>,
        /// What follows.
        then: Box<Change>,
    },
}

/// How people sign in, as far as it is stored.
pub trait SignInRegistry: Send + Sync {
    /// How a person can sign in.
    fn sign_in_means<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<SignInMeans, RegistryError>>;

    /// A passkey and whose it is, by its credential id.
    fn passkey<'a>(&'a self, id: &'a [u8]) -> BoxFuture<'a, Result<Option<(UserId, Passkey)>, RegistryError>>;

    /// The sessions of a person that have not ended at this time, newest first.
    fn sessions_of<'a>(&'a self, user: &'a UserId, now: i64) -> BoxFuture<'a, Result<Vec<Session>, RegistryError>>;

    /// Notes that a page was opened in a session; soon instead of at once, and at most once a minute.
    fn note_session_use(&self, session: &Session, now: i64);

    /// A one-time link that was neither used nor has expired at this time.
    fn one_time_link<'a>(&'a self, hash: &'a SecretHash, now: i64) -> BoxFuture<'a, Result<Option<OneTimeLink>, RegistryError>>;

    /// How the person had signed in who gave this grant; `None` where it was not yet noted.
    fn methods_of_grant<'a>(&'a self, grant: &'a GrantId) -> BoxFuture<'a, Result<Option<Methods>, RegistryError>>;
}
