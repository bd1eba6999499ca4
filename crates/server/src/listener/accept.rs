//! The accept loop: bounded connections, a time limit on every step, and a drain at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificate::ReloadingCertificate;
use super::connection::{self, Handler, Peer, Terms};

/// What one listener may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// From the accepted socket to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its headers; also the longest idle time between requests.
    pub header: Duration,
    /// How long open requests may take after a stop was asked for.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}

/// How often the certificate's files are looked at.
const CERTIFICATE_POLL: Duration = Duration::from_secs(2);

/// Tells listeners to stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Shutdown {
    /// Asks every listener to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when a stop was asked for.
    pub async fn stopped(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in self, so waiting cannot fail.
        let _ = receiver.wait_for(|stopped| *stopped).await;
    }
}

/// One bound socket with its TLS configuration.
pub struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
    certificate: Arc<ReloadingCertificate>,
    limits: Limits,
    /// Where a plain-text request for `/` is sent.
    redirect: Arc<str>,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(
        address: SocketAddr,
        config: ServerConfig,
        certificate: Arc<ReloadingCertificate>,
        limits: Limits,
        redirect: &str,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, tls: TlsAcceptor::from(Arc::new(config)), certificate, limits, redirect: redirect.into() })
    }

    /// The address that is really bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until a stop is asked for, then lets open requests end.
    pub async fn run<H: Handler>(self, handler: Arc<H>, shutdown: Shutdown) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        let terms = Terms {
            tls: self.tls.clone(),
            limits: self.limits,
            redirect: Arc::clone(&self.redirect),
            shutdown: shutdown.clone(),
        };
        let mut poll = tokio::time::interval(CERTIFICATE_POLL);
        loop {
            tokio::select! {
                () = shutdown.stopped() => break,
                _ = poll.tick() => {
                    self.reload_certificate();
                    while connections.try_join_next().is_some() {}
                }
                accepted = accept(&self.socket, &room) => {
                    let Some((stream, address, permit)) = accepted else { continue };
                    let (handler, terms) = (Arc::clone(&handler), terms.clone());
                    connections.spawn(async move {
                        connection::serve(stream, Peer { address, certificate: None, chain: None }, handler, terms).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(self.socket);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, all).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain time");
        }
    }

    fn reload_certificate(&self) {
        match self.certificate.reload_if_changed() {
            Ok(true) => tracing::info!("a new server certificate is in use"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the changed certificate cannot be used; the old one stays"),
        }
    }
}

async fn accept(
    socket: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            // Typically no file descriptors: give connections time to end instead of spinning.
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
