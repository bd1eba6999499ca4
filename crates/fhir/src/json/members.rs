//! Some members of an object that was parsed before: what is not wanted is passed over without a tree.
//!
//! For a stored body, of which a decision looks at one or two members. Nothing that comes from outside is read this way: what is passed over is not checked.

use super::Value;
use super::parse::parse;

/// The object with those of its members whose names are wanted, in their order. `None` where the text is no object as far as it was looked at, or a member
/// that is wanted is no JSON.
pub fn parse_members(text: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Value> {
    let mut rest = Rest { text, position: 0 };
    let mut members: Vec<(Box<str>, Value)> = Vec::new();
    rest.expect(b'{')?;
    if rest.peek()? != b'}' {
        loop {
            let name = rest.name()?;
            rest.expect(b':')?;
            let value = rest.value()?;
            if let Some(name) = name.filter(|name| wanted(name)) {
                members.push((name.into(), parse(value).ok()?));
            }
            match rest.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    Some(Value::Object(members))
}

struct Rest<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Rest<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.position += self.text.get(self.position..)?.iter().take_while(blank).count();
        self.text.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A member's name; `Some(None)`: one with escapes, which no element of FHIR has.
    fn name(&mut self) -> Option<Option<&'a str>> {
        self.peek()?;
        let start = self.position;
        self.string()?;
        let name = std::str::from_utf8(self.text.get(start + 1..self.position - 1)?).ok()?;
        Some((!name.contains('\\')).then_some(name))
    }

    /// The text of a value.
    fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        let start = self.position;
        match first {
            b'{' | b'[' => self.nested()?,
            b'"' => self.string()?,
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                self.position += self.text.get(start..)?.iter().position(ends)?;
            }
        }
        self.text.get(start..self.position)
    }

    /// Passes over an array or object, byte by byte: their strings are short.
    fn nested(&mut self) -> Option<()> {
        let mut bytes = self.text.get(self.position..)?.iter();
        let mut depth = 0_usize;
        loop {
            match bytes.next()? {
                b'"' => pass_over_string(&mut bytes)?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        self.position = self.text.len() - bytes.len();
                        return Some(());
                    }
                }
                _ => {}
            }
        }
    }

    /// Passes over a string.
    fn string(&mut self) -> Option<()> {
        let mut bytes = self.text.get(self.position..)?.iter();
        if *bytes.next()? != b'"' {
            return None;
        }
        pass_over_string(&mut bytes)?;
        self.position = self.text.len() - bytes.len();
        Some(())
    }
}

/// Passes over what follows the quotation mark at which a string begins, up to the one at which it ends.
fn pass_over_string(bytes: &mut std::slice::Iter<'_, u8>) -> Option<()> {
    loop {
        match bytes.next()? {
            b'"' => return Some(()),
            // What follows a reverse solidus is no end.
            b'\\' => _ = bytes.next()?,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_that_are_not_wanted_are_passed_over() {
        let text = r#" { "a" : [ {"b":"}\"]"} , 1.50 ] , "c":"\\" ,"\u0064":true, "e" :-1e5 , "f":{} , "g":"é"} "#.as_bytes();
        let found = |names: &[&str]| {
            parse_members(text, |name| names.contains(&name)).map(|value| String::from_utf8(value.to_bytes()).unwrap())
        };
        assert_eq!(found(&[]).as_deref(), Some("{}"));
        assert_eq!(found(&["a"]).as_deref(), Some(r#"{"a":[{"b":"}\"]"},1.50]}"#));
        assert_eq!(found(&["c", "e"]).as_deref(), Some(r#"{"c":"\\","e":-1e5}"#));
        assert_eq!(found(&["d", "f", "g"]).as_deref(), Some(r#"{"f":{},"g":"é"}"#));
        for broken in [
            "",
            "{",
            "[]",
            "1",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":"x}"#,
            r#"{"a":[1}"#,
            r#"{"a":nul}"#,
        ] {
            assert_eq!(parse_members(broken.as_bytes(), |_| true), None, "{broken}");
        }
        assert_eq!(
            parse_members(b"{}", |_| true).map(|value| String::from_utf8(value.to_bytes()).unwrap()).as_deref(),
            Some("{}")
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(|number| Value::Number(number.to_string().into())),
            ".{0,12}".prop_map(|text| Value::String(text.into())),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let member = ("[a-z\\\\\"]{1,3}", inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::Array),
                prop::collection::btree_map(member.0, member.1, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_what_a_whole_parse_finds(members in prop::collection::btree_map("[a-c\\\\\"]{1,2}", any_value(), 0..8)) {
            let whole = Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect());
            let wanted = |name: &str| name.starts_with('a') && !name.contains(['\\', '"']);
            let expected = whole.as_object().unwrap().iter().filter(|(name, _)| wanted(name)).cloned().collect();
            prop_assert_eq!(parse_members(&whole.to_bytes(), wanted), Some(Value::Object(expected)));
        }

        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b':'), Just(b','), any::<u8>()], 0..40)) {
            parse_members(&text, |_| true);
        }
    }
}
