//! The real binary as a child of the test: commands that end, and demos that run until the test ends them.
//!
//! Each child works in a directory of its own and listens on ports that were free a moment ago. It is ended with its value, whatever becomes of
//! the test; no other process is ever signalled.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::TempDir;

use crate::app::App;
use crate::client::Client;

/// How long a command, a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(20);
/// Ports are taken from here: below those that the system gives to outgoing connections, so that the two do not meet.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried.
const PORT_TRIES: usize = 20;

/// The binary under test.
#[derive(Clone, Debug)]
pub struct Portcullis {
    binary: PathBuf,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// Standard output, of a command that must have ended with this code.
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error, of a command that must have ended with this code.
    pub fn expect_failure(self, code: i32) -> String {
        let stderr = self.stderr.clone();
        self.expect(code);
        stderr
    }

    /// Standard output as JSON, of a command that must have ended with this code.
    pub fn expect_json(self, code: i32) -> Value {
        let text = self.expect(code);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Portcullis {
    /// The binary at this path: `env!("CARGO_BIN_EXE_portcullis")` in a test.
    pub fn at(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into() }
    }

    /// A command with these arguments that sees no settings of the outer environment.
    pub fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_remove("PORTCULLIS_LOG").env_remove("PORTCULLIS_LOG_FORMAT").env("COLUMNS", "80");
        command
    }

    /// Runs a command to its end, with nothing on standard input.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ended {
        self.run_with(arguments, b"")
    }

    /// Runs a command to its end, with this on standard input.
    pub fn run_with(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Ended {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input).unwrap();
        file.rewind().unwrap();
        let mut command = self.command(arguments);
        command.stdin(file);
        Running::start(command).wait()
    }

    /// Starts a command that goes on by itself.
    pub fn start(&self, arguments: &[impl AsRef<OsStr>]) -> Running {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null());
        Running::start(command)
    }
}

/// A child that runs until it ends or this value does.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts a command whose standard input is set; what it writes goes to files, so that it never waits for a reader.
    pub fn start(mut command: Command) -> Self {
        let output = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(output.path().join(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, output }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.written("stdout")
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.written("stderr")
    }

    fn written(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.output.path().join(name)).unwrap()).into_owned()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<Ended> {
        let status = self.child.try_wait().unwrap()?;
        Some(Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() })
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let since = Instant::now();
        loop {
            if let Some(ended) = self.ended() {
                return ended;
            }
            assert!(since.elapsed() < PATIENCE, "still running:\n{}\n{}", self.stdout(), self.stderr());
            std::thread::sleep(LOOK);
        }
    }

    /// Sends a signal by name: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        // Not yet waited for, so the number is still this child's.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().unwrap();
        assert!(sent.success(), "kill -{name} {}", self.pid());
    }

    /// Asks it to stop, and waits until it has.
    pub fn terminate(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Ends it at once, as the kernel does when memory runs out.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Ended { code: None, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name to sign in with.
    pub username: String,
    /// The password.
    pub password: String,
    /// The FHIR resource that is this person.
    pub fhir_user: Option<String>,
}

impl Person {
    /// The id of the person's own FHIR resource.
    pub fn id(&self) -> &str {
        self.fhir_user.as_deref().and_then(|reference| reference.split_once('/')).map(|(_, id)| id).unwrap()
    }
}

/// A running `portcullis demo`.
#[derive(Debug)]
pub struct Demo {
    /// The binary.
    pub portcullis: Portcullis,
    /// Its data directory.
    pub directory: PathBuf,
    /// The server's port; the app has the next one.
    pub port: u16,
    /// What `demo.json` says.
    pub description: Value,
    /// The process.
    pub running: Running,
    /// How long the start took, until the first answer.
    pub started_in: Duration,
    folder: Arc<TempDir>,
}

/// A demo that does not run at the moment.
#[derive(Debug)]
pub struct Stopped {
    /// The binary.
    pub portcullis: Portcullis,
    /// Its data directory.
    pub directory: PathBuf,
    /// The port that it had.
    pub port: u16,
    folder: Arc<TempDir>,
}

impl Demo {
    /// Makes and starts a demo.
    pub async fn start(portcullis: &Portcullis, patients: u32) -> Self {
        let stopped = Stopped::absent(portcullis);
        stopped.start_on_any_port(&["--patients", &patients.to_string()]).await
    }

    /// Stops it as an operator does; it must end well.
    pub fn stop(self) -> Stopped {
        let (running, stopped) = self.apart();
        running.terminate().expect(0);
        stopped
    }

    /// Ends it without a warning.
    pub fn kill(self) -> Stopped {
        let (running, stopped) = self.apart();
        running.kill();
        stopped
    }

    fn apart(self) -> (Running, Stopped) {
        let Self { portcullis, directory, port, running, folder, .. } = self;
        (running, Stopped { portcullis, directory, port, folder })
    }

    /// A client of the server.
    pub fn client(&self) -> Client {
        client(&self.directory, self.port, "localhost").unwrap()
    }

    /// A client of the demo app's origin.
    pub fn app_client(&self) -> Client {
        client(&self.directory, self.port + 1, "127.0.0.1").unwrap()
    }

    /// The server's origin.
    pub fn issuer(&self) -> String {
        self.description["issuer"].as_str().unwrap().to_owned()
    }

    /// The FHIR base.
    pub fn fhir_base(&self) -> String {
        self.description["fhir_base"].as_str().unwrap().to_owned()
    }

    /// A registered client of the demo, by its id.
    pub fn app(&self, client_id: &str) -> App {
        let clients = self.description["clients"].as_array().unwrap();
        let client =
            clients.iter().find(|client| client["client_id"] == client_id).unwrap_or_else(|| panic!("no client {client_id}"));
        App {
            client: self.client(),
            client_id: client_id.to_owned(),
            secret: client["client_secret"].as_str().map(str::to_owned),
            redirect_uri: client["redirect_uris"][0].as_str().unwrap().to_owned(),
            fhir_base: self.fhir_base(),
        }
    }

    /// The first person with a role.
    pub fn person(&self, role: &str) -> Person {
        self.people(role).into_iter().next().unwrap_or_else(|| panic!("nobody is {role}"))
    }

    /// Everybody with a role.
    pub fn people(&self, role: &str) -> Vec<Person> {
        let users = self.description["users"].as_array().unwrap();
        let has_role = |user: &&Value| user["roles"].as_array().unwrap().iter().any(|one| one == role);
        let text = |user: &Value, name: &str| user[name].as_str().map(str::to_owned);
        let person = |user: &Value| Person {
            username: text(user, "username").unwrap(),
            password: text(user, "password").unwrap(),
            fhir_user: text(user, "fhir_user"),
        };
        users.iter().filter(has_role).map(person).collect()
    }

    /// The arguments that name it to a command: `--data-dir DIR`.
    pub fn target(&self) -> [String; 2] {
        ["--data-dir".to_owned(), self.directory.display().to_string()]
    }

    /// Runs a command about it.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, b"")
    }

    /// Runs a command about it, with this on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ended {
        run_about(&self.portcullis, &self.directory, arguments, input)
    }
}

impl Stopped {
    /// A demo that was never started.
    pub fn absent(portcullis: &Portcullis) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self { portcullis: portcullis.clone(), directory: folder.path().join("demo"), port: 0, folder }
    }

    /// Runs a command about it.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        run_about(&self.portcullis, &self.directory, arguments, b"")
    }

    /// Starts it where it was before.
    pub async fn start(self) -> Demo {
        let port = self.port;
        self.try_start(port, &[]).await.unwrap_or_else(|(_, ended)| panic!("{}", ended.expect_failure(0)))
    }

    /// Starts it at free ports, with further arguments.
    pub async fn start_on_any_port(self, arguments: &[&str]) -> Demo {
        let mut stopped = self;
        for _ in 0..PORT_TRIES {
            let (again, ended) = match stopped.try_start(free_ports(), arguments).await {
                Ok(demo) => return demo,
                Err(failed) => failed,
            };
            // Another program may have been faster.
            assert!(ended.stderr.contains("Cannot listen on"), "{}", ended.expect_failure(0));
            stopped = again;
        }
        panic!("no two ports in a row are free");
    }

    async fn try_start(self, port: u16, arguments: &[&str]) -> Result<Demo, (Self, Ended)> {
        let began = Instant::now();
        let port_text = port.to_string();
        let directory = self.directory.display().to_string();
        let mut all = vec!["demo", "--data-dir", directory.as_str(), "--port", port_text.as_str()];
        all.extend(arguments);
        let mut running = self.portcullis.start(&all);
        loop {
            if let Some(ended) = running.ended() {
                return Err((self, ended));
            }
            if answers(&self.directory, port).await {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "it does not answer:\n{}\n{}", running.stdout(), running.stderr());
            tokio::time::sleep(LOOK).await;
        }
        let started_in = began.elapsed();
        let description = serde_json::from_slice(&fs::read(self.directory.join("demo.json")).unwrap()).unwrap();
        let Self { portcullis, directory, folder, .. } = self;
        Ok(Demo { portcullis, directory, port, description, running, started_in, folder })
    }
}

fn run_about(portcullis: &Portcullis, directory: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let directory = directory.display().to_string();
    let mut all = arguments.to_vec();
    all.extend(["--data-dir", &directory]);
    portcullis.run_with(&all, input)
}

/// Whether the demo has written what it is, and its server and app answer with its certificate.
async fn answers(directory: &Path, port: u16) -> bool {
    if !directory.join("demo.json").exists() {
        return false;
    }
    for (port, host, path) in [(port, "localhost", "/health"), (port + 1, "127.0.0.1", "/config.json")] {
        let Some(client) = client(directory, port, host) else { return false };
        if !responds(&client, path).await {
            return false;
        }
    }
    true
}

/// Whether a server answers this path with 200.
pub async fn responds(client: &Client, path: &str) -> bool {
    let request = http::Request::get(path).header("host", "localhost").body(http_body_util::Full::default()).unwrap();
    client.try_send(request).await.is_ok_and(|reply| reply.status == 200)
}

/// A client that trusts the CA of a demo's directory; `None` where it is not written yet.
fn client(directory: &Path, port: u16, host: &str) -> Option<Client> {
    let authority = CertificateDer::from_pem_file(directory.join("tls/ca.pem")).ok()?;
    Some(Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), host, &[authority]))
}

/// A port that is free on loopback, as is the next one.
pub fn free_ports() -> u16 {
    use std::hash::{BuildHasher, Hasher};
    let width = u64::from((PORTS.end - PORTS.start) / 2);
    for _ in 0..PORT_TRIES {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let port = PORTS.start + u16::try_from(random % width).unwrap() * 2;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        // Where the machine has no IPv6, nothing can have the port there.
        let is_free_v6 = |port: u16| match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
        };
        if is_free(port) && is_free(port + 1) && is_free_v6(port) {
            return port;
        }
    }
    panic!("no two ports in a row are free");
}
