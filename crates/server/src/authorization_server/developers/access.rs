//! Who may open the developer's pages, which forms count, and what is answered otherwise.
//!
//! Somebody who is not signed in goes to the sign-in page; somebody without the role is told so and sees nothing. A client of somebody else is answered as one
//! that is not there.

use http::StatusCode;
use portcullis_audit::record::{Agent, Event, Outcome};
use portcullis_oauth::clients::Client;
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::users::Role;
use portcullis_store::RegistryError;

use crate::answer::{Answer, Draft};
use crate::authorization_server::csrf::Purpose;
use crate::authorization_server::form::{self, Form};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::role_assurance;
use crate::authorization_server::session::{self, SignedIn};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;

/// The first of these pages.
pub const START: &str = "/developers";

/// A signed-in person with the role `developer`.
pub struct Developer(pub SignedIn);

impl Developer {
    /// The token of the forms of these pages.
    pub fn csrf(&self, server: &Server) -> String {
        server.form_tokens.token(Purpose::Developers, self.0.session.id.as_str())
    }

    /// The token of the sign-out.
    pub fn sign_out_csrf(&self, server: &Server) -> String {
        server.form_tokens.token(Purpose::OwnPage, self.0.session.id.as_str())
    }

    /// The agent of the record, about a client where there is one.
    pub fn agent(&self, exchange: &Exchange, client: Option<&ClientId>) -> Agent {
        Agent { client: client.map(|client| client.as_str().to_owned()), ..reply::agent(exchange, &self.0) }
    }

    /// The client, if it is this person's.
    pub async fn own(&self, server: &Server, id: &ClientId) -> Result<Option<Client>, RegistryError> {
        let client = server.registry.client(id).await?;
        Ok(client.filter(|client| client.properties.owner.as_ref() == Some(&self.0.user.id)))
    }
}

/// Lets a developer do something, or says what is missing.
pub async fn guarded(
    server: &Server,
    exchange: &Exchange,
    work: impl AsyncFnOnce(Developer) -> Result<Answer, RegistryError>,
) -> Answer {
    let answer = async {
        let Some(signed_in) = session::current(server, exchange).await? else {
            // What a form wanted is not done after a sign-in: the person begins at the first page.
            let path = if exchange.method == http::Method::POST { START } else { exchange.target.path() };
            let draft = reply::see_other(&format!("/login?return_to={path}"));
            return Ok(server.record_page(exchange, Outcome::Success, draft).await);
        };
        if !signed_in.user.roles.contains(Role::Developer) {
            return Ok(no_developer(server, exchange, &signed_in).await);
        }
        if let Some(missing) = role_assurance::missing(server, exchange, &signed_in, START).await? {
            return Ok(missing);
        }
        work(Developer(signed_in)).await
    };
    reply::or_unavailable(server, exchange, answer.await).await
}

/// The same for a form of one of these pages.
pub async fn submitted(
    server: &Server,
    exchange: &Exchange,
    body: Incoming,
    work: impl AsyncFnOnce(Developer, Form) -> Result<Answer, RegistryError>,
) -> Answer {
    let form = match form::received(server, exchange, Event::Administration, body).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    guarded(server, exchange, async |developer: Developer| {
        let binding = developer.0.session.id.as_str().to_owned();
        match form.checked(&server.form_tokens, &[Purpose::Developers], Some(&binding)) {
            Ok(form) => work(developer, form).await,
            Err(_) => {
                let account =
                    Account::new(Event::Administration, developer.agent(exchange, None), Outcome::Denied, "form token refused");
                Ok(reply::recorded(server, exchange, account, form::outdated(exchange)).await)
            }
        }
    })
    .await
}

/// Answers with a page and records who saw it.
pub async fn shown(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    client: Option<&ClientId>,
    draft: Draft,
) -> Answer {
    let account = Account::new(Event::Page, developer.agent(exchange, client), Outcome::Success, "");
    reply::recorded(server, exchange, account, draft).await
}

/// The answer for a client that is not there, or is somebody else's.
pub async fn absent(server: &Server, exchange: &Exchange, developer: &Developer) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::NOT_FOUND,
        [
            "There is no such app",
            "You own no sandbox app with this id.",
            "It may have been removed, or it belongs to somebody else.",
            "Go to /developers for the list of your apps.",
        ],
        [
            "No existe esa aplicación",
            "Usted no tiene ninguna aplicación de prueba con este identificador.",
            "Puede que se haya borrado, o que sea de otra persona.",
            "Vaya a /developers para ver la lista de sus aplicaciones.",
        ],
    );
    let account = Account::new(Event::Page, developer.agent(exchange, None), Outcome::Denied, "no client of this person");
    reply::recorded(server, exchange, account, draft).await
}

async fn no_developer(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Answer {
    let draft = reply::error(
        exchange,
        StatusCode::FORBIDDEN,
        [
            "This page is for people who build apps",
            "You are signed in, but not as somebody who builds apps here.",
            "Nothing was shown or changed.",
            "If you build apps for this server, ask the people who run it for the role “developer”. Then sign in again.",
        ],
        [
            "Esta página es para quienes hacen aplicaciones",
            "Usted inició sesión, pero no como alguien que hace aplicaciones aquí.",
            "No se mostró ni se cambió nada.",
            "Si usted hace aplicaciones para este servidor, pida a quienes lo administran el rol “developer”. Después inicie sesión de nuevo.",
        ],
    );
    let account = Account::new(Event::Page, reply::agent(exchange, signed_in), Outcome::Denied, "no developer");
    reply::recorded(server, exchange, account, draft).await
}
