//! The R4 data types that resources are made of (R4 section 2.24.0), as methods of the writer.

use jiff::civil::Date;

use crate::calendar::Moment;
use crate::directory::{Organization, Practitioner};
use crate::terminology::systems::{NPI, PAYER_SYSTEM, UCUM};
use crate::terminology::{Code, Unit};
use crate::writer::{Decimal, Writer};

/// A profile: its family's base URL and its name.
pub(crate) type Profile = (&'static str, &'static str);

impl Writer {
    /// `meta` with its profiles; CARIN Blue Button also requires `lastUpdated`.
    pub(crate) fn meta(&mut self, profiles: &[Profile], last_updated: Option<Moment>) {
        self.object("meta", |meta| {
            if let Some(moment) = last_updated {
                meta.moment("lastUpdated", moment);
            }
            meta.urls("profile", profiles);
        });
    }

    /// A list of URLs, each put together from a base and a name.
    fn urls(&mut self, name: &str, urls: &[Profile]) {
        // One profile is the rule; the writer has no list of joined strings, so the few pairs are joined here.
        let joined: Vec<String> = urls.iter().map(|(base, profile)| [*base, *profile].concat()).collect();
        let texts: Vec<&str> = joined.iter().map(String::as_str).collect();
        self.strings(name, &texts);
    }

    /// The members of a Coding.
    pub(crate) fn coding_members(&mut self, code: &Code) {
        self.string("system", code.system);
        self.string("code", code.code);
        if !code.display.is_empty() {
            self.string("display", code.display);
        }
    }

    /// A Coding.
    pub(crate) fn coding(&mut self, name: &str, code: &Code) {
        self.object(name, |coding| coding.coding_members(code));
    }

    /// The members of a CodeableConcept; its text is the display of the first code.
    pub(crate) fn concept_members(&mut self, codes: &[Code]) {
        self.list("coding", |list| {
            for code in codes {
                list.entry(|coding| coding.coding_members(code));
            }
        });
        if let Some(first) = codes.first().filter(|code| !code.display.is_empty()) {
            self.string("text", first.display);
        }
    }

    /// A CodeableConcept.
    pub(crate) fn concept(&mut self, name: &str, codes: &[Code]) {
        self.object(name, |concept| concept.concept_members(codes));
    }

    /// A list of one CodeableConcept.
    pub(crate) fn concepts(&mut self, name: &str, codes: &[Code]) {
        self.single(name, |concept| concept.concept_members(codes));
    }

    /// A CodeableConcept of one code without display, as the status elements have it.
    pub(crate) fn single_coded(&mut self, name: &str, system: &'static str, code: &'static str) {
        self.concept(name, &[Code::new(system, code, "")]);
    }

    /// The members of a Reference to a resource of this data set.
    pub(crate) fn reference_members(&mut self, resource_type: &str, id: &str) {
        self.marked("reference", &[resource_type, "/", id]);
    }

    /// A Reference.
    pub(crate) fn reference(&mut self, name: &str, resource_type: &str, id: &str) {
        self.object(name, |reference| reference.reference_members(resource_type, id));
    }

    /// A Reference to a practitioner, by name.
    pub(crate) fn practitioner(&mut self, name: &str, practitioner: &Practitioner) {
        self.object(name, |reference| {
            reference.reference_members("Practitioner", &practitioner.id);
            reference.joined("display", &[practitioner.given, " ", practitioner.family]);
        });
    }

    /// A list of one Reference to a practitioner.
    pub(crate) fn practitioners(&mut self, name: &str, practitioner: &Practitioner) {
        self.single(name, |reference| {
            reference.reference_members("Practitioner", &practitioner.id);
            reference.joined("display", &[practitioner.given, " ", practitioner.family]);
        });
    }

    /// A Reference to an organization, by name.
    pub(crate) fn organization(&mut self, name: &str, organization: &Organization) {
        self.object(name, |reference| {
            reference.reference_members("Organization", &organization.id);
            reference.string("display", &organization.name);
        });
    }

    /// A list of one Reference to an organization.
    pub(crate) fn organizations(&mut self, name: &str, organization: &Organization) {
        self.single(name, |reference| {
            reference.reference_members("Organization", &organization.id);
            reference.string("display", &organization.name);
        });
    }

    /// A Reference to the one location of an organization, by name.
    pub(crate) fn location(&mut self, name: &str, organization: &Organization) {
        self.object(name, |reference| {
            reference.reference_members("Location", &organization.location_id);
            reference.string("display", &organization.name);
        });
    }

    /// A list of one Reference.
    pub(crate) fn references(&mut self, name: &str, resource_type: &str, id: &str) {
        self.single(name, |reference| reference.reference_members(resource_type, id));
    }

    /// A Quantity with a UCUM unit.
    pub(crate) fn quantity(&mut self, name: &str, value: Decimal, unit: Unit) {
        self.object(name, |quantity| {
            quantity.decimal("value", value);
            quantity.string("unit", unit.unit);
            quantity.string("system", UCUM);
            quantity.string("code", unit.ucum);
        });
    }

    /// An amount of money in US dollars, written with two places.
    pub(crate) fn money(&mut self, name: &str, cents: i64) {
        self.object(name, |money| {
            money.decimal("value", Decimal::new(cents, 2));
            money.string("currency", "USD");
        });
    }

    /// A Period of days.
    pub(crate) fn period(&mut self, name: &str, start: Date, end: Option<Date>) {
        self.object(name, |period| {
            period.date("start", start);
            if let Some(end) = end {
                period.date("end", end);
            }
        });
    }

    /// A Period of moments.
    pub(crate) fn period_of_moments(&mut self, name: &str, start: Moment, end: Option<Moment>) {
        self.object(name, |period| {
            period.moment("start", start);
            if let Some(end) = end {
                period.moment("end", end);
            }
        });
    }

    /// The members of an Identifier. Numbers that one authority gives to everybody stay as they are; the others differ between data sets.
    pub(crate) fn identifier_members(&mut self, kind: Option<&Code>, system: &str, value: &[&str]) {
        if let Some(kind) = kind {
            self.concept("type", &[*kind]);
        }
        self.string("system", system);
        if [NPI, PAYER_SYSTEM].contains(&system) { self.joined("value", value) } else { self.marked("value", value) }
    }

    /// A list of one ContactPoint: a work telephone.
    pub(crate) fn work_phone(&mut self, number: &str) {
        self.single("telecom", |telecom| {
            telecom.string("system", "phone");
            telecom.string("value", number);
            telecom.string("use", "work");
        });
    }
}

/// Base64 of RFC 4648 section 4, for attachments.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let packed = chunk.iter().enumerate().fold(0_u32, |sum, (place, byte)| sum | u32::from(*byte) << (16 - 8 * place));
        for place in 0..4_usize {
            text.push(if place > chunk.len() { '=' } else { base64_digit((packed >> (18 - 6 * place) & 0x3f) as u8) });
        }
    }
    text
}

fn base64_digit(value: u8) -> char {
    char::from(match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + value - 26,
        52..=61 => b'0' + value - 52,
        62 => b'+',
        _ => b'/',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_test_vectors_of_rfc_4648() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
