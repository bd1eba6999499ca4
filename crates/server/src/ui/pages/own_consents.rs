//! `/me/consents`: what a patient has said about the own record.

use askama::Template;

use crate::ui::Reader;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "own_consents.html")]
pub struct OwnConsentsPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// What was just done, or why it was not.
    pub notice: Option<String>,
    /// Whether it was not done.
    pub is_problem: bool,
    /// Whether the person has a record here, or acts for somebody who has.
    pub has_record: bool,
    /// What waits for the patient to agree.
    pub waiting: Vec<OwnConsent>,
    /// What holds.
    pub holding: Vec<OwnConsent>,
    /// What goes on though somebody moved it to another patient.
    pub going_on: Vec<MovedConsent>,
}

/// A Consent that somebody moved to another patient, which goes on until an officer has confirmed that.
#[derive(Clone, Debug)]
pub struct MovedConsent {
    /// Whose record, where the person has more than one.
    pub patient_name: Option<String>,
    /// What it says.
    pub rules: Vec<RuleLine>,
}

/// A Consent in plain words.
#[derive(Clone, Debug)]
pub struct OwnConsent {
    /// Its id.
    pub id: String,
    /// The version that is shown, and agreed to.
    pub version: String,
    /// Whose record, where the person has more than one.
    pub patient_name: Option<String>,
    /// When it was given, as it says itself.
    pub since: Option<String>,
    /// What it says; none: it ends what there was.
    pub rules: Vec<RuleLine>,
    /// What holds until somebody agrees.
    pub until_then: Vec<RuleLine>,
    /// The provision as it is written.
    pub exact: Option<String>,
}

/// One rule as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLine {
    /// The sentence.
    pub text: String,
    /// Whether it is an exception to the one before it.
    pub is_exception: bool,
}

impl OwnConsentsPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
