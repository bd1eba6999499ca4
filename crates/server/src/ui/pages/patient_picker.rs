//! Which patient's record is the app about to ask for?

use askama::Template;

/// The patient picker: for representatives and clinicians who may see more than one record.
#[derive(Clone, Debug, Template)]
#[template(path = "patient_picker.html")]
pub struct PatientPickerPage {
    /// The app's name.
    pub app_name: String,
    /// Whom the person may choose.
    pub people: Vec<PatientChoice>,
    /// The form token.
    pub csrf: String,
    /// The handle of the waiting authorization request.
    pub request_handle: String,
}

/// One patient who can be chosen.
#[derive(Clone, Debug)]
pub struct PatientChoice {
    /// The id of the Patient resource.
    pub id: String,
    /// The name as people say it.
    pub name: String,
    /// The birth date as people write it.
    pub birth_date: String,
}

impl PatientPickerPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
