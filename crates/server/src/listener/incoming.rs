//! The body of a request, and what becomes of the part of it that nobody reads.
//!
//! A request may be refused while its body is still arriving (no token, too large). RFC 9112, section 9.6 and RFC 9113, section 8.1: whoever then closes or
//! resets at once may take the answer away from a peer that is still sending. So the rest is read and thrown away, up to [`DRAINED_BYTES`] and
//! [`DRAIN_TIME`], after the answer was handed to the connection and never before: reading would invite a peer that waits with
//! `Expect: 100-continue` to send. What is dropped then ends an HTTP/1.1 connection, or an HTTP/2 stream with NO_ERROR.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

/// What is read of a body after its request was answered, in bytes: twice the largest resource.
const DRAINED_BYTES: usize = 16 * 1024 * 1024;
/// How long that may take. A peer that still sends after [`DRAINED_BYTES`] is held back by flow control for the rest of it.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Up to so many bytes the rest of a body is worth reading to keep an HTTP/1.1 connection open.
const WORTH_KEEPING: u64 = 64 * 1024;

/// The body of a request. What is left of it when it is dropped goes to the connection.
#[derive(Debug)]
pub struct Incoming {
    /// Taken only when this is dropped.
    body: Option<hyper::body::Incoming>,
    ended: bool,
    unread: Unread,
}

/// Where the connection finds the rest of a body; nothing where a request has none.
#[derive(Clone, Debug)]
pub(super) struct Unread(Option<Arc<Mutex<Option<hyper::body::Incoming>>>>);

impl Incoming {
    pub(super) fn new(body: hyper::body::Incoming) -> (Self, Unread) {
        let ended = body.is_end_stream();
        let unread = Unread((!ended).then(Arc::default));
        (Self { body: Some(body), ended, unread: unread.clone() }, unread)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(body) = this.body.as_mut().filter(|_| !this.ended) else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(context);
        this.ended = matches!(polled, Poll::Ready(None | Some(Err(_)))) || body.is_end_stream();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().filter(|_| !self.ended).map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let (false, Some(slot)) = (self.ended, &self.unread.0) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}

impl Unread {
    /// What was left when the request was answered.
    pub fn take(&self) -> Option<hyper::body::Incoming> {
        self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whether an HTTP/1.1 connection cannot go on after a request of which this was not read: too much, or the peer waits for leave to send it.
pub(super) fn ends_connection(version: Version, request_expects: bool, unread: &hyper::body::Incoming) -> bool {
    let little = unread.size_hint().upper().is_some_and(|length| length <= WORTH_KEEPING);
    version < Version::HTTP_2 && (request_expects || !little)
}

/// Whether the peer waits for leave to send the body (RFC 9110, section 10.1.1).
pub(super) fn expects(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

/// The body of an answer, with the rest of the request's body that is read once the answer was handed over.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    body: B,
    unread: Option<hyper::body::Incoming>,
}

impl<B> Outgoing<B> {
    pub fn new(body: B, unread: Option<hyper::body::Incoming>) -> Self {
        Self { body, unread }
    }
}

impl<B: Body + Unpin> Body for Outgoing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Outgoing<B> {
    /// hyper drops a body when all of it is in the connection's buffers.
    fn drop(&mut self) {
        if let (Some(unread), Ok(runtime)) = (self.unread.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(drain(unread));
        }
    }
}

async fn drain(mut body: hyper::body::Incoming) {
    let rest = async {
        let mut left = DRAINED_BYTES;
        while left > 0 {
            let Some(Ok(frame)) = body.frame().await else { return };
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
        std::future::pending::<()>().await;
    };
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}
