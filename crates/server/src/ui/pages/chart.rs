//! `/ehr`: whose chart do you open, and which app from there?

use askama::Template;

use super::{EncounterChoice, PatientChoice};
use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The clinician's list of patients.
#[derive(Clone, Debug, Template)]
#[template(path = "chart_list.html")]
pub struct ChartListPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// Whether the person may open records in an emergency.
    pub may_break_glass: bool,
    /// Whether there are so many that one looks for a name.
    pub can_search: bool,
    /// The name that is looked for, or nothing.
    pub name: String,
    /// The patients; one page of them.
    pub people: Vec<PatientChoice>,
    /// The bookmark of the next page.
    pub next: Option<String>,
    /// The form token.
    pub csrf: String,
    /// The token of the form that signs out.
    pub sign_out_csrf: String,
}

/// One patient's chart, with the apps that can be opened from it.
#[derive(Clone, Debug, Template)]
#[template(path = "chart.html")]
pub struct ChartPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// Whose chart it is.
    pub patient: PatientChoice,
    /// The latest visits, newest first.
    pub encounters: Vec<EncounterChoice>,
    /// The apps.
    pub apps: Vec<LaunchableApp>,
    /// The form token.
    pub csrf: String,
    /// The token of the form that signs out.
    pub sign_out_csrf: String,
}

/// An app that can be opened from a chart.
#[derive(Clone, Debug)]
pub struct LaunchableApp {
    /// What its button sends.
    pub value: String,
    /// Its name.
    pub name: String,
    /// The host that it is at.
    pub host: String,
}

impl ChartListPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl ChartPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
