//! Links between the entries of a Bundle: what they call each other becomes what they are stored under.
//!
//! <https://hl7.org/fhir/R4/http.html#trules>: "the server SHALL update any references to that resource in the same bundle ..., whether they are found in the
//! resource ids, resource references, elements of type uri, url, oid, uuid, and `<a href="">` and `<img src="">` in the narrative". Types are told by the
//! usual names of such elements; canonical references are not replaced, and elements of type oid and uuid cannot hold what they would be replaced by.

use crate::json::Value;
use crate::reference::LocalReference;
use crate::types::ResourceType;

/// Members whose text is a link as a whole.
const LINKS: [&str; 5] = ["reference", "url", "uri", "valueUri", "valueUrl"];

/// The one member that holds narrative.
const NARRATIVE: &str = "div";

/// Replaces what `target` knows, in a resource. The depth of the tree is bounded by the parser.
pub fn rewrite(value: &mut Value, target: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, target)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if LINKS.contains(&&**name) => {
                        if let Some(target) = target(text) {
                            *text = target.into();
                        }
                    }
                    Value::String(text) if &**name == NARRATIVE => {
                        if let Some(rewritten) = narrative(text, target) {
                            *text = rewritten.into();
                        }
                    }
                    Value::Array(_) | Value::Object(_) => rewrite(value, target),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Every literal reference in a resource, with its path below the resource.
pub fn references(value: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    collect(value, &mut String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, path: &mut String, found: &mut Vec<(String, &'a str)>) {
    let length = path.len();
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                collect(item, path, found);
                path.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                path.push('.');
                path.push_str(name);
                match value {
                    Value::String(text) if &**name == "reference" => found.push((path.clone(), text)),
                    _ => collect(value, path, found),
                }
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// What stands before `Type/id` in the address of an entry: relative references in its resource are read from there.
pub fn base_of(full_url: &str) -> Option<&str> {
    let (rest, _id) = full_url.rsplit_once('/')?;
    let (base, resource_type) = rest.rsplit_once('/')?;
    ResourceType::parse(resource_type).map(|_| base)
}

/// Whether a reference is the name of an entry and nothing else: it leads nowhere outside its Bundle.
pub fn is_placeholder(reference: &str) -> bool {
    reference.starts_with("urn:uuid:") || reference.starts_with("urn:oid:")
}

/// What a reference in an entry means as the name of another entry: relative ones are read from the address of the entry that they stand in.
pub fn name_of(reference: &str, base: Option<&str>) -> Option<String> {
    let base = base.filter(|_| LocalReference::parse(reference).is_some())?;
    Some(format!("{base}/{reference}"))
}

/// A narrative with its links replaced; `None` where there are none. What is no well-formed XHTML is not understood here, and refused elsewhere.
fn narrative(text: &str, target: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut output = String::new();
    let mut kept = 0;
    let mut rest = 0;
    while let Some(found) = text.get(rest..).and_then(|text| text.find('<')) {
        let open = rest + found + 1;
        let tag = text.get(open..)?;
        let mut at = 0;
        // A quoted value may hold `>`.
        while let Some(next) = tag.get(at..).and_then(|tag| tag.find(['>', '"', '\''])) {
            let quote = at + next;
            let mark = tag.get(quote..)?.chars().next()?;
            if mark == '>' {
                at = quote + 1;
                break;
            }
            let start = quote + 1;
            let end = start + tag.get(start..)?.find(mark)?;
            if is_link(tag.get(..quote)?)
                && let Some(target) = target(tag.get(start..end)?)
            {
                output.push_str(text.get(kept..open + start)?);
                output.push_str(&target);
                kept = open + end;
            }
            at = end + 1;
        }
        rest = open + at.max(1);
    }
    if kept == 0 {
        return None;
    }
    output.push_str(text.get(kept..)?);
    Some(output)
}

/// Whether what stands before a quotation mark in a tag ends in `href=` or `src=`.
fn is_link(before: &str) -> bool {
    let Some(before) = before.trim_end().strip_suffix('=') else { return false };
    let before = before.trim_end();
    let name = ["href", "src"].iter().find_map(|name| before.strip_suffix(name));
    name.is_some_and(|rest| rest.ends_with(|character: char| character.is_ascii_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn rewritten(text: &str) -> String {
        let mut value = json::parse(text.as_bytes()).unwrap();
        rewrite(&mut value, &|link| (link == "urn:uuid:1").then(|| "Patient/p".to_owned()));
        String::from_utf8(value.to_bytes()).unwrap()
    }

    #[test]
    fn nothing_but_links_is_replaced() {
        for text in [
            r#"{"text":"urn:uuid:1"}"#,
            r#"{"system":"urn:uuid:1"}"#,
            r#"{"instantiatesCanonical":["urn:uuid:1"]}"#,
            r#"{"reference":"urn:uuid:12"}"#,
            r#"{"reference":"urn:uuid:1#x"}"#,
            r#"{"div":"<div>urn:uuid:1 href='urn:uuid:1'</div>"}"#,
            r#"{"div":"<div title='urn:uuid:1' xhref='urn:uuid:1'><b/></div>"}"#,
            r#"{"div":"<div><a href='urn:uuid:2'>x</a></div>"}"#,
            r#"{"div":"<div><a href='urn:uuid:1"}"#,
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn links_are_replaced_wherever_they_stand() {
        assert_eq!(
            rewritten(
                r#"{"subject":{"reference":"urn:uuid:1"},"part":[{"valueUri":"urn:uuid:1"}],"contained":[{"url":"urn:uuid:1"}]}"#
            ),
            r#"{"subject":{"reference":"Patient/p"},"part":[{"valueUri":"Patient/p"}],"contained":[{"url":"Patient/p"}]}"#
        );
        assert_eq!(
            rewritten(r#"{"div":"<div title='a>b'><a class='x' href='urn:uuid:1'>é</a><img src = 'urn:uuid:1'/></div>"}"#),
            r#"{"div":"<div title='a>b'><a class='x' href='Patient/p'>é</a><img src = 'Patient/p'/></div>"}"#
        );
    }

    #[test]
    fn references_are_found_with_their_paths() {
        let value = json::parse(br#"{"a":[{"reference":"x"},{"b":{"reference":"y"}}],"url":"z"}"#).unwrap();
        assert_eq!(references(&value), [(".a[0].reference".to_owned(), "x"), (".a[1].b.reference".to_owned(), "y")]);
    }

    #[test]
    fn relative_references_are_read_from_their_entry() {
        let base = base_of("https://other/fhir/Observation/1");
        assert_eq!(name_of("Patient/1", base).as_deref(), Some("https://other/fhir/Patient/1"));
        assert_eq!(name_of("https://other/fhir/Patient/1", base), None);
        assert_eq!(base_of("urn:uuid:1"), None);
    }
}
