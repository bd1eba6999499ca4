//! Narrative: the XHTML that a resource may carry, and nothing that a browser would run or fetch by itself.
//!
//! <https://hl7.org/fhir/R4/narrative.html#xhtml>. A scanner with an allow-list of elements, attributes and URL schemes; it demands well-formed XML with
//! one `div` of the XHTML namespace. What is not on a list is refused, never repaired, so the text is stored and sent as it came.

use std::borrow::Cow;

use super::entities;
use super::primitive::has_noncharacter;

/// The elements of HTML 4.0 chapters 7 to 11 (without 9.4) and 15, `a` and `img`.
const ELEMENTS: [&str; 57] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "center",
    "font",
    "ins",
];

/// Attributes without URLs or scripts. `style`, `href`, `src` and `xmlns` are looked at apart.
const ATTRIBUTES: [&str; 45] = [
    "abbr",
    "accesskey",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellhalign",
    "cellpadding",
    "cellspacing",
    "cellvalign",
    "char",
    "charoff",
    "charset",
    "class",
    "clear",
    "color",
    "colspan",
    "compact",
    "dir",
    "face",
    "frame",
    "headers",
    "height",
    "hreflang",
    "id",
    "lang",
    "name",
    "noshade",
    "nowrap",
    "rel",
    "rev",
    "rowspan",
    "rules",
    "scope",
    "size",
    "span",
    "start",
    "summary",
    "tabindex",
    "title",
    "type",
    "valign",
    "value",
    "width",
];

/// Where a link may lead. Everything else, `javascript:` first, is refused.
const LINK_SCHEMES: [&str; 8] = ["http", "https", "mailto", "tel", "ftp", "urn", "cid", "fhir"];

/// What a style may not contain, in lower case and without comments and white space.
const STYLE_REFUSED: [&str; 6] = ["@import", "expression(", "javascript:", "behavior", "-moz-binding", "image("];

/// Elements cannot be nested deeper than this.
const MAXIMUM_DEPTH: usize = 100;

/// Why a narrative is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NarrativeError {
    #[error("the narrative is not well-formed XHTML: {0}")]
    Malformed(&'static str),
    #[error("the narrative must be one `div` in the namespace http://www.w3.org/1999/xhtml")]
    NotDiv,
    #[error("the narrative has no content (invariant txt-2)")]
    Empty,
    #[error("the element `{0}` is not allowed in a narrative")]
    Element(String),
    #[error("the attribute `{0}` is not allowed in a narrative")]
    Attribute(String),
    #[error("the attribute `{0}` of the narrative has a value that is not allowed")]
    Value(String),
}

use NarrativeError::Malformed;

pub(super) fn check(text: &str) -> Result<(), NarrativeError> {
    // XML 1.0, section 2.2.
    let is_control = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n');
    if text.bytes().any(is_control) || has_noncharacter(text) {
        return Err(Malformed("a character that XML does not have"));
    }
    let mut scanner = Scanner { rest: text.trim(), open: Vec::new(), content: false };
    if !scanner.rest.starts_with("<div") {
        return Err(NarrativeError::NotDiv);
    }
    scanner.start_tag()?;
    while !scanner.open.is_empty() {
        scanner.next()?;
    }
    if !scanner.rest.is_empty() {
        return Err(NarrativeError::NotDiv);
    }
    if scanner.content { Ok(()) } else { Err(NarrativeError::Empty) }
}

struct Scanner<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
    /// Whether any text that is not white space, or an image, was met.
    content: bool,
}

impl<'a> Scanner<'a> {
    /// Everything up to the quotation mark, which is passed over.
    fn until_quote(&mut self, quote: char, missing: &'static str) -> Result<&'a str, NarrativeError> {
        let (before, after) = self.rest.split_once(quote).ok_or(Malformed(missing))?;
        self.rest = after;
        Ok(before)
    }

    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_white_space(&mut self) -> bool {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let skipped = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        skipped
    }

    fn name(&mut self) -> &'a str {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
        let end = self.rest.as_bytes().iter().take_while(|byte| is_part(byte)).count();
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        name
    }

    fn next(&mut self) -> Result<(), NarrativeError> {
        if self.skip("<!--") {
            let (comment, after) = self.rest.split_once("-->").ok_or(Malformed("a comment does not end"))?;
            self.rest = after;
            // HTML ends a comment at `<!-->` and `<!--->` (HTML, section 13.2.5.43), where XML has only begun it: what follows would be live in a browser.
            return match comment.starts_with('>') || comment.starts_with("->") {
                true => Err(Malformed("a comment begins with `>`")),
                false if comment.contains("--") => Err(Malformed("`--` in a comment")),
                false => Ok(()),
            };
        }
        if self.rest.starts_with("<!") || self.rest.starts_with("<?") {
            return Err(Malformed("declarations, CDATA and processing instructions are not allowed"));
        }
        if self.skip("</") {
            let name = self.name();
            self.skip_white_space();
            if !self.skip(">") || self.open.pop() != Some(name) {
                return Err(Malformed("an end tag does not match its start tag"));
            }
            return Ok(());
        }
        if self.rest.starts_with('<') {
            return self.start_tag();
        }
        if self.rest.is_empty() {
            return Err(Malformed("an element does not end"));
        }
        let end = self.rest.find('<').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.content |= !text.trim_start().is_empty();
        decode(text).map(|_| ())
    }

    fn start_tag(&mut self) -> Result<(), NarrativeError> {
        self.skip("<");
        let name = self.name();
        if !ELEMENTS.contains(&name) {
            return Err(NarrativeError::Element(shortened(name)));
        }
        self.content |= name == "img";
        let mut namespace = false;
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let separated = self.skip_white_space();
            let empty = self.skip("/>");
            if empty || self.skip(">") {
                if self.open.is_empty() && !namespace {
                    return Err(NarrativeError::NotDiv);
                }
                if !empty {
                    self.open.push(name);
                }
                return if self.open.len() > MAXIMUM_DEPTH { Err(Malformed("elements are nested too deeply")) } else { Ok(()) };
            }
            let (attribute, value) = self.attribute(separated)?;
            if seen.contains(&attribute) {
                return Err(Malformed("an attribute occurs twice"));
            }
            seen.push(attribute);
            namespace |= attribute == "xmlns";
            check_attribute(name, attribute, &value)?;
        }
    }

    fn attribute(&mut self, separated: bool) -> Result<(&'a str, Cow<'a, str>), NarrativeError> {
        let attribute = self.name();
        if attribute.is_empty() || !separated {
            return Err(Malformed("a tag is not closed"));
        }
        self.skip_white_space();
        if !self.skip("=") {
            return Err(Malformed("an attribute without value"));
        }
        self.skip_white_space();
        let value = if self.skip("\"") {
            self.until_quote('"', "an attribute value does not end")?
        } else if self.skip("'") {
            self.until_quote('\'', "an attribute value does not end")?
        } else {
            return Err(Malformed("an attribute value without quotes"));
        };
        if value.contains('<') {
            return Err(Malformed("`<` in an attribute value"));
        }
        Ok((attribute, decode(value)?))
    }
}

fn check_attribute(element: &str, attribute: &str, value: &str) -> Result<(), NarrativeError> {
    let allowed = match attribute {
        "xmlns" => value == "http://www.w3.org/1999/xhtml",
        "xml:lang" | "xml:space" => true,
        "style" => is_safe_style(value),
        "href" if element == "a" => is_safe_link(value, &LINK_SCHEMES),
        "cite" => is_safe_link(value, &LINK_SCHEMES),
        "longdesc" if element == "img" => is_safe_link(value, &LINK_SCHEMES),
        "src" if element == "img" => is_safe_link(value, &["http", "https", "cid"]) || is_image_data(value),
        // Links that open in a new page; the name is of no consequence.
        "target" if element == "a" => true,
        _ if ATTRIBUTES.contains(&attribute) => true,
        _ => return Err(NarrativeError::Attribute(shortened(attribute))),
    };
    if allowed { Ok(()) } else { Err(NarrativeError::Value(shortened(attribute))) }
}

/// Relative, or of a listed scheme. Browsers ignore controls and white space in a scheme, so their presence before the colon is a refusal.
fn is_safe_link(value: &str, schemes: &[&str]) -> bool {
    let value = value.trim_matches(' ');
    if value.chars().any(char::is_control) {
        return false;
    }
    match value.find([':', '/', '?', '#']) {
        Some(position) if value.get(position..).is_some_and(|rest| rest.starts_with(':')) => {
            let scheme = value.get(..position).unwrap_or_default();
            schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}

/// A raster image in the narrative itself; SVG can carry scripts.
fn is_image_data(value: &str) -> bool {
    // Some published narratives have a space after `data:`; the payload is not looked at.
    let start = value.chars().filter(|character| !character.is_whitespace()).take(32);
    let value: String = start.map(|character| character.to_ascii_lowercase()).collect();
    ["png", "jpeg", "jpg", "gif", "webp", "bmp"].iter().any(|format| value.starts_with(&format!("data:image/{format};")))
}

fn is_safe_style(value: &str) -> bool {
    // Escapes and comments could hide a refused word; no published narrative needs them.
    if value.contains('\\') || value.contains("/*") {
        return false;
    }
    let compact: String =
        value.to_lowercase().chars().filter(|character| !character.is_whitespace() && !character.is_control()).collect();
    !STYLE_REFUSED.iter().any(|refused| compact.contains(refused)) && compact.split("url(").skip(1).all(is_local_url)
}

/// `url(` may lead to an image in the narrative itself or beside the resource (published narratives do so), never to another host.
fn is_local_url(after: &str) -> bool {
    let Some((url, _)) = after.split_once(')') else { return false };
    let url = url.trim_matches(['"', '\'']);
    let is_beside = !url.is_empty() && url.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    is_beside || is_image_data(url)
}

/// Replaces character references; refuses a `&` that begins none.
fn decode(text: &str) -> Result<Cow<'_, str>, NarrativeError> {
    if !text.contains('&') {
        return Ok(Cow::Borrowed(text));
    }
    let mut parts = text.split('&');
    let mut decoded = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or(Malformed("`&` must be written `&amp;`"))?;
        decoded.push(reference(name).ok_or(Malformed("an unknown character reference"))?);
        decoded.push_str(rest);
    }
    Ok(Cow::Owned(decoded))
}

/// XHTML's named characters other than the five of XML become a letter that means nothing to any check.
fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code_point = match number.strip_prefix(['x', 'X']) {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16),
            None if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse(),
            _ => return None,
        };
        // XML 1.0, section 2.2: of the controls below the space, these three are characters.
        let is_control = |character: char| character < ' ' && !matches!(character, '\t' | '\n' | '\r');
        return char::from_u32(code_point.ok()?).filter(|one| !is_control(*one) && !matches!(one, '\u{fffe}' | '\u{ffff}'));
    }
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        // HTML 5 names more, of which some could spell a scheme.
        _ if entities::is_named(name) => Some('\u{b7}'),
        _ => None,
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(content: &str) -> String {
        format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>")
    }

    #[test]
    fn ordinary_narratives_are_accepted() {
        for content in [
            "text",
            "<p>a<br/>b &amp; &lt; &#160; &#xA0; &nbsp;</p>",
            "<!-- a comment --><b>x</b>",
            "<!----><b>x</b><!-- 1 > 2 - a <p>b</p> -->",
            "<a name=\"x\"> </a><a href=\"#x\" title='t'>y</a>",
            "<a href=\"Patient/1\">p</a><a href=\"https://example.org/a:b?c#d\">e</a>",
            "<img src=\"#p\" alt=\"x\"/>",
            "<img src=\"data:image/png;base64,AAAA\"/>",
            "<img src=\"data: image/png;base64,AAAA\"/>",
            "<table class=\"grid\" style=\"width: 100%; color: #fff\"><tr><td colspan=\"2\">x</td></tr></table>",
            "<p style=\"background: white url(tbl_bck1.png) url('data:image/png;base64,AA==')\">x</p>",
            "<p xml:lang=\"de\" lang=\"de\" >ä</p >",
        ] {
            assert_eq!(check(&div(content)), Ok(()), "{content}");
        }
        assert_eq!(check("  <div lang='en' xmlns='http://www.w3.org/1999/xhtml'>x</div>\n"), Ok(()));
    }

    #[test]
    fn what_a_browser_would_run_or_fetch_is_refused() {
        portcullis_verifies::verifies!("FHIR-SEC-46", "FHIR-SEC-47");
        for content in [
            "x<script>alert(1)</script>",
            "x<!--><script>alert(1)</script>-->",
            "x<!---><script>alert(1)</script>-->",
            "x<!--><img src=x onerror=alert(1)>-->",
            "x<!-- --!><script>alert(1)</script>-->",
            "x<SCRIPT>1</SCRIPT>",
            "x<style>p{}</style>",
            "<p onclick=\"x()\">x</p>",
            "<p ONCLICK=\"x()\">x</p>",
            "<a href=\"javascript:x()\">x</a>",
            "<a href=\"JaVaScRiPt:x()\">x</a>",
            "<a href=\" javascript:x()\">x</a>",
            "<a href=\"java&#115;cript:x()\">x</a>",
            "<a href=\"java&#10;script:x()\">x</a>",
            "<a href=\"java&Tab;script:x()\">x</a>",
            "<a href=\"javascript&colon;x()\">x</a>",
            "<a href=\"&#1;javascript:x()\">x</a>",
            "<a href=\"data:text/html,x\">x</a>",
            "<a href=\"vbscript:x\">x</a>",
            "<img src=\"data:image/svg+xml;base64,AAAA\"/>",
            "<img src=\"javascript:x\"/>",
            "<iframe src=\"x\">x</iframe>",
            "<object>x</object>",
            "<form>x</form>",
            "<input value=\"x\"/>",
            "<link href=\"x\"/>",
            "<base href=\"x\"/>",
            "<svg>x</svg>",
            "<math>x</math>",
            "<p style=\"background: url(//x.example/y)\">x</p>",
            "<p style=\"background: url('http://x.example/y')\">x</p>",
            "<p style=\"background: url(x.png\">x</p>",
            "<p style=\"background: url(/x)\">x</p>",
            "<p style=\"background: url(data:image/svg+xml;base64,AAAA)\">x</p>",
            "<p style=\"background: u\\72l(x)\">x</p>",
            "<p style=\"a: u/**/rl(x)\">x</p>",
            "<p style=\"@IMPORT 'x'\">x</p>",
            "<p style=\"width: expression (1)\">x</p>",
            "<p style=\"a: ur&#108;(//x)\">x</p>",
            "<p srcset=\"x\">x</p>",
            "<p src=\"x\">x</p>",
            "<p href=\"x\">x</p>",
            "<p background=\"x\">x</p>",
            "<p xlink:href=\"x\">x</p>",
            "<p xmlns:x=\"y\">x</p>",
            "<x:script>x</x:script>",
            "<p xmlns=\"http://www.w3.org/2000/svg\">x</p>",
        ] {
            assert!(check(&div(content)).is_err(), "{content}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for content in [
            "<p>",
            "</p>",
            "<p>x</b>",
            "<p",
            "<p x",
            "<p class=x>x</p>",
            "<p class>x</p>",
            "<p class=\"a\" class=\"b\">x</p>",
            "<p class=\"a\"id=\"b\">x</p>",
            "a & b",
            "&#0;",
            "&#1;",
            "&#x1F;",
            "&#xFFFE;",
            "\u{1}",
            "\u{b}",
            "\u{ffff}",
            "<p title=\"\u{1f}\">x</p>",
            "&xxe;",
            "&colon;",
            "&#xZZ;",
            "&;",
            "&unterminated",
            "<![CDATA[x]]>",
            "<?x y?>",
            "<!DOCTYPE x>",
            "<!-- x",
            "<!-- a -- b -->x",
            "< p>x</p>",
            "<p class=\"<\">x</p>",
            "<p/ >x",
            "<>x</>",
        ] {
            assert!(check(&div(content)).is_err(), "{content}");
        }
        assert!(check(&div(&"<b>".repeat(1_000_000))).is_err());
    }

    #[test]
    fn a_narrative_is_one_div_with_content() {
        for text in [
            "",
            "x",
            "<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>",
            "<div>x</div>",
            "<divx xmlns=\"http://www.w3.org/1999/xhtml\">x</divx>",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert_eq!(check(&format!("{}x", div("x"))), Err(NarrativeError::NotDiv));
        assert_eq!(check(&format!("{}{}", div("x"), div("x"))), Err(NarrativeError::NotDiv));
        assert_eq!(check(&div(" <p> </p> ")), Err(NarrativeError::Empty));
        assert_eq!(check("<div xmlns=\"http://www.w3.org/1999/xhtml\"/>"), Err(NarrativeError::Empty));
        assert_eq!(check(&div("<script>x</script>")), Err(NarrativeError::Element("script".to_owned())));
    }
}
