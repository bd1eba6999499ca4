//! The purpose of use that a request states: the header `Category`.
//!
//! FHIR R4 "Security Labels" (<https://hl7.org/fhir/R4/security-labels.html>, "Break the Glass") states it so; the header's form is that of
//! draft-johnston-http-category-header: `Category: http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; label="break the glass"`, or the code with the code system
//! as `scheme`. One purpose is stated at most once; what is not understood is refused and never passed over, since it might be the reason that a consent is about.
//! The header opens nothing by itself: whether there is leave for the purpose is decided with everything else.

use portcullis_audit::record::Record;
use portcullis_audit::{AuditReceipt, PendingRecord};
use portcullis_fhir::interaction;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::purpose::{OBJECT_IDENTIFIER, PurposeOfUse, SYSTEM};
use portcullis_oauth::principal::Principal;
use portcullis_policy::decision::DenialReason;
use portcullis_store::RegistryError;
use portcullis_store::registry::Change;

use super::Exchange;
use super::refusal::Refusal;
use crate::context::Server;
use crate::mail::alerts;

/// The header.
const CATEGORY: &str = "category";
/// The longest header that is looked at, in bytes.
const MAXIMUM_BYTES: usize = 1024;

/// The purpose that a request states, where it states one.
pub fn stated(exchange: &Exchange) -> Result<Option<PurposeOfUse>, Refusal> {
    let mut values = exchange.headers.get_all(CATEGORY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= MAXIMUM_BYTES && values.next().is_none());
    let purpose = text.and_then(parse);
    purpose.map(Some).ok_or_else(|| {
        let advice = format!(
            "The header Category must stand once and name one purpose of use of v3-ActReason, for example `Category: {SYSTEM}#TREAT`. Leave it away to ask for \
             the purpose that the access token is for."
        );
        Refusal::Parse(interaction::Refusal::new(400, Issue::error(IssueType::Value, advice).at("http.category")))
    })
}

/// Whether somebody asked for emergency access who has no right to it.
pub fn is_alert(refusal: &Refusal) -> bool {
    let Refusal::Denied(denial) = refusal.cause() else { return false };
    denial.reason == DenialReason::PurposeNotAllowed(PurposeOfUse::BREAK_GLASS)
}

/// Stores the record of such a refusal together with the word of it to the security officers. `None` where nobody is told, so that the record is still to be
/// stored: the refusal is answered as any other.
pub async fn alerted(server: &Server, principal: Option<&Principal>, record: &Record) -> Option<AuditReceipt> {
    let alert = async {
        let user = match principal.and_then(Principal::user) {
            Some(user) => server.registry.user(&user.id).await?,
            None => None,
        };
        match alerts::of_refused_glass(server, user.as_ref()).await? {
            Change::Nothing => Ok(None),
            alert => {
                let corrupt = |error: &dyn std::fmt::Display| RegistryError::Corrupt(error.to_string());
                let pending = PendingRecord::new(record).map_err(|error| corrupt(&error))?;
                let acknowledged = server.registry.apply(alert, &pending).await?;
                pending.receipt(&acknowledged).map(Some).map_err(|error| corrupt(&error))
            }
        }
    };
    let stored: Result<Option<AuditReceipt>, RegistryError> = alert.await;
    stored.unwrap_or_else(|error| {
        tracing::error!(%error, "nobody could be told of a refused emergency access");
        None
    })
}

/// `term *( ";" parameter )`; the parameters are `scheme` and `label`, each once, in quotes.
fn parse(text: &str) -> Option<PurposeOfUse> {
    let mut rest = text.trim();
    let end = rest.find(';').unwrap_or(rest.len());
    let term = rest.get(..end)?.trim();
    rest = rest.get(end..)?;
    let (mut scheme, mut label) = (None, None);
    while let Some(after) = rest.strip_prefix(';') {
        let (name, after) = after.split_once('=')?;
        let (value, after) = after.strip_prefix('"')?.split_once('"')?;
        let place = match name.trim() {
            "scheme" => &mut scheme,
            "label" => &mut label,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        return None;
    }
    match (term.contains('#'), scheme) {
        (true, _) => PurposeOfUse::of_uri(term),
        (false, Some(SYSTEM | OBJECT_IDENTIFIER)) => PurposeOfUse::parse(term),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_uri_or_a_code_with_its_scheme() {
        for (text, code) in [
            ("http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG", "BTG"),
            (" http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT ", "TREAT"),
            (
                "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; scheme=\"http://hl7.org/fhir/tag/security\"; label=\"break the glass\"",
                "BTG",
            ),
            ("urn:oid:2.16.840.1.113883.5.8#HPAYMT;label=\"a;b=c\"", "HPAYMT"),
            ("COC; scheme=\"http://terminology.hl7.org/CodeSystem/v3-ActReason\"", "COC"),
        ] {
            assert_eq!(parse(text).map(PurposeOfUse::code), Some(code), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_no_purpose() {
        for text in [
            "",
            "BTG",
            "#BTG",
            "btg; scheme=\"http://terminology.hl7.org/CodeSystem/v3-ActReason\"",
            "BTG; scheme=\"http://terminology.hl7.org/CodeSystem/v3-PurposeOfUse\"",
            "BTG; scheme=http://terminology.hl7.org/CodeSystem/v3-ActReason",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#ABUSE",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG, http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; label=\"a\"; label=\"b\"",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; colour=\"red\"",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; label=\"open",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG; label=\"a\" b",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason#BTG;",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
