//! `[mail]`: the server by which letters go to people.

use std::path::{Path, PathBuf};

use portcullis_outbound::{MailSecurity, MailServer, Mailer, Sender, Trust};
use portcullis_server::mail::Mail;
use serde::Deserialize;

use crate::failure::{Failure, OrFail, Outcome, causes};

/// The longest password, in bytes.
const MAXIMUM_PASSWORD: u64 = 4096;

/// `[mail]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// The SMTP server's host.
    pub server: String,
    /// Its port; without, 587 for `starttls`, 465 for `tls` and 25 for `none`.
    pub port: Option<u16>,
    /// How it is spoken to.
    #[serde(default)]
    pub security: Security,
    /// This server's name there.
    pub username: Option<String>,
    /// The file with its password there.
    pub password_file: Option<PathBuf>,
    /// Who letters come from: `noreply@hospital.example`, or `General Hospital <noreply@hospital.example>`.
    pub from: String,
    /// Certification authorities that are trusted for it beside those of the web, PEM.
    pub ca_file: Option<PathBuf>,
}

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// TLS after STARTTLS, never without.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// No TLS: for a server on this machine alone.
    None,
}

impl MailSettings {
    /// Takes relative paths as relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        for file in [&mut self.password_file, &mut self.ca_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }

    /// The key and the problem, where one is wrong.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.server.is_empty() || self.server.contains(['/', ' ', '@']) || self.port == Some(0) {
            return Err((
                "mail.server",
                "must be the host of an SMTP server, for example smtp.example.org, and mail.port its port",
            ));
        }
        if self.security == Security::None && !MailServer::is_loopback(&self.server) {
            return Err((
                "mail.security",
                "must be \"starttls\" or \"tls\": without TLS only localhost, 127.0.0.1 or ::1 is written to",
            ));
        }
        if Sender::parse(&self.from).is_none() {
            return Err(("mail.from", "must be a mail address, or a name and a mail address in angle brackets"));
        }
        if self.username.is_some() != self.password_file.is_some() {
            return Err(("mail.username", "and mail.password_file must be given together"));
        }
        Ok(())
    }

    /// The way for letters, with the password.
    pub fn load(&self) -> Outcome<Mail> {
        let (security, port) = match self.security {
            Security::Starttls => (MailSecurity::StartTls, 587),
            Security::Tls => (MailSecurity::Tls, 465),
            Security::None => (MailSecurity::NoneOnLoopback, 25),
        };
        let from = Sender::parse(&self.from).ok_or_else(|| Failure::usage("mail.from: is no mail address"))?;
        let credentials = match (&self.username, &self.password_file) {
            (Some(name), Some(path)) => Some((name.clone(), password(path)?)),
            _ => None,
        };
        let web = Trust::of_the_web();
        let trust = match &self.ca_file {
            Some(path) => web.with_file(path),
            None => Ok(web),
        };
        let server = MailServer { host: self.server.clone(), port: self.port.unwrap_or(port), security, credentials, from };
        let mailer = trust.and_then(|trust| Mailer::new(server, trust));
        mailer.map(Mail::by).map_err(|error| Failure::usage(format!("mail.ca_file: {}", causes(&error))))
    }
}

/// The first line of a file.
fn password(path: &Path) -> Outcome<String> {
    let what = format!("mail.password_file: {} cannot be read", path.display());
    let size = std::fs::metadata(path).or_fail(&what)?.len();
    let text = if size <= MAXIMUM_PASSWORD { std::fs::read_to_string(path).or_fail(&what)? } else { String::new() };
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(Failure::usage(format!("mail.password_file: {} holds no password", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "server = 'smtp.example.org'\nfrom = 'General <noreply@example.org>'\n";

    fn problem(text: &str) -> Option<&'static str> {
        toml::from_str::<MailSettings>(text).unwrap().check().err().map(|(key, _)| key)
    }

    #[test]
    fn without_tls_only_this_machine_is_written_to() {
        assert_eq!(problem(GOOD), None);
        for host in ["smtp.example.org", "10.0.0.1", "192.0.2.1", "localhost.example.org", "128.0.0.1", "::2"] {
            let text = GOOD.replace("smtp.example.org", host);
            assert_eq!(problem(&format!("{text}security = 'none'")), Some("mail.security"), "{host}");
            assert_eq!(problem(&text), None);
        }
        for host in ["localhost", "127.0.0.1", "127.0.0.2", "::1"] {
            assert_eq!(problem(&format!("{}security = 'none'", GOOD.replace("smtp.example.org", host))), None, "{host}");
        }
        assert!(toml::from_str::<MailSettings>(&format!("{GOOD}security = 'optional'")).is_err());
        assert!(toml::from_str::<MailSettings>(&format!("{GOOD}password = 'x'")).is_err());
    }

    #[test]
    fn each_mistake_is_named_by_its_key() {
        assert_eq!(problem(&GOOD.replace("smtp.example.org", "https://smtp.example.org")), Some("mail.server"));
        assert_eq!(problem(&GOOD.replace("noreply@example.org", "noreply")), Some("mail.from"));
        assert_eq!(problem(&format!("{GOOD}username = 'x'")), Some("mail.username"));
        assert_eq!(problem(&format!("{GOOD}password_file = 'x'")), Some("mail.username"));
        assert_eq!(problem(&format!("{GOOD}port = 0")), Some("mail.server"));
    }
}
