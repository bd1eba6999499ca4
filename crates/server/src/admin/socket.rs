//! The socket in the data directory through which commands reach a running server.
//!
//! It is private to its owner (0600, in a directory that is 0700), and the kernel says who connects: only the server's own account and
//! root are answered. What is asked goes to the same service as everything else.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::protocol::{self, Request, Response};
use super::service::{Caller, Service};
use crate::listener::Shutdown;

/// Commands that are served at the same time; more wait.
const CONVERSATIONS: usize = 16;
/// How long conversations may go on after a stop was asked for: the end of a batch.
const DRAIN: Duration = Duration::from_secs(10);

/// The bound socket. Its file is removed with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl AdminSocket {
    /// Binds the socket. The caller holds the data directory, so a file that is there already was left by a process that is gone.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(path)?);
        Ok(Self { listener, path: path.to_owned(), owner })
    }

    /// Serves commands until a stop is asked for, then lets those finish that have begun.
    pub async fn run(self, service: Arc<Service>, shutdown: Shutdown) {
        let room = Arc::new(Semaphore::new(CONVERSATIONS));
        let mut conversations = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.stopped() => break,
                accepted = accept(&self.listener, &room) => accepted,
            };
            while conversations.try_join_next().is_some() {}
            let Some((stream, permit)) = accepted else { continue };
            match caller(&stream, self.owner) {
                Some(caller) => {
                    let (service, shutdown) = (Arc::clone(&service), shutdown.clone());
                    conversations.spawn(async move {
                        converse(stream, service, caller, shutdown).await;
                        drop(permit);
                    });
                }
                None => tracing::warn!("another account connected to the administration socket and was not answered"),
            }
        }
        let all = async { while conversations.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("a command was still served at the end of the drain time");
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start removes what stays.
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: &UnixListener, room: &Arc<Semaphore>) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "accept failed on the administration socket");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Who is at the other end, as the kernel says; `None` where that is neither this account nor root.
fn caller(stream: &UnixStream, owner: u32) -> Option<Caller> {
    let uid = stream.peer_cred().ok()?.uid();
    (uid == owner || uid == 0).then(|| Caller::of_uid(uid))
}

async fn converse(stream: UnixStream, service: Arc<Service>, caller: Caller, shutdown: Shutdown) {
    let (mut incoming, mut outgoing) = stream.into_split();
    let (requests, for_service) = mpsc::channel::<Request>(1);
    let (responses, mut to_send) = mpsc::channel::<Response>(1);
    let reading = async move {
        loop {
            let received = tokio::select! {
                () = shutdown.stopped() => return,
                received = protocol::receive(&mut incoming) => received,
            };
            match received {
                Ok(Some(request)) => {
                    if requests.send(request).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a command sent something else than a request"),
            }
        }
    };
    let sending = async move {
        while let Some(response) = to_send.recv().await {
            if let Err(error) = protocol::send(&mut outgoing, &response).await {
                return tracing::debug!(%error, "a command went away before its answer");
            }
        }
    };
    tokio::join!(reading, service.converse(caller, for_service, responses), sending);
}
