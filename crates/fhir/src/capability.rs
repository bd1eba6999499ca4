//! The CapabilityStatement: what this server can do, generated from the tables that the parsers use.
//!
//! <https://hl7.org/fhir/R4/capabilitystatement.html>; the security part follows SMART App Launch 1.0 (`oauth-uris`), whose clients read the addresses here.
//! It claims no implementation guide and no profile of its own accord: the operator says which ones the records follow ([`Guides`]).

use crate::definitions::{self, ParameterType, SearchParameter};
use crate::interaction::{client_may_write, is_stored};
use crate::json::Value;
use crate::patch::JSON_PATCH;
use crate::search::audit_event;
use crate::types::ResourceType;

/// The version of FHIR that this crate knows.
pub const FHIR_VERSION: &str = "4.0.1";

/// The compartments that can be searched, and where they are defined.
const COMPARTMENTS: [&str; 5] = ["patient", "encounter", "relatedPerson", "practitioner", "device"];
const COMPARTMENT_DEFINITION: &str = "http://hl7.org/fhir/CompartmentDefinition/";

/// What holds for every search.
const DOCUMENTATION: &str = "The self link of a search has every criterion that counted. Records are found whatever their status, also those that were \
    entered in error: whoever wants them left out says so where the type has a status, for example by status:not=entered-in-error.";

/// What the statement says about one installation.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// The base URL, without a slash at the end.
    pub base_url: &'a str,
    /// The version of the software.
    pub software_version: &'a str,
    /// The date of the statement, as FHIR `dateTime`.
    pub date: &'a str,
    /// The addresses of the authorization server.
    pub oauth: OauthAddresses<'a>,
    /// What the operator says that the records follow.
    pub guides: &'a Guides,
}

/// Implementation guides and profiles that the operator says the records follow. This server does not look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guides {
    /// CapabilityStatements of guides that this server fulfils.
    pub instantiates: Vec<String>,
    /// Profiles, each with its type.
    pub profiles: Vec<(ResourceType, String)>,
}

/// The addresses that the extension `oauth-uris` can name.
#[derive(Clone, Copy, Debug)]
pub struct OauthAddresses<'a> {
    /// The authorization endpoint.
    pub authorize: &'a str,
    /// The token endpoint.
    pub token: &'a str,
    /// The revocation endpoint.
    pub revoke: Option<&'a str>,
    /// The introspection endpoint.
    pub introspect: Option<&'a str>,
    /// The registration endpoint.
    pub register: Option<&'a str>,
    /// The page where a user sees and ends grants.
    pub manage: Option<&'a str>,
}

/// The statement as JSON. It depends on nothing but the installation: make it once and keep it.
pub fn statement(installation: &Installation<'_>) -> Vec<u8> {
    let guides = installation.guides;
    let resources = ResourceType::all().filter(|resource_type| is_stored(*resource_type)).map(|found| resource(found, guides));
    let rest = Value::object([
        ("mode", "server".into()),
        ("documentation", DOCUMENTATION.into()),
        ("security", security(&installation.oauth)),
        ("resource", Value::array(resources)),
        (
            "interaction",
            Value::array(["transaction", "batch", "search-system"].map(|code| Value::object([("code", code.into())]))),
        ),
        ("searchParam", Value::array(definitions::search_parameters_of_all_types().iter().map(|one| search_parameter(one)))),
        ("compartment", Value::array(COMPARTMENTS.map(|name| format!("{COMPARTMENT_DEFINITION}{name}").as_str().into()))),
    ]);
    let statement = [
        ("resourceType", "CapabilityStatement".into()),
        ("url", format!("{}/metadata", installation.base_url).as_str().into()),
        ("version", installation.software_version.into()),
        ("name", "Portcullis".into()),
        ("status", "active".into()),
        ("date", installation.date.into()),
        ("kind", "instance".into()),
        ("instantiates", Value::array(guides.instantiates.iter().map(|url| url.as_str().into()))),
        ("software", Value::object([("name", "Portcullis".into()), ("version", installation.software_version.into())])),
        ("implementation", Value::object([("description", "FHIR R4 server".into()), ("url", installation.base_url.into())])),
        ("fhirVersion", FHIR_VERSION.into()),
        ("format", Value::array(["application/fhir+json", "json", "application/fhir+xml", "xml"].map(Value::from))),
        ("patchFormat", Value::array([JSON_PATCH.into()])),
        ("rest", Value::array([rest])),
    ];
    // FHIR forbids empty arrays.
    let is_said = |(name, _): &(&str, Value)| *name != "instantiates" || !guides.instantiates.is_empty();
    Value::Object(statement.into_iter().filter(is_said).map(|(name, value)| (name.into(), value)).collect()).to_bytes()
}

fn security(oauth: &OauthAddresses<'_>) -> Value {
    let addresses = [
        ("authorize", Some(oauth.authorize)),
        ("token", Some(oauth.token)),
        ("revoke", oauth.revoke),
        ("introspect", oauth.introspect),
        ("register", oauth.register),
        ("manage", oauth.manage),
    ];
    let addresses = addresses.into_iter().filter_map(|(name, address)| Some((name, address?)));
    let addresses = addresses.map(|(name, address)| Value::object([("url", name.into()), ("valueUri", address.into())]));
    let service = Value::object([
        ("system", "http://terminology.hl7.org/CodeSystem/restful-security-service".into()),
        ("code", "SMART-on-FHIR".into()),
        ("display", "SMART-on-FHIR".into()),
    ]);
    Value::object([
        (
            "extension",
            Value::array([Value::object([
                ("url", "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris".into()),
                ("extension", Value::array(addresses)),
            ])]),
        ),
        ("cors", Value::Bool(true)),
        ("service", Value::array([Value::object([("coding", Value::array([service]))])])),
        ("description", "OAuth 2.0 with SMART App Launch; the addresses are in .well-known/smart-configuration.".into()),
    ])
}

fn resource(resource_type: ResourceType, guides: &Guides) -> Value {
    let is_audit_event = resource_type == ResourceType::AUDIT_EVENT;
    let parameters = definitions::search_parameters(resource_type);
    let supported = |parameter: &&&SearchParameter| {
        audit_event::offers(resource_type, parameter.code) && parameter.parameter_type != ParameterType::Special
    };
    let is_written = client_may_write(resource_type);
    let interactions: &[&str] = if is_written {
        &["read", "vread", "update", "patch", "delete", "history-instance", "create", "search-type"]
    } else {
        &["read", "vread", "history-instance", "search-type"]
    };
    let mut members: Vec<(&str, Value)> = vec![
        ("type", resource_type.name().into()),
        ("interaction", Value::array(interactions.iter().map(|code| Value::object([("code", (*code).into())])))),
        ("versioning", "versioned".into()),
        ("readHistory", Value::Bool(true)),
        ("updateCreate", Value::Bool(false)),
        ("conditionalCreate", Value::Bool(is_written)),
        ("conditionalRead", "full-support".into()),
        ("conditionalUpdate", Value::Bool(is_written)),
        ("conditionalDelete", if is_written { "single" } else { "not-supported" }.into()),
    ];
    let profiles = guides.profiles.iter().filter(|(of, _)| *of == resource_type);
    let lists = [
        ("supportedProfile", profiles.map(|(_, url)| url.as_str().into()).collect::<Vec<Value>>()),
        ("searchInclude", if is_audit_event { Vec::new() } else { includes(resource_type) }),
        ("searchRevInclude", if is_audit_event { Vec::new() } else { reverse_includes(resource_type) }),
        ("searchParam", parameters.iter().filter(supported).map(|parameter| search_parameter(parameter)).collect()),
    ];
    if matches!(resource_type, ResourceType::PATIENT | ResourceType::ENCOUNTER) {
        let definition = format!("http://hl7.org/fhir/OperationDefinition/{resource_type}-everything");
        let operation = Value::object([("name", "everything".into()), ("definition", definition.as_str().into())]);
        members.push(("operation", Value::array([operation])));
    }
    // FHIR forbids empty arrays.
    members.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, Value::Array(list))));
    Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// What the type leads to, with the wildcard for all of it.
fn includes(source: ResourceType) -> Vec<Value> {
    let parameters = definitions::search_parameters(source).iter();
    let references = parameters.filter(|parameter| parameter.parameter_type == ParameterType::Reference);
    let mut includes: Vec<Value> = references.map(|parameter| include(source, parameter)).collect();
    if !includes.is_empty() {
        includes.extend([format!("{source}:*").as_str().into(), "*".into()]);
    }
    includes
}

fn include(source: ResourceType, parameter: &SearchParameter) -> Value {
    format!("{source}:{}", parameter.code).as_str().into()
}

/// What leads to this type. Parameters without target types lead to every type and are named only by their source's `searchInclude`, except those
/// of Provenance, which US Core asks for: with all of them the statement would be mostly this list.
fn reverse_includes(target: ResourceType) -> Vec<Value> {
    let leads = |source: ResourceType, parameter: &SearchParameter| {
        parameter.parameter_type == ParameterType::Reference
            && (parameter.targets.contains(&target) || (parameter.targets.is_empty() && source == ResourceType::PROVENANCE))
    };
    // Includes do not lead out of the audit trail.
    let sources = ResourceType::all().filter(|source| is_stored(*source) && *source != ResourceType::AUDIT_EVENT);
    let includes = sources.flat_map(|source| {
        let parameters = definitions::search_parameters(source).iter().filter(move |parameter| leads(source, parameter));
        parameters.map(move |parameter| include(source, parameter))
    });
    includes.chain(["*".into()]).collect()
}

fn search_parameter(parameter: &SearchParameter) -> Value {
    let parameter_type = match parameter.parameter_type {
        ParameterType::Number => "number",
        ParameterType::Date => "date",
        ParameterType::String => "string",
        ParameterType::Token => "token",
        ParameterType::Reference => "reference",
        ParameterType::Composite => "composite",
        ParameterType::Quantity => "quantity",
        ParameterType::Uri => "uri",
        ParameterType::Special => "special",
    };
    Value::object([("name", parameter.code.into()), ("type", parameter_type.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Composition;
    use crate::json;
    use crate::search::{self, Handling, SearchContext};

    fn parsed() -> Value {
        let oauth = OauthAddresses {
            authorize: "https://h/authorize",
            token: "https://h/token",
            revoke: Some("https://h/revoke"),
            introspect: None,
            register: None,
            manage: None,
        };
        let profiles = vec![(ResourceType::PATIENT, "http://g/a".to_owned()), (ResourceType::PATIENT, "http://g/b".to_owned())];
        let guides = &Guides { instantiates: vec!["http://g/server".to_owned()], profiles };
        let installation =
            Installation { base_url: "https://h/fhir", software_version: "0.1.0", date: "2026-01-01", oauth, guides };
        json::parse(&statement(&installation)).unwrap()
    }

    fn resources(statement: &Value) -> Vec<Value> {
        statement.member("rest").unwrap().as_array().unwrap()[0].member("resource").unwrap().as_array().unwrap().to_vec()
    }

    fn texts<'a>(list: Option<&'a Value>, member: Option<&str>) -> Vec<&'a str> {
        let items = list.and_then(Value::as_array).unwrap_or_default().iter();
        items.map(|item| member.map_or(item, |name| item.member(name).unwrap()).as_str().unwrap()).collect()
    }

    #[test]
    fn guides_and_profiles_are_those_that_the_operator_names() {
        let statement = parsed();
        assert_eq!(texts(statement.member("instantiates"), None), ["http://g/server"]);
        for resource in resources(&statement) {
            let expected: &[&str] =
                if resource.member("type").unwrap().as_str() == Some("Patient") { &["http://g/a", "http://g/b"] } else { &[] };
            assert_eq!(texts(resource.member("supportedProfile"), None), expected);
            assert!(resource.member("supportedProfile").is_none_or(|list| !list.as_array().unwrap().is_empty()));
        }
    }

    #[test]
    fn no_claim_is_more_than_the_parser_accepts() {
        let context = SearchContext { base_url: "https://h/fhir", handling: Handling::Strict, now_ms: 0 };
        let statement = parsed();
        for resource in resources(&statement) {
            let resource_type = ResourceType::parse(resource.member("type").unwrap().as_str().unwrap()).unwrap();
            let accepts = |name: &str, value: &str| {
                let pairs = [(name.to_owned(), value.to_owned())];
                assert!(search::parse(resource_type, &pairs, &context).is_ok(), "{resource_type}?{name}={value}");
            };
            for include in texts(resource.member("searchInclude"), None) {
                accepts("_include", include);
            }
            for include in texts(resource.member("searchRevInclude"), None) {
                accepts("_revinclude", include);
            }
            for name in texts(resource.member("searchParam"), Some("name")) {
                let parameter = definitions::search_parameter(resource_type, name).unwrap();
                match (&parameter.composition, parameter.parameter_type) {
                    (Some(Composition::Element(components)), _) if components.len() == 3 => accepts(name, "a$2024$2024"),
                    (Some(_), _) => accepts(name, "a$2024"),
                    // The index of AuditEvents does not know what an event lacks.
                    (None, ParameterType::Date) if resource_type == ResourceType::AUDIT_EVENT => accepts(name, "2024"),
                    (None, _) if resource_type == ResourceType::AUDIT_EVENT => accepts(name, "a"),
                    (None, _) => accepts(&format!("{name}:missing"), "true"),
                }
            }
        }
    }

    #[test]
    fn what_the_statement_says_of_the_system_is_accepted() {
        use crate::search::{SearchPlace, parse_types};
        let statement = parsed();
        let rest = &statement.member("rest").unwrap().as_array().unwrap()[0];
        let context = SearchContext { base_url: "https://h/fhir", handling: Handling::Strict, now_ms: 0 };
        let names = texts(rest.member("searchParam"), Some("name"));
        assert!(names.contains(&"_id") && names.contains(&"_lastUpdated"), "{names:?}");
        for name in names {
            let pairs = [(format!("{name}:missing"), "false".to_owned())];
            assert!(parse_types(SearchPlace::System, &pairs, &context).is_ok(), "{name}");
        }
        assert_eq!(texts(rest.member("compartment"), None).len(), 5);
        assert_eq!(texts(statement.member("patchFormat"), None), ["application/json-patch+json"]);
    }

    #[test]
    fn the_statement_stays_small_enough_to_fetch_at_every_start_of_an_app() {
        let size = parsed().to_bytes().len();
        assert!(size < 256 * 1024, "{size} bytes");
    }

    #[test]
    fn what_only_the_server_writes_is_not_offered_for_writing() {
        let statement = parsed();
        let resources = resources(&statement);
        let find = |name: &str| resources.iter().find(|resource| resource.member("type").unwrap().as_str() == Some(name));
        assert!(find("OperationOutcome").is_none() && find("Parameters").is_none());
        let event = find("AuditEvent").unwrap();
        assert_eq!(texts(event.member("searchParam"), Some("name")), audit_event::PARAMETERS);
        assert!(event.member("searchInclude").is_none() && event.member("searchRevInclude").is_none());
        let audit = texts(event.member("interaction"), Some("code"));
        assert_eq!(audit, ["read", "vread", "history-instance", "search-type"]);
        assert!(texts(find("Patient").unwrap().member("interaction"), Some("code")).contains(&"create"));
    }

    #[test]
    fn us_core_finds_its_reverse_include_and_smart_its_addresses() {
        let statement = parsed();
        let resources = resources(&statement);
        let observation =
            resources.iter().find(|resource| resource.member("type").unwrap().as_str() == Some("Observation")).unwrap();
        assert!(texts(observation.member("searchRevInclude"), None).contains(&"Provenance:target"));
        assert!(texts(observation.member("searchInclude"), None).contains(&"Observation:*"));
        let security = statement.member("rest").unwrap().as_array().unwrap()[0].member("security").unwrap();
        let oauth = &security.member("extension").unwrap().as_array().unwrap()[0];
        assert_eq!(texts(oauth.member("extension"), Some("url")), ["authorize", "token", "revoke"]);
    }
}
