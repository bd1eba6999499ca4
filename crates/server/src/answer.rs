//! `Answer`: the only thing that leaves the server, and the proof that it was recorded.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use portcullis_audit::{AuditReceipt, Counted, LedgerError};

use crate::face::Face;
use crate::middleware::refusals::Gathered;
use crate::resource_server::reply::FHIR_JSON;

/// The body of every response: whole, in memory, bounded by what made it.
pub type Body = Full<Bytes>;

/// Room for the headers of an answer without growing, with those that every answer carries.
const TYPICAL_HEADERS: usize = 12;

/// A response before it may leave.
#[derive(Debug)]
pub struct Draft {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Draft {
    /// A response with this status and no body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with a body of this media type.
    pub fn body(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(media_type)));
        self.body = body.into();
        self
    }

    /// The same with one more header whose value is fixed.
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The same with one more header. A value that is not allowed in a header is left out: values are made of parsed parts.
    pub fn with_text(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().reserve(TYPICAL_HEADERS);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A response that may leave: its record is durable, or its route is one of the few that are counted.
#[derive(Debug)]
pub struct Answer {
    response: Response<Body>,
}

impl Answer {
    /// The answer to a request whose record is durable.
    #[expect(clippy::needless_pass_by_value, reason = "a receipt serves one answer")]
    pub fn recorded(receipt: AuditReceipt, draft: Draft) -> Self {
        let _ = receipt;
        Self { response: draft.into_response() }
    }

    /// The answer of a counted route.
    pub fn counted(route: Counted, counters: &Counters, draft: Draft) -> Self {
        counters.increment(route);
        Self { response: draft.into_response() }
    }

    /// What is said when no record could be made durable: 503, fixed text, nothing else.
    pub fn unrecorded(error: &LedgerError, face: Face) -> Self {
        tracing::error!(%error, "the audit ledger refused a record; answering 503");
        Self { response: face.unrecorded().into_response() }
    }

    /// What a stranger is told whose requests are recorded together: 429, fixed text.
    #[expect(clippy::needless_pass_by_value, reason = "it serves one answer")]
    pub fn gathered(gathered: Gathered, face: Face) -> Self {
        let _ = gathered;
        Self { response: face.gathered().into_response() }
    }

    /// The response, for the listener only.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.response
    }

    /// The status, for logs and tests.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Adds headers that every answer carries.
    pub(crate) fn headers_mut(&mut self) -> &mut http::HeaderMap {
        self.response.headers_mut()
    }

    /// The JSON of FHIR that it carries; `None` where it carries something else or nothing.
    pub(crate) async fn fhir_json(&self) -> Option<Bytes> {
        let is_fhir = self.response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == FHIR_JSON);
        let body = self.response.body().clone().collect().await.ok().filter(|_| is_fhir)?;
        Some(body.to_bytes()).filter(|body| !body.is_empty())
    }

    /// The same answer with the same content in another form.
    pub(crate) fn with_form(mut self, media_type: &'static str, body: Vec<u8>) -> Self {
        self.response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        *self.response.body_mut() = Full::new(body.into());
        self
    }

    /// Drops the body of an answer to HEAD and keeps its length.
    pub(crate) fn without_body(mut self) -> Self {
        use hyper::body::Body as _;
        if let Some(length) = self.response.body().size_hint().exact() {
            self.response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *self.response.body_mut() = Full::default();
        self
    }
}

/// How often the counted routes were answered.
#[derive(Debug, Default)]
pub struct Counters {
    health: AtomicU64,
    metrics: AtomicU64,
    static_file: AtomicU64,
    discovery: AtomicU64,
}

impl Counters {
    fn cell(&self, route: Counted) -> &AtomicU64 {
        match route {
            Counted::Health => &self.health,
            Counted::Metrics => &self.metrics,
            Counted::StaticFile => &self.static_file,
            Counted::Discovery => &self.discovery,
        }
    }

    fn increment(&self, route: Counted) {
        self.cell(route).fetch_add(1, Ordering::Relaxed);
    }

    /// The count since the start.
    pub fn count(&self, route: Counted) -> u64 {
        self.cell(route).load(Ordering::Relaxed)
    }
}
