//! One connection: TLS handshake, then HTTP/1.1 or HTTP/2, until the peer goes or the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Request, Response, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use portcullis_oauth::confirmation::CertificateThumbprint;

use super::accept::{Limits, Shutdown};
use super::incoming::{self, Incoming, Outgoing};
use crate::answer::{Answer, Body};
use crate::middleware::framing;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The socket's address.
    pub address: SocketAddr,
    /// The certificate that the client showed on this connection, and holds the key of.
    pub certificate: Option<CertificateThumbprint>,
    /// The same with the certificates that came with it, which nobody has looked at.
    pub chain: Option<Arc<[CertificateDer<'static>]>>,
}

/// What a listener serves.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Called at once for each request; what it returns is dropped when the peer goes, so that what must be finished runs in a task
    /// of its own, begun in the call.
    fn handle(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;

    /// Told after a connection ended with bytes that were no request of HTTP/1.1, which hyper has answered by itself (400, 414 or 431).
    fn unreadable(self: Arc<Self>, peer: Peer) -> impl Future<Output = ()> + Send;
}

/// The first byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// Header fields of one request that hyper takes in: more than we answer, so that a refusal is ours.
const MAXIMUM_HEADERS: usize = framing::MAXIMUM_HEADERS * 2;
/// Bytes of one request's headers that hyper takes in.
const MAXIMUM_HEADER_BYTES: usize = framing::MAXIMUM_HEADER_BYTES * 2;
/// Concurrent requests of one HTTP/2 connection.
const MAXIMUM_STREAMS: u32 = 128;
/// What a peer may send of one HTTP/2 body before it is read, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all bodies of one HTTP/2 connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// HTTP/2 requests that the peer cancelled before we looked at them; with more, the connection ends (rapid reset, CVE-2023-44487).
const MAXIMUM_PENDING_RESETS: usize = 20;
/// HTTP/2 streams of one connection that were reset because of the peer's faults; with more, the connection ends (CVE-2025-8671).
const MAXIMUM_LOCAL_RESETS: usize = 256;
/// What waits to be sent on one HTTP/2 stream, in bytes.
const STREAM_SEND_BUFFER: usize = 256 * 1024;

/// Header time limits between two looks at whether a connection rests: long enough for a slow peer to take in a large answer.
const LOOKS: u32 = 4;

/// What every connection of one listener shares.
#[derive(Clone)]
pub(super) struct Terms {
    /// How TLS is spoken.
    pub tls: TlsAcceptor,
    /// The limits.
    pub limits: Limits,
    /// Where plain text is sent.
    pub redirect: Arc<str>,
    /// When to stop.
    pub shutdown: Shutdown,
}

pub(super) async fn serve<H: Handler>(stream: TcpStream, peer: Peer, handler: Arc<H>, terms: Terms) {
    let Terms { tls, limits, redirect, shutdown } = terms;
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let handshake = async {
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first != [TLS_HANDSHAKE] {
            redirect_plain(stream, &redirect).await?;
            return Ok(None);
        }
        tls.accept(stream).await.map(Some)
    };
    let stream = match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(Ok(Some(stream))) => stream,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %peer.address, "handshake failed"),
        Err(_) => return tracing::debug!(peer = %peer.address, "handshake took too long"),
    };
    let chain = stream.get_ref().1.peer_certificates().filter(|chain| !chain.is_empty());
    let certificate = chain.and_then(<[_]>::first).map(|certificate| CertificateThumbprint::of(certificate));
    let peer = Peer { certificate, chain: chain.map(Arc::from), ..peer };
    let (address, listener, at) = (peer.address, Arc::clone(&handler), peer.clone());
    let activity = Arc::new(Activity::default());
    let seen = Arc::clone(&activity);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let busy = Activity::begin(&seen);
        let (version, expects) = (request.version(), incoming::expects(request.headers()));
        let (parts, body) = request.into_parts();
        let (body, unread) = Incoming::new(body);
        let request = Request::from_parts(parts, body);
        // Called now and not when this is polled first: a connection that ends may never poll it.
        let answer = Arc::clone(&handler).handle(peer.clone(), request);
        async move {
            let mut response = answer.await.into_response();
            drop(busy);
            let unread = unread.take();
            if unread.as_ref().is_some_and(|unread| incoming::ends_connection(version, expects, unread)) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<Response<Outgoing<Body>>, Infallible>(response.map(|body| Outgoing::new(body, unread)))
        }
    });
    let builder = http_builder(limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopping = false;
    let mut idle = tokio::time::interval(limits.header * LOOKS);
    idle.tick().await;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = %error, peer = %address, "connection ended");
                    if error.downcast_ref().is_some_and(hyper::Error::is_parse) {
                        listener.unreadable(at).await;
                    }
                }
                return;
            }
            // hyper has no time limit before the first request and none for an idle HTTP/2 connection: nothing for two looks, and it ends.
            _ = idle.tick() => {
                if activity.rested() {
                    return tracing::debug!(peer = %address, "an idle connection was closed");
                }
            }
            () = shutdown.stopped(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What happens on a connection.
#[derive(Debug, Default)]
struct Activity {
    /// Requests that are being answered.
    open: AtomicUsize,
    /// Requests so far.
    begun: AtomicUsize,
    /// The same at the last look.
    looked: AtomicUsize,
}

/// One request that is being answered, until it is dropped.
struct Busy(Arc<Activity>);

impl Activity {
    fn begin(activity: &Arc<Self>) -> Busy {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(activity))
    }

    /// Whether nothing is being answered and nothing was asked since the last look.
    fn rested(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        self.looked.swap(begun, Ordering::Relaxed) == begun && self.open.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn http_builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(MAXIMUM_HEADERS)
        .max_buf_size(MAXIMUM_HEADER_BYTES)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header)
        .keep_alive_timeout(limits.handshake)
        .max_header_list_size(u32::try_from(MAXIMUM_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAXIMUM_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAXIMUM_PENDING_RESETS)
        .max_local_error_reset_streams(MAXIMUM_LOCAL_RESETS)
        .max_send_buf_size(STREAM_SEND_BUFFER);
    builder
}

/// Answers plain text on the TLS port: a redirect for `/`, nothing for anything else, so that nobody gets used to sending a path in the clear.
async fn redirect_plain(mut stream: TcpStream, redirect: &str) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    let mut length = 0;
    while let Some(free) = buffer.get_mut(length..).filter(|free| !free.is_empty()) {
        let read = stream.read(free).await?;
        length += read;
        let received = buffer.get(..length).unwrap_or_default();
        if read == 0 || received.contains(&b'\n') {
            break;
        }
    }
    let received = buffer.get(..length).unwrap_or_default();
    if received.starts_with(b"GET / HTTP/1.") || received.starts_with(b"HEAD / HTTP/1.") {
        let answer =
            format!("HTTP/1.1 308 Permanent Redirect\r\nlocation: {redirect}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    stream.shutdown().await
}
