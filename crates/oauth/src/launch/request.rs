//! What an EHR sends to have a launch made: a form, as at the other endpoints at which clients authenticate.
//!
//! The endpoint is ours (SMART leaves to the EHR how a launch comes about); its parameters are named as in the token response. The app is named
//! by `app`, since `client_id` is the EHR's own.

use portcullis_fhir::types::LogicalId;

use super::{ContextError, ContextParameters};
use crate::client_request::ClientRequest;
use crate::identifiers::ClientId;
use crate::parameters::append_to_query;
use crate::token_error::TokenError;
use crate::token_request::ClientCredentials;

/// A launch as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// `app`: the client to be launched.
    pub app: ClientId,
    /// `launch_url`: which of its launch URLs; absent: the first.
    pub launch_url: Option<String>,
    /// `user`: the name with which the person signs in for whom it is.
    pub user: Option<String>,
    /// `patient`: the id of the patient in context.
    pub patient: Option<LogicalId>,
    /// The other context parameters.
    pub context: ContextParameters,
}

impl LaunchRequest {
    /// Reads a request: who sends it, and what is asked for.
    pub fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, Self), TokenError> {
        Ok((request.credentials()?, Self::read(request)?))
    }

    fn read(request: &ClientRequest<'_>) -> Result<Self, TokenError> {
        let text = |name: &str| Ok::<_, TokenError>(request.optional(name)?.map(str::to_owned));
        let id = |name: &str, problem: &'static str| {
            let parse = |text: String| LogicalId::parse(&text).ok_or(TokenError::InvalidRequest(problem));
            text(name)?.map(parse).transpose()
        };
        let app = request.required("app", "app is required: the client_id of the app to be launched")?;
        let patient = id("patient", "patient must be the id of a Patient")?;
        let context = ContextParameters {
            by_choice: super::ByChoice::default(),
            encounter: id("encounter", "encounter must be the id of an Encounter")?,
            fhir_context: match text("fhirContext")? {
                Some(items) => ContextParameters::parse_fhir_context(&items).map_err(problem)?,
                None => Vec::new(),
            },
            need_patient_banner: match text("need_patient_banner")?.as_deref() {
                None => None,
                Some("true") => Some(true),
                Some("false") => Some(false),
                Some(_) => return Err(TokenError::InvalidRequest("need_patient_banner must be true or false")),
            },
            intent: text("intent")?,
            smart_style_url: text("smart_style_url")?,
            tenant: text("tenant")?,
        };
        context.check().map_err(problem)?;
        if context.encounter.is_some() && patient.is_none() {
            return Err(TokenError::InvalidRequest("encounter needs patient"));
        }
        Ok(Self {
            app: ClientId::parse(app).ok_or(NO_SUCH_APP)?,
            launch_url: text("launch_url")?,
            user: text("user")?,
            patient,
            context,
        })
    }
}

/// The answer where the app is unknown or cannot be launched.
pub const NO_SUCH_APP: TokenError =
    TokenError::InvalidRequest("app must be a client that has a launch URL registered and may ask for the scope launch");

fn problem(error: ContextError) -> TokenError {
    TokenError::InvalidRequest(error.description())
}

/// The URL that opens an app: its launch URL with `iss` and `launch` in the query (SMART App Launch 2.2.0, "Launch App: EHR Launch").
pub fn launch_location(launch_url: &str, fhir_base: &str, handle: &str) -> String {
    let mut location = launch_url.to_owned();
    append_to_query(&mut location, "iss", fhir_base);
    append_to_query(&mut location, "launch", handle);
    location
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_request::ClientRequestParts;

    fn read(form: &str) -> Result<LaunchRequest, &'static str> {
        let content_type = Some("application/x-www-form-urlencoded");
        let parts = ClientRequestParts { content_type, authorization: None, body: form.as_bytes() };
        ClientRequest::read(&parts).and_then(|request| LaunchRequest::read(&request)).map_err(|error| match error {
            TokenError::InvalidRequest(description) => description,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn each_parameter_that_cannot_be_used_is_named() {
        for (form, named) in [
            ("", "app is required"),
            ("app=", "app is required"),
            ("app=a%20b", "app must be a client"),
            ("app=x&patient=Patient/1", "patient must be the id"),
            ("app=x&encounter=e1", "encounter needs patient"),
            ("app=x&patient=p&encounter=a/b", "encounter must be the id"),
            ("app=x&patient=p&patient=q", "patient is repeated"),
            ("app=x&need_patient_banner=yes", "need_patient_banner must be true or false"),
            ("app=x&fhirContext={}", "fhirContext must be"),
            ("app=x&fhirContext=[{\"reference\":\"Patient/p\"}]", "need a role other than launch"),
            ("app=x&smart_style_url=http://h/", "smart_style_url must be"),
            ("app=x&intent=a%0Ab", "intent and tenant"),
        ] {
            let problem = read(form).unwrap_err();
            assert!(problem.contains(named), "{form}: {problem}");
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_sent() {
        let form = "app=app&user=who&patient=p&encounter=e&need_patient_banner=false&intent=i&tenant=t&\
                    fhirContext=[{\"reference\":\"DiagnosticReport/d\"}]&launch_url=https://a.example/launch";
        let request = read(form).unwrap();
        assert_eq!((request.app.as_str(), request.user.as_deref()), ("app", Some("who")));
        assert_eq!(request.launch_url.as_deref(), Some("https://a.example/launch"));
        assert_eq!(request.patient, LogicalId::parse("p"));
        let references: Vec<String> = request.context.references().map(|reference| reference.to_string()).collect();
        assert_eq!(references, ["Encounter/e", "DiagnosticReport/d"]);
        assert_eq!((request.context.need_patient_banner, request.context.intent.as_deref()), (Some(false), Some("i")));
    }

    #[test]
    fn the_location_keeps_the_query_of_the_launch_url() {
        let location = launch_location("https://a.example/launch?x=1", "https://h/fhir", "h+1");
        assert_eq!(location, "https://a.example/launch?x=1&iss=https%3A%2F%2Fh%2Ffhir&launch=h%2B1");
        assert_eq!(launch_location("https://a.example/", "b", "c"), "https://a.example/?iss=b&launch=c");
    }
}
