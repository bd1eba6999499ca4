//! `/docs`: four tasks, each with the commands that do it.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The short guide inside the server.
#[derive(Clone, Debug, Template)]
#[template(path = "docs.html")]
pub struct DocsPage {
    /// Who reads it.
    pub reader: Reader,
    /// The FHIR base URL, without a slash at the end.
    pub fhir_base: String,
    /// The issuer, without a slash at the end.
    pub issuer: String,
    /// Whether this is the demo.
    pub is_demo: bool,
    /// Where the demo app is.
    pub app_url: Option<String>,
}

impl DocsPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
