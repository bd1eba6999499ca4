//! What a write of a Consent refuses: whatever this server could not enforce as it stands, each with its place and a reason.
//!
//! A consent that is kept and not obeyed is worse than one that is refused: the patient believes in it. Withdrawn consents (rejected, inactive, entered in error)
//! decide nothing, so that only their head is checked: what is wrong can always be taken back. Other scopes than privacy are stored and not decided.

use portcullis_fhir::json::Value;
use portcullis_fhir::outcome::{Issue, IssueType};
use portcullis_fhir::reference::{LocalReference, Reference};
use portcullis_fhir::resource::Resource;
use portcullis_fhir::types::{LogicalId, ResourceType};

use super::compiled::{self, CompiledConsent, Context, Standing, has_known_scope, is_privacy};
use super::document::{ConsentDocument, Provision, Status};
use super::profiles::{self, Profile};
use super::rows::rows;

/// How many levels may be nested in the outermost provision.
const MAXIMUM_DEPTH: usize = 4;
/// How many provisions a consent may have.
const MAXIMUM_PROVISIONS: usize = 64;
/// How many values may narrow all provisions of a consent together.
const MAXIMUM_CRITERIA: usize = 500;

/// What is wrong with a Consent that somebody wants to store; nothing: it may be stored. With a profile, what it does not allow is wrong as well.
pub fn check(resource: &Resource, context: &Context<'_>, profile: Option<Profile>) -> Vec<Issue> {
    let mut issues = match ConsentDocument::read(resource, context.base_url) {
        Ok(document) => issues_of(&document, context, profile),
        Err(issues) => {
            let status = resource.body().member("status").and_then(Value::as_str).and_then(Status::parse);
            if status.is_some_and(Status::is_withdrawn) { Vec::new() } else { issues }
        }
    };
    issues.truncate(Resource::MAXIMUM_ISSUES);
    issues
}

/// Whether a consent that is there has a head, one patient and a size as a write asks for: what has not, was stored by something else, and denies everything.
pub(super) fn is_sound(document: &ConsentDocument, patient: &LogicalId) -> bool {
    let mut findings = Findings(Vec::new());
    findings.head(document);
    findings.one_patient(document, patient);
    let too_large = document.provision.as_ref().is_some_and(|provision| findings.too_large(provision));
    !too_large && findings.0.is_empty()
}

fn issues_of(document: &ConsentDocument, context: &Context<'_>, profile: Option<Profile>) -> Vec<Issue> {
    let mut findings = Findings(Vec::new());
    let patient = findings.head(document);
    if document.status.is_withdrawn() || !is_privacy(document) {
        return findings.0;
    }
    let Some(patient) = patient else { return findings.0 };
    findings.one_patient(document, &patient);
    if document.provision.as_ref().is_some_and(|provision| findings.too_large(provision)) {
        return findings.0;
    }
    match compiled::tree(document, context, &patient) {
        Err(wrong) => findings.0.extend(wrong),
        Ok(_) => findings.searchable(document, context, patient),
    }
    findings.0.extend(profiles::check(document, profile));
    findings.0
}

struct Findings(Vec<Issue>);

impl Findings {
    fn refuse(&mut self, code: IssueType, reason: &str, expression: impl Into<String>) {
        self.0.push(Issue::error(code, reason).at(expression));
    }

    /// What every Consent needs: scope, patient, and a policy (invariants ppc-1 to ppc-5, of which the published ones never fire but for the first).
    fn head(&mut self, document: &ConsentDocument) -> Option<LogicalId> {
        if !has_known_scope(document) {
            let reason = "scope must be patient-privacy, treatment, research or adr of http://terminology.hl7.org/CodeSystem/consentscope.";
            self.refuse(IssueType::Value, reason, "Consent.scope");
        }
        if document.policies.is_empty() && document.policy_rule.is_none() {
            let reason = "A consent is to a policy: give policy or policyRule (invariant ppc-1).";
            self.refuse(IssueType::Required, reason, "Consent.policyRule");
        }
        match &document.patient {
            Some(Reference::Local(LocalReference { resource_type: ResourceType::PATIENT, id })) => return Some(id.clone()),
            _ if document.has_patient => {
                let reason = "The patient must be a Patient of this server, by a reference.";
                self.refuse(IssueType::Value, reason, "Consent.patient");
            }
            _ => self.refuse(IssueType::Required, "A consent needs its patient (invariants ppc-2 to ppc-5).", "Consent.patient"),
        }
        None
    }

    /// A consent names one patient: nobody gives it, or confirms it, as another.
    fn one_patient(&mut self, document: &ConsentDocument, patient: &LogicalId) {
        let is_other = |reference: &Option<Reference>| match reference {
            Some(Reference::Local(local)) => local.resource_type == ResourceType::PATIENT && local.id != *patient,
            _ => false,
        };
        for (index, _) in document.performers.iter().enumerate().filter(|(_, performer)| is_other(performer)) {
            let reason = "Another patient cannot give this consent: name the patient, or a RelatedPerson.";
            self.refuse(IssueType::Invalid, reason, format!("Consent.performer[{index}]"));
        }
        for (index, _) in document.verified_with.iter().enumerate().filter(|(_, with)| is_other(with)) {
            let reason = "Another patient cannot confirm this consent.";
            self.refuse(IssueType::Invalid, reason, format!("Consent.verification[{index}].verifiedWith"));
        }
        let own = document.id.as_ref().map(|id| LocalReference { resource_type: ResourceType::CONSENT, id: id.clone() });
        if own.is_some_and(|own| document.source == Some(Reference::Local(own))) {
            self.refuse(IssueType::Invalid, "A consent cannot be its own source.", "Consent.sourceReference");
        }
    }

    /// Searches decide by rows, and there are limits to these.
    fn searchable(&mut self, document: &ConsentDocument, context: &Context<'_>, patient: LogicalId) {
        let id = document.id.clone().unwrap_or_else(|| patient.clone());
        let compiled = CompiledConsent::of(document, context, (id, patient), Standing::Unverified);
        if let Some(Err(problem)) = compiled.map(|compiled| rows(&compiled)) {
            let reason = format!("The consent is too involved: {problem}.");
            self.refuse(IssueType::TooLong, &reason, "Consent.provision");
        }
    }

    fn too_large(&mut self, root: &Provision) -> bool {
        let all = root.all();
        let criteria: usize = all.iter().map(|provision| provision.narrowings()).sum();
        let limits = [
            (root.depth() > MAXIMUM_DEPTH, format!("Provisions may be nested {MAXIMUM_DEPTH} levels deep.")),
            (all.len() > MAXIMUM_PROVISIONS, format!("A consent may have {MAXIMUM_PROVISIONS} provisions.")),
            (criteria > MAXIMUM_CRITERIA, format!("The provisions of a consent may have {MAXIMUM_CRITERIA} values together.")),
        ];
        let mut too_large = false;
        for (_, reason) in limits.iter().filter(|(exceeded, _)| *exceeded) {
            self.refuse(IssueType::TooLong, reason, "Consent.provision");
            too_large = true;
        }
        too_large
    }
}
