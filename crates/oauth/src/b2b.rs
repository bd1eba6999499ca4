//! The authorization extension `hl7-b2b` of a client assertion: which organisation and whom the client asks for, and for which purposes.
//!
//! UDAP Security IG (<https://hl7.org/fhir/us/udap-security/b2b.html>), "B2B Authorization Extension Object". A backend client may state it; nothing here takes it for
//! UDAP as a whole. What is stated and not understood is refused and never passed over, since it might be the reason that a consent is about. That the client has leave
//! for the purposes is decided with its registration ([`crate::purposes`]). Names are the client's word: for the record, and never a reason to open anything.

use portcullis_jose::SignedClaims;
use serde_json::{Map, Value};

use crate::purposes::PurposeOfUse;
use crate::token_error::TokenError;

/// The key of the extension.
pub const EXTENSION: &str = "hl7-b2b";
/// The most purposes of one request.
pub const MAXIMUM_PURPOSES: usize = 10;
/// The most items of other lists.
const MAXIMUM_ITEMS: usize = 10;
/// The longest text, in bytes.
const MAXIMUM_TEXT: usize = 255;

/// What a client states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct B2bAuthorization {
    /// For which purposes; the first one is that of requests which state none.
    pub purposes: Vec<PurposeOfUse>,
    /// The organisation that asks, as a URI.
    pub organization_id: String,
    /// The person for whom the client asks, where there is one: identifier, else name.
    pub subject: Option<String>,
}

/// Why an extension is refused, in words of a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct B2bError(pub &'static str);

impl From<B2bError> for TokenError {
    fn from(error: B2bError) -> Self {
        Self::InvalidGrant(error.0)
    }
}

impl B2bAuthorization {
    /// The extension in the claims of an assertion; `None` where there is none.
    pub fn of(claims: &SignedClaims<'_>) -> Result<Option<Self>, B2bError> {
        let extensions = claims.members().find(|(name, _)| *name == "extensions").map(|(_, value)| value);
        let Some(extensions) = extensions else { return Ok(None) };
        let extensions = extensions.as_object().ok_or(B2bError("client_assertion: extensions must be an object"))?;
        extensions.get(EXTENSION).map(Self::parse).transpose()
    }

    fn parse(value: &Value) -> Result<Self, B2bError> {
        let members = value.as_object().ok_or(B2bError("hl7-b2b must be an object"))?;
        if members.get("version").and_then(Value::as_str) != Some("1") {
            return Err(B2bError("hl7-b2b: version must be \"1\", as text"));
        }
        const TEXT: B2bError =
            B2bError("hl7-b2b: names and identifiers must be text of at most 255 bytes without control characters");
        for name in ["subject_name", "subject_role", "organization_name"] {
            text(members, name).map_err(|()| TEXT)?;
        }
        let subject_id = text(members, "subject_id").map_err(|()| TEXT)?;
        let subject = subject_id.or(text(members, "subject_name").map_err(|()| TEXT)?);
        let organization = text(members, "organization_id").map_err(|()| TEXT)?.filter(|text| is_uri(text));
        let organization_id = organization.ok_or(B2bError("hl7-b2b: organization_id must be a URI"))?.to_owned();
        const POLICIES: B2bError = B2bError(
            "hl7-b2b: consent_policy and consent_reference must be lists of at most 10 URIs, the second only with the first",
        );
        let policies = uris(members, "consent_policy").map_err(|()| POLICIES)?;
        let references = uris(members, "consent_reference").map_err(|()| POLICIES)?;
        if references.is_some() && policies.is_none() {
            return Err(POLICIES);
        }
        Ok(Self { purposes: purposes(members)?, organization_id, subject: subject.map(str::to_owned) })
    }
}

fn purposes(members: &Map<String, Value>) -> Result<Vec<PurposeOfUse>, B2bError> {
    let listed = members.get("purpose_of_use").and_then(Value::as_array);
    let listed = listed.filter(|listed| (1..=MAXIMUM_PURPOSES).contains(&listed.len()));
    let listed = listed.ok_or(B2bError("hl7-b2b: purpose_of_use must be a list of 1 to 10 purposes"))?;
    let mut purposes = Vec::with_capacity(listed.len());
    for value in listed {
        let purpose = value.as_str().and_then(PurposeOfUse::of_uri);
        let purpose = purpose.ok_or(B2bError(
            "hl7-b2b: purpose_of_use must name purposes of v3-ActReason, such as urn:oid:2.16.840.1.113883.5.8#TREAT",
        ))?;
        if !purposes.contains(&purpose) {
            purposes.push(purpose);
        }
    }
    Ok(purposes)
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ()> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_plain(text) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

fn uris<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, ()> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let listed = value.as_array().filter(|listed| (1..=MAXIMUM_ITEMS).contains(&listed.len())).ok_or(())?;
    let uri = |value: &'a Value| value.as_str().filter(|text| is_plain(text) && is_uri(text)).ok_or(());
    listed.iter().map(uri).collect::<Result<_, _>>().map(Some)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAXIMUM_TEXT && !text.chars().any(char::is_control)
}

/// Whether it begins with a scheme (RFC 3986 section 3.1) and has no spaces.
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(sound)
            && !rest.is_empty()
            && !text.contains(' ')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stated(purposes: Value) -> Value {
        json!({"version": "1", "organization_id": "https://payer.example", "purpose_of_use": purposes})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut stated = stated(json!(["urn:oid:2.16.840.1.113883.5.8#TREAT"]));
        stated[name] = value;
        stated
    }

    #[test]
    fn purposes_organisation_and_person_are_read() {
        let mut whole = stated(json!([
            "urn:oid:2.16.840.1.113883.5.8#HPAYMT",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#COC",
            "urn:oid:2.16.840.1.113883.5.8#HPAYMT",
        ]));
        whole["subject_name"] = json!("Dr. Ann Bell");
        whole["subject_id"] = json!("urn:oid:2.16.840.1.113883.4.6#1234567890");
        whole["consent_policy"] = json!(["https://payer.example/policy"]);
        whole["consent_reference"] = json!(["https://payer.example/fhir/Consent/1"]);
        whole["later"] = json!(7);
        let read = B2bAuthorization::parse(&whole).unwrap();
        assert_eq!(read.purposes.iter().map(|purpose| purpose.code()).collect::<Vec<_>>(), ["HPAYMT", "COC"]);
        assert_eq!(read.organization_id, "https://payer.example");
        assert_eq!(read.subject.as_deref(), Some("urn:oid:2.16.840.1.113883.4.6#1234567890"));
        assert_eq!(B2bAuthorization::parse(&with("subject_name", json!("Ann"))).unwrap().subject.as_deref(), Some("Ann"));
    }

    #[test]
    fn whatever_else_is_no_extension() {
        let many: Vec<String> = vec!["urn:oid:2.16.840.1.113883.5.8#TREAT".to_owned(); 11];
        for wrong in [
            json!("text"),
            json!({}),
            with("version", json!(1)),
            with("version", json!("2")),
            with("organization_id", json!("payer")),
            with("organization_id", json!("https://pay er")),
            with("organization_id", json!(7)),
            with("organization_name", json!("a\nb")),
            with("subject_name", json!("x".repeat(256))),
            with("subject_role", json!(["nurse"])),
            with("purpose_of_use", json!("urn:oid:2.16.840.1.113883.5.8#TREAT")),
            with("purpose_of_use", json!([])),
            with("purpose_of_use", json!(["TREAT"])),
            with("purpose_of_use", json!(["urn:oid:2.16.840.1.113883.5.8#ABUSE"])),
            with("purpose_of_use", json!([7])),
            with("purpose_of_use", json!(many)),
            with("consent_reference", json!(["https://payer.example/fhir/Consent/1"])),
            with("consent_policy", json!("https://payer.example")),
        ] {
            assert!(B2bAuthorization::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
