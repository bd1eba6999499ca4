//! Narratives: in JSON the text of a `div`, in XML the `div` itself.
//!
//! <https://hl7.org/fhir/R4/narrative.html>. The text is the same in both, but for what the rules of narratives let pass and XML without a document type does
//! not: named characters of XHTML (`&nbsp;`), `&#X41;`, `]]>` in text and a comment that ends with a hyphen. These are written as XML has them.

use std::borrow::Cow;

use super::is_character;
use crate::resource::{is_safe_narrative, named_character};

/// A narrative as XML; `None` where it is not one that could have been stored.
pub(super) fn to_xml(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if !is_safe_narrative(text) || !text.chars().all(is_character) {
        return None;
    }
    if !text.contains('&') && !text.contains("<!--") && !text.contains("]]>") {
        return Some(Cow::Borrowed(text));
    }
    let mut output = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(place) = rest.find(['&', '<', ']']) {
        let (plain, special) = rest.split_at_checked(place)?;
        output.push_str(plain);
        rest = if let Some(comment) = special.strip_prefix("<!--") {
            let (comment, after) = comment.split_once("-->")?;
            let space = if comment.ends_with('-') { " " } else { "" };
            output.extend(["<!--", comment, space, "-->"]);
            after
        } else if let Some(reference) = special.strip_prefix('&') {
            let (name, after) = reference.split_once(';')?;
            push_reference(name, &mut output);
            after
        } else if let Some(after) = special.strip_prefix("]]>") {
            output.push_str("]]&gt;");
            after
        } else {
            let (one, after) = special.split_at_checked(1)?;
            output.push_str(one);
            after
        };
    }
    output.push_str(rest);
    Some(Cow::Owned(output))
}

fn push_reference(name: &str, output: &mut String) {
    match (named_character(name), name.strip_prefix("#X")) {
        (Some(code_point), _) => output.push_str(&format!("&#{code_point};")),
        (None, Some(digits)) => output.extend(["&#x", digits, ";"]),
        (None, None) => output.extend(["&", name, ";"]),
    }
}

/// The text of a `div` that stood in XML, with the line ends of XML (section 2.11).
pub(super) fn to_json(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}
