//! The files that the pages need: one style sheet and the mark, inside the binary; and what apps need to look like them.
//!
//! A page names a file by an address that holds a part of its hash, so the answer may be cached for ever; the same hash is the
//! entity tag for whoever asks by the bare name.

use std::sync::LazyLock;

use aws_lc_rs::digest;

/// `Cache-Control` for a file that was asked for by [`url()`].
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    hash: String,
}

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    [
        asset("style.css", "text/css; charset=utf-8", include_bytes!("../../static/style.css")),
        asset("mark.svg", "image/svg+xml", include_bytes!("../../static/mark.svg")),
        asset("smart-style.json", "application/json", include_bytes!("../../static/smart-style.json")),
        asset("passkey.js", "text/javascript; charset=utf-8", include_bytes!("../../static/passkey.js")),
        asset("favicon.svg", "image/svg+xml", include_bytes!("../../static/favicon.svg")),
    ]
});

/// The media type and the bytes of `/static/{name}`.
pub fn find(name: &str) -> Option<(&'static str, &'static [u8])> {
    lookup(name).map(|asset| (asset.media_type, asset.bytes))
}

/// The entity tag of `/static/{name}`, with its quotes.
pub fn entity_tag(name: &str) -> Option<String> {
    lookup(name).map(|asset| format!("\"{}\"", asset.hash))
}

/// The address of a file as the pages write it: it changes when the file does.
pub fn url(name: &str) -> String {
    lookup(name).map_or_else(|| format!("/static/{name}"), |asset| format!("/static/{name}?v={}", asset.hash))
}

fn lookup(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

fn asset(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    let digest = digest::digest(&digest::SHA256, bytes);
    let hash = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Asset { name, media_type, bytes, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_files_are_found() {
        for name in ["", "style.css/", "../style.css", "STYLE.CSS", "style.css?v=1", "app.js"] {
            assert!(find(name).is_none(), "{name}");
        }
        for name in ["style.css", "mark.svg", "favicon.svg", "smart-style.json"] {
            let (media_type, bytes) = find(name).unwrap();
            assert!(!media_type.is_empty() && !bytes.is_empty(), "{name}");
            let tag = entity_tag(name).unwrap();
            assert!(url(name).ends_with(tag.trim_matches('"')), "the address holds the hash of {name}");
        }
    }

    #[test]
    fn the_mark_is_one_path_of_five_bars_and_three_rails() {
        let (_, bytes) = find("mark.svg").unwrap();
        let mark = std::str::from_utf8(bytes).unwrap();
        assert_eq!(mark.matches("<path").count(), 1);
        let path = mark.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 5 + 3, "five bars and three rails");
        assert!(include_str!("../../templates/mark.html").contains(path), "the pages show the same mark");
        assert!(include_str!("../../static/favicon.svg").contains(path), "the favourite icon shows the same mark");
    }

    const PAGES: &str = include_str!("../../static/style.css");
    const DEMO_APP: &str = include_str!("../../demo-app/style.css");

    /// WCAG 2.2, section 1.4.6: text stands at 7:1 or more against what lies behind it.
    #[test]
    fn every_text_colour_of_the_pages_has_a_contrast_of_seven_to_one() {
        let plain = [("ink", "paper"), ("ink", "ground"), ("quiet", "paper"), ("quiet", "ground"), ("quiet", "accent-soft")];
        let accent = [("accent", "paper"), ("accent", "ground"), ("accent", "accent-soft"), ("on-accent", "accent")];
        let buttons = [("on-neutral", "neutral"), ("on-bad", "bad")];
        let notes = [("ink", "accent-soft"), ("ink", "good-soft"), ("ink", "warn-soft"), ("ink", "bad-soft")];
        let tags = [("good", "good-soft"), ("warn", "warn-soft"), ("bad", "bad-soft")];
        assert_contrast(PAGES, &[&plain[..], &accent, &buttons, &notes, &tags].concat());
    }

    #[test]
    fn every_text_colour_of_the_demo_app_has_a_contrast_of_seven_to_one() {
        let plain =
            [("ink", "paper"), ("ink", "ground"), ("ink", "soft"), ("ink", "bad-soft"), ("quiet", "paper"), ("quiet", "ground")];
        let accent = [("accent", "paper"), ("accent", "ground"), ("on-accent", "accent"), ("quiet", "soft")];
        assert_contrast(DEMO_APP, &[&plain[..], &accent].concat());
    }

    fn assert_contrast(css: &str, pairs: &[(&str, &str)]) {
        let (light, rest) = css.split_once("prefers-color-scheme: dark").unwrap();
        for (scheme, block) in [("light", light), ("dark", rest.split_once("}\n}").unwrap().0)] {
            for (text, behind) in pairs {
                let contrast = contrast(token(block, text), token(block, behind));
                assert!(contrast >= 7.0, "{scheme}: {text} on {behind} is {contrast:.2}:1");
            }
            // A control's border must stand out, by section 1.4.11 at 3:1.
            assert!(contrast(token(block, "edge"), token(block, "paper")) >= 3.0, "{scheme}: edge");
        }
    }

    fn token(block: &str, name: &str) -> [f64; 3] {
        let value = block.split(&format!("--{name}: #")).nth(1).unwrap_or_else(|| panic!("no token {name}"));
        [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0)
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(colour: [f64; 3]) -> f64 {
        let [red, green, blue] =
            colour.map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}
