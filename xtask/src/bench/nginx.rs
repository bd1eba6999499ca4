//! nginx as the anchor: one worker that serves the same bytes as a static file over TLS.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::load_generator::Place;
use super::process::{Core, Server};

/// How long it may take to start.
const STARTING: Duration = Duration::from_secs(5);

/// Starts it with this body and the certificate of a demo.
pub fn start(folder: &Path, port: u16, body: &str, demo: &Path) -> Result<(Server, Place)> {
    let root = folder.join("nginx");
    fs::create_dir_all(&root)?;
    fs::write(root.join("patient.json"), body)?;
    let (root, tls) = (root.display(), demo.join("tls"));
    let tls = tls.display();
    let configuration = format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid {root}/pid;\nerror_log {root}/error.log;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nodelay on; default_type application/fhir+json; keepalive_requests 1000000000;\n\
         client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;\n\
         uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
         server {{ listen 127.0.0.1:{port} ssl; root {root}; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; }}\n\
         }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Core::Server.command(Path::new("/usr/sbin/nginx"));
    let mut server = Server::start("nginx", command.arg("-c").arg(&file), &folder.join("nginx.log"))?;
    let patience = Instant::now() + STARTING;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        server.check()?;
        ensure!(Instant::now() < patience, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((server, Place { url: format!("https://127.0.0.1:{port}/patient.json"), headers: Vec::new(), body_bytes: body.len() }))
}
