//! Rules of the operator: what a file may say, what the rules decide, and an independent model of how they meet.

mod decisions;
mod files;
mod hidden_parts;
mod model;
mod widening;

use std::sync::Arc;

use portcullis_fhir::interaction::Read;
use portcullis_fhir::labels::{Clearance, Clearances, LabelPolicy, Labels, Security};
use portcullis_fhir::reference::LocalReference;
use portcullis_fhir::types::{LogicalId, ResourceType};
use portcullis_oauth::identifiers::{ClientId, UserId};
use portcullis_oauth::principal::{Circumstances, Imagined, ImplicitPolicy, Principal, PrincipalUser, PurposeOfUse};
use portcullis_oauth::scopes::ScopeSet;
use portcullis_oauth::users::Role;

use super::{OperatorRules, Problem};
use crate::decision::{Basis, Decision, DecisionId, Denial};
use crate::stored::StoredVersion;
use crate::{Consulted, InCare, Operation, Permit, Relationship, Unreleased, decide};

const BASE: &str = "https://fhir.example/fhir";
/// Monday, 2026-11-23T10:00:00Z.
const MONDAY: i64 = 1_795_428_000;

fn id(text: &str) -> LogicalId {
    LogicalId::parse(text).unwrap()
}

fn kind(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

fn parse(text: &str) -> Result<OperatorRules, Vec<Problem>> {
    OperatorRules::parse(text, BASE, &|_| None)
}

fn rules(text: &str) -> Arc<OperatorRules> {
    Arc::new(parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")))
}

/// Who asks, and how.
#[derive(Clone, Debug)]
struct Asking<'a> {
    roles: &'a [Role],
    user: &'a str,
    fhir_user: Option<&'a str>,
    patients: &'a [&'a str],
    client: &'a str,
    scopes: &'a str,
    purpose: Option<&'a str>,
    address: Option<&'a str>,
    at: i64,
}

const CLINICIAN: Asking<'_> = Asking {
    roles: &[Role::Clinician],
    user: "u-dr",
    fhir_user: Some("Practitioner/dr"),
    patients: &[],
    client: "app",
    scopes: "user/*.cruds",
    purpose: None,
    address: Some("10.1.2.3"),
    at: MONDAY,
};
const STAFF: Asking<'_> = Asking { roles: &[Role::Staff], user: "u-desk", fhir_user: Some("Practitioner/desk"), ..CLINICIAN };
const PATIENT: Asking<'_> =
    Asking { roles: &[Role::Patient], user: "u-p", fhir_user: Some("Patient/p"), patients: &["p"], ..CLINICIAN };

impl Asking<'_> {
    fn principal(&self) -> Principal {
        self.under(Clearances { clinician: Clearance::FULL, ..Clearances::default() })
    }

    /// The same where the operator decided this about labels.
    fn under(&self, labels: impl Into<LabelPolicy>) -> Principal {
        let user = PrincipalUser {
            id: UserId::parse(self.user).unwrap(),
            roles: self.roles.iter().copied().collect(),
            fhir_user: self.fhir_user.map(|text| LocalReference::parse(text).unwrap()),
            patients: self.patients.iter().map(|text| id(text)).collect(),
            represents: Vec::new(),
        };
        let address = self.address.map(|text| text.parse().unwrap());
        let scopes = ScopeSet::parse(self.scopes).unwrap();
        let imagined = Imagined {
            client: ClientId::parse(self.client).unwrap(),
            user: (!self.roles.is_empty()).then_some(user),
            registered: Some(scopes.clone()),
            scopes,
            patient: None,
            purposes: Default::default(),
            stated: self.purpose.map(|code| PurposeOfUse::parse(code).unwrap()),
            client_clearance: Clearance::FULL,
            circumstances: Circumstances {
                address,
                now: self.at * 1000,
                base_url: BASE.into(),
                implicit: ImplicitPolicy::AllNormal,
                membership: Default::default(),
            },
        };
        Principal::imagined(imagined, labels)
    }

    fn decides(&self, rules: &Arc<OperatorRules>, operation: Operation) -> Result<Permit, Denial> {
        let basis = Basis { id: DecisionId(1), rules: Arc::clone(rules) };
        match decide(basis, &self.principal(), operation) {
            Decision::Permit(permit, _) => Ok(permit),
            Decision::Deny(denial) => Err(denial),
        }
    }

    fn reads(&self, rules: &Arc<OperatorRules>, name: &str) -> Result<Permit, Denial> {
        self.decides(rules, Operation::Read(Read { resource_type: kind(name), id: id("x") }))
    }
}

/// What a record and an explanation say of the rules: those of the operator alone.
fn said(trace: &crate::decision::Trace) -> Vec<String> {
    let said = trace.0.iter().filter(|verdict| !verdict.effect.is_silent()).map(ToString::to_string);
    said.filter(|text| text.starts_with("rule:")).collect()
}

/// A version of patient `p`.
fn version(name: &str, labels: &[&str], more: &str) -> StoredVersion {
    let body = format!(r#"{{"resourceType":"{name}","id":"x"{more}}}"#);
    let labels = labels.iter().fold(Labels::NONE, |all, code| all | Labels::named(code).unwrap());
    StoredVersion {
        resource_type: kind(name),
        id: id("x"),
        version: id("v"),
        last_updated: 0,
        patients: vec![id("p")],
        security: Security { labels, ..Security::NONE },
        grounds: Vec::new(),
        body: Some(body.into_bytes()),
    }
}

/// Whether the permit releases a version where the asker has this relationship to its patient.
fn releases(permit: &Permit, relationship: Relationship, version: &StoredVersion) -> bool {
    let in_care: InCare = vec![(relationship, id("p"))];
    let found = Unreleased::new(DecisionId(1), in_care, Some(version.clone())).consulting(Consulted::nobody_has_any());
    permit.release(found).is_ok()
}
