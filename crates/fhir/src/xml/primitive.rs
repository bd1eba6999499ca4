//! The values of primitives: text in XML; a string, number or boolean in JSON.

use crate::definitions::Primitive;
use crate::json::{self, Value};

/// How JSON writes a primitive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Boolean,
    Text,
}

fn form(primitive: Primitive) -> Form {
    match primitive {
        Primitive::Boolean => Form::Boolean,
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => Form::Number,
        Primitive::Base64Binary
        | Primitive::Canonical
        | Primitive::Code
        | Primitive::Date
        | Primitive::DateTime
        | Primitive::Id
        | Primitive::Instant
        | Primitive::Markdown
        | Primitive::Oid
        | Primitive::String
        | Primitive::Time
        | Primitive::Uri
        | Primitive::Url
        | Primitive::Uuid
        | Primitive::Xhtml => Form::Text,
    }
}

/// The JSON of a value; else what was expected. Formats are checked by whoever checks JSON.
pub(super) fn to_json(primitive: Primitive, text: &str) -> Result<Value, &'static str> {
    match form(primitive) {
        Form::Text => Ok(Value::String(text.into())),
        Form::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("expected true or false"),
        },
        // The grammar of decimals is that of numbers in JSON; white space is none of them.
        Form::Number => match json::parse(text.as_bytes()) {
            Ok(Value::Number(number)) if number.len() == text.len() => Ok(Value::Number(number)),
            _ => Err("expected a number"),
        },
    }
}

/// The text of a value; `None` where it is none of this type.
pub(super) fn to_text(primitive: Primitive, value: &Value) -> Option<&str> {
    match (form(primitive), value) {
        (Form::Text, Value::String(text)) | (Form::Number, Value::Number(text)) => Some(text),
        (Form::Boolean, Value::Bool(true)) => Some("true"),
        (Form::Boolean, Value::Bool(false)) => Some("false"),
        _ => None,
    }
}
