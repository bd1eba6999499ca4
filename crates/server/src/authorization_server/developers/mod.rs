//! The developer's page: register a sandbox client, try it, and see its last refusals with what to change.
//!
//! It is off unless the operator switches it on; then nothing is here. People with the role `developer` own the clients that they register, and nobody
//! else sees them on these pages. A sandbox client is described by [`ClientMetadata`](portcullis_oauth::registration::ClientMetadata) like any other, is
//! unverified, gets no access without a person, is opened from no chart, and may be connected by developers alone ([`may_connect`]): so it asks no
//! patient for anything. Each change is recorded.

mod access;
mod client_page;
mod own_clients;
pub mod refusals;
pub mod refused;
mod registration_form;
mod remedies;
mod remedies_of_fhir;
mod try_it;

use http::Method;
use portcullis_audit::record::Outcome;
use portcullis_oauth::clients::Client;
use portcullis_oauth::users::{Role, User};

use crate::answer::Answer;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::route::{DevelopersRoute, SandboxAction};
use crate::ui;

/// What an app is told whose person may not connect it.
pub const DEVELOPERS_ALONE: &str = "this sandbox app may be connected by people with the role developer alone";

/// Whether a person may let this client in. A sandbox client was looked at by nobody, so no patient is asked by one; a server whose records are all made up
/// lets everybody.
pub fn may_connect(server: &Server, client: &Client, user: &User) -> bool {
    let anybody = server.settings.authorization.developers.is_some_and(|settings| settings.anybody_may_connect);
    client.properties.owner.is_none() || anybody || user.roles.contains(Role::Developer)
}

/// Serves one request.
pub async fn serve(server: &Server, exchange: &Exchange, route: DevelopersRoute, body: Incoming) -> Answer {
    let Some(settings) = server.settings.authorization.developers else {
        return server.record_page(exchange, Outcome::Rejected, ui::not_found(exchange)).await;
    };
    let reading = matches!(exchange.method, Method::GET | Method::HEAD);
    let posting = exchange.method == Method::POST;
    match &route {
        DevelopersRoute::Start if reading => own_clients::list(server, exchange, settings).await,
        DevelopersRoute::New if reading => own_clients::show_new(server, exchange).await,
        DevelopersRoute::New if posting => own_clients::add(server, exchange, body, settings).await,
        DevelopersRoute::Callback if reading => try_it::come_back(server, exchange).await,
        DevelopersRoute::Client(id, SandboxAction::Show) if reading => client_page::show(server, exchange, id).await,
        DevelopersRoute::Client(id, SandboxAction::Edit) if reading => own_clients::show_edit(server, exchange, id).await,
        DevelopersRoute::Client(id, SandboxAction::Edit) if posting => own_clients::edit(server, exchange, id, body).await,
        DevelopersRoute::Client(id, SandboxAction::Secret) if posting => own_clients::renew(server, exchange, id, body).await,
        DevelopersRoute::Client(id, SandboxAction::Remove) if posting => own_clients::remove(server, exchange, id, body).await,
        other => server.record_page(exchange, Outcome::Rejected, ui::method_not_allowed(exchange, other.methods())).await,
    }
}
