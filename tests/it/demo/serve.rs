//! `portcullis serve`: a server with a configuration file and a certificate of one's own, from nothing to an app that reads.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portcullis_testkit::process::{Ended, Running, free_ports, responds};
use portcullis_testkit::{App, Client, Demo};
use portcullis_verifies::verifies;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use super::portcullis;

/// What a server is started from.
pub(super) struct Site {
    pub folder: TempDir,
    pub port: u16,
    pub certificate: CertificateDer<'static>,
}

fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("server.key"), issued.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("server.pem"), issued.cert.pem()).unwrap();
    issued.cert.der().clone()
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_ports();
        let certificate = write_certificate(folder.path());
        let key = folder.path().join("root.key");
        fs::write(&key, format!("{}\n", "0123456789abcdef".repeat(4))).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let site = Self { folder, port, certificate };
        fs::write(site.config(), site.settings()).unwrap();
        site
    }

    fn config(&self) -> String {
        self.folder.path().join("portcullis.toml").display().to_string()
    }

    fn settings(&self) -> String {
        format!(
            "public_url = 'https://localhost:{0}'\nlisten = '127.0.0.1:{0}'\ndata_dir = 'data'\nroot_key_file = 'root.key'\n\
             [tls]\ncertificate = 'server.pem'\nkey = 'server.key'\n[limits]\nconnections = 100\n",
            self.port
        )
    }

    pub fn client(&self, certificate: &CertificateDer<'static>) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), "localhost", std::slice::from_ref(certificate))
    }

    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Ended {
        portcullis().run_with(&[arguments, &["--config", &self.config()]].concat(), input)
    }

    async fn serve(&self) -> Running {
        self.serve_logging("").await
    }

    /// Serves with this in `PORTCULLIS_LOG`; as by default where it is empty.
    pub async fn serve_logging(&self, log: &str) -> Running {
        let mut command = portcullis().command(&["serve", "--config", &self.config()]);
        command.stdin(Stdio::null());
        if !log.is_empty() {
            command.env("PORTCULLIS_LOG", log);
        }
        let mut running = Running::start(command);
        let client = self.client(&self.certificate);
        for _ in 0..1000 {
            if responds(&client, "/health").await {
                return running;
            }
            if let Some(ended) = running.ended() {
                panic!("{}", ended.expect_failure(0));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not answer:\n{}", running.stderr());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_server_works_from_nothing_to_an_app_that_reads() {
    let site = Site::new();
    verifies!("BP-04");
    let checked = portcullis().run(&["config", "check", &site.config()]).expect(0);
    assert!(checked.contains("OK"), "{checked}");
    for listed in [
        "versions: TLSv1_3, TLSv1_2\n",
        "cipher suites: TLS13_AES_256_GCM_SHA384, TLS13_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, ",
        "groups: X25519MLKEM768, secp256r1, secp384r1\n",
    ] {
        assert!(checked.contains(listed), "{listed}: {checked}");
    }
    let running = site.serve().await;
    let client = site.client(&site.certificate);
    let start = client.get("/").send().await;
    assert_eq!(start.status, 200);
    assert!(!start.text().contains("demo"), "{}", start.text());
    let resources = "{\"resourceType\":\"Patient\",\"id\":\"ann\"}\n{\"resourceType\":\"Patient\",\"id\":\"bob\"}\n";
    site.run(&["load", "-"], resources.as_bytes()).expect(0);
    let user =
        ["users", "add", "ann", "--display-name", "Ann", "--role", "patient", "--patient", "ann", "--fhir-user", "Patient/ann"];
    site.run(&user, b"correct horse battery staple").expect(0);
    let uri = "https://app.example.org/callback";
    let added = site.run(
        &["clients", "add", "--name", "App", "--redirect-uri", uri, "--scope", "launch/patient patient/*.rs", "--json"],
        b"",
    );
    let app = App {
        client: client.clone(),
        client_id: added.expect_json(0)["client_id"].as_str().unwrap().to_owned(),
        secret: None,
        redirect_uri: uri.to_owned(),
        fhir_base: format!("https://localhost:{}/fhir", site.port),
    };
    let token = app.access_token("launch/patient patient/*.rs", "ann", "correct horse battery staple").await;
    assert_eq!(client.get("/fhir/Patient/ann").bearer(&token).send().await.status, 200);
    assert_eq!(client.get("/fhir/Patient/bob").bearer(&token).send().await.status, 404);
    site.run(&["audit", "verify"], b"").expect(0);
    a_second_server_is_refused(&site, &running);
    a_new_certificate_is_served_without_a_restart(&site).await;
    let ended = running.terminate();
    assert!(ended.stderr.contains("serving") && !ended.stderr.contains("correct horse"), "{}", ended.stderr);
    ended.expect(0);
    let again = site.serve_with_new_certificate().await;
    assert_eq!(
        site.client(&site.current_certificate()).get("/fhir/Patient/ann").bearer(&token).send().await.status,
        200,
        "tokens outlive a restart"
    );
    drop(again);
}

impl Site {
    fn current_certificate(&self) -> CertificateDer<'static> {
        use rustls_pki_types::pem::PemObject;
        CertificateDer::from_pem_file(self.folder.path().join("server.pem")).unwrap()
    }

    async fn serve_with_new_certificate(&self) -> Running {
        let running = portcullis().start(&["serve", "--config", &self.config()]);
        let client = self.client(&self.current_certificate());
        for _ in 0..1000 {
            if responds(&client, "/health").await {
                return running;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not answer:\n{}", running.stderr());
    }
}

fn a_second_server_is_refused(site: &Site, running: &Running) {
    let told = portcullis().run(&["serve", "--config", &site.config()]).expect_failure(4);
    assert!(told.contains(&format!("process {} (serve)", running.pid())), "{told}");
}

async fn a_new_certificate_is_served_without_a_restart(site: &Site) {
    let new = write_certificate(site.folder.path());
    let client = site.client(&new);
    for _ in 0..500 {
        if responds(&client, "/health").await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the new certificate is not served");
}

#[test]
fn a_check_of_the_configuration_tells_what_of_smart_is_not_as_it_is_by_default() {
    let site = Site::new();
    let told = |smart: &str| {
        fs::write(site.config(), format!("{}\n{smart}", site.settings())).unwrap();
        portcullis().run(&["config", "check", &site.config()]).expect(0)
    };
    let by_default = told("");
    assert!(!by_default.contains(" off: ") && !by_default.contains(" on: "), "{by_default}");
    let said = told("[smart]\ndisabled = ['permission-v1', 'launch-ehr']\nenabled = ['smart-app-state']");
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split_once(": ").map(|(_, rest)| rest)).collect();
    for expected in
        ["off: launch-ehr (smart.disabled)", "off: permission-v1 (smart.disabled)", "on: smart-app-state (smart.enabled)"]
    {
        assert_eq!(lines.iter().filter(|line| **line == expected).count(), 1, "{expected}: {said}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("off: ") || line.starts_with("on: ")).count(), 3, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_with_no_directory_of_a_demo_and_no_open_key() {
    let stopped = Demo::start(&portcullis(), 2).await.stop();
    let site = Site::new();
    let config = site.config();
    let with = |from: &str, to: &str| fs::write(&config, site.settings().replace(from, to)).unwrap();
    with("'data'", &format!("'{}'", stopped.directory.display()));
    let told = portcullis().run(&["serve", "--config", &config]).expect_failure(2);
    assert!(told.contains("portcullis demo") && told.contains("data_dir"), "{told}");
    let told = portcullis().run(&["config", "check", &config]);
    assert!(told.stdout.contains("data_dir"), "{}", told.stdout);
    told.expect(2);

    for (from, to, named) in [
        ("'root.key'", "'data/root.key'", "root_key_file"),
        ("'root.key'", "'absent.key'", "absent.key"),
        ("'server.pem'", "'absent.pem'", "absent.pem"),
        ("https://", "http://", "public_url"),
        ("[limits]", "[limitz]", "limitz"),
        ("listen", "# listen", "listen"),
    ] {
        with(from, to);
        let told = portcullis().run(&["serve", "--config", &config]).expect_failure(2);
        assert!(told.contains(named), "{named}: {told}");
        assert!(!site.folder.path().join("data").exists(), "{named}: nothing is written before everything is there");
    }
    with("", "");
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, site.port)).unwrap();
    let told = portcullis().run(&["serve", "--config", &config]).expect_failure(1);
    assert!(told.contains(&format!("127.0.0.1:{}", site.port)) && told.contains("listen"), "{told}");
    assert!(!site.folder.path().join("data").exists(), "nothing is written where the port is taken");
    drop(taken);
    fs::set_permissions(site.folder.path().join("root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let told = portcullis().run(&["serve", "--config", &config]).expect_failure(2);
    assert!(told.contains("root.key") && told.contains("600"), "{told}");
}
