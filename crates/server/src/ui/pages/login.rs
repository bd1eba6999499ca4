//! `/login`: who are you?

use askama::Template;

use super::PasskeyForm;
use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The sign-in page.
#[derive(Clone, Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// Who reads it.
    pub reader: Reader,
    /// The app that sent the person here.
    pub app_name: Option<String>,
    /// The form token.
    pub csrf: String,
    /// Where to go afterwards: a path of this server, which the receiver checks again.
    pub return_to: String,
    /// What was typed as the name before, or nothing.
    pub username: String,
    /// Whether the person is asked to sign in once more before a change.
    pub again: bool,
    /// The way by a passkey.
    pub passkey: PasskeyForm,
    /// Accounts elsewhere that open this server, too.
    pub providers: Vec<super::ProviderButton>,
    /// Whether a link for a new password can be had by mail.
    pub forgotten: bool,
    /// Why the last attempt failed.
    pub error: Option<LoginError>,
}

/// Why a sign-in failed, as far as the person may know: never which of name and password was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// Name and password do not belong together.
    WrongCredentials,
    /// Too many attempts. It is said of names that do not exist as well.
    Wait {
        /// How long to wait, in minutes, rounded up.
        minutes: u32,
    },
    /// The passkey is not known, or its answer proves nothing.
    UnknownPasskey,
    /// The account is locked. It is said only after the right password or passkey.
    Locked,
    /// The form token is too old or not of this session.
    ExpiredForm,
    /// Nothing failed yet: somebody else is signed in than the app's request is for.
    AnotherAccount,
}

impl LoginPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
