//! What a person sees after signing out.

use askama::Template;

use crate::ui::Reader;

/// The page after the sign-out.
#[derive(Clone, Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOutPage {
    /// Who reads it.
    pub reader: Reader,
}

impl SignedOutPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
