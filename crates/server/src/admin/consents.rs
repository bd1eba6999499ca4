//! `portcullis consents ...`: which Consents wait for a confirmation, who stands behind one, and the confirmation by an officer.
//!
//! A consent that a client wrote narrows at once and opens nothing before somebody has confirmed it (docs/adr/0018-consent-storage.md). The officer has the right
//! `verify-consents`, is not the one who wrote the version, and is not named in it; the store holds to that again in the transaction.

use portcullis_audit::record::{Event, OperationEntry};
use portcullis_fhir::types::LogicalId;
use portcullis_oauth::entitlements::Entitlement;
use portcullis_oauth::principal::OperatorOperation;
use portcullis_store::consents::{ConsentConfirmation, ConsentEntry, ConsentsListed, How};
use portcullis_store::registry::Change;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::protocol::{RefusalKind, Refused, Response};
use super::service::{Service, Task, invalid, registry_error};

/// What is to be done about consents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentRequest {
    /// Lists those that wait for a confirmation, or all of a patient.
    List {
        /// The patient's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patient: Option<String>,
    },
    /// Shows one as it is stored.
    Show {
        /// The id of the Consent.
        id: String,
    },
    /// Confirms the current version.
    Verify {
        /// The id of the Consent.
        id: String,
        /// The version that was looked at.
        version: String,
        /// The officer, by the name to sign in with.
        officer: String,
        /// `in-person`, `paper` or `telephone`.
        how: String,
    },
}

impl ConsentRequest {
    /// Which operation it is, and the words for the record.
    pub fn described(&self) -> (OperatorOperation, String) {
        match self {
            Self::List { patient: None } => {
                (OperatorOperation::ListConsents, "consents that wait for a confirmation listed".to_owned())
            }
            Self::List { patient: Some(patient) } => {
                (OperatorOperation::ListConsents, format!("consents of Patient/{patient} listed"))
            }
            Self::Show { id } => (OperatorOperation::ListConsents, format!("consent shown: {id}")),
            Self::Verify { id, version, officer, how } => {
                let described = format!("consent confirmed: Consent/{id} version {version} by {officer} ({how})");
                (OperatorOperation::VerifyConsents, described)
            }
        }
    }
}

/// A Consent in a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsentSummary {
    /// The id.
    pub id: String,
    /// The current version.
    pub version: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// `Consent.status`, or `deleted`.
    pub status: String,
    /// Whether the current version is confirmed.
    pub confirmed: bool,
    /// The version that was confirmed last; what it denies counts until another one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_version: Option<String>,
    /// By whom, how and when (seconds since the epoch) it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<(String, String, i64)>,
    /// Who stored the current version, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// The resource, where one is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Box<RawValue>>,
}

impl ConsentSummary {
    fn of(entry: &ConsentEntry, shown: bool) -> Self {
        let confirmed = entry.confirmed.as_ref();
        let text = entry.body.as_ref().filter(|_| shown).and_then(|body| String::from_utf8(body.clone()).ok());
        Self {
            id: entry.id.to_string(),
            version: entry.version.to_string(),
            patient: entry.patient.as_ref().map(ToString::to_string),
            status: entry.status.clone(),
            confirmed: entry.is_confirmed(),
            confirmed_version: confirmed.map(|last| last.version.clone()),
            confirmed_by: confirmed.map(|last| (last.by_whom.clone(), last.how.clone(), last.at)),
            writer: entry.writer.clone(),
            resource: text.and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

impl Service {
    /// Lists, shows or confirms.
    pub(super) async fn about_consents(&self, task: &Task, request: ConsentRequest) -> Result<Response, Refused> {
        let parse = |id: &str| LogicalId::parse(id).ok_or_else(|| invalid(&format!("'{id}' is no id of a resource.")));
        match request {
            ConsentRequest::List { patient } => {
                let which = match patient {
                    None => ConsentsListed::Waiting,
                    Some(patient) => ConsentsListed::OfPatient(parse(&patient)?),
                };
                let listed = self.listed(task, which).await?;
                self.record_listing(task, &listed).await?;
                Ok(Response::Consents(listed.iter().map(|entry| ConsentSummary::of(entry, false)).collect()))
            }
            ConsentRequest::Show { id } => {
                let entry = self.one(task, &id).await?;
                self.record_listing(task, std::slice::from_ref(&entry)).await?;
                Ok(Response::Consents(vec![ConsentSummary::of(&entry, true)]))
            }
            ConsentRequest::Verify { id, version, officer, how } => {
                let how = How::parse(&how).filter(|how| *how != How::Patient);
                let how = how.ok_or_else(|| invalid("How the patient's will was found out is in-person, paper or telephone."))?;
                let entry = self.one(task, &id).await?;
                self.confirm(task, &entry, (&version, &officer, how)).await
            }
        }
    }

    async fn confirm(
        &self,
        task: &Task,
        entry: &ConsentEntry,
        (version, officer, how): (&str, &str, How),
    ) -> Result<Response, Refused> {
        let registry = &self.server.registry;
        let failed = |error| registry_error(error, task.described());
        let user = registry.user_named(officer).await.map_err(failed)?;
        let user = user.ok_or_else(|| Refused::new(RefusalKind::NotFound, format!("There is no user '{officer}'.")))?;
        let rights = registry.entitlements_of(&user.id).await.map_err(failed)?;
        if !rights.contains(&Entitlement::VerifyConsents) {
            let reason = format!("'{officer}' does not have the right verify-consents. `portcullis users entitle` gives it.");
            return Err(Refused::new(RefusalKind::Denied, reason));
        }
        let confirmation = ConsentConfirmation {
            consent: entry.id.clone(),
            version: LogicalId::parse(version).ok_or_else(|| invalid(&format!("'{version}' is no version.")))?,
            person: user.fhir_user.as_ref().map(ToString::to_string),
            by: user.id,
            how,
        };
        let about = self.about(entry, "update");
        self.change_recorded(task, (Event::Administration, vec![about]), Change::ConfirmConsent(Box::new(confirmation))).await?;
        Ok(Response::Done)
    }

    async fn listed(&self, task: &Task, which: ConsentsListed) -> Result<Vec<ConsentEntry>, Refused> {
        self.server.registry.consents(which).await.map_err(|error| registry_error(error, task.described()))
    }

    async fn one(&self, task: &Task, id: &str) -> Result<ConsentEntry, Refused> {
        let absent = || Refused::new(RefusalKind::NotFound, format!("There is no Consent '{id}'."));
        let parsed = LogicalId::parse(id).ok_or_else(absent)?;
        self.listed(task, ConsentsListed::One(parsed)).await?.into_iter().next().ok_or_else(absent)
    }

    async fn record_listing(&self, task: &Task, listed: &[ConsentEntry]) -> Result<(), Refused> {
        let operations = listed.iter().map(|entry| self.about(entry, "read")).collect();
        self.change_recorded(task, (Event::Administration, operations), Change::Nothing).await
    }

    fn about(&self, entry: &ConsentEntry, interaction: &str) -> OperationEntry {
        OperationEntry {
            interaction: interaction.to_owned(),
            resource_type: Some("Consent".to_owned()),
            id: Some(entry.id.to_string()),
            version: Some(entry.version.to_string()),
            patients: entry.patient.iter().map(ToString::to_string).collect(),
            ..OperationEntry::default()
        }
    }
}

/// What a Consent provides, pretty-printed for people.
pub fn provision_of(resource: &RawValue) -> String {
    let parsed: Value = serde_json::from_str(resource.get()).unwrap_or_default();
    serde_json::to_string_pretty(&parsed).unwrap_or_default()
}
