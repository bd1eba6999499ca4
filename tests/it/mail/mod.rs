//! Letters to people: over a real SMTP server with TLS, and what happens where there is none, or it does not answer.

mod alerts;
mod forgotten;
mod notices;
mod own_address;
mod sending;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis_outbound::{MailSecurity, MailServer, Mailer, Sender, Trust};
use portcullis_server::mail::{Mail, delivery};
use portcullis_testkit::TestServer;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::fhir::World;

pub const FROM: &str = "General Hospital <noreply@hospital.example>";

/// A real SMTP server.
pub struct Smtp {
    child: Child,
    /// Its port.
    pub port: u16,
    letters: Receiver<Value>,
    folder: tempfile::TempDir,
    security: MailSecurity,
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands in a letter that arrived.
pub struct Arrived {
    /// To whom.
    pub to: String,
    /// The message with decoded text.
    pub head: String,
    /// The text.
    pub text: String,
    /// What the server saw.
    pub seen: Value,
}

impl Arrived {
    /// The path of the link in the text.
    pub fn path(&self) -> String {
        let line =
            self.text.lines().find(|line| line.starts_with("https://")).unwrap_or_else(|| panic!("no link: {}", self.text));
        format!("/{}", line.splitn(4, '/').nth(3).unwrap())
    }
}

impl Smtp {
    /// Starts one with a certificate for `localhost`.
    pub fn start(security: MailSecurity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), issued.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
        let (child, port, letters) = spawn(folder.path(), security, 0);
        Self { child, port, letters, folder, security }
    }

    /// Stops it, and gives the port for later.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same port.
    pub fn again(&mut self) {
        let (child, port, letters) = spawn(self.folder.path(), self.security, self.port);
        (self.child, self.port, self.letters) = (child, port, letters);
    }

    /// The way to it, for whoever trusts its certificate.
    pub fn mail(&self) -> Mail {
        self.mail_to("localhost", "mail password", true)
    }

    /// The way to it by this name.
    pub fn mail_to(&self, host: &str, password: &str, trusted: bool) -> Mail {
        let server = MailServer {
            host: host.to_owned(),
            port: self.port,
            security: self.security,
            credentials: Some(("portcullis".to_owned(), password.to_owned())),
            from: Sender::parse(FROM).unwrap(),
        };
        let certificate = CertificateDer::from_pem_file(self.folder.path().join("cert.pem")).unwrap();
        let web = Trust::of_the_web();
        let trust = if trusted { web.with(certificate).unwrap() } else { web };
        Mail::by(Mailer::new(server, trust).unwrap())
    }

    /// The next letter that arrived.
    pub fn next(&self) -> Arrived {
        let seen = self.letters.recv_timeout(Duration::from_secs(10)).unwrap();
        let content = seen["content"].as_str().unwrap();
        let (head, body) = content.split_once("\r\n\r\n").unwrap();
        Arrived { to: seen["to"][0].as_str().unwrap().to_owned(), head: head.to_owned(), text: decoded(head, body), seen }
    }

    /// Whether nothing more arrived.
    pub fn is_quiet(&self) -> bool {
        self.letters.try_recv().is_err()
    }
}

fn spawn(folder: &std::path::Path, security: MailSecurity, port: u16) -> (Child, u16, Receiver<Value>) {
    let mode = if security == MailSecurity::Tls { "tls" } else { "starttls" };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mail/smtp_server.py");
    let mut child = Command::new("/usr/bin/python3")
        .args([script, mode, &port.to_string()])
        .args([folder.join("cert.pem"), folder.join("key.pem")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap().parse().unwrap();
    let (sender, letters) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(serde_json::from_str(&line).unwrap());
        }
    });
    (child, port, letters)
}

/// The text of a body, out of quoted-printable (RFC 2045 section 6.7) where the head says so.
fn decoded(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("quoted-printable") {
        return body.replace("\r\n", "\n");
    }
    let body = body.replace("=\r\n", "").replace("\r\n", "\n");
    let mut bytes = Vec::new();
    let mut rest = body.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A server with people, whose letters go this way. Ann reads at `ann@example.org`, in Spanish; nobody else has an address.
pub async fn world(mail: Mail) -> World {
    let world = World::over(TestServer::start_changed(|server| server.mail = mail).await).await;
    address(&world, "ann", "ann@example.org").await;
    world
}

/// Gives a person an address that another officer has confirmed.
pub async fn address(world: &World, username: &str, address: &str) {
    set_address(world, username, address).await;
    let confirm = portcullis_server::admin::UserRequest::Confirm { username: username.to_owned() };
    let confirmed = crate::account::links::operator(world, "second", confirm).await;
    assert!(matches!(confirmed, portcullis_server::admin::protocol::Response::User(_)), "{confirmed:?}");
    drain(world).await;
}

pub async fn set_address(world: &World, username: &str, address: &str) {
    let contact =
        portcullis_server::admin::Contact { email: Some(address.to_owned()), language: Some("es".into()), print_link: false };
    let request = portcullis_server::admin::UserRequest::Email { username: username.to_owned(), contact };
    crate::account::links::details(world, "first", request).await;
}

/// Forgets the letters that wait.
async fn drain(world: &World) {
    for letter in world.server.server.registry.due_letters(i64::MAX, 1000).await.unwrap() {
        let end = portcullis_store::mail::MailChange::End { id: letter.id, outcome: "sent".into() };
        world.server.change(portcullis_store::registry::Change::Mail(Box::new(end))).await;
    }
}

/// Sends what is due.
pub async fn deliver(world: &World) -> Result<(), delivery::DeliveryError> {
    delivery::deliver_due(&world.server.server).await
}
