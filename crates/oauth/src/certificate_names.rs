//! The names in a certificate: its subject and its alternative names (RFC 5280 sections 4.1.2.6 and 4.2.1.6), read from DER.
//!
//! Nothing is checked here: whoever reads names must have verified the chain first, and [`CertificateNames::of_trusted`] is called in one place only. Names
//! of other forms than the five of RFC 8705 section 2.1.2 are passed over.

/// The extension with the alternative names, 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
/// `[0]` of TBSCertificate: the version.
const VERSION: u8 = 0xA0;
/// `[3]` of TBSCertificate: the extensions.
const EXTENSIONS: u8 = 0xA3;

/// The names of a certificate whose chain was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The subject, the most general part first, as it stands in the certificate.
    pub(crate) subject: Vec<Vec<Attribute>>,
    /// dNSName
    pub(crate) dns: Vec<String>,
    /// uniformResourceIdentifier
    pub(crate) uris: Vec<String>,
    /// rfc822Name
    pub(crate) emails: Vec<String>,
    /// iPAddress: 4 or 16 bytes
    pub(crate) addresses: Vec<Vec<u8>>,
}

/// One attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// Its type as dotted decimal numbers.
    pub(crate) kind: String,
    /// Its value as text; `None` where it is of no kind of text that is known.
    pub(crate) text: Option<String>,
    /// Its value in DER.
    pub(crate) der: Vec<u8>,
}

impl CertificateNames {
    /// Reads the names of a certificate in DER. `None` where it is not one.
    pub fn of_trusted(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(certificate, SEQUENCE)?;
        let (mut fields, _) = expect(certificate, SEQUENCE)?;
        if let Some((_, rest)) = expect(fields, VERSION) {
            fields = rest;
        }
        // serialNumber, signature, issuer, validity
        for _ in 0..4 {
            fields = read(fields)?.rest;
        }
        let (subject, mut fields) = expect(fields, SEQUENCE)?;
        let mut names = Self { subject: name(subject)?, ..Self::default() };
        while let Some(field) = read(fields) {
            if field.tag == EXTENSIONS {
                names.read_extensions(field.content)?;
            }
            fields = field.rest;
        }
        Some(names)
    }

    fn read_extensions(&mut self, content: &[u8]) -> Option<()> {
        let (mut extensions, _) = expect(content, SEQUENCE)?;
        while !extensions.is_empty() {
            let (extension, rest) = expect(extensions, SEQUENCE)?;
            extensions = rest;
            let (kind, value) = expect(extension, OBJECT_IDENTIFIER)?;
            let value = expect(value, BOOLEAN).map_or(value, |(_critical, value)| value);
            if dotted(kind)? == SUBJECT_ALTERNATIVE_NAME {
                let (value, _) = expect(value, OCTET_STRING)?;
                self.read_alternatives(expect(value, SEQUENCE)?.0)?;
            }
        }
        Some(())
    }

    fn read_alternatives(&mut self, mut names: &[u8]) -> Option<()> {
        while !names.is_empty() {
            let name = read(names)?;
            names = name.rest;
            let text = || std::str::from_utf8(name.content).ok().filter(|text| text.is_ascii()).map(str::to_owned);
            match name.tag {
                0x81 => self.emails.push(text()?),
                0x82 => self.dns.push(text()?),
                0x86 => self.uris.push(text()?),
                0x87 => self.addresses.push(name.content.to_vec()),
                _ => {}
            }
        }
        Some(())
    }
}

/// RDNSequence: a sequence of sets of attributes.
fn name(mut content: &[u8]) -> Option<Vec<Vec<Attribute>>> {
    let mut parts = Vec::new();
    while !content.is_empty() {
        let (mut set, rest) = expect(content, SET)?;
        content = rest;
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let (attribute, rest) = expect(set, SEQUENCE)?;
            set = rest;
            let (kind, der) = expect(attribute, OBJECT_IDENTIFIER)?;
            let value = read(der)?;
            attributes.push(Attribute { kind: dotted(kind)?, text: text(&value), der: der.to_vec() });
        }
        parts.push(attributes);
    }
    Some(parts)
}

/// The text of a DirectoryString or IA5String. Characters beyond ASCII are taken where their encoding leaves no doubt.
fn text(value: &Element<'_>) -> Option<String> {
    let bytes = value.content;
    match value.tag {
        // UTF8String
        12 => String::from_utf8(bytes.to_vec()).ok(),
        // PrintableString, IA5String
        19 | 22 => String::from_utf8(bytes.to_vec()).ok().filter(|text| text.is_ascii()),
        // BMPString
        30 => {
            let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2))
        }
        _ => None,
    }
}

/// One element of DER.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn read(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7F => usize::from(first),
        // A certificate came in at most 64 KiB.
        0x81..=0x83 => {
            let (length, after) = rest.split_at_checked(usize::from(first & 0x7F))?;
            rest = after;
            length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

/// The content of an element of this kind, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    read(bytes).filter(|element| element.tag == tag).map(|element| (element.content, element.rest))
}

/// An object identifier as dotted decimal numbers (X.690 section 8.19).
fn dotted(bytes: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number: u64 = 0;
    for byte in bytes {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7F))?;
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let (first, rest) = numbers.split_first().filter(|_| bytes.last().is_some_and(|last| last & 0x80 == 0))?;
    let root = (first / 40).min(2);
    let all = [root, first.checked_sub(root * 40)?].into_iter().chain(rest.iter().copied());
    Some(all.map(|number| number.to_string()).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of DER.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content.to_vec()].concat()
    }

    fn certificate(subject: &[u8], alternatives: &[u8]) -> Vec<u8> {
        let extension = [element(6, &[0x55, 0x1D, 0x11]), element(1, &[0xFF]), element(4, &element(0x30, alternatives))].concat();
        let extensions = element(0xA3, &element(0x30, &element(0x30, &extension)));
        let four = [element(2, &[1]), element(0x30, &[]), element(0x30, &[]), element(0x30, &[])].concat();
        let fields = [element(0xA0, &element(2, &[2])), four, subject.to_vec(), element(0x30, &[]), extensions].concat();
        element(0x30, &element(0x30, &fields))
    }

    #[test]
    fn subject_and_alternative_names_are_read() {
        let attribute = element(0x30, &[element(6, &[0x55, 4, 3]), element(12, "Ärztin".as_bytes())].concat());
        let subject = element(0x30, &element(0x31, &attribute));
        let alternatives = [element(0x82, b"a.example"), element(0x87, &[127, 0, 0, 1]), element(0xA0, b"passed over")].concat();
        let names = CertificateNames::of_trusted(&certificate(&subject, &alternatives)).unwrap();
        assert_eq!((names.subject[0][0].kind.as_str(), names.subject[0][0].text.as_deref()), ("2.5.4.3", Some("Ärztin")));
        assert_eq!((names.dns, names.addresses), (vec!["a.example".to_owned()], vec![vec![127, 0, 0, 1]]));
        assert!(names.uris.is_empty() && names.emails.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_of_another_form_has_no_names() {
        let whole = certificate(&element(0x30, &[]), &element(0x82, b"a.example"));
        assert!(CertificateNames::of_trusted(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(CertificateNames::of_trusted(&whole[..length]), None, "{length}");
        }
        for wrong in [&[0x30, 0x80, 0, 0][..], &[0x30, 0x84, 0, 0, 0, 0], b"certificate"] {
            assert_eq!(CertificateNames::of_trusted(wrong), None);
        }
        let beyond = certificate(&element(0x30, &[]), &element(0x82, &[0xFF]));
        assert_eq!(CertificateNames::of_trusted(&beyond), None);
        assert_eq!(dotted(&[0x2A, 0x86, 0x48]).as_deref(), Some("1.2.840"));
        assert_eq!((dotted(&[]), dotted(&[0x86])), (None, None));
    }
}
