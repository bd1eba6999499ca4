//! A list of passwords that are known to attackers (NIST SP 800-63B section 5.1.1.2), looked up in its file without being read into memory.
//!
//! The file has one line per password: its SHA-1 as 40 hexadecimal digits, then anything (the Pwned Passwords download has `:count`), ordered by hash.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

/// The digits of a SHA-1.
const DIGITS: usize = 40;
/// The longest line, in bytes; a file with longer ones is none of these.
const LONGEST_LINE: usize = 128;

/// The list, by the name of its file. The file is opened anew for each password, so that a newer list counts at once, whether it was written over the
/// old one or put in its place.
#[derive(Debug)]
pub struct BreachedPasswords {
    path: PathBuf,
}

impl BreachedPasswords {
    /// The list in this file, which must be one.
    pub fn open(path: &Path) -> io::Result<Self> {
        List::open(path).map(|_| Self { path: path.to_owned() })
    }

    /// Whether the password is on the list as it is now.
    pub fn contains(&self, password: &str) -> io::Result<bool> {
        List::open(&self.path)?.contains(password)
    }
}

/// An open list.
#[derive(Debug)]
struct List {
    file: File,
    length: u64,
}

impl List {
    /// Opens a list, and looks whether its first and last lines are those of one.
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let list = Self { file, length };
        let first = list.line_from(0)?;
        let last = list.line_from(list.line_start(length.saturating_sub(1))?)?;
        let is_list = first.as_ref().is_some_and(|first| last.as_ref().is_some_and(|last| first <= last));
        if is_list { Ok(list) } else { Err(io::Error::new(ErrorKind::InvalidData, "no list of SHA-1 hashes ordered by hash")) }
    }

    /// Whether the password is on the list.
    fn contains(&self, password: &str) -> io::Result<bool> {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let wanted: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let start = self.line_start(low.midpoint(high))?;
            let Some(found) = self.line_from(start)? else { return Err(ErrorKind::InvalidData.into()) };
            match found.as_str().cmp(&wanted) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = self.next_line(start)?,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        Ok(false)
    }

    /// Where the line begins that holds this byte.
    fn line_start(&self, at: u64) -> io::Result<u64> {
        let window = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX).min(at);
        let mut bytes = vec![0; usize::try_from(window).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, at - window)?;
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(position) => Ok(at - window + u64::try_from(position).unwrap_or(0) + 1),
            None if window == at => Ok(0),
            None => Err(io::Error::new(ErrorKind::InvalidData, "a line is too long")),
        }
    }

    fn next_line(&self, start: u64) -> io::Result<u64> {
        let bytes = self.window(start)?;
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(position) => Ok(start + u64::try_from(position).unwrap_or(0) + 1),
            None => Ok(self.length),
        }
    }

    /// The hash at the beginning of a line, in capital letters.
    fn line_from(&self, start: u64) -> io::Result<Option<String>> {
        let bytes = self.window(start)?;
        let digits = bytes.get(..DIGITS).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let ends = bytes.get(DIGITS).is_none_or(|byte| !byte.is_ascii_hexdigit());
        Ok(digits.filter(|_| ends).map(|digits| String::from_utf8_lossy(digits).to_ascii_uppercase()))
    }

    fn window(&self, start: u64) -> io::Result<Vec<u8>> {
        let rest = self.length.saturating_sub(start).min(u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX));
        let mut bytes = vec![0; usize::try_from(rest).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha1(text: &str) -> String {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect()
    }

    fn open(text: &str) -> io::Result<List> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        List::open(file.path())
    }

    #[test]
    fn every_password_of_the_list_is_found_and_no_other() {
        for ending in ["\r\n", "\n", ":7\r\n", ":1234567\n"] {
            let mut lines: Vec<String> = (0..257).map(|number| sha1(&format!("password {number}"))).collect();
            lines.sort();
            for end in [ending, ""] {
                let list = open(&(lines.join(ending) + end)).unwrap();
                for number in 0..257 {
                    assert!(list.contains(&format!("password {number}")).unwrap(), "{number} {ending:?}");
                    assert!(!list.contains(&format!("other {number}")).unwrap(), "{number} {ending:?}");
                }
            }
        }
        assert!(open(&sha1("one")).unwrap().contains("one").unwrap());
    }

    #[test]
    fn what_is_no_such_list_is_refused_at_once() {
        let long = "a".repeat(1000);
        let reversed = format!("{}\n{}\n", "F".repeat(40), "0".repeat(40));
        for text in ["", "\n", "password\n", "0123\n", &long, &reversed, &"0".repeat(64)] {
            assert!(open(text).is_err(), "{text}");
        }
    }
}
