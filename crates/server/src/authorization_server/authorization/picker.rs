//! The patient picker: whose record an app is to see, for whoever may open more than one; and the picker of one of the patient's visits.
//!
//! It is a form that is posted, so that no name that somebody looks for gets into an address.

use http::StatusCode;
use portcullis_fhir::types::LogicalId;

use super::authorize::{Shown, Understood};
use super::consent::handle;
use super::encounters::Encounters;
use super::launch_context::Chosen;
use super::people::{self, Choices, Wanted};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::reply;
use crate::authorization_server::session::SignedIn;
use crate::context::Server;
use crate::ui::pages::{EncounterPickerPage, PatientPickerPage};

/// The page with these people.
pub fn page(server: &Server, understood: &Understood, signed_in: &SignedIn, wanted: &Wanted, choices: Choices) -> Shown {
    let patients = choices.people.iter().map(|person| person.id.clone()).collect();
    let session = signed_in.session.id.as_str();
    let html = PatientPickerPage {
        reader: signed_in.reader.clone().at(&understood.path_with_proof()),
        app_name: super::asking_app::shown_name(&understood.client),
        person_name: signed_in.user.display_name.clone(),
        can_search: choices.next.is_some() || wanted.cursor.is_some() || !wanted.name.is_empty(),
        name: wanted.name.clone(),
        people: choices.people,
        next: choices.next,
        csrf: server.form_tokens.token(Purpose::Consent, session),
        request_handle: handle(&Chosen::default(), &understood.query),
        return_to: understood.path(),
    };
    let origin = understood.request.redirect.origin();
    Shown { draft: reply::page(StatusCode::OK, html.render(), Some(origin)), patients }
}

/// The page with these visits of a patient; without any it says so.
pub async fn encounters(
    server: &Server,
    understood: &Understood,
    signed_in: &SignedIn,
    patient: &LogicalId,
    visits: Encounters,
) -> Shown {
    let choice = people::choice(server, &signed_in.user, patient).await;
    let patients = choice.iter().map(|choice| choice.id.clone()).collect();
    let chosen = Chosen { patient: Some(patient.clone()), ..Chosen::default() };
    let html = EncounterPickerPage {
        reader: signed_in.reader.clone().at(&understood.path_with_proof()),
        app_name: super::asking_app::shown_name(&understood.client),
        person_name: signed_in.user.display_name.clone(),
        patient_name: choice.unwrap_or_else(|| people::unnamed(patient)).shown_name(&signed_in.reader),
        encounters: visits.encounters,
        next: visits.next,
        csrf: server.form_tokens.token(Purpose::Consent, signed_in.session.id.as_str()),
        request_handle: handle(&chosen, &understood.query),
        return_to: understood.path(),
    };
    let origin = understood.request.redirect.origin();
    Shown { draft: reply::page(StatusCode::OK, html.render(), Some(origin)), patients }
}
