//! A letter: plain text to one address, as an Internet message (RFC 5322, RFC 2045).
//!
//! Plain text alone: it needs no second rendering that could say something else, and nothing in it can be fetched. No name of a person stands in a
//! header, and an address holds letters, digits and a few marks only, so that nothing that somebody typed can end a header.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};

/// The longest address, in bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const MAXIMUM_ADDRESS: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321 section 4.5.3.1.1).
const MAXIMUM_LOCAL_PART: usize = 64;
/// The longest name of a sender, in characters.
const MAXIMUM_NAME: usize = 100;

/// A mail address: a dot-atom and a host name, in ASCII (RFC 5321 section 4.1.2). Quoted forms, address literals and addresses beyond ASCII are not taken.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MailAddress(String);

impl MailAddress {
    /// Reads an address. Spaces around it belong to whoever typed it, and everything inside is kept as it is.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(' ');
        let (local, domain) = text.rsplit_once('@')?;
        let atom = |part: &str| !part.is_empty() && part.bytes().all(is_atom);
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        let sound = text.len() <= MAXIMUM_ADDRESS
            && local.len() <= MAXIMUM_LOCAL_PART
            && local.split('.').all(atom)
            && domain.split('.').all(label);
        // The library has the last word, so that what is taken here can be sent.
        (sound && text.parse::<lettre::Address>().is_ok()).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host name.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    fn to_library(&self) -> Result<lettre::Address, LetterError> {
        self.0.parse().map_err(|_| LetterError)
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MailAddress(…)")
    }
}

/// RFC 5322 section 3.2.3.
fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Who letters come from: `noreply@hospital.example`, or `General Hospital <noreply@hospital.example>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: MailAddress,
}

impl Sender {
    /// Reads a sender; a name holds no control characters, quotes or brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((name, rest)) = text.split_once('<') else {
            return MailAddress::parse(text).map(|address| Self { name: None, address });
        };
        let name = name.trim();
        let plain = |character: char| !character.is_control() && !['"', '<', '>', '\\'].contains(&character);
        if name.chars().count() > MAXIMUM_NAME || !name.chars().all(plain) {
            return None;
        }
        let address = MailAddress::parse(rest.trim_end().strip_suffix('>')?)?;
        Some(Self { name: Some(name.to_owned()).filter(|name| !name.is_empty()), address })
    }

    /// The address.
    pub fn address(&self) -> &MailAddress {
        &self.address
    }
}

/// The letter cannot be written as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the letter cannot be written as a message")]
pub struct LetterError;

/// A letter. It may hold the secret of a link, so its text is never shown.
#[derive(Clone)]
pub struct Letter {
    /// Names the letter: hexadecimal digits. The same letter sent again has the same Message-ID.
    pub id: String,
    /// To whom.
    pub to: MailAddress,
    /// What it is about.
    pub subject: String,
    /// The text, with lines that end with `\n`.
    pub text: String,
    /// When it was written, in seconds since the epoch.
    pub written_at: u64,
}

impl fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Letter").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Letter {
    /// The message, from this sender.
    pub(crate) fn message(&self, from: &Sender) -> Result<Message, LetterError> {
        if self.subject.chars().any(char::is_control) || !self.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(LetterError);
        }
        Message::builder()
            .from(Mailbox::new(from.name.clone(), from.address.to_library()?))
            .to(Mailbox::new(None, self.to.to_library()?))
            .subject(self.subject.clone())
            .date(UNIX_EPOCH + Duration::from_secs(self.written_at))
            .message_id(Some(format!("<{}@{}>", self.id, from.address.domain())))
            .header(AutoSubmitted)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.text.clone())
            .map_err(|_| LetterError)
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 section 5): nobody's holiday notice answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letter(to: &str, subject: &str, text: &str) -> Letter {
        let to = MailAddress::parse(to).unwrap();
        Letter { id: "0a".into(), to, subject: subject.into(), text: text.into(), written_at: 1_800_000_000 }
    }

    fn written(letter: &Letter, from: &str) -> String {
        String::from_utf8(letter.message(&Sender::parse(from).unwrap()).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_letter_says_that_a_program_wrote_it_and_has_one_identity() {
        let text = written(
            &letter("ann@example.org", "Nueva contraseña", "Hola, ñ\n.\nend\n"),
            "El Hospital <no-reply@hospital.example>",
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: \"El Hospital\" <no-reply@hospital.example>",
            "To: ann@example.org",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "Message-ID: <0a@hospital.example>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(head.lines().any(|found| found.trim_end() == line), "{line}: {head}");
        }
        assert!(head.is_ascii() && head.contains("Subject: Nueva =?utf-8?b?"), "{head}");
        assert!(body.contains("Hola, =C3=B1"), "{body}");
        assert!(!text.contains("List-"));
    }

    #[test]
    fn what_is_no_plain_address_is_not_taken() {
        for text in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@example..org",
            "a b@example.org",
            "ann@example.org\r\nBcc: eve@example.org",
            "ann@example.org\n",
            "\"ann\"@example.org",
            "ann@[127.0.0.1]",
            "ann@exämple.org",
            "änn@example.org",
            "ann@example.org>",
            "<ann@example.org>",
            "ann@example.org, eve@example.org",
            "ann.@example.org",
            "ann\0@example.org",
            "ann@-example.org",
        ] {
            assert!(MailAddress::parse(text).is_none(), "{text:?}");
        }
        for text in ["ann@example.org", "a.b+c@mail.example.org", "o'hara@localhost", " ann@example.org "] {
            assert!(MailAddress::parse(text).is_some(), "{text:?}");
        }
        assert!(MailAddress::parse(&format!("{}@example.org", "a".repeat(65))).is_none());
        for text in
            ["A\r\nBcc: x <a@b.example>", "\"A\" <a@b.example>", "A <a@b.example", "A <a@b.example> x", "A <a b@c.example>"]
        {
            assert!(Sender::parse(text).is_none(), "{text:?}");
        }
        assert!(
            letter("ann@example.org", "a\r\nBcc: x@example.org", "").message(&Sender::parse("a@b.example").unwrap()).is_err()
        );
        assert!(!format!("{:?}", letter("ann@example.org", "s", "secret")).contains("secret"));
    }

    /// The names of the headers of a message.
    fn names(message: &str) -> Vec<String> {
        let head = message.split("\r\n\r\n").next().unwrap_or_default();
        let begins = |line: &&str| !line.starts_with([' ', '\t']);
        head.split("\r\n").filter(begins).map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    /// Texts with whatever ends a line, a header or a message somewhere.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\u{2028}\u{85}".to_owned()),
            Just("\r\nBcc: eve@evil.example\r\n".to_owned()),
            Just("\r\n.\r\n".to_owned()),
            Just("\0".to_owned()),
            "\\PC{0,12}",
            "[a-z@.<>\" ]{0,8}",
        ];
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_somebody_typed_makes_a_header(address in hostile(), name in hostile(), subject in hostile(), text in hostile()) {
            let expected =
                ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"];
            let to = MailAddress::parse(&format!("{address}@example.org")).or_else(|| MailAddress::parse("ann@example.org")).unwrap();
            prop_assert!(!to.as_str().contains(['\r', '\n', '<', '>', ' ', ',', '"']));
            let plain = Sender::parse("noreply@hospital.example").unwrap();
            let from = Sender::parse(&format!("{name}<noreply@hospital.example>")).unwrap_or(plain);
            let letter = Letter { id: "1".into(), to, subject, text, written_at: 0 };
            let Ok(message) = letter.message(&from) else { return Ok(()) };
            let written = String::from_utf8(message.formatted()).unwrap();
            for name in names(&written) {
                prop_assert!(expected.contains(&name.as_str()), "{}: {}", name, written);
            }
            let headers = names(&written).len();
            prop_assert!(headers <= expected.len(), "{}", written);
        }
    }
}
