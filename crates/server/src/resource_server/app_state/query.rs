//! Which states an app asks for: `?code=system|code`, with `&subject=` or `&subject:missing=` (SMART App Launch 2.2.0, "Querying app state").

use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::query;
use portcullis_fhir::reference::LocalReference;
use portcullis_oauth::clients::AppStateCode;
use portcullis_policy::app_state::AppStateCell;

use super::content;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    code: AppStateCode,
    subject: Wanted,
}

/// Whose states.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Any that the app may see.
    Any,
    /// About this one.
    Of(LocalReference),
    /// With a subject, or without.
    Missing(bool),
}

impl Query {
    /// Reads a query, still percent-encoded. What is not understood is refused: an answer to another question would look like this one's.
    pub fn parse(text: &str, base_url: &str) -> Result<Self, Issue> {
        let pairs = query::parse(text.as_bytes()).map_err(|mut issues| issues.swap_remove(0))?;
        let (mut code, mut subject) = (None, None);
        for (name, value) in &pairs {
            let taken = match name.as_str() {
                "code" => code.replace(AppStateCode::parse(value).ok_or_else(wrong_code)?).is_some(),
                "subject" => {
                    let local = content::absolute(value, base_url);
                    let local = local.ok_or_else(|| issue("subject", &content::wanted_subject(base_url)))?;
                    subject.replace(Wanted::Of(local)).is_some()
                }
                "subject:missing" => match value.as_str() {
                    "true" => subject.replace(Wanted::Missing(true)).is_some(),
                    "false" => subject.replace(Wanted::Missing(false)).is_some(),
                    _ => return Err(issue("subject:missing", "The value is true or false.")),
                },
                // Read with the headers.
                "_format" => false,
                _ => return Err(issue(name, "App state is found by code and by subject, and by nothing else.")),
            };
            if taken {
                return Err(issue(name, "App state is asked for by one code, and by one subject at most."));
            }
        }
        Ok(Self { code: code.ok_or_else(wrong_code)?, subject: subject.unwrap_or(Wanted::Any) })
    }

    /// Whether a cell is asked about.
    pub fn wants(&self, cell: &AppStateCell) -> bool {
        let subject = match &self.subject {
            Wanted::Any => true,
            Wanted::Of(subject) => cell.subject.as_ref() == Some(subject),
            Wanted::Missing(missing) => cell.subject.is_none() == *missing,
        };
        subject && cell.code == self.code
    }
}

fn wrong_code() -> Issue {
    issue("code", "Name one code as system|code, exactly as the states have it.")
}

fn issue(name: &str, message: &str) -> Issue {
    Issue::error(IssueType::Value, message.to_owned()).at(format!("http.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://ehr.example/fhir";

    #[test]
    fn what_is_not_understood_is_refused_with_its_parameter() {
        for (text, place) in [
            ("", "http.code"),
            ("subject:missing=true", "http.code"),
            ("code=keys", "http.code"),
            ("code=https://a.example|x&code=https://a.example|x", "http.code"),
            ("code=https://a.example|x,https://a.example|y", "http.code"),
            ("code=https://a.example|x&subject=Patient/1", "http.subject"),
            ("code=https://a.example|x&subject=", "http.subject"),
            ("code=https://a.example|x&subject:missing=yes", "http.subject:missing"),
            ("code=https://a.example|x&subject:missing=true&subject=https://ehr.example/fhir/Patient/1", "http.subject"),
            ("code=https://a.example|x&code:text=y", "http.code:text"),
            ("code=https://a.example|x&_include=Basic:subject", "http._include"),
            ("code=https://a.example|x&patient=1", "http.patient"),
        ] {
            assert_eq!(Query::parse(text, BASE).unwrap_err().expression.as_deref(), Some(place), "{text}");
        }
    }

    #[test]
    fn a_query_wants_its_code_and_subject_alone() {
        let cell = |subject: Option<&str>, code: &str| AppStateCell {
            code: AppStateCode::parse(code).unwrap(),
            subject: subject.map(|text| LocalReference::parse(text).unwrap()),
        };
        let wants = |text: &str| {
            let query = Query::parse(text, BASE).unwrap();
            [
                cell(Some("Patient/1"), "https://a.example|x"),
                cell(Some("Patient/2"), "https://a.example|x"),
                cell(None, "https://a.example|x"),
                cell(None, "https://a.example|y"),
            ]
            .map(|cell| query.wants(&cell))
        };
        assert_eq!(wants("code=https%3A%2F%2Fa.example%7Cx&_format=json"), [true, true, true, false]);
        assert_eq!(wants("code=https://a.example|x&subject=https://ehr.example/fhir/Patient/1"), [true, false, false, false]);
        assert_eq!(wants("code=https://a.example|x&subject:missing=true"), [false, false, true, false]);
        assert_eq!(wants("code=https://a.example|x&subject:missing=false"), [true, true, false, false]);
    }
}
