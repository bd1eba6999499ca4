//! The patient picker: whose record an app is to see, for whoever may open more than one.
//!
//! It is a form that is posted, so that no name that somebody looks for gets into an address.

use http::StatusCode;

use super::authorize::{Shown, Understood};
use super::consent::handle;
use super::csrf::Purpose;
use super::people::{Choices, Wanted};
use super::reply;
use super::session::SignedIn;
use crate::context::Server;
use crate::ui::pages::PatientPickerPage;

/// The page with these people.
pub fn page(server: &Server, understood: &Understood, signed_in: &SignedIn, wanted: &Wanted, choices: Choices) -> Shown {
    let patients = choices.people.iter().map(|person| person.id.clone()).collect();
    let session = signed_in.session.id.as_str();
    let html = PatientPickerPage {
        app_name: understood.client.name.clone(),
        person_name: signed_in.user.display_name.clone(),
        can_search: choices.next.is_some() || wanted.cursor.is_some() || !wanted.name.is_empty(),
        name: wanted.name.clone(),
        people: choices.people,
        next: choices.next,
        csrf: server.form_tokens.token(Purpose::Consent, session),
        request_handle: handle(None, &understood.query),
        return_to: understood.path(),
    };
    let origin = understood.request.redirect.origin();
    Shown { draft: reply::page(StatusCode::OK, html.render(), Some(origin)), patients }
}
