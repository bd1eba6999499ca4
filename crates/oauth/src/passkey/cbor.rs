//! The part of CBOR that authenticators send (RFC 8949; CTAP 2.1 section 8, "CTAP2 canonical CBOR encoding form"): definite lengths, no tags, no
//! floating point, at most four levels.

/// The deepest nesting (CTAP 2.1 section 8).
const MAXIMUM_DEPTH: u8 = 4;
/// The most entries of an array or map.
const MAXIMUM_ENTRIES: u64 = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// An array; nothing of ours looks into one.
    Array,
    /// A map.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// `true`, `false` or `null`.
    Simple,
}

impl<'a> Value<'a> {
    /// The value under a text key.
    pub fn named(&self, name: &str) -> Option<&Self> {
        self.find(&Value::Text(name))
    }

    /// The value under an integer key.
    pub fn numbered(&self, number: i64) -> Option<&Self> {
        self.find(&Value::Integer(number))
    }

    /// The bytes.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn find(&self, key: &Value<'_>) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(found, _)| found == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Reads one value and returns what follows it.
pub fn read(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    read_at(bytes, 0)
}

fn read_at(bytes: &[u8], depth: u8) -> Option<(Value<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (argument, rest) = argument(first & 0x1f, rest)?;
    match first >> 5 {
        0 => Some((Value::Integer(i64::try_from(argument).ok()?), rest)),
        1 => Some((Value::Integer(-1 - i64::try_from(argument).ok()?), rest)),
        2 => text(argument, rest).map(|(bytes, rest)| (Value::Bytes(bytes), rest)),
        3 => text(argument, rest).and_then(|(bytes, rest)| Some((Value::Text(std::str::from_utf8(bytes).ok()?), rest))),
        4 | 5 if argument > MAXIMUM_ENTRIES || depth >= MAXIMUM_DEPTH => None,
        4 => {
            let mut rest = rest;
            for _ in 0..argument {
                (_, rest) = read_at(rest, depth + 1)?;
            }
            Some((Value::Array, rest))
        }
        5 => map(argument, rest, depth + 1),
        7 if (20..=22).contains(&argument) && first & 0x1f < 24 => Some((Value::Simple, rest)),
        _ => None,
    }
}

fn map(entries: u64, bytes: &[u8], depth: u8) -> Option<(Value<'_>, &[u8])> {
    let mut rest = bytes;
    let mut read: Vec<(Value<'_>, Value<'_>)> = Vec::new();
    for _ in 0..entries {
        let (key, after) = read_at(rest, depth)?;
        let (value, after) = read_at(after, depth)?;
        // A key that stands twice is a trick.
        if read.iter().any(|(found, _)| *found == key) {
            return None;
        }
        read.push((key, value));
        rest = after;
    }
    Some((Value::Map(read), rest))
}

fn argument(low: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let width = match low {
        0..=23 => return Some((u64::from(low), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(width)?;
    Some((bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)), rest))
}

fn text(length: u64, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_and_what_follows_is_returned() {
        let (value, rest) = read(b"\xa3\x01\x02\x20\x41\xff\x63fmt\x64none!").unwrap();
        assert_eq!(value.numbered(1), Some(&Value::Integer(2)));
        assert_eq!(value.numbered(-1).unwrap().bytes(), Some(&b"\xff"[..]));
        assert_eq!(value.named("fmt"), Some(&Value::Text("none")));
        assert_eq!(rest, b"!");
    }

    #[test]
    fn what_is_cut_off_nested_endless_or_doubled_is_refused() {
        let whole = b"\xa3\x01\x02\x20\x41\xff\x63fmt\x64none";
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), None, "{cut}");
        }
        for bytes in [
            &b"\x81\x81\x81\x81\x81\x01"[..],
            b"\x9f\x01\xff",
            b"\xa2\x01\x02\x01\x03",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xc1\x01",
            b"\xf9\x00\x00",
            b"\x62\xff\xff",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
