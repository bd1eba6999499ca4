//! Whose records these are, for apps to show: the user-access brand of this server.
//!
//! SMART App Launch 2.2.0, "User-access Brands and Endpoints": a Bundle of Organizations (the server's own brand with its portal, and its affiliates) and
//! Endpoints (this FHIR base, and others beside it), public, with a weak entity tag. It is made from the configuration alone; what is not configured
//! follows from the server's address.

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

mod affiliates;

pub use affiliates::{Affiliate, OtherEndpoint, Portal};

/// Where the Bundle is.
pub const PATH: &str = "/user-access-brands.json";
/// The system of identifiers that are URIs.
const URI_SYSTEM: &str = "urn:ietf:rfc:3986";
/// <http://hl7.org/fhir/smart-app-launch/CodeSystem/user-access-category>
const CATEGORIES: [&str; 7] = ["clinical", "lab", "pharmacy", "insurer", "network", "aggregator", "imaging"];
const CATEGORIES_WANTED: &str = "must be of clinical, lab, pharmacy, insurer, network, aggregator, imaging";
/// The extensions of a brand's Organization.
const BRAND_EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/organization-brand";
const PORTAL_EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/organization-portal";
/// The ids of this server's own two resources in the Bundle.
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
    /// Other brands whose people sign in here or at a portal of their own.
    pub affiliates: Vec<Affiliate>,
    /// FHIR servers beside this one.
    pub endpoints: Vec<OtherEndpoint>,
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
    pub fn check(&self, public_url: &str) -> Result<(), (&'static str, &'static str)> {
        let urls = [
            ("brand.website", &self.website),
            ("brand.logo", &self.logo),
            ("brand.logo_license", &self.logo_license),
            ("brand.portal_url", &self.portal_url),
            ("brand.portal_logo", &self.portal_logo),
            ("brand.developer_url", &self.developer_url),
        ];
        for (key, url) in urls {
            if url.as_ref().is_some_and(|url| !is_https(url)) {
                return Err((key, "must be an https URL"));
            }
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(("brand.name", "must not be empty"));
        }
        if !self.categories.iter().all(|category| CATEGORIES.contains(&category.as_str())) {
            return Err(("brand.categories", CATEGORIES_WANTED));
        }
        if !are_identifiers(&self.identifiers) {
            return Err(("brand.identifiers", "must each have a system that is a URI and a value"));
        }
        match self.identifiers(public_url).first() {
            Some(own) => affiliates::check(&self.affiliates, &self.endpoints, own),
            None => Ok(()),
        }
    }

    fn website<'a>(&'a self, public_url: &'a str) -> &'a str {
        self.website.as_deref().unwrap_or(public_url)
    }

    /// The identifiers; where none is configured, the one that SMART recommends: the website's origin without `www.`.
    fn identifiers(&self, public_url: &str) -> Vec<BrandIdentifier> {
        match self.identifiers.as_slice() {
            [] => vec![default_identifier(self.website(public_url))],
            configured => configured.to_vec(),
        }
    }
}

/// The identifier of a brand that has no other.
fn default_identifier(website: &str) -> BrandIdentifier {
    let origin = Url::parse(website).map_or_else(|_| website.to_owned(), |url| url[..Position::AfterPort].to_owned());
    BrandIdentifier { system: URI_SYSTEM.to_owned(), value: origin.replacen("://www.", "://", 1) }
}

fn is_https(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

fn are_identifiers(identifiers: &[BrandIdentifier]) -> bool {
    identifiers.iter().all(|identifier| Url::parse(&identifier.system).is_ok() && !identifier.value.is_empty())
}

/// What `.well-known/smart-configuration` says about the brand.
pub fn link(settings: &Settings) -> Option<BrandLink> {
    let BrandIdentifier { system, value } = settings.brand.identifiers(&settings.public_url).into_iter().next()?;
    Some(BrandLink { bundle: format!("{}{PATH}", settings.public_url), system, value })
}

/// `GET /user-access-brands.json`
pub fn bundle(settings: &Settings, headers: &HeaderMap) -> Draft {
    let brand = &settings.brand;
    let organizations = std::iter::once(organization(settings)).chain(brand.affiliates.iter().map(Affiliate::organization));
    let endpoints = std::iter::once(endpoint(settings)).chain(brand.endpoints.iter().map(OtherEndpoint::endpoint));
    let base = format!("{}/user-access-brands", settings.public_url);
    let of = |resource: Value| {
        let part = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        json!({"fullUrl": format!("{base}/{}/{}", part("resourceType"), part("id")), "resource": resource})
    };
    let entries: Vec<Value> = organizations.chain(endpoints).map(of).collect();
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

/// What the Organization of any brand says.
struct Card<'a> {
    id: &'a str,
    name: &'a str,
    aliases: &'a [String],
    website: &'a str,
    identifiers: Vec<BrandIdentifier>,
    categories: &'a [String],
    logo: Option<&'a String>,
    logo_license: Option<&'a String>,
    addresses: &'a [BrandAddress],
    /// The parts of each portal's extension.
    portals: Vec<Value>,
    endpoints: Vec<&'a str>,
    /// The brand that gives access to its records.
    part_of: Option<&'a str>,
}

impl Card<'_> {
    fn organization(&self) -> Value {
        let look = [("brandLogo", self.logo), ("brandLogoLicense", self.logo_license)];
        let look: Vec<Value> = look.into_iter().filter_map(|(name, url)| Some(json!({"url": name, "valueUrl": url?}))).collect();
        let look = (!look.is_empty()).then(|| json!({"url": BRAND_EXTENSION, "extension": look}));
        let portals = self.portals.iter().map(|portal| json!({"url": PORTAL_EXTENSION, "extension": portal}));
        let identifiers =
            self.identifiers.iter().map(|identifier| json!({"system": identifier.system, "value": identifier.value}));
        let mut organization = json!({
            "resourceType": "Organization",
            "id": self.id,
            "active": true,
            "name": self.name,
            "telecom": [{"system": "url", "value": self.website}],
        });
        let lists: [(&str, Vec<Value>); 6] = [
            ("extension", look.into_iter().chain(portals).collect()),
            ("identifier", identifiers.collect()),
            ("type", self.categories.iter().map(|code| category(code)).collect()),
            ("alias", self.aliases.iter().map(|alias| json!(alias)).collect()),
            ("address", self.addresses.iter().map(address).filter(|address| address != &json!({})).collect()),
            ("endpoint", self.endpoints.iter().map(|id| endpoint_reference(id)).collect()),
        ];
        if let Value::Object(members) = &mut organization {
            // FHIR forbids empty arrays.
            for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
                members.insert(name.to_owned(), Value::Array(list));
            }
            if let Some(id) = self.part_of {
                members.insert("partOf".to_owned(), json!({"reference": format!("Organization/{id}")}));
            }
        }
        organization
    }
}

fn endpoint_reference(id: &str) -> Value {
    json!({"reference": format!("Endpoint/{id}")})
}

/// The server's own brand, which is the primary one of every endpoint: it refers to all of them.
fn organization(settings: &Settings) -> Value {
    let brand = &settings.brand;
    let host = settings.public_url.split_once("://").map_or(settings.public_url.as_str(), |(_, host)| host);
    let name = brand.name.as_deref().unwrap_or(host);
    let own_page = format!("{}/me", settings.public_url);
    let portal = [
        Some(json!({"url": "portalName", "valueString": brand.portal_name.as_deref().unwrap_or(name)})),
        brand.portal_description.as_ref().map(|text| json!({"url": "portalDescription", "valueMarkdown": text})),
        Some(json!({"url": "portalUrl", "valueUrl": brand.portal_url.as_ref().unwrap_or(&own_page)})),
        brand.portal_logo.as_ref().map(|url| json!({"url": "portalLogo", "valueUrl": url})),
        Some(json!({"url": "portalEndpoint", "valueReference": endpoint_reference(ENDPOINT)})),
    ];
    let card = Card {
        id: ORGANIZATION,
        name,
        aliases: &brand.aliases,
        website: brand.website(&settings.public_url),
        identifiers: brand.identifiers(&settings.public_url),
        categories: &brand.categories,
        logo: brand.logo.as_ref(),
        logo_license: brand.logo_license.as_ref(),
        addresses: &brand.addresses,
        portals: vec![json!(portal.into_iter().flatten().collect::<Vec<Value>>())],
        endpoints: std::iter::once(ENDPOINT).chain(brand.endpoints.iter().map(|endpoint| endpoint.id.as_str())).collect(),
        part_of: None,
    };
    card.organization()
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

/// This server.
fn endpoint(settings: &Settings) -> Value {
    let developers = settings.brand.developer_url.clone().unwrap_or_else(|| format!("{}/docs", settings.public_url));
    endpoint_of([ENDPOINT, "FHIR R4", &settings.fhir_base, "4.0.1", &developers])
}

fn endpoint_of([id, name, address, fhir_version, developers]: [&str; 5]) -> Value {
    json!({
        "resourceType": "Endpoint",
        "id": id,
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": fhir_version}],
        "status": "active",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "name": name,
        "contact": [{"system": "url", "value": developers}],
        "payloadType": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}]}],
        "address": address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://fhir.example.org";

    #[test]
    fn each_part_that_cannot_be_used_is_named() {
        let refused = |change: fn(&mut Brand)| {
            let mut brand = Brand::default();
            change(&mut brand);
            brand.check(URL).unwrap_err().0
        };
        assert_eq!(refused(|brand| brand.website = Some("http://hospital.example".into())), "brand.website");
        assert_eq!(refused(|brand| brand.logo = Some("logo.svg".into())), "brand.logo");
        assert_eq!(refused(|brand| brand.name = Some(" ".into())), "brand.name");
        assert_eq!(refused(|brand| brand.categories = vec!["hospital".into()]), "brand.categories");
        let identifier = |system: &str, value: &str| BrandIdentifier { system: system.into(), value: value.into() };
        for wrong in [identifier("npi", "1"), identifier("urn:x", "")] {
            assert_eq!(Brand { identifiers: vec![wrong], ..Brand::default() }.check(URL).unwrap_err().0, "brand.identifiers");
        }
        assert_eq!(Brand::default().check(URL), Ok(()));
    }
}
