//! Redirect URIs: which may be registered, and which requested one matches a registered one.
//!
//! RFC 6749 section 3.1.2 (absolute, no fragment), RFC 9700 section 4.1.3 (exact string comparison), RFC 8252 section 7.3 (a native
//! app listens on a loopback port that it learns only at run time, so the port of a loopback IP literal may vary) and section 7.1 (a native app has a
//! scheme of its own, `com.example.app:/callback`; which clients may, [`crate::clients::Client::check`] says).
//!
//! Matching never normalises: it compares the text as registered.

use url::{Host, Position, Url};

/// The longest redirect URI, in bytes.
pub const MAXIMUM_BYTES: usize = 2048;

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Too long, not ASCII, with white space or control characters, or not an absolute URL.
    #[error("the redirect URI must be an absolute URL of ASCII characters, at most {MAXIMUM_BYTES} long")]
    Malformed,
    /// The scheme is neither https nor, on a loopback host, http, nor one of an app's own.
    #[error(
        "the redirect URI must use https, http on 127.0.0.1, [::1] or localhost, or, for a native app, a scheme that is a domain name of its maker written \
         backwards, as in com.example.app:/callback"
    )]
    Scheme,
    /// After a scheme of an app's own stands something else than one slash and a path: there is no host to name (RFC 8252 section 7.1).
    #[error("after a scheme of an app's own, the redirect URI must go on with a single slash, as in com.example.app:/callback")]
    PrivateAuthority,
    /// It has a fragment.
    #[error("the redirect URI must have no fragment")]
    Fragment,
    /// It has a user name or password.
    #[error("the redirect URI must have no user name")]
    UserInformation,
    /// It has a wildcard.
    #[error("the redirect URI must have no wildcard")]
    Wildcard,
    /// It is not written as a browser would write it (upper-case host, default port, dot segments, missing path), so that comparing
    /// text could miss what a browser takes as equal.
    #[error("the redirect URI must be written in its normal form")]
    NotNormal,
}

/// A registered redirect URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri {
    text: Box<str>,
    origin: Box<str>,
    /// For http on a loopback IP literal: the text before the port and the text after it.
    loopback: Option<(Box<str>, Box<str>)>,
    /// Whether the scheme is an app's own; then the origin is the scheme with its colon.
    private: bool,
}

impl RedirectUri {
    /// Checks a redirect URI at registration.
    pub fn parse(text: &str) -> Result<Self, RedirectUriError> {
        if text.len() > MAXIMUM_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>'])
        {
            return Err(RedirectUriError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| RedirectUriError::Malformed)?;
        if is_private_use(url.scheme()) {
            return Self::private(text, &url);
        }
        let host = url.host().ok_or(RedirectUriError::Scheme)?;
        let loopback_literal = match host {
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
            Host::Domain(_) => false,
        };
        let loopback = loopback_literal || host == Host::Domain("localhost");
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(RedirectUriError::Scheme),
        }
        check_text(text, &url)?;
        let varies = url.scheme() == "http" && loopback_literal;
        let loopback = varies.then(|| (url[..Position::AfterHost].into(), url[Position::BeforePath..].into()));
        Ok(Self { text: text.into(), origin: url[..Position::AfterPort].into(), loopback, private: false })
    }

    /// A URI whose scheme is an app's own: "only a single slash ("/") appears after the scheme component" (RFC 8252 section 7.1). What looks like a host
    /// there would be one of nobody, and people would take it for one.
    fn private(text: &str, url: &Url) -> Result<Self, RedirectUriError> {
        check_text(text, url)?;
        let after = text.strip_prefix(url.scheme()).unwrap_or_default();
        if url.has_authority() || !after.starts_with(":/") || after.starts_with("://") {
            return Err(RedirectUriError::PrivateAuthority);
        }
        Ok(Self { text: text.into(), origin: format!("{}:", url.scheme()).into(), loopback: None, private: true })
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port as a browser's `Origin` header has them; for CORS. An app's own scheme is no origin of pages.
    pub fn origin(&self) -> Option<&str> {
        (!self.private).then_some(&*self.origin)
    }

    /// The scheme, where it is an app's own (RFC 8252 section 7.1).
    pub fn private_scheme(&self) -> Option<&str> {
        private_scheme(&self.origin, self.private)
    }

    /// The target for a requested URI that matches this registered one.
    pub fn matching(&self, requested: &str) -> Option<RedirectTarget> {
        if requested == &*self.text {
            let (text, origin) = (self.text.clone(), self.origin.clone());
            return Some(RedirectTarget { text, origin, private: self.private, trusted: false });
        }
        // "The authorization server MUST allow any port to be specified at the time of the request for loopback IP redirect URIs"
        // (RFC 8252 section 7.3)
        let (before_port, after_port) = self.loopback.as_ref()?;
        let port = requested.strip_prefix(&**before_port)?.strip_suffix(&**after_port)?;
        let digits = port.strip_prefix(':')?;
        let number: u16 = digits.parse().ok()?;
        let canonical = number != 0 && number != 80 && number.to_string() == digits;
        let origin = || format!("{before_port}{port}").into();
        canonical.then(|| RedirectTarget { text: requested.into(), origin: origin(), private: false, trusted: false })
    }
}

/// A redirect URI of a request that matched a registered one: the only kind of place that an answer is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTarget {
    text: Box<str>,
    origin: Box<str>,
    private: bool,
    trusted: bool,
}

impl RedirectTarget {
    /// The same as one that an operator registered.
    pub(crate) fn trusted(self) -> Self {
        Self { trusted: true, ..self }
    }

    /// Whether an operator registered it. To another place no browser is sent before its person has done something here (RFC 9700 section 4.11.2).
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The URI as requested.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, or an app's own scheme with its colon; the `form-action` of the pages of this request names it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The scheme, where it is an app's own: the answer goes to an app on the person's device.
    pub fn private_scheme(&self) -> Option<&str> {
        private_scheme(&self.origin, self.private)
    }
}

fn private_scheme(origin: &str, private: bool) -> Option<&str> {
    origin.strip_suffix(':').filter(|_| private)
}

/// Whether a scheme is "based on a domain name under their control, expressed in reverse order", of which "the URI scheme MUST" have a period (RFC 8252
/// section 7.1), and of those that are registered only [`REGISTERED`] have one. A parser has made its letters small.
fn is_private_use(scheme: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    scheme.contains('.') && scheme.split('.').all(label) && !REGISTERED.contains(&scheme)
}

/// Schemes with a period that are somebody's already (IANA, Uniform Resource Identifier Schemes).
const REGISTERED: [&str; 9] =
    ["iris.beep", "iris.lwz", "iris.xpc", "iris.xpcs", "soap.beep", "soap.beeps", "xmlrpc.beep", "xmlrpc.beeps", "z39.50r"];

/// What no redirect URI has, of whichever scheme.
fn check_text(text: &str, url: &Url) -> Result<(), RedirectUriError> {
    if text.contains('#') {
        return Err(RedirectUriError::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err(RedirectUriError::UserInformation);
    }
    if text.contains('*') {
        return Err(RedirectUriError::Wildcard);
    }
    if url.as_str() != text {
        return Err(RedirectUriError::NotNormal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_loopback_port_is_written_as_a_browser_writes_it() {
        let registered = RedirectUri::parse("http://127.0.0.1:1/callback").unwrap();
        for port in [":2", ":49152", ":65535"] {
            assert!(registered.matching(&format!("http://127.0.0.1{port}/callback")).is_some(), "{port}");
        }
        // A browser leaves 80 out, and zeros in front: then the page's policy would name an origin that is none.
        for port in [":80", ":0", ":080", ":00443", ":+443", ":65536", ":", ""] {
            assert_eq!(registered.matching(&format!("http://127.0.0.1{port}/callback")), None, "{port}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_cannot_be_registered() {
        for (text, error) in [
            ("", RedirectUriError::Malformed),
            ("/callback", RedirectUriError::Malformed),
            ("app.example/callback", RedirectUriError::Malformed),
            ("https://app.example/ callback", RedirectUriError::Malformed),
            ("https://app.example/\ncallback", RedirectUriError::Malformed),
            ("https://äpp.example/callback", RedirectUriError::Malformed),
            ("https://app.example\\@evil.example/", RedirectUriError::Malformed),
            ("https://", RedirectUriError::Malformed),
            ("http://app.example/callback", RedirectUriError::Scheme),
            ("http://127.0.0.1.evil.example/callback", RedirectUriError::Scheme),
            ("http://localhost.evil.example/callback", RedirectUriError::Scheme),
            ("http://10.0.0.1/callback", RedirectUriError::Scheme),
            ("javascript:alert(1)", RedirectUriError::Scheme),
            ("data:text/html,x", RedirectUriError::Scheme),
            ("ftp://app.example/", RedirectUriError::Scheme),
            ("file:///etc/passwd", RedirectUriError::Scheme),
            ("file:/etc/passwd", RedirectUriError::Scheme),
            ("blob:https://app.example/1", RedirectUriError::Scheme),
            ("about:blank", RedirectUriError::Scheme),
            ("vbscript:x", RedirectUriError::Scheme),
            ("view-source:https://app.example/", RedirectUriError::Scheme),
            ("intent:/callback", RedirectUriError::Scheme),
            ("myapp:/callback", RedirectUriError::Scheme),
            ("myapp://callback", RedirectUriError::Scheme),
            (".app:/callback", RedirectUriError::Malformed),
            ("com.:/callback", RedirectUriError::Scheme),
            ("com..app:/callback", RedirectUriError::Scheme),
            ("com.example+app:/callback", RedirectUriError::Scheme),
            ("soap.beep:/callback", RedirectUriError::Scheme),
            ("z39.50r:/callback", RedirectUriError::Scheme),
            ("COM.example.app:/callback", RedirectUriError::NotNormal),
            ("com.example.app:/a/../callback", RedirectUriError::NotNormal),
            ("com.example.app:callback", RedirectUriError::PrivateAuthority),
            ("com.example.app:", RedirectUriError::PrivateAuthority),
            ("com.example.app://callback", RedirectUriError::PrivateAuthority),
            ("com.example.app:///callback", RedirectUriError::PrivateAuthority),
            ("com.example.app://hospital.example/callback", RedirectUriError::PrivateAuthority),
            ("com.example.app:/callback#x", RedirectUriError::Fragment),
            ("com.example.app://user@callback", RedirectUriError::UserInformation),
            ("com.example.app:/*", RedirectUriError::Wildcard),
            ("https://app.example/callback#x", RedirectUriError::Fragment),
            ("https://app.example/callback#", RedirectUriError::Fragment),
            ("https://user@app.example/callback", RedirectUriError::UserInformation),
            ("https://user:word@app.example/callback", RedirectUriError::UserInformation),
            ("https://app.example/@x", RedirectUriError::UserInformation),
            ("https://*.app.example/callback", RedirectUriError::Wildcard),
            ("https://app.example/*", RedirectUriError::Wildcard),
            ("HTTPS://app.example/callback", RedirectUriError::NotNormal),
            ("https://APP.example/callback", RedirectUriError::NotNormal),
            ("https://app.example:443/callback", RedirectUriError::NotNormal),
            ("https://app.example/a/../callback", RedirectUriError::NotNormal),
            ("https://app.example", RedirectUriError::NotNormal),
            ("https:app.example/callback", RedirectUriError::NotNormal),
            ("http://127.1/callback", RedirectUriError::NotNormal),
        ] {
            assert_eq!(RedirectUri::parse(text), Err(error), "{text}");
        }
        let long = format!("https://app.example/{}", "x".repeat(MAXIMUM_BYTES));
        assert_eq!(RedirectUri::parse(&long), Err(RedirectUriError::Malformed));
    }

    #[test]
    fn a_requested_uri_that_differs_in_any_way_does_not_match() {
        let registered = RedirectUri::parse("https://app.example/callback?tenant=1").unwrap();
        for requested in [
            "",
            "https://app.example/callback",
            "https://app.example/callback?tenant=1&x=2",
            "https://app.example/callback?tenant=1#x",
            "https://app.example/callback/?tenant=1",
            "https://app.example:443/callback?tenant=1",
            "https://APP.example/callback?tenant=1",
            "https://www.app.example/callback?tenant=1",
            "http://app.example/callback?tenant=1",
            "https://app.example/Callback?tenant=1",
            "https://app.example/%63allback?tenant=1",
            " https://app.example/callback?tenant=1",
        ] {
            assert_eq!(registered.matching(requested), None, "{requested}");
        }
        let target = registered.matching("https://app.example/callback?tenant=1").unwrap();
        assert_eq!((target.as_str(), target.origin()), (registered.as_str(), "https://app.example"));
    }

    #[test]
    fn only_the_port_of_http_on_a_loopback_literal_may_vary() {
        for registered in ["http://127.0.0.1/callback", "http://127.0.0.1:1234/callback"] {
            let registered = RedirectUri::parse(registered).unwrap();
            let target = registered.matching("http://127.0.0.1:49152/callback").unwrap();
            assert_eq!((target.as_str(), target.origin()), ("http://127.0.0.1:49152/callback", "http://127.0.0.1:49152"));
            for requested in [
                "http://127.0.0.1:/callback",
                "http://127.0.0.1:0/callback",
                "http://127.0.0.1:080/callback",
                "http://127.0.0.1:65536/callback",
                "http://127.0.0.1:+80/callback",
                "http://127.0.0.1:1@evil.example/callback",
                "http://127.0.0.1:1/other/callback",
                "http://127.0.0.1:1/callback?x",
                "http://127.0.0.2:1/callback",
                "http://[::1]:1/callback",
                "https://127.0.0.1:1/callback",
                "http://localhost:1/callback",
            ] {
                assert_eq!(registered.matching(requested), None, "{requested}");
            }
        }
        assert!(RedirectUri::parse("http://[::1]/cb").unwrap().matching("http://[::1]:5000/cb").is_some());
        for exact in ["http://localhost:3000/cb", "https://127.0.0.1:8444/cb"] {
            let registered = RedirectUri::parse(exact).unwrap();
            assert!(registered.matching(exact).is_some());
            assert_eq!(registered.matching(&exact.replace(":3000", ":3001").replace(":8444", ":8445")), None, "{exact}");
        }
    }

    #[test]
    fn a_scheme_of_an_app_is_compared_exactly_and_is_no_origin_of_pages() {
        let registered = RedirectUri::parse("com.example.app:/callback").unwrap();
        assert_eq!((registered.origin(), registered.private_scheme()), (None, Some("com.example.app")));
        for requested in [
            "com.example.app:/callback/",
            "com.example.app:/callback?x=1",
            "com.example.app:/Callback",
            "com.example.app://callback",
            "com.example.app:callback",
            "com.example.App:/callback",
            "com.example.app2:/callback",
            "com.example:/callback",
            "https://com.example.app/callback",
        ] {
            assert_eq!(registered.matching(requested), None, "{requested}");
        }
        let target = registered.matching("com.example.app:/callback").unwrap();
        assert_eq!((target.origin(), target.private_scheme()), ("com.example.app:", Some("com.example.app")));
        let web = RedirectUri::parse("https://com.example.app/callback").unwrap();
        assert_eq!((web.origin(), web.private_scheme()), (Some("https://com.example.app"), None));
        assert_eq!(web.matching("https://com.example.app/callback").unwrap().private_scheme(), None);
    }

    proptest! {
        #[test]
        fn whatever_is_registered_matches_itself(text in "\\PC{0,40}|https?://[a-z.\\[\\]:0-9]{1,20}/[a-z?&=%#]{0,10}|[a-z.]{1,9}:/{0,3}[a-z.?@/]{0,9}") {
            if let Ok(registered) = RedirectUri::parse(&text) {
                prop_assert_eq!(registered.matching(&text).map(|target| target.as_str().to_owned()), Some(text));
            }
        }

        #[test]
        fn a_match_stays_on_the_registered_host(requested in "http://127\\.0\\.0\\.1[:0-9@a-z./]{0,20}") {
            let registered = RedirectUri::parse("http://127.0.0.1/callback").unwrap();
            if let Some(target) = registered.matching(&requested) {
                let url = Url::parse(target.as_str()).unwrap();
                prop_assert_eq!(url.host_str(), Some("127.0.0.1"));
                prop_assert_eq!(url.path(), "/callback");
                prop_assert_eq!(url.origin().ascii_serialization(), target.origin());
            }
        }
    }
}
