//! `demo.json`: everything that a person or a program needs to use the demo. Private to its owner, since it holds passwords; paths in it are relative to
//! the data directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use portcullis_server::context::DemoNotice;
use serde::{Deserialize, Serialize};

use super::certificates::CA_FILE;

/// The file in the data directory.
const FILE: &str = "demo.json";

/// What `demo.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the program that wrote it.
    pub version: String,
    /// The FHIR base.
    pub fhir_base: String,
    /// The issuer.
    pub issuer: String,
    /// The demo app.
    pub app_url: String,
    /// The certificate of the local CA.
    pub ca_pem: String,
    /// Who can sign in.
    pub users: Vec<DemoUser>,
    /// The registered clients.
    pub clients: Vec<DemoClient>,
    /// The ids of the patients.
    pub patients: Vec<String>,
}

/// A user of the demo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoUser {
    /// The name to sign in with.
    pub username: String,
    /// The password.
    pub password: String,
    /// The FHIR resource that is this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// The roles.
    pub roles: Vec<String>,
}

/// A client of the demo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoClient {
    /// Its id.
    pub client_id: String,
    /// How it authenticates.
    pub kind: String,
    /// Its secret, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The file with its private JWK Set, where it signs with a key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_private_file: Option<String>,
    /// Where the browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Where an EHR opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub launch_urls: Vec<String>,
    /// What it may ask for.
    pub scope: String,
}

/// The addresses of a demo on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    port: u16,
}

impl Addresses {
    /// The server listens on this port, the app on the next one.
    pub fn of(port: u16) -> Self {
        Self { port }
    }

    /// The server's port.
    pub fn port(self) -> u16 {
        self.port
    }

    /// The app's port.
    pub fn app_port(self) -> u16 {
        self.port.saturating_add(1)
    }

    /// The issuer and origin of the server.
    pub fn issuer(self) -> String {
        format!("https://localhost:{}", self.port())
    }

    /// The origin of the app: another site than the server's, so that what browsers allow between sites is real.
    pub fn app(self) -> String {
        format!("https://127.0.0.1:{}", self.app_port())
    }

    /// Where the app's browser may be sent back to; the first one is what the app uses.
    pub fn redirect_uris(self) -> Vec<String> {
        vec![format!("{}/", self.app()), format!("{}/callback", self.app())]
    }
}

impl Description {
    /// Reads the file of a data directory.
    pub fn read(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(directory.join(FILE))?)?)
    }

    /// Writes the file.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        write_private(&directory.join(FILE), &pretty(self)?)
    }

    /// Whether everything in it holds at these addresses.
    pub fn is_at(&self, addresses: Addresses) -> bool {
        let mut moved = self.clone();
        moved.move_to(addresses);
        *self == moved
    }

    /// Changes what depends on the addresses.
    pub fn move_to(&mut self, addresses: Addresses) {
        self.version = env!("CARGO_PKG_VERSION").to_owned();
        self.issuer = addresses.issuer();
        self.fhir_base = format!("{}/fhir", self.issuer);
        self.app_url = addresses.app();
        self.ca_pem = CA_FILE.to_owned();
        for client in &mut self.clients {
            // A client that no browser is sent back to has none.
            if client.jwks_private_file.is_none() {
                client.redirect_uris = addresses.redirect_uris();
            }
            if client.client_id == super::APP_CLIENT {
                client.launch_urls = vec![format!("{}/launch", addresses.app())];
            }
        }
    }

    /// What the start page says about the demo.
    pub fn notice(&self) -> DemoNotice {
        let who = |user: &DemoUser| (user.username.clone(), user.roles.join(", "));
        DemoNotice { app_url: self.app_url.clone(), users: self.users.iter().map(who).collect() }
    }
}

/// A value as JSON for people.
pub fn pretty(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Replaces a file in one step; only its owner may read it.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    // One that an interrupted start has left could have another mode.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn description() -> Description {
        let user = DemoUser { username: "ana".into(), password: "secret".into(), fhir_user: None, roles: vec!["auditor".into()] };
        let client = DemoClient {
            client_id: "demo-app".into(),
            kind: "public".into(),
            client_secret: None,
            jwks_private_file: None,
            redirect_uris: Vec::new(),
            launch_urls: Vec::new(),
            scope: "openid".into(),
        };
        let mut description = Description {
            version: String::new(),
            fhir_base: String::new(),
            issuer: String::new(),
            app_url: String::new(),
            ca_pem: String::new(),
            users: vec![user],
            clients: vec![client],
            patients: vec!["pat-0001".into()],
        };
        description.move_to(Addresses::of(8443));
        description
    }

    #[test]
    fn the_file_is_private_and_has_no_members_of_what_is_not_built() {
        let folder = tempfile::tempdir().unwrap();
        description().write(folder.path()).unwrap();
        let path = folder.path().join("demo.json");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("null") && !text.contains("admin_url") && !text.contains("udap"), "{text}");
        assert_eq!(Description::read(folder.path()).unwrap(), description());
    }

    #[test]
    fn another_port_moves_every_address() {
        let mut moved = description();
        assert!(moved.is_at(Addresses::of(8443)) && !moved.is_at(Addresses::of(9000)));
        moved.move_to(Addresses::of(9000));
        assert!(!serde_json::to_string(&moved).unwrap().contains("844"));
        assert_eq!(moved.clients[0].redirect_uris, ["https://127.0.0.1:9001/", "https://127.0.0.1:9001/callback"]);
        assert_eq!((moved.issuer.as_str(), moved.fhir_base.as_str()), ("https://localhost:9000", "https://localhost:9000/fhir"));
    }
}
