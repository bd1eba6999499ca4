//! Further brands beside the server's own, with their portals, and further endpoints: what stands under `[[brand.affiliates]]` and `[[brand.endpoints]]`.
//!
//! SMART App Launch 2.2.0, "User-access Brands and Endpoints": a brand either has portals of its own or is part of the one that gives access to its
//! records, and no chain of such links is longer than that one step. What cannot be told in the configuration cannot be wrong in the Bundle: an affiliate
//! without portals is part of the server's own brand.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{BrandAddress, BrandIdentifier, Card, ENDPOINT, ORGANIZATION, are_identifiers, default_identifier, is_https};

/// The most affiliates, portals of one, and endpoints.
const MAXIMUM_ENTRIES: usize = 1000;

/// `[[brand.affiliates]]`: another brand whose records are reached here or at one of the endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affiliate {
    /// Names it in the Bundle.
    pub id: String,
    /// The name by which people know it.
    pub name: String,
    /// Its public website, https.
    pub website: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Business identifiers; absent: the website's origin.
    #[serde(default)]
    pub identifiers: Vec<BrandIdentifier>,
    /// What kind of data it has.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Its logo: https, SVG or PNG, square.
    pub logo: Option<String>,
    /// The terms under which apps may show the logo.
    pub logo_license: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub addresses: Vec<BrandAddress>,
    /// Its portals; without, people use the one of the server's own brand.
    #[serde(default)]
    pub portals: Vec<Portal>,
}

/// `[[brand.affiliates.portals]]`: where its people sign in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    /// The portal's name.
    pub name: String,
    /// The portal, https.
    pub url: String,
    /// Whom it is for.
    pub description: Option<String>,
    /// Its logo.
    pub logo: Option<String>,
    /// The ids of the endpoints with the same records; absent: this server's.
    #[serde(default = "this_server")]
    pub endpoints: Vec<String>,
}

fn this_server() -> Vec<String> {
    vec![ENDPOINT.to_owned()]
}

/// `[[brand.endpoints]]`: a FHIR server beside this one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherEndpoint {
    /// Names it in the Bundle.
    pub id: String,
    /// The FHIR base, https.
    pub address: String,
    /// What developers know it as.
    pub name: String,
    /// The FHIR version, such as `4.0.1`.
    #[serde(default = "r4")]
    pub fhir_version: String,
    /// Where developers ask for access.
    pub developer_url: String,
}

fn r4() -> String {
    "4.0.1".to_owned()
}

/// Checks both lists, where the server's own brand has this identifier; the error names the key and what would be accepted.
pub(super) fn check(
    affiliates: &[Affiliate],
    endpoints: &[OtherEndpoint],
    own: &BrandIdentifier,
) -> Result<(), (&'static str, &'static str)> {
    if affiliates.len().max(endpoints.len()) > MAXIMUM_ENTRIES {
        return Err(("brand", "may have at most 1000 affiliates and 1000 endpoints"));
    }
    let mut ids = vec![ENDPOINT];
    for endpoint in endpoints {
        if !is_id(&endpoint.id) || ids.contains(&endpoint.id.as_str()) {
            return Err(("brand.endpoints.id", "must be 1 to 64 letters, digits, - or ., each only once, and not fhir-r4"));
        }
        ids.push(&endpoint.id);
        if !is_https(&endpoint.address) || endpoint.address.ends_with('/') {
            return Err(("brand.endpoints.address", "must be an https URL without a slash at the end"));
        }
        if !is_https(&endpoint.developer_url) {
            return Err(("brand.endpoints.developer_url", "must be an https URL"));
        }
        if endpoint.name.trim().is_empty() {
            return Err(("brand.endpoints.name", "must not be empty"));
        }
        if !["1.0.2", "3.0.2", "4.0.1", "4.3.0", "5.0.0"].contains(&endpoint.fhir_version.as_str()) {
            return Err(("brand.endpoints.fhir_version", "must be one of 1.0.2, 3.0.2, 4.0.1, 4.3.0, 5.0.0"));
        }
    }
    let mut names = vec![ORGANIZATION];
    for affiliate in affiliates {
        if !is_id(&affiliate.id) || names.contains(&affiliate.id.as_str()) {
            return Err(("brand.affiliates.id", "must be 1 to 64 letters, digits, - or ., each only once, and not brand"));
        }
        names.push(&affiliate.id);
        affiliate.check(&ids, own)?;
    }
    Ok(())
}

/// Whether a text can be the id of a resource.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

impl Affiliate {
    fn check(&self, endpoints: &[&str], own: &BrandIdentifier) -> Result<(), (&'static str, &'static str)> {
        if self.name.trim().is_empty() {
            return Err(("brand.affiliates.name", "must not be empty"));
        }
        for (key, url) in [
            ("brand.affiliates.website", Some(&self.website)),
            ("brand.affiliates.logo", self.logo.as_ref()),
            ("brand.affiliates.logo_license", self.logo_license.as_ref()),
        ] {
            if url.is_some_and(|url| !is_https(url)) {
                return Err((key, "must be an https URL"));
            }
        }
        if !self.categories.iter().all(|category| super::CATEGORIES.contains(&category.as_str())) {
            return Err(("brand.affiliates.categories", super::CATEGORIES_WANTED));
        }
        if !are_identifiers(&self.identifiers) {
            return Err(("brand.affiliates.identifiers", "must each have a system that is a URI and a value"));
        }
        // Apps find the server's own brand by it: "SHALL match exactly one".
        if self.identifiers().contains(own) {
            return Err((
                "brand.affiliates.identifiers",
                "must not be the identifier of the server's own brand: name one, or another website",
            ));
        }
        for portal in &self.portals {
            if portal.name.trim().is_empty() {
                return Err(("brand.affiliates.portals.name", "must not be empty"));
            }
            if !is_https(&portal.url) || portal.logo.as_ref().is_some_and(|url| !is_https(url)) {
                return Err(("brand.affiliates.portals", "must have https URLs in url and logo"));
            }
            if portal.endpoints.is_empty() || !portal.endpoints.iter().all(|id| endpoints.contains(&id.as_str())) {
                return Err(("brand.affiliates.portals.endpoints", "must name fhir-r4 or ids of [[brand.endpoints]]"));
            }
        }
        Ok(())
    }

    fn identifiers(&self) -> Vec<BrandIdentifier> {
        match self.identifiers.as_slice() {
            [] => vec![default_identifier(&self.website)],
            configured => configured.to_vec(),
        }
    }

    /// The Organization.
    pub(super) fn organization(&self) -> Value {
        let mut endpoints: Vec<&str> = Vec::new();
        for id in self.portals.iter().flat_map(|portal| &portal.endpoints) {
            if !endpoints.contains(&id.as_str()) {
                endpoints.push(id);
            }
        }
        let card = Card {
            id: &self.id,
            name: &self.name,
            aliases: &self.aliases,
            website: &self.website,
            identifiers: self.identifiers(),
            categories: &self.categories,
            logo: self.logo.as_ref(),
            logo_license: self.logo_license.as_ref(),
            addresses: &self.addresses,
            portals: self.portals.iter().map(Portal::extension).collect(),
            endpoints,
            part_of: self.portals.is_empty().then_some(ORGANIZATION),
        };
        card.organization()
    }
}

impl Portal {
    fn extension(&self) -> Value {
        let parts = [
            Some(json!({"url": "portalName", "valueString": self.name})),
            self.description.as_ref().map(|text| json!({"url": "portalDescription", "valueMarkdown": text})),
            Some(json!({"url": "portalUrl", "valueUrl": self.url})),
            self.logo.as_ref().map(|url| json!({"url": "portalLogo", "valueUrl": url})),
        ];
        let endpoints =
            self.endpoints.iter().map(|id| json!({"url": "portalEndpoint", "valueReference": super::endpoint_reference(id)}));
        json!(parts.into_iter().flatten().chain(endpoints).collect::<Vec<Value>>())
    }
}

impl OtherEndpoint {
    /// The Endpoint.
    pub(super) fn endpoint(&self) -> Value {
        super::endpoint_of([&self.id, &self.name, &self.address, &self.fhir_version, &self.developer_url])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brand::Brand;

    const PUBLIC_URL: &str = "https://fhir.general.example";

    fn brand() -> Brand {
        serde_json::from_value(json!({
            "affiliates": [{"id": "madison", "name": "Madison", "website": "https://madison.example",
                "portals": [{"name": "My Madison", "url": "https://my.madison.example", "endpoints": ["fhir-r4", "old"]}]}],
            "endpoints": [{"id": "old", "name": "DSTU2", "address": "https://old.example/dstu2", "fhir_version": "1.0.2",
                "developer_url": "https://old.example/docs"}],
        }))
        .unwrap()
    }

    #[test]
    fn each_part_that_cannot_be_used_is_named() {
        assert_eq!(brand().check(PUBLIC_URL), Ok(()));
        let refused = |change: fn(&mut Brand)| {
            let mut brand = brand();
            change(&mut brand);
            brand.check(PUBLIC_URL).unwrap_err().0
        };
        type Change = fn(&mut Brand);
        let cases: [(Change, &str); 18] = [
            (|brand| brand.affiliates[0].id = "a b".into(), "brand.affiliates.id"),
            (|brand| brand.affiliates[0].id = "brand".into(), "brand.affiliates.id"),
            (|brand| brand.affiliates.push(brand.affiliates[0].clone()), "brand.affiliates.id"),
            (|brand| brand.affiliates[0].name = " ".into(), "brand.affiliates.name"),
            (|brand| brand.affiliates[0].website = "http://madison.example".into(), "brand.affiliates.website"),
            (|brand| brand.affiliates[0].logo = Some("logo.svg".into()), "brand.affiliates.logo"),
            (|brand| brand.affiliates[0].categories = vec!["hospital".into()], "brand.affiliates.categories"),
            (|brand| brand.affiliates[0].website = format!("{PUBLIC_URL}/madison"), "brand.affiliates.identifiers"),
            (|brand| brand.affiliates[0].portals[0].name = String::new(), "brand.affiliates.portals.name"),
            (|brand| brand.affiliates[0].portals[0].url = "http://x.example".into(), "brand.affiliates.portals"),
            (|brand| brand.affiliates[0].portals[0].endpoints = vec!["new".into()], "brand.affiliates.portals.endpoints"),
            (|brand| brand.affiliates[0].portals[0].endpoints = vec![], "brand.affiliates.portals.endpoints"),
            (|brand| brand.endpoints[0].id = "fhir-r4".into(), "brand.endpoints.id"),
            (|brand| brand.endpoints[0].address = "https://old.example/".into(), "brand.endpoints.address"),
            (|brand| brand.endpoints[0].name = String::new(), "brand.endpoints.name"),
            (|brand| brand.endpoints[0].fhir_version = "R4".into(), "brand.endpoints.fhir_version"),
            (|brand| brand.endpoints[0].developer_url = "docs".into(), "brand.endpoints.developer_url"),
            (|brand| brand.endpoints = vec![brand.endpoints[0].clone(); 1001], "brand"),
        ];
        for (change, key) in cases {
            assert_eq!(refused(change), key);
        }
    }
}
