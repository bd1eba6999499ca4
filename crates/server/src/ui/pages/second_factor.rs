//! The second step of a sign-in, and the same step in a session that needs it again.

use askama::Template;

use super::PasskeyForm;
use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page that asks for a second factor.
#[derive(Clone, Debug, Template)]
#[template(path = "second_factor.html")]
pub struct SecondFactorPage {
    /// Who reads it.
    pub reader: Reader,
    /// The form token.
    pub csrf: String,
    /// The proof that the password was right; empty in a session.
    pub pending: String,
    /// Where to go afterwards.
    pub return_to: String,
    /// Whether the person has an authenticator app.
    pub has_app: bool,
    /// Whether the person has recovery codes.
    pub has_recovery_codes: bool,
    /// Whether the person is signed in already.
    pub in_session: bool,
    /// The way by a passkey, where the person has one.
    pub passkey: Option<PasskeyForm>,
    /// Why the last attempt failed.
    pub error: Option<SecondFactorError>,
}

/// Why a second factor was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactorError {
    /// It is not a code that counts at this moment.
    WrongCode,
    /// Too many attempts.
    Wait {
        /// How long to wait, in minutes, rounded up.
        minutes: u32,
    },
}

impl SecondFactorPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
