//! `/break-glass`: whose record is needed in this emergency, and why?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page on which a clinician breaks the glass, and ends what that opened.
#[derive(Clone, Debug, Template)]
#[template(path = "break_glass.html")]
pub struct BreakGlassPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// How long a record stays open, in minutes.
    pub minutes: i64,
    /// Whether people are told by mail; else they see it on their pages.
    pub sends_mail: bool,
    /// What is open.
    pub opened: Vec<OpenedRecord>,
    /// Why the last attempt opened nothing.
    pub problem: Option<BreakGlassProblem>,
    /// The form token.
    pub csrf: String,
    /// The token of the form that signs out.
    pub sign_out_csrf: String,
}

/// A record that is open.
#[derive(Clone, Debug)]
pub struct OpenedRecord {
    /// Names it.
    pub id: String,
    /// The patient's id.
    pub patient: String,
    /// Why it was opened.
    pub reason: String,
    /// Until when.
    pub until: String,
}

/// Why nothing was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakGlassProblem {
    /// The reason says too little, or too much.
    Reason,
    /// Not exactly one patient fits.
    NobodyFits,
    /// Too many records are open.
    TooMany,
    /// It is open already.
    OpenAlready,
    /// Too many look-ups fit nobody.
    Wait {
        /// How long nobody is looked up, in minutes.
        minutes: i64,
    },
}

impl BreakGlassPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
