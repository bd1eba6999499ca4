//! Compact JSON text from a tree: numbers as their source wrote them, members in their order, no white space.

use super::{Value, plain_length};

impl Value {
    /// Appends the compact JSON text.
    pub fn write(&self, output: &mut Vec<u8>) {
        match self {
            Self::Null => output.extend_from_slice(b"null"),
            Self::Bool(true) => output.extend_from_slice(b"true"),
            Self::Bool(false) => output.extend_from_slice(b"false"),
            Self::Number(text) => output.extend_from_slice(text.as_bytes()),
            Self::String(text) => write_string(text, output),
            Self::Array(items) => {
                output.push(b'[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        output.push(b',');
                    }
                    item.write(output);
                }
                output.push(b']');
            }
            Self::Object(members) => {
                output.push(b'{');
                for (position, (name, value)) in members.iter().enumerate() {
                    if position > 0 {
                        output.push(b',');
                    }
                    write_string(name, output);
                    output.push(b':');
                    value.write(output);
                }
                output.push(b'}');
            }
        }
    }
}

/// Escapes only what RFC 8259 section 7 demands: quotation mark, reverse solidus, and the controls below U+0020.
pub(crate) fn write_string(text: &str, output: &mut Vec<u8>) {
    output.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((plain, tail)) = rest.split_at_checked(plain_length(rest)) {
        output.extend_from_slice(plain);
        let Some((special, tail)) = tail.split_first() else { break };
        write_escape(*special, output);
        rest = tail;
    }
    output.push(b'"');
}

fn write_escape(byte: u8, output: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let hexadecimal = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            output.extend_from_slice(b"\\u00");
            output.extend_from_slice(&[hexadecimal(byte >> 4), hexadecimal(byte & 0xf)]);
            return;
        }
    };
    output.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::super::{Value, parse};

    #[test]
    fn every_character_survives_a_round_trip() {
        let text: String = (0..0x3000).filter_map(char::from_u32).chain(['\u{10FFFF}', '😀', '\u{2028}']).collect();
        let value = Value::object([("t\"e\\x\n", Value::from(text.as_str()))]);
        assert_eq!(parse(&value.to_bytes()).unwrap(), value);
    }

    #[test]
    fn numbers_keep_the_text_of_their_source() {
        for text in ["1.10", "-0", "1e400", "0.000", "123456789012345678901234567890", "1.0E+2"] {
            assert_eq!(parse(text.as_bytes()).unwrap().to_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn output_is_compact_and_keeps_member_order() {
        let source = br#" { "b" : [ 1 , true , null , {} , [] ] , "a" : "x\u0001\/" } "#;
        let expected = r#"{"b":[1,true,null,{},[]],"a":"x\u0001/"}"#;
        assert_eq!(String::from_utf8(parse(source).unwrap().to_bytes()).unwrap(), expected);
    }
}
