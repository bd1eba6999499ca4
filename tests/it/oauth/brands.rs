//! User-access brands: the Bundle that says whose records these are.

use portcullis_verifies::verifies;
use serde_json::{Value, json};

use crate::fhir::World;

/// The resources of a type in the Bundle.
fn resources<'a>(bundle: &'a Value, resource_type: &str) -> Vec<&'a Value> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    entries.map(|entry| &entry["resource"]).filter(|resource| resource["resourceType"] == resource_type).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smart_configuration_leads_to_the_one_organization_with_its_identifier() {
    verifies!("SMART-71", "SMART-72");
    let world = World::start().await;
    let client = &world.server.client;
    let discovered = client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let public_url = &world.server.server.settings.public_url;
    let path = discovered["user_access_brand_bundle"].as_str().unwrap().strip_prefix(public_url.as_str()).unwrap().to_owned();
    let reply = client.get(&path).send().await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/fhir+json; charset=utf-8"));
    let bundle = reply.json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("collection")));
    let timestamp = bundle["timestamp"].as_str().unwrap();
    assert!(timestamp.contains("T") && timestamp.ends_with('Z'), "{timestamp}");
    let (organizations, endpoints) = (resources(&bundle, "Organization"), resources(&bundle, "Endpoint"));
    let named = &discovered["user_access_brand_identifier"];
    let has = |organization: &&&Value| organization["identifier"].as_array().unwrap().contains(named);
    assert_eq!(organizations.iter().filter(has).count(), 1);
    assert!(named["value"].is_string() && named["system"] == "urn:ietf:rfc:3986", "{named}");

    let [brand] = organizations[..] else { panic!("{bundle}") };
    assert!(brand["name"].is_string() && brand["telecom"][0]["system"] == "url" && brand["telecom"][0]["value"].is_string());
    let endpoint_id = endpoints[0]["id"].as_str().unwrap();
    let reference = json!({"reference": format!("Endpoint/{endpoint_id}")});
    assert_eq!(brand["endpoint"], json!([reference]), "the primary brand refers to every Endpoint");
    let portal = brand["extension"].as_array().unwrap().iter();
    let portal = portal.clone().find(|of| of["url"] == "http://hl7.org/fhir/StructureDefinition/organization-portal").unwrap();
    let parts = portal["extension"].as_array().unwrap();
    assert!(parts.contains(&json!({"url": "portalEndpoint", "valueReference": reference})));
    assert!(parts.contains(&json!({"url": "portalUrl", "valueUrl": format!("{public_url}/me")})));

    let [endpoint] = endpoints[..] else { panic!("{bundle}") };
    assert_eq!((&endpoint["status"], &endpoint["address"]), (&json!("active"), &json!(world.server.fhir_base)));
    assert_eq!(endpoint["connectionType"]["code"], "hl7-fhir-rest");
    assert_eq!(
        endpoint["extension"],
        json!([{"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": "4.0.1"}])
    );
    assert_eq!(endpoint["contact"][0]["system"], "url");
    assert!(endpoint["payloadType"][0]["coding"][0]["code"].is_string());
    let text = bundle.to_string();
    assert!(!text.contains("[]") && !text.contains("null") && !text.contains("data-absent-reason"), "{text}");
    // Both are valid R4 by our own validation.
    for resource in organizations.iter().chain(&endpoints) {
        let body = resource.to_string();
        assert!(portcullis_fhir::resource::Resource::parse(body.as_bytes()).is_ok(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundle_is_public_to_any_origin_and_has_a_weak_entity_tag() {
    verifies!("SMART-73");
    let world = World::start().await;
    let get = || world.server.client.get("/user-access-brands.json").header("origin", "https://any.example");
    let first = get().send().await;
    assert_eq!(first.header("access-control-allow-origin"), "*");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && first.header("access-control-expose-headers").contains("ETag"), "{tag}");
    for known in [tag.as_str(), &format!("\"x\", {tag}"), "*"] {
        let again = get().header("if-none-match", known).send().await;
        assert_eq!((again.status.as_u16(), again.text().as_str(), again.header("etag")), (304, "", tag.as_str()), "{known}");
        assert_eq!(again.header("access-control-allow-origin"), "*");
    }
    assert_eq!(get().header("if-none-match", "W/\"x\"").send().await.status, 200);
}
