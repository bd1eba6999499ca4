//! `portcullis demo`: makes or reuses a data directory, says how to use it, and serves it on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use portcullis_backends::sqlite::RootKey;
use portcullis_backends::{DataDirectory, DirectoryError};
use portcullis_server::admin::Service;
use portcullis_server::context::AuthorizationSettings;
use portcullis_server::demo_app::{AppSettings, DemoApp};
use portcullis_server::listener::Limits;
use portcullis_store::{Clock, SystemClock};

use super::channel::{Channel, refused};
use super::place::{held, root_key, runtime};
use crate::application::{Instance, Listen, Setup, account, check_addresses, serve};
use crate::args;
use crate::config::Developers;
use crate::demo::{
    APP_CLIENT, APP_SCOPE, Addresses, CONFIDENTIAL_CLIENT, CURL_SCOPE, Description, Plan, complete, renew_if_needed,
};
use crate::failure::{Failure, OrFail, Outcome, causes};
use crate::terminal;

/// Runs the command. A taken port is found before anything is written.
pub fn run(arguments: &args::Demo) -> Outcome {
    let root = &arguments.data_dir;
    let addresses = Addresses::of(arguments.port);
    // A directory that is there is taken first, so that the demo that holds it is named rather than the port that it occupies.
    let existing = if DataDirectory::exists(root) { Some(directory(root)?) } else { None };
    check_addresses(&loopback(arguments.port))?;
    check_addresses(&[app_address(addresses)])?;
    let directory = existing.map_or_else(|| directory(root), Ok)?;
    let root_key = own_root_key(&directory)?;
    let (certificate, renewed) = renew_if_needed(root, SystemClock.now_seconds())?;
    let setup = |description: &Description| Setup {
        directory,
        root_key,
        public_url: addresses.issuer(),
        brand: crate::demo::brand(&addresses.issuer()),
        guides: crate::demo::guides(),
        language: Default::default(),
        authorization: AuthorizationSettings { developers: Developers::of_demo(), ..Default::default() },
        demo: Some(moved(description, addresses).notice()),
        outbound: Default::default(),
        mutual_tls_url: None,
        breached_passwords: None,
        federation: Vec::new(),
        mail: Default::default(),
        access: Default::default(),
        policy: Default::default(),
    };
    if let Some(plan) = plan(root, addresses, arguments.patients)? {
        let setup = setup(plan.description());
        runtime()?.block_on(async { first_start(Instance::open(setup).await?, plan, root).await })?;
        start_anew();
        return run(arguments);
    }
    let description = Description::read(root).or_fail(&format!("{} cannot be read", root.join("demo.json").display()))?;
    let setup = setup(&description);
    runtime()?.block_on(async {
        let (instance, description) = reuse(Instance::open(setup).await?, description, addresses, root).await?;
        let first_token = first_token(instance.service(), &description).await?;
        let listen = Listen {
            addresses: loopback(arguments.port),
            certificate,
            limits: Limits::default(),
            mutual_tls: None,
            app: Some(app(addresses)),
        };
        serve(instance, listen, || terminal::print(&greeting(root, &description, renewed, &first_token))).await
    })
}

/// Begins this program again, in the same process and with the same arguments. The memory that the data of a first start took is given back to the
/// system, and the server idles as small as after any later start. Returns where that cannot be done; then it goes on as it is.
fn start_anew() {
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else { return };
    let error = Command::new(program).arg0(name).args(arguments).exec();
    tracing::debug!(%error, "the program cannot be started anew");
}

fn directory(root: &Path) -> Outcome<DataDirectory> {
    let taken =
        if DataDirectory::exists(root) { DataDirectory::open(root, "demo") } else { DataDirectory::create(root, true, "demo") };
    let directory = taken.map_err(|error| match error {
        DirectoryError::HeldBy { pid, command } => {
            let at =
                Description::read(root).map(|description| format!("It runs at {}. ", description.issuer)).unwrap_or_default();
            held(root, pid, &command).advise(format!("{at}Stop it first, or choose another directory with --data-dir."))
        }
        DirectoryError::NotEmpty(_) => Failure::usage(causes(&error)).advise("Choose a new directory with --data-dir."),
        other => Failure::failed(causes(&other)),
    })?;
    if directory.is_demo() {
        return Ok(directory);
    }
    Err(Failure::usage(format!("{} belongs to a server with a configuration", root.display()))
        .advise("Choose another directory with --data-dir."))
}

/// The key beside the data: in a demo only.
fn own_root_key(directory: &DataDirectory) -> Outcome<RootKey> {
    let path = directory.root_key();
    if !path.exists() && !directory.database().exists() {
        let key = RootKey::generate().or_fail("No root key can be made")?;
        key.write_file(&path).or_fail(&format!("{} cannot be written", path.display()))?;
    }
    root_key(&path)
}

/// What is left of the first start; `None` where it is done.
fn plan(root: &Path, addresses: Addresses, patients: u32) -> Outcome<Option<Plan>> {
    if let Some(plan) = Plan::interrupted(root, addresses)? {
        return Ok(Some(plan));
    }
    if root.join("demo.json").exists() { Ok(None) } else { Plan::new(root, addresses, patients).map(Some) }
}

async fn first_start(instance: Instance, plan: Plan, root: &Path) -> Outcome {
    let mut channel = Channel::own(instance);
    let completed = complete(&mut channel, plan, root).await;
    channel.close().await?;
    completed.map_err(|failure| failure.advise("Start the demo again: it goes on where it stopped."))
}

/// A second start: only another port changes something.
async fn reuse(
    instance: Instance,
    description: Description,
    addresses: Addresses,
    root: &Path,
) -> Outcome<(Instance, Description)> {
    if description.is_at(addresses) {
        return Ok((instance, description));
    }
    let description = moved(&description, addresses);
    match move_clients(instance.service(), &description).await {
        Ok(()) => {
            description.write(root).or_fail("demo.json cannot be written")?;
            Ok((instance, description))
        }
        Err(failure) => {
            instance.close().await?;
            Err(failure)
        }
    }
}

async fn move_clients(service: &Service, description: &Description) -> Outcome {
    for client in &description.clients {
        service
            .move_client(&account(), &client.client_id, (&client.redirect_uris, &client.launch_urls))
            .await
            .map_err(refused)?;
    }
    Ok(())
}

fn moved(description: &Description, addresses: Addresses) -> Description {
    let mut moved = description.clone();
    moved.move_to(addresses);
    moved
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].map(|address| SocketAddr::new(address, port)).to_vec()
}

fn app(addresses: Addresses) -> (SocketAddr, DemoApp) {
    let issuer = addresses.issuer();
    let settings = AppSettings {
        url: addresses.app(),
        fhir_base: format!("{issuer}/fhir"),
        issuer,
        client_id: APP_CLIENT.to_owned(),
        redirect_uri: addresses.redirect_uris().swap_remove(0),
        scope: APP_SCOPE.to_owned(),
    };
    (app_address(addresses), DemoApp::new(&settings))
}

fn app_address(addresses: Addresses) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addresses.app_port())
}

/// The `curl` arguments that turn a grant of the first patient into an access token. The refresh token in it serves once; each start of the demo
/// makes a new one.
async fn first_token(service: &Service, description: &Description) -> Outcome<String> {
    let client = description.clients.iter().find(|client| client.client_id == CONFIDENTIAL_CLIENT);
    let secret = client.and_then(|client| client.client_secret.as_deref()).unwrap_or_default();
    let person = description.users.first().map(|user| user.username.as_str()).unwrap_or_default();
    let token = service.preapprove(&account(), CONFIDENTIAL_CLIENT, person, CURL_SCOPE).await.map_err(refused)?;
    Ok(format!("-u {CONFIDENTIAL_CLIENT}:{secret} \\\n    -d grant_type=refresh_token -d refresh_token={token}"))
}

fn greeting(root: &Path, description: &Description, renewed: bool, first_token: &str) -> String {
    let people: Vec<Vec<String>> = description
        .users
        .iter()
        .map(|user| vec![format!("  {}", user.username), user.password.clone(), user.roles.join(", ")])
        .collect();
    let ca = root.join(&description.ca_pem);
    let ca = ca.display();
    let trust = if renewed {
        "The certificate is new. Trust it in your browser:"
    } else {
        "Trust the certificate in your browser, if you have not:"
    };
    let command = if cfg!(target_os = "macos") {
        format!("security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {ca}")
    } else {
        format!("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n portcullis-demo -i {ca}")
    };
    let package = if cfg!(target_os = "linux") { "\n  (certutil comes with the Debian package libnss3-tools)" } else { "" };
    format!(
        "\
Portcullis {version}: a demo with synthetic data, reachable from this machine only.

  Start here  {issuer}
  FHIR        {fhir}
  Demo app    {app}

Sign in as
{people}
{trust}
  {command}{package}

A first token without a browser, in the name of {person} (serves once):
  curl --cacert {ca} {issuer}/oauth/token \\
    {first_token}

All of this, for programs, is in {json}.
Stop with Ctrl-C. The same command starts it again with the same data.
",
        version = description.version,
        issuer = description.issuer,
        fhir = description.fhir_base,
        app = description.app_url,
        person = description.users.first().map(|user| user.username.as_str()).unwrap_or_default(),
        people = terminal::table(&["  Name", "Password", "Role"], &people),
        json = root.join("demo.json").display(),
    )
}
