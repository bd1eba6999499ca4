//! Where a session is, in words that its owner recognises: browser and system from `User-Agent`, and the network address.
//!
//! `User-Agent` is a guess and may lie; it decides nothing. Only names from the lists below get onto a page.

use http::header;

use crate::peer_address;
use crate::resource_server::Exchange;
use crate::ui::Language;

/// What a part of `User-Agent` means. The first that fits counts, since browsers name those that they resemble as well.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("CrOS", "a Chromebook"),
    ("Windows", "Windows"),
    ("Macintosh", "a Mac"),
    ("Linux", "Linux"),
];
/// What is kept with a session where nothing fits.
const UNKNOWN: &str = "A browser that we do not know";

/// What is kept with a session, in the reader's language: it is kept in English, for records and operators.
pub fn shown(kept: &str, language: Language) -> String {
    let unknown = || language.say(UNKNOWN, "Un navegador que no conocemos").to_owned();
    if kept.is_empty() || kept == UNKNOWN {
        return unknown();
    }
    match (language, kept.split_once(" on ")) {
        (Language::English, _) | (Language::Spanish, None) => kept.to_owned(),
        (Language::Spanish, Some((browser, system))) => {
            let browser = if browser == "A browser" { "Un navegador" } else { browser };
            let system = match system.split_once(' ') {
                Some(("a" | "an", system)) => format!("un {system}"),
                _ => system.to_owned(),
            };
            format!("{browser} en {system}")
        }
    }
}

/// The browser as its owner would call it.
pub fn browser(exchange: &Exchange) -> String {
    described(exchange.header(&header::USER_AGENT).unwrap_or_default())
}

/// The network address.
pub fn network(exchange: &Exchange) -> String {
    peer_address::or_peer(exchange).to_canonical().to_string()
}

fn described(user_agent: &str) -> String {
    let named = |list: &[(&str, &'static str)]| list.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name);
    match (named(BROWSERS), named(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_by_their_own_name() {
        for (user_agent, words) in [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1",
                "Safari on an iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
                "Safari on a Mac",
            ),
            ("curl/8", "A browser that we do not know"),
            ("<script>", "A browser that we do not know"),
            ("", "A browser that we do not know"),
        ] {
            assert_eq!(described(user_agent), words, "{user_agent}");
            assert_eq!(shown(words, Language::English), words);
        }
    }

    #[test]
    fn a_browser_is_told_in_the_readers_language() {
        for (kept, words) in [
            ("Firefox on Windows", "Firefox en Windows"),
            ("Safari on an iPhone", "Safari en un iPhone"),
            ("Chrome on a Chromebook", "Chrome en un Chromebook"),
            ("A browser on a Mac", "Un navegador en un Mac"),
            ("Edge", "Edge"),
            ("A browser that we do not know", "Un navegador que no conocemos"),
            ("", "Un navegador que no conocemos"),
        ] {
            assert_eq!(shown(kept, Language::Spanish), words);
        }
    }
}
