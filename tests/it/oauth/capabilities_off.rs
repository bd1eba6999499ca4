//! Every SMART capability that is switched off is gone from metadata and refused in use.
//!
//! The matrix is whole by the compiler: [`Switched::refuses`] has an arm for each capability. Those that do not hide each other share a server.

use portcullis_oauth::capabilities::{Capabilities, Capability};
use portcullis_oauth::clients::ClientProperties;
use portcullis_oauth::grant::SecretHash;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::launch::{ContextParameters, Launch};
use portcullis_server::context::{AuthorizationSettings, RegistrationPolicy, TokenKeys};
use portcullis_store::Clock as _;
use portcullis_store::registry::Change;
use portcullis_testkit::app::query_value;
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, ClientKey, Reply, TestServer};
use portcullis_verifies::verifies;
use serde_json::{Value, json};

use super::launch::{Ehr, LAUNCH_URL, SCOPE, told};
use crate::account::{Visitor, in_form};
use crate::fhir::World;

/// Capabilities that are switched off together.
const GROUPS: [&[Capability]; 4] = [
    &[
        Capability::LaunchEhr,
        Capability::AuthorizePost,
        Capability::ClientConfidentialAsymmetric,
        Capability::SsoOpenIdConnect,
        Capability::ContextStandaloneEncounter,
        Capability::PermissionOffline,
        Capability::PermissionV1,
    ],
    &[
        Capability::LaunchStandalone,
        Capability::ContextEhrEncounter,
        Capability::ContextBanner,
        Capability::ContextStyle,
        Capability::PermissionOnline,
        Capability::PermissionUser,
        Capability::PermissionV2,
    ],
    &[Capability::ClientPublic, Capability::ContextEhrPatient, Capability::ContextStandalonePatient],
    &[Capability::ClientConfidentialSymmetric, Capability::PermissionPatient],
];

/// A server with some capabilities switched off, an EHR, and an app that can still be connected.
struct Switched {
    ehr: Ehr,
    app: App,
    capabilities: Capabilities,
}

impl Switched {
    async fn off(group: &[Capability]) -> Self {
        let capabilities = Capabilities::without(group.iter().copied());
        let settings = AuthorizationSettings {
            capabilities,
            registration: RegistrationPolicy::Open,
            registrations_per_hour: 100,
            ..Default::default()
        };
        let ehr = Ehr::over(World::over(TestServer::start_with(settings).await).await).await;
        let app = match capabilities.has(Capability::ClientPublic) {
            true => ehr.app.clone(),
            false => ehr.world.server.add_app("secret", SCOPE, true).await,
        };
        let properties = ClientProperties { launch_urls: vec![LAUNCH_URL.into()], ..ClientProperties::default() };
        ehr.world.server.set_properties(&app.client_id, properties).await;
        Self { ehr, app, capabilities }
    }

    /// What an app is told that asks by GET, before anybody signs in.
    async fn answer(&self, app: &App, scope: &str, more: &str) -> (String, String) {
        let query = app.authorization_query(scope);
        told(&self.ehr.world.server.client.get(&format!("/oauth/authorize?{query}{more}")).send().await)
    }

    /// Tokens of the app for a scope, opened in the way that is on: by itself, or from the EHR.
    async fn tokens(&self, scope: &str) -> Value {
        if self.capabilities.has(Capability::LaunchStandalone) {
            let username = if scope.contains("user/") { "who" } else { "ann" };
            return self.app.authorize(scope, username, PASSWORD).await;
        }
        self.launched(scope, ContextParameters::default()).await
    }

    /// Tokens of the app with a launch that was made before anything was switched off.
    async fn launched(&self, scope: &str, context: ContextParameters) -> Value {
        let server = &self.ehr.world.server;
        let now = server.clock.now_seconds();
        let handle = format!("handle-{now}");
        let launch = Launch {
            hash: SecretHash::of(&handle),
            client: ClientId::parse(&self.app.client_id).unwrap(),
            user: None,
            patient: portcullis_fhir::types::LogicalId::parse("ann"),
            context,
            created_at: now,
            expires_at: now + 60,
        };
        server.change(Change::AddLaunch(Box::new(launch))).await;
        let scope = format!("launch {scope}");
        let query = format!("{}&launch={handle}", self.app.authorization_query(&scope));
        let at = self.app.sign_in(&query, "who", PASSWORD).await;
        assert_eq!(at.page.status, 200, "{} {}", at.page.header("location"), at.page.text());
        let back = self.app.consent(&at, &scope.split(' ').collect::<Vec<_>>(), "allow").await;
        self.app.exchange(&query_value(&back, "code").unwrap()).await.json()
    }

    /// Asserts that the EHR cannot have a launch made with this.
    async fn launches_without(&self, capability: Capability, fields: &[(&str, &str)]) {
        let reply = self.ehr.ask(fields).await;
        assert_eq!(error(&reply), (400, "invalid_request".into(), capability.refusal().into()), "{fields:?}");
    }

    /// Asserts that a client of this kind is let in at neither endpoint, and registers itself at none.
    async fn authenticates_without(&self, capability: Capability, app: &App, reply: Reply, method: &str) {
        assert_eq!(error(&reply), (401, "invalid_client".into(), capability.refusal().into()));
        let asked = self.answer(app, "launch/patient patient/*.rs", "").await;
        assert_eq!(asked, ("unauthorized_client".into(), capability.refusal().into()));
        let metadata = json!({"client_name": "New", "redirect_uris": ["https://new.example/cb"],
            "scope": "launch/patient patient/*.rs", "token_endpoint_auth_method": method,
            "jwks": (method == "private_key_jwt").then(|| ClientKey::generate("k1", "ES384").jwks())});
        let client = &self.ehr.world.server.client;
        let request = client.post("/oauth/register").header("content-type", "application/json");
        let reply = request.bytes(metadata.to_string()).send().await;
        assert_eq!(error(&reply), (400, "invalid_client_metadata".into(), capability.refusal().into()));
    }

    async fn opens_no_app_from_a_chart(&self) {
        let mut clinician = Visitor::new(&self.ehr.world);
        clinician.sign_in("who").await;
        let csrf = in_form(&clinician.get("/ehr").await, "/ehr", "csrf");
        let chart = clinician.post("/ehr", &[("csrf", &csrf), ("patient", "ann"), ("decision", "continue")]).await;
        assert!(chart.text().contains("Test Ann") && !chart.text().contains("launched 0"), "{}", chart.text());
        let opened = clinician.post("/ehr", &[("csrf", &csrf), ("patient", "ann"), ("app", "launched 0")]).await;
        assert_eq!(opened.status, 404, "{}", opened.header("location"));
    }

    async fn tells_nobody_who_it_is(&self) {
        let tokens = self.tokens("openid fhirUser launch/patient patient/*.rs").await;
        assert_eq!(tokens["scope"], "launch/patient patient/*.rs");
        assert!(tokens.get("id_token").is_none(), "{tokens}");
        assert_eq!(self.ehr.world.server.client.get("/.well-known/openid-configuration").send().await.status, 404);
    }

    /// Asserts that a capability is refused in use.
    async fn refuses(&self, capability: Capability) {
        let (server, off) = (&self.ehr.world.server, capability.refusal().to_owned());
        match capability {
            Capability::LaunchEhr => {
                let asked = self.answer(&self.app, "launch patient/*.rs", "&launch=x").await;
                assert_eq!(asked, ("invalid_request".into(), off));
                self.launches_without(capability, &[("patient", "ann")]).await;
                self.opens_no_app_from_a_chart().await;
            }
            Capability::LaunchStandalone => {
                let asked = self.answer(&self.app, "launch/patient patient/*.read", "").await;
                assert_eq!(asked, ("invalid_request".into(), off));
            }
            Capability::AuthorizePost => {
                let reply = server.client.post("/oauth/authorize").form(&[("client_id", "launched")]).send().await;
                assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "GET, HEAD"));
            }
            Capability::ClientPublic => {
                let reply = self.ehr.app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
                self.authenticates_without(capability, &self.ehr.app, reply, "none").await;
            }
            Capability::ClientConfidentialSymmetric => {
                let app = server.add_app("secret", SCOPE, true).await;
                let reply = app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
                self.authenticates_without(capability, &app, reply, "client_secret_basic").await;
            }
            Capability::ClientConfidentialAsymmetric => {
                let (app, signer) = server.add_signing_app("signing", SCOPE, ClientKey::generate("k1", "ES384")).await;
                let assertion = signer.assertion(server.clock.now_seconds(), "signing");
                let reply = signer.request(&assertion, "system/*.rs").await;
                self.authenticates_without(capability, &app, reply, "private_key_jwt").await;
            }
            Capability::SsoOpenIdConnect => self.tells_nobody_who_it_is().await,
            Capability::ContextBanner => {
                self.launches_without(capability, &[("need_patient_banner", "false")]).await;
                let context = ContextParameters { need_patient_banner: Some(false), ..Default::default() };
                assert!(self.launched("patient/*.read", context).await.get("need_patient_banner").is_none());
            }
            Capability::ContextStyle => {
                self.launches_without(capability, &[("smart_style_url", "https://ehr.example/style.json")]).await;
                assert!(self.tokens("patient/*.read").await.get("smart_style_url").is_none());
            }
            Capability::ContextEhrPatient => {
                self.launches_without(capability, &[("patient", "ann")]).await;
                let tokens = self.launched("user/*.rs", ContextParameters::default()).await;
                assert_eq!((tokens.get("patient"), &tokens["scope"]), (None, &json!("launch user/*.rs")));
            }
            Capability::ContextEhrEncounter => {
                self.launches_without(capability, &[("patient", "ann"), ("encounter", "enc-ann")]).await;
                let encounter = portcullis_fhir::types::LogicalId::parse("enc-ann");
                let context = ContextParameters { encounter, ..Default::default() };
                assert!(self.launched("patient/*.read", context).await.get("encounter").is_none());
            }
            Capability::ContextStandalonePatient => {
                let tokens = self.tokens("launch/patient patient/*.rs user/*.rs").await;
                assert_eq!((tokens.get("patient"), &tokens["scope"]), (None, &json!("user/*.rs")));
            }
            Capability::ContextStandaloneEncounter => {
                let tokens = self.tokens("launch/encounter patient/*.rs").await;
                assert_eq!((tokens.get("encounter"), &tokens["scope"]), (None, &json!("patient/*.rs")));
            }
            Capability::PermissionOffline => self.leaves_out("offline_access", "launch/patient patient/*.rs").await,
            Capability::PermissionOnline => self.leaves_out("online_access", "patient/*.read").await,
            Capability::PermissionPatient => self.leaves_out("patient/*.rs", "user/*.rs").await,
            Capability::PermissionUser => self.leaves_out("user/*.read", "patient/*.read").await,
            Capability::PermissionV1 => self.leaves_out("patient/Patient.read", "launch/patient patient/*.rs").await,
            Capability::SmartAppState => panic!("it is off by default; tests/it/oauth/app_state.rs"),
            Capability::PermissionV2 => self.leaves_out("patient/Patient.rs", "patient/*.read").await,
        }
    }

    /// Asserts that one scope is left out, and what is left is granted without a refresh token.
    async fn leaves_out(&self, one: &str, left: &str) {
        let tokens = self.tokens(&format!("{one} {left}")).await;
        let granted = tokens["scope"].as_str().unwrap();
        assert_eq!(granted.strip_prefix("launch ").unwrap_or(granted), left);
        assert!(tokens.get("refresh_token").is_none(), "{tokens}");
    }
}

fn error(reply: &Reply) -> (u16, String, String) {
    let text = |name: &str| reply.json()[name].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("error"), text("error_description"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_switched_off_is_neither_published_nor_usable() {
    verifies!("SMART-05");
    // What is off by default is tried in `app_state`.
    for capability in Capability::ALL.into_iter().filter(|capability| !capability.is_optional()) {
        assert_eq!(GROUPS.iter().filter(|group| group.contains(&capability)).count(), 1, "{}", capability.as_str());
    }
    for group in GROUPS {
        let switched = Switched::off(group).await;
        let client = &switched.ehr.world.server.client;
        let document = client.get("/fhir/.well-known/smart-configuration").send().await.json();
        let on = Capability::ALL.into_iter().filter(|capability| !capability.is_optional() && !group.contains(capability));
        let on: Vec<&str> = on.map(Capability::as_str).collect();
        assert_eq!(document["capabilities"], json!(on));
        assert_eq!(document.get("issuer").is_none(), group.contains(&Capability::SsoOpenIdConnect));
        for capability in group {
            // The refusals of earlier proofs are none of this one's.
            switched.ehr.world.server.clock.advance_seconds(1);
            switched.refuses(*capability).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_granted_before_is_not_refreshed_with_what_is_off() {
    let before = Ehr::start().await;
    let refreshed = |token: String, off: &'static [Capability]| {
        let registry = std::sync::Arc::clone(&before.world.server.server.registry);
        let change = move |server: &mut portcullis_server::context::Server| {
            server.registry = registry;
            // Servers of tests draw the same bytes, which would be the same refresh token twice.
            server.entropy = std::sync::Arc::new(portcullis_server::context::SystemEntropy);
            server.settings.authorization.capabilities = Capabilities::without(off.iter().copied());
        };
        let app = before.app.clone();
        async move {
            let after = TestServer::start_changed(change).await;
            let app = App { client: after.client.clone(), ..app };
            app.token_request(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).await
        }
    };
    let tokens = before.app.authorize("openid launch/patient patient/*.rs offline_access", "ann", PASSWORD).await;
    let token = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    let next = refreshed(token(&tokens), &[Capability::SsoOpenIdConnect]).await.json();
    assert_eq!(next["scope"], "launch/patient patient/*.rs offline_access", "{next}");
    assert!(next.get("id_token").is_none());
    let reply = refreshed(token(&next), &[Capability::PermissionPatient, Capability::PermissionOffline]).await;
    assert_eq!(error(&reply), (400, "invalid_grant".into(), Capability::PermissionOffline.refusal().into()));
    let reply = refreshed(token(&next), &[Capability::ClientPublic]).await;
    assert_eq!(error(&reply), (401, "invalid_client".into(), Capability::ClientPublic.refusal().into()));
    assert_eq!(refreshed(token(&next), &[]).await.status, 200, "a refusal ends no family");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_into_context_by_way_of_something_that_is_off_is_so_no_more() {
    let before = Ehr::start().await;
    let resource_server = before.world.server.add_app("resource-server", "openid", true).await;
    before.world.server.change_client("resource-server", |client| client.properties.resource_server = true).await;
    // One and the same registry, store and keys, of a server with something off.
    let after = async |off: &'static [Capability]| {
        let server = &before.world.server.server;
        let (registry, store) = (std::sync::Arc::clone(&server.registry), std::sync::Arc::clone(&server.store));
        let now = server.clock.now_seconds();
        let keys = TokenKeys::of((**server.keys.at(now).ring()).clone(), now).unwrap();
        let url = server.settings.public_url.clone();
        TestServer::start_changed(move |server| {
            (server.registry, server.store, server.keys) = (registry, store, keys);
            server.entropy = std::sync::Arc::new(portcullis_server::context::SystemEntropy);
            server.settings.fhir_base = format!("{url}/fhir");
            server.settings.public_url = url;
            server.settings.authorization.capabilities = Capabilities::without(off.iter().copied());
        })
        .await
    };
    let chosen = "launch/patient launch/encounter user/Patient.rs patient/Observation.rs offline_access";
    let launched = "launch user/Patient.rs patient/Observation.rs offline_access";
    for (scope, off, gone, left) in [
        (chosen, &[Capability::ContextStandalonePatient][..], &["patient", "encounter"][..], "user/Patient.rs offline_access"),
        (
            chosen,
            &[Capability::ContextStandaloneEncounter],
            &["encounter"],
            "launch/patient user/Patient.rs patient/Observation.rs offline_access",
        ),
        (chosen, &[Capability::ContextEhrPatient, Capability::ContextEhrEncounter], &[], chosen),
        (launched, &[Capability::ContextEhrPatient], &["patient", "encounter"], "launch user/Patient.rs offline_access"),
        (launched, &[Capability::ContextEhrEncounter], &["encounter"], launched),
        (launched, &[Capability::ContextStandalonePatient, Capability::ContextStandaloneEncounter], &[], launched),
    ] {
        let tokens = match scope == chosen {
            true => before.app.authorize(scope, "ann", PASSWORD).await,
            false => {
                let handle = before.handle(&[("patient", "ann"), ("encounter", "enc-ann")]).await;
                before.tokens(scope, &handle, "who").await
            }
        };
        assert_eq!((&tokens["patient"], &tokens["encounter"]), (&json!("ann"), &json!("enc-ann")), "{tokens}");
        let after = after(off).await;
        let introspecting = App { client: after.client.clone(), ..resource_server.clone() };
        let access = tokens["access_token"].as_str().unwrap();
        let told = introspecting.token_request_to("/oauth/introspect", &[("token", access)]).await.json();
        assert_eq!(told["active"], true, "{told}");
        // Where no way is left by which the patient of an access token can have come into context, it opens no patient's record either.
        let read = after.client.get("/fhir/Observation/obs-ann-1").bearer(access).send().await.status.as_u16();
        assert_eq!(read, if off == [Capability::ContextStandalonePatient] { 403 } else { 200 }, "{off:?}");
        let app = App { client: after.client.clone(), ..before.app.clone() };
        let fields = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
        let next = app.token_request(&fields).await.json();
        assert_eq!(next["scope"], left, "{off:?}: {next}");
        for (name, document) in ["patient", "encounter"].into_iter().flat_map(|name| [(name, &next), (name, &told)]) {
            assert_eq!(document.get(name).is_none(), gone.contains(&name), "{name} without {off:?}: {document}");
        }
    }
}
