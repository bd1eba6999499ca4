//! The demo app: a small SMART app of one page, served from another origin than the server so that CORS and cookies are real.
//!
//! It is an app like any other: it knows the FHIR base and its client id, finds the rest by discovery, and holds no secret
//! (SMART App Launch 2.2.0, public client with PKCE). It reads its settings from `/config.json` of its own origin.
//!
//! Not here: its registration as a client, which the demo does.

use crate::ui::is_one_source;

mod handler;

pub use handler::{AppSettings, DemoApp};

/// Its files: path, media type, bytes. `/`, `/callback` and `/launch` are the same page: the first two may be the redirect URI, the last one is where an EHR opens it.
pub fn files() -> &'static [(&'static str, &'static str, &'static [u8])] {
    const HTML: &str = "text/html; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const INDEX: &[u8] = include_bytes!("../demo-app/index.html");
    &[
        ("/", HTML, INDEX),
        ("/index.html", HTML, INDEX),
        ("/callback", HTML, INDEX),
        ("/launch", HTML, INDEX),
        ("/app.js", SCRIPT, include_bytes!("../demo-app/app.js")),
        ("/ehr.js", SCRIPT, include_bytes!("../demo-app/ehr.js")),
        ("/fhir.js", SCRIPT, include_bytes!("../demo-app/fhir.js")),
        ("/oauth.js", SCRIPT, include_bytes!("../demo-app/oauth.js")),
        ("/other.js", SCRIPT, include_bytes!("../demo-app/other.js")),
        ("/tools.js", SCRIPT, include_bytes!("../demo-app/tools.js")),
        ("/view.js", SCRIPT, include_bytes!("../demo-app/view.js")),
        ("/words.js", SCRIPT, include_bytes!("../demo-app/words.js")),
        ("/style.css", "text/css; charset=utf-8", include_bytes!("../demo-app/style.css")),
        ("/favicon.svg", "image/svg+xml", include_bytes!("../static/favicon.svg")),
    ]
}

/// The value of `Content-Security-Policy` for its files: it may talk to itself (`/config.json`) and to the issuer, to nobody else.
/// An origin that could add a directive is left out; the app then reaches no server.
pub fn content_security_policy(issuer_origin: &str) -> String {
    let (space, origin) = if is_one_source(issuer_origin) { (" ", issuer_origin) } else { ("", "") };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{space}{origin}; img-src 'self'; \
         form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
    )
}

/// The body of `/config.json`, media type `application/json`.
pub fn configuration(issuer: &str, fhir_base: &str, client_id: &str, redirect_uri: &str, scope: &str) -> String {
    serde_json::json!({
        "issuer": issuer,
        "fhir_base": fhir_base,
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        let (_, _, bytes) = files().iter().find(|(name, _, _)| *name == path).unwrap();
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_page_has_no_inline_code_or_style() {
        let html = text("/");
        for forbidden in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script type=\"module\" src=\"/app.js\"></script>"));
    }

    #[test]
    fn the_script_makes_no_html_from_text_and_keeps_nothing_for_longer_than_the_tab() {
        let mut scripts = 0;
        for (path, _, _) in files().iter().filter(|(path, _, _)| path.ends_with(".js")) {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "cookie", ".style"]
            {
                assert!(!text(path).contains(forbidden), "{path}: {forbidden}");
            }
            scripts += 1;
        }
        assert_eq!(scripts, 8);
    }

    #[test]
    fn every_script_that_a_script_imports_is_served() {
        let mut imports = 0;
        for (path, _, _) in files().iter().filter(|(path, _, _)| path.ends_with(".js")) {
            for imported in text(path).split(" from './").skip(1).map(|rest| rest.split('\'').next().unwrap()) {
                assert!(files().iter().any(|(name, _, _)| name.strip_prefix('/') == Some(imported)), "{path} imports {imported}");
                imports += 1;
            }
        }
        assert!(imports > 10, "{imports}");
    }

    #[test]
    fn an_origin_cannot_add_a_directive() {
        let policy = content_security_policy("https://localhost:8443; script-src *");
        assert!(policy.contains("connect-src 'self'; ") && !policy.contains('*'), "{policy}");
        assert!(content_security_policy("https://localhost:8443").contains("connect-src 'self' https://localhost:8443;"));
    }

    #[test]
    fn the_configuration_is_json_whatever_is_in_it() {
        let json = configuration("https://a", "https://a/fhir", "x\"y", "https://b/", "openid\n");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["client_id"], "x\"y");
        assert_eq!(value["scope"], "openid\n");
    }
}
