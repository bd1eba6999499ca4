//! How a command reaches the administration service: in this process where the data directory is free, else through the socket of the process that
//! holds it. Both answer the same questions with the same code.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_backends::{DataDirectory, DirectoryError};
use portcullis_server::admin::protocol::{self, RefusalKind, Refused, Request, Response};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::place::{Place, held};
use crate::application::{Instance, account};
use crate::failure::{Exit, Failure, Outcome, causes};

/// How long the process that holds the directory may take to say that it takes commands.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// A conversation with the service.
pub struct Channel {
    requests: Option<mpsc::Sender<Request>>,
    responses: mpsc::Receiver<Response>,
    worker: JoinHandle<()>,
    instance: Option<Instance>,
}

impl Channel {
    /// Opens the data directory, or a connection to the process that holds it.
    pub async fn open(place: &Place, command: &str) -> Outcome<Self> {
        match DataDirectory::open(&place.directory, command) {
            Ok(directory) => Ok(Self::own(Instance::open(place.setup(directory)?).await?)),
            Err(DirectoryError::HeldBy { pid, command }) => Self::beside(&place.directory, pid, &command).await,
            Err(error) => Err(Failure::failed(causes(&error))),
        }
    }

    /// A conversation inside this process.
    pub fn own(instance: Instance) -> Self {
        let service = Arc::clone(instance.service());
        let (requests, for_service) = mpsc::channel(1);
        let (answers, responses) = mpsc::channel(1);
        let worker = tokio::spawn(async move { service.converse(account(), for_service, answers).await });
        Self { requests: Some(requests), responses, worker, instance: Some(instance) }
    }

    /// A connection to the process that holds the directory. The kernel connects to one that is stopped as well, so only an answer tells that it takes
    /// commands.
    pub async fn beside(directory: &Path, pid: u32, command: &str) -> Outcome<Self> {
        let channel = async {
            let mut channel = Self::connect(directory).await.ok()?;
            channel.send(Request::Hello).await.ok()?;
            channel.receive().await.ok()?;
            Some(channel)
        };
        match tokio::time::timeout(FIRST_ANSWER, channel).await {
            Ok(Some(channel)) => Ok(channel),
            Ok(None) => {
                Err(held(directory, pid, command).advise("It takes no commands: wait until it has ended, then try again."))
            }
            Err(_) => {
                let advice = format!(
                    "It has not answered within {} seconds: it is stopped, or busy with other commands. Look at that process, then try again.",
                    FIRST_ANSWER.as_secs()
                );
                Err(held(directory, pid, command).advise(advice))
            }
        }
    }

    async fn connect(directory: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(DataDirectory::admin_socket_of(directory)).await?;
        let (mut incoming, mut outgoing) = stream.into_split();
        let (requests, mut to_send) = mpsc::channel::<Request>(1);
        let (received, responses) = mpsc::channel::<Response>(1);
        let worker = tokio::spawn(async move {
            let sending = async move {
                while let Some(request) = to_send.recv().await {
                    if let Err(error) = protocol::send(&mut outgoing, &request).await {
                        return tracing::warn!(%error, "the request could not be sent");
                    }
                }
            };
            let receiving = async move {
                loop {
                    match protocol::receive(&mut incoming).await {
                        Ok(Some(response)) => {
                            if received.send(response).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => return,
                        Err(error) => return tracing::warn!(%error, "the answer could not be read"),
                    }
                }
            };
            tokio::join!(sending, receiving);
        });
        Ok(Self { requests: Some(requests), responses, worker, instance: None })
    }

    /// Sends a request; its answer comes after those of earlier ones.
    pub async fn send(&self, request: Request) -> Outcome {
        let Some(requests) = &self.requests else { return Err(gone()) };
        requests.send(request).await.map_err(|_| gone())
    }

    /// The next answer.
    pub async fn receive(&mut self) -> Outcome<Response> {
        self.responses.recv().await.ok_or_else(gone)
    }

    /// Asks and waits for the answer; a refusal is a failure.
    pub async fn call(&mut self, request: Request) -> Outcome<Response> {
        self.send(request).await?;
        match self.receive().await? {
            Response::Refused(reason) => Err(refused(reason)),
            response => Ok(response),
        }
    }

    /// Ends the conversation and gives the data directory back.
    pub async fn close(self) -> Outcome {
        let instance = self.end().await;
        match instance {
            Some(instance) => instance.close().await,
            None => Ok(()),
        }
    }

    /// Ends the conversation and keeps the instance.
    pub async fn end(mut self) -> Option<Instance> {
        drop(self.requests.take());
        self.responses.close();
        // What is being stored is stored to its end.
        let _ = self.worker.await;
        self.instance.take()
    }
}

fn gone() -> Failure {
    Failure::failed("The server ended before it answered").advise("Look at its log, then try again.")
}

/// A refusal of the service as a failure of the command.
pub fn refused(reason: Refused) -> Failure {
    let exit = match reason.kind {
        RefusalKind::Invalid => Exit::Usage,
        RefusalKind::Internal
        | RefusalKind::Conflict
        | RefusalKind::NotFound
        | RefusalKind::Denied
        | RefusalKind::Unavailable => Exit::Failed,
    };
    Failure::new(exit, reason.message)
}

/// An answer to another question: two versions of the program, or a mistake of ours.
pub fn unexpected() -> Failure {
    Failure::failed("The server gave an answer to another question").advise("Use the same version of portcullis for both.")
}
