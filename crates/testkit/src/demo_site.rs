//! The demo app beside a server of a test, on an origin of its own, as a demo has it.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_server::demo_app::{AppSettings, DemoApp};
use portcullis_server::listener::{Limits, Listener, ReloadingCertificate, Shutdown, server_config};

use crate::server::certificate;

/// The id of its client; whoever starts it registers it.
pub const CLIENT_ID: &str = "demo-app";

/// A port that is held for the demo app: the server's start page names it before the app knows the server.
pub struct DemoSite {
    /// Its origin.
    pub url: String,
    listener: Listener,
    shutdown: Shutdown,
}

/// The demo app while it is served; it ends with its value.
pub struct ServedSite(Shutdown);

impl Drop for ServedSite {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl DemoSite {
    /// Takes a port.
    pub async fn bind() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, _): (Arc<ReloadingCertificate>, _) = certificate(folder.path());
        let config = server_config(Arc::clone(&certificate)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(address, config, certificate, Limits::default(), "https://localhost/").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_address().unwrap().port());
        Self { url, listener, shutdown: Shutdown::default() }
    }

    /// Serves the app of this server; it asks for this scope.
    pub fn serve(self, issuer: &str, scope: &str) -> ServedSite {
        let settings = AppSettings {
            url: self.url.clone(),
            issuer: issuer.to_owned(),
            fhir_base: format!("{issuer}/fhir"),
            client_id: CLIENT_ID.to_owned(),
            redirect_uri: format!("{}/callback", self.url),
            scope: scope.to_owned(),
        };
        tokio::spawn(self.listener.run(Arc::new(DemoApp::new(&settings)), self.shutdown.clone()));
        ServedSite(self.shutdown)
    }
}
