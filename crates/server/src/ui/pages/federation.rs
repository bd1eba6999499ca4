//! `/me/federation`: with which accounts elsewhere can I sign in here?

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// A way to another provider.
#[derive(Clone, Debug)]
pub struct ProviderButton {
    /// The provider's name.
    pub name: String,
    /// A path of this server.
    pub href: String,
}

/// An account elsewhere that is linked.
#[derive(Clone, Debug)]
pub struct LinkedAccount {
    /// The provider's name, or its issuer where it is not configured any more.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// What the account is called there.
    pub subject: String,
    /// Since when: "12 March 2026 at 14:05 UTC".
    pub since: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "federation.html")]
pub struct FederationPage {
    /// Who reads it.
    pub reader: Reader,
    /// The linked accounts, the oldest first.
    pub linked: Vec<LinkedAccount>,
    /// Where another one can be linked.
    pub providers: Vec<ProviderButton>,
    /// The form token.
    pub csrf: String,
}

impl FederationPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
