//! What a person sees after signing out.

use askama::Template;

/// The page after the sign-out.
#[derive(Clone, Copy, Debug, Default, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOutPage;

impl SignedOutPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
