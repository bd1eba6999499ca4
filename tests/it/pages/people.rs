//! A server as a hospital might have it, with made-up people, so that pages are looked at with what they are made for.

use std::collections::BTreeMap;

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::LogicalId;
use portcullis_jose::Secret;
use portcullis_oauth::identifiers::UserId;
use portcullis_oauth::redirect_uri::RedirectUri;
use portcullis_oauth::users::{Role, User};
use portcullis_outbound::{MailSecurity, MailServer, Mailer, Sender, Trust};
use portcullis_server::context::DemoNotice;
use portcullis_server::mail::Mail;
use portcullis_store::federation::{FederationChange, LinkedIdentity};
use portcullis_store::registry::Change;
use portcullis_testkit::demo_site::{CLIENT_ID, ServedSite};
use portcullis_testkit::resources::{observation, organization, practitioner};
use portcullis_testkit::server::{PASSWORD, PASSWORD_HASH};
use portcullis_testkit::{App, DemoSite, ProviderServer, TestServer};
use serde_json::{Value, json};

use crate::fhir::World;

/// What the demo app asks for.
const DEMO_SCOPE: &str = "launch/patient openid fhirUser offline_access patient/*.rs";
/// What any app may ask for.
const SCOPE: &str =
    "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds user/*.cruds";

/// A logo: 32 by 32 pixels of one colour, in base64url.
const LOGO: &str = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAYAAABzenr0AAAAEHRFWHRDb21tZW50AHRyYWNraW5niuyeIwAAAC5JREFUeNrtziEBAAAIA7A7Or5_D4iBmZhf\
    pt1PERAQEBAQEBAQEBAQEBAQ-A4cAzToW9dFN6EAAAAASUVORK5CYII";

/// The server, its demo app, and whom it knows.
pub struct Hospital {
    pub world: World,
    /// An app whose maker the operator verified, with a logo.
    pub growth: App,
    /// An app that registered itself, at an address that looks like another.
    pub meals: App,
    pub app_url: String,
    _site: ServedSite,
    provider: ProviderServer,
}

impl Hospital {
    /// Everything that the pages show.
    pub async fn open() -> Self {
        let site = DemoSite::bind().await;
        let provider = ProviderServer::start().await;
        let named = |names: &[(&str, &str)]| names.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect();
        let users = named(&[
            ("maria", "Maria Lopez, a patient"),
            ("rosa", "Rosa Lopez, who acts for Theo and Ana Lopez"),
            ("amy", "Amy Chen, a clinician"),
            ("auditor", "Auditor"),
        ]);
        let demo = DemoNotice { app_url: site.url.clone(), users };
        let configured = portcullis_oauth::federation::Provider { name: "City ID".into(), ..provider.configured() };
        let server = TestServer::start_as_demo(&provider, configured, demo, |server| server.mail = mail()).await;
        server.import(&resources()).await;
        add_people(&server).await;
        let (app_url, issuer) = (site.url.clone(), server.server.settings.public_url.clone());
        let demo_app = server.add_app_with(CLIENT_ID, DEMO_SCOPE, |client| client.name = "Demo app".into()).await;
        server.set_redirect_uris(CLIENT_ID, &[&format!("{app_url}/callback")]).await;
        server.keys.publish_file(&portcullis_testkit::decode_base64url(LOGO));
        let (growth, meals) = (growth_app(&server).await, meals_app(&server).await);
        let site = site.serve(&issuer, DEMO_SCOPE);
        Self { world: World { server, app: demo_app }, growth, meals, app_url, _site: site, provider }
    }

    /// A page of this server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.server.server.settings.public_url)
    }

    /// Where an app sends a browser.
    pub fn asks(&self, app: &App, scope: &str) -> String {
        self.url(&format!("/oauth/authorize?{}", app.authorization_query(scope)))
    }

    /// What Maria decided and who looked: apps that she allowed, and requests that they and her doctor made.
    pub async fn things_happen(&self) {
        let server = &self.world.server;
        let read = async |token: &str, path: &str| {
            let reply = server.client.get(path).bearer(token).send().await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        };
        let own = self.growth.access_token("launch/patient patient/Observation.rs patient/Patient.r", "maria", PASSWORD).await;
        read(&own, "/fhir/Observation?patient=maria").await;
        read(&own, "/fhir/Patient/maria").await;
        server.clock.advance_seconds(3600 * 20);
        let doctor = self.growth.access_token("user/Observation.rs user/Encounter.rs", "amy", PASSWORD).await;
        read(&doctor, "/fhir/Observation?patient=maria").await;
        read(&doctor, "/fhir/Encounter?patient=maria").await;
        server.clock.advance_seconds(3600 * 3);
        self.meals.authorize("launch/patient patient/Patient.r", "maria", PASSWORD).await;
        server.move_outbox().await;
    }

    /// What Maria has said about her record: one rule holds, one of which an app wrote something else waits, and so does one that is new.
    pub async fn rules_are_made(&self) {
        let server = &self.world.server;
        let concept = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
        let role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP");
        let amy = json!({"role": role, "reference": {"reference": "Practitioner/amy"}});
        let purpose = |code: &str| json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code}]);
        let class = |name: &str| json!([{"system": "http://hl7.org/fhir/resource-types", "code": name}]);
        let consent = |own: &str, provision: Value| {
            json!({"resourceType": "Consent", "id": own, "status": "active", "dateTime": "2020-03-01",
                "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
                "category": [concept("http://loinc.org", "59284-0")], "patient": {"reference": "Patient/maria"},
                "policy": [{"uri": format!("https://example.org/{own}")}], "provision": provision})
        };
        let research = json!({"type": "permit", "provision": [{"type": "deny", "purpose": purpose("HMARKT")},
            {"type": "deny", "purpose": purpose("HRESCH"), "class": class("Claim")}]});
        let mut claims = consent("claims", json!({"type": "deny", "actor": [amy.clone()], "class": class("Claim")}));
        server.import(&[consent("advertising", research).to_string(), claims.to_string()]).await;
        let own = self.growth.access_token("launch/patient patient/*.cruds", "maria", PASSWORD).await;
        claims["status"] = "inactive".into();
        let ends =
            server.client.request(http::Method::PUT, "/fhir/Consent/claims").bearer(&own).fhir(claims.to_string()).send().await;
        assert_eq!(ends.status, 200, "{}", ends.text());
        let period = json!({"end": "2021-01-31"});
        let treats = consent("treats", json!({"type": "permit", "actor": [amy], "purpose": purpose("TREAT"), "period": period}));
        let new = server.client.post("/fhir/Consent").bearer(&own).fhir(treats.to_string()).send().await;
        assert_eq!(new.status, 201, "{}", new.text());
    }

    /// Somebody linked an account at the provider with the own one.
    pub async fn link_elsewhere(&self, username: &str) {
        let user = UserId::parse(&format!("user-{username}")).unwrap();
        let linked_at = self.world.server.server.clock.now_seconds();
        let (issuer, subject, linked_by) = (self.provider.issuer(), "maria.lopez@city.example".into(), user.to_string());
        let identity = LinkedIdentity { issuer, subject, user, linked_at, linked_by };
        self.world.server.change(Change::Federation(Box::new(FederationChange::Link(identity)))).await;
    }
}

async fn growth_app(server: &TestServer) -> App {
    let logo = server.keys.url();
    server
        .add_app_with("growth-chart", SCOPE, |client| {
            client.name = "Growth Chart".into();
            client.properties.verified = true;
            client.properties.logo_uri = Some(logo);
            client.properties.client_uri = Some("https://growth.example/".into());
            client.properties.policy_uri = Some("https://growth.example/privacy".into());
            client.properties.launch_urls = vec!["https://127.0.0.1:9/launch".into()];
        })
        .await
}

async fn meals_app(server: &TestServer) -> App {
    let redirect = "https://xn--pple-43d.example/callback";
    let mut app = server
        .add_app_with("meal-planner", SCOPE, |client| {
            client.name = "Meal Planner for people who count what they eat".into();
            client.properties.dynamic = true;
            client.redirect_uris = vec![RedirectUri::parse(redirect).unwrap()];
        })
        .await;
    redirect.clone_into(&mut app.redirect_uri);
    app
}

/// A way for letters, on which none leaves: nobody has an address.
fn mail() -> Mail {
    let server = MailServer {
        host: "localhost".into(),
        port: 9,
        security: MailSecurity::StartTls,
        credentials: None,
        from: Sender::parse("Harbour Clinic <noreply@harbour.example>").unwrap(),
    };
    Mail::by(Mailer::new(server, Trust::of_the_web()).unwrap())
}

/// Name to sign in with, name, role, record, and whose records they open.
type Person = (&'static str, &'static str, Role, Option<&'static str>, &'static [&'static str]);

async fn add_people(server: &TestServer) {
    let people: [Person; 7] = [
        ("maria", "Maria Lopez", Role::Patient, Some("Patient/maria"), &["maria"]),
        ("rosa", "Rosa Lopez", Role::Representative, None, &["theo", "ana"]),
        ("lost", "Ada Nwosu", Role::Patient, None, &["patient-3"]),
        ("new", "Sam Reed", Role::Clinician, Some("Practitioner/sam"), &[]),
        ("locked", "Lee Park", Role::Patient, None, &["patient-4"]),
        ("dana", "Dana Kim", Role::Developer, None, &[]),
        ("amy", "Amy Chen", Role::Clinician, Some("Practitioner/amy"), &[]),
    ];
    for (username, name, role, fhir_user, patients) in people {
        let user = User {
            id: UserId::parse(&format!("user-{username}")).unwrap(),
            username: username.to_owned(),
            display_name: name.to_owned(),
            password_hash: Secret::new(PASSWORD_HASH.to_owned()),
            roles: [role].into_iter().collect(),
            fhir_user: fhir_user.map(|text| LocalReference::parse(text).unwrap()),
            patients: patients.iter().map(|id| LogicalId::parse(id).unwrap()).collect(),
            represents: Vec::new(),
            created_at: 1_600_000_000,
        };
        server.change(Change::AddUser(Box::new(user))).await;
    }
}

fn person(id: &str, given: &str, family: &str, born: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "name": [{"use": "official", "given": [given], "family": family}], "birthDate": born,
        "gender": "female", "address": [{"line": ["12 Harbour Road"], "city": "Springfield", "postalCode": "12345"}],
        "telecom": [{"system": "phone", "value": "+1 555 0100"}],
    })
}

fn visit(id: &str, patient: &str, day: &str) -> Value {
    json!({
        "resourceType": "Encounter", "id": id, "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [{"text": "Check-up"}], "reasonCode": [{"text": "High blood pressure"}],
        "subject": {"reference": format!("Patient/{patient}")}, "period": {"start": format!("{day}T09:30:00Z")},
        "participant": [{"individual": {"reference": "Practitioner/amy"}}], "serviceProvider": {"reference": "Organization/harbour", "display": "Harbour Clinic"},
    })
}

fn claim(number: u32, cents: u32) -> Value {
    let amount = f64::from(cents) / 100.0;
    json!({
        "resourceType": "ExplanationOfBenefit", "id": format!("claim-{number}"), "status": "active", "use": "claim", "outcome": "complete",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional", "display": "Professional"}]},
        "patient": {"reference": "Patient/maria"}, "created": format!("2020-0{number}-10"), "insurer": {"display": "Harbour Health Plan"},
        "provider": {"display": "Harbour Clinic"}, "billablePeriod": {"start": format!("2020-0{number}-05"), "end": format!("2020-0{number}-05")},
        "insurance": [{"focal": true, "coverage": {"reference": "Coverage/plan"}}],
        "total": [{"category": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted"}]},
            "amount": {"value": amount, "currency": "USD"}},
            {"category": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "benefit"}]},
            "amount": {"value": amount / 4.0 * 3.0, "currency": "USD"}}],
    })
}

fn resources() -> Vec<String> {
    let names = BTreeMap::from([
        ("maria", ("Maria", "Lopez", "1951-05-04")),
        ("theo", ("Theo", "Lopez", "2014-10-19")),
        ("ana", ("Ana Sofía", "Lopez de la Cruz", "2017-01-02")),
        ("layla", ("ليلى", "حداد", "1988-07-21")),
        ("guadalupe", ("María Guadalupe", "Fernández-Castañeda y Wolfeschlegelsteinhausenbergerdorff", "1979-11-30")),
    ]);
    let given = ["James", "Priya", "Wei", "Fatima", "Noah", "Ingrid"];
    let family = ["Okafor", "Nguyen", "Silva", "Haddad", "Novak"];
    let mut resources = vec![organization("harbour", "Harbour Clinic"), practitioner("amy", "Chen"), practitioner("sam", "Reed")];
    resources.extend(names.iter().map(|(id, (given, family, born))| person(id, given, family, born).to_string()));
    for number in 0..28 {
        let name = (given[number % given.len()], family[number % family.len()]);
        let born = format!("19{}-0{}-1{}", 40 + number, 1 + number % 9, number % 10);
        resources.push(person(&format!("patient-{number}"), name.0, name.1, &born).to_string());
        resources.push(visit(&format!("visit-{number}"), &format!("patient-{number}"), "2020-03-12").to_string());
    }
    // Names as people have them: from right to left, and long ones.
    resources.extend(["layla", "guadalupe"].map(|id| visit(&format!("visit-{id}"), id, "2020-04-02").to_string()));
    for (number, day) in ["2020-03-12", "2020-06-02", "2020-10-20"].into_iter().enumerate() {
        resources.push(visit(&format!("visit-maria-{number}"), "maria", day).to_string());
    }
    let coverage = json!({"resourceType": "Coverage", "id": "plan", "status": "active", "beneficiary": {"reference": "Patient/maria"},
        "type": {"text": "Health plan"}, "subscriberId": "HHP-0042", "payor": [{"display": "Harbour Health Plan"}],
        "period": {"start": "2020-01-01", "end": "2020-12-31"}});
    resources.push(coverage.to_string());
    resources.extend((1..=6).map(|number| claim(number, 8_250 + number * 1_375).to_string()));
    for (number, value) in ["5.60", "6.10", "5.90"].into_iter().enumerate() {
        let result = observation(&format!("test-{number}"), "maria", "4548-4", value, &format!("2020-0{}-14", number + 2));
        let mut result: Value = serde_json::from_str(&result).unwrap();
        result["code"]["text"] = json!("Hemoglobin A1c");
        result["valueQuantity"]["unit"] = json!("%");
        resources.push(result.to_string());
    }
    resources
}
