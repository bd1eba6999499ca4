//! `[[required_acr]]`: how strongly people must have signed in, by what an app asks for and by who they are (RFC 9470).

use portcullis_oauth::assurance_policy::{AssurancePolicy, AssuranceRule};
use portcullis_oauth::scopes::Scope;
use portcullis_oauth::session::AssuranceLevel;
use portcullis_oauth::users::Role;
use serde::Deserialize;

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredAcr {
    /// A scope: whatever has something in common with it takes the level.
    pub scope: Option<String>,
    /// A role: who has it needs the level, for any app and, without `scope`, for the pages of this server.
    pub role: Option<String>,
    /// The level, as `acr_values_supported` has it.
    pub acr: String,
}

impl RequiredAcr {
    /// The rules; the error names the key and what would be accepted.
    pub fn policy(entries: &[Self]) -> Result<AssurancePolicy, (&'static str, String)> {
        let scope = |text: &String| {
            Scope::parse(text)
                .map_err(|_| ("required_acr.scope", format!("'{text}' is not a scope; patient/*.cud and offline_access are")))
        };
        let role = |text: &String| {
            let known = Role::ALL.map(Role::as_str).join(", ");
            Role::parse(text).ok_or_else(|| ("required_acr.role", format!("'{text}' is not a role; it must be one of {known}")))
        };
        let rule = |entry: &Self| {
            if entry.scope.is_none() && entry.role.is_none() {
                return Err(("required_acr", "must name a scope, a role or both".to_owned()));
            }
            let known = AssuranceLevel::ALL.map(AssuranceLevel::acr).join(", ");
            let level = AssuranceLevel::parse(&entry.acr)
                .ok_or_else(|| ("required_acr.acr", format!("'{}' is not known; it must be one of {known}", entry.acr)))?;
            let (scope, role) = (entry.scope.as_ref().map(scope).transpose()?, entry.role.as_ref().map(role).transpose()?);
            Ok(AssuranceRule { scope, role, level })
        };
        entries.iter().map(rule).collect::<Result<Vec<_>, _>>().map(AssurancePolicy::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_and_levels_are_named_with_what_is_known() {
        let entry = |scope: Option<&str>, role: Option<&str>, acr: &str| RequiredAcr {
            scope: scope.map(str::to_owned),
            role: role.map(str::to_owned),
            acr: acr.into(),
        };
        let wrong = |entry| RequiredAcr::policy(&[entry]).unwrap_err();
        assert_eq!(wrong(entry(Some("patient/*.x"), None, "phr")).0, "required_acr.scope");
        assert_eq!(wrong(entry(None, None, "phr")).0, "required_acr");
        let (key, problem) = wrong(entry(None, Some("doctor"), "phr"));
        assert!(key == "required_acr.role" && problem.contains("clinician"), "{problem}");
        let (key, problem) = wrong(entry(Some("patient/*.cud"), None, "high"));
        assert!(key == "required_acr.acr" && problem.contains("phr") && problem.contains("aal/2"), "{problem}");
        for right in [
            entry(Some("patient/*.cud"), None, "phr"),
            entry(None, Some("clinician"), "phr"),
            entry(Some("user/*.cud"), Some("staff"), "phr"),
        ] {
            assert!(!RequiredAcr::policy(&[right]).unwrap().is_empty());
        }
    }
}
