//! The own sandbox clients: listing, registering, changing, a new secret, removing.
//!
//! Each change rests on the client being this person's at that moment, which the registry checks in its transaction.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_oauth::clients::{Client, ClientKind, ClientSecretHash};
use portcullis_oauth::identifiers::ClientId;
use portcullis_oauth::registration::Registered;
use portcullis_store::RegistryError;
use portcullis_store::client_registration::{CLIENT_CHANGED, NOT_OWNED, RegistrationChange, TOO_MANY_OWNED};
use portcullis_store::registry::Change;

use super::access::{self, Developer, START, absent, guarded, shown, submitted};
use super::client_page;
use super::registration_form::{Entered, callback};
use crate::answer::{Answer, Draft};
use crate::authorization_server::reply::{self, Account};
use crate::context::{Borrowed, DeveloperSettings, Server};
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::route::DevelopersRoute;
use crate::ui::Reader;
use crate::ui::pages::{DevelopersPage, OwnSandboxClient, SandboxFormPage, SandboxProblems};

/// How often a change is made anew where somebody else was faster. Each time somebody else is done, so that it takes many hands to need more.
const MAXIMUM_ATTEMPTS: usize = 16;

/// `GET /developers`
pub async fn list(server: &Server, exchange: &Exchange, settings: DeveloperSettings) -> Answer {
    guarded(server, exchange, async |developer: Developer| {
        let clients = server.registry.clients_of(&developer.0.user.id).await?;
        let limit = usize::try_from(settings.clients_per_person).unwrap_or(usize::MAX);
        let reader = exchange.reader();
        let html = DevelopersPage {
            person_name: developer.0.user.display_name.clone(),
            sign_out_csrf: developer.sign_out_csrf(server),
            may_register: clients.len() < limit,
            limit: settings.clients_per_person,
            anybody_may_connect: settings.anybody_may_connect,
            clients: clients.iter().map(|client| line(server, &reader, client)).collect(),
            reader,
        };
        let draft = reply::page(StatusCode::OK, html.render(), None);
        Ok(shown(server, exchange, &developer, None, draft).await)
    })
    .await
}

fn line(server: &Server, reader: &Reader, client: &Client) -> OwnSandboxClient {
    OwnSandboxClient {
        name: client.name.clone(),
        client_id: client.id.as_str().to_owned(),
        href: DevelopersRoute::page_of(&client.id),
        kind: client_page::kind_in_words(reader, &client.kind),
        refusals: server.sandbox_refusals.of(&client.id).len(),
    }
}

/// `GET /developers/new`
pub async fn show_new(server: &Server, exchange: &Exchange) -> Answer {
    guarded(server, exchange, async |developer: Developer| {
        let draft = form_page(server, exchange, &developer, None, (&Entered::blank(), SandboxProblems::default()));
        Ok(shown(server, exchange, &developer, None, draft).await)
    })
    .await
}

/// The form, for a new client or for the one that is there.
fn form_page(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    before: Option<&Client>,
    (entered, problems): (&Entered, SandboxProblems),
) -> Draft {
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let Entered { name, redirect_uris, comes_back_here, kind, jwks, jwks_uri, scope } = entered.clone();
    let page = before.map(|client| DevelopersRoute::page_of(&client.id));
    let html = SandboxFormPage {
        reader: exchange.reader(),
        person_name: developer.0.user.display_name.clone(),
        sign_out_csrf: developer.sign_out_csrf(server),
        csrf: developer.csrf(server),
        action: page.as_ref().map_or_else(|| "/developers/new".to_owned(), |page| format!("{page}/edit")),
        back: page.unwrap_or_else(|| START.to_owned()),
        is_new: before.is_none(),
        name,
        redirect_uris,
        comes_back_here,
        callback: callback(server),
        kind,
        jwks,
        jwks_uri,
        scope,
        problems,
    };
    reply::page(status, html.render(), None)
}

/// `POST /developers/new`
pub async fn add(server: &Server, exchange: &Exchange, body: Incoming, settings: DeveloperSettings) -> Answer {
    submitted(server, exchange, body, async |developer: Developer, form| {
        let entered = Entered::of_form(&form);
        let id = ClientId::generate(&mut Borrowed(&*server.entropy));
        let Registered { client, secret } = match entered.client(server, &exchange.reader(), &developer.0.user.id, (id, None)) {
            Ok(registered) => registered,
            Err(problems) => return Ok(refused(server, exchange, &developer, None, (&entered, *problems)).await),
        };
        let draft = match &secret {
            Some(secret) => client_page::draft(server, exchange, &developer, &client, Some(secret.expose())),
            None => reply::see_other(&DevelopersRoute::page_of(&client.id)),
        };
        let agent = developer.agent(exchange, Some(&client.id));
        let account =
            Account::new(Event::Administration, agent, Outcome::Success, format!("sandbox client registered: {}", client.id));
        let change = RegistrationChange::RegisterOwned { client: Box::new(client), limit: settings.clients_per_person };
        match reply::changed(server, exchange, Change::Registration(change), account, draft).await {
            Err(RegistryError::Conflict(TOO_MANY_OWNED)) => {
                let limit = settings.clients_per_person;
                let whole = exchange.reader().say(
                    format!("You own {limit} apps already, as many as you may. Remove one first."),
                    format!("Usted ya tiene {limit} aplicaciones, y no puede tener más. Borre una primero."),
                );
                let problems = SandboxProblems { whole: Some(whole), ..SandboxProblems::default() };
                Ok(refused(server, exchange, &developer, None, (&entered, problems)).await)
            }
            answered => answered,
        }
    })
    .await
}

/// The form once more, with what is wrong.
async fn refused(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    before: Option<&Client>,
    filled: (&Entered, SandboxProblems),
) -> Answer {
    let agent = developer.agent(exchange, before.map(|client| &client.id));
    let account = Account::new(Event::Administration, agent, Outcome::Rejected, "sandbox client not registered");
    let draft = form_page(server, exchange, developer, before, filled);
    reply::recorded(server, exchange, account, draft).await
}

/// `GET /developers/clients/ID/edit`
pub async fn show_edit(server: &Server, exchange: &Exchange, id: &ClientId) -> Answer {
    guarded(server, exchange, async |developer: Developer| {
        let Some(client) = developer.own(server, id).await? else { return Ok(absent(server, exchange, &developer).await) };
        let entered = Entered::of_client(&client, &callback(server));
        let draft = form_page(server, exchange, &developer, Some(&client), (&entered, SandboxProblems::default()));
        Ok(shown(server, exchange, &developer, Some(id), draft).await)
    })
    .await
}

/// `POST /developers/clients/ID/edit`
pub async fn edit(server: &Server, exchange: &Exchange, id: &ClientId, body: Incoming) -> Answer {
    submitted(server, exchange, body, async |developer: Developer, form| {
        let entered = Entered::of_form(&form);
        // Made of what is registered, and made anew where somebody else changed that in between: each time somebody else is done.
        for _ in 0..MAXIMUM_ATTEMPTS {
            match edited(server, exchange, &developer, (id, &entered)).await {
                Err(RegistryError::Conflict(CLIENT_CHANGED)) => {}
                answered => return answered,
            }
        }
        Err(RegistryError::Conflict(CLIENT_CHANGED))
    })
    .await
}

async fn edited(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    (id, entered): (&ClientId, &Entered),
) -> Result<Answer, RegistryError> {
    let Some(before) = developer.own(server, id).await? else { return Ok(absent(server, exchange, developer).await) };
    match entered.client(server, &exchange.reader(), &developer.0.user.id, (id.clone(), Some(&before))) {
        Ok(registered) => replaced(server, exchange, developer, (before, registered), "sandbox client changed").await,
        Err(problems) => Ok(refused(server, exchange, developer, Some(&before), (entered, *problems)).await),
    }
}

/// `POST /developers/clients/ID/secret`: the old one counts no more.
pub async fn renew(server: &Server, exchange: &Exchange, id: &ClientId, body: Incoming) -> Answer {
    submitted(server, exchange, body, async |developer: Developer, _form| {
        for _ in 0..MAXIMUM_ATTEMPTS {
            match renewed(server, exchange, &developer, id).await {
                Err(RegistryError::Conflict(CLIENT_CHANGED)) => {}
                answered => return answered,
            }
        }
        Err(RegistryError::Conflict(CLIENT_CHANGED))
    })
    .await
}

async fn renewed(server: &Server, exchange: &Exchange, developer: &Developer, id: &ClientId) -> Result<Answer, RegistryError> {
    let Some(before) = developer.own(server, id).await? else { return Ok(absent(server, exchange, developer).await) };
    let mut client = before.clone();
    let ClientKind::ConfidentialSymmetric { secret_hash } = &mut client.kind else {
        return Ok(shown(server, exchange, developer, Some(id), reply::see_other(&DevelopersRoute::page_of(id))).await);
    };
    let (secret, hash) = ClientSecretHash::generate(&mut Borrowed(&*server.entropy));
    *secret_hash = hash;
    let registered = Registered { client, secret: Some(secret) };
    replaced(server, exchange, developer, (before, registered), "secret of a sandbox client changed").await
}

async fn replaced(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    (before, Registered { client, secret }): (Client, Registered),
    detail: &str,
) -> Result<Answer, RegistryError> {
    let draft = match &secret {
        Some(secret) => client_page::draft(server, exchange, developer, &client, Some(secret.expose())),
        None => reply::see_other(&DevelopersRoute::page_of(&client.id)),
    };
    let id = client.id.clone();
    changed(server, exchange, developer, (&id, RegistrationChange::replacing(before, client)), (detail, draft)).await
}

/// Makes a change to a client that is this person's at that moment.
async fn changed(
    server: &Server,
    exchange: &Exchange,
    developer: &Developer,
    (id, then): (&ClientId, Change),
    (detail, draft): (&str, Draft),
) -> Result<Answer, RegistryError> {
    let agent = developer.agent(exchange, Some(id));
    let account = Account::new(Event::Administration, agent, Outcome::Success, format!("{detail}: {id}"));
    let owner = developer.0.user.id.clone();
    let change = Change::Registration(RegistrationChange::OfOwner { owner, client: id.clone(), then: Box::new(then) });
    match reply::changed(server, exchange, change, account, draft).await {
        Err(RegistryError::Conflict(NOT_OWNED)) => Ok(access::absent(server, exchange, developer).await),
        answered => answered,
    }
}

/// `POST /developers/clients/ID/remove`
pub async fn remove(server: &Server, exchange: &Exchange, id: &ClientId, body: Incoming) -> Answer {
    submitted(server, exchange, body, async |developer: Developer, _form| {
        if developer.own(server, id).await?.is_none() {
            return Ok(absent(server, exchange, &developer).await);
        }
        let removal = (id, Change::RemoveClient(id.clone()));
        let answer = changed(server, exchange, &developer, removal, ("sandbox client removed", reply::see_other(START))).await?;
        server.sandbox_refusals.forget(id);
        Ok(answer)
    })
    .await
}
