//! How long an answer may be kept (RFC 9111 sections 4.2 and 5.2), in the part that matters for small documents fetched with GET.

use http::{HeaderMap, header};

/// How long an answer is kept that does not say, in seconds.
pub const UNSTATED_SECONDS: i64 = 300;

/// The longest time that an answer is kept, whatever it says, in seconds.
pub const MAXIMUM_SECONDS: i64 = 24 * 3600;

/// For how many seconds an answer is fresh. Whatever cannot be understood counts as not fresh at all.
pub fn lifetime(headers: &HeaderMap) -> i64 {
    let mut stated = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        let Ok(text) = value.to_str() else { return 0 };
        for directive in text.split(',').map(str::trim) {
            let (name, argument) = directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return 0,
                "max-age" => {
                    let Some(seconds) = argument.and_then(seconds) else { return 0 };
                    stated = Some(stated.map_or(seconds, |earlier: i64| earlier.min(seconds)));
                }
                _ => {}
            }
        }
    }
    let age = headers.get(header::AGE).and_then(|value| value.to_str().ok()).and_then(seconds).unwrap_or(0);
    (stated.unwrap_or(UNSTATED_SECONDS) - age).clamp(0, MAXIMUM_SECONDS)
}

/// Digits, possibly in quotes; more than fit are as long as can be.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.trim().trim_matches('"');
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().unwrap_or(i64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_long_as_it_says_and_never_longer() {
        for (cache_control, age, expected) in [
            (None, None, UNSTATED_SECONDS),
            (Some("max-age=60"), None, 60),
            (Some("public, MAX-AGE = 60 , must-revalidate"), None, 60),
            (Some("max-age=\"60\""), None, 60),
            (Some("max-age=60"), Some("20"), 40),
            (Some("max-age=60"), Some("100"), 0),
            (Some("max-age=60"), Some("x"), 60),
            (Some("max-age=60, max-age=10"), None, 10),
            (Some("max-age=0"), None, 0),
            (Some("max-age=-1"), None, 0),
            (Some("max-age"), None, 0),
            (Some("max-age=x"), None, 0),
            (Some("no-store, max-age=60"), None, 0),
            (Some("No-Cache"), None, 0),
            (Some("private"), None, UNSTATED_SECONDS),
            (Some("max-age=999999999999999999999"), None, MAXIMUM_SECONDS),
            (Some("s-maxage=7"), None, UNSTATED_SECONDS),
        ] {
            let mut headers = HeaderMap::new();
            cache_control.map(|text| headers.append(header::CACHE_CONTROL, text.parse().unwrap()));
            age.map(|text| headers.append(header::AGE, text.parse().unwrap()));
            assert_eq!(lifetime(&headers), expected, "{cache_control:?} {age:?}");
        }
        let mut two = HeaderMap::new();
        two.append(header::CACHE_CONTROL, "max-age=60".parse().unwrap());
        two.append(header::CACHE_CONTROL, "no-store".parse().unwrap());
        assert_eq!(lifetime(&two), 0);
    }
}
