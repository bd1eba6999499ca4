//! In which form a resource goes over the wire: JSON or XML.
//!
//! <https://hl7.org/fhir/R4/http.html#mime-type>, RFC 9110, section 12.5.1. `_format` counts before `Accept`. Where both forms would do equally well the one that is
//! named goes before the one that a wildcard covers, and of two that are named the first; where nothing decides, it is JSON.

use super::Refusal;
use super::headers::MediaType;
use super::parse::{Pairs, unsupported_content};
use crate::json::{self, Value};
use crate::outcome::{Issue, IssueType};
use crate::query;
use crate::resource::Resource;
use crate::xml;

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://hl7.org/fhir/R4/json.html>
    Json,
    /// <https://hl7.org/fhir/R4/xml.html>
    Xml,
}

/// What a body must be.
const ACCEPTED: &str =
    "application/fhir+json, application/json, application/fhir+xml or application/xml, in UTF-8, of FHIR version 4.0";

impl Format {
    const ALL: [Self; 2] = [Self::Json, Self::Xml];

    /// The media type of answers.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/fhir+json; charset=utf-8",
            Self::Xml => "application/fhir+xml; charset=utf-8",
        }
    }

    /// The form that `_format` names. A `+` that was not escaped arrives as a space.
    pub(crate) fn of_parameter(value: &str) -> Option<Self> {
        match value.split(';').next().unwrap_or_default().trim() {
            "json" | "application/json" | "application/fhir+json" | "application/fhir json" | "text/json" => Some(Self::Json),
            "xml" | "application/xml" | "application/fhir+xml" | "application/fhir xml" | "text/xml" => Some(Self::Xml),
            _ => None,
        }
    }

    /// The form of a body with this `Content-Type`.
    pub(super) fn of_body(content_type: Option<&str>) -> Option<Self> {
        let media = MediaType::parse(content_type.unwrap_or_default());
        let format = Self::ALL.into_iter().find(|format| format.is_named(&media.essence))?;
        (media.is_utf8() && media.is_r4() && media.essence != "text/json").then_some(format)
    }

    fn is_named(self, essence: &str) -> bool {
        match self {
            Self::Json => matches!(essence, "application/fhir+json" | "application/json" | "application/json+fhir" | "text/json"),
            Self::Xml => matches!(essence, "application/fhir+xml" | "application/xml" | "application/xml+fhir" | "text/xml"),
        }
    }

    /// How well an `Accept` header likes the form: its weight in thousandths, whether it is named, and how early; `None` where it is not accepted.
    fn liking(self, ranges: &[MediaType]) -> Option<(u16, bool, std::cmp::Reverse<usize>)> {
        let specificity = |media: &MediaType| match media.essence.as_str() {
            _ if !media.is_r4() => None,
            "*/*" => Some(0),
            "application/*" => Some(1),
            essence => self.is_named(essence).then_some(2),
        };
        // The most specific range counts, also where it says no; of several names for the same form the one that is liked best.
        let most = ranges.iter().filter_map(specificity).max()?;
        let covering = ranges.iter().enumerate().filter(|(_, range)| specificity(range) == Some(most));
        let best = covering.map(|(place, range)| (range.weight(), most == 2, std::cmp::Reverse(place))).max()?;
        (best.0 > 0).then_some(best)
    }

    /// The form that an `Accept` header likes best; an absent or empty one likes all.
    fn of_accept(header: Option<&str>) -> Option<Self> {
        let Some(header) = header.filter(|header| !header.trim().is_empty()) else { return Some(Self::Json) };
        let ranges: Vec<MediaType> = header.split(',').map(MediaType::parse).collect();
        match (Self::Json.liking(&ranges), Self::Xml.liking(&ranges)) {
            (json, Some(xml)) if json.is_none_or(|json| xml > json) => Some(Self::Xml),
            (json, _) => json.map(|_| Self::Json),
        }
    }
}

/// The form of the answer to a request with this query, this form (both still percent-encoded) and this `Accept`. Where these name none that can be sent, it is that
/// of the refusal.
pub fn answer_format(query: &str, form: &[u8], accept: Option<&str>) -> Format {
    let named = [query.as_bytes(), form].into_iter().filter_map(|text| query::parse(text).ok()).flatten();
    let named = named.filter(|(name, _)| name == "_format").find_map(|(_, value)| Format::of_parameter(&value));
    named.or_else(|| Format::of_accept(accept)).unwrap_or(Format::Json)
}

/// Refuses a request whose answer could be sent in no form that it wants.
pub(super) fn check_format(pairs: &Pairs, accept: Option<&str>) -> Result<(), Refusal> {
    let mut formats = pairs.iter().filter(|(name, _)| name == "_format").peekable();
    if formats.peek().is_none() {
        if Format::of_accept(accept).is_some() {
            return Ok(());
        }
        let message = "Only FHIR JSON and FHIR XML of R4 can be sent: application/fhir+json, application/fhir+xml.";
        return Err(Refusal::new(406, Issue::error(IssueType::NotSupported, message).at("http.Accept")));
    }
    match formats.all(|(_, value)| Format::of_parameter(value).is_some()) {
        true => Ok(()),
        false => Err(Refusal::new(406, Issue::error(IssueType::NotSupported, NAMES).at("http._format"))),
    }
}

/// What is said where `_format` names nothing that is known.
pub(crate) const NAMES: &str = "JSON and XML are supported: json, application/fhir+json, xml, application/fhir+xml.";

/// What is said to an entry that names another form than JSON.
const OF_BUNDLE: &str = "The answer to an entry stands in a Bundle, which has one form; name it by Accept or _format of the request and leave _format out here.";

/// Refuses an entry of a batch or transaction that wants XML for itself.
pub(super) fn check_format_of_entry(pairs: &Pairs) -> Result<(), Refusal> {
    let is_other = |(name, value): &(String, String)| name == "_format" && Format::of_parameter(value) == Some(Format::Xml);
    match pairs.iter().any(is_other) {
        true => Err(Refusal::new(406, Issue::error(IssueType::NotSupported, OF_BUNDLE).at("http._format"))),
        false => Ok(()),
    }
}

/// Reads a body in the form that its `Content-Type` names, without the checks of a resource.
pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |issue: Issue| Refusal::new(400, issue);
    match Format::of_body(content_type) {
        None => Err(unsupported_content(ACCEPTED)),
        Some(Format::Json) => json::parse(body)
            .map_err(|error| refuse(Issue::error(IssueType::Structure, format!("not valid JSON: {error}")).at(error.expression))),
        Some(Format::Xml) => xml::parse(body).map_err(|error| {
            refuse(Issue::error(IssueType::Structure, format!("not valid FHIR XML: {error}")).at(error.expression))
        }),
    }
}

/// The same with the checks of a resource.
pub(super) fn read_resource(content_type: Option<&str>, body: &[u8]) -> Result<Resource, Refusal> {
    let tree = read(content_type, body)?;
    Resource::from_value(tree).map_err(super::parse::bad_request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        use Format::{Json, Xml};
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/fhir+json", Some(Json)),
            ("Application/JSON; q=0.5", Some(Json)),
            ("application/fhir+json; fhirVersion=4.0", Some(Json)),
            ("application/fhir+xml", Some(Xml)),
            ("application/xml", Some(Xml)),
            ("text/xml;charset=utf-8", Some(Xml)),
            ("application/xml+fhir", Some(Xml)),
            ("application/fhir+xml; fhirVersion=4.0", Some(Xml)),
            ("application/fhir+xml; fhirVersion=5.0", None),
            ("application/fhir+xml, */*", Some(Xml)),
            ("*/*, application/fhir+xml", Some(Xml)),
            ("application/fhir+xml;q=0.5, */*", Some(Json)),
            ("application/fhir+xml, application/fhir+json", Some(Xml)),
            ("application/fhir+json, application/fhir+xml", Some(Json)),
            ("application/fhir+json;q=0.8, application/fhir+xml;q=0.9", Some(Xml)),
            ("text/html, application/xml;q=0.9, */*;q=0.8", Some(Xml)),
            ("application/fhir+json;q=0, */*", Some(Xml)),
            ("application/fhir+xml;q=0, application/*", Some(Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/fhir+json; q=0.0, text/turtle", None),
            ("application/fhir+json; fhirVersion=5.0", None),
            ("nonsense", None),
            (",", None),
        ] {
            assert_eq!(Format::of_accept(Some(accept)), expected, "{accept}");
        }
        assert_eq!(Format::of_accept(None), Some(Json));
    }

    #[test]
    fn the_parameter_counts_before_the_header_and_a_form_has_one_too() {
        let xml = Some("application/fhir+xml");
        for (query, form, accept, expected) in [
            ("", "", None, Format::Json),
            ("", "", xml, Format::Xml),
            ("_format=json", "", xml, Format::Json),
            ("a=b&_format=application/fhir+xml", "", None, Format::Xml),
            ("_format=application/fhir%2Bxml", "", Some("application/json"), Format::Xml),
            ("_format=ttl", "", xml, Format::Xml),
            ("", "_format=xml", None, Format::Xml),
            ("_format=json", "_format=xml", None, Format::Json),
            ("", "%zz", xml, Format::Xml),
            ("", "", Some("text/html"), Format::Json),
        ] {
            assert_eq!(answer_format(query, form.as_bytes(), accept), expected, "{query} {form} {accept:?}");
        }
    }

    #[test]
    fn a_body_is_of_the_form_that_its_type_names() {
        for (content_type, expected) in [
            (None, None),
            (Some(""), None),
            (Some("text/plain"), None),
            (Some("application/json; charset=latin1"), None),
            (Some("application/fhir+json; fhirVersion=3.0"), None),
            (Some("application/xml; charset=utf-16"), None),
            (Some("application/json-patch+json"), None),
            (Some("application/xhtml+xml"), None),
            (Some("*/*"), None),
            (Some("application/fhir+json; charset=UTF-8; fhirVersion=\"4.0\""), Some(Format::Json)),
            (Some("application/fhir+xml"), Some(Format::Xml)),
            (Some("text/xml; charset=utf-8"), Some(Format::Xml)),
        ] {
            assert_eq!(Format::of_body(content_type), expected, "{content_type:?}");
        }
    }
}
