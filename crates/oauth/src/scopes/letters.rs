//! The five letters of SMART v2 scopes and sets of them.

use std::fmt;

/// One kind of permission (SMART App Launch 2.2.0, "Scopes for requesting FHIR Resources").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Letter {
    /// `c`: create of a type.
    Create = 1,
    /// `r`: read, vread, history of an instance.
    Read = 2,
    /// `u`: update, patch, and update that creates.
    Update = 4,
    /// `d`: delete of an instance.
    Delete = 8,
    /// `s`: search and history of a type or of the system.
    Search = 16,
}

impl Letter {
    /// All letters in the order in which a scope must write them.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    /// The letter as a scope writes it.
    pub fn as_char(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }
}

/// A set of letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LetterSet(u8);

impl LetterSet {
    /// No letter.
    pub const NONE: Self = Self(0);
    /// `cruds`, the v1 `*`.
    pub const ALL: Self = Self(31);
    /// `rs`, the v1 `read`.
    pub const READ: Self = Self(Letter::Read as u8 | Letter::Search as u8);
    /// `cud`, the v1 `write`.
    pub const WRITE: Self = Self(Letter::Create as u8 | Letter::Update as u8 | Letter::Delete as u8);

    /// The letters after the dot of a v2 scope: at least one, each at most once, in the order `cruds`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut set = Self::NONE;
        for letter in Letter::ALL {
            if let Some(after) = rest.strip_prefix(letter.as_char()) {
                set = set.with(letter);
                rest = after;
            }
        }
        (rest.is_empty() && set != Self::NONE).then_some(set)
    }

    /// The set with one more letter.
    #[must_use]
    pub fn with(self, letter: Letter) -> Self {
        Self(self.0 | letter as u8)
    }

    /// The letters of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the letter is in the set.
    pub fn contains(self, letter: Letter) -> bool {
        self.0 & letter as u8 != 0
    }

    /// Whether every letter of `other` is in this set.
    pub fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the two sets have a letter in common.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for LetterSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        Letter::ALL
            .into_iter()
            .filter(|letter| self.contains(*letter))
            .try_for_each(|letter| formatter.write_char(letter.as_char()))
    }
}

impl fmt::Debug for LetterSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LetterSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disordered_repeated_unknown_or_absent_letters_are_refused() {
        portcullis_verifies::verifies!("SMART-38");
        for text in ["", "sr", "dus", "rr", "x", "rx", "RS", "r s", "read", "crudss", "*", "é"] {
            assert_eq!(LetterSet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_of_the_31_sets_is_written_as_it_is_read() {
        for bits in 1..=31 {
            let text = LetterSet(bits).to_string();
            assert_eq!(LetterSet::parse(&text), Some(LetterSet(bits)), "{text}");
        }
        assert_eq!(LetterSet::ALL.to_string(), "cruds");
        assert_eq!(LetterSet::READ.to_string(), "rs");
        assert_eq!(LetterSet::WRITE.to_string(), "cud");
    }
}
