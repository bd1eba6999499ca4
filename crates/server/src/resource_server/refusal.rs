//! Every way in which a FHIR request ends without what it asked for, and how that looks on the wire.
//!
//! <https://hl7.org/fhir/R4/http.html#Status-Codes>, RFC 6750 section 3. What is hidden answers exactly as what is absent.

use http::StatusCode;
use portcullis_audit::LedgerError;
use portcullis_audit::record::Outcome;
use portcullis_fhir::interaction;
use portcullis_fhir::interaction::bundle::placed;
use portcullis_fhir::outcome::{self, Issue, IssueType};
use portcullis_policy::Disagreement;
use portcullis_policy::decision::{Denial, DenialReason};
use portcullis_store::StoreError;

use super::authenticate::{AuthenticationError, Scheme};
use super::denials::{Denials, Hidden};
use super::reply::{FHIR_JSON, Reply};
use crate::answer::Draft;
use crate::middleware::body::BodyError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body did not arrive.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The request is not understood.
    #[error("refused before a decision")]
    Parse(interaction::Refusal),
    /// Nobody, or nobody we know.
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    /// The decision was no.
    #[error("denied: {:?}", .0.reason)]
    Denied(Denial),
    /// One entry failed, and with it the whole transaction.
    #[error("entry {0} failed: {1}")]
    Entry(usize, Box<Refusal>),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be changed may be read, and no more.
    #[error("may be read and not changed")]
    ReadOnly,
    /// The store answered what it should not.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// The ledger cannot take records, so nothing is changed either.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something of our own broke.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Refusal {
    /// How the audit record counts it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Entry(_, cause) => cause.outcome(),
            Self::Body(_) | Self::Parse(_) => Outcome::Rejected,
            Self::Authentication(AuthenticationError::Unavailable(_)) => Outcome::Failed,
            Self::Authentication(_)
            | Self::Denied(_)
            | Self::ReadOnly
            | Self::Store(StoreError::OutsideBoundary | StoreError::Redacted) => Outcome::Denied,
            Self::Store(StoreError::Unavailable(_) | StoreError::Corrupt(_))
            | Self::Disagreement(_)
            | Self::Ledger(_)
            | Self::Internal(_) => Outcome::Failed,
            Self::Store(_) => Outcome::Rejected,
        }
    }

    /// A word for the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Entry(_, cause) => cause.kind(),
            Self::Body(_) => "body",
            Self::Parse(_) => "parse",
            Self::Authentication(_) => "authentication",
            Self::Denied(_) => "denied",
            Self::ReadOnly => "read only",
            Self::Store(StoreError::Corrupt(_)) => "store: corrupt",
            Self::Store(StoreError::Unavailable(_)) => "store: unavailable",
            Self::Store(_) => "store",
            Self::Disagreement(_) => "disagreement of store and policy",
            Self::Ledger(_) => "ledger",
            Self::Internal(what) => what,
        }
    }

    /// The answer to a request whose token came by this scheme.
    pub fn draft(&self, scheme: Scheme, style: Denials) -> Draft {
        let (status, issues) = self.status_and_issues(style);
        let draft = Draft::new(status).body(FHIR_JSON, outcome::render(&issues));
        match self.cause() {
            Self::Authentication(error) if status == StatusCode::UNAUTHORIZED => {
                error.challenges().iter().fold(draft, |draft, one| draft.with_text(http::header::WWW_AUTHENTICATE, one))
            }
            Self::Denied(Denial { reason: DenialReason::MissingScope(resource_type, letter), .. }) => {
                let wanted = format!(", scope=\"patient/{resource_type}.{0} user/{resource_type}.{0}\"", letter.as_char());
                let wanted = if style.advice { &*wanted } else { "" };
                let challenge = format!("{}, error=\"insufficient_scope\"{wanted}", scheme.challenge());
                draft.with_text(http::header::WWW_AUTHENTICATE, &challenge)
            }
            Self::Parse(refusal) => match refusal.allow {
                Some(allow) => draft.with(http::header::ALLOW, allow),
                None => draft,
            },
            Self::Store(StoreError::Unavailable(_)) => draft.with(http::header::RETRY_AFTER, "10"),
            _ => draft,
        }
    }

    /// The answer to an entry of a batch, which stands at this index.
    pub fn reply(&self, index: usize, style: Denials) -> Reply {
        let (status, issues) = self.status_and_issues(style);
        let issues: Vec<Issue> = issues.into_iter().map(|issue| placed(issue, index)).collect();
        Reply::new(status).outcome(&issues)
    }

    /// Why, wherever it was.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Entry(_, cause) => cause.cause(),
            other => other,
        }
    }

    fn status_and_issues(&self, style: Denials) -> (StatusCode, Vec<Issue>) {
        let one = |status, code, text: &str| (status, vec![Issue::error(code, text)]);
        let body = |status, code, text: &str| (status, vec![Issue::error(code, text).at("Resource")]);
        match self {
            Self::Entry(index, cause) => {
                let (status, issues) = cause.status_and_issues(style);
                (status, issues.into_iter().map(|issue| placed(issue, *index)).collect())
            }
            Self::Body(BodyError::TooLarge(limit)) => body(
                StatusCode::PAYLOAD_TOO_LARGE,
                IssueType::TooLong,
                &format!("The body is larger than {limit} bytes. Send less at once, or import files with `portcullis load`."),
            ),
            Self::Body(BodyError::TooSlow) => {
                body(StatusCode::REQUEST_TIMEOUT, IssueType::TooLong, "The body did not arrive in time.")
            }
            Self::Body(BodyError::Broken) => body(StatusCode::BAD_REQUEST, IssueType::Structure, "The body ended early."),
            Self::Parse(refusal) => {
                (StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST), refusal.issues.clone())
            }
            Self::Authentication(AuthenticationError::Unavailable(_)) | Self::Ledger(_) => unavailable(),
            Self::Authentication(error) => (StatusCode::UNAUTHORIZED, vec![Issue::error(error.issue_type(), error.advice())]),
            Self::Denied(_) if !style.advice => (StatusCode::FORBIDDEN, vec![Issue::error(IssueType::Forbidden, FORBIDDEN)]),
            Self::ReadOnly | Self::Store(StoreError::OutsideBoundary | StoreError::Redacted) if !style.advice => {
                (StatusCode::FORBIDDEN, vec![Issue::error(IssueType::Forbidden, FORBIDDEN)])
            }
            Self::ReadOnly => one(StatusCode::FORBIDDEN, IssueType::Forbidden, READ_ONLY),
            Self::Denied(denial) => denied(denial),
            Self::Store(StoreError::NotFound) => unseen(style),
            Self::Store(error) => store(error),
            Self::Disagreement(_) | Self::Internal(_) => one(
                StatusCode::INTERNAL_SERVER_ERROR,
                IssueType::Exception,
                "The server stopped this answer because of an internal error. The event is recorded.",
            ),
        }
    }
}

/// For every denial of a server that gives no advice.
const FORBIDDEN: &str = "This access does not allow that.";

/// For every write outside the boundary, of whatever type, and whatever is stored: the text must not tell the cases apart.
const READ_ONLY: &str = "This access may read the record and not change it. Whoever gave it can say what else it covers.";
const OUTSIDE: &str = "This access does not cover the record that the resource would belong to. Types that belong to no patient's record, such as \
    Organization and Practitioner, are kept by the organisation itself. Name a patient whom the access covers, or get one that covers this record.";

fn unavailable() -> (StatusCode, Vec<Issue>) {
    let text = "The data store is not available. Try again later.";
    (StatusCode::SERVICE_UNAVAILABLE, vec![Issue::error(IssueType::Transient, text)])
}

fn denied(denial: &Denial) -> (StatusCode, Vec<Issue>) {
    denied_for(&denial.reason)
}

fn denied_for(reason: &DenialReason) -> (StatusCode, Vec<Issue>) {
    let text = match reason {
        DenialReason::MissingScope(resource_type, letter) => format!(
            "The access token has no scope for this. It would need one such as patient/{resource_type}.{0} or user/{resource_type}.{0}.",
            letter.as_char()
        ),
        DenialReason::NoLaunchPatient => {
            "The access token has patient/ scopes but no patient. Ask for launch/patient when you start the app.".to_owned()
        }
        DenialReason::UserNotEntitled => {
            "The roles of the signed-in user do not allow this. Sign in as somebody whose roles do, or ask whoever runs this server for the role."
                .to_owned()
        },
        DenialReason::OutsideBoundary => OUTSIDE.to_owned(),
        DenialReason::PurposeNotAllowed(purpose) => format!(
            "There is no leave to ask for data for the purpose {purpose}. Name a purpose that both the roles of the user and the registration of the client \
             allow, or name none."
        ),
        DenialReason::GlassNotBroken => {
            "The purpose is break-glass (BTG), and the glass is broken for no patient, or not any more. Ask for it on the page /break-glass of this server."
                .to_owned()
        }
        DenialReason::RedactedParameter(resource_type, code) => format!(
            "The parameter {code} of {resource_type} looks at an element that is not shown to this access, so nothing is searched, sorted, followed or limited by it. \
             Leave it out. Ask for an access that is cleared for the element where you need it."
        ),
        DenialReason::RedactedVersion(_) => REDACTED.to_owned(),
        DenialReason::MixedChanges => "These changes need different rights; send them one by one.".to_owned(),
        DenialReason::NotOfThisApp => {
            "This app has no access to such app state. Name a code that is registered for it, and the patient or the user of the access token as the subject; ask whoever runs this server to register the code."
                .to_owned()
        },
    };
    let (status, code) = match reason {
        DenialReason::RedactedVersion(_) => (StatusCode::UNPROCESSABLE_ENTITY, IssueType::Processing),
        _ => (StatusCode::FORBIDDEN, IssueType::Forbidden),
    };
    (status, vec![Issue::error(code, text)])
}

/// For a change of what is shown in part. Nobody can say what all of it shall be who does not see all of it.
const REDACTED: &str = "This access is not shown all of the resource, so it cannot replace it: what is left out would be lost. Ask for an access that is cleared \
    for all of it, or let somebody change it who has one.";

fn store(error: &StoreError) -> (StatusCode, Vec<Issue>) {
    let one = |status, code, text: &str| (status, vec![Issue::error(code, text)]);
    match error {
        StoreError::NotFound => not_found(),
        StoreError::Gone => one(StatusCode::GONE, IssueType::Deleted, "The resource was deleted."),
        StoreError::VersionConflict => one(
            StatusCode::PRECONDITION_FAILED,
            IssueType::Conflict,
            "If-Match names another version than the current one. Read the resource again and repeat the change on it.",
        ),
        StoreError::IdTaken => one(StatusCode::CONFLICT, IssueType::Conflict, "The id is taken. Try again."),
        StoreError::OutsideBoundary => one(StatusCode::FORBIDDEN, IssueType::Forbidden, OUTSIDE),
        StoreError::Redacted => one(StatusCode::UNPROCESSABLE_ENTITY, IssueType::Processing, REDACTED),
        StoreError::TooMany(what) => one(StatusCode::UNPROCESSABLE_ENTITY, IssueType::TooCostly, what),
        StoreError::InvalidCursor => (
            StatusCode::BAD_REQUEST,
            vec![
                Issue::error(IssueType::Value, "The page link is not valid for this search. Start the search again.")
                    .at("http._cursor"),
            ],
        ),
        StoreError::NotSupported(what) => {
            // Some of these are sentences with advice, others name what is not supported.
            let text = if what.ends_with('.') { what.clone() } else { format!("This server does not support {what}.") };
            (StatusCode::BAD_REQUEST, vec![Issue::error(IssueType::NotSupported, text).at("http")])
        }
        StoreError::Unavailable(_) => unavailable(),
        StoreError::Corrupt(_) => one(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueType::Exception,
            "The server stopped this answer because of an internal error. The event is recorded.",
        ),
    }
}

/// Absent and hidden resources answer this, to the byte.
pub fn unseen(style: Denials) -> (StatusCode, Vec<Issue>) {
    match style.hidden {
        Hidden::NotFound => not_found(),
        Hidden::Forbidden => {
            let text = "This access does not reach such a resource, whether there is one or not.";
            (StatusCode::FORBIDDEN, vec![Issue::error(IssueType::Forbidden, text)])
        }
    }
}

/// What is not there at all: a type, a route.
pub fn not_found() -> (StatusCode, Vec<Issue>) {
    (StatusCode::NOT_FOUND, vec![Issue::error(IssueType::NotFound, "There is no such resource.")])
}

#[cfg(test)]
mod tests {
    use portcullis_fhir::types::ResourceType;
    use portcullis_oauth::scopes::Letter;

    use super::*;

    #[test]
    fn every_denial_says_what_to_change_and_blames_no_place_of_the_request() {
        for reason in [
            DenialReason::MissingScope(ResourceType::PATIENT, Letter::Read),
            DenialReason::NoLaunchPatient,
            DenialReason::UserNotEntitled,
            DenialReason::OutsideBoundary,
            DenialReason::PurposeNotAllowed(portcullis_oauth::principal::PurposeOfUse::BREAK_GLASS),
            DenialReason::GlassNotBroken,
            DenialReason::RedactedParameter(ResourceType::PATIENT, "identifier"),
            DenialReason::MixedChanges,
            DenialReason::NotOfThisApp,
        ] {
            let told = format!("{reason:?}");
            let (status, issues) = denied_for(&reason);
            assert_eq!((status, issues.len()), (StatusCode::FORBIDDEN, 1), "{told}");
            assert_eq!((issues[0].code, &issues[0].expression), (IssueType::Forbidden, &None), "{told}");
            let advises = ["would need", "Ask for", "Sign in", "Name a", "send them"];
            assert!(advises.iter().any(|advice| issues[0].diagnostics.contains(advice)), "{told}: {}", issues[0].diagnostics);
        }
    }

    #[test]
    fn every_failed_authentication_says_what_to_send() {
        for error in [AuthenticationError::Missing, AuthenticationError::Malformed, AuthenticationError::Expired(Scheme::Bearer)]
        {
            let expected = error.issue_type();
            let (status, issues) = Refusal::Authentication(error).status_and_issues(Denials::default());
            assert_eq!((status, issues.len()), (StatusCode::UNAUTHORIZED, 1));
            assert_eq!((issues[0].code, &issues[0].expression), (expected, &None));
            let advises = ["Send", "must be", "Use the"];
            assert!(advises.iter().any(|advice| issues[0].diagnostics.contains(advice)), "{}", issues[0].diagnostics);
        }
    }
}
