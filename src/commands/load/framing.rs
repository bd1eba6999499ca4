//! From bytes to JSON texts: one document, or one per line (<https://github.com/ndjson/ndjson-spec>), told apart by the content.
//!
//! Memory is bounded by the longest text. A line that is too long or broken is reported and passed over; the others go on.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// The longest JSON text, in bytes.
pub const MAXIMUM_TEXT: usize = 64 * 1024 * 1024;

/// One JSON text, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A place that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Takes a stream apart into texts.
pub struct Texts<R> {
    reader: R,
    limit: usize,
    /// The number of the line that was read last.
    line: u64,
    form: Form,
    /// Lines that were read while the form was being found out.
    ready: VecDeque<Result<Text, Unreadable>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown { named_as_lines: bool },
    Lines,
    Ended,
}

enum Line {
    End,
    Whole(Vec<u8>),
    TooLong,
}

impl<R: BufRead> Texts<R> {
    /// The texts of a stream. The name of a file decides only where the content does not.
    pub fn new(reader: R, named_as_lines: bool) -> Self {
        Self::with_limit(reader, named_as_lines, MAXIMUM_TEXT)
    }

    fn with_limit(reader: R, named_as_lines: bool, limit: usize) -> Self {
        Self { reader, limit, line: 0, form: Form::Unknown { named_as_lines }, ready: VecDeque::new() }
    }

    fn read_line(&mut self) -> io::Result<Line> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let count = self.reader.by_ref().take(limit + 1).read_until(b'\n', &mut bytes)?;
        if count == 0 {
            return Ok(Line::End);
        }
        self.line += 1;
        if count <= self.limit || bytes.ends_with(b"\n") {
            return Ok(Line::Whole(bytes));
        }
        drop(bytes);
        self.skip_line()?;
        Ok(Line::TooLong)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn too_long(&self) -> Unreadable {
        let reason =
            format!("The line is longer than {} MiB. Split the Bundle, or write its resources as NDJSON.", self.limit >> 20);
        Unreadable { line: self.line, reason }
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> io::Result<Option<Result<Text, Unreadable>>> {
        loop {
            match self.read_line()? {
                Line::End => return Ok(None),
                Line::TooLong => return Ok(Some(Err(self.too_long()))),
                Line::Whole(bytes) if bytes.trim_ascii().is_empty() => {}
                Line::Whole(bytes) => return Ok(Some(Ok(Text { line: self.line, bytes }))),
            }
        }
    }

    /// Looks at the first lines and decides what the stream is.
    fn find_form(&mut self, named_as_lines: bool) -> io::Result<Option<Result<Text, Unreadable>>> {
        let first = match self.next_line()? {
            Some(Ok(text)) => text,
            other => {
                self.form = Form::Lines;
                return Ok(other);
            }
        };
        if named_as_lines || is_json(&first.bytes) {
            self.form = Form::Lines;
            return Ok(Some(Ok(first)));
        }
        // A broken first line of NDJSON, or the beginning of a document on several lines.
        let second = self.read_line()?;
        if let Line::Whole(bytes) = &second
            && first.bytes.trim_ascii().ends_with(b"}")
            && bytes.trim_ascii().starts_with(b"{")
        {
            self.form = Form::Lines;
            self.ready.push_back(Ok(Text { line: self.line, bytes: bytes.clone() }));
            return Ok(Some(Ok(first)));
        }
        self.document(first, second).map(Some)
    }

    fn document(&mut self, first: Text, second: Line) -> io::Result<Result<Text, Unreadable>> {
        self.form = Form::Ended;
        let mut text = first;
        let room = self.limit.saturating_sub(text.bytes.len());
        let fits = match second {
            Line::End => true,
            Line::TooLong => false,
            Line::Whole(bytes) => {
                text.bytes.extend_from_slice(&bytes);
                let limit = u64::try_from(room.saturating_sub(bytes.len())).unwrap_or(u64::MAX);
                let rest = self.reader.by_ref().take(limit + 1).read_to_end(&mut text.bytes)?;
                u64::try_from(rest).is_ok_and(|rest| rest <= limit)
            }
        };
        if fits {
            return Ok(Ok(text));
        }
        let reason =
            format!("The document is longer than {} MiB. Split the Bundle, or write its resources as NDJSON.", self.limit >> 20);
        Ok(Err(Unreadable { line: text.line, reason }))
    }
}

impl<R: BufRead> Iterator for Texts<R> {
    type Item = Result<Text, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let next = match self.form {
            Form::Unknown { named_as_lines } => self.find_form(named_as_lines),
            Form::Lines => self.next_line(),
            Form::Ended => return None,
        };
        next.unwrap_or_else(|error| {
            self.form = Form::Ended;
            Some(Err(Unreadable { line: self.line + 1, reason: read_error(&error) }))
        })
    }
}

fn read_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "The compressed file ends early; what stands before was read.".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            format!("The compressed file is damaged ({error}); what stands before was read.")
        }
        _ => format!("The file cannot be read further: {error}."),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::bufread::MultiGzDecoder;
    use flate2::write::GzEncoder;

    use super::*;

    fn texts(content: &[u8], named_as_lines: bool) -> Vec<Result<(u64, String), (u64, String)>> {
        let texts = Texts::with_limit(content, named_as_lines, 100);
        texts
            .map(|text| match text {
                Ok(text) => Ok((text.line, String::from_utf8_lossy(&text.bytes).trim().to_owned())),
                Err(error) => Err((error.line, error.reason)),
            })
            .collect()
    }

    fn lines(content: &str) -> Vec<(u64, String)> {
        texts(content.as_bytes(), false).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn the_content_tells_lines_from_one_document() {
        assert_eq!(lines("{\"a\":1}\n{\"b\":2}\n"), [(1, "{\"a\":1}".into()), (2, "{\"b\":2}".into())]);
        assert_eq!(lines("{\"a\":1}"), [(1, "{\"a\":1}".into())]);
        assert_eq!(lines("\n\n{\n \"a\":1\n}\n"), [(3, "{\n \"a\":1\n}".into())]);
        assert_eq!(lines("{ \"a\": {}\n, \"b\": 1 }"), [(1, "{ \"a\": {}\n, \"b\": 1 }".into())]);
        assert_eq!(lines("{\"a\":1}\n\n \n{\"b\":2}")[1].0, 4);
        assert_eq!(lines("{\"a\":1}\r\n{\"b\":2}\r\n").len(), 2);
        assert!(lines("").is_empty() && lines("\n \n").is_empty());
    }

    #[test]
    fn a_broken_line_is_one_text_and_hides_no_other() {
        for broken in ["{\"a\":}", "{\"a\":1,}", "{\"a\" 1}"] {
            let content = format!("{broken}\n{{\"b\":2}}\n{broken}\n{{\"c\":3}}\n");
            assert_eq!(texts(content.as_bytes(), false).len(), 4, "{broken}");
        }
        let cut = "{\"a\":\"x\n{\"b\":2}\n";
        assert_eq!(texts(cut.as_bytes(), true).len(), 2, "the name decides where the content does not");
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let content = format!("{{\"a\":1}}\n{{\"long\":\"{}\"}}\n{{\"b\":2}}\n", "x".repeat(200));
        let found = texts(content.as_bytes(), false);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].as_ref().unwrap_err().0, 2);
        assert_eq!(found[2], Ok((3, "{\"b\":2}".to_owned())));
    }

    #[test]
    fn a_document_that_is_too_long_is_refused() {
        let content = format!("{{\n\"long\":\"{}\"}}", "x".repeat(200));
        assert_eq!(texts(content.as_bytes(), false).len(), 1);
        let content = format!("{{\n\"a\":1,\n\"long\":\"{}\"}}", "x".repeat(200));
        assert!(texts(content.as_bytes(), false)[0].is_err());
        let exact = format!("{{\n\"a\":\"{}\"\n}}", "x".repeat(90));
        assert_eq!(exact.len(), 100);
        assert!(texts(exact.as_bytes(), false)[0].is_ok());
    }

    #[test]
    fn a_truncated_gzip_file_gives_what_it_has_and_says_so() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for number in 0..2000 {
            writeln!(encoder, "{{\"number\":{}}}", number * 7919 % 2003).unwrap();
        }
        let whole = encoder.finish().unwrap();
        let read = |bytes: &[u8]| Texts::new(std::io::BufReader::new(MultiGzDecoder::new(bytes)), true).collect::<Vec<_>>();
        assert_eq!(read(&whole).len(), 2000);
        let found = read(&whole[..whole.len() / 2]);
        let (last, before) = found.split_last().unwrap();
        assert!(last.as_ref().unwrap_err().reason.contains("ends early"), "{last:?}");
        assert!(before.len() > 100 && before.iter().all(Result::is_ok));
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0xff;
        assert!(read(&damaged).iter().any(Result::is_err));
    }
}
