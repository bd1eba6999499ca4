use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::*;

const ORIGIN: &str = "https://localhost:8443";
const EXPECTED: Expected<'static> = Expected { challenge: "challenge", origin: ORIGIN, relying_party: "localhost" };

struct Device(EcdsaKeyPair);

impl Device {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn cose(&self, algorithm: u8) -> Vec<u8> {
        let point = self.0.public_key().as_ref();
        [b"\xa5\x01\x02\x03", &[algorithm][..], b"\x20\x01\x21\x58\x20", &point[1..33], b"\x22\x58\x20", &point[33..]].concat()
    }

    fn attestation(&self, flags: u8, algorithm: u8) -> Vec<u8> {
        let data = [&data("localhost", flags, 7)[..], &[0; 16], b"\x00\x02id", &self.cose(algorithm)].concat();
        let length = u8::try_from(data.len()).unwrap();
        [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58", &[length][..], &data].concat()
    }

    fn key(&self) -> PasskeyKey {
        PasskeyKey { id: b"id".to_vec(), public_key: self.0.public_key().as_ref().to_vec(), sign_count: 7, backed_up: false }
    }

    fn sign(&self, client: &[u8], data: &[u8]) -> Vec<u8> {
        let message = [data, &sha256(client)].concat();
        self.0.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec()
    }
}

fn data(relying_party: &str, flags: u8, count: u32) -> Vec<u8> {
    [&sha256(relying_party)[..], &[flags], &count.to_be_bytes()].concat()
}

fn client(kind: &str, challenge: &str, rest: &str) -> Vec<u8> {
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{ORIGIN}"{rest}}}"#).into_bytes()
}

#[test]
fn a_registration_gives_the_key_that_its_sign_ins_verify_with() {
    let device = Device::new();
    let made = client("webauthn.create", "challenge", r#","crossOrigin":false,"new":[1]"#);
    let key = register(&made, &device.attestation(0x45, 0x26), &EXPECTED).unwrap();
    assert_eq!(key, device.key());
    let (client, data) = (client("webauthn.get", "challenge", ""), data("localhost", 5, 8));
    let signature = device.sign(&client, &data);
    let assertion = Assertion { client_data: &client, authenticator_data: &data, signature: &signature };
    assert_eq!(verify(&assertion, &key, &EXPECTED), Ok(8));
    let copied = PasskeyKey { sign_count: 8, ..key.clone() };
    assert_eq!(verify(&assertion, &copied, &EXPECTED), Err(PasskeyError::CounterWentBack));
    let other = PasskeyKey { public_key: Device::new().key().public_key, ..key };
    assert_eq!(verify(&assertion, &other, &EXPECTED), Err(PasskeyError::WrongSignature));
}

#[test]
fn a_device_that_does_not_count_is_accepted_and_one_that_stops_counting_is_not() {
    let device = Device::new();
    let (client, data) = (client("webauthn.get", "challenge", ""), data("localhost", 5, 0));
    let signature = device.sign(&client, &data);
    let assertion = Assertion { client_data: &client, authenticator_data: &data, signature: &signature };
    assert_eq!(verify(&assertion, &PasskeyKey { sign_count: 0, ..device.key() }, &EXPECTED), Ok(0));
    assert_eq!(verify(&assertion, &device.key(), &EXPECTED), Err(PasskeyError::CounterWentBack));
}

#[test]
fn an_answer_for_something_else_is_refused_by_name() {
    use PasskeyError::*;
    let device = Device::new();
    let get = |challenge, rest| client("webauthn.get", challenge, rest);
    let good = data("localhost", 5, 8);
    let elsewhere = String::from_utf8(get("challenge", "")).unwrap().replace(":8443", ":8444").into_bytes();
    for (client, data, error) in [
        (client("webauthn.create", "challenge", ""), good.clone(), WrongType),
        (get("challengf", ""), good.clone(), WrongChallenge),
        (get("", ""), good.clone(), WrongChallenge),
        (elsewhere, good.clone(), WrongOrigin),
        (get("challenge", r#","crossOrigin":true"#), good.clone(), WrongOrigin),
        (get("challenge", r#","topOrigin":"https://evil.example""#), good.clone(), WrongOrigin),
        (b"{}".to_vec(), good.clone(), Malformed),
        (b"".to_vec(), good.clone(), Malformed),
        (get("challenge", ""), data("evil.example", 5, 8), WrongRelyingParty),
        (get("challenge", ""), data("localhost", 1, 8), OwnerNotVerified),
        (get("challenge", ""), data("localhost", 4, 8), OwnerNotVerified),
        (get("challenge", ""), data("localhost", 0x15, 8), Malformed),
        (get("challenge", ""), good[..36].to_vec(), Malformed),
        (get("challenge", ""), [&good[..], b"x"].concat(), Malformed),
    ] {
        let signature = device.sign(&client, &data);
        let assertion = Assertion { client_data: &client, authenticator_data: &data, signature: &signature };
        assert_eq!(verify(&assertion, &device.key(), &EXPECTED), Err(error), "{}", String::from_utf8_lossy(&client));
    }
    let client = get("challenge", "");
    let mut signature = device.sign(&client, &good);
    *signature.last_mut().unwrap() ^= 1;
    let forged = Assertion { client_data: &client, authenticator_data: &good, signature: &signature };
    assert_eq!(verify(&forged, &device.key(), &EXPECTED), Err(WrongSignature));
}

#[test]
fn a_registration_without_a_key_of_ours_is_refused() {
    let device = Device::new();
    let made = client("webauthn.create", "challenge", "");
    let attempt = |object: &[u8]| register(&made, object, &EXPECTED).unwrap_err();
    assert_eq!(attempt(&device.attestation(0x45, 0x27)), PasskeyError::UnsupportedKey, "another algorithm");
    assert_eq!(attempt(&device.attestation(0x41, 0x26)), PasskeyError::OwnerNotVerified);
    let whole = device.attestation(0x45, 0x26);
    for cut in 0..whole.len() {
        assert_eq!(attempt(&whole[..cut]), PasskeyError::Malformed, "{cut}");
    }
    assert_eq!(attempt(&[&whole[..], b"x"].concat()), PasskeyError::Malformed);
    let off_curve = [&whole[..whole.len() - 1], &[whole.last().unwrap() ^ 1]].concat();
    assert_eq!(attempt(&off_curve), PasskeyError::UnsupportedKey, "no point of the curve");
}

/// A CBOR byte string of less than 64 KiB.
fn byte_string(bytes: &[u8]) -> Vec<u8> {
    [&[0x59][..], &u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A registration with any COSE key.
fn attestation_of(cose: &[u8]) -> Vec<u8> {
    let data = [&data("localhost", 0x45, 7)[..], &[0; 16], b"\x00\x02id", cose].concat();
    [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData", &byte_string(&data)[..]].concat()
}

/// kty OKP, an algorithm below 24 in the negative, a curve, x.
fn okp(algorithm: u8, curve: u8, x: &[u8]) -> Vec<u8> {
    [b"\xa4\x01\x01\x03", &[algorithm][..], b"\x20", &[curve], b"\x21", &byte_string(x)].concat()
}

/// kty RSA, an algorithm of two bytes in the negative, n, e.
fn rsa(algorithm: [u8; 2], modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    [b"\xa4\x01\x03\x03\x39", &algorithm[..], b"\x20", &byte_string(modulus), b"\x21", &byte_string(exponent)].concat()
}

const EDDSA: u8 = 0x27;
const ED25519: u8 = 6;
const RS256: [u8; 2] = [1, 0];

#[test]
fn ed25519_and_rsa_keys_register_and_verify_their_sign_ins_alone() {
    let ed25519 = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let of_rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    // RSAPublicKey in DER: the modulus of 256 bytes stands after nine of headers.
    let modulus = &of_rsa.public_key().as_ref()[9..265];
    let made = client("webauthn.create", "challenge", "");
    let registered = |cose: &[u8]| register(&made, &attestation_of(cose), &EXPECTED).unwrap();
    let keys = [
        registered(&okp(EDDSA, ED25519, ed25519.public_key().as_ref())),
        registered(&rsa(RS256, modulus, &[1, 0, 1])),
        Device::new().key(),
    ];
    let (client, data) = (client("webauthn.get", "challenge", ""), data("localhost", 5, 8));
    let message = [&data[..], &sha256(&client)].concat();
    let mut of_rsa_key = vec![0; of_rsa.public_modulus_len()];
    of_rsa.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut of_rsa_key).unwrap();
    for (at, signature) in [ed25519.sign(&message).as_ref(), &of_rsa_key].into_iter().enumerate() {
        let assertion = Assertion { client_data: &client, authenticator_data: &data, signature };
        for (key_at, key) in keys.iter().enumerate() {
            let expected = if at == key_at { Ok(8) } else { Err(PasskeyError::WrongSignature) };
            assert_eq!(verify(&assertion, key, &EXPECTED), expected, "{at} {key_at}");
        }
    }
}

#[test]
fn a_key_whose_kind_algorithm_and_strength_do_not_fit_is_refused() {
    let made = client("webauthn.create", "challenge", "");
    let attempt = |cose: &[u8]| register(&made, &attestation_of(cose), &EXPECTED).unwrap_err();
    let x = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().public_key().as_ref().to_vec();
    let modulus = |bytes: usize| [vec![0xc1; bytes - 1], vec![0x01]].concat();
    assert!(register(&made, &attestation_of(&okp(EDDSA, ED25519, &x)), &EXPECTED).is_ok());
    assert!(register(&made, &attestation_of(&rsa(RS256, &modulus(256), &[1, 0, 1])), &EXPECTED).is_ok());
    for (cose, why) in [
        (okp(0x26, ED25519, &x), "Ed25519 with ES256"),
        (okp(EDDSA, 7, &x), "Ed448"),
        (okp(EDDSA, 4, &x), "X25519"),
        (okp(EDDSA, ED25519, &x[1..]), "a short key"),
        (okp(EDDSA, ED25519, &[0; 32]), "a key of small order"),
        (rsa(RS256, &modulus(255), &[1, 0, 1]), "RSA of 2040 bits"),
        (rsa(RS256, &modulus(128), &[1, 0, 1]), "RSA of 1024 bits"),
        (rsa(RS256, &modulus(256), &[1]), "an exponent of 1"),
        (rsa([0xff, 0xfe], &modulus(256), &[1, 0, 1]), "RS1"),
        (rsa([0, 36], &modulus(256), &[1, 0, 1]), "PS256"),
        (rsa(RS256, &[], &[1, 0, 1]), "no modulus"),
        (b"\xa2\x01\x03\x03\x26".to_vec(), "RSA with ES256"),
    ] {
        assert_eq!(attempt(&cose), PasskeyError::UnsupportedKey, "{why}");
    }
}

#[test]
fn the_relying_party_is_the_host() {
    for (origin, host) in [("https://localhost:8443", "localhost"), ("https://fhir.example.org", "fhir.example.org")] {
        assert_eq!(relying_party(origin), host);
    }
    assert_ne!(user_handle("u1"), user_handle("u2"));
    assert_eq!(read_credential_id(""), None);
    assert_eq!(read_credential_id("aWQ"), Some(b"id".to_vec()));
}
