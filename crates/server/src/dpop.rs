//! DPoP at both servers: the proof of a request, the nonces that proofs must carry, and which proofs came already (RFC 9449).
//!
//! Nonces belong to generations. A generation has one random nonce and the set of the proofs that came with it to the resource server; after
//! `GENERATION_SECONDS`, or when its set is full, the next begins, and the nonce of the one before the last is refused with everything that
//! was made for it. So no proof counts twice there, memory is bounded, and nothing needs to be stored: a process that starts anew has other
//! nonces, for which no old proof was made. At the authorization server, where a request is a transaction anyway, a proof is spent in the
//! registry as well ([`portcullis_store::registry::Change::SpendProof`]).
//!
//! Several processes behind one address would each want their own nonce; they need requests of one client to arrive at one of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use portcullis_jose::digest::sha256;
use portcullis_jose::random;
use portcullis_oauth::confirmation::KeyThumbprint;
use portcullis_oauth::dpop::{self, ProofError, ProofTerms, VerifiedProof};
use portcullis_oauth::token_request::AuthenticatedClient;

use crate::context::{Borrowed, Entropy, Server};
use crate::resource_server::Exchange;

/// The header that carries a proof.
pub const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The header that carries a nonce.
pub const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// How long a generation is the current one, in seconds. A nonce counts for one to two of these.
const GENERATION_SECONDS: i64 = 300;
/// Proofs of one generation; with more, the next begins.
const GENERATION_PROOFS: usize = 50_000;

/// Nonces and the proofs that came with them.
#[derive(Debug, Default)]
pub struct ProofNonces(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    current: Option<Generation>,
    previous: Option<Generation>,
}

#[derive(Debug)]
struct Generation {
    nonce: String,
    since: i64,
    /// SHA-256 over key and `jti`.
    proofs: HashSet<[u8; 32]>,
}

/// Why a proof does not count, although it is a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worn {
    /// It came before.
    Replayed,
    /// Its nonce is too old by now.
    Nonce,
}

impl ProofNonces {
    /// The nonce for the next proof.
    pub fn current(&self, entropy: &dyn Entropy, now: i64) -> String {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.at(entropy, now).nonce.clone()
    }

    /// The nonces that count.
    fn accepted(&self, entropy: &dyn Entropy, now: i64) -> Vec<String> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = generations.at(entropy, now).nonce.clone();
        [Some(current), generations.previous.as_ref().map(|generation| generation.nonce.clone())].into_iter().flatten().collect()
    }

    /// Notes a proof that came to the resource server, once.
    pub fn note(&self, proof: &VerifiedProof, entropy: &dyn Entropy, now: i64) -> Result<(), Worn> {
        let name = sha256([proof.key().to_text().as_bytes(), proof.token_id_hash()].concat());
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.at(entropy, now);
        let Generations { current, previous } = &mut *generations;
        let known = [current, previous].into_iter().flatten().find(|generation| generation.nonce == proof.nonce());
        let generation = known.ok_or(Worn::Nonce)?;
        if !generation.proofs.insert(name) {
            return Err(Worn::Replayed);
        }
        if generation.proofs.len() >= GENERATION_PROOFS {
            generations.begin(entropy, now);
        }
        Ok(())
    }
}

impl Generations {
    /// The generation of this moment.
    fn at(&mut self, entropy: &dyn Entropy, now: i64) -> &Generation {
        let stale = |generation: &Generation, periods: i64| now >= generation.since.saturating_add(periods * GENERATION_SECONDS);
        if self.current.as_ref().is_some_and(|current| stale(current, 2)) {
            // Nobody came for a while, and what would become the previous generation is too old for that.
            self.current = None;
            self.previous = None;
        }
        if self.current.as_ref().is_none_or(|current| stale(current, 1)) {
            self.begin(entropy, now);
        }
        self.current.get_or_insert_with(|| Generation::new(entropy, now))
    }

    fn begin(&mut self, entropy: &dyn Entropy, now: i64) {
        self.previous = self.current.replace(Generation::new(entropy, now));
    }
}

impl Generation {
    fn new(entropy: &dyn Entropy, since: i64) -> Self {
        let nonce = random::opaque_secret(&mut Borrowed(entropy)).expose().clone();
        Self { nonce, since, proofs: HashSet::new() }
    }
}

/// The proof of a request, verified; `None` where there is none. It counts once, which is not checked here.
pub fn proof(server: &Server, exchange: &Exchange, access_token: Option<&str>) -> Result<Option<VerifiedProof>, ProofError> {
    let mut values = exchange.headers.get_all(PROOF).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ProofError::NotOneHeader);
    }
    let text = value.to_str().map_err(|_| ProofError::NotOneHeader)?;
    let now = server.clock.now_seconds();
    let nonces = server.proof_nonces.accepted(&*server.entropy, now);
    let nonces: Vec<&str> = nonces.iter().map(String::as_str).collect();
    let settings = &server.settings;
    // Only the port for mutual TLS asks for a certificate.
    let base = settings.mutual_tls_url.as_ref().filter(|_| exchange.peer.certificate.is_some()).unwrap_or(&settings.public_url);
    let url = format!("{base}{}", exchange.target.path());
    let terms = ProofTerms { method: exchange.method.as_str(), url: &url, nonces: &nonces, access_token, now };
    VerifiedProof::verify(text, &terms).map(Some)
}

/// The parameters of a pushed authorization request, which is bound to the key of the proof that it came with: "the authorization server MUST also
/// [...] ensure that the JWK thumbprint [...] matches" where the request names a key, too (section 10.1).
pub fn bound(query: String, named: Option<KeyThumbprint>, client: &AuthenticatedClient) -> Result<String, ProofError> {
    match (client.shown().key, named) {
        (Some(proven), Some(named)) if proven != named => Err(ProofError::OtherKey),
        (Some(proven), None) => Ok(format!("{query}&dpop_jkt={}", proven.to_text())),
        _ => Ok(query),
    }
}

/// Whether a request comes with a proof, or with a token that needs one: its answer brings the nonce for the next (section 8.2).
pub fn speaks(headers: &HeaderMap) -> bool {
    let scheme = |value: &HeaderValue| value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop "));
    headers.contains_key(PROOF) || headers.get(header::AUTHORIZATION).is_some_and(scheme)
}

/// Adds the nonce for the next proof.
pub fn add_nonce(server: &Server, headers: &mut HeaderMap) {
    let nonce = server.proof_nonces.current(&*server.entropy, server.clock.now_seconds());
    if let Ok(value) = HeaderValue::from_str(&nonce) {
        headers.insert(NONCE, value);
    }
}

/// `algs` of a challenge (section 7.1).
pub fn algorithms() -> String {
    dpop::ALGORITHMS.map(portcullis_jose::ClientAlgorithm::name).join(" ")
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
    use serde_json::json;

    use super::*;
    use crate::context::SystemEntropy;

    const NOW: i64 = 1_800_000_000;

    /// A proof of this key, with this nonce.
    fn proof(key: &KeyPair, token_id: &str, nonce: &str) -> VerifiedProof {
        let encode = |bytes: &[u8]| portcullis_jose::base64url::encode(bytes);
        let point = key.der_bytes();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
        let claims = json!({"jti": token_id, "htm": "GET", "htu": "https://h/x", "iat": NOW, "nonce": nonce});
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let proof = format!("{signed}.{}", encode(&flat(&key.sign(signed.as_bytes()).unwrap())));
        let terms = ProofTerms { method: "GET", url: "https://h/x", nonces: &[nonce], access_token: None, now: NOW };
        VerifiedProof::verify(&proof, &terms).unwrap()
    }

    /// A signature in DER as JWS has it: two numbers of 32 bytes.
    fn flat(der: &[u8]) -> Vec<u8> {
        let number = |bytes: &[u8]| [vec![0; 32], bytes.to_vec()].concat()[bytes.len()..].to_vec();
        let (first, rest) = der[4..].split_at(der[3].into());
        [number(first), number(&rest[2..])].concat()
    }

    #[test]
    fn a_proof_counts_once_also_when_its_nonce_is_the_one_before_the_last() {
        let (nonces, key) = (ProofNonces::default(), KeyPair::generate().unwrap());
        let nonce = nonces.current(&SystemEntropy, NOW);
        assert_eq!(nonces.note(&proof(&key, "a", &nonce), &SystemEntropy, NOW), Ok(()));
        for now in [NOW, NOW + 299, NOW + 300, NOW + 599] {
            assert_eq!(nonces.note(&proof(&key, "a", &nonce), &SystemEntropy, now), Err(Worn::Replayed), "{now}");
        }
        assert_eq!(nonces.note(&proof(&key, "b", &nonce), &SystemEntropy, NOW + 599), Ok(()), "another one still counts");
        assert_eq!(nonces.note(&proof(&key, "b", &nonce), &SystemEntropy, NOW + 599), Err(Worn::Replayed));
        assert_eq!(nonces.note(&proof(&key, "c", &nonce), &SystemEntropy, NOW + 600), Err(Worn::Nonce));
    }

    #[test]
    fn two_keys_may_choose_the_same_name_for_a_proof() {
        let (nonces, keys) = (ProofNonces::default(), [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()]);
        let nonce = nonces.current(&SystemEntropy, NOW);
        for key in &keys {
            assert_eq!(nonces.note(&proof(key, "1", &nonce), &SystemEntropy, NOW), Ok(()));
        }
    }

    #[test]
    fn a_generation_that_is_full_makes_room_for_the_next_and_forgets_nothing_that_counts() {
        let (nonces, key) = (ProofNonces::default(), KeyPair::generate().unwrap());
        let first = nonces.current(&SystemEntropy, NOW);
        let fill = || {
            let mut generations = nonces.0.lock().unwrap();
            let proofs = &mut generations.current.as_mut().unwrap().proofs;
            proofs.extend((0..GENERATION_PROOFS - 1 - proofs.len()).map(|number| sha256(number.to_be_bytes())));
        };
        fill();
        assert_eq!(nonces.note(&proof(&key, "a", &first), &SystemEntropy, NOW), Ok(()), "the last that fits");
        let second = nonces.current(&SystemEntropy, NOW);
        assert_ne!(first, second);
        assert_eq!(nonces.note(&proof(&key, "a", &first), &SystemEntropy, NOW), Err(Worn::Replayed));
        fill();
        assert_eq!(nonces.note(&proof(&key, "b", &second), &SystemEntropy, NOW), Ok(()));
        assert_eq!(nonces.note(&proof(&key, "c", &first), &SystemEntropy, NOW), Err(Worn::Nonce), "memory is bounded");
    }

    #[test]
    fn after_two_generations_without_a_visitor_no_nonce_counts() {
        let nonces = ProofNonces::default();
        let first = nonces.current(&SystemEntropy, NOW);
        assert!(nonces.accepted(&SystemEntropy, NOW + 599).contains(&first));
        let other = ProofNonces::default();
        let first = other.current(&SystemEntropy, NOW);
        assert!(!other.accepted(&SystemEntropy, NOW + 600).contains(&first));
    }

    #[test]
    fn a_nonce_counts_for_one_to_two_generations() {
        let nonces = ProofNonces::default();
        let first = nonces.current(&SystemEntropy, NOW);
        assert_eq!(nonces.current(&SystemEntropy, NOW + 299), first);
        let second = nonces.current(&SystemEntropy, NOW + 300);
        assert_ne!(first, second);
        assert_eq!(nonces.accepted(&SystemEntropy, NOW + 599), [second.clone(), first.clone()]);
        assert!(!nonces.accepted(&SystemEntropy, NOW + 600).contains(&first));
        assert!(nonces.accepted(&SystemEntropy, NOW + 600).contains(&second));
        assert_eq!(nonces.accepted(&SystemEntropy, NOW + 6000).len(), 1, "after a rest, nothing old counts");
    }

    #[test]
    fn every_process_has_its_own_nonces() {
        let [one, other] = [ProofNonces::default(), ProofNonces::default()];
        assert_ne!(one.current(&SystemEntropy, NOW), other.current(&SystemEntropy, NOW));
    }
}
