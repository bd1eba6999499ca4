//! Which language a request is answered in, and the link that changes it.
//!
//! The first of these that names a language of ours: `ui_locales` in the query (OpenID Connect Core 1.0 section 3.1.2.1), also in that of the request which a
//! sign-in is for; the person's own choice, which a cookie keeps; `Accept-Language`; the operator's setting. The cookie holds the tag of a language and
//! nothing of the person.

use http::{HeaderMap, Method, StatusCode, Uri, header};
use portcullis_oauth::language::Language;

use super::reader::Reader;
use crate::answer::Draft;
use crate::authorization_server::accounts::login::return_path_or;
use crate::authorization_server::authorization::authorize::field;
use crate::authorization_server::page_query;
use crate::authorization_server::session;
use crate::resource_server::Exchange;

/// The cookie that keeps the person's choice.
const COOKIE: &str = "__Host-portcullis-language";
/// How long it is kept, in seconds: as long as browsers keep a cookie (RFC 6265bis, section 5.5).
const LIFETIME_SECONDS: i64 = 400 * 24 * 3600;
/// The parameter by which an app asks for a language.
const UI_LOCALES: &str = "ui_locales";

/// The language of the answer to a request.
pub fn language(target: &Uri, headers: &HeaderMap, default: Language) -> Language {
    asked(target)
        .or_else(|| session::cookie_of(headers, COOKIE).and_then(exact))
        .or_else(|| headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Language::of_accept_language))
        .unwrap_or(default)
}

/// The reader of the answer to a request.
pub fn reader(exchange: &Exchange) -> Reader {
    let path = exchange.target.path();
    let here = match exchange.method {
        Method::GET | Method::HEAD => exchange.target.path_and_query().map_or(path, |target| target.as_str()),
        // What a form answered is found again by opening the page that the form stood on.
        _ if path.starts_with("/login") => "/login",
        _ if path.starts_with("/me") => "/me",
        _ if path == "/ehr" => "/ehr",
        _ => "",
    };
    Reader::of(exchange.language).at(here).asked_by_app(asked(&exchange.target).is_some())
}

/// What an app asks for: `ui_locales` of the query, or of the authorization request that the query says to return to.
fn asked(target: &Uri) -> Option<Language> {
    let query = target.query().unwrap_or_default();
    let within = || value(query, "return_to").and_then(|path| ui_locales(path.split_once('?')?.1));
    if query.contains(UI_LOCALES) { ui_locales(query).or_else(within) } else { None }
}

/// What an app asks for in the query of an authorization request.
pub fn ui_locales(query: &str) -> Option<Language> {
    Language::of_ui_locales(&value(query, UI_LOCALES)?)
}

fn value(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// A tag exactly as we write it.
fn exact(tag: &str) -> Option<Language> {
    Language::ALL.into_iter().find(|language| language.tag() == tag)
}

/// `GET /language`: keeps the choice and goes back to the page. An unknown language changes nothing.
pub fn change(exchange: &Exchange) -> Draft {
    let query = match page_query::read(exchange, &["to", "return_to"]) {
        Ok(query) => query,
        Err(error) => return error.page(exchange),
    };
    let path = return_path_or(field(&query, "return_to"), "/");
    let chosen = field(&query, "to").and_then(exact);
    let Some(chosen) = chosen else { return Draft::new(StatusCode::SEE_OTHER).with_text(header::LOCATION, &path) };
    let tag = chosen.tag();
    let cookie = format!("{COOKIE}={tag}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIFETIME_SECONDS}");
    let draft = Draft::new(StatusCode::SEE_OTHER).with_text(header::LOCATION, &in_language(&path, chosen));
    draft.with_text(header::SET_COOKIE, &cookie)
}

/// The same path; where an app asks in it for a language, it asks for this one. The person's click is newer than the app's wish.
fn in_language(path: &str, language: Language) -> String {
    let Some((bare, query)) = path.split_once('?') else { return path.to_owned() };
    let is_wish = |pair: &str| pair.split('=').next() == Some(UI_LOCALES);
    if !query.split('&').any(is_wish) {
        return path.to_owned();
    }
    let wish = format!("{UI_LOCALES}={}", language.tag());
    let pairs: Vec<&str> = query.split('&').filter(|pair| !is_wish(pair)).chain([wish.as_str()]).collect();
    format!("{bare}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::Language::{English, Spanish};
    use super::*;

    fn asking(target: &str, cookie: &str, accept: &str, default: Language) -> Language {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::COOKIE, cookie), (header::ACCEPT_LANGUAGE, accept)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        language(&target.parse().unwrap(), &headers, default)
    }

    #[test]
    fn the_app_is_heard_first_then_the_person_then_the_browser_then_the_operator() {
        let (es, en) = ("__Host-portcullis-language=es", "__Host-portcullis-language=en");
        for (target, cookie, accept, default, language) in [
            ("/login", "", "", English, English),
            ("/login", "", "", Spanish, Spanish),
            ("/login", "", "en", Spanish, English),
            ("/login", "", "fr", Spanish, Spanish),
            ("/login", es, "en", English, Spanish),
            ("/login", "a=b; __Host-portcullis-language=es", "en", English, Spanish),
            ("/oauth/authorize?a=b&ui_locales=fr+es-US+en", en, "en", English, Spanish),
            ("/oauth/authorize?ui_locales=fr", es, "en", English, Spanish),
            ("/oauth/authorize?ui_locales=", es, "en", English, Spanish),
            ("/login?return_to=%2Foauth%2Fauthorize%3Fui_locales%3Des%26a%3Db", en, "en", English, Spanish),
            ("/login?ui_locales=es", en, "en", English, Spanish),
            ("/login?xui_locales=es", "", "en", English, English),
        ] {
            assert_eq!(asking(target, cookie, accept, default), language, "{target} {cookie} {accept}");
        }
    }

    #[test]
    fn a_cookie_that_is_not_ours_says_nothing() {
        for cookie in [
            "__Host-portcullis-language=ES",
            "__Host-portcullis-language=",
            "__Host-portcullis-language=es-MX",
            "__Host-portcullis-language=es; __Host-portcullis-language=es",
            "portcullis-language=es",
        ] {
            assert_eq!(asking("/", cookie, "", English), English, "{cookie}");
        }
    }

    #[test]
    fn a_click_overrules_what_the_app_asked_for_and_changes_nothing_else() {
        for (path, changed) in [
            ("/me", "/me"),
            ("/oauth/authorize?a=%20&b=c", "/oauth/authorize?a=%20&b=c"),
            ("/oauth/authorize?a=%20&ui_locales=en+fr&b=c", "/oauth/authorize?a=%20&b=c&ui_locales=es"),
            ("/oauth/authorize?ui_locales=en&ui_locales=fr", "/oauth/authorize?ui_locales=es"),
            ("/x?xui_locales=en", "/x?xui_locales=en"),
        ] {
            assert_eq!(in_language(path, Spanish), changed);
        }
    }
}
