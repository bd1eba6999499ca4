//! Launches: from an EHR, and standalone with a choice of patient and visit.

mod ehr;
mod standalone;

use portcullis_oauth::clients::ClientProperties;
use portcullis_oauth::users::Role;
use portcullis_testkit::app::{AtConsent, hidden, query_value};
use portcullis_testkit::server::PASSWORD;
use portcullis_testkit::{App, Reply};
use serde_json::Value;
use url::Url;

use crate::fhir::World;

/// Every scope that the app of these tests may ask for.
pub const SCOPE: &str =
    "openid fhirUser offline_access online_access launch launch/patient launch/encounter patient/*.rs user/*.rs";
/// Where an EHR opens it.
pub const LAUNCH_URL: &str = "https://127.0.0.1:9/launch";

/// A world with an app that can be launched and an EHR that launches it.
pub struct Ehr {
    pub world: World,
    pub app: App,
    pub ehr: App,
}

impl Ehr {
    pub async fn start() -> Self {
        Self::over(World::start().await).await
    }

    /// The same over a server that is set up otherwise.
    pub async fn over(world: World) -> Self {
        let app = world.server.add_app("launched", SCOPE, false).await;
        let properties = ClientProperties { launch_urls: vec![LAUNCH_URL.into()], ..ClientProperties::default() };
        world.server.set_properties("launched", properties).await;
        let ehr = world.server.add_app("ehr", "openid", true).await;
        world.server.set_properties("ehr", ClientProperties { launcher: true, ..ClientProperties::default() }).await;
        // Somebody else who treats Ann.
        world.server.add_user("nurse", &[Role::Clinician], Some("Practitioner/who"), &[]).await;
        Self { world, app, ehr }
    }

    /// The EHR asks for a launch of the app.
    pub async fn ask(&self, fields: &[(&str, &str)]) -> Reply {
        self.ehr.token_request_to("/oauth/launch", &[&[("app", "launched")], fields].concat()).await
    }

    /// The handle of a new launch.
    pub async fn handle(&self, fields: &[(&str, &str)]) -> String {
        let reply = self.ask(fields).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["launch"].as_str().unwrap().to_owned()
    }

    /// The app's request with the handle of a launch.
    pub fn query(&self, scope: &str, handle: &str) -> String {
        format!("{}&launch={handle}", self.app.authorization_query(scope))
    }

    /// The app comes with a handle; what the person sees first after signing in, or the answer to the app.
    pub async fn come(&self, scope: &str, handle: &str, username: &str) -> AtConsent {
        self.app.sign_in(&self.query(scope, handle), username, PASSWORD).await
    }

    /// The whole way: the token response.
    pub async fn tokens(&self, scope: &str, handle: &str, username: &str) -> Value {
        let at = self.come(scope, handle, username).await;
        assert_eq!(at.page.status, 200, "{} {}", at.page.header("location"), at.page.text());
        let scopes: Vec<&str> = scope.split(' ').collect();
        let back = self.app.consent(&at, &scopes, "allow").await;
        let code = query_value(&back, "code").unwrap_or_else(|| panic!("{} {}", back.header("location"), back.text()));
        self.app.exchange(&code).await.json()
    }
}

/// The error and its description that an app gets.
pub fn told(reply: &Reply) -> (String, String) {
    let value = |name| query_value(reply, name).unwrap_or_else(|| panic!("{} {}", reply.status, reply.text()));
    (value("error"), value("error_description"))
}

/// Sends a form of the consent screen's or a picker's.
pub async fn send(ehr: &Ehr, at: &AtConsent, more: &[(&str, &str)]) -> Reply {
    let (csrf, request) = (hidden(&at.page, "csrf"), hidden(&at.page, "request"));
    let fields = [&[("csrf", csrf.as_str()), ("request", request.as_str())], more].concat();
    ehr.app.client.post("/consent").header("cookie", &at.cookies).form(&fields).send().await
}

/// `launch` and `iss` of the URL that opens an app.
pub fn opened(location: &str) -> (String, String, String) {
    let url = Url::parse(location).unwrap();
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default();
    (location.split('?').next().unwrap().to_owned(), value("iss"), value("launch"))
}
