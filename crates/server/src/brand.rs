//! Whose records these are, for apps to show: the user-access brand of this server.
//!
//! SMART App Launch 2.2.0, "User-access Brands and Endpoints": a Bundle of one Organization (the brand, with its portal) and one Endpoint (this FHIR
//! base), public, with a weak entity tag. It is made from the configuration alone; what is not configured follows from the server's address.
//! Several brands on one server are not built.

use http::{HeaderMap, StatusCode, header};
use portcullis_fhir::instant;
use portcullis_jose::base64url;
use portcullis_jose::digest::sha256;
use portcullis_oauth::metadata::BrandLink;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::{Position, Url};

use crate::answer::Draft;
use crate::context::Settings;

/// Where the Bundle is.
pub const PATH: &str = "/user-access-brands.json";
/// The system of identifiers that are URIs.
const URI_SYSTEM: &str = "urn:ietf:rfc:3986";
/// <http://hl7.org/fhir/smart-app-launch/CodeSystem/user-access-category>
const CATEGORIES: [&str; 7] = ["clinical", "lab", "pharmacy", "insurer", "network", "aggregator", "imaging"];
/// The ids of the two resources in the Bundle.
const ORGANIZATION: &str = "brand";
const ENDPOINT: &str = "fhir-r4";

/// `[brand]` of the configuration: each part may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brand {
    /// The name by which people know the organisation.
    pub name: Option<String>,
    /// Other names.
    pub aliases: Vec<String>,
    /// Its public website, https.
    pub website: Option<String>,
    /// Business identifiers, such as an NPI. The first one is what `.well-known/smart-configuration` names.
    pub identifiers: Vec<BrandIdentifier>,
    /// What kind of data it has: clinical, lab, pharmacy, insurer, network, aggregator, imaging.
    pub categories: Vec<String>,
    /// Its logo: https, SVG or PNG, square.
    pub logo: Option<String>,
    /// The terms under which apps may show the logo.
    pub logo_license: Option<String>,
    /// The name of the portal where people sign in.
    pub portal_name: Option<String>,
    /// Whom the portal is for.
    pub portal_description: Option<String>,
    /// The portal, https; absent: the person's page of this server.
    pub portal_url: Option<String>,
    /// The portal's logo.
    pub portal_logo: Option<String>,
    /// Where developers ask for access; absent: `/docs` of this server.
    pub developer_url: Option<String>,
    /// Where it is.
    pub addresses: Vec<BrandAddress>,
}

/// A business identifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrandIdentifier {
    /// The URI of the system that gives it.
    pub system: String,
    /// The value.
    pub value: String,
}

/// An address, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrandAddress {
    /// Street and number.
    pub line: Vec<String>,
    /// The city.
    pub city: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The country.
    pub country: Option<String>,
}

impl Brand {
    /// Checks the parts; the error names the key and what would be accepted.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let urls = [
            ("brand.website", &self.website),
            ("brand.logo", &self.logo),
            ("brand.logo_license", &self.logo_license),
            ("brand.portal_url", &self.portal_url),
            ("brand.portal_logo", &self.portal_logo),
            ("brand.developer_url", &self.developer_url),
        ];
        for (key, url) in urls {
            if url.as_ref().is_some_and(|url| !Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host())) {
                return Err((key, "must be an https URL"));
            }
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(("brand.name", "must not be empty"));
        }
        if !self.categories.iter().all(|category| CATEGORIES.contains(&category.as_str())) {
            return Err(("brand.categories", "must be of clinical, lab, pharmacy, insurer, network, aggregator, imaging"));
        }
        let sound = |identifier: &BrandIdentifier| Url::parse(&identifier.system).is_ok() && !identifier.value.is_empty();
        if !self.identifiers.iter().all(sound) {
            return Err(("brand.identifiers", "must each have a system that is a URI and a value"));
        }
        Ok(())
    }

    fn website<'a>(&'a self, settings: &'a Settings) -> &'a str {
        self.website.as_deref().unwrap_or(&settings.public_url)
    }

    /// The identifiers; where none is configured, the one that SMART recommends: the website's origin without `www.`.
    fn identifiers(&self, settings: &Settings) -> Vec<BrandIdentifier> {
        if !self.identifiers.is_empty() {
            return self.identifiers.clone();
        }
        let website = self.website(settings);
        let origin = Url::parse(website).map_or_else(|_| website.to_owned(), |url| url[..Position::AfterPort].to_owned());
        vec![BrandIdentifier { system: URI_SYSTEM.to_owned(), value: origin.replacen("://www.", "://", 1) }]
    }
}

/// What `.well-known/smart-configuration` says about the brand.
pub fn link(settings: &Settings) -> Option<BrandLink> {
    let BrandIdentifier { system, value } = settings.brand.identifiers(settings).into_iter().next()?;
    Some(BrandLink { bundle: format!("{}{PATH}", settings.public_url), system, value })
}

/// `GET /user-access-brands.json`
pub fn bundle(settings: &Settings, headers: &HeaderMap) -> Draft {
    let entries = [("Organization", ORGANIZATION, organization(settings)), ("Endpoint", ENDPOINT, endpoint(settings))];
    let base = format!("{}/user-access-brands", settings.public_url);
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(resource_type, id, resource)| json!({"fullUrl": format!("{base}/{resource_type}/{id}"), "resource": resource}))
        .collect();
    let content = json!(entries).to_string();
    let tag = format!("W/\"{}\"", base64url::encode(&sha256(&content)[..12]));
    let answer = |status| {
        let draft = Draft::new(status).with_text(header::ETAG, &tag);
        draft.with(header::CACHE_CONTROL, "public, max-age=3600")
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|candidate| candidate.trim() == tag || candidate.trim() == "*") {
        return answer(StatusCode::NOT_MODIFIED);
    }
    let bundle = json!({
        "resourceType": "Bundle",
        "id": "user-access-brands",
        "meta": {"profile": ["http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-brands-bundle"]},
        "type": "collection",
        // The configuration is read at start, and nothing else changes the content.
        "timestamp": instant::format(settings.started),
        "entry": entries,
    });
    answer(StatusCode::OK).body("application/fhir+json; charset=utf-8", bundle.to_string())
}

fn organization(settings: &Settings) -> Value {
    let brand = &settings.brand;
    let website = brand.website(settings);
    let host = settings.public_url.split_once("://").map_or(settings.public_url.as_str(), |(_, host)| host);
    let name = brand.name.clone().unwrap_or_else(|| host.to_owned());
    let reference = json!({"reference": format!("Endpoint/{ENDPOINT}")});
    let mut extensions = Vec::new();
    let look = [("brandLogo", &brand.logo), ("brandLogoLicense", &brand.logo_license)];
    let look: Vec<Value> =
        look.into_iter().filter_map(|(name, url)| Some(json!({"url": name, "valueUrl": url.as_ref()?}))).collect();
    if !look.is_empty() {
        extensions.push(json!({"url": "http://hl7.org/fhir/StructureDefinition/organization-brand", "extension": look}));
    }
    let portal = [
        Some(json!({"url": "portalName", "valueString": brand.portal_name.as_deref().unwrap_or(&name)})),
        brand.portal_description.as_ref().map(|text| json!({"url": "portalDescription", "valueMarkdown": text})),
        Some(
            json!({"url": "portalUrl", "valueUrl": brand.portal_url.clone().unwrap_or_else(|| format!("{}/me", settings.public_url))}),
        ),
        brand.portal_logo.as_ref().map(|url| json!({"url": "portalLogo", "valueUrl": url})),
        Some(json!({"url": "portalEndpoint", "valueReference": reference})),
    ];
    let portal: Vec<Value> = portal.into_iter().flatten().collect();
    extensions.push(json!({"url": "http://hl7.org/fhir/StructureDefinition/organization-portal", "extension": portal}));
    let identifiers =
        brand.identifiers(settings).into_iter().map(|identifier| json!({"system": identifier.system, "value": identifier.value}));
    let mut organization = json!({
        "resourceType": "Organization",
        "id": ORGANIZATION,
        "extension": extensions,
        "identifier": identifiers.collect::<Vec<_>>(),
        "active": true,
        "name": name,
        "telecom": [{"system": "url", "value": website}],
        "endpoint": [reference],
    });
    let categories: Vec<Value> = brand.categories.iter().map(|code| category(code)).collect();
    let addresses: Vec<Value> = brand.addresses.iter().map(address).filter(|address| address != &json!({})).collect();
    let lists =
        [("type", categories), ("alias", brand.aliases.iter().map(|alias| json!(alias)).collect()), ("address", addresses)];
    // FHIR forbids empty arrays.
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        if let Value::Object(members) = &mut organization {
            members.insert(name.to_owned(), Value::Array(list));
        }
    }
    organization
}

fn category(code: &str) -> Value {
    json!({"coding": [{"system": "http://hl7.org/fhir/smart-app-launch/CodeSystem/user-access-category", "code": code}]})
}

fn address(address: &BrandAddress) -> Value {
    let parts =
        [("city", &address.city), ("state", &address.state), ("postalCode", &address.postal_code), ("country", &address.country)];
    let mut members: Map<String, Value> =
        parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))).collect();
    if !address.line.is_empty() {
        members.insert("line".to_owned(), json!(address.line));
    }
    Value::Object(members)
}

fn endpoint(settings: &Settings) -> Value {
    let developers = settings.brand.developer_url.clone().unwrap_or_else(|| format!("{}/docs", settings.public_url));
    json!({
        "resourceType": "Endpoint",
        "id": ENDPOINT,
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": "4.0.1"}],
        "status": "active",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "name": "FHIR R4",
        "contact": [{"system": "url", "value": developers}],
        "payloadType": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}]}],
        "address": settings.fhir_base,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_cannot_be_used_is_named() {
        let refused = |change: fn(&mut Brand)| {
            let mut brand = Brand::default();
            change(&mut brand);
            brand.check().unwrap_err().0
        };
        assert_eq!(refused(|brand| brand.website = Some("http://hospital.example".into())), "brand.website");
        assert_eq!(refused(|brand| brand.logo = Some("logo.svg".into())), "brand.logo");
        assert_eq!(refused(|brand| brand.name = Some(" ".into())), "brand.name");
        assert_eq!(refused(|brand| brand.categories = vec!["hospital".into()]), "brand.categories");
        let identifier = |system: &str, value: &str| BrandIdentifier { system: system.into(), value: value.into() };
        for wrong in [identifier("npi", "1"), identifier("urn:x", "")] {
            assert_eq!(Brand { identifiers: vec![wrong], ..Brand::default() }.check().unwrap_err().0, "brand.identifiers");
        }
        assert_eq!(Brand::default().check(), Ok(()));
    }
}
