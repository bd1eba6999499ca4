//! Where something is in the ledger, and what the ledger was at one moment.

use std::fmt;
use std::str::FromStr;

use crate::segment::{Chain, GENESIS, HEADER_LENGTH};

/// A place in the ledger: the start of a frame, or the end of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment file's number, from 1.
    pub segment: u64,
    /// The byte in that file.
    pub offset: u64,
}

impl Position {
    /// The place of the first record.
    pub const START: Self = Self { segment: 1, offset: HEADER_LENGTH };
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {}, byte {}", self.segment, self.offset)
    }
}

/// The ledger's state after a number of records: whoever keeps it can later prove that nothing before it was changed.
///
/// Its text form is `RECORDS:HEX`, 64 hexadecimal digits after the number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// How many records there are.
    pub records: u64,
    /// The chain value after the last of them.
    pub chain: Chain,
}

impl Head {
    /// The head of a ledger without records.
    pub const EMPTY: Self = Self { records: 0, chain: GENESIS };
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.records)?;
        self.chain.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ledger head is a number of records, a colon and 64 hexadecimal digits")]
pub struct NotAHead;

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (records, digits) = text.split_once(':').ok_or(NotAHead)?;
        // `u64::from_str` accepts a sign, a head does not.
        if !records.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() != 64 {
            return Err(NotAHead);
        }
        let mut chain = GENESIS;
        let (pairs, _) = digits.as_bytes().as_chunks::<2>();
        for (byte, [high, low]) in chain.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self { records: records.parse().map_err(|_| NotAHead)?, chain })
    }
}

fn nibble(digit: u8) -> Result<u8, NotAHead> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(NotAHead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_text_is_read_back_as_the_same_head() {
        let mut head = Head { records: 1204, chain: [0xa7; 32] };
        head.chain[31] = 0x0c;
        assert_eq!(head.to_string().parse(), Ok(head));
        assert!(head.to_string().starts_with("1204:a7a7"));
        assert!(head.to_string().ends_with("a70c"));
    }

    #[test]
    fn texts_that_are_no_head_are_refused() {
        let digits = "0".repeat(64);
        let short = "0".repeat(63);
        for text in
            ["", ":", "1", "1:", &format!(":{digits}"), &format!("1:{short}"), &format!("1:{digits}0"), &format!("1:{short}g")]
        {
            assert_eq!(text.parse::<Head>(), Err(NotAHead), "{text}");
        }
        for text in
            [format!("+1:{digits}"), format!("-1:{digits}"), format!("99999999999999999999:{digits}"), format!("1:{short}é")]
        {
            assert_eq!(text.parse::<Head>(), Err(NotAHead), "{text}");
        }
    }
}
