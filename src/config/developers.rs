//! `[developers]`: the page on which people who build apps register sandbox clients.

use portcullis_server::context::DeveloperSettings;
use serde::Deserialize;

/// `[developers]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Developers {
    /// Whether people with the role `developer` may register sandbox clients.
    pub sandbox: bool,
    /// The most sandbox clients that one of them may own.
    pub clients_per_person: u32,
    /// Whether anybody may connect such a client, instead of developers alone: for servers whose records are all made up.
    pub anybody_may_connect: bool,
}

impl Default for Developers {
    fn default() -> Self {
        Self { sandbox: false, clients_per_person: 5, anybody_may_connect: false }
    }
}

impl Developers {
    /// The settings; `None` where the page is off.
    pub fn settings(self) -> Option<DeveloperSettings> {
        let Self { sandbox, clients_per_person, anybody_may_connect } = self;
        sandbox.then_some(DeveloperSettings { clients_per_person, anybody_may_connect })
    }

    /// As a demo has it, whose records are all made up.
    pub fn of_demo() -> Option<DeveloperSettings> {
        Self { sandbox: true, anybody_may_connect: true, ..Self::default() }.settings()
    }

    /// What weakens the rules, in words.
    pub fn risks(self) -> impl Iterator<Item = &'static str> {
        let registers = self.sandbox.then_some("developers.sandbox: people with the role developer may register clients");
        let connects = (self.sandbox && self.anybody_may_connect)
            .then_some("developers.anybody_may_connect: patients may be asked by clients that nobody has checked");
        [registers, connects].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_off_unless_the_file_says_so_and_is_a_risk_then() {
        let read = |text: &str| toml::from_str::<Developers>(text);
        let off = read("anybody_may_connect = true").unwrap();
        assert!(off.settings().is_none() && off.risks().next().is_none());
        let on = read("sandbox = true").unwrap();
        assert_eq!(on.settings(), Some(DeveloperSettings { clients_per_person: 5, anybody_may_connect: false }));
        assert_eq!(on.risks().count(), 1);
        assert_eq!(read("sandbox = true\nanybody_may_connect = true").unwrap().risks().count(), 2);
        for wrong in ["sandbox = 'yes'", "clients_per_person = -1", "other = 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
