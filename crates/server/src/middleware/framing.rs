//! What is wrong with a request before its route matters: which host it means, and how its body is coded.
//!
//! RFC 9112, section 3.2 (Host), RFC 9110, sections 8.4 and 15.5.16 (Content-Encoding). Content-Length beside Transfer-Encoding is not seen here: hyper takes
//! the first away, reads the chunks alone and closes the connection after the answer, as RFC 9112, section 6.3 wants. docs/threat-model.md says why that
//! leaves nothing to smuggle.

use http::{HeaderMap, StatusCode, Version, header};
use portcullis_fhir::outcome::{self, Issue, IssueType};

use crate::answer::Draft;
use crate::face::Face;

/// Why a request is refused whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// An HTTP/1.1 request without Host, or a request with several.
    #[error("A request has the header Host, once.")]
    Host,
    /// The body is compressed.
    #[error("Bodies are accepted without a Content-Encoding only: not compressed.")]
    ContentEncoding,
}

impl FramingError {
    /// Looks at a request; `has_body`: whether there is a body whose coding matters.
    pub fn check(version: Version, headers: &HeaderMap, has_body: bool) -> Result<(), Self> {
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
            Self::Host => draft,
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
        FramingError::check(version, &headers, has_body)
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
