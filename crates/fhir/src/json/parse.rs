//! The strict parser of RFC 8259: bytes become a [`Value`], or an error with line, column and FHIRPath.
//!
//! Stricter than the grammar where FHIR bodies profit: repeated member names, byte order marks, lone surrogates and nesting beyond
//! [`MAXIMUM_DEPTH`] are errors. Recursion is bounded by that depth, so hostile nesting cannot exhaust the stack.

use super::place::{Place, Step, line_and_column};
use super::{Value, plain_length};

/// The deepest nesting of arrays and objects that is accepted. Published FHIR resources stay below 30.
pub const MAXIMUM_DEPTH: usize = 100;

/// Objects with more members than this are searched for repeated names by sorting instead of by comparing each pair.
const LINEAR_DUPLICATE_SEARCH: usize = 16;

/// Why a text is not JSON that FHIR accepts, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: &'static str,
    /// The FHIRPath of the element, as far as it is known; `Resource` where not even a type is.
    pub expression: String,
}

/// Parses one JSON text; white space may surround it, nothing else.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    parse_to(MAXIMUM_DEPTH, bytes)
}

/// The same to another depth, for what this server has put together of texts that were parsed.
pub(crate) fn parse_to(maximum_depth: usize, bytes: &[u8]) -> Result<Value, ParseError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(bytes, error.valid_up_to())),
    };
    let mut parser = Parser { maximum_depth, ..Parser::new(text) };
    parser.document().map_err(|message| error_at(bytes, parser.position, message, &parser.place))
}

/// The place of a byte that is not UTF-8 is where the text before it breaks off.
fn not_utf8(bytes: &[u8], position: usize) -> ParseError {
    let before = bytes.get(..position).and_then(|before| std::str::from_utf8(before).ok()).unwrap_or_default();
    let mut parser = Parser::new(before);
    let _ = parser.document();
    error_at(bytes, position, "the text is not valid UTF-8", &parser.place)
}

fn error_at(bytes: &[u8], position: usize, message: &'static str, place: &Place) -> ParseError {
    let (line, column) = line_and_column(bytes, position);
    ParseError { line, column, message, expression: place.expression() }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    maximum_depth: usize,
    /// Filled while an error is on its way out.
    place: Place,
}

type Parsed<T> = Result<T, &'static str>;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, position: 0, depth: 0, maximum_depth: MAXIMUM_DEPTH, place: Place::default() }
    }

    fn document(&mut self) -> Parsed<Value> {
        if self.text.starts_with('\u{feff}') {
            return Err("a byte order mark is not allowed");
        }
        self.skip_white_space();
        let value = self.value()?;
        self.skip_white_space();
        if self.position < self.text.len() {
            return Err("unexpected content after the JSON value");
        }
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// The bytes from here on.
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.position..).unwrap_or_default()
    }

    /// The text from `start` to here. Callers cut at ASCII characters only.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.position += 1;
        }
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err("expected a JSON value"),
            None => Err("the text ends where a JSON value was expected"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err("expected a JSON value");
        }
        self.position += word.len();
        Ok(value)
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == self.maximum_depth {
            return Err("arrays and objects are nested too deeply");
        }
        self.depth += 1;
        self.position += 1;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        self.skip_white_space();
        if self.peek() == Some(b']') {
            self.position += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_white_space();
            match self.value() {
                Ok(item) => items.push(item),
                Err(message) => {
                    self.place.within(Step::Item(items.len()));
                    return Err(message);
                }
            }
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b']') => {
                    self.position += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err("expected `,` or `]` in an array"),
            }
        }
    }

    fn object(&mut self) -> Parsed<Value> {
        let mut members: Vec<(Box<str>, Value)> = Vec::new();
        let read = self.members(&mut members);
        if read.is_err() && self.depth == 1 {
            self.place.in_resource(&members);
        }
        read.map(|()| Value::Object(members))
    }

    fn members(&mut self, members: &mut Vec<(Box<str>, Value)>) -> Parsed<()> {
        self.skip_white_space();
        if self.peek() == Some(b'}') {
            self.position += 1;
            return Ok(());
        }
        loop {
            self.skip_white_space();
            if self.peek() != Some(b'"') {
                return Err("expected a member name in double quotes");
            }
            let start = self.position;
            let name = self.string()?;
            if members.len() <= LINEAR_DUPLICATE_SEARCH && members.iter().any(|(known, _)| *known == name) {
                self.position = start;
                self.place.within(Step::Member(name));
                return Err("this member name occurs twice in one object");
            }
            self.skip_white_space();
            if self.peek() != Some(b':') {
                return Err("expected `:` after a member name");
            }
            self.position += 1;
            self.skip_white_space();
            match self.value() {
                Ok(value) => members.push((name, value)),
                Err(message) => {
                    self.place.within(Step::Member(name));
                    return Err(message);
                }
            }
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b'}') => break,
                _ => return Err("expected `,` or `}` in an object"),
            }
        }
        if members.len() > LINEAR_DUPLICATE_SEARCH
            && let Some(name) = repeated_name(members)
        {
            self.place.within(Step::Member(name.into()));
            return Err("a member name occurs twice in this object");
        }
        self.position += 1;
        Ok(())
    }

    /// RFC 8259 section 6: no leading zeros, no plus, digits on both sides of the point.
    fn number(&mut self) -> Parsed<Value> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        match self.peek() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err("expected a digit"),
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.since(start).into()))
    }

    fn digits(&mut self) -> Parsed<()> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += count;
        if count == 0 { Err("expected a digit") } else { Ok(()) }
    }

    fn string(&mut self) -> Parsed<Box<str>> {
        self.position += 1;
        let plain = self.plain_characters();
        if self.peek() == Some(b'"') {
            self.position += 1;
            return Ok(plain.into());
        }
        let mut text = String::from(plain);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(text.into_boxed_str());
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err("a control character in a string must be escaped"),
                None => return Err("the text ends inside a string"),
            }
            text.push_str(self.plain_characters());
        }
    }

    /// Everything up to a quotation mark, a reverse solidus, a control character or the end.
    fn plain_characters(&mut self) -> &'a str {
        let start = self.position;
        self.position += plain_length(self.rest());
        self.since(start)
    }

    fn escape(&mut self) -> Parsed<char> {
        self.position += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.position += 1;
                return self.unicode_escape();
            }
            _ => return Err("unknown escape in a string"),
        };
        self.position += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Parsed<char> {
        let first = self.four_digits()?;
        let code_point = match first {
            0xd800..=0xdbff => {
                if !self.rest().starts_with(b"\\u") {
                    return Err("a high surrogate without a low surrogate");
                }
                self.position += 2;
                let second = self.four_digits()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err("a high surrogate without a low surrogate");
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            other => other,
        };
        char::from_u32(code_point).ok_or("a low surrogate without a high surrogate")
    }

    fn four_digits(&mut self) -> Parsed<u32> {
        let digits = self.rest().get(..4).ok_or("expected four hexadecimal digits")?;
        let mut number = 0;
        for byte in digits {
            let digit = char::from(*byte).to_digit(16).ok_or("expected four hexadecimal digits")?;
            number = number * 16 + digit;
        }
        self.position += 4;
        Ok(number)
    }
}

fn repeated_name(members: &[(Box<str>, Value)]) -> Option<&str> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [left, right] if left == right => Some(*left),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn refusal(text: &str) -> ParseError {
        parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn errors_name_line_and_column_in_characters() {
        let error = refusal("{\n  \"ä\": tru\n}");
        assert_eq!((error.line, error.column), (2, 8));
        assert_eq!(error.to_string(), "line 2, column 8: expected a JSON value");
        let error = parse(b"[\"\xff\"]").unwrap_err();
        assert_eq!((error.line, error.column, error.message), (1, 3, "the text is not valid UTF-8"));
    }

    #[test]
    fn errors_name_the_element_as_far_as_it_is_known() {
        let many: String = (0..20).map(|number| format!("\"m{number}\":0,")).collect();
        for (text, expression) in [
            (r#"{"resourceType":"Observation","status":"final","status":"final"}"#.to_owned(), "Observation.status"),
            (
                r#"{"resourceType":"Observation","code":{"coding":[{},{"code":"a","code":"b"}]}}"#.to_owned(),
                "Observation.code.coding[1].code",
            ),
            (format!(r#"{{"resourceType":"Patient",{many}"m7":1}}"#), "Patient.m7"),
            (r#"{"resourceType":"Patient","name":[{"family":tru}]}"#.to_owned(), "Patient.name[0].family"),
            (r#"{"resourceType":"Patient""#.to_owned(), "Patient"),
            (r#"{"a b`":tru}"#.to_owned(), "Resource.`a b\\``"),
            (r#"{"resourceType":"Patint","x":tru}"#.to_owned(), "Resource.x"),
            ("[".repeat(10_000), "Resource"),
            ("{\"a\":".repeat(10_000), &format!("Resource{}", ".a".repeat(30))),
            ("tru".to_owned(), "Resource"),
        ] {
            assert_eq!(refusal(&text).expression, expression, "{text}");
        }
        let broken = parse(b"{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\xff\"}]}").unwrap_err();
        assert_eq!(broken.expression, "Patient.name[0].family");
    }

    #[test]
    fn repeated_member_names_are_refused_in_small_and_large_objects() {
        assert_eq!(refusal(r#"{"a":1,"b":2,"\u0061":3}"#).message, "this member name occurs twice in one object");
        for count in [17, 18, 40, 1000] {
            let mut members: Vec<String> = (0..count).map(|number| format!("\"m{number}\":0")).collect();
            assert!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok());
            members.push(format!("\"m{}\":1", count - 1));
            assert!(parse(format!("{{{}}}", members.join(",")).as_bytes()).is_err(), "{count}");
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_never_a_stack_overflow() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAXIMUM_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAXIMUM_DEPTH + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn surrogates_must_come_in_pairs() {
        assert_eq!(parse(br#""\ud83d\ude00""#).unwrap().as_str(), Some("😀"));
        for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d""#, r#""\ud83dx""#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let texts = [
            "",
            " ",
            "\u{feff}{}",
            "{} {}",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "NaN",
            "'a'",
            "{a:1}",
            "\"a\nb\"",
            "// c",
            "tru",
        ];
        for text in texts {
            refusal(text);
        }
    }

    /// JSONTestSuite cases of valid JSON that this parser refuses on purpose: the member names repeat.
    const REPEATED_NAMES: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

    #[test]
    fn json_test_suite_is_decided_as_it_demands() {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/malicious/json-parsing/JSONTestSuite-test_parsing.tar.xz");
        let folder = std::env::temp_dir().join(format!("portcullis-json-test-suite-{}", std::process::id()));
        if !archive.is_file() {
            eprintln!("skipped: JSONTestSuite is not in ../shared/data");
            return;
        }
        std::fs::create_dir_all(&folder).unwrap();
        let status = Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(&folder).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("skipped: tar with xz is not installed");
            return;
        }
        let mut cases = 0;
        let mut folders = vec![folder.clone()];
        while let Some(current) = folders.pop() {
            for entry in std::fs::read_dir(current).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if !name.ends_with(".json") {
                    continue;
                }
                let result = parse(&std::fs::read(&path).unwrap());
                match name.get(..2) {
                    Some("y_") => assert_eq!(result.is_ok(), !REPEATED_NAMES.contains(&name.as_str()), "{name}: {result:?}"),
                    Some("n_") => assert!(result.is_err(), "{name} was accepted"),
                    _ => {}
                }
                cases += 1;
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(cases, 318);
    }
}
