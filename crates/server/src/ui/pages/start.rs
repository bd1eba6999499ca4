//! `/`: what runs here, and where to go from here.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The start page.
#[derive(Clone, Debug, Template)]
#[template(path = "start.html")]
pub struct StartPage {
    /// Who reads it.
    pub reader: Reader,
    /// The version of Portcullis.
    pub version: String,
    /// The FHIR base URL, without a slash at the end.
    pub fhir_base: String,
    /// Whether this is the demo, with made-up patients.
    pub is_demo: bool,
    /// Where the demo app is.
    pub app_url: Option<String>,
    /// The names to sign in with, shown in the demo only.
    pub sign_in_names: Vec<SignInName>,
}

/// One name to sign in with, in the demo.
#[derive(Clone, Debug)]
pub struct SignInName {
    /// What to type.
    pub username: String,
    /// Who that is, in words: "a patient, Maria Lopez".
    pub what: String,
}

impl StartPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
