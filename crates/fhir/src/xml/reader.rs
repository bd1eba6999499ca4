//! The tokens of a document: elements in their namespace, and nothing else. What is dangerous or ambiguous in XML ends here.

use std::borrow::Cow;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use super::{FHIR, XHTML, is_character};
use crate::query::echo;

/// The most attributes of one element, namespaces included. FHIR has three.
const MAXIMUM_ATTRIBUTES: usize = 16;

/// The most namespaces in scope. FHIR has two.
const MAXIMUM_NAMESPACES: usize = 16;

/// The namespace of `xsi:schemaLocation`.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What is refused, in words for the client.
pub(super) type Read<T> = Result<T, Cow<'static, str>>;

/// The namespace of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Fhir,
    Xhtml,
    Other,
}

/// One token.
#[derive(Debug)]
pub(super) enum Token<'a> {
    /// An element begins.
    Start(Space, BytesStart<'a>),
    /// The element that began last ends.
    End,
    /// Text that is not white space.
    Text,
    /// Nothing follows.
    Eof,
}

/// What the attributes of an element say.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    pub id: Option<Cow<'a, str>>,
    pub url: Option<Cow<'a, str>>,
    pub value: Option<Cow<'a, str>>,
}

/// Which attributes an element may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// The outermost element: none of its own; it may say where its schema is.
    OfRoot,
    /// None.
    Nothing,
    /// `id`
    Id,
    /// `id` and `url`
    IdAndUrl,
    /// `id` and `value`
    IdAndValue,
}

impl Allowed {
    fn has(self, name: &str) -> bool {
        match name {
            "id" => matches!(self, Self::Id | Self::IdAndUrl | Self::IdAndValue),
            "url" => self == Self::IdAndUrl,
            "value" => self == Self::IdAndValue,
            _ => false,
        }
    }
}

/// A document on its way.
pub(super) struct Reader<'a> {
    text: &'a str,
    inner: NsReader<&'a [u8]>,
    /// Where the token began that was read last, in bytes.
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut inner = NsReader::from_str(text);
        let config = inner.config_mut();
        config.check_comments = true;
        config.expand_empty_elements = true;
        inner.resolver_mut().set_max_namespace_bindings(MAXIMUM_NAMESPACES);
        Self { text, inner, at: 0 }
    }

    /// Where the next token begins, in bytes.
    pub fn position(&self) -> usize {
        usize::try_from(self.inner.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The text between two places. Callers cut at tokens only.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The next token; comments and white space are none.
    pub fn next(&mut self) -> Read<Token<'a>> {
        loop {
            self.at = self.position();
            let (space, event) = match self.inner.read_resolved_event() {
                Ok((space, event)) => (space_of(&space), event),
                Err(error) => {
                    self.at = usize::try_from(self.inner.error_position()).unwrap_or(self.at);
                    return Err(format!("not well-formed XML: {}", shortened(&error.to_string())).into());
                }
            };
            return Ok(match event {
                Event::Start(tag) => Token::Start(space, tag),
                Event::End(_) => Token::End,
                Event::Eof => Token::Eof,
                Event::Comment(_) => continue,
                Event::Text(text) if is_white_space(&text) => continue,
                Event::Text(_) => Token::Text,
                Event::GeneralRef(name) => {
                    resolve(&name)?;
                    Token::Text
                }
                Event::Decl(declaration) => {
                    self.check_declaration(&declaration)?;
                    continue;
                }
                Event::CData(_) => return Err("CDATA is not allowed".into()),
                Event::PI(_) => return Err("processing instructions are not allowed".into()),
                Event::DocType(_) => return Err("a document type (DOCTYPE) is not allowed".into()),
                // Empty elements are expanded.
                Event::Empty(_) => return Err("an empty element was not understood".into()),
            });
        }
    }

    /// XML 1.0, section 2.8: it stands first or nowhere.
    fn check_declaration(&self, declaration: &str) -> Read<()> {
        if self.at != 0 {
            return Err("an XML declaration stands only at the beginning".into());
        }
        let mut parts = scan(declaration.strip_prefix("xml").unwrap_or_default())?.into_iter();
        if parts.next() != Some(("version", "1.0")) {
            return Err("the version of XML is 1.0".into());
        }
        let mut part = parts.next();
        if let Some((_, encoding)) = part.filter(|(name, _)| *name == "encoding") {
            if !encoding.eq_ignore_ascii_case("utf-8") {
                return Err("the encoding is UTF-8".into());
            }
            part = parts.next();
        }
        match (part, parts.next()) {
            (None | Some(("standalone", "yes" | "no")), None) => Ok(()),
            _ => Err("an XML declaration says version, encoding and standalone".into()),
        }
    }

    /// The attributes of an element that may have these. Declarations of namespaces are none.
    pub fn attributes(&self, tag: &BytesStart<'a>, allowed: Allowed) -> Read<Attributes<'a>> {
        let mut found = Attributes::default();
        for attribute in self.all_attributes(tag)? {
            let (name, value) = attribute?;
            let place = match name {
                "id" if allowed.has(name) => &mut found.id,
                "url" if allowed.has(name) => &mut found.url,
                "value" if allowed.has(name) => &mut found.value,
                _ if allowed == Allowed::OfRoot && self.is_schema_location(name) => continue,
                _ => return Err(format!("`{}` has no attribute `{}`", echo(local_name(tag)), echo(name)).into()),
            };
            if value.is_empty() {
                return Err(format!("the attribute `{name}` is empty").into());
            }
            *place = Some(Cow::Owned(value));
        }
        Ok(found)
    }

    /// Checks the attributes of an element of a narrative as XML; which of them are allowed is the narrative's rule.
    pub fn check_attributes(&self, tag: &BytesStart<'a>) -> Read<()> {
        self.all_attributes(tag)?.try_for_each(|attribute| attribute.map(|_| ()))
    }

    /// Name and value of each attribute that declares no namespace.
    fn all_attributes<'t>(&self, tag: &'t BytesStart<'a>) -> Read<impl Iterator<Item = Read<(&'t str, String)>>> {
        let attributes = scan(tag.attributes_raw())?.into_iter();
        Ok(attributes.filter_map(|(name, raw)| {
            let declares = name == "xmlns" || name.starts_with("xmlns:");
            match attribute_value(raw) {
                Ok(value) => (!declares).then_some(Ok((name, value))),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    fn is_schema_location(&self, name: &str) -> bool {
        let (space, local) = self.inner.resolver().resolve_attribute(quick_xml::name::QName(name));
        matches!(space, ResolveResult::Bound(Namespace(SCHEMA_INSTANCE)))
            && matches!(local.as_ref(), "schemaLocation" | "noNamespaceSchemaLocation")
    }
}

/// The name of an element without its prefix.
pub(super) fn local_name<'t>(tag: &'t BytesStart<'_>) -> &'t str {
    let name = tag.name().0;
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn space_of(space: &ResolveResult<'_>) -> Space {
    match space {
        ResolveResult::Bound(Namespace(FHIR)) => Space::Fhir,
        ResolveResult::Bound(Namespace(XHTML)) => Space::Xhtml,
        _ => Space::Other,
    }
}

/// Names and raw values of attributes (XML 1.0, section 3.1).
fn scan(text: &str) -> Read<Vec<(&str, &str)>> {
    const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
    let ill_formed = "not well-formed XML: the attributes are not understood";
    let mut attributes: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    loop {
        let begin = rest.trim_start_matches(BLANK);
        if begin.is_empty() {
            return Ok(attributes);
        }
        let (name, after) = begin.split_once('=').filter(|_| begin.len() < rest.len()).ok_or(ill_formed)?;
        let (name, after) = (name.trim_end_matches(BLANK), after.trim_start_matches(BLANK));
        let quote = after.chars().next().filter(|first| matches!(first, '"' | '\'')).ok_or(ill_formed)?;
        let (value, after) = after.strip_prefix(quote).and_then(|value| value.split_once(quote)).ok_or(ill_formed)?;
        if !is_name(name) {
            return Err(ill_formed.into());
        }
        if attributes.iter().any(|(known, _)| *known == name) {
            return Err(format!("not well-formed XML: the attribute `{}` occurs twice", echo(name)).into());
        }
        if attributes.len() == MAXIMUM_ATTRIBUTES {
            return Err("an element has too many attributes".into());
        }
        attributes.push((name, value));
        rest = after;
    }
}

/// A name of the letters of ASCII. Other letters stand in no name of FHIR or XHTML.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | ':'))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.'))
}

fn is_white_space(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// A bounded text of the reader, which may repeat what the client sent.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 120;
    text.chars().filter(|character| !character.is_control()).take(LENGTH).collect()
}

/// The value of an attribute: references replaced, line ends and tabs as spaces (XML 1.0, section 3.3.3).
fn attribute_value(raw: &str) -> Read<String> {
    if raw.contains('<') {
        return Err("`<` in an attribute value is written `&lt;`".into());
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(place) = rest.find(['&', '\t', '\n', '\r']) {
        let (plain, special) = rest.split_at_checked(place).unwrap_or((rest, ""));
        value.push_str(plain);
        rest = match special.strip_prefix('&') {
            Some(reference) => {
                let (name, after) = reference.split_once(';').ok_or("`&` in an attribute value is written `&amp;`")?;
                value.push(resolve(name)?);
                after
            }
            None => {
                value.push(' ');
                special.strip_prefix("\r\n").or_else(|| special.get(1..)).unwrap_or_default()
            }
        };
    }
    value.push_str(rest);
    Ok(value)
}

/// The character of a reference: one of the five entities of XML, or a number.
fn resolve(name: &str) -> Read<char> {
    let unknown = || format!("the entity `&{};` is not allowed; XML has lt, gt, amp, quot, apos and numbers", echo(name));
    let Some(number) = name.strip_prefix('#') else {
        return Ok(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => return Err(unknown().into()),
        });
    };
    let code_point = match number.strip_prefix('x') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        None if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    };
    let character = code_point.and_then(char::from_u32).filter(|character| is_character(*character));
    character.ok_or_else(|| unknown().into())
}
