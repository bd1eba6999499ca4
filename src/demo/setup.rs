//! The first start: data through the same import as any other, then people and clients. Interrupted, it goes on at the next start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_generator::{DEMO_SEED, Options, generate, people};
use portcullis_jose::ClientKeyPair;
use portcullis_server::admin::protocol::{
    Hidden, ImportBatch, ImportResource, NewClient, NewClientKeys, NewUser, RefusalKind, Request, Response,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::description::{Addresses, DemoClient, Description, pretty, write_private};
use super::people::{Person, everybody};
use crate::commands::channel::{Channel, refused, unexpected};
use crate::failure::{Failure, OrFail, Outcome};
use crate::terminal::Progress;

/// The client id of the demo app.
pub const APP_CLIENT: &str = "demo-app";
/// What the demo app asks for: single scopes, so that each can be refused on the consent screen.
pub const APP_SCOPE: &str = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/ExplanationOfBenefit.rs patient/Coverage.rs \
                             patient/Observation.rs patient/Encounter.rs patient/Organization.rs patient/Practitioner.rs";
/// What the demo app may ask for at most.
const APP_REGISTERED: &str = "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.rs";
/// The client with a secret.
pub const CONFIDENTIAL_CLIENT: &str = "demo-confidential";
/// What the program behind the greeting's curl gets, in the first patient's name.
pub const CURL_SCOPE: &str = "launch/patient openid fhirUser offline_access patient/*.rs";
/// What the client with a secret may ask for at most.
const CONFIDENTIAL_REGISTERED: &str =
    "launch/patient openid fhirUser offline_access patient/*.cruds user/*.cruds user/AuditEvent.rs";
/// The client that signs with a key of its own and acts for itself.
pub const BACKEND_CLIENT: &str = "demo-backend";
/// What it may do.
const BACKEND_REGISTERED: &str = "system/*.cruds";
/// Its private JWK Set.
const BACKEND_KEYS: &str = "demo-backend.private.jwks.json";
/// Resources in one batch.
const BATCH: usize = 256;
/// Batches that are generated ahead, and that are sent and not answered yet.
const AHEAD: usize = 3;
/// What an unfinished first start remembers.
const FILE: &str = "demo.unfinished.json";

/// What a first start has decided and how far it got.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    patients: u32,
    as_of: String,
    /// Resources that are stored.
    loaded: u64,
    display_names: Vec<String>,
    acts_for: Vec<Vec<String>>,
    /// What `demo.json` will say, but for the secrets of clients.
    description: Description,
    #[serde(skip)]
    path: PathBuf,
}

impl Plan {
    /// A new plan for an empty directory, written down before anything else happens.
    pub fn new(directory: &Path, addresses: Addresses, patients: u32) -> Outcome<Self> {
        let as_of = crate::commands::generate::today()?;
        let options = Options { patients, seed: DEMO_SEED, as_of };
        let everybody = everybody(&options);
        let mut description = Description {
            version: String::new(),
            fhir_base: String::new(),
            issuer: String::new(),
            app_url: String::new(),
            ca_pem: String::new(),
            users: everybody.iter().map(|person| person.user.clone()).collect(),
            clients: clients(),
            patients: people(&options).into_iter().map(|person| person.patient_id).collect(),
        };
        description.move_to(addresses);
        let (display_names, acts_for) =
            everybody.into_iter().map(|Person { display_name, patients, .. }| (display_name, patients)).unzip();
        let plan = Self {
            patients,
            as_of: as_of.to_string(),
            loaded: 0,
            display_names,
            acts_for,
            description,
            path: directory.join(FILE),
        };
        plan.write()?;
        Ok(plan)
    }

    /// The plan of an interrupted first start.
    pub fn interrupted(directory: &Path, addresses: Addresses) -> Outcome<Option<Self>> {
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).or_fail(&format!("{} cannot be read", path.display())),
        };
        let mut plan: Self = serde_json::from_slice(&bytes)
            .or_fail(&format!("{} cannot be read", path.display()))
            .map_err(|failure| failure.advise("Choose another directory with --data-dir, or remove this one and start again."))?;
        plan.path = path;
        plan.description.move_to(addresses);
        Ok(Some(plan))
    }

    /// What the demo will be.
    pub fn description(&self) -> &Description {
        &self.description
    }

    fn write(&self) -> Outcome {
        let written = pretty(self).and_then(|bytes| write_private(&self.path, &bytes));
        written.or_fail(&format!("{} cannot be written", self.path.display()))
    }

    fn options(&self) -> Outcome<Options> {
        let as_of = self.as_of.parse().map_err(|_| Failure::failed(format!("{} holds no usable date", self.path.display())))?;
        Ok(Options { patients: self.patients, seed: DEMO_SEED, as_of })
    }
}

/// The clients, still without secrets.
fn clients() -> Vec<DemoClient> {
    let client = |id: &str, kind: &str, scope: &str| DemoClient {
        client_id: id.to_owned(),
        kind: kind.to_owned(),
        client_secret: None,
        jwks_private_file: None,
        redirect_uris: Vec::new(),
        launch_urls: Vec::new(),
        scope: scope.to_owned(),
    };
    let backend = client(BACKEND_CLIENT, "confidential-asymmetric", BACKEND_REGISTERED);
    vec![
        client(APP_CLIENT, "public", APP_REGISTERED),
        client(CONFIDENTIAL_CLIENT, "confidential-symmetric", CONFIDENTIAL_REGISTERED),
        DemoClient { jwks_private_file: Some(BACKEND_KEYS.to_owned()), ..backend },
    ]
}

/// Does what is left of a first start, and writes `demo.json` at its end.
pub async fn complete(channel: &mut Channel, mut plan: Plan, directory: &Path) -> Outcome {
    load(channel, &mut plan).await?;
    add_users(channel, &plan).await?;
    let mut description = plan.description.clone();
    for client in &mut description.clients {
        client.client_secret = add_client(channel, client, directory).await?;
    }
    description.write(directory).or_fail("demo.json cannot be written")?;
    fs::remove_file(&plan.path).or_fail(&format!("{} cannot be removed", plan.path.display()))
}

async fn load(channel: &mut Channel, plan: &mut Plan) -> Outcome {
    let options = plan.options()?;
    let progress = Progress::things(Some(u64::from(options.patients)));
    progress.message("synthetic patients".to_owned());
    let (sender, mut batches) = mpsc::channel(AHEAD);
    let skip = usize::try_from(plan.loaded).or_fail("The plan counts too many resources")?;
    let generating =
        std::thread::Builder::new().name("generator".into()).spawn(move || generate_batches(&options, skip, &sender));
    generating.or_fail("Cannot start a thread")?;
    let mut waiting = std::collections::VecDeque::new();
    let mut sent = plan.loaded;
    loop {
        tokio::select! {
            response = channel.receive(), if !waiting.is_empty() => {
                let (patients, count): (u64, u64) = waiting.pop_front().unwrap_or_default();
                stored(response?)?;
                plan.loaded += count;
                plan.write()?;
                progress.set(patients);
            }
            Some((patients, resources)) = batches.recv(), if waiting.len() < AHEAD => {
                let count = u64::try_from(resources.len()).unwrap_or(u64::MAX);
                let batch = ImportBatch { source: "synthetic data of the demo".to_owned(), first: sent, resources };
                channel.send(Request::Import(batch)).await?;
                sent += count;
                waiting.push_back((patients, count));
            }
            else => break,
        }
    }
    progress.clear();
    Ok(())
}

/// Batches of resources, each with the number of patients whose data has begun.
fn generate_batches(options: &Options, skip: usize, sender: &mpsc::Sender<(u64, Vec<ImportResource>)>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut patients = 0;
    for (number, resource) in generate(options).enumerate() {
        patients += u64::from(resource.resource_type == "Patient");
        if number < skip {
            continue;
        }
        // The generator writes valid JSON; were it otherwise, the import would miss a resource and the test of the demo would say so.
        let Ok(raw) = RawValue::from_string(resource.json) else { continue };
        batch.push(ImportResource { id: None, resource: raw });
        if batch.len() == BATCH
            && sender.blocking_send((patients, std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))).is_err()
        {
            return;
        }
    }
    if !batch.is_empty() {
        // Nobody listens any more when the start has failed.
        let _ = sender.blocking_send((patients, batch));
    }
}

fn stored(response: Response) -> Outcome {
    match response {
        Response::Imported(report) => match report.refused.first().and_then(|refused| refused.reasons.first()) {
            None => Ok(()),
            Some(reason) => {
                let place = reason.path.as_deref().unwrap_or("a synthetic resource");
                Err(Failure::failed(format!("The synthetic data was refused: {place}: {}", reason.message)))
            }
        },
        Response::Refused(reason) => Err(refused(reason)),
        _ => Err(unexpected()),
    }
}

async fn add_users(channel: &mut Channel, plan: &Plan) -> Outcome {
    let names = plan.display_names.iter().zip(&plan.acts_for);
    for (user, (display_name, patients)) in plan.description.users.iter().zip(names) {
        let new = NewUser {
            username: user.username.clone(),
            display_name: display_name.clone(),
            password: Hidden(user.password.clone()),
            roles: user.roles.clone(),
            fhir_user: user.fhir_user.clone(),
            patients: patients.clone(),
            contact: Default::default(),
        };
        channel.send(Request::AddUser(new)).await?;
        match channel.receive().await? {
            Response::UserAdded { .. } => {}
            // The interrupted start had added the user, with the password of the same plan.
            Response::Refused(reason) if reason.kind == RefusalKind::Conflict => {}
            Response::Refused(reason) => return Err(refused(reason)),
            _ => return Err(unexpected()),
        }
    }
    Ok(())
}

/// Registers a client and returns its secret. A key of its own is made here, and its private half written before the public one is registered.
async fn add_client(channel: &mut Channel, client: &DemoClient, directory: &Path) -> Outcome<Option<String>> {
    let keys = match &client.jwks_private_file {
        None => None,
        Some(file) => {
            let pair = ClientKeyPair::generate().or_fail("No key can be made")?;
            let path = directory.join(file);
            write_private(&path, pair.private().expose().as_bytes()).or_fail(&format!("{} cannot be written", path.display()))?;
            Some(NewClientKeys::Jwks(pair.public().to_string()))
        }
    };
    let name = match client.client_id.as_str() {
        APP_CLIENT => "Demo app",
        BACKEND_CLIENT => "Demo program without a user",
        _ => "Demo app with a secret",
    };
    let new = NewClient {
        id: Some(client.client_id.clone()),
        name: name.to_owned(),
        confidential: client.kind == "confidential-symmetric",
        keys,
        redirect_uris: client.redirect_uris.clone(),
        scope: client.scope.clone(),
        properties: if client.launch_urls.is_empty() {
            Default::default()
        } else {
            [("launch_urls".to_owned(), client.launch_urls.clone().into())].into_iter().collect()
        },
    };
    channel.send(Request::AddClient(new.clone())).await?;
    let mut response = channel.receive().await?;
    if matches!(&response, Response::Refused(reason) if reason.kind == RefusalKind::Conflict) {
        // The interrupted start had registered it, and its secret is lost.
        channel.call(Request::RemoveClient { id: client.client_id.clone() }).await?;
        response = channel.call(Request::AddClient(new)).await?;
    }
    match response {
        Response::ClientAdded { secret, .. } => Ok(secret.map(|secret| secret.0)),
        Response::Refused(reason) => Err(refused(reason)),
        _ => Err(unexpected()),
    }
}
