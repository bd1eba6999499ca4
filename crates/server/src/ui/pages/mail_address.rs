//! The page on which a person says where letters go.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// `/me/mail`
#[derive(Clone, Debug, Template)]
#[template(path = "mail_address.html")]
pub struct MailAddressPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// Where letters go now.
    pub current: Option<String>,
    /// The address that a code went to.
    pub waiting: Option<MailConfirmation>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// An address whose code is asked for.
#[derive(Clone, Debug)]
pub struct MailConfirmation {
    /// The address.
    pub address: String,
    /// When the code was made, in seconds since the epoch.
    pub made_at: String,
}

impl MailAddressPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
