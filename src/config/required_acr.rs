//! `[[required_acr]]`: how strongly people must have signed in for what an app asks for (RFC 9470).

use portcullis_oauth::assurance_policy::AssurancePolicy;
use portcullis_oauth::scopes::Scope;
use portcullis_oauth::session::AssuranceLevel;
use serde::Deserialize;

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredAcr {
    /// A scope: whatever has something in common with it takes the level.
    pub scope: String,
    /// The level, as `acr_values_supported` has it.
    pub acr: String,
}

impl RequiredAcr {
    /// The rules; the error names the key and what would be accepted.
    pub fn policy(entries: &[Self]) -> Result<AssurancePolicy, (&'static str, String)> {
        let rule = |entry: &Self| {
            let scope = Scope::parse(&entry.scope).map_err(|_| {
                ("required_acr.scope", format!("'{}' is not a scope; patient/*.cud and offline_access are", entry.scope))
            })?;
            let known = AssuranceLevel::ALL.map(AssuranceLevel::acr).join(", ");
            let level = AssuranceLevel::parse(&entry.acr)
                .ok_or_else(|| ("required_acr.acr", format!("'{}' is not known; it must be one of {known}", entry.acr)))?;
            Ok((scope, level))
        };
        entries.iter().map(rule).collect::<Result<Vec<_>, _>>().map(AssurancePolicy::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_and_levels_are_named_with_what_is_known() {
        let entry = |scope: &str, acr: &str| RequiredAcr { scope: scope.into(), acr: acr.into() };
        assert_eq!(RequiredAcr::policy(&[entry("patient/*.x", "phr")]).unwrap_err().0, "required_acr.scope");
        let (key, problem) = RequiredAcr::policy(&[entry("patient/*.cud", "high")]).unwrap_err();
        assert!(key == "required_acr.acr" && problem.contains("phr") && problem.contains("aal/2"), "{problem}");
        assert!(!RequiredAcr::policy(&[entry("patient/*.cud", "phr")]).unwrap().is_empty());
    }
}
