//! Headers that every answer carries.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::ui::Language;

/// Names one request in answers, logs and records.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Says of a page in which language it is, and by what it was chosen.
pub fn name_language(headers: &mut HeaderMap, language: Language) {
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"));
    if is_page {
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language, Cookie"));
    }
}

/// Adds what is the same for every answer. What a route has set stays. `pin_https` tells browsers to use nothing but https for this host from
/// now on; a demo must not, for its host is the developer's own `localhost`, with every other program on it.
pub fn secure(headers: &mut HeaderMap, request_id: &str, pin_https: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    if pin_https {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CACHE_CONTROL, "no-store");
    default(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    default(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
}
