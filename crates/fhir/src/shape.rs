//! `_summary` and `_elements`: fewer elements of a resource.
//!
//! <https://hl7.org/fhir/R4/search.html#summary>, <https://hl7.org/fhir/R4/search.html#elements>. What is left always has the type, id, meta, the mandatory
//! elements, and the elements that can change the meaning of the others; it is marked with the tag `SUBSETTED` so that nobody takes it for the whole.
//! Only top-level elements are chosen.

use crate::definitions;
use crate::json::Value;
use crate::search::Shape;
use crate::types::ResourceType;

/// The system of the tag `SUBSETTED`.
const TAG_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// The code that marks an incomplete resource.
const TAG_CODE: &str = "SUBSETTED";

/// Elements that no shape removes: identity, and whatever may change the meaning of the rest.
const ALWAYS: [&str; 5] = ["resourceType", "id", "meta", "implicitRules", "modifierExtension"];

/// Removes from a resource what the shape leaves out, and marks it; a whole shape changes nothing.
///
/// [`Shape::Count`] keeps what cannot be removed; the caller sends no resources then.
pub fn apply(shape: &Shape, resource_type: ResourceType, resource: &mut Value) {
    if *shape == Shape::Whole {
        return;
    }
    let Value::Object(members) = resource else { return };
    members.retain(|(member, _)| keeps(shape, resource_type, member));
    mark(members);
}

fn keeps(shape: &Shape, resource_type: ResourceType, member: &str) -> bool {
    let plain = member.strip_prefix('_').unwrap_or(member);
    if ALWAYS.contains(&plain) {
        return true;
    }
    // A member that the definitions do not know is not sent: nobody asked for it by name.
    let element = definitions::element_of_member(resource_type, member);
    let listed = |elements: &[&str]| element.is_some_and(|element| elements.contains(&element));
    let mandatory = || listed(definitions::mandatory_elements(resource_type));
    match shape {
        Shape::Whole => true,
        Shape::Data => plain != "text",
        Shape::Text => plain == "text" || mandatory(),
        Shape::Count => mandatory(),
        Shape::Summary => listed(definitions::summary_elements(resource_type)) || mandatory(),
        Shape::Elements(elements) => {
            element.is_some_and(|element| elements.iter().any(|asked| **asked == *element)) || mandatory()
        }
    }
}

/// Adds the tag to `meta.tag`, once; `meta` is made after `id` where there is none.
fn mark(members: &mut Vec<(Box<str>, Value)>) {
    if !members.iter().any(|(name, _)| &**name == "meta") {
        let leading = members.iter().take_while(|(name, _)| matches!(&**name, "resourceType" | "id")).count();
        members.insert(leading, ("meta".into(), Value::Object(Vec::new())));
    }
    let meta = members.iter_mut().find(|(name, _)| &**name == "meta");
    let Some((_, Value::Object(meta))) = meta else { return };
    if !meta.iter().any(|(name, _)| &**name == "tag") {
        meta.push(("tag".into(), Value::Array(Vec::new())));
    }
    let tags = meta.iter_mut().find(|(name, _)| &**name == "tag");
    let Some((_, Value::Array(tags))) = tags else { return };
    let is_mark = |tag: &Value| {
        tag.member("system").and_then(Value::as_str) == Some(TAG_SYSTEM)
            && tag.member("code").and_then(Value::as_str) == Some(TAG_CODE)
    };
    if !tags.iter().any(is_mark) {
        tags.push(Value::object([("system", TAG_SYSTEM.into()), ("code", TAG_CODE.into())]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"o","implicitRules":"http://x","text":{"status":"empty","div":"<div/>"},
        "modifierExtension":[{"url":"http://x","valueBoolean":true}],"status":"final","_status":{"id":"s"},"code":{"text":"c"},
        "valueQuantity":{"value":1.10},"note":[{"text":"n"}]}"#;

    fn shaped(shape: &Shape, text: &str) -> String {
        let mut value = json::parse(text.as_bytes()).unwrap();
        let resource_type = ResourceType::parse(value.member("resourceType").unwrap().as_str().unwrap()).unwrap();
        apply(shape, resource_type, &mut value);
        String::from_utf8(value.to_bytes()).unwrap()
    }

    const TAG: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

    #[test]
    fn what_changes_the_meaning_and_what_is_mandatory_cannot_be_left_out() {
        let expected = format!(
            "{}{TAG}{}",
            r#"{"resourceType":"Observation","id":"o","meta":{"tag":["#,
            r#"]},"implicitRules":"http://x","modifierExtension":[{"url":"http://x","valueBoolean":true}],"status":"final","_status":{"id":"s"},"code":{"text":"c"}}"#
        );
        assert_eq!(shaped(&Shape::Elements(vec!["issued".into()]), OBSERVATION), expected);
        assert_eq!(shaped(&Shape::Count, OBSERVATION), expected);
    }

    #[test]
    fn elements_keep_a_choice_by_its_name() {
        let kept = shaped(&Shape::Elements(vec!["value[x]".into()]), OBSERVATION);
        assert!(kept.contains(r#""valueQuantity":{"value":1.10}"#), "{kept}");
        assert!(!kept.contains("note"), "{kept}");
    }

    #[test]
    fn summary_text_and_data_keep_their_halves() {
        let summary = shaped(&Shape::Summary, OBSERVATION);
        assert!(summary.contains("valueQuantity") && !summary.contains("\"note\"") && !summary.contains("\"div\""), "{summary}");
        let text = shaped(&Shape::Text, OBSERVATION);
        assert!(text.contains("\"div\"") && text.contains("\"code\"") && !text.contains("valueQuantity"), "{text}");
        let data = shaped(&Shape::Data, OBSERVATION);
        assert!(!data.contains("\"div\"") && data.contains("\"note\"") && data.contains(TAG), "{data}");
    }

    #[test]
    fn the_mark_is_set_once_and_keeps_other_tags() {
        let text = format!(r#"{{"resourceType":"Patient","id":"p","meta":{{"versionId":"1","tag":[{{"code":"x"}},{TAG}]}}}}"#);
        assert_eq!(shaped(&Shape::Summary, &text), text);
        let text = r#"{"resourceType":"Patient","meta":{"versionId":"1"}}"#;
        let expected = format!(r#"{{"resourceType":"Patient","meta":{{"versionId":"1","tag":[{TAG}]}}}}"#);
        assert_eq!(shaped(&Shape::Summary, text), expected);
    }

    #[test]
    fn the_whole_shape_changes_nothing() {
        let text = r#"{"resourceType":"Patient","unknown":1}"#;
        assert_eq!(shaped(&Shape::Whole, text), text);
    }
}
