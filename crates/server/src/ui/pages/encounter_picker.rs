//! Which visit of the patient is the app about to ask for?

use askama::Template;

/// The encounter picker: for apps that work on one visit.
#[derive(Clone, Debug, Template)]
#[template(path = "encounter_picker.html")]
pub struct EncounterPickerPage {
    /// The app's name.
    pub app_name: String,
    /// Who is signed in and chooses.
    pub person_name: String,
    /// Whose visits these are.
    pub patient_name: String,
    /// One page of visits, newest first.
    pub encounters: Vec<EncounterChoice>,
    /// The bookmark of the next page.
    pub next: Option<String>,
    /// The form token.
    pub csrf: String,
    /// The handle of the waiting authorization request.
    pub request_handle: String,
    /// Where somebody else goes who signs in instead: the waiting request.
    pub return_to: String,
}

/// One visit that can be chosen.
#[derive(Clone, Debug)]
pub struct EncounterChoice {
    /// The id of the Encounter resource.
    pub id: String,
    /// What kind of visit.
    pub what: String,
    /// Why the patient came, or nothing.
    pub why: String,
    /// When it began, as people write it, or nothing.
    pub when: String,
}

impl EncounterPickerPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
