//! `POST /oauth/launch`: an EHR has a launch made for an app, and gets the URL that opens the app.
//!
//! SMART App Launch 2.2.0, "Launch App: EHR Launch". The EHR is a confidential client that is registered as a launcher. Nothing that is stored about
//! the context is asked here, so an EHR learns nothing: whether the person may see it is decided when the app comes with the launch.

use http::{StatusCode, header};
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use portcullis_oauth::capabilities::{Capabilities, Capability};
use portcullis_oauth::client_request::ClientRequest;
use portcullis_oauth::clients::{Client, GrantType};
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::launch::{ContextParameters, LAUNCH_LIFETIME_SECONDS, Launch, LaunchRequest, NO_SUCH_APP, launch_location};
use portcullis_oauth::scopes::ScopeKind;
use portcullis_oauth::token_error::TokenError;
use portcullis_oauth::token_request::{AuthenticatedClient, ClientCredentials};
use portcullis_store::registry::Change;
use serde_json::json;

use super::client_endpoint::{ClientEndpoint, Proposal, Refusal};
use crate::answer::Draft;
use crate::authorization_server::reply::Account;
use crate::context::{Borrowed, Server};
use crate::resource_server::Exchange;

/// What an app is opened with.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The person that it is for.
    pub user: Option<UserId>,
    /// The patient in context.
    pub patient: Option<LogicalId>,
    /// The other context parameters.
    pub context: ContextParameters,
}

/// Whether an EHR can open an app: it has a launch URL, and may ask for what comes with it. A sandbox client is opened from no chart.
pub fn is_launchable(app: &Client) -> bool {
    let is_sandbox = app.properties.owner.is_some();
    !is_sandbox
        && !app.properties.launch_urls.is_empty()
        && app.scope.has(ScopeKind::Launch)
        && app.may_use(GrantType::AuthorizationCode)
}

/// A new launch of an app, and its handle.
pub fn new_launch(server: &Server, app: &Client, contents: Contents) -> (Secret<String>, Box<Launch>) {
    let now = server.clock.now_seconds();
    let (handle, hash) = SecretHash::generate(&mut Borrowed(&*server.entropy));
    let Contents { user, patient, context } = contents;
    let expires_at = now + LAUNCH_LIFETIME_SECONDS;
    (handle, Box::new(Launch { hash, client: app.id.clone(), user, patient, context, created_at: now, expires_at }))
}

/// Refuses what an EHR asks for that is switched off.
fn check_on(capabilities: Capabilities, request: &LaunchRequest) -> Result<(), TokenError> {
    let used = [
        (Capability::LaunchEhr, true),
        (Capability::ContextEhrPatient, request.patient.is_some()),
        (Capability::ContextEhrEncounter, request.context.encounter.is_some()),
        (Capability::ContextBanner, request.context.need_patient_banner.is_some()),
        (Capability::ContextStyle, request.context.smart_style_url.is_some()),
    ];
    let mut used = used.into_iter().filter(|(_, is_used)| *is_used);
    used.try_for_each(|(capability, _)| capabilities.check(capability)).map_err(TokenError::InvalidRequest)
}

/// `POST /oauth/launch`
#[derive(Debug)]
pub struct LaunchEndpoint;

impl ClientEndpoint for LaunchEndpoint {
    type Request = LaunchRequest;

    const EVENT: Event = Event::Page;

    fn parse(request: &ClientRequest<'_>) -> Result<(ClientCredentials, LaunchRequest), TokenError> {
        LaunchRequest::parse(request)
    }

    async fn decide(
        server: &Server,
        exchange: &Exchange,
        client: &AuthenticatedClient,
        request: LaunchRequest,
    ) -> Result<Proposal, Refusal> {
        if !client.client().properties.launcher {
            return Err(TokenError::UnauthorizedClient("this client is not registered as a launcher").into());
        }
        check_on(server.settings.authorization.capabilities, &request)?;
        let app = server.registry.client(&request.app).await?.filter(is_launchable).ok_or(NO_SUCH_APP)?;
        let urls = &app.properties.launch_urls;
        let url = match &request.launch_url {
            Some(wanted) => urls.iter().find(|url| *url == wanted),
            None => urls.first(),
        };
        let url = url.ok_or(TokenError::InvalidRequest("launch_url must be one that the app has registered"))?;
        let user = match &request.user {
            Some(name) => {
                let found = server.registry.user_named(name).await?;
                Some(found.ok_or(TokenError::InvalidRequest("user must be the name with which a person signs in here"))?.id)
            }
            None => None,
        };
        let contents = Contents { user: user.clone(), patient: request.patient.clone(), context: request.context };
        let (handle, launch) = new_launch(server, &app, contents);
        let answer = json!({
            "launch": handle.expose(),
            "launch_url": launch_location(url, &server.settings.fhir_base, handle.expose()),
            "expires_in": LAUNCH_LIFETIME_SECONDS,
        });
        let draft = Draft::new(StatusCode::CREATED).body("application/json", answer.to_string()).with(header::PRAGMA, "no-cache");
        let agent = Agent {
            client: Some(client.id().as_str().to_owned()),
            user: user.map(|user| user.as_str().to_owned()),
            ..exchange.agent()
        };
        let account =
            Account::new(Event::Page, agent, Outcome::Success, format!("launch of {} made", app.id)).about(request.patient);
        Ok(Proposal { change: Change::AddLaunch(launch), account, draft, overtaken: None })
    }
}
