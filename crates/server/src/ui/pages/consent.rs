//! `/consent`: may this app see parts of this record?
//!
//! The order on the page: who asks; whose record; what it may see, line by line; for how long; what it may not do; what the law
//! does not cover; Allow and Don't allow, equal in size. What a line says comes from the reviewed table of words per scope, not
//! from here.

use askama::Template;

use super::AskingApp;
use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The consent screen.
#[derive(Clone, Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who asks.
    pub app: AskingApp,
    /// Whose record it is; none if the app asks for no single patient.
    pub patient_name: Option<String>,
    /// Who is signed in and decides.
    pub person_name: String,
    /// What is asked for. Groups without lines are left out by the caller.
    pub groups: Vec<ConsentGroup>,
    /// Whether a line lets the app see records of other people too.
    pub reaches_others: bool,
    /// Whether a line lets the app keep its access until it is taken back.
    pub may_last: bool,
    /// Whether a line lets the app keep its access while the person stays signed in.
    pub may_last_online: bool,
    /// Whether a line lets the app write; otherwise the page promises that it cannot.
    pub may_write: bool,
    /// The form token.
    pub csrf: String,
    /// The handle of the waiting authorization request.
    pub request_handle: String,
    /// What the app asked for and will not get, whatever is ticked, as it asked.
    pub left_out: Vec<String>,
    /// Where somebody else goes who signs in instead: the waiting request.
    pub return_to: String,
}

/// A part of the record: "Tests and measurements".
#[derive(Clone, Debug)]
pub struct ConsentGroup {
    /// Its name.
    pub title: String,
    /// Its lines, at least one.
    pub lines: Vec<ConsentLine>,
}

/// One scope that can be ticked.
#[derive(Clone, Debug)]
pub struct ConsentLine {
    /// The scope as it was asked for; sent back if ticked.
    pub scope: String,
    /// What it means: "Your insurance plans".
    pub words: String,
    /// Whether it is ticked at first.
    pub checked: bool,
    /// Whether it is marked as sensitive.
    pub sensitive: bool,
    /// Whether it goes with any permission at all and so cannot be unticked.
    pub required: bool,
    /// Whether the app did not have it last time, when there was a last time.
    pub is_new: bool,
    /// Whether the app has it already.
    pub had_before: bool,
    /// Whether it also covers kinds of information that are not here yet.
    pub covers_future: bool,
    /// What may be shared instead of all of it.
    pub parts: Vec<ConsentPart>,
}

/// A narrower scope that can be given instead of the one of its line.
#[derive(Clone, Debug)]
pub struct ConsentPart {
    /// The scope; sent back if ticked.
    pub scope: String,
    /// What it means: "Your lab results only".
    pub words: String,
}

impl ConsentPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }

    fn has_sensitive_line(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.lines).any(|line| line.sensitive)
    }
}
