//! Which patient's record is the app about to ask for?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The patient picker: for representatives and clinicians who may see more than one record.
#[derive(Clone, Debug, Template)]
#[template(path = "patient_picker.html")]
pub struct PatientPickerPage {
    /// Who reads it.
    pub reader: Reader,
    /// The app's name.
    pub app_name: String,
    /// Who is signed in and chooses.
    pub person_name: String,
    /// Whether there are so many that one looks for a name.
    pub can_search: bool,
    /// The name that is looked for, or nothing.
    pub name: String,
    /// Whom the person may choose; one page of them.
    pub people: Vec<PatientChoice>,
    /// The bookmark of the next page.
    pub next: Option<String>,
    /// The form token.
    pub csrf: String,
    /// The handle of the waiting authorization request.
    pub request_handle: String,
    /// Where somebody else goes who signs in instead: the waiting request.
    pub return_to: String,
}

/// One patient who can be chosen.
#[derive(Clone, Debug)]
pub struct PatientChoice {
    /// The id of the Patient resource.
    pub id: String,
    /// The name as people say it, where the record has one.
    pub name: Option<String>,
    /// The birth date as the record has it, or nothing.
    pub birth_date: String,
}

impl PatientChoice {
    /// The name, or what is shown instead.
    pub fn shown_name(&self, reader: &Reader) -> String {
        let unnamed = || format!("{} {}", reader.say("Patient", "Paciente"), self.id);
        self.name.clone().unwrap_or_else(unnamed)
    }
}

impl PatientPickerPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
