//! The answer to one interaction, before it is an HTTP response or an entry in the answer to a batch or transaction.

use http::{HeaderName, StatusCode, header};
use portcullis_fhir::bundle::{BundleWriter, EntryResponse};
use portcullis_fhir::instant;
use portcullis_fhir::labels::HighWater;
use portcullis_fhir::outcome::{self, Issue};
use portcullis_fhir::types::LogicalId;
use portcullis_mutants::off;
use portcullis_policy::StoredVersion;

use crate::answer::Draft;

/// The media type of every FHIR answer until its form is chosen ([`super::representation`]).
pub const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    version: Option<Stamp>,
    address: Option<(HeaderName, String)>,
    body: Option<Content>,
    /// The security labels of what it carries.
    labels: HighWater,
}

/// The version that an answer speaks of.
#[derive(Debug)]
struct Stamp {
    /// The address of the resource.
    url: String,
    version: LogicalId,
    last_updated: i64,
}

/// What an answer carries.
#[derive(Debug)]
enum Content {
    /// A resource, or a Bundle of them.
    Resource(Vec<u8>),
    /// How it went.
    Outcome(Vec<u8>),
}

impl Reply {
    /// An answer of a status alone.
    pub fn new(status: StatusCode) -> Self {
        Self { status, version: None, address: None, body: None, labels: HighWater::default() }
    }

    /// The same about a version of the resource at this address.
    pub fn about(self, version: &StoredVersion, url: String) -> Self {
        let stamp = Stamp { url, version: version.version.clone(), last_updated: version.last_updated };
        Self { version: Some(stamp), labels: high_water([version]), ..self }
    }

    /// The same with the address of a version that was made (`Location`).
    pub fn made_at(self, url: String) -> Self {
        Self { address: Some((header::LOCATION, url)), ..self }
    }

    /// The same with the address of the version that it carries (`Content-Location`).
    pub fn found_at(self, url: String) -> Self {
        Self { address: Some((header::CONTENT_LOCATION, url)), ..self }
    }

    /// The same with a resource.
    pub fn resource(self, body: Vec<u8>) -> Self {
        Self { body: Some(Content::Resource(body)), ..self }
    }

    /// The same with an OperationOutcome of these issues.
    pub fn outcome(self, issues: &[Issue]) -> Self {
        Self { body: Some(Content::Outcome(outcome::render(issues))), ..self }
    }

    /// The same without what it carries.
    pub fn without_body(self) -> Self {
        Self { body: None, ..self }
    }

    /// The same, carrying something with these labels.
    pub fn labelled(self, labels: HighWater) -> Self {
        Self { labels, ..self }
    }

    /// The labels of what it carries; none where it carries no resource.
    pub fn labels(&self) -> Option<&HighWater> {
        matches!(self.body, Some(Content::Resource(_))).then_some(&self.labels)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The bytes that it carries.
    pub fn length(&self) -> usize {
        match &self.body {
            None => 0,
            Some(Content::Resource(body) | Content::Outcome(body)) => body.len(),
        }
    }

    /// As an HTTP response.
    pub fn into_draft(self) -> Draft {
        let mut draft = Draft::new(self.status);
        if let Some(Content::Resource(body) | Content::Outcome(body)) = self.body {
            draft = draft.body(FHIR_JSON, body);
        }
        if let Some(stamp) = &self.version {
            draft = draft
                .with_text(header::ETAG, &format!("W/\"{}\"", stamp.version))
                .with_text(header::LAST_MODIFIED, &http_date(stamp.last_updated));
        }
        match self.address {
            Some((name, url)) => draft.with_text(name, &url),
            None => draft,
        }
    }

    /// As an entry of the answer to a batch or transaction.
    pub fn write(&self, bundle: &mut BundleWriter) {
        let last_modified = self.version.as_ref().map(|stamp| instant::format(stamp.last_updated));
        let version = self.version.as_ref().map(|stamp| stamp.version.as_str()).zip(last_modified.as_deref());
        let (resource, outcome) = match &self.body {
            None => (None, None),
            Some(Content::Resource(body)) => (Some(body.as_slice()), None),
            Some(Content::Outcome(body)) => (None, Some(body.as_slice())),
        };
        let full_url = resource.and(self.version.as_ref()).map(|stamp| stamp.url.as_str());
        let written = matches!(self.status, StatusCode::CREATED | StatusCode::OK);
        let location = self.address.as_ref().filter(|(name, _)| written && *name == header::LOCATION);
        let response =
            EntryResponse { status: self.status.as_str(), location: location.map(|(_, url)| url.as_str()), version, outcome };
        bundle.response(full_url, resource, &response);
    }
}

/// What is said of all these versions together, as far as they are shown.
pub fn high_water<'a>(versions: impl IntoIterator<Item = &'a StoredVersion>) -> HighWater {
    let mut water = HighWater::default();
    for version in versions.into_iter().filter(|_| !off!("high-water")) {
        if let Some(body) = &version.body {
            water.add(version.security, body);
        }
    }
    water
}

/// `Last-Modified` (RFC 9110, section 5.6.7).
pub fn http_date(milliseconds: i64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The moment of such a date, in milliseconds since the epoch; `None` where it is none.
pub fn of_http_date(text: &str) -> Option<i64> {
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_date_of_http_is_none() {
        for text in ["", "2024-01-01", "Mon, 01 Jan 2024 00:00:00 CET", "Mon, 32 Jan 2024 00:00:00 GMT", "1704067200"] {
            assert_eq!(of_http_date(text), None, "{text}");
        }
        assert_eq!(of_http_date(&http_date(1_704_067_200_999)), Some(1_704_067_200_000));
    }
}
