//! In which form an answer leaves: JSON as it was released, or XML that is made of it. This is the one place where that is chosen.
//!
//! <https://hl7.org/fhir/R4/http.html#mime-type>. What goes over into XML has been decided, released and recorded as JSON; nothing that is not in the JSON can come
//! into it. What cannot be written is 500 without any of it, and what would be far longer than in JSON is 406, with a record of its own beside that of what was done. Framing errors and answers to requests that a
//! bug ended are JSON always.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use portcullis_audit::record::{Event, Outcome};
use portcullis_fhir::interaction::{Format, answer_format};
use portcullis_fhir::xml::{self, Unwritable};

use super::Exchange;
use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::face::Face;

/// What makes one answer another than the next. Entity tags are weak: both forms of a version have the same.
pub const VARY: &str = "Accept, Authorization, Origin";

/// The form in which a request wants its answer. The body counts where it is a form: a search that is posted may have `_format` there.
pub fn asked(exchange: &Exchange, body: &[u8]) -> Format {
    let content_type = exchange.header(&header::CONTENT_TYPE).unwrap_or_default().trim_start();
    let is_form = content_type.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM));
    let form = if exchange.method == Method::POST && is_form { body } else { b"" };
    answer_format(exchange.target.query().unwrap_or_default(), form, Some(&accepted(exchange)))
}

const FORM: &str = "application/x-www-form-urlencoded";

/// `Accept`; several are one list (RFC 9110, section 5.3).
pub fn accepted(exchange: &Exchange) -> String {
    let lists: Vec<&str> = exchange.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    lists.join(",")
}

/// An answer in this form.
pub async fn given(server: &Server, exchange: &Exchange, format: Format, mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static(VARY));
    if format == Format::Json {
        return answer;
    }
    let Some(released) = answer.fhir_json().await else { return answer };
    match server.large.run(released.len(), || xml::from_json(&released)).await {
        Ok(body) => answer.with_form(format.media_type(), body),
        Err(error) => failed(server, exchange, (answer, &error)).await,
    }
}

/// What a change says of itself besides its body: whoever made one that XML cannot say must find it, and not make it again.
const OF_A_CHANGE: [HeaderName; 3] = [header::LOCATION, header::ETAG, header::LAST_MODIFIED];

/// What is said instead of something that XML cannot say.
async fn failed(server: &Server, exchange: &Exchange, (mut answer, error): (Answer, &Unwritable)) -> Answer {
    let (status, code, reason) = match error.is_too_long() {
        true => (StatusCode::NOT_ACCEPTABLE, "too-long", "The answer would be many times as long in XML."),
        false => (StatusCode::INTERNAL_SERVER_ERROR, "exception", "The answer cannot be written as XML."),
    };
    let outcome = format!(
        "<OperationOutcome xmlns=\"http://hl7.org/fhir\"><issue><severity value=\"error\"/><code value=\"{code}\"/><diagnostics value=\"{reason} If the \
         request was a change, it has been made. Ask for JSON: Accept: application/fhir+json.\"/></issue></OperationOutcome>"
    );
    // Names of elements and nothing of what they hold.
    tracing::error!(request = exchange.id, %error, "an answer cannot be written as XML");
    // An id of its own: the record of what was done keeps the request's.
    let again = exchange.again(format!("{:032x}", server.random_u128()));
    let mut record = again.record(Event::Refused, again.agent(), Outcome::Failed, status);
    record.operations = vec![again.raw_operation()];
    record.detail = Some(format!("the answer to {} cannot be written as XML: {error}", exchange.id));
    let draft = Draft::new(status).body(Format::Xml.media_type(), outcome).with(header::VARY, VARY);
    let is_read = matches!(exchange.method, Method::GET | Method::HEAD);
    let said = OF_A_CHANGE
        .into_iter()
        .filter(|_| !is_read)
        .filter_map(|name| answer.headers_mut().remove(&name).map(|value| (name, value)));
    let draft = said.fold(draft, |draft, (name, value)| draft.with_text(name, value.to_str().unwrap_or_default()));
    match server.ledger.append(record).await {
        Ok(receipt) => Answer::recorded(receipt, draft),
        Err(error) => Answer::unrecorded(&error, Face::Fhir),
    }
}
