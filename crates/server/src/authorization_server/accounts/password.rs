//! Passwords: Argon2id off the async threads, a bounded number at a time (RFC 9106; OWASP parameters 19 MiB, 2 passes, 1 lane).
//!
//! A hash takes a core for longer than some hundred reads. So its thread has a lower priority than those that answer: where people sign in
//! all at once, they wait for each other, and an app that reads meanwhile waits for nobody.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use portcullis_jose::Secret;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, Semaphore, oneshot};

use super::breached::BreachedPasswords;
use super::password_memory::{HashingMemory, KEPT};
use crate::ui::Language;

/// The most hashes that may run at once: each takes 19 MiB and a core for some 26 ms.
const MOST_CONCURRENT: usize = 4;
/// Requests that may wait for one; more are refused instead of queued.
const WAITING: usize = 64;
/// The nice value of a thread that hashes (setpriority(2)): under full load it has about a third of what a thread that answers has.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 5;
/// What is checked where there is no such user, so that both take the same time. No password is known to have this hash.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The longest password that is hashed, in bytes.
pub const MAXIMUM_LENGTH: usize = 1024;
/// The shortest password that is accepted, in characters.
pub const MINIMUM_CHARACTERS: usize = 12;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProblem {
    /// Too short.
    TooShort,
    /// Too long.
    TooLong,
    /// On the list of those that attackers know.
    Known,
    /// The form is too old or another browser's.
    ExpiredForm,
}

impl PasswordProblem {
    /// It in words, for whoever chose the password.
    pub fn said(self, language: Language) -> String {
        match (self, language) {
            (Self::TooShort, Language::English) => format!(
                "This password is too short. Use at least {MINIMUM_CHARACTERS} characters. A few words in a row are easy to keep in mind."
            ),
            (Self::TooShort, Language::Spanish) => format!(
                "Esta contraseña es muy corta. Use al menos {MINIMUM_CHARACTERS} caracteres. Varias palabras seguidas son fáciles de recordar."
            ),
            (Self::TooLong, Language::English) => format!("This password is too long. Use at most {MAXIMUM_LENGTH} characters."),
            (Self::TooLong, Language::Spanish) => {
                format!("Esta contraseña es muy larga. Use {MAXIMUM_LENGTH} caracteres como máximo.")
            }
            (Self::Known, language) => language
                .say(
                    "This password is on a list that attackers use. Choose another one.",
                    "Esta contraseña está en una lista que usan los atacantes. Elija otra.",
                )
                .to_owned(),
            (Self::ExpiredForm, language) => language
                .say(
                    "This page was open for too long. Nothing was changed. Type your new password once more.",
                    "Esta página estuvo abierta demasiado tiempo. No se cambió nada. Escriba su contraseña nueva otra vez.",
                )
                .to_owned(),
        }
    }
}

/// A password's hash, or why there is none.
#[derive(Debug)]
pub enum Usable {
    /// In PHC form.
    Hash(Secret<String>),
    /// It is not taken.
    Not(PasswordProblem),
}

/// Too many people sign in at this moment, or hashing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("passwords cannot be checked at this moment")]
pub struct Busy;

/// Locks over which names are spread, so that attempts on one name come one after the other.
const STRIPES: usize = 64;

/// The password hasher.
pub struct Passwords {
    stripes: Vec<Mutex<()>>,
    spread: RandomState,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    memory: Arc<HashingMemory>,
    breached: Option<Arc<BreachedPasswords>>,
}

impl Default for Passwords {
    fn default() -> Self {
        let stripes = std::iter::repeat_with(Mutex::default).take(STRIPES).collect();
        Self {
            stripes,
            spread: RandomState::new(),
            running: Arc::new(Semaphore::new(concurrent())),
            waiting: Arc::new(Semaphore::new(WAITING)),
            memory: Arc::default(),
            breached: None,
        }
    }
}

impl Passwords {
    /// The turn of an attempt on this name. While it is held no other attempt on the name is judged, so that each sees the failures of those before.
    pub async fn turn(&self, username: &str) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.spread.hash_one(username.to_lowercase()) % u64::try_from(STRIPES).ok()?;
        Some(self.stripes.get(usize::try_from(stripe).ok()?)?.lock().await)
    }

    /// The same with a list of passwords that are not taken.
    #[must_use]
    pub fn refusing(self, breached: Option<BreachedPasswords>) -> Self {
        Self { breached: breached.map(Arc::new), ..self }
    }

    /// Judges a password that somebody chose, and hashes it where it can be used.
    pub async fn hash_if_usable(&self, password: Secret<String>, salt: [u8; 16]) -> Result<Usable, Busy> {
        if password.expose().chars().count() < MINIMUM_CHARACTERS {
            return Ok(Usable::Not(PasswordProblem::TooShort));
        }
        if password.expose().len() > MAXIMUM_LENGTH {
            return Ok(Usable::Not(PasswordProblem::TooLong));
        }
        let _waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        let breached = self.breached.clone();
        let work = move || {
            let _running = running;
            // A list that cannot be read refuses: otherwise nobody would notice that it does not protect any more.
            if let Some(list) = breached
                && list.contains(password.expose()).map_err(|error| {
                    tracing::error!(%error, "the list of breached passwords cannot be read");
                    Busy
                })?
            {
                return Ok(Usable::Not(PasswordProblem::Known));
            }
            hash_now(password.expose(), salt).map(|hash| Usable::Hash(Secret::new(hash)))
        };
        behind(work).await?
    }

    /// Whether this is the user's password; without a user the same work is done and the answer is no.
    pub async fn verify(&self, password: Secret<String>, hash: Option<Secret<String>>) -> Result<bool, Busy> {
        let _waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        let (memory, runtime) = (Arc::clone(&self.memory), Handle::current());
        let check = move || {
            let _running = running;
            let known = hash.is_some();
            let stored = hash.as_ref().map_or(DECOY, |hash| hash.expose().as_str());
            let (matches, left) = memory.verify(password.expose().as_bytes(), stored);
            // Here and not where the answer is waited for: a caller that goes away leaves the memory, too.
            runtime.spawn(async move {
                tokio::time::sleep(KEPT).await;
                memory.release(left);
            });
            matches && known
        };
        behind(check).await
    }
}

/// Hashes that may run at once here. One core is left for whoever only wants an answer: a thread that wakes up waits for milliseconds where every
/// core hashes, whatever its priority. Two hashes on one core would only take each other's cache.
fn concurrent() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(1).clamp(1, MOST_CONCURRENT)
}

/// Does the work on a thread of its own, behind whoever waits for an answer; a caller that goes away does not stop it.
async fn behind<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        // Elsewhere this would be the priority of the whole process.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
            tracing::debug!(%error, "a password is hashed with the priority of requests");
        }
        drop(sender.send(work()));
    };
    std::thread::Builder::new().name("password-hash".to_owned()).spawn(run).map_err(|_| Busy)?;
    receiver.await.map_err(|_| Busy)
}

fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Hashes a password in PHC form, at once, on the calling thread.
pub fn hash_now(password: &str, salt: [u8; 16]) -> Result<String, Busy> {
    let hash = argon2id().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| Busy)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoy_costs_what_a_real_hash_costs() {
        let real = hash_now("x", [7; 16]).unwrap();
        let cost = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(DECOY), cost(&real));
        assert_eq!(DECOY.len(), real.len());
    }

    #[tokio::test]
    async fn only_the_right_password_of_an_existing_user_is_accepted() {
        let passwords = Passwords::default();
        let hash = || Some(Secret::new(hash_now("correct horse", [1; 16]).unwrap()));
        let secret = |text: &str| Secret::new(text.to_owned());
        assert_eq!(passwords.verify(secret("correct horse"), hash()).await, Ok(true));
        assert_eq!(passwords.verify(secret("wrong"), hash()).await, Ok(false));
        assert_eq!(passwords.verify(secret("no user has this password"), None).await, Ok(false));
        assert_eq!(passwords.verify(secret("x"), Some(secret("not a hash"))).await, Ok(false));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashes_stand_behind_the_threads_that_answer() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        assert_eq!(behind(priority).await, Ok(PRIORITY));
        assert!(priority() < PRIORITY, "a thread that answers keeps its own");
        let panicked = behind(move || {
            if priority() > 0 {
                panic!("a bug")
            }
        })
        .await;
        assert_eq!(panicked, Err(Busy));
    }
}
