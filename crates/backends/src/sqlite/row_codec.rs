//! The compact form in which a resource's rows are remembered (`index_rows.rows`).
//!
//! A tag per row, then its integers as little-endian variable-length numbers (7 bits per byte, zigzag for signed ones), texts with their length in front.

use portcullis_fhir::instant::Range;
use portcullis_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::store_error;
use super::rows::{ComponentRow, Row};

/// Remembers the rows of a resource.
pub fn store(connection: &Connection, pk: i64, rows: &[Row]) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare_cached("INSERT INTO index_rows (pk, rows) VALUES (?1, ?2) ON CONFLICT (pk) DO UPDATE SET rows = excluded.rows")
        .map_err(store_error)?;
    statement.execute(params![pk, encode(rows)]).map(|_| ()).map_err(store_error)
}

/// The rows of a resource, ascending; none where it was never stored.
pub fn load(connection: &Connection, pk: i64) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT rows FROM index_rows WHERE pk = ?1").map_err(store_error)?;
    let bytes: Option<Vec<u8>> = statement.query_row([pk], |row| row.get(0)).optional().map_err(store_error)?;
    let mut rows = decode(&bytes.unwrap_or_default())
        .ok_or_else(|| StoreError::Corrupt(format!("the index rows of {pk} cannot be read")))?;
    rows.sort_unstable();
    Ok(rows)
}

fn encode(rows: &[Row]) -> Vec<u8> {
    let mut output = Output(Vec::with_capacity(rows.len() * 24));
    for row in rows {
        match row {
            Row::Compartment { patient, resource_type, neg_time } => {
                output.tag(0).signed(*patient).byte(*resource_type).signed(*neg_time);
            }
            Row::Care { actor, patient, time: Range::ALWAYS } => {
                output.tag(1).signed(*actor).signed(*patient);
            }
            Row::Care { actor, patient, time } => {
                output.tag(11).signed(*actor).signed(*patient).signed(time.low).signed(time.high);
            }
            Row::SharedLink { target } => {
                output.tag(2).signed(*target);
            }
            Row::About { target } => {
                output.tag(3).signed(*target);
            }
            Row::Token { parameter, code, system, neg_time } => {
                output.tag(4).number(*parameter).fixed(code.cast_unsigned()).fixed(system.cast_unsigned()).signed(*neg_time);
            }
            Row::String { parameter, normalised, exact } => {
                output.tag(5).number(*parameter).text(normalised).text(exact);
            }
            Row::Reference { parameter, target, neg_time } => {
                output.tag(6).number(*parameter).signed(*target).signed(*neg_time);
            }
            Row::Date { parameter, low, high } => {
                output.tag(7).number(*parameter).signed(*low).signed(*high);
            }
            Row::Number { parameter, value, low, high, system, code, unit } => {
                output.tag(8).number(*parameter).fixed(*value).fixed(*low).fixed(*high);
                output.fixed(system.cast_unsigned()).fixed(code.cast_unsigned()).fixed(unit.cast_unsigned());
            }
            Row::Uri { parameter, uri } => {
                output.tag(9).number(*parameter).text(uri);
            }
            Row::Component(row) => {
                let ComponentRow { parameter, element, component, code, system, numbers, unit, normalised } = &**row;
                output.tag(10).number(*parameter).number(*element).byte(*component);
                output.fixed(code.cast_unsigned()).fixed(system.cast_unsigned()).fixed(unit.cast_unsigned());
                for bits in numbers {
                    output.fixed(*bits);
                }
                output.text(normalised);
            }
        }
    }
    output.0
}

fn decode(bytes: &[u8]) -> Option<Vec<Row>> {
    let mut input = Input(bytes);
    let mut rows = Vec::new();
    while !input.0.is_empty() {
        rows.push(match input.byte()? {
            0 => Row::Compartment { patient: input.signed()?, resource_type: input.byte()?, neg_time: input.signed()? },
            1 => Row::Care { actor: input.signed()?, patient: input.signed()?, time: Range::ALWAYS },
            2 => Row::SharedLink { target: input.signed()? },
            3 => Row::About { target: input.signed()? },
            4 => Row::Token { parameter: input.number()?, code: input.hash()?, system: input.hash()?, neg_time: input.signed()? },
            5 => Row::String { parameter: input.number()?, normalised: input.text()?, exact: input.text()? },
            6 => Row::Reference { parameter: input.number()?, target: input.signed()?, neg_time: input.signed()? },
            7 => Row::Date { parameter: input.number()?, low: input.signed()?, high: input.signed()? },
            8 => Row::Number {
                parameter: input.number()?,
                value: input.fixed()?,
                low: input.fixed()?,
                high: input.fixed()?,
                system: input.hash()?,
                code: input.hash()?,
                unit: input.hash()?,
            },
            9 => Row::Uri { parameter: input.number()?, uri: input.text()? },
            11 => Row::Care {
                actor: input.signed()?,
                patient: input.signed()?,
                time: Range { low: input.signed()?, high: input.signed()? },
            },
            10 => Row::Component(Box::new(ComponentRow {
                parameter: input.number()?,
                element: input.number()?,
                component: input.byte()?,
                code: input.hash()?,
                system: input.hash()?,
                unit: input.hash()?,
                numbers: [input.fixed()?, input.fixed()?, input.fixed()?],
                normalised: input.text()?,
            })),
            _ => return None,
        });
    }
    Some(rows)
}

struct Output(Vec<u8>);

impl Output {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn tag(&mut self, tag: u8) -> &mut Self {
        self.byte(tag)
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.unsigned(u64::from(number))
    }

    fn unsigned(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.byte((value & 0x7f) as u8)
    }

    fn signed(&mut self, value: i64) -> &mut Self {
        self.unsigned((value << 1 ^ value >> 63).cast_unsigned())
    }

    fn fixed(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.unsigned(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        u32::try_from(self.unsigned()?).ok()
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn fixed(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    fn hash(&mut self) -> Option<i64> {
        self.fixed().map(u64::cast_signed)
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let mut rows = vec![Row::Uri { parameter: 3, uri: "http://example.org/ä".into() }];
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 1_700_000_000_000] {
            rows.extend([
                Row::Compartment { patient: value, resource_type: 147, neg_time: value },
                Row::Care { actor: value, patient: 1, time: Range::ALWAYS },
                Row::Care { actor: 1, patient: value, time: Range { low: value, high: 0 } },
                Row::SharedLink { target: value },
                Row::About { target: value },
                Row::Token { parameter: 1000, code: value, system: -value.saturating_add(1), neg_time: value },
                Row::String { parameter: u32::MAX, normalised: "".into(), exact: "x".repeat(300).into() },
                Row::Reference { parameter: 0, target: value, neg_time: value },
                Row::Date { parameter: 5, low: value, high: value.saturating_add(1) },
                Row::Number {
                    parameter: 1,
                    value: 1.5_f64.to_bits(),
                    low: 0,
                    high: u64::MAX,
                    system: value,
                    code: 0,
                    unit: value,
                },
                Row::Component(Box::new(ComponentRow {
                    parameter: 1137,
                    element: u32::MAX,
                    component: 2,
                    code: value,
                    system: -1,
                    numbers: [0, 1.5_f64.to_bits(), u64::MAX],
                    unit: value,
                    normalised: "ß".into(),
                })),
            ]);
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        assert_eq!(decode(&encode(&rows())), Some(rows()));
        assert_eq!(decode(&[]), Some(vec![]));
    }

    #[test]
    fn a_cut_or_unknown_encoding_is_refused_and_never_panics() {
        let bytes = encode(&rows()[rows().len() - 1..]);
        for length in 1..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(decode(&[10]), None);
        assert_eq!(decode(&[11]), None);
        assert_eq!(decode(&[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&[9, 0, 0xff, 0xff, 0xff, 0xff, 0x7f]), None);
    }
}
