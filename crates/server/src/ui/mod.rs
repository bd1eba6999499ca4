//! The pages that people see: rendered on the server, without JavaScript, in words that a patient understands.
//!
//! Each page is a plain struct in [`pages`] with a `render` method; it knows nothing of OAuth, policy or HTTP, so that whoever
//! answers a request turns its own types into words first. Every value is escaped by the template engine. The pages obey the
//! policy of [`content_security_policy`]: a page that needs a script or an inline style is a bug.
//!
//! Not here: sessions, form parsing, the check of the form token. The names of the form fields are in [`field`], so that the
//! page and whoever reads the form cannot disagree.

pub mod assets;
pub mod field;
mod fixed;
mod language_choice;
pub mod pages;
mod reader;

pub use fixed::{asset, docs, error, logo, method_not_allowed, not_found, start};
pub use language_choice::{change as change_language, language, reader, ui_locales as asked_in};
pub use portcullis_oauth::language::Language;
pub use reader::{LANGUAGE_PATH, Reader};

/// The media type of every page.
pub const MEDIA_TYPE: &str = "text/html; charset=utf-8";

/// The value of `Content-Security-Policy` for a page.
///
/// Chromium applies `form-action` to the redirects that follow a form's answer, so the login and consent pages name the origin
/// of the validated redirect URI of this request (`https://app.example:444`, or a scheme such as `org.example.app:`). A value
/// that could add a directive or a second source is left out: the form then fails, and nothing is opened.
pub fn content_security_policy(redirect_origin: Option<&str>) -> String {
    content_security_policy_leading_to(redirect_origin)
}

/// The same for a page whose form may lead to several origins.
pub fn content_security_policy_leading_to<'a>(origins: impl IntoIterator<Item = &'a str>) -> String {
    let origins: String = origins.into_iter().filter(|origin| is_one_source(origin)).map(|origin| format!(" {origin}")).collect();
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{origins}; \
         frame-ancestors 'none'; base-uri 'none'"
    )
}

/// The same for the pages that speak with a passkey: they may run the script that we serve, and no other.
pub fn content_security_policy_with_script(redirect_origin: Option<&str>) -> String {
    format!("{}; script-src 'self'", content_security_policy(redirect_origin))
}

/// Whether the text is one scheme or host source of CSP Level 3 (section 2.3.1), without wildcards and keywords.
pub(crate) fn is_one_source(text: &str) -> bool {
    text.contains(':')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-+[]".contains(&byte))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_origin_cannot_add_a_directive_or_a_wildcard() {
        let closed = content_security_policy(None);
        for origin in
            ["", "*", "https:; script-src *", "https://a.example https://b.example", "'unsafe-inline'", "https://*.example"]
        {
            assert_eq!(content_security_policy(Some(origin)), closed, "{origin}");
        }
    }

    #[test]
    fn a_redirect_origin_is_named_beside_the_server_itself() {
        for origin in ["https://127.0.0.1:8444", "https://app.example", "org.example.app:", "https://[::1]:8444"] {
            assert!(content_security_policy(Some(origin)).contains(&format!("form-action 'self' {origin};")), "{origin}");
        }
    }
}
