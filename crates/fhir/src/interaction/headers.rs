//! The HTTP headers that change what a FHIR interaction means: Prefer, Accept, Content-Type, If-Match, If-None-Match.
//!
//! <https://hl7.org/fhir/R4/http.html#general>, RFC 9110 (Accept, conditions), RFC 7240 (Prefer).

use crate::search::Handling;
use crate::types::LogicalId;

/// The headers of a request that the parser looks at; several of one name are joined with a comma first (RFC 9110, section 5.3).
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Accept`
    pub accept: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-None-Exist`, the search of a conditional create.
    pub if_none_exist: Option<&'a str>,
    /// `If-Modified-Since`, in milliseconds since the epoch; `None` also where it is no date (RFC 9110, section 13.1.3).
    pub if_modified_since: Option<i64>,
    /// `Prefer`
    pub prefer: Option<&'a str>,
}

/// What the client prefers (<https://hl7.org/fhir/R4/http.html#ops>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `Prefer: return=`
    pub body: ReturnPreference,
    /// `Prefer: handling=`
    pub handling: Handling,
}

/// `Prefer: return=`: the body of the answer to a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnPreference {
    /// `minimal`: none.
    Minimal,
    /// `representation`: the resource as stored; also where the client says nothing.
    #[default]
    Representation,
    /// `OperationOutcome`: how it went.
    OperationOutcome,
}

impl Preferences {
    /// Reads a `Prefer` header. What it does not know it ignores, and of several it takes the first, as RFC 7240, section 2 wants.
    pub fn parse(header: Option<&str>) -> Self {
        let (mut body, mut handling) = (None, None);
        // A semicolon separates parameters of one preference; FHIR clients also put it between preferences.
        for preference in header.unwrap_or_default().split([',', ';']) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                ("return", "minimal") => body = body.or(Some(ReturnPreference::Minimal)),
                ("return", "representation") => body = body.or(Some(ReturnPreference::Representation)),
                ("return", "OperationOutcome") => body = body.or(Some(ReturnPreference::OperationOutcome)),
                ("handling", "strict") => handling = handling.or(Some(Handling::Strict)),
                ("handling", "lenient") => handling = handling.or(Some(Handling::Lenient)),
                _ => {}
            }
        }
        Self { body: body.unwrap_or_default(), handling: handling.unwrap_or_default() }
    }
}

/// Whether a body of this `Content-Type` is a form.
pub(super) fn is_form(header: Option<&str>) -> bool {
    let media = MediaType::parse(header.unwrap_or_default());
    media.essence == "application/x-www-form-urlencoded" && media.is_utf8()
}

/// The type of a `Content-Type` without its parameters, in lower case; empty where there is none.
pub(super) fn essence(header: Option<&str>) -> String {
    MediaType::parse(header.unwrap_or_default()).essence
}

/// The version in an entity tag: `W/"1"` or `"1"`.
pub(super) fn entity_tag(text: &str) -> Option<LogicalId> {
    let text = text.trim();
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    LogicalId::parse(quoted.strip_prefix('"')?.strip_suffix('"')?)
}

/// `If-None-Match` of a read (RFC 9110, section 13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: whatever version there is.
    Any,
    /// These versions; none where the header is absent.
    Versions(Vec<LogicalId>),
}

impl Default for IfNoneMatch {
    fn default() -> Self {
        Self::Versions(Vec::new())
    }
}

impl IfNoneMatch {
    /// Reads the header. A tag that this server cannot have made matches nothing, so it is left out.
    pub(super) fn parse(header: Option<&str>) -> Self {
        match header.unwrap_or_default().trim() {
            "*" => Self::Any,
            tags => Self::Versions(tags.split(',').filter_map(entity_tag).collect()),
        }
    }

    /// Whether this version is not sent again.
    pub fn matches(&self, version: &LogicalId) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(version),
        }
    }
}

/// A media type with its parameters; names in lower case.
pub(super) struct MediaType {
    pub essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a type, or a range of an `Accept` header.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameters = parts.filter_map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        });
        Self { essence, parameters: parameters.collect() }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The weight of a range in thousandths; one that is not understood is that of a range without (RFC 9110, section 12.4.2).
    pub fn weight(&self) -> u16 {
        let weight = self.parameter("q").and_then(|weight| weight.parse::<f64>().ok()).unwrap_or(1.0);
        // Weights are from 0 to 1; the cast keeps what lies outside at the ends.
        (weight * 1000.0) as u16
    }

    pub fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }

    /// `fhirVersion` is the MIME parameter of <https://hl7.org/fhir/R4/http.html#version-parameter>.
    pub fn is_r4(&self) -> bool {
        self.parameter("fhirversion").is_none_or(|version| version == "4.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_form() {
        for content_type in [None, Some("application/json"), Some("multipart/form-data"), Some("text/plain")] {
            assert!(!is_form(content_type), "{content_type:?}");
        }
        assert!(is_form(Some("application/x-www-form-urlencoded; charset=utf-8")));
    }

    #[test]
    fn broken_entity_tags_are_refused() {
        for tag in ["", "1", "W/1", "\"", "\"\"", "w/\"1\"", "*", "\"1\", \"2\"", "W/\"a b\"", "\"1"] {
            assert_eq!(entity_tag(tag), None, "{tag}");
        }
        assert_eq!(entity_tag(" W/\"1\" "), LogicalId::parse("1"));
        assert_eq!(entity_tag("\"x-1\""), LogicalId::parse("x-1"));
        assert!(matches!(IfNoneMatch::parse(Some("W/\"1\", nonsense, \"2\"")), IfNoneMatch::Versions(tags) if tags.len() == 2));
    }

    #[test]
    fn unknown_preferences_are_ignored_and_the_first_wins() {
        let preferences = |body, handling| Preferences { body, handling };
        use Handling::{Lenient, Strict};
        use ReturnPreference::{Minimal, OperationOutcome, Representation};
        for (header, expected) in [
            ("", preferences(Representation, Lenient)),
            ("return=everything, handling=none, respond-async", preferences(Representation, Lenient)),
            ("return", preferences(Representation, Lenient)),
            ("return=minimal, return=representation", preferences(Minimal, Lenient)),
            ("Return=\"minimal\"; handling=strict", preferences(Minimal, Strict)),
            ("handling = lenient, handling=strict,return=OperationOutcome", preferences(OperationOutcome, Lenient)),
        ] {
            assert_eq!(Preferences::parse(Some(header)), expected, "{header}");
        }
    }
}
