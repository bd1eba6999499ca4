//! Writes one JSON object as text, without a tree (RFC 8259, and R4 section 2.6.2 for what FHIR adds).
//!
//! Names and structure come from this crate's code; strings are escaped. Decimals are written from integers and a scale, so that
//! their trailing zeros stand. It does not check that a name is used once.

use jiff::civil::Date;

use crate::calendar::{Moment, push_date};
use crate::generate::GeneratedResource;
use crate::mark::mark;

/// A decimal number: `units / 10^scale`, written with exactly `scale` places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) units: i64,
    pub(crate) scale: u32,
}

impl Decimal {
    /// A decimal of so many units of the last place.
    pub(crate) const fn new(units: i64, scale: u32) -> Self {
        Self { units, scale }
    }

    fn push_to(self, text: &mut String) {
        if self.units < 0 {
            text.push('-');
        }
        let divisor = 10_u64.pow(self.scale);
        let units = self.units.unsigned_abs();
        push_digits(text, units / divisor);
        if self.scale > 0 {
            text.push('.');
            let mut rest = units % divisor;
            let mut place = divisor / 10;
            while place > 0 {
                text.push(char::from(b'0' + (rest / place) as u8));
                rest %= place;
                place /= 10;
            }
        }
    }
}

/// A resource that is being written.
pub(crate) struct Writer {
    resource_type: &'static str,
    id: String,
    mark: String,
    text: String,
}

impl Writer {
    /// Opens a resource with its type and id, in the data set of a seed.
    pub(crate) fn resource(resource_type: &'static str, id: String, seed: u64) -> Self {
        let mut writer = Self { resource_type, id: String::new(), mark: mark(seed), text: String::with_capacity(1536) };
        writer.text.push('{');
        writer.string("resourceType", resource_type);
        writer.marked("id", &[&id]);
        writer.id = id;
        writer
    }

    /// Closes the resource. The id beside it is without the mark, as this crate's code refers to it.
    pub(crate) fn finish(mut self) -> (String, GeneratedResource) {
        self.text.push('}');
        let id = format!("{}{}", self.id, self.mark);
        (self.id, GeneratedResource { resource_type: self.resource_type, id, json: self.text })
    }

    /// A string, code, uri or id.
    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(&[value]);
    }

    /// A string that is put together from parts.
    pub(crate) fn joined(&mut self, name: &str, parts: &[&str]) {
        self.name(name);
        self.quoted(parts);
    }

    /// The same with the mark of the data set behind the parts: ids, and what must differ as they do.
    pub(crate) fn marked(&mut self, name: &str, parts: &[&str]) {
        self.name(name);
        self.quoted(parts);
        // The mark has nothing to escape; it goes before the closing quotation mark.
        self.text.pop();
        self.text.push_str(&self.mark);
        self.text.push('"');
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, name: &str, values: &[&str]) {
        self.list(name, |list| {
            for value in values {
                list.separate();
                list.quoted(&[value]);
            }
        });
    }

    /// A list of integers.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) {
        self.list(name, |list| {
            for value in values {
                list.separate();
                Decimal::new(*value, 0).push_to(&mut list.text);
            }
        });
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// An integer.
    pub(crate) fn integer(&mut self, name: &str, value: i64) {
        self.decimal(name, Decimal::new(value, 0));
    }

    /// A decimal number.
    pub(crate) fn decimal(&mut self, name: &str, value: Decimal) {
        self.name(name);
        value.push_to(&mut self.text);
    }

    /// A date.
    pub(crate) fn date(&mut self, name: &str, date: Date) {
        self.name(name);
        self.text.push('"');
        push_date(&mut self.text, date);
        self.text.push('"');
    }

    /// A dateTime or instant.
    pub(crate) fn moment(&mut self, name: &str, moment: Moment) {
        self.name(name);
        self.text.push('"');
        moment.push_to(&mut self.text);
        self.text.push('"');
    }

    /// A nested object.
    pub(crate) fn object(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braces(body);
    }

    /// A list, filled by [`Writer::entry`].
    pub(crate) fn list(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.name(name);
        self.text.push('[');
        body(self);
        self.text.push(']');
    }

    /// An object in a list.
    pub(crate) fn entry(&mut self, body: impl FnOnce(&mut Self)) {
        self.separate();
        self.braces(body);
    }

    /// A list that holds one object.
    pub(crate) fn single(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.list(name, |list| list.entry(body));
    }

    fn braces(&mut self, body: impl FnOnce(&mut Self)) {
        self.text.push('{');
        body(self);
        self.text.push('}');
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// A comma, unless nothing stands before in this object or list. Text ends with `{` or `[` only there: strings end with a quote.
    fn separate(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }

    fn quoted(&mut self, parts: &[&str]) {
        self.text.push('"');
        for part in parts {
            push_escaped(&mut self.text, part);
        }
        self.text.push('"');
    }
}

fn push_digits(text: &mut String, number: u64) {
    if number >= 10 {
        push_digits(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// RFC 8259 section 7: quotation mark, reverse solidus and the control characters must be escaped.
fn push_escaped(text: &mut String, value: &str) {
    if !value.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        text.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if (control as u32) < 0x20 => {
                text.push_str("\\u00");
                let hexadecimal = |digit: u32| char::from_digit(digit, 16).unwrap_or('0');
                text.push(hexadecimal(control as u32 / 16));
                text.push(hexadecimal(control as u32 % 16));
            }
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::DEMO_SEED;

    fn written(body: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::resource("Basic", "b".to_owned(), DEMO_SEED);
        body(&mut writer);
        writer.finish().1.json.replace("{\"resourceType\":\"Basic\",\"id\":\"b\"", "{")
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(written(|w| w.string("a", "q\"b\\n\nt\t\u{1}é")), r#"{,"a":"q\"b\\n\nt\t\u0001é"}"#);
    }

    #[test]
    fn a_string_that_ends_with_an_opening_brace_does_not_swallow_the_comma() {
        assert_eq!(
            written(|w| {
                w.string("a", "{");
                w.string("b", "[");
            }),
            r#"{,"a":"{","b":"["}"#
        );
    }

    #[test]
    fn decimals_keep_their_places() {
        let cases = [(12050, 2, "120.50"), (5, 2, "0.05"), (-5, 1, "-0.5"), (0, 2, "0.00"), (7, 0, "7"), (1002, 3, "1.002")];
        for (units, scale, expected) in cases {
            let mut text = String::new();
            Decimal::new(units, scale).push_to(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn lists_and_objects_nest() {
        let text = written(|w| {
            w.list("a", |list| {
                list.entry(|e| e.integer("x", 1));
                list.entry(|_| {});
            });
            w.single("b", |e| e.boolean("y", true));
            w.integers("c", &[1, 2]);
            w.strings("d", &["p", "q"]);
            w.object("e", |_| {});
        });
        assert_eq!(text, r#"{,"a":[{"x":1},{}],"b":[{"y":true}],"c":[1,2],"d":["p","q"],"e":{}}"#);
    }
}
