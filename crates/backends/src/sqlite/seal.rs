//! Bodies at rest: AES-256-GCM under a data key per home patient, with the columns beside the body as authenticated data.
//!
//! NIST SP 800-38D; nonces are 96 random bits. A data key is wrapped by a key that is derived from the root key. What is sealed under one
//! header opens under no other: a changed column, a body put into another row, or a row of another version fails.
//! Index rows are not sealed; the codes among them are keyed hashes ([`Seal::hash64`]).

use std::fmt;
use std::hash::Hasher;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, RandomizedNonceKey, UnboundKey};
use portcullis_fhir::types::ResourceType;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use siphasher::sip::SipHasher24;

use super::consents::memory::Memory;
use super::database::{OpenError, store_error};
use super::generations::Generations;
use super::root_key::{RootKey, RootKeyError};

/// The bytes of a tag.
const TAG: usize = 16;
/// Unwrapped data keys kept for readers, at most twice this number.
const MAXIMUM_KEYS: usize = 2048;

/// What is authenticated with a body: the columns by which a version is found and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: &'a str,
    /// The version id.
    pub version: &'a str,
    /// Milliseconds since the epoch.
    pub last_updated: i64,
    /// Whether this version is a deletion.
    pub deleted: bool,
    /// The patients as stored: ascending, separated by spaces.
    pub patients: &'a str,
    /// The labels as stored ([`portcullis_fhir::labels::Security::column`]).
    pub security: i64,
}

impl Header<'_> {
    /// Every field in a fixed order, texts with their length in front: two headers never give the same bytes. Appended to what is empty.
    fn authenticate(&self, data: &mut Vec<u8>) {
        data.reserve(64 + self.id.len() + self.version.len() + self.patients.len());
        // What has no labels is sealed as it was before there were any: all that was stored then opens.
        if self.security == 0 {
            data.extend_from_slice(b"portcullis body 1");
        } else {
            data.extend_from_slice(b"portcullis body 2");
            data.extend_from_slice(&self.security.to_be_bytes());
        }
        data.push(self.resource_type.code());
        data.push(u8::from(self.deleted));
        data.extend_from_slice(&self.last_updated.to_be_bytes());
        for text in [self.id, self.version, self.patients] {
            data.extend_from_slice(&(text.len() as u64).to_be_bytes());
            data.extend_from_slice(text.as_bytes());
        }
    }
}

/// Sealed bytes, copied from where they are stored so that they can be opened in their place.
#[derive(Debug)]
pub struct Sealed {
    nonce: [u8; NONCE_LEN],
    /// The ciphertext with its tag.
    text: Vec<u8>,
}

impl Sealed {
    /// A copy of `nonce || ciphertext || tag`; `None` where it is too short to be that.
    pub fn copy(stored: &[u8]) -> Option<Self> {
        let (nonce, text) = stored.split_first_chunk::<NONCE_LEN>()?;
        Some(Self { nonce: *nonce, text: text.to_vec() })
    }

    /// How many bytes there are, without the nonce.
    pub fn length(&self) -> usize {
        self.text.len()
    }

    /// What is another one wherever something else was sealed, or under another header or key: the nonce, and the tag.
    pub fn mark(&self) -> ([u8; NONCE_LEN], [u8; TAG]) {
        (self.nonce, self.text.last_chunk().copied().unwrap_or_default())
    }

    fn open(self, cipher: &LessSafeKey, authenticated: &[u8]) -> Option<Vec<u8>> {
        let Self { nonce, mut text } = self;
        let length = cipher.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(authenticated), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// A key that seals the bodies of one home patient.
#[derive(Clone, Debug)]
pub struct DataKey {
    /// Its number in the table `data_key`.
    pub number: i64,
    cipher: Arc<LessSafeKey>,
}

impl DataKey {
    /// `nonce || ciphertext || tag`; the seal of nothing for a deletion.
    pub fn seal(&self, header: &Header<'_>, body: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut data = Vec::new();
        header.authenticate(&mut data);
        seal_bytes(&self.cipher, &data, body)
    }
}

/// Opens bodies one after the other, mostly of one patient: each has the key of the one before at hand.
pub struct Opener<'a> {
    seal: &'a Seal,
    connection: &'a Connection,
    key: Option<DataKey>,
    /// Where authenticated data are put together.
    data: Vec<u8>,
}

impl Opener<'_> {
    /// Opens what [`DataKey::seal`] made, with a key that readers may share.
    pub fn open(&mut self, key: i64, header: &Header<'_>, sealed: Sealed) -> Result<Vec<u8>, StoreError> {
        let key = match &mut self.key {
            Some(known) if known.number == key => known,
            other => other.insert(self.seal.data_key(self.connection, key)?),
        };
        self.data.clear();
        header.authenticate(&mut self.data);
        sealed
            .open(&key.cipher, &self.data)
            .ok_or_else(|| StoreError::Corrupt(format!("{}/{} fails its authentication", header.resource_type, header.id)))
    }
}

/// The keys of one store.
pub struct Seal {
    root: RootKey,
    wrapping: LessSafeKey,
    hash: SipHasher24,
    /// Keys that readers have unwrapped, by number. Only committed rows get here, and these never change.
    opened: Mutex<Generations<i64, DataKey>>,
    /// The keys of page bookmarks by their purpose, of which the program names a handful.
    bookmarks: Mutex<Vec<(&'static str, Arc<RandomizedNonceKey>)>>,
    /// What was read of Consents that these keys have opened.
    consents: Memory,
}

impl Seal {
    /// The keys that are derived from this root key.
    pub fn new(root: &RootKey) -> Result<Self, OpenError> {
        let wrapping = cipher(&root.derive("wrap data keys")?).map_err(|_| OpenError::Cryptography)?;
        let hash_key = root.derive("hash index values")?;
        let (hash_key, _) = hash_key.split_first_chunk::<16>().ok_or(OpenError::Cryptography)?;
        let hash = SipHasher24::new_with_key(hash_key);
        let opened = Mutex::new(Generations::new(MAXIMUM_KEYS));
        Ok(Self { root: root.clone(), wrapping, hash, opened, bookmarks: Mutex::default(), consents: Memory::default() })
    }

    /// A keyed 64-bit hash (SipHash-2-4) by which index tables hold codes and systems.
    pub fn hash64(&self, text: &str) -> i64 {
        let mut hasher = self.hash;
        hasher.write(text.as_bytes());
        hasher.finish().cast_signed()
    }

    /// What was read of Consents.
    pub fn consents(&self) -> &Memory {
        &self.consents
    }

    /// A key for another purpose (cursors), derived from the root key.
    pub fn derive(&self, purpose: &str) -> Result<[u8; 32], RootKeyError> {
        self.root.derive(purpose)
    }

    /// The key of page bookmarks for a purpose, derived when first asked for.
    pub fn bookmark_key(&self, purpose: &'static str) -> Result<Arc<RandomizedNonceKey>, StoreError> {
        let mut known = self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = known.iter().find(|(other, _)| *other == purpose) {
            return Ok(Arc::clone(key));
        }
        let bytes = self.derive(purpose).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let key = Arc::new(key);
        known.push((purpose, Arc::clone(&key)));
        Ok(key)
    }

    /// What opens bodies that are found in this snapshot.
    pub fn opener<'a>(&'a self, connection: &'a Connection) -> Opener<'a> {
        Opener { seal: self, connection, key: None, data: Vec::new() }
    }

    /// The key with this number.
    pub fn data_key(&self, connection: &Connection, number: i64) -> Result<DataKey, StoreError> {
        if let Some(key) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).find(&number) {
            return Ok(key);
        }
        let mut statement =
            connection.prepare_cached("SELECT patient, wrapped FROM data_key WHERE key = ?1").map_err(store_error)?;
        let row = statement.query_row([number], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let (patient, wrapped) = row.optional().map_err(store_error)?.ok_or_else(|| corrupt_key(number))?;
        let key = self.unwrap(number, patient, &wrapped)?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(number, key.clone());
        Ok(key)
    }

    /// The key of a home patient (`None`: of everything that has none), made where it is absent. Only for the writer, whose caller must not
    /// keep the result beyond a rollback.
    pub fn home_key(&self, connection: &Connection, patient: Option<i64>) -> Result<DataKey, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT key, wrapped FROM data_key WHERE patient IS ?1 ORDER BY key LIMIT 1")
            .map_err(store_error)?;
        let row = statement.query_row([patient], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        if let Some((number, wrapped)) = row.optional().map_err(store_error)? {
            return self.unwrap(number, patient, &wrapped);
        }
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| no_randomness())?;
        let wrapped = seal_bytes(&self.wrapping, &wrapping_data(patient), &bytes)?;
        let mut statement = connection
            .prepare_cached("INSERT INTO data_key (patient, wrapped) VALUES (?1, ?2) RETURNING key")
            .map_err(store_error)?;
        let number = statement.query_row(params![patient, wrapped], |row| row.get(0)).map_err(store_error)?;
        Ok(DataKey { number, cipher: Arc::new(cipher(&bytes).map_err(|_| corrupt_key(number))?) })
    }

    fn unwrap(&self, number: i64, patient: Option<i64>, wrapped: &[u8]) -> Result<DataKey, StoreError> {
        let bytes = open_bytes(&self.wrapping, &wrapping_data(patient), wrapped).ok_or_else(|| corrupt_key(number))?;
        Ok(DataKey { number, cipher: Arc::new(cipher(&bytes).map_err(|_| corrupt_key(number))?) })
    }

    /// Stores a mark by which another root key is noticed, or compares it.
    pub fn claim(&self, connection: &Connection) -> Result<(), OpenError> {
        let mark = self.derive("mark of the root key")?;
        connection
            .execute("INSERT INTO setting (name, value) VALUES ('root key', ?1) ON CONFLICT DO NOTHING", [mark.as_slice()])?;
        let stored: Vec<u8> = connection.query_row("SELECT value FROM setting WHERE name = 'root key'", [], |row| row.get(0))?;
        if stored == mark { Ok(()) } else { Err(OpenError::WrongKey) }
    }
}

/// The hash's own form would show its key.
impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A wrapped key opens only in the row of its patient.
fn wrapping_data(patient: Option<i64>) -> Vec<u8> {
    let mut data = b"portcullis data key 1".to_vec();
    data.push(u8::from(patient.is_some()));
    data.extend_from_slice(&patient.unwrap_or_default().to_be_bytes());
    data
}

fn cipher(bytes: &[u8]) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes)?))
}

fn seal_bytes(cipher: &LessSafeKey, authenticated: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| no_randomness())?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (_, body) = sealed.split_at_mut(NONCE_LEN);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(authenticated), body).map_err(|_| no_randomness())?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open_bytes(cipher: &LessSafeKey, authenticated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    Sealed::copy(sealed)?.open(cipher, authenticated)
}

fn corrupt_key(number: i64) -> StoreError {
    StoreError::Corrupt(format!("data key {number} is absent or fails its authentication"))
}

fn no_randomness() -> StoreError {
    StoreError::Unavailable("the cryptographic library refused".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::{MAIN, runner};

    fn setup() -> (Connection, Seal) {
        let mut connection = Connection::open_in_memory().unwrap();
        runner::run(&mut connection, MAIN).unwrap();
        (connection, Seal::new(&RootKey::generate().unwrap()).unwrap())
    }

    fn opened(
        seal: &Seal,
        connection: &Connection,
        (key, header): (i64, &Header<'_>),
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let sealed = Sealed::copy(sealed).ok_or_else(|| StoreError::Corrupt("too short".to_owned()))?;
        seal.opener(connection).open(key, header, sealed)
    }

    fn header() -> Header<'static> {
        Header {
            resource_type: ResourceType::OBSERVATION,
            id: "o",
            version: "v",
            last_updated: 5,
            deleted: false,
            patients: "p q",
            security: 9,
        }
    }

    #[test]
    fn every_changed_column_makes_the_body_fail() {
        let (connection, seal) = setup();
        let key = seal.home_key(&connection, Some(1)).unwrap();
        let sealed = key.seal(&header(), b"body").unwrap();
        assert_eq!(opened(&seal, &connection, (key.number, &header()), &sealed).unwrap(), b"body");
        let changed = [
            Header { resource_type: ResourceType::PATIENT, ..header() },
            Header { id: "x", ..header() },
            Header { version: "x", ..header() },
            Header { last_updated: 6, ..header() },
            Header { deleted: true, ..header() },
            Header { patients: "p", ..header() },
            Header { security: 0, ..header() },
            Header { security: 8, ..header() },
            Header { id: "ov", version: "", ..header() },
        ];
        for header in changed {
            assert!(
                matches!(opened(&seal, &connection, (key.number, &header), &sealed), Err(StoreError::Corrupt(_))),
                "{header:?}"
            );
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_makes_the_body_fail() {
        let (connection, seal) = setup();
        let key = seal.home_key(&connection, None).unwrap();
        let sealed = key.seal(&header(), b"body").unwrap();
        for position in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[position] ^= 1;
            assert!(opened(&seal, &connection, (key.number, &header()), &tampered).is_err());
            assert!(opened(&seal, &connection, (key.number, &header()), &sealed[..position]).is_err());
        }
    }

    #[test]
    fn a_deletion_is_sealed_too() {
        let (connection, seal) = setup();
        let key = seal.home_key(&connection, Some(1)).unwrap();
        let deletion = Header { deleted: true, ..header() };
        let sealed = key.seal(&deletion, b"").unwrap();
        assert_eq!(opened(&seal, &connection, (key.number, &deletion), &sealed).unwrap(), b"");
        assert!(opened(&seal, &connection, (key.number, &header()), &sealed).is_err());
    }

    #[test]
    fn the_same_body_is_never_sealed_to_the_same_bytes() {
        let (connection, seal) = setup();
        let key = seal.home_key(&connection, None).unwrap();
        assert_ne!(key.seal(&header(), b"body").unwrap(), key.seal(&header(), b"body").unwrap());
    }

    #[test]
    fn each_home_has_one_key_that_opens_nothing_of_another() {
        let (connection, seal) = setup();
        let one = seal.home_key(&connection, Some(1)).unwrap();
        let two = seal.home_key(&connection, Some(2)).unwrap();
        let none = seal.home_key(&connection, None).unwrap();
        assert_eq!(one.number, seal.home_key(&connection, Some(1)).unwrap().number);
        assert_eq!(none.number, seal.home_key(&connection, None).unwrap().number);
        let sealed = one.seal(&header(), b"body").unwrap();
        assert!(opened(&seal, &connection, (two.number, &header()), &sealed).is_err());
        assert!(opened(&seal, &connection, (none.number, &header()), &sealed).is_err());
        assert!(opened(&seal, &connection, (99, &header()), &sealed).is_err());
    }

    #[test]
    fn a_wrapped_key_given_to_another_patient_does_not_open() {
        let (connection, seal) = setup();
        let one = seal.home_key(&connection, Some(1)).unwrap();
        seal.home_key(&connection, Some(2)).unwrap();
        connection
            .execute(
                "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE key = ?1) WHERE patient = 2",
                [one.number],
            )
            .unwrap();
        assert!(matches!(seal.home_key(&connection, Some(2)), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn another_root_key_is_noticed() {
        let (connection, seal) = setup();
        seal.claim(&connection).unwrap();
        seal.claim(&connection).unwrap();
        let other = Seal::new(&RootKey::generate().unwrap()).unwrap();
        assert!(matches!(other.claim(&connection), Err(OpenError::WrongKey)));
    }

    #[test]
    fn hashes_depend_on_the_key_and_the_text() {
        let (_, seal) = setup();
        let other = Seal::new(&RootKey::generate().unwrap()).unwrap();
        assert_eq!(seal.hash64("8480-6"), seal.hash64("8480-6"));
        assert_ne!(seal.hash64("8480-6"), seal.hash64("8480-7"));
        assert_ne!(seal.hash64("8480-6"), other.hash64("8480-6"));
    }
}
