//! OperationOutcome: how FHIR says that something went wrong.
//!
//! <https://hl7.org/fhir/R4/operationoutcome.html>. Which HTTP status goes with an issue is not known here.

use crate::json::Value;

/// The codes of `OperationOutcome.issue.code` that this server uses
/// (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueType {
    /// `invalid`: the content does not follow the rules.
    Invalid,
    /// `structure`: JSON or element structure.
    Structure,
    /// `invariant`: a rule about the content that its form does not tell.
    Invariant,
    /// `required`: something is missing.
    Required,
    /// `value`: a primitive value.
    Value,
    /// `security`
    Security,
    /// `login`: authentication is needed.
    Login,
    /// `expired`: the token or session is over.
    Expired,
    /// `forbidden`
    Forbidden,
    /// `processing`
    Processing,
    /// `not-supported`
    NotSupported,
    /// `not-found`, also for what is hidden.
    NotFound,
    /// `deleted`
    Deleted,
    /// `too-long`
    TooLong,
    /// `too-costly`: it would cost the server too much.
    TooCostly,
    /// `conflict`: a version conflict.
    Conflict,
    /// `multiple-matches`: a condition finds several resources.
    MultipleMatches,
    /// `throttled`
    Throttled,
    /// `transient`: try again later.
    Transient,
    /// `exception`: an internal error.
    Exception,
    /// `informational`
    Informational,
}

impl IssueType {
    /// The code as the specification spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Invariant => "invariant",
            Self::Required => "required",
            Self::Value => "value",
            Self::Security => "security",
            Self::Login => "login",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::Processing => "processing",
            Self::NotSupported => "not-supported",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::TooLong => "too-long",
            Self::TooCostly => "too-costly",
            Self::Conflict => "conflict",
            Self::MultipleMatches => "multiple-matches",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Exception => "exception",
            Self::Informational => "informational",
        }
    }
}

/// The severity of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `error`
    Error,
    /// `warning`
    Warning,
    /// `information`
    Information,
}

impl Severity {
    /// The code as the specification spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One issue: what happened, where, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// Which kind.
    pub code: IssueType,
    /// For people; says what to change; never repeats what an attacker could use.
    pub diagnostics: String,
    /// FHIRPath of the element (`Observation.valueQuantity.value`), or `http.name` of a header or parameter.
    pub expression: Option<String>,
}

impl Issue {
    /// An error without a place.
    pub fn error(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, diagnostics: diagnostics.into(), expression: None }
    }

    /// The same issue, at this place.
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    /// A warning without a place.
    pub fn warning(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, diagnostics) }
    }

    /// A piece of information without a place.
    pub fn information(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Information, ..Self::error(code, diagnostics) }
    }
}

/// The OperationOutcome of these issues, as JSON; none of them means that all is well.
pub fn render(issues: &[Issue]) -> Vec<u8> {
    let all_well = [Issue::information(IssueType::Informational, "All is well.")];
    let issues = if issues.is_empty() { all_well.as_slice() } else { issues };
    let issues = issues.iter().map(|issue| {
        let mut members: Vec<(Box<str>, Value)> =
            vec![("severity".into(), issue.severity.as_str().into()), ("code".into(), issue.code.as_str().into())];
        if !issue.diagnostics.is_empty() {
            members.push(("diagnostics".into(), issue.diagnostics.as_str().into()));
        }
        if let Some(expression) = &issue.expression {
            members.push(("expression".into(), Value::array([expression.as_str().into()])));
        }
        Value::Object(members)
    });
    Value::object([("resourceType", "OperationOutcome".into()), ("issue", Value::array(issues))]).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_client_cannot_break_out_of_the_json() {
        let issue = Issue::error(IssueType::Value, "a\"b\\c\u{7}\u{2028}").at("http.\"x");
        let outcome = crate::json::parse(&render(&[issue])).unwrap();
        let issue = &outcome.member("issue").unwrap().as_array().unwrap()[0];
        assert_eq!(issue.member("diagnostics").unwrap().as_str(), Some("a\"b\\c\u{7}\u{2028}"));
        assert_eq!(issue.member("expression").unwrap().as_array().unwrap()[0].as_str(), Some("http.\"x"));
    }

    #[test]
    fn an_outcome_always_has_an_issue() {
        let text = String::from_utf8(render(&[])).unwrap();
        assert_eq!(
            text,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational","diagnostics":"All is well."}]}"#
        );
    }

    #[test]
    fn severity_code_and_place_are_kept() {
        let issues = [Issue::error(IssueType::NotSupported, "no").at("http._has"), Issue::warning(IssueType::TooLong, "")];
        assert_eq!(
            String::from_utf8(render(&issues)).unwrap(),
            concat!(
                r#"{"resourceType":"OperationOutcome","issue":["#,
                r#"{"severity":"error","code":"not-supported","diagnostics":"no","expression":["http._has"]},"#,
                r#"{"severity":"warning","code":"too-long"}]}"#
            )
        );
    }
}
