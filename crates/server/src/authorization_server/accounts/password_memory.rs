//! The memory in which passwords are hashed: 19 MiB for each hash, lent from one to the next as long as people wait.
//!
//! To ask the system for it anew would cost a tenth of the hash. Kept for ever it would be most of what an idle server has: so the last one gives it back.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use portcullis_jose::constant_time;

/// Memory that nobody uses at this moment.
#[derive(Default)]
pub struct HashingMemory {
    idle: Mutex<Vec<Vec<Block>>>,
}

impl HashingMemory {
    /// Whether this is the password of a hash in PHC form; a hash that cannot be read is nobody's. `kept` says afterwards whether somebody else will need the memory.
    pub fn verify(&self, password: &[u8], hash: &str, kept: impl FnOnce() -> bool) -> bool {
        let mut blocks = self.take();
        let matches = matches(password, hash, &mut blocks).unwrap_or(false);
        if kept() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
        } else {
            self.release();
        }
        matches
    }

    fn take(&self) -> Vec<Block> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives back what is not in use.
    fn release(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
        for _ in 0..2 {
            assert!(memory.verify(b"one", &real, || true));
            assert!(!memory.verify(b"two", &real, || true));
            assert!(memory.verify(b"two", &other, || true));
            assert!(
                !memory.verify(b"", "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw", || true),
                "a hash without its end"
            );
        }
    }

    #[test]
    fn memory_is_kept_for_whoever_waits_and_then_given_back() {
        let (memory, hash) = (HashingMemory::default(), hash_now("one", [1; 16]).unwrap());
        let kept = |memory: &HashingMemory| memory.idle.lock().unwrap().iter().map(Vec::len).sum::<usize>();
        assert!(memory.verify(b"one", &hash, || true));
        assert_eq!(kept(&memory), Params::DEFAULT.block_count());
        assert!(memory.verify(b"one", &hash, || false));
        assert_eq!(kept(&memory), 0);
    }
}
