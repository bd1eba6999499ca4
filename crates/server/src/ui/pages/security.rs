//! `/security`: which changes wait for a second person, and who broke the glass?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page of security officers.
#[derive(Clone, Debug, Template)]
#[template(path = "security.html")]
pub struct SecurityPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// What was just done, or could not be.
    pub notice: Option<String>,
    /// Whether the person may agree to changes.
    pub may_decide: bool,
    /// The changes that wait.
    pub proposals: Vec<ProposalLine>,
    /// Who broke the glass, newest first.
    pub emergencies: Vec<EmergencyLine>,
    /// The form token.
    pub csrf: String,
    /// The token of the form that signs out.
    pub sign_out_csrf: String,
}

/// A change that waits.
#[derive(Clone, Debug)]
pub struct ProposalLine {
    /// Names it.
    pub id: String,
    /// What it does, in words.
    pub what: String,
    /// Exactly what is applied, where words do not say all of it.
    pub content: Option<String>,
    /// What is agreed to.
    pub digest: String,
    /// Who proposed it.
    pub by: String,
    /// When.
    pub since: String,
    /// Until when.
    pub until: String,
    /// Whether it is for this person to agree to: not the own proposal, nor the own benefit.
    pub is_own: bool,
}

/// One time that somebody broke the glass.
#[derive(Clone, Debug)]
pub struct EmergencyLine {
    /// Names it.
    pub id: String,
    /// Who.
    pub who: String,
    /// The patient's id.
    pub patient: String,
    /// Why.
    pub reason: String,
    /// When.
    pub since: String,
    /// Until when it is open; `None` where it has ended.
    pub open_until: Option<String>,
}

impl SecurityPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
