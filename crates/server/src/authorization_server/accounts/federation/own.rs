//! `/me/federation`: with which accounts elsewhere a person can sign in here.

use http::StatusCode;
use portcullis_audit::record::{Event, Outcome};
use portcullis_store::federation::{FederationChange, LinkedIdentity};
use portcullis_store::registry::Change;

use crate::answer::Answer;
use crate::authorization_server::form::Form;
use crate::authorization_server::own_page::account::{Owner, guarded, shown, submitted};
use crate::authorization_server::reply::{self, Account};
use crate::authorization_server::session::SignedIn;
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::ui::pages::{FederationPage, LinkedAccount, ProviderButton};

/// Where it is.
pub const PAGE: &str = "/me/federation";

/// `GET /me/federation`
pub async fn show(server: &Server, exchange: &Exchange) -> Answer {
    guarded(server, exchange, PAGE, async |owner: Owner| {
        let csrf = owner.csrf(server);
        let identities = server.registry.identities_of(&owner.signed_in.user.id).await?;
        let provider_of = |issuer: &str| server.federation.providers().iter().find(|provider| provider.issuer == issuer);
        let line = |identity: &LinkedIdentity| LinkedAccount {
            provider: provider_of(&identity.issuer).map_or_else(|| identity.issuer.clone(), |provider| provider.name.clone()),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            since: owner.signed_in.reader.moment(identity.linked_at),
        };
        let button = |provider: &portcullis_oauth::federation::Provider| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("provider", &provider.id).append_pair("link", &csrf);
            ProviderButton { name: provider.name.clone(), href: format!("/login/federated?{}", query.finish()) }
        };
        let html = FederationPage {
            reader: owner.signed_in.reader.clone(),
            linked: identities.iter().map(line).collect(),
            providers: server.federation.providers().iter().map(button).collect(),
            csrf: csrf.clone(),
        };
        Ok(shown(server, exchange, &owner, reply::page(StatusCode::OK, html.render(), None)).await)
    })
    .await
}

/// `POST /me/federation/unlink`
pub async fn unlink(server: &Server, exchange: &Exchange, body: Incoming) -> Answer {
    submitted(server, exchange, PAGE, body, async |owner: Owner, form: Form| {
        let value = |name: &str| form.field(name).unwrap_or_default().to_owned();
        let user = owner.signed_in.user.id.clone();
        let identities = server.registry.identities_of(&user).await?;
        let (issuer, subject) = (value("issuer"), value("subject"));
        let agent = reply::agent(exchange, &owner.signed_in);
        if !identities.iter().any(|identity| identity.issuer == issuer && identity.subject == subject) {
            let account = Account::new(Event::Credential, agent, Outcome::Rejected, "there is no such link");
            return Ok(reply::recorded(server, exchange, account, reply::see_other(PAGE)).await);
        }
        let detail = format!("account at {issuer} separated");
        let change = Change::Federation(Box::new(FederationChange::Unlink { user, issuer, subject }));
        let account = Account::new(Event::Credential, agent, Outcome::Success, detail);
        reply::changed(server, exchange, change, account, reply::see_other(PAGE)).await
    })
    .await
}

/// The same person again: nothing changes.
pub async fn linked_already(server: &Server, exchange: &Exchange, signed_in: &SignedIn) -> Answer {
    let account = Account::new(Event::Credential, reply::agent(exchange, signed_in), Outcome::Success, "linked already");
    reply::recorded(server, exchange, account, reply::see_other(PAGE)).await
}
