//! What an app gets in context: from a launch out of the EHR, or by the person's choice of a patient and a visit.
//!
//! SMART App Launch 2.2.0, "Scopes for requesting context data". Whatever comes into context must be something that the signed-in person may see,
//! which is decided by reading it as that person; what is hidden is answered as what is not there. The decision is made anew for each page and again
//! when the app is allowed: the forms carry what was chosen, and what they carry proves nothing.

use portcullis_fhir::types::LogicalId;
use portcullis_oauth::authorize::{AuthorizationError, AuthorizationRequest};
use portcullis_oauth::capabilities::Capability;
use portcullis_oauth::launch::{ByChoice, ContextParameters, Launch, LaunchRefusal, LaunchState};
use portcullis_oauth::scopes::ScopeKind;

use super::authorize::{Shown, Understood};
use super::encounters;
use super::people::{self, Wanted};
use super::picker;
use super::stop::{Stop, refuse};
use crate::authorization_server::developers;
use crate::authorization_server::session::SignedIn;
use crate::context::Server;
use crate::ui::assets;

/// The file that says how this server looks (SMART App Launch 2.2.0, "Styling").
pub const STYLE: &str = "smart-style.json";

/// What the person has chosen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The patient.
    pub patient: Option<LogicalId>,
    /// The visit.
    pub encounter: ChosenEncounter,
}

/// What the person has said about a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChosenEncounter {
    /// Nothing yet.
    #[default]
    Open,
    /// To go on without one, as there is none.
    Without,
    /// This one.
    One(LogicalId),
}

impl Chosen {
    /// The form in which a page's form carries it: patient, and after a slash the visit, which is empty for [`ChosenEncounter::Without`].
    pub fn to_text(&self) -> String {
        let patient = self.patient.as_ref().map(LogicalId::as_str).unwrap_or_default();
        match &self.encounter {
            ChosenEncounter::Open => patient.to_owned(),
            ChosenEncounter::Without => format!("{patient}/"),
            ChosenEncounter::One(id) => format!("{patient}/{id}"),
        }
    }

    /// Reads it back; `None` for what no form of ours carries.
    pub fn parse(text: &str) -> Option<Self> {
        let (patient, encounter) = match text.split_once('/') {
            None => (text, ChosenEncounter::Open),
            Some((patient, "")) => (patient, ChosenEncounter::Without),
            Some((patient, id)) => (patient, ChosenEncounter::One(LogicalId::parse(id)?)),
        };
        let patient = if patient.is_empty() { None } else { Some(LogicalId::parse(patient)?) };
        Some(Self { patient, encounter })
    }
}

/// What follows.
pub enum Next {
    /// The person chooses.
    Page(Shown),
    /// All is known; every part of it is something that the person may see.
    Decided(Chosen),
}

/// The launch whose handle a request brings.
pub async fn presented(server: &Server, request: &AuthorizationRequest) -> Result<Option<Box<Launch>>, Stop> {
    let Some(hash) = &request.launch else { return Ok(None) };
    let found = server.registry.launch(hash).await?;
    let launch = LaunchState::presented(found, &request.client, server.clock.now_seconds());
    launch.map(Some).map_err(|refusal| refused(request, refusal))
}

/// The answer to an app whose launch does not count.
pub fn refused(request: &AuthorizationRequest, refusal: LaunchRefusal) -> Stop {
    let (error, description) = refusal.on_the_wire();
    refuse(request, error, description)
}

/// The answer where something is in context that the person may not see, or that is not there.
pub fn denied(understood: &Understood) -> Stop {
    refuse(&understood.request, AuthorizationError::AccessDenied, "this person may not open that record")
}

/// Decides what is in context, or asks the person.
pub async fn next(server: &Server, understood: &Understood, signed_in: &SignedIn, chosen: Chosen) -> Result<Next, Stop> {
    let user = &signed_in.user;
    if !developers::may_connect(server, &understood.client, user) {
        return Err(refuse(&understood.request, AuthorizationError::AccessDenied, developers::DEVELOPERS_ALONE));
    }
    if let Some(launch) = &understood.launch {
        launch.admits(&user.id).map_err(|refusal| refused(&understood.request, refusal))?;
    }
    let patient = match patient(server, understood, signed_in, chosen.patient).await? {
        Choice::Page(shown) => return Ok(Next::Page(shown)),
        Choice::Made(patient) => patient,
    };
    let encounter = match encounter(server, understood, signed_in, (patient.as_ref(), chosen.encounter)).await? {
        Choice::Page(shown) => return Ok(Next::Page(shown)),
        Choice::Made(encounter) => encounter,
    };
    for reference in understood.launch.iter().flat_map(|launch| launch.context.references()) {
        if !people::can_open(server, user, &reference).await {
            return Err(denied(understood));
        }
    }
    Ok(Next::Decided(Chosen { patient, encounter }))
}

enum Choice<T> {
    Page(Shown),
    Made(T),
}

async fn patient(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
    chosen: Option<LogicalId>,
) -> Result<Choice<Option<LogicalId>>, Stop> {
    let user = &signed_in.user;
    let capabilities = server.settings.authorization.capabilities;
    let launched = understood.launch.as_ref().and_then(|launch| launch.patient.clone());
    let launched = launched.filter(|_| capabilities.has(Capability::ContextEhrPatient));
    if launched.is_none() && understood.request.scopes.needs_patient() {
        // Standalone, no such scope is left; an EHR that names no patient comes here.
        let chosen = capabilities.check(Capability::ContextStandalonePatient);
        chosen.map_err(|off| refuse(&understood.request, AuthorizationError::InvalidScope, off))?;
    }
    // Without a scope that is about a patient there is none in context, whatever a form says.
    let named = launched.or_else(|| chosen.filter(|_| understood.request.scopes.needs_patient()));
    if let Some(id) = named {
        people::choice(server, user, &id).await.ok_or_else(|| denied(understood))?;
        return Ok(Choice::Made(Some(id)));
    }
    if !understood.request.scopes.needs_patient() {
        return Ok(Choice::Made(None));
    }
    let wanted = Wanted::default();
    let choices = people::choices(server, user, &wanted).await;
    match (choices.people.as_slice(), choices.next.is_some()) {
        ([only], false) => Ok(Choice::Made(LogicalId::parse(&only.id))),
        // Whoever may open no record is told so, instead of being sent back to an app that cannot say why.
        _ => Ok(Choice::Page(picker::page(server, understood, signed_in, &wanted, choices))),
    }
}

async fn encounter(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
    (patient, chosen): (Option<&LogicalId>, ChosenEncounter),
) -> Result<Choice<ChosenEncounter>, Stop> {
    let user = &signed_in.user;
    let launched = understood.launch.as_ref().and_then(|launch| launch.context.encounter.clone());
    let capabilities = server.settings.authorization.capabilities;
    let launched = launched.filter(|_| capabilities.has(Capability::ContextEhrEncounter));
    let wanted =
        understood.request.scopes.has(ScopeKind::LaunchEncounter) && capabilities.has(Capability::ContextStandaloneEncounter);
    let named = match (launched, chosen) {
        (Some(launched), _) => Some(launched),
        (None, _) if !wanted => return Ok(Choice::Made(ChosenEncounter::Without)),
        (None, ChosenEncounter::Without) => return Ok(Choice::Made(ChosenEncounter::Without)),
        (None, ChosenEncounter::One(id)) => Some(id),
        (None, ChosenEncounter::Open) => None,
    };
    let patient = patient.ok_or_else(|| denied(understood))?;
    if let Some(id) = named {
        // A visit of another patient is none of this one's.
        encounters::choice(server, user, patient, &id).await.ok_or_else(|| denied(understood))?;
        return Ok(Choice::Made(ChosenEncounter::One(id)));
    }
    let visits = encounters::choices(server, user, patient, None).await;
    match (visits.encounters.as_slice(), visits.next.is_some()) {
        ([only], false) => Ok(Choice::Made(LogicalId::parse(&only.id).map_or(ChosenEncounter::Open, ChosenEncounter::One))),
        _ => Ok(Choice::Page(picker::encounters(server, understood, signed_in, patient, visits).await)),
    }
}

/// The context parameters that go with a grant, beside the patient.
pub fn parameters(server: &Server, understood: &Understood, context: &Chosen) -> ContextParameters {
    let mut parameters = understood.launch.as_ref().map(|launch| launch.context.clone()).unwrap_or_default();
    parameters.encounter = match &context.encounter {
        ChosenEncounter::One(id) => Some(id.clone()),
        ChosenEncounter::Open | ChosenEncounter::Without => None,
    };
    let named = |of: fn(&Launch) -> bool| understood.launch.as_ref().is_some_and(|launch| of(launch));
    let capabilities = server.settings.authorization.capabilities;
    parameters.by_choice = ByChoice {
        patient: context.patient.is_some()
            && !(named(|launch| launch.patient.is_some()) && capabilities.has(Capability::ContextEhrPatient)),
        encounter: parameters.encounter.is_some()
            && !(named(|launch| launch.context.encounter.is_some()) && capabilities.has(Capability::ContextEhrEncounter)),
    };
    if context.patient.is_some() {
        // We show no patient beside the app.
        parameters.need_patient_banner.get_or_insert(true);
    }
    if context.patient.is_some() || understood.launch.is_some() {
        parameters.smart_style_url.get_or_insert_with(|| format!("{}{}", server.settings.public_url, assets::url(STYLE)));
    }
    capabilities.context(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_reads_back_and_what_no_form_carries_does_not() {
        let id = LogicalId::parse("pat-1");
        let visit = || ChosenEncounter::One(LogicalId::parse("-").unwrap());
        for encounter in [ChosenEncounter::Open, ChosenEncounter::Without, visit()] {
            let chosen = Chosen { patient: id.clone(), encounter };
            assert_eq!(Chosen::parse(&chosen.to_text()), Some(chosen));
        }
        assert_eq!(Chosen::parse(""), Some(Chosen::default()));
        for text in ["é/x", "a b", "pat-1/enc/1", "pat-1/é", " "] {
            assert_eq!(Chosen::parse(text), None, "{text}");
        }
    }
}
