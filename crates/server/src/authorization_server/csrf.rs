//! Form tokens: a form counts only if it was made for the browser that sends it.
//!
//! The token is an HMAC over a value that only this browser holds (the session, or before sign-in a random cookie) and the form's purpose.

use aws_lc_rs::hmac;
use portcullis_jose::base64url;

/// What a form does; a token for one form is no token for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing in.
    Login,
    /// Allowing an app.
    Consent,
    /// Opening a chart, and an app from it.
    Chart,
    /// Breaking the glass, and ending what it opened.
    BreakGlass,
    /// What security officers decide.
    Security,
    /// What a person does on the own page: taking an app's access back, signing out.
    OwnPage,
    /// Registering, changing and removing sandbox clients.
    Developers,
    /// No form: the mark of a browser in which a person has signed in before.
    Device,
    /// No form: the proof that a sign-in was made for this very authorization request.
    SignedIn,
    /// No form: the proof that the right password was given, while the second factor is asked for.
    PasswordPassed,
    /// Giving a second factor in a session.
    StepUp,
    /// Choosing a password by a one-time link.
    SetPassword,
    /// Asking for a new password by mail.
    Forgotten,
    /// No form: the secret of an authenticator app that is being added.
    NewAuthenticator,
    /// No form: a challenge for a passkey, at sign-in.
    PasskeyChallenge,
    /// No form: a challenge for a passkey that is being added.
    NewPasskey,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Consent => "consent",
            Self::Chart => "chart",
            Self::BreakGlass => "break-glass",
            Self::Security => "security",
            Self::OwnPage => "own-page",
            Self::Developers => "developers",
            Self::Device => "device",
            Self::SignedIn => "signed-in",
            Self::PasswordPassed => "password-passed",
            Self::StepUp => "step-up",
            Self::SetPassword => "set-password",
            Self::Forgotten => "forgotten",
            Self::NewAuthenticator => "new-authenticator",
            Self::PasskeyChallenge => "passkey-challenge",
            Self::NewPasskey => "new-passkey",
        }
    }
}

/// Makes and checks form tokens.
pub struct FormTokens(hmac::Key);

impl FormTokens {
    /// With this key, which lives as long as the data directory.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The token of a form for the browser that holds `binding`.
    pub fn token(&self, purpose: Purpose, binding: &str) -> String {
        base64url::encode(hmac::sign(&self.0, &message(purpose, binding)))
    }

    /// A keyed hash of a text, by which it is counted without being stored.
    pub fn fingerprint(&self, kind: &str, text: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.0, format!("fingerprint\0{kind}\0{text}").as_bytes());
        let mut bytes = [0; 32];
        for (byte, tagged) in bytes.iter_mut().zip(tag.as_ref()) {
            *byte = *tagged;
        }
        bytes
    }

    /// Whether the token is that of this form and browser; in constant time.
    pub fn accepts(&self, purpose: Purpose, binding: &str, token: &str) -> bool {
        base64url::decode(token).is_some_and(|tag| hmac::verify(&self.0, &message(purpose, binding), &tag).is_ok())
    }
}

fn message(purpose: Purpose, binding: &str) -> Vec<u8> {
    format!("{}\0{binding}", purpose.name()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_serves_one_form_in_one_browser() {
        let tokens = FormTokens::new(&[1; 32]);
        let token = tokens.token(Purpose::Login, "browser");
        assert!(tokens.accepts(Purpose::Login, "browser", &token));
        assert!(!tokens.accepts(Purpose::Consent, "browser", &token));
        assert!(!tokens.accepts(Purpose::Login, "other", &token));
        assert!(!tokens.accepts(Purpose::Login, "browser", ""));
        assert!(!FormTokens::new(&[2; 32]).accepts(Purpose::Login, "browser", &token));
    }
}
