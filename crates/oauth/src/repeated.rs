//! What is said of a parameter that was sent more than once (RFC 6749 section 3.1: "MUST NOT be included more than once").
//!
//! The text names the parameter, from a fixed list: nothing of a request is echoed into an error, so one that is not on the list has no name there.

/// Makes a table of names with the text for each.
macro_rules! named {
    ($($name:literal)*) => {
        &[$(($name, concat!($name, " is repeated"))),*]
    };
}

/// The parameters that the endpoints of clients read, or that clients send there because a specification has them.
const NAMED: &[(&str, &str)] = named!(
    "acr_values" "app" "aud" "authorization_details" "claims" "claims_locales" "client_assertion" "client_assertion_type" "client_id"
    "client_secret" "code" "code_challenge" "code_challenge_method" "code_verifier" "display" "dpop_jkt" "encounter" "fhirContext" "grant_type"
    "id_token_hint" "intent" "launch" "launch_url" "login_hint" "max_age" "need_patient_banner" "nonce" "patient" "prompt" "redirect_uri"
    "refresh_token" "registration" "request" "request_uri" "resource" "response_mode" "response_type" "scope" "smart_style_url" "state" "tenant"
    "token" "token_type_hint" "ui_locales" "user"
);

/// What is said of any other.
const UNNAMED: &str = "a parameter that is not known here is repeated";

/// A parameter occurs more than once. The text is the `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Repeated(&'static str);

impl Repeated {
    /// The error of the parameter with this name.
    pub fn of(name: &str) -> Self {
        Self(NAMED.iter().find(|(known, _)| *known == name).map_or(UNNAMED, |(_, text)| *text))
    }

    /// The `error_description`.
    pub fn description(self) -> &'static str {
        self.0
    }

    /// Whether a description is one of these.
    pub fn is_described_by(description: &str) -> bool {
        description == UNNAMED || NAMED.iter().any(|(_, text)| *text == description)
    }

    /// Whether the text names the parameter.
    pub(crate) fn is_named(self) -> bool {
        self.0 != UNNAMED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_parameter_is_named_and_no_other_is_echoed() {
        assert_eq!(Repeated::of("scope").description(), "scope is repeated");
        assert_eq!(Repeated::of("client_assertion_type").to_string(), "client_assertion_type is repeated");
        for other in ["", "Scope", "evil<script>", "scope is repeated"] {
            assert_eq!(Repeated::of(other).description(), "a parameter that is not known here is repeated", "{other}");
        }
        assert!(Repeated::is_described_by("state is repeated") && Repeated::is_described_by(UNNAMED));
        assert!(!Repeated::is_described_by("evil is repeated") && !Repeated::is_described_by("state is required"));
    }

    #[test]
    fn every_text_may_stand_in_an_error_description() {
        for (name, text) in NAMED {
            assert!(text.starts_with(name) && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte)));
        }
    }
}
