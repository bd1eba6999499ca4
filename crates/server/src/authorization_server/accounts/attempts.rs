//! Which counters an attempt to sign in counts for, and how long it must wait.
//!
//! The rules are in [`portcullis_oauth::lockout`]. A browser in which the user has signed in before shows the cookie that it got then (OWASP device
//! cookies): it has a counter of its own, and the guesses of strangers do not count against it. All others are counted by name, by address and by
//! both, whether there is such a name or not. What is stored are keyed hashes.

use portcullis_oauth::lockout::{AttemptCounter, AttemptKey};
use portcullis_oauth::users::User;
use portcullis_store::RegistryError;

use crate::authorization_server::session;
use crate::context::Server;
use crate::peer_address::{or_peer, place};
use crate::resource_server::Exchange;

/// The counters of one attempt.
pub struct Attempts {
    counters: Vec<(AttemptCounter, AttemptKey)>,
}

impl Attempts {
    /// The counters of an attempt on this name, which is the user's if there is one.
    pub fn of(server: &Server, exchange: &Exchange, username: &str, user: Option<&User>) -> Self {
        let now = server.clock.now_seconds();
        let key = |kind: &str, text: &str| AttemptKey::from_bytes(server.form_tokens.fingerprint(kind, text));
        if let Some((user, device)) = user.and_then(|user| Some((user, session::device(server, exchange, &user.id, now)?))) {
            let key = key("attempt-device", &format!("{}\0{device}", user.id.as_str()));
            return Self { counters: vec![(AttemptCounter::Device, key)] };
        }
        let name = username.to_lowercase();
        let address = place(or_peer(exchange));
        Self {
            counters: vec![
                (AttemptCounter::NameAndAddress, key("attempt-name-address", &format!("{address}\0{name}"))),
                (AttemptCounter::Name, key("attempt-name", &name)),
                (AttemptCounter::Address, key("attempt-address", &address)),
            ],
        }
    }

    /// The counters of a request for a new password. They are others than those of passwords: whoever asks for somebody keeps nobody from signing in.
    pub fn at_new_password(server: &Server, exchange: &Exchange, typed: &str) -> Self {
        let key = |kind: &str, text: &str| AttemptKey::from_bytes(server.form_tokens.fingerprint(kind, text));
        let (name, address) = (typed.to_lowercase(), place(or_peer(exchange)));
        Self {
            counters: vec![
                (AttemptCounter::NameAndAddress, key("new-password-name-address", &format!("{address}\0{name}"))),
                (AttemptCounter::Name, key("new-password-name", &name)),
                (AttemptCounter::Address, key("new-password-address", &address)),
            ],
        }
    }

    /// How long no password is tried, in seconds; `None` where one is.
    pub async fn wait_seconds(&self, server: &Server) -> Result<Option<i64>, RegistryError> {
        let now = server.clock.now_seconds();
        let keys: Vec<AttemptKey> = self.counters.iter().map(|(_, key)| *key).collect();
        let lockouts = server.registry.lockouts(&keys).await?;
        Ok(lockouts.into_iter().filter_map(|lockout| lockout.wait_seconds(now)).max())
    }

    /// What counts a failure.
    pub fn counters(self) -> Vec<(AttemptCounter, AttemptKey)> {
        self.counters
    }

    /// What begins anew after the right password. The address does not: whoever guesses could sign in with a name of their own in between.
    pub fn forgotten(&self) -> Vec<AttemptKey> {
        let personal = self.counters.iter().filter(|(counter, _)| *counter != AttemptCounter::Address);
        personal.map(|(_, key)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_is_one_address_however_many_it_has() {
        let counted = |text: &str| place(text.parse().unwrap());
        assert_eq!(counted("2001:db8:1:2::1"), counted("2001:db8:1:2:ffff::9"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
