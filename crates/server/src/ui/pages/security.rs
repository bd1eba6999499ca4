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
    /// What rules would open that were read and are not in force.
    pub waiting_rules: Vec<String>,
    /// What settings would open that were read and are not in force.
    pub waiting_settings: Vec<String>,
    /// The changes that wait.
    pub proposals: Vec<ProposalLine>,
    /// The changes that somebody agreed to and that were not applied yet.
    pub agreed: Vec<AgreedLine>,
    /// Who broke the glass, what is open first.
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

/// A change that two people want and that was not applied yet.
#[derive(Clone, Debug)]
pub struct AgreedLine {
    /// What it does, in words.
    pub what: String,
    /// What was agreed to.
    pub digest: String,
    /// Who proposed it.
    pub by: String,
    /// Who agreed.
    pub agreed_by: String,
    /// Until when it can be applied.
    pub until: String,
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
