//! Which certificate a client of `tls_client_auth` shows: one name in it, for which a certification authority vouches (RFC 8705 section 2.1.2).
//!
//! "A client using the tls_client_auth authentication method MUST use exactly one of the below metadata parameters." Names are compared as RFC 5280
//! section 7 has it: subjects without regard to case and repeated spaces (of ASCII letters only, which is the stricter reading), hosts without regard to
//! case, URIs byte for byte, addresses as numbers. A name with a wildcard is nobody's.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PropertyError;
use crate::certificate_names::{Attribute, CertificateNames};

/// The longest name, in bytes.
const MAXIMUM_NAME_BYTES: usize = 1024;

/// The short names of attribute types (RFC 4514 section 3, and others that programs write).
const ATTRIBUTE_TYPES: [(&str, &str); 18] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("SN", "2.5.4.4"),
    ("GN", "2.5.4.42"),
    ("GIVENNAME", "2.5.4.42"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("TITLE", "2.5.4.12"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("E", "1.2.840.113549.1.9.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("SURNAME", "2.5.4.4"),
];

/// The five members of client metadata; a client has one of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateSubject {
    /// The subject as RFC 4514 writes it, the most special part first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A dNSName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A uniformResourceIdentifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An iPAddress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An rfc822Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
}

impl CertificateSubject {
    /// The names of the members.
    pub const MEMBERS: [&str; 5] = [
        "tls_client_auth_subject_dn",
        "tls_client_auth_san_dns",
        "tls_client_auth_san_uri",
        "tls_client_auth_san_ip",
        "tls_client_auth_san_email",
    ];

    fn values(&self) -> [&Option<String>; 5] {
        [
            &self.tls_client_auth_subject_dn,
            &self.tls_client_auth_san_dns,
            &self.tls_client_auth_san_uri,
            &self.tls_client_auth_san_ip,
            &self.tls_client_auth_san_email,
        ]
    }

    /// Whether one of them is there, so that the client authenticates by `tls_client_auth`.
    pub fn is_named(&self) -> bool {
        self.values().into_iter().any(Option::is_some)
    }

    /// The name that is expected; `None` where there is none, or where the client authenticates otherwise.
    pub fn expected(&self) -> Result<Option<ExpectedName>, PropertyError> {
        let mut given = Self::MEMBERS.into_iter().zip(self.values()).filter_map(|(name, value)| Some((name, value.as_deref()?)));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((name, value)), None) => {
                ExpectedName::parse(name, value).map(Some).ok_or(PropertyError::CertificateSubject(name))
            }
            (Some(_), Some(_)) => Err(PropertyError::CertificateSubjects),
        }
    }
}

/// The one name by which a client's certificate is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedName {
    /// The whole subject, the most general part first.
    Subject(DistinguishedName),
    /// A dNSName in lower case.
    Dns(String),
    /// A URI.
    Uri(String),
    /// An address.
    Address(Vec<u8>),
    /// A mail address, its host in lower case.
    Email(String),
}

impl ExpectedName {
    fn parse(member: &str, text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAXIMUM_NAME_BYTES || text.chars().any(|letter| letter.is_control() || letter == '*') {
            return None;
        }
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        match member {
            "tls_client_auth_subject_dn" => DistinguishedName::parse(text).map(Self::Subject),
            "tls_client_auth_san_dns" => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                let labels = text.split('.').all(|label| !label.is_empty()) && text.bytes().all(plain);
                (labels && text.parse::<IpAddr>().is_err()).then(|| Self::Dns(text.to_ascii_lowercase()))
            }
            "tls_client_auth_san_uri" => (graphic && url::Url::parse(text).is_ok()).then(|| Self::Uri(text.to_owned())),
            "tls_client_auth_san_ip" => match text.parse().ok()? {
                IpAddr::V4(address) => Some(Self::Address(address.octets().to_vec())),
                IpAddr::V6(address) => Some(Self::Address(address.octets().to_vec())),
            },
            "tls_client_auth_san_email" => email(text).filter(|_| graphic).map(Self::Email),
            _ => None,
        }
    }

    /// Whether the certificate has this name.
    pub fn is_in(&self, names: &CertificateNames) -> bool {
        match self {
            Self::Subject(subject) => subject.is(&names.subject),
            Self::Dns(host) => names.dns.iter().any(|name| name.eq_ignore_ascii_case(host)),
            Self::Uri(uri) => names.uris.contains(uri),
            Self::Address(address) => names.addresses.contains(address),
            Self::Email(address) => names.emails.iter().any(|name| email(name).as_deref() == Some(address)),
        }
    }
}

/// "The local part ... case-sensitive ... the host ... case-insensitive" (RFC 5280 section 7.5).
fn email(text: &str) -> Option<String> {
    let (local, host) = text.rsplit_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty())?;
    Some(format!("{local}@{}", host.to_ascii_lowercase()))
}

/// A distinguished name as it is compared: its parts, the most general first, each with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<(String, AttributeValue)>>);

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AttributeValue {
    /// Text, folded.
    Text(String),
    /// The DER of any value: `#` and hexadecimal digits.
    Der(Vec<u8>),
}

impl DistinguishedName {
    /// Reads the notation of RFC 4514. Spaces beside separators are taken as what they are, decoration.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in split(text, ',')? {
            let attributes = split(part, '+')?.into_iter().map(attribute).collect::<Option<Vec<_>>>()?;
            parts.push(attributes);
        }
        parts.reverse();
        Some(Self(parts))
    }

    /// Whether a certificate's subject is this name: all parts in their order, in each the same attributes.
    fn is(&self, subject: &[Vec<Attribute>]) -> bool {
        let same = |(kind, value): &(String, AttributeValue), found: &Attribute| {
            *kind == found.kind
                && match value {
                    AttributeValue::Text(text) => found.text.as_deref().map(folded).as_ref() == Some(text),
                    AttributeValue::Der(der) => *der == found.der,
                }
        };
        self.0.len() == subject.len()
            && self.0.iter().zip(subject).all(|(expected, found)| {
                // A set: each attribute has its partner. One type occurs once (X.501), so that partners are not shared.
                expected.len() == found.len()
                    && expected.iter().all(|attribute| found.iter().any(|other| same(attribute, other)))
                    && found.iter().all(|other| expected.iter().any(|attribute| same(attribute, other)))
            })
    }
}

/// The pieces between separators that are not escaped; `None` where an escape is cut off, a quotation is begun, or a piece is empty.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut pieces, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' | ';' | '<' | '>' => return None,
            _ if character == separator => {
                pieces.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text.get(start..)?);
    (!escaped && pieces.iter().all(|piece| !piece.trim().is_empty())).then_some(pieces)
}

fn attribute(text: &str) -> Option<(String, AttributeValue)> {
    let (kind, value) = text.split_once('=')?;
    let (kind, value) = (kind.trim(), value.trim_start_matches(' '));
    let dotted = kind.contains('.') && kind.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let known = ATTRIBUTE_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)).map(|(_, number)| (*number).to_owned());
    let kind = if dotted { kind.to_owned() } else { known? };
    let value = match value.strip_prefix('#') {
        Some(digits) => AttributeValue::Der(hexadecimal(digits.trim_end())?),
        None => AttributeValue::Text(folded(&unescaped(value)?)),
    };
    (value != AttributeValue::Text(String::new())).then_some((kind, value))
}

/// RFC 4514 section 3: a backslash and a special character, or a backslash and two hexadecimal digits of a byte of UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (next, after) = rest.split_first()?;
        if next.is_ascii_hexdigit() {
            let (pair, after) = rest.split_at_checked(2)?;
            bytes.extend(hexadecimal(std::str::from_utf8(pair).ok()?)?);
            rest = after;
        } else {
            bytes.push(*next);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let whole = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().filter(|_| whole)
}

/// Text as it is compared: without outer and repeated spaces, ASCII letters in lower case (RFC 4518 sections 2.2 and 2.6.1).
fn folded(text: &str) -> String {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(parts: &[&[(&str, &str)]]) -> CertificateNames {
        let attribute = |(kind, text): &(&str, &str)| Attribute {
            kind: (*kind).to_owned(),
            text: Some((*text).to_owned()),
            der: [&[12, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat(),
        };
        let subject = parts.iter().map(|part| part.iter().map(attribute).collect()).collect();
        CertificateNames { subject, ..CertificateNames::default() }
    }

    fn is(text: &str, names: &CertificateNames) -> bool {
        ExpectedName::parse("tls_client_auth_subject_dn", text).unwrap().is_in(names)
    }

    #[test]
    fn another_subject_is_not_the_expected_one() {
        let names = subject(&[&[("2.5.4.6", "US")], &[("2.5.4.10", "Example Health")], &[("2.5.4.3", "Client, Ltd")]]);
        assert!(is("CN=Client\\, Ltd,O=Example Health,C=US", &names));
        for same in ["cn=client\\2C  LTD, o=EXAMPLE health , C=us", "2.5.4.3=Client\\, Ltd,O=Example Health,2.5.4.6=US"] {
            assert!(is(same, &names), "{same}");
        }
        assert!(is("CN=#0c0b436c69656e742c204c7464,O=Example Health,C=US", &names));
        for other in [
            "CN=Client\\, Ltd",
            "O=Example Health,C=US",
            "C=US,O=Example Health,CN=Client\\, Ltd",
            "CN=Client\\, Ltd,O=Example Health,C=US,DC=org",
            "CN=Client\\, Ltd,OU=Example Health,C=US",
            "CN=Client Ltd,O=Example Health,C=US",
            "CN=Client\\, Ltd+O=Example Health,C=US",
            "CN=#0c0b436c69656e742c204c7465,O=Example Health,C=US",
        ] {
            assert!(!is(other, &names), "{other}");
        }
        let several = subject(&[&[("2.5.4.3", "a"), ("2.5.4.11", "b")]]);
        assert!(is("OU=b+CN=a", &several) && !is("OU=b", &several) && !is("OU=b+CN=b", &several));
        assert!(!is("CN=a", &CertificateNames::default()));
        let untold = Attribute { kind: "2.5.4.3".into(), text: None, der: vec![20, 1, b'a'] };
        assert!(!is("CN=a", &CertificateNames { subject: vec![vec![untold]], ..CertificateNames::default() }));
    }

    #[test]
    fn only_what_can_be_compared_is_registered_and_only_one() {
        for (member, text) in [
            ("tls_client_auth_subject_dn", ""),
            ("tls_client_auth_subject_dn", "Client"),
            ("tls_client_auth_subject_dn", "CN=a,"),
            ("tls_client_auth_subject_dn", "CN="),
            ("tls_client_auth_subject_dn", "CN=\"a\""),
            ("tls_client_auth_subject_dn", "CN=a;O=b"),
            ("tls_client_auth_subject_dn", "CN=a\\"),
            ("tls_client_auth_subject_dn", "CN=#0"),
            ("tls_client_auth_subject_dn", "CN=a\\ff"),
            ("tls_client_auth_subject_dn", "WHAT=a"),
            ("tls_client_auth_san_dns", "*.example.org"),
            ("tls_client_auth_san_dns", "a..b"),
            ("tls_client_auth_san_dns", "a b"),
            ("tls_client_auth_san_uri", "client"),
            ("tls_client_auth_san_ip", "10.0.0.256"),
            ("tls_client_auth_san_ip", "10.0.0.0/8"),
            ("tls_client_auth_san_email", "nobody"),
            ("tls_client_auth_san_email", "@example.org"),
        ] {
            assert_eq!(ExpectedName::parse(member, text), None, "{member} {text}");
        }
        let two = CertificateSubject {
            tls_client_auth_san_dns: Some("a.example".into()),
            tls_client_auth_san_ip: Some("10.0.0.1".into()),
            ..CertificateSubject::default()
        };
        assert_eq!(two.expected(), Err(PropertyError::CertificateSubjects));
        assert_eq!(CertificateSubject::default().expected(), Ok(None));
    }

    #[test]
    fn alternative_names_are_compared_by_their_own_rules_and_only_with_their_own_kind() {
        let names = CertificateNames {
            dns: vec!["Client.example.org".into(), "*.wild.example".into()],
            uris: vec!["https://client.example.org/Id".into()],
            emails: vec!["Client@Example.org".into()],
            addresses: vec![vec![10, 0, 0, 1], vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
            ..CertificateNames::default()
        };
        for (member, text, expected) in [
            ("tls_client_auth_san_dns", "client.EXAMPLE.org", true),
            ("tls_client_auth_san_dns", "a.wild.example", false),
            ("tls_client_auth_san_dns", "example.org", false),
            ("tls_client_auth_san_uri", "https://client.example.org/Id", true),
            ("tls_client_auth_san_uri", "https://client.example.org/id", false),
            ("tls_client_auth_san_uri", "https://client.example.org", false),
            ("tls_client_auth_san_email", "Client@EXAMPLE.org", true),
            ("tls_client_auth_san_email", "client@example.org", false),
            ("tls_client_auth_san_ip", "10.0.0.1", true),
            ("tls_client_auth_san_ip", "10.0.0.2", false),
            ("tls_client_auth_san_ip", "2001:DB8:0::1", true),
            ("tls_client_auth_san_ip", "::ffff:10.0.0.1", false),
        ] {
            assert_eq!(ExpectedName::parse(member, text).unwrap().is_in(&names), expected, "{member} {text}");
        }
        assert_eq!(ExpectedName::parse("tls_client_auth_san_dns", "10.0.0.1"), None, "an address is no host");
    }
}
