//! The successful answer of the token endpoint (RFC 6749 section 5.1; SMART App Launch 2.2.0, "Obtain access token").

use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use serde_json::{Map, Value};

use crate::confirmation::Confirmation;
use crate::launch::ContextParameters;
use crate::scopes::ScopeSet;

/// Tokens and context for a client. It is answered with `Cache-Control: no-store` and `Pragma: no-cache`.
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret<String>,
    /// What it is bound to, which decides how it is presented.
    pub confirmation: Option<Confirmation>,
    /// Its lifetime in seconds.
    pub expires_in_seconds: i64,
    /// What was granted, as asked for; SMART wants it even when it equals the request.
    pub scope: ScopeSet,
    /// The id_token, with scope `openid`.
    pub id_token: Option<Secret<String>>,
    /// The refresh token, if one was granted.
    pub refresh_token: Option<Secret<String>>,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The other launch context parameters.
    pub context: ContextParameters,
}

impl TokenResponse {
    /// The body.
    pub fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("access_token".into(), self.access_token.expose().as_str().into());
        members.insert("token_type".into(), Confirmation::token_type(self.confirmation.as_ref()).into());
        members.insert("expires_in".into(), self.expires_in_seconds.into());
        members.insert("scope".into(), self.scope.to_string().into());
        if let Some(id_token) = &self.id_token {
            members.insert("id_token".into(), id_token.expose().as_str().into());
        }
        if let Some(refresh_token) = &self.refresh_token {
            members.insert("refresh_token".into(), refresh_token.expose().as_str().into());
        }
        if let Some(patient) = &self.patient {
            members.insert("patient".into(), patient.as_str().into());
        }
        members.extend(self.context.members());
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response() -> TokenResponse {
        TokenResponse {
            access_token: Secret::new("at".into()),
            confirmation: None,
            expires_in_seconds: 300,
            scope: ScopeSet::parse("patient/Observation.read").unwrap(),
            id_token: None,
            refresh_token: None,
            patient: None,
            context: ContextParameters::default(),
        }
    }

    #[test]
    fn absent_members_are_absent_and_not_null() {
        let expected =
            json!({"access_token": "at", "token_type": "Bearer", "expires_in": 300, "scope": "patient/Observation.read"});
        assert_eq!(response().to_json(), expected);
    }

    #[test]
    fn context_stands_beside_the_tokens() {
        let full = TokenResponse {
            id_token: Some(Secret::new("it".into())),
            refresh_token: Some(Secret::new("rt".into())),
            patient: LogicalId::parse("p1"),
            context: ContextParameters {
                encounter: LogicalId::parse("e1"),
                need_patient_banner: Some(true),
                ..Default::default()
            },
            ..response()
        };
        let json = full.to_json();
        assert_eq!((&json["id_token"], &json["refresh_token"], &json["patient"]), (&json!("it"), &json!("rt"), &json!("p1")));
        assert_eq!((&json["encounter"], &json["need_patient_banner"]), (&json!("e1"), &json!(true)));
        assert!(!format!("{full:?}").contains("at\""), "tokens are not printed");
    }
}
