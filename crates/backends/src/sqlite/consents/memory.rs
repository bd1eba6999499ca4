//! What Consents say that were opened and read before: to read one takes longer than everything else of a decision about it.
//!
//! A version never changes. What is remembered of one is found only by a row that has all columns, the key, the nonce and the tag of the one that was opened; so
//! nothing has to be forgotten when Consents change, and who changes a row in the file is not believed.

use std::fmt;
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
pub struct Memory(Mutex<Known>);

impl Default for Memory {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(CONSENTS)))
    }
}

impl fmt::Debug for Memory {
    /// Says nothing of anybody's consents.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Memory")
    }
}

impl Memory {
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
        if let Some(read) = self.0.lock().unwrap_or_else(PoisonError::into_inner).find(&key) {
            return Ok(standing(read));
        }
        let (_, version) = row.open(opener)?;
        let read = load::compiled(&version, context, Standing::Unverified);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, read.clone());
        Ok(standing(read))
    }
}
