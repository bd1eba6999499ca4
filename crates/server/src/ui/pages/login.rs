//! `/login`: who are you?

use askama::Template;

/// The sign-in page.
#[derive(Clone, Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// The app that sent the person here.
    pub app_name: Option<String>,
    /// The form token.
    pub csrf: String,
    /// Where to go afterwards: a path of this server, which the receiver checks again.
    pub return_to: String,
    /// What was typed as the name before, or nothing.
    pub username: String,
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
    /// The form token is too old or not of this session.
    ExpiredForm,
}

impl LoginPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
