//! User-access brands: the Bundle that says whose records these are.

use portcullis_server::brand::Brand;
use portcullis_testkit::TestServer;
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

/// General, with an affiliate that has a portal of its own, one that uses General's, and an older server.
fn several() -> Brand {
    let brand: Brand = serde_json::from_value(json!({
        "name": "General",
        "website": "https://www.general.example/start",
        "affiliates": [
            {"id": "madison", "name": "Madison", "website": "https://madison.example", "logo": "https://madison.example/logo.svg",
                "categories": ["clinical"], "aliases": ["The Madison"], "addresses": [{"city": "Madison"}],
                "portals": [
                    {"name": "My Madison", "url": "https://my.madison.example", "endpoints": ["fhir-r4", "old"]},
                    {"name": "Madison Kids", "url": "https://kids.madison.example", "logo": "https://madison.example/kids.png"},
                ]},
            {"id": "corner", "name": "Corner Practice", "website": "https://corner.example",
                "identifiers": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1"}]},
        ],
        "endpoints": [{"id": "old", "name": "DSTU2", "address": "https://old.general.example/dstu2", "fhir_version": "1.0.2",
            "developer_url": "https://old.general.example/docs"}],
    }))
    .unwrap();
    brand.check("https://fhir.general.example").unwrap();
    brand
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_brands_share_endpoints_and_one_of_them_is_the_servers() {
    verifies!("SMART-71", "SMART-72");
    let server = TestServer::start_changed(|server| server.settings.brand = several()).await;
    let discovered = server.client.get("/fhir/.well-known/smart-configuration").send().await.json();
    let named = &discovered["user_access_brand_identifier"];
    assert_eq!(named, &json!({"system": "urn:ietf:rfc:3986", "value": "https://general.example"}));
    let bundle = server.client.get("/user-access-brands.json").send().await.json();
    let (organizations, endpoints) = (resources(&bundle, "Organization"), resources(&bundle, "Endpoint"));
    let [general, madison, corner] = organizations[..] else { panic!("{bundle}") };
    let has = |organization: &&&Value| organization["identifier"].as_array().unwrap().contains(named);
    assert_eq!(organizations.iter().filter(has).collect::<Vec<_>>(), [&general]);
    let references = |ids: &[&str]| -> Value { ids.iter().map(|id| json!({"reference": format!("Endpoint/{id}")})).collect() };
    assert_eq!(general["endpoint"], references(&["fhir-r4", "old"]), "the primary brand refers to every Endpoint");
    assert_eq!((&madison["endpoint"], madison.get("partOf")), (&references(&["fhir-r4", "old"]), None));
    assert_eq!(corner["partOf"], json!({"reference": "Organization/brand"}), "General gives access to it");
    assert!(general.get("partOf").is_none() && corner.get("endpoint").is_none() && corner.get("extension").is_none());
    let portals = |organization: &Value| -> Vec<(Value, Value)> {
        let url = "http://hl7.org/fhir/StructureDefinition/organization-portal";
        let extensions = organization["extension"].as_array().unwrap().iter().filter(|extension| extension["url"] == url);
        let part = |portal: &Value, name: &str, value: &str| -> Value {
            portal["extension"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|part| part["url"] == name)
                .map(|part| part[value].clone())
                .collect()
        };
        extensions
            .map(|portal| (part(portal, "portalName", "valueString"), part(portal, "portalEndpoint", "valueReference")))
            .collect()
    };
    assert_eq!(
        portals(madison),
        [(json!(["My Madison"]), references(&["fhir-r4", "old"])), (json!(["Madison Kids"]), references(&["fhir-r4"]))]
    );
    assert_eq!(endpoints.len(), 2);
    assert_eq!(
        (&endpoints[1]["address"], &endpoints[1]["extension"][0]["valueCode"]),
        (&json!("https://old.general.example/dstu2"), &json!("1.0.2"))
    );
    let text = bundle.to_string();
    assert!(!text.contains("[]") && !text.contains("null"), "{text}");
    let mut urls: Vec<&str> =
        bundle["entry"].as_array().unwrap().iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
    urls.dedup();
    assert_eq!(urls.len(), 5);
    for resource in organizations.iter().chain(&endpoints) {
        assert!(portcullis_fhir::resource::Resource::parse(resource.to_string().as_bytes()).is_ok(), "{resource}");
    }
}
