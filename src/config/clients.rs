//! `[clients]`: who may register a client, and how authorization requests must come.

use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy};
use serde::Deserialize;

/// `[clients]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Who may register a client by itself (RFC 7591): `off`, `token` (whoever has an initial access token), `statement` (whoever
    /// has a software statement of a trusted issuer) or `open`.
    pub registration: Registration,
    /// The most clients that may register themselves within an hour.
    pub registrations_per_hour: u32,
    /// Whether every authorization request must be pushed (RFC 9126).
    pub require_pushed_authorization_requests: bool,
}

/// Who may register a client by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// Nobody.
    #[default]
    Off,
    /// Whoever has an initial access token (`portcullis clients token add`).
    Token,
    /// Whoever has a software statement of one of `[[software_statements]]`.
    Statement,
    /// Anybody.
    Open,
}

impl Default for Clients {
    fn default() -> Self {
        Self { registration: Registration::Off, registrations_per_hour: 20, require_pushed_authorization_requests: false }
    }
}

impl Clients {
    /// The settings.
    pub fn settings(self) -> AuthorizationSettings {
        AuthorizationSettings {
            require_pushed_authorization_requests: self.require_pushed_authorization_requests,
            registration: match self.registration {
                Registration::Off => RegistrationPolicy::Off,
                Registration::Token => RegistrationPolicy::Token,
                Registration::Statement => RegistrationPolicy::Statement,
                Registration::Open => RegistrationPolicy::Open,
            },
            registrations_per_hour: self.registrations_per_hour,
            client_authorities: None,
            statement_issuers: Vec::new(),
            assurance: Default::default(),
            developers: None,
            capabilities: Default::default(),
            two_people: Default::default(),
            break_glass: Default::default(),
            labels: Default::default(),
            implicit_consent: Default::default(),
            acceptance: Default::default(),
            denials: Default::default(),
            membership: Default::default(),
            trusted_proxies: Default::default(),
            access: Default::default(),
        }
    }

    /// What weakens the rules, in words.
    pub fn risks(self) -> Option<&'static str> {
        (self.registration == Registration::Open).then_some("clients.registration: anybody may register a client")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_registers_unless_the_file_says_so() {
        let read = |text: &str| toml::from_str::<Clients>(text);
        assert_eq!(read("").unwrap().settings().registration, RegistrationPolicy::Off);
        assert_eq!(read("registration = 'token'").unwrap().settings().registration, RegistrationPolicy::Token);
        assert!(read("registration = 'open'").unwrap().risks().is_some() && read("").unwrap().risks().is_none());
        for wrong in ["registration = 'on'", "registration = true", "registrations_per_hour = -1", "other = 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
