//! What Consents say that were opened and read before: to read one takes longer than everything else of a decision about it.
//!
//! A version never changes. What is remembered of one is found only by a row that has all columns, the key, the nonce and the tag of the one that was opened; so
//! nothing has to be forgotten when Consents change, and who changes a row in the file is not believed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use portcullis_policy::rules::consent::{CompiledConsent, Context, Standing};
use portcullis_store::StoreError;

use super::super::generations::Generations;
use super::super::read::{Mark, SealedRow};
use super::super::seal::Opener;
use super::load;

/// Consents of each generation.
const CONSENTS: usize = 1024;
/// Bodies with more bytes than this are read again whenever they count: what is remembered stays bounded.
const LONGEST_BODY: i64 = 16 * 1024;

/// What was read, by the row and the server's address.
type Known = Generations<(Mark, Box<str>), Option<CompiledConsent>>;

/// The Consents that were read last.
pub struct Memory {
    known: Mutex<Known>,
    /// How often a version turned out not to be readable whose rows did not say so.
    noticed: AtomicU64,
    /// Those versions, until their rows say so.
    unreadable: Mutex<BTreeSet<(i64, String)>>,
}

impl Default for Memory {
    fn default() -> Self {
        let known = Mutex::new(Generations::new(CONSENTS));
        Self { known, noticed: AtomicU64::new(0), unreadable: Mutex::default() }
    }
}

impl fmt::Debug for Memory {
    /// Says nothing of anybody's consents.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Memory")
    }
}

impl Memory {
    /// A version of a Consent (its locator and its version) cannot be read, and its rows do not say so.
    pub fn notice(&self, version: (i64, String)) {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(version);
        self.noticed.fetch_add(1, Ordering::AcqRel);
    }

    /// Grows with each one that is noticed.
    pub fn noticed(&self) -> u64 {
        self.noticed.load(Ordering::Acquire)
    }

    /// Takes those that were noticed.
    pub fn take_unreadable(&self) -> BTreeSet<(i64, String)> {
        std::mem::take(&mut *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a stored version of a Consent says where it counts.
    pub fn compiled(
        &self,
        row: SealedRow,
        opener: &mut Opener<'_>,
        (context, standing): (&Context<'_>, Standing),
    ) -> Result<Option<CompiledConsent>, StoreError> {
        let standing = |read: Option<CompiledConsent>| read.map(|consent| consent.standing_as(standing));
        if row.length() > LONGEST_BODY {
            let (_, version) = row.open(opener)?;
            return Ok(standing(load::compiled(&version, context, Standing::Unverified)));
        }
        let key = (row.mark(), Box::from(context.base_url));
        if let Some(read) = self.known.lock().unwrap_or_else(PoisonError::into_inner).find(&key) {
            return Ok(standing(read));
        }
        let (_, version) = row.open(opener)?;
        let read = load::compiled(&version, context, Standing::Unverified);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, read.clone());
        Ok(standing(read))
    }
}
