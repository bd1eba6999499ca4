//! Mail to people: links for passwords, and word of what happened to an account.
//!
//! A letter is stored in the transaction of what it tells of ([`notices`]) and sent afterwards by one task ([`delivery`]), so that no request waits for a
//! mail server and none fails because of it. It holds no clinical data, one link at most, and nothing that would be fetched when it is opened.
//! Without `[mail]` in the configuration nothing of this happens, and an operator hands links over.

pub mod alerts;
pub mod compose;
pub mod delivery;
pub mod notices;
mod safeguards;
mod words;

use portcullis_outbound::Mailer;

/// How letters leave this server.
#[derive(Debug, Default)]
pub struct Mail {
    mailer: Option<Mailer>,
}

impl Mail {
    /// By this mail server.
    pub fn by(mailer: Mailer) -> Self {
        Self { mailer: Some(mailer) }
    }

    /// Whether they leave at all.
    pub fn is_configured(&self) -> bool {
        self.mailer.is_some()
    }
}
