//! Two texts of a query: the canonical bytes that a cursor is bound to, and the self link.

use super::{
    DateMatch, Filter, Include, Link, NumberMatch, Prefix, QuantityMatch, ReferenceMatch, SearchQuery, Shape, Test, TokenMatch,
    Total,
};
use crate::query;
use crate::reference::Reference;

impl SearchQuery {
    /// A stable byte form of what the query means: everything except the cursor, the page size, and how it was written.
    ///
    /// Two queries with equal bytes select and order the same resources. The form does not depend on the time of parsing either: a range that
    /// `ap` widened towards now is represented by its centre, so that a cursor outlives the first page.
    pub fn canonical(&self) -> Vec<u8> {
        let mut form = Form(Vec::with_capacity(256));
        form.text(self.resource_type.name());
        form.length(self.filters.len());
        self.filters.iter().for_each(|filter| form.filter(filter));
        for includes in [&self.includes, &self.reverse_includes] {
            form.length(includes.len());
            includes.iter().for_each(|include| form.include(include));
        }
        form.length(self.sort.len());
        for key in &self.sort {
            form.bytes(&key.parameter.key.to_be_bytes());
            form.tag(u8::from(key.descending));
        }
        form.tag(match self.total {
            Total::None => 0,
            Total::Estimate => 1,
            Total::Accurate => 2,
        });
        form.shape(&self.shape);
        form.0
    }

    /// The address of this search: what was understood, as sent, without the cursor.
    ///
    /// <https://hl7.org/fhir/R4/search.html#conformance>: the self link tells the client what the server understood.
    pub fn self_link(&self, base_url: &str) -> String {
        let within = self.compartment.as_ref().map(|compartment| format!("{compartment}/")).unwrap_or_default();
        with_parameters(format!("{base_url}/{within}{}", self.resource_type), &self.applied)
    }

    /// The address of a further page: the self link with this cursor.
    pub fn page_link(self_link: &str, cursor: &str) -> String {
        let mut link = self_link.to_owned();
        link.push(if self_link.contains('?') { '&' } else { '?' });
        link.push_str("_cursor=");
        query::encode(cursor, &mut link);
        link
    }
}

/// An address with a query.
pub(super) fn with_parameters(mut link: String, parameters: &[(String, String)]) -> String {
    for (position, (name, value)) in parameters.iter().enumerate() {
        link.push(if position == 0 { '?' } else { '&' });
        query::encode(name, &mut link);
        link.push('=');
        query::encode(value, &mut link);
    }
    link
}

/// Bytes in which every part has a length or a fixed size, so that no two queries run together.
struct Form(Vec<u8>);

impl Form {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    fn length(&mut self, length: usize) {
        self.bytes(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.tag(u8::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn list<T>(&mut self, tag: u8, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.tag(tag);
        self.length(items.len());
        items.iter().for_each(|item| each(self, item));
    }

    fn filter(&mut self, filter: &Filter) {
        self.bytes(&filter.parameter.key.to_be_bytes());
        match &filter.test {
            Test::Missing(missing) => self.bytes(&[0, u8::from(*missing)]),
            Test::Token(items) => self.list(1, items, Self::token),
            Test::TokenNot(items) => self.list(2, items, Self::token),
            Test::TokenText(items) => self.list(3, items, |form, text| form.text(text)),
            Test::StringStarts(items) => self.list(4, items, |form, text| form.text(text)),
            Test::StringContains(items) => self.list(5, items, |form, text| form.text(text)),
            Test::StringExact(items) => self.list(6, items, |form, text| form.text(text)),
            Test::Reference(items) => self.list(7, items, Self::reference),
            Test::ReferenceIdentifier(items) => self.list(8, items, Self::token),
            Test::Date(items) => self.list(9, items, Self::date),
            Test::Number(items) => self.list(10, items, Self::number),
            Test::Quantity(items) => self.list(11, items, Self::quantity),
            Test::Uri(items) => self.list(12, items, |form, text| form.text(text)),
            Test::UriBelow(items) => self.list(13, items, |form, text| form.text(text)),
            Test::UriAbove(items) => self.list(14, items, |form, text| form.text(text)),
            Test::Id(items) => self.list(15, items, |form, id| form.text(id.as_str())),
            Test::LastUpdated(items) => self.list(16, items, Self::date),
            Test::Pairs(items) => self.list(17, items, |form, pair| pair.iter().for_each(|filter| form.filter(filter))),
            Test::Components(items) => self.list(18, items, |form, criteria| form.list(0, criteria, Self::filter)),
            Test::Either(items) => self.list(19, items, Self::filter),
            Test::Chain(links) => self.list(20, links, Self::link),
            Test::ReverseChain(link) => self.list(21, std::slice::from_ref(&**link), Self::link),
        }
    }

    fn link(&mut self, link: &Link) {
        self.text(link.resource_type.name());
        self.filter(&link.criterion);
    }

    fn token(&mut self, token: &TokenMatch) {
        self.optional(token.system.as_deref());
        self.optional(token.code.as_deref());
    }

    fn reference(&mut self, reference: &ReferenceMatch) {
        match reference {
            ReferenceMatch::AnyType(id) => {
                self.tag(0);
                self.text(id.as_str());
            }
            ReferenceMatch::Exact(Reference::Local(local)) => {
                self.tag(1);
                self.text(local.resource_type.name());
                self.text(local.id.as_str());
            }
            ReferenceMatch::Exact(Reference::Absolute(url)) => {
                self.tag(2);
                self.text(url);
            }
            ReferenceMatch::Exact(Reference::Identifier { system, value }) => {
                self.tag(3);
                self.text(system);
                self.text(value);
            }
        }
    }

    fn date(&mut self, date: &DateMatch) {
        self.text(date.prefix.as_str());
        if date.prefix == Prefix::Ap {
            self.bytes(&(i128::from(date.low) + i128::from(date.high)).to_be_bytes());
        } else {
            self.bytes(&date.low.to_be_bytes());
            self.bytes(&date.high.to_be_bytes());
        }
    }

    fn number(&mut self, number: &NumberMatch) {
        self.text(number.prefix.as_str());
        for value in [number.value, number.low, number.high] {
            self.bytes(&value.to_bits().to_be_bytes());
        }
    }

    fn quantity(&mut self, quantity: &QuantityMatch) {
        self.number(&quantity.number);
        self.optional(quantity.system.as_deref());
        self.optional(quantity.code.as_deref());
    }

    fn include(&mut self, include: &Include) {
        self.text(include.source.name());
        self.bytes(&include.parameter.key.to_be_bytes());
        self.optional(include.target.map(|target| target.name()));
        self.tag(u8::from(include.iterates));
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Whole => self.tag(0),
            Shape::Summary => self.tag(1),
            Shape::Text => self.tag(2),
            Shape::Data => self.tag(3),
            Shape::Count => self.tag(4),
            Shape::Elements(elements) => self.list(5, elements, |form, element| form.text(element)),
        }
    }
}
