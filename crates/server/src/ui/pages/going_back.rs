//! The end of an app's request that nobody was asked about: what is wrong, and where the app wants its person to go on.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The page between this server and an app that registered itself.
#[derive(Clone, Debug, Template)]
#[template(path = "going_back.html")]
pub struct GoingBackPage {
    /// Who reads it.
    pub reader: Reader,
    /// What is wrong, as the app's makers need it: in the words of the specifications.
    pub problem: String,
    /// The host of the app, in ASCII.
    pub host: String,
    /// The scheme of an app on the person's device instead.
    pub scheme: Option<String>,
    /// Whether that host has letters that may look like others.
    pub has_lookalike_host: bool,
    /// The address with the error.
    pub location: String,
}

impl GoingBackPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
