//! Which page or form of [`AccountRoute`] a request is for.

use http::Method;
use portcullis_audit::record::Outcome;

use super::{factors, own_consents, own_mail, own_sessions};
use crate::answer::Answer;
use crate::authorization_server::accounts::{forgotten, new_password, passkeys, second_factor};
use crate::context::Server;
use crate::listener::Incoming;
use crate::resource_server::Exchange;
use crate::route::AccountRoute;
use crate::ui;

/// Serves one of them.
pub async fn serve(server: &Server, exchange: &Exchange, route: AccountRoute, body: Incoming) -> Answer {
    if exchange.method == Method::POST {
        return submit(server, exchange, route, body).await;
    }
    let reading = matches!(exchange.method, Method::GET | Method::HEAD);
    match route {
        AccountRoute::Forgotten if reading => forgotten::show(server, exchange).await,
        AccountRoute::SetPassword if reading => new_password::show(server, exchange).await,
        AccountRoute::Password if reading => new_password::show_own(server, exchange).await,
        AccountRoute::Authenticator if reading => factors::show(server, exchange).await,
        AccountRoute::Passkey if reading => passkeys::show_new(server, exchange).await,
        AccountRoute::Mail if reading => own_mail::show(server, exchange).await,
        AccountRoute::Consents if reading => own_consents::show(server, exchange).await,
        other => {
            let allow = if other.has_page() { "GET, HEAD, POST" } else { "POST" };
            server.record_page(exchange, Outcome::Rejected, ui::method_not_allowed(exchange, allow)).await
        }
    }
}

async fn submit(server: &Server, exchange: &Exchange, route: AccountRoute, body: Incoming) -> Answer {
    match route {
        AccountRoute::SecondFactor => second_factor::submit(server, exchange, body).await,
        AccountRoute::PasskeySignIn => passkeys::sign_in(server, exchange, body).await,
        AccountRoute::Forgotten => forgotten::submit(server, exchange, body).await,
        AccountRoute::SetPassword => new_password::submit(server, exchange, body).await,
        AccountRoute::Password => new_password::change_own(server, exchange, body).await,
        AccountRoute::Authenticator => factors::add(server, exchange, body).await,
        AccountRoute::AuthenticatorRemove => factors::remove(server, exchange, body).await,
        AccountRoute::RecoveryCodes => factors::renew_codes(server, exchange, body).await,
        AccountRoute::Passkey => passkeys::add(server, exchange, body).await,
        AccountRoute::PasskeyRemove => passkeys::remove(server, exchange, body).await,
        AccountRoute::Mail => own_mail::submit(server, exchange, body).await,
        AccountRoute::Consents => own_consents::submit(server, exchange, body).await,
        AccountRoute::SessionsEnd => own_sessions::end(server, exchange, body).await,
    }
}
