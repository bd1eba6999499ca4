//! Serving: sockets are bound, the start is recorded, and requests are answered until a signal asks to stop; then open ones end and the stop is recorded.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_audit::record::{Agent, Event, Outcome as Ended, Record, RecordId};
use portcullis_oauth::approval::ChangeKind;
use portcullis_server::admin::socket::AdminSocket;
use portcullis_server::context::Server;
use portcullis_server::demo_app::DemoApp;
use portcullis_server::listener::{
    CertificateFiles, ClientTrust, Limits, Listener, ReloadingCertificate, Shutdown, mutual_tls_config, server_config,
};
use portcullis_server::mail::delivery;
use portcullis_server::middleware::refusals;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::{Instance, rules, settings};
use crate::failure::{Failure, OrFail, Outcome, causes};

/// The longest path of a Unix socket, in bytes, without its closing zero (unix(7)).
const MAXIMUM_SOCKET_PATH: usize = 107;

/// Where to listen.
#[derive(Debug)]
pub struct Listen {
    /// The addresses of the server. Of several, those may fail whose network protocol the machine does not have.
    pub addresses: Vec<SocketAddr>,
    /// The certificate.
    pub certificate: CertificateFiles,
    /// What each listener may use.
    pub limits: Limits,
    /// The address where clients show a certificate, and which ones are taken.
    pub mutual_tls: Option<(SocketAddr, ClientTrust)>,
    /// The demo app and its address.
    pub app: Option<(SocketAddr, DemoApp)>,
}

/// Serves until SIGINT or SIGTERM; SIGHUP has the rules read again. `announce` is called when connections are accepted.
pub async fn serve(instance: Instance, listen: Listen, announce: impl FnOnce() -> Outcome) -> Outcome {
    let mut signals = Signals::new()?;
    let shutdown = Shutdown::default();
    // Before anybody is answered: those that must wait never decided anything.
    let begun = async {
        settings::begin(&instance).await?;
        rules::begin(&instance).await
    };
    if let Err(failure) = begun.await {
        instance.close().await?;
        return Err(failure);
    }
    let mut tasks = match start(&instance, listen, &shutdown).await {
        Ok(tasks) => tasks,
        Err(failure) => {
            instance.close().await?;
            return Err(failure);
        }
    };
    record(&instance, (Event::Start, Ended::Success), about(&instance)).await?;
    announce()?;
    // Without rules there is nothing to read again, and a terminal that closes ends what it started.
    while signals.next().await == Asked::ToReload && instance.policy.file().is_some() {
        // A full disk ends no server that serves by the rules that hold.
        if let Err(failure) = rules::reload(&instance).await {
            tracing::error!(%failure, "the rules of [policy] were not exchanged; those that held go on");
        }
    }
    tracing::info!("stopping: open requests are answered first; a second signal ends at once");
    shutdown.stop();
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = signals.stop() => return Err(Failure::failed("Ended at once; requests that were open were cut off")),
    }
    if let Err(error) = refusals::flush(instance.server()).await {
        tracing::error!(error = %causes(&error), "gathered refusals could not be recorded");
    }
    record(&instance, (Event::Stop, Ended::Success), about(&instance)).await?;
    instance.close().await
}

/// Binds every socket before the first one is served.
async fn start(instance: &Instance, listen: Listen, shutdown: &Shutdown) -> Outcome<JoinSet<()>> {
    let certificate = check_certificate(listen.certificate)?;
    let bind = async |address: SocketAddr, redirect: &str| {
        let config = server_config(Arc::clone(&certificate)).or_fail("TLS cannot be configured")?;
        let bound = Listener::bind(address, config, Arc::clone(&certificate), listen.limits, redirect).await;
        Ok::<_, Failure>((address, bound))
    };
    let mut listeners = Vec::new();
    let alone = listen.addresses.len() == 1;
    for address in listen.addresses {
        match bind(address, &instance.server().settings.public_url).await? {
            (_, Ok(listener)) => listeners.push(listener),
            (address, Err(error)) if !alone && is_absent(&error) => {
                tracing::info!(%address, "this machine does not have the address; it is left out");
            }
            (address, Err(error)) => return Err(cannot_listen(address, &error)),
        }
    }
    if let Some((address, trust)) = listen.mutual_tls {
        let config = mutual_tls_config(Arc::clone(&certificate), &trust).or_fail("Mutual TLS cannot be configured")?;
        let redirect = &instance.server().settings.public_url;
        let bound = Listener::bind(address, config, Arc::clone(&certificate), listen.limits, redirect).await;
        listeners.push(bound.map_err(|error| cannot_listen(address, &error))?);
    }
    let app = match listen.app {
        None => None,
        Some((address, app)) => match bind(address, app.url()).await? {
            (_, Ok(listener)) => Some((listener, app)),
            (address, Err(error)) => return Err(cannot_listen(address, &error)),
        },
    };
    let socket = admin_socket(instance)?;
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(listener.run(Arc::clone(instance.server()), shutdown.clone()));
    }
    if let Some((listener, app)) = app {
        tasks.spawn(listener.run(Arc::new(app), shutdown.clone()));
    }
    tasks.spawn(socket.run(Arc::clone(instance.service()), shutdown.clone()));
    let (server, stop) = (Arc::clone(instance.server()), shutdown.clone());
    tasks.spawn(async move { delivery::run(server, stop.stopped()).await });
    Ok(tasks)
}

fn admin_socket(instance: &Instance) -> Outcome<AdminSocket> {
    let path = instance.directory().admin_socket();
    if path.as_os_str().len() > MAXIMUM_SOCKET_PATH {
        return Err(Failure::usage(format!("The path of the data directory is too long for a socket in it: {}", path.display()))
            .advise("Start from a folder nearer to it with a relative path, or choose a directory with a shorter name."));
    }
    AdminSocket::bind(&path).or_fail(&format!("The administration socket {} cannot be made", path.display()))
}

/// Whether nothing else listens on these addresses, found out by listening for a moment. Asked before anything is written; the sockets that count are
/// bound later.
pub fn check_addresses(addresses: &[SocketAddr]) -> Outcome {
    for address in addresses {
        match std::net::TcpListener::bind(address) {
            Err(error) if addresses.len() == 1 || !is_absent(&error) => return Err(cannot_listen(*address, &error)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Reads the certificate and its key.
pub fn check_certificate(files: CertificateFiles) -> Outcome<Arc<ReloadingCertificate>> {
    let advice = format!(
        "Correct tls.certificate ({}) and tls.key ({}) in the configuration file, then check it: portcullis config check FILE",
        files.chain.display(),
        files.key.display()
    );
    ReloadingCertificate::load(files)
        .map_err(|error| Failure::usage(format!("The TLS certificate cannot be used: {}", causes(&error))).advise(advice))
}

/// Whether the machine has no such address, as with IPv6 switched off.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::AddrNotAvailable | std::io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::failed(format!("Cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => failure.advise(
            "Another program has the port: stop it, or choose another one (--port of a demo, listen in a configuration file).",
        ),
        std::io::ErrorKind::PermissionDenied => {
            failure.advise("Ports below 1024 need a privilege: choose a higher one, or let systemd open it.")
        }
        _ => failure,
    }
}

/// What the records of a start and a stop say.
fn about(instance: &Instance) -> String {
    let server = instance.server();
    let rules = rules::told(&server.operator_rules.held());
    let one: Vec<&str> = server.settings.authorization.two_people.disabled().map(ChangeKind::as_str).collect();
    let one = if one.is_empty() { String::new() } else { format!(", one person is enough for {}", one.join(", ")) };
    format!("portcullis {} at {}, {rules}{one}", server.settings.version, server.settings.public_url)
}

/// Records what the process does by itself, or because the operating system asked.
pub async fn record(instance: &Instance, what: (Event, Ended), detail: String) -> Outcome {
    let server = instance.server();
    let record = of_process(server, what, detail);
    server.ledger.append(record).await.map(|_receipt| ()).or_fail("The audit ledger cannot be written, so nothing can be served")
}

/// The record of what nobody's request has caused.
pub fn of_process(server: &Server, (event, outcome): (Event, Ended), detail: String) -> Record {
    Record {
        id: RecordId(format!("{:032x}", server.random_u128())),
        recorded: server.clock.now_milliseconds(),
        event,
        agent: Agent::default(),
        outcome,
        status: 0,
        decision: None,
        rules: Vec::new(),
        request: None,
        operations: Vec::new(),
        detail: Some(detail),
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// SIGINT or SIGTERM.
    ToStop,
    /// SIGHUP.
    ToReload,
}

/// The signals that ask for something.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Outcome<Self> {
        let of = |kind| signal(kind).or_fail("Signals cannot be received");
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::ToStop,
            _ = self.terminate.recv() => Asked::ToStop,
            _ = self.hangup.recv() => Asked::ToReload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Asked::ToStop {}
    }
}
