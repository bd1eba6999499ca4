//! Who assigned a label: extension sec-label-classifier (HL7 FHIR DS4P, "Detailed Specifications").
//!
//! Labels that this server assigned by itself name it, as a Device, by its base URL: there is no resource of that Device. What a client says about such a label is
//! replaced, and of other labels in meta.security no client says that this server assigned them: that is left out when they are stored, and again when they leave. Labels
//! inside a body (inline, and in stored containers) are the writer's with all that they say. The extension sec-label-related-artifact is not
//! made: no consent gives a record a label here.

use std::sync::Arc;

use super::Labels;
use crate::json::Value;

/// The extension.
pub const LABEL_CLASSIFIER: &str =
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-classifier";

/// The system of identifiers that are URIs.
const URI: &str = "urn:ietf:rfc:3986";

/// This server, as the classifier of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classifier(Arc<str>);

impl Classifier {
    /// The server at this base URL, without a slash at the end.
    pub fn new(base_url: &str) -> Self {
        Self(base_url.into())
    }

    /// Says of labels who assigned them, as far as this server knows: it assigned these.
    pub(super) fn mark(&self, labels: &mut [Value], assigned: Labels) {
        for label in labels {
            let text = |name| label.member(name).and_then(Value::as_str).unwrap_or_default();
            let is_assigned = Labels::of(text("system"), text("code")).is_some_and(|own| names(assigned, own));
            let Value::Object(members) = label else { continue };
            if let Some((_, Value::Array(extensions))) = members.iter_mut().find(|(name, _)| &**name == "extension") {
                extensions.retain(|extension| !is_classifier(extension) || !is_assigned && !self.is_named_in(extension));
            }
            members.retain(|(name, value)| &**name != "extension" || !matches!(value, Value::Array(items) if items.is_empty()));
            if !is_assigned {
                continue;
            }
            match members.iter_mut().find(|(name, _)| &**name == "extension") {
                Some((_, Value::Array(extensions))) => extensions.push(self.extension()),
                _ => members.insert(0, ("extension".into(), Value::Array(vec![self.extension()]))),
            }
        }
    }

    fn extension(&self) -> Value {
        let identifier = Value::object([("system", URI.into()), ("value", (&*self.0).into())]);
        let reference = Value::object([("type", "Device".into()), ("identifier", identifier)]);
        Value::object([("url", LABEL_CLASSIFIER.into()), ("valueReference", reference)])
    }

    /// Whether something in a value is this server's URL, however it is spelled.
    fn is_named_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.trim().trim_end_matches('/').eq_ignore_ascii_case(&self.0),
            Value::Object(members) => members.iter().any(|(_, value)| self.is_named_in(value)),
            Value::Array(items) => items.iter().any(|item| self.is_named_in(item)),
            _ => false,
        }
    }
}

/// Whether the set has this very label: a higher confidentiality is another one.
fn names(labels: Labels, label: Labels) -> bool {
    match label.confidentiality() {
        Some(own) => labels.confidentiality() == Some(own),
        None => labels.contains(label),
    }
}

fn is_classifier(extension: &Value) -> bool {
    extension.member("url").and_then(Value::as_str) == Some(LABEL_CLASSIFIER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::labels::{SYSTEM_ACT_CODE, SYSTEM_CONFIDENTIALITY};

    const SERVER: &str = "https://example.org/fhir";

    fn by(who: &str) -> String {
        format!(
            r#"{{"url":"{LABEL_CLASSIFIER}","valueReference":{{"type":"Device","identifier":{{"system":"{URI}","value":"{who}"}}}}}}"#
        )
    }

    fn label(system: &str, code: &str, extensions: &[String]) -> String {
        let extensions =
            if extensions.is_empty() { String::new() } else { format!(r#""extension":[{}],"#, extensions.join(",")) };
        format!(r#"{{{extensions}"system":"{system}","code":"{code}"}}"#)
    }

    fn marked(text: &str, assigned: Labels) -> String {
        let mut labels = [json::parse(text.as_bytes()).unwrap()];
        Classifier::new(SERVER).mark(&mut labels, assigned);
        String::from_utf8(labels[0].to_bytes()).unwrap()
    }

    #[test]
    fn what_was_assigned_here_says_so_and_nothing_else_does() {
        let hiv = Labels::named("HIV").unwrap() | Labels::named("R").unwrap();
        let plain = label(SYSTEM_ACT_CODE, "HIV", &[]);
        let told = label(SYSTEM_ACT_CODE, "HIV", &[by(SERVER)]);
        assert_eq!(marked(&plain, hiv), told);
        assert_eq!(marked(&told, hiv), told, "once");
        assert_eq!(
            marked(&label(SYSTEM_ACT_CODE, "HIV", &[by("https://lab.example")]), hiv),
            told,
            "somebody else's word is replaced"
        );
        let other = r#"{"url":"urn:other","valueString":"x"}"#.to_owned();
        assert_eq!(
            marked(&label(SYSTEM_ACT_CODE, "HIV", std::slice::from_ref(&other)), hiv),
            label(SYSTEM_ACT_CODE, "HIV", &[other.clone(), by(SERVER)])
        );
        assert_eq!(marked(&label(SYSTEM_CONFIDENTIALITY, "R", &[]), hiv), label(SYSTEM_CONFIDENTIALITY, "R", &[by(SERVER)]));
        // Not assigned: nobody says that it was, and what others say of it stays.
        for (system, code) in [(SYSTEM_ACT_CODE, "PSY"), (SYSTEM_CONFIDENTIALITY, "N"), ("urn:own", "HIV")] {
            assert_eq!(marked(&label(system, code, &[]), hiv), label(system, code, &[]), "{code}");
            let by_lab = label(system, code, &[by("https://lab.example"), other.clone()]);
            assert_eq!(marked(&by_lab, hiv), by_lab, "{code}");
            for forged in [SERVER, "HTTPS://EXAMPLE.org/fhir/", " https://example.org/fhir "] {
                assert_eq!(marked(&label(system, code, &[by(forged)]), hiv), label(system, code, &[]), "{code} {forged}");
            }
        }
    }
}
