//! What to change after a refusal of the FHIR endpoint.
//!
//! The words are made here, of the kind of the refusal: the diagnostics that the client got may repeat what it sent, and that may name a patient.

use portcullis_fhir::interaction;
use portcullis_fhir::outcome::IssueType;
use portcullis_oauth::confirmation::ConfirmationError;
use portcullis_oauth::dpop::ProofError;
use portcullis_oauth::principal::EstablishError;
use portcullis_policy::decision::DenialReason;
use portcullis_store::StoreError;

use super::refused::Told;
use super::remedies;
use crate::middleware::body::BodyError;
use crate::resource_server::authenticate::AuthenticationError;
use crate::resource_server::refusal::Refusal;

/// What the client was told, and what to change; `None` where it is our own fault.
pub fn of(refusal: &Refusal) -> Option<Told> {
    match refusal {
        Refusal::Body(error) => Some(of_body(error)),
        Refusal::Parse(refusal) => Some(of_parse(refusal)),
        Refusal::Authentication(error) => of_authentication(error),
        Refusal::Denied(denial) => Some(of_denial(&denial.reason)),
        Refusal::Store(error) => of_store(error),
        Refusal::ReadOnly => Some(told(
            "403 forbidden",
            "The record may be read and not changed",
            "Change only what the user or the app may change: limits of a representation, scopes with criteria and consents may allow reading alone.",
        )),
        Refusal::Entry(_, refusal) => of(refusal),
        Refusal::Disagreement(_) | Refusal::Ledger(_) | Refusal::Internal(_) => None,
    }
}

fn told(code: &str, wrong: impl Into<String>, remedy: impl Into<String>) -> Told {
    Told { code: code.to_owned(), wrong: wrong.into(), remedy: remedy.into() }
}

fn of_body(error: &BodyError) -> Told {
    match error {
        BodyError::TooLarge(_) => told("413 too-long", "The body is too large", "Send smaller resources."),
        BodyError::TooSlow => told("408 too-long", "The body did not arrive in time", "Send the whole body at once."),
        BodyError::Broken => told("400 structure", "The body ended early", "Send as many bytes as Content-Length says."),
    }
}

fn of_parse(refusal: &interaction::Refusal) -> Told {
    let issue = refusal.issues.first();
    let code = issue.map_or(IssueType::Processing, |issue| issue.code);
    let place = issue.and_then(|issue| issue.expression.as_deref()).filter(|place| is_plain(place));
    let at = place.map(|place| format!(", at {place}")).unwrap_or_default();
    let (wrong, remedy) = match (refusal.status, code) {
        (405, _) => ("The method is not for this address", "Use a method that the header Allow of the answer names."),
        (404, _) => ("There is no such address or resource type", "Check the path: [base]/Type/id or [base]/Type?parameters."),
        (406, _) => {
            ("The answer cannot be sent in the format of Accept", "Send Accept: application/fhir+json or application/fhir+xml.")
        }
        (415, _) => {
            ("The body is of a format that is not taken", "Send Content-Type: application/fhir+json or application/fhir+xml.")
        }
        (412, _) => {
            ("A condition of the request is not met", "Read the resource again, and repeat the change on its current version.")
        }
        (_, IssueType::NotSupported) => {
            ("The request asks for something that this server does not do", "See [base]/metadata for what this server does.")
        }
        (_, IssueType::Required) => ("Something that is required is missing", "Add it; the OperationOutcome names it."),
        (_, IssueType::Structure) => ("The body is not well-formed", "Send one JSON resource, each member once."),
        (_, IssueType::TooLong) => ("The request is too long", "Send less at once."),
        _ => ("The request is not understood", "Correct what the OperationOutcome of the answer names."),
    };
    told(&format!("{} {}", refusal.status, code.as_str()), format!("{wrong}{at}"), remedy)
}

/// Names of elements and parameters, and nothing that could be a value.
fn is_plain(place: &str) -> bool {
    place.len() <= 100 && place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte))
}

fn of_authentication(error: &AuthenticationError) -> Option<Told> {
    const OURS: &str = "Get a new token: refresh, or start a new launch. The person, or the people who run this server, may have taken access back.";
    let (wrong, remedy) = match error {
        AuthenticationError::Unavailable(_) => return None,
        AuthenticationError::Missing => {
            ("There is no access token".to_owned(), "Send the access token in the header Authorization: Bearer TOKEN.")
        }
        AuthenticationError::Malformed => (
            "The Authorization header is malformed".to_owned(),
            "Send Bearer or DPoP, one space, and the access token, in one header.",
        ),
        AuthenticationError::Expired(_) => (
            "The access token has expired".to_owned(),
            "Use the refresh token, or start a new launch. expires_in says how long a token lives.",
        ),
        AuthenticationError::Insufficient(..) => (
            "The person had not signed in strongly enough".to_owned(),
            "Begin a new launch with the acr_values that the WWW-Authenticate header names (RFC 9470).",
        ),
        AuthenticationError::Ended(EstablishError::Unconfirmed(error), _) => of_confirmation(error),
        AuthenticationError::Invalid(..) | AuthenticationError::Ended(..) => {
            ("The access token is not valid here".to_owned(), OURS)
        }
        AuthenticationError::Proof(error @ ProofError::Nonce) => (error.to_string(), remedies::of_proof_error(ProofError::Nonce)),
        AuthenticationError::Proof(error) => (error.to_string(), remedies::of_proof_error(*error)),
    };
    Some(told(&format!("401 {}", error.code()), wrong, remedy))
}

fn of_confirmation(error: &ConfirmationError) -> (String, &'static str) {
    let remedy = match error {
        ConfirmationError::ProofMissing => "Send the token as Authorization: DPoP TOKEN, with a proof in the header DPoP.",
        ConfirmationError::OtherKey => "Make the proof with the key that the token was asked for with.",
        ConfirmationError::OtherToken => "Set ath of the proof to the SHA-256 of this access token.",
        ConfirmationError::NotBound => "Send the token as Authorization: Bearer TOKEN.",
        ConfirmationError::OtherCertificate => "Use the client certificate that the token was asked for with.",
    };
    (error.to_string(), remedy)
}

fn of_denial(reason: &DenialReason) -> Told {
    const CODE: &str = "403 forbidden";
    match reason {
        DenialReason::MissingScope(resource_type, letter) => {
            let letter = letter.as_char();
            told(
                CODE,
                format!("The access token has no scope for {resource_type}, letter {letter}"),
                format!(
                    "Ask for patient/{resource_type}.{letter} or user/{resource_type}.{letter} at the launch, and check in the token answer's scope that \
                     it was granted."
                ),
            )
        }
        DenialReason::NoLaunchPatient => told(
            CODE,
            "The access token has patient/ scopes but no patient",
            "Ask for launch/patient at the launch. The token answer then has a member patient.",
        ),
        DenialReason::UserNotEntitled => told(
            CODE,
            "The roles of the signed-in person do not allow this",
            "Sign in as somebody whose roles do, or ask for less.",
        ),
        DenialReason::OutsideBoundary => of_boundary(),
        DenialReason::PurposeNotAllowed(_) => told(
            CODE,
            "There is no leave for the purpose of use that the header Category states",
            "Leave the header away, or state a purpose that the roles of the person and the registration of the app allow.",
        ),
        DenialReason::GlassNotBroken => told(
            CODE,
            "The purpose is break-glass, and the person broke the glass for no patient",
            "The person does that on the page /break-glass of this server; then send the request again.",
        ),
        DenialReason::NotOfThisApp => told(
            CODE,
            "The app state is of a code that is not registered for this app, or about somebody else",
            "Ask the operator to register the code, and name the patient or the user of the token answer as the subject.",
        ),
        DenialReason::RedactedParameter(..) => told(
            CODE,
            "The search looks at an element that is not shown to this access",
            "Leave the parameter out; the answer names it.",
        ),
        DenialReason::RedactedVersion(_) => of_redacted(),
        DenialReason::MixedChanges => told(CODE, "These changes need different rights", "Send them one by one."),
    }
}

fn of_boundary() -> Told {
    told(
        "403 forbidden",
        "The access does not cover the record that the resource would belong to",
        "Name the patient of the token answer as the subject of what you write.",
    )
}

fn of_redacted() -> Told {
    told(
        "422 processing",
        "The access is not shown all of the resource that it would replace",
        "Do not update what came with the security label REDACTED, MASKED or PSEUDED.",
    )
}

fn of_store(error: &StoreError) -> Option<Told> {
    Some(match error {
        StoreError::NotFound => told(
            "404 not-found",
            "There is no such resource",
            "Use ids that a search with the same token gave. What a token may not see is answered in this way, too.",
        ),
        StoreError::Gone => told("410 deleted", "The resource was deleted", "Leave it out; its history may be there."),
        StoreError::VersionConflict => told(
            "412 conflict",
            "If-Match names another version than the current one",
            "Read the resource again, and repeat the change on it.",
        ),
        StoreError::IdTaken => told("409 conflict", "The id is taken", "Send the request again, without an id of your own."),
        StoreError::OutsideBoundary => of_boundary(),
        StoreError::Redacted => of_redacted(),
        StoreError::TooMany(_) => told(
            "422 too-costly",
            "There are too many of these already",
            "End what does not count any more, and send the request again.",
        ),
        StoreError::InvalidCursor => told(
            "400 value",
            "The page link is not valid for this search",
            "Follow the links of a Bundle as they are, with the same token, and start anew after a refusal.",
        ),
        StoreError::NotSupported(_) => told(
            "400 not-supported",
            "The search asks for something that this server does not do",
            "Send Prefer: handling=strict to learn which parameter it is, and see [base]/metadata.",
        ),
        StoreError::Unavailable(_) | StoreError::Corrupt(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::outcome::Issue;
    use portcullis_fhir::types::ResourceType;
    use portcullis_oauth::scopes::Letter;

    use super::*;

    #[test]
    fn nothing_that_a_request_said_gets_into_what_is_kept() {
        let issue = Issue::error(IssueType::Value, "'Ann Smith' is no date").at("http.birthdate");
        let kept = of(&Refusal::Parse(interaction::Refusal::new(400, issue))).unwrap();
        assert!(!format!("{kept:?}").contains("Smith") && kept.wrong.contains("http.birthdate"), "{kept:?}");
        let issue = Issue::error(IssueType::Value, "x").at("http.Ann Smith");
        assert!(!format!("{:?}", of(&Refusal::Parse(interaction::Refusal::new(400, issue)))).contains("Smith"));
        let kept = of(&Refusal::Store(StoreError::NotSupported("searching for 'Ann Smith'".into()))).unwrap();
        assert!(!format!("{kept:?}").contains("Smith"));
    }

    #[test]
    fn every_refusal_of_the_clients_doing_has_a_remedy_and_ours_have_none() {
        for reason in [
            DenialReason::MissingScope(ResourceType::PATIENT, Letter::Read),
            DenialReason::NoLaunchPatient,
            DenialReason::UserNotEntitled,
            DenialReason::OutsideBoundary,
            DenialReason::PurposeNotAllowed(portcullis_oauth::principal::PurposeOfUse::BREAK_GLASS),
            DenialReason::GlassNotBroken,
            DenialReason::MixedChanges,
            DenialReason::NotOfThisApp,
        ] {
            let told = of_denial(&reason);
            assert!(told.remedy.ends_with('.') && !told.wrong.ends_with('.') && told.code == "403 forbidden", "{told:?}");
        }
        for error in
            [StoreError::NotFound, StoreError::Gone, StoreError::VersionConflict, StoreError::IdTaken, StoreError::InvalidCursor]
        {
            assert!(of_store(&error).unwrap().remedy.ends_with('.'));
        }
        assert!(of(&Refusal::Internal("x")).is_none() && of_store(&StoreError::Corrupt(String::new())).is_none());
    }
}
