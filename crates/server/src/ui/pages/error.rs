//! What happened, what it means, what to do: without blame, and without a code alone.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page of everything that went wrong and cannot be said to the app.
#[derive(Clone, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Who reads it.
    pub reader: Reader,
    /// The heading: "This link was used already".
    pub title: String,
    /// What happened, as a sentence.
    pub what_happened: String,
    /// What it means for the person.
    pub what_it_means: String,
    /// What to do now.
    pub what_to_do: String,
    /// The HTTP status, shown in small so that it can be told to the operator.
    pub status: u16,
}

impl ErrorPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
