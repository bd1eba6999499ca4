//! Which visit of the patient is the app about to ask for?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The encounter picker: for apps that work on one visit.
#[derive(Clone, Debug, Template)]
#[template(path = "encounter_picker.html")]
pub struct EncounterPickerPage {
    /// Who reads it.
    pub reader: Reader,
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
    pub what: VisitKind,
    /// Why the patient came, or nothing.
    pub why: String,
    /// When it began, as the record has it, or nothing.
    pub when: String,
}

/// What kind of visit one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitKind {
    /// In the record's own words.
    Told(String),
    /// By its class of v3-ActCode (<http://terminology.hl7.org/ValueSet/v3-ActEncounterCode>).
    Class(String),
    /// The record does not say.
    Unknown,
}

impl EncounterChoice {
    /// What kind of visit it is, as people say it. A class that we do not know is shown as it is.
    pub fn what(&self, reader: &Reader) -> String {
        let code = match &self.what {
            VisitKind::Told(words) => return words.clone(),
            VisitKind::Unknown => "",
            VisitKind::Class(code) => code.as_str(),
        };
        let words = match code {
            "" => reader.say("Visit", "Consulta"),
            "AMB" => reader.say("Visit to a clinic", "Consulta en una clínica"),
            "EMER" => reader.say("Emergency visit", "Consulta de emergencia"),
            "IMP" | "ACUTE" | "NONAC" => reader.say("Stay in hospital", "Hospitalización"),
            "OBSENC" | "SS" => reader.say("Short stay", "Hospitalización corta"),
            "HH" => reader.say("Visit at home", "Consulta a domicilio"),
            "VR" => reader.say("Visit by telephone or video", "Consulta por teléfono o video"),
            "FLD" => reader.say("Visit outside a clinic", "Consulta fuera de una clínica"),
            "PRENC" => reader.say("Visit before a stay in hospital", "Consulta antes de una hospitalización"),
            other => other,
        };
        words.to_owned()
    }
}

impl EncounterPickerPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
