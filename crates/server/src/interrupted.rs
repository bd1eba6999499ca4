//! A request that a bug ended: it leaves a record and an answer all the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, Request, StatusCode, header};
use portcullis_audit::record::{Event, Outcome};

use crate::answer::{Answer, Draft};
use crate::context::Server;
use crate::face::Face;
use crate::listener::Peer;
use crate::middleware::cors::Asker;
use crate::middleware::headers;
use crate::resource_server::Exchange;

/// What a record says of a request whatever becomes of it.
pub struct Begun {
    server: Arc<Server>,
    peer: Peer,
    method: http::Method,
    target: http::Uri,
    received: i64,
}

impl Begun {
    /// Keeps what is known of a request when it comes.
    pub fn of<B>(server: &Arc<Server>, peer: Peer, request: &Request<B>) -> Self {
        let (method, target) = (request.method().clone(), request.uri().clone());
        Self { server: Arc::clone(server), peer, method, target, received: server.clock.now_milliseconds() }
    }

    /// Does the work; where it panics, records that and answers 503. The panic itself has been printed by the hook, without anybody's data: its
    /// message is not for the record.
    pub async fn finish(self, mut work: Pin<Box<impl Future<Output = Answer>>>) -> Answer {
        let ended = std::future::poll_fn(|context| {
            // What the work shares with other requests is behind locks that survive a panic.
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(poll) => poll.map(Some),
                Err(_) => Poll::Ready(None),
            }
        });
        match ended.await {
            Some(answer) => answer,
            None => Box::pin(self.interrupted()).await,
        }
    }

    async fn interrupted(self) -> Answer {
        let Self { server, peer, method, target, received } = self;
        // An id of its own: the record of what was done before, if there is one, keeps the request's.
        let id = format!("{:032x}", server.random_u128());
        tracing::error!(request = id, "a request ended by an internal error");
        let exchange = Exchange {
            id,
            received,
            peer,
            method,
            target,
            headers: HeaderMap::new(),
            language: server.settings.language,
            within: None,
            asker: Asker::default(),
        };
        let face = Face::of(&exchange);
        let draft = draft(face);
        let mut record = exchange.record(Event::Refused, exchange.agent(), Outcome::Failed, draft.status());
        record.operations = vec![exchange.raw_operation()];
        record.detail = Some("ended by an internal error".to_owned());
        let mut answer = match server.ledger.append(record).await {
            Ok(receipt) => Answer::recorded(receipt, draft),
            Err(error) => Answer::unrecorded(&error, face),
        };
        headers::secure(answer.headers_mut(), &exchange.id, server.settings.demo.is_none());
        answer
    }
}

fn draft(face: Face) -> Draft {
    const OUTCOME: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception","diagnostics":"The server stopped this request because of an internal error. The event is recorded."}]}"#;
    const ERROR: &str =
        r#"{"error":"server_error","error_description":"the server stopped this request because of an internal error"}"#;
    let draft = Draft::new(StatusCode::SERVICE_UNAVAILABLE).with(header::RETRY_AFTER, "10");
    match face {
        Face::Fhir => draft.body("application/fhir+json; charset=utf-8", OUTCOME),
        Face::OAuth => draft.body("application/json", ERROR).with(header::PRAGMA, "no-cache"),
        Face::Page(language) => draft.body(
            "text/plain; charset=utf-8",
            language.say(
                "The server stopped because of an internal error. The event is recorded. Try again later.\n",
                "El servidor se detuvo por un error interno. El error quedó registrado. Inténtelo más tarde.\n",
            ),
        ),
    }
}
