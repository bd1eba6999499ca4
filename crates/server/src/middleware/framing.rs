//! What is wrong with a request before its route matters: which host it means, how much stands before its body, and how that is coded.
//!
//! RFC 9112, section 3.2 (Host), RFC 9110, sections 8.4 and 15.5.16 (Content-Encoding), RFC 6585, section 5 (431), RFC 9110, section 15.5.15 (414). hyper has a limit of its own for headers,
//! twice as high, so that a refusal is one of ours, with a record, and hyper's only where somebody means harm. Content-Length beside Transfer-Encoding is not seen here: hyper takes
//! the first away, reads the chunks alone and closes the connection after the answer, as RFC 9112, section 6.3 wants. docs/threat-model.md says why that
//! leaves nothing to smuggle.

use http::{HeaderMap, StatusCode, Uri, Version, header};
use portcullis_fhir::outcome::{self, Issue, IssueType};

use crate::answer::Draft;
use crate::face::Face;

/// The most bytes of a request's target and header fields together.
pub const MAXIMUM_HEADER_BYTES: usize = 32 * 1024;
/// The most header fields of a request.
pub const MAXIMUM_HEADERS: usize = 64;

/// Why a request is refused whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// An HTTP/1.1 request without Host, or a request with several.
    #[error("A request has the header Host, once.")]
    Host,
    /// The body is compressed.
    #[error("Bodies are accepted without a Content-Encoding only: not compressed.")]
    ContentEncoding,
    /// More than [`MAXIMUM_HEADER_BYTES`] or [`MAXIMUM_HEADERS`].
    #[error("A request has at most 64 header fields, and 32 KiB in these and the address together.")]
    HeadersTooLarge,
    /// More than [`MAXIMUM_HEADER_BYTES`] in the address alone (RFC 9110 section 15.5.15).
    #[error("The address of a request has at most 32 KiB. Search with POST and _search, where the parameters stand in the body.")]
    AddressTooLong,
}

impl FramingError {
    /// Looks at a request; `has_body`: whether there is a body whose coding matters.
    pub fn check(version: Version, target: &Uri, headers: &HeaderMap, has_body: bool) -> Result<(), Self> {
        let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let address = target.path_and_query().map_or(0, |address| address.as_str().len());
        if address > MAXIMUM_HEADER_BYTES {
            return Err(Self::AddressTooLong);
        }
        if headers.len() > MAXIMUM_HEADERS || fields + address > MAXIMUM_HEADER_BYTES {
            return Err(Self::HeadersTooLarge);
        }
        let hosts = headers.get_all(header::HOST).iter().count();
        if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
            return Err(Self::Host);
        }
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let plain = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
        if has_body && !codings.all(plain) {
            return Err(Self::ContentEncoding);
        }
        Ok(())
    }

    /// The answer, for whoever speaks there.
    pub fn draft(self, face: Face) -> Draft {
        let (status, code, place) = match self {
            Self::Host => (StatusCode::BAD_REQUEST, IssueType::Invalid, "http.Host"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueType::NotSupported, "http.Content-Encoding"),
            Self::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, IssueType::TooLong, "http"),
            Self::AddressTooLong => (StatusCode::URI_TOO_LONG, IssueType::TooLong, "http"),
        };
        let message = self.to_string();
        let draft = Draft::new(status);
        let draft = match face {
            Face::Fhir => {
                let issue = Issue::error(code, message).at(place);
                draft.body(crate::resource_server::reply::FHIR_JSON, outcome::render(&[issue]))
            }
            Face::OAuth => {
                let error = serde_json::json!({"error": "invalid_request", "error_description": message});
                draft.body("application/json", error.to_string()).with(header::PRAGMA, "no-cache")
            }
            Face::Page(_) => draft.body("text/plain; charset=utf-8", format!("{message}\n")),
        };
        match self {
            Self::Host | Self::HeadersTooLarge | Self::AddressTooLong => draft,
            Self::ContentEncoding => draft.with(header::ACCEPT_ENCODING, "identity"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn check(version: Version, fields: &[(HeaderName, &'static str)], has_body: bool) -> Result<(), FramingError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        FramingError::check(version, &Uri::from_static("/fhir/Patient/1"), &headers, has_body)
    }

    #[test]
    fn headers_and_address_have_room_together() {
        let check = |fields: usize, value: usize, address: usize| {
            let mut headers: HeaderMap = (1..fields)
                .map(|number| (format!("x-{number}").parse::<HeaderName>().unwrap(), HeaderValue::from_static("x")))
                .collect();
            headers.insert(header::HOST, HeaderValue::try_from("x".repeat(value)).unwrap());
            FramingError::check(Version::HTTP_2, &format!("/{}", "x".repeat(address - 1)).parse().unwrap(), &headers, false)
        };
        let room = MAXIMUM_HEADER_BYTES - "host".len();
        assert_eq!(check(1, room / 2, room / 2), Ok(()));
        assert_eq!(check(1, room / 2, room / 2 + 1), Err(FramingError::HeadersTooLarge));
        assert_eq!(check(1, room / 2 + 1, room / 2), Err(FramingError::HeadersTooLarge));
        assert_eq!(check(1, 1, MAXIMUM_HEADER_BYTES), Err(FramingError::HeadersTooLarge));
        assert_eq!(check(1, 1, MAXIMUM_HEADER_BYTES + 1), Err(FramingError::AddressTooLong));
        assert_eq!(
            (check(MAXIMUM_HEADERS, 1, 1), check(MAXIMUM_HEADERS + 1, 1, 1)),
            (Ok(()), Err(FramingError::HeadersTooLarge))
        );
    }

    #[test]
    fn a_request_names_its_host_once() {
        let host = (header::HOST, "localhost");
        assert_eq!(check(Version::HTTP_11, &[], false), Err(FramingError::Host));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(check(version, &[host.clone(), host.clone()], false), Err(FramingError::Host), "{version:?}");
            assert_eq!(check(version, std::slice::from_ref(&host), false), Ok(()), "{version:?}");
        }
        assert_eq!(check(Version::HTTP_2, &[], false), Ok(()), "HTTP/2 has :authority");
        assert_eq!(check(Version::HTTP_10, &[], false), Ok(()));
    }

    #[test]
    fn a_coded_body_is_refused() {
        for coding in ["gzip", "identity, gzip", "br", ""] {
            let fields = [(header::CONTENT_ENCODING, coding)];
            assert_eq!(check(Version::HTTP_2, &fields, true), Err(FramingError::ContentEncoding), "{coding}");
            assert_eq!(check(Version::HTTP_2, &fields, false), Ok(()), "{coding}");
        }
        let both = [(header::CONTENT_ENCODING, "identity"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(check(Version::HTTP_2, &both, true), Err(FramingError::ContentEncoding));
        assert_eq!(check(Version::HTTP_2, &[(header::CONTENT_ENCODING, "Identity")], true), Ok(()));
    }
}
