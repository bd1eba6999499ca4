//! What a write refuses beyond the rules of FHIR itself: what this server would keep and not obey.
//!
//! - A Consent that cannot be enforced as it stands, or is not of the profile that the operator wants (`portcullis_policy::rules::consent`).
//! - Modifier extensions and implicit rules: "implementations SHALL NOT process resources that contain unknown modifier extensions"
//!   (<https://hl7.org/fhir/R4/extensibility.html#modifierExtension>), and each search, label and consent is processing. The operator names those that everybody
//!   who reads here understands.
//! - Attachments whose content is not of the size or hash that they say (<https://hl7.org/fhir/R4/datatypes.html#Attachment>): who reads them would trust it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_fhir::interaction;
use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::resource::{Resource, Stated};
use portcullis_fhir::types::ResourceType;
use portcullis_jose::digest::sha1;
use portcullis_policy::rules::consent::{Context, Profile, check};

use super::refusal::Refusal;
use crate::context::Server;

/// What the operator decided about what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// The modifier extensions and implicit rules that readers understand, by their URLs.
    pub modifiers: BTreeSet<Box<str>>,
    /// The profile of IHE PCF that every privacy consent must conform to, whether it claims one or not.
    pub consent_profile: Option<Profile>,
}

/// What keeps a resource from being stored.
pub fn issues(server: &Server, resource: &Resource) -> Vec<Issue> {
    let accepted = &server.settings.authorization.acceptance;
    let resource_type = resource.resource_type();
    if resource_type == ResourceType::CONSENT {
        let context = Context { base_url: &server.settings.fhir_base, issuer: &server.settings.public_url };
        let issues = check(resource, &context, accepted.consent_profile);
        if !issues.is_empty() {
            return issues;
        }
    }
    let mut issues = Vec::new();
    accepted.refuse_modifiers(resource.body(), resource_type.name(), &mut issues);
    let damaged = resource.stated_attachments().into_iter().flat_map(|attachment| contradictions(&attachment));
    issues.extend(damaged.take(Resource::MAXIMUM_ISSUES));
    issues
}

/// What an attachment says of its content that is not so.
fn contradictions(attachment: &Stated<'_>) -> Vec<Issue> {
    let mut issues = Vec::new();
    let length = attachment.content.len();
    if attachment.size.as_ref().is_some_and(|size| *size != length.to_string()) {
        let reason =
            format!("The data has {length} bytes, which is not what size says. Send the size of the content before base64.");
        issues.push(Issue::error(IssueType::Invalid, reason).at(format!("{}.size", attachment.place)));
    }
    if attachment.hash.is_some_and(|hash| STANDARD.decode(hash).ok().as_deref() != Some(&sha1(&attachment.content)[..])) {
        let reason = "The data has another SHA-1 than hash says. Send the whole content, or its own hash in base64.";
        issues.push(Issue::error(IssueType::Invalid, reason).at(format!("{}.hash", attachment.place)));
    }
    issues
}

/// Refuses what cannot be stored.
pub fn acceptable(server: &Server, resource: &Resource) -> Result<(), Refusal> {
    let issues = issues(server, resource);
    if issues.is_empty() { Ok(()) } else { Err(Refusal::Parse(interaction::Refusal { status: 422, allow: None, issues })) }
}

impl Acceptance {
    /// Finds what may change the meaning of everything around it and is not known. The parser has bounded the depth.
    fn refuse_modifiers(&self, value: &Value, expression: &str, issues: &mut Vec<Issue>) {
        for (name, member) in value.as_object().unwrap_or_default() {
            if issues.len() >= Resource::MAXIMUM_ISSUES {
                return;
            }
            let place = |index: usize| match member {
                Value::Array(_) => format!("{expression}.{name}[{index}]"),
                _ => format!("{expression}.{name}"),
            };
            let is_known = |url: Option<&str>| url.is_some_and(|url| self.modifiers.contains(url));
            match &**name {
                "modifierExtension" => {
                    for (index, extension) in member.items().iter().enumerate() {
                        let url = extension.member("url").and_then(Value::as_str);
                        if !is_known(url) {
                            let reason = format!(
                                "The modifier extension {} can change what the resource means, and is not known here. Leave it out, or ask whoever runs this server \
                                 to list it in [conformance] modifiers.",
                                url.unwrap_or("without a URL")
                            );
                            issues.push(Issue::error(IssueType::NotSupported, reason).at(place(index)));
                        }
                    }
                }
                "implicitRules" if !is_known(member.as_str()) => {
                    let reason = "The rules that the content follows are not known here. Leave implicitRules out, or ask whoever runs this server to list \
                         them in [conformance] modifiers.";
                    issues.push(Issue::error(IssueType::NotSupported, reason).at(place(0)));
                }
                // Text for people, and what adds to the meaning without changing it.
                "text" | "extension" => {}
                _ => {
                    for (index, item) in member.items().iter().enumerate().filter(|(_, item)| item.as_object().is_some()) {
                        self.refuse_modifiers(item, &place(index), issues);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::json;

    use super::*;

    fn places(text: &str, known: &[&str]) -> Vec<String> {
        let acceptance = Acceptance { modifiers: known.iter().map(|url| (*url).into()).collect(), ..Acceptance::default() };
        let mut issues = Vec::new();
        acceptance.refuse_modifiers(&json::parse(text.as_bytes()).unwrap(), "Observation", &mut issues);
        issues.into_iter().filter_map(|issue| issue.expression).collect()
    }

    #[test]
    fn modifiers_are_found_wherever_they_are_and_those_that_are_known_pass() {
        for (members, place) in [
            (r#""modifierExtension":[{"url":"x"}]"#, "Observation.modifierExtension[0]"),
            (
                r#""component":[{},{"modifierExtension":[{"url":"k"},{"url":"x"}]}]"#,
                "Observation.component[1].modifierExtension[1]",
            ),
            (r#""contained":[{"modifierExtension":[{"url":"x"}]}]"#, "Observation.contained[0].modifierExtension[0]"),
            (r#""code":{"modifierExtension":{"url":"x"}}"#, "Observation.code.modifierExtension"),
            (r#""implicitRules":"x""#, "Observation.implicitRules"),
            (r#""contained":[{"implicitRules":"x"}]"#, "Observation.contained[0].implicitRules"),
        ] {
            let text = format!("{{{members}}}");
            assert_eq!(places(&text, &["k"]), [place], "{members}");
            assert_eq!(places(&text, &["k", "x"]), [""; 0], "{members}");
        }
        assert_eq!(places(r#"{"modifierExtension":[{}]}"#, &["", "x"]), ["Observation.modifierExtension[0]"]);
        let others =
            r#"{"text":{"modifierExtension":[{"url":"x"}]},"extension":[{"url":"x"}],"_status":{"extension":[{"url":"x"}]}}"#;
        assert_eq!(places(others, &[]), [""; 0]);
        let many = format!(r#"{{"modifierExtension":[{}]}}"#, [r#"{"url":"x"}"#; 10].join(","));
        assert_eq!(places(&many, &[]).len(), 10);
    }
}
