//! `/login/forgotten`: a link for a new password, by mail.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page for whoever has forgotten the password.
#[derive(Clone, Debug, Template)]
#[template(path = "forgotten.html")]
pub struct ForgottenPage {
    /// Who reads it.
    pub reader: Reader,
    /// The form token.
    pub csrf: String,
    /// How far it is.
    pub state: ForgottenState,
}

/// How far somebody is who has forgotten the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgottenState {
    /// The name is asked for.
    Asked(Option<ForgottenProblem>),
    /// It was given. Whether there is such an account is not said.
    Taken,
    /// Too many requests with this name or from this place.
    Wait {
        /// How long to wait, in minutes, rounded up.
        minutes: u32,
    },
}

/// What was wrong with the form before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgottenProblem {
    /// It was too old or another browser's.
    Expired,
    /// Nothing was typed.
    Empty,
}

impl ForgottenPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
