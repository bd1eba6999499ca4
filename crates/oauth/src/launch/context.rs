//! Launch context parameters beside the patient (SMART App Launch 2.2.0, "Launch context arrives with your access_token").

use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The most items of `fhirContext`.
pub const MAXIMUM_CONTEXT_ITEMS: usize = 20;
/// The longest text of a parameter, in bytes.
const MAXIMUM_TEXT_BYTES: usize = 512;
/// The role of the patient and the encounter that have parameters of their own.
const LAUNCH_ROLE: &str = "launch";

/// Why context parameters cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextError {
    /// `fhirContext` is no array of objects, has too many items, or members that SMART does not name.
    Form,
    /// An item points nowhere.
    Empty,
    /// An item's reference is not relative to this server.
    Reference,
    /// An item's `canonical` or `role` is no URI, or its `type` no resource type.
    Value,
    /// Patient or Encounter without a role of their own.
    OwnParameter,
    /// `smart_style_url` is no https URL.
    StyleUrl,
    /// `intent` or `tenant` is too long or has control characters.
    Text,
}

impl ContextError {
    /// What is wrong and what would be accepted.
    pub fn description(self) -> &'static str {
        match self {
            Self::Form => {
                "fhirContext must be a JSON array of at most 20 objects with reference, canonical, identifier, type and role"
            }
            Self::Empty => "each item of fhirContext needs reference, canonical or identifier",
            Self::Reference => "reference in fhirContext must be Type/id on this server",
            Self::Value => {
                "in fhirContext, canonical must be an absolute URI, type a resource type, and role a name or an absolute URI"
            }
            Self::OwnParameter => {
                "Patient and Encounter stand in patient and encounter; in fhirContext they need a role other than launch"
            }
            Self::StyleUrl => "smart_style_url must be an https URL",
            Self::Text => "intent and tenant must have at most 512 characters and no control characters",
        }
    }
}

/// An item of `fhirContext`: "at least one of reference, canonical, identifier".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextItem {
    /// A resource on this server.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "write_local", deserialize_with = "read_local")]
    pub reference: Option<LocalReference>,
    /// A canonical URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// A FHIR Identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Map<String, Value>>,
    /// The resource type of what canonical or identifier mean.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// What the item is for; absent: `launch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

fn write_local<S: Serializer>(reference: &Option<LocalReference>, serializer: S) -> Result<S::Ok, S::Error> {
    reference.as_ref().map(ToString::to_string).serialize(serializer)
}

fn read_local<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LocalReference>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| LocalReference::parse(&text).ok_or_else(|| serde::de::Error::custom("not Type/id"));
    text.map(parse).transpose()
}

impl ContextItem {
    fn check(&self) -> Result<(), ContextError> {
        if self.reference.is_none() && self.canonical.is_none() && self.identifier.is_none() {
            return Err(ContextError::Empty);
        }
        // The identifier is told and never followed; it must hold what makes one (FHIR R4, Identifier).
        if self.identifier.as_ref().is_some_and(|identifier| !identifier.get("value").is_some_and(Value::is_string)) {
            return Err(ContextError::Empty);
        }
        let is_uri = |text: &str| text.len() <= MAXIMUM_TEXT_BYTES && url::Url::parse(text).is_ok();
        let is_name =
            |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let named = self.resource_type.as_deref().map(ResourceType::parse);
        let sound = self.canonical.as_deref().is_none_or(is_uri)
            && self.role.as_deref().is_none_or(|role| is_name(role) || is_uri(role))
            && named.is_none_or(|named| named.is_some());
        if !sound {
            return Err(ContextError::Value);
        }
        let types = [self.reference.as_ref().map(|reference| reference.resource_type), named.flatten()];
        let has_own = types.into_iter().flatten().any(|of| of == ResourceType::PATIENT || of == ResourceType::ENCOUNTER);
        if has_own && self.role.as_deref().is_none_or(|role| role == LAUNCH_ROLE) {
            return Err(ContextError::OwnParameter);
        }
        Ok(())
    }
}

/// What the person chose, instead of an EHR that named it: for as long as which capability it stays in context. Never told to an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ByChoice {
    /// The patient.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub patient: bool,
    /// The encounter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encounter: bool,
}

impl ByChoice {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Context parameters beside the patient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextParameters {
    /// `encounter`: the id of the encounter in context.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_id", deserialize_with = "read_id")]
    pub encounter: Option<LogicalId>,
    /// `fhirContext`: whatever else the person had open.
    #[serde(rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<ContextItem>,
    /// `need_patient_banner`: whether the app must say whose record it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    /// `intent`: what the person wants to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// `smart_style_url`: how the EHR looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    /// `tenant`: the organisation, where several share an EHR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// How they came into context; kept with a grant.
    #[serde(skip_serializing_if = "ByChoice::is_nothing")]
    pub by_choice: ByChoice,
}

fn write_id<S: Serializer>(id: &Option<LogicalId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(LogicalId::as_str).serialize(serializer)
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LogicalId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| LogicalId::parse(&text).ok_or_else(|| serde::de::Error::custom("not an id"));
    text.map(parse).transpose()
}

impl ContextParameters {
    /// Reads the value of `fhirContext`.
    pub fn parse_fhir_context(text: &str) -> Result<Vec<ContextItem>, ContextError> {
        let items: Vec<Value> = serde_json::from_str(text).map_err(|_| ContextError::Form)?;
        if items.len() > MAXIMUM_CONTEXT_ITEMS {
            return Err(ContextError::Form);
        }
        let read = |item: Value| {
            let reference = item.get("reference").map(|reference| reference.as_str().and_then(LocalReference::parse));
            if reference.is_some_and(|reference| reference.is_none()) {
                return Err(ContextError::Reference);
            }
            let item: ContextItem = serde_json::from_value(item).map_err(|_| ContextError::Form)?;
            item.check().map(|()| item)
        };
        items.into_iter().map(read).collect()
    }

    /// Checks all parameters.
    pub fn check(&self) -> Result<(), ContextError> {
        if self.fhir_context.len() > MAXIMUM_CONTEXT_ITEMS {
            return Err(ContextError::Form);
        }
        self.fhir_context.iter().try_for_each(ContextItem::check)?;
        let is_https = |text: &String| {
            text.len() <= 2048
                && url::Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host() && url.username().is_empty())
        };
        if self.smart_style_url.as_ref().is_some_and(|url| !is_https(url)) {
            return Err(ContextError::StyleUrl);
        }
        let is_plain = |text: &String| text.len() <= MAXIMUM_TEXT_BYTES && !text.chars().any(char::is_control);
        if ![&self.intent, &self.tenant].into_iter().flatten().all(is_plain) {
            return Err(ContextError::Text);
        }
        Ok(())
    }

    /// The resources on this server that they name, beside the patient: whoever is told of them must be able to see them.
    pub fn references(&self) -> impl Iterator<Item = LocalReference> {
        let encounter = self.encounter.clone().map(|id| LocalReference { resource_type: ResourceType::ENCOUNTER, id });
        let items = self.fhir_context.iter().filter_map(|item| item.reference.clone());
        encounter.into_iter().chain(items)
    }

    /// The parameters by their names on the wire, as they stand in the token response and in introspection; absent ones are absent.
    pub fn members(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut members)) => {
                members.remove("by_choice");
                members
            }
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(items: Value) -> ContextError {
        ContextParameters::parse_fhir_context(&items.to_string()).unwrap_err()
    }

    #[test]
    fn an_item_of_another_shape_is_refused() {
        portcullis_verifies::verifies!("SMART-47");
        assert_eq!(ContextParameters::parse_fhir_context("{}"), Err(ContextError::Form));
        assert_eq!(ContextParameters::parse_fhir_context("[1]"), Err(ContextError::Form));
        assert_eq!(ContextParameters::parse_fhir_context(""), Err(ContextError::Form));
        assert_eq!(refused(json!([{"reference": "DiagnosticReport/1", "url": "x"}])), ContextError::Form);
        assert_eq!(refused(Value::from(vec![json!({"reference": "DiagnosticReport/1"}); 21])), ContextError::Form);
        assert_eq!(refused(json!([{}])), ContextError::Empty);
        assert_eq!(refused(json!([{"role": "x"}])), ContextError::Empty);
        assert_eq!(refused(json!([{"identifier": {}}])), ContextError::Empty);
        for reference in ["https://elsewhere.example/DiagnosticReport/1", "DiagnosticReport", "#x", "", "Nothing/1"] {
            assert_eq!(refused(json!([{"reference": reference}])), ContextError::Reference, "{reference}");
        }
        assert_eq!(refused(json!([{"reference": 1}])), ContextError::Reference);
        assert_eq!(refused(json!([{"canonical": "not a uri"}])), ContextError::Value);
        assert_eq!(refused(json!([{"canonical": "https://q.example/Q", "type": "Nothing"}])), ContextError::Value);
        for role in ["", "two words", "<b>"] {
            assert_eq!(refused(json!([{"reference": "DiagnosticReport/1", "role": role}])), ContextError::Value, "{role:?}");
        }
    }

    #[test]
    fn patient_and_encounter_have_parameters_of_their_own() {
        portcullis_verifies::verifies!("SMART-47");
        for item in [
            json!({"reference": "Patient/ann"}),
            json!({"reference": "Encounter/1", "role": "launch"}),
            json!({"identifier": {"value": "1"}, "type": "Patient"}),
        ] {
            assert_eq!(refused(json!([item])), ContextError::OwnParameter, "{item}");
        }
        let role = json!([{"reference": "Patient/mother", "role": "https://roles.example/mother"}]).to_string();
        assert_eq!(ContextParameters::parse_fhir_context(&role).unwrap().len(), 1);
    }

    #[test]
    fn texts_and_addresses_are_bounded() {
        let of = |change: fn(&mut ContextParameters)| {
            let mut parameters = ContextParameters::default();
            change(&mut parameters);
            parameters.check()
        };
        assert_eq!(of(|parameters| parameters.smart_style_url = Some("http://h/style.json".into())), Err(ContextError::StyleUrl));
        assert_eq!(of(|parameters| parameters.smart_style_url = Some("https://user@h/".into())), Err(ContextError::StyleUrl));
        assert_eq!(of(|parameters| parameters.intent = Some("a\nb".into())), Err(ContextError::Text));
        assert_eq!(of(|parameters| parameters.tenant = Some("x".repeat(513))), Err(ContextError::Text));
        assert_eq!(of(|parameters| parameters.tenant = Some("ward-7".into())), Ok(()));
    }

    #[test]
    fn members_have_the_types_of_the_specification_and_read_back() {
        portcullis_verifies::verifies!("SMART-46", "SMART-47");
        let items = json!([{"reference": "DiagnosticReport/1"}, {"canonical": "https://q.example/Q|1", "type": "Questionnaire"},
            {"identifier": {"system": "urn:x", "value": "1"}, "type": "Organization", "role": "referrer"}]);
        let parameters = ContextParameters {
            by_choice: ByChoice { patient: true, encounter: true },
            encounter: LogicalId::parse("enc-1"),
            fhir_context: ContextParameters::parse_fhir_context(&items.to_string()).unwrap(),
            need_patient_banner: Some(false),
            intent: Some("summary".into()),
            smart_style_url: Some("https://h/style.json".into()),
            tenant: Some("ward".into()),
        };
        assert_eq!(parameters.check(), Ok(()));
        let members = Value::Object(parameters.members());
        let expected = json!({"encounter": "enc-1", "fhirContext": items, "need_patient_banner": false, "intent": "summary",
            "smart_style_url": "https://h/style.json", "tenant": "ward"});
        assert_eq!(members, expected);
        let told = ContextParameters { by_choice: ByChoice::default(), ..parameters.clone() };
        assert_eq!(serde_json::from_value::<ContextParameters>(members).unwrap(), told);
        let kept = serde_json::to_string(&parameters).unwrap();
        assert_eq!(serde_json::from_str::<ContextParameters>(&kept).unwrap(), parameters);
        let references: Vec<String> = parameters.references().map(|reference| reference.to_string()).collect();
        assert_eq!(references, ["Encounter/enc-1", "DiagnosticReport/1"]);
        assert!(ContextParameters::default().members().is_empty());
    }
}
