//! The pages on which a person changes how they sign in.

use askama::Template;

use crate::ui::Language::{English, Spanish};
use crate::ui::Reader;

/// The hidden form by which a passkey signs in; the script shows it where the browser knows passkeys.
#[derive(Clone, Debug)]
pub struct PasskeyForm {
    /// The form token.
    pub csrf: String,
    /// What the device signs, base64url.
    pub challenge: String,
    /// This server's host.
    pub relying_party: String,
    /// Where to go afterwards.
    pub return_to: String,
}

/// A picture for the camera of a phone.
#[derive(Clone, Debug)]
pub struct QrPicture {
    /// Its width in modules.
    pub width: usize,
    /// Its dark modules, as a path of an SVG.
    pub path: String,
}

/// `/me/authenticator`
#[derive(Clone, Debug, Template)]
#[template(path = "authenticator.html")]
pub struct AuthenticatorPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// The secret as the form sends it.
    pub secret: String,
    /// The secret as a person types it.
    pub spaced_secret: String,
    /// The proof that the secret was made here.
    pub proof: String,
    /// The secret as a picture.
    pub picture: Option<QrPicture>,
    /// What the picture says, as a link that opens an authenticator app on the same phone.
    pub uri: String,
    /// Whether there is an app already, which this one replaces.
    pub replaces: bool,
    /// Whether the code was wrong.
    pub is_wrong: bool,
}

/// Recovery codes, shown once.
#[derive(Clone, Debug, Template)]
#[template(path = "recovery_codes.html")]
pub struct RecoveryCodesPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The codes.
    pub codes: Vec<String>,
}

/// `/me/passkey`
#[derive(Clone, Debug, Template)]
#[template(path = "new_passkey.html")]
pub struct NewPasskeyPage {
    /// Who reads it.
    pub reader: Reader,
    /// Who is signed in.
    pub person_name: String,
    /// The form token of the sign-out.
    pub sign_out_csrf: String,
    /// The form token.
    pub csrf: String,
    /// What the device answers, base64url.
    pub challenge: String,
    /// This server's host.
    pub relying_party: String,
    /// By what the device knows the person, base64url.
    pub user_handle: String,
    /// The name to sign in with.
    pub username: String,
    /// The ids of the passkeys that there are, separated by spaces.
    pub known: String,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// `/set-password` and `/me/password`
#[derive(Clone, Debug, Template)]
#[template(path = "new_password.html")]
pub struct NewPasswordPage {
    /// Who reads it.
    pub reader: Reader,
    /// The name to sign in with.
    pub username: String,
    /// The form token.
    pub csrf: String,
    /// The secret of the link; none on the own page.
    pub link: Option<String>,
    /// The form token of the sign-out, on the own page.
    pub sign_out_csrf: Option<String>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

impl AuthenticatorPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl RecoveryCodesPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl NewPasskeyPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}

impl NewPasswordPage {
    /// The page as HTML.
    pub fn render(&self) -> String {
        super::html(self)
    }
}
