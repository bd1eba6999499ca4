//! A file of tests: who asks, under what circumstances, for what, and what shall come of it.

use std::path::{Path, PathBuf};

use portcullis_fhir::labels::{Clearance, Clearances, Labels, Security};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_fhir::version::NewVersion;
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Circumstances, Imagined, ImplicitPolicy, Principal, PrincipalUser, PurposeOfUse};
use portcullis_oauth::purposes::PurposeFacts;
use portcullis_oauth::scopes::{Letter, ScopeSet};
use portcullis_oauth::users::Role;
use portcullis_policy::{InCare, Relationship, StoredVersion};
use serde::Deserialize;
use toml::Spanned;

use super::show::NO_BASE;

/// When a test happens that does not say when: a Monday at noon, 2026-01-05T12:00:00Z.
const NOON: i64 = 1_767_614_400;
/// The patient of a record that does not say whose it is and does not say so in its content.
const SOMEBODY: &str = "p";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The rules that are tested; relative to the file.
    pub rules: Option<PathBuf>,
    /// The tests.
    #[serde(default)]
    pub test: Vec<Spanned<Case>>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub name: String,
    user: Option<UserEntry>,
    #[serde(default = "some_client")]
    client: String,
    scopes: String,
    /// The patient in context.
    patient: Option<String>,
    purpose: Option<String>,
    /// The address.
    from: Option<String>,
    at: Option<toml::value::Datetime>,
    /// `read Patient/p`.
    ask: String,
    record: Option<RecordEntry>,
    /// What shall come of it.
    pub expect: Expected,
    /// The rules of the operator that shall have a part in it.
    #[serde(default)]
    pub by: Vec<String>,
}

/// What a test expects.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The request is let in, and the record is shown.
    Permit,
    /// The request is refused.
    Deny,
    /// The request is let in, and the record is not shown.
    Hidden,
}

impl Expected {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Hidden => "hidden",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    #[serde(default = "some_user")]
    id: String,
    roles: Vec<String>,
    fhir_user: Option<String>,
    #[serde(default)]
    patients: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordEntry {
    /// The resource as JSON.
    json: Option<String>,
    #[serde(default)]
    patients: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    /// The relationships of the user to its patients.
    #[serde(default)]
    related: Vec<String>,
}

fn some_client() -> String {
    "some-client".to_owned()
}

fn some_user() -> String {
    "some-user".to_owned()
}

/// What is asked for.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub principal: Principal,
    /// Of what type.
    pub resource_type: ResourceType,
    /// The record.
    pub id: LogicalId,
    /// To do what.
    pub letter: Letter,
    /// The record as it would be stored.
    pub version: StoredVersion,
    /// The user's relationships to its patients.
    pub in_care: InCare,
}

impl Cases {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let cases: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if cases.test.is_empty() {
            return Err(format!("{} has no [[test]]", path.display()));
        }
        Ok(cases)
    }
}

impl Case {
    /// What the test asks; else what cannot be understood.
    pub fn question(&self) -> Result<Question, String> {
        let (letter, resource_type, id) = asked(&self.ask)?;
        let record = self.record.as_ref();
        let version = version((resource_type, &id), record)?;
        let related = record.map(|record| record.related.as_slice()).unwrap_or_default();
        let mut in_care = InCare::new();
        for name in related {
            let relationship = if name == "care" { Some(Relationship::Care) } else { Relationship::parse(name) };
            let relationship = relationship.ok_or_else(|| {
                format!("record.related: '{name}' is none of care, organization, care-team, general-practitioner")
            })?;
            in_care.extend(version.patients.iter().map(|patient| (relationship, patient.clone())));
        }
        Ok(Question { principal: self.principal()?, resource_type, id, letter, version, in_care })
    }

    fn principal(&self) -> Result<Principal, String> {
        let scopes = ScopeSet::parse(&self.scopes).map_err(|_| format!("scopes: '{}' cannot be read", self.scopes))?;
        let patient =
            self.patient.as_deref().map(|text| LogicalId::parse(text).ok_or_else(|| format!("patient: '{text}' is no id")));
        let purpose = self.purpose.as_deref();
        let purpose =
            purpose.map(|code| PurposeOfUse::parse(code).ok_or_else(|| format!("purpose: '{code}' is no purpose of use")));
        let address = self.from.as_deref().map(|text| text.parse().map_err(|_| format!("from: '{text}' is no address")));
        let at = match &self.at {
            None => NOON,
            Some(at) => seconds(at).ok_or_else(|| format!("at: '{at}' is no time: write it as 2026-11-23T10:00:00Z"))?,
        };
        let stated = purpose.transpose()?;
        let imagined = Imagined {
            client: ClientId::parse(&self.client).ok_or_else(|| format!("client: '{}' is no client id", self.client))?,
            user: self.user.as_ref().map(UserEntry::user).transpose()?,
            registered: Some(scopes.clone()),
            scopes,
            patient: patient.transpose()?,
            purposes: PurposeFacts::default(),
            stated,
            client_clearance: Clearance::FULL,
            circumstances: Circumstances {
                address: address.transpose()?,
                now: at * 1000,
                base_url: NO_BASE.into(),
                implicit: ImplicitPolicy::AllNormal,
                membership: Default::default(),
            },
        };
        Ok(Principal::imagined(imagined, Clearances::default()))
    }
}

impl UserEntry {
    fn user(&self) -> Result<PrincipalUser, String> {
        let role = |name: &String| Role::parse(name).ok_or_else(|| format!("user.roles: '{name}' is no role"));
        let patient = |text: &String| LogicalId::parse(text).ok_or_else(|| format!("user.patients: '{text}' is no id"));
        let fhir_user = self.fhir_user.as_deref();
        let fhir_user =
            fhir_user.map(|text| LocalReference::parse(text).ok_or_else(|| format!("user.fhir_user: '{text}' is no reference")));
        Ok(PrincipalUser {
            id: UserId::parse(&self.id).ok_or_else(|| format!("user.id: '{}' is no user", self.id))?,
            roles: self.roles.iter().map(role).collect::<Result<_, _>>()?,
            fhir_user: fhir_user.transpose()?,
            patients: self.patients.iter().map(patient).collect::<Result<_, _>>()?,
            represents: Vec::new(),
        })
    }
}

fn asked(text: &str) -> Result<(Letter, ResourceType, LogicalId), String> {
    let wrong = || format!("ask: '{text}' is no question: write for example \"read Observation/17\" or \"search Patient\"");
    let (interaction, what) = text.split_once(' ').ok_or_else(wrong)?;
    let letter = match interaction {
        "create" => Letter::Create,
        "read" => Letter::Read,
        "update" => Letter::Update,
        "delete" => Letter::Delete,
        "search" => Letter::Search,
        _ => return Err(wrong()),
    };
    let (resource_type, id) = what.split_once('/').unwrap_or((what, "x"));
    Ok((letter, ResourceType::parse(resource_type).ok_or_else(wrong)?, LogicalId::parse(id).ok_or_else(wrong)?))
}

/// The record as it would be stored.
fn version((resource_type, id): (ResourceType, &LogicalId), record: Option<&RecordEntry>) -> Result<StoredVersion, String> {
    let json = record.and_then(|record| record.json.clone());
    let text = json.unwrap_or_else(|| format!(r#"{{"resourceType":"{resource_type}","id":"{id}"}}"#));
    let mut security = Security::NONE;
    for code in record.map(|record| record.labels.as_slice()).unwrap_or_default() {
        let label = Labels::named(code).ok_or_else(|| format!("record.labels: '{code}' is no label"))?;
        security.labels = security.labels | label;
    }
    let mut patients = Vec::new();
    for text in record.map(|record| record.patients.as_slice()).unwrap_or_default() {
        patients.push(LogicalId::parse(text).ok_or_else(|| format!("record.patients: '{text}' is no id"))?);
    }
    if let Ok(resource) = Resource::parse(text.as_bytes()) {
        if resource.resource_type() != resource_type {
            return Err(format!("record.json is a {} and not a {resource_type}", resource.resource_type()));
        }
        if let Ok(new) = NewVersion::of(resource, id.clone(), id.clone(), 0, NO_BASE)
            && patients.is_empty()
        {
            patients = new.patients;
        }
    } else if record.is_some_and(|record| record.json.is_some()) {
        return Err("record.json is no FHIR R4 resource".to_owned());
    }
    if patients.is_empty() {
        patients.extend(LogicalId::parse(SOMEBODY));
    }
    patients.sort_unstable();
    let body = Some(text.into_bytes());
    Ok(StoredVersion {
        resource_type,
        id: id.clone(),
        version: id.clone(),
        last_updated: 0,
        patients,
        security,
        grounds: Vec::new(),
        body,
    })
}

/// Seconds since the epoch of a date and time with its distance from UTC.
pub fn seconds(at: &toml::value::Datetime) -> Option<i64> {
    let (date, time) = (at.date?, at.time?);
    let ahead = match at.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    // Days from the civil calendar, counted from the first of March of year 0 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let month = (i64::from(date.month) + 9) % 12;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + i64::from(date.day)
        - 1
        - 719_468;
    Some(days * 86_400 + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0)) - ahead)
}
