//! Page bookmarks: the place after which the next page begins, sealed so that it says nothing and fits nowhere else.
//!
//! AES-256-GCM (NIST SP 800-38D) under a key derived from the root key; the authenticated data are the principal's binding and what the query means. A
//! bookmark is a place in an order and never a permit: the constraint is applied again on every page. A bookmark that was changed, or was
//! given to another principal or query, is [`StoreError::InvalidCursor`].

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, NONCE_LEN, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_fhir::search::SearchQuery;
use portcullis_mutants::off;
use portcullis_store::StoreError;
use rusqlite::types::Value;

use super::seal::Seal;

/// The format of what is sealed.
const FORMAT: u8 = 1;
/// The most values of a position.
const MAXIMUM_VALUES: usize = SearchQuery::MAXIMUM_SORT_KEYS + 2;

/// The place of one row in an order: the values by which the order sorts, most significant first.
pub type Position = Vec<Value>;

/// Seals and opens the bookmarks of one principal in one query.
pub struct Bookmarks<'a> {
    seal: &'a Seal,
    purpose: &'static str,
    context: Vec<u8>,
}

impl<'a> Bookmarks<'a> {
    /// Bookmarks for the principal named by `binding` in the query with these canonical bytes. `purpose` keeps the bookmarks of different
    /// stores and interactions apart.
    pub fn new(seal: &'a Seal, purpose: &'static str, binding: &[u8], query: &[u8]) -> Self {
        let mut context = Vec::with_capacity(binding.len() + query.len() + 16);
        for (part, off) in [(binding, off!("cursor-principal")), (query, off!("cursor-query"))] {
            let part = if off { &[][..] } else { part };
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part);
        }
        Self { seal, purpose, context }
    }

    /// The bookmark of a position.
    pub fn seal(&self, position: &[Value]) -> Result<String, StoreError> {
        let mut text = encode(position);
        let failed = || StoreError::Unavailable("the bookmark cannot be sealed".into());
        let nonce = self.key()?.seal_in_place_append_tag(Aad::from(&self.context), &mut text).map_err(|_| failed())?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        let bookmark = URL_SAFE_NO_PAD.encode(sealed);
        // What cannot come back is no bookmark.
        if bookmark.len() > SearchQuery::MAXIMUM_CURSOR_LENGTH { Err(failed()) } else { Ok(bookmark) }
    }

    /// The position of a bookmark that was made for the same principal and query.
    pub fn open(&self, bookmark: &str) -> Result<Position, StoreError> {
        if bookmark.len() > SearchQuery::MAXIMUM_CURSOR_LENGTH {
            return Err(StoreError::InvalidCursor);
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(bookmark).map_err(|_| StoreError::InvalidCursor)?;
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or(StoreError::InvalidCursor)?;
        let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(*nonce);
        let opened = self.key()?.open_in_place(nonce, Aad::from(&self.context), text).map_err(|_| StoreError::InvalidCursor)?;
        decode(opened).ok_or(StoreError::InvalidCursor)
    }

    fn key(&self) -> Result<Arc<RandomizedNonceKey>, StoreError> {
        self.seal.bookmark_key(self.purpose)
    }
}

fn encode(position: &[Value]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    for value in position {
        match value {
            Value::Null => bytes.push(0),
            Value::Integer(integer) => {
                bytes.push(1);
                bytes.extend_from_slice(&integer.to_be_bytes());
            }
            Value::Real(real) => {
                bytes.push(2);
                bytes.extend_from_slice(&real.to_bits().to_be_bytes());
            }
            Value::Text(text) => counted(&mut bytes, 3, text.as_bytes()),
            Value::Blob(blob) => counted(&mut bytes, 4, blob),
        }
    }
    bytes
}

fn counted(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(content);
}

fn decode(bytes: &[u8]) -> Option<Position> {
    let (&FORMAT, mut rest) = bytes.split_first()? else { return None };
    let mut position = Vec::new();
    while let Some((&tag, after)) = rest.split_first() {
        rest = after;
        let value = match tag {
            0 => Value::Null,
            1 => Value::Integer(i64::from_be_bytes(take(&mut rest)?)),
            2 => Value::Real(f64::from_bits(u64::from_be_bytes(take(&mut rest)?))),
            3 | 4 => {
                let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
                let (content, after) = rest.split_at_checked(length)?;
                rest = after;
                if tag == 4 { Value::Blob(content.to_vec()) } else { Value::Text(str::from_utf8(content).ok()?.to_owned()) }
            }
            _ => return None,
        };
        position.push(value);
        if position.len() > MAXIMUM_VALUES {
            return None;
        }
    }
    Some(position)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::super::root_key::RootKey;
    use super::*;

    fn keys() -> Seal {
        Seal::new(&RootKey::generate().unwrap()).unwrap()
    }

    fn position() -> Position {
        vec![Value::Null, Value::Integer(-5), Value::Real(1.5), Value::Text("ä".to_owned()), Value::Blob(vec![0, 1])]
    }

    #[test]
    fn a_bookmark_comes_back_as_it_was() {
        let seal = keys();
        let bookmarks = Bookmarks::new(&seal, "a", b"principal", b"query");
        for position in [position(), vec![]] {
            assert_eq!(bookmarks.open(&bookmarks.seal(&position).unwrap()).unwrap(), position);
        }
    }

    #[test]
    fn a_bookmark_of_another_principal_query_purpose_or_server_is_refused() {
        let (seal, other) = (keys(), keys());
        let bookmark = Bookmarks::new(&seal, "a", b"principal", b"query").seal(&position()).unwrap();
        for bookmarks in [
            Bookmarks::new(&seal, "a", b"other", b"query"),
            Bookmarks::new(&seal, "a", b"principal", b"other"),
            Bookmarks::new(&seal, "a", b"principalq", b"uery"),
            Bookmarks::new(&seal, "b", b"principal", b"query"),
            Bookmarks::new(&other, "a", b"principal", b"query"),
        ] {
            assert!(matches!(bookmarks.open(&bookmark), Err(StoreError::InvalidCursor)));
        }
    }

    #[test]
    fn a_changed_cut_or_oversized_bookmark_is_refused() {
        let seal = keys();
        let bookmarks = Bookmarks::new(&seal, "a", b"principal", b"query");
        let bookmark = bookmarks.seal(&position()).unwrap();
        for index in 0..bookmark.len() {
            let mut changed = bookmark.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(matches!(bookmarks.open(&changed), Err(StoreError::InvalidCursor)), "{index}");
            assert!(matches!(bookmarks.open(&bookmark[..index]), Err(StoreError::InvalidCursor)), "{index}");
        }
        for foreign in ["", "=", "é", "AAAA", &"A".repeat(SearchQuery::MAXIMUM_CURSOR_LENGTH + 1), &"A".repeat(100)] {
            assert!(matches!(bookmarks.open(foreign), Err(StoreError::InvalidCursor)), "{foreign}");
        }
    }

    #[test]
    fn a_bookmark_shows_neither_the_place_nor_that_two_places_are_the_same() {
        let seal = keys();
        let bookmarks = Bookmarks::new(&seal, "a", b"principal", b"query");
        assert_ne!(bookmarks.seal(&position()).unwrap(), bookmarks.seal(&position()).unwrap());
    }
}
