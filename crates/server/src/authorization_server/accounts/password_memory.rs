//! The memory in which passwords are hashed: 19 MiB for each hash, lent from one to the next until nobody has signed in for a while.
//!
//! To ask the system for it anew costs a quarter of the hash. Kept for ever it would be most of what an idle server has.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use portcullis_jose::constant_time;

/// How long memory is kept that nobody uses.
pub const KEPT: Duration = Duration::from_secs(2);

/// Memory that nobody uses at this moment.
#[derive(Default)]
pub struct HashingMemory {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    blocks: Vec<Vec<Block>>,
    /// How many hashes were computed.
    hashes: u64,
}

/// The memory as one hash left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left(u64);

impl HashingMemory {
    /// Whether this is the password of a hash in PHC form; a hash that cannot be read is nobody's. Whoever asks gives the memory back a while afterwards
    /// with [`Self::release`].
    pub fn verify(&self, password: &[u8], hash: &str) -> (bool, Left) {
        let mut blocks = self.idle().blocks.pop().unwrap_or_default();
        let matches = matches(password, hash, &mut blocks).unwrap_or(false);
        let mut idle = self.idle();
        idle.blocks.push(blocks);
        idle.hashes += 1;
        (matches, Left(idle.hashes))
    }

    /// Gives back what is not in use, unless there were other hashes meanwhile: they will do it.
    pub fn release(&self, left: Left) {
        let mut idle = self.idle();
        if idle.hashes == left.0 {
            idle.blocks = Vec::new();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` where the hash cannot be read or computed.
fn matches(password: &[u8], hash: &str, blocks: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Some(Version::V0x13), |version| Version::try_from(version).ok())?;
    let params = Params::try_from(&hash).ok()?;
    blocks.resize(params.block_count(), Block::new());
    let mut found = vec![0; expected.len()];
    Argon2::new(algorithm, version, params).hash_password_into_with_memory(password, salt, &mut found, blocks).ok()?;
    Some(constant_time::equal(&found, expected))
}

#[cfg(test)]
mod tests {
    use super::super::password::hash_now;
    use super::*;

    #[test]
    fn what_one_hash_leaves_in_the_memory_changes_no_other() {
        let (memory, real, other) =
            (HashingMemory::default(), hash_now("one", [1; 16]).unwrap(), hash_now("two", [2; 16]).unwrap());
        let verify = |password: &str, hash: &str| memory.verify(password.as_bytes(), hash).0;
        for _ in 0..2 {
            assert!(verify("one", &real));
            assert!(!verify("two", &real));
            assert!(verify("two", &other));
            assert!(!verify("", "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw"), "a hash without its end");
        }
    }

    #[test]
    fn memory_is_kept_for_the_next_hash_and_given_back_after_the_last() {
        let (memory, hash) = (HashingMemory::default(), hash_now("one", [1; 16]).unwrap());
        let kept = || memory.idle().blocks.iter().map(Vec::len).sum::<usize>();
        let (_, first) = memory.verify(b"one", &hash);
        assert_eq!(kept(), Params::DEFAULT.block_count());
        let (_, second) = memory.verify(b"one", &hash);
        assert_eq!(kept(), Params::DEFAULT.block_count(), "one after the other need it once");
        memory.release(first);
        assert_eq!(kept(), Params::DEFAULT.block_count(), "somebody signed in since");
        memory.release(second);
        assert_eq!(kept(), 0);
    }
}
