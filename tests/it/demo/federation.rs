//! People of a configured server sign in at a provider of another author: npm `oidc-provider`, over HTTPS, from the configuration file on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use portcullis_testkit::app::hidden;
use portcullis_testkit::process::{free_ports, responds};
use portcullis_testkit::{Client, Reply};
use rustls_pki_types::CertificateDer;

use super::portcullis;
use crate::foreign;
use crate::jar::Jar;

const PACKAGE: &str = "oidc-provider@9.13.3";

/// The folder with the package; `None` where it cannot be had.
fn installed() -> Option<PathBuf> {
    let install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE];
    let package = ("package.json", r#"{"private":true,"type":"module"}"#);
    let kept = foreign::had("npm-oidc-provider-9.13.3", &[package], &[&install])?;
    fs::write(kept.join("provider.mjs"), include_str!("clients/provider.mjs")).unwrap();
    Some(kept)
}

fn certificate(folder: &Path, name: &str) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    private(&folder.join(format!("{name}.key")), &issued.signing_key.serialize_pem());
    fs::write(folder.join(format!("{name}.pem")), issued.cert.pem()).unwrap();
    issued.cert.der().clone()
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The provider, which ends with its value. What it says is kept open: it says more later, and ends where nobody listens.
struct Provider {
    child: Child,
    _said: BufReader<ChildStdout>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    fn start(folder: &Path, site: &Path, port: u16, redirect: &str) -> Self {
        let file = |name: &str| site.join(name).display().to_string();
        let arguments = [port.to_string(), file("provider.pem"), file("provider.key"), redirect.to_owned()];
        let mut command = Command::new("node");
        command.arg("provider.mjs").args(arguments).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "listening");
        Self { child, _said: said }
    }
}

fn path_of(location: &str) -> String {
    url::Url::parse(location).map_or_else(|_| location.to_owned(), |url| url[url::Position::BeforePath..].to_owned())
}

/// Goes through the provider's forms as a person does, until it sends the browser back; the path and query there.
async fn through(jar: &mut Jar<'_>, location: &str, name: &str, back: &str) -> String {
    let mut path = path_of(location);
    for _ in 0..12 {
        let reply = jar.get(&path).await;
        let next = if reply.status.is_redirection() { reply } else { answered(jar, &reply, &path, name).await };
        let location = next.header("location").to_owned();
        assert!(next.status.is_redirection(), "{path}: {} {}", next.status, next.text());
        path = path_of(&location);
        if location.starts_with(back) {
            return path;
        }
    }
    panic!("the provider does not come to an end: {path}");
}

async fn answered(jar: &mut Jar<'_>, page: &Reply, path: &str, name: &str) -> Reply {
    let prompt = hidden(page, "prompt");
    let fields = [("prompt", prompt.as_str()), ("login", name), ("password", "any")];
    jar.post(path, &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_with_accounts_at_a_provider_of_another_author() {
    let Some(package) = installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path();
    let (port, provider_port) = (free_ports(), free_ports());
    let (ours, theirs) = (certificate(site, "server"), certificate(site, "provider"));
    private(&site.join("root.key"), &"0123456789abcdef".repeat(4));
    private(&site.join("provider.secret"), "a secret & more\n");
    let (origin, issuer) = (format!("https://localhost:{port}"), format!("https://localhost:{provider_port}"));
    let settings = format!(
        "public_url = '{origin}'\nlisten = '127.0.0.1:{port}'\ndata_dir = 'data'\nroot_key_file = 'root.key'\n\
         [tls]\ncertificate = 'server.pem'\nkey = 'server.key'\n\
         [outbound]\nca_file = 'provider.pem'\nexempt = ['localhost:{provider_port}']\n\
         [[federation]]\nid = 'city'\nname = 'City ID'\nissuer = '{issuer}'\nclient_id = 'portcullis'\nclient_secret_file = 'provider.secret'\n"
    );
    let config = site.join("portcullis.toml").display().to_string();
    fs::write(&config, settings).unwrap();
    let callback = format!("{origin}/login/federated/callback/city");
    let provider = Provider::start(&package, site, provider_port, &callback);
    let mut running = portcullis().start(&["serve", "--config", &config]);
    let client = |port: u16, trusted: &CertificateDer<'static>| {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "localhost", std::slice::from_ref(trusted))
    };
    let (server, elsewhere) = (client(port, &ours), client(provider_port, &theirs));
    while !responds(&server, "/health").await {
        assert!(running.ended().is_none(), "{}", running.stderr());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let run = |arguments: &[&str], input: &[u8]| portcullis().run_with(&[arguments, &["--config", &config]].concat(), input);
    let add = ["users", "add", "ann", "--display-name", "Ann Example", "--role", "patient", "--patient", "ann"];
    run(&add, b"correct horse battery staple\n").expect(0);
    let begin = "/login/federated?provider=city&return_to=%2Fme";

    // Nobody is linked yet.
    let (mut browser, mut there) = (Jar::new(&server), Jar::new(&elsewhere));
    let begun = browser.get(begin).await;
    let back = through(&mut there, begun.header("location"), "ann-there", &callback).await;
    let refused = browser.get(&back).await;
    assert!(
        refused.status == 403 && refused.text().contains("Your account is not linked yet"),
        "{}\n{}",
        refused.text(),
        running.stderr()
    );

    // Ann links the account on her page, with a new sign-in there.
    browser.sign_in("ann", "correct horse battery staple").await;
    let page = browser.get("/me/federation").await;
    let text = page.text();
    let href = text.split("href=\"").find(|rest| rest.starts_with("/login/federated?")).unwrap().split('"').next().unwrap();
    let begun = browser.get(&href.replace("&amp;", "&").replace("&#38;", "&")).await;
    let back = through(&mut there, begun.header("location"), "ann-there", &callback).await;
    let linked = browser.get(&back).await;
    assert_eq!((linked.status.as_u16(), linked.header("location")), (303, "/me/federation"), "{}", linked.text());

    // Another browser, where nobody is signed in here; there the session goes on without a question.
    let mut browser = Jar::new(&server);
    let begun = browser.get(begin).await;
    let back = through(&mut there, begun.header("location"), "ann-there", &callback).await;
    let signed_in = browser.get(&back).await;
    assert_eq!((signed_in.status.as_u16(), signed_in.header("location")), (303, "/me"), "{}", signed_in.text());
    let me = browser.get("/me").await;
    assert!(me.text().contains("Ann Example"), "{}", me.text());
    let replayed = browser.get(&back).await;
    assert_eq!(replayed.status, 403, "the cookie went with the first use");

    // Somebody else there is nobody here, until the command line says so.
    let (mut browser, mut there) = (Jar::new(&server), Jar::new(&elsewhere));
    let begun = browser.get(begin).await;
    let back = through(&mut there, begun.header("location"), "helper", &callback).await;
    assert_eq!(browser.get(&back).await.status, 403);
    run(&["users", "link", "ann", "--issuer", &issuer, "--subject", "helper"], b"").expect(0);
    let begun = browser.get(begin).await;
    let back = through(&mut there, begun.header("location"), "helper", &callback).await;
    assert_eq!(browser.get(&back).await.status, 303);
    run(&["users", "unlink", "ann", "--issuer", &issuer, "--subject", "helper"], b"").expect(0);

    // It is gone.
    let begun = browser.get(begin).await;
    let back = through(&mut there, begun.header("location"), "helper", &callback).await;
    drop(provider);
    let outage = browser.get(&back).await;
    assert!(outage.status == 503 && outage.text().contains("City ID does not answer"), "{}", outage.text());
    running.terminate();
}
