//! The pages and forms by which people sign in with more than a password, and change how they sign in.

/// Where such a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountRoute {
    /// `/login/second`: gives a second factor.
    SecondFactor,
    /// `/login/passkey`: signs in with a passkey.
    PasskeySignIn,
    /// `/login/forgotten`: asks for a link by mail.
    Forgotten,
    /// `/set-password`: chooses a password by a one-time link.
    SetPassword,
    /// `/me/password`: chooses another password.
    Password,
    /// `/me/authenticator`: adds an authenticator app.
    Authenticator,
    /// `/me/authenticator/remove`
    AuthenticatorRemove,
    /// `/me/recovery-codes`: makes new ones.
    RecoveryCodes,
    /// `/me/passkey`: adds a passkey.
    Passkey,
    /// `/me/passkey/remove`
    PasskeyRemove,
    /// `/me/sessions/end`: signs out elsewhere.
    SessionsEnd,
    /// `/me/mail`: says where letters go.
    Mail,
    /// `/me/consents`: what the patient has said about the own record.
    Consents,
}

impl AccountRoute {
    /// Whether it shows a page; all of them take a form.
    pub fn has_page(self) -> bool {
        matches!(
            self,
            Self::Forgotten
                | Self::SetPassword
                | Self::Password
                | Self::Authenticator
                | Self::Passkey
                | Self::Mail
                | Self::Consents
        )
    }
}

/// In which form a person takes the access history away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistoryForm {
    /// `/me/history.csv`: a table for people.
    Table,
    /// `/me/history.ndjson`: AuditEvents for programs.
    Events,
}

impl HistoryForm {
    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Table => "/me/history.csv",
            Self::Events => "/me/history.ndjson",
        }
    }
}
